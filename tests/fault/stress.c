/* SPDX-License-Identifier: MIT */
/*
 * Everything at once, for the sanitizers: up to 64 threads hold, cancel, map, prefetch, pin, evict, hash and stream the tensors,
 * plain, encoded, and of equal content, of a model that does not fit the budget, by every engine and by one that fails all the time,
 * and check every byte they get; at the end the loader is stopped under their hands. Then nobody may still wait, nobody may have
 * been answered twice, and nothing is held. The seeds are fixed, the number of operations is bounded. TFS_SOAK=N does N times as
 * much.
 */
#include "support/stress.h"

struct actor {
	struct stress *s;
	unsigned seed, ops;
	struct kept {
		uint8_t *map;
		struct tfs_file_id id;
	} kept[KEPT];
	struct tfs_file_id pin;
	bool has_pin;
};

/* One who waits, and is counted. */
struct asked {
	struct answer answer;
	struct stress *s;
	struct tfs_file_id id;
	struct tfs_hash_wait hash;
};

static unsigned draw(struct actor *a, unsigned below)
{
	return (unsigned)rand_r(&a->seed) % below;
}

static void check_spots(struct actor *a, const uint8_t *map, struct tfs_file_id id)
{
	size_t len = size_of(a->s, id);

	for (int i = 0; i < 8; i++) {
		size_t at = len > 64 ? ((size_t)draw(a, 1u << 30)) % (len - 64) : 0, n = len > 64 ? 64 : len;
		CHECK(right(a->s, id, map + at, at, n));
	}
	CHECK(right(a->s, id, map + len - 1, len - 1, 1));
}

static void check_code(struct actor *a, int r)
{
	if (r == -ECANCELED)
		CHECK(atomic_load(&a->s->stopped));
	else
		CHECK(r == -ETIMEDOUT || r == -ENOSPC || r == -EFBIG);
}

/* --- Holds --------------------------------------------------------------------------------------------------------- */

static void hold_done(struct tfs_wait *w, int result)
{
	struct asked *q = (struct asked *)(void *)((char *)w - offsetof(struct asked, answer.wait));
	q->s->answered++;
	wait_done(w, result);
}

static void asked_init(struct asked *q, struct actor *a, struct tfs_file_id id)
{
	answer_init(&q->answer);
	q->answer.wait.done = hold_done;
	q->s = a->s;
	q->id = id;
	memset(&q->hash, 0, sizeof q->hash);
}

/* It is held: look at the bytes, perhaps keep them mapped after the hold was given back. */
static void use(struct actor *a, struct tfs_file_id id)
{
	struct rig *g = &a->s->rig;
	size_t size = size_of(a->s, id);
	struct stat st;
	int fd = tfs_residency_open(g->residency, id);

	CHECK(fd >= 0 && !fstat(fd, &st) && (size_t)st.st_size == size);
	uint8_t *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	close(fd);
	check_spots(a, map, id);
	if (!draw(a, 4)) {
		struct kept *k = &a->kept[draw(a, KEPT)];
		if (k->map) {
			check_spots(a, k->map, k->id);
			munmap(k->map, size_of(a->s, k->id));
		}
		*k = (struct kept){ map, id };
	} else {
		munmap(map, size);
	}
	CHECK(tfs_residency_evict(g->residency, id) == -EBUSY);
	tfs_residency_drop(g->residency, id);
	a->s->resident++;
}

/* @cancel: 0: no; 1: at once; 2: a little later; 3: before it is asked for. */
static void do_hold(struct actor *a, struct tfs_file_id id, unsigned cancel)
{
	struct rig *g = &a->s->rig;
	struct asked q;

	asked_init(&q, a, id);
	if (cancel == 3) {
		CHECK(!tfs_residency_cancel(g->residency, &q.answer.wait));
		int r = tfs_residency_hold(g->residency, id, &q.answer.wait);
		CHECK(r == -ECANCELED || r == -EFBIG);
		return;
	}
	int r = tfs_residency_hold(g->residency, id, &q.answer.wait);
	if (cancel == 2)
		usleep(draw(a, 3000));
	if (r == TFS_QUEUED && cancel && tfs_residency_cancel(g->residency, &q.answer.wait)) {
		CHECK(!times(&q.answer));
		a->s->cancelled++;
		return;
	}
	a->s->queued += r == TFS_QUEUED;
	r = await(&q.answer, r);
	CHECK(times(&q.answer) <= 1);
	if (!r) {
		use(a, id);
	} else {
		check_code(a, r);
		a->s->refused++;
	}
}

