/* SPDX-License-Identifier: MIT */
/*
 * The namespace: the model's own directory tree, and the views beside it. Nothing is allocated per file: an inode number says
 * what the file is, and a directory's entries are counted through.
 *
 *   /                       node 0 …            every original file and directory, under its own name
 *   DIR/tensors, meta       VIEW_DIR            the directory's primary weight set
 *   DIR/sets/STEM/tensors   SETS, SET, VIEW_DIR every set, where there are several
 *   …/tensors/NAME          TENSOR              a tensor in a view
 *   …/tree/A                TREE_DIR            a directory of modules (modules.h); in there TENSORs, the very ones of tensors/
 *   …/sets/STEM/tree/A      SET_TREE_DIR        the same, for the kernel allows a directory in one place only
 *   …/meta/.gguf.json       KEYS                the keys of a GGUF set
 *   /.tensorfs/stats        CONTROL_DIR, CONTROL
 */
#ifndef TFS_FS_TREE_H
#define TFS_FS_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "access.h"
#include "base/error.h"
#include "model.h"
#include "modules.h"
#include "names.h"
#include "residency.h"
#include "wholes.h"

enum tfs_view_dir { TFS_VIEW_TENSORS, TFS_VIEW_NPY, TFS_VIEW_F32, TFS_VIEW_META, TFS_VIEW_TREE, TFS_VIEWS };

struct tfs_view_info {
	const char *dir;    /* "tensors" */
	const char *suffix; /* of its files: ".json" */
	bool loaded;	    /* bytes come from the loader, in this view of its; otherwise the text is made when asked for */
	enum tfs_view_id loader_view;
	bool tree; /* has no files of its own, but shows those of tensors/ in directories */
};
extern const struct tfs_view_info tfs_views[TFS_VIEWS];

enum tfs_kind {
	TFS_INO_NODE,	     /* node */
	TFS_INO_VIEW_DIR,    /* view of the primary set of directory node */
	TFS_INO_SETS,	     /* "sets" in directory node */
	TFS_INO_SET,	     /* a set's directory in there */
	TFS_INO_SET_VIEW_DIR, /* view of a set in there */
	TFS_INO_TENSOR,	     /* view, set, tensor */
	TFS_INO_CONTROL_DIR, /* "/.tensorfs" */
	TFS_INO_CONTROL,     /* a file in there: node is its index, serial the snapshot of it (snapshots.h), 0: none */
	TFS_INO_TREE_DIR,    /* below tree/ of the set, which is its directory's primary one: tensor is its first, and depth */
	TFS_INO_SET_TREE_DIR, /* below sets/STEM/tree */
	TFS_INO_KEYS,	      /* of a set's files: node is an enum tfs_keys */
	TFS_INO_WHOLE,	      /* "model.safetensors" of a set */
	TFS_INO_KINDS,
};

enum tfs_keys { TFS_KEYS_SHORT, TFS_KEYS_FULL, TFS_KEYS };

/* What an inode number says. Fields that its kind does not name are 0. */
struct tfs_inode {
	enum tfs_kind kind;
	enum tfs_view_dir view;
	uint32_t node;
	uint32_t set;
	uint32_t tensor;
	uint32_t serial;
	uint8_t depth;
};

/* Sets are numbered in 20 bits of an inode number; a model directory with more is refused. */
#define TFS_MAX_SETS (1u << 20)

/* The loader's name for a tensor's file. */
struct tfs_file_id tfs_file_of(struct tfs_inode inode);

uint64_t tfs_ino_pack(struct tfs_inode inode);
/* Any number is safe to unpack and then to check with tfs_tree_valid(). */
struct tfs_inode tfs_ino_unpack(uint64_t ino);

struct tfs_tree;

/* @controls: names of the files in .tensorfs, ended by NULL. -E2BIG: too many sets. */
int tfs_tree_create(const struct tfs_model *model, const char *const *controls, struct tfs_tree **ret_tree,
		    struct tfs_error *err);
void tfs_tree_destroy(struct tfs_tree *t); /* takes NULL */

/* All functions below are thread-safe. */

bool tfs_tree_valid(struct tfs_tree *t, struct tfs_inode inode);

/* 0 and the inode of that name in directory @dir; -ENOENT, -ENOTDIR, or -ENOMEM. */
int tfs_tree_lookup(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode);

/*
 * The entry at *@place of directory @dir, the first at 0, "." and ".." not among them; *@place moves on to the next. Its name
 * into @name (TFS_NAME_MAX + 1 bytes). -ENOENT: there are no more.
 */
int tfs_tree_entry(struct tfs_tree *t, struct tfs_inode dir, uint64_t *place, char *name, struct tfs_inode *ret_inode);

/* The directory that @inode stands in; for a tensor or one view of a primary set, one of those. */
struct tfs_inode tfs_tree_parent(struct tfs_tree *t, struct tfs_inode inode);

/* A path in the mount always fits: directories of the model, then sets/STEM/tensors. May be longer than open(2) takes at once. */
enum { TFS_PATH_SIZE = (TFS_MAX_DEPTH + 4) * (TFS_NAME_MAX + 1) };

/*
 * The path of @set's view, such as "tensors" or "dir/sets/stem/tensors~"; in front of its directory if it is the primary set.
 * -ENAMETOOLONG: more than @size.
 */
int tfs_tree_view_path(const struct tfs_tree *t, uint32_t set, enum tfs_view_dir view, char *buf, size_t size);

/* The file name of a tensor in its view, not tree/, into @buf (TFS_NAME_MAX + 1 bytes). -ENOMEM. */
int tfs_tree_file_name(struct tfs_tree *t, struct tfs_inode file, char *buf);

/* What is in the made-up model.safetensors of a set that has one; NULL: out of memory. */
const struct tfs_whole *tfs_tree_whole(struct tfs_tree *t, uint32_t set);

/* Who may see what of it; lives as long as the tree. */
const struct tfs_access *tfs_tree_access(const struct tfs_tree *t);

/* Is @dir one of a set's views, or in one? Then its set. */
bool tfs_tree_shown_set(const struct tfs_tree *t, struct tfs_inode dir, uint32_t *ret_set);

/* Attributes, complete but for the size of a model.safetensors and of files whose text is made when asked for. */
void tfs_tree_attr(const struct tfs_tree *t, struct tfs_inode inode, struct stat *ret_st);

#endif
