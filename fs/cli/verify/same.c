/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "cli/verify/impl.h"

/* A name of a file. */
struct name {
	const struct tfs_identity *id;
	uint32_t node;
	unsigned rank; /* the lowest is checked */
};

/* What has tensors, by which damage is found; then links, which have telling names, while a blob's is its hash. */
static unsigned rank_of(const struct tfs_model *m, uint32_t node)
{
	return m->is_source[node] ? 0 : m->nodes[node].link ? 1 : 2;
}

static int compare(const void *a, const void *b)
{
	const struct name *s = a, *t = b;
	int c = (s->id->dev > t->id->dev) - (s->id->dev < t->id->dev);

	c = c ? c : (s->id->ino > t->id->ino) - (s->id->ino < t->id->ino);
	c = c ? c : (s->rank > t->rank) - (s->rank < t->rank);
	return c ? c : (s->node > t->node) - (s->node < t->node);
}

int tfs_verify_same(struct tfs_verify *v)
{
	const struct tfs_model *m = v->arg.model;
	cleanup_free struct name *names = calloc(m->n_nodes, sizeof *names);
	size_t n = 0;

	v->same = calloc(m->n_nodes, sizeof *v->same);
	if (!names || !v->same)
		return -ENOMEM;
	for (uint32_t node = 0; node < m->n_nodes; node++) {
		v->same[node] = node;
		if (S_ISREG(m->nodes[node].mode))
			names[n++] = (struct name){ &m->nodes[node].id, node, rank_of(m, node) };
	}
	qsort(names, n, sizeof *names, compare);
	for (size_t i = 1; i < n; i++)
		if (tfs_identity_unchanged(names[i].id, names[i - 1].id))
			v->same[names[i].node] = v->same[names[i - 1].node];
	return 0;
}
