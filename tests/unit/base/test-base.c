/* SPDX-License-Identifier: MIT */
/* Checked arithmetic, arena, growing arrays, sort, parallel loop, reading of files. */
#include "support/helpers.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/checked.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/safe.h"
#include "base/scan.h"
#include "base/sort.h"
#include "base/utf8.h"

static void log_of_one_kind(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		tfs_log_error("one %u", i);
}

static void log_of_another(void)
{
	tfs_log_warning("another");
}

/* What @log writes to standard error. */
static char *logged(void (*log)(void))
{
	char *text = calloc(1, 1 << 16);
	int before = dup(STDERR_FILENO);
	FILE *f = tmpfile();

	assert_true(text && before >= 0 && f);
	fflush(stderr);
	dup2(fileno(f), STDERR_FILENO);
	log();
	fflush(stderr);
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(f);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	return text;
}

static unsigned times_in(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void hostile(void)
{
	tfs_log_error("%s", "a\033]0;b\ac\nd\302\233"
			    "e\u202ef\177g\377h\u00fc\u6771%");
}

static void log_is_safe(void **state)
{
	char *text = logged(hostile);

	(void)state;
	assert_string_equal(text, "tensorfs: error: a%1B]0;b%07c%0Ad%C2%9Be%E2%80%AEf%7Fg%FFh\u00fc\u6771%\n");
	free(text);
}

/* Characters and their escapes are copied whole or not at all. */
static void safe_copies_fit(void **state)
{
	char buf[8];

	(void)state;
	assert_string_equal(tfs_safe_copy(buf, 1, "a"), "");
	assert_string_equal(tfs_safe_copy(buf, 3, "abc"), "ab");
	assert_string_equal(tfs_safe_copy(buf, 4, "ab\u00fc"), "ab");
	assert_string_equal(tfs_safe_copy(buf, 5, "ab\u00fc"), "ab\u00fc");
	assert_string_equal(tfs_safe_copy(buf, 4, "a\033"), "a");
	assert_string_equal(tfs_safe_copy(buf, 5, "a\033"), "a%1B");
	assert_string_equal(tfs_safe_copy(buf, 6, "\302\233"), "");
	assert_string_equal(tfs_safe_copy(buf, 7, "\302\233"), "%C2%9B");
}

static void much(void)
{
	log_of_one_kind(1000);
}

static void much_limited(void)
{
	tfs_log_limit();
	log_of_one_kind(1000);
	log_of_another();
	tfs_log_limit_end();
}

static void log_is_limited(void **state)
{
	char *text = logged(much);

	(void)state;
	assert_int_equal(times_in(text, "tensorfs: error: one "), 1000);
	free(text);
	text = logged(much_limited);
	/* A second may end in between, on a slow machine. */
	assert_in_range(times_in(text, "tensorfs: error: one "), TFS_LOG_BURST + 1, 60);
	assert_non_null(strstr(text, "tensorfs: error: one 999 (and "));
	assert_int_equal(times_in(text, "tensorfs: warning: another\n"), 1);
	free(text);
}

static void scan_is_bounded(void **state)
{
	struct tfs_scan_cost scan = { .limits = { .memory = 1000, .seconds = 1000 } };
	struct tfs_share a, b;

	(void)state;
	tfs_share_begin(&a, &scan);
	tfs_share_begin(&b, &scan);
	assert_int_equal(tfs_share_keep(&a, 400), 0);
	assert_int_equal(tfs_share_scratch(&a, 300), 0);
	/* Shared, to the byte; and once something was too much nothing is little enough. */
	assert_int_equal(tfs_share_scratch(&b, 301), -ENOMEM);
	assert_int_equal(b.over, TFS_OVER_MEMORY);
	assert_int_equal(tfs_share_scratch(&b, 1), -ENOMEM);
	tfs_share_fini(&b);
	tfs_share_begin(&b, &scan);
	assert_int_equal(tfs_share_scratch(&b, 300), 0);
	assert_int_equal(tfs_share_scratch(&b, UINT64_MAX), -ENOMEM);
	tfs_share_end(&b);
	assert_int_equal(scan.used, 700);
	tfs_share_give(&a, 100);
	tfs_share_end(&a);
	assert_int_equal(scan.used, 400);
	tfs_share_fini(&a);
	assert_int_equal(scan.used, 0);

	scan.limits.seconds = 0;
	tfs_share_begin(&a, &scan);
	assert_int_equal(tfs_share_scratch(&a, 0), -ENOMEM);
	assert_int_equal(a.over, TFS_OVER_TIME);
	tfs_share_fini(&a);

	/* No limits. */
	assert_int_equal(tfs_share_keep(NULL, UINT64_MAX), 0);
	tfs_share_give(NULL, 1);
	tfs_share_begin(&a, NULL);
	assert_int_equal(tfs_share_keep(&a, UINT64_MAX / 2), 0);
	tfs_share_end(&a);
	tfs_share_fini(&a);
}

static void checked_arithmetic_sees_overflow(void **state)
{
	uint64_t r;
	uint32_t small;

	(void)state;
	assert_false(ckd_add(&r, UINT64_MAX - 1, 1));
	assert_true(r == UINT64_MAX);
	assert_true(ckd_add(&r, UINT64_MAX, 1));
	assert_true(r == 0);
	assert_true(ckd_sub(&r, (uint64_t)1, 2));
	assert_false(ckd_mul(&r, UINT64_MAX / 3, 3));
	assert_true(ckd_mul(&r, UINT64_MAX / 2, 3));
	assert_true(ckd_add(&small, (uint64_t)UINT32_MAX, 1));
	assert_false(ckd_mul(&r, UINT64_MAX, 0));
}

static void arena_gives_aligned_memory(void **state)
{
	struct tfs_arena a = { 0 };
	size_t total = 0;

	(void)state;
	assert_non_null(tfs_arena_alloc(&a, 0, 1));
	for (size_t i = 1; i < 3000; i++) {
		size_t align = (size_t)1 << i % 5, size = i * 7 % 5000;
		char *p = tfs_arena_alloc(&a, size, align);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
		memset(p, (int)i, size);
		total += size;
	}
	assert_true(total > 1000000);
	assert_null(tfs_arena_array(&a, SIZE_MAX / 4, 8, 8));
	assert_null(tfs_arena_alloc(&a, SIZE_MAX - 8, 8));
	assert_memory_equal(tfs_arena_copy(&a, "a\0b", 3), "a\0b", 4);
	tfs_arena_fini(&a);
	tfs_arena_fini(&a);
}

static void arena_reserves_one_piece(void **state)
{
	struct tfs_arena a = { 0 };
	char *first, *last = NULL;

	(void)state;
	assert_int_equal(tfs_arena_reserve(&a, 1000 * 8), 0);
	first = tfs_arena_alloc(&a, 8, 8);
	for (int i = 1; i < 1000; i++)
		last = tfs_arena_alloc(&a, 8, 8);
	assert_ptr_equal(last, first + 999 * 8);
	tfs_arena_fini(&a);
}

static void array_grows(void **state)
{
	size_t n = 0, room = 0;
	int *a = NULL;

	(void)state;
	for (; n < 1000; n++) {
		assert_int_equal(tfs_array_room(a, n, room), 0);
		a[n] = (int)n;
	}
	assert_int_equal(a[999], 999);
	assert_true(room >= 1000 && room < 2048);
	free(a);
}

struct item {
	int key, place;
};

static size_t compares;

static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	compares++;
	return (x->key > y->key) - (x->key < y->key);
}

