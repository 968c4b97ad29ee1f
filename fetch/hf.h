/* SPDX-License-Identifier: MIT */
/*
 * The origin of hf://: a repository of the Hugging Face hub, or of what speaks its protocol, pinned to a commit. hf.c is what it is,
 * hf-list.c how it lists.
 */
#ifndef TFS_FETCH_HF_H
#define TFS_FETCH_HF_H

#include "fetch/origin.h"
#include "remote/hf-name.h"

struct tfs_hf {
	struct tfs_origin o; /* o.base: the endpoint */
	struct tfs_hf_name name;
	char *endpoint_path; /* of the endpoint, encoded, without a slash at its end; mostly "" */
	char *token;	     /* NULL: none */
	uint64_t generation; /* of the token, from 1 on */
	char *token_file;    /* where it was read; NULL: it wasn't */
};

void tfs_hf_list(struct tfs_origin *o, const char *known);

/* ENDPOINT/api/(models|datasets)/REPO/@what, where @what is encoded; @query as in tfs_url_at(). */
int tfs_hf_api(const struct tfs_hf *h, const char *what, const char *query, struct tfs_url *ret, struct tfs_error *err);

#endif
