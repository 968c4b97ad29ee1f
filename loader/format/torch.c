/* SPDX-License-Identifier: MIT */
/*
 * torch.save()'s files. Since torch 1.6 they are zip files with one folder at the top: data.pkl is the object, and data/KEY a storage
 * each (caffe2/serialize/inline_container.cc), stored as a rule, so that most tensors are plain bytes of the file. TorchScript's
 * archives have the same, and code beside it. Files of before that are torch-legacy.c's.
 *
 * A file in which no tensor is found is sound: training arguments and schedulers are saved so, too.
 */
#include "format/torch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "format/format.h"
#include "format/zip.h"

#define PICKLE	   "data.pkl"
#define STORAGES   "data/"
#define CONSTANTS  "constants.pkl" /* there is one in TorchScript's archives */
#define ENDIANNESS "byteorder"

/* torch counts storages: keys are numbers. */
#define MAX_KEY 255

static const char *const extensions[] = { ".bin", ".pt", ".pth", ".ckpt" };

struct archive {
	struct tfs_zip *zip;
	const char *root; /* name of the folder, with its '/' */
	size_t root_len;
};

static bool claims(const char *file_name)
{
	size_t len = strlen(file_name);

	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
		size_t ext = strlen(extensions[i]);

		if (len > ext && !strcmp(file_name + len - ext, extensions[i]))
			return true;
	}
	return false;
}

/* --- zip --------------------------------------------------------------------------------------------------------- */

/* The member FOLDER/@dir@name. */
static const struct tfs_zip_member *member(const struct archive *a, const char *dir, const char *name, size_t len)
{
	size_t dir_len = strlen(dir), total = a->root_len + dir_len + len;
	cleanup_free char *path = malloc(total);

	if (!path)
		return NULL;
	memcpy(path, a->root, a->root_len);
	memcpy(path + a->root_len, dir, dir_len);
	memcpy(path + a->root_len + dir_len, name, len);
	return tfs_zip_find(a->zip, path, total);
}

/* The folder at the top in which data.pkl is. */
static int find_root(struct tfs_torch *t, struct archive *a)
{
	const size_t len = strlen("/" PICKLE);

	for (size_t i = 0; i < a->zip->n_members; i++) {
		const struct tfs_zip_member *m = &a->zip->members[i];
		const char *slash = strchr(m->name, '/');

		if (!slash || m->name_len - (slash - m->name) != len || strcmp(slash, "/" PICKLE))
			continue;
		if (a->root)
			return tfs_error_set(t->err, -EINVAL, m->offset,
					     "a second folder with a " PICKLE " in the zip file");
		a->root = m->name;
		a->root_len = slash + 1 - m->name;
	}
	if (!a->root)
		return tfs_error_set(t->err, -EINVAL, 0,
				     "a zip file without FOLDER/" PICKLE ": torch.save() has not written it");
	return 0;
}

/* Of a member that is needed. */
static int check_member(struct tfs_torch *t, const struct tfs_zip_member *m)
{
	char name[TFS_QUOTE_SIZE];

	tfs_quote(name, sizeof name, m->name, m->name_len);
	if (m->encrypted)
		return tfs_error_set(t->err, -EINVAL, m->offset, "%s is encrypted", name);
	if (m->method != TFS_ZIP_STORED && m->method != TFS_ZIP_DEFLATED)
		return tfs_error_set(t->err, -EINVAL, m->offset,
				     "%s is packed by method %u; stored and deflated ones are read", name, m->method);
	return 0;
}

/*
 * All of a small member. Checksums of stored ones are not looked at, as torch can be told not to write them
 * (torch.serialization.set_crc32_options).
 */
static int read_member(struct tfs_torch *t, const struct tfs_zip_member *m, void *buf)
{
	if (m->method == TFS_ZIP_STORED)
		return tfs_file_read(t->fd, buf, m->size, m->offset, t->err);
	return tfs_zip_head(t->fd, m, buf, m->unpacked, t->err);
}

static int read_byte_order(struct tfs_torch *t, const struct archive *a)
{
	const struct tfs_zip_member *m = member(a, "", ENDIANNESS, strlen(ENDIANNESS));
	char text[8] = "";
	int rc;

	if (!m)
		return 0; /* before torch 2.1: little-endian is what torch takes it for */
	rc = check_member(t, m);
	if (!rc && m->unpacked < sizeof text)
		rc = read_member(t, m, text);
	if (rc)
		return rc;
	t->big_endian = !strcmp(text, "big");
	if (!t->big_endian && strcmp(text, "little"))
		return tfs_error_set(t->err, -EINVAL, m->offset, "the byte order is neither little nor big");
	return 0;
}

