/* SPDX-License-Identifier: MIT */
/* The pickle reader by itself: what values it makes. What it refuses is in tests/reject. */
#include "support/helpers.h"

#include <errno.h>

#include "format/torch/pickle.h"

/* Read the pickle in a string literal. */
#define READ(p, s) read_bytes(p, "" s, sizeof s - 1)

static struct tfs_error err;

static int read_bytes(struct tfs_pickle *p, const char *s, size_t len)
{
	err = (struct tfs_error){ 0 };
	*p = (struct tfs_pickle){ .buf = s, .len = len, .offset = 1000, .err = &err };
	return tfs_pickle_read(p);
}

static void integers_have_their_values(void **state)
{
	static const struct {
		const char *pickle;
		size_t len;
		int64_t value;
	} cases[] = {
#define CASE(s, v) { s, sizeof s - 1, v }
		CASE("K\xff.", 255),
		CASE("M\x01\xff.", 0xff01),
		CASE("J\xff\xff\xff\xff.", -1),
		CASE("J\x00\x00\x00\x80.", INT32_MIN),
		CASE("\x8a\x00.", 0),
		CASE("\x8a\x01\x80.", -128),
		CASE("\x8a\x02\x80\x00.", 128),
		CASE("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", INT64_MAX),
		CASE("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", INT64_MIN),
		CASE("\x8a\x0a\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00.", 5),
		CASE("\x8a\x0a\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff.", -2),
		CASE("\x8b\x03\x00\x00\x00\xff\xff\xff.", -1),
		CASE("\x8a\x07\xff\xff\xff\xff\xff\xff\x7f.", (INT64_C(1) << 55) - 1),
		CASE("\x8a\x08\x00\x00\x00\x00\x00\x00\x80\x00.", INT64_C(1) << 55),
		CASE("\x8a\x07\x00\x00\x00\x00\x00\x00\x80.", -(INT64_C(1) << 55)),
		CASE("I140234567890123\n.", 140234567890123),
		CASE("I-7\n.", -7),
		CASE("I007\n.", 7),
		CASE("L0L\n.", 0),
		CASE("L-9223372036854775808L\n.", INT64_MIN),
		CASE("L9223372036854775807\n.", INT64_MAX),
	};
	struct tfs_pickle p;
	uint32_t len;
	int64_t i64;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(read_bytes(&p, cases[i].pickle, cases[i].len), 0);
		assert_true(tfs_pickle_number(&p.result, &i64));
		assert_true(i64 == cases[i].value);
		/* 56 bits are kept in the value itself. */
		if (i64 >= -(INT64_C(1) << 55) && i64 < INT64_C(1) << 55) {
			assert_int_equal(tfs_pickle_type(&p.result), TFS_PICKLE_INT);
			assert_true(tfs_pickle_int(&p.result) == cases[i].value);
		} else {
			assert_int_equal(tfs_pickle_type(&p.result), TFS_PICKLE_LONG);
		}
		tfs_pickle_fini(&p);
	}
	assert_int_equal(READ(&p, "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."), 0);
	assert_int_equal(tfs_pickle_type(&p.result), TFS_PICKLE_LONG);
	assert_false(tfs_pickle_number(&p.result, &i64));
	tfs_pickle_text(&p.result, &len);
	assert_int_equal(len, 9);
	tfs_pickle_fini(&p);
	assert_int_equal(READ(&p, "L9223372036854775808L\n."), 0);
	assert_int_equal(tfs_pickle_type(&p.result), TFS_PICKLE_LONG);
	assert_false(tfs_pickle_number(&p.result, &i64));
	tfs_pickle_fini(&p);
	assert_int_equal(READ(&p, "I01\n."), 0);
	assert_int_equal(tfs_pickle_type(&p.result), TFS_PICKLE_BOOL);
	assert_int_equal(tfs_pickle_int(&p.result), 1);
	tfs_pickle_fini(&p);
	/* A LONG1 of 73 bytes, which is the code of 'I'. */
	assert_int_equal(READ(&p, "\x8aI1234567890123456789012345678901234567890123456789012345678901234567890123."), 0);
	assert_int_equal(tfs_pickle_type(&p.result), TFS_PICKLE_LONG);
	tfs_pickle_text(&p.result, &len);
	assert_int_equal(len, 73);
	tfs_pickle_fini(&p);
}

