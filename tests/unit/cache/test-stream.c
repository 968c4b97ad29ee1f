/* SPDX-License-Identifier: MIT */
/* Streams: every byte against the file's own, in every order; what waits is answered. */
#include "support/fixture.h"

static const struct spec specs[] = { { "big", 5 * TFS_CHUNK + 999 }, { "small", 300 }, { "z", 3 * TFS_CHUNK } };

/* @threads 0: the test steps. */
static bool setup(struct rig *g, unsigned threads, uint64_t budget)
{
	char *dir = make_tree();
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	return rig_up(g, dir, (struct rig_options){ .threads = threads, .budget = budget, .open_wait = 3600, .direct = true });
}

static struct tfs_stream_stats stats(struct rig *g)
{
	struct tfs_stream_stats s;
	tfs_streams_stats(g->streams, &s);
	return s;
}

static void test_sequential(void **state)
{
	static const size_t sizes[] = { 4096, 131072, TFS_STREAM_MAX_READ, 1000003 /* straddles chunks */, 777 };
	struct rig g;

	(void)state;
	assert_true(setup(&g, 2, 0));
	struct tfs_file_id id = id_of(&g, "big");
	uint64_t nbytes = tensor_of(&g, id)->nbytes;
	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		struct tfs_stream *st = tfs_stream_open(g.streams, id);
		uint64_t end = sizes[i] < 4096 ? 100000 : nbytes;
		for (uint64_t at = 0; at < end; at += sizes[i])
			assert_int_equal(read_checked(&g, st, id, at, sizes[i] < end - at ? sizes[i] : end - at), 0);
		tfs_stream_close(st);
	}
	assert_true(stats(&g).readahead > 0);
	assert_int_equal(stats(&g).open, 0);
	rig_down(&g);
}

static void test_random(void **state)
{
	struct rig g;
	unsigned seed = 7;

	(void)state;
	assert_true(setup(&g, 2, 0));
	struct tfs_file_id id = id_of(&g, "big");
	uint64_t nbytes = tensor_of(&g, id)->nbytes;
	struct tfs_stream *st = tfs_stream_open(g.streams, id);
	for (int i = 0; i < 300; i++) {
		uint64_t at = (uint64_t)rand_r(&seed) % nbytes;
		size_t len = 1 + (size_t)rand_r(&seed) % TFS_STREAM_MAX_READ;
		assert_int_equal(read_checked(&g, st, id, at, len < nbytes - at ? len : nbytes - at), 0);
	}
	tfs_stream_close(st);
	rig_down(&g);
}

/* A read that counts as sequential, begins in a chunk that no slot has, and ends in the next one. */
static void test_across_chunks(void **state)
{
	struct rig g;

	(void)state;
	assert_true(setup(&g, 2, 0));
	struct tfs_file_id id = id_of(&g, "big");
	struct tfs_stream *st = tfs_stream_open(g.streams, id);
	assert_int_equal(read_checked(&g, st, id, 3 * TFS_CHUNK + 3 * MIB / 2, 4096), 0);
	assert_int_equal(read_checked(&g, st, id, 4 * TFS_CHUNK - MIB / 2, MIB), 0);
	tfs_stream_close(st);
	rig_down(&g);
}

/*
 * Random reads leave slots that overlap and end anywhere. One that walks along them must not need more pieces than it has
 * room for, whichever slot is found first: so the slots are used up in the order from the last one to the first.
 */
