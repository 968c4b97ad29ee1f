/* SPDX-License-Identifier: MIT */
#include "tree/inode.h"

/*
 * Inode numbers: kind from bit 60 on, view 56, set 32, tensor or node 0; the depth of a module has the place of the view and the
 * four bits below, 52; a control file has its index where others have the set, and its serial at 0. The root is 1, as FUSE wants it.
 */
enum { KIND_SHIFT = 60, VIEW_SHIFT = 56, DEPTH_SHIFT = 52, SET_SHIFT = 32 };
enum { VIEW_MASK = 0xf, DEPTH_MASK = 0xff, SET_MASK = TFS_MAX_SETS - 1 };

uint64_t tfs_ino_pack(struct tfs_inode i)
{
	if (i.kind == TFS_INO_CONTROL)
		return (uint64_t)i.kind << KIND_SHIFT | (uint64_t)i.node << SET_SHIFT | i.serial;
	/* A kind has no more than one of each pair. + 1 for nodes alone: 0 is no inode number, and the root node is 0. */
	return (uint64_t)i.kind << KIND_SHIFT | (uint64_t)i.view << VIEW_SHIFT | (uint64_t)i.depth << DEPTH_SHIFT |
	       (uint64_t)i.set << SET_SHIFT | ((i.tensor | i.node) + (uint64_t)(i.kind == TFS_INO_NODE));
}

struct tfs_inode tfs_ino_unpack(uint64_t ino)
{
	static const struct {
		bool view, set, node, tensor, depth, serial;
	} has[TFS_INO_KINDS] = {
		[TFS_INO_NODE] = { .node = true },
		[TFS_INO_VIEW_DIR] = { .view = true, .node = true },
		[TFS_INO_SETS] = { .node = true },
		[TFS_INO_SET] = { .set = true },
		[TFS_INO_SET_VIEW_DIR] = { .view = true, .set = true },
		[TFS_INO_TENSOR] = { .view = true, .set = true, .tensor = true },
		[TFS_INO_CONTROL] = { .serial = true },
		[TFS_INO_KEYS] = { .view = true, .set = true, .node = true },
		[TFS_INO_CONSOLIDATED] = { .view = true, .set = true, .node = true },
		[TFS_INO_CONVERTED_DIR] = { .view = true, .set = true, .tensor = true },
		[TFS_INO_COPY] = { .node = true },
		[TFS_INO_TREE_DIR] = { .set = true, .tensor = true, .depth = true },
		[TFS_INO_SET_TREE_DIR] = { .set = true, .tensor = true, .depth = true },
	};
	static const struct tfs_inode none = { .kind = TFS_INO_KINDS };
	uint64_t kind = ino >> KIND_SHIFT;

	if (kind >= TFS_INO_KINDS)
		return none;
	struct tfs_inode i = { .kind = (enum tfs_kind)kind };
	if (has[kind].view)
		i.view = ino >> VIEW_SHIFT & VIEW_MASK;
	if (has[kind].depth)
		i.depth = ino >> DEPTH_SHIFT & DEPTH_MASK;
	if (has[kind].set)
		i.set = ino >> SET_SHIFT & SET_MASK;
	if (has[kind].tensor)
		i.tensor = (uint32_t)ino;
	if (has[kind].node)
		i.node = (uint32_t)(ino - (kind == TFS_INO_NODE));
	if (has[kind].serial) {
		i.node = ino >> SET_SHIFT & SET_MASK;
		i.serial = (uint32_t)ino;
	}
	/* Bits elsewhere: a second number for the same file, which nobody was given. */
	return tfs_ino_pack(i) == ino ? i : none;
}

struct tfs_file_id tfs_file_of(struct tfs_inode i)
{
	return (struct tfs_file_id){ .set = i.set, .tensor = i.tensor, .view = tfs_views[i.view].loader_view };
}
