/* SPDX-License-Identifier: MIT */
/* The only way to read a remote file: ask for it, and wait. As many at once as there are threads. */
#include "io/engine.h"

static enum tfs_queued queue(struct tfs_io_context *c, struct tfs_io *io)
{
	size_t lead = io->offset % TFS_IO_ALIGN;
	const uint8_t *data = NULL;

	(void)c;
	if (io->roomy) {
		io->code = tfs_source_take_remote(io->source, io->offset, io->len, io->buf, io->ahead, &data, &io->loan, &io->err);
		io->data = (uint8_t *)(uintptr_t)data; /* a buffer that is lent is only to be read */
		return TFS_IO_DONE;
	}
	/* From an aligned offset, for which the buffer has room: then what is in the cache on disk needn't go through the page cache. */
	io->data = io->buf + lead;
	io->code = tfs_source_read_remote(io->source, io->offset - lead, io->len + lead, io->buf, io->ahead, &io->err);
	return TFS_IO_DONE;
}

const struct tfs_engine tfs_engine_remote = { .name = "remote", .queue = queue };
