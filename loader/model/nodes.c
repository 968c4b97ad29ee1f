/* SPDX-License-Identifier: MIT */
/* Queries on a model, while it is built and after: paths, identity, lookups; and errors that name its files. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mask.h"
#include "base/search.h"
#include "base/sort.h"
#include "model/impl.h"

/* --- Errors and warnings -------------------------------------------------------------------------------------------- */

const char *tfs_model_error_line(const char *path, const struct tfs_error *err, char *buf, size_t size)
{
	size_t len = strlen(path), file = strlen(err->file);
	bool ends = file && file <= len && !strcmp(path + len - file, err->file) && (file == len || path[len - file - 1] == '/');
	char line[TFS_ERROR_LINE], masked[TFS_MASKED];
	const char *shown = tfs_mask_url(path, masked, sizeof masked);
	struct tfs_error rest = *err;

	/* A directory may contain a file with the same name. */
	if (ends && (file == len || !tfs_storage_is_dir(path)))
		rest.file[0] = '\0';
	tfs_error_line(&rest, line, sizeof line);
	if (tfs_error_names_url(line, shown))
		snprintf(buf, size, "%s", line);
	else
		snprintf(buf, size, "%s: %s", shown, line);
	return buf;
}

void tfs_model_error_in(const struct tfs_model *m, uint32_t node, struct tfs_error *err)
{
	char path[PATH_MAX];

	tfs_error_in(err, tfs_model_path(m, node, path, sizeof path) ? m->nodes[node].name : path);
}

static __attribute__((format(printf, 5, 0))) void warn(struct tfs_model_impl *m, uint32_t node, int code, uint64_t offset,
						       const char *fmt, va_list ap)
{
	struct tfs_error warning = { 0 };
	char what[sizeof warning.what];

	if (!m->warn)
		return;
	vsnprintf(what, sizeof what, fmt, ap);
	tfs_error_set(&warning, code, offset, "%s", what);
	if (node != UINT32_MAX)
		tfs_model_error_in(&m->pub, node, &warning);
	m->warn(m->warn_arg, &warning);
}

void tfs_model_warn(struct tfs_model_impl *m, uint32_t node, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	warn(m, node, code, TFS_NO_OFFSET, fmt, ap);
	va_end(ap);
}

void tfs_model_warn_at(struct tfs_model_impl *m, uint32_t node, int code, uint64_t offset, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	warn(m, node, code, offset, fmt, ap);
	va_end(ap);
}

/* --- Nodes ------------------------------------------------------------------------------------------------------- */

int tfs_model_path(const struct tfs_model *m, uint32_t node, char *buf, size_t size)
{
	size_t need = 0, len;
	uint32_t i;

	if (node == TFS_NODE_ROOT)
		return snprintf(buf, size, ".") < (int)size ? 0 : -ENAMETOOLONG;
	/* Each component with its '/', or the last one's NUL: measured upwards, then written backwards. */
	for (i = node; i != TFS_NODE_ROOT; i = m->nodes[i].parent)
		need += strlen(m->nodes[i].name) + 1;
	if (need > size)
		return -ENAMETOOLONG;
	for (i = node; i != TFS_NODE_ROOT; i = m->nodes[i].parent) {
		len = strlen(m->nodes[i].name);
		buf[--need] = i == node ? '\0' : '/';
		need -= len;
		memcpy(buf + need, m->nodes[i].name, len);
	}
	return 0;
}

static int open_node(const struct tfs_model *m, uint32_t node, int flags, struct tfs_input *ret)
{
	char path[PATH_MAX];
	int r;

	if (!S_ISREG(m->nodes[node].mode))
		return -EINVAL;
	r = tfs_model_path(m, node, path, sizeof path);
	return r ? r : m->storage->ops->open(m->storage, path, &m->nodes[node].id, flags, ret);
}

int tfs_model_open_input(const struct tfs_model *m, uint32_t node, struct tfs_input *ret_input)
{
	return open_node(m, node, 0, ret_input);
}

const char *tfs_model_why(const struct tfs_model *m, uint32_t node, int code)
{
	const char *said;

	if (code != -ESTALE)
		return strerror(-code);
	said = m->storage->ops->stale ? m->storage->ops->stale(m->storage, &m->nodes[node].id) : NULL;
	return said ? said : "changed, replaced or removed since it was mounted";
}

int tfs_model_open_node(const struct tfs_model *m, uint32_t node, int flags)
{
	struct tfs_input in;
	int r = open_node(m, node, flags, &in);

	if (r || in.fd >= 0)
		return r ? r : in.fd;
	tfs_input_close(&in);
	return m->storage->ops->whole(m->storage, &m->nodes[node].id);
}

