/* SPDX-License-Identifier: MIT */
/*
 * npy/NAME.npy: the tensor as a NumPy array. Its data begins at byte 4096, so it can be mapped on a page of its own; or where
 * np.save() would put it, for readers that only understand the headers that NumPy writes.
 */
#include "content/view-npy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "content/view.h"

enum {
	MAGIC = 10,	    /* "\x93NUMPY", version, and the length of what follows */
	GROWTH_DIGITS = 21, /* NumPy leaves room for this many digits of the first dimension, for appending rows in place */
};

size_t tfs_npy_header(const char *descr, const uint64_t *shape, unsigned ndim, unsigned align, uint8_t *buf)
{
	static const uint8_t magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };
	const char *quote = *descr == '[' ? "" : "'"; /* a list of fields isn't a string */
	const size_t room = TFS_VIEW_PREFIX_MAX - MAGIC;
	char *text = (char *)buf + MAGIC;
	size_t end, len;
	int n;

	/* There is ample room: TFS_MAX_DIMS numbers of 20 digits are 1,400 bytes, and a descr is no longer than 2,500. */
	n = snprintf(text, room, "{'descr': %s%s%s, 'fortran_order': False, 'shape': (", quote, descr, quote);
	for (unsigned i = 0; i < ndim; i++)
		n += snprintf(text + n, room - n, "%" PRIu64 "%s", shape[i], i + 1 < ndim ? ", " : ndim == 1 ? "," : "");
	n += snprintf(text + n, room - n, "), }");
	end = MAGIC + n;
	if (ndim)
		n += GROWTH_DIGITS - snprintf(NULL, 0, "%" PRIu64, shape[0]);
	/* NumPy requires the newline last, after blanks: at least one if it pads. */
	len = align == TFS_VIEW_PREFIX_MAX ? align : ((size_t)(MAGIC + n + 1) / align + 1) * align;
	assert(end < len && len <= TFS_VIEW_PREFIX_MAX);
	memcpy(buf, magic, sizeof magic);
	buf[8] = (len - MAGIC) & 0xff;
	buf[9] = (len - MAGIC) >> 8;
	memset(buf + end, ' ', len - end - 1);
	buf[len - 1] = '\n';
	return len;
}

static size_t make_prefix(const struct tfs_tensor *t, unsigned align, uint8_t *buf)
{
	const struct tfs_dtype *d = t->dtype;
	uint64_t shape[TFS_MAX_DIMS], nbytes;

	if (d->npy)
		return tfs_npy_header(d->npy, t->shape, t->ndim, align, buf);
	/*
	 * Elements that aren't whole bytes become rows of bytes, or a single row if rows aren't whole bytes either, or if the type
	 * is unknown.
	 */
	if (!t->ndim || t->shape[t->ndim - 1] % d->block_elems || tfs_dtype_nbytes(d, t->shape, t->ndim, &nbytes) ||
	    nbytes != t->nbytes)
		return tfs_npy_header("|u1", &t->nbytes, 1, align, buf);
	memcpy(shape, t->shape, t->ndim * sizeof *shape);
	shape[t->ndim - 1] = t->shape[t->ndim - 1] / d->block_elems * d->block_bytes;
	return tfs_npy_header("|u1", shape, t->ndim, align, buf);
}

const struct tfs_view tfs_view_npy = { .make_prefix = make_prefix };
