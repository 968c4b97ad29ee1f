/* SPDX-License-Identifier: MIT */
/*
 * Faults one by one: the linker hands the calls that tests/fault/meson.build lists (-Wl,--wrap=NAME), whoever of this program makes
 * them, to the functions below. They let the n-th one fail, in the way that the test chose, and pass all others on. That works the
 * same with a sanitizer. What a library calls by itself isn't handed to us, so what asks it for memory counts as an allocation of
 * its own; but jansson has its memory from the loader (model/config.c).
 *
 * For one .c file of a program, as the functions are defined here.
 */
#ifndef TEST_INJECT_H
#define TEST_INJECT_H

#include "config.h"
#include "support/helpers.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <xxhash.h>
#include <zlib.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

/* --- Which one ------------------------------------------------------------------------------------------------------- */

enum inject_kind { INJECT_NOTHING, INJECT_ALLOCATIONS, INJECT_CALLS };

/* Ways to fail that aren't an errno: half of the bytes; none, as at the end of a file; all is well, but later. */
enum { INJECT_SHORT = -1, INJECT_END = -2, INJECT_LATE = -3 };

/* The most ways that one call has. */
enum { INJECT_WAYS = 8 };

static struct {
	_Atomic enum inject_kind kind;
	enum inject_kind of;	      /* what it was last */
	_Atomic unsigned way;	      /* which of the ways of each call; calls that have fewer don't count */
	const char *only;	      /* the call that counts; NULL: all */
	_Atomic long left;	      /* calls up to the one that fails; <= 0: it has, or none will */
	_Atomic(const char *) failed; /* its name; NULL: it hasn't been made */
	_Atomic long mapped;	      /* bytes that are mapped, now */
	void *callers[16];	      /* of the one that failed */
	int n_callers;
} inject;

/* What this thread calls is the test's own. */
static _Thread_local unsigned inject_paused;

/* From here on, the @n-th call of that kind that can fail in way number @way does. */
static inline void inject_begin(enum inject_kind kind, unsigned way, long n)
{
	inject.failed = NULL;
	inject.way = way;
	inject.left = n;
	inject.of = kind;
	inject.kind = kind;
}

/* The name of the call that failed; NULL: there were fewer. */
static inline const char *inject_end(void)
{
	inject.kind = INJECT_NOTHING;
	return inject.failed;
}

/* fail_msg(), and who made the call that failed: addresses, for addr2line(1). */
#define inject_fail_msg(...)                                               \
	do {                                                               \
		backtrace_symbols_fd(inject.callers, inject.n_callers, 2); \
		fail_msg(__VA_ARGS__);                                     \
	} while (0)

/* How this call fails: one of its @n @ways. 0: it doesn't. */
static inline int inject_way(enum inject_kind kind, const char *call, const int *ways, unsigned n)
{
	if (inject.kind != kind || inject.way >= n || inject_paused || (inject.only && strcmp(inject.only, call) != 0) ||
	    atomic_fetch_sub(&inject.left, 1) != 1)
		return 0;
	inject.failed = call;
	inject.n_callers = backtrace(inject.callers, LENGTH(inject.callers));
	return ways[inject.way];
}

/* --- Allocations ------------------------------------------------------------------------------------------------------ */

