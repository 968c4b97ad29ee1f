/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side of tensorfs-fetch (remote/protocol.h): starts it when it is first needed, and again if it has ended; hands it
 * reads and waits for them.
 *
 *   begin ──► sent ──DONE──► finish ──► the bytes, in the shared memory ──► release
 *               └── the fetcher ends, or is killed as it doesn't get on: finish says -EIO
 *
 * Thread-safe, except creating and destroying.
 */
#ifndef TFS_REMOTE_FETCHER_H
#define TFS_REMOTE_FETCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "remote/protocol.h"

struct tfs_fetcher;

/* Bytes of one read, at most: a job of 4 MiB, widened to grains of 64 KiB. */
#define TFS_FETCHER_MAX ((size_t)(4 << 20) + (128 << 10))

/* Reads at once. More wait for one to be released. */
enum { TFS_FETCHER_SLOTS = 96 };

/*
 * Nothing is started yet. @hello: the text of HELLO, @len bytes, copied. @timeout: seconds, as in it. -ENOMEM or another -errno.
 */
int tfs_fetcher_create(const char *hello, size_t len, double timeout, struct tfs_fetcher **ret_fetcher);

/* All that wait, and all that come later, get -ECANCELED. */
void tfs_fetcher_stop(struct tfs_fetcher *f);
/* Undoes that, once nothing waits any more. */
void tfs_fetcher_resume(struct tfs_fetcher *f);
void tfs_fetcher_destroy(struct tfs_fetcher *f); /* nothing may be in use; accepts NULL */

/*
 * Ask for the table of files. @revision: of the table that is known, or "". 0: *@ret_fd is a descriptor of it, which the caller
 * owns, or -1: it is unchanged. Else as for LISTED, or -EIO, -ENOENT if there is no fetcher; with @err filled.
 */
int tfs_fetcher_list(struct tfs_fetcher *f, const char *revision, int *ret_fd, struct tfs_error *err);

/*
 * The table that reads refer to: it is sent now, if the fetcher is running, and whenever it is started. @fd is a memfd, and
 * becomes @f's.
 */
void tfs_fetcher_set_table(struct tfs_fetcher *f, int fd);

/*
 * Begin to read [@offset, @offset + @len) of the file @node, @len <= TFS_FETCHER_MAX. 0: *@ret_slot needs finish and release.
 * Waits for a free slot, unless @wait is false: then -EAGAIN. Else an -errno with @err filled.
 */
int tfs_fetcher_begin(struct tfs_fetcher *f, uint32_t node, uint64_t offset, size_t len, enum tfs_fetch_priority priority,
		      bool wait, unsigned *ret_slot, struct tfs_error *err);

/*
 * Wait for a read. 0: *@ret_data has its bytes, page-aligned, until release. -ESTALE, -EACCES, -EIO, -ECANCELED, @err filled.
 */
int tfs_fetcher_finish(struct tfs_fetcher *f, unsigned slot, const uint8_t **ret_data, struct tfs_error *err);
void tfs_fetcher_release(struct tfs_fetcher *f, unsigned slot);

/* Somebody waits for these bytes of @node: reads of them that were begun ahead of need become urgent. */
void tfs_fetcher_raise(struct tfs_fetcher *f, uint32_t node, uint64_t offset, size_t len);

/* Give back the memory of slots, if none has been used for a while. */
void tfs_fetcher_trim(struct tfs_fetcher *f);

/* Counters, which never go back; and how many times it was started. */
const struct tfs_fetch_counters *tfs_fetcher_counters(const struct tfs_fetcher *f);
unsigned tfs_fetcher_starts(struct tfs_fetcher *f);

/* Is the one that was started last still there? */
bool tfs_fetcher_is_running(struct tfs_fetcher *f);

#endif
