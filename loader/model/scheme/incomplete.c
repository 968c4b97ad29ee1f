/* SPDX-License-Identifier: MIT */
/*
 * Codes that lack something: a number that is one only with what is missing must not be shown as a value. Asked first: what belongs to
 * a tensor is listed by the index and in no file, or can't be read. Asked when all others have been, of all: whole numbers, or FP8, that
 * no scheme knows what to do with, in a model that says it is quantised, or that lacks files.
 */
#include <string.h>

#include "base/search.h"
#include "model/schemes.h"

/* Bytes of the name of @t's module, with the dot after it. */
static size_t module_of(const struct tfs_tensor *t)
{
	size_t len = t->name_len;

	while (len && t->name[len - 1] != '.')
		len--;
	return len;
}

/* Is it, in its module, what has nothing to do with codes: a bias, or a scale of activations? */
static bool is_harmless(const char *name)
{
	static const char *const ends[] = { "bias",
					    "input_scale",
					    "input_global_scale",
					    "output_scale",
					    "activation_scale",
					    "input_activation_scale",
					    "input_scale_ub",
					    "output_activation_scale" };
	const size_t len = strlen(name);

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		const size_t n = strlen(ends[i]);

		if (len >= n && !strcmp(name + len - n, ends[i]) && (len == n || name[len - n - 1] == '_'))
			return true;
	}
	return false;
}

/* Something that belongs to @t's module and may have to do with its codes. NULL: nothing is missing. */
static const char *missing_beside(const struct tfs_set *set, const struct tfs_tensor *t)
{
	const size_t len = module_of(t);
	size_t at = tfs_search(i, 0, set->n_missing, strncmp(set->missing[i], t->name, len) < 0);

	for (; len && at < set->n_missing && !strncmp(set->missing[at], t->name, len); at++)
		if (!strchr(set->missing[at] + len, '.') && !is_harmless(set->missing[at] + len))
			return set->missing[at];
	return NULL;
}

static int find_incomplete(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const struct tfs_set *set = tfs_schemes_set(s);
	const char *missing = set->n_missing ? missing_beside(set, t) : NULL;
	char name[TFS_QUOTE_SIZE];

	return missing ? tfs_schemes_refuse(s, t, "incomplete", "%s is missing",
					    tfs_quote(name, sizeof name, missing, strlen(missing))) :
			 0;
}

/* What codes are called, other than "weight", and what says how they are packed, by formats that docs/quantised.md is about. */
static bool has_name_of_codes(const struct tfs_tensor *t)
{
	static const char *const names[] = {
		".qweight", ".qzeros", ".g_idx",	 ".weight_packed", ".weight_zero_point", ".W_q",
		"_blocks",  "_scales", ".weight.absmax", ".weight_scale",  ".weight_scale_inv",	 ".scales",
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (tfs_name_ends(t, names[i]))
			return true;
	return false;
}

static int find_unknown(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const bool weight = tfs_schemes_weight(t) != SIZE_MAX && t->ndim >= 2;
	const bool whole = tfs_is(t, "I8") || tfs_is(t, "U8") || tfs_is(t, "I32") || tfs_is(t, "U32");

	const struct tfs_set *set = tfs_schemes_set(s);

	/* Without its scales, FP8 is the same as in a model that has none: only missing files tell. GGUF's scales are in its blocks. */
	if (set->incomplete && set->format != &tfs_format_gguf && (weight || has_name_of_codes(t)))
		return tfs_schemes_refuse(s, t, "incomplete", "files of the model are missing, maybe with what its codes go with");
	if (!whole || !weight || !tfs_schemes_has_config(s))
		return 0;
	return tfs_schemes_refuse(s, t, "unknown", "the model is quantised, and nothing says what its codes are worth");
}

const struct tfs_scheme tfs_scheme_incomplete = { "incomplete", find_incomplete };
const struct tfs_scheme tfs_scheme_unknown = { "unknown", find_unknown };
