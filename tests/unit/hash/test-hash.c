/* SPDX-License-Identifier: MIT */
/* Hashes: right however a tensor is served, computed once, forgotten by nobody, and none of bytes that have changed. */
#include "support/fixture.h"

#include <xxhash.h>

#include "hash/hash.h"

static const struct spec specs[] = {
	{ "a", MIB },  { "b", MIB + 1 }, { "big", 5 * TFS_CHUNK + 77 },		 { "c", 1 }, { "chunk", TFS_CHUNK },
	{ "d", 4096 }, { "none", 0 },	 { "odd", 3 * TFS_STREAM_MAX_READ - 1 },
};

struct hashing {
	struct rig rig;
	struct tfs_hashes *hashes;
};

struct hash_answer {
	struct tfs_hash_wait wait;
	_Atomic int times;
	int result;
};

static void on_hash(struct tfs_hash_wait *w, int result)
{
	struct hash_answer *a = (struct hash_answer *)w;
	a->result = result;
	a->times++;
}

static struct hash_answer no_answer(void)
{
	return (struct hash_answer){ .wait.done = on_hash };
}

static bool setup(struct hashing *g, unsigned threads, uint64_t budget)
{
	char *dir = make_tree();
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	if (!rig_up(&g->rig, dir, (struct rig_options){ .threads = threads, .budget = budget, .open_wait = 3600, .direct = true }))
		return false;
	g->hashes = tfs_hashes_create(g->rig.model, g->rig.sources, g->rig.sched, g->rig.residency);
	assert_non_null(g->hashes);
	return true;
}

static void teardown(struct hashing *g)
{
	rig_stop(&g->rig);
	tfs_hashes_stop(g->hashes);
	tfs_hashes_destroy(g->hashes);
	rig_down(&g->rig);
}

static int get(struct hashing *g, const char *name, struct hash_answer *a)
{
	return tfs_hash_get(g->hashes, 0, id_of(&g->rig, name).tensor, &a->wait);
}

/* Until it is answered; where there are no workers, by doing their work. */
static int wait_for(struct hashing *g, struct hash_answer *a, int returned)
{
	if (returned != TFS_QUEUED)
		return returned;
	while (!a->times)
		if (!g->rig.workers && anything_queued(&g->rig))
			step(&g->rig);
		else
			sched_yield();
	assert_int_equal(a->times, 1);
	return a->result;
}

static void assert_hash(struct hashing *g, const char *name, const struct tfs_hash *hash)
{
	const struct tfs_tensor *t = tensor_of(&g->rig, id_of(&g->rig, name));
	uint8_t *bytes = malloc(t->nbytes + 1);
	char text[TFS_HASH_TEXT], want[TFS_HASH_TEXT];

	assert_non_null(bytes);
	fill(bytes, t->offset, t->nbytes);
	XXH128_hash_t h = XXH3_128bits(bytes, t->nbytes);
	snprintf(want, sizeof want, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
	tfs_hash_text(hash, text);
	assert_string_equal(text, want);
	free(bytes);
}

static void assert_get(struct hashing *g, const char *name)
{
	struct hash_answer a = no_answer();
	assert_int_equal(wait_for(g, &a, get(g, name, &a)), 0);
	assert_hash(g, name, &a.wait.hash);
}

static bool known(struct hashing *g, const char *name)
{
	struct tfs_hash hash;
	return tfs_hash_peek(g->hashes, 0, id_of(&g->rig, name).tensor, &hash);
}

static struct tfs_hash_stats stats(struct hashing *g)
{
	struct tfs_hash_stats s;
	tfs_hashes_stats(g->hashes, &s);
	return s;
}

static uint64_t jobs(struct hashing *g)
{
	struct tfs_sched_stats s;
	tfs_sched_stats(g->rig.sched, &s);
	return s.jobs;
}

static uint64_t total(void)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < LENGTH(specs); i++)
		n += specs[i].nbytes;
	return n;
}

