/* SPDX-License-Identifier: MIT */
#include "content/scaled.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "content/extract.h"
#include "convert/codes.h"
#include "convert/convert.h"

/* What is needed besides the codes of one weight, ready for use. */
struct operands {
	struct operands *next;
	const struct tfs_tensor *t;
	enum { LOADING, READY, FAILED } state;
	unsigned users;
	uint64_t charged; /* bytes of the budget */
	uint64_t done;	  /* bytes of the weight that were computed with it */
	double used_at;	  /* of tfs_now() */
	int code;	  /* FAILED, with the error */
	struct tfs_error err;
	/* READY */
	struct tfs_scaled_operands of;
	uint8_t *codes;		     /* OTHERWISE: what unpack() made */
	size_t n_codes;		     /* bytes of these */
	tfs_convert_fn *convert;     /* for codes of a byte; NULL: use the table */
	struct tfs_code_pairs pairs; /* for codes of 4 bits */
};

struct tfs_scaled_pool {
	struct tfs_staging_memory memory;
	pthread_mutex_t lock;
	/* Large buffers that were used before: the kernel would clear fresh ones, which takes as long as filling them. */
	struct spare {
		uint8_t *bytes;
		size_t size;
	} spares[2];
	pthread_cond_t changed;	    /* operands were loaded, or are no longer used */
	struct operands *first;	    /* guarded by the lock, as are all fields of operands above READY */
	struct operands *overdrawn; /* those that go beyond the budget, as it refused them; NULL: none */
};

/* Less than this isn't worth asking the budget for: the scales of most weights. */
enum { SMALL = 1 << 20 };

/* --- What is kept ---------------------------------------------------------------------------------------------------- */

struct tfs_scaled_pool *tfs_scaled_pool_create(const struct tfs_staging_memory *memory)
{
	struct tfs_scaled_pool *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->memory = *memory;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	return p;
}

static void give(struct tfs_scaled_pool *p, uint64_t bytes)
{
	if (p->memory.give && bytes)
		p->memory.give(p->memory.arg, bytes);
}

/* Room for @size bytes, of any content, for put_buffer(); *@ret_size: how many there are. NULL: out of memory. */
static uint8_t *take_buffer(struct tfs_scaled_pool *p, size_t size, size_t *ret_size)
{
	struct spare found = { 0 };

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < 2 && !found.bytes; i++)
		if (p->spares[i].size >= size && p->spares[i].size / 2 <= size) {
			found = p->spares[i];
			p->spares[i] = (struct spare){ 0 };
		}
	pthread_mutex_unlock(&p->lock);
	*ret_size = found.bytes ? found.size : size;
	return found.bytes ? found.bytes : tfs_buffer_create(size);
}

/* Its bytes may be NULL. */
static void put_buffer(struct tfs_scaled_pool *p, struct spare old)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < 2 && old.bytes && old.size >= SMALL; i++)
		if (!p->spares[i].bytes) {
			p->spares[i] = old;
			old = (struct spare){ 0 };
		}
	pthread_mutex_unlock(&p->lock);
	tfs_buffer_destroy(old.bytes, old.size);
}

static void drop_spares(struct tfs_scaled_pool *p)
{
	struct spare old[2];

	pthread_mutex_lock(&p->lock);
	memcpy(old, p->spares, sizeof old);
	memset(p->spares, 0, sizeof p->spares);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < 2; i++)
		tfs_buffer_destroy(old[i].bytes, old[i].size);
}

static void drop_arrays(struct tfs_scaled_pool *p, struct operands *o)
{
	free(o->of.scale);
	free(o->of.offset);
	free(o->of.group);
	put_buffer(p, (struct spare){ o->codes, o->n_codes });
	o->of.scale = o->of.offset = NULL;
	o->of.group = NULL;
	o->codes = NULL;
}

static void destroy(struct tfs_scaled_pool *p, struct operands *o)
{
	while (o) {
		struct operands *next = o->next;

		drop_arrays(p, o);
		give(p, o->charged);
		free(o);
		o = next;
	}
}