/* --- Streams ------------------------------------------------------------------------------------------------------- */

/* The bytes are there: looked at, and released at once, as the file system does. */
static void check_read(struct stress *s, struct tfs_read *rd, struct tfs_file_id id)
{
	uint64_t at = rd->offset;

	if (rd->fd >= 0) {
		uint8_t *buf = malloc(rd->len);
		CHECK(buf && pread(rd->fd, buf, rd->len, rd->offset) == (ssize_t)rd->len);
		CHECK(right(s, id, buf, at, rd->len));
		free(buf);
	} else {
		for (unsigned i = 0; i < rd->n_iov; i++) {
			CHECK(right(s, id, rd->iov[i].iov_base, at, rd->iov[i].iov_len));
			at += rd->iov[i].iov_len;
		}
		CHECK(at == rd->offset + rd->len);
	}
	s->streamed++;
	tfs_read_release(rd);
}

static void stream_done(struct tfs_read *rd, int result)
{
	struct asked *q = (struct asked *)(void *)((char *)rd - offsetof(struct asked, answer.read));
	q->s->answered++;
	if (!result)
		check_read(q->s, rd, q->id);
	answered(&q->answer, result);
}

/* Several reads under way at once, in order or not, as the kernel's readahead sends them. */
static void do_stream(struct actor *a, struct tfs_file_id id)
{
	struct stress *s = a->s;
	uint64_t nbytes = size_of(s, id), next = draw(a, 2) ? 0 : (uint64_t)draw(a, 1u << 30) % nbytes;
	struct tfs_layout whole = tfs_consolidated_layout(s->whole);
	struct tfs_stream *st = is_whole(id) ? tfs_stream_open_layout(s->rig.streams, &whole) : tfs_stream_open(s->rig.streams, id);
	struct asked *q = calloc(READS, sizeof *q);
	int r[READS];
	bool random = draw(a, 2);

	CHECK(st && q);
	for (int rounds = 0; rounds < 2; rounds++) {
		int n = 0;
		for (; n < READS; n++) {
			if (random)
				next = (uint64_t)draw(a, 1u << 30) % nbytes;
			if (next >= nbytes)
				break;
			asked_init(&q[n], a, id);
			struct tfs_read *rd = &q[n].answer.read;
			uint64_t len = 1 + draw(a, draw(a, 4) ? 8192 : TFS_STREAM_MAX_READ);
			rd->done = stream_done;
			rd->offset = next;
			rd->len = len < nbytes - next ? len : nbytes - next;
			next += rd->len;
			r[n] = tfs_stream_read(st, rd);
			if (!r[n])
				check_read(s, rd, id);
			s->queued += r[n] == TFS_QUEUED;
		}
		for (int i = 0; i < n; i++) {
			r[i] = await(&q[i].answer, r[i]);
			CHECK(!r[i] || (r[i] == -ECANCELED && atomic_load(&s->stopped)));
		}
	}
	free(q);
	tfs_stream_close(st);
}

/* --- Hashes -------------------------------------------------------------------------------------------------------- */

static void hash_done(struct tfs_hash_wait *w, int result)
{
	struct asked *q = (struct asked *)(void *)((char *)w - offsetof(struct asked, hash));
	q->s->answered++;
	answered(&q->answer, result);
}

static void do_hash(struct actor *a, const struct tensor *t, bool all, bool cancel)
{
	struct stress *s = a->s;
	struct asked q;

	asked_init(&q, a, (struct tfs_file_id){ t->set, t->tensor, TFS_RAW });
	q.hash.done = hash_done;
	int r = all ? tfs_hash_all(s->hashes, &q.hash) : tfs_hash_get(s->hashes, t->set, t->tensor, &q.hash);
	if (r == TFS_QUEUED && cancel && tfs_hash_cancel(s->hashes, &q.hash)) {
		CHECK(!times(&q.answer));
		s->cancelled++;
		return;
	}
	s->queued += r == TFS_QUEUED;
	r = await(&q.answer, r);
	if (r) {
		CHECK(r == -ECANCELED && atomic_load(&s->stopped));
		return;
	}
	for (unsigned i = 0; i < TENSORS && all; i++)
		CHECK(tfs_hash_peek(s->hashes, s->tensors[i].set, s->tensors[i].tensor, &q.hash.hash) &&
		      !memcmp(&q.hash.hash, &s->tensors[i].hash, sizeof q.hash.hash));
	CHECK(all || !memcmp(&q.hash.hash, &t->hash, sizeof t->hash));
	s->hashed++;
}

