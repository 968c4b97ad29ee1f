/* SPDX-License-Identifier: MIT */
/* Directories of a few kilobytes that have much of what a scan may find: shards, several sets, other formats, quantised weights. */
#ifndef TEST_SMALL_MODELS_H
#define TEST_SMALL_MODELS_H

#include "support/encoded.h"

/* Shards, of which two have a tensor of the same name; other sets; another format; links; what is broken, missing, unfinished. */
static inline void put_sets(const char *dir)
{
	struct member members[] = {
		{ .name = "plain", .rows = 20, .cols = 30, .width = 1 },
		{ .name = "other",
		  .rows = 30,
		  .cols = 40,
		  .width = 2,
		  .fortran = true,
		  .big = true,
		  .deflated = true,
		  .base = 1 << 20 },
	};

	assert_int_equal(mkdir(in_tree(dir, "vae"), 0755), 0);
	put_safetensors(dir, "model-00001-of-00003.safetensors",
			"{\"__metadata__\":{\"format\":\"pt\",\"by\":\"a\"},"
			"\"a\":{\"dtype\":\"BF16\",\"shape\":[2,5],\"data_offsets\":[0,20]},"
			"\"norm\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[20,24]}}",
			24);
	put_safetensors(dir, "model-00002-of-00003.safetensors",
			"{\"__metadata__\":{\"format\":\"pt\",\"by\":\"b\"},"
			"\"b\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
			"\"norm\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[6,10]}}",
			10);
	put_text(dir, "model.safetensors.index.json",
		 "{\"metadata\":{},\"weight_map\":{\"a\":\"model-00001-of-00003.safetensors\","
		 "\"b\":\"model-00002-of-00003.safetensors\",\"norm\":\"model-00002-of-00003.safetensors\","
		 "\"gone\":\"model-00003-of-00003.safetensors\"}}");
	put_safetensors(dir, "adapter_model.safetensors", "{\"lora_A\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
			4);
	put_safetensors(dir, "vae/diffusion_pytorch_model.safetensors",
			"{\"d\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 16);
	put_text(dir, "broken.safetensors", "{}");
	put_text(dir, "more.safetensors.part", "no");
	put_text(dir, "README.md", "A model.");
	put_text(dir, "config.json", "{\"model_type\":\"llama\"}");
	put_npz(dir, "arrays.npz", members, LENGTH(members));
	assert_int_equal(symlink("vae/diffusion_pytorch_model.safetensors", in_tree(dir, "link.safetensors")), 0);
	assert_int_equal(symlink("nowhere", in_tree(dir, "dangling.safetensors")), 0);
}

/* Names, types, shapes and maybe bytes of tensors; config.json; one pair of metadata. As in tests/fuzz/fuzz-schemes.c. */
static const struct quantised {
	const char *name, *tensors, *config, *key, *value;
} all_quantised[] = {
	{ "fp8", "m.weight F8_E4M3 9,20|m.weight_scale_inv F32 3,3",
	  "{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[4,8]}}" },
	{ "gptq", "m.qweight I32 8,16|m.qzeros I32 2,2|m.scales F16 2,16|m.g_idx I32 64 =0,1",
	  "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"checkpoint_format\":\"gptq\"}}" },
	{ "awq", "m.qweight I32 64,5|m.qzeros I32 2,5|m.scales F16 2,40",
	  "{\"quantization_config\":{\"quant_method\":\"awq\",\"version\":\"gemm\",\"group_size\":32}}" },
	{ "mlx", "m.weight U32 3,12|m.scales BF16 3,2|m.biases BF16 3,2", "{\"quantization\":{\"group_size\":64,\"bits\":3}}" },
	{ "bnb", "m.weight U8 80,1|m.weight.absmax F32 3|m.weight.quant_map F32 16|m.weight.quant_state.bitsandbytes__nf4 U8 70 "
		 "={\"quant_type\":\"nf4\",\"blocksize\":64,\"dtype\":\"bfloat16\",\"shape\":[16,10]}" },
	{ "ct-pack", "m.weight_packed I32 3,8|m.weight_scale BF16 3,2|m.weight_shape I64 2 =3,64",
	  "{\"quantization_config\":{\"config_groups\":{\"a\":{\"weights\":{\"num_bits\":4,\"group_size\":32}}}}}" },
	{ "mxfp4", "m.experts_blocks U8 2,3,4,16|m.experts_scales U8 2,3,4" },
	{ "nvfp4", "m.weight_packed U8 4,16|m.weight_scale F8_E4M3 4,2|m.weight_global_scale F32 1" },
	{ "comfy", "m.weight F8_E4M3 32,64|m.weight_scale U8 128,4|m.bias F16 5", NULL, "_quantization_metadata",
	  "{\"layers\":{\"m\":{\"format\":\"mxfp8\"}}}" },
	{ "torchao", "m._weight_qdata F8_E4M3 4,16|m._weight_scale F32 4,2", NULL, "m.weight",
	  "{\"_type\":\"Float8Tensor\",\"_data\":{\"block_size\":[1,8]},\"_tensor_data_names\":[\"qdata\",\"scale\"]}" },
	{ "hqq", "m.W_q U8 32,6|m.scale F16 1,6|m.zero F16 1,6|m.shape I64 2 =12,32|m.nbits I32 1 =4|"
		 "m.packing U8 7 =52,98,105,116,95,117,56" /* 4bit_u8 */ },
	{ "int8", "m.weight I8 6,9|m.weight_scale F32 6,1" },
};

static inline void put_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++)
		fprintf(f, *s == '"' ? "\\%c" : "%c", *s);
	fputc('"', f);
}

