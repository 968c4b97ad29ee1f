/* SPDX-License-Identifier: MIT */
#include "io/depth.h"

/* More reads must be faster by this factor to be worth their memory. */
#define PAYS 1.08

/* Measurements before another attempt, if one didn't pay. */
enum { RESTS = 16 };

/* Measure over as many reads as are in flight, but at least this many. */
enum { READS_MIN = 8 };

/* So fast does the latency follow storage that has become slower: by this factor with each measurement. */
#define LATENCY_FOLLOWS 1.1

void tfs_depth_init(struct tfs_depth *d, unsigned min, unsigned max)
{
	unsigned first = TFS_DEPTH_FIRST < min ? min : TFS_DEPTH_FIRST > max ? max : TFS_DEPTH_FIRST;

	*d = (struct tfs_depth){ .min = min, .max = max, .now = first };
}

void tfs_depth_interrupt(struct tfs_depth *d)
{
	d->n = 0;
	d->bytes = 0;
}

/* Twice the product of bandwidth and latency, in reads of @bytes; between the bounds. */
static unsigned target(const struct tfs_depth *d, double bytes)
{
	double reads = 2 * d->rate * d->latency / bytes + 0.5;

	return reads < d->min ? d->min : reads > d->max ? d->max : (unsigned)reads;
}

/* With d->now reads of @bytes in flight there were @rate bytes per second. True: now is another number. */
static bool judge(struct tfs_depth *d, double rate, double bytes)
{
	if (d->before && rate < d->rate * PAYS) {
		d->now = d->before;
		d->before = 0;
		d->rests = RESTS;
		return true;
	}
	d->rate = rate;
	d->before = 0;
	if (d->rests) {
		d->rests--;
		return false;
	}
	unsigned to = target(d, bytes);
	/* Fewer aren't faster, so only if there are far too many. */
	if (to <= d->now && to > d->now / 2)
		return false;
	if (to > d->now)
		d->before = d->now;
	d->now = to;
	return true;
}

bool tfs_depth_done(struct tfs_depth *d, uint64_t bytes, double seconds, double now)
{
	unsigned reads = d->now < READS_MIN ? READS_MIN : d->now;

	if (!d->latency || seconds < d->latency)
		d->latency = seconds;
	if (!d->quickest || seconds < d->quickest)
		d->quickest = seconds;
	/* First those that began before the change, or together. */
	if (d->n++ < d->now) {
		d->since = now;
		return false;
	}
	d->bytes += bytes;
	if (d->n < d->now + reads || now <= d->since)
		return false;
	double rate = (double)d->bytes / (now - d->since), mean = (double)d->bytes / (d->n - d->now);
	if (d->latency * LATENCY_FOLLOWS < d->quickest)
		d->latency *= LATENCY_FOLLOWS;
	d->quickest = 0;
	tfs_depth_interrupt(d);
	return judge(d, rate, mean);
}
