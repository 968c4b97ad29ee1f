/* SPDX-License-Identifier: MIT */
/*
 * Quantised checkpoints. The input picks modules out of those below, which are as each scheme has them, and then changes them: names,
 * types, shapes, bytes, configuration, files. Of whatever that makes, no tensor that is codes has a file in f32/, and values are the
 * same in pieces as in whole, take memory in proportion to what is stored, and give it back; what can't be read has a reason.
 */
#include <endian.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "base/sort.h"
#include "content/extract.h"
#include "content/values.h"
#include "content/view.h"
#include "fuzz.h"
#include "model/model.h"
#include "tensor/scaled.h"

/* --- Modules --------------------------------------------------------------------------------------------------------- */

/*
 * @tensors: names after that of the module, types, shapes, and maybe bytes: ="text", whose length is the shape then, or =n,n,.. again
 * and again; else any. '@' is the module's name, without the dot after it.
 */
struct module {
	const char *config, *key, *value; /* config.json; of the file's metadata */
	const char *tensors;
};

#define QUANT(text) "{\"quantization_config\":{" text "}}"
#define TORCHAO(type, data, names) \
	"@.weight", "{\"_type\":\"" type "\",\"_data\":{" data "},\"_tensor_data_names\":[\"qdata\",\"scale\"" names "]}"

