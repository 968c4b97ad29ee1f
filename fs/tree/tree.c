/* SPDX-License-Identifier: MIT */
#include "tree/tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In meta/, hidden as they are about no tensor: what the files of a set of that format say about themselves. */
static const struct {
	const char *name;
	const struct tfs_format *format;
} keys_files[TFS_KEYS] = {
	[TFS_KEYS_GGUF] = { ".gguf.json", &tfs_format_gguf },
	[TFS_KEYS_GGUF_FULL] = { ".gguf.full.json", &tfs_format_gguf },
	[TFS_KEYS_SAFETENSORS] = { ".safetensors.json", &tfs_format_safetensors },
};

static const char sets_dir[] = "sets", control_dir[] = ".tensorfs", whole_name[] = "model.safetensors";

struct tfs_tree {
	const struct tfs_model *model;
	const char *const *controls;
	uint32_t n_controls;
	unsigned views;	      /* that there are: see views.h */
	pthread_mutex_t lock; /* guards names and modules, whose tables are immutable once they are there */
	struct names **names; /* [set], NULL until first needed */
	struct modules **modules; /* [set], likewise */
	struct tfs_wholes *wholes;
	struct tfs_access *access;
};

/* --- Tables --------------------------------------------------------------------------------------------------------- */

static struct names *names_of(struct tfs_tree *t, uint32_t set)
{
	pthread_mutex_lock(&t->lock);
	if (!t->names[set])
		t->names[set] = tfs_names_create(&t->model->sets[set]);
	struct names *names = t->names[set];
	pthread_mutex_unlock(&t->lock);
	return names;
}

static struct modules *modules_of(struct tfs_tree *t, uint32_t set)
{
	pthread_mutex_lock(&t->lock);
	if (!t->modules[set])
		t->modules[set] = tfs_modules_create(&t->model->sets[set]);
	struct modules *modules = t->modules[set];
	pthread_mutex_unlock(&t->lock);
	return modules;
}

/* Is it the one that its directory's own views show? */
static bool is_primary(const struct tfs_tree *t, uint32_t set)
{
	return t->model->nodes[t->model->sets[set].dir].first_set == set;
}

static bool has_view(const struct tfs_tree *t, enum tfs_view_dir view)
{
	return view < TFS_VIEWS && t->views >> view & 1;
}

/* Is there a directory sets/? */
static bool has_sets(const struct tfs_tree *t, uint32_t node)
{
	return t->model->nodes[node].n_sets > 1 && t->views;
}

static bool has_keys(const struct tfs_tree *t, uint32_t set, enum tfs_keys which)
{
	return keys_files[which].format == t->model->sets[set].format;
}

/* Does that view, a flat one, have a file for the tensor? */
static bool has_tensor(const struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, uint32_t tensor)
{
	return tfs_view_shows(tfs_views[view].loader_view, &t->model->sets[set].tensors[tensor]);
}

/* The file's name in directory @node, where programs look for its primary set, or NULL. */
static const char *standard_name(const struct tfs_tree *t, uint32_t node)
{
	return has_view(t, TFS_VIEW_WHOLE) ? tfs_wholes_standard_name(t->wholes, node) : NULL;
}

bool tfs_tree_valid(struct tfs_tree *t, struct tfs_inode i)
{
	const struct tfs_model *m = t->model;
	switch (i.kind) {
	case TFS_INO_NODE:
		return i.node < m->n_nodes;
	case TFS_INO_VIEW_DIR:
		return i.node < m->n_nodes && has_view(t, i.view) && m->nodes[i.node].n_sets;
	case TFS_INO_SETS:
		return i.node < m->n_nodes && has_sets(t, i.node);
	case TFS_INO_SET:
		return i.set < m->n_sets && has_sets(t, m->sets[i.set].dir);
	case TFS_INO_SET_VIEW_DIR:
		return i.set < m->n_sets && has_view(t, i.view) && has_sets(t, m->sets[i.set].dir);
	case TFS_INO_TENSOR:
		/* tree/ shows the files of tensors/, also where that isn't. */
		return i.set < m->n_sets && i.tensor < m->sets[i.set].n_tensors &&
		       (has_view(t, i.view) || (i.view == TFS_VIEW_TENSORS && has_view(t, TFS_VIEW_TREE))) &&
		       tfs_views[i.view].flat && has_tensor(t, i.set, i.view, i.tensor);
	case TFS_INO_TREE_DIR:
	case TFS_INO_SET_TREE_DIR: {
		bool may = i.depth && i.set < m->n_sets && has_view(t, TFS_VIEW_TREE);
		struct modules *modules = may ? modules_of(t, i.set) : NULL;
		return modules && (i.kind == TFS_INO_SET_TREE_DIR ? has_sets(t, m->sets[i.set].dir) : is_primary(t, i.set)) &&
		       tfs_modules_valid(modules, (struct tfs_module){ i.tensor, i.depth });
	}
	case TFS_INO_CONTROL_DIR:
		return true;
	case TFS_INO_CONTROL:
		return i.node < t->n_controls;
	case TFS_INO_KEYS:
		return i.set < m->n_sets && i.node < TFS_KEYS && has_view(t, TFS_VIEW_META) && has_keys(t, i.set, i.node);
	case TFS_INO_WHOLE:
		return i.set < m->n_sets && has_view(t, TFS_VIEW_WHOLE) && tfs_wholes_has(t->wholes, i.set);
	case TFS_INO_KINDS:
		break;
	}
	return false;
}

