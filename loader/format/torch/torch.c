/* SPDX-License-Identifier: MIT */
/*
 * torch.save()'s files. Since torch 1.6 they are zip files with one folder at the top: data.pkl is the object, and data/KEY a
 * storage each (caffe2/serialize/inline_container.cc), stored as a rule, so most tensors are plain bytes of the file. TorchScript's
 * archives have the same, plus code. legacy.c reads older files, pt2.c what torch.export saves.
 *
 * A file without tensors is valid: training arguments and schedulers are saved this way, too.
 */
#include "format/torch/impl.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "format/format.h"
#include "format/zip.h"
#include "storage/storage.h"

#define PICKLE	       "data.pkl"
#define OBJECT	       "data"
#define CONSTANTS      "constants" /* in TorchScript's archives: the tensors in its code, with storages of their own */
#define ENDIANNESS     "byteorder"
#define EXTERN_MODULES ".data/extern_modules" /* a torch.package */
#define OLD_SCRIPT     "model.json"	      /* the predecessor of constants.pkl; data.pkl, if any, then has no tensors */

/* torch numbers storages: keys are numbers. */
#define MAX_KEY 255

/* --- zip --------------------------------------------------------------------------------------------------------- */

const struct tfs_zip_member *tfs_torch_member(const struct tfs_torch_archive *a, const char *dir, const char *name, size_t len)
{
	const struct tfs_name_part parts[] = { { a->root, a->root_len }, { dir, strlen(dir) }, { name, len } };

	return tfs_zip_find_parts(a->zip, parts, sizeof parts / sizeof *parts);
}

/* Other zip files that torch writes, each recognised by a member of its own. */
static int refuse_zip(struct tfs_torch *t, const struct tfs_torch_archive *a)
{
	static const struct {
		const char *member, *what;
	} kinds[] = {
		{ "/" OLD_SCRIPT, "old TorchScript, whose tensors " OLD_SCRIPT " lists: load and save it with a newer torch" },
		{ "/" EXTERN_MODULES, "a torch.package: objects in packages of code" },
	};

	for (size_t i = 0; i < a->zip->n_members; i++)
		for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
			const char *slash = strchr(a->zip->members[i].name, '/');

			if (slash && !strcmp(slash, kinds[k].member))
				return tfs_error_set(t->err, -EINVAL, a->zip->members[i].offset, "%s", kinds[k].what);
		}
	return tfs_error_set(t->err, -EINVAL, 0, "a zip file without FOLDER/" PICKLE ": not written by torch.save()");
}

/* The top-level folder that contains data.pkl. */
static int find_root(struct tfs_torch *t, struct tfs_torch_archive *a)
{
	const size_t len = strlen("/" PICKLE);

	for (size_t i = 0; i < a->zip->n_members; i++) {
		const struct tfs_zip_member *m = &a->zip->members[i];
		const char *slash = strchr(m->name, '/');

		if (!slash || m->name_len - (slash - m->name) != len || strcmp(slash, "/" PICKLE))
			continue;
		if (a->root)
			return tfs_error_set(t->err, -EINVAL, m->offset, "a second folder with a " PICKLE " in the zip file");
		a->root = m->name;
		a->root_len = slash + 1 - m->name;
	}
	return a->root && !tfs_torch_member(a, "", OLD_SCRIPT, strlen(OLD_SCRIPT)) ? 0 : refuse_zip(t, a);
}

int tfs_torch_check_member(struct tfs_torch *t, const struct tfs_zip_member *m)
{
	char name[TFS_QUOTE_SIZE];

	tfs_quote(name, sizeof name, m->name, m->name_len);
	if (m->encrypted)
		return tfs_error_set(t->err, -EINVAL, m->offset, "%s is encrypted", name);
	if (m->method != TFS_ZIP_STORED && m->method != TFS_ZIP_DEFLATED)
		return tfs_error_set(t->err, -EINVAL, m->offset,
				     "%s is compressed with method %u; only stored and deflated "
				     "members can be read",
				     name, m->method);
	return 0;
}

