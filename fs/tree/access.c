/* SPDX-License-Identifier: MIT */
#include "tree/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/acl.h"
#include "tensor/scaled.h"

enum { OWNER = 4, GROUP = 2, OTHERS = 1, EVERYBODY = OWNER | GROUP | OTHERS };

struct access_of_set {
	bool mixed;
	struct tfs_needs needs; /* of all its files */
};

struct tfs_access {
	const struct tfs_model *model;
	bool open;		  /* everything, to everybody */
	struct access_of_set all; /* of files in the root that are made of all sets */
	struct access_of_set sets[];
};

/* --- Callers ------------------------------------------------------------------------------------------------------------ */

void tfs_caller_fini(struct tfs_caller *c)
{
	free(c->groups);
	c->groups = NULL;
}

int tfs_caller_copy(struct tfs_caller *to, const struct tfs_caller *from)
{
	gid_t *groups = malloc((from->n_groups + 1) * sizeof *groups);

	if (!groups)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_groups; i++)
		groups[i] = from->groups[i];
	*to = *from;
	to->groups = groups;
	return 0;
}

static bool in_group(const void *caller, gid_t gid)
{
	const struct tfs_caller *c = caller;

	if (c->gid == gid)
		return true;
	for (size_t i = 0; i < c->n_groups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

/* Which of owner, group and others have @bit (04 to read, 01 to search) of @mode. */
static unsigned allowed(mode_t mode, unsigned bit)
{
	return (mode & bit << 6 ? OWNER : 0) | (mode & bit << 3 ? GROUP : 0) | (mode & bit ? OTHERS : 0);
}

/*
 * Like the kernel's acl_permission_check(): the owner's bits apply to the owner even if others have more; to others the list, unless
 * the group has no bits, which are the list's mask.
 */
static bool may(const struct tfs_caller *c, struct tfs_rights r, unsigned bit)
{
	if (r.acl && c->uid && c->uid != r.uid && (r.mode & 0070))
		return tfs_acl_allows(r.acl, r.gid, c->uid, bit, in_group, c);
	unsigned who = c->uid == r.uid ? OWNER : in_group(c, r.gid) ? GROUP : OTHERS;
	return !c->uid || (allowed(r.mode, bit) & who);
}

bool tfs_access_way(const struct tfs_model *m, const struct tfs_caller *c, uint32_t node)
{
	const struct tfs_way *way = tfs_model_way(m, node);

	for (size_t i = 0; way && i < way->n; i++)
		if (!may(c, way->dirs[i], 01))
			return false;
	return true;
}

bool tfs_access_node(const struct tfs_model *m, const struct tfs_caller *c, uint32_t node)
{
	if (!may(c, tfs_model_rights(m, node), 04) || !tfs_access_way(m, c, node))
		return false;
	while (node != TFS_NODE_ROOT) {
		node = m->nodes[node].parent;
		if (!may(c, tfs_model_rights(m, node), 01) || !tfs_access_way(m, c, node))
			return false;
	}
	return true;
}

static bool is_open(const struct tfs_model *m, uint32_t node, unsigned bit)
{
	const struct tfs_rights r = tfs_model_rights(m, node);

	return allowed(r.mode, bit) == EVERYBODY && !r.acl && !tfs_model_way(m, node);
}

bool tfs_access_node_open(const struct tfs_model *m, uint32_t node)
{
	bool open = is_open(m, node, 04);

	while (open && node != TFS_NODE_ROOT) {
		node = m->nodes[node].parent;
		open = is_open(m, node, 01);
	}
	return open;
}

/* --- What a file needs ----------------------------------------------------------------------------------------------- */

/* Rank by how many are kept out, roughly: others and the group; then the group alone. */
static int strictness(unsigned allows)
{
	return allows & OTHERS ? 0 : allows & GROUP ? 1 : 2;
}

static void add_need(struct tfs_needs *n, struct tfs_rights r, unsigned bit)
{
	unsigned allows = allowed(r.mode, bit);

	/* A list that lets somebody in would be useless if the mode kept him out. */
	n->lists |= r.acl != NULL;
	if (allows == EVERYBODY || r.acl)
		return;
	if (!n->any) {
		*n = (struct tfs_needs){
			.any = true, .exact = true, .lists = n->lists, .uid = r.uid, .gid = r.gid, .allows = allows
		};
	} else if (n->uid == r.uid && n->gid == r.gid) {
		n->allows &= allows;
	} else {
		/* A user who may read all of them satisfies each one, so showing the strictest keeps nobody out. */
		n->exact = false;
		if (strictness(allows) > strictness(n->allows)) {
			n->uid = r.uid;
			n->gid = r.gid;
			n->allows = allows;
		}
	}
}

static bool is_on_path(const struct tfs_model *m, uint32_t node, uint32_t below)
{
	while (below != node && below != TFS_NODE_ROOT)
		below = m->nodes[below].parent;
	return below == node;
}

static void add_way(const struct tfs_model *m, uint32_t node, struct tfs_needs *n)
{
	const struct tfs_way *way = tfs_model_way(m, node);

	for (size_t i = 0; way && i < way->n; i++)
		add_need(n, way->dirs[i], 01);
}

/* What @node requires of a user who is already in the directory @dir. */
static void add_source(const struct tfs_model *m, uint32_t node, uint32_t dir, struct tfs_needs *n)
{
	add_need(n, tfs_model_rights(m, node), 04);
	add_way(m, node, n);
	for (node = m->nodes[node].parent; !is_on_path(m, node, dir); node = m->nodes[node].parent) {
		add_need(n, tfs_model_rights(m, node), 01);
		add_way(m, node, n);
	}
}

/* Only a set's own files tell which bytes come from other files. */
static bool has_external(const struct tfs_set *s)
{
	return s->n_files < s->n_sources;
}

/* All files that the bytes of @t are in. */
static void add_files(const struct tfs_model *m, const struct tfs_tensor *t, uint32_t dir, struct tfs_needs *n)
{
	add_source(m, t->source, dir, n);
	for (size_t i = 0; i < tfs_other_files(t); i++)
		add_source(m, tfs_other_file(t, i), dir, n);
}

static struct tfs_needs needs_of_tensor(const struct tfs_access *a, uint32_t set, uint32_t tensor)
{
	const struct tfs_set *s = &a->model->sets[set];
	struct tfs_needs n = { 0 };

	const struct tfs_tensor *t = tfs_set_tensor(s, tensor);
	const struct tfs_encoding *e = tensor < s->n_tensors ? NULL : t->encoding;

	add_files(a->model, t, s->dir, &n);
	for (unsigned i = 0; e && i < e->scaled->n_parts; i++)
		add_files(a->model, e->parts[i], s->dir, &n);
	for (uint32_t i = 0; has_external(s) && i < s->n_files; i++)
		add_source(a->model, s->sources[i], s->dir, &n);
	return n;
}

static bool same_needs(const struct tfs_needs *a, const struct tfs_needs *b)
{
	return a->any == b->any && (!a->any || (a->uid == b->uid && a->gid == b->gid && a->allows == b->allows));
}

/* Add all sources of @set to @s; @dir: the directory of the files made from them. @first: @s is empty. */
static void add_set(const struct tfs_model *m, const struct tfs_set *set, uint32_t dir, bool first, struct access_of_set *s)
{
	for (uint32_t i = 0; i < set->n_sources; i++) {
		struct tfs_needs one = { 0 };
		add_source(m, set->sources[i], dir, &one);
		s->mixed |= (one.any && !one.exact) || one.lists || (!(first && !i) && !same_needs(&one, &s->needs));
		if (first && !i)
			s->needs = one;
		else
			add_source(m, set->sources[i], dir, &s->needs);
	}
	/* What only some of it needs isn't in the mode. */
	for (size_t i = 0; i < set->n_said_by; i++) {
		struct tfs_needs one = { 0 };
		add_source(m, set->said_by[i], dir, &one);
		s->mixed |= one.lists || (one.any && !same_needs(&one, &s->needs));
	}
}

static bool says_it_openly(const struct tfs_model *m, const struct tfs_set *set)
{
	bool open = set->index == UINT32_MAX || tfs_access_node_open(m, set->index);

	for (size_t i = 0; i < set->n_said_by && open; i++)
		open = tfs_access_node_open(m, set->said_by[i]);
	return open;
}

struct tfs_access *tfs_access_create(const struct tfs_model *model)
{
	struct tfs_access *a = calloc(1, sizeof *a + model->n_sets * sizeof *a->sets);

	if (!a)
		return NULL;
	a->model = model;
	a->open = true;
	for (size_t i = 0; i < model->n_sets; i++) {
		add_set(model, &model->sets[i], model->sets[i].dir, true, &a->sets[i]);
		add_set(model, &model->sets[i], TFS_NODE_ROOT, !i, &a->all);
		a->open &= says_it_openly(model, &model->sets[i]);
	}
	a->open &= !a->all.needs.any && !a->all.needs.lists;
	return a;
}

void tfs_access_destroy(struct tfs_access *a)
{
	free(a);
}

/* --- Questions ------------------------------------------------------------------------------------------------------- */

bool tfs_access_mixed(const struct tfs_access *a, uint32_t set)
{
	return a->sets[set].mixed;
}

bool tfs_access_all_mixed(const struct tfs_access *a)
{
	return a->all.mixed;
}

bool tfs_access_open(const struct tfs_access *a)
{
	return a->open;
}

static bool all_of(const struct tfs_access *a, const struct tfs_caller *c, const uint32_t *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!tfs_access_node(a->model, c, nodes[i]))
			return false;
	return true;
}

/* May @c read all files that the bytes of @t are in? */
static bool all_files(const struct tfs_access *a, const struct tfs_caller *c, const struct tfs_tensor *t)
{
	for (size_t i = 0; i < tfs_other_files(t); i++)
		if (!tfs_access_node(a->model, c, tfs_other_file(t, i)))
			return false;
	return tfs_access_node(a->model, c, t->source);
}

bool tfs_access_tensor(const struct tfs_access *a, const struct tfs_caller *c, uint32_t set, uint32_t tensor)
{
	const struct tfs_set *s = &a->model->sets[set];

	const struct tfs_tensor *t = tfs_set_tensor(s, tensor);
	const struct tfs_encoding *e = tensor < s->n_tensors ? NULL : t->encoding;

	for (unsigned i = 0; e && i < e->scaled->n_parts; i++)
		if (!all_files(a, c, e->parts[i]))
			return false;
	if (e && !all_of(a, c, s->said_by, s->n_said_by))
		return false;
	return all_files(a, c, t) && (!has_external(s) || all_of(a, c, s->sources, s->n_files));
}

bool tfs_access_set(const struct tfs_access *a, const struct tfs_caller *c, uint32_t set)
{
	return all_of(a, c, a->model->sets[set].sources, a->model->sets[set].n_sources);
}

bool tfs_access_values(const struct tfs_access *a, const struct tfs_caller *c, uint32_t set)
{
	const struct tfs_set *s = &a->model->sets[set];

	return tfs_access_set(a, c, set) && all_of(a, c, s->said_by, s->n_said_by);
}

bool tfs_access_missing(const struct tfs_access *a, const struct tfs_caller *c, uint32_t set)
{
	const struct tfs_set *s = &a->model->sets[set];

	return tfs_access_set(a, c, set) && (s->index == UINT32_MAX || tfs_access_node(a->model, c, s->index));
}

bool tfs_access_all(const struct tfs_access *a, const struct tfs_caller *c)
{
	for (uint32_t i = 0; i < a->model->n_sets; i++)
		if (!tfs_access_set(a, c, i))
			return false;
	return true;
}

/* --- Attributes ------------------------------------------------------------------------------------------------------ */

static mode_t bits_for(const struct tfs_needs *n, mode_t bits)
{
	unsigned who = n->any ? n->allows : EVERYBODY;
	return (who & OWNER ? bits & 0700 : 0) | (who & GROUP ? bits & 0070 : 0) | (who & OTHERS ? bits & 0007 : 0);
}

static void set_attr(const struct tfs_needs *n, mode_t bits, struct stat *st)
{
	st->st_mode = (st->st_mode & S_IFMT) | bits_for(n, bits);
	if (n->any) {
		st->st_uid = n->uid;
		st->st_gid = n->gid;
	}
}

void tfs_access_attr_tensor(const struct tfs_access *a, uint32_t set, uint32_t tensor, struct stat *st)
{
	struct tfs_needs n = needs_of_tensor(a, set, tensor);
	set_attr(&n, 0444, st);
}

void tfs_access_attr_set(const struct tfs_access *a, uint32_t set, struct stat *st)
{
	set_attr(&a->sets[set].needs, 0444, st);
}

void tfs_access_attr_all(const struct tfs_access *a, struct stat *st)
{
	static const struct tfs_needs nothing = { 0 }; /* the text leaves out what the caller may not read */
	set_attr(a->all.mixed ? &nothing : &a->all.needs, 0444, st);
}

void tfs_access_attr_dir(const struct tfs_access *a, uint32_t set, struct stat *st)
{
	static const struct tfs_needs nothing = { 0 };
	set_attr(a->sets[set].mixed ? &nothing : &a->sets[set].needs, 0755, st);
}

mode_t tfs_access_dir_mode(mode_t mode)
{
	return (mode & 0555) | (mode & 0400) >> 1;
}
