/* SPDX-License-Identifier: MIT */
/*
 * Every kernel of every level that this CPU has, bit for bit against what the dtype's definition says, computed here from
 * the fields of each pattern as an integer times a power of two, and rounded by hand.
 */
#include "support/convert-helpers.h"

#include <math.h>

enum kind {
	IEEE,	 /* infinities, and NaNs that become quiet */
	RAW,	 /* the same, but NaNs stay as they are */
	ONE_NAN, /* all ones but for the sign is NaN; no infinities */
	FNUZ,	 /* the sign alone is NaN; no infinities */
	FINITE,	 /* neither */
	POWER,	 /* of two: exponent only; all ones is NaN */
	UNSIGNED,
	SIGNED,
	TRUTH,
};

static const struct subject {
	const char *name;
	unsigned bits;
	enum kind kind;
	unsigned ebits, mbits;
	int bias;
} subjects[] = {
	{ "BOOL", 8, TRUTH },
	{ "U8", 8, UNSIGNED },
	{ "I8", 8, SIGNED },
	{ "U16", 16, UNSIGNED },
	{ "I16", 16, SIGNED },
	{ "U32", 32, UNSIGNED },
	{ "I32", 32, SIGNED },
	{ "U64", 64, UNSIGNED },
	{ "I64", 64, SIGNED },
	{ "I4", 4, SIGNED },
	{ "U4", 4, UNSIGNED },
	{ "I2", 2, SIGNED },
	{ "U2", 2, UNSIGNED },
	{ "F16", 16, IEEE, 5, 10, 15 },
	{ "BF16", 16, RAW, 8, 7, 127 },
	{ "F32", 32, RAW, 8, 23, 127 },
	{ "F64", 64, IEEE, 11, 52, 1023 },
	{ "F8_E4M3", 8, ONE_NAN, 4, 3, 7 },
	{ "F8_E5M2", 8, IEEE, 5, 2, 15 },
	{ "F8_E8M0", 8, POWER, 8, 0, 127 },
	{ "F8_E4M3FNUZ", 8, FNUZ, 4, 3, 8 },
	{ "F8_E5M2FNUZ", 8, FNUZ, 5, 2, 16 },
	{ "float8_e3m4", 8, IEEE, 3, 4, 3 },
	{ "float8_e4m3", 8, IEEE, 4, 3, 7 },
	{ "float8_e4m3b11fnuz", 8, FNUZ, 4, 3, 11 },
	{ "F4", 4, FINITE, 2, 1, 1 },
	{ "F6_E2M3", 6, FINITE, 2, 3, 1 },
	{ "F6_E3M2", 6, FINITE, 3, 2, 3 },
};

static const struct tfs_dtype *dtype_of(const struct subject *s)
{
	const struct tfs_dtype *d = dtype_named(s->name);

	assert_int_equal(d->block_bytes * 8, d->block_elems * s->bits);
	return d;
}

/* ±m × 2^e as float32, to nearest, ties to even. */
static uint32_t rounded(bool negative, uint64_t m, int e)
{
	int drop = 0;
	double d;

	if (m) {
		int top = 63 - __builtin_clzll(m);

		drop = top - 23; /* bits below the 24 that a float has */
		if (e + drop < -149)
			drop = -149 - e; /* or below its least subnormal */
	}
	if (drop >= 64) {
		/* Less than half of the least subnormal: from 64 bits only the highest could be half of it, exactly. */
		m = drop == 64 && m > 1ull << 63;
		e += drop;
	} else if (drop > 0) {
		uint64_t rest = m & ((1ull << drop) - 1), half = 1ull << (drop - 1);

		m >>= drop;
		m += rest > half || (rest == half && (m & 1));
		e += drop;
	}
	d = ldexp((double)m, e); /* exact: 24 bits at most and far from a double's limits, or far above a float's */
	return bits_of((float)(negative ? -d : d));
}

