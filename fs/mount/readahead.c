/* SPDX-License-Identifier: MIT */
#include "mount/readahead.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"

int tfs_readahead_open(dev_t device)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(device), minor(device));
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		tfs_log_debug("%s: can't be changed by this user; streamed files are read in small pieces", path);
	return fd;
}

void tfs_readahead_set(int fd, unsigned kib)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%u", kib);

	if (write(fd, text, (size_t)n) != n)
		tfs_log_debug("the readahead of the mount can't be changed");
}
