/* SPDX-License-Identifier: MIT */
/*
 * Files that show tensors of any type: what any part of a view's file is made of makes that part, NumPy's header says what the tensor is,
 * and a set as one file, or several, is a safetensors file of it, with values that are rounded once.
 */
#include <jansson.h>

#include "base/sort.h"
#include "base/utf8.h"
#include "choices.h"
#include "content/consolidated.h"
#include "content/shards.h"
#include "content/values.h"
#include "content/virtual-file.h"
#include "memory-model.h"

enum { MAX_TENSORS = 12, MAX_NDIM = 5, MAX_NAME = 40, MAX_BYTES = 1 << 19, MAX_PAIRS = 4 };

struct shown {
	struct tfs_encoding e;
	uint64_t shape[MAX_NDIM];
	char name[MAX_NAME + 1];
	uint8_t *bytes; /* as they are shown */
};

static struct shown shown[MAX_TENSORS];
static struct tfs_tensor tensors[MAX_TENSORS];

struct reader {
	struct choices c;
	struct tfs_extractor *x;
	uint8_t *scratch;
};

/* --- Tensors ---------------------------------------------------------------------------------------------------------- */

/* A text of what the input has next, which is made well-formed. */
static uint32_t choose_text(struct choices *c, char *buf, size_t most)
{
	const uint32_t len = (uint32_t)choose(c, most + 1);

	for (uint32_t i = 0; i < len; i++)
		buf[i] = (char)choose_number(c, 1);
	for (uint32_t i = 0; !tfs_utf8_valid(buf, len) && i < len; i++)
		buf[i] &= 0x7f;
	buf[len] = 0;
	return len;
}

static void choose_dims(struct choices *c, struct tfs_tensor *t, struct shown *s)
{
	t->ndim = (uint8_t)choose(c, MAX_NDIM + 1);
	for (unsigned i = 0; i < t->ndim; i++)
		s->shape[i] = choose_size(c, choose(c, 32) ? 100 : 1 << 20);
	const uint64_t most = choose(c, 32) ? 8000 : MAX_BYTES;
	while (tfs_dtype_nbytes_padded(t->dtype, s->shape, t->ndim, &t->nbytes) || t->nbytes > most)
		s->shape[choose(c, t->ndim)] = choose(c, 4);
}

static void make_tensor(struct choices *c, struct tfs_tensor *t, struct shown *s)
{
	const uint64_t mask = choose_number(c, 1);
	const unsigned file = (unsigned)choose(c, MEMORY_FILES);

	memset(s, 0, sizeof *s);
	*t = (struct tfs_tensor){ .name = s->name, .shape = s->shape, .dtype = tfs_dtype_at(choose(c, TFS_DTYPES)) };
	t->name_len = choose_text(c, s->name, MAX_NAME);
	choose_dims(c, t, s);
	t->code = !choose(c, 8);
	t->source = 1 + file;
	s->bytes = malloc(t->nbytes + 1);
	CHECK(s->bytes);
	for (uint64_t i = 0; i < t->nbytes; i++)
		s->bytes[i] = (uint8_t)(any(c, 256) & mask);
	t->offset = memory_put(file, s->bytes, t->nbytes);
	if (t->dtype->block_bytes % 4 || !choose(c, 2))
		return;
	/* In the other byte order. */
	uint8_t *stored = memory_model.files[file].bytes + t->offset;
	for (uint64_t i = 0; i < t->nbytes; i++)
		stored[i] = s->bytes[i / 4 * 4 + 3 - i % 4];
	s->e = (struct tfs_encoding){ .swap = 4, .length = t->nbytes };
	t->encoding = &s->e;
}

static const uint8_t *bytes_of(const struct tfs_tensor *t)
{
	return ((const struct shown *)(const void *)(t->name - offsetof(struct shown, name)))->bytes;
}

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

