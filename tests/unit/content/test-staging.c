/* SPDX-License-Identifier: MIT */
/* Deflate streams that are read in another order than their own: staging buffers, marks, and how often they are gone through. */
#include "support/extracting.h"

/* A budget that is looked at. */
struct budget {
	uint64_t limit, used, most;
	unsigned takes;
	pthread_mutex_t lock;
};

static uint64_t budget_take(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	struct budget *b = arg;
	uint64_t got = 0;

	(void)priority;
	assert_true(least && least <= want);
	pthread_mutex_lock(&b->lock);
	b->takes++;
	if (b->limit - b->used >= least)
		got = b->limit - b->used < want ? b->limit - b->used : want;
	b->used += got;
	b->most = b->used > b->most ? b->used : b->most;
	pthread_mutex_unlock(&b->lock);
	return got;
}

static void budget_give(void *arg, uint64_t bytes)
{
	struct budget *b = arg;

	pthread_mutex_lock(&b->lock);
	assert_true(bytes && bytes <= b->used);
	b->used -= bytes;
	pthread_mutex_unlock(&b->lock);
}

/* The setting's extractor anew, with so much memory for staging buffers. */
static void limit_memory(struct setting *s, struct budget *b, uint64_t limit)
{
	tfs_extractor_destroy(s->x);
	assert_int_equal(b->used, 0);
	*b = (struct budget){ .limit = limit, .lock = PTHREAD_MUTEX_INITIALIZER };
	s->memory = (struct tfs_staging_memory){ .take = budget_take, .give = budget_give, .arg = b };
	s->x = tfs_extractor_create(s->g.sources, &s->memory);
	assert_non_null(s->x);
}

/* Bytes that this process has read from files. */
static uint64_t bytes_read(void)
{
	unsigned long long n = 0;
	FILE *f = fopen("/proc/self/io", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "rchar: %llu", &n), 1);
	fclose(f);
	return n;
}

/* A model whose other file is a stream of @plain; s->encoding says so. */
static size_t up_deflated(struct setting *s, const uint8_t *plain, size_t len)
{
	size_t n;
	uint8_t *encoded = deflated(plain, len, &n);

	up(s, encoded, n, true);
	s->encoding = (struct tfs_encoding){ .coding = TFS_DEFLATED, .length = n, .unpacked = len, .crc = crc32(0, plain, len) };
	s->t.offset = 0;
	return n;
}

/* A Fortran-order matrix of @rows by @cols uint32. */
static void fortran(struct setting *s, uint64_t rows, uint64_t cols)
{
	s->dtype.block_bytes = 4;
	s->t.ndim = 2;
	s->shape[0] = rows, s->shape[1] = cols;
	s->strides[0] = 4, s->strides[1] = rows * 4;
	s->encoding.strides = s->strides;
	s->t.nbytes = rows * cols * 4;
}

static void deflated_in_any_order(void **unused)
{
	enum { LEN = 3 * MIB };
	uint8_t *plain = random_bytes(LEN);
	struct budget b = { 0 };
	struct setting s;

	(void)unused;
	for (size_t i = 0; i < LEN; i++)
		plain[i] &= 15;
	size_t n = up_deflated(&s, plain, LEN);
	for (int i = 0; i < 60; i++) {
		/* Enough, something, next to nothing, none. */
		static const uint64_t limits[] = { UINT64_MAX / 2, 700000, 4096, 0 };

		limit_memory(&s, &b, limits[i % 4] ? limits[i % 4] - any(limits[i % 4] / 4) : 0);
		random_array(&s, LEN);
		s.encoding.skip = s.t.offset;
		s.t.offset = 0;
		s.encoding.length = n;
		uint8_t *want = pick_all(&s, plain + s.encoding.skip);
		check(&s, want);
		assert_true(b.most <= b.limit && b.most <= s.t.nbytes);
		free(want);
	}
	limit_memory(&s, &b, 0);
	free(plain);
	down(&s);
}

