/* SPDX-License-Identifier: MIT */
/*
 * Writing: allowed for the control files, refused for everything else. The mount itself can't be read-only, or the kernel wouldn't
 * let those few be opened for writing.
 */
#include <errno.h>
#include <string.h>

#include "mount/control.h"
#include "mount/fs.h"
#include "mount/reply.h"

/* Errors about what was written: a writer gets them, a reader never does. */
static void reply_control(fuse_req_t req, int error)
{
	if (error == -EBUSY || error == -ENOSPC || error == -EFBIG || error == -EAGAIN)
		fuse_reply_err(req, -error);
	else
		tfs_reply_error(req, error);
}

void tfs_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct tfs_opened *o = (struct tfs_opened *)(uintptr_t)fi->fh;

	(void)ino;
	(void)offset; /* writes append, as to a pipe */
	int r = o->control ? tfs_control_write(o->control, buf, size) : -EROFS;
	if (r)
		reply_control(req, r);
	else
		fuse_reply_write(req, size);
}

/* close(2), whose result is the final one for what was written. */
void tfs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tfs_opened *o = (struct tfs_opened *)(uintptr_t)fi->fh;

	(void)ino;
	int r = o->control ? tfs_control_flush(o->control) : 0;
	if (r)
		reply_control(req, r);
	else
		fuse_reply_err(req, 0);
}

/* A shell's `>` truncates first. */
void tfs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct tfs_fs *fs = fuse_req_userdata(req);
	struct tfs_inode inode;
	int r = tfs_inode_of(fs, ino, &inode);

	(void)attr;
	if (!r && (inode.kind != TFS_INO_CONTROL || !tfs_control_writable(inode.node) ||
		   to_set & ~(FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME)))
		r = -EROFS;
	if (r)
		tfs_reply_error(req, r);
	else
		tfs_op_getattr(req, ino, fi);
}

void tfs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	tfs_reply_error(req, -EROFS);
}

void tfs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	tfs_reply_error(req, -EROFS);
}

void tfs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	tfs_reply_error(req, -EROFS);
}

void tfs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target, (void)parent, (void)name;
	tfs_reply_error(req, -EROFS);
}

void tfs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino, (void)parent, (void)name;
	tfs_reply_error(req, -EROFS);
}

void tfs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *new_name, unsigned flags)
{
	(void)parent, (void)name, (void)to, (void)new_name, (void)flags;
	tfs_reply_error(req, -EROFS);
}

void tfs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	tfs_reply_error(req, -EROFS);
}

void tfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	(void)ino, (void)name, (void)value, (void)size, (void)flags;
	tfs_reply_error(req, -EROFS);
}

void tfs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino, (void)name;
	tfs_reply_error(req, -EROFS);
}
