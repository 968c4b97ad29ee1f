/* SPDX-License-Identifier: MIT */
#include "tree/meta.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/scaled.h"

json_t *tfs_json_any(const char *s, size_t len)
{
	json_t *j = json_stringn(s, len);
	if (j)
		return j;
	char *copy = malloc(len + 1);
	for (size_t i = 0; copy && i < len; i++)
		copy[i] = (s[i] & 0x80) ? '?' : s[i];
	j = copy ? json_stringn(copy, len) : NULL;
	free(copy);
	return j;
}

/* jansson's integers are signed, and if one dimension is 0 another may be arbitrarily large. */
static void put_numbers(FILE *f, const uint64_t *v, unsigned n, const char *between)
{
	putc('[', f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s%" PRIu64, i ? between : "", v[i]);
	putc(']', f);
}

char *tfs_shape_text(const struct tfs_tensor *t)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f)
		put_numbers(f, t->shape, t->ndim, ",");
	if (f && fclose(f)) {
		free(text);
		text = NULL;
	}
	return text;
}

/*
 * An object with one member per line, and everything in the member on that line: pleasant to cat, and JSON. Shape and strides, null
 * in
 * @o, are @t's.
 */
static char *dump_lines(json_t *o, const struct tfs_tensor *t)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	const char *key;
	json_t *value;
	bool bad = !f, first = true;

	json_object_foreach(o, key, value)
	{
		char *v = bad ? NULL : json_dumps(value, JSON_ENCODE_ANY);
		bad |= !v;
		if (!bad)
			fprintf(f, "%s\n  \"%s\": ", first ? "{" : ",", key);
		if (!bad && json_is_null(value)) {
			bool shape = !strcmp(key, "shape");
			assert(shape || t->encoding);
			put_numbers(f, shape ? t->shape : t->encoding->strides, t->ndim, ", ");
		} else if (!bad) {
			fputs(v, f);
		}
		first = false;
		free(v);
	}
	if (f && !bad)
		fputs("\n}\n", f);
	if (f && (fclose(f) || bad)) {
		free(text);
		text = NULL;
	}
	return text;
}

/* How a tensor that the source doesn't contain directly is stored there. */
static void add_encoding(json_t *o, const struct tfs_encoding *p)
{
	static const char *const names[] = { [TFS_DEFLATED] = "deflate", [TFS_VARINT] = "varint", [TFS_LATIN1] = "latin1" };

	if (p->coding != TFS_STORED)
		json_object_set_new(o, "compression", json_string(names[p->coding]));
	if (p->n_segments && p->coding == TFS_STORED)
		json_object_set_new(o, "pieces", json_integer((json_int_t)p->n_segments));
	if (p->coding != TFS_STORED || p->n_segments)
		json_object_set_new(o, "stored_nbytes", json_integer((json_int_t)p->length));
	if (p->swap)
		json_object_set_new(o, "byte_order", json_string("big"));
	if (p->strides)
		json_object_set_new(o, "strides", json_null());
}

/* A tensor's role in a scaled weight: @w is that tensor, or what it is a part of. */
static void add_scheme(json_t *o, const struct tfs_tensor *w)
{
	const struct tfs_scaled *s = w->encoding->scaled;
	const struct tfs_tensor *const *part = w->encoding->parts;
	json_t *parts = json_array();

	for (unsigned i = 0; i < s->n_parts; i++)
		json_array_append_new(parts, tfs_json_any(part[i]->name, part[i]->name_len));
	json_object_set_new(o, "weight", tfs_json_any(w->name, w->name_len));
	json_object_set_new(o, "scheme", json_string(s->scheme));
	json_object_set_new(o, "formula", json_string(s->formula));
	json_object_set_new(o, "bits", json_integer(s->bits));
	if (s->group_size)
		json_object_set_new(o, "group_size", json_integer((json_int_t)s->group_size));
	json_object_set_new(o, "parts", parts);
}

char *tfs_meta_text(const struct tfs_model *model, struct tfs_inode inode, size_t *ret_len)
{
	const struct tfs_set *set = &model->sets[inode.set];
	const struct tfs_tensor *t = tfs_set_tensor(set, inode.tensor), *scaled = tfs_set_scaled_of(set, inode.tensor);
	char path[PATH_MAX];
	json_t *o = json_object();

	if (tfs_model_path(model, t->source, path, sizeof path))
		path[0] = 0;
	json_object_set_new(o, "name", tfs_json_any(t->name, t->name_len));
	json_object_set_new(o, "dtype", json_string(t->dtype->name));
	json_object_set_new(o, "shape", json_null());
	json_object_set_new(o, "nbytes", json_integer((json_int_t)t->nbytes));
	json_object_set_new(o, "format", json_string(set->format->name));
	json_object_set_new(o, "source", tfs_json_any(path, strlen(path)));
	json_object_set_new(o, "offset", json_integer((json_int_t)t->offset));
	if (t->encoding && t != scaled)
		add_encoding(o, t->encoding);
	if (scaled)
		add_scheme(o, scaled);
	char *text = dump_lines(o, t);
	json_decref(o);
	if (text)
		*ret_len = strlen(text);
	return text;
}
