/* SPDX-License-Identifier: MIT */
/*
 * Files that are elsewhere (remote/remote.h). Only files are listed there; directories are what their paths imply. With the paths
 * sorted, a directory is a range of them: the files in and below it. So its handle is the first of these, and how deep it is.
 *
 * Everything belongs to who mounted it, and only its bytes can change, which is noticed when they are read.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mask.h"
#include "base/search.h"
#include "base/sort.h"
#include "remote/listing.h"
#include "remote/object.h"
#include "remote/remote.h"
#include "storage/storage.h"

/* More than the deepest path has. A handle is less than INT_MAX as a table has far less than INT_MAX / DEPTHS files. */
enum { DEPTHS = TFS_REMOTE_PATH_DEPTH + 1 };

struct remote_storage {
	struct tfs_storage pub; /* first, so a struct tfs_storage * points to this, too */
	struct tfs_remote *remote;
	const struct tfs_remote_table *table;
	uint32_t *sorted; /* nodes, by path */
	uid_t uid;
	gid_t gid;
	time_t now; /* for files whose time isn't known */
};

static const struct remote_storage *of(const struct tfs_storage *s)
{
	return (const struct remote_storage *)s;
}

static const char *path_of(const struct remote_storage *s, uint32_t i)
{
	return tfs_remote_table_string(s->table, s->table->nodes[s->sorted[i]].path);
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

static int read_at(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, bool ahead, struct tfs_error *err)
{
	return tfs_remote_read(in->remote, in->node, buf, len, offset, ahead, err);
}

static void want_input(const struct tfs_input *in, const struct tfs_input_range *ranges, size_t n)
{
	cleanup_free struct tfs_remote_range *all = calloc(n, sizeof *all);

	for (size_t i = 0; i < n && all; i++)
		all[i] = (struct tfs_remote_range){ in->node, ranges[i].offset, ranges[i].len };
	if (all)
		tfs_remote_want(in->remote, all, n, false);
}

static int lend(const struct tfs_input *in, size_t len, uint64_t offset, bool ahead, const uint8_t **ret_data, unsigned *ret_loan,
		struct tfs_error *err)
{
	return tfs_remote_lend(in->remote, in->node, len, offset, ahead, ret_data, ret_loan, err);
}

static void repay(const struct tfs_input *in, unsigned loan)
{
	tfs_remote_repay(in->remote, loan);
}

_Static_assert(TFS_GRAIN <= TFS_INPUT_STEP, "readers have room for it");

static size_t step_of(const struct tfs_input *in)
{
	return tfs_remote_step(in->remote, in->node);
}

static void close_input(struct tfs_input *in)
{
	(void)in;
}

static const struct tfs_input_ops input_ops = {
	.read_at = read_at,
	.want = want_input,
	.lend = lend,
	.repay = repay,
	.step = step_of,
	.close = close_input,
};

/* --- Directories ----------------------------------------------------------------------------------------------------- */

/* The first file whose path isn't less than @prefix of @len bytes, or begins with it. */
static uint32_t lower_bound(const struct remote_storage *s, const char *prefix, size_t len)
{
	return (uint32_t)tfs_search(i, 0, s->table->n, strncmp(path_of(s, i), prefix, len) < 0);
}

/* Bytes of the path of the directory @dir, with the slash after it. */
static size_t prefix_of(const struct remote_storage *s, int dir, const char **ret_path)
{
	size_t len = 0;

	*ret_path = dir == TFS_STORAGE_ROOT ? "" : path_of(s, (uint32_t)dir / DEPTHS);
	for (int depth = dir == TFS_STORAGE_ROOT ? 0 : dir % DEPTHS; depth; depth--)
		len += strcspn(*ret_path + len, "/") + 1;
	return len;
}

/* The directory @path in the directory @dir, without a slash at its end; "" and ".": @dir itself. -ENOENT. */
static int find_dir(const struct remote_storage *s, const char *path, size_t len)
{
	uint32_t i;
	int depth = 1;

	if (!len || (len == 1 && *path == '.'))
		return s->table->n ? 0 : TFS_STORAGE_ROOT;
	for (size_t at = 0; at < len; at++)
		depth += path[at] == '/';
	/* Sorted as strings, so "a-b" may come between "a" and "a/b": look for "a/". */
	char with_slash[PATH_MAX];
	if (len + 1 >= sizeof with_slash)
		return -ENAMETOOLONG;
	memcpy(with_slash, path, len);
	with_slash[len] = '/';
	i = lower_bound(s, with_slash, len + 1);
	return i < s->table->n && !strncmp(path_of(s, i), with_slash, len + 1) && depth < DEPTHS ? (int)(i * DEPTHS) + depth :
												   -ENOENT;
}

static int open_dir(const struct tfs_storage *s, const char *path, bool to_list)
{
	int dir = find_dir(of(s), path, strlen(path));

	(void)to_list;
	return dir == TFS_STORAGE_ROOT ? 0 : dir; /* of nothing, position 0 is as good */
}

static void close_dir(const struct tfs_storage *s, int dir)
{
	(void)s;
	(void)dir;
}

static int list(const struct tfs_storage *storage, int dir, tfs_storage_name_fn *name, void *arg)
{
	const struct remote_storage *s = of(storage);
	const char *prefix, *last = "";
	char component[NAME_MAX + 1];
	size_t last_len = 0;
	int r = 0;

	if (!s->table->n)
		return 0;
	size_t skip = prefix_of(s, dir, &prefix);
	for (uint32_t i = dir == TFS_STORAGE_ROOT ? 0 : (uint32_t)dir / DEPTHS; !r && i < s->table->n; i++) {
		const char *path = path_of(s, i);
		size_t len;

		if (strncmp(path, prefix, skip))
			break;
		path += skip;
		len = strcspn(path, "/");
		if (len == last_len && !memcmp(path, last, len))
			continue;
		last = path;
		last_len = len;
		snprintf(component, sizeof component, "%.*s", (int)len, path);
		r = name(arg, component);
	}
	return r;
}

/* --- Entries --------------------------------------------------------------------------------------------------------- */

static struct tfs_dirent entry_of_file(const struct remote_storage *s, uint32_t node)
{
	const struct tfs_fetch_node *n = &s->table->nodes[node];
	struct timespec time = { .tv_sec = n->mtime ? n->mtime : s->now };

	return (struct tfs_dirent){
		.mode = S_IFREG | 0444,
		.uid = s->uid,
		.gid = s->gid,
		.id = { .ino = (ino_t)node + 1, .size = n->size, .mtime = time, .ctime = time },
	};
}

static struct tfs_dirent entry_of_dir(const struct remote_storage *s, int dir)
{
	struct timespec time = { .tv_sec = s->now };

	return (struct tfs_dirent){
		.mode = S_IFDIR | 0555,
		.uid = s->uid,
		.gid = s->gid,
		.id = { .ino = (ino_t)s->table->n + 1 + (ino_t)dir, .mtime = time, .ctime = time },
	};
}

/* The node of the file @path, or UINT32_MAX. */
static uint32_t find_file(const struct remote_storage *s, const char *path)
{
	uint32_t i = lower_bound(s, path, strlen(path) + 1);

	return i < s->table->n && !strcmp(path_of(s, i), path) ? s->sorted[i] : UINT32_MAX;
}

static int look(const struct tfs_storage *storage, int dir, const char *path, bool follow, struct tfs_dirent *ret)
{
	const struct remote_storage *s = of(storage);
	char full[PATH_MAX];
	const char *prefix;
	size_t len = prefix_of(s, dir, &prefix);
	uint32_t node;
	int d;

	(void)follow;
	if (!*path || (*path == '.' && !path[1])) {
		*ret = entry_of_dir(s, dir == TFS_STORAGE_ROOT ? 0 : dir);
		return 0;
	}
	if (snprintf(full, sizeof full, "%.*s%s", (int)len, prefix, path) >= (int)sizeof full)
		return -ENAMETOOLONG;
	node = find_file(s, full);
	if (node != UINT32_MAX) {
		*ret = entry_of_file(s, node);
		return 0;
	}
	d = find_dir(s, full, strlen(full));
	if (d >= 0)
		*ret = entry_of_dir(s, d);
	return d < 0 ? -ENOENT : 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the interface's */
static ssize_t read_link(const struct tfs_storage *s, int dir, const char *name, char *buf, size_t size)
{
	(void)s;
	(void)dir;
	(void)name;
	(void)buf;
	(void)size;
	return -EINVAL;
}

/* --- Files ----------------------------------------------------------------------------------------------------------- */

static uint32_t node_of(const struct tfs_identity *id)
{
	return (uint32_t)(id->ino - 1);
}

static int open_file(const struct tfs_storage *storage, const char *path, const struct tfs_identity *id, int flags,
		     struct tfs_input *ret)
{
	const struct remote_storage *s = of(storage);
	uint32_t node = find_file(s, path);

	if (node == UINT32_MAX || node != node_of(id) || tfs_remote_stale(s->remote, node))
		return -ESTALE;
	if (flags) /* there is no O_DIRECT of these */
		return -EINVAL;
	*ret = (struct tfs_input){ .ops = &input_ops, .size = id->size, .fd = -1, .remote = s->remote, .node = node };
	return 0;
}

static int check(const struct tfs_storage *s, const char *path, const struct tfs_identity *id, const struct tfs_input *in)
{
	(void)path;
	(void)id;
	return tfs_remote_stale(of(s)->remote, in->node) ? -ESTALE : 0;
}

static void want(struct tfs_storage *s, const struct tfs_storage_range *ranges, size_t n, bool ahead)
{
	cleanup_free struct tfs_remote_range *all = calloc(n + 1, sizeof *all);

	for (size_t i = 0; i < n && all; i++)
		all[i] = (struct tfs_remote_range){ node_of(ranges[i].id), ranges[i].offset, ranges[i].len };
	if (all)
		tfs_remote_want(of(s)->remote, all, n, ahead);
}

static void scanned(struct tfs_storage *s)
{
	tfs_remote_scanned(of(s)->remote);
}

static void stop(struct tfs_storage *s)
{
	tfs_remote_stop(of(s)->remote);
}

static void resume(struct tfs_storage *s)
{
	tfs_remote_resume(of(s)->remote);
}

static void idle(struct tfs_storage *s)
{
	tfs_remote_trim(of(s)->remote);
}

static int whole(struct tfs_storage *s, const struct tfs_identity *id)
{
	int fd = tfs_remote_whole(of(s)->remote, node_of(id));

	return fd < 0 ? -ENOENT : fd;
}

static bool keeps(struct tfs_storage *s, const struct tfs_identity *id)
{
	return tfs_remote_keeps(of(s)->remote, node_of(id));
}

static const char *stale(const struct tfs_storage *s, const struct tfs_identity *id)
{
	return tfs_remote_stale(of(s)->remote, node_of(id));
}

static const char *listed_hash(const struct tfs_storage *s, const struct tfs_identity *id)
{
	const struct tfs_remote_table *t = of(s)->table;
	const struct tfs_fetch_node *n = &t->nodes[node_of(id)];

	return n->kind == TFS_FETCH_SHA256 || n->kind == TFS_FETCH_GIT_SHA1 ? tfs_remote_table_string(t, n->version) : NULL;
}

static void stats(struct tfs_storage *s, struct tfs_storage_stats *ret_stats)
{
	struct tfs_remote_stats r;

	tfs_remote_stats(of(s)->remote, &r);
	*ret_stats = (struct tfs_storage_stats){
		.origin = of(s)->table->origin,
		.revision = of(s)->table->revision,
		.cache = r.cache,
		.offline = r.offline,
		.network_bytes = r.network_bytes,
		.requests = r.requests,
		.resolves = r.resolves,
		.connections = r.connections,
		.open_connections = r.open_connections,
		.limit_connections = r.limit_connections,
		.retries = r.retries,
		.hedges = r.hedges,
		.throttled = r.throttled,
		.redirects = r.redirects,
		.ttfb_median_us = r.ttfb_median_us,
		.cache_hit_bytes = r.cache_hit_bytes,
		.cache_bad = r.cache_bad,
		.present_bytes = r.present_bytes,
		.total_bytes = r.total_bytes,
		.starts = r.starts,
		.stale = r.stale,
	};
}

/* --- The storage ----------------------------------------------------------------------------------------------------- */

static void destroy(struct tfs_storage *storage)
{
	struct remote_storage *s = (struct remote_storage *)storage;

	tfs_remote_close(s->remote);
	free(s->sorted);
	free(s);
}

static const struct tfs_storage_ops ops = {
	.open_dir = open_dir,
	.close_dir = close_dir,
	.list = list,
	.look = look,
	.read_link = read_link,
	.open = open_file,
	.check = check,
	.want = want,
	.scanned = scanned,
	.stop = stop,
	.resume = resume,
	.idle = idle,
	.whole = whole,
	.keeps = keeps,
	.stale = stale,
	.listed_hash = listed_hash,
	.stats = stats,
	.destroy = destroy,
};

static int by_path(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sort the nodes by path. -EPROTO: a path is there twice, or is that of a file and a directory. */
static int sort_nodes(struct remote_storage *s, struct tfs_error *err)
{
	const uint32_t n = s->table->n;
	struct named {
		const char *path;
		uint32_t node;
	};
	cleanup_free struct named *all = calloc((size_t)n + 1, sizeof *all);
	cleanup_free const void **order = calloc(2 * (size_t)n + 1, sizeof *order);

	s->sorted = calloc((size_t)n + 1, sizeof *s->sorted);
	if (!all || !order || !s->sorted)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for %u remote files", n);
	for (uint32_t i = 0; i < n; i++) {
		all[i] = (struct named){ tfs_remote_table_string(s->table, s->table->nodes[i].path), i };
		order[i] = &all[i];
	}
	tfs_sort(order, n, order + n, by_path);
	for (uint32_t i = 0; i < n; i++)
		s->sorted[i] = ((const struct named *)order[i])->node;
	for (uint32_t i = 0; i < n; i++)
		if ((i && !strcmp(path_of(s, i - 1), path_of(s, i))) || find_dir(s, path_of(s, i), strlen(path_of(s, i))) >= 0)
			return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s is listed twice", path_of(s, i));
	return 0;
}

static int open_url(const char *url, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err)
{
	struct remote_storage *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	s->pub = (struct tfs_storage){ .ops = &ops, .fd = -1, .passed_fd = -1 };
	s->uid = getuid();
	s->gid = getgid();
	s->now = time(NULL);
	r = tfs_remote_open(url, &s->remote, err);
	if (!r) {
		s->table = tfs_remote_files(s->remote);
		s->pub.name = s->table->display;
		s->pub.passed_fd = tfs_remote_cache_dir(s->remote);
		r = sort_nodes(s, err);
	}
	if (r) {
		destroy(&s->pub);
		return r;
	}
	*ret_storage = &s->pub;
	*ret_file = *s->table->file ? s->table->file : NULL;
	return 0;
}

int tfs_storage_open_remote(const char *url, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err)
{
	if (strchr(url, '?'))
		return tfs_error_set(
			err, -EINVAL, TFS_NO_OFFSET,
			"a URL with a query may have a secret in it, which everybody sees in the list of processes: write "
			"it into a file, and give @FILE instead");
	return open_url(url, ret_storage, ret_file, err);
}

/* Signed URLs have less than 2,000 characters. */
enum { URL_MAX = 16384 };

int tfs_storage_open_url_file(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err)
{
	cleanup_free char *url = malloc(URL_MAX + 1);
	FILE *f = fopen(path + 1, "re");
	size_t n = f && url ? fread(url, 1, URL_MAX + 1, f) : 0;
	int code = !f ? -errno : !url ? -ENOMEM : ferror(f) ? -EIO : 0;

	if (f)
		fclose(f);
	if (code)
		return tfs_error_set(err, code, TFS_NO_OFFSET, "reading the URL from the file: %s", strerror(-code));
	while (n && (url[n - 1] == '\n' || url[n - 1] == '\r' || url[n - 1] == ' '))
		n--;
	if (n > URL_MAX)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "the URL in the file has more than %d characters", URL_MAX);
	url[n] = '\0';
	if (strlen(url) != n || !tfs_storage_is_remote(url) || *url == '@')
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "there is no https://, s3:// or hf:// URL in the file");
	return open_url(url, ret_storage, ret_file, err);
}
