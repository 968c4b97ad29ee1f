/* SPDX-License-Identifier: MIT */
/*
 * The weight sets of a model: all weight files and indexes of the tree are parsed, in parallel; then each directory's are
 * grouped (model/candidates.h), merged (merge.c) and sorted.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/parallel.h"
#include "base/search.h"
#include "base/sort.h"
#include "model/candidates.h"
#include "model/impl.h"
#include "model/schemes.h"
#include "model/weight-file.h"
#include "storage/storage.h"

/* A set that is left out. */
struct broken {
	struct tfs_error err;
	uint32_t node; /* of its only file, else UINT32_MAX */
	size_t place;  /* of its format in the order of preference; after all of them if it has none */
};

struct finder {
	struct tfs_model_impl *m;
	struct tfs_weight_file *files; /* in node order, so those of one directory are neighbours */
	size_t n_files, room_files;
	uint32_t *order; /* in which files are parsed */
	size_t room_sets;
	struct broken *broken; /* one for each set that was left out */
	size_t n_broken, room_broken;
	size_t n_dirs;
	bool *named;	       /* by node: a weight file has tensors there; never another one of its kind, or itself */
	struct tfs_error *err; /* the caller's; only filled if -errno alone isn't enough */
};

/* --- Parsing ----------------------------------------------------------------------------------------------------- */

const struct tfs_format *tfs_index_format(const char *file_name)
{
	const struct tfs_format *f;

	for (size_t i = 0; (f = tfs_format_at(i)); i++)
		if (f->shard_ext && tfs_index_claims(file_name, f->shard_ext, NULL))
			return f;
	return NULL;
}

static int find_files(struct finder *f)
{
	/* What every compiled Core ML model has, here the directory that was given. */
	const bool compiled = tfs_model_find_child(&f->m->pub, TFS_NODE_ROOT, "coremldata.bin", strlen("coremldata.bin")) !=
			      UINT32_MAX;

	for (uint32_t i = 0; i < f->m->pub.n_nodes; i++) {
		const struct tfs_node *n = &f->m->nodes[i];
		struct tfs_weight_file file = { .node = i };

		if (S_ISDIR(n->mode)) {
			f->n_dirs++;
			continue;
		}
		file.format = i == f->m->given ? f->m->given_format : tfs_format_for(n->name);
		if (!file.format) {
			file.format = tfs_index_format(n->name);
			file.is_index = file.format != NULL;
		}
		if (!file.format) {
			file.format = tfs_format_maybe(n->name);
			file.is_ambiguous = file.format != NULL;
		}
		if (!file.format || (i != f->m->given && (compiled || tfs_in_compiled(&f->m->pub, i))))
			continue;
		if (tfs_array_room(f->files, f->n_files, f->room_files))
			return -ENOMEM;
		f->files[f->n_files++] = file;
	}
	return 0;
}

/* Indexes first: they take longest, and what is started last should be short. */
static int order_files(struct finder *f)
{
	size_t at = 0;

	f->order = reallocarray(NULL, f->n_files + 1, sizeof *f->order); /* n_files may be 0 */
	if (!f->order)
		return -ENOMEM;
	for (int index = 1; index >= 0; index--)
		for (size_t i = 0; i < f->n_files; i++)
			if (f->files[i].is_index == index)
				f->order[at++] = i;
	return 0;
}

/*
 * What parsers read first, where each read is a round trip: nearly all of the header of a safetensors file (97 % of those published are
 * less than 100 KB) or of an index; the beginning of a GGUF, which has its vocabulary; the end of a zip file, which has its directory.
 */
enum { HEAD = 256 << 10, GGUF_HEAD = 1 << 20, ZIP_TAIL = 128 << 10, INDEX_HEAD = 16 << 20 };

static uint64_t head_of(const struct tfs_weight_file *file)
{
	return file->is_index ? INDEX_HEAD : file->format == &tfs_format_gguf ? GGUF_HEAD : HEAD;
}

