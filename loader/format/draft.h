/* SPDX-License-Identifier: MIT */
/*
 * The tensors of a file while it is being read, for formats whose names may not be unique: a table that checks each, makes the names
 * unique once all are known, and puts them into the catalog.
 */
#ifndef TFS_FORMAT_DRAFT_H
#define TFS_FORMAT_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "tensor/catalog.h"

struct tfs_input;

/* Tensors in one file: ten times those of the largest models, whose experts are separate tensors. */
#define TFS_DRAFT_MAX_TENSORS (1u << 20)

/* Bytes of a name, far more than the path of modules that it is made of. */
#define TFS_DRAFT_MAX_NAME 65535u

/* How the values of codes are made: (code - zero) * scale. */
struct tfs_draft_scales {
	const char *op;	     /* as the format calls it; static. NULL: the tensor isn't codes */
	const char *wrong;   /* static: why there are no values; or NULL */
	const float *scales; /* @n */
	const float *zeros;  /* @n; or NULL: all are 0 */
	size_t n;	     /* 1: for all of it; else one for each index of @axis */
	unsigned axis;
	/* Instead of all these: code * by + plus, in double precision. */
	bool affine, round; /* round: to the next integer */
	double by, plus;
};

/* One tensor. The caller owns what it points to, which is copied. */
struct tfs_draft {
	const char *name; /* any bytes; where it isn't UTF-8 the file is refused */
	size_t name_len;
	const struct tfs_dtype *dtype;
	const uint64_t *shape;
	unsigned ndim;
	uint64_t at;		 /* of its record in the file, for messages */
	uint64_t offset;	 /* of its bytes */
	uint64_t stored;	 /* how many the file says there are */
	uint8_t swap;		 /* as struct tfs_encoding's */
	const uint64_t *strides; /* the same, @ndim of them: the bytes are in another order, without gaps; or NULL */
	const char
		*location; /* @location_len bytes: the bytes are in that file, as for tfs_catalog_external(); NULL: in this one */
	size_t location_len;
	size_t run; /* plus 1: the bytes are in the files of that run, see tfs_drafts_run(), and @offset counts through all of them */
	struct tfs_draft_scales scales;
};

struct tfs_drafts {
	struct tfs_catalog *catalog;
	const struct tfs_input *in;
	struct tfs_error *err;
	bool strict; /* a name twice is an error; else the second becomes NAME~2 */

	/* Private. */
	struct tfs_arena arena;
	struct tfs_draft_row *all;
	size_t n, room;
	size_t name_bytes, dims;
	struct tfs_run *runs; /* first: of the paths */
	size_t n_runs, room_runs;
	const char **paths;
	size_t n_paths, room_paths;
};

void tfs_drafts_init(struct tfs_drafts *d, const struct tfs_input *in, struct tfs_catalog *catalog, struct tfs_error *err);
void tfs_drafts_fini(struct tfs_drafts *d);

/*
 * Add @t. One whose bytes aren't as many as its type and shape require, or aren't in the file, is left out of the catalog with a
 * warning. 0; -ENOMEM; -EINVAL with the error filled: more tensors, or a longer name, than the limits; a name that isn't UTF-8.
 */
int tfs_drafts_add(struct tfs_drafts *d, const struct tfs_draft *t);

/* Leave it out for this reason. The same. */
int tfs_drafts_leave_out(struct tfs_drafts *d, const struct tfs_draft *t, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Files that follow each other as if they were one: *@ret_run is for struct tfs_draft.run, and paths are added to the last one. -ENOMEM. */
int tfs_drafts_run(struct tfs_drafts *d, size_t *ret_run);
void tfs_drafts_total(struct tfs_drafts *d,
		      uint64_t total); /* bytes that the last one's files have together; UINT64_MAX: not known */
int tfs_drafts_path(struct tfs_drafts *d, const char *path, size_t len); /* as for tfs_catalog_external() */

/* All are added: put them into the catalog, in their order. 0; -ENOMEM; -EINVAL with the error filled: a name is used twice. */
int tfs_drafts_catalog(struct tfs_drafts *d);

#endif