bool tfs_model_is_remote(const struct tfs_model *m)
{
	return m->storage->name;
}

bool tfs_model_path_is_remote(const char *path)
{
	return tfs_storage_is_remote(path);
}

int tfs_model_originals_fd(const struct tfs_model *m)
{
	return m->storage->fd >= 0 ? m->storage->fd : m->storage->passed_fd;
}

const char *tfs_model_name(const struct tfs_model *m)
{
	return m->storage->name;
}

const char *tfs_model_listed_hash(const struct tfs_model *m, uint32_t node)
{
	return m->storage->ops->listed_hash ? m->storage->ops->listed_hash(m->storage, &m->nodes[node].id) : NULL;
}

bool tfs_model_storage_stats(const struct tfs_model *m, struct tfs_storage_stats *ret_stats)
{
	if (!m->storage->ops->stats)
		return false;
	m->storage->ops->stats(m->storage, ret_stats);
	return true;
}

int tfs_model_check_node(const struct tfs_model *m, uint32_t node, const struct tfs_input *in)
{
	char path[PATH_MAX];
	int r = tfs_model_path(m, node, path, sizeof path);

	return r ? r : m->storage->ops->check(m->storage, path, &m->nodes[node].id, in);
}

uint32_t tfs_model_find_child(const struct tfs_model *m, uint32_t dir, const char *name, size_t len)
{
	const struct tfs_node *d = &m->nodes[dir];
	uint32_t end = d->first_child + d->n_children;
	/* For names without NUL this is strcmp's order. */
	uint32_t at = tfs_search(i, d->first_child, end, tfs_name_cmp(m->nodes[i].name, strlen(m->nodes[i].name), name, len) < 0);

	return at < end && !tfs_name_cmp(m->nodes[at].name, strlen(m->nodes[at].name), name, len) ? at : UINT32_MAX;
}

uint32_t tfs_model_find(const struct tfs_model *m, const char *path)
{
	uint32_t node = TFS_NODE_ROOT;

	for (size_t len; *path && node != UINT32_MAX; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (len != 1 || *path != '.')
			node = tfs_model_find_child(m, node, path, len);
	}
	return node;
}

/* Chained links: as many as the kernel follows (path_resolution(7)). */
#define MAX_LINKS 40

static uint32_t walk(const struct tfs_model *m, uint32_t node, const char *path, unsigned *links)
{
	if (*path == '/' || !*path)
		return UINT32_MAX;
	for (size_t len; *path; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (!S_ISDIR(m->nodes[node].mode))
			return UINT32_MAX;
		if (!len || (len == 1 && *path == '.'))
			continue;
		if (len == 2 && !memcmp(path, "..", 2)) {
			if (node == TFS_NODE_ROOT)
				return UINT32_MAX;
			node = m->nodes[node].parent;
			continue;
		}
		uint32_t dir = node;
		node = tfs_model_find_child(m, dir, path, len);
		if (node != UINT32_MAX && m->nodes[node].link)
			node = ++*links > MAX_LINKS ? UINT32_MAX : walk(m, dir, m->nodes[node].link->target, links);
		if (node == UINT32_MAX || (path[len] == '/' && !S_ISDIR(m->nodes[node].mode)))
			return UINT32_MAX;
	}
	return node;
}

uint32_t tfs_model_walk(const struct tfs_model *m, uint32_t dir, const char *path)
{
	unsigned links = 0;

	return walk(m, dir, path, &links);
}

/* --- Sets -------------------------------------------------------------------------------------------------------- */

const struct tfs_tensor *tfs_set_scaled_of(const struct tfs_set *set, size_t tensor)
{
	if (tensor >= set->n_tensors)
		return &set->scaled[tensor - set->n_tensors];
	size_t at = tfs_search(i, 0, set->n_parts, set->parts[i].tensor < tensor);
	return at < set->n_parts && set->parts[at].tensor == tensor ? &set->scaled[set->parts[at].scaled] : NULL;
}

size_t tfs_set_find(const struct tfs_set *set, const char *name, size_t len)
{
	const struct tfs_tensor *t = set->tensors;
	size_t at = tfs_search(i, 0, set->n_tensors, tfs_name_cmp(t[i].name, t[i].name_len, name, len) < 0);

	return at < set->n_tensors && !tfs_name_cmp(t[at].name, t[at].name_len, name, len) ? at : SIZE_MAX;
}
