/* SPDX-License-Identifier: MIT */
/*
 * The header is a Python literal: a dict of descr, fortran_order and shape. NumPy evaluates it, with the whole of Python's syntax
 * for literals; here it is read by a grammar of its own, in which everything that NumPy ever wrote can be said:
 *
 *	dict	'{' key ':' value { ',' key ':' value } [','] '}', each of the three keys once
 *	descr	string | list of fields
 *	field	'(' name ',' type [',' shape] ')', a name being a string or a tuple of title and name
 *	type	string | list of fields | '(' type ',' shape ')'
 *	shape	'(' { number ',' } [number] ')', as a field's also a number
 *
 * Strings may be in either quotes, with a u before and with escapes; numbers may have an L behind, as in Python 2; white space is
 * where Python has it. The descr of a structured type is written again as Python's ascii() would, which any NumPy header can hold.
 */
#include "format/npy-header.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/sort.h"
#include "format/npy-literal.h"

/*
 * NumPy itself reads no more than 10,000 characters unless told to. Version 2.0 was made for headers of more than 65,535: 10,000
 * fields take half of this.
 */
#define MAX_HEADER (1u << 20)

#define MAX_DEPTH 32	    /* of structures in structures; NumPy's own stop at Python's recursion */
#define MAX_ITEM  INT32_MAX /* bytes of an element: NumPy counts them in an int */
#define MAX_DESCR 2500 /* of what goes into the header of an npy/ file, whose 4096 bytes must hold the shape, too */

static const uint8_t magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y' };

/* A name or title of a field: @len bytes of the text from @at on, quotes and all. */
struct name {
	uint32_t structure, at, len;
};

struct reader {
	struct tfs_literal lit;
	bool objects; /* refused for a type that is Python objects */
	char *text; /* where the descr is written again; read_descr() gives it room for all that may come */
	size_t n_text, room;
	struct name *names; /* of all fields; room for all that may come, too */
	size_t n_names;
	uint32_t n_structures;
};

/* One simple type: "<f4", "|S3", "<M8[ns]" */
struct simple {
	char text[40];
	char order; /* '<', '>', or '|', which is what counts where neither matters */
	char kind;
	uint64_t size; /* bytes of an element */
};

bool tfs_npy_claims(const uint8_t *start, size_t len)
{
	return len >= sizeof magic && !memcmp(start, magic, sizeof magic);
}

int tfs_npy_header_length(const uint8_t *start, size_t len, uint64_t size, size_t *ret_len, struct tfs_error *err)
{
	struct tfs_cursor c = tfs_cursor(start, len);
	const uint8_t *version;
	size_t prefix;
	uint32_t n;

	if (!tfs_npy_claims(start, len))
		return tfs_error_set(err, -EINVAL, 0, "does not begin with NumPy's magic, \\x93NUMPY");
	tfs_cursor_bytes(&c, sizeof magic);
	version = tfs_cursor_bytes(&c, 2);
	if (version && (version[0] < 1 || version[0] > 3 || version[1]))
		return tfs_error_set(err, -EINVAL, sizeof magic,
				     "version %u.%u of the format; 1.0, 2.0 and 3.0 are known", version[0], version[1]);
	n = version && version[0] == 1 ? tfs_cursor_u16(&c) : tfs_cursor_u32(&c);
	prefix = c.at - start;
	if (c.bad)
		return tfs_error_set(err, -EINVAL, len, "ends within the first %u bytes of its header", TFS_NPY_START);
	if (n > MAX_HEADER)
		return tfs_error_set(err, -EINVAL, 8, "header length %u is above the limit of %u", n, MAX_HEADER);
	if (n > size - prefix)
		return tfs_error_set(err, -EINVAL, 8, "header length %u is more than the %llu bytes that follow it", n,
				     (unsigned long long)(size - prefix));
	*ret_len = prefix + n;
	return 0;
}

/* --- Types --------------------------------------------------------------------------------------------------------- */

