/* SPDX-License-Identifier: MIT */
#include "model/seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

/* Where @id is, or where it would be added. At most half of the slots are used, so there is a free one. */
static size_t slot_of(const struct tfs_seen *s, const struct tfs_node *nodes, const struct tfs_identity *id)
{
	/* Multiplicative hashing (Knuth, 6.4): inodes of one directory are often neighbours. */
	uint64_t hash = ((uint64_t)id->ino ^ (uint64_t)id->dev << 32) * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = hash >> 32 & (s->room - 1);

	while (s->slots[i] != UINT32_MAX && !tfs_identity_same(&nodes[s->slots[i]].id, id))
		i = (i + 1) & (s->room - 1);
	return i;
}

static int grow(struct tfs_seen *s, const struct tfs_node *nodes)
{
	struct tfs_seen more = { .n = s->n, .room = s->room ? s->room * 2 : FIRST_ROOM };

	more.slots = reallocarray(NULL, more.room, sizeof *more.slots);
	if (!more.slots)
		return -ENOMEM;
	memset(more.slots, 0xff, more.room * sizeof *more.slots);
	for (size_t i = 0; i < s->room; i++)
		if (s->slots[i] != UINT32_MAX)
			more.slots[slot_of(&more, nodes, &nodes[s->slots[i]].id)] = s->slots[i];
	free(s->slots);
	*s = more;
	return 0;
}

int tfs_seen_add(struct tfs_seen *s, const struct tfs_node *nodes, uint32_t node)
{
	int r = s->n < s->room / 2 ? 0 : grow(s, nodes);

	if (r)
		return r;
	size_t at = slot_of(s, nodes, &nodes[node].id);
	if (s->slots[at] == UINT32_MAX) {
		s->slots[at] = node;
		s->n++;
	}
	return 0;
}

uint32_t tfs_seen_find(const struct tfs_seen *s, const struct tfs_node *nodes, const struct tfs_identity *id)
{
	return s->n ? s->slots[slot_of(s, nodes, id)] : UINT32_MAX;
}

void tfs_seen_fini(struct tfs_seen *s)
{
	free(s->slots);
	*s = (struct tfs_seen){ 0 };
}
