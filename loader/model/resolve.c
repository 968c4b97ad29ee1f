/* SPDX-License-Identifier: MIT */
/*
 * Which tensors of its shards belong to a set: one of each name. If a name is in several shards, the index decides, or else their
 * bytes. The same pass compares what the index lists with what the shards have.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/search.h"
#include "base/sort.h"
#include "model/impl.h"
#include "storage/storage.h"

/*
 * Maximum amount of duplicates compared while a set is built, as the user is waiting. Usually tied weights are saved twice: the
 * largest embeddings have 4 GiB.
 */
#define MAX_COMPARED ((uint64_t)4 << 30)
#define COMPARE_SIZE ((size_t)1 << 20)

/*
 * Something odd, for a warning in one line: the number of tensors, and for the first of them its name and the shards that have it.
 */
struct finding {
	size_t n;
	const char *name;
	uint32_t name_len;
	uint32_t here, there; /* indices into sources */
	const char *why;
};

enum odd {
	UNFOUND,    /* in the index, but not where it says; shards have no meaning */
	ASTRAY,	    /* in another shard than the index says */
	UNLISTED,   /* not in the index */
	OVERRIDDEN, /* there are copies other than the index's */
	DUPLICATE,  /* stored twice, with equal bytes, and the index doesn't say which one to use */
	UNDECIDED,  /* the same, and the bytes differ, or may */
	OUTDATED,   /* the right copy can't be read, but another could */
	ODDS
};

/* Instead of the index of a shard. */
#define NOT_THERE  UINT32_MAX
#define UNREADABLE (UINT32_MAX - 1)

struct resolver {
	struct tfs_model_impl *m;
	struct tfs_set *set;
	const struct tfs_index *index; /* NULL: none */
	uint32_t index_node;
	uint32_t *place;       /* for each of the index's files: its index among the shards, or NOT_THERE, or UNREADABLE */
	const void **left_out; /* names of tensors that shards had to leave out, sorted */
	size_t n_left_out;
	const char **missing;
	size_t n_missing, room_missing;
	struct finding odd[ODDS];
	/* For comparing. */
	uint64_t compared;
	uint8_t *buf;
	struct tfs_input in[2]; /* closed, or: */
	uint32_t node[2];	/* for these */
	struct tfs_error *err;
};

static void note(struct resolver *rs, enum odd odd, const struct tfs_tensor *t, const struct tfs_tensor *other, const char *why)
{
	struct finding *f = &rs->odd[odd];

	if (!f->n++)
		*f = (struct finding){ 1, t->name, t->name_len, t->source, other->source, why };
}

static void note_unfound(struct resolver *rs, const struct tfs_index_entry *e)
{
	struct finding *f = &rs->odd[UNFOUND];

	if (!f->n++)
		*f = (struct finding){ .n = 1, .name = e->name, .name_len = e->name_len };
}

/* --- Two copies --------------------------------------------------------------------------------------------------- */

enum equality { EQUAL, DIFFERENT, UNKNOWN };

static bool same_type(const struct tfs_dtype *a, const struct tfs_dtype *b)
{
	return a == b || (!strcmp(a->name, b->name) && a->block_elems == b->block_elems && a->block_bytes == b->block_bytes);
}

/* Would the same bytes in both files be the same tensor? */
static bool same_encoding(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	const struct tfs_encoding *p = a->encoding, *q = b->encoding;

	if (!p || !q)
		return !p && !q;
	return p->coding == q->coding && p->swap == q->swap && p->words == q->words && p->width == q->width &&
	       p->length == q->length && p->skip == q->skip && p->unpacked == q->unpacked && !p->n_segments && !q->n_segments &&
	       !p->strides == !q->strides && (!p->strides || !memcmp(p->strides, q->strides, a->ndim * sizeof *p->strides));
}

/* A source, kept open until the next one is requested in the same @slot; NULL: it can't be opened. */
static const struct tfs_input *open_source(struct resolver *rs, unsigned slot, uint32_t source)
{
	uint32_t node = rs->set->sources[source];
	struct tfs_input *in = &rs->in[slot];

	if (in->ops && rs->node[slot] == node)
		return in;
	tfs_input_close(in);
	rs->node[slot] = node;
	return tfs_model_open_input(&rs->m->pub, node, in) ? NULL : in;
}