/* --- Names ---------------------------------------------------------------------------------------------------------- */

/* @name with as many '~' behind it as it takes not to collide with an original file of directory @node. */
static void free_name(const struct tfs_tree *t, uint32_t node, const char *name, char *buf)
{
	size_t len = strlen(name);
	memcpy(buf, name, len + 1);
	while (len < TFS_NAME_MAX && tfs_model_find_child(t->model, node, buf, len) != UINT32_MAX) {
		buf[len++] = '~';
		buf[len] = 0;
	}
}

/*
 * What a directory shows besides its original files: the views, then sets, then the whole file, then the control directory. Entry
 * @extra of that list, or false.
 */
static bool extra_entry(const struct tfs_tree *t, uint32_t node, uint64_t extra, char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_node *n = &t->model->nodes[node];
	const char *standard;

	for (unsigned v = 0; v < TFS_VIEWS && n->n_sets; v++)
		if (has_view(t, v) && !extra--) {
			free_name(t, node, tfs_views[v].dir, name);
			*ret_inode = (struct tfs_inode){ .kind = TFS_INO_VIEW_DIR, .node = node, .view = v };
			return true;
		}
	if (has_sets(t, node) && !extra--) {
		free_name(t, node, sets_dir, name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SETS, .node = node };
		return true;
	}
	/* No original has its name, so it needs none that is free; under another one nobody would look for it. */
	standard = standard_name(t, node);
	if (standard && !extra--) {
		snprintf(name, TFS_NAME_MAX + 1, "%s", standard);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_WHOLE, .set = n->first_set };
		return true;
	}
	if (node == TFS_NODE_ROOT && !extra--) {
		free_name(t, node, control_dir, name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONTROL_DIR };
		return true;
	}
	return false;
}

/* Entry @place of sets/STEM, or false. */
static bool set_entry(const struct tfs_tree *t, uint32_t set, uint64_t place, const char **ret_name, struct tfs_inode *ret_inode)
{
	for (unsigned v = 0; v < TFS_VIEWS; v++)
		if (has_view(t, v) && !place--) {
			*ret_name = tfs_views[v].dir;
			*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = set, .view = v };
			return true;
		}
	return false;
}

/* The set and view of a view's directory. False: @i is something else. */
static bool in_view(const struct tfs_tree *t, struct tfs_inode i, uint32_t *ret_set, enum tfs_view_dir *ret_view)
{
	if (i.kind != TFS_INO_VIEW_DIR && i.kind != TFS_INO_SET_VIEW_DIR)
		return false;
	*ret_set = i.kind == TFS_INO_VIEW_DIR ? t->model->nodes[i.node].first_set : i.set;
	*ret_view = i.view;
	return true;
}

/* --- tree/ ---------------------------------------------------------------------------------------------------------- */

/* A directory of modules, or the tree/ that they are in. */
struct in_tree {
	bool of_primary; /* not in sets/ */
	uint32_t set;
	struct tfs_module dir;
	const struct modules *modules; /* NULL: out of memory */
};

