/* SPDX-License-Identifier: MIT */
/*
 * Paddle's .pdiparams: the parameters of a program, one after the other, each as the version, a level of detail, and a message
 * VarType.TensorDesc before its bytes (paddle/phi/core/framework: SerializeToStream() and TensorToStream(); framework.proto). Their names
 * aren't there: they are those of the program's persistable variables, sorted (paddle/static/io.py), in the .pdmodel beside it, a
 * message ProgramDesc.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "format/format.h"
#include "format/onnx/protobuf.h"
#include "storage/storage.h"

/* Programs have some thousand parameters; descriptions some ten bytes, names some hundred. */
enum { MAX_TENSORS = 1 << 20, MAX_DESC = 4096, MAX_LEVELS = 64, MAX_NAME = 65535 };

struct paddle {
	const struct tfs_input *in;
	struct tfs_catalog *catalog;
	struct tfs_error *err;
	uint64_t at;
	struct tfs_pb *pb;
};

/* --- Records --------------------------------------------------------------------------------------------------------- */

/* The next @n bytes, little-endian. */
static int take(struct paddle *p, unsigned n, const char *what, uint64_t *ret)
{
	uint64_t v = 0;
	int r;

	if (p->in->size - p->at < n)
		return tfs_error_set(p->err, -EINVAL, p->at, "the file ends in a parameter's %s", what);
	r = tfs_input_read(p->in, &v, n, p->at, p->err);
	p->at += n;
	*ret = le64toh(v);
	return r;
}

static int take_zero(struct paddle *p, const char *what)
{
	uint64_t v = 0, at = p->at;
	int r = take(p, 4, what, &v);

	return !r && v ? tfs_error_set(p->err, -EINVAL, at, "%s %" PRIu64 " of a parameter; only 0 is known", what, v) : r;
}

/* enum VarType.Type */
static const struct tfs_dtype *type_of(uint64_t type)
{
	static const char *const names[] = {
		[0] = "BOOL", [1] = "I16", [2] = "I32",	  [3] = "I64",	[4] = "F16",   [5] = "F32",	 [6] = "F64",
		[20] = "U8",  [21] = "I8", [22] = "BF16", [23] = "C64", [24] = "C128", [32] = "F8_E4M3", [33] = "F8_E5M2",
	};
	const char *name = type < sizeof names / sizeof *names ? names[type] : NULL;

	return name ? tfs_dtype_by_name(name, strlen(name)) : NULL;
}

/* TensorDesc: the type, and the dimensions, packed or not. */
static int read_desc(struct paddle *p, uint64_t len, uint64_t *ret_type, uint64_t *dims, unsigned *ret_n)
{
	const struct tfs_input desc = tfs_input_window(p->in, p->at, len);
	struct tfs_pb_field f;
	struct tfs_pb_place back;
	int r;

	*ret_n = 0;
	*ret_type = UINT64_MAX;
	tfs_pb_init(p->pb, &desc, p->err);
	while ((r = tfs_pb_next(p->pb, &f)) > 0) {
		bool packed = f.number == 2 && f.wire == TFS_PB_BYTES;

		if (f.number == 1 && f.wire == TFS_PB_VARINT)
			*ret_type = f.value;
		if (f.number != 2)
			continue;
		r = packed ? tfs_pb_enter(p->pb, &f, &back) : tfs_pb_expect(p->pb, &f, TFS_PB_VARINT);
		while (!r && (!packed || p->pb->at < p->pb->end)) {
			uint64_t dim = f.value;

			r = packed ? tfs_pb_varint(p->pb, &dim) : 0;
			if (!r && *ret_n == TFS_MAX_DIMS)
				r = tfs_error_set(p->err, -EINVAL, f.at, "a parameter of more than %d dimensions", TFS_MAX_DIMS);
			if (!r)
				dims[(*ret_n)++] = dim;
			if (!packed)
				break;
		}
		if (!r && packed)
			tfs_pb_leave(p->pb, back);
		if (r)
			break;
	}
	if (r < 0 && p->err->offset != TFS_NO_OFFSET)
		p->err->offset += p->at;
	return r;
}