static void want_heads(struct finder *f)
{
	struct tfs_storage *s = f->m->pub.storage;
	cleanup_free struct tfs_storage_range *all = s->ops->want ? calloc(2 * f->n_files + 1, sizeof *all) : NULL;
	size_t n = 0;

	for (size_t i = 0; i < f->n_files && all; i++) {
		const struct tfs_weight_file *file = &f->files[i];
		const struct tfs_identity *id = &f->m->nodes[file->node].id;

		all[n++] = (struct tfs_storage_range){ id, 0, head_of(file) };
		if (!file->is_index && file->format->containers & TFS_IN_ZIP && id->size > ZIP_TAIL)
			all[n++] = (struct tfs_storage_range){ id, id->size - ZIP_TAIL, ZIP_TAIL };
	}
	if (n)
		s->ops->want(s, all, n, false);
}

/* One iteration of the parallel loop: only touches its own file. */
static void parse_file(void *arg, size_t i)
{
	struct finder *f = arg;

	tfs_weight_file_parse(f->m, &f->files[f->order[i]]);
}

static bool lacks_memory(const struct tfs_weight_file *file)
{
	return file->share.over == TFS_OVER_MEMORY;
}

/*
 * If something exceeded the memory while others needed some, too, that and all that was parsed of what follows it is parsed again, one
 * after the other, so that it doesn't depend on their threads what is left out.
 */
static void parse_again(struct finder *f)
{
	size_t first = 0, n = 0;

	while (first < f->n_files && !lacks_memory(&f->files[f->order[first]]))
		first++;
	for (size_t i = first; i < f->n_files && f->n_files > 1; i++) {
		struct tfs_weight_file *file = &f->files[f->order[i]];

		if (!lacks_memory(file) && (file->err || file->is_other))
			continue;
		tfs_weight_file_clear(file);
		f->order[first + n++] = f->order[i];
	}
#ifdef __GLIBC__
	if (n) /* in other threads' arenas it would stay beside what is parsed now */
		malloc_trim(0);
#endif
	for (size_t i = 0; i < n; i++)
		parse_file(f, first + i);
}

/* --- One directory ----------------------------------------------------------------------------------------------- */

/* A candidate and the resulting set. */
struct made {
	struct tfs_candidate *candidate;
	struct tfs_set set;
};

/* Report what is odd about a set's index and shards, except for their tensors. */
static void warn_shards(struct finder *f, const struct tfs_candidate *d)
{
	const struct tfs_index *ix = d->index ? d->index->index : NULL;

	if (ix && ix->n_bad)
		tfs_model_warn_at(f->m, d->index->node, -EINVAL, ix->bad.offset, "%zu of its rows are invalid; the first: %s",
				  ix->n_bad, ix->bad.what);
	assert(d->index || !d->n_unlisted);
	if (d->n_unlisted)
		tfs_model_warn(f->m, d->index->node, -EINVAL,
			       "%zu shards are not in the index, the first is %s: their tensors are shown, too", d->n_unlisted,
			       f->m->nodes[d->unlisted->node].name);
	if (d->n_sound < d->n_named)
		tfs_model_warn(f->m, tfs_candidate_file(d, 0)->node, -ENOENT, "only %zu of %zu shards of its name %s", d->n_sound,
			       d->n_named, d->n_sound < d->n_there ? "can be read" : "exist");
}

static int make_set(struct finder *f, struct tfs_candidates *candidates, struct tfs_candidate *d, uint32_t dir, struct tfs_set *set)
{
	cleanup_free struct tfs_shard *shards = reallocarray(NULL, d->n_files, sizeof *shards);
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	int r;

	if (!shards)
		return -ENOMEM;
	*set = (struct tfs_set){
		.stem = d->stem,
		.format = d->format,
		.dir = dir,
		.sharded = d->n_files > 1 || d->n_listed > 1,
		.companion = d->companion,
	};
	for (size_t i = 0; i < d->n_files; i++)
		shards[i] = (struct tfs_shard){ tfs_candidate_file(d, i)->node, tfs_candidate_file(d, i)->catalog };
	r = tfs_merge(f->m, set, shards, d->n_files, d->index ? d->index->index : NULL, d->index ? d->index->node : UINT32_MAX,
		      &err);
	if (r == -EINVAL) {
		tfs_model_error_in(&f->m->pub, shards[0].node, &err);
		return tfs_candidate_fail(candidates, d, &err);
	}
	if (r)
		return r;
	warn_shards(f, d);
	set->incomplete = set->n_missing || d->lacks_shards || (d->index && d->index->index->n_bad);
	return tfs_split_check(f->m, set, shards, d->n_files, d->n_listed);
}