static void containers_have_their_items(void **state)
{
	const struct tfs_pickle_value *dict;
	struct tfs_pickle_iter it;
	struct tfs_pickle p;

	(void)state;
	/* (1, [2, 3, 4], {"a": 5}) */
	assert_int_equal(READ(&p, "\x80\x02(K\1]q\0K\2a(K\3K\4e}U\1aK\5st.rest"), 0);
	assert_int_equal(p.used, 26);
	assert_int_equal(tfs_pickle_int(tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, 0)), 1);
	assert_int_equal(tfs_pickle_type(tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, 1)), TFS_PICKLE_LIST);
	assert_int_equal(tfs_pickle_node(tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, 1))->n_items, 3);
	it = tfs_pickle_iter(tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, 1));
	for (int i = 2; i <= 4; i++)
		assert_int_equal(tfs_pickle_int(tfs_pickle_next(&it)), i);
	assert_null(tfs_pickle_next(&it));
	dict = tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, 2);
	assert_int_equal(tfs_pickle_type(dict), TFS_PICKLE_DICT);
	it = tfs_pickle_iter(dict);
	assert_true(tfs_pickle_is_text(tfs_pickle_next(&it), "a"));
	assert_int_equal(tfs_pickle_int(tfs_pickle_next(&it)), 5);
	assert_null(tfs_pickle_next(&it));
	it = tfs_pickle_iter(&p.result);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(tfs_pickle_next(&it), tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, i));
	assert_null(tfs_pickle_next(&it));
	assert_null(tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, 3));
	assert_null(tfs_pickle_item(&p.result, TFS_PICKLE_CALL, 0));
	assert_null(tfs_pickle_item(NULL, TFS_PICKLE_TUPLE, 0));
	tfs_pickle_fini(&p);
}

/* os.system("x"), with a state and items put into what it would return. */
static void calls_are_only_noted(void **state)
{
	const struct tfs_pickle_value *part;
	struct tfs_pickle_iter it;
	struct tfs_pickle p;

	(void)state;
	assert_int_equal(READ(&p, "\x80\x02"
				  "cos\nsystem\nU\1x\x85RK\7aK\1K\2sNb."),
			 0);
	assert_int_equal(tfs_pickle_type(&p.result), TFS_PICKLE_CALL);
	assert_true(tfs_pickle_is_global(tfs_pickle_item(&p.result, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE), "os", "system"));
	part = tfs_pickle_item(&p.result, TFS_PICKLE_CALL, TFS_PICKLE_ARGS);
	assert_true(tfs_pickle_is_text(tfs_pickle_item(part, TFS_PICKLE_TUPLE, 0), "x"));
	part = tfs_pickle_item(&p.result, TFS_PICKLE_CALL, TFS_PICKLE_ITEMS);
	it = tfs_pickle_iter(part);
	assert_int_equal(tfs_pickle_int(tfs_pickle_next(&it)), 7);
	part = tfs_pickle_item(&p.result, TFS_PICKLE_CALL, TFS_PICKLE_PAIRS);
	it = tfs_pickle_iter(part);
	assert_int_equal(tfs_pickle_int(tfs_pickle_next(&it)), 1);
	assert_int_equal(tfs_pickle_int(tfs_pickle_next(&it)), 2);
	part = tfs_pickle_item(&p.result, TFS_PICKLE_CALL, TFS_PICKLE_STATE);
	assert_int_equal(tfs_pickle_type(part), TFS_PICKLE_NONE);
	tfs_pickle_fini(&p);
}

