/* SPDX-License-Identifier: MIT */
/* Extended attributes: a tensor's metadata, on each of its files. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/copy.h"
#include "cache/store.h"
#include "hash/hash.h"
#include "model/acl.h"
#include "mount/caller.h"
#include "mount/fs.h"
#include "mount/reply.h"
#include "mount/stats.h"
#include "mount/sums.h"
#include "tensor/scaled.h"
#include "tree/meta.h"

static const char prefix[] = "user.tensorfs.", hash_name[] = "user.tensorfs.xxh128";

/* The value of one attribute, allocated, in *@ret_value; returns its length, -ENOMEM, or -ENODATA: it has none. */
typedef ssize_t value_fn(struct tfs_fs *fs, struct tfs_inode inode, char **ret_value);

static const struct tfs_tensor *tensor_of(const struct tfs_fs *fs, struct tfs_inode inode)
{
	return tfs_set_tensor(&fs->model->sets[inode.set], inode.tensor);
}

static ssize_t copy_of(const char *s, size_t len, char **ret_value)
{
	*ret_value = tfs_copy_bytes(s, len);
	return *ret_value ? (ssize_t)len : -ENOMEM;
}

static ssize_t number(uint64_t n, char **ret_value)
{
	int len = asprintf(ret_value, "%" PRIu64, n);
	return len < 0 ? -ENOMEM : len;
}

static ssize_t value_name(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	return copy_of(tensor_of(fs, i)->name, tensor_of(fs, i)->name_len, v);
}

static ssize_t value_dtype(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	const char *s = tensor_of(fs, i)->dtype->name;
	return copy_of(s, strlen(s), v);
}

static ssize_t value_shape(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	*v = tfs_shape_text(tensor_of(fs, i));
	return *v ? (ssize_t)strlen(*v) : -ENOMEM;
}

static ssize_t value_format(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	const char *s = fs->model->sets[i.set].format->name;
	return copy_of(s, strlen(s), v);
}

static ssize_t value_source(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	char path[PATH_MAX];
	int r = tfs_model_path(fs->model, tensor_of(fs, i)->source, path, sizeof path);
	return r ? r : copy_of(path, strlen(path), v);
}

static ssize_t value_scheme(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	const char *s = tfs_set_scaled_of(&fs->model->sets[i.set], i.tensor)->encoding->scaled->scheme;
	return copy_of(s, strlen(s), v);
}

static ssize_t value_offset(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	return number(tensor_of(fs, i)->offset, v);
}

static ssize_t value_nbytes(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	return number(tensor_of(fs, i)->nbytes, v);
}

/* Why the file is never resident; NULL: it may be. */
static const char *never_resident(struct tfs_fs *fs, struct tfs_inode i)
{
	if (!tfs_loader_residency(fs->loader) || !fs->passthrough)
		return fs->streamed_because;
	uint64_t cost = tfs_store_cost(tfs_file_loaded_size(fs->model, tfs_file_of(i)));
	return cost > fs->options->loader.memory ? tfs_streamed[TFS_STREAMED_TOO_LARGE].why : NULL;
}

/* Why it is streamed while it is open now; NULL: it isn't. */
static const char *streamed_now(struct tfs_fs *fs, struct tfs_inode i)
{
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, tfs_ino_pack(i));
	const char *why = o && o->mode == TFS_OPEN_STREAM ? tfs_streamed[o->reason].why : NULL;
	tfs_opened_unlock(&fs->opened, tfs_ino_pack(i));
	return why;
}

static ssize_t value_state(struct tfs_fs *fs, struct tfs_inode i, char **v)
{
	if (i.view == TFS_VIEW_META) /* with nothing to load */
		i.view = i.tensor < fs->model->sets[i.set].n_tensors ? TFS_VIEW_TENSORS : TFS_VIEW_F32;
	const char *never = never_resident(fs, i), *why = never ? never : streamed_now(fs, i);
	const char *state = never ? "" : tfs_residency_state(tfs_loader_residency(fs->loader), tfs_file_of(i));
	if (!why)
		return copy_of(state, strlen(state), v);
	int len = asprintf(v, "%s%sstreamed (%s)", state, never ? "" : ", ", why);
	return len < 0 ? -ENOMEM : len;
}

static const struct attribute {
	const char *name; /* after the prefix */
	value_fn *value;
} attributes[] = {
	{ "name", value_name },	    { "dtype", value_dtype },	{ "shape", value_shape },
	{ "format", value_format }, { "source", value_source }, { "offset", value_offset },
	{ "nbytes", value_nbytes }, { "state", value_state },	{ "scheme", value_scheme },
};
enum { N_ATTRIBUTES = sizeof attributes / sizeof *attributes };

