/* SPDX-License-Identifier: MIT */
/*
 * Zip files are read from their end: the end of central directory (APPNOTE.TXT 4.3.16, zip64's 4.3.14 and 4.3.15) says where the
 * central directory is, its headers (4.3.12) where each member is, and the local header before a member (4.3.7) how far after it
 * the bytes begin. Sizes and checksums are taken from the central directory: if a writer couldn't seek, they are only there, or
 * after the bytes, in a data descriptor that we don't need.
 *
 * Readers disagree about files that contradict themselves, so such files are refused: a zip64 record that contradicts the ordinary
 * one. So are such members, but alone if the caller wants the others: overlapping members (David Fifield's zip bombs), duplicate
 * names, a local header with another name or method.
 */
#include "format/zip.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/search.h"
#include "base/sort.h"
#include "storage/storage.h"

#define LOCAL_MAGIC   0x04034b50u
#define CENTRAL_MAGIC 0x02014b50u
#define END_MAGIC     0x06054b50u
#define END64_MAGIC   0x06064b50u
#define LOCATOR_MAGIC 0x07064b50u

enum { LOCAL_SIZE = 30, CENTRAL_SIZE = 46, END_SIZE = 22, END64_SIZE = 56, LOCATOR_SIZE = 20, COMMENT_MAX = 65535 };

enum { FLAG_ENCRYPTED = 1 << 0, EXTRA_ZIP64 = 1 };

/*
 * As many as a directory may have files (TFS_MAX_NODES): a checkpoint has one for each tensor. And their size with names of 200
 * bytes: the central directory is read as a whole.
 */
#define MAX_MEMBERS (4u << 20)
#define MAX_CENTRAL (1u << 30)

/* A deflate stream produces at most 258 bytes from 2 bits. */
#define MAX_RATIO 1032

struct zip {
	struct tfs_zip pub; /* first, so a struct tfs_zip * points to this, too */
	uint8_t *central;   /* the central directory; names stay in it */
	struct tfs_zip_member *members;
	const struct tfs_zip_member **by_name;
	tfs_zip_unsound_fn *unsound;
	void *arg; /* of unsound */
};

/* What the end records say. */
struct ending {
	uint64_t at;	/* where it begins; the central directory ends there or before */
	uint64_t count; /* members */
	uint64_t central_at, central_size;
};

bool tfs_zip_claims(const uint8_t start[4])
{
	return !memcmp(start, "PK\3\4", 4) || !memcmp(start, "PK\5\6", 4);
}

/* --- The end ------------------------------------------------------------------------------------------------------- */

/*
 * Position of the end record in the @len bytes at @tail, the end of the file: the last one whose comment ends with the file; or, if
 * something was appended to the file, the last one whose comment ends within it, as in Python.
 */
static const uint8_t *find_end(const uint8_t *tail, size_t len)
{
	const uint8_t *last = NULL;

	for (size_t i = len - END_SIZE + 1; i--;) {
		struct tfs_cursor c = tfs_cursor(tail + i, len - i);
		size_t comment, left;

		if (tfs_cursor_u32(&c) != END_MAGIC)
			continue;
		tfs_cursor_bytes(&c, END_SIZE - 6);
		comment = tfs_cursor_u16(&c);
		left = tfs_cursor_left(&c);
		if (comment == left)
			return tail + i;
		if (comment < left && !last)
			last = tail + i;
	}
	return last;
}

/*
 * Apply the zip64 record, if there is one: its locator is right before the end record at @e->at. A field of the end record that
 * isn't all ones is valid itself, so both must agree.
 */
