/* SPDX-License-Identifier: MIT */
/*
 * The last tier: pread through the page cache, which everything that is a file can do. What it can't read is not to be read. The
 * pages that it brings in are dropped again: what the loader holds, the page cache needn't.
 */
#include "io/engine.h"

static enum tfs_queued queue(struct tfs_io_context *c, struct tfs_io *io)
{
	(void)c;
	io->data = io->buf;
	io->code = tfs_source_read_buffered(io->source, io->offset, io->len, io->buf, &io->err);
	if (!io->code)
		tfs_source_drop(io->source, io->offset, io->len);
	return TFS_IO_DONE;
}

const struct tfs_engine tfs_engine_buffered = { .name = "buffered", .queue = queue };
