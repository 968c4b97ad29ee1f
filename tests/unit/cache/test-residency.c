/* SPDX-License-Identifier: MIT */
/*
 * Residency over a real store. There are no workers: the test takes the jobs itself, so that it knows at each moment what is
 * loaded and what is not. Where no private tmpfs is to be had every test is skipped.
 */
#include "support/fixture.h"

#include <sys/mman.h>

static const struct spec specs[] = {
	{ "a", MIB }, { "b", MIB + 1 }, { "big", 3 * TFS_CHUNK + 77 }, { "c", MIB - 5 }, { "d", 4096 }, { "e", MIB },
};

static void setup(struct rig *g, uint64_t budget, double open_wait)
{
	char *dir = make_tree();
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	if (!rig_up(g, dir, (struct rig_options){ .budget = budget, .open_wait = open_wait }))
		skip();
}

/* Hold, and load it at once. */
static int hold_now(struct rig *g, const char *name)
{
	struct answer a;
	answer_init(&a);
	int r = tfs_residency_hold(g->residency, id_of(g, name), &a.wait);
	if (r == TFS_QUEUED) {
		step_all(g);
		assert_int_equal(times(&a), 1);
		r = a.result;
	}
	return r;
}

static void drop(struct rig *g, const char *name)
{
	tfs_residency_drop(g->residency, id_of(g, name));
}

static void assert_state(struct rig *g, const char *name, const char *state)
{
	assert_string_equal(tfs_residency_state(g->residency, id_of(g, name)), state);
}

static uint64_t cost(const struct rig *g, const char *name)
{
	return tfs_store_cost(tensor_of(g, id_of(g, name))->nbytes);
}

static void test_hold(void **state)
{
	struct rig g;
	struct answer one, two;

	(void)state;
	setup(&g, 64 * MIB, 3600);
	struct tfs_file_id id = id_of(&g, "big");
	answer_init(&one);
	answer_init(&two);
	assert_state(&g, "big", "absent");
	assert_int_equal(tfs_residency_hold(g.residency, id, &one.wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_hold(g.residency, id, &two.wait), TFS_QUEUED);
	assert_state(&g, "big", "loading");
	step_all(&g);
	assert_int_equal(one.times + two.times, 2);
	assert_int_equal(one.result | two.result, 0);
	assert_state(&g, "big", "resident");
	assert_backing(&g, id, tfs_residency_open(g.residency, id));
	assert_int_equal(hold_now(&g, "big"), 0); /* at once */
	struct tfs_residency_stats s = res_stats(&g);
	assert_int_equal(s.loads, 1);
	assert_int_equal(s.waits, 2);
	assert_int_equal(s.hits, 1);
	assert_int_equal(s.used, cost(&g, "big"));
	assert_int_equal(s.files[TFS_RESIDENT], 1);
	assert_int_equal(s.files[TFS_LOADING] + s.files[TFS_ABSENT], 0);
	drop(&g, "big");
	drop(&g, "big");
	drop(&g, "big");
	assert_state(&g, "big", "resident");
	rig_down(&g);
}

static void test_lru(void **state)
{
	struct rig g;
	static const char *const names[] = { "a", "b", "c" };

	(void)state;
	setup(&g, 3 * MIB + 4096, 3600); /* just these three */
	for (unsigned i = 0; i < LENGTH(names); i++) {
		assert_int_equal(hold_now(&g, names[i]), 0);
		drop(&g, names[i]);
	}
	assert_int_equal(res_stats(&g).evictions, 0);
	assert_int_equal(hold_now(&g, "a"), 0); /* used again: b is the oldest now */
	drop(&g, "a");
	assert_int_equal(hold_now(&g, "d"), 0);
	assert_state(&g, "a", "resident");
	assert_state(&g, "b", "absent");
	assert_state(&g, "c", "resident");
	assert_state(&g, "d", "resident");
	assert_int_equal(res_stats(&g).evictions, 1);
	assert_int_equal(res_stats(&g).used, cost(&g, "a") + cost(&g, "c") + cost(&g, "d"));
	/* It comes back, with the right bytes, in the place of c. */
	assert_int_equal(hold_now(&g, "b"), 0);
	assert_state(&g, "c", "absent");
	assert_backing(&g, id_of(&g, "b"), tfs_residency_open(g.residency, id_of(&g, "b")));
	assert_true(tfs_store_used(g.store) <= 3 * MIB + 4096);
	drop(&g, "b");
	drop(&g, "d");
	rig_down(&g);
}

static void test_no_room(void **state)
{
	struct rig g;

	(void)state;
	setup(&g, 2 * MIB, 3600);
	assert_int_equal(hold_now(&g, "big"), -EFBIG);
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "big")), -EFBIG);
	assert_int_equal(hold_now(&g, "a"), 0);
	assert_int_equal(hold_now(&g, "e"), 0);
	assert_int_equal(hold_now(&g, "d"), -ENOSPC); /* all is held */
	assert_state(&g, "d", "absent");
	assert_int_equal(res_stats(&g).refusals, 1);
	assert_int_equal(res_stats(&g).failures, 0);
	assert_int_equal(res_stats(&g).files[TFS_FAILED], 0);
	assert_int_equal(res_stats(&g).used, 2 * MIB);
	drop(&g, "a");
	assert_int_equal(hold_now(&g, "d"), 0);
	assert_state(&g, "a", "absent");
	drop(&g, "d");
	drop(&g, "e");
	rig_down(&g);
}

