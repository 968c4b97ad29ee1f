/* SPDX-License-Identifier: MIT */
/*
 * CTranslate2's model.bin (python/ctranslate2/specs/model_spec.py, ModelSpec._serialize(); src/models/model.cc): a version, what kind of
 * model it is, each variable with its bytes after its record, and other names of some of them. An alias is shown as a tensor of its
 * own, of the same bytes; so are the scales that go with it, as its reader has them.
 *
 * Variables that have one called NAME_scale are codes: their values are divided by it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/search.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "format/draft.h"
#include "format/format.h"
#include "format/forward.h"
#include "storage/storage.h"

/* Before version 2 a file begins with nothing that tells what it is. 6 is the last one. */
enum { FIRST_VERSION = 2, MOST_VERSION = 31 };

/* From version 3 on there are aliases, from version 4 on types have numbers. */
enum { WITH_ALIASES = 3, WITH_TYPES = 4 };

/* "TransformerSpec": how long they may get is ours to say. */
enum { MAX_SPEC = 128 };

struct model {
	struct tfs_forward f;
	struct tfs_drafts d;
	uint32_t version;
	char name[UINT16_MAX + 1], other[UINT16_MAX + 1]; /* of strings as they are read, with a NUL */
};

/* A version, a length and as many printable characters, of which the last is a NUL. */
static bool recognises(const struct tfs_sample *s)
{
	struct tfs_cursor c = tfs_cursor(s->start, s->len);
	const uint32_t version = tfs_cursor_u32(&c);
	const uint16_t len = tfs_cursor_u16(&c);
	const uint8_t *spec = tfs_cursor_bytes(&c, len);

	if (!spec || version < FIRST_VERSION || version > MOST_VERSION || len < 2 || len > MAX_SPEC || spec[len - 1])
		return false;
	for (unsigned i = 0; i + 1u < len; i++)
		if (spec[i] <= ' ' || spec[i] > '~')
			return false;
	return true;
}

/* A string with its length, which counts a NUL at its end, into @ret, without that. */
static int read_string(struct model *m, char ret[static UINT16_MAX + 1], size_t *ret_len)
{
	uint64_t at = m->f.at;
	uint16_t len = 0;
	int r = tfs_forward_u16(&m->f, &len);

	if (!r && !len)
		return tfs_error_set(m->f.err, -EINVAL, at, "a string of length 0, which doesn't even count its NUL");
	if (!r)
		r = tfs_forward_bytes(&m->f, ret, len);
	*ret_len = r ? 0 : len - 1;
	return r;
}

/* NULL: there is none of that number. */
static const char *type_name(const struct model *m, uint8_t type)
{
	/* types.h, enum class DataType; before they had numbers: by size. */
	static const char *const types[] = { "F32", "I8", "I16", "I32", "F16", "BF16" };
	static const char *const sizes[] = { [1] = "I8", [2] = "I16", [4] = "F32" };

	if (m->version >= WITH_TYPES)
		return type < sizeof types / sizeof *types ? types[type] : NULL;
	return type < sizeof sizes / sizeof *sizes ? sizes[type] : NULL;
}

static int read_variable(struct model *m)
{
	uint64_t shape[UINT8_MAX];
	struct tfs_draft t = { .name = m->name, .shape = shape, .at = m->f.at };
	uint32_t count = 0;
	uint8_t rank = 0, type = 0;
	const char *dtype;
	int r = read_string(m, m->name, &t.name_len);

	if (!r)
		r = tfs_forward_u8(&m->f, &rank);
	for (unsigned i = 0; i < rank && !r; i++) {
		uint32_t n = 0;

		r = tfs_forward_u32(&m->f, &n);
		shape[i] = n;
	}
	if (!r)
		r = tfs_forward_u8(&m->f, &type);
	if (!r)
		r = tfs_forward_u32(&m->f, &count);
	if (r)
		return r;
	t.ndim = rank;
	t.offset = m->f.at;
	t.stored = m->version >= WITH_TYPES ? count : (uint64_t)count * type;
	r = tfs_forward_skip(&m->f, t.stored);
	if (r)
		return r;
	dtype = type_name(m, type);
	if (!dtype)
		return tfs_drafts_leave_out(&m->d, &t, "an unknown type, %u", type);
	t.dtype = tfs_dtype_by_name(dtype, strlen(dtype));
	return tfs_drafts_add(&m->d, &t);
}

/* --- Aliases, and scales: once the catalog has all variables, sorted by name ------------------------------------------ */

/* Index of the variable NAME or NAME_SUFFIX among the @n of them; @n: there is none. */
static size_t find(struct tfs_catalog *c, size_t n, const char *name, size_t len, const char *suffix)
{
	char whole[UINT16_MAX + 16];
	size_t n_all, more = strlen(suffix), at;
	const struct tfs_tensor *t = tfs_catalog_tensors(c, &n_all);

	if (len + more > sizeof whole)
		return n;
	memcpy(whole, name, len);
	memcpy(whole + len, suffix, more);
	at = tfs_search(i, 0, n, tfs_name_cmp(t[i].name, t[i].name_len, whole, len + more) < 0);
	return at < n && !tfs_name_cmp(t[at].name, t[at].name_len, whole, len + more) ? at : n;
}

