/* SPDX-License-Identifier: MIT */
#include "readahead.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* mountinfo writes space, tab, newline and backslash as \NNN, octal; see proc_pid_mountinfo(5). */
static void unescape(char *s)
{
	char *to = s;
	while (*s) {
		unsigned c;
		if (s[0] == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to++ = (char)c;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

dev_t tfs_mount_device(const char *mountpoint)
{
	cleanup_free char *line = NULL;
	size_t size = 0;
	dev_t device = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && getline(&line, &size, f) > 0) {
		/* ID PARENT MAJOR:MINOR ROOT MOUNTPOINT … */
		unsigned maj, min;
		int path;
		if (sscanf(line, "%*d %*d %u:%u %*s %n", &maj, &min, &path) != 2)
			continue;
		char *p = line + path;
		p[strcspn(p, " ")] = 0;
		unescape(p);
		if (!strcmp(p, mountpoint))
			device = makedev(maj, min); /* a later one lies on top */
	}
	if (f)
		fclose(f);
	return device;
}

void tfs_set_readahead(dev_t device, unsigned kib)
{
	char path[64], text[16];
	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(device), minor(device));
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	int n = snprintf(text, sizeof text, "%u", kib);
	if (fd < 0 || write(fd, text, n) != n)
		tfs_log_debug("%s: not ours to change; streamed files are read in small pieces", path);
}