static void test_overlapping_slots(void **state)
{
	static const unsigned others[] = { 3, 6, 9, 1, 4, 7, 10 };
	struct rig g;

	(void)state;
	assert_true(setup(&g, 1, 0)); /* 8 slots */
	struct tfs_file_id id = id_of(&g, "big"), z = id_of(&g, "z");
	struct tfs_stream *st = tfs_stream_open(g.streams, id), *other = tfs_stream_open(g.streams, z);
	/* Read before each of the others, or those would count as sequential. */
	const uint64_t far = 4 * TFS_CHUNK + TFS_CHUNK / 2, block = TFS_STREAM_RANDOM, x = 8 * block;
	assert_int_equal(read_checked(&g, st, id, far, 4096), 0);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(read_checked(&g, other, z, others[i] * MIB, 4096), 0);
	for (unsigned i = 7; i--;)
		assert_int_equal(read_checked(&g, other, z, others[i] * MIB, 4096), 0);
	/* Three blocks … */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(read_checked(&g, st, id, far, 4096), 0);
		assert_int_equal(read_checked(&g, st, id, x + i * block + 100000, 4096), 0);
	}
	/* … and four that begin in the blocks before and end in the first of these, the one that begins first at first. */
	for (unsigned i = 1; i <= 4; i++) {
		uint64_t from = x - i * block + 32768, end = x + (5 - i) * 4096;
		assert_int_equal(read_checked(&g, st, id, far, 4096), 0);
		assert_int_equal(read_checked(&g, st, id, from, end - from), 0);
	}
	assert_int_equal(read_checked(&g, st, id, far, 4096), 0);
	assert_int_equal(read_checked(&g, st, id, x + 1000, TFS_STREAM_MAX_READ), 0);
	tfs_stream_close(st);
	tfs_stream_close(other);
	rig_down(&g);
}

static void test_refused(void **state)
{
	struct rig g;
	struct answer a;

	(void)state;
	assert_true(setup(&g, 0, 0));
	struct tfs_file_id id = id_of(&g, "small");
	struct tfs_stream *st = tfs_stream_open(g.streams, id);
	static const struct {
		uint64_t at;
		size_t len;
	} bad[] = { { 0, 0 }, { 0, 301 }, { 300, 1 }, { UINT64_MAX, 1 }, { 299, 2 }, { 0, TFS_STREAM_MAX_READ + 1 } };
	for (unsigned i = 0; i < LENGTH(bad); i++) {
		answer_init(&a);
		a.read.offset = bad[i].at;
		a.read.len = bad[i].len;
		assert_int_equal(tfs_stream_read(st, &a.read), -EINVAL);
	}
	tfs_stream_close(st);
	rig_down(&g);
}

/* More reads than slots: they get theirs in the order in which they came, as others let go. */
static void test_starved(void **state)
{
	struct rig g;
	enum { N = 12 };
	struct answer *a = calloc(N, sizeof *a);

	(void)state;
	assert_true(setup(&g, 0, 0));
	struct tfs_file_id big = id_of(&g, "big"), z = id_of(&g, "z");
	struct tfs_stream *st[2] = { tfs_stream_open(g.streams, big), tfs_stream_open(g.streams, z) };
	for (int i = 0; i < N; i++) {
		answer_init(&a[i]);
		a[i].read.offset = (uint64_t)(i / 2 * 5 % 6) * (TFS_CHUNK / 2) + 100;
		a[i].read.len = 10;
		assert_int_equal(tfs_stream_read(st[i & 1], &a[i].read), TFS_QUEUED);
	}
	step_all(&g);
	unsigned answers = 0;
	for (int i = 0; i < N; i++) {
		answers += times(&a[i]);
		assert_true(!i || times(&a[i]) <= times(&a[i - 1])); /* first come, first served */
	}
	assert_true(answers && answers < N);
	/* Each that lets go makes room for the next. */
	for (int i = 0; i < N; i++) {
		step_all(&g);
		assert_int_equal(times(&a[i]), 1);
		assert_int_equal(a[i].result, 0);
		const struct tfs_tensor *t = tensor_of(&g, i & 1 ? z : big);
		assert_int_equal(a[i].read.n_iov, 1);
		assert_int_equal(first_wrong(a[i].read.iov[0].iov_base, t->offset + a[i].read.offset, 10), 10);
		tfs_read_release(&a[i].read);
	}
	tfs_stream_close(st[0]);
	tfs_stream_close(st[1]);
	free(a);
	rig_down(&g);
}

static void test_stop(void **state)
{
	struct rig g;
	enum { N = 20 };
	struct answer *a = calloc(N, sizeof *a), late;

	(void)state;
	assert_true(setup(&g, 0, 0));
	struct tfs_file_id big = id_of(&g, "big");
	struct tfs_stream *st = tfs_stream_open(g.streams, big);
	for (int i = 0; i < N; i++) {
		answer_init(&a[i]);
		a[i].read.offset = (uint64_t)i * TFS_CHUNK / 4 * 7 % (5 * TFS_CHUNK);
		a[i].read.len = 100000;
		assert_int_equal(tfs_stream_read(st, &a[i].read), TFS_QUEUED);
	}
	rig_stop(&g);
	for (int i = 0; i < N; i++) {
		assert_int_equal(a[i].times, 1);
		assert_int_equal(a[i].result, -ECANCELED);
	}
	answer_init(&late);
	late.read.len = 1;
	assert_int_equal(tfs_stream_read(st, &late.read), -ECANCELED);
	tfs_stream_close(st);
	free(a);
	rig_down(&g);
}

