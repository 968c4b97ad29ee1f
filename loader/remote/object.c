/* SPDX-License-Identifier: MIT */
#include "remote/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/xxh3.h"
#include "remote/cache.h"

/* The state of a grain; CLAIMED besides. */
enum state { UNKNOWN, HAVE, BAD, STATES = 3, CLAIMED = 4 };

/* Grains that are read, and their hashes checked, at once: those of a job of 4 MiB, wherever it begins. */
enum { CHECK_GRAINS = 66 };

uint64_t tfs_grain_hash(const void *data, size_t len)
{
	uint64_t h = XXH3_64bits(data, len);

	return h ? h : 1;
}

static uint64_t grain_of(uint64_t offset)
{
	return offset / TFS_GRAIN;
}

static size_t length_of(const struct tfs_object *o, uint64_t grain)
{
	uint64_t left = o->size - grain * TFS_GRAIN;

	return left < TFS_GRAIN ? (size_t)left : (size_t)TFS_GRAIN;
}

static enum state state_of(const struct tfs_object *o, uint64_t grain)
{
	return atomic_load_explicit(&o->grains[grain], memory_order_acquire) & STATES;
}

static void set_state(struct tfs_object *o, uint64_t grain, enum state state)
{
	uint8_t was = atomic_load_explicit(&o->grains[grain], memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&o->grains[grain], &was, (uint8_t)((was & CLAIMED) | state),
						      memory_order_acq_rel, memory_order_relaxed))
		;
	if ((was & STATES) != HAVE && state == HAVE)
		o->n_have++;
	else if ((was & STATES) == HAVE && state != HAVE)
		o->n_have--;
}

/* The entries of @n grains in the map; those that can't be read are 0. */
static void read_map(const struct tfs_object *o, uint64_t grain, unsigned n, uint64_t *ret_hashes)
{
	const size_t want = n * sizeof *ret_hashes;
	ssize_t got = o->map_fd < 0 ? 0 : pread(o->map_fd, ret_hashes, want, (off_t)(TFS_MAP_HEADER + grain * sizeof *ret_hashes));

	if (got < 0)
		got = 0;
	got -= got % (ssize_t)sizeof *ret_hashes;
	memset((char *)ret_hashes + got, 0, want - (size_t)got);
}

static void write_map(const struct tfs_object *o, uint64_t grain, unsigned n, const uint64_t *hashes)
{
	if (o->map_fd >= 0 && pwrite(o->map_fd, hashes, n * sizeof *hashes, (off_t)(TFS_MAP_HEADER + grain * sizeof *hashes)) < 0)
		return; /* then they are as they were, or wrong, which is noticed */
}

/* Its data again, for reading only. A descriptor, or -errno. */
static int open_again(const struct tfs_object *o, int flags)
{
	char path[40];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", o->data_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
	return fd < 0 ? -errno : fd;
}

/* --- Bytes -------------------------------------------------------------------------------------------------------------- */

/* As many of the @len bytes as O_DIRECT can read, or 0. */
static size_t read_direct(const struct tfs_object *o, uint8_t *buf, size_t len, uint64_t offset)
{
	const size_t want = len / TFS_OBJECT_ALIGN * TFS_OBJECT_ALIGN;
	size_t got = 0;

	if (o->direct_fd < 0 || len < TFS_GRAIN || offset % TFS_OBJECT_ALIGN || (uintptr_t)buf % TFS_OBJECT_ALIGN ||
	    tfs_file_all_cached(o->data_fd, offset, len) > 0)
		return 0;
	while (got < want) {
		ssize_t n = pread(o->direct_fd, buf + got, want - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || n % TFS_OBJECT_ALIGN)
			return 0;
		got += (size_t)n;
	}
	return got;
}

/* Exactly @len bytes of its data. 0 or -errno. */
static int read_data(const struct tfs_object *o, uint8_t *buf, size_t len, uint64_t offset)
{
	size_t got = read_direct(o, buf, len, offset);

	return got == len ? 0 : tfs_file_read(o->data_fd, buf + got, len - got, offset + got, NULL);
}

/* --- Reading ------------------------------------------------------------------------------------------------------------ */

/*
 * @n grains, of which @data has all bytes: those that fit their hash are HAVE, the others BAD. A hash of 0: it was HAVE before it was read.
 * How many of the first ones are good.
 */
static unsigned check_grains(struct tfs_object *o, uint64_t grain, unsigned n, const uint64_t *hashes, const uint8_t *data,
			     unsigned *ret_bad)
{
	const uint64_t nothing = 0;
	unsigned good = 0;
	bool first = true;

	for (unsigned i = 0; i < n; i++) {
		bool known = !hashes[i], fits = known || tfs_grain_hash(data + i * TFS_GRAIN, length_of(o, grain + i)) == hashes[i];

		if (!known)
			set_state(o, grain + i, fits ? HAVE : BAD);
		if (!fits && !o->full)
			write_map(o, grain + i, 1, &nothing); /* so that nobody else has to find out */
		*ret_bad += !fits;
		first &= fits;
		good += first;
	}
	return good;
}