static uint32_t expected(const struct subject *s, uint64_t x)
{
	uint64_t m, e, all_e;
	bool negative;
	uint32_t sign;

	switch (s->kind) {
	case TRUTH:
		return bits_of(x ? 1.0f : 0.0f);
	case UNSIGNED:
		return rounded(false, x, 0);
	case SIGNED:
		negative = x >> (s->bits - 1) & 1;
		if (negative)
			x = s->bits == 64 ? -x : (1ull << s->bits) - x;
		return rounded(negative, x, 0);
	case POWER:
		return x == 255 ? 0x7fc00000 : rounded(false, 1, (int)x - s->bias);
	default:
		break;
	}

	m = x & ((1ull << s->mbits) - 1);
	all_e = (1ull << s->ebits) - 1;
	e = x >> s->mbits & all_e;
	negative = x >> (s->mbits + s->ebits) & 1;
	sign = (uint32_t)negative << 31;
	if (s->kind == FNUZ && negative && !e && !m)
		return 0x7fc00000;
	if (s->kind == ONE_NAN && e == all_e && m == (1ull << s->mbits) - 1)
		return sign | 0x7fc00000;
	if ((s->kind == IEEE || s->kind == RAW) && e == all_e) {
		uint32_t payload = (uint32_t)(s->mbits > 23 ? m >> (s->mbits - 23) : m << (23 - s->mbits));

		return sign | 0x7f800000 | payload | (m && s->kind == IEEE ? 1u << 22 : 0);
	}
	if (e)
		m |= 1ull << s->mbits;
	return rounded(negative, m, (int)(e ? e : 1) - s->bias - (int)s->mbits);
}

/* Put the element @x at index @i, whole bytes or the bits that the format says. */
static void put(const struct subject *s, uint8_t *packed, size_t i, uint64_t x)
{
	for (unsigned b = 0; b < s->bits; b++) {
		size_t at = i * s->bits + b;

		packed[at / 8] = (uint8_t)((packed[at / 8] & ~(1u << at % 8)) | (unsigned)(x >> b & 1) << at % 8);
	}
}

/* Convert the patterns @x by every level and compare each element. */
static void check(const struct subject *s, const uint64_t *x, size_t n)
{
	const struct tfs_dtype *d = dtype_of(s);
	uint8_t *packed = malloc(n / d->block_elems * d->block_bytes);
	float *out = malloc(n * sizeof *out);
	uint32_t *want = malloc(n * sizeof *want);

	assert_true(packed && out && want);
	assert_int_equal(n % d->block_elems, 0);
	for (size_t i = 0; i < n; i++) {
		put(s, packed, i, x[i]);
		want[i] = expected(s, x[i]);
	}
	for (unsigned level = 0; level < tfs_simd_levels(); level++) {
		tfs_convert_fn *fn = tfs_convert_for_level(d, level);

		if (!fn)
			continue;
		memset(out, 0xa5, n * sizeof *out);
		fn(packed, out, n);
		if (!memcmp(out, want, n * sizeof *out))
			continue;
		for (size_t i = 0; i < n; i++)
			if (bits_of(out[i]) != want[i])
				fail_msg("%s, %s: element %zu, %#llx: is %#010x, should be %#010x", s->name, tfs_simd_name(level),
					 i, (unsigned long long)x[i], bits_of(out[i]), want[i]);
	}
	free(packed);
	free(out);
	free(want);
}

static void the_hand_made_rounding_is_right(void **state)
{
	(void)state;
	assert_int_equal(rounded(false, 1, -149), 1);
	assert_int_equal(rounded(false, 1, -150), 0); /* tie, to even */
	assert_int_equal(rounded(false, 3, -151), 1);
	assert_int_equal(rounded(false, 3, -150), 2); /* tie, to even */
	assert_int_equal(rounded(true, 0, 5), 0x80000000);
	assert_int_equal(rounded(false, (1 << 24) + 1, 0), bits_of(1 << 24));
	assert_int_equal(rounded(false, (1 << 24) + 3, 0), bits_of((1 << 24) + 4));
	assert_int_equal(rounded(false, 0xffffff8, 100), 0x7f7fffff + 1); /* tie above the greatest: infinity */
	assert_int_equal(rounded(false, 0xffffff7, 100), 0x7f7fffff);
	assert_int_equal(rounded(false, UINT64_MAX, 0), bits_of(0x1p64f));
	assert_int_equal(rounded(false, 1ull << 63, -213), 0); /* tie */
	assert_int_equal(rounded(false, (1ull << 63) + 1, -213), 1);
}

static void every_pattern_in_every_place(void **state)
{
	(void)state;
	for (size_t k = 0; k < LENGTH(subjects); k++) {
		const struct subject *s = &subjects[k];
		if (s->bits > 16)
			continue;
		size_t patterns = (size_t)1 << s->bits, turns = s->bits < 16 ? 64 : 5;
		uint64_t *x = malloc(patterns * turns * sizeof *x);
		assert_non_null(x);
		/* One further in each turn, so that each comes to stand in every lane of any vector. */
		for (size_t i = 0; i < patterns * turns; i++)
			x[i] = (i + i / patterns) % patterns;
		check(s, x, patterns * turns);
		free(x);
	}
}

