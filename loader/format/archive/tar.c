/* SPDX-License-Identifier: MIT */
#include "format/archive/tar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/copy.h"
#include "storage/storage.h"

/* As many names, or records, as an extended header of one member may have in bytes; those of real files have a few hundred. */
#define MAX_EXTENDED (1u << 20)

/* A header, by offset and length of its fields. */
enum {
	NAME = 0,
	NAME_LEN = 100,
	SIZE = 124,
	SIZE_LEN = 12,
	CHECKSUM = 148,
	CHECKSUM_LEN = 8,
	TYPE = 156,
	LINK = 157,
	LINK_LEN = 100,
	MAGIC = 257,
	PREFIX = 345,
	PREFIX_LEN = 155
};

struct tar {
	const struct tfs_input *in;
	struct tfs_error *err;
	uint64_t at;   /* of the header */
	uint64_t data; /* of what follows it */
	uint64_t size; /* bytes of that */
	uint8_t header[TFS_TAR_BLOCK];
	char *name;	   /* of the member, or NULL; malloc()ed */
	char *link;	   /* the same of the one that it is a link to */
	bool has_size;	   /* a pax header gave */
	uint64_t pax_size; /* this one */
	bool sparse;	   /* and said so */
	uint32_t number;   /* of headers so far */
};

/* --- Headers ------------------------------------------------------------------------------------------------------- */

/* Octal digits, between white space and up to a NUL; or, GNU's, the bytes of a large number, big-endian after 0x80. */
static bool read_number(const uint8_t *field, size_t len, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (field[0] & 0x80) {
		if (field[0] != 0x80)
			return false; /* negative */
		for (i = 1; i < len; i++) {
			if (v >> 56)
				return false;
			v = v << 8 | field[i];
		}
		*ret = v;
		return true;
	}
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(field[i] - '0'); /* at most 12 digits */
	for (; i < len; i++)
		if (field[i] && field[i] != ' ')
			return false;
	*ret = v;
	return true;
}

/* The sum of all bytes, with the checksum's taken as spaces; some old programs took them as signed. */
static bool sum_is_right(const uint8_t *header)
{
	int64_t as_unsigned = 0, as_signed = 0;
	uint64_t said;

	if (!read_number(header + CHECKSUM, CHECKSUM_LEN, &said))
		return false;
	for (unsigned i = 0; i < TFS_TAR_BLOCK; i++) {
		uint8_t byte = i >= CHECKSUM && i < CHECKSUM + CHECKSUM_LEN ? ' ' : header[i];

		as_unsigned += byte;
		as_signed += (int8_t)byte;
	}
	return said == (uint64_t)as_unsigned || said == (uint64_t)as_signed;
}

bool tfs_tar_claims(const uint8_t *start, size_t len)
{
	return len >= TFS_TAR_BLOCK && start[0] && sum_is_right(start);
}