/* One who is attached to a load that finds no room learns it; the next load serves him again. */
static void test_attached_no_room(void **state)
{
	struct rig g;
	struct answer w, range;

	(void)state;
	setup(&g, 2 * MIB, 3600);
	struct tfs_file_id c = id_of(&g, "c");
	assert_int_equal(hold_now(&g, "a"), 0);
	assert_int_equal(hold_now(&g, "e"), 0);
	answer_init(&w);
	answer_init(&range);
	assert_int_equal(tfs_residency_attach(g.residency, c), -ENOENT);
	assert_int_equal(tfs_residency_hold(g.residency, c, &w.wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_attach(g.residency, c), 0);
	range.range.at = 5;
	range.range.len = 100;
	assert_int_equal(tfs_residency_range(g.residency, c, &range.range), TFS_QUEUED);
	step_all(&g);
	assert_int_equal(w.result, -ENOSPC);
	assert_int_equal(range.times, 1);
	assert_int_equal(range.result, -ENOSPC);
	assert_state(&g, "c", "absent");
	assert_int_equal(tfs_residency_range(g.residency, c, &range.range), -ENOSPC);
	assert_int_equal(tfs_residency_open(g.residency, c), -ENOSPC);
	assert_int_equal(tfs_residency_attach(g.residency, c), -ENOENT);
	drop(&g, "a");
	assert_int_equal(tfs_residency_prefetch(g.residency, c), 0);
	step_all(&g);
	assert_int_equal(tfs_residency_range(g.residency, c, &range.range), 0);
	assert_backing(&g, c, tfs_residency_open_range(g.residency, &range.range));
	drop(&g, "c");
	assert_state(&g, "c", "resident");
	drop(&g, "e");
	rig_down(&g);
}

/* Closed, but mapped: it stays until the mapping goes. */
static void test_mapped(void **state)
{
	struct rig g;

	(void)state;
	setup(&g, MIB, 3600);
	struct tfs_file_id a = id_of(&g, "a");
	assert_int_equal(hold_now(&g, "a"), 0);
	int fd = tfs_residency_open(g.residency, a);
	uint8_t *map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	drop(&g, "a");
	assert_int_equal(hold_now(&g, "d"), -ENOSPC);
	assert_state(&g, "a", "resident");
	assert_int_equal(res_stats(&g).still_mapped, 1);
	assert_int_equal(res_stats(&g).files[TFS_RESIDENT], 1);
	assert_int_equal(first_wrong(map, tensor_of(&g, a)->offset, MIB), MIB);
	munmap(map, MIB);
	assert_int_equal(hold_now(&g, "d"), 0);
	assert_state(&g, "a", "absent");
	drop(&g, "d");
	rig_down(&g);
}

static void test_cancel(void **state)
{
	struct rig g;
	struct answer early, waiting, other, late;

	(void)state;
	setup(&g, 64 * MIB, 3600);
	struct tfs_file_id id = id_of(&g, "a");
	answer_init(&early);
	answer_init(&waiting);
	answer_init(&other);
	answer_init(&late);
	assert_false(tfs_residency_cancel(g.residency, &early.wait));
	assert_int_equal(tfs_residency_hold(g.residency, id, &early.wait), -ECANCELED);
	assert_int_equal(res_stats(&g).loads, 0);
	assert_int_equal(tfs_residency_hold(g.residency, id, &waiting.wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_hold(g.residency, id, &other.wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_hold(g.residency, id, &late.wait), TFS_QUEUED);
	assert_true(tfs_residency_cancel(g.residency, &waiting.wait));
	assert_false(tfs_residency_cancel(g.residency, &waiting.wait));
	step_all(&g);
	assert_int_equal(early.times + waiting.times, 0);
	assert_int_equal(other.times, 1);
	assert_int_equal(late.times, 1);
	assert_false(tfs_residency_cancel(g.residency, &late.wait)); /* answered already */
	drop(&g, "a");
	drop(&g, "a"); /* a third would be one too many: nobody held for the cancelled */
	rig_down(&g);
}

/* An open waits so long and no longer; the load goes on. */
static void test_open_wait(void **state)
{
	struct rig g;

	(void)state;
	setup(&g, 64 * MIB, 0);
	assert_int_equal(hold(&g, id_of(&g, "a")), -ETIMEDOUT); /* nobody loads: only the timer can answer */
	assert_state(&g, "a", "loading");
	assert_int_equal(hold(&g, id_of(&g, "a")), -ETIMEDOUT);
	assert_int_equal(res_stats(&g).timeouts, 2);
	step_all(&g);
	assert_state(&g, "a", "resident");
	assert_int_equal(hold(&g, id_of(&g, "a")), 0);
	drop(&g, "a");
	rig_down(&g);
}

static void test_prefetch(void **state)
{
	struct rig g;

	(void)state;
	setup(&g, 2 * MIB, 3600);
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "a")), 0);
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "a")), -EALREADY);
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "e")), 0);
	step_all(&g);
	assert_state(&g, "a", "resident");
	assert_state(&g, "e", "resident");
	/* Prefetched and not used yet: prefetch does not push them out, demand does. */
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "d")), 0);
	step_all(&g);
	assert_state(&g, "d", "absent");
	assert_int_equal(res_stats(&g).refusals, 1);
	assert_int_equal(hold_now(&g, "a"), 0);
	drop(&g, "a");
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "d")), 0);
	step_all(&g);
	assert_state(&g, "d", "resident"); /* in the place of a, which was used */
	assert_state(&g, "a", "absent");
	assert_state(&g, "e", "resident");
	assert_int_equal(hold_now(&g, "c"), 0);
	assert_state(&g, "e", "absent");
	drop(&g, "c");
	assert_int_equal(res_stats(&g).prefetched, 4);
	rig_down(&g);
}

