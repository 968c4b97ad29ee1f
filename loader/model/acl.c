/* SPDX-License-Identifier: MIT */
#include "model/acl.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

const char tfs_acl_name[] = "system.posix_acl_access";

static size_t count_of(size_t size)
{
	return (size - sizeof(struct posix_acl_xattr_header)) / sizeof(struct posix_acl_xattr_entry);
}

static struct posix_acl_xattr_entry entry_of(const uint8_t *xattr, size_t i)
{
	struct posix_acl_xattr_entry e;

	memcpy(&e, xattr + sizeof(struct posix_acl_xattr_header) + i * sizeof e, sizeof e);
	return (struct posix_acl_xattr_entry){ le16toh(e.e_tag), le16toh(e.e_perm), le32toh(e.e_id) };
}

/* Has it anything that the mode hasn't: an entry for a user or a group, and so a mask? */
static bool is_extended(const uint8_t *xattr, size_t size)
{
	for (size_t i = 0; i < count_of(size); i++) {
		const unsigned tag = entry_of(xattr, i).e_tag;

		if (tag != ACL_USER_OBJ && tag != ACL_GROUP_OBJ && tag != ACL_OTHER)
			return true;
	}
	return false;
}

static bool is_valid(const uint8_t *xattr, size_t size)
{
	struct posix_acl_xattr_header h;

	if (size < sizeof h || (size - sizeof h) % sizeof(struct posix_acl_xattr_entry))
		return false;
	memcpy(&h, xattr, sizeof h);
	return le32toh(h.a_version) == POSIX_ACL_XATTR_VERSION;
}

int tfs_acl_read(int fd, const char *path, struct tfs_arena *arena, const struct tfs_acl **ret_acl)
{
	char full[PATH_MAX];
	uint8_t xattr[UINT16_MAX];
	struct tfs_acl *acl;
	uint8_t *copy;

	*ret_acl = NULL;
	/* There is no getxattrat(2) before Linux 6.13; and for a descriptor opened with O_PATH no fgetxattr(2). */
	if (snprintf(full, sizeof full, "/proc/self/fd/%d%s%s", fd, *path ? "/" : "", path) >= (int)sizeof full)
		return -ENAMETOOLONG;
	ssize_t size = getxattr(full, tfs_acl_name, xattr, sizeof xattr);
	if (size < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
	if (!is_valid(xattr, size))
		return -EINVAL;
	if (!is_extended(xattr, size))
		return 0;
	acl = tfs_arena_alloc(arena, sizeof *acl, alignof(struct tfs_acl));
	copy = tfs_arena_alloc(arena, size, 1);
	if (!acl || !copy)
		return -ENOMEM;
	memcpy(copy, xattr, size);
	*acl = (struct tfs_acl){ size, copy };
	*ret_acl = acl;
	return 0;
}

/*
 * The algorithm of acl(5), as Linux's posix_acl_permission(): the first entry that names the user; else any of his groups'; else that
 * for others, which the mask doesn't limit.
 */
bool tfs_acl_allows(const struct tfs_acl *acl, gid_t group, uid_t uid, unsigned want, bool (*in_group)(const void *who, gid_t gid),
		    const void *who)
{
	unsigned mask = 7, others = 0, user = 0;
	bool named = false, of_group = false, granted = false;

	for (size_t i = 0; i < count_of(acl->size); i++) {
		const struct posix_acl_xattr_entry e = entry_of(acl->xattr, i);

		switch (e.e_tag) {
		case ACL_USER:
			if (e.e_id == uid) {
				named = true;
				user = e.e_perm;
			}
			break;
		case ACL_GROUP_OBJ:
		case ACL_GROUP:
			if (!in_group(who, e.e_tag == ACL_GROUP ? e.e_id : group))
				break;
			of_group = true;
			granted |= (e.e_perm & want) == want;
			break;
		case ACL_MASK:
			mask = e.e_perm;
			break;
		case ACL_OTHER:
			others = e.e_perm;
			break;
		default: /* the owner's */
			break;
		}
	}
	if (named)
		return (user & mask & want) == want;
	if (of_group)
		return granted && (mask & want) == want;
	return (others & want) == want;
}
