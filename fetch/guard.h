/* SPDX-License-Identifier: MIT */
/*
 * Where connections may lead. A redirect or a listing is a stranger's word: it must not make this machine talk to its own services,
 * to the metadata service of its cloud, or to its private network, unless what was mounted is there itself. What counts is the
 * address of each connection, so names that lead to such an address don't help.
 */
#ifndef TFS_FETCH_GUARD_H
#define TFS_FETCH_GUARD_H

#include <stdbool.h>
#include <sys/socket.h>

#include "fetch/url.h"

/* The nearer, the more it may reach. */
enum tfs_reach { TFS_REACH_PUBLIC, TFS_REACH_PRIVATE, TFS_REACH_LINK_LOCAL, TFS_REACH_LOOPBACK };

struct tfs_guard {
	unsigned origin; /* a bit for each enum tfs_reach that a connection to what was mounted had */
};

/* What kind of address it is. One that isn't IPv4 or IPv6 counts as loopback; IPv4 within IPv6 as what it is. */
enum tfs_reach tfs_guard_reach(const struct sockaddr *address);

enum tfs_trust {
	TFS_TRUST_NONE,	  /* a redirect or a listing said it */
	TFS_TRUST_ORIGIN, /* it is what the user named: what that reaches is remembered */
	TFS_TRUST_THIS, /* it is this program's own, such as the metadata service's: it may go anywhere, and nothing follows from that */
};

/*
 * May a connection for @url go to @address? Where a proxy is configured for the URL's scheme, one to the proxy's port may go anywhere: where the
 * request goes is up to the proxy.
 */
bool tfs_guard_allows(struct tfs_guard *g, const struct tfs_url *url, enum tfs_trust trust, const struct sockaddr *address);

/* What such an address is called, for errors. */
const char *tfs_guard_name(enum tfs_reach reach);

#endif
