/* SPDX-License-Identifier: MIT */
#include "tree/resolve.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"

static int add_file(struct tfs_files *files, struct tfs_inode inode)
{
	if (tfs_array_room(files->ids, files->n, files->room))
		return -ENOMEM;
	files->ids[files->n++] = tfs_file_of(inode);
	return 0;
}

/* Is this a file that the loader loads, or a directory of such files? */
static bool is_loaded(struct tfs_inode i)
{
	return i.kind == TFS_INO_TENSOR && tfs_views[i.view].loaded;
}

static bool is_view(struct tfs_inode i)
{
	return i.kind == TFS_INO_VIEW_DIR || i.kind == TFS_INO_SET_VIEW_DIR || i.kind == TFS_INO_TREE_DIR ||
	       i.kind == TFS_INO_SET_TREE_DIR;
}

static int add_matches(struct tfs_tree *tree, struct tfs_files *files, struct tfs_inode dir, const char *pattern);

static int add_entry(struct tfs_tree *tree, struct tfs_files *files, struct tfs_inode inode)
{
	if (is_loaded(inode))
		return add_file(files, inode);
	return is_view(inode) ? add_matches(tree, files, inode, NULL) : 0;
}

/* Entries of @dir whose names match @pattern (NULL: any); for a directory of a view, everything below it. */
static int add_matches(struct tfs_tree *tree, struct tfs_files *files, struct tfs_inode dir, const char *pattern)
{
	char name[TFS_NAME_MAX + 1];
	struct tfs_inode inode;
	uint64_t place = 0;
	int r;

	while (!(r = tfs_tree_entry(tree, dir, &place, name, &inode)))
		if ((!pattern || !fnmatch(pattern, name, 0)) && (r = add_entry(tree, files, inode)))
			return r;
	return r == -ENOENT ? 0 : r;
}

int tfs_resolve_name(struct tfs_tree *tree, const char *name, struct tfs_files *files)
{
	struct tfs_inode inode = { .kind = TFS_INO_NODE, .node = TFS_NODE_ROOT }, entry;
	char path[TFS_PATH_SIZE + sizeof "tensors/"], *p = path, *slash;
	bool bare = !strchr(name, '/');
	size_t before = files->n;
	int r = 0;

	if (!*name)
		return -ENOENT;
	/* A directory by just its name: `tensors`. */
	if (bare && !tfs_tree_lookup(tree, inode, name, &entry) && is_view(entry)) {
		r = add_entry(tree, files, entry);
		return r ? r : files->n > before ? 0 : -ENOENT;
	}
	if (snprintf(path, sizeof path, "%s%s", bare ? "tensors/" : "", name) >= (int)sizeof path)
		return -ENAMETOOLONG;
	for (; !r && (slash = strchr(p, '/')); p = slash + 1) {
		*slash = 0;
		if (*p && strcmp(p, ".") != 0)
			r = tfs_tree_lookup(tree, inode, p, &inode);
	}
	if (r)
		return r;
	/* Its literal name first: a tensor's may have brackets. */
	if (!*p)
		r = add_entry(tree, files, inode);
	else if (!tfs_tree_lookup(tree, inode, p, &entry))
		r = add_entry(tree, files, entry);
	else if (strpbrk(p, "*?["))
		r = add_matches(tree, files, inode, p);
	return r ? r : files->n > before ? 0 : -ENOENT;
}

char *tfs_resolve_path(struct tfs_tree *tree, struct tfs_file_id id)
{
	char dir[TFS_PATH_SIZE], name[TFS_NAME_MAX + 1], *path = NULL;
	struct tfs_inode file = { .kind = TFS_INO_TENSOR, .set = id.set, .tensor = id.tensor };

	while (file.view < TFS_VIEWS && (!tfs_views[file.view].loaded || tfs_views[file.view].loader_view != id.view))
		file.view++;
	if (tfs_tree_view_path(tree, id.set, file.view, dir, sizeof dir) || tfs_tree_file_name(tree, file, name) ||
	    asprintf(&path, "%s/%s", dir, name) < 0)
		return NULL;
	return path;
}
