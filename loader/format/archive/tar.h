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

/* A regular file, or another name of one. */
struct tfs_tar_member {
	const char *name; /* NUL-terminated; of the walk, so to be copied */
	const char *link; /* a hard link: the name of the file, which came before; the same. Else NULL */
	uint64_t offset;  /* of its bytes in the tar file, */
	uint64_t size;	  /* all of which are there, unless it is @cut */
	bool sparse;	  /* these aren't the file as it is, but parts of it */
	bool cut;	  /* the tar file ends before its bytes do, so this is the last member */
	uint32_t number;  /* ascends; of the walk */
};

/* 0; or -errno, which ends the walk and becomes its result. */
typedef int tfs_tar_fn(void *arg, const struct tfs_tar_member *m);

/* Does a tar file begin with these @len bytes: a header with a name and the right checksum? */
bool tfs_tar_claims(const uint8_t *start, size_t len);

/* How a walk ended, other than in an error. */
enum tfs_tar_end {
	TFS_TAR_END,	/* with the zeros that end a tar file (pax(1p), "ustar Interchange Format") */
	TFS_TAR_NO_END, /* where the file ends after a member, without these: there may have been more */
	TFS_TAR_MORE,	/* after the most members to look at; there are more */
};

/*
 * Call @fn for each regular file and hard link of the tar file @in, in order, of the first @most members and extended headers. An enum
 * tfs_tar_end; -EINVAL with @err filled: it is damaged or cut short; what came before was valid. -ENOMEM.
 */
int tfs_tar_walk(const struct tfs_input *in, uint32_t most, tfs_tar_fn *fn, void *arg, struct tfs_error *err);

/* A hard link to be resolved. */
struct tfs_tar_link {
	const char *to;	 /* the name that it is a link to */
	uint32_t number; /* its own, of a walk */
	bool found;	 /* set if there is such a file before it: what its bytes are */
	bool sparse;
	uint64_t offset, size;
};

/*
 * Find out what the @n links of the tar file @in are, among the first @most members: as an extracting program does, the last file of the
 * name before the link, which may be a link as well. -ENOMEM.
 */
int tfs_tar_resolve(const struct tfs_input *in, uint32_t most, struct tfs_tar_link *links, size_t n);

/* A member's name without the "./" that it may begin with. */
static inline const char *tfs_tar_plain(const char *name)
{
	while (name[0] == '.' && name[1] == '/')
		name += 2;
	return name;
}

#endif