static int read_record(struct paddle *p, size_t number)
{
	uint64_t levels = 0, skip = 0, len = 0, type, dims[TFS_MAX_DIMS], nbytes, begin = p->at;
	const struct tfs_dtype *dtype;
	char name[24];
	unsigned n;
	int r = take_zero(p, "version");

	if (!r)
		r = take(p, 8, "level of detail", &levels);
	if (!r && levels > MAX_LEVELS)
		r = tfs_error_set(p->err, -EINVAL, p->at - 8, "%" PRIu64 " levels of detail; the limit is %d", levels, MAX_LEVELS);
	for (; !r && levels; levels--) {
		r = take(p, 8, "level of detail", &skip);
		if (!r && skip > p->in->size - p->at)
			r = tfs_error_set(p->err, -EINVAL, p->at - 8,
					  "%" PRIu64 " bytes of a level of detail, beyond the end of the file", skip);
		p->at += r ? 0 : skip;
	}
	if (!r)
		r = take_zero(p, "version");
	if (!r)
		r = take(p, 4, "description", &len);
	if (!r && (len > MAX_DESC || len > p->in->size - p->at))
		r = tfs_error_set(p->err, -EINVAL, p->at - 4,
				  "a description of %" PRIu64 " bytes; the limit is %d, or the file's end", len, MAX_DESC);
	if (!r)
		r = read_desc(p, len, &type, dims, &n);
	if (r)
		return r;
	dtype = type_of(type);
	if (!dtype)
		return tfs_error_set(p->err, -EINVAL, p->at,
				     "a parameter of type %" PRIu64 ", which is unknown, so what follows can't be found", type);
	p->at += len;
	if (tfs_dtype_nbytes(dtype, dims, n, &nbytes) || nbytes > p->in->size - p->at)
		return tfs_error_set(p->err, -EINVAL, begin,
				     "a parameter's shape has more bytes than the file has after it, %" PRIu64,
				     p->in->size - p->at);
	snprintf(name, sizeof name, "%zu", number);
	r = tfs_catalog_add(p->catalog, name, strlen(name), dtype, dims, n, p->at, nbytes);
	p->at += nbytes;
	return r;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct paddle p = { .in = in, .catalog = catalog, .err = err, .pb = malloc(sizeof *p.pb) };
	size_t n = 0;
	int r = p.pb ? 0 : -ENOMEM;

	(void)file_name;
	for (; !r && p.at < in->size; n++)
		r = n < MAX_TENSORS ? read_record(&p, n) :
				      tfs_error_set(err, -EINVAL, p.at, "more than %d parameters", MAX_TENSORS);
	free(p.pb);
	return r;
}

/* --- Names ----------------------------------------------------------------------------------------------------------- */

struct names {
	struct tfs_pb *pb;
	const void **all; /* malloc()ed strings */
	size_t n, room;
};

/* VarDesc: {1: name, 2: VarType {1: type}, 3: persistable}. What feeds and fetches is persistable, too, but isn't saved. */
static int read_var(struct names *x, const struct tfs_pb_field *var)
{
	enum { FEED_MINIBATCH = 9, FETCH_LIST = 10, READER = 15, RAW = 17 };
	struct tfs_pb_field f, name = { 0 }, inner;
	struct tfs_pb_place back, back_type;
	uint64_t type = 0;
	bool persistable = false;
	char *text;
	int r = tfs_pb_enter(x->pb, var, &back);

	while (!r && (r = tfs_pb_next(x->pb, &f)) > 0) {
		r = 0;
		if (f.number == 1)
			name = f;
		else if (f.number == 3)
			persistable = f.value;
		else if (f.number == 2 && !(r = tfs_pb_enter(x->pb, &f, &back_type))) {
			while ((r = tfs_pb_next(x->pb, &inner)) > 0)
				type = inner.number == 1 ? inner.value : type;
			if (!r)
				tfs_pb_leave(x->pb, back_type);
		}
	}
	if (r)
		return r;
	tfs_pb_leave(x->pb, back);
	if (!persistable || type == FEED_MINIBATCH || type == FETCH_LIST || type == READER || type == RAW)
		return 0;
	if (name.wire != TFS_PB_BYTES || name.value > MAX_NAME || x->n == MAX_TENSORS)
		return -EINVAL;
	if (tfs_array_room(x->all, x->n, x->room))
		return -ENOMEM;
	text = calloc(1, name.value + 1);
	if (!text)
		return -ENOMEM;
	x->all[x->n++] = text;
	return tfs_pb_copy(x->pb, &name, text, name.value);
}

