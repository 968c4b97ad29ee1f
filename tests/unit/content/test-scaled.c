/* SPDX-License-Identifier: MIT */
/*
 * Scaled weights: any part against all of it, what is loaded once and kept, and what happens if there is no memory for that, or storage
 * fails, or files change. The linker hands this program's pread() to the function below (-Wl,--wrap=pread …), which counts and refuses.
 */
#include "support/fixture.h"

#include <math.h>
#include <stdatomic.h>

#include "content/extract.h"
#include "content/values.h"

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset);

/* Reads that touch these bytes of the file with inode @ino are counted, and fail if so asked. */
static struct {
	ino_t ino;
	uint64_t from, to;
	bool fails;
	_Atomic unsigned n;
} watched;

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset)
{
	struct stat st;

	if ((uint64_t)offset < watched.to && watched.from < (uint64_t)offset + len && !fstat(fd, &st) && st.st_ino == watched.ino) {
		watched.n++;
		sched_yield(); /* others come here, too, if they may */
		if (watched.fails) {
			errno = EIO;
			return -1;
		}
	}
	return __real_pread64(fd, buf, len, offset);
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset)
{
	return __wrap_pread64(fd, buf, len, offset);
}

/* --- A budget -------------------------------------------------------------------------------------------------------- */

struct budget {
	uint64_t limit, used;
	unsigned takes;
	pthread_mutex_t lock;
};

static uint64_t budget_take(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	struct budget *b = arg;
	uint64_t got = 0;

	(void)priority;
	assert_int_equal(want, least);
	pthread_mutex_lock(&b->lock);
	b->takes++;
	if (b->limit - b->used >= want)
		got = want;
	b->used += got;
	pthread_mutex_unlock(&b->lock);
	return got;
}

static void budget_give(void *arg, uint64_t bytes)
{
	struct budget *b = arg;

	pthread_mutex_lock(&b->lock);
	assert_true(bytes && bytes <= b->used);
	b->used -= bytes;
	pthread_mutex_unlock(&b->lock);
}

/* --- Models ---------------------------------------------------------------------------------------------------------- */

/*
 * Of several files, one part of each in each; each part is of as many bytes as that has, from a generator. F8: blocks of 128 by 128;
 * its shards are codes, then scales. INT4: two rows a byte, so that all its codes are kept. MLX: 3 bits, in groups of 64.
 */
enum {
	F8_ROWS = 300,
	F8_COLS = 517,
	F8_BLOCKS = 3 * 5,
	INT4_ROWS = 1536,
	INT4_COLS = 1030,
	INT4_GROUPS = 5,
	MLX_ROWS = 37,
	MLX_GROUPS = 5,
	MLX_COLS = MLX_GROUPS * 64,
	MLX_WORDS = MLX_COLS * 3 / 32,
	INT4_KEPT = INT4_ROWS * (INT4_COLS + INT4_GROUPS * 4),
	INT4_READ = INT4_ROWS * (INT4_COLS / 2 + INT4_GROUPS * 4),
};

struct part {
	const char *file, *name, *dtype, *shape;
	size_t len;
	bool scales; /* numbers between -2 and 2 */
};

enum { F8_CODES, INT4_CODES, MLX_CODES, MORE_CODES, F8_SCALES, INT4_SCALES, MLX_SCALES, MORE_SCALES, MLX_BIASES, PARTS };

static const char first_file[] = "model-00001-of-00003.safetensors", second_file[] = "model-00002-of-00003.safetensors",
		  third_file[] = "model-00003-of-00003.safetensors";

