/* SPDX-License-Identifier: MIT */
/* npy headers and npz files. What NumPy itself writes is read in tests/e2e, hostile files are in tests/reject. */
#include "support/helpers.h"

#include <errno.h>

#include "format/format.h"

/* An npy file of @version with this header, and @data bytes behind it; its length. */
static size_t make_npy(uint8_t *file, unsigned version, const char *header, size_t data)
{
	size_t len = strlen(header), at = version == 1 ? 10 : 12;

	memcpy(file, "\x93NUMPY", 6);
	file[6] = version;
	file[7] = 0;
	for (size_t i = 8; i < at; i++)
		file[i] = len >> 8 * (i - 8);
	memcpy(file + at, header, len);
	memset(file + at + len, 'd', data);
	return at + len + data;
}

static int parse(const struct tfs_format *format, const void *file, size_t len, struct tfs_catalog **ret, struct tfs_error *err)
{
	int fd = memory_file(file, len), rc;

	*err = (struct tfs_error){ 0 };
	*ret = tfs_catalog_create();
	rc = format->parse(input_of(fd, len), format == &tfs_format_npy ? "an.array.npy" : "arrays.npz", *ret, err);
	if (rc) {
		assert_true(err->offset == TFS_NO_OFFSET || err->offset <= len);
		tfs_catalog_destroy(*ret);
		*ret = NULL;
	}
	close(fd);
	return rc;
}

/* The one tensor of a sound npy file. */
static struct tfs_tensor *parse_npy(unsigned version, const char *header, size_t data, struct tfs_catalog **ret)
{
	static uint8_t file[100000];
	size_t len = make_npy(file, version, header, data), n;
	struct tfs_error err;
	struct tfs_tensor *t;

	if (parse(&tfs_format_npy, file, len, ret, &err))
		fail_msg("%s: %s", header, err.what);
	t = tfs_catalog_tensors(*ret, &n);
	assert_int_equal(n, 1);
	assert_string_equal(t->name, "an.array");
	assert_int_equal(t->offset, len - data);
	return t;
}

static void assert_refused(unsigned version, const char *header, size_t data, const char *what)
{
	static uint8_t file[100000];
	size_t len = make_npy(file, version, header, data);
	struct tfs_error err;
	struct tfs_catalog *c;

	assert_int_equal(parse(&tfs_format_npy, file, len, &c, &err), -EINVAL);
	if (!strstr(err.what, what))
		fail_msg("%s: %s, not %s", header, err.what, what);
}

static void file_names_are_claimed(void **state)
{
	(void)state;
	assert_ptr_equal(tfs_format_for("a.npy"), &tfs_format_npy);
	assert_ptr_equal(tfs_format_for("a.npz"), &tfs_format_npz);
	assert_null(tfs_format_for(".npy"));
	assert_null(tfs_format_for(".npz"));
	assert_null(tfs_format_for("npy"));
	assert_ptr_equal(tfs_format_for("a.NPY"), &tfs_format_npy);
}