/* One tensor, "NAME TYPE DIMENSIONS", or with " =" and its bytes: a text in JSON, or numbers, again and again. Its entry and its bytes. */
static inline void put_tensor(FILE *header, FILE *data, const char *spec, size_t len)
{
	char name[100], type[20], dims[40];
	const char *bytes = memchr(spec, '=', len), *next = bytes;
	uint64_t at = (uint64_t)ftell(data), nbytes = 0, n = 1;
	const struct tfs_dtype *d;

	assert_int_equal(sscanf(spec, "%99s %19s %39[0-9,]", name, type, dims), 3);
	d = tfs_dtype_by_name(type, strlen(type));
	for (char *p = dims; *p; p += *p == ',')
		n *= strtoull(p, &p, 10);
	nbytes = n * d->block_bytes;
	for (uint64_t i = 0; i < n; i++) {
		const bool text = bytes && bytes[1] == '{';
		uint64_t x = text ? (uint8_t)bytes[i + 1] : bytes ? strtoull(next + 1, (char **)&next, 10) : 0x3c3d3c3d3c3d3c3d;

		if (next && *next != ',')
			next = bytes;
		for (unsigned k = 0; k < d->block_bytes; k++)
			fputc((int)(x >> 8 * k & 255), data);
	}
	fprintf(header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%llu,%llu]}", name, type, dims,
		(unsigned long long)at, (unsigned long long)(at + nbytes));
}

static inline void put_quantised(const char *dir, const struct quantised *q)
{
	char *header, *data;
	size_t header_len, data_len, len;
	FILE *h = open_memstream(&header, &header_len), *d = open_memstream(&data, &data_len);

	fprintf(h, "{\"__metadata__\":{");
	put_string(h, q->key ? q->key : "format");
	fputc(':', h);
	put_string(h, q->value ? q->value : "pt");
	fputc('}', h);
	for (const char *at = q->tensors; *at; at += strspn(at, "|")) {
		len = strcspn(at, "|");
		put_tensor(h, d, at, len);
		at += len;
	}
	fputc('}', h);
	fclose(h);
	fclose(d);
	char *file = make_safetensors(header, header_len, data_len, &len);
	memcpy(file + len - data_len, data, data_len);
	put_file(dir, "model.safetensors", file, len);
	if (q->config)
		put_text(dir, "config.json", q->config);
	free(header);
	free(data);
	free(file);
}

#endif
