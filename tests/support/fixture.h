/* SPDX-License-Identifier: MIT */
/*
 * Shared by the tests of the loader's parts: generated models whose every byte is known, and the connected parts, with workers or
 * without. Without workers, a test takes the jobs itself (step()), so it decides what happens when.
 */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include "support/helpers.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/log.h"
#include "cache/residency.h"
#include "cache/store.h"
#include "cache/stream.h"
#include "content/source.h"
#include "io/scheduler.h"
#include "io/workers.h"
#include "model/model.h"

/* --- Models ------------------------------------------------------------------------------------------------------ */

#define MIB ((uint64_t)1 << 20)

struct spec {
	const char *name;
	uint64_t nbytes;
};

/* Eight bytes, beginning at @offset, a multiple of 8, of any file that put_model() wrote; the first is the lowest one. */
static inline uint64_t word_at(uint64_t offset)
{
	uint64_t x = (offset >> 3) * 0x9e3779b97f4a7c15u;
	return x ^ x >> 29;
}

static inline uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(word_at(offset) >> (8 * (offset & 7)));
}

static inline void fill(uint8_t *buf, uint64_t offset, size_t len)
{
	size_t i = 0;
	while (i < len)
		if ((offset + i) % 8 == 0 && len - i >= 8) {
			uint64_t x = htole64(word_at(offset + i));
			memcpy(buf + i, &x, 8);
			i += 8;
		} else {
			buf[i] = byte_at(offset + i);
			i++;
		}
}

/* Index of the first byte that differs from what was written at @offset of the file, or @len. */
static inline size_t first_wrong(const uint8_t *buf, uint64_t offset, size_t len)
{
	size_t i = 0;
	while (i < len && buf[i] == byte_at(offset + i))
		i++;
	return i;
}

/* Index of the first byte in which they differ, or @len. */
static inline size_t first_other(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t i = 0;
	if (!memcmp(a, b, len))
		return len;
	while (a[i] == b[i])
		i++;
	return i;
}

/*
 * DIR/NAME: a safetensors file of these tensors, of one dimension, back to back, the first one at an odd offset. Those of dtypes
 * that safetensors lacks are in it as U8: see rig_types().
 */
