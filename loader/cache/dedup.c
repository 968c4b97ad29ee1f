/* SPDX-License-Identifier: MIT */
/* Files that are looked at without being used, and files of equal content, which share a backing file. */
#include "cache/residency-impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/thread.h"

/* --- Looking -------------------------------------------------------------------------------------------------------- */

int tfs_residency_borrow(struct tfs_residency *rs, struct tfs_file_id id)
{
	uint64_t backing = 0;

	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	bool resident = e && e->state == TFS_RESIDENT;
	if (resident) {
		e->borrowed++;
		backing = e->backing;
	}
	pthread_mutex_unlock(&rs->lock);
	if (!resident)
		return -ENOENT;
	int fd = tfs_store_reader(rs->store, backing);
	if (fd < 0)
		tfs_residency_give_back(rs, id);
	return fd;
}

static void give_back(struct tfs_entry *e)
{
	assert(e && e->borrowed);
	if (!--e->borrowed)
		e->reopened = false;
}

void tfs_residency_give_back(struct tfs_residency *rs, struct tfs_file_id id)
{
	pthread_mutex_lock(&rs->lock);
	give_back(tfs_entry_find(rs, id));
	pthread_mutex_unlock(&rs->lock);
}

bool tfs_residency_is_resident(struct tfs_residency *rs, struct tfs_file_id id)
{
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	bool resident = e && (e->state == TFS_RESIDENT || e->state == TFS_EVICTING);
	pthread_mutex_unlock(&rs->lock);
	return resident;
}

/* --- Duplicates; the lock is held ---------------------------------------------------------------------------------------- */

static struct duplicate **bucket_of(const struct tfs_residency *rs, uint32_t set, uint32_t tensor)
{
	uint64_t h = ((uint64_t)set << 32 | tensor) * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
	return &rs->duplicates[(h >> 32) & (rs->n_duplicate_buckets - 1)];
}

static struct duplicate *find_duplicate(const struct tfs_residency *rs, struct tfs_file_id id)
{
	struct duplicate *t = rs->n_duplicates ? *bucket_of(rs, id.set, id.tensor) : NULL;
	while (t && (t->tensor != id.tensor || t->set != id.set))
		t = t->next;
	return t;
}

static bool grow(struct tfs_residency *rs)
{
	size_t old_n = rs->n_duplicate_buckets, n = old_n ? old_n * 2 : 64;
	struct duplicate **old = rs->duplicates, **fresh = calloc(n, sizeof *fresh);
	if (!fresh)
		return old_n; /* longer chains, nothing worse, if there are any */
	rs->duplicates = fresh;
	rs->n_duplicate_buckets = n;
	for (size_t i = 0; i < old_n; i++)
		for (struct duplicate *t = old[i], *next; t; t = next) {
			struct duplicate **b = bucket_of(rs, t->set, t->tensor);
			next = t->next;
			t->next = *b;
			*b = t;
		}
	free(old);
	return true;
}

/* The tensor's duplicate in @group; NULL: out of memory. */
static struct duplicate *add_duplicate(struct tfs_residency *rs, struct tfs_file_id id, struct group *group)
{
	if (rs->n_duplicates >= rs->n_duplicate_buckets && !grow(rs))
		return NULL;
	struct duplicate *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	struct duplicate **b = bucket_of(rs, id.set, id.tensor);
	t->set = id.set;
	t->tensor = id.tensor;
	t->group = group;
	group->members++;
	t->next = *b;
	*b = t;
	rs->n_duplicates++;
	return t;
}

void tfs_duplicates_free(struct tfs_residency *rs)
{
	for (size_t i = 0; i < rs->n_duplicate_buckets; i++)
		for (struct duplicate *t = rs->duplicates[i], *next; t; t = next) {
			next = t->next;
			if (!--t->group->members)
				free(t->group);
			free(t);
		}
	free(rs->duplicates);
}

/* Tensors of equal bytes: are their files in the view equal too? */
static bool are_alike(const struct tfs_residency *rs, const struct tfs_entry *a, const struct tfs_entry *b)
{
	const struct tfs_tensor *s = tfs_entry_tensor(rs, a->id), *t = tfs_entry_tensor(rs, b->id);
	return a->id.view == TFS_RAW ||
	       (s->dtype == t->dtype && s->ndim == t->ndim && !memcmp(s->shape, t->shape, s->ndim * sizeof *s->shape));
}

static bool have_one_file(const struct tfs_entry *a, const struct tfs_entry *b)
{
	return a == b || (tfs_entry_is_shared(a) && a->backing == b->backing);
}

bool tfs_entry_share(struct tfs_residency *rs, struct tfs_entry *e)
{
	struct duplicate *t = e->state == TFS_ABSENT || e->state == TFS_FAILED ? find_duplicate(rs, e->id) : NULL;
	struct tfs_entry *at = t && t->same ? t->group->at[e->id.view] : NULL;

	if (!at || at->state != TFS_RESIDENT || !are_alike(rs, at, e))
		return false;
	e->duplicate = t;
	e->cost = at->cost;
	e->failure = 0;
	e->wanted = e->holds;
	e->tested = 0;
	tfs_entry_ring_join(rs, at, e);
	tfs_entry_set_state(rs, e, TFS_RESIDENT);
	if (!e->holds)
		tfs_entry_lru_add(rs, e);
	return true;
}

