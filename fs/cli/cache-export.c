/* SPDX-License-Identifier: MIT */
#include "cli/cache-export.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/figures.h"
#include "cli/outfile.h"
#include "cli/terminal.h"
#include "cli/verify/digest.h"
#include "remote/hub.h"
#include "remote/remote.h"

/* Grains that are read at once. */
enum { AT_ONCE = 16 };

struct export
{
	struct tfs_cache *cache;
	const struct tfs_remote_table *table;
	const char *dir;
	struct tfs_outfiles out;
	uint8_t *buf; /* AT_ONCE grains */
	size_t n, incomplete;
	uint64_t bytes, missing;
};

static const char *path_of(const struct export *x, uint32_t i)
{
	return tfs_remote_table_string(x->table, x->table->nodes[i].path);
}

static int complain(const char *path, int r)
{
	tfs_log_error("%s: %s", path, strerror(-r));
	return r;
}

/* Which files to write: a flag for each. */
static int select_files(const struct export *x, char **names, int n, bool *wanted)
{
	int r = 0;

	for (uint32_t i = 0; i < x->table->n; i++)
		wanted[i] = !n;
	for (int k = 0; k < n; k++) {
		bool found = false;

		for (uint32_t i = 0; i < x->table->n; i++)
			if (!strcmp(path_of(x, i), names[k]))
				found = wanted[i] = true;
		if (!found) {
			tfs_log_error("%s: no such file in %s", names[k], x->table->display);
			r = -ENOENT;
		}
	}
	return r;
}

/* --- Reading ------------------------------------------------------------------------------------------------------------ */

static int open_object(const struct export *x, uint32_t i, struct tfs_object *ret)
{
	char key[TFS_CACHE_NAME], identity[TFS_CACHE_IDENTITY];
	int fd = tfs_hub_blob(x->table, i);

	if (fd >= 0) {
		tfs_object_open_whole(fd, x->table->nodes[i].size, ret);
		return 0;
	}
	int r = tfs_remote_key(x->table, i, key, identity) ? tfs_cache_object_by_key(x->cache, key, ret) : -ENOENT;
	if (!r && ret->size != x->table->nodes[i].size) {
		tfs_object_close(ret);
		r = -ENOENT;
	}
	return r;
}

/* Bytes of it that aren't in the cache. */
static uint64_t count_missing(const struct export *x, uint32_t i)
{
	const uint64_t size = x->table->nodes[i].size;
	uint64_t missing = 0;
	struct tfs_object o;

	if (!size)
		return 0;
	if (open_object(x, i, &o))
		return size;
	for (uint64_t at = 0; at < size; at += TFS_GRAIN)
		if (tfs_object_lacks(&o, at))
			missing += size - at < TFS_GRAIN ? size - at : TFS_GRAIN;
	tfs_object_close(&o);
	return missing;
}

static int check_complete(struct export *x, const bool *wanted)
{
	char missing[TFS_FIGURES_BYTES];

	for (uint32_t i = 0; i < x->table->n; i++) {
		uint64_t n = wanted[i] ? count_missing(x, i) : 0;

		x->missing += n;
		if (n && !x->incomplete++)
			tfs_log_error("%s: %s of it aren't in the cache", path_of(x, i), tfs_figures_bytes(missing, (double)n));
	}
	if (!x->incomplete)
		return 0;
	tfs_log_error("%zu files aren't complete, %s are missing: tensorfs --prefetch=all %s MOUNTPOINT brings them in",
		      x->incomplete, tfs_figures_bytes(missing, (double)x->missing), x->table->origin);
	return -ENODATA;
}

/* --- Writing ------------------------------------------------------------------------------------------------------------ */

/* The directories of @path, but for its last component, which is a file's. */
static int make_directories(char *path)
{
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		int r = mkdir(path, 0777) && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (r)
			return complain(path, r);
	}
	return 0;
}

static enum tfs_sum_kind sum_of(const struct tfs_fetch_node *n)
{
	const enum tfs_sum_kind kind = n->kind == TFS_FETCH_SHA256   ? TFS_SHA256 :
				       n->kind == TFS_FETCH_GIT_SHA1 ? TFS_GIT_SHA1 :
								       TFS_SUM_KINDS;

	return kind != TFS_SUM_KINDS && tfs_digest_has(kind) ? kind : TFS_SUM_KINDS;
}

