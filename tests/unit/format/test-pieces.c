/* SPDX-License-Identifier: MIT */
/* Tensors in pieces, and the window on tables: what HDF5, Flax and TensorFlow share. */
#include "support/helpers.h"

#include <errno.h>

#include "format/pieces.h"
#include "format/window.h"

/* An array of @shape, of elements of 2 bytes, cut into boxes of @chunk: their file, one after the other, full size at the edges too. */
struct chunked {
	uint64_t shape[3], chunk[3];
	uint8_t array[4096], file[8192];
	uint64_t file_len;
	struct tfs_pieces pieces;
};

static uint64_t element(const uint64_t *shape, const uint64_t *i)
{
	return (i[0] * shape[1] + i[1]) * shape[2] + i[2];
}

/* Copy the box at @start, and add it. */
static void put_chunk(struct chunked *k, const uint64_t *start)
{
	uint64_t count[3], i[3];
	const struct tfs_box box = { start, count, k->chunk };

	for (unsigned d = 0; d < 3; d++)
		count[d] = k->shape[d] - start[d] < k->chunk[d] ? k->shape[d] - start[d] : k->chunk[d];
	for (i[0] = 0; i[0] < count[0]; i[0]++)
		for (i[1] = 0; i[1] < count[1]; i[1]++)
			for (i[2] = 0; i[2] < count[2]; i[2]++) {
				const uint64_t there[] = { start[0] + i[0], start[1] + i[1], start[2] + i[2] };

				memcpy(k->file + k->file_len + 2 * element(k->chunk, i), k->array + 2 * element(k->shape, there),
				       2);
			}
	assert_int_equal(tfs_pieces_add_box(&k->pieces, k->shape, 3, 2, &box, k->file_len), 0);
	k->file_len += 2 * k->chunk[0] * k->chunk[1] * k->chunk[2];
}

/* What @how makes of the file is the array. */
static void assert_joined(struct chunked *k, uint64_t offset, const struct tfs_encoding *how, uint64_t nbytes)
{
	uint8_t out[sizeof k->array];
	uint64_t end = offset + how->length;

	assert_true(end <= k->file_len);
	if (!how->n_segments)
		memcpy(out, k->file + offset, nbytes);
	for (size_t i = 0; i < how->n_segments; i++) {
		const struct tfs_segment *s = &how->segments[i];
		uint64_t next = i + 1 < how->n_segments ? s[1].at : nbytes;

		assert_true(s->offset >= offset && s->offset + (next - s->at) <= end);
		memcpy(out + s->at, k->file + s->offset, next - s->at);
	}
	assert_memory_equal(out, k->array, nbytes);
}

static void boxes_become_segments(void **state)
{
	static const struct {
		uint64_t shape[3], chunk[3];
		size_t segments;
	} cases[] = {
		{ { 4, 6, 8 }, { 4, 6, 8 }, 0 }, /* one piece */
		{ { 4, 6, 8 }, { 1, 6, 8 }, 0 }, /* several that are adjacent */
		/* Two rows of each, of which the last of one and the first of another are adjacent once. */
		{ { 4, 6, 8 }, { 2, 3, 8 }, 4 * 2 - 1 },
		{ { 4, 6, 8 }, { 3, 4, 5 }, 4 * 6 * 2 },
		{ { 5, 7, 3 }, { 2, 2, 2 }, 5 * 7 * 2 },
		{ { 1, 1, 1 }, { 9, 9, 9 }, 0 },
		{ { 7, 1, 5 }, { 2, 1, 5 }, 0 },
	};

	(void)state;
	for (size_t c = 0; c < LENGTH(cases); c++) {
		struct chunked *k = calloc(1, sizeof *k);
		struct tfs_encoding how = { 0 };
		uint64_t offset = 0, nbytes = 2 * cases[c].shape[0] * cases[c].shape[1] * cases[c].shape[2], i[3];

		assert_non_null(k);
		memcpy(k->shape, cases[c].shape, sizeof k->shape);
		memcpy(k->chunk, cases[c].chunk, sizeof k->chunk);
		for (size_t b = 0; b < nbytes; b++)
			k->array[b] = (uint8_t)(b * 37 + b / 256);
		k->file_len = 10;
		for (i[0] = 0; i[0] < k->shape[0]; i[0] += k->chunk[0])
			for (i[1] = 0; i[1] < k->shape[1]; i[1] += k->chunk[1])
				for (i[2] = 0; i[2] < k->shape[2]; i[2] += k->chunk[2])
					put_chunk(k, i);
		assert_int_equal(tfs_pieces_encode(&k->pieces, nbytes, &offset, &how), 0);
		if (how.n_segments != cases[c].segments)
			fail_msg("case %zu: %zu segments", c, how.n_segments);
		assert_joined(k, offset, &how, nbytes);
		tfs_pieces_fini(&k->pieces);
		free(k);
	}
}

