/* SPDX-License-Identifier: MIT */
/*
 * The tree of a model directory. Directories are read breadth first, as the children of one must be neighbours in the
 * table; nodes[] itself is the queue.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "model-impl.h"

static inline void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void set_stat(struct tfs_node *n, const struct stat *st)
{
	n->mode = st->st_mode;
	n->uid = st->st_uid;
	n->gid = st->st_gid;
	n->dev = st->st_dev;
	n->ino = st->st_ino;
	n->size = st->st_size;
	n->mtime = st->st_mtim;
}

/* The node is zero but for its parent and a copy of the name. */
static int add_node(struct tfs_model_impl *m, uint32_t parent, const char *name, struct tfs_node **ret,
		    struct tfs_error *err)
{
	size_t n = m->pub.n_nodes;

	if (n == TFS_MAX_NODES)
		return tfs_error_set(err, -E2BIG, TFS_NO_OFFSET,
				     "more than %u files and directories: hardly a model directory", TFS_MAX_NODES);
	if (tfs_array_room(m->nodes, n, m->room_nodes))
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for more than %zu files", n);
	m->pub.nodes = m->nodes;
	m->nodes[n] = (struct tfs_node){ .name = tfs_arena_copy(&m->arena, name, strlen(name)), .parent = parent };
	if (!m->nodes[n].name)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for the names of files");
	*ret = &m->nodes[n];
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
static bool is_ancestor(const struct tfs_model_impl *m, uint32_t parent, const struct stat *st)
{
	for (uint32_t i = parent;; i = m->nodes[i].parent) {
		if (m->nodes[i].dev == st->st_dev && m->nodes[i].ino == st->st_ino)
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

/*
 * Add @name of the directory @fd, which is @parent. Nothing is opened here, so a FIFO or a device does no harm. An entry
 * that vanished meanwhile is none; for one that can't be looked at the positive errno is returned.
 */
static int add_entry(struct tfs_model_impl *m, uint32_t parent, int fd, const char *name, struct tfs_error *err)
{
	char target[PATH_MAX];
	struct tfs_node *n;
	struct stat st, to;
	ssize_t len = -1;
	bool loop = false, followed = false;
	int rc;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : errno;
	if (!S_ISLNK(st.st_mode)) {
		loop = S_ISDIR(st.st_mode) && is_ancestor(m, parent, &st);
	} else if (fstatat(fd, name, &to, 0) || (S_ISDIR(to.st_mode) && is_ancestor(m, parent, &to))) {
		/* Leads nowhere, or upwards: as a link it stays harmless. */
		len = readlinkat(fd, name, target, sizeof target);
		if (len < 0)
			return 0;
	} else {
		followed = true;
		st = to;
	}
	rc = add_node(m, parent, name, &n, err);
	if (!rc && followed)
		rc = add_followed(m, m->pub.n_nodes - 1, err);
	if (rc)
		return rc;
	set_stat(n, &st);
	if (len >= 0) {
		n->link = tfs_arena_copy(&m->arena, target, len);
		if (!n->link)
			return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for the names of files");
	} else if (loop) {
		/* A parent mounted on it: no link, so shown as an empty directory; without an identity it is not read. */
		n->dev = 0;
		n->ino = 0;
		tfs_model_warn(m, m->pub.n_nodes - 1, -ELOOP, "is one of its own parents; shown empty");
	}
	return 0;
}

static int by_string(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The names in the directory @fd, in order, into *@ret_names, an array that the caller frees; the names are in @arena. */
static int list_names(int fd, struct tfs_arena *arena, const void ***ret_names, size_t *ret_count)
{
	__attribute__((cleanup(close_dir))) DIR *d = NULL;
	cleanup_free const void **names = NULL, **tmp = NULL;
	cleanup_fd int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	size_t n = 0, room = 0;
	struct dirent *e;

	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		return -errno;
	tfs_steal_fd(&copy);
	while (errno = 0, (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (n == TFS_MAX_NODES)
			return -E2BIG;
		if (tfs_array_room(names, n, room))
			return -ENOMEM;
		names[n] = tfs_arena_copy(arena, e->d_name, strlen(e->d_name));
		if (!names[n++])
			return -ENOMEM;
	}
	if (errno)
		return -errno;
	tmp = reallocarray(NULL, n + 1, sizeof *tmp); /* n may be 0 */
	if (!tmp)
		return -ENOMEM;
	tfs_sort(names, n, tmp, by_string);
	*ret_names = tfs_steal(names);
	*ret_count = n;
	return 0;
}

/* --- One file, and what it names ------------------------------------------------------------------------------------- */

/* The paths, relative to the root, that alone are scanned: the one weight file, and the files that it names. */
struct wanted {
	struct tfs_arena arena;
	const char **paths; /* without empty parts, `.` and `..` */
	size_t n, room;
};

static void wanted_fini(struct wanted *w)
{
	free(w->paths);
	tfs_arena_fini(&w->arena);
}

/* Want @path. One that leads upwards is not: the model refuses it when it comes to it. */
static int want(struct wanted *w, const char *path)
{
	char *clean = tfs_arena_copy(&w->arena, path, strlen(path)), *to = clean;

	if (!clean || tfs_array_room(w->paths, w->n, w->room))
		return -ENOMEM;
	if (*path == '/')
		return 0;
	for (size_t len; *path; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (!len || (len == 1 && *path == '.'))
			continue;
		if (len == 2 && !memcmp(path, "..", 2))
			return 0;
		if (to > clean)
			*to++ = '/';
		memcpy(to, path, len);
		to += len;
	}
	*to = '\0';
	w->paths[w->n++] = clean;
	return 0;
}

/* Want what the weight file @name in root_fd names. What is wrong with it is found again, and said, when the sets are made. */
static int want_external(const struct tfs_model_impl *m, struct wanted *w, const char *name, const struct stat *st)
{
	const struct tfs_format *format = tfs_format_for(name);
	struct tfs_catalog *catalog;
	struct tfs_error ignored;
	const char *const *locations = NULL;
	cleanup_fd int fd = -1;
	size_t n = 0;
	int rc = 0;

	if (!format->external)
		return 0;
	fd = openat(m->pub.root_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	catalog = tfs_catalog_create();
	if (!catalog)
		return -ENOMEM;
	if (!format->parse(fd, st->st_size, name, catalog, &ignored))
		locations = tfs_catalog_locations(catalog, &n);
	for (size_t i = 0; i < n && !rc; i++)
		rc = want(w, locations[i]);
	tfs_catalog_destroy(catalog);
	return rc;
}

/* The names in the directory @node that are on the way to a wanted path, as list_names() has them. */
static int list_wanted(const struct tfs_model_impl *m, uint32_t node, const struct wanted *w, struct tfs_arena *arena,
		       const void ***ret_names, size_t *ret_count)
{
	cleanup_free const void **names = reallocarray(NULL, w->n + 1, 2 * sizeof *names);
	char dir[PATH_MAX];
	size_t n = 0, all, skip;
	int rc = tfs_model_path(&m->pub, node, dir, sizeof dir);

	if (rc || !names)
		return rc ? rc : -ENOMEM;
	skip = node == TFS_NODE_ROOT ? 0 : strlen(dir) + 1;
	for (size_t i = 0; i < w->n; i++) {
		const char *path = w->paths[i];

		if (skip && (strncmp(path, dir, skip - 1) || path[skip - 1] != '/'))
			continue;
		names[n] = tfs_arena_copy(arena, path + skip, strcspn(path + skip, "/"));
		if (!names[n++])
			return -ENOMEM;
	}
	tfs_sort(names, n, names + w->n, by_string);
	all = n;
	n = 0;
	for (size_t i = 0; i < all; i++)
		if (!n || strcmp(names[n - 1], names[i]))
			names[n++] = names[i];
	*ret_names = tfs_steal(names);
	*ret_count = n;
	return 0;
}

/* --- Directories --------------------------------------------------------------------------------------------------- */

/* Open the directory @node and check that it is still the one that was there. A descriptor or -errno. */
static int open_dir(const struct tfs_model_impl *m, uint32_t node, int flags)
{
	cleanup_fd int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	int rc = tfs_model_path(&m->pub, node, path, sizeof path);

	if (rc)
		return rc;
	fd = openat(m->pub.root_fd, path, flags | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	/* Else links that change under us could lead upwards after all. */
	if (st.st_dev != m->nodes[node].dev || st.st_ino != m->nodes[node].ino)
		return -ESTALE;
	return tfs_steal_fd(&fd);
}

/* @w NULL: all that is in there. */
static int scan_dir(struct tfs_model_impl *m, uint32_t node, const struct wanted *w, struct tfs_error *err)
{
	__attribute__((cleanup(tfs_arena_fini))) struct tfs_arena arena = { 0 };
	cleanup_free const void **names = NULL;
	cleanup_fd int fd = -1;
	const char *first = NULL;
	size_t n = 0, unseen = 0;
	int rc, code = 0;

	if (depth_of(m, node) == TFS_MAX_DEPTH) {
		rc = tfs_error_set(err, -E2BIG, TFS_NO_OFFSET, "nested deeper than %d directories", TFS_MAX_DEPTH);
		tfs_model_error_in(&m->pub, node, err);
		return rc;
	}
	/* A directory that may not be read can have files in it that may. */
	rc = fd = open_dir(m, node, w ? O_PATH : O_RDONLY);
	if (fd >= 0)
		rc = w ? list_wanted(m, node, w, &arena, &names, &n) : list_names(fd, &arena, &names, &n);
	switch (rc) {
	case 0:
		break;
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -E2BIG:
		rc = tfs_error_set(err, rc, TFS_NO_OFFSET, "reading the directory: %s", strerror(-rc));
		tfs_model_error_in(&m->pub, node, err);
		return rc;
	default:
		if (node == TFS_NODE_ROOT)
			return tfs_error_set(err, rc, TFS_NO_OFFSET, "reading the model directory: %s", strerror(-rc));
		tfs_model_warn(m, node, rc, "unreadable directory, shown empty: %s", strerror(-rc));
		return 0;
	}

	m->nodes[node].first_child = m->pub.n_nodes;
	for (size_t i = 0; i < n && rc >= 0; i++) {
		rc = add_entry(m, node, fd, names[i], err);
		if (rc > 0 && !unseen++) {
			first = names[i];
			code = rc;
		}
	}
	m->nodes[node].n_children = m->pub.n_nodes - m->nodes[node].first_child;
	/* A directory that may be read and not searched, or a dead mount. */
	if (unseen)
		tfs_model_warn(m, node, -code, "%zu of its %zu entries left out, the first is %s: %s", unseen, n, first,
			       strerror(code));
	return rc < 0 ? rc : 0;
}

/* Scan the directory @path, or of it what @w has. */
static int scan_root(struct tfs_model_impl *m, const char *path, const struct wanted *w, struct tfs_error *err)
{
	struct tfs_node *n;
	struct stat st;
	int rc;

	if (fstat(m->pub.root_fd, &st))
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "opening %s: %s", path, strerror(errno));
	rc = add_node(m, TFS_NODE_ROOT, "", &n, err);
	if (!rc)
		set_stat(n, &st);
	for (uint32_t i = 0; !rc && i < m->pub.n_nodes; i++)
		if (S_ISDIR(m->nodes[i].mode) && m->nodes[i].ino)
			rc = scan_dir(m, i, w, err);
	return rc;
}

static int open_root(struct tfs_model_impl *m, const char *path, struct tfs_error *err)
{
	m->pub.root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return m->pub.root_fd >= 0 ? 0 : tfs_error_set(err, -errno, TFS_NO_OFFSET, "opening %s: %s", path, strerror(errno));
}

/* One weight file: it and what it names, in the directory that it stands in. */
static int scan_file(struct tfs_model_impl *m, const char *path, const struct stat *st, struct tfs_error *err)
{
	__attribute__((cleanup(wanted_fini))) struct wanted w = { 0 };
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char dir[PATH_MAX] = ".";
	int rc;

	if (!tfs_format_for(name))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
				     "%s is neither a directory nor a file whose name is that of weights", path);
	if (slash) {
		size_t len = slash == path ? 1 : slash - path;

		if (len >= sizeof dir)
			return tfs_error_set(err, -ENAMETOOLONG, TFS_NO_OFFSET, "%s: too long", path);
		memcpy(dir, path, len);
		dir[len] = '\0';
	}
	rc = open_root(m, dir, err);
	if (rc)
		return rc;
	rc = want(&w, name);
	if (!rc)
		rc = want_external(m, &w, name, st);
	return rc ? rc : scan_root(m, dir, &w, err);
}

int tfs_scan(struct tfs_model_impl *m, const char *path, struct tfs_error *err)
{
	struct tfs_node *n;
	struct stat st;
	int rc;

	if (stat(path, &st))
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "opening %s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode)) {
		rc = scan_file(m, path, &st, err);
	} else {
		rc = open_root(m, path, err);
		if (!rc)
			rc = scan_root(m, path, NULL, err);
	}
	if (rc)
		return rc;
	/* Give back what doubling reserved too much. */
	n = reallocarray(m->nodes, m->pub.n_nodes, sizeof *n);
	if (n) {
		m->nodes = n;
		m->pub.nodes = n;
		m->room_nodes = m->pub.n_nodes;
	}
	return 0;
}