static const struct module modules[] = {
	{ QUANT("\"quant_method\":\"fp8\",\"weight_block_size\":[4,8]"), 0, 0, "weight F8_E4M3 9,20|weight_scale_inv F32 3,3" },
	{ 0, 0, 0, "weight F8_E4M3 260,130|weight_scale_inv BF16 3,2" },
	{ QUANT("\"weight_scale_semantics\":\"inverse\""), 0, 0, "weight F8_E5M2 5,7|weight_scale_inv F16 5" },
	{ 0, 0, 0, "weight F8_E4M3 3,5,7|weight_scale F32 3,1,7|bias F32 5|input_scale F32 1" },
	{ 0, 0, 0, "gate_up_proj F8_E4M3 2,6,4|gate_up_proj_scale BF16 2,1,4" },
	{ QUANT("\"config_groups\":{\"a\":{\"weights\":{\"block_structure\":\"2x4\"}}}"), 0, 0,
	  "weight F8_E4M3 6,8|weight_scale F32 3,2" },
	{ 0, 0, 0, "weight F8_E4M3 4,64|weight_scale U8 4,2" },
	{ 0, 0, 0, "weight I8 6,9|weight_scale F32 6,1|weight_zero_point I8 6,1" },
	{ 0, 0, 0, "weight I8 6,9|weight_scale BF16|pre_quant_scale F32 9" },
	{ "{\"quantization\":{\"group_size\":64,\"bits\":3}}", 0, 0, "weight U32 3,12|scales BF16 3,2|biases BF16 3,2" },
	{ "{\"quantization\":{\"group_size\":32,\"bits\":6,\"@\":{\"group_size\":64,\"bits\":5}}}", 0, 0,
	  "weight U32 2,3,10|scales F16 2,3,1|biases F16 2,3,1" },
	{ 0, 0, 0, "weight U32 4,8|scales U8 4,2" },
	{ 0, 0, 0, "weight U32 4,8|scales U8 4,4" },
	{ 0, 0, 0, "weight U32 4,16|scales U8 4,2" },
	{ QUANT("\"quant_method\":\"gptq\",\"bits\":4,\"checkpoint_format\":\"gptq\""), 0, 0,
	  "qweight I32 8,16|qzeros I32 2,2|scales F16 2,16|g_idx I32 64 =0,1" },
	{ QUANT("\"quant_method\":\"gptq\",\"bits\":3,\"group_size\":32"), 0, 0,
	  "qweight I32 6,32|qzeros I32 2,3|scales F16 2,32|bias F16 32" },
	{ QUANT("\"quant_method\":\"gptq\",\"bits\":8,\"checkpoint_format\":\"gptq_v2\""), 0, 0,
	  "qweight I32 9,12|qzeros I32 3,3|scales BF16 3,12|g_idx I32 36 =2,0,1" },
	{ QUANT("\"quant_method\":\"gptq\",\"bits\":7,\"checkpoint_format\":\"gptq_p\""), 0, 0,
	  "qweight I32 14,32|qzeros I32 2,7|scales F16 2,32|g_idx I32 64 =1" },
	{ QUANT("\"quant_method\":\"auto-round\",\"packing_format\":\"auto_round:auto_gptq\""), 0, 0,
	  "qweight U32 4,16|qzeros U32 1,1|scales F32 1,16" },
	{ QUANT("\"quant_method\":\"awq\",\"version\":\"gemm\",\"group_size\":32"), 0, 0,
	  "qweight I32 64,5|qzeros I32 2,5|scales F16 2,40" },
	{ QUANT("\"quant_method\":\"awq\",\"version\":\"gemv\",\"group_size\":64"), 0, 0,
	  "qweight I32 6,16|qzeros I32 6,2|scales F16 6,16" },
	{ QUANT("\"quant_method\":\"awq\",\"zero_point\":false"), 0, 0, "qweight I32 48,2|scales F16 3,16" },
	{ 0, 0, 0,
	  "weight U8 80,1|weight.absmax F32 3|weight.quant_map F32 16|weight.quant_state.bitsandbytes__nf4 U8 "
	  "=\"{\"quant_type\":\"nf4\",\"blocksize\":64,\"dtype\":\"bfloat16\",\"shape\":[16,10]}" },
	{ 0, 0, 0,
	  "weight BF16 41,1|weight.absmax U8 6|weight.quant_map F32 16|weight.nested_absmax F32 2|weight.nested_quant_map F32 "
	  "256|weight.quant_state.bitsandbytes__fp4 U8 "
	  "=\"{\"blocksize\":32,\"shape\":[3,54],\"nested_blocksize\":4,\"nested_offset\":0.25}" },
	{ 0, 0, 0,
	  "weight U8 8,1|weight_absmax F32 1|weight_quant_map F32 16|weight_quant_state U8 =\"{\"blocksize\":64,\"shape\":[15]}" },
	{ 0, 0, 0, "weight I8 5,6|SCB F32 5|weight_format U8 =0" },
	{ QUANT("\"config_groups\":{\"a\":{\"weights\":{\"num_bits\":4,\"group_size\":32}}}"), 0, 0,
	  "weight_packed I32 3,8|weight_scale BF16 3,2|weight_shape I64 2 =3,64" },
	{ QUANT("\"config_groups\":{\"a\":{\"weights\":{\"num_bits\":3,\"group_size\":16}}}"), 0, 0,
	  "weight_packed I32 6,5|weight_scale F16 6,3|weight_shape I64 2 =6,48|weight_zero_point I32 1,3|weight_g_idx I32 48 =0,2,1" },
	{ 0, 0, 0, "weight_packed I32 2,4,20|weight_scale F32 2,4,1|weight_shape I64 2 =4,100|weight_zero_point I8 2,4,1" },
	{ 0, 0, 0, "experts_blocks U8 2,3,4,16|experts_scales U8 2,3,4" },
	{ QUANT("\"quant_method\":\"mxfp4\""), 0, 0, "mlp1.blocks U8 3,2,16|mlp1.scales U8 3,2" },
	{ 0, 0, 0, "weight I8 4,32|scale F8_E8M0 4,2" },
	{ 0, 0, 0, "weight_packed U8 4,32|weight_scale U8 4,2" },
	{ 0, 0, 0, "weight F4 4,64|weight_scale U8 4,2" },
	{ 0, 0, 0, "weight U8 2,4,16|weight_scale F8_E4M3 2,4,2|weight_scale_2 F32 2,2|input_scale F32" },
	{ 0, 0, 0, "weight_packed U8 4,16|weight_scale F8_E4M3 4,2|weight_global_scale F32 1" },
	{ 0, 0, 0,
	  "weight U8 16,32|weight_scale F8_E4M3 128,4|weight_scale_2 F32|bias F32 13|comfy_quant U8 =\"{\"format\":\"nvfp4\"}" },
	{ 0, "_quantization_metadata", "{\"layers\":{\"@\":{\"format\":\"mxfp8\"}}}",
	  "weight F8_E4M3 32,64|weight_scale U8 128,4|bias F16 5" },
	{ 0, "_quantization_metadata", "{\"layers\":{\"@\":{\"format\":\"int8_tensorwise\",\"convrot\":true}}}",
	  "weight I8 4,4|weight_scale F32" },
	{ 0, TORCHAO("Float8Tensor", "\"block_size\":[1,8]", ""), "_weight_qdata F8_E4M3 4,16|_weight_scale F32 4,2" },
	{ 0, TORCHAO("IntxUnpackedToInt8Tensor", "\"block_size\":[1,4]", ",\"zero_point\""),
	  "_weight_qdata I8 5,12|_weight_scale BF16 5,3|_weight_zero_point I8 5,3" },
	{ 0, TORCHAO("MXTensor", "\"block_size\":32,\"elem_dtype\":{\"_data\":\"float8_e5m2\"}", ""),
	  "_weight_qdata F8_E5M2 4,64|_weight_scale F8_E8M0 4,2" },
	{ 0, TORCHAO("NVFP4Tensor", "\"block_size\":16,\"is_swizzled_scales\":true", ",\"per_tensor_scale\""),
	  "_weight_qdata U8 5,16|_weight_scale F8_E4M3 128,4|_weight_per_tensor_scale F32" },
	{ 0, 0, 0, "weight._data I8 4,3,2,2|weight._scale F32 4,1,1,1" },
	{ 0, 0, 0, "weight._data F8_E5M2 4,6|weight._scale BF16" },
	{ 0, 0, 0,
	  "W_q U8 32,6|scale F16 1,6|zero F16 1,6|shape I64 2 =12,32|packing U8 =\"4bit_u8|nbits I32 1|group_size I64 1|axis I64 1" },
	{ 0, 0, 0, "W_q I32 4,16|scale F32 32,1|zero F32 32,1|shape I64 2 =8,64|packing U8 =\"3bit_32|nbits I32 1" },
	{ 0, 0, 0, "W_q F16 4,8|scale F32 32,1|zero F32 32,1|shape I64 2 =8,64|packing U8 =\"1bit_u8" },
	{ QUANT("\"quant_method\":\"bitnet\",\"linear_class\":\"autobitlinear\""), 0, 0, "weight U8 3,10|weight_scale BF16 1" },
	{ QUANT("\"quant_method\":\"gemma\",\"num_bits\":2"), 0, 0,
	  "weight U8 6,4|weight_scale F32 6,1|embedding_quantized U8 5,4" },
	{ QUANT("\"quant_method\":\"gemma\",\"num_bits\":4"), 0, 0,
	  "weight U8 6,4|weight_scale F32 6,1|embedding_quantized I8 5,4|embedding_scale F32 5,1" },
	{ QUANT("\"quant_method\":\"modelopt\""), 0, 0, "weight U8 3,32|weight_scale F32 6,2|pre_quant_scale F32 32" },
	{ QUANT("\"transform_config\":{\"a\":1}"), 0, 0, "weight I8 3,4|weight_scale F32|q_weight I32 4,4|q_scale I32 4" },
	{ 0, 0, 0, "trellis I16 2,3,48|suh F16 32|svh F16 48" },
	{ 0, 0, 0, "B I32 4,16|s F16 1,32|workspace I32 8|weight F8_E4M3 4,4|scale F32 4" },
};
enum { MODULES = sizeof modules / sizeof *modules };

