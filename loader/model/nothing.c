/* SPDX-License-Identifier: MIT */
/* Why a model has no weights: what its files are instead. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/search.h"
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
	const char *name = m->nodes[node].name, *what;
	struct tfs_sniffed c = { 0 };

	if (S_ISDIR(m->nodes[node].mode) || tfs_in_compiled(m, node))
		return tfs_unread_what(m, node);
	if (S_ISREG(m->nodes[node].mode))
		c = tfs_sniff_node(m, node);
	what = tfs_sniff_name(name, c.format);
	*ret_format = what ? NULL : c.format;
	if (c.what && !c.format && tfs_format_maybe(name)) /* a name that we recognise says less */
		return c.what;
	return what || !c.format ? what : c.what;
}

bool tfs_is_absent(const struct tfs_model *m, uint32_t node)
{
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;

	return !tfs_model_open_input(m, node, &in) && tfs_sniff_present(&in, NULL) == -EINVAL;
}

bool tfs_in_compiled(const struct tfs_model *m, uint32_t node)
{
	while (node != TFS_NODE_ROOT) {
		node = m->nodes[node].parent;
		if (tfs_format_ends_with(m->nodes[node].name, ".mlmodelc"))
			return true;
	}
	return false;
}

/* The file beside @node that is called PREFIX and @end where @node is PREFIX.bin; UINT32_MAX: none. */
static uint32_t beside(const struct tfs_model *m, uint32_t node, const char *end)
{
	const struct tfs_node *n = &m->nodes[node];
	char name[NAME_MAX + 1];
	int len = snprintf(name, sizeof name, "%.*s%s", (int)tfs_format_stem(n->name), n->name, end);

	return len < (int)sizeof name ? tfs_model_find_child(m, n->parent, name, len) : UINT32_MAX;
}

/* Has the file that lists what is in @node tensors of a set? */
static bool is_listed(const struct tfs_model *m, uint32_t node)
{
	char name[NAME_MAX + 1];
	uint32_t table;

	if (!tfs_sniff_part(m->nodes[node].name, name))
		return false;
	table = tfs_model_find_child(m, m->nodes[node].parent, name, strlen(name));
	return table != UINT32_MAX && m->is_source[table];
}

/* By its content, if that was looked at. */
static const char *by_content(const struct tfs_model *m, uint32_t node)
{
	size_t at = tfs_search(i, 0, m->n_unread, m->unread[i].node < node);

	return at < m->n_unread && m->unread[at].node == node ? m->unread[at].what : NULL;
}

const char *tfs_unread_what(const struct tfs_model *m, uint32_t node)
{
	const struct tfs_node *n = &m->nodes[node];
	const char *what;

	if (S_ISDIR(n->mode)) /* of which only compiled models have such names */
		return tfs_format_ends_with(n->name, ".mlmodelc") ? tfs_sniff_name(n->name, false) : NULL;
	if (!S_ISREG(n->mode) || m->is_source[node])
		return NULL;
	what = by_content(m, node);
	if (!what)
		what = tfs_sniff_name(n->name, false);
	if (!what && tfs_format_ends_with(n->name, ".bin") && beside(m, node, ".param") != UINT32_MAX)
		what = "the weights of an ncnn model";
	return what && !is_listed(m, node) && !tfs_in_compiled(m, node) ? what : NULL;
}

const char *tfs_model_unread(const struct tfs_model *m, uint32_t *node)
{
	for (; *node < m->n_nodes; ++*node) {
		const char *what = tfs_unread_what(m, *node);

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
		const char *what = other_weights(m, i, &format);
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

/*
 * The file that may have to list what is in @node, by their names: TensorFlow.js's model.json, or PREFIX-weights_manifest.json for
 * PREFIX.bin; OpenVINO's PREFIX.xml. UINT32_MAX: there is none. *@ret_part: @node is one that certainly needs @table.
 */
static uint32_t table_of(const struct tfs_model *m, uint32_t node, char table[static NAME_MAX + 1], bool *ret_part)
{
	const char *name = m->nodes[node].name;
	uint32_t found = beside(m, node, "-weights_manifest.json");

	if (found == UINT32_MAX)
		found = beside(m, node, ".xml");
	*ret_part = found == UINT32_MAX && tfs_sniff_part(name, table);
	return *ret_part ? tfs_model_find_child(m, m->nodes[node].parent, table, strlen(table)) : found;
}

bool tfs_explain_part(const struct tfs_model *m, uint32_t node, bool *told, struct tfs_error *err)
{
	char name[NAME_MAX + 1];
	struct tfs_sniffed c;
	bool part, empty;
	uint32_t table = table_of(m, node, name, &part);

	if (table == UINT32_MAX ? !part : m->is_source[table])
		return true;
	*err = (struct tfs_error){ 0 };
	if (table == UINT32_MAX) {
		tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "is a part of a TensorFlow.js model, whose %s is missing", name);
		tfs_model_error_in(m, node, err);
		return true;
	}
	if (told[table])
		return false;
	told[table] = true;
	c = tfs_sniff_node(m, table);
	empty = !m->nodes[table].id.size;
	tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "%s%s; %s, whose tensors it may have to list, is none by itself",
		      empty ? "" : "is ",
		      empty  ? "has zero bytes: the weights were never downloaded" :
		      c.what ? c.what :
			       "in no known format",
		      m->nodes[node].name);
	tfs_model_error_in(m, table, err);
	return true;
}
