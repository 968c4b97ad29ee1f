/* SPDX-License-Identifier: MIT */
#include "remote/hub.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

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

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const char *dir = getenv(places[i].name);

		if (dir && *dir == '/')
			return snprintf(buf, PATH_MAX, "%s%s", dir, places[i].below) < PATH_MAX;
	}
	return false;
}

/* The folder of the repository of "hf://[models/|datasets/]NS/NAME[/DIR]": "models--NS--NAME". */
static bool repository(const char *origin, char *buf, size_t size)
{
	const char *type = "models", *ns = origin + 5, *name;
	size_t ns_len, name_len;

	if (strncmp(origin, "hf://", 5))
		return false;
	if (!strncmp(ns, "datasets/", 9)) {
		type = "datasets";
		ns += 9;
	} else if (!strncmp(ns, "models/", 7)) {
		ns += 7;
	}
	ns_len = strcspn(ns, "/");
	name = ns + ns_len + (ns[ns_len] == '/');
	name_len = strcspn(name, "/@");
	return ns_len && name_len && snprintf(buf, size, "%s--%.*s--%.*s", type, (int)ns_len, ns, (int)name_len, name) < (int)size;
}

int tfs_hub_open(void)
{
	char dir[PATH_MAX];

	return cache_dir(dir) ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

int tfs_hub_blob(const struct tfs_remote_table *t, uint32_t i)
{
	const struct tfs_fetch_node *n = &t->nodes[i];
	char dir[PATH_MAX], repo[NAME_MAX + 1], path[PATH_MAX];
	struct stat st;

	if ((n->kind != TFS_FETCH_SHA256 && n->kind != TFS_FETCH_GIT_SHA1) || !repository(t->origin, repo, sizeof repo) ||
	    !cache_dir(dir) ||
	    snprintf(path, sizeof path, "%s/%s/blobs/%s", dir, repo, tfs_remote_table_string(t, n->version)) >= PATH_MAX)
		return -1;
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	/* Of ours, as the cache is: others could have put anything there. */
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != n->size ||
	    (st.st_uid != geteuid() && st.st_uid))
		return -1;
	return tfs_steal_fd(&fd);
}
