/* SPDX-License-Identifier: MIT */
#include "format/tensorflow/sstable.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/scan.h"
#include "storage/storage.h"

#define MAGIC UINT64_C(0xdb4775248b80fb57)

/* TensorFlow begins a new block at 256 KiB (tensorflow/core/lib/io/table_options.h); one entry may be longer: an object graph. */
#define MAX_BLOCK (256u << 20)

/* Snappy's best: 64 bytes for 3. */
enum { MAX_RATIO = 22 };

enum { PLAIN = 0, SNAPPY = 1, TRAILER = 5 };

/* Names; TensorFlow's own limit is none, but a key of a slice has its name, too. */
enum { MAX_KEY = 65535 };

struct table {
	const struct tfs_input *in;
	struct tfs_error *err;
	tfs_sstable_fn *fn;
	void *arg;
	bool has_last;
	size_t last_len;
	uint8_t last[MAX_KEY]; /* the key before */
};

/* A block's position. */
struct handle {
	uint64_t at, size;
};

struct block {
	uint8_t *bytes; /* malloc'd */
	size_t size;	/* without the positions at its end */
	uint64_t at;	/* in the file */
	size_t charged;
};

/* --- Checksums ----------------------------------------------------------------------------------------------------- */

/* CRC-32C, four bits at a time. */
static uint32_t crc32c(const uint8_t *p, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	uint32_t crc = UINT32_MAX;

	for (; len; len--) {
		crc ^= *p++;
		crc = crc >> 4 ^ table[crc & 0xf];
		crc = crc >> 4 ^ table[crc & 0xf];
	}
	return ~crc;
}

