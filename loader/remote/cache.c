/* SPDX-License-Identifier: MIT */
#include "remote/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "remote/cache-impl.h"

/* Without a limit, this share of the disk is left free. */
enum { FREE_SHARE = 10 };

/* Room is looked for in such steps, and if there was none, not again for a while. */
#define STEP_MAX ((int64_t)256 << 20)
enum { STEP_SHARE = 8, AGAIN_SECONDS = 30 };

/* Of a large file so much is given back at a time; and nothing is worth to be left of it but more than that. */
#define TRIM_STEP ((uint64_t)4 << 20)
#define TRIM_LEFT ((int64_t)8 << 20)

/* An object that is being deleted while it is opened is opened again, as a new one. */
enum { OPEN_TRIES = 8 };

/* The beginning of a map. */
struct map_header {
	uint64_t magic, size, grain, reserved;
	char key[TFS_CACHE_NAME];
	char identity[TFS_CACHE_IDENTITY];
	char about[TFS_CACHE_ABOUT];
	char unused[TFS_MAP_HEADER - 4 * sizeof(uint64_t) - TFS_CACHE_NAME - TFS_CACHE_IDENTITY - TFS_CACHE_ABOUT];
};
_Static_assert(sizeof(struct map_header) == TFS_MAP_HEADER, "hashes begin behind it");

#define MAP_MAGIC 0x3150414d53465400ull

const char *tfs_cache_path(const struct tfs_cache *c)
{
	return c->path;
}

int tfs_cache_dir(const struct tfs_cache *c)
{
	return c->dir;
}

/* --- The directory ------------------------------------------------------------------------------------------------------ */

bool tfs_cache_default(char *buf, size_t size)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	if (xdg && *xdg == '/')
		n = snprintf(buf, size, "%s/tensorfs", xdg);
	else if (home && *home == '/' && home[1])
		n = snprintf(buf, size, "%s/.cache/tensorfs", home);
	else if (!getuid())
		n = snprintf(buf, size, "/var/cache/tensorfs");
	else
		return false;
	return n < (int)size;
}

DIR *tfs_cache_stream(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

/* Create @path with its parents. Errors are found when it is opened. */
static void make_dirs(const char *path)
{
	char part[PATH_MAX];

	for (const char *at = path; *at;) {
		at += strspn(at, "/");
		at += strcspn(at, "/");
		snprintf(part, sizeof part, "%.*s", (int)(at - path), path);
		mkdir(part, 0700);
	}
}

static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
			  "# A cache directory of tensorfs, see tensorfs-remote(7). See https://bford.info/cachedir/.\n";

static void write_tag(const struct tfs_cache *c)
{
	cleanup_fd int fd = openat(c->dir, "CACHEDIR.TAG", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0 && write(fd, tag, sizeof tag - 1) < 0)
		tfs_log_debug("CACHEDIR.TAG: %s", strerror(errno));
}

static bool is_directory(int at, const char *name)
{
	struct stat st;

	return !fstatat(at, name, &st, 0) && S_ISDIR(st.st_mode);
}

/* Has it anything that a cache, also one that was just begun, or a new file system, hasn't? */
static bool has_others(int dir)
{
	static const char *const ours[] = { ".", "..", "objects", "trees", "CACHEDIR.TAG", "lost+found" };
	cleanup_dir DIR *d = tfs_cache_stream(dir, ".");
	bool known = true;
	struct dirent *e;

	while (known && d && (e = readdir(d))) {
		known = false;
		for (size_t i = 0; i < sizeof ours / sizeof *ours && !known; i++)
			known = !strcmp(e->d_name, ours[i]);
	}
	return !d || !known;
}

/* Is it a cache already? -ENOENT: it isn't, but could become one. */
static int check_there(const struct tfs_cache *c, struct tfs_error *err)
{
	if (is_directory(c->dir, "objects") && is_directory(c->dir, "trees"))
		return 0;
	if (!has_others(c->dir))
		return tfs_error_set(err, -ENOENT, TFS_NO_OFFSET, "the cache %s is empty", c->path);
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
			     "%s isn't a cache: it has files, but not both objects/ and trees/. Name a directory that is empty, or "
			     "isn't there yet",
			     c->path);
}

