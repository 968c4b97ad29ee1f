/* SPDX-License-Identifier: MIT */
/* The middle tier: pread with O_DIRECT, as many at once as there are threads. */
#include "io/engine.h"

static enum tfs_queued queue(struct tfs_io_context *c, struct tfs_io *io)
{
	(void)c;
	io->code = tfs_source_read_direct(io->source, io->offset, io->len, io->buf, &io->data);
	return TFS_IO_DONE;
}

const struct tfs_engine tfs_engine_threads = { .name = "threads", .queue = queue };
