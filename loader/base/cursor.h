/* SPDX-License-Identifier: MIT */
/*
 * A bounds-checked cursor over bytes in memory, little-endian. A read past the end reads nothing: it returns zeros or NULL and
 * marks the cursor as bad, so a record can be read field by field and checked once.
 */
#ifndef TFS_BASE_CURSOR_H
#define TFS_BASE_CURSOR_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tfs_cursor {
	const uint8_t *at, *end;
	bool bad; /* something past the end was requested; sticky */
};

static inline struct tfs_cursor tfs_cursor(const void *data, size_t len)
{
	const uint8_t *p = data;

	return (struct tfs_cursor){ p, p + len, false };
}

static inline size_t tfs_cursor_left(const struct tfs_cursor *c)
{
	return c->end - c->at;
}

/* The next @len bytes, not copied; NULL if there aren't that many. */
static inline const uint8_t *tfs_cursor_bytes(struct tfs_cursor *c, size_t len)
{
	const uint8_t *p = c->at;

	if (c->bad || len > tfs_cursor_left(c)) {
		c->bad = true;
		return NULL;
	}
	c->at += len;
	return p;
}

static inline uint16_t tfs_cursor_u16(struct tfs_cursor *c)
{
	const uint8_t *p = tfs_cursor_bytes(c, 2);
	uint16_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return le16toh(v);
}

static inline uint32_t tfs_cursor_u32(struct tfs_cursor *c)
{
	const uint8_t *p = tfs_cursor_bytes(c, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static inline uint64_t tfs_cursor_u64(struct tfs_cursor *c)
{
	const uint8_t *p = tfs_cursor_bytes(c, 8);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return le64toh(v);
}

#endif
