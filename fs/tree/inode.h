/* SPDX-License-Identifier: MIT */
/* Inode numbers: what a file is, in 64 bits. The namespace built from them is in tree.h. */
#ifndef TFS_FS_INODE_H
#define TFS_FS_INODE_H

#include <stdint.h>

#include "cache/residency.h"
#include "tree/views.h"

enum tfs_kind {
	TFS_INO_NODE,	       /* node */
	TFS_INO_VIEW_DIR,      /* view of the primary set of directory node */
	TFS_INO_SETS,	       /* "sets" in directory node */
	TFS_INO_SET,	       /* a set's directory in there */
	TFS_INO_SET_VIEW_DIR,  /* view of a set in there */
	TFS_INO_TENSOR,	       /* view, set, tensor */
	TFS_INO_CONTROL_DIR,   /* "/.tensorfs" */
	TFS_INO_CONTROL,       /* a file in there: node is its index, serial the snapshot of it (mount/snapshots.h), 0: none */
	TFS_INO_TREE_DIR,      /* below tree/ of the set, which is its directory's primary one: tensor is its first, and depth */
	TFS_INO_SET_TREE_DIR,  /* below sets/STEM/tree */
	TFS_INO_KEYS,	       /* a text of a set: node is an enum tfs_keys; if it is in a CONVERTED_DIR, view is an enum tfs_as */
	TFS_INO_CONSOLIDATED,  /* "whole/model.safetensors" of a set; view 1 + enum tfs_as: shard number node in a CONVERTED_DIR */
	TFS_INO_CONVERTED_DIR, /* "whole/bf16" of a set: view is an enum tfs_as, tensor is 1 in sets/STEM */
	TFS_INO_COPY,	       /* original node, in a CONVERTED_DIR */
	TFS_INO_KINDS,
};

enum tfs_keys {
	/* In meta/. */
	TFS_KEYS_GGUF,
	TFS_KEYS_GGUF_FULL,
	TFS_KEYS_SAFETENSORS,
	TFS_KEYS_IN_META,
	/* In a CONVERTED_DIR. */
	TFS_KEYS_CONFIG = TFS_KEYS_IN_META,
	TFS_KEYS_INDEX,
	TFS_KEYS
};

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

#endif
