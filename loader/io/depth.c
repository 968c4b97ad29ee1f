/* SPDX-License-Identifier: MIT */
#include "io/depth.h"

/* More reads must be faster by this factor to be worth their memory. */
#define PAYS 1.08

/* Fewer may be slower by this factor, if a read waits longer than this (seconds) for those before it. */
#define COSTS	  0.95
#define WAIT_LONG 0.1

/* Otherwise it is never worth it to have fewer. */
enum { FEW = 4 };

/* Measurements before another attempt, if one didn't pay, or was with fewer and cost something. */
enum { RESTS = 16, RESTS_FEWER = 128 };

/* Measure over as many reads as are in flight, but at least this many. */
enum { READS_MIN = 8 };

/* So fast does the latency follow storage that has become slower: by this factor with each measurement. */
#define LATENCY_FOLLOWS 1.1

static unsigned within(const struct tfs_depth *d, unsigned n)
{
	return n < d->min ? d->min : n > d->max ? d->max : n;
}

void tfs_depth_init(struct tfs_depth *d, unsigned min, unsigned max)
{
	*d = (struct tfs_depth){ .min = min, .max = max };
	d->now = d->skipped = within(d, TFS_DEPTH_UNKNOWN);
}

bool tfs_depth_begin(struct tfs_depth *d, bool large, double seconds)
{
	if (d->known)
		return false;
	d->known = true;
	if (large && seconds > WAIT_LONG)
		return false;
	d->now = d->skipped = within(d, TFS_DEPTH_FIRST);
	return true;
}

void tfs_depth_interrupt(struct tfs_depth *d)
{
	d->n = 0;
	d->bytes = 0;
}

/* Twice the product of bandwidth and latency, in reads of @bytes; between the bounds. */
static unsigned target(const struct tfs_depth *d, double bytes)
{
	unsigned least = d->now < FEW ? d->now : d->min < FEW ? FEW : d->min;
	double reads = 2 * d->rate * d->latency / bytes + 0.5;

	return reads < least ? least : reads > d->max ? d->max : (unsigned)reads;
}

/* With d->now reads of @bytes in flight there were @rate bytes per second. True: now is another number. */
static bool judge(struct tfs_depth *d, double rate, double bytes)
{
	if (d->before && rate < d->rate * (d->now > d->before ? PAYS : COSTS)) {
		if (d->now > d->before)
			d->rests = RESTS;
		else
			d->fewer_rests = RESTS_FEWER;
		d->now = d->before;
		d->before = 0;
		return true;
	}
	const bool paid = d->before && d->now > d->before;
	d->rate = rate;
	d->before = 0;
	d->rests -= !!d->rests;
	d->fewer_rests -= !!d->fewer_rests;
	if (!paid && d->now > d->min && !d->fewer_rests && d->now * bytes / d->rate > WAIT_LONG) {
		d->before = d->now;
		d->now = d->now / 2 < d->min ? d->min : d->now / 2;
		return true;
	}
	unsigned to = target(d, bytes);
	/* Fewer aren't faster, so only if there are far too many. */
	if (d->rests || (to <= d->now && to > d->now / 2))
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
	if (d->n++ < d->skipped) {
		d->since = now;
		return false;
	}
	d->bytes += bytes;
	if (d->n < d->skipped + reads || now <= d->since)
		return false;
	double rate = (double)d->bytes / (now - d->since), mean = (double)d->bytes / (d->n - d->skipped);
	if (d->latency * LATENCY_FOLLOWS < d->quickest)
		d->latency *= LATENCY_FOLLOWS;
	d->quickest = 0;
	tfs_depth_interrupt(d);
	const unsigned was = d->now;
	const bool changed = judge(d, rate, mean);
	d->skipped = was > d->now ? was : d->now;
	return changed;
}