/* How many grains from @grain on, at most @max, are in @state. */
static uint64_t count(const struct tfs_object *o, uint64_t grain, uint64_t max, enum state state)
{
	uint64_t n = 0;

	while (n < max && state_of(o, grain + n) == state)
		n++;
	return n;
}

/* Part of one grain that hasn't been checked, of which all is needed for that. As tfs_object_read(). */
static size_t read_part(struct tfs_object *o, void *buf, size_t len, uint64_t offset, unsigned *ret_bad)
{
	uint64_t grain = grain_of(offset), hash;
	size_t at = (size_t)(offset % TFS_GRAIN);
	cleanup_free uint8_t *all = aligned_alloc(TFS_OBJECT_ALIGN, TFS_GRAIN);

	read_map(o, grain, 1, &hash);
	if (!hash || !all)
		return 0;
	if (read_data(o, all, length_of(o, grain), grain * TFS_GRAIN)) {
		set_state(o, grain, BAD);
		++*ret_bad;
		return 0;
	}
	if (!check_grains(o, grain, 1, &hash, all, ret_bad))
		return 0;
	if (len > TFS_GRAIN - at)
		len = TFS_GRAIN - at;
	memcpy(buf, all + at, len);
	return len;
}

/* Exactly @len bytes of the @n grains from that of @offset on, which are HAVE; 0: the disk is damaged, or somebody has cut the file. */
static size_t read_known(struct tfs_object *o, uint8_t *buf, size_t len, uint64_t offset, uint64_t n, unsigned *ret_bad)
{
	if (!read_data(o, buf, len, offset))
		return len;
	for (uint64_t i = 0; i < n; i++)
		set_state(o, grain_of(offset) + i, BAD);
	*ret_bad += (unsigned)n;
	return 0;
}

/* Whole grains of which some haven't been checked, at @offset, which begins one; @n of them are wanted. */
static size_t read_grains(struct tfs_object *o, uint8_t *buf, uint64_t offset, uint64_t n, unsigned *ret_bad)
{
	uint64_t grain = grain_of(offset), hashes[CHECK_GRAINS];
	unsigned known = 0;
	size_t len;

	n = n < CHECK_GRAINS ? n : CHECK_GRAINS;
	read_map(o, grain, (unsigned)n, hashes);
	for (; known < n; known++) {
		enum state s = state_of(o, grain + known);

		/* Now, as what is read from now on is what was checked then. */
		if (s == HAVE)
			hashes[known] = 0;
		else if (s != UNKNOWN || !hashes[known])
			break;
	}
	if (!known)
		return 0;
	len = (size_t)((known - 1) * TFS_GRAIN) + length_of(o, grain + known - 1);
	if (read_data(o, buf, len, offset)) /* perhaps just one of them is damaged */
		return hashes[0] ? read_part(o, buf, TFS_GRAIN, offset, ret_bad) :
				   read_known(o, buf, length_of(o, grain), offset, 1, ret_bad);
	unsigned good = check_grains(o, grain, known, hashes, buf, ret_bad);
	return good == known ? len : (size_t)(good * TFS_GRAIN);
}

/* One step of tfs_object_read(). */
static size_t read_some(struct tfs_object *o, uint8_t *buf, size_t len, uint64_t offset, unsigned *ret_bad)
{
	uint64_t grain = grain_of(offset), end = offset + len, last = grain_of(end - 1);
	uint64_t n = count(o, grain, last - grain + 1, HAVE);
	/* Whole grains can be checked in place; the last one of the file is whole if all of it is wanted. */
	uint64_t whole = end == o->size ? last + 1 : grain_of(end);
	bool in_place = !(offset % TFS_GRAIN) && grain < whole;

	/* Neighbours share a grain, which one of them has checked: one read for those that were checked, and those that weren't. */
	if (in_place && n < whole - grain && n < CHECK_GRAINS && state_of(o, grain + n) == UNKNOWN)
		return read_grains(o, buf, offset, whole - grain, ret_bad);
	if (n) {
		uint64_t upto = (grain + n) * TFS_GRAIN;

		return read_known(o, buf, (size_t)((upto < end ? upto : end) - offset), offset, n, ret_bad);
	}
	if (state_of(o, grain) != UNKNOWN)
		return 0;
	return in_place ? read_grains(o, buf, offset, whole - grain, ret_bad) : read_part(o, buf, len, offset, ret_bad);
}

