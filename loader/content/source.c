/* SPDX-License-Identifier: MIT */
#include "content/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

enum { PAGE = 4096, HUGE_PAGE = 2 << 20 };

/* In a huge page that isn't one in the page cache: no request is smaller than this, if the storage takes larger ones. */
enum { FAULT_EVERY = 128 << 10 };

/* See find_ahead(). */
enum { AHEAD_MIN_KIB = 16, AHEAD_DEFAULT_KIB = 128, AHEAD_MAX_KIB = 2048 };

struct tfs_sources {
	const struct tfs_model *model;
	bool direct;
	pthread_mutex_t lock;	     /* guards all below, and the pins and links of every source */
	struct tfs_source **by_node; /* model->n_nodes slots, NULL where not open */
	struct tfs_list idle;	     /* the most recently used first */
	unsigned n_idle;
	uint64_t n_opened;
};

struct tfs_sources *tfs_sources_create(const struct tfs_model *model, bool direct)
{
	struct tfs_sources *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->by_node = calloc(model->n_nodes, sizeof *p->by_node);
	if (!p->by_node) {
		free(p);
		return NULL;
	}
	p->model = model;
	p->direct = direct;
	tfs_list_init(&p->idle);
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

static void source_free(struct tfs_source *s)
{
	int fd = atomic_load_explicit(&s->buffered_fd, memory_order_relaxed);

	if (fd >= 0 && fd != s->in.fd)
		close(fd);
	tfs_input_close(&s->in);
	free(s);
}

static void idle_remove(struct tfs_sources *p, struct tfs_source *s)
{
	tfs_list_remove(&s->idle);
	p->n_idle--;
}

void tfs_sources_destroy(struct tfs_sources *p)
{
	if (!p)
		return;
	tfs_list_each(struct tfs_source, s, &p->idle, idle)
		source_free(s);
	pthread_mutex_destroy(&p->lock);
	free(p->by_node);
	free(p);
}

static int check_node(struct tfs_sources *p, uint32_t node, struct tfs_error *err)
{
	struct tfs_source *source;
	int r = tfs_source_pin(p, node, &source, err);

	if (!r)
		tfs_source_unpin(p, source);
	else if (err)
		tfs_source_name(p, node, err);
	return r;
}

int tfs_sources_check(struct tfs_sources *p, const struct tfs_tensor *t, struct tfs_error *err)
{
	int r = check_node(p, t->source, err);

	for (size_t i = 0; i < tfs_other_files(t) && !r; i++)
		r = check_node(p, tfs_other_file(t, i), err);
	return r;
}

void tfs_source_name(const struct tfs_sources *p, uint32_t node, struct tfs_error *err)
{
	char path[4096];
	if (!tfs_model_path(p->model, node, path, sizeof path))
		tfs_error_in(err, path);
}

static int name_error(struct tfs_sources *p, uint32_t node, int code, struct tfs_error *err, const char *what)
{
	tfs_source_name(p, node, err);
	tfs_error_set(err, code, TFS_NO_OFFSET, "%s", what);
	return code;
}

/* Opening or checking it has failed. */
static int name_failure(struct tfs_sources *p, uint32_t node, int code, struct tfs_error *err)
{
	return name_error(p, node, code, err, tfs_model_why(p->model, node, code));
}

/* An open may be a round trip to a server, so what isn't needed isn't opened. */
static int open_first(struct tfs_sources *p, struct tfs_source *s)
{
	if (p->direct && !tfs_model_is_remote(p->model)) {
		s->direct_fd = tfs_model_open_node(p->model, s->node, O_DIRECT);
		if (s->direct_fd >= 0) {
			s->in = tfs_input_of_fd(s->direct_fd, s->size);
			s->tier = TFS_TIER_URING;
			return 0;
		}
		s->direct_fd = -1;
	}
	int r = tfs_model_open_input(p->model, s->node, &s->in);
	if (r)
		return r;
	s->tier = tfs_source_is_remote(s) ? TFS_TIER_REMOTE : TFS_TIER_BUFFERED;
	s->buffered_fd = s->in.fd;
	return 0;
}

/* The kernel's readahead would load what wasn't requested; how much to read at once is our decision. */
static void no_readahead(int fd)
{
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

static int source_open(struct tfs_sources *p, uint32_t node, struct tfs_source **ret_source, struct tfs_error *err)
{
	struct tfs_source *s = calloc(1, sizeof *s);
	if (!s)
		return name_error(p, node, -ENOMEM, err, "out of memory");
	s->model = p->model;
	s->node = node;
	s->size = p->model->nodes[node].id.size;
	s->direct_fd = -1;
	s->buffered_fd = -1;
	int r = open_first(p, s);
	if (r) {
		free(s);
		return name_failure(p, node, r, err);
	}
	if (s->buffered_fd >= 0)
		no_readahead(s->buffered_fd);
	*ret_source = s;
	return 0;
}

/* A descriptor of @s, which isn't remote, for reads through the page cache; it stays @s's. */
static int buffered(struct tfs_source *s)
{
	int fd = atomic_load(&s->buffered_fd), none = -1;

	if (fd >= 0)
		return fd;
	fd = tfs_model_open_node(s->model, s->node, 0);
	if (fd < 0)
		return fd;
	no_readahead(fd);
	if (atomic_compare_exchange_strong(&s->buffered_fd, &none, fd))
		return fd;
	close(fd); /* another thread was quicker */
	return none;
}

int tfs_source_check(struct tfs_sources *p, struct tfs_source *s, struct tfs_error *err)
{
	int r = tfs_model_check_node(p->model, s->node, &s->in);
	return r ? name_failure(p, s->node, r, err) : 0;
}

int tfs_source_pin(struct tfs_sources *p, uint32_t node, struct tfs_source **ret_source, struct tfs_error *err)
{
	pthread_mutex_lock(&p->lock);
	struct tfs_source *s = p->by_node[node];
	if (s && !s->pins++)
		idle_remove(p, s);
	pthread_mutex_unlock(&p->lock);
	if (s) {
		int r = tfs_source_check(p, s, err);
		if (r)
			tfs_source_unpin(p, s);
		else
			*ret_source = s;
		return r;
	}

	int r = source_open(p, node, &s, err);
	if (r)
		return r;
	s->pins = 1;
	pthread_mutex_lock(&p->lock);
	s->serial = ++p->n_opened;
	struct tfs_source *other = p->by_node[node];
	if (!other) {
		p->by_node[node] = s;
	} else if (!other->pins++) { /* another thread was quicker */
		idle_remove(p, other);
	}
	pthread_mutex_unlock(&p->lock);
	if (other) {
		source_free(s);
		s = other;
	}
	*ret_source = s;
	return 0;
}

void tfs_source_unpin(struct tfs_sources *p, struct tfs_source *s)
{
	struct tfs_source *victim = NULL;

	pthread_mutex_lock(&p->lock);
	if (!--s->pins) {
		tfs_list_add_first(&p->idle, &s->idle);
		if (++p->n_idle > TFS_SOURCES_IDLE) {
			victim = tfs_list_last(&p->idle, struct tfs_source, idle);
			idle_remove(p, victim);
			p->by_node[victim->node] = NULL;
		}
	}
	pthread_mutex_unlock(&p->lock);
	if (victim)
		source_free(victim);
}

bool tfs_source_cached(struct tfs_source *s, uint64_t offset, uint64_t len)
{
	if (tfs_source_is_remote(s))
		return false;
	int r = tfs_file_all_cached(s->in.fd, offset, len), fd = r < 0 && r != -EAGAIN ? buffered(s) : -1;

	return (fd < 0 ? r : tfs_file_all_cached(fd, offset, len)) > 0;
}

int tfs_source_read_remote(struct tfs_source *s, uint64_t offset, size_t len, void *buf, bool ahead, struct tfs_error *err)
{
	return ahead ? tfs_input_read_ahead(&s->in, buf, len, offset, err) : tfs_input_read(&s->in, buf, len, offset, err);
}

int tfs_source_take_remote(struct tfs_source *s, uint64_t offset, size_t len, uint8_t *buf, bool ahead, const uint8_t **ret_data,
			   int64_t *ret_loan, struct tfs_error *err)
{
	unsigned loan = 0;
	int code = tfs_input_lend(&s->in, len, offset, ahead, ret_data, &loan, err);

	*ret_loan = code ? -1 : (int64_t)loan;
	if (code != -EAGAIN)
		return code;
	/* What it keeps has hashes of so many bytes: with all of them, one read gets and checks them in place. */
	size_t step = tfs_input_step(&s->in), lead = offset % step;
	uint64_t end = (offset + len + step - 1) / step * step;

	*ret_data = buf + lead;
	return tfs_source_read_remote(s, offset - lead, (size_t)((end < s->in.size ? end : s->in.size) - (offset - lead)), buf,
				      ahead, err);
}

void tfs_source_repay(struct tfs_source *s, int64_t loan)
{
	if (loan >= 0)
		tfs_input_repay(&s->in, (unsigned)loan);
}

/*
 * pread until there are @want bytes. Returns the number read: less than @want at the end of the file, or -errno. A direct read can
 * only continue at an aligned offset, so an odd count ends it; that occurs only at the end of the file.
 */
static ssize_t read_full(int fd, uint8_t *buf, size_t want, uint64_t offset, bool direct)
{
	size_t got = 0;
	while (got < want) {
		ssize_t n = pread(fd, buf + got, want - got, offset + got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		got += n;
		if (direct && n % TFS_IO_ALIGN)
			break;
	}
	return got;
}

int tfs_source_read_buffered(struct tfs_source *s, uint64_t offset, size_t len, void *buf, struct tfs_error *err)
{
	ssize_t n;

	if (tfs_source_is_remote(s))
		return tfs_source_read_remote(s, offset, len, buf, false, err);
	int fd = buffered(s);
	if (fd < 0)
		return tfs_error_set(err, fd, TFS_NO_OFFSET, "%s", tfs_model_why(s->model, s->node, fd));
	n = read_full(fd, buf, len, offset, false);
	if (n < 0)
		return tfs_error_set(err, -EIO, offset, "reading %zu bytes: %s", len, strerror(-n));
	if ((size_t)n < len)
		return tfs_error_set(err, -EIO, offset + n, "the file ends here, %zu bytes too early", len - (size_t)n);
	return 0;
}

/* --- Bringing bytes into the page cache ------------------------------------------------------------------------------ */

/*
 * What posix_fadvise(2) brings in with one call: it stops silently at the readahead of the device, or the size of its largest
 * request if that is more (force_page_cache_ra()). The device of a file on overlayfs or a partition has no such setting; the default
 * is within what any kernel does.
 */
static uint32_t find_ahead(const struct tfs_source *s)
{
	char path[64];
	struct stat st;
	unsigned kib = 0;

	if (!fstat(s->in.fd, &st)) {
		snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev), minor(st.st_dev));
		FILE *f = fopen(path, "re");
		if (f && fscanf(f, "%u", &kib) != 1)
			kib = 0;
		if (f)
			fclose(f);
	}
	if (kib < AHEAD_MIN_KIB)
		kib = AHEAD_DEFAULT_KIB;
	return (kib < AHEAD_MAX_KIB ? kib : AHEAD_MAX_KIB) << 10;
}

/* By hints, which start reads without waiting for them. */
static int fill_by_hint(struct tfs_source *s, uint64_t offset, uint64_t end, struct tfs_error *err)
{
	uint32_t step = atomic_load_explicit(&s->ahead, memory_order_relaxed);

	if (!step) {
		step = find_ahead(s);
		atomic_store_explicit(&s->ahead, step, memory_order_relaxed);
	}
	int fd = buffered(s);
	for (uint64_t at = offset; fd >= 0 && at < end; at += step)
		posix_fadvise(fd, (off_t)at, (off_t)(end - at < step ? end - at : step), POSIX_FADV_WILLNEED);
	for (uint64_t at = offset; at < end; at += step) {
		uint8_t byte;
		int r = tfs_source_read_buffered(s, (end - at < step ? end : at + step) - 1, 1, &byte, err);
		if (r)
			return r;
	}
	return 0;
}

/* Newer than some libcs' headers. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* A page fault, but with an error instead of a signal. */
static int touch(uint8_t *at)
{
	int r;

	do
		r = madvise(at, PAGE, MADV_POPULATE_READ);
	while (r && (errno == EINTR || errno == EAGAIN));
	return r ? -errno : 0;
}

/*
 * By page faults in a mapping that asks for huge pages: each reads a huge page, and the first one the next huge page, too
 * (do_sync_mmap_readahead()), in as large requests as the storage takes, and into as large folios as its file system has. The
 * former is what MADV_RANDOM says. @offset is that of a huge page. -EOPNOTSUPP: this kernel doesn't do that.
 */
static int fill_by_huge_page(struct tfs_source *s, uint64_t offset, uint64_t end)
{
	const size_t len = end - offset;
	int fd = buffered(s);
	if (fd < 0)
		return fd;
	uint8_t *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)offset);

	if (map == MAP_FAILED)
		return -EOPNOTSUPP;
	int r = madvise(map, len, MADV_HUGEPAGE) ? -EOPNOTSUPP : 0;
	if (!r && len > HUGE_PAGE)
		r = touch(map);
	madvise(map, len, MADV_RANDOM);
	for (size_t at = 0; at < len && !r; at += FAULT_EVERY)
		r = touch(map + at);
	munmap(map, len);
	return r;
}

