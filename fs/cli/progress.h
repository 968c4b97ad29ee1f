/* SPDX-License-Identifier: MIT */
/* Progress of a step, on standard error: a moving line on a terminal, elsewhere nothing, or a line at its beginning and end. */
#ifndef TFS_CLI_PROGRESS_H
#define TFS_CLI_PROGRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tfs_progress {
	bool terminal, utf8;
	bool lines; /* print lines at the beginning and end of steps */
	char label[32];
	double begun, drawn; /* seconds, of tfs_now() */
	uint64_t total;	     /* bytes */
	_Atomic uint64_t done;
	pthread_mutex_t drawing;
};

void tfs_progress_init(struct tfs_progress *p, bool lines);
/* The step that is number @run of @runs, of which it says so if there are several. */
void tfs_progress_begin(struct tfs_progress *p, const char *step, unsigned run, unsigned runs, uint64_t total);
/* @done bytes of the step are done. */
void tfs_progress_show(struct tfs_progress *p, uint64_t done);
/* @more bytes are done. Thread-safe. */
void tfs_progress_add(struct tfs_progress *p, uint64_t more);
/* The end of the step, which removes its line; with @lines it is replaced by the seconds. < 0: it was aborted. */
void tfs_progress_end(struct tfs_progress *p, double seconds);

#endif
