/* SPDX-License-Identifier: MIT */
#include "remote/fetcher.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "remote/packet.h"
#include "remote/spawn.h"

enum { PAGE = 4096 };

#define MEMORY_SIZE (PAGE + TFS_FETCHER_SLOTS * TFS_FETCHER_MAX)
_Static_assert(TFS_FETCHER_MAX % PAGE == 0 && TFS_FETCHER_MAX <= TFS_FETCH_MAX_READ, "slots begin at pages");

/* A fetcher that ends again and again is broken, or attacked: not started more often than this. */
enum { STARTS_MAX = 3, STARTS_SECONDS = 60 };

/*
 * For options to be understood; and beyond the fetcher's own limit, without a byte from anywhere, before it is taken for dead: a part of
 * that limit, as who waits has said how long is too long.
 */
enum { WELCOME_SECONDS = 30, GRACE_PART = 3, GRACE_MIN = 3, GRACE_MAX = 30, LOOK_SECONDS = 1 };

/* Slots keep their memory that long. */
#define IDLE_SECONDS 0.9

enum slot_state { SLOT_FREE, SLOT_SENT, SLOT_DONE };

struct slot {
	enum slot_state state;
	uint32_t use; /* counts uses: with the number of the slot, the id of a read */
	uint32_t node;
	uint64_t offset;
	uint32_t len;
	enum tfs_fetch_priority priority;
	int code;
	char *text; /* of an error; owned */
	pthread_cond_t done;
};

/* The answer to a HELLO or a LIST. */
struct reply {
	bool wanted, there;
	int code;
	uint32_t flags;
	int fd;
	char text[TFS_FETCH_MAX_TEXT + 1];
};

struct tfs_fetcher {
	/* Immutable. */
	char *hello;
	size_t hello_len;
	double timeout;
	int memory_fd;
	uint8_t *memory;

	pthread_mutex_t listing; /* one LIST at a time; taken before: */
	pthread_mutex_t lock;	 /* guards all below */
	pthread_cond_t changed;	 /* anything but a slot's answer */
	pthread_cond_t freed;	 /* a slot */
	bool stopped, starting, running;
	bool told;     /* to end, or that it will, so that it has ended needn't be said */
	bool joinable; /* reader */
	pthread_t reader;
	int socket;
	pid_t pid;
	int table_fd; /* -1: none yet */
	double starts[STARTS_MAX];
	unsigned n_starts, n_recent;
	double alive_at; /* the last sign of life */
	uint64_t bytes_then;
	struct reply reply;
	struct slot slots[TFS_FETCHER_SLOTS];
	/* Those that are free, the last used first, so that few have memory. */
	uint16_t free[TFS_FETCHER_SLOTS];
	unsigned n_free;
	bool dirty; /* some have memory */
	double released_at;
};

/* --- What arrives ------------------------------------------------------------------------------------------------------- */

static void finish_slot(struct slot *s, int code, const char *text)
{
	s->state = SLOT_DONE;
	s->code = code;
	s->text = text && code ? strdup(text) : NULL;
	pthread_cond_signal(&s->done);
}

/* 0 or -errno? */
static bool is_code(int code)
{
	return code <= 0 && code >= -4095;
}

static int take_done(struct tfs_fetcher *f, struct tfs_packet *p)
{
	const char *text = tfs_packet_text(p, sizeof p->done);
	uint32_t number = p->h.id & UINT32_MAX, use = p->h.id >> 32;
	struct slot *s = &f->slots[number < TFS_FETCHER_SLOTS ? number : 0];

	if (!text || number >= TFS_FETCHER_SLOTS || s->use != use || s->state != SLOT_SENT || !is_code(p->done.code) ||
	    (!p->done.code && p->done.len != s->len))
		return -EPROTO;
	finish_slot(s, p->done.code, text);
	return 0;
}

