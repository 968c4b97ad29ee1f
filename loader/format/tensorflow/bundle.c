/* SPDX-License-Identifier: MIT */
/*
 * TensorFlow's checkpoints of version 2 (tensorflow/core/util/tensor_bundle): PREFIX.index is a table of where each tensor is in
 * PREFIX.data-00000-of-00001 and so on, whose bytes are the tensors'. Its first key is empty, with a header; the others are names, with
 * an entry each (tensorflow/core/protobuf/tensor_bundle.proto). A variable in several partitions has an entry without bytes, which
 * lists its slices; these have entries of their own, by a key made of name and slice.
 *
 * Names are those of tf.train.list_variables(). Strings, among them the graph of Python's objects, aren't tensors.
 */
#include "format/format.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "format/pieces.h"
#include "format/tensorflow/impl.h"
#include "format/tensorflow/sstable.h"
#include "storage/storage.h"

#define EXTENSION ".index"

/* In five digits. */
enum { MAX_SHARDS = 99999 };

/* BundleHeaderProto and BundleEntryProto, and what they have (tensor_shape.proto, tensor_slice.proto). */
enum {
	HEADER_SHARDS = 1,
	HEADER_ENDIANNESS = 2,
	ENTRY_DTYPE = 1,
	ENTRY_SHAPE = 2,
	ENTRY_SHARD = 3,
	ENTRY_OFFSET = 4,
	ENTRY_SIZE = 5,
	ENTRY_SLICES = 7,
	SHAPE_DIM = 2,
	DIM_SIZE = 1,
	SLICE_EXTENT = 1,
	EXTENT_START = 1,
	EXTENT_LENGTH = 2,
};

/* By DataType (types.proto). Quantised integers have their scales elsewhere, if anywhere. */
static const struct type {
	const char *name;
	const char *npy; /* of those that aren't among our dtypes, of @size bytes; else NULL */
	uint8_t size;
	uint8_t word; /* bytes that a big-endian machine reverses, if more than one */
	bool foreign; /* not numbers */
} types[] = {
	[1] = { "F32", .word = 4 },
	[2] = { "F64", .word = 8 },
	[3] = { "I32", .word = 4 },
	[4] = { "U8" },
	[5] = { "I16", .word = 2 },
	[6] = { "I8" },
	[7] = { "strings", .foreign = true },
	[8] = { "C64", .word = 4 },
	[9] = { "I64", .word = 8 },
	[10] = { "BOOL" },
	[11] = { "QI8", "|i1", 1 },
	[12] = { "QU8", "|u1", 1 },
	[13] = { "QI32", "<i4", 4, 4 },
	[14] = { "BF16", .word = 2 },
	[15] = { "QI16", "<i2", 2, 2 },
	[16] = { "QU16", "<u2", 2, 2 },
	[17] = { "U16", .word = 2 },
	[18] = { "C128", .word = 8 },
	[19] = { "F16", .word = 2 },
	[20] = { "resources", .foreign = true },
	[21] = { "variants", .foreign = true },
	[22] = { "U32", .word = 4 },
	[23] = { "U64", .word = 8 },
	[24] = { "F8_E5M2" },
	[25] = { "F8_E4M3" },
	[26] = { "F8_E4M3FNUZ" },
	[27] = { "float8_e4m3b11fnuz" },
	[28] = { "F8_E5M2FNUZ" },
	[29] = { "int4" },
	[30] = { "uint4" },
	[31] = { "int2" },
	[32] = { "uint2" },
};

/* A reference to a variable of a type is the type's number plus this. */
enum { REFERENCE = 100 };

/* A slice's entry, by its key. */
struct slice {
	const uint8_t *key;
	size_t len;
	struct tfs_tf_entry entry;
};

struct bundle {
	const struct tfs_input *in;
	struct tfs_catalog *catalog;
	struct tfs_error *err;
	const char *file_name;
	size_t prefix_len; /* of the file's name */
	uint64_t at;	   /* of the block at hand, for errors */
	bool has_header, big_endian;
	uint32_t n_shards;
	struct slice *slices; /* in order of their keys */
	size_t n_slices, room_slices;
	struct tfs_arena keys;
	struct tfs_pieces pieces;
	size_t n_foreign;
	char first_foreign[TFS_QUOTE_SIZE + 32];
	struct tfs_tf_entry entry; /* at hand */
	struct tfs_pb pb;
};

