/* SPDX-License-Identifier: MIT */
/*
 * NumPy arrays in a pickle: from what would rebuild one (numpy/core/src/multiarray/methods.c, array_reduce() and array_setstate();
 * for protocol 5 array_reduce_ex_picklebuffer()) to its bytes, which are in the pickle. In protocols 0 to 2 Python 3 can't pickle bytes,
 * and writes them as a text whose characters are the bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/numpy/header.h"
#include "format/numpy/type.h"
#include "format/torch/impl.h"
#include "storage/storage.h"

/* Decoded bytes from one position of a text where decoding may start to the next. */
enum { STEP = 1 << 16 };

/* What is known of an array. */
struct spec {
	const struct tfs_pickle_value *shape, *dtype, *bytes;
	bool fortran;
};

/* Its bytes. */
struct where {
	uint64_t offset, length; /* in the file */
	bool text;		 /* these are characters, in UTF-8 */
};

/* --- Types --------------------------------------------------------------------------------------------------------- */

static bool is_numpy(const struct tfs_pickle_value *global, const char *name)
{
	return tfs_pickle_is_global(global, "numpy", name);
}

/* The word in the arguments of numpy.dtype(), or the name of a class of numbers, as in the type of ml_dtypes. False: neither. */
static bool word_of(const struct tfs_pickle_value *dtype, char buf[TFS_NPY_WORD], bool *ret_class)
{
	const struct tfs_pickle_value *args = tfs_pickle_item(dtype, TFS_PICKLE_CALL, TFS_PICKLE_ARGS);
	const struct tfs_pickle_value *word = tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0);
	const char *text;
	uint32_t len;

	if (!is_numpy(tfs_pickle_item(dtype, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE), "dtype") || !word)
		return false;
	*ret_class = tfs_pickle_type(word) == TFS_PICKLE_GLOBAL;
	if (*ret_class)
		word = tfs_pickle_item(word, TFS_PICKLE_GLOBAL, 1);
	if (tfs_pickle_type(word) != TFS_PICKLE_STR && tfs_pickle_type(word) != TFS_PICKLE_BYTES)
		return false;
	text = tfs_pickle_text(word, &len);
	if (!len || len >= TFS_NPY_WORD - 1 || memchr(text, '\0', len))
		return false;
	memcpy(buf, text, len);
	buf[len] = '\0';
	return true;
}

/*
 * The type that a pickled numpy.dtype is: 0, or -EINVAL and why not. Its state is (version, byte order, subdtype, names, fields, size,
 * alignment, flags), followed by the unit of a time.
 */
static int read_dtype(const struct tfs_pickle_value *dtype, struct tfs_npy_type *ret, const char **ret_why)
{
	const struct tfs_pickle_value *state = tfs_pickle_item(dtype, TFS_PICKLE_CALL, TFS_PICKLE_STATE);
	const struct tfs_pickle_value *order = tfs_pickle_item(state, TFS_PICKLE_TUPLE, 1);
	char word[TFS_NPY_WORD + 1];
	bool class;

	*ret_why = "its type isn't one that NumPy pickles";
	if (!word_of(dtype, word + 1, &class))
		return -EINVAL;
	word[0] = tfs_pickle_is_text(order, ">") ? '>' : tfs_pickle_is_text(order, "|") ? '|' : '<';
	for (size_t i = 2; i < 5; i++) {
		const struct tfs_pickle_value *part = tfs_pickle_item(state, TFS_PICKLE_TUPLE, i);

		*ret_why = "an array of a structured type";
		if (part && tfs_pickle_type(part) != TFS_PICKLE_NONE)
			return -EINVAL;
	}
	*ret_why = "its type is unknown";
	/* Words of one letter and digits have an order before them; names don't. */
	if (tfs_npy_type_parse(class ? word + 1 : word, ret) && tfs_npy_type_parse(word + 1, ret))
		return -EINVAL;
	*ret_why = "an array of times, whose unit is in the pickle";
	if (ret->kind == 'M' || ret->kind == 'm')
		return -EINVAL;
	*ret_why = "an array of Python objects";
	if (ret->kind == 'O')
		return -EINVAL;
	*ret_why = NULL;
	return 0;
}

/* Bytes of an element, also of a type that isn't shown; 0: unknown. */
static uint64_t item_size(const struct tfs_pickle_value *dtype)
{
	const struct tfs_pickle_value *state = tfs_pickle_item(dtype, TFS_PICKLE_CALL, TFS_PICKLE_STATE);
	const struct tfs_pickle_value *size = tfs_pickle_item(state, TFS_PICKLE_TUPLE, 5); /* of a structure, else -1 */
	struct tfs_npy_type type = { 0 };
	const char *why;
	int64_t n;

	if (size && tfs_pickle_number(size, &n) && n >= 0)
		return (uint64_t)n;
	read_dtype(dtype, &type, &why);
	return type.kind == 'O' ? 0 : type.size;
}