/* Sorted, as a set has them, and each name once. */
static size_t make_tensors(struct choices *c)
{
	const size_t all = 1 + choose(c, MAX_TENSORS);
	size_t n = 0;

	for (size_t i = 0; i < all; i++)
		make_tensor(c, &tensors[i], &shown[i]);
	qsort(tensors, all, sizeof *tensors, by_name);
	for (size_t i = 0; i < all; i++)
		if (!n || by_name(&tensors[n - 1], &tensors[i]) != 0)
			tensors[n++] = tensors[i];
	return n;
}

/* The elements of @t as floats, one block at a time; its last block may have some that it lacks. NULL: it has no values. */
static float *values_of(const struct tfs_tensor *t)
{
	tfs_convert_fn *convert = tfs_convert_for_level(t->dtype, TFS_SIMD_SCALAR);
	const uint64_t n = t->nbytes / t->dtype->block_bytes;
	float *values = malloc((n + 1) * t->dtype->block_elems * sizeof *values);

	CHECK(values);
	for (uint64_t i = 0; convert && i < n; i++)
		convert(bytes_of(t) + i * t->dtype->block_bytes, values + i * t->dtype->block_elems, t->dtype->block_elems);
	if (convert)
		return values;
	free(values);
	return NULL;
}

/* NaNs are equal: which payload one has depends on the instruction. */
static bool same(const uint8_t *a, const uint8_t *b, size_t len, bool floats)
{
	for (size_t i = 0; floats && i + 4 <= len && memcmp(a + i, b + i, len - i); i += 4) {
		uint32_t x, y;

		memcpy(&x, a + i, 4);
		memcpy(&y, b + i, 4);
		if (x != y && ((le32toh(x) & 0x7fffffff) <= 0x7f800000 || (le32toh(y) & 0x7fffffff) <= 0x7f800000))
			return false;
	}
	return floats || !memcmp(a, b, len);
}

/* --- Views ------------------------------------------------------------------------------------------------------------ */

static uint8_t *read_content(struct reader *rd, struct tfs_content c, uint64_t at, uint64_t len, const uint8_t **ret_data)
{
	uint8_t *buf = read_buffer(len);
	struct tfs_read_request rq = { .at = at, .len = len, .buf = buf, .scratch = rd->scratch, .err.offset = TFS_NO_OFFSET };

	*ret_data = buf;
	if (!len)
		return buf;
	CHECK(!c.ops->read(c.of, rd->x, &rq));
	CHECK(rq.data >= buf && rq.data + len <= buf + len + 2 * TFS_IO_ALIGN);
	*ret_data = rq.data;
	return buf;
}

/* Bytes [at, end) of the file, as the loader makes them. */
static void check_part(struct reader *rd, const struct tfs_layout *l, const uint8_t *file, uint64_t at, uint64_t end)
{
	uint64_t from, len, first = at, past = end;
	const uint8_t *data;

	tfs_layout_source(l, &first, &past, &from, &len);
	CHECK(first <= at && past >= end && past <= l->size && !(from % l->in) && !(len % l->in));
	CHECK(from + len <= l->tensor->nbytes);
	if (!len)
		return;
	const uint64_t begin = first > l->prefix ? first : l->prefix;
	CHECK(tfs_layout_place(l, from) == begin);
	uint8_t *buf = read_content(rd, l->content, from, len, &data), *made = read_buffer(len / l->in * l->out + 1);
	CHECK(tfs_layout_convert(l, data, len, made) == len / l->in * l->out && past - begin <= len / l->in * l->out);
	CHECK(same(made, file + begin, past - begin, l->convert));
	free(buf);
	free(made);
}

static void check_npy(const struct tfs_layout *l, const uint8_t *file)
{
	const struct tfs_tensor *t = l->tensor, *read;
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_error err = { 0 };
	size_t n;

	CHECK(c && l->size - l->prefix <= SIZE_MAX && !(l->prefix % TFS_VIEW_ALIGN_MIN));
	CHECK(!tfs_format_npy.parse(fuzz_file(file, l->size), "x.npy", c, &err));
	read = tfs_catalog_tensors(c, &n);
	CHECK(n == 1 && read->offset == l->prefix && read->nbytes == l->size - l->prefix);
	if (l->convert || (t->dtype->npy && t->ndim == read->ndim))
		CHECK(t->ndim == read->ndim && !memcmp(read->shape, t->shape, t->ndim * sizeof *t->shape));
	CHECK(!l->convert || !strcmp(read->dtype->name, "F32"));
	tfs_catalog_destroy(c);
}

