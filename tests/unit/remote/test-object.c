/* SPDX-License-Identifier: MIT */
/* What is kept of a remote file: that bytes are right, or not there. */
#include "support/helpers.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "remote/cache.h"

enum { GRAINS = 40, SIZE = (GRAINS - 1) * 65536 + 1234 };

struct kept {
	char *dir;
	uint8_t *bytes; /* what the file is */
	struct tfs_cache *cache;
	struct tfs_object o;
};

static void open_it(struct kept *k)
{
	assert_int_equal(tfs_cache_object(k->cache, "sha256-x", "http://host", "about", SIZE, &k->o), 0);
}

static int set_up(void **state)
{
	struct kept *k = calloc(1, sizeof *k);

	assert_non_null(k);
	k->dir = make_tree();
	k->bytes = malloc(SIZE);
	assert_non_null(k->bytes);
	for (size_t i = 0; i < SIZE; i++)
		k->bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	assert_int_equal(tfs_cache_open(in_tree(k->dir, "cache"), 0, &k->cache, NULL), 0);
	open_it(k);
	*state = k;
	return 0;
}

static int tear_down(void **state)
{
	struct kept *k = *state;

	tfs_object_close(&k->o);
	tfs_cache_close(k->cache);
	remove_tree(k->dir);
	free(k->bytes);
	free(k);
	return 0;
}

/* Another process's view: nothing is known but what is on disk. */
static void open_again(struct kept *k)
{
	tfs_object_close(&k->o);
	open_it(k);
}

static void put(struct kept *k, unsigned grain, unsigned n)
{
	size_t at = grain * (size_t)TFS_GRAIN, len = n * (size_t)TFS_GRAIN;

	tfs_object_write(&k->o, k->bytes + at, at + len > SIZE ? SIZE - at : len, at);
}

/* What a read of [@at, @at + @len) gets is right, and as much as there is: @want bytes. */
static unsigned get(struct kept *k, uint64_t at, size_t len, size_t want)
{
	uint8_t *buf = aligned_alloc(4096, (len + 4095) / 4096 * 4096); /* so that some reads can be direct */
	unsigned bad;

	assert_non_null(buf);
	assert_int_equal(tfs_object_read(&k->o, buf, len, at, &bad), want);
	assert_memory_equal(buf, k->bytes + at, want);
	free(buf);
	return bad;
}

static void what_was_written_is_read(void **state)
{
	struct kept *k = *state;

	for (int again = 0; again < 2; again++) {
		if (!again) {
			put(k, 3, 20);
			put(k, GRAINS - 1, 1);
		}
		assert_int_equal(get(k, 0, 65536, 0), 0);
		get(k, 3 * 65536, 65536, 65536);
		get(k, 3 * 65536 + 17, 100, 100);
		get(k, 3 * 65536 - 1, 100, 0);
		get(k, 4 * 65536 - 5, 10, 10);
		get(k, 3 * 65536 + 1, 30 * 65536, 20 * 65536 - 1);
		get(k, SIZE - 1234, 1234, 1234);
		get(k, SIZE - 1, 1, 1);
		get(k, SIZE - 1234 - 1, 2, 0);
		open_again(k);
	}
	assert_false(tfs_object_is_complete(&k->o));
}

static void every_order_of_reading_checks(void **state)
{
	struct kept *k = *state;

	put(k, 0, GRAINS);
	assert_true(tfs_object_is_complete(&k->o));
	for (size_t step = 1000; step < SIZE; step = step * 3 + 7) {
		open_again(k);
		assert_false(tfs_object_is_complete(&k->o));
		for (uint64_t at = 0; at < SIZE; at += step)
			get(k, at, SIZE - at < step ? SIZE - at : step, SIZE - at < step ? SIZE - at : step);
		assert_true(tfs_object_is_complete(&k->o));
		assert_int_equal(tfs_object_present(&k->o), SIZE);
	}
}

static const char *file_of(struct kept *k, const char *name)
{
	static char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof path, "find %s -name %s", k->dir, name);
	f = popen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(path, sizeof path, f));
	assert_int_equal(pclose(f), 0);
	path[strcspn(path, "\n")] = '\0';
	return path;
}

static void overwrite(struct kept *k, const char *name, uint64_t at, uint8_t with)
{
	int fd = open(file_of(k, name), O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &with, 1, (off_t)at), 1);
	close(fd);
}

static void damage_is_noticed(void **state)
{
	struct kept *k = *state;

	put(k, 0, GRAINS);
	overwrite(k, "data", 5 * 65536 + 100, (uint8_t)(k->bytes[5 * 65536 + 100] ^ 1));
	overwrite(k, "map", TFS_MAP_HEADER + 9 * 8, 0x55);
	open_again(k);
	assert_int_equal(get(k, 0, SIZE, 5 * 65536), 2); /* what is read together is checked together */
	assert_true(tfs_object_lacks(&k->o, 5 * 65536));
	assert_int_equal(get(k, 9 * 65536 + 5, 5, 0), 0);
	assert_false(tfs_object_lacks(&k->o, 4 * 65536));
	put(k, 5, 1);
	put(k, 9, 1);
	assert_int_equal(get(k, 0, SIZE, SIZE), 0);
	assert_true(tfs_object_is_complete(&k->o));
	open_again(k);
	assert_int_equal(get(k, 0, SIZE, SIZE), 0);
}

