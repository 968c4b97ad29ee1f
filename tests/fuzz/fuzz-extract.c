/* SPDX-License-Identifier: MIT */
/*
 * Extraction: tensors of every encoding, read in any pieces and in any order, with little memory or with much, from files that are local
 * or remote. Each piece has the bytes that it should, or there is a reason why it can't be read, and then what is wrong isn't the
 * reader: a damaged stream, a file that ends early, a read that fails, another file. What was taken of the budget is given back.
 */
#include "encoded-tensors.h"

enum { MAX_SUBJECTS = 4, MAX_STEPS = 20 };

struct reader {
	struct tfs_extractor *x;
	struct budget budget;
	uint8_t *scratch, *bounce;
	bool cut;	/* files end early */
	bool stopped;	/* the extractor */
	unsigned reads; /* of files, before the one that is checked */
};

static bool is_stale(const struct subject *s)
{
	for (size_t i = 0; i < tfs_other_files(&s->t); i++)
		if (memory_model.files[tfs_other_file(&s->t, i) - 1].stale)
			return true;
	return memory_model.files[s->t.source - 1].stale;
}

static void check_result(const struct reader *rd, const struct subject *s, int r, const struct tfs_read_request *rq, bool all)
{
	const bool storage_failed = memory_model.fails_at > rd->reads && memory_model.fails_at <= memory_model.reads;
	const bool may = s->damaged || rd->cut || rd->stopped || is_stale(s) || storage_failed;
	const bool failed = read_failed(r, &rq->err, may);

	CHECK(rq->how < TFS_READ_HOWS);
	CHECK(failed || !all || !s->lost);
	CHECK(failed || !storage_failed);
	CHECK(r == -ESTALE || !memory_model.files[s->t.source - 1].stale);
}

static int read_at(struct reader *rd, const struct subject *s, uint64_t at, size_t len, enum tfs_priority priority)
{
	uint8_t *buf = read_buffer(len);
	struct tfs_read_request rq = {
		.at = at, .len = len, .priority = priority, .buf = buf, .scratch = rd->scratch, .err.offset = TFS_NO_OFFSET
	};
	const struct tfs_content c = tfs_content_of_tensor(&s->t);
	rd->reads = memory_model.reads;
	int r = c.ops->read(c.of, rd->x, &rq);

	check_result(rd, s, r, &rq, len == s->t.nbytes);
	if (!r) {
		CHECK(rq.data >= buf && rq.data + len <= buf + len + 2 * TFS_IO_ALIGN);
		CHECK(!memcmp(rq.data, s->want + at, len));
	}
	free(buf);
	return r;
}

/* A part that begins and ends anywhere. */
static void read_some(struct choices *c, struct reader *rd, const struct subject *s)
{
	const uint64_t unit = s->plain ? 1 : tfs_encoding_unit(&s->e), n = s->t.nbytes / unit;
	const uint64_t at = choose_size(c, n - 1), most = n - at < MAX_TEXT / unit ? n - at : MAX_TEXT / unit;

	const uint64_t len = (1 + choose_size(c, most - 1)) * unit;

	read_at(rd, s, at * unit, len, (enum tfs_priority)choose(c, TFS_PRIORITIES));
}

static void copy_some(struct choices *c, struct reader *rd, const struct subject *s)
{
	const uint64_t at = choose_size(c, s->t.nbytes), len = choose_size(c, s->t.nbytes - at);
	struct tfs_read_request rq = { .scratch = rd->scratch, .err.offset = TFS_NO_OFFSET };
	uint8_t *dst = malloc(len + 1);

	CHECK(dst);
	rd->reads = memory_model.reads;
	int r = tfs_extract_copy(rd->x, &s->t, at, len, dst, rd->bounce, &rq);
	if (len)
		check_result(rd, s, r, &rq, len == s->t.nbytes);
	CHECK(r || !memcmp(dst, s->want + at, len));
	free(dst);
}

/* As the loader does; in pieces that end between units. */
static void read_all(struct choices *c, struct reader *rd, const struct subject *s)
{
	const uint64_t unit = s->plain ? 1 : tfs_encoding_unit(&s->e);
	uint64_t step = (some_size(c) + unit - 1) / unit * unit;
	bool failed = false;

	if (step < s->t.nbytes / 16)
		step = 4 << 20;

	for (uint64_t at = 0, n; at < s->t.nbytes; at += n) {
		n = s->t.nbytes - at < step ? s->t.nbytes - at : step;
		failed = read_at(rd, s, at, n, TFS_DEMAND) || failed;
	}
	CHECK(failed || !s->lost);
}

