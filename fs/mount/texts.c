/* SPDX-License-Identifier: MIT */
#include "mount/texts.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/container.h"
#include "base/json-write.h"

enum { BUCKETS = 256 };

/* One that was ever asked for; its number is limited by that of weight sets. */
struct entry {
	struct tfs_text pub; /* text NULL: not there */
	struct tfs_texts *texts;
	struct making *making; /* NULL: it isn't being made */
	struct entry *next;    /* of the bucket */
	struct tfs_list kept;
	struct tfs_inode inode;
	uint64_t ino, size;
	bool size_known;
	unsigned refs; /* of those who have it, and of the work that made it, until that is over */
	uid_t uid;     /* who had it made */
	uint64_t bytes, charged;
};

struct making {
	struct tfs_work work;
	struct tfs_json_guard guard;
	struct entry *of;
};

struct tfs_texts {
	struct tfs_fs *fs;
	pthread_mutex_t lock; /* guards all below; that of the works and the loader's are taken under it */
	struct entry *buckets[BUCKETS];
	struct tfs_list kept; /* that nobody has, the oldest first */
	uint64_t bytes, kept_bytes, overdraft;
};

static struct entry *find(struct tfs_texts *t, uint64_t ino)
{
	struct entry *e = t->buckets[(ino ^ ino >> 40) % BUCKETS];

	while (e && e->ino != ino)
		e = e->next;
	return e;
}

/* --- Memory; the lock is held ---------------------------------------------------------------------------------------- */

static void release(struct tfs_texts *t, struct entry *e, uint64_t to)
{
	const uint64_t less = e->bytes - to, uncharged = e->bytes - e->charged;
	const uint64_t from_overdraft = less < uncharged ? less : uncharged;

	t->bytes -= less;
	t->overdraft -= from_overdraft;
	e->bytes = to;
	e->charged -= less - from_overdraft;
	if (less > from_overdraft)
		tfs_loader_give_back(t->fs->loader, less - from_overdraft);
}

static void forget_text(struct tfs_texts *t, struct entry *e)
{
	free((char *)e->pub.text);
	e->pub.text = NULL;
	release(t, e, 0);
}

/* The oldest that nobody has. False: there is none. */
static bool drop_kept(struct tfs_texts *t)
{
	struct entry *e = tfs_list_first(&t->kept, struct entry, kept);

	if (!e)
		return false;
	tfs_list_remove(&e->kept);
	t->kept_bytes -= e->bytes;
	forget_text(t, e);
	return true;
}

static uint64_t bytes_of_user(struct tfs_texts *t, uid_t uid)
{
	uint64_t n = 0;

	for (int i = 0; i < BUCKETS; i++)
		for (struct entry *e = t->buckets[i]; e; e = e->next)
			n += e->uid == uid ? e->bytes : 0;
	return n;
}

static int charge(struct tfs_texts *t, struct entry *e, uint64_t more)
{
	const uint64_t budget = t->fs->options->loader.memory;

	/* Whoever mounted it decides about the memory; and a small text is anybody's. */
	if (e->uid != t->fs->mounter.uid && e->bytes + more > TFS_TEXTS_SMALL &&
	    bytes_of_user(t, e->uid) + more > budget / TFS_TEXTS_USER_SHARE)
		return -ENOMEM;
	bool lent;
	while (!(lent = tfs_loader_lend(t->fs->loader, more)) && drop_kept(t))
		;
	if (!lent && (e->bytes + more > TFS_TEXTS_SMALL || t->overdraft + more > TFS_TEXTS_OVERDRAFT))
		return -ENOMEM;
	e->bytes += more;
	if (lent)
		e->charged += more;
	else
		t->overdraft += more;
	t->bytes += more;
	return 0;
}