/* Some grains are known to be right when they are read together with others that aren't. */
static void what_is_known_is_read_with_what_is_not(void **state)
{
	struct kept *k = *state;

	put(k, 0, 30);
	open_again(k);
	get(k, 3 * 65536, 65536, 65536);
	get(k, 7 * 65536, 2 * 65536, 2 * 65536);
	assert_int_equal(get(k, 3 * 65536, 20 * 65536, 20 * 65536), 0);
	assert_int_equal(tfs_object_present(&k->o), 20 * 65536);
	get(k, 0, SIZE, 30 * 65536);
	overwrite(k, "data", 20 * 65536 + 100, (uint8_t)(k->bytes[20 * 65536 + 100] ^ 1));
	open_again(k);
	get(k, 3 * 65536, 65536, 65536);
	get(k, 21 * 65536, 65536, 65536);
	assert_int_equal(get(k, 3 * 65536, 20 * 65536, 17 * 65536), 1);
	assert_true(tfs_object_lacks(&k->o, 20 * 65536));
	/* If they can't be read together, those that are left are, one by one. */
	open_again(k);
	get(k, 3 * 65536, 65536, 65536);
	assert_int_equal(truncate(file_of(k, "data"), 6 * 65536 + 5), 0);
	assert_int_equal(get(k, 3 * 65536, 10 * 65536, 3 * 65536), 1);
}

static void a_file_cut_short_is_noticed(void **state)
{
	struct kept *k = *state;

	put(k, 0, GRAINS);
	open_again(k);
	get(k, 0, 65536, 65536);
	assert_int_equal(truncate(file_of(k, "data"), 10 * 65536 + 5), 0);
	assert_true(get(k, 10 * 65536, 65536, 0) > 0);
	get(k, 9 * 65536, 65536, 65536);
	/* Known to be right a moment ago, and gone now. */
	assert_int_equal(truncate(file_of(k, "data"), 0), 0);
	assert_true(get(k, 0, 65536, 0) > 0);
	put(k, 0, 1);
	get(k, 0, 65536, 65536);
}

static void an_object_in_use_stays(void **state)
{
	struct kept *k = *state;

	put(k, 0, 1);
	assert_int_equal(tfs_cache_remove(k->cache, "sha256-x"), -EBUSY);
	tfs_object_close(&k->o);
	assert_int_equal(tfs_cache_remove(k->cache, "sha256-x"), 0);
	assert_int_equal(tfs_cache_remove(k->cache, "sha256-x"), -ENOENT);
	open_it(k);
	get(k, 0, 65536, 0);
}

static void one_key_is_one_thing(void **state)
{
	struct kept *k = *state;
	struct tfs_object other;

	put(k, 0, GRAINS);
	/* In use as something else: it isn't touched. */
	assert_int_equal(tfs_cache_object(k->cache, "sha256-x", "http://other", "about", SIZE, &other), -EEXIST);
	assert_int_equal(tfs_cache_object(k->cache, "sha256-x", "http://host", "about", SIZE + 1, &other), -EMSGSIZE);
	get(k, 0, SIZE, SIZE);
	open_again(k);
	get(k, 0, SIZE, SIZE);
}

static void claims_are_exclusive(void **state)
{
	struct kept *k = *state;
	uint64_t from;

	put(k, 4, 1);
	assert_int_equal(tfs_object_claim(&k->o, 65536 + 10, SIZE, SIZE, false, &from), 4 * 65536);
	assert_int_equal(from, 65536);
	assert_int_equal(tfs_object_claim(&k->o, 3 * 65536, SIZE, SIZE, false, &from), 0);
	assert_int_equal(tfs_object_claim(&k->o, 4 * 65536, SIZE, SIZE, false, &from), 0); /* it is there */
	assert_int_equal(tfs_object_claim(&k->o, 5 * 65536, SIZE, 2 * 65536, false, &from), 7 * 65536);
	assert_int_equal(tfs_object_claim(&k->o, 0, SIZE, SIZE, false, &from), 65536);
	assert_int_equal(tfs_object_claim(&k->o, SIZE - 5, SIZE, SIZE, false, &from), SIZE);
	assert_int_equal(from, SIZE - 1234);
	tfs_object_unclaim(&k->o, 65536, 4 * 65536);
	assert_int_equal(tfs_object_claim(&k->o, 2 * 65536, 3 * 65536, SIZE, false, &from), 3 * 65536);
}