/* Who reads tensors one after the other finds the beginning of the next one read when it gets there. */
static void test_precede(void **state)
{
	static const enum tfs_view_id views[] = { TFS_RAW, TFS_NPY };
	struct rig g;

	(void)state;
	assert_true(setup(&g, 0, 0));
	for (unsigned v = 0; v < LENGTH(views); v++) {
		struct tfs_file_id small = in_view(id_of(&g, "small"), views[v]), z = in_view(id_of(&g, "z"), views[v]);
		struct answer a;
		uint64_t size;
		uint8_t *want = expected_file(&g, z, &size);
		struct tfs_stream *st = tfs_stream_open(g.streams, small);
		tfs_stream_precede(st, z);
		answer_init(&a);
		a.read.len = 300;
		assert_int_equal(tfs_stream_read(st, &a.read), TFS_QUEUED);
		step_all(&g);
		assert_int_equal(times(&a), 1);
		assert_int_equal(a.result, 0);
		tfs_read_release(&a.read);
		tfs_stream_close(st);

		uint64_t waits = stats(&g).waits;
		st = tfs_stream_open(g.streams, z);
		assert_int_equal(read_compared(st, want, 0, MIB), 0);
		assert_int_equal(stats(&g).waits, waits);
		step_all(&g); /* what that read ahead */
		assert_int_equal(read_compared(st, want + 3 * MIB, 3 * MIB, MIB), 0);
		tfs_stream_close(st);
		free(want);
	}
	rig_down(&g);
}

/* The memory of what was read to its end is used again, before more is taken: a reader in order needs its window, and not all slots. */
static void test_reuses(void **state)
{
	enum { SLOTS = 8, NEEDED = 1 + SLOTS / 2 }; /* of the rig; the one that is read, and half of all read ahead */
	struct rig g;

	(void)state;
	if (!setup(&g, 2, 256 * MIB))
		skip();
	for (unsigned round = 0; round < 3; round++) {
		struct tfs_file_id id = id_of(&g, round % 2 ? "z" : "big");
		uint64_t nbytes = tensor_of(&g, id)->nbytes;
		struct tfs_stream *st = tfs_stream_open(g.streams, id);
		for (uint64_t at = 0; at < nbytes; at += MIB)
			assert_int_equal(read_checked(&g, st, id, at, nbytes - at < MIB ? nbytes - at : MIB), 0);
		tfs_stream_close(st);
	}
	/* A slot's buffer is a little more than a chunk. */
	assert_true(res_stats(&g).used >= TFS_CHUNK);
	assert_true(res_stats(&g).used < (NEEDED + 1) * TFS_CHUNK);
	rig_down(&g);
}

/* Attached to a load: a read waits for its own bytes only, and goes by the backing file. */
static void test_attached(void **state)
{
	struct rig g;
	struct answer w, a;

	(void)state;
	if (!setup(&g, 0, 64 * MIB))
		skip();
	struct tfs_file_id big = id_of(&g, "big");
	answer_init(&w);
	answer_init(&a);
	assert_int_equal(tfs_residency_hold(g.residency, big, &w.wait), TFS_QUEUED);
	struct tfs_stream *st = tfs_stream_open(g.streams, big);
	step(&g);
	assert_int_equal(read_checked(&g, st, big, 1000, 2000), 0); /* there already */
	a.read.offset = 4 * TFS_CHUNK - 10;
	a.read.len = 20; /* of two chunks */
	assert_int_equal(tfs_stream_read(st, &a.read), TFS_QUEUED);
	step(&g);
	assert_int_equal(times(&a), 0);
	step(&g);
	assert_int_equal(times(&a), 1);
	assert_int_equal(a.result, 0);
	assert_true(a.read.fd >= 0);
	uint8_t buf[20];
	assert_int_equal(pread(a.read.fd, buf, 20, a.read.offset), 20);
	assert_int_equal(first_wrong(buf, tensor_of(&g, big)->offset + a.read.offset, 20), 20);
	tfs_read_release(&a.read);
	assert_int_equal(w.times, 0);
	step_all(&g);
	assert_int_equal(w.result, 0);
	tfs_residency_drop(g.residency, big);
	assert_int_equal(read_checked(&g, st, big, 5 * TFS_CHUNK, 999), 0);
	tfs_stream_close(st);
	rig_down(&g);
}

