/* SPDX-License-Identifier: MIT */
/* The options of a mount. */
#ifndef TFS_FS_OPTIONS_H
#define TFS_FS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "command-line.h"
#include "loader.h"

enum tfs_switch { TFS_AUTO, TFS_ON, TFS_OFF };

struct tfs_options {
	const char *model_dir, *mountpoint; /* as given; point into argv */
	bool foreground, debug, allow_other;
	bool nonempty; /* mount over another tensorfs mount, too */
	bool fake;     /* do everything but mount */
	unsigned max_read; /* bytes that the kernel may ask for at a time; 0: as many as it likes */
	enum tfs_switch passthrough, uring;
	unsigned views; /* that there are: see views.h */
	struct tfs_loader_options loader;
	unsigned npy_align;
	const char *prefetch_list; /* file of names to prefetch in order, or NULL; points into argv or words */
	char *mount_options; /* what -o was given for libfuse and the kernel, comma-separated; "" for none; owned */
	struct tfs_arena words; /* what -o was given; values may point here as well as into argv */
};

/*
 * As "tensorfs", or as "mount.tensorfs", which mount(8) runs: that is argv[0]. Prints what is wrong to standard error. Options
 * that are rows of a table are also taken as -o NAME or -o NAME=VALUE, with _ or - in their names.
 */
enum tfs_parsed tfs_options_parse(int argc, char **argv, struct tfs_options *ret_options);
void tfs_options_fini(struct tfs_options *o);

/* For mount(8): was the program called mount.tensorfs? */
bool tfs_options_helper(const char *argv0);

/*
 * For other commands that mount: defaults (false: out of memory), a table of those options that say how a mount is served and
 * the tfs_take_option for them (@arg: the struct tfs_options), and what is left to do when all are taken.
 */
bool tfs_options_init(struct tfs_options *ret_options);
extern const struct tfs_option tfs_serving_options[];
bool tfs_options_take(void *arg, int id, const char *value);
void tfs_options_complete(struct tfs_options *o);

#endif