/* XXH3-128 of no bytes, and of "a" by xxh128sum 0.8.1: the library under the test is under the loader too. */
static void test_text(void **state)
{
	struct tfs_hash hash;
	XXH128_canonical_t c;
	char text[TFS_HASH_TEXT];

	(void)state;
	XXH128_canonicalFromHash(&c, XXH3_128bits("", 0));
	memcpy(hash.bytes, c.digest, sizeof hash.bytes);
	tfs_hash_text(&hash, text);
	assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
	XXH128_canonicalFromHash(&c, XXH3_128bits("a", 1));
	memcpy(hash.bytes, c.digest, sizeof hash.bytes);
	tfs_hash_text(&hash, text);
	assert_string_equal(text, "a96faf705af16834e6c632b61e964e1f");
}

static void test_right(void **state)
{
	(void)state;
	for (unsigned threads = 0; threads <= 3; threads += 3) {
		struct hashing g;
		assert_true(setup(&g, threads, 0));
		for (unsigned i = 0; i < LENGTH(specs); i++)
			assert_get(&g, specs[i].name);
		assert_int_equal(stats(&g).known, LENGTH(specs));
		assert_int_equal(stats(&g).bytes, total());
		/* Once. */
		uint64_t before = jobs(&g);
		for (unsigned i = 0; i < LENGTH(specs); i++) {
			struct hash_answer a = no_answer();
			assert_int_equal(wait_for(&g, &a, get(&g, specs[i].name, &a)), 0);
			assert_hash(&g, specs[i].name, &a.wait.hash);
		}
		assert_int_equal(jobs(&g), before);
		teardown(&g);
	}
}

static void test_all(void **state)
{
	(void)state;
	for (unsigned threads = 0; threads <= 3; threads += 3) {
		struct hashing g;
		struct tfs_hash hash;
		struct hash_answer one = no_answer(), two = no_answer(), again = no_answer();
		assert_true(setup(&g, threads, 0));
		assert_get(&g, "d");
		assert_int_equal(tfs_hash_all(g.hashes, &one.wait), TFS_QUEUED);
		assert_int_equal(tfs_hash_all(g.hashes, &two.wait), TFS_QUEUED);
		assert_int_equal(wait_for(&g, &one, TFS_QUEUED), 0);
		assert_int_equal(wait_for(&g, &two, TFS_QUEUED), 0);
		for (unsigned i = 0; i < LENGTH(specs); i++) {
			assert_true(tfs_hash_peek(g.hashes, 0, id_of(&g.rig, specs[i].name).tensor, &hash));
			assert_hash(&g, specs[i].name, &hash);
		}
		assert_int_equal(stats(&g).bytes, total());
		uint64_t before = jobs(&g);
		assert_int_equal(wait_for(&g, &again, tfs_hash_all(g.hashes, &again.wait)), 0);
		assert_int_equal(jobs(&g), before);
		teardown(&g);
	}
}

/* What is resident is not read again, and hashing uses nobody's memory and changes nobody's turn. */
static void test_resident(void **state)
{
	struct hashing g;
	struct hash_answer all = no_answer();

	(void)state;
	if (!setup(&g, 2, 2 * MIB + 8192)) /* a, b and d, to the last page */
		skip();
	static const char *const names[] = { "a", "b", "d" };
	for (unsigned i = 0; i < LENGTH(names); i++) {
		assert_int_equal(hold(&g.rig, id_of(&g.rig, names[i])), 0);
		tfs_residency_drop(g.rig.residency, id_of(&g.rig, names[i]));
	}
	uint64_t before = jobs(&g);
	for (unsigned i = LENGTH(names); i--;)
		assert_get(&g, names[i]);
	assert_int_equal(jobs(&g), before);
	assert_int_equal(wait_for(&g, &all, tfs_hash_all(g.hashes, &all.wait)), 0);
	struct tfs_residency_stats s = res_stats(&g.rig);
	assert_int_equal(s.evictions, 0);
	assert_int_equal(s.loads, 3);
	assert_int_equal(s.hits, 0);
	assert_int_equal(s.files[TFS_RESIDENT], 3);
	/* a is still the oldest. */
	assert_int_equal(hold(&g.rig, id_of(&g.rig, "chunk")), -EFBIG);
	assert_int_equal(hold(&g.rig, id_of(&g.rig, "c")), 0);
	assert_string_equal(tfs_residency_state(g.rig.residency, id_of(&g.rig, "a")), "absent");
	assert_string_equal(tfs_residency_state(g.rig.residency, id_of(&g.rig, "b")), "resident");
	tfs_residency_drop(g.rig.residency, id_of(&g.rig, "c"));
	teardown(&g);
}

