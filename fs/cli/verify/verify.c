/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mask.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/verify/impl.h"

enum { OPT_STRICT = 256 };

static const struct tfs_option verify_options[] = {
	{ OPT_STRICT, "strict", NULL, "exit with status 1 even if there are only notes" },
	{ TFS_OPT_JSON, "json", NULL, "for programs: JSON" },
	{ 0 },
};

struct options {
	struct tfs_model_options model;
	bool strict;
};

static bool take(void *arg, int id, const char *value)
{
	struct options *o = arg;

	if (id != OPT_STRICT)
		return tfs_model_options_take(&o->model, id, value);
	o->strict = true;
	return true;
}

/* --- Findings ------------------------------------------------------------------------------------------------------------- */

static const char *const level_names[] = {
	[TFS_DAMAGED] = "damaged", [TFS_VALUES] = "values", [TFS_WARNING] = "warning", [TFS_NOTE] = "note"
};

static void keep(struct tfs_verify *v, struct tfs_finding f)
{
	pthread_mutex_lock(&v->lock);
	if (!f.what || tfs_array_room(v->findings, v->n, v->room)) {
		v->failed = -ENOMEM;
		free(f.file);
		free(f.tensor);
		free(f.what);
	} else {
		v->findings[v->n++] = f;
	}
	pthread_mutex_unlock(&v->lock);
}

void tfs_verify_find(struct tfs_verify *v, enum tfs_finding_level level, uint32_t node, const struct tfs_item *item,
		     const char *fmt, ...)
{
	struct tfs_finding f = { .level = level };
	char path[TFS_PATH_SIZE];
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&f.what, fmt, ap) < 0)
		f.what = NULL;
	va_end(ap);
	if (node != UINT32_MAX && !tfs_model_path(v->arg.model, node, path, sizeof path))
		f.file = strdup(path);
	if (item) {
		const struct tfs_tensor *t = tfs_item_tensor(v->arg.model, *item);
		f.tensor = tfs_safe(t->name, t->name_len, "/%");
	}
	keep(v, f);
}

/* What mounting warns about. Before the model is open. */
static void on_warning(void *arg, const struct tfs_error *warning)
{
	const enum tfs_finding_level level = warning->code == -EOPNOTSUPP ? TFS_NOTE : TFS_WARNING;

	keep(arg, (struct tfs_finding){
			  .level = level, .file = warning->file[0] ? strdup(warning->file) : NULL, .what = strdup(warning->what) });
}

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare(const void *a, const void *b)
{
	const struct tfs_finding *f = a, *g = b;
	int c = (f->level > g->level) - (f->level < g->level);

	c = c ? c : compare_text(f->file, g->file);
	c = c ? c : compare_text(f->tensor, g->tensor);
	return c ? c : compare_text(f->what, g->what);
}

static void print_finding(const struct tfs_finding *f, const struct tfs_terminal *terminal)
{
	static const char *const colours[] = {
		[TFS_DAMAGED] = "1;31", [TFS_VALUES] = TFS_RED, [TFS_WARNING] = "33", [TFS_NOTE] = TFS_DIM
	};

	if (terminal->colour)
		printf("\033[%sm%s\033[0m: ", colours[f->level], level_names[f->level]);
	else
		printf("%s: ", level_names[f->level]);
	if (f->file) {
		tfs_put_safe(stdout, f->file, strlen(f->file), "");
		fputs(": ", stdout);
	}
	if (f->tensor)
		printf("%s: ", f->tensor);
	tfs_put_safe(stdout, f->what, strlen(f->what), "");
	putchar('\n');
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_totals(const struct tfs_verify *v)
{
	static const char *const of[TFS_SUM_KINDS] = { "SHA-256", "Git SHA-1", "XXH128" };

	printf("checked: %" PRIu64 " tensor%s", v->tensors, plural(v->tensors));
	for (int k = 0; k < TFS_SUM_KINDS; k++)
		if (v->checked[k])
			printf(", %" PRIu64 " by %s", v->checked[k], of[k]);
	if (v->crcs)
		printf(", %" PRIu64 " CRC%s", v->crcs, plural(v->crcs));
	if (!v->sums.n && !v->crcs)
		printf("; there are no checksums to compare with");
	printf("; %zu finding%s\n", v->n, plural(v->n));
}

static int print_json(const struct tfs_verify *v, const char *path)
{
	json_t *findings = json_array();

	for (size_t i = 0; i < v->n; i++) {
		const struct tfs_finding *f = &v->findings[i];
		json_array_append_new(findings, json_pack("{s:s, s:o, s:o, s:o}", "level", level_names[f->level], "file",
							  f->file ? tfs_json_text(f->file) : json_null(), "tensor",
							  f->tensor ? tfs_json_text(f->tensor) : json_null(), "what",
							  tfs_json_text(f->what)));
	}
	json_t *o = json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:o}", "model", tfs_json_text(path), "checked", "tensors",
			      (json_int_t)v->tensors, "sha256", (json_int_t)v->checked[TFS_SHA256], "git_sha1",
			      (json_int_t)v->checked[TFS_GIT_SHA1], "xxh128", (json_int_t)v->checked[TFS_XXH128], "crc32",
			      (json_int_t)v->crcs, "findings", findings);
	int r = tfs_json_print(o);
	json_decref(o);
	return r;
}

