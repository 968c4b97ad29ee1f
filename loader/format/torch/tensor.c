/* SPDX-License-Identifier: MIT */
/*
 * One tensor: from the arguments of the call that would rebuild it (torch/_utils.py) to its bytes in the file. A tensor is an
 * offset, sizes and strides over a storage; several may share one, and what they reach must lie within it.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "format/torch/impl.h"

/*
 * A tensor with repeated elements is larger than its part of the file. Beyond 1 TiB it can't be a weight, and the sum of a million
 * of them would exceed 64 bits.
 */
#define MAX_EXPANDED (UINT64_C(1) << 40)

/* clang-format off */
/*
 * The classes of storages are torch's own, or, if TorchScript wrote the file, its C++ names of the element types, of which there
 * are more (c10/core/ScalarType.h; Pickler::pushStorageOfTensor). In one of torch 1.12, UntypedStorage has a _ before it.
 */
static const struct tfs_torch_type types[] = {
	{ "FloatStorage", "float32", "float", "F32", NULL, 4, 4 },
	{ "BFloat16Storage", "bfloat16", NULL, "BF16", NULL, 2, 2 },
	{ "HalfStorage", "float16", "half", "F16", NULL, 2, 2 },
	{ "DoubleStorage", "float64", "double", "F64", NULL, 8, 8 },
	{ "LongStorage", "int64", "long", "I64", NULL, 8, 8 },
	{ "IntStorage", "int32", "int", "I32", NULL, 4, 4 },
	{ "ShortStorage", "int16", "short", "I16", NULL, 2, 2 },
	{ "CharStorage", "int8", NULL, "I8", NULL, 1, 1 },
	{ "ByteStorage", "uint8", NULL, "U8", NULL, 1, 1 },
	{ "BoolStorage", "bool", NULL, "BOOL", NULL, 1, 1 },
	{ "UntypedStorage", NULL, NULL, "U8", NULL, 1, 1 },
	{ "_UntypedStorage", NULL, NULL, "U8", NULL, 1, 1 },
	{ "ComplexFloatStorage", "complex64", "cfloat", "C64", NULL, 8, 4 },
	{ "ComplexDoubleStorage", "complex128", "cdouble", "C128", NULL, 16, 8 },
	{ "ComplexHalfStorage", "complex32", "chalf", "C32", NULL, 4, 2 },
	{ "UInt16Storage", "uint16", NULL, "U16", NULL, 2, 2 },
	{ "UInt32Storage", "uint32", NULL, "U32", NULL, 4, 4 },
	{ "UInt64Storage", "uint64", NULL, "U64", NULL, 8, 8 },
	{ "Float8_e4m3fnStorage", "float8_e4m3fn", NULL, "F8_E4M3", NULL, 1, 1 },
	{ "Float8_e5m2Storage", "float8_e5m2", NULL, "F8_E5M2", NULL, 1, 1 },
	{ "Float8_e4m3fnuzStorage", "float8_e4m3fnuz", NULL, "F8_E4M3FNUZ", NULL, 1, 1 },
	{ "Float8_e5m2fnuzStorage", "float8_e5m2fnuz", NULL, "F8_E5M2FNUZ", NULL, 1, 1 },
	{ "Float8_e8m0fnuStorage", "float8_e8m0fnu", NULL, "F8_E8M0", NULL, 1, 1 },
	/* An element of torch's is a pair: safetensors' torch bindings double the last dimension, and so do we. */
	{ "Float4_e2m1fn_x2Storage", "float4_e2m1fn_x2", NULL, "F4", NULL, 1, 1 },
	/*
	 * The integers of quantised tensors; scale and zero point are in the pickle. Names of our own: in f32/ they would mean
	 * other values.
	 */
	{ "QInt8Storage", "qint8", NULL, "QI8", "|i1", 1, 1 },
	{ "QUInt8Storage", "quint8", NULL, "QU8", "|u1", 1, 1 },
	{ "QInt32Storage", "qint32", NULL, "QI32", "<i4", 4, 4 },
};

