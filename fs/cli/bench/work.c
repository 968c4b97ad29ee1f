/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/bench/impl.h"

/* Larger files aren't configuration or tokenizers, which reach 30 MB. */
enum { OTHER_MAX = 64 << 20 };

uint64_t tfs_bench_source_bytes(const struct tfs_tensor *t)
{
	return t->encoding ? t->encoding->length : t->nbytes;
}

/* The name of what the mount adds to directory @node: @kind, and @view if it is a view. */
static int added_name(struct tfs_tree *tree, const struct tfs_model *m, uint32_t node, enum tfs_kind kind, enum tfs_view_dir view,
		      char *name, struct tfs_inode *ret_inode)
{
	struct tfs_inode dir = { .kind = TFS_INO_NODE, .node = node };
	uint64_t place = m->nodes[node].n_children; /* these come first */
	int r;

	while (!(r = tfs_tree_entry(tree, dir, &place, name, ret_inode)))
		if (ret_inode->kind == kind && (kind != TFS_INO_VIEW_DIR || ret_inode->view == view))
			return 0;
	return r;
}

static char *join(struct tfs_arena *a, const char *dir, const char *name)
{
	char path[PATH_MAX + TFS_NAME_MAX + 2];
	int n = snprintf(path, sizeof path, "%s/%s", dir, name);

	return n < (int)sizeof path ? tfs_arena_copy(a, path, n) : NULL;
}

/* The tensors of the primary set of directory @node, in file order, as the mount shows them. */
static int add_set(struct tfs_bench_work *w, struct tfs_tree *tree, uint32_t node)
{
	uint32_t set_index = w->model->nodes[node].first_set;
	const struct tfs_set *set = &w->model->sets[set_index];
	char name[TFS_NAME_MAX + 1], path[PATH_MAX];
	struct tfs_inode dir, inode;
	uint64_t place = 0;

	int r = added_name(tree, w->model, node, TFS_INO_VIEW_DIR, TFS_VIEW_TENSORS, name, &dir);
	if (!r)
		r = tfs_model_path(w->model, node, path, sizeof path);
	if (r)
		return r;
	w->dirs[w->n_dirs] = join(&w->arena, path, name);
	cleanup_free const char **names = calloc(set->n_tensors + 1, sizeof *names);
	if (!w->dirs[w->n_dirs] || !names)
		return -ENOMEM;
	while (!(r = tfs_tree_entry(tree, dir, &place, name, &inode)))
		if (!(names[inode.tensor] = tfs_arena_copy(&w->arena, name, strlen(name))))
			return -ENOMEM;
	if (r != -ENOENT)
		return r;
	for (size_t i = 0; i < set->n_tensors; i++) {
		uint32_t t = set->by_offset[i];
		w->items[w->n_items++] = (struct tfs_bench_item){ set_index, t, w->n_dirs, names[t] };
		w->item_bytes += set->tensors[t].nbytes;
		w->source_bytes += tfs_bench_source_bytes(&set->tensors[t]);
	}
	for (uint32_t i = 0; i < set->n_sources; i++)
		w->whole_bytes += w->model->nodes[w->sources[w->n_sources++] = set->sources[i]].id.size;
	w->n_dirs++;
	return 0;
}

/* Small files that aren't weights, not even another set's, in directories that aren't hidden. */
static int add_others(struct tfs_bench_work *w)
{
	const struct tfs_model *m = w->model;
	cleanup_free bool *out = calloc(m->n_nodes, sizeof *out);

	if (!out)
		return -ENOMEM;
	for (size_t s = 0; s < m->n_sets; s++)
		for (uint32_t i = 0; i < m->sets[s].n_sources; i++)
			out[m->sets[s].sources[i]] = true;
	for (uint32_t n = 0; n < m->n_nodes; n++) { /* parents come before their children */
		const struct tfs_node *node = &m->nodes[n];
		if (S_ISDIR(node->mode))
			out[n] = node->name[0] == '.' || (n != TFS_NODE_ROOT && out[node->parent]);
		if (!S_ISREG(node->mode) || node->link || out[n] || out[node->parent] || !node->id.size ||
		    node->id.size > OTHER_MAX)
			continue;
		w->others[w->n_others++] = n;
		w->other_bytes += node->id.size;
	}
	return 0;
}