static bool is_objects(const struct tfs_pickle_value *dtype)
{
	char word[TFS_NPY_WORD];
	bool class;

	return word_of(dtype, word, &class) && !class && word[0] == 'O';
}

/* --- Arrays -------------------------------------------------------------------------------------------------------- */

/* (version, shape, dtype, is_fortran, bytes); in the first versions of NumPy without the version. */
static bool read_state(const struct tfs_pickle_value *state, struct spec *ret)
{
	const struct tfs_pickle_value *fortran;
	size_t first;

	if (!state || tfs_pickle_type(state) != TFS_PICKLE_TUPLE || tfs_pickle_node(state)->n_items < 4)
		return false;
	first = tfs_pickle_node(state)->n_items == 4 ? 0 : 1;
	fortran = tfs_pickle_item(state, TFS_PICKLE_TUPLE, first + 2);
	*ret = (struct spec){
		.shape = tfs_pickle_item(state, TFS_PICKLE_TUPLE, first),
		.dtype = tfs_pickle_item(state, TFS_PICKLE_TUPLE, first + 1),
		.bytes = tfs_pickle_item(state, TFS_PICKLE_TUPLE, first + 3),
		.fortran = fortran && tfs_pickle_type(fortran) == TFS_PICKLE_BOOL && tfs_pickle_int(fortran),
	};
	return true;
}

bool tfs_torch_has_objects(const struct tfs_pickle_value *state)
{
	struct spec a;

	return read_state(state, &a) && is_objects(a.dtype) && a.bytes && tfs_pickle_type(a.bytes) == TFS_PICKLE_LIST;
}

/* The value of the attribute @name in @state, a DICT; the last one, if there are several. */
static const struct tfs_pickle_value *attribute(const struct tfs_pickle_value *state, const char *name)
{
	const struct tfs_pickle_value *key, *value, *found = NULL;
	struct tfs_pickle_iter it;

	if (!state || tfs_pickle_type(state) != TFS_PICKLE_DICT)
		return NULL;
	it = tfs_pickle_iter(state);
	while ((key = tfs_pickle_next(&it))) {
		value = tfs_pickle_next(&it);
		if (tfs_pickle_is_text(key, name))
			found = value;
	}
	return found;
}

static void read_joblib(const struct tfs_pickle_value *call, struct spec *ret)
{
	const struct tfs_pickle_value *state = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_STATE);

	*ret = (struct spec){
		.shape = attribute(state, "shape"),
		.dtype = attribute(state, "dtype"),
		.bytes = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_ITEMS),
		.fortran = tfs_pickle_is_text(attribute(state, "order"), "F"),
	};
}

static bool read_spec(const struct tfs_torch_tensor *tensor, struct spec *ret)
{
	switch (tensor->rebuild->array) {
	case TFS_ARRAY_STATE:
		return read_state(tensor->from, ret);
	case TFS_ARRAY_BUFFER:
		*ret = (struct spec){
			.bytes = tfs_pickle_item(tensor->from, TFS_PICKLE_TUPLE, 0),
			.dtype = tfs_pickle_item(tensor->from, TFS_PICKLE_TUPLE, 1),
			.shape = tfs_pickle_item(tensor->from, TFS_PICKLE_TUPLE, 2),
			.fortran = tfs_pickle_is_text(tfs_pickle_item(tensor->from, TFS_PICKLE_TUPLE, 3), "F"),
		};
		return true;
	default:
		read_joblib(tensor->from, ret);
		return true;
	}
}

/* Shape and size, of elements of @size bytes. NULL, or why there is no such array. */
static const char *measure(const struct spec *a, uint64_t size, struct tfs_npy_array *ret)
{
	unsigned long_dims = 0;
	int64_t n;

	*ret = (struct tfs_npy_array){ .nbytes = size };
	if (!size)
		return "its elements have no size";
	if (!a->shape || tfs_pickle_type(a->shape) != TFS_PICKLE_TUPLE)
		return "its shape isn't a tuple";
	if (tfs_pickle_node(a->shape)->n_items > TFS_MAX_DIMS)
		return "more than 64 dimensions";
	for (unsigned i = 0; i < tfs_pickle_node(a->shape)->n_items; i++) {
		const struct tfs_pickle_value *dim = tfs_pickle_item(a->shape, TFS_PICKLE_TUPLE, i);

		if (!dim || !tfs_pickle_number(dim, &n) || n < 0)
			return "its shape has something other than a number from 0 to 2^63-1";
		ret->shape[ret->ndim++] = (uint64_t)n;
		long_dims += n > 1;
		if (!n)
			ret->nbytes = 0;
	}
	for (unsigned i = 0; i < ret->ndim && ret->nbytes; i++)
		if (ckd_mul(&ret->nbytes, ret->nbytes, ret->shape[i]) || ret->nbytes > INT64_MAX)
			return "the shape has more than 2^63-1 bytes";
	ret->fortran = a->fortran && long_dims > 1 && ret->nbytes;
	return NULL;
}

