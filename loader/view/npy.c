/* SPDX-License-Identifier: MIT */
/* npy/NAME.npy: the tensor as a NumPy array whose data begins at byte 4096, so that np.load(…, mmap_mode="r") maps it. */
#include "view/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "view/view.h"

enum { MAGIC = 10 }; /* "\x93NUMPY", version, and the length of what follows */

void tfs_npy_header(const char *descr, const uint64_t *shape, unsigned ndim, uint8_t *buf)
{
	static const uint8_t magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };
	const uint16_t len = TFS_VIEW_PREFIX_MAX - MAGIC;
	const char *quote = *descr == '[' ? "" : "'"; /* a list of fields is no string */
	char *text = (char *)buf + MAGIC;
	int n;

	memcpy(buf, magic, sizeof magic);
	buf[8] = len & 0xff;
	buf[9] = len >> 8;
	/* Room is ample: TFS_MAX_DIMS numbers of 20 digits are 1,400 bytes, and a descr is no longer than 2,500. NumPy wants the newline last, and blanks before it. */
	n = snprintf(text, len, "{'descr': %s%s%s, 'fortran_order': False, 'shape': (", quote, descr, quote);
	for (unsigned i = 0; i < ndim; i++)
		n += snprintf(text + n, len - n, "%" PRIu64 "%s", shape[i], i + 1 < ndim ? ", " : ndim == 1 ? "," : "");
	n += snprintf(text + n, len - n, "), }");
	memset(text + n, ' ', len - n - 1);
	text[len - 1] = '\n';
}

static void make_prefix(const struct tfs_tensor *t, uint8_t *buf)
{
	const struct tfs_dtype *d = t->dtype;
	uint64_t shape[TFS_MAX_DIMS], nbytes;

	if (d->npy) {
		tfs_npy_header(d->npy, t->shape, t->ndim, buf);
		return;
	}
	/* Elements that are no whole bytes: rows of bytes, or one row where a row is not whole bytes either, or of nobody knows what. */
	if (t->ndim && t->shape[t->ndim - 1] % d->block_elems == 0 && !tfs_dtype_nbytes(d, t->shape, t->ndim, &nbytes) &&
	    nbytes == t->nbytes) {
		memcpy(shape, t->shape, t->ndim * sizeof *shape);
		shape[t->ndim - 1] = t->shape[t->ndim - 1] / d->block_elems * d->block_bytes;
		tfs_npy_header("|u1", shape, t->ndim, buf);
	} else {
		tfs_npy_header("|u1", &t->nbytes, 1, buf);
	}
}

const struct tfs_view tfs_view_npy = { .prefix = TFS_VIEW_PREFIX_MAX, .make_prefix = make_prefix };
