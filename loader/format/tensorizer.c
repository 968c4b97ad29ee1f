/* SPDX-License-Identifier: MIT */
/*
 * tensorizer's .tensors (coreweave/tensorizer, serialization.py: _FileHeader, _MetadataDeserializer): a header, an index of all tensors,
 * and then each tensor's own header and bytes. The index says where the bytes are, so only that is read. A tensor's dtype is NumPy's; or
 * torch's, where NumPy has none, after what its bytes are stored as and a NUL.
 *
 * A name that isn't one string but a path is JSON after a record separator (_tensor_path.py); its parts are joined with dots.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "format/draft.h"
#include "format/format.h"
#include "format/forward.h"
#include "format/numpy/type.h"
#include "storage/storage.h"

#define MAGIC "|TZR|"

/* Versions differ in what may be in the file: opaque types, encryption, tensors without bytes. */
enum { LAST_VERSION = 4 };

/* After the version: flags, of which version 4 has some; nominal sizes; the number of tensors. */
enum { FLAGS = 32, SIZES = 16, ENCRYPTED = 1, WITH_FLAGS = 4, ENCRYPTED_VERSION = 3 };

enum { PATH = 0x1e }; /* the record separator */

struct index {
	struct tfs_forward f;
	struct tfs_drafts d;
	uint64_t end; /* of the index */
	char name[UINT16_MAX + 1];
	char joined[UINT16_MAX + 1]; /* never longer than the JSON */
	char dtype[UINT8_MAX + 1];
	size_t dtype_len;
};

static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has(s, 0, MAGIC, sizeof MAGIC - 1);
}

/* --- Names and types ------------------------------------------------------------------------------------------------- */

static void append(struct index *x, size_t *len, const struct tfs_json_text *part, bool first)
{
	if (!first)
		x->joined[(*len)++] = '.';
	memcpy(x->joined + *len, part->s, part->len);
	*len += part->len;
}

/* The @len bytes in x->name are a path: its parts, strings and numbers, into x->joined, *@ret_len bytes. */
static int join_path(struct index *x, size_t len, uint64_t at, size_t *ret_len)
{
	struct tfs_json_text part;
	struct tfs_json json;
	bool first = true;
	int r;

	*ret_len = 0;
	tfs_json_init(&json, x->name + 1, len - 1, at + 1, x->f.err);
	r = tfs_json_array_begin(&json);
	while (!r && (r = tfs_json_array_next(&json)) > 0) {
		r = tfs_json_peek(&json);
		if (r >= 0)
			r = r == TFS_JSON_NUMBER ? tfs_json_number(&json, &part) : tfs_json_string(&json, &part);
		if (!r)
			append(x, ret_len, &part, first);
		first = false;
	}
	return r ? r : tfs_json_end(&json);
}

/* torch's types that NumPy lacks. */
static const char *torch_type(const char *name)
{
	static const struct {
		const char *torch, *ours;
	} types[] = {
		{ "torch.bfloat16", "BF16" },
		{ "torch.float8_e4m3fn", "F8_E4M3" },
		{ "torch.float8_e5m2", "F8_E5M2" },
		{ "torch.float8_e4m3fnuz", "F8_E4M3FNUZ" },
		{ "torch.float8_e5m2fnuz", "F8_E5M2FNUZ" },
		{ "torch.float8_e8m0fnu", "F8_E8M0" },
		{ "torch.complex32", "C32" },
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(types[i].torch, name))
			return types[i].ours;
	return NULL;
}

/* Sets @t's dtype and swap. False: it is none of ours; the type is as x->dtype says. */
static bool set_type(struct index *x, struct tfs_draft *t)
{
	const size_t stored = strlen(x->dtype);
	struct tfs_npy_type type;

	if (stored < x->dtype_len) {
		const char *name = torch_type(x->dtype + stored + 1);

		t->dtype = name ? tfs_dtype_by_name(name, strlen(name)) : NULL;
		return t->dtype;
	}
	if (tfs_npy_type_parse(x->dtype, &type) || !type.builtin)
		return false;
	t->dtype = type.builtin;
	t->swap = type.big ? type.word : 0;
	return true;
}

/* --- The index ------------------------------------------------------------------------------------------------------- */

static int read_name(struct index *x, struct tfs_draft *t)
{
	uint64_t at = x->f.at + 2;
	uint16_t len = 0;
	int r = tfs_forward_u16(&x->f, &len);

	if (!r)
		r = tfs_forward_bytes(&x->f, x->name, len);
	t->name = x->name;
	t->name_len = len;
	if (!r && len && x->name[0] == PATH) {
		r = join_path(x, len, at, &t->name_len);
		t->name = x->joined;
	}
	return r;
}

