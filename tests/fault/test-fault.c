/* SPDX-License-Identifier: MIT */
/*
 * Storage that misbehaves. The linker hands this program's pread() and pwrite() to the two functions below
 * (-Wl,--wrap=pread64 …), which do what the test has asked for to files of a model, or to backing files, and nothing to others.
 */
#include "support/fixture.h"

#include <stdatomic.h>
#include <sys/statfs.h>

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset);

/* What goes wrong. All zero: nothing. */
static struct {
	uint64_t bad_from, bad_to; /* reads that touch these bytes of the source: EIO */
	bool no_direct;		   /* O_DIRECT reads: EINVAL … */
	unsigned direct_left;	   /* … after this many good ones */
	bool short_reads;	   /* buffered reads give a part of what was asked for */
	bool direct_short;	   /* direct ones, too */
	unsigned eintr;		   /* each so many calls is interrupted */
	bool no_space;		   /* writes: ENOSPC */
	unsigned writes_left;	   /* … after this many good ones */
	bool short_writes;
	bool yield; /* let others run in between, so that answers change their order */
} fault;
static _Atomic unsigned calls, direct_calls, write_calls;

static bool interrupted(void)
{
	return fault.eintr && atomic_fetch_add(&calls, 1) % fault.eintr == 0;
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset)
{
	int flags = fcntl(fd, F_GETFL);
	uint64_t from = offset, to = from + len;

	if (interrupted()) {
		errno = EINTR;
		return -1;
	}
	if (fault.yield)
		for (uint64_t i = from / 4096 % 7; i; i--)
			sched_yield();
	if (flags & O_DIRECT && fault.no_direct && atomic_fetch_add(&direct_calls, 1) >= fault.direct_left) {
		errno = EINVAL;
		return -1;
	}
	if (from < fault.bad_to && fault.bad_from < to) {
		errno = EIO;
		return -1;
	}
	if (fault.short_reads && !(flags & O_DIRECT) && len > 1)
		len = len / 3 + 1;
	if (fault.direct_short && flags & O_DIRECT && len > 2 * 4096)
		len = len / 2 / 4096 * 4096;
	return __real_pread64(fd, buf, len, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
	if (interrupted()) {
		errno = EINTR;
		return -1;
	}
	if (fault.no_space && atomic_fetch_add(&write_calls, 1) >= fault.writes_left) {
		errno = ENOSPC;
		return -1;
	}
	if (fault.short_writes && len > 1)
		len = len / 2;
	return __real_pwrite64(fd, buf, len, offset);
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset)
{
	return __wrap_pread64(fd, buf, len, offset);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	return __wrap_pwrite64(fd, buf, len, offset);
}

/* --- The tests --------------------------------------------------------------------------------------------------- */

static const struct spec specs[] = {
	{ "a", 40001 }, { "b", 30000 }, { "big", 4 * TFS_CHUNK + 123 }, { "c", 50000 }, { "d", 200 },
};

/* On a file system that has O_DIRECT: /tmp may be a tmpfs, which lets it be opened and then reads through the cache anyway. */
static bool setup(struct rig *g, unsigned threads, uint64_t budget)
{
	char *dir = make_tree();

	memset(&fault, 0, sizeof fault);
	calls = direct_calls = write_calls = 0;
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	return rig_up(g, dir,
		      (struct rig_options){
			      .threads = threads, .budget = budget, .open_wait = 3600, .direct = true, .tier = TFS_TIER_THREADS });
}

/* Without faults again, so that the check reads what is there. */
static void assert_right(struct rig *g, const char *name)
{
	struct tfs_file_id id = id_of(g, name);
	memset(&fault, 0, sizeof fault);
	assert_backing(g, id, tfs_residency_open(g->residency, id));
	tfs_residency_drop(g->residency, id);
}

static void hold_all(struct rig *g)
{
	for (unsigned i = 0; i < LENGTH(specs); i++)
		assert_int_equal(hold(g, id_of(g, specs[i].name)), 0);
	for (unsigned i = 0; i < LENGTH(specs); i++)
		assert_right(g, specs[i].name);
	assert_int_equal(res_stats(g).failures, 0);
}

static struct tfs_sched_stats sched_stats(const struct rig *g)
{
	struct tfs_sched_stats s;
	tfs_sched_stats(g->sched, &s);
	return s;
}

/* O_DIRECT was opened, and says EINVAL when it is used: at once, or in mid-flight. */
static void test_direct_fails(void **state)
{
	(void)state;
	for (unsigned good = 0; good < 4; good += 3) {
		struct rig g;
		if (!setup(&g, 2, 64 * MIB))
			skip();
		fault.no_direct = true;
		fault.direct_left = good;
		hold_all(&g);
		assert_true(sched_stats(&g).bytes[TFS_READ_BUFFERED] + sched_stats(&g).bytes[TFS_READ_CACHED] > 0);
		/* Not tried again and again. */
		assert_true(direct_calls <= good + 2);
		rig_down(&g);
	}
}

static void test_short_and_interrupted(void **state)
{
	static const unsigned eintr[] = { 0, 2, 5 };

	(void)state;
	for (unsigned i = 0; i < 2 * LENGTH(eintr); i++) {
		struct rig g;
		if (!setup(&g, 2, 64 * MIB))
			skip();
		fault.short_reads = fault.direct_short = fault.short_writes = fault.yield = true;
		fault.no_direct = i & 1;
		fault.eintr = eintr[i / 2];
		hold_all(&g);
		rig_down(&g);
	}
}

/* A damaged place: its tensor fails and says where; its neighbours, read in the same go, do not. */
static void test_damaged(void **state)
{
	struct rig g;
	struct answer w[LENGTH(specs)];
	int r[LENGTH(specs)];

	(void)state;
	if (!setup(&g, 0, 64 * MIB))
		skip();
	struct tfs_file_id b = id_of(&g, "b");
	fault.bad_from = tensor_of(&g, b)->offset + 20000;
	fault.bad_to = fault.bad_from + 1;
	assert_int_equal(tfs_workers_start(g.sched, g.sources,
					   &(struct tfs_workers_options){ .threads = 1, .tier = TFS_TIER_THREADS }, &g.workers),
			 0);
	for (unsigned i = 0; i < LENGTH(specs); i++) {
		answer_init(&w[i]);
		r[i] = tfs_residency_hold(g.residency, id_of(&g, specs[i].name), &w[i].wait);
	}
	for (unsigned i = 0; i < LENGTH(specs); i++)
		assert_int_equal(await(&w[i], r[i]), strcmp(specs[i].name, "b") ? 0 : -EIO);
	assert_string_equal(tfs_residency_state(g.residency, b), "failed");
	struct tfs_residency_stats s = res_stats(&g);
	assert_int_equal(s.failures, 1);
	assert_non_null(strstr(s.last_error, "model.safetensors"));
	assert_non_null(strstr(s.last_error, "tensor \"b\""));
	char offset[40];
	snprintf(offset, sizeof offset, "byte %llu", (unsigned long long)tensor_of(&g, b)->offset);
	assert_non_null(strstr(s.last_error, offset));
	for (unsigned i = 0; i < LENGTH(specs); i++)
		if (strcmp(specs[i].name, "b"))
			assert_right(&g, specs[i].name);
	/* O_DIRECT was not to blame, and stays in use. */
	uint64_t direct = sched_stats(&g).bytes[TFS_READ_DIRECT];
	memset(&fault, 0, sizeof fault);
	assert_int_equal(hold(&g, b), 0); /* mended */
	if (direct)
		assert_true(sched_stats(&g).bytes[TFS_READ_DIRECT] > direct);
	assert_right(&g, "b");
	rig_down(&g);
}

/* One chunk of many fails: all who wait are told once, nothing stays behind, and readers elsewhere in the file go on. */
static void test_damaged_chunk(void **state)
{
	struct rig g;
	struct answer w[3];

	(void)state;
	if (!setup(&g, 3, 64 * MIB))
		skip();
	struct tfs_file_id big = id_of(&g, "big");
	fault.yield = true;
	fault.bad_from = tensor_of(&g, big)->offset + 3 * TFS_CHUNK + 1000000;
	fault.bad_to = fault.bad_from + 4096;
	for (int i = 0; i < 3; i++) {
		answer_init(&w[i]);
		assert_int_equal(await(&w[i], tfs_residency_hold(g.residency, big, &w[i].wait)), -EIO);
	}
	assert_int_equal(res_stats(&g).used, 0);
	assert_int_equal(tfs_store_used(g.store), 0);
	struct tfs_stream *st = tfs_stream_open(g.streams, big);
	for (uint64_t at = 0; at < 3 * TFS_CHUNK; at += TFS_STREAM_MAX_READ)
		assert_int_equal(read_checked(&g, st, big, at, TFS_STREAM_MAX_READ), 0);
	assert_int_equal(read_checked(&g, st, big, 3 * TFS_CHUNK + 1000000, 100), -EIO);
	struct tfs_stream_stats s;
	tfs_streams_stats(g.streams, &s);
	assert_non_null(strstr(s.last_error, "tensor \"big\""));
	tfs_stream_close(st);
	rig_down(&g);
}

/* The same with readers attached to the load that fails. */
static void test_damaged_under_readers(void **state)
{
	struct rig g;
	struct answer w, good, bad;

	(void)state;
	if (!setup(&g, 0, 64 * MIB))
		skip();
	struct tfs_file_id big = id_of(&g, "big");
	answer_init(&w);
	answer_init(&good);
	answer_init(&bad);
	assert_int_equal(tfs_residency_hold(g.residency, big, &w.wait), TFS_QUEUED);
	struct tfs_stream *st = tfs_stream_open(g.streams, big);
	fault.bad_from = tensor_of(&g, big)->offset + 2 * TFS_CHUNK;
	fault.bad_to = fault.bad_from + 1;
	good.read.offset = 4 * TFS_CHUNK;
	bad.read.offset = 2 * TFS_CHUNK;
	good.read.len = bad.read.len = 100;
	assert_int_equal(tfs_stream_read(st, &good.read), TFS_QUEUED);
	assert_int_equal(tfs_stream_read(st, &bad.read), TFS_QUEUED); /* wanted last, so read first */
	step(&g);
	step(&g);
	assert_int_equal(w.times, 1);
	assert_int_equal(w.result, -EIO);
	step_all(&g);
	assert_int_equal(bad.times, 1);
	assert_int_equal(bad.result, -EIO);
	assert_int_equal(good.times, 1);
	assert_int_equal(good.result, 0);
	assert_int_equal(first_wrong(good.read.iov[0].iov_base, tensor_of(&g, big)->offset + 4 * TFS_CHUNK, 100), 100);
	tfs_read_release(&good.read);
	tfs_stream_close(st);
	rig_down(&g);
}

/* The private tmpfs is full although the budget is not. */
static void test_no_space(void **state)
{
	struct rig g;

	(void)state;
	if (!setup(&g, 2, 64 * MIB))
		skip();
	struct tfs_file_id big = id_of(&g, "big");
	fault.no_space = true;
	fault.writes_left = 2;
	assert_int_equal(hold(&g, big), -ENOSPC);
	assert_string_equal(tfs_residency_state(g.residency, big), "absent");
	assert_int_equal(res_stats(&g).used, 0);
	assert_int_equal(tfs_store_used(g.store), 0);
	assert_int_equal(res_stats(&g).failures, 0);
	assert_int_equal(res_stats(&g).refusals, 1);
	struct tfs_stream *st = tfs_stream_open(g.streams, big);
	assert_int_equal(read_checked(&g, st, big, 12345, 67890), 0);
	tfs_stream_close(st);
	fault.no_space = false; /* and nothing that reads look at, as the stream may still be reading ahead */
	assert_int_equal(hold(&g, big), 0);
	assert_right(&g, "big");
	rig_down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct_fails),  cmocka_unit_test(test_short_and_interrupted), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_damaged_chunk), cmocka_unit_test(test_damaged_under_readers), cmocka_unit_test(test_no_space),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
