/* SPDX-License-Identifier: MIT */
/* Tensors whose bytes are in another file than the one that lists them: does it exist, and does it have all of them? */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/format.h"
#include "model/impl.h"
#include "storage/storage.h"

/* The node of a location, or one of these, which aren't nodes. */
#define MISSING UINT32_MAX
#define UNSEEN	(UINT32_MAX - 1)

/* Does the file @node still have to be downloaded? If it can't be opened, reading a tensor fails later. */
static int check_pointer(const struct tfs_model *m, uint32_t node, struct tfs_error *err)
{
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	struct tfs_error why = { .offset = TFS_NO_OFFSET };

	if (m->nodes[node].id.size >= TFS_LFS_POINTER_MAX || tfs_model_open_input(m, node, &in))
		return 0;
	return tfs_sniff_pointer(&in, &why) ?
		       tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "its external data %s %s", m->nodes[node].name, why.what) :
		       0;
}

static uint32_t find(const struct tfs_model *m, uint32_t dir, const char *location, struct tfs_error *err)
{
	uint32_t node = tfs_merge_location(m, dir, location, err);

	return node == MISSING || check_pointer(m, node, err) ? MISSING : node;
}

static int check_size(const struct tfs_model *m, uint32_t node, const struct tfs_tensor *t, struct tfs_error *err)
{
	uint64_t length = t->encoding ? t->encoding->length : t->nbytes, end;

	if (!ckd_add(&end, t->offset, length) && end <= m->nodes[node].id.size)
		return 0;
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
			     "%" PRIu64 " bytes at %" PRIu64 " of its external data %s, which has %" PRIu64, length, t->offset,
			     m->nodes[node].name, m->nodes[node].id.size);
}

/* A file that is open for records of where bytes are. */
struct located {
	const struct tfs_model *m;
	uint32_t node;
	struct tfs_input in;
};

static void close_located(struct located *l)
{
	tfs_input_close(&l->in);
}

/* If the format has such records, where @t is, which is in @node. */
static int locate(struct located *l, const struct tfs_format *format, uint32_t node, struct tfs_tensor *t, struct tfs_error *err)
{
	int r = 0;

	if (!format->locate)
		return 0;
	if (l->node != node) {
		tfs_input_close(&l->in);
		l->node = MISSING;
		r = tfs_model_open_input(l->m, node, &l->in);
		if (r)
			return tfs_error_set(err, r, TFS_NO_OFFSET, "opening its weight file: %s", tfs_model_why(l->m, node, r));
		l->node = node;
	}
	return format->locate(&l->in, t, err);
}

/* --- Several files that follow each other ----------------------------------------------------------------------------- */

/* What is known of the files of a catalog. */
struct files {
	const struct tfs_model *m;
	uint32_t dir;
	const char *const *locations;
	uint32_t *nodes; /* by location */
};

/* The bytes of the file at location @i into *@ret. False, @err filled: there is no such file. */
static bool size_of(struct files *f, size_t i, uint64_t *ret, struct tfs_error *err)
{
	if (f->nodes[i] == UNSEEN || f->nodes[i] == MISSING)
		f->nodes[i] = find(f->m, f->dir, f->locations[i], err);
	if (f->nodes[i] == MISSING)
		return false;
	*ret = f->m->nodes[f->nodes[i]].id.size;
	return true;
}

/*
 * Have the files of @run the bytes that they must have together? If one is truncated, or empty, those after it aren't where the table says,
 * and which one it is can't be told.
 */
static bool is_complete(struct files *f, const struct tfs_run *run, struct tfs_error *err)
{
	uint64_t total = 0, size;

	for (size_t i = run->first; i < run->first + run->n; i++) {
		if (!size_of(f, i, &size, err))
			return false;
		if (ckd_add(&total, total, size))
			total = UINT64_MAX;
	}
	if (total == run->total || run->total == UINT64_MAX)
		return true;
	tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
		      "its %zu files have %" PRIu64 " bytes together, not %" PRIu64 ": is one incomplete?", run->n, total,
		      run->total);
	return false;
}

/*
 * Add the segments of @t, which is in some of the files of @run, to @segments and @files, each with room for all. The number of segments;
 * 0, @err filled: there aren't all of its bytes.
 */
