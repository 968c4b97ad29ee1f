/* SPDX-License-Identifier: MIT */
/*
 * The tree of a model directory. Directories are read breadth first, as the children of one must be adjacent in the table; nodes[]
 * itself is the queue.
 */
#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "model/given.h"
#include "model/impl.h"
#include "storage/storage.h"

static void set_entry(struct tfs_node *n, const struct tfs_dirent *e)
{
	n->mode = e->mode;
	n->uid = e->uid;
	n->gid = e->gid;
	n->id = e->id;
}

int tfs_scan_look(const struct tfs_model_impl *m, int dir, const char *name, bool follow, struct tfs_dirent *ret)
{
	return m->pub.storage->ops->look(m->pub.storage, dir, name, follow, ret);
}

int tfs_scan_look_through(const struct tfs_model_impl *m, uint32_t node, int dir, const char *name, struct tfs_dirent *ret)
{
	const int fd = m->pub.storage->fd;
	const bool given = node == TFS_NODE_ROOT && m->given_name && !strcmp(name, m->given_name);

	if (m->follow_all || given || fd < 0)
		return tfs_scan_look(m, dir, name, true, ret);
	return tfs_inside_look(&m->inside, m->pub.storage, dir == TFS_STORAGE_ROOT ? fd : dir, name, ret);
}

/* The node is zero except for its parent, a copy of the name, and what @e has. */
static int add_node(struct tfs_model_impl *m, uint32_t parent, const char *name, const struct tfs_dirent *e, struct tfs_error *err)
{
	size_t n = m->pub.n_nodes;

	if (n == TFS_MAX_NODES)
		return tfs_error_set(err, -E2BIG, TFS_NO_OFFSET, "more than %u files and directories: hardly a model directory",
				     TFS_MAX_NODES);
	if (tfs_array_room(m->nodes, n, m->room_nodes))
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for more than %zu files", n);
	m->pub.nodes = m->nodes;
	m->nodes[n] = (struct tfs_node){ .name = tfs_arena_copy(&m->arena, name, strlen(name)), .parent = parent };
	if (!m->nodes[n].name)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for the names of files");
	set_entry(&m->nodes[n], e);
	m->pub.n_nodes++;
	return 0;
}

static int add_followed(struct tfs_model_impl *m, uint32_t node, struct tfs_error *err)
{
	if (tfs_array_room(m->followed, m->pub.n_followed, m->room_followed))
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for more than %zu links", m->pub.n_followed);
	m->pub.followed = m->followed;
	m->followed[m->pub.n_followed++] = node;
	return 0;
}

/* Would a directory with this identity in @parent contain itself? */
static bool is_ancestor(const struct tfs_model_impl *m, uint32_t parent, const struct tfs_dirent *e)
{
	for (uint32_t i = parent;; i = m->nodes[i].parent) {
		if (tfs_identity_same(&m->nodes[i].id, &e->id))
			return true;
		if (i == TFS_NODE_ROOT)
			return false;
	}
}

static unsigned depth_of(const struct tfs_model_impl *m, uint32_t node)
{
	unsigned depth = 0;

	for (; node != TFS_NODE_ROOT; node = m->nodes[node].parent)
		depth++;
	return depth;
}

static struct tfs_link *new_link(struct tfs_model_impl *m, const struct tfs_dirent *e, const char *target, size_t len)
{
	struct tfs_link *link = tfs_arena_alloc(&m->arena, sizeof *link, alignof(struct tfs_link));

	if (!link)
		return NULL;
	*link = (struct tfs_link){
		.target = tfs_arena_copy(&m->arena, target, len), .uid = e->uid, .gid = e->gid, .mtime = e->id.mtime
	};
	return link->target ? link : NULL;
}

/* What the link @name of the directory @dir is as a link; @e describes it. -ENOMEM, or the storage's error. */
static int read_link(struct tfs_model_impl *m, int dir, const char *name, const struct tfs_dirent *e, struct tfs_link **ret_link)
{
	char target[PATH_MAX];
	ssize_t len = m->pub.storage->ops->read_link(m->pub.storage, dir, name, target, sizeof target);

	if (len < 0)
		return len;
	*ret_link = new_link(m, e, target, len);
	return *ret_link ? 0 : -ENOMEM;
}

/*
 * The link described by @e, in the directory @parent, as one to the directory @to of the tree. -ENAMETOOLONG, -ENOMEM.
 */
static int link_within(struct tfs_model_impl *m, uint32_t parent, uint32_t to, const struct tfs_dirent *e,
		       struct tfs_link **ret_link)
{
	char target[PATH_MAX], path[PATH_MAX];
	size_t up = 3 * (size_t)depth_of(m, parent), len;
	int r = tfs_model_path(&m->pub, to, path, sizeof path);

