/* SPDX-License-Identifier: MIT */
/*
 * What np.dtype() makes of a string (numpy/_core/src/multiarray/descriptor.c, _convert_from_str(), of NumPy 2.4; NumPy 1's names
 * are those of its sctypeDict):
 *
 *	word	[order] code | [order] kind size | [order] time ['[' unit ']'] | name
 *	order	'<' | '>' | '=' | '|', of which the last two, and none, mean the machine's
 *	code	a letter, as in array.typecode
 *	time	"M8" | "m8" | "datetime64" | "timedelta64"
 *
 * C types have this machine's sizes, as for a NumPy that runs here. Accepted although no NumPy on this machine accepts them: "f1",
 * which is how np.save() writes ml_dtypes' float8_e5m2, and the long doubles of 32-bit machines. Not accepted although NumPy does:
 * counted or listed types ("3f4", "f4,i4"), which are structures, and which no writer uses.
 */
#include "format/numpy/type.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NATIVE_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/* A byte order may precede one of these letters; longer names have none. */
static const struct word {
	char word[16];
	char kind;
	uint8_t size;
} words[] = {
	{ "?", 'b', 1 },
	{ "b", 'i', 1 },
	{ "B", 'u', 1 },
	{ "h", 'i', sizeof(short) },
	{ "H", 'u', sizeof(short) },
	{ "i", 'i', sizeof(int) },
	{ "I", 'u', sizeof(int) },
	{ "l", 'i', sizeof(long) },
	{ "L", 'u', sizeof(long) },
	{ "q", 'i', sizeof(long long) },
	{ "Q", 'u', sizeof(long long) },
	{ "p", 'i', sizeof(intptr_t) },
	{ "P", 'u', sizeof(intptr_t) },
	{ "n", 'i', sizeof(intptr_t) },
	{ "N", 'u', sizeof(intptr_t) },
	{ "e", 'f', 2 },
	{ "f", 'f', 4 },
	{ "d", 'f', 8 },
	{ "g", 'f', sizeof(long double) },
	{ "F", 'c', 8 },
	{ "D", 'c', 16 },
	{ "G", 'c', 2 * sizeof(long double) },
	{ "c", 'S', 1 },
	{ "S", 'S', 0 },
	{ "a", 'S', 0 },
	{ "U", 'U', 0 },
	{ "V", 'V', 0 },
	{ "M", 'M', 8 },
	{ "m", 'm', 8 },
	{ "O", 'O', 0 },
	{ "bool", 'b', 1 },
	{ "bool_", 'b', 1 },
	{ "bool8", 'b', 1 },
	{ "int8", 'i', 1 },
	{ "uint8", 'u', 1 },
	{ "byte", 'i', 1 },
	{ "ubyte", 'u', 1 },
	{ "int16", 'i', 2 },
	{ "uint16", 'u', 2 },
	{ "short", 'i', sizeof(short) },
	{ "ushort", 'u', sizeof(short) },
	{ "int32", 'i', 4 },
	{ "uint32", 'u', 4 },
	{ "intc", 'i', sizeof(int) },
	{ "uintc", 'u', sizeof(int) },
	{ "int64", 'i', 8 },
	{ "uint64", 'u', 8 },
	{ "long", 'i', sizeof(long) },
	{ "ulong", 'u', sizeof(long) },
	{ "longlong", 'i', sizeof(long long) },
	{ "ulonglong", 'u', sizeof(long long) },
	{ "intp", 'i', sizeof(intptr_t) },
	{ "uintp", 'u', sizeof(intptr_t) },
	{ "int", 'i', sizeof(intptr_t) },
	{ "uint", 'u', sizeof(intptr_t) },
	{ "int_", 'i', sizeof(intptr_t) },
	{ "int0", 'i', sizeof(intptr_t) },
	{ "uint0", 'u', sizeof(intptr_t) },
	{ "float16", 'f', 2 },
	{ "half", 'f', 2 },
	{ "float32", 'f', 4 },
	{ "single", 'f', 4 },
	{ "float64", 'f', 8 },
	{ "double", 'f', 8 },
	{ "float", 'f', 8 },
	{ "float_", 'f', 8 },
	{ "float96", 'f', 12 },
	{ "float128", 'f', 16 },
	{ "longdouble", 'f', sizeof(long double) },
	{ "longfloat", 'f', sizeof(long double) },
	{ "complex64", 'c', 8 },
	{ "csingle", 'c', 8 },
	{ "singlecomplex", 'c', 8 },
	{ "complex128", 'c', 16 },
	{ "cdouble", 'c', 16 },
	{ "cfloat", 'c', 16 },
	{ "complex", 'c', 16 },
	{ "complex_", 'c', 16 },
	{ "complex192", 'c', 24 },
	{ "complex256", 'c', 32 },
	{ "clongdouble", 'c', 2 * sizeof(long double) },
	{ "clongfloat", 'c', 2 * sizeof(long double) },
	{ "longcomplex", 'c', 2 * sizeof(long double) },
	{ "bytes", 'S', 0 },
	{ "bytes_", 'S', 0 },
	{ "bytes0", 'S', 0 },
	{ "string_", 'S', 0 },
	{ "str", 'U', 0 },
	{ "str_", 'U', 0 },
	{ "str0", 'U', 0 },
	{ "unicode", 'U', 0 },
	{ "unicode_", 'U', 0 },
	{ "void", 'V', 0 },
	{ "void0", 'V', 0 },
	{ "object", 'O', 0 },
	{ "object_", 'O', 0 },
	{ "object0", 'O', 0 },
};