/* Borrowed: not evicted, although nobody holds it. */
static void test_borrowed(void **state)
{
	struct hashing g;

	(void)state;
	if (!setup(&g, 1, MIB))
		skip();
	struct tfs_file_id a = id_of(&g.rig, "a"), d = id_of(&g.rig, "d");
	assert_int_equal(tfs_residency_borrow(g.rig.residency, a), -ENOENT);
	assert_int_equal(hold(&g.rig, a), 0);
	tfs_residency_drop(g.rig.residency, a);
	int fd = tfs_residency_borrow(g.rig.residency, a);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(hold(&g.rig, d), -ENOSPC);
	assert_backing(&g.rig, a, tfs_residency_borrow(g.rig.residency, a));
	tfs_residency_give_back(g.rig.residency, a);
	tfs_residency_give_back(g.rig.residency, a);
	assert_int_equal(hold(&g.rig, d), 0);
	assert_string_equal(tfs_residency_state(g.rig.residency, a), "absent");
	tfs_residency_drop(g.rig.residency, d);
	teardown(&g);
}

static void test_cancel(void **state)
{
	struct hashing g;
	struct hash_answer early = no_answer(), waits = no_answer(), stays = no_answer(), all = no_answer();

	(void)state;
	assert_true(setup(&g, 0, 0));
	assert_false(tfs_hash_cancel(g.hashes, &early.wait));
	assert_int_equal(get(&g, "big", &early), -ECANCELED);
	assert_int_equal(tfs_hash_all(g.hashes, &early.wait), -ECANCELED);
	assert_int_equal(get(&g, "big", &waits), TFS_QUEUED);
	assert_int_equal(get(&g, "big", &stays), TFS_QUEUED);
	assert_true(tfs_hash_cancel(g.hashes, &waits.wait));
	assert_false(tfs_hash_cancel(g.hashes, &waits.wait));
	assert_int_equal(wait_for(&g, &stays, TFS_QUEUED), 0);
	assert_hash(&g, "big", &stays.wait.hash);
	assert_false(tfs_hash_cancel(g.hashes, &stays.wait));
	assert_int_equal(stats(&g).bytes, tensor_of(&g.rig, id_of(&g.rig, "big"))->nbytes); /* one for both */
	/* Nobody is left: it is given up, and the next one who comes is served all the same. */
	assert_int_equal(tfs_hash_all(g.hashes, &all.wait), TFS_QUEUED);
	assert_true(tfs_hash_cancel(g.hashes, &all.wait));
	struct hash_answer later = no_answer();
	assert_int_equal(wait_for(&g, &later, tfs_hash_all(g.hashes, &later.wait)), 0);
	assert_int_equal(early.times + waits.times + all.times, 0);
	assert_int_equal(stats(&g).known, LENGTH(specs));
	teardown(&g);
}

