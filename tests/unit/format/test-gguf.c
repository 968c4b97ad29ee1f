/* SPDX-License-Identifier: MIT */
/* The GGUF header's reader, and the parser on it. Hostile files by the dozen are in tests/reject. */
#include "support/catalog-helpers.h"

#include <errno.h>

#include "format/format.h"
#include "format/gguf/reader.h"

/* --- Making files ------------------------------------------------------------------------------------------------ */

struct file {
	uint32_t version;
	bool big;
	size_t len;
	unsigned char bytes[1 << 17];
};

static struct file *file_create(uint32_t version, bool big)
{
	struct file *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->version = version;
	f->big = big;
	return f;
}

static void put(struct file *f, const void *bytes, size_t len)
{
	assert_true(f->len + len <= sizeof f->bytes);
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static void put_int(struct file *f, uint64_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		unsigned char c = v >> 8 * (f->big ? size - 1 - i : i);

		put(f, &c, 1);
	}
}

static void put_u32(struct file *f, uint32_t v)
{
	put_int(f, v, 4);
}

/* A length or a count. */
static void put_len(struct file *f, uint64_t v)
{
	put_int(f, v, f->version == 1 ? 4 : 8);
}

static void put_str(struct file *f, const char *s)
{
	put_len(f, strlen(s));
	put(f, s, strlen(s));
}

static struct file *begin(uint32_t version, bool big, uint64_t tensors, uint64_t keys)
{
	struct file *f = file_create(version, big);

	put(f, "GGUF", 4);
	put_u32(f, version);
	put_len(f, tensors);
	put_len(f, keys);
	return f;
}

/* A key of type uint32. */
static void put_key(struct file *f, const char *name, uint32_t value)
{
	put_str(f, name);
	put_u32(f, TFS_GGUF_UINT32);
	put_u32(f, value);
}

/* Dimensions as the file has them, the fastest first; 0 as the second: there is one only. */
static void put_tensor(struct file *f, const char *name, uint32_t type, uint64_t ne0, uint64_t ne1, uint64_t offset)
{
	put_str(f, name);
	put_u32(f, ne1 ? 2 : 1);
	put_len(f, ne0);
	if (ne1)
		put_len(f, ne1);
	put_u32(f, type);
	put_int(f, offset, 8);
}

static void pad(struct file *f, size_t align)
{
	while (f->len % align)
		put(f, "", 1);
}

static void put_data(struct file *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = i;

		put(f, &c, 1);
	}
}

/* Parse the first @len bytes of @f into *@ret, which is NULL on failure. */
static int parse_part(const struct file *f, size_t len, struct tfs_catalog **ret, struct tfs_error *err)
{
	int fd = memory_file(f->bytes, len), rc;

	*err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
	*ret = tfs_catalog_create();
	rc = tfs_format_gguf.parse(input_of(fd, len), "model.gguf", *ret, err);
	if (rc) {
		tfs_catalog_destroy(*ret);
		*ret = NULL;
	}
	close(fd);
	return rc;
}

static struct tfs_catalog *parse_sound(struct file *f)
{
	struct tfs_catalog *c;
	struct tfs_error err;

	if (parse_part(f, f->len, &c, &err))
		fail_msg("byte %llu: %s", (unsigned long long)err.offset, err.what);
	free(f);
	return c;
}

static void refused(struct file *f, uint64_t at, const char *what)
{
	struct tfs_catalog *c;
	struct tfs_error err;

	assert_int_equal(parse_part(f, f->len, &c, &err), -EINVAL);
	assert_string_equal(err.what, what);
	assert_int_equal(err.offset, at);
	free(f);
}

/* --- Tensors ----------------------------------------------------------------------------------------------------- */

static void file_names_are_claimed(void **state)
{
	(void)state;
	assert_ptr_equal(tfs_format_for("model.gguf"), &tfs_format_gguf);
	assert_ptr_equal(tfs_format_for("m-00001-of-00002.gguf"), &tfs_format_gguf);
	assert_null(tfs_format_for(".gguf"));
	assert_ptr_equal(tfs_format_for("Model.GGUF"), &tfs_format_gguf);
	assert_null(tfs_format_for("gguf"));
}

