/* SPDX-License-Identifier: MIT */
#include "model/index.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/search.h"
#include "base/sort.h"
#include "storage/storage.h"

/* The largest models have some hundred shards; and a new one costs moving up to this many entries. */
#define MAX_FILES 10000u

struct index {
	struct tfs_index pub;
	char *text; /* the JSON; all names point into it */
	struct tfs_index_entry *entries;
	size_t room_entries;
	const char **files;
	uint32_t *by_name; /* indices into files[], sorted by name */
	size_t room_files, room_by_name;
	uint32_t last; /* file of the last entry: usually that of the next, too */
	struct tfs_json json;
	struct tfs_error *err;
	struct tfs_share *share; /* while it is read */
};

/* --- Names of index files ---------------------------------------------------------------------------------------- */

/* Does [s, s + *len) end with @suffix? Then remove it. */
static bool strip(const char *s, size_t *len, const char *suffix)
{
	size_t n = strlen(suffix);

	if (*len < n || memcmp(s + *len - n, suffix, n))
		return false;
	*len -= n;
	return true;
}

bool tfs_index_claims(const char *file_name, const char *ext, char *ret_stem)
{
	size_t len = strlen(file_name), variant = 0, n;
	const char *dot;

	if (len > NAME_MAX || !strip(file_name, &len, ".json"))
		return false;
	n = len;
	if (!strip(file_name, &n, ".index")) {
		dot = memrchr(file_name, '.', len);
		if (!dot || dot + 1 == file_name + len)
			return false;
		n = dot - file_name;
		variant = len - n; /* with its dot */
		if (!strip(file_name, &n, ".index"))
			return false;
	}
	if (!strip(file_name, &n, ext) || !n)
		return false;
	if (ret_stem) {
		memcpy(ret_stem, file_name, n);
		memcpy(ret_stem + n, file_name + len - variant, variant);
		ret_stem[n + variant] = '\0';
	}
	return true;
}

/* --- The JSON ---------------------------------------------------------------------------------------------------- */

static int refuse(struct index *ix, const struct tfs_json_text *at, const char *what)
{
	char quoted[TFS_QUOTE_SIZE];

	return tfs_error_set(ix->err, -EINVAL, tfs_json_offset(&ix->json, at), "%s %s",
			     tfs_quote(quoted, sizeof quoted, at->s, at->len), what);
}

/* Something is wrong with a row; @at is the part of it to quote. */
static void note_bad(struct index *ix, const struct tfs_json_text *at, const char *what)
{
	char quoted[TFS_QUOTE_SIZE];

	if (!ix->pub.n_bad++)
		tfs_error_set(&ix->pub.bad, -EINVAL, tfs_json_offset(&ix->json, at), "%s %s",
			      tfs_quote(quoted, sizeof quoted, at->s, at->len), what);
}

/*
 * Why @name can't be a shard's, or NULL. No path in a file leaves its directory. A backslash is a separator on other systems, so no
 * legitimate name has one.
 */
static const char *wrong_file_name(const struct tfs_json_text *name)
{
	if (!name->len)
		return "isn't a shard's name: it is empty";
	if (memchr(name->s, '\0', name->len))
		return "isn't a shard's name: it contains a NUL";
	if (memchr(name->s, '/', name->len) || memchr(name->s, '\\', name->len))
		return "isn't a shard's name: it contains a path separator";
	if (tfs_json_is(name, ".") || tfs_json_is(name, ".."))
		return "isn't a shard's name";
	if (name->len > NAME_MAX)
		return "isn't a shard's name: it is longer than 255 bytes";
	return NULL;
}

