/* SPDX-License-Identifier: MIT */
/*
 * Which files of a model would a mount cover? All files are opened by their paths from the model directory, long after mounting. A
 * path that went through the mountpoint would then lead into our own mount, and the daemon would wait for itself.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "model/impl.h"
#include "model/walk.h"

/*
 * Does the path from @s's directory to @path enter @dir? The starting point doesn't count: a descriptor refers to what is
 * below a mount.
 */
static bool enters(const struct tfs_storage *s, const char *path, const struct stat *dir)
{
	struct tfs_walk w = { .storage = s, .at = fcntl(s->fd, F_DUPFD_CLOEXEC, 0) };
	bool is = false, link;
	struct stat st;

	strcpy(w.rest, path);
	while (!is && w.at >= 0 && tfs_walk_step(&w, &st, &link))
		is = !link && st.st_dev == dir->st_dev && st.st_ino == dir->st_ino;
	if (w.at >= 0)
		close(w.at);
	return is;
}

int tfs_model_covered(const struct tfs_model *m, const struct stat *dir, uint32_t *ret_node)
{
	char path[PATH_MAX];

	for (uint32_t i = 0; i < m->n_nodes; i++) {
		const struct tfs_node *n = &m->nodes[i];

		if (i != TFS_NODE_ROOT && n->n_children && n->id.dev == dir->st_dev && n->id.ino == dir->st_ino) {
			*ret_node = n->first_child;
			return 1;
		}
	}
	for (size_t i = 0; i < m->n_followed; i++) {
		const struct tfs_node *n = &m->nodes[m->followed[i]];

		if ((S_ISDIR(n->mode) && !n->n_children) || tfs_model_path(m, m->followed[i], path, sizeof path) ||
		    !enters(m->storage, path, dir))
			continue;
		*ret_node = m->followed[i];
		return 1;
	}
	return 0;
}
