/* SPDX-License-Identifier: MIT */
#include "whole.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"

/* The reference reader refuses longer headers (safetensors 0.8, tensor.rs, MAX_HEADER_SIZE). */
enum { HEADER_MAX = 100000000 };

/* Data begins at a multiple of this, so that it can be mapped. */
enum { ALIGN = 4096 };

struct tfs_whole {
	const struct tfs_set *set;
	char *header; /* with its length in front */
	uint64_t header_len;
	uint64_t *ends; /* of each tensor, in the file */
	uint64_t size;
};

/* No tensor's record takes more than this: what is around its name, its dtype, and its numbers, of up to 20 digits. */
static uint64_t record_max(const struct tfs_tensor *t)
{
	uint64_t len = 80 + 21 * (t->ndim + 2u);

	for (size_t i = 0; i < t->name_len; i++) {
		unsigned char c = (unsigned char)t->name[i];
		len += c < 0x20 ? 6 : c == '"' || c == '\\' ? 2 : 1;
	}
	return len;
}

bool tfs_whole_possible(const struct tfs_set *set)
{
	static const char reserved[] = "__metadata__";
	uint64_t header = 2 * ALIGN, size;

	if (set->format == &tfs_format_safetensors && set->n_sources == 1)
		return false;
	for (size_t i = 0; i < set->n_tensors; i++) {
		const struct tfs_tensor *t = &set->tensors[i];
		uint64_t nbytes;

		/* Of elements of less than a byte it wants as many as fill the last one. */
		if (!t->dtype->safetensors || tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &nbytes))
			return false;
		header += record_max(t);
	}
	if (header > HEADER_MAX || ckd_add(&size, set->total_bytes, header) || size > INT64_MAX)
		return false;
	return tfs_set_find(set, reserved, sizeof reserved - 1) == SIZE_MAX;
}

/* --- The header ------------------------------------------------------------------------------------------------------ */

static void put_name(FILE *f, const char *name, size_t len)
{
	putc_unlocked('"', f);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		if (c < 0x20)
			fprintf(f, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			putc_unlocked('\\', f), putc_unlocked(c, f);
		else
			putc_unlocked(c, f);
	}
	putc_unlocked('"', f);
}

static void put_tensor(FILE *f, const struct tfs_tensor *t, uint64_t begin, uint64_t end)
{
	putc_unlocked(',', f);
	put_name(f, t->name, t->name_len);
	fprintf(f, ":{\"dtype\":\"%s\",\"shape\":[", t->dtype->name);
	for (unsigned d = 0; d < t->ndim; d++)
		fprintf(f, "%s%" PRIu64, d ? "," : "", t->shape[d]);
	fprintf(f, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, end);
}

/* Fills ends with where tensors end in the data, not yet in the file. tfs_whole_possible() has checked that nothing overflows. */
static int make_header(struct tfs_whole *w)
{
	uint64_t at = 0, prefix;
	size_t len = 0;
	FILE *f = open_memstream(&w->header, &len);

	if (!f)
		return -ENOMEM;
	fwrite("\0\0\0\0\0\0\0\0", 8, 1, f);
	/* Readers built on transformers refuse a file that does not say for which framework it was made; "pt" is any tensor. */
	fputs("{\"__metadata__\":{\"format\":\"pt\"}", f);
	for (size_t i = 0; i < w->set->n_tensors; i++) {
		put_tensor(f, &w->set->tensors[i], at, at + w->set->tensors[i].nbytes);
		at += w->set->tensors[i].nbytes;
		w->ends[i] = at;
	}
	putc_unlocked('}', f);
	for (long n = ftell(f); n % ALIGN; n++)
		putc_unlocked(' ', f);
	if (fclose(f))
		return -ENOMEM;
	w->size = at + len;
	prefix = htole64(len - 8);
	memcpy(w->header, &prefix, sizeof prefix);
	w->header_len = len;
	return 0;
}

