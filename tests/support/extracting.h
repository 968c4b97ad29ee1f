/* SPDX-License-Identifier: MIT */
/*
 * Shared by the tests of extraction: a tensor in a file of random bytes, deflated or not, and a reader that picks element by
 * element from the file in memory.
 */
#ifndef TEST_EXTRACTING_H
#define TEST_EXTRACTING_H

#include "support/fixture.h"

#include <zlib.h>

#include "content/extract.h"

enum { BLOB = 9 * MIB };

/* A model whose directory has another file, with random bytes; and a tensor in it. */
struct setting {
	struct rig g;
	uint8_t *blob;
	size_t len;
	struct tfs_staging_memory memory;
	struct tfs_extractor *x;
	uint64_t shape[8], strides[8];
	struct tfs_dtype dtype;
	struct tfs_encoding encoding;
	struct tfs_tensor t;
	uint8_t *buf, *scratch;
	struct tfs_error err;
};

/* Bytes [at, at + len) of @t as demand, using the setting's buffers; *@ret_data is where they are. */
static inline int extract(struct setting *s, const struct tfs_tensor *t, uint64_t at, size_t len, uint8_t **ret_data)
{
	struct tfs_read_request rq = { .at = at, .len = len, .buf = s->buf, .scratch = s->scratch, .err.offset = TFS_NO_OFFSET };
	int r = tfs_extract(s->x, t, &rq);

	s->err = rq.err;
	*ret_data = rq.data;
	return r;
}

static uint64_t state = 88172645463325252u;

static inline uint64_t any(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static inline uint8_t *random_bytes(size_t len)
{
	uint8_t *b = malloc(len);

	assert_non_null(b);
	for (size_t i = 0; i < len; i++)
		b[i] = any(256);
	return b;
}

/* The setting takes ownership of @blob. */
static inline void up(struct setting *s, uint8_t *blob, size_t len, bool direct)
{
	static const struct spec specs[] = { { "a", 100 } };
	char *dir = make_tree();

	memset(s, 0, sizeof *s);
	s->blob = blob;
	s->len = len;
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	put_file(dir, "blob", blob, len);
	assert_true(rig_up(&s->g, dir, (struct rig_options){ .direct = direct }));
	s->x = tfs_extractor_create(s->g.sources, &s->memory);
	s->buf = aligned_alloc(TFS_IO_ALIGN, TFS_CHUNK + 2 * TFS_IO_ALIGN);
	s->scratch = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH);
	assert_true(s->x && s->buf && s->scratch);
	s->encoding.length = len;
	s->t = (struct tfs_tensor){
		.name = "t",
		.name_len = 1,
		.dtype = &s->dtype,
		.shape = s->shape,
		.source = tfs_model_find_child(s->g.model, TFS_NODE_ROOT, "blob", 4),
		.encoding = &s->encoding,
	};
	s->dtype = (struct tfs_dtype){ .name = "TEST", .block_elems = 1, .block_bytes = 1 };
	assert_true(s->t.source != UINT32_MAX);
}

static inline void down(struct setting *s)
{
	tfs_extractor_destroy(s->x);
	free(s->buf);
	free(s->scratch);
	rig_down(&s->g);
	free(s->blob);
}

/* Parts of the tensor are as in @want: some at any offset and of any length, then all, in order. */
static inline void check(struct setting *s, const uint8_t *want)
{
	uint64_t unit = tfs_encoding_unit(s->t.encoding), n = s->t.nbytes / unit, at = 0;
	uint8_t *data;

	for (int i = 0; i < 6; i++) {
		uint64_t from = any(n) * unit, len = (1 + any(n - from / unit)) * unit;

		if (len > TFS_CHUNK)
			len = TFS_CHUNK;
		if (i & 1 && len > 64 * unit)
			len = 64 * unit;
		assert_int_equal(extract(s, &s->t, from, len, &data), 0);
		assert_memory_equal(data, want + from, len);
	}
	for (uint64_t step = 0; at < s->t.nbytes; at += step) {
		step = s->t.nbytes - at < TFS_CHUNK ? s->t.nbytes - at : TFS_CHUNK;
		assert_int_equal(extract(s, &s->t, at, step, &data), 0);
		assert_memory_equal(data, want + at, step);
	}
}

/* The tensor's elements one by one. */
static inline uint8_t *pick_all(const struct setting *s, const uint8_t *base)
{
	uint32_t es = s->dtype.block_bytes, unit = s->encoding.swap ? s->encoding.swap : 1;
	uint8_t *out = malloc(s->t.nbytes), *o = out;
	uint64_t index[8] = { 0 };

	assert_non_null(out);
	for (uint64_t e = 0; e < s->t.nbytes / es; e++) {
		uint64_t from = 0;

		for (unsigned d = 0; d < s->t.ndim; d++)
			from += index[d] * s->strides[d];
		for (uint32_t b = 0; b < es; b++)
			*o++ = base[from + (b / unit * unit) + (unit - 1 - b % unit)];
		for (unsigned d = s->t.ndim; d-- && ++index[d] == s->shape[d];)
			index[d] = 0;
	}
	return out;
}

/* A random array inside the blob: its dimensions in any order, with gaps, or repeated. */
static inline void random_array(struct setting *s, uint64_t room)
{
	static const uint32_t sizes[] = { 1, 2, 4, 8, 16, 3 }, swaps[] = { 0, 2, 4, 8, 8, 0 };
	unsigned which = any(LENGTH(sizes)), order[4];
	uint64_t span, elems = 1;

	s->dtype.block_bytes = sizes[which];
	s->encoding.swap = any(2) ? swaps[which] : 0;
	s->t.ndim = 1 + any(4);
	for (unsigned d = 0; d < s->t.ndim; d++)
		order[d] = d;
	for (unsigned d = s->t.ndim; d > 1; d--) {
		unsigned o = any(d), t = order[o];

		order[o] = order[d - 1];
		order[d - 1] = t;
	}
	span = sizes[which];
	for (unsigned i = 0; i < s->t.ndim; i++) {
		unsigned d = order[i];
		uint64_t most = room / span, gap;

		s->shape[d] = 1 + any(most > 1500 ? 1500 : most ? most : 1);
		if (elems * s->shape[d] > 2 * MIB)
			s->shape[d] = 1;
		elems *= s->shape[d];
		if (any(6) == 0) {
			s->strides[d] = 0;
			if (s->shape[d] > 50)
				elems = elems / s->shape[d] * 50, s->shape[d] = 50;
			continue;
		}
		gap = any(3) ? 0 : any(20) * sizes[which];
		s->strides[d] = span + gap;
		if (s->strides[d] * (s->shape[d] - 1) + span > room) {
			elems /= s->shape[d];
			s->shape[d] = 1;
		}
		span += s->strides[d] * (s->shape[d] - 1);
		if (s->shape[d] == 1)
			s->strides[d] = any(1000); /* ignored */
	}
	s->encoding.strides = s->strides;
	s->t.offset = any(room - span + 1);
	s->t.nbytes = elems * sizes[which];
	s->encoding.length = span;
}

/* zlib's own one-pass compressor, without its header. */
static inline uint8_t *deflated(const uint8_t *bytes, size_t len, size_t *ret_len)
{
	z_stream z = { 0 };
	size_t room = compressBound(len) + 100;
	uint8_t *out = malloc(room);

	assert_non_null(out);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (uint8_t *)bytes;
	z.avail_in = len;
	z.next_out = out;
	z.avail_out = room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	*ret_len = z.total_out;
	deflateEnd(&z);
	return out;
}

#endif