/* Arguments: storage, offset, size, stride, and then */
static const struct tfs_torch_rebuild rebuilds[] = {
	{ "torch._utils", "_rebuild_tensor_v2", .metadata = 6 },
	{ "torch._utils", "_rebuild_tensor_v3", .dtype = 6, .metadata = 7 },
	{ "torch._utils", "_rebuild_tensor" },
	{ "torch._utils", "_rebuild_qtensor", .quantizer = 4 },
	/* Tensors without a storage: the file has no bytes for them. */
	{ "torch._utils", "_rebuild_meta_tensor_no_storage", .left_out = "on the meta device, and has no bytes" },
	{ "torch._utils", "_rebuild_device_tensor_from_numpy", .left_out = "saved as a NumPy array in the pickle" },
	{ "torch._utils", "_rebuild_xla_tensor", .left_out = "saved as a NumPy array in the pickle" },
	/* NumPy's, of versions 1 and 2: __reduce__() of an array, before protocol 5 and of it, and of a number. */
	{ "numpy.core.multiarray", "_reconstruct", .array = TFS_ARRAY_STATE },
	{ "numpy._core.multiarray", "_reconstruct", .array = TFS_ARRAY_STATE },
	{ "numpy.core.numeric", "_frombuffer", .array = TFS_ARRAY_BUFFER },
	{ "numpy._core.numeric", "_frombuffer", .array = TFS_ARRAY_BUFFER },
	{ "numpy.core.multiarray", "scalar", .foreign = "a NumPy number" },
	{ "numpy._core.multiarray", "scalar", .foreign = "a NumPy number" },
	{ "joblib.numpy_pickle", "NumpyArrayWrapper", .array = TFS_ARRAY_JOBLIB },
	{ "sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper", .array = TFS_ARRAY_JOBLIB },
	{ "joblib.numpy_pickle", "NDArrayWrapper", .foreign = "an array that an old joblib saved in a file of its own" },
	{ "joblib.numpy_pickle_compat", "NDArrayWrapper", .foreign = "an array that an old joblib saved in a file of its own" },
};

/* torch.FloatTensor and the like, before the functions existed: the same in their state. */
static const struct tfs_torch_rebuild by_state = { "torch", "Tensor" };
/* clang-format on */

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* Of the call that creates it, in the file. */
static uint64_t offset_of(const struct tfs_torch *t, const struct tfs_torch_tensor *tensor)
{
	return tfs_pickle_place(&t->pickle, tensor->at);
}

/*
 * Leave out a tensor that is invalid, or valid but can't be shown as it is, without affecting others. If no other one is left, the
 * file is refused for this reason. Returns 1, or -ENOMEM.
 */
int tfs_torch_leave_out(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, const char *fmt, ...)
{
	char why[256];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	r = tfs_catalog_leave_out(t->catalog, tensor->name, tensor->name_len, offset_of(t, tensor), "%s", why);
	return r ? r : 1;
}

/* Something that isn't a torch tensor, but that users may look for. It doesn't count as missing. Returns 1. */
static __attribute__((cold)) int pass_over(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, const char *what)
{
	char name[TFS_QUOTE_SIZE];
	int r = tfs_catalog_note(t->catalog, offset_of(t, tensor), "%s is %s, not a tensor: left out",
				 tfs_quote(name, sizeof name, tensor->name, tensor->name_len), what);

	return r ? r : 1;
}

static bool text_is(const struct tfs_pickle_value *v, const char *text)
{
	return text && tfs_pickle_is_text(v, text);
}

/* --- Globals ----------------------------------------------------------------------------------------------------- */