static void a_staging_buffer_is_made_once(void **unused)
{
	enum { ROWS = 3000, COLS = 2100, LEN = ROWS * COLS * 4 };
	uint8_t *plain = random_bytes(LEN), *data, *want;
	struct budget b = { 0 };
	struct setting s;

	(void)unused;
	size_t n = up_deflated(&s, plain, LEN);
	fortran(&s, ROWS, COLS);
	want = pick_all(&s, plain);

	/* Read in order: the stream is gone through once, and in the end nothing is kept. */
	limit_memory(&s, &b, LEN);
	uint64_t before = bytes_read();
	for (uint64_t at = 0, step; at < LEN; at += step) {
		step = LEN - at < MIB ? LEN - at : MIB;
		assert_int_equal(b.used, at ? LEN : 0);
		assert_int_equal(extract(&s, &s.t, at, step, &data), 0);
		assert_memory_equal(data, want + at, step);
	}
	assert_true(bytes_read() - before < n + 2 * MIB);
	assert_int_equal(b.takes, 1);
	assert_int_equal(b.used, 0);

	/* With memory for a third of it, in four times: whole rows are kept. */
	limit_memory(&s, &b, LEN / 3);
	for (uint64_t at = 0, step; at < LEN; at += step) {
		step = LEN - at < MIB ? LEN - at : MIB;
		assert_int_equal(extract(&s, &s.t, at, step, &data), 0);
		assert_memory_equal(data, want + at, step);
	}
	assert_int_equal(b.takes, 3);
	assert_int_equal(b.used, 0);

	/* Read in no order it is kept, until nobody wants it. */
	limit_memory(&s, &b, LEN);
	for (int i = 0; i < 20; i++) {
		uint64_t at = any(LEN - 5000);
		assert_int_equal(extract(&s, &s.t, at, 5000, &data), 0);
		assert_memory_equal(data, want + at, 5000);
	}
	assert_int_equal(b.takes, 1);
	tfs_extractor_trim(s.x, 100);
	assert_int_equal(b.used, LEN);
	tfs_extractor_trim(s.x, 0);
	assert_int_equal(b.used, 0);

	/* What is kept is not given out once the source has changed. */
	assert_int_equal(extract(&s, &s.t, 0, 5000, &data), 0);
	assert_int_equal(b.used, LEN);
	assert_int_equal(truncate(in_tree(s.g.dir, "blob"), (off_t)n - 1), 0);
	assert_int_equal(extract(&s, &s.t, 5000, 5000, &data), -ESTALE);
	limit_memory(&s, &b, 0);
	free(want);
	free(plain);
	down(&s);
}

static void what_is_damaged_is_not_kept(void **unused)
{
	enum { ROWS = 700, COLS = 900, LEN = ROWS * COLS * 4 };
	uint8_t *plain = random_bytes(LEN), *data;
	struct budget b = { 0 };
	struct setting s;

	(void)unused;
	size_t n = up_deflated(&s, plain, LEN);
	fortran(&s, ROWS, COLS);
	limit_memory(&s, &b, LEN);
	s.encoding.crc ^= 1;
	assert_int_equal(extract(&s, &s.t, 0, 5000, &data), -EIO);
	assert_non_null(strstr(s.err.what, "checksum"));
	assert_int_equal(b.used, 0);
	s.encoding.crc ^= 1;
	s.encoding.length = n - 9;
	assert_int_equal(extract(&s, &s.t, 0, 5000, &data), -EIO);
	assert_non_null(strstr(s.err.what, "the stream ends"));
	assert_int_equal(b.used, 0);
	assert_int_equal(b.takes, 2);
	s.encoding.length = n;
	assert_int_equal(extract(&s, &s.t, 0, 5000, &data), 0);
	assert_int_equal(b.takes, 3);

	/* The end does not wait for it. */
	limit_memory(&s, &b, LEN);
	tfs_extractor_stop(s.x);
	assert_int_equal(extract(&s, &s.t, 0, 5000, &data), -ECANCELED);
	assert_int_equal(b.used, 0);
	limit_memory(&s, &b, 0);
	free(plain);
	down(&s);
}

