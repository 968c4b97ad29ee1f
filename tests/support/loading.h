/* SPDX-License-Identifier: MIT */
/*
 * A loader that does all it can, on a model whose every file is known: holds, streams, hashes, prefetches and evicts every file in
 * every view. While a call of it fails, each of these may fail, but no byte may be wrong and nobody may wait for ever; and what
 * failed once works when it is asked for again.
 */
#ifndef TEST_LOADING_H
#define TEST_LOADING_H

#include "support/encoded.h"
#include "support/shown.h"

#include "content/consolidated.h"
#include "loader.h"

struct loading {
	char *dir;
	struct tfs_model *m;
	struct loading_file {
		struct tfs_file_id id;
		uint8_t *bytes;
		uint64_t size;
		XXH128_canonical_t hash;
	} files[64];
	unsigned n;
	uint32_t whole; /* the set of which one file is made; its size and bytes: */
	uint64_t whole_size;
	uint8_t *whole_bytes;
};

/* --- What is right ----------------------------------------------------------------------------------------------------- */

/* The file of @layout, in pieces, without a loader. */
static inline uint8_t *loading_bytes(struct tfs_extractor *x, const struct tfs_layout *l)
{
	enum { STEP = SHOWN_SIZE / 2 };
	uint8_t *bytes = malloc(l->size + 4096), *scratch = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH);
	uint8_t *buf = aligned_alloc(TFS_IO_ALIGN, STEP + 2 * TFS_IO_ALIGN);
	const uint64_t nbytes = l->tensor ? l->tensor->nbytes : l->size;
	uint64_t to = l->prefix;

	assert_true(bytes && scratch && buf);
	tfs_layout_make_prefix(l, bytes);
	for (uint64_t at = 0, n; at < nbytes; at += n) {
		n = STEP / l->in * l->in < nbytes - at ? STEP / l->in * l->in : nbytes - at;
		struct tfs_read_request rq = { .at = at, .len = n, .buf = buf, .scratch = scratch };
		assert_int_equal(l->content.ops->read(l->content.of, x, &rq), 0);
		to += tfs_layout_convert(l, rq.data, n, bytes + to);
	}
	free(scratch);
	free(buf);
	return bytes;
}

static inline void loading_know(struct loading *g, struct tfs_extractor *x, struct tfs_file_id id)
{
	struct loading_file *f = &g->files[g->n];
	struct tfs_layout l;

	if (tfs_view_layout(id.view, tfs_set_tensor(&g->m->sets[id.set], id.tensor), g->m->npy_align, &l) || !l.size)
		return;
	assert_true(g->n++ < LENGTH(g->files));
	*f = (struct loading_file){ .id = id, .bytes = loading_bytes(x, &l), .size = l.size };
	XXH128_canonicalFromHash(&f->hash, XXH3_128bits(f->bytes, f->size));
}

/* Takes ownership of @dir. */
static inline void loading_up(struct loading *g, char *dir)
{
	const struct tfs_staging_memory memory = { .take = shown_take, .give = shown_give };
	struct tfs_consolidated *whole;
	struct tfs_error err;

	*g = (struct loading){ .dir = dir };
	assert_int_equal(tfs_model_open(dir, 1, NULL, NULL, &g->m, &err), 0);
	struct tfs_sources *sources = tfs_sources_create(g->m, false);
	struct tfs_extractor *x = tfs_extractor_create(sources, &memory);
	assert_non_null(x);
	for (uint32_t set = 0; set < g->m->n_sets; set++)
		for (uint32_t i = 0; i < tfs_set_n_all(&g->m->sets[set]); i++)
			for (unsigned view = 0; view < TFS_VIEW_IDS; view++)
				loading_know(g, x, (struct tfs_file_id){ set, i, (enum tfs_view_id)view });
	while (!tfs_consolidated_possible(&g->m->sets[g->whole]))
		g->whole++;
	assert_int_equal(tfs_consolidated_create(&g->m->sets[g->whole], &whole), 0);
	const struct tfs_layout l = tfs_consolidated_layout(whole);
	g->whole_size = l.size;
	g->whole_bytes = loading_bytes(x, &l);
	tfs_consolidated_destroy(whole);
	tfs_extractor_destroy(x);
	tfs_sources_destroy(sources);
}