static bool ends_with(const struct tfs_pickle_value *v, const char *end)
{
	size_t end_len = strlen(end);
	const char *text;
	uint32_t len;

	if (!v)
		return false;
	text = tfs_pickle_text(v, &len);
	return len >= end_len && !memcmp(text + len - end_len, end, end_len);
}

/* torch, torch.cuda (old files) and torch.storage have the classes of storages and tensors. */
static bool of_torch(const struct tfs_pickle_value *global)
{
	const struct tfs_pickle_value *module = tfs_pickle_item(global, TFS_PICKLE_GLOBAL, 0);

	return text_is(module, "torch") || text_is(module, "torch.cuda") || text_is(module, "torch.storage");
}

const struct tfs_torch_rebuild *tfs_torch_rebuild(const struct tfs_pickle_value *global, bool *ret_by_state)
{
	for (size_t i = 0; i < LENGTH(rebuilds); i++)
		if (tfs_pickle_is_global(global, rebuilds[i].module, rebuilds[i].name)) {
			*ret_by_state = false;
			return &rebuilds[i];
		}
	if (of_torch(global) && ends_with(tfs_pickle_item(global, TFS_PICKLE_GLOBAL, 1), "Tensor")) {
		*ret_by_state = true;
		return &by_state;
	}
	return NULL;
}

static const struct tfs_torch_type *type_of_storage(const struct tfs_pickle_value *global)
{
	if (of_torch(global))
		for (size_t i = 0; i < LENGTH(types); i++)
			if (text_is(tfs_pickle_item(global, TFS_PICKLE_GLOBAL, 1), types[i].storage))
				return &types[i];
	return NULL;
}

static const struct tfs_torch_type *type_of_dtype(const struct tfs_pickle_value *global)
{
	const struct tfs_pickle_value *name = tfs_pickle_item(global, TFS_PICKLE_GLOBAL, 1);

	if (text_is(tfs_pickle_item(global, TFS_PICKLE_GLOBAL, 0), "torch"))
		for (size_t i = 0; i < LENGTH(types); i++)
			if (text_is(name, types[i].dtype) || text_is(name, types[i].alias))
				return &types[i];
	return NULL;
}

const struct tfs_torch_type *tfs_torch_type_of(const char *dtype)
{
	for (size_t i = 0; i < LENGTH(types); i++)
		if (types[i].dtype && !strcmp(types[i].dtype, dtype))
			return &types[i];
	return NULL;
}

static bool count_of(const struct tfs_pickle_value *v, uint64_t *ret)
{
	int64_t i;

	if (!v || !tfs_pickle_number(v, &i) || i < 0)
		return false;
	*ret = i;
	return true;
}

/*
 * ("storage", type, key, location, numel), and in files from before torch 1.6 followed by None or (key, offset, numel) of a view.
 */
bool tfs_torch_read_persid(const struct tfs_pickle_value *persid, struct tfs_torch_storage *ret)
{
	const struct tfs_pickle_value *id = tfs_pickle_item(persid, TFS_PICKLE_PERSID, 0), *view;
	uint64_t end;

	*ret = (struct tfs_torch_storage){
		.type = type_of_storage(tfs_pickle_item(id, TFS_PICKLE_TUPLE, 1)),
		.key = tfs_pickle_item(id, TFS_PICKLE_TUPLE, 2),
	};
	if (!text_is(tfs_pickle_item(id, TFS_PICKLE_TUPLE, 0), "storage") || !ret->type || !ret->key ||
	    (tfs_pickle_type(ret->key) != TFS_PICKLE_STR && tfs_pickle_type(ret->key) != TFS_PICKLE_BYTES) ||
	    !count_of(tfs_pickle_item(id, TFS_PICKLE_TUPLE, 4), &ret->numel))
		return false;
	ret->view_numel = ret->numel;
	view = tfs_pickle_item(id, TFS_PICKLE_TUPLE, 5);
	if (!view || tfs_pickle_type(view) == TFS_PICKLE_NONE)
		return true;
	return count_of(tfs_pickle_item(view, TFS_PICKLE_TUPLE, 1), &ret->view_at) &&
	       count_of(tfs_pickle_item(view, TFS_PICKLE_TUPLE, 2), &ret->view_numel) &&
	       !ckd_add(&end, ret->view_at, ret->view_numel) && end <= ret->numel;
}

