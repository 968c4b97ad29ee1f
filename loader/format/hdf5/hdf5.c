/* SPDX-License-Identifier: MIT */
/*
 * HDF5, with our own reader of its tables (impl.h): every dataset of numbers is a tensor, named by the path of links to it, without the
 * first slash. Keras's older files (keras/src/legacy/saving/legacy_h5_format.py) have a group for each layer, whose attribute
 * weight_names lists what is in it: there a name is what follows the group, as Keras names the weight, unless that makes two equal.
 *
 * A link that leads to a group that was visited already is passed over, as by h5py's visititems().
 */
#include "format/format.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "format/hdf5/impl.h"
#include "storage/storage.h"

#define EXTENSION ".h5"

static const char signature[] = "\x89HDF\r\n\x1a\n";

enum { SIGNATURE = sizeof signature - 1 };

/* Groups in groups; this uses our own stack. */
enum { MAX_DEPTH = 128 };

/* What a walk may read in any file, and in a large one for each of so many bytes: no link or chunk takes fewer. */
enum { MAX_STEPS = 1 << 20, BYTES_OF_STEP = 16 };

int tfs_h5_step(struct tfs_h5 *h)
{
	if (++h->steps > h->max_steps)
		return tfs_h5_refuse(h, TFS_H5_UNDEFINED,
				     "its tables refer to each other so often that reading them takes more than %" PRIu64 " steps",
				     h->max_steps);
	return tfs_share_scratch(h->in->share, 0); /* takes time */
}

/* --- Groups -------------------------------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	return (a > b) - (a < b);
}

/* For tdestroy(): keys are addresses, not memory. */
static void keep(void *key)
{
	(void)key;
}

/* Is the group at @at visited for the first time? 1, 0 or -ENOMEM. */
static int is_new(struct tfs_h5 *h, uint64_t at)
{
	const void *key = (const void *)(uintptr_t)at;

	if (tfind(key, &h->groups, by_address))
		return 0;
	if (tfs_share_scratch(h->in->share, 64)) /* a node */
		return -ENOMEM;
	return tsearch(key, &h->groups, by_address) ? 1 : -ENOMEM;
}

static int visit_group(struct tfs_h5 *h, const struct tfs_h5_group *group)
{
	size_t weights_at = h->weights_at;
	int r = is_new(h, group->header);

	if (r <= 0)
		return r;
	if (h->depth == MAX_DEPTH)
		return tfs_h5_refuse(h, group->header, "groups nested deeper than %d", MAX_DEPTH);
	if (group->has_weight_names)
		h->weights_at = h->len + (h->len > 0);
	h->depth++;
	r = tfs_h5_links(h, group);
	h->depth--;
	h->weights_at = weights_at;
	return r;
}

/* --- Datasets ------------------------------------------------------------------------------------------------------ */

static int leave_out(struct tfs_h5 *h, uint64_t at, const char *why)
{
	uint64_t offset = at <= h->in->size - h->base ? h->base + at : TFS_NO_OFFSET;

	return tfs_catalog_leave_out(h->catalog, h->path + h->weights_at, h->len - h->weights_at, offset, "%s", why);
}

/* Strings and references aren't tensors: counted, for one note. */
static void pass_over(struct tfs_h5 *h)
{
	char quoted[TFS_QUOTE_SIZE];

	if (!h->n_foreign++)
		snprintf(h->first_foreign, sizeof h->first_foreign, "%s, of %s", tfs_quote(quoted, sizeof quoted, h->path, h->len),
			 h->object.type.foreign);
}

/* An opaque type of two bytes is bfloat16 where Keras's attribute says so (keras/src/saving/saving_lib.py, H5Entry). */
static void name_opaque(struct tfs_h5_object *o)
{
	if (o->type.opaque && o->type.size == 2 && !o->type.ndim && o->is_bfloat16)
		o->type.dtype = tfs_dtype_by_name("BF16", 4);
}

static int add_dataset(struct tfs_h5 *h, uint64_t at)
{
	struct tfs_h5_object *o = &h->object;
	uint64_t shape[TFS_MAX_DIMS], nbytes, offset;
	struct tfs_encoding how;
	char why[320];
	int r;

	if (o->type.foreign) {
		pass_over(h);
		return 0;
	}
	if (o->type.wrong)
		return leave_out(h, at, o->type.wrong);
	name_opaque(o);
	r = tfs_h5_data(h, &nbytes, &offset, &how, why, sizeof why);
	if (r)
		return r > 0 ? leave_out(h, at, why) : r;
	if (tfs_share_scratch(h->in->share, sizeof *h->cuts) || tfs_array_room(h->cuts, h->n_cuts, h->room_cuts))
		return -ENOMEM;
	h->cuts[h->n_cuts++] = h->weights_at;
	how.swap = o->type.swap;
	r = tfs_catalog_add(h->catalog, h->path, h->len, o->type.dtype, shape, tfs_h5_shape(o, shape), offset, nbytes);
	if (!r && nbytes && (how.swap || how.n_segments))
		r = tfs_catalog_encode(h->catalog, NULL, &how);
	return r;
}

