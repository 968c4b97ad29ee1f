/* SPDX-License-Identifier: MIT */
/*
 * Every engine does the same: the bytes asked for, or an error, whatever the order in which reads are done. And when engines fail,
 * in every way that they may, the tiers below them load the same bytes. The engines that fail, and the one that reads nothing,
 * are here: they stand in the table in place of io_uring.
 */
#include "support/fixture.h"

#include <stdatomic.h>

static const struct spec specs[] = {
	{ "a", 40001 }, { "b", 30000 }, { "big", 2 * TFS_CHUNK + 123 }, { "c", 50000 }, { "d", 200 }, { "huge", TFS_CHUNK + 1 },
};

static void put(char *dir)
{
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	put_model(dir, "other.safetensors", specs, LENGTH(specs));
}

/* --- What every engine must do -------------------------------------------------------------------------------------- */

enum { DEPTH = 6, BUFFER = TFS_CHUNK + 2 * TFS_IO_ALIGN };

/* One engine, with as many reads under way as it takes. */
struct bed {
	struct rig g;
	const struct tfs_engine *engine;
	struct tfs_io_context *context;
	struct tfs_source *sources[2];
	unsigned depth;
	uint8_t *buffers[DEPTH];
	struct tfs_io io[DEPTH];
	bool busy[DEPTH];
};

static bool bed_up(struct bed *b, enum tfs_tier tier)
{
	char *dir = make_tree();
	struct tfs_error err;
	int r = tfs_engine_probe(tfs_all_engines, tier);

	memset(b, 0, sizeof *b);
	if (r) {
		print_message("SKIP: tier %d isn't available here: %s\n", tier, strerror(-r));
		remove_tree(dir);
		return false;
	}
	put(dir);
	assert_true(rig_up(&b->g, dir, (struct rig_options){ .direct = true }));
	b->engine = tfs_all_engines[tier];
	b->depth = b->engine->create ? DEPTH : 1;
	if (b->engine->create)
		assert_int_equal(b->engine->create(b->depth, &b->context), 0);
	for (unsigned i = 0; i < b->depth; i++)
		assert_non_null(b->buffers[i] = aligned_alloc(TFS_IO_ALIGN, BUFFER));
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(tfs_source_pin(b->g.sources, b->g.model->sets[i].sources[0], &b->sources[i], &err), 0);
	return true;
}

static void bed_down(struct bed *b)
{
	for (unsigned i = 0; i < 2; i++)
		tfs_source_unpin(b->g.sources, b->sources[i]);
	if (b->engine->destroy)
		b->engine->destroy(b->context);
	for (unsigned i = 0; i < b->depth; i++)
		free(b->buffers[i]);
	rig_down(&b->g);
}

static void check_done(struct bed *b, struct tfs_io *io)
{
	assert_int_equal(io->code, 0);
	assert_true(io->data >= io->buf && io->data + io->len <= io->buf + io->len + 2 * TFS_IO_ALIGN);
	assert_int_equal(first_wrong(io->data, io->offset, io->len), io->len);
	b->busy[io - b->io] = false;
}

static void every_range(void **state)
{
	struct bed b;
	uint64_t x = 1;

	(void)state;
	for (enum tfs_tier tier = 0; tier <= TFS_TIER_BUFFERED; tier++) {
		if (!bed_up(&b, tier))
			continue;
		uint64_t header = tensor_of(&b.g, id_of(&b.g, "a"))->offset, size = b.sources[0]->size;
		for (unsigned round = 0; round < 300; round++) {
			unsigned i = round % b.depth;
			struct tfs_io *io = &b.io[i];

			/* Registered buffers, then others, then registered ones again. */
			if (b.engine->set_buffers && round % 60 == 0) {
				for (unsigned k = 0; k < b.depth; k++)
					while (b.busy[k])
						check_done(&b, b.engine->reap(b.context));
				b.engine->set_buffers(b.context, round / 60 % 2 ? NULL : b.buffers, round / 60 % 2 ? 0 : b.depth,
						      BUFFER);
			}
			while (b.busy[i])
				check_done(&b, b.engine->reap(b.context));
			x = x * 6364136223846793005u + 1442695040888963407u;
			uint64_t offset = header + (x >> 20) % (size - header);
			size_t len = round % 3 ? 1 + (x >> 8) % 70000 : TFS_CHUNK;
			if (len > size - offset)
				len = size - offset; /* to the very end, which is no multiple of anything */
			*io = (struct tfs_io){ .source = b.sources[x >> 60 & 1],
					       .offset = offset,
					       .len = len,
					       .buf = b.buffers[i],
					       .slot = round / 60 % 2 ? -1 : (int)i };
			b.busy[i] = true;
			if (b.engine->queue(b.context, io) == TFS_IO_DONE)
				check_done(&b, io);
		}
		for (unsigned k = 0; k < b.depth; k++)
			while (b.busy[k])
				check_done(&b, b.engine->reap(b.context));
		bed_down(&b);
	}
}

