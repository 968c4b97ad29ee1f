/* SPDX-License-Identifier: MIT */
/*
 * Reads that have failed a moment ago, after they had waited long. Who asks for the same bytes right then is somebody for whom that was
 * tried: the kernel reads again what failed as readahead, a tensor that couldn't be loaded is read as a stream, others had waited for the
 * one who asked. They get the same error, instead of waiting as long again; and if the origin has been silent, so does whoever waits for
 * any other bytes, as reads queue for threads. Thread-safe.
 */
#ifndef TFS_REMOTE_FAILURES_H
#define TFS_REMOTE_FAILURES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* As many as can fail at once. */
enum { TFS_FAILURES_MAX = 96 };

struct tfs_failures {
	const _Atomic uint64_t *bytes; /* what has come from the origin in all */
	double timeout;		       /* seconds: how long its silence is waited for */
	pthread_mutex_t lock;
	unsigned next; /* as many have been added */
	struct tfs_failure {
		uint64_t from, end;
		double at;	    /* tfs_now() */
		uint64_t had_bytes; /* which had come from the origin in all */
		uint32_t node;
		int code;
		bool silent; /* nothing had come from it for as long as is waited */
		bool waited; /* somebody waited for these bytes, not only some day */
		char *why;   /* owned */
	} last[TFS_FAILURES_MAX];
};

void tfs_failures_init(struct tfs_failures *f, const _Atomic uint64_t *bytes, double timeout);
void tfs_failures_fini(struct tfs_failures *f);

/*
 * A read of [@from, @end) of the file @node that was begun at @since (tfs_now()) has failed with @code, for the reason in @err. @waits:
 * somebody waited for it.
 */
void tfs_failures_add(struct tfs_failures *f, uint32_t node, uint64_t from, uint64_t end, bool waits, double since, int code,
		      const struct tfs_error *err);

/*
 * Has a read of any of these bytes failed just now, or any read that says that the origin is silent? Its code, with @err filled, or 0.
 * What nobody waits for (not @waits) may be silent for longer, unless somebody waited who has seen that, as others may wait behind it.
 */
int tfs_failures_find(struct tfs_failures *f, uint32_t node, uint64_t from, uint64_t end, bool waits, struct tfs_error *err);

#endif
