/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/parallel.h"
#include "cli/reading.h"
#include "cli/verify/digest.h"
#include "cli/verify/impl.h"
#include "model/members.h"

enum { READ_SIZE = 1 << 20 };

/* A file that is read from its beginning to its end, once. */
struct job {
	uint32_t node;
	struct tfs_members members; /* of a zip file */
};

struct files {
	struct tfs_verify *v;
	struct job *jobs;
	size_t n, room;
	int *codes; /* of jobs */
};

/* What is being computed of one file. */
struct state {
	struct tfs_digest *digests[TFS_SUM_KINDS]; /* NULL: not asked for */
	size_t member;				   /* the one that the next byte is in, or before */
	uLong crc;
};

static uint64_t size_of(const struct tfs_verify *v, uint32_t node)
{
	return v->arg.model->nodes[node].id.size;
}

/* --- CRCs ----------------------------------------------------------------------------------------------------------------- */

/* Tensors of file @node in bytes [from, to) of it, as findings. False: there is none. */
static bool find_tensors(struct tfs_verify *v, uint32_t node, uint64_t from, uint64_t to, const char *member)
{
	const struct tfs_model *m = v->arg.model;
	bool any = false;

	for (uint32_t s = 0; s < m->n_sets; s++)
		for (uint32_t t = 0; t < m->sets[s].n_tensors; t++) {
			const struct tfs_tensor *tensor = &m->sets[s].tensors[t];
			const struct tfs_item item = { s, t };

			if (tensor->source != node || tensor->offset < from || tensor->offset >= to)
				continue;
			tfs_verify_find(v, TFS_DAMAGED, node, &item, "the CRC of member %s is wrong", member);
			any = true;
		}
	return any;
}

static void check_member(struct tfs_verify *v, const struct job *j, const struct state *s)
{
	const struct tfs_member *m = &j->members.all[s->member];

	pthread_mutex_lock(&v->lock);
	v->crcs++;
	pthread_mutex_unlock(&v->lock);
	if (s->crc != m->crc && !find_tensors(v, j->node, m->offset, m->offset + m->size, m->name))
		tfs_verify_find(v, TFS_DAMAGED, j->node, NULL, "the CRC of member %s is wrong", m->name);
}

/* Bytes [at, at + len) of the file, of which members are parts. */
static void add_crcs(struct tfs_verify *v, const struct job *j, struct state *s, uint64_t at, const uint8_t *data, size_t len)
{
	for (; s->member < j->members.n; s->member++) {
		const struct tfs_member *m = &j->members.all[s->member];
		const uint64_t from = m->offset > at ? m->offset : at, end = m->offset + m->size;
		const uint64_t to = end < at + len ? end : at + len;

		if (from >= at + len)
			return;
		if (m->offset >= at)
			s->crc = crc32_z(0, NULL, 0);
		if (to > from)
			s->crc = crc32_z(s->crc, data + (from - at), to - from);
		if (end > at + len)
			return;
		check_member(v, j, s);
	}
}

/* --- A file --------------------------------------------------------------------------------------------------------------- */

static void compare(struct tfs_verify *v, const struct job *j, struct state *s)
{
	char hex[TFS_SUM_KINDS][65];

	for (int k = 0; k < TFS_SUM_KINDS; k++)
		if (s->digests[k])
			tfs_digest_end(s->digests[k], hex[k]);
	for (size_t i = tfs_sums_of(&v->sums, j->node); i < v->sums.n && v->sums.all[i].node == j->node; i++) {
		const struct tfs_sum *sum = &v->sums.all[i];

		if (!s->digests[sum->kind])
			continue;
		pthread_mutex_lock(&v->lock);
		v->checked[sum->kind]++;
		pthread_mutex_unlock(&v->lock);
		if (strcmp(sum->hex, hex[sum->kind]) != 0)
			tfs_verify_find(v, TFS_DAMAGED, j->node, NULL, "%s is %s, but by %s %s", tfs_digest_names[sum->kind],
					hex[sum->kind], sum->by, sum->hex);
	}
}