/* Kinds of input by their keys: what the sort takes apart, and what it must survive. */
static int key_of(int kind, int i, int n)
{
	switch (kind) {
	case 0:
		return i;
	case 1:
		return n - i;
	case 2:
		return i % 7;
	case 3:
		return (int)((unsigned)i * 2654435761u >> 8);
	case 4:
		return i % 100 == 0 ? -i : i; /* runs of 99 */
	case 5:
		return i < n / 2 ? 2 * i : 2 * (i - n / 2) + 1; /* two runs that interleave */
	default:
		return 0;
	}
}

static void sort_is_stable_and_right(void **state)
{
	static const int sizes[] = { 0, 1, 2, 3, 11, 12, 13, 100, 1000, 4097 };

	(void)state;
	for (int kind = 0; kind < 7; kind++)
		for (size_t s = 0; s < LENGTH(sizes); s++) {
			int n = sizes[s];
			struct item *items = calloc((size_t)n + 1, sizeof *items);
			const void **order = calloc(2 * (size_t)n + 1, sizeof *order);

			assert_true(items && order);
			for (int i = 0; i < n; i++) {
				items[i] = (struct item){ key_of(kind, i, n), i };
				order[i] = &items[i];
			}
			compares = 0;
			tfs_sort(order, (size_t)n, order + n, by_key);
			for (int i = 1; i < n; i++) {
				const struct item *x = order[i - 1], *y = order[i];

				assert_true(x->key < y->key || (x->key == y->key && x->place < y->place));
			}
			if ((kind == 0 || kind == 6) && n)
				assert_int_equal(compares, n - 1);
			assert_true(compares <= (size_t)n * 20);
			free(items);
			free(order);
		}
}

