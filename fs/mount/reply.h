/* SPDX-License-Identifier: MIT */
/* Answers shared by several operations, and closing what an open was answered with. */
#ifndef TFS_MOUNT_REPLY_H
#define TFS_MOUNT_REPLY_H

#include "mount/fs.h"

/*
 * Every error goes to the kernel through here. @error: -errno, as returned by the layers below. Errors that would confuse a program
 * that only reads files become EIO.
 */
void tfs_reply_error(fuse_req_t req, int error);

/* Answer an open with @o, which already counts it. */
void tfs_reply_open(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o);

/*
 * The same with @o, a text that isn't in a table yet; with @text, malloc()ed, taking ownership, which is the same for every open of
 * @ino; with the listing that control file @which is for @caller (NULL: everybody).
 */
void tfs_reply_text(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o);
void tfs_reply_listing(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, uint32_t which, const struct tfs_caller *caller);
void tfs_reply_open_text(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, char *text, size_t len);

/* Close everything that an entry outside of the tables has open. @req: any request of the session, or NULL after its end. */
void tfs_close_opened(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o);

/* Close what is still open when the session has ended. */
void tfs_close_all(struct tfs_fs *fs);

#endif
