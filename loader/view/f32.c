/* SPDX-License-Identifier: MIT */
/* f32/NAME.npy: the values as float32, whatever the tensor's own type. */
#include "view/npy.h"
#include "view/view.h"

static bool shows(const struct tfs_tensor *t)
{
	return tfs_convert_for(t->dtype);
}

static void make_prefix(const struct tfs_tensor *t, uint8_t *buf)
{
	tfs_npy_header("<f4", t->shape, t->ndim, buf);
}

const struct tfs_view tfs_view_f32 = {
	.shows = shows,
	.prefix = TFS_VIEW_PREFIX_MAX,
	.make_prefix = make_prefix,
	.convert = tfs_convert_for,
};
