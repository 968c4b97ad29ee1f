/* SPDX-License-Identifier: MIT */
/* JSON that commands print. */
#ifndef TFS_CLI_OUTPUT_H
#define TFS_CLI_OUTPUT_H

#include <jansson.h>

#include "tensor/catalog.h"

/* New values. Text of any bytes: what isn't UTF-8 becomes U+FFFD. What isn't finite becomes null. */
json_t *tfs_json_text(const char *text);
json_t *tfs_json_name(const struct tfs_tensor *t);
json_t *tfs_json_shape(const struct tfs_tensor *t);
json_t *tfs_json_real(double v);

/*
 * Print @value, indented, to standard output; in ASCII, so it can't affect a terminal. 0, or -errno after printing an error.
 */
int tfs_json_print(const json_t *value);

#endif
