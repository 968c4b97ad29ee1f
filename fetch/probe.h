/* SPDX-License-Identifier: MIT */
/* Size and version of files, asked of their server: one byte of each. Many at a time. */
#ifndef TFS_FETCH_PROBE_H
#define TFS_FETCH_PROBE_H

#include "fetch/ask.h"
#include "remote/listing.h"

/* What the answer @a to a request with struct tfs_ask_spec.probe says. */
enum tfs_probed {
	TFS_PROBED,	      /* *@ret is filled, but for the path: its strings are in @a */
	TFS_PROBED_NO_RANGES, /* there, but the server sends files as a whole only */
	TFS_PROBED_ABSENT,    /* 403, 404, 410 */
	TFS_PROBED_FAILED,    /* another status; a->code isn't 0 */
};

enum tfs_probed tfs_probe_read(const struct tfs_ask *a, struct tfs_remote_listed *ret);

#endif