static const struct part parts[PARTS] = {
	{ first_file, "f8.weight", "F8_E4M3", "300,517", F8_ROWS *F8_COLS },
	{ first_file, "int4.weight", "U8", "768,1030", INT4_ROWS / 2 * INT4_COLS },
	{ first_file, "mlx.weight", "U32", "37,30", MLX_ROWS *MLX_WORDS * 4 },
	{ first_file, "more.weight", "U8", "768,1030", INT4_ROWS / 2 * INT4_COLS }, /* as int4.weight */
	{ second_file, "f8.weight_scale_inv", "F32", "3,5", F8_BLOCKS * 4, true },
	{ second_file, "int4.weight_scale", "F32", "1536,5", INT4_ROWS *INT4_GROUPS * 4, true },
	{ second_file, "mlx.scales", "F32", "37,5", MLX_ROWS *MLX_GROUPS * 4, true },
	{ second_file, "more.weight_scale", "F32", "1536,5", INT4_ROWS *INT4_GROUPS * 4, true },
	{ third_file, "mlx.biases", "F32", "37,5", MLX_ROWS *MLX_GROUPS * 4, true },
};

struct setting {
	struct rig g;
	uint8_t *bytes[PARTS];
	float *want[F8_SCALES];
	struct budget b;
	struct tfs_extractor *x;
	struct tfs_error err;
};

static uint64_t state = 88172645463325252u;

