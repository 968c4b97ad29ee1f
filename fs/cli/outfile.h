/* SPDX-License-Identifier: MIT */
/*
 * Files that appear complete or not at all: each is written under a temporary name next to its own, and flushed to storage; when all are
 * written they are renamed, in order. If anything fails, or the process is told to end, nothing is left behind, and what would have been
 * replaced is as it was; though not on file systems that can't swap names (NFS), once renaming has begun. Not thread-safe.
 */
#ifndef TFS_CLI_OUTFILE_H
#define TFS_CLI_OUTFILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader.h"
#include "model/model.h"

enum tfs_outfile_state {
	TFS_OUTFILE_TEMPORARY,
	TFS_OUTFILE_NEW,      /* it has its name, which nothing had; … */
	TFS_OUTFILE_REPLACED, /* … the file that had it is gone; … */
	TFS_OUTFILE_SWAPPED,  /* … or has the temporary name */
};

struct tfs_outfile {
	char *path, *temp;
	enum tfs_outfile_state state;
	int fd;	   /* of one that has ended, until it is flushed; -1 */
	int error; /* of flushing */
};

struct tfs_outfiles {
	struct tfs_outfile *files; /* malloc()ed */
	size_t n, room;
	int fd;				/* of the last one, while it is being written; -1 */
	uint64_t at;			/* bytes of it that have been written */
	size_t n_flushed;		/* the first ones */
	uint64_t unflushed;		/* bytes of the others that have ended */
	int signals;			/* readable once the process is told to end */
	const struct tfs_model *source; /* its files aren't replaced; NULL after init: any are */
	struct tfs_loader *loader;	/* of tfs_outfiles_watch() */
	pthread_t watcher;
	int over; /* an eventfd, for the watcher to end; -1: there is none */
};

/* From here on signals that end a process only end the writing, with -EINTR. Before any thread is started. 0 or -errno. */
int tfs_outfiles_init(struct tfs_outfiles *o);

/* From here on such a signal also ends what waits for bytes from a network, until fini: it comes before @l is destroyed. 0 or -errno. */
int tfs_outfiles_watch(struct tfs_outfiles *o, struct tfs_loader *l);

/* Print why what is to be written couldn't be read, -errno, as an error of @path. Returns @r, or -EINTR. */
int tfs_outfiles_unread(const struct tfs_outfiles *o, const char *path, int r);

/* Is @path a file of the source? */
bool tfs_outfiles_is_source(const struct tfs_outfiles *o, const char *path);

/* Begin the next file, closing none: the one before must have ended. Like all that follow: 0, or -errno after printing an error. */
int tfs_outfile_begin(struct tfs_outfiles *o, const char *path);
int tfs_outfile_write(struct tfs_outfiles *o, const void *data, size_t len);
/* Overwrite bytes before the current end. */
int tfs_outfile_patch(struct tfs_outfiles *o, uint64_t at, const void *data, size_t len);
/* It may be flushed to storage later, with others: an error may be of an earlier one. */
int tfs_outfile_end(struct tfs_outfiles *o);

/* All files have ended: flush those that aren't, then rename all. */
int tfs_outfiles_publish(struct tfs_outfiles *o);

/* Remove what wasn't published, or was replaced, and free everything. */
void tfs_outfiles_fini(struct tfs_outfiles *o);

#endif
