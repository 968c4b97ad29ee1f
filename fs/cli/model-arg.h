/* SPDX-License-Identifier: MIT */
/* The operand MODEL of a command: anything that can be mounted. */
#ifndef TFS_CLI_MODEL_ARG_H
#define TFS_CLI_MODEL_ARG_H

#include "model/model.h"
#include "tree/tree.h"

struct tfs_model_arg {
	struct tfs_model *model;
	struct tfs_tree *tree; /* what a mount of it would show, except for the files in .tensorfs */
};

/*
 * Open the model at @path; headers of NumPy files are those of np.save(), as short as they can be. Warnings and errors are printed as when
 * mounting it. 0 or -errno.
 */
int tfs_model_arg_open(const char *path, struct tfs_model_arg *ret_arg);
/* The same, but warnings are passed to @warn, and the error is in @err (tfs_model_error_line()). */
int tfs_model_arg_open_with(const char *path, tfs_warn_fn *warn, void *warn_arg, struct tfs_model_arg *ret_arg,
			    struct tfs_error *err);
void tfs_model_arg_close(struct tfs_model_arg *arg);

#endif