/* Only every other file, so that all views are among them but a run is short. */
static inline void loading_thin(struct loading *g)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < g->n; i++)
		if (i % 2)
			free(g->files[i].bytes);
		else
			g->files[kept++] = g->files[i];
	g->n = kept;
}

static inline void loading_down(struct loading *g)
{
	for (unsigned i = 0; i < g->n; i++)
		free(g->files[i].bytes);
	free(g->whole_bytes);
	tfs_model_destroy(g->m);
	remove_tree(g->dir);
}

/* Out of the page cache, so that storage is read again. */
static inline void loading_forget(const struct loading *g)
{
	inject_paused++;
	for (uint32_t i = 0; i < g->m->n_nodes; i++) {
		int fd = g->m->is_source[i] ? tfs_model_open_node(g->m, i, 0) : -1;
		if (fd >= 0) {
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
			close(fd);
		}
	}
	inject_paused--;
}

/* --- What is asked for --------------------------------------------------------------------------------------------------- */

/* One run: what failed in it, all told. */
struct loading_run {
	const struct loading *g;
	struct tfs_loader *l;
	struct tfs_consolidated *whole; /* outlives the loader's streams; NULL: not made yet */
	bool faulty;			/* something may fail */
	const char *what;
	unsigned failures;
};

/* An answer. What a call can fail with is passed on, or is one of ours. */
static inline bool loading_ok(struct loading_run *run, const char *what, int r)
{
	if (!r)
		return true;
	run->failures++;
	if (!run->faulty)
		inject_fail_msg("%s: %s has failed, and again without a fault: %s", run->what, what, strerror(-r));
	if (r >= 0 || r == -ECANCELED || r == -EBADF || r == -EFAULT || r == -ESTALE || r == -ETIMEDOUT)
		inject_fail_msg("%s: %s fails with %d", run->what, what, r);
	return false;
}

static inline void loading_compare(struct loading_run *run, const char *what, const uint8_t *got, const uint8_t *want,
				   uint64_t size)
{
	if (memcmp(got, want, size) != 0)
		inject_fail_msg("%s: %s: wrong bytes from %zu on", run->what, what, first_other(got, want, size));
}

static inline void loading_hold(struct loading_run *run, const struct loading_file *f)
{
	struct tfs_residency *rs = tfs_loader_residency(run->l);
	struct answer a;

	answer_init(&a);
	int r = await(&a, tfs_loader_hold(run->l, f->id, &a.wait));
	if (r == -EOPNOTSUPP && !rs)
		return;
	if (!loading_ok(run, "a hold", r))
		return;
	int fd = tfs_residency_open(rs, f->id);
	if (loading_ok(run, "opening a backing file", fd < 0 ? fd : 0)) {
		inject_paused++;
		uint8_t *got = malloc(f->size + 1);
		assert_non_null(got);
		assert_int_equal(pread(fd, got, f->size + 1, 0), f->size);
		loading_compare(run, "a backing file", got, f->bytes, f->size);
		free(got);
		close(fd);
		inject_paused--;
	}
	tfs_residency_drop(rs, f->id);
}

/* All of an open stream, which it closes. */
static inline void loading_stream(struct loading_run *run, struct tfs_stream *st, const uint8_t *want, uint64_t size)
{
	if (!loading_ok(run, "opening a stream", st ? 0 : -ENOMEM))
		return;
	inject_paused++;
	uint8_t *got = malloc(size);
	assert_non_null(got);
	inject_paused--;
	if (loading_ok(run, "a stream", tfs_stream_pread(st, got, size, 0)))
		loading_compare(run, "a stream", got, want, size);
	free(got);
	tfs_stream_close(st);
}

struct loading_hash {
	struct answer answer;
	struct tfs_hash_wait wait;
};

static inline void loading_hashed(struct tfs_hash_wait *w, int r)
{
	answered(&((struct loading_hash *)(void *)((char *)w - offsetof(struct loading_hash, wait)))->answer, r);
}