/* --- Bytes --------------------------------------------------------------------------------------------------------- */

static bool is_bytes_class(const struct tfs_pickle_value *global)
{
	static const char *const modules[] = { "builtins", "__builtin__" };

	for (size_t i = 0; i < 2; i++)
		if (tfs_pickle_is_global(global, modules[i], "bytes") || tfs_pickle_is_global(global, modules[i], "bytearray"))
			return true;
	return false;
}

/* Where the value's own bytes are; @text: it is a text whose characters are meant. */
static bool place_of(const struct tfs_torch *t, const struct tfs_pickle_value *v, bool text, struct where *ret)
{
	const char *bytes;
	uint32_t len;

	if (tfs_pickle_type(v) == TFS_PICKLE_FAR) {
		ret->offset = (uint64_t)tfs_pickle_int(tfs_pickle_item(v, TFS_PICKLE_FAR, TFS_PICKLE_FAR_OFFSET));
		ret->length = (uint64_t)tfs_pickle_int(tfs_pickle_item(v, TFS_PICKLE_FAR, TFS_PICKLE_FAR_LENGTH));
		ret->text = text;
		return tfs_pickle_int(tfs_pickle_item(v, TFS_PICKLE_FAR, TFS_PICKLE_FAR_TEXT)) == text;
	}
	if (tfs_pickle_type(v) != (text ? TFS_PICKLE_STR : TFS_PICKLE_BYTES))
		return false;
	bytes = tfs_pickle_text(v, &len);
	*ret = (struct where){ tfs_pickle_place(&t->pickle, (size_t)(bytes - t->pickle.buf)), len, text };
	return true;
}

/* The bytes of @v: itself, or _codecs.encode(text, "latin1"), or @made by bytearray() of either, or bytes(). */
static bool find_bytes(const struct tfs_torch *t, const struct tfs_pickle_value *v, bool made, struct where *ret)
{
	const struct tfs_pickle_value *callee = tfs_pickle_item(v, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE);
	const struct tfs_pickle_value *args = tfs_pickle_item(v, TFS_PICKLE_CALL, TFS_PICKLE_ARGS);
	const struct tfs_pickle_value *of = tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0);
	const struct tfs_pickle_value *codec = tfs_pickle_item(args, TFS_PICKLE_TUPLE, 1);
	bool latin1 = tfs_pickle_is_text(codec, "latin1") || tfs_pickle_is_text(codec, "latin-1");

	if (!v)
		return false;
	if (tfs_pickle_type(v) != TFS_PICKLE_CALL)
		return place_of(t, v, false, ret);
	if (tfs_pickle_is_global(callee, "_codecs", "encode"))
		return of && latin1 && place_of(t, of, true, ret);
	if (made || !is_bytes_class(callee))
		return false;
	*ret = (struct where){ 0 };
	if (!of)
		return true;
	return codec ? latin1 && place_of(t, of, true, ret) : find_bytes(t, of, true, ret);
}

/* --- Text ---------------------------------------------------------------------------------------------------------- */

struct text {
	struct tfs_segment *segments;
	size_t n, room;
	uint64_t count; /* characters so far */
	uint8_t lead;	/* the first byte of a character whose second is next, or 0 */
};

/* The @len bytes at @bytes, at @offset of the file. -EINVAL: not UTF-8 of characters up to U+00FF. */
static int scan(struct text *x, const uint8_t *bytes, size_t len, uint64_t offset)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = bytes[i];

		if (x->lead ? (c & 0xc0) != 0x80 : c >= 0x80 && c != 0xc2 && c != 0xc3)
			return -EINVAL;
		if (!x->lead && x->count % STEP == 0 && (!x->n || x->segments[x->n - 1].at != x->count)) {
			if (tfs_array_room(x->segments, x->n, x->room))
				return -ENOMEM;
			x->segments[x->n++] = (struct tfs_segment){ .offset = offset + i, .at = x->count };
		}
		x->lead = !x->lead && c >= 0x80 ? c : 0;
		x->count += !x->lead;
	}
	return 0;
}

