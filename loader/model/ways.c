/* SPDX-License-Identifier: MIT */
/*
 * What the modes of files don't tell about who may read them: access control lists; and which directories the links of a model lead
 * through, as a user who may not search one of them can't access the link's target.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/search.h"
#include "model/acl.h"
#include "model/impl.h"
#include "model/walk.h"

/* A directory that can't be accessed, or has changed since: only for root. */
static const struct stat closed;

struct search {
	const struct tfs_model *model;
	struct tfs_arena *arena;
	uint32_t link;	    /* the node */
	struct stat *above; /* the directories above the model */
	size_t n_above, room_above;
	struct tfs_rights *dirs; /* found for @link */
	size_t n, room;
};

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_above_model(const struct search *s, const struct stat *dir)
{
	for (size_t i = 0; i < s->n_above; i++)
		if (is_same(&s->above[i], dir))
			return true;
	return false;
}

/* Is @dir in the tree above the link? Then the user has come through it, and it has been checked anyway. */
static bool is_parent(const struct search *s, const struct stat *dir)
{
	const struct tfs_node *nodes = s->model->nodes;

	for (uint32_t i = s->link; i != TFS_NODE_ROOT;) {
		i = nodes[i].parent;
		if (nodes[i].id.dev == dir->st_dev && nodes[i].id.ino == dir->st_ino)
			return true;
	}
	return false;
}

static int add(struct search *s, const struct stat *dir, const struct tfs_acl *acl)
{
	struct tfs_rights rights = { dir->st_uid, dir->st_gid, dir->st_mode, acl };

	if ((dir->st_mode & 0111) == 0111 && !acl)
		return 0;
	for (size_t i = 0; i < s->n && !acl; i++)
		if (s->dirs[i].uid == rights.uid && s->dirs[i].gid == rights.gid && s->dirs[i].mode == rights.mode &&
		    !s->dirs[i].acl)
			return 0;
	if (tfs_array_room(s->dirs, s->n, s->room))
		return -ENOMEM;
	s->dirs[s->n++] = rights;
	return 0;
}

/* What comes of reading an access control list with the result @r: one that nobody is in, if it couldn't be read. -ENOMEM. */
static int acl_or_nobody(int r, const struct tfs_acl **ret_acl)
{
	/* Version 2; owner, group and others, with no permissions. */
	static const uint8_t none[] = { 2, 0, 0,   0,	1,   0,	  0,  0, 255, 255, 255, 255, 4,	  0,
					0, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255 };
	static const struct tfs_acl nobody = { sizeof none, none };

	if (r && r != -ENOMEM)
		*ret_acl = &nobody;
	return r == -ENOMEM ? r : 0;
}

/* Walk the link as the kernel does, from its directory: each directory in which something is looked up counts. */
static int walk(struct search *s, const char *dir, const char *name)
{
	const struct tfs_storage *storage = s->model->storage;
	struct tfs_walk w = { .storage = storage, .at = storage->ops->open_dir(storage, dir, false) };
	struct stat in, to;
	bool good = w.at >= 0 && !fstat(w.at, &in), link = false;
	int r = 0;

	strcpy(w.rest, name);
	while (good && !r && *w.rest) {
		bool searched = *w.rest != '/' && !is_parent(s, &in) && !is_above_model(s, &in);
		const struct tfs_acl *acl = NULL;

		if (searched)
			r = acl_or_nobody(tfs_acl_read(w.at, "", s->arena, &acl), &acl);
		good = tfs_walk_step(&w, &to, &link);
		if (good && searched && !r)
			r = add(s, &in, acl);
		in = link ? in : to;
	}
	if (w.at >= 0)
		close(w.at);
	return good || r ? r : add(s, &closed, NULL);
}

/* The directories above the model, which don't count: the mount replaces them. */
static int find_above(struct search *s)
{
	const struct tfs_storage *storage = s->model->storage;
	cleanup_fd int at = tfs_storage_step(storage, storage->fd, "..");
	struct stat st;

	while (at >= 0 && !fstat(at, &st) && (!s->n_above || !is_same(&s->above[s->n_above - 1], &st))) {
		int up;

		if (tfs_array_room(s->above, s->n_above, s->room_above))
			return -ENOMEM;
		s->above[s->n_above++] = st;
		up = tfs_storage_step(storage, at, "..");
		close(at);
		at = up;
	}
	return 0;
}