static int open_dir(struct tfs_cache *c, bool create, struct tfs_error *err)
{
	struct stat st;

	if (create)
		make_dirs(c->path);
	c->dir = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0 || fstat(c->dir, &st))
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "the cache %s: %s", c->path, strerror(errno));
	/* Whoever may write it could put wrong bytes and right hashes there. */
	if ((st.st_uid != geteuid() && st.st_uid) || st.st_mode & (S_IWGRP | S_IWOTH))
		return tfs_error_set(err, -EPERM, TFS_NO_OFFSET,
				     "the cache %s isn't used: others than the user %u may write it (owner %u, mode %03o)", c->path,
				     (unsigned)geteuid(), (unsigned)st.st_uid, (unsigned)st.st_mode & 0777);
	const int r = check_there(c, err);
	if (r && (!create || r != -ENOENT))
		return r;
	if (r) {
		mkdirat(c->dir, "objects", 0700);
		mkdirat(c->dir, "trees", 0700);
	}
	c->writable = !faccessat(c->dir, "objects", W_OK, AT_EACCESS) && !faccessat(c->dir, "trees", W_OK, AT_EACCESS);
	if (c->writable && create)
		write_tag(c);
	return 0;
}

static int open_cache(const char *dir, bool create, uint64_t limit, struct tfs_cache **ret_cache, struct tfs_error *err)
{
	struct tfs_cache *c = calloc(1, sizeof *c);
	int r = 0;

	if (!c)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	c->dir = -1;
	c->limit = limit;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wrote, NULL);
	if (*dir == '/') {
		c->path = strdup(dir);
	} else {
		cleanup_free char *here = getcwd(NULL, 0);

		if (!here || asprintf(&c->path, "%s/%s", here, dir) < 0)
			c->path = NULL;
	}
	r = c->path ? open_dir(c, create, err) : tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	if (r)
		tfs_cache_close(c);
	else
		*ret_cache = c;
	return r;
}

int tfs_cache_open(const char *dir, uint64_t limit, struct tfs_cache **ret_cache, struct tfs_error *err)
{
	return open_cache(dir, true, limit, ret_cache, err);
}

int tfs_cache_open_there(const char *dir, struct tfs_cache **ret_cache, struct tfs_error *err)
{
	return open_cache(dir, false, 0, ret_cache, err);
}

void tfs_cache_close(struct tfs_cache *c)
{
	if (!c)
		return;
	if (c->dir >= 0)
		close(c->dir);
	pthread_cond_destroy(&c->wrote);
	pthread_mutex_destroy(&c->lock);
	free(c->path);
	free(c);
}

/* --- Objects ------------------------------------------------------------------------------------------------------------ */

void tfs_cache_key(const char *prefix, const char *hash, const char *identity, char *buf)
{
	XXH128_hash_t h = XXH3_128bits(identity, strlen(identity));

	if (hash)
		snprintf(buf, TFS_CACHE_NAME, "%s-%s-%08x", prefix, hash, (unsigned)(h.low64 & UINT32_MAX));
	else
		snprintf(buf, TFS_CACHE_NAME, "%s-%016" PRIx64 "%016" PRIx64, prefix, h.high64, h.low64);
}

/* "objects/ab/KEY", of the key's hash's first byte. */
static void object_path(const char *key, char buf[static 2 * TFS_CACHE_NAME])
{
	snprintf(buf, 2 * TFS_CACHE_NAME, "objects/%02x/%s", (unsigned)(XXH3_64bits(key, strlen(key)) & 0xff), key);
}

static bool lock_map(int fd, short type, bool wait)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
	int r;

	do
		r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
	while (r && errno == EINTR);
	return !r;
}

