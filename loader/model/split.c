/* SPDX-License-Identifier: MIT */
/*
 * Compares what the files of a set say about the split that made them with the files that exist: llama.cpp refuses a model if they
 * differ. We only warn, as each tensor is defined by its own file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/sort.h"
#include "model/impl.h"

static const struct tfs_split *split_of(const struct tfs_shard *s)
{
	return tfs_catalog_split(s->catalog);
}

/* Those without a number last. */
static int by_number(const void *a, const void *b)
{
	struct tfs_split_number x = split_of(a)->no, y = split_of(b)->no;

	if (x.given != y.given)
		return y.given - x.given;
	return x.given ? (x.n > y.n) - (x.n < y.n) : 0;
}

static struct tfs_split_number count_of(const struct tfs_shard *s)
{
	return split_of(s)->count;
}

static struct tfs_split_number tensors_of(const struct tfs_shard *s)
{
	return split_of(s)->tensors;
}

/* The first file that has the number, or NULL. */
static const struct tfs_shard *first_with(const struct tfs_shard *shards, size_t n,
					  struct tfs_split_number (*number_of)(const struct tfs_shard *))
{
	for (size_t i = 0; i < n; i++)
		if (number_of(&shards[i]).given)
			return &shards[i];
	return NULL;
}

/*
 * Warn about the first of the files with a number under @key, or of all if it is @required, that differs from the first that has
 * it.
 */
static void check_same(struct tfs_model_impl *m, const struct tfs_shard *shards, size_t n, const char *key, bool required,
		       struct tfs_split_number (*number_of)(const struct tfs_shard *))
{
	const struct tfs_shard *first = first_with(shards, n, number_of);

	for (size_t i = 0; i < n && first; i++) {
		struct tfs_split_number have = number_of(&shards[i]), want = number_of(first);

		if (!have.given && required)
			tfs_model_warn(m, shards[i].node, -EINVAL, "has no %s, but that of %s is %" PRId64, key,
				       m->nodes[first->node].name, want.n);
		else if (have.given && have.n != want.n)
			tfs_model_warn(m, shards[i].node, -EINVAL, "%s is %" PRId64 ", but that of %s is %" PRId64, key, have.n,
				       m->nodes[first->node].name, want.n);
		else
			continue;
		return;
	}
}

static int check_numbers(struct tfs_model_impl *m, const struct tfs_shard *shards, size_t n, int64_t count)
{
	cleanup_free const void **order = reallocarray(NULL, n, 2 * sizeof *order);

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &shards[i];
	tfs_sort(order, n, order + n, by_number);
	for (size_t i = 0; i < n; i++) {
		const struct tfs_shard *s = order[i], *before = i ? order[i - 1] : NULL;
		struct tfs_split_number no = split_of(s)->no;

		if (!no.given)
			tfs_model_warn(m, s->node, -EINVAL, "has no split.no, though it is one of %" PRId64 " files", count);
		else if (no.n < 0 || no.n >= count)
			tfs_model_warn(m, s->node, -EINVAL, "split.no is %" PRId64 " of %" PRId64 " files, which count from 0",
				       no.n, count);
		else if (before && !by_number(before, s))
			tfs_model_warn(m, s->node, -EINVAL, "split.no is %" PRId64 ", and so is that of %s", no.n,
				       m->nodes[before->node].name);
		else if (count == (int64_t)n && s != &shards[i])
			tfs_model_warn(m, s->node, -EINVAL, "split.no is %" PRId64 ", though by the file names that is %s", no.n,
				       m->nodes[shards[i].node].name);
		else
			continue;
		break;
	}
	return 0;
}

/* All files exist: do all tensors? */
static void check_tensors(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n)
{
	const struct tfs_shard *counted = first_with(shards, n, tensors_of);
	struct tfs_split_number want = counted ? tensors_of(counted) : (struct tfs_split_number){ 0 };
	uint64_t have = 0;
	size_t count;

	for (size_t i = 0; i < n; i++) {
		tfs_catalog_tensors(shards[i].catalog, &count);
		have += count;
		tfs_catalog_left_out(shards[i].catalog, &count);
		have += count;
	}
	if (!want.given || (want.n >= 0 && (uint64_t)want.n == have))
		return;
	set->incomplete = set->incomplete || want.n > (int64_t)have;
	tfs_model_warn(m, counted->node, -EINVAL,
		       "split.tensors.count says that its model has %" PRId64 " tensors; its files have %" PRIu64, want.n, have);
}

int tfs_split_check(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n, size_t n_named)
{
	const struct tfs_shard *counted = first_with(shards, n, count_of);
	int64_t count;

	if (!counted)
		return 0;
	count = count_of(counted).n;
	if (!count && n == 1)
		return 0; /* llama-gguf-split --merge writes that: it is split no more */
	if (count < 0 || (uint64_t)count != n_named)
		tfs_model_warn(m, counted->node, -ENOENT,
			       "split.count says that its model is in %" PRId64 " files; this one has %zu", count, n);
	set->incomplete = set->incomplete || count > (int64_t)n;
	check_same(m, shards, n, "split.count", true, count_of);
	check_same(m, shards, n, "split.tensors.count", false, tensors_of);
	if (count == (int64_t)n)
		check_tensors(m, set, shards, n);
	return check_numbers(m, shards, n, count);
}