/* A hold that meets a prefetch makes it demand. */
static void test_prefetch_joined(void **state)
{
	struct rig g;
	struct answer a;

	(void)state;
	setup(&g, 64 * MIB, 3600);
	struct tfs_file_id big = id_of(&g, "big");
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "a")), 0);
	assert_int_equal(tfs_residency_prefetch(g.residency, big), 0);
	answer_init(&a);
	assert_int_equal(tfs_residency_hold(g.residency, big, &a.wait), TFS_QUEUED);
	for (int i = 0; i < 4; i++) {
		assert_state(&g, "a", "loading");
		assert_int_equal(a.times, 0);
		step(&g);
	}
	assert_int_equal(a.times, 1);
	assert_int_equal(a.result, 0);
	assert_state(&g, "a", "loading");
	assert_int_equal(res_stats(&g).loads, 2);
	step_all(&g);
	drop(&g, "big");
	rig_down(&g);
}

static void test_ranges(void **state)
{
	struct rig g;
	struct answer a[4], w;

	(void)state;
	setup(&g, 64 * MIB, 3600);
	struct tfs_file_id big = id_of(&g, "big");
	uint64_t offset = tensor_of(&g, big)->offset;
	answer_init(&w);
	assert_int_equal(tfs_residency_hold(g.residency, big, &w.wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_attach(g.residency, big), 0);
	const struct {
		uint64_t at, len;
	} want[] = { { 0, 10 }, { 3 * TFS_CHUNK, 77 }, { TFS_CHUNK - 1, 2 }, { 2 * TFS_CHUNK, 1 } };
	for (int i = 0; i < 4; i++) {
		answer_init(&a[i]);
		a[i].range.at = want[i].at;
		a[i].range.len = want[i].len;
		assert_int_equal(tfs_residency_range(g.residency, big, &a[i].range), TFS_QUEUED);
	}
	/* The one asked for last is wanted most: chunks 2, 3, 0, 1. */
	static const unsigned answers[4][4] = { { 0, 0, 0, 1 }, { 0, 1, 0, 1 }, { 1, 1, 0, 1 }, { 1, 1, 1, 1 } };
	for (int n = 0; n < 4; n++) {
		step(&g);
		for (int i = 0; i < 4; i++) {
			if (a[i].times != answers[n][i])
				fail_msg("step %d, range %d: %u answers", n, i, a[i].times);
			if (!a[i].times)
				continue;
			uint8_t buf[77];
			int fd = tfs_residency_open_range(g.residency, &a[i].range);
			assert_true(fd >= 0);
			assert_int_equal(pread(fd, buf, want[i].len, want[i].at), want[i].len);
			assert_int_equal(first_wrong(buf, offset + want[i].at, want[i].len), want[i].len);
			close(fd);
		}
	}
	assert_int_equal(w.result, 0);
	assert_int_equal(tfs_residency_range(g.residency, big, &a[0].range), 0);
	drop(&g, "big");
	drop(&g, "big");
	rig_down(&g);
}

static void damage(struct rig *g, const char *how)
{
	const char *path = in_tree(g->dir, "model.safetensors");
	if (!strcmp(how, "truncated"))
		assert_int_equal(truncate(path, 1000), 0);
	else if (!strcmp(how, "removed"))
		assert_int_equal(unlink(path), 0);
	else {
		assert_int_equal(unlink(path), 0);
		put_model(g->dir, "model.safetensors", specs, LENGTH(specs)); /* the same bytes, but who knows */
	}
}

/* Everybody who waits learns that the source changed; what is resident stays as it was. */
static void test_changed_source(void **state)
{
	static const char *const ways[] = { "truncated", "removed", "replaced" };

	(void)state;
	for (unsigned i = 0; i < LENGTH(ways); i++) {
		struct rig g;
		struct answer w[2], range, ready;

		setup(&g, 64 * MIB, 3600);
		struct tfs_file_id big = id_of(&g, "big"), a = id_of(&g, "a");
		assert_int_equal(hold_now(&g, "a"), 0);
		answer_init(&w[0]);
		answer_init(&w[1]);
		answer_init(&range);
		answer_init(&ready);
		assert_int_equal(tfs_residency_hold(g.residency, big, &w[0].wait), TFS_QUEUED);
		assert_int_equal(tfs_residency_hold(g.residency, big, &w[1].wait), TFS_QUEUED);
		assert_int_equal(tfs_residency_attach(g.residency, big), 0);
		range.range.at = 2 * TFS_CHUNK;
		range.range.len = 1;
		ready.range.len = 1;
		step(&g);
		assert_int_equal(tfs_residency_range(g.residency, big, &range.range), TFS_QUEUED);
		assert_int_equal(tfs_residency_range(g.residency, big, &ready.range), 0);
		damage(&g, ways[i]);
		step(&g);
		assert_false(anything_queued(&g));
		assert_int_equal(w[0].times + w[1].times + range.times, 3);
		assert_int_equal(w[0].result, -ESTALE);
		assert_int_equal(w[1].result, -ESTALE);
		assert_int_equal(range.result, -ESTALE);
		assert_state(&g, "big", "stale");
		assert_int_equal(tfs_residency_range(g.residency, big, &range.range), -ESTALE);
		assert_int_equal(tfs_residency_open(g.residency, big), -ESTALE);
		assert_int_equal(tfs_residency_open_range(g.residency, &ready.range), -ENOENT);
		assert_int_equal(tfs_residency_prefetch(g.residency, big), -EALREADY);
		assert_int_equal(hold_now(&g, "big"), -ESTALE); /* tried again, in vain */
		struct tfs_residency_stats s = res_stats(&g);
		assert_int_equal(s.failures, 2);
		assert_int_equal(s.files[TFS_FAILED], 1);
		assert_int_equal(s.used, cost(&g, "a"));
		assert_non_null(strstr(s.last_error, "model.safetensors"));
		assert_non_null(strstr(s.last_error, "\"big\""));
		assert_backing(&g, a, tfs_residency_open(g.residency, a));
		drop(&g, "big");
		drop(&g, "a");
		assert_state(&g, "big", "stale");
		rig_down(&g);
	}
}

/* Nothing makes a file what it was before, as its ctime changes: so the model takes it as it is. */
static void forgive(struct rig *g, const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	for (size_t i = 0; i < g->model->n_nodes; i++)
		if (g->model->nodes[i].id.ino == st.st_ino)
			((struct tfs_node *)&g->model->nodes[i])->id.ctime = st.st_ctim;
}

/* A range found ready in one load is never looked for in the next one's file, which is still empty there. */
static void test_range_of_old_load(void **state)
{
	struct rig g;
	struct answer w, again, range;
	struct timespec times_of[2];
	struct stat st;

	(void)state;
	setup(&g, 64 * MIB, 3600);
	struct tfs_file_id big = id_of(&g, "big");
	const char *path = strdup(in_tree(g.dir, "model.safetensors"));
	assert_int_equal(stat(path, &st), 0);
	times_of[0] = st.st_atim;
	times_of[1] = st.st_mtim;
	answer_init(&w);
	answer_init(&again);
	answer_init(&range);
	assert_int_equal(tfs_residency_hold(g.residency, big, &w.wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_attach(g.residency, big), 0);
	step(&g);
	range.range.len = 100;
	assert_int_equal(tfs_residency_range(g.residency, big, &range.range), 0);
	/* It fails, is whole again, and a second load has begun with another chunk. */
	assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
	step(&g);
	assert_int_equal(w.result, -ESTALE);
	assert_int_equal(utimensat(AT_FDCWD, path, times_of, 0), 0);
	forgive(&g, path);
	assert_int_equal(tfs_residency_hold(g.residency, big, &again.wait), TFS_QUEUED);
	struct answer other;
	answer_init(&other);
	other.range.at = 3 * TFS_CHUNK;
	other.range.len = 1;
	assert_int_equal(tfs_residency_range(g.residency, big, &other.range), TFS_QUEUED);
	step(&g);
	assert_int_equal(other.times, 1);
	assert_int_equal(tfs_residency_open_range(g.residency, &range.range), -ENOENT);
	step_all(&g);
	assert_int_equal(again.result, 0);
	assert_backing(&g, big, tfs_residency_open_range(g.residency, &other.range));
	drop(&g, "big");
	drop(&g, "big");
	free((char *)path);
	rig_down(&g);
}

/* On request: what nobody uses goes, and what has not begun to come stays away. */
static void test_evict(void **state)
{
	struct rig g;
	struct answer w;

	(void)state;
	setup(&g, 64 * MIB, 3600);
	struct tfs_file_id a = id_of(&g, "a"), b = id_of(&g, "b"), big = id_of(&g, "big");
	assert_int_equal(tfs_residency_evict(g.residency, a), -ENOENT);
	assert_int_equal(hold_now(&g, "a"), 0);
	assert_int_equal(tfs_residency_evict(g.residency, a), -EBUSY);
	int fd = tfs_residency_open(g.residency, a);
	void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	drop(&g, "a");
	assert_int_equal(tfs_residency_evict(g.residency, a), -EBUSY); /* mapped */
	munmap(map, 4096);
	assert_int_equal(tfs_residency_evict(g.residency, a), 0);
	assert_state(&g, "a", "absent");
	assert_int_equal(res_stats(&g).used, 0);

	/* Prefetches that have not begun: one, then all; not the one that somebody waits for. */
	assert_int_equal(tfs_residency_prefetch(g.residency, a), 0);
	assert_int_equal(tfs_residency_prefetch(g.residency, b), 0);
	assert_int_equal(tfs_residency_prefetch(g.residency, big), 0);
	assert_int_equal(tfs_residency_evict(g.residency, a), 0);
	answer_init(&w);
	assert_int_equal(tfs_residency_hold(g.residency, big, &w.wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_evict(g.residency, big), -EBUSY);
	tfs_residency_drop_prefetch(g.residency);
	assert_state(&g, "a", "absent");
	assert_state(&g, "b", "absent");
	assert_int_equal(res_stats(&g).taken_back, 2);
	step_all(&g);
	assert_int_equal(w.result, 0);
	drop(&g, "big");
	/* One that is under way is not dropped. */
	assert_int_equal(hold_now(&g, "b"), 0);
	assert_int_equal(hold_now(&g, "a"), 0);
	drop(&g, "b");
	drop(&g, "a");

	/* The least recently used go first, as many as it takes. */
	uint64_t used = res_stats(&g).used;
	assert_int_equal(tfs_residency_shrink(g.residency, 1), cost(&g, "big"));
	assert_state(&g, "big", "absent");
	assert_state(&g, "b", "resident");
	assert_int_equal(tfs_residency_shrink(g.residency, cost(&g, "b") + 1), used - cost(&g, "big"));
	assert_int_equal(res_stats(&g).used, 0);
	assert_int_equal(tfs_residency_shrink(g.residency, 1), 0);
	rig_down(&g);
}

static void test_stop(void **state)
{
	struct rig g;
	struct answer w[3], range;

	(void)state;
	setup(&g, 64 * MIB, 3600);
	for (int i = 0; i < 3; i++)
		answer_init(&w[i]);
	answer_init(&range);
	assert_int_equal(tfs_residency_hold(g.residency, id_of(&g, "big"), &w[0].wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_hold(g.residency, id_of(&g, "a"), &w[1].wait), TFS_QUEUED);
	assert_int_equal(tfs_residency_attach(g.residency, id_of(&g, "big")), 0);
	step(&g);
	range.range.at = 3 * TFS_CHUNK;
	range.range.len = 1;
	assert_int_equal(tfs_residency_range(g.residency, id_of(&g, "big"), &range.range), TFS_QUEUED);
	rig_stop(&g);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(w[i].times, 1);
		assert_int_equal(w[i].result, -ECANCELED);
	}
	assert_int_equal(range.times, 1);
	assert_int_equal(range.result, -ECANCELED);
	assert_int_equal(tfs_residency_hold(g.residency, id_of(&g, "c"), &w[2].wait), -ECANCELED);
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "c")), -ECANCELED);
	assert_int_equal(res_stats(&g).used, 0);
	drop(&g, "big");
	for (int i = 0; i < TFS_STATES; i++)
		assert_int_equal(res_stats(&g).files[i], 0);
	rig_down(&g);
}

