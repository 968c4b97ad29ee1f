/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

int tfs_file_cached(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages)
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
