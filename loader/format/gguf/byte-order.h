/* SPDX-License-Identifier: MIT */
/*
 * The byte order of words inside blocks, and of BF16, in big-endian GGUF files. The format doesn't specify it (gguf.md), and
 * writers differ: to gguf-py's GGUFWriter these are bytes, which it leaves alone, while its gguf_convert_endian.py and ggml on
 * big-endian machines store the members of their structures (ggml-common.h) in that order. No key tells which; the words do.
 */
#ifndef TFS_FORMAT_GGUF_ORDER_H
#define TFS_FORMAT_GGUF_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "tensor/catalog.h"

struct tfs_input;

/* The words wider than a byte in the elements or blocks of one type. */
struct tfs_gguf_words {
	const char *dtype;
	struct tfs_words words[3]; /* terminated by one with count 0. The first, if 2 bytes wide, is a float, F16 or BF16 */
	/* ggml reads some of its bytes as words, but not all writers do: no other reader of big-endian blocks exists. */
	bool mixed;
};

/* NULL: it has no such words, or is just one (F32), whose order is the file's. */
const struct tfs_gguf_words *tfs_gguf_words_of(const struct tfs_dtype *dtype);

enum tfs_gguf_order { TFS_GGUF_LITTLE, TFS_GGUF_BIG, TFS_GGUF_UNDECIDED };

/*
 * The order of such words in these @n tensors of the file @in, whose offsets are final; judged by a sample of them. UNDECIDED also
 * if there are none. 0, or pread's error with @err filled.
 */
int tfs_gguf_find_order(const struct tfs_input *in, const struct tfs_tensor *tensors, size_t n, enum tfs_gguf_order *ret,
			struct tfs_error *err);

#endif
