/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct tfs_view_info tfs_views[TFS_VIEWS] = {
	[TFS_VIEW_TENSORS] = { "tensors", "", true, TFS_RAW },
	[TFS_VIEW_NPY] = { "npy", ".npy", true, TFS_NPY },
	[TFS_VIEW_F32] = { "f32", ".npy", true, TFS_F32 },
	[TFS_VIEW_META] = { "meta", ".json", false, TFS_RAW },
	[TFS_VIEW_TREE] = { .dir = "tree", .tree = true },
};

/* Where the format has keys: in meta/, hidden as they are about no tensor. */
static const char *const keys_names[TFS_KEYS] = { [TFS_KEYS_SHORT] = ".gguf.json", [TFS_KEYS_FULL] = ".gguf.full.json" };

static const char sets_dir[] = "sets", control_dir[] = ".tensorfs", whole_name[] = "model.safetensors";

struct tfs_tree {
	const struct tfs_model *model;
	const char *const *controls;
	uint32_t n_controls;
	pthread_mutex_t lock; /* guards names and modules, whose tables are immutable once they are there */
	struct names **names; /* [set * TFS_VIEWS + view], NULL until first needed */
	struct modules **modules; /* [set], likewise */
	struct tfs_wholes *wholes;
};

/*
 * Inode numbers: kind from bit 60 on, view 56, set 32, tensor or node 0; the depth of a module has the place of the view and the
 * four bits below, 52. The root is 1, as FUSE wants it.
 */
enum { KIND_SHIFT = 60, VIEW_SHIFT = 56, DEPTH_SHIFT = 52, SET_SHIFT = 32 };
enum { VIEW_MASK = 0xf, DEPTH_MASK = 0xff, SET_MASK = TFS_MAX_SETS - 1 };

uint64_t tfs_ino_pack(struct tfs_inode i)
{
	/* A kind has no more than one of each pair. + 1 for nodes alone: 0 is no inode number, and the root node is 0. */
	return (uint64_t)i.kind << KIND_SHIFT | (uint64_t)i.view << VIEW_SHIFT | (uint64_t)i.depth << DEPTH_SHIFT |
	       (uint64_t)i.set << SET_SHIFT | ((i.tensor | i.node) + (uint64_t)(i.kind == TFS_INO_NODE));
}

struct tfs_inode tfs_ino_unpack(uint64_t ino)
{
	static const struct {
		bool view, set, node, tensor, depth;
	} has[TFS_INO_KINDS] = {
		[TFS_INO_NODE] = { .node = true },
		[TFS_INO_VIEW_DIR] = { .view = true, .node = true },
		[TFS_INO_SETS] = { .node = true },
		[TFS_INO_SET] = { .set = true },
		[TFS_INO_SET_VIEW_DIR] = { .view = true, .set = true },
		[TFS_INO_TENSOR] = { .view = true, .set = true, .tensor = true },
		[TFS_INO_CONTROL] = { .node = true },
		[TFS_INO_KEYS] = { .set = true, .node = true },
		[TFS_INO_WHOLE] = { .set = true },
		[TFS_INO_TREE_DIR] = { .set = true, .tensor = true, .depth = true },
		[TFS_INO_SET_TREE_DIR] = { .set = true, .tensor = true, .depth = true },
	};
	static const struct tfs_inode none = { .kind = TFS_INO_KINDS };
	uint64_t kind = ino >> KIND_SHIFT;

	if (kind >= TFS_INO_KINDS)
		return none;
	struct tfs_inode i = { .kind = (enum tfs_kind)kind };
	if (has[kind].view)
		i.view = ino >> VIEW_SHIFT & VIEW_MASK;
	if (has[kind].depth)
		i.depth = ino >> DEPTH_SHIFT & DEPTH_MASK;
	if (has[kind].set)
		i.set = ino >> SET_SHIFT & SET_MASK;
	if (has[kind].tensor)
		i.tensor = (uint32_t)ino;
	if (has[kind].node)
		i.node = (uint32_t)(ino - (kind == TFS_INO_NODE));
	/* Bits elsewhere: a second number for the same file, which nobody was given. */
	return tfs_ino_pack(i) == ino ? i : none;
}

struct tfs_file_id tfs_file_of(struct tfs_inode i)
{
	return (struct tfs_file_id){ .set = i.set, .tensor = i.tensor, .view = tfs_views[i.view].loader_view };
}

/* --- Tables --------------------------------------------------------------------------------------------------------- */