static void versions_and_byte_orders_say_the_same(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		bool big = i % 2;
		struct file *f = begin(i / 2 + 1, big, 3, 2);
		struct tfs_catalog *c;
		struct tfs_tensor *t;
		size_t n, data;

		put_key(f, "general.alignment", 64);
		put_str(f, "general.name");
		put_u32(f, TFS_GGUF_STRING);
		put_str(f, "example");
		put_tensor(f, "b", 0, 3, 2, 0);
		put_tensor(f, "a", 1, 5, 0, 64);
		put_tensor(f, "c", 24, 4, 0, 128);
		pad(f, 64);
		data = f->len;
		put_data(f, 132);

		c = parse_sound(f);
		t = tfs_catalog_tensors(c, &n);
		assert_int_equal(n, 3);
		assert_string_equal(t[0].name, "a");
		assert_string_equal(t[0].dtype->name, "F16");
		assert_int_equal(t[0].ndim, 1);
		assert_int_equal(t[0].shape[0], 5);
		assert_int_equal(t[0].offset, data + 64);
		assert_int_equal(t[0].nbytes, 10);
		assert_string_equal(t[1].name, "b");
		assert_string_equal(t[1].dtype->name, "F32");
		assert_int_equal(t[1].ndim, 2);
		assert_int_equal(t[1].shape[0], 2); /* row-major */
		assert_int_equal(t[1].shape[1], 3);
		assert_int_equal(t[1].offset, data);
		assert_int_equal(t[1].nbytes, 24);
		if (big) {
			assert_int_equal(t[0].encoding->coding, TFS_STORED);
			assert_int_equal(t[0].encoding->swap, 2);
			assert_int_equal(t[0].encoding->length, 10);
			assert_int_equal(t[1].encoding->swap, 4);
		} else {
			assert_null(t[0].encoding);
			assert_null(t[1].encoding);
		}
		assert_null(t[2].encoding); /* bytes */
		tfs_catalog_destroy(c);
	}
}

/* The number of each type, and bytes of a row of one block; ggml.h and ggml-common.h. */
static const struct {
	uint32_t type;
	const char *name;
	unsigned elems, bytes;
	int big; /* in a big-endian file: 1: swapped, 0: as it is, -1: has words that may be or may not */
} types[] = {
	{ 0, "F32", 1, 4, 1 },		{ 1, "F16", 1, 2, 1 },		{ 2, "Q4_0", 32, 18, -1 },
	{ 3, "Q4_1", 32, 20, -1 },	{ 6, "Q5_0", 32, 22, -1 },	{ 7, "Q5_1", 32, 24, -1 },
	{ 8, "Q8_0", 32, 34, -1 },	{ 9, "Q8_1", 32, 36, -1 },	{ 10, "Q2_K", 256, 84, -1 },
	{ 11, "Q3_K", 256, 110, -1 },	{ 12, "Q4_K", 256, 144, -1 },	{ 13, "Q5_K", 256, 176, -1 },
	{ 14, "Q6_K", 256, 210, -1 },	{ 15, "Q8_K", 256, 292, -1 },	{ 16, "IQ2_XXS", 256, 66, -1 },
	{ 17, "IQ2_XS", 256, 74, -1 },	{ 18, "IQ3_XXS", 256, 98, -1 }, { 19, "IQ1_S", 256, 50, -1 },
	{ 20, "IQ4_NL", 32, 18, -1 },	{ 21, "IQ3_S", 256, 110, -1 },	{ 22, "IQ2_S", 256, 82, -1 },
	{ 23, "IQ4_XS", 256, 136, -1 }, { 24, "I8", 1, 1, 0 },		{ 25, "I16", 1, 2, 1 },
	{ 26, "I32", 1, 4, 1 },		{ 27, "I64", 1, 8, 1 },		{ 28, "F64", 1, 8, 1 },
	{ 29, "IQ1_M", 256, 56, -1 },	{ 30, "BF16", 1, 2, -1 },	{ 34, "TQ1_0", 256, 54, -1 },
	{ 35, "TQ2_0", 256, 66, -1 },	{ 39, "MXFP4", 32, 17, 0 },	{ 40, "NVFP4", 64, 36, 0 },
	{ 41, "Q1_0", 128, 18, -1 },	{ 42, "Q2_0", 64, 18, -1 },
};

static void every_type_has_its_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(types); i++)
		for (int big = 0; big < 2; big++) {
			struct file *f = begin(3, big, 1, 0);
			struct tfs_catalog *c;
			struct tfs_tensor *t;
			size_t n;

			put_tensor(f, "t", types[i].type, types[i].elems * 2, 3, 0);
			pad(f, 32);
			put_data(f, types[i].bytes * 6);
			c = parse_sound(f);
			t = tfs_catalog_tensors(c, &n);
			assert_string_equal(t->dtype->name, types[i].name);
			assert_int_equal(t->nbytes, types[i].bytes * 6);
			assert_int_equal(t->encoding != NULL, big && types[i].big == 1);
			assert_int_equal(is_noted(c), big && types[i].big < 0);
			tfs_catalog_destroy(c);
		}
}

/* A big-endian file with 50 blocks of type @i of the table, in which the words at byte @at are @word(block), their first byte first. */
static struct file *with_words(size_t i, unsigned at, uint16_t (*word)(unsigned block))
{
	struct file *f = begin(3, true, 1, 0);

	put_tensor(f, "t", types[i].type, types[i].elems * 50, 0, 0);
	pad(f, 32);
	for (unsigned block = 0; block < 50; block++) {
		unsigned char bytes[512] = { 0 };

		bytes[at] = word(block) >> 8;
		bytes[at + 1] = word(block);
		put(f, bytes, types[i].bytes);
	}
	return f;
}

/* F16 from 2^-8 to 2^-6 and BF16 from 2^-9 to 2^-7; mantissas 16 bits of a generator. */
static uint16_t big(unsigned block)
{
	return 0x1c00 + block * 40503 % 2048;
}

static uint16_t little(unsigned block)
{
	return __builtin_bswap16(big(block));
}