static void names_compare_as_bytes_then_length(void **state)
{
	(void)state;
	assert_true(tfs_name_cmp("a", 1, "b", 1) < 0);
	assert_true(tfs_name_cmp("a", 1, "a\0", 2) < 0);
	assert_true(tfs_name_cmp("\xff", 1, "a", 1) > 0);
	assert_true(tfs_name_cmp("", 0, "", 0) == 0);
	assert_true(tfs_name_cmp("ab", 2, "a", 1) > 0);
}

struct counters {
	_Atomic int seen[1000];
};

static void count(void *arg, size_t i)
{
	struct counters *c = arg;

	atomic_fetch_add(&c->seen[i], 1);
}

static void parallel_visits_each_once(void **state)
{
	static const unsigned threads[] = { 0, 1, 2, 7, 1000 };

	(void)state;
	for (size_t t = 0; t < LENGTH(threads); t++) {
		struct counters c = { 0 };

		tfs_parallel_for(1000, threads[t], count, &c);
		for (int i = 0; i < 1000; i++)
			assert_int_equal(c.seen[i], 1);
	}
	tfs_parallel_for(0, 4, count, NULL);
}

static void parallel_needs_no_threads(void **state)
{
	struct rlimit old, none = { 0, 0 };
	struct counters c = { 0 };

	(void)state;
	/* Root is not bound by the limit; then this shows no more than the test before. */
	assert_int_equal(getrlimit(RLIMIT_NPROC, &old), 0);
	none.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NPROC, &none), 0);
	tfs_parallel_for(1000, 8, count, &c);
	setrlimit(RLIMIT_NPROC, &old);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(c.seen[i], 1);
}

static void ill_formed_utf8_is_seen(void **state)
{
	static const char *const good[] = { "", "a", "\x7f", "\xc2\x80", "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = {
		"\x80",	 "a\xc3", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xc3(", "\xff",
	};

	static const char euro[] = "\xe2\x82\xac!";

	(void)state;
	for (size_t i = 0; i < LENGTH(good); i++)
		assert_true(tfs_utf8_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(tfs_utf8_valid(bad[i], strlen(bad[i])));
	assert_true(tfs_utf8_valid("a\0b", 3));
	assert_int_equal(tfs_utf8_sequence(euro, euro + 4), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checked_arithmetic_sees_overflow),
		cmocka_unit_test(log_is_limited),
		cmocka_unit_test(log_is_safe),
		cmocka_unit_test(safe_copies_fit),
		cmocka_unit_test(scan_is_bounded),
		cmocka_unit_test(arena_gives_aligned_memory),
		cmocka_unit_test(arena_reserves_one_piece),
		cmocka_unit_test(array_grows),
		cmocka_unit_test(sort_is_stable_and_right),
		cmocka_unit_test(names_compare_as_bytes_then_length),
		cmocka_unit_test(parallel_visits_each_once),
		cmocka_unit_test(parallel_needs_no_threads),
		cmocka_unit_test(ill_formed_utf8_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
