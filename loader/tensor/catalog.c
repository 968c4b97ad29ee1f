/* SPDX-License-Identifier: MIT */
#include "tensor/catalog.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/scan.h"
#include "base/search.h"
#include "base/sort.h"

/* What a note says of tensors that were left out for one reason. */
struct reason {
	const char *first, *why; /* NULL: a note of another kind */
	size_t n;
	char *text; /* the note's, once there are several, with room for any number */
};

struct tfs_catalog {
	struct tfs_share *share; /* of the parser that fills it, or NULL */
	struct tfs_tensor *tensors;
	size_t count, room;
	const char **locations;
	size_t n_locations, room_locations;
	struct tfs_run *runs; /* a handful */
	size_t n_runs, room_runs;
	void *dtypes; /* defined by the file, a tree of tsearch(3): there may be one per tensor */
	struct tfs_note notes[TFS_MAX_NOTES];
	size_t n_notes;		/* added; perhaps more than TFS_MAX_NOTES */
	struct reason *reasons; /* of each note; NULL: nothing was left out */
	const char **left_out;
	size_t n_left_out, room_left_out;
	struct tfs_metadata *metadata;
	size_t n_metadata, room_metadata;
	struct tfs_recipe *recipes;
	size_t n_recipes, room_recipes;
	bool companion;
	struct tfs_split split;
	struct tfs_catalog *adopted; /* what owns the names and shapes of tensors of files in this one; */
	struct tfs_catalog *next;    /* the next of those */
	/* Separate, as shapes are aligned and names aren't: together each name would cost padding. */
	struct tfs_arena names, shapes;
};

struct tfs_catalog *tfs_catalog_create(void)
{
	return calloc(1, sizeof(struct tfs_catalog));
}

void tfs_catalog_limit(struct tfs_catalog *c, struct tfs_share *share)
{
	c->share = share;
}

uint32_t tfs_catalog_npy_header(const struct tfs_catalog *c)
{
	return c->share && c->share->scan ? c->share->scan->limits.npy_header : TFS_NPY_HEADER_MAX;
}

/* For tdestroy(): dtypes are in an arena. */
static void keep(void *dtype)
{
	(void)dtype;
}

void tfs_catalog_destroy(struct tfs_catalog *c)
{
	if (!c)
		return;
	for (struct tfs_catalog *inner = c->adopted, *next; inner; inner = next) {
		next = inner->next;
		tfs_catalog_destroy(inner);
	}
	free(c->tensors);
	free(c->locations);
	free(c->runs);
	free(c->left_out);
	free(c->metadata);
	free(c->recipes);
	tdestroy(c->dtypes, keep);
	tfs_arena_fini(&c->names);
	tfs_arena_fini(&c->shapes);
	free(c);
}

int tfs_catalog_reserve(struct tfs_catalog *c, size_t tensors, size_t name_bytes, size_t dims)
{
	struct tfs_tensor *t;
	size_t room;

	/* Each name is followed by a NUL. */
	if (ckd_add(&room, c->count, tensors) || ckd_add(&name_bytes, name_bytes, tensors) ||
	    ckd_mul(&dims, dims, sizeof(uint64_t)))
		return -ENOMEM;
	/* Charged again as they are added, as there may be fewer; now only to see that there is room. */
	if (tfs_share_scratch(c->share, tensors * sizeof *t))
		return -ENOMEM;
	tfs_share_give(c->share, tensors * sizeof *t);
	if (room > c->room) {
		t = reallocarray(c->tensors, room, sizeof *t);
		if (!t)
			return -ENOMEM;
		c->tensors = t;
		c->room = room;
	}
	if (tfs_arena_reserve(&c->names, name_bytes))
		return -ENOMEM;
	return tfs_arena_reserve(&c->shapes, dims);
}

