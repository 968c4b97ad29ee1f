/* SPDX-License-Identifier: MIT */
#include "mount/snapshots.h"

#include <errno.h>
#include <stdlib.h>

void tfs_snapshots_init(struct tfs_snapshots *t)
{
	*t = (struct tfs_snapshots){ 0 };
	pthread_mutex_init(&t->lock, NULL);
}

void tfs_snapshot_free(struct tfs_snapshot *s)
{
	if (!s)
		return;
	tfs_caller_fini(&s->caller);
	free(s->text);
	free(s);
}

void tfs_snapshots_fini(struct tfs_snapshots *t)
{
	for (int i = 0; i < TFS_SNAPSHOT_BUCKETS; i++)
		for (struct tfs_snapshot *s = t->buckets[i], *next; s; s = next) {
			next = s->next;
			tfs_snapshot_free(s);
		}
	pthread_mutex_destroy(&t->lock);
}

/* The link to the one with @serial, or the end of its bucket. The lock is held. */
static struct tfs_snapshot **place_of(struct tfs_snapshots *t, uint32_t serial)
{
	struct tfs_snapshot **p = &t->buckets[serial % TFS_SNAPSHOT_BUCKETS];
	while (*p && (*p)->serial != serial)
		p = &(*p)->next;
	return p;
}

static uint64_t cost_of(const struct tfs_snapshot *s)
{
	return TFS_SNAPSHOT_COST + s->caller.n_groups * sizeof *s->caller.groups + (s->text ? s->size : 0);
}

/* May @s be added, too? The lock is held. */
static bool has_room(const struct tfs_snapshots *t, const struct tfs_snapshot *s)
{
	const uint64_t half = TFS_SNAPSHOTS_MAX / 2;
	uint64_t n = cost_of(s);

	if (t->bytes + n <= half)
		return true;
	if (t->bytes + n > TFS_SNAPSHOTS_MAX)
		return false;
	for (int i = 0; i < TFS_SNAPSHOT_BUCKETS; i++)
		for (const struct tfs_snapshot *other = t->buckets[i]; other; other = other->next)
			n += other->caller.uid == s->caller.uid ? cost_of(other) : 0;
	return n <= half;
}

int tfs_snapshots_add(struct tfs_snapshots *t, struct tfs_snapshot *s, uint32_t *ret_serial)
{
	struct tfs_snapshot **p;

	pthread_mutex_lock(&t->lock);
	if (!has_room(t, s)) {
		pthread_mutex_unlock(&t->lock);
		return -ENOMEM;
	}
	t->bytes += cost_of(s);
	/* After four billion of them, one that is still open may have the number. */
	do
		p = place_of(t, ++t->last);
	while (!t->last || *p);
	*ret_serial = s->serial = t->last;
	s->refs = 1;
	s->next = NULL;
	*p = s;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

const struct tfs_snapshot *tfs_snapshots_get(struct tfs_snapshots *t, uint32_t serial)
{
	pthread_mutex_lock(&t->lock);
	struct tfs_snapshot *s = *place_of(t, serial);
	if (s)
		s->refs++;
	pthread_mutex_unlock(&t->lock);
	return s;
}

void tfs_snapshots_put(struct tfs_snapshots *t, uint32_t serial, uint64_t n)
{
	struct tfs_snapshot *gone = NULL;

	pthread_mutex_lock(&t->lock);
	struct tfs_snapshot **p = place_of(t, serial);
	if (*p && (*p)->refs > n) {
		(*p)->refs -= n;
	} else if (*p) {
		gone = *p;
		*p = gone->next;
		t->bytes -= cost_of(gone);
	}
	pthread_mutex_unlock(&t->lock);
	tfs_snapshot_free(gone);
}
