/* SPDX-License-Identifier: MIT */
/*
 * The namespace: the model's own directory tree, plus the views. Nothing is allocated per file: an inode number says what the file
 * is, and a directory's entries are enumerated.
 *
 *   /                       node 0 …            every original file and directory, under its own name
 *   DIR/tensors, meta       VIEW_DIR            the directory's primary weight set
 *   DIR/sets/STEM/tensors   SETS, SET, VIEW_DIR every set, if there are several
 *   …/tensors/NAME          TENSOR              a tensor in a view
 *   …/tree/A                TREE_DIR            a directory of modules (modules.h); it contains TENSORs, the same ones as tensors/
 *   …/sets/STEM/tree/A      SET_TREE_DIR        the same, as the kernel allows only one parent for a directory
 *   …/meta/.gguf.json       KEYS                the metadata of the files of a GGUF or safetensors set
 *   …/whole/model.safetensors WHOLE             the set as one file, and in DIR where programs look for it (tree/consolidated.h)
 *   …/whole/bf16            CONVERTED_DIR       the model in another type (tree/converted.h): CONSOLIDATED, KEYS, originals as COPY
 *   /.tensorfs/stats        CONTROL_DIR, CONTROL
 */
#ifndef TFS_FS_TREE_H
#define TFS_FS_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/json-write.h"
#include "model/model.h"
#include "tree/access.h"
#include "tree/consolidated.h"
#include "tree/inode.h"
#include "tree/modules.h"
#include "tree/names.h"

struct tfs_tree;

/*
 * @controls: names of the files in .tensorfs, ended by NULL. @views: those to show, also in sets/, which exists if there are any;
 * whole/ includes the same file under tfs_consolidated_standard_name(). -E2BIG: too many sets.
 */
int tfs_tree_create(const struct tfs_model *model, const char *const *controls, unsigned views, struct tfs_tree **ret_tree,
		    struct tfs_error *err);
void tfs_tree_destroy(struct tfs_tree *t); /* takes NULL */

/* All functions below are thread-safe. */

bool tfs_tree_valid(struct tfs_tree *t, struct tfs_inode inode);

/* 0 and the inode with that name in directory @dir; -ENOENT, -ENOTDIR, or -ENOMEM. */
int tfs_tree_lookup(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode);

/*
 * The entry at *@place of directory @dir, the first at 0, without "." and ".."; *@place advances to the next. Its name into @name
 * (TFS_NAME_MAX + 1 bytes). -ENOENT: there are no more.
 */
int tfs_tree_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode);

/* The directory that @inode is in; for a tensor or a view of a primary set, one of them. */
struct tfs_inode tfs_tree_parent(struct tfs_tree *t, struct tfs_inode inode);

/* Fits any path in the mount: directories of the model, then sets/STEM/tensors. May be longer than open(2) accepts. */
enum { TFS_PATH_SIZE = (TFS_MAX_DEPTH + 4) * (TFS_NAME_MAX + 1) };

/*
 * The path of @set's view, such as "tensors" or "dir/sets/stem/tensors~"; directly in its directory if it is the primary set. If
 * this mount doesn't have the view, where it would be. -ENAMETOOLONG: more than @size.
 */
int tfs_tree_view_path(const struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, char *buf, size_t size);

/* The file name of a tensor in a flat view, into @buf (TFS_NAME_MAX + 1 bytes). -ENOMEM. */
int tfs_tree_file_name(struct tfs_tree *t, struct tfs_inode file, char *buf);

/* Number of files, not counting links or the few that aren't a tensor's. */
uint64_t tfs_tree_n_files(const struct tfs_tree *t);

/* The content of @file, a TFS_INO_CONSOLIDATED; NULL: out of memory. */
const struct tfs_consolidated *tfs_tree_consolidated(struct tfs_tree *t, struct tfs_inode file);
/* Was it made before? It needs time in proportion to the number of tensors. */
bool tfs_tree_consolidated_there(struct tfs_tree *t, struct tfs_inode file);

/*
 * The text of @file, a TFS_INO_KEYS, allocated; its length in *@ret_len. It is always the same. May wait for storage. @guard as for
 * tfs_file_meta_text(), and asked afterwards for a text that is made otherwise. 0, or as that and tfs_converted_config().
 */
int tfs_tree_text(struct tfs_tree *t, struct tfs_inode file, struct tfs_json_guard *guard, char **ret_text, size_t *ret_len);

/* Is that text, made before, still that of the files? 0, -ESTALE, or another error. May wait for storage. */
int tfs_tree_text_check(struct tfs_tree *t, struct tfs_inode file);

/* The node whose content @inode shows, as it is or converted, and so whose owner and mode it has; UINT32_MAX: it isn't of one. */
uint32_t tfs_tree_original_of(const struct tfs_tree *t, struct tfs_inode inode);

/* The node whose owner, mode and access control list @inode has as they are; UINT32_MAX: none. */
uint32_t tfs_tree_rights_of(const struct tfs_tree *t, struct tfs_inode inode);

/* Its access rules; valid as long as the tree. */
const struct tfs_access *tfs_tree_access(const struct tfs_tree *t);

/* If @dir is one of a set's views, or in one, its set. */
bool tfs_tree_shown_set(const struct tfs_tree *t, struct tfs_inode dir, uint32_t *ret_set);

/* Are a file's size, or even its number, known only at lookup? If not, a listing may include them. */
bool tfs_tree_waits_for_lookup(struct tfs_inode inode);

/* Attributes, complete except for the size of a model.safetensors and of files whose text is generated on request. */
void tfs_tree_attr(const struct tfs_tree *t, struct tfs_inode inode, struct stat *ret_st);

#endif
