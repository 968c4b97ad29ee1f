/* SPDX-License-Identifier: MIT */
#include "content/extract.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "base/search.h"
#include "content/inflate.h"
#include "content/scaled.h"
#include "content/staging.h"
#include "content/strides.h"

struct tfs_extractor {
	struct tfs_sources *sources;
	struct tfs_inflaters *inflaters;
	struct tfs_staging_pool *staging;
	struct tfs_scaled_pool *scaled;
	_Atomic bool said_slow;
};

/* A part of a tensor being extracted. */
struct extract {
	struct tfs_extractor *x;
	const struct tfs_tensor *t;
	const struct tfs_encoding *p;
	struct tfs_source *source;
	struct tfs_inflater *inflater; /* DEFLATED, once something has been read */
	uint8_t *scratch;
	uint8_t *tile;	       /* TILE bytes, if there are strides */
	const uint8_t *staged; /* decoded bytes are here, not in the source */
	enum tfs_priority priority;
	uint64_t warm, warm_end; /* decoded bytes that were brought into the page cache */
	enum tfs_read_how *how;
	struct tfs_error *err;
};

/* Source bytes that fit in the scratch, with the room that a direct read needs. */
enum { WINDOW = TFS_EXTRACT_SCRATCH - 2 * TFS_IO_ALIGN };

struct tfs_extractor *tfs_extractor_create(struct tfs_sources *sources, const struct tfs_staging_memory *memory)
{
	struct tfs_extractor *x = calloc(1, sizeof *x);

	if (!x)
		return NULL;
	x->sources = sources;
	x->inflaters = tfs_inflaters_create();
	x->staging = tfs_staging_pool_create(memory);
	x->scaled = tfs_scaled_pool_create(memory);
	if (!x->inflaters || !x->staging || !x->scaled) {
		tfs_extractor_destroy(x);
		return NULL;
	}
	return x;
}

void tfs_extractor_stop(struct tfs_extractor *x)
{
	tfs_inflaters_stop(x->inflaters);
}

bool tfs_extractor_trim(struct tfs_extractor *x, int seconds)
{
	const bool staged = tfs_staging_pool_trim(x->staging, seconds);

	return tfs_scaled_pool_trim(x->scaled, seconds) || staged;
}

void tfs_extractor_destroy(struct tfs_extractor *x)
{
	if (!x)
		return;
	tfs_inflaters_destroy(x->inflaters);
	tfs_staging_pool_destroy(x->staging);
	tfs_scaled_pool_destroy(x->scaled);
	free(x);
}

/* --- Decoding: bytes as they are before strides and swap ------------------------------------------------------------- */

/* [offset, offset + len) of the file into @dst, which needn't be aligned. */
static int copy_stored(struct extract *e, uint64_t offset, size_t len, uint8_t *dst)
{
	int r = 0;

	while (len && !r) {
		size_t n = len < WINDOW ? len : WINDOW;
		uint8_t *data;

		r = tfs_source_read(e->source, offset, n, e->scratch, &data, e->how, e->err);
		if (!r)
			memcpy(dst, data, n);
		offset += n;
		dst += n;
		len -= n;
	}
	return r;
}

/* The last segment that begins at decoded byte @at or before. */
static size_t find_segment(const struct tfs_encoding *p, uint64_t at)
{
	return tfs_search(i, 1, p->n_segments, p->segments[i].at <= at) - 1;
}

/* Where the decoded bytes of segment @i end; those of the last one aren't limited by the tensor's size, as its strides may skip some. */
static uint64_t segment_end(const struct extract *e, size_t i)
{
	return i + 1 < e->p->n_segments ? e->p->segments[i + 1].at : UINT64_MAX;
}

/* The same of another file than the tensor's own. The error names it. */
static int copy_other(struct extract *e, uint32_t node, uint64_t offset, size_t len, uint8_t *dst)
{
	struct tfs_source *own = e->source;
	int r = tfs_source_pin(e->x->sources, node, &e->source, e->err);

	if (!r) {
		r = copy_stored(e, offset, len, dst);
		if (!r)
			r = tfs_source_check(e->x->sources, e->source, e->err);
		tfs_source_unpin(e->x->sources, e->source);
	}
	e->source = own;
	if (r)
		tfs_source_name(e->x->sources, node, e->err);
	return r;
}