static int take_reply(struct tfs_fetcher *f, struct tfs_packet *p, const char *text, int code, uint32_t flags)
{
	if (!text || !is_code(code) || !f->reply.wanted || f->reply.there)
		return -EPROTO;
	f->reply.there = true;
	f->reply.code = code;
	f->reply.flags = flags;
	f->reply.fd = p->fd;
	p->fd = -1;
	snprintf(f->reply.text, sizeof f->reply.text, "%s", text);
	pthread_cond_broadcast(&f->changed);
	return 0;
}

/* 0 or -EPROTO. The lock is held. */
static int take(struct tfs_fetcher *f, struct tfs_packet *p)
{
	const char *text;

	f->alive_at = tfs_now();
	switch (p->h.type) {
	case TFS_FETCH_DONE:
		return take_done(f, p);
	case TFS_FETCH_WELCOME:
		text = tfs_packet_text(p, sizeof p->welcome);
		f->told |= p->len >= sizeof p->welcome && p->welcome.code; /* it ends by itself, and has said why */
		return take_reply(f, p, text, p->welcome.code, 0);
	case TFS_FETCH_LISTED:
		text = tfs_packet_text(p, sizeof p->listed);
		return take_reply(f, p, text, p->listed.code, p->listed.flags);
	case TFS_FETCH_WARN:
		text = tfs_packet_text(p, sizeof(struct tfs_fetch_warn));
		if (text) {
			struct tfs_error e = { 0 };

			tfs_error_set(&e, 0, TFS_NO_OFFSET, "%s", text); /* without control characters */
			tfs_log_warning("%s", e.what);
		}
		return text ? 0 : -EPROTO;
	default:
		return -EPROTO;
	}
}

/* The fetcher has ended, or is no use any more: all that waits fails. Its memory is ours again once it is gone. */
static void bury(struct tfs_fetcher *f, int why)
{
	char text[128];
	pid_t pid;

	pthread_mutex_lock(&f->lock);
	f->running = false;
	pid = f->pid;
	f->pid = 0; /* once it is waited for, the number may be another process's */
	pthread_mutex_unlock(&f->lock);
	const int status = tfs_spawn_end(pid);
	if (why == -EPROTO)
		snprintf(text, sizeof text, "tensorfs-fetch sent what we don't understand");
	else if (WIFEXITED(status))
		snprintf(text, sizeof text, "tensorfs-fetch has ended, with status %d", WEXITSTATUS(status));
	else
		snprintf(text, sizeof text, "tensorfs-fetch has ended, by signal %d", WTERMSIG(status));
	pthread_mutex_lock(&f->lock);
	if (!f->told)
		tfs_log_warning("%s", text);
	for (unsigned i = 0; i < TFS_FETCHER_SLOTS; i++)
		if (f->slots[i].state == SLOT_SENT)
			finish_slot(&f->slots[i], f->told ? -ECANCELED : -EIO, text);
	if (f->reply.wanted && !f->reply.there) {
		f->reply.there = true;
		f->reply.code = f->told ? -ECANCELED : -EIO;
		f->reply.fd = -1;
		snprintf(f->reply.text, sizeof f->reply.text, "%s", text);
	}
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* A thread for each fetcher that was started: all that it says. */
static void *listen_to(void *arg)
{
	struct tfs_fetcher *f = arg;
	struct tfs_packet *p = malloc(sizeof *p);
	int r = p ? 0 : -ENOMEM;

	while (!r) {
		r = tfs_packet_receive(f->socket, p);
		if (r == -ECONNRESET)
			break;
		if (!r) {
			pthread_mutex_lock(&f->lock);
			r = take(f, p);
			pthread_mutex_unlock(&f->lock);
		}
		if (p->fd >= 0)
			close(p->fd);
	}
	free(p);
	bury(f, r);
	return NULL;
}

/* --- Starting --------------------------------------------------------------------------------------------------------- */

/* How long it may say nothing. */
static double patience(const struct tfs_fetcher *f)
{
	double grace = f->timeout / GRACE_PART;

	return f->timeout + (grace < GRACE_MIN ? GRACE_MIN : grace > GRACE_MAX ? GRACE_MAX : grace);
}

/* Wait for the answer to what is about to be sent, or was. The lock is held. */
static void expect_reply(struct tfs_fetcher *f)
{
	f->reply = (struct reply){ .wanted = true, .fd = -1 };
}

static int wait_for_reply(struct tfs_fetcher *f, double seconds, struct tfs_error *err)
{
	double until = tfs_now() + seconds;

	while (!f->reply.there)
		if (tfs_cond_wait_until(&f->changed, &f->lock, until) && !f->reply.there) {
			if (f->pid)
				tfs_spawn_kill(f->pid);
			until = tfs_now() + 3600; /* the listener answers once it is gone */
		}
	f->reply.wanted = false;
	return f->reply.code ? tfs_error_set(err, f->reply.code, TFS_NO_OFFSET, "%s", f->reply.text) : 0;
}

/* A pair of sockets, a process, and a thread that listens to it. The lock isn't held. */
static int start_process(struct tfs_fetcher *f, struct tfs_error *err)
{
	int pair[2], r;
	pid_t pid = 0;

	if (f->joinable)
		pthread_join(f->reader, NULL);
	f->joinable = false;
	if (f->socket >= 0)
		close(f->socket);
	f->socket = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "starting tensorfs-fetch: %s", strerror(errno));
	r = tfs_spawn_fetcher(pair[1], f->memory_fd, &pid, err);
	close(pair[1]);
	pthread_mutex_lock(&f->lock);
	f->socket = pair[0];
	f->pid = pid;
	f->told = false;
	pthread_mutex_unlock(&f->lock);
	if (r)
		return r;
	r = tfs_thread_start(&f->reader, "tfs-fetch", listen_to, f);
	f->joinable = !r;
	if (!r)
		return 0;
	bury(f, -EAGAIN);
	return tfs_error_set(err, r, TFS_NO_OFFSET, "starting a thread: %s", strerror(-r));
}

