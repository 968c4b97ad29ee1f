/* SPDX-License-Identifier: MIT */
#include "support/catalog-helpers.h"

#include <errno.h>

#include "tensor/catalog.h"

static const struct tfs_dtype *f32(void)
{
	return tfs_dtype_by_name("F32", 3);
}

static void tensors_are_copied_in(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	char name[] = "a\0b";
	uint64_t shape[] = { 2, 3 };
	struct tfs_tensor *t;
	size_t n;

	(void)state;
	assert_int_equal(tfs_catalog_add(c, name, 3, f32(), shape, 2, 100, 24), 0);
	assert_int_equal(tfs_catalog_add(c, "", 0, f32(), NULL, 0, 124, 4), 0);
	memset(name, 'x', sizeof name);
	memset(shape, 0, sizeof shape);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 2);
	assert_int_equal(t[0].name_len, 3);
	assert_memory_equal(t[0].name, "a\0b", 4);
	assert_int_equal(t[0].ndim, 2);
	assert_int_equal(t[0].shape[1], 3);
	assert_int_equal(t[0].offset, 100);
	assert_int_equal(t[0].nbytes, 24);
	assert_string_equal(t[1].name, "");
	assert_int_equal(t[1].ndim, 0);
	tfs_catalog_destroy(c);
	tfs_catalog_destroy(NULL);
}

static void dimensions_are_limited(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	uint64_t shape[TFS_MAX_DIMS + 1] = { 0 };

	(void)state;
	assert_int_equal(tfs_catalog_add(c, "a", 1, f32(), shape, TFS_MAX_DIMS, 0, 0), 0);
	assert_int_equal(tfs_catalog_add(c, "b", 1, f32(), shape, TFS_MAX_DIMS + 1, 0, 0), -E2BIG);
	tfs_catalog_destroy(c);
}

static void many_are_sorted_by_name(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_tensor *t;
	char name[32];
	size_t n;

	(void)state;
	assert_int_equal(tfs_catalog_reserve(c, 100, 400, 100), 0); /* fewer than will come: then it grows */
	for (uint64_t i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "t%llu", (unsigned long long)(i * 7919 % 10000));
		assert_int_equal(tfs_catalog_add(c, name, strlen(name), f32(), &i, 1, i, 0), 0);
	}
	assert_int_equal(tfs_catalog_sort(c), 0);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 10000);
	for (size_t i = 0; i < n; i++) {
		assert_true(!i || strcmp(t[i - 1].name, t[i].name) < 0);
		assert_int_equal(t[i].shape[0], t[i].offset); /* still together */
		snprintf(name, sizeof name, "t%llu", (unsigned long long)(t[i].offset * 7919 % 10000));
		assert_string_equal(t[i].name, name);
	}
	tfs_catalog_destroy(c);
}

static void names_outlive_the_table(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_tensor copy;
	uint64_t shape = 5;
	size_t n;

	(void)state;
	assert_int_equal(tfs_catalog_add(c, "name", 4, f32(), &shape, 1, 0, 20), 0);
	copy = tfs_catalog_tensors(c, &n)[0];
	tfs_catalog_drop_table(c);
	tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 0);
	assert_string_equal(copy.name, "name");
	assert_int_equal(copy.shape[0], 5);
	tfs_catalog_destroy(c);
}

static void dtypes_of_a_file_are_found_again(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	const struct tfs_dtype *first[1000], *d;
	char name[32], npy[] = "|V7";

	(void)state;
	for (unsigned i = 0; i < LENGTH(first); i++) {
		sprintf(name, "type %u", i * 7919 % 1000);
		first[i] = tfs_catalog_dtype(c, name, NULL, 1, 7);
		assert_non_null(first[i]);
	}
	for (unsigned i = 0; i < LENGTH(first); i++) {
		sprintf(name, "type %u", i * 7919 % 1000);
		assert_ptr_equal(tfs_catalog_dtype(c, name, NULL, 1, 7), first[i]);
		assert_string_equal(first[i]->name, name);
	}
	/* Each of its fields makes another one. */
	d = tfs_catalog_dtype(c, "type 1", npy, 1, 7);
	npy[2] = '8';
	assert_string_equal(d->npy, "|V7");
	assert_ptr_not_equal(d, tfs_catalog_dtype(c, "type 1", NULL, 1, 7));
	assert_ptr_not_equal(d, tfs_catalog_dtype(c, "type 1", npy, 1, 7));
	assert_ptr_not_equal(d, tfs_catalog_dtype(c, "type 1", "|V7", 2, 7));
	assert_ptr_not_equal(d, tfs_catalog_dtype(c, "type 1", "|V7", 1, 8));
	assert_ptr_equal(d, tfs_catalog_dtype(c, "type 1", "|V7", 1, 7));
	tfs_catalog_destroy(c);
}