/* What else is looked for. */
static const char *const names[] = {
	"B",
	"B_24",
	"B_meta",
	"Qidxs",
	"SCB",
	"SU",
	"SV",
	"W_q",
	"Wscale",
	"_weight_act_pre_scale",
	"_weight_per_tensor_scale",
	"_weight_qdata",
	"_weight_scale",
	"_weight_zero_point",
	"absmax",
	"axis",
	"bias",
	"biases",
	"bitmask",
	"blocks",
	"centroids.weight",
	"codebooks",
	"codes",
	"col_vals",
	"comfy_quant",
	"compressed",
	"dense_weights",
	"embedding_quantized",
	"embedding_scale",
	"experts_blocks",
	"experts_scales",
	"forward_hadamard_matrix",
	"g_idx",
	"global_scale",
	"group_size",
	"indices",
	"meta",
	"meta.scale2",
	"nbits",
	"packing",
	"pairs",
	"pre_quant_scale",
	"q_groups",
	"q_scale",
	"q_scale_max",
	"q_weight",
	"qbiases",
	"qscale_weight",
	"quant_map",
	"qweight",
	"qzeros",
	"row_offsets",
	"s",
	"s_channel",
	"scale",
	"scale2",
	"scale_packed",
	"scale_weight",
	"scaled_zeros",
	"scales",
	"shape",
	"su",
	"suh",
	"sv",
	"svdquant_lora_a",
	"svh",
	"tables",
	"tables2",
	"theta",
	"trellis",
	"weight",
	"weight.absmax",
	"weight.nested_absmax",
	"weight.nested_quant_map",
	"weight.quant_map",
	"weight.quant_state.bitsandbytes__fp4",
	"weight.quant_state.bitsandbytes__nf4",
	"weight._data",
	"weight._data._data",
	"weight._scale",
	"weight_absmax",
	"weight_format",
	"weight_g_idx",
	"weight_global_scale",
	"weight_packed",
	"weight_quant_map",
	"weight_quant_state",
	"weight_scale",
	"weight_scale_2",
	"weight_scale_inv",
	"weight_scales",
	"weight_scb",
	"weight_shape",
	"weight_weight_scale",
	"weight_weight_scale_2",
	"weight_zero_point",
	"wscales",
	"wzeros",
	"zero",
	"zeros",
};
enum { NAMES = sizeof names / sizeof *names };