/* A letter followed by a size. */
static const struct kind {
	char letter, kind;
	uint8_t unit;	/* bytes per unit of the size */
	uint64_t sizes; /* bit n: n of these are a type; 0: any number is */
} kinds[] = {
	{ 'b', 'b', 1, 1 << 1 },
	{ 'i', 'i', 1, 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 },
	{ 'u', 'u', 1, 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 },
	{ 'f', 'f', 1, 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 12 | 1 << 16 },
	{ 'c', 'c', 1, 1 << 8 | 1 << 16 | 1 << 24 | UINT64_C(1) << 32 },
	{ 'S', 'S', 1, 0 },
	{ 'a', 'S', 1, 0 },
	{ 'U', 'U', 4, 0 },
	{ 'V', 'V', 1, 0 },
	{ 'O', 'O', 1, 1 << 4 | 1 << 8 },
};

/*
 * Types that ml_dtypes adds, by its own name, or by the name that np.save() writes, if that isn't another type's; and our name: the
 * field's standard one or, if that doesn't mean one byte per element, ml_dtypes'.
 */
static const struct ml {
	const char *name, *dtype;
} mls[] = {
	{ "bfloat16", "BF16" },
	{ "<V2", "BF16" },
	{ "float8_e4m3fn", "F8_E4M3" },
	{ "float8_e4m3fnuz", "F8_E4M3FNUZ" },
	{ "float8_e5m2", "F8_E5M2" },
	{ "<f1", "F8_E5M2" },
	{ "float8_e5m2fnuz", "F8_E5M2FNUZ" },
	{ "float8_e8m0fnu", "F8_E8M0" },
	{ "float8_e3m4", "float8_e3m4" },
	{ "float8_e4m3", "float8_e4m3" },
	{ "float8_e4m3b11fnuz", "float8_e4m3b11fnuz" },
	{ "float6_e2m3fn", "float6_e2m3fn" },
	{ "float6_e3m2fn", "float6_e3m2fn" },
	{ "float4_e2m1fn", "float4_e2m1fn" },
	{ "int2", "int2" },
	{ "uint2", "uint2" },
	{ "int4", "int4" },
	{ "uint4", "uint4" },
};

static bool find_ml(const char *name, struct tfs_npy_type *t)
{
	for (size_t i = 0; i < sizeof mls / sizeof *mls; i++) {
		if (strcmp(name, mls[i].name))
			continue;
		t->kind = 'V';
		t->name = mls[i].name;
		t->builtin = tfs_dtype_by_name(mls[i].dtype, strlen(mls[i].dtype));
		t->size = t->builtin->block_bytes;
		return true;
	}
	return false;
}

static const struct word *find_word(const char *word)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(word, words[i].word))
			return &words[i];
	return NULL;
}

/* After a number above 0, or @p if none begins there; NULL: it is 0, or has more digits than an int. */
static const char *skip_count(const char *p)
{
	size_t digits = strspn(p, "0123456789");

	return *p == '0' || digits > 9 ? NULL : p + digits;
}

/* After a unit of time, as in "25us" or "ms/4" (numpy/_core/src/multiarray/datetime.c); NULL: there is none. */
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

/* After the name of a time type; NULL: it isn't one. */
static const char *skip_time(const char *p, char *ret_kind)
{
	static const char *const times[] = { "M8", "m8", "datetime64", "timedelta64" };

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (!strncmp(p, times[i], strlen(times[i]))) {
			*ret_kind = i % 2 ? 'm' : 'M';
			return p + strlen(times[i]);
		}
	return NULL;
}

