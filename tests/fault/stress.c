/* SPDX-License-Identifier: MIT */
/*
 * Everything at once, for the sanitizers: many threads hold, cancel, map, prefetch and stream the tensors of a model that does
 * not fit the budget and has tensors of equal content, and check every byte they get, and hashes; at the end the loader is stopped under their hands. The seeds are fixed,
 * the number of operations is bounded. TFS_SOAK=N does N times as much.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "hash.h"

#define CHECK(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort(); \
		} \
	} while (0)

/* Of the first TWINS each has the bytes of one of the first two of its length. */
enum { TENSORS = 28, TWINS = 12, KEPT = 4, READS = 6 };

struct stress {
	struct rig rig;
	struct tfs_hashes *hashes;
	uint64_t content[TENSORS]; /* where in the file bytes like its own are */
	_Atomic uint64_t hashed;
	_Atomic bool stopped; /* from now on -ECANCELED is an answer */
	_Atomic uint64_t resident, streamed, cancelled, refused;
};

struct actor {
	struct stress *s;
	unsigned seed, ops;
	struct kept {
		uint8_t *map;
		struct tfs_file_id id;
	} kept[KEPT];
};

static unsigned draw(struct actor *a, unsigned below)
{
	return (unsigned)rand_r(&a->seed) % below;
}

/* Are these the bytes of a U8 tensor's file at @at? */
static bool right(const struct rig *g, struct tfs_file_id id, const uint8_t *buf, uint64_t at, size_t len)
{
	uint64_t content = ((const struct stress *)g)->content[id.tensor];
	struct tfs_layout l = tfs_file_layout(g->model, id);
	uint8_t header[TFS_VIEW_PREFIX_MAX];
	size_t in_header = at >= l.prefix ? 0 : len < l.prefix - at ? len : l.prefix - at;

	if (in_header) {
		l.view->make_prefix(l.tensor, header);
		if (memcmp(buf, header + at, in_header) != 0)
			return false;
	}
	uint64_t from = at + in_header - l.prefix;
	buf += in_header;
	len -= in_header;
	if (!l.convert)
		return first_wrong(buf, content + from, len) == len;
	for (size_t i = 0; i < len; i++) {
		float value = byte_at(content + (from + i) / 4);
		if (buf[i] != ((const uint8_t *)&value)[(from + i) % 4])
			return false;
	}
	return true;
}

static uint64_t size_of(const struct rig *g, struct tfs_file_id id)
{
	return tfs_file_layout(g->model, id).size;
}

static void check_spots(struct actor *a, const uint8_t *map, struct tfs_file_id id)
{
	const struct rig *g = &a->s->rig;
	size_t len = size_of(g, id);

	for (int i = 0; i < 8; i++) {
		size_t at = len > 64 ? ((size_t)draw(a, 1u << 30)) % (len - 64) : 0, n = len > 64 ? 64 : len;
		CHECK(right(g, id, map + at, at, n));
	}
	CHECK(right(g, id, map + len - 1, len - 1, 1));
}

static void check_code(struct actor *a, int r)
{
	if (r == -ECANCELED)
		CHECK(atomic_load(&a->s->stopped));
	else
		CHECK(r == -ETIMEDOUT || r == -ENOSPC || r == -EFBIG);
}

/* It is held: look at the bytes, perhaps keep them mapped after the hold was given back. */
static void use(struct actor *a, struct tfs_file_id id)
{
	struct rig *g = &a->s->rig;
	size_t size = size_of(g, id);
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
			munmap(k->map, size_of(g, k->id));
		}
		*k = (struct kept){ map, id };
	} else {
		munmap(map, size);
	}
	tfs_residency_drop(g->residency, id);
	a->s->resident++;
}

static void do_hold(struct actor *a, struct tfs_file_id id, bool cancel)
{
	struct rig *g = &a->s->rig;
	struct answer w;

	answer_init(&w);
	int r = tfs_residency_hold(g->residency, id, &w.wait);
	if (r == TFS_QUEUED && cancel && tfs_residency_cancel(g->residency, &w.wait)) {
		CHECK(!times(&w));
		a->s->cancelled++;
		return;
	}
	r = await(&w, r);
	CHECK(times(&w) <= 1);
	if (!r) {
		use(a, id);
	} else {
		check_code(a, r);
		a->s->refused++;
	}
}

static void check_read(struct rig *g, struct answer *w, struct tfs_file_id id)
{
	const struct tfs_read *rd = &w->read;
	uint64_t at = rd->offset;

	if (rd->fd >= 0) {
		uint8_t *buf = malloc(rd->len);
		CHECK(buf && pread(rd->fd, buf, rd->len, rd->offset) == (ssize_t)rd->len);
		CHECK(right(g, id, buf, at, rd->len));
		free(buf);
		return;
	}
	for (unsigned i = 0; i < rd->n_iov; i++) {
		CHECK(right(g, id, rd->iov[i].iov_base, at, rd->iov[i].iov_len));
		at += rd->iov[i].iov_len;
	}
	CHECK(at == rd->offset + rd->len);
}