/* NULL comes after the last one. */
static size_t place_of_format(const struct tfs_format *format)
{
	size_t i = 0;

	while (tfs_format_at(i) != format)
		i++;
	return i;
}

/* The primary set first. */
static int by_rank(const void *a, const void *b)
{
	const struct made *x = a, *y = b;
	int c;

	if (x->set.companion != y->set.companion)
		return x->set.companion ? 1 : -1;
	if (x->set.format != y->set.format)
		return place_of_format(x->set.format) < place_of_format(y->set.format) ? -1 : 1;
	if (x->candidate->rank != y->candidate->rank)
		return x->candidate->rank < y->candidate->rank ? -1 : 1;
	/* If two have the same stem, it goes to the one that has all its tensors. */
	c = strcmp(x->set.stem, y->set.stem);
	return c ? c : x->set.incomplete - y->set.incomplete;
}

static int by_stem(const void *a, const void *b)
{
	int c = strcmp(((const struct made *)a)->set.stem, ((const struct made *)b)->set.stem);

	return c ? c : by_rank(a, b);
}

static const char *stem_at(const void *const *sets, size_t i)
{
	return ((const struct made *)sets[i])->set.stem;
}

/* Index of the first set whose stem is not less than @stem. */
static size_t find_stem(const void *const *sets, size_t n, const char *stem)
{
	return tfs_search(i, 0, n, strcmp(stem_at(sets, i), stem) < 0);
}

/*
 * Append a `~` to the second set with a stem, two to the third, and so on, as sets/STEM must be unique; "." and ".." aren't
 * allowed. @sets is sorted by stem, before and after.
 */
static int make_stems_unique(struct finder *f, const void **sets, size_t n)
{
	char stem[NAME_MAX + 1];

	for (size_t i = 0; i < n;) {
		struct made *s = (struct made *)sets[i];
		size_t len = strlen(s->set.stem), at;

		if ((!i || strcmp(stem_at(sets, i - 1), s->set.stem)) && strcmp(s->set.stem, ".") && strcmp(s->set.stem, "..")) {
			i++;
			continue;
		}
		memcpy(stem, s->set.stem, len + 1);
		do {
			if (len == NAME_MAX)
				return tfs_error_set(f->err, -E2BIG, TFS_NO_OFFSET, "too many weight sets are named %s",
						     s->set.stem);
			stem[len++] = '~';
			stem[len] = '\0';
			at = find_stem(sets, n, stem);
		} while (at < n && !strcmp(stem_at(sets, at), stem));
		s->set.stem = tfs_arena_copy(&f->m->arena, stem, len);
		if (!s->set.stem)
			return -ENOMEM;
		/* To its new position, which is further on; what moves here is checked next. */
		memmove(sets + i, sets + i + 1, (at - 1 - i) * sizeof *sets);
		sets[at - 1] = s;
	}
	return 0;
}

/* @format: NULL if it has none. */
static int leave_out(struct finder *f, const struct tfs_error *err, uint32_t node, const struct tfs_format *format)
{
	if (tfs_array_room(f->broken, f->n_broken, f->room_broken))
		return -ENOMEM;
	f->broken[f->n_broken++] = (struct broken){ *err, node, place_of_format(format) };
	return 0;
}

/* The file, if it is a candidate by itself. */
static uint32_t only_node(const struct tfs_candidate *d)
{
	return d->n_files == 1 ? tfs_candidate_file(d, 0)->node : UINT32_MAX;
}

static int add_set(struct finder *f, const struct tfs_set *set)
{
	struct tfs_model_impl *m = f->m;
	struct tfs_node *dir = &m->nodes[set->dir];

	if (tfs_array_room(m->sets, m->pub.n_sets, f->room_sets))
		return -ENOMEM;
	m->pub.sets = m->sets;
	if (!dir->n_sets++)
		dir->first_set = m->pub.n_sets;
	m->sets[m->pub.n_sets++] = *set;
	return 0;
}