static int copy_segments(struct extract *e, uint64_t at, size_t len, uint8_t *dst)
{
	int r = 0;

	for (size_t i = find_segment(e->p, at); len && !r; i++) {
		uint64_t left = segment_end(e, i) - at, from = e->p->segments[i].offset + (at - e->p->segments[i].at);
		uint32_t file = e->p->files ? e->p->files[e->p->file_of[i]] : e->t->source;
		size_t n = left < len ? left : len;

		if (file != e->t->source)
			r = copy_other(e, file, from, n, dst);
		else
			r = copy_stored(e, from, n, dst);
		at += n;
		dst += n;
		len -= n;
	}
	return r;
}

/* A varint takes up to 10 bytes (protobuf.dev, Encoding). */
enum { VARINT_MAX = 10 };

/* @n values of the segment at source byte @offset into @dst, after skipping @skip of them. None is beyond source byte @limit. */
static int decode_segment(struct extract *e, uint64_t offset, uint64_t limit, uint64_t skip, uint64_t n, uint8_t *dst)
{
	const uint8_t *at = NULL, *end = NULL;
	int r;

	for (n += skip; n;) {
		uint64_t value = 0;
		unsigned shift = 0;
		const uint8_t *from = at;

		while (at < end && *at & 0x80 && at - from < VARINT_MAX - 1) {
			value |= (uint64_t)(*at++ & 0x7f) << shift;
			shift += 7;
		}
		if (at == end) { /* none left, or not all of this one */
			uint8_t *data;
			uint64_t left = limit - offset;
			size_t want = left < WINDOW ? left : WINDOW;

			if (from && at - from == (ptrdiff_t)want)
				return tfs_error_set(e->err, -EIO, offset, "a varint ends too early");
			r = tfs_source_read(e->source, offset, want, e->scratch, &data, e->how, e->err);
			if (r)
				return r;
			at = data;
			end = data + want;
			continue;
		}
		value |= (uint64_t)*at++ << shift;
		offset += at - from;
		n--;
		if (skip) {
			skip--;
			continue;
		}
		value = htole64(value);
		memcpy(dst, &value, e->p->width);
		dst += e->p->width;
	}
	return 0;
}

static int decode_varints(struct extract *e, uint64_t at, size_t len, uint8_t *dst)
{
	const struct tfs_encoding *p = e->p;
	int r = 0;

	for (size_t i = find_segment(p, at); len && !r; i++) {
		uint64_t left = segment_end(e, i) - at;
		size_t n = left < len ? left : len;
		uint64_t limit = i + 1 < p->n_segments ? p->segments[i + 1].offset : e->t->offset + p->length;

		r = decode_segment(e, p->segments[i].offset, limit, (at - p->segments[i].at) / p->width, n / p->width, dst);
		at += n;
		dst += n;
		len -= n;
	}
	return r;
}

/*
 * @n characters from source byte @offset on into @dst, after skipping @skip of them, each one or two bytes (RFC 3629); none is
 * beyond source byte @limit. The parser has seen all of them.
 */
static int decode_text(struct extract *e, uint64_t offset, uint64_t limit, uint64_t skip, uint64_t n, uint8_t *dst)
{
	uint8_t *data, lead = 0;
	int r = 0;

	for (n += skip; n && !r;) {
		size_t want = limit - offset < WINDOW ? limit - offset : WINDOW;

		if (!want)
			return tfs_error_set(e->err, -EIO, offset, "a text ends too early");
		r = tfs_source_read(e->source, offset, want, e->scratch, &data, e->how, e->err);
		offset += want;
		for (size_t i = 0; i < want && n && !r; i++) {
			if (data[i] >= 0xc0) {
				lead = data[i];
				continue;
			}
			n--;
			if (skip)
				skip--;
			else
				*dst++ = data[i] < 0x80 ? data[i] : (uint8_t)(lead << 6 | (data[i] & 0x3f));
		}
	}
	return r;
}

