/* SPDX-License-Identifier: MIT */
#include "mount/kept.h"

#include <stdlib.h>

enum { BUCKETS = 1 << 14 };

struct tfs_kept_entry {
	struct tfs_kept_entry *next;
	uint64_t name;
	int id;
};

void tfs_kept_init(struct tfs_kept *k)
{
	*k = (struct tfs_kept){ .n = 0 };
	pthread_mutex_init(&k->lock, NULL);
}

void tfs_kept_fini(struct tfs_kept *k)
{
	for (size_t i = 0; k->buckets && i < BUCKETS; i++)
		for (struct tfs_kept_entry *e = k->buckets[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	free(k->buckets);
	pthread_mutex_destroy(&k->lock);
}

/* Where the entry of @name is, or would be, linked. The lock is held. Names are numbers that count up. */
static struct tfs_kept_entry **place_of(struct tfs_kept *k, uint64_t name)
{
	struct tfs_kept_entry **p = &k->buckets[name % BUCKETS];

	while (*p && (*p)->name != name)
		p = &(*p)->next;
	return p;
}

int tfs_kept_find(struct tfs_kept *k, uint64_t name)
{
	pthread_mutex_lock(&k->lock);
	const struct tfs_kept_entry *e = k->buckets ? *place_of(k, name) : NULL;
	int id = e ? e->id : 0;
	pthread_mutex_unlock(&k->lock);
	return id;
}

bool tfs_kept_add(struct tfs_kept *k, uint64_t name, int id)
{
	struct tfs_kept_entry *e = malloc(sizeof *e);
	bool added = false;

	if (!e)
		return false;
	pthread_mutex_lock(&k->lock);
	if (!k->buckets)
		k->buckets = calloc(BUCKETS, sizeof(struct tfs_kept_entry *));
	if (k->buckets && k->n < TFS_KEPT_MAX) {
		struct tfs_kept_entry **p = place_of(k, name);

		added = !*p;
		if (added) {
			*e = (struct tfs_kept_entry){ .name = name, .id = id };
			*p = e;
			k->n++;
		}
	}
	pthread_mutex_unlock(&k->lock);
	if (!added)
		free(e);
	return added;
}

bool tfs_kept_is_full(struct tfs_kept *k)
{
	pthread_mutex_lock(&k->lock);
	bool full = k->n == TFS_KEPT_MAX;
	pthread_mutex_unlock(&k->lock);
	return full;
}

int tfs_kept_take(struct tfs_kept *k, uint64_t name)
{
	struct tfs_kept_entry *e = NULL;
	int id = 0;

	pthread_mutex_lock(&k->lock);
	if (k->buckets) {
		struct tfs_kept_entry **p = place_of(k, name);

		e = *p;
		if (e) {
			*p = e->next;
			id = e->id;
			k->n--;
		}
	}
	pthread_mutex_unlock(&k->lock);
	free(e);
	return id;
}