static inline void put_typed_model(const char *dir, const char *name, const struct spec *specs, const char *const *dtypes, size_t n)
{
	char *header = NULL;
	size_t header_len;
	FILE *f = open_memstream(&header, &header_len);
	uint64_t total = 0;

	assert_non_null(f);
	for (size_t i = 0; i < n; i++) {
		const struct tfs_dtype *d = tfs_dtype_by_name(dtypes[i], strlen(dtypes[i]));
		assert_non_null(d);
		assert_int_equal(specs[i].nbytes % d->block_bytes, 0);
		uint64_t elems = d->safetensors ? specs[i].nbytes / d->block_bytes * d->block_elems : specs[i].nbytes;
		fprintf(f, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu],\"data_offsets\":[%llu,%llu]}", i ? "," : "{",
			specs[i].name, d->safetensors ? d->name : "U8", (unsigned long long)elems, (unsigned long long)total,
			(unsigned long long)(total + specs[i].nbytes));
		total += specs[i].nbytes;
	}
	fputc('}', f);
	fflush(f);
	if (!(header_len & 1))
		fputc(' ', f);
	assert_int_equal(fclose(f), 0);

	int fd = open(in_tree(dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	uint64_t prefix = htole64(header_len), at = 8 + header_len;
	uint8_t *buf = malloc(MIB);
	assert_true(fd >= 0 && buf);
	assert_int_equal(write(fd, &prefix, 8), 8);
	assert_int_equal(write(fd, header, header_len), header_len);
	for (uint64_t end = at + total; at < end;) {
		size_t len = end - at < MIB ? end - at : MIB;
		fill(buf, at, len);
		assert_int_equal(write(fd, buf, len), len);
		at += len;
	}
	/* Dirty pages would be served from the cache, but this is about reading. */
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	free(buf);
	free(header);
}

/* The same, with U8. */
static inline void put_model(const char *dir, const char *name, const struct spec *specs, size_t n)
{
	const char **dtypes = malloc((n + 1) * sizeof *dtypes);
	assert_non_null(dtypes);
	for (size_t i = 0; i < n; i++)
		dtypes[i] = "U8";
	put_typed_model(dir, name, specs, dtypes, n);
	free(dtypes);
}

/* --- The parts --------------------------------------------------------------------------------------------------- */

struct rig {
	char *dir;
	struct tfs_model *model;
	struct tfs_sources *sources;
	struct tfs_sched *sched;
	struct tfs_workers *workers;
	struct tfs_store *store;
	struct tfs_residency *residency;
	struct tfs_streams *streams;
};

struct rig_options {
	unsigned threads; /* 0: none, the test steps */
	uint64_t budget;  /* 0: no store, no residency */
	double open_wait;
	bool direct;
	enum tfs_tier tier;
	const struct tfs_engine *const *engines;
};

/* False: no store is available here, and nothing was set up. Takes ownership of @dir. */
static inline bool rig_up(struct rig *g, char *dir, struct rig_options o)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE];

	*g = (struct rig){ .dir = dir };
	if (o.budget && tfs_store_open(o.budget, &g->store, &err)) {
		print_message("SKIP: %s\n", tfs_error_line(&err, line, sizeof line));
		remove_tree(dir);
		return false;
	}
	if (tfs_model_open(dir, 1, NULL, NULL, &g->model, &err))
		fail_msg("%s", tfs_error_line(&err, line, sizeof line));
	g->sources = tfs_sources_create(g->model, o.direct);
	g->sched = tfs_sched_create();
	if (o.budget)
		g->residency = tfs_residency_create(g->model, g->sched, g->store, o.budget, o.open_wait);
	g->streams = tfs_streams_create(g->model, g->sched, g->residency, 0, false);
	assert_true(g->sources && g->sched && g->streams && (g->residency || !o.budget));
	if (o.threads)
		assert_int_equal(tfs_workers_start(g->sched, g->sources,
						   &(struct tfs_workers_options){
							   .threads = o.threads, .tier = o.tier, .engines = o.engines },
						   &g->workers),
				 0);
	return true;
}

static inline void rig_stop(struct rig *g)
{
	tfs_sched_stop(g->sched);
	tfs_workers_join(g->workers);
	tfs_workers_destroy(g->workers);
	g->workers = NULL;
	tfs_residency_stop(g->residency);
	tfs_streams_stop(g->streams);
}

static inline void rig_down(struct rig *g)
{
	rig_stop(g);
	tfs_residency_destroy(g->residency);
	tfs_streams_destroy(g->streams);
	tfs_store_close(g->store);
	tfs_sched_destroy(g->sched);
	tfs_sources_destroy(g->sources);
	tfs_model_destroy(g->model);
	remove_tree(g->dir);
}

static inline struct tfs_file_id id_of(const struct rig *g, const char *name)
{
	size_t i = tfs_set_find(&g->model->sets[0], name, strlen(name));
	assert_true(i != SIZE_MAX);
	return (struct tfs_file_id){ 0, (uint32_t)i, TFS_RAW };
}

static inline const struct tfs_tensor *tensor_of(const struct rig *g, struct tfs_file_id id)
{
	return &g->model->sets[id.set].tensors[id.tensor];
}

/* Give those that put_typed_model() wrote as U8 their intended dtype. */
static inline void rig_types(const struct rig *g, const struct spec *specs, const char *const *dtypes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tfs_tensor *t = (struct tfs_tensor *)tensor_of(g, id_of(g, specs[i].name));
		const struct tfs_dtype *d = tfs_dtype_by_name(dtypes[i], strlen(dtypes[i]));

		if (d == t->dtype)
			continue;
		t->dtype = d;
		*(uint64_t *)t->shape = t->nbytes / d->block_bytes * d->block_elems;
	}
}

