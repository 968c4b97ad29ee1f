/* SPDX-License-Identifier: MIT */
/* What the stress test works with: the model, whose every byte is known, and an engine that keeps failing. */
#ifndef TEST_STRESS_H
#define TEST_STRESS_H

#include "support/encoded.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "cache/prefetch.h"
#include "content/consolidated.h"
#include "hash/hash.h"

#define CHECK(x)                                                                \
	do {                                                                    \
		if (!(x)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort();                                                \
		}                                                               \
	} while (0)

/*
 * Each of the first DUPLICATES has the bytes of one of the first two; and the last encoded one those of one that is stored in
 * another way.
 */
enum { PLAIN = 28, DUPLICATES = 12, ENCODED = 10, TENSORS = PLAIN + ENCODED, ACTORS = 64, KEPT = 4, READS = 6 };

struct stress {
	struct rig rig;
	struct tfs_hashes *hashes;
	struct tfs_prefetcher *prefetcher;
	struct tfs_consolidated *whole; /* of the encoded ones */
	struct tensor {
		uint32_t set, tensor;
		uint64_t base;
		struct tfs_hash hash;
	} tensors[TENSORS];
	uint32_t encoded_set;
	bool failing;
	_Atomic bool stopped; /* from now on -ECANCELED is an answer */
	_Atomic uint64_t resident, streamed, cancelled, refused, hashed, evicted, pinned, shared;
	_Atomic uint64_t queued, answered; /* waits that were not cancelled, and their answers */
};

/* --- What is right ------------------------------------------------------------------------------------------------- */

static inline uint64_t base_of(const struct stress *s, uint32_t set, uint32_t tensor)
{
	for (unsigned i = 0; i < TENSORS; i++)
		if (s->tensors[i].set == set && s->tensors[i].tensor == tensor)
			return s->tensors[i].base;
	abort();
}

static inline bool right_bytes(const uint8_t *buf, uint64_t at, size_t len)
{
	uint8_t want[4096];

	for (size_t n; len; at += n, buf += n, len -= n) {
		n = len < sizeof want ? len : sizeof want;
		fill(want, at, n);
		if (memcmp(buf, want, n) != 0)
			return false;
	}
	return true;
}

/* Are these the bytes of a tensor's file at @at? */
static inline bool right_file(const struct stress *s, struct tfs_file_id id, const uint8_t *buf, uint64_t at, size_t len)
{
	struct tfs_layout l = tfs_file_layout(s->rig.model, id);
	uint64_t base = base_of(s, id.set, id.tensor);
	uint8_t header[TFS_VIEW_PREFIX_MAX];
	size_t in_header = at >= l.prefix ? 0 : len < l.prefix - at ? len : l.prefix - at;

	if (in_header) {
		tfs_layout_make_prefix(&l, header);
		if (memcmp(buf, header + at, in_header) != 0)
			return false;
	}
	uint64_t from = at + in_header - l.prefix;
	buf += in_header;
	len -= in_header;
	if (!l.convert)
		return right_bytes(buf, base + from, len);
	unsigned width = l.tensor->dtype->block_bytes;
	for (size_t i = 0; i < len; i++) {
		uint64_t elem = base + (from + i) / 4 * width;
		float value = byte_at(elem) + (width == 2 ? 256 * byte_at(elem + 1) : 0);
		if (buf[i] != ((const uint8_t *)&value)[(from + i) % 4])
			return false;
	}
	return true;
}

/* The same for the whole file, except its header, of which only the length is checked. */
static inline bool right_whole(const struct stress *s, const uint8_t *buf, uint64_t at, size_t len)
{
	const struct tfs_set *set = &s->rig.model->sets[s->encoded_set];
	uint64_t begin = tfs_consolidated_size(s->whole) - set->total_bytes, header = htole64(begin - 8);

	if (!at && len >= 8 && memcmp(buf, &header, 8) != 0)
		return false;
	for (uint32_t i = 0; i < set->n_tensors; i++) {
		uint64_t end = begin + set->tensors[i].nbytes, from = at > begin ? at : begin,
			 upto = at + len < end ? at + len : end;
		if (from < upto && !right_bytes(buf + (from - at), base_of(s, s->encoded_set, i) + (from - begin), upto - from))
			return false;
		begin = end;
	}
	return at + len <= begin;
}

/* A file that isn't a tensor's: the consolidated one. */
static inline bool is_whole(struct tfs_file_id id)
{
	return id.view == TFS_VIEW_IDS;
}

static inline bool right(const struct stress *s, struct tfs_file_id id, const uint8_t *buf, uint64_t at, size_t len)
{
	return is_whole(id) ? right_whole(s, buf, at, len) : right_file(s, id, buf, at, len);
}

static inline uint64_t size_of(const struct stress *s, struct tfs_file_id id)
{
	return is_whole(id) ? tfs_consolidated_size(s->whole) : tfs_file_layout(s->rig.model, id).size;
}

/* --- The model ------------------------------------------------------------------------------------------------------- */