static int decode_texts(struct extract *e, uint64_t at, size_t len, uint8_t *dst)
{
	const struct tfs_encoding *p = e->p;
	int r = 0;

	for (size_t i = find_segment(p, at); len && !r; i++) {
		uint64_t left = segment_end(e, i) - at;
		size_t n = left < len ? left : len;
		uint64_t limit = i + 1 < p->n_segments ? p->segments[i + 1].offset : e->t->offset + p->length;

		r = decode_text(e, p->segments[i].offset, limit, at - p->segments[i].at, n, dst);
		at += n;
		dst += n;
		len -= n;
	}
	return r;
}

static int inflate_part(struct extract *e, uint64_t at, size_t len, uint8_t *dst)
{
	if (ckd_add(&at, at, e->p->skip))
		return tfs_error_set(e->err, -EIO, e->t->offset, "inflating: beyond 2^64 bytes");
	if (e->inflater && tfs_inflater_place(e->inflater) > at) {
		tfs_inflater_give_back(e->x->inflaters, e->inflater);
		e->inflater = NULL;
	}
	if (!e->inflater)
		e->inflater = tfs_inflater_take(e->x->inflaters, e->t, at);
	if (!e->inflater)
		return tfs_error_set(e->err, -ENOMEM, TFS_NO_OFFSET, "no memory to inflate");
	return tfs_inflater_read(e->inflater, e->source, at, len, dst, e->scratch, e->how, e->err);
}

/* Decoded bytes [at, at + len), counted from element 0. */
static int decode(struct extract *e, uint64_t at, size_t len, uint8_t *dst)
{
	switch (e->p->coding) {
	case TFS_DEFLATED:
		return inflate_part(e, at, len, dst);
	case TFS_VARINT:
		return decode_varints(e, at, len, dst);
	case TFS_LATIN1:
		return decode_texts(e, at, len, dst);
	default:
		return e->p->n_segments ? copy_segments(e, at, len, dst) : copy_stored(e, e->t->offset + at, len, dst);
	}
}

/* --- Strides ------------------------------------------------------------------------------------------------------- */

/* Elements are read together with what is between them, unless that is more than this many times as much. */
enum { WASTE = 8 };

/* Source bytes that are read and picked from at a time: as much as stays in the CPU's cache. */
enum { TILE = 512 << 10 };

/* Shorter pieces are read through the page cache, since each of its pages will be needed for other pieces too. */
enum { SMALL = 64 << 10 };

/* For an array that is read in small pieces, this much is loaded into the page cache at once. */
#define WARM_MAX ((uint64_t)1 << 30)

/* Decoded bytes [at, at + len), a tile: *@ret_data is where they are, until the next one. */
static int read_tile(struct extract *e, uint64_t at, size_t len, const uint8_t **ret_data)
{
	uint8_t *data = e->tile;
	int r;

	if (e->p->coding != TFS_STORED)
		r = decode(e, at, len, e->tile);
	else if (len < SMALL)
		r = tfs_source_read_buffered(e->source, e->t->offset + at, len, e->tile, e->err);
	else
		r = tfs_source_read(e->source, e->t->offset + at, len, e->scratch, &data, e->how, e->err);
	*ret_data = data;
	return r;
}

/*
 * Small pieces of [at, at + len) are about to be read. Reading them page by page would be slow; sequential reading brings them into
 * the page cache quickly. Their pages stay there: the next part of the tensor needs the same ones, and the kernel can reclaim them.
 */
static int warm(struct extract *e, uint64_t at, uint64_t len)
{
	if (e->p->coding != TFS_STORED || len > WARM_MAX || (at >= e->warm && at + len <= e->warm_end))
		return 0;
	e->warm = at;
	e->warm_end = at + len;
	return tfs_source_warm(e->source, e->t->offset + at, len, e->scratch, TFS_EXTRACT_SCRATCH, e->err);
}

