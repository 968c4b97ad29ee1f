/* SPDX-License-Identifier: MIT */
/*
 * The table of a zip file's members (APPNOTE.TXT 6.3.x, zip64 too): torch checkpoints and npz are such files. Not a format by
 * itself. Immutable once read.
 */
#ifndef TFS_FORMAT_ZIP_H
#define TFS_FORMAT_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/sort.h"

enum { TFS_ZIP_STORED = 0, TFS_ZIP_DEFLATED = 8 };

struct tfs_zip_member {
	const char *name; /* @name_len bytes as in the central directory, any but NUL; also NUL-terminated; "a/b" is kept */
	size_t name_len;
	uint16_t method; /* TFS_ZIP_STORED or _DEFLATED; others are kept too, and refused when used */
	bool encrypted;
	const char *unsound; /* while the file is being read: what is wrong with its central header, or NULL */
	uint32_t crc;	     /* CRC-32 of the unpacked bytes */
	uint64_t offset;     /* of its bytes in the file: after the local header, by that header's own lengths */
	uint64_t size;	     /* bytes stored there: [offset, offset + size) is inside the file */
	uint64_t unpacked;   /* bytes after inflating; the same as size if stored */
};

struct tfs_zip {
	size_t n_members;
	const struct tfs_zip_member *members; /* in the order of the central directory */
};

struct tfs_input;

/* Does a zip file begin here: "PK\3\4", or "PK\5\6" of an empty one? */
bool tfs_zip_claims(const uint8_t start[4]);

/*
 * Called for a member that can't be used, though the rest of the file can: @err says why, with the member's name, and its code is
 * -EEXIST if a later member has the same name. 0: continue without it; or an error, which ends reading.
 */
typedef int tfs_zip_unsound_fn(void *arg, const struct tfs_zip_member *m, const struct tfs_error *err);

/*
 * Read the central directory and check each local header against it. -EINVAL with @err: not a valid zip file, or above the limits
 * in zip.c. If @unsound is NULL, this includes files with an invalid member: outside the file, overlapping another one, or with a
 * duplicate name. The caller owns *@ret_zip.
 */
int tfs_zip_read(const struct tfs_input *in, tfs_zip_unsound_fn *unsound, void *arg, struct tfs_zip **ret_zip,
		 struct tfs_error *err);
void tfs_zip_destroy(struct tfs_zip *zip); /* takes NULL */

/* The member of that name, or NULL; the same for a name in @n parts, one after the other. */
const struct tfs_zip_member *tfs_zip_find(const struct tfs_zip *zip, const char *name, size_t len);
const struct tfs_zip_member *tfs_zip_find_parts(const struct tfs_zip *zip, const struct tfs_name_part *parts, size_t n);

/*
 * Read unpacked bytes [0, @len) of a member into @buf, inflating if needed; @len is at most m->unpacked. If it is all of them, the
 * CRC is checked. -EINVAL, @err: damaged.
 */
int tfs_zip_head(const struct tfs_input *in, const struct tfs_zip_member *m, void *buf, size_t len, struct tfs_error *err);

#endif
