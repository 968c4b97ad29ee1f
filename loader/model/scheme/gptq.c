/* SPDX-License-Identifier: MIT */
/*
 * GPTQ: P`qweight` [in · bits / 32, out], whose codes run down each column as a stream of bits, P`qzeros` [groups, out · bits / 32],
 * which do so along each row, P`scales` [groups, out] and, mostly, P`g_idx` [in], the group of each input. The weight is [out, in]. As it
 * says nothing of the values, once they are there, f32/ has no g_idx.
 * Sources: AutoGPTQ, nn_modules/qlinear; GPTQModel, nn_modules/qlinear/__init__.py and utils/planar_packing.py; auto-round,
 * inference/convert_model.py.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "model/scheme/columns.h"

/* What a stored zero point is. */
enum zeros {
	ZEROS_LESS_ONE, /* "gptq": one less than the true one */
	ZEROS_TRUE,	/* "gptq_v2" */
	ZEROS_TELL,	/* nothing says which of these; see prepare() */
	ZEROS_UNKNOWN,
};

/* Places in w->arg. */
enum { ARG_ZEROS, ARG_PLANAR };
/* And in w->parts. */
enum { CODES, SCALES, ZEROS, GROUPS };

/* --- Bits of a code -------------------------------------------------------------------------------------------------- */

/* In planes (utils/planar_packing.py): 5, 6 and 7 bits, which nothing else has, and 3 in a format of its own. */
static bool is_planar(unsigned bits, const char *format)
{
	return bits == 5 || bits == 6 || bits == 7 || (bits == 3 && !strcmp(format, "gptq_p"));
}

/* Are @words those of @n codes? @in_blocks: of whole blocks of 32 codes. */
static bool holds(uint64_t words, uint64_t n, unsigned bits, bool in_blocks)
{
	uint64_t all;

	if (in_blocks)
		return !ckd_mul(&all, n / 32 + !!(n % 32), bits) && words == all;
	return !ckd_mul(&all, n, bits) && words == all / 32 + !!(all % 32);
}

/* Do the words of codes and of zero points fit such codes? */
static bool fits(const struct tfs_columns *c, unsigned bits, bool in_blocks)
{
	const uint64_t words = c->codes->shape[0];
	uint64_t all;

	if (!holds(c->zeros->shape[1], c->scales->shape[1], bits, in_blocks))
		return false;
	return c->groups ? holds(words, c->groups->shape[0], bits, in_blocks) : !ckd_mul(&all, words, 32) && !(all % bits);
}

/*
 * Bits of a code, by the shapes; of some small weights, whose last words are filled up, they leave several open, which are settled by the
 * configuration, and else by what fills its words. 0: there are none.
 */
static unsigned bits_of(struct tfs_schemes *s, const struct tfs_columns *c, const char *format)
{
	const int64_t said = tfs_config_integer(tfs_schemes_config(s), "bits", 0);

	for (int in_blocks = 0; in_blocks < 2; in_blocks++) {
		unsigned n = 0, last = 0, full = 0;

		for (unsigned bits = 2; bits <= 8; bits++) {
			if (!fits(c, bits, in_blocks || is_planar(bits, format)))
				continue;
			if (bits == said)
				return bits;
			if (c->zeros->shape[1] * 32 == c->scales->shape[1] * bits)
				full = bits;
			last = bits;
			n++;
		}
		if (n)
			return n == 1 ? last : full;
	}
	return 0;
}

/* --- Zero points ----------------------------------------------------------------------------------------------------- */

static enum zeros zeros_of(const char *format, const char *const *less_one, const char *const *as_they_are)
{
	for (; *less_one; less_one++)
		if (!strcmp(format, *less_one))
			return ZEROS_LESS_ONE;
	for (; *as_they_are; as_they_are++)
		if (!strcmp(format, *as_they_are))
			return ZEROS_TRUE;
	return *format ? ZEROS_UNKNOWN : ZEROS_TELL;
}

/* What the configuration says of them; *@ret_format: in which word. */
static enum zeros configured_zeros(struct tfs_schemes *s, const char **ret_format)
{
	/* auto-round, inference/convert_model.py convert_hf_model() and inference/backend.py GPTQ_FORMAT, GPTQ_FORMAT_NO_ZP */
	static const char *const round_less[] = { "auto", "auto_round:auto_gptq", "auto_round:gptq", NULL };
	static const char *const round_true[] = { "auto_round", "auto_round:gptqmodel", NULL };
	/* GPTQModel, quantization/config.py FORMAT */
	static const char *const less[] = { "gptq", NULL };
	static const char *const as_they_are[] = { "gptq_v2", "gptq_p", NULL };
	const json_t *config = tfs_schemes_config(s);

	if (strstr(tfs_config_string(config, "quant_method"), "auto-round")) {
		*ret_format = tfs_config_string(config, "packing_format");
		return zeros_of(*ret_format, round_less, round_true);
	}
	*ret_format = tfs_columns_format(s);
	return zeros_of(*ret_format, less, as_they_are);
}