/*
 * Is the map, which is open, of this object? A new one is written. -EMSGSIZE: it is, but of another size; -EEXIST: it is of something
 * else, or damaged; -ENOENT: it can't be written.
 */
static int check_map(int fd, bool writable, const struct map_header *want)
{
	const uint64_t n = (want->size + TFS_GRAIN - 1) / TFS_GRAIN;
	struct map_header have = { .magic = 0 };
	ssize_t got = pread(fd, &have, sizeof have, 0);

	if (got < 0)
		return -errno;
	if (got == sizeof have && !memcmp(&have, want, offsetof(struct map_header, about)))
		return 0;
	if (got == sizeof have && have.magic == want->magic && have.grain == want->grain && !strcmp(have.key, want->key) &&
	    !memcmp(have.identity, want->identity, sizeof have.identity))
		return -EMSGSIZE;
	if (got && have.magic)
		return -EEXIST;
	if (!writable)
		return -ENOENT;
	if (ftruncate(fd, (off_t)(TFS_MAP_HEADER + n * sizeof(uint64_t))) || pwrite(fd, want, sizeof *want, 0) != sizeof *want)
		return -errno;
	return 0;
}

/* Open one that exists, or can be created. -EAGAIN: it was deleted meanwhile. */
static int open_once(struct tfs_cache *c, const char *path, bool writable, int *ret_data, int *ret_map)
{
	char file[2 * TFS_CACHE_NAME + 8];
	int flags = (writable ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
	cleanup_fd int map = -1, data = -1;
	struct stat st;

	snprintf(file, sizeof file, "%s/map", path);
	map = openat(c->dir, file, flags, 0600);
	if (map < 0)
		return -errno;
	lock_map(map, F_RDLCK, true); /* without locks it isn't protected, and that is all */
	snprintf(file, sizeof file, "%s/data", path);
	data = openat(c->dir, file, flags, 0600);
	if (data < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (fstat(map, &st) || !st.st_nlink || fstat(data, &st) || !st.st_nlink)
		return -EAGAIN;
	*ret_map = tfs_steal_fd(&map);
	*ret_data = tfs_steal_fd(&data);
	return 0;
}

static int open_object(struct tfs_cache *c, const char *key, bool writable, int *ret_data, int *ret_map)
{
	char path[2 * TFS_CACHE_NAME], parent[2 * TFS_CACHE_NAME];
	int r = -EAGAIN;

	object_path(key, path);
	snprintf(parent, sizeof parent, "%s", path);
	*strrchr(parent, '/') = '\0';
	for (int i = 0; i < OPEN_TRIES && (r == -EAGAIN || (writable && r == -ENOENT)); i++) {
		if (writable) {
			mkdirat(c->dir, parent, 0700);
			mkdirat(c->dir, path, 0700);
		}
		r = open_once(c, path, writable, ret_data, ret_map);
	}
	return r;
}

static int try_object(struct tfs_cache *c, const struct map_header *want, bool writable, struct tfs_object *ret_object)
{
	cleanup_fd int data = -1, map = -1;
	int r = open_object(c, want->key, writable, &data, &map);
	struct stat st;

	if (!r)
		r = check_map(map, writable, want);
	/* Bytes came only if the origin has confirmed the size. Without any, one size is as good as the other. */
	if (r == -EMSGSIZE && !fstat(data, &st) && !st.st_blocks)
		r = -ENODATA;
	if (!r && writable && ftruncate(data, (off_t)want->size))
		r = -errno;
	if (r)
		return r;
	if (writable)
		futimens(map, NULL);		      /* now; if it can't be told it is deleted sooner */
	posix_fadvise(data, 0, 0, POSIX_FADV_RANDOM); /* how much to read is our decision */
	return tfs_object_open_disk(c, tfs_steal_fd(&data), tfs_steal_fd(&map), writable, want->size, ret_object);
}

int tfs_cache_object(struct tfs_cache *c, const char *key, const char *identity, const char *about, uint64_t size,
		     struct tfs_object *ret_object)
{
	struct map_header want = { .magic = MAP_MAGIC, .size = size, .grain = TFS_GRAIN };
	int r;

	snprintf(want.key, sizeof want.key, "%s", key);
	snprintf(want.identity, sizeof want.identity, "%s", identity);
	snprintf(want.about, sizeof want.about, "%s", about);
	r = try_object(c, &want, c->writable, ret_object);
	/* Nothing is written over what somebody may be using. */
	if ((r == -EEXIST || r == -ENODATA) && c->writable && !tfs_cache_remove(c, key))
		r = try_object(c, &want, true, ret_object);
	else if (c->writable && (r == -EACCES || r == -EROFS))
		r = try_object(c, &want, false, ret_object);
	return r == -ENODATA ? -EMSGSIZE : r;
}

int tfs_cache_object_by_key(struct tfs_cache *c, const char *key, struct tfs_object *ret_object)
{
	char path[2 * TFS_CACHE_NAME], file[2 * TFS_CACHE_NAME + 8];
	struct map_header h;

	object_path(key, path);
	snprintf(file, sizeof file, "%s/map", path);
	cleanup_fd int map = openat(c->dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (map < 0)
		return -errno;
	if (pread(map, &h, sizeof h, 0) != sizeof h || h.magic != MAP_MAGIC || h.grain != TFS_GRAIN || h.size > INT64_MAX ||
	    strncmp(h.key, key, sizeof h.key))
		return -EINVAL;
	return try_object(c, &h, c->writable, ret_object);
}

int tfs_cache_remove(struct tfs_cache *c, const char *key)
{
	char path[2 * TFS_CACHE_NAME], file[2 * TFS_CACHE_NAME + 8];
	cleanup_fd int map = -1;

	object_path(key, path);
	snprintf(file, sizeof file, "%s/map", path);
	map = openat(c->dir, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (map < 0 && errno != ENOENT)
		return -errno;
	if (map >= 0 && !lock_map(map, F_WRLCK, false))
		return -EBUSY;
	snprintf(file, sizeof file, "%s/data", path);
	unlinkat(c->dir, file, 0);
	snprintf(file, sizeof file, "%s/map", path);
	unlinkat(c->dir, file, 0);
	return unlinkat(c->dir, path, AT_REMOVEDIR) ? -errno : 0;
}

/* --- Listing ------------------------------------------------------------------------------------------------------------ */

/* Of the object in the directory @dir; false: it isn't one. */
static bool read_entry(int dir, const char *key, struct tfs_cache_entry *e)
{
	char file[TFS_CACHE_NAME + 8];
	struct map_header h;
	struct stat data, map;

	if (strlen(key) >= TFS_CACHE_NAME)
		return false;
	*e = (struct tfs_cache_entry){ .size = 0 };
	snprintf(file, sizeof file, "%s/data", key);
	if (fstatat(dir, file, &data, AT_SYMLINK_NOFOLLOW))
		return false;
	snprintf(file, sizeof file, "%s/map", key);
	cleanup_fd int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &map))
		return false;
	snprintf(e->key, sizeof e->key, "%s", key);
	e->size = (uint64_t)data.st_size;
	e->data = (uint64_t)data.st_blocks * 512;
	e->stored = e->data + (uint64_t)map.st_blocks * 512;
	e->used = map.st_mtim;
	if (pread(fd, &h, sizeof h, 0) == sizeof h)
		snprintf(e->about, sizeof e->about, "%.*s", TFS_CACHE_ABOUT - 1, h.about);
	return true;
}

static int by_use(const void *a, const void *b)
{
	const struct timespec *s = &((const struct tfs_cache_entry *)a)->used, *t = &((const struct tfs_cache_entry *)b)->used;

	return s->tv_sec != t->tv_sec ? (s->tv_sec < t->tv_sec ? -1 : 1) : (s->tv_nsec > t->tv_nsec) - (s->tv_nsec < t->tv_nsec);
}

struct entries {
	struct tfs_cache_entry *all;
	size_t n, room;
};

static int list_shelf(int dir, struct entries *l)
{
	cleanup_dir DIR *d = NULL;
	struct dirent *e;

	d = tfs_cache_stream(dir, ".");
	while (d && (e = readdir(d))) {
		if (tfs_array_room(l->all, l->n, l->room))
			return -ENOMEM;
		if (e->d_name[0] != '.')
			l->n += read_entry(dir, e->d_name, &l->all[l->n]);
	}
	return 0;
}

int tfs_cache_list(struct tfs_cache *c, struct tfs_cache_entry **ret_entries, size_t *ret_n)
{
	cleanup_dir DIR *d = tfs_cache_stream(c->dir, "objects");
	struct entries l = { .n = 0 };
	struct dirent *e;
	int r = 0;

	while (!r && d && (e = readdir(d))) {
		cleanup_fd int shelf = e->d_name[0] == '.' ? -1 : openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (shelf >= 0)
			r = list_shelf(shelf, &l);
	}
	if (r) {
		free(l.all);
		return r;
	}
	if (l.n)
		qsort(l.all, l.n, sizeof *l.all, by_use);
	*ret_entries = l.all;
	*ret_n = l.n;
	return 0;
}

/* --- Room --------------------------------------------------------------------------------------------------------------- */

/* Bytes that the disk has room for, of which the last @spare are left to others; may be below 0. */
static int64_t disk_room(const struct tfs_cache *c, bool spare)
{
	struct statvfs fs;

	if (fstatvfs(c->dir, &fs))
		return 0;
	return (int64_t)(fs.f_bavail * fs.f_frsize) - (spare ? (int64_t)(fs.f_blocks * fs.f_frsize / FREE_SHARE) : 0);
}

/* Bytes that may be written; below 0 if there are too many already. What is being written may be counted twice. The lock is held. */
static int64_t find_room(const struct tfs_cache *c, const struct tfs_cache_entry *e, size_t n)
{
	int64_t disk = disk_room(c, !c->limit), left;
	uint64_t used = 0;

	if (!c->limit)
		return disk;
	for (size_t i = 0; i < n; i++)
		used += e[i].stored;
	left = (int64_t)(c->limit - used) - c->writing;
	return left < disk ? left : disk;
}

/* Zero the hashes of [@from, @end) of an object that nobody has open, then give its blocks back. */
static int punch(int map, int data, uint64_t from, uint64_t end)
{
	const uint64_t grain = from / TFS_GRAIN, n = (end + TFS_GRAIN - 1) / TFS_GRAIN - grain;
	cleanup_free uint64_t *nothing = calloc(n, sizeof *nothing);
	const size_t len = n * sizeof *nothing;

	if (!nothing)
		return -ENOMEM;
	if (pwrite(map, nothing, len, (off_t)(TFS_MAP_HEADER + grain * sizeof *nothing)) != (ssize_t)len)
		return -EIO;
	return fallocate(data, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(end - from)) ? -errno : 0;
}

/*
 * Give back at least @bytes of an object that nobody has open, from its end on, as headers are at the beginning. How many it were; 0:
 * it is in use, or its file system can't do that.
 */
static int64_t trim(struct tfs_cache *c, const struct tfs_cache_entry *e, int64_t bytes)
{
	char path[2 * TFS_CACHE_NAME], file[2 * TFS_CACHE_NAME + 8];
	const struct timespec used[2] = { { .tv_nsec = UTIME_OMIT }, e->used };
	struct stat before, now;
	int64_t freed = 0;

	object_path(e->key, path);
	snprintf(file, sizeof file, "%s/map", path);
	cleanup_fd int map = openat(c->dir, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (map < 0 || !lock_map(map, F_WRLCK, false))
		return 0;
	snprintf(file, sizeof file, "%s/data", path);
	cleanup_fd int data = openat(c->dir, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (data < 0 || fstat(data, &before))
		return 0;
	for (uint64_t end = (uint64_t)before.st_size; end && freed < bytes;) {
		uint64_t from = end > TRIM_STEP ? (end - 1) / TRIM_STEP * TRIM_STEP : 0;

		if (punch(map, data, from, end) || fstat(data, &now))
			break;
		freed = (int64_t)(before.st_blocks - now.st_blocks) * 512;
		end = from;
	}
	futimens(map, used); /* it wasn't used by that */
	return freed > 0 ? freed : 0;
}

/* Give back what is needed of an object, or all of it if little would be left. How many bytes it were; 0: it is in use. */
static int64_t reclaim(struct tfs_cache *c, const struct tfs_cache_entry *e, int64_t bytes)
{
	int64_t freed = (int64_t)e->data > bytes + TRIM_LEFT ? trim(c, e, bytes) : 0;

	if (!freed && !tfs_cache_remove(c, e->key))
		freed = (int64_t)e->stored;
	if (freed)
		tfs_log_info("cache: %" PRId64 " of %" PRIu64 " MiB of %s deleted", freed >> 20, e->stored >> 20, e->key);
	return freed;
}

/* Look how much room there is, and delete what was used least recently if that isn't enough for @bytes. The lock is held. */
static int64_t make_room(struct tfs_cache *c, int64_t bytes)
{
	cleanup_free struct tfs_cache_entry *entries = NULL;
	int64_t room = c->limit ? 0 : find_room(c, NULL, 0);
	size_t n = 0;

	if (room >= bytes || tfs_cache_list(c, &entries, &n))
		return room;
	room = find_room(c, entries, n);
	for (size_t i = 0; i < n && room < bytes; i++)
		room += reclaim(c, &entries[i], bytes - room);
	return room;
}

/*
 * Find at least @bytes that may be written, for ->left. Where there aren't any, that holds for a while; false: it isn't known, as others
 * are writing. The lock is held.
 */
static bool look_for_room(struct tfs_cache *c, int64_t bytes)
{
	const int64_t share = (int64_t)(c->limit / STEP_SHARE), step = c->limit && share < STEP_MAX ? share : STEP_MAX;
	const int64_t wanted = step > bytes ? step : bytes, got = make_room(c, wanted);

	if (got < bytes && c->limit && c->writing)
		return false;
	c->left = got >= wanted ? wanted : got >= bytes ? bytes : 0;
	if (c->left)
		return true;
	c->again = tfs_now() + AGAIN_SECONDS;
	if (!c->said_full)
		tfs_log_warning("the cache %s is full, and all of it is in use: what comes now isn't kept", c->path);
	c->said_full = true;
	return true;
}

bool tfs_cache_room(struct tfs_cache *c, size_t bytes)
{
	pthread_mutex_lock(&c->lock);
	while (c->left < (int64_t)bytes && c->writable && tfs_now() >= c->again && !look_for_room(c, (int64_t)bytes))
		pthread_cond_wait(&c->wrote, &c->lock);
	const bool room = c->left >= (int64_t)bytes;
	if (room) {
		c->left -= (int64_t)bytes;
		c->writing += (int64_t)bytes;
	}
	pthread_mutex_unlock(&c->lock);
	return room;
}

void tfs_cache_wrote(struct tfs_cache *c, size_t bytes)
{
	pthread_mutex_lock(&c->lock);
	c->writing -= (int64_t)bytes;
	pthread_cond_broadcast(&c->wrote);
	pthread_mutex_unlock(&c->lock);
}

void tfs_cache_failed(struct tfs_cache *c, int code)
{
	if (!atomic_exchange(&c->failed, true))
		tfs_log_warning("writing to the cache %s: %s; what comes now may not be kept", c->path,
				code == EEXIST ? "a file in it is damaged, and in use by a mount" : strerror(code));
}
