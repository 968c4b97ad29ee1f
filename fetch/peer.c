/* SPDX-License-Identifier: MIT */
#include "fetch/peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "fetch/origin.h"
#include "fetch/range.h"

/* A message as it came: a struct of the protocol, then text, which is followed by a NUL here. */
struct message {
	union {
		struct tfs_fetch_header h;
		struct tfs_fetch_hello hello;
		struct tfs_fetch_list list;
		struct tfs_fetch_tree tree;
		struct tfs_fetch_read read;
		char bytes[TFS_FETCH_MAX_MESSAGE + 1];
	};
	size_t len;
	int fd; /* that came with it, or -1 */
};

/* --- Out ------------------------------------------------------------------------------------------------------------ */

/* Send the @size bytes of a message whose header is @h, then @text, with the descriptor @fd if it isn't -1. */
static int send_message(struct tfs_fetch_header *h, size_t size, const char *text, int fd)
{
	struct iovec iov[2] = { { .iov_base = h, .iov_len = size }, { .iov_base = (void *)(uintptr_t)text } };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c;
	ssize_t n;

	h->text_len = text ? (uint32_t)strnlen(text, TFS_FETCH_MAX_TEXT) : 0;
	iov[1].iov_len = h->text_len;
	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof control.bytes;
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	do
		n = sendmsg(TFS_FETCH_SOCKET, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0; /* the daemon is gone: reading the socket says so, too */
}

static const char *text_of(int code, const struct tfs_error *err)
{
	if (!code)
		return NULL;
	return err && *err->what ? err->what : strerror(-code);
}

void tfs_peer_welcome(int code, const struct tfs_error *err)
{
	struct tfs_fetch_welcome m = { .h.type = TFS_FETCH_WELCOME, .code = code, .version = TFS_FETCH_VERSION };

	send_message(&m.h, sizeof m, text_of(code, err), -1);
}

void tfs_peer_done(struct tfs_fetcher *f, uint64_t id, uint32_t len, int code, const struct tfs_error *err)
{
	struct tfs_fetch_done m = { .h = { .type = TFS_FETCH_DONE, .id = id }, .code = code, .len = len };

	if (send_message(&m.h, sizeof m, text_of(code, err), -1))
		f->loop.stop = true;
}

void tfs_fetch_warn(struct tfs_fetcher *f, const char *fmt, ...)
{
	struct tfs_fetch_warn m = { .h.type = TFS_FETCH_WARN };
	struct tfs_error line = { 0 };
	char text[sizeof line.what];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	tfs_error_set(&line, 0, TFS_NO_OFFSET, "%s", text); /* without control characters */
	if (send_message(&m.h, sizeof m, line.what, -1))
		f->loop.stop = true;
}

static void listed(struct tfs_origin *o, int code, uint32_t flags, const struct tfs_error *err, int fd)
{
	struct tfs_fetch_listed m = { .h.type = TFS_FETCH_LISTED, .code = code, .flags = flags };

	o->listing = false;
	if (send_message(&m.h, sizeof m, text_of(code, err), fd))
		o->f->loop.stop = true;
}

void tfs_origin_unchanged(struct tfs_origin *o)
{
	listed(o, 0, TFS_FETCH_UNCHANGED, NULL, -1);
}

static void take_tree(struct tfs_fetcher *f, struct tfs_tree *t)
{
	tfs_tree_unref(f->tree);
	f->tree = t;
}

void tfs_origin_listed(struct tfs_origin *o, int code, const struct tfs_error *err, struct tfs_remote_listing *l)
{
	struct tfs_error mine = { 0 };
	struct tfs_tree *t;
	size_t left_out;
	cleanup_fd int fd = -1;

	if (!code) {
		err = &mine;
		code = tfs_remote_listing_table(l, &fd, &left_out);
		if (!code)
			code = tfs_tree_create(fd, o->where, &t, &mine);
		if (!code) {
			take_tree(o->f, t);
			if (left_out)
				tfs_fetch_warn(o->f,
					       "%zu files are left out: there is another one of the same path, or a directory",
					       left_out);
		}
	}
	if (l)
		tfs_remote_listing_fini(l);
	listed(o, code, 0, err, code ? -1 : fd);
}

/* --- In ------------------------------------------------------------------------------------------------------------- */

/* The next message. 0; -EPIPE: the end; -EPROTO: no message can be like that. */
static int receive(struct message *msg)
{
	struct iovec iov = { .iov_base = msg->bytes, .iov_len = TFS_FETCH_MAX_MESSAGE };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
	};
	ssize_t n;

	msg->fd = -1;
	do
		n = recvmsg(TFS_FETCH_SOCKET, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -EPIPE;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof msg->fd))
			memcpy(&msg->fd, CMSG_DATA(c), sizeof msg->fd);
	msg->len = (size_t)n;
	msg->bytes[n] = 0;
	if (msg->len < sizeof msg->h || m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EPROTO;
	return 0;
}

