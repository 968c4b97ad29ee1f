/* SPDX-License-Identifier: MIT */
/* The kinds of files that belong to a set: its views, modules in tree/, tensors, its files' metadata, and the consolidated file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tree/impl.h"

/* In meta/, hidden as they aren't about a tensor: the metadata of the files of a set in that format. */
static const struct {
	const char *name;
	const struct tfs_format *format;
} keys_files[TFS_KEYS_IN_META] = {
	[TFS_KEYS_GGUF] = { ".gguf.json", &tfs_format_gguf },
	[TFS_KEYS_GGUF_FULL] = { ".gguf.full.json", &tfs_format_gguf },
	[TFS_KEYS_SAFETENSORS] = { ".safetensors.json", &tfs_format_safetensors },
};

static const char consolidated_name[] = "model.safetensors";

static bool has_keys(const struct tfs_tree *t, uint32_t set, enum tfs_keys which)
{
	return keys_files[which].format == t->model->sets[set].format;
}

/* The set that a view's directory shows. */
static uint32_t set_of_view(const struct tfs_tree *t, struct tfs_inode i)
{
	return i.kind == TFS_INO_VIEW_DIR ? t->model->nodes[i.node].first_set : i.set;
}

static uint32_t set_itself(const struct tfs_tree *t, struct tfs_inode i)
{
	(void)t;
	return i.set;
}

/* --- tree/ ---------------------------------------------------------------------------------------------------------- */

/* A directory of modules, or the tree/ that contains them. */
struct in_tree {
	bool of_primary; /* not in sets/ */
	uint32_t set;
	struct tfs_module dir;
	const struct modules *modules; /* NULL: out of memory */
};

/* @i: a directory of modules, or a tree/. */
static struct in_tree in_tree(struct tfs_tree *t, struct tfs_inode i)
{
	struct in_tree in = { .of_primary = i.kind == TFS_INO_VIEW_DIR || i.kind == TFS_INO_TREE_DIR };

	in.set = set_of_view(t, i);
	in.dir = i.depth ? (struct tfs_module){ i.tensor, i.depth } : tfs_modules_root();
	in.modules = tfs_tree_modules(t, in.set);
	return in;
}

static struct tfs_inode module_inode(const struct tfs_tree *t, const struct in_tree *in, struct tfs_module dir)
{
	struct tfs_inode i = { .kind = in->of_primary ? TFS_INO_TREE_DIR : TFS_INO_SET_TREE_DIR, .set = in->set };

	i.tensor = dir.first;
	i.depth = dir.depth;
	if (!dir.depth && in->of_primary)
		i = (struct tfs_inode){ .kind = TFS_INO_VIEW_DIR, .view = TFS_VIEW_TREE, .node = t->model->sets[in->set].dir };
	else if (!dir.depth)
		i = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .view = TFS_VIEW_TREE, .set = in->set };
	return i;
}

static struct tfs_inode module_entry_inode(const struct tfs_tree *t, const struct in_tree *in, const struct tfs_module_entry *e)
{
	if (e->is_dir)
		return module_inode(t, in, e->dir);
	return (struct tfs_inode){ .kind = TFS_INO_TENSOR, .view = TFS_VIEW_TENSORS, .set = in->set, .tensor = e->tensor };
}

static bool module_valid(struct tfs_tree *t, struct tfs_inode i)
{
	bool may = i.depth && i.set < t->model->n_sets && tfs_tree_has_view(t, TFS_VIEW_TREE);
	struct modules *modules = may ? tfs_tree_modules(t, i.set) : NULL;

	return modules && tfs_modules_valid(modules, (struct tfs_module){ i.tensor, i.depth });
}

static bool tree_dir_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return module_valid(t, i) && tfs_tree_is_primary(t, i.set);
}

static bool set_tree_dir_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return module_valid(t, i) && tfs_tree_has_sets(t, t->model->sets[i.set].dir);
}

static struct tfs_inode module_parent(struct tfs_tree *t, struct tfs_inode i)
{
	struct in_tree in = in_tree(t, i);

	return in.modules ? module_inode(t, &in, tfs_modules_parent(in.modules, in.dir)) :
			    (struct tfs_inode){ .kind = TFS_INO_NODE };
}

/* A directory in which a set is shown: a user who may not read the set can't look into it. */
static void attr_of_shown(const struct tfs_tree *t, uint32_t set, struct stat *st)
{
	tfs_tree_attr_of_dir(&t->model->nodes[t->model->sets[set].dir], st);
	tfs_access_attr_dir(t->access, set, st);
}

