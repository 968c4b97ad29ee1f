/* SPDX-License-Identifier: MIT */
/* The answers to requests that several operations give, and the end of what an open was answered with. */
#ifndef TFS_MOUNT_REPLY_H
#define TFS_MOUNT_REPLY_H

#include "mount/fs.h"

/*
 * Every error goes to the kernel through here. @error: -errno, as everything below returns it. What would confuse a program
 * that only reads files becomes EIO.
 */
void tfs_reply_error(fuse_req_t req, int error);

/* Answer an open with @o, whose count has it already. */
void tfs_reply_open(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o);

/* The same with @o, a text that is in no table yet; or with @text, malloc()ed, which it takes. */
void tfs_reply_text(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o);
void tfs_reply_open_text(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, char *text, size_t len);

/* Close what an entry that is in no table has open. @req: any request of the session, or NULL when the session has ended. */
void tfs_close_opened(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o);

/* What is still open when the session has ended. */
void tfs_close_all(struct tfs_fs *fs);

#endif
