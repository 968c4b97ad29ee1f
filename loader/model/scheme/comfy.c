/* SPDX-License-Identifier: MIT */
/*
 * What ComfyUI names a format of, for each layer: in a tensor LAYER.comfy_quant, JSON in bytes, or in the file's _quantization_metadata
 * (comfy/utils.py, convert_old_quants()). Its NVFP4 and MXFP8 have the names and types of others, but not their order: the first of two
 * codes is in the high half, scales are in tiles, rows and columns are padded (comfy-kitchen, backends/eager/quantization.py). Its plain
 * formats are left to the schemes of these, and all others refused: their values depend on more than a scale.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/scheme/mx.h"

/* An object with a name and a few numbers. */
enum { MAX_MARKER = 4096 };

/* What is said of the layer of the weight @t. 1, with a reference; 0: nothing; -EINVAL: it can't be read; -ENOMEM. */
static int read_layer(struct tfs_schemes *s, const struct tfs_tensor *t, size_t weight, json_t **ret_layer)
{
	const struct tfs_tensor *marker = tfs_schemes_part(s, t, weight, "comfy_quant");
	const json_t *layers;
	char text[MAX_MARKER];

	if (marker) {
		int64_t len = tfs_is(marker, "U8") ? tfs_schemes_read(s, marker, text, sizeof text) : -1;

		*ret_layer = len < 0 ? NULL : tfs_schemes_json(s, text, (size_t)len);
		return *ret_layer ? 1 : -EINVAL;
	}
	int r = tfs_schemes_comfy_layers(s, t, &layers);
	if (r <= 0)
		return r;
	/* A module's name, without the dot after it. */
	cleanup_free char *name = strndup(t->name, t->name_len - weight - (t->name_len > weight));
	if (!name)
		return -ENOMEM;
	*ret_layer = json_incref(json_object_get(layers, name));
	return !!*ret_layer;
}

/* The rows of the weight, which its bias tells; without one those that it was padded to. 0: the bias is of another weight. */
static uint64_t true_rows(struct tfs_schemes *s, const struct tfs_tensor *t, size_t weight, uint64_t multiple)
{
	const struct tfs_tensor *bias = tfs_schemes_part(s, t, weight, "bias");
	const uint64_t rows = t->shape[0];

	if (!bias || bias->ndim != 1 || bias->shape[0] == rows)
		return rows;
	return bias->shape[0] < rows && rows - bias->shape[0] < multiple && !(rows % multiple) ? bias->shape[0] : 0;
}

/* The scales of what is going to be refused. */
static void hide_scales(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const struct tfs_tensor *scale = tfs_schemes_part(s, t, 0, "_scale");

	if (scale)
		tfs_schemes_hide(s, scale);
}

static int add(struct tfs_schemes *s, const struct tfs_tensor *t, size_t weight, struct tfs_scaled *w, struct tfs_mx *how)
{
	uint64_t shape[TFS_MAX_DIMS];
	unsigned ndim = 2;
	char codes[TFS_SHAPE_SIZE];

	how->tiled = true;
	w->parts[0] = t;
	w->parts[1] = tfs_schemes_part(s, t, 0, "_scale");
	if (!w->parts[1])
		return tfs_schemes_refuse(s, t, w->scheme, "its scales are missing");
	if (t->ndim != 2) {
		hide_scales(s, t);
		return tfs_schemes_refuse(s, t, w->scheme, "codes of %s aren't those of a matrix", tfs_shape_of(t, codes));
	}
	how->tile_rows = t->shape[0];
	memcpy(shape, t->shape, sizeof *shape * ndim);
	if (w->bits == 4 && !tfs_mx_fp4_shape(t, shape))
		ndim = 0;
	/* Padded to 16 rows, and to 32 in MXFP8. */
	shape[0] = true_rows(s, t, weight, w->bits == 4 ? 16 : 32);
	if (!shape[0] && t->shape[0]) {
		hide_scales(s, t);
		return tfs_schemes_refuse(s, t, w->scheme, "its bias doesn't go with codes of %s", tfs_shape_of(t, codes));
	}
	return tfs_mx_add(s, t->name, t->name_len, shape, ndim, how, w);
}

