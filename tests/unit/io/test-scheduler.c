/* SPDX-License-Identifier: MIT */
/* The scheduler, alone: the test is owner and worker at once, and no byte is read. */
#include "support/helpers.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>

#include "io/scheduler.h"

struct probe {
	struct tfs_transfer t;
	struct tfs_tensor tensor; /* whose bytes it brings */
	int begin_result;
	unsigned begun, ended;
	int code;
	struct tfs_error err;
};

static int on_begin(struct tfs_transfer *t, struct tfs_error *err)
{
	struct probe *p = (struct probe *)t;
	p->begun++;
	return p->begin_result ? tfs_error_set(err, p->begin_result, 77, "no") : 0;
}

static int on_write(struct tfs_transfer *t, uint64_t at, const uint8_t *data, size_t len, void *scratch, struct tfs_error *err)
{
	(void)t, (void)at, (void)data, (void)len, (void)scratch, (void)err;
	return 0;
}

static void on_end(struct tfs_transfer *t, int code, const struct tfs_error *err)
{
	struct probe *p = (struct probe *)t;
	p->ended++;
	p->code = code;
	if (err)
		p->err = *err;
}

static const struct tfs_transfer_ops ops = { on_begin, on_write, on_end };

static void add(struct tfs_sched *s, struct probe *p, uint32_t node, uint64_t offset, uint64_t len, enum tfs_priority priority)
{
	int begin_result = p->begin_result;
	*p = (struct probe){ .begin_result = begin_result };
	p->tensor = (struct tfs_tensor){ .source = node, .offset = offset, .nbytes = len };
	p->t = (struct tfs_transfer){
		.ops = &ops,
		.content = tfs_content_of_tensor(&p->tensor),
		.len = len,
		.first = TFS_CHUNK,
		.step = TFS_CHUNK,
		.priority = priority,
	};
	assert_int_equal(tfs_sched_add(s, &p->t), 0);
}

static void add_fill(struct tfs_sched *s, struct probe *p, uint64_t len)
{
	*p = (struct probe){ .tensor = { .nbytes = len } };
	p->t = (struct tfs_transfer){ .ops = &ops,
				      .content = tfs_content_of_tensor(&p->tensor),
				      .len = len,
				      .first = TFS_CHUNK,
				      .step = TFS_CHUNK,
				      .priority = TFS_PREFETCH,
				      .fill = true };
	assert_int_equal(tfs_sched_add(s, &p->t), 0);
}

static void take(struct tfs_sched *s, struct tfs_job *job)
{
	assert_int_equal(tfs_sched_take(s, false, INFINITY, job), TFS_TAKE_JOB);
}

static void done(struct tfs_sched *s, struct tfs_job *job, int code)
{
	int codes[TFS_JOB_PARTS];
	struct tfs_error err = { .code = code, .offset = TFS_NO_OFFSET };
	for (int i = 0; i < TFS_JOB_PARTS; i++)
		codes[i] = code;
	tfs_sched_done(s, job, TFS_READ_DIRECT, codes, code ? &err : NULL);
}

static void finish(struct tfs_sched *s, struct tfs_job *job)
{
	tfs_sched_begin(s, job);
	done(s, job, 0);
}

static struct tfs_sched_stats stats(struct tfs_sched *s)
{
	struct tfs_sched_stats st;
	tfs_sched_stats(s, &st);
	return st;
}

static void assert_idle(struct tfs_sched *s)
{
	assert_int_equal(stats(s).queued[TFS_DEMAND], 0);
	assert_int_equal(stats(s).queued[TFS_PREFETCH], 0);
}

