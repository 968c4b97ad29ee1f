/* SPDX-License-Identifier: MIT */
/*
 * Schemes: which tensors of a set are the codes of a quantised weight, what belongs to them, and how its values are computed from
 * these. Determined for each tensor by its name, its dtype and the shapes of its companions, across all files of the set; a
 * configuration decides only what these leave open. A scheme is one file in model/scheme/, and a row in schemes.c. Private to
 * model/.
 *
 * Sources of the rules: the references that docs/quantised.md gives for each scheme.
 */
#ifndef TFS_MODEL_SCHEMES_H
#define TFS_MODEL_SCHEMES_H

#include <jansson.h>

#include "model/config.h"
#include "model/impl.h"
#include "tensor/scaled.h"

/* A set that is being searched. */
struct tfs_schemes;

struct tfs_scheme {
	const char *name; /* in meta/ and warnings */
	/*
	 * Is @t, which has a type that codes may have (tfs_schemes_find()), the codes of a weight of this scheme, or what else
	 * identifies one? 1: yes, and it was added or refused; 0: no; -ENOMEM.
	 */
	int (*find)(struct tfs_schemes *s, const struct tfs_tensor *t);
};

/* In the order in which they are tried; the first match wins. */
extern const struct tfs_scheme tfs_scheme_fp8, tfs_scheme_int8;
extern const struct tfs_scheme tfs_scheme_gptq, tfs_scheme_awq;
extern const struct tfs_scheme tfs_scheme_unsupported;
extern const struct tfs_scheme tfs_scheme_incomplete, tfs_scheme_unknown;
extern const struct tfs_scheme tfs_scheme_mlx;
extern const struct tfs_scheme tfs_scheme_bnb;
extern const struct tfs_scheme tfs_scheme_ct_pack;
extern const struct tfs_scheme tfs_scheme_hqq;
extern const struct tfs_scheme tfs_scheme_mxfp4;
extern const struct tfs_scheme tfs_scheme_nvfp4;
extern const struct tfs_scheme tfs_scheme_comfy;
extern const struct tfs_scheme tfs_scheme_torchao;
extern const struct tfs_scheme tfs_scheme_quanto;
extern const struct tfs_scheme tfs_scheme_bitnet;
extern const struct tfs_scheme tfs_scheme_gemma;
extern const struct tfs_scheme tfs_scheme_modelopt_int4;

/*
 * The weight whose codes its file has @recipe for (tensor/catalog.h), before any is looked for by name: added or refused. 0 if there are no
 * such codes, or as find(). scheme/recipe.c.
 */
int tfs_scheme_recipe(struct tfs_schemes *s, const struct tfs_recipe *recipe);

/* Find the scaled weights of @set and fill its fields about them. 0 or -ENOMEM. */
int tfs_schemes_find(struct tfs_model_impl *m, struct tfs_set *set);

/* --- For schemes ------------------------------------------------------------------------------------------------------- */

/* The tensor whose name is that of @t without its last @drop bytes, followed by @suffix; NULL: there is none. */
const struct tfs_tensor *tfs_schemes_part(struct tfs_schemes *s, const struct tfs_tensor *t, size_t drop, const char *suffix);

/* The tensor of that name (@len bytes), or NULL. */
const struct tfs_tensor *tfs_schemes_named(struct tfs_schemes *s, const char *name, size_t len);

/* What is looked through. */
const struct tfs_set *tfs_schemes_set(const struct tfs_schemes *s);

/* Does the name of @t end so? */
bool tfs_name_ends(const struct tfs_tensor *t, const char *suffix);

/*
 * Bytes of a final "weight" in the name of @t: to be dropped to get names of other tensors of its module. SIZE_MAX: it has none.
 */
size_t tfs_schemes_weight(const struct tfs_tensor *t);

/* Does it have the built-in type of that name? */
bool tfs_is(const struct tfs_tensor *t, const char *dtype);

/* Does it have a type of plain numbers: F64, F32, BF16 or F16? */
bool tfs_is_float(const struct tfs_tensor *t);

uint64_t tfs_n_elems(const struct tfs_tensor *t); /* of a tensor that fits in memory, so it can't overflow */

/*
 * The quantisation configuration of the set's directory, an object: docs/quantised.md. NULL: there is none, or one that can't be read;
 * then a weight for which it was asked is refused when it is added. Valid as long as @s.
 */