static int add_nvfp4(struct tfs_schemes *s, const struct tfs_tensor *t, size_t weight)
{
	struct tfs_mx how = { .group = 16, .e4m3 = true };
	struct tfs_scaled w = TFS_MX_FP4;

	w.scheme = tfs_scheme_nvfp4.name;
	w.formula = "code * (scale * scale_2), the first code in the high half, scales in tiles";
	w.packing = TFS_PACKED_HIGH_FIRST;
	w.parts[2] = tfs_schemes_part(s, t, 0, "_scale_2");
	w.n_parts = 3;
	if (!tfs_is(t, "U8") || !w.parts[2]) {
		hide_scales(s, t);
		return tfs_schemes_refuse(s, t, w.scheme,
					  tfs_is(t, "U8") ? "its second scale is missing" : "its codes aren't of type U8");
	}
	return add(s, t, weight, &w, &how);
}

static int add_mxfp8(struct tfs_schemes *s, const struct tfs_tensor *t, size_t weight)
{
	struct tfs_mx how = { .group = 32 };
	struct tfs_scaled w = { .scheme = "mxfp8",
				.formula = "code * scale, scales in tiles",
				.ops = &tfs_mx_ops,
				.n_parts = 2,
				.bits = 8,
				.factor = 1,
				.value = TFS_VALUE_E4M3 };

	if (!tfs_is(t, "F8_E4M3")) {
		hide_scales(s, t);
		return tfs_schemes_refuse(s, t, w.scheme, "its codes are of type %s", t->dtype->name);
	}
	return add(s, t, weight, &w, &how);
}

static int add_as(struct tfs_schemes *s, const struct tfs_tensor *t, size_t weight, const json_t *layer)
{
	static const char *const plain[] = { "float8_e4m3fn", "float8_e5m2", "int8_tensorwise" };
	const char *format = tfs_config_string(layer, "format");
	char quoted[TFS_QUOTE_SIZE];

	if (json_is_true(json_object_get(layer, "convrot"))) {
		hide_scales(s, t);
		return tfs_schemes_refuse(s, t, tfs_scheme_comfy.name, "it is rotated (convrot), which isn't undone");
	}
	if (!strcmp(format, "nvfp4"))
		return add_nvfp4(s, t, weight);
	if (!strcmp(format, "mxfp8"))
		return add_mxfp8(s, t, weight);
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (!strcmp(format, plain[i]))
			return tfs_schemes_part(s, t, 0, "_scale") || tfs_schemes_part(s, t, weight, "scale_weight") ?
				       0 :
				       tfs_schemes_refuse(s, t, tfs_scheme_comfy.name, "its scale is missing");
	hide_scales(s, t);
	return tfs_schemes_refuse(s, t, tfs_scheme_comfy.name, "its format %s isn't supported",
				  tfs_quote(quoted, sizeof quoted, format, strlen(format)));
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const size_t weight = tfs_schemes_weight(t);
	json_t *layer = NULL;
	int r;

	if (tfs_is(t, "U8") && tfs_name_ends(t, "comfy_quant")) {
		tfs_schemes_hide(s, t); /* JSON, no numbers */
		return 1;
	}
	if (weight == SIZE_MAX)
		return 0;
	r = read_layer(s, t, weight, &layer);
	if (!r || r == -ENOMEM)
		return r;
	if (r < 0) {
		hide_scales(s, t);
		return tfs_schemes_refuse(s, t, tfs_scheme_comfy.name, "what the file says of its format can't be read");
	}
	r = add_as(s, t, weight, layer);
	json_decref(layer);
	return r;
}

const struct tfs_scheme tfs_scheme_comfy = { "comfy_quant", find };
