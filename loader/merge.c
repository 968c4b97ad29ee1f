/* SPDX-License-Identifier: MIT */
/* One weight set from its shards: the tables of their tensors merged by name, and held against the index. */
#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "model-impl.h"

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

/* Tensors of zero bytes share an offset, and those of one deflate stream; then by name, which is by place in the table. */
static int by_offset(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;
	uint64_t x_skip = x->packing ? x->packing->skip : 0, y_skip = y->packing ? y->packing->skip : 0;

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
			/* A link to a directory is no directory itself. */
			if (node != UINT32_MAX && S_ISLNK(m->nodes[node].mode))
				node = tfs_model_walk(m, in, m->nodes[node].link->target);
		}
		p += len;
		p += *p == '/';
	}
	if (node == UINT32_MAX)
		tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "external data in %s: there is no such file", quoted);
	else if (!S_ISREG(m->nodes[node].mode)) {
		tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "external data in %s: not a regular file", quoted);
		node = UINT32_MAX;
	}
	return node;
}

/*
 * Add the other files that the shards' tensors are in to @sources, behind the @n shards' own, *@n_sources in all; and turn each
 * tensor's source from what its catalog says into a place in @sources. (Formats with external data have no shards that two
 * indexes could list, so no catalog of theirs comes here twice.) That they are there is known (external.c).
 */
static int place_sources(struct tfs_model_impl *m, uint32_t dir, const struct tfs_shard *shards, size_t n, uint32_t *sources,
			 uint32_t *n_sources, struct tfs_error *err)
{
	cleanup_free uint32_t *place_of_node = NULL; /* counted from 1 */

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
				place_of_node[shards[i].node] = i + 1; /* a file may name itself */
		}
		for (size_t i = 0; i < n_tensors; i++) {
			uint32_t node;

			if (!t[i].source) {
				t[i].source = s;
				continue;
			}
			node = tfs_merge_location(&m->pub, dir, locations[t[i].source - 1], err);
			if (node == UINT32_MAX)
				return -EINVAL;
			if (!place_of_node[node]) {
				sources[(*n_sources)++] = node;
				place_of_node[node] = *n_sources;
			}
			t[i].source = place_of_node[node] - 1;
		}
	}
	return 0;
}

#define table(m, n, type) ((type *)tfs_arena_array(&(m)->arena, n, sizeof(type), alignof(type)))

/* The tensors of all shards by name, in one table (@own: the lone shard's). */
static int merge_names(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n_shards,
		       bool own, const void **order, const void **tmp, struct tfs_error *err)
{
	char quoted[TFS_QUOTE_SIZE];
	struct tfs_tensor *t = NULL;
	size_t at = 0, n;

	for (size_t s = 0; s < n_shards; s++) {
		t = tfs_catalog_tensors(shards[s].catalog, &n);
		for (size_t i = 0; i < n; i++)
			order[at++] = &t[i];
	}
	if (!own) {
		/* Each shard is one sorted run, so this is a merge of shards. */
		tfs_sort(order, at, tmp, by_name);
		t = table(m, at, struct tfs_tensor);
		if (!t)
			return -ENOMEM;
		for (size_t i = 0; i < at; i++)
			t[i] = *(const struct tfs_tensor *)order[i];
	}
	for (size_t i = 1; i < at; i++) {
		const struct tfs_node *first;

		if (by_name(&t[i - 1], &t[i]))
			continue;
		first = &m->nodes[set->sources[t[i - 1].source]];
		tfs_error_set(err, -EINVAL, t[i].offset, "tensor %s: stands in %s already",
			      tfs_quote(quoted, sizeof quoted, t[i].name, t[i].name_len), first->name);
		tfs_model_error_in(&m->pub, set->sources[t[i].source], err);
		return -EINVAL;
	}
	set->tensors = t;
	set->n_tensors = at;
	return 0;
}

/* Fill by_offset: by shard first, which counting does, then each shard's by offset. */
static int order_by_offset(struct tfs_model_impl *m, struct tfs_set *set, size_t n_shards, const void **order,
			   const void **tmp)
{
	cleanup_free size_t *ends = calloc(n_shards + 1, sizeof *ends);
	uint32_t *out = table(m, set->n_tensors, uint32_t);

	if (!ends || !out)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_tensors; i++)
		ends[set->tensors[i].source + 1]++;
	for (size_t s = 0; s < n_shards; s++)
		ends[s + 1] += ends[s];
	/* ends[s] is where shard s starts, and walks to its end as it is filled. */
	for (size_t i = 0; i < set->n_tensors; i++)
		order[ends[set->tensors[i].source]++] = &set->tensors[i];
	for (size_t s = 0, start = 0; s < n_shards; start = ends[s++])
		tfs_sort(order + start, ends[s] - start, tmp, by_offset);
	for (size_t i = 0; i < set->n_tensors; i++)
		out[i] = (const struct tfs_tensor *)order[i] - set->tensors;
	set->by_offset = out;
	return 0;
}

