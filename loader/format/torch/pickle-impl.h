/* SPDX-License-Identifier: MIT */
/* Shared by pickle.c, pickle-bytes.c and pickle-values.c; private to them. */
#ifndef TFS_FORMAT_PICKLE_IMPL_H
#define TFS_FORMAT_PICKLE_IMPL_H

#include <assert.h>

#include "format/torch/pickle-values.h"

#define TFS_PICKLE_BITS 56 /* of a value, next to its type */

static inline struct tfs_pickle_value tfs_pickle_of_int(enum tfs_pickle_type type, int64_t i)
{
	return (struct tfs_pickle_value){ (uint64_t)i << 8 | type };
}

static inline struct tfs_pickle_value tfs_pickle_of_address(enum tfs_pickle_type type, const void *p)
{
	assert((uint64_t)(uintptr_t)p >> TFS_PICKLE_BITS == 0);
	return (struct tfs_pickle_value){ (uint64_t)(uintptr_t)p << 8 | type };
}

/* Some of the items of a list, set or dict. */
struct tfs_pickle_span {
	struct tfs_pickle_span *next; /* the last one is followed by the first */
	uint32_t n, room;
	struct tfs_pickle_value items[];
};

/* Of a list, set or dict; NULL if empty. */
static inline struct tfs_pickle_span *tfs_pickle_last_span(const struct tfs_pickle_node *node)
{
	return (struct tfs_pickle_span *)(uintptr_t)(node->items[0].word >> 8);
}

/* @n bytes, little-endian. */
static inline uint64_t tfs_pickle_uint(const char *bytes, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | (unsigned char)bytes[n];
	return v;
}

/* --- pickle-values.c --------------------------------------------------------------------------------------------- */

/* All for the opcode at @at; -EINVAL with the error filled, or -ENOMEM. */

/* Account for @n bytes of memory. */
int tfs_pickle_charge(struct tfs_pickle *p, size_t at, size_t n);

/* A node of @n items, all ABSENT, or of a type that grows. */
int tfs_pickle_new_node(struct tfs_pickle *p, size_t at, enum tfs_pickle_type type, size_t n, struct tfs_pickle_value *ret);

/* Add @n values to a list, set or dict. */
int tfs_pickle_add_items(struct tfs_pickle *p, size_t at, struct tfs_pickle_node *node, const struct tfs_pickle_value *items,
			 size_t n);

#endif
