/* SPDX-License-Identifier: MIT */
/* The opener opens what is below its directory, for reading, and nothing else; whatever it is asked. */
#include "support/helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fs/mount/opener.h"

struct place {
	char *dir;
	int root;
	struct tfs_helper helper;
	struct tfs_opener ask;
};

static void begin_following(struct place *p, enum tfs_follow follow, const char *given)
{
	int fd;

	p->dir = make_tree();
	p->root = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(p->root, "sub", 0755), 0);
	fd = openat(p->root, "sub/file", O_RDWR | O_CREAT, 0644);
	assert_int_equal(write(fd, "text", 4), 4);
	close(fd);
	assert_int_equal(mkfifoat(p->root, "fifo", 0644), 0);
	assert_int_equal(symlinkat("/etc/passwd", p->root, "out"), 0);
	assert_int_equal(symlinkat("sub", p->root, "link"), 0);
	p->helper = TFS_HELPER_NONE;
	assert_int_equal(tfs_opener_start(&p->helper, p->root, follow, given, &p->ask), 0);
}

static void begin(struct place *p)
{
	begin_following(p, TFS_FOLLOW_INSIDE, NULL);
}

static void end(struct place *p)
{
	pid_t pid = p->helper.pid;

	tfs_helper_stop(&p->helper);
	assert_int_equal(kill(pid, 0), -1);
	close(p->root);
	remove_tree(p->dir);
}

static int open_it(struct place *p, const char *path, int flags)
{
	int fd = p->ask.open(p->ask.arg, path, flags);

	if (fd < 0)
		return fd;
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	return 0;
}

static void what_is_below_is_opened(void **state)
{
	struct place p;

	(void)state;
	begin(&p);
	assert_int_equal(open_it(&p, "sub/file", 0), 0);
	assert_int_equal(open_it(&p, "link/file", 0), 0);
	assert_int_equal(open_it(&p, "sub", O_DIRECTORY), 0);
	assert_int_equal(open_it(&p, ".", O_DIRECTORY | O_PATH), 0);
	assert_int_equal(open_it(&p, "none", 0), -ENOENT);
	end(&p);
}

/* A link that leads out of the directory. */
static void links_are_followed_as_the_user_wants_it(void **state)
{
	struct place p;

	(void)state;
	begin(&p);
	assert_int_equal(open_it(&p, "out", 0), -EPERM);
	end(&p);
	begin_following(&p, TFS_FOLLOW_ALL, NULL);
	assert_int_equal(open_it(&p, "out", 0), 0);
	end(&p);
	begin_following(&p, TFS_FOLLOW_INSIDE, "out");
	assert_int_equal(open_it(&p, "out", 0), 0);
	end(&p);
	begin_following(&p, TFS_FOLLOW_INSIDE, "link");
	assert_int_equal(open_it(&p, "out", 0), -EPERM);
	end(&p);
}

static void nothing_else_is(void **state)
{
	static const char *const up[] = { "..", "../x", "sub/../..", "sub/..", "/etc/passwd", "/", "", "./../etc" };
	struct place p;

	(void)state;
	begin(&p);
	for (size_t i = 0; i < sizeof up / sizeof *up; i++) {
		assert_int_equal(open_it(&p, up[i], 0), -EPERM);
		assert_int_equal(open_it(&p, up[i], O_DIRECTORY), -EPERM);
	}
	assert_int_equal(open_it(&p, "sub/file", O_RDWR), -EPERM);
	assert_int_equal(open_it(&p, "sub/file", O_TRUNC), -EPERM);
	assert_int_equal(open_it(&p, "sub/new", O_CREAT), -EPERM);
	assert_int_equal(open_it(&p, "sub/file", O_PATH), -EPERM);
	assert_int_equal(open_it(&p, "fifo", 0), -EPERM);
	assert_int_equal(open_it(&p, "sub", 0), -EPERM);
	assert_int_equal(open_it(&p, "sub/file", O_DIRECTORY), -EPERM);
	end(&p);
}