static const char *const dtypes[] = {
	"F32", "BF16", "F16", "F64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4",  "I8",	"U8",
	"I16", "U16",  "I32", "U32", "I64",	"U64",	   "BOOL",    "C64", "F6_E2M3",
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* --- A model --------------------------------------------------------------------------------------------------------- */

enum { MAX_TENSORS = 64, MAX_NDIM = 5, MAX_TEXT = 4096, SHARDS = 2 };

/* Of one tensor: above what content/scaled.c asks the budget for. Of those that large only the beginning isn't zero. */
enum { MAX_BYTES = 2 << 20, FILLED = 1 << 16 };

struct tensor {
	char name[128];
	const struct tfs_dtype *dtype;
	unsigned ndim, shard;
	uint64_t shape[MAX_NDIM];
	const char *bytes; /* as struct module has them; NULL: any */
	uint64_t put;	   /* what its first 8 bytes are then; 0: as they were */
};

struct model {
	struct tensor tensors[MAX_TENSORS];
	size_t n;
	char config[MAX_TEXT], key[128], value[MAX_TEXT];
	unsigned shards;
	bool poor; /* there is no memory for what needs much of it */
};

static const uint8_t *input, *input_end;

/* The next byte of the input, 0 behind its end. */
static unsigned next(void)
{
	return input < input_end ? *input++ : 0;
}

/* The same as a number of @n bytes, lowest first. */
static uint64_t next_number(unsigned n)
{
	uint64_t x = 0;

	for (unsigned i = 0; i < n; i++)
		x |= (uint64_t)next() << 8 * i;
	return x;
}

static uint64_t random_state;

static uint64_t below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return n ? random_state % n : 0;
}

static const struct tfs_dtype *dtype_called(const char *name, size_t len)
{
	const struct tfs_dtype *d = tfs_dtype_by_name(name, len);

	CHECK(d && d->safetensors);
	return d;
}

/* @text with @module for each '@'. */
static void put_text(char *ret, size_t size, const char *text, const char *module)
{
	const size_t name = strlen(module);
	char *end = ret + size - name - 1;

	for (; text && *text && ret < end; text++)
		if (*text == '@')
			ret = mempcpy(ret, module, name);
		else
			*ret++ = *text;
	*ret = 0;
}

static void add_tensor(struct model *m, const char *module, const char *spec, size_t len)
{
	struct tensor *t = &m->tensors[m->n];
	const char *end = spec + len, *type = memchr(spec, ' ', len), *at;

	if (m->n == MAX_TENSORS)
		return;
	m->n++;
	*t = (struct tensor){ .shard = (unsigned)m->n % m->shards };
	snprintf(t->name, sizeof t->name, "%s.%.*s", module, (int)(type++ - spec), spec);
	for (at = type; at < end && *at != ' '; at++)
		;
	t->dtype = dtype_called(type, (size_t)(at - type));
	if (at++ < end && *at != '=') {
		do {
			CHECK(t->ndim < MAX_NDIM);
			t->shape[t->ndim++] = strtoull(at, (char **)&at, 10);
		} while (at < end && *at++ == ',');
	}
	if (at >= end || *at != '=')
		return;
	t->bytes = at + 1;
	if (at[1] == '"') {
		t->ndim = 1;
		t->shape[0] = (uint64_t)(end - at - 2);
	} else if (!t->ndim) {
		t->shape[t->ndim++] = 1;
	}
}