/* The shard in which the index puts a tensor: place in @shards by place in files[], UINT32_MAX where it is not there. */
static int places_of_files(const struct tfs_model_impl *m, const struct tfs_shard *shards, size_t n_shards,
			   const struct tfs_index *ix, uint32_t **ret)
{
	uint32_t *place = reallocarray(NULL, ix->n_files, sizeof *place);

	if (!place)
		return -ENOMEM;
	for (size_t f = 0; f < ix->n_files; f++) {
		size_t lo = 0, hi = n_shards;

		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (strcmp(m->nodes[shards[mid].node].name, ix->files[f]) < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
		place[f] = lo < n_shards && !strcmp(m->nodes[shards[lo].node].name, ix->files[f]) ? lo : UINT32_MAX;
	}
	*ret = place;
	return 0;
}

/* What differs between index and shards, beside the missing tensors, which the set itself lists. */
struct differences {
	const struct tfs_index_entry *astray; /* the first that is in another shard than the index says */
	size_t n_astray, n_unlisted;
	const struct tfs_tensor *unlisted;
};

/*
 * Walk the index and the table, both in name order. @missing: where to put the names that only the index has, or NULL to
 * count them into set->n_missing.
 */
static void compare(const struct tfs_index *ix, const uint32_t *place, struct tfs_set *set,
		    const struct tfs_index_entry **missing, struct differences *d)
{
	const struct tfs_tensor *t = set->tensors, *t_end = t + set->n_tensors;
	const struct tfs_index_entry *e = ix->entries, *e_end = e + ix->n_entries;

	*d = (struct differences){ 0 };
	set->n_missing = 0;
	while (e < e_end || t < t_end) {
		int c = e == e_end ? 1 : t == t_end ? -1 : tfs_name_cmp(e->name, e->name_len, t->name, t->name_len);

		if (c < 0) {
			if (missing)
				missing[set->n_missing] = e;
			set->n_missing++;
		} else if (c > 0 && !d->n_unlisted++) {
			d->unlisted = t;
		} else if (!c && place[e->file] != t->source && !d->n_astray++) {
			d->astray = e;
		}
		e += c <= 0;
		t += c >= 0;
	}
}

static void warn_differences(struct tfs_model_impl *m, const struct tfs_set *set, const struct tfs_index *ix,
			     uint32_t index_node, const uint32_t *place, const struct differences *d)
{
	char quoted[TFS_QUOTE_SIZE];
	size_t n_files = 0, first = 0;

	for (size_t f = ix->n_files; f--;)
		if (place[f] == UINT32_MAX) {
			first = f;
			n_files++;
		}
	if (n_files)
		tfs_model_warn(m, index_node, -ENOENT, "%zu of its %zu shards are not there, the first is %s", n_files,
			       ix->n_files, ix->files[first]);
	if (set->n_missing)
		tfs_model_warn(m, index_node, -ENOENT, "%zu of its %zu tensors are missing, the first is %s",
			       set->n_missing, ix->n_entries,
			       tfs_quote(quoted, sizeof quoted, set->missing[0], strlen(set->missing[0])));
	if (d->n_astray)
		tfs_model_warn(m, index_node, -EINVAL,
			       "%zu tensors are in another shard than the index says, the first is %s", d->n_astray,
			       tfs_quote(quoted, sizeof quoted, d->astray->name, d->astray->name_len));
	if (d->n_unlisted)
		tfs_model_warn(m, index_node, -EINVAL,
			       "%zu tensors are in the shards and not in the index, the first is %s", d->n_unlisted,
			       tfs_quote(quoted, sizeof quoted, d->unlisted->name, d->unlisted->name_len));
	/* Often wrong in the wild: tied weights counted twice, elements instead of bytes. */
	if (ix->has_total_size && !set->n_missing && ix->total_size != set->total_bytes)
		tfs_model_warn(m, index_node, -EINVAL, "total_size says %" PRIu64 " bytes, the tensors have %" PRIu64,
			       ix->total_size, set->total_bytes);
}

/* The names that the index alone has, into @ret_names, an array that the caller frees; the names themselves belong to @m. */
static int check_index(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n_shards,
		       const struct tfs_index *ix, uint32_t index_node, const char ***ret_names)
{
	cleanup_free const struct tfs_index_entry **entries = NULL;
	cleanup_free uint32_t *place = NULL;
	cleanup_free const char **missing = NULL;
	struct differences d;
	int rc = places_of_files(m, shards, n_shards, ix, &place);

	if (rc)
		return rc;
	compare(ix, place, set, NULL, &d);
	if (set->n_missing) {
		entries = reallocarray(NULL, set->n_missing, sizeof *entries);
		missing = reallocarray(NULL, set->n_missing, sizeof *missing);
		if (!entries || !missing)
			return -ENOMEM;
		compare(ix, place, set, entries, &d);
		for (size_t i = 0; i < set->n_missing; i++) {
			missing[i] = tfs_arena_copy(&m->arena, entries[i]->name, entries[i]->name_len);
			if (!missing[i])
				return -ENOMEM;
		}
		set->missing = missing;
	}
	warn_differences(m, set, ix, index_node, place, &d);
	*ret_names = tfs_steal(missing);
	return 0;
}

static int by_string(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Fill set->missing: what the index alone has, @listed (set->n_missing of them), and what the shards had to leave out. */
static int list_missing(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n_shards,
			const char *const *listed)
{
	size_t n = set->n_missing, count, kept = 0;
	const char **missing;
	const void **tmp;

	for (size_t s = 0; s < n_shards; s++) {
		tfs_catalog_left_out(shards[s].catalog, &count);
		n += count;
	}
	if (!n)
		return 0;
	missing = table(m, n, const char *);
	tmp = reallocarray(NULL, n, sizeof *tmp);
	if (!missing || !tmp) {
		free(tmp);
		return -ENOMEM;
	}
	n = 0;
	for (size_t i = 0; i < set->n_missing; i++)
		missing[n++] = listed[i];
	for (size_t s = 0; s < n_shards; s++) {
		const char *const *names = tfs_catalog_left_out(shards[s].catalog, &count);

		/* Another shard may have it, sound. */
		for (size_t i = 0; i < count; i++)
			if (tfs_set_find(set, names[i], strlen(names[i])) == SIZE_MAX)
				missing[n++] = names[i];
	}
	tfs_sort((const void **)missing, n, tmp, by_string);
	free(tmp);
	for (size_t i = 0; i < n; i++)
		if (!i || strcmp(missing[i], missing[kept - 1]))
			missing[kept++] = missing[i];
	set->missing = missing;
	set->n_missing = kept;
	return 0;
}

static int list_metadata(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n_shards)
{
	struct tfs_file_metadata *metadata = table(m, n_shards, struct tfs_file_metadata);

	if (!metadata)
		return -ENOMEM;
	for (size_t s = 0; s < n_shards; s++)
		metadata[s].pairs = tfs_catalog_metadata(shards[s].catalog, &metadata[s].n);
	set->metadata = metadata;
	set->n_files = n_shards;
	return 0;
}

int tfs_merge(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n,
	      const struct tfs_index *index, uint32_t index_node, struct tfs_error *err)
{
	cleanup_free const void **order = NULL;
	cleanup_free const char **listed = NULL;
	struct tfs_tensor *t;
	uint32_t *sources;
	size_t total = 0, places = n, count;
	int rc;

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
	rc = place_sources(m, set->dir, shards, n, sources, &set->n_sources, err);
	if (rc)
		return rc;

	rc = merge_names(m, set, shards, n, tfs_merge_keeps(n, index), order, order + total, err);
	if (!rc)
		rc = order_by_offset(m, set, set->n_sources, order, order + total);
	if (rc)
		return rc;
	for (size_t i = 0; i < set->n_tensors; i++)
		if (ckd_add(&set->total_bytes, set->total_bytes, set->tensors[i].nbytes))
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
					     "more than 2^64-1 bytes of tensors in one set");
	if (index)
		rc = check_index(m, set, shards, n, index, index_node, &listed);
	if (!rc)
		rc = list_missing(m, set, shards, n, listed);
	if (!rc)
		rc = list_metadata(m, set, shards, n);

	/* Only now from places to nodes: the table is ours, though readers get it as const. */
	t = (struct tfs_tensor *)set->tensors;
	for (size_t i = 0; i < set->n_tensors; i++)
		t[i].source = sources[t[i].source];
	return rc;
}