#define INJECT_ALLOCATION(type, name, params, args, none)                                \
	type __real_##name params;                                                       \
	type __wrap_##name params;                                                       \
	type __wrap_##name params                                                        \
	{                                                                                \
		if (inject_way(INJECT_ALLOCATIONS, #name, (const int[]){ ENOMEM }, 1)) { \
			errno = ENOMEM;                                                  \
			return none;                                                     \
		}                                                                        \
		return __real_##name args;                                               \
	}

INJECT_ALLOCATION(void *, malloc, (size_t size), (size), NULL)
INJECT_ALLOCATION(void *, calloc, (size_t n, size_t size), (n, size), NULL)
INJECT_ALLOCATION(void *, realloc, (void *old, size_t size), (old, size), NULL)
INJECT_ALLOCATION(void *, reallocarray, (void *old, size_t n, size_t size), (old, n, size), NULL)
INJECT_ALLOCATION(void *, aligned_alloc, (size_t align, size_t size), (align, size), NULL)
INJECT_ALLOCATION(char *, strdup, (const char *s), (s), NULL)
INJECT_ALLOCATION(char *, strndup, (const char *s, size_t n), (s, n), NULL)
/* In libraries. */
INJECT_ALLOCATION(void *, tsearch, (const void *key, void **root, __compar_fn_t cmp), (key, root, cmp), NULL)
INJECT_ALLOCATION(FILE *, fopen64, (const char *path, const char *mode), (path, mode), NULL)
INJECT_ALLOCATION(XXH3_state_t *, XXH3_createState, (void), (), NULL)
INJECT_ALLOCATION(int, inflateInit2_, (z_stream * z, int bits, const char *version, int size), (z, bits, version, size),
		  Z_MEM_ERROR)
INJECT_ALLOCATION(int, inflateCopy, (z_stream * to, z_stream *from), (to, from), Z_MEM_ERROR)

/* For the beginning of main(). */
static inline void inject_init(void)
{
	/* meson has malloc() fill all that it gives out, which here is megabytes for a few bytes of a file. */
	mallopt(M_PERTURB, 0);
	/* The first call loads a library. */
	inject.n_callers = backtrace(inject.callers, LENGTH(inject.callers));
}

/* --- System calls ------------------------------------------------------------------------------------------------------ */

/* @failed: what it returns then; it may use @way, the errno. */
#define INJECT_CALL(type, name, params, args, failed, ...)                             \
	type __real_##name params;                                                     \
	type __wrap_##name params;                                                     \
	type __wrap_##name params                                                      \
	{                                                                              \
		static const int ways[] = { __VA_ARGS__ };                             \
		_Static_assert(LENGTH(ways) <= INJECT_WAYS, "the test tries no more"); \
		const int way = inject_way(INJECT_CALLS, #name, ways, LENGTH(ways));   \
		if (way > 0) {                                                         \
			errno = way;                                                   \
			return failed;                                                 \
		}                                                                      \
		if (way == INJECT_LATE)                                                \
			usleep(2000);                                                  \
		return __real_##name args;                                             \
	}

INJECT_CALL(int, open64, (const char *path, int flags, unsigned mode), (path, flags, mode), -1, EMFILE, ENFILE, ENOMEM)
INJECT_CALL(int, openat64, (int dir, const char *path, int flags, unsigned mode), (dir, path, flags, mode), -1, EMFILE, ENOMEM, EIO,
	    INJECT_LATE)
INJECT_CALL(int, __openat64_2, (int dir, const char *path, int flags), (dir, path, flags), -1, EMFILE, ENFILE, EIO, EINVAL,
	    INJECT_LATE)
INJECT_CALL(int, fstat64, (int fd, struct stat *st), (fd, st), -1, EIO, ENOMEM)
INJECT_CALL(int, fstatat64, (int dir, const char *path, struct stat *st, int flags), (dir, path, st, flags), -1, EIO, ENOMEM,
	    INJECT_LATE)
INJECT_CALL(int, fstatfs64, (int fd, struct statfs *st), (fd, st), -1, EIO)
INJECT_CALL(ssize_t, readlinkat, (int dir, const char *path, char *buf, size_t size), (dir, path, buf, size), -1, EIO, ENOMEM)
INJECT_CALL(ssize_t, getdents64, (int fd, void *buf, size_t size), (fd, buf, size), -1, EIO, ENOMEM)
INJECT_CALL(int, ftruncate64, (int fd, off_t size), (fd, size), -1, ENOSPC, EFBIG, ENOMEM)
INJECT_CALL(int, madvise, (void *at, size_t len, int advice), (at, len, advice), -1, ENOMEM, EAGAIN, EINVAL)
INJECT_CALL(int, mincore, (void *at, size_t len, unsigned char *v), (at, len, v), -1, EAGAIN)
INJECT_CALL(int, posix_fadvise64, (int fd, off_t at, off_t len, int advice), (fd, at, len, advice), way, EIO, EINVAL)
INJECT_CALL(int, fcntl64, (int fd, int what, long arg), (fd, what, arg), -1, EMFILE, EAGAIN, ENOMEM)
INJECT_CALL(ssize_t, preadv64v2, (int fd, const struct iovec *v, int n, off_t at, int flags), (fd, v, n, at, flags), -1, EAGAIN,
	    EOPNOTSUPP, EIO)
INJECT_CALL(int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE, ENOMEM)
INJECT_CALL(int, poll, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout), -1, EINTR, ENOMEM)
INJECT_CALL(int, pthread_create, (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg),
	    (thread, attr, run, arg), way, EAGAIN, INJECT_LATE)
/* fsopen(2) and the like, cachestat(2): of none more arguments are used. */
INJECT_CALL(long, syscall, (long number, long a, long b, long c, long d, long e), (number, a, b, c, d, e), -1, ENOSYS, EMFILE,
	    ENOMEM, EPERM)

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t at)
{
	static const int ways[] = { EIO, EINTR, INJECT_SHORT, INJECT_END, EINVAL, ENOMEM, INJECT_LATE };
	const int way = inject_way(INJECT_CALLS, "pread", ways, LENGTH(ways));
	const size_t unit = fcntl(fd, F_GETFL) & O_DIRECT ? 4096 : 1; /* as a kernel would, too */

	if (way > 0) {
		errno = way;
		return -1;
	}
	if (way == INJECT_END)
		return 0;
	if (way == INJECT_SHORT && len >= 2 * unit)
		len = len / 2 / unit * unit;
	if (way == INJECT_LATE)
		usleep(2000);
	return __real_pread64(fd, buf, len, at);
}

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	static const int ways[] = { ENOSPC, EINTR, INJECT_SHORT, EIO, ENOMEM, INJECT_LATE };
	const int way = inject_way(INJECT_CALLS, "pwrite", ways, LENGTH(ways));

	if (way > 0) {
		errno = way;
		return -1;
	}
	if (way == INJECT_SHORT && len >= 2)
		len /= 2;
	if (way == INJECT_LATE)
		usleep(2000);
	return __real_pwrite64(fd, buf, len, at);
}