static void check_view(struct reader *rd, const struct tfs_tensor *t, enum tfs_view_id view, unsigned align)
{
	struct tfs_layout l;
	const int r = tfs_view_layout(view, t, align, &l);

	CHECK(!r == tfs_view_shows(view, t) && (!r || (r == -ENOENT && view == TFS_F32)));
	if (r)
		return;
	float *values = view == TFS_F32 ? values_of(t) : NULL;
	uint8_t *file = malloc(l.size + 1);
	CHECK(file && !values == (view != TFS_F32) && !l.convert == !values);
	CHECK(l.prefix <= TFS_VIEW_PREFIX_MAX);
	tfs_layout_make_prefix(&l, file);
	memcpy(file + l.prefix, values ? (const uint8_t *)values : bytes_of(t), l.size - l.prefix);
	for (unsigned i = 0; i < 4; i++) {
		const uint64_t at = choose_size(&rd->c, l.size), end = at + choose_size(&rd->c, l.size - at);

		check_part(rd, &l, file, at, end);
	}
	check_part(rd, &l, file, 0, l.size);
	if (l.prefix)
		check_npy(&l, file);
	free(values);
	free(file);
}

/* --- One file ----------------------------------------------------------------------------------------------------------- */

/* What a member's bytes are there. */
static void check_member(struct reader *rd, const struct tfs_tensor *t, struct tfs_conversion as, const uint8_t *bytes)
{
	const uint64_t n = tfs_consolidated_bytes(t, as);
	struct tfs_read_request rq = { .scratch = rd->scratch };
	uint8_t *want = malloc(n + 1);
	size_t too_large;

	CHECK(want);
	if (!tfs_consolidated_converts(t, as)) {
		CHECK(n == t->nbytes);
		memcpy(want, bytes_of(t), n);
	} else if (!strcmp(as.as->name, "F32")) {
		float *values = values_of(t);

		CHECK(values);
		memcpy(want, values, n);
		free(values);
	} else {
		CHECK(!tfs_values_copy(rd->x, t, as.as, 0, n, want, &rq, &too_large) && too_large <= n / 2);
	}
	CHECK(same(bytes, want, n, tfs_consolidated_converts(t, as) && as.as->block_bytes == 4));
	free(want);
}

static void check_header(struct reader *rd, const uint8_t *file, uint64_t size, const struct tfs_tensor *const *members, size_t n,
			 struct tfs_conversion as)
{
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_error err = { 0 };
	size_t n_read;

	CHECK(c && !tfs_format_safetensors.parse(fuzz_file(file, size), "model.safetensors", c, &err));
	CHECK(!tfs_catalog_sort(c));
	const struct tfs_tensor *read = tfs_catalog_tensors(c, &n_read);
	CHECK(n_read == n);
	for (size_t i = 0; i < n; i++) {
		const struct tfs_tensor *t = members[i];

		CHECK(!by_name(&read[i], t) && read[i].ndim == t->ndim && read[i].nbytes == tfs_consolidated_bytes(t, as));
		CHECK(!memcmp(read[i].shape, t->shape, t->ndim * sizeof *t->shape));
		CHECK(read[i].dtype == (tfs_consolidated_converts(t, as) ? as.as : t->dtype));
		check_member(rd, t, as, file + read[i].offset);
	}
	tfs_catalog_destroy(c);
}