static int find(struct tfs_torch *t, const struct tfs_pickle_value *key, struct tfs_torch_extent *ret)
{
	const struct tfs_zip_member *m;
	int rc;

	if (!key->len || key->len > MAX_KEY || memchr(key->bytes, '/', key->len))
		return -ENOENT;
	m = member(t->container, STORAGES, key->bytes, key->len);
	if (!m)
		return -ENOENT;
	rc = check_member(t, m);
	if (rc)
		return rc;
	*ret = (struct tfs_torch_extent){
		.offset = m->offset,
		.length = m->size,
		.nbytes = m->unpacked,
		.deflated = m->method == TFS_ZIP_DEFLATED,
		.crc = m->crc,
	};
	return 0;
}

static int read_zip(struct tfs_torch *t, struct archive *a)
{
	cleanup_free char *buf = NULL;
	const struct tfs_zip_member *m;
	size_t n;
	int rc = find_root(t, a);

	if (!rc)
		rc = read_byte_order(t, a);
	if (rc)
		return rc;
	m = member(a, "", PICKLE, strlen(PICKLE));
	rc = m ? check_member(t, m) : -ENOMEM;
	if (rc)
		return rc;
	if (m->unpacked > TFS_PICKLE_MAX_SIZE)
		return tfs_error_set(t->err, -EINVAL, m->offset, PICKLE " has %" PRIu64 " bytes; the limit is %u",
				     m->unpacked, TFS_PICKLE_MAX_SIZE);
	buf = malloc(m->unpacked + 1); /* it may be empty */
	if (!buf)
		return -ENOMEM;
	rc = read_member(t, m, buf);
	if (rc)
		return rc;

	t->pickle = (struct tfs_pickle){
		.buf = buf,
		.len = m->unpacked,
		.offset = m->offset,
		.inflated = m->method == TFS_ZIP_DEFLATED,
		.err = t->err,
	};
	t->find = find;
	t->container = a;
	rc = tfs_pickle_read(&t->pickle);
	if (!rc)
		rc = tfs_torch_list(t);
	if (rc)
		return rc;
	tfs_catalog_tensors(t->catalog, &n);
	if (!n && member(a, "", CONSTANTS, strlen(CONSTANTS)))
		return tfs_error_set(t->err, -EINVAL, m->offset,
				     "a TorchScript archive, and no tensor is found in its module's attributes");
	return 0;
}

/* --- The file ---------------------------------------------------------------------------------------------------- */

/* POSIX tar has its name at 257; torch wrote such files before 0.1.10, in 2017. */
static int check_tar(struct tfs_torch *t)
{
	char magic[5];
	int rc;

	if (t->size < 512)
		return 0;
	rc = tfs_file_read(t->fd, magic, sizeof magic, 257, t->err);
	if (!rc && !memcmp(magic, "ustar", sizeof magic))
		rc = tfs_error_set(
			t->err, -EINVAL, 257,
			"a tar file, as torch wrote them before 0.1.10: load and save it with a torch of 0.4 to 2.x");
	return rc;
}

static int parse(int fd, uint64_t size, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_torch t = { .fd = fd, .size = size, .file_name = file_name, .catalog = catalog, .err = err };
	struct archive a = { 0 };
	uint8_t start[4] = { 0 };
	int rc = tfs_file_read(fd, start, size < sizeof start ? size : sizeof start, 0, err);

	if (!rc)
		rc = check_tar(&t);
	if (rc)
		return rc;
	if (tfs_zip_claims(start)) {
		rc = tfs_zip_read(fd, size, &a.zip, err);
		if (!rc)
			rc = read_zip(&t, &a);
		tfs_zip_destroy(a.zip);
	} else if (start[0] == 0x80) {
		rc = tfs_torch_legacy(&t);
	} else {
		rc = tfs_error_set(err, -EINVAL, 0, "neither a zip file nor a pickle: torch.save() has not written it");
	}
	tfs_pickle_fini(&t.pickle);
	if (rc == -ENOMEM)
		tfs_error_set(err, rc, TFS_NO_OFFSET, "no memory for its tensors");
	return rc;
}

const struct tfs_format tfs_format_torch = {
	.name = "torch",
	.files = "*.bin, *.pt, *.pth, *.ckpt",
	.shard_ext = ".bin",
	.claims = claims,
	.parse = parse,
};