/* Write to the descr's text. */
static __attribute__((format(printf, 2, 3))) void put(struct reader *r, const char *fmt, ...)
{
	size_t left = r->room - r->n_text, n;
	va_list ap;

	va_start(ap, fmt);
	n = vsnprintf(r->text + r->n_text, left, fmt, ap);
	va_end(ap);
	r->n_text += n < left ? n : left - 1;
}

static int put_string(struct reader *r, const char *what)
{
	uint8_t quote;
	uint32_t c;
	int rc = tfs_literal_open(&r->lit, what, &quote);

	if (rc)
		return rc;
	put(r, "'");
	while ((rc = tfs_literal_char(&r->lit, quote, &c)) > 0) {
		if (c == '\'' || c == '\\')
			put(r, "\\%c", (char)c);
		else if (c >= 0x20 && c < 0x7f)
			put(r, "%c", (char)c);
		else if (c < 0x100)
			put(r, "\\x%02x", c);
		else
			put(r, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
	put(r, "'");
	return rc;
}

/* Behind a number above 0, or behind @p where none begins there; NULL: it is 0, or of more digits than an int has. */
static const char *skip_count(const char *p)
{
	size_t digits = strspn(p, "0123456789");

	return *p == '0' || digits > 9 ? NULL : p + digits;
}

/* Behind a unit of times, as in "25us" or "ms/4" (numpy/core/src/multiarray/datetime.c); NULL: there is none. */
static const char *skip_unit(const char *p)
{
	static const char *const units[] = { "ms", "us", "ns", "ps", "fs", "as", "generic", "Y", "M", "W", "D", "h", "m", "s" };
	size_t i = 0;

	p = skip_count(p);
	while (p && i < sizeof units / sizeof *units && strncmp(p, units[i], strlen(units[i])))
		i++;
	if (!p || i == sizeof units / sizeof *units)
		return NULL;
	p += strlen(units[i]);
	return *p == '/' && p[1] >= '1' && p[1] <= '9' ? skip_count(p + 1) : p;
}

/* A type's string, as dtype.str has it: byte order, kind, size, and the unit of times in brackets. */
static int read_simple(struct reader *r, struct simple *s)
{
	static const struct {
		char kind;
		uint8_t unit;	/* bytes that the size counts */
		uint64_t sizes; /* bit n: n of these are a type; 0: any number but 0 is */
	} kinds[] = {
		{ 'b', 1, 1 << 1 },
		{ 'i', 1, 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 },
		{ 'u', 1, 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 },
		{ 'f', 1, 1 << 2 | 1 << 4 | 1 << 8 | 1 << 12 | 1 << 16 },
		{ 'c', 1, 1 << 8 | 1 << 16 | 1 << 24 | UINT64_C(1) << 32 },
		{ 'M', 1, 1 << 8 },
		{ 'm', 1, 1 << 8 },
		{ 'S', 1, 0 },
		{ 'U', 4, 0 },
		{ 'V', 1, 0 },
	};
	const uint8_t *start;
	const char *p = s->text;
	char quoted[TFS_QUOTE_SIZE];
	size_t i = 0;
	int rc;

	tfs_literal_space(&r->lit);
	start = r->lit.at;
	rc = tfs_literal_short(&r->lit, "type", s->text, sizeof s->text);
	if (rc)
		return rc;
	tfs_quote(quoted, sizeof quoted, s->text, strlen(s->text));
	s->order = *p == '<' || *p == '>' || *p == '|' ? *p++ : '|';
	s->kind = *p ? *p++ : 0;
	s->size = 0;
	r->objects = s->kind == 'O';
	if (r->objects)
		return tfs_literal_refuse(
			&r->lit, start, "type %s: Python objects, which are pickled, and pickles are not run", quoted);
	while (i < sizeof kinds / sizeof *kinds && kinds[i].kind != s->kind)
		i++;
	if (i == sizeof kinds / sizeof *kinds || *p < '1' || *p > '9')
		return tfs_literal_refuse(&r->lit, start, "unknown type %s", quoted);
	for (; *p >= '0' && *p <= '9'; p++)
		if ((s->size = s->size * 10 + (uint64_t)(*p - '0')) > (uint64_t)MAX_ITEM / kinds[i].unit)
			return tfs_literal_refuse(&r->lit, start, "type %s: elements of more bytes than NumPy has",
						  quoted);
	if (kinds[i].sizes && (s->size > 32 || !(kinds[i].sizes >> s->size & 1)))
		return tfs_literal_refuse(&r->lit, start, "unknown type %s", quoted);
	s->size *= kinds[i].unit;
	if ((s->kind == 'M' || s->kind == 'm') && *p == '[') {
		p = skip_unit(p + 1);
		if (!p || *p++ != ']')
			return tfs_literal_refuse(&r->lit, start, "unknown type %s", quoted);
	}
	return *p ? tfs_literal_refuse(&r->lit, start, "unknown type %s", quoted) : 0;
}

static int read_fields(struct reader *r, unsigned depth, uint64_t *ret_size);

/* The shape of a field; its elements are multiplied into *@size. */
static int read_field_shape(struct reader *r, uint64_t *size)
{
	const uint8_t *start;
	uint64_t n;
	int rc = 0;

	tfs_literal_space(&r->lit);
	start = r->lit.at;
	if (!tfs_literal_take(&r->lit, '(')) {
		rc = tfs_literal_number(&r->lit, &n);
		if (!rc && ckd_mul(size, *size, n))
			return tfs_literal_refuse(&r->lit, start, "elements of more bytes than NumPy has");
		put(r, "%llu", (unsigned long long)(rc ? 0 : n));
		return rc;
	}
	put(r, "(");
	for (int more = !tfs_literal_take(&r->lit, ')'); more; more = rc) {
		rc = tfs_literal_number(&r->lit, &n);
		if (rc)
			return rc;
		if (ckd_mul(size, *size, n))
			return tfs_literal_refuse(&r->lit, start, "elements of more bytes than NumPy has");
		put(r, "%llu,", (unsigned long long)n);
		rc = tfs_literal_another(&r->lit, ')');
		if (rc < 0)
			return rc;
	}
	put(r, ")");
	return 0;
}

/* A type inside a structure; its bytes are *@ret_size. */
static int read_type(struct reader *r, unsigned depth, uint64_t *ret_size)
{
	struct simple s = { 0 };
	int rc;

	tfs_literal_space(&r->lit);
	if (r->lit.at < r->lit.end && *r->lit.at == '[')
		return read_fields(r, depth + 1, ret_size);
	if (!tfs_literal_take(&r->lit, '(')) {
		rc = read_simple(r, &s);
		if (!rc)
			put(r, "'%s'", s.text);
		*ret_size = s.size;
		return rc;
	}
	if (depth >= MAX_DEPTH) /* a type in brackets goes down two at once */
		return tfs_literal_refuse(&r->lit, r->lit.at, "types nested deeper than %d", MAX_DEPTH);
	put(r, "(");
	rc = read_type(r, depth + 1, ret_size);
	if (!rc)
		rc = tfs_literal_want(&r->lit, ',');
	put(r, ", ");
	if (!rc)
		rc = read_field_shape(r, ret_size);
	tfs_literal_take(&r->lit, ',');
	put(r, ")");
	return rc ? rc : tfs_literal_want(&r->lit, ')');
}

static int put_name(struct reader *r, uint32_t structure, const char *what)
{
	size_t at = r->n_text;
	int rc = put_string(r, what);

	r->names[r->n_names++] = (struct name){ .structure = structure, .at = at, .len = r->n_text - at };
	return rc;
}

/* One field of a structure, which adds its bytes to *@size. */
static int read_field(struct reader *r, unsigned depth, uint32_t structure, uint64_t *size)
{
	size_t n_names = r->n_names, type;
	uint64_t bytes;
	int rc = tfs_literal_want(&r->lit, '(');

	if (rc)
		return rc;
	put(r, "(");
	if (tfs_literal_take(&r->lit, '(')) {
		put(r, "(");
		rc = put_name(r, structure, "title");
		if (!rc)
			rc = tfs_literal_want(&r->lit, ',');
		put(r, ", ");
		if (!rc)
			rc = put_name(r, structure, "name");
		tfs_literal_take(&r->lit, ',');
		if (!rc)
			rc = tfs_literal_want(&r->lit, ')');
		put(r, ")");
	} else {
		rc = put_name(r, structure, "name");
	}
	if (!rc)
		rc = tfs_literal_want(&r->lit, ',');
	put(r, ", ");
	type = r->n_text;
	if (!rc)
		rc = read_type(r, depth, &bytes);
	/* Bytes without a name are padding, of which there may be several. */
	if (r->names[n_names].len == 2 && r->n_text - type > 3 && !memcmp(r->text + type, "'|V", 3))
		r->n_names = n_names;
	if (!rc)
		rc = tfs_literal_another(&r->lit, ')');
	if (rc > 0) {
		put(r, ", ");
		rc = read_field_shape(r, &bytes);
		tfs_literal_take(&r->lit, ',');
		if (!rc)
			rc = tfs_literal_want(&r->lit, ')');
	}
	put(r, ")");
	if (rc)
		return rc;
	if (ckd_add(size, *size, bytes) || *size > MAX_ITEM)
		return tfs_literal_refuse(&r->lit, r->lit.at, "elements of more bytes than NumPy has");
	return 0;
}

static int read_fields(struct reader *r, unsigned depth, uint64_t *ret_size)
{
	int rc = tfs_literal_want(&r->lit, '[');

	if (rc)
		return rc;
	if (depth >= MAX_DEPTH)
		return tfs_literal_refuse(&r->lit, r->lit.at, "types nested deeper than %d", MAX_DEPTH);
	uint32_t structure = r->n_structures++;
	*ret_size = 0;
	put(r, "[");
	for (int more = !tfs_literal_take(&r->lit, ']'); more; more = rc) {
		rc = read_field(r, depth, structure, ret_size);
		if (!rc)
			rc = tfs_literal_another(&r->lit, ']');
		if (rc < 0)
			return rc;
		put(r, "%s", rc ? ", " : "");
	}
	put(r, "]");
	return 0;
}

/* The dtype of a simple type, and how to bring it to little-endian. NULL: out of memory. */
static const struct tfs_dtype *simple_dtype(struct tfs_catalog *catalog, const struct simple *s, uint8_t *swap)
{
	bool big = s->order == '>';
	char name[sizeof s->text + 4];
	const char *unit = strchr(s->text, '[');

	/* What ml_dtypes' bfloat16 looks like to np.save(); NumPy's own void types have no byte order. */
	if (!strcmp(s->text, "<V2"))
		return tfs_dtype_by_name("BF16", 4);
	switch (s->kind) {
	case 'b':
		return tfs_dtype_by_name("BOOL", 4);
	case 'i':
	case 'u':
	case 'f':
	case 'c':
		if (s->size > 8 && (s->kind != 'c' || s->size > 16))
			break; /* long double: no type of any other machine's */
		snprintf(name, sizeof name, "%c%u", s->kind - 'a' + 'A', (unsigned)s->size * 8);
		*swap = !big ? 0 : s->kind == 'c' ? s->size / 2 : s->size > 1 ? s->size : 0;
		return tfs_dtype_by_name(name, strlen(name));
	case 'S':
	case 'V':
		snprintf(name, sizeof name, "|%c%llu", s->kind, (unsigned long long)s->size);
		return tfs_catalog_dtype(catalog, name, name, 1, s->size);
	case 'U':
		*swap = big ? 4 : 0;
		snprintf(name, sizeof name, "<U%llu", (unsigned long long)s->size / 4);
		return tfs_catalog_dtype(catalog, name, name, 1, s->size);
	default:
		*swap = big ? s->size : 0;
		snprintf(name, sizeof name, "<%c%llu%s", s->kind, (unsigned long long)s->size, unit ? unit : "");
		return tfs_catalog_dtype(catalog, name, name, 1, s->size);
	}
	snprintf(name, sizeof name, "%c%c%llu", big ? '>' : '<', s->kind, (unsigned long long)s->size);
	return tfs_catalog_dtype(catalog, name, name, 1, s->size);
}

static int by_name(const void *a, const void *b, void *text)
{
	const struct name *x = a, *y = b;

	if (x->structure != y->structure)
		return x->structure < y->structure ? -1 : 1;
	return tfs_name_cmp((char *)text + x->at, x->len, (char *)text + y->at, y->len);
}

/* NumPy finds a field by its name or its title, and makes no structure where that could be two. */
static int check_names(struct reader *r, const uint8_t *start)
{
	char quoted[TFS_QUOTE_SIZE];

	qsort_r(r->names, r->n_names, sizeof *r->names, by_name, r->text);
	for (size_t i = 1; i < r->n_names; i++) {
		const struct name *n = &r->names[i];

		if (!by_name(n - 1, n, r->text))
			return tfs_literal_refuse(&r->lit, start, "field %s stands twice in its structure",
						  tfs_quote(quoted, sizeof quoted, r->text + n->at + 1, n->len - 2));
	}
	return 0;
}

static int read_descr(struct reader *r, struct tfs_catalog *catalog, struct tfs_npy_array *a)
{
	cleanup_free char *text = NULL;
	cleanup_free struct name *names = NULL;
	const uint8_t *start;
	struct simple s;
	uint64_t size;
	int rc;

	tfs_literal_space(&r->lit);
	start = r->lit.at;
	if (r->lit.at == r->lit.end || *r->lit.at != '[') {
		rc = read_simple(r, &s);
		if (rc)
			return rc;
		a->dtype = simple_dtype(catalog, &s, &a->swap);
		return a->dtype ? 0 : -ENOMEM;
	}
	/* A byte of a string makes no more than the four of "\xe9", one outside of strings a comma, a blank and a bracket. */
	r->room = 4 * (size_t)(r->lit.end - r->lit.at) + 1;
	r->n_text = 0;
	r->text = text = malloc(r->room);
	r->names = names = reallocarray(NULL, (r->lit.end - r->lit.at) / 2 + 1, sizeof *names); /* its quotes are two bytes */
	if (!text || !names)
		return -ENOMEM;
	rc = read_fields(r, 0, &size);
	if (!rc)
		rc = check_names(r, start);
	if (rc)
		return rc;
	if (!size)
		return tfs_literal_refuse(&r->lit, start, "elements of no bytes");
	/* Byte order and all: what the words of a structure are cannot be said in a packing, and the descr says it. */
	a->dtype = tfs_catalog_dtype(catalog, text, r->n_text <= MAX_DESCR ? text : NULL, 1, size);
	return a->dtype ? 0 : -ENOMEM;
}

/* --- The dict ------------------------------------------------------------------------------------------------------ */

static int read_shape(struct reader *r, struct tfs_npy_array *a)
{
	int rc = tfs_literal_want(&r->lit, '(');

	if (rc)
		return rc;
	for (int more = !tfs_literal_take(&r->lit, ')'); more; more = rc) {
		if (a->ndim == TFS_MAX_DIMS)
			return tfs_literal_refuse(&r->lit, r->lit.at, "more than %d dimensions", TFS_MAX_DIMS);
		rc = tfs_literal_number(&r->lit, &a->shape[a->ndim++]);
		if (rc)
			return rc;
		if (a->ndim == 1 && tfs_literal_take(&r->lit, ')'))
			return tfs_literal_refuse(
				&r->lit, r->lit.at,
				"a shape that is a number in brackets: a tuple of one has a comma behind it");
		rc = tfs_literal_another(&r->lit, ')');
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_order(struct reader *r, struct tfs_npy_array *a)
{
	if (tfs_literal_word(&r->lit, "True"))
		a->fortran = true;
	else if (!tfs_literal_word(&r->lit, "False"))
		return tfs_literal_expected(&r->lit, "True or False");
	return 0;
}

static int read_dict(struct reader *r, struct tfs_catalog *catalog, struct tfs_npy_array *a)
{
	static const char *const keys[] = { "descr", "fortran_order", "shape" };
	char key[16], quoted[TFS_QUOTE_SIZE];
	unsigned seen = 0, i;
	int rc = tfs_literal_want(&r->lit, '{');

	if (rc)
		return rc;
	for (int more = !tfs_literal_take(&r->lit, '}'); more; more = rc) {
		const uint8_t *start = r->lit.at;

		rc = tfs_literal_short(&r->lit, "key", key, sizeof key);
		if (!rc)
			rc = tfs_literal_want(&r->lit, ':');
		if (rc)
			return rc;
		for (i = 0; i < 3 && strcmp(key, keys[i]);)
			i++;
		if (i == 3)
			return tfs_literal_refuse(&r->lit, start, "key %s, which belongs to no header",
						  tfs_quote(quoted, sizeof quoted, key, strlen(key)));
		if (seen & 1u << i)
			return tfs_literal_refuse(&r->lit, start, "key %s stands twice", keys[i]);
		seen |= 1u << i;
		rc = i == 0 ? read_descr(r, catalog, a) : i == 1 ? read_order(r, a) : read_shape(r, a);
		if (rc)
			return rc;
		rc = tfs_literal_another(&r->lit, '}');
		if (rc < 0)
			return rc;
	}
	for (i = 0; i < 3; i++)
		if (!(seen & 1u << i))
			return tfs_literal_refuse(&r->lit, r->lit.at, "key %s is missing", keys[i]);
	tfs_literal_space(&r->lit);
	return r->lit.at == r->lit.end ? 0 : tfs_literal_expected(&r->lit, "the end of the header");
}

int tfs_npy_header_read(const uint8_t *header, size_t len, struct tfs_catalog *catalog, struct tfs_npy_array *ret,
			struct tfs_error *err)
{
	struct reader r = {
		.lit = {
			.start = header,
			.at = header + (header[6] == 1 ? 10 : TFS_NPY_START),
			.end = header + len,
			.utf8 = header[6] == 3,
			.err = err,
		},
	};
	unsigned long_dims = 0;
	int rc;

	*ret = (struct tfs_npy_array){ 0 };
	rc = read_dict(&r, catalog, ret);
	ret->objects = r.objects;
	if (rc == -ENOMEM)
		return tfs_error_set(err, rc, TFS_NO_OFFSET, "no memory for the header");
	if (rc)
		return rc;
	if (tfs_dtype_nbytes(ret->dtype, ret->shape, ret->ndim, &ret->nbytes))
		return tfs_literal_refuse(&r.lit, r.lit.at, "the shape has more bits than 64-bit numbers count");
	for (unsigned i = 0; i < ret->ndim; i++)
		long_dims += ret->shape[i] > 1;
	ret->fortran = ret->fortran && long_dims > 1 && ret->nbytes;
	return 0;
}

int tfs_npy_add(struct tfs_catalog *catalog, const char *name, size_t name_len, const struct tfs_npy_array *array,
		uint64_t offset, const struct tfs_packing *deflated)
{
	struct tfs_packing packing = { .coding = TFS_STORED, .length = array->nbytes };
	uint64_t strides[TFS_MAX_DIMS], stride = array->dtype->block_bytes;
	int rc = tfs_catalog_add(catalog, name, name_len, array->dtype, array->shape, array->ndim, offset,
				 array->nbytes);

	if (rc || !array->nbytes || (!deflated && !array->swap && !array->fortran))
		return rc;
	if (deflated)
		packing = *deflated;
	packing.swap = array->swap;
	/* No product is larger than nbytes, as no dimension is 0. */
	for (unsigned i = 0; i < array->ndim; stride *= array->shape[i++])
		strides[i] = stride;
	packing.strides = array->fortran ? strides : NULL;
	return tfs_catalog_pack(catalog, NULL, &packing);
}