static int read_dtype(struct index *x)
{
	uint8_t len = 0;
	int r = tfs_forward_u8(&x->f, &len);

	if (!r)
		r = tfs_forward_bytes(&x->f, x->dtype, len);
	x->dtype[len] = '\0';
	x->dtype_len = len;
	return r;
}

static int read_shape(struct index *x, struct tfs_draft *t, uint64_t shape[static UINT8_MAX])
{
	uint8_t n = 0;
	int r = tfs_forward_u8(&x->f, &n);

	for (unsigned i = 0; i < n && !r; i++) {
		uint32_t dim = 0;

		r = tfs_forward_u32(&x->f, &dim);
		shape[i] = dim;
	}
	t->ndim = n;
	return r;
}

static bool has_elements(const struct tfs_draft *t)
{
	for (unsigned i = 0; i < t->ndim; i++)
		if (!t->shape[i])
			return false;
	return true;
}

static int read_entry(struct index *x)
{
	uint64_t shape[UINT8_MAX], header = 0;
	struct tfs_draft t = { .shape = shape, .at = x->f.at };
	char quoted[TFS_QUOTE_SIZE];
	uint8_t kind; /* parameter, buffer, or of a state dict */
	int r = read_name(x, &t);

	if (!r)
		r = tfs_forward_u8(&x->f, &kind);
	if (!r)
		r = read_dtype(x);
	if (!r)
		r = read_shape(x, &t, shape);
	if (!r)
		r = tfs_forward_u64(&x->f, &header);
	if (!r)
		r = tfs_forward_u64(&x->f, &t.offset);
	if (!r)
		r = tfs_forward_u64(&x->f, &t.stored);
	if (r)
		return r;
	if (x->f.at > x->end)
		return tfs_error_set(x->f.err, -EINVAL, t.at,
				     "the entry of a tensor goes on past the end of the index, at byte %" PRIu64, x->end);
	if (!set_type(x, &t))
		return tfs_drafts_leave_out(&x->d, &t, "an unknown type, %s",
					    tfs_quote(quoted, sizeof quoted, x->dtype, x->dtype_len));
	if (!t.stored && has_elements(&t))
		return tfs_drafts_leave_out(&x->d, &t, "a tensor of the meta device, which has no bytes");
	return tfs_drafts_add(&x->d, &t);
}

static int read_index(struct index *x)
{
	uint8_t flags[FLAGS];
	char magic[sizeof MAGIC - 1];
	uint64_t n = 0, size = 0;
	uint32_t version = 0;
	int r = tfs_forward_bytes(&x->f, magic, sizeof magic);

	if (!r && memcmp(magic, MAGIC, sizeof magic) != 0)
		return tfs_error_set(x->f.err, -EINVAL, 0, "not a file of tensorizer: it doesn't begin with " MAGIC);
	if (!r)
		r = tfs_forward_u32(&x->f, &version);
	if (!r && (!version || version > LAST_VERSION))
		return tfs_error_set(x->f.err, -EINVAL, sizeof magic,
				     "version %" PRIu32 " of tensorizer's format; known are 1 to %d", version, LAST_VERSION);
	if (!r)
		r = tfs_forward_bytes(&x->f, flags, sizeof flags);
	if (!r && (version == ENCRYPTED_VERSION || (version >= WITH_FLAGS && flags[0] & ENCRYPTED)))
		return tfs_error_set(x->f.err, -EINVAL, sizeof magic, "encrypted: decrypt it with tensorizer first");
	if (!r)
		r = tfs_forward_skip(&x->f, SIZES);
	if (!r)
		r = tfs_forward_u64(&x->f, &n);
	if (!r)
		r = tfs_forward_u64(&x->f, &size);
	if (r)
		return r;
	if (size > x->f.in->size - x->f.at)
		return tfs_error_set(x->f.err, -EINVAL, x->f.at - 8, "an index of %" PRIu64 " bytes; the file has %" PRIu64 " more",
				     size, x->f.in->size - x->f.at);
	x->end = x->f.at + size;
	while (!r && n--)
		r = read_entry(x);
	return r ? r : tfs_drafts_catalog(&x->d);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct index *x = calloc(1, sizeof *x);
	int r;

	(void)file_name;
	if (!x)
		return -ENOMEM;
	tfs_forward_init(&x->f, in, 0, err);
	tfs_drafts_init(&x->d, in, catalog, err);
	x->d.strict = true;
	r = read_index(x);
	tfs_drafts_fini(&x->d);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

const struct tfs_format tfs_format_tensorizer = {
	.name = "tensorizer",
	.what = "a file of tensorizer",
	.extensions = (const char *const[]){ ".tensors", NULL },
	.recognises = recognises,
	.parse = parse,
};