/* Types of one array of 4 elements: what np.dtype(descr).newbyteorder("<") is. */
static void types_are_told_apart(void **state)
{
	static const struct {
		const char *descr, *name, *npy;
		unsigned bytes, swap;
	} types[] = {
		{ "'<f4'", "F32", "<f4", 4, 0 },
		{ "'>f4'", "F32", "<f4", 4, 4 },
		{ "\"|b1\"", "BOOL", "|b1", 1, 0 },
		{ "'|i1'", "I8", "|i1", 1, 0 },
		{ "'>u1'", "U8", "|u1", 1, 0 },
		{ "u'<i2'", "I16", "<i2", 2, 0 },
		{ "'f2'", "F16", "<f2", 2, 0 },
		{ "'|i8'", "I64", "<i8", 8, 0 },
		{ "'>u8'", "U64", "<u8", 8, 8 },
		{ "'>c8'", "C64", "<c8", 8, 4 },
		{ "'>c16'", "C128", "<c16", 16, 8 },
		{ "'<V2'", "BF16", "<V2", 2, 0 },
		{ "'|V2'", "|V2", "|V2", 2, 0 },
		{ "'>f16'", ">f16", ">f16", 16, 0 },
		{ "'<c32'", "<c32", "<c32", 32, 0 },
		{ "'|S3'", "|S3", "|S3", 3, 0 },
		{ "'>U5'", "<U5", "<U5", 20, 4 },
		{ "'>M8[ns]'", "<M8[ns]", "<M8[ns]", 8, 8 },
		{ "'<m8[25us]'", "<m8[25us]", "<m8[25us]", 8, 0 },
		{ "'<m8'", "<m8", "<m8", 8, 0 },
		{ "'<m8[generic]'", "<m8[generic]", "<m8[generic]", 8, 0 },
		{ "'<m8[ms/4]'", "<m8[ms/4]", "<m8[ms/4]", 8, 0 },
		{ "'<M8[Y]'", "<M8[Y]", "<M8[Y]", 8, 0 },
		{ "[('a','>f4'),('b', '|S3', (2,3)) , ]", "[('a', '>f4'), ('b', '|S3', (2, 3))]",
		  "[('a', '>f4'), ('b', '|S3', (2, 3))]", 22, 0 },
		{ "[(\"it's\\t\\\\\", '<f4'), ((u'title', 'n'), [('x', '|u1', 2), ('', '|V1')])]",
		  "[('it\\'s\\x09\\\\', '<f4'), (('title', 'n'), [('x', '|u1', (2,)), ('', '|V1')])]",
		  "[('it\\'s\\x09\\\\', '<f4'), (('title', 'n'), [('x', '|u1', (2,)), ('', '|V1')])]", 7, 0 },
		{ "[('a', '|u1'), ('', '|V3'), ('b', '<f4'), ('', '|V4')]",
		  "[('a', '|u1'), ('', '|V3'), ('b', '<f4'), ('', '|V4')]",
		  "[('a', '|u1'), ('', '|V3'), ('b', '<f4'), ('', '|V4')]", 12, 0 },
		{ "[('a', ('<f4', (2,))),]", "[('a', ('<f4', (2,)))]", "[('a', ('<f4', (2,)))]", 8, 0 },
		/* As np.dtype() takes them: a code, a name, the machine's order. */
		{ "'d'", "F64", "<f8", 8, 0 },
		{ "'>d'", "F64", "<f8", 8, 8 },
		{ "'=f4'", "F32", "<f4", 4, 0 },
		{ "'?'", "BOOL", "|b1", 1, 0 },
		{ "'b'", "I8", "|i1", 1, 0 },
		{ "'>B'", "U8", "|u1", 1, 0 },
		{ "'l'", sizeof(long) == 8 ? "I64" : "I32", sizeof(long) == 8 ? "<i8" : "<i4", sizeof(long), 0 },
		{ "'>F'", "C64", "<c8", 8, 4 },
		{ "'float32'", "F32", "<f4", 4, 0 },
		{ "'half'", "F16", "<f2", 2, 0 },
		{ "'intc'", "I32", "<i4", 4, 0 },
		{ "'bool'", "BOOL", "|b1", 1, 0 },
		{ "'float'", "F64", "<f8", 8, 0 },
		{ "'complex128'", "C128", "<c16", 16, 0 },
		{ "'float128'", "<f16", "<f16", 16, 0 },
		{ "'|a4'", "|S4", "|S4", 4, 0 },
		{ "'c'", "|S1", "|S1", 1, 0 },
		{ "'f04'", "F32", "<f4", 4, 0 },
		{ "'<f +4'", "F32", "<f4", 4, 0 },
		{ "'>datetime64[ns]'", "<M8[ns]", "<M8[ns]", 8, 8 },
		{ "'timedelta64'", "<m8", "<m8", 8, 0 },
		/* ml_dtypes' */
		{ "'<f1'", "F8_E5M2", "|V1", 1, 0 },
		{ "'bfloat16'", "BF16", "<V2", 2, 0 },
		{ "'float8_e4m3fn'", "F8_E4M3", "|V1", 1, 0 },
		{ "'float8_e4m3fnuz'", "F8_E4M3FNUZ", "|V1", 1, 0 },
		{ "'float8_e5m2'", "F8_E5M2", "|V1", 1, 0 },
		{ "'float8_e5m2fnuz'", "F8_E5M2FNUZ", "|V1", 1, 0 },
		{ "'float8_e8m0fnu'", "F8_E8M0", "|V1", 1, 0 },
		{ "'float8_e4m3'", "float8_e4m3", "|V1", 1, 0 },
		{ "'int4'", "int4", "|V1", 1, 0 }, /* not I4, of which two are in a byte */
		{ "'float4_e2m1fn'", "float4_e2m1fn", "|V1", 1, 0 },
		/* In structures ml_dtypes' names stay in meta/, and npy/ can be read without them. */
		{ "[('a', 'int4'), ('b', 'bfloat16', 2), ('c', '>d'), ('d', '=S')]",
		  "[('a', 'int4'), ('b', 'bfloat16', (2,)), ('c', '>f8'), ('d', '|S0')]",
		  "[('a', '|V1'), ('b', '<V2', (2,)), ('c', '>f8'), ('d', '|S0')]", 13, 0 },
		{ "[('a', [('b', 'S')], 3), ('c', 'f4', 0), ('d', 'b')]",
		  "[('a', [('b', '|S0')], (3,)), ('c', '<f4', (0,)), ('d', '|i1')]",
		  "[('a', [('b', '|S0')], (3,)), ('c', '<f4', (0,)), ('d', '|i1')]", 1, 0 },
		{ "[('', 'V2'), ('', 'f4', (2,)), ('', 'u1'), ('', ('i2', 1))]",
		  "[('', '|V2'), ('', '<f4', (2,)), ('', '|u1'), ('', ('<i2', (1,)))]",
		  "[('', '|V2'), ('', '<f4', (2,)), ('', '|u1'), ('', ('<i2', (1,)))]", 13, 0 },
		{ "[('\xe9', '<f4')]", "[('\\xe9', '<f4')]", "[('\\xe9', '<f4')]", 4, 0 },
		{ "[('\\u00e9\\U0001f917\\x41', '<f4')]", "[('\\xe9\\U0001f917A', '<f4')]", "[('\\xe9\\U0001f917A', '<f4')]", 4,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(types); i++) {
		char header[300];
		struct tfs_catalog *c;
		struct tfs_tensor *t;

		snprintf(header, sizeof header, "{'descr': %s, 'fortran_order': False, 'shape': (4,), }  \n", types[i].descr);
		t = parse_npy(1, header, types[i].bytes * 4, &c);
		assert_string_equal(t->dtype->name, types[i].name);
		assert_string_equal(t->dtype->npy, types[i].npy);
		assert_int_equal(t->dtype->block_bytes, types[i].bytes);
		assert_int_equal(t->dtype->block_elems, 1);
		assert_int_equal(t->nbytes, types[i].bytes * 4);
		if (types[i].swap) {
			assert_non_null(t->encoding);
			assert_int_equal(t->encoding->swap, types[i].swap);
			assert_int_equal(t->encoding->coding, TFS_STORED);
			assert_int_equal(t->encoding->length, t->nbytes);
			assert_null(t->encoding->strides);
		} else {
			assert_null(t->encoding);
		}
		tfs_catalog_destroy(c);
	}
}

static void headers_of_all_versions_are_read(void **state)
{
	static const struct {
		unsigned version, ndim;
		const char *header;
		uint64_t shape[3];
		size_t nbytes;
	} headers[] = {
		{ 1, 0, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", { 0 }, 8 },
		{ 2, 1, "{'descr':'<i4','fortran_order':False,'shape':(3,)}", { 3 }, 12 },
		{ 3, 2, "\t {\n'shape' : ( 2L , 0L, ) , 'fortran_order' : True , 'descr' : '<f4' } \r\n", { 2, 0 }, 0 },
		{ 1, 3, "{\"shape\":(1,3,1),\"fortran_order\":True,\"descr\":\"<f4\"}", { 1, 3, 1 }, 12 },
	};
	struct tfs_catalog *c;
	struct tfs_tensor *t;

	(void)state;
	for (size_t i = 0; i < LENGTH(headers); i++) {
		t = parse_npy(headers[i].version, headers[i].header, headers[i].nbytes, &c);
		assert_int_equal(t->ndim, headers[i].ndim);
		assert_memory_equal(t->shape, headers[i].shape, t->ndim * sizeof *t->shape);
		assert_int_equal(t->nbytes, headers[i].nbytes);
		assert_null(t->encoding); /* Fortran order, too, where it is the same as C order */
		tfs_catalog_destroy(c);
	}
	t = parse_npy(3, "{'descr': [('\xc3\xa9', '<f4')], 'fortran_order': False, 'shape': ()}", 4, &c);
	assert_string_equal(t->dtype->name, "[('\\xe9', '<f4')]");
	tfs_catalog_destroy(c);
}

static void fortran_order_is_strides(void **state)
{
	struct tfs_catalog *c;
	struct tfs_tensor *t = parse_npy(1, "{'descr': '>f8', 'fortran_order': True, 'shape': (5,1,7)}", 5 * 7 * 8, &c);

	(void)state;
	assert_non_null(t->encoding);
	assert_int_equal(t->encoding->swap, 8);
	assert_int_equal(t->encoding->length, 5 * 7 * 8);
	assert_int_equal(t->encoding->strides[0], 8);
	assert_int_equal(t->encoding->strides[1], 40);
	assert_int_equal(t->encoding->strides[2], 40);
	tfs_catalog_destroy(c);
}

/* np.save() may put another array behind the first. */
static void what_follows_the_array_is_not_read(void **state)
{
	static uint8_t file[1000];
	size_t len = make_npy(file, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}", 9), n;
	struct tfs_error err;
	struct tfs_catalog *c;

	(void)state;
	assert_int_equal(parse(&tfs_format_npy, file, len, &c, &err), 0);
	assert_int_equal(tfs_catalog_tensors(c, &n)->nbytes, 3);
	tfs_catalog_destroy(c);
	/* But all of the array must be there. */
	assert_refused(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}", 2,
		       "the array requires 3 bytes, the file "
		       "has 2");
}

#define SHAPE(s) "{'descr': '|u1', 'fortran_order': False, 'shape': " s "}"
#define DESCR(s) "{'descr': " s ", 'fortran_order': False, 'shape': (1,)}"

static void unsound_headers_are_refused(void **state)
{
	static const struct {
		const char *header, *what;
	} headers[] = {
		{ "", "the header ends, expected `{`" },
		{ "[]", "expected `{`" },
		{ "{}", "key descr is missing" },
		{ "{'descr': '|u1', 'shape': (1,)}", "key fortran_order is missing" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'x': 1}", "key \"x\"" },
		{ "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1,)}", "duplicate key descr" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)", "ends, expected `,` or `}`" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} x", "the end of the header" },
		{ "{'descr' '|u1', 'fortran_order': False, 'shape': (1,)}", "expected `:`" },
		{ "{'descr': '|u1' 'fortran_order': False, 'shape': (1,)}", "expected `,` or `}`" },
		{ "{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}", "True or False" },
		{ "{'descr': '|u1', 'fortran_order': Falsehood, 'shape': (1,)}", "True or False" },
		{ "{'descr': '|u1', 'fortran_order': 'True', 'shape': (1,)}", "True or False" },
		{ "{descr: '|u1', 'fortran_order': False, 'shape': (1,)}", "expected key" },
		{ "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}", "expected type" },
		{ SHAPE("(1)"), "a number in parentheses" },
		{ SHAPE("[1]"), "expected `(`" },
		{ SHAPE("1"), "expected `(`" },
		{ SHAPE("None"), "expected `(`" },
		{ SHAPE("(-1,)"), "a negative number" },
		{ SHAPE("(1.0,)"), "expected `,` or `)`" },
		{ SHAPE("(1e3,)"), "expected `,` or `)`" },
		{ SHAPE("(0x1,)"), "expected `,` or `)`" },
		{ SHAPE("(01,)"), "begins with 0" },
		{ SHAPE("(True,)"), "expected a number" },
		{ SHAPE("(,)"), "expected a number" },
		{ SHAPE("(1,,)"), "expected a number" },
		{ SHAPE("(18446744073709551616,)"), "more than 64 bits" },
		{ SHAPE("(4294967296,4294967296)"), "more than 2^64-1 bits" },
		{ SHAPE("(18446744073709551615,)"), "more than 2^64-1 bits" },
		{ SHAPE("(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
			"1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)"),
		  "more than 64 dimensions" },
		{ DESCR("'|O'"), "Python objects" },
		{ DESCR("'|O8'"), "Python objects" },
		{ DESCR("'O'"), "Python objects" },
		{ DESCR("[('a', '<f4'), ('b', '|O')]"), "Python objects" },
		{ DESCR("[('a', [('b', ('|O', (2,)))])]"), "Python objects" },
		{ DESCR("'object'"), "Python objects" },
		{ DESCR("'<float32'"), "unknown type \"<float32\"" },
		{ DESCR("'Float32'"), "unknown type" },
		{ DESCR("'@f4'"), "unknown type" },
		{ DESCR("' f4'"), "unknown type" },
		{ DESCR("'=='"), "unknown type" },
		{ DESCR("'f-4'"), "unknown type" },
		{ DESCR("'<d8'"), "unknown type" },
		{ DESCR("'?1'"), "unknown type" },
		{ DESCR("'<bfloat16'"), "unknown type" },
		{ DESCR("'f4,i4'"), "unknown type" },
		{ DESCR("'3f4'"), "unknown type" },
		{ DESCR("'M4'"), "unknown type" },
		{ DESCR("'M[ns]'"), "unknown type" },
		{ DESCR("'datetime64[xs]'"), "unknown type" },
		{ DESCR("''"), "unknown type" },
		{ DESCR("'<'"), "unknown type" },
		{ DESCR("'<f3'"), "unknown type" },
		{ DESCR("'<f64'"), "unknown type" },
		{ DESCR("'<f4 '"), "unknown type" },
		{ DESCR("'<f4[ns]'"), "unknown type" },
		{ DESCR("'<M8[ns'"), "unknown type" },
		{ DESCR("'<M8[]'"), "unknown type" },
		{ DESCR("[('a', '<i4'), ('b', '<i4'), ('a', '<f4')]"), "duplicate field \"a\"" },
		{ DESCR("[('', '<i4'), ('', '<f4')]"), "duplicate field \"\"" },
		{ DESCR("[(('a', 'b'), '<i4'), ('a', '<f4')]"), "duplicate field \"a\"" },
		{ DESCR("[('c', [('a', '|u1'), ('a', '|u1')])]"), "duplicate field \"a\"" },
		{ DESCR("'<M8[0D]'"), "unknown type" },
		{ DESCR("'<M8[nss]'"), "unknown type" },
		{ DESCR("'<M8[4]'"), "unknown type" },
		{ DESCR("'<M8[ms/]'"), "unknown type" },
		{ DESCR("'<M8[9999999999D]'"), "unknown type" },
		{ DESCR("'<M8[\\']'"), "unknown type" },
		{ DESCR("'|S0'"), "zero-size elements" },
		{ DESCR("'U'"), "zero-size elements" },
		{ DESCR("'void'"), "zero-size elements" },
		{ DESCR("'|T16'"), "unknown type" },
		{ DESCR("'|S2147483648'"), "than NumPy allows" },
		{ DESCR("'<U536870912'"), "than NumPy allows" },
		{ DESCR("'<U9999999999999999999999999'"), "than NumPy allows" },
		{ DESCR("'<f4\\n'"), "isn't a type" },
		{ DESCR("'<f4"), "unknown type" },
		{ DESCR("'<f\\q4'"), "an unsupported escape" },
		{ DESCR("'\\x4'"), "hex digit" },
		{ DESCR("b'<f4'"), "expected type" },
		{ DESCR("('<f4', (2,))"), "expected type" },
		{ DESCR("[]"), "zero-size elements" },
		{ DESCR("[('a', '<f4', (0,))]"), "zero-size elements" },
		{ DESCR("[('a', '<f4', (65536, 65536, 65536, 65536))]"), "than NumPy allows" },
		{ DESCR("[('a', '|S2000000000'), ('b', '|S2000000000')]"), "than NumPy allows" },
		{ DESCR("[('a', 'S', 2)]"), "a shape of zero-size elements" }, /* S2 to NumPy */
		{ DESCR("[('a', ('i2', (0,)), 2)]"), "a shape of zero-size elements" },
		{ DESCR("[('a', ('V', ()))]"), "a shape of zero-size elements" },
		{ DESCR("['<f4']"), "expected `(`" },
		{ DESCR("[('a',)]"), "expected type" },
		{ DESCR("[('a', '<f4', (1,), 2)]"), "expected `)`" },
		{ DESCR("[('a', '<f4') ('b', '<f4')]"), "expected `,` or `]`" },
		{ DESCR("[('a\n', '<f4')]"), "unterminated" },
		{ DESCR("[('\\U00110000', '<f4')]"), "above U+10FFFF" },
		{ DESCR("[(('a', 'b', 'c'), '<f4')]"), "expected `)`" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(headers); i++)
		assert_refused(1 + i % 3, headers[i].header, 100, headers[i].what);
	assert_refused(3, DESCR("[('\xe9', '<f4')]"), 100, "invalid UTF-8");
	assert_refused(1, "{\xc3\xa9", 0, "expected key");
}

