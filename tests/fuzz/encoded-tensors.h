/* SPDX-License-Identifier: MIT */
/*
 * Tensors of every encoding (tensor/catalog.h), made of choices and put into the files of a memory model, and what their bytes are: by
 * a loop over all elements, and zlib's inflate() in one call.
 */
#ifndef FUZZ_ENCODED_TENSORS_H
#define FUZZ_ENCODED_TENSORS_H

#include <endian.h>
#include <zlib.h>

#include "choices.h"
#include "memory-model.h"

enum { MAX_NDIM = 5, MAX_SEGMENTS = 64, MAX_TEXT = 9 << 20 };

struct subject {
	struct tfs_tensor t;
	struct tfs_encoding e;
	struct tfs_dtype dtype;
	uint64_t shape[MAX_NDIM], strides[MAX_NDIM];
	struct tfs_segment segments[MAX_SEGMENTS];
	uint32_t files[MEMORY_FILES], file_of[MAX_SEGMENTS];
	uint8_t *want; /* nbytes */
	bool plain, damaged;
	bool lost;	  /* it is damaged, and nobody can read all of it */
	uint8_t *decoded; /* DEFLATED: e.unpacked bytes, of which those that can't be inflated are any */
	bool wrong_end;	  /* DEFLATED: that, or a checksum that is wrong */
};

/* Bytes that those of one model may still have together. */
static uint64_t bytes_left;

static inline void subject_fini(struct subject *s)
{
	free(s->want);
	free(s->decoded);
}

static inline uint8_t *new_bytes(size_t len)
{
	uint8_t *b = malloc(len + 8);

	CHECK(b);
	return b;
}

/* @len bytes, more or less alike. */
static inline uint8_t *some_bytes(struct choices *c, size_t len)
{
	const uint64_t mask = choose_number(c, 1) * UINT64_C(0x0101010101010101);
	uint8_t *b = new_bytes(len);

	for (size_t i = 0; i < len; i += 8) {
		any(c, 1);
		const uint64_t x = c->random & mask;
		memcpy(b + i, &x, sizeof x);
	}
	return b;
}

/* A size of at least 1: mostly small, and sometimes more than is read, inflated or picked from at a time. */
static inline uint64_t some_size(struct choices *c)
{
	const unsigned how = (unsigned)choose_number(c, 1);
	uint64_t n = 1 + (how < 248 ? choose_size(c, 20000) : choose_number(c, 3) % (how < 255 ? 600000 : MAX_TEXT));

	if (n > bytes_left)
		n = 1 + n % 100;
	bytes_left -= n < bytes_left ? n : bytes_left;
	return n;
}

/* Bytes that belong to nothing. */
static inline void put_gap(struct choices *c, unsigned file)
{
	uint8_t gap[64];
	const size_t n = choose(c, sizeof gap);

	memset(gap, 0xee, sizeof gap);
	memory_put(file, gap, n);
}

static inline void put_in(struct choices *c, struct subject *s, const uint8_t *bytes, size_t len)
{
	const unsigned file = (unsigned)choose(c, MEMORY_FILES);

	put_gap(c, file);
	s->t.source = 1 + file;
	s->t.offset = memory_put(file, bytes, len);
	s->e.length = len;
}

/* --- Strides and words ---------------------------------------------------------------------------------------------------- */

static inline uint32_t some_width(struct choices *c)
{
	static const uint32_t widths[] = { 1, 2, 4, 8, 16, 3 };

	return widths[choose(c, 6)];
}

