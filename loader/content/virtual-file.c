/* SPDX-License-Identifier: MIT */
#include "content/virtual-file.h"

#include <assert.h>

struct tfs_layout tfs_file_layout(const struct tfs_model *model, struct tfs_file_id id)
{
	struct tfs_layout l;
	int r = tfs_view_layout(id.view, tfs_set_tensor(&model->sets[id.set], id.tensor), model->npy_align, &l);
	assert(!r);
	(void)r;
	return l;
}

static struct tfs_extent extent_of(const void *of)
{
	return (struct tfs_extent){ *(const uint32_t *)of, 0 };
}

struct tfs_layout tfs_whole_file_layout(const struct tfs_model *model, const uint32_t *node)
{
	static const struct tfs_content_ops whole = { .extent = extent_of };

	return (struct tfs_layout){
		.view = &tfs_view_raw,
		.content = { &whole, node },
		.size = model->nodes[*node].id.size,
		.block = 1,
		.in = 1,
		.out = 1,
	};
}

uint64_t tfs_file_loaded_size(const struct tfs_model *model, struct tfs_file_id id)
{
	const struct tfs_tensor *t = tfs_set_tensor(&model->sets[id.set], id.tensor);
	struct tfs_layout l;
	return t->nbytes && !tfs_view_layout(id.view, t, model->npy_align, &l) ? l.size : 0;
}
