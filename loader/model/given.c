/* SPDX-License-Identifier: MIT */
#include "model/given.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "format/sniff.h"
#include "model/impl.h"
#include "storage/storage.h"

void tfs_given_fini(struct tfs_given_paths *w)
{
	free(w->paths);
	tfs_arena_fini(&w->arena);
}

/* Add @path. Not if it leads upwards: the model refuses it later. */
static int want(struct tfs_given_paths *w, const char *path)
{
	char *clean = tfs_arena_copy(&w->arena, path, strlen(path)), *to = clean;

	if (!clean || tfs_array_room(w->paths, w->n, w->room))
		return -ENOMEM;
	if (*path == '/')
		return 0;
	for (size_t len; *path; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (!len || (len == 1 && *path == '.'))
			continue;
		if (len == 2 && !memcmp(path, "..", 2))
			return 0;
		if (to > clean)
			*to++ = '/';
		memcpy(to, path, len);
		to += len;
	}
	*to = '\0';
	w->paths[w->n++] = clean;
	return 0;
}

/* Open the file @name in the directory, if it is a regular one. 0 or -errno. */
static int open_file(const struct tfs_model_impl *m, const char *name, struct tfs_input *ret)
{
	struct tfs_dirent e;
	int r = tfs_scan_look_through(m, TFS_NODE_ROOT, TFS_STORAGE_ROOT, name, &e);

	if (!r && !S_ISREG(e.mode))
		r = -EINVAL;
	return r ? r : m->pub.storage->ops->open(m->pub.storage, name, &e.id, 0, ret);
}

/*
 * The given file, and the set that it may be part of. Errors in these files are found again, and reported, when the sets are built.
 */
struct given {
	const char *name;
	const struct tfs_format *format;
	bool is_index;
	char index_stem[NAME_MAX + 1];
	const char *stem;    /* of its index, or its shards */
	size_t stem_len;     /* 0: it isn't a shard */
	unsigned long total; /* of the shards; 0: any */
};

/* Add the files that the weight file refers to. */
static int want_external(struct tfs_model_impl *m, struct tfs_given_paths *w, const struct given *g)
{
	struct tfs_catalog *catalog;
	struct tfs_error ignored;
	const char *const *locations = NULL;
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	struct tfs_share share = { 0 };
	size_t n = 0;
	char companion[NAME_MAX + 1];
	struct tfs_dirent e;
	int r = 0;

	if (!g->is_index && g->format->companion) {
		g->format->companion(g->name, companion, sizeof companion);
		return tfs_scan_look(m, TFS_STORAGE_ROOT, companion, true, &e) ? 0 : want(w, companion);
	}
	if (g->is_index || !g->format->external)
		return 0;
	if (open_file(m, g->name, &in))
		return 0;
	catalog = tfs_catalog_create();
	if (!catalog)
		return -ENOMEM;
	tfs_share_begin(&share, &m->scan);
	tfs_catalog_limit(catalog, &share);
	in.share = &share;
	if (!g->format->parse(&in, g->name, catalog, &ignored))
		locations = tfs_catalog_locations(catalog, &n);
	for (size_t i = 0; i < n && !r; i++)
		r = want(w, locations[i]);
	tfs_catalog_destroy(catalog);
	tfs_share_fini(&share);
	return r;
}

/* Add the index @name and the shards that it lists, if it is the given file, or lists it. */
static int want_index(struct tfs_model_impl *m, struct tfs_given_paths *w, const struct given *g, const char *name)
{
	bool lists = g->is_index;
	struct tfs_index *index;
	struct tfs_error ignored;
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	struct tfs_share share;
	int r = open_file(m, name, &in) ? -ENOENT : 0;

	tfs_share_begin(&share, &m->scan);
	in.share = &share;
	if (!r)
		r = tfs_index_read(&in, &index, &ignored);
	/* It is freed before anything else is parsed. */
	tfs_share_fini(&share);
	if (r) /* an index that is too large is reported when the sets are built */
		return r == -ENOMEM && !share.over ? r : 0;
	for (size_t i = 0; i < index->n_files && !lists; i++)
		lists = !strcmp(index->files[i], g->name);
	if (lists)
		r = want(w, name);
	for (size_t i = 0; i < index->n_files && lists && !r; i++)
		r = want(w, index->files[i]);
	tfs_index_destroy(index);
	return r;
}

/* Add @name of the same directory, if it is part of the set. */
static int want_sibling(struct tfs_model_impl *m, struct tfs_given_paths *w, const struct given *g, const char *name)
{
	struct tfs_shard_name shard;

	if (tfs_index_claims(name, g->format->shard_ext, NULL))
		return !g->is_index || !strcmp(name, g->name) ? want_index(m, w, g, name) : 0;
	if (!tfs_format_is_shard(g->format, name, &shard) || tfs_name_cmp(name, shard.name_len, g->stem, g->stem_len) ||
	    (g->total && shard.total != g->total))
		return 0;
	return want(w, name);
}

