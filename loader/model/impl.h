/* SPDX-License-Identifier: MIT */
/* What model.c, scan.c, covered.c, ways.c, sets.c, nothing.c, merge.c and resolve.c share while a model is built. For no one else. */
#ifndef TFS_MODEL_IMPL_H
#define TFS_MODEL_IMPL_H

#include "base/arena.h"
#include "format/sniff.h"
#include "model/index.h"
#include "model/model.h"

struct tfs_model_impl {
	struct tfs_model pub; /* first, so that a struct tfs_model * is one of this */
	struct tfs_node *nodes;
	size_t room_nodes;
	uint32_t *followed;
	size_t room_followed;
	struct tfs_way *ways;
	struct tfs_set *sets;
	struct tfs_catalog **catalogs; /* own the tensors' names and shapes, and the tables of sets of one file */
	size_t n_catalogs;
	struct tfs_arena arena;		       /* names, and the tables of merged sets */
	uint32_t given;			       /* the file that was given as MODEL and is told by its content, or UINT32_MAX */
	const struct tfs_format *given_format; /* of that file */
	bool undecided; /* while it is scanned: it is not yet known which links lead inside, so that none is entered */
	unsigned threads;
	tfs_warn_fn *warn;
	void *warn_arg;
};

/*
 * Fill @m's storage and nodes from @path. -errno with @err filled; what was built stays with @m.
 */
int tfs_scan(struct tfs_model_impl *m, const char *path, struct tfs_error *err);

/* Parse all weight files among the nodes and fill @m's sets. The same. */
int tfs_sets_find(struct tfs_model_impl *m, struct tfs_error *err);

/* What the file @node is by its content; of what can't be read nothing is known. */
struct tfs_sniffed tfs_sniff_node(const struct tfs_model *m, uint32_t node);

/* -EINVAL, with @err saying that @m, of @n_dirs directories, has no weights, what they would be named, and what is there instead. */
int tfs_nothing_found(const struct tfs_model *m, size_t n_dirs, struct tfs_error *err);

/* The format whose shards an index of this name would list, or NULL. */
const struct tfs_format *tfs_index_format(const char *file_name);

struct tfs_shard {
	uint32_t node;
	struct tfs_catalog *catalog; /* sorted by name */
};

/* Does a set of @n shards use the catalog's own table? Not where another index may list the same shard. */
static inline bool tfs_merge_keeps(size_t n, const struct tfs_index *index)
{
	return n == 1 && !index;
}

/*
 * Make one table of the tensors of @n shards (1 or more, in name order), with what @index, the file @index_node, says of
 * them (NULL: no index). Fills all of @set that is about tensors and sources; the tables belong to @m's arena, except
 * where tfs_merge_keeps(). -EINVAL, @err filled: external data that isn't there, or what tfs_resolve() says. -ENOMEM.
 */
int tfs_merge(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n,
	      const struct tfs_index *index, uint32_t index_node, struct tfs_error *err);

/*
 * Of the @n tensors at @t, which are sorted by name, those of one name in the order of their shards, keep one of each name, and fill
 * @set's tensors (those at @t), total_bytes and missing. A tensor's source is an index into set->sources, of which the first @n_shards
 * are @shards. What @index (NULL: none) says decides which of several copies counts; where it says nothing equal ones are one, which
 * reads them. Warns of all that is odd. -EINVAL, @err filled: without an index a name stands for different tensors. -ENOMEM.
 */
int tfs_resolve(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n_shards,
		struct tfs_tensor *t, size_t n, const struct tfs_index *index, uint32_t index_node, struct tfs_error *err);

/*
 * The node of @location, a path in a weight file of directory @dir, out of which it does not lead. UINT32_MAX, @err filled: there is
 * no such file.
 */
uint32_t tfs_merge_location(const struct tfs_model *m, uint32_t dir, const char *location, struct tfs_error *err);

/*
 * Leave out of @catalog, of a file in @dir, the tensors whose bytes are in another file that is not there, is still to be downloaded, or
 * is too short. Any thread, once the nodes are complete. -ENOMEM.
 */
int tfs_external_check(const struct tfs_model *m, uint32_t dir, struct tfs_catalog *catalog);

/*
 * Warn where the @n shards of @set, which their names say are @n_named, are not the files of the split that they speak of (struct
 * tfs_split); it is incomplete then where files or tensors are missing. -ENOMEM.
 */
int tfs_split_check(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n, size_t n_named);

/* Warn about @node (UINT32_MAX: about no file). */
void tfs_model_warn(struct tfs_model_impl *m, uint32_t node, int code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same, about byte @offset of it. */
void tfs_model_warn_at(struct tfs_model_impl *m, uint32_t node, int code, uint64_t offset, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Name @node as the file that @err is about. */
void tfs_model_error_in(const struct tfs_model *m, uint32_t node, struct tfs_error *err);

#endif