void tfs_scaled_pool_destroy(struct tfs_scaled_pool *p)
{
	if (!p)
		return;
	destroy(p, p->first);
	drop_spares(p);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Operands that nobody uses are taken out of the list, to be destroyed. */
static struct operands *take_out(struct tfs_scaled_pool *p, struct operands *o)
{
	struct operands **at = &p->first;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	o->next = NULL;
	if (p->overdrawn == o)
		p->overdrawn = NULL;
	return o;
}

/* Release the operands that nobody has used for @seconds. True: there are others. */
static bool release_old(struct tfs_scaled_pool *p, int seconds)
{
	struct operands *old = NULL;
	bool left;
	double now = tfs_now();

	pthread_mutex_lock(&p->lock);
	for (struct operands **at = &p->first; *at;) {
		struct operands *o = *at;

		if (o->users || now - o->used_at < seconds) {
			at = &o->next;
			continue;
		}
		take_out(p, o)->next = old;
		old = o;
	}
	left = p->first;
	pthread_mutex_unlock(&p->lock);
	destroy(p, old);
	return left;
}

bool tfs_scaled_pool_trim(struct tfs_scaled_pool *p, int seconds)
{
	const bool left = release_old(p, seconds);

	drop_spares(p);
	return left;
}

/* The operands of @t, to be released by put(); *@ret_load: they are new, and the caller must load them. NULL: out of memory. */
static struct operands *take(struct tfs_scaled_pool *p, const struct tfs_tensor *t, bool *ret_load)
{
	struct operands *o;

	pthread_mutex_lock(&p->lock);
	for (o = p->first; o && o->t != t; o = o->next)
		;
	*ret_load = !o;
	if (!o && (o = calloc(1, sizeof *o))) {
		o->t = t;
		o->next = p->first;
		p->first = o;
	}
	if (o)
		o->users++;
	while (o && !*ret_load && o->state == LOADING)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return o;
}

/* @made: bytes of the weight. Operands that failed, or whose weight was computed completely, are no longer needed. */
static void put(struct tfs_scaled_pool *p, struct operands *o, uint64_t made)
{
	pthread_mutex_lock(&p->lock);
	o->done += made;
	o->used_at = tfs_now();
	o->users--;
	if (!o->users && p->overdrawn == o)
		pthread_cond_broadcast(&p->changed);
	o = !o->users && (o->state == FAILED || o->done >= o->t->nbytes) ? take_out(p, o) : NULL;
	pthread_mutex_unlock(&p->lock);
	destroy(p, o);
}

/* --- Loading --------------------------------------------------------------------------------------------------------- */

static uint64_t n_values(const struct tfs_scaled *w)
{
	return w->experts * w->rows * w->cols;
}

/* Does unpack() make bytes? */
static bool unpacked_to_bytes(const struct tfs_scaled *w)
{
	return w->packing == TFS_PACKED_OTHERWISE && !w->row_bytes;
}

static uint64_t unpacked_bytes(const struct tfs_scaled *w)
{
	if (w->packing != TFS_PACKED_OTHERWISE)
		return 0;
	return unpacked_to_bytes(w) ? n_values(w) : w->experts * w->rows * w->row_bytes;
}

/* Bytes that are kept. */
static uint64_t kept_bytes(const struct tfs_scaled *w)
{
	bool two = w->form == TFS_SCALED_MINUS_TIMES || w->form == TFS_SCALED_TIMES_PLUS;

	return w->n_scales * (two ? 2 : 1) * sizeof(float) + (w->has_groups ? w->cols * sizeof(uint32_t) : 0) + unpacked_bytes(w);
}

/* Bytes that are needed in addition while loading. */
static uint64_t passing_bytes(const struct tfs_scaled *w)
{
	uint64_t bytes = w->packing == TFS_PACKED_OTHERWISE ? w->parts[0]->nbytes : 0;

	for (unsigned i = 1; i < w->n_parts; i++)
		bytes += w->parts[i]->nbytes;
	return bytes;
}

static int no_memory(struct tfs_error *err, uint64_t bytes)
{
	return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET,
			     "no memory for the %" PRIu64 " bytes that its codes go with (see --memory)", bytes);
}

/* Read all bytes of @part to @bytes, which may be NULL: out of memory. */
static int read_all(struct tfs_extractor *x, const struct tfs_tensor *part, uint8_t *bytes, void *bounce,
		    struct tfs_read_request *rq)
{
	return bytes ? tfs_extract_copy(x, part, 0, part->nbytes, bytes, bounce, rq) : no_memory(&rq->err, part->nbytes);
}

