/* SPDX-License-Identifier: MIT */
/*
 * A reader of Python pickles, which are programs for a small stack machine (CPython, Lib/pickletools.py). It executes what builds
 * plain data and only records the rest: a global is a name, and a call a node with the callee, its arguments and what was put into
 * its result. Nothing is looked up, nothing is called. What the names mean is up to the reader of the values.
 *
 * Memory is a small multiple of the
 * pickle's length (less than 40 bytes for each of its bytes), and within TFS_PICKLE_MAX_MEMORY.
 */
#ifndef TFS_FORMAT_PICKLE_H
#define TFS_FORMAT_PICKLE_H

#include "format/torch/pickle-values.h"

/*
 * Read the pickle at @p->buf. -EINVAL with the error filled: not a pickle, truncated, above a limit, or an opcode that torch has
 * never written. -ENOMEM. The values are valid until tfs_pickle_fini(), and as long as the buffer is.
 */
int tfs_pickle_read(struct tfs_pickle *p);
void tfs_pickle_fini(struct tfs_pickle *p);

/*
 * The protocol of the pickle that begins with the @len bytes at @start, as far as its first opcodes tell: -1 if they don't, or if it isn't
 * a pickle. From 2 on they always do.
 */
int tfs_pickle_protocol(const uint8_t *start, size_t len);

#endif
