/* SPDX-License-Identifier: MIT */
/*
 * Shared by model.c, scan.c, given.c, covered.c, ways.c, sets.c, nothing.c, merge.c and resolve.c while a model is built; private to them.
 */
#ifndef TFS_MODEL_IMPL_H
#define TFS_MODEL_IMPL_H

#include "base/arena.h"
#include "format/sniff.h"
#include "model/index.h"
#include "model/inside.h"
#include "model/model.h"
#include "model/seen.h"

struct tfs_model_impl {
	struct tfs_model pub; /* first, so a struct tfs_model * points to this, too */
	struct tfs_node *nodes;
	size_t room_nodes;
	uint32_t *followed;
	size_t room_followed;
	struct tfs_way *ways;
	struct tfs_acl_of *acls;
	struct tfs_set *sets;
	bool *is_source;
	struct tfs_unread *unread;
	size_t room_unread;
	struct tfs_catalog **catalogs; /* own the tensors' names and shapes, and the tables of single-file sets */
	size_t n_catalogs;
	struct tfs_arena arena;		       /* names, and the tables of merged sets */
	uint32_t given;			       /* the file given as MODEL if it is recognised by its content, or UINT32_MAX */
	const struct tfs_format *given_format; /* of that file */
	struct tfs_inside inside;	       /* while scanning: where links may lead */
	bool follow_all;		       /* … anywhere */
	const char *given_name;		       /* the file given as MODEL, in the root; NULL: a directory was given */
	size_t n_outside;		       /* links of the directory being read that aren't followed */
	const char *outside;		       /* the first of them */
	uint32_t *unseen;		       /* directories of which entries were left out, as nobody could look what they are */
	size_t n_unseen, room_unseen;
	uint32_t deep; /* the first directory that isn't read, as it is nested too deep, of */
	size_t n_deep;
	struct tfs_seen seen; /* while scanning what followed links lead to */
	bool undecided;	      /* while scanning: it isn't known yet which links lead inside, so none is followed */
	unsigned threads;
	struct tfs_scan_cost scan; /* what parsing may cost, and has */
	tfs_warn_fn *warn;
	void *warn_arg;
};

/*
 * Fill @m's storage and nodes from @path. -errno with @err filled; @m keeps what was built.
 */
int tfs_scan(struct tfs_model_impl *m, const char *path, struct tfs_error *err);

/* What @name in the directory @dir is, "" being the directory itself; @follow: what it leads to, if it is a link. 0 or -errno. */
int tfs_scan_look(const struct tfs_model_impl *m, int dir, const char *name, bool follow, struct tfs_dirent *ret);

/*
 * What the link @name of the directory @dir, which is @node, leads to, by way of other links. -EXDEV: out of the model's directory,
 * where it isn't followed. Whoever names a link as MODEL has said that it is to be followed.
 */
int tfs_scan_look_through(const struct tfs_model_impl *m, uint32_t node, int dir, const char *name, struct tfs_dirent *ret);

/* The names in the directory @dir, sorted, into *@ret_names, an array that the caller frees; the names are in @arena. 0 or -errno. */
int tfs_scan_list(const struct tfs_storage *s, int dir, struct tfs_arena *arena, const void ***ret_names, size_t *ret_count);

/* Their order, for tfs_sort(). */
int tfs_scan_by_name(const void *a, const void *b);

/* Parse all weight files among the nodes and fill @m's sets. As tfs_scan(). */
int tfs_sets_find(struct tfs_model_impl *m, struct tfs_error *err);

/* What the file @node is by its content; nothing, if it can't be read. */
struct tfs_sniffed tfs_sniff_node(const struct tfs_model *m, uint32_t node);

/* -EINVAL, with @err saying that @m, of @n_dirs directories, has no weights, how they would be named, and what exists instead. */
int tfs_nothing_found(const struct tfs_model *m, size_t n_dirs, struct tfs_error *err);

/*
 * @err says that @node isn't weights. If by its name it has the weights that another file lists, which is there and isn't read (a damaged
 * model.json of TensorFlow.js), say that of the other one instead: true; or false if it was @told already, by node. Else true.
 */
bool tfs_explain_part(const struct tfs_model *m, uint32_t node, bool *told, struct tfs_error *err);

/* Is the file @node only what stands for one: a Git LFS pointer, or zero bytes? */
bool tfs_is_absent(const struct tfs_model *m, uint32_t node);

/* Is @node in a directory that is a compiled model, of which nothing is read? */
bool tfs_in_compiled(const struct tfs_model *m, uint32_t node);

/* What @node is, as from tfs_model_unread(), if it is weights that aren't read; else NULL. */
const char *tfs_unread_what(const struct tfs_model *m, uint32_t node);

/* The format whose shards an index of this name would list, or NULL. */
const struct tfs_format *tfs_index_format(const char *file_name);

struct tfs_shard {
	uint32_t node;
	struct tfs_catalog *catalog; /* sorted by name */
};

/* Does a set of @n shards use the catalog's own table? Not if another index may list the same shard. */
static inline bool tfs_merge_keeps(size_t n, const struct tfs_index *index)
{
	return n == 1 && !index;
}

/*
 * Make one table of the tensors of @n shards (1 or more, in name order), with what @index, the file @index_node, says about them
 * (NULL: no index). Fills all fields of @set about tensors and sources; the tables belong to @m's arena, except where
 * tfs_merge_keeps(). -EINVAL, @err filled: missing external data, or an error of tfs_resolve(). -ENOMEM.
 */
int tfs_merge(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n,
	      const struct tfs_index *index, uint32_t index_node, struct tfs_error *err);

/*
 * From the @n tensors at @t, sorted by name and equal names by shard, keep one of each name, and fill @set's tensors (those at @t),
 * total_bytes and missing. A tensor's source is an index into set->sources, of which the first @n_shards are @shards. @index (NULL:
 * none) decides which of several copies is used; if it says nothing, equal ones are one, which requires reading them. Warns about
 * everything odd. -EINVAL, @err filled: without an index a name has different tensors. -ENOMEM.
 */
int tfs_resolve(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n_shards,
		struct tfs_tensor *t, size_t n, const struct tfs_index *index, uint32_t index_node, struct tfs_error *err);

/*
 * The node of @location, a path in a weight file of directory @dir, which must not lead out of it. UINT32_MAX, @err filled: no such
 * file.
 */
uint32_t tfs_merge_location(const struct tfs_model *m, uint32_t dir, const char *location, struct tfs_error *err);

/*
 * Leave out of @catalog, of a file of @format in @dir, the tensors whose bytes are in another file that is missing, not downloaded yet, or
 * too short. Any thread, once the nodes are complete. -ENOMEM.
 */
int tfs_external_check(const struct tfs_model *m, uint32_t dir, const struct tfs_format *format, struct tfs_catalog *catalog);

/*
 * Warn if the @n shards of @set, @n_named by their names, aren't the files of the split that they describe (struct tfs_split); the
 * set is incomplete if files or tensors are missing. -ENOMEM.
 */
int tfs_split_check(struct tfs_model_impl *m, struct tfs_set *set, const struct tfs_shard *shards, size_t n, size_t n_named);

/* Warn about @node (UINT32_MAX: about no file). */
void tfs_model_warn(struct tfs_model_impl *m, uint32_t node, int code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same, about byte @offset of it. */
void tfs_model_warn_at(struct tfs_model_impl *m, uint32_t node, int code, uint64_t offset, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
