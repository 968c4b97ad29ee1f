/* SPDX-License-Identifier: MIT */
#include "model/weight-file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "storage/storage.h"

/* A dangling symlink, or one to something that we may not access. */
static int refuse_link(const struct tfs_model *m, uint32_t node, struct tfs_error *err)
{
	char path[PATH_MAX];
	struct tfs_dirent to;

	if (!tfs_model_path(m, node, path, sizeof path) &&
	    m->storage->ops->look(m->storage, TFS_STORAGE_ROOT, path, true, &to) == -EACCES)
		return tfs_error_set(err, -EACCES, TFS_NO_OFFSET, "is a link to %s: %s", m->nodes[node].link->target,
				     strerror(EACCES));
	if (m->nodes[node].link->outside)
		return tfs_error_set(err, -EXDEV, TFS_NO_OFFSET,
				     "is a link to %s, out of the model, which isn't followed without --follow-links=all",
				     m->nodes[node].link->target);
	return tfs_error_set(err, -ENOENT, TFS_NO_OFFSET, "is a dangling symlink to %s", m->nodes[node].link->target);
}

/* If no tensor can be read the file is broken, and the error of the first one is the reason. */
static int check_any_left(struct tfs_catalog *catalog, struct tfs_error *err)
{
	const struct tfs_note *notes;
	size_t n, n_left_out, n_notes, more;

	tfs_catalog_tensors(catalog, &n);
	tfs_catalog_left_out(catalog, &n_left_out);
	if (n || !n_left_out)
		return 0;
	notes = tfs_catalog_notes(catalog, &n_notes, &more);
	return tfs_error_set(err, -EINVAL, notes[0].offset, "%s", notes[0].text);
}

/* An index is JSON; anything else under its name is described, as for weights. */
static int read_index(const struct tfs_input *in, const struct tfs_format *format, struct tfs_index **ret_index,
		      struct tfs_error *err)
{
	int r = tfs_sniff_present(in, err), other;

	if (r)
		return r;
	r = tfs_index_read(in, ret_index, err);
	if (!r && format->indexed)
		r = tfs_index_rename(*ret_index, format->indexed);
	other = r == -EINVAL ? tfs_sniff_other(in, NULL, TFS_IN_JSON, err) : 0;
	return other ? other : r;
}

/* The reason that a parser can't know. */
static int refuse_cost(const struct tfs_model_impl *m, const struct tfs_share *share, struct tfs_error *err)
{
	const struct tfs_scan_limits *l = &m->scan.limits;

	if (share->over == TFS_OVER_TIME)
		return tfs_error_set(
			err, -EFBIG, TFS_NO_OFFSET,
			"not read: parsing the files of the model has taken more CPU time than the limit, %g s (--scan-time)",
			l->seconds);
	return tfs_error_set(err, -EFBIG, TFS_NO_OFFSET,
			     "parsing it needs more memory than is left of the limit, %" PRIu64
			     " MiB for all files (--scan-memory)",
			     l->memory >> 20);
}

/*
 * The format of a file whose name may mean anything into @file; NULL: none, or it isn't ours to read. An error: it may well be weights, but
 * that can't be seen now.
 */
static int format_by_content(const struct tfs_model *m, struct tfs_weight_file *file, struct tfs_error *err)
{
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	const char *name = m->nodes[file->node].name;
	const struct tfs_format *format = NULL;
	int r = tfs_model_open_input(m, file->node, &in);

	if (r == -EACCES || r == -EINVAL || r == -ESTALE) {
		file->format = NULL;
		return 0;
	}
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "opening: %s", tfs_model_why(m, file->node, r));
	r = tfs_sniff_format(&in, name, &format, err);
	if (r)
		return r;
	file->format = format;
	if (!format && tfs_format_ends_with(name, ".tar"))
		file->unread = tfs_sniff_old_torch(&in);
	return 0;
}

/* For formats whose tensors are described by several files. */
struct beside {
	struct tfs_beside pub;
	const struct tfs_model *m;
	uint32_t dir;
	struct tfs_share *share;
};

