/* SPDX-License-Identifier: MIT */
/*
 * Tells what a file is by its content: for a file whose name isn't conclusive, and to say what a file refused by its parser is
 * instead. Thread-safe; doesn't use file positions.
 */
#ifndef TFS_FORMAT_SNIFF_H
#define TFS_FORMAT_SNIFF_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensor/catalog.h"

struct tfs_format;
struct tfs_input;
struct tfs_zip;

#define TFS_SAMPLE_SIZE 512u /* a tar file has its magic at 257 */

/* What is known of a file while it is being identified. */
struct tfs_sample {
	const struct tfs_input *in;
	size_t len;			/* bytes in start: the whole file if it has fewer than TFS_SAMPLE_SIZE */
	uint8_t start[TFS_SAMPLE_SIZE]; /* followed by zeros */
	struct tfs_zip *zip; /* the members of a zip file, or of a program that is one, too; NULL if it isn't, or is damaged */
	int *failure;	     /* see tfs_sample_fails() */
};

/* For recognises(): looking at the file has failed with @r, so unless that is -EINVAL nobody knows what it is. False. */
static inline bool tfs_sample_fails(const struct tfs_sample *s, int r)
{
	if (r < 0 && r != -EINVAL && !*s->failure)
		*s->failure = r;
	return false;
}

/* Does the file have the @len bytes at @bytes at @at, within the sample? */
bool tfs_sample_has(const struct tfs_sample *s, size_t at, const void *bytes, size_t len);

/*
 * Is @s a zip file that has a member whose name @is accepts? If its directory can't be read, as in a truncated download, only the
 * first member is checked.
 */
bool tfs_sample_has_member(const struct tfs_sample *s, bool (*is)(const char *name, size_t len));

/* Kinds of files that formats are based on: a bit each. */
enum tfs_container {
	TFS_IN_ZIP = 1,
	TFS_IN_PICKLE = 2,
	TFS_IN_JSON = 4,
	TFS_IN_TAR = 8,
};

/* What a file is. */
struct tfs_sniffed {
	const struct tfs_format *format; /* its format, or NULL */
	unsigned container;		 /* if it has no format: a bit of enum tfs_container, or 0 */
	const char *what;		 /* completes "is …": "an HTML page"; NULL: unknown */
};

/* 0; -ENOMEM, or pread's error, if that is why it has no format. */
int tfs_sniff(const struct tfs_input *in, struct tfs_sniffed *ret_sniffed, struct tfs_error *err);

/*
 * Which format the file @file_name is of, as its content decides between those that have such names. *@format: the one that the name
 * means by itself, or NULL: kept if no other recognises it. 0, or as tfs_sniff(): then nothing is known.
 */
int tfs_sniff_format(const struct tfs_input *in, const char *file_name, const struct tfs_format **format, struct tfs_error *err);

/*
 * Refuse, with -EINVAL and a text that says so, what many clones have instead of weights, whatever the format: a Git LFS pointer, a
 * file of zero bytes, or a GGML file that can't be read. 0: it is none of these; else pread's error.
 */
int tfs_sniff_present(const struct tfs_input *in, struct tfs_error *err);

/* A Git LFS pointer is smaller (its specification). */
#define TFS_LFS_POINTER_MAX 1024u

/* The same, but only for a Git LFS pointer: for a file that may contain any bytes, as another one describes them. */
int tfs_sniff_pointer(const struct tfs_input *in, struct tfs_error *err);

/*
 * A parser for @format (NULL: not a format), whose files are in a container of @containers, has refused the file, or found nothing
 * in it. If it turns out to be something else, @err is replaced to say so, and the result is -EINVAL; else 0, and @err is
 * unchanged.
 */
int tfs_sniff_other(const struct tfs_input *in, const struct tfs_format *format, unsigned containers, struct tfs_error *err);

/*
 * What a file of this name is, if that is a kind of weights that we don't read: completes "is …". Else NULL. @has_format: its
 * content was recognised; then only names are considered whose files are known to begin like a format's.
 */
const char *tfs_sniff_name(const char *file_name, bool has_format);

/* What the tar file @in is, as from tfs_sniff_name(), if a torch before 0.1.10 wrote it; else NULL. */
const char *tfs_sniff_old_torch(const struct tfs_input *in);

/*
 * Is @file_name the name of a part of a checkpoint (TensorFlow's data, torch's .distcp, TensorFlow.js's shards), whose tensors another
 * file in its directory lists? Then that one's name is in @table.
 */
bool tfs_sniff_part(const char *file_name, char table[static NAME_MAX + 1]);

/*
 * Read the table of tensors with @format's parse(), whose arguments and result these are; if the file isn't of that format, the
 * error says what it is instead (sniff.h).
 */
int tfs_sniff_read(const struct tfs_format *format, const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog,
		   struct tfs_error *err);

#endif
