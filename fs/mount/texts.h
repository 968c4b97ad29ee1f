/* SPDX-License-Identifier: MIT */
/*
 * Texts that are long to make: the keys of files in meta/, and the texts in whole/bf16 and the like. Each is made once for all who want
 * it, in the background (work.h), within the memory budget, and given up when nobody waits for it any more. It is kept while it is open,
 * and after that as long as there is room; its size is remembered. Thread-safe.
 */
#ifndef TFS_FS_TEXTS_H
#define TFS_FS_TEXTS_H

#include "mount/work.h"

/* Of the budget: what texts that nobody has open may have; and what those that one user had made may have. */
enum { TFS_TEXTS_KEPT_SHARE = 16, TFS_TEXTS_USER_SHARE = 4 };

/* Beyond the budget, if nothing in it is free: so that what is small can always be read. */
enum { TFS_TEXTS_OVERDRAFT = 16 << 20, TFS_TEXTS_SMALL = 1 << 20 };

struct tfs_texts;

/* A text that is there, and stays until it is put back. */
struct tfs_text {
	const char *text;
	size_t len;
};

/* @fs must have its tree by the time of the first request. NULL: out of memory. */
struct tfs_texts *tfs_texts_create(struct tfs_fs *fs);
void tfs_texts_destroy(struct tfs_texts *t); /* once its works are over; accepts NULL */

/* Is the size of @inode's text known? */
bool tfs_texts_size(struct tfs_texts *t, struct tfs_inode inode, uint64_t *ret_size);

/*
 * The text, if it is there, else NULL. @open: only if somebody has it, and so sees it as it was; otherwise it must be checked first, or
 * just have been made.
 */
const struct tfs_text *tfs_texts_get(struct tfs_texts *t, struct tfs_inode inode, bool open);
void tfs_texts_put(struct tfs_texts *t, const struct tfs_text *text);

/*
 * Have the text made, or checked if it is there, and @a, armed for work on storage, answered: with 0, and then until the answer returns it is there; or with an error of
 * tfs_tree_text(), or as tfs_work_submit() does.
 */
void tfs_texts_make(struct tfs_texts *t, struct tfs_inode inode, struct tfs_asking *a);

/* Bytes of memory that they have now. */
uint64_t tfs_texts_bytes(struct tfs_texts *t);

#endif
