/* SPDX-License-Identifier: MIT */
/*
 * tensorfs verify.
 *
 *   verify.c    the command, and what it found
 *   same.c      which names are the same file
 *   sums.c      what is known of files and tensors: SHA256SUMS, XXH128SUMS, names in a Hugging Face cache
 *   files.c     reads whole files, and compares them with that
 *   tensors.c   reads tensors
 */
#ifndef TFS_CLI_VERIFY_IMPL_H
#define TFS_CLI_VERIFY_IMPL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/progress.h"
#include "cli/selection.h"

/* In the order in which they are printed. */
enum tfs_finding_level {
	TFS_DAMAGED, /* something isn't what it should be, or not there */
	TFS_VALUES,  /* NaN or infinite values */
	TFS_WARNING, /* what is odd, as when mounting */
	TFS_NOTE,    /* may well be right */
};

struct tfs_finding {
	enum tfs_finding_level level;
	char *file;   /* path in the model; NULL: none */
	char *tensor; /* its name, as it may be printed; NULL: none */
	char *what;
};

/* What a file, or a tensor, should be. */
enum tfs_sum_kind { TFS_SHA256, TFS_GIT_SHA1, TFS_XXH128, TFS_SUM_KINDS };

struct tfs_sum {
	enum tfs_sum_kind kind;
	char hex[65];	      /* lower case */
	const char *by;	      /* who says so: the path of a file of sums, or "its name in the cache"; owned by the sums */
	uint32_t node;	      /* of the file; UINT32_MAX: */
	struct tfs_item item; /* of a tensor */
};

struct tfs_sums {
	struct tfs_sum *all;
	size_t n, room;
	char **names; /* strings for by */
	size_t n_names, room_names;
};

struct tfs_verify {
	struct tfs_model_arg arg;
	uint32_t *same; /* by node: the one of the nodes that are the same file that is checked; of a directory itself */
	struct tfs_sums sums;
	struct tfs_progress progress;
	uint64_t checked[TFS_SUM_KINDS]; /* sums that were compared */
	uint64_t crcs, tensors, bytes;
	bool no_sha; /* some couldn't be: this program has no SHA */

	pthread_mutex_t lock; /* guards all below, and the counts above */
	struct tfs_finding *findings;
	size_t n, room;
	int failed; /* -ENOMEM */
};

/* Add a finding. @node: of the file, or UINT32_MAX; @item: NULL, or the tensor. Thread-safe. */
void tfs_verify_find(struct tfs_verify *v, enum tfs_finding_level level, uint32_t node, const struct tfs_item *item,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Find out which nodes are the same file, as links and hard links are: v->same. 0 or -ENOMEM. */
int tfs_verify_same(struct tfs_verify *v);

/* Collect what is known. 0 or -ENOMEM; what can't be read is a finding. */
int tfs_verify_sums(struct tfs_verify *v);
/* The first sum of file @node, with the others of it after that; those of tensors are the last ones. */
size_t tfs_sums_of(const struct tfs_sums *s, uint32_t node);
/* The *@ret_n sums of a tensor, all XXH128; NULL: none. */
const struct tfs_sum *tfs_sums_of_tensor(const struct tfs_sums *s, struct tfs_item item, size_t *ret_n);
void tfs_sums_fini(struct tfs_sums *s);

/* Check files, and tensors. 0, or -errno that isn't about the model: out of memory, no thread. */
int tfs_verify_files(struct tfs_verify *v);
int tfs_verify_tensors(struct tfs_verify *v);

#endif