/* The whole box @d of @n dimensions, densest first, that begins at decoded byte @at. */
static int gather(struct extract *e, const struct tfs_dim *d, unsigned n, uint64_t at, uint8_t *dst)
{
	/*
	 * A tile: as many of the densest dimensions as fit and are worth reading at once. With deflate, what is between is inflated
	 * in any case, and text is decoded from further ahead.
	 */
	bool inflated = e->p->coding != TFS_STORED;
	uint64_t span = 1, useful = 1;
	unsigned k = 0;
	int r = 0;

	for (; k < n; k++) {
		uint64_t more;
		if (ckd_mul(&more, d[k].n - 1, d[k].from) || ckd_add(&more, more, span) || more > TILE ||
		    (!inflated && more / WASTE > useful * d[k].n))
			break;
		if (d[k].from) /* repeated elements are read once */
			useful *= d[k].n;
		span = more;
	}
	if (k == n) {
		const uint8_t *tile;
		r = read_tile(e, at, span, &tile);
		if (!r)
			tfs_strided_copy(d, n, tile, dst);
		return r;
	}
	if (span < SMALL) {
		uint64_t all = 1;
		for (unsigned i = 0; i < n; i++)
			all += (d[i].n - 1) * d[i].from; /* inside the file */
		r = warm(e, at, all);
	}
	/* Iterate over the sparsest dimension one by one; or by parts, if it is the one that must be cut and dense enough. */
	struct tfs_dim parts[TFS_MAX_DIMS + 1];
	memcpy(parts, d, n * sizeof *d);
	struct tfs_dim outer = d[n - 1];
	uint64_t step = 1;
	if (k == n - 1 && outer.from && (inflated || outer.from / WASTE <= useful))
		step = (TILE - span) / outer.from + 1;
	if (step >= outer.n)
		step = 1;
	for (uint64_t i = 0; i < outer.n && !r; i += step) {
		uint64_t here = outer.n - i < step ? outer.n - i : step;
		parts[n - 1].n = here;
		r = gather(e, parts, here == 1 ? n - 1 : n, at + i * outer.from, dst + i * outer.to);
	}
	return r;
}

/* The whole of dimensions [level, …) of the array, the first of them cut to @count, that begins at decoded byte @at. */
static int gather_box(struct extract *e, const struct tfs_strided *a, unsigned level, uint64_t count, uint64_t at, uint8_t *dst)
{
	struct tfs_dim d[TFS_MAX_DIMS + 1];
	unsigned n = tfs_strided_box(a, level, count, d);

	if (!e->staged)
		return gather(e, d, n, at, dst);
	tfs_strided_copy(d, n, e->staged + at, dst);
	return 0;
}

/* Bytes [at, end) of the array below @level, counted in C order; it begins at decoded byte @from. */
static int gather_range(struct extract *e, const struct tfs_strided *a, unsigned level, uint64_t from, uint64_t at, uint64_t end,
			uint8_t *dst)
{
	const struct tfs_dim *d = &a->dims[level];
	int r = 0;

	while (at < end && !r) {
		uint64_t i = at / d->to, rest = at % d->to, upto;

		if (!rest && end - at >= d->to) {
			uint64_t count = (end - at) / d->to;
			upto = at + count * d->to;
			r = gather_box(e, a, level, count, from + i * d->from, dst);
		} else {
			/* Not a whole one: the requested part of it, a level below. */
			upto = (i + 1) * d->to < end ? (i + 1) * d->to : end;
			r = gather_range(e, a, level + 1, from + i * d->from, rest, rest + (upto - at), dst);
		}
		dst += upto - at;
		at = upto;
	}
	return r;
}

/* Read the part that the staging buffer has room for. */
static int fill(struct extract *e, struct tfs_staging *sp)
{
	const struct tfs_strided_part *p = &sp->part;

	if (p->n_fill == 1 && p->fill->from == 1)
		return decode(e, p->from, p->bytes, sp->buf);
	return gather(e, p->fill, p->n_fill, p->from, sp->buf);
}

/* Parts smaller than this many times the request aren't worth keeping. */
enum { WORTH = 2 };

/* A tensor of this size is worth a warning if it is inflated more than OFTEN times, for lack of memory. */
#define SLOW ((uint64_t)64 << 20)
enum { OFTEN = 2 };

/* There is memory for @room bytes of @a at a time. Logged once, for the first. */
static void say_slow(struct extract *e, const struct tfs_strided *a, uint64_t room)
{
	uint64_t size = tfs_strided_size(a);
	char name[TFS_QUOTE_SIZE];

	if (size >= SLOW && size / OFTEN > room && !atomic_exchange(&e->x->said_slow, true))
		tfs_log_warning("tensor %s: deflated and not in C order: inflating it once requires %" PRIu64
				" bytes of memory, of which %" PRIu64
				" are available (see --memory), so it is inflated again for each part of that size",
				tfs_quote(name, sizeof name, e->t->name, e->t->name_len), size, room);
}

