/* SPDX-License-Identifier: MIT */
#include "mount/readahead.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

void tfs_set_readahead(dev_t device, unsigned kib)
{
	char path[64], text[16];
	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(device), minor(device));
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	int n = snprintf(text, sizeof text, "%u", kib);
	if (fd < 0 || write(fd, text, n) != n)
		tfs_log_debug("%s: can't be changed by this user; streamed files are read in small pieces", path);
}
