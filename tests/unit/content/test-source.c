/* SPDX-License-Identifier: MIT */
/* Sources: pins, the snapshot's watch, and each way to the bytes. */
#include "support/fixture.h"

#include <unistd.h>

#include "base/file.h"

static const struct spec specs[] = { { "a", 100000 }, { "b", 3 * MIB } };

static void setup(struct rig *g, bool direct)
{
	char *dir = make_tree();
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	assert_true(rig_up(g, dir, (struct rig_options){ .direct = direct }));
}

static uint32_t node_of(const struct rig *g)
{
	return g->model->sets[0].sources[0];
}

static int read_at(struct tfs_source *s, uint64_t offset, size_t len, enum tfs_read_how *how, struct tfs_error *err)
{
	uint8_t *buf = aligned_alloc(TFS_IO_ALIGN, (len + 3 * TFS_IO_ALIGN) / TFS_IO_ALIGN * TFS_IO_ALIGN), *data;
	int r = tfs_source_read(s, offset, len, buf, &data, how, err);
	if (!r) {
		assert_true(data >= buf && data + len <= buf + len + 2 * TFS_IO_ALIGN);
		assert_int_equal(first_wrong(data, offset, len), len);
	}
	free(buf);
	return r;
}

static void test_ways(void **state)
{
	struct rig g;
	struct tfs_error err = { 0 };
	enum tfs_read_how how;

	(void)state;
	for (int direct = 0; direct < 2; direct++) {
		struct tfs_source *s, *again;
		setup(&g, direct);
		assert_int_equal(tfs_source_pin(g.sources, node_of(&g), &s, &err), 0);
		assert_int_equal(tfs_source_pin(g.sources, node_of(&g), &again, &err), 0);
		assert_ptr_equal(s, again);
		uint64_t first = tensor_of(&g, id_of(&g, "a"))->offset, end = s->size;
		static const size_t lens[] = { 1, 511, 4096, 65537, 2 * MIB };
		for (unsigned i = 0; i < LENGTH(lens); i++)
			for (uint64_t at = first; at + lens[i] <= end; at += 777777) {
				assert_int_equal(read_at(s, at, lens[i], &how, &err), 0);
				assert_true(direct || how != TFS_READ_DIRECT);
			}
		/* To the very end, which is no multiple of anything. */
		assert_int_equal(read_at(s, end - 5, 5, &how, &err), 0);
		assert_int_equal(read_at(s, end - 70001, 70001, &how, &err), 0);
		assert_int_equal(s->tier, direct ? TFS_TIER_URING : TFS_TIER_BUFFERED);
		tfs_source_unpin(g.sources, s);
		tfs_source_unpin(g.sources, again);
		rig_down(&g);
	}
}

/* In each way: what was asked for is in the page cache then, and nothing that comes before it. */
static void test_fill(void **state)
{
	struct rig g;
	struct tfs_error err = { 0 };
	struct tfs_source *s;

	(void)state;
	const char *preload = getenv("LD_PRELOAD");
	if (preload && strstr(preload, "vgpreload")) {
		print_message("SKIP: optional: valgrind doesn't know cachestat(2)\n");
		skip();
	}
	setup(&g, true);
	assert_int_equal(tfs_source_pin(g.sources, node_of(&g), &s, &err), 0);
	for (int way = TFS_FILL_HUGE; way <= TFS_FILL_READ; way++) {
		assert_int_equal(fdatasync(s->in.fd), 0);
		tfs_source_drop(s, 0, 0);
		uint64_t before = 0;
		/* A tmpfs keeps it. */
		bool known = !tfs_file_cached(s->in.fd, 0, 0, &before) && !before;
		s->fill_way = (enum tfs_fill_way)way;
		int r = tfs_source_fill(s, 8192, s->size - 8192, &err);
		if (way == TFS_FILL_READ || s->fill_way == TFS_FILL_READ) {
			assert_int_equal(r, -EOPNOTSUPP);
			continue;
		}
		assert_int_equal(r, 0);
		assert_true(tfs_source_cached(s, 8192, s->size - 8192));
		uint64_t after = 0;
		if (known && !tfs_file_cached(s->in.fd, 0, 8192, &after))
			assert_int_equal(after, 0);
	}
	tfs_source_unpin(g.sources, s);
	rig_down(&g);
}

static void test_short(void **state)
{
	struct rig g;
	struct tfs_source *s;
	struct tfs_error err = { 0 };
	enum tfs_read_how how;

	(void)state;
	for (int direct = 0; direct < 2; direct++) {
		setup(&g, direct);
		assert_int_equal(tfs_source_pin(g.sources, node_of(&g), &s, &err), 0);
		assert_int_equal(truncate(in_tree(g.dir, "model.safetensors"), 50001), 0);
		if (direct) { /* the descriptor for the page cache is only opened now */
			assert_int_equal(read_at(s, 40000, 20000, &how, &err), -ESTALE);
			assert_non_null(strstr(err.what, "changed"));
		} else {
			assert_int_equal(read_at(s, 40000, 20000, &how, &err), -EIO);
			assert_int_equal(err.offset, 50001);
			assert_non_null(strstr(err.what, "9999 bytes"));
			assert_int_equal(read_at(s, 60000, 1, &how, &err), -EIO);
		}
		assert_int_equal(tfs_source_check(g.sources, s, &err), -ESTALE);
		tfs_source_unpin(g.sources, s);
		memset(&err, 0, sizeof err);
		assert_int_equal(tfs_source_pin(g.sources, node_of(&g), &s, &err), -ESTALE);
		assert_string_equal(err.file, "model.safetensors");
		rig_down(&g);
	}
}

/* More files than are kept open. */
static void test_many(void **state)
{
	enum { N = TFS_SOURCES_IDLE + 20 };
	struct rig g;
	struct tfs_source *s;
	struct tfs_error err = { 0 };
	char *dir = make_tree(), name[32];

	(void)state;
	put_model(dir, "model.safetensors", specs, 1);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "f%d", i);
		put_text(dir, name, name);
	}
	assert_true(rig_up(&g, dir, (struct rig_options){ .direct = true }));
	for (int round = 0; round < 2; round++)
		for (uint32_t n = 0; n < g.model->n_nodes; n++) {
			if (!S_ISREG(g.model->nodes[n].mode))
				continue;
			assert_int_equal(tfs_source_pin(g.sources, n, &s, &err), 0);
			assert_int_equal(s->node, n);
			assert_int_equal(s->size, g.model->nodes[n].id.size);
			tfs_source_unpin(g.sources, s);
		}
	rig_down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
