/* SPDX-License-Identifier: MIT */
#include "model/walk.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Chained links: as many as the kernel follows (path_resolution(7)). */
#define MAX_FOLLOWED 40

/* The link @fd is next: its target is prepended to the rest. False: it doesn't fit, or can't be read. */
static bool follow(struct tfs_walk *w, int fd)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(fd, "", target, sizeof target);
	size_t tail = strlen(w->rest);

	if (len <= 0 || len + tail + 2 > sizeof w->rest || w->followed++ == MAX_FOLLOWED)
		return false;
	memmove(w->rest + len + 1, w->rest, tail + 1);
	memcpy(w->rest, target, len);
	w->rest[len] = '/';
	return true;
}

bool tfs_walk_step(struct tfs_walk *w, struct stat *ret, bool *ret_link)
{
	size_t len = strcspn(w->rest, "/"), skip = len + strspn(w->rest + len, "/");
	char name[NAME_MAX + 1] = "/"; /* if nothing precedes the first '/' */
	int next;

	if (!skip || len > NAME_MAX)
		return false;
	if (len)
		memcpy(name, w->rest, len);
	if (len)
		name[len] = '\0';
	memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
	next = tfs_storage_step(w->storage, w->at, name);
	if (next < 0)
		return false;
	*ret_link = !tfs_storage_stat(w->storage, next, "", AT_EMPTY_PATH, ret) && S_ISLNK(ret->st_mode);
	if (*ret_link) {
		bool good = follow(w, next);

		close(next);
		return good;
	}
	close(w->at);
	w->at = next;
	return true;
}