struct reader {
	struct setting *s;
	const uint8_t *want;
	bool back;
	int wrong;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	uint8_t *buf = aligned_alloc(TFS_IO_ALIGN, MIB + 2 * TFS_IO_ALIGN);
	uint8_t *scratch = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH);
	uint64_t nbytes = r->s->t.nbytes;

	for (uint64_t at = 0, step; buf && scratch && at < nbytes; at += step) {
		step = nbytes - at < MIB ? nbytes - at : MIB;
		uint64_t from = r->back ? nbytes - at - step : at;
		struct tfs_read_request rq = { .at = from, .len = step, .buf = buf, .scratch = scratch };
		r->wrong |= tfs_extract(r->s->x, &r->s->t, &rq) || memcmp(rq.data, r->want + from, step);
	}
	r->wrong |= !buf || !scratch;
	free(buf);
	free(scratch);
	return NULL;
}

static void several_read_one_spool(void **unused)
{
	enum { ROWS = 1500, COLS = 1100, LEN = ROWS * COLS * 4, N = 4 };
	uint8_t *plain = random_bytes(LEN), *want;
	struct budget b = { 0 };
	struct reader readers[N];
	pthread_t threads[N];
	struct setting s;

	(void)unused;
	up_deflated(&s, plain, LEN);
	fortran(&s, ROWS, COLS);
	want = pick_all(&s, plain);
	for (int round = 0; round < 2; round++) {
		limit_memory(&s, &b, LEN / (round ? 3 : 1));
		for (int i = 0; i < N; i++) {
			readers[i] = (struct reader){ .s = &s, .want = want, .back = i & 1 };
			assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
		}
		for (int i = 0; i < N; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(readers[i].wrong, 0);
		}
		assert_true(b.most <= LEN);
	}
	limit_memory(&s, &b, 0);
	free(want);
	free(plain);
	down(&s);
}

static void marks_shorten_the_way(void **unused)
{
	enum { LEN = 40 * MIB, STEP = 4 * MIB, SOME = 100 };
	uint8_t *plain = random_bytes(LEN), *data;
	struct setting s;

	(void)unused;
	/* Of random bytes the stream is as long as what it makes. */
	size_t n = up_deflated(&s, plain, LEN);
	s.t.nbytes = LEN;
	assert_int_equal(extract(&s, &s.t, LEN - SOME, SOME, &data), 0);
	assert_memory_equal(data, plain + LEN - SOME, SOME);
	for (uint64_t at = LEN - SOME; at > 3 * MIB; at -= 3 * MIB) {
		uint64_t before = bytes_read();
		assert_int_equal(extract(&s, &s.t, at, SOME, &data), 0);
		assert_memory_equal(data, plain + at, SOME);
		assert_true(bytes_read() - before <= STEP + 2 * MIB);
	}

	/* Many tensors of one stream, in order: it is gone through once, by all of them together. */
	struct budget b = { 0 };
	limit_memory(&s, &b, 0);
	uint64_t before = bytes_read();
	for (uint64_t at = 0; at < LEN; at += MIB) {
		struct tfs_encoding p = s.encoding;
		struct tfs_tensor t = s.t;

		p.skip = at;
		t.encoding = &p;
		t.nbytes = MIB;
		assert_int_equal(extract(&s, &t, 0, MIB, &data), 0);
		assert_memory_equal(data, plain + at, MIB);
	}
	assert_true(bytes_read() - before < 2 * n + 2 * MIB);
	free(plain);
	down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deflated_in_any_order),       cmocka_unit_test(a_staging_buffer_is_made_once),
		cmocka_unit_test(what_is_damaged_is_not_kept), cmocka_unit_test(several_read_one_spool),
		cmocka_unit_test(marks_shorten_the_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