/* Several reads under way at once, in order or not, as the kernel's readahead sends them. */
static void do_stream(struct actor *a, struct tfs_file_id id)
{
	struct rig *g = &a->s->rig;
	uint64_t nbytes = size_of(g, id), next = draw(a, 2) ? 0 : (uint64_t)draw(a, 1u << 30) % nbytes;
	struct tfs_stream *st = tfs_stream_open(g->streams, id);
	struct answer *w = calloc(READS, sizeof *w);
	int r[READS];
	bool random = draw(a, 2);

	CHECK(st && w);
	for (int rounds = 0; rounds < 3; rounds++) {
		int n = 0;
		for (; n < READS; n++) {
			if (random)
				next = (uint64_t)draw(a, 1u << 30) % nbytes;
			if (next >= nbytes)
				break;
			answer_init(&w[n]);
			uint64_t len = 1 + draw(a, draw(a, 2) ? TFS_STREAM_MAX_READ : 8192);
			w[n].read.offset = next;
			w[n].read.len = len < nbytes - next ? len : nbytes - next;
			next += w[n].read.len;
			r[n] = tfs_stream_read(st, &w[n].read);
		}
		for (int i = 0; i < n; i++) {
			r[i] = await(&w[i], r[i]);
			if (r[i]) {
				CHECK(r[i] == -ECANCELED && atomic_load(&a->s->stopped));
				continue;
			}
			check_read(g, &w[i], id);
			tfs_read_release(&w[i].read);
			a->s->streamed++;
		}
	}
	free(w);
	tfs_stream_close(st);
}

/* Somebody's wait for a hash. */
struct hash_answer {
	struct tfs_hash_wait wait;
	_Atomic int times;
	int result;
};

static void on_hash(struct tfs_hash_wait *w, int result)
{
	struct hash_answer *h = (struct hash_answer *)w;
	h->result = result;
	h->times++;
}

static void do_hash(struct actor *a, struct tfs_file_id id)
{
	struct stress *s = a->s;
	const struct tfs_tensor *t = tensor_of(&s->rig, id);
	struct hash_answer h = { .wait.done = on_hash };
	bool all = !draw(a, 4);
	int r = all ? tfs_hash_all(s->hashes, &h.wait) : tfs_hash_get(s->hashes, 0, id.tensor, &h.wait);

	if (r == TFS_QUEUED && !draw(a, 3) && tfs_hash_cancel(s->hashes, &h.wait)) {
		CHECK(!h.times);
		a->s->cancelled++;
		return;
	}
	while (r == TFS_QUEUED && !h.times)
		sched_yield();
	if (r == TFS_QUEUED)
		r = h.result;
	if (r) {
		CHECK(r == -ECANCELED && atomic_load(&s->stopped));
		return;
	}
	s->hashed++;
	if (all)
		return;
	uint8_t *bytes = malloc(t->nbytes);
	XXH128_canonical_t want;
	CHECK(bytes);
	fill(bytes, s->content[id.tensor], t->nbytes);
	XXH128_canonicalFromHash(&want, XXH3_128bits(bytes, t->nbytes));
	CHECK(!memcmp(want.digest, h.wait.hash.bytes, sizeof want.digest));
	free(bytes);
}

static void *act(void *arg)
{
	struct actor *a = arg;
	struct rig *g = &a->s->rig;
	struct tfs_residency_stats res;
	struct tfs_stream_stats str;

	for (unsigned i = 0; i < a->ops; i++) {
		struct tfs_file_id id = { 0, draw(a, TENSORS), draw(a, 2) ? TFS_RAW : (enum tfs_view_id)draw(a, TFS_VIEW_IDS) };
		switch (draw(a, 12)) {
		case 0: case 1: case 2: case 3:
			do_hold(a, id, false);
			break;
		case 4: case 5:
			do_hold(a, id, true);
			break;
		case 6:
			tfs_residency_prefetch(g->residency, id);
			break;
		case 7: case 8:
			do_stream(a, id);
			break;
		case 9:
			do_hash(a, id);
			break;
		case 10: {
			int r = tfs_residency_evict(g->residency, id);
			CHECK(!r || r == -ENOENT || r == -EBUSY);
			break;
		}
		default:
			tfs_residency_stats(g->residency, &res);
			CHECK(res.used <= res.budget);
			tfs_streams_stats(g->streams, &str);
			CHECK(!str.failures && !res.failures);
			tfs_residency_state(g->residency, id);
		}
	}
	for (int i = 0; i < KEPT; i++)
		if (a->kept[i].map) {
			check_spots(a, a->kept[i].map, a->kept[i].id);
			munmap(a->kept[i].map, size_of(g, a->kept[i].id));
		}
	return NULL;
}

static unsigned soak(void)
{
	const char *s = getenv("TFS_SOAK");
	return s && atoi(s) > 0 ? (unsigned)atoi(s) : 1;
}

