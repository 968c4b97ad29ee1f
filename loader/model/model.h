/* SPDX-License-Identifier: MIT */
/*
 * A model directory, scanned once: the tree of its files as a snapshot, and the weight sets found in it. Immutable after
 * tfs_model_open(), so any thread may read it without a lock.
 */
#ifndef TFS_MODEL_H
#define TFS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "format/format.h"
#include "storage/storage.h"
#include "tensor/catalog.h"

/*
 * Limits of a scan, each far above any real model, so a mistaken path (a home directory, a loop of links) results in an error
 * instead of using up all memory.
 */
#define TFS_MAX_NODES (4u << 20) /* files and directories: about 500 MB of table */
#define TFS_MAX_DEPTH 64	 /* nested directories */

#define TFS_NODE_ROOT 0u

/* A link of the mirrored tree that is shown as one: the results of lstat(2) and readlink(2). */
struct tfs_link {
	const char *target;
	bool outside; /* out of the model, and not followed */
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
};

#define TFS_NPY_ALIGN 4096u /* a page */

/*
 * One file or directory of the mirrored tree, with what stat(2) said at mount time. Links are followed: a link to a file
 * is that file, a link to a directory is that directory (the Hugging Face cache is made of links). How a link is shown is
 * separate, and determined by @link:
 * - a link whose target is outside of the model directory, or absolute, is shown as its target;
 * - one to a file inside is shown as a link, and everything else here is the file's: a weight file has the link's name;
 * - one to a directory inside is shown as a link and is nothing else (S_ISLNK): its content is found at the target;
 * - so is a dangling one, or one to one of its own parents.
 */
struct tfs_node {
	const char *name;		  /* NUL-terminated, one path component; "" for the root */
	const struct tfs_link *link;	  /* of a node that is shown as a link, else NULL */
	uint32_t parent;		  /* node; the root's parent is the root */
	uint32_t first_child, n_children; /* directories: children are adjacent in nodes[], sorted by strcmp of name */
	uint32_t first_set, n_sets;	  /* directories: weight sets in sets[], the primary one first */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct tfs_identity id; /* if a later open finds another one, the file was replaced or changed */
};

/* Who may read a file or search a directory. */
struct tfs_rights {
	uid_t uid;
	gid_t gid;
	mode_t mode;
	const struct tfs_acl *acl; /* model/acl.h; NULL: none */
};

/* The directories that a followed link leads through, except those that everybody may search; each once. */
struct tfs_way {
	size_t n;
	const struct tfs_rights *dirs;
};

struct tfs_acl_of {
	uint32_t node;
	const struct tfs_acl *acl;
};

/* One file's metadata. */
struct tfs_file_metadata {
	size_t n;
	const struct tfs_metadata *pairs; /* in the file's order */
	size_t n_recipes;
	const struct tfs_recipe *recipes; /* which of its tensors are codes */
};

/* Tensors that belong together: one file, or all shards of one index. */
struct tfs_set {
	const char *stem; /* "model" of model.safetensors; unique in its directory (a second one is "model~") */
	const struct tfs_format *format;
	uint32_t dir;	 /* node of the directory it is in */
	bool sharded;	 /* consists of several files, of which some may be missing */
	bool incomplete; /* some of its tensors or shards are missing or broken, according to its index, names and files */
	bool companion;	 /* accompanies a model, such as a projector, an adapter, or an optimizer's state */
	uint32_t n_sources;
	const uint32_t *sources; /* nodes of the files: its own in name order, then those of external data */
	size_t n_tensors;
	const struct tfs_tensor *tensors; /* sorted by name: memcmp, then length; no duplicates */
	const uint32_t *by_offset;	  /* the same in file order: indices into tensors, sorted by (index in sources, offset) */
	uint32_t index; /* node of the file that lists its shards, and so says what is missing; UINT32_MAX: none */
	size_t n_missing;
	/*
	 * Names, sorted: tensors that the index lists but whose shard doesn't have them or can't be read; those left out because
	 * they can't be read; and those in two shards with different bytes, if nothing says which copy to use.
	 */
	const char *const *missing;
	uint32_t n_files; /* sources[0 … n_files) are the set's own files, whose metadata this is: */
	const struct tfs_file_metadata *metadata;
	uint64_t total_bytes; /* sum of nbytes */
	/*
	 * Scaled weights (tensor/scaled.h), sorted by name. As tensors of the set they are numbered after tensors[]; f32/ shows
	 * them instead of the tensors that are codes.
	 */
	size_t n_scaled;
	const struct tfs_tensor *scaled;
	size_t n_said_by;
	const uint32_t *said_by; /* nodes of the files that were asked what scaled weights are; unless they have parts of these */
	size_t n_parts;
	const struct tfs_part *parts; /* their parts, sorted by tensor */
};

