/* SPDX-License-Identifier: MIT */
#include "opened.h"

static struct tfs_opened_stripe *stripe_of(struct tfs_opened_table *t, uint64_t ino)
{
	return &t->stripes[(ino ^ ino >> 32) % TFS_OPENED_STRIPES];
}

void tfs_opened_init(struct tfs_opened_table *t)
{
	for (int i = 0; i < TFS_OPENED_STRIPES; i++) {
		pthread_mutex_init(&t->stripes[i].lock, NULL);
		t->stripes[i].first = NULL;
	}
}

void tfs_opened_fini(struct tfs_opened_table *t)
{
	for (int i = 0; i < TFS_OPENED_STRIPES; i++)
		pthread_mutex_destroy(&t->stripes[i].lock);
}

struct tfs_opened *tfs_opened_lock(struct tfs_opened_table *t, uint64_t ino)
{
	struct tfs_opened_stripe *s = stripe_of(t, ino);
	pthread_mutex_lock(&s->lock);
	struct tfs_opened *o = s->first;
	while (o && o->ino != ino)
		o = o->next;
	return o;
}

void tfs_opened_unlock(struct tfs_opened_table *t, uint64_t ino)
{
	pthread_mutex_unlock(&stripe_of(t, ino)->lock);
}

void tfs_opened_add(struct tfs_opened_table *t, struct tfs_opened *o)
{
	struct tfs_opened_stripe *s = stripe_of(t, o->ino);
	o->opens = 1;
	o->next = s->first;
	s->first = o;
}

static void take_out(struct tfs_opened_stripe *s, struct tfs_opened *o)
{
	struct tfs_opened **p = &s->first;
	while (*p != o)
		p = &(*p)->next;
	*p = o->next;
}

struct tfs_opened *tfs_opened_put(struct tfs_opened_table *t, struct tfs_opened *o)
{
	struct tfs_opened_stripe *s = stripe_of(t, o->ino);
	pthread_mutex_lock(&s->lock);
	struct tfs_opened *last = --o->opens ? NULL : o;
	if (last)
		take_out(s, o);
	pthread_mutex_unlock(&s->lock);
	return last;
}

struct tfs_opened *tfs_opened_pop(struct tfs_opened_table *t)
{
	for (int i = 0; i < TFS_OPENED_STRIPES; i++) {
		struct tfs_opened_stripe *s = &t->stripes[i];
		pthread_mutex_lock(&s->lock);
		struct tfs_opened *o = s->first;
		if (o)
			s->first = o->next;
		pthread_mutex_unlock(&s->lock);
		if (o)
			return o;
	}
	return NULL;
}
