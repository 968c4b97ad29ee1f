/* SPDX-License-Identifier: MIT */
#include "cli/selection.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mask.h"
#include "cli/terminal.h"
#include "tree/resolve.h"

const struct tfs_option tfs_model_options[] = {
	{ TFS_OPT_SET, "set", "STEM",
	  "the weight set to use where there are several: STEM, or DIR/STEM, as sets/ of a mount calls it" },
	{ TFS_OPT_JSON, "json", NULL, "for programs: JSON" },
	{ 0 },
};

bool tfs_model_options_take(void *arg, int id, const char *value)
{
	struct tfs_model_options *o = arg;

	if (id == TFS_OPT_SET)
		o->set = value;
	else
		o->json = true;
	return true;
}

/* --- Sets --------------------------------------------------------------------------------------------------------------- */

/* The directory of a set, "" for the model's own; @buf has TFS_PATH_SIZE bytes. */
static const char *dir_of(const struct tfs_model *m, uint32_t set, char *buf)
{
	if (m->sets[set].dir == TFS_NODE_ROOT || tfs_model_path(m, m->sets[set].dir, buf, TFS_PATH_SIZE))
		buf[0] = 0;
	return buf;
}

/* Is it one of the sets that are meant if none is named? */
static bool is_default(const struct tfs_model *m, uint32_t set)
{
	const uint32_t dir = m->nodes[TFS_NODE_ROOT].n_sets ? TFS_NODE_ROOT : m->sets[set].dir;

	return m->nodes[dir].first_set == set;
}

static bool is_called(const struct tfs_model *m, uint32_t set, const char *name)
{
	char path[TFS_PATH_SIZE];
	const char *stem = m->sets[set].stem;

	if (!strcmp(name, stem))
		return true;
	const size_t len = strlen(dir_of(m, set, path));
	/* A directory means the set that its views show. */
	if (len && !strcmp(name, path))
		return m->nodes[m->sets[set].dir].first_set == set;
	return len && !strncmp(name, path, len) && name[len] == '/' && !strcmp(name + len + 1, stem);
}

static void complain_set(const struct tfs_model *m, const char *stem)
{
	char buf[TFS_PATH_SIZE];

	tfs_log_error("--set=%s: no such set; there are:", stem);
	for (uint32_t s = 0; s < m->n_sets; s++) {
		const char *dir = dir_of(m, s, buf);

		tfs_complain("  %s%s%s", dir, *dir ? "/" : "", m->sets[s].stem);
	}
}

int tfs_scope_find(const struct tfs_model *model, const char *stem, struct tfs_scope *ret_scope)
{
	struct tfs_scope s = { .sets = reallocarray(NULL, model->n_sets + 1, sizeof *s.sets), .named = stem };

	if (!s.sets)
		return -ENOMEM;
	for (uint32_t i = 0; i < model->n_sets; i++) {
		if (!(stem ? is_called(model, i, stem) : is_default(model, i)))
			continue;
		s.several |= s.n && model->sets[s.sets[0]].dir != model->sets[i].dir;
		s.sets[s.n++] = i;
	}
	if (!s.n) {
		complain_set(model, stem ? stem : "");
		tfs_scope_fini(&s);
		return -ENOENT;
	}
	*ret_scope = s;
	return 0;
}

void tfs_scope_fini(struct tfs_scope *s)
{
	free(s->sets);
	s->sets = NULL;
}

/* --- Tensors -------------------------------------------------------------------------------------------------------------- */

int tfs_items_add(struct tfs_items *items, struct tfs_item item)
{
	if (tfs_array_room(items->items, items->n, items->room))
		return -ENOMEM;
	items->items[items->n++] = item;
	return 0;
}

int tfs_items_all(const struct tfs_model *model, const struct tfs_scope *scope, struct tfs_items *items)
{
	for (size_t i = 0; i < scope->n; i++) {
		const uint32_t set = scope->sets[i];

		for (uint32_t t = 0; t < tfs_set_n_all(&model->sets[set]); t++)
			if (tfs_items_add(items, (struct tfs_item){ set, t }))
				return -ENOMEM;
	}
	return 0;
}

/* How a name is compared: with the tensor's own, with that as it is printed, or as a glob for that. */
enum how { OWN, PRINTED, GLOB };