static uint64_t any(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static uint8_t *make_bytes(const struct part *p)
{
	uint8_t *b = malloc(p->len);

	assert_non_null(b);
	for (size_t i = 0; i < p->len; i++)
		/* No NaN, which has no equal. */
		b[i] = (uint8_t)any(strcmp(p->dtype, "F8_E4M3") != 0 ? 256 : 0x7f);
	for (size_t i = 0; p->scales && i < p->len; i += sizeof(float)) {
		uint32_t bits = htole32((uint32_t)(any(2) << 31 | (120 + any(8)) << 23 | any(1 << 23)));

		memcpy(b + i, &bits, sizeof bits);
	}
	return b;
}

static void put_shard(const struct setting *s, const char *dir, const char *name)
{
	char header[1000];
	size_t len = 0, at = 0;

	for (unsigned i = 0; i < PARTS; i++)
		if (!strcmp(parts[i].file, name)) {
			len += (size_t)snprintf(header + len, sizeof header - len,
						"%c\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
						len ? ',' : '{', parts[i].name, parts[i].dtype, parts[i].shape, at,
						at + parts[i].len);
			at += parts[i].len;
		}
	header[len++] = '}';
	uint64_t n = htole64(len);
	int fd = open(in_tree(dir, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &n, sizeof n), sizeof n);
	assert_int_equal(write(fd, header, len), len);
	for (unsigned i = 0; i < PARTS; i++)
		if (!strcmp(parts[i].file, name))
			assert_int_equal(write(fd, s->bytes[i], parts[i].len), parts[i].len);
	close(fd);
}

static float number_at(const uint8_t *bytes, size_t i)
{
	uint32_t bits;
	float x;

	memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
	bits = le32toh(bits);
	memcpy(&x, &bits, sizeof x);
	return x;
}

static float e4m3(uint8_t c)
{
	const int e = c >> 3 & 15, m = c & 7;

	return e ? ldexpf(8 + (float)m, e - 10) : ldexpf((float)m, -9);
}

static float *compute_int4(const uint8_t *codes, const uint8_t *scales)
{
	float *const all = malloc(INT4_ROWS * INT4_COLS * sizeof *all), *x = all;

	assert_non_null(all);
	for (size_t r = 0; r < INT4_ROWS; r++)
		for (size_t c = 0; c < INT4_COLS; c++) {
			const int code = codes[r / 2 * INT4_COLS + c] >> r % 2 * 4 & 15;

			*x++ = (float)(code < 8 ? code : code - 16) *
			       number_at(scales, r * INT4_GROUPS + c / (INT4_COLS / INT4_GROUPS));
		}
	return all;
}

static void compute(struct setting *s)
{
	float *f8 = s->want[F8_CODES] = malloc(F8_ROWS * F8_COLS * sizeof *f8);
	float *mlx = s->want[MLX_CODES] = malloc(MLX_ROWS * MLX_COLS * sizeof *mlx);

	assert_true(f8 && mlx);
	for (size_t r = 0; r < F8_ROWS; r++)
		for (size_t c = 0; c < F8_COLS; c++)
			*f8++ = e4m3(s->bytes[F8_CODES][r * F8_COLS + c]) * number_at(s->bytes[F8_SCALES], r / 128 * 5 + c / 128);
	s->want[INT4_CODES] = compute_int4(s->bytes[INT4_CODES], s->bytes[INT4_SCALES]);
	s->want[MORE_CODES] = compute_int4(s->bytes[MORE_CODES], s->bytes[MORE_SCALES]);
	for (size_t r = 0; r < MLX_ROWS; r++)
		for (size_t c = 0; c < MLX_COLS; c++) {
			const size_t bit = r * MLX_WORDS * 32 + c * 3, at = r * MLX_GROUPS + c / 64;
			unsigned code = s->bytes[MLX_CODES][bit / 8] >> bit % 8;

			if (bit % 8 > 5)
				code |= (unsigned)s->bytes[MLX_CODES][bit / 8 + 1] << (8 - bit % 8);
			volatile float scaled = (float)(code & 7) * number_at(s->bytes[MLX_SCALES], at); /* not fused */
			*mlx++ = scaled + number_at(s->bytes[MLX_BIASES], at);
		}
}

/* @limit: of the memory for what is kept; @overdraft: what may be used beyond it. */
static void up_overdrawing(struct setting *s, uint64_t limit, uint64_t overdraft)
{
	char *dir = make_tree();

	*s = (struct setting){ .b = { .limit = limit, .lock = PTHREAD_MUTEX_INITIALIZER } };
	memset(&watched, 0, sizeof watched);
	for (unsigned i = 0; i < PARTS; i++)
		s->bytes[i] = make_bytes(&parts[i]);
	put_shard(s, dir, first_file);
	put_shard(s, dir, second_file);
	put_shard(s, dir, third_file);
	compute(s);
	assert_true(rig_up(&s->g, dir, (struct rig_options){ 0 }));
	s->x = tfs_extractor_create(s->g.sources, &(struct tfs_staging_memory){ budget_take, budget_give, &s->b, overdraft });
	assert_non_null(s->x);
}

static void up(struct setting *s, uint64_t limit)
{
	up_overdrawing(s, limit, 0);
}

static void down(struct setting *s)
{
	tfs_extractor_destroy(s->x);
	assert_int_equal(s->b.used, 0);
	rig_down(&s->g);
	for (unsigned i = 0; i < PARTS; i++)
		free(s->bytes[i]);
	for (unsigned i = 0; i < LENGTH(s->want); i++)
		free(s->want[i]);
}

static const struct tfs_tensor *weight(const struct setting *s, unsigned codes)
{
	const struct tfs_set *set = &s->g.model->sets[0];

	assert_int_equal(set->n_scaled, LENGTH(s->want));
	for (size_t i = 0; i < set->n_scaled; i++)
		if (!strcmp(set->scaled[i].name, parts[codes].name))
			return &set->scaled[i];
	fail_msg("%s isn't recognised", parts[codes].name);
	return NULL;
}

/* Reads of @part are counted from now on, and fail if so asked. */
static void watch(const struct setting *s, unsigned part, bool fails)
{
	const struct tfs_tensor *t = tensor_of(&s->g, id_of(&s->g, parts[part].name));
	struct stat st;

	assert_int_equal(stat(in_tree(s->g.dir, parts[part].file), &st), 0);
	watched.fails = false;
	watched.ino = st.st_ino;
	watched.from = t->offset;
	watched.to = t->offset + t->nbytes;
	watched.n = 0;
	watched.fails = fails;
}

/* Values [first, first + n) of a weight. 0: they are right; -EILSEQ: they aren't; or what reading returned, with *@ret_err. */
static int read_part(const struct setting *s, unsigned codes, uint64_t first, uint64_t n, struct tfs_error *ret_err)
{
	struct tfs_content c = tfs_content_of_tensor(weight(s, codes));
	struct tfs_read_request rq = { .at = first * 4, .len = n * 4, .err.offset = TFS_NO_OFFSET };

	rq.buf = aligned_alloc(TFS_IO_ALIGN, (n * 4 / TFS_IO_ALIGN + 3) * TFS_IO_ALIGN);
	rq.scratch = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH);
	assert_true(rq.buf && rq.scratch);
	int r = c.ops->read(c.of, s->x, &rq);
	if (!r && memcmp(rq.data, s->want[codes] + first, n * 4) != 0)
		r = -EILSEQ;
	*ret_err = rq.err;
	free(rq.buf);
	free(rq.scratch);
	return r;
}

