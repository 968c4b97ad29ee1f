/* SPDX-License-Identifier: MIT */
#include "format/flax/msgpack.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "storage/storage.h"

enum { NOTHING = 0xc1 }; /* is never used */

/* What a byte begins: the number of bytes after it that have a number, or a length. */
struct lead {
	enum tfs_msgpack_kind kind;
	uint8_t width;
	bool fixed; /* not a number of that many bytes, but @value */
	bool is_signed;
	uint8_t value, skip; /* bytes of a value that isn't a number to us */
};

static bool lead_of(uint8_t b, struct lead *ret)
{
	static const struct lead leads[] = {
		[0x00] = { .kind = TFS_MSGPACK_OTHER, .fixed = true }, /* nil */
		[0x02] = { .kind = TFS_MSGPACK_OTHER, .fixed = true }, /* false and true */
		[0x03] = { .kind = TFS_MSGPACK_OTHER, .fixed = true },
		[0x04] = { TFS_MSGPACK_BIN, 1 },
		[0x05] = { TFS_MSGPACK_BIN, 2 },
		[0x06] = { TFS_MSGPACK_BIN, 4 },
		[0x07] = { TFS_MSGPACK_EXT, 1 },
		[0x08] = { TFS_MSGPACK_EXT, 2 },
		[0x09] = { TFS_MSGPACK_EXT, 4 },
		[0x0a] = { .kind = TFS_MSGPACK_OTHER, .fixed = true, .skip = 4 }, /* floats */
		[0x0b] = { .kind = TFS_MSGPACK_OTHER, .fixed = true, .skip = 8 },
		[0x0c] = { TFS_MSGPACK_INT, 1 },
		[0x0d] = { TFS_MSGPACK_INT, 2 },
		[0x0e] = { TFS_MSGPACK_INT, 4 },
		[0x0f] = { TFS_MSGPACK_INT, 8 },
		[0x10] = { TFS_MSGPACK_INT, 1, .is_signed = true },
		[0x11] = { TFS_MSGPACK_INT, 2, .is_signed = true },
		[0x12] = { TFS_MSGPACK_INT, 4, .is_signed = true },
		[0x13] = { TFS_MSGPACK_INT, 8, .is_signed = true },
		[0x14] = { .kind = TFS_MSGPACK_EXT, .fixed = true, .value = 1 },
		[0x15] = { .kind = TFS_MSGPACK_EXT, .fixed = true, .value = 2 },
		[0x16] = { .kind = TFS_MSGPACK_EXT, .fixed = true, .value = 4 },
		[0x17] = { .kind = TFS_MSGPACK_EXT, .fixed = true, .value = 8 },
		[0x18] = { .kind = TFS_MSGPACK_EXT, .fixed = true, .value = 16 },
		[0x19] = { TFS_MSGPACK_STR, 1 },
		[0x1a] = { TFS_MSGPACK_STR, 2 },
		[0x1b] = { TFS_MSGPACK_STR, 4 },
		[0x1c] = { TFS_MSGPACK_ARRAY, 2 },
		[0x1d] = { TFS_MSGPACK_ARRAY, 4 },
		[0x1e] = { TFS_MSGPACK_MAP, 2 },
		[0x1f] = { TFS_MSGPACK_MAP, 4 },
	};

	if (b < 0x80)
		*ret = (struct lead){ .kind = TFS_MSGPACK_INT, .fixed = true, .value = b };
	else if (b < 0x90)
		*ret = (struct lead){ .kind = TFS_MSGPACK_MAP, .fixed = true, .value = b & 0xf };
	else if (b < 0xa0)
		*ret = (struct lead){ .kind = TFS_MSGPACK_ARRAY, .fixed = true, .value = b & 0xf };
	else if (b < 0xc0)
		*ret = (struct lead){ .kind = TFS_MSGPACK_STR, .fixed = true, .value = b & 0x1f };
	else if (b < 0xe0)
		*ret = leads[b - 0xc0];
	else
		*ret = (struct lead){ .kind = TFS_MSGPACK_INT, .fixed = true, .is_signed = true, .value = 0xff };
	return b != NOTHING;
}

/* The big-endian number of @width bytes. */
static uint64_t number_at(const uint8_t *p, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v = v << 8 | p[i];
	return v;
}