/* 0; -ENODATA: @inode has no @a, or not for who asks; -ENOMEM. */
static int check_attribute(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, const struct attribute *a)
{
	if (a->value != value_scheme)
		return 0;
	if (!tfs_set_scaled_of(&fs->model->sets[inode.set], inode.tensor))
		return -ENODATA;
	inode.view = TFS_VIEW_META; /* which says the same */
	int r = tfs_check_access(fs, req, inode);
	return r == -EACCES ? -ENODATA : r;
}

/* size 0 asks for the length; see getxattr(2). */
static void reply_sized(fuse_req_t req, const char *data, size_t len, size_t size)
{
	if (!size)
		fuse_reply_xattr(req, len);
	else if (size < len)
		tfs_reply_error(req, -ERANGE);
	else
		fuse_reply_buf(req, data, len);
}

const struct tfs_acl *tfs_acl_of_inode(struct tfs_fs *fs, struct tfs_inode inode)
{
	const uint32_t node = fs->model->n_acls ? tfs_tree_rights_of(fs->tree, inode) : UINT32_MAX;

	return node == UINT32_MAX ? NULL : tfs_model_rights(fs->model, node).acl;
}

/* Asked by the kernel, once for each inode, where fs->lists. */
static void reply_acl(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, size_t size)
{
	const struct tfs_acl *acl = tfs_acl_of_inode(fs, inode);

	if (acl)
		reply_sized(req, (const char *)acl->xattr, acl->size, size);
	else
		tfs_reply_error(req, -ENODATA);
}

void tfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct tfs_fs *fs = fuse_req_userdata(req);
	struct tfs_inode inode;
	int r = tfs_inode_of(fs, ino, &inode);

	/*
	 * ls -l asks every file for its ACL and its capabilities. It stops asking a file system that says "not supported",
	 * but not one that says "no such attribute", and 90,000 round trips are seconds.
	 */
	if (!r)
		r = strncmp(name, "user.", 5) ? -EOPNOTSUPP : -ENODATA;
	if (r == -EOPNOTSUPP && fs->lists && !strcmp(name, tfs_acl_name)) {
		reply_acl(fs, req, inode, size);
		return;
	}
	if (r == -ENODATA) {
		int denied = tfs_check_access(fs, req, inode);
		r = denied ? denied : r;
	}
	if (r == -ENODATA && inode.kind == TFS_INO_TENSOR && !strcmp(name, hash_name)) {
		tfs_getxattr_hash(fs, req, inode, size);
		return;
	}
	if (r == -ENODATA && inode.kind == TFS_INO_TENSOR && !strncmp(name, prefix, strlen(prefix)))
		for (int i = 0; i < N_ATTRIBUTES; i++)
			if (!strcmp(attributes[i].name, name + strlen(prefix))) {
				char *value = NULL;
				ssize_t len = check_attribute(fs, req, inode, &attributes[i]);
				len = len ? len : attributes[i].value(fs, inode, &value);
				if (len < 0)
					tfs_reply_error(req, (int)len);
				else
					reply_sized(req, value, len, size);
				free(value);
				return;
			}
	tfs_reply_error(req, r);
}

void tfs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct tfs_fs *fs = fuse_req_userdata(req);
	struct tfs_inode inode;
	char list[(N_ATTRIBUTES + 1) * 32];
	struct tfs_hash hash;
	size_t len = 0;

	int r = tfs_inode_of(fs, ino, &inode);
	if (!r)
		r = tfs_check_access(fs, req, inode);
	if (r) {
		tfs_reply_error(req, r);
		return;
	}
	for (int i = 0; inode.kind == TFS_INO_TENSOR && i < N_ATTRIBUTES; i++) {
		if (check_attribute(fs, req, inode, &attributes[i]))
			continue;
		len += 1 + snprintf(list + len, sizeof list - len, "%s%s", prefix, attributes[i].name);
	}
	/* Programs that list attributes read them all, and most don't want this one enough to wait for it. */
	if (inode.kind == TFS_INO_TENSOR && tfs_hash_peek(tfs_loader_hashes(fs->loader), inode.set, inode.tensor, &hash))
		len += 1 + snprintf(list + len, sizeof list - len, "%s", hash_name);
	reply_sized(req, list, len, size);
}