int tfs_torch_read_member(struct tfs_torch *t, const struct tfs_zip_member *m, void *buf)
{
	if (m->method == TFS_ZIP_STORED)
		return tfs_input_read(t->in, buf, m->size, m->offset, t->err);
	return tfs_zip_head(t->in, m, buf, m->unpacked, t->err);
}

int tfs_torch_read_byte_order(struct tfs_torch *t, const struct tfs_torch_archive *a)
{
	const struct tfs_zip_member *m = tfs_torch_member(a, "", ENDIANNESS, strlen(ENDIANNESS));
	char text[8] = "";
	int r;

	if (!m)
		return 0; /* before torch 2.1: torch assumes little-endian */
	r = tfs_torch_check_member(t, m);
	if (!r && m->unpacked < sizeof text)
		r = tfs_torch_read_member(t, m, text);
	if (r)
		return r;
	t->big_endian = !strcmp(text, "big");
	if (!t->big_endian && strcmp(text, "little"))
		return tfs_error_set(t->err, -EINVAL, m->offset, "the byte order is neither little nor big");
	return 0;
}

struct tfs_torch_extent tfs_torch_extent_of(const struct tfs_zip_member *m)
{
	return (struct tfs_torch_extent){
		.offset = m->offset,
		.length = m->size,
		.nbytes = m->unpacked,
		.deflated = m->method == TFS_ZIP_DEFLATED,
		.crc = m->crc,
	};
}

static int find_in(struct tfs_torch *t, const char *dir, const struct tfs_pickle_value *key, struct tfs_torch_extent *ret)
{
	const struct tfs_zip_member *m;
	uint32_t len;
	const char *text = tfs_pickle_text(key, &len);
	int r;

	if (!len || len > MAX_KEY || memchr(text, '/', len))
		return -ENOENT;
	m = tfs_torch_member(t->container, dir, text, len);
	if (!m)
		return -ENOENT;
	r = tfs_torch_check_member(t, m);
	if (r)
		return r;
	*ret = tfs_torch_extent_of(m);
	return 0;
}

static int find(struct tfs_torch *t, const struct tfs_pickle_value *key, struct tfs_torch_extent *ret)
{
	return find_in(t, OBJECT "/", key, ret);
}

static int find_constant(struct tfs_torch *t, const struct tfs_pickle_value *key, struct tfs_torch_extent *ret)
{
	return find_in(t, CONSTANTS "/", key, ret);
}

/* Read the pickle in the member @m into t->pickle; *@ret_buf is what it points into. @memory: used by the others. */
static int read_pickle(struct tfs_torch *t, const struct tfs_zip_member *m, size_t memory, char **ret_buf)
{
	int r = tfs_torch_check_member(t, m);

	if (r)
		return r;
	if (m->unpacked > TFS_PICKLE_MAX_SIZE)
		return tfs_error_set(t->err, -EINVAL, m->offset, "a pickle of %" PRIu64 " bytes; the limit is %u", m->unpacked,
				     TFS_PICKLE_MAX_SIZE);
	if (tfs_share_scratch(t->in->share, m->unpacked + 1))
		return -ENOMEM;
	*ret_buf = malloc(m->unpacked + 1); /* it may be empty */
	if (!*ret_buf)
		return -ENOMEM;
	r = tfs_torch_read_member(t, m, *ret_buf);
	if (r)
		return r;
	t->pickle = (struct tfs_pickle){
		.buf = *ret_buf,
		.len = m->unpacked,
		.offset = m->offset,
		.inflated = m->method == TFS_ZIP_DEFLATED,
		.err = t->err,
		.memory = memory,
		.share = t->in->share,
	};
	return tfs_pickle_read(&t->pickle);
}

