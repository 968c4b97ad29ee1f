/* SPDX-License-Identifier: MIT */
#include "fetch/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Who owns nothing: "nobody" and "nogroup" of Debian, and the kernel's overflow ids. */
enum { NOBODY = 65534 };

/* Of later kernels' headers. */
#define ACCESS_REFER	(1ULL << 13)
#define ACCESS_TRUNCATE (1ULL << 14)

void tfs_privileges_harden(void)
{
	struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/*
 * Nothing but reading files: not even those of who started it can be changed. No rules, so what is handled is denied everywhere;
 * descriptors that are open stay what they are. A kernel without Landlock (before 5.13, or not enabled) has none of that.
 */
static void deny_changes(void)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
				     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
				     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
				     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM,
	};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int fd;

	if (abi < 1)
		return;
	if (abi >= 2)
		attr.handled_access_fs |= ACCESS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= ACCESS_TRUNCATE;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
	if (fd < 0)
		return;
	syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
}

int tfs_privileges_drop(bool stays, bool runs_programs, struct tfs_error *err)
{
	int r;

	/* Without CAP_SETUID (or where no id but root's is mapped) it stays who it is: as root that has no capabilities. */
	if (!stays && !geteuid() && !setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY))
		(void)!setresuid(NOBODY, NOBODY, NOBODY);
	r = drop_capabilities();
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "the fetcher can't drop its capabilities: %s", strerror(-r));
	if (!runs_programs)
		deny_changes();
	prctl(PR_SET_DUMPABLE, 0); /* a change of ids may have set it to what the system says */
	return 0;
}