/* Index of the file in files[], to which it is added if it is new. */
static int find_file(struct index *ix, const struct tfs_json_text *name, uint32_t *ret)
{
	size_t n = ix->pub.n_files, at;

	if (n && !strcmp(ix->files[ix->last], name->s)) {
		*ret = ix->last;
		return 0;
	}
	at = tfs_search(i, 0, n, strcmp(ix->files[ix->by_name[i]], name->s) < 0);
	if (at < n && !strcmp(ix->files[ix->by_name[at]], name->s)) {
		*ret = ix->last = ix->by_name[at];
		return 0;
	}
	if (n == MAX_FILES)
		return refuse(ix, name, "is one shard too many: the limit is 10000");
	if (tfs_array_room(ix->files, n, ix->room_files) || tfs_array_room(ix->by_name, n, ix->room_by_name))
		return -ENOMEM;
	memmove(ix->by_name + at + 1, ix->by_name + at, (n - at) * sizeof *ix->by_name);
	ix->by_name[at] = n;
	ix->files[n] = name->s;
	*ret = ix->last = n;
	ix->pub.n_files++;
	return 0;
}

static int add_entry(struct index *ix, const struct tfs_json_text *name, const struct tfs_json_text *file)
{
	size_t n = ix->pub.n_entries;
	uint32_t place = TFS_INDEX_NO_FILE;
	const char *wrong = wrong_file_name(file);
	int r = wrong ? 0 : find_file(ix, file, &place);

	if (r)
		return r;
	if (wrong)
		note_bad(ix, file, wrong);
	/* Twice, as they are sorted in another array, and two pointers for that. */
	if (tfs_share_keep(ix->share, 2 * sizeof *ix->entries + 2 * sizeof(void *)) ||
	    tfs_array_room(ix->entries, n, ix->room_entries))
		return -ENOMEM;
	/* Lengths fit, as the whole file is smaller than TFS_INDEX_MAX_SIZE. */
	ix->entries[n] = (struct tfs_index_entry){ .name = name->s, .name_len = name->len, .file = place };
	ix->pub.n_entries++;
	return 0;
}

static int read_row(struct index *ix, const struct tfs_json_text *name)
{
	struct tfs_json_text file;
	int r = tfs_json_peek(&ix->json);

	if (r < 0)
		return r;
	if (r != TFS_JSON_STRING) {
		note_bad(ix, name, "isn't mapped to a file name");
		return tfs_json_skip(&ix->json);
	}
	r = tfs_json_string(&ix->json, &file);
	return r ? r : add_entry(ix, name, &file);
}

static int read_weight_map(struct index *ix)
{
	struct tfs_json_text name;
	int r = tfs_json_object_begin(&ix->json);

	while (!r && (r = tfs_json_object_next(&ix->json, &name)) > 0)
		r = read_row(ix, &name);
	return r;
}

/* Only digits; indexes in the wild also have a float or a string there, which we ignore. */
static bool parse_u64(const struct tfs_json_text *text, uint64_t *ret)
{
	struct tfs_json r;

	/* A copy of the reader's position in the text, not of the text: reading a number doesn't modify that. */
	tfs_json_init(&r, (char *)text->s, text->len, 0, NULL);
	return !tfs_json_u64(&r, ret) && !tfs_json_end(&r);
}

static int read_metadata(struct index *ix)
{
	struct tfs_json_text key, number;
	int r = tfs_json_peek(&ix->json);

	if (r < 0)
		return r;
	if (r != TFS_JSON_OBJECT)
		return tfs_json_skip(&ix->json);
	r = tfs_json_object_begin(&ix->json);
	while (!r && (r = tfs_json_object_next(&ix->json, &key)) > 0) {
		r = tfs_json_peek(&ix->json);
		if (r < 0)
			return r;
		if (r != TFS_JSON_NUMBER || !tfs_json_is(&key, "total_size")) {
			r = tfs_json_skip(&ix->json);
			continue;
		}
		r = tfs_json_number(&ix->json, &number);
		if (!r)
			ix->pub.has_total_size = parse_u64(&number, &ix->pub.total_size);
	}
	return r;
}

