/* SPDX-License-Identifier: MIT */
/*
 * The header of a GGUF file as a pull reader: versions 1 to 3, either byte order. First the keys, each followed by its value,
 * then the tensors, in the order of the file; read through a buffer, once, so a tokenizer's 150,000 strings cost little.
 *
 *	r = tfs_gguf_open(&g, in, err);
 *	while (!r && (r = tfs_gguf_key(&g, &key)) > 0)
 *		r = tfs_gguf_skip(&g, key.type, 1, 0);
 *	while (!r && (r = tfs_gguf_tensor(&g, &t)) > 0)
 *		r = use(&t);
 *	tfs_gguf_close(&g);
 *
 * Checked is what it takes to read on: every length and count against the bytes that are left, kinds of values, nesting. What keys
 * mean, and whether tensors make sense together, is the caller's to judge (gguf.c). See ggml/docs/gguf.md and ggml/src/gguf.cpp.
 *
 * Functions return 0 or -errno with @err filled: -EINVAL: not a sound header; -ENOMEM; pread's errors. After one only
 * tfs_gguf_close() is of use. What they return pointers to lives until the next call.
 */
#ifndef TFS_FORMAT_GGUF_READER_H
#define TFS_FORMAT_GGUF_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

/*
 * Nothing of a header may lie beyond this. The longest real ones, with tokenizers of 260,000 entries, have 20 MB; this bounds the
 * time and the memory that a hostile file costs, sparse ones included.
 */
#define TFS_GGUF_MAX_HEADER  (256u << 20)
#define TFS_GGUF_MAX_KEYS    65536u	/* real files have under a hundred */
#define TFS_GGUF_MAX_TENSORS (4u << 20) /* four times the largest models that we plan for */
#define TFS_GGUF_MAX_NAME    65535u	/* of a key: gguf.md; of a tensor, where ggml stops at 63 */
#define TFS_GGUF_MAX_DIMS    8u		/* ggml has 4 */
#define TFS_GGUF_MAX_NESTING 8u		/* arrays in arrays; ggml reads none, and nobody is known to write any */

enum tfs_gguf_type {
	TFS_GGUF_UINT8,
	TFS_GGUF_INT8,
	TFS_GGUF_UINT16,
	TFS_GGUF_INT16,
	TFS_GGUF_UINT32,
	TFS_GGUF_INT32,
	TFS_GGUF_FLOAT32,
	TFS_GGUF_BOOL,
	TFS_GGUF_STRING,
	TFS_GGUF_ARRAY,
	TFS_GGUF_UINT64,
	TFS_GGUF_INT64,
	TFS_GGUF_FLOAT64,
	TFS_GGUF_TYPES,
};

struct tfs_gguf {
	uint32_t version;
	bool big_endian;
	uint64_t n_keys, n_tensors;
	uint64_t at; /* byte of the file that is read next; after the last tensor, the end of the header */

	/* The reader's own. */
	const struct tfs_input *input;
	uint64_t limit; /* of what is read of it */
	char *buf;
	size_t room;
	uint64_t buf_at; /* place in the file … */
	size_t buf_len;	 /* … and number of the bytes in @buf */
	int failed;	 /* why there were not so many bytes */
	uint64_t keys_read, tensors_read;
	struct tfs_error *err;
	/* What is being read, for errors. */
	enum { TFS_GGUF_IN_HEAD, TFS_GGUF_IN_KEY, TFS_GGUF_IN_TENSOR } in;
	bool named;
	size_t name_len;
	char name[TFS_QUOTE_SIZE];
};

struct tfs_gguf_key {
	const char *name; /* @len bytes, at least one */
	size_t len;
	enum tfs_gguf_type type; /* of the value, which is to be read or skipped next */
};

struct tfs_gguf_array {
	enum tfs_gguf_type of;
	uint64_t count; /* elements, to be read or skipped next; so many are there as far as bytes can tell */
};

/* By the type that was asked for: unsigned integers and bool in u, signed ones in i, floats in f. */
union tfs_gguf_number {
	uint64_t u;
	int64_t i;
	double f;
};

struct tfs_gguf_tensor {
	const char *name; /* @name_len bytes of any kind */
	size_t name_len;
	unsigned ndim;
	uint64_t shape[TFS_GGUF_MAX_DIMS]; /* row-major, which is the reverse of the file's; none above INT64_MAX */
	uint32_t type;			   /* enum ggml_type, any number */
	uint64_t offset;		   /* of its bytes, relative to the end of the header, aligned */
};

/* "uint8": gguf.md's names. */
const char *tfs_gguf_type_name(enum tfs_gguf_type type);

/* Begin to read @in, which stays the caller's and open as long. To be closed after any result. @err may not be NULL. */
int tfs_gguf_open(struct tfs_gguf *g, const struct tfs_input *in, struct tfs_error *err);
void tfs_gguf_close(struct tfs_gguf *g);

/* The next key: 1, or 0 after the last. */
int tfs_gguf_key(struct tfs_gguf *g, struct tfs_gguf_key *ret);

/* A value of any type but string and array. */
int tfs_gguf_number(struct tfs_gguf *g, enum tfs_gguf_type type, union tfs_gguf_number *ret);

/* A string: any bytes. */
int tfs_gguf_string(struct tfs_gguf *g, const char **ret, size_t *ret_len);

/* Enter an array. @depth: how many arrays it stands in. */
int tfs_gguf_array(struct tfs_gguf *g, unsigned depth, struct tfs_gguf_array *ret);

/* Read over @count values, which stand in @depth arrays. */
int tfs_gguf_skip(struct tfs_gguf *g, enum tfs_gguf_type type, uint64_t count, unsigned depth);

/* The next tensor, once all keys are read: 1, or 0 after the last. */
int tfs_gguf_tensor(struct tfs_gguf *g, struct tfs_gguf_tensor *ret);

/* Fill the reader's error with -EINVAL, naming the key or tensor that was read last, and @offset; returns -EINVAL. */
int tfs_gguf_refuse(struct tfs_gguf *g, uint64_t offset, const char *fmt, ...) __attribute__((cold, format(printf, 3, 4)));

#endif