/* --- Links --------------------------------------------------------------------------------------------------------- */

static int put_bytes(struct tfs_h5 *h, uint64_t at, const char *s, size_t len)
{
	if (len > TFS_H5_MAX_NAME - h->len)
		return tfs_h5_refuse(h, at, "the path to an object is longer than %u bytes", TFS_H5_MAX_NAME);
	memcpy(h->path + h->len, s, len);
	h->len += len;
	return 0;
}

/* Bytes that aren't UTF-8 become \xNN. */
static int put_name(struct tfs_h5 *h, uint64_t at, const char *s, size_t len)
{
	const char *end = s + len;
	char hex[5];
	int r = h->len ? put_bytes(h, at, "/", 1) : 0;

	while (s < end && !r) {
		unsigned n = *s & 0x80 ? tfs_utf8_sequence(s, end) : 1;

		if (!n)
			snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)*s);
		r = n ? put_bytes(h, at, s, n) : put_bytes(h, at, hex, 4);
		s += n ? n : 1;
	}
	return r;
}

static int visit_object(struct tfs_h5 *h, uint64_t at)
{
	struct tfs_h5_group group;
	int r = tfs_h5_object(h, at);

	/* One object that can't be read is no reason to doubt the others. */
	if (r)
		return r == -EINVAL ? leave_out(h, at, h->err->what) : r;
	if (h->object.is_group) {
		group = h->object.group;
		return visit_group(h, &group);
	}
	if (h->object.has_space && h->object.has_type && h->object.has_layout)
		return add_dataset(h, at);
	return 0; /* a datatype with a name */
}

int tfs_h5_visit(struct tfs_h5 *h, const char *name, size_t len, uint64_t at)
{
	size_t before = h->len;
	int r = tfs_h5_step(h);

	if (!r)
		r = put_name(h, at, name, len);
	if (!r)
		r = visit_object(h, at);
	h->len = before;
	return r;
}

/* --- Names --------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

static void cut_names(struct tfs_h5 *h, bool cut)
{
	size_t n;
	struct tfs_tensor *t = tfs_catalog_tensors(h->catalog, &n);

	for (size_t i = 0; i < n; i++) {
		t[i].name += cut ? h->cuts[i] : -(ptrdiff_t)h->cuts[i];
		t[i].name_len += cut ? -h->cuts[i] : h->cuts[i];
	}
}

/* Keras's names, unless two are equal. */
static int name_as_keras(struct tfs_h5 *h)
{
	cleanup_free const void **order = NULL;
	size_t n, same = 0;
	struct tfs_tensor *t = tfs_catalog_tensors(h->catalog, &n);

	if (tfs_share_scratch(h->in->share, n * 2 * sizeof *order))
		return -ENOMEM;
	order = reallocarray(NULL, n + 1, 2 * sizeof *order); /* n may be 0 */
	if (!order)
		return -ENOMEM;
	cut_names(h, true);
	for (size_t i = 0; i < n; i++)
		order[i] = &t[i];
	tfs_sort(order, n, order + n, by_name);
	for (size_t i = 1; i < n; i++)
		same += !by_name(order[i - 1], order[i]);
	if (same)
		cut_names(h, false);
	return tfs_catalog_make_unique(h->catalog);
}

/* --- The superblock ------------------------------------------------------------------------------------------------ */

/* Find it: at 0, or at 512 and what that doubles to, after bytes of the user (II.A). */
static int find_superblock(struct tfs_h5 *h)
{
	struct tfs_cursor c;
	int r;

	for (uint64_t at = 0; at < h->in->size && h->in->size - at >= SIGNATURE; at = at ? 2 * at : 512) {
		r = tfs_h5_get(h, TFS_H5_HEADERS, at, SIGNATURE, &c);
		if (r)
			return r;
		if (!memcmp(c.at, signature, SIGNATURE)) {
			h->base = at;
			return 0;
		}
	}
	return tfs_error_set(h->err, -EINVAL, 0, "isn't an HDF5 file: it has no superblock");
}

static bool is_size(uint8_t n)
{
	return n == 2 || n == 4 || n == 8;
}

static int check_sizes(struct tfs_h5 *h)
{
	if (!is_size(h->offset_size) || !is_size(h->length_size))
		return tfs_h5_refuse(h, 0, "addresses of %u bytes and lengths of %u; read are those of 2, 4 and 8", h->offset_size,
				     h->length_size);
	return 0;
}

/* The file ended at @end when it was written, and this superblock was at @base. */
static int check_end(struct tfs_h5 *h, uint64_t base, uint64_t end)
{
	if (end == TFS_H5_UNDEFINED || end < base || end - base <= h->in->size - h->base)
		return 0;
	return tfs_h5_refuse(h, 0, "the file has %" PRIu64 " bytes, its superblock says %" PRIu64 ": is the download complete?",
			     h->in->size, end);
}

static int of_several(struct tfs_h5 *h)
{
	return tfs_h5_refuse(h, 0, "one of several files that are one together, which isn't read");
}

