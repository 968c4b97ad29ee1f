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
	struct tfs_list all; /* guarded by the lock, as are the private fields of all */
};

struct tfs_staging_pool *tfs_staging_pool_create(const struct tfs_staging_memory *memory)
{
	struct tfs_staging_pool *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->memory = *memory;
	tfs_list_init(&s->all);
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
	tfs_list_each(struct tfs_staging, sp, &s->all, link) {
		drop_part(s, sp);
		free(sp);
	}
	pthread_cond_destroy(&s->given_back);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct tfs_staging *find(struct tfs_staging_pool *s, const struct tfs_tensor *t)
{
	tfs_list_each(struct tfs_staging, sp, &s->all, link)
		if (sp->tensor == t)
			return sp;
	return NULL;
}

struct tfs_staging *tfs_staging_take(struct tfs_staging_pool *s, const struct tfs_tensor *t)
{
	struct tfs_staging *sp;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		sp = find(s, t);
		if (!sp || !sp->busy)
			break;
		pthread_cond_wait(&s->given_back, &s->lock);
	}
	if (!sp && (sp = calloc(1, sizeof *sp))) {
		sp->tensor = t;
		tfs_list_add_first(&s->all, &sp->link);
	}
	if (sp)
		sp->busy = true;
	pthread_mutex_unlock(&s->lock);
	return sp;
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
		tfs_list_remove(&sp->link);
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

bool tfs_staging_pool_trim(struct tfs_staging_pool *s, int seconds)
{
	struct tfs_list old;
	double t = tfs_now();

	tfs_list_init(&old);
	pthread_mutex_lock(&s->lock);
	tfs_list_each(struct tfs_staging, sp, &s->all, link)
		if (!sp->busy && t - sp->used_at >= seconds) {
			tfs_list_remove(&sp->link);
			tfs_list_add_first(&old, &sp->link);
		}
	const bool left = !tfs_list_is_empty(&s->all);
	pthread_mutex_unlock(&s->lock);
	tfs_list_each(struct tfs_staging, sp, &old, link) {
		drop_part(s, sp);
		free(sp);
	}
	return left;
}
