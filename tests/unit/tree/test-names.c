/* SPDX-License-Identifier: MIT */
/* File names of tensors: escaping, cutting, and names made to collide. */
#include "support/fixture.h"

#include <xxhash.h>

#include "base/escape.h"
#include "fs/tree/names.h"

static const struct tfs_dtype *u8(void)
{
	return tfs_dtype_by_name("U8", 2);
}

/* A set of these names; sorted, as a model has them. */
struct names_of_set {
	struct tfs_tensor *tensors;
	struct tfs_set set;
};

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int c = memcmp(x->name, y->name, n);
	return c ? c : (int)x->name_len - (int)y->name_len;
}

static struct names_of_set make_set(const char *const *names, const size_t *lens, size_t n)
{
	struct names_of_set s = { .tensors = calloc(n, sizeof *s.tensors) };
	for (size_t i = 0; i < n; i++)
		s.tensors[i] = (struct tfs_tensor){ .name = names[i],
						    .name_len = lens ? lens[i] : strlen(names[i]),
						    .dtype = u8() };
	qsort(s.tensors, n, sizeof *s.tensors, by_name);
	s.set = (struct tfs_set){ .n_tensors = n, .tensors = s.tensors };
	return s;
}

static void test_escaping(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		const char *want;
	} rows[] = {
		{ "model.layers.0.weight", 21, "model.layers.0.weight" },
		{ "", 0, "%" },
		{ ".", 1, "%2E" },
		{ "..", 2, "%2E%2E" },
		{ "...", 3, "..." },
		{ ".a", 2, ".a" },
		{ "a/b", 3, "a%2Fb" },
		{ "100%", 4, "100%25" },
		{ "a\0b", 3, "a%00b" },
		{ "\n\x1b\x7f", 3, "%0A%1B%7F" },
		{ " \\~\"", 4, " \\~\"" },
		{ "\xc3\xa4", 2, "\xc3\xa4" },
		{ "%2E", 3, "%252E" },
	};
	char buf[TFS_STEM_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		assert_int_equal(tfs_name_of(rows[i].name, rows[i].len, 0, buf), strlen(rows[i].want));
		assert_string_equal(buf, rows[i].want);
		assert_int_equal(tfs_unescape(rows[i].want, strlen(rows[i].want), buf), rows[i].len);
		assert_memory_equal(buf, rows[i].name, rows[i].len);
	}
}

/* Each is no name's file name, though a decoder of URLs would take it. */
static void test_strangers_names(void **state)
{
	static const char *const names[] = { "50%",  "%%",  "a%2",    "a%2f", "%41", "a%2E", "%2E%2E%2E",
					     "%2Ea", "a/b", "a\n%2F", "%GG",  "%2",  ".",    ".." };
	char buf[TFS_STEM_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < LENGTH(names); i++)
		if (tfs_unescape(names[i], strlen(names[i]), buf) != SIZE_MAX)
			fail_msg("%s", names[i]);
}

static void test_cutting(void **state)
{
	char name[1000], buf[TFS_STEM_MAX + 1], hash[20];

	(void)state;
	for (size_t len = 200; len < 400; len++)
		for (int wide = 0; wide < 3; wide++) {
			/* 'x', then two-byte characters from an even or an odd place on, or what has to be escaped. */
			memset(name, 'x', len);
			for (size_t i = 1 + (size_t)wide; wide < 2 && i + 1 < len; i += 2)
				memcpy(name + i, "\xc3\xa4", 2);
			if (wide == 2)
				memset(name + 60, '/', 40);
			size_t full = len + (wide == 2 ? 80 : 0);
			size_t n = tfs_name_of(name, len, 0, buf);
			assert_int_equal(n, strlen(buf));
			assert_true(n <= 250); /* 255 with the longest suffix */
			assert_int_equal(tfs_name_is_cut(name, len), full > 250);
			if (full <= 250) {
				assert_int_equal(n, full);
				continue;
			}
			snprintf(hash, sizeof hash, "~%016llx", (unsigned long long)XXH64(name, len, 0));
			assert_memory_equal(buf + n - 17, hash, 17);
			assert_true(n > 250 - 4);				/* no more is cut than has to be */
			assert_int_not_equal((unsigned char)buf[n - 18], 0xc3); /* nor half a character */
		}
}

static void check_table(const struct names_of_set *s)
{
	struct names *n = tfs_names_create(&s->set);
	uint32_t other;
	char buf[TFS_STEM_MAX + 1], before[TFS_STEM_MAX + 1] = "";
	bool *seen = calloc(s->set.n_tensors, 1);

	assert_non_null(n);
	for (uint32_t i = 0; i < s->set.n_tensors; i++) {
		uint32_t t = tfs_names_at(n, i);
		size_t len = tfs_names_get(n, t, buf);
		assert_int_equal(len, strlen(buf));
		assert_true(strcmp(before, buf) < 0); /* sorted, and no name twice */
		assert_false(seen[t]);
		seen[t] = true;
		assert_int_equal(tfs_names_find(n, buf, len, &other), t);
		strcpy(before, buf);
	}
	assert_int_equal(tfs_names_find(n, "no such name", 12, &other), UINT32_MAX);
	assert_int_equal(tfs_names_find(n, "", 0, &other), UINT32_MAX);
	tfs_names_destroy(n);
	free(seen);
}

static void test_tables(void **state)
{
	static const char *const plain[] = { "a", "a.b", "a.b.c", "a-b", "b" };
	static const char *const odd[] = { "", ".", "..", "a", "a/b", "a.b", "a%2Fb", "\x01", "z", "%", "%25", "%2E" };

	(void)state;
	struct names_of_set s = make_set(plain, NULL, LENGTH(plain)), o = make_set(odd, NULL, LENGTH(odd)), e = { 0 };
	check_table(&s);
	check_table(&o);
	check_table(&e);
	free(s.tensors);
	free(o.tensors);
}

/* A long name, and others that are written just as it would be cut, with the seeds that would be tried next. */
static void test_forged(void **state)
{
	char longer[400], forged[6][TFS_STEM_MAX + 1];
	const char *names[7] = { longer };

	(void)state;
	memset(longer, 'n', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	for (unsigned seed = 0; seed < 6; seed++) {
		assert_int_equal(tfs_name_of(longer, sizeof longer - 1, seed, forged[seed]), 250);
		names[1 + seed] = forged[seed];
	}
	struct names_of_set s = make_set(names, NULL, LENGTH(names));
	check_table(&s);
	/* Those that can keep their own name do. */
	struct names *n = tfs_names_create(&s.set);
	uint32_t other;
	for (unsigned seed = 0; seed < 6; seed++) {
		uint32_t t = tfs_names_find(n, forged[seed], 250, &other);
		assert_true(t != UINT32_MAX);
		assert_string_equal(s.tensors[t].name, forged[seed]);
	}
	tfs_names_destroy(n);
	free(s.tensors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escaping), cmocka_unit_test(test_strangers_names), cmocka_unit_test(test_cutting),
		cmocka_unit_test(test_tables),	 cmocka_unit_test(test_forged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