static inline struct tfs_file_id in_view(struct tfs_file_id id, enum tfs_view_id view)
{
	id.view = view;
	return id;
}

/* The expected content of a tensor's file in a view, computed at once and in plain C; the caller frees it. */
static inline uint8_t *expected_file(const struct rig *g, struct tfs_file_id id, uint64_t *ret_size)
{
	const struct tfs_tensor *t = tensor_of(g, id);
	const struct tfs_dtype *d = t->dtype;
	uint64_t elems = t->nbytes / d->block_bytes * d->block_elems, header = id.view == TFS_RAW ? 0 : 4096;
	const char *descr = id.view == TFS_F32 ? "<f4" : d->npy ? d->npy : "|u1";
	uint8_t *bytes = malloc(t->nbytes + 1), *file;
	char text[200];

	assert_int_equal(t->ndim, 1);
	assert_non_null(bytes);
	fill(bytes, t->offset, t->nbytes);
	*ret_size = header + (id.view == TFS_F32 ? elems * 4 : t->nbytes);
	file = malloc(*ret_size);
	assert_non_null(file);
	if (header) {
		int n = snprintf(text, sizeof text,
				 "\x93NUMPY\x01%c\xf6\x0f{'descr': '%s', 'fortran_order': False, 'shape': (%llu,), }", 0, descr,
				 (unsigned long long)(id.view == TFS_NPY && !d->npy ? t->nbytes : elems));
		memset(file, ' ', header - 1);
		memcpy(file, text, n);
		file[header - 1] = '\n';
	}
	if (id.view == TFS_F32)
		tfs_convert_for_level(d, TFS_SIMD_SCALAR)(bytes, (float *)(void *)(file + header), elems);
	else
		memcpy(file + header, bytes, t->nbytes);
	free(bytes);
	return file;
}

static inline struct tfs_residency_stats res_stats(const struct rig *g)
{
	struct tfs_residency_stats s;
	tfs_residency_stats(g->residency, &s);
	return s;
}

/* Bytes that nobody has reserved yet. */
static inline bool anything_queued(const struct rig *g)
{
	struct tfs_sched_stats s;
	tfs_sched_stats(g->sched, &s);
	return s.queued[TFS_DEMAND] + s.queued[TFS_PREFETCH] + s.queued[TFS_BACKGROUND];
}

/* Process one job like a worker, in this thread. There must be one. */
static inline void step(struct rig *g)
{
	struct tfs_job *job = malloc(sizeof *job);
	int codes[TFS_JOB_PARTS] = { 0 };
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_source *source = NULL;
	enum tfs_read_how how = TFS_READ_BUFFERED;
	uint8_t *buf = aligned_alloc(TFS_IO_ALIGN, TFS_CHUNK + 2 * TFS_IO_ALIGN + TFS_SCRATCH), *data = NULL;

	assert_true(job && buf && anything_queued(g));
	assert_int_equal(tfs_sched_take(g->sched, false, INFINITY, job), TFS_TAKE_JOB);
	tfs_sched_begin(g->sched, job);
	if (job->n_parts) {
		int r = tfs_source_pin(g->sources, job->node, &source, &err);
		if (!r)
			r = tfs_source_read(source, job->offset, job->len, buf, &data, &how, &err);
		for (unsigned i = 0; i < job->n_parts; i++) {
			struct tfs_job_part *p = &job->parts[i];
			codes[i] = r;
			if (!r)
				codes[i] = p->t->ops->write(p->t, p->at, data + (p->t->offset + p->at - job->offset), p->len,
							    buf + TFS_CHUNK + 2 * TFS_IO_ALIGN, &err);
		}
		if (source)
			tfs_source_unpin(g->sources, source);
	}
	tfs_sched_done(g->sched, job, how, codes, err.code ? &err : NULL);
	free(buf);
	free(job);
}