size_t tfs_object_read(struct tfs_object *o, void *buf, size_t len, uint64_t offset, unsigned *ret_bad)
{
	size_t done = 0, n;

	*ret_bad = 0;
	if (o->whole)
		return read_data(o, buf, len, offset) ? 0 : len;
	do {
		n = read_some(o, (uint8_t *)buf + done, len - done, offset + done, ret_bad);
		done += n;
	} while (n && done < len);
	return done;
}

static bool lacks(const struct tfs_object *o, uint64_t grain)
{
	enum state s = state_of(o, grain);
	uint64_t hash = 0;

	if (s == UNKNOWN)
		read_map(o, grain, 1, &hash);
	return s == BAD || (s == UNKNOWN && !hash);
}

bool tfs_object_lacks(const struct tfs_object *o, uint64_t offset)
{
	return !o->whole && lacks(o, grain_of(offset));
}

bool tfs_object_is_complete(const struct tfs_object *o)
{
	return o->whole || o->n_have == o->n_grains;
}

uint64_t tfs_object_present(const struct tfs_object *o)
{
	uint64_t bytes = o->n_have * TFS_GRAIN;

	return o->whole || bytes > o->size ? o->size : bytes;
}

int tfs_object_reopen(const struct tfs_object *o)
{
	return open_again(o, 0);
}

void tfs_object_forget(struct tfs_object *o)
{
	for (uint64_t i = 0; i < o->n_grains; i++)
		set_state(o, i, UNKNOWN);
	fallocate(o->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)(o->n_grains * TFS_GRAIN));
}

/* --- Writing ------------------------------------------------------------------------------------------------------------ */

