/* SPDX-License-Identifier: MIT */
/* Tensors of equal bytes share one backing file, those of equal hashes alone do not; and whoever has one open or mapped keeps it. */
#include "support/fixture.h"

#include <sys/mman.h>

#include "hash/hash.h"

/* b and d have a's bytes, f has e's; c is of a's length. */
static const struct spec specs[] = {
	{ "a", 2 * MIB },	 { "b", 2 * MIB },	  { "c", 2 * MIB }, { "d", 2 * MIB },
	{ "e", TFS_CHUNK + 77 }, { "f", TFS_CHUNK + 77 }, { "g", 5 },
};
static const struct {
	const char *to, *from;
} copies[] = { { "b", "a" }, { "d", "a" }, { "f", "e" } };

struct sharing {
	struct rig rig;
	struct tfs_hashes *hashes;
};

static const char *original(const char *name)
{
	for (unsigned i = 0; i < LENGTH(copies); i++)
		if (!strcmp(copies[i].to, name))
			return copies[i].from;
	return name;
}

static bool setup(struct sharing *g, uint64_t budget)
{
	char *dir = make_tree();
	struct rig plain = { 0 };
	struct tfs_error err;

	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	assert_int_equal(tfs_model_open(dir, 1, NULL, NULL, &plain.model, &err), 0);
	int fd = open(in_tree(dir, "model.safetensors"), O_WRONLY | O_CLOEXEC);
	for (unsigned i = 0; i < LENGTH(copies); i++) {
		const struct tfs_tensor *to = tensor_of(&plain, id_of(&plain, copies[i].to));
		uint8_t *bytes = malloc(to->nbytes);
		fill(bytes, tensor_of(&plain, id_of(&plain, copies[i].from))->offset, to->nbytes);
		assert_int_equal(pwrite(fd, bytes, to->nbytes, to->offset), to->nbytes);
		free(bytes);
	}
	fsync(fd);
	close(fd);
	tfs_model_destroy(plain.model);
	if (!rig_up(&g->rig, dir, (struct rig_options){ .threads = 2, .budget = budget, .open_wait = 3600, .direct = true }))
		return false;
	g->hashes = tfs_hashes_create(g->rig.model, g->rig.sources, g->rig.sched, g->rig.residency);
	assert_non_null(g->hashes);
	return true;
}

static void teardown(struct sharing *g)
{
	rig_stop(&g->rig);
	tfs_hashes_stop(g->hashes);
	tfs_hashes_destroy(g->hashes);
	rig_down(&g->rig);
}

struct all {
	struct tfs_hash_wait wait;
	_Atomic int times;
	int result;
};

static void on_all(struct tfs_hash_wait *w, int result)
{
	struct all *a = (struct all *)w;
	a->result = result;
	a->times++;
}

static void hash_all(struct sharing *g)
{
	struct all a = { .wait.done = on_all };
	assert_int_equal(tfs_hash_all(g->hashes, &a.wait), TFS_QUEUED);
	while (!a.times)
		sched_yield();
	assert_int_equal(a.result, 0);
}

/* Merging is the background's; the test runner's time limit is that of the wait. */
static void wait_for_shared(struct sharing *g, uint64_t n)
{
	while (res_stats(&g->rig).shared != n)
		sched_yield();
}

static struct tfs_file_id id(struct sharing *g, const char *name)
{
	return id_of(&g->rig, name);
}

static void get(struct sharing *g, const char *name)
{
	assert_int_equal(hold(&g->rig, id(g, name)), 0);
}

static void drop(struct sharing *g, const char *name)
{
	tfs_residency_drop(g->rig.residency, id(g, name));
}

static void get_and_drop(struct sharing *g, const char *name)
{
	get(g, name);
	drop(g, name);
}

static uint8_t *map(struct sharing *g, const char *name)
{
	int fd = tfs_residency_open(g->rig.residency, id(g, name));
	assert_true(fd >= 0);
	uint8_t *m = mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(m != MAP_FAILED);
	close(fd);
	return m;
}

static bool go_on(void *arg)
{
	(void)arg;
	return false;
}

static void merge(struct sharing *g, const char *name)
{
	tfs_residency_merge(g->rig.residency, id(g, name), go_on, NULL);
}