int tfs_whole_create(const struct tfs_set *set, struct tfs_whole **ret_whole)
{
	struct tfs_whole *w = calloc(1, sizeof *w);
	int r;

	if (!w)
		return -ENOMEM;
	w->set = set;
	w->ends = reallocarray(NULL, set->n_tensors + 1, sizeof *w->ends);
	r = w->ends ? make_header(w) : -ENOMEM;
	if (r) {
		tfs_whole_destroy(w);
		return r;
	}
	for (size_t i = 0; i < set->n_tensors; i++)
		w->ends[i] += w->header_len;
	*ret_whole = w;
	return 0;
}

void tfs_whole_destroy(struct tfs_whole *w)
{
	if (!w)
		return;
	free(w->header);
	free(w->ends);
	free(w);
}

uint64_t tfs_whole_size(const struct tfs_whole *w)
{
	return w->size;
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

/* The first tensor that ends behind byte @at, which is in the data. */
static size_t tensor_at(const struct tfs_whole *w, uint64_t at)
{
	size_t lo = 0, hi = w->set->n_tensors;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (w->ends[mid] > at)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* As much of a tensor as is extracted at a time, where it doesn't go straight to its place. */
#define PIECE (TFS_EXTRACT_SCRATCH - 2 * TFS_IO_ALIGN)

/* Bytes [at, at + len) of tensor @t to @dst, by way of @bounce, room for PIECE; @scratch as tfs_extract() wants it. */
static int copy_tensor(struct tfs_extractor *x, const struct tfs_tensor *t, uint64_t at, size_t len, enum tfs_priority priority,
		       uint8_t *dst, void *bounce, void *scratch, enum tfs_read_how *ret_how, struct tfs_error *err)
{
	uint32_t unit = t->packing ? tfs_packing_unit(t->packing) : 1;

	while (len) {
		uint64_t lead = at % unit;
		size_t n = len < PIECE - 2 * unit ? len : PIECE - 2 * unit;
		size_t want = (lead + n + unit - 1) / unit * unit;
		uint8_t *data;
		int r = tfs_extract(x, t, at - lead, want, priority, bounce, scratch, &data, ret_how, err);

		if (r)
			return r;
		memcpy(dst, data + lead, n);
		at += n;
		dst += n;
		len -= n;
	}
	return 0;
}

int tfs_whole_read(const struct tfs_whole *w, struct tfs_extractor *x, uint64_t at, size_t len, enum tfs_priority priority,
		   void *buf, void *scratch, uint8_t **ret_data, enum tfs_read_how *ret_how, struct tfs_error *err)
{
	cleanup_free void *more = NULL;
	uint8_t *dst = buf;
	uint64_t end = at + len;

	*ret_data = buf;
	*ret_how = TFS_READ_BUFFERED;
	if (at < w->header_len) {
		size_t n = end < w->header_len ? len : w->header_len - at;
		memcpy(dst, w->header + at, n);
		at += n;
		dst += n;
	}
	for (size_t i = tensor_at(w, at); at < end; i++) {
		const struct tfs_tensor *t = &w->set->tensors[i];
		uint64_t begin = w->ends[i] - t->nbytes, upto = w->ends[i] < end ? w->ends[i] : end;
		void *bounce = scratch;
		int r = 0;

		if (!t->nbytes)
			continue;
		if (t->packing && !more && !(more = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH)))
			r = tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
		if (t->packing)
			bounce = more;
		if (!r && dst == buf && upto == end && !t->packing) /* all of it */
			return tfs_extract(x, t, at - begin, end - at, priority, buf, scratch, ret_data, ret_how,
					   err);
		if (!r)
			r = copy_tensor(x, t, at - begin, upto - at, priority, dst, bounce, scratch, ret_how, err);
		if (r) {
			struct tfs_error cause = *err;
			char name[TFS_QUOTE_SIZE];
			return tfs_error_set(err, r, cause.offset, "tensor %s: %s",
					     tfs_quote(name, sizeof name, t->name, t->name_len), cause.what);
		}
		dst += upto - at;
		at = upto;
	}
	return 0;
}
