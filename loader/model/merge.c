/* SPDX-License-Identifier: MIT */
/* Builds one weight set from its shards: their tables of tensors merged by name, and resolved (resolve.c). */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "model/impl.h"

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

/*
 * Tensors of zero bytes share an offset, and so do those of one deflate stream; these are ordered by name, which is by index in the
 * table.
 */
static int by_offset(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;
	uint64_t x_skip = x->encoding ? x->encoding->skip : 0, y_skip = y->encoding ? y->encoding->skip : 0;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x_skip != y_skip)
		return x_skip < y_skip ? -1 : 1;
	return (x > y) - (x < y);
}

/* --- Other files ------------------------------------------------------------------------------------------------- */

/* No `..`, no absolute path (ONNX, onnx/external_data_helper.py). */
uint32_t tfs_merge_location(const struct tfs_model *m, uint32_t dir, const char *location, struct tfs_error *err)
{
	char quoted[TFS_QUOTE_SIZE];
	uint32_t node = dir;
	const char *p = location;

	tfs_quote(quoted, sizeof quoted, location, strlen(location));
	if (*p == '/') {
		tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "external data in %s: an absolute path", quoted);
		return UINT32_MAX;
	}
	while (*p && node != UINT32_MAX) {
		size_t len = strcspn(p, "/");

		if (len == 2 && !memcmp(p, "..", 2)) {
			tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "external data in %s: a path with `..`", quoted);
			return UINT32_MAX;
		}
		if (len && !(len == 1 && *p == '.')) {
			uint32_t in = node;

			node = S_ISDIR(m->nodes[in].mode) ? tfs_model_find_child(m, in, p, len) : UINT32_MAX;
			/* A link to a directory isn't a directory itself. */
			if (node != UINT32_MAX && S_ISLNK(m->nodes[node].mode))
				node = tfs_model_walk(m, in, m->nodes[node].link->target);
		}
		p += len;
		p += *p == '/';
	}
	if (node == UINT32_MAX)
		tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "external data in %s: no such file", quoted);
	else if (!S_ISREG(m->nodes[node].mode)) {
		tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "external data in %s: not a regular file", quoted);
		node = UINT32_MAX;
	}
	return node;
}

/* Sources of a set that is being merged. */
struct placing {
	const struct tfs_model_impl *m;
	uint32_t dir;
	uint32_t *sources, *n_sources;
	uint32_t *place_of_node; /* plus 1 */
};

/* In the catalog's arena, which only this set uses. */
static uint32_t *other_file(const struct tfs_tensor *t, size_t i)
{
	return (uint32_t *)(uintptr_t)&t->encoding->files[i];
}

/* From the location *@source, plus 1, to its index in the sources, to which it is added. */
static int place_source(const struct placing *p, const char *const *locations, uint32_t *source, struct tfs_error *err)
{
	uint32_t node = tfs_merge_location(&p->m->pub, p->dir, locations[*source - 1], err);

	if (node == UINT32_MAX)
		return -EINVAL;
	if (!p->place_of_node[node]) {
		p->sources[(*p->n_sources)++] = node;
		p->place_of_node[node] = *p->n_sources;
	}
	*source = p->place_of_node[node] - 1;
	return 0;
}

/*
 * Add the other files that contain tensors of the shards to @sources, after the @n shards themselves, *@n_sources in all; and
 * convert each tensor's source from its catalog's to an index into @sources. (Formats with external data have no shards that two
 * indexes could list, so each of their catalogs gets here only once.) external.c has checked that they exist.
 */
/* NOLINTNEXTLINE(readability-non-const-parameter): place_source() adds to @sources */
static int place_sources(struct tfs_model_impl *m, uint32_t dir, const struct tfs_shard *shards, size_t n, uint32_t *sources,
			 uint32_t *n_sources, struct tfs_error *err)
{
	cleanup_free uint32_t *place_of_node = NULL; /* plus 1 */

	*n_sources = n;
	for (size_t s = 0; s < n; s++) {
		size_t n_locations, n_tensors;
		const char *const *locations = tfs_catalog_locations(shards[s].catalog, &n_locations);
		struct tfs_tensor *t = tfs_catalog_tensors(shards[s].catalog, &n_tensors);

		for (size_t i = 0; !n_locations && i < n_tensors; i++)
			t[i].source = s;
		if (!n_locations)
			continue;
		if (!place_of_node) {
			place_of_node = calloc(m->pub.n_nodes, sizeof *place_of_node);
			if (!place_of_node)
				return -ENOMEM;
			for (size_t i = 0; i < n; i++)
				place_of_node[shards[i].node] = i + 1; /* a file may refer to itself */
		}
		for (size_t i = 0; i < n_tensors; i++) {
			struct placing p = { m, dir, sources, n_sources, place_of_node };

			if (!t[i].source) {
				t[i].source = s;
				continue;
			}
			for (size_t k = 0; k < tfs_other_files(&t[i]); k++)
				if (place_source(&p, locations, other_file(&t[i], k), err))
					return -EINVAL;
			if (place_source(&p, locations, &t[i].source, err))
				return -EINVAL;
		}
	}
	return 0;
}