/* Copy what makes the first tensors duplicates of each other, and record where each one's content is. */
static inline void put_twins(const char *dir, uint64_t content[PLAIN])
{
	struct tfs_model *model;
	struct tfs_error err;

	assert_int_equal(tfs_model_open(dir, 1, NULL, NULL, &model, &err), 0);
	int fd = open(in_tree(dir, "model.safetensors"), O_WRONLY | O_CLOEXEC);
	for (uint32_t i = 0; i < PLAIN; i++) {
		const struct tfs_tensor *t = &model->sets[0].tensors[i];
		content[i] = t->offset;
		if (i < 2 || i >= DUPLICATES)
			continue;
		content[i] = content[i % 2];
		uint8_t *bytes = malloc(t->nbytes);
		assert_non_null(bytes);
		fill(bytes, content[i], t->nbytes);
		assert_int_equal(pwrite(fd, bytes, t->nbytes, t->offset), t->nbytes);
		free(bytes);
	}
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	tfs_model_destroy(model);
}

/* Both sets: what is stored as it is shown, and what isn't. */
static inline void put(const char *dir, struct member *members, uint64_t content[PLAIN])
{
	struct spec specs[PLAIN];
	char names[PLAIN][8];

	for (unsigned i = 0; i < PLAIN; i++) {
		snprintf(names[i], sizeof names[i], "t%02u", i);
		/* Neighbours that are merged, some of several chunks, none a round number. */
		unsigned n = i < DUPLICATES ? i % 2 * 3 : i;
		specs[i] = (struct spec){ names[i], n % 7 == 3 ? 2 * TFS_CHUNK + 12345 + n : n % 3 ? 3000 + 61 * n : 400001 + n };
	}
	put_model(dir, "model.safetensors", specs, PLAIN);
	put_twins(dir, content);
	for (unsigned i = 0; i < ENCODED; i++) {
		struct member *m = &members[i];
		*m = (struct member){ .rows = i % 5 == 0 ? 2501 : 97 + i,
				      .cols = 1001 + 2 * i,
				      .width = 1 + (i & 1),
				      .fortran = i & 2,
				      .big = i & 1,
				      .deflated = i & 4 || i % 5 == 0,
				      .base = (uint64_t)(i + 1) << 32 };
		if (i == ENCODED - 1) {
			m->rows = members[1].rows;
			m->cols = members[1].cols;
			m->base = members[1].base;
			m->fortran = m->deflated = true;
		}
		snprintf(m->name, sizeof m->name, "p%02u", i);
	}
	put_npz(dir, "encoded.npz", members, ENCODED);
}

/* Where each tensor is, and what it hashes to. */
static inline void know(struct stress *s, const struct member *members, const uint64_t content[PLAIN])
{
	const struct tfs_model *m = s->rig.model;
	unsigned n = 0;

	assert_int_equal(m->n_sets, 2);
	for (uint32_t set = 0; set < 2; set++)
		for (uint32_t i = 0; i < m->sets[set].n_tensors; i++) {
			const struct tfs_tensor *t = &m->sets[set].tensors[i];
			struct tensor *k = &s->tensors[n++];
			uint8_t *bytes = malloc(t->nbytes);
			XXH128_canonical_t c;

			*k = (struct tensor){ .set = set, .tensor = i };
			if (t->name[0] == 'p') {
				s->encoded_set = set;
				k->base = members[atoi(t->name + 1)].base;
				assert_int_equal(t->nbytes, member_bytes(&members[atoi(t->name + 1)]));
			} else {
				k->base = content[i];
			}
			assert_non_null(bytes);
			fill(bytes, k->base, t->nbytes);
			XXH128_canonicalFromHash(&c, XXH3_128bits(bytes, t->nbytes));
			memcpy(k->hash.bytes, c.digest, sizeof k->hash.bytes);
			free(bytes);
		}
	assert_int_equal(n, TENSORS);
}

/* --- An engine that fails in every way, all the time ------------------------------------------------------------------ */

struct tfs_io_context {
	struct tfs_io *queued[ACTORS];
	unsigned n, turn;
};

static _Atomic unsigned n_reads, n_failed;

static inline int failing_create(unsigned depth, struct tfs_io_context **ret_context)
{
	*ret_context = calloc(1, sizeof **ret_context);
	return *ret_context && depth <= ACTORS ? 0 : -ENOMEM;
}

static inline void failing_destroy(struct tfs_io_context *c)
{
	CHECK(!c->n);
	free(c);
}

static inline enum tfs_queued failing_queue(struct tfs_io_context *c, struct tfs_io *io)
{
	if (n_reads++ % 7 == 6) {
		n_failed++;
		io->code = -EAGAIN;
		return TFS_IO_DONE;
	}
	c->queued[c->n++] = io;
	return TFS_IO_QUEUED;
}

static inline struct tfs_io *failing_reap(struct tfs_io_context *c)
{
	unsigned n = n_reads++, i = c->turn++ % c->n;
	struct tfs_io *io = c->queued[i];

	c->queued[i] = c->queued[--c->n];
	usleep(n % 5 * 100);
	io->code = n % 3 ? tfs_source_read_direct(io->source, io->offset, io->len, io->buf, &io->data) : -EIO;
	if (n % 5 == 0)
		io->code = -EIO;
	if (io->code) { /* nothing that it leaves there may be trusted */
		memset(io->buf, 0xee, io->len);
		n_failed++;
	}
	return io;
}

static const struct tfs_engine failing = {
	.name = "failing",
	.create = failing_create,
	.destroy = failing_destroy,
	.queue = failing_queue,
	.reap = failing_reap,
};

#endif