/* False: @i is something else. */
static bool in_tree(struct tfs_tree *t, struct tfs_inode i, struct in_tree *ret_in)
{
	struct in_tree in = { .set = i.set, .of_primary = i.kind == TFS_INO_VIEW_DIR || i.kind == TFS_INO_TREE_DIR };
	enum tfs_view_dir view;

	if (i.kind == TFS_INO_TREE_DIR || i.kind == TFS_INO_SET_TREE_DIR)
		in.dir = (struct tfs_module){ i.tensor, i.depth };
	else if (in_view(t, i, &in.set, &view) && view == TFS_VIEW_TREE)
		in.dir = tfs_modules_root();
	else
		return false;
	in.modules = modules_of(t, in.set);
	*ret_in = in;
	return true;
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

/* --- Looking up ------------------------------------------------------------------------------------------------------ */

/* The tensor whose file in @view, a flat one, is @name, or UINT32_MAX. */
static uint32_t find_tensor(const struct tfs_tree *t, const struct names *names, uint32_t set, enum tfs_view_dir view,
			    const char *name)
{
	size_t len = strlen(name), end = strlen(tfs_views[view].suffix);
	uint32_t tensor;

	if (len < end || strcmp(name + len - end, tfs_views[view].suffix) != 0)
		return UINT32_MAX;
	tensor = tfs_names_find(names, name, len - end);
	return tensor != UINT32_MAX && has_tensor(t, set, view, tensor) ? tensor : UINT32_MAX;
}

/*
 * Entry @place among those of meta/ that are about no tensor; its name with as many '~' behind it as it takes not to be a tensor's.
 * False: there are no more, or this is another view.
 */
static bool keys_entry(const struct tfs_tree *t, const struct names *names, uint32_t set, enum tfs_view_dir view, uint64_t place,
		       char *name, struct tfs_inode *ret_inode)
{
	unsigned k = 0;

	while (k < TFS_KEYS && !(has_keys(t, set, k) && !place--))
		k++;
	if (k == TFS_KEYS || view != TFS_VIEW_META)
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
	struct names *names = names_of(t, set);
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

static int view_lookup(struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, const char *name, struct tfs_inode *ret_inode)
{
	if (tfs_views[view].flat)
		return flat_lookup(t, set, view, name, ret_inode);
	if (strcmp(name, whole_name) != 0 || !tfs_wholes_has(t->wholes, set))
		return -ENOENT;
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_WHOLE, .set = set };
	return 0;
}

int tfs_tree_lookup(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_model *m = t->model;
	char buf[TFS_NAME_MAX + 1];
	const char *entry;
	enum tfs_view_dir view;
	struct in_tree in;
	uint32_t set;

	if (in_tree(t, dir, &in)) {
		struct tfs_module_entry e;
		if (!in.modules)
			return -ENOMEM;
		if (!tfs_modules_find(in.modules, in.dir, name, &e))
			return -ENOENT;
		*ret_inode = module_entry_inode(t, &in, &e);
		return 0;
	}
	if (in_view(t, dir, &set, &view))
		return view_lookup(t, set, view, name, ret_inode);
	switch (dir.kind) {
	case TFS_INO_NODE: {
		uint32_t child = tfs_model_find_child(m, dir.node, name, strlen(name));
		if (child != UINT32_MAX) {
			*ret_inode = (struct tfs_inode){ .kind = TFS_INO_NODE, .node = child };
			return 0;
		}
		for (uint64_t i = 0; extra_entry(t, dir.node, i, buf, ret_inode); i++)
			if (!strcmp(buf, name))
				return 0;
		return -ENOENT;
	}
	case TFS_INO_SETS: {
		const struct tfs_node *n = &m->nodes[dir.node];
		for (uint32_t i = 0; i < n->n_sets; i++)
			if (!strcmp(m->sets[n->first_set + i].stem, name)) {
				*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SET, .set = n->first_set + i };
				return 0;
			}
		return -ENOENT;
	}
	case TFS_INO_SET:
		for (uint64_t i = 0; set_entry(t, dir.set, i, &entry, ret_inode); i++)
			if (!strcmp(entry, name))
				return 0;
		return -ENOENT;
	case TFS_INO_CONTROL_DIR:
		for (uint32_t i = 0; i < t->n_controls; i++)
			if (!strcmp(t->controls[i], name)) {
				*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONTROL, .node = i };
				return 0;
			}
		return -ENOENT;
	case TFS_INO_VIEW_DIR:
	case TFS_INO_SET_VIEW_DIR:
	case TFS_INO_TREE_DIR:
	case TFS_INO_SET_TREE_DIR:
	case TFS_INO_TENSOR:
	case TFS_INO_CONTROL:
	case TFS_INO_KEYS:
	case TFS_INO_WHOLE:
	case TFS_INO_KINDS:
		break;
	}
	return -ENOTDIR;
}

