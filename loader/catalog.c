/* SPDX-License-Identifier: MIT */
#include "catalog.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/sort.h"

struct tfs_catalog {
	struct tfs_tensor *tensors;
	size_t count, room;
	/* Apart, as shapes are aligned and names are not: together each name would cost padding. */
	struct tfs_arena names, shapes;
};

struct tfs_catalog *tfs_catalog_create(void)
{
	return calloc(1, sizeof(struct tfs_catalog));
}

void tfs_catalog_destroy(struct tfs_catalog *c)
{
	if (!c)
		return;
	free(c->tensors);
	tfs_arena_fini(&c->names);
	tfs_arena_fini(&c->shapes);
	free(c);
}

int tfs_catalog_reserve(struct tfs_catalog *c, size_t tensors, size_t name_bytes, size_t dims)
{
	struct tfs_tensor *t;
	size_t room;

	/* Each name has a NUL behind it. */
	if (ckd_add(&room, c->count, tensors) || ckd_add(&name_bytes, name_bytes, tensors) ||
	    ckd_mul(&dims, dims, sizeof(uint64_t)))
		return -ENOMEM;
	if (room > c->room) {
		t = reallocarray(c->tensors, room, sizeof *t);
		if (!t)
			return -ENOMEM;
		c->tensors = t;
		c->room = room;
	}
	if (tfs_arena_reserve(&c->names, name_bytes))
		return -ENOMEM;
	return tfs_arena_reserve(&c->shapes, dims);
}

int tfs_catalog_add(struct tfs_catalog *c, const char *name, size_t name_len, const struct tfs_dtype *dtype,
		    const uint64_t *shape, unsigned ndim, uint64_t offset, uint64_t nbytes)
{
	struct tfs_tensor t = {
		.dtype = dtype,
		.offset = offset,
		.nbytes = nbytes,
		.name_len = name_len,
		.ndim = ndim,
	};
	uint64_t *dims;

	if (c->count == UINT32_MAX || name_len > UINT32_MAX || ndim > TFS_MAX_DIMS)
		return -E2BIG;
	if (tfs_array_room(c->tensors, c->count, c->room))
		return -ENOMEM;
	dims = tfs_arena_array(&c->shapes, ndim, sizeof *dims, alignof(uint64_t));
	t.name = tfs_arena_copy(&c->names, name, name_len);
	if (!dims || !t.name)
		return -ENOMEM;
	if (ndim)
		memcpy(dims, shape, ndim * sizeof *dims);
	t.shape = dims;
	c->tensors[c->count++] = t;
	return 0;
}

struct tfs_tensor *tfs_catalog_tensors(struct tfs_catalog *c, size_t *ret_count)
{
	*ret_count = c->count;
	return c->tensors;
}

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

int tfs_catalog_sort(struct tfs_catalog *c)
{
	cleanup_free const void **order = NULL;
	cleanup_free struct tfs_tensor *sorted = NULL;
	size_t n = c->count, i = 1;

	while (i < n && by_name(&c->tensors[i - 1], &c->tensors[i]) <= 0)
		i++;
	if (i >= n)
		return 0;

	order = reallocarray(NULL, n, 2 * sizeof *order);
	sorted = reallocarray(NULL, n, sizeof *sorted);
	if (!order || !sorted)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		order[i] = &c->tensors[i];
	tfs_sort(order, n, order + n, by_name);
	for (i = 0; i < n; i++)
		sorted[i] = *(const struct tfs_tensor *)order[i];
	free(c->tensors);
	c->tensors = tfs_steal(sorted);
	c->room = n;
	return 0;
}

void tfs_catalog_drop_table(struct tfs_catalog *c)
{
	free(c->tensors);
	c->tensors = NULL;
	c->count = c->room = 0;
}