static int report(struct tfs_verify *v, const char *path, const struct options *o)
{
	const struct tfs_terminal terminal = tfs_terminal_of(STDOUT_FILENO);
	bool bad = false;
	int r = 0;

	if (v->n)
		qsort(v->findings, v->n, sizeof *v->findings, compare);
	for (size_t i = 0; i < v->n; i++) {
		bad |= o->strict || v->findings[i].level != TFS_NOTE;
		if (!o->model.json)
			print_finding(&v->findings[i], &terminal);
	}
	if (o->model.json)
		r = print_json(v, path);
	else
		print_totals(v);
	if (v->no_sha)
		tfs_log_warning("this tensorfs was built without libnettle: no SHA-256 or SHA-1 was checked");
	if (r || tfs_command_flush())
		return TFS_EXIT_USAGE;
	return bad ? TFS_EXIT_FAILED : TFS_EXIT_OK;
}

/* --- The command ---------------------------------------------------------------------------------------------------------- */

/* Of what a set should have according to its index, its names and its files. */
static void find_missing(struct tfs_verify *v)
{
	for (uint32_t s = 0; s < v->arg.model->n_sets; s++) {
		const struct tfs_set *set = &v->arg.model->sets[s];

		for (size_t i = 0; i < set->n_missing; i++) {
			struct tfs_finding f = { .level = TFS_DAMAGED, .what = strdup("is missing, or can't be read") };

			f.tensor = tfs_safe(set->missing[i], strlen(set->missing[i]), "/%");
			f.file = strdup(set->stem);
			keep(v, f);
		}
	}
}

/* Is this how a snapshot in a Hugging Face cache has its files, "../../blobs/HASH"? */
static bool is_to_blob(const char *target)
{
	const char *slash = strrchr(target, '/');

	return slash && slash - target >= 6 && !strncmp(slash - 6, "/blobs", 6);
}

/* Links that lead nowhere. That may be meant, as of an editor's lock, but not where a blob should be. */
static void find_dangling(struct tfs_verify *v)
{
	const struct tfs_model *m = v->arg.model;
	char path[TFS_PATH_SIZE];
	struct stat st;

	for (uint32_t node = 0; node < m->n_nodes && !tfs_model_is_remote(m); node++) {
		if (!S_ISLNK(m->nodes[node].mode) || tfs_model_path(m, node, path, sizeof path) ||
		    !fstatat(tfs_model_originals_fd(m), path, &st, 0))
			continue;
		const char *target = m->nodes[node].link->target;
		if (errno == ENOENT && is_to_blob(target))
			tfs_verify_find(v, TFS_DAMAGED, node, NULL, "its blob %s is missing", strrchr(target, '/') + 1);
		else if (errno == ENOENT)
			tfs_verify_find(v, TFS_NOTE, node, NULL, "is a dangling symlink, to %s", target);
		else
			tfs_verify_find(v, TFS_NOTE, node, NULL, "is a symlink to %s: %s", target, strerror(errno));
	}
}

static int check(struct tfs_verify *v)
{
	int r = tfs_verify_same(v);

	find_missing(v);
	find_dangling(v);
	if (!r)
		r = tfs_verify_sums(v);
	if (!r)
		r = tfs_verify_files(v);
	if (!r)
		r = tfs_verify_tensors(v);
	return r ? r : v->failed;
}

/* Nothing valid is in it: that's what was to be found out. */
static bool is_damage(int r)
{
	return r == -EINVAL || r == -EIO;
}

static int verify(struct tfs_verify *v, const char *path, const struct options *o)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE + PATH_MAX], shown[TFS_MASKED];
	int r = tfs_model_arg_open_with(path, on_warning, v, &v->arg, &err);

	tfs_mask_url(path, shown, sizeof shown);
	if (is_damage(r)) {
		keep(v, (struct tfs_finding){ .level = TFS_DAMAGED,
					      .what = strdup(tfs_model_error_line(path, &err, line, sizeof line)) });
		return report(v, shown, o);
	}
	if (r) {
		tfs_log_error("%s", tfs_model_error_line(path, &err, line, sizeof line));
		return TFS_EXIT_USAGE;
	}
	/* What the loader says of tensors that can't be read are findings. */
	r = check(v);
	if (r)
		tfs_log_error("%s", strerror(-r));
	const int status = r ? TFS_EXIT_USAGE : report(v, shown, o);
	tfs_model_arg_close(&v->arg);
	return status;
}

static int verify_main(int argc, char **argv)
{
	struct options o = { 0 };
	struct tfs_verify v = { 0 };
	int first;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_verify_command, argc, argv, take, &o, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	pthread_mutex_init(&v.lock, NULL);
	tfs_progress_init(&v.progress, false);
	const int status = verify(&v, argv[first], &o);
	for (size_t i = 0; i < v.n; i++) {
		free(v.findings[i].file);
		free(v.findings[i].tensor);
		free(v.findings[i].what);
	}
	free(v.findings);
	free(v.same);
	tfs_sums_fini(&v.sums);
	return status;
}

const struct tfs_command tfs_verify_command = {
	.name = "tensorfs verify",
	.summary = "check a model against its checksums, index and values",
	.operands = "MODEL",
	.min_operands = 1,
	.max_operands = 1,
	.about =
		"Check a model against what there is: SHA256SUMS, XXH128SUMS, the names of files in a Hugging Face cache, CRCs of zip "
		"files, indexes; and look for NaN, infinite and all-zero values. Names the tensors that are damaged, where that can be "
		"told.",
	.status =
		"Exit status: 0 nothing was found but notes, 1 something was, 2 failed, or a usage error. See tensorfs-verify(1).",
	.tables = { verify_options },
	.run = verify_main,
};
