/* SPDX-License-Identifier: MIT */
/* Shared by the parts of tensorfs bench that do the work, which bench.h lists. */
#ifndef TFS_FS_BENCH_IMPL_H
#define TFS_FS_BENCH_IMPL_H

#include <stdatomic.h>
#include <sys/types.h>

#include "base/arena.h"
#include "cli/bench/bench.h"
#include "cli/mount-options.h"
#include "cli/progress.h"
#include "loader.h"
#include "model/model.h"
#include "tree/tree.h"

/* --- work.c ------------------------------------------------------------------------------------------------------------- */

/* A tensor of a primary set. */
struct tfs_bench_item {
	uint32_t set, tensor;
	uint32_t dir;	  /* in work->dirs: where it is in the mount … */
	const char *name; /* … and its file name there */
};

/* What there is to read. Immutable once made. */
struct tfs_bench_work {
	const struct tfs_model *model;
	size_t n_items;
	struct tfs_bench_item *items; /* set by set, in file order */
	uint64_t item_bytes;
	uint32_t n_dirs;
	const char **dirs; /* "tensors", "unet/tensors", … relative to the mount */
	const char *stats; /* ".tensorfs/stats.json" */
	uint32_t *sources; /* nodes of the weight files … */
	size_t n_sources;
	uint64_t source_bytes; /* of tensors in them … */
	uint64_t whole_bytes;  /* … and their size */
	uint32_t *others;      /* … and of the small files next to them, configuration and tokenizer */
	size_t n_others;
	uint64_t other_bytes;
	struct tfs_arena arena; /* strings */
};

/* 0 or -errno. */
int tfs_bench_work_init(const struct tfs_model *model, struct tfs_tree *tree, struct tfs_bench_work *ret_work);
void tfs_bench_work_fini(struct tfs_bench_work *w);

/* Bytes that a tensor occupies in its source. */
uint64_t tfs_bench_source_bytes(const struct tfs_tensor *t);

/*
 * Drop the pages of these files, and no others, from the page cache, and check how many stayed. Takes a while if pages are dirty:
 * they are written first. *@ret_cached: bytes; 0 if that is unknown.
 */
enum tfs_bench_coldness tfs_bench_chill(const struct tfs_bench_work *w, uint64_t *ret_cached);

/* --- mount.c ------------------------------------------------------------------------------------------------------------ */

struct tfs_bench_mount {
	char dir[4096]; /* temporary mountpoint; "" if there is none */
	pid_t pid;	/* 0: none */
};

/*
 * Mount in a process of its own, which ends when this one does. No thread may be running. @signal_fd: readable when the
 * user wants to stop. 0; -EINTR; -ENODEV: can't mount, and the reason was printed; or -errno. On failure nothing is left behind.
 */
int tfs_bench_mount_start(struct tfs_bench_mount *m, const struct tfs_options *options, int signal_fd);

/* Unmount, wait for the daemon and remove the mountpoint. 0, or -errno after printing what is left behind. May be called twice. */
int tfs_bench_mount_stop(struct tfs_bench_mount *m);

/* --- read.c ------------------------------------------------------------------------------------------------------------- */

/* One pass: what to read from, and how. */
struct tfs_bench_reading {
	const struct tfs_bench_work *work;
	struct tfs_bench_mount *mount; /* read the tensors' files in it … */
	struct tfs_loader *loader;     /* … or through the streams of this; both NULL: read the source files */
	bool map;		       /* with mount: only open, map and touch the first byte of each */
	bool whole;		       /* the weight files, mapped, instead of tensors and other files; the loader can't */
	unsigned readers;
	int signal_fd;
	struct tfs_progress *progress;
};

/*
 * Read everything once. *@ret_seconds from now until the last reader has read its last byte; *@ret_sum, a checksum of what was
 * read, the same for every way of reading. 0; -EINTR after a signal, the mount taken down; or -errno, with the reason printed.
 */
int tfs_bench_read(const struct tfs_bench_reading *reading, double *ret_seconds, uint64_t *ret_sum);

#endif
