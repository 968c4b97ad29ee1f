/* SPDX-License-Identifier: MIT */
#include "support/helpers.h"

#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/readers.h"

static pid_t begin_child(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

/* Without it what a parent hasn't waited for counts as alive. */
static void need_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd >= 0) {
		close(fd);
		return;
	}
	print_message("SKIP: optional: no pidfd_open(2): valgrind 3.19 doesn't know it\n");
	skip();
}

/* Kill it, and leave what remains of it. */
static void end_child(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void test_ended(void **state)
{
	struct tfs_readers r = { .next = 0 };

	(void)state;
	need_pidfd();
	assert_false(tfs_readers_any(&r));
	pid_t a = begin_child(), b = begin_child();
	assert_int_equal(tfs_reader_of(a), a);
	tfs_readers_add(&r, a);
	tfs_readers_add(&r, b);
	assert_true(tfs_readers_any(&r));
	end_child(a);
	assert_true(tfs_readers_any(&r));
	end_child(b); /* nobody has waited for either */
	assert_false(tfs_readers_any(&r));
	waitpid(a, NULL, 0);
	waitpid(b, NULL, 0);
	assert_false(tfs_readers_any(&r));
	assert_int_equal(tfs_reader_of(a), 0);
}

/* The entries of those that have ended are used before those of others. */
static void test_full(void **state)
{
	struct tfs_readers r = { .next = 0 };

	(void)state;
	need_pidfd();
	pid_t child = begin_child(), ended = begin_child();
	tfs_readers_add(&r, child);
	end_child(ended);
	for (unsigned i = 0; i < 2 * TFS_READERS; i++) {
		tfs_readers_add(&r, ended);
		tfs_readers_add(&r, INT_MAX - (pid_t)i); /* no process */
	}
	assert_true(tfs_readers_any(&r));
	end_child(child);
	assert_false(tfs_readers_any(&r));
	waitpid(child, NULL, 0);
	waitpid(ended, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