#define table(m, n, type) ((type *)tfs_arena_array(&(m)->arena, n, sizeof(type), alignof(type)))

/* The tensors of all shards sorted by name, *@ret_n, in one table (@own: the lone shard's). NULL: out of memory. */
static struct tfs_tensor *merge_names(struct tfs_model_impl *m, const struct tfs_shard *shards, size_t n_shards, bool own,
				      const void **order, const void **tmp, size_t *ret_n)
{
	struct tfs_tensor *t = NULL;
	size_t at = 0, n;

	for (size_t s = 0; s < n_shards; s++) {
		t = tfs_catalog_tensors(shards[s].catalog, &n);
		for (size_t i = 0; i < n; i++)
			order[at++] = &t[i];
	}
	*ret_n = at;
	if (own)
		return t;
	/* Each shard is one sorted run, so this is a merge of shards. */
	tfs_sort(order, at, tmp, by_name);
	t = table(m, at, struct tfs_tensor);
	for (size_t i = 0; t && i < at; i++)
		t[i] = *(const struct tfs_tensor *)order[i];
	return t;
}

/* Fill by_offset: by shard first, by counting, then each shard's by offset. */
static int order_by_offset(struct tfs_model_impl *m, struct tfs_set *set, size_t n_shards, const void **order, const void **tmp)
{
	cleanup_free size_t *ends = calloc(n_shards + 1, sizeof *ends);
	uint32_t *out = table(m, set->n_tensors, uint32_t);

	if (!ends || !out)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_tensors; i++)
		ends[set->tensors[i].source + 1]++;
	for (size_t s = 0; s < n_shards; s++)
		ends[s + 1] += ends[s];
	/* ends[s] is where shard s starts, and advances to its end as it is filled. */
	for (size_t i = 0; i < set->n_tensors; i++)
		order[ends[set->tensors[i].source]++] = &set->tensors[i];
	for (size_t s = 0, start = 0; s < n_shards; start = ends[s++])
		tfs_sort(order + start, ends[s] - start, tmp, by_offset);
	for (size_t i = 0; i < set->n_tensors; i++)
		out[i] = (const struct tfs_tensor *)order[i] - set->tensors;
	set->by_offset = out;
	return 0;
}

static int list_metadata(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n_shards)
{
	struct tfs_file_metadata *metadata = table(m, n_shards, struct tfs_file_metadata);

	if (!metadata)
		return -ENOMEM;
	for (size_t s = 0; s < n_shards; s++) {
		metadata[s].pairs = tfs_catalog_metadata(shards[s].catalog, &metadata[s].n);
		metadata[s].recipes = tfs_catalog_recipes(shards[s].catalog, &metadata[s].n_recipes);
	}
	set->metadata = metadata;
	set->n_files = n_shards;
	return 0;
}

int tfs_merge(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n,
	      const struct tfs_index *index, uint32_t index_node, struct tfs_error *err)
{
	cleanup_free const void **order = NULL;
	struct tfs_tensor *t;
	uint32_t *sources;
	size_t total = 0, places = n, count;
	int r;

	for (size_t s = 0; s < n; s++) {
		tfs_catalog_tensors(shards[s].catalog, &count);
		total += count; /* tables in memory: their sizes add up to less than the address space */
		tfs_catalog_locations(shards[s].catalog, &count);
		places += count;
	}
	if (total > UINT32_MAX)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "more than 2^32-1 tensors in one set");
	order = reallocarray(NULL, total + 1, 2 * sizeof *order);
	sources = table(m, places, uint32_t);
	if (!order || !sources)
		return -ENOMEM;
	for (size_t s = 0; s < n; s++)
		sources[s] = shards[s].node;
	set->sources = sources;
	set->index = index_node;
	r = place_sources(m, set->dir, shards, n, sources, &set->n_sources, err);
	if (r)
		return r;

	/* A lone shard without tensors may have no table. */
	t = merge_names(m, shards, n, tfs_merge_keeps(n, index), order, order + total, &count);
	if (!t && count)
		return -ENOMEM;
	r = tfs_resolve(m, set, shards, n, t, count, index, index_node, err);
	if (!r)
		r = order_by_offset(m, set, set->n_sources, order, order + total);
	if (!r)
		r = list_metadata(m, set, shards, n);
	if (r)
		return r;

	assert(t || !set->n_tensors);
	/* Only now convert indices to nodes. */
	for (size_t i = 0; i < set->n_tensors; i++) {
		t[i].source = sources[t[i].source];
		for (size_t k = 0; k < tfs_other_files(&t[i]); k++)
			*other_file(&t[i], k) = sources[tfs_other_file(&t[i], k)];
	}
	return 0;
}