/* Two who look for room at once, and all that is there is mapped: both end, and neither chases the other. */
static void *want_room(void *arg)
{
	struct rig *g = arg;
	return (void *)(intptr_t)hold(g, id_of(g, "b"));
}

static void test_two_evict(void **state)
{
	struct rig g;
	pthread_t other;
	void *result;
	uint8_t *map[2];
	char *dir = make_tree();

	(void)state;
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	if (!rig_up(&g, dir, (struct rig_options){ .budget = 2 * MIB, .open_wait = 3600, .threads = 2 }))
		skip();
	for (int i = 0; i < 2; i++) {
		struct tfs_file_id id = id_of(&g, i ? "e" : "a");
		assert_int_equal(hold(&g, id), 0);
		int fd = tfs_residency_open(g.residency, id);
		map[i] = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
		assert_true(map[i] != MAP_FAILED);
		close(fd);
		tfs_residency_drop(g.residency, id);
	}
	for (int i = 0; i < 200; i++) {
		assert_int_equal(pthread_create(&other, NULL, want_room, &g), 0);
		assert_int_equal(hold(&g, id_of(&g, "d")), -ENOSPC);
		pthread_join(other, &result);
		assert_int_equal((intptr_t)result, -ENOSPC);
	}
	munmap(map[0], MIB);
	munmap(map[1], MIB);
	rig_down(&g);
}