static bool is_zero(const uint8_t *block)
{
	for (unsigned i = 0; i < TFS_TAR_BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

/* A walk that goes on, rather than an enum tfs_tar_end. */
enum { MEMBER = TFS_TAR_MORE };

/* MEMBER: there is a header; or how the walk ends. */
static int read_header(struct tar *t)
{
	uint64_t left = t->in->size - t->at;
	int r;

	if (!left && (t->name || t->link || t->has_size || t->sparse))
		return tfs_error_set(t->err, -EINVAL, t->at,
				     "the file ends after the header of a member's name or size, before the member: cut short");
	if (!left)
		return TFS_TAR_NO_END;
	if (left < TFS_TAR_BLOCK)
		return tfs_error_set(t->err, -EINVAL, t->at, "%" PRIu64 " bytes where a member's header should be: cut short",
				     left);
	r = tfs_input_read(t->in, t->header, TFS_TAR_BLOCK, t->at, t->err);
	if (r)
		return r;
	if (is_zero(t->header))
		return TFS_TAR_END;
	if (!sum_is_right(t->header))
		return tfs_error_set(t->err, -EINVAL, t->at, "no member's header of a tar file where one should be");
	if (!read_number(t->header + SIZE, SIZE_LEN, &t->size))
		return tfs_error_set(t->err, -EINVAL, t->at + SIZE, "the size of a member isn't a number");
	t->data = t->at + TFS_TAR_BLOCK;
	return MEMBER;
}

/* Does what follows the header lie within the file? */
static int check_size(struct tar *t)
{
	char name[TFS_QUOTE_SIZE];

	if (t->size <= t->in->size - t->data)
		return 0;
	return tfs_error_set(t->err, -EINVAL, t->at, "member %s: %" PRIu64 " bytes at %" PRIu64 ", but the file ends at %" PRIu64,
			     tfs_quote(name, sizeof name, t->name ? t->name : "", t->name ? strlen(t->name) : 0), t->size, t->data,
			     t->in->size);
}

/* --- Names and other extensions -------------------------------------------------------------------------------------- */

/* The name that a hard link has in the header, unless one came before it. */
static int take_link(struct tar *t)
{
	const char *link = (const char *)t->header + LINK;

	if (!t->link)
		t->link = tfs_copy_bytes(link, strnlen(link, LINK_LEN));
	return t->link ? 0 : -ENOMEM;
}

/* The name in the header, unless one came before it. In ustar, not in GNU's, there may be a directory elsewhere. */
static int take_name(struct tar *t)
{
	size_t len = strnlen((const char *)t->header + NAME, NAME_LEN), prefix_len = 0;
	char *name;

	if (t->name)
		return 0;
	if (!memcmp(t->header + MAGIC, "ustar", 6))
		prefix_len = strnlen((const char *)t->header + PREFIX, PREFIX_LEN);
	name = malloc(prefix_len + 1 + len + 1);
	if (!name)
		return -ENOMEM;
	memcpy(name, t->header + PREFIX, prefix_len);
	if (prefix_len)
		name[prefix_len++] = '/';
	memcpy(name + prefix_len, t->header + NAME, len);
	name[prefix_len + len] = '\0';
	t->name = name;
	return 0;
}

/* What follows the header, with a NUL; malloc()ed. */
static int read_extended(struct tar *t, char **ret)
{
	int r = check_size(t);

	if (r)
		return r;
	if (t->size > MAX_EXTENDED)
		return tfs_error_set(t->err, -EINVAL, t->at, "%" PRIu64 " bytes of extended header; the limit is %u", t->size,
				     MAX_EXTENDED);
	*ret = malloc(t->size + 1);
	if (!*ret)
		return -ENOMEM;
	(*ret)[t->size] = '\0';
	return tfs_input_read(t->in, *ret, t->size, t->data, t->err);
}

static bool is_key(const char *key, const char *equals, const char *text)
{
	return (size_t)(equals - key) == strlen(text) && !memcmp(key, text, strlen(text));
}

/* One record of a pax header: a key, and its value up to @end, which is a newline. */
static int take_record(struct tar *t, const char *key, const char *equals, const char *end)
{
	const char *value = equals + 1;
	char *after;

	if (is_key(key, equals, "path") || is_key(key, equals, "linkpath")) {
		char **to = *key == 'p' ? &t->name : &t->link;

		free(*to);
		*to = tfs_copy_bytes(value, (size_t)(end - value));
		return *to ? 0 : -ENOMEM;
	}
	if (is_key(key, equals, "size")) {
		errno = 0;
		t->pax_size = strtoull(value, &after, 10);
		if (after != end || after == value || *value == '-' || errno)
			return tfs_error_set(t->err, -EINVAL, t->at, "a pax header whose size isn't a number");
		t->has_size = true;
	}
	/* GNU.sparse.major and so on */
	if (end - key > 11 && !memcmp(key, "GNU.sparse.", 11))
		t->sparse = true;
	return 0;
}

/* "LENGTH KEY=VALUE\n" for each; LENGTH is that of all of it. */
static int read_pax(struct tar *t)
{
	cleanup_free char *text = NULL;
	int r = read_extended(t, &text);
	char *p = text, *limit = text ? text + t->size : NULL;

	while (!r && p < limit && *p) {
		char *key, *equals, *end;
		unsigned long len = strtoul(p, &key, 10);

		if (key == p || *key != ' ' || len > (size_t)(limit - p) || p + len <= key || p[len - 1] != '\n')
			return tfs_error_set(t->err, -EINVAL, t->data + (uint64_t)(p - text),
					     "a record of a pax header of invalid length");
		key++;
		end = p + len - 1;
		equals = memchr(key, '=', (size_t)(end - key));
		if (!equals)
			return tfs_error_set(t->err, -EINVAL, t->data + (uint64_t)(p - text),
					     "a record of a pax header without a value");
		r = take_record(t, key, equals, end);
		p += len;
	}
	return r;
}

static int read_long_name(struct tar *t, char **name)
{
	free(*name);
	*name = NULL;
	return read_extended(t, name);
}

/* --- The walk -------------------------------------------------------------------------------------------------------- */

static bool is_file(char type)
{
	return type == '0' || !type || type == '7' || type == 'S';
}

/* Tell of the member, which is a file, or a hard link to one. */
static int tell(struct tar *t, char type, bool cut, tfs_tar_fn *fn, void *arg)
{
	const struct tfs_tar_member m = {
		.name = t->name,
		.link = type == '1' ? t->link : NULL,
		.offset = t->data,
		.size = t->size,
		.sparse = t->sparse || type == 'S',
		.cut = cut,
		.number = t->number,
	};

	return fn(arg, &m);
}

static int take_member(struct tar *t, char type, tfs_tar_fn *fn, void *arg)
{
	int r = take_name(t);

	if (!r && type == '1')
		r = take_link(t);
	if (r)
		return r;
	if (t->has_size)
		t->size = t->pax_size;
	/* These have no data, whatever their size says: links, devices, directories, FIFOs. */
	if (type >= '1' && type <= '6')
		t->size = 0;
	r = check_size(t);
	if (is_file(type) || type == '1') {
		int told = tell(t, type, r, fn, arg);

		r = told ? told : r;
	}
	free(t->name);
	free(t->link);
	t->name = t->link = NULL;
	t->has_size = t->sparse = false;
	return r;
}

/* A member, or what extends the next one, at t->at; moves that past it. */
static int take(struct tar *t, tfs_tar_fn *fn, void *arg)
{
	char type = (char)t->header[TYPE];
	int r = type == 'x' ? read_pax(t) :
		type == 'L' ? read_long_name(t, &t->name) :
		type == 'K' ? read_long_name(t, &t->link) :
			      take_member(t, type, fn, arg);

	if (r)
		return r;
	t->number++;
	/* To the next block, though the last one's padding may be missing. */
	t->at = t->data + t->size;
	t->at += (TFS_TAR_BLOCK - t->at % TFS_TAR_BLOCK) % TFS_TAR_BLOCK;
	if (t->at > t->in->size)
		t->at = t->in->size;
	/* Each is a read of its own, so this bounds the time, too. */
	return tfs_share_scratch(t->in->share, 0);
}

int tfs_tar_walk(const struct tfs_input *in, uint32_t most, tfs_tar_fn *fn, void *arg, struct tfs_error *err)
{
	struct tar t = { .in = in, .err = err };
	int r = MEMBER;

	while (r == MEMBER && t.number < most) {
		int taken;

		r = read_header(&t);
		taken = r == MEMBER ? take(&t, fn, arg) : 0;
		r = taken ? taken : r;
	}
	free(t.name);
	free(t.link);
	return r;
}
