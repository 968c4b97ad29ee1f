/* SPDX-License-Identifier: MIT */
#include "tree/tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree/file-meta.h"
#include "tree/impl.h"

/* --- Tables --------------------------------------------------------------------------------------------------------- */

struct names *tfs_tree_names(struct tfs_tree *t, uint32_t set)
{
	pthread_mutex_lock(&t->lock);
	if (!t->names[set])
		t->names[set] = tfs_names_create(&t->model->sets[set]);
	struct names *names = t->names[set];
	pthread_mutex_unlock(&t->lock);
	return names;
}

struct modules *tfs_tree_modules(struct tfs_tree *t, uint32_t set)
{
	pthread_mutex_lock(&t->lock);
	if (!t->modules[set])
		t->modules[set] = tfs_modules_create(&t->model->sets[set]);
	struct modules *modules = t->modules[set];
	pthread_mutex_unlock(&t->lock);
	return modules;
}

/* --- By kind -------------------------------------------------------------------------------------------------------- */

bool tfs_tree_valid(struct tfs_tree *t, struct tfs_inode i)
{
	return i.kind < TFS_INO_KINDS && tfs_kinds[i.kind]->valid(t, i);
}

int tfs_tree_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_kind_ops *kind = tfs_kinds[dir.kind];

	return kind->entry ? kind->entry(t, dir, place, name, ret_inode) : -ENOTDIR;
}

int tfs_tree_lookup(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode)
{
	const struct tfs_kind_ops *kind = tfs_kinds[dir.kind];
	char buf[TFS_NAME_MAX + 1];
	uint64_t place = 0;
	int r;

	if (kind->lookup)
		return kind->lookup(t, dir, name, ret_inode);
	do
		r = tfs_tree_entry(t, dir, &place, buf, ret_inode);
	while (!r && strcmp(buf, name) != 0);
	return r;
}

struct tfs_inode tfs_tree_parent(struct tfs_tree *t, struct tfs_inode i)
{
	return tfs_kinds[i.kind]->parent(t, i);
}

bool tfs_tree_shown_set(const struct tfs_tree *t, struct tfs_inode dir, uint32_t *ret_set)
{
	const struct tfs_kind_ops *kind = tfs_kinds[dir.kind];

	if (kind->shown_set)
		*ret_set = kind->shown_set(t, dir);
	return kind->shown_set;
}

bool tfs_tree_waits_for_lookup(struct tfs_inode i)
{
	return tfs_kinds[i.kind]->waits_for_lookup;
}

/* --- Attributes ----------------------------------------------------------------------------------------------------- */

void tfs_tree_attr_of_node(const struct tfs_node *n, struct stat *st)
{
	st->st_uid = n->uid;
	st->st_gid = n->gid;
	st->st_mtim = st->st_ctim = st->st_atim = n->id.mtime;
}

void tfs_tree_attr_of_dir(const struct tfs_node *n, struct stat *st)
{
	st->st_mode = S_IFDIR | tfs_access_dir_mode(n->mode);
	tfs_tree_attr_of_node(n, st);
}

void tfs_tree_attr(const struct tfs_tree *t, struct tfs_inode i, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_ino = tfs_ino_pack(i);
	/* For directories 1 means "no telling how many subdirectories", so find(1) doesn't infer a leaf from it. */
	st->st_nlink = 1;
	st->st_blksize = 4096;
	tfs_kinds[i.kind]->attr(t, i, st);
	st->st_blocks = (st->st_size + 511) / 512;
}

/* --- Names and paths ------------------------------------------------------------------------------------------------ */

void tfs_tree_free_name(const struct tfs_tree *t, uint32_t node, const char *name, char *buf)
{
	size_t len = strlen(name);
	memcpy(buf, name, len + 1);
	while (len < TFS_NAME_MAX && tfs_model_find_child(t->model, node, buf, len) != UINT32_MAX) {
		buf[len++] = '~';
		buf[len] = 0;
	}
}