static void pieces_come_in_any_order_and_only_once(void **state)
{
	struct tfs_pieces p = { 0 };
	struct tfs_encoding how = { 0 };
	uint64_t offset;

	(void)state;
	assert_int_equal(tfs_pieces_encode(&p, 0, &offset, &how), 0);
	tfs_pieces_add(&p, 8, 100, 4);
	tfs_pieces_add(&p, 0, 200, 8);
	tfs_pieces_add(&p, 4, 50, 0);
	assert_int_equal(tfs_pieces_encode(&p, 12, &offset, &how), 0);
	assert_int_equal(offset, 100);
	assert_int_equal(how.length, 108);
	assert_int_equal(how.n_segments, 2);
	assert_int_equal(how.segments[0].offset, 200);
	assert_int_equal(how.segments[1].at, 8);
	/* Too few, too many, twice. */
	assert_int_equal(tfs_pieces_encode(&p, 13, &offset, &how), -EINVAL);
	assert_int_equal(offset, 12);
	assert_int_equal(tfs_pieces_encode(&p, 8, &offset, &how), -EINVAL);
	tfs_pieces_add(&p, 10, 300, 2);
	assert_int_equal(tfs_pieces_encode(&p, 12, &offset, &how), -EINVAL);
	tfs_pieces_clear(&p);
	assert_int_equal(tfs_pieces_encode(&p, 12, &offset, &how), -EINVAL);
	assert_int_equal(offset, 0);
	for (uint64_t i = 0; i < TFS_MAX_PIECES; i++)
		assert_int_equal(tfs_pieces_add(&p, 2 * i, 3 * i, 2), 0);
	assert_int_equal(tfs_pieces_add(&p, 9, 9, 9), -E2BIG);
	tfs_pieces_fini(&p);
}

static void a_window_has_what_is_asked_for(void **state)
{
	const size_t size = 3 * TFS_WINDOW + 5;
	static const uint64_t places[] = { 0, 100, 4090, 8000, 2 * TFS_WINDOW, 17, 3 * TFS_WINDOW, 70000, 69990 };
	struct tfs_window *w = malloc(sizeof *w);
	struct tfs_error err = { 0 };
	uint8_t *data = malloc(size);
	const uint8_t *p;
	int fd;

	(void)state;
	assert_true(w && data);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(i * 31 + i / 4096);
	fd = memory_file(data, size);
	tfs_window_init(w, input_of(fd, size), &err);
	for (size_t i = 0; i < LENGTH(places); i++)
		for (size_t len = 0; len <= TFS_WINDOW && places[i] + len <= size; len = 2 * len + 1) {
			assert_int_equal(tfs_window_get(w, places[i], len, &p), 0);
			assert_memory_equal(p, data + places[i], len);
		}
	assert_int_equal(tfs_window_get(w, size, 0, &p), 0);
	assert_int_equal(tfs_window_get(w, size - 1, 2, &p), -EINVAL);
	assert_int_equal(err.offset, size - 1);
	assert_int_equal(tfs_window_get(w, UINT64_MAX, 1, &p), -EINVAL);
	close(fd);
	free(data);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boxes_become_segments),
		cmocka_unit_test(pieces_come_in_any_order_and_only_once),
		cmocka_unit_test(a_window_has_what_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