/* --- Views ------------------------------------------------------------------------------------------------------- */

/* Several chunks each but the last ones, and no round numbers. */
static const struct spec typed[] = {
	{ "bf16", 6 * TFS_CHUNK + 3334 }, { "f64", 4 * TFS_CHUNK + 808 }, { "f4", 3 * TFS_CHUNK + 41 },
	{ "f6", 3 * TFS_CHUNK + 3 * 77 }, { "u8", 4 * TFS_CHUNK },	  { "small", 6 },
	{ "q4_k", 28680 * 144 },
};
static const char *const dtypes_of_typed[] = { "BF16", "F64", "F4", "F6_E2M3", "U8", "F16", "Q4_K" };

static void setup_typed(struct rig *g, uint64_t budget)
{
	char *dir = make_tree();
	put_typed_model(dir, "model.safetensors", typed, dtypes_of_typed, LENGTH(typed));
	if (!rig_up(g, dir, (struct rig_options){ .budget = budget, .open_wait = 3600 }))
		skip();
	rig_types(g, typed, dtypes_of_typed, LENGTH(typed));
}

/* A file of its own for each view, with what belongs in it; its memory is what the file takes. */
static void test_views(void **state)
{
	struct rig g;
	uint64_t used = 0;

	(void)state;
	setup_typed(&g, 512 * MIB);
	for (unsigned i = 0; i < LENGTH(typed); i++)
		for (int view = 0; view < TFS_VIEW_IDS; view++) {
			struct tfs_file_id id = in_view(id_of(&g, typed[i].name), (enum tfs_view_id)view);
			struct answer a;
			answer_init(&a);
			assert_string_equal(tfs_residency_state(g.residency, id), "absent");
			assert_int_equal(tfs_residency_hold(g.residency, id, &a.wait), TFS_QUEUED);
			step_all(&g);
			assert_int_equal(a.result, 0);
			assert_backing(&g, id, tfs_residency_open(g.residency, id));
			used += tfs_store_cost(tfs_file_layout(g.model, id).size);
			assert_int_equal(res_stats(&g).used, used);
			tfs_residency_drop(g.residency, id);
		}
	assert_int_equal(res_stats(&g).loads, LENGTH(typed) * TFS_VIEW_IDS);
	assert_int_equal(tfs_store_used(g.store), used);
	rig_down(&g);
}

