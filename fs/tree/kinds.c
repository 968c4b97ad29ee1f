/* SPDX-License-Identifier: MIT */
/* The kinds of files, a row each; and the code of those that don't belong to a set: originals, sets/, .tensorfs/. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tree/impl.h"

/* --- Originals ------------------------------------------------------------------------------------------------------ */

static bool node_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.node < t->model->n_nodes;
}

static struct tfs_inode node_parent(struct tfs_tree *t, struct tfs_inode i)
{
	return (struct tfs_inode){ .kind = TFS_INO_NODE, .node = t->model->nodes[i.node].parent };
}

static void attr_of_link(const struct tfs_link *link, struct stat *st)
{
	st->st_mode = S_IFLNK | 0777; /* as links have it, symlink(7) */
	st->st_size = (off_t)strlen(link->target);
	st->st_uid = link->uid;
	st->st_gid = link->gid;
	st->st_mtim = st->st_ctim = st->st_atim = link->mtime;
}

static void node_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	const struct tfs_node *n = &t->model->nodes[i.node];

	if (n->link) {
		attr_of_link(n->link, st);
		return;
	}
	st->st_mode = n->mode;
	st->st_size = n->id.size;
	tfs_tree_attr_of_node(n, st);
}

/*
 * What a directory shows besides its original files: the views, then sets, then the consolidated file, then the control directory.
 * Entry @extra of that list, or false.
 */
static bool extra_entry(const struct tfs_tree *t, uint32_t node, uint64_t extra, char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_node *n = &t->model->nodes[node];
	const char *standard;

	for (unsigned v = 0; v < TFS_VIEWS && n->n_sets; v++)
		if (tfs_tree_has_view(t, v) && !extra--) {
			tfs_tree_free_name(t, node, tfs_views[v].dir, name);
			*ret_inode = (struct tfs_inode){ .kind = TFS_INO_VIEW_DIR, .node = node, .view = v };
			return true;
		}
	if (tfs_tree_has_sets(t, node) && !extra--) {
		tfs_tree_free_name(t, node, TFS_SETS_DIR, name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SETS, .node = node };
		return true;
	}
	/* No original has its name, so it needs no unused one; under another name nobody would look for it. */
	standard = tfs_tree_standard_name(t, node);
	if (standard && !extra--) {
		snprintf(name, TFS_NAME_MAX + 1, "%s", standard);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONSOLIDATED, .set = n->first_set };
		return true;
	}
	if (node == TFS_NODE_ROOT && !extra--) {
		tfs_tree_free_name(t, node, ".tensorfs", name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONTROL_DIR };
		return true;
	}
	return false;
}

static int node_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_node *n = &t->model->nodes[dir.node];
	uint64_t at = *place;

	if (!S_ISDIR(n->mode))
		return -ENOTDIR;
	if (at >= n->n_children && !extra_entry(t, dir.node, at - n->n_children, name, ret_inode))
		return -ENOENT;
	if (at < n->n_children) {
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_NODE, .node = n->first_child + (uint32_t)at };
		snprintf(name, TFS_NAME_MAX + 1, "%s", t->model->nodes[ret_inode->node].name);
	}
	*place = at + 1;
	return 0;
}

static int node_lookup(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode)
{
	uint32_t child = tfs_model_find_child(t->model, dir.node, name, strlen(name));
	char buf[TFS_NAME_MAX + 1];

	if (child != UINT32_MAX) {
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_NODE, .node = child };
		return 0;
	}
	for (uint64_t i = 0; extra_entry(t, dir.node, i, buf, ret_inode); i++)
		if (!strcmp(buf, name))
			return 0;
	return -ENOENT;
}

static const struct tfs_kind_ops node = {
	.valid = node_valid, .parent = node_parent, .attr = node_attr, .entry = node_entry, .lookup = node_lookup
};

/* --- sets/ ---------------------------------------------------------------------------------------------------------- */

static bool sets_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.node < t->model->n_nodes && tfs_tree_has_sets(t, i.node);
}

static struct tfs_inode sets_parent(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t;
	return (struct tfs_inode){ .kind = TFS_INO_NODE, .node = i.node };
}

static void sets_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	tfs_tree_attr_of_dir(&t->model->nodes[i.node], st);
}