int tfs_catalog_add(struct tfs_catalog *c, const char *name, size_t name_len, const struct tfs_dtype *dtype, const uint64_t *shape,
		    unsigned ndim, uint64_t offset, uint64_t nbytes)
{
	struct tfs_tensor t = {
		.dtype = dtype,
		.offset = offset,
		.nbytes = nbytes,
		.name_len = name_len,
		.ndim = ndim,
	};
	uint64_t *dims;

	if (c->count == UINT32_MAX || name_len > UINT32_MAX || ndim > TFS_MAX_DIMS)
		return -E2BIG;
	if (tfs_share_keep(c->share, sizeof t + name_len + 1 + ndim * sizeof *dims) ||
	    tfs_array_room(c->tensors, c->count, c->room))
		return -ENOMEM;
	dims = tfs_arena_array(&c->shapes, ndim, sizeof *dims, alignof(uint64_t));
	t.name = tfs_arena_copy(&c->names, name, name_len);
	if (!dims || !t.name)
		return -ENOMEM;
	if (ndim)
		memcpy(dims, shape, ndim * sizeof *dims);
	t.shape = dims;
	c->tensors[c->count++] = t;
	return 0;
}

int tfs_catalog_encode(struct tfs_catalog *c, struct tfs_tensor *t, const struct tfs_encoding *encoding)
{
	struct tfs_encoding *p = tfs_arena_alloc(&c->shapes, sizeof *p, alignof(struct tfs_encoding));
	uint64_t *strides = NULL;
	struct tfs_segment *segments = NULL;
	uint32_t *files = NULL, *file_of = NULL;

	if (tfs_share_keep(c->share, sizeof *p +
					     encoding->n_segments * (sizeof *segments + (encoding->files ? sizeof *file_of : 0)) +
					     encoding->n_files * sizeof *files))
		return -ENOMEM;
	if (!t)
		t = &c->tensors[c->count - 1];
	assert(!encoding->strides || (t->dtype->block_elems == 1 && (!encoding->n_segments || encoding->coding == TFS_LATIN1)));
	if (!p)
		return -ENOMEM;
	*p = *encoding;
	if (encoding->strides) {
		strides = tfs_arena_array(&c->shapes, t->ndim, sizeof *strides, alignof(uint64_t));
		if (!strides)
			return -ENOMEM;
		memcpy(strides, encoding->strides, t->ndim * sizeof *strides);
	}
	if (encoding->n_segments) {
		segments = tfs_arena_array(&c->shapes, encoding->n_segments, sizeof *segments, alignof(struct tfs_segment));
		if (!segments)
			return -ENOMEM;
		memcpy(segments, encoding->segments, encoding->n_segments * sizeof *segments);
	}
	if (encoding->files) {
		files = tfs_arena_array(&c->shapes, encoding->n_files, sizeof *files, alignof(uint32_t));
		file_of = tfs_arena_array(&c->shapes, encoding->n_segments, sizeof *file_of, alignof(uint32_t));
		if (!files || !file_of)
			return -ENOMEM;
		memcpy(files, encoding->files, encoding->n_files * sizeof *files);
		memcpy(file_of, encoding->file_of, encoding->n_segments * sizeof *file_of);
	}
	p->strides = strides;
	p->segments = segments;
	p->files = files;
	p->file_of = file_of;
	t->encoding = p;
	return 0;
}

static int add_location(struct tfs_catalog *c, const char *location, size_t len)
{
	if (tfs_share_keep(c->share, sizeof *c->locations + len + 1) ||
	    tfs_array_room(c->locations, c->n_locations, c->room_locations))
		return -ENOMEM;
	c->locations[c->n_locations] = tfs_arena_copy(&c->names, location, len);
	if (!c->locations[c->n_locations])
		return -ENOMEM;
	c->n_locations++;
	return 0;
}

int tfs_catalog_external(struct tfs_catalog *c, const char *location, size_t len)
{
	return tfs_catalog_location(c, location, len, &c->tensors[c->count - 1].source);
}

int tfs_catalog_location(struct tfs_catalog *c, const char *location, size_t len, uint32_t *ret)
{
	const char *last = c->n_locations ? c->locations[c->n_locations - 1] : NULL;

	/* Tensors of the same file are usually adjacent. */
	if ((!last || strlen(last) != len || memcmp(last, location, len)) && add_location(c, location, len))
		return -ENOMEM;
	*ret = c->n_locations;
	return 0;
}

int tfs_catalog_joined(struct tfs_catalog *c, const struct tfs_run *run, const char *const *locations)
{
	struct tfs_tensor *t = &c->tensors[c->count - 1];
	size_t i = c->n_runs;

	assert(run->n);
	while (i && c->runs[i - 1].number != run->number) /* usually the last one */
		i--;
	if (!i) {
		if (tfs_share_keep(c->share, sizeof *c->runs) || tfs_array_room(c->runs, c->n_runs, c->room_runs))
			return -ENOMEM;
		c->runs[c->n_runs] = *run;
		c->runs[c->n_runs].first = c->n_locations;
		for (size_t k = 0; k < run->n; k++)
			if (add_location(c, locations[k], strlen(locations[k])))
				return -ENOMEM;
		i = ++c->n_runs;
	}
	t->source = c->runs[i - 1].first + 1;
	return 0;
}

