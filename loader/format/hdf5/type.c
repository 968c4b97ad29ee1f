/* SPDX-License-Identifier: MIT */
/*
 * Datatypes (IV.A.2.d). Shown as numbers: integers and floats of whole bytes; a complex number, as h5py writes it, two floats in a
 * compound; an enumeration, which is its integers, or a bool with the members that h5py gives one; arrays of these, whose dimensions
 * follow the dataset's, as h5py has them.
 */
#include "format/hdf5/impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"

enum { FIXED, FLOAT, TIME, STRING, BITFIELD, OPAQUE, COMPOUND, REFERENCE, ENUM, VARIABLE, ARRAY, COMPLEX };

/* Types in types; nobody nests them so, and this uses our own stack. */
enum { MAX_NESTED = 8 };

struct head {
	uint8_t class, version;
	uint32_t bits;
	uint32_t size;
};

static struct head read_head(struct tfs_cursor *c)
{
	uint32_t word = tfs_cursor_u32(c);

	return (struct head){ word & 0xf, word >> 4 & 0xf, word >> 8, tfs_cursor_u32(c) };
}

static void name_dtype(struct tfs_h5_type *t, const char *name)
{
	t->dtype = tfs_dtype_by_name(name, strlen(name));
}

static int read_fixed(const struct head *head, struct tfs_cursor *c, struct tfs_h5_type *t)
{
	static const char *const names[] = { [1] = "U8", [2] = "U16", [4] = "U32", [8] = "U64" };
	static const char *const signed_names[] = { [1] = "I8", [2] = "I16", [4] = "I32", [8] = "I64" };
	uint16_t offset = tfs_cursor_u16(c), precision = tfs_cursor_u16(c);

	if (c->bad)
		return -EINVAL;
	if (head->size > 8 || !names[head->size] || offset || precision != 8 * head->size) {
		t->wrong = "its integers aren't of 8, 16, 32 or 64 bits";
		return 0;
	}
	name_dtype(t, head->class == FIXED && head->bits & 8 ? signed_names[head->size] : names[head->size]);
	t->swap = head->bits & 1 && head->size > 1 ? head->size : 0;
	return 0;
}

static int read_float(const struct head *head, struct tfs_cursor *c, struct tfs_h5_type *t)
{
	static const struct {
		uint8_t size, exponent, mantissa;
		uint32_t bias;
		const char *name;
	} floats[] = {
		{ 2, 5, 10, 15, "F16" },  { 4, 8, 23, 127, "F32" },  { 8, 11, 52, 1023, "F64" },
		{ 2, 8, 7, 127, "BF16" }, { 1, 4, 3, 7, "F8_E4M3" }, { 1, 5, 2, 15, "F8_E5M2" },
	};
	uint16_t offset = tfs_cursor_u16(c), precision = tfs_cursor_u16(c);
	uint8_t exponent_at = tfs_h5_byte(c), exponent = tfs_h5_byte(c), mantissa_at = tfs_h5_byte(c), mantissa = tfs_h5_byte(c);
	uint32_t bias = tfs_cursor_u32(c), sign_at = head->bits >> 8 & 0xff;
	bool plain = !offset && precision == 8 * head->size && !mantissa_at && exponent_at == mantissa && sign_at == precision - 1u;

	if (c->bad)
		return -EINVAL;
	/* VAX has words in an order of its own. */
	for (size_t i = 0; i < sizeof floats / sizeof *floats && plain && !(head->bits & 0x40); i++)
		if (floats[i].size == head->size && floats[i].exponent == exponent && floats[i].mantissa == mantissa &&
		    floats[i].bias == bias)
			name_dtype(t, floats[i].name);
	if (!t->dtype)
		t->wrong = "its floats are of no type that is known";
	t->swap = t->dtype && head->bits & 1 && head->size > 1 ? head->size : 0;
	return 0;
}

/* Raw bytes: V2 and so on, as NumPy has them. */
static int read_opaque(struct tfs_h5 *h, const struct head *head, struct tfs_h5_type *t)
{
	char name[16], npy[16];

	if (!head->size || head->size > INT32_MAX) {
		t->wrong = "its elements have no size that NumPy has";
		return 0;
	}
	snprintf(name, sizeof name, "V%u", head->size);
	snprintf(npy, sizeof npy, "|V%u", head->size);
	t->dtype = tfs_catalog_dtype(h->catalog, name, npy, 1, head->size);
	t->opaque = true;
	return t->dtype ? 0 : -ENOMEM;
}

static int read_nested(struct tfs_h5 *h, struct tfs_cursor *c, unsigned depth, struct tfs_h5_type *t);

/* A member's name, followed by a NUL, or padded to 8 bytes by @padded; NULL: it doesn't end. */
static const char *read_name(struct tfs_cursor *c, bool padded)
{
	const char *name = (const char *)c->at;
	size_t len = strnlen(name, tfs_cursor_left(c)) + 1;

	if (padded)
		len = (len + 7) & ~(size_t)7;
	return tfs_cursor_bytes(c, len) ? name : NULL;
}

/* Two equal floats, the real part and the imaginary one, by two of their types. */
static void make_complex(const struct tfs_h5_type *part, uint32_t size, struct tfs_h5_type *t)
{
	static const char *const names[] = { [2] = "C32", [4] = "C64", [8] = "C128" };
	const struct tfs_dtype *d = part->dtype;

	if (d && *d->name == 'F' && d->block_bytes > 1 && size == 2 * d->block_bytes && !part->ndim)
		name_dtype(t, names[d->block_bytes]);
	else
		t->wrong = "its elements have several fields";
	t->swap = part->swap;
}

