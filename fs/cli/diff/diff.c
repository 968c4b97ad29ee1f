/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/sort.h"
#include "cli/commands.h"
#include "cli/diff/impl.h"
#include "cli/output.h"
#include "cli/pattern.h"
#include "cli/terminal.h"
#include "tensor/scaled.h"

enum { OPT_BRIEF = 'q' };

static const struct tfs_option diff_options[] = {
	{ OPT_BRIEF, "brief", NULL, "only say whether they differ" },
	{ 0 },
};

struct options {
	struct tfs_model_options model;
	bool brief;
};

static bool take(void *arg, int id, const char *value)
{
	struct options *o = arg;

	if (id != OPT_BRIEF)
		return tfs_model_options_take(&o->model, id, value);
	o->brief = true;
	return true;
}

const char *tfs_diff_dtype(const struct tfs_tensor *t)
{
	return tfs_is_scaled(t) ? t->encoding->scaled->scheme : t->dtype->name;
}

/* --- Pairs ---------------------------------------------------------------------------------------------------------------- */

/* A tensor of one side; its directory counts only if there are several. */
struct member {
	const char *dir;
	const struct tfs_tensor *t;
	struct tfs_item item;
};

struct members {
	struct member *all;
	const void **order;
	size_t n;
	struct tfs_arena arena; /* directories */
};

static int compare_members(const void *a, const void *b)
{
	const struct member *m = a, *n = b;
	const int c = strcmp(m->dir, n->dir);

	return c ? c : tfs_name_cmp(m->t->name, m->t->name_len, n->t->name, n->t->name_len);
}

/* The weights of a side: computed ones instead of what they are computed from. */
static int find_members(const struct tfs_diff_side *side, bool dirs, struct members *ret)
{
	const struct tfs_model *m = side->arg.model;
	char dir[TFS_PATH_SIZE];
	size_t most = 0;

	for (size_t i = 0; i < side->scope.n; i++)
		most += tfs_set_n_all(&m->sets[side->scope.sets[i]]);
	ret->all = calloc(most + 1, sizeof *ret->all);
	ret->order = calloc(2 * most + 1, sizeof *ret->order);
	if (!ret->all || !ret->order)
		return -ENOMEM;
	for (size_t i = 0; i < side->scope.n; i++) {
		const uint32_t set = side->scope.sets[i];

		dir[0] = 0;
		if (dirs && m->sets[set].dir != TFS_NODE_ROOT && tfs_model_path(m, m->sets[set].dir, dir, sizeof dir))
			return -ENAMETOOLONG;
		const char *of = tfs_arena_copy(&ret->arena, dir, strlen(dir));
		if (!of)
			return -ENOMEM;
		for (uint32_t t = 0; t < tfs_set_n_all(&m->sets[set]); t++) {
			if (t < m->sets[set].n_tensors && tfs_set_scaled_of(&m->sets[set], t))
				continue;
			ret->order[ret->n] = &ret->all[ret->n];
			ret->all[ret->n++] = (struct member){ of, tfs_set_tensor(&m->sets[set], t), { set, t } };
		}
	}
	tfs_sort(ret->order, ret->n, ret->order + ret->n, compare_members);
	return 0;
}

static void members_fini(struct members *m)
{
	free(m->all);
	free((void *)m->order);
	tfs_arena_fini(&m->arena);
}

static bool same_shape(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	return a->ndim == b->ndim && (!a->ndim || !memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape));
}

static int add_pair(struct tfs_diff *d, const struct member *a, const struct member *b)
{
	struct tfs_diff_pair p = { .kind = a && b ? TFS_EQUAL : a ? TFS_ONLY_A : TFS_ONLY_B };

	if (tfs_array_room(d->pairs, d->n, d->room))
		return -ENOMEM;
	if (a) {
		p.items[TFS_A] = a->item;
		p.t[TFS_A] = a->t;
	}
	if (b) {
		p.items[TFS_B] = b->item;
		p.t[TFS_B] = b->t;
	}
	if (a && b && !same_shape(a->t, b->t))
		p.kind = TFS_OTHER_SHAPE;
	else if (a && b && strcmp(tfs_diff_dtype(a->t), tfs_diff_dtype(b->t)) != 0)
		p.kind = TFS_OTHER_DTYPE;
	d->pairs[d->n++] = p;
	return 0;
}

static int merge(struct tfs_diff *d, const struct members *a, const struct members *b)
{
	size_t i = 0, j = 0;

	while (i < a->n || j < b->n) {
		const int c = i == a->n ? 1 : j == b->n ? -1 : compare_members(a->order[i], b->order[j]);
		int r = add_pair(d, c <= 0 ? a->order[i] : NULL, c >= 0 ? b->order[j] : NULL);

		if (r)
			return r;
		i += c <= 0;
		j += c >= 0;
	}
	return 0;
}