/* E2M1 (OCP Microscaling Formats v1.0, table 11). */
static const float e2m1[8] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };

static void fill_table(const struct tfs_scaled *w, float *table)
{
	for (int i = 0; w->bits <= 8 && i < 1 << w->bits; i++) {
		if (w->value == TFS_VALUE_UNSIGNED)
			table[i] = (float)i;
		else if (w->value == TFS_VALUE_SIGNED)
			table[i] = (float)(i - (i >> (w->bits - 1) << w->bits));
		else if (w->value == TFS_VALUE_E2M1)
			table[i] = i < 8 ? e2m1[i] : -e2m1[i - 8];
	}
}

static tfs_convert_fn *convert_of(const struct tfs_scaled *w)
{
	static const char *const names[] = {
		[TFS_VALUE_UNSIGNED] = "U8", [TFS_VALUE_SIGNED] = "I8", [TFS_VALUE_E4M3] = "F8_E4M3", [TFS_VALUE_E5M2] = "F8_E5M2"
	};
	/* unpack() makes bytes of codes of any width, and then unsigned ones are worth what the byte is. */
	const bool bytes = w->bits == 8 || (unpacked_to_bytes(w) && w->value == TFS_VALUE_UNSIGNED);

	if (w->value == TFS_VALUE_DTYPE)
		return tfs_convert_for(w->parts[0]->dtype);
	const char *name = bytes && w->value < sizeof names / sizeof *names ? names[w->value] : NULL;

	return name ? tfs_convert_for(tfs_dtype_by_name(name, strlen(name))) : NULL;
}

/* Whoever reports the error names the file of the codes. */
static void name_part(const struct tfs_scaled *w, unsigned i, struct tfs_error *err)
{
	struct tfs_error cause = *err;
	char name[TFS_QUOTE_SIZE];

	tfs_error_set(err, err->code, TFS_NO_OFFSET, "%s, which it is computed from: %s",
		      tfs_quote(name, sizeof name, w->parts[i]->name, w->parts[i]->name_len), cause.what);
}

static int make_operands(struct tfs_scaled_pool *p, struct operands *o, const struct tfs_scaled *w, struct tfs_extractor *x,
			 void *bounce, struct tfs_read_request *rq)
{
	/* The place of the last row's first scale. */
	const uint64_t last = (w->experts - 1) * w->per_expert + (w->rows - 1) / w->row_block * w->per_row;
	uint8_t *parts[TFS_SCALED_PARTS] = { NULL };
	bool two = w->form == TFS_SCALED_MINUS_TIMES || w->form == TFS_SCALED_TIMES_PLUS;
	int r = 0;

	o->of.scale = calloc(w->n_scales ? w->n_scales : 1, sizeof *o->of.scale);
	o->of.offset = two ? calloc(w->n_scales ? w->n_scales : 1, sizeof *o->of.offset) : NULL;
	o->of.group = w->has_groups ? calloc(w->cols ? w->cols : 1, sizeof *o->of.group) : NULL;
	if (w->packing == TFS_PACKED_OTHERWISE)
		o->codes = take_buffer(p, unpacked_bytes(w) + 1, &o->n_codes);
	if (!o->of.scale || (two && !o->of.offset) || (w->has_groups && !o->of.group) ||
	    (w->packing == TFS_PACKED_OTHERWISE && !o->codes))
		r = no_memory(&rq->err, kept_bytes(w));
	for (unsigned i = 1; i < w->n_parts && !r; i++) {
		parts[i] = malloc(w->parts[i]->nbytes + 1);
		r = read_all(x, w->parts[i], parts[i], bounce, rq);
		if (r && r != -ENOMEM)
			name_part(w, i, &rq->err);
	}
	fill_table(w, o->of.table);
	if (!r)
		r = w->ops->prepare(w, (const uint8_t *const *)parts, &o->of, &rq->err);
	/* Parts that contradict each other are a file that can't be read, not a wrong argument of who reads it. */
	if (r == -EINVAL)
		r = rq->err.code = -EIO;
	for (unsigned i = 1; i < w->n_parts; i++)
		free(parts[i]);
	if (!r && w->packing == TFS_PACKED_OTHERWISE) {
		size_t size;
		uint8_t *stored = take_buffer(p, w->parts[0]->nbytes + 1, &size);

		r = read_all(x, w->parts[0], stored, bounce, rq);
		if (!r)
			w->ops->unpack(w, stored, o->codes);
		put_buffer(p, (struct spare){ stored, size });
	}
	for (uint64_t c = 0; !r && w->has_groups && c < w->cols; c++)
		if (last + o->of.group[c] * w->per_col >= w->n_scales)
			r = tfs_error_set(&rq->err, -EIO, TFS_NO_OFFSET, "column %" PRIu64 " is of group %" PRIu32, c,
					  o->of.group[c]);
	if (r)
		return r;
	o->convert = convert_of(w);
	if (w->bits == 4)
		tfs_code_pairs_make(o->of.table, w->packing == TFS_PACKED_HIGH_FIRST, &o->pairs);
	return 0;
}

