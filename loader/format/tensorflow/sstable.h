/* SPDX-License-Identifier: MIT */
/*
 * The tables of TensorFlow's checkpoints: LevelDB's (github.com/google/leveldb, doc/table_format.md), pairs of a key and a value in
 * blocks, sorted by key, of which each has the part that differs from the one before. A block has a checksum, which is verified, and
 * may be compressed by snappy.
 */
#ifndef TFS_FORMAT_SSTABLE_H
#define TFS_FORMAT_SSTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

/* What a table ends in: positions of two blocks, and a magic number. */
enum { TFS_SSTABLE_FOOTER = 48 };

/* Does @footer, the last TFS_SSTABLE_FOOTER bytes of a file, have the magic? */
bool tfs_sstable_claims(const uint8_t footer[static TFS_SSTABLE_FOOTER]);

/* @at: where in the file the pair's block begins. Key and value are valid during the call. 0, or an error, which ends reading. */
typedef int tfs_sstable_fn(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len, uint64_t at);

/* @fn for each pair of the table in @in, whose keys are in order, none twice. -EINVAL, @err filled: not a table; -ENOMEM. */
int tfs_sstable_read(const struct tfs_input *in, tfs_sstable_fn *fn, void *arg, struct tfs_error *err);

/*
 * Decompress the @len bytes of snappy (github.com/google/snappy, format_description.txt) at @src into @dst of @size bytes, which is what
 * their beginning says: tfs_snappy_size(). False: damaged.
 */
bool tfs_snappy(const uint8_t *src, size_t len, uint8_t *dst, size_t size);

/* The size when decompressed; false: there is none. */
bool tfs_snappy_size(const uint8_t *src, size_t len, uint64_t *ret);

#endif