static void notes_are_lines_and_few(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	const struct tfs_note *notes;
	size_t n, more;

	(void)state;
	tfs_catalog_notes(c, &n, &more);
	assert_int_equal(n, 0);
	assert_int_equal(tfs_catalog_note(c, 7, "%d of them", 3), 0);
	assert_int_equal(tfs_catalog_note(c, TFS_NO_OFFSET, "%2000d", 3), 0);
	notes = tfs_catalog_notes(c, &n, &more);
	assert_int_equal(n, 2);
	assert_int_equal(notes[0].offset, 7);
	assert_string_equal(notes[0].text, "3 of them");
	assert_true(strlen(notes[1].text) < sizeof((struct tfs_error *)0)->what);
	for (unsigned i = 0; i < TFS_MAX_NOTES; i++)
		assert_int_equal(tfs_catalog_note(c, i, "%u", i), 0);
	tfs_catalog_notes(c, &n, &more);
	assert_int_equal(n, TFS_MAX_NOTES);
	assert_int_equal(more, 2);
	tfs_catalog_destroy(c);
}

static void what_is_left_out_is_named(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	const char *const *names;
	char name[20];
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "t%u", i);
		assert_int_equal(tfs_catalog_leave_out(c, name, strlen(name), i, "type %u", i), 0);
	}
	names = tfs_catalog_left_out(c, &n);
	assert_int_equal(n, 100);
	assert_string_equal(names[99], "t99");
	assert_noted(c, "tensor \"t7\" left out: type 7");
	tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 0);
	tfs_catalog_destroy(c);
}

static void those_left_out_for_one_reason_are_one_note(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	const struct tfs_note *notes;
	size_t n, more;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "t%u", i);
		assert_int_equal(tfs_catalog_leave_out(c, name, strlen(name), i % 2 ? 5 : TFS_NO_OFFSET, "no file"), 0);
	}
	assert_int_equal(tfs_catalog_note(c, 5, "no file"), 0);
	assert_int_equal(tfs_catalog_leave_out(c, "other", 5, 5, "no such file"), 0);
	tfs_catalog_left_out(c, &n);
	assert_int_equal(n, 1001);
	notes = tfs_catalog_notes(c, &n, &more);
	assert_int_equal(n, 4);
	assert_int_equal(more, 0);
	assert_string_equal(notes[0].text, "500 tensors left out, the first is \"t0\": no file");
	assert_string_equal(notes[1].text, "500 tensors left out, the first is \"t1\": no file");
	assert_int_equal(notes[1].offset, 5);
	assert_string_equal(notes[2].text, "no file");
	assert_string_equal(notes[3].text, "tensor \"other\" left out: no such file");
	tfs_catalog_destroy(c);
}

static void metadata_is_copied_in(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	char key[] = "k\0y", value[] = "";
	const struct tfs_metadata *m;
	size_t n;

	(void)state;
	tfs_catalog_metadata(c, &n);
	assert_int_equal(n, 0);
	assert_int_equal(tfs_catalog_add_metadata(c, key, 3, value, 0), 0);
	key[0] = 'x';
	m = tfs_catalog_metadata(c, &n);
	assert_int_equal(n, 1);
	assert_int_equal(m->key_len, 3);
	assert_memory_equal(m->key, "k\0y", 4);
	assert_int_equal(m->value_len, 0);
	assert_string_equal(m->value, "");
	assert_false(tfs_catalog_is_companion(c));
	tfs_catalog_set_companion(c);
	assert_true(tfs_catalog_is_companion(c));
	tfs_catalog_destroy(c);
}