static void check_kind(const struct subject *s)
{
	const struct tfs_content c = tfs_content_of_tensor(&s->t);
	const struct tfs_tensor *stream = c.ops->in_order ? c.ops->in_order(c.of) : NULL;

	CHECK(!c.ops->extent == !s->plain);
	if (s->plain) {
		const struct tfs_extent e = c.ops->extent(c.of);

		CHECK(e.node == s->t.source && e.offset == s->t.offset);
	}
	CHECK(stream == (s->e.coding == TFS_DEFLATED ? &s->t : NULL));
}

static void take_step(struct choices *c, struct reader *rd, struct subject *subjects, size_t n)
{
	const struct subject *s = &subjects[choose(c, n)];
	struct memory_file *f = &memory_model.files[s->t.source - 1];
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	int r;

	switch (choose(c, 10)) {
	case 0:
		tfs_extractor_trim(rd->x, (int)choose(c, 2));
		break;
	case 1: /* it is another file, or again that one */
		f->stale = !f->stale;
		r = tfs_extract_check(rd->x, &s->t, &err);
		CHECK(r == (is_stale(s) ? -ESTALE : 0) && (!r || (err.code == r && err.what[0] && err.file[0])));
		break;
	case 2:
		memory_model.fails_at = memory_model.storage.name ? memory_model.reads + 1 + (unsigned)choose(c, 8) : 0;
		break;
	case 3:
		copy_some(c, rd, s);
		break;
	case 4:
		read_all(c, rd, s);
		break;
	default:
		read_some(c, rd, s);
	}
}

static void end(struct choices *c, struct reader *rd, struct subject *subjects, size_t n)
{
	for (unsigned i = 0; i < MEMORY_FILES; i++)
		memory_model.files[i].stale = false;
	memory_model.fails_at = 0;
	for (size_t i = 0; i < n; i++)
		read_all(c, rd, &subjects[i]);
	if (choose(c, 2)) {
		tfs_extractor_stop(rd->x);
		rd->stopped = true;
		for (size_t i = 0; i < n; i++)
			read_some(c, rd, &subjects[i]);
	}
	tfs_extractor_trim(rd->x, 0);
	CHECK(!rd->budget.used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct subject subjects[MAX_SUBJECTS];
	static uint8_t *scratch, *bounce;
	struct choices c = choices_of(data, size);
	const unsigned flags = (unsigned)choose_number(&c, 1), n = 1 + (unsigned)choose(&c, MAX_SUBJECTS);

	if (!scratch) {
		scratch = read_buffer(TFS_EXTRACT_SCRATCH);
		bounce = read_buffer(TFS_EXTRACT_SCRATCH);
	}
	bytes_left = 10 << 20;
	memory_model_begin(flags & 1);
	for (unsigned i = 0; i < n; i++)
		make_subject(&c, &subjects[i], subjects, i);
	struct reader rd = { .scratch = scratch, .bounce = bounce, .cut = flags & 16 };
	rd.budget.limit = flags & 4 ? choose_size(&c, 1 << 20) : UINT64_MAX;
	memory_model_end(rd.cut ? 1 + choose_size(&c, 1 << 20) : 0);
	struct tfs_sources *sources = tfs_sources_create(&memory_model.model, flags & 2);
	const struct tfs_staging_memory memory = { .take = budget_take, .give = budget_give, .arg = &rd.budget };
	CHECK(sources);
	rd.x = tfs_extractor_create(sources, flags & 8 ? &(struct tfs_staging_memory){ 0 } : &memory);
	CHECK(rd.x);
	for (unsigned i = 0; i < n; i++)
		check_kind(&subjects[i]);
	for (unsigned i = 0; i < MAX_STEPS && c.at < c.end; i++)
		take_step(&c, &rd, subjects, n);
	end(&c, &rd, subjects, n);
	tfs_extractor_destroy(rd.x);
	tfs_sources_destroy(sources);
	for (unsigned i = 0; i < n; i++)
		subject_fini(&subjects[i]);
	return 0;
}
