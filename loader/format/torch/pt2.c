/* SPDX-License-Identifier: MIT */
/*
 * What torch.export.save() writes, .pt2: a zip file with one folder at the top (torch/export/pt2_archive/_package.py). For each model
 * NAME in it, data/weights/NAME_weights_config.json and data/constants/NAME_constants_config.json say which tensors there are
 * (PayloadConfig in torch/_export/serde/schema.py), and in which member beside them their storage is, as it is, or in a file of
 * torch.save(). Versions before have such a file for all of them: torch 2.8 data/weights/NAME.pt, earlier ones
 * serialized_state_dict.pt, without a folder.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "format/format.h"
#include "format/inner.h"
#include "format/torch/impl.h"
#include "format/zip.h"
#include "storage/storage.h"

#define WEIGHTS	  "data/weights/"
#define CONSTANTS "data/constants/"
#define MODELS	  "models/"
#define PROGRAM	  "serialized_exported_program.json"

/* Some 300 bytes for each tensor. */
#define MAX_CONFIG (256u << 20)

/* A row of a config. */
struct payload {
	struct tfs_json_text name, path;
	bool pickled, has_tensor;
	uint64_t dtype, layout;
	unsigned n_strides;
	struct tfs_torch_layout l;
};

struct pt2 {
	struct tfs_torch *t;
	struct tfs_torch_archive *a;
	bool several; /* models, so names begin with theirs */
	/* The config that is read: */
	const char *dir;
	const char *model;
	size_t model_len;
	struct tfs_json json;
};

/* --- Members ------------------------------------------------------------------------------------------------------- */

static bool begins(const char *s, size_t len, const char *with)
{
	return len >= strlen(with) && !memcmp(s, with, strlen(with));
}

static bool ends(const char *s, size_t len, const char *with)
{
	return len >= strlen(with) && !memcmp(s + len - strlen(with), with, strlen(with));
}

bool tfs_torch_is_pt2(const char *name, size_t len)
{
	const char *slash = memchr(name, '/', len), *rest = slash ? slash + 1 : name;
	size_t left = (size_t)(name + len - rest);

	if (!slash)
		return left == strlen(PROGRAM) && !memcmp(rest, PROGRAM, left);
	return (begins(rest, left, MODELS) && ends(rest, left, ".json")) ||
	       (left == strlen("archive_format") && !memcmp(rest, "archive_format", left));
}

/* The folder at the top, as the first member has it; older files have none. And whether there are several models. */
static void find_folder(struct pt2 *p)
{
	unsigned models = 0;

	for (size_t i = 0; i < p->a->zip->n_members; i++) {
		const struct tfs_zip_member *m = &p->a->zip->members[i];
		const char *slash = strchr(m->name, '/');

		if (!slash || !tfs_torch_is_pt2(m->name, m->name_len))
			continue;
		models += begins(slash + 1, strlen(slash + 1), MODELS);
		if (!p->a->root) {
			p->a->root = m->name;
			p->a->root_len = (size_t)(slash + 1 - m->name);
		}
	}
	p->several = models > 1;
}

/* --- One tensor ---------------------------------------------------------------------------------------------------- */

/* NAME, or MODEL.NAME, with @after; malloc()ed. */
static char *name_of(const struct pt2 *p, const struct tfs_json_text *name, const char *after, size_t *ret_len)
{
	size_t model = p->several ? p->model_len + 1 : 0;
	char *s = malloc(model + name->len + strlen(after) + 1);

	if (!s)
		return NULL;
	if (model) {
		memcpy(s, p->model, p->model_len);
		s[model - 1] = '.';
	}
	memcpy(s + model, name->s, name->len);
	strcpy(s + model + name->len, after);
	*ret_len = model + name->len + strlen(after);
	return s;
}

static int leave_out(struct pt2 *p, const struct payload *row, const char *why)
{
	size_t len;
	cleanup_free char *name = name_of(p, &row->name, "", &len);

	return name ? tfs_catalog_leave_out(p->t->catalog, name, len, tfs_json_offset(&p->json, &row->name), "%s", why) : -ENOMEM;
}

/* enum ScalarType of the schema, which isn't c10's. */
static const struct tfs_torch_type *type_of(uint64_t dtype)
{
	static const char *const names[] = {
		[1] = "uint8",
		[2] = "int8",
		[3] = "int16",
		[4] = "int32",
		[5] = "int64",
		[6] = "float16",
		[7] = "float32",
		[8] = "float64",
		[9] = "complex32",
		[10] = "complex64",
		[11] = "complex128",
		[12] = "bool",
		[13] = "bfloat16",
		[28] = "uint16",
		[29] = "float8_e4m3fn",
		[30] = "float8_e5m2",
		[31] = "float8_e4m3fnuz",
		[32] = "float8_e5m2fnuz",
		[33] = "float8_e8m0fnu",
		[34] = "uint32",
		[35] = "uint64",
	};

	return dtype < sizeof names / sizeof *names && names[dtype] ? tfs_torch_type_of(names[dtype]) : NULL;
}