/* --- Messages in memory -------------------------------------------------------------------------------------------- */

/* The bytes of a value, for the reader of protobuf. */
struct value {
	struct tfs_input in;
	const uint8_t *bytes;
};

static int read_value(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, bool ahead, struct tfs_error *err)
{
	(void)ahead, (void)err;
	assert(offset <= in->size && len <= in->size - offset); /* it reads within the size */
	memcpy(buf, ((const struct value *)in)->bytes + offset, len);
	return 0;
}

static const struct tfs_input_ops value_ops = { .read_at = read_value };

static struct value value_of(const uint8_t *bytes, size_t len)
{
	return (struct value){ { .ops = &value_ops, .size = len, .fd = -1 }, bytes };
}

typedef int field_fn(struct bundle *b, const struct tfs_pb_field *f);

/* @fn for each field of the message @in, or the current one's rest. */
static int each_field(struct bundle *b, field_fn *fn)
{
	struct tfs_pb_field f;
	int r;

	while ((r = tfs_pb_next(&b->pb, &f)) > 0) {
		r = fn(b, &f);
		if (r)
			return r;
	}
	return r;
}

static int each_field_of(struct bundle *b, const struct tfs_pb_field *message, field_fn *fn)
{
	struct tfs_pb_place back;
	int r = tfs_pb_enter(&b->pb, message, &back);

	if (!r)
		r = each_field(b, fn);
	if (!r)
		tfs_pb_leave(&b->pb, back);
	return r;
}

/* Read the message of a value. -EINVAL: it isn't one. */
static int read_message(struct bundle *b, const uint8_t *bytes, size_t len, field_fn *fn)
{
	const struct value v = value_of(bytes, len);
	struct tfs_error err = { 0 };
	int r;

	tfs_pb_init(&b->pb, &v.in, &err);
	r = each_field(b, fn);
	return r == -EINVAL ? tfs_error_set(b->err, r, b->at, "an entry of this block: %s", err.what) : r;
}

/* --- Entries ------------------------------------------------------------------------------------------------------- */

static int header_field(struct bundle *b, const struct tfs_pb_field *f)
{
	if (f->number == HEADER_SHARDS)
		b->n_shards = f->value > MAX_SHARDS ? MAX_SHARDS + 1 : f->value;
	if (f->number == HEADER_ENDIANNESS)
		b->big_endian = f->value == 1;
	return 0;
}

static int dim_field(struct bundle *b, const struct tfs_pb_field *f)
{
	if (f->number == DIM_SIZE && f->wire == TFS_PB_VARINT)
		b->entry.shape[b->entry.ndim] = f->value; /* a negative one is too large for any file */
	return 0;
}

static int shape_field(struct bundle *b, const struct tfs_pb_field *f)
{
	int r;

	if (f->number != SHAPE_DIM)
		return 0;
	if (b->entry.ndim == TFS_MAX_DIMS) {
		b->entry.too_many = true;
		return 0;
	}
	b->entry.shape[b->entry.ndim] = 0;
	r = each_field_of(b, f, dim_field);
	b->entry.ndim++;
	return r;
}

static int extent_field(struct bundle *b, const struct tfs_pb_field *f)
{
	struct tfs_tf_entry *e = &b->entry;

	if (f->number == EXTENT_START && f->wire == TFS_PB_VARINT)
		e->extents[e->n_extents].start = (int64_t)f->value;
	if (f->number == EXTENT_LENGTH && f->wire == TFS_PB_VARINT)
		e->extents[e->n_extents].length = (int64_t)f->value;
	return 0;
}

static int slice_field(struct bundle *b, const struct tfs_pb_field *f)
{
	struct tfs_tf_entry *e = &b->entry;
	int r;

	if (f->number != SLICE_EXTENT)
		return 0;
	if (tfs_share_scratch(b->in->share, sizeof *e->extents) || tfs_array_room(e->extents, e->n_extents, e->room_extents))
		return -ENOMEM;
	e->extents[e->n_extents] = (struct tfs_tf_extent){ 0, -1 };
	r = each_field_of(b, f, extent_field);
	e->n_extents++;
	return r;
}