/* What is held has the right bytes. */
static void assert_bytes(struct sharing *g, const char *name)
{
	const struct tfs_tensor *t = tensor_of(&g->rig, id(g, name)), *o = tensor_of(&g->rig, id(g, original(name)));
	uint8_t *buf = malloc(t->nbytes);
	int fd = tfs_residency_open(g->rig.residency, id(g, name));

	assert_true(fd >= 0 && buf);
	assert_int_equal(pread(fd, buf, t->nbytes, 0), t->nbytes);
	assert_int_equal(first_wrong(buf, o->offset, t->nbytes), t->nbytes);
	close(fd);
	free(buf);
}

static const char *state_of(struct sharing *g, const char *name)
{
	return tfs_residency_state(g->rig.residency, id(g, name));
}

/* Once what is being freed is. */
static void assert_used(struct sharing *g, uint64_t bytes)
{
	while (res_stats(&g->rig).used != bytes)
		sched_yield();
	assert_int_equal(tfs_store_used(g->rig.store), bytes);
}

/* Resident, and then found to be equal. */
static void test_hashed_later(void **state)
{
	struct sharing g;
	static const char *const names[] = { "a", "b", "c", "d", "e", "f" };
	const uint64_t cost = 2 * MIB, big = tfs_store_cost(TFS_CHUNK + 77);

	(void)state;
	if (!setup(&g, 256 * MIB))
		skip();
	for (unsigned i = 0; i < LENGTH(names); i++)
		get_and_drop(&g, names[i]);
	assert_int_equal(res_stats(&g.rig).used, 4 * cost + 2 * big);
	hash_all(&g);
	wait_for_shared(&g, 3);
	assert_int_equal(res_stats(&g.rig).shared_bytes, 2 * cost + big);
	assert_used(&g, 2 * cost + big);
	assert_int_equal(res_stats(&g.rig).files[TFS_RESIDENT], 6);
	for (unsigned i = 0; i < LENGTH(names); i++) {
		get(&g, names[i]);
		assert_bytes(&g, names[i]);
		drop(&g, names[i]);
	}
	assert_int_equal(res_stats(&g.rig).loads, 6);
	/* One after the other goes, and the last one takes the memory with it. */
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "a")), 0);
	assert_used(&g, 2 * cost + big);
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "d")), 0);
	assert_int_equal(res_stats(&g.rig).shared, 1);
	assert_used(&g, 2 * cost + big);
	get(&g, "b");
	assert_bytes(&g, "b");
	drop(&g, "b");
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "b")), 0);
	assert_used(&g, cost + big);
	assert_int_equal(tfs_residency_shrink(g.rig.residency, UINT64_MAX), cost + big);
	assert_used(&g, 0);
	assert_int_equal(res_stats(&g.rig).shared_bytes, 0);
	teardown(&g);
}

/* Hashed, and then loaded: each is compared once, and then needs no loading while another is there. */
static void test_hashed_before(void **state)
{
	struct sharing g;

	(void)state;
	if (!setup(&g, 256 * MIB))
		skip();
	hash_all(&g);
	assert_int_equal(res_stats(&g.rig).shared, 0);
	get_and_drop(&g, "a");
	get(&g, "b");
	wait_for_shared(&g, 1);
	assert_used(&g, 2 * MIB);
	assert_bytes(&g, "b");
	get_and_drop(&g, "d");
	wait_for_shared(&g, 2);
	assert_used(&g, 2 * MIB);
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "d")), 0);
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "a")), 0);
	assert_int_equal(res_stats(&g.rig).loads, 3);
	get(&g, "d");
	assert_bytes(&g, "d");
	assert_int_equal(tfs_residency_prefetch(g.rig.residency, id(&g, "a")), -EALREADY);
	assert_string_equal(state_of(&g, "a"), "resident");
	assert_int_equal(res_stats(&g.rig).loads, 3);
	assert_int_equal(res_stats(&g.rig).shared, 2);
	assert_int_equal(tfs_residency_prefetch(g.rig.residency, id(&g, "a")), -EALREADY);
	/* The ring goes with the residency, held or not. */
	drop(&g, "d");
	drop(&g, "b");
	teardown(&g);
}

