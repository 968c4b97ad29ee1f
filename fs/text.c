/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control.h"

const char *const tfs_controls[] = {
	[TFS_CONTROL_STATS] = "stats",
	[TFS_CONTROL_STATS_JSON] = "stats.json",
	[TFS_CONTROL_METRICS] = "metrics",
	[TFS_CONTROL_INDEX_TSV] = "index.tsv",
	[TFS_CONTROL_INDEX_JSON] = "index.json",
	[TFS_CONTROL_XXH128SUMS] = "XXH128SUMS",
	[TFS_CONTROL_PREFETCH] = "prefetch",
	[TFS_CONTROL_EVICT] = "evict",
	[TFS_CONTROL_PIN] = "pin",
	NULL,
};

/* --- meta/NAME.json -------------------------------------------------------------------------------------------------- */

/* A JSON string of any bytes: what is not UTF-8 (a file name may be anything) is shown as '?'. */
static json_t *json_any(const char *s, size_t len)
{
	json_t *j = json_stringn(s, len);
	if (j)
		return j;
	char *copy = malloc(len + 1);
	for (size_t i = 0; copy && i < len; i++)
		copy[i] = (s[i] & 0x80) ? '?' : s[i];
	j = copy ? json_stringn(copy, len) : NULL;
	free(copy);
	return j;
}

/* jansson's integers are signed, and where one dimension is 0 another may be as large as it likes. */
static void put_numbers(FILE *f, const uint64_t *v, unsigned n, const char *between)
{
	putc('[', f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s%" PRIu64, i ? between : "", v[i]);
	putc(']', f);
}

char *tfs_shape_text(const struct tfs_tensor *t)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f)
		put_numbers(f, t->shape, t->ndim, ",");
	if (f && fclose(f)) {
		free(text);
		text = NULL;
	}
	return text;
}

/*
 * An object with one member a line, and what is in the members on that line: pleasant to cat, and JSON. Shape and strides, null in
 * @o, are @t's.
 */
static char *dump_lines(json_t *o, const struct tfs_tensor *t)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	const char *key;
	json_t *value;
	bool bad = !f, first = true;

	json_object_foreach(o, key, value) {
		char *v = bad ? NULL : json_dumps(value, JSON_ENCODE_ANY);
		bad |= !v;
		if (!bad)
			fprintf(f, "%s\n  \"%s\": ", first ? "{" : ",", key);
		if (!bad && json_is_null(value))
			put_numbers(f, strcmp(key, "shape") ? t->packing->strides : t->shape, t->ndim, ", ");
		else if (!bad)
			fputs(v, f);
		first = false;
		free(v);
	}
	if (f && !bad)
		fputs("\n}\n", f);
	if (f && (fclose(f) || bad)) {
		free(text);
		text = NULL;
	}
	return text;
}

/* How a tensor that is not simply there is kept in the source. */
static void add_packing(json_t *o, const struct tfs_packing *p)
{
	if (p->coding != TFS_STORED)
		json_object_set_new(o, "compression", json_string(p->coding == TFS_DEFLATED ? "deflate" : "varint"));
	if (p->n_runs && p->coding == TFS_STORED)
		json_object_set_new(o, "pieces", json_integer((json_int_t)p->n_runs));
	if (p->coding != TFS_STORED || p->n_runs)
		json_object_set_new(o, "stored_nbytes", json_integer((json_int_t)p->length));
	if (p->swap)
		json_object_set_new(o, "byte_order", json_string("big"));
	if (p->strides)
		json_object_set_new(o, "strides", json_null());
}

static char *meta_text(const struct tfs_fs *fs, struct tfs_inode inode)
{
	const struct tfs_set *set = &fs->model->sets[inode.set];
	const struct tfs_tensor *t = &set->tensors[inode.tensor];
	char path[PATH_MAX];
	json_t *o = json_object();

	if (tfs_model_path(fs->model, t->source, path, sizeof path))
		path[0] = 0;
	json_object_set_new(o, "name", json_any(t->name, t->name_len));
	json_object_set_new(o, "dtype", json_string(t->dtype->name));
	json_object_set_new(o, "shape", json_null());
	json_object_set_new(o, "nbytes", json_integer((json_int_t)t->nbytes));
	json_object_set_new(o, "format", json_string(set->format->name));
	json_object_set_new(o, "source", json_any(path, strlen(path)));
	json_object_set_new(o, "offset", json_integer((json_int_t)t->offset));
	if (t->packing)
		add_packing(o, t->packing);
	char *text = dump_lines(o, t);
	json_decref(o);
	return text;
}

/* --- .tensorfs: one table of values, shown in three ways ------------------------------------------------------------- */

struct row {
	const char *key;
	const char *help;     /* of metrics; NULL: not a number */
	bool gauge;	      /* goes up and down; otherwise it only counts up */
	uint64_t number;
	char text[TFS_ERROR_LINE]; /* where help is NULL */
};

enum { ROWS_MAX = 64 };

struct rows {
	unsigned n;
	struct row row[ROWS_MAX];
};