/*
 * May @o take @bytes beyond the budget? Waits until the part that another thread makes with such operands is done, and releases these.
 * Nobody waits for anything while making a part but its storage, so this ends.
 */
static bool overdraw(struct tfs_scaled_pool *p, struct operands *o, uint64_t bytes)
{
	struct operands *old = NULL;

	if (bytes > p->memory.overdraft)
		return false;
	pthread_mutex_lock(&p->lock);
	while (p->overdrawn && p->overdrawn->users)
		pthread_cond_wait(&p->changed, &p->lock);
	if (p->overdrawn)
		old = take_out(p, p->overdrawn);
	p->overdrawn = o;
	pthread_mutex_unlock(&p->lock);
	destroy(p, old);
	return true;
}

static void load(struct tfs_scaled_pool *p, struct operands *o, struct tfs_extractor *x, struct tfs_read_request *rq)
{
	const struct tfs_scaled how = tfs_scaled_of(o->t), *w = &how;
	uint64_t kept = kept_bytes(w), all = kept + passing_bytes(w), taken = 0;
	void *bounce = NULL;
	int r = 0;

	if (all > SMALL && p->memory.take) {
		release_old(p, 1);
		taken = p->memory.take(p->memory.arg, all, all, rq->priority);
		if (!taken && !overdraw(p, o, all))
			r = no_memory(&rq->err, all);
	}
	if (!r && !(bounce = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH)))
		r = no_memory(&rq->err, TFS_EXTRACT_SCRATCH);
	if (!r)
		r = make_operands(p, o, w, x, bounce, rq);
	free(bounce);
	if (r)
		drop_arrays(p, o);
	if (taken > kept || r)
		give(p, r ? taken : taken - kept);
	pthread_mutex_lock(&p->lock);
	o->charged = r || !taken ? 0 : kept;
	o->state = r ? FAILED : READY;
	o->code = r;
	o->err = rq->err;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* --- Making values --------------------------------------------------------------------------------------------------- */

/* Codes in memory: those from byte @from on of the code tensor, or of the operands' codes. */
struct codes {
	const uint8_t *bytes;
	uint64_t from;
};

/* The values of the codes alone, for @n values from column @c of row @row (counted through all experts) on. */
static void decode(const struct operands *o, const struct tfs_scaled *w, const struct codes *codes, uint64_t row, uint64_t c,
		   size_t n, float *dst)
{
	const uint64_t row_bytes = unpacked_to_bytes(w) ? w->cols : w->row_bytes;
	/* If the row isn't requested from its beginning, its first codes aren't in memory: positions are relative to what is. */
	const uint64_t skip = codes->from > row * row_bytes ? codes->from - row * row_bytes : 0;
	const uint8_t *src = codes->bytes + (row * row_bytes + skip - codes->from);

	if (w->bits >= 8 || unpacked_to_bytes(w)) {
		src += (w->bits > 8 ? c * (w->bits / 8) : c) - skip;
		if (o->convert)
			o->convert(src, dst, n);
		else
			tfs_codes_by_bytes(src, n, o->of.table, dst);
	} else if (w->packing == TFS_PACKED_WORDS) {
		tfs_codes_by_words(src, c - skip / 4 * (32 / w->bits), n, w->bits, o->of.table, dst);
	} else if (w->bits == 4) {
		tfs_codes_by_pairs(src, c - skip * 2, n, &o->pairs, dst);
	} else {
		/* @skip covers whole groups of 8 codes, which fill whole bytes: see span_of(). */
		tfs_codes_by_bits(src, c - skip * 8 / w->bits, n, w->bits, o->of.table, dst);
	}
}

