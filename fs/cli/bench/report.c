/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench/bench.h"
#include "cli/figures.h"
#include "config.h"

const char *const tfs_bench_pass_names[TFS_BENCH_PASSES] = {
	[TFS_BENCH_BASELINE] = "baseline", [TFS_BENCH_COLD] = "cold",	  [TFS_BENCH_CACHED] = "cached",
	[TFS_BENCH_WARM] = "warm",	   [TFS_BENCH_NATIVE] = "native", [TFS_BENCH_ORIGINALS] = "originals",
};

bool tfs_bench_is_cold(enum tfs_bench_pass pass)
{
	return pass != TFS_BENCH_CACHED && pass != TFS_BENCH_WARM;
}

/* What it is compared with. */
static enum tfs_bench_pass reference_of(enum tfs_bench_pass pass)
{
	return tfs_bench_is_whole(pass) ? TFS_BENCH_NATIVE : TFS_BENCH_BASELINE;
}

void tfs_bench_note(struct tfs_bench_result *r, const char *fmt, ...)
{
	char note[sizeof r->notes[0]];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(note, sizeof note, fmt, ap);
	va_end(ap);
	for (unsigned i = 0; i < r->n_notes; i++)
		if (!strcmp(r->notes[i], note))
			return; /* all runs are alike */
	if (r->n_notes < TFS_BENCH_NOTES_MAX)
		memcpy(r->notes[r->n_notes++], note, sizeof note);
}

/* --- Arithmetic ----------------------------------------------------------------------------------------------------- */

const char *tfs_bench_grade(double baseline, double seconds)
{
	if (seconds > baseline * (1 + TFS_BENCH_TIE))
		return "SLOWER";
	return seconds < baseline / (1 + TFS_BENCH_TIE) ? "FASTER" : "AS FAST";
}

