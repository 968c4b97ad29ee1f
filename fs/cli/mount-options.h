/* SPDX-License-Identifier: MIT */
/* The command line of a mount. */
#ifndef TFS_CLI_MOUNT_OPTIONS_H
#define TFS_CLI_MOUNT_OPTIONS_H

#include <stdbool.h>

#include "cli/command-line.h"
#include "mount/options.h"

/*
 * As "tensorfs", or as "mount.tensorfs", which mount(8) runs: that is argv[0]. Prints errors to standard error. Options that are
 * rows of a table are also accepted as -o NAME or -o NAME=VALUE, with _ or - in their names. --help lists @commands; NULL: none.
 */
enum tfs_parsed tfs_options_parse(int argc, char **argv, const struct tfs_command *const *commands,
				  struct tfs_options *ret_options);
void tfs_options_fini(struct tfs_options *o);

/* What tfs_options_parse() parses as "tensorfs", for its options. */
const struct tfs_command *tfs_mount_command(void);

/* For mount(8): was the program called mount.tensorfs? */
bool tfs_options_helper(const char *argv0);

/*
 * For other commands that mount: defaults (false: out of memory), a table of the options for how a mount is served and the
 * tfs_take_option for them (@arg: the struct tfs_options), and what remains to be done after the last option.
 */
bool tfs_options_init(struct tfs_options *ret_options);
extern const struct tfs_option tfs_serving_options[];
bool tfs_options_take(void *arg, int id, const char *value);
void tfs_options_complete(struct tfs_options *o);

#endif