static void deep_nesting_is_refused(void **state)
{
	static char header[60000];
	char *p = header + sprintf(header, "{'descr': ");

	(void)state;
	for (int i = 0; i < 5000; i++)
		p += sprintf(p, "[('a', ");
	assert_refused(1, header, 0, "nested deeper than 32");
	/* One bracket of the other kind, at every depth: none is where the limit could be jumped over. */
	for (int at = 0; at < 40; at++) {
		p = header + sprintf(header, "{'descr': ");
		for (int i = 0; i < 5000; i++)
			p += sprintf(p, "[('a', %s", i == at ? "(" : "");
		assert_refused(1, header, 0, "nested deeper than 32");
	}
	p = header + sprintf(header, "{'descr': [('a', ");
	memset(p, '(', 5000);
	p[5000] = 0;
	assert_refused(1, header, 0, "nested deeper than 32");
}

/* Fields make a long descr: shown in meta/, but more than a header in npy/ can hold. */
static void a_long_descr_is_rows_of_bytes_in_npy(void **state)
{
	static char header[60000];
	char *p = header + sprintf(header, "{'fortran_order': False, 'shape': (2,), 'descr': [");
	struct tfs_catalog *c;
	struct tfs_tensor *t;

	(void)state;
	for (int i = 0; i < 1000; i++)
		p += sprintf(p, "('f%d', '<f4'), ", i);
	sprintf(p, "]}");
	t = parse_npy(2, header, 8000, &c);
	assert_null(t->dtype->npy);
	assert_int_equal(t->dtype->block_bytes, 4000);
	assert_int_equal(strncmp(t->dtype->name, "[('f0', '<f4'), ('f1', ", 23), 0);
	assert_string_equal(t->dtype->name + strlen(t->dtype->name) - 18, ", ('f999', '<f4')]");
	tfs_catalog_destroy(c);
}