/* --- Layout ------------------------------------------------------------------------------------------------------ */

/* 1: it is left out; the same for the next two. */
static int read_storage(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, const struct tfs_pickle_value *persid,
			struct tfs_torch_storage *s, struct tfs_torch_layout *l)
{
	const struct tfs_pickle_value *type = tfs_pickle_item(tfs_pickle_item(persid, TFS_PICKLE_PERSID, 0), TFS_PICKLE_TUPLE, 1);
	struct tfs_error *err = t->err, wrong = { .offset = TFS_NO_OFFSET };
	char key[TFS_QUOTE_SIZE];
	const char *text;
	uint64_t nbytes;
	uint32_t len;
	int r;

	if (of_torch(type) && !type_of_storage(type))
		return tfs_torch_leave_out(t, tensor, "its element type is unknown or smaller than a byte");
	if (!tfs_torch_read_persid(persid, s))
		return tfs_torch_leave_out(t, tensor, "its storage isn't one that torch writes");
	text = tfs_pickle_text(s->key, &len);
	tfs_quote(key, sizeof key, text, len);
	t->err = &wrong;
	r = t->find(t, s->key, &l->extent);
	t->err = err;
	if (r == -ENOENT)
		return tfs_torch_leave_out(t, tensor, "its storage %s isn't in the file", key);
	if (r == -EINVAL)
		return tfs_torch_leave_out(t, tensor, "its storage %s: %s", key, wrong.what);
	if (r)
		return tfs_error_set(err, r, wrong.offset, "%s", wrong.what);
	if (ckd_mul(&nbytes, s->numel, s->type->size) || nbytes > l->extent.nbytes)
		return tfs_torch_leave_out(t, tensor, "its storage %s has %" PRIu64 " elements of %u bytes in %" PRIu64 " bytes",
					   key, s->numel, s->type->size, l->extent.nbytes);
	l->type = s->type;
	l->begin = s->view_at * s->type->size; /* at most nbytes, and so is the next */
	l->room = s->view_numel * s->type->size;
	return 0;
}

/* A tuple of numbers, or torch.Size of such a tuple. */
static int read_dims(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, const struct tfs_pickle_value *v, const char *what,
		     uint64_t *dims, unsigned *ret_n)
{
	uint32_t n;

	if (tfs_pickle_is_global(tfs_pickle_item(v, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE), "torch", "Size"))
		v = tfs_pickle_item(tfs_pickle_item(v, TFS_PICKLE_CALL, TFS_PICKLE_ARGS), TFS_PICKLE_TUPLE, 0);
	if (!v || tfs_pickle_type(v) != TFS_PICKLE_TUPLE)
		return tfs_torch_leave_out(t, tensor, "its %s isn't a tuple", what);
	n = tfs_pickle_node(v)->n_items;
	if (n > TFS_MAX_DIMS)
		return tfs_torch_leave_out(t, tensor, "%" PRIu32 " dimensions; the limit is %d", n, TFS_MAX_DIMS);
	for (*ret_n = 0; *ret_n < n; (*ret_n)++)
		if (!count_of(tfs_pickle_item(v, TFS_PICKLE_TUPLE, *ret_n), &dims[*ret_n]))
			return tfs_torch_leave_out(t, tensor,
						   "its %s has something other than a number from 0 to 2^63-1 at index %u", what,
						   *ret_n);
	return 0;
}

