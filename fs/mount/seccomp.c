/* SPDX-License-Identifier: MIT */
/*
 * Lists of system calls, as filters of seccomp(2): a program for the kernel that looks at the call's number and, for a few, at one
 * argument. What io_uring does isn't seen by them; that is bounded by the user, by Landlock, and by having no capabilities.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mount/sandbox.h"

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

bool tfs_confines(void)
{
#ifdef SANITIZED
	return false;
#else
	return true;
#endif
}

#if defined(MACHINE) && !defined(SANITIZED)

/* How an argument is looked at; the low 32 bits of it. */
enum test {
	ANY,
	LACKS, /* none of these bits is set */
	HAS,   /* all of these bits are set */
	EQUAL, /* one of several: rows of the same call follow one another */
};

struct rule {
	int call;
	enum test test;
	unsigned arg; /* its index */
	uint32_t value;
};

/* <linux/fuse.h> of the kernel's; see privileges.c. */
#define NEW_FUSE_DEVICE 0x8004e500u /* _IOR(229, 0, uint32_t) */
#define BACKING_OPEN	0x4010e501u /* _IOW(229, 1, struct fuse_backing_map) */
#define BACKING_CLOSE	0x4004e502u /* _IOW(229, 2, uint32_t) */

/* Calls that are newer than the headers of Debian 12; their numbers are the same on both machines. */
enum { CALL_CACHESTAT = 451 };

#define CALL(name)                    \
	{                             \
		SYS_##name, ANY, 0, 0 \
	}
#define CALL_IF(name, how, i, v)      \
	{                             \
		SYS_##name, how, i, v \
	}

/* What glibc needs in any program, until its end. */
/* clang-format off */
#define BASICS								\
	CALL(read), CALL(write), CALL(close), CALL(fstat), CALL(newfstatat), CALL(fcntl), CALL(recvmsg), CALL(sendmsg),	\
	CALL(rt_sigreturn), CALL(rt_sigprocmask), CALL(restart_syscall), CALL(exit), CALL(exit_group)

static const struct rule daemon_rules[] = {
	BASICS,
	/* Files: which ones is up to Landlock and the user. */
	CALL(readv), CALL(pread64), CALL(preadv), CALL(preadv2), CALL(writev), CALL(pwrite64), CALL(pwritev), CALL(pwritev2), CALL(lseek),
	CALL(openat), CALL(close_range), CALL(dup), CALL(dup3), CALL(statx), CALL(fstatfs), CALL(statfs), CALL(readlinkat),
	CALL(getdents64), CALL(faccessat), CALL(faccessat2), CALL(ftruncate), CALL(fallocate), CALL(unlinkat), CALL(renameat), CALL(renameat2), CALL(mkdirat), CALL(utimensat), CALL(fadvise64),
	CALL(readahead), CALL(mincore), { CALL_CACHESTAT, ANY, 0, 0 }, CALL(getxattr), CALL(lgetxattr), CALL(fgetxattr),
	CALL(listxattr), CALL(llistxattr), CALL(flistxattr), CALL(chdir), CALL(getcwd), CALL(umask), CALL(fsync), CALL(fdatasync),
	CALL(splice), CALL(tee), CALL(vmsplice), CALL(pipe2), CALL(copy_file_range),
#ifdef __x86_64__
	CALL(open), CALL(stat), CALL(lstat), CALL(access), CALL(readlink), CALL(dup2), CALL(pipe), CALL(poll), CALL(time), CALL(getrlimit),
	CALL(epoll_wait), CALL(arch_prctl),
#endif
	/* Memory; no code is added. */
	CALL_IF(mmap, LACKS, 2, PROT_EXEC), CALL_IF(mprotect, LACKS, 2, PROT_EXEC), CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk),
	CALL(mlock), CALL(munlock), CALL(memfd_create), CALL(get_mempolicy), CALL(set_mempolicy), CALL(mbind),
	/* Threads. glibc does with clone() if there is no clone3(), whose flags can't be looked at. */
	CALL_IF(clone, HAS, 0, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND), CALL(futex), CALL(set_robust_list), CALL(rseq), CALL(sched_yield),
	CALL(sched_getaffinity), CALL(sched_setaffinity), CALL(sched_getscheduler), CALL(sched_setscheduler), CALL(sched_getparam),
	CALL(sched_get_priority_max), CALL(sched_get_priority_min), CALL(getcpu), CALL(membarrier), CALL(getpriority), CALL(wait4),
	CALL_IF(prctl, EQUAL, 0, PR_SET_NAME), CALL_IF(prctl, EQUAL, 0, PR_GET_NAME), CALL_IF(prctl, EQUAL, 0, PR_SET_PDEATHSIG),
	CALL_IF(prctl, EQUAL, 0, PR_SET_VMA),
	CALL(rt_sigaction), CALL(rt_sigpending), CALL(rt_sigtimedwait), CALL(sigaltstack), CALL(kill), CALL(tkill), CALL(tgkill), CALL(signalfd4),
	/* Who and what it is; time. */
	CALL(getpid), CALL(gettid), CALL(getppid), CALL(getpgid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getrandom), CALL(pidfd_open),
	CALL_IF(prlimit64, EQUAL, 2, 0), CALL(getrusage), CALL(times), CALL(sysinfo), CALL(uname), CALL(clock_gettime), CALL(clock_getres),
	CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday),
	/* Waiting; requests. */
	CALL(ppoll), CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_pwait), CALL(eventfd2), CALL(timerfd_create), CALL(timerfd_settime),
	CALL(io_uring_setup), CALL(io_uring_enter), CALL(io_uring_register), CALL_IF(ioctl, EQUAL, 1, NEW_FUSE_DEVICE),
	/* The system log and the service manager, by datagrams; a fetcher, by a pair. */
	CALL_IF(socket, EQUAL, 0, AF_UNIX), CALL_IF(socketpair, EQUAL, 0, AF_UNIX), CALL(connect), CALL(sendto), CALL(recvfrom), CALL(shutdown), CALL(getsockopt),
};

