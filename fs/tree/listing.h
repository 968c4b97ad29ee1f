/* SPDX-License-Identifier: MIT */
/*
 * .tensorfs/index.tsv and index.json: a row for every tensor of every set, in the order of sets and names. Both have the same
 * columns; tensorfs(7) says what they mean. And XXH128SUMS: a line for every stored tensor, in the order of its directory.
 *
 * A model may have a million rows, so the text is generated as it is read, a piece at a time, and only the last piece is kept, with
 * the offsets where pieces begin. Of all listings that are open TFS_LISTING_PIECES pieces are kept, those that were read last.
 */
#ifndef TFS_FS_LISTING_H
#define TFS_FS_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tree/tree.h"

struct tfs_listing;
struct tfs_hashes;

/* A piece has 64 KiB, and what its last row has beyond. */
enum { TFS_LISTING_PIECES = 64 };

/*
 * @json: index.json, otherwise index.tsv, with the rows of what @caller (NULL: everybody) may read. Model and tree must outlive it.
 * NULL: out of memory.
 */
struct tfs_listing *tfs_listing_open(const struct tfs_model *model, struct tfs_tree *tree, bool json,
				     const struct tfs_caller *caller);
/* The same for XXH128SUMS. @hashes NULL: zeros instead of the hashes, for the size. Otherwise all of them must be known. */
struct tfs_listing *tfs_listing_open_sums(const struct tfs_model *model, struct tfs_tree *tree, struct tfs_hashes *hashes,
					  const struct tfs_caller *caller);
void tfs_listing_close(struct tfs_listing *l); /* takes NULL */

/*
 * Copy the bytes from @offset on, @len of them or as many as exist, into @buf; returns how many, or -ENOMEM; -EIO: a path is too long,
 * or a hash isn't known. Thread-safe.
 */
ssize_t tfs_listing_read(struct tfs_listing *l, uint64_t offset, size_t len, char *buf);

/* Length of the text, which is generated for that unless it was before. Or -ENOMEM. Thread-safe. */
int64_t tfs_listing_size(struct tfs_listing *l);

#endif
