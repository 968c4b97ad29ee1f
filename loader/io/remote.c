/* SPDX-License-Identifier: MIT */
/* The only way to read a remote file: ask for it, and wait. As many at once as there are threads. */
#include "io/engine.h"

static enum tfs_queued queue(struct tfs_io_context *c, struct tfs_io *io)
{
	(void)c;
	io->data = io->buf;
	io->code = tfs_source_read_remote(io->source, io->offset, io->len, io->buf, io->ahead, &io->err);
	return TFS_IO_DONE;
}

const struct tfs_engine tfs_engine_remote = { .name = "remote", .queue = queue };
