/* SPDX-License-Identifier: MIT */
#include "content/staging.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"

/*
 * If others need memory, staging buffers unused for this many seconds are released. A load is faster than that, unless it is a
 * prefetch that has to yield to others.
 */
enum { STALE_SECONDS = 10 };

struct tfs_staging_pool {
	struct tfs_staging_memory memory;
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	struct tfs_staging *first; /* guarded by the lock, as are the private fields of all */
};

struct tfs_staging_pool *tfs_staging_pool_create(const struct tfs_staging_memory *memory)
{
	struct tfs_staging_pool *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->memory = *memory;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->given_back, NULL);
	return s;
}

/* Memory for a part of @bytes. */
static void give(struct tfs_staging_pool *s, uint64_t bytes)
{
	if (s->memory.give && bytes)
		s->memory.give(s->memory.arg, bytes);
}

static void drop_part(struct tfs_staging_pool *s, struct tfs_staging *sp)
{
	if (!sp->buf)
		return;
	tfs_buffer_destroy(sp->buf, sp->part.bytes);
	give(s, sp->part.bytes);
	sp->buf = NULL;
}

void tfs_staging_pool_destroy(struct tfs_staging_pool *s)
{
	if (!s)
		return;
	while (s->first) {
		struct tfs_staging *sp = s->first;

		s->first = sp->next;
		drop_part(s, sp);
		free(sp);
	}
	pthread_cond_destroy(&s->given_back);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct tfs_staging *tfs_staging_take(struct tfs_staging_pool *s, const struct tfs_tensor *t)
{
	struct tfs_staging *sp;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		for (sp = s->first; sp && sp->tensor != t; sp = sp->next)
			;
		if (!sp || !sp->busy)
			break;
		pthread_cond_wait(&s->given_back, &s->lock);
	}
	if (!sp && (sp = calloc(1, sizeof *sp))) {
		sp->tensor = t;
		sp->next = s->first;
		s->first = sp;
	}
	if (sp)
		sp->busy = true;
	pthread_mutex_unlock(&s->lock);
	return sp;
}

static void unlink_staging(struct tfs_staging_pool *s, struct tfs_staging *sp)
{
	struct tfs_staging **p = &s->first;

	while (*p != sp)
		p = &(*p)->next;
	*p = sp->next;
}

void tfs_staging_give_back(struct tfs_staging_pool *s, struct tfs_staging *sp, bool keep)
{
	if (!keep)
		drop_part(s, sp);
	pthread_mutex_lock(&s->lock);
	if (sp->buf) {
		sp->busy = false;
		sp->used_at = tfs_now();
		sp = NULL;
	} else {
		unlink_staging(s, sp);
	}
	pthread_cond_broadcast(&s->given_back);
	pthread_mutex_unlock(&s->lock);
	free(sp);
}

bool tfs_staging_fit(struct tfs_staging_pool *s, struct tfs_staging *sp, const struct tfs_strided *a, uint64_t at, uint64_t least,
		     enum tfs_priority priority)
{
	uint64_t want = tfs_strided_size(a), got = want;

	drop_part(s, sp);
	if (least > want)
		least = want;
	if (s->memory.take) {
		tfs_staging_pool_trim(s, STALE_SECONDS);
		got = s->memory.take(s->memory.arg, want, least, priority);
		if (!got)
			return false;
	}
	tfs_strided_part(a, at, got, &sp->part);
	sp->buf = tfs_buffer_create(sp->part.bytes);
	give(s, sp->buf ? got - sp->part.bytes : got);
	return sp->buf;
}

void tfs_staging_pool_trim(struct tfs_staging_pool *s, int seconds)
{
	struct tfs_staging *old = NULL;
	double t = tfs_now();

	pthread_mutex_lock(&s->lock);
	for (struct tfs_staging **p = &s->first; *p;) {
		struct tfs_staging *sp = *p;

		if (sp->busy || t - sp->used_at < seconds) {
			p = &sp->next;
			continue;
		}
		*p = sp->next;
		sp->next = old;
		old = sp;
	}
	pthread_mutex_unlock(&s->lock);
	for (struct tfs_staging *next; old; old = next) {
		next = old->next;
		drop_part(s, old);
		free(old);
	}
}