static int compare_pairs(const void *a, const void *b)
{
	const struct tfs_diff_pair *p = a, *q = b;
	const struct tfs_tensor *s = p->t[TFS_A] ? p->t[TFS_A] : p->t[TFS_B], *t = q->t[TFS_A] ? q->t[TFS_A] : q->t[TFS_B];

	return tfs_pattern_compare(s->name, s->name_len, t->name, t->name_len);
}

/* Layer 2 before layer 10; directories stay as they are. */
static int sort_pairs(struct tfs_diff *d)
{
	cleanup_free const void **order = calloc(2 * d->n + 1, sizeof *order);
	struct tfs_diff_pair *sorted = calloc(d->n + 1, sizeof *sorted);

	if (!order || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < d->n; i++)
		order[i] = &d->pairs[i];
	if (!d->sides[TFS_A].scope.several && !d->sides[TFS_B].scope.several)
		tfs_sort(order, d->n, order + d->n, compare_pairs);
	for (size_t i = 0; i < d->n; i++)
		sorted[i] = *(const struct tfs_diff_pair *)order[i];
	free(d->pairs);
	d->pairs = sorted;
	d->room = d->n + 1;
	return 0;
}

static int find_pairs(struct tfs_diff *d)
{
	const bool dirs = d->sides[TFS_A].scope.n > 1 || d->sides[TFS_B].scope.n > 1;
	struct members members[TFS_SIDES] = { 0 };
	int r = 0;

	for (int i = 0; i < TFS_SIDES && !r; i++)
		r = find_members(&d->sides[i], dirs, &members[i]);
	if (!r)
		r = merge(d, &members[TFS_A], &members[TFS_B]);
	if (!r)
		r = sort_pairs(d);
	if (r)
		tfs_log_error("%s", strerror(-r));
	for (int i = 0; i < TFS_SIDES; i++)
		members_fini(&members[i]);
	return r;
}

/* --- The command ---------------------------------------------------------------------------------------------------------- */

static bool any_differs(const struct tfs_diff *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->pairs[i].kind != TFS_EQUAL)
			return true;
	return false;
}

static void print_differ(const struct tfs_diff *d)
{
	const char *a = d->sides[TFS_A].path, *b = d->sides[TFS_B].path;

	tfs_put_safe(stdout, a, strlen(a), "");
	fputs(" and ", stdout);
	tfs_put_safe(stdout, b, strlen(b), "");
	fputs(" differ\n", stdout);
}

static int say_briefly(const struct tfs_diff *d)
{
	const bool differ = any_differs(d);

	if (!d->json && differ)
		print_differ(d);
	if (!d->json)
		return 0;
	json_t *o = json_pack("{s:o, s:o, s:b}", "a", tfs_json_text(d->sides[TFS_A].path), "b", tfs_json_text(d->sides[TFS_B].path),
			      "differ", differ);
	int r = tfs_json_print(o);
	json_decref(o);
	return r;
}

static int compare(struct tfs_diff *d, const char *set)
{
	int r = 0;

	for (int i = 0; i < TFS_SIDES && !r; i++)
		r = tfs_scope_find(d->sides[i].arg.model, set, &d->sides[i].scope);
	if (!r)
		r = find_pairs(d);
	if (!r && !(d->brief && any_differs(d)))
		r = tfs_diff_compare(d);
	if (!r)
		r = d->brief ? say_briefly(d) : d->json ? tfs_diff_report_json(d) : tfs_diff_report(d);
	for (int i = 0; i < TFS_SIDES; i++)
		tfs_scope_fini(&d->sides[i].scope);
	if (r || tfs_command_flush())
		return TFS_EXIT_USAGE;
	return any_differs(d) ? TFS_EXIT_FAILED : TFS_EXIT_OK;
}

static int diff_main(int argc, char **argv)
{
	struct options o = { 0 };
	struct tfs_diff d = { 0 };
	int first, opened = 0, status = TFS_EXIT_USAGE;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_diff_command, argc, argv, take, &o, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	d.brief = o.brief;
	d.json = o.model.json;
	tfs_progress_init(&d.progress, false);
	while (opened < TFS_SIDES) {
		d.sides[opened].path = argv[first + opened];
		if (tfs_model_arg_open(argv[first + opened], &d.sides[opened].arg))
			break;
		opened++;
	}
	if (opened == TFS_SIDES)
		status = compare(&d, o.model.set);
	free(d.pairs);
	while (opened)
		tfs_model_arg_close(&d.sides[--opened].arg);
	return status;
}

const struct tfs_command tfs_diff_command = {
	.name = "tensorfs diff",
	.summary = "compare the tensors of two models",
	.operands = "A B",
	.min_operands = 2,
	.max_operands = 2,
	.about =
		"Compare two models tensor by tensor: what only one has, what has another dtype or shape, and by how much values differ. "
		"Quantised weights are compared by their values, so a model compares with what was made of it.",
	.status = "Exit status: 0 equal, 1 different, 2 failed, or a usage error. See tensorfs-diff(1).",
	.tables = { diff_options, tfs_model_options },
	.run = diff_main,
};
