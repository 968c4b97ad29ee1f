/* SPDX-License-Identifier: MIT */
/* Snappy: a varint with the size, then literals, and copies of what came before. */
#include "format/tensorflow/sstable.h"

#include <string.h>

#include "base/cursor.h"

static uint64_t number(struct tfs_cursor *c, unsigned width)
{
	const uint8_t *p = tfs_cursor_bytes(c, width);
	uint64_t v = 0;

	for (unsigned i = width; p && i--;)
		v = v << 8 | p[i];
	return v;
}

static bool read_size(struct tfs_cursor *c, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; shift < 35; shift += 7) { /* 32 bits */
		uint8_t byte = number(c, 1);

		*ret |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return !c->bad && *ret <= UINT32_MAX;
	}
	return false;
}

bool tfs_snappy_size(const uint8_t *src, size_t len, uint64_t *ret)
{
	struct tfs_cursor c = tfs_cursor(src, len);

	return read_size(&c, ret);
}

bool tfs_snappy(const uint8_t *src, size_t len, uint8_t *dst, size_t size)
{
	struct tfs_cursor c = tfs_cursor(src, len);
	uint64_t n, back, done = 0;

	if (!read_size(&c, &n) || n != size)
		return false;
	while (tfs_cursor_left(&c)) {
		uint8_t tag = number(&c, 1);
		const uint8_t *literal = NULL;

		switch (tag & 3) {
		case 0:
			n = tag >> 2;
			n = (n < 60 ? n : number(&c, n - 59)) + 1;
			literal = tfs_cursor_bytes(&c, n);
			if (!literal || n > size - done)
				return false;
			memcpy(dst + done, literal, n);
			done += n;
			continue;
		case 1:
			n = 4 + (tag >> 2 & 7);
			back = (uint64_t)(tag >> 5) << 8 | number(&c, 1);
			break;
		default:
			n = (tag >> 2) + 1;
			back = number(&c, (tag & 3) == 2 ? 2 : 4);
			break;
		}
		if (c.bad || !back || back > done || n > size - done)
			return false;
		for (; n; n--, done++) /* may overlap what it makes */
			dst[done] = dst[done - back];
	}
	return done == size;
}