/* Another open of the same object stands for another process: locks are of open file descriptions. */
static void claims_are_exclusive_between_processes(void **state)
{
	struct kept *k = *state;
	struct tfs_object other;
	_Atomic bool stop = false;
	uint64_t from;

	assert_int_equal(tfs_cache_object(k->cache, "sha256-x", "http://host", "about", SIZE, &other), 0);
	assert_int_equal(tfs_object_claim(&k->o, 2 * 65536, 4 * 65536, SIZE, false, &from), 4 * 65536);
	/* Up to what the other one has; none of it; what comes after it. */
	assert_int_equal(tfs_object_claim(&other, 0, 6 * 65536, SIZE, false, &from), 2 * 65536);
	assert_int_equal(tfs_object_claim(&other, 2 * 65536, 6 * 65536, SIZE, false, &from), 0);
	assert_int_equal(tfs_object_claim(&other, 4 * 65536, 6 * 65536, SIZE, false, &from), 6 * 65536);
	assert_int_equal(tfs_object_claim(&k->o, 4 * 65536, 6 * 65536, SIZE, false, &from), 0);
	/* In vain; then it needn't be minded. */
	assert_false(tfs_object_wait(&other, 2 * 65536, 0.02, &stop));
	stop = true;
	assert_false(tfs_object_wait(&other, 2 * 65536, 3600, &stop));
	assert_int_equal(tfs_object_claim(&other, 2 * 65536, 4 * 65536, SIZE, true, &from), 4 * 65536);
	tfs_object_unclaim(&other, 2 * 65536, 4 * 65536);
	/* What has come meanwhile isn't claimed, and is read. */
	put(k, 2, 2);
	tfs_object_unclaim(&k->o, 2 * 65536, 4 * 65536);
	assert_true(tfs_object_wait(&other, 2 * 65536, 3600, &stop));
	assert_int_equal(tfs_object_claim(&other, 2 * 65536, 4 * 65536, SIZE, false, &from), 0);
	/* The locks end with the process. */
	tfs_object_close(&other);
	assert_int_equal(tfs_object_claim(&k->o, 4 * 65536, 6 * 65536, SIZE, false, &from), 6 * 65536);
}

static void in_memory_it_is_the_same_until_forgotten(void **state)
{
	struct kept *k = *state;

	tfs_object_close(&k->o);
	assert_int_equal(tfs_object_open_memory(SIZE, &k->o), 0);
	put(k, 2, 5);
	get(k, 2 * 65536 + 7, 5 * 65536, 5 * 65536 - 7);
	tfs_object_forget(&k->o);
	get(k, 2 * 65536 + 7, 5 * 65536, 0);
	assert_int_equal(tfs_object_present(&k->o), 0);
}

static void trees_are_whole_or_not_there(void **state)
{
	struct kept *k = *state;
	struct tfs_remote_table t = { .bytes = k->bytes ? (char *)k->bytes : NULL, .size = 1000 }, got;
	bool doubted;

	/* Kept, but it isn't a table. */
	tfs_cache_put_tree(k->cache, "name", &t);
	assert_int_equal(tfs_cache_get_tree(k->cache, "name", &got, &doubted), -ENOENT);
	assert_int_equal(tfs_cache_get_tree(k->cache, "other", &got, &doubted), -ENOENT);
}

enum { MIB = 1 << 20 };

static void *ask_for_a_mib(void *cache)
{
	return tfs_cache_room(cache, MIB) ? cache : NULL;
}

/* 1.25 MiB are on the disk, of which 1 MiB is said to be being written: of 3 MiB there is room for another one, once that is over. */
static void what_is_being_written_is_waited_for(void **state)
{
	struct kept *k = *state;
	struct tfs_cache *limited;
	pthread_t asks;
	void *got;

	assert_int_equal(tfs_cache_open(in_tree(k->dir, "cache"), 3 * MIB, &limited, NULL), 0);
	assert_true(tfs_cache_room(limited, MIB));
	put(k, 0, 20);
	assert_int_equal(pthread_create(&asks, NULL, ask_for_a_mib, limited), 0);
	usleep(50000); /* it looks, and waits; if it hasn't begun, it has nothing to wait for */
	tfs_cache_wrote(limited, MIB);
	assert_int_equal(pthread_join(asks, &got), 0);
	assert_ptr_equal(got, limited);
	/* Now there is too much, and it isn't of any use to wait. */
	tfs_cache_wrote(limited, MIB);
	assert_false(tfs_cache_room(limited, 2 * MIB));
	tfs_cache_close(limited);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_order_of_reading_checks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damage_is_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_known_is_read_with_what_is_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_cut_short_is_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_object_in_use_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_key_is_one_thing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(claims_are_exclusive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(claims_are_exclusive_between_processes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(in_memory_it_is_the_same_until_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(trees_are_whole_or_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_being_written_is_waited_for, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