int tfs_tree_view_path(const struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, char *buf, size_t size)
{
	uint32_t dir = t->model->sets[set].dir;
	bool primary = tfs_tree_is_primary(t, set);
	char name[TFS_NAME_MAX + 1];
	size_t len = 0;

	if (dir != TFS_NODE_ROOT) {
		int r = tfs_model_path(t->model, dir, buf, size);
		if (r)
			return r;
		len = strlen(buf);
	}
	tfs_tree_free_name(t, dir, primary ? tfs_views[view].dir : TFS_SETS_DIR, name);
	int n = snprintf(buf + len, size - len, "%s%s", len ? "/" : "", name);
	if (!primary && (size_t)n < size - len)
		n += snprintf(buf + len + n, size - len - n, "/%s/%s", t->model->sets[set].stem, tfs_views[view].dir);
	return (size_t)n < size - len ? 0 : -ENAMETOOLONG;
}

int tfs_tree_file_name(struct tfs_tree *t, struct tfs_inode file, char *buf)
{
	const struct names *names = tfs_tree_names(t, file.set);
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
			n += tfs_tree_has_view(t, v) && tfs_views[v].flat ? t->model->sets[i].n_tensors : 0;
	return n;
}

const struct tfs_consolidated *tfs_tree_consolidated(struct tfs_tree *t, struct tfs_inode file)
{
	return file.view ? tfs_converted_shard(t->converted, file.set, (enum tfs_as)(file.view - 1), file.node) :
			   tfs_consolidated_get(t->consolidated, file.set);
}

bool tfs_tree_consolidated_there(struct tfs_tree *t, struct tfs_inode file)
{
	return file.view ? tfs_converted_shard_there(t->converted, file.set, (enum tfs_as)(file.view - 1), file.node) :
			   tfs_consolidated_there(t->consolidated, file.set);
}

/* One of those in whole/bf16 and the like, which are as long as a config.json, or an index. */
static int converted_text(struct tfs_tree *t, struct tfs_inode file, char **ret_text, size_t *ret_len)
{
	const enum tfs_as as = (enum tfs_as)file.view;

	if (file.node == TFS_KEYS_CONFIG)
		return tfs_converted_config(t->converted, file.set, as, ret_text, ret_len);
	return tfs_converted_index(t->converted, file.set, as, ret_text, ret_len);
}

int tfs_tree_text(struct tfs_tree *t, struct tfs_inode file, struct tfs_json_guard *guard, char **ret_text, size_t *ret_len)
{
	int r;

	if (file.node < TFS_KEYS_IN_META)
		return tfs_file_meta_text(t->model, file, guard, ret_text, ret_len);
	r = converted_text(t, file, ret_text, ret_len);
	if (!r && guard && (r = guard->grow(guard, *ret_len)))
		free(*ret_text);
	return r;
}

int tfs_tree_text_check(struct tfs_tree *t, struct tfs_inode file)
{
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	const uint32_t original = tfs_tree_original_of(t, file);

	if (original != UINT32_MAX)
		return tfs_model_open_input(t->model, original, &in);
	return file.node < TFS_KEYS_IN_META ? tfs_file_meta_check(t->model, file) : 0;
}

uint32_t tfs_tree_original_of(const struct tfs_tree *t, struct tfs_inode i)
{
	if (i.kind == TFS_INO_NODE || i.kind == TFS_INO_COPY)
		return i.node;
	return i.kind == TFS_INO_KEYS && i.node == TFS_KEYS_CONFIG ? tfs_converted_find_config(t->converted, i.set) : UINT32_MAX;
}

uint32_t tfs_tree_rights_of(const struct tfs_tree *t, struct tfs_inode i)
{
	switch (i.kind) {
	case TFS_INO_SETS:
		return i.node;
	case TFS_INO_SET:
		return t->model->sets[i.set].dir;
	case TFS_INO_CONTROL_DIR:
		return TFS_NODE_ROOT;
	default:
		return tfs_tree_original_of(t, i);
	}
}

const struct tfs_access *tfs_tree_access(const struct tfs_tree *t)
{
	return t->access;
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
	t->consolidated = tfs_consolidated_all_create(model);
	t->converted = tfs_converted_all_create(model);
	t->access = tfs_access_create(model);
	pthread_mutex_init(&t->lock, NULL);
	if (!t->names || !t->modules || !t->consolidated || !t->converted || !t->access) {
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
	tfs_consolidated_all_destroy(t->consolidated);
	tfs_converted_all_destroy(t->converted);
	tfs_access_destroy(t->access);
	free(t->names);
	free(t->modules);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