/* What is wrong with @it, whose content is to end within @left bytes? */
static int check_size(struct tfs_msgpack *m, const struct tfs_msgpack_item *it, uint64_t left)
{
	static const char *const names[] = { [TFS_MSGPACK_STR] = "a string",
					     [TFS_MSGPACK_BIN] = "bytes",
					     [TFS_MSGPACK_EXT] = "an extension",
					     [TFS_MSGPACK_ARRAY] = "an array",
					     [TFS_MSGPACK_MAP] = "a map" };
	uint64_t least = it->kind == TFS_MSGPACK_MAP ? 2 : 1; /* bytes of each */

	if (it->kind < TFS_MSGPACK_STR || it->value <= left / least)
		return 0;
	return tfs_error_set(m->err, -EINVAL, it->at, "%s of %" PRIu64 " %s, where at most %" PRIu64 " bytes follow",
			     names[it->kind], it->value,
			     it->kind == TFS_MSGPACK_MAP   ? "pairs" :
			     it->kind == TFS_MSGPACK_ARRAY ? "elements" :
							     "bytes",
			     left);
}

size_t tfs_msgpack_first(const uint8_t *p, size_t len, struct tfs_msgpack_item *ret)
{
	struct lead lead;
	size_t n;

	if (!len || !lead_of(*p, &lead))
		return 0;
	n = 1 + lead.width + lead.skip + (lead.kind == TFS_MSGPACK_EXT);
	if (len < n)
		return 0;
	*ret = (struct tfs_msgpack_item){ .kind = lead.kind };
	ret->value = lead.fixed ? lead.value : number_at(p + 1, lead.width);
	ret->negative = lead.is_signed && (lead.fixed || p[1] & 0x80);
	ret->type = lead.kind == TFS_MSGPACK_EXT ? (int8_t)p[1 + lead.width] : 0;
	return n;
}

/* More than any value's first bytes. */
enum { FIRST = 16 };

int tfs_msgpack_next(struct tfs_msgpack *m, uint64_t end, struct tfs_msgpack_item *ret)
{
	const uint8_t *p;
	size_t n;
	int r = tfs_share_scratch(m->in->share, 0); /* takes time */

	*ret = (struct tfs_msgpack_item){ .at = m->at };
	if (r)
		return r;
	if (m->at >= end)
		return tfs_error_set(m->err, -EINVAL, m->at, "MessagePack: the data ends where a value should begin");
	n = end - m->at < FIRST ? end - m->at : FIRST;
	r = tfs_window_get(&m->window, m->at, n, &p);
	if (r)
		return r;
	n = tfs_msgpack_first(p, n, ret);
	ret->at = m->at;
	if (!n)
		return tfs_error_set(m->err, -EINVAL, m->at,
				     *p == NOTHING ? "MessagePack: byte 0xc1, which nothing begins with" :
						     "MessagePack: the data ends within a value");
	m->at += n;
	return check_size(m, ret, end - m->at);
}

/* Pass over what @it contains. */
int tfs_msgpack_skip(struct tfs_msgpack *m, const struct tfs_msgpack_item *it)
{
	uint64_t n = it->kind == TFS_MSGPACK_ARRAY ? it->value : it->kind == TFS_MSGPACK_MAP ? 2 * it->value : 0;
	struct tfs_msgpack_item inner;
	int r = 0;

	if (it->kind == TFS_MSGPACK_STR || it->kind == TFS_MSGPACK_BIN || it->kind == TFS_MSGPACK_EXT)
		m->at += it->value;
	if (n && m->depth == TFS_MSGPACK_MAX_DEPTH)
		return tfs_error_set(m->err, -EINVAL, it->at, "MessagePack: nested deeper than %d values", TFS_MSGPACK_MAX_DEPTH);
	m->depth++;
	while (n-- && !r) {
		r = tfs_msgpack_next(m, m->in->size, &inner);
		if (!r)
			r = tfs_msgpack_skip(m, &inner);
	}
	m->depth--;
	return r;
}

/* Is the string @it, whose content is next, @text? Moves past it. */
int tfs_msgpack_is(struct tfs_msgpack *m, const struct tfs_msgpack_item *it, const char *text, bool *ret)
{
	size_t len = strlen(text);
	const uint8_t *p;
	int r = 0;

	*ret = false;
	if ((it->kind == TFS_MSGPACK_STR || it->kind == TFS_MSGPACK_BIN) && it->value == len) {
		r = tfs_window_get(&m->window, m->at, len, &p);
		*ret = !r && !memcmp(p, text, len);
	}
	return r ? r : tfs_msgpack_skip(m, it);
}

void tfs_msgpack_init(struct tfs_msgpack *m, const struct tfs_input *in, struct tfs_error *err)
{
	m->in = in;
	m->err = err;
	m->at = 0;
	m->depth = 0;
	tfs_window_init(&m->window, in, err);
}