/* --- What .tensorfs/{prefetch,evict,pin} and the kernel's pressure do ------------------------------------------------- */

static struct tfs_file_id draw_file(struct actor *a)
{
	const struct tensor *t = &a->s->tensors[draw(a, TENSORS)];
	return (struct tfs_file_id){ t->set, t->tensor, draw(a, 2) ? TFS_RAW : (enum tfs_view_id)draw(a, TFS_VIEW_IDS) };
}

static void unpin(struct actor *a)
{
	if (a->has_pin)
		tfs_residency_unpin(a->s->rig.residency, a->pin);
	a->has_pin = false;
}

static void do_control(struct actor *a, struct tfs_file_id id)
{
	struct stress *s = a->s;
	struct rig *g = &s->rig;
	int r;

	switch (draw(a, 11)) {
	case 0:
	case 1:
	case 2:
	case 3:
		for (int i = 0; i < 16; i++, id = draw_file(a)) {
			r = tfs_residency_evict(g->residency, id);
			CHECK(!r || r == -ENOENT || r == -EBUSY);
			s->evicted += !r;
		}
		break;
	case 4:
		unpin(a);
		r = tfs_residency_pin(g->residency, id);
		CHECK(!r || r == -ENOSPC || r == -EFBIG || (r == -ECANCELED && atomic_load(&s->stopped)));
		a->has_pin = !r;
		a->pin = id;
		s->pinned += !r;
		break;
	case 5:
		unpin(a);
		break;
	case 6:
		tfs_residency_shrink(g->residency, 1 + draw(a, 4 * MIB));
		break;
	case 7:
		tfs_residency_drop_prefetch(g->residency);
		tfs_prefetch_pause(s->prefetcher, 0);
		break;
	case 8:
	case 9: {
		size_t n = 1 + draw(a, 40);
		struct tfs_file_id *ids = calloc(n, sizeof *ids);
		CHECK(ids);
		for (size_t i = 0; i < n; i++)
			ids[i] = draw_file(a);
		r = tfs_prefetch_list(s->prefetcher, ids, n);
		CHECK(!r || (r == -ECANCELED && atomic_load(&s->stopped)));
		break;
	}
	case 10:
		tfs_streams_trim(g->streams);
		tfs_hashes_trim(s->hashes);
	}
}

/* A tier that was given up is tried again, and has something to read, so that always something fails in mid-flight. */
static void heal(struct stress *s, struct tfs_file_id id)
{
	struct tfs_source *source;

	if (tfs_source_pin(s->rig.sources, s->rig.model->sets[id.set].tensors[id.tensor].source, &source, NULL))
		abort();
	atomic_store(&source->tier, TFS_TIER_URING);
	tfs_source_drop(source, 0, 0); /* all of it */
	tfs_source_unpin(s->rig.sources, source);
}

static void look(struct actor *a, struct tfs_file_id id)
{
	struct rig *g = &a->s->rig;
	struct tfs_residency_stats res;
	struct tfs_stream_stats str;
	struct tfs_hash_stats hs;
	size_t n;

	tfs_residency_stats(g->residency, &res);
	CHECK(res.used <= res.budget && res.pinned_bytes <= res.budget);
	if (res.shared > a->s->shared)
		a->s->shared = res.shared; /* the most, or nearly */
	tfs_streams_stats(g->streams, &str);
	tfs_hashes_stats(a->s->hashes, &hs);
	CHECK(!str.failures && !res.failures && !hs.failures);
	tfs_residency_state(g->residency, id);
	free(tfs_residency_pinned(g->residency, &n));
}

