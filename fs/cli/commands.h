/* SPDX-License-Identifier: MIT */
/*
 * Commands other than mounting: "tensorfs NAME ...".
 *
 * A command is a row here and a file, NAME.c, that defines its struct tfs_command, tfs_NAME_command.
 */
#ifndef TFS_CLI_COMMANDS_H
#define TFS_CLI_COMMANDS_H

#include "cli/command-line.h"

/* In the order of --help. */
/* clang-format off */
#define TFS_COMMANDS(row) \
	row(ls) \
	row(show) \
	row(cat) \
	row(cp) \
	row(diff) \
	row(verify) \
	row(report) \
	row(cache) \
	row(status) \
	row(umount) \
	row(warm) \
	row(completion) \
	row(bench) \
	row(help)
/* clang-format on */

#define TFS_DECLARE_COMMAND_(name) extern const struct tfs_command tfs_##name##_command;
TFS_COMMANDS(TFS_DECLARE_COMMAND_)

#endif