/* Copy what makes the first tensors each other's twins, and say where everybody's content is. */
static void put_twins(const char *dir, uint64_t content[TENSORS])
{
	struct rig plain = { 0 };
	struct tfs_error err;

	assert_int_equal(tfs_model_open(dir, 1, NULL, NULL, &plain.model, &err), 0);
	int fd = open(in_tree(dir, "model.safetensors"), O_WRONLY | O_CLOEXEC);
	for (uint32_t i = 0; i < TENSORS; i++) {
		const struct tfs_tensor *t = &plain.model->sets[0].tensors[i];
		content[i] = t->offset;
		if (i < 2 || i >= TWINS)
			continue;
		content[i] = content[i % 2];
		uint8_t *bytes = malloc(t->nbytes);
		assert_non_null(bytes);
		fill(bytes, content[i], t->nbytes);
		assert_int_equal(pwrite(fd, bytes, t->nbytes, t->offset), t->nbytes);
		free(bytes);
	}
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	tfs_model_destroy(plain.model);
}

/* @halt: stop the loader while they are at it. */
static void run(unsigned actors, unsigned ops, unsigned workers, uint64_t budget, double open_wait, unsigned seed, bool halt)
{
	struct stress s = { 0 };
	struct spec specs[TENSORS];
	char names[TENSORS][8];
	char *dir = make_tree();
	pthread_t threads[64];
	struct actor *a = calloc(actors, sizeof *a);

	for (unsigned i = 0; i < TENSORS; i++) {
		snprintf(names[i], sizeof names[i], "t%02u", i);
		/* Neighbours that are joined, some of several chunks, none a round number. */
		unsigned n = i < TWINS ? i % 2 * 3 : i;
		specs[i] = (struct spec){ names[i], n % 7 == 3 ? 2 * TFS_CHUNK + 12345 + n : n % 3 ? 3000 + 61 * n : 400001 + n };
	}
	put_model(dir, "model.safetensors", specs, TENSORS);
	put_twins(dir, s.content);
	if (!rig_up(&s.rig, dir, (struct rig_options){ workers, budget, open_wait, true }))
		skip();
	s.hashes = tfs_hashes_create(s.rig.model, s.rig.sources, s.rig.sched, s.rig.residency);
	assert_non_null(s.hashes);
	for (unsigned i = 0; i < actors; i++) {
		a[i] = (struct actor){ .s = &s, .seed = seed + i, .ops = ops * soak() };
		assert_int_equal(pthread_create(&threads[i], NULL, act, &a[i]), 0);
	}
	if (halt) {
		while (atomic_load(&s.resident) + atomic_load(&s.streamed) < ops) /* half-way, say */
			sched_yield();
		s.stopped = true;
		rig_stop(&s.rig);
		tfs_hashes_stop(s.hashes);
	}
	for (unsigned i = 0; i < actors; i++)
		pthread_join(threads[i], NULL);
	/* What was asked for last may still be on its way; then nothing is held, and all of it adds up. */
	rig_stop(&s.rig);
	tfs_hashes_stop(s.hashes);
	tfs_streams_trim(s.rig.streams); /* slots are in the budget too */
	struct tfs_residency_stats res = res_stats(&s.rig);
	print_message("%u threads: %llu uses, %llu reads, %llu hashes, %llu cancelled, %llu refused; %llu loads, %llu evictions, "
		      "%llu mapped, %llu shared\n",
		      actors, (unsigned long long)s.resident, (unsigned long long)s.streamed, (unsigned long long)s.hashed,
		      (unsigned long long)s.cancelled,
		      (unsigned long long)s.refused, (unsigned long long)res.loads, (unsigned long long)res.evictions,
		      (unsigned long long)res.still_mapped, (unsigned long long)res.shared);
	assert_int_equal(res.files[TFS_LOADING] + res.files[TFS_EVICTING] + res.files[TFS_FAILED] + res.files[TFS_ABSENT], 0);
	uint64_t used = 0;
	for (uint32_t i = 0; i < TENSORS * TFS_VIEW_IDS; i++) {
		struct tfs_file_id id = { 0, i / TFS_VIEW_IDS, (enum tfs_view_id)(i % TFS_VIEW_IDS) };
		if (!strcmp(tfs_residency_state(s.rig.residency, id), "resident"))
			used += tfs_store_cost(size_of(&s.rig, id));
	}
	used -= res.shared_bytes;
	assert_int_equal(res.used, used);
	assert_int_equal(tfs_store_used(s.rig.store), used);
	struct tfs_stream_stats str;
	tfs_streams_stats(s.rig.streams, &str);
	assert_int_equal(str.open, 0);
	tfs_hashes_destroy(s.hashes);
	rig_down(&s.rig);
	free(a);
}

static void test_roomy(void **state)
{
	(void)state;
	run(16, 60, 4, 24 * MIB, 3600, 1, false);
}

static void test_tight(void **state)
{
	(void)state;
	run(16, 60, 8, 9 * MIB, 3600, 1000, false);
}

static void test_impatient(void **state)
{
	(void)state;
	run(32, 30, 3, 12 * MIB, 0.002, 2000, false);
}

static void test_stopped(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4 * soak(); i++)
		run(24, 30, 4, 12 * MIB, 3600, 3000 + 100 * i, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roomy),
		cmocka_unit_test(test_tight),
		cmocka_unit_test(test_impatient),
		cmocka_unit_test(test_stopped),
	};
	tfs_log_set_level(TFS_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
