/* SPDX-License-Identifier: MIT */
#include "remote/hub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "remote/hf-name.h"
#include "remote/listing.h"
#include "remote/name.h"

/* Digits of blobs' names: of large files; of others as many as of a commit. */
enum { SHA256_DIGITS = 64 };

/* As huggingface_hub finds it (constants.py): HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub. */
static bool cache_dir(char buf[static PATH_MAX])
{
	static const struct {
		const char *name, *below;
	} places[] = { { "HF_HUB_CACHE", "" },
		       { "HUGGINGFACE_HUB_CACHE", "" },
		       { "HF_HOME", "/hub" },
		       { "XDG_CACHE_HOME", "/huggingface/hub" },
		       { "HOME", "/.cache/huggingface/hub" } };

	const char *home = getenv("HOME");

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const char *dir = getenv(places[i].name);

		if (dir && !strncmp(dir, "~/", 2) && home && *home == '/')
			return snprintf(buf, PATH_MAX, "%s%s%s", home, dir + 1, places[i].below) < PATH_MAX;
		if (dir && *dir == '/')
			return snprintf(buf, PATH_MAX, "%s%s", dir, places[i].below) < PATH_MAX;
	}
	return false;
}

/* The directory of a repository. -errno: @n can't be one, or it isn't there. */
static int open_repository(const struct tfs_hf_name *n)
{
	char dir[PATH_MAX], path[2 * PATH_MAX];
	const size_t ns = strcspn(n->repo, "/");

	if (!cache_dir(dir))
		return -ENOENT;
	snprintf(path, sizeof path, "%s/%s--%.*s--%s", dir, n->dataset ? "datasets" : "models", (int)ns, n->repo, n->repo + ns + 1);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A file in @repo, if it is of ours, as the cache is: others could have put anything there. Else -1. */
static int open_own(int repo, const char *path, struct stat *ret_st)
{
	cleanup_fd int fd = openat(repo, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, ret_st) || !S_ISREG(ret_st->st_mode) || (ret_st->st_uid != geteuid() && ret_st->st_uid))
		return -1;
	return tfs_steal_fd(&fd);
}