/* With all that refers to a place in the file. */
static struct tfs_catalog *inner_catalog(void)
{
	static const struct tfs_segment segments[] = { { 10, 0 }, { 30, 4 } };
	const struct tfs_encoding encoding = { .segments = segments, .n_segments = 2, .length = 24 };
	struct tfs_catalog *c = tfs_catalog_create();
	uint64_t shape = 2;

	assert_int_equal(tfs_catalog_add(c, "a", 1, tfs_catalog_dtype(c, "odd", NULL, 1, 4), &shape, 1, 10, 8), 0);
	assert_int_equal(tfs_catalog_encode(c, NULL, &encoding), 0);
	assert_int_equal(tfs_catalog_add(c, "b", 1, f32(), &shape, 1, 50, 8), 0);
	assert_int_equal(tfs_catalog_leave_out(c, "c", 1, 7, "is odd"), 0);
	assert_int_equal(tfs_catalog_note(c, TFS_NO_OFFSET, "so is this"), 0);
	return c;
}

static void a_file_in_a_file_has_its_offsets(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	const struct tfs_note *notes;
	const char *const *left_out;
	struct tfs_tensor *t;
	size_t n, more;

	(void)state;
	assert_int_equal(tfs_catalog_adopt(c, inner_catalog(), 1000, "", 0), 0);
	assert_int_equal(tfs_catalog_adopt(c, inner_catalog(), 2000, "x.", 2), 0);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 4);
	assert_string_equal(t[0].name, "a");
	assert_string_equal(t[0].dtype->name, "odd");
	assert_int_equal(t[0].offset, 1010);
	assert_int_equal(t[0].encoding->segments[1].offset, 1030);
	assert_int_equal(t[0].encoding->segments[1].at, 4);
	assert_string_equal(t[1].name, "b");
	assert_int_equal(t[1].offset, 1050);
	assert_string_equal(t[2].name, "x.a");
	assert_int_equal(t[2].name_len, 3);
	assert_int_equal(t[2].encoding->segments[0].offset, 2010);
	assert_int_equal(t[3].shape[0], 2);
	left_out = tfs_catalog_left_out(c, &n);
	assert_int_equal(n, 2);
	assert_string_equal(left_out[0], "c");
	assert_string_equal(left_out[1], "x.c");
	notes = tfs_catalog_notes(c, &n, &more);
	assert_int_equal(n, 4);
	assert_int_equal(notes[0].offset, 1007);
	assert_int_equal(notes[1].offset, TFS_NO_OFFSET);
	assert_string_equal(notes[2].text, "x. tensor \"c\" left out: is odd");
	tfs_catalog_destroy(c);
}

static void equal_names_are_numbered(void **state)
{
	static const char *const names[] = { "a", "b", "a", "a~2", "a", "b", "a~2" };
	static const char *const unique[] = { "a", "a~2", "a~2~2", "a~3", "a~4", "b", "b~2" };
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_tensor *t;
	size_t n;

	(void)state;
	for (uint64_t i = 0; i < LENGTH(names); i++)
		assert_int_equal(tfs_catalog_add(c, names[i], strlen(names[i]), f32(), &i, 1, i, 0), 0);
	assert_int_equal(tfs_catalog_make_unique(c), 0);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, LENGTH(unique));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(t[i].name, unique[i]);
		assert_int_equal(t[i].name_len, strlen(unique[i]));
	}
	assert_int_equal(t[0].offset, 0);
	assert_int_equal(t[3].offset, 2);
	assert_int_equal(t[4].offset, 4);
	tfs_catalog_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tensors_are_copied_in),
		cmocka_unit_test(dimensions_are_limited),
		cmocka_unit_test(many_are_sorted_by_name),
		cmocka_unit_test(names_outlive_the_table),
		cmocka_unit_test(dtypes_of_a_file_are_found_again),
		cmocka_unit_test(notes_are_lines_and_few),
		cmocka_unit_test(what_is_left_out_is_named),
		cmocka_unit_test(those_left_out_for_one_reason_are_one_note),
		cmocka_unit_test(metadata_is_copied_in),
		cmocka_unit_test(a_file_in_a_file_has_its_offsets),
		cmocka_unit_test(equal_names_are_numbered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
