/* SPDX-License-Identifier: MIT */
/* The kinds of content by what each says of itself, and the bytes that any part of it reads as. */
#include "support/extracting.h"

#include "content/consolidated.h"

static int read_part(struct setting *s, struct tfs_content c, uint64_t at, size_t len, struct tfs_read_request *rq)
{
	*rq = (struct tfs_read_request){ .at = at, .len = len, .buf = s->buf, .scratch = s->scratch, .err.offset = TFS_NO_OFFSET };
	return c.ops->read(c.of, s->x, rq);
}

/* Some parts of it, multiples of @unit, in no order, then all of it in order, are as in @want. */
static void reads_as(struct setting *s, struct tfs_content c, const uint8_t *want, uint64_t size, uint64_t unit)
{
	struct tfs_read_request rq;

	for (int i = 0; i < 8; i++) {
		uint64_t at = any(size / unit) * unit, len = unit * (1 + any((size - at) / unit));

		len = len < TFS_CHUNK ? len : TFS_CHUNK;
		assert_int_equal(read_part(s, c, at, len, &rq), 0);
		assert_memory_equal(rq.data, want + at, len);
		assert_true(rq.data >= s->buf && rq.data + len <= s->buf + len + 2 * TFS_IO_ALIGN);
	}
	for (uint64_t at = 0, len; at < size; at += len) {
		len = size - at < TFS_CHUNK ? size - at : TFS_CHUNK;
		assert_int_equal(read_part(s, c, at, len, &rq), 0);
		assert_memory_equal(rq.data, want + at, len);
	}
}

static struct tfs_extent extent_of(struct tfs_content c)
{
	assert_non_null(c.ops->extent);
	return c.ops->extent(c.of);
}

static const struct tfs_tensor *order_of(struct tfs_content c)
{
	return c.ops->in_order ? c.ops->in_order(c.of) : NULL;
}

static void a_plain_tensor_is_an_extent(void **unused)
{
	(void)unused;
	for (int direct = 0; direct < 2; direct++) {
		struct setting s;

		up(&s, random_bytes(BLOB), BLOB, direct);
		s.t.encoding = NULL;
		s.t.offset = 1001;
		s.t.nbytes = BLOB - 2003;

		struct tfs_content c = tfs_content_of_tensor(&s.t);
		assert_int_equal(extent_of(c).node, s.t.source);
		assert_int_equal(extent_of(c).offset, 1001);
		assert_null(order_of(c));
		reads_as(&s, c, s.blob + 1001, s.t.nbytes, 1);
		down(&s);
	}
}

static void an_encoded_tensor_lies_nowhere_as_it_is(void **unused)
{
	struct setting s;

	(void)unused;
	up(&s, random_bytes(BLOB), BLOB, true);
	s.encoding = (struct tfs_encoding){ .swap = 4, .length = BLOB };
	s.t.ndim = 1;
	s.t.nbytes = BLOB;
	s.shape[0] = BLOB / 4;
	s.strides[0] = s.dtype.block_bytes = 4;

	struct tfs_content c = tfs_content_of_tensor(&s.t);
	uint8_t *want = pick_all(&s, s.blob);
	assert_null(c.ops->extent);
	assert_null(order_of(c));
	reads_as(&s, c, want, BLOB, 4);
	free(want);
	down(&s);
}

static void a_deflate_stream_is_read_in_order(void **unused)
{
	enum { SIZE = 3 * MIB + 5 };
	struct setting s;
	uint8_t *bytes = random_bytes(SIZE);
	size_t len;

	(void)unused;
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] &= 15; /* so that there is something to deflate */
	uint8_t *encoded = deflated(bytes, SIZE, &len);
	up(&s, encoded, len, true);
	s.encoding = (struct tfs_encoding){ .coding = TFS_DEFLATED, .length = len, .unpacked = SIZE, .crc = crc32(0, bytes, SIZE) };
	s.t.nbytes = SIZE;

	struct tfs_content c = tfs_content_of_tensor(&s.t);
	assert_null(c.ops->extent);
	assert_ptr_equal(order_of(c), &s.t);
	reads_as(&s, c, bytes, SIZE, 1);
	free(bytes);
	down(&s);
}

static void a_consolidated_file_is_header_and_tensors(void **unused)
{
	struct setting s;
	struct tfs_read_request rq;
	struct tfs_consolidated *w;

	(void)unused;
	up(&s, random_bytes(8), 8, true);
	const struct tfs_set *set = &s.g.model->sets[0];
	assert_int_equal(tfs_consolidated_create(set, &w), 0);
	struct tfs_layout layout = tfs_consolidated_layout(w);
	struct tfs_content c = layout.content;
	uint64_t head = layout.size - 100; /* there is one tensor, of so many bytes */
	uint8_t *want = malloc(layout.size);

	assert_non_null(want);
	assert_null(c.ops->extent);
	assert_null(order_of(c));
	assert_int_equal(head % 4096, 0);
	assert_int_equal(read_part(&s, c, 0, head, &rq), 0);
	memcpy(want, rq.data, head);
	fill(want + head, set->tensors[0].offset, 100);
	reads_as(&s, c, want, layout.size, 1);
	free(want);
	tfs_consolidated_destroy(w);
	down(&s);
}

/* Whatever kind it is: bytes of a file that is another one by now are nobody's. */
static void a_source_that_changed_is_noticed(void **unused)
{
	struct tfs_read_request rq;
	struct setting s;
	struct tfs_consolidated *w;

	(void)unused;
	up(&s, random_bytes(BLOB), BLOB, true);
	s.t.nbytes = 4096;
	assert_int_equal(tfs_consolidated_create(&s.g.model->sets[0], &w), 0);
	struct tfs_content encoded = tfs_content_of_tensor(&s.t), all = tfs_consolidated_layout(w).content;
	struct tfs_tensor t = s.t;
	t.encoding = NULL;
	struct tfs_content plain = tfs_content_of_tensor(&t);

	assert_int_equal(read_part(&s, plain, 0, 4096, &rq), 0);
	assert_int_equal(read_part(&s, encoded, 0, 4096, &rq), 0);
	assert_int_equal(read_part(&s, all, 4096, 100, &rq), 0);
	put_file(s.g.dir, "blob", s.blob, BLOB - 1);
	put_file(s.g.dir, "model.safetensors", s.blob, 1);
	assert_int_equal(read_part(&s, plain, 0, 4096, &rq), -ESTALE);
	assert_int_equal(read_part(&s, encoded, 0, 4096, &rq), -ESTALE);
	assert_int_equal(read_part(&s, all, 4096, 100, &rq), -ESTALE);
	assert_int_equal(rq.err.code, -ESTALE);
	tfs_consolidated_destroy(w);
	down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_tensor_is_an_extent),	     cmocka_unit_test(an_encoded_tensor_lies_nowhere_as_it_is),
		cmocka_unit_test(a_deflate_stream_is_read_in_order), cmocka_unit_test(a_consolidated_file_is_header_and_tensors),
		cmocka_unit_test(a_source_that_changed_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