static void the_memo_gives_back_the_same(void **state)
{
	const struct tfs_pickle_value *one, *other;
	struct tfs_pickle_iter it;
	struct tfs_pickle p;

	(void)state;
	/* A list in a tuple twice, and in itself: by index, by MEMOIZE's count, by a far index. */
	assert_int_equal(READ(&p, "\x80\x04]\x94h\0ar\5\0\0\0j\5\0\0\0\x86."), 0);
	one = tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, 0);
	other = tfs_pickle_item(&p.result, TFS_PICKLE_TUPLE, 1);
	assert_int_equal(tfs_pickle_type(one), TFS_PICKLE_LIST);
	assert_ptr_equal(tfs_pickle_node(one), tfs_pickle_node(other));
	it = tfs_pickle_iter(one);
	assert_ptr_equal(tfs_pickle_node(tfs_pickle_next(&it)), tfs_pickle_node(one));
	tfs_pickle_fini(&p);
}

static void persistent_ids_are_listed(void **state)
{
	struct tfs_pickle_value persid;
	struct tfs_pickle p;

	(void)state;
	assert_int_equal(READ(&p, "K\1QK\2Q\x86."), 0);
	persid = p.persids;
	assert_int_equal(tfs_pickle_int(tfs_pickle_item(&persid, TFS_PICKLE_PERSID, 0)), 2);
	assert_null(tfs_pickle_item(&persid, TFS_PICKLE_PERSID, 1));
	persid = tfs_pickle_next_persid(persid);
	assert_int_equal(tfs_pickle_int(tfs_pickle_item(&persid, TFS_PICKLE_PERSID, 0)), 1);
	persid = tfs_pickle_next_persid(persid);
	assert_int_equal(tfs_pickle_type(&persid), TFS_PICKLE_ABSENT);
	tfs_pickle_fini(&p);
}

/* What grows one by one stays complete and in order, over many spans. */
static void long_containers_are_whole(void **state)
{
	enum { COUNT = 100000 };
	char *pickle = malloc(COUNT * 4 + 2), *at = pickle;
	const struct tfs_pickle_value *v;
	struct tfs_pickle_iter it;
	struct tfs_pickle p;
	unsigned n = 0;

	(void)state;
	assert_non_null(pickle);
	*at++ = ']';
	for (unsigned i = 0; i < COUNT; i++) {
		*at++ = 'M';
		*at++ = (char)i;
		*at++ = (char)(i >> 8);
		*at++ = 'a';
	}
	*at++ = '.';
	assert_int_equal(read_bytes(&p, pickle, (size_t)(at - pickle)), 0);
	assert_int_equal(tfs_pickle_node(&p.result)->n_items, COUNT);
	it = tfs_pickle_iter(&p.result);
	for (; (v = tfs_pickle_next(&it)); n++)
		if (tfs_pickle_int(v) != (n & 0xffff))
			fail_msg("item %u", n);
	assert_int_equal(n, COUNT);
	tfs_pickle_fini(&p);
	free(pickle);
}

/* Text of every opcode that has any: STR, but for what @bytes says. */
static void text_is_found_behind_its_opcode(void **state)
{
	static const struct {
		const char *pickle;
		size_t len;
		bool bytes;
	} cases[] = {
		{ "X\2\0\0\0ab.", 8, false },
		{ "\x8c\2ab.", 5, false },
		{ "\x8d\2\0\0\0\0\0\0\0ab.", 12, false },
		{ "U\2ab.", 5, true },
		{ "T\2\0\0\0ab.", 8, true },
		{ "C\2ab.", 5, true },
		{ "B\2\0\0\0ab.", 8, true },
		{ "\x8e\2\0\0\0\0\0\0\0ab.", 12, true },
		{ "\x96\2\0\0\0\0\0\0\0ab.", 12, true },
	};
	struct tfs_pickle p;
	const char *text;
	uint32_t len;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(read_bytes(&p, cases[i].pickle, cases[i].len), 0);
		assert_int_equal(tfs_pickle_type(&p.result), cases[i].bytes ? TFS_PICKLE_BYTES : TFS_PICKLE_STR);
		text = tfs_pickle_text(&p.result, &len);
		assert_int_equal(len, 2);
		assert_memory_equal(text, "ab", 2);
		assert_true(tfs_pickle_is_text(&p.result, "ab"));
		assert_false(tfs_pickle_is_text(&p.result, "a"));
		tfs_pickle_fini(&p);
	}
	assert_int_equal(READ(&p, "c\nU\n."), 0); /* the name is where an opcode could be */
	assert_true(tfs_pickle_is_global(&p.result, "", "U"));
	tfs_pickle_fini(&p);
	assert_int_equal(READ(&p, "G\x3f\xf0\0\0\0\0\0\0."), 0);
	assert_int_equal(tfs_pickle_text(&p.result, &len)[0], 0x3f);
	assert_int_equal(len, 8);
	tfs_pickle_fini(&p);
}