static int sets_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_node *n = &t->model->nodes[dir.node];

	if (*place >= n->n_sets)
		return -ENOENT;
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SET, .set = n->first_set + (uint32_t)*place };
	snprintf(name, TFS_NAME_MAX + 1, "%s", t->model->sets[ret_inode->set].stem);
	++*place;
	return 0;
}

static const struct tfs_kind_ops sets = { .valid = sets_valid, .parent = sets_parent, .attr = sets_attr, .entry = sets_entry };

static bool set_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.set < t->model->n_sets && tfs_tree_has_sets(t, t->model->sets[i.set].dir);
}

static struct tfs_inode set_parent(struct tfs_tree *t, struct tfs_inode i)
{
	return (struct tfs_inode){ .kind = TFS_INO_SETS, .node = t->model->sets[i.set].dir };
}

static void set_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	tfs_tree_attr_of_dir(&t->model->nodes[t->model->sets[i.set].dir], st);
}

/* sets/STEM: the existing views. */
static int set_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	uint64_t view = *place;

	while (view < TFS_VIEWS && !tfs_tree_has_view(t, (unsigned)view))
		view++;
	if (view >= TFS_VIEWS)
		return -ENOENT;
	strcpy(name, tfs_views[view].dir);
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = dir.set, .view = (enum tfs_view_dir)view };
	*place = view + 1;
	return 0;
}

static const struct tfs_kind_ops set = { .valid = set_valid, .parent = set_parent, .attr = set_attr, .entry = set_entry };

/* --- .tensorfs/ ----------------------------------------------------------------------------------------------------- */

static bool control_dir_valid(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t, (void)i;
	return true;
}

static struct tfs_inode control_dir_parent(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t, (void)i;
	return (struct tfs_inode){ .kind = TFS_INO_NODE };
}

static void control_dir_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	(void)i;
	tfs_tree_attr_of_dir(&t->model->nodes[TFS_NODE_ROOT], st);
}

static int control_dir_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	(void)dir;
	if (*place >= t->n_controls)
		return -ENOENT;
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONTROL, .node = (uint32_t)*place };
	snprintf(name, TFS_NAME_MAX + 1, "%s", t->controls[*place]);
	++*place;
	return 0;
}

static const struct tfs_kind_ops control_dir = {
	.valid = control_dir_valid, .parent = control_dir_parent, .attr = control_dir_attr, .entry = control_dir_entry
};

static bool control_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.node < t->n_controls;
}

static struct tfs_inode control_parent(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t, (void)i;
	return (struct tfs_inode){ .kind = TFS_INO_CONTROL_DIR };
}

static void control_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	(void)i;
	st->st_mode = S_IFREG | 0444;
	tfs_tree_attr_of_node(&t->model->nodes[TFS_NODE_ROOT], st);
}

/* It waits for lookup because each lookup gets its own snapshot, which is part of the number; its text is generated for that. */
static const struct tfs_kind_ops control = {
	.valid = control_valid, .parent = control_parent, .attr = control_attr, .waits_for_lookup = true
};

/* --- The table ------------------------------------------------------------------------------------------------------ */

const struct tfs_kind_ops *const tfs_kinds[TFS_INO_KINDS] = {
	[TFS_INO_NODE] = &node,
	[TFS_INO_VIEW_DIR] = &tfs_kind_view_dir,
	[TFS_INO_SETS] = &sets,
	[TFS_INO_SET] = &set,
	[TFS_INO_SET_VIEW_DIR] = &tfs_kind_set_view_dir,
	[TFS_INO_TENSOR] = &tfs_kind_tensor,
	[TFS_INO_CONTROL_DIR] = &control_dir,
	[TFS_INO_CONTROL] = &control,
	[TFS_INO_TREE_DIR] = &tfs_kind_tree_dir,
	[TFS_INO_SET_TREE_DIR] = &tfs_kind_set_tree_dir,
	[TFS_INO_KEYS] = &tfs_kind_keys,
	[TFS_INO_CONSOLIDATED] = &tfs_kind_consolidated,
	[TFS_INO_CONVERTED_DIR] = &tfs_kind_converted_dir,
	[TFS_INO_COPY] = &tfs_kind_copy,
};
