/* SPDX-License-Identifier: MIT */
/* The kinds of files in whole/bf16 and the like: the directories, and original files that appear there, too. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tree/impl.h"

/* --- Directories ------------------------------------------------------------------------------------------------------ */

/* @i.view is an enum tfs_as; @i.tensor: it is in sets/STEM/whole, as the kernel allows only one parent for a directory. */
static bool dir_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.set < t->model->n_sets && (unsigned)i.view < TFS_AS && tfs_tree_has_view(t, TFS_VIEW_WHOLE) &&
	       (i.tensor ? i.tensor == 1 && tfs_tree_has_sets(t, t->model->sets[i.set].dir) : tfs_tree_is_primary(t, i.set)) &&
	       tfs_converted_has(t->converted, i.set);
}

static struct tfs_inode dir_parent(struct tfs_tree *t, struct tfs_inode i)
{
	if (i.tensor)
		return (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = i.set, .view = TFS_VIEW_WHOLE };
	return (struct tfs_inode){ .kind = TFS_INO_VIEW_DIR, .node = t->model->sets[i.set].dir, .view = TFS_VIEW_WHOLE };
}

static void dir_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	tfs_tree_attr_of_dir(&t->model->nodes[t->model->sets[i.set].dir], st);
	tfs_access_attr_dir(t->access, i.set, st);
}

/* What comes before the originals, by position: config.json, the index, and shards from FIRST_SHARD on. */
enum { CONFIG, INDEX, FIRST_SHARD };

static bool made_entry(struct tfs_tree *t, struct tfs_inode dir, uint32_t n_shards, uint64_t place, char *name,
		       struct tfs_inode *ret_inode)
{
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_KEYS, .set = dir.set, .view = dir.view };
	switch (place) {
	case CONFIG:
		strcpy(name, "config.json");
		ret_inode->node = TFS_KEYS_CONFIG;
		return tfs_converted_find_config(t->converted, dir.set) != UINT32_MAX;
	case INDEX:
		strcpy(name, "model.safetensors.index.json");
		ret_inode->node = TFS_KEYS_INDEX;
		return n_shards > 1;
	default:
		tfs_converted_shard_name((uint32_t)(place - FIRST_SHARD), n_shards, name, TFS_NAME_MAX + 1);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONSOLIDATED,
						 .set = dir.set,
						 .view = (enum tfs_view_dir)(dir.view + 1),
						 .node = (uint32_t)(place - FIRST_SHARD) };
		return true;
	}
}

static int dir_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_node *n = &t->model->nodes[t->model->sets[dir.set].dir];
	const uint32_t n_shards = tfs_converted_shards(t->converted, dir.set, (enum tfs_as)dir.view);

	if (!n_shards)
		return -ENOMEM;
	for (uint64_t at = *place;; at++) {
		const uint64_t child = at - FIRST_SHARD - n_shards;
		bool is;

		if (at < FIRST_SHARD + n_shards) {
			is = made_entry(t, dir, n_shards, at, name, ret_inode);
		} else if (child < n->n_children) {
			*ret_inode = (struct tfs_inode){ .kind = TFS_INO_COPY, .node = n->first_child + (uint32_t)child };
			snprintf(name, TFS_NAME_MAX + 1, "%s", t->model->nodes[ret_inode->node].name);
			is = tfs_converted_copies(t->converted, dir.set, ret_inode->node);
		} else {
			return -ENOENT;
		}
		*place = at + 1;
		if (is)
			return 0;
	}
}

static uint32_t dir_set(const struct tfs_tree *t, struct tfs_inode i)
{
	(void)t;
	return i.set;
}

const struct tfs_kind_ops tfs_kind_converted_dir = {
	.valid = dir_valid, .parent = dir_parent, .attr = dir_attr, .entry = dir_entry, .shown_set = dir_set
};

/* --- Originals -------------------------------------------------------------------------------------------------------- */

/* The number of directories that contain it: those of each set of its directory, and those of the primary one in sets/, too. */
static unsigned copies(const struct tfs_tree *t, uint32_t node)
{
	const uint32_t dir = t->model->nodes[node].parent;
	const struct tfs_node *n = &t->model->nodes[dir];
	unsigned count = 0;

	for (uint32_t set = n->first_set; set < n->first_set + n->n_sets; set++)
		if (tfs_converted_has(t->converted, set) && tfs_converted_copies(t->converted, set, node))
			count += TFS_AS * (tfs_tree_is_primary(t, set) && tfs_tree_has_sets(t, dir) ? 2 : 1);
	return count;
}

static bool copy_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.node < t->model->n_nodes && tfs_tree_has_view(t, TFS_VIEW_WHOLE) && copies(t, i.node);
}

static struct tfs_inode copy_parent(struct tfs_tree *t, struct tfs_inode i)
{
	return (struct tfs_inode){ .kind = TFS_INO_NODE, .node = t->model->nodes[i.node].parent };
}

/* The file itself, even if the original is shown as a link: the link's target would be a different one from here. */
static void copy_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	const struct tfs_node *n = &t->model->nodes[i.node];

	st->st_mode = n->mode;
	st->st_nlink = copies(t, i.node);
	st->st_size = (off_t)n->id.size;
	tfs_tree_attr_of_node(n, st);
}

const struct tfs_kind_ops tfs_kind_copy = { .valid = copy_valid, .parent = copy_parent, .attr = copy_attr };