const struct tfs_run *tfs_catalog_run(const struct tfs_catalog *c, size_t first)
{
	size_t at = tfs_search(i, 0, c->n_runs, c->runs[i].first < first);

	return at < c->n_runs && c->runs[at].first == first ? &c->runs[at] : NULL;
}

int tfs_catalog_rename(struct tfs_catalog *c, struct tfs_tensor *t, const char *name, size_t len)
{
	const char *copy = tfs_share_keep(c->share, len + 1) ? NULL : tfs_arena_copy(&c->names, name, len);

	if (!copy)
		return -ENOMEM;
	t->name = copy;
	t->name_len = len;
	return 0;
}

const char *const *tfs_catalog_locations(const struct tfs_catalog *c, size_t *ret_count)
{
	*ret_count = c->n_locations;
	return c->locations;
}

/* NULL before any string. */
static int text_cmp(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int dtype_cmp(const void *a, const void *b)
{
	const struct tfs_dtype *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	if (!c)
		c = text_cmp(x->npy, y->npy);
	if (!c)
		c = (x->block_elems > y->block_elems) - (x->block_elems < y->block_elems);
	return c ? c : (x->block_bytes > y->block_bytes) - (x->block_bytes < y->block_bytes);
}

const struct tfs_dtype *tfs_catalog_dtype(struct tfs_catalog *c, const char *name, const char *npy, uint32_t block_elems,
					  uint32_t block_bytes)
{
	struct tfs_dtype key = { .name = name, .npy = npy, .block_elems = block_elems, .block_bytes = block_bytes };
	struct tfs_dtype **found = tfind(&key, &c->dtypes, dtype_cmp), *d;

	if (found)
		return *found;
	if (tfs_share_keep(c->share, sizeof *d + strlen(name) + (npy ? strlen(npy) : 0)))
		return NULL;
	d = tfs_arena_alloc(&c->shapes, sizeof *d, alignof(struct tfs_dtype));
	if (!d)
		return NULL;
	*d = key;
	d->name = tfs_arena_copy(&c->names, name, strlen(name));
	d->npy = npy ? tfs_arena_copy(&c->names, npy, strlen(npy)) : NULL;
	if (!d->name || (npy && !d->npy))
		return NULL;
	return tsearch(d, &c->dtypes, dtype_cmp) ? d : NULL;
}

int tfs_catalog_note(struct tfs_catalog *c, uint64_t offset, const char *fmt, ...)
{
	char line[sizeof((struct tfs_error *)0)->what];
	const char *text;
	va_list ap;

	if (c->n_notes >= TFS_MAX_NOTES) {
		c->n_notes++;
		return 0;
	}
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	text = tfs_arena_copy(&c->names, line, strlen(line));
	if (!text)
		return -ENOMEM;
	c->notes[c->n_notes++] = (struct tfs_note){ offset, text };
	return 0;
}

const struct tfs_note *tfs_catalog_notes(const struct tfs_catalog *c, size_t *ret_count, size_t *ret_more)
{
	*ret_count = c->n_notes < TFS_MAX_NOTES ? c->n_notes : TFS_MAX_NOTES;
	*ret_more = c->n_notes - *ret_count;
	return c->notes;
}

/* The note that says of others that they were left out for the same reason, or NULL. */
static struct reason *same_reason(const struct tfs_catalog *c, uint64_t offset, const char *why)
{
	for (size_t i = 0; c->reasons && i < c->n_notes && i < TFS_MAX_NOTES; i++)
		if (c->reasons[i].why && c->notes[i].offset == offset && !strcmp(c->reasons[i].why, why))
			return &c->reasons[i];
	return NULL;
}

/* Another one was left out for the reason @r. */
static int count_again(struct tfs_catalog *c, struct reason *r)
{
	static const char fmt[] = "%zu tensors left out, the first is %s: %s";
	const size_t room = sizeof fmt + 20 + strlen(r->first) + strlen(r->why);

	if (!r->text) {
		r->text = tfs_arena_alloc(&c->names, room, 1);
		if (!r->text)
			return -ENOMEM;
		c->notes[r - c->reasons].text = r->text;
	}
	snprintf(r->text, room, fmt, ++r->n, r->first, r->why);
	return 0;
}

/* A note that names the tensor @quoted, and may have to count others. */
static int note_reason(struct tfs_catalog *c, uint64_t offset, const char *quoted, const char *why)
{
	struct reason *r;
	int err = tfs_catalog_note(c, offset, "tensor %s left out: %s", quoted, why);

	if (err || c->n_notes > TFS_MAX_NOTES)
		return err;
	if (!c->reasons) {
		c->reasons = tfs_arena_array(&c->shapes, TFS_MAX_NOTES, sizeof *r, alignof(struct reason));
		if (!c->reasons)
			return -ENOMEM;
		memset(c->reasons, 0, TFS_MAX_NOTES * sizeof *r);
	}
	r = &c->reasons[c->n_notes - 1];
	*r = (struct reason){
		.first = tfs_arena_copy(&c->names, quoted, strlen(quoted)),
		.why = tfs_arena_copy(&c->names, why, strlen(why)),
		.n = 1,
	};
	return r->first && r->why ? 0 : -ENOMEM;
}

int tfs_catalog_leave_out(struct tfs_catalog *c, const char *name, size_t name_len, uint64_t offset, const char *fmt, ...)
{
	char why[sizeof((struct tfs_error *)0)->what], quoted[TFS_QUOTE_SIZE];
	struct reason *same;
	const char *copy;
	va_list ap;

	if (tfs_share_keep(c->share, sizeof *c->left_out + name_len + 1) ||
	    tfs_array_room(c->left_out, c->n_left_out, c->room_left_out))
		return -ENOMEM;
	copy = tfs_arena_copy(&c->names, name, name_len);
	if (!copy)
		return -ENOMEM;
	c->left_out[c->n_left_out++] = copy;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	same = same_reason(c, offset, why);
	if (same)
		return count_again(c, same);
	return note_reason(c, offset, tfs_quote(quoted, sizeof quoted, name, name_len), why);
}

void tfs_catalog_prune(struct tfs_catalog *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++)
		if (c->tensors[i].dtype)
			c->tensors[kept++] = c->tensors[i];
	c->count = kept;
}