/* Keep the catalogs of valid sets with the model; if the tensors were copied, only names and shapes. */
static void keep_catalogs(struct finder *f, const struct tfs_candidate *d)
{
	struct tfs_model_impl *m = f->m;

	for (size_t i = 0; i < d->n_files; i++) {
		struct tfs_weight_file *file = tfs_candidate_file(d, i);

		if (!file->catalog)
			continue; /* kept already, for another index that lists it */
		if (!tfs_merge_keeps(d->n_files, d->index ? d->index->index : NULL))
			tfs_catalog_drop_table(file->catalog);
		m->catalogs[m->n_catalogs++] = tfs_steal(file->catalog);
	}
}

static bool is_empty(const struct made *s)
{
	return !s->set.n_tensors && !s->set.n_missing;
}

/*
 * A set without tensors (a trainer's arguments in a pickle) is left out if there is one that has some, as it might become the
 * primary one instead. Either way there is a warning. @sets are *@n.
 */
static int drop_empty(struct finder *f, const void **sets, size_t *n)
{
	size_t kept = 0, empty = 0;
	int r = 0;

	for (size_t i = 0; i < *n; i++)
		empty += is_empty(sets[i]);
	for (size_t i = 0; i < *n && !r; i++) {
		const struct made *s = sets[i];
		struct tfs_error err = { 0 };

		if (!is_empty(s)) {
			sets[kept++] = s;
			continue;
		}
		if (empty == *n) {
			tfs_model_warn(f->m, s->set.sources[0], -EINVAL, "has no tensors");
			sets[kept++] = s;
			continue;
		}
		tfs_error_set(&err, -EINVAL, TFS_NO_OFFSET, "has no tensors");
		tfs_model_error_in(&f->m->pub, s->set.sources[0], &err);
		r = leave_out(f, &err, only_node(s->candidate), s->set.format);
	}
	*n = kept;
	return r;
}

/* Turn the candidates of one directory into sets, and leave out the broken ones. */
static int make_sets(struct finder *f, struct tfs_candidates *candidates, uint32_t dir)
{
	/* There may be none. */
	cleanup_free struct made *made = reallocarray(NULL, candidates->n + 1, sizeof *made);
	cleanup_free const void **order = reallocarray(NULL, candidates->n + 1, 2 * sizeof *order);
	size_t n = 0;
	int r = 0;

	if (!made || !order)
		return -ENOMEM;
	for (size_t i = 0; i < candidates->n && !r; i++) {
		struct tfs_candidate *d = &candidates->all[i];

		made[i].candidate = d;
		if (!d->err)
			r = make_set(f, candidates, d, dir, &made[i].set);
		if (!r && d->err)
			r = leave_out(f, d->err, only_node(d), d->format);
		else
			order[n++] = &made[i];
	}
	if (!r)
		r = drop_empty(f, order, &n);
	/* Only now, as a shard may be in several candidates. */
	for (size_t i = 0; i < n && !r; i++)
		keep_catalogs(f, ((const struct made *)order[i])->candidate);
	if (r)
		return r;

	tfs_sort(order, n, order + candidates->n, by_stem);
	r = make_stems_unique(f, order, n);
	if (r)
		return r;
	tfs_sort(order, n, order + candidates->n, by_rank);
	for (size_t i = 0; i < n && !r; i++)
		r = add_set(f, &((const struct made *)order[i])->set);
	return r;
}

static void note_named(struct finder *f, uint32_t dir, struct tfs_catalog *catalog)
{
	size_t n;
	const char *const *locations = tfs_catalog_locations(catalog, &n);

	for (size_t i = 0; i < n; i++) {
		struct tfs_error ignored; /* reported when the set is built */
		uint32_t node = tfs_merge_location(&f->m->pub, dir, locations[i], &ignored);
		const struct tfs_format *format;

		if (node == UINT32_MAX)
			continue;
		format = tfs_format_for(f->m->nodes[node].name);
		f->named[node] = !format || !format->external;
	}
}

static void warn_notes(struct finder *f, const struct tfs_weight_file *file)
{
	size_t n, more;
	const struct tfs_note *notes = tfs_catalog_notes(file->catalog, &n, &more);

	for (size_t i = 0; i < n; i++)
		tfs_model_warn_at(f->m, file->node, -EINVAL, notes[i].offset, "%s", notes[i].text);
	if (more)
		tfs_model_warn(f->m, file->node, -EINVAL, "%zu more warnings like these", more);
}

