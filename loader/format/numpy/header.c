/* SPDX-License-Identifier: MIT */
/*
 * The header is a Python literal: a dict of descr, fortran_order and shape. NumPy evaluates it, with the whole of Python's syntax
 * for literals; here it is read by a grammar of our own, which covers everything that NumPy ever wrote:
 *
 *	dict	'{' key ':' value { ',' key ':' value } [','] '}', each of the three keys once
 *	descr	string | list of fields
 *	field	'(' name ',' type [',' shape] ')', a name being a string or a tuple of title and name
 *	type	string | list of fields | '(' type ',' shape ')'
 *	shape	'(' { number ',' } [number] ')', as a field's also a number
 *
 * Strings may use either quotes, a u prefix and escapes; numbers may have an L suffix, as in Python 2; white space is allowed where
 * Python allows it. The descr of a structured type is rewritten as Python's ascii() would, which any NumPy header can contain.
 */
#include "format/numpy/header.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/sort.h"
#include "format/numpy/literal.h"
#include "format/numpy/type.h"

#define MAX_UTF8 4u /* bytes of a character in a header of version 3.0 */

#define MAX_DEPTH 32   /* of nested structures; NumPy's limit is Python's recursion limit */
#define MAX_DESCR 2500 /* of the descr in the header of an npy/ file, whose 4096 bytes must also hold the shape */

static const uint8_t magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y' };

/* A name or title of a field: @len bytes of the text from @at on, including quotes. */
struct name {
	uint32_t structure, at, len;
};

struct text {
	char *text;
	size_t n, room;
};

struct reader {
	struct tfs_literal lit;
	/* Where a structure's descr is rewritten, for meta/ and for npy/; read_structure() allocates for the worst case. */
	struct text name, npy;
	struct name *names; /* of all fields; allocated for the worst case, too */
	size_t n_names;
	uint32_t n_structures;
};

/* The type of a field. */
struct field_type {
	uint64_t size; /* bytes */
	bool unsized;  /* no size, and not a structure: to NumPy a number after it is its size, not its shape */
	bool padding;  /* without a name it is padding: NumPy's void, or any type with a shape */
};

bool tfs_npy_claims(const uint8_t *start, size_t len)
{
	return len >= sizeof magic && !memcmp(start, magic, sizeof magic);
}

static int refuse_length(uint32_t n, uint32_t max, struct tfs_error *err)
{
	return tfs_error_set(err, -EINVAL, 8,
			     "a header of %u characters is above the limit of %u; NumPy has the same, unless told otherwise, as "
			     "--npy-header does here",
			     n, max);
}

int tfs_npy_header_length(const uint8_t *start, size_t len, uint64_t size, const struct tfs_catalog *catalog, size_t *ret_len,
			  struct tfs_error *err)
{
	uint32_t max = tfs_catalog_npy_header(catalog);
	struct tfs_cursor c = tfs_cursor(start, len);
	const uint8_t *version;
	size_t prefix;
	uint32_t n;

	if (!tfs_npy_claims(start, len))
		return tfs_error_set(err, -EINVAL, 0, "does not begin with NumPy's magic, \\x93NUMPY");
	tfs_cursor_bytes(&c, sizeof magic);
	version = tfs_cursor_bytes(&c, 2);
	if (version && (version[0] < 1 || version[0] > 3 || version[1]))
		return tfs_error_set(err, -EINVAL, sizeof magic, "version %u.%u of the format; 1.0, 2.0 and 3.0 are supported",
				     version[0], version[1]);
	n = version && version[0] == 1 ? tfs_cursor_u16(&c) : tfs_cursor_u32(&c);
	prefix = c.at - start;
	if (c.bad)
		return tfs_error_set(err, -EINVAL, len, "ends within the first %u bytes of its header", TFS_NPY_START);
	/* Those of 3.0 are counted when it is read, as each may be several bytes. */
	if (n / (version[0] == 3 ? MAX_UTF8 : 1) > max)
		return refuse_length(n, max, err);
	if (n > size - prefix)
		return tfs_error_set(err, -EINVAL, 8, "header length %u is more than the %llu bytes that follow it", n,
				     (unsigned long long)(size - prefix));
	*ret_len = prefix + n;
	return 0;
}