static int greet(struct tfs_fetcher *f, struct tfs_error *err)
{
	struct tfs_fetch_hello hello = {
		.h = { .type = TFS_FETCH_HELLO, .text_len = (uint32_t)f->hello_len },
		.version = TFS_FETCH_VERSION,
		.memory_size = MEMORY_SIZE,
	};
	struct tfs_fetch_tree tree = { .h.type = TFS_FETCH_TREE };
	int r;

	pthread_mutex_lock(&f->lock);
	expect_reply(f);
	pthread_mutex_unlock(&f->lock);
	tfs_packet_send(f->socket, &hello, sizeof hello, f->hello, -1); /* if it fails the reply does */
	pthread_mutex_lock(&f->lock);
	r = wait_for_reply(f, WELCOME_SECONDS, err);
	if (!r && f->table_fd >= 0 && tfs_packet_send(f->socket, &tree, sizeof tree, NULL, f->table_fd))
		r = tfs_error_set(err, -EIO, TFS_NO_OFFSET, "tensorfs-fetch has ended");
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* Not more than STARTS_MAX in STARTS_SECONDS. The lock is held. */
static int count_start(struct tfs_fetcher *f, struct tfs_error *err)
{
	double now = tfs_now(), *oldest = &f->starts[f->n_recent % STARTS_MAX];

	if (f->n_recent >= STARTS_MAX && now - *oldest < STARTS_SECONDS)
		return tfs_error_set(err, -EIO, TFS_NO_OFFSET, "tensorfs-fetch has ended %d times within %d seconds", STARTS_MAX,
				     STARTS_SECONDS);
	*oldest = now;
	f->n_starts++;
	f->n_recent++;
	return 0;
}

/* The lock is held, and released in between. 0, or -errno with @err filled. */
static int ensure_running(struct tfs_fetcher *f, struct tfs_error *err)
{
	int r;

	while (f->starting)
		pthread_cond_wait(&f->changed, &f->lock);
	if (f->stopped)
		return tfs_error_set(err, -ECANCELED, TFS_NO_OFFSET, "the mount is ending");
	if (f->running)
		return 0;
	r = count_start(f, err);
	if (r)
		return r;
	f->starting = true;
	f->alive_at = tfs_now();
	pthread_mutex_unlock(&f->lock);
	r = start_process(f, err);
	if (!r)
		r = greet(f, err);
	pthread_mutex_lock(&f->lock);
	f->starting = false;
	f->running = !r && f->pid;
	if (r && f->pid)
		tfs_spawn_kill(f->pid); /* the listener does the rest */
	if (!r && !f->running)
		r = tfs_error_set(err, -EIO, TFS_NO_OFFSET, "tensorfs-fetch has ended");
	pthread_cond_broadcast(&f->changed);
	if (!r && f->stopped)
		r = tfs_error_set(err, -ECANCELED, TFS_NO_OFFSET, "the mount is ending");
	return r;
}

/* --- Listing ---------------------------------------------------------------------------------------------------------- */

static int list(struct tfs_fetcher *f, const char *revision, int *ret_fd, struct tfs_error *err)
{
	struct tfs_fetch_list message = { .h = { .type = TFS_FETCH_LIST, .text_len = (uint32_t)strlen(revision) } };
	int r = ensure_running(f, err), fd;

	if (r)
		return r;
	expect_reply(f);
	pthread_mutex_unlock(&f->lock);
	tfs_packet_send(f->socket, &message, sizeof message, revision, -1);
	pthread_mutex_lock(&f->lock);
	r = wait_for_reply(f, patience(f), err);
	fd = f->reply.fd;
	f->reply.fd = -1;
	if (!r && (f->reply.flags & TFS_FETCH_UNCHANGED ? !*revision : fd < 0))
		r = tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "tensorfs-fetch answered without a table");
	if (!r && f->reply.flags & TFS_FETCH_UNCHANGED) {
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (!r)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return r;
}

int tfs_fetcher_list(struct tfs_fetcher *f, const char *revision, int *ret_fd, struct tfs_error *err)
{
	int r;

	pthread_mutex_lock(&f->listing);
	pthread_mutex_lock(&f->lock);
	r = list(f, revision, ret_fd, err);
	pthread_mutex_unlock(&f->lock);
	pthread_mutex_unlock(&f->listing);
	return r;
}

void tfs_fetcher_set_table(struct tfs_fetcher *f, int fd)
{
	struct tfs_fetch_tree tree = { .h.type = TFS_FETCH_TREE };

	pthread_mutex_lock(&f->lock);
	if (f->table_fd >= 0)
		close(f->table_fd);
	f->table_fd = fd;
	if (f->running)
		tfs_packet_send(f->socket, &tree, sizeof tree, NULL, fd); /* if it fails the fetcher is gone */
	pthread_mutex_unlock(&f->lock);
}

/* --- Reads ------------------------------------------------------------------------------------------------------------ */

/* The number of a slot that nobody has, or -EAGAIN, -ECANCELED. The lock is held. */
static int take_slot(struct tfs_fetcher *f, bool wait)
{
	while (!f->n_free && !f->stopped && wait)
		pthread_cond_wait(&f->freed, &f->lock);
	if (f->stopped)
		return -ECANCELED;
	return f->n_free ? f->free[--f->n_free] : -EAGAIN;
}

static void give_slot(struct tfs_fetcher *f, unsigned number)
{
	struct slot *s = &f->slots[number];

	free(tfs_steal(s->text));
	s->state = SLOT_FREE;
	f->free[f->n_free++] = (uint16_t)number;
	pthread_cond_signal(&f->freed);
}

static uint64_t place_of(unsigned slot)
{
	return PAGE + slot * TFS_FETCHER_MAX;
}

static int begin(struct tfs_fetcher *f, unsigned number, struct tfs_error *err)
{
	struct slot *s = &f->slots[number];
	int r = ensure_running(f, err);

	if (r)
		return r;
	s->state = SLOT_SENT;
	s->use++;
	struct tfs_fetch_read message = {
		.h = { .type = TFS_FETCH_READ, .id = (uint64_t)s->use << 32 | number },
		.offset = s->offset,
		.place = place_of(number),
		.len = s->len,
		.node = s->node,
		.priority = s->priority,
	};
	/* With the lock, so that it is sent to the fetcher that fails it if that ends. It always reads. */
	tfs_packet_send(f->socket, &message, sizeof message, NULL, -1);
	return 0;
}

int tfs_fetcher_begin(struct tfs_fetcher *f, uint32_t node, uint64_t offset, size_t len, enum tfs_fetch_priority priority,
		      bool wait, unsigned *ret_slot, struct tfs_error *err)
{
	int number, r;

	pthread_mutex_lock(&f->lock);
	number = take_slot(f, wait);
	r = number < 0 ? number : 0;
	if (!r) {
		struct slot *s = &f->slots[number];

		s->node = node;
		s->offset = offset;
		s->len = (uint32_t)len;
		s->priority = priority;
		r = begin(f, (unsigned)number, err);
		if (r)
			give_slot(f, (unsigned)number);
	} else if (r == -ECANCELED) {
		tfs_error_set(err, r, offset, "the mount is ending");
	}
	pthread_mutex_unlock(&f->lock);
	if (!r)
		*ret_slot = (unsigned)number;
	return r;
}

/* If nothing at all arrives for longer than the fetcher itself would wait, it isn't one any more. The lock is held. */
static void look_after(struct tfs_fetcher *f)
{
	uint64_t bytes = atomic_load_explicit(&tfs_fetcher_counters(f)->network_bytes, memory_order_relaxed);
	double now = tfs_now();

	if (bytes != f->bytes_then)
		f->alive_at = now;
	f->bytes_then = bytes;
	if (f->pid && now - f->alive_at > patience(f)) {
		tfs_log_warning("tensorfs-fetch doesn't answer, and is killed");
		tfs_spawn_kill(f->pid);
		f->alive_at = now; /* others that wait look, too, before it is gone */
	}
}

int tfs_fetcher_finish(struct tfs_fetcher *f, unsigned slot, const uint8_t **ret_data, struct tfs_error *err)
{
	struct slot *s = &f->slots[slot];
	double since = tfs_now();
	int r;

	pthread_mutex_lock(&f->lock);
	while (s->state == SLOT_SENT)
		if (tfs_cond_wait_until(&s->done, &f->lock, tfs_now() + LOOK_SECONDS)) {
			if (f->alive_at < since)
				f->alive_at = since; /* it had nothing to do before */
			look_after(f);
		}
	r = s->code;
	if (r)
		tfs_error_set(err, r, s->offset, "%s", s->text && *s->text ? s->text : strerror(-r));
	pthread_mutex_unlock(&f->lock);
	if (!r)
		*ret_data = f->memory + place_of(slot);
	return r;
}

void tfs_fetcher_release(struct tfs_fetcher *f, unsigned slot)
{
	pthread_mutex_lock(&f->lock);
	f->dirty = true;
	f->released_at = tfs_now();
	give_slot(f, slot);
	pthread_mutex_unlock(&f->lock);
}

void tfs_fetcher_raise(struct tfs_fetcher *f, uint32_t node, uint64_t offset, size_t len)
{
	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < TFS_FETCHER_SLOTS && f->running; i++) {
		struct slot *s = &f->slots[i];
		struct tfs_fetch_raise message = { .h = { .type = TFS_FETCH_RAISE, .id = (uint64_t)s->use << 32 | i } };

		if (s->state != SLOT_SENT || s->node != node || s->priority == TFS_FETCH_DEMAND || s->offset >= offset + len ||
		    offset >= s->offset + s->len)
			continue;
		s->priority = TFS_FETCH_DEMAND;
		tfs_packet_send(f->socket, &message, sizeof message, NULL, -1);
	}
	pthread_mutex_unlock(&f->lock);
}