/* What counts is the size of the file, not of the tensor. */
static void test_view_too_large(void **state)
{
	struct rig g;
	struct answer a;

	(void)state;
	setup_typed(&g, 32 * MIB);
	struct tfs_file_id id = id_of(&g, "u8");
	answer_init(&a);
	assert_int_equal(tfs_residency_hold(g.residency, in_view(id, TFS_F32), &a.wait), -EFBIG);
	assert_int_equal(tfs_residency_prefetch(g.residency, in_view(id, TFS_F32)), -EFBIG);
	assert_int_equal(tfs_residency_prefetch(g.residency, in_view(id, TFS_NPY)), 0);
	step_all(&g);
	assert_string_equal(tfs_residency_state(g.residency, in_view(id, TFS_NPY)), "resident");
	rig_down(&g);
}

/* Ranges at both sides of every chunk's end, while it loads from the last chunk to the first. */
static void test_view_ranges(void **state)
{
	struct rig g;

	(void)state;
	setup_typed(&g, 512 * MIB);
	for (unsigned i = 0; i < LENGTH(typed); i++)
		for (int view = TFS_NPY; view < TFS_VIEW_IDS; view++) {
			struct answer w, a;
			uint64_t size;
			struct tfs_file_id id = in_view(id_of(&g, typed[i].name), (enum tfs_view_id)view);
			uint8_t *want = expected_file(&g, id, &size);
			answer_init(&w);
			assert_int_equal(tfs_residency_hold(g.residency, id, &w.wait), TFS_QUEUED);
			assert_int_equal(tfs_residency_attach(g.residency, id), 0);
			/* Files are cut at multiples of huge pages, so these meet every cut. */
			for (uint64_t at = (size - 1) / (2 * MIB) * (2 * MIB);; at -= 2 * MIB) {
				uint8_t buf[20];
				answer_init(&a);
				a.range.at = at > 10 ? at - 10 : 0;
				a.range.len = size - a.range.at < 20 ? size - a.range.at : 20;
				int r = tfs_residency_range(g.residency, id, &a.range);
				for (unsigned steps = 0; r == TFS_QUEUED && !times(&a); steps++) {
					assert_true(steps < 2); /* those that are wanted come first */
					step(&g);
				}
				assert_true(r == 0 || a.result == 0);
				int fd = tfs_residency_open_range(g.residency, &a.range);
				assert_true(fd >= 0);
				assert_int_equal(pread(fd, buf, a.range.len, a.range.at), a.range.len);
				assert_memory_equal(buf, want + a.range.at, a.range.len);
				close(fd);
				if (!at)
					break;
			}
			step_all(&g);
			assert_int_equal(w.result, 0);
			assert_backing(&g, id, tfs_residency_open(g.residency, id));
			tfs_residency_drop(g.residency, id);
			tfs_residency_drop(g.residency, id);
			free(want);
		}
	rig_down(&g);
}

