/* SPDX-License-Identifier: MIT */
#include "fetch/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Who owns nothing: "nobody" and "nogroup" of Debian, and the kernel's overflow ids. */
enum { NOBODY = 65534 };

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

int tfs_privileges_drop(struct tfs_error *err)
{
	int r;

	/* Without CAP_SETUID (or where no id but root's is mapped) it stays who it is: as root that has no capabilities. */
	if (!geteuid() && !setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY))
		(void)!setresuid(NOBODY, NOBODY, NOBODY);
	r = drop_capabilities();
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "the fetcher can't drop its capabilities: %s", strerror(-r));
	prctl(PR_SET_DUMPABLE, 0); /* a change of ids may have set it to what the system says */
	return 0;
}