static uint16_t negative(unsigned block)
{
	return big(block) | (block * 7 % 3 ? 0x8000 : 0);
}

/* As Q6_K has them for small weights. */
static uint16_t subnormal(unsigned block)
{
	return 1 + block * 40503 % 255;
}

static uint16_t zero(unsigned block)
{
	return block * 0;
}

static uint16_t one(unsigned block)
{
	return 0x3c00 + block * 0;
}

static uint16_t powers_of_two(unsigned block)
{
	return (0x1c + block % 8 * 4) << 8;
}

static uint16_t noise(unsigned block)
{
	return block * 40503;
}

static uint16_t seldom(unsigned block)
{
	return block % 7 ? 0 : big(block); /* 7 distances */
}

static uint16_t often_zero(unsigned block)
{
	return block % 3 ? 0 : big(block);
}

static void words_tell_their_order(void **state)
{
	static const struct {
		uint16_t (*word)(unsigned block);
		int order; /* 1: big, 0: little, -1: nobody can tell */
	} cases[] = {
		{ big, 1 },   { little, 0 }, { negative, 1 },	    { subnormal, 1 }, { often_zero, 1 },
		{ zero, -1 }, { one, -1 },   { powers_of_two, -1 }, { noise, -1 },    { seldom, -1 },
	};
	static const struct {
		const char *name;
		unsigned at;
	} of[] = { { "BF16", 0 }, { "Q4_0", 0 }, { "Q8_0", 0 }, { "Q2_K", 80 }, { "Q3_K", 108 }, { "Q6_K", 208 }, { "TQ1_0", 52 } };

	(void)state;
	for (size_t j = 0; j < LENGTH(of); j++)
		for (size_t k = 0; k < LENGTH(cases); k++) {
			struct tfs_catalog *c;
			struct tfs_tensor *t;
			size_t n, i = 0;

			while (strcmp(types[i].name, of[j].name))
				i++;
			c = parse_sound(with_words(i, of[j].at, cases[k].word));
			t = tfs_catalog_tensors(c, &n);
			assert_int_equal(t->encoding != NULL, cases[k].order == 1);
			assert_int_equal(is_noted(c), cases[k].order < 0);
			if (t->encoding) {
				assert_int_equal(t->encoding->swap, 2);
				assert_int_equal(t->encoding->length, t->nbytes);
				assert_int_equal(t->encoding->words != NULL, types[i].elems > 1);
				if (t->encoding->words)
					assert_int_equal(t->encoding->words[0].at, of[j].at);
			}
			tfs_catalog_destroy(c);
		}
}

/* One scale in all blocks of a tensor, as BitNet's models have it: then tensors tell by each other, if there are enough. */
static void scales_of_tensors_tell_their_order(void **state)
{
	(void)state;
	for (unsigned swapped = 0; swapped < 2; swapped++)
		for (unsigned n = 8; n <= 9; n++) {
			struct file *f = begin(3, true, n, 0);
			struct tfs_catalog *c;
			struct tfs_tensor *t;
			char name[] = "a";
			size_t count;

			for (unsigned i = 0; i < n; i++, name[0]++)
				put_tensor(f, name, 35, 256 * 16, 0, i * 66 * 16);
			pad(f, 32);
			for (unsigned block = 0; block < n * 16; block++) {
				unsigned char bytes[66] = { 0 };
				uint16_t word = swapped ? big(block / 16) : little(block / 16);

				bytes[64] = word >> 8;
				bytes[65] = word;
				put(f, bytes, sizeof bytes);
			}
			c = parse_sound(f);
			t = tfs_catalog_tensors(c, &count);
			assert_int_equal(t->encoding != NULL, n > 8 && swapped);
			assert_int_equal(is_noted(c), n == 8);
			tfs_catalog_destroy(c);
		}
}

static void big_blocks_of_mixed_words_are_shown_raw(void **state)
{
	static const char *const names[] = { "Q5_0", "Q5_1", "IQ2_XXS", "IQ3_XXS" };

	(void)state;
	for (size_t j = 0; j < LENGTH(names); j++) {
		struct tfs_catalog *c;
		struct tfs_tensor *t;
		size_t i = 0, n;
		char what[200];

		while (strcmp(types[i].name, names[j]))
			i++;
		c = parse_sound(with_words(i, 0, big));
		t = tfs_catalog_tensors(c, &n);
		snprintf(what, sizeof what, "UNKNOWN(%u)", types[i].type);
		assert_string_equal(t->dtype->name, what);
		assert_int_equal(t->nbytes, types[i].bytes * 50);
		assert_null(t->encoding);
		snprintf(what, sizeof what,
			 "tensor \"t\": %s in big-endian order, and writers differ in which of its bytes they swap; shown raw, as "
			 "UNKNOWN(%u)",
			 names[j], types[i].type);
		assert_noted(c, what);
		tfs_catalog_destroy(c);
		c = parse_sound(with_words(i, 0, little));
		assert_string_equal(tfs_catalog_tensors(c, &n)->dtype->name, names[j]);
		tfs_catalog_destroy(c);
	}
}