static enum equality compare_bytes(struct resolver *rs, const struct tfs_tensor *a, const struct tfs_tensor *b,
				   const char **ret_why)
{
	uint64_t len = a->encoding ? a->encoding->length : a->nbytes;
	const struct tfs_input *x = open_source(rs, 0, a->source), *y = open_source(rs, 1, b->source);

	*ret_why = "which can't be compared";
	if (!x || !y || (!rs->buf && !(rs->buf = malloc(2 * COMPARE_SIZE))))
		return UNKNOWN;
	if (len > MAX_COMPARED - rs->compared) {
		*ret_why = "too large to compare";
		return UNKNOWN;
	}
	for (uint64_t at = 0; at < len;) {
		size_t n = len - at < COMPARE_SIZE ? len - at : COMPARE_SIZE;

		if (tfs_input_read(x, rs->buf, n, a->offset + at, NULL) ||
		    tfs_input_read(y, rs->buf + COMPARE_SIZE, n, b->offset + at, NULL))
			return UNKNOWN;
		at += n;
		rs->compared += n;
		if (memcmp(rs->buf, rs->buf + COMPARE_SIZE, n)) {
			*ret_why = "with other bytes";
			return DIFFERENT;
		}
	}
	return EQUAL;
}

/* Fills *@ret_why, unless they are equal. */
static enum equality compare(struct resolver *rs, const struct tfs_tensor *a, const struct tfs_tensor *b, const char **ret_why)
{
	if (!same_type(a->dtype, b->dtype)) {
		*ret_why = "with another dtype";
		return DIFFERENT;
	}
	if (a->ndim != b->ndim || memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape)) {
		*ret_why = "with another shape";
		return DIFFERENT;
	}
	if (!same_encoding(a, b)) {
		*ret_why = "stored in another way";
		return UNKNOWN;
	}
	return compare_bytes(rs, a, b, ret_why);
}

/* --- One name ----------------------------------------------------------------------------------------------------- */

static const char *shard_name(const struct resolver *rs, uint32_t source)
{
	return rs->m->nodes[rs->set->sources[source]].name;
}

static int refuse_different(struct resolver *rs, const struct tfs_tensor *first, const struct tfs_tensor *t, const char *why)
{
	char quoted[TFS_QUOTE_SIZE];

	tfs_error_set(rs->err, -EINVAL, t->offset, "tensor %s: is also in %s, %s, and no index says which one to use",
		      tfs_quote(quoted, sizeof quoted, t->name, t->name_len), shard_name(rs, first->source), why);
	tfs_model_error_in(&rs->m->pub, rs->set->sources[t->source], rs->err);
	return -EINVAL;
}

/* Of @n tensors with one name, for which the index doesn't decide: the first, if all are equal. *@ret: NULL if not. */
static int choose_equal(struct resolver *rs, const struct tfs_tensor *t, size_t n, const struct tfs_tensor **ret)
{
	const char *why;

	for (size_t i = 1; i < n; i++) {
		enum equality e = compare(rs, t, &t[i], &why);

		/* Files that are a set only because they are in the same directory aren't refused because of each other. */
		if (e == DIFFERENT && !rs->index && !rs->set->format->one_set)
			return refuse_different(rs, t, &t[i], why);
		if (e != EQUAL) {
			note(rs, UNDECIDED, t, &t[i], why);
			*ret = NULL;
			return 0;
		}
	}
	note(rs, DUPLICATE, t, &t[1], NULL);
	*ret = t;
	return 0;
}