/* Does the page cache have less than half of it? Some may be gone again if memory is short. */
static bool is_missing(const struct tfs_source *s, uint64_t offset, uint64_t end)
{
	uint64_t pages;

	return !tfs_file_cached(s->in.fd, offset, end - offset, &pages) && pages < (end - offset) / PAGE / 2;
}

int tfs_source_fill(struct tfs_source *s, uint64_t offset, size_t len, struct tfs_error *err)
{
	const uint64_t end = offset + len;
	if (tfs_source_is_remote(s))
		return -EOPNOTSUPP;
	enum tfs_fill_way way = atomic_load_explicit(&s->fill_way, memory_order_relaxed);

	for (; way < TFS_FILL_READ; way++) {
		uint64_t huge = (offset + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
		int r = 0;

		if (way == TFS_FILL_HINT || huge > end)
			huge = end;
		if (huge > offset)
			r = fill_by_hint(s, offset, huge, err);
		if (!r && huge < end)
			r = fill_by_huge_page(s, huge, end);
		if (!r && !is_missing(s, offset, end))
			break;
		if (r && way == TFS_FILL_HINT)
			return r;
	}
	atomic_store_explicit(&s->fill_way, way, memory_order_relaxed);
	return way == TFS_FILL_READ ? -EOPNOTSUPP : 0;
}

int tfs_source_warm(struct tfs_source *s, uint64_t offset, uint64_t len, void *scratch, size_t size, struct tfs_error *err)
{
	int r = 0;

	if (tfs_source_is_remote(s) || tfs_source_cached(s, offset, len)) /* a remote one may have no page cache at all */
		return 0;
	for (uint64_t end = offset + len; offset < end && !r; offset += size)
		r = tfs_source_read_buffered(s, offset, end - offset < size ? end - offset : size, scratch, err);
	return r;
}

void tfs_source_drop(struct tfs_source *s, uint64_t offset, size_t len)
{
	if (!tfs_source_is_remote(s))
		posix_fadvise(s->in.fd, offset, len, POSIX_FADV_DONTNEED);
}

int tfs_source_read_direct(struct tfs_source *s, uint64_t offset, size_t len, uint8_t *buf, uint8_t **ret_data)
{
	uint64_t from = offset / TFS_IO_ALIGN * TFS_IO_ALIGN;
	size_t lead = offset - from;
	size_t want = (lead + len + TFS_IO_ALIGN - 1) / TFS_IO_ALIGN * TFS_IO_ALIGN;
	ssize_t n = read_full(s->direct_fd, buf, want, from, true);

	if (n < (ssize_t)(lead + len))
		return n < 0 ? (int)n : -EIO;
	*ret_data = buf + lead;
	return 0;
}

void tfs_source_degrade(struct tfs_source *s, enum tfs_tier tier, int code)
{
	enum tfs_tier now = atomic_load_explicit(&s->tier, memory_order_relaxed);

	while (now <= tier)
		if (atomic_compare_exchange_weak(&s->tier, &now, tier + 1)) {
			tfs_log_info("reading a source by %s failed (%s); from now on it is read %s",
				     tier == TFS_TIER_URING ? "io_uring" : "O_DIRECT", strerror(-code),
				     tier == TFS_TIER_URING ? "by threads" : "through the page cache");
			return;
		}
}

int tfs_source_read(struct tfs_source *s, uint64_t offset, size_t len, void *buf, uint8_t **ret_data, enum tfs_read_how *ret_how,
		    struct tfs_error *err)
{
	bool cached = tfs_source_cached(s, offset, len);
	int direct = 0;

	if (tfs_source_is_remote(s)) {
		*ret_data = buf;
		*ret_how = TFS_READ_REMOTE;
		return tfs_source_read_remote(s, offset, len, buf, false, err);
	}

	if (!cached && atomic_load_explicit(&s->tier, memory_order_relaxed) <= TFS_TIER_THREADS) {
		direct = tfs_source_read_direct(s, offset, len, buf, ret_data);
		*ret_how = TFS_READ_DIRECT;
		if (!direct)
			return 0;
		/* The cause may be O_DIRECT, the medium, or the file. The buffered read decides. */
	}
	int r = tfs_source_read_buffered(s, offset, len, buf, err);
	if (r)
		return r;
	if (direct)
		tfs_source_degrade(s, TFS_TIER_THREADS, direct);
	if (!cached)
		tfs_source_drop(s, offset, len);
	*ret_data = buf;
	*ret_how = cached ? TFS_READ_CACHED : TFS_READ_BUFFERED;
	return 0;
}
