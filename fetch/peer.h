/* SPDX-License-Identifier: MIT */
/* The daemon's side of the fetcher: messages of remote/protocol.h, in and out. */
#ifndef TFS_FETCH_PEER_H
#define TFS_FETCH_PEER_H

#include "fetch/fetcher.h"

/* Wait for HELLO, and fill f->options, f->memory and f->counters by it. 0; -EINVAL after WELCOME has said why; -EPIPE: the end. */
int tfs_peer_hello(struct tfs_fetcher *f);

/* WELCOME. @code: 0 or -EINVAL. */
void tfs_peer_welcome(int code, const struct tfs_error *err);

/* Answer messages from now on, until the socket ends or a message breaks a rule: then the loop stops. */
void tfs_peer_start(struct tfs_fetcher *f);

#endif