static int entry_field(struct bundle *b, const struct tfs_pb_field *f)
{
	struct tfs_tf_entry *e = &b->entry;

	switch (f->number) {
	case ENTRY_DTYPE:
		e->dtype = f->value > REFERENCE ? f->value - REFERENCE : f->value;
		return 0;
	case ENTRY_SHAPE:
		return each_field_of(b, f, shape_field);
	case ENTRY_SHARD:
		e->shard = f->value;
		return 0;
	case ENTRY_OFFSET:
		e->offset = f->value;
		return 0;
	case ENTRY_SIZE:
		e->size = f->value;
		return 0;
	case ENTRY_SLICES:
		e->n_slices++;
		return each_field_of(b, f, slice_field);
	default:
		return 0;
	}
}

/* --- Tensors ------------------------------------------------------------------------------------------------------- */

static const struct type *type_of(uint64_t dtype)
{
	return dtype < sizeof types / sizeof *types && types[dtype].name ? &types[dtype] : NULL;
}

static const struct tfs_dtype *dtype_of(struct bundle *b, const struct type *t)
{
	return t->npy ? tfs_catalog_dtype(b->catalog, t->name, t->npy, 1, t->size) : tfs_dtype_by_name(t->name, strlen(t->name));
}

/* The graph of objects is in every file of TensorFlow 2, and nobody misses it. */
static void pass_over(struct bundle *b, const char *name, size_t len, const struct type *t)
{
	static const char graph[] = "_CHECKPOINTABLE_OBJECT_GRAPH";
	char quoted[TFS_QUOTE_SIZE];

	if ((len != sizeof graph - 1 || memcmp(name, graph, len) != 0) && !b->n_foreign++)
		snprintf(b->first_foreign, sizeof b->first_foreign, "%s, of %s", tfs_quote(quoted, sizeof quoted, name, len),
			 t->name);
}

/* The bytes of the tensor added last are in data file @shard. */
static int set_location(struct bundle *b, uint64_t shard)
{
	char location[NAME_MAX + 32];
	int len = snprintf(location, sizeof location, "%.*s.data-%05u-of-%05u", (int)b->prefix_len, b->file_name, (unsigned)shard,
			   b->n_shards);

	return tfs_catalog_external(b->catalog, location, len);
}

static int by_key(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	return tfs_name_cmp((const char *)x->key, x->len, (const char *)y->key, y->len);
}

static const struct slice *find_slice(const struct bundle *b, const struct slice *key)
{
	size_t at = tfs_search(i, 0, b->n_slices, by_key(&b->slices[i], key) < 0);

	return at < b->n_slices && !by_key(&b->slices[at], key) ? &b->slices[at] : NULL;
}

/*
 * Add the piece of the tensor @e, of @nbytes and elements of @size bytes, that the slice @extents is. NULL, with the error code in *@r
 * if it isn't 0; else why it can't be read.
 */
static const char *add_slice(struct bundle *b, const struct tfs_tf_entry *e, const struct tfs_tf_extent *extents, uint32_t size,
			     struct slice *key, uint64_t *shard, int *r)
{
	uint64_t start[TFS_MAX_DIMS], count[TFS_MAX_DIMS], nbytes = size;
	const struct tfs_box box = { start, count, count };
	const struct slice *s = find_slice(b, key);

	if (!s)
		return "a slice of it isn't in the index";
	for (unsigned i = 0; i < e->ndim; i++) {
		bool whole = extents[i].length < 0;

		start[i] = whole ? 0 : (uint64_t)extents[i].start;
		count[i] = whole ? e->shape[i] : (uint64_t)extents[i].length;
		if (start[i] > e->shape[i] || count[i] > e->shape[i] - start[i])
			return "a slice isn't within its shape";
		nbytes *= count[i]; /* not more than the tensor's */
	}
	if (s->entry.dtype != e->dtype || s->entry.size != nbytes || s->entry.n_slices)
		return "a slice has another type or size";
	if (*shard != UINT64_MAX && *shard != s->entry.shard)
		return "its slices are in several data files, and a tensor is read from one";
	*shard = s->entry.shard;
	if (s->entry.offset > INT64_MAX || nbytes > INT64_MAX - s->entry.offset)
		return "a slice is beyond 2^63 bytes";
	*r = tfs_pieces_add_box(&b->pieces, e->shape, e->ndim, size, &box, s->entry.offset);
	if (*r == -E2BIG) {
		*r = 0;
		return "it is in too many pieces";
	}
	return NULL;
}

