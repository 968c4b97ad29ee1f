/* SPDX-License-Identifier: MIT */
/* Shared by tree.c, kinds.c and set-files.c: the tree, and what a kind of file is. */
#ifndef TFS_TREE_IMPL_H
#define TFS_TREE_IMPL_H

#include <pthread.h>

#include "tree/converted.h"
#include "tree/tree.h"

struct tfs_tree {
	const struct tfs_model *model;
	const char *const *controls;
	uint32_t n_controls;
	unsigned views;		  /* the existing ones: see views.h */
	pthread_mutex_t lock;	  /* guards names and modules, whose tables are immutable once they exist */
	struct names **names;	  /* [set], NULL until first needed */
	struct modules **modules; /* [set], likewise */
	struct tfs_consolidated_all *consolidated;
	struct tfs_converted_all *converted;
	struct tfs_access *access;
};

/* If a directory has several sets. */
#define TFS_SETS_DIR "sets"

/*
 * One kind of file. Its functions only get inodes of that kind, and all except valid() get valid ones. A new kind is a row of
 * tfs_kinds, one in inode.c for its number's fields, and one in mount/open.c for how it is opened.
 */
struct tfs_kind_ops {
	/* Required: does a file with these numbers exist? They may be anything. */
	bool (*valid)(struct tfs_tree *t, struct tfs_inode i);
	/* Required: like tfs_tree_parent(). */
	struct tfs_inode (*parent)(struct tfs_tree *t, struct tfs_inode i);
	/* Required: like tfs_tree_attr(), except for what all have in common: st_ino, st_blocks and st_blksize; st_nlink is 1. */
	void (*attr)(const struct tfs_tree *t, struct tfs_inode i, struct stat *st);
	/* Directories: like tfs_tree_entry(). NULL: not a directory. */
	int (*entry)(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode);
	/* Directories: like tfs_tree_lookup(). NULL: few entries, searched linearly. */
	int (*lookup)(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode);
	/* A set's view, or a file in one: the set. NULL: neither. */
	uint32_t (*shown_set)(const struct tfs_tree *t, struct tfs_inode dir);
	/* As tfs_tree_waits_for_lookup(). */
	bool waits_for_lookup;
};

extern const struct tfs_kind_ops *const tfs_kinds[TFS_INO_KINDS];

/* set-files.c: a set's views, and what is in them. */
extern const struct tfs_kind_ops tfs_kind_view_dir, tfs_kind_set_view_dir, tfs_kind_tensor, tfs_kind_tree_dir,
	tfs_kind_set_tree_dir, tfs_kind_keys, tfs_kind_consolidated;

/* converted-files.c: what is in whole/bf16 and the like. */
extern const struct tfs_kind_ops tfs_kind_converted_dir, tfs_kind_copy;

/* --- tree.c -------------------------------------------------------------------------------------------------------- */

/* NULL: out of memory. */
struct names *tfs_tree_names(struct tfs_tree *t, uint32_t set);
struct modules *tfs_tree_modules(struct tfs_tree *t, uint32_t set);

/* @name, with as many '~' appended as needed to not collide with an original file of directory @node, into @buf. */
void tfs_tree_free_name(const struct tfs_tree *t, uint32_t node, const char *name, char *buf);

/* Set owner and times of a generated file from @node; and the rest for a generated directory. */
void tfs_tree_attr_of_node(const struct tfs_node *n, struct stat *st);
void tfs_tree_attr_of_dir(const struct tfs_node *n, struct stat *st);

/* Is it the set that the views of its directory show? */
static inline bool tfs_tree_is_primary(const struct tfs_tree *t, uint32_t set)
{
	return t->model->nodes[t->model->sets[set].dir].first_set == set;
}

static inline bool tfs_tree_has_view(const struct tfs_tree *t, unsigned view)
{
	return view < TFS_VIEWS && t->views >> view & 1;
}

/* Does @node have a directory sets/? */
static inline bool tfs_tree_has_sets(const struct tfs_tree *t, uint32_t node)
{
	return t->model->nodes[node].n_sets > 1 && t->views;
}

/* The name in directory @node of its primary set's model.safetensors, where programs look for it, or NULL. */
static inline const char *tfs_tree_standard_name(const struct tfs_tree *t, uint32_t node)
{
	return tfs_tree_has_view(t, TFS_VIEW_WHOLE) ? tfs_consolidated_standard_name(t->consolidated, node) : NULL;
}

#endif
