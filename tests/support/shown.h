/* SPDX-License-Identifier: MIT */
/*
 * What a model shows: the bytes of every tensor in every view, each read at once by the thread that asks, without a loader; to be
 * compared with what the same model showed before. Allocates nothing of its own, so that only the program's allocations fail.
 */
#ifndef TEST_SHOWN_H
#define TEST_SHOWN_H

#include "support/inject.h"

#include "content/extract.h"
#include "content/virtual-file.h"
#include "model/model.h"

/* Larger files and models aren't what this is for. */
enum { SHOWN_WARNINGS = 256, SHOWN_FILES = 4096, SHOWN_SIZE = 1 << 20 };

struct shown {
	int r; /* tfs_model_open()'s */
	struct tfs_error err;
	unsigned n_warnings, of_memory; /* all; those that name lack of memory as the reason */
	uint64_t warnings[SHOWN_WARNINGS];
	size_t n;
	struct shown_file {
		uint64_t name, bytes; /* hashes */
	} files[SHOWN_FILES];
	unsigned failed; /* reads */
	int codes[SHOWN_FILES];
};

static inline bool is_of_memory(const struct tfs_error *err)
{
	return err->code == -ENOMEM || strstr(err->what, "emory");
}

static inline void shown_warning(void *arg, const struct tfs_error *warning)
{
	struct shown *s = arg;

	assert_true(warning->code < 0 && warning->what[0]);
	assert_true(s->n_warnings < SHOWN_WARNINGS);
	s->warnings[s->n_warnings++] = XXH3_64bits(warning->what, strlen(warning->what));
	s->of_memory += is_of_memory(warning);
}

static inline uint64_t shown_take(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	(void)arg;
	(void)least;
	(void)priority;
	return want;
}

static inline void shown_give(void *arg, uint64_t bytes)
{
	(void)arg;
	(void)bytes;
}

/* Which file of which tensor, by what it is, not by its number. */
static inline uint64_t shown_name(const struct tfs_model *m, const struct tfs_set *set, const struct tfs_tensor *t, unsigned view)
{
	char text[4096], dir[1024];

	assert_int_equal(tfs_model_path(m, set->dir, dir, sizeof dir), 0);
	int n = snprintf(text, sizeof text, "%s %s %s %s %u %llu", dir, set->stem, set->format->name, t->dtype->name, view,
			 (unsigned long long)t->nbytes);
	uint64_t hash = XXH3_64bits(text, (size_t)n);

	hash = XXH3_64bits_withSeed(t->name, t->name_len, hash);
	return XXH3_64bits_withSeed(t->shape, t->ndim * sizeof *t->shape, hash);
}

/* All of a file into @file; its length, or -errno with @err filled. */
static inline int64_t shown_read(struct tfs_extractor *x, const struct tfs_layout *l, uint8_t *file, struct tfs_error *err)
{
	static _Alignas(TFS_IO_ALIGN) uint8_t buf[SHOWN_SIZE + 2 * TFS_IO_ALIGN], scratch[TFS_EXTRACT_SCRATCH];
	struct tfs_read_request rq = { .len = l->tensor->nbytes, .buf = buf, .scratch = scratch, .err.offset = TFS_NO_OFFSET };
	size_t len = l->prefix;

	tfs_layout_make_prefix(l, file);
	if (rq.len) {
		int r = l->content.ops->read(l->content.of, x, &rq);

		*err = rq.err;
		if (r)
			return r;
		len += tfs_layout_convert(l, rq.data, rq.len, file + len);
	}
	assert_true(len >= l->size); /* the last block may be more than the tensor has */
	return (int64_t)l->size;
}

static inline void show_file(struct shown *s, const struct tfs_model *m, uint32_t set, uint32_t tensor, unsigned view,
			     struct tfs_extractor *x)
{
	static _Alignas(64) uint8_t file[SHOWN_SIZE + TFS_VIEW_PREFIX_MAX];
	const struct tfs_tensor *t = tfs_set_tensor(&m->sets[set], tensor);
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_layout l;

