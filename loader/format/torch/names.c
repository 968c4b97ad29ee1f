/* SPDX-License-Identifier: MIT */
/*
 * Tensors of one path, {"a.b": x, "a": {"b": y}}, get names of their own: the second is a.b~2. What is made of two paths so can't be
 * the same, as what is before the last ~ is the path; it can be what another tensor has been called from the start.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/sort.h"
#include "format/torch/impl.h"

#define MAX_SAME 100 /* the last number */

/* In name order, those of one name as they were found. */
static int by_name(const void *a, const void *b)
{
	const struct tfs_torch_tensor *x = a, *y = b;
	int c = tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);

	return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* By the name that they had from the start, which is the first base_len bytes of the one they have now. */
static int by_first_name(const void *a, const void *b)
{
	const struct tfs_torch_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->base_len, y->name, y->base_len);
}

/* Has a tensor had this name from the start? @order: by that. */
static bool is_taken(const void *const *order, size_t n, const char *name, uint32_t len)
{
	const struct tfs_torch_tensor key = { .name = name, .base_len = len };

	return tfs_sorted_have(order, n, &key, by_first_name);
}

/* Give the tensor the first of the names NAME~2, NAME~3 from @number on that nobody has. */
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