/* Memory for other things than files: as much as there is, by evicting what the priority may. */
static void test_reserve_some(void **state)
{
	struct tfs_residency_stats stats;
	struct rig g;

	(void)state;
	setup(&g, 4 * MIB, 3600);
	assert_int_equal(hold_now(&g, "a"), 0);
	assert_int_equal(hold_now(&g, "e"), 0);
	drop(&g, "e");
	assert_int_equal(tfs_residency_reserve_some(g.residency, MIB, 1, TFS_BACKGROUND), MIB);
	/* 1 MiB is free, 1 nobody has open, 1 is held. */
	assert_int_equal(tfs_residency_reserve_some(g.residency, 2 * MIB, 2 * MIB, TFS_BACKGROUND), 0);
	assert_state(&g, "e", "resident");
	assert_int_equal(tfs_residency_reserve_some(g.residency, 9 * MIB, MIB, TFS_PREFETCH), 2 * MIB);
	assert_state(&g, "e", "absent");
	assert_state(&g, "a", "resident");
	assert_int_equal(tfs_residency_reserve_some(g.residency, MIB, 1, TFS_DEMAND), 0);
	tfs_residency_stats(g.residency, &stats);
	assert_int_equal(stats.used, 4 * MIB);
	tfs_residency_unreserve(g.residency, 3 * MIB);
	tfs_residency_stats(g.residency, &stats);
	assert_int_equal(stats.used, MIB);

	/* What was read ahead and not used stays where it is not demand that wants its room. */
	assert_int_equal(tfs_residency_prefetch(g.residency, id_of(&g, "e")), 0);
	step_all(&g);
	assert_int_equal(tfs_residency_reserve_some(g.residency, 9 * MIB, MIB, TFS_PREFETCH), 2 * MIB);
	assert_state(&g, "e", "resident");
	assert_int_equal(tfs_residency_reserve_some(g.residency, 9 * MIB, MIB, TFS_DEMAND), MIB);
	assert_state(&g, "e", "absent");
	tfs_residency_unreserve(g.residency, 3 * MIB);
	drop(&g, "a");
	rig_down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_attached_no_room),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_open_wait),
		cmocka_unit_test(test_prefetch),
		cmocka_unit_test(test_prefetch_joined),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_changed_source),
		cmocka_unit_test(test_range_of_old_load),
		cmocka_unit_test(test_evict),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_two_evict),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_view_too_large),
		cmocka_unit_test(test_view_ranges),
		cmocka_unit_test(test_reserve_some),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
