/* SPDX-License-Identifier: MIT */
/*
 * How many reads to have in flight: what the storage needs to be busy all the time, which is the product of its bandwidth and its
 * latency. Neither can be measured without the other, so twice the product of what was measured is tried, if that is more, and kept
 * only if it pays. Storage that is so slow that somebody who comes would wait long for what is in flight is tried with half of it, which
 * is kept if it costs nothing. For the same reason it begins with few, until the first has shown that nobody would wait long. A pure
 * function of the reads so far.
 */
#ifndef TFS_IO_DEPTH_H
#define TFS_IO_DEPTH_H

#include <stdbool.h>
#include <stdint.h>

struct tfs_depth {
	unsigned min, max; /* bounds; 0 < min <= max */
	unsigned now;	   /* reads in flight, as chosen */
	double latency;	   /* seconds, of the quickest read lately; 0: not known */
	double rate;	   /* bytes per second with now in flight, or before an attempt; 0: not known */

	/* Private. */
	bool known;	      /* the first read is done */
	unsigned skipped;     /* reads that began before the last change, or together, and measure nothing */
	double quickest;      /* latency in the measurement in progress */
	unsigned before;      /* the number before the attempt in progress; 0: none is */
	unsigned rests;	      /* measurements until the next attempt with more */
	unsigned fewer_rests; /* with fewer */
	unsigned n;	      /* reads since the last measurement */
	double since;	      /* when those that are skipped were done */
	uint64_t bytes;	      /* of those after them */
};

/*
 * It begins with TFS_DEPTH_UNKNOWN, and goes on from TFS_DEPTH_FIRST, which is enough for a local disk (docs/decisions.md); or the bound
 * that is nearest.
 */
enum { TFS_DEPTH_FIRST = 8, TFS_DEPTH_UNKNOWN = 2 };

void tfs_depth_init(struct tfs_depth *d, unsigned min, unsigned max);

/* A read was done after @seconds; @large: as long as those below. True: d->now has changed. */
bool tfs_depth_begin(struct tfs_depth *d, bool large, double seconds);

/*
 * A read of @bytes that took @seconds was done at the time @now (seconds), while there was more to read than could be in flight. All
 * reads are about as long. True: d->now has changed.
 */
bool tfs_depth_done(struct tfs_depth *d, uint64_t bytes, double seconds, double now);

/* There is less to read than could be in flight: what was measured since the last change says nothing. */
void tfs_depth_interrupt(struct tfs_depth *d);

#endif
