/* SPDX-License-Identifier: MIT */
/* Opening generated models, and checking them. */
#ifndef TEST_MODEL_HELPERS_H
#define TEST_MODEL_HELPERS_H

#include "support/helpers.h"

#include <errno.h>

#include "model/model.h"

struct warnings {
	unsigned n;
	char text[16][TFS_ERROR_LINE];
};

static inline void collect(void *arg, const struct tfs_error *warning)
{
	struct warnings *w = arg;

	if (w->n < LENGTH(w->text))
		tfs_error_line(warning, w->text[w->n], sizeof w->text[w->n]);
	w->n++;
}

static inline struct tfs_model *open_model(const char *path, struct warnings *w)
{
	char line[TFS_ERROR_LINE];
	struct tfs_model *m = NULL;
	struct tfs_error err;

	*w = (struct warnings){ 0 };
	if (tfs_model_open(path, 2, collect, w, &m, &err))
		fail_msg("%s", tfs_error_line(&err, line, sizeof line));
	return m;
}

/* @path is refused with -EINVAL, or @code, and a line that has @text in it. */
static inline void assert_refused(const char *path, int code, const char *text)
{
	struct tfs_model *m = (struct tfs_model *)1;
	char line[TFS_ERROR_LINE];
	struct warnings w = { 0 };
	struct tfs_error err;

	assert_int_equal(tfs_model_open(path, 2, collect, &w, &m, &err), code);
	assert_ptr_equal(m, (struct tfs_model *)1); /* untouched */
	assert_int_equal(err.code, code);
	tfs_error_line(&err, line, sizeof line);
	if (!strstr(line, text))
		fail_msg("\"%s\" is not in: %s", text, line);
}

static inline void assert_warned(const struct warnings *w, const char *text)
{
	for (unsigned i = 0; i < w->n; i++)
		if (strstr(w->text[i], text))
			return;
	fail_msg("no warning of %u has \"%s\" in it, the first is: %s", w->n, text, w->n ? w->text[0] : "none");
}

#define ONE(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}"
#define TWO(first, second)                                                        \
	"{\"" first "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}," \
	"\"" second "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}"

static inline uint32_t child(const struct tfs_model *m, uint32_t dir, const char *name)
{
	return tfs_model_find_child(m, dir, name, strlen(name));
}

/* The stems of @dir's sets, in order, separated by blanks. */
static inline const char *stems(const struct tfs_model *m, uint32_t dir)
{
	static char text[1000];
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < m->nodes[dir].n_sets; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "",
					m->sets[m->nodes[dir].first_set + i].stem);
	return text;
}

/* Do the tables satisfy what model/model.h promises? */
static inline void assert_consistent(const struct tfs_model *m)
{
	for (uint32_t i = 0; i < m->n_nodes; i++) {
		const struct tfs_node *n = &m->nodes[i];

		assert_true(n->first_child + n->n_children <= m->n_nodes);
		for (uint32_t k = 0; k < n->n_children; k++) {
			assert_int_equal(m->nodes[n->first_child + k].parent, i);
			assert_true(!k || strcmp(m->nodes[n->first_child + k - 1].name, m->nodes[n->first_child + k].name) < 0);
			assert_int_equal(child(m, i, m->nodes[n->first_child + k].name), n->first_child + k);
		}
		for (uint32_t k = 0; k < n->n_sets; k++)
			assert_int_equal(m->sets[n->first_set + k].dir, i);
		assert_true(n->link || !S_ISLNK(n->mode));
		assert_false(n->link && S_ISDIR(n->mode));
	}
	for (size_t i = 0; i < m->n_sets; i++) {
		const struct tfs_set *s = &m->sets[i];
		uint64_t total = 0;

		for (size_t k = 0; k < s->n_tensors; k++) {
			const struct tfs_tensor *t = &s->tensors[k];

			total += t->nbytes;
			assert_true(t->offset + (t->encoding ? t->encoding->length : t->nbytes) <= m->nodes[t->source].id.size);
			assert_int_equal(tfs_set_find(s, t->name, t->name_len), k);
			assert_true(s->by_offset[k] < s->n_tensors);
			if (k) {
				const struct tfs_tensor *a = &s->tensors[s->by_offset[k - 1]];
				const struct tfs_tensor *b = &s->tensors[s->by_offset[k]];

				assert_true(a->source < b->source || (a->source == b->source && a->offset <= b->offset));
			}
		}
		assert_int_equal(total, s->total_bytes);
	}
}

#endif
