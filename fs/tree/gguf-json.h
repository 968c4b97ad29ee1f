/* SPDX-License-Identifier: MIT */
/*
 * The keys of GGUF files as JSON, for meta/.gguf.json:
 *
 *	{ "file": "model.gguf", "version": 3, "byte_order": "little", "tensors": 291,
 *	  "keys": { "general.name": {"type": "string", "value": "example"},
 *		    "tokenizer.ggml.tokens": {"type": "array", "of": "string", "count": 32000, "first": ["<unk>", …]} } }
 *
 * Every integer is exact. What JSON lacks: a float that isn't a finite number is the string "NaN", "Infinity" or "-Infinity"; each
 * byte of a string that isn't UTF-8 is U+FFFD. An array in an array is an object without "type".
 */
#ifndef TFS_FS_GGUF_JSON_H
#define TFS_FS_GGUF_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json-write.h"

struct tfs_input;

/* Longer arrays have their first elements in "first" instead of all in "value", unless all are requested. */
enum { TFS_GGUF_JSON_ARRAY = 64, TFS_GGUF_JSON_FIRST = 8 };

/*
 * Add the object of the file @in. @path: the path to show, any bytes. @full: complete arrays. 0 or -errno with @err filled; -EFBIG:
 * more than TFS_JSON_OUT_MAX.
 */
int tfs_gguf_json(struct tfs_json_out *b, const struct tfs_input *in, const char *path, bool full, struct tfs_error *err);

#endif