/* Is it exactly a struct of @size bytes, and the text that it announces? */
static bool has_size(const struct message *msg, size_t size)
{
	return msg->len >= size && msg->len - size == msg->h.text_len;
}

static int on_list(struct tfs_fetcher *f, struct message *msg)
{
	const char *known = msg->bytes + sizeof msg->list;

	if (!has_size(msg, sizeof msg->list) || msg->fd >= 0 || f->origin->listing)
		return -EPROTO;
	f->origin->listing = true;
	f->origin->late = tfs_now() + f->options.timeout;
	f->origin->hasty = *known != 0;
	f->origin->ops->list(f->origin, known);
	return 0;
}

static int on_tree(struct tfs_fetcher *f, struct message *msg)
{
	struct tfs_error err = { 0 };
	struct tfs_tree *t;
	int r;

	if (!has_size(msg, sizeof msg->tree) || msg->fd < 0)
		return -EPROTO;
	r = tfs_tree_create(msg->fd, f->origin->where, &t, &err);
	if (r)
		return r;
	if (f->origin->ops->adopt)
		r = f->origin->ops->adopt(f->origin, t, &err);
	if (r)
		tfs_tree_unref(t);
	else
		take_tree(f, t);
	return r;
}

static int on_read(struct tfs_fetcher *f, const struct message *msg)
{
	const struct tfs_fetch_read *m = &msg->read;
	uint64_t end, place_end;

	if (!has_size(msg, sizeof *m) || !f->tree || m->node >= f->tree->n_files || f->n_reads == TFS_FETCH_MAX_READS)
		return -EPROTO;
	if (!m->len || m->len > TFS_FETCH_MAX_READ || ckd_add(&end, m->offset, m->len) || end > f->tree->files[m->node].size)
		return -EPROTO;
	if (m->place < 4096 || m->place % 4096 || ckd_add(&place_end, m->place, m->len) || place_end > f->memory_size)
		return -EPROTO;
	return tfs_range_read(f, m, &f->tree->files[m->node]);
}

static int on_message(struct tfs_fetcher *f, struct message *msg)
{
	switch (msg->h.type) {
	case TFS_FETCH_LIST:
		return on_list(f, msg);
	case TFS_FETCH_TREE:
		return on_tree(f, msg);
	case TFS_FETCH_READ:
		return on_read(f, msg);
	case TFS_FETCH_RAISE:
		tfs_range_raise(f, msg->h.id);
		return has_size(msg, sizeof(struct tfs_fetch_raise)) ? 0 : -EPROTO;
	case TFS_FETCH_CANCEL:
		tfs_range_cancel(f, msg->h.id);
		return has_size(msg, sizeof(struct tfs_fetch_cancel)) ? 0 : -EPROTO;
	default:
		return -EPROTO;
	}
}

static struct tfs_fetcher *served; /* a watch has no room for it */