static int read_end64(const struct tfs_input *in, struct ending *e, struct tfs_error *err)
{
	uint8_t locator[LOCATOR_SIZE], record[END64_SIZE];
	struct tfs_cursor c = tfs_cursor(locator, sizeof locator);
	struct ending e64 = { 0 };
	uint32_t disk, start;
	uint64_t here;
	int r;

	if (e->at < LOCATOR_SIZE)
		return 0;
	r = tfs_input_read(in, locator, sizeof locator, e->at - LOCATOR_SIZE, err);
	if (r)
		return r;
	if (tfs_cursor_u32(&c) != LOCATOR_MAGIC)
		return 0;
	tfs_cursor_u32(&c);
	e64.at = tfs_cursor_u64(&c);
	if (e->at - LOCATOR_SIZE < END64_SIZE || e64.at > e->at - LOCATOR_SIZE - END64_SIZE)
		return tfs_error_set(err, -EINVAL, e->at - LOCATOR_SIZE,
				     "the zip64 locator says that its end record begins at %" PRIu64 ", which isn't before "
				     "the locator",
				     e64.at);
	r = tfs_input_read(in, record, sizeof record, e64.at, err);
	if (r)
		return r;
	c = tfs_cursor(record, sizeof record);
	if (tfs_cursor_u32(&c) != END64_MAGIC)
		return tfs_error_set(err, -EINVAL, e64.at, "no zip64 end record where its locator points");
	tfs_cursor_bytes(&c, 12); /* its own size, versions */
	disk = tfs_cursor_u32(&c);
	start = tfs_cursor_u32(&c);
	here = tfs_cursor_u64(&c);
	e64.count = tfs_cursor_u64(&c);
	e64.central_size = tfs_cursor_u64(&c);
	e64.central_at = tfs_cursor_u64(&c);
	if (here != e64.count || disk || start)
		return tfs_error_set(err, -EINVAL, e64.at, "one part of a multi-part zip file");
	if ((e->count != UINT16_MAX && e->count != e64.count) ||
	    (e->central_size != UINT32_MAX && e->central_size != e64.central_size) ||
	    (e->central_at != UINT32_MAX && e->central_at != e64.central_at))
		return tfs_error_set(err, -EINVAL, e64.at, "the zip64 end record contradicts the end record");
	*e = e64;
	return 0;
}

static int read_ending(const struct tfs_input *in, struct ending *e, struct tfs_error *err)
{
	size_t len = in->size < END_SIZE + COMMENT_MAX ? in->size : END_SIZE + COMMENT_MAX;
	cleanup_free uint8_t *tail = malloc(len + 1);
	uint16_t disk, start, here;
	struct tfs_cursor c;
	const uint8_t *end;
	uint64_t central_end;
	int r;

	if (!tail)
		return -ENOMEM;
	r = tfs_input_read(in, tail, len, in->size - len, err);
	if (r)
		return r;
	end = len < END_SIZE ? NULL : find_end(tail, len);
	if (!end)
		return tfs_error_set(err, -EINVAL, in->size, "no zip end record: the file is cut short");
	c = tfs_cursor(end + 4, END_SIZE - 4);
	disk = tfs_cursor_u16(&c);
	start = tfs_cursor_u16(&c);
	here = tfs_cursor_u16(&c);
	e->count = tfs_cursor_u16(&c);
	e->central_size = tfs_cursor_u32(&c);
	e->central_at = tfs_cursor_u32(&c);
	e->at = in->size - len + (end - tail);
	if (here != e->count || (disk && disk != UINT16_MAX) || (start && start != UINT16_MAX))
		return tfs_error_set(err, -EINVAL, e->at, "one part of a multi-part zip file");
	r = read_end64(in, e, err);
	if (r)
		return r;

	if (ckd_add(&central_end, e->central_at, e->central_size) || central_end > e->at)
		return tfs_error_set(err, -EINVAL, e->at,
				     "%" PRIu64 " bytes of central directory at %" PRIu64 " do not end before %" PRIu64
				     ", where its end record begins",
				     e->central_size, e->central_at, e->at);
	if (e->central_size > MAX_CENTRAL)
		return tfs_error_set(err, -EINVAL, e->at, "%" PRIu64 " bytes of central directory, the limit is %u",
				     e->central_size, MAX_CENTRAL);
	if (e->count > MAX_MEMBERS)
		return tfs_error_set(err, -EINVAL, e->at, "%" PRIu64 " members, the limit is %u", e->count, MAX_MEMBERS);
	if (e->count > e->central_size / CENTRAL_SIZE)
		return tfs_error_set(err, -EINVAL, e->at, "%" PRIu64 " members in %" PRIu64 " bytes of central directory", e->count,
				     e->central_size);
	return 0;
}

/* --- The central directory ----------------------------------------------------------------------------------------- */

