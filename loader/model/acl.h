/* SPDX-License-Identifier: MIT */
/* POSIX access control lists of the model's files, which the mode only summarises: its group's bits are the list's mask. */
#ifndef TFS_MODEL_ACL_H
#define TFS_MODEL_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"

/* The list of a file or directory, as in the attribute system.posix_acl_access: acl(5), Linux's include/uapi/linux/posix_acl_xattr.h. */
struct tfs_acl {
	size_t size; /* bytes */
	const uint8_t *xattr;
};

/* The attribute's name. */
extern const char tfs_acl_name[];

/*
 * Read the list of @path relative to the directory @fd, following links; "": of @fd itself. One that the mode expresses completely is
 * none. 0: *@ret_acl, in @arena, or NULL: there is none. -ENOMEM; or another error: it can't be read.
 */
int tfs_acl_read(int fd, const char *path, struct tfs_arena *arena, const struct tfs_acl **ret_acl);

/*
 * Does @acl, of a file of @owner and @group, give a user with @uid, who isn't the owner and not root, all of @want (4: to read, 1: to
 * search)? @in_group: is he in this group?
 */
bool tfs_acl_allows(const struct tfs_acl *acl, gid_t group, uid_t uid, unsigned want, bool (*in_group)(const void *who, gid_t gid),
		    const void *who);

#endif