/* A tensor that isn't plain, in a file of torch.save(): named by its own name, and what else is in that by its path there. */
static int add_pickled(struct pt2 *p, const struct payload *row, const struct tfs_zip_member *m)
{
	struct tfs_error wrong = { .offset = TFS_NO_OFFSET };
	size_t len;
	cleanup_free char *prefix = name_of(p, &row->name, ".", &len);
	int r;

	if (!prefix)
		return -ENOMEM;
	if (strlen(prefix) != len)
		return leave_out(p, row, "a NUL in its name");
	if (m->method != TFS_ZIP_STORED)
		return leave_out(p, row, "a file of torch.save(), compressed in the archive");
	r = tfs_inner_read(&tfs_format_torch, p->t->in, m->offset, m->size, "", prefix, p->t->catalog, &wrong);
	return r == -EINVAL ? leave_out(p, row, wrong.what) : r;
}

static int add_row(struct pt2 *p, struct payload *row)
{
	const struct tfs_zip_member *m = tfs_torch_member(p->a, p->dir, row->path.s, row->path.len);
	struct tfs_error *err = p->t->err, wrong = { .offset = TFS_NO_OFFSET };
	struct tfs_torch_tensor tensor = { 0 };
	cleanup_free char *name = NULL;
	size_t len;
	int r;

	/* Objects of TorchBind, and others that aren't tensors. */
	if (begins(row->path.s, row->path.len, "custom_obj_") || begins(row->path.s, row->path.len, "opaque_obj_"))
		return 0;
	if (!m)
		return leave_out(p, row, "its member isn't in the archive");
	p->t->err = &wrong;
	r = tfs_torch_check_member(p->t, m);
	p->t->err = err;
	if (r)
		return leave_out(p, row, wrong.what);
	if (row->pickled)
		return add_pickled(p, row, m);
	row->l.type = type_of(row->dtype);
	if (!row->has_tensor || row->layout != 7) /* Layout.Strided */
		return leave_out(p, row, "neither a tensor with strides nor a file of torch.save()");
	if (!row->l.type)
		return leave_out(p, row, "its element type is unknown");
	if (row->n_strides != row->l.ndim)
		return leave_out(p, row, "not as many strides as sizes");
	row->l.extent = tfs_torch_extent_of(m);
	row->l.room = row->l.extent.nbytes;
	name = name_of(p, &row->name, "", &len);
	if (!name || len > TFS_TORCH_MAX_NAME)
		return name ? leave_out(p, row, "its name is longer than 65535 bytes") : -ENOMEM;
	tensor.name = name;
	tensor.name_len = len;
	p->t->pickle.offset = tfs_json_offset(&p->json, &row->name); /* for errors */
	return tfs_torch_place(p->t, &tensor, &row->l);
}

/* --- JSON ---------------------------------------------------------------------------------------------------------- */

static int read_bool(struct tfs_json *j, bool *ret)
{
	*ret = tfs_json_peek(j) == TFS_JSON_TRUE;
	return tfs_json_skip(j);
}

/* {"as_int": N}; what is symbolic has no value. */
static int read_sym(struct tfs_json *j, uint64_t *ret)
{
	struct tfs_json_text key;
	int r = tfs_json_object_begin(j);

	*ret = UINT64_MAX;
	while (!r && (r = tfs_json_object_next(j, &key)) > 0)
		r = tfs_json_is(&key, "as_int") ? tfs_json_u64(j, ret) : tfs_json_skip(j);
	return r;
}

/* At most TFS_MAX_DIMS; *@ret_n is larger if there are more. */
static int read_syms(struct tfs_json *j, uint64_t *dims, unsigned *ret_n)
{
	uint64_t ignored;
	int r = tfs_json_array_begin(j);

	*ret_n = 0;
	while (!r && (r = tfs_json_array_next(j)) > 0) {
		r = read_sym(j, *ret_n < TFS_MAX_DIMS ? &dims[*ret_n] : &ignored);
		*ret_n += *ret_n <= TFS_MAX_DIMS;
	}
	return r;
}

static int read_tensor(struct tfs_json *j, struct payload *row)
{
	struct tfs_json_text key;
	int r;

	if (tfs_json_peek(j) != TFS_JSON_OBJECT)
		return tfs_json_skip(j);
	row->has_tensor = true;
	r = tfs_json_object_begin(j);
	while (!r && (r = tfs_json_object_next(j, &key)) > 0) {
		if (tfs_json_is(&key, "dtype"))
			r = tfs_json_u64(j, &row->dtype);
		else if (tfs_json_is(&key, "sizes"))
			r = read_syms(j, row->l.shape, &row->l.ndim);
		else if (tfs_json_is(&key, "strides"))
			r = read_syms(j, row->l.strides, &row->n_strides);
		else if (tfs_json_is(&key, "storage_offset"))
			r = read_sym(j, &row->l.offset);
		else if (tfs_json_is(&key, "layout"))
			r = tfs_json_u64(j, &row->layout);
		else
			r = tfs_json_skip(j);
	}
	return r;
}