static void unknown_types_go_to_the_next_tensor(void **state)
{
	struct file *f = begin(3, false, 4, 0);
	struct tfs_catalog *c;
	struct tfs_tensor *t;
	size_t n, data;

	(void)state;
	put_tensor(f, "a", 4, 7, 3, 0); /* removed from ggml */
	put_tensor(f, "b", 0, 1, 0, 96);
	put_tensor(f, "c", 4000000000, 1, 0, 128);
	put_tensor(f, "d", 43, 1000, 0, 160);
	pad(f, 32);
	data = f->len;
	put_data(f, 171);
	c = parse_sound(f);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 4);
	assert_string_equal(t[0].dtype->name, "UNKNOWN(4)");
	assert_null(t[0].dtype->npy);
	assert_int_equal(t[0].offset, data);
	assert_int_equal(t[0].nbytes, 96);
	assert_int_equal(t[0].shape[0], 3);
	assert_int_equal(t[1].nbytes, 4);
	assert_string_equal(t[2].dtype->name, "UNKNOWN(4000000000)");
	assert_int_equal(t[2].nbytes, 32);
	assert_string_equal(t[3].dtype->name, "UNKNOWN(43)");
	assert_int_equal(t[3].nbytes, 11); /* the last one: to the end of the file */
	tfs_catalog_destroy(c);
}

/* A tensor with another behind it, at @next; or the last one of @data bytes. */
static struct file *followed(uint32_t type, uint64_t ne, uint64_t next, size_t data)
{
	struct file *f = begin(3, false, next ? 2 : 1, 0);

	put_tensor(f, "a", type, ne, 0, 0);
	if (next)
		put_tensor(f, "b", 0, 1, 0, next);
	pad(f, 32);
	put_data(f, data ? data : next + 4);
	return f;
}

static void a_size_that_is_not_the_type_s_is_shown_raw(void **state)
{
	static const struct {
		uint32_t type;
		unsigned ne, next, data; /* next 0: the tensor is the last one */
		const char *dtype;
		unsigned nbytes;
		const char *note;
	} cases[] = {
		/* 34 bytes for 128 elements in another program, 18 for 64 in ggml: more, */
		{ 42, 256, 160, 0, "UNKNOWN(42)", 160,
		  "as Q2_0 it has 72 bytes, but 160 are stored up to the next tensor; shown raw, as UNKNOWN(42)" },
		/* the same but for padding, */
		{ 42, 256, 96, 0, "Q2_0", 72, NULL },
		/* or less. */
		{ 42, 64 * 64, 1120, 0, "UNKNOWN(42)", 1120,
		  "as Q2_0 it has 1152 bytes, but 1120 are stored up to the next tensor" },
		{ 41, 256, 128, 0, "UNKNOWN(41)", 128, "as Q1_0 it has 36 bytes, but 128 are stored" },
		/* Any type. */
		{ 0, 4, 4096, 0, "UNKNOWN(0)", 4096, "as F32 it has 16 bytes, but 4096 are stored" },
		{ 0, 4, 64, 0, "UNKNOWN(0)", 64, "as F32 it has 16 bytes, but 64 are stored" },
		{ 0, 4, 32, 0, "F32", 16, NULL },
		{ 0, 8, 32, 0, "F32", 32, NULL },
		{ 0, 9, 32, 0, "UNKNOWN(0)", 32, "as F32 it has 36 bytes, but 32 are stored" },
		{ 12, 256, 192, 0, "UNKNOWN(12)", 192, "as Q4_K it has 144 bytes, but 192 are stored" },
		{ 12, 256, 160, 0, "Q4_K", 144, NULL },
		/* The last one. */
		{ 0, 4, 0, 16, "F32", 16, NULL },
		{ 0, 4, 0, 32, "F32", 16, NULL },
		{ 0, 4, 0, 47, "F32", 16, NULL },
		{ 0, 4, 0, 48, "UNKNOWN(0)", 48, "as F32 it has 16 bytes, but 48 are stored up to the end of the file" },
		{ 42, 256, 0, 136, "UNKNOWN(42)", 136, "as Q2_0 it has 72 bytes, but 136 are stored up to the end of the file" },
		{ 42, 256, 0, 68, "UNKNOWN(42)", 68, "as Q2_0 it has 72 bytes, but 68 are stored up to the end of the file" },
		{ 39, 64, 0, 30, "UNKNOWN(39)", 30, "as MXFP4 it has 34 bytes, but 30 are stored up to the end of the file" },
		/* Rows that aren't whole blocks. */
		{ 2, 48, 64, 0, "UNKNOWN(2)", 64, "rows of 48 elements, but Q4_0 has blocks of 32; 64 bytes are stored" },
		{ 40, 96, 0, 64, "UNKNOWN(40)", 64, "rows of 96 elements, but NVFP4 has blocks of 64; 64 bytes are stored" },
		/* No elements are no bytes, whatever is behind them. */
		{ 0, 0, 64, 0, "F32", 0, NULL },
		{ 8, 0, 0, 64, "Q8_0", 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct tfs_catalog *c = parse_sound(followed(cases[i].type, cases[i].ne, cases[i].next, cases[i].data));
		size_t n, more;
		struct tfs_tensor *t = tfs_catalog_tensors(c, &n);
		const struct tfs_note *notes;

		assert_string_equal(t[0].dtype->name, cases[i].dtype);
		assert_int_equal(t[0].nbytes, cases[i].nbytes);
		assert_int_equal(t[0].shape[0], cases[i].ne);
		assert_int_equal(n, cases[i].next ? 2 : 1);
		if (n > 1) {
			assert_string_equal(t[1].dtype->name, "F32");
			assert_int_equal(t[1].nbytes, 4);
			assert_int_equal(t[1].offset, t[0].offset + cases[i].next);
		}
		notes = tfs_catalog_notes(c, &n, &more);
		assert_int_equal(n, cases[i].note != NULL);
		if (cases[i].note) {
			assert_noted(c, cases[i].note);
			assert_int_equal(notes[0].offset, 24); /* where its record is */
		}
		tfs_catalog_destroy(c);
	}
}

/* What can't be another program's type is a file that was cut short. */
static void a_last_tensor_of_an_old_type_is_cut_short(void **state)
{
	(void)state;
	refused(followed(0, 4, 0, 15), 79,
		"tensor \"a\": 16 bytes at offset 0 of data that begins at byte 64; the file ends at byte 79");
	refused(followed(8, 32, 0, 33), 97,
		"tensor \"a\": 34 bytes at offset 0 of data that begins at byte 64; the file ends at byte 97");
	refused(followed(42, 64, 64, 32), 128,
		"tensor \"b\": 4 bytes at offset 64 of data that begins at byte 96; the file ends at byte 128");
}

static void any_order_of_offsets_will_do(void **state)
{
	struct file *f = begin(3, false, 4, 1);
	struct tfs_catalog *c;
	struct tfs_tensor *t;
	size_t n, data;

	(void)state;
	put_key(f, "general.alignment", 64);
	put_tensor(f, "a", 0, 20, 0, 128);
	put_tensor(f, "b", 0, 16, 0, 0);
	put_tensor(f, "c", 0, 1, 0, 64);
	put_tensor(f, "d", 99, 5, 0, 256);
	pad(f, 64);
	data = f->len;
	put_data(f, 263);
	c = parse_sound(f);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 4);
	assert_int_equal(t[0].offset, data + 128);
	assert_int_equal(t[0].nbytes, 80);
	assert_int_equal(t[1].offset, data);
	assert_int_equal(t[1].nbytes, 64);
	assert_int_equal(t[2].offset, data + 64);
	assert_int_equal(t[2].nbytes, 4);
	assert_int_equal(t[3].nbytes, 7);
	assert_false(is_noted(c));
	tfs_catalog_destroy(c);
}