static int flat_entry(struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, uint64_t *place, char *name,
		      struct tfs_inode *ret_inode)
{
	struct names *names = names_of(t, set);
	uint64_t n = t->model->sets[set].n_tensors, at = *place;

	if (!names)
		return -ENOMEM;
	/* The places of tensors that it doesn't show are passed over. */
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

static int view_entry(struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, uint64_t *place, char *name,
		      struct tfs_inode *ret_inode)
{
	if (tfs_views[view].flat)
		return flat_entry(t, set, view, place, name, ret_inode);
	if (*place || !tfs_wholes_has(t->wholes, set))
		return -ENOENT;
	strcpy(name, whole_name);
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_WHOLE, .set = set };
	++*place;
	return 0;
}

/* Entry @place of a directory that is not a view's, nor in tree/. */
static int counted_entry(const struct tfs_tree *t, struct tfs_inode dir, uint64_t place, char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_model *m = t->model;
	const char *entry;

	switch (dir.kind) {
	case TFS_INO_NODE: {
		const struct tfs_node *n = &m->nodes[dir.node];
		if (!S_ISDIR(n->mode))
			return -ENOTDIR;
		if (place >= n->n_children)
			return extra_entry(t, dir.node, place - n->n_children, name, ret_inode) ? 0 : -ENOENT;
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_NODE, .node = n->first_child + (uint32_t)place };
		snprintf(name, TFS_NAME_MAX + 1, "%s", m->nodes[ret_inode->node].name);
		return 0;
	}
	case TFS_INO_SETS: {
		const struct tfs_node *n = &m->nodes[dir.node];
		if (place >= n->n_sets)
			return -ENOENT;
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SET, .set = n->first_set + (uint32_t)place };
		snprintf(name, TFS_NAME_MAX + 1, "%s", m->sets[ret_inode->set].stem);
		return 0;
	}
	case TFS_INO_SET:
		if (!set_entry(t, dir.set, place, &entry, ret_inode))
			return -ENOENT;
		snprintf(name, TFS_NAME_MAX + 1, "%s", entry);
		return 0;
	case TFS_INO_CONTROL_DIR:
		if (place >= t->n_controls)
			return -ENOENT;
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONTROL, .node = (uint32_t)place };
		snprintf(name, TFS_NAME_MAX + 1, "%s", t->controls[place]);
		return 0;
	case TFS_INO_VIEW_DIR:
	case TFS_INO_SET_VIEW_DIR:
	case TFS_INO_TREE_DIR:
	case TFS_INO_SET_TREE_DIR:
	case TFS_INO_TENSOR:
	case TFS_INO_CONTROL:
	case TFS_INO_KEYS:
	case TFS_INO_WHOLE:
	case TFS_INO_KINDS:
		break;
	}
	return -ENOTDIR;
}

int tfs_tree_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	struct tfs_module_entry e;
	enum tfs_view_dir view;
	struct in_tree in;
	uint32_t set;

	if (!in_tree(t, dir, &in)) {
		if (in_view(t, dir, &set, &view))
			return view_entry(t, set, view, place, name, ret_inode);
		int r = counted_entry(t, dir, *place, name, ret_inode);
		*place += !r;
		return r;
	}
	if (!in.modules)
		return -ENOMEM;
	if (!tfs_modules_entry(in.modules, in.dir, place, name, &e))
		return -ENOENT;
	*ret_inode = module_entry_inode(t, &in, &e);
	return 0;
}

struct tfs_inode tfs_tree_parent(struct tfs_tree *t, struct tfs_inode i)
{
	const struct tfs_model *m = t->model;
	struct tfs_inode p = { .kind = TFS_INO_NODE };

