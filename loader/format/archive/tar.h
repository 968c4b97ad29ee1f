/* SPDX-License-Identifier: MIT */
/*
 * The members of a tar file: POSIX's ustar and pax (pax(1p), "ustar Interchange Format" and "pax Header Block"), GNU's with long names
 * and large sizes (its manual, "Basic Tar Format"), and those of before. Not a format by itself.
 */
#ifndef TFS_FORMAT_TAR_H
#define TFS_FORMAT_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

enum { TFS_TAR_BLOCK = 512 };

/* A regular file. */
struct tfs_tar_member {
	const char *name; /* NUL-terminated; of the walk, so to be copied */
	uint64_t offset;  /* of its bytes in the tar file, */
	uint64_t size;	  /* all of which are there */
	bool sparse;	  /* these aren't the file as it is, but parts of it */
};

/* 0; or -errno, which ends the walk and becomes its result. */
typedef int tfs_tar_fn(void *arg, const struct tfs_tar_member *m);

/* Does a tar file begin with these @len bytes: a header with a name and the right checksum? */
bool tfs_tar_claims(const uint8_t *start, size_t len);

/*
 * Call @fn for each regular file of the tar file @in, in order, of the first @most members. -EINVAL with @err filled: it is damaged or
 * cut short; what came before was valid. -ENOMEM.
 */
int tfs_tar_walk(const struct tfs_input *in, uint32_t most, tfs_tar_fn *fn, void *arg, struct tfs_error *err);

#endif
