/* SPDX-License-Identifier: MIT */
/* Files that an earlier copy wrote for the same OUT.safetensors. Beside new ones they would be taken for part of the model. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/cp/impl.h"

static const char extension[] = ".safetensors";

static const char *after_number(const char *s)
{
	const size_t n = strspn(s, "0123456789");

	return n >= 5 ? s + n : NULL;
}

/* May what is written for "STEM.safetensors" be called @name? As tfs_shards_name() does, and the index. */
static bool is_part(const char *name, const char *stem, size_t stem_len)
{
	static const char of[] = "-of-";

	if (strncmp(name, stem, stem_len) != 0)
		return false;
	name += stem_len;
	if (!strcmp(name, extension) || !strcmp(name, ".safetensors.index.json"))
		return true;
	const char *end = *name == '-' ? after_number(name + 1) : NULL;
	end = end && !strncmp(end, of, strlen(of)) ? after_number(end + strlen(of)) : NULL;
	return end && !strcmp(end, extension);
}

/* Call @fn for the paths of all files that may be part of the output, until it returns an error. */
static int for_parts(const struct tfs_cp *cp, int (*fn)(const struct tfs_cp *cp, const char *path))
{
	const char *slash = strrchr(cp->out, '/'), *name = slash ? slash + 1 : cp->out;
	const int dir_len = (int)(name - cp->out);
	char path[PATH_MAX];
	int r = 0;

	if (snprintf(path, sizeof path, "%.*s.", dir_len, cp->out) >= (int)sizeof path)
		return 0;
	/* Whoever may write there, but not list it, has to look after that. */
	DIR *dir = opendir(path);
	for (const struct dirent *e; dir && !r && (e = readdir(dir));)
		if (is_part(e->d_name, name, strlen(name) - strlen(extension)) &&
		    snprintf(path, sizeof path, "%.*s%s", dir_len, cp->out, e->d_name) < (int)sizeof path)
			r = fn(cp, path);
	if (dir)
		closedir(dir);
	return r;
}

static int refuse_source(const struct tfs_cp *cp, const char *path)
{
	return tfs_outfiles_is_source(&cp->files, path) ? -EEXIST : 0;
}

static int remove_stale(const struct tfs_cp *cp, const char *path)
{
	struct stat st;

	for (size_t i = 0; i < cp->files.n; i++)
		if (!strcmp(cp->files.files[i].path, path))
			return 0;
	if (lstat(path, &st) || !S_ISREG(st.st_mode) || !unlink(path) || errno == ENOENT)
		return 0;
	const int r = -errno;
	tfs_log_error("%s: left by an earlier copy, and can't be removed: %s", path, strerror(-r));
	return r;
}

int tfs_cp_remove_stale(const struct tfs_cp *cp)
{
	/* What is beside shards that are being read is rather another shard of them. */
	return for_parts(cp, refuse_source) ? 0 : for_parts(cp, remove_stale);
}