/* All messages that are there, so that neighbours find each other before the first of them is sent. */
static void on_input(struct tfs_watch *w)
{
	struct tfs_fetcher *f = served;
	static struct message msg;
	char peek;
	int r;

	do {
		r = receive(&msg);
		if (!r)
			r = on_message(f, &msg);
		if (msg.fd >= 0)
			close(msg.fd);
		if (r && r != -EPIPE)
			fprintf(stderr, "tensorfs-fetch: message %u: %s\n", msg.h.type, strerror(-r));
		if (r)
			f->loop.stop = true;
	} while (!f->loop.stop && recv(w->fd, &peek, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

void tfs_peer_start(struct tfs_fetcher *f)
{
	static struct tfs_watch w = { .fd = TFS_FETCH_SOCKET, .run = on_input };

	served = f;
	tfs_watch_start(&f->loop, &w);
}

/* --- HELLO ---------------------------------------------------------------------------------------------------------- */

static bool read_count(const char *s, unsigned least, unsigned most, unsigned *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno || n < least || n > most)
		return false;
	*ret = (unsigned)n;
	return true;
}

static int replace(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	return *to ? 0 : -ENOMEM;
}

static int read_option(struct tfs_fetch_options *o, const char *name, const char *value, struct tfs_error *err)
{
	unsigned seconds;

	if (!strcmp(name, "url"))
		return replace(&o->url, value);
	if (!strcmp(name, "cacert"))
		return replace(&o->cacert, value);
	if (!strcmp(name, "anonymous") && !strcmp(value, "1")) {
		o->anonymous = true;
	} else if (!strcmp(name, "netrc") && !strcmp(value, "1")) {
		o->netrc = true;
	} else if (!strcmp(name, "timeout") && read_count(value, 1, 86400, &seconds)) {
		o->timeout = seconds;
	} else if (strcmp(name, "connections") != 0 || !read_count(value, 1, 64, &o->connections)) {
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "the fetcher doesn't understand the option %s=%s", name, value);
	}
	return 0;
}

/* Strings, each ended by a NUL: NAME=VALUE. */
static int read_options(struct tfs_fetch_options *o, char *text, size_t len, struct tfs_error *err)
{
	int r = 0;

	*o = (struct tfs_fetch_options){ .connections = 16, .timeout = 60 };
	if (!len || text[len - 1])
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "options without an end");
	for (char *end = text + len; text < end && !r;) {
		char *next = text + strlen(text) + 1, *value = strchr(text, '=');

		if (!value)
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "an option without a value");
		*value++ = 0;
		r = read_option(o, text, value, err);
		text = next;
	}
	if (!r && !o->url)
		r = tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "no URL");
	return r;
}

static int map_memory(struct tfs_fetcher *f, uint64_t size, struct tfs_error *err)
{
	struct stat st;

	if (fstat(TFS_FETCH_MEMORY, &st) || size < 8192 || size % 4096 || (uint64_t)st.st_size < size)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "the shared memory isn't of the size that was announced");
	f->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, TFS_FETCH_MEMORY, 0);
	if (f->memory == MAP_FAILED)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "the shared memory can't be mapped: %s", strerror(errno));
	f->memory_size = size;
	f->counters = (struct tfs_fetch_counters *)(void *)f->memory;
	return 0;
}

static int read_hello(struct tfs_fetcher *f, struct message *msg, struct tfs_error *err)
{
	const struct tfs_fetch_hello *m = &msg->hello;
	int r;

	if (msg->len < sizeof *m || msg->h.type != TFS_FETCH_HELLO || msg->len - sizeof *m != m->h.text_len)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "the first message is no HELLO");
	if (m->version != TFS_FETCH_VERSION)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "tensorfs speaks version %u of the protocol, tensorfs-fetch %u",
				     m->version, TFS_FETCH_VERSION);
	r = read_options(&f->options, msg->bytes + sizeof *m, m->h.text_len, err);
	return r ? r : map_memory(f, m->memory_size, err);
}

int tfs_peer_hello(struct tfs_fetcher *f)
{
	static struct message msg;
	struct tfs_error err = { 0 };
	int r = receive(&msg);

	if (r)
		return r;
	r = read_hello(f, &msg, &err);
	explicit_bzero(&msg, sizeof msg);
	if (!r)
		return 0;
	tfs_peer_welcome(-EINVAL, &err);
	return -EINVAL;
}