static int part(struct setting *s, unsigned codes, uint64_t first, uint64_t n)
{
	return read_part(s, codes, first, n, &s->err);
}

static uint64_t n_values(const struct setting *s, unsigned codes)
{
	return weight(s, codes)->nbytes / 4;
}

/* --- The tests ------------------------------------------------------------------------------------------------------- */

static void pieces_are_of_the_whole(void **unused)
{
	struct setting s;

	(void)unused;
	up(&s, UINT64_MAX);
	for (unsigned w = 0; w < LENGTH(s.want); w++) {
		const uint64_t n = n_values(&s, w);

		assert_int_equal(part(&s, w, 0, n), 0);
		assert_int_equal(s.b.used, 0); /* it won't be needed again */
		for (uint64_t first = 0; first < 67; first++)
			for (uint64_t len = 1; len < 20; len++)
				assert_int_equal(part(&s, w, first, len), 0);
		for (int i = 0; i < 100; i++) {
			uint64_t first = any(n), most = n - first;

			assert_int_equal(part(&s, w, first, 1 + any(i % 2 && most > 2000 ? 2000 : most)), 0);
		}
		tfs_extractor_trim(s.x, 0);
	}
	down(&s);
}

/* As BF16, from any byte to any other. */
static void bytes_are_of_the_whole(void **unused)
{
	const struct tfs_dtype *as = tfs_dtype_by_name("BF16", 4);
	struct tfs_read_request rq = { .scratch = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH) };
	struct setting s;
	size_t too_large;

	(void)unused;
	up(&s, UINT64_MAX);
	assert_non_null(rq.scratch);
	for (unsigned w = 0; w < LENGTH(s.want); w++) {
		const struct tfs_tensor *t = weight(&s, w);
		const uint64_t n = t->nbytes / 2;
		uint8_t *whole = malloc(n), *some = malloc(n);

		assert_true(whole && some);
		assert_int_equal(tfs_values_copy(s.x, t, as, 0, n, whole, &rq, &too_large), 0);
		for (uint64_t i = 0; i < n / 2; i++) {
			const uint32_t bits = (uint32_t)whole[i * 2] << 16 | (uint32_t)whole[i * 2 + 1] << 24;
			const float want = s.want[w][i];
			float got;

			memcpy(&got, &bits, sizeof got);
			assert_true(fabsf(got - want) <= fabsf(want) / 256);
		}
		for (int i = 0; i < 100; i++) {
			uint64_t at = any(n), len = 1 + any(i % 2 && n - at > 3000 ? 3000 : n - at);

			assert_int_equal(tfs_values_copy(s.x, t, as, at, len, some, &rq, &too_large), 0);
			assert_memory_equal(some, whole + at, len);
		}
		free(whole);
		free(some);
	}
	free(rq.scratch);
	down(&s);
}

struct reader {
	struct setting *s;
	pthread_barrier_t *start;
	unsigned codes, which;
	int result;
	struct tfs_error err;
};

enum { READERS = 8 };

static void *read_some(void *arg)
{
	struct reader *r = arg;
	const uint64_t n = n_values(r->s, r->codes) / (2 * READERS);

	pthread_barrier_wait(r->start);
	r->result = read_part(r->s, r->codes, r->which * n, n, &r->err);
	return NULL;
}

/* Several read parts at once that are half of it together; all get that result. */
static void read_at_once(struct setting *s, unsigned codes, int result)
{
	struct reader readers[READERS];
	pthread_t threads[READERS];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, READERS);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .s = s, .start = &start, .codes = codes, .which = i };
		assert_int_equal(pthread_create(&threads[i], NULL, read_some, &readers[i]), 0);
	}
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].result, result);
		assert_true(!result || readers[i].err.what[0]);
	}
	pthread_barrier_destroy(&start);
}

