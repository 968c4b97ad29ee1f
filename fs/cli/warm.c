/* SPDX-License-Identifier: MIT */
/* tensorfs warm: load tensors of a mount into memory, and wait for them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mask.h"
#include "cli/commands.h"
#include "cli/figures.h"
#include "cli/mounts.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "tree/inode.h"

#define PREFETCH ".tensorfs/prefetch"

enum { OPT_JSON = 256 };

static const struct tfs_option warm_options[] = {
	{ OPT_JSON, "json", NULL, "for programs: JSON" },
	{ 0 },
};

/* A file that is to be loaded. Several paths may lead to it: in tensors/, sets/ and tree/. */
struct file {
	struct tfs_file_id id;
	char *path; /* one of them, in the mount */
	uint64_t size;
};

struct warm {
	const char *dir;    /* the mountpoint */
	int fd;		    /* of it */
	struct file *files; /* sorted by id */
	size_t n, room;
	uint64_t total;
	struct tfs_progress progress;
};

static int compare(const void *a, const void *b)
{
	const struct tfs_file_id x = ((const struct file *)a)->id, y = ((const struct file *)b)->id;

	if (x.set != y.set)
		return x.set < y.set ? -1 : 1;
	if (x.tensor != y.tensor)
		return x.tensor < y.tensor ? -1 : 1;
	return (x.view > y.view) - (x.view < y.view);
}

/* What the loader calls it. False: it isn't a tensor's. */
static bool id_of(const struct stat *st, struct tfs_file_id *ret_id)
{
	const struct tfs_inode inode = tfs_ino_unpack(st->st_ino);

	if (inode.kind != TFS_INO_TENSOR || inode.view >= TFS_VIEWS || !tfs_views[inode.view].loaded)
		return false;
	*ret_id = tfs_file_of(inode);
	return true;
}

/* --- Asking --------------------------------------------------------------------------------------------------------------- */

/* The mount, or its .tensorfs/prefetch if that is @what, can't be opened or written: why, and what to do about it. */
static void complain(const char *dir, const char *what, int error)
{
	if (error == EROFS)
		tfs_log_error(
			"%s: mounted read-only, so %s can't be written; mount it without ro, or with --prefetch; reading a file "
			"loads it, too",
			dir, what);
	else if (error == EACCES && *what)
		tfs_log_error("%s: only the user who mounted it may write to %s; reading a file loads it, too", dir, what);
	else if (error == EACCES)
		tfs_log_error("%s: no permission; a mount is for the user who made it, unless it was made with --allow-other", dir);
	else if (error == EOPNOTSUPP)
		tfs_log_error("%s: this mount streams, so nothing stays in memory; .tensorfs/stats says why", dir);
	else if (error == ENOTCONN || error == ECONNABORTED) /* the latter if it has just ended */
		tfs_log_error("%s: its daemon has ended; unmount it with tensorfs umount, and mount it again", dir);
	else
		tfs_log_error("%s%s%s: %s", dir, *what ? "/" : "", what, strerror(error));
}

/* Write one name to .tensorfs/prefetch. */
static int ask(const struct warm *w, const char *name)
{
	cleanup_free char *line = NULL;
	const int len = asprintf(&line, "%s\n", name);
	int fd = openat(w->fd, PREFETCH, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (len < 0)
		line = NULL;
	if (fd < 0 || len < 0) {
		r = len < 0 ? -ENOMEM : -errno;
	} else if (write(fd, line, (size_t)len) != len) {
		r = -errno;
	}
	if (fd >= 0 && close(fd) && !r)
		r = -errno;
	if (r == -ENOENT && fd >= 0)
		tfs_log_error("%s: no such tensor, or directory of tensors", name);
	else if (r)
		complain(w->dir, PREFETCH, -r);
	return r == -ENOENT && fd < 0 ? -EIO : r;
}

static char *read_list(const struct warm *w, const char *name)
{
	cleanup_fd int fd = openat(w->fd, name, O_RDONLY | O_CLOEXEC);
	size_t len = 0, room = 0;
	char *text = NULL;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		if (len + 1 >= room) {
			char *more = realloc(text, room = room ? 2 * room : 64 << 10);
			if (!more)
				break;
			text = more;
		}
		n = read(fd, text + len, room - len - 1);
		if (n > 0)
			len += (size_t)n;
	}
	if (n) {
		tfs_log_error("%s/%s: %s", w->dir, name, n < 0 ? strerror(errno) : "out of memory");
		free(text);
		return NULL;
	}
	text[len] = 0;
	return text;
}

/* --- What that is --------------------------------------------------------------------------------------------------------- */

static int add_file(struct warm *w, const char *path, const struct stat *st)
{
	struct file f = { .size = (uint64_t)st->st_size };

	if (!id_of(st, &f.id))
		return 0;
	f.path = strdup(path);
	if (!f.path || tfs_array_room(w->files, w->n, w->room)) {
		free(f.path);
		return -ENOMEM;
	}
	w->files[w->n++] = f;
	w->total += f.size;
	return 0;
}

