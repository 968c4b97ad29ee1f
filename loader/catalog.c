/* SPDX-License-Identifier: MIT */
#include "catalog.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/sort.h"

/* A dtype of the catalog's own; there are few. */
struct own_dtype {
	struct own_dtype *next;
	struct tfs_dtype dtype;
};

struct tfs_catalog {
	struct tfs_tensor *tensors;
	size_t count, room;
	const char **locations;
	size_t n_locations, room_locations;
	struct own_dtype *dtypes;
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
	free(c->locations);
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

int tfs_catalog_pack(struct tfs_catalog *c, const struct tfs_packing *packing)
{
	struct tfs_tensor *t = &c->tensors[c->count - 1];
	struct tfs_packing *p = tfs_arena_alloc(&c->shapes, sizeof *p, alignof(struct tfs_packing));
	uint64_t *strides = NULL;
	struct tfs_run *runs = NULL;

	assert(!packing->strides || (t->dtype->block_elems == 1 && !packing->n_runs));
	assert(!packing->swapped || (packing->swap == 2 && t->dtype->block_bytes % 2 == 0));
	if (!p)
		return -ENOMEM;
	*p = *packing;
	if (packing->strides) {
		strides = tfs_arena_array(&c->shapes, t->ndim, sizeof *strides, alignof(uint64_t));
		if (!strides)
			return -ENOMEM;
		memcpy(strides, packing->strides, t->ndim * sizeof *strides);
	}
	if (packing->n_runs) {
		runs = tfs_arena_array(&c->shapes, packing->n_runs, sizeof *runs, alignof(struct tfs_run));
		if (!runs)
			return -ENOMEM;
		memcpy(runs, packing->runs, packing->n_runs * sizeof *runs);
	}
	p->strides = strides;
	p->runs = runs;
	t->packing = p;
	return 0;
}

int tfs_catalog_external(struct tfs_catalog *c, const char *location, size_t len)
{
	struct tfs_tensor *t = &c->tensors[c->count - 1];
	const char *last = c->n_locations ? c->locations[c->n_locations - 1] : NULL;

	/* Tensors of one file stand together as a rule. */
	if (!last || strlen(last) != len || memcmp(last, location, len)) {
		if (tfs_array_room(c->locations, c->n_locations, c->room_locations))
			return -ENOMEM;
		c->locations[c->n_locations] = tfs_arena_copy(&c->names, location, len);
		if (!c->locations[c->n_locations])
			return -ENOMEM;
		c->n_locations++;
	}
	t->source = c->n_locations;
	return 0;
}

const char *const *tfs_catalog_locations(const struct tfs_catalog *c, size_t *ret_count)
{
	*ret_count = c->n_locations;
	return c->locations;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

const struct tfs_dtype *tfs_catalog_dtype(struct tfs_catalog *c, const char *name, const char *npy, uint32_t block_elems,
					  uint32_t block_bytes)
{
	struct own_dtype *d;

	for (d = c->dtypes; d; d = d->next)
		if (!strcmp(d->dtype.name, name) && same(d->dtype.npy, npy) && d->dtype.block_elems == block_elems &&
		    d->dtype.block_bytes == block_bytes)
			return &d->dtype;
	d = tfs_arena_alloc(&c->shapes, sizeof *d, alignof(struct own_dtype));
	if (!d)
		return NULL;
	*d = (struct own_dtype){
		.next = c->dtypes,
		.dtype = {
			.name = tfs_arena_copy(&c->names, name, strlen(name)),
			.npy = npy ? tfs_arena_copy(&c->names, npy, strlen(npy)) : NULL,
			.block_elems = block_elems,
			.block_bytes = block_bytes,
		},
	};
	if (!d->dtype.name || (npy && !d->dtype.npy))
		return NULL;
	c->dtypes = d;
	return &d->dtype;
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
