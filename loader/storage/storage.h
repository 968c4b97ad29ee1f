/* SPDX-License-Identifier: MIT */
/*
 * Where a model's files are: a local directory (local.c), or elsewhere (remote.c). Layers above ask a storage for names, for what an entry is, and for its
 * bytes, without knowing how it gets them. Another kind of storage is a file with a struct tfs_storage_ops, and a row in storage.c.
 * Thread-safe; what is closed or destroyed must not be in use.
 */
#ifndef TFS_STORAGE_H
#define TFS_STORAGE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "base/scan.h"

/* --- What an entry is ------------------------------------------------------------------------------------------------ */

/*
 * Identifies a file or directory, and tells whether it was changed. Anybody who may write a file can set its mtime, and rsync and
 * editors do; nobody can set the ctime. That also changes with the owner, the mode and the names of a file, but what changed it can't
 * be told.
 */
struct tfs_identity {
	dev_t dev;
	ino_t ino;
	uint64_t size;
	struct timespec mtime, ctime;
};

/* What stat(2) says. */
struct tfs_dirent {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct tfs_identity id;
};

/* Are these the same file or directory, changed or not? */
static inline bool tfs_identity_same(const struct tfs_identity *a, const struct tfs_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static inline bool tfs_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Are these the same file, unchanged? */
static inline bool tfs_identity_unchanged(const struct tfs_identity *a, const struct tfs_identity *b)
{
	return tfs_identity_same(a, b) && a->size == b->size && tfs_same_time(&a->mtime, &b->mtime) &&
	       tfs_same_time(&a->ctime, &b->ctime);
}

/* --- What parsers read from ------------------------------------------------------------------------------------------ */

struct tfs_input;

/* A part of a file. */
struct tfs_input_range {
	uint64_t offset, len;
};

struct tfs_input_ops {
	/* What tfs_input_read() does; @ahead: tfs_input_read_ahead(). */
	int (*read_at)(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, bool ahead, struct tfs_error *err);
	/* What tfs_input_want() does; NULL: nothing. */
	void (*want)(const struct tfs_input *in, const struct tfs_input_range *ranges, size_t n);
	/* What the functions of these names do; NULL: never, nothing, 1. */
	int (*lend)(const struct tfs_input *in, size_t len, uint64_t offset, bool ahead, const uint8_t **ret_data,
		    unsigned *ret_loan, struct tfs_error *err);
	void (*repay)(const struct tfs_input *in, unsigned loan);
	size_t (*step)(const struct tfs_input *in);
	void (*close)(struct tfs_input *in);
};

/* A file that is open for reading. It has no position, so several threads may read it at once. */
struct tfs_input {
	const struct tfs_input_ops *ops; /* NULL: not open */
	uint64_t size;			 /* as of when the model was opened; there may be less by now */
	int fd;				 /* of a local file, for those who read it in other ways; else -1 */
	const struct tfs_input *outer;	 /* of a window: what it is a part of, from byte @base on; else NULL */
	uint64_t base;
	void *remote;		 /* remote.c's own */
	uint32_t node;		 /* the same */
	struct tfs_share *share; /* of what parsing may cost; NULL: no limits. Owned by who opened it */
};

#define TFS_INPUT_CLOSED ((struct tfs_input){ .fd = -1 })

/*
 * Read exactly @len bytes at @offset of @in into @buf. 0, or -errno with @err filled (it may be NULL); -EIO: the file ends
 * earlier, so it was truncated since its size was read.
 */
static inline int tfs_input_read(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, struct tfs_error *err)
{
	return in->ops->read_at(in, buf, len, offset, false, err);
}

/* The same, of bytes that nobody waits for yet: what others wait for goes before them, where that matters. */
static inline int tfs_input_read_ahead(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, struct tfs_error *err)
{
	return in->ops->read_at(in, buf, len, offset, true, err);
}

/*
 * Read without a copy, if that is possible: *@ret_data has the bytes until *@ret_loan is repaid. @ahead: as above. -EAGAIN: they are to
 * be read in the other way.
 */
static inline int tfs_input_lend(const struct tfs_input *in, size_t len, uint64_t offset, bool ahead, const uint8_t **ret_data,
				 unsigned *ret_loan, struct tfs_error *err)
{
	return in->ops->lend ? in->ops->lend(in, len, offset, ahead, ret_data, ret_loan, err) : -EAGAIN;
}

static inline void tfs_input_repay(const struct tfs_input *in, unsigned loan)
{
	if (in->ops->repay)
		in->ops->repay(in, loan);
}

/* The most that reads should be widened to a multiple of, at both ends. */
#define TFS_INPUT_STEP ((size_t)64 << 10)

/* Reads are cheapest if they begin and end at multiples of this, or at the end of the file: a power of two. */
static inline size_t tfs_input_step(const struct tfs_input *in)
{
	return in->ops->step ? in->ops->step(in) : 1;
}

/* These are about to be read, in any order. Where each read is a round trip they are made at once. */
static inline void tfs_input_want(const struct tfs_input *in, const struct tfs_input_range *ranges, size_t n)
{
	if (in->ops->want && n)
		in->ops->want(in, ranges, n);
}

/* Accepts TFS_INPUT_CLOSED, and sets @in to it. */
static inline void tfs_input_close(struct tfs_input *in)
{
	if (in->ops)
		in->ops->close(in);
	*in = TFS_INPUT_CLOSED;
}

#define cleanup_input __attribute__((cleanup(tfs_input_close)))

/* The local file @fd, of which @size bytes may be read. Closing it closes @fd. */
struct tfs_input tfs_input_of_fd(int fd, uint64_t size);

/*
 * The @size bytes of @outer from @base on, as a file of its own: what is read, and errors, count from @base. They lie within @outer, which
 * stays open, and in its place, as long as the window is used. There is nothing to close.
 */
struct tfs_input tfs_input_window(const struct tfs_input *outer, uint64_t base, uint64_t size);

/* --- Storage --------------------------------------------------------------------------------------------------------- */

struct tfs_storage;

/* One name in a directory, to be copied. A result other than 0 ends the listing and becomes its result. */
typedef int tfs_storage_name_fn(void *arg, const char *name);

/* The directory itself, where a handle of one is expected. */
#define TFS_STORAGE_ROOT (-1)

/* A part of the file that @id describes. */
struct tfs_storage_range {
	const struct tfs_identity *id;
	uint64_t offset, len;
};

/* Of a storage that is elsewhere: figures for people, and for metrics. */
struct tfs_storage_stats {
	const char *origin, *revision; /* "": none */
	const char *cache;	       /* its path, or NULL */
	bool offline;
	uint64_t network_bytes, requests, resolves, connections, open_connections, limit_connections, retries, hedges, throttled;
	uint64_t redirects, ttfb_median_us, cache_hit_bytes, cache_bad, present_bytes, total_bytes, starts, stale;
};

/*
 * Every function is required, unless it is optional. Paths are relative to the storage's directory, and links in them are followed. Unless stated
 * otherwise they return 0 or -errno.
 */
struct tfs_storage_ops {
	/* Open the directory @path. Not @to_list: only to look up entries in it. A handle, 0 or more; else -errno. */
	int (*open_dir)(const struct tfs_storage *s, const char *path, bool to_list);
	void (*close_dir)(const struct tfs_storage *s, int dir);

	/* The names in @dir, in no particular order, without "." and "..". */
	int (*list)(const struct tfs_storage *s, int dir, tfs_storage_name_fn *name, void *arg);

	/* What @path, relative to @dir, is; "": @dir itself. @follow: for a link, describe its target. Nothing is opened. */
	int (*look)(const struct tfs_storage *s, int dir, const char *path, bool follow, struct tfs_dirent *ret);

	/* The target of the link @name in @dir: the length of what is in @buf, without a NUL; or -errno. */
	ssize_t (*read_link)(const struct tfs_storage *s, int dir, const char *name, char *buf, size_t size);

	/*
	 * Open the regular file @path for reading, provided it is the one that @id describes, else -ESTALE; anything that has
	 * replaced it isn't opened. @flags: O_DIRECT or 0.
	 */
	int (*open)(const struct tfs_storage *s, const char *path, const struct tfs_identity *id, int flags, struct tfs_input *ret);

	/* Is @in, opened as @path, still what @id describes, and still what is at @path? 0, -ESTALE, or another error. */
	int (*check)(const struct tfs_storage *s, const char *path, const struct tfs_identity *id, const struct tfs_input *in);

	/* Optional, of storages that aren't local; thread-safe: */

	/* As tfs_input_want(), of several files. @ahead: nobody waits for them yet. */
	void (*want)(struct tfs_storage *s, const struct tfs_storage_range *ranges, size_t n, bool ahead);
	/* All headers have been read. */
	void (*scanned)(struct tfs_storage *s);
	/* Reads that wait, and all later ones, fail with -ECANCELED; until it is resumed, when none waits any more. */
	void (*stop)(struct tfs_storage *s);
	void (*resume)(struct tfs_storage *s);
	/* Nothing is being read at the moment: give back memory. */
	void (*idle)(struct tfs_storage *s);
	/*
	 * A descriptor of all bytes of the file that @id describes, which are here and known to be right, for the kernel to read; or
	 * -errno: they aren't.
	 */
	int (*whole)(struct tfs_storage *s, const struct tfs_identity *id);
	/* Does it pay to read a file that nobody has asked for yet, as its bytes stay? */
	bool (*keeps)(struct tfs_storage *s, const struct tfs_identity *id);
	/* Why opening and checking the file say -ESTALE, until the storage ends; NULL: nothing is known. */
	const char *(*stale)(const struct tfs_storage *s, const struct tfs_identity *id);
	/* The SHA-256, or Git's SHA-1, of the file, as the origin says, in hexadecimal; NULL: it says nothing. */
	const char *(*listed_hash)(const struct tfs_storage *s, const struct tfs_identity *id);
	void (*stats)(struct tfs_storage *s, struct tfs_storage_stats *ret_stats);

	/* Nothing of it may be open. */
	void (*destroy)(struct tfs_storage *s);
};

/*
 * Who has more rights than this process, and does what is refused to it with EACCES. @at: a descriptor of a directory. Each returns
 * -errno on failure. Thread-safe.
 */
struct tfs_opener {
	int (*look)(void *arg, int at, const char *path, int flags, struct stat *ret); /* as fstatat(2) */
	ssize_t (*read_link)(void *arg, int at, const char *name, char *buf, size_t size);
	int (*step)(void *arg, int at, const char *name); /* openat(2) with O_PATH | O_NOFOLLOW */
	/* The regular file or directory @path, below the storage's directory; @flags: O_DIRECT, O_DIRECTORY, O_PATH */
	int (*open)(void *arg, const char *path, int flags);
	void *arg;
};

struct tfs_storage {
	const struct tfs_storage_ops *ops;
	int fd;			   /* of a local directory, opened with O_PATH; else -1 */
	const char *name;	   /* to be shown instead of a path, "hf://org/model@1a2b3c4"; of a local directory NULL */
	int passed_fd;		   /* of a directory on the file system that whole()'s files are on; or -1 */
	struct tfs_opener *opener; /* NULL: nobody has more rights. Set before it is used */
};

/*
 * The storage of @path, a directory, or of the directory that the file @path is in: then *@ret_file is its name, within @path, else
 * NULL. 0: the caller owns *@ret_storage; or -errno with @err filled, which doesn't name @path.
 */
int tfs_storage_open(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err);
void tfs_storage_destroy(struct tfs_storage *s); /* takes NULL */

/*
 * Open the storage of @path now, for tfs_storage_open() to return it when it is first called with that path: for a process that gives
 * up the right to open it in between. Not thread-safe. 0, and *@ret_storage, which is nobody's until then, and *@ret_file as above,
 * which lasts as long; or -errno as above.
 */
int tfs_storage_open_ahead(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err);

/* Is @path a directory? If that was opened ahead: was it then? */
bool tfs_storage_is_dir(const char *path);

/*
 * openat(@at, @name, O_PATH | O_NOFOLLOW), of the local storage @s: one step on a way that may lead anywhere, to see what is there. A
 * descriptor or -errno.
 */
int tfs_storage_step(const struct tfs_storage *s, int at, const char *name);

/* fstatat(2) of what is reached so. 0 or -errno. */
int tfs_storage_stat(const struct tfs_storage *s, int at, const char *path, int flags, struct stat *ret);

/* Is it the name of something that isn't a local path? */
bool tfs_storage_is_remote(const char *path);

/* remote.c: URLs. */
int tfs_storage_open_remote(const char *url, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err);

/* The same of the URL that is in the file whose path follows the '@': one with a secret in it. */
int tfs_storage_open_url_file(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err);

/* local.c: the last row, which accepts any path. */
int tfs_storage_open_local(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err);

#endif