static void test_demand_first(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job job;
	struct probe p[5] = { 0 };

	(void)state;
	add(s, &p[3], 0, 200, 100, TFS_BACKGROUND);
	add(s, &p[4], 1, 200, 100, TFS_BACKGROUND);
	add(s, &p[0], 0, 0, 100, TFS_PREFETCH);
	add(s, &p[1], 1, 0, 100, TFS_DEMAND);
	add(s, &p[2], 2, 0, 100, TFS_DEMAND);
	assert_int_equal(stats(s).queued[TFS_BACKGROUND], 200);
	tfs_sched_promote(s, &p[4].t);
	assert_int_equal(stats(s).queued[TFS_BACKGROUND], 100);
	assert_int_equal(stats(s).queued[TFS_PREFETCH], 100);
	assert_int_equal(stats(s).queued[TFS_DEMAND], 300);
	const struct probe *order[] = { &p[1], &p[2], &p[4], &p[0], &p[3] };
	for (unsigned i = 0; i < LENGTH(order); i++) {
		take(s, &job);
		assert_ptr_equal(job.parts[0].t, &order[i]->t);
		assert_true(job.parts[0].first);
		finish(s, &job);
		assert_int_equal(order[i]->begun, 1);
		assert_int_equal(order[i]->ended, 1);
		assert_int_equal(order[i]->code, 0);
	}
	assert_idle(s);
	assert_int_equal(stats(s).jobs, 5);
	assert_int_equal(stats(s).bytes[TFS_READ_DIRECT], 500);
	/* Neighbours of the background are joined like others. */
	add(s, &p[0], 0, 0, 100, TFS_BACKGROUND);
	add(s, &p[1], 0, 100, 100, TFS_BACKGROUND);
	take(s, &job);
	assert_int_equal(job.n_parts, 2);
	finish(s, &job);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

/* Two transfers, and whether one job reads both. */
static void test_join(void **state)
{
	static const struct {
		uint32_t node;
		uint64_t len, offset, next_len;
		enum tfs_priority priority;
		bool joined;
	} rows[] = {
		{ 0, 100, 100, 50, TFS_DEMAND, true },				   /* touching */
		{ 0, 100, 100 + TFS_JOIN_GAP, 50, TFS_DEMAND, true },		   /* over a hole */
		{ 0, 100, 100 + TFS_JOIN_GAP + 1, 50, TFS_DEMAND, false },	   /* too large a hole */
		{ 1, 100, 100, 50, TFS_DEMAND, false },				   /* another file */
		{ 0, 100, 100, 50, TFS_PREFETCH, false },			   /* another queue */
		{ 0, 100, 99, 50, TFS_DEMAND, false },				   /* overlapping */
		{ 0, TFS_JOIN_MAX, TFS_JOIN_MAX, TFS_JOIN_MAX, TFS_DEMAND, true }, /* as long as may be */
		{ 0, TFS_JOIN_MAX + 1, TFS_JOIN_MAX + 1, 10, TFS_DEMAND, false },  /* the first too long */
		{ 0, 100, 100, TFS_JOIN_MAX + 1, TFS_DEMAND, false },		   /* the second */
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		struct tfs_sched *s = tfs_sched_create();
		struct tfs_job job;
		struct probe a = { 0 }, b = { 0 };
		uint64_t base = 12345;

		add(s, &a, 0, base, rows[i].len, TFS_DEMAND);
		add(s, &b, rows[i].node, base + rows[i].offset, rows[i].next_len, rows[i].priority);
		take(s, &job);
		if (job.n_parts != (rows[i].joined ? 2 : 1))
			fail_msg("row %u: %u parts", i, job.n_parts);
		assert_int_equal(job.offset, base);
		assert_int_equal(job.len, rows[i].joined ? rows[i].offset + rows[i].next_len : rows[i].len);
		finish(s, &job);
		if (!rows[i].joined) {
			take(s, &job);
			assert_ptr_equal(job.parts[0].t, &b.t);
			finish(s, &job);
		}
		assert_int_equal(a.ended + b.ended, 2);
		assert_int_equal(stats(s).joined, rows[i].joined);
		assert_idle(s);
		tfs_sched_stop(s);
		tfs_sched_destroy(s);
	}
}

static void test_join_limits(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job job;
	enum { N = TFS_JOB_PARTS + 2 };
	struct probe *p = calloc(N, sizeof *p);

	(void)state;
	for (unsigned i = 0; i < N; i++)
		add(s, &p[i], 0, i * 10, 10, TFS_DEMAND);
	take(s, &job);
	assert_int_equal(job.n_parts, TFS_JOB_PARTS);
	finish(s, &job);
	take(s, &job);
	assert_int_equal(job.n_parts, 2);
	finish(s, &job);

	/* Never more than a chunk, holes counted. */
	for (unsigned i = 0; i < 6; i++)
		add(s, &p[i], 0, i * (TFS_JOIN_MAX + 4096), TFS_JOIN_MAX, TFS_PREFETCH);
	take(s, &job);
	assert_int_equal(job.n_parts, 3);
	assert_true(job.len <= TFS_CHUNK);
	finish(s, &job);
	take(s, &job);
	assert_int_equal(job.n_parts, 3);
	finish(s, &job);
	assert_idle(s);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
	free(p);
}

static void test_chunks(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job jobs[4];
	struct probe a = { 0 }, b = { 0 };

	(void)state;
	add(s, &a, 0, 1, 3 * TFS_CHUNK + 5, TFS_DEMAND);
	add(s, &b, 1, 0, 10, TFS_DEMAND);
	take(s, &jobs[0]);
	assert_int_equal(jobs[0].len, TFS_CHUNK);
	/* Nobody else may write before begin(): what comes next is the other one. */
	take(s, &jobs[1]);
	assert_ptr_equal(jobs[1].parts[0].t, &b.t);
	finish(s, &jobs[1]);
	tfs_sched_begin(s, &jobs[0]);
	assert_int_equal(a.begun, 1);
	for (unsigned i = 1; i < 4; i++) {
		take(s, &jobs[i]);
		assert_int_equal(jobs[i].offset, 1 + i * TFS_CHUNK);
		assert_int_equal(jobs[i].len, i < 3 ? TFS_CHUNK : 5);
		assert_false(jobs[i].parts[0].first);
		tfs_sched_begin(s, &jobs[i]);
	}
	assert_int_equal(a.begun, 1);
	assert_idle(s);
	/* Back in any order; the last one ends it. */
	done(s, &jobs[3], 0);
	done(s, &jobs[0], 0);
	done(s, &jobs[2], 0);
	assert_int_equal(a.ended, 0);
	done(s, &jobs[1], 0);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.code, 0);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

/* Chunks as the owner wants them: a first one of its own length, and none joined with others. */
static void test_geometry(void **state)
{
	static const struct {
		uint64_t len;
		uint32_t first, step, chunks;
		uint64_t last;
	} rows[] = {
		{ 1, 1, 1, 1, 0 },
		{ 10, 10, 3, 1, 0 },
		{ 11, 10, 3, 2, 10 },
		{ 13, 10, 3, 2, 10 },
		{ 14, 10, 3, 3, 13 },
		{ 14, 2, 6, 3, 8 },
		{ 3 * TFS_CHUNK, TFS_CHUNK - 4096, TFS_CHUNK, 4, 3 * TFS_CHUNK - 4096 },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		struct tfs_sched *s = tfs_sched_create();
		struct tfs_job job;
		struct probe p = { 0 }, other = { 0 };
		uint64_t at = 0;

		p.tensor = (struct tfs_tensor){ .offset = 5, .nbytes = rows[i].len };
		p.t = (struct tfs_transfer){ .ops = &ops,
					     .content = tfs_content_of_tensor(&p.tensor),
					     .len = rows[i].len,
					     .first = rows[i].first,
					     .step = rows[i].step };
		add(s, &other, 0, 0, 5, TFS_DEMAND);
		assert_int_equal(tfs_sched_add(s, &p.t), 0);
		take(s, &job);
		assert_int_equal(job.n_parts, rows[i].chunks == 1 ? 2 : 1);
		finish(s, &job);
		assert_int_equal(tfs_transfer_chunks(&p.t), rows[i].chunks);
		for (uint32_t c = 0; rows[i].chunks > 1 && c < rows[i].chunks; c++) {
			take(s, &job);
			assert_int_equal(job.parts[0].at, at);
			assert_int_equal(job.offset, 5 + at);
			assert_int_equal(tfs_transfer_chunk(&p.t, at), c);
			assert_int_equal(tfs_transfer_chunk(&p.t, at + job.len - 1), c);
			if (c + 1 == rows[i].chunks)
				assert_int_equal(at, rows[i].last);
			at += job.len;
			finish(s, &job);
		}
		if (rows[i].chunks > 1)
			assert_int_equal(at, rows[i].len);
		assert_int_equal(p.ended, 1);
		assert_idle(s);
		tfs_sched_stop(s);
		tfs_sched_destroy(s);
	}
}

static void test_want(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job job;
	struct probe a = { 0 };
	static const uint64_t order[] = { 0, 3, 4, 1, 2 };

	(void)state;
	add(s, &a, 0, 0, 5 * TFS_CHUNK, TFS_PREFETCH);
	for (unsigned i = 0; i < LENGTH(order); i++) {
		take(s, &job);
		assert_int_equal(job.parts[0].at, order[i] * TFS_CHUNK);
		finish(s, &job);
		if (!i) {
			tfs_sched_want(s, &a.t, 3);
			assert_int_equal(stats(s).queued[TFS_PREFETCH], 0); /* wanted is demanded */
			assert_int_equal(stats(s).queued[TFS_DEMAND], 4 * TFS_CHUNK);
			tfs_sched_want(s, &a.t, 0); /* taken already: nothing changes */
		}
	}
	assert_int_equal(a.ended, 1);
	assert_idle(s);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

static void test_promote(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job job;
	struct probe a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	add(s, &a, 0, 0, 10, TFS_PREFETCH);
	add(s, &b, 1, 0, 10, TFS_PREFETCH);
	add(s, &c, 2, 0, 2 * TFS_CHUNK, TFS_PREFETCH);
	tfs_sched_promote(s, &b.t);
	tfs_sched_promote(s, &b.t);
	assert_int_equal(stats(s).queued[TFS_DEMAND], 10);
	take(s, &job);
	assert_ptr_equal(job.parts[0].t, &b.t);
	tfs_sched_promote(s, &b.t); /* all of it is under way */
	finish(s, &job);
	take(s, &job);
	assert_ptr_equal(job.parts[0].t, &a.t);
	finish(s, &job);
	/* Taken, not begun yet, in no queue: it comes back as demand. */
	take(s, &job);
	tfs_sched_promote(s, &c.t);
	assert_int_equal(stats(s).queued[TFS_DEMAND], TFS_CHUNK);
	tfs_sched_begin(s, &job);
	add(s, &a, 0, 0, 10, TFS_PREFETCH);
	done(s, &job, 0);
	take(s, &job);
	assert_ptr_equal(job.parts[0].t, &c.t);
	finish(s, &job);
	take(s, &job);
	finish(s, &job);
	assert_int_equal(a.ended + b.ended + c.ended, 3);
	assert_idle(s);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

static void test_failed_chunk(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job j0, j1;
	struct probe a = { 0 };

	(void)state;
	add(s, &a, 0, 0, 10 * TFS_CHUNK, TFS_DEMAND);
	take(s, &j0);
	tfs_sched_begin(s, &j0);
	take(s, &j1);
	tfs_sched_begin(s, &j1);
	done(s, &j0, -EIO);
	assert_int_equal(a.ended, 0); /* the other one may still be writing */
	assert_idle(s);		      /* and no third one is read */
	tfs_sched_promote(s, &a.t);
	tfs_sched_want(s, &a.t, 9);
	done(s, &j1, -ENXIO);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.code, -EIO); /* what went wrong first */
	assert_int_equal(stats(s).failed, 1);
	tfs_sched_stop(s);
	assert_int_equal(a.ended, 1);
	tfs_sched_destroy(s);
}

static bool is_idle_for(struct tfs_sched *s, bool helper)
{
	struct tfs_job job;
	return tfs_sched_take(s, helper, 0, &job) == TFS_TAKE_IDLE;
}

/* Fills are for helpers, other jobs only once these were called; a fill in progress keeps only other fills waiting. */
static void test_helpers(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job j0, j1;
	struct probe a = { 0 }, b = { 0 };

	(void)state;
	tfs_sched_set_depth(s, 1, 1);
	add_fill(s, &a, 2 * TFS_CHUNK);
	assert_true(is_idle_for(s, false));
	assert_int_equal(tfs_sched_take(s, true, 0, &j0), TFS_TAKE_JOB);
	assert_true(j0.fill);
	tfs_sched_begin(s, &j0);
	assert_true(is_idle_for(s, true)); /* that is the depth */
	add(s, &b, 0, 0, TFS_CHUNK, TFS_PREFETCH);
	assert_true(is_idle_for(s, true));
	take(s, &j1);
	assert_false(j1.fill);
	done(s, &j0, 0);
	assert_true(is_idle_for(s, true)); /* the other one is in progress */
	finish(s, &j1);
	assert_int_equal(tfs_sched_take(s, true, 0, &j0), TFS_TAKE_JOB);
	finish(s, &j0);
	assert_int_equal(a.ended + b.ended, 2);
	add(s, &b, 0, 0, TFS_CHUNK, TFS_DEMAND);
	assert_true(is_idle_for(s, true));
	tfs_sched_call_helpers(s);
	assert_int_equal(tfs_sched_take(s, true, 0, &j0), TFS_TAKE_JOB);
	finish(s, &j0);
	assert_idle(s);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

static void test_cancel(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job job;
	struct probe a = { 0 };

	(void)state;
	add_fill(s, &a, 9 * TFS_CHUNK);
	assert_true(tfs_sched_cancel(s, &a.t)); /* nothing of it was read, so nobody hears of it */
	assert_idle(s);
	add_fill(s, &a, 9 * TFS_CHUNK);
	assert_int_equal(tfs_sched_take(s, true, 0, &job), TFS_TAKE_JOB);
	tfs_sched_begin(s, &job);
	assert_false(tfs_sched_cancel(s, &a.t));
	assert_int_equal(a.ended, 0);
	assert_true(is_idle_for(s, true));
	done(s, &job, 0);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.code, -ECANCELED);
	add_fill(s, &a, TFS_CHUNK);
	assert_int_equal(tfs_sched_take(s, true, 0, &job), TFS_TAKE_JOB);
	assert_false(tfs_sched_cancel(s, &a.t)); /* too late */
	finish(s, &job);
	assert_int_equal(a.code, 0);
	assert_idle(s);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

static void test_failed_begin(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job job;
	struct probe p[3] = { [1] = { .begin_result = -ENOSPC } }, big = { .begin_result = -ENOSPC };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		add(s, &p[i], 0, i * 100, 100, TFS_DEMAND);
	take(s, &job);
	assert_int_equal(job.n_parts, 3);
	tfs_sched_begin(s, &job);
	assert_int_equal(p[1].ended, 1);
	assert_int_equal(p[1].code, -ENOSPC);
	assert_int_equal(p[1].err.code, -ENOSPC);
	assert_int_equal(job.n_parts, 2);
	assert_int_equal(job.offset, 0);
	assert_int_equal(job.len, 300);
	done(s, &job, 0);
	assert_int_equal(p[0].ended + p[2].ended, 2);
	assert_int_equal(p[0].code | p[2].code, 0);

	add(s, &big, 0, 0, 7 * TFS_CHUNK, TFS_DEMAND);
	take(s, &job);
	tfs_sched_begin(s, &job);
	assert_int_equal(job.n_parts, 0);
	assert_int_equal(big.ended, 1);
	done(s, &job, 0);
	assert_int_equal(big.ended, 1);
	assert_idle(s);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

/* An error's offset is kept by the transfer that it lies in. */
static void test_error_offset(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job job;
	struct probe a = { 0 }, b = { 0 };
	int codes[TFS_JOB_PARTS] = { -EIO, -EIO };
	struct tfs_error err = { .code = -EIO, .offset = 1150, .what = "bad" };

	(void)state;
	add(s, &a, 0, 1000, 100, TFS_DEMAND);
	add(s, &b, 0, 1100, 100, TFS_DEMAND);
	take(s, &job);
	tfs_sched_begin(s, &job);
	tfs_sched_done(s, &job, TFS_READ_DIRECT, codes, &err);
	assert_true(a.err.offset == TFS_NO_OFFSET);
	assert_int_equal(b.err.offset, 1150);
	assert_string_equal(a.err.what, "bad");
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

static void test_stop(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job begun, fresh, none;
	struct probe a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	(void)state;
	add(s, &a, 0, 0, 5 * TFS_CHUNK, TFS_DEMAND);
	take(s, &begun);
	tfs_sched_begin(s, &begun);
	add(s, &b, 1, 0, 5 * TFS_CHUNK, TFS_DEMAND);
	done(s, &begun, 0);
	take(s, &begun); /* a's second chunk: b stands behind it */
	assert_ptr_equal(begun.parts[0].t, &a.t);
	tfs_sched_begin(s, &begun);
	take(s, &none);
	finish(s, &none);
	take(s, &none);
	finish(s, &none);
	take(s, &none);
	finish(s, &none); /* all of a issued, one chunk in flight */
	take(s, &fresh);  /* b's first, not begun */
	assert_ptr_equal(fresh.parts[0].t, &b.t);
	add(s, &c, 2, 0, 10, TFS_PREFETCH);
	tfs_sched_stop(s);
	assert_int_equal(c.ended, 1);
	assert_int_equal(c.code, -ECANCELED);
	assert_int_equal(c.begun, 0);
	assert_int_equal(a.ended + b.ended, 0);
	assert_int_equal(tfs_sched_take(s, false, INFINITY, &none), TFS_TAKE_STOP);
	tfs_sched_begin(s, &fresh);
	assert_int_equal(b.ended, 0);
	done(s, &fresh, 0);
	assert_int_equal(b.ended, 1);
	assert_int_equal(b.code, -ECANCELED); /* four chunks of it will never come */
	done(s, &begun, 0);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.code, 0); /* all of it came */
	d.t = (struct tfs_transfer){ .ops = &ops,
				     .content = tfs_content_of_tensor(&d.tensor),
				     .len = 9 * TFS_CHUNK,
				     .first = TFS_CHUNK,
				     .step = TFS_CHUNK };
	assert_int_equal(tfs_sched_add(s, &d.t), -ECANCELED);
	assert_int_equal(d.ended, 0);
	tfs_sched_stop(s); /* twice is as good as once */
	assert_idle(s);
	tfs_sched_destroy(s);
}

static void *worker(void *arg)
{
	struct tfs_sched *s = arg;
	struct tfs_job job;
	while (tfs_sched_take(s, false, 1, &job) == TFS_TAKE_JOB)
		finish(s, &job);
	return NULL;
}

/* Several workers share the chunks; each transfer begins and ends once. */
static void test_many_takers(void **state)
{
	enum { N = 200, THREADS = 4 };
	struct tfs_sched *s = tfs_sched_create();
	struct probe *p = calloc(N, sizeof *p);
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < N; i++)
		add(s, &p[i], i % 3, i * 100000, i % 7 ? 90000 : 3 * TFS_CHUNK + i, i % 2 ? TFS_DEMAND : TFS_PREFETCH);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, worker, s);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL); /* idle after a second */
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(p[i].begun, 1);
		assert_int_equal(p[i].ended, 1);
		assert_int_equal(p[i].code, 0);
	}
	assert_idle(s);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
	free(p);
}