/* The load finds no room: its readers go on without it. */
static void test_attached_no_room(void **state)
{
	struct rig g;
	struct answer w, a;

	(void)state;
	if (!setup(&g, 0, 24 * MIB))
		skip();
	struct tfs_file_id big = id_of(&g, "big"), z = id_of(&g, "z");
	answer_init(&w);
	assert_int_equal(tfs_residency_hold(g.residency, z, &w.wait), TFS_QUEUED);
	step_all(&g);
	assert_int_equal(w.result, 0);
	answer_init(&w);
	answer_init(&a);
	assert_int_equal(tfs_residency_hold(g.residency, big, &w.wait), TFS_QUEUED);
	struct tfs_stream *st = tfs_stream_open(g.streams, big);
	a.read.offset = 777;
	a.read.len = 1000;
	assert_int_equal(tfs_stream_read(st, &a.read), TFS_QUEUED);
	step(&g);
	assert_int_equal(w.result, -ENOSPC);
	assert_int_equal(times(&a), 0);
	step_all(&g);
	assert_int_equal(times(&a), 1);
	assert_int_equal(a.result, 0);
	assert_int_equal(a.read.fd, -1);
	assert_int_equal(first_wrong(a.read.iov[0].iov_base, tensor_of(&g, big)->offset + 777, 1000), 1000);
	tfs_read_release(&a.read);
	tfs_stream_close(st);
	tfs_residency_drop(g.residency, z);
	rig_down(&g);
}

/* The file is overwritten while it is read: what was read before is right, what comes after is an error. */
static void test_changed_source(void **state)
{
	struct rig g;

	(void)state;
	assert_true(setup(&g, 2, 0));
	struct tfs_file_id z = id_of(&g, "z");
	struct tfs_stream *st = tfs_stream_open(g.streams, z);
	assert_int_equal(read_checked(&g, st, z, 2 * TFS_CHUNK, 100), 0);
	int fd = open(in_tree(g.dir, "model.safetensors"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "XXXXXXXX", 8, (off_t)tensor_of(&g, z)->offset), 8);
	close(fd);
	assert_int_equal(read_checked(&g, st, z, 0, 100), -ESTALE);
	assert_int_equal(read_checked(&g, st, z, 0, 100), -ESTALE);
	assert_true(stats(&g).failures >= 2);
	assert_non_null(strstr(stats(&g).last_error, "tensor \"z\""));
	tfs_stream_close(st);
	rig_down(&g);
}

struct reader {
	struct rig *g;
	unsigned seed;
};

static void *reader(void *arg)
{
	struct reader *r = arg;
	struct tfs_file_id id = id_of(r->g, r->seed % 2 ? "big" : "z");
	uint64_t nbytes = tensor_of(r->g, id)->nbytes;
	struct tfs_stream *st = tfs_stream_open(r->g->streams, id);
	for (uint64_t at = 0; at < nbytes; at += 300000)
		assert_int_equal(read_checked(r->g, st, id, at, nbytes - at < 300000 ? nbytes - at : 300000), 0);
	tfs_stream_close(st);
	return NULL;
}

static void test_parallel(void **state)
{
	struct rig g;
	struct reader r[10];
	pthread_t t[10];

	(void)state;
	assert_true(setup(&g, 3, 0));
	for (unsigned i = 0; i < LENGTH(r); i++) {
		r[i] = (struct reader){ &g, i };
		assert_int_equal(pthread_create(&t[i], NULL, reader, &r[i]), 0);
	}
	for (unsigned i = 0; i < LENGTH(r); i++)
		pthread_join(t[i], NULL);
	rig_down(&g);
}

