/* SPDX-License-Identifier: MIT */
/* The command line. One table makes parsing and --help; the man page is compared with it by a test. */
#ifndef TFS_FS_OPTIONS_H
#define TFS_FS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "loader.h"

enum tfs_switch { TFS_AUTO, TFS_ON, TFS_OFF };

struct tfs_options {
	const char *model_dir, *mountpoint; /* as given; point into argv */
	bool foreground, debug, allow_other;
	enum tfs_switch passthrough, uring;
	struct tfs_loader_options loader;
	char *mount_options; /* what -o was given and is not ours, comma-separated; "" for none; owned */
};

enum tfs_parsed {
	TFS_PARSED_RUN,
	TFS_PARSED_EXIT, /* --help or --version was answered */
	TFS_PARSED_USAGE, /* an error was printed */
};

/* Prints what is wrong to standard error. */
enum tfs_parsed tfs_options_parse(int argc, char **argv, struct tfs_options *ret_options);
void tfs_options_fini(struct tfs_options *o);

#endif