static void warn_parts(struct finder *f, const struct tfs_weight_file *files, size_t n)
{
	size_t count = 0, first = 0;

	for (size_t i = n; i--;)
		if (tfs_is_sound(&files[i]) && tfs_has_parts(files[i].catalog)) {
			first = i;
			count++;
		}
	if (count)
		tfs_model_warn(
			f->m, files[first].node, -EINVAL,
			"%zu files, of which this is the first, belong to a torch distributed checkpoint: each tensor is the "
			"part that one rank had, not joined with the others (torch's consolidate_safetensors_files() joins them)",
			count);
}

/* Broken weights before broken indexes, as they are more informative if there is nothing else. */
static int leave_out_broken(struct finder *f, const struct tfs_weight_file *files, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		if (files[i].err && !files[i].is_index && !files[i].missing)
			r = leave_out(f, files[i].err, files[i].node, files[i].format);
	return r;
}

static int find_in_dir(struct finder *f, uint32_t dir, struct tfs_weight_file *files, size_t n)
{
	struct tfs_candidates candidates = { 0 };
	int r = tfs_group(f->m, dir, files, n, &candidates);

	for (size_t i = 0; i < n; i++) {
		if (!files[i].catalog)
			continue;
		note_named(f, dir, files[i].catalog);
		if (!files[i].err) /* otherwise they are part of the error, or not about anything */
			warn_notes(f, &files[i]);
	}
	warn_parts(f, files, n);
	if (!r)
		r = leave_out_broken(f, files, n);
	if (!r)
		r = make_sets(f, &candidates, dir);
	tfs_candidates_clear(&candidates);
	for (size_t i = 0; i < n; i++)
		tfs_weight_file_clear(&files[i]);
	return r;
}

/* --- The model --------------------------------------------------------------------------------------------------- */

static int keep_unread(struct tfs_model_impl *m, const struct tfs_weight_file *file)
{
	if (tfs_array_room(m->unread, m->pub.n_unread, m->room_unread))
		return -ENOMEM;
	m->pub.unread = m->unread;
	m->unread[m->pub.n_unread++] = (struct tfs_unread){ file->node, file->unread };
	return 0;
}

/* Remove the files that have turned out to be something else. */
static int drop_others(struct finder *f)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < f->n_files && !r; i++)
		if (!f->files[i].is_other)
			f->files[kept++] = f->files[i];
		else if (f->files[i].unread)
			r = keep_unread(f->m, &f->files[i]);
	f->n_files = kept;
	return r;
}

static int find(struct finder *f)
{
	struct tfs_model_impl *m = f->m;
	size_t end;
	int r = find_files(f);

	if (!r)
		r = order_files(f);
	if (r)
		return r;
	m->catalogs = calloc(f->n_files + 1, sizeof *m->catalogs);
	f->named = calloc(m->pub.n_nodes, sizeof *f->named);
	if (!m->catalogs || !f->named)
		return -ENOMEM;
	want_heads(f);
	tfs_parallel_for(f->n_files, m->threads, parse_file, f);
	parse_again(f);
	r = drop_others(f);
	for (size_t i = 0; i < f->n_files && !r; i = end) {
		uint32_t dir = m->nodes[f->files[i].node].parent;

		for (end = i + 1; end < f->n_files && m->nodes[f->files[end].node].parent == dir;)
			end++;
		r = find_in_dir(f, dir, f->files + i, end - i);
	}
	return r;
}

/* The remains of a download, which aren't a set, are distinguished from what never existed. */
static int find_unfinished(struct finder *f)
{
	const struct tfs_model *m = &f->m->pub;
	int r = 0;

	for (uint32_t i = 0; i < m->n_nodes && !r; i++) {
		const char *what = S_ISREG(m->nodes[i].mode) ? tfs_format_unfinished(m->nodes[i].name) : NULL;
		struct tfs_error err = { 0 };

		if (!what)
			continue;
		tfs_error_set(&err, -EINVAL, TFS_NO_OFFSET, "%s", what);
		tfs_model_error_in(m, i, &err);
		r = leave_out(f, &err, i, NULL);
	}
	return r;
}

