/* SPDX-License-Identifier: MIT */
#include "inflate.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#include "extract.h"

/*
 * Inflaters that are kept for who reads on: as many as there are threads that read, at about 50 KB each, most of it the window
 * of the last 32 KiB.
 */
enum { KEPT = 16 };

struct tfs_inflater {
	const struct tfs_tensor *tensor;
	uint64_t out; /* decoded bytes so far */
	uint64_t in;  /* stored bytes that these took */
	uint32_t crc; /* of the decoded bytes */
	bool broken;
	z_stream z;
};

struct tfs_inflaters {
	pthread_mutex_t lock;
	struct tfs_inflater *kept[KEPT]; /* guarded by the lock; most recently given back first, then NULL */
};

struct tfs_inflaters *tfs_inflaters_create(void)
{
	struct tfs_inflaters *pool = calloc(1, sizeof *pool);

	if (pool)
		pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

static void destroy(struct tfs_inflater *f)
{
	if (!f)
		return;
	inflateEnd(&f->z);
	free(f);
}

void tfs_inflaters_destroy(struct tfs_inflaters *pool)
{
	if (!pool)
		return;
	for (int i = 0; i < KEPT; i++)
		destroy(pool->kept[i]);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

struct tfs_inflater *tfs_inflater_take(struct tfs_inflaters *pool, const struct tfs_tensor *t, uint64_t at)
{
	struct tfs_inflater *f = NULL;

	pthread_mutex_lock(&pool->lock);
	for (int i = 0; i < KEPT && pool->kept[i]; i++)
		if (!f && pool->kept[i]->tensor == t && pool->kept[i]->out <= at) {
			f = pool->kept[i];
			pool->kept[i] = NULL;
		} else if (f) {
			pool->kept[i - 1] = pool->kept[i];
			pool->kept[i] = NULL;
		}
	pthread_mutex_unlock(&pool->lock);
	if (f)
		return f;
	f = calloc(1, sizeof *f);
	/* Negative: a raw stream, without a header of zlib's. */
	if (f && inflateInit2(&f->z, -MAX_WBITS) != Z_OK) {
		free(f);
		f = NULL;
	}
	if (f)
		f->tensor = t;
	return f;
}

void tfs_inflater_give_back(struct tfs_inflaters *pool, struct tfs_inflater *f)
{
	struct tfs_inflater *out = f;

	/* What is left in the scratch is read again: it belongs to whoever has taken it next. */
	f->z.avail_in = 0;
	if (!f->broken) {
		pthread_mutex_lock(&pool->lock);
		out = pool->kept[KEPT - 1];
		for (int i = KEPT - 1; i > 0; i--)
			pool->kept[i] = pool->kept[i - 1];
		pool->kept[0] = f;
		pthread_mutex_unlock(&pool->lock);
	}
	destroy(out);
}

uint64_t tfs_inflater_place(const struct tfs_inflater *f)
{
	return f->out;
}

/* Half of the scratch takes stored bytes, with the room that a direct read wants; the other half what is passed over. */
enum { IN_MAX = TFS_EXTRACT_SCRATCH / 2 - 2 * TFS_IO_ALIGN, SKIP_MAX = TFS_EXTRACT_SCRATCH / 2 };

static int damaged(struct tfs_inflater *f, struct tfs_error *err, const char *what)
{
	f->broken = true;
	return tfs_error_set(err, -EIO, f->tensor->offset + f->in, "inflating: %s after %" PRIu64 " of %" PRIu64 " bytes", what,
			     f->out, f->tensor->packing->unpacked);
}

/* Inflate up to decoded byte @upto, into @dst, or where that is NULL into the scratch. */
static int inflate_upto(struct tfs_inflater *f, struct tfs_source *source, uint64_t upto, uint8_t *dst, uint8_t *scratch,
			enum tfs_read_how *ret_how, struct tfs_error *err)
{
	const struct tfs_packing *p = f->tensor->packing;
	uint8_t *skipped = scratch + TFS_EXTRACT_SCRATCH / 2;
	int z = Z_OK, ret;

	/* At the end of the stream, go on until zlib has seen it, too. */
	while (f->out < upto || (f->out == p->unpacked && z != Z_STREAM_END)) {
		uint64_t room = upto - f->out;

		if (!f->z.avail_in) {
			uint64_t left = p->length - f->in;
			size_t n = left < IN_MAX ? left : IN_MAX;
			uint8_t *data = NULL;

			if (!n)
				return damaged(f, err, "the stream ends");
			ret = tfs_source_read(source, f->tensor->offset + f->in, n, scratch, &data, ret_how, err);
			if (ret) {
				f->broken = true;
				return ret;
			}
			f->z.next_in = data;
			f->z.avail_in = n;
		}
		if (!dst && room > SKIP_MAX)
			room = SKIP_MAX;
		if (room > UINT32_MAX)
			room = UINT32_MAX;

		const uint8_t *in_before = f->z.next_in;
		f->z.next_out = dst ? dst : skipped;
		f->z.avail_out = room;
		z = inflate(&f->z, Z_NO_FLUSH);
		size_t made = room - f->z.avail_out;
		f->crc = crc32(f->crc, dst ? dst : skipped, made);
		f->in += f->z.next_in - in_before;
		f->out += made;
		if (dst)
			dst += made;
		if (z != Z_OK && z != Z_STREAM_END && (z != Z_BUF_ERROR || f->z.avail_in))
			return damaged(f, err, f->z.msg ? f->z.msg : "more than its header says");
		if (z == Z_STREAM_END && f->out < p->unpacked)
			return damaged(f, err, "the stream ends");
	}
	if (f->out == p->unpacked && f->crc != p->crc)
		return damaged(f, err, "the checksum is wrong");
	return 0;
}

int tfs_inflater_read(struct tfs_inflater *f, struct tfs_source *source, uint64_t at, size_t len, uint8_t *dst,
		      uint8_t *scratch, enum tfs_read_how *ret_how, struct tfs_error *err)
{
	int ret = f->out < at ? inflate_upto(f, source, at, NULL, scratch, ret_how, err) : 0;

	return ret || !len ? ret : inflate_upto(f, source, at + len, dst, scratch, ret_how, err);
}