/* --- Types --------------------------------------------------------------------------------------------------------- */

static __attribute__((format(printf, 2, 0))) void put_va(struct text *t, const char *fmt, va_list ap)
{
	size_t left = t->room - t->n, n = vsnprintf(t->text + t->n, left, fmt, ap);

	t->n += n < left ? n : left - 1;
}

static __attribute__((format(printf, 2, 3))) void put_one(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_va(t, fmt, ap);
	va_end(ap);
}

/* Append to the descr, for both. */
static __attribute__((format(printf, 2, 3))) void put(struct reader *rd, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	put_va(&rd->name, fmt, ap);
	put_va(&rd->npy, fmt, again);
	va_end(again);
	va_end(ap);
}

static int put_string(struct reader *rd, const char *what)
{
	uint8_t quote;
	uint32_t c;
	int r = tfs_literal_open(&rd->lit, what, &quote);

	if (r)
		return r;
	put(rd, "'");
	while ((r = tfs_literal_char(&rd->lit, quote, &c)) > 0) {
		if (c == '\'' || c == '\\')
			put(rd, "\\%c", (char)c);
		else if (c >= 0x20 && c < 0x7f)
			put(rd, "%c", (char)c);
		else if (c < 0x100)
			put(rd, "\\x%02x", c);
		else
			put(rd, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
	put(rd, "'");
	return r;
}

/* A type in a single word. */
static int read_word(struct reader *rd, struct tfs_npy_type *t)
{
	char word[TFS_NPY_WORD], quoted[TFS_QUOTE_SIZE];
	const uint8_t *start;
	int r;

	tfs_literal_space(&rd->lit);
	start = rd->lit.at;
	r = tfs_literal_short(&rd->lit, "type", word, sizeof word);
	if (r)
		return r;
	tfs_quote(quoted, sizeof quoted, word, strlen(word));
	r = tfs_npy_type_parse(word, t);
	if (r == -E2BIG)
		return tfs_literal_refuse(&rd->lit, start, "type %s: elements larger than NumPy allows", quoted);
	if (r)
		return tfs_literal_refuse(&rd->lit, start, "unknown type %s", quoted);
	if (t->kind == 'O')
		return tfs_literal_refuse(&rd->lit, start, "type %s: Python objects, which are pickled, and pickles are never run",
					  quoted);
	return 0;
}

/* Write a type to the descr: under ml_dtypes' name, to be recognisable, and for npy/ as what NumPy alone makes of it. */
static void put_type(struct reader *rd, const struct tfs_npy_type *t)
{
	char str[TFS_NPY_WORD + 4];

	tfs_npy_type_str(t, t->big, str);
	put_one(&rd->name, "'%s'", t->name ? t->name : str);
	put_one(&rd->npy, "'%s'", str);
}

static int read_fields(struct reader *rd, unsigned depth, uint64_t *ret_size);

/* The shape of a field with elements of @type; updates @type to that of all of them. */
static int read_field_shape(struct reader *rd, struct field_type *type)
{
	const uint8_t *start;
	unsigned dims = 0;
	uint64_t n;
	int r = 0;

	tfs_literal_space(&rd->lit);
	start = rd->lit.at;
	if (type->unsized)
		return tfs_literal_refuse(&rd->lit, start, "a shape of zero-size elements");
	bool tuple = tfs_literal_take(&rd->lit, '(');
	put(rd, "(");
	for (int more = !tuple || !tfs_literal_take(&rd->lit, ')'); more; more = r) {
		r = tfs_literal_number(&rd->lit, &n);
		if (r)
			return r;
		if (ckd_mul(&type->size, type->size, n) || type->size > TFS_NPY_MAX_ITEM)
			return tfs_literal_refuse(&rd->lit, start, "elements larger than NumPy allows");
		put(rd, dims++ ? ", %llu" : "%llu", (unsigned long long)n);
		r = tuple ? tfs_literal_another(&rd->lit, ')') : 0;
		if (r < 0)
			return r;
	}
	put(rd, dims == 1 ? ",)" : ")");
	type->unsized = !type->size;
	type->padding = true;
	return 0;
}

/* A type inside a structure. */
static int read_type(struct reader *rd, unsigned depth, struct field_type *ret)
{
	struct tfs_npy_type t;
	int r;

	tfs_literal_space(&rd->lit);
	*ret = (struct field_type){ 0 };
	if (rd->lit.at < rd->lit.end && *rd->lit.at == '[')
		return read_fields(rd, depth + 1, &ret->size);
	if (!tfs_literal_take(&rd->lit, '(')) {
		r = read_word(rd, &t);
		if (r)
			return r;
		put_type(rd, &t);
		*ret = (struct field_type){ .size = t.size, .unsized = !t.size, .padding = t.kind == 'V' && !t.name };
		return 0;
	}
	if (depth >= MAX_DEPTH) /* a type in parentheses goes two levels down at once */
		return tfs_literal_refuse(&rd->lit, rd->lit.at, "types nested deeper than %d", MAX_DEPTH);
	put(rd, "(");
	r = read_type(rd, depth + 1, ret);
	if (!r)
		r = tfs_literal_want(&rd->lit, ',');
	put(rd, ", ");
	if (!r)
		r = read_field_shape(rd, ret);
	tfs_literal_take(&rd->lit, ',');
	put(rd, ")");
	return r ? r : tfs_literal_want(&rd->lit, ')');
}

static int put_name(struct reader *rd, uint32_t structure, const char *what)
{
	size_t at = rd->name.n;
	int r = put_string(rd, what);

	rd->names[rd->n_names++] = (struct name){ .structure = structure, .at = at, .len = rd->name.n - at };
	return r;
}

/* A field's name, or (title, name). */
static int read_names(struct reader *rd, uint32_t structure, bool *ret_title)
{
	int r;

	*ret_title = tfs_literal_take(&rd->lit, '(');
	if (!*ret_title)
		return put_name(rd, structure, "name");
	put(rd, "(");
	r = put_name(rd, structure, "title");
	if (!r)
		r = tfs_literal_want(&rd->lit, ',');
	put(rd, ", ");
	if (!r)
		r = put_name(rd, structure, "name");
	tfs_literal_take(&rd->lit, ',');
	if (!r)
		r = tfs_literal_want(&rd->lit, ')');
	put(rd, ")");
	return r;
}

/* One field of a structure, which adds its bytes to *@size. */
static int read_field(struct reader *rd, unsigned depth, uint32_t structure, uint64_t *size)
{
	size_t n_names = rd->n_names;
	struct field_type type = { 0 };
	bool title;
	int r = tfs_literal_want(&rd->lit, '(');

	if (r)
		return r;
	put(rd, "(");
	r = read_names(rd, structure, &title);
	if (!r)
		r = tfs_literal_want(&rd->lit, ',');
	put(rd, ", ");
	if (!r)
		r = read_type(rd, depth, &type);
	if (!r)
		r = tfs_literal_another(&rd->lit, ')');
	if (r > 0) {
		put(rd, ", ");
		r = read_field_shape(rd, &type);
		tfs_literal_take(&rd->lit, ',');
		if (!r)
			r = tfs_literal_want(&rd->lit, ')');
	}
	put(rd, ")");
	if (r)
		return r;
	/* Nameless bytes are padding, and may occur several times. */
	if (!title && rd->names[n_names].len == 2 && type.padding)
		rd->n_names = n_names;
	if (ckd_add(size, *size, type.size) || *size > TFS_NPY_MAX_ITEM)
		return tfs_literal_refuse(&rd->lit, rd->lit.at, "elements larger than NumPy allows");
	return 0;
}

static int read_fields(struct reader *rd, unsigned depth, uint64_t *ret_size)
{
	int r = tfs_literal_want(&rd->lit, '[');

	if (r)
		return r;
	if (depth >= MAX_DEPTH)
		return tfs_literal_refuse(&rd->lit, rd->lit.at, "types nested deeper than %d", MAX_DEPTH);
	uint32_t structure = rd->n_structures++;
	*ret_size = 0;
	put(rd, "[");
	for (int more = !tfs_literal_take(&rd->lit, ']'); more; more = r) {
		r = read_field(rd, depth, structure, ret_size);
		if (!r)
			r = tfs_literal_another(&rd->lit, ']');
		if (r < 0)
			return r;
		put(rd, "%s", r ? ", " : "");
	}
	put(rd, "]");
	return 0;
}

static int by_name(const void *a, const void *b, void *text)
{
	const struct name *x = a, *y = b;

	if (x->structure != y->structure)
		return x->structure < y->structure ? -1 : 1;
	return tfs_name_cmp((char *)text + x->at, x->len, (char *)text + y->at, y->len);
}

/* NumPy finds a field by its name or its title, and refuses a structure where that would be ambiguous. */
static int check_names(struct reader *rd, const uint8_t *start)
{
	char quoted[TFS_QUOTE_SIZE];

	qsort_r(rd->names, rd->n_names, sizeof *rd->names, by_name, rd->name.text);
	for (size_t i = 1; i < rd->n_names; i++) {
		const struct name *n = &rd->names[i];

		if (!by_name(n - 1, n, rd->name.text))
			return tfs_literal_refuse(&rd->lit, start, "duplicate field %s",
						  tfs_quote(quoted, sizeof quoted, rd->name.text + n->at + 1, n->len - 2));
	}
	return 0;
}

static int read_structure(struct reader *rd, struct tfs_catalog *catalog, struct tfs_npy_array *a)
{
	cleanup_free char *name = NULL, *npy = NULL;
	cleanup_free struct name *names = NULL;
	const uint8_t *start = rd->lit.at;
	/* A byte in a string becomes at most the four of "\xe9", one outside of strings at most those of "(2,)". */
	size_t left = rd->lit.end - start, room = 4 * left + 1;
	uint64_t size;
	int r;

	rd->name = (struct text){ .text = name = malloc(room), .room = room };
	rd->npy = (struct text){ .text = npy = malloc(room), .room = room };
	rd->names = names = reallocarray(NULL, left / 2 + 1, sizeof *names); /* its quotes are two bytes */
	if (!name || !npy || !names)
		return -ENOMEM;
	r = read_fields(rd, 0, &size);
	if (!r)
		r = check_names(rd, start);
	if (r)
		return r;
	if (!size)
		return tfs_literal_refuse(&rd->lit, start, "zero-size elements");
	/* With its byte order: an encoding can't describe the words of a structure, but the descr does. */
	a->dtype = tfs_catalog_dtype(catalog, name, rd->npy.n <= MAX_DESCR ? npy : NULL, 1, size);
	return a->dtype ? 0 : -ENOMEM;
}

static int read_descr(struct reader *rd, struct tfs_catalog *catalog, struct tfs_npy_array *a)
{
	const uint8_t *start;
	struct tfs_npy_type t;
	int r;

	tfs_literal_space(&rd->lit);
	start = rd->lit.at;
	if (start < rd->lit.end && *start == '[')
		return read_structure(rd, catalog, a);
	r = read_word(rd, &t);
	if (r)
		return r;
	if (!t.size)
		return tfs_literal_refuse(&rd->lit, start, "zero-size elements");
	a->dtype = tfs_npy_type_dtype(&t, catalog, &a->swap);
	return a->dtype ? 0 : -ENOMEM;
}

/* --- The dict ------------------------------------------------------------------------------------------------------ */

static int read_shape(struct reader *rd, struct tfs_npy_array *a)
{
	int r = tfs_literal_want(&rd->lit, '(');

	if (r)
		return r;
	for (int more = !tfs_literal_take(&rd->lit, ')'); more; more = r) {
		if (a->ndim == TFS_MAX_DIMS)
			return tfs_literal_refuse(&rd->lit, rd->lit.at, "more than %d dimensions", TFS_MAX_DIMS);
		r = tfs_literal_number(&rd->lit, &a->shape[a->ndim++]);
		if (r)
			return r;
		if (a->ndim == 1 && tfs_literal_take(&rd->lit, ')'))
			return tfs_literal_refuse(&rd->lit, rd->lit.at,
						  "a shape that is a number in parentheses: a tuple of one requires a trailing "
						  "comma");
		r = tfs_literal_another(&rd->lit, ')');
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_order(struct reader *rd, struct tfs_npy_array *a)
{
	if (tfs_literal_word(&rd->lit, "True"))
		a->fortran = true;
	else if (!tfs_literal_word(&rd->lit, "False"))
		return tfs_literal_expected(&rd->lit, "True or False");
	return 0;
}

static int read_dict(struct reader *rd, struct tfs_catalog *catalog, struct tfs_npy_array *a)
{
	static const char *const keys[] = { "descr", "fortran_order", "shape" };
	char key[16], quoted[TFS_QUOTE_SIZE];
	unsigned seen = 0, i;
	int r = tfs_literal_want(&rd->lit, '{');

	if (r)
		return r;
	for (int more = !tfs_literal_take(&rd->lit, '}'); more; more = r) {
		const uint8_t *start = rd->lit.at;

		r = tfs_literal_short(&rd->lit, "key", key, sizeof key);
		if (!r)
			r = tfs_literal_want(&rd->lit, ':');
		if (r)
			return r;
		for (i = 0; i < 3 && strcmp(key, keys[i]);)
			i++;
		if (i == 3)
			return tfs_literal_refuse(&rd->lit, start, "unknown key %s",
						  tfs_quote(quoted, sizeof quoted, key, strlen(key)));
		if (seen & 1u << i)
			return tfs_literal_refuse(&rd->lit, start, "duplicate key %s", keys[i]);
		seen |= 1u << i;
		r = i == 0 ? read_descr(rd, catalog, a) : i == 1 ? read_order(rd, a) : read_shape(rd, a);
		if (r)
			return r;
		r = tfs_literal_another(&rd->lit, '}');
		if (r < 0)
			return r;
	}
	for (i = 0; i < 3; i++)
		if (!(seen & 1u << i))
			return tfs_literal_refuse(&rd->lit, rd->lit.at, "key %s is missing", keys[i]);
	tfs_literal_space(&rd->lit);
	return rd->lit.at == rd->lit.end ? 0 : tfs_literal_expected(&rd->lit, "the end of the header");
}

int tfs_npy_header_read(const uint8_t *header, size_t len, struct tfs_catalog *catalog, struct tfs_npy_array *ret,
			struct tfs_error *err)
{
	struct reader rd = {
		.lit = {
			.start = header,
			.at = header + (header[6] == 1 ? 10 : TFS_NPY_START),
			.end = header + len,
			.utf8 = header[6] == 3,
			.err = err,
		},
	};
	unsigned long_dims = 0;
	uint32_t n = 0;
	int r;

	*ret = (struct tfs_npy_array){ 0 };
	for (const uint8_t *c = rd.lit.at; c < rd.lit.end; c++)
		n += !rd.lit.utf8 || (*c & 0xc0) != 0x80;
	if (n > tfs_catalog_npy_header(catalog))
		return refuse_length(n, tfs_catalog_npy_header(catalog), err);
	r = read_dict(&rd, catalog, ret);
	if (r == -ENOMEM)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for the header");
	if (r)
		return r;
	if (tfs_dtype_nbytes(ret->dtype, ret->shape, ret->ndim, &ret->nbytes))
		return tfs_literal_refuse(&rd.lit, rd.lit.at, "the shape has more than 2^64-1 bits");
	for (unsigned i = 0; i < ret->ndim; i++)
		long_dims += ret->shape[i] > 1;
	ret->fortran = ret->fortran && long_dims > 1 && ret->nbytes;
	return 0;
}

int tfs_npy_add(struct tfs_catalog *catalog, const char *name, size_t name_len, const struct tfs_npy_array *array, uint64_t offset,
		const struct tfs_encoding *deflated)
{
	struct tfs_encoding encoding = { .coding = TFS_STORED, .length = array->nbytes };
	uint64_t strides[TFS_MAX_DIMS], stride = array->dtype->block_bytes;
	int r = tfs_catalog_add(catalog, name, name_len, array->dtype, array->shape, array->ndim, offset, array->nbytes);

	if (r || !array->nbytes || (!deflated && !array->swap && !array->fortran))
		return r;
	if (deflated)
		encoding = *deflated;
	encoding.swap = array->swap;
	/* No product is larger than nbytes, as no dimension is 0. */
	for (unsigned i = 0; i < array->ndim; stride *= array->shape[i++])
		strides[i] = stride;
	encoding.strides = array->fortran ? strides : NULL;
	return tfs_catalog_encode(catalog, NULL, &encoding);
}