static void without_bytes_a_tensor_is_left_out(void **state)
{
	struct file *f = begin(3, false, 5, 0);
	const char *const *names;
	struct tfs_catalog *c;
	struct tfs_tensor *t;
	size_t n;

	(void)state;
	put_tensor(f, "z", 0, 1, 0, 0);
	put_tensor(f, "a", 0, 1, 0, 32);
	put_tensor(f, "none", 0, 0, 0, 32); /* without elements it is sound */
	put_tensor(f, "b", 0, 1, 0, 32);
	put_tensor(f, "c", 500, 1, 0, 64);
	pad(f, 32);
	put_data(f, 64);
	c = parse_sound(f);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 3);
	assert_string_equal(t[0].name, "b");
	assert_string_equal(t[0].dtype->name, "F32");
	assert_int_equal(t[0].nbytes, 4);
	assert_string_equal(t[1].name, "none");
	assert_string_equal(t[2].name, "z");
	assert_noted(c, "tensor \"a\" left out: of type F32, but has no bytes");
	assert_noted(c, "tensor \"c\" left out: of type UNKNOWN(500), but has no bytes");
	names = tfs_catalog_left_out(c, &n);
	assert_int_equal(n, 2);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "c");
	tfs_catalog_destroy(c);
}

static void data_may_end_early_in_padding_only(void **state)
{
	struct tfs_catalog *c;
	struct tfs_error err;
	struct tfs_tensor *t;
	size_t n, whole;
	struct file *f = begin(3, false, 3, 0);

	(void)state;
	put_tensor(f, "a", 0, 16, 0, 0);
	put_tensor(f, "b", 0, 9, 0, 64);
	put_tensor(f, "c", 0, 0, 0, 128); /* no elements, behind padding that is not there */
	pad(f, 32);
	put_data(f, 100);
	whole = f->len;
	assert_int_equal(parse_part(f, whole, &c, &err), 0);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(t[2].nbytes, 0);
	assert_int_equal(t[2].offset, whole);
	tfs_catalog_destroy(c);
	for (size_t len = 0; len < whole; len++) {
		assert_int_equal(parse_part(f, len, &c, &err), -EINVAL);
		assert_true(err.offset <= len);
		assert_true(err.what[0]);
	}
	free(f);
}

