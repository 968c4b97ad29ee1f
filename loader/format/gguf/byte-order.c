/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/gguf/byte-order.h"
#include "storage/storage.h"

/* ggml-common.h. */
static const struct tfs_gguf_words types[] = {
	{ "BF16", { { 0, 2, 1 } }, false },
	{ "Q4_0", { { 0, 2, 1 } }, false },
	{ "Q4_1", { { 0, 2, 2 } }, false },
	{ "Q5_0", { { 0, 2, 1 } }, true },
	{ "Q5_1", { { 0, 2, 2 } }, true },
	{ "Q8_0", { { 0, 2, 1 } }, false },
	{ "Q8_1", { { 0, 2, 2 } }, false },
	{ "Q2_K", { { 80, 2, 2 } }, false },
	{ "Q3_K", { { 108, 2, 1 } }, false },
	{ "Q4_K", { { 0, 2, 2 } }, false },
	{ "Q5_K", { { 0, 2, 2 } }, false },
	{ "Q6_K", { { 208, 2, 1 } }, false },
	{ "Q8_K", { { 0, 4, 1 }, { 260, 2, 16 } }, false },
	{ "IQ2_XXS", { { 0, 2, 1 } }, true },
	{ "IQ2_XS", { { 0, 2, 33 } }, false },
	{ "IQ2_S", { { 0, 2, 1 } }, false },
	{ "IQ3_XXS", { { 0, 2, 1 } }, true },
	{ "IQ3_S", { { 0, 2, 1 } }, false },
	{ "IQ1_S", { { 0, 2, 1 }, { 34, 2, 8 } }, false },
	{ "IQ1_M", { { 0 } }, true },
	{ "IQ4_NL", { { 0, 2, 1 } }, false },
	{ "IQ4_XS", { { 0, 2, 2 } }, false },
	{ "TQ1_0", { { 52, 2, 1 } }, false },
	{ "TQ2_0", { { 64, 2, 1 } }, false },
	{ "Q1_0", { { 0, 2, 1 } }, false },
	{ "Q2_0", { { 0, 2, 1 } }, false },
};

enum { N_TYPES = sizeof types / sizeof *types };

const struct tfs_gguf_words *tfs_gguf_words_of(const struct tfs_dtype *dtype)
{
	for (size_t i = 0; i < N_TYPES; i++)
		if (!strcmp(dtype->name, types[i].dtype))
			return &types[i];
	return NULL;
}

/*
 * The byte with a float's exponent changes little from one scale or weight of a tensor to the next, while the one that ends its
 * mantissa is noise: 7 random bits of two bytes differ by 43 in the mean. What decides is one byte that is nearly that random, and
 * another that is four times as steady; less, as in a file of constants, decides nothing.
 */
#define NOISE	24u /* mean distance */
#define CLEARLY 4u  /* times */
#define LEAST	8u  /* distances that decide */
/* A sample: so many distances, so many of each tensor, and so many tensors, as some have none. */
#define ENOUGH	 4096u
#define A_TENSOR 256u
#define TENSORS	 1024u

enum { ROOM = 16384 }; /* A_TENSOR blocks of most types, 56 of the longest */

struct sample {
	uint64_t n, first, second; /* distances: their number, and sums by the place of the byte */
	uint8_t last[N_TYPES][2];  /* word seen of each type; 0: none */
};

/* @is, with the @last one of its type. The scales of some types are alike in all of a tensor, and tell by those of the next. */
static void add(struct sample *s, uint8_t *last, const uint8_t *is)
{
	if ((!is[0] && !is[1]) || !memcmp(last, is, 2))
		return;
	if (last[0] || last[1]) {
		s->first += abs((is[0] & 0x7f) - (last[0] & 0x7f));
		s->second += abs((is[1] & 0x7f) - (last[1] & 0x7f));
		s->n++;
	}
	memcpy(last, is, 2);
}

/* The words of @t's first blocks that are floats. */
static int sample(const struct tfs_input *in, const struct tfs_tensor *t, const struct tfs_gguf_words *w, struct sample *s,
		  struct tfs_error *err)
{
	const size_t block = t->dtype->block_bytes, upto = ROOM / block * block;
	const uint64_t enough = s->n + A_TENSOR;
	uint8_t buf[ROOM];
	const size_t len = t->nbytes < upto ? t->nbytes : upto;
	int r = tfs_input_read(in, buf, len, t->offset, err);

	if (r)
		return r;
	for (const uint8_t *p = buf + w->words[0].at; p < buf + len && s->n < enough; p += block)
		add(s, s->last[w - types], p);
	return 0;
}

int tfs_gguf_find_order(const struct tfs_input *in, const struct tfs_tensor *tensors, size_t n, enum tfs_gguf_order *ret,
			struct tfs_error *err)
{
	struct sample s = { 0 };
	unsigned looked = 0;

	for (size_t i = 0; i < n && looked < TENSORS && s.n < ENOUGH; i++) {
		const struct tfs_gguf_words *w = tfs_gguf_words_of(tensors[i].dtype);
		int r;

		if (!w || w->words[0].width != 2 || !tensors[i].nbytes)
			continue;
		r = sample(in, &tensors[i], w, &s, err);
		if (r)
			return r;
		looked++;
	}
	if (s.n >= LEAST && s.second >= NOISE * s.n && s.second >= CLEARLY * s.first)
		*ret = TFS_GGUF_BIG;
	else if (s.n >= LEAST && s.first >= NOISE * s.n && s.first >= CLEARLY * s.second)
		*ret = TFS_GGUF_LITTLE;
	else
		*ret = TFS_GGUF_UNDECIDED;
	return 0;
}
