/* SPDX-License-Identifier: MIT */
/* Checksums of files, in pieces. */
#ifndef TFS_CLI_VERIFY_DIGEST_H
#define TFS_CLI_VERIFY_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/verify/impl.h"

struct tfs_digest;

/* Can this program compute them? SHA takes libnettle. */
bool tfs_digest_has(enum tfs_sum_kind kind);

/* Of a file of @size bytes, which Git's SHA-1 includes. NULL: out of memory. */
struct tfs_digest *tfs_digest_create(enum tfs_sum_kind kind, uint64_t size);
void tfs_digest_add(struct tfs_digest *d, const void *data, size_t len);
/* The result in lower-case hexadecimal. */
void tfs_digest_end(struct tfs_digest *d, char hex[65]);
void tfs_digest_destroy(struct tfs_digest *d); /* takes NULL */

/* "SHA-256" */
extern const char *const tfs_digest_names[TFS_SUM_KINDS];

#endif
