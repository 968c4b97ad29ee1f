/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

int tfs_file_read(int fd, void *buf, size_t len, uint64_t offset, struct tfs_error *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, offset + done);
		int code = errno;

		if (n > 0)
			done += n;
		else if (!n)
			return tfs_error_set(err, -EIO, offset + done, "the file ends here: it was truncated while being read");
		else if (code != EINTR)
			return tfs_error_set(err, -code, offset + done, "reading: %s", strerror(code));
	}
	return 0;
}

/* Newer than many libcs' headers; the number is the same on every architecture but Alpha. */
#if !defined(SYS_cachestat) && !defined(__alpha__)
#define SYS_cachestat 451
#endif

static int ask_cachestat(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages)
{
#ifdef SYS_cachestat
	struct {
		uint64_t off, len;
	} range = { offset, len };
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} cs = { 0 };

	if (syscall(SYS_cachestat, fd, &range, &cs, 0))
		return -errno;
	*ret_pages = cs.cache;
	return 0;
#else
	return -ENOSYS;
#endif
}

/* Pages of one mincore(2). */
enum { MINCORE_PAGES = 4096 };

/* To a caller who may not know, mincore(2) says that all pages are there, so only owners ask. */
static int ask_mincore(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages)
{
	unsigned char present[MINCORE_PAGES];
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), from = offset / page * page;
	uint64_t count = 0;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid())
		return -EPERM;
	if (offset >= (uint64_t)st.st_size) {
		*ret_pages = 0;
		return 0;
	}
	if (!len || len > (uint64_t)st.st_size - offset)
		len = (uint64_t)st.st_size - offset;
	const size_t size = offset + len - from;
	uint8_t *map = mmap(NULL, size, PROT_NONE, MAP_SHARED, fd, (off_t)from);
	if (map == MAP_FAILED)
		return -errno;
	int r = 0;
	for (size_t at = 0; at < size && !r; at += MINCORE_PAGES * page) {
		const size_t part = size - at < MINCORE_PAGES * page ? size - at : MINCORE_PAGES * page;
		r = mincore(map + at, part, present) ? -errno : 0;
		for (size_t i = 0; !r && i < (part + page - 1) / page; i++)
			count += present[i] & 1;
	}
	munmap(map, size);
	if (!r)
		*ret_pages = count;
	return r;
}

static struct {
	tfs_file_cached_fn *ask;
	void *arg;
} other;

void tfs_file_ask(tfs_file_cached_fn *ask, void *arg)
{
	other.ask = ask;
	other.arg = arg;
}

int tfs_file_cached(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages)
{
	uint64_t pages = 0;
	int r = ask_cachestat(fd, offset, len, &pages);

	if ((r || !pages) && !ask_mincore(fd, offset, len, &pages))
		r = 0;
	if (r && other.ask)
		r = other.ask(other.arg, fd, offset, len, &pages);
	if (!r)
		*ret_pages = pages;
	return r;
}

/* What is brought in at once is hardly less than this, so one page tells of its neighbours. */
enum { SAMPLE = 64 << 10 };

/*
 * To ask another process takes as long as reading a small tensor. So it is asked about a whole window, and if nothing of that is there,
 * that is believed for a while: at worst what has come into the page cache meanwhile is read from storage.
 */
#define WINDOW	(16ull << 20)
#define BELIEVE 0.5 /* seconds */
enum { WINDOWS = 64 };

static struct {
	pthread_mutex_t lock;
	struct window {
		dev_t dev;
		ino_t ino;
		uint64_t number;
		double asked; /* 0: never */
		bool absent;
	} at[WINDOWS];
} windows = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_absent_window(int fd, uint64_t number)
{
	struct window *w = &windows.at[number % WINDOWS], now = { .number = number, .asked = tfs_now() };
	uint64_t pages = 1;
	struct stat st;
	bool known, absent;

	if (fstat(fd, &st))
		return false;
	now.dev = st.st_dev;
	now.ino = st.st_ino;
	pthread_mutex_lock(&windows.lock);
	known = w->asked && now.asked - w->asked < BELIEVE && w->number == number && w->dev == now.dev && w->ino == now.ino;
	absent = w->absent;
	pthread_mutex_unlock(&windows.lock);
	if (known)
		return absent;
	now.absent = !tfs_file_cached(fd, number * WINDOW, WINDOW, &pages) && !pages;
	pthread_mutex_lock(&windows.lock);
	*w = now;
	pthread_mutex_unlock(&windows.lock);
	return now.absent;
}

bool tfs_file_all_cached(int fd, uint64_t offset, uint64_t len)
{
	if (other.ask && offset / WINDOW == (offset + len - 1) / WINDOW && is_absent_window(fd, offset / WINDOW))
		return false;
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), last = offset + len - 1;
	uint64_t pages;
	char byte;

	if (!tfs_file_cached(fd, offset, len, &pages))
		return pages >= last / page - offset / page + 1;
	struct iovec v = { &byte, 1 };
	for (uint64_t at = offset; at < last; at += SAMPLE)
		if (preadv2(fd, &v, 1, (off_t)at, RWF_NOWAIT) != 1)
			return false;
	return preadv2(fd, &v, 1, (off_t)last, RWF_NOWAIT) == 1;
}