static const struct rule opener_rules[] = {
	BASICS,
	CALL(openat), CALL(readlinkat), CALL(statx), { CALL_CACHESTAT, ANY, 0, 0 }, CALL(mincore), CALL(geteuid),
	CALL_IF(mmap, LACKS, 2, PROT_EXEC), CALL(munmap),
};

static const struct rule keeper_rules[] = {
	BASICS,
	CALL_IF(ioctl, EQUAL, 1, BACKING_OPEN), CALL_IF(ioctl, EQUAL, 1, BACKING_CLOSE), CALL(open_tree), CALL(mount_setattr), CALL(umount2),
	CALL(tgkill), CALL(sched_setscheduler),
	CALL(ppoll),
#ifdef __x86_64__
	CALL(poll),
#endif
};
/* clang-format on */

static const struct {
	const struct rule *rules;
	unsigned n;
} lists[] = {
	[TFS_FILTER_DAEMON] = { daemon_rules, sizeof daemon_rules / sizeof *daemon_rules },
	[TFS_FILTER_OPENER] = { opener_rules, sizeof opener_rules / sizeof *opener_rules },
	[TFS_FILTER_KEEPER] = { keeper_rules, sizeof keeper_rules / sizeof *keeper_rules },
};

enum { PROGRAM_MAX = 1024 };

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short n;
};

static void add(struct program *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (p->n < PROGRAM_MAX)
		p->code[p->n++] = (struct sock_filter){ code, jt, jf, k };
}

static void load(struct program *p, size_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void finish(struct program *p, uint32_t what)
{
	add(p, BPF_RET | BPF_K, 0, 0, what);
}

/* The low half of an argument; both machines are little-endian. */
static size_t offset_of_arg(unsigned i)
{
	return offsetof(struct seccomp_data, args) + i * sizeof(uint64_t);
}

/* The argument is loaded: allow the call if it passes, else go on behind. */
static void add_test(struct program *p, const struct rule *r)
{
	switch (r->test) {
	case LACKS:
		add(p, BPF_JMP | BPF_JSET | BPF_K, 1, 0, r->value);
		break;
	case HAS:
		add(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, r->value);
		add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, r->value);
		break;
	default:
		add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, r->value);
	}
	finish(p, SECCOMP_RET_ALLOW);
}

static unsigned length_of(enum test test)
{
	return test == HAS ? 3 : 2;
}

/* The rules @r to @r + @n, which are of one call. */
static void add_call(struct program *p, const struct rule *r, unsigned n)
{
	unsigned length = 2; /* load, and refuse */

	if (r->test == ANY) {
		add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)r->call);
		finish(p, SECCOMP_RET_ALLOW);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		length += length_of(r[i].test);
	add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)length, (uint32_t)r->call);
	load(p, offset_of_arg(r->arg));
	for (unsigned i = 0; i < n; i++)
		add_test(p, &r[i]);
	finish(p, SECCOMP_RET_ERRNO | EPERM);
}

int tfs_filter(enum tfs_filter which)
{
	const struct rule *rules = lists[which].rules;
	struct program p = { .n = 0 };

	/* Calls of another instruction set, and x86's x32, have other numbers. */
	load(&p, offsetof(struct seccomp_data, arch));
	add(&p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, MACHINE);
	finish(&p, SECCOMP_RET_KILL_PROCESS);
	load(&p, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0, n; i < lists[which].n; i += n) {
		for (n = 1; i + n < lists[which].n && rules[i + n].call == rules[i].call; n++)
			;
		add_call(&p, &rules[i], n);
	}
	finish(&p, SECCOMP_RET_ERRNO | ENOSYS);
	if (p.n == PROGRAM_MAX)
		return -E2BIG;
	const struct sock_fprog program = { .len = p.n, .filter = p.code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program))
		return errno == ENOSYS || errno == EINVAL ? -EOPNOTSUPP : -errno; /* a kernel that was built without */
	return 0;
}

#else

int tfs_filter(enum tfs_filter which)
{
	(void)which;
	return -EOPNOTSUPP;
}

#endif