static int find_way(struct tfs_model_impl *m, struct search *s, uint32_t node, struct tfs_way *ret_way)
{
	char dir[PATH_MAX];
	struct tfs_rights *dirs;
	int r;

	s->link = node;
	s->n = 0;
	if (tfs_model_path(&m->pub, m->nodes[node].parent, dir, sizeof dir))
		r = add(s, &closed, NULL);
	else
		r = walk(s, dir, m->nodes[node].name);
	if (r || !s->n)
		return r;
	dirs = tfs_arena_alloc(&m->arena, s->n * sizeof *dirs, alignof(struct tfs_rights));
	if (!dirs)
		return -ENOMEM;
	memcpy(dirs, s->dirs, s->n * sizeof *dirs);
	*ret_way = (struct tfs_way){ s->n, dirs };
	return 0;
}

static int find_ways(struct tfs_model_impl *m)
{
	struct tfs_model *model = &m->pub;
	struct search s = { .model = model, .arena = &m->arena };
	cleanup_free struct tfs_way *ways = calloc(model->n_followed + 1, sizeof *ways);
	bool any = false;
	int r = !ways ? -ENOMEM : model->n_followed ? find_above(&s) : 0;

	for (size_t i = 0; i < model->n_followed && !r; i++) {
		r = find_way(m, &s, model->followed[i], &ways[i]);
		any |= !r && ways[i].n;
	}
	free(s.above);
	free(s.dirs);
	if (!r && any)
		model->ways = m->ways = tfs_steal(ways);
	return r;
}

/* The list of @node, which is at @path. If this process may not search a directory on it, its storage has the node opened. */
static int read_acl(struct tfs_model_impl *m, uint32_t node, const char *path, const struct tfs_acl **ret_acl)
{
	const struct tfs_storage *s = m->pub.storage;
	int r = tfs_acl_read(s->fd, path, &m->arena, ret_acl);

	if (r == -EACCES) {
		cleanup_fd int fd = S_ISDIR(m->nodes[node].mode) ? s->ops->open_dir(s, path, false) :
								   tfs_model_open_node(&m->pub, node, 0);

		r = fd < 0 ? fd : tfs_acl_read(fd, "", &m->arena, ret_acl);
	}
	return acl_or_nobody(r, ret_acl);
}

static int find_acls(struct tfs_model_impl *m)
{
	const struct tfs_acl *acl;
	char path[PATH_MAX];
	size_t n = 0, room = 0;
	int r = 0;

	for (uint32_t i = 0; i < m->pub.n_nodes && !r; i++) {
		if (!S_ISREG(m->nodes[i].mode) && !S_ISDIR(m->nodes[i].mode))
			continue;
		/* What has too long a path can't be opened, either. */
		if (tfs_model_path(&m->pub, i, path, sizeof path))
			continue;
		r = read_acl(m, i, path, &acl);
		if (r || !acl)
			continue;
		if (tfs_array_room(m->acls, n, room))
			return -ENOMEM;
		m->acls[n++] = (struct tfs_acl_of){ i, acl };
		m->pub.acls = m->acls;
		m->pub.n_acls = n;
	}
	return r;
}

int tfs_model_find_rights(struct tfs_model *model)
{
	struct tfs_model_impl *m = (struct tfs_model_impl *)model;
	int r = model->storage->fd < 0 ? 0 : find_acls(m);

	return r ? r : find_ways(m);
}

struct tfs_rights tfs_model_rights(const struct tfs_model *m, uint32_t node)
{
	const struct tfs_node *n = &m->nodes[node];
	struct tfs_rights rights = { n->uid, n->gid, n->mode, NULL };
	size_t at = m->n_acls ? tfs_search(i, 0, m->n_acls, m->acls[i].node < node) : 0;

	if (at < m->n_acls && m->acls[at].node == node)
		rights.acl = m->acls[at].acl;
	return rights;
}

const struct tfs_way *tfs_model_way(const struct tfs_model *m, uint32_t node)
{
	size_t at = m->ways ? tfs_search(i, 0, m->n_followed, m->followed[i] < node) : m->n_followed;

	return at < m->n_followed && m->followed[at] == node && m->ways[at].n ? &m->ways[at] : NULL;
}