static void add_module(struct model *m, unsigned index)
{
	const struct module *from = &modules[index % MODULES];
	char name[16];

	snprintf(name, sizeof name, "m%zu", m->n);
	if (!*m->config)
		put_text(m->config, sizeof m->config, from->config, name);
	if (!*m->key) {
		put_text(m->key, sizeof m->key, from->key, name);
		put_text(m->value, sizeof m->value, from->value, name);
	}
	for (const char *at = from->tensors, *end; *at; at = *end ? end + 1 : end) {
		end = at + strcspn(at, "|");
		add_tensor(m, name, at, (size_t)(end - at));
	}
}

/* A dimension: small, or a power of two, or one off. */
static uint64_t dimension(void)
{
	unsigned n = next();

	return n < 160 ? n : (UINT64_C(1) << (n - 160) % 64) - (n >= 224);
}

/* Overwrite @n characters of a text from somewhere on. */
static void edit_text(char *text, size_t size)
{
	size_t len = strlen(text), at = next_number(2) % (len + 1), n = next() % 16;

	for (; n-- && at + 1 < size; at++) {
		if (at >= len)
			text[at + 1] = 0;
		text[at] = (char)(next() & 0x7f);
		if (!text[at])
			return;
	}
}

static void edit(struct model *m)
{
	unsigned what = next(), which = next();
	struct tensor *t = m->n ? &m->tensors[which % m->n] : NULL;
	char *tail;

	if (!t || what % 12 == 11) {
		add_module(m, which);
		return;
	}
	switch (what % 12) {
	case 0: /* leave it out */
		*t = m->tensors[--m->n];
		break;
	case 1:
		which = next() % DTYPES;
		t->dtype = dtype_called(dtypes[which], strlen(dtypes[which]));
		break;
	case 2:
		which = next();
		if (t->ndim)
			t->shape[which % t->ndim] = dimension();
		break;
	case 3:
		t->ndim = next() % (MAX_NDIM + 1);
		break;
	case 4: /* another name in its module */
		tail = strchr(t->name, '.') + 1;
		snprintf(tail, sizeof t->name - (size_t)(tail - t->name), "%s", names[next() % NAMES]);
		break;
	case 5: /* another tensor in its module */
		if (m->n == MAX_TENSORS)
			break;
		m->tensors[m->n] = *t;
		t = &m->tensors[m->n++];
		tail = strchr(t->name, '.') + 1;
		snprintf(tail, sizeof t->name - (size_t)(tail - t->name), "%s", names[next() % NAMES]);
		break;
	case 6:
		t->shard = next() % SHARDS;
		break;
	case 7: /* its bytes are any */
		t->bytes = NULL;
		break;
	case 8:
		t->put = next_number(3);
		t->put |= next_number(1) << 56;
		break;
	case 9:
		edit_text(m->config, sizeof m->config);
		break;
	case 10:
		edit_text(m->value, sizeof m->value);
		break;
	}
}

/* Is there an earlier tensor of its name in its file? */
static bool is_twice(const struct model *m, size_t which)
{
	const struct tensor *t = &m->tensors[which];

	for (size_t i = 0; i < which; i++)
		if (!strcmp(m->tensors[i].name, t->name) && m->tensors[i].shard % m->shards == t->shard % m->shards)
			return true;
	return false;
}

static void make_model(struct model *m)
{
	unsigned flags = next(), n = next() % 6;

	memset(m, 0, sizeof *m);
	m->shards = flags & 1 ? SHARDS : 1;
	m->poor = (flags & 7) > 5;
	random_state = 0x9e3779b97f4a7c15u + flags;
	while (n--)
		add_module(m, next());
	while (input < input_end)
		edit(m);
	for (size_t i = 0; i < m->n; i++)
		if (is_twice(m, i))
			m->tensors[i--] = m->tensors[--m->n];
}

/* --- Its files ------------------------------------------------------------------------------------------------------- */

static char dir[64];

/* All that may be in it; the last ones are of a model of several files. */
static const char *const files[] = { "config.json", "model.safetensors", "model-00001-of-00002.safetensors",
				     "model-00002-of-00002.safetensors" };
enum { CONFIG, ONE, FIRST, FILES = sizeof files / sizeof *files };

static const char *path_of(unsigned file)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, files[file]);
	return path;
}

static void remove_files(void)
{
	for (unsigned i = 0; i < FILES; i++)
		unlink(path_of(i));
}

static void remove_dir(void)
{
	remove_files();
	rmdir(dir);
}