static void scale_run(const struct operands *o, const struct tfs_scaled *w, uint64_t at, size_t n, float *x)
{
	const float s = o->of.scale[at];

	switch (w->form) {
	case TFS_SCALED_TIMES:
		tfs_scale_times(x, n, s);
		break;
	case TFS_SCALED_MINUS_TIMES:
		tfs_scale_minus_times(x, n, o->of.offset[at], s);
		break;
	case TFS_SCALED_TIMES_PLUS:
		tfs_scale_times_plus(x, n, s, o->of.offset[at]);
		break;
	case TFS_SCALED_DIVIDED:
		tfs_scale_divided(x, n, s);
		break;
	}
}

/* The same with a scale for each value, from @at on. */
static void scale_each(const struct operands *o, const struct tfs_scaled *w, uint64_t at, size_t n, float *x)
{
	const float *s = o->of.scale + at, *z = o->of.offset ? o->of.offset + at : NULL;

	switch (w->form) {
	case TFS_SCALED_TIMES:
		tfs_scale_each_times(x, n, s);
		break;
	case TFS_SCALED_MINUS_TIMES:
		tfs_scale_each_minus_times(x, n, z, s);
		break;
	case TFS_SCALED_TIMES_PLUS:
		tfs_scale_each_times_plus(x, n, s, z);
		break;
	case TFS_SCALED_DIVIDED:
		tfs_scale_each_divided(x, n, s);
		break;
	}
}

/* Apply the scales to the @n values at @x, which are those from column @c of row @row on. */
static void scale(const struct operands *o, const struct tfs_scaled *w, uint64_t row, uint64_t c, size_t n, float *x)
{
	const uint64_t at = row / w->rows * w->per_expert + row % w->rows / w->row_block * w->per_row, end = c + n;

	if (w->has_groups) {
		/* Mostly they are in order, and then there are long runs of each. */
		while (c < end) {
			const uint64_t g = o->of.group[c];
			uint64_t run = 1;

			while (c + run < end && o->of.group[c + run] == g)
				run++;
			scale_run(o, w, at + g * w->per_col, run, x);
			x += run;
			c += run;
		}
	} else if (!w->per_col) {
		scale_run(o, w, at, n, x);
	} else if (w->col_block == 1 && w->per_col == 1) {
		scale_each(o, w, at + c, n, x);
	} else {
		while (c < end) {
			const uint64_t g = c / w->col_block, upto = (g + 1) * w->col_block < end ? (g + 1) * w->col_block : end;

			scale_run(o, w, at + g * w->per_col, upto - c, x);
			x += upto - c;
			c = upto;
		}
	}
}

/* Number of values that are decoded and scaled at a time, so they are still in the CPU cache. */
enum { NEAR = 4096 };

static void make(const struct operands *o, const struct tfs_scaled *w, const struct codes *codes, uint64_t first, uint64_t n,
		 float *dst)
{
	const uint64_t end = first + n;

	while (first < end) {
		const uint64_t row = first / w->cols, c = first % w->cols;
		uint64_t run = w->cols - c < end - first ? w->cols - c : end - first;

		if (run > NEAR)
			run = NEAR;
		decode(o, w, codes, row, c, run, dst);
		scale(o, w, row, c, run, dst);
		if (w->factor != 1)
			tfs_scale_times(dst, run, w->factor);
		dst += run;
		first += run;
	}
}

/* The byte, in its row, of the code at column @c; or of the group of 8 codes, or the word, that it is read with. */
static uint64_t byte_of(const struct tfs_scaled *w, uint64_t c)
{
	if (w->packing == TFS_PACKED_WORDS)
		return c / (32 / w->bits) * sizeof(uint32_t);
	return w->bits >= 8 ? c * (w->bits / 8) : w->bits == 4 ? c / 2 : c / 8 * w->bits;
}