static int scan_all(const struct tfs_torch *t, const struct where *at, struct text *x)
{
	enum { PIECE = 1 << 18 };
	cleanup_free uint8_t *buf = malloc(PIECE);
	uint64_t done = 0;
	int r = buf ? 0 : -ENOMEM;

	while (!r && done < at->length) {
		size_t n = at->length - done < PIECE ? at->length - done : PIECE;

		r = tfs_share_scratch(t->in->share, 0); /* for the time */
		if (!r)
			r = tfs_input_read(t->in, buf, n, at->offset + done, t->err);
		if (!r)
			r = scan(x, buf, n, at->offset + done);
		done += n;
	}
	return r || !x->lead ? r : -EINVAL;
}

/* An array whose bytes are a text. */
static int add_text(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, const struct tfs_npy_array *array,
		    const struct where *at)
{
	struct tfs_encoding encoding = { .coding = TFS_LATIN1, .length = at->length };
	struct text x = { 0 };
	int r = scan_all(t, at, &x);

	if (r == -EINVAL)
		r = tfs_torch_leave_out(t, tensor, "its bytes aren't such a text");
	else if (!r && x.count != array->nbytes)
		r = tfs_torch_leave_out(t, tensor, "%" PRIu64 " bytes for a shape of %" PRIu64, x.count, array->nbytes);
	else if (!r && at->length == array->nbytes) /* no byte above 127, so they are as they are */
		r = tfs_npy_add(t->catalog, tensor->name, tensor->name_len, array, at->offset, NULL);
	else if (!r) {
		encoding.segments = x.segments;
		encoding.n_segments = x.n;
		r = tfs_npy_add(t->catalog, tensor->name, tensor->name_len, array, at->offset, &encoding);
	}
	free(x.segments);
	return r;
}

/* --- The catalog --------------------------------------------------------------------------------------------------- */

static int add(struct tfs_torch *t, const struct tfs_torch_tensor *tensor)
{
	struct tfs_npy_array array = { 0 };
	struct tfs_npy_type type;
	struct where at = { 0 };
	struct spec a;
	const char *why = NULL;

	if (!read_spec(tensor, &a))
		return tfs_torch_leave_out(t, tensor, "a NumPy array without a state");
	if (!read_dtype(a.dtype, &type, &why))
		why = measure(&a, type.size, &array);
	if (why)
		return tfs_torch_leave_out(t, tensor, "%s", why);
	if (!find_bytes(t, a.bytes, false, &at) && array.nbytes) /* joblib has none of an empty one */
		return tfs_torch_leave_out(t, tensor, "its bytes aren't in the pickle");
	if (t->pickle.inflated && at.length)
		return tfs_torch_leave_out(t, tensor, "its bytes are in a compressed pickle");
	array.dtype = tfs_npy_type_dtype(&type, t->catalog, &array.swap);
	if (!array.dtype)
		return -ENOMEM;
	if (at.text && at.length)
		return add_text(t, tensor, &array, &at);
	if (at.length != array.nbytes)
		return tfs_torch_leave_out(t, tensor, "%" PRIu64 " bytes for a shape of %" PRIu64, at.length, array.nbytes);
	return tfs_npy_add(t->catalog, tensor->name, tensor->name_len, &array, at.offset, NULL);
}

int tfs_torch_add_array(struct tfs_torch *t, const struct tfs_torch_tensor *tensor)
{
	int r = add(t, tensor);

	return r > 0 ? 0 : r;
}

/* --- joblib -------------------------------------------------------------------------------------------------------- */

int tfs_torch_follow_joblib(struct tfs_pickle *p, const struct tfs_pickle_value *call, uint64_t offset, uint64_t *ret_before,
			    uint64_t *ret_len, bool *ret_pickle)
{
	const struct tfs_pickle_value *alignment;
	const struct tfs_torch_rebuild *rebuild;
	struct tfs_npy_array array;
	const char *why;
	struct spec a;
	bool by_state;
	uint8_t n;
	int r;

	rebuild = tfs_torch_rebuild(tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE), &by_state);
	if (!rebuild || rebuild->array != TFS_ARRAY_JOBLIB)
		return 0;
	read_joblib(call, &a);
	if (is_objects(a.dtype)) {
		*ret_pickle = true;
		return 0;
	}
	why = measure(&a, item_size(a.dtype), &array);
	if (why)
		return tfs_error_set(p->err, -EINVAL, offset, "an array of joblib's, so that what follows can't be found: %s", why);
	*ret_len = array.nbytes;
	/* Since version 1.2 a byte says how many bytes of padding follow it. */
	alignment = attribute(tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_STATE), "numpy_array_alignment_bytes");
	if (!alignment || tfs_pickle_type(alignment) == TFS_PICKLE_NONE)
		return 0;
	if (offset >= p->in->size)
		return tfs_error_set(p->err, -EINVAL, offset, "the file ends before the bytes of an array");
	r = tfs_input_read(p->in, &n, 1, offset, p->err);
	*ret_before = 1 + (uint64_t)n;
	return r;
}