static void touch(struct hashing *g)
{
	int fd = open(in_tree(g->rig.dir, "model.safetensors"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

/* The source changes while a tensor is read: no hash, and none is remembered. */
static void test_changed_meanwhile(void **state)
{
	struct hashing g;
	struct hash_answer a = no_answer(), b = no_answer(), all = no_answer();

	(void)state;
	assert_true(setup(&g, 0, 0));
	tfs_log_set_level(TFS_LOG_ERROR - 1);
	assert_int_equal(get(&g, "big", &a), TFS_QUEUED);
	while (!anything_queued(&g.rig))
		sched_yield();
	step(&g.rig); /* the first chunk is good */
	touch(&g);
	assert_int_equal(wait_for(&g, &a, TFS_QUEUED), -ESTALE);
	assert_false(known(&g, "big"));
	assert_int_equal(wait_for(&g, &b, get(&g, "big", &b)), -ESTALE);
	assert_int_equal(wait_for(&g, &all, tfs_hash_all(g.hashes, &all.wait)), -ESTALE);
	assert_int_equal(stats(&g).known, 0);
	assert_true(stats(&g).failures > 0);
	assert_non_null(strstr(stats(&g).last_error, "changed, replaced or removed"));
	tfs_log_set_level(TFS_LOG_WARNING);
	teardown(&g);
}

/* What is remembered is not given out for a source that has changed since, unless what is shown is in memory. */
static void test_changed_afterwards(void **state)
{
	struct hashing g;
	struct hash_answer b = no_answer(), all = no_answer(), again = no_answer();

	(void)state;
	if (!setup(&g, 1, 64 * MIB))
		skip();
	struct tfs_file_id a = id_of(&g.rig, "a"), c = id_of(&g.rig, "c");
	assert_int_equal(hold(&g.rig, a), 0);
	assert_int_equal(hold(&g.rig, c), 0);
	assert_int_equal(wait_for(&g, &all, tfs_hash_all(g.hashes, &all.wait)), 0);
	assert_get(&g, "b");
	tfs_log_set_level(TFS_LOG_ERROR - 1);
	touch(&g);
	assert_int_equal(wait_for(&g, &b, get(&g, "b", &b)), -ESTALE);
	assert_int_equal(wait_for(&g, &again, tfs_hash_all(g.hashes, &again.wait)), -ESTALE);
	assert_get(&g, "a");
	assert_get(&g, "c");
	tfs_log_set_level(TFS_LOG_WARNING);
	tfs_residency_drop(g.rig.residency, a);
	tfs_residency_drop(g.rig.residency, c);
	teardown(&g);
}

static void test_stop(void **state)
{
	struct hashing g;
	struct hash_answer a[LENGTH(specs)], all = no_answer(), late = no_answer();

	(void)state;
	assert_true(setup(&g, 0, 0));
	for (unsigned i = 0; i < LENGTH(specs); i++) {
		a[i] = no_answer();
		if (specs[i].nbytes)
			assert_int_equal(get(&g, specs[i].name, &a[i]), TFS_QUEUED);
	}
	assert_int_equal(tfs_hash_all(g.hashes, &all.wait), TFS_QUEUED);
	rig_stop(&g.rig);
	tfs_hashes_stop(g.hashes);
	for (unsigned i = 0; i < LENGTH(specs); i++)
		if (specs[i].nbytes) {
			assert_int_equal(a[i].times, 1);
			assert_int_equal(a[i].result, -ECANCELED);
		}
	assert_int_equal(all.times, 1);
	assert_int_equal(all.result, -ECANCELED);
	assert_int_equal(get(&g, "big", &late), -ECANCELED);
	teardown(&g);
}

/* Many at once, some of whom think better of it; all who don't are answered, with what is right. */
struct crowd {
	struct hashing *g;
	unsigned seed;
};

static void *ask(void *arg)
{
	struct crowd *c = arg;
	for (int i = 0; i < 40; i++) {
		const char *name = specs[(unsigned)rand_r(&c->seed) % LENGTH(specs)].name;
		struct hash_answer a = no_answer();
		bool all = rand_r(&c->seed) % 5 == 0;
		int r = all ? tfs_hash_all(c->g->hashes, &a.wait) : get(c->g, name, &a);
		if (r == TFS_QUEUED && rand_r(&c->seed) % 2 && tfs_hash_cancel(c->g->hashes, &a.wait)) {
			if (a.times)
				abort();
			continue;
		}
		while (r == TFS_QUEUED && !a.times)
			sched_yield();
		if (r == TFS_QUEUED ? a.result : r)
			abort();
		if (!all)
			assert_hash(c->g, name, &a.wait.hash);
	}
	return NULL;
}

static void test_crowd(void **state)
{
	struct hashing g;
	pthread_t threads[8];
	struct crowd c[LENGTH(threads)];

	(void)state;
	assert_true(setup(&g, 3, 0));
	for (unsigned i = 0; i < LENGTH(threads); i++) {
		c[i] = (struct crowd){ &g, 100 + i };
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &c[i]), 0);
	}
	for (unsigned i = 0; i < LENGTH(threads); i++)
		pthread_join(threads[i], NULL);
	teardown(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_resident),
		cmocka_unit_test(test_borrowed),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_changed_meanwhile),
		cmocka_unit_test(test_changed_afterwards),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_crowd),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
