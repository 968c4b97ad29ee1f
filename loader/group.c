/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"

/* The directory at hand. */
struct group {
	struct tfs_model_impl *m;
	uint32_t dir;
	struct tfs_weight_file *files;
	size_t n_files;
	struct tfs_drafts *drafts;
};

/* --- Drafts ------------------------------------------------------------------------------------------------------ */

void tfs_drafts_clear(struct tfs_drafts *drafts)
{
	free(drafts->all);
	tfs_arena_fini(&drafts->arena);
	*drafts = (struct tfs_drafts){ 0 };
}

int tfs_draft_fail(struct tfs_drafts *drafts, struct tfs_draft *d, const struct tfs_error *err)
{
	struct tfs_error *copy = tfs_arena_alloc(&drafts->arena, sizeof *copy, alignof(struct tfs_error));

	if (!copy)
		return -ENOMEM;
	*copy = *err;
	d->err = copy;
	return 0;
}

/* A new draft with room for @room files, valid until the next one; NULL when out of memory. */
static struct tfs_draft *add_draft(struct group *g, const struct tfs_format *format, const char *stem, size_t stem_len,
				   size_t room)
{
	struct tfs_drafts *drafts = g->drafts;
	struct tfs_draft d = {
		.stem = tfs_arena_copy(&g->m->arena, stem, stem_len),
		.format = format,
		.files = tfs_arena_array(&drafts->arena, room, sizeof *d.files, alignof(void *)),
	};

	if (!d.stem || !d.files || tfs_array_room(drafts->all, drafts->n, drafts->room))
		return NULL;
	drafts->all[drafts->n] = d;
	return &drafts->all[drafts->n++];
}

static void add_file(struct tfs_draft *d, struct tfs_weight_file *file)
{
	d->files[d->n_files++] = file;
	file->taken = true;
	if (!d->err)
		d->err = file->err;
}

/* --- By index ---------------------------------------------------------------------------------------------------- */

static struct tfs_weight_file *file_of_node(const struct group *g, uint32_t node)
{
	size_t lo = 0, hi = g->n_files;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (g->files[mid].node < node)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < g->n_files && g->files[lo].node == node ? &g->files[lo] : NULL;
}

static int by_place(const void *a, const void *b)
{
	const struct tfs_weight_file *x = a, *y = b;

	return (x > y) - (x < y);
}

/* Add those of the shards of @d's sound index that are there. */
static int take_listed(struct group *g, struct tfs_draft *d)
{
	const struct tfs_index *ix = d->index->index;
	cleanup_free const void **found = reallocarray(NULL, ix->n_files, 2 * sizeof *found);
	const struct tfs_model *m = &g->m->pub;
	struct tfs_error err = { 0 };
	size_t n = 0;

	if (!found)
		return -ENOMEM;
	d->n_listed = ix->n_files;
	for (size_t i = 0; i < ix->n_files; i++) {
		uint32_t node = tfs_model_find_child(m, g->dir, ix->files[i], strlen(ix->files[i]));
		struct tfs_weight_file *file;

		file = node == UINT32_MAX ? NULL : file_of_node(g, node);
		/* A link that leads nowhere is a shard that is not there: so a broken download looks in the hub's cache. */
		if (node == UINT32_MAX || S_ISLNK(m->nodes[node].mode)) {
			if (file)
				file->taken = true;
			continue;
		}
		if (file && !file->is_index && file->format == d->format)
			found[n++] = file;
		else if (!err.code)
			tfs_error_set(&err, -EINVAL, TFS_NO_OFFSET, "lists %s, which is no %s file", ix->files[i],
				      d->format->name);
	}
	if (!n && !err.code)
		tfs_error_set(&err, -ENOENT, TFS_NO_OFFSET, "none of the %zu shards that it lists is there",
			      ix->n_files);

	tfs_sort(found, n, found + ix->n_files, by_place);
	for (size_t i = 0; i < n; i++)
		add_file(d, (struct tfs_weight_file *)found[i]);
	if (!err.code)
		return 0;
	tfs_model_error_in(m, d->index->node, &err);
	return tfs_draft_fail(g->drafts, d, &err);
}

/* --- By name ----------------------------------------------------------------------------------------------------- */

/* NAME-DIGITS-of-DIGITS and the extension: a shard. NAME is @name_len bytes. */
struct shard_name {
	struct tfs_weight_file *file;
	const char *name;
	size_t name_len;
	unsigned long total;
};

static bool is_shard(const struct group *g, struct tfs_weight_file *file, struct shard_name *ret)
{
	const char *name = g->m->nodes[file->node].name;
	struct tfs_shard_name shard;

	if (file->is_index || !tfs_format_is_shard(file->format, name, &shard))
		return false;
	*ret = (struct shard_name){ file, name, shard.name_len, shard.total };
	return true;
}