static int read_zip(struct tfs_torch *t, struct tfs_torch_archive *a)
{
	cleanup_free char *buf = NULL, *constants_buf = NULL;
	const struct tfs_zip_member *object, *constants;
	struct tfs_torch c;
	size_t n, n_left_out;
	int r = find_root(t, a);

	if (!r)
		r = tfs_torch_read_byte_order(t, a);
	if (r)
		return r;
	t->find = find;
	t->container = a;
	object = tfs_torch_member(a, "", PICKLE, strlen(PICKLE));
	constants = tfs_torch_member(a, "", CONSTANTS ".pkl", strlen(CONSTANTS ".pkl"));
	c = *t;
	c.find = find_constant;
	assert(object); /* by which find_root() has found the folder */
	r = read_pickle(t, object, 0, &buf);
	if (!r && constants) {
		r = read_pickle(&c, constants, t->pickle.memory, &constants_buf);
		t->constants = &c;
	}
	if (!r)
		r = tfs_torch_list(t);
	t->constants = NULL;
	tfs_pickle_fini(&c.pickle);
	if (r)
		return r;
	tfs_catalog_tensors(t->catalog, &n);
	tfs_catalog_left_out(t->catalog, &n_left_out);
	if (!n && !n_left_out && constants)
		return tfs_error_set(t->err, -EINVAL, object->offset,
				     "a TorchScript archive without a tensor in its module's attributes");
	return 0;
}

/* --- The file ---------------------------------------------------------------------------------------------------- */

/* Is it the object's pickle, or a member of torch's other archives, which are refused by name? */
static bool is_ours(const char *name, size_t len)
{
	static const char *const members[] = { "/" PICKLE, "/" EXTERN_MODULES };
	const char *slash = memchr(name, '/', len);
	size_t rest = slash ? name + len - slash : 0;

	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (rest == strlen(members[i]) && !memcmp(slash, members[i], rest))
			return true;
	return tfs_torch_is_pt2(name, len);
}

static bool has_pt2(const struct tfs_torch_archive *a)
{
	for (size_t i = 0; i < a->zip->n_members; i++)
		if (tfs_torch_is_pt2(a->zip->members[i].name, a->zip->members[i].name_len))
			return true;
	return false;
}

static bool recognises(const struct tfs_sample *s)
{
	enum { WITHIN = 32 }; /* the file begins with the number's pickle, whatever the protocol */
	const uint8_t *start = s->start;

	return tfs_sample_has_member(s, is_ours) || tfs_sample_has(s, 0, "L" TFS_TORCH_DIGITS, strlen("L" TFS_TORCH_DIGITS)) ||
	       (start[0] == 0x80 && memmem(start, WITHIN, TFS_TORCH_MAGIC, strlen(TFS_TORCH_MAGIC)));
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_torch t = { .in = in, .file_name = file_name, .catalog = catalog, .err = err };
	struct tfs_torch_archive a = { 0 };
	uint8_t start[4] = { 0 };
	int r = tfs_input_read(in, start, in->size < sizeof start ? in->size : sizeof start, 0, err);

	if (r)
		return r;
	if (tfs_zip_claims(start)) {
		r = tfs_zip_read(in, NULL, NULL, &a.zip, err);
		if (!r)
			r = has_pt2(&a) ? tfs_torch_pt2(&t, &a) : read_zip(&t, &a);
		tfs_zip_destroy(a.zip);
	} else if (start[0] == 0x80 || !memcmp(start, "L119", 4)) { /* a pickle, or the magic number in protocol 1 */
		r = tfs_torch_legacy(&t);
	} else {
		r = tfs_error_set(err, -EINVAL, 0, "neither a zip file nor a pickle: not written by torch.save()");
	}
	tfs_pickle_fini(&t.pickle);
	if (r == -ENOMEM)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

const struct tfs_format tfs_format_torch = {
	.name = "torch",
	.what = "a torch checkpoint",
	.extensions = (const char *const[]){ ".bin", ".pt", ".pth", ".ckpt", ".pt2", NULL },
	.ambiguous = (const char *const[]){ ".pth.tar", ".pkl", ".th", NULL },
	.containers = TFS_IN_ZIP | TFS_IN_PICKLE,
	.shard_ext = ".bin",
	.recognises = recognises,
	.parse = parse,
};
