/* SPDX-License-Identifier: MIT */
#include "cli/output.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/command-line.h"
#include "tree/meta.h"

json_t *tfs_json_text(const char *text)
{
	return tfs_json_any(text, strlen(text));
}

json_t *tfs_json_name(const struct tfs_tensor *t)
{
	return tfs_json_any(t->name, t->name_len);
}

json_t *tfs_json_shape(const struct tfs_tensor *t)
{
	json_t *shape = json_array();

	for (unsigned i = 0; i < t->ndim; i++)
		json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
	return shape;
}

json_t *tfs_json_real(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

int tfs_json_print(const json_t *value)
{
	/* jansson fails without saying why: it's the output, or the memory. */
	if (!value || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII)) {
		if (ferror(stdout))
			return tfs_command_flush();
		tfs_log_error("out of memory");
		return -ENOMEM;
	}
	putchar('\n');
	return 0;
}