/* Dimensions in any order within @room bytes, with gaps, repeated, or that overlap. Returns the bytes from the first to the last. */
static inline uint64_t choose_strides(struct choices *c, struct subject *s, uint64_t room)
{
	const uint32_t width = s->dtype.block_bytes;
	uint64_t span = width, elems = 1;
	unsigned order[MAX_NDIM];

	s->t.ndim = (uint8_t)choose(c, MAX_NDIM + 1);
	for (unsigned i = 0; i < s->t.ndim; i++) {
		const unsigned o = (unsigned)choose(c, i + 1);

		order[i] = order[o];
		order[o] = i;
	}
	for (unsigned i = 0; i < s->t.ndim; i++) {
		const unsigned d = order[i], how = (unsigned)choose(c, 10);
		uint64_t n = 1 + choose_size(c, 3000), stride = span;

		if (how < 2)
			stride = how ? choose(c, 4) * width : 0;
		else if (how < 5)
			stride += choose_size(c, 1 << 16) * width;
		if (stride && n - 1 > (room - span) / stride)
			n = (room - span) / stride + 1;
		if (elems * n * width > (how < 2 ? 1 << 20 : MAX_TEXT))
			n = 1;
		span += (n - 1) * stride;
		elems *= n;
		s->shape[d] = n;
		s->strides[d] = n == 1 ? choose_number(c, 2) : stride;
	}
	s->t.nbytes = elems * width;
	s->e.strides = s->strides;
	return span;
}

/* Its elements, one by one. */
static inline void pick_all(struct subject *s, const uint8_t *decoded)
{
	const uint32_t width = s->dtype.block_bytes;
	uint64_t index[MAX_NDIM] = { 0 };
	uint8_t *to = s->want = new_bytes(s->t.nbytes);

	for (uint64_t i = 0; i < s->t.nbytes / width; i++, to += width) {
		uint64_t from = 0;

		for (unsigned d = 0; d < s->t.ndim; d++)
			from += index[d] * s->strides[d];
		memcpy(to, decoded + from, width);
		for (unsigned d = s->t.ndim; d-- && ++index[d] == s->shape[d];)
			index[d] = 0;
	}
}

static inline void reverse(uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		const uint8_t x = b[i];

		b[i] = b[n - 1 - i];
		b[n - 1 - i] = x;
	}
}

/* Its words, or some of those of each block, are in reverse. */
static inline void choose_swap(struct choices *c, struct subject *s)
{
	static const struct tfs_words first[] = { { 0, 2, 1 }, { 0 } }, some[] = { { 0, 4, 1 }, { 4, 2, 3 }, { 12, 4, 2 }, { 0 } },
				      late[] = { { 8, 8, 1 }, { 0 } };
	static const struct {
		uint8_t swap;
		uint32_t block;
		const struct tfs_words *words;
	} rows[] = { { 0, 1, NULL },   { 2, 2, NULL },	{ 4, 4, NULL }, { 8, 8, NULL },
		     { 2, 18, first }, { 4, 20, some }, { 8, 24, late } };
	const unsigned row = (unsigned)choose(c, sizeof rows / sizeof *rows);
	const uint32_t block = rows[row].block;

	if (!rows[row].swap || (s->e.strides ? s->dtype.block_bytes : s->t.nbytes) % block)
		return;
	s->e.swap = rows[row].swap;
	s->e.words = rows[row].words;
	if (!s->e.words) {
		for (uint64_t i = 0; i < s->t.nbytes; i += block)
			reverse(s->want + i, block);
		return;
	}
	s->dtype.block_bytes = block;
	for (uint64_t i = 0; i < s->t.nbytes; i += block)
		for (const struct tfs_words *w = s->e.words; w->count; w++)
			for (unsigned k = 0; k < w->count; k++)
				reverse(s->want + i + w->at + k * w->width, w->width);
}

/* --- Encodings ---------------------------------------------------------------------------------------------------------- */

/* All of @decoded, or elements of it. */
static inline void choose_elements(struct choices *c, struct subject *s, const uint8_t *decoded, uint64_t room, bool strided)
{
	s->t.nbytes = room;
	if (strided) {
		s->dtype.block_bytes = some_width(c);
		if (s->dtype.block_bytes > room)
			s->dtype.block_bytes = 1;
		choose_strides(c, s, room);
		pick_all(s, decoded);
	} else {
		s->want = new_bytes(room);
		memcpy(s->want, decoded, room);
	}
}