static void what_is_no_npy_is_refused(void **state)
{
	static uint8_t file[300];
	size_t len = make_npy(file, 1, SHAPE("(3,)"), 3);
	struct tfs_catalog *c;
	struct tfs_error err;

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(parse(&tfs_format_npy, file, cut, &c, &err), -EINVAL);
	file[7] = 1;
	assert_int_equal(parse(&tfs_format_npy, file, len, &c, &err), -EINVAL);
	assert_non_null(strstr(err.what, "version 1.1"));
	file[6] = 4;
	file[7] = 0;
	assert_int_equal(parse(&tfs_format_npy, file, len, &c, &err), -EINVAL);
	file[6] = 2;
	file[11] = 0x7f;
	assert_int_equal(parse(&tfs_format_npy, file, len, &c, &err), -EINVAL);
	assert_non_null(strstr(err.what, "above the limit"));
}

/* Names are of bytes that UTF-8 hasn't. */
static void a_name_that_is_no_utf8_is_refused(void **state)
{
	static uint8_t file[300];
	size_t len = make_npy(file, 1, SHAPE("(3,)"), 3);
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_error err = { 0 };
	int fd = memory_file(file, len);

	(void)state;
	assert_int_equal(tfs_format_npy.parse(input_of(fd, len), "\xff.npy", c, &err), -EINVAL);
	assert_non_null(strstr(err.what, "isn't UTF-8"));
	tfs_catalog_destroy(c);
	close(fd);
}