static int read_all(struct tfs_verify *v, const struct job *j, struct state *s, const struct tfs_input *in, uint8_t *buf)
{
	const uint64_t size = size_of(v, j->node);
	struct tfs_error err = { .offset = TFS_NO_OFFSET };

	if (in->fd >= 0)
		posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	for (uint64_t at = 0; at < size;) {
		const size_t len = size - at < READ_SIZE ? size - at : READ_SIZE;
		int r = tfs_input_read(in, buf, len, at, &err);

		if (r) {
			tfs_verify_find(v, TFS_DAMAGED, j->node, NULL, "%s", err.what);
			return 0;
		}
		for (int k = 0; k < TFS_SUM_KINDS; k++)
			if (s->digests[k])
				tfs_digest_add(s->digests[k], buf, len);
		add_crcs(v, j, s, at, buf, len);
		at += len;
		tfs_progress_add(&v->progress, len);
	}
	compare(v, j, s);
	return 0;
}

static int begin_digests(struct tfs_verify *v, const struct job *j, struct state *s)
{
	for (size_t i = tfs_sums_of(&v->sums, j->node); i < v->sums.n && v->sums.all[i].node == j->node; i++) {
		const struct tfs_sum *sum = &v->sums.all[i];

		if (s->digests[sum->kind])
			continue;
		if (!tfs_digest_has(sum->kind)) {
			v->no_sha = true;
			continue;
		}
		s->digests[sum->kind] = tfs_digest_create(sum->kind, size_of(v, j->node));
		if (!s->digests[sum->kind])
			return -ENOMEM;
	}
	return 0;
}

static void run_job(void *arg, size_t i)
{
	struct files *f = arg;
	struct tfs_verify *v = f->v;
	const struct job *j = &f->jobs[i];
	cleanup_free uint8_t *buf = malloc(READ_SIZE);
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	const int opened = tfs_model_open_input(v->arg.model, j->node, &in);
	struct state s = { .member = 0 };
	int r = buf ? begin_digests(v, j, &s) : -ENOMEM;

	if (!r && opened)
		tfs_verify_find(v, TFS_DAMAGED, j->node, NULL, "can't be opened: %s", strerror(-opened));
	else if (!r)
		r = read_all(v, j, &s, &in, buf);
	for (int k = 0; k < TFS_SUM_KINDS; k++)
		tfs_digest_destroy(s.digests[k]);
	f->codes[i] = r;
}

/* --- Which files ---------------------------------------------------------------------------------------------------------- */

static bool has_sum(const struct tfs_verify *v, uint32_t node)
{
	const size_t i = tfs_sums_of(&v->sums, node);

	return i < v->sums.n && v->sums.all[i].node == node;
}

static int add_file(struct files *f, uint32_t node, bool source)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct job j = { .node = node };
	const int r = source ? tfs_model_members(f->v->arg.model, node, &j.members, &err) : 0;

	if (r == -ENOMEM)
		return r;
	if (r)
		tfs_verify_find(f->v, TFS_DAMAGED, node, NULL, "%s", err.what);
	if (!j.members.n && !has_sum(f->v, node)) {
		free(j.members.all);
		return 0;
	}
	if (tfs_array_room(f->jobs, f->n, f->room)) {
		free(j.members.all);
		return -ENOMEM;
	}
	f->jobs[f->n++] = j;
	return 0;
}

int tfs_verify_files(struct tfs_verify *v)
{
	const struct tfs_model *m = v->arg.model;
	struct files f = { .v = v };
	uint64_t total = 0;
	int r = 0;

	for (uint32_t node = 0; node < m->n_nodes && !r; node++)
		if (S_ISREG(m->nodes[node].mode) && v->same[node] == node)
			r = add_file(&f, node, m->is_source[node]);
	f.codes = calloc(f.n + 1, sizeof *f.codes);
	if (!f.codes)
		r = -ENOMEM;
	for (size_t i = 0; i < f.n; i++)
		total += size_of(v, f.jobs[i].node);
	if (!r) {
		tfs_progress_begin(&v->progress, "files", 1, 1, total);
		tfs_parallel_for(f.n, tfs_readers(), run_job, &f);
		tfs_progress_end(&v->progress, -1);
		v->bytes += total;
	}
	for (size_t i = 0; i < f.n; i++) {
		r = r ? r : f.codes[i];
		free(f.jobs[i].members.all);
	}
	free(f.codes);
	free(f.jobs);
	return r;
}
