/* SPDX-License-Identifier: MIT */
/* The origin of s3://: a bucket of S3, or of what speaks its protocol. s3.c is what it is, s3-list.c how it lists. */
#ifndef TFS_FETCH_S3_H
#define TFS_FETCH_S3_H

#include "fetch/aws.h"
#include "fetch/origin.h"

struct tfs_s3 {
	struct tfs_origin o; /* o.base: where the bucket is, its path included if that names it */
	char *bucket;
	char *prefix;	/* of the keys, with a slash at its end; "": all. Of one object: up to its name */
	char *file;	/* the name of the one object that is wanted, or NULL */
	char *endpoint; /* as given, or NULL: Amazon's; and what gave it */
	const char *endpoint_name;
	char *region;
	struct tfs_aws *aws;
	unsigned moves; /* how often the region has changed */
	double skew;	/* seconds by which the service's clock is ahead of ours, once it has complained */
};

void tfs_s3_list(struct tfs_origin *o, const char *known);

/* The URL of @key in the bucket ("": the bucket), with @query, which is encoded, or NULL. */
int tfs_s3_url(const struct tfs_s3 *s, const char *key, const char *query, struct tfs_url *ret, struct tfs_error *err);

#endif