static inline void make_stored(struct choices *c, struct subject *s, bool encoded)
{
	uint64_t n = some_size(c);
	const bool strided = encoded && choose(c, 2);
	uint8_t *bytes;

	if (encoded && !strided)
		n = (n + 359) / 360 * 360; /* of all blocks that choose_swap() has */
	bytes = some_bytes(c, n);
	put_in(c, s, bytes, n);
	choose_elements(c, s, bytes, n, strided);
	free(bytes);
	if (encoded)
		choose_swap(c, s);
	s->plain = !encoded;
}

/* Pieces in any order, in one file or several. */
static inline void make_segments(struct choices *c, struct subject *s)
{
	const uint64_t n = some_size(c);
	const bool several = choose(c, 2);
	const unsigned first = (unsigned)choose(c, MEMORY_FILES);
	uint64_t low = UINT64_MAX, high = 0;
	unsigned order[MAX_SEGMENTS] = { 0 }, n_order = 0;

	s->t.nbytes = n;
	s->want = some_bytes(c, n);
	s->t.source = 1 + first;
	for (uint64_t at = 0; at < n && s->e.n_segments < MAX_SEGMENTS; at += 1 + choose_size(c, n))
		s->segments[s->e.n_segments++].at = at;
	for (; n_order < s->e.n_segments; n_order++) {
		const unsigned o = (unsigned)choose(c, n_order + 1);

		order[n_order] = order[o];
		order[o] = n_order;
	}
	for (unsigned k = 0; k < n_order; k++) {
		const unsigned i = order[k], which = several ? (unsigned)choose(c, MEMORY_FILES) : 0;
		const unsigned file = (first + which) % MEMORY_FILES;
		const uint64_t at = s->segments[i].at, end = i + 1 < n_order ? s->segments[i + 1].at : n;

		put_gap(c, file);
		s->file_of[i] = which;
		s->segments[i].offset = memory_put(file, s->want + at, end - at);
		if (!which) {
			low = s->segments[i].offset < low ? s->segments[i].offset : low;
			high = s->segments[i].offset + (end - at);
		}
	}
	for (unsigned i = 0; i < MEMORY_FILES; i++)
		s->files[i] = 1 + (first + i) % MEMORY_FILES;
	s->t.offset = low == UINT64_MAX ? 0 : low;
	s->e.length = low == UINT64_MAX ? 0 : high - low;
	s->e.segments = s->segments;
	if (several) {
		s->e.files = s->files;
		s->e.n_files = MEMORY_FILES;
		s->e.file_of = s->file_of;
	}
	choose_swap(c, s);
}

/* A segment begins at byte @at, made of what is @offset of the encoding, if it is time for another one. */
static inline void maybe_segment(struct choices *c, struct subject *s, uint64_t at, uint64_t offset, uint64_t *next)
{
	if (at < *next || s->e.n_segments == MAX_SEGMENTS)
		return;
	s->segments[s->e.n_segments++] = (struct tfs_segment){ .at = at, .offset = offset };
	*next = at + 1 + choose_size(c, 1 << 20);
}

static inline void end_segments(struct choices *c, struct subject *s, const uint8_t *bytes, uint64_t len)
{
	put_in(c, s, bytes, len);
	for (size_t i = 0; i < s->e.n_segments; i++)
		s->segments[i].offset += s->t.offset;
	s->e.segments = s->segments;
}

