/* SPDX-License-Identifier: MIT */
/* How many reads to have in flight, with storage that is a formula: a latency, and a bandwidth that all share. */
#include "support/helpers.h"

#include "io/depth.h"

#define READ ((double)(4 << 20))

struct storage {
	double latency, bandwidth;
	double now;
};

/* Some reads, each as fast as the storage is with that many in flight; the first of them finds it idle. */
static void read_some(struct tfs_depth *d, struct storage *s, unsigned reads)
{
	for (unsigned i = 0; i < reads; i++) {
		double alone = s->latency + READ / s->bandwidth, rate = d->now * READ / alone;
		if (rate > s->bandwidth)
			rate = s->bandwidth;
		s->now += READ / rate;
		const double seconds = i ? d->now * READ / rate : alone;
		if (!tfs_depth_begin(d, true, seconds))
			tfs_depth_done(d, (uint64_t)READ, seconds, s->now);
		assert_in_range(d->now, d->min, d->max);
	}
}

static void test_latency(void **state)
{
	struct storage s = { .latency = 0.05, .bandwidth = 2e9 };
	struct tfs_depth d;

	(void)state;
	tfs_depth_init(&d, 4, 64);
	assert_int_equal(d.now, 4);
	read_some(&d, &s, 1);
	assert_int_equal(d.now, TFS_DEPTH_FIRST);
	read_some(&d, &s, 200);
	assert_in_range(d.now, 25, 64); /* 25 are enough */
}

/* Few, until the first read has shown that whoever comes doesn't wait long. */
static void test_begin(void **state)
{
	static const struct {
		bool large;
		double seconds;
		unsigned then;
	} cases[] = {
		{ true, 0.01, TFS_DEPTH_FIRST },
		{ false, 0.5, TFS_DEPTH_FIRST }, /* a short one says nothing of how long a large one takes */
		{ true, 0.4, TFS_DEPTH_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tfs_depth d;

		tfs_depth_init(&d, 2, 64);
		assert_int_equal(d.now, TFS_DEPTH_UNKNOWN);
		assert_int_equal(tfs_depth_begin(&d, cases[i].large, cases[i].seconds), cases[i].then != TFS_DEPTH_UNKNOWN);
		assert_int_equal(d.now, cases[i].then);
		assert_false(tfs_depth_begin(&d, true, 0.001));
	}
}

/* Storage that answers late, but many at once: after three seconds there are as many as it takes. */
static void test_late(void **state)
{
	struct storage s = { .latency = 0.25, .bandwidth = 1e9 };
	struct tfs_depth d;

	(void)state;
	tfs_depth_init(&d, 2, 64);
	while (s.now < 3)
		read_some(&d, &s, 1);
	assert_in_range(d.now, 16, 64);
}

/* What is fast enough as it is isn't tried with more. */
static void test_fast(void **state)
{
	struct storage s = { .latency = 1e-5, .bandwidth = 2e9 };
	struct tfs_depth d;

	(void)state;
	tfs_depth_init(&d, 4, 64);
	for (int i = 0; i < 2000; i++) {
		read_some(&d, &s, 1);
		assert_in_range(d.now, 4, TFS_DEPTH_FIRST);
	}
}

/* Storage that has become slow to answer, and fast again. */
static void test_changes(void **state)
{
	struct storage s = { .latency = 1e-5, .bandwidth = 2e9 };
	struct tfs_depth d;

	(void)state;
	tfs_depth_init(&d, 4, 64);
	read_some(&d, &s, 1000);
	s.latency = 0.05;
	read_some(&d, &s, 4000);
	assert_in_range(d.now, 25, 64);
	s.latency = 1e-5;
	for (int i = 0; i < 100; i++)
		read_some(&d, &s, 100);
	assert_in_range(d.now, 4, 16);
}

/* Storage of which more reads in flight make no more, whatever its latency: the attempt is taken back. */
static void test_no_use(void **state)
{
	struct tfs_depth d;
	unsigned more = 0;
	double now = 0;

	(void)state;
	tfs_depth_init(&d, 4, 64);
	for (int i = 0; i < 4000; i++) {
		now += 0.01;
		if (!tfs_depth_begin(&d, true, 0.08))
			tfs_depth_done(&d, (uint64_t)READ, 0.08, now);
		more += d.now > TFS_DEPTH_FIRST;
	}
	assert_in_range(more, 1, 1000);
}

/* Storage on which whoever comes would wait for seconds: as few as keep it busy. */
static void test_slow(void **state)
{
	struct storage s = { .latency = 0.005, .bandwidth = 1e8 };
	struct tfs_depth d;

	(void)state;
	tfs_depth_init(&d, 2, 64);
	for (int i = 0; i < 200; i++) {
		read_some(&d, &s, 1);
		assert_in_range(d.now, 2, TFS_DEPTH_FIRST);
	}
	assert_int_equal(d.now, 2);
	/* Not where that makes it slower: it answers late, whatever is asked. */
	s = (struct storage){ .latency = 0.3, .bandwidth = 1e8 };
	tfs_depth_init(&d, 2, 64);
	unsigned fewer = 0;
	for (int i = 0; i < 4000; i++) {
		read_some(&d, &s, 1);
		fewer += d.now < TFS_DEPTH_FIRST;
	}
	assert_in_range(fewer, 1, 100);
}

static void test_bounds(void **state)
{
	struct storage s = { .latency = 0.05, .bandwidth = 2e9 };
	struct tfs_depth d;

	(void)state;
	tfs_depth_init(&d, 16, 16);
	assert_int_equal(d.now, 16);
	read_some(&d, &s, 1000);
	assert_int_equal(d.now, 16);
	tfs_depth_init(&d, 1, 3);
	assert_int_equal(d.now, TFS_DEPTH_UNKNOWN);
	read_some(&d, &s, 1000);
	assert_int_equal(d.now, 3);
}

/* Readers that need less than could be in flight say nothing of the storage. */
static void test_interrupted(void **state)
{
	struct storage s = { .latency = 0.05, .bandwidth = 2e9 };
	struct tfs_depth d;

	(void)state;
	tfs_depth_init(&d, 4, 64);
	for (int i = 0; i < 100; i++) {
		read_some(&d, &s, 12);
		tfs_depth_interrupt(&d);
	}
	assert_int_equal(d.now, TFS_DEPTH_FIRST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_latency), cmocka_unit_test(test_begin),	cmocka_unit_test(test_late),
		cmocka_unit_test(test_fast),	cmocka_unit_test(test_changes), cmocka_unit_test(test_no_use),
		cmocka_unit_test(test_slow),	cmocka_unit_test(test_bounds),	cmocka_unit_test(test_interrupted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