static int parse_time(const char *unit, struct tfs_npy_type *t)
{
	const char *end;

	t->size = 8;
	snprintf(t->unit, sizeof t->unit, "%s", unit);
	if (!*unit)
		return 0;
	end = *unit == '[' ? skip_unit(unit + 1) : NULL;
	return end && !strcmp(end, "]") ? 0 : -EINVAL;
}

static int parse_sized(const char *p, struct tfs_npy_type *t)
{
	const struct kind *k = kinds;
	char *end;
	long long size;

	while (k < kinds + sizeof kinds / sizeof *kinds && k->letter != *p)
		k++;
	if (k == kinds + sizeof kinds / sizeof *kinds)
		return -EINVAL;
	/* With optional blanks and a sign, which NumPy's strtol() accepts, too. */
	errno = 0;
	size = strtoll(p + 1, &end, 10);
	if (*end || end == p + 1 || size < 0)
		return -EINVAL;
	if (errno || size > TFS_NPY_MAX_ITEM / k->unit)
		return k->sizes ? -EINVAL : -E2BIG;
	if (k->sizes && (size > 32 || !(k->sizes >> size & 1)))
		return -EINVAL;
	if (k->kind == 'f' && size == 1)
		return find_ml("<f1", t) ? 0 : -EINVAL;
	t->kind = k->kind;
	t->size = (uint64_t)size * k->unit;
	return 0;
}

/* A code or a name, or a kind with its size; after its byte order, if it was @ordered. */
static int parse_plain(const char *p, bool ordered, struct tfs_npy_type *t)
{
	const struct word *w = ordered && strlen(p) > 1 ? NULL : find_word(p);

	if (!w)
		return parse_sized(p, t);
	t->kind = w->kind;
	t->size = w->size;
	return 0;
}

/* What kind and size imply. */
static void complete(struct tfs_npy_type *t)
{
	char name[TFS_NPY_WORD];

	switch (t->kind) {
	case 'b':
		t->builtin = tfs_dtype_by_name("BOOL", 4);
		break;
	case 'i':
	case 'u':
	case 'f':
	case 'c':
		snprintf(name, sizeof name, "%c%u", t->kind - 'a' + 'A', (unsigned)t->size * 8);
		t->builtin = tfs_dtype_by_name(name, strlen(name)); /* none for long doubles, which no other machine has */
		t->word = !t->builtin ? 0 : t->kind == 'c' ? t->size / 2 : t->size > 1 ? t->size : 0;
		break;
	case 'U':
		t->word = 4;
		break;
	case 'M':
	case 'm':
		t->word = 8;
		break;
	}
}

int tfs_npy_type_parse(const char *word, struct tfs_npy_type *ret)
{
	struct tfs_npy_type t = { .big = *word == '>' || (*word != '<' && NATIVE_BIG) };
	const char *p = word + (*word && strchr("<>=|", *word)), *unit = skip_time(p, &t.kind);
	int r = 0;

	if (unit)
		r = parse_time(unit, &t);
	else if (!find_ml(word, &t))
		r = parse_plain(p, p > word, &t);
	if (r)
		return r;
	if (!t.builtin)
		complete(&t);
	*ret = t;
	return 0;
}

void tfs_npy_type_str(const struct tfs_npy_type *t, bool big, char buf[TFS_NPY_WORD + 4])
{
	bool ordered = t->word || (t->size > 8 && (t->kind == 'f' || t->kind == 'c'));

	assert(t->builtin || !t->name);
	if (t->name)
		snprintf(buf, TFS_NPY_WORD + 4, "%s", t->builtin->npy);
	else
		snprintf(buf, TFS_NPY_WORD + 4, "%c%c%llu%s",
			 !ordered ? '|' :
			 big	  ? '>' :
				    '<',
			 t->kind, (unsigned long long)t->size / (t->kind == 'U' ? 4 : 1), t->unit);
}

const struct tfs_dtype *tfs_npy_type_dtype(const struct tfs_npy_type *t, struct tfs_catalog *catalog, uint8_t *ret_swap)
{
	char str[TFS_NPY_WORD + 4];

	*ret_swap = t->big ? t->word : 0;
	if (t->builtin)
		return t->builtin;
	tfs_npy_type_str(t, t->big && !*ret_swap, str);
	return tfs_catalog_dtype(catalog, str, str, 1, t->size);
}
