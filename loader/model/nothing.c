/* SPDX-License-Identifier: MIT */
/* Why a model has no weights: what its files are instead. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "format/format.h"
#include "model/impl.h"
#include "storage/storage.h"

struct tfs_sniffed tfs_sniff_node(const struct tfs_model *m, uint32_t node)
{
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	struct tfs_sniffed c = { 0 };

	if (!tfs_model_open_input(m, node, &in))
		tfs_sniff(&in, &c, NULL);
	return c;
}

/*
 * What a file is whose name we don't recognise, if that explains why there are no weights: other kinds of weights, by name; ours
 * under another name, like the blobs of Ollama and of the hub; something that only looks like ours. NULL: an ordinary file.
 * *@ret_format: the one that can read it, or NULL.
 */
static const char *other_weights(const struct tfs_model *m, uint32_t node, const struct tfs_format **ret_format)
{
	struct tfs_sniffed c = S_ISREG(m->nodes[node].mode) ? tfs_sniff_node(m, node) : (struct tfs_sniffed){ 0 };
	const char *name = m->nodes[node].name, *what = tfs_sniff_name(name, c.format);

	*ret_format = what ? NULL : c.format;
	if (c.what && !c.format && tfs_format_maybe(name)) /* a name that we recognise says less */
		return c.what;
	return what || !c.format ? what : c.what;
}

const char *tfs_model_unread(const struct tfs_model *m, uint32_t *node)
{
	for (; *node < m->n_nodes; ++*node) {
		const struct tfs_node *n = &m->nodes[*node];
		const char *what = S_ISREG(n->mode) && !tfs_format_for(n->name) ? tfs_sniff_name(n->name, false) : NULL;

		if (what)
			return what;
	}
	return NULL;
}

/* "; PATH is …" for the first of them into @buf, "" if there are none. */
static void find_other_weights(const struct tfs_model *m, char *buf, size_t size)
{
	enum { MOST_FILES = 1000 }; /* to look into; a directory without weights may be anything */
	unsigned looked_at = 0, found = 0;
	char path[PATH_MAX];
	size_t len = 0;

	*buf = '\0';
	for (uint32_t i = 0; i < m->n_nodes && found < 2 && looked_at < MOST_FILES; i++) {
		const struct tfs_format *format = NULL;
		const char *what = S_ISDIR(m->nodes[i].mode) ? NULL : other_weights(m, i, &format);
		size_t n;

		looked_at += !S_ISDIR(m->nodes[i].mode);
		if (!what || tfs_model_path(m, i, path, sizeof path))
			continue;
		n = snprintf(buf + len, size - len, "; %s is %s%s", path, what, format ? ", which can be mounted by itself" : "");
		if (n >= size - len) { /* completely or not at all */
			buf[len] = '\0';
			continue;
		}
		len += n;
		found++;
	}
}

int tfs_nothing_found(const struct tfs_model *m, size_t n_dirs, struct tfs_error *err)
{
	char names[TFS_FORMAT_NAMES], others[256];

	tfs_format_names(names);
	find_other_weights(m, others, sizeof others);
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "no weights found: no file (of %zu in %zu %s) is named %s%s",
			     m->n_nodes - n_dirs, n_dirs, n_dirs == 1 ? "directory" : "directories", names, others);
}