	if (r)
		return r;
	len = strlen(path);
	if (up + len >= sizeof target)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < up; i += 3)
		memcpy(target + i, "../", 3);
	memcpy(target + up, path, len);
	*ret_link = new_link(m, e, target, up + len);
	return *ret_link ? 0 : -ENOMEM;
}

/*
 * Add @name of the directory @dir, which is @parent. Nothing is opened here, so a FIFO or a device is harmless. An entry that has
 * vanished is skipped; for one that can't be accessed the positive errno is returned.
 */
static int add_entry(struct tfs_model_impl *m, uint32_t parent, int dir, const char *name, struct tfs_error *err)
{
	struct tfs_link *link = NULL;
	struct tfs_node *n;
	struct tfs_dirent e, to;
	bool loop = false, followed = false;
	int r = tfs_scan_look(m, dir, name, false, &e), target;

	if (r)
		return r == -ENOENT ? 0 : -r;
	if (!S_ISLNK(e.mode)) {
		loop = S_ISDIR(e.mode) && is_ancestor(m, parent, &e);
	} else {
		target = tfs_scan_look_through(m, parent, dir, name, &to);
		if (target == -EXDEV && !m->n_outside++)
			m->outside = name;
		/* A dangling one, or one that leads upwards, is harmless as a link. */
		followed = !target && !(S_ISDIR(to.mode) && is_ancestor(m, parent, &to));
		uint32_t seen = followed && S_ISDIR(to.mode) ? tfs_seen_find(&m->seen, m->nodes, &to.id) : UINT32_MAX;
		followed = followed && seen == UINT32_MAX;
		r = seen != UINT32_MAX	      ? link_within(m, parent, seen, &e, &link) :
		    followed && !m->undecided ? 0 :
						read_link(m, dir, name, &e, &link);
		if (r == -ENOMEM)
			return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for the names of files");
		if (r && !followed)
			return r == -ENOENT ? 0 : -r;
		if (followed)
			e = to;
		if (link)
			link->outside = target == -EXDEV;
	}
	r = add_node(m, parent, name, &e, err);
	if (!r && followed)
		r = add_followed(m, m->pub.n_nodes - 1, err);
	if (r)
		return r;
	n = &m->nodes[m->pub.n_nodes - 1];
	n->link = link;
	if (m->seen.room && S_ISDIR(e.mode) && tfs_seen_add(&m->seen, m->nodes, m->pub.n_nodes - 1))
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for more than %zu directories", m->seen.n);
	if (loop) {
		/* A parent mounted on it: not a link, so shown as an empty directory; without an identity it isn't read. */
		n->id.dev = 0;
		n->id.ino = 0;
		tfs_model_warn(m, m->pub.n_nodes - 1, -ELOOP, "is one of its own parents; shown empty");
	}
	return 0;
}

int tfs_scan_by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

struct names {
	struct tfs_arena *arena;
	const void **names;
	size_t n, room;
};

static int add_name(void *arg, const char *name)
{
	struct names *l = arg;

	if (l->n == TFS_MAX_NODES)
		return -E2BIG;
	if (tfs_array_room(l->names, l->n, l->room))
		return -ENOMEM;
	l->names[l->n] = tfs_arena_copy(l->arena, name, strlen(name));
	return l->names[l->n++] ? 0 : -ENOMEM;
}

int tfs_scan_list(const struct tfs_storage *s, int dir, struct tfs_arena *arena, const void ***ret_names, size_t *ret_count)
{
	struct names l = { .arena = arena };
	int r = s->ops->list(s, dir, add_name, &l);
	cleanup_free const void **names = l.names, **tmp = NULL;

	if (r)
		return r;
	tmp = reallocarray(NULL, l.n + 1, sizeof *tmp); /* n may be 0 */
	if (!tmp)
		return -ENOMEM;
	tfs_sort(names, l.n, tmp, tfs_scan_by_name);
	*ret_names = tfs_steal(names);
	*ret_count = l.n;
	return 0;
}

/* --- Directories --------------------------------------------------------------------------------------------------- */