static inline void step_all(struct rig *g)
{
	while (anything_queued(g))
		step(g);
}

/* --- Waiting ----------------------------------------------------------------------------------------------------- */

/* An answer. done() of the loader's structures is distinguished by which one was embedded. */
struct answer {
	struct tfs_wait wait;
	struct tfs_range_wait range;
	struct tfs_read read;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned times; /* done() was called */
	int result;
};

static inline void answered(struct answer *a, int result)
{
	pthread_mutex_lock(&a->lock);
	a->times++;
	a->result = result;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

static inline void wait_done(struct tfs_wait *w, int result)
{
	answered((struct answer *)(void *)((char *)w - offsetof(struct answer, wait)), result);
}

static inline void range_done(struct tfs_range_wait *w, int result)
{
	answered((struct answer *)(void *)((char *)w - offsetof(struct answer, range)), result);
}

static inline void read_done(struct tfs_read *rd, int result)
{
	answered((struct answer *)(void *)((char *)rd - offsetof(struct answer, read)), result);
}

static inline void answer_init(struct answer *a)
{
	memset(a, 0, sizeof *a);
	a->wait.done = wait_done;
	a->range.done = range_done;
	a->read.done = read_done;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
}

static inline unsigned times(struct answer *a)
{
	pthread_mutex_lock(&a->lock);
	unsigned n = a->times;
	pthread_mutex_unlock(&a->lock);
	return n;
}

/* The call's result, or the answer's when it comes. */
static inline int await(struct answer *a, int returned)
{
	if (returned != TFS_QUEUED)
		return returned;
	pthread_mutex_lock(&a->lock);
	while (!a->times)
		pthread_cond_wait(&a->cond, &a->lock);
	int r = a->result;
	pthread_mutex_unlock(&a->lock);
	return r;
}

static inline int hold(struct rig *g, struct tfs_file_id id)
{
	struct answer a;
	answer_init(&a);
	return await(&a, tfs_residency_hold(g->residency, id, &a.wait));
}

/* All bytes of a backing file, or the test fails. Closes @fd. */
static inline void assert_backing(const struct rig *g, struct tfs_file_id id, int fd)
{
	uint64_t size;
	uint8_t *want = expected_file(g, id, &size), *buf = malloc(size);
	struct stat st;

	assert_true(fd >= 0 && buf);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(pread(fd, buf, size, 0), size);
	assert_int_equal(first_other(buf, want, size), size);
	close(fd);
	free(buf);
	free(want);
}

/* Read a stream and compare with @want, the bytes at @offset. Returns the read's result. */
static inline int read_compared(struct tfs_stream *st, const uint8_t *want, uint64_t offset, size_t len)
{
	struct answer *a = malloc(sizeof *a);

	assert_non_null(a);
	answer_init(a);
	a->read.offset = offset;
	a->read.len = len;
	int r = await(a, tfs_stream_read(st, &a->read));
	if (!r && a->read.fd >= 0) {
		uint8_t *buf = malloc(len);
		assert_int_equal(pread(a->read.fd, buf, len, offset), len);
		assert_int_equal(first_other(buf, want, len), len);
		free(buf);
	} else if (!r) {
		size_t total = 0;
		for (unsigned i = 0; i < a->read.n_iov; i++) {
			size_t n = a->read.iov[i].iov_len;
			assert_int_equal(first_other(a->read.iov[i].iov_base, want + total, n), n);
			total += n;
		}
		assert_int_equal(total, len);
	}
	if (!r)
		tfs_read_release(&a->read);
	free(a);
	return r;
}

/* The same for a file in tensors/. */
static inline int read_checked(const struct rig *g, struct tfs_stream *st, struct tfs_file_id id, uint64_t offset, size_t len)
{
	uint8_t *want = malloc(len);
	assert_non_null(want);
	fill(want, tensor_of(g, id)->offset + offset, len);
	int r = read_compared(st, want, offset, len);
	free(want);
	return r;
}

#endif