/* Longer than one read, from slots or from the backing file of a load; and what can't be read. */
static void test_pread(void **state)
{
	static const uint64_t budgets[] = { 0, 256 * MIB };

	(void)state;
	for (unsigned i = 0; i < LENGTH(budgets); i++) {
		struct rig g;
		uint64_t size;
		if (!setup(&g, 3, budgets[i]))
			skip();
		struct tfs_file_id id = id_of(&g, "z");
		uint8_t *want = expected_file(&g, id, &size), *buf = malloc(size);
		struct answer held;
		answer_init(&held);
		int r = budgets[i] ? await(&held, tfs_residency_hold(g.residency, id, &held.wait)) : 0;
		assert_int_equal(r, 0);
		struct tfs_stream *st = tfs_stream_open(g.streams, id);
		assert_int_equal(tfs_stream_pread(st, buf, size, 0), 0);
		assert_memory_equal(buf, want, size);
		assert_int_equal(tfs_stream_pread(st, buf, size - 12345, 12345), 0);
		assert_memory_equal(buf, want + 12345, size - 12345);
		assert_int_equal(tfs_stream_pread(st, buf, 0, 0), 0);
		assert_int_equal(tfs_stream_pread(st, buf, size, 1), -EINVAL);
		assert_int_equal(tfs_stream_pread(st, buf, 1, size), -EINVAL);
		tfs_stream_close(st);
		if (budgets[i])
			tfs_residency_drop(g.residency, id);
		free(buf);
		free(want);
		rig_down(&g);
	}
}

/* --- Views ------------------------------------------------------------------------------------------------------- */

static const struct spec typed[] = {
	{ "bf16", 6 * TFS_CHUNK + 3334 },
	{ "f64", 4 * TFS_CHUNK + 808 },
	{ "f4", 3 * TFS_CHUNK / 4 + 41 },
	{ "f6", 3 * TFS_CHUNK + 3 * 77 },
	{ "small", 6 },
	{ "q4_k", 12001 * 144 },
	{ "iq1_s", 9003 * 50 },
	{ "mxfp4", 34007 * 17 },
};
static const char *const dtypes_of_typed[] = { "BF16", "F64", "F4", "F6_E3M2", "F16", "Q4_K", "IQ1_S", "MXFP4" };

static bool setup_typed(struct rig *g, unsigned threads, uint64_t budget)
{
	char *dir = make_tree();
	put_typed_model(dir, "model.safetensors", typed, dtypes_of_typed, LENGTH(typed));
	if (!rig_up(g, dir, (struct rig_options){ .threads = threads, .budget = budget, .open_wait = 3600, .direct = true }))
		return false;
	rig_types(g, typed, dtypes_of_typed, LENGTH(typed));
	return true;
}

/* In order with several sizes, at random, and across the end of every slot and of the header. */
static void test_views(void **state)
{
	static const size_t sizes[] = { 131072, TFS_STREAM_MAX_READ, 1000003 };
	struct rig g;
	unsigned seed = 11;

	(void)state;
	assert_true(setup_typed(&g, 2, 0));
	for (unsigned i = 0; i < LENGTH(typed); i++)
		for (int view = TFS_NPY; view < TFS_VIEW_IDS; view++) {
			struct tfs_file_id id = in_view(id_of(&g, typed[i].name), (enum tfs_view_id)view);
			uint64_t size;
			uint8_t *want = expected_file(&g, id, &size);
			for (unsigned k = 0; k < LENGTH(sizes); k++) {
				struct tfs_stream *st = tfs_stream_open(g.streams, id);
				for (uint64_t at = 0, n; at < size; at += n) {
					n = sizes[k] < size - at ? sizes[k] : size - at;
					assert_int_equal(read_compared(st, want + at, at, n), 0);
				}
				tfs_stream_close(st);
			}
			struct tfs_stream *st = tfs_stream_open(g.streams, id);
			for (int n = 0; n < 100; n++) {
				uint64_t at = (uint64_t)rand_r(&seed) % size;
				size_t len = 1 + (size_t)rand_r(&seed) % (n % 2 ? TFS_STREAM_MAX_READ : 9000);
				assert_int_equal(read_compared(st, want + at, at, len < size - at ? len : size - at), 0);
			}
			for (uint64_t at = TFS_STREAM_RANDOM; at < size; at += TFS_STREAM_RANDOM)
				assert_int_equal(read_compared(st, want + at - 3, at - 3, size - at < 4 ? 4 : 7), 0);
			assert_int_equal(read_compared(st, want + 4090, 4090, size - 4090 < 9 ? size - 4090 : 9), 0);
			assert_int_equal(read_compared(st, want, 0, 1), 0);
			assert_int_equal(read_compared(st, want + size - 1, size - 1, 1), 0);
			tfs_stream_close(st);
			free(want);
		}
	assert_int_equal(stats(&g).open, 0);
	rig_down(&g);
}