static void companions_are_loaded_once(void **unused)
{
	struct setting s;

	(void)unused;
	up(&s, UINT64_MAX);
	watch(&s, INT4_SCALES, false);
	read_at_once(&s, INT4_CODES, 0);
	assert_int_equal(s.b.takes, 1);
	assert_int_equal(watched.n, 1);
	assert_int_equal(s.b.used, INT4_KEPT);
	/* All of its codes were read, too. */
	watch(&s, INT4_CODES, false);
	assert_int_equal(part(&s, INT4_CODES, 77, 1000), 0);
	assert_int_equal(watched.n, 0);

	/* Small ones aren't worth asking for. */
	watch(&s, F8_SCALES, false);
	read_at_once(&s, F8_CODES, 0);
	assert_int_equal(watched.n, 1);
	assert_int_equal(s.b.takes, 1);
	down(&s);
}

static void what_nobody_uses_is_dropped(void **unused)
{
	struct setting s;

	(void)unused;
	up(&s, UINT64_MAX);
	watch(&s, F8_SCALES, false);
	assert_int_equal(part(&s, F8_CODES, 5, 5), 0);
	assert_int_equal(part(&s, INT4_CODES, 5, 5), 0);
	tfs_extractor_trim(s.x, 100);
	assert_int_equal(s.b.used, INT4_KEPT);
	assert_int_equal(part(&s, F8_CODES, 50, 5), 0);
	assert_int_equal(watched.n, 1);
	tfs_extractor_trim(s.x, 0);
	assert_int_equal(s.b.used, 0);
	assert_int_equal(part(&s, F8_CODES, 50, 5), 0);
	assert_int_equal(watched.n, 2);

	/* Read from beginning to end, it is done. */
	for (uint64_t n = n_values(&s, INT4_CODES), at = 0; at < n; at += n / 3 + 1) {
		assert_int_equal(part(&s, INT4_CODES, at, n / 3 + 1 < n - at ? n / 3 + 1 : n - at), 0);
		assert_int_equal(s.b.used, at + n / 3 + 1 < n ? INT4_KEPT : 0);
	}
	down(&s);
}

static void no_memory_is_an_error(void **unused)
{
	struct setting s;

	(void)unused;
	up(&s, INT4_KEPT + INT4_READ - 1);
	watch(&s, INT4_SCALES, false);
	assert_int_equal(part(&s, INT4_CODES, 0, 10), -ENOMEM);
	assert_int_equal(s.err.code, -ENOMEM);
	assert_non_null(strstr(s.err.what, "--memory"));
	assert_int_equal(watched.n, 0);
	assert_int_equal(s.b.takes, 1);
	assert_int_equal(s.b.used, 0);
	read_at_once(&s, INT4_CODES, -ENOMEM);
	assert_int_equal(s.b.used, 0);
	/* What needs little is there nevertheless. */
	assert_int_equal(part(&s, F8_CODES, 0, 1000), 0);
	s.b.limit++;
	assert_int_equal(part(&s, INT4_CODES, 0, 10), 0);
	assert_int_equal(s.b.used, INT4_KEPT);
	down(&s);
}

static void *read_in_pieces(void *arg)
{
	struct reader *r = arg;
	const uint64_t n = n_values(r->s, r->codes), piece = n / 50 + 1;

	for (uint64_t at = 0; at < n && !r->result; at += piece)
		r->result = read_part(r->s, r->codes, at, piece < n - at ? piece : n - at, &r->err);
	return NULL;
}

