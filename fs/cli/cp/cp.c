/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sort.h"
#include "cli/commands.h"
#include "cli/cp/impl.h"
#include "cli/output.h"
#include "cli/selection.h"
#include "content/values.h"
#include "tree/converted.h"

enum { OPT_DTYPE = 256, OPT_SHARD_SIZE };

static const struct tfs_option cp_options[] = {
	{ OPT_DTYPE, "dtype", "bf16|f16|f32", "write values of this type: of a quantised model, or of any floating-point numbers" },
	{ OPT_SHARD_SIZE, "shard-size", "SIZE",
	  "write safetensors files of at most this size, with an index: bytes, or with K, M, G or T" },
	{ 0 },
};

struct options {
	struct tfs_model_options model;
	int dtype; /* 0: as stored; else 1 + its position */
	uint64_t shard_max;
};

static bool take_size(const char *value, uint64_t *ret)
{
	static const char units[] = "KMGT";
	static const char want[] = "a size: bytes, or a number with K, M, G or T";
	char *end;

	errno = 0;
	const double n = strtod(value, &end);
	/* As save_pretrained() counts: "5GB" is five billion; and "5GiB" isn't. */
	double unit = 1;
	if (*end && strchr(units, *end)) {
		const bool binary = end[1] == 'i';
		for (const char *u = units; u <= strchr(units, *end); u++)
			unit *= binary ? 1024 : 1000;
		end += 1 + binary;
		end += *end == 'B';
	}
	if (!tfs_value_decimal(value) || *end || errno || n * unit < 1 || n * unit > 1e18)
		return tfs_value_complain("--shard-size", value, want);
	*ret = (uint64_t)(n * unit);
	return true;
}

static bool take(void *arg, int id, const char *value)
{
	static const char *const dtypes[] = { "bf16", "f16", "f32", NULL };
	struct options *o = arg;

	switch (id) {
	case OPT_DTYPE:
		if (!tfs_value_word("--dtype", value, dtypes, &o->dtype))
			return false;
		o->dtype++;
		return true;
	case OPT_SHARD_SIZE:
		return take_size(value, &o->shard_max);
	default:
		return tfs_model_options_take(&o->model, id, value);
	}
}

/* --- What is copied ------------------------------------------------------------------------------------------------------- */

/* Why a set has no values that could be written as another type. */
static void complain_values(const struct tfs_set *set)
{
	char name[TFS_QUOTE_SIZE];

	for (size_t i = 0; i < set->n_tensors; i++) {
		const struct tfs_tensor *t = &set->tensors[i];

		if (tfs_set_scaled_of(set, i) || !(t->code || (tfs_valued(t) && !tfs_has_values(t))))
			continue;
		tfs_log_error("--dtype: the values of tensor %s, of type %s, can't be computed",
			      tfs_quote(name, sizeof name, t->name, t->name_len), t->dtype->name);
		return;
	}
	tfs_log_error("--dtype: %s",
		      set->incomplete ? "the model is incomplete" : "not all of its weights have values in their own shape");
}

static bool is_quantised(const struct tfs_set *set)
{
	for (size_t i = 0; i < set->n_tensors; i++)
		if (set->tensors[i].code || tfs_valued(&set->tensors[i]))
			return true;
	return set->n_scaled;
}

static int copy_members(struct tfs_cp *cp, const struct tfs_tensor *const *members, size_t n)
{
	cp->members = reallocarray(NULL, n + 1, sizeof *cp->members);
	if (!cp->members)
		return -ENOMEM;
	memcpy(cp->members, members, n * sizeof *members);
	cp->n = n;
	return 0;
}

/* All tensors that the output may have, of a set as it is stored … */
static int find_stored(struct tfs_cp *cp)
{
	const struct tfs_set *set = &cp->arg->model->sets[cp->set];

	cp->members = reallocarray(NULL, set->n_tensors + 1, sizeof *cp->members);
	if (!cp->members)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_tensors; i++)
		cp->members[cp->n++] = &set->tensors[i];
	return 0;
}