static struct names *names_of(struct tfs_tree *t, uint32_t set, enum tfs_view_dir view)
{
	pthread_mutex_lock(&t->lock);
	struct names **n = &t->names[(size_t)set * TFS_VIEWS + view];
	if (!*n)
		*n = tfs_names_create(&t->model->sets[set], tfs_views[view].loader_view, tfs_views[view].suffix);
	struct names *names = *n;
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

static bool has_keys(const struct tfs_tree *t, uint32_t set, enum tfs_view_dir view)
{
	return view == TFS_VIEW_META && t->model->sets[set].format == &tfs_format_gguf;
}

bool tfs_tree_valid(struct tfs_tree *t, struct tfs_inode i)
{
	const struct tfs_model *m = t->model;
	switch (i.kind) {
	case TFS_INO_NODE:
		return i.node < m->n_nodes;
	case TFS_INO_VIEW_DIR:
		return i.node < m->n_nodes && i.view < TFS_VIEWS && m->nodes[i.node].n_sets;
	case TFS_INO_SETS:
		return i.node < m->n_nodes && m->nodes[i.node].n_sets > 1;
	case TFS_INO_SET:
		return i.set < m->n_sets;
	case TFS_INO_SET_VIEW_DIR:
		return i.set < m->n_sets && i.view < TFS_VIEWS;
	case TFS_INO_TENSOR:
		return i.set < m->n_sets && i.view < TFS_VIEWS && !tfs_views[i.view].tree && i.tensor < m->sets[i.set].n_tensors &&
		       tfs_view_shows(tfs_views[i.view].loader_view, &m->sets[i.set].tensors[i.tensor]);
	case TFS_INO_TREE_DIR:
	case TFS_INO_SET_TREE_DIR: {
		struct modules *modules = i.depth && i.set < m->n_sets ? modules_of(t, i.set) : NULL;
		return modules && (i.kind == TFS_INO_SET_TREE_DIR || is_primary(t, i.set)) &&
		       tfs_modules_valid(modules, (struct tfs_module){ i.tensor, i.depth });
	}
	case TFS_INO_CONTROL_DIR:
		return true;
	case TFS_INO_CONTROL:
		return i.node < t->n_controls;
	case TFS_INO_KEYS:
		return i.set < m->n_sets && i.node < TFS_KEYS && has_keys(t, i.set, TFS_VIEW_META);
	case TFS_INO_WHOLE:
		return i.set < m->n_sets && tfs_wholes_has(t->wholes, i.set);
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
	uint64_t views = n->n_sets ? TFS_VIEWS : 0, sets = n->n_sets > 1, control = node == TFS_NODE_ROOT;
	uint64_t whole = n->n_sets && tfs_wholes_has(t->wholes, n->first_set);

	if (extra < views) {
		free_name(t, node, tfs_views[extra].dir, name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_VIEW_DIR, .node = node, .view = (enum tfs_view_dir)extra };
	} else if (extra < views + sets) {
		free_name(t, node, sets_dir, name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SETS, .node = node };
	} else if (extra < views + sets + whole) {
		free_name(t, node, whole_name, name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_WHOLE, .set = n->first_set };
	} else if (extra < views + sets + whole + control) {
		free_name(t, node, control_dir, name);
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONTROL_DIR };
	} else {
		return false;
	}
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

	if (i.kind == TFS_INO_TREE_DIR || i.kind == TFS_INO_SET_TREE_DIR)
		in.dir = (struct tfs_module){ i.tensor, i.depth };
	else if ((i.kind == TFS_INO_VIEW_DIR || i.kind == TFS_INO_SET_VIEW_DIR) && tfs_views[i.view].tree)
		in.dir = tfs_modules_root();
	else
		return false;
	if (i.kind == TFS_INO_VIEW_DIR)
		in.set = t->model->nodes[i.node].first_set;
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

/* The name in meta/, whose other files are @names: with as many '~' behind it as it takes not to be a tensor's. */
static struct tfs_inode keys_entry(uint32_t set, enum tfs_keys which, const struct names *names, char *name)
{
	size_t len = strlen(keys_names[which]);
	memcpy(name, keys_names[which], len + 1);
	while (len < TFS_NAME_MAX && tfs_names_find(names, name) != UINT32_MAX) {
		name[len++] = '~';
		name[len] = 0;
	}
	return (struct tfs_inode){ .kind = TFS_INO_KEYS, .set = set, .node = which };
}

static int tensor_lookup(struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, const char *name, struct tfs_inode *ret_inode)
{
	struct names *names = names_of(t, set, view);
	if (!names)
		return -ENOMEM;
	uint32_t tensor = tfs_names_find(names, name);
	if (tensor == UINT32_MAX && has_keys(t, set, view))
		for (enum tfs_keys k = 0; k < TFS_KEYS; k++) {
			char buf[TFS_NAME_MAX + 1];
			*ret_inode = keys_entry(set, k, names, buf);
			if (!strcmp(buf, name))
				return 0;
		}
	if (tensor == UINT32_MAX)
		return -ENOENT;
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_TENSOR, .set = set, .view = view, .tensor = tensor };
	return 0;
}

int tfs_tree_lookup(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_model *m = t->model;
	char buf[TFS_NAME_MAX + 1];
	struct in_tree in;

	if (in_tree(t, dir, &in)) {
		struct tfs_module_entry e;
		if (!in.modules)
			return -ENOMEM;
		if (!tfs_modules_find(in.modules, in.dir, name, &e))
			return -ENOENT;
		*ret_inode = module_entry_inode(t, &in, &e);
		return 0;
	}
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
	case TFS_INO_VIEW_DIR:
		return tensor_lookup(t, m->nodes[dir.node].first_set, dir.view, name, ret_inode);
	case TFS_INO_SET_VIEW_DIR:
		return tensor_lookup(t, dir.set, dir.view, name, ret_inode);
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
		for (int v = 0; v < TFS_VIEWS; v++)
			if (!strcmp(tfs_views[v].dir, name)) {
				*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = dir.set, .view = v };
				return 0;
			}
		if (strcmp(whole_name, name) != 0 || !tfs_wholes_has(t->wholes, dir.set))
			return -ENOENT;
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_WHOLE, .set = dir.set };
		return 0;
	case TFS_INO_CONTROL_DIR:
		for (uint32_t i = 0; i < t->n_controls; i++)
			if (!strcmp(t->controls[i], name)) {
				*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONTROL, .node = i };
				return 0;
			}
		return -ENOENT;
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