/* Add the rest of the set, if the file is one of several: by index or by name, as model/candidates.h does for a directory. */
static int want_set(struct tfs_model_impl *m, struct tfs_given_paths *w, struct given *g)
{
	__attribute__((cleanup(tfs_arena_fini))) struct tfs_arena arena = { 0 };
	cleanup_free const void **names = NULL;
	struct tfs_shard_name shard = { 0 };
	const struct tfs_storage *s = m->pub.storage;
	size_t n = 0;
	int dir, r;

	if (!g->format->shard_ext)
		return 0;
	if (g->is_index)
		tfs_index_claims(g->name, g->format->shard_ext, g->index_stem);
	else
		tfs_format_is_shard(g->format, g->name, &shard);
	g->stem = g->is_index ? g->index_stem : g->name;
	g->stem_len = g->is_index ? strlen(g->index_stem) : shard.name_len;
	g->total = shard.total;
	dir = s->ops->open_dir(s, ".", true);
	if (dir < 0)
		return 0; /* an unreadable directory can contain a readable file */
	r = tfs_scan_list(s, dir, &arena, &names, &n);
	s->ops->close_dir(s, dir);
	for (size_t i = 0; i < n && !r; i++)
		r = want_sibling(m, w, g, names[i]);
	return r;
}

/* Which format the file is of: by its name or, if that isn't conclusive, by its content. */
static int find_format(struct tfs_model_impl *m, struct given *g, struct tfs_error *err)
{
	struct tfs_sniffed c = { 0 };
	char names[TFS_FORMAT_NAMES];
	const char *what;
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;

	int r = open_file(m, g->name, &in);

	g->format = tfs_format_for(g->name);
	if (g->format) /* what can't be opened is reported when it is parsed */
		return r ? 0 : tfs_sniff_format(&in, g->name, &g->format, err);
	g->format = tfs_index_format(g->name);
	g->is_index = g->format != NULL;
	if (g->is_index)
		return 0;
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "opening: %s", strerror(-r));
	r = tfs_sniff_present(&in, err);
	/* As in a directory, the name decides between what may have such a name. */
	if (!r)
		r = tfs_sniff_format(&in, g->name, &c.format, err);
	if (!r && !c.format)
		r = tfs_sniff(&in, &c, err);
	if (r)
		return r;
	what = tfs_sniff_name(g->name, c.format);
	g->format = m->given_format = what ? NULL : c.format;
	if (g->format)
		return 0;
	what = c.what && !c.format ? c.what : what;
	if (what)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "is %s", what);
	tfs_format_names(names);
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
			     "is neither a directory nor weights: its content is in no known format, and its name matches none "
			     "of %s",
			     names);
}

int tfs_given_find(struct tfs_model_impl *m, const char *name, struct tfs_given_paths *w, struct tfs_error *err)
{
	struct given g = { .name = name };
	int r = find_format(m, &g, err);

	if (r)
		return r;
	r = want(w, g.name);
	if (!r)
		r = want_set(m, w, &g);
	if (!r)
		r = want_external(m, w, &g);
	return r ? tfs_error_set(err, r, TFS_NO_OFFSET, "looking for the files that belong to it: %s", strerror(-r)) : 0;
}

int tfs_given_list(const struct tfs_model_impl *m, uint32_t node, const struct tfs_given_paths *w, struct tfs_arena *arena,
		   const void ***ret_names, size_t *ret_count)
{
	cleanup_free const void **names = reallocarray(NULL, w->n + 1, 2 * sizeof *names);
	char dir[PATH_MAX];
	size_t n = 0, all, skip;
	int r = tfs_model_path(&m->pub, node, dir, sizeof dir);

	if (r || !names)
		return r ? r : -ENOMEM;
	skip = node == TFS_NODE_ROOT ? 0 : strlen(dir) + 1;
	for (size_t i = 0; i < w->n; i++) {
		const char *path = w->paths[i];

		if (skip && (strncmp(path, dir, skip - 1) || path[skip - 1] != '/'))
			continue;
		names[n] = tfs_arena_copy(arena, path + skip, strcspn(path + skip, "/"));
		if (!names[n++])
			return -ENOMEM;
	}
	tfs_sort(names, n, names + w->n, tfs_scan_by_name);
	all = n;
	n = 0;
	for (size_t i = 0; i < all; i++)
		if (!n || strcmp(names[n - 1], names[i]))
			names[n++] = names[i];
	*ret_names = tfs_steal(names);
	*ret_count = n;
	return 0;
}