/* A file that ends too early is an error, and the engine goes on with others. */
static void short_files(void **state)
{
	struct bed b;

	(void)state;
	for (enum tfs_tier tier = 0; tier <= TFS_TIER_BUFFERED; tier++) {
		if (!bed_up(&b, tier))
			continue;
		assert_int_equal(truncate(in_tree(b.g.dir, "model.safetensors"), 50001), 0);
		for (unsigned i = 0; i < 3; i++) {
			static const uint64_t offsets[] = { 40000, 60000, 50000 };
			struct tfs_io *io = &b.io[0];

			for (unsigned good = 0; good < 2; good++) {
				*io = (struct tfs_io){ .source = b.sources[good],
						       .offset = offsets[i],
						       .len = 20000,
						       .buf = b.buffers[0],
						       .slot = -1 };
				if (b.engine->queue(b.context, io) == TFS_IO_QUEUED)
					assert_ptr_equal(b.engine->reap(b.context), io);
				assert_int_equal(io->code < 0, !good);
				if (good)
					check_done(&b, io);
			}
		}
		bed_down(&b);
	}
}

/* --- Engines that fail ------------------------------------------------------------------------------------------------ */

/* What goes wrong, and how often: each so many reads, counted over all threads; 1: always. */
static struct {
	unsigned refuse; /* queue() says no at once */
	unsigned fail;	 /* EIO when it is done */
	unsigned lie;	 /* half of the bytes, and then EIO */
	unsigned good;	 /* after so many reads that went well */
	bool create;	 /* the context can't even be had, though the probe went well */
	bool slow;
} trouble;
static _Atomic unsigned n_reads, n_created;

struct tfs_io_context {
	struct tfs_io *queued[64];
	unsigned n, depth, turn;
};

static bool goes_wrong(unsigned each, unsigned n)
{
	return each && n >= trouble.good && n % each == 0;
}

static int failing_create(unsigned depth, struct tfs_io_context **ret_context)
{
	/* The first is the probe's. */
	if (trouble.create && n_created++)
		return -ENOMEM;
	*ret_context = calloc(1, sizeof **ret_context);
	assert_non_null(*ret_context);
	(*ret_context)->depth = depth;
	return 0;
}

static void failing_destroy(struct tfs_io_context *c)
{
	assert_int_equal(c->n, 0);
	free(c);
}

static enum tfs_queued failing_queue(struct tfs_io_context *c, struct tfs_io *io)
{
	assert_true(c->n < c->depth);
	if (goes_wrong(trouble.refuse, n_reads++)) {
		io->code = -EAGAIN;
		return TFS_IO_DONE;
	}
	c->queued[c->n++] = io;
	return TFS_IO_QUEUED;
}

/* Not in the order in which they came. */
static struct tfs_io *failing_reap(struct tfs_io_context *c)
{
	unsigned n = n_reads++;

	assert_true(c->n > 0);
	unsigned i = c->turn++ % c->n;
	struct tfs_io *io = c->queued[i];
	c->queued[i] = c->queued[--c->n];
	if (trouble.slow)
		usleep(n % 5 * 300);
	if (goes_wrong(trouble.fail, n)) {
		io->code = -EIO;
		memset(io->buf, 0xee, io->len);
		return io;
	}
	io->code = tfs_source_read_direct(io->source, io->offset, io->len, io->buf, &io->data);
	if (goes_wrong(trouble.lie, n)) {
		memset(io->buf + io->len / 2, 0xee, io->len - io->len / 2);
		io->code = -EIO;
	}
	return io;
}

static const struct tfs_engine failing = {
	.name = "failing",
	.create = failing_create,
	.destroy = failing_destroy,
	.queue = failing_queue,
	.reap = failing_reap,
};

/* It reads nothing: what is left is what all the rest costs, and that nobody writes where they shouldn't. */
static enum tfs_queued null_queue(struct tfs_io_context *c, struct tfs_io *io)
{
	(void)c;
	n_reads++;
	io->data = io->buf;
	io->code = 0;
	return TFS_IO_DONE;
}

static const struct tfs_engine null = { .name = "null", .queue = null_queue };

/* O_DIRECT that says no, too: then there is only the page cache. */
static enum tfs_queued no_direct_queue(struct tfs_io_context *c, struct tfs_io *io)
{
	(void)c;
	io->code = -EINVAL;
	return TFS_IO_DONE;
}

static const struct tfs_engine no_direct = { .name = "no direct", .queue = no_direct_queue };

static const struct tfs_engine *const with_failing[TFS_TIERS] = { &failing, &tfs_engine_threads, &tfs_engine_buffered };
static const struct tfs_engine *const with_two_failing[TFS_TIERS] = { &failing, &no_direct, &tfs_engine_buffered };
static const struct tfs_engine *const with_null[TFS_TIERS] = { NULL, &null, &tfs_engine_buffered };