bool tfs_entry_has_duplicate(struct tfs_residency *rs, struct tfs_entry *e)
{
	struct duplicate *t = find_duplicate(rs, e->id);
	if (!t || t->other)
		return false;

	struct group *g = t->group;
	struct tfs_entry **at = &g->at[e->id.view];
	e->duplicate = t;
	if (*at && (*at)->state == TFS_RESIDENT)
		return !have_one_file(e, *at) && are_alike(rs, e, *at) && (t->same || e->id.view == TFS_RAW);
	if (!g->rooted && e->id.view == TFS_RAW)
		g->rooted = t->same = true;
	if (t->same)
		*at = e;
	return false;
}

/* --- Merging -------------------------------------------------------------------------------------------------------- */

void tfs_residency_on_duplicate(struct tfs_residency *rs, tfs_duplicate_fn *on_duplicate, void *arg)
{
	rs->on_duplicate = on_duplicate;
	rs->on_duplicate_arg = arg;
}

bool tfs_residency_add_duplicate(struct tfs_residency *rs, struct tfs_file_id a, struct tfs_file_id b)
{
	bool due = false;

	pthread_mutex_lock(&rs->lock);
	struct duplicate *t = find_duplicate(rs, a);
	struct group *fresh = t ? NULL : calloc(1, sizeof *fresh);
	if (fresh && !(t = add_duplicate(rs, a, fresh)))
		free(fresh);
	if (t && !find_duplicate(rs, b) && add_duplicate(rs, b, t->group))
		/* What was resident before it was known. */
		for (int i = 0; i < 2; i++)
			for (int v = 0; v < TFS_VIEW_IDS; v++) {
				struct tfs_file_id id = { i ? b.set : a.set, i ? b.tensor : a.tensor, (enum tfs_view_id)v };
				struct tfs_entry *e = tfs_entry_find(rs, id);
				if (e && e->state == TFS_RESIDENT)
					due |= tfs_entry_has_duplicate(rs, e);
			}
	pthread_mutex_unlock(&rs->lock);
	return due;
}

/* Without the lock. 1: equal; 0: not; or -errno. */
static int compare(struct tfs_residency *rs, uint64_t a, uint64_t b, uint64_t size, bool (*stop)(void *arg), void *arg)
{
	cleanup_fd int fd = tfs_store_reader(rs->store, a), other_fd = tfs_store_reader(rs->store, b);
	uint8_t *map = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	uint8_t *other = other_fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, other_fd, 0);
	int r = map == MAP_FAILED || other == MAP_FAILED ? -ENOMEM : 1;

	for (uint64_t at = 0; at < size && r == 1; at += TFS_CHUNK) {
		if (memcmp(map + at, other + at, size - at < TFS_CHUNK ? size - at : TFS_CHUNK) != 0)
			r = 0;
		else if (stop(arg))
			r = -ECANCELED;
	}
	if (map != MAP_FAILED)
		munmap(map, size);
	if (other != MAP_FAILED)
		munmap(other, size);
	return r;
}

/*
 * Give @e, which is borrowed, the backing file of @of, which is too and has the same bytes. The lock is held, and given up in
 * between. False: somebody has @e open or mapped.
 */
static bool replace(struct tfs_residency *rs, struct tfs_entry *e, struct tfs_entry *of)
{
	uint64_t old = e->backing;

	tfs_assert_held(&rs->lock);
	if (e->holds || e->borrowed > 1 || tfs_entry_is_shared(e))
		return false;
	e->reopened = false;
	pthread_mutex_unlock(&rs->lock);
	bool mapped = tfs_store_in_use(rs->store, old);
	pthread_mutex_lock(&rs->lock);
	if (mapped || e->holds || e->reopened || e->borrowed > 1 || tfs_entry_is_shared(e))
		return false;
	tfs_entry_ring_join(rs, of, e);
	e->duplicate->group->at[e->id.view] = of;
	pthread_mutex_unlock(&rs->lock);
	tfs_store_remove(rs->store, old);
	pthread_mutex_lock(&rs->lock);
	rs->stats.used -= e->cost; /* only now is the memory really free */
	return true;
}

static void merge(struct tfs_residency *rs, struct tfs_entry *e, bool (*stop)(void *arg), void *arg)
{
	struct duplicate *t = e->duplicate;
	struct tfs_entry *at = t->group->at[e->id.view];

	e->borrowed++;
	at->borrowed++;
	if (!t->same) {
		uint64_t size = tfs_file_layout(rs->model, e->id).size, a = e->backing, b = at->backing;
		pthread_mutex_unlock(&rs->lock);
		int c = compare(rs, a, b, size, stop, arg);
		pthread_mutex_lock(&rs->lock);
		t->same |= c == 1;
		t->other |= c == 0;
	}
	if (t->same && !replace(rs, e, at))
		replace(rs, at, e);
	give_back(e);
	give_back(at);
}

void tfs_residency_merge(struct tfs_residency *rs, struct tfs_file_id id, bool (*stop)(void *arg), void *arg)
{
	pthread_mutex_lock(&rs->lock);
	struct duplicate *t = find_duplicate(rs, id);
	struct tfs_entry *root = t ? t->group->at[TFS_RAW] : NULL;
	if (root && root->duplicate == t && tfs_entry_is_shared(root))
		root = tfs_container_of(root->ring.next, struct tfs_entry, ring);
	/* The one that it is compared with may have files in other views too, from when nothing was known. */
	struct tfs_file_id ids[] = { root ? root->id : id, id };
	for (int v = 0; t && v < TFS_VIEW_IDS; v++) {
		for (int i = 0; i < 2; i++) {
			ids[i].view = (enum tfs_view_id)v;
			struct tfs_entry *e = tfs_entry_find(rs, ids[i]);
			if (e && e->state == TFS_RESIDENT && tfs_entry_has_duplicate(rs, e))
				merge(rs, e, stop, arg);
		}
	}
	pthread_mutex_unlock(&rs->lock);
}