/* The tensor in slices: sets its shard, its offset and @how. 0, or -ENOMEM; *@why: it can't be read. */
static int join_slices(struct bundle *b, const char *name, size_t len, const struct tfs_dtype *dtype, uint64_t nbytes,
		       struct tfs_encoding *how, const char **why)
{
	struct tfs_tf_entry *e = &b->entry;
	cleanup_free uint8_t *key = malloc(tfs_tf_key_size(len, e->ndim));
	int r = key ? 0 : -ENOMEM;

	e->shard = UINT64_MAX;
	tfs_pieces_clear(&b->pieces);
	if (e->n_extents != e->n_slices * e->ndim || !e->ndim) {
		*why = "its slices have other dimensions";
		return r;
	}
	for (uint64_t i = 0; i < e->n_slices && !r && !*why; i++) {
		const struct tfs_tf_extent *extents = e->extents + i * e->ndim;
		struct slice s = { .key = key, .len = tfs_tf_key(name, len, extents, e->ndim, key) };

		*why = add_slice(b, e, extents, dtype->block_bytes, &s, &e->shard, &r);
	}
	if (r || *why)
		return r;
	r = tfs_pieces_encode(&b->pieces, nbytes, &e->offset, how);
	if (r == -EINVAL) {
		*why = "its slices overlap, or leave something out";
		r = 0;
	}
	return r;
}

/* Why the entry can't be shown, or NULL. */
static const char *wrong_entry(const struct bundle *b, const struct tfs_dtype *dtype, uint64_t *ret_nbytes)
{
	const struct tfs_tf_entry *e = &b->entry;

	if (e->too_many)
		return "it has more than 64 dimensions";
	if (tfs_dtype_nbytes(dtype, e->shape, e->ndim, ret_nbytes) || *ret_nbytes > INT64_MAX)
		return "its shape has more than 2^63 bytes";
	if (!e->n_slices && e->size != *ret_nbytes)
		return "dtype and shape make another number of bytes than its entry has";
	return NULL;
}

static int leave_out(struct bundle *b, const char *name, size_t len, const char *why)
{
	return tfs_catalog_leave_out(b->catalog, name, len, b->at, "%s", why);
}

static int add_tensor(struct bundle *b, const char *name, size_t len)
{
	struct tfs_tf_entry *e = &b->entry;
	const struct type *t = type_of(e->dtype);
	const struct tfs_dtype *dtype = t && !t->foreign ? dtype_of(b, t) : NULL;
	struct tfs_encoding how = { 0 };
	const char *why;
	uint64_t nbytes = 0;
	int r = 0;

	if (!t)
		return leave_out(b, name, len, "its data type is unknown");
	if (t->foreign) {
		pass_over(b, name, len, t);
		return 0;
	}
	if (!dtype)
		return -ENOMEM;
	why = wrong_entry(b, dtype, &nbytes);
	how.length = nbytes;
	if (!why && e->n_slices && nbytes)
		r = join_slices(b, name, len, dtype, nbytes, &how, &why);
	if (!r && !why && nbytes && e->shard >= b->n_shards)
		why = "it is in a data file that the header doesn't count";
	if (!r && !why && e->offset > INT64_MAX)
		why = "it is beyond 2^63 bytes";
	if (r || why)
		return r ? r : leave_out(b, name, len, why);
	how.swap = b->big_endian ? t->word : 0;
	r = tfs_catalog_add(b->catalog, name, len, dtype, e->shape, e->ndim, nbytes ? e->offset : 0, nbytes);
	if (!r && nbytes && (how.swap || how.n_segments))
		r = tfs_catalog_encode(b->catalog, NULL, &how);
	return r || !nbytes ? r : set_location(b, e->shard);
}

/* --- The table ----------------------------------------------------------------------------------------------------- */

static int read_header(struct bundle *b, const uint8_t *value, size_t len)
{
	int r = read_message(b, value, len, header_field);

	b->has_header = true;
	if (!r && (!b->n_shards || b->n_shards > MAX_SHARDS))
		r = tfs_error_set(b->err, -EINVAL, b->at, "a checkpoint in no data files, or in more than %d", MAX_SHARDS);
	return r;
}