/* A read that fails says of which tensor. */
static void check_failure(struct reader *rd, struct tfs_content c, uint64_t size)
{
	uint8_t *buf = read_buffer(size);
	struct tfs_read_request rq = { .len = size, .buf = buf, .scratch = rd->scratch, .err.offset = TFS_NO_OFFSET };
	const unsigned before = memory_model.reads;

	memory_model.fails_at = before + 1;
	const int r = c.ops->read(c.of, rd->x, &rq);
	CHECK(r == (memory_model.reads > before ? -EIO : 0));
	CHECK(!r || (rq.err.code == r && !strncmp(rq.err.what, "tensor ", 7) && rq.err.file[0]));
	memory_model.fails_at = 0;
	free(buf);
}

static void check_file(struct reader *rd, const struct tfs_consolidated *w, const struct tfs_tensor *const *members, size_t n,
		       struct tfs_conversion as)
{
	const struct tfs_layout l = tfs_consolidated_layout(w);
	const uint8_t *file, *data;
	uint8_t *all = read_content(rd, l.content, 0, l.size, &file);

	CHECK(l.size == tfs_consolidated_size(w) && !l.tensor && !l.content.ops->extent && !l.content.ops->in_order);
	uint64_t data_at;
	memcpy(&data_at, file, sizeof data_at);
	data_at = le64toh(data_at) + sizeof data_at;
	for (unsigned i = 0; i < 4; i++) {
		const uint64_t from = choose(&rd->c, 2) && data_at < l.size ? data_at : 0;
		const uint64_t at = from + choose_size(&rd->c, l.size - from - 1), len = 1 + choose_size(&rd->c, l.size - at - 1);
		uint8_t *buf = read_content(rd, l.content, at, len, &data);

		CHECK(!memcmp(data, file + at, len));
		free(buf);
	}
	check_header(rd, file, l.size, members, n, as);
	check_failure(rd, l.content, l.size);
	free(all);
}

static void check_as_stored(struct reader *rd, const struct tfs_set *set)
{
	const struct tfs_tensor *members[MAX_TENSORS];
	struct tfs_consolidated *w;

	for (size_t i = 0; i < set->n_tensors; i++)
		members[i] = &set->tensors[i];
	if (!tfs_consolidated_possible(set))
		return;
	CHECK(!tfs_consolidated_create(set, &w));
	check_file(rd, w, members, set->n_tensors, (struct tfs_conversion){ NULL });
	tfs_consolidated_destroy(w);
}

static void check_index(const struct tfs_tensor *const *members, size_t n, struct tfs_conversion as,
			const struct tfs_shards *shards)
{
	char *text, name[64];
	size_t len, shard = 0;
	json_t *o;

	CHECK(!tfs_shards_index("model", members, n, as, shards, &text, &len));
	o = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	/* jansson has no keys with NUL in them. */
	for (size_t i = 0; o && i < n; i++) {
		shard += i == shards->ends[shard];
		tfs_shards_name("model", (uint32_t)shard, shards->n, name, sizeof name);
		const char *in = json_string_value(json_object_get(json_object_get(o, "weight_map"), members[i]->name));
		CHECK(in && !strcmp(in, name));
	}
	for (size_t i = 0; i < n && !o; i++)
		if (strlen(members[i]->name) != members[i]->name_len)
			n = 0;
	CHECK(o || !n);
	json_decref(o);
	free(text);
}