/* Codes and scales, both of the catalog, whose table may still change. */
static int add_scale(struct tfs_catalog *c, size_t codes, size_t scales)
{
	size_t n;
	const struct tfs_tensor *t = tfs_catalog_tensors(c, &n);
	struct tfs_recipe recipe = {
		.kind = TFS_RECIPE_DIVIDED,
		.op = "ctranslate2",
		.parts[TFS_RECIPE_CODES] = { t[codes].name, t[codes].name_len },
		.parts[TFS_RECIPE_SCALES] = { t[scales].name, t[scales].name_len },
	};

	return tfs_catalog_add_recipe(c, &recipe);
}

static bool is_code(const struct tfs_tensor *t)
{
	return !strcmp(t->dtype->name, "I8") || !strcmp(t->dtype->name, "I16");
}

static int find_scales(struct tfs_catalog *c)
{
	size_t n;
	const struct tfs_tensor *t = tfs_catalog_tensors(c, &n);
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		size_t scale = is_code(&t[i]) ? find(c, n, t[i].name, t[i].name_len, "_scale") : n;

		if (scale < n)
			r = add_scale(c, i, scale);
	}
	return r;
}

/* @alias with @suffix is another name for @name with it, one of the first @n; not if there is no such variable, or it is its own. */
static int add_alias(struct model *m, size_t n, size_t alias_len, size_t name_len, const char *suffix)
{
	struct tfs_catalog *c = m->d.catalog;
	const size_t at = find(c, n, m->other, name_len, suffix);
	char whole[UINT16_MAX + 16];
	struct tfs_tensor t;
	size_t n_all;

	if (at == n || find(c, n, m->name, alias_len, suffix) < n)
		return 0;
	t = tfs_catalog_tensors(c, &n_all)[at];
	memcpy(whole, m->name, alias_len);
	memcpy(whole + alias_len, suffix, strlen(suffix));
	return tfs_catalog_add(c, whole, alias_len + strlen(suffix), t.dtype, t.shape, t.ndim, t.offset, t.nbytes);
}

static int read_alias(struct model *m, size_t n)
{
	uint64_t at = m->f.at;
	size_t alias_len = 0, name_len = 0, n_all;
	int r = read_string(m, m->name, &alias_len);

	if (!r)
		r = read_string(m, m->other, &name_len);
	if (r)
		return r;
	if (!tfs_utf8_valid(m->name, alias_len))
		return tfs_error_set(m->f.err, -EINVAL, at, "the name of a tensor isn't valid UTF-8");
	tfs_catalog_tensors(m->d.catalog, &n_all);
	if (n_all >= TFS_DRAFT_MAX_TENSORS)
		return tfs_error_set(m->f.err, -EINVAL, at, "more than %u tensors", TFS_DRAFT_MAX_TENSORS);
	r = add_alias(m, n, alias_len, name_len, "");
	if (!r)
		r = add_alias(m, n, alias_len, name_len, "_scale");
	return r ? r : add_alias(m, n, alias_len, name_len, "_zero");
}

/* Of an alias that is given twice the first one counts. */
static int drop_duplicates(struct tfs_catalog *c)
{
	struct tfs_tensor *t;
	size_t n;
	int r = tfs_catalog_sort(c);

	t = tfs_catalog_tensors(c, &n);
	for (size_t i = n; i-- > 1 && !r;)
		if (!tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len))
			t[i].dtype = NULL;
	tfs_catalog_prune(c);
	return r;
}

static int read_aliases(struct model *m)
{
	uint32_t n = 0;
	size_t n_variables;
	int r = tfs_forward_u32(&m->f, &n);

	tfs_catalog_tensors(m->d.catalog, &n_variables);
	while (!r && n--)
		r = read_alias(m, n_variables);
	return r ? r : drop_duplicates(m->d.catalog);
}

static int read_model(struct model *m)
{
	uint32_t revision, n = 0;
	size_t len;
	int r = tfs_forward_u32(&m->f, &m->version);

	if (!r && (m->version < FIRST_VERSION || m->version > MOST_VERSION))
		return tfs_error_set(m->f.err, -EINVAL, 0, "version %" PRIu32 " of CTranslate2's format; known are %d to %d",
				     m->version, FIRST_VERSION, MOST_VERSION);
	if (!r)
		r = read_string(m, m->name, &len);
	if (!r)
		r = tfs_forward_u32(&m->f, &revision);
	if (!r)
		r = tfs_forward_u32(&m->f, &n);
	while (!r && n--)
		r = read_variable(m);
	if (!r)
		r = tfs_drafts_catalog(&m->d);
	if (!r)
		r = tfs_catalog_sort(m->d.catalog);
	if (!r && m->version >= WITH_ALIASES)
		r = read_aliases(m);
	return r ? r : find_scales(m->d.catalog);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct model *m = calloc(1, sizeof *m);
	int r;

	(void)file_name;
	if (!m)
		return -ENOMEM;
	tfs_forward_init(&m->f, in, 0, err);
	tfs_drafts_init(&m->d, in, catalog, err);
	m->d.strict = true;
	r = read_model(m);
	tfs_drafts_fini(&m->d);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

const struct tfs_format tfs_format_ctranslate2 = {
	.name = "ctranslate2",
	.what = "a CTranslate2 model",
	.ambiguous = (const char *const[]){ ".bin", NULL },
	.recognises = recognises,
	.parse = parse,
};
