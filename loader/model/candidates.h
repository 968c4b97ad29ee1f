/* SPDX-License-Identifier: MIT */
/*
 * Which files of a directory form a weight set:
 *
 * 1. an index makes a set of the shards that it lists, plus those that it should have listed, as they are named like one of them;
 * 2. of the rest, what is named NAME-00001-of-00003 is grouped by NAME and number of shards;
 * 3. the files of a format with struct tfs_format.one_set are one set;
 * 4. any other weight file is a set of its own.
 *
 * Only valid files are in sets. A broken one, be it shard or index, doesn't affect others.
 *
 * Part of building a model; single-threaded.
 */
#ifndef TFS_GROUP_H
#define TFS_GROUP_H

#include "model/impl.h"
#include "model/index.h"

/* Not in any candidate. */
#define TFS_NO_CANDIDATE SIZE_MAX

/* A weight file or an index, and the result of parsing it. */
struct tfs_weight_file {
	uint32_t node;
	bool is_index;
	bool is_ambiguous;  /* its name may be that of weights or of something else */
	bool is_other;	    /* and it isn't weights; ignored from then on */
	const char *unread; /* then, if it is of a kind that isn't read, what it is; static */
	bool missing;	    /* a dangling link that an index lists as a shard: the index reports it, so no warning of its own */
	size_t candidate;   /* the first that has it, as an index into struct tfs_candidates.all, or TFS_NO_CANDIDATE */
	const struct tfs_format *format;
	struct tfs_catalog *catalog; /* of a valid weight file, sorted by name; of a broken one, the part that was read, or NULL */
	struct tfs_index *index;     /* of a valid index */
	const struct tfs_error *err; /* of a broken one */
	struct tfs_share share;	     /* of what parsing may cost */
};

/* Is it a readable weight file? */
static inline bool tfs_is_sound(const struct tfs_weight_file *file)
{
	return file->catalog && !file->err;
}

/* A future set. What it points to belongs to the files, to the model or to the candidates. */
struct tfs_candidate {
	const char *stem; /* in the model's arena; not yet unique */
	const struct tfs_format *format;
	bool companion;		       /* see struct tfs_set */
	unsigned rank;		       /* 0: shards, 1: a file named like a complete model, 2: any other */
	struct tfs_weight_file *index; /* or NULL */
	const void **files;	       /* struct tfs_weight_file *, in name order; valid */
	size_t n_files, room_files;
	size_t n_listed; /* files that the index, or the names, refer to */
	/*
	 * If not all the shards can be read that the name of one implies: how many that is, how many exist, and how many can be
	 * read.
	 */
	size_t n_named, n_there, n_sound;
	bool lacks_shards;			/* implied by the name of one, whether or not there is anything to report */
	const struct tfs_weight_file *unlisted; /* the first of @n_unlisted files that the index doesn't list */
	size_t n_unlisted;
	const struct tfs_error *err; /* why it is broken, or NULL */
};

static inline struct tfs_weight_file *tfs_candidate_file(const struct tfs_candidate *d, size_t i)
{
	return (struct tfs_weight_file *)d->files[i];
}

struct tfs_candidates {
	struct tfs_candidate *all;
	size_t n, room;
	struct tfs_arena arena;
};

/* Does the file have only one rank's parts of its tensors (torch's distributed checkpoints)? */
bool tfs_has_parts(const struct tfs_catalog *catalog);

/*
 * Group the @n weight files and indexes of the directory @dir, in node order, into @candidates (empty). An index that is broken, or that
 * lists no valid file, is a broken candidate without files. 0 or -ENOMEM.
 */
int tfs_group(struct tfs_model_impl *m, uint32_t dir, struct tfs_weight_file *files, size_t n, struct tfs_candidates *candidates);
void tfs_candidates_clear(struct tfs_candidates *candidates);

/* Mark the candidate as broken by @err, which is copied. 0 or -ENOMEM. */
int tfs_candidate_fail(struct tfs_candidates *candidates, struct tfs_candidate *d, const struct tfs_error *err);

#endif