/* Like pick(), by way of a staging buffer, as far as there is room for one. */
static int pick_staged(struct extract *e, const struct tfs_strided *a, uint64_t at, size_t len, uint8_t *dst)
{
	struct tfs_staging *sp = tfs_staging_take(e->x->staging, e->t);
	uint64_t end = at + len;
	int r = 0;

	if (!sp)
		return tfs_error_set(e->err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	if (at == sp->reached)
		sp->reached = end;
	while (at < end && !r) {
		if (!sp->buf || at < sp->part.at || at >= sp->part.end) {
			if (!tfs_staging_fit(e->x->staging, sp, a, at, WORTH * (uint64_t)len, e->priority)) {
				say_slow(e, a, len);
				r = gather_range(e, a, 0, 0, at, end, dst);
				break;
			}
			say_slow(e, a, sp->part.bytes);
			r = fill(e, sp);
			/*
			 * Later pieces won't read the source any more: these bytes may be used only if they are the right file's.
			 */
			if (!r)
				r = tfs_source_check(e->x->sources, e->source, e->err);
			if (r)
				break;
		}
		uint64_t upto = sp->part.end < end ? sp->part.end : end;
		e->staged = sp->buf;
		gather_range(e, &sp->part.array, 0, 0, at - sp->part.at, upto - sp->part.at, dst);
		e->staged = NULL;
		dst += upto - at;
		at = upto;
	}
	tfs_staging_give_back(e->x->staging, sp, !r && sp->reached < e->t->nbytes);
	return r;
}

static int pick(struct extract *e, uint64_t at, size_t len, uint8_t *dst)
{
	struct tfs_strided a;
	int r;

	e->tile = malloc(TILE);
	if (!e->tile)
		return tfs_error_set(e->err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	tfs_strided_describe(e->t, &a);
	if (e->p->coding == TFS_DEFLATED && len < e->t->nbytes)
		r = pick_staged(e, &a, at, len, dst);
	else
		r = gather_range(e, &a, 0, 0, at, at + len, dst);
	free(e->tile);
	return r;
}

/* --- All of it ------------------------------------------------------------------------------------------------------- */

static void swap(uint8_t *bytes, size_t len, unsigned unit)
{
	uint16_t w2;
	uint32_t w4;
	uint64_t w8;

#define SWAP(word, fn)                                                   \
	for (size_t i = 0; i + sizeof(word) <= len; i += sizeof(word)) { \
		memcpy(&(word), bytes + i, sizeof(word));                \
		(word) = fn(word);                                       \
		memcpy(bytes + i, &(word), sizeof(word));                \
	}
	switch (unit) {
	case 2:
		SWAP(w2, __builtin_bswap16)
		break;
	case 4:
		SWAP(w4, __builtin_bswap32)
		break;
	case 8:
		SWAP(w8, __builtin_bswap64)
		break;
	}
#undef SWAP
}

/* The same for @words of each block; @bytes are those from byte @at of the tensor on. */
static void swap_words(uint8_t *bytes, uint64_t at, size_t len, size_t block, const struct tfs_words *words)
{
	for (const struct tfs_words *w = words; w->count; w++) {
		const size_t run = (size_t)w->count * w->width;

		for (uint64_t from = at - at % block + w->at; from < at + len; from += block) {
			uint64_t begin = from < at ? at : from, end = from + run < at + len ? from + run : at + len;

			if (begin < end)
				swap(bytes + (begin - at), end - begin, w->width);
		}
	}
}

int tfs_extract(struct tfs_extractor *x, const struct tfs_tensor *t, struct tfs_read_request *rq)
{
	static const struct tfs_encoding plain = { 0 };
	struct tfs_error changed = { .offset = TFS_NO_OFFSET };
	const struct tfs_encoding *p = t->encoding ? t->encoding : &plain;
	struct extract e = {
		.x = x, .t = t, .p = p, .scratch = rq->scratch, .priority = rq->priority, .how = &rq->how, .err = &rq->err
	};

	assert(!(rq->at % tfs_encoding_unit(p)) && !(rq->len % tfs_encoding_unit(p)));
	rq->how = TFS_READ_BUFFERED;
	rq->data = rq->buf;
	int r = tfs_source_pin(x->sources, t->source, &e.source, e.err);
	if (r) {
		tfs_source_name(x->sources, t->source, e.err);
		return r;
	}
	if (p->strides)
		r = pick(&e, rq->at, rq->len, rq->data);
	else if (p->coding == TFS_STORED && !p->n_segments)
		r = tfs_source_read(e.source, t->offset + rq->at, rq->len, rq->buf, &rq->data, e.how, e.err);
	else
		r = decode(&e, rq->at, rq->len, rq->data);
	if (e.inflater)
		tfs_inflater_give_back(x->inflaters, e.inflater);
	if (!r && p->words)
		swap_words(rq->data, rq->at, rq->len, t->dtype->block_bytes, p->words);
	else if (!r)
		swap(rq->data, rq->len, p->swap);
	if (!e.source)
		return r; /* another file of it is gone */
	/* Success or error, the result is valid only if the file is still the one whose header described this. */
	int c = tfs_source_check(x->sources, e.source, &changed);
	if (c)
		rq->err = changed;
	if (c || r)
		tfs_source_name(x->sources, e.source->node, &rq->err);
	tfs_source_unpin(x->sources, e.source);
	return c ? c : r;
}

int tfs_extract_check(struct tfs_extractor *x, const struct tfs_tensor *t, struct tfs_error *err)
{
	return tfs_sources_check(x->sources, t, err);
}

/* How much of a tensor is extracted at a time if it doesn't go straight to its destination. */
#define PIECE (TFS_EXTRACT_SCRATCH - 2 * TFS_IO_ALIGN)

int tfs_extract_copy(struct tfs_extractor *x, const struct tfs_tensor *t, uint64_t at, size_t len, uint8_t *dst, void *bounce,
		     struct tfs_read_request *rq)
{
	uint32_t unit = t->encoding ? tfs_encoding_unit(t->encoding) : 1;

	while (len) {
		uint64_t lead = at % unit;
		size_t n = len < PIECE - 2 * unit ? len : PIECE - 2 * unit;
		struct tfs_read_request part = {
			.at = at - lead,
			.len = (lead + n + unit - 1) / unit * unit,
			.priority = rq->priority,
			.buf = bounce,
			.scratch = rq->scratch,
			.err.offset = TFS_NO_OFFSET,
		};
		int r = tfs_extract(x, t, &part);

		rq->how = part.how;
		if (r) {
			rq->err = part.err;
			return r;
		}
		memcpy(dst, part.data + lead, n);
		at += n;
		dst += n;
		len -= n;
	}
	return 0;
}

/* --- Tensors as content ---------------------------------------------------------------------------------------------- */

static struct tfs_extent extent_of(const void *of)
{
	const struct tfs_tensor *t = of;
	return (struct tfs_extent){ t->source, t->offset };
}

static const struct tfs_tensor *stream_of(const void *of)
{
	const struct tfs_tensor *t = of;
	return t->encoding->coding == TFS_DEFLATED ? t : NULL;
}

static int read_tensor(const void *of, struct tfs_extractor *x, struct tfs_read_request *rq)
{
	return tfs_extract(x, of, rq);
}

static int read_scaled(const void *of, struct tfs_extractor *x, struct tfs_read_request *rq)
{
	return tfs_scaled_read(x->scaled, x, of, rq);
}

static uint32_t file_of(const void *t)
{
	return ((const struct tfs_tensor *)t)->source;
}

struct tfs_content tfs_content_of_tensor(const struct tfs_tensor *t)
{
	static const struct tfs_content_ops extent = { .extent = extent_of, .read = read_tensor };
	static const struct tfs_content_ops encoded = { .file = file_of, .in_order = stream_of, .read = read_tensor };
	static const struct tfs_content_ops scaled = { .file = file_of, .read = read_scaled };

	if (tfs_is_scaled(t))
		return (struct tfs_content){ &scaled, t };
	return (struct tfs_content){ t->encoding ? &encoded : &extent, t };
}