	if (tfs_view_layout((enum tfs_view_id)view, t, m->npy_align, &l) || l.size > SHOWN_SIZE || t->nbytes > SHOWN_SIZE)
		return;
	int64_t len = shown_read(x, &l, file, &err);
	assert_true(s->n < SHOWN_FILES);
	struct shown_file *f = &s->files[s->n];
	s->codes[s->n++] = len < 0 ? (int)len : 0;
	*f = (struct shown_file){ shown_name(m, &m->sets[set], t, view), 0 };
	if (len >= 0) {
		f->bytes = XXH3_64bits(file, (size_t)len);
		return;
	}
	s->failed++;
	assert_true(err.code == len && err.what[0]);
}

/* Open @path, show all of it, and close it. */
static inline void show(const char *path, struct shown *s)
{
	const struct tfs_staging_memory memory = { .take = shown_take, .give = shown_give };
	struct tfs_model *m = NULL;

	s->r = 0;
	s->n = s->n_warnings = s->of_memory = s->failed = 0;
	s->err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
	s->r = tfs_model_open(path, 1, shown_warning, s, &m, &s->err);
	if (s->r) {
		assert_null(m);
		return;
	}
	struct tfs_sources *sources = tfs_sources_create(m, false);
	struct tfs_extractor *x = sources ? tfs_extractor_create(sources, &memory) : NULL;
	s->r = x ? tfs_model_find_rights(m) : -ENOMEM;
	if (s->r)
		tfs_error_set(&s->err, s->r, TFS_NO_OFFSET, "out of memory");
	for (uint32_t i = 0; i < m->n_sets && x; i++)
		for (uint32_t k = 0; k < tfs_set_n_all(&m->sets[i]); k++)
			for (unsigned view = 0; view < TFS_VIEW_IDS; view++)
				show_file(s, m, i, k, view, x);
	tfs_extractor_destroy(x);
	tfs_sources_destroy(sources);
	tfs_model_destroy(m);
}

/* Is there a warning that isn't one of @right's? */
static inline bool warns_anew(const struct shown *s, const struct shown *right)
{
	for (unsigned i = 0; i < s->n_warnings; i++) {
		unsigned k = 0;

		while (k < right->n_warnings && right->warnings[k] != s->warnings[i])
			k++;
		if (k == right->n_warnings)
			return true;
	}
	return false;
}

/*
 * @s, during which the call @failed did, is what it may be beside @right: each file is one of those, with the same bytes or an error;
 * and what is missing is explained by an error or a warning, which says so if it was memory that was missing.
 */
static inline void check_shown(const struct shown *s, const struct shown *right, const char *path, const char *failed, long n)
{
	size_t same = 0, at = 0;

	for (size_t i = 0; i < s->n; i++) {
		/* In the same order, but some may be missing. */
		while (at < right->n && right->files[at].name != s->files[i].name)
			at++;
		if (at == right->n)
			inject_fail_msg("%s: %s fails (%ld): shows what isn't there", path, failed, n);
		if (!s->codes[i] && s->files[i].bytes != right->files[at].bytes)
			inject_fail_msg("%s: %s fails (%ld): wrong bytes", path, failed, n);
		same += !s->codes[i] || right->codes[at] == s->codes[i];
		at++;
	}
	const bool memory = inject.of == INJECT_ALLOCATIONS;
	if (s->r && s->r != right->r && (!s->err.code || !s->err.what[0] || (memory && !is_of_memory(&s->err))))
		inject_fail_msg("%s: %s fails (%ld): %d, %s", path, failed, n, s->r, s->err.what);
	if (!s->r && right->r)
		inject_fail_msg("%s: %s fails (%ld): it opens", path, failed, n);
	const bool said = s->failed > right->failed || (memory ? s->of_memory > 0 : warns_anew(s, right));
	if (!s->r && same < right->n && !said)
		inject_fail_msg("%s: %s fails (%ld): %zu of %zu files are missing, and nothing is said", path, failed, n,
				right->n - same, right->n);
}

#endif