void tfs_fetcher_trim(struct tfs_fetcher *f)
{
	pthread_mutex_lock(&f->lock);
	/* Not between two reads of a load: to get the memory again costs more than to read into it. */
	if (f->n_free == TFS_FETCHER_SLOTS && f->dirty && tfs_now() - f->released_at > IDLE_SECONDS) {
		fallocate(f->memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, MEMORY_SIZE - PAGE);
		f->dirty = false;
	}
	pthread_mutex_unlock(&f->lock);
}

const struct tfs_fetch_counters *tfs_fetcher_counters(const struct tfs_fetcher *f)
{
	return (const void *)f->memory;
}

unsigned tfs_fetcher_starts(struct tfs_fetcher *f)
{
	pthread_mutex_lock(&f->lock);
	unsigned n = f->n_starts;
	pthread_mutex_unlock(&f->lock);
	return n;
}

bool tfs_fetcher_is_running(struct tfs_fetcher *f)
{
	pthread_mutex_lock(&f->lock);
	const bool running = f->running;
	pthread_mutex_unlock(&f->lock);
	return running;
}

/* --- Beginning and end -------------------------------------------------------------------------------------------------- */

static int make_memory(struct tfs_fetcher *f)
{
	f->memory_fd = memfd_create("tensorfs-fetch", MFD_CLOEXEC);
	if (f->memory_fd < 0 || ftruncate(f->memory_fd, MEMORY_SIZE))
		return -errno;
	f->memory = mmap(NULL, MEMORY_SIZE, PROT_READ, MAP_SHARED, f->memory_fd, 0);
	if (f->memory == MAP_FAILED) {
		f->memory = NULL;
		return -errno;
	}
	return 0;
}