/* A mapping counts as both: memory, and a system call. */
void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	static const int ways[] = { ENOMEM, EACCES };

	if (inject_way(INJECT_ALLOCATIONS, "mmap", ways, 1) || inject_way(INJECT_CALLS, "mmap", ways, LENGTH(ways))) {
		errno = ways[inject.kind == INJECT_CALLS ? inject.way : 0];
		return MAP_FAILED;
	}
	void *map = __real_mmap64(at, len, prot, flags, fd, offset);
	if (map != MAP_FAILED)
		inject.mapped += (long)((len + 4095) / 4096 * 4096);
	return map;
}

int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len)
{
	int r = __real_munmap(at, len);

	if (!r)
		inject.mapped -= (long)((len + 4095) / 4096 * 4096);
	return r;
}

#ifdef HAVE_LIBURING
INJECT_CALL(int, io_uring_queue_init, (unsigned n, struct io_uring *ring, unsigned flags), (n, ring, flags), -way, ENOMEM, EPERM,
	    ENOSYS, EINVAL)
INJECT_CALL(int, io_uring_register_buffers, (struct io_uring * ring, const struct iovec *v, unsigned n), (ring, v, n), -way, ENOMEM,
	    EINVAL)
INJECT_CALL(int, io_uring_register_files, (struct io_uring * ring, const int *fds, unsigned n), (ring, fds, n), -way, EMFILE,
	    EINVAL)
INJECT_CALL(int, io_uring_register_files_update, (struct io_uring * ring, unsigned at, const int *fds, unsigned n),
	    (ring, at, fds, n), -way, EMFILE, ENOMEM)
INJECT_CALL(int, io_uring_submit, (struct io_uring * ring), (ring), -way, EAGAIN, EINTR, EBUSY, ENOMEM, INJECT_LATE)

/* A completion that had to be waited for: the call fails, or what was read does. (io_uring.h calls it.) */
int __real___io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned submit, unsigned n, sigset_t *mask);
int __wrap___io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned submit, unsigned n, sigset_t *mask);
int __wrap___io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned submit, unsigned n, sigset_t *mask)
{
	static const int ways[] = { EINTR, EIO, INJECT_SHORT, INJECT_END, EAGAIN, ECANCELED };
	const int way = inject_way(INJECT_CALLS, "io_uring_wait_cqe", ways, LENGTH(ways));

	if (way == EINTR)
		return -EINTR;
	int r = __real___io_uring_get_cqe(ring, cqe, submit, n, mask);
	if (r || !way)
		return r;
	if (way > 0)
		(*cqe)->res = -way;
	else if (way == INJECT_END)
		(*cqe)->res = 0;
	else if ((*cqe)->res >= 2 * 4096)
		(*cqe)->res = (*cqe)->res / 2 / 4096 * 4096;
	return 0;
}
#endif

/* --- What is left behind ----------------------------------------------------------------------------------------------- */

/* How many of the first 1024 descriptors are open. */
static inline unsigned inject_open_files(void)
{
	enum { FIRST = 1024 };
	static struct pollfd fds[FIRST];
	unsigned n = FIRST;

	for (int i = 0; i < FIRST; i++)
		fds[i] = (struct pollfd){ .fd = i };
	inject_paused++;
	assert_true(poll(fds, FIRST, 0) >= 0);
	inject_paused--;
	for (unsigned i = 0; i < FIRST; i++)
		n -= fds[i].revents & POLLNVAL ? 1 : 0;
	return n;
}

#endif