/* … or converted: a quantised model as whole/bf16 has it, and of any other one all floating-point numbers. */
static int find_members(struct tfs_cp *cp, int dtype)
{
	static const char *const names[] = { "BF16", "F16", "F32" };
	const struct tfs_set *set = &cp->arg->model->sets[cp->set];
	const struct tfs_tensor *const *members;
	size_t n;

	if (!dtype)
		return find_stored(cp);
	cp->conversion.as = tfs_dtype_by_name(names[dtype - 1], strlen(names[dtype - 1]));
	cp->conversion.floats = !is_quantised(set);
	if (cp->conversion.floats)
		return find_stored(cp);
	struct tfs_converted_all *c = tfs_converted_all_create(cp->arg->model);
	int r = !c ? -ENOMEM : tfs_converted_has(c, cp->set) ? tfs_converted_members(c, cp->set, &members, &n) : -EINVAL;
	if (!r)
		r = copy_members(cp, members, n);
	if (r == -EINVAL)
		complain_values(set);
	tfs_converted_all_destroy(c);
	return r;
}

static int compare_pointers(const void *a, const void *b)
{
	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

/* Keep the members that are among @items. */
static int keep(struct tfs_cp *cp, const struct tfs_items *items)
{
	cleanup_free const void **wanted = calloc(2 * items->n + 1, sizeof *wanted);
	size_t n = 0;

	if (!wanted)
		return -ENOMEM;
	for (size_t i = 0; i < items->n; i++)
		wanted[i] = tfs_item_tensor(cp->arg->model, items->items[i]);
	tfs_sort(wanted, items->n, wanted + items->n, compare_pointers);
	for (size_t i = 0; i < cp->n; i++)
		if (tfs_sorted_have(wanted, items->n, cp->members[i], compare_pointers))
			cp->members[n++] = cp->members[i];
	cp->n = n;
	return 0;
}

/* 0; -ENOENT: a name matches nothing; or another error. Printed. */
static int choose(struct tfs_cp *cp, const struct options *o, char **names, int n)
{
	struct tfs_items items = { 0 };
	struct tfs_scope scope;
	int r = tfs_scope_find(cp->arg->model, o->model.set, &scope);

	if (r)
		return -EINVAL;
	if (scope.n > 1) {
		tfs_log_error("the model has %zu weight sets; choose one with --set, as tensorfs ls calls it", scope.n);
		tfs_scope_fini(&scope);
		return -EINVAL;
	}
	cp->set = scope.sets[0];
	r = find_members(cp, o->dtype);
	if (!r && n)
		r = tfs_items_select(cp->arg, &scope, names, n, &items);
	if (!r && n)
		r = keep(cp, &items);
	if (!r && n && !cp->n) {
		tfs_log_error(o->dtype ? "what the names match isn't part of the converted model" :
					 "what the names match isn't stored but computed from codes: use --dtype");
		r = -EINVAL;
	}
	if (r == -ENOMEM)
		tfs_log_error("out of memory");
	free(items.items);
	tfs_scope_fini(&scope);
	return r;
}

/* --- To what -------------------------------------------------------------------------------------------------------------- */

static bool ends(const char *s, const char *suffix)
{
	const size_t len = strlen(s), n = strlen(suffix);

	return len > n && !strcmp(s + len - n, suffix) && s[len - n - 1] != '/';
}

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* How the output is written, by its name; NULL, and an error is printed. */
static int (*writer_of(const struct tfs_cp *cp))(struct tfs_cp *cp)
{
	const size_t len = strlen(cp->out);

	if (len && !is_directory(cp->out) && ends(cp->out, ".safetensors"))
		return tfs_cp_safetensors;
	if (cp->shard_max != UINT64_MAX) {
		tfs_log_error("--shard-size: only for OUT.safetensors");
		return NULL;
	}
	if (len && !is_directory(cp->out) && ends(cp->out, ".npz"))
		return tfs_cp_npz;
	if (len && (cp->out[len - 1] == '/' || is_directory(cp->out)))
		return tfs_cp_npy;
	tfs_log_error("%s: must end in .safetensors or .npz, or be a directory, for files in .npy: %s/", cp->out, cp->out);
	return NULL;
}

static uint64_t size_of(const struct tfs_cp *cp)
{
	uint64_t size = 0;

	for (size_t i = 0; i < cp->n; i++)
		size += tfs_consolidated_bytes(cp->members[i], cp->conversion);
	return size;
}

static int report(const struct tfs_cp *cp)
{
	json_t *files = json_array();

	for (size_t i = 0; i < cp->files.n; i++)
		json_array_append_new(files, tfs_json_text(cp->files.files[i].path));
	json_t *o = json_pack("{s:I, s:I, s:o}", "tensors", (json_int_t)cp->n, "bytes", (json_int_t)size_of(cp), "files", files);
	int r = tfs_json_print(o);
	json_decref(o);
	return r ? r : tfs_command_flush();
}

static int copy(struct tfs_cp *cp, bool json)
{
	int (*writer)(struct tfs_cp * cp) = writer_of(cp);
	bool made = false;

	if (!writer)
		return -EINVAL;
	if (writer == tfs_cp_npy && !is_directory(cp->out)) {
		if (mkdir(cp->out, 0777)) {
			const int r = -errno;
			tfs_log_error("%s: %s", cp->out, strerror(-r));
			return r;
		}
		made = true;
	}
	int r = tfs_outfiles_init(&cp->files);
	cp->files.source = cp->arg->model;
	if (!r)
		r = tfs_reading_open(cp->arg->model, &cp->loader);
	if (!r)
		r = tfs_outfiles_watch(&cp->files, cp->loader);
	tfs_progress_begin(&cp->progress, "copying", 1, 1, size_of(cp));
	if (!r)
		r = writer(cp);
	tfs_progress_end(&cp->progress, -1);
	if (!r)
		r = tfs_outfiles_publish(&cp->files);
	if (!r && writer == tfs_cp_safetensors)
		r = tfs_cp_remove_stale(cp);
	if (!r && json)
		r = report(cp);
	tfs_outfiles_fini(&cp->files);
	tfs_reading_close(cp->loader);
	for (size_t i = 0; i < cp->n_made; i++)
		tfs_consolidated_destroy(cp->made[i]);
	free(cp->made);
	if (r && made)
		rmdir(cp->out);
	return r;
}

/* What says how codes are decoded may be in the model's config.json, which isn't copied. */
static void warn_of_codes(const struct tfs_cp *cp)
{
	for (size_t i = 0; i < cp->n; i++)
		if (cp->members[i]->code) {
			tfs_log_warning(
				"%s: has the codes of quantised weights as they are stored: keep the model's config.json beside "
				"them, or copy values by --dtype",
				cp->out);
			return;
		}
}

static int cp_main(int argc, char **argv)
{
	struct options o = { .shard_max = UINT64_MAX };
	struct tfs_model_arg arg;
	struct tfs_cp cp = { .arg = &arg };
	int first;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_cp_command, argc, argv, take, &o, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	if (tfs_model_arg_open(argv[first], &arg))
		return TFS_EXIT_USAGE;
	cp.out = argv[argc - 1];
	cp.shard_max = o.shard_max;
	tfs_progress_init(&cp.progress, false);
	int r = choose(&cp, &o, argv + first + 1, argc - first - 2);
	if (!r)
		r = copy(&cp, o.model.json) ? -EINVAL : 0;
	if (!r && !o.dtype)
		warn_of_codes(&cp);
	free((void *)cp.members);
	tfs_model_arg_close(&arg);
	return r == -ENOENT ? TFS_EXIT_FAILED : r ? TFS_EXIT_USAGE : TFS_EXIT_OK;
}

const struct tfs_command tfs_cp_command = {
	.name = "tensorfs cp",
	.summary = "write a model, or part of it, to another file or type",
	.operands = "MODEL [NAME...] OUT",
	.min_operands = 2,
	.max_operands = INT_MAX,
	.about =
		"Write a model's tensors, or those that are named, to OUT: a file in .safetensors or .npz, or a directory (DIR/) of .npy. "
		"NAME is as for tensorfs ls. OUT appears when it is complete.",
	.status = "Exit status: 0 written, 1 a NAME matches nothing, 2 failed, or a usage error. See tensorfs-cp(1).",
	.tables = { cp_options, tfs_model_options },
	.run = cp_main,
};
