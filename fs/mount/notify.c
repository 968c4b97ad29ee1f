/* SPDX-License-Identifier: MIT */
#include "mount/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/log.h"

int tfs_notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = name ? strlen(name) : 0;

	if (!len)
		return -1;
	if (len >= sizeof to.sun_path || (name[0] != '/' && name[0] != '@')) {
		tfs_log_warning("NOTIFY_SOCKET=%s: not a socket of this machine", name);
		return -1;
	}
	memcpy(to.sun_path, name, len);
	if (name[0] == '@') /* an abstract one */
		to.sun_path[0] = 0;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&to, size))
		return tfs_steal_fd(&fd);
	tfs_log_warning("NOTIFY_SOCKET=%s: %s", name, strerror(errno));
	return -1;
}

void tfs_notify(int fd, const char *state)
{
	if (fd >= 0 && send(fd, state, strlen(state), MSG_NOSIGNAL) < 0)
		tfs_log_warning("NOTIFY_SOCKET: %s", strerror(errno));
}

void tfs_notify_ready(int fd, const char *model, const char *mountpoint)
{
	cleanup_free char *state = NULL;

	if (asprintf(&state, "READY=1\nSTATUS=%s on %s", model, mountpoint) < 0)
		state = NULL;
	tfs_notify(fd, state ? state : "READY=1");
}
