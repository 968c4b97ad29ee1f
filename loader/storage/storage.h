/* SPDX-License-Identifier: MIT */
/*
 * Where a model's files are: a local directory (local.c). Layers above ask a storage for names, for what an entry is, and for its
 * bytes, without knowing how it gets them. Another kind of storage is a file with a struct tfs_storage_ops, and a row in storage.c.
 * Thread-safe; what is closed or destroyed must not be in use.
 */
#ifndef TFS_STORAGE_H
#define TFS_STORAGE_H

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

struct tfs_input_ops {
	/* What tfs_input_read() does. */
	int (*read_at)(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, struct tfs_error *err);
	void (*close)(struct tfs_input *in);
};

/* A file that is open for reading. It has no position, so several threads may read it at once. */
struct tfs_input {
	const struct tfs_input_ops *ops; /* NULL: not open */
	uint64_t size;			 /* as of when the model was opened; there may be less by now */
	int fd;				 /* of a local file, for those who read it in other ways; else -1 */
	const struct tfs_input *outer;	 /* of a window: what it is a part of, from byte @base on; else NULL */
	uint64_t base;
	struct tfs_share *share; /* of what parsing may cost; NULL: no limits. Owned by who opened it */
};

#define TFS_INPUT_CLOSED ((struct tfs_input){ .fd = -1 })

/*
 * Read exactly @len bytes at @offset of @in into @buf. 0, or -errno with @err filled (it may be NULL); -EIO: the file ends
 * earlier, so it was truncated since its size was read.
 */
static inline int tfs_input_read(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, struct tfs_error *err)
{
	return in->ops->read_at(in, buf, len, offset, err);
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

/*
 * Every function is required. Paths are relative to the storage's directory, and links in them are followed. Unless stated
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

/* local.c: the last row, which accepts any path. */
int tfs_storage_open_local(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err);

#endif
