/* SPDX-License-Identifier: MIT */
#include "mount/ring.h"

#include <errno.h>
#include <stdio.h>
#include <sys/sysinfo.h>

#include "base/log.h"
#include "config.h"

/*
 * Over io_uring each CPU has a ring, where a request occupies an entry until it is answered; without a free entry, any request is
 * held up. So this many can wait on one CPU (for storage, for a hash) without affecting others; libfuse's default is 8. An entry
 * costs some 20 µs when mounting, so there are fewer per ring if there are many rings, and memory once it was used, up to its
 * longest read, so reads are shorter: files are rarely streamed with io_uring.
 */
enum { RING_ENTRIES = 512, RING_ENTRIES_MIN = 64 };

unsigned tfs_ring_depth(void)
{
	unsigned depth = RING_ENTRIES / get_nprocs_conf();
	return depth > RING_ENTRIES_MIN ? depth : RING_ENTRIES_MIN;
}

/* The first character of the file @path, or @missing. */
static char setting(const char *path, char missing)
{
	char c = missing;
	FILE *f = fopen(path, "re");

	if (f) {
		if (fread(&c, 1, 1, f) != 1)
			c = missing;
		fclose(f);
	}
	return c;
}

static bool enabled_over_fuse(void)
{
	char c = setting("/sys/module/fuse/parameters/enable_uring", 'N');

	return c == 'Y' || c == '1';
}

/* To those without privileges, as the daemon has none. Kernels before 6.6 have no such setting. */
static bool allowed(void)
{
	return setting("/proc/sys/kernel/io_uring_disabled", '0') == '0';
}

bool tfs_ring_available(const char **ret_lacks)
{
	const char *lacks = NULL;
#ifndef HAVE_FUSE_URING
	lacks = "this libfuse was built without it";
#endif
	if (!lacks && !allowed())
		lacks = "kernel.io_uring_disabled is set";
	if (!lacks && !enabled_over_fuse())
		lacks = "the module parameter fuse.enable_uring is off, or this kernel lacks it";
	if (ret_lacks)
		*ret_lacks = lacks;
	return !lacks;
}

int tfs_ring_choose(const struct tfs_fs *fs, bool *ret_use)
{
	const char *lacks;
	bool can = tfs_ring_available(&lacks);

	if (fs->options->uring == TFS_ON && !can) {
		tfs_log_error("--fuse-uring=on: %s", lacks);
		return -EOPNOTSUPP;
	}
	*ret_use = can && (fs->options->uring == TFS_ON || (fs->options->uring == TFS_AUTO && fs->passthrough));
	return 0;
}
