/* SPDX-License-Identifier: MIT */
#include "format/forward.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "storage/storage.h"

/* Size of the first read after a jump, doubled as long as reading is sequential. */
enum { FIRST_READ = 4096 };

void tfs_forward_init(struct tfs_forward *f, const struct tfs_input *in, uint64_t at, struct tfs_error *err)
{
	f->in = in;
	f->err = err;
	f->at = at;
	f->have_at = 0;
	f->have = f->want = 0;
}

/* Continue reading at a position that isn't in the buffer, before the end of the file. */
static int fill(struct tfs_forward *f)
{
	uint64_t left = f->in->size - f->at;
	int r;

	if (f->have && f->at == f->have_at + f->have)
		f->want = 2 * f->want < TFS_FORWARD_BUFFER ? 2 * f->want : TFS_FORWARD_BUFFER;
	else
		f->want = FIRST_READ;
	f->have_at = f->at;
	f->have = left < f->want ? left : f->want;
	r = tfs_input_read(f->in, f->buf, f->have, f->at, f->err);
	if (r)
		f->have = 0;
	return r;
}

/* Are there @len bytes more? */
static int check(struct tfs_forward *f, uint64_t len)
{
	if (len <= f->in->size - f->at)
		return 0;
	return tfs_error_set(f->err, -EINVAL, f->at, "%" PRIu64 " bytes are expected here, but the file ends at byte %" PRIu64, len,
			     f->in->size);
}

int tfs_forward_bytes(struct tfs_forward *f, void *dst, size_t len)
{
	uint8_t *to = dst;
	int r = check(f, len);

	while (len && !r) {
		uint64_t before = f->at - f->have_at; /* of a position before the buffer: it wraps */
		size_t n;

		if (before >= f->have) {
			r = fill(f);
			continue;
		}
		n = f->have - before < len ? f->have - before : len;
		memcpy(to, f->buf + before, n);
		to += n;
		f->at += n;
		len -= n;
	}
	return r;
}

int tfs_forward_skip(struct tfs_forward *f, uint64_t len)
{
	int r = check(f, len);

	if (!r)
		f->at += len;
	return r;
}

int tfs_forward_u8(struct tfs_forward *f, uint8_t *ret)
{
	return tfs_forward_bytes(f, ret, sizeof *ret);
}

int tfs_forward_u16(struct tfs_forward *f, uint16_t *ret)
{
	int r = tfs_forward_bytes(f, ret, sizeof *ret);

	if (!r)
		*ret = le16toh(*ret);
	return r;
}

int tfs_forward_u32(struct tfs_forward *f, uint32_t *ret)
{
	int r = tfs_forward_bytes(f, ret, sizeof *ret);

	if (!r)
		*ret = le32toh(*ret);
	return r;
}

int tfs_forward_u64(struct tfs_forward *f, uint64_t *ret)
{
	int r = tfs_forward_bytes(f, ret, sizeof *ret);

	if (!r)
		*ret = le64toh(*ret);
	return r;
}