/* Keep the slice for the tensor that it is of, whose name comes later. */
static int keep_slice(struct bundle *b, const uint8_t *key, size_t len)
{
	struct slice s = { .len = len, .entry = b->entry };

	if (tfs_share_scratch(b->in->share, sizeof s + len) || tfs_array_room(b->slices, b->n_slices, b->room_slices))
		return -ENOMEM;
	s.entry.extents = NULL;
	s.key = (const uint8_t *)tfs_arena_copy(&b->keys, (const char *)key, len);
	b->slices[b->n_slices++] = s;
	return s.key ? 0 : -ENOMEM;
}

static int read_pair(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len, uint64_t at)
{
	struct bundle *b = arg;
	struct tfs_tf_extent *extents = b->entry.extents;
	char quoted[TFS_QUOTE_SIZE];
	size_t room = b->entry.room_extents;
	int r;

	b->at = at;
	if (!b->has_header)
		return key_len ? tfs_error_set(b->err, -EINVAL, at, "isn't a TensorFlow checkpoint's index: it has no header") :
				 read_header(b, value, value_len);
	b->entry = (struct tfs_tf_entry){ .extents = extents, .room_extents = room };
	r = read_message(b, value, value_len, entry_field);
	if (r)
		return r;
	if (!*key) /* of a slice */
		return keep_slice(b, key, key_len);
	if (!tfs_utf8_valid((const char *)key, key_len)) {
		tfs_quote(quoted, sizeof quoted, (const char *)key, key_len);
		return leave_out(b, quoted, strlen(quoted), "its name isn't UTF-8");
	}
	return add_tensor(b, (const char *)key, key_len);
}

static int read_file(struct bundle *b)
{
	int r = tfs_sstable_read(b->in, read_pair, b, b->err);

	if (!r && !b->has_header)
		r = tfs_error_set(b->err, -EINVAL, 0, "isn't a TensorFlow checkpoint's index: it has no entries");
	if (!r && b->n_foreign)
		r = tfs_catalog_note(b->catalog, TFS_NO_OFFSET, "%zu %s passed over, the first is %s", b->n_foreign,
				     b->n_foreign == 1 ? "entry that isn't of numbers" : "entries that aren't of numbers",
				     b->first_foreign);
	return r;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct bundle *b = calloc(1, sizeof *b);
	int r;

	if (!b)
		return -ENOMEM;
	b->in = in;
	b->catalog = catalog;
	b->err = err;
	b->file_name = file_name;
	b->prefix_len = strlen(file_name) - (tfs_format_ends_with(file_name, EXTENSION) ? strlen(EXTENSION) : 0);
	r = read_file(b);
	free(b->slices);
	free(b->entry.extents);
	tfs_arena_fini(&b->keys);
	tfs_pieces_fini(&b->pieces);
	free(b);
	return r;
}

/*
 * Where a first block compressed by snappy has its first bytes as they are: after its size, and the length of these. @p, of @len bytes,
 * if it isn't one.
 */
static const uint8_t *literal(const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (at < 5 && at < len && p[at] & 0x80)
		at++;
	at++;
	if (at + 6 > len || p[at] & 3 || !p[0])
		return p;
	/* Up to 60 bytes; or the length follows, in 1 to 4 bytes. */
	return p + at + 1 + (p[at] >> 2 < 60 ? 0 : (p[at] >> 2) - 59);
}

/* By how it ends; or, where that is missing, by its first pair: an empty key, and a header that begins with the number of data files. */
static bool recognises(const struct tfs_sample *s)
{
	uint8_t footer[TFS_SSTABLE_FOOTER];
	const uint8_t *p = literal(s->start, s->len);

	if (p + 8 < s->start + s->len && !p[0] && !p[1] && p[2] && p[2] <= 32 && p[3] == (HEADER_SHARDS << 3 | TFS_PB_VARINT))
		return true;
	if (s->in->size < sizeof footer)
		return false;
	int r = tfs_input_read(s->in, footer, sizeof footer, s->in->size - sizeof footer, NULL);
	return r ? tfs_sample_fails(s, r) : tfs_sstable_claims(footer);
}

const struct tfs_format tfs_format_tensorflow = {
	.name = "tensorflow",
	.what = "a TensorFlow checkpoint",
	.extensions = (const char *const[]){ NULL },
	.ambiguous = (const char *const[]){ EXTENSION, NULL },
	.external = true,
	.recognises = recognises,
	.parse = parse,
};
