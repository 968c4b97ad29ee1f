/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104), for signatures of a few hundred bytes: plain, not fast. */
#ifndef TFS_FETCH_SHA256_H
#define TFS_FETCH_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { TFS_SHA256_BYTES = 32, TFS_SHA256_HEX = 65 };

void tfs_sha256(const void *data, size_t len, uint8_t digest[static TFS_SHA256_BYTES]);

void tfs_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t mac[static TFS_SHA256_BYTES]);

/* Lower-case digits and a NUL. */
void tfs_sha256_hex(const uint8_t digest[static TFS_SHA256_BYTES], char hex[static TFS_SHA256_HEX]);

#endif