static int fill(struct tfs_bench_work *w, struct tfs_tree *tree)
{
	const struct tfs_model *m = w->model;
	size_t tensors = 0, sources = 0, dirs = 0;
	char name[TFS_NAME_MAX + 1];
	struct tfs_inode inode;
	int r;

	for (uint32_t n = 0; n < m->n_nodes; n++)
		if (m->nodes[n].n_sets) {
			tensors += m->sets[m->nodes[n].first_set].n_tensors;
			sources += m->sets[m->nodes[n].first_set].n_sources;
			dirs++;
		}
	assert(m->n_nodes); /* the root at least */
	w->items = calloc(tensors + 1, sizeof *w->items);
	w->sources = calloc(sources + 1, sizeof *w->sources);
	w->dirs = calloc(dirs + 1, sizeof *w->dirs);
	w->others = calloc(m->n_nodes, sizeof *w->others);
	if (!w->items || !w->sources || !w->dirs || !w->others)
		return -ENOMEM;
	for (uint32_t n = 0; n < m->n_nodes; n++)
		if (m->nodes[n].n_sets && (r = add_set(w, tree, n)))
			return r;
	r = added_name(tree, m, TFS_NODE_ROOT, TFS_INO_CONTROL_DIR, 0, name, &inode);
	if (r)
		return r;
	w->stats = join(&w->arena, name, "stats.json");
	return w->stats ? add_others(w) : -ENOMEM;
}

int tfs_bench_work_init(const struct tfs_model *model, struct tfs_tree *tree, struct tfs_bench_work *ret_work)
{
	struct tfs_bench_work w = { .model = model };
	int r = fill(&w, tree);

	if (r)
		tfs_bench_work_fini(&w);
	else
		*ret_work = w;
	return r;
}

void tfs_bench_work_fini(struct tfs_bench_work *w)
{
	free(w->items);
	free(w->sources);
	free(w->dirs);
	free(w->others);
	tfs_arena_fini(&w->arena);
}

/* --- The page cache ------------------------------------------------------------------------------------------------- */

/* 0 and the bytes of the file that stayed in the page cache, or -errno if that can't be determined. */
static int chill_file(const struct tfs_model *m, uint32_t node, uint64_t *ret_cached)
{
	cleanup_fd int fd = tfs_model_open_node(m, node, 0);
	uint64_t pages;
	struct statfs st;

	if (fd < 0)
		return fd;
	/* Dirty pages can't be dropped, so write them. What that can't write, and whatever else stays, is counted below. */
	fdatasync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	/* The pages of a file on overlayfs belong to the underlying file, and can't be queried. */
	if (fstatfs(fd, &st) || st.f_type == OVERLAYFS_SUPER_MAGIC)
		return -EOPNOTSUPP;
	int r = tfs_file_cached(fd, 0, 0, &pages);
	if (!r)
		*ret_cached = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return r;
}

enum tfs_bench_coldness tfs_bench_chill(const struct tfs_bench_work *w, uint64_t *ret_cached)
{
	uint64_t cached = 0, total = 0;
	bool unknown = false;

	for (size_t i = 0; i < w->n_sources + w->n_others; i++) {
		uint32_t node = i < w->n_sources ? w->sources[i] : w->others[i - w->n_sources];
		uint64_t bytes = 0;
		unknown |= !!chill_file(w->model, node, &bytes);
		cached += bytes;
		total += w->model->nodes[node].id.size;
	}
	*ret_cached = cached;
	if (cached > total / TFS_BENCH_COLD_SHARE)
		return TFS_BENCH_COLD_NO;
	return unknown ? TFS_BENCH_COLD_UNKNOWN : TFS_BENCH_COLD_YES;
}