int tfs_hub_open(void)
{
	char dir[PATH_MAX];

	return cache_dir(dir) ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

int tfs_hub_blob(const struct tfs_remote_table *t, uint32_t i)
{
	const struct tfs_fetch_node *n = &t->nodes[i];
	char path[sizeof "blobs/" + SHA256_DIGITS];
	struct tfs_hf_name name;
	struct stat st;

	if ((n->kind != TFS_FETCH_SHA256 && n->kind != TFS_FETCH_GIT_SHA1) || !tfs_hf_name_takes(t->origin) ||
	    tfs_hf_name_parse(t->origin, &name, NULL))
		return -1;
	cleanup_fd int repo = open_repository(&name);
	tfs_hf_name_fini(&name);
	snprintf(path, sizeof path, "blobs/%s", tfs_remote_table_string(t, n->version));
	cleanup_fd int fd = repo < 0 ? -1 : open_own(repo, path, &st);
	return fd < 0 || (uint64_t)st.st_size != n->size ? -1 : tfs_steal_fd(&fd);
}

/* --- Snapshots ---------------------------------------------------------------------------------------------------------- */

/* The only snapshot of which @digits are the first ones of the commit. */
static bool find_short(int repo, const char *digits, char commit[static TFS_COMMIT + 1])
{
	const size_t len = strlen(digits);
	int fd = openat(repo, "snapshots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned n = 0;

	if (fd >= 0 && !dir)
		close(fd);
	for (const struct dirent *e; dir && len >= TFS_COMMIT_LEAST && (e = readdir(dir));)
		if (tfs_hf_is_commit(e->d_name) && !strncmp(e->d_name, digits, len) && ++n)
			memcpy(commit, e->d_name, TFS_COMMIT + 1);
	return n == 1;
}

/* What @revision is; of NULL: "main". */
static bool find_commit(int repo, const char *revision, char commit[static TFS_COMMIT + 1])
{
	char path[PATH_MAX];
	struct stat st;

	if (revision && tfs_hf_is_commit(revision)) {
		memcpy(commit, revision, TFS_COMMIT + 1);
		return true;
	}
	if (snprintf(path, sizeof path, "refs/%s", revision ? revision : "main") >= (int)sizeof path || strstr(path, ".."))
		return false;
	cleanup_fd int fd = open_own(repo, path, &st);
	if (fd < 0 || read(fd, commit, TFS_COMMIT) != TFS_COMMIT)
		return revision && find_short(repo, revision, commit);
	commit[TFS_COMMIT] = '\0';
	return tfs_hf_is_commit(commit);
}

/* Add the file @path, which @link leads to. Not if that isn't a blob that can be read. 0 or -errno. */
static int add_link(int repo, const char *link, const char *path, struct tfs_remote_listing *l)
{
	const char *slash = strrchr(link, '/');
	struct tfs_remote_listed file = { .path = (char *)(uintptr_t)path,
					  .version = (char *)(uintptr_t)(slash ? slash + 1 : link) };
	const size_t digits = strlen(file.version);
	char blob[sizeof "blobs/" + SHA256_DIGITS];
	struct stat st;

	if ((digits != SHA256_DIGITS && digits != TFS_COMMIT) || strspn(file.version, "0123456789abcdef") != digits)
		return 0;
	snprintf(blob, sizeof blob, "blobs/%s", file.version);
	cleanup_fd int fd = open_own(repo, blob, &st);
	if (fd < 0)
		return 0;
	file.kind = digits == SHA256_DIGITS ? TFS_FETCH_SHA256 : TFS_FETCH_GIT_SHA1;
	file.size = (uint64_t)st.st_size;
	return tfs_remote_listing_add(l, &file);
}

/*
 * Add all that is in the directory @fd, which is taken, of the snapshot. @path is its path, to which names are added at @len; @file: only
 * that one.
 */
static int add_directory(int repo, int fd, const char *file, char path[static PATH_MAX], size_t len, struct tfs_remote_listing *l)
{
	cleanup_dir DIR *dir = fdopendir(fd);
	char link[PATH_MAX];
	int r = 0;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	for (const struct dirent *e; !r && (e = readdir(dir));) {
		const int n = snprintf(path + len, PATH_MAX - len, "%s%s", len ? "/" : "", e->d_name);

		if ((file && strcmp(e->d_name, file) != 0) || n >= (int)(PATH_MAX - len) || !tfs_remote_path_is_good(path))
			continue; /* "." and "..", too */
		const ssize_t n_link = readlinkat(fd, e->d_name, link, sizeof link - 1);
		if (n_link >= 0) {
			link[n_link] = '\0';
			r = add_link(repo, link, path, l);
		} else if (!file) {
			int below = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (below >= 0)
				r = add_directory(repo, below, NULL, path, len + (size_t)n, l);
		}
	}
	return r;
}

static int list_snapshot(const struct tfs_hf_name *name, struct tfs_remote_listing *l)
{
	cleanup_fd int repo = open_repository(name);
	char commit[TFS_COMMIT + 1], path[PATH_MAX];

	if (repo < 0 || !find_commit(repo, name->revision, commit) ||
	    snprintf(path, sizeof path, "snapshots/%s/%s", commit, name->dir) >= (int)sizeof path)
		return -ENOENT;
	int fd = openat(repo, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	*path = '\0';
	int r = add_directory(repo, fd, name->file, path, 0, l);
	if (!r && !l->n)
		r = -ENOENT;
	l->authority = strdup("huggingface_hub");
	return r ? r : l->authority ? tfs_hf_name_listing(name, commit, l) : -ENOMEM;
}

int tfs_hub_table(const char *url, struct tfs_remote_table *ret_table, struct tfs_error *err)
{
	struct tfs_remote_listing l = { 0 };
	struct tfs_hf_name name;
	cleanup_fd int fd = -1;
	size_t left_out;

	if (!tfs_hf_name_takes(url) || tfs_hf_name_parse(url, &name, NULL))
		return -ENOENT;
	int r = list_snapshot(&name, &l);
	if (!r)
		r = tfs_remote_listing_table(&l, &fd, &left_out);
	tfs_remote_listing_fini(&l);
	tfs_hf_name_fini(&name);
	return r ? r : tfs_remote_table_read(fd, TFS_FETCH_MAX_TABLE, ret_table, err);
}
