/* SPDX-License-Identifier: MIT */
/*
 * npz: a zip file of npy files. A tensor's name is that of its member less ".npy". NumPy takes for an array what begins as one,
 * whatever its name, and hands out other members as bytes; those are left out here, with a note, unless their name says ".npy". Arrays
 * of Python objects are left out like that, too, where there are others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "format/format.h"
#include "format/npy-header.h"
#include "format/zip.h"

#define EXTENSION ".npz"
#define MEMBER	  ".npy"

/* Nearly every header ends in these, so that most members are looked into once. */
#define FIRST_READ 256

struct npz {
	int fd;
	struct tfs_zip *zip;
	struct tfs_catalog *catalog;
	size_t n_others;		    /* members that are no arrays */
	const struct tfs_zip_member *other; /* the first of them */
	size_t n_objects;		    /* members that are arrays of Python objects */
	struct tfs_error objects;	    /* what is wrong with the first of them */
	struct tfs_error *err;
};

static bool is_array(const char *name, size_t len)
{
	return len >= strlen(MEMBER) && !memcmp(name + len - strlen(MEMBER), MEMBER, strlen(MEMBER));
}

static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has_member(s, is_array);
}

/* Is it an array by its name? An array without a name is ".npy". */
static bool is_named(const struct tfs_zip_member *m)
{
	return is_array(m->name, m->name_len);
}

/* Name the member that the header's error is about; its place in the file, where it has one. */
static int refuse(struct npz *z, const struct tfs_zip_member *m, int rc)
{
	bool stored = m->method == TFS_ZIP_STORED;
	char name[TFS_QUOTE_SIZE];
	uint64_t offset = z->err->offset;

	if (rc != -EINVAL)
		return rc;
	return tfs_error_set(z->err, rc, m->offset + (stored ? offset : 0), "member %s: %s%s",
			     tfs_quote(name, sizeof name, m->name, m->name_len), z->err->what,
			     stored ? "" : " (in what inflates from here)");
}

static int add_array(struct npz *z, const struct tfs_zip_member *m, const uint8_t *header, size_t len)
{
	size_t name_len = m->name_len - (is_named(m) ? strlen(MEMBER) : 0);
	struct tfs_packing deflated = {
		.coding = TFS_DEFLATED,
		.length = m->size,
		.skip = len,
		.unpacked = m->unpacked,
		.crc = m->crc,
	};
	bool stored = m->method == TFS_ZIP_STORED;
	struct tfs_npy_array array;
	int rc = tfs_npy_header_read(header, len, z->catalog, &array, z->err);

	/* The others are none the worse for it. */
	if (rc == -EINVAL && array.objects) {
		rc = refuse(z, m, rc);
		if (!z->n_objects++)
			z->objects = *z->err;
		return 0;
	}
	if (rc)
		return refuse(z, m, rc);
	if (array.nbytes > m->unpacked - len) {
		rc = tfs_error_set(z->err, -EINVAL, m->unpacked,
				   "the array takes %llu bytes, the member has %llu behind its header",
				   (unsigned long long)array.nbytes, (unsigned long long)(m->unpacked - len));
		return refuse(z, m, rc);
	}
	if (!tfs_utf8_valid(m->name, m->name_len)) {
		rc = tfs_error_set(z->err, -EINVAL, 0, "its name is not UTF-8");
		return refuse(z, m, rc);
	}
	/* "a" beside "a.npy": the other one is the shorter or the longer name. */
	if (name_len == m->name_len) {
		cleanup_free char *other = malloc(name_len + sizeof MEMBER);

		if (!other)
			return -ENOMEM;
		memcpy(other, m->name, name_len);
		memcpy(other + name_len, MEMBER, sizeof MEMBER);
		if (tfs_zip_find(z->zip, other, name_len + strlen(MEMBER))) {
			rc = tfs_error_set(z->err, -EINVAL, 0, "there is a member of this name with " MEMBER ", too");
			return refuse(z, m, rc);
		}
	}
	return tfs_npy_add(z->catalog, m->name, name_len, &array, m->offset + (stored ? len : 0),
			   stored ? NULL : &deflated);
}

static int read_member(struct npz *z, const struct tfs_zip_member *m)
{
	uint8_t first[FIRST_READ];
	size_t n = m->unpacked < sizeof first ? m->unpacked : sizeof first, len;
	bool named = is_named(m);
	bool readable = !m->encrypted && (m->method == TFS_ZIP_STORED || m->method == TFS_ZIP_DEFLATED);
	cleanup_free uint8_t *header = NULL;
	int rc = 0;

	if (named || (readable && n))
		rc = tfs_zip_head(z->fd, m, first, n, z->err);
	if (rc)
		return rc;
	if (!named && (!readable || !tfs_npy_claims(first, n))) {
		if (!z->n_others++)
			z->other = m;
		return 0;
	}
	rc = tfs_npy_header_length(first, n < TFS_NPY_START ? n : TFS_NPY_START, m->unpacked, &len, z->err);
	if (rc)
		return refuse(z, m, rc);
	if (len <= n)
		return add_array(z, m, first, len);
	header = malloc(len);
	if (!header)
		return -ENOMEM;
	rc = tfs_zip_head(z->fd, m, header, len, z->err);
	return rc ? rc : add_array(z, m, header, len);
}

static int parse(int fd, uint64_t size, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_error wrong = { .offset = TFS_NO_OFFSET };
	struct npz z = { .fd = fd, .catalog = catalog, .err = &wrong };
	char name[TFS_QUOTE_SIZE];
	size_t n;

	int rc = tfs_zip_read(fd, size, &z.zip, z.err);

	for (size_t i = 0; !rc && i < z.zip->n_members; i++)
		rc = read_member(&z, &z.zip->members[i]);
	if (!rc)
		tfs_catalog_tensors(catalog, &n);
	if (!rc && z.n_objects && !n) {
		wrong = z.objects;
		rc = -EINVAL;
	}
	if (!rc && z.n_objects)
		rc = tfs_catalog_note(catalog, z.objects.offset, "%zu of its %zu members are arrays of Python objects and left out, the first: %s",
				      z.n_objects, z.zip->n_members, z.objects.what);
	else if (!rc && z.n_others)
		rc = tfs_catalog_note(catalog, TFS_NO_OFFSET, "%zu of its %zu members are no arrays and left out, the first is %s",
				      z.n_others, z.zip->n_members,
				      tfs_quote(name, sizeof name, z.other->name, z.other->name_len));
	tfs_zip_destroy(z.zip);
	return rc ? tfs_error_set(err, rc, wrong.offset, "%s", wrong.what) : 0;
}

const struct tfs_format tfs_format_npz = {
	.name = "npz",
	.what = "an npz file",
	.extensions = (const char *const[]){ EXTENSION, NULL },
	.containers = TFS_IN_ZIP,
	.recognises = recognises,
	.parse = parse,
};