/* However a pickle is made, it takes no more than 40 bytes for each of its own. */
static void memory_is_a_multiple_of_the_length(void **state)
{
	static const char *const parts[] = { "]", "}", ")", "N", "(", "K\1\x85", "N\x85", "NQ", "]q\1", "c\n\n", "c\n\n)R" };
	enum { COUNT = 100000 };
	struct tfs_pickle p;
	char *pickle = malloc(COUNT + 16);

	(void)state;
	assert_non_null(pickle);
	for (size_t i = 0; i < LENGTH(parts); i++) {
		size_t len = strlen(parts[i]), n = 0;

		for (; n + len <= COUNT; n += len)
			memcpy(pickle + n, parts[i], len);
		pickle[n] = '.';
		read_bytes(&p, pickle, n + 1); /* refused for what is left on the stack */
		assert_in_range(p.memory, 0, (size_t)COUNT * 40 + 4096);
		tfs_pickle_fini(&p);
	}
	free(pickle);
}

static void errors_say_where(void **state)
{
	struct tfs_pickle p;

	(void)state;
	assert_int_equal(READ(&p, "\x80\x02NNh\7."), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_int_equal(err.offset, 1004);
	assert_string_equal(err.what, "memo index 7 is used but was never set");
	assert_false(p.cut);
	tfs_pickle_fini(&p);

	err = (struct tfs_error){ 0 };
	p = (struct tfs_pickle){ .buf = "NN.", .len = 3, .offset = 1000, .inflated = true, .err = &err };
	assert_int_equal(tfs_pickle_read(&p), -EINVAL);
	assert_int_equal(err.offset, 1000);
	assert_non_null(strstr(err.what, "byte 2 of the inflated pickle: "));
	tfs_pickle_fini(&p);
}

/* Where the file goes on behind the buffer, more of it may help; but not where a string is longer than a pickle may be. */
static void a_cut_pickle_asks_for_more(void **state)
{
	static const char whole[] = "\x80\x02(K\1X\3\0\0\0abc\x8a\2\1\2cos\nname\nt.";
	struct tfs_pickle p;

	(void)state;
	for (size_t len = 1; len < sizeof whole - 1; len++) {
		p = (struct tfs_pickle){ .buf = whole, .len = len, .more = true, .err = &err };
		assert_int_equal(tfs_pickle_read(&p), -EINVAL);
		assert_true(p.cut);
		tfs_pickle_fini(&p);
	}
	p = (struct tfs_pickle){ .buf = "X\0\0\0\x7f", .len = 5, .more = true, .err = &err };
	assert_int_equal(tfs_pickle_read(&p), -EINVAL);
	assert_false(p.cut);
	assert_non_null(strstr(err.what, "the pickle takes more than 268435456 bytes"));
	tfs_pickle_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_have_their_values),
		cmocka_unit_test(containers_have_their_items),
		cmocka_unit_test(calls_are_only_noted),
		cmocka_unit_test(the_memo_gives_back_the_same),
		cmocka_unit_test(persistent_ids_are_listed),
		cmocka_unit_test(long_containers_are_whole),
		cmocka_unit_test(text_is_found_behind_its_opcode),
		cmocka_unit_test(memory_is_a_multiple_of_the_length),
		cmocka_unit_test(errors_say_where),
		cmocka_unit_test(a_cut_pickle_asks_for_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
