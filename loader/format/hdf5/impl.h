/* SPDX-License-Identifier: MIT */
/*
 * What the files of the HDF5 reader share, for no one else. It follows the HDF5 File Format Specification, version 3.0, as far as
 * libhdf5 writes it: hdf5.c the superblock, and the names; header.c the messages that describe an object; group.c the links of a
 * group; heap.c and btree.c what large groups are stored in; type.c element types; data.c where the elements are.
 *
 * An address counts from the superblock; TFS_H5_UNDEFINED is none. Functions return 0, or -errno with h->err filled.
 */
#ifndef TFS_FORMAT_HDF5_IMPL_H
#define TFS_FORMAT_HDF5_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "format/pieces.h"
#include "format/window.h"
#include "tensor/catalog.h"

#define TFS_H5_UNDEFINED UINT64_MAX

/* A path of links; the longest that TensorFlow's models have are of some hundred bytes. */
#define TFS_H5_MAX_NAME 4096u

/* What tables of a kind are read through: usually near to each other. */
enum tfs_h5_window { TFS_H5_HEADERS, TFS_H5_TABLES, TFS_H5_HEAPS, TFS_H5_WINDOWS };

/* --- One object: header.c, type.c --------------------------------------------------------------------------------------- */

/* Messages that matter (IV.A.2). */
enum {
	TFS_H5_DATASPACE = 0x01,
	TFS_H5_LINK_INFO = 0x02,
	TFS_H5_DATATYPE = 0x03,
	TFS_H5_LINK = 0x06,
	TFS_H5_EXTERNAL = 0x07,
	TFS_H5_LAYOUT = 0x08,
	TFS_H5_FILTERS = 0x0b,
	TFS_H5_ATTRIBUTE = 0x0c,
	TFS_H5_CONTINUATION = 0x10,
	TFS_H5_SYMBOLS = 0x11,
	TFS_H5_DRIVER = 0x14,
};

struct tfs_h5_message {
	uint16_t type;
	bool shared; /* its data say where the message is */
	uint64_t at; /* of its data */
	uint32_t size;
};

/* An element type. One of dtype, foreign and wrong is set. */
struct tfs_h5_type {
	const struct tfs_dtype *dtype;
	const char *foreign; /* not a number: "strings" */
	const char *wrong;   /* why it can't be shown; static */
	uint8_t swap;	     /* struct tfs_encoding */
	uint32_t size;	     /* bytes, of an array all of it */
	uint64_t dims[4];    /* of an array */
	uint8_t ndim;
	bool opaque; /* raw bytes, of a type that only attributes name */
};

enum tfs_h5_class { TFS_H5_COMPACT, TFS_H5_CONTIGUOUS, TFS_H5_CHUNKED, TFS_H5_VIRTUAL };

/* How the file finds the chunks of a dataset (IV.A.2.i, version 4; the first is that of version 3). */
enum tfs_h5_index {
	TFS_H5_BTREE1,
	TFS_H5_SINGLE,
	TFS_H5_IMPLICIT,
	TFS_H5_FIXED_ARRAY,
	TFS_H5_EXTENSIBLE_ARRAY,
	TFS_H5_BTREE2,
};

struct tfs_h5_layout {
	uint8_t kind;  /* enum tfs_h5_class */
	uint8_t index; /* CHUNKED: enum tfs_h5_index */
	uint8_t ndim;  /* CHUNKED: of chunk, without the element's */
	uint64_t at;   /* of the elements, or of the index */
	uint64_t size; /* COMPACT, CONTIGUOUS: bytes; UINT64_MAX: not given */
	uint64_t chunk[TFS_MAX_DIMS];
};

/* The links of a group: in a table, or in its header, or in a heap. */
struct tfs_h5_group {
	uint64_t header;
	bool is_table, has_links, has_heap;
	uint64_t btree, heap;		  /* is_table */
	uint64_t links_heap, links_index; /* has_heap */
	bool has_weight_names;		  /* an attribute of Keras */
};

struct tfs_h5_object {
	struct tfs_h5_group group;
	bool is_group, has_space, has_type, has_layout, is_null, is_bfloat16;
	bool is_filtered, is_external;
	uint64_t dims[TFS_MAX_DIMS];
	uint8_t ndim;
	struct tfs_h5_type type;
	struct tfs_h5_layout layout;
};

/* A file. Its fields are private to hdf5.c, but for those above the line. */
struct tfs_h5 {
	struct tfs_catalog *catalog;
	struct tfs_error *err;
	const struct tfs_input *in;
	uint64_t base; /* of the superblock, in the file */
	uint8_t offset_size, length_size;
	struct tfs_pieces pieces;
	struct tfs_h5_object object; /* the one that was read last */

	/* --- */