static void module_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	attr_of_shown(t, i.set, st);
}

static int module_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	struct in_tree in = in_tree(t, dir);
	struct tfs_module_entry e;

	if (!in.modules)
		return -ENOMEM;
	if (!tfs_modules_entry(in.modules, in.dir, place, name, &e))
		return -ENOENT;
	*ret_inode = module_entry_inode(t, &in, &e);
	return 0;
}

static int module_lookup(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode)
{
	struct in_tree in = in_tree(t, dir);
	struct tfs_module_entry e;

	if (!in.modules)
		return -ENOMEM;
	if (!tfs_modules_find(in.modules, in.dir, name, &e))
		return -ENOENT;
	*ret_inode = module_entry_inode(t, &in, &e);
	return 0;
}

const struct tfs_kind_ops tfs_kind_tree_dir = { .valid = tree_dir_valid,
						.parent = module_parent,
						.attr = module_attr,
						.entry = module_entry,
						.lookup = module_lookup,
						.shown_set = set_itself };

const struct tfs_kind_ops tfs_kind_set_tree_dir = { .valid = set_tree_dir_valid,
						    .parent = module_parent,
						    .attr = module_attr,
						    .entry = module_entry,
						    .lookup = module_lookup,
						    .shown_set = set_itself };

/* --- Views ---------------------------------------------------------------------------------------------------------- */

/* Does that view, a flat one, have a file for the tensor? */
static bool has_tensor(const struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, uint32_t tensor)
{
	const struct tfs_set *s = &t->model->sets[set];

	/* Scaled weights are in f32/, and in meta/ if no codes have their name. */
	if (tensor >= s->n_tensors && view == TFS_VIEW_META)
		return tfs_set_find(s, tfs_set_tensor(s, tensor)->name, tfs_set_tensor(s, tensor)->name_len) == SIZE_MAX;
	if (tensor >= s->n_tensors && view != TFS_VIEW_F32)
		return false;
	return tfs_view_shows(tfs_views[view].loader_view, tfs_set_tensor(s, tensor));
}

/* The tensor whose file in @view, a flat one, is @name, or UINT32_MAX. */
static uint32_t find_tensor(const struct tfs_tree *t, const struct names *names, uint32_t set, enum tfs_view_dir view,
			    const char *name)
{
	size_t len = strlen(name), end = strlen(tfs_views[view].suffix);
	uint32_t tensor, other;

	if (len < end || strcmp(name + len - end, tfs_views[view].suffix) != 0)
		return UINT32_MAX;
	tensor = tfs_names_find(names, name, len - end, &other);
	if (other != UINT32_MAX && has_tensor(t, set, view, other))
		return other;
	return tensor != UINT32_MAX && has_tensor(t, set, view, tensor) ? tensor : UINT32_MAX;
}

/*
 * Entry @place among those of meta/ that aren't about a tensor; its name with as many '~' appended as needed to differ from
 * tensors'. False: there are no more, or this is another view.
 */
static bool keys_entry(const struct tfs_tree *t, const struct names *names, uint32_t set, enum tfs_view_dir view, uint64_t place,
		       char *name, struct tfs_inode *ret_inode)
{
	unsigned k = 0;

	while (k < TFS_KEYS_IN_META && !(has_keys(t, set, k) && !place--))
		k++;
	if (k == TFS_KEYS_IN_META || view != TFS_VIEW_META)
		return false;
	size_t len = strlen(keys_files[k].name);
	memcpy(name, keys_files[k].name, len + 1);
	while (len < TFS_NAME_MAX && find_tensor(t, names, set, view, name) != UINT32_MAX) {
		name[len++] = '~';
		name[len] = 0;
	}
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_KEYS, .set = set, .node = k };
	return true;
}

static int flat_lookup(struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, const char *name, struct tfs_inode *ret_inode)
{
	struct names *names = tfs_tree_names(t, set);
	char buf[TFS_NAME_MAX + 1];

	if (!names)
		return -ENOMEM;
	uint32_t tensor = find_tensor(t, names, set, view, name);
	if (tensor != UINT32_MAX) {
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_TENSOR, .set = set, .view = view, .tensor = tensor };
		return 0;
	}
	for (uint64_t i = 0; keys_entry(t, names, set, view, i, buf, ret_inode); i++)
		if (!strcmp(buf, name))
			return 0;
	return -ENOENT;
}

