/* SPDX-License-Identifier: MIT */
/*
 * npz: a zip file of npy files. NumPy treats members that begin like an array as arrays, whatever their name, and returns others as
 * bytes. So do we, except for the latter: they are noted and, if their name ends in ".npy", left out alone, like any array that
 * can't be read.
 *
 * A tensor has the name that np.load() uses: its member's without ".npy", unless that is the full name of another member.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "format/format.h"
#include "format/numpy/header.h"
#include "format/zip.h"

#define EXTENSION ".npz"
#define MEMBER	  ".npy"

/* Nearly every header ends in these, so most members are read only once. */
#define FIRST_READ 256

struct npz {
	const struct tfs_input *in;
	struct tfs_zip *zip; /* NULL while it is read */
	struct tfs_catalog *catalog;
	struct tfs_error *err;
};

static bool is_array(const char *name, size_t len)
{
	return len >= strlen(MEMBER) && !memcmp(name + len - strlen(MEMBER), MEMBER, strlen(MEMBER));
}

static bool ends_with(const struct tfs_zip_member *m, const char *end)
{
	size_t len = strlen(end);

	return m->name_len >= len && !memcmp(m->name + m->name_len - len, end, len);
}

/* macOS adds files of its own, which are named like the others. */
static bool is_macos(const struct tfs_zip_member *m)
{
	static const char macos[] = "__MACOSX/";

	return m->name_len >= strlen(macos) && !memcmp(m->name, macos, strlen(macos));
}

/* Is it an array by its name? An array without a name is ".npy". */
static bool is_named(const struct tfs_zip_member *m)
{
	return is_array(m->name, m->name_len) && !is_macos(m);
}

/*
 * Where the name doesn't say so, only what has nothing but arrays, and directories of these: another zip file may have an array among
 * other things, and is an archive (format/archive). If its directory can't be read, the first member decides.
 */
static bool recognises(const struct tfs_sample *s)
{
	bool any = false;

	for (size_t i = 0; s->zip && i < s->zip->n_members; i++) {
		const struct tfs_zip_member *m = &s->zip->members[i];

		if (!is_named(m) && !is_macos(m) && !ends_with(m, "/"))
			return false;
		any = any || is_named(m);
	}
	return s->zip ? any : tfs_sample_has_member(s, is_array);
}

/* Length of the tensor's name at the beginning of the member's. */
static size_t name_length(const struct npz *z, const struct tfs_zip_member *m)
{
	size_t len = m->name_len - strlen(MEMBER);

	return is_array(m->name, m->name_len) && !(z->zip && tfs_zip_find(z->zip, m->name, len)) ? len : m->name_len;
}

/* Name the member that the header's error is about; its position in the file, if it has one. */
static int refuse(struct npz *z, const struct tfs_zip_member *m, int r)
{
	bool stored = m->method == TFS_ZIP_STORED;
	char name[TFS_QUOTE_SIZE];
	uint64_t offset = z->err->offset;

	if (r != -EINVAL)
		return r;
	return tfs_error_set(z->err, r, m->offset + (stored ? offset : 0), "member %s: %s%s",
			     tfs_quote(name, sizeof name, m->name, m->name_len), z->err->what,
			     stored ? "" : " (in the data inflated from here)");
}

static int add_array(struct npz *z, const struct tfs_zip_member *m, const uint8_t *header, size_t len)
{
	struct tfs_encoding deflated = {
		.coding = TFS_DEFLATED,
		.length = m->size,
		.skip = len,
		.unpacked = m->unpacked,
		.crc = m->crc,
	};
	bool stored = m->method == TFS_ZIP_STORED;
	struct tfs_npy_array array;
	int r = tfs_npy_header_read(header, len, z->catalog, &array, z->err);

	if (!r && array.nbytes > m->unpacked - len)
		r = tfs_error_set(z->err, -EINVAL, m->unpacked,
				  "the array requires %llu bytes, the member has %llu after its header",
				  (unsigned long long)array.nbytes, (unsigned long long)(m->unpacked - len));
	if (!r && !tfs_utf8_valid(m->name, m->name_len))
		r = tfs_error_set(z->err, -EINVAL, 0, "its name isn't UTF-8");
	if (r)
		return refuse(z, m, r);
	return tfs_npy_add(z->catalog, m->name, name_length(z, m), &array, m->offset + (stored ? len : 0),
			   stored ? NULL : &deflated);
}

/* 0, or why there is no array; -ENODATA: it isn't supposed to be one. */
static int read_member(struct npz *z, const struct tfs_zip_member *m)
{
	uint8_t first[FIRST_READ];
	size_t n = m->unpacked < sizeof first ? m->unpacked : sizeof first, len;
	cleanup_free uint8_t *header = NULL;
	int r = tfs_zip_head(z->in, m, first, n, z->err);

	if (!is_named(m) && (r == -EINVAL || (!r && !tfs_npy_claims(first, n))))
		return -ENODATA;
	if (r)
		return r;
	r = tfs_npy_header_length(first, n < TFS_NPY_START ? n : TFS_NPY_START, m->unpacked, z->catalog, &len, z->err);
	if (r)
		return refuse(z, m, r);
	if (len <= n)
		return add_array(z, m, first, len);
	header = malloc(len);
	if (!header)
		return -ENOMEM;
	r = tfs_zip_head(z->in, m, header, len, z->err);
	return r ? r : add_array(z, m, header, len);
}

/* A member that can't be read is left out without affecting the others. */
static int leave_out(void *arg, const struct tfs_zip_member *m, const struct tfs_error *err)
{
	struct npz *z = arg;
	char quoted[TFS_QUOTE_SIZE];

	/* If two members have the same name, there is a tensor of that name. */
	if (err->code == -EEXIST || !is_named(m))
		return tfs_catalog_note(z->catalog, err->offset, "left out: %s", err->what);
	if (tfs_utf8_valid(m->name, m->name_len))
		return tfs_catalog_leave_out(z->catalog, m->name, name_length(z, m), err->offset, "%s", err->what);
	tfs_quote(quoted, sizeof quoted, m->name, m->name_len);
	return tfs_catalog_leave_out(z->catalog, quoted, strlen(quoted), err->offset, "%s", err->what);
}

static int take_member(struct npz *z, const struct tfs_zip_member *m)
{
	char name[TFS_QUOTE_SIZE];
	int r = read_member(z, m);

	if (r == -ENODATA)
		return tfs_catalog_note(z->catalog, m->offset, "left out: member %s: %s",
					tfs_quote(name, sizeof name, m->name, m->name_len),
					ends_with(m, "/") ? "a directory" : "not an array");
	return r == -EINVAL ? leave_out(z, m, z->err) : r;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_error wrong = { .offset = TFS_NO_OFFSET };
	struct npz z = { .in = in, .catalog = catalog, .err = &wrong };
	int r = tfs_zip_read(in, leave_out, &z, &z.zip, &wrong);

	for (size_t i = 0; !r && i < z.zip->n_members; i++)
		r = take_member(&z, &z.zip->members[i]);
	tfs_zip_destroy(z.zip);
	/* What is in it may be about a member that was left out. */
	return r && wrong.code == r ? tfs_error_set(err, r, wrong.offset, "%s", wrong.what) : r;
}

const struct tfs_format tfs_format_npz = {
	.name = "npz",
	.what = "an npz file",
	.extensions = (const char *const[]){ EXTENSION, NULL },
	.containers = TFS_IN_ZIP,
	.recognises = recognises,
	.parse = parse,
};