const char *tfs_bench_seconds_grade(double baseline, double seconds)
{
	if (baseline < TFS_BENCH_LARGE_SECONDS)
		return NULL;
	return seconds < 30 ? "ULTRA-FAST" : seconds < 60 ? "FAST" : seconds < 120 ? "GOOD" : "NEEDS IMPROVEMENT";
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double tfs_bench_median(const double *values, unsigned n)
{
	double sorted[TFS_BENCH_RUNS_MAX];

	memcpy(sorted, values, n * sizeof *values);
	qsort(sorted, n, sizeof *sorted, by_value);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double tfs_bench_saved(double before, double after)
{
	return before > 0 ? (before - after) / before * 100 : 0;
}

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static double seconds_of(const struct tfs_bench_result *r, enum tfs_bench_pass pass)
{
	const struct tfs_bench_figure *f = &r->figures[pass];
	return f->n ? tfs_bench_median(f->seconds, f->n) : 0;
}

/* --- Text ----------------------------------------------------------------------------------------------------------- */

enum { LABEL_WIDTH = 10, SECONDS_WIDTH = 11, RATE_WIDTH = 11, REMARK_WIDTH = 34, BAR_MIN = 8, BAR_MAX = 60 };

static void row(FILE *f, const char *label)
{
	fprintf(f, "%-*s", LABEL_WIDTH, label);
}

/* What comes from files or the command line, on one line. */
static void print_plain(FILE *f, const char *s)
{
	for (; *s; s++)
		fputc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, f);
}

static const char *serving(const struct tfs_bench_result *r)
{
	const char *s = json_string_value(json_object_get(r->stats, "serving"));
	return s ? s : r->mounted ? "unknown" : "no mount: the loader alone, streamed";
}

static void print_facts(FILE *f, const struct tfs_bench_result *r)
{
	const struct tfs_bench_system *s = &r->system;
	const struct {
		bool have;
		const char *name;
	} features[] = {
		{ s->fuse, "FUSE" },
		{ !strcmp(serving(r), "passthrough"), "passthrough" },
		{ s->direct, "O_DIRECT" },
		{ s->io_uring, "io_uring" },
		{ s->fuse_uring, "FUSE over io_uring" },
		{ s->huge_pages, "huge pages" },
	};
	enum { N = sizeof features / sizeof *features };
	char bytes[TFS_FIGURES_BYTES], others[TFS_FIGURES_BYTES];

	row(f, "model");
	print_plain(f, r->path);
	fputc('\n', f);
	row(f, "");
	fprintf(f, "%" PRIu64 " tensors, %s in %" PRIu64 " file%s; %" PRIu64 " other file%s, %s\n", r->tensors,
		tfs_figures_bytes(bytes, (double)r->tensor_bytes), r->files, r->files == 1 ? "" : "s", r->other_files,
		r->other_files == 1 ? "" : "s", tfs_figures_bytes(others, (double)r->other_bytes));
	row(f, "CPU");
	fprintf(f, "%s, %u core%s, %s\n", s->cpu, s->cpus, s->cpus == 1 ? "" : "s", s->simd);
	row(f, "memory");
	fprintf(f, "%.3g GiB, available %.3g, budget %.3g\n", (double)s->memory / 0x1p30, (double)s->available / 0x1p30,
		(double)r->memory / 0x1p30);
	row(f, "system");
	fprintf(f, "Linux %s, libfuse %s\n", s->kernel, s->libfuse);
	row(f, "storage");
	fprintf(f, "%s on %s", s->fs_type[0] ? s->fs_type : "unknown", s->device[0] ? s->device : "no block device");
	if (s->rotational >= 0)
		fprintf(f, ", %s", s->rotational ? "rotational" : "not rotational");
	if (s->scheduler[0])
		fprintf(f, ", scheduler %s", s->scheduler);
	fputc('\n', f);
	for (int have = 1; have >= 0; have--) {
		bool any = false;
		for (unsigned i = 0; i < N; i++) {
			if (features[i].have != have)
				continue;
			if (!any)
				row(f, have ? "has" : "lacks");
			fprintf(f, "%s%s", any ? ", " : "", features[i].name);
			any = true;
		}
		if (any)
			fputc('\n', f);
	}
	row(f, "served");
	const char *engine = json_string_value(json_object_get(r->stats, "engine"));
	fprintf(f, "%s%s%s; %u reader%s, %u run%s\n", serving(r), engine ? ", engine " : "", engine ? engine : "", r->readers,
		r->readers == 1 ? "" : "s", r->runs, r->runs == 1 ? "" : "s");
}

static void print_remark(FILE *f, const struct tfs_bench_result *r, enum tfs_bench_pass pass, double seconds)
{
	double before = seconds_of(r, reference_of(pass)), cold = seconds_of(r, TFS_BENCH_COLD);
	double percent = ratio(seconds, cold) * 100, saved = tfs_bench_saved(before, seconds);

	if (pass == TFS_BENCH_BASELINE)
		fprintf(f, "one thread, buffered");
	else if (pass == TFS_BENCH_NATIVE)
		fprintf(f, "one thread, whole files by mmap");
	else if (pass == TFS_BENCH_CACHED)
		fprintf(f, "%.2g %% of cold%s", percent, percent < TFS_BENCH_IMMEDIATE_PERCENT ? ": immediate" : "");
	else if (saved >= 0)
		fprintf(f, "%.2f times as fast, %.0f %% saved", ratio(before, seconds), saved);
	else
		fprintf(f, "slower: %.2f times as long", ratio(seconds, before));
}

/* The bars are seconds, so shorter is better. */
static void print_chart(FILE *f, const struct tfs_bench_result *r, unsigned width, bool utf8)
{
	unsigned used = LABEL_WIDTH + SECONDS_WIDTH + RATE_WIDTH + REMARK_WIDTH + 2, room = width > used ? width - used : 0;
	char bar[4 * BAR_MAX + 1], rate[TFS_FIGURES_BYTES + 2];
	double longest = 0;

	room = room < BAR_MIN ? BAR_MIN : room > BAR_MAX ? BAR_MAX : room;
	for (int p = 0; p < TFS_BENCH_PASSES; p++)
		if (seconds_of(r, p) > longest)
			longest = seconds_of(r, p);
	for (int p = 0; p < TFS_BENCH_PASSES; p++) {
		const struct tfs_bench_figure *fig = &r->figures[p];
		double seconds = seconds_of(r, p);
		if (!fig->n)
			continue;
		row(f, tfs_bench_pass_names[p]);
		unsigned drawn = tfs_figures_bar(bar, room, ratio(seconds, longest), utf8);
		/* The pass that only maps reads next to nothing. */
		tfs_figures_bytes(rate, ratio((double)fig->bytes, seconds));
		strcat(rate, "/s");
		fprintf(f, "%s%*s%*.*f s  %-*s", bar, (int)(room - drawn), "", SECONDS_WIDTH - 2, seconds < 1 ? 4 : 2, seconds,
			RATE_WIDTH, p == TFS_BENCH_CACHED ? "" : rate);
		print_remark(f, r, p, seconds);
		fputc('\n', f);
	}
}

static void print_grade(FILE *f, const struct tfs_bench_result *r)
{
	double baseline = seconds_of(r, TFS_BENCH_BASELINE), cold = seconds_of(r, TFS_BENCH_COLD);
	const char *by_seconds = tfs_bench_seconds_grade(baseline, cold);

	row(f, "grade");
	fprintf(f, "%s: ", tfs_bench_grade(baseline, cold));
	if (cold > baseline)
		fprintf(f, "a cold load takes %.2f times as long as an ordinary reader\n", ratio(cold, baseline));
	else
		fprintf(f, "a cold load is %.2f times as fast as an ordinary reader\n", ratio(baseline, cold));
	if (by_seconds) {
		row(f, "");
		fprintf(f, "%s: cold load in %.2f s\n", by_seconds, cold);
	}
}

void tfs_bench_print_text(FILE *f, const struct tfs_bench_result *r, unsigned width, bool utf8)
{
	print_facts(f, r);
	fputc('\n', f);
	print_chart(f, r, width, utf8);
	fputc('\n', f);
	print_grade(f, r);
	for (unsigned i = 0; i < r->n_notes; i++) {
		row(f, "note");
		fprintf(f, "%s\n", r->notes[i]);
	}
}

/* --- JSON ----------------------------------------------------------------------------------------------------------- */

/* Any bytes: those that aren't UTF-8 (a path may be anything) are shown as '?'. */
static json_t *any_string(const char *s)
{
	json_t *j = json_string(s);
	if (j)
		return j;
	char *copy = strdup(s);
	for (char *c = copy; c && *c; c++)
		*c = (*c & 0x80) ? '?' : *c;
	j = copy ? json_string(copy) : NULL;
	free(copy);
	return j;
}

/* A string, or null for an empty one. */
static json_t *known(const char *s)
{
	return s[0] ? any_string(s) : json_null();
}

static json_t *coldness(enum tfs_bench_coldness c)
{
	return c == TFS_BENCH_COLD_UNKNOWN ? json_null() : json_boolean(c == TFS_BENCH_COLD_YES);
}

static json_t *reals(const double *values, unsigned n)
{
	json_t *a = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(a, json_real(values[i]));
	return a;
}

static json_t *figure(const struct tfs_bench_result *r, enum tfs_bench_pass pass)
{
	const struct tfs_bench_figure *f = &r->figures[pass];
	double seconds = seconds_of(r, pass), before = seconds_of(r, reference_of(pass)), cold = seconds_of(r, TFS_BENCH_COLD);

	if (!f->n)
		return json_null();
	json_t *o = json_pack("{s:f, s:o}", "seconds", seconds, "runs", reals(f->seconds, f->n));
	if (pass != TFS_BENCH_CACHED) {
		json_object_set_new(o, "bytes", json_integer((json_int_t)f->bytes));
		json_object_set_new(o, "bytes_per_second", json_real(ratio((double)f->bytes, seconds)));
	}
	if (tfs_bench_is_cold(pass)) {
		json_object_set_new(o, "cold", coldness(f->coldness));
		json_object_set_new(o, "cached_bytes",
				    f->coldness == TFS_BENCH_COLD_UNKNOWN ? json_null() :
									    json_integer((json_int_t)f->cached_bytes));
	}
	if (pass == TFS_BENCH_COLD)
		json_object_set_new(o, "mount_seconds", json_real(tfs_bench_median(r->mount_seconds, f->n)));
	if (pass != reference_of(pass) && pass != TFS_BENCH_CACHED) {
		json_object_set_new(o, "speedup", json_real(ratio(before, seconds)));
		json_object_set_new(o, "saved_percent", json_real(tfs_bench_saved(before, seconds)));
	}
	if (pass == TFS_BENCH_CACHED) {
		double percent = ratio(seconds, cold) * 100;
		json_object_set_new(o, "percent_of_cold", json_real(percent));
		json_object_set_new(o, "immediate", json_boolean(percent < TFS_BENCH_IMMEDIATE_PERCENT));
	}
	return o;
}

static json_t *integer(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *system_object(const struct tfs_bench_result *r)
{
	const struct tfs_bench_system *s = &r->system;
	json_t *storage = json_pack("{s:o, s:o, s:o, s:o}", "file_system", known(s->fs_type), "device", known(s->device),
				    "rotational", s->rotational < 0 ? json_null() : json_boolean(s->rotational), "scheduler",
				    known(s->scheduler));
	json_t *features = json_pack("{s:b, s:o, s:b, s:b, s:b, s:b, s:b}", "fuse", s->fuse, "passthrough",
				     r->mounted ? json_boolean(!strcmp(serving(r), "passthrough")) : json_null(), "o_direct",
				     s->direct, "io_uring", s->io_uring, "fuse_over_io_uring", s->fuse_uring, "huge_pages",
				     s->huge_pages, "cachestat", s->cachestat);

	return json_pack("{s:o, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "cpu", any_string(s->cpu), "cpus", (int)s->cpus, "simd",
			 s->simd, "memory_bytes", integer(s->memory), "available_bytes", integer(s->available), "kernel",
			 known(s->kernel), "libfuse", known(s->libfuse), "storage", storage, "features", features);
}

int tfs_bench_print_json(FILE *f, const struct tfs_bench_result *r)
{
	json_t *o = json_object(), *notes = json_array();

	for (unsigned i = 0; i < r->n_notes; i++)
		json_array_append_new(notes, any_string(r->notes[i]));
	/* A member that couldn't be created makes setting it fail. */
	int bad = json_object_set_new(o, "version", json_string(TFS_VERSION));
	bad |= json_object_set_new(o, "model",
				   json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "path", any_string(r->path), "tensors",
					     integer(r->tensors), "tensor_bytes", integer(r->tensor_bytes), "files",
					     integer(r->files), "other_files", integer(r->other_files), "other_bytes",
					     integer(r->other_bytes)));
	bad |= json_object_set_new(o, "system", system_object(r));
	bad |= json_object_set_new(o, "options",
				   json_pack("{s:i, s:i, s:i, s:o}", "runs", (int)r->runs, "readers", (int)r->readers, "threads",
					     (int)r->threads, "memory_bytes", integer(r->memory)));
	bad |= json_object_set_new(o, "through", json_string(r->mounted ? "mount" : "loader"));
	bad |= json_object_set_new(o, "serving", json_string(serving(r)));
	for (int p = 0; p < TFS_BENCH_PASSES; p++)
		bad |= json_object_set_new(o, tfs_bench_pass_names[p], figure(r, p));
	double baseline = seconds_of(r, TFS_BENCH_BASELINE), cold = seconds_of(r, TFS_BENCH_COLD);
	const char *by_seconds = tfs_bench_seconds_grade(baseline, cold);
	bad |= json_object_set_new(o, "grade", json_string(tfs_bench_grade(baseline, cold)));
	bad |= json_object_set_new(o, "seconds_grade", by_seconds ? json_string(by_seconds) : json_null());
	bad |= json_object_set_new(o, "notes", notes);
	bad |= json_object_set(o, "stats", r->stats ? r->stats : json_null());
	int r2 = bad ? -ENOMEM : json_dumpf(o, f, JSON_INDENT(2)) || fputc('\n', f) == EOF ? -EIO : 0;
	json_decref(o);
	return r2;
}
