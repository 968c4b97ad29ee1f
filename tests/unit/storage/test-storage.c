/* SPDX-License-Identifier: MIT */
/* The files of a model, and what parsers read them by. */
#include "support/helpers.h"

#include <errno.h>
#include <sys/inotify.h>

static void input_is_read_whole_or_not(void **state)
{
	struct tfs_error err = { 0 };
	char buf[10];
	int fd = memory_file("0123456789", 10);
	const struct tfs_input *in = input_of(fd, 12);

	(void)state;
	assert_int_equal(tfs_input_read(in, buf, 5, 3, &err), 0);
	assert_memory_equal(buf, "34567", 5);
	assert_int_equal(tfs_input_read(in, buf, 0, 100, &err), 0);
	assert_int_equal(tfs_input_read(in, buf, 5, 6, &err), -EIO);
	assert_int_equal(err.offset, 10);
	assert_int_equal(tfs_input_read(input_of(-1, 12), buf, 5, 6, &err), -EBADF);
	close(fd);
}

static void a_window_is_a_file_of_its_own(void **state)
{
	struct tfs_error err = { 0 };
	char buf[10];
	int fd = memory_file("0123456789", 10);
	const struct tfs_input *outer = input_of(fd, 12);
	struct tfs_input in = tfs_input_window(outer, 3, 8), inner = tfs_input_window(&in, 2, 3);

	(void)state;
	assert_int_equal(in.size, 8);
	assert_int_equal(tfs_input_read(&in, buf, 5, 1, &err), 0);
	assert_memory_equal(buf, "45678", 5);
	assert_int_equal(tfs_input_read(&inner, buf, 3, 0, &err), 0);
	assert_memory_equal(buf, "567", 3);
	/* Not beyond its end, though the file goes on, nor where the file has ended meanwhile. */
	assert_int_equal(tfs_input_read(&inner, buf, 3, 1, &err), -EIO);
	assert_int_equal(err.offset, 3);
	assert_int_equal(tfs_input_read(&inner, buf, 1, UINT64_MAX, NULL), -EIO);
	assert_int_equal(tfs_input_read(&in, buf, 4, 4, &err), -EIO);
	assert_int_equal(err.offset, 7);
	tfs_input_close(&inner);
	tfs_input_close(&in);
	assert_int_equal(tfs_input_read(outer, buf, 10, 0, &err), 0);
	close(fd);
}

