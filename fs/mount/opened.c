/* SPDX-License-Identifier: MIT */
#include "mount/opened.h"

#include <stdlib.h>

const struct tfs_streamed_info tfs_streamed[TFS_STREAMED_REASONS] = {
	[TFS_STREAMED_NO_PASSTHROUGH] = { "opens_streamed_no_passthrough", "of these, since this mount has no passthrough", NULL },
	[TFS_STREAMED_TOO_LARGE] = { "opens_streamed_too_large", "of these, of files larger than the memory budget",
				     "larger than the memory budget" },
	[TFS_STREAMED_NO_ROOM] = { "opens_streamed_no_room", "of these, since everything in the memory budget was in use",
				   "no room: everything in the memory budget is in use" },
	[TFS_STREAMED_OPEN_WAIT] = { "opens_streamed_open_wait", "of these, since loading takes longer than --open-wait",
				     "loading takes longer than --open-wait" },
	[TFS_STREAMED_REFUSED] = { "opens_streamed_refused", "of these, since the kernel refused the backing file",
				   "the kernel refused its backing file" },
	[TFS_STREAMED_MADE_UP] = { "opens_streamed_made_up", "of these, of files that are generated as they are read",
				   "generated as it is read" },
	[TFS_STREAMED_REMOTE] = { "opens_streamed_remote",
				  "of these, of original files of a remote model that aren't all in the cache",
				  "not all of it is in the cache yet" },
};

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

struct tfs_opened *tfs_opened_create(uint64_t ino, enum tfs_open_mode mode)
{
	struct tfs_opened *o = calloc(1, sizeof *o);
	if (o) {
		o->ino = ino;
		o->mode = mode;
		o->fd = -1;
	}
	return o;
}