static int read_json(struct index *ix)
{
	struct tfs_json_text key;
	bool seen = false;
	int r = tfs_json_object_begin(&ix->json);

	while (!r && (r = tfs_json_object_next(&ix->json, &key)) > 0) {
		if (tfs_json_is(&key, "metadata")) {
			r = read_metadata(ix);
		} else if (!tfs_json_is(&key, "weight_map")) {
			r = tfs_json_skip(&ix->json);
		} else if (seen) {
			return refuse(ix, &key, "is a duplicate key");
		} else {
			seen = true;
			r = read_weight_map(ix);
		}
	}
	if (!r)
		r = tfs_json_end(&ix->json);
	if (r)
		return r;
	if (!seen)
		return tfs_error_set(ix->err, -EINVAL, 0, "isn't an index of shards: it has no weight_map");
	if (ix->pub.n_files)
		return 0;
	if (ix->pub.n_bad)
		return tfs_error_set(ix->err, -EINVAL, ix->pub.bad.offset, "%s", ix->pub.bad.what);
	return tfs_error_set(ix->err, -EINVAL, 0, "the weight_map lists no tensor");
}

/* --- The index --------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct tfs_index_entry *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

static int sort_entries(struct index *ix)
{
	cleanup_free const void **order = NULL;
	size_t n = ix->pub.n_entries;
	struct tfs_index_entry *sorted;

	order = reallocarray(NULL, n, 2 * sizeof *order);
	sorted = reallocarray(NULL, n, sizeof *sorted);
	if (!order || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		order[i] = &ix->entries[i];
	tfs_sort(order, n, order + n, by_name);
	ix->pub.n_entries = 0;
	for (size_t i = 0; i < n; i++) {
		const struct tfs_index_entry *e = order[i];
		bool again = i && !by_name(order[i - 1], e);

		if (again)
			note_bad(ix, &(struct tfs_json_text){ e->name, e->name_len }, "is listed twice: the last row is used");
		sorted[ix->pub.n_entries - again] = *e;
		ix->pub.n_entries += !again;
	}
	free(ix->entries);
	ix->entries = sorted;
	return 0;
}

int tfs_index_read(const struct tfs_input *in, struct tfs_index **ret_index, struct tfs_error *err)
{
	struct index *ix;
	int r;

	if (in->size > TFS_INDEX_MAX_SIZE)
		return tfs_error_set(err, -EFBIG, TFS_NO_OFFSET, "an index of %llu bytes is above the limit of %u",
				     (unsigned long long)in->size, TFS_INDEX_MAX_SIZE);
	ix = calloc(1, sizeof *ix);
	if (!ix)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for an index");
	ix->err = err;
	ix->share = in->share;
	ix->text = tfs_share_keep(ix->share, in->size) ? NULL : malloc(in->size + 1); /* size may be 0 */
	r = ix->text ? tfs_input_read(in, ix->text, in->size, 0, err) : -ENOMEM;
	if (!r) {
		tfs_json_init(&ix->json, ix->text, in->size, 0, err);
		r = read_json(ix);
	}
	if (!r)
		r = sort_entries(ix);
	if (r) {
		if (r == -ENOMEM)
			tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for an index of %llu bytes", (unsigned long long)in->size);
		tfs_index_destroy(&ix->pub);
		return r;
	}
	ix->pub.entries = ix->entries;
	ix->pub.files = ix->files;
	ix->err = ix->json.err = NULL; /* no longer ours */
	ix->share = NULL;
	*ret_index = &ix->pub;
	return 0;
}

int tfs_index_rename(struct tfs_index *index, char *(*name_of)(char *name, size_t *len))
{
	struct index *ix = (struct index *)index; /* its first member */
	int r;

	for (size_t i = 0; i < ix->pub.n_entries; i++) {
		struct tfs_index_entry *e = &ix->entries[i];
		size_t len = e->name_len;

		e->name = name_of(ix->text + (e->name - ix->text), &len);
		e->name_len = len;
	}
	r = sort_entries(ix);
	ix->pub.entries = ix->entries;
	return r;
}

void tfs_index_destroy(struct tfs_index *index)
{
	struct index *ix = (struct index *)index; /* its first member */

	if (!ix)
		return;
	free(ix->text);
	free(ix->entries);
	free(ix->files);
	free(ix->by_name);
	free(ix);
}
