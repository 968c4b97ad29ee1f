/* SPDX-License-Identifier: MIT */
#include "format/inner.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "format/format.h"
#include "format/sniff.h"
#include "storage/storage.h"
#include "tensor/catalog.h"

/* @err's offset, counted from @base on, as one in the outer file. */
static void rebase(struct tfs_error *err, uint64_t base)
{
	if (err && err->offset != TFS_NO_OFFSET)
		err->offset += base;
}

int tfs_inner_read(const struct tfs_format *format, const struct tfs_input *outer, uint64_t base, uint64_t size,
		   const char *file_name, const char *prefix, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_catalog *inner;
	struct tfs_input in;
	int r;

	assert(!format->external);
	if (base > outer->size || size > outer->size - base)
		return tfs_error_set(err, -EINVAL, base, "%" PRIu64 " bytes of a file within this one, which ends at %" PRIu64,
				     size, outer->size);
	in = tfs_input_window(outer, base, size);
	inner = tfs_catalog_create();
	if (!inner)
		return -ENOMEM;
	tfs_catalog_limit(inner, in.share);
	r = tfs_sniff_read(format, &in, file_name, inner, err);
	if (!r)
		return tfs_catalog_adopt(catalog, inner, base, prefix, strlen(prefix));
	rebase(err, base);
	tfs_catalog_destroy(inner);
	return r;
}