/* Versions 0 and 1: *@ret_root is the address of the root group. */
static int read_superblock_old(struct tfs_h5 *h, uint8_t version, uint64_t *ret_root)
{
	unsigned head = version ? 28 : 24, o;
	struct tfs_cursor c;
	uint64_t base, end, driver;
	int r = tfs_h5_get(h, TFS_H5_HEADERS, 0, head, &c);

	if (r)
		return r;
	h->offset_size = c.at[13];
	h->length_size = c.at[14];
	r = check_sizes(h);
	o = h->offset_size;
	if (!r)
		r = tfs_h5_get(h, TFS_H5_HEADERS, head, 6 * o, &c);
	if (r)
		return r;
	base = tfs_h5_address(h, &c);
	tfs_cursor_bytes(&c, o); /* free space */
	end = tfs_h5_address(h, &c);
	driver = tfs_h5_address(h, &c);
	tfs_cursor_bytes(&c, o);
	*ret_root = tfs_h5_address(h, &c);
	return driver != TFS_H5_UNDEFINED ? of_several(h) : check_end(h, base, end);
}

static int check_extension(struct tfs_h5 *h, const struct tfs_h5_message *m, void *arg)
{
	(void)arg;
	return m->type == TFS_H5_DRIVER ? of_several(h) : 0;
}

/* Versions 2 and 3. */
static int read_superblock_new(struct tfs_h5 *h, uint64_t *ret_root)
{
	struct tfs_cursor c;
	uint64_t base, end, extension;
	int r = tfs_h5_get(h, TFS_H5_HEADERS, 0, 12, &c);

	if (r)
		return r;
	h->offset_size = c.at[9];
	h->length_size = c.at[10];
	r = check_sizes(h);
	if (!r)
		r = tfs_h5_get(h, TFS_H5_HEADERS, 12, 4 * h->offset_size, &c);
	if (r)
		return r;
	base = tfs_h5_address(h, &c);
	extension = tfs_h5_address(h, &c);
	end = tfs_h5_address(h, &c);
	*ret_root = tfs_h5_address(h, &c);
	r = check_end(h, base, end);
	return r || extension == TFS_H5_UNDEFINED ? r : tfs_h5_messages(h, extension, check_extension, NULL);
}

static int read_superblock(struct tfs_h5 *h, uint64_t *ret_root)
{
	struct tfs_cursor c;
	int r = tfs_h5_get(h, TFS_H5_HEADERS, 0, SIGNATURE + 1, &c);

	if (r)
		return r;
	switch (c.at[SIGNATURE]) {
	case 0:
	case 1:
		return read_superblock_old(h, c.at[SIGNATURE], ret_root);
	case 2:
	case 3:
		return read_superblock_new(h, ret_root);
	default:
		return tfs_h5_refuse(h, 0, "a superblock of version %u; read are those from 0 to 3", c.at[SIGNATURE]);
	}
}

/* --- The file ------------------------------------------------------------------------------------------------------ */

static int read_file(struct tfs_h5 *h)
{
	struct tfs_h5_group root;
	uint64_t at = 0;
	int r = find_superblock(h);

	if (!r)
		r = read_superblock(h, &at);
	if (!r)
		r = tfs_h5_object(h, at);
	if (!r && !h->object.is_group)
		r = tfs_h5_refuse(h, at, "its root isn't a group");
	root = h->object.group;
	if (!r)
		r = visit_group(h, &root);
	if (!r)
		r = name_as_keras(h);
	if (!r && h->n_foreign)
		r = tfs_catalog_note(h->catalog, TFS_NO_OFFSET, "%zu %s passed over, the first is %s", h->n_foreign,
				     h->n_foreign == 1 ? "dataset that isn't of numbers" : "datasets that aren't of numbers",
				     h->first_foreign);
	return r;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_h5 *h = calloc(1, sizeof *h);
	int r;

	(void)file_name;
	if (!h)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for a reader of HDF5");
	h->in = in;
	h->catalog = catalog;
	h->err = err;
	h->max_steps = MAX_STEPS + in->size / BYTES_OF_STEP;
	for (size_t i = 0; i < TFS_H5_WINDOWS; i++)
		tfs_window_init(&h->windows[i], in, err);
	r = read_file(h);
	tfs_pieces_fini(&h->pieces);
	tdestroy(h->groups, keep);
	free(h->cuts);
	free(h);
	return r;
}

static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has(s, 0, signature, SIGNATURE);
}

/*
 * transformers' index names a variable as TensorFlow does, its shards without the model's name before it, unless that has a dot in it
 * (modeling_tf_utils.py, save_pretrained()).
 */
static char *indexed(char *name, size_t *len)
{
	static const char model[] = "model.";
	char *slash = memchr(name, '/', *len);

	if (!slash || memmem(name, *len, model, sizeof model - 1))
		return name;
	*len -= slash + 1 - name;
	return slash + 1;
}

const struct tfs_format tfs_format_hdf5 = {
	.name = "hdf5",
	.what = "an HDF5 file",
	.extensions = (const char *const[]){ EXTENSION, ".hdf5", NULL },
	.shard_ext = EXTENSION,
	.indexed = indexed,
	.recognises = recognises,
	.parse = parse,
};
