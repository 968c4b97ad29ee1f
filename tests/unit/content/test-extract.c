/* SPDX-License-Identifier: MIT */
/* Encoded tensors against a reader that picks element by element out of the file in memory. */
#include "support/extracting.h"

static void strides_are_followed(void **unused)
{
	struct setting s;

	(void)unused;
	up(&s, random_bytes(BLOB), BLOB, true);
	for (int i = 0; i < 100; i++) {
		uint8_t *want;

		random_array(&s, BLOB);
		want = pick_all(&s, s.blob + s.t.offset);
		check(&s, want);
		free(want);
	}
	/* A matrix on its side, larger than anything it is read by; a column of it; and every other row. */
	static const uint64_t matrix[][5] = {
		{ 1500, 1400, 4, 1500 * 4, 4 }, { 1400, 1, 1500 * 4, 4, 4 }, { 700, 1500, 2 * 1500 * 4, 4, 4 },
		{ 3, 1000000, 0, 8, 8 },	{ 100000, 7, 80, 0, 8 },
	};
	for (unsigned i = 0; i < LENGTH(matrix); i++) {
		s.t.ndim = 2;
		s.t.offset = 3;
		memcpy(s.shape, matrix[i], 2 * sizeof *s.shape);
		memcpy(s.strides, matrix[i] + 2, 2 * sizeof *s.strides);
		s.dtype.block_bytes = matrix[i][4];
		s.encoding.swap = 0;
		s.t.nbytes = s.shape[0] * s.shape[1] * s.dtype.block_bytes;
		uint8_t *want = pick_all(&s, s.blob + 3);
		check(&s, want);
		free(want);
	}
	down(&s);
}

static void words_are_swapped(void **unused)
{
	(void)unused;
	for (int direct = 0; direct < 2; direct++) {
		struct setting s;

		up(&s, random_bytes(BLOB), BLOB, direct);
		for (unsigned unit = 2; unit <= 8; unit *= 2) {
			uint8_t *want;

			s.encoding = (struct tfs_encoding){ .swap = unit, .length = BLOB - 1001 };
			s.t.offset = 1001;
			s.t.ndim = 1;
			s.t.nbytes = (BLOB - 1001) / unit * unit;
			s.shape[0] = s.t.nbytes / unit;
			s.strides[0] = s.dtype.block_bytes = unit;
			want = pick_all(&s, s.blob + 1001);
			check(&s, want);
			free(want);
		}
		down(&s);
	}
}

static void words_of_blocks_are_swapped(void **unused)
{
	static const struct {
		uint32_t bytes;
		uint8_t unit;
		struct tfs_words words[3];
	} blocks[] = {
		{ 18, 2, { { 0, 2, 1 } } },
		{ 210, 2, { { 208, 2, 1 } } },
		{ 50, 2, { { 0, 2, 1 }, { 34, 2, 8 } } },
		{ 74, 2, { { 0, 2, 33 } } },
		{ 292, 4, { { 0, 4, 1 }, { 260, 2, 16 } } },
	};

	(void)unused;
	for (int direct = 0; direct < 2; direct++) {
		struct setting s;

		up(&s, random_bytes(BLOB), BLOB, direct);
		for (size_t i = 0; i < LENGTH(blocks); i++) {
			const struct tfs_words *words = blocks[i].words;
			uint8_t *want = malloc(BLOB);

			assert_non_null(want);
			s.encoding = (struct tfs_encoding){ .swap = blocks[i].unit, .words = words, .length = BLOB - 1001 };
			s.t.offset = 1001;
			s.t.ndim = 1;
			s.shape[0] = (BLOB - 1001) / blocks[i].bytes;
			s.t.nbytes = s.shape[0] * blocks[i].bytes;
			s.dtype.block_bytes = blocks[i].bytes;
			memcpy(want, s.blob + 1001, s.t.nbytes);
			for (uint8_t *block = want; block < want + s.t.nbytes; block += blocks[i].bytes)
				for (const struct tfs_words *w = words; w->count; w++)
					for (unsigned k = 0; k < w->count * w->width; k++)
						block[w->at + k] = s.blob[1001 + (block - want) + w->at + k / w->width * w->width +
									  w->width - 1 - k % w->width];
			check(&s, want);
			free(want);
		}
		down(&s);
	}
}