/* Does @given mean @t: 1 yes, 0 no, -ENOMEM. */
static int means(const struct tfs_tensor *t, const char *given, enum how how)
{
	if (how == OWN)
		return t->name_len == strlen(given) && !memcmp(t->name, given, t->name_len);
	if (tfs_is_safe(t->name, t->name_len, "/%"))
		return how == GLOB && !fnmatch(given, t->name, 0);
	cleanup_free char *shown = tfs_safe(t->name, t->name_len, "/%");
	if (!shown)
		return -ENOMEM;
	return how == GLOB ? !fnmatch(given, shown, 0) : !strcmp(given, shown);
}

static int add_meant(const struct tfs_model *m, const struct tfs_scope *scope, const char *name, enum how how,
		     struct tfs_items *items)
{
	for (size_t i = 0; i < scope->n; i++) {
		const struct tfs_set *set = &m->sets[scope->sets[i]];

		for (uint32_t t = 0; t < tfs_set_n_all(set); t++) {
			int r = means(tfs_set_tensor(set, t), name, how);
			if (r > 0)
				r = tfs_items_add(items, (struct tfs_item){ scope->sets[i], t });
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static bool is_meant(const struct tfs_scope *scope, uint32_t set)
{
	for (size_t i = 0; i < scope->n; i++)
		if (scope->sets[i] == set)
			return true;
	return !scope->named;
}

static int add_path(struct tfs_tree *tree, const struct tfs_scope *scope, const char *name, struct tfs_items *items)
{
	const size_t before = items->n;
	struct tfs_files files = { 0 };
	int r = tfs_resolve_name(tree, name, &files);

	for (size_t i = 0; !r && i < files.n; i++)
		if (is_meant(scope, files.ids[i].set))
			r = tfs_items_add(items, (struct tfs_item){ files.ids[i].set, files.ids[i].tensor });
	free(files.ids);
	return r == -ENOMEM ? r : r || items->n == before ? -ENOENT : 0;
}

int tfs_items_named(const struct tfs_model_arg *arg, const struct tfs_scope *scope, const char *name, struct tfs_items *items)
{
	const size_t before = items->n;
	int r = add_meant(arg->model, scope, name, OWN, items);

	if (!r && items->n == before)
		r = add_meant(arg->model, scope, name, PRINTED, items);
	if (!r && items->n == before)
		r = add_path(arg->tree, scope, name, items);
	if (r == -ENOENT)
		r = strpbrk(name, "*?[") ? add_meant(arg->model, scope, name, GLOB, items) : 0;
	return r ? r : items->n > before ? 0 : -ENOENT;
}

int tfs_items_select(const struct tfs_model_arg *arg, const struct tfs_scope *scope, char **names, int n, struct tfs_items *items)
{
	char shown[TFS_MASKED];
	int result = 0;

	if (!n)
		return tfs_items_all(arg->model, scope, items);
	for (int i = 0; i < n; i++) {
		const int r = tfs_items_named(arg, scope, names[i], items);

		if (r == -ENOMEM)
			return r;
		if (r) {
			tfs_log_error("%s: no such tensor, or directory of tensors", tfs_mask_url(names[i], shown, sizeof shown));
			result = r;
		}
	}
	return result;
}

void tfs_item_dir(const struct tfs_model *model, const struct tfs_scope *scope, uint32_t set, char *buf, size_t size)
{
	char dir[TFS_PATH_SIZE];
	cleanup_free char *safe = NULL;

	buf[0] = 0;
	if (!scope->several || !dir_of(model, set, dir)[0])
		return;
	safe = tfs_safe(dir, strlen(dir), "");
	snprintf(buf, size, "%s/", safe ? safe : "?");
}

char *tfs_item_label(const struct tfs_model *model, const struct tfs_scope *scope, struct tfs_item item)
{
	const struct tfs_tensor *t = tfs_item_tensor(model, item);
	char dir[TFS_PATH_SIZE], *label = NULL;
	cleanup_free char *name = tfs_safe(t->name, t->name_len, "/%");

	tfs_item_dir(model, scope, item.set, dir, sizeof dir);
	if (!name || asprintf(&label, "%s%s", dir, name) < 0)
		return NULL;
	return label;
}
