/* SPDX-License-Identifier: MIT */
/*
 * The keys of slices (tensorflow/core/util/saved_tensor_slice_util.cc, EncodeTensorNameSlice()): a zero, the name, the number of
 * dimensions, and of each start and length, in an encoding whose bytes are in the order of what they mean
 * (tensorflow/core/lib/strings/ordered_code.cc).
 */
#include <endian.h>
#include <string.h>

#include "format/tensorflow/impl.h"

/* A number that isn't negative: how many bytes, and those, the most significant first. */
static uint8_t *put_number(uint8_t *at, uint64_t n)
{
	unsigned len = n ? (71 - __builtin_clzll(n)) / 8 : 0;

	*at++ = len;
	while (len--)
		*at++ = n >> 8 * len;
	return at;
}

/* Bytes 0 and 255 are followed by another, so that what ends the string is neither. */
static uint8_t *put_string(uint8_t *at, const char *s, size_t len)
{
	for (const char *end = s + len; s < end; s++) {
		uint8_t byte = *s;

		*at++ = byte;
		if (byte == 0)
			*at++ = 0xff;
		else if (byte == 0xff)
			*at++ = 0;
	}
	*at++ = 0;
	*at++ = 1;
	return at;
}

/*
 * A number with a sign: as many bytes as it needs besides the first bits, of which as many are the opposite of the sign as there are
 * bytes; a bit that is the sign follows.
 */
static uint8_t *put_signed(uint8_t *at, int64_t n)
{
	uint64_t bits = n < 0 ? ~(uint64_t)n : (uint64_t)n, big = htobe64((uint64_t)n);
	unsigned len = (bits ? 64 - __builtin_clzll(bits) : 0) / 7 + 1;
	uint8_t bytes[10];

	memset(bytes, n < 0 ? 0xff : 0, 2);
	memcpy(bytes + 2, &big, sizeof big);
	memcpy(at, bytes + sizeof bytes - len, len);
	at[0] ^= len < 8 ? 0xff << (8 - len) : 0xff;
	if (len > 8)
		at[1] ^= 0xff << (16 - len);
	return at + len;
}

size_t tfs_tf_key_size(size_t name_len, unsigned ndim)
{
	return 1 + 2 * name_len + 2 + 9 + ndim * 20;
}

size_t tfs_tf_key(const char *name, size_t len, const struct tfs_tf_extent *extents, unsigned ndim, uint8_t *buf)
{
	uint8_t *at = put_string(put_number(buf, 0), name, len);

	at = put_number(at, ndim);
	for (unsigned i = 0; i < ndim; i++)
		at = put_signed(put_signed(at, extents[i].start), extents[i].length);
	return at - buf;
}
