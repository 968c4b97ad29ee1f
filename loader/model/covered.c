/* SPDX-License-Identifier: MIT */
/*
 * What of a model would a mount cover? All files are opened by their paths from the model directory, long after the mount was made.
 * A path that went through the mountpoint would then lead into our own mount, and the daemon would wait for itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "model/impl.h"

/* Links that lead to links: as many as the kernel follows (path_resolution(7)). */
#define MAX_FOLLOWED 40

/* A way that is gone step by step, as the kernel goes it. */
struct walk {
	int at;			/* the directory that has been reached */
	unsigned followed;	/* links on the way */
	char rest[2 * PATH_MAX]; /* what is left of the path */
};

/* The link @fd is next: its target goes in front of the rest. False: it does not fit, or can't be read. */
static bool follow(struct walk *w, int fd)
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

/* Go to the next part of the path. False: there is none, or no such file. Fills *@ret with where that led, unless it was a link. */
static bool step(struct walk *w, struct stat *ret, bool *ret_link)
{
	size_t len = strcspn(w->rest, "/"), skip = len + strspn(w->rest + len, "/");
	char name[NAME_MAX + 1] = "/"; /* where nothing is before the first '/' */
	int next;

	if (!skip || len > NAME_MAX)
		return false;
	if (len)
		memcpy(name, w->rest, len);
	if (len)
		name[len] = '\0';
	memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
	next = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0)
		return false;
	*ret_link = !fstat(next, ret) && S_ISLNK(ret->st_mode);
	if (*ret_link) {
		bool good = follow(w, next);

		close(next);
		return good;
	}
	close(w->at);
	w->at = next;
	return true;
}

/* Does the way from the directory @root to @path enter @dir? Where it starts does not count: a descriptor is below what covers it. */
static bool enters(int root, const char *path, const struct stat *dir)
{
	struct walk w = { .at = openat(root, ".", O_PATH | O_CLOEXEC) };
	bool is = false, link;
	struct stat st;

	strcpy(w.rest, path);
	while (!is && w.at >= 0 && step(&w, &st, &link))
		is = !link && st.st_dev == dir->st_dev && st.st_ino == dir->st_ino;
	if (w.at >= 0)
		close(w.at);
	return is;
}

int tfs_model_covered(const struct tfs_model *m, const char *dir, uint32_t *ret_node)
{
	char path[PATH_MAX];
	struct stat st;

	if (stat(dir, &st))
		return -errno;
	for (uint32_t i = 0; i < m->n_nodes; i++) {
		const struct tfs_node *n = &m->nodes[i];

		if (i != TFS_NODE_ROOT && n->n_children && n->id.dev == st.st_dev && n->id.ino == st.st_ino) {
			*ret_node = n->first_child;
			return 1;
		}
	}
	for (size_t i = 0; i < m->n_followed; i++) {
		const struct tfs_node *n = &m->nodes[m->followed[i]];

		if ((S_ISDIR(n->mode) && !n->n_children) || tfs_model_path(m, m->followed[i], path, sizeof path) ||
		    !enters(m->storage->fd, path, &st))
			continue;
		*ret_node = m->followed[i];
		return 1;
	}
	return 0;
}