/* whole/: the set as one file, and directories with it in other types. */
static int whole_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	const uint32_t set = set_of_view(t, dir);

	if (!*place && tfs_consolidated_has(t->consolidated, set)) {
		strcpy(name, consolidated_name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONSOLIDATED, .set = set };
		*place = 1;
		return 0;
	}
	const uint64_t as = *place ? *place - 1 : 0;
	if (as >= TFS_AS || !tfs_converted_has(t->converted, set))
		return -ENOENT;
	strcpy(name, tfs_as_names[as]);
	*ret_inode = (struct tfs_inode){
		.kind = TFS_INO_CONVERTED_DIR, .set = set, .view = (enum tfs_view_dir)as, .tensor = dir.kind == TFS_INO_SET_VIEW_DIR
	};
	*place = as + 2;
	return 0;
}

static int view_lookup(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode)
{
	uint32_t set = set_of_view(t, dir);
	enum tfs_view_dir view = dir.view;

	if (view == TFS_VIEW_TREE)
		return module_lookup(t, dir, name, ret_inode);
	if (tfs_views[view].flat)
		return flat_lookup(t, set, view, name, ret_inode);
	char buf[TFS_NAME_MAX + 1];
	for (uint64_t place = 0; !whole_entry(t, dir, &place, buf, ret_inode);)
		if (!strcmp(buf, name))
			return 0;
	return -ENOENT;
}

static int flat_entry(struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, uint64_t *place, char *name,
		      struct tfs_inode *ret_inode)
{
	struct names *names = tfs_tree_names(t, set);
	uint64_t n = tfs_set_n_all(&t->model->sets[set]), at = *place;

	if (!names)
		return -ENOMEM;
	/* Positions of tensors that it doesn't show are skipped. */
	for (; at < n; at++) {
		uint32_t tensor = tfs_names_at(names, (uint32_t)at);
		if (!has_tensor(t, set, view, tensor))
			continue;
		strcpy(name + tfs_names_get(names, tensor, name), tfs_views[view].suffix);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_TENSOR, .set = set, .view = view, .tensor = tensor };
		*place = at + 1;
		return 0;
	}
	if (!keys_entry(t, names, set, view, at - n, name, ret_inode))
		return -ENOENT;
	*place = at + 1;
	return 0;
}

static int view_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	uint32_t set = set_of_view(t, dir);
	enum tfs_view_dir view = dir.view;

	if (view == TFS_VIEW_TREE)
		return module_entry(t, dir, place, name, ret_inode);
	if (tfs_views[view].flat)
		return flat_entry(t, set, view, place, name, ret_inode);
	return whole_entry(t, dir, place, name, ret_inode);
}

static bool view_dir_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.node < t->model->n_nodes && tfs_tree_has_view(t, i.view) && t->model->nodes[i.node].n_sets;
}

static struct tfs_inode view_dir_parent(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t;
	return (struct tfs_inode){ .kind = TFS_INO_NODE, .node = i.node };
}

static void view_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	attr_of_shown(t, set_of_view(t, i), st);
}

const struct tfs_kind_ops tfs_kind_view_dir = { .valid = view_dir_valid,
						.parent = view_dir_parent,
						.attr = view_attr,
						.entry = view_entry,
						.lookup = view_lookup,
						.shown_set = set_of_view };

static bool set_view_dir_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.set < t->model->n_sets && tfs_tree_has_view(t, i.view) && tfs_tree_has_sets(t, t->model->sets[i.set].dir);
}

static struct tfs_inode set_view_dir_parent(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t;
	return (struct tfs_inode){ .kind = TFS_INO_SET, .set = i.set };
}

const struct tfs_kind_ops tfs_kind_set_view_dir = { .valid = set_view_dir_valid,
						    .parent = set_view_dir_parent,
						    .attr = view_attr,
						    .entry = view_entry,
						    .lookup = view_lookup,
						    .shown_set = set_of_view };

/* --- Files ---------------------------------------------------------------------------------------------------------- */

/*
 * Number of directories that a file of a set is in: tree/ shows the files of tensors/, sets/STEM those of its directory, too, and
 * whole/model.safetensors is also where programs look for it.
 */
