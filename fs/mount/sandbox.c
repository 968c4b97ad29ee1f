/* SPDX-License-Identifier: MIT */
#include "mount/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* --- Capabilities ------------------------------------------------------------------------------------------------------ */

static int get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &h, data) ? -errno : 0;
}

bool tfs_has_cap(int cap)
{
	struct __user_cap_data_struct data[2] = { 0 };

	return !get(data) && data[cap / 32].effective >> cap % 32 & 1;
}

/* Takes CAP_SETPCAP. EINVAL: beyond the last one. */
static void empty_bounds(uint64_t but)
{
	for (int cap = 0; cap < 64 && (but >> cap & 1 || !prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)); cap++)
		;
}

int tfs_keep_caps(uint64_t keep, uint64_t dormant)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	int r = get(data);

	if (r)
		return r;
	empty_bounds(dormant);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		data[i].effective &= (uint32_t)(keep >> 32 * i);
		data[i].permitted &= (uint32_t)((keep | dormant) >> 32 * i);
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &h, data) ? -errno : 0;
}

int tfs_become(uid_t uid, gid_t gid)
{
	empty_bounds(0); /* later it can't */
	return setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid) ? -errno : 0;
}

/* --- Landlock ---------------------------------------------------------------------------------------------------------- */

/* <linux/landlock.h> may be older than the kernel, or missing; the numbers are its ABI (Documentation/userspace-api/landlock.rst). */
enum {
	LL_CREATE_RULESET = 444,
	LL_ADD_RULE = 445,
	LL_RESTRICT_SELF = 446,
	LL_VERSION = 1,
	LL_PATH_BENEATH = 1,
	LL_EXECUTE = 1 << 0,
	LL_WRITE_FILE = 1 << 1,
	LL_READ_FILE = 1 << 2,
	LL_READ_DIR = 1 << 3,
	LL_REMOVE_DIR = 1 << 4,
	LL_REMOVE_FILE = 1 << 5,
	LL_MAKE_DIR = 1 << 7,
	LL_MAKE_REG = 1 << 8,
	LL_TRUNCATE = 1 << 14,
	LL_FS_1 = (1 << 13) - 1,
	LL_FS_2 = 1 << 13, /* links and renames across directories */
	LL_FS_5 = 1 << 15, /* ioctl() of devices */
	LL_NET_4 = 3,	   /* TCP */
	LL_SIGNALS_6 = 1 << 1,
};

struct ll_ruleset {
	uint64_t fs, net, scoped;
};

struct ll_beneath {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/* What the version @abi of the interface can forbid. */
static struct ll_ruleset everything(int abi)
{
	return (struct ll_ruleset){
		.fs = LL_FS_1 | (abi >= 2 ? LL_FS_2 : 0) | (abi >= 3 ? LL_TRUNCATE : 0) | (abi >= 5 ? LL_FS_5 : 0),
		.net = abi >= 4 ? LL_NET_4 : 0,
		.scoped = abi >= 6 ? LL_SIGNALS_6 : 0,
	};
}

static int allow(int ruleset, uint64_t handled, const struct tfs_fence *fence)
{
	static const uint64_t uses[] = {
		[TFS_FENCE_READ] = LL_READ_FILE | LL_READ_DIR,
		[TFS_FENCE_STORE] = LL_READ_FILE | LL_WRITE_FILE | LL_MAKE_REG | LL_REMOVE_FILE | LL_TRUNCATE,
		[TFS_FENCE_CACHE] = LL_READ_FILE | LL_READ_DIR | LL_WRITE_FILE | LL_MAKE_REG | LL_MAKE_DIR | LL_REMOVE_FILE |
				    LL_REMOVE_DIR | LL_TRUNCATE,
	};
	struct ll_beneath rule = { .allowed = uses[fence->use] & handled, .fd = fence->fd };
	struct stat st;

	if (!fstat(fence->fd, &st) && !S_ISDIR(st.st_mode))
		rule.allowed &= LL_READ_FILE | LL_WRITE_FILE | LL_TRUNCATE;
	return syscall(LL_ADD_RULE, ruleset, LL_PATH_BENEATH, &rule, 0) ? -errno : 0;
}

/* Forbid all but what is in @without, and @fences. */
static int fence_in(uint64_t without, const struct tfs_fence *fences, unsigned n)
{
	int abi = (int)syscall(LL_CREATE_RULESET, NULL, 0, LL_VERSION), r = 0;

	if (abi < 0)
		return -errno;
	struct ll_ruleset all = everything(abi);
	all.fs &= ~without;
	/* Older kernels know less of the structure, and accept what they don't know if it is zero. */
	cleanup_fd int ruleset = (int)syscall(LL_CREATE_RULESET, &all, sizeof all, 0);
	if (ruleset < 0)
		return -errno;
	for (unsigned i = 0; i < n && !r; i++)
		if (fences[i].fd >= 0)
			r = allow(ruleset, all.fs, &fences[i]);
	if (!r && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(LL_RESTRICT_SELF, ruleset, 0)))
		r = -errno;
	return r ? r : abi;
}

int tfs_fence(const struct tfs_fence *fences, unsigned n)
{
	return tfs_confines() ? fence_in(0, fences, n) : -EOPNOTSUPP;
}

int tfs_fence_read_only(void)
{
	return tfs_confines() ? fence_in(LL_READ_FILE | LL_READ_DIR, NULL, 0) : -EOPNOTSUPP;
}
