/* SPDX-License-Identifier: MIT */
/* What a confined process can't do: tried in one of its own, whose exit status says what it could. */
#include "support/helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fs/mount/sandbox.h"

/* The line of the first check that failed, for a process whose standard error nobody reads; 0: none. */
#define CHECK(good)                      \
	do {                             \
		if (!(good))             \
			_exit(__LINE__); \
	} while (0)

enum { SKIPPED = 255 };

/* @try() ends its process by _exit(0), by a CHECK, or with SKIPPED. Its lines are below 256 for that. */
static void in_a_process(void (*try)(const char *dir))
{
	char *dir = make_tree();
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		try(dir);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	remove_tree(dir);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		print_message("SKIP: optional: a sanitizer's process isn't confined, or this kernel can't\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static bool refused(int fd, int error)
{
	return fd == -1 && errno == error;
}

static void fenced(const char *dir)
{
	int at = open(dir, O_PATH | O_DIRECTORY), fd = openat(AT_FDCWD, dir, O_RDONLY), file;
	struct tfs_fence fences[] = { { at, TFS_FENCE_READ }, { -1, TFS_FENCE_READ } };

	CHECK(at >= 0 && fd >= 0);
	file = openat(at, "file", O_RDWR | O_CREAT, 0644);
	CHECK(file >= 0);
	if (tfs_fence(fences, 2) < 0)
		_exit(SKIPPED);
	CHECK(openat(at, "file", O_RDONLY) >= 0);
	CHECK(refused(openat(at, "file", O_RDWR), EACCES));
	CHECK(refused(openat(at, "new", O_RDWR | O_CREAT, 0644), EACCES));
	CHECK(refused(unlinkat(at, "file", 0), EACCES));
	CHECK(refused(mkdirat(at, "dir", 0755), EACCES));
	CHECK(refused(open("/etc/passwd", O_RDONLY), EACCES));
	CHECK(refused(openat(at, "../../../../../../../../etc/passwd", O_RDONLY), EACCES));
	CHECK(refused(open("/", O_RDONLY | O_DIRECTORY), EACCES));
	CHECK(refused(kill(getppid(), SIGCONT), EPERM) || tfs_fence(fences, 0) < 6);
	CHECK(write(file, "x", 1) == 1); /* what was open stays open */
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

static void stored(const char *dir)
{
	int at = open(dir, O_PATH | O_DIRECTORY), fd;
	struct tfs_fence fence = { at, TFS_FENCE_STORE };

	if (tfs_fence(&fence, 1) < 0)
		_exit(SKIPPED);
	fd = openat(at, "1", O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0 && !ftruncate(fd, 4096) && write(fd, "x", 1) == 1);
	CHECK(openat(at, "1", O_RDONLY) >= 0 && openat(at, "1", O_PATH) >= 0);
	CHECK(!renameat(at, "1", at, "2") && !unlinkat(at, "2", 0));
	CHECK(refused(symlinkat("/etc/passwd", at, "link"), EACCES));
	CHECK(refused(mknodat(at, "fifo", S_IFIFO | 0600, 0), EACCES));
}

static void not_written(const char *dir)
{
	int at = open(dir, O_PATH | O_DIRECTORY);

	if (tfs_fence_read_only() < 0)
		_exit(SKIPPED);
	CHECK(open("/etc/passwd", O_RDONLY) >= 0);
	CHECK(refused(open("/dev/null", O_WRONLY), EACCES));
	CHECK(refused(openat(at, "new", O_RDWR | O_CREAT, 0644), EACCES));
}

static void *answer(void *arg)
{
	return arg;
}

static void filtered_daemon(const char *dir)
{
	struct sockaddr none = { 0 };
	pthread_t t;

	if (tfs_filter(TFS_FILTER_DAEMON) == -EOPNOTSUPP)
		_exit(SKIPPED);
	CHECK(refused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), EPERM));
	CHECK(!pthread_create(&t, NULL, answer, NULL) && !pthread_join(t, NULL));
	CHECK(open(dir, O_RDONLY | O_DIRECTORY) >= 0);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM);
	CHECK(fork() == -1);
	CHECK(refused(execl("/bin/true", "true", NULL), ENOSYS));
	CHECK(refused(socket(AF_INET, SOCK_STREAM, 0), EPERM) && refused(socket(AF_INET, SOCK_DGRAM, 0), EPERM));
	CHECK(refused(socket(AF_NETLINK, SOCK_RAW, 0), EPERM) && socket(AF_UNIX, SOCK_DGRAM, 0) >= 0);
	CHECK(refused(bind(0, &none, sizeof none), ENOSYS));
	CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 && errno == ENOSYS);
	CHECK(refused((int)syscall(SYS_mount, "a", "b", "c", 0, NULL), ENOSYS));
	CHECK(refused((int)syscall(SYS_setuid, 0), ENOSYS) && refused((int)syscall(SYS_bpf, 0, NULL, 0), ENOSYS));
	CHECK(refused((int)syscall(SYS_unshare, 0), ENOSYS) && refused((int)syscall(SYS_fchmodat, AT_FDCWD, dir, 0777), ENOSYS));
}

static void filtered_opener(const char *dir)
{
	if (tfs_filter(TFS_FILTER_OPENER) == -EOPNOTSUPP)
		_exit(SKIPPED);
	CHECK(openat(AT_FDCWD, dir, O_RDONLY) >= 0);
	CHECK(refused(socket(AF_UNIX, SOCK_DGRAM, 0), ENOSYS));
	CHECK(refused((int)syscall(SYS_unlinkat, AT_FDCWD, dir, 0), ENOSYS));
	CHECK(refused((int)syscall(SYS_clone, 0, 0, 0, 0, 0), ENOSYS));
}

static void filtered_keeper(const char *dir)
{
	if (tfs_filter(TFS_FILTER_KEEPER) == -EOPNOTSUPP)
		_exit(SKIPPED);
	CHECK(refused(openat(AT_FDCWD, dir, O_RDONLY), ENOSYS));
	CHECK(refused((int)syscall(SYS_ioctl, 0, 0x5401, NULL), EPERM)); /* TCGETS */
	CHECK(refused((int)syscall(SYS_mount, "a", "b", "c", 0, NULL), ENOSYS));
	CHECK(refused((int)syscall(SYS_clone, 0, 0, 0, 0, 0), ENOSYS));
}

static void without_caps(const char *dir)
{
	(void)dir;
	CHECK(!tfs_keep_caps(0, 0));
	for (int cap = 0; cap < 64; cap++)
		CHECK(!tfs_has_cap(cap));
	if (prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 1)
		_exit(SKIPPED); /* an ordinary user can't change the bounding set */
	for (int cap = 1; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		CHECK(!prctl(PR_CAPBSET_READ, cap, 0, 0, 0));
	/* By this thread alone: glibc has all threads of a process do it, and a sanitizer's still may. */
	CHECK(refused((int)syscall(SYS_setgid, 12345), EPERM));
}

#define PROCESS_TEST(name)                    \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		in_a_process(name);           \
	}

PROCESS_TEST(fenced)
PROCESS_TEST(stored)
PROCESS_TEST(not_written)
PROCESS_TEST(filtered_daemon)
PROCESS_TEST(filtered_opener)
PROCESS_TEST(filtered_keeper)
PROCESS_TEST(without_caps)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fenced),		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_not_written),	cmocka_unit_test(test_filtered_daemon),
		cmocka_unit_test(test_filtered_opener), cmocka_unit_test(test_filtered_keeper),
		cmocka_unit_test(test_without_caps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