/* In use both: nothing changes under them; when one is asked for again it shares. */
static void test_in_use(void **state)
{
	struct sharing g;

	(void)state;
	if (!setup(&g, 256 * MIB))
		skip();
	get(&g, "a");
	get(&g, "b");
	uint8_t *a = map(&g, "a"), *b = map(&g, "b");
	drop(&g, "a"); /* closed, and mapped */
	assert_true(tfs_residency_add_duplicate(g.rig.residency, id(&g, "a"), id(&g, "b")));
	merge(&g, "b");
	assert_int_equal(res_stats(&g.rig).shared, 0);
	assert_int_equal(res_stats(&g.rig).used, 4 * MIB);
	assert_bytes(&g, "b");
	/* Whichever is free gives way. */
	munmap(a, 2 * MIB);
	merge(&g, "b");
	wait_for_shared(&g, 1);
	assert_used(&g, 2 * MIB);
	uint64_t offset = tensor_of(&g.rig, id(&g, "a"))->offset;
	assert_int_equal(first_wrong(b, offset, 2 * MIB), 2 * MIB);
	get(&g, "a");
	assert_bytes(&g, "a");
	drop(&g, "a");
	/* b's hold keeps the file that is a's too; a can go, and come back without being loaded. */
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "a")), 0);
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "b")), -EBUSY);
	assert_string_equal(state_of(&g, "a"), "absent");
	get(&g, "a");
	assert_int_equal(res_stats(&g.rig).loads, 2);
	drop(&g, "b");
	drop(&g, "a");
	/* Mapped through one of two: the memory stays, and the last name of it. */
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "b")), 0);
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "a")), -EBUSY);
	assert_int_equal(first_wrong(b, offset, 2 * MIB), 2 * MIB);
	munmap(b, 2 * MIB);
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "a")), 0);
	assert_used(&g, 0);
	teardown(&g);
}

/* The other way around: the one that the others are compared with is in use, and the one that is let go later is not the first. */
static void test_in_use_first(void **state)
{
	struct sharing g;

	(void)state;
	if (!setup(&g, 256 * MIB))
		skip();
	get(&g, "a");
	get(&g, "b");
	uint8_t *a = map(&g, "a");
	drop(&g, "a");
	assert_true(tfs_residency_add_duplicate(g.rig.residency, id(&g, "b"), id(&g, "a")));
	merge(&g, "a");
	assert_int_equal(res_stats(&g.rig).shared, 0);
	munmap(a, 2 * MIB);
	/* Nobody hears of an munmap. The first one has nobody to be compared with; the other one's next close does it. */
	merge(&g, "b");
	assert_int_equal(res_stats(&g.rig).shared, 0);
	get(&g, "a");
	drop(&g, "a");
	merge(&g, "a"); /* what on_duplicate() has been called for; here nobody has asked for a hash, so there is no hasher */
	assert_int_equal(res_stats(&g.rig).shared, 1);
	assert_used(&g, 2 * MIB);
	assert_bytes(&g, "b");
	drop(&g, "b");
	teardown(&g);
}

/* A budget that all of them fit only because they share. */
static void test_budget(void **state)
{
	struct sharing g;

	(void)state;
	if (!setup(&g, 4 * MIB))
		skip();
	hash_all(&g);
	get_and_drop(&g, "a");
	get_and_drop(&g, "b");
	wait_for_shared(&g, 1);
	assert_used(&g, 2 * MIB);
	get_and_drop(&g, "d");
	wait_for_shared(&g, 2);
	assert_used(&g, 2 * MIB);
	get(&g, "c");
	get(&g, "d");
	get(&g, "a");
	get(&g, "b");
	assert_int_equal(res_stats(&g.rig).evictions, 0);
	assert_int_equal(res_stats(&g.rig).used, 4 * MIB);
	assert_int_equal(hold(&g.rig, id(&g, "g")), -ENOSPC);
	drop(&g, "a");
	drop(&g, "d");
	assert_int_equal(hold(&g.rig, id(&g, "g")), -ENOSPC); /* b still has it, though a and d may go */
	assert_bytes(&g, "b");
	drop(&g, "b");
	get(&g, "g");
	assert_string_equal(state_of(&g, "b"), "absent");
	assert_int_equal(res_stats(&g.rig).shared, 0);
	drop(&g, "g");
	drop(&g, "c");
	teardown(&g);
}