/* Elsewhere there is but one tier. */
static bool on_disk(char *dir)
{
	if (!in_memory(dir))
		return true;
	print_message("SKIP: neither /tmp nor /var/tmp is on a disk\n");
	remove_tree(dir);
	return false;
}

/* Hold everything, several at a time, and look at every byte. False: no store here, or no disk. */
static bool load_all(const struct tfs_engine *const *engines, unsigned threads, struct tfs_sched_stats *ret_stats)
{
	struct rig g;
	char *dir = make_tree();
	struct answer *a = calloc(2 * LENGTH(specs), sizeof *a);
	struct tfs_file_id ids[2 * LENGTH(specs)];
	int returned[2 * LENGTH(specs)];

	assert_non_null(a);
	put(dir);
	n_reads = n_created = 0;
	if (!on_disk(dir) ||
	    !rig_up(&g, dir,
		    (struct rig_options){
			    .threads = threads, .budget = 256 * MIB, .open_wait = 3600, .direct = true, .engines = engines })) {
		free(a);
		return false;
	}
	for (unsigned i = 0; i < LENGTH(ids); i++) {
		ids[i] = id_of(&g, specs[i % LENGTH(specs)].name);
		ids[i].set = i / LENGTH(specs);
		answer_init(&a[i]);
		returned[i] = tfs_residency_hold(g.residency, ids[i], &a[i].wait);
	}
	for (unsigned i = 0; i < LENGTH(ids); i++) {
		assert_int_equal(await(&a[i], returned[i]), 0);
		assert_backing(&g, ids[i], tfs_residency_open(g.residency, ids[i]));
		tfs_residency_drop(g.residency, ids[i]);
	}
	assert_int_equal(res_stats(&g).failures, 0);
	tfs_sched_stats(g.sched, ret_stats);
	rig_down(&g);
	free(a);
	return true;
}

static void tiers_take_over(void **state)
{
	struct tfs_sched_stats s;

	(void)state;
	for (unsigned kind = 0; kind < 4; kind++)
		for (unsigned each = 1; each <= 3; each += 2)
			for (unsigned good = 0; good <= 3; good += 3)
				for (unsigned below = 0; below < 2; below++) {
					memset(&trouble, 0, sizeof trouble);
					trouble.good = good;
					trouble.slow = good;
					*(kind == 0 ? &trouble.refuse : kind == 1 ? &trouble.fail : &trouble.lie) = each;
					trouble.create = kind == 3;
					if (!load_all(below ? with_two_failing : with_failing, 1 + each, &s))
						skip();
					assert_true(s.bytes[below ? TFS_READ_BUFFERED : TFS_READ_DIRECT] > 0 || each > 1);
					assert_true(!below || !s.bytes[TFS_READ_DIRECT]);
				}
	memset(&trouble, 0, sizeof trouble);
}

/* With nothing wrong with it, the reordering alone changes nothing, and no other tier is asked. */
static void order_does_not_matter(void **state)
{
	struct tfs_sched_stats s;

	(void)state;
	memset(&trouble, 0, sizeof trouble);
	trouble.slow = true;
	if (!load_all(with_failing, 8, &s))
		skip();
	assert_true(s.bytes[TFS_READ_URING] > 0);
	assert_int_equal(s.bytes[TFS_READ_DIRECT] + s.bytes[TFS_READ_BUFFERED], 0);
}

/* Each tier for local files by itself, as it is. */
static void forced_tiers_load_the_same(void **state)
{
	(void)state;
	for (enum tfs_tier tier = 0; tier <= TFS_TIER_BUFFERED; tier++) {
		const struct tfs_engine *engines[TFS_TIERS] = { 0 };
		struct tfs_sched_stats s;

		if (tfs_engine_probe(tfs_all_engines, tier))
			continue;
		engines[tier] = tfs_all_engines[tier];
		engines[TFS_TIER_BUFFERED] = &tfs_engine_buffered;
		if (!load_all(engines, 5, &s))
			skip();
		for (enum tfs_tier other = 0; other < TFS_TIERS; other++)
			assert_int_equal(s.bytes[other] > 0, other == tier);
	}
}

static void the_null_engine_is_asked_for_all(void **state)
{
	struct rig g;
	char *dir = make_tree();

	(void)state;
	put(dir);
	if (!on_disk(dir) || !rig_up(&g, dir,
				     (struct rig_options){ .threads = 2,
							   .budget = 256 * MIB,
							   .open_wait = 3600,
							   .direct = true,
							   .tier = TFS_TIER_THREADS,
							   .engines = with_null }))
		skip();
	n_reads = 0;
	assert_int_equal(hold(&g, id_of(&g, "big")), 0);
	assert_int_equal(n_reads, 3);
	tfs_residency_drop(g.residency, id_of(&g, "big"));
	rig_down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_range),
		cmocka_unit_test(short_files),
		cmocka_unit_test(tiers_take_over),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(forced_tiers_load_the_same),
		cmocka_unit_test(the_null_engine_is_asked_for_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