static void runs_are_put_together(void **unused)
{
	struct tfs_segment segments[1000];
	uint64_t from = 17, at = 0;
	struct setting s;
	uint8_t *want = malloc(BLOB);

	(void)unused;
	up(&s, random_bytes(BLOB), BLOB, true);
	for (unsigned i = 0; i < LENGTH(segments); i++) {
		uint64_t n = 1 + any(i % 10 ? 40 : 60000);

		segments[i] = (struct tfs_segment){ .offset = from, .at = at };
		memcpy(want + at, s.blob + from, n);
		from += n + any(30);
		at += n;
	}
	assert_true(from <= BLOB);
	s.encoding = (struct tfs_encoding){ .length = BLOB - 17, .segments = segments, .n_segments = LENGTH(segments) };
	s.t.offset = 17;
	s.t.nbytes = at;
	check(&s, want);
	free(want);
	down(&s);
}

static void deflated_is_inflated(void **unused)
{
	enum { SKIP = 128, LEN = 10 * MIB };
	uint8_t *plain = random_bytes(LEN), *want;
	struct setting s;
	size_t n;
	uint8_t *data;

	(void)unused;
	/* Half of it can be compressed. */
	for (size_t i = 0; i < LEN; i++)
		plain[i] = i / 4096 % 2 ? plain[i] & 3 : plain[i];
	uint8_t *encoded = deflated(plain, LEN, &n);
	up(&s, encoded, n, true);
	s.encoding = (struct tfs_encoding){
		.coding = TFS_DEFLATED, .length = n, .skip = SKIP, .unpacked = LEN, .crc = crc32(0, plain, LEN)
	};
	s.t.nbytes = LEN - SKIP;
	check(&s, plain + SKIP);

	/* In another order, too. */
	s.dtype.block_bytes = s.encoding.swap = 4;
	s.t.ndim = 2;
	s.shape[0] = 1000, s.shape[1] = 500;
	s.strides[0] = 4, s.strides[1] = 4000;
	s.encoding.strides = s.strides;
	s.t.nbytes = 2000000;
	want = pick_all(&s, plain + SKIP);
	check(&s, want);
	free(want);

	/* What is wrong with it is found, at the end at the latest. */
	s.encoding = (struct tfs_encoding){ .coding = TFS_DEFLATED, .length = n, .unpacked = LEN, .crc = 1 };
	s.t.nbytes = LEN;
	assert_int_equal(extract(&s, &s.t, LEN - 10, 10, &data), -EIO);
	assert_non_null(strstr(s.err.what, "checksum"));
	assert_string_equal(s.err.file, "blob");
	s.encoding.crc = crc32(0, plain, LEN);
	s.encoding.length = n - 5;
	assert_int_equal(extract(&s, &s.t, LEN - 10, 10, &data), -EIO);
	assert_non_null(strstr(s.err.what, "the stream ends"));
	s.encoding.length = n;
	s.encoding.unpacked = LEN + 1;
	s.t.nbytes = LEN + 1;
	assert_int_equal(extract(&s, &s.t, LEN, 1, &data), -EIO);
	s.encoding.unpacked = s.t.nbytes = LEN - 1;
	assert_int_equal(extract(&s, &s.t, LEN - 2, 1, &data), -EIO);
	assert_non_null(strstr(s.err.what, "more than its header says"));
	free(plain);
	down(&s);
}

/* All of @s's tensor, in two parts that meet at @at, by a reader that hasn't read it before. */
static void reads_in_two_parts(struct setting *s, const uint8_t *want, uint64_t at)
{
	uint8_t *data;

	tfs_extractor_destroy(s->x);
	s->x = tfs_extractor_create(s->g.sources, &s->memory);
	assert_non_null(s->x);
	assert_int_equal(extract(s, &s->t, 0, at, &data), 0);
	assert_memory_equal(data, want, at);
	assert_int_equal(extract(s, &s->t, at, s->t.nbytes - at, &data), 0);
	assert_memory_equal(data, want + at, s->t.nbytes - at);
}