static void one_at_a_time_goes_beyond_the_budget(void **unused)
{
	struct reader readers[4];
	pthread_t threads[4];
	struct setting s;

	(void)unused;
	up_overdrawing(&s, 0, INT4_KEPT + INT4_READ - 1);
	assert_int_equal(part(&s, INT4_CODES, 0, 10), -ENOMEM);
	down(&s);
	up_overdrawing(&s, 0, INT4_KEPT + INT4_READ);
	for (unsigned i = 0; i < 4; i++) {
		readers[i] = (struct reader){ .s = &s, .codes = i % 2 ? INT4_CODES : MORE_CODES };
		assert_int_equal(pthread_create(&threads[i], NULL, read_in_pieces, &readers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readers[i].result, 0);
	}
	assert_int_equal(s.b.used, 0);
	down(&s);
}

/* Of codes and of scales, before these are loaded and after. */
static void storage_that_fails_is_tried_again(void **unused)
{
	static const unsigned of_weight[][2] = {
		{ F8_CODES, F8_SCALES }, { INT4_CODES, INT4_SCALES }, { INT4_CODES, INT4_CODES }, { MLX_CODES, MLX_BIASES }
	};
	struct setting s;

	(void)unused;
	up(&s, UINT64_MAX);
	for (unsigned i = 0; i < LENGTH(of_weight); i++) {
		const unsigned codes = of_weight[i][0], bad = of_weight[i][1];

		watch(&s, bad, true);
		assert_int_equal(part(&s, codes, 3, 100), -EIO);
		assert_int_equal(s.err.code, -EIO);
		assert_non_null(strstr(s.err.what, strerror(EIO)));
		assert_string_equal(s.err.file, parts[bad].file);
		assert_int_equal(s.b.used, 0);
		read_at_once(&s, codes, -EIO);
		assert_int_equal(s.b.used, 0);
		watch(&s, bad, false);
		assert_int_equal(part(&s, codes, 3, 100), 0);
		tfs_extractor_trim(s.x, 0);
	}
	assert_int_equal(part(&s, F8_CODES, 3, 100), 0);
	watch(&s, F8_CODES, true);
	assert_int_equal(part(&s, F8_CODES, 3, 100), -EIO);
	assert_string_equal(s.err.file, first_file);
	watch(&s, F8_CODES, false);
	watch(&s, F8_SCALES, false);
	assert_int_equal(part(&s, F8_CODES, 3, 100), 0);
	assert_int_equal(watched.n, 0); /* that wasn't the scales' fault */
	down(&s);
}

/* Before anything is loaded; then, of what is loaded, with a change of each file of it. */
static void a_changed_source_is_noticed(void **unused)
{
	static const unsigned of_weight[][2] = { { F8_CODES, F8_CODES },
						 { F8_CODES, F8_SCALES },
						 { INT4_CODES, INT4_CODES },
						 { INT4_CODES, INT4_SCALES },
						 { MLX_CODES, MLX_BIASES } };

	(void)unused;
	for (int loaded = 0; loaded < 2; loaded++)
		for (unsigned i = 0; i < LENGTH(of_weight); i++) {
			const unsigned codes = of_weight[i][0];
			const char *file = parts[of_weight[i][1]].file;
			struct setting s;
			struct stat st;

			up(&s, UINT64_MAX);
			if (loaded)
				assert_int_equal(part(&s, codes, 3, 100), 0);
			assert_int_equal(stat(in_tree(s.g.dir, file), &st), 0);
			assert_int_equal(truncate(in_tree(s.g.dir, file), st.st_size - 1), 0);
			assert_int_equal(part(&s, codes, 50, 100), -ESTALE);
			assert_string_equal(s.err.file, file);
			tfs_extractor_trim(s.x, 0);
			assert_int_equal(s.b.used, 0);
			assert_int_equal(part(&s, codes, 50, 100), -ESTALE);
			down(&s);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_of_the_whole),     cmocka_unit_test(bytes_are_of_the_whole),
		cmocka_unit_test(companions_are_loaded_once),  cmocka_unit_test(what_nobody_uses_is_dropped),
		cmocka_unit_test(no_memory_is_an_error),       cmocka_unit_test(storage_that_fails_is_tried_again),
		cmocka_unit_test(a_changed_source_is_noticed), cmocka_unit_test(one_at_a_time_goes_beyond_the_budget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