/* Open the directory @node, to list it or only to look up entries in it, if it is still the same one. A handle or -errno. */
static int open_dir(const struct tfs_model_impl *m, uint32_t node, bool to_list)
{
	const struct tfs_storage *s = m->pub.storage;
	char path[PATH_MAX];
	struct tfs_dirent e;
	int r = tfs_model_path(&m->pub, node, path, sizeof path), dir = r ? r : s->ops->open_dir(s, path, to_list);

	if (dir < 0)
		return dir;
	r = tfs_scan_look(m, dir, "", true, &e);
	/* Otherwise links that are changed meanwhile could lead upwards after all. */
	if (!r && !tfs_identity_same(&e.id, &m->nodes[node].id))
		r = -ESTALE;
	if (r)
		s->ops->close_dir(s, dir);
	return r ? r : dir;
}

/* The directory can't be read because of @code: 0 if it is just shown empty. */
static int refuse_dir(struct tfs_model_impl *m, uint32_t node, int code, struct tfs_error *err)
{
	switch (code) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -E2BIG:
		tfs_error_set(err, code, TFS_NO_OFFSET, "reading the directory: %s", strerror(-code));
		tfs_model_error_in(&m->pub, node, err);
		return code;
	default:
		if (node == TFS_NODE_ROOT)
			return tfs_error_set(err, code, TFS_NO_OFFSET, "reading the model directory: %s", strerror(-code));
		tfs_model_warn(m, node, code, "unreadable directory, shown empty: %s", strerror(-code));
		return 0;
	}
}

/* Add the @n entries @names of the directory @dir, which is @node. */
static int add_entries(struct tfs_model_impl *m, uint32_t node, int dir, const void *const *names, size_t n, struct tfs_error *err)
{
	const char *first = NULL;
	size_t unseen = 0;
	int r = 0, code = 0;

	m->nodes[node].first_child = m->pub.n_nodes;
	m->n_outside = 0;
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = add_entry(m, node, dir, names[i], err);
		if (r > 0 && !unseen++) {
			first = names[i];
			code = r;
		}
	}
	m->nodes[node].n_children = m->pub.n_nodes - m->nodes[node].first_child;
	/* A directory that is readable but not searchable, or a dead mount. */
	if (unseen) {
		tfs_model_warn(m, node, -code, "%zu of its %zu entries left out, the first is %s: %s", unseen, n, first,
			       strerror(code));
		if (tfs_array_room(m->unseen, m->n_unseen, m->room_unseen))
			return -ENOMEM;
		m->unseen[m->n_unseen++] = node;
	}
	if (m->n_outside)
		tfs_model_warn(
			m, node, -EXDEV,
			"%zu of its links lead out of the model and aren't followed without --follow-links=all, the first is %s",
			m->n_outside, m->outside);
	return r < 0 ? r : 0;
}

/* @w NULL: everything in it. */
static int scan_dir(struct tfs_model_impl *m, uint32_t node, const struct tfs_given_paths *w, struct tfs_error *err)
{
	__attribute__((cleanup(tfs_arena_fini))) struct tfs_arena arena = { 0 };
	const struct tfs_storage *s = m->pub.storage;
	cleanup_free const void **names = NULL;
	size_t n = 0;
	int r, dir;

	if (depth_of(m, node) == TFS_MAX_DEPTH) {
		if (!m->n_deep++)
			m->deep = node;
		return 0;
	}
	/* An unreadable directory can contain readable files. */
	r = dir = open_dir(m, node, !w);
	if (dir >= 0)
		r = w ? tfs_given_list(m, node, w, &arena, &names, &n) : tfs_scan_list(s, dir, &arena, &names, &n);
	r = r ? refuse_dir(m, node, r, err) : add_entries(m, node, dir, names, n, err);
	if (dir >= 0)
		s->ops->close_dir(s, dir);
	return r;
}

/* Scan the directories from node @i on, including those that this adds. */
static int scan_dirs(struct tfs_model_impl *m, uint32_t i, const struct tfs_given_paths *w, struct tfs_error *err)
{
	int r = 0;

	for (; !r && i < m->pub.n_nodes; i++)
		if (S_ISDIR(m->nodes[i].mode) && m->nodes[i].id.ino && !m->nodes[i].link)
			r = scan_dir(m, i, w, err);
	return r;
}

/* --- Links --------------------------------------------------------------------------------------------------------- */

/*
 * Does the link @node, in the tree that we show, lead to the same target as in the directory? Then it can be shown as a link, which
 * readers of a hub cache rely on. An absolute target would lead out of the mount, wherever that is.
 */
static bool leads_inside(const struct tfs_model *m, uint32_t node)
{
	const struct tfs_node *n = &m->nodes[node];
	uint32_t to = n->link ? tfs_model_walk(m, n->parent, n->link->target) : UINT32_MAX;

	return to != UINT32_MAX && tfs_identity_same(&m->nodes[to].id, &n->id) &&
	       (m->nodes[to].mode & S_IFMT) == (n->mode & S_IFMT);
}