static void *act(void *arg)
{
	struct actor *a = arg;
	struct stress *s = a->s;

	for (unsigned i = 0; i < a->ops; i++) {
		struct tfs_file_id id = draw_file(a);
		if (s->failing)
			heal(s, id);
		switch (draw(a, 16)) {
		case 0:
		case 1:
		case 2:
		case 3:
		case 4:
			do_hold(a, id, 0);
			break;
		case 5:
		case 6:
			do_hold(a, id, 1 + draw(a, 3));
			break;
		case 7:
			tfs_residency_prefetch(s->rig.residency, id);
			break;
		case 8:
		case 9:
			do_stream(a, id);
			break;
		case 10:
			do_stream(a, (struct tfs_file_id){ .set = s->encoded_set, .view = TFS_VIEW_IDS });
			break;
		case 11:
			do_hash(a, &s->tensors[draw(a, TENSORS)], !draw(a, 8), !draw(a, 3));
			break;
		case 12:
		case 13:
		case 14:
			do_control(a, id);
			break;
		default:
			look(a, id);
		}
	}
	unpin(a);
	for (int i = 0; i < KEPT; i++)
		if (a->kept[i].map) {
			check_spots(a, a->kept[i].map, a->kept[i].id);
			munmap(a->kept[i].map, size_of(s, a->kept[i].id));
		}
	return NULL;
}

/* --- Runs ------------------------------------------------------------------------------------------------------------ */

static unsigned soak(void)
{
	const char *s = getenv("TFS_SOAK");
	return s && atoi(s) > 0 ? (unsigned)atoi(s) : 1;
}

struct kind {
	unsigned actors, ops, workers;
	uint64_t budget;
	double open_wait;
	unsigned seed;
	bool halt; /* stop the loader while they are at it */
	enum tfs_tier tier;
	bool failing;
	bool hashed; /* all hashes are known from the beginning, so that there is something to share */
};

static void stop(struct stress *s)
{
	tfs_prefetch_stop(s->prefetcher);
	rig_stop(&s->rig);
	tfs_hashes_stop(s->hashes);
}

/* Nobody is at it any more: nothing is held, nothing is lost, and all of it adds up. */
static void check_end(struct stress *s)
{
	struct tfs_residency_stats res;
	struct tfs_stream_stats str;
	struct tfs_sched_stats sched;
	uint64_t used = 0;

	tfs_streams_trim(s->rig.streams); /* slots are in the budget too */
	res = res_stats(&s->rig);
	assert_int_equal(res.files[TFS_LOADING] + res.files[TFS_EVICTING] + res.files[TFS_FAILED] + res.files[TFS_ABSENT], 0);
	assert_int_equal(res.pinned + res.pinned_bytes, 0);
	for (uint32_t i = 0; i < TENSORS * TFS_VIEW_IDS; i++) {
		const struct tensor *t = &s->tensors[i / TFS_VIEW_IDS];
		struct tfs_file_id id = { t->set, t->tensor, (enum tfs_view_id)(i % TFS_VIEW_IDS) };
		if (strcmp(tfs_residency_state(s->rig.residency, id), "resident") != 0)
			continue;
		used += tfs_store_cost(size_of(s, id));
	}
	used -= res.shared_bytes;
	assert_int_equal(res.used, used);
	assert_int_equal(tfs_store_used(s->rig.store), used);
	/* Nobody has it: all of it can go. */
	tfs_residency_shrink(s->rig.residency, UINT64_MAX);
	res = res_stats(&s->rig);
	assert_int_equal(res.used + res.files[TFS_RESIDENT] + res.shared + res.shared_bytes, 0);
	assert_int_equal(tfs_store_used(s->rig.store), 0);
	tfs_streams_stats(s->rig.streams, &str);
	assert_int_equal(str.open, 0);
	tfs_sched_stats(s->rig.sched, &sched);
	for (int p = 0; p < TFS_PRIORITIES; p++)
		assert_int_equal(sched.queued[p], 0);
	assert_int_equal(s->queued, s->answered);
}

