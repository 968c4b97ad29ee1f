/* SPDX-License-Identifier: MIT */
/* The private tmpfs, and above all its lease test: what counts as in use. */
#include "support/fixture.h"

#include <sys/mman.h>
#include <sys/stat.h>

static struct tfs_store *open_store(uint64_t limit)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE];
	struct tfs_store *s;

	if (tfs_store_open(limit, &s, &err)) {
		print_message("SKIP: %s\n", tfs_error_line(&err, line, sizeof line));
		skip();
	}
	return s;
}

static void test_lease(void **state)
{
	struct tfs_store *s = open_store(64 * MIB);
	char c;

	(void)state;
	int fd = tfs_store_create(s, 7, 10000);
	assert_true(fd >= 0);
	assert_int_equal(tfs_store_create(s, 7, 1), -EEXIST);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_true(tfs_store_in_use(s, 7)); /* its writer */
	close(fd);
	assert_false(tfs_store_in_use(s, 7));
	fd = tfs_store_reader(s, 7);
	assert_true(tfs_store_in_use(s, 7));
	const char *map = mmap(NULL, 10000, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	assert_true(tfs_store_in_use(s, 7)); /* closed, but mapped */
	tfs_store_remove(s, 7);
	assert_true(tfs_store_in_use(s, 7)); /* in doubt */
	assert_int_equal(tfs_store_reader(s, 7), -ENOENT);
	assert_int_equal(map[0], 'x');
	assert_true(tfs_store_used(s) > 0);
	munmap((void *)map, 10000);
	assert_int_equal(tfs_store_used(s), 0);
	fd = tfs_store_create(s, 7, 0);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	tfs_store_close(s);
	tfs_store_close(NULL);
}

/* Names that were made ready, and which become of them. */
struct readied {
	struct tfs_store *store;
	uint64_t next, last;
	unsigned removed;
};

static uint64_t give_ready(void *arg, uint64_t id)
{
	struct readied *r = arg;

	(void)id;
	return r->next <= r->last ? r->next++ : 0;
}

static void count_removed(void *arg, uint64_t id)
{
	struct readied *r = arg;

	r->removed += id == 7;
}

static void test_ready(void **state)
{
	struct readied r = { .store = open_store(64 * MIB), .next = 100, .last = 101 };
	struct tfs_store *s = r.store;
	struct stat path, file;

	(void)state;
	tfs_store_on_create(s, give_ready, &r);
	tfs_store_on_remove(s, count_removed, &r);
	assert_int_equal(tfs_store_make_ready(s, 100), 0);
	assert_int_equal(tfs_store_make_ready(s, 100), -EEXIST);
	int at = tfs_store_path(s, 100), fd = tfs_store_create(s, 7, 10000);
	assert_true(at >= 0 && fd >= 0);
	assert_int_equal(tfs_store_path(s, 100), -ENOENT);
	assert_int_equal(fstat(at, &path), 0);
	assert_int_equal(fstat(fd, &file), 0);
	assert_true(path.st_ino == file.st_ino && file.st_size == 10000);
	close(at);
	close(fd);
	assert_false(tfs_store_in_use(s, 7));
	tfs_store_remove(s, 7);
	assert_int_equal(r.removed, 1);
	/* One that isn't there: what goes with the name is given back, and it is created. */
	fd = tfs_store_create(s, 7, 1);
	assert_true(fd >= 0);
	assert_int_equal(r.removed, 2);
	close(fd);
	/* And without one. */
	fd = tfs_store_create(s, 8, 1);
	assert_true(fd >= 0);
	close(fd);
	tfs_store_close(s);
}

/* The very limit fits, a page more does not. */
static void test_limit(void **state)
{
	struct tfs_store *s = open_store(MIB);
	char *buf = calloc(1, MIB);

	(void)state;
	int fd = tfs_store_create(s, 1, MIB);
	assert_int_equal(pwrite(fd, buf, MIB, 0), MIB);
	assert_int_equal(tfs_store_used(s), MIB);
	int more = tfs_store_create(s, 2, 1);
	assert_int_equal(pwrite(more, buf, 1, 0), -1);
	assert_int_equal(errno, ENOSPC);
	close(fd);
	close(more);
	tfs_store_close(s);
	free(buf);
}

static void test_cost(void **state)
{
	(void)state;
	assert_int_equal(tfs_store_cost(0), 0);
	assert_int_equal(tfs_store_cost(1), 4096);
	assert_int_equal(tfs_store_cost(4096), 4096);
	assert_int_equal(tfs_store_cost(4097), 8192);
}

static bool meet; /* somebody opens the file while the lease test has its lease */
static unsigned met;

int __real_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);

int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	va_start(ap, cmd);
	long arg = va_arg(ap, long);
	va_end(ap);
	int r = __real_fcntl64(fd, cmd, arg);
	if (meet && cmd == F_SETLEASE && arg == F_WRLCK && !r) {
		char path[40];
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		/* Without O_NONBLOCK it would wait for us; the lease is broken all the same, and its owner told so. */
		assert_int_equal(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), -1);
		assert_int_equal(errno, EWOULDBLOCK);
		met++;
	}
	return r;
}

int __wrap_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	va_start(ap, cmd);
	long arg = va_arg(ap, long);
	va_end(ap);
	return __wrap_fcntl64(fd, cmd, arg);
}

/* The signal that the owner of a lease gets when it is broken must not be one that kills. */
static void test_open_meets_lease(void **state)
{
	struct tfs_store *s = open_store(0);

	(void)state;
	close(tfs_store_create(s, 1, 1));
	meet = true;
	assert_false(tfs_store_in_use(s, 1));
	meet = false;
	assert_int_equal(met, 1);
	int fd = tfs_store_reader(s, 1); /* and it was given back */
	assert_true(fd >= 0);
	close(fd);
	tfs_store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_open_meets_lease),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