static void add_text(struct rows *r, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add_text(struct rows *r, const char *key, const char *fmt, ...)
{
	struct row *row = &r->row[r->n++];
	va_list ap;
	row->key = key;
	va_start(ap, fmt);
	vsnprintf(row->text, sizeof row->text, fmt, ap);
	va_end(ap);
}

static void add(struct rows *r, const char *key, bool gauge, uint64_t number, const char *help)
{
	r->row[r->n++] = (struct row){ .key = key, .help = help, .gauge = gauge, .number = number };
}

static void count(struct rows *r, const char *key, uint64_t number, const char *help)
{
	add(r, key, false, number, help);
}

static void gauge(struct rows *r, const char *key, uint64_t number, const char *help)
{
	add(r, key, true, number, help);
}

static void collect(struct tfs_fs *fs, struct rows *r)
{
	struct tfs_loader_stats *s = calloc(1, sizeof *s);
	uint64_t tensors = 0, bytes = 0, missing = 0;

	if (!s)
		return;
	tfs_loader_stats(fs->loader, s);
	for (size_t i = 0; i < fs->model->n_sets; i++) {
		tensors += fs->model->sets[i].n_tensors;
		bytes += fs->model->sets[i].total_bytes;
		missing += fs->model->sets[i].n_missing;
	}

	add_text(r, "version", "%s", TFS_VERSION);
	add_text(r, "model", "%s", fs->model_path);
	if (fs->passthrough)
		add_text(r, "serving", "passthrough");
	else
		add_text(r, "serving", "streamed (%s)", fs->streamed_because ? fs->streamed_because : "the kernel refused passthrough");
	add_text(r, "transport", "%s", fs->uring ? "io_uring" : "/dev/fuse");
	add_text(r, "engine", "%s", s->engine);
	gauge(r, "threads", s->threads, "threads that read");

	gauge(r, "sets", fs->model->n_sets, "weight sets mounted");
	gauge(r, "tensors", tensors, "tensors in all sets");
	gauge(r, "tensor_bytes", bytes, "bytes of tensors in all sets");
	gauge(r, "missing", missing, "tensors that an index lists and no file holds");
	gauge(r, "warnings", fs->n_warnings, "things left out or odd, found while mounting");

	count(r, "opens_passthrough", fs->opens[TFS_OPEN_PASSTHROUGH], "opens answered with a backing file");
	count(r, "opens_streamed", fs->opens[TFS_OPEN_STREAM], "opens of tensors served in pieces");
	count(r, "opens_native", fs->opens[TFS_OPEN_NATIVE], "opens of original files read by the daemon");
	count(r, "opens_text", fs->opens[TFS_OPEN_TEXT], "opens of meta and control files");
	count(r, "opens_interrupted", fs->interrupted, "opens given up while waiting");

	const struct tfs_residency_stats *res = &s->residency;
	gauge(r, "memory_budget_bytes", res->budget ? res->budget : fs->options->loader.memory, "memory for resident tensors");
	gauge(r, "memory_used_bytes", res->used, "of the budget, by loading and resident tensors");
	gauge(r, "memory_spooled_bytes", s->spooled, "of the budget, by deflated tensors in another order than C's, while they are read");
	gauge(r, "memory_held_bytes", s->store_used, "by backing files, as the kernel counts");
	gauge(r, "resident", res->files[TFS_RESIDENT] + res->files[TFS_EVICTING], "tensors in memory");
	gauge(r, "loading", res->files[TFS_LOADING], "tensors on their way");
	gauge(r, "failed", res->files[TFS_FAILED], "tensors whose last load failed");
	count(r, "hits", res->hits, "opens of tensors that were resident");
	count(r, "waits", res->waits, "opens that waited for a load");
	count(r, "wait_timeouts", res->timeouts, "opens streamed because the load takes too long");
	count(r, "loads", res->loads, "loads begun");
	count(r, "prefetches", res->prefetched, "of these, before anybody asked");
	count(r, "prefetches_dropped", res->taken_back, "of these, before they began");
	gauge(r, "pinned", res->pinned, "tensors pinned");
	gauge(r, "pinned_bytes", res->pinned_bytes, "what they take");
	count(r, "evictions", res->evictions, "tensors dropped from memory");
	count(r, "evictions_mapped", res->still_mapped, "evictions put off: closed, but still mapped");
	count(r, "memory_pressure", s->pressures, "times that the kernel reported it, and memory was given back");
	count(r, "refusals", res->refusals, "loads that found no room in the budget");

	count(r, "jobs", s->sched.jobs, "reads of storage");
	count(r, "joined", s->sched.joined, "tensors read together with a neighbour");
	count(r, "read_direct_bytes", s->sched.bytes[TFS_READ_DIRECT] + s->sched.bytes[TFS_READ_URING], "read past the page cache");
	count(r, "read_uring_bytes", s->sched.bytes[TFS_READ_URING], "of these, by io_uring");
	count(r, "read_cached_bytes", s->sched.bytes[TFS_READ_CACHED], "copied from the page cache");
	count(r, "read_buffered_bytes", s->sched.bytes[TFS_READ_BUFFERED], "read through the page cache");
	gauge(r, "queued_demand_bytes", s->sched.queued[TFS_DEMAND], "to be read for someone who waits");
	gauge(r, "queued_prefetch_bytes", s->sched.queued[TFS_PREFETCH], "to be read ahead");
	gauge(r, "queued_background_bytes", s->sched.queued[TFS_BACKGROUND], "to be read for hashes");
	gauge(r, "bandwidth_bytes_per_second", (uint64_t)s->sched.bandwidth, "of storage, as measured; 0: not yet");
	count(r, "stream_reads", s->streams.reads, "reads of streamed tensors");
	count(r, "stream_bytes", s->streams.bytes, "their bytes");
	count(r, "stream_waits", s->streams.waits, "of these reads, those that waited for storage");
	gauge(r, "streams", s->streams.open, "tensors open and streamed");
	gauge(r, "shared", res->shared, "tensors resident in the memory of another one, whose bytes are the same");
	gauge(r, "shared_bytes", res->shared_bytes, "of memory saved by that");
	gauge(r, "hashed", s->hashes.known, "tensors whose hash is known");
	count(r, "hashed_bytes", s->hashes.bytes, "hashed for that");
	count(r, "errors", res->failures + s->streams.failures + s->hashes.failures, "reads that failed");
	const char *last = res->last_error[0]	       ? res->last_error
			   : s->streams.last_error[0] ? s->streams.last_error
						       : s->hashes.last_error;
	add_text(r, "last_error", "%s", last[0] ? last : "none");
	free(s);
}

/* A line that stays one line: paths may hold newlines. */
static void print_line(FILE *f, const char *key, const char *text)
{
	fprintf(f, "%s: ", key);
	for (; *text; text++)
		fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, f);
	fputc('\n', f);
}

