/* SPDX-License-Identifier: MIT */
/*
 * What a file is, told by its content: for a file whose name doesn't say it, and to say of a file that a parser refused what else it
 * is. Thread-safe; reads positions only.
 */
#ifndef TFS_FORMAT_SNIFF_H
#define TFS_FORMAT_SNIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensor/catalog.h"

struct tfs_format;
struct tfs_input;
struct tfs_zip;

#define TFS_SAMPLE_SIZE 512u /* a tar file has its magic at 257 */

/* What is known of a file while it is recognised. */
struct tfs_sample {
	const struct tfs_input *in;
	size_t len;			/* bytes in start: all of a file that has fewer than TFS_SAMPLE_SIZE */
	uint8_t start[TFS_SAMPLE_SIZE]; /* zeros after them */
	struct tfs_zip *zip;		/* the members of a zip file; NULL where it is none, or is damaged */
};

/* Does the file have the @len bytes at @bytes at @at, within the sample? */
bool tfs_sample_has(const struct tfs_sample *s, size_t at, const void *bytes, size_t len);

/*
 * Is @s a zip file that has a member whose name @is accepts? Where its directory can't be read, as that of a download that was cut
 * short, the first member alone is asked for.
 */
bool tfs_sample_has_member(const struct tfs_sample *s, bool (*is)(const char *name, size_t len));

/* Kinds of files that formats are made of: a bit each. */
enum tfs_container {
	TFS_IN_ZIP = 1,
	TFS_IN_PICKLE = 2,
	TFS_IN_JSON = 4,
};

/* What a file is. */
struct tfs_sniffed {
	const struct tfs_format *format; /* that it is of, or NULL */
	unsigned container;		 /* where it has no format: a bit of enum tfs_container, or 0 */
	const char *what;		 /* completes "is …": "a page of HTML"; NULL: nobody knows */
};

/* 0, or pread's error. */
int tfs_sniff(const struct tfs_input *in, struct tfs_sniffed *ret_sniffed, struct tfs_error *err);

/*
 * Refuse, with -EINVAL and a text that says so, what is found instead of weights in many clones, whatever the format: a Git LFS
 * pointer, a file of zero bytes, and a GGML file. 0: it is none of these; else pread's error.
 */
int tfs_sniff_present(const struct tfs_input *in, struct tfs_error *err);

/* A Git LFS pointer has fewer bytes (its specification). */
#define TFS_LFS_POINTER_MAX 1024u

/* The same, but for a Git LFS pointer alone: of a file whose bytes may be anything, as another one says what they are. */
int tfs_sniff_pointer(const struct tfs_input *in, struct tfs_error *err);

/*
 * A parser for @format (NULL: for something that is no format), whose files are in a container of @containers, has refused the
 * file, or found nothing in it. Where it turns out to be something else, @err is replaced by what that is, and the result is
 * -EINVAL; else 0 and @err stays.
 */
int tfs_sniff_other(const struct tfs_input *in, const struct tfs_format *format, unsigned containers, struct tfs_error *err);

/*
 * What a file of this name is, where that is a kind of weights that nobody here reads: completes "is …". Else NULL. @has_format: its
 * content is recognised; then only those names count whose files are known to begin like a format's.
 */
const char *tfs_sniff_name(const char *file_name, bool has_format);

/*
 * Read the table of tensors by @format's parse(), whose arguments and result these are, and with them what is no file of the format:
 * then the error says what it is instead (sniff.h).
 */
int tfs_sniff_read(const struct tfs_format *format, const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog,
		   struct tfs_error *err);

#endif
