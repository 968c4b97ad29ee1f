/* SPDX-License-Identifier: MIT */
/*
 * Which files of a directory are one weight set:
 *
 * 1. an index makes a set of the shards that it lists; a broken one takes the shards that bear its name with it;
 * 2. what is left and is named NAME-00001-of-00003 is grouped by NAME and number of shards;
 * 3. the sound files of a format that wants it so (struct tfs_format.one_set) are one set;
 * 4. any other weight file is a set of its own.
 *
 * Part of building a model; single-threaded.
 */
#ifndef TFS_GROUP_H
#define TFS_GROUP_H

#include "index.h"
#include "model-impl.h"

/* A weight file or an index, and what parsing made of it. */
struct tfs_weight_file {
	uint32_t node;
	bool is_index;
	bool is_ambiguous; /* its name is that of weights, and of other things, too */
	bool is_other;	   /* and it is none; nobody's from then on */
	bool taken; /* some set has it, or it went down with one */
	const struct tfs_format *format;
	struct tfs_catalog *catalog; /* of a sound weight file, sorted by name; of a broken one, as far as it was read, or NULL */
	struct tfs_index *index;     /* of a sound index */
	const struct tfs_error *err; /* of a broken one */
};

/* A set to be. What it points to belongs to the files, or to the drafts' arena. */
struct tfs_draft {
	const char *stem; /* in the model's arena; not yet unique */
	const struct tfs_format *format;
	unsigned rank;			/* 0: shards, 1: a file whose name is that of a whole model, 2: any other */
	struct tfs_weight_file *index;	/* or NULL */
	struct tfs_weight_file **files; /* in name order */
	size_t n_files;
	size_t n_listed;	     /* files that the index, or the names, speak of */
	const struct tfs_error *err; /* why it is broken, or NULL */
};

struct tfs_drafts {
	struct tfs_draft *all;
	size_t n, room;
	struct tfs_arena arena;
};

/*
 * Group the @n weight files and indexes of the directory @dir, in node order, into @drafts (empty). A draft is broken as
 * soon as one of its files is. 0 or -ENOMEM.
 */
int tfs_group(struct tfs_model_impl *m, uint32_t dir, struct tfs_weight_file *files, size_t n,
	      struct tfs_drafts *drafts);
void tfs_drafts_clear(struct tfs_drafts *drafts);

/* Mark the draft as broken by @err, which is copied. 0 or -ENOMEM. */
int tfs_draft_fail(struct tfs_drafts *drafts, struct tfs_draft *d, const struct tfs_error *err);

#endif