static int tensor_entry(struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, uint64_t place, char *name,
			struct tfs_inode *ret_inode)
{
	struct names *names = names_of(t, set, view);
	if (!names)
		return -ENOMEM;
	uint32_t count = tfs_names_count(names);
	if (place >= count && has_keys(t, set, view) && place - count < TFS_KEYS) {
		*ret_inode = keys_entry(set, (enum tfs_keys)(place - count), names, name);
		return 0;
	}
	if (place >= count)
		return -ENOENT;
	*ret_inode = (struct tfs_inode){ .kind = TFS_INO_TENSOR, .set = set, .view = view };
	ret_inode->tensor = tfs_names_at(names, place, name);
	return 0;
}

/* Entry @place of a directory that is not in tree/. */
static int counted_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t place, char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_model *m = t->model;

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
	case TFS_INO_VIEW_DIR:
		return tensor_entry(t, m->nodes[dir.node].first_set, dir.view, place, name, ret_inode);
	case TFS_INO_SET_VIEW_DIR:
		return tensor_entry(t, dir.set, dir.view, place, name, ret_inode);
	case TFS_INO_SETS: {
		const struct tfs_node *n = &m->nodes[dir.node];
		if (place >= n->n_sets)
			return -ENOENT;
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SET, .set = n->first_set + (uint32_t)place };
		snprintf(name, TFS_NAME_MAX + 1, "%s", m->sets[ret_inode->set].stem);
		return 0;
	}
	case TFS_INO_SET:
		if (place == TFS_VIEWS && tfs_wholes_has(t->wholes, dir.set)) {
			*ret_inode = (struct tfs_inode){ .kind = TFS_INO_WHOLE, .set = dir.set };
			strcpy(name, whole_name);
			return 0;
		}
		if (place >= TFS_VIEWS)
			return -ENOENT;
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = dir.set, .view = (enum tfs_view_dir)place };
		snprintf(name, TFS_NAME_MAX + 1, "%s", tfs_views[place].dir);
		return 0;
	case TFS_INO_CONTROL_DIR:
		if (place >= t->n_controls)
			return -ENOENT;
		*ret_inode = (struct tfs_inode){ .kind = TFS_INO_CONTROL, .node = (uint32_t)place };
		snprintf(name, TFS_NAME_MAX + 1, "%s", t->controls[place]);
		return 0;
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
	struct in_tree in;

	if (!in_tree(t, dir, &in)) {
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
	case TFS_INO_WHOLE:
		p = (struct tfs_inode){ .kind = TFS_INO_SET, .set = i.set };
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
	const struct names *names = names_of(t, file.set, file.view);
	if (!names)
		return -ENOMEM;
	tfs_names_get(names, file.tensor, buf);
	return 0;
}