/* The file @path, or all below the directory @path. Other things, and what is gone, are left out. */
static int add_path(struct warm *w, const char *path)
{
	struct stat st;
	int r = 0;

	if (fstatat(w->fd, path, &st, 0))
		return 0;
	if (!S_ISDIR(st.st_mode))
		return add_file(w, path, &st);
	const int fd = openat(w->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	for (const struct dirent *e; dir && !r && (e = readdir(dir));) {
		cleanup_free char *below = NULL;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (asprintf(&below, "%s/%s", path, e->d_name) < 0) {
			below = NULL;
			r = -ENOMEM;
		} else {
			r = add_path(w, below);
		}
	}
	if (dir)
		closedir(dir);
	return r;
}

/* Entries of the directory @path that match @pattern. */
static int add_matches(struct warm *w, const char *path, const char *pattern)
{
	const int fd = openat(w->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	for (const struct dirent *e; dir && !r && (e = readdir(dir));) {
		cleanup_free char *entry = NULL;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || fnmatch(pattern, e->d_name, 0) != 0)
			continue;
		if (asprintf(&entry, "%s/%s", path, e->d_name) < 0) {
			entry = NULL;
			r = -ENOMEM;
		} else {
			r = add_path(w, entry);
		}
	}
	if (dir)
		closedir(dir);
	return r;
}

/* What the daemon makes of a name: tree/resolve.h. */
static int expand(struct warm *w, const char *name)
{
	const bool bare = !strchr(name, '/');
	cleanup_free char *path = NULL;
	struct stat st;

	if (bare && !fstatat(w->fd, name, &st, 0) && S_ISDIR(st.st_mode))
		return add_path(w, name);
	if (asprintf(&path, "%s%s", bare ? "tensors/" : "", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	for (size_t len = strlen(path); len && path[len - 1] == '/';)
		path[--len] = 0;
	if (!fstatat(w->fd, path, &st, 0))
		return add_path(w, path);
	char *slash = strrchr(path, '/');
	if (!slash)
		return 0;
	*slash = 0;
	return add_matches(w, path, slash + 1);
}

/* Ask for what has this name, and remember it. 0; -ENOENT: there is nothing of that name; or another error. */
static int request(struct warm *w, const char *name)
{
	const int r = ask(w, name);

	return r ? r : expand(w, name);
}

/* The directory of the path in column @column of a line with tabs; NULL: there is none. The line is modified. */
static char *directory_in(char *line, int column)
{
	for (; column && line; column--) {
		line = strchr(line, '\t');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return NULL;
	line[strcspn(line, "\t\n")] = 0;
	char *slash = strrchr(line, '/');
	if (!slash)
		return NULL;
	*slash = 0;
	return line;
}

/* Everything that tensors/ shows, in any directory, but not what only sets/ does. */
static int request_all(struct warm *w)
{
	enum { PATH = 7 };
	cleanup_free char *text = read_list(w, ".tensorfs/index.tsv");
	char last[PATH_MAX] = "";
	int r = text ? 0 : -EIO;

	for (char *line = text, *next; line && *line && !r; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		const char *dir = directory_in(line, PATH), *view = dir ? strrchr(dir, '/') : NULL;
		view = view ? view + 1 : dir;
		if (!view || strncmp(view, "tensors", strlen("tensors")) != 0 || strstr(dir, "sets/") || !strcmp(dir, last))
			continue;
		snprintf(last, sizeof last, "%s", dir);
		r = request(w, dir);
	}
	return r;
}

/* Each once: names may overlap. */
static void sort_files(struct warm *w)
{
	size_t n = 0;

	if (w->n)
		qsort(w->files, w->n, sizeof *w->files, compare);
	for (size_t i = 0; i < w->n; i++) {
		if (n && !compare(&w->files[n - 1], &w->files[i])) {
			w->total -= w->files[i].size;
			free(w->files[i].path);
		} else {
			w->files[n++] = w->files[i];
		}
	}
	w->n = n;
}

/* --- Waiting -------------------------------------------------------------------------------------------------------------- */

/* The one that has the path @path, among others; NULL: it isn't one of them. */
static const struct file *file_at(const struct warm *w, const char *path)
{
	struct file key;
	struct stat st;

	if (!w->n || !*path || fstatat(w->fd, path, &st, 0) || !id_of(&st, &key.id))
		return NULL;
	return bsearch(&key, w->files, w->n, sizeof *w->files, compare);
}

/* Bytes that are still queued; < 0: it can't be told. */
static int64_t left(struct warm *w)
{
	cleanup_free char *text = read_list(w, PREFETCH);
	int64_t bytes = 0;

	if (!text)
		return -1;
	for (char *line = text, *next; *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		const struct file *f = file_at(w, line);
		/* Even an empty one is something to wait for. */
		if (f)
			bytes += f->size ? (int64_t)f->size : 1;
		if (!next)
			break;
	}
	return bytes;
}

static int wait_for_all(struct warm *w)
{
	enum { SOON_MS = 20, LATE_MS = 250 };
	int ms = SOON_MS;
	int64_t bytes;

	tfs_progress_begin(&w->progress, "loading", 1, 1, w->total);
	while ((bytes = left(w)) > 0) {
		tfs_progress_show(&w->progress, w->total - ((uint64_t)bytes < w->total ? (uint64_t)bytes : w->total));
		poll(NULL, 0, ms);
		ms = ms < LATE_MS ? 2 * ms : LATE_MS;
	}
	tfs_progress_end(&w->progress, -1);
	return bytes < 0 ? -EIO : 0;
}

/* Does its attribute @name have another value than @value? False, too: it can't be told. */
static bool differs(const struct warm *w, const struct file *f, const char *name, const char *value)
{
	char path[PATH_MAX], found[32] = "";

	return snprintf(path, sizeof path, "%s/%s", w->dir, f->path) < (int)sizeof path &&
	       getxattr(path, name, found, sizeof found - 1) > 0 && strcmp(found, value) != 0;
}

/* Files that aren't in memory after all. Of a tensor without elements nothing is loaded, though its file in npy/ has a header. */
static size_t count_missing(const struct warm *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += differs(w, &w->files[i], "user.tensorfs.state", "resident") &&
		     differs(w, &w->files[i], "user.tensorfs.nbytes", "0");
	return n;
}

static int report(const struct warm *w, const struct tfs_mount *m, size_t missing, bool json)
{
	int why;
	json_t *stats = tfs_mount_stats(m, &why);
	const json_int_t resident = json_integer_value(json_object_get(stats, "resident"));
	const json_int_t tensors = json_integer_value(json_object_get(stats, "resident_tensors"));
	const json_int_t used = json_integer_value(json_object_get(stats, "memory_used_bytes"));
	const json_int_t budget = json_integer_value(json_object_get(stats, "memory_budget_bytes"));
	char a[TFS_FIGURES_BYTES], b[TFS_FIGURES_BYTES];
	int r = 0;

	if (json) {
		json_t *o = json_pack("{s:o, s:I, s:I, s:I, s:I}", "mountpoint", tfs_json_text(w->dir), "resident", resident,
				      "memory_used_bytes", used, "memory_budget_bytes", budget, "not_loaded", (json_int_t)missing);
		r = tfs_json_print(o);
		json_decref(o);
	} else if (stats) {
		printf("in memory: %" PRId64 " tensor%s, %s of %s\n", (int64_t)tensors, tensors == 1 ? "" : "s",
		       tfs_figures_bytes(a, (double)used), tfs_figures_bytes(b, (double)budget));
	}
	json_decref(stats);
	if (missing)
		tfs_log_error("%zu weren't loaded: no room in the budget (--memory), or they can't be read", missing);
	return r ? r : tfs_command_flush();
}

static int warm(struct warm *w, const struct tfs_mount *m, char **names, int n, bool json)
{
	int result = 0;

	for (int i = 0; i < n; i++) {
		const int r = request(w, names[i]);

		if (r && r != -ENOENT)
			return TFS_EXIT_USAGE;
		result = r ? r : result;
	}
	if (!n && request_all(w))
		return TFS_EXIT_USAGE;
	sort_files(w);
	if (wait_for_all(w))
		return TFS_EXIT_USAGE;
	const size_t missing = count_missing(w);
	if (report(w, m, missing, json))
		return TFS_EXIT_USAGE;
	return result || missing ? TFS_EXIT_FAILED : TFS_EXIT_OK;
}

static int warm_main(int argc, char **argv)
{
	struct tfs_mounts mounts;
	char shown[TFS_MASKED];
	bool json = false;
	int first, status = TFS_EXIT_USAGE;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_warm_command, argc, argv, tfs_option_flag, &json, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	if (tfs_mounts_list(&mounts))
		return TFS_EXIT_USAGE;
	const struct tfs_mount *m = tfs_mounts_find(&mounts, argv[first]);
	struct warm w = { .dir = m ? m->dir : "", .fd = m ? open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1 };
	if (!m)
		tfs_log_error("%s: no tensorfs mount", tfs_mask_url(argv[first], shown, sizeof shown));
	else if (w.fd < 0)
		complain(m->dir, "", errno);
	tfs_progress_init(&w.progress, false);
	if (w.fd >= 0) {
		status = warm(&w, m, argv + first + 1, argc - first - 1, json);
		close(w.fd);
	}
	for (size_t i = 0; i < w.n; i++)
		free(w.files[i].path);
	free(w.files);
	tfs_mounts_fini(&mounts);
	return status;
}

const struct tfs_command tfs_warm_command = {
	.name = "tensorfs warm",
	.summary = "load tensors of a mount into memory",
	.operands = "MOUNTPOINT [NAME...]",
	.min_operands = 1,
	.max_operands = INT_MAX,
	.about =
		"Load the tensors of a mount, or those that are named, into memory, and wait for that. NAME is a tensor, a glob, or a path in "
		"the mount, as for .tensorfs/prefetch.",
	.status = "Exit status: 0 loaded, 1 a NAME matches nothing, or not all could be loaded, 2 failed, or a usage error. See "
		  "tensorfs-warm(1).",
	.tables = { warm_options },
	.run = warm_main,
};
