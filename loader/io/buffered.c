/* SPDX-License-Identifier: MIT */
/*
 * The last tier: pread through the page cache, which works for every file. What it can't read can't be read. The pages that it
 * brings in are dropped again: the page cache needn't hold what the loader holds.
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
