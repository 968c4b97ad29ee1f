/* SPDX-License-Identifier: MIT */
/*
 * Configuration files: JSON as Python's json.load() reads it, and so what programs load models by. Unlike in RFC 8259, numbers may be NaN,
 * Infinity and -Infinity, and integers of any size; a byte-order mark at the beginning is skipped.
 */
#ifndef TFS_MODEL_CONFIG_H
#define TFS_MODEL_CONFIG_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

/* Larger files aren't configurations. One of a large model, with all of its layers, has a few hundred KiB. */
#define TFS_MAX_CONFIG ((size_t)16 << 20)

/* @text (@len bytes) as RFC 8259's JSON, owned by the caller. @flags: jansson's. 0; -EINVAL: it isn't that; -ENOMEM. */
int tfs_config_json(const char *text, size_t len, size_t flags, json_t **ret);

/*
 * The object in @text, owned by the caller. Integers that fit in 64 bits are such; any other number is a string, for tfs_config_dump() to
 * write as it was spelled. 0; -EINVAL: it isn't one; -ENOMEM.
 */
int tfs_config_parse(const char *text, size_t len, json_t **ret);

/*
 * @o as text, with a newline at the end, to be freed. NULL: out of memory, also for what this thread did to @o after it had parsed it last,
 * so jansson's own results needn't be looked at.
 */
char *tfs_config_dump(const json_t *o);

/*
 * Read and parse the file @name in the directory @dir, be it a node or, as only the needed ones are if @m was opened as one file, not.
 * 0 and the object, owned by the caller; -ENOENT: there is none; -EINVAL: it isn't a regular file that contains an object, or too
 * large; -ENOMEM, or another error of the file.
 */
int tfs_config_read(const struct tfs_model *m, uint32_t dir, const char *name, json_t **ret);

/* A string in @o (may be NULL), or "". */
const char *tfs_config_string(const json_t *o, const char *key);
/* An integer in @o (may be NULL), or @otherwise. */
int64_t tfs_config_integer(const json_t *o, const char *key, int64_t otherwise);

#endif