/* What @o has, into the current file, and into @d, which may be NULL. */
static int copy(struct export *x, struct tfs_object *o, const char *path, struct tfs_digest *d)
{
	unsigned bad;

	for (uint64_t at = 0; at < o->size;) {
		size_t len = o->size - at < AT_ONCE * TFS_GRAIN ? (size_t)(o->size - at) : AT_ONCE * (size_t)TFS_GRAIN;
		int r;

		if (tfs_object_read(o, x->buf, len, at, &bad) != len) {
			tfs_log_error("%s: byte %" PRIu64 ": damaged in the cache; it will be fetched again when it is read", path,
				      at);
			return -ENODATA;
		}
		if (d)
			tfs_digest_add(d, x->buf, len);
		r = tfs_outfile_write(&x->out, x->buf, len);
		if (r)
			return r;
		at += len;
	}
	return 0;
}

static int write_body(struct export *x, uint32_t i)
{
	const struct tfs_fetch_node *n = &x->table->nodes[i];
	const char *path = path_of(x, i), *version = tfs_remote_table_string(x->table, n->version);
	const enum tfs_sum_kind kind = sum_of(n);
	struct tfs_digest *d = kind == TFS_SUM_KINDS ? NULL : tfs_digest_create(kind, n->size);
	struct tfs_object o;
	char found[65];
	int r = !n->size ? 0 : open_object(x, i, &o);

	if (!r && n->size) {
		r = copy(x, &o, path, d);
		tfs_object_close(&o);
	} else if (r) {
		complain(path, r);
	}
	if (d && !r) {
		tfs_digest_end(d, found);
		if (strcmp(found, version) != 0) {
			tfs_log_error("%s: %s is %s, and should be %s", path, tfs_digest_names[kind], found, version);
			r = -ENODATA;
		}
	}
	tfs_digest_destroy(d);
	return r;
}

static int export_file(struct export *x, uint32_t i)
{
	const struct tfs_fetch_node *n = &x->table->nodes[i];
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = n->mtime } };
	cleanup_free char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", x->dir, path_of(x, i)) < 0) {
		path = NULL;
		return complain(path_of(x, i), -ENOMEM);
	}
	r = make_directories(path);
	if (!r)
		r = tfs_outfile_begin(&x->out, path);
	if (r)
		return r;
	r = write_body(x, i);
	if (!r && n->mtime)
		(void)futimens(x->out.fd, times);
	x->n++;
	x->bytes += n->size;
	return r ? r : tfs_outfile_end(&x->out);
}

/* So that nothing is overwritten, and what is there afterwards is the model. */
static int check_directory(const char *dir)
{
	struct dirent *e;
	DIR *d;
	int r = 0;

	if (mkdir(dir, 0777) && errno != EEXIST)
		return complain(dir, -errno);
	d = opendir(dir);
	if (!d)
		return complain(dir, -errno);
	while (!r && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = -ENOTEMPTY;
	closedir(d);
	return r ? complain(dir, r) : 0;
}

static int run(struct export *x, char **names, int n)
{
	cleanup_free bool *wanted = calloc(x->table->n + 1u, sizeof *wanted);
	int r;

	x->buf = aligned_alloc(TFS_OBJECT_ALIGN, AT_ONCE * TFS_GRAIN);
	if (!wanted || !x->buf)
		return complain(x->dir, -ENOMEM);
	r = select_files(x, names, n, wanted);
	if (!r)
		r = check_complete(x, wanted);
	if (!r)
		r = check_directory(x->dir);
	for (uint32_t i = 0; i < x->table->n && !r; i++)
		r = wanted[i] ? export_file(x, i) : 0;
	return r ? r : tfs_outfiles_publish(&x->out);
}

static void put_total(const struct export *x, const char *dir)
{
	char size[TFS_FIGURES_BYTES];

	printf("%zu files, %s written to ", x->n, tfs_figures_bytes(size, (double)x->bytes));
	tfs_put_safe(stdout, dir, strlen(dir), "");
	putchar('\n');
}

int tfs_cache_export(struct tfs_cache *c, const struct tfs_remote_table *t, const char *dir, char **names, int n)
{
	struct export x = { .cache = c, .table = t, .dir = dir };
	int r = tfs_outfiles_init(&x.out);

	if (r)
		return complain(dir, r);
	r = run(&x, names, n);
	tfs_outfiles_fini(&x.out);
	free(x.buf);
	if (!r)
		put_total(&x, dir);
	return r;
}