const struct tfs_whole *tfs_tree_whole(struct tfs_tree *t, uint32_t set)
{
	return tfs_wholes_get(t->wholes, set);
}

/* --- Attributes ----------------------------------------------------------------------------------------------------- */

static void attr_of_node(const struct tfs_node *n, struct stat *st)
{
	st->st_uid = n->uid;
	st->st_gid = n->gid;
	st->st_mtim = st->st_ctim = st->st_atim = n->mtime;
}

/* In how many places a tensor's file stands: tree/ shows those of tensors/, and sets/STEM what stands in front of it, too. */
static unsigned links_of(const struct tfs_tree *t, struct tfs_inode i)
{
	const struct tfs_node *dir = &t->model->nodes[t->model->sets[i.set].dir];
	unsigned of_set = i.view == TFS_VIEW_TENSORS ? 2 : 1;
	return dir->n_sets > 1 && is_primary(t, i.set) ? 2 * of_set : of_set;
}

void tfs_tree_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	const struct tfs_model *m = t->model;
	const struct tfs_node *n = &m->nodes[TFS_NODE_ROOT]; /* whom a made-up file or directory takes after */

	memset(st, 0, sizeof *st);
	st->st_ino = tfs_ino_pack(i);
	/* For directories 1 means "no telling how many subdirectories", so find(1) does not infer a leaf from it. */
	st->st_nlink = 1;
	st->st_blksize = 4096;

	switch (i.kind) {
	case TFS_INO_NODE:
		n = &m->nodes[i.node];
		st->st_mode = n->mode;
		st->st_size = n->size;
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
	case TFS_INO_TENSOR: {
		/* As readable as the file that it comes from. */
		const struct tfs_tensor *tensor = &m->sets[i.set].tensors[i.tensor];
		n = &m->nodes[tensor->source];
		st->st_mode = S_IFREG | (n->mode & 0444);
		st->st_nlink = links_of(t, i);
		st->st_size = tfs_views[i.view].loaded ? tfs_file_layout(m, tfs_file_of(i)).size : 0;
		break;
	}
	case TFS_INO_KEYS:
	case TFS_INO_WHOLE: {
		/* As readable as all the files that they come from. */
		const struct tfs_set *set = &m->sets[i.set];
		n = &m->nodes[set->sources[0]];
		st->st_nlink = links_of(t, (struct tfs_inode){ .set = i.set, .view = TFS_VIEW_META });
		st->st_mode = S_IFREG | 0444;
		for (uint32_t s = 0; s < set->n_sources; s++)
			st->st_mode &= S_IFREG | m->nodes[set->sources[s]].mode;
		break;
	}
	case TFS_INO_CONTROL:
		st->st_mode = S_IFREG | (n->mode & 0444);
		break;
	case TFS_INO_CONTROL_DIR:
	case TFS_INO_KINDS:
		break;
	}
	if (!st->st_mode) /* a made-up directory: as open as the one it stands in */
		st->st_mode = S_IFDIR | (n->mode & 0555);
	st->st_blocks = (st->st_size + 511) / 512;
	attr_of_node(n, st);
}

/* --- Beginning and end ---------------------------------------------------------------------------------------------- */

int tfs_tree_create(const struct tfs_model *model, const char *const *controls, struct tfs_tree **ret_tree,
		    struct tfs_error *err)
{
	if (model->n_sets > TFS_MAX_SETS)
		return tfs_error_set(err, -E2BIG, TFS_NO_OFFSET, "%zu weight sets; at most %u can be shown in one mount",
				     model->n_sets, TFS_MAX_SETS);
	struct tfs_tree *t = calloc(1, sizeof *t);
	if (!t)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	t->model = model;
	t->names = calloc(model->n_sets * TFS_VIEWS, sizeof *t->names);
	t->modules = calloc(model->n_sets, sizeof *t->modules);
	t->wholes = tfs_wholes_create(model);
	pthread_mutex_init(&t->lock, NULL);
	if (!t->names || !t->modules || !t->wholes) {
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
	for (size_t i = 0; t->names && i < t->model->n_sets * TFS_VIEWS; i++)
		tfs_names_destroy(t->names[i]);
	for (size_t i = 0; t->modules && i < t->model->n_sets; i++)
		tfs_modules_destroy(t->modules[i]);
	tfs_wholes_destroy(t->wholes);
	free(t->names);
	free(t->modules);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
