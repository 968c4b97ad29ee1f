/* SPDX-License-Identifier: MIT */
/* Files of this machine. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "storage/storage.h"

static int read_at(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, struct tfs_error *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(in->fd, (char *)buf + done, len - done, offset + done);
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

static const struct tfs_input_ops input_ops = { .read_at = read_at };

struct tfs_input tfs_input_of_fd(int fd, uint64_t size)
{
	return (struct tfs_input){ .ops = &input_ops, .size = size, .fd = fd };
}