static void it_tells_what_is_there(void **state)
{
	struct stat st, want;
	char target[64];
	struct place p;
	uint8_t map[TFS_FILE_MAP];
	int fd;

	(void)state;
	begin(&p);
	assert_int_equal(p.ask.look(p.ask.arg, p.root, "sub/file", 0, &st), 0);
	assert_int_equal(fstatat(p.root, "sub/file", &want, 0), 0);
	assert_true(st.st_ino == want.st_ino && st.st_size == 4);
	assert_int_equal(p.ask.look(p.ask.arg, p.root, "out", AT_SYMLINK_NOFOLLOW, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(p.ask.look(p.ask.arg, p.root, "none", 0, &st), -ENOENT);
	assert_int_equal(p.ask.look(p.ask.arg, p.root, "sub", O_CREAT, &st), -EINVAL);
	assert_int_equal(p.ask.read_link(p.ask.arg, p.root, "out", target, sizeof target), 11);
	assert_memory_equal(target, "/etc/passwd", 11);
	fd = p.ask.step(p.ask.arg, p.root, "sub");
	assert_true(fd >= 0 && fcntl(fd, F_GETFL) & O_PATH);
	close(fd);
	fd = openat(p.root, "sub/file", O_RDONLY);
	assert_int_equal(tfs_opener_pages(&p.helper, fd, 0, TFS_FILE_PAGES, map), 0);
	assert_true(map[0] <= 1 && !map[1] && !map[TFS_FILE_MAP - 1]);
	assert_int_equal(tfs_opener_pages(&p.helper, fd, UINT64_MAX, 1, map), -EINVAL);
	assert_int_equal(tfs_opener_pages(&p.helper, fd, 0, TFS_FILE_PAGES + 1, map), -EINVAL);
	assert_int_equal(tfs_opener_pages(&p.helper, p.root, 0, 1, map), -EINVAL); /* opened with O_PATH */
	close(fd);
	end(&p);
}

/* Requests that no daemon of ours would make. It answers, or ends; other requests fail then. */
static void nonsense_ends_it_at_worst(void **state)
{
	struct tfs_message m;
	struct place p;

	(void)state;
	begin(&p);
	m = (struct tfs_message){ .what = 99 };
	assert_int_equal(tfs_helper_ask(&p.helper, &m, -1, NULL), -EINVAL);
	m = (struct tfs_message){ .what = 3, .len = 4 };
	memcpy(m.data.text, "file", 4); /* without an end */
	assert_int_equal(tfs_helper_ask(&p.helper, &m, -1, NULL), -EINVAL);
	m = (struct tfs_message){ .what = 3, .len = 9 };
	memcpy(m.data.text, "sub\0file", 9); /* with two */
	assert_int_equal(tfs_helper_ask(&p.helper, &m, -1, NULL), -EINVAL);
	m = (struct tfs_message){ .what = 0 };
	assert_int_equal(tfs_message_text(&m, "sub"), 0);
	assert_int_equal(tfs_helper_ask(&p.helper, &m, -1, NULL), -EBADF); /* without a descriptor */
	/* A length that isn't the message's. */
	m.what = 3;
	m.len = 1 << 30;
	assert_int_equal(send(p.helper.socket, &m, 20, MSG_NOSIGNAL), 20);
	m.len = 0;
	assert_int_equal(tfs_helper_ask(&p.helper, &m, -1, NULL), -EPIPE);
	assert_int_equal(open_it(&p, "sub/file", 0), -EIO);
	end(&p);
}

static void paths_have_limits(void **state)
{
	char path[PATH_MAX + 8];
	struct place p;

	(void)state;
	begin(&p);
	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	assert_int_equal(open_it(&p, path, 0), -ENAMETOOLONG);
	path[PATH_MAX - 1] = '\0';
	assert_int_equal(open_it(&p, path, 0), -ENAMETOOLONG); /* a name of that length */
	assert_int_equal(open_it(&p, "sub/file", 0), 0);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_below_is_opened),   cmocka_unit_test(links_are_followed_as_the_user_wants_it),
		cmocka_unit_test(nothing_else_is),	     cmocka_unit_test(it_tells_what_is_there),
		cmocka_unit_test(nonsense_ends_it_at_worst), cmocka_unit_test(paths_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