static void check_converted(struct reader *rd, const struct tfs_set *set)
{
	static const char *const names[] = { "F32", "F16", "BF16" };
	const char *name = names[choose(&rd->c, 3)];
	const struct tfs_conversion as = { tfs_dtype_by_name(name, strlen(name)), choose(&rd->c, 2) };
	const struct tfs_tensor **members = malloc((MAX_TENSORS + 1) * sizeof *members);
	struct tfs_shards shards;
	size_t n = 0, first = 0;

	CHECK(members);
	for (size_t i = 0; i < set->n_tensors; i++) {
		const struct tfs_tensor *t = &set->tensors[i];

		/* What tree/converted.c has in such a file. */
		if (!t->code && (tfs_valued(t) ? tfs_has_values(t) : t->dtype->safetensors) && strcmp(t->name, "__metadata__") != 0)
			members[n++] = t;
	}
	CHECK(!tfs_shards_cut(members, n, as, 1 + choose_size(&rd->c, MAX_BYTES), &shards) && shards.ends[shards.n - 1] == n);
	check_index(members, n, as, &shards);
	for (uint32_t i = 0; i < shards.n; i++) {
		const size_t of_shard = shards.ends[i] - first;
		const struct tfs_tensor **some = malloc((of_shard + 1) * sizeof *some);
		struct tfs_consolidated *w;

		CHECK(some);
		memcpy(some, members + first, of_shard * sizeof *some);
		CHECK(!tfs_consolidated_create_as(set, some, of_shard, as, &w));
		check_file(rd, w, members + first, of_shard, as);
		tfs_consolidated_destroy(w);
		first = shards.ends[i];
	}
	free(shards.ends);
	free((void *)members);
}

static void check_set(struct reader *rd, struct memory_model *m)
{
	static struct tfs_metadata pairs[MAX_PAIRS];
	static char texts[2 * MAX_PAIRS][MAX_NAME + 1];
	struct tfs_file_metadata metadata = { .n = choose(&rd->c, MAX_PAIRS + 1), .pairs = pairs };
	const struct tfs_set *set = m->model.sets;

	for (size_t i = 0; i < metadata.n; i++) {
		pairs[i].key_len = choose_text(&rd->c, texts[2 * i], MAX_NAME);
		pairs[i].value_len = choose_text(&rd->c, texts[2 * i + 1], MAX_NAME);
		pairs[i].key = texts[2 * i];
		pairs[i].value = texts[2 * i + 1];
	}
	((struct tfs_set *)(uintptr_t)set)->metadata = &metadata;
	for (uint32_t i = 0; i < set->n_tensors; i++)
		for (unsigned view = 0; view < TFS_VIEW_IDS; view++) {
			const struct tfs_file_id id = { .set = 0, .tensor = i, .view = (enum tfs_view_id)view };

			check_view(rd, &set->tensors[i], (enum tfs_view_id)view, m->model.npy_align);
			CHECK(!tfs_file_loaded_size(&m->model, id) ||
			      tfs_file_layout(&m->model, id).size == tfs_file_loaded_size(&m->model, id));
		}
	check_as_stored(rd, set);
	check_converted(rd, set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *scratch;
	struct choices c = choices_of(data, size);
	struct memory_model *m = memory_model_begin(true);
	const bool narrow = choose(&c, 2);
	const size_t n = make_tensors(&c);
	struct tfs_set set = { .stem = "model", .tensors = tensors, .n_tensors = n, .n_files = 1, .index = UINT32_MAX };
	const uint32_t node = 1;

	if (!scratch)
		scratch = read_buffer(TFS_EXTRACT_SCRATCH);
	for (size_t i = 0; i < n; i++)
		set.total_bytes += tensors[i].nbytes;
	memory_model_end(0);
	m->model.sets = &set;
	m->model.n_sets = 1;
	m->model.npy_align = narrow ? TFS_VIEW_ALIGN_MIN : TFS_NPY_ALIGN;
	struct tfs_sources *sources = tfs_sources_create(&m->model, false);
	struct reader rd = { .c = c, .scratch = scratch };
	CHECK(sources);
	rd.x = tfs_extractor_create(sources, &(struct tfs_staging_memory){ 0 });
	CHECK(rd.x);
	check_set(&rd, m);
	const struct tfs_layout whole = tfs_whole_file_layout(&m->model, &node);
	CHECK(whole.size == m->files[0].size && whole.content.ops->extent(whole.content.of).node == node);
	tfs_extractor_destroy(rd.x);
	tfs_sources_destroy(sources);
	for (size_t i = 0; i < MAX_TENSORS; i++) {
		free(shown[i].bytes);
		shown[i].bytes = NULL;
	}
	return 0;
}
