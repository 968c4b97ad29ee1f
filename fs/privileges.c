/* SPDX-License-Identifier: MIT */
#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	return syscall(SYS_capget, &h, data) ? -errno : 0;
}

static bool has(const struct __user_cap_data_struct data[2], int cap)
{
	return data[cap / 32].effective >> cap % 32 & 1;
}

bool tfs_privileges_admin(void)
{
	struct __user_cap_data_struct data[2] = { 0 };
	return !get(data) && has(data, CAP_SYS_ADMIN);
}

int tfs_privileges_drop(void)
{
	static const int kept[] = { CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH };
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint32_t keep[2] = { 0 };

	int r = get(data);
	if (r)
		return r;
	/* Without CAP_SYS_ADMIN the mount was made by fusermount3, which is set-user-ID and must be able to unmount it again. */
	if (has(data, CAP_SYS_ADMIN) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++)
		keep[kept[i] / 32] |= 1u << kept[i] % 32;
	for (int i = 0; i < 2; i++) {
		data[i].effective &= keep[i];
		data[i].permitted &= keep[i];
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &h, data) ? -errno : 0;
}