static void print_people(struct tfs_fs *fs, const struct rows *r, FILE *f)
{
	for (unsigned i = 0; i < r->n; i++) {
		if (r->row[i].help)
			fprintf(f, "%s: %" PRIu64 "\n", r->row[i].key, r->row[i].number);
		else
			print_line(f, r->row[i].key, r->row[i].text);
	}
	for (size_t i = 0; i < fs->n_warnings; i++)
		print_line(f, "warning", fs->warnings[i]);
	for (size_t s = 0; s < fs->model->n_sets; s++) {
		const struct tfs_set *set = &fs->model->sets[s];
		for (size_t i = 0; i < set->n_missing; i++)
			print_line(f, "missing tensor", set->missing[i]);
	}
}

static void print_json(struct tfs_fs *fs, const struct rows *r, FILE *f)
{
	json_t *o = json_object(), *warnings = json_array(), *missing = json_array();

	for (unsigned i = 0; i < r->n; i++) {
		const struct row *row = &r->row[i];
		json_object_set_new(o, row->key,
				    row->help ? json_integer((json_int_t)row->number) : json_any(row->text, strlen(row->text)));
	}
	for (size_t i = 0; i < fs->n_warnings; i++)
		json_array_append_new(warnings, json_any(fs->warnings[i], strlen(fs->warnings[i])));
	for (size_t s = 0; s < fs->model->n_sets; s++)
		for (size_t i = 0; i < fs->model->sets[s].n_missing; i++) {
			const char *name = fs->model->sets[s].missing[i];
			json_array_append_new(missing, json_any(name, strlen(name)));
		}
	json_object_set_new(o, "warning_lines", warnings);
	json_object_set_new(o, "missing_tensors", missing);
	json_dumpf(o, f, JSON_INDENT(2));
	fputc('\n', f);
	json_decref(o);
}

/* The Prometheus text format, version 0.0.4. */
static void print_metrics(const struct rows *r, FILE *f)
{
	for (unsigned i = 0; i < r->n; i++) {
		const struct row *row = &r->row[i];
		const char *total = row->gauge ? "" : "_total";
		if (row->help)
			fprintf(f, "# HELP tensorfs_%s%s %s\n# TYPE tensorfs_%s%s %s\ntensorfs_%s%s %" PRIu64 "\n", row->key,
				total, row->help, row->key, total, row->gauge ? "gauge" : "counter", row->key, total,
				row->number);
	}
}

static char *control_text(struct tfs_fs *fs, uint32_t which)
{
	if (tfs_control_writable(which))
		return tfs_control_text(fs, which);

	struct rows *r = calloc(1, sizeof *r);
	char *text = NULL;
	size_t len = 0;
	FILE *f = r ? open_memstream(&text, &len) : NULL;

	if (f) {
		collect(fs, r);
		if (which == TFS_CONTROL_STATS)
			print_people(fs, r, f);
		else if (which == TFS_CONTROL_STATS_JSON)
			print_json(fs, r, f);
		else
			print_metrics(r, f);
		if (fclose(f)) {
			free(text);
			text = NULL;
		}
	}
	free(r);
	return text;
}

char *tfs_text_of(struct tfs_fs *fs, struct tfs_inode inode, size_t *ret_len)
{
	char *text = inode.kind == TFS_INO_CONTROL ? control_text(fs, inode.node) : meta_text(fs, inode);
	if (text)
		*ret_len = strlen(text);
	return text;
}