/* The bytes of the code tensor that the values [first, first + n) are computed from. */
static void span_of(const struct tfs_scaled *w, uint64_t first, uint64_t n, uint64_t *ret_from, uint64_t *ret_len)
{
	const uint64_t last = first + n - 1, row = last / w->cols, c = last % w->cols;
	uint64_t end = row * w->row_bytes;

	if (w->packing == TFS_PACKED_WORDS)
		end += byte_of(w, c) + sizeof(uint32_t);
	else
		end += (c * w->bits + w->bits + 7) / 8;
	*ret_from = first / w->cols * w->row_bytes + byte_of(w, first % w->cols);
	*ret_len = end - *ret_from;
}

/*
 * Read bytes [at, at + len) of the plain or encoded tensor @t. @buf: room for len + 2 * TFS_IO_ALIGN bytes, aligned to
 * TFS_IO_ALIGN; *@ret_data points to the first of them, somewhere in it.
 */
static int read_codes(struct tfs_extractor *x, const struct tfs_tensor *t, uint64_t at, size_t len, uint8_t *buf,
		      const uint8_t **ret_data, struct tfs_read_request *rq)
{
	struct tfs_read_request part = {
		.at = at, .len = len, .priority = rq->priority, .buf = buf, .scratch = rq->scratch, .err.offset = TFS_NO_OFFSET
	};
	cleanup_free void *bounce = NULL;
	int r;

	if (t->encoding) {
		*ret_data = buf;
		bounce = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH);
		return bounce ? tfs_extract_copy(x, t, at, len, buf, bounce, rq) : no_memory(&rq->err, TFS_EXTRACT_SCRATCH);
	}
	r = tfs_extract(x, t, &part);
	*ret_data = part.data;
	rq->how = part.how;
	if (r)
		rq->err = part.err;
	return r;
}

/* Read only the codes of these values, and compute them. */
static int make_from_source(const struct operands *o, const struct tfs_scaled *w, struct tfs_extractor *x, uint64_t first,
			    uint64_t n, struct tfs_read_request *rq)
{
	cleanup_free uint8_t *buf = NULL;
	struct codes codes;
	uint64_t len;
	int r;

	span_of(w, first, n, &codes.from, &len);
	buf = aligned_alloc(TFS_IO_ALIGN, (len + 3 * TFS_IO_ALIGN - 1) / TFS_IO_ALIGN * TFS_IO_ALIGN);
	if (!buf)
		return no_memory(&rq->err, len);
	r = read_codes(x, w->parts[0], codes.from, len, buf, &codes.bytes, rq);
	if (!r)
		make(o, w, &codes, first, n, (float *)(void *)rq->buf);
	return r;
}

/*
 * What is kept of the parts may be used only while their files are those that it was read from. That of the codes has just been
 * checked, if they were read.
 */
static int check_sources(const struct tfs_scaled *w, struct tfs_extractor *x, struct tfs_error *err)
{
	int r = 0;

	for (unsigned i = w->packing != TFS_PACKED_OTHERWISE; i < w->n_parts && !r; i++) {
		unsigned k = 0;

		while (w->parts[k]->source != w->parts[i]->source)
			k++;
		if (k == i)
			r = tfs_extract_check(x, w->parts[i], err);
		if (k == i && r)
			name_part(w, i, err);
	}
	return r;
}

int tfs_scaled_read(struct tfs_scaled_pool *p, struct tfs_extractor *x, const struct tfs_tensor *t, struct tfs_read_request *rq)
{
	const struct tfs_scaled how = tfs_scaled_of(t), *w = &how;
	const uint64_t first = rq->at / sizeof(float), n = rq->len / sizeof(float);
	bool is_new;
	int r;

	assert(!(rq->at % sizeof(float)) && !(rq->len % sizeof(float)));
	rq->data = rq->buf;
	rq->how = TFS_READ_BUFFERED;
	struct operands *o = take(p, t, &is_new);
	if (!o)
		return no_memory(&rq->err, sizeof *o);
	if (is_new)
		load(p, o, x, rq);
	r = o->code;
	if (r)
		rq->err = o->err;
	else if (w->packing != TFS_PACKED_OTHERWISE)
		r = make_from_source(o, w, x, first, n, rq);
	else
		make(o, w, &(struct codes){ o->codes, 0 }, first, n, (float *)(void *)rq->buf);
	if (!r && !is_new)
		r = check_sources(w, x, &rq->err);
	put(p, o, r ? 0 : rq->len);
	return r;
}