	switch (i.kind) {
	case TFS_INO_NODE:
		p.node = m->nodes[i.node].parent;
		break;
	case TFS_INO_VIEW_DIR:
	case TFS_INO_SETS:
		p.node = i.node;
		break;
	case TFS_INO_SET:
		p = (struct tfs_inode){ .kind = TFS_INO_SETS, .node = m->sets[i.set].dir };
		break;
	case TFS_INO_SET_VIEW_DIR:
		p = (struct tfs_inode){ .kind = TFS_INO_SET, .set = i.set };
		break;
	case TFS_INO_WHOLE:
		p = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = i.set, .view = TFS_VIEW_WHOLE };
		break;
	case TFS_INO_TENSOR:
		p = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = i.set, .view = i.view };
		break;
	case TFS_INO_TREE_DIR:
	case TFS_INO_SET_TREE_DIR: {
		struct in_tree in;
		if (in_tree(t, i, &in) && in.modules)
			p = module_inode(t, &in, tfs_modules_parent(in.modules, in.dir));
		break;
	}
	case TFS_INO_KEYS:
		p = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = i.set, .view = TFS_VIEW_META };
		break;
	case TFS_INO_CONTROL:
		p = (struct tfs_inode){ .kind = TFS_INO_CONTROL_DIR };
		break;
	case TFS_INO_CONTROL_DIR:
	case TFS_INO_KINDS:
		break;
	}
	return p;
}

/* --- Paths ---------------------------------------------------------------------------------------------------------- */

int tfs_tree_view_path(const struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, char *buf, size_t size)
{
	uint32_t dir = t->model->sets[set].dir;
	bool primary = is_primary(t, set);
	char name[TFS_NAME_MAX + 1];
	size_t len = 0;

	if (dir != TFS_NODE_ROOT) {
		int r = tfs_model_path(t->model, dir, buf, size);
		if (r)
			return r;
		len = strlen(buf);
	}
	free_name(t, dir, primary ? tfs_views[view].dir : sets_dir, name);
	int n = snprintf(buf + len, size - len, "%s%s", len ? "/" : "", name);
	if (!primary && (size_t)n < size - len)
		n += snprintf(buf + len + n, size - len - n, "/%s/%s", t->model->sets[set].stem, tfs_views[view].dir);
	return (size_t)n < size - len ? 0 : -ENAMETOOLONG;
}

int tfs_tree_file_name(struct tfs_tree *t, struct tfs_inode file, char *buf)
{
	const struct names *names = names_of(t, file.set);
	if (!names)
		return -ENOMEM;
	strcpy(buf + tfs_names_get(names, file.tensor, buf), tfs_views[file.view].suffix);
	return 0;
}

uint64_t tfs_tree_n_files(const struct tfs_tree *t)
{
	uint64_t n = t->model->n_nodes;

	for (size_t i = 0; i < t->model->n_sets; i++)
		for (unsigned v = 0; v < TFS_VIEWS; v++)
			n += has_view(t, v) && tfs_views[v].flat ? t->model->sets[i].n_tensors : 0;
	return n;
}

const struct tfs_whole *tfs_tree_whole(struct tfs_tree *t, uint32_t set)
{
	return tfs_wholes_get(t->wholes, set);
}

/* --- Access ---------------------------------------------------------------------------------------------------------- */

const struct tfs_access *tfs_tree_access(const struct tfs_tree *t)
{
	return t->access;
}

bool tfs_tree_shown_set(const struct tfs_tree *t, struct tfs_inode dir, uint32_t *ret_set)
{
	switch (dir.kind) {
	case TFS_INO_VIEW_DIR:
		*ret_set = t->model->nodes[dir.node].first_set;
		return true;
	case TFS_INO_SET_VIEW_DIR:
	case TFS_INO_TREE_DIR:
	case TFS_INO_SET_TREE_DIR:
		*ret_set = dir.set;
		return true;
	default:
		return false;
	}
}

/* --- Attributes ----------------------------------------------------------------------------------------------------- */

static void attr_of_node(const struct tfs_node *n, struct stat *st)
{
	st->st_uid = n->uid;
	st->st_gid = n->gid;
	st->st_mtim = st->st_ctim = st->st_atim = n->id.mtime;
}

static void attr_of_link(const struct tfs_link *link, struct stat *st)
{
	st->st_mode = S_IFLNK | 0777; /* as links have it, symlink(7) */
	st->st_size = (off_t)strlen(link->target);
	st->st_uid = link->uid;
	st->st_gid = link->gid;
	st->st_mtim = st->st_ctim = st->st_atim = link->mtime;
}

/*
 * In how many places a file of a set is: tree/ shows those of tensors/, sets/STEM what is in front of it, too, and programs look for
 * whole/model.safetensors elsewhere.
 */
static unsigned links_of(const struct tfs_tree *t, struct tfs_inode i)
{
	uint32_t dir = t->model->sets[i.set].dir;
	bool primary = is_primary(t, i.set), twice = primary && has_sets(t, dir);
	unsigned of_set = 1;

	if (i.kind == TFS_INO_TENSOR && i.view == TFS_VIEW_TENSORS)
		of_set = has_view(t, TFS_VIEW_TENSORS) + has_view(t, TFS_VIEW_TREE);
	return (twice ? 2 : 1) * of_set + (i.kind == TFS_INO_WHOLE && primary && standard_name(t, dir));
}

