/* SPDX-License-Identifier: MIT */
/* What is wanted of the header of an answer (RFC 9110), read line by line as it comes. */
#ifndef TFS_FETCH_HEAD_H
#define TFS_FETCH_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Bytes of one header, all its lines. */
#define TFS_HEAD_MAX ((size_t)64 << 10)

struct tfs_head {
	int status; /* 0: none yet */
	size_t bytes;
	bool done; /* the empty line was seen, of an answer that isn't 1xx */

	bool has_length, has_range, has_total;
	uint64_t length;      /* Content-Length */
	uint64_t first, last; /* Content-Range, if @has_range */
	uint64_t total;	      /* of it, if @has_total: also of "bytes * / N", which has no range */
	bool bad_range;	      /* a Content-Range that can't be read */
	bool is_parts;	      /* Content-Type: multipart/byteranges */
	bool encoded;	      /* Content-Encoding, other than identity */
	bool is_json;	      /* Content-Type */
	double retry_after;   /* seconds, by Retry-After or RateLimit; below 0: not said */
	int64_t date;	      /* Date, seconds since 1970; 0: none */

	/* malloc()ed; NULL: not there */
	char *etag, *modified, *location;
	char *range;			  /* Content-Range, as it was sent */
	char *next;			  /* Link with rel="next" */
	char *error_code, *error_message; /* of the hub */
	char *region;			  /* x-amz-bucket-region */
	char *version;			  /* x-amz-version-id */
};

/* An empty one, for the next answer. */
void tfs_head_init(struct tfs_head *h);
void tfs_head_fini(struct tfs_head *h);

/*
 * One line, with or without its end. A status line begins a new header, and forgets all that was read. 0; -EFBIG: more than
 * TFS_HEAD_MAX bytes; -ENOMEM.
 */
int tfs_head_line(struct tfs_head *h, const char *line, size_t len);

/* An answer has another range than @first to @last, which were asked for, or says too little of it: what is wrong, as an error of @host. */
int tfs_head_explain_range(const struct tfs_head *h, uint64_t first, uint64_t last, const char *host, struct tfs_error *err);

/* Is @etag a strong one? A weak one doesn't say that bytes are the same, and If-Match never matches it (RFC 9110 13.1.1). */
bool tfs_head_etag_is_strong(const char *etag);

#endif