/* Code @i of a row of words. */
static unsigned code_at(const uint8_t *row, uint64_t i, unsigned bits, bool planar)
{
	unsigned code = 0, shift = 0;

	if (!planar) {
		const uint64_t bit = i * bits;

		code = row[bit / 8];
		if (bit % 8 + bits > 8)
			code |= (unsigned)row[bit / 8 + 1] << 8;
		return code >> bit % 8 & ((1u << bits) - 1);
	}
	row += i / 32 * bits * sizeof(uint32_t);
	i %= 32;
	/* Planes of 4, 2 and 1 bits, as are in @bits, the lowest bits first. */
	for (unsigned width = 8; width; width /= 2) {
		if (!(bits & width))
			continue;
		code |= (row[i * width / 8] >> i * width % 8 & ((1u << width) - 1)) << shift;
		shift += width;
		row += width * sizeof(uint32_t);
	}
	return code;
}

static void prepare_zeros(const struct tfs_scaled *w, const uint8_t *bytes, float *ret_offset)
{
	const uint64_t n_groups = w->per_row, row_bytes = w->parts[ZEROS]->shape[1] * sizeof(uint32_t);
	const unsigned middle = 1u << (w->bits - 1), mask = (1u << w->bits) - 1;
	bool all_middle = true;

	for (uint64_t g = 0; g < n_groups; g++)
		for (uint64_t o = 0; o < w->rows; o++) {
			unsigned z = code_at(bytes + g * row_bytes, o, w->bits, w->arg[ARG_PLANAR]);

			all_middle = all_middle && z == middle;
			ret_offset[o * n_groups + g] = (float)z;
		}
	/*
	 * Symmetric codes have their zero in the middle, which "gptq" stores as 0x77777777 and "gptq_v2" as 0x88888888. So that is
	 * what tells them apart where nothing else does; asymmetric ones without a format are of AutoGPTQ, which had only the first.
	 */
	if (w->arg[ARG_ZEROS] == ZEROS_TRUE || (w->arg[ARG_ZEROS] == ZEROS_TELL && all_middle))
		return;
	/* Of all ones, readers make 0 or 2^bits; 0 is what GPTQModel's converter does (utils/model.py convert_gptq_v1_to_v2_format). */
	for (uint64_t i = 0; i < w->n_scales; i++)
		ret_offset[i] = (float)(((unsigned)ret_offset[i] + 1) & mask);
}

static int prepare_groups(const struct tfs_scaled *w, const uint8_t *bytes, uint32_t *ret_group, struct tfs_error *err)
{
	for (uint64_t i = 0; i < w->cols; i++) {
		uint32_t g;

		memcpy(&g, bytes + i * sizeof g, sizeof g);
		g = le32toh(g);
		if (g >= w->per_row)
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
					     "g_idx: input %" PRIu64 " is of group %" PRId32 ", of %" PRIu64 " groups", i,
					     (int32_t)g, w->per_row);
		ret_group[i] = g;
	}
	return 0;
}

static int prepare(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret, struct tfs_error *err)
{
	int r = tfs_columns_scales(w, parts[SCALES], ret->scale, err);

	if (r)
		return r;
	prepare_zeros(w, parts[ZEROS], ret->offset);
	return w->has_groups ? prepare_groups(w, parts[GROUPS], ret->group, err) : 0;
}

/* --- Codes ----------------------------------------------------------------------------------------------------------- */

/*
 * Columns are turned to rows in tiles: of so many, so many codes at a time. So words are read some lines of a page at a time, and codes
 * are written so; and a tile's words are near until it is done.
 */
enum { TILE_OUT = 8, TILE_IN = 1024, TILE_WORDS = TILE_IN * 8 / 32 };

static uint64_t load(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof x);
	return le64toh(x);
}

static void store(uint8_t *p, uint64_t x, size_t n)
{
	x = htole64(x);
	memcpy(p, &x, n);
}

static void planes(const uint8_t *words, size_t n, unsigned bits, uint8_t *dst)
{
	for (size_t i = 0; i < n; i += 8) {
		const uint8_t *plane = words + i / 32 * bits * sizeof(uint32_t);
		unsigned shift = 0;
		uint64_t x = 0;

		for (unsigned width = 4; width; width /= 2) {
			if (!(bits & width))
				continue;
			x |= tfs_columns_bytes(load(plane + i % 32 / 8 * width), width) << shift;
			shift += width;
			plane += width * sizeof(uint32_t);
		}
		store(dst + i, x, n - i < 8 ? n - i : 8);
	}
}

/*
 * Turned to rows, the words of a column are a stream of bits again; planes, which are not, become bytes.
 */