/* {"conj": True}: the values differ from those stored. */
static bool negated(const struct tfs_pickle_value *metadata)
{
	const struct tfs_pickle_value *key;
	struct tfs_pickle_iter it;

	if (!metadata || tfs_pickle_type(metadata) != TFS_PICKLE_DICT)
		return false;
	it = tfs_pickle_iter(metadata);
	while ((key = tfs_pickle_next(&it))) {
		const struct tfs_pickle_value *value = tfs_pickle_next(&it);

		if ((text_is(key, "conj") || text_is(key, "neg")) && tfs_pickle_type(value) == TFS_PICKLE_BOOL &&
		    tfs_pickle_int(value))
			return true;
	}
	return false;
}

static int read_layout(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, struct tfs_torch_layout *l)
{
	const struct tfs_torch_rebuild *rebuild = tensor->rebuild;
	const struct tfs_pickle_value *args = tensor->from;
	struct tfs_torch_storage s = { 0 };
	unsigned n_strides = 0;
	int r;

	assert(!rebuild || !rebuild->array);
	if (rebuild && rebuild->foreign)
		return pass_over(t, tensor, rebuild->foreign);
	if (rebuild && rebuild->left_out)
		return tfs_torch_leave_out(t, tensor, "%s", rebuild->left_out);
	r = read_storage(t, tensor, rebuild ? tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0) : args, &s, l);
	if (r)
		return r;
	if (!rebuild) {
		l->ndim = 1;
		l->shape[0] = s.view_numel;
		l->strides[0] = 1;
		return 0;
	}
	if (!count_of(tfs_pickle_item(args, TFS_PICKLE_TUPLE, 1), &l->offset))
		return tfs_torch_leave_out(t, tensor, "its offset isn't a number from 0 to 2^63-1");
	r = read_dims(t, tensor, tfs_pickle_item(args, TFS_PICKLE_TUPLE, 2), "size", l->shape, &l->ndim);
	if (!r)
		r = read_dims(t, tensor, tfs_pickle_item(args, TFS_PICKLE_TUPLE, 3), "stride", l->strides, &n_strides);
	if (r)
		return r;
	if (n_strides != l->ndim)
		return tfs_torch_leave_out(t, tensor, "%u sizes and %u strides", l->ndim, n_strides);
	if (rebuild->metadata && negated(tfs_pickle_item(args, TFS_PICKLE_TUPLE, rebuild->metadata)))
		return tfs_torch_leave_out(t, tensor, "a conjugate or negative view, whose values differ from those stored");
	if (rebuild->dtype) {
		const struct tfs_pickle_value *dtype = tfs_pickle_item(args, TFS_PICKLE_TUPLE, rebuild->dtype);

		l->type = type_of_dtype(dtype);
		if (!l->type && of_torch(dtype))
			return tfs_torch_leave_out(t, tensor, "its element type is unknown or smaller than a byte");
		if (!l->type)
			return tfs_torch_leave_out(t, tensor, "its dtype isn't one of torch's");
	}
	return 0;
}

/* C order without gaps? The stride of a dimension of one element is never used. */
static bool contiguous(const struct tfs_torch_layout *l)
{
	uint64_t stride = 1;

	for (unsigned i = l->ndim; l->elems && i--; stride *= l->shape[i])
		if (l->shape[i] != 1 && l->strides[i] != stride)
			return false;
	return true;
}