static size_t split(struct files *f, const struct tfs_tensor *t, const struct tfs_run *run, struct tfs_segment *segments,
		    uint32_t *files, struct tfs_error *err)
{
	uint64_t at = t->offset, end, begin = 0, size, file_end;
	size_t found = 0;

	if (ckd_add(&end, t->offset, t->nbytes)) {
		tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "%" PRIu64 " bytes at %" PRIu64, t->nbytes, t->offset);
		return 0;
	}
	for (size_t i = run->first; i < run->first + run->n && (at < end || !found); i++) {
		/* What is all in the first file is there whatever the others are. */
		if ((i == run->first + 1 && !is_complete(f, run, err)) || !size_of(f, i, &size, err))
			return 0;
		if (ckd_add(&file_end, begin, size))
			break;
		if (at < file_end || (at == end && at == file_end)) {
			segments[found] = (struct tfs_segment){ at - begin, at - t->offset };
			files[found++] = i + 1;
			at = end < file_end ? end : file_end;
		}
		begin = file_end;
	}
	if (at < end || !found) {
		tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
			      "%" PRIu64 " bytes at %" PRIu64 " of its external data, which are %" PRIu64 " in %zu file%s",
			      t->nbytes, t->offset, begin, run->n, run->n == 1 ? "" : "s");
		return 0;
	}
	return found;
}

/* Where @t is, of the files of @run. 1; 0, @err filled: it isn't there; -ENOMEM. */
static int place_joined(struct files *f, struct tfs_catalog *catalog, struct tfs_tensor *t, const struct tfs_run *run,
			struct tfs_error *err)
{
	cleanup_free struct tfs_segment *segments = reallocarray(NULL, run->n, sizeof *segments);
	cleanup_free uint32_t *files = reallocarray(NULL, run->n, sizeof *files);
	cleanup_free uint32_t *file_of = reallocarray(NULL, run->n, sizeof *file_of);
	struct tfs_encoding encoding = { .coding = TFS_STORED, .segments = segments, .files = files, .file_of = file_of };

	if (!segments || !files || !file_of)
		return -ENOMEM;
	encoding.n_segments = encoding.n_files = split(f, t, run, segments, files, err);
	for (size_t i = 0; i < encoding.n_files; i++)
		file_of[i] = i;
	if (!encoding.n_segments)
		return 0;
	t->source = files[0];
	t->offset = segments[0].offset;
	if (encoding.n_segments == 1)
		return 1;
	encoding.length = segments[1].at;
	return tfs_catalog_encode(catalog, t, &encoding) ? -ENOMEM : 1;
}

/* --- All of them ----------------------------------------------------------------------------------------------------- */

int tfs_external_check(const struct tfs_model *m, uint32_t dir, const struct tfs_format *format, struct tfs_catalog *catalog)
{
	size_t n, n_locations;
	const char *const *locations = tfs_catalog_locations(catalog, &n_locations);
	struct tfs_tensor *t = tfs_catalog_tensors(catalog, &n);
	cleanup_free uint32_t *nodes = NULL; /* by location */
	struct tfs_error err = { 0 };
	struct files files = { m, dir, locations, NULL };
	__attribute__((cleanup(close_located))) struct located located = { m, MISSING, TFS_INPUT_CLOSED };
	uint32_t missing = 0; /* the location that @err is about, plus 1 */
	int r = 0;

	if (!n_locations)
		return 0;
	nodes = reallocarray(NULL, n_locations, sizeof *nodes);
	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < n_locations; i++)
		nodes[i] = UNSEEN;
	files.nodes = nodes;
	for (size_t i = 0; i < n && !r; i++) {
		const struct tfs_run *run = t[i].source ? tfs_catalog_run(catalog, t[i].source - 1) : NULL;
		uint32_t source, *node;

		if (tfs_other_files(&t[i])) /* its format has looked into them */
			continue;
		if (run)
			r = place_joined(&files, catalog, &t[i], run, &err);
		if (r < 0)
			return r;
		if (!t[i].source || r) {
			r = 0;
			continue;
		}
		source = t[i].source;
		node = &nodes[source - 1];
		if (run) {
			missing = 0;
			r = tfs_catalog_leave_out(catalog, t[i].name, t[i].name_len, TFS_NO_OFFSET, "%s", err.what);
			t[i].dtype = NULL;
			continue;
		}
		if (*node == UNSEEN || (*node == MISSING && missing != source)) {
			*node = find(m, dir, locations[source - 1], &err);
			missing = *node == MISSING ? source : missing;
		}
		if (*node != MISSING && !locate(&located, format, *node, &t[i], &err) && !check_size(m, *node, &t[i], &err))
			continue;
		if (*node != MISSING)
			missing = 0;
		r = tfs_catalog_leave_out(catalog, t[i].name, t[i].name_len, TFS_NO_OFFSET, "%s", err.what);
		t[i].dtype = NULL;
	}
	tfs_catalog_prune(catalog);
	return r;
}