static void test_eta(void **state)
{
	struct tfs_sched *s = tfs_sched_create();
	struct tfs_job job;
	struct probe a = { 0 }, b = { 0 };

	(void)state;
	assert_true(tfs_sched_eta(s, NULL, 1u << 30) == 0); /* nothing is known */
	add(s, &a, 0, 0, 8 * TFS_CHUNK, TFS_DEMAND);
	for (int i = 0; i < 8; i++) {
		take(s, &job);
		finish(s, &job);
	}
	double bw = stats(s).bandwidth;
	assert_true(bw > 0);
	assert_true(tfs_sched_eta(s, NULL, (uint64_t)bw) > 0.9);
	add(s, &a, 0, 0, TFS_CHUNK, TFS_DEMAND);
	add(s, &b, 0, 0, TFS_CHUNK, TFS_PREFETCH);
	/* Prefetch holds nobody up, and what is queued as demand already counts once. */
	double one = TFS_CHUNK / bw;
	assert_true(tfs_sched_eta(s, NULL, 0) == one);
	assert_true(tfs_sched_eta(s, &a.t, TFS_CHUNK) == one);
	assert_true(tfs_sched_eta(s, &b.t, TFS_CHUNK) == 2 * one);
	tfs_sched_stop(s);
	tfs_sched_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_demand_first), cmocka_unit_test(test_join),	  cmocka_unit_test(test_join_limits),
		cmocka_unit_test(test_chunks),	     cmocka_unit_test(test_geometry),	  cmocka_unit_test(test_want),
		cmocka_unit_test(test_promote),	     cmocka_unit_test(test_failed_chunk), cmocka_unit_test(test_failed_begin),
		cmocka_unit_test(test_error_offset), cmocka_unit_test(test_stop),	  cmocka_unit_test(test_helpers),
		cmocka_unit_test(test_cancel),	     cmocka_unit_test(test_many_takers),  cmocka_unit_test(test_eta),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
