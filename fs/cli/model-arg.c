/* SPDX-License-Identifier: MIT */
#include "cli/model-arg.h"

#include <limits.h>
#include <sys/sysinfo.h>

#include "base/log.h"
#include "content/view.h"

static void on_warning(void *arg, const struct tfs_error *warning)
{
	char line[TFS_ERROR_LINE];

	(void)arg;
	tfs_log_warning("%s", tfs_error_line(warning, line, sizeof line));
}

int tfs_model_arg_open_with(const char *path, tfs_warn_fn *warn, void *warn_arg, struct tfs_model_arg *ret_arg,
			    struct tfs_error *err)
{
	static const char *const no_controls[] = { NULL };
	struct tfs_model_arg arg = { 0 };

	int r = tfs_model_open(path, (unsigned)get_nprocs(), warn, warn_arg, &arg.model, err);
	if (!r) {
		tfs_model_set_npy_align(arg.model, TFS_VIEW_ALIGN_MIN);
		r = tfs_tree_create(arg.model, no_controls, TFS_VIEWS_ALL, &arg.tree, err);
	}
	if (r) {
		tfs_model_destroy(arg.model);
		return r;
	}
	*ret_arg = arg;
	return 0;
}

int tfs_model_arg_open(const char *path, struct tfs_model_arg *ret_arg)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE + PATH_MAX];
	int r = tfs_model_arg_open_with(path, on_warning, NULL, ret_arg, &err);

	if (r)
		tfs_log_error("%s", tfs_model_error_line(path, &err, line, sizeof line));
	return r;
}

void tfs_model_arg_close(struct tfs_model_arg *arg)
{
	tfs_tree_destroy(arg->tree);
	tfs_model_destroy(arg->model);
}