static void run(struct kind k)
{
	const struct tfs_engine *const engines[TFS_TIERS] = { &failing, &tfs_engine_threads, &tfs_engine_buffered };
	struct stress s = { 0 };
	struct member members[ENCODED];
	uint64_t content[PLAIN];
	char *dir = make_tree();
	pthread_t threads[ACTORS];
	struct actor *a = calloc(k.actors, sizeof *a);

	bool memory = in_memory(dir);

	assert_true(a && k.actors <= ACTORS);
	put(dir, members, content);
	if (!rig_up(&s.rig, dir,
		    (struct rig_options){ k.workers, k.budget, k.open_wait, k.tier != TFS_TIER_BUFFERED, k.tier,
					  k.failing ? engines : NULL })) {
		free(a);
		skip();
	}
	know(&s, members, content);
	s.hashes = tfs_hashes_create(s.rig.model, s.rig.sources, s.rig.sched, s.rig.residency);
	s.prefetcher = tfs_prefetch_create(s.rig.model, s.rig.sched, s.rig.residency, 0);
	assert_true(s.hashes && s.prefetcher && tfs_consolidated_possible(&s.rig.model->sets[s.encoded_set]));
	assert_int_equal(tfs_consolidated_create(&s.rig.model->sets[s.encoded_set], &s.whole), 0);
	s.failing = k.failing;
	n_reads = n_failed = 0;
	for (unsigned i = 0; i < k.actors; i++) {
		a[i] = (struct actor){ .s = &s, .seed = k.seed + i, .ops = k.ops * soak() };
		if (!i && k.hashed)
			do_hash(&a[0], &s.tensors[0], true, false);
		assert_int_equal(pthread_create(&threads[i], NULL, act, &a[i]), 0);
	}
	if (k.halt) {
		while (atomic_load(&s.resident) + atomic_load(&s.streamed) < k.ops) /* half-way, say */
			sched_yield();
		s.stopped = true;
		stop(&s);
	}
	for (unsigned i = 0; i < k.actors; i++)
		pthread_join(threads[i], NULL);
	/* What was asked for last may still be on its way. */
	stop(&s);
	struct tfs_residency_stats res = res_stats(&s.rig);
	print_message("%u threads: %llu uses, %llu reads, %llu hashes, %llu cancelled, %llu refused, %llu evicted, %llu pinned; "
		      "%llu loads, %llu evictions, %llu mapped, %llu shared, %llu taken back, %u of %u reads failed\n",
		      k.actors, (unsigned long long)s.resident, (unsigned long long)s.streamed, (unsigned long long)s.hashed,
		      (unsigned long long)s.cancelled, (unsigned long long)s.refused, (unsigned long long)s.evicted,
		      (unsigned long long)s.pinned, (unsigned long long)res.loads, (unsigned long long)res.evictions,
		      (unsigned long long)res.still_mapped, (unsigned long long)s.shared, (unsigned long long)res.taken_back,
		      n_failed, n_reads);
	/* One that is stopped may not have come to it; in memory no engine but the last is asked. */
	assert_true(!k.failing || k.halt || memory || n_failed > 0);
	check_end(&s);
	tfs_hashes_destroy(s.hashes);
	tfs_prefetch_destroy(s.prefetcher);
	rig_down(&s.rig);
	tfs_consolidated_destroy(s.whole);
	free(a);
}

static void test_roomy(void **state)
{
	(void)state;
	run((struct kind){
		.actors = 16, .ops = 40, .workers = 4, .budget = 80 * MIB, .open_wait = 3600, .seed = 1, .hashed = true });
}

static void test_tight(void **state)
{
	(void)state;
	run((struct kind){ .actors = 64, .ops = 12, .workers = 8, .budget = 10 * MIB, .open_wait = 3600, .seed = 1000 });
}

static void test_impatient(void **state)
{
	(void)state;
	run((struct kind){ .actors = 32, .ops = 20, .workers = 3, .budget = 14 * MIB, .open_wait = 0.002, .seed = 2000 });
}

static void test_stopped(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4 * soak(); i++)
		run((struct kind){ .actors = 24,
				   .ops = 20,
				   .workers = 4,
				   .budget = 14 * MIB,
				   .open_wait = 3600,
				   .seed = 3000 + 100 * i,
				   .halt = true,
				   .failing = i & 1 });
}

static void test_tier_by_tier(void **state)
{
	(void)state;
	for (enum tfs_tier tier = TFS_TIER_THREADS; tier <= TFS_TIER_BUFFERED; tier++)
		run((struct kind){ .actors = 16,
				   .ops = 15,
				   .workers = 4,
				   .budget = 20 * MIB,
				   .open_wait = 3600,
				   .seed = 4000 + tier,
				   .tier = tier });
}

static void test_failing_engine(void **state)
{
	(void)state;
	run((struct kind){
		.actors = 64, .ops = 12, .workers = 3, .budget = 20 * MIB, .open_wait = 3600, .seed = 5000, .failing = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roomy),	cmocka_unit_test(test_tight),	     cmocka_unit_test(test_impatient),
		cmocka_unit_test(test_stopped), cmocka_unit_test(test_tier_by_tier), cmocka_unit_test(test_failing_engine),
	};
	tfs_log_set_level(TFS_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