const char *const *tfs_catalog_left_out(const struct tfs_catalog *c, size_t *ret_count)
{
	*ret_count = c->n_left_out;
	return c->left_out;
}

int tfs_catalog_add_metadata(struct tfs_catalog *c, const char *key, size_t key_len, const char *value, size_t value_len)
{
	struct tfs_metadata m = { .key_len = key_len, .value_len = value_len };

	if (key_len > UINT32_MAX || value_len > UINT32_MAX || tfs_share_keep(c->share, sizeof m + key_len + value_len + 2) ||
	    tfs_array_room(c->metadata, c->n_metadata, c->room_metadata))
		return -ENOMEM;
	m.key = tfs_arena_copy(&c->names, key, key_len);
	m.value = tfs_arena_copy(&c->names, value, value_len);
	if (!m.key || !m.value)
		return -ENOMEM;
	c->metadata[c->n_metadata++] = m;
	return 0;
}

void tfs_catalog_drop_metadata(struct tfs_catalog *c, const struct tfs_metadata *const *pairs, size_t n)
{
	struct tfs_metadata *out = c->metadata;

	for (size_t i = 0; i < n; i++)
		c->metadata[pairs[i] - c->metadata].key = NULL;
	for (size_t i = 0; i < c->n_metadata; i++)
		if (c->metadata[i].key)
			*out++ = c->metadata[i];
	c->n_metadata = (size_t)(out - c->metadata);
}

const struct tfs_metadata *tfs_catalog_metadata(const struct tfs_catalog *c, size_t *ret_count)
{
	*ret_count = c->n_metadata;
	return c->metadata;
}

/* A copy of the @n numbers at *@numbers, if there are any, in its place. -ENOMEM. */
static int keep_numbers(struct tfs_catalog *c, const float **numbers, size_t n)
{
	float *copy;

	if (!*numbers)
		return 0;
	if (tfs_share_keep(c->share, n * sizeof *copy) || !(copy = tfs_arena_array(&c->shapes, n, sizeof *copy, alignof(float))))
		return -ENOMEM;
	memcpy(copy, *numbers, n * sizeof *copy);
	*numbers = copy;
	return 0;
}

