/* SPDX-License-Identifier: MIT */
/*
 * How remote models are read. Each option has a variable of the environment, which every command reads; the options of a mount set
 * them. So nothing has to be handed through the layers that a local model has no use for.
 */
#ifndef TFS_REMOTE_OPTIONS_H
#define TFS_REMOTE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TFS_REMOTE_CACHE       "TENSORFS_CACHE"
#define TFS_REMOTE_CACHE_SIZE  "TENSORFS_CACHE_SIZE"
#define TFS_REMOTE_OFFLINE     "TENSORFS_OFFLINE"
#define TFS_REMOTE_CONNECTIONS "TENSORFS_CONNECTIONS"
#define TFS_REMOTE_TIMEOUT     "TENSORFS_REMOTE_TIMEOUT"
#define TFS_REMOTE_CACERT      "TENSORFS_CACERT"
#define TFS_REMOTE_ANONYMOUS   "TENSORFS_ANONYMOUS"
#define TFS_REMOTE_NETRC       "TENSORFS_NETRC"

/* The limits are those of remote/protocol.h. */
enum { TFS_REMOTE_CONNECTIONS_MAX = 64, TFS_REMOTE_TIMEOUT_MAX = 86400 };
#define TFS_REMOTE_CACHE_MIN ((uint64_t)16 << 20)

struct tfs_remote_options {
	char cache[4096];    /* a directory; "": none */
	uint64_t cache_size; /* bytes; 0: all but a tenth of the disk */
	bool offline, anonymous, netrc;
	unsigned connections; /* 0: the default */
	double timeout;	      /* seconds */
	char cacert[4096];    /* absolute; "": the default */
};

/* From the environment. -EINVAL, @err says which variable is wrong. */
int tfs_remote_options_get(struct tfs_remote_options *ret_options, struct tfs_error *err);

/* Bytes, with K, M, G or T, or without. False: it isn't a size. */
bool tfs_remote_size(const char *value, uint64_t *ret);

/*
 * The text of HELLO for @url, into @buf: its length. -EINVAL: it is too long, or not a URL that may be asked for; @err filled.
 */
int tfs_remote_hello(const char *url, const struct tfs_remote_options *o, char *buf, size_t size, struct tfs_error *err);

#endif