/* Powers of two and neighbours, ties and neighbours, of either sign; then numbers of any length. */
static size_t integers(uint64_t *x, size_t n, unsigned bits)
{
	size_t i = 0;
	uint64_t seed = bits;

	for (unsigned b = 0; b < bits; b++)
		for (int by = -2; by <= 2; by++) {
			uint64_t v = (1ull << b) + (uint64_t)by;

			x[i++] = v;
			x[i++] = -v;
		}
	for (unsigned up = 0; up + 25 <= bits; up++)
		for (uint64_t top = (1 << 24) + 1; top < (1 << 24) + 8; top += 2)
			for (int by = -1; by <= 1; by++) {
				uint64_t v = (top << up) + (uint64_t)by;
				uint64_t w = ((0x1ffffff - (top & 7)) << up) + (uint64_t)by;

				x[i++] = v;
				x[i++] = -v;
				x[i++] = w;
				x[i++] = -w;
			}
	for (; i < n; i++) {
		uint64_t v = next(&seed);

		v >>= next(&seed) % bits;
		x[i] = i % 2 ? v : -v;
	}
	for (i = 0; bits < 64 && i < n; i++)
		x[i] &= (1ull << bits) - 1;
	return n;
}

static uint64_t double_bits(double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof bits);
	return bits;
}

/* Limits of both formats; then floats, ties between them, and what is next to those; then anything. */
static size_t doubles(uint64_t *x, size_t n)
{
	/* clang-format off */
	static const uint64_t edges[] = {
		0, 1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, /* a double's own limits */
		0x7ff0000000000000, /* infinity */
		0x7ff0000000000001, 0x7ff000001fffffff, 0x7ff4000000000000, 0x7ff7ffffffffffff, /* signalling */
		0x7ff8000000000000, 0x7ff8000020000000, 0x7fffffffffffffff, /* quiet */
	};
	/* clang-format on */
	const double values[] = {
		1,	 0.1,	  0x1p-126,	  0x1p-127,	  0x1p-149, 0x1p-150,  0x1.8p-149,	0x1p-151,
		0x1p127, 0x1p128, 0x1.fffffep127, 0x1.ffffffp127, 1e300,    0x1p-1022, 0x1.fffffep-127, 0x1p-148
	};
	size_t i = 0;
	uint64_t seed = 64;

	for (size_t k = 0; k < LENGTH(edges); k++) {
		x[i++] = edges[k];
		x[i++] = edges[k] | 1ull << 63;
	}
	for (size_t k = 0; k < LENGTH(values); k++)
		for (int by = -1; by <= 1; by++) {
			x[i++] = double_bits(values[k]) + (uint64_t)by;
			x[i++] = double_bits(-values[k]) + (uint64_t)by;
		}
	while (i < n) {
		uint64_t r = next(&seed);
		double d = ldexp((double)((r >> 40 | 1 << 24) * 2 + (r & 1)), (int)(next(&seed) % 330) - 185);

		switch (r >> 1 & 3) {
		case 0:
			x[i++] = next(&seed);
			break;
		default: /* 24 bits and a half or not, then one more or less in the last place */
			x[i++] = (double_bits(d) + (r >> 3 & 1) - (r >> 4 & 1)) | (r >> 5 & 1) << 63;
		}
	}
	return n;
}

/* Not under valgrind 3.19, whose cvtsi2ss goes by way of a double. */
static bool machine_rounds_once(void)
{
	volatile int64_t x = 0x7fffffbfffffffff;

	return (float)x == 0x1.fffffep62f;
}

static void wide_types_are_rounded_once(void **state)
{
	size_t n = 1 << 20;
	uint64_t *x;

	(void)state;
	if (!machine_rounds_once()) {
		print_message("SKIP: optional: this machine rounds twice\n");
		skip();
	}
	x = malloc(n * sizeof *x);
	assert_non_null(x);
	for (size_t k = 0; k < LENGTH(subjects); k++) {
		const struct subject *s = &subjects[k];

		if (s->bits <= 16)
			continue;
		if (s->bits == 64 && s->kind == IEEE)
			check(s, x, doubles(x, n));
		else
			check(s, x, integers(x, n, s->bits)); /* as bits of an F32 these are all sorts */
	}
	free(x);
}

