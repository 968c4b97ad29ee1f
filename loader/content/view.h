/* SPDX-License-Identifier: MIT */
/*
 * A view: one way to show a tensor as a file. A view's file is a prefix (a header, or nothing) and then the tensor's elements,
 * block by block as they are in the source or converted. What is specific to a view is in one .c file and one row of the table in
 * view.c; loading, streaming and caching are the same for all.
 */
#ifndef TFS_VIEW_VIEW_H
#define TFS_VIEW_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/content.h"
#include "convert/convert.h"

enum tfs_view_id { TFS_RAW, TFS_NPY, TFS_F32, TFS_VIEW_IDS };

/* A prefix is at most this long, and so is its array on the stack. The page size, so the elements after it can be mapped. */
#define TFS_VIEW_PREFIX_MAX 4096u
/* The alignment that np.save() pads to, also used if there are no elements. */
#define TFS_VIEW_ALIGN_MIN 64u

struct tfs_view {
	/* Is there a file for this tensor at all? NULL: always. */
	bool (*shows)(const struct tfs_tensor *t);
	/*
	 * Write the bytes before the elements to @buf, of TFS_VIEW_PREFIX_MAX, and return their number, a multiple of @align: 64, or
	 * TFS_VIEW_PREFIX_MAX, which then is the number. NULL if there is no prefix.
	 */
	size_t (*make_prefix)(const struct tfs_tensor *t, unsigned align, uint8_t *buf);
	/* How elements of the dtype become float32; NULL: they are copied. */
	tfs_convert_fn *(*convert)(const struct tfs_dtype *dtype);
};

extern const struct tfs_view tfs_view_raw, tfs_view_npy, tfs_view_f32;

/* Where the bytes of a view's file come from. Small, and computed whenever it is needed. */
struct tfs_layout {
	const struct tfs_view *view;
	const struct tfs_tensor *tensor; /* NULL: the file contains several */
	struct tfs_content content;
	uint64_t size;	 /* of the file */
	uint64_t prefix; /* bytes; the elements begin here */
	unsigned align;	 /* what the prefix is padded to */
	uint32_t block;	 /* elements of one block */
	uint32_t in;	 /* bytes of a block in the source … */
	uint32_t out;	 /* … and in the file, where the last one may be incomplete; a power of two up to 4096 if they differ */
	tfs_convert_fn *convert; /* NULL: copied */
};

/*
 * @align: what prefixes are padded to, 64 or TFS_VIEW_PREFIX_MAX. 0, or -ENOENT: the view has no file for this tensor; -EOVERFLOW:
 * it would be larger than a file may be.
 */
int tfs_view_layout(enum tfs_view_id view, const struct tfs_tensor *t, unsigned align, struct tfs_layout *ret_layout);

/* Does the view have a file for this tensor? Independent of the alignment. */
bool tfs_view_shows(enum tfs_view_id view, const struct tfs_tensor *t);

/* Write the prefix to @buf, of TFS_VIEW_PREFIX_MAX bytes; nothing if there is none. */
void tfs_layout_make_prefix(const struct tfs_layout *l, uint8_t *buf);

/*
 * Convert [*@at, *@end) of the file to the source bytes, relative to the tensor's first, that it is made from; the prefix needs
 * none. If blocks are converted, *@at is moved down to where one begins, and *@end up to the end of one, or of the file.
 */
void tfs_layout_source(const struct tfs_layout *l, uint64_t *at, uint64_t *end, uint64_t *ret_from, uint64_t *ret_len);

/* The file offset for source byte @from, which begins a block. */
uint64_t tfs_layout_place(const struct tfs_layout *l, uint64_t from);

/*
 * Convert @len source bytes, whole blocks, to their form in the file, at @dst (aligned for float). Returns the bytes written: whole
 * blocks, though the file may end before the last one does.
 */
size_t tfs_layout_convert(const struct tfs_layout *l, const uint8_t *src, size_t len, uint8_t *dst);

#endif