int tfs_fetcher_create(const char *hello, size_t len, double timeout, struct tfs_fetcher **ret_fetcher)
{
	struct tfs_fetcher *f = calloc(1, sizeof *f);
	int r;

	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->listing, NULL);
	pthread_mutex_init(&f->lock, NULL);
	tfs_cond_init(&f->changed);
	pthread_cond_init(&f->freed, NULL);
	for (unsigned i = 0; i < TFS_FETCHER_SLOTS; i++) {
		tfs_cond_init(&f->slots[i].done);
		f->free[f->n_free++] = (uint16_t)(TFS_FETCHER_SLOTS - 1 - i);
	}
	f->timeout = timeout;
	f->socket = f->table_fd = f->reply.fd = f->memory_fd = -1;
	f->hello = malloc(len);
	f->hello_len = len;
	r = f->hello ? make_memory(f) : -ENOMEM;
	if (r) {
		tfs_fetcher_destroy(f);
		return r;
	}
	memcpy(f->hello, hello, len);
	*ret_fetcher = f;
	return 0;
}

void tfs_fetcher_stop(struct tfs_fetcher *f)
{
	pthread_mutex_lock(&f->lock);
	f->stopped = true;
	if (f->pid) {
		f->told = true;
		shutdown(f->socket, SHUT_RDWR); /* the listener notices, and does the rest */
	}
	pthread_cond_broadcast(&f->freed);
	pthread_mutex_unlock(&f->lock);
}

void tfs_fetcher_resume(struct tfs_fetcher *f)
{
	pthread_mutex_lock(&f->lock);
	f->stopped = false;
	f->n_recent = 0;
	pthread_mutex_unlock(&f->lock);
}

void tfs_fetcher_destroy(struct tfs_fetcher *f)
{
	if (!f)
		return;
	tfs_fetcher_stop(f);
	if (f->joinable)
		pthread_join(f->reader, NULL);
	if (f->socket >= 0)
		close(f->socket);
	if (f->table_fd >= 0)
		close(f->table_fd);
	if (f->reply.fd >= 0)
		close(f->reply.fd);
	if (f->memory)
		munmap(f->memory, MEMORY_SIZE);
	if (f->memory_fd >= 0)
		close(f->memory_fd);
	for (unsigned i = 0; i < TFS_FETCHER_SLOTS; i++)
		pthread_cond_destroy(&f->slots[i].done);
	pthread_cond_destroy(&f->freed);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->listing);
	free(f->hello);
	free(f);
}
