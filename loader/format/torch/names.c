/* SPDX-License-Identifier: MIT */
/*
 * Tensors with the same path, {"a.b": x, "a": {"b": y}}, are made unique: the second is a.b~2. Names made from two paths can't be
 * equal, as the part before the last ~ is the path; but one can equal another tensor's original name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/sort.h"
#include "format/torch/impl.h"

#define MAX_SAME 100 /* the last number */

/* In order of names, equal ones as they were found. */
static int by_name(const void *a, const void *b)
{
	const struct tfs_torch_tensor *x = a, *y = b;
	int c = tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);

	return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* By original name, which is the first base_len bytes of the current one. */
static int by_first_name(const void *a, const void *b)
{
	const struct tfs_torch_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->base_len, y->name, y->base_len);
}

/* Is this the original name of any tensor? @order is sorted by those. */
static bool is_taken(const void *const *order, size_t n, const char *name, uint32_t len)
{
	const struct tfs_torch_tensor key = { .name = name, .base_len = len };

	return tfs_sorted_have(order, n, &key, by_first_name);
}

/* Give the tensor the first unused name of NAME~2, NAME~3, from @number on. */
static int rename_tensor(struct tfs_torch *t, const void **order, size_t n, struct tfs_torch_tensor *x, unsigned *number,
			 struct tfs_arena *arena)
{
	char name[TFS_TORCH_MAX_NAME + sizeof "~100"], quoted[TFS_QUOTE_SIZE];

	memcpy(name, x->name, x->base_len);
	do {
		if (++*number > MAX_SAME)
			return tfs_pickle_error(&t->pickle, -EINVAL, x->at, "more than %d tensors have the path %s", MAX_SAME,
						tfs_quote(quoted, sizeof quoted, x->name, x->base_len));
		x->name_len = x->base_len + snprintf(name + x->base_len, sizeof "~100", "~%u", *number);
	} while (is_taken(order, n, name, x->name_len));
	x->name = tfs_arena_copy(arena, name, x->name_len);
	return x->name ? 0 : -ENOMEM;
}

int tfs_torch_make_unique(struct tfs_torch *t, const void **order, size_t n, struct tfs_arena *arena)
{
	const struct tfs_torch_tensor *first = NULL;
	unsigned number = 1;
	int r = 0;

	tfs_sort(order, n, order + n, by_name);
	for (size_t i = 0; i < n && !r; i++) {
		struct tfs_torch_tensor *x = (struct tfs_torch_tensor *)order[i];

		if (first && !tfs_name_cmp(first->name, first->name_len, x->name, x->name_len)) {
			r = rename_tensor(t, order, n, x, &number, arena);
			continue;
		}
		first = x;
		number = 1;
	}
	if (!r)
		tfs_sort(order, n, order + n, by_name);
	return r;
}