/* Is it within its storage? 1: it is left out. */
static int check_layout(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, struct tfs_torch_layout *l)
{
	uint64_t last = 0, step, end, nbytes;

	assert(l->type);
	l->elems = 1;
	for (unsigned i = 0; i < l->ndim; i++)
		if (ckd_mul(&l->elems, l->elems, l->shape[i]))
			return tfs_torch_leave_out(t, tensor, "the shape has more than 2^64-1 elements");
	if (ckd_mul(&nbytes, l->elems, l->type->size) || nbytes > INT64_MAX)
		return tfs_torch_leave_out(t, tensor, "the shape has more than 2^63-1 bytes");
	l->plain = contiguous(l);
	if (!l->elems)
		return 0;
	for (unsigned i = 0; i < l->ndim; i++)
		if (ckd_mul(&step, l->shape[i] - 1, l->strides[i]) || ckd_add(&last, last, step))
			return tfs_torch_leave_out(t, tensor, "its strides reach beyond 2^64-1");
	if (ckd_add(&end, l->offset, last) || ckd_add(&end, end, 1) || ckd_mul(&end, end, l->type->size) || end > l->room)
		return tfs_torch_leave_out(t, tensor,
					   "elements up to %" PRIu64 " from %" PRIu64 " on, of %u bytes, in a storage of %" PRIu64
					   " bytes",
					   last, l->offset, l->type->size, l->room);
	if (nbytes > l->room && nbytes > MAX_EXPANDED)
		return tfs_torch_leave_out(t, tensor, "%" PRIu64 " bytes expanded from %" PRIu64 "; the limit is 2^40", nbytes,
					   l->room);
	return 0;
}

/* --- The catalog ------------------------------------------------------------------------------------------------- */

/* After check_layout(), so no product overflows. */
static int add(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, const struct tfs_dtype *dtype,
	       const struct tfs_torch_layout *l)
{
	uint64_t at = l->elems ? l->begin + l->offset * l->type->size : 0, nbytes = l->elems * l->type->size;
	struct tfs_encoding encoding = { .swap = t->big_endian && l->type->word > 1 ? l->type->word : 0, .length = nbytes };
	uint64_t strides[TFS_MAX_DIMS];
	int r = tfs_catalog_add(t->catalog, tensor->name, tensor->name_len, dtype, l->shape, l->ndim,
				l->extent.offset + (l->extent.deflated ? 0 : at), nbytes);

	if (r || !l->elems || (l->plain && !encoding.swap && !l->extent.deflated))
		return r;
	if (!l->plain) {
		encoding.strides = strides;
		encoding.length = l->type->size;
		for (unsigned i = 0; i < l->ndim; i++) {
			strides[i] = l->shape[i] == 1 ? 0 : l->strides[i] * l->type->size;
			encoding.length += (l->shape[i] - 1) * strides[i];
		}
	}
	if (l->extent.deflated) {
		encoding.coding = TFS_DEFLATED;
		encoding.length = l->extent.length;
		encoding.skip = at;
		encoding.unpacked = l->extent.nbytes;
		encoding.crc = l->extent.crc;
	}
	return tfs_catalog_encode(t->catalog, NULL, &encoding);
}

int tfs_torch_place(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, struct tfs_torch_layout *l)
{
	const struct tfs_dtype *dtype;
	int r = check_layout(t, tensor, l);

	if (r)
		return r > 0 ? 0 : r;
	if (l->type->npy)
		dtype = tfs_catalog_dtype(t->catalog, l->type->name, l->type->npy, 1, l->type->size);
	else
		dtype = tfs_dtype_by_name(l->type->name, strlen(l->type->name));
	if (!dtype)
		return -ENOMEM;
	if (dtype->block_elems > 1) {
		if (!l->ndim || !l->plain) {
			r = tfs_torch_leave_out(t, tensor, "strides over elements of less than a byte");
			return r < 0 ? r : 0;
		}
		l->shape[l->ndim - 1] *= dtype->block_elems; /* fewer than 2^63 bytes, so no overflow */
	}
	return add(t, tensor, dtype, l);
}

int tfs_torch_add(struct tfs_torch *t, const struct tfs_torch_tensor *tensor)
{
	struct tfs_torch_layout l = { 0 };
	int r;

	if (tensor->rebuild && tensor->rebuild->array)
		return tfs_torch_add_array(t, tensor);
	r = read_layout(t, tensor, &l);
	if (r)
		return r > 0 ? 0 : r;
	return tfs_torch_place(t, tensor, &l);
}
