/* SPDX-License-Identifier: MIT */
/* The options of a mount. */
#ifndef TFS_MOUNT_OPTIONS_H
#define TFS_MOUNT_OPTIONS_H

#include <stdbool.h>

#include "base/arena.h"
#include "loader.h"

enum tfs_switch { TFS_AUTO, TFS_ON, TFS_OFF };

struct tfs_options {
	const char *model_dir, *mountpoint; /* as given; point into argv */
	bool foreground, debug, allow_other;
	bool nonempty;	   /* mount over another tensorfs mount, too */
	bool restart;	   /* the daemon if it is killed */
	bool fake;	   /* do everything but mount */
	unsigned max_read; /* bytes that the kernel may request at a time; 0: no limit */
	enum tfs_switch passthrough, uring;
	unsigned views;		     /* to show: see tree/views.h */
	struct tfs_scan_limits scan; /* what parsing the model's files may cost */
	enum tfs_follow follow;	     /* links */
	struct tfs_loader_options loader;
	unsigned npy_align;
	const char *user;	   /* to become, or NULL; points into argv or words */
	const char *log_file;	   /* to append messages to, or NULL; points into argv or words */
	const char *prefetch_list; /* file of names to prefetch in order, or NULL; points into argv or words */
	char *mount_options;	   /* what -o was given for libfuse and the kernel, comma-separated; "" for none; owned */
	struct tfs_arena words;	   /* the words of -o; values may point here as well as into argv */
};

#endif
