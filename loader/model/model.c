/* SPDX-License-Identifier: MIT */
#include "model/model.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "model/impl.h"

int tfs_model_open(const char *path, unsigned threads, tfs_warn_fn *warn, void *warn_arg, struct tfs_model **ret_model,
		   struct tfs_error *err)
{
	const struct tfs_scan_limits limits = { TFS_SCAN_MEMORY, TFS_SCAN_SECONDS, TFS_NPY_HEADER };

	return tfs_model_open_limited(path, &limits, TFS_FOLLOW_ALL, threads, warn, warn_arg, ret_model, err);
}

int tfs_model_open_limited(const char *path, const struct tfs_scan_limits *limits, enum tfs_follow follow, unsigned threads,
			   tfs_warn_fn *warn, void *warn_arg, struct tfs_model **ret_model, struct tfs_error *err)
{
	struct tfs_error local;
	struct tfs_model_impl *m;
	int r;

	if (!err)
		err = &local;
	*err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
	m = calloc(1, sizeof *m);
	if (!m)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for the model");
	m->given = UINT32_MAX;
	m->pub.npy_align = TFS_NPY_ALIGN;
	m->scan.limits = *limits;
	m->follow_all = follow == TFS_FOLLOW_ALL;
	m->threads = threads;
	m->warn = warn;
	m->warn_arg = warn_arg;
	r = tfs_scan(m, path, err);
	if (!r)
		r = tfs_sets_find(m, err);
	if (!r && m->pub.storage->ops->scanned)
		m->pub.storage->ops->scanned(m->pub.storage);
	if (r) {
		tfs_model_destroy(&m->pub);
		return r;
	}
#ifdef __GLIBC__
	/*
	 * Headers and temporary tables are freed by now, also in the arenas of several threads; a daemon shouldn't keep their
	 * memory.
	 */
	malloc_trim(0);
#endif
	*ret_model = &m->pub;
	return 0;
}

void tfs_model_destroy(struct tfs_model *model)
{
	struct tfs_model_impl *m = (struct tfs_model_impl *)model;

	if (!m)
		return;
	for (size_t i = 0; i < m->n_catalogs; i++)
		tfs_catalog_destroy(m->catalogs[i]);
	free(m->catalogs);
	free(m->nodes);
	free(m->followed);
	free(m->ways);
	free(m->acls);
	free(m->sets);
	free(m->is_source);
	free(m->unread);
	free(m->unseen);
	tfs_arena_fini(&m->arena);
	tfs_storage_destroy(m->pub.storage);
	free(m);
}

void tfs_model_set_npy_align(struct tfs_model *m, unsigned align)
{
	m->npy_align = align;
}