	size_t len;	   /* of the path */
	size_t weights_at; /* where in it the name begins that Keras gives a weight */
	unsigned depth;
	uint64_t steps, max_steps;
	size_t n_foreign;
	char first_foreign[TFS_QUOTE_SIZE + 64]; /* of what isn't a number */
	void *groups;				 /* those that were visited, a tree of tsearch(3) */
	uint32_t *cuts;				 /* by tensor: bytes of its path that Keras doesn't have in its name */
	size_t n_cuts, room_cuts;
	char path[TFS_H5_MAX_NAME];
	struct tfs_window windows[TFS_H5_WINDOWS];
};

/* @len bytes, at most TFS_WINDOW, at address @at; valid until the next of the same window. */
int tfs_h5_get(struct tfs_h5 *h, enum tfs_h5_window window, uint64_t at, size_t len, struct tfs_cursor *ret);

/* One more node, link, chunk or message is about to be read: refuses what refers to the same ones again and again. */
int tfs_h5_step(struct tfs_h5 *h);

/* -EINVAL with the error filled: what is at address @at is wrong. */
int tfs_h5_refuse(struct tfs_h5 *h, uint64_t at, const char *fmt, ...) __attribute__((cold, format(printf, 3, 4)));

/* An address, and a length, of the sizes that the file has them in. */
uint64_t tfs_h5_address(const struct tfs_h5 *h, struct tfs_cursor *c);
uint64_t tfs_h5_length(const struct tfs_h5 *h, struct tfs_cursor *c);

/* A number of @width bytes, at most 8. */
uint64_t tfs_h5_number(struct tfs_cursor *c, unsigned width);

static inline uint8_t tfs_h5_byte(struct tfs_cursor *c)
{
	const uint8_t *p = tfs_cursor_bytes(c, 1);

	return p ? *p : 0;
}

typedef int tfs_h5_message_fn(struct tfs_h5 *h, const struct tfs_h5_message *m, void *arg);

/* @fn for each message of the object whose header is at @at, in their order, until it fails. */
int tfs_h5_messages(struct tfs_h5 *h, uint64_t at, tfs_h5_message_fn *fn, void *arg);

/* Read the object at @at into h->object. */
int tfs_h5_object(struct tfs_h5 *h, uint64_t at);

/* The datatype at @c. -EINVAL: not one; then the error isn't filled. -ENOMEM. */
int tfs_h5_type(struct tfs_h5 *h, struct tfs_cursor *c, struct tfs_h5_type *ret);

/* --- Groups: group.c, heap.c, btree.c ------------------------------------------------------------------------------------- */

/* tfs_h5_visit() each link of @group. */
int tfs_h5_links(struct tfs_h5 *h, const struct tfs_h5_group *group);

/* A link of the group at hand to the object at @at; @name is copied at once. In hdf5.c. */
int tfs_h5_visit(struct tfs_h5 *h, const char *name, size_t len, uint64_t at);

/* Where the object @id (@len bytes) of the fractal heap at @heap is. */
int tfs_h5_heap_object(struct tfs_h5 *h, uint64_t heap, const uint8_t *id, size_t len, uint64_t *ret_at, uint64_t *ret_len);

/* Types of version 1 B-trees. */
enum { TFS_H5_NODE_OF_GROUP = 0, TFS_H5_NODE_OF_CHUNKS = 1 };

/* A node of one. */
struct tfs_h5_node {
	uint8_t level; /* 0: a leaf */
	uint16_t n;
	uint64_t children; /* where the first of n is: a key, whose size is the tree's, and an address */
};

/* The node of @type at @at, below one of level @above (-1: it is the root). */
int tfs_h5_btree1_node(struct tfs_h5 *h, uint64_t at, unsigned type, int above, struct tfs_h5_node *ret);

/* Record types of version 2 B-trees: links by name; chunks without filters. */
enum { TFS_H5_LINKS_BY_NAME = 5, TFS_H5_CHUNKS = 10 };

#define TFS_H5_MAX_RECORD 600 /* an address, and 64 numbers of 8 bytes */

/* @record: its bytes, a copy. */
typedef int tfs_h5_record_fn(struct tfs_h5 *h, struct tfs_cursor record, void *arg);

/* @fn for each record of the version 2 B-tree of this type at @at, until it fails. */
int tfs_h5_btree2(struct tfs_h5 *h, uint64_t at, unsigned type, tfs_h5_record_fn *fn, void *arg);

/* --- Elements: data.c ------------------------------------------------------------------------------------------------------ */

/*
 * Where the elements of the dataset in h->object, whose type has a dtype, are: nbytes; the offset in the file, and *@ret_how, with
 * pieces that belong to h. 0; 1: they can't be shown, and @why (@size bytes) says why; or -errno.
 */
int tfs_h5_data(struct tfs_h5 *h, uint64_t *ret_nbytes, uint64_t *ret_offset, struct tfs_encoding *ret_how, char *why, size_t size);

/* The dimensions of the dataset in h->object, those of an array type included. */
unsigned tfs_h5_shape(const struct tfs_h5_object *o, uint64_t ret[static TFS_MAX_DIMS]);

#endif
