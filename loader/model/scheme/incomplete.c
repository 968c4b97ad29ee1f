/* SPDX-License-Identifier: MIT */
/*
 * Codes that lack something: a number that is one only with what is missing must not be shown as a value. Asked first: what belongs to
 * a tensor is listed by the index and in no file, or can't be read. Asked when all others have been, of all: a weight that is whole numbers in a model that says it
 * is quantised, and that no scheme knows what to do with.
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

/* Something that belongs to @t's module, and isn't its bias, which has nothing to do with codes. NULL: nothing is missing. */
static const char *missing_beside(const struct tfs_set *set, const struct tfs_tensor *t)
{
	const size_t len = module_of(t);
	size_t at = tfs_search(i, 0, set->n_missing, strncmp(set->missing[i], t->name, len) < 0);

	for (; len && at < set->n_missing && !strncmp(set->missing[at], t->name, len); at++)
		if (!strchr(set->missing[at] + len, '.') && strcmp(set->missing[at] + len, "bias") != 0)
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

static int find_unknown(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const bool whole = tfs_is(t, "I8") || tfs_is(t, "U8") || tfs_is(t, "I32") || tfs_is(t, "U32");

	if (!whole || tfs_schemes_weight(t) == SIZE_MAX || t->ndim < 2 || !tfs_schemes_config(s))
		return 0;
	return tfs_schemes_refuse(s, t, "unknown", "the model is quantised, and nothing says what its codes are worth");
}

const struct tfs_scheme tfs_scheme_incomplete = { "incomplete", find_incomplete };
const struct tfs_scheme tfs_scheme_unknown = { "unknown", find_unknown };