static void unpack(const struct tfs_scaled *w, const uint8_t *stored, uint8_t *ret_codes)
{
	/* Codes are loaded 8 bytes at a time, so there are some behind the last ones. */
	uint32_t tile[TILE_OUT][TILE_WORDS + 2] = { 0 };
	const uint64_t n_words = w->parts[CODES]->shape[0], most = TILE_IN / 32 * w->bits;

	for (uint64_t o = 0; o < w->rows; o += TILE_OUT)
		for (uint64_t from = 0; from < n_words; from += most) {
			const uint64_t i = from / w->bits * 32;
			const size_t n_out = w->rows - o < TILE_OUT ? w->rows - o : TILE_OUT;
			const size_t n = n_words - from < most ? n_words - from : most;

			for (size_t k = 0; k < n; k++)
				for (size_t j = 0; j < n_out; j++)
					memcpy(&tile[j][k], stored + ((from + k) * w->rows + o + j) * sizeof(uint32_t),
					       sizeof(uint32_t));
			for (size_t j = 0; j < n_out; j++) {
				if (!w->arg[ARG_PLANAR])
					memcpy(ret_codes + (o + j) * w->row_bytes + from * sizeof(uint32_t), tile[j],
					       n * sizeof(uint32_t));
				else if (i < w->cols)
					planes((const uint8_t *)tile[j], w->cols - i < TILE_IN ? w->cols - i : TILE_IN, w->bits,
					       ret_codes + (o + j) * w->cols + i);
			}
		}
}

/* --- A weight -------------------------------------------------------------------------------------------------------- */

static const struct tfs_scaled_ops ops = { .prepare = prepare, .unpack = unpack };

/* What is wrong with its companions, besides the numbers in their shapes? NULL: nothing. */
static const char *wrong_parts(struct tfs_schemes *s, const struct tfs_columns *c)
{
	if (!c->groups && json_is_true(json_object_get(tfs_schemes_config(s), "desc_act")))
		return "there is no g_idx, and the groups are in an order of their own (desc_act)";
	if (!c->zeros)
		return "there are no zero points (qzeros)";
	if (!(tfs_is(c->zeros, "I32") || tfs_is(c->zeros, "U32")) || c->zeros->ndim != 2)
		return "its qzeros aren't words of zero points";
	if (c->groups && (!tfs_is(c->groups, "I32") || c->groups->ndim != 1))
		return "its g_idx isn't a list of I32";
	return NULL;
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	static const char name[] = "gptq";
	char codes[TFS_SHAPE_SIZE], zeros[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];
	struct tfs_scaled w = { .scheme = name,
				.ops = &ops,
				.formula = "(code - zero_point) * scale",
				.packing = TFS_PACKED_OTHERWISE,
				.form = TFS_SCALED_MINUS_TIMES,
				.factor = 1 };
	struct tfs_columns c;
	const char *wrong, *format;
	uint64_t in, group_size = 0;

	if (!tfs_columns_of(s, t, &c) || c.layout != TFS_COLUMNS_GPTQ)
		return 0;
	w.arg[ARG_ZEROS] = configured_zeros(s, &format);
	if (w.arg[ARG_ZEROS] == ZEROS_UNKNOWN)
		return tfs_columns_refuse(s, &c, name, "the layout that its configuration calls \"%.32s\" isn't supported", format);
	wrong = wrong_parts(s, &c);
	if (wrong)
		return tfs_columns_refuse(s, &c, name, "%s", wrong);
	w.bits = (uint8_t)bits_of(s, &c, format);
	if (!w.bits || c.zeros->shape[0] != c.scales->shape[0])
		return tfs_columns_refuse(s, &c, name, "codes of %s, zero points of %s and scales of %s don't go together%s",
					  tfs_shape_of(c.codes, codes), tfs_shape_of(c.zeros, zeros),
					  tfs_shape_of(c.scales, scales), c.groups ? ", or not with its g_idx" : "");
	w.arg[ARG_PLANAR] = is_planar(w.bits, format);
	if (w.arg[ARG_PLANAR])
		w.arg[ARG_ZEROS] = ZEROS_TRUE; /* GPTQModel, quantization/config.py: 5 to 7 bits make any format "gptq_p" */
	in = c.groups ? c.groups->shape[0] : c.codes->shape[0] * 32 / w.bits;
	if (!c.groups && !(group_size = tfs_columns_group_size(s, in, c.scales->shape[0])))
		return tfs_columns_refuse(s, &c, name, "%" PRIu64 " inputs in %" PRIu64 " groups, of a size that isn't given", in,
					  c.scales->shape[0]);
	w.n_parts = c.groups ? 4 : 3;
	w.parts[CODES] = c.codes;
	w.parts[SCALES] = c.scales;
	w.parts[ZEROS] = c.zeros;
	w.parts[GROUPS] = c.groups;
	tfs_columns_spread(&w, &c, in, group_size);
	w.row_bytes = w.arg[ARG_PLANAR] ? 0 : c.codes->shape[0] * sizeof(uint32_t);
	return tfs_columns_add(s, &c, &w);
}

const struct tfs_scheme tfs_scheme_gptq = { "gptq", find };