/* In memory, if there is such a place. */
static void make_dir(void)
{
	if (*dir)
		return;
	strcpy(dir, "/dev/shm/fuzz-XXXXXX");
	if (!mkdtemp(dir)) {
		strcpy(dir, "/tmp/fuzz-XXXXXX");
		CHECK(mkdtemp(dir));
	}
	atexit(remove_dir);
	/* meson has malloc() fill all that it gives out, and here that is MiBs for a few bytes each time. */
	mallopt(M_PERTURB, 0);
}

static int create(unsigned file)
{
	int fd = open(path_of(file), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	return fd;
}

static void put_all(int fd, const void *bytes, size_t len, uint64_t at)
{
	CHECK(pwrite(fd, bytes, len, (off_t)at) == (ssize_t)len);
}

/* The tensor's size. What is too large, or ends within a byte, has no elements instead. */
static uint64_t settle(struct tensor *t)
{
	uint64_t n;

	if (tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &n) || n > MAX_BYTES) {
		if (!t->ndim)
			t->ndim = 1;
		t->shape[0] = 0;
	}
	if (tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &n)) {
		t->ndim = 1;
		CHECK(!tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &n));
	}
	return n;
}

static void fill(const struct tensor *t, uint8_t *buf, size_t len)
{
	const size_t width = t->dtype->block_bytes;
	const char *at = t->bytes;
	uint64_t put = htole64(t->put);

	if (at && *at == '"') {
		const size_t n = strcspn(at + 1, "|");

		memcpy(buf, at + 1, n < len ? n : len);
		memset(buf + (n < len ? n : len), ' ', len - (n < len ? n : len));
	} else if (at) {
		for (size_t i = 0; i + width <= len; i += width) {
			uint64_t x = htole64(strtoull(at, (char **)&at, 10));

			memcpy(buf + i, &x, width < sizeof x ? width : sizeof x);
			at = *at == ',' ? at + 1 : t->bytes;
		}
	} else {
		for (size_t i = 0; i < len; i++)
			buf[i] = (uint8_t)below(256);
	}
	if (put)
		memcpy(buf, &put, len < sizeof put ? len : sizeof put);
}

/* A text in JSON. */
static void put_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++)
		if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20 || *s == 0x7f)
			fprintf(f, "\\u%04x", *s);
		else
			fputc(*s, f);
	fputc('"', f);
}