static void a_closed_input_may_be_closed(void **state)
{
	struct tfs_input in = TFS_INPUT_CLOSED;
	int fd = memory_file("", 0);

	(void)state;
	tfs_input_close(&in);
	in = tfs_input_of_fd(fd, 0);
	tfs_input_close(&in);
	assert_int_equal(in.fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	tfs_input_close(&in);
}

/* --- A directory of this machine ------------------------------------------------------------------------------------- */

struct local {
	char *dir;
	struct tfs_storage *s;
};

static int set_up(void **state)
{
	struct local *l = malloc(sizeof *l);
	const char *file = "?";

	assert_non_null(l);
	l->dir = make_tree();
	put_file(l->dir, "file", "0123456789", 10);
	assert_int_equal(mkdir(in_tree(l->dir, "sub"), 0755), 0);
	put_file(l->dir, "sub/other", "abc", 3);
	assert_int_equal(symlink("sub/other", in_tree(l->dir, "link")), 0);
	assert_int_equal(mkfifo(in_tree(l->dir, "fifo"), 0644), 0);
	assert_int_equal(tfs_storage_open(l->dir, &l->s, &file, NULL), 0);
	assert_null(file);
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	struct local *l = *state;

	tfs_storage_destroy(l->s);
	remove_tree(l->dir);
	free(l);
	return 0;
}

static struct tfs_dirent look(const struct local *l, const char *path, bool follow)
{
	struct tfs_dirent e;

	assert_int_equal(l->s->ops->look(l->s, TFS_STORAGE_ROOT, path, follow, &e), 0);
	return e;
}

/* A bit for each name that is known, in the order of set_up(). */
static int note_name(void *arg, const char *name)
{
	static const char *const names[] = { "file", "sub", "link", "fifo" };
	unsigned *seen = arg;

	for (unsigned i = 0; i < LENGTH(names); i++)
		if (!strcmp(name, names[i])) {
			assert_false(*seen & 1u << i);
			*seen |= 1u << i;
			return 0;
		}
	fail_msg("listed: %s", name);
	return 0;
}

static int stop(void *arg, const char *name)
{
	(void)name;
	return --*(int *)arg ? 0 : -E2BIG;
}

static void directory_is_listed(void **state)
{
	const struct local *l = *state;
	int dir = l->s->ops->open_dir(l->s, ".", true), left = 2;
	unsigned seen = 0;

	assert_true(dir >= 0);
	assert_int_equal(l->s->ops->list(l->s, dir, note_name, &seen), 0);
	assert_int_equal(seen, 15);
	assert_int_equal(l->s->ops->list(l->s, dir, stop, &left), -E2BIG);
	assert_int_equal(left, 0);
	l->s->ops->close_dir(l->s, dir);
	assert_int_equal(l->s->ops->open_dir(l->s, "file", true), -ENOTDIR);
	assert_int_equal(l->s->ops->open_dir(l->s, "fifo", true), -ENOTDIR);
	assert_int_equal(l->s->ops->open_dir(l->s, "nowhere", true), -ENOENT);
}

static void entries_are_looked_at(void **state)
{
	const struct local *l = *state;
	struct tfs_dirent e = look(l, "link", false), other = look(l, "sub/other", false);
	int dir = l->s->ops->open_dir(l->s, "sub", false);
	char target[16];

	assert_true(S_ISLNK(e.mode));
	assert_int_equal(l->s->ops->read_link(l->s, TFS_STORAGE_ROOT, "link", target, sizeof target), 9);
	assert_memory_equal(target, "sub/other", 9);
	assert_int_equal(l->s->ops->read_link(l->s, TFS_STORAGE_ROOT, "file", target, sizeof target), -EINVAL);
	e = look(l, "link", true);
	assert_true(S_ISREG(e.mode));
	assert_int_equal(e.id.size, 3);
	assert_true(tfs_identity_unchanged(&e.id, &other.id));
	assert_true(dir >= 0);
	assert_int_equal(l->s->ops->look(l->s, dir, "other", false, &e), 0);
	assert_true(tfs_identity_same(&e.id, &other.id));
	assert_int_equal(l->s->ops->look(l->s, dir, "", false, &e), 0);
	other = look(l, "sub", false);
	assert_true(tfs_identity_same(&e.id, &other.id));
	l->s->ops->close_dir(l->s, dir);
	assert_int_equal(l->s->ops->look(l->s, TFS_STORAGE_ROOT, "nowhere", false, &e), -ENOENT);
}

static int check(const struct local *l, const struct tfs_dirent *e, const struct tfs_input *in)
{
	return l->s->ops->check(l->s, "file", &e->id, in);
}

static int open_again(const struct local *l, const struct tfs_dirent *e)
{
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;

	return l->s->ops->open(l->s, "file", &e->id, 0, &in);
}

static void a_change_is_noticed(void **state)
{
	const struct local *l = *state;
	const struct tfs_dirent e = look(l, "file", true);
	struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	char *path = strdup(in_tree(l->dir, "file")), buf[10];

	assert_int_equal(l->s->ops->open(l->s, "file", &e.id, 0, &in), 0);
	assert_int_equal(in.size, 10);
	assert_int_equal(tfs_input_read(&in, buf, 10, 0, NULL), 0);
	assert_memory_equal(buf, "0123456789", 10);
	assert_int_equal(check(l, &e, &in), 0);

	/* Touched, and its time restored: the bytes may be others. */
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(check(l, &e, &in), -ESTALE);
	assert_int_equal(open_again(l, &e), -ESTALE);
	times[0] = times[1] = e.id.mtime;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(check(l, &e, &in), -ESTALE);
	assert_int_equal(open_again(l, &e), -ESTALE);

	/* Cut short, at the same time. */
	assert_int_equal(truncate(path, 9), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(check(l, &e, &in), -ESTALE);
	assert_int_equal(tfs_input_read(&in, buf, 10, 0, NULL), -EIO);

	/* Replaced by rename, with the same size and time: the open file is as it was, the path isn't. */
	put_file(l->dir, "new", "0123456789", 10);
	assert_int_equal(utimensat(AT_FDCWD, in_tree(l->dir, "new"), times, 0), 0);
	assert_int_equal(rename(in_tree(l->dir, "new"), path), 0);
	assert_int_equal(check(l, &e, &in), -ESTALE);
	assert_int_equal(open_again(l, &e), -ESTALE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(check(l, &e, &in), -ESTALE);
	assert_int_equal(open_again(l, &e), -ESTALE);
	free(path);
}

static void a_fifo_is_not_opened(void **state)
{
	const struct local *l = *state;
	const struct tfs_dirent e = look(l, "fifo", true);
	struct tfs_input in = TFS_INPUT_CLOSED;
	struct inotify_event event;
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), fd;

	assert_true(inotify_add_watch(watch, in_tree(l->dir, "fifo"), IN_OPEN) >= 0);
	/* Not even by its own identity. */
	assert_int_equal(l->s->ops->open(l->s, "fifo", &e.id, 0, &in), -ESTALE);
	assert_null(in.ops);
	assert_int_equal(read(watch, &event, sizeof event), -1);
	assert_int_equal(errno, EAGAIN);
	/* The watch would have seen it. */
	fd = open(in_tree(l->dir, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(watch, &event, sizeof event), sizeof event);
	close(fd);
	close(watch);
}

static void a_file_is_of_its_directory(void **state)
{
	const struct local *l = *state;
	struct tfs_dirent a = look(l, "file", true), b;
	struct tfs_storage *s;
	const char *file;

	assert_int_equal(tfs_storage_open(in_tree(l->dir, "file"), &s, &file, NULL), 0);
	assert_string_equal(file, "file");
	assert_int_equal(s->ops->look(s, TFS_STORAGE_ROOT, file, true, &b), 0);
	assert_true(tfs_identity_unchanged(&a.id, &b.id));
	tfs_storage_destroy(s);
	assert_int_equal(tfs_storage_open(in_tree(l->dir, "fifo"), &s, &file, NULL), -ENOTDIR);
	assert_int_equal(tfs_storage_open(in_tree(l->dir, "nowhere"), &s, &file, NULL), -ENOENT);
	tfs_storage_destroy(NULL);
}

#define LOCAL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_is_read_whole_or_not),
		cmocka_unit_test(a_window_is_a_file_of_its_own),
		cmocka_unit_test(a_closed_input_may_be_closed),
		LOCAL(directory_is_listed),
		LOCAL(entries_are_looked_at),
		LOCAL(a_change_is_noticed),
		LOCAL(a_fifo_is_not_opened),
		LOCAL(a_file_is_of_its_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