/* Show links to the inside as links. Decided for all before any is changed, as links can point to links. */
static int decide_links(struct tfs_model_impl *m, struct tfs_error *err)
{
	cleanup_free bool *inside = calloc(m->pub.n_followed + 1, sizeof *inside);
	size_t kept = 0;

	if (!inside)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for %zu links", m->pub.n_followed);
	for (size_t i = 0; i < m->pub.n_followed; i++)
		inside[i] = leads_inside(&m->pub, m->followed[i]);
	for (size_t i = 0; i < m->pub.n_followed; i++) {
		struct tfs_node *n = &m->nodes[m->followed[i]];

		if (!inside[i])
			n->link = NULL;
		else if (S_ISDIR(n->mode))
			n->mode = S_IFLNK | 0777; /* whose content is shown here */
		if (!S_ISLNK(n->mode))
			m->followed[kept++] = m->followed[i];
	}
	m->pub.n_followed = kept;
	return 0;
}

/*
 * Scan the directories that followed links point to, and their content. Links there that lead to a directory that the tree has
 * become links to that: ten directories that link to each other are ten directories, and not ten million paths.
 */
static int scan_outside(struct tfs_model_impl *m, struct tfs_error *err)
{
	size_t n = m->pub.n_followed;
	uint32_t first = m->pub.n_nodes;
	int r = 0;

	for (uint32_t i = 0; n && i < first; i++)
		if (S_ISDIR(m->nodes[i].mode) && m->nodes[i].id.ino && tfs_seen_add(&m->seen, m->nodes, i))
			return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for more than %zu directories", m->seen.n);
	for (size_t i = 0; !r && i < n; i++)
		if (S_ISDIR(m->nodes[m->followed[i]].mode))
			r = scan_dir(m, m->followed[i], NULL, err);
	return r ? r : scan_dirs(m, first, NULL, err);
}

/* Whoever made one directory that is too deep may have made a million. */
static void warn_deep(struct tfs_model_impl *m)
{
	if (m->n_deep)
		tfs_model_warn(m, m->deep, -E2BIG, "nested deeper than %d directories, shown empty", TFS_MAX_DEPTH);
	if (m->n_deep > 1)
		tfs_model_warn(m, m->deep, -E2BIG, "%zu more like this one", m->n_deep - 1);
}

/* Scan the model directory, or only what @w has. */
static int scan_root(struct tfs_model_impl *m, const struct tfs_given_paths *w, struct tfs_error *err)
{
	struct tfs_dirent e;
	int r = tfs_scan_look(m, TFS_STORAGE_ROOT, "", true, &e);

	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "%s", strerror(-r));
	r = add_node(m, TFS_NODE_ROOT, "", &e, err);
	/* For a file and its set, nothing else is shown that a link could point to. */
	if (r || w)
		return r ? r : scan_dirs(m, 0, w, err);
	/* First everything without following links: then it is known which of them point to it. */
	m->undecided = true;
	r = scan_dirs(m, 0, NULL, err);
	m->undecided = false;
	if (!r)
		r = decide_links(m, err);
	r = r ? r : scan_outside(m, err);
	if (!r)
		warn_deep(m);
	return r;
}

/* The weight file @name, the set that it is part of, and the files that it refers to, in its directory. */
static int scan_file(struct tfs_model_impl *m, const char *name, struct tfs_error *err)
{
	__attribute__((cleanup(tfs_given_fini))) struct tfs_given_paths w = { 0 };
	int r;

	m->given_name = name;
	r = tfs_given_find(m, name, &w, err);
	if (!r)
		r = scan_root(m, &w, err);
	if (!r && m->given_format)
		m->given = tfs_model_find_child(&m->pub, TFS_NODE_ROOT, name, strlen(name));
	return r;
}

int tfs_scan(struct tfs_model_impl *m, const char *path, struct tfs_error *err)
{
	struct tfs_node *n;
	const char *file;
	int r = tfs_storage_open(path, &m->pub.storage, &file, err);

	if (!r && m->pub.storage->fd >= 0)
		tfs_inside_init(&m->inside, m->pub.storage);
	if (!r)
		r = file ? scan_file(m, file, err) : scan_root(m, NULL, err);
	tfs_seen_fini(&m->seen);
	if (r) {
		tfs_error_in(err, path);
		return r;
	}
	/* Release what doubling over-allocated. */
	n = reallocarray(m->nodes, m->pub.n_nodes, sizeof *n);
	if (n) {
		m->nodes = n;
		m->pub.nodes = n;
		m->room_nodes = m->pub.n_nodes;
	}
	return 0;
}