/* Two views of one tensor at once: neither finds the other's slots. */
static void test_views_apart(void **state)
{
	struct rig g;

	(void)state;
	assert_true(setup_typed(&g, 1, 0));
	struct tfs_stream *st[TFS_VIEW_IDS];
	uint8_t *want[TFS_VIEW_IDS];
	uint64_t size;
	for (int v = 0; v < TFS_VIEW_IDS; v++) {
		struct tfs_file_id id = in_view(id_of(&g, "bf16"), (enum tfs_view_id)v);
		st[v] = tfs_stream_open(g.streams, id);
		want[v] = expected_file(&g, id, &size);
	}
	for (uint64_t at = 0; at < 12 * MIB; at += 700001)
		for (int v = 0; v < TFS_VIEW_IDS; v++)
			assert_int_equal(read_compared(st[v], want[v] + at, at, 5000), 0);
	for (int v = 0; v < TFS_VIEW_IDS; v++) {
		tfs_stream_close(st[v]);
		free(want[v]);
	}
	rig_down(&g);
}

/* Attached to a load that has got so far and no further. */
static void test_views_attached(void **state)
{
	struct rig g;

	(void)state;
	if (!setup_typed(&g, 0, 256 * MIB))
		skip();
	for (unsigned i = 0; i < LENGTH(typed); i++)
		for (int view = TFS_NPY; view < TFS_VIEW_IDS; view++) {
			struct answer w;
			uint64_t size;
			struct tfs_file_id id = in_view(id_of(&g, typed[i].name), (enum tfs_view_id)view);
			uint8_t *want = expected_file(&g, id, &size);
			answer_init(&w);
			assert_int_equal(tfs_residency_hold(g.residency, id, &w.wait), TFS_QUEUED);
			struct tfs_stream *st = tfs_stream_open(g.streams, id);
			step(&g);
			/* The first chunk is there: its beginning, the header's end and all that one read may have. */
			size_t n = size < TFS_STREAM_MAX_READ ? size : TFS_STREAM_MAX_READ;
			assert_int_equal(read_compared(st, want, 0, n), 0);
			assert_int_equal(read_compared(st, want + 4000, 4000, size - 4000 < 200 ? size - 4000 : 200), 0);
			/* The others come when they are asked for. */
			for (uint64_t at = 2 * MIB - 5; at + 10 < size; at += 2 * MIB) {
				struct answer a;
				uint8_t buf[10];
				answer_init(&a);
				a.read.offset = at;
				a.read.len = 10;
				int r = tfs_stream_read(st, &a.read);
				for (unsigned steps = 0; r == TFS_QUEUED && !times(&a); steps++) {
					assert_true(steps < 2);
					step(&g);
				}
				assert_true(!r || !a.result);
				assert_true(a.read.fd >= 0);
				assert_int_equal(pread(a.read.fd, buf, 10, (off_t)at), 10);
				assert_memory_equal(buf, want + at, 10);
				tfs_read_release(&a.read);
			}
			step_all(&g);
			assert_int_equal(w.result, 0);
			tfs_residency_drop(g.residency, id);
			assert_int_equal(read_compared(st, want + size - 1, size - 1, 1), 0);
			tfs_stream_close(st);
			free(want);
		}
	rig_down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequential),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_across_chunks),
		cmocka_unit_test(test_overlapping_slots),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_starved),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_precede),
		cmocka_unit_test(test_reuses),
		cmocka_unit_test(test_attached),
		cmocka_unit_test(test_attached_no_room),
		cmocka_unit_test(test_changed_source),
		cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_pread),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_views_apart),
		cmocka_unit_test(test_views_attached),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