static int by_string(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Which of the @n tensors with one name (1 or more) to use; @e is the index's row for it, or NULL. *@ret: NULL for none. */
static int choose(struct resolver *rs, const struct tfs_tensor *t, size_t n, const struct tfs_index_entry *e,
		  const struct tfs_tensor **ret)
{
	uint32_t place = e && e->file != TFS_INDEX_NO_FILE ? rs->place[e->file] : NOT_THERE;

	*ret = t;
	for (size_t i = 0; e && i < n; i++) {
		if (t[i].source != place)
			continue;
		if (n > 1)
			note(rs, OVERRIDDEN, &t[i], &t[!i], NULL);
		*ret = &t[i];
		return 0;
	}
	/*
	 * Published checkpoints put a shard of corrected tensors on top of others that still have the old ones. But if there is no
	 * trace of the shard, the index is out of date.
	 */
	if (e && (place == UNREADABLE || tfs_sorted_have(rs->left_out, rs->n_left_out, t->name, by_string))) {
		note_unfound(rs, e);
		note(rs, OUTDATED, t, t, NULL);
		*ret = NULL;
		return 0;
	}
	if (rs->index)
		note(rs, e ? ASTRAY : UNLISTED, t, t, NULL);
	return n > 1 ? choose_equal(rs, t, n, ret) : 0;
}

static int add_missing(struct resolver *rs, const char *name, size_t len)
{
	if (tfs_array_room(rs->missing, rs->n_missing, rs->room_missing))
		return -ENOMEM;
	rs->missing[rs->n_missing] = tfs_arena_copy(&rs->m->arena, name, len);
	return rs->missing[rs->n_missing++] ? 0 : -ENOMEM;
}

/* --- All names ---------------------------------------------------------------------------------------------------- */

/* End of the tensors that have the same name as @t. */
static const struct tfs_tensor *end_of_name(const struct tfs_tensor *t, const struct tfs_tensor *t_end)
{
	const struct tfs_tensor *next = t + 1;

	while (next < t_end && next->name_len == t->name_len && !memcmp(next->name, t->name, t->name_len))
		next++;
	return next;
}

/* Walk the @n tensors and the index, both in name order, and keep one tensor of each name, in place. */
static int walk(struct resolver *rs, struct tfs_tensor *all, size_t n)
{
	const struct tfs_tensor *t = all, *t_end = n ? all + n : all, *next, *chosen; /* @all may be NULL then */
	const struct tfs_index_entry *e = rs->index ? rs->index->entries : NULL,
				     *e_end = rs->index ? e + rs->index->n_entries : NULL;
	struct tfs_tensor *out = all;
	int r = 0;

	while (!r && (e < e_end || t < t_end)) {
		int c = e == e_end ? 1 : t == t_end ? -1 : tfs_name_cmp(e->name, e->name_len, t->name, t->name_len);

		if (c < 0) {
			note_unfound(rs, e);
			r = add_missing(rs, e->name, e->name_len);
			e++;
			continue;
		}
		next = end_of_name(t, t_end);
		r = choose(rs, t, (size_t)(next - t), c ? NULL : e, &chosen);
		if (r)
			break;
		if (!chosen)
			r = add_missing(rs, t->name, t->name_len);
		else if (chosen != out)
			*out = *chosen;
		out += chosen != NULL;
		t = next;
		if (!c)
			e++;
	}
	rs->set->tensors = all;
	rs->set->n_tensors = (size_t)(out - all);
	return r;
}

static int sum_bytes(struct resolver *rs)
{
	struct tfs_set *set = rs->set;

	for (size_t i = 0; i < set->n_tensors; i++)
		if (ckd_add(&set->total_bytes, set->total_bytes, set->tensors[i].nbytes))
			return tfs_error_set(rs->err, -EINVAL, TFS_NO_OFFSET, "more than 2^64-1 bytes of tensors in one set");
	return 0;
}

/* May the set's directory have files that aren't in the tree? */
static bool has_unseen(const struct resolver *rs)
{
	for (size_t i = 0; i < rs->m->n_unseen; i++)
		if (rs->m->unseen[i] == rs->set->dir)
			return true;
	return false;
}

/* Index of the index's file @name among the shards, which are sorted by name. */
static uint32_t place_of(const struct resolver *rs, const struct tfs_shard *shards, size_t n_shards, const char *name)
{
	size_t at = tfs_search(i, 0, n_shards, strcmp(rs->m->nodes[shards[i].node].name, name) < 0);

	if (at < n_shards && !strcmp(rs->m->nodes[shards[at].node].name, name))
		return at;
	const bool there = tfs_model_find_child(&rs->m->pub, rs->set->dir, name, strlen(name)) != UINT32_MAX;
	return there || has_unseen(rs) ? UNREADABLE : NOT_THERE;
}

static int find_places(struct resolver *rs, const struct tfs_shard *shards, size_t n_shards)
{
	const struct tfs_index *ix = rs->index;

	if (!ix)
		return 0;
	rs->place = reallocarray(NULL, ix->n_files, sizeof *rs->place);
	if (!rs->place)
		return -ENOMEM;
	for (size_t f = 0; f < ix->n_files; f++)
		rs->place[f] = place_of(rs, shards, n_shards, ix->files[f]);
	return 0;
}

/* What the shards had to leave out, as one sorted list. */
static int collect_left_out(struct resolver *rs, const struct tfs_shard *shards, size_t n_shards)
{
	size_t n = 0, count;

	for (size_t s = 0; s < n_shards; s++) {
		tfs_catalog_left_out(shards[s].catalog, &count);
		n += count;
	}
	if (!n)
		return 0;
	rs->left_out = reallocarray(NULL, n, 2 * sizeof *rs->left_out);
	if (!rs->left_out)
		return -ENOMEM;
	for (size_t s = 0; s < n_shards; s++) {
		const char *const *names = tfs_catalog_left_out(shards[s].catalog, &count);

		for (size_t i = 0; i < count; i++)
			rs->left_out[rs->n_left_out++] = names[i];
	}
	tfs_sort(rs->left_out, n, rs->left_out + n, by_string);
	return 0;
}

/* Fill set->missing: what the walk found, and what was left out and is in no other shard. */
static int list_missing(struct resolver *rs)
{
	const void **tmp;
	const char **all;
	size_t n, kept = 0;

	for (size_t i = 0; i < rs->n_left_out; i++)
		if (tfs_set_find(rs->set, rs->left_out[i], strlen(rs->left_out[i])) == SIZE_MAX &&
		    add_missing(rs, rs->left_out[i], strlen(rs->left_out[i])))
			return -ENOMEM;
	n = rs->n_missing;
	if (!n)
		return 0;
	all = tfs_arena_array(&rs->m->arena, n, sizeof *all, alignof(const char *));
	tmp = reallocarray(NULL, n, sizeof *tmp);
	if (!all || !tmp) {
		free(tmp);
		return -ENOMEM;
	}
	memcpy(all, rs->missing, n * sizeof *all);
	tfs_sort((const void **)all, n, tmp, by_string);
	free(tmp);
	for (size_t i = 0; i < n; i++)
		if (!i || strcmp(all[i], all[kept - 1]))
			all[kept++] = all[i];
	rs->set->missing = all;
	rs->set->n_missing = kept;
	return 0;
}

/* --- Warnings ----------------------------------------------------------------------------------------------------- */

/* For the shards that are missing, or (@place) can't be read. */
static void warn_files(struct resolver *rs, uint32_t place, int code, const char *what)
{
	const struct tfs_index *ix = rs->index;
	size_t n = 0, first = 0;

	for (size_t f = ix->n_files; f--;)
		if (rs->place[f] == place) {
			first = f;
			n++;
		}
	if (!n)
		return;
	const uint32_t node = tfs_model_find_child(&rs->m->pub, rs->set->dir, ix->files[first], strlen(ix->files[first]));
	const struct tfs_link *link = node == UINT32_MAX ? NULL : rs->m->nodes[node].link;
	tfs_model_warn(rs->m, rs->index_node, code, "%zu of its %zu shards %s, the first is %s%s%s", n, ix->n_files, what,
		       ix->files[first], link ? ", a link to " : "", link ? link->target : "");
}

/* The first tensor of a finding, quoted, into @buf; NULL: none. */
static const char *found(const struct resolver *rs, enum odd odd, char *buf)
{
	const struct finding *f = &rs->odd[odd];

	return f->n ? tfs_quote(buf, TFS_QUOTE_SIZE, f->name, f->name_len) : NULL;
}

static void warn_index(struct resolver *rs)
{
	const struct finding *unfound = &rs->odd[UNFOUND], *outdated = &rs->odd[OUTDATED], *astray = &rs->odd[ASTRAY],
			     *unlisted = &rs->odd[UNLISTED], *overridden = &rs->odd[OVERRIDDEN];
	uint32_t node = rs->index_node;
	char buf[TFS_QUOTE_SIZE];
	const char *first;

	warn_files(rs, NOT_THERE, -ENOENT, "are missing");
	warn_files(rs, UNREADABLE, -EINVAL, "can't be read");
	if ((first = found(rs, UNFOUND, buf)))
		tfs_model_warn(rs->m, node, -ENOENT, "%zu of its %zu tensors are missing, the first is %s", unfound->n,
			       rs->index->n_entries, first);
	if ((first = found(rs, OUTDATED, buf)))
		tfs_model_warn(rs->m, node, -EINVAL,
			       "%zu of them are in another shard, so they are left out, as that may be an old copy: the first is "
			       "%s, in %s",
			       outdated->n, first, shard_name(rs, outdated->here));
	if ((first = found(rs, ASTRAY, buf)))
		tfs_model_warn(rs->m, node, -EINVAL, "%zu tensors are in another shard than the index says, the first is %s",
			       astray->n, first);
	if ((first = found(rs, UNLISTED, buf)))
		tfs_model_warn(rs->m, node, -EINVAL, "%zu tensors are in the shards and not in the index, the first is %s",
			       unlisted->n, first);
	if ((first = found(rs, OVERRIDDEN, buf)))
		tfs_model_warn(
			rs->m, node, -EINVAL,
			"%zu tensors are in several shards, of which the index names one, whose copy is used: the first is %s, "
			"from %s and not from %s",
			overridden->n, first, shard_name(rs, overridden->here), shard_name(rs, overridden->there));
}

static void warn_duplicates(struct resolver *rs)
{
	const struct finding *duplicate = &rs->odd[DUPLICATE], *undecided = &rs->odd[UNDECIDED];
	char buf[TFS_QUOTE_SIZE];
	const char *first;

	if ((first = found(rs, DUPLICATE, buf)))
		tfs_model_warn(rs->m, rs->index ? rs->index_node : rs->set->sources[duplicate->there], -EINVAL,
			       "%zu tensors are stored twice, with equal bytes: the first is %s, in %s and in %s", duplicate->n,
			       first, shard_name(rs, duplicate->here), shard_name(rs, duplicate->there));
	if ((first = found(rs, UNDECIDED, buf)))
		tfs_model_warn(
			rs->m, rs->index ? rs->index_node : rs->set->sources[undecided->there], -EINVAL,
			"%zu tensors are stored twice, and left out, as nothing says which copy to use: the first is %s, in %s "
			"and in %s, %s",
			undecided->n, first, shard_name(rs, undecided->here), shard_name(rs, undecided->there), undecided->why);
}

/* Often wrong in the wild: tied weights counted twice, elements instead of bytes. */
static void warn_size(struct resolver *rs)
{
	const struct tfs_index *ix = rs->index;

	if (ix && ix->has_total_size && !rs->set->n_missing && !rs->odd[UNLISTED].n && ix->total_size != rs->set->total_bytes)
		tfs_model_warn(rs->m, rs->index_node, -EINVAL, "total_size says %" PRIu64 " bytes, the tensors have %" PRIu64,
			       ix->total_size, rs->set->total_bytes);
}

/* --- The set ------------------------------------------------------------------------------------------------------ */

static int resolve(struct resolver *rs, const struct tfs_shard *shards, size_t n_shards, struct tfs_tensor *t, size_t n)
{
	int r = find_places(rs, shards, n_shards);

	if (!r)
		r = collect_left_out(rs, shards, n_shards);
	if (!r)
		r = walk(rs, t, n);
	if (!r)
		r = sum_bytes(rs);
	if (r)
		return r;
	if (rs->index)
		warn_index(rs);
	warn_duplicates(rs);
	r = list_missing(rs);
	if (!r)
		warn_size(rs);
	return r;
}

int tfs_resolve(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n_shards,
		struct tfs_tensor *t, size_t n, const struct tfs_index *index, uint32_t index_node, struct tfs_error *err)
{
	struct resolver rs = { .m = m,
			       .set = set,
			       .index = index,
			       .index_node = index_node,
			       .in = { TFS_INPUT_CLOSED, TFS_INPUT_CLOSED },
			       .err = err };
	int r = resolve(&rs, shards, n_shards, t, n);

	for (unsigned i = 0; i < 2; i++)
		tfs_input_close(&rs.in[i]);
	free(rs.buf);
	free(rs.place);
	free(rs.left_out);
	free(rs.missing);
	return r;
}