static inline void make_varints(struct choices *c, struct subject *s)
{
	static const uint8_t widths[] = { 1, 2, 4, 8 };
	const unsigned width = widths[choose(c, 4)], longest = 1 + (unsigned)choose(c, 10), padding = (unsigned)choose(c, 3);
	const uint64_t n = 1 + some_size(c) % 200000;
	uint8_t *bytes = new_bytes(n * 10), *to = bytes;
	unsigned last = 0;
	uint64_t next = 0;

	s->e.coding = TFS_VARINT;
	s->e.width = (uint8_t)width;
	s->t.nbytes = n * width;
	s->want = new_bytes(n * width);
	for (uint64_t i = 0; i < n; i++) {
		const unsigned len = 1 + (unsigned)any(c, longest), shown = padding && len > padding ? len - padding : len;
		uint64_t value = 0;

		maybe_segment(c, s, i * width, (uint64_t)(to - bytes), &next);
		for (unsigned k = 0; k < len; k++) {
			const uint8_t x = k < shown ? (uint8_t)any(c, 128) : 0;

			value |= (uint64_t)x << 7 * k;
			*to++ = x | (k + 1 < len ? 0x80 : 0);
		}
		last = len;
		value = htole64(value);
		memcpy(s->want + i * width, &value, width);
	}
	if (!choose(c, 8) && last < 10) { /* it doesn't end */
		to[-1] |= 0x80;
		s->damaged = s->lost = true;
	}
	end_segments(c, s, bytes, (uint64_t)(to - bytes));
	free(bytes);
}

static inline void make_text(struct choices *c, struct subject *s)
{
	const uint64_t n = some_size(c);
	uint8_t *chars = some_bytes(c, n), *bytes = new_bytes(2 * n), *to = bytes;
	const unsigned cut = (unsigned)choose(c, 16);
	uint64_t next = 0;

	s->e.coding = TFS_LATIN1;
	for (uint64_t i = 0; i < n; i++) {
		maybe_segment(c, s, i, (uint64_t)(to - bytes), &next);
		if (chars[i] >= 0x80)
			*to++ = 0xc0 | chars[i] >> 6;
		*to++ = chars[i] < 0x80 ? chars[i] : (chars[i] & 0x3f) | 0x80;
	}
	end_segments(c, s, bytes, (uint64_t)(to - bytes));
	choose_elements(c, s, chars, n, choose(c, 2));
	/* Where the decoder stops is another matter. */
	if (!cut && s->e.length > s->segments[s->e.n_segments - 1].offset - s->t.offset + 1) {
		s->e.length--;
		s->damaged = true;
		s->lost = !s->e.strides;
	}
	choose_swap(c, s);
	free(chars);
	free(bytes);
}

/* What can be inflated of the @len bytes at @stream. */
static inline void inflate_all(struct subject *s, const uint8_t *stream, size_t len)
{
	z_stream z = { 0 };
	uint8_t more;

	CHECK(inflateInit2(&z, -MAX_WBITS) == Z_OK);
	z.next_in = (uint8_t *)(uintptr_t)stream;
	z.avail_in = (uInt)len;
	z.next_out = s->decoded;
	z.avail_out = (uInt)s->e.unpacked;
	int r = inflate(&z, Z_FINISH);
	if (r != Z_STREAM_END && !z.avail_out) { /* does it end there? */
		z.next_out = &more;
		z.avail_out = 1;
		r = inflate(&z, Z_FINISH);
	}
	s->wrong_end = r != Z_STREAM_END || z.total_out != s->e.unpacked || crc32(0, s->decoded, (uInt)s->e.unpacked) != s->e.crc;
	inflateEnd(&z);
}

/* In one of these ways a stream isn't what its header says. */
static inline void damage(struct choices *c, struct subject *s, uint8_t *stream)
{
	s->damaged = true;
	switch (choose(c, 5)) {
	case 0:
		stream[choose_number(c, 3) % s->e.length] ^= 1 << choose(c, 8);
		break;
	case 1:
		s->e.length -= choose_size(c, s->e.length - 1);
		break;
	case 2:
		s->e.crc ^= 1;
		break;
	case 3:
		s->e.unpacked += 1 + choose_size(c, 1 << 16);
		break;
	default:
		s->e.unpacked -= choose_size(c, s->e.unpacked - 1);
	}
}

