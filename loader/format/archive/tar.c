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
	bool has_size;	   /* a pax header gave */
	uint64_t pax_size; /* this one */
	bool sparse;	   /* and said so */
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

/* 1: there is another member; 0: the end. */
static int read_header(struct tar *t)
{
	uint64_t left = t->in->size - t->at;
	int r;

	if (!left)
		return 0; /* without the blocks of zeros that should end it, as of some writers */
	if (left < TFS_TAR_BLOCK)
		return tfs_error_set(t->err, -EINVAL, t->at, "%" PRIu64 " bytes where a member's header should be: cut short",
				     left);
	r = tfs_input_read(t->in, t->header, TFS_TAR_BLOCK, t->at, t->err);
	if (r)
		return r;
	if (is_zero(t->header))
		return 0;
	if (!sum_is_right(t->header))
		return tfs_error_set(t->err, -EINVAL, t->at, "no member's header of a tar file where one should be");
	if (!read_number(t->header + SIZE, SIZE_LEN, &t->size))
		return tfs_error_set(t->err, -EINVAL, t->at + SIZE, "the size of a member isn't a number");
	t->data = t->at + TFS_TAR_BLOCK;
	return 1;
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

	if (is_key(key, equals, "path")) {
		free(t->name);
		t->name = tfs_copy_bytes(value, (size_t)(end - value));
		return t->name ? 0 : -ENOMEM;
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

static int read_long_name(struct tar *t)
{
	free(t->name);
	t->name = NULL;
	return read_extended(t, &t->name);
}

/* --- The walk -------------------------------------------------------------------------------------------------------- */

/* A member, or what extends the next one, at t->at; moves that past it. */
static int take(struct tar *t, tfs_tar_fn *fn, void *arg)
{
	char type = (char)t->header[TYPE];
	bool extends = type == 'x' || type == 'L';
	int r = 0;

	if (!extends && !(r = take_name(t)) && t->has_size)
		t->size = t->pax_size;
	if (r)
		return r;
	/* These have no data, whatever their size says: links, devices, directories, FIFOs. */
	if (type >= '1' && type <= '6')
		t->size = 0;
	r = check_size(t);
	if (r)
		return r;
	if (type == 'x')
		r = read_pax(t);
	else if (type == 'L')
		r = read_long_name(t);
	else if (type == '0' || !type || type == '7' || type == 'S') {
		const struct tfs_tar_member m = { t->name, t->data, t->size, t->sparse || type == 'S' };

		r = fn(arg, &m);
	}
	if (r)
		return r;
	if (!extends) {
		free(t->name);
		t->name = NULL;
		t->has_size = t->sparse = false;
	}
	/* To the next block, though the last one's padding may be missing. */
	t->at = t->data + t->size;
	t->at += (TFS_TAR_BLOCK - t->at % TFS_TAR_BLOCK) % TFS_TAR_BLOCK;
	if (t->at > t->in->size)
		t->at = t->in->size;
	return 0;
}

int tfs_tar_walk(const struct tfs_input *in, uint32_t most, tfs_tar_fn *fn, void *arg, struct tfs_error *err)
{
	struct tar t = { .in = in, .err = err };
	int r = 1;

	for (uint32_t i = 0; i < most && r > 0; i++) {
		r = read_header(&t);
		if (r > 0 && !(r = take(&t, fn, arg)))
			/* Each is a read of its own, so this bounds the time, too. */
			r = tfs_share_scratch(in->share, 0) ? -ENOMEM : 1;
	}
	free(t.name);
	return r < 0 ? r : 0;
}
