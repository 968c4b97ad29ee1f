/* SPDX-License-Identifier: MIT */
/*
 * The bytes of one remote file, as far as they are here, in grains of 64 KiB at the offsets that they have in the file:
 *
 *   on disk    a sparse file, and a map of an XXH3 for each grain (remote/cache.h): the hash is the proof. Nothing is synced, and there
 *              is no journal. A grain counts if its hash fits, which is checked when it is first read in the life of a process; what
 *              a crash, a full disk or somebody else has made of it is a mismatch, and it is fetched again.
 *   in memory  while headers are parsed, if there is no cache: a memfd
 *   elsewhere  a complete file that somebody else has, such as a blob of the Hugging Face cache: only read
 *
 *   UNKNOWN ──read: the hash fits──► HAVE ◄──written── ABSENT or BAD
 *      └──────read: it doesn't─────► BAD
 *
 * Thread-safe, except opening and closing.
 */
#ifndef TFS_REMOTE_OBJECT_H
#define TFS_REMOTE_OBJECT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TFS_GRAIN ((uint64_t)64 << 10)

enum { TFS_OBJECT_ALIGN = 4096 };

struct tfs_cache;

struct tfs_object {
	/* Immutable. */
	uint64_t size;
	uint64_t n_grains;
	struct tfs_cache *cache; /* on disk, else NULL */
	int data_fd;
	int map_fd;    /* on disk, else -1 */
	int direct_fd; /* of the same data, by O_DIRECT; -1: in memory, or its file system refuses that */
	bool whole;    /* elsewhere */
	bool is_kept;  /* on disk or elsewhere: it is still there when we have ended */

	_Atomic uint8_t *grains; /* an enum state each; NULL if whole */
	_Atomic uint64_t n_have;
	_Atomic bool full; /* nothing is written any more */

	/* Grains that somebody is fetching are claimed, so that nobody else does. */
	pthread_mutex_t lock;
	pthread_cond_t unclaimed;
};

/* In memory. 0 or -errno. */
int tfs_object_open_memory(uint64_t size, struct tfs_object *ret_object);

/* Takes @fd, a file of @size bytes. */
void tfs_object_open_whole(int fd, uint64_t size, struct tfs_object *ret_object);

/* Takes @data_fd and @map_fd, in any case; not @writable: nothing is kept. -ENOMEM. */
int tfs_object_open_disk(struct tfs_cache *cache, int data_fd, int map_fd, bool writable, uint64_t size,
			 struct tfs_object *ret_object);

void tfs_object_close(struct tfs_object *o);

/*
 * Copy bytes from @offset on into @buf, at most @len, as far as they are here. Returns how many: 0 if not even the first one is. What
 * isn't in the page cache stays out of it if both @buf and @offset are multiples of TFS_OBJECT_ALIGN.
 * Counts grains that didn't fit their hash in *@ret_bad.
 */
size_t tfs_object_read(struct tfs_object *o, void *buf, size_t len, uint64_t offset, unsigned *ret_bad);

/* Is there nothing of the grain at @offset? (If not, it may turn out to be bad when it is read.) */
bool tfs_object_lacks(const struct tfs_object *o, uint64_t offset);

/*
 * Keep @len bytes at @offset: whole grains, or up to the end of the file. Whether that works or not; if it doesn't it isn't tried
 * again for a while.
 */
void tfs_object_write(struct tfs_object *o, const void *data, size_t len, uint64_t offset);

/*
 * Claim grains that are lacking, from that of @offset on, without a gap, up to the one before @end, at most @max bytes. Returns where
 * they end, and in *@ret_from where the first one begins; or 0: somebody else has that claimed, or has fetched it meanwhile. On disk
 * others are also other processes, by locks on the map (F_OFD_SETLK), which end with the process; @alone: never mind those. Locks only
 * save that two fetch the same: where they don't work, both do.
 */
uint64_t tfs_object_claim(struct tfs_object *o, uint64_t offset, uint64_t end, uint64_t max, bool alone, uint64_t *ret_from);
void tfs_object_unclaim(struct tfs_object *o, uint64_t from, uint64_t end);

/*
 * Wait until nobody has the grain of @offset claimed. False: another process still has it after @seconds, perhaps as it is stopped, or
 * *@stop is set.
 */
bool tfs_object_wait(struct tfs_object *o, uint64_t offset, double seconds, const _Atomic bool *stop);

/* Do we know of each byte that it is here, and right? */
bool tfs_object_is_complete(const struct tfs_object *o);

uint64_t tfs_object_present(const struct tfs_object *o); /* bytes of which we know that */

/* A descriptor of its data, for reading only, which the caller closes; or -errno. */
int tfs_object_reopen(const struct tfs_object *o);

/* In memory: give up all bytes. */
void tfs_object_forget(struct tfs_object *o);

/* Of the map: where the entry of a grain is. */
enum { TFS_MAP_HEADER = 4096 };
uint64_t tfs_grain_hash(const void *data, size_t len); /* never 0 */

#endif