static int open_beside(struct tfs_beside *pub, const char *location, struct tfs_input *ret, struct tfs_error *err)
{
	struct beside *b = (struct beside *)pub;
	uint32_t node = tfs_merge_location(b->m, b->dir, location, err);
	int r;

	if (node == UINT32_MAX)
		return -EINVAL;
	r = tfs_model_open_input(b->m, node, ret);
	if (r)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "opening %s: %s", b->m->nodes[node].name,
				     tfs_model_why(b->m, node, r));
	ret->share = b->share;
	r = tfs_sniff_present(ret, err);
	if (r)
		tfs_input_close(ret);
	return r;
}

static int complete(const struct tfs_model *m, struct tfs_weight_file *file, const struct tfs_input *in, struct tfs_error *err)
{
	const struct tfs_node *n = &m->nodes[file->node];
	struct beside b = { { open_beside }, m, n->parent, &file->share };

	return file->format->complete ? file->format->complete(in, n->name, &b.pub, file->catalog, err) : 0;
}

static int parse(const struct tfs_model *m, struct tfs_weight_file *file, struct tfs_error *err)
{
	const struct tfs_node *n = &m->nodes[file->node];
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	int r;

	if (file->is_ambiguous) {
		r = format_by_content(m, file, err);
		file->is_other = !r && !file->format;
		if (r || file->is_other)
			return r;
	}
	if (S_ISLNK(n->mode))
		return refuse_link(m, file->node, err);
	if (!S_ISREG(n->mode))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "is not a regular file");
	r = tfs_model_open_input(m, file->node, &in);
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "opening: %s", tfs_model_why(m, file->node, r));
	in.share = &file->share;
	/* Also where there is nothing large to charge, such as for the next of many small files. */
	r = tfs_share_scratch(&file->share, 0);
	if (r)
		return r;
	if (file->is_index)
		return read_index(&in, file->format, &file->index, err);
	if (!file->is_ambiguous)
		r = tfs_sniff_format(&in, n->name, &file->format, err);
	if (r)
		return r;
	file->catalog = tfs_catalog_create();
	if (file->catalog)
		tfs_catalog_limit(file->catalog, &file->share);
	r = file->catalog ? tfs_sniff_read(file->format, &in, n->name, file->catalog, err) : -ENOMEM;
	if (!r)
		r = complete(m, file, &in, err);
	if (!r)
		r = tfs_catalog_sort(file->catalog);
	if (!r)
		r = tfs_external_check(m, n->parent, file->format, file->catalog);
	if (!r)
		r = check_any_left(file->catalog, err);
	/* It may be about something else, such as a tensor that was left out. */
	if (r && (err->code != r || !err->what[0]))
		tfs_error_set(err, r, TFS_NO_OFFSET, "reading its header: %s", strerror(-r));
	return r;
}

/* For a broken file if there is no memory left for its error. */
static const struct tfs_error no_memory = { -ENOMEM, TFS_NO_OFFSET, "", "out of memory" };

void tfs_weight_file_parse(struct tfs_model_impl *m, struct tfs_weight_file *file)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET }, *copy;
	int r;

	tfs_share_begin(&file->share, &m->scan);
	r = parse(&m->pub, file, &err);
	tfs_share_end(&file->share);
	if (file->catalog)
		tfs_catalog_limit(file->catalog, NULL);
	if (!r)
		return;
	if (file->share.over) {
		err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
		refuse_cost(m, &file->share, &err);
		/* What was read of it would only be missed by the others. */
		tfs_catalog_destroy(tfs_steal(file->catalog));
		tfs_index_destroy(tfs_steal(file->index));
		tfs_share_fini(&file->share);
	}
	tfs_model_error_in(&m->pub, file->node, &err);
	copy = malloc(sizeof *copy);
	if (copy)
		*copy = err;
	file->err = copy ? copy : &no_memory;
}

void tfs_weight_file_clear(struct tfs_weight_file *file)
{
	tfs_catalog_destroy(tfs_steal(file->catalog));
	tfs_index_destroy(tfs_steal(file->index));
	if (file->err != &no_memory)
		free((struct tfs_error *)file->err);
	file->err = NULL;
	tfs_share_fini(&file->share);
}