/* It may well have a name that a third format claims ("weights.bin"), and needs no warning. */
static bool is_named(const struct finder *f, const struct broken *b)
{
	return b->node != UINT32_MAX && f->named[b->node];
}

/* Has it a name that several formats use, and a content that none of the others recognises? It may be anything. */
static bool is_vague(const struct finder *f, const struct broken *b)
{
	const char *name = b->node != UINT32_MAX ? f->m->nodes[b->node].name : "";

	return tfs_format_maybe(name) && tfs_format_for(name) == tfs_format_at(b->place);
}

/* The reason why there is no set: if a file has another one's tensors, or may have, the other one's error is more informative. */
static const struct broken *main_reason(const struct finder *f)
{
	const struct broken *best = &f->broken[0];

	for (size_t i = 1; i < f->n_broken; i++) {
		const struct broken *b = &f->broken[i];
		int less = is_named(f, b) - is_named(f, best);

		if (!less)
			less = is_vague(f, b) - is_vague(f, best);
		if (less < 0 || (!less && b->place < best->place))
			best = b;
	}
	return best;
}

/*
 * What to say of @b: of a vague file maybe that it needs another one, or that it is of a kind that isn't read. False: nothing, as something
 * was, or will be, said of that one; or as .tensorfs/stats lists what isn't read.
 */
static bool explain(const struct finder *f, const struct broken *b, bool alone, bool *told, struct tfs_error *ret)
{
	const char *unread;

	*ret = b->err;
	if (!is_vague(f, b) || tfs_is_absent(&f->m->pub, b->node))
		return true;
	unread = tfs_unread_what(&f->m->pub, b->node);
	if (unread)
		tfs_error_set(ret, -EINVAL, TFS_NO_OFFSET, "is %s", unread);
	if (unread)
		return alone;
	return tfs_explain_part(&f->m->pub, b->node, told, ret);
}

/* A broken set prevents the mount only if there is no other; of several, the first one of the preferred format is the reason. */
static int report_broken(const struct finder *f)
{
	cleanup_free bool *told = calloc(f->m->pub.n_nodes, sizeof *told);
	struct tfs_error warning;

	if (!told)
		return -ENOMEM;
	if (!f->m->pub.n_sets && f->n_broken) {
		explain(f, main_reason(f), true, told, f->err);
		f->err->code = -EINVAL; /* whatever broke the set: the model has none */
		return -EINVAL;
	}
	for (size_t i = 0; i < f->n_broken && f->m->warn; i++)
		if (f->broken[i].node != UINT32_MAX)
			told[f->broken[i].node] = true;
	for (size_t i = 0; i < f->n_broken && f->m->warn; i++) {
		char what[sizeof warning.what];

		if (is_named(f, &f->broken[i]) || !explain(f, &f->broken[i], false, told, &warning))
			continue;
		memcpy(what, warning.what, sizeof what);
		tfs_error_set(&warning, warning.code, warning.offset, "left out: %s", what);
		f->m->warn(f->m->warn_arg, &warning);
	}
	return f->m->pub.n_sets ? 0 : tfs_nothing_found(&f->m->pub, f->n_dirs, f->err);
}

static int mark_sources(struct tfs_model_impl *m)
{
	m->is_source = calloc(m->pub.n_nodes, sizeof *m->is_source);
	m->pub.is_source = m->is_source;
	if (!m->is_source)
		return -ENOMEM;
	for (size_t i = 0; i < m->pub.n_sets; i++)
		for (size_t k = 0; k < m->sets[i].n_sources; k++)
			m->is_source[m->sets[i].sources[k]] = true;
	return 0;
}

int tfs_sets_find(struct tfs_model_impl *m, struct tfs_error *err)
{
	struct finder f = { .m = m, .err = err };
	int r = find(&f);

	if (!r)
		r = mark_sources(m);

	for (size_t i = 0; i < m->pub.n_sets && !r; i++)
		r = tfs_schemes_find(m, &m->sets[i]);
	if (!r)
		r = find_unfinished(&f);
	if (!r)
		r = report_broken(&f);
	if (r && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "finding the weights: %s", strerror(-r));
	for (size_t i = 0; i < f.n_files; i++)
		tfs_weight_file_clear(&f.files[i]);
	free(f.files);
	free(f.order);
	free(f.broken);
	free(f.named);
	return r;
}