/* ProgramDesc: {1: BlockDesc {3: VarDesc}}, of which the first block has the parameters. */
static int read_program(struct names *x)
{
	struct tfs_pb_field block, var;
	struct tfs_pb_place back;
	int r;

	while ((r = tfs_pb_next(x->pb, &block)) > 0) {
		if (block.number != 1)
			continue;
		r = tfs_pb_enter(x->pb, &block, &back);
		while (!r && (r = tfs_pb_next(x->pb, &var)) > 0)
			r = var.number == 3 ? read_var(x, &var) : 0;
		return r;
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Name the @n tensors of @catalog. 0, or why not in *@ret_why; -ENOMEM. */
static int rename_all(struct tfs_catalog *catalog, struct names *x, const char **ret_why)
{
	cleanup_free const void **tmp = reallocarray(NULL, x->n + 1, sizeof *tmp);
	struct tfs_tensor *t;
	size_t n;
	int r = 0;

	t = tfs_catalog_tensors(catalog, &n);
	if (!tmp)
		return -ENOMEM;
	*ret_why = x->n == n ? NULL : "it has another number of parameters";
	for (size_t i = 0; i < x->n && !*ret_why; i++)
		if (!tfs_utf8_valid(x->all[i], strlen(x->all[i])))
			*ret_why = "a name in it isn't UTF-8";
	if (*ret_why || !n)
		return 0;
	tfs_sort(x->all, x->n, tmp, compare);
	for (size_t i = 0; i < n && !r; i++)
		r = tfs_catalog_rename(catalog, &t[i], x->all[i], strlen(x->all[i]));
	return r ? r : tfs_catalog_make_unique(catalog);
}

static void companion(const char *file_name, char *buf, size_t size)
{
	snprintf(buf, size, "%.*s.pdmodel", (int)tfs_format_stem(file_name), file_name);
}

static int complete(const struct tfs_input *in, const char *file_name, struct tfs_beside *beside, struct tfs_catalog *catalog,
		    struct tfs_error *err)
{
	struct tfs_error wrong = { .offset = TFS_NO_OFFSET };
	cleanup_input struct tfs_input program = TFS_INPUT_CLOSED;
	struct names x = { .pb = malloc(sizeof *x.pb) };
	const char *why = NULL;
	char name[512];
	int r = x.pb ? 0 : -ENOMEM;

	(void)in, (void)err;
	companion(file_name, name, sizeof name);
	if (!r)
		r = beside->open(beside, name, &program, &wrong);
	if (!r) {
		tfs_pb_init(x.pb, &program, &wrong);
		r = read_program(&x);
	}
	if (!r)
		r = rename_all(catalog, &x, &why);
	else if (r == -EINVAL)
		why = "it isn't there, or can't be read";
	for (size_t i = 0; i < x.n; i++)
		free((void *)(uintptr_t)x.all[i]);
	free(x.all);
	free(x.pb);
	if (why)
		return tfs_catalog_note(catalog, TFS_NO_OFFSET, "the names of its parameters are in %s, but %s: they are numbered",
					name, why);
	return r;
}

/* A version of 0, no levels of detail, and a description of a few bytes, which begins with the type. */
static bool recognises(const struct tfs_sample *s)
{
	static const uint8_t start[16] = { 0 };

	return tfs_sample_has(s, 0, start, sizeof start) && s->len > 24 && s->start[16] && s->start[16] < 0x80 && !s->start[17] &&
	       !s->start[18] && !s->start[19] && s->start[20] == 0x08 && type_of(s->start[21]) &&
	       (s->start[22] == 0x10 || s->start[22] == 0x12);
}

const struct tfs_format tfs_format_paddle = {
	.name = "paddle",
	.what = "parameters of a Paddle program",
	.extensions = (const char *const[]){ ".pdiparams", NULL },
	.recognises = recognises,
	.parse = parse,
	.complete = complete,
	.companion = companion,
};
