/* SPDX-License-Identifier: MIT */
#include "model/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "model/walk.h"

static bool is(const struct tfs_identity *id, const struct stat *st)
{
	return id->ino && id->dev == st->st_dev && id->ino == st->st_ino;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static struct tfs_identity identity_of(const struct stat *st)
{
	return (struct tfs_identity){
		.dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .mtime = st->st_mtim, .ctime = st->st_ctim
	};
}

/* Replace @*fd, a directory, by its parent; @*st describes it. False: it has none, or it can't be opened. */
static bool go_up(int *fd, struct stat *st)
{
	int up = openat(*fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat parent;

	if (up < 0)
		return false;
	close(*fd);
	*fd = up;
	if (fstat(up, &parent) || is_same(&parent, st))
		return false;
	*st = parent;
	return true;
}

/* Is @dir in one of the directories, or one of them itself? */
static bool contains(const struct tfs_inside *in, int dir)
{
	cleanup_fd int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	struct stat st;
	bool more = fd >= 0 && !fstat(fd, &st);

	while (more && !is(&in->root, &st) && !is(&in->blobs, &st))
		more = go_up(&fd, &st);
	return more;
}

/* --- The cache of huggingface_hub ------------------------------------------------------------------------------------ */

/*
 * REPOSITORY/snapshots/REVISION, a directory in it, and snapshots itself, have links to REPOSITORY/blobs. That isn't a link, and is of
 * the same owner, so it isn't somebody else's that just happens to be there.
 */
static void find_blobs(struct tfs_inside *in, int root)
{
	cleanup_fd int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	struct stat st, below, snapshots, blobs;

	if (fd < 0 || fstat(fd, &st))
		return;
	do {
		below = st;
		if (!go_up(&fd, &st))
			return;
	} while (fstatat(fd, "snapshots", &snapshots, AT_SYMLINK_NOFOLLOW) || !is_same(&snapshots, &below) ||
		 fstatat(fd, "blobs", &blobs, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(blobs.st_mode) || blobs.st_uid != snapshots.st_uid);
	in->blobs = identity_of(&blobs);
}

void tfs_inside_init(struct tfs_inside *in, int root)
{
	struct stat st;

	*in = (struct tfs_inside){ 0 };
	if (fstat(root, &st))
		return;
	in->root = identity_of(&st);
	find_blobs(in, root);
}

/* --- Links ----------------------------------------------------------------------------------------------------------- */

int tfs_inside_look(const struct tfs_inside *in, int dir, const char *name, struct tfs_dirent *ret)
{
	struct tfs_walk w = { .at = fcntl(dir, F_DUPFD_CLOEXEC, 0) };
	int parent = -1;
	bool good = w.at >= 0, link = false;
	struct stat st = { 0 };

	strcpy(w.rest, name);
	while (good && *w.rest) {
		if (parent >= 0)
			close(parent);
		parent = fcntl(w.at, F_DUPFD_CLOEXEC, 0);
		good = parent >= 0 && tfs_walk_step(&w, &st, &link);
	}
	/* What was reached is what is described, and is opened only if it is still that, wherever the link leads by then. */
	good = good && !fstat(w.at, &st);
	bool inside = good && contains(in, S_ISDIR(st.st_mode) ? w.at : parent);

	if (parent >= 0)
		close(parent);
	if (w.at >= 0)
		close(w.at);
	if (!inside)
		return good ? -EXDEV : -ENOENT;
	*ret = (struct tfs_dirent){ .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid, .id = identity_of(&st) };
	return 0;
}