/* As it is stored, so that a checksum of data with checksums isn't weak (leveldb, util/crc32c.h). */
static uint32_t masked(uint32_t crc)
{
	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* --- Blocks -------------------------------------------------------------------------------------------------------- */

static uint64_t varint(struct tfs_cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t *p = tfs_cursor_bytes(c, 1);

		v |= p ? (uint64_t)(*p & 0x7f) << shift : 0;
		if (!p || !(*p & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

static struct handle read_handle(struct tfs_cursor *c)
{
	uint64_t at = varint(c);

	return (struct handle){ at, varint(c) };
}

static void free_block(struct table *t, struct block *b)
{
	free(b->bytes);
	tfs_share_give(t->in->share, b->charged);
	*b = (struct block){ 0 };
}

/* Memory for @n bytes, charged to the block. */
static uint8_t *alloc(struct table *t, struct block *b, size_t n)
{
	if (tfs_share_scratch(t->in->share, n))
		return NULL;
	b->charged += n;
	return malloc(n + 1); /* n may be 0 */
}

static int inflate_block(struct table *t, struct block *b, size_t stored)
{
	cleanup_free uint8_t *from = b->bytes;
	uint64_t size;

	b->bytes = NULL;
	if (!tfs_snappy_size(from, stored, &size) || size > MAX_BLOCK || size / MAX_RATIO > stored)
		return tfs_error_set(t->err, -EINVAL, b->at, "a block of %zu bytes isn't compressed by snappy", stored);
	b->bytes = alloc(t, b, size);
	if (!b->bytes)
		return -ENOMEM;
	b->size = size;
	if (!tfs_snappy(from, stored, b->bytes, size))
		return tfs_error_set(t->err, -EINVAL, b->at, "a block of %zu bytes, compressed by snappy, is damaged", stored);
	return 0;
}

/* Its entries end where the positions of some of them begin, which are counted at its end. */
static int cut_restarts(struct table *t, struct block *b)
{
	uint32_t n;

	assert(b->bytes);
	if (b->size >= sizeof n) {
		memcpy(&n, b->bytes + b->size - sizeof n, sizeof n);
		n = le32toh(n);
		if (n <= b->size / sizeof n - 1) {
			b->size -= (n + (size_t)1) * sizeof n;
			return 0;
		}
	}
	return tfs_error_set(t->err, -EINVAL, b->at, "a block of %zu bytes has no list of its entries", b->size);
}

/* Read the block at @where; free_block() in any case. */
static int read_block(struct table *t, struct handle where, struct block *ret)
{
	uint64_t limit = t->in->size - TFS_SSTABLE_FOOTER;
	uint32_t crc;
	int r;

	*ret = (struct block){ .at = where.at };
	if (where.at > limit || where.size > limit - where.at || limit - where.at - where.size < TRAILER)
		return tfs_error_set(t->err, -EINVAL, t->in->size - TFS_SSTABLE_FOOTER,
				     "a block of %" PRIu64 " bytes at %" PRIu64 " isn't within the table", where.size, where.at);
	if (where.size > MAX_BLOCK)
		return tfs_error_set(t->err, -EINVAL, where.at, "a block of %" PRIu64 " bytes; the limit is %u", where.size,
				     MAX_BLOCK);
	ret->bytes = alloc(t, ret, where.size + TRAILER);
	if (!ret->bytes)
		return -ENOMEM;
	r = tfs_input_read(t->in, ret->bytes, where.size + TRAILER, where.at, t->err);
	if (r)
		return r;
	memcpy(&crc, ret->bytes + where.size + 1, sizeof crc);
	if (le32toh(crc) != masked(crc32c(ret->bytes, where.size + 1)))
		return tfs_error_set(t->err, -EINVAL, where.at, "a block of %" PRIu64 " bytes is damaged: its checksum is wrong",
				     where.size);
	ret->size = where.size;
	switch (ret->bytes[where.size]) {
	case PLAIN:
		break;
	case SNAPPY:
		r = inflate_block(t, ret, where.size);
		break;
	default:
		return tfs_error_set(t->err, -EINVAL, where.at + where.size, "a block compressed in an unknown way, %u",
				     ret->bytes[where.size]);
	}
	return r ? r : cut_restarts(t, ret);
}

/* --- Entries ------------------------------------------------------------------------------------------------------- */

static int damaged(struct table *t, const struct block *b)
{
	return tfs_error_set(t->err, -EINVAL, b->at, "an entry of this block can't be read");
}

static int compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c ? c : (a_len > b_len) - (a_len < b_len);
}

/* The next entry's key into t->last, in which is the one before. @first: of the block. */
static int next_key(struct table *t, const struct block *b, struct tfs_cursor *c, bool first, const uint8_t **ret_value,
		    size_t *ret_len)
{
	uint64_t shared = varint(c), more = varint(c), value = varint(c);
	const uint8_t *rest = tfs_cursor_bytes(c, more);

	*ret_value = tfs_cursor_bytes(c, value);
	*ret_len = value;
	if (c->bad || shared > (first ? 0 : t->last_len))
		return damaged(t, b);
	if (shared + more > MAX_KEY)
		return tfs_error_set(t->err, -EINVAL, b->at, "a key of %" PRIu64 " bytes; the limit is %d", shared + more, MAX_KEY);
	/* In order: the first byte that differs is greater, or the key is longer. */
	if (t->has_last && (first ? compare(rest, more, t->last, t->last_len) <= 0 :
				    compare(rest, more, t->last + shared, t->last_len - shared) <= 0))
		return tfs_error_set(t->err, -EINVAL, b->at, "the keys of this block aren't in order");
	memcpy(t->last + shared, rest, more);
	t->last_len = shared + more;
	t->has_last = true;
	return tfs_share_scratch(t->in->share, 0); /* takes time */
}

static int each_pair(struct table *t, struct handle where)
{
	struct block b;
	const uint8_t *value;
	struct tfs_cursor c;
	size_t len;
	int r = read_block(t, where, &b);

	c = tfs_cursor(b.bytes, b.size);
	for (bool first = true; !r && tfs_cursor_left(&c); first = false) {
		r = next_key(t, &b, &c, first, &value, &len);
		if (!r)
			r = t->fn(t->arg, t->last, t->last_len, value, len, b.at);
	}
	free_block(t, &b);
	return r;
}

/* The index: a block whose values are the positions of the others, in order. */
static int each_block(struct table *t, const struct block *index)
{
	struct tfs_cursor c = tfs_cursor(index->bytes, index->size);
	uint64_t end = 0;
	int r = 0;

	while (!r && tfs_cursor_left(&c)) {
		struct handle where;
		struct tfs_cursor v;
		const uint8_t *value;
		uint64_t key, len;

		varint(&c);
		key = varint(&c);
		len = varint(&c);
		tfs_cursor_bytes(&c, key);
		value = tfs_cursor_bytes(&c, len);
		if (!value)
			return damaged(t, index);
		v = tfs_cursor(value, len);
		where = read_handle(&v);
		/* Overlapping ones would be the same entries again. */
		if (v.bad || where.at < end)
			return damaged(t, index);
		end = where.at + where.size; /* read_block() checks it */
		r = each_pair(t, where);
	}
	return r;
}

static int cut_short(struct table *t)
{
	return tfs_error_set(t->err, -EINVAL, t->in->size,
			     "a TensorFlow checkpoint's index of %" PRIu64 " bytes without the end of one: was it cut short?",
			     t->in->size);
}

static int read_table(struct table *t)
{
	uint8_t footer[TFS_SSTABLE_FOOTER];
	struct tfs_cursor c = tfs_cursor(footer, sizeof footer);
	struct block index;
	int r;

	if (t->in->size < TFS_SSTABLE_FOOTER)
		return cut_short(t);
	r = tfs_input_read(t->in, footer, sizeof footer, t->in->size - sizeof footer, t->err);
	if (r)
		return r;
	if (!tfs_sstable_claims(footer))
		return cut_short(t);
	read_handle(&c); /* of a block without entries */
	r = read_block(t, read_handle(&c), &index);
	if (!r)
		r = each_block(t, &index);
	free_block(t, &index);
	return r;
}

bool tfs_sstable_claims(const uint8_t footer[static TFS_SSTABLE_FOOTER])
{
	uint64_t magic;

	memcpy(&magic, footer + TFS_SSTABLE_FOOTER - sizeof magic, sizeof magic);
	return le64toh(magic) == MAGIC;
}

int tfs_sstable_read(const struct tfs_input *in, tfs_sstable_fn *fn, void *arg, struct tfs_error *err)
{
	struct table *t = malloc(sizeof *t);
	int r;

	if (!t)
		return -ENOMEM;
	t->in = in;
	t->err = err;
	t->fn = fn;
	t->arg = arg;
	t->has_last = false;
	t->last_len = 0;
	r = read_table(t);
	free(t);
	return r;
}