void tfs_tree_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	const struct tfs_model *m = t->model;
	const struct tfs_node *n = &m->nodes[TFS_NODE_ROOT]; /* whom a made-up file or directory takes after */
	uint32_t set;

	memset(st, 0, sizeof *st);
	st->st_ino = tfs_ino_pack(i);
	/* For directories 1 means "no telling how many subdirectories", so find(1) does not infer a leaf from it. */
	st->st_nlink = 1;
	st->st_blksize = 4096;

	switch (i.kind) {
	case TFS_INO_NODE:
		n = &m->nodes[i.node];
		st->st_mode = n->mode;
		st->st_size = n->id.size;
		if (n->link) {
			attr_of_link(n->link, st);
			return;
		}
		break;
	case TFS_INO_VIEW_DIR:
	case TFS_INO_SETS:
		n = &m->nodes[i.node];
		break;
	case TFS_INO_SET:
	case TFS_INO_SET_VIEW_DIR:
	case TFS_INO_TREE_DIR:
	case TFS_INO_SET_TREE_DIR:
		n = &m->nodes[m->sets[i.set].dir];
		break;
	case TFS_INO_TENSOR:
		n = &m->nodes[m->sets[i.set].tensors[i.tensor].source];
		st->st_mode = S_IFREG;
		st->st_nlink = links_of(t, i);
		st->st_size = tfs_views[i.view].loaded ? tfs_file_layout(m, tfs_file_of(i)).size : 0;
		break;
	case TFS_INO_KEYS:
	case TFS_INO_WHOLE:
		n = &m->nodes[m->sets[i.set].sources[0]];
		st->st_nlink = links_of(t, i);
		st->st_mode = S_IFREG;
		break;
	case TFS_INO_CONTROL:
		st->st_mode = S_IFREG | 0444;
		break;
	case TFS_INO_CONTROL_DIR:
	case TFS_INO_KINDS:
		break;
	}
	if (!st->st_mode)
		st->st_mode = S_IFDIR | tfs_access_dir_mode(n->mode);
	st->st_blocks = (st->st_size + 511) / 512;
	attr_of_node(n, st);
	if (i.kind == TFS_INO_TENSOR)
		tfs_access_attr_tensor(t->access, i.set, i.tensor, st);
	else if (i.kind == TFS_INO_KEYS || i.kind == TFS_INO_WHOLE)
		tfs_access_attr_set(t->access, i.set, st);
	else if (tfs_tree_shown_set(t, i, &set))
		tfs_access_attr_dir(t->access, set, st);
}

/* --- Beginning and end ---------------------------------------------------------------------------------------------- */

int tfs_tree_create(const struct tfs_model *model, const char *const *controls, unsigned views, struct tfs_tree **ret_tree,
		    struct tfs_error *err)
{
	if (model->n_sets > TFS_MAX_SETS)
		return tfs_error_set(err, -E2BIG, TFS_NO_OFFSET, "%zu weight sets; at most %u can be shown in one mount",
				     model->n_sets, TFS_MAX_SETS);
	struct tfs_tree *t = calloc(1, sizeof *t);
	if (!t)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	t->model = model;
	t->views = views;
	t->names = calloc(model->n_sets, sizeof *t->names);
	t->modules = calloc(model->n_sets, sizeof *t->modules);
	t->wholes = tfs_wholes_create(model);
	t->access = tfs_access_create(model);
	pthread_mutex_init(&t->lock, NULL);
	if (!t->names || !t->modules || !t->wholes || !t->access) {
		tfs_tree_destroy(t);
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	}
	t->controls = controls;
	while (controls[t->n_controls])
		t->n_controls++;
	*ret_tree = t;
	return 0;
}

void tfs_tree_destroy(struct tfs_tree *t)
{
	if (!t)
		return;
	for (size_t i = 0; t->names && i < t->model->n_sets; i++)
		tfs_names_destroy(t->names[i]);
	for (size_t i = 0; t->modules && i < t->model->n_sets; i++)
		tfs_modules_destroy(t->modules[i]);
	tfs_wholes_destroy(t->wholes);
	tfs_access_destroy(t->access);
	free(t->names);
	free(t->modules);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