/* Only one of two members matters. */
static int read_compound(struct tfs_h5 *h, const struct head *head, struct tfs_cursor *c, unsigned depth, struct tfs_h5_type *t)
{
	static const char *const fields[][2] = { { "r", "i" }, { "real", "imag" } };
	struct tfs_h5_type parts[2] = { 0 };
	const char *names[2] = { NULL };
	unsigned width = head->size < 0x100 ? 1 : head->size < 0x10000 ? 2 : head->size < 0x1000000 ? 3 : 4;
	bool named = false, placed = true;

	t->wrong = "its elements have several fields";
	if ((head->bits & 0xffff) != 2)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t offset;
		int r;

		names[i] = read_name(c, head->version < 3);
		offset = tfs_h5_number(c, head->version < 3 ? 4 : width);
		if (head->version == 1)
			tfs_cursor_bytes(c, 28);
		r = names[i] ? read_nested(h, c, depth, &parts[i]) : -EINVAL;
		if (r)
			return r;
		placed = placed && offset == i * head->size / 2;
	}
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		named = named || (!strcmp(names[0], fields[i][0]) && !strcmp(names[1], fields[i][1]));
	if (named && placed && parts[0].dtype == parts[1].dtype && parts[0].swap == parts[1].swap) {
		t->wrong = NULL;
		make_complex(&parts[0], head->size, t);
	}
	return 0;
}

static int read_complex(struct tfs_h5 *h, const struct head *head, struct tfs_cursor *c, unsigned depth, struct tfs_h5_type *t)
{
	struct tfs_h5_type part = { 0 };
	int r = read_nested(h, c, depth, &part);

	if (!r)
		make_complex(&part, head->size, t);
	return r;
}

/* h5py's bool: FALSE = 0, TRUE = 1, of a byte. */
static int read_enum(struct tfs_h5 *h, const struct head *head, struct tfs_cursor *c, unsigned depth, struct tfs_h5_type *t)
{
	const char *first, *second;
	const uint8_t *values;
	int r = read_nested(h, c, depth, t);

	if (r || (head->bits & 0xffff) != 2 || t->size != 1 || !t->dtype)
		return r;
	first = read_name(c, head->version < 3);
	second = first ? read_name(c, head->version < 3) : NULL;
	values = second ? tfs_cursor_bytes(c, 2) : NULL;
	if (!values)
		return -EINVAL;
	if (!strcmp(first, "FALSE") && !strcmp(second, "TRUE") && values[0] == 0 && values[1] == 1)
		name_dtype(t, "BOOL");
	return 0;
}

static int read_array(struct tfs_h5 *h, const struct head *head, struct tfs_cursor *c, unsigned depth, struct tfs_h5_type *t)
{
	uint64_t dims[sizeof t->dims / sizeof *t->dims], size;
	uint8_t ndim = tfs_h5_byte(c);
	int r;

	if (ndim > sizeof dims / sizeof *dims) {
		t->wrong = "its elements are arrays of more than 4 dimensions";
		return 0;
	}
	if (head->version < 3)
		tfs_cursor_bytes(c, 3);
	for (unsigned i = 0; i < ndim; i++)
		dims[i] = tfs_cursor_u32(c);
	if (head->version < 3)
		tfs_cursor_bytes(c, 4 * (size_t)ndim);
	r = read_nested(h, c, depth, t);
	if (r || !t->dtype)
		return r;
	if (t->ndim) {
		t->dtype = NULL;
		t->wrong = "its elements are arrays of arrays";
		return 0;
	}
	size = t->dtype->block_bytes;
	for (unsigned i = 0; i < ndim; i++)
		if (ckd_mul(&size, size, dims[i]))
			return -EINVAL;
	if (size != head->size || !size)
		return -EINVAL;
	memcpy(t->dims, dims, ndim * sizeof *dims);
	t->ndim = ndim;
	return 0;
}

static int read_class(struct tfs_h5 *h, const struct head *head, struct tfs_cursor *c, unsigned depth, struct tfs_h5_type *t)
{
	switch (head->class) {
	case FIXED:
	case BITFIELD:
		return read_fixed(head, c, t);
	case FLOAT:
		return read_float(head, c, t);
	case OPAQUE:
		return read_opaque(h, head, t);
	case COMPOUND:
		return read_compound(h, head, c, depth, t);
	case ENUM:
		return read_enum(h, head, c, depth, t);
	case ARRAY:
		return read_array(h, head, c, depth, t);
	case COMPLEX:
		return read_complex(h, head, c, depth, t);
	case STRING:
	case VARIABLE:
		t->foreign = "strings, or lists of various lengths";
		return 0;
	case REFERENCE:
		t->foreign = "references";
		return 0;
	case TIME:
		t->foreign = "times";
		return 0;
	default:
		t->wrong = "its type is of a class that is not known";
		return 0;
	}
}

static int read_nested(struct tfs_h5 *h, struct tfs_cursor *c, unsigned depth, struct tfs_h5_type *t)
{
	struct head head = read_head(c);
	int r;

	if (c->bad || depth == MAX_NESTED)
		return -EINVAL;
	r = read_class(h, &head, c, depth + 1, t);
	t->size = head.size;
	/* An enumeration has its integers' size, and so on. */
	if (!r && t->dtype && !t->ndim && t->dtype->block_bytes != head.size)
		r = -EINVAL;
	return r ? r : c->bad ? -EINVAL : 0;
}

int tfs_h5_type(struct tfs_h5 *h, struct tfs_cursor *c, struct tfs_h5_type *ret)
{
	*ret = (struct tfs_h5_type){ 0 };
	return read_nested(h, c, 0, ret);
}
