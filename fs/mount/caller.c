/* SPDX-License-Identifier: MIT */
#include "mount/caller.h"

#include <errno.h>
#include <stdlib.h>

int tfs_caller_of(fuse_req_t req, struct tfs_caller *ret_caller)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct tfs_caller c = { .uid = ctx->uid, .gid = ctx->gid };
	int room = 32, n;

	for (;;) {
		gid_t *groups = realloc(c.groups, (size_t)room * sizeof *groups);
		if (!groups) {
			free(c.groups);
			return -ENOMEM;
		}
		c.groups = groups;
		/* Those of a thread that waits for this answer, so it still exists; root needs no groups. */
		n = c.uid ? fuse_req_getgroups(req, room, groups) : 0;
		if (n <= room)
			break;
		room = n;
	}
	c.n_groups = n > 0 ? (size_t)n : 0;
	*ret_caller = c;
	return 0;
}

/* Anything of what is below the directory @dir? */
static bool sees_any(struct tfs_fs *fs, const struct tfs_caller *c, struct tfs_inode dir)
{
	char name[TFS_NAME_MAX + 1];
	struct tfs_inode inode;
	uint64_t place = 0;

	while (!tfs_tree_entry(fs->tree, dir, &place, name, &inode))
		if (tfs_caller_sees(fs, c, inode))
			return true;
	return false;
}

/* What tensor file @i is about: itself; meta/ of a part of a scaled weight names the weight's other parts, too. */
static bool sees_tensor(struct tfs_fs *fs, const struct tfs_caller *c, struct tfs_inode i)
{
	const struct tfs_access *a = tfs_tree_access(fs->tree);
	const struct tfs_set *set = &fs->model->sets[i.set];
	const struct tfs_tensor *w = i.view == TFS_VIEW_META ? tfs_set_scaled_of(set, i.tensor) : NULL;

	return tfs_access_tensor(a, c, i.set, i.tensor) &&
	       (!w || tfs_access_tensor(a, c, i.set, (uint32_t)(set->n_tensors + (size_t)(w - set->scaled))));
}

bool tfs_caller_sees(struct tfs_fs *fs, const struct tfs_caller *c, struct tfs_inode inode)
{
	const uint32_t original = tfs_tree_original_of(fs->tree, inode);

	if (original != UINT32_MAX)
		return tfs_access_way(fs->model, c, original);
	switch (inode.kind) {
	case TFS_INO_TENSOR:
		return sees_tensor(fs, c, inode);
	case TFS_INO_KEYS:
		if (inode.node == TFS_KEYS_INDEX)
			return tfs_access_values(tfs_tree_access(fs->tree), c, inode.set);
		return tfs_access_set(tfs_tree_access(fs->tree), c, inode.set);
	case TFS_INO_CONSOLIDATED:
		if (inode.view)
			return tfs_access_values(tfs_tree_access(fs->tree), c, inode.set);
		return tfs_access_set(tfs_tree_access(fs->tree), c, inode.set);
	case TFS_INO_TREE_DIR:
	case TFS_INO_SET_TREE_DIR:
		return sees_any(fs, c, inode);
	default:
		return true;
	}
}

int tfs_check_access(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode)
{
	struct tfs_caller c;
	bool of_set = inode.kind == TFS_INO_TENSOR || inode.kind == TFS_INO_KEYS || inode.kind == TFS_INO_CONSOLIDATED;

	bool mixed = of_set && !fs->all_open && tfs_access_mixed(tfs_tree_access(fs->tree), inode.set);

	if (!mixed && !tfs_is_behind_link(fs, inode))
		return 0;
	int r = tfs_caller_of(req, &c);
	if (r)
		return r;
	r = tfs_caller_sees(fs, &c, inode) ? 0 : -EACCES;
	tfs_caller_fini(&c);
	return r;
}

bool tfs_is_mixed_dir(struct tfs_fs *fs, struct tfs_inode dir)
{
	uint32_t set;

	return !fs->all_open && tfs_tree_shown_set(fs->tree, dir, &set) && tfs_access_mixed(tfs_tree_access(fs->tree), set);
}

bool tfs_is_behind_link(struct tfs_fs *fs, struct tfs_inode inode)
{
	const uint32_t original = tfs_tree_original_of(fs->tree, inode);

	/* The kernel follows a link that is shown as one, but not what is made of its target. */
	return original != UINT32_MAX && (inode.kind != TFS_INO_NODE || !fs->model->nodes[original].link) &&
	       tfs_model_way(fs->model, original);
}
