/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int tfs_file_read(int fd, void *buf, size_t len, uint64_t offset, struct tfs_error *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, offset + done);
		int code = errno;

		if (n > 0)
			done += n;
		else if (!n)
			return tfs_error_set(err, -EIO, offset + done,
					     "the file ends here, was cut short while it was read");
		else if (code != EINTR)
			return tfs_error_set(err, -code, offset + done, "reading: %s", strerror(code));
	}
	return 0;
}