static void no_tensors_are_a_sound_file(void **state)
{
	struct tfs_catalog *c;
	size_t n;

	(void)state;
	c = parse_sound(begin(2, false, 0, 0));
	tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 0);
	tfs_catalog_destroy(c);
}

static void files_say_what_they_are(void **state)
{
	static const struct {
		const char *key, *value;
		bool companion;
	} cases[] = {
		{ "general.type", "model", false },
		{ "general.type", "mmproj", true },
		{ "general.type", "imatrix", true },
		{ "general.type", "adapter", true },
		{ "general.type", "vocab", true },
		{ "general.type", "", false },
		{ "general.name", "mmproj", false },
		{ "general.architecture", "clip", true }, /* a projector of before there was the other key */
		{ "general.architecture", "llama", false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct file *f = begin(3, false, 0, 1);
		struct tfs_catalog *c;

		put_str(f, cases[i].key);
		put_u32(f, TFS_GGUF_STRING);
		put_str(f, cases[i].value);
		c = parse_sound(f);
		assert_int_equal(tfs_catalog_is_companion(c), cases[i].companion);
		tfs_catalog_destroy(c);
	}
	for (unsigned big = 0; big < 2; big++) { /* a key of that name, and another type */
		struct file *f = begin(3, big, 0, 1);
		struct tfs_catalog *c;

		put_key(f, "general.type", 1);
		c = parse_sound(f);
		assert_false(tfs_catalog_is_companion(c));
		tfs_catalog_destroy(c);
	}
}

static void splits_are_numbered(void **state)
{
	(void)state;
	for (unsigned big = 0; big < 2; big++) {
		struct file *f = begin(3, big, 0, 3);
		const struct tfs_split *split;
		struct tfs_catalog *c;

		put_str(f, "split.no");
		put_u32(f, TFS_GGUF_UINT16);
		put_int(f, 3, 2);
		put_str(f, "split.tensors.count");
		put_u32(f, TFS_GGUF_INT32);
		put_int(f, (uint64_t)-7, 4);
		put_str(f, "split.count");
		put_u32(f, TFS_GGUF_STRING);
		put_str(f, "5");
		c = parse_sound(f);
		split = tfs_catalog_split(c);
		assert_true(split->no.given && split->no.n == 3);
		assert_true(split->tensors.given && split->tensors.n == -7);
		assert_false(split->count.given);
		tfs_catalog_destroy(c);
	}
}

static void errors_say_where_and_what(void **state)
{
	struct file *f;

	(void)state;
	f = file_create(3, false);
	put(f, "GGU", 3);
	refused(f, 0, "the file has 3 bytes, the magic alone is 4");
	f = file_create(3, false);
	put(f, "FUGG\0\0\0\3", 8);
	refused(f, 0, "starts with \"FUGG\", a draft of big-endian GGUF that was not adopted");
	f = file_create(3, false);
	put(f, "lm\ngg", 5);
	refused(f, 0, "isn't a GGUF file: doesn't start with \"GGUF\"");
	refused(begin(4, false, 0, 0), 4, "version 4; versions 1 to 3 are supported");
	refused(begin(0, false, 0, 0), 4, "version 0; versions 1 to 3 are supported");
	refused(begin(4, true, 0, 0), 4, "version 4; versions 1 to 3 are supported");
	refused(begin(3, false, 1, 0), 8, "1 tensors don't fit in the 0 bytes that are left");

	f = begin(3, false, 0, 1);
	put_str(f, "k");
	put_u32(f, TFS_GGUF_STRING);
	put_len(f, 1);
	refused(f, 37, "key \"k\": a string of 1 bytes where 0 are left");

	f = begin(3, false, 0, 2);
	put_key(f, "k\n", 1);
	put_key(f, "k\n", 1);
	refused(f, 42, "duplicate key \"k\\x0a\"");

	f = begin(3, false, 2, 0);
	put_tensor(f, "t", 0, 1, 0, 0);
	put_tensor(f, "t", 0, 1, 0, 32);
	pad(f, 32);
	put_data(f, 36);
	refused(f, f->len - 4, "tensor \"t\": duplicate name");

	f = begin(3, false, 2, 0);
	put_tensor(f, "t", 0, 9, 0, 0);
	put_tensor(f, "u", 0, 1, 0, 36);
	refused(f, 57, "tensor \"u\": offset 36 is not aligned to 32");

	f = begin(3, false, 1, 0);
	put_tensor(f, "\xff", 0, 9, 0, 0);
	refused(f, 24, "tensor \"\xff\": the name isn't valid UTF-8");
}

static void a_file_that_shrinks_is_an_error(void **state)
{
	struct file *f = begin(3, false, 1, 0);
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_error err = { 0 };
	int fd;

	(void)state;
	put_tensor(f, "t", 0, 1, 0, 0);
	fd = memory_file(f->bytes, f->len);
	/* The size was asked before it was cut. */
	assert_int_equal(tfs_format_gguf.parse(input_of(fd, f->len + 64), "model.gguf", c, &err), -EIO);
	assert_int_equal(err.offset, f->len);
	close(fd);
	free(f);
	tfs_catalog_destroy(c);
}

/* --- Values ------------------------------------------------------------------------------------------------------ */

struct opened {
	struct tfs_gguf r;
	struct tfs_error err;
	struct tfs_input in;
};

static struct opened *open_keys(struct file *f)
{
	struct opened *o = calloc(1, sizeof *o);

	assert_non_null(o);
	o->in = tfs_input_of_fd(memory_file(f->bytes, f->len), f->len);
	assert_int_equal(tfs_gguf_open(&o->r, &o->in, &o->err), 0);
	free(f);
	return o;
}

static void close_keys(struct opened *o)
{
	tfs_gguf_close(&o->r);
	close(o->in.fd);
	free(o);
}

static enum tfs_gguf_type next_key(struct opened *o, const char *name)
{
	struct tfs_gguf_key key;

	assert_int_equal(tfs_gguf_key(&o->r, &key), 1);
	assert_int_equal(key.len, strlen(name));
	assert_memory_equal(key.name, name, key.len);
	return key.type;
}

static void numbers_of_every_type(void **state)
{
	static const struct {
		enum tfs_gguf_type type;
		uint64_t bits;
		unsigned size;
		union tfs_gguf_number want;
	} cases[] = {
		{ TFS_GGUF_UINT8, 0xfe, 1, { .u = 254 } },
		{ TFS_GGUF_INT8, 0xfe, 1, { .i = -2 } },
		{ TFS_GGUF_UINT16, 0xfedc, 2, { .u = 0xfedc } },
		{ TFS_GGUF_INT16, 0xfedc, 2, { .i = -292 } },
		{ TFS_GGUF_UINT32, 0xfedcba98, 4, { .u = 0xfedcba98 } },
		{ TFS_GGUF_INT32, 0xfffffffe, 4, { .i = -2 } },
		{ TFS_GGUF_FLOAT32, 0xc0490000, 4, { .f = -3.140625 } },
		{ TFS_GGUF_BOOL, 0x7f, 1, { .u = 1 } },
		{ TFS_GGUF_BOOL, 0, 1, { .u = 0 } },
		{ TFS_GGUF_UINT64, UINT64_MAX, 8, { .u = UINT64_MAX } },
		{ TFS_GGUF_INT64, (uint64_t)INT64_MIN, 8, { .i = INT64_MIN } },
		{ TFS_GGUF_FLOAT64, 0x400921fb54442d18, 8, { .f = 3.141592653589793 } },
	};

	(void)state;
	for (int big = 0; big < 2; big++) {
		struct file *f = begin(3, big, 0, LENGTH(cases));
		union tfs_gguf_number v;
		struct tfs_gguf_key key;
		struct opened *o;

		for (size_t i = 0; i < LENGTH(cases); i++) {
			put_str(f, "key");
			put_u32(f, cases[i].type);
			put_int(f, cases[i].bits, cases[i].size);
		}
		o = open_keys(f);
		assert_int_equal(o->r.big_endian, big);
		for (size_t i = 0; i < LENGTH(cases); i++) {
			assert_int_equal(next_key(o, "key"), cases[i].type);
			assert_int_equal(tfs_gguf_number(&o->r, cases[i].type, &v), 0);
			assert_memory_equal(&v, &cases[i].want, sizeof v);
		}
		assert_int_equal(tfs_gguf_key(&o->r, &key), 0);
		close_keys(o);
	}
}

static void arrays_nest(void **state)
{
	struct file *f = begin(2, false, 0, 2);
	struct tfs_gguf_array a;
	union tfs_gguf_number v;
	struct opened *o;
	const char *s;
	size_t len;

	(void)state;
	for (int i = 0; i < 2; i++) {
		put_str(f, "array");
		put_u32(f, TFS_GGUF_ARRAY);
		put_u32(f, TFS_GGUF_ARRAY);
		put_len(f, 2);
		put_u32(f, TFS_GGUF_STRING);
		put_len(f, 2);
		put_str(f, "");
		put_str(f, "x");
		put_u32(f, TFS_GGUF_UINT16);
		put_len(f, 1);
		put_int(f, 7, 2);
	}
	o = open_keys(f);
	assert_int_equal(next_key(o, "array"), TFS_GGUF_ARRAY);
	assert_int_equal(tfs_gguf_skip(&o->r, TFS_GGUF_ARRAY, 1, 0), 0);
	assert_int_equal(next_key(o, "array"), TFS_GGUF_ARRAY);
	assert_int_equal(tfs_gguf_array(&o->r, 0, &a), 0);
	assert_int_equal(a.of, TFS_GGUF_ARRAY);
	assert_int_equal(a.count, 2);
	assert_int_equal(tfs_gguf_array(&o->r, 1, &a), 0);
	assert_int_equal(a.of, TFS_GGUF_STRING);
	assert_int_equal(tfs_gguf_string(&o->r, &s, &len), 0);
	assert_int_equal(len, 0);
	assert_int_equal(tfs_gguf_string(&o->r, &s, &len), 0);
	assert_memory_equal(s, "x", len);
	assert_int_equal(tfs_gguf_array(&o->r, 1, &a), 0);
	assert_int_equal(a.count, 1);
	assert_int_equal(tfs_gguf_number(&o->r, TFS_GGUF_UINT16, &v), 0);
	assert_int_equal(v.u, 7);
	close_keys(o);
}

/* A tokenizer: strings by the hundred thousand, through a buffer that is much shorter; then one that is longer than it. */
static void long_headers_are_read_in_pieces(void **state)
{
	enum { STRINGS = 100000, LONG = 700000 };
	char *file = malloc(STRINGS * 20 + LONG + 1000), *p = file, *at;
	struct tfs_gguf_key key;
	struct tfs_gguf_array a;
	struct tfs_error err;
	struct tfs_gguf r;
	const char *s;
	char want[16];
	size_t len;
	uint64_t v;
	uint32_t u;
	int fd;

	(void)state;
	assert_non_null(file);
#define PUT(type, value) (type = (value), memcpy(p, &type, sizeof type), p += sizeof type)
	memcpy(p, "GGUF\3\0\0\0", 8);
	p += 8;
	PUT(v, htole64(0));
	PUT(v, htole64(2));
	PUT(v, htole64(1));
	*p++ = 'a';
	PUT(u, htole32(TFS_GGUF_ARRAY));
	PUT(u, htole32(TFS_GGUF_STRING));
	PUT(v, htole64(STRINGS));
	for (int i = 0; i < STRINGS; i++) {
		at = p + 8;
		len = sprintf(at, "%d", i);
		PUT(v, htole64(len));
		p += len;
	}
	PUT(v, htole64(1));
	*p++ = 'b';
	PUT(u, htole32(TFS_GGUF_STRING));
	PUT(v, htole64(LONG));
	memset(p, 'x', LONG);
	p += LONG;
#undef PUT
	fd = memory_file(file, p - file);
	for (int skip = 0; skip < 2; skip++) {
		const struct tfs_input *in = input_of(fd, p - file);

		assert_int_equal(tfs_gguf_open(&r, in, &err), 0);
		assert_int_equal(tfs_gguf_key(&r, &key), 1);
		if (skip) {
			assert_int_equal(tfs_gguf_skip(&r, key.type, 1, 0), 0);
		} else {
			assert_int_equal(tfs_gguf_array(&r, 0, &a), 0);
			for (uint64_t i = 0; i < a.count; i++) {
				assert_int_equal(tfs_gguf_string(&r, &s, &len), 0);
				sprintf(want, "%d", (int)i);
				assert_int_equal(len, strlen(want));
				assert_memory_equal(s, want, len);
			}
		}
		assert_int_equal(tfs_gguf_key(&r, &key), 1);
		assert_int_equal(tfs_gguf_string(&r, &s, &len), 0);
		assert_int_equal(len, LONG);
		assert_true(s[0] == 'x' && !memcmp(s, s + 1, LONG - 1));
		assert_int_equal(tfs_gguf_key(&r, &key), 0);
		assert_int_equal(r.at, p - file);
		tfs_gguf_close(&r);
	}
	close(fd);
	free(file);
}

/* A file of holes: what it says is there, so only the limit stops it. */
static void a_header_has_a_limit(void **state)
{
	struct file *f = begin(3, false, 0, 1);
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_error err = { 0 };
	const uint64_t size = (uint64_t)1 << 40;
	int fd;

	(void)state;
	put_str(f, "k");
	put_u32(f, TFS_GGUF_ARRAY);
	put_u32(f, TFS_GGUF_STRING);
	put_len(f, (uint64_t)1 << 36);
	fd = memory_file(f->bytes, f->len);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(tfs_format_gguf.parse(input_of(fd, size), "model.gguf", c, &err), -EINVAL);
	assert_string_equal(err.what, "key \"k\": the header is longer than the limit of 268435456 bytes");
	close(fd);
	free(f);
	tfs_catalog_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names_are_claimed),
		cmocka_unit_test(versions_and_byte_orders_say_the_same),
		cmocka_unit_test(every_type_has_its_size),
		cmocka_unit_test(words_tell_their_order),
		cmocka_unit_test(scales_of_tensors_tell_their_order),
		cmocka_unit_test(big_blocks_of_mixed_words_are_shown_raw),
		cmocka_unit_test(unknown_types_go_to_the_next_tensor),
		cmocka_unit_test(a_size_that_is_not_the_type_s_is_shown_raw),
		cmocka_unit_test(a_last_tensor_of_an_old_type_is_cut_short),
		cmocka_unit_test(any_order_of_offsets_will_do),
		cmocka_unit_test(without_bytes_a_tensor_is_left_out),
		cmocka_unit_test(files_say_what_they_are),
		cmocka_unit_test(splits_are_numbered),
		cmocka_unit_test(data_may_end_early_in_padding_only),
		cmocka_unit_test(no_tensors_are_a_sound_file),
		cmocka_unit_test(errors_say_where_and_what),
		cmocka_unit_test(a_file_that_shrinks_is_an_error),
		cmocka_unit_test(numbers_of_every_type),
		cmocka_unit_test(arrays_nest),
		cmocka_unit_test(long_headers_are_read_in_pieces),
		cmocka_unit_test(a_header_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