/* Of equal hashes, somebody says, but not of equal bytes. */
static void test_collision(void **state)
{
	struct sharing g;

	(void)state;
	if (!setup(&g, 256 * MIB))
		skip();
	get_and_drop(&g, "a");
	get_and_drop(&g, "c");
	assert_true(tfs_residency_add_duplicate(g.rig.residency, id(&g, "a"), id(&g, "c")));
	for (int i = 0; i < 2; i++)
		merge(&g, "c");
	assert_int_equal(res_stats(&g.rig).shared, 0);
	assert_int_equal(res_stats(&g.rig).used, 4 * MIB);
	assert_int_equal(tfs_residency_evict(g.rig.residency, id(&g, "c")), 0);
	get(&g, "c");
	assert_int_equal(res_stats(&g.rig).loads, 3);
	get(&g, "a");
	assert_bytes(&g, "a");
	assert_bytes(&g, "c");
	/* Others of the group share all the same. */
	assert_false(tfs_residency_add_duplicate(g.rig.residency, id(&g, "a"), id(&g, "b")));
	get_and_drop(&g, "b");
	merge(&g, "b"); /* nobody asked for a hash, so there is no hasher that would */
	assert_int_equal(res_stats(&g.rig).shared, 1);
	assert_bytes(&g, "a");
	drop(&g, "a");
	drop(&g, "c");
	teardown(&g);
}

/* What is made of equal tensors in another view is equal too, once they are known to be. */
static void test_views(void **state)
{
	struct sharing g;

	(void)state;
	if (!setup(&g, 256 * MIB))
		skip();
	hash_all(&g);
	for (int v = TFS_NPY; v <= TFS_F32; v++)
		for (unsigned i = 0; i < 2; i++) {
			struct tfs_file_id file = in_view(id(&g, i ? "b" : "a"), (enum tfs_view_id)v);
			assert_int_equal(hold(&g.rig, file), 0);
			tfs_residency_drop(g.rig.residency, file);
		}
	assert_int_equal(res_stats(&g.rig).shared, 0); /* by their hashes alone */
	get_and_drop(&g, "a");
	get_and_drop(&g, "b");
	wait_for_shared(&g, 3); /* those in the other views too */
	struct tfs_file_id d = in_view(id(&g, "d"), TFS_F32);
	get_and_drop(&g, "d");
	wait_for_shared(&g, 4);
	uint64_t loads = res_stats(&g.rig).loads;
	assert_int_equal(hold(&g.rig, d), 0);
	assert_int_equal(res_stats(&g.rig).loads, loads);
	uint64_t size;
	uint8_t *want = expected_file(&g.rig, in_view(id(&g, "a"), TFS_F32), &size), *buf = malloc(size);
	int fd = tfs_residency_open(g.rig.residency, d);
	assert_int_equal(pread(fd, buf, size, 0), size);
	assert_memory_equal(buf, want, size);
	close(fd);
	free(buf);
	free(want);
	tfs_residency_drop(g.rig.residency, d);
	teardown(&g);
}

static void *merge_b(void *arg)
{
	merge(arg, "b");
	return NULL;
}

/* Asked for twice at once, as by a load and the close right after it: done once, and accounted for once. */
static void test_at_once(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		struct sharing g;
		pthread_t threads[2];
		if (!setup(&g, 256 * MIB))
			skip();
		get_and_drop(&g, "a");
		get_and_drop(&g, "b");
		assert_true(tfs_residency_add_duplicate(g.rig.residency, id(&g, "a"), id(&g, "b")));
		for (unsigned i = 0; i < LENGTH(threads); i++)
			assert_int_equal(pthread_create(&threads[i], NULL, merge_b, &g), 0);
		for (unsigned i = 0; i < LENGTH(threads); i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(res_stats(&g.rig).shared, 1);
		assert_used(&g, 2 * MIB);
		teardown(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashed_later), cmocka_unit_test(test_hashed_before), cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_in_use_first), cmocka_unit_test(test_budget),	   cmocka_unit_test(test_collision),
		cmocka_unit_test(test_views),	     cmocka_unit_test(test_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