static void put_shard(struct model *m, unsigned file, unsigned shard)
{
	static uint8_t buf[FILLED];
	static char header[1 << 16];
	FILE *f = fmemopen(header, sizeof header, "w");
	int fd = create(file);
	uint64_t at = 0, n, prefix;
	bool any = false;

	CHECK(f);
	fputc('{', f);
	if (*m->key) {
		fprintf(f, "\"__metadata__\":{");
		put_string(f, m->key);
		fputc(':', f);
		put_string(f, m->value);
		fputc('}', f);
		any = true;
	}
	for (size_t i = 0; i < m->n; i++) {
		struct tensor *t = &m->tensors[i];

		if (t->shard % m->shards != shard)
			continue;
		n = settle(t);
		fprintf(f, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", any ? "," : "", t->name, t->dtype->name);
		for (unsigned k = 0; k < t->ndim; k++)
			fprintf(f, "%s%llu", k ? "," : "", (unsigned long long)t->shape[k]);
		fprintf(f, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at, (unsigned long long)(at + n));
		at += n;
		any = true;
	}
	fputc('}', f);
	const long len = ftell(f);
	CHECK(len > 0 && !fclose(f) && len < (long)sizeof header - 1);
	prefix = htole64((uint64_t)len);
	put_all(fd, &prefix, sizeof prefix, 0);
	put_all(fd, header, (size_t)len, sizeof prefix);
	at = sizeof prefix + (uint64_t)len;
	for (size_t i = 0; i < m->n; i++) {
		struct tensor *t = &m->tensors[i];

		if (t->shard % m->shards != shard)
			continue;
		n = settle(t);
		const size_t filled = n < sizeof buf ? n : sizeof buf;
		fill(t, buf, filled);
		put_all(fd, buf, filled, at);
		at += n;
	}
	CHECK(!ftruncate(fd, (off_t)at));
	close(fd);
}

static void put_model(struct model *m)
{
	int fd;

	make_dir();
	remove_files();
	if (*m->config) {
		fd = create(CONFIG);
		put_all(fd, m->config, strlen(m->config), 0);
		close(fd);
	}
	for (unsigned i = 0; i < m->shards; i++)
		put_shard(m, m->shards == 1 ? ONE : FIRST + i, i);
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

struct budget {
	uint64_t limit, used, most;
};

static uint64_t take(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	struct budget *b = arg;

	(void)priority;
	CHECK(least && least <= want);
	if (b->limit - b->used < want)
		return 0;
	b->used += want;
	b->most = b->used > b->most ? b->used : b->most;
	return want;
}

static void give(void *arg, uint64_t bytes)
{
	struct budget *b = arg;

	CHECK(bytes && bytes <= b->used);
	b->used -= bytes;
}

struct reader {
	struct tfs_extractor *x;
	struct budget budget;
	void *scratch;
};

/* A buffer of that size and alignment, so that a sanitizer sees what is beyond. */
static uint8_t *buffer(size_t len)
{
	uint8_t *b = aligned_alloc(TFS_IO_ALIGN, (len + 3 * TFS_IO_ALIGN - 1) / TFS_IO_ALIGN * TFS_IO_ALIGN);

	CHECK(b);
	return b;
}

/* NaNs are equal: which payload one has depends on the instruction. */
static bool same(const uint8_t *a, const uint8_t *b, size_t len, const char *dtype)
{
	uint32_t x = 0, y = 0, above = !strcmp(dtype, "F32") ? 0x7f800000 : !strcmp(dtype, "BF16") ? 0x7f80 : 0x7c00;
	const size_t width = above > UINT16_MAX ? 4 : 2;
	const uint32_t no_sign = above > UINT16_MAX ? 0x7fffffff : 0x7fff;

	if (!memcmp(a, b, len))
		return true;
	CHECK(len % width == 0);
	for (size_t i = 0; i < len; i += width) {
		memcpy(&x, a + i, width);
		memcpy(&y, b + i, width);
		x = le32toh(x);
		y = le32toh(y);
		if (x != y && ((x & no_sign) <= above || (y & no_sign) <= above))
			return false;
	}
	return true;
}

static int read_values(struct reader *rd, const struct tfs_tensor *t, uint64_t at, size_t len, uint8_t *buf,
		       struct tfs_read_request *rq)
{
	struct tfs_content c = tfs_content_of_tensor(t);

	*rq = (struct tfs_read_request){ .at = at, .len = len, .buf = buf, .scratch = rd->scratch, .err.offset = TFS_NO_OFFSET };
	int r = c.ops->read(c.of, rd->x, rq);
	CHECK(!r || ((r == -EIO || r == -ENOMEM) && rq->err.code == r && rq->err.what[0]));
	return r;
}

/* More of a weight isn't read at once. */
enum { MOST = 4 << 20 };

static void check_pieces(struct reader *rd, const struct tfs_tensor *t)
{
	const uint64_t all = t->nbytes / sizeof(float), whole = t->nbytes < MOST ? all : MOST / sizeof(float);
	const uint64_t from = all - whole;
	uint8_t *want = buffer(whole * sizeof(float));
	struct tfs_read_request rq;
	int r = read_values(rd, t, from * sizeof(float), whole * sizeof(float), want, &rq);
	const uint8_t *values = rq.data;

	CHECK(rd->budget.used == 0 || (!r && from));
	for (uint64_t at = 0, n; at < whole; at += n) {
		n = 1 + below(whole / 3 + 2);
		n = n < whole - at ? n : whole - at;
		uint8_t *buf = buffer(n * sizeof(float));
		CHECK(read_values(rd, t, (from + at) * sizeof(float), n * sizeof(float), buf, &rq) == r);
		CHECK(r || same(rq.data, values + at * sizeof(float), n * sizeof(float), "F32"));
		free(buf);
	}
	free(want);
}

/* Rounded, from any byte to any other. */
static void check_narrow(struct reader *rd, const struct tfs_tensor *t, const char *dtype)
{
	const struct tfs_dtype *as = tfs_dtype_by_name(dtype, strlen(dtype));
	struct tfs_read_request rq = { .scratch = rd->scratch, .err.offset = TFS_NO_OFFSET };
	uint64_t nbytes;
	size_t too_large;

	CHECK(!tfs_dtype_nbytes(as, t->shape, t->ndim, &nbytes));
	const size_t whole = nbytes < MOST ? nbytes : MOST;
	uint8_t *want = malloc(whole + 1), *got = malloc(whole + 1);
	CHECK(want && got);
	int r = tfs_values_copy(rd->x, t, as, 0, whole, want, &rq, &too_large);
	CHECK(!r || ((r == -EIO || r == -ENOMEM) && rq.err.code == r && rq.err.what[0]));
	CHECK(too_large <= whole / as->block_bytes);
	for (size_t at = 0, n; at < whole; at += n) {
		n = 1 + below(whole + 1);
		n = n < whole - at ? n : whole - at;
		CHECK(tfs_values_copy(rd->x, t, as, at, n, got + at, &rq, &too_large) == r);
	}
	CHECK(r || same(got, want, whole, dtype));
	free(want);
	free(got);
}

/* Does what is computed lie within what is stored? */
static void check_weight(const struct tfs_set *set, const struct tfs_tensor *t, uint64_t most)
{
	const struct tfs_scaled w = tfs_scaled_of(t);
	const uint64_t rows = w.experts * w.rows;
	uint64_t nbytes, stored = 0;

	CHECK(t->dtype == tfs_dtype_by_name("F32", 3) && !t->code);
	CHECK(!tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &nbytes) && nbytes == t->nbytes);
	CHECK(t->nbytes / sizeof(float) == rows * w.cols);
	for (unsigned i = 0; i < w.n_parts; i++) {
		CHECK(w.parts[i] >= set->tensors && w.parts[i] < set->tensors + set->n_tensors);
		stored += w.parts[i]->nbytes;
	}
	CHECK(w.parts[0]->code);
	CHECK(most <= 9 * stored);
	if (w.packing == TFS_PACKED_OTHERWISE || !t->nbytes)
		return;
	const uint64_t row = w.packing == TFS_PACKED_WORDS ? (w.cols + 32 / w.bits - 1) / (32 / w.bits) * 4 :
							     (w.cols * w.bits + 7) / 8;
	CHECK(row <= w.row_bytes && rows * w.row_bytes <= w.parts[0]->nbytes + (rows == 1 ? w.row_bytes - row : 0));
}

static void check_set(const struct tfs_set *set, struct reader *rd)
{
	for (size_t i = 0; i < tfs_set_n_all(set); i++) {
		const struct tfs_tensor *t = tfs_set_tensor(set, i);
		const bool scaled = i >= set->n_tensors, shown = tfs_view_shows(TFS_F32, t);
		size_t stored = tfs_set_find(set, t->name, t->name_len);

		CHECK(!t->code || (!shown && !tfs_has_values(t)));
		CHECK(!scaled || shown);
		/* Of each name one at most is shown. */
		CHECK(!scaled || stored == SIZE_MAX || set->tensors[stored].code);
		CHECK(i <= set->n_tensors || !scaled || tfs_name_cmp(t[-1].name, t[-1].name_len, t->name, t->name_len) < 0);
		rd->budget.most = 0;
		if (scaled && t->nbytes)
			check_pieces(rd, t);
		if (shown && t->nbytes && (scaled || t->nbytes <= FILLED))
			check_narrow(rd, t, below(2) ? "BF16" : "F16");
		if (scaled)
			check_weight(set, t, rd->budget.most);
		tfs_extractor_trim(rd->x, 0);
		CHECK(!rd->budget.used);
	}
}

static void check_model(const struct tfs_model *m, uint64_t limit)
{
	static uint8_t *scratch;
	struct tfs_sources *sources = tfs_sources_create(m, false);

	if (!scratch)
		scratch = buffer(TFS_EXTRACT_SCRATCH);
	struct reader rd = { .budget.limit = limit, .scratch = scratch };
	CHECK(sources);
	rd.x = tfs_extractor_create(sources, &(struct tfs_staging_memory){ take, give, &rd.budget });
	CHECK(rd.x);
	for (size_t i = 0; i < m->n_sets; i++)
		check_set(&m->sets[i], &rd);
	tfs_extractor_destroy(rd.x);
	tfs_sources_destroy(sources);
}

static void warned(void *arg, const struct tfs_error *warning)
{
	(void)arg;
	CHECK(warning->code < 0 && warning->what[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	struct tfs_model *m;
	struct tfs_error err;

	input = data;
	input_end = data + size;
	make_model(&model);
	put_model(&model);
	if (tfs_model_open(dir, 1, warned, NULL, &m, &err)) {
		CHECK(err.code == -EINVAL && err.what[0]);
		return 0;
	}
	check_model(m, model.poor ? 0 : UINT64_MAX);
	tfs_model_destroy(m);
	return 0;
}
