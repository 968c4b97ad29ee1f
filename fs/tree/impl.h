/* SPDX-License-Identifier: MIT */
/* What tree.c, kinds.c and set-files.c share: the tree, and what a kind of file is. */
#ifndef TFS_TREE_IMPL_H
#define TFS_TREE_IMPL_H

#include <pthread.h>

#include "tree/converted.h"
#include "tree/tree.h"

struct tfs_tree {
	const struct tfs_model *model;
	const char *const *controls;
	uint32_t n_controls;
	unsigned views;		  /* that there are: see views.h */
	pthread_mutex_t lock;	  /* guards names and modules, whose tables are immutable once they are there */
	struct names **names;	  /* [set], NULL until first needed */
	struct modules **modules; /* [set], likewise */
	struct tfs_consolidated_all *consolidated;
	struct tfs_converted_all *converted;
	struct tfs_access *access;
};

/* Where a directory has several sets. */
#define TFS_SETS_DIR "sets"

/*
 * One kind of file. Its functions get inodes of that kind alone, and all but valid() get valid ones. A new kind is a row of tfs_kinds,
 * one in inode.c of what its numbers say, and one in mount/open.c of how it is opened.
 */
struct tfs_kind_ops {
	/* Required: are these the numbers of a file that there is? They may be any. */
	bool (*valid)(struct tfs_tree *t, struct tfs_inode i);
	/* Required: as tfs_tree_parent(). */
	struct tfs_inode (*parent)(struct tfs_tree *t, struct tfs_inode i);
	/* Required: as tfs_tree_attr(), but for what is alike for all: st_ino, st_blocks and st_blksize; st_nlink is 1. */
	void (*attr)(const struct tfs_tree *t, struct tfs_inode i, struct stat *st);
	/* Directories: as tfs_tree_entry(). NULL: it is none. */
	int (*entry)(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode);
	/* Directories: as tfs_tree_lookup(). NULL: there are few entries, to be gone through. */
	int (*lookup)(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode);
	/* A set's view, or in one: the set. NULL: it is neither. */
	uint32_t (*shown_set)(const struct tfs_tree *t, struct tfs_inode dir);
	/* As tfs_tree_waits_for_lookup(). */
	bool waits_for_lookup;
};

extern const struct tfs_kind_ops *const tfs_kinds[TFS_INO_KINDS];

/* set-files.c: a set's views, and what is in them. */
extern const struct tfs_kind_ops tfs_kind_view_dir, tfs_kind_set_view_dir, tfs_kind_tensor, tfs_kind_tree_dir,
	tfs_kind_set_tree_dir, tfs_kind_keys, tfs_kind_consolidated;

/* converted-files.c: what is in whole/bf16 and its like. */
extern const struct tfs_kind_ops tfs_kind_converted_dir, tfs_kind_copy;

/* --- tree.c -------------------------------------------------------------------------------------------------------- */

/* NULL: out of memory. */
struct names *tfs_tree_names(struct tfs_tree *t, uint32_t set);
struct modules *tfs_tree_modules(struct tfs_tree *t, uint32_t set);

/* @name with as many '~' after it as it takes not to collide with an original file of directory @node, into @buf. */
void tfs_tree_free_name(const struct tfs_tree *t, uint32_t node, const char *name, char *buf);

/* Owner and times of what is made up after @node; and the rest of a directory that is. */
void tfs_tree_attr_of_node(const struct tfs_node *n, struct stat *st);
void tfs_tree_attr_of_dir(const struct tfs_node *n, struct stat *st);

/* Is it the set that its directory's own views show? */
static inline bool tfs_tree_is_primary(const struct tfs_tree *t, uint32_t set)
{
	return t->model->nodes[t->model->sets[set].dir].first_set == set;
}

static inline bool tfs_tree_has_view(const struct tfs_tree *t, unsigned view)
{
	return view < TFS_VIEWS && t->views >> view & 1;
}

/* Is there a directory sets/ in @node? */
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