/* The part of a stream that a tensor is. */
static inline void choose_part(struct choices *c, struct subject *s)
{
	const uint64_t all = s->e.unpacked;

	s->e.skip = choose(c, 2) ? 0 : choose_size(c, all - 1);
	const uint64_t room = all - s->e.skip, unused = choose(c, 2) ? 0 : choose_size(c, room - 1);
	choose_elements(c, s, s->decoded + s->e.skip, room - unused, choose(c, 3));
	choose_swap(c, s);
	/* Its end, which is what tells, isn't always reached. */
	s->lost = s->wrong_end && !s->e.strides && s->e.skip + s->t.nbytes == all;
}

static inline void make_deflated(struct choices *c, struct subject *s)
{
	static const int levels[] = { 0, 1, 6, 9 };
	const uint64_t n = some_size(c);
	uint8_t *bytes = some_bytes(c, n), *stream;
	const int level = levels[choose(c, 4)];
	const bool fixed = choose(c, 2);
	z_stream z = { 0 };

	CHECK(deflateInit2(&z, level, Z_DEFLATED, -MAX_WBITS, 8, fixed ? Z_FIXED : Z_DEFAULT_STRATEGY) == Z_OK);
	const size_t room = deflateBound(&z, n) + 64;
	stream = new_bytes(room);
	z.next_in = bytes;
	z.avail_in = (uInt)n;
	z.next_out = stream;
	z.avail_out = (uInt)room;
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	s->e = (struct tfs_encoding){
		.coding = TFS_DEFLATED, .length = z.total_out, .unpacked = n, .crc = crc32(0, bytes, (uInt)n)
	};
	deflateEnd(&z);
	if (!choose(c, 6))
		damage(c, s, stream);
	s->decoded = new_bytes(s->e.unpacked);
	memset(s->decoded, 0xa5, s->e.unpacked);
	inflate_all(s, stream, s->e.length);
	put_in(c, s, stream, s->e.length);
	free(bytes);
	free(stream);
	choose_part(c, s);
}

/* Another tensor of the stream that @other is in. */
static inline void make_same_stream(struct choices *c, struct subject *s, const struct subject *other)
{
	s->t = other->t;
	s->e = other->e;
	s->e.strides = NULL;
	s->e.swap = 0;
	s->e.words = NULL;
	s->t.ndim = 0;
	s->damaged = other->damaged;
	s->wrong_end = other->wrong_end;
	s->decoded = new_bytes(s->e.unpacked);
	memcpy(s->decoded, other->decoded, s->e.unpacked);
	choose_part(c, s);
}

/* A tensor of any kind, which can't be moved; @others: the @n that were made before. */
static inline void make_subject(struct choices *c, struct subject *s, const struct subject *others, size_t n)
{
	memset(s, 0, sizeof *s);
	s->dtype = (struct tfs_dtype){ .name = "ANY", .block_elems = 1, .block_bytes = 1 };
	switch (choose(c, 8)) {
	case 0:
		make_stored(c, s, false);
		break;
	case 1:
	case 2:
		make_stored(c, s, true);
		break;
	case 3:
		make_segments(c, s);
		break;
	case 4:
		make_varints(c, s);
		break;
	case 5:
		make_text(c, s);
		break;
	case 6:
		if (n && others[n - 1].e.coding == TFS_DEFLATED) {
			make_same_stream(c, s, &others[n - 1]);
			break;
		}
		make_deflated(c, s);
		break;
	default:
		make_deflated(c, s);
	}
	s->t.name = "t";
	s->t.name_len = 1;
	s->t.dtype = &s->dtype;
	s->t.shape = s->shape;
	s->t.encoding = s->plain ? NULL : &s->e;
}

#endif