/* A tensor that is part of a scaled weight. */
struct tfs_part {
	uint32_t tensor; /* in set->tensors */
	uint32_t scaled; /* in set->scaled */
};

/* A file of weights that isn't read. */
struct tfs_unread {
	uint32_t node;
	const char *what; /* "a TensorRT engine"; static */
};

struct tfs_model {
	struct tfs_storage *storage; /* the directory, from which all files are opened */
	size_t n_nodes;
	const struct tfs_node *nodes; /* nodes[TFS_NODE_ROOT] is the directory itself */
	size_t n_followed;
	const uint32_t *followed;   /* nodes that are links to what they describe, in ascending order; shown as links or not */
	const struct tfs_way *ways; /* for each of followed; NULL: all are open to everybody, or not determined */
	size_t n_acls;
	const struct tfs_acl_of *acls; /* access control lists, sorted by node; none: also if they aren't determined */
	size_t n_sets;
	const struct tfs_set *sets; /* the sets of a directory are adjacent, primary first */
	const bool *is_source;	    /* by node: is it among the sources of a set? */
	size_t n_unread;
	const struct tfs_unread *unread; /* for tfs_model_unread(): those whose content says what they are, sorted by node */
	unsigned npy_align; /* the data of files in npy/ and f32/ begins at a multiple of it: TFS_NPY_ALIGN unless set otherwise */
};

/*
 * Called for everything that is left out or odd but doesn't prevent the mount. Its code is -EOPNOTSUPP if the model may well be as it
 * should, but values can't be computed.
 */
typedef void tfs_warn_fn(void *arg, const struct tfs_error *warning);

/*
 * Scan @path: a directory; or a weight file, recognised by its name, else by its content, or an index: then that file is shown, the
 * set that it is part of, and the files that contain its tensors. Headers are parsed by up to @threads threads. A file that is
 * broken, or a set whose shards contradict each other, is left out with a warning, as long as another one is valid, unless that one
 * has tensors in the broken file. -EINVAL: nothing valid in it (@err is that of the most preferred format's first set, or says that
 * no weights were found); otherwise the errno of the scan. On success the caller owns *@ret_model.
 */
int tfs_model_open(const char *path, unsigned threads, tfs_warn_fn *warn, void *warn_arg, struct tfs_model **ret_model,
		   struct tfs_error *err);

/*
 * Which links are followed. What INSIDE doesn't follow is shown as a link and warned about. It follows those whose targets are in the
 * model's directory, by whatever way; where that is a snapshot in the cache of huggingface_hub, in the blobs of the same repository;
 * and @path itself.
 */
enum tfs_follow { TFS_FOLLOW_ALL, TFS_FOLLOW_INSIDE };

/*
 * The same with limits other than the default ones, which follows all links. A file whose parsing would exceed them is left out like a broken one. What a
 * file needs may depend on what others need at the same time, so if one exceeds the memory, all from that on are parsed again, one by one.
 */
int tfs_model_open_limited(const char *path, const struct tfs_scan_limits *limits, enum tfs_follow follow, unsigned threads,
			   tfs_warn_fn *warn, void *warn_arg, struct tfs_model **ret_model, struct tfs_error *err);
void tfs_model_destroy(struct tfs_model *m); /* takes NULL */

/* Set @node as the file that @err is about. */
void tfs_model_error_in(const struct tfs_model *m, uint32_t node, struct tfs_error *err);

/*
 * "PATH: FILE: …" of an error of a model that was opened as @path, into @buf, without repeating a path that is also the file's.
 * TFS_ERROR_LINE plus the path's length is enough. Returns @buf.
 */
const char *tfs_model_error_line(const char *path, const struct tfs_error *err, char *buf, size_t size);
/* The only thing that may be changed after the model was opened, before anything else uses it: 64 or TFS_NPY_ALIGN. */
void tfs_model_set_npy_align(struct tfs_model *m, unsigned align);

/* Owner, group, mode and access control list of @node. */
struct tfs_rights tfs_model_rights(const struct tfs_model *m, uint32_t node);

/*
 * Read the access control lists of files and directories, and determine which directories each followed link leads through: those in which the kernel looks something up when it follows the
 * link (path_resolution(7)), but neither those that are parents of @node in the tree, as the caller has come through them, nor
 * those above the model directory, which the mount replaces. What has a list that can't be read is only for root. Like tfs_model_set_npy_align(), only before anything else uses the
 * model. 0 or -ENOMEM.
 */