const json_t *tfs_schemes_config(struct tfs_schemes *s);
/* Is there one, even one that can't be read? */
bool tfs_schemes_has_config(struct tfs_schemes *s);
/* All of config.json, or NULL. */
const json_t *tfs_schemes_model_config(struct tfs_schemes *s);
/* What the file that @t is in says about itself under @key (@len bytes): a string of *@ret_len bytes, or NULL. 0 or -ENOMEM. */
int tfs_schemes_metadata(struct tfs_schemes *s, const struct tfs_tensor *t, const char *key, size_t len, const char **ret_value,
			 size_t *ret_len);
/*
 * The layers that ComfyUI's _quantization_metadata of that file names. 1; 0: it has none; -EINVAL: it can't be read; -ENOMEM. They live
 * as long as @s.
 */
int tfs_schemes_comfy_layers(struct tfs_schemes *s, const struct tfs_tensor *t, const json_t **ret_layers);

/*
 * Read all bytes of @t, which is small (a shape, a state in JSON), into @buf of @size bytes. Returns how many, or -errno: -EFBIG if
 * it is larger, -EIO, -ENOTSUP if it is encoded.
 */
int64_t tfs_schemes_read(struct tfs_schemes *s, const struct tfs_tensor *t, void *buf, size_t size);

/* @text as JSON, owned by the caller. NULL: it isn't that, or there is no memory for it, with which tfs_schemes_find() will fail. */
json_t *tfs_schemes_json(struct tfs_schemes *s, const char *text, size_t len);

/*
 * A weight of @ndim dimensions, called @name (@len bytes), with the values that @w says; all are copied. w->parts[0] is marked as codes,
 * and so are its other parts and marks that aren't of a type of numbers. Returns 1 or -ENOMEM.
 */
int tfs_schemes_add(struct tfs_schemes *s, const char *name, size_t len, const uint64_t *shape, unsigned ndim,
		    const struct tfs_scaled *w);

/* @t (may be NULL) is one of the marks of @w, whose parts are all there. */
void tfs_scaled_mark(struct tfs_scaled *w, const struct tfs_tensor *t);

/*
 * The codes @t are of a weight of @scheme whose values can't be computed, for the reason given: they are marked as codes, and there
 * is one warning for all of a scheme. Returns 1, or -ENOMEM.
 */
int tfs_schemes_refuse(struct tfs_schemes *s, const struct tfs_tensor *t, const char *scheme, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * @t (may be NULL), which goes with codes whose values aren't made, is not a value itself, unless it is of a type of numbers: marked as codes. To be
 * called besides tfs_schemes_refuse(), also where it is not known yet whether that will be.
 */
void tfs_schemes_hide(struct tfs_schemes *s, const struct tfs_tensor *t);

/*
 * Does the layer of the weight @t multiply its input by a pre_quant_scale (modelopt's AWQ and SmoothQuant)? Then the weight is what it is
 * for such an input, and its formula says so.
 */
bool tfs_schemes_smoothed(struct tfs_schemes *s, const struct tfs_tensor *t);

/* "[3, 4]" of @t's shape, into @buf of TFS_SHAPE_SIZE. Returns @buf. */
#define TFS_SHAPE_SIZE 128
const char *tfs_shape_of(const struct tfs_tensor *t, char *buf);

/*
 * How the scales @scale apply to the values of a weight of @ndim dimensions @shape: fills the fields of @w from experts to
 * n_scales, except row_bytes. False: no rule fits.
 */
bool tfs_schemes_spread(struct tfs_schemes *s, struct tfs_scaled *w, const uint64_t *shape, unsigned ndim,
			const struct tfs_tensor *scale);

/* --- For prepare() ------------------------------------------------------------------------------------------------------ */

/* All elements of @t, whose bytes are @bytes, as floats; those of U8 are exponents, as in F8_E8M0. */
void tfs_scales_of(const struct tfs_tensor *t, const uint8_t *bytes, float *ret_floats);
/* The same, with the elements' bytes taken as those of the built-in type @dtype. */
void tfs_floats_of(const struct tfs_tensor *t, const char *dtype, const uint8_t *bytes, float *ret_floats);

/* prepare() for weights with scales in parts[1] and, if the form has them, offsets in parts[2], both in index order. */
int tfs_prepare_plain(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
		      struct tfs_error *err);

#endif
