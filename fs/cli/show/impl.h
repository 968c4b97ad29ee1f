/* SPDX-License-Identifier: MIT */
/* Shared by the parts of tensorfs show: show.c, the command and what it says; elements.c, elements. */
#ifndef TFS_CLI_SHOW_IMPL_H
#define TFS_CLI_SHOW_IMPL_H

#include <jansson.h>

#include "cli/reading.h"
#include "cli/selection.h"
#include "cli/slice.h"

/*
 * Print the elements of @item that @slice chooses, a line for each row along the last dimension that is left, blanks between them; or
 * append them, as one value, to the array @json. 0; -EOPNOTSUPP: they can't be printed; -ENOMEM, or why they can't be read.
 */
int tfs_show_elements(const struct tfs_model *model, struct tfs_loader *loader, struct tfs_item item, const struct tfs_slice *slice,
		      json_t *json);

#endif