static int grow(struct tfs_json_guard *g, size_t room)
{
	struct entry *e = tfs_container_of(g, struct making, guard)->of;
	struct tfs_texts *t = e->texts;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	if (room > e->bytes)
		r = charge(t, e, room - e->bytes);
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* The last who had it. */
static void keep(struct tfs_texts *t, struct entry *e)
{
	if (!e->pub.text)
		return;
	tfs_list_add(&t->kept, &e->kept);
	t->kept_bytes += e->bytes;
	while (t->kept_bytes > t->fs->options->loader.memory / TFS_TEXTS_KEPT_SHARE)
		drop_kept(t);
}

static void take(struct tfs_texts *t, struct entry *e)
{
	if (!e->refs++ && e->pub.text) {
		tfs_list_remove(&e->kept);
		t->kept_bytes -= e->bytes;
	}
}

/* @e (NULL: none), with a reference, if its text is there, and somebody has it if @open; else NULL. */
static struct entry *get(struct tfs_texts *t, struct entry *e, bool open)
{
	if (!e || !e->pub.text || (open && !e->refs))
		return NULL;
	take(t, e);
	return e;
}

/* --- Making ---------------------------------------------------------------------------------------------------------- */

static int make(struct tfs_work *w)
{
	struct making *m = tfs_container_of(w, struct making, work);
	struct entry *e = m->of;
	struct tfs_texts *t = e->texts;
	char *text = NULL;
	size_t len = 0;
	int r;

	if (e->pub.text) { /* nobody else changes that meanwhile */
		r = tfs_tree_text_check(t->fs->tree, e->inode);
		pthread_mutex_lock(&t->lock);
		if (r)
			forget_text(t, e);
		pthread_mutex_unlock(&t->lock);
		return r;
	}
	r = tfs_tree_text(t->fs->tree, e->inode, &m->guard, &text, &len);
	pthread_mutex_lock(&t->lock);
	if (r) {
		release(t, e, 0);
	} else {
		release(t, e, len < e->bytes ? len : e->bytes);
		e->pub = (struct tfs_text){ text, len };
		e->size = len;
		e->size_known = true;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

static void made(struct tfs_work *w, int result)
{
	struct entry *e = tfs_container_of(w, struct making, work)->of;

	(void)result;
	pthread_mutex_lock(&e->texts->lock);
	e->making = NULL;
	pthread_mutex_unlock(&e->texts->lock);
}

static void put(struct tfs_texts *t, struct entry *e)
{
	pthread_mutex_lock(&t->lock);
	if (!--e->refs)
		keep(t, e);
	pthread_mutex_unlock(&t->lock);
}

static void end_making(struct tfs_work *w)
{
	struct making *m = tfs_container_of(w, struct making, work);

	put(m->of->texts, m->of);
	free(m);
}

/* The lock is held. */
static struct entry *add_entry(struct tfs_texts *t, struct tfs_inode inode)
{
	struct entry *e = calloc(1, sizeof *e);

	if (!e)
		return NULL;
	e->texts = t;
	e->inode = inode;
	e->ino = tfs_ino_pack(inode);
	tfs_list_init(&e->kept);
	struct entry **bucket = &t->buckets[(e->ino ^ e->ino >> 40) % BUCKETS];
	e->next = *bucket;
	*bucket = e;
	return e;
}

/* The lock is held: nobody has @e, and nobody is making it. False: out of memory. */
static bool begin_making(struct tfs_texts *t, struct entry *e, uid_t uid)
{
	struct making *m = malloc(sizeof *m);

	if (!m)
		return false;
	*m = (struct making){
		.work = { .run = make, .done = made, .free = end_making, .shared = true },
		.guard = { &m->work.abandoned, grow },
		.of = e,
	};
	tfs_work_init(&m->work);
	e->making = m;
	take(t, e);
	if (!e->pub.text)
		e->uid = uid;
	return true;
}

void tfs_texts_make(struct tfs_texts *t, struct tfs_inode inode, struct tfs_asking *a)
{
	struct making *begun = NULL;
	bool joined = false;

	pthread_mutex_lock(&t->lock);
	struct entry *e = find(t, tfs_ino_pack(inode)), *there = e && e->making ? NULL : get(t, e, true);
	if (!e)
		e = add_entry(t, inode);
	if (there)
		;
	else if (e && e->making)
		joined = tfs_work_join(&e->making->work, a);
	else if (e && begin_making(t, e, fuse_req_ctx(a->pending.req)->uid))
		begun = e->making;
	else
		e = NULL;
	pthread_mutex_unlock(&t->lock);
	if (begun)
		tfs_work_submit(&begun->work, a);
	else if (!joined)
		tfs_asking_refuse(a, there ? 0 : e ? -ECANCELED : -ENOMEM);
	if (there)
		put(t, there);
}

/* --- What is there --------------------------------------------------------------------------------------------------- */

bool tfs_texts_size(struct tfs_texts *t, struct tfs_inode inode, uint64_t *ret_size)
{
	pthread_mutex_lock(&t->lock);
	const struct entry *e = find(t, tfs_ino_pack(inode));
	bool known = e && e->size_known;
	if (known)
		*ret_size = e->size;
	pthread_mutex_unlock(&t->lock);
	return known;
}

const struct tfs_text *tfs_texts_get(struct tfs_texts *t, struct tfs_inode inode, bool open)
{
	pthread_mutex_lock(&t->lock);
	struct entry *e = find(t, tfs_ino_pack(inode));
	e = open && e && e->making ? NULL : get(t, e, open);
	pthread_mutex_unlock(&t->lock);
	return e ? &e->pub : NULL;
}

void tfs_texts_put(struct tfs_texts *t, const struct tfs_text *text)
{
	put(t, tfs_container_of(text, struct entry, pub));
}

uint64_t tfs_texts_bytes(struct tfs_texts *t)
{
	pthread_mutex_lock(&t->lock);
	uint64_t n = t->bytes;
	pthread_mutex_unlock(&t->lock);
	return n;
}

struct tfs_texts *tfs_texts_create(struct tfs_fs *fs)
{
	struct tfs_texts *t = calloc(1, sizeof *t);

	if (t) {
		t->fs = fs;
		tfs_list_init(&t->kept);
		pthread_mutex_init(&t->lock, NULL);
	}
	return t;
}

void tfs_texts_destroy(struct tfs_texts *t)
{
	if (!t)
		return;
	for (int i = 0; i < BUCKETS; i++)
		for (struct entry *e = t->buckets[i], *next; e; e = next) {
			next = e->next;
			free((char *)e->pub.text);
			free(e);
		}
	pthread_mutex_destroy(&t->lock);
	free(t);
}