int tfs_catalog_add_recipe(struct tfs_catalog *c, const struct tfs_recipe *recipe)
{
	struct tfs_recipe r = *recipe;

	if (tfs_share_keep(c->share, sizeof r) || tfs_array_room(c->recipes, c->n_recipes, c->room_recipes) ||
	    keep_numbers(c, &r.numbers.scales, r.numbers.n) || keep_numbers(c, &r.numbers.zeros, r.numbers.n))
		return -ENOMEM;
	c->recipes[c->n_recipes++] = r;
	return 0;
}

const struct tfs_recipe *tfs_catalog_recipes(const struct tfs_catalog *c, size_t *ret_count)
{
	*ret_count = c->n_recipes;
	return c->recipes;
}

void tfs_catalog_set_companion(struct tfs_catalog *c)
{
	c->companion = true;
}

bool tfs_catalog_is_companion(const struct tfs_catalog *c)
{
	return c->companion;
}

void tfs_catalog_set_split(struct tfs_catalog *c, const struct tfs_split *split)
{
	c->split = *split;
}

const struct tfs_split *tfs_catalog_split(const struct tfs_catalog *c)
{
	return &c->split;
}

/* --- Files in files ------------------------------------------------------------------------------------------------ */

/* The @len bytes at @prefix and the @name_len at @name; NULL: out of memory. */
static char *prefixed(struct tfs_catalog *c, const char *prefix, size_t len, const char *name, size_t name_len)
{
	char *joined = tfs_share_keep(c->share, len + name_len + 1) ? NULL : tfs_arena_alloc(&c->names, len + name_len + 1, 1);

	if (!joined)
		return NULL;
	memcpy(joined, prefix, len);
	memcpy(joined + len, name, name_len);
	joined[len + name_len] = '\0';
	return joined;
}

/* From offsets in the inner file to those in the outer one. The encoding is this tensor's own. */
static void rebase(struct tfs_tensor *t, uint64_t base)
{
	struct tfs_segment *segments = t->encoding ? (struct tfs_segment *)t->encoding->segments : NULL;

	assert(!t->source && (!t->encoding || t->encoding->coding != TFS_SCALED));
	t->offset += base;
	for (size_t i = 0; segments && i < t->encoding->n_segments; i++)
		segments[i].offset += base;
}

static int adopt_tensor(struct tfs_catalog *c, const struct tfs_tensor *inner, uint64_t base, const char *prefix, size_t len)
{
	struct tfs_tensor t = *inner;

	if (c->count == UINT32_MAX || len > UINT32_MAX - t.name_len)
		return -E2BIG;
	if (tfs_share_keep(c->share, sizeof t) || tfs_array_room(c->tensors, c->count, c->room))
		return -ENOMEM;
	rebase(&t, base);
	if (len) {
		len -= !t.name_len && prefix[len - 1] == '.';
		t.name = prefixed(c, prefix, len, t.name, t.name_len);
		if (!t.name)
			return -ENOMEM;
		t.name_len += len;
	}
	c->tensors[c->count++] = t;
	return 0;
}

/* The names of tensors that were left out, and the notes, which have some in them. */
static int adopt_notes(struct tfs_catalog *c, const struct tfs_catalog *inner, uint64_t base, const char *prefix, size_t len)
{
	size_t n = inner->n_notes < TFS_MAX_NOTES ? inner->n_notes : TFS_MAX_NOTES;
	int r = 0;

	for (size_t i = 0; i < inner->n_left_out; i++) {
		if (tfs_array_room(c->left_out, c->n_left_out, c->room_left_out))
			return -ENOMEM;
		c->left_out[c->n_left_out] = prefixed(c, prefix, len, inner->left_out[i], strlen(inner->left_out[i]));
		if (!c->left_out[c->n_left_out])
			return -ENOMEM;
		c->n_left_out++;
	}
	for (size_t i = 0; i < n && !r; i++) {
		const struct tfs_note *note = &inner->notes[i];

		r = tfs_catalog_note(c, note->offset == TFS_NO_OFFSET ? note->offset : note->offset + base, "%.*s%s%s", (int)len,
				     prefix, len ? " " : "", note->text);
	}
	/* The rest was only counted. */
	c->n_notes += inner->n_notes - n;
	return r;
}