int tfs_model_find_rights(struct tfs_model *m);

/* The directories that the link @node leads through; NULL: it isn't a link, or everybody may follow it. */
const struct tfs_way *tfs_model_way(const struct tfs_model *m, uint32_t node);

/* Path of @node relative to the model directory, "." for the root. -ENAMETOOLONG: it doesn't fit in @size bytes. */
int tfs_model_path(const struct tfs_model *m, uint32_t node, char *buf, size_t size);

/*
 * Open a regular file of the model for reading, provided it is still the file of the snapshot. 0: the caller closes *@ret_input; or
 * -errno: -ESTALE if it was replaced, removed or changed; -EINVAL if it isn't a regular file.
 */
int tfs_model_open_input(const struct tfs_model *m, uint32_t node, struct tfs_input *ret_input);

/* What is wrong if opening or checking @node has failed with @code: -ESTALE, of a file that is elsewhere what its origin has said. */
const char *tfs_model_why(const struct tfs_model *m, uint32_t node, int code);

/*
 * The same, as a descriptor that the caller owns, or -errno. @flags: O_DIRECT or 0. Of a remote file only if all of it is in the cache;
 * else -ENOENT.
 */
int tfs_model_open_node(const struct tfs_model *m, uint32_t node, int flags);

/* Are its files elsewhere, so that what isn't in a cache has to be waited for longer, and has no descriptor? */
bool tfs_model_is_remote(const struct tfs_model *m);

/* Would tfs_model_open() take it as the URL of a remote model, and not as a path? */
bool tfs_model_path_is_remote(const char *path);

/* A descriptor on the file system that originals are on, where the kernel reads them; not the caller's; or -1. */
int tfs_model_originals_fd(const struct tfs_model *m);

/* The name of a remote model, "hf://org/model@1a2b3c4"; NULL: it is local, and has a path. */
const char *tfs_model_name(const struct tfs_model *m);

/* What the origin of a remote model says that file @node is: its SHA-256, or Git's SHA-1, in hexadecimal; NULL: nothing. */
const char *tfs_model_listed_hash(const struct tfs_model *m, uint32_t node);

/* False: it is local, and there are none. Thread-safe. */
bool tfs_model_storage_stats(const struct tfs_model *m, struct tfs_storage_stats *ret_stats);

/*
 * Is @in still the file that the snapshot describes, and is that still the file at its path, to detect a file replaced by
 * rename(2)? 0, -ESTALE, or another error.
 */
int tfs_model_check_node(const struct tfs_model *m, uint32_t node, const struct tfs_input *in);

/*
 * Is a file of the model reached through the directory @dir, other than from the model directory downwards? Then a mount on @dir
 * would cover it. 1: *@ret_node is one such; 0: none.
 */
int tfs_model_covered(const struct tfs_model *m, const struct stat *dir, uint32_t *ret_node);

/* The file or directory at @path, relative to the model directory, or UINT32_MAX. */
uint32_t tfs_model_find(const struct tfs_model *m, const char *path);
/*
 * Where @path leads from the directory @dir in the tree as it is shown, following links. UINT32_MAX: nowhere, or out of it; paths
 * that begin with '/' always are.
 */
uint32_t tfs_model_walk(const struct tfs_model *m, uint32_t dir, const char *path);

/* The child with that name (@len bytes), or UINT32_MAX. */
uint32_t tfs_model_find_child(const struct tfs_model *m, uint32_t dir, const char *name, size_t len);

/*
 * The first file or directory from node *@node on that is weights of a kind that isn't read, by its name or by what is known of its content:
 * sets *@node to it, and returns what it is ("a TensorRT engine"). NULL: there is none. Costs no IO.
 */
const char *tfs_model_unread(const struct tfs_model *m, uint32_t *node);

/* The number of tensors of a set, including scaled weights; and the tensor with that number. */
static inline size_t tfs_set_n_all(const struct tfs_set *set)
{
	return set->n_tensors + set->n_scaled;
}

static inline const struct tfs_tensor *tfs_set_tensor(const struct tfs_set *set, size_t tensor)
{
	return tensor < set->n_tensors ? &set->tensors[tensor] : &set->scaled[tensor - set->n_tensors];
}

/* The scaled weight that tensor number @tensor is, or one that it is part of; NULL: none. */
const struct tfs_tensor *tfs_set_scaled_of(const struct tfs_set *set, size_t tensor);

/* The tensor with exactly that name, as an index into set->tensors, or SIZE_MAX. */
size_t tfs_set_find(const struct tfs_set *set, const char *name, size_t len);

#endif