static unsigned links_of(const struct tfs_tree *t, struct tfs_inode i)
{
	uint32_t dir = t->model->sets[i.set].dir;
	bool primary = tfs_tree_is_primary(t, i.set), as_stored = i.kind == TFS_INO_CONSOLIDATED && !i.view;
	bool twice = primary && tfs_tree_has_sets(t, dir);
	unsigned of_set = 1;

	if (i.kind == TFS_INO_TENSOR && i.view == TFS_VIEW_TENSORS)
		of_set = tfs_tree_has_view(t, TFS_VIEW_TENSORS) + tfs_tree_has_view(t, TFS_VIEW_TREE);
	return (twice ? 2 : 1) * of_set + (as_stored && primary && tfs_tree_standard_name(t, dir));
}

static bool tensor_valid(struct tfs_tree *t, struct tfs_inode i)
{
	/* tree/ shows the files of tensors/, even if that isn't shown. */
	bool shown = tfs_tree_has_view(t, i.view) || (i.view == TFS_VIEW_TENSORS && tfs_tree_has_view(t, TFS_VIEW_TREE));

	return shown && i.set < t->model->n_sets && i.tensor < tfs_set_n_all(&t->model->sets[i.set]) && tfs_views[i.view].flat &&
	       has_tensor(t, i.set, i.view, i.tensor);
}

static struct tfs_inode tensor_parent(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t;
	return (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = i.set, .view = i.view };
}

static void tensor_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	const struct tfs_model *m = t->model;

	st->st_mode = S_IFREG;
	st->st_nlink = links_of(t, i);
	st->st_size = tfs_views[i.view].loaded ? tfs_file_layout(m, tfs_file_of(i)).size : 0;
	tfs_tree_attr_of_node(&m->nodes[tfs_set_tensor(&m->sets[i.set], i.tensor)->source], st);
	tfs_access_attr_tensor(t->access, i.set, i.tensor, st);
}

const struct tfs_kind_ops tfs_kind_tensor = { .valid = tensor_valid, .parent = tensor_parent, .attr = tensor_attr };

/* For a file that is made of all of a set's files. */
static void set_file_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	st->st_mode = S_IFREG;
	st->st_nlink = links_of(t, i);
	tfs_tree_attr_of_node(&t->model->nodes[t->model->sets[i.set].sources[0]], st);
	tfs_access_attr_set(t->access, i.set, st);
}

static bool keys_valid(struct tfs_tree *t, struct tfs_inode i)
{
	if (i.set >= t->model->n_sets || i.node >= TFS_KEYS)
		return false;
	if (i.node < TFS_KEYS_IN_META)
		return !i.view && tfs_tree_has_view(t, TFS_VIEW_META) && has_keys(t, i.set, i.node);
	return (unsigned)i.view < TFS_AS && tfs_tree_has_view(t, TFS_VIEW_WHOLE) && tfs_converted_has(t->converted, i.set) &&
	       (i.node == TFS_KEYS_CONFIG ? tfs_tree_original_of(t, i) != UINT32_MAX :
					    tfs_converted_shards(t->converted, i.set, (enum tfs_as)i.view) > 1);
}

static struct tfs_inode keys_parent(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t;
	return (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR,
				   .set = i.set,
				   .view = i.node < TFS_KEYS_IN_META ? TFS_VIEW_META : TFS_VIEW_WHOLE };
}

static void keys_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	const uint32_t original = tfs_tree_original_of(t, i);

	if (original == UINT32_MAX) {
		set_file_attr(t, i, st);
		return;
	}
	st->st_mode = t->model->nodes[original].mode;
	st->st_nlink = links_of(t, i);
	tfs_tree_attr_of_node(&t->model->nodes[original], st);
}

const struct tfs_kind_ops tfs_kind_keys = {
	.valid = keys_valid, .parent = keys_parent, .attr = keys_attr, .waits_for_lookup = true
};

static bool whole_valid(struct tfs_tree *t, struct tfs_inode i)
{
	if (i.set >= t->model->n_sets || (unsigned)i.view > TFS_AS || !tfs_tree_has_view(t, TFS_VIEW_WHOLE))
		return false;
	if (!i.view)
		return !i.node && tfs_consolidated_has(t->consolidated, i.set);
	return tfs_converted_has(t->converted, i.set) &&
	       i.node < tfs_converted_shards(t->converted, i.set, (enum tfs_as)(i.view - 1));
}

static struct tfs_inode whole_parent(struct tfs_tree *t, struct tfs_inode i)
{
	(void)t;
	return (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = i.set, .view = TFS_VIEW_WHOLE };
}

const struct tfs_kind_ops tfs_kind_consolidated = {
	.valid = whole_valid, .parent = whole_parent, .attr = set_file_attr, .waits_for_lookup = true
};
