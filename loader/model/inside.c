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
static bool go_up(const struct tfs_storage *s, int *fd, struct stat *st)
{
	int up = tfs_storage_step(s, *fd, "..");
	struct stat parent;

	if (up < 0)
		return false;
	close(*fd);
	*fd = up;
	if (tfs_storage_stat(s, up, "", AT_EMPTY_PATH, &parent) || is_same(&parent, st))
		return false;
	*st = parent;
	return true;
}

/* Is @dir in one of the directories, or one of them itself? */
static bool contains(const struct tfs_inside *in, const struct tfs_storage *s, int dir)
{
	cleanup_fd int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	struct stat st;
	bool more = fd >= 0 && !tfs_storage_stat(s, fd, "", AT_EMPTY_PATH, &st);

	while (more && !is(&in->root, &st) && !is(&in->blobs, &st))
		more = go_up(s, &fd, &st);
	return more;
}

/* --- The cache of huggingface_hub ------------------------------------------------------------------------------------ */

/* Has the directory @fd, beside its directory @below, which is "snapshots", such blobs? */
static bool has_blobs(const struct tfs_storage *s, int fd, const struct stat *below, struct stat *ret_blobs)
{
	struct stat snapshots;

	return !tfs_storage_stat(s, fd, "snapshots", AT_SYMLINK_NOFOLLOW, &snapshots) && is_same(&snapshots, below) &&
	       !tfs_storage_stat(s, fd, "blobs", AT_SYMLINK_NOFOLLOW, ret_blobs) && S_ISDIR(ret_blobs->st_mode) &&
	       ret_blobs->st_uid == snapshots.st_uid;
}

/*
 * REPOSITORY/snapshots/REVISION, a directory in it, and snapshots itself, have links to REPOSITORY/blobs. That isn't a link, and is of
 * the same owner, so it isn't somebody else's that just happens to be there. The repository, opened with O_PATH, or -1.
 */
static int find_repository(const struct tfs_storage *s, struct stat *ret_blobs)
{
	cleanup_fd int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	struct stat st, below;

	if (fd < 0 || tfs_storage_stat(s, fd, "", AT_EMPTY_PATH, &st))
		return -1;
	do {
		below = st;
		if (!go_up(s, &fd, &st))
			return -1;
	} while (!has_blobs(s, fd, &below, ret_blobs));
	return tfs_steal_fd(&fd);
}

int tfs_inside_open_blobs(const struct tfs_storage *s)
{
	struct stat blobs, st;
	cleanup_fd int repository = find_repository(s, &blobs);
	cleanup_fd int fd = repository < 0 ? -1 : tfs_storage_step(s, repository, "blobs");

	return fd >= 0 && !tfs_storage_stat(s, fd, "", AT_EMPTY_PATH, &st) && is_same(&st, &blobs) ? tfs_steal_fd(&fd) : -1;
}

void tfs_inside_init(struct tfs_inside *in, const struct tfs_storage *s)
{
	struct stat st;

	*in = (struct tfs_inside){ 0 };
	if (tfs_storage_stat(s, s->fd, "", AT_EMPTY_PATH, &st))
		return;
	in->root = identity_of(&st);
	cleanup_fd int repository = find_repository(s, &st);
	if (repository >= 0)
		in->blobs = identity_of(&st);
}

/* --- Links ----------------------------------------------------------------------------------------------------------- */

int tfs_inside_look(const struct tfs_inside *in, const struct tfs_storage *s, int dir, const char *name, struct tfs_dirent *ret)
{
	struct tfs_walk w = { .storage = s, .at = fcntl(dir, F_DUPFD_CLOEXEC, 0) };
	int parent = -1;
	bool good = w.at >= 0, link = false;
	struct stat st = { 0 };

	if (strlen(name) >= sizeof w.rest)
		good = false;
	else
		strcpy(w.rest, name);
	while (good && *w.rest) {
		if (parent >= 0)
			close(parent);
		parent = fcntl(w.at, F_DUPFD_CLOEXEC, 0);
		good = parent >= 0 && tfs_walk_step(&w, &st, &link);
	}
	/* What was reached is what is described, and is opened only if it is still that, wherever the link leads by then. */
	good = good && !tfs_storage_stat(s, w.at, "", AT_EMPTY_PATH, &st);
	bool inside = good && contains(in, s, S_ISDIR(st.st_mode) ? w.at : parent);

	if (parent >= 0)
		close(parent);
	if (w.at >= 0)
		close(w.at);
	if (!inside)
		return good ? -EXDEV : -ENOENT;
	*ret = (struct tfs_dirent){ .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid, .id = identity_of(&st) };
	return 0;
}
