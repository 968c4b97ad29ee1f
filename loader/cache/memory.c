/* SPDX-License-Identifier: MIT */
/* How much memory there is: the machine's, and what the control groups leave of it. */
#include "cache/memory.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static uint64_t read_number(const char *path)
{
	uint64_t v = UINT64_MAX; /* also where the file says "max" */
	FILE *f = fopen(path, "re");
	if (f) {
		if (fscanf(f, "%" SCNu64, &v) != 1)
			v = UINT64_MAX;
		fclose(f);
	}
	return v;
}

/* The line "KEY NUMBER" of @path, or 0. */
static uint64_t read_key(const char *path, const char *key)
{
	char line[256], name[64];
	uint64_t v = 0, n;
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%63s %" SCNu64, name, &n) == 2 && !strcmp(name, key)) {
			v = n;
			break;
		}
	if (f)
		fclose(f);
	return v;
}

/* Of the machine; 0: unknown. */
static uint64_t meminfo(const char *key)
{
	return read_key("/proc/meminfo", key) << 10;
}

/* What the cgroups of this process, and all their parents, have: a limit applies to everything below it. */
struct cgroups {
	uint64_t limit, left; /* the lowest of each; UINT64_MAX: none */
};

/*
 * The names of their files differ between the versions of the interface. @high: beyond it a group isn't killed but slowed down until it
 * has less, which is no better. @idle: the name in memory.stat of page cache that hasn't been used for a while. That counts as used, and a
 * group that has just downloaded its model is full of it, but the kernel reclaims it at once.
 */
struct names {
	const char *root, *max, *high, *usage, *idle;
};

static uint64_t number_of(const struct names *n, const char *path, const char *name)
{
	char file[PATH_MAX + 64];

	snprintf(file, sizeof file, "%s%s/%s", n->root, path, name);
	return read_number(file);
}

/* The cgroup @path and its parents. */
static void look_at(struct cgroups *c, const struct names *n, char *path)
{
	for (;;) {
		char file[PATH_MAX + 64];
		uint64_t max = number_of(n, path, n->max), used = number_of(n, path, n->usage);
		uint64_t high = n->high ? number_of(n, path, n->high) : UINT64_MAX;
		if (high < max)
			max = high;
		if (max < c->limit)
			c->limit = max;
		if (max != UINT64_MAX && used != UINT64_MAX) {
			snprintf(file, sizeof file, "%s%s/memory.stat", n->root, path);
			uint64_t cache = read_key(file, n->idle);
			used -= cache < used ? cache : used;
			uint64_t l = max > used ? max - used : 0;
			if (l < c->left)
				c->left = l;
		}
		char *slash = strrchr(path, '/');
		if (!slash)
			return;
		*slash = 0;
	}
}

static struct cgroups find_cgroups(void)
{
	static const struct names v1 = { "/sys/fs/cgroup/memory", "memory.limit_in_bytes", NULL, "memory.usage_in_bytes",
					 "total_inactive_file" };
	static const struct names v2 = { "/sys/fs/cgroup", "memory.max", "memory.high", "memory.current", "inactive_file" };
	struct cgroups c = { UINT64_MAX, UINT64_MAX };
	char line[PATH_MAX];
	FILE *f = fopen("/proc/self/cgroup", "re");

	/* Lines "N:CONTROLLERS:/PATH"; version 2 has no controllers. See cgroups(7). */
	while (f && fgets(line, sizeof line, f)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = 0;
		path[strcspn(path, "\n")] = 0;
		if (!strcmp(path, "/"))
			*path = 0;
		if (!controllers[1])
			look_at(&c, &v2, path);
		else if (!strcmp(controllers + 1, "memory"))
			look_at(&c, &v1, path);
	}
	if (f)
		fclose(f);
	return c;
}

uint64_t tfs_memory_left(void)
{
	uint64_t available = meminfo("MemAvailable:"), left = find_cgroups().left;

	return left < available ? left : available;
}

uint64_t tfs_memory_default(void)
{
	uint64_t half = tfs_memory_left() / 2;

	return half > TFS_MEMORY_MIN ? half : TFS_MEMORY_MIN;
}

/* Version 1 writes a number that no machine has, and not "max". */
static bool is_limit(uint64_t limit)
{
	return limit <= UINT64_MAX / 4;
}

uint64_t tfs_memory_limit(void)
{
	uint64_t limit = find_cgroups().limit;

	if (!is_limit(limit))
		return UINT64_MAX;
	limit -= limit / 8;
	return limit > TFS_MEMORY_MIN ? limit : TFS_MEMORY_MIN;
}

bool tfs_memory_is_short(void)
{
	uint64_t total = meminfo("MemTotal:"), available = meminfo("MemAvailable:");
	struct cgroups c = find_cgroups();

	return !total || available < total / 4 || (is_limit(c.limit) && c.left < c.limit / 4);
}