/* "member NAME: " and the text */
static __attribute__((cold, format(printf, 4, 5))) int refuse(struct tfs_error *err, uint64_t offset,
							      const struct tfs_zip_member *m, const char *fmt, ...)
{
	char name[TFS_QUOTE_SIZE], what[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return tfs_error_set(err, -EINVAL, offset, "member %s: %s", tfs_quote(name, sizeof name, m->name, m->name_len), what);
}

/* The zip64 extra field (4.5.3): those of the four values that were all ones, in this order. False: it is truncated. */
static bool read_zip64(struct tfs_cursor extra, struct tfs_zip_member *m, uint32_t *disk)
{
	while (tfs_cursor_left(&extra) >= 4) {
		uint16_t id = tfs_cursor_u16(&extra), len = tfs_cursor_u16(&extra);
		const uint8_t *data = tfs_cursor_bytes(&extra, len);
		struct tfs_cursor c;

		if (!data)
			return false;
		if (id != EXTRA_ZIP64)
			continue;
		c = tfs_cursor(data, len);
		if (m->unpacked == UINT32_MAX)
			m->unpacked = tfs_cursor_u64(&c);
		if (m->size == UINT32_MAX)
			m->size = tfs_cursor_u64(&c);
		if (m->offset == UINT32_MAX)
			m->offset = tfs_cursor_u64(&c);
		if (*disk == UINT16_MAX)
			*disk = tfs_cursor_u32(&c);
		return !c.bad;
	}
	return true; /* then all ones may be the actual value */
}

/* One header; m->offset becomes that of the local header. Errors in just this one are kept for later, in m->unsound. */
static int read_central(struct tfs_cursor *c, uint64_t at, struct tfs_zip_member *m, struct tfs_error *err)
{
	uint16_t flags, name_len, extra_len, comment_len;
	const uint8_t *extra;
	uint32_t disk;

	if (tfs_cursor_u32(c) != CENTRAL_MAGIC)
		return tfs_error_set(err, -EINVAL, at, "no central directory header where one should be");
	tfs_cursor_u32(c); /* versions */
	flags = tfs_cursor_u16(c);
	m->encrypted = flags & FLAG_ENCRYPTED;
	m->method = tfs_cursor_u16(c);
	tfs_cursor_u32(c); /* time and date */
	m->crc = tfs_cursor_u32(c);
	m->size = tfs_cursor_u32(c);
	m->unpacked = tfs_cursor_u32(c);
	name_len = tfs_cursor_u16(c);
	extra_len = tfs_cursor_u16(c);
	comment_len = tfs_cursor_u16(c);
	disk = tfs_cursor_u16(c);
	tfs_cursor_bytes(c, 6); /* attributes */
	m->offset = tfs_cursor_u32(c);
	m->name = (const char *)tfs_cursor_bytes(c, name_len);
	m->name_len = name_len;
	extra = tfs_cursor_bytes(c, extra_len);
	tfs_cursor_bytes(c, comment_len);
	if (c->bad)
		return tfs_error_set(err, -EINVAL, at,
				     "a central directory header that goes on past the end of the "
				     "central directory");
	if (!read_zip64(tfs_cursor(extra, extra_len), m, &disk))
		m->unsound = "its extra fields are cut short";
	else if (disk)
		m->unsound = "is in another part of a multi-part zip file";
	else if (memchr(m->name, 0, m->name_len))
		m->unsound = "a NUL in its name";
	return 0;
}

static int read_members(const struct tfs_input *in, const struct ending *e, struct zip *z, struct tfs_error *err)
{
	struct tfs_cursor c;
	int r;

	/* With the sorted lists that are made of them. */
	if (tfs_share_scratch(in->share, e->central_size + e->count * (sizeof *z->members + 3 * sizeof(void *))))
		return -ENOMEM;
	z->central = malloc(e->central_size + 1); /* room for a NUL after the last name */
	z->members = reallocarray(NULL, e->count + 1, sizeof *z->members);
	if (!z->central || !z->members)
		return -ENOMEM;
	r = tfs_input_read(in, z->central, e->central_size, e->central_at, err);
	if (r)
		return r;
	c = tfs_cursor(z->central, e->central_size);
	for (size_t i = 0; i < e->count; i++) {
		struct tfs_zip_member m = { 0 };

		r = read_central(&c, e->central_at + (c.at - z->central), &m, err);
		if (r)
			return r;
		z->members[i] = m;
	}
	if (tfs_cursor_left(&c))
		return tfs_error_set(err, -EINVAL, e->central_at + (c.at - z->central),
				     "the central directory goes on after its %" PRIu64 " headers", e->count);
	for (size_t i = 0; i < e->count; i++)
		z->central[(const uint8_t *)z->members[i].name - z->central + z->members[i].name_len] = 0;
	z->pub.members = z->members;
	z->pub.n_members = e->count;
	return 0;
}

/* --- Members ------------------------------------------------------------------------------------------------------- */

/* Is what the central header at @at says about a member valid? */
static int check_central(const struct tfs_zip_member *m, uint64_t at, struct tfs_error *err)
{
	if (m->unsound)
		return refuse(err, at, m, "%s", m->unsound);
	if (m->method == TFS_ZIP_STORED && !m->encrypted && m->size != m->unpacked)
		return refuse(err, at, m, "stored, but %" PRIu64 " bytes are supposed to make %" PRIu64, m->size, m->unpacked);
	if (m->method == TFS_ZIP_DEFLATED && m->unpacked / MAX_RATIO > m->size)
		return refuse(err, at, m, "deflated, but %" PRIu64 " bytes can't make %" PRIu64, m->size, m->unpacked);
	return 0;
}

/*
 * From the local header's offset to the offset of the bytes after it; @end is where the next member, or whatever follows, begins,
 * @central_at the position of its central header.
 */
static int read_local(const struct tfs_input *in, struct tfs_zip_member *m, uint64_t central_at, uint64_t end,
		      struct tfs_error *err)
{
	uint8_t header[LOCAL_SIZE + UINT16_MAX];
	struct tfs_cursor c = tfs_cursor(header, sizeof header);
	uint16_t flags, method, name_len, extra_len;
	uint64_t at = m->offset, left;
	size_t len = LOCAL_SIZE + m->name_len;
	int r;

	if (at > end || end - at < len)
		return refuse(err, central_at, m, "its local header at %" PRIu64 " overlaps what follows it, at %" PRIu64, at, end);
	r = tfs_input_read(in, header, len, at, err);
	if (r)
		return r;
	if (tfs_cursor_u32(&c) != LOCAL_MAGIC)
		return refuse(err, at, m, "no local header where the central directory puts it");
	tfs_cursor_u16(&c); /* version */
	flags = tfs_cursor_u16(&c);
	method = tfs_cursor_u16(&c);
	tfs_cursor_bytes(&c, 16); /* time and date, checksum, sizes */
	name_len = tfs_cursor_u16(&c);
	extra_len = tfs_cursor_u16(&c);
	if (name_len != m->name_len || memcmp(header + LOCAL_SIZE, m->name, name_len))
		return refuse(err, at, m, "has another name in its local header");
	if (!!(flags & FLAG_ENCRYPTED) != m->encrypted)
		return refuse(err, at, m, "encrypted according to %s, but not to %s",
			      m->encrypted ? "the central directory" : "its local header",
			      m->encrypted ? "its local header" : "the central directory");
	if (method != m->method)
		return refuse(err, at, m, "method %u in its local header, %u in the central directory", method, m->method);
	left = end - at - len;
	if (extra_len > left || m->size > left - extra_len)
		return refuse(err, at, m, "%" PRIu64 " bytes overlap what follows it, at %" PRIu64, m->size, end);
	m->offset = at + len + extra_len;
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct tfs_zip_member *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int by_name(const void *a, const void *b)
{
	const struct tfs_zip_member *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

/* The pointers of @z->by_name in the order of @cmp; @tmp has room for as many. */
static void sort_members(struct zip *z, const void **tmp, tfs_compare_fn *cmp)
{
	const void **order = (const void **)z->by_name;

	for (size_t i = 0; i < z->pub.n_members; i++)
		order[i] = &z->members[i];
	tfs_sort(order, z->pub.n_members, tmp, cmp);
}

/* Continue without a member, if the caller wants that. It stays in the table, without a name, until drop_nameless(). */
static int leave_out(struct zip *z, struct tfs_zip_member *m, const struct tfs_error *err)
{
	int r = z->unsound ? z->unsound(z->arg, m, err) : err->code;

	m->name = NULL;
	return r;
}

static void drop_nameless(struct zip *z)
{
	size_t kept = 0;

	for (size_t i = 0; i < z->pub.n_members; i++)
		if (z->members[i].name)
			z->members[kept++] = z->members[i];
	z->pub.n_members = kept;
}

/* Position of its central header in the file. */
static uint64_t place_of(const struct zip *z, const struct ending *e, const struct tfs_zip_member *m)
{
	return e->central_at + ((const uint8_t *)m->name - z->central) - CENTRAL_SIZE;
}

/* Of several members with the same name the last one is used: it was appended, and Python reads that one. */
static int check_names(const struct ending *e, struct zip *z, const void **tmp, struct tfs_error *err)
{
	char name[TFS_QUOTE_SIZE];
	int r = 0;

	sort_members(z, tmp, by_name);
	for (size_t i = 1; i < z->pub.n_members && !r; i++) {
		struct tfs_zip_member *earlier = (struct tfs_zip_member *)z->by_name[i - 1];

		if (by_name(earlier, z->by_name[i]))
			continue;
		tfs_error_set(err, z->unsound ? -EEXIST : -EINVAL, place_of(z, e, earlier), "member %s: duplicate name%s",
			      tfs_quote(name, sizeof name, earlier->name, earlier->name_len),
			      z->unsound ? ", of which the last one is used" : "");
		r = leave_out(z, earlier, err);
	}
	drop_nameless(z);
	return r;
}

/* All local headers are read one by one, though where each is is known by now. */
static void want_locals(const struct tfs_input *in, const struct zip *z)
{
	cleanup_free struct tfs_input_range *all = in->ops->want ? calloc(z->pub.n_members + 1, sizeof *all) : NULL;

	for (size_t i = 0; i < z->pub.n_members && all; i++)
		all[i] = (struct tfs_input_range){ z->by_name[i]->offset, LOCAL_SIZE + z->by_name[i]->name_len };
	if (all)
		tfs_input_want(in, all, z->pub.n_members);
}

/* From last to first, as each must end before the next one begins. */
static int check_members(const struct tfs_input *in, const struct ending *e, struct zip *z, const void **tmp, struct tfs_error *err)
{
	uint64_t end = e->central_at;
	int r = 0;

	sort_members(z, tmp, by_offset);
	want_locals(in, z);
	for (size_t i = z->pub.n_members; i-- && !r;) {
		struct tfs_zip_member *m = (struct tfs_zip_member *)z->by_name[i];
		uint64_t begin = m->offset, central_at = place_of(z, e, m);

		r = check_central(m, central_at, err);
		if (!r)
			r = read_local(in, m, central_at, end, err);
		if (!r)
			end = begin;
		else if (r == -EINVAL)
			r = leave_out(z, m, err);
	}
	drop_nameless(z);
	return r;
}

static int read_all(const struct tfs_input *in, struct zip *z, struct tfs_error *err)
{
	cleanup_free const void **tmp = NULL;
	struct ending e = { 0 };
	int r = read_ending(in, &e, err);

	if (!r)
		r = read_members(in, &e, z, err);
	if (r)
		return r;
	tmp = reallocarray(NULL, e.count + 1, sizeof *tmp);
	z->by_name = reallocarray(NULL, e.count + 1, sizeof *z->by_name);
	if (!tmp || !z->by_name)
		return -ENOMEM;
	r = check_names(&e, z, tmp, err);
	if (!r)
		r = check_members(in, &e, z, tmp, err);
	if (!r)
		sort_members(z, tmp, by_name);
	return r;
}

int tfs_zip_read(const struct tfs_input *in, tfs_zip_unsound_fn *unsound, void *arg, struct tfs_zip **ret_zip,
		 struct tfs_error *err)
{
	struct zip *z = calloc(1, sizeof *z);
	int r = -ENOMEM;

	if (z) {
		z->unsound = unsound;
		z->arg = arg;
		r = read_all(in, z, err);
	}
	if (r == -ENOMEM)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for the zip file's central directory");
	if (r) {
		tfs_zip_destroy(z ? &z->pub : NULL);
		return r;
	}
	*ret_zip = &z->pub;
	return 0;
}

void tfs_zip_destroy(struct tfs_zip *zip)
{
	struct zip *z = (struct zip *)zip;

	if (!z)
		return;
	free(z->central);
	free(z->members);
	free(z->by_name);
	free(z);
}

const struct tfs_zip_member *tfs_zip_find_parts(const struct tfs_zip *zip, const struct tfs_name_part *parts, size_t n)
{
	const struct zip *z = (const struct zip *)zip;
	const struct tfs_zip_member *const *m = z->by_name;
	size_t at = tfs_search(i, 0, zip->n_members, tfs_name_cmp_parts(m[i]->name, m[i]->name_len, parts, n) < 0);

	return at < zip->n_members && !tfs_name_cmp_parts(m[at]->name, m[at]->name_len, parts, n) ? m[at] : NULL;
}

const struct tfs_zip_member *tfs_zip_find(const struct tfs_zip *zip, const char *name, size_t len)
{
	return tfs_zip_find_parts(zip, &(struct tfs_name_part){ name, len }, 1);
}

/* --- Their bytes --------------------------------------------------------------------------------------------------- */

enum { PIECE = 16384 }; /* compressed bytes read at a time: most members that are read here are short */

/* Fill @out from the stream; if that is all of the member, the stream must end there, too. */
static int inflate_into(const struct tfs_input *in, const struct tfs_zip_member *m, z_stream *s, uint8_t *out, size_t len,
			struct tfs_error *err)
{
	uint8_t piece[PIECE], beyond;
	uint64_t at = 0;
	size_t done = 0;
	int status = Z_OK;

	while (status == Z_OK && (done < len || len == m->unpacked)) {
		size_t room = done < len ? len - done : 1; /* the stream's end may need a call, which must write nothing */

		if (!s->avail_in && at < m->size) {
			size_t n = m->size - at < PIECE ? m->size - at : PIECE;
			int r = tfs_input_read(in, piece, n, m->offset + at, err);

			if (r)
				return r;
			s->next_in = piece;
			s->avail_in = n;
			at += n;
		}
		s->next_out = done < len ? out + done : &beyond;
		s->avail_out = room < UINT32_MAX ? room : UINT32_MAX;
		room = s->avail_out;
		status = inflate(s, Z_NO_FLUSH);
		if (done == len && s->avail_out != room)
			return refuse(err, m->offset, m, "inflates to more than %" PRIu64 " bytes", m->unpacked);
		done += room - s->avail_out;
	}
	if (status == Z_MEM_ERROR)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory to inflate");
	if (status != Z_OK && status != Z_STREAM_END) /* Z_BUF_ERROR: it continues past the member's last byte */
		return refuse(err, m->offset + at - s->avail_in, m, "corrupt deflate stream: %s", s->msg ? s->msg : "cut short");
	if (done < len)
		return refuse(err, m->offset, m, "inflates to %zu bytes, not to %" PRIu64, done, m->unpacked);
	return 0;
}

static int inflate_head(const struct tfs_input *in, const struct tfs_zip_member *m, uint8_t *out, size_t len, struct tfs_error *err)
{
	z_stream s = { 0 };
	int r;

	if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory to inflate");
	r = inflate_into(in, m, &s, out, len, err);
	inflateEnd(&s);
	return r;
}

/* Methods that are common in practice (4.4.5), for a message. */
static const char *method_name(uint16_t method)
{
	switch (method) {
	case 9:
		return "deflate64, ";
	case 12:
		return "bzip2, ";
	case 14:
		return "lzma, ";
	case 93:
		return "zstd, ";
	case 95:
		return "xz, ";
	default:
		return "";
	}
}

int tfs_zip_head(const struct tfs_input *in, const struct tfs_zip_member *m, void *buf, size_t len, struct tfs_error *err)
{
	uint32_t crc;
	int r;

	if (m->encrypted)
		return refuse(err, m->offset, m, "is encrypted");
	if (m->method == TFS_ZIP_STORED)
		r = tfs_input_read(in, buf, len, m->offset, err);
	else if (m->method == TFS_ZIP_DEFLATED)
		r = inflate_head(in, m, buf, len, err);
	else
		return refuse(err, m->offset, m, "compressed with %smethod %u; only stored and deflated can be read",
			      method_name(m->method), m->method);
	if (r || len < m->unpacked)
		return r;
	crc = crc32_z(0, buf, len);
	if (crc != m->crc)
		return refuse(err, m->offset, m, "checksum %08x, should be %08x", crc, m->crc);
	return 0;
}