static bool write_all(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

void tfs_object_write(struct tfs_object *o, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *bytes = data;

	if (o->whole || atomic_load_explicit(&o->full, memory_order_relaxed))
		return;
	if (o->cache && !tfs_cache_room(o->cache, len))
		return;
	const bool written = write_all(o->data_fd, data, len, offset);
	if (!written && o->cache)
		tfs_cache_failed(o->cache, errno);
	if (o->cache)
		tfs_cache_wrote(o->cache, len);
	if (!written) {
		o->full = true;
		return;
	}
	for (size_t at = 0; at < len;) {
		uint64_t hashes[CHECK_GRAINS], grain = grain_of(offset + at);
		unsigned n = 0;

		for (; n < CHECK_GRAINS && at < len; n++, at += length_of(o, grain + n - 1))
			hashes[n] = o->map_fd < 0 ? 1 : tfs_grain_hash(bytes + at, length_of(o, grain + n));
		write_map(o, grain, n, hashes);
		for (unsigned i = 0; i < n; i++)
			set_state(o, grain + i, HAVE);
	}
}

/* --- Claims ------------------------------------------------------------------------------------------------------------- */

/* How often is looked whether another process has given up a claim; its end can't be waited for with a limit. */
static const struct timespec look_again = { .tv_nsec = 5000000 };

/* The entries of grains in the map, as a lock. */
static struct flock lock_of(short type, uint64_t grain, uint64_t end)
{
	return (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(TFS_MAP_HEADER + grain * sizeof(uint64_t)),
		.l_len = (off_t)((end - grain) * sizeof(uint64_t)),
	};
}

static bool shares(const struct tfs_object *o)
{
	return o->map_fd >= 0 && !o->full;
}

/* The first grain in [@grain, @end) that another process has claimed; @end: none. */
static uint64_t claimed_elsewhere(const struct tfs_object *o, uint64_t grain, uint64_t end)
{
	struct flock l = lock_of(F_WRLCK, grain, end);

	if (fcntl(o->map_fd, F_OFD_GETLK, &l) || l.l_type == F_UNLCK)
		return end;
	uint64_t first = l.l_start < TFS_MAP_HEADER ? 0 : (uint64_t)(l.l_start - TFS_MAP_HEADER) / sizeof(uint64_t);

	return first < grain ? grain : first;
}

/* Lock as many of these grains as no other process has, without a gap, and that are still lacking then. Where they end. */
static uint64_t lock_grains(const struct tfs_object *o, uint64_t first, uint64_t end)
{
	struct flock l = lock_of(F_WRLCK, first, end), rest;
	uint64_t good = first;

	while (fcntl(o->map_fd, F_OFD_SETLK, &l)) {
		if (errno != EAGAIN && errno != EACCES)
			return end; /* there are no locks here */
		/* Up to what another process has; or all of it, if that is gone by now. */
		end = claimed_elsewhere(o, first, end);
		if (end == first)
			return first;
		l = lock_of(F_WRLCK, first, end);
	}
	while (good < end && lacks(o, good)) /* or they have come just before */
		good++;
	rest = lock_of(F_UNLCK, good, end);
	if (good < end)
		fcntl(o->map_fd, F_OFD_SETLK, &rest);
	return good;
}

/* Grains that this process has claimed. */
static void give_back(struct tfs_object *o, uint64_t first, uint64_t end)
{
	pthread_mutex_lock(&o->lock);
	for (uint64_t grain = first; grain < end; grain++)
		o->grains[grain] &= (uint8_t)~CLAIMED;
	pthread_cond_broadcast(&o->unclaimed);
	pthread_mutex_unlock(&o->lock);
}

uint64_t tfs_object_claim(struct tfs_object *o, uint64_t offset, uint64_t end, uint64_t max, bool alone, uint64_t *ret_from)
{
	uint64_t first = grain_of(offset), last = first, locked;

	pthread_mutex_lock(&o->lock);
	while (state_of(o, first) != HAVE && last < o->n_grains && last * TFS_GRAIN < end &&
	       (last + 1 - first) * TFS_GRAIN <= max) {
		if (o->grains[last] & CLAIMED || (last > first && !lacks(o, last)))
			break;
		o->grains[last++] |= CLAIMED;
	}
	pthread_mutex_unlock(&o->lock);
	if (last > first && shares(o) && !alone) {
		locked = lock_grains(o, first, last);
		if (locked < last)
			give_back(o, locked, last);
		last = locked;
	}
	*ret_from = first * TFS_GRAIN;
	end = last * TFS_GRAIN;
	return last == first ? 0 : end < o->size ? end : o->size;
}

void tfs_object_unclaim(struct tfs_object *o, uint64_t from, uint64_t end)
{
	uint64_t first = grain_of(from), last = (end + TFS_GRAIN - 1) / TFS_GRAIN;

	if (o->map_fd >= 0 && last > first) {
		struct flock l = lock_of(F_UNLCK, first, last);

		fcntl(o->map_fd, F_OFD_SETLK, &l);
	}
	give_back(o, first, last);
}

bool tfs_object_wait(struct tfs_object *o, uint64_t offset, double seconds, const _Atomic bool *stop)
{
	const uint64_t grain = grain_of(offset);
	const double until = tfs_now() + seconds;

	pthread_mutex_lock(&o->lock);
	while (o->grains[grain] & CLAIMED)
		pthread_cond_wait(&o->unclaimed, &o->lock);
	pthread_mutex_unlock(&o->lock);
	while (shares(o) && lacks(o, grain) && claimed_elsewhere(o, grain, grain + 1) == grain) {
		if (*stop || tfs_now() >= until)
			return false;
		nanosleep(&look_again, NULL);
	}
	return true;
}

/* --- Opening ------------------------------------------------------------------------------------------------------------ */

/* Takes @data_fd in any case. */
static int init(struct tfs_object *o, uint64_t size, int data_fd)
{
	*o = (struct tfs_object){
		.size = size,
		.n_grains = (size + TFS_GRAIN - 1) / TFS_GRAIN,
		.data_fd = data_fd,
		.map_fd = -1,
		.direct_fd = -1,
	};
	o->grains = calloc(o->n_grains + 1, 1);
	if (!o->grains) {
		close(data_fd);
		return -ENOMEM;
	}
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->unclaimed, NULL);
	return 0;
}

int tfs_object_open_memory(uint64_t size, struct tfs_object *ret_object)
{
	int fd = memfd_create("tensorfs-object", MFD_CLOEXEC);

	return fd < 0 ? -errno : init(ret_object, size, fd);
}

void tfs_object_open_whole(int fd, uint64_t size, struct tfs_object *ret_object)
{
	*ret_object = (struct tfs_object){ .size = size, .data_fd = fd, .map_fd = -1, .whole = true, .is_kept = true };
	ret_object->direct_fd = open_again(ret_object, O_DIRECT);
}

int tfs_object_open_disk(struct tfs_cache *cache, int data_fd, int map_fd, bool writable, uint64_t size,
			 struct tfs_object *ret_object)
{
	int r = init(ret_object, size, data_fd);

	if (r) {
		close(map_fd);
		return r;
	}
	ret_object->cache = cache;
	ret_object->map_fd = map_fd;
	ret_object->full = !writable;
	ret_object->is_kept = true;
	ret_object->direct_fd = open_again(ret_object, O_DIRECT);
	return 0;
}

void tfs_object_close(struct tfs_object *o)
{
	close(o->data_fd);
	if (o->direct_fd >= 0)
		close(o->direct_fd);
	if (o->map_fd >= 0)
		close(o->map_fd);
	if (!o->whole) {
		pthread_cond_destroy(&o->unclaimed);
		pthread_mutex_destroy(&o->lock);
		free(o->grains);
	}
}
