/* SPDX-License-Identifier: MIT */
/* Names of repositories of the Hugging Face hub, as huggingface_hub and its web pages write them. */
#ifndef TFS_REMOTE_HF_NAME_H
#define TFS_REMOTE_HF_NAME_H

#include <stdbool.h>

#include "base/error.h"
#include "remote/listing.h"

struct tfs_hf_name {
	bool dataset;	/* else a model */
	char *repo;	/* NS/NAME */
	char *revision; /* a branch, a tag, a commit; NULL: not given */
	char *path;	/* of a directory or file in it, without slashes at its ends; NULL: all of it */
	bool is_dir;	/* the path had a slash at its end */
	/* What that means: a path that ends as weight files do is one, unless it has a slash at its end. */
	char *dir;	  /* what is to be listed, as in the path; "": the repository */
	const char *file; /* the one file in it that is wanted, in the path; NULL: all */
};

/* hf://…, or a page of huggingface.co. */
bool tfs_hf_name_takes(const char *url);

/*
 * hf://[models/|datasets/]NS/NAME[@REVISION][/PATH], or https://huggingface.co/[datasets/]NS/NAME[/(tree|blob|resolve)/REVISION[/PATH]].
 * A revision ends at the next slash, but for refs/pr/N and refs/convert/NAME; other slashes in one are written %2F. 0: the caller
 * frees it; -EINVAL with @err filled.
 */
int tfs_hf_name_parse(const char *url, struct tfs_hf_name *ret, struct tfs_error *err);
void tfs_hf_name_fini(struct tfs_hf_name *n);

/* hf://[datasets/]NS/NAME[@REVISION][/PATH], of @revision's first @len characters; malloc()ed, or NULL. */
char *tfs_hf_name_show(const struct tfs_hf_name *n, const char *revision, unsigned len);

/* Set the names in @l of a listing at @commit, but for its authority. -ENOMEM. */
int tfs_hf_name_listing(const struct tfs_hf_name *n, const char *commit, struct tfs_remote_listing *l);

/* Is it a commit: 40 hexadecimal digits? */
bool tfs_hf_is_commit(const char *revision);

#endif
