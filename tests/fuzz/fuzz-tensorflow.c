/* SPDX-License-Identifier: MIT */
/*
 * The parser of TensorFlow's checkpoints on any file (table.h): as it is, and with the checksums that its blocks should have, without
 * which no change would get past them.
 */
#include "base/cursor.h"
#include "format/tensorflow/sstable.h"
#include "table.h"

static uint32_t masked_crc(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (; len; len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	crc = ~crc;
	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static uint64_t varint(struct tfs_cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t *p = tfs_cursor_bytes(c, 1);

		v |= p ? (uint64_t)(*p & 0x7f) << shift : 0;
		if (!p || !(*p & 0x80))
			return v;
	}
	return v;
}

/* Give the block whose position is at @c a checksum; its content into *@ret, if it isn't compressed. */
static void seal(uint8_t *file, size_t size, struct tfs_cursor *c, struct tfs_cursor *ret)
{
	uint64_t at = varint(c), n = varint(c);
	uint32_t crc;

	*ret = tfs_cursor(file, 0);
	if (c->bad || at > size || n > size - at || size - at - n < 5)
		return;
	crc = htole32(masked_crc(file + at, n + 1));
	memcpy(file + at + n + 1, &crc, sizeof crc);
	if (!file[at + n])
		*ret = tfs_cursor(file + at, n);
}

static void seal_all(uint8_t *file, size_t size)
{
	struct tfs_cursor footer = tfs_cursor(file + size - TFS_SSTABLE_FOOTER, TFS_SSTABLE_FOOTER), index, ignored;

	varint(&footer);
	varint(&footer);
	seal(file, size, &footer, &index);
	/* Its entries, and what follows them, for some hundred blocks. */
	for (unsigned i = 0; i < 300 && tfs_cursor_left(&index) && !index.bad; i++) {
		uint64_t key, len;
		const uint8_t *value;
		struct tfs_cursor v;

		varint(&index);
		key = varint(&index);
		len = varint(&index);
		tfs_cursor_bytes(&index, key);
		value = tfs_cursor_bytes(&index, len);
		if (!value)
			return;
		v = tfs_cursor(value, len);
		seal(file, size, &v, &ignored);
	}
}

static void check_snappy(const uint8_t *data, size_t size)
{
	uint64_t n;
	uint8_t *out;

	if (!tfs_snappy_size(data, size, &n) || n > 1 << 16)
		return;
	out = malloc(n + 1);
	CHECK(out);
	tfs_snappy(data, size, out, n);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t magic[] = { 0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb };
	uint8_t *copy = malloc(size + 1);

	CHECK(copy);
	check_snappy(data, size);
	table_fuzz(&tfs_format_tensorflow, "variables.index", data, size);
	if (size)
		memcpy(copy, data, size);
	if (size >= TFS_SSTABLE_FOOTER) {
		memcpy(copy + size - sizeof magic, magic, sizeof magic);
		seal_all(copy, size);
		table_fuzz(&tfs_format_tensorflow, "variables.index", copy, size);
	}
	free(copy);
	return 0;
}
