/* SPDX-License-Identifier: MIT */
/* A virtual file: a tensor of a set, as shown by one of the views. */
#ifndef TFS_CONTENT_VIRTUAL_FILE_H
#define TFS_CONTENT_VIRTUAL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "content/view.h"
#include "model/model.h"

/* Identifies a virtual file: a tensor of a set, in a view that shows it (tfs_view_layout() succeeds). */
struct tfs_file_id {
	uint32_t set;	 /* in model->sets */
	uint32_t tensor; /* its number in the set: tfs_set_tensor() */
	enum tfs_view_id view;
};

static inline bool tfs_file_id_equal(struct tfs_file_id a, struct tfs_file_id b)
{
	return a.set == b.set && a.tensor == b.tensor && a.view == b.view;
}

/* The layout of the file @id. */
struct tfs_layout tfs_file_layout(const struct tfs_model *model, struct tfs_file_id id);

/* All of a file of the model as it is: *@node, which must outlive the content, and by whose address it is told from others. */
struct tfs_layout tfs_whole_file_layout(const struct tfs_model *model, const uint32_t *node);

/* The size of the file @id; 0: there is nothing to load, or no such file. Only this function accepts any tensor and view. */
uint64_t tfs_file_loaded_size(const struct tfs_model *model, struct tfs_file_id id);

#endif