static int by_shard_name(const void *a, const void *b)
{
	const struct shard_name *x = a, *y = b;
	int c = tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);

	return c ? c : (x->total > y->total) - (x->total < y->total);
}

/* The index of @d, or a shard that it lists, is broken: what is named as its shard is not offered as a set without it. */
static void take_named(struct group *g, const struct tfs_draft *d)
{
	struct shard_name s;

	for (size_t i = 0; i < g->n_files; i++)
		if (g->files[i].format == d->format && is_shard(g, &g->files[i], &s) &&
		    !tfs_name_cmp(s.name, s.name_len, d->stem, strlen(d->stem)))
			g->files[i].taken = true;
}

/* --- The rules --------------------------------------------------------------------------------------------- */

static int draft_indexes(struct group *g)
{
	char stem[NAME_MAX + 1] = "";
	int rc = 0;

	for (size_t i = 0; i < g->n_files && !rc; i++) {
		struct tfs_weight_file *file = &g->files[i];
		struct tfs_draft *d;

		if (!file->is_index)
			continue;
		tfs_index_claims(g->m->nodes[file->node].name, file->format->shard_ext, stem);
		d = add_draft(g, file->format, stem, strlen(stem), file->index ? file->index->n_files : 0);
		if (!d)
			return -ENOMEM;
		d->index = file;
		d->err = file->err;
		file->taken = true;
		if (!d->err)
			rc = take_listed(g, d);
		if (d->err)
			take_named(g, d);
	}
	return rc;
}

static int draft_shards(struct group *g)
{
	cleanup_free struct shard_name *names = reallocarray(NULL, g->n_files, sizeof *names);
	cleanup_free const void **order = reallocarray(NULL, g->n_files, 2 * sizeof *order);
	size_t n = 0, end;

	if (!names || !order)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_files; i++)
		if (!g->files[i].taken && is_shard(g, &g->files[i], &names[n])) {
			order[n] = &names[n];
			n++;
		}
	tfs_sort(order, n, order + n, by_shard_name);
	for (size_t i = 0; i < n; i = end) {
		const struct shard_name *first = order[i];
		struct tfs_draft *d;

		for (end = i + 1; end < n && !by_shard_name(first, order[end]);)
			end++;
		d = add_draft(g, first->file->format, first->name, first->name_len, end - i);
		if (!d)
			return -ENOMEM;
		for (size_t k = i; k < end; k++)
			add_file(d, ((const struct shard_name *)order[k])->file);
		d->n_listed = first->total > d->n_files ? first->total : d->n_files;
	}
	return 0;
}

/* Hugging Face's names of the weights themselves, where an optimizer's state may lie beside them. */
static bool is_model(const char *stem)
{
	return !strcmp(stem, "model") || !strcmp(stem, "pytorch_model") || !strcmp(stem, "diffusion_pytorch_model");
}

/* Where a broken file stands among many sound ones, it is the file that is left out: it gets a set of its own, as any other. */
static int draft_one_set(struct group *g, const struct tfs_format *format)
{
	struct tfs_draft *d;
	size_t n = 0;

	for (size_t i = 0; i < g->n_files; i++)
		n += g->files[i].format == format && !g->files[i].err;
	if (!n)
		return 0;
	d = add_draft(g, format, format->name, strlen(format->name), n);
	if (!d)
		return -ENOMEM;
	d->rank = 2;
	d->n_listed = n;
	for (size_t i = 0; i < g->n_files; i++)
		if (g->files[i].format == format && !g->files[i].err)
			add_file(d, &g->files[i]);
	return 0;
}

static int draft_one_sets(struct group *g)
{
	const struct tfs_format *format;
	int rc = 0;

	for (size_t i = 0; (format = tfs_format_at(i)) && !rc; i++)
		if (format->one_set)
			rc = draft_one_set(g, format);
	return rc;
}

static int draft_files(struct group *g)
{
	for (size_t i = 0; i < g->n_files; i++) {
		struct tfs_weight_file *file = &g->files[i];
		const char *name = g->m->nodes[file->node].name, *dot = strrchr(name, '.');
		size_t len = tfs_format_stem(name);
		struct tfs_draft *d;

		if (file->taken)
			continue;
		d = add_draft(g, file->format, name, name[len] || !dot ? len : (size_t)(dot - name), 1);
		if (!d)
			return -ENOMEM;
		d->n_listed = 1;
		d->rank = is_model(d->stem) ? 1 : 2;
		add_file(d, file);
	}
	return 0;
}

int tfs_group(struct tfs_model_impl *m, uint32_t dir, struct tfs_weight_file *files, size_t n,
	      struct tfs_drafts *drafts)
{
	struct group g = { m, dir, files, n, drafts };
	int rc = draft_indexes(&g);

	if (!rc)
		rc = draft_shards(&g);
	if (!rc)
		rc = draft_one_sets(&g);
	return rc ? rc : draft_files(&g);
}