/* As npy/ of a mount and tensorfs cp name files; what these wouldn't have written is the name as it is. */
static void escaped_names_are_undone(void **state)
{
	static const struct {
		const char *file, *name;
		size_t len;
	} rows[] = {
		{ "a%2Fb.npy", "a/b", 3 },   { "100%25.npy", "100%", 4 }, { "%.npy", "", 0 },
		{ "%2E%2E.npy", "..", 2 },   { "a%00b.npy", "a\0b", 3 },  { "x%0Ay.npy", "x\ny", 3 },
		{ "a%2fb.npy", "a%2fb", 5 }, { "50%.npy", "50%", 3 },	  { "a%20b.npy", "a%20b", 5 },
		{ "%25a%.npy", "%25a%", 5 }, { "a%2Eb.npy", "a%2Eb", 5 }, { "plain.w.npy", "plain.w", 7 },
	};
	static uint8_t file[300];
	size_t len = make_npy(file, 1, SHAPE("(3,)"), 3), n;
	int fd = memory_file(file, len);

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct tfs_catalog *c = tfs_catalog_create();
		struct tfs_error err = { 0 };

		assert_int_equal(tfs_format_npy.parse(input_of(fd, len), rows[i].file, c, &err), 0);
		const struct tfs_tensor *t = tfs_catalog_tensors(c, &n);
		assert_int_equal(n, 1);
		assert_int_equal(t->name_len, rows[i].len);
		assert_memory_equal(t->name, rows[i].name, rows[i].len + 1);
		tfs_catalog_destroy(c);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names_are_claimed),
		cmocka_unit_test(types_are_told_apart),
		cmocka_unit_test(headers_of_all_versions_are_read),
		cmocka_unit_test(fortran_order_is_strides),
		cmocka_unit_test(what_follows_the_array_is_not_read),
		cmocka_unit_test(unsound_headers_are_refused),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(a_long_descr_is_rows_of_bytes_in_npy),
		cmocka_unit_test(what_is_no_npy_is_refused),
		cmocka_unit_test(a_name_that_is_no_utf8_is_refused),
		cmocka_unit_test(escaped_names_are_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