static int read_row(struct pt2 *p, const struct tfs_json_text *name)
{
	struct payload row = { .name = *name, .path.s = "" };
	struct tfs_json *j = &p->json;
	struct tfs_json_text key;
	int r = tfs_json_object_begin(j);

	while (!r && (r = tfs_json_object_next(j, &key)) > 0) {
		if (tfs_json_is(&key, "path_name"))
			r = tfs_json_string(j, &row.path);
		else if (tfs_json_is(&key, "use_pickle"))
			r = read_bool(j, &row.pickled);
		else if (tfs_json_is(&key, "tensor_meta"))
			r = read_tensor(j, &row);
		else
			r = tfs_json_skip(j);
	}
	if (r)
		return r;
	if (row.l.ndim > TFS_MAX_DIMS)
		return leave_out(p, &row, "more than 64 dimensions");
	return add_row(p, &row);
}

static int read_rows(struct pt2 *p)
{
	struct tfs_json_text key, name;
	struct tfs_json *j = &p->json;
	int r = tfs_json_object_begin(j);

	while (!r && (r = tfs_json_object_next(j, &key)) > 0) {
		if (!tfs_json_is(&key, "config")) {
			r = tfs_json_skip(j);
			continue;
		}
		r = tfs_json_object_begin(j);
		while (!r && (r = tfs_json_object_next(j, &name)) > 0)
			r = read_row(p, &name);
	}
	return r ? r : tfs_json_end(j);
}

static int read_config(struct pt2 *p, const struct tfs_zip_member *m)
{
	cleanup_free char *text = NULL;
	int r = tfs_torch_check_member(p->t, m);

	if (r)
		return r;
	if (m->unpacked > MAX_CONFIG)
		return tfs_error_set(p->t->err, -EINVAL, m->offset, "a list of tensors of %" PRIu64 " bytes; the limit is %u",
				     m->unpacked, MAX_CONFIG);
	text = tfs_share_scratch(p->t->in->share, m->unpacked) ? NULL : malloc(m->unpacked + 1);
	if (!text)
		return -ENOMEM;
	r = tfs_torch_read_member(p->t, m, text);
	if (r)
		return r;
	tfs_json_init(&p->json, text, m->unpacked, m->offset, p->t->err);
	return read_rows(p);
}

/* --- The archive --------------------------------------------------------------------------------------------------- */

/* A file of torch.save() with all weights, or all constants. */
static int read_inner(struct pt2 *p, const struct tfs_zip_member *m)
{
	struct tfs_torch *t = p->t;
	struct tfs_error wrong = { .offset = TFS_NO_OFFSET };
	char quoted[TFS_QUOTE_SIZE];
	int r = -EINVAL;

	tfs_quote(quoted, sizeof quoted, m->name, m->name_len);
	if (m->method != TFS_ZIP_STORED || m->encrypted)
		tfs_error_set(&wrong, r, m->offset, "is compressed, or encrypted: unpack it first");
	else
		r = tfs_inner_read(&tfs_format_torch, t->in, m->offset, m->size, "tensor", "", t->catalog, &wrong);
	return r == -EINVAL ? tfs_catalog_note(t->catalog, wrong.offset, "left out: member %s: %s", quoted, wrong.what) : r;
}

/* A member below FOLDER/. *@ret_counts: it has, or lists, tensors. */
static int take_member(struct pt2 *p, const struct tfs_zip_member *m, bool *ret_counts)
{
	static const struct {
		const char *dir, *config;
	} kinds[] = { { WEIGHTS, "_weights_config.json" }, { CONSTANTS, "_constants_config.json" } };
	const char *rest = m->name + p->a->root_len;
	size_t left = m->name_len - p->a->root_len;

	for (size_t i = 0; i < 2; i++) {
		if (!begins(rest, left, kinds[i].dir))
			continue;
		*ret_counts = true;
		p->dir = kinds[i].dir;
		p->model = rest + strlen(p->dir);
		if (ends(rest, left, kinds[i].config)) {
			p->model_len = left - strlen(p->dir) - strlen(kinds[i].config);
			return read_config(p, m);
		}
		if (ends(rest, left, ".pt"))
			return read_inner(p, m);
		*ret_counts = false;
	}
	/* Of torch 2.1 named .json, though it is the same. */
	*ret_counts = begins(rest, left, "serialized_state_dict.") || begins(rest, left, "serialized_constants.");
	return *ret_counts ? read_inner(p, m) : 0;
}

int tfs_torch_pt2(struct tfs_torch *t, struct tfs_torch_archive *a)
{
	struct pt2 p = { .t = t, .a = a };
	bool any = false, counts;
	int r;

	find_folder(&p);
	r = tfs_torch_read_byte_order(t, a);
	for (size_t i = 0; i < a->zip->n_members && !r; i++) {
		const struct tfs_zip_member *m = &a->zip->members[i];

		counts = false;
		if (m->name_len >= a->root_len && (!a->root || !memcmp(m->name, a->root, a->root_len)))
			r = take_member(&p, m, &counts);
		any |= counts;
	}
	if (r)
		return r;
	if (!any)
		return tfs_error_set(t->err, -EINVAL, 0,
				     "a program of torch.export without a list of weights: compiled, they are in its code");
	return tfs_catalog_make_unique(t->catalog);
}
