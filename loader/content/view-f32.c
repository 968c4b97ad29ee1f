/* SPDX-License-Identifier: MIT */
/* f32/NAME.npy: the values as float32, whatever the tensor's own type. */
#include "content/view-npy.h"
#include "content/view.h"

static bool shows(const struct tfs_tensor *t)
{
	return !t->code && tfs_convert_for(t->dtype);
}

static size_t make_prefix(const struct tfs_tensor *t, unsigned align, uint8_t *buf)
{
	return tfs_npy_header("<f4", t->shape, t->ndim, align, buf);
}

const struct tfs_view tfs_view_f32 = {
	.shows = shows,
	.make_prefix = make_prefix,
	.convert = tfs_convert_for,
};
