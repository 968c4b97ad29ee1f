/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
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

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Is the page @i in @map? */
static bool has_page(const uint8_t *map, size_t i)
{
	return map[i / 8] >> i % 8 & 1;
}

/* To a caller who may not know, mincore(2) says that all pages are there, so only owners ask. */
int tfs_file_pages(int fd, uint64_t offset, unsigned n, uint8_t ret_map[TFS_FILE_MAP])
{
	unsigned char present[TFS_FILE_PAGES] = { 0 };
	uint64_t size = n * page_size();
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid())
		return -EPERM;
	memset(ret_map, 0, TFS_FILE_MAP);
	if (offset >= (uint64_t)st.st_size)
		return 0;
	if (size > (uint64_t)st.st_size - offset)
		size = (uint64_t)st.st_size - offset;
	uint8_t *map = mmap(NULL, size, PROT_NONE, MAP_SHARED, fd, (off_t)offset);
	if (map == MAP_FAILED)
		return -errno;
	int r = mincore(map, size, present) ? -errno : 0;
	munmap(map, size);
	for (size_t i = 0; !r && i < n; i++)
		ret_map[i / 8] |= (uint8_t)((present[i] & 1) << i % 8);
	return r;
}

/* --- Asking another process -------------------------------------------------------------------------------------------- */

static struct {
	tfs_file_pages_fn *ask;
	void *arg;
} other;

void tfs_file_ask(tfs_file_pages_fn *ask, void *arg)
{
	other.ask = ask;
	other.arg = arg;
}

/*
 * To ask another process takes as long as reading a small tensor. So for these it is asked about a window of TFS_FILE_PAGES pages, and
 * its answer is believed for a while: at worst, what has come into the page cache meanwhile is read from storage, and what has left it
 * comes in again.
 */
#define BELIEVE 0.05 /* seconds */
enum { SMALL = 64 << 10, WINDOWS = 64 };

static struct {
	pthread_mutex_t lock;
	struct window {
		dev_t dev;
		ino_t ino;
		uint64_t number;
		double asked; /* 0: never */
		uint8_t map[TFS_FILE_MAP];
	} at[WINDOWS];
} windows = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The pages of window @number of the file that @st describes. */
static int look_at_window(int fd, const struct stat *st, uint64_t number, uint8_t ret_map[TFS_FILE_MAP])
{
	struct window *w = &windows.at[number % WINDOWS],
		      now = { .dev = st->st_dev, .ino = st->st_ino, .number = number, .asked = tfs_now() };

	pthread_mutex_lock(&windows.lock);
	bool known = w->asked && now.asked - w->asked < BELIEVE && w->number == number && w->dev == now.dev && w->ino == now.ino;
	memcpy(ret_map, w->map, TFS_FILE_MAP);
	pthread_mutex_unlock(&windows.lock);
	if (known)
		return 0;
	int r = other.ask(other.arg, fd, number * TFS_FILE_PAGES * page_size(), TFS_FILE_PAGES, now.map);
	if (r)
		return r;
	memcpy(ret_map, now.map, TFS_FILE_MAP);
	pthread_mutex_lock(&windows.lock);
	*w = now;
	pthread_mutex_unlock(&windows.lock);
	return 0;
}

/* The pages that [@offset, @offset + @len) touches, @len > 0 and small, as they were lately. */
static int count_small(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages)
{
	const uint64_t page = page_size(), end = (offset + len - 1) / page + 1;
	uint8_t map[TFS_FILE_MAP] = { 0 };
	uint64_t count = 0;
	struct stat st;
	int r = fstat(fd, &st) ? -errno : 0;

	for (uint64_t i = offset / page; i < end && !r;) {
		const uint64_t number = i / TFS_FILE_PAGES;

		r = look_at_window(fd, &st, number, map);
		for (; !r && i < end && i / TFS_FILE_PAGES == number; i++)
			count += has_page(map, i % TFS_FILE_PAGES);
	}
	if (!r)
		*ret_pages = count;
	return r;
}

static int ask_mincore(void *arg, int fd, uint64_t offset, unsigned n, uint8_t ret_map[TFS_FILE_MAP])
{
	(void)arg;
	return tfs_file_pages(fd, offset, n, ret_map);
}

/* The pages that [@offset, @offset + @len) touches, or those to the end, as @ask tells. */
static int count_pages(tfs_file_pages_fn *ask, void *arg, int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages)
{
	const uint64_t page = page_size();
	uint8_t map[TFS_FILE_MAP] = { 0 };
	uint64_t count = 0;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	const uint64_t size = (uint64_t)st.st_size, end = !len || len > size || offset > size - len ? size : offset + len;
	for (uint64_t i = offset / page, n = (end + page - 1) / page; i < n;) {
		const unsigned k = n - i < TFS_FILE_PAGES ? (unsigned)(n - i) : TFS_FILE_PAGES;
		int r = ask(arg, fd, i * page, k, map);

		if (r)
			return r;
		for (unsigned j = 0; j < k; j++)
			count += has_page(map, j);
		i += k;
	}
	*ret_pages = count;
	return 0;
}

int tfs_file_cached(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages)
{
	uint64_t pages = 0;
	int r = ask_cachestat(fd, offset, len, &pages);

	if (r && other.ask)
		r = count_pages(other.ask, other.arg, fd, offset, len, &pages);
	else if ((r || !pages) && !count_pages(ask_mincore, NULL, fd, offset, len, &pages))
		r = 0;
	if (!r)
		*ret_pages = pages;
	return r;
}

/* What is brought in at once is hardly less than this, so one page tells of its neighbours. */
enum { SAMPLE = 64 << 10 };

int tfs_file_all_cached(int fd, uint64_t offset, uint64_t len)
{
	const uint64_t page = page_size(), last = offset + len - 1;
	uint64_t pages;
	char byte;
	int r = other.ask && len <= SMALL ? count_small(fd, offset, len, &pages) : tfs_file_cached(fd, offset, len, &pages);

	if (!r)
		return pages >= last / page - offset / page + 1;
	if (r == -EAGAIN || fcntl(fd, F_GETFL) & O_DIRECT)
		return r;
	struct iovec v = { &byte, 1 };
	for (uint64_t at = offset; at < last; at += SAMPLE)
		if (preadv2(fd, &v, 1, (off_t)at, RWF_NOWAIT) != 1)
			return 0;
	return preadv2(fd, &v, 1, (off_t)last, RWF_NOWAIT) == 1;
}