int tfs_catalog_adopt(struct tfs_catalog *c, struct tfs_catalog *inner, uint64_t base, const char *prefix, size_t len)
{
	int r = 0;

	inner->next = c->adopted;
	c->adopted = inner;
	inner->share = NULL;
	c->companion |= inner->companion;
	for (size_t i = 0; i < inner->count && !r; i++)
		r = adopt_tensor(c, &inner->tensors[i], base, prefix, len);
	tfs_catalog_drop_table(inner);
	return r ? r : adopt_notes(c, inner, base, prefix, len);
}

/* --- The table ----------------------------------------------------------------------------------------------------- */

struct tfs_tensor *tfs_catalog_tensors(struct tfs_catalog *c, size_t *ret_count)
{
	*ret_count = c->count;
	return c->tensors;
}

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

int tfs_catalog_sort(struct tfs_catalog *c)
{
	cleanup_free const void **order = NULL;
	cleanup_free struct tfs_tensor *sorted = NULL;
	size_t n = c->count, i = 1;

	while (i < n && by_name(&c->tensors[i - 1], &c->tensors[i]) <= 0)
		i++;
	if (i >= n)
		return 0;

	if (tfs_share_scratch(c->share, n * (2 * sizeof *order + sizeof *sorted)))
		return -ENOMEM;
	order = reallocarray(NULL, n, 2 * sizeof *order);
	sorted = reallocarray(NULL, n, sizeof *sorted);
	if (!order || !sorted)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		order[i] = &c->tensors[i];
	tfs_sort(order, n, order + n, by_name);
	for (i = 0; i < n; i++)
		sorted[i] = *(const struct tfs_tensor *)order[i];
	free(c->tensors);
	c->tensors = tfs_steal(sorted);
	c->room = n;
	return 0;
}

static bool has_name(const struct tfs_catalog *c, const char *name, size_t len)
{
	const struct tfs_tensor *t = c->tensors;
	size_t at = tfs_search(i, 0, c->count, tfs_name_cmp(t[i].name, t[i].name_len, name, len) < 0);

	return at < c->count && !tfs_name_cmp(t[at].name, t[at].name_len, name, len);
}

/* A name for the tensor @t that no other has: its own, "~" and a number from *@n on. */
static int find_name(struct tfs_catalog *c, const struct tfs_tensor *t, unsigned long *n, struct tfs_tensor *ret)
{
	enum { MORE = 24 }; /* "~", up to 20 digits */
	char *name;

	if (t->name_len > UINT32_MAX - MORE)
		return -E2BIG;
	if (tfs_share_keep(c->share, t->name_len + MORE))
		return -ENOMEM;
	name = tfs_arena_alloc(&c->names, t->name_len + MORE, 1);
	if (!name)
		return -ENOMEM;
	memcpy(name, t->name, t->name_len);
	*ret = *t;
	ret->name = name;
	do
		ret->name_len = t->name_len + snprintf(name + t->name_len, MORE, "~%lu", ++*n);
	while (has_name(c, ret->name, ret->name_len));
	return 0;
}

int tfs_catalog_make_unique(struct tfs_catalog *c)
{
	cleanup_free struct tfs_tensor *renamed = NULL; /* only afterwards, as the table is searched */
	cleanup_free size_t *places = NULL;
	size_t n = 0, room = 0, places_room = 0;
	unsigned long number = 1;
	int r = tfs_catalog_sort(c);

	for (size_t i = 1; i < c->count && !r; i++) {
		if (by_name(&c->tensors[i - 1], &c->tensors[i])) {
			number = 1;
			continue;
		}
		if (tfs_array_room(renamed, n, room) || tfs_array_room(places, n, places_room))
			return -ENOMEM;
		places[n] = i;
		r = find_name(c, &c->tensors[i], &number, &renamed[n++]);
	}
	for (size_t i = 0; i < n && !r; i++)
		c->tensors[places[i]] = renamed[i];
	return r || !n ? r : tfs_catalog_sort(c);
}

void tfs_catalog_drop_table(struct tfs_catalog *c)
{
	free(c->tensors);
	c->tensors = NULL;
	c->count = c->room = 0;
}
