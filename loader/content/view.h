/* SPDX-License-Identifier: MIT */
/*
 * A view: one way to show a tensor as a file. A view's file is a prefix (a header, or nothing) and then the tensor's elements,
 * block by block as they are in the source or converted. What one view has of its own is in one .c file and one row of the
 * table in view.c; loading, streaming and caching are the same for all.
 */
#ifndef TFS_VIEW_VIEW_H
#define TFS_VIEW_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/content.h"
#include "convert/convert.h"

enum tfs_view_id { TFS_RAW, TFS_NPY, TFS_F32, TFS_VIEW_IDS };

/* A prefix is at most this long, and so is its array on the stack. The page size, so that elements behind it can be mapped. */
#define TFS_VIEW_PREFIX_MAX 4096u
/* What np.save() pads to, and what is padded to where there are no elements. */
#define TFS_VIEW_ALIGN_MIN 64u

struct tfs_view {
	/* Is there a file for this tensor at all? NULL: always. */
	bool (*shows)(const struct tfs_tensor *t);
	/*
	 * Write the bytes before the elements to @buf, of TFS_VIEW_PREFIX_MAX, and return their number, a multiple of @align: 64, or
	 * TFS_VIEW_PREFIX_MAX, which is the number then. NULL where there are none.
	 */
	size_t (*make_prefix)(const struct tfs_tensor *t, unsigned align, uint8_t *buf);
	/* How elements of the dtype become float32; NULL: they are copied. */
	tfs_convert_fn *(*convert)(const struct tfs_dtype *dtype);
};

extern const struct tfs_view tfs_view_raw, tfs_view_npy, tfs_view_f32;

/* Where the bytes of a view's file come from. Small, and made anew whenever it is needed. */
struct tfs_layout {
	const struct tfs_view *view;
	const struct tfs_tensor *tensor; /* NULL: the file is of several */
	struct tfs_content content;
	uint64_t size;	 /* of the file */
	uint64_t prefix; /* bytes; the elements begin here */
	unsigned align;	 /* what the prefix is padded to */
	uint32_t block;	 /* elements of one block */
	uint32_t in;	 /* bytes of a block in the source … */
	uint32_t
		out; /* … and in the file, where of the last one a part may be missing; a power of two up to 4096 where they differ */
	tfs_convert_fn *convert; /* NULL: copied */
};

/*
 * @align: what prefixes are padded to, 64 or TFS_VIEW_PREFIX_MAX. 0, or -ENOENT: the view has no file for this tensor; -EOVERFLOW:
 * it would be larger than a file may be.
 */
int tfs_view_layout(enum tfs_view_id view, const struct tfs_tensor *t, unsigned align, struct tfs_layout *ret_layout);

/* Has the view a file for this tensor? Whatever the alignment. */
bool tfs_view_shows(enum tfs_view_id view, const struct tfs_tensor *t);

/* Write the prefix to @buf, of TFS_VIEW_PREFIX_MAX bytes; nothing where there is none. */
void tfs_layout_make_prefix(const struct tfs_layout *l, uint8_t *buf);

/*
 * Source bytes, relative to the tensor's first, that [*@at, *@end) of the file is made of; the prefix takes none. Where blocks are
 * converted, *@at is moved down to where one begins, and *@end up to the end of one, or of the file.
 */
void tfs_layout_source(const struct tfs_layout *l, uint64_t *at, uint64_t *end, uint64_t *ret_from, uint64_t *ret_len);

/* The place in the file of source byte @from, which begins a block. */
uint64_t tfs_layout_place(const struct tfs_layout *l, uint64_t from);

/*
 * @len source bytes, whole blocks, to their form in the file, at @dst (aligned for float). Returns the bytes written: whole blocks,
 * though the file may end before the last one does.
 */
size_t tfs_layout_convert(const struct tfs_layout *l, const uint8_t *src, size_t len, uint8_t *dst);

#endif