/*
 * Wherever a part ends, also where zlib has taken in the last byte of the stream, but not given out all that it stands for: that depends on
 * where in that byte the last codes are.
 */
static void streams_end_in_two_parts(void **unused)
{
	enum { HEAD = 90, LEAST = HEAD + 60, MOST = HEAD + 75 };

	(void)unused;
	for (size_t len = LEAST; len <= MOST; len++) {
		uint8_t *plain = random_bytes(len), *data;
		struct setting s;
		size_t n;

		for (size_t i = 0; i < len; i++)
			plain[i] = i < HEAD ? plain[i] & 1 : 'x';
		uint8_t *stream = deflated(plain, len, &n);
		up(&s, stream, n, false);
		s.encoding = (struct tfs_encoding){
			.coding = TFS_DEFLATED, .length = n, .unpacked = len, .crc = (uint32_t)crc32(0, plain, len)
		};
		s.t.nbytes = len;
		for (size_t at = 1; at < len; at++)
			reads_in_two_parts(&s, plain, at);
		/* Without its last byte it has no end. */
		s.encoding.length--;
		assert_int_equal(extract(&s, &s.t, 0, len, &data), -EIO);
		assert_non_null(strstr(s.err.what, "the stream ends"));
		free(plain);
		down(&s);
	}
}

static void varints_are_decoded(void **unused)
{
	(void)unused;
	for (unsigned width = 1; width <= 8; width *= 2) {
		enum { N = 700000 };
		uint8_t *want = malloc((size_t)N * width), *coded = calloc((size_t)N * 10 + 100, 1);
		static struct tfs_segment segments[N];
		struct setting s;
		size_t n_segments = 0, len = 13;
		uint8_t *data;

		assert_true(want && coded);
		for (size_t i = 0, next = 0; i < N; i++) {
			uint64_t v = any(UINT64_MAX) >> any(64);

			if (i == next) {
				if (any(2))
					len += any(5); /* a tag and a length, say */
				segments[n_segments++] = (struct tfs_segment){ .offset = len, .at = i * width };
				next += 1 + any(n_segments % 3 ? 3 : 60000);
			}
			for (uint64_t left = v;; left >>= 7) {
				coded[len++] = (left & 0x7f) | (left > 0x7f ? 0x80 : 0);
				if (left <= 0x7f)
					break;
			}
			v = htole64(v);
			memcpy(want + i * width, &v, width);
		}
		up(&s, coded, len, true);
		s.encoding = (struct tfs_encoding){
			.coding = TFS_VARINT, .width = width, .length = len - 13, .segments = segments, .n_segments = n_segments
		};
		s.t.offset = 13;
		s.t.nbytes = (uint64_t)N * width;
		check(&s, want);
		/* One value more than there is. */
		s.t.nbytes += width;
		assert_int_equal(extract(&s, &s.t, s.t.nbytes - width, width, &data), -EIO);
		assert_non_null(strstr(s.err.what, "too early"));
		free(want);
		down(&s);
	}
}

static void a_changed_source_is_noticed(void **unused)
{
	struct setting s;
	uint8_t *data;

	(void)unused;
	up(&s, random_bytes(MIB), MIB, true);
	s.encoding = (struct tfs_encoding){ .swap = 4, .length = MIB };
	s.t.nbytes = MIB;
	assert_int_equal(extract(&s, &s.t, 0, 4096, &data), 0);
	assert_int_equal(truncate(in_tree(s.g.dir, "blob"), 5000), 0);
	assert_int_equal(extract(&s, &s.t, 0, 4096, &data), -ESTALE);
	assert_string_equal(s.err.file, "blob");
	down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strides_are_followed),	       cmocka_unit_test(words_are_swapped),
		cmocka_unit_test(words_of_blocks_are_swapped), cmocka_unit_test(runs_are_put_together),
		cmocka_unit_test(deflated_is_inflated),	       cmocka_unit_test(streams_end_in_two_parts),
		cmocka_unit_test(varints_are_decoded),	       cmocka_unit_test(a_changed_source_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