static void nothing_beyond_is_touched(void **state)
{
	(void)state;
	for (size_t k = 0; k < LENGTH(subjects); k++)
		check_reach(dtype_of(&subjects[k]), 200);
}

static void every_dtype_but_complex_has_kernels(void **state)
{
	static const struct tfs_dtype unknown = { "UNKNOWN(99)", NULL, 1, 1 };
	unsigned best = tfs_simd_best();

	(void)state;
	for (size_t k = 0; k < LENGTH(subjects); k++) {
		const struct tfs_dtype *d = dtype_of(&subjects[k]);

		assert_non_null(tfs_convert_for(d));
		assert_true(tfs_convert_for(d) == tfs_convert_for_level(d, best));
		assert_non_null(tfs_convert_for_level(d, TFS_SIMD_SCALAR));
		for (unsigned level = best + 1; level < tfs_simd_levels(); level++)
			assert_null(tfs_convert_for_level(d, level));
	}
	assert_null(tfs_convert_for(dtype_named("C32")));
	assert_null(tfs_convert_for(dtype_named("C64")));
	assert_null(tfs_convert_for(dtype_named("C128")));
	assert_null(tfs_convert_for(&unknown));
	assert_null(tfs_convert_for_level(&unknown, TFS_SIMD_SCALAR));
}

static void levels_are_those_of_the_architecture(void **state)
{
#if defined(__x86_64__)
	static const char *const names[] = { "scalar", "avx2", "avx512" };
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	static const char *const names[] = { "scalar", "neon" };
#else
	static const char *const names[] = { "scalar" };
#endif
	tfs_convert_fn *below = NULL;

	(void)state;
	assert_int_equal(tfs_simd_levels(), LENGTH(names));
	for (unsigned level = 0; level < LENGTH(names); level++) {
		tfs_convert_fn *fn = tfs_convert_for_level(dtype_named("BF16"), level);

		assert_string_equal(tfs_simd_name(level), names[level]);
		assert_true(!fn || fn != below);
		below = fn ? fn : below;
	}
	assert_null(tfs_convert_for_level(dtype_named("BF16"), LENGTH(names)));
}

/* ml_dtypes' narrow types have a byte each; of integers the low bits count, and of floats any above the number is its sign. */
static void narrow_types_have_a_byte_each(void **state)
{
	static const struct {
		const char *name;
		unsigned bits, ebits, mbits, bias;
	} types[] = {
		{ "int2", 2 },
		{ "uint2", 2 },
		{ "int4", 4 },
		{ "uint4", 4 },
		{ "float4_e2m1fn", 4, 2, 1, 1 },
		{ "float6_e2m3fn", 6, 2, 3, 1 },
		{ "float6_e3m2fn", 6, 3, 2, 3 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(types); i++) {
		tfs_convert_fn *convert = tfs_convert_for(dtype_named(types[i].name));
		int top = 1 << (types[i].bits - 1);
		uint8_t src[256];
		float dst[256];

		for (int x = 0; x < 256; x++)
			src[x] = (uint8_t)x;
		convert(src, dst, 256);
		for (int x = 0; x < 256; x++) {
			int low = x & (2 * top - 1), m = x & ((1 << types[i].mbits) - 1), e = (x & (top - 1)) >> types[i].mbits;
			float want;

			if (types[i].name[0] == 'u')
				want = (float)low;
			else if (types[i].name[0] == 'i')
				want = (float)(low >= top ? low - 2 * top : low);
			else
				want = ldexpf((float)(e ? m + (1 << types[i].mbits) : m),
					      (e ? e : 1) - (int)types[i].bias - (int)types[i].mbits) *
				       (x >= top ? -1 : 1);
			if (bits_of(dst[x]) != bits_of(want))
				fail_msg("%s %#x: %g, not %g", types[i].name, (unsigned)x, dst[x], want);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_are_those_of_the_architecture), cmocka_unit_test(every_dtype_but_complex_has_kernels),
		cmocka_unit_test(the_hand_made_rounding_is_right),	cmocka_unit_test(every_pattern_in_every_place),
		cmocka_unit_test(wide_types_are_rounded_once),		cmocka_unit_test(nothing_beyond_is_touched),
		cmocka_unit_test(narrow_types_have_a_byte_each),
	};

	print_levels();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