static inline void loading_hash(struct loading_run *run, const struct loading_file *f)
{
	struct loading_hash h = { .wait.done = loading_hashed };

	if (f->id.view != TFS_RAW)
		return;
	answer_init(&h.answer);
	int r = await(&h.answer, tfs_hash_get(tfs_loader_hashes(run->l), f->id.set, f->id.tensor, &h.wait));
	if (loading_ok(run, "a hash", r))
		loading_compare(run, "a hash", h.wait.hash.bytes, f->hash.digest, sizeof f->hash.digest);
}

static inline void loading_whole(struct loading_run *run)
{
	const struct loading *g = run->g;

	if (!run->whole && !loading_ok(run, "making one file", tfs_consolidated_create(&g->m->sets[g->whole], &run->whole)))
		return;
	const struct tfs_layout l = tfs_consolidated_layout(run->whole);
	loading_stream(run, tfs_stream_open_layout(tfs_loader_streams(run->l), &l), g->whole_bytes, g->whole_size);
}

/* What .tensorfs/ is used for; whether it works or not, nothing depends on it. */
static inline void loading_control(struct loading_run *run)
{
	struct tfs_residency *rs = tfs_loader_residency(run->l);
	struct tfs_loader_stats stats;
	size_t n;

	inject_paused++;
	struct tfs_file_id *ids = calloc(run->g->n, sizeof *ids);
	assert_non_null(ids);
	inject_paused--;
	for (unsigned i = 0; i < run->g->n; i++) {
		ids[i] = run->g->files[i].id;
		if (rs)
			tfs_residency_evict(rs, ids[i]);
	}
	tfs_loader_prefetch(run->l, ids, run->g->n);
	free(tfs_loader_queued(run->l, &n));
	for (uint32_t i = 0; i < run->g->m->n_nodes; i++)
		if (run->g->m->is_source[i])
			tfs_loader_original(run->l, i, 0);
	tfs_loader_stats(run->l, &stats);
}

static inline void loading_all(struct loading_run *run)
{
	const struct loading *g = run->g;

	for (unsigned i = 0; i < g->n; i++)
		loading_hold(run, &g->files[i]);
	if (tfs_loader_residency(run->l))
		tfs_residency_shrink(tfs_loader_residency(run->l), UINT64_MAX);
	loading_forget(g);
	for (unsigned i = 0; i < g->n; i++)
		loading_stream(run, tfs_loader_stream(run->l, g->files[i].id), g->files[i].bytes, g->files[i].size);
	for (unsigned i = 0; i < g->n; i++)
		loading_hash(run, &g->files[i]);
	loading_whole(run);
	loading_control(run);
}

/*
 * A loader from its beginning to its end, while the @n-th call of that kind fails. The name of what failed; NULL: there were fewer
 * calls. -EPERM of the loader itself, without a fault: there is no private tmpfs here.
 */
static inline const char *loading_fails(const struct loading *g, const struct tfs_loader_options *o, enum inject_kind kind,
					unsigned way, long n)
{
	const unsigned open_before = inject_open_files();
	const long mapped_before = inject.mapped;
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct loading_run run = { .g = g, .faulty = true, .what = "a call" };
	char what[80];

	loading_forget(g);
	inject_begin(kind, way, n);
	int r = tfs_loader_create(g->m, o, &run.l, &err);
	if (!r)
		loading_all(&run);
	const char *failed = inject_end();
	snprintf(what, sizeof what, "%s, %ld, in way %u", failed, n, way);
	run.what = what;
	if (r && (!failed || err.code != r || !err.what[0]))
		inject_fail_msg("%s: no loader: %d, %s", what, r, err.what);
	if (!failed && run.failures)
		fail_msg("%u failures without a fault", run.failures);
	run.faulty = false;
	if (!r && run.failures)
		loading_all(&run);
	if (!r) {
		tfs_loader_stop(run.l);
		tfs_loader_destroy(run.l);
		tfs_consolidated_destroy(run.whole);
	}
	if (inject_open_files() != open_before || inject.mapped != mapped_before)
		inject_fail_msg("%s: left open: %d descriptors, mapped: %ld bytes", what, (int)(inject_open_files() - open_before),
				inject.mapped - mapped_before);
	return failed;
}

#endif
