/* SPDX-License-Identifier: MIT */
/*
 * A model whose files are in memory, for what reads from models: local ones, with descriptors, or remote ones, which the loader reads by
 * functions. These see to it that nothing is read beyond a file's end, and fail when they are told to.
 */
#ifndef FUZZ_MEMORY_MODEL_H
#define FUZZ_MEMORY_MODEL_H

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>

#include "content/extract.h"
#include "fuzz.h"
#include "model/model.h"

enum { MEMORY_FILES = 3, MEMORY_FILE_MAX = 64 << 20 };

struct memory_file {
	uint8_t *bytes; /* MEMORY_FILE_MAX, of which @size are used */
	uint64_t size;
	uint64_t there; /* fewer than @size: it was truncated since */
	int fd;
	bool stale;
};

struct memory_model {
	struct tfs_model model;
	struct tfs_storage storage;
	struct tfs_node nodes[1 + MEMORY_FILES];
	struct memory_file files[MEMORY_FILES]; /* node 1 is the first */
	unsigned reads, fails_at;		/* remote: so many reads, of which that one fails; 0: none does */
};

static struct memory_model memory_model;

static inline struct memory_file *memory_file_at(const char *path)
{
	unsigned i = 0;

	path += strncmp(path, "./", 2) ? 0 : 2;
	while (i < MEMORY_FILES && strcmp(memory_model.nodes[1 + i].name, path) != 0)
		i++;
	return i < MEMORY_FILES ? &memory_model.files[i] : NULL;
}

static inline int memory_read(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, bool ahead, struct tfs_error *err)
{
	const struct memory_file *f = &memory_model.files[in->node];

	(void)ahead;
	CHECK(offset <= f->size && len <= f->size - offset);
	if (++memory_model.reads == memory_model.fails_at)
		return tfs_error_set(err, -EIO, offset, "reading failed");
	if (offset + len > f->there)
		return tfs_error_set(err, -EIO, f->there, "the file ends here");
	memcpy(buf, f->bytes + offset, len);
	return 0;
}

static inline void memory_close(struct tfs_input *in)
{
	(void)in;
}

static inline int memory_open(const struct tfs_storage *s, const char *path, const struct tfs_identity *id, int flags,
			      struct tfs_input *ret)
{
	static const struct tfs_input_ops ops = { .read_at = memory_read, .close = memory_close };
	struct memory_file *f = memory_file_at(path);

	(void)flags;
	CHECK(f);
	if (f->stale)
		return -ESTALE;
	CHECK(id->size == f->size);
	if (s->name)
		*ret = (struct tfs_input){ .ops = &ops, .size = f->size, .fd = -1, .node = (uint32_t)(f - memory_model.files) };
	else
		*ret = tfs_input_of_fd(fcntl(f->fd, F_DUPFD_CLOEXEC, 0), f->size);
	return 0;
}

static inline int memory_check(const struct tfs_storage *s, const char *path, const struct tfs_identity *id,
			       const struct tfs_input *in)
{
	(void)s;
	CHECK(in->ops && id->size == in->size);
	return memory_file_at(path)->stale ? -ESTALE : 0;
}

static inline int memory_look(const struct tfs_storage *s, int dir, const char *path, bool follow, struct tfs_dirent *ret)
{
	const struct memory_file *f = memory_file_at(path);

	CHECK(s == &memory_model.storage && dir == TFS_STORAGE_ROOT && follow);
	if (f)
		*ret = (struct tfs_dirent){ .mode = S_IFREG | 0444, .id.size = f->size };
	return f ? 0 : -ENOENT;
}

static const struct tfs_storage_ops memory_storage = { .open = memory_open, .check = memory_check, .look = memory_look };

/* Empty files again. */
static inline struct memory_model *memory_model_begin(bool remote)
{
	static const char *const names[] = { "", "x", "y", "z" };
	struct memory_model *m = &memory_model;

	/* meson has malloc() fill all that it gives out, and here that is MiBs for a few bytes each time. */
	mallopt(M_PERTURB, 0);
	m->storage = (struct tfs_storage){ .ops = &memory_storage, .fd = -1, .name = remote ? "memory" : NULL, .passed_fd = -1 };
	for (unsigned i = 0; i <= MEMORY_FILES; i++)
		m->nodes[i] = (struct tfs_node){ .name = names[i], .mode = i ? S_IFREG | 0444 : S_IFDIR | 0555 };
	m->nodes[0].first_child = 1;
	m->nodes[0].n_children = MEMORY_FILES;
	for (unsigned i = 0; i < MEMORY_FILES; i++) {
		struct memory_file *f = &m->files[i];

		if (!f->bytes) {
			f->bytes = malloc(MEMORY_FILE_MAX);
			f->fd = memfd_create("fuzz", MFD_CLOEXEC);
			CHECK(f->bytes && f->fd >= 0);
		}
		f->size = 0;
		f->stale = false;
	}
	m->model = (struct tfs_model){
		.storage = &m->storage, .n_nodes = 1 + MEMORY_FILES, .nodes = m->nodes, .npy_align = TFS_NPY_ALIGN
	};
	m->reads = m->fails_at = 0;
	return m;
}

/* Append @len bytes to file @i; returns where they are. */
static inline uint64_t memory_put(unsigned i, const void *bytes, size_t len)
{
	struct memory_file *f = &memory_model.files[i];
	uint64_t at = f->size;

	CHECK(len <= MEMORY_FILE_MAX - f->size);
	memcpy(f->bytes + at, bytes, len);
	f->size += len;
	return at;
}

/* They are complete. The last @cut bytes of each can't be read. */
static inline void memory_model_end(uint64_t cut)
{
	for (unsigned i = 0; i < MEMORY_FILES; i++) {
		struct memory_file *f = &memory_model.files[i];

		memory_model.nodes[1 + i].id.size = f->size;
		f->there = f->size - (cut < f->size ? cut : f->size);
		if (memory_model.storage.name)
			continue;
		CHECK(!ftruncate(f->fd, 0));
		CHECK(pwrite(f->fd, f->bytes, f->there, 0) == (ssize_t)f->there);
	}
}

/* --- Memory for what reads --------------------------------------------------------------------------------------------- */

struct budget {
	uint64_t limit, used, most;
};

static inline uint64_t budget_take(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	struct budget *b = arg;
	uint64_t left = b->limit - b->used, got = left < want ? left : want;

	(void)priority;
	CHECK(least && least <= want);
	if (got < least)
		return 0;
	b->used += got;
	b->most = b->used > b->most ? b->used : b->most;
	return got;
}

static inline void budget_give(void *arg, uint64_t bytes)
{
	struct budget *b = arg;

	CHECK(bytes && bytes <= b->used);
	b->used -= bytes;
}

/* A buffer for a read of @len bytes, with what direct reads need beside. */
static inline uint8_t *read_buffer(size_t len)
{
	uint8_t *b = aligned_alloc(TFS_IO_ALIGN, (len + 3 * TFS_IO_ALIGN - 1) / TFS_IO_ALIGN * TFS_IO_ALIGN);

	CHECK(b);
	return b;
}

/* A read may fail only if @may, and says why. Returns whether it has. */
static inline bool read_failed(int r, const struct tfs_error *err, bool may)
{
	if (r && !may)
		fprintf(stderr, "it may not fail: %s\n", err->what);
	CHECK(!r || (may && (r == -EIO || r == -ESTALE || r == -ENOMEM || r == -ECANCELED)));
	CHECK(!r || r == -ECANCELED || (err->code == r && err->what[0]));
	return r;
}

#endif
