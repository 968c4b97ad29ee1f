/* SPDX-License-Identifier: MIT */
#include "mount/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "config.h"
#include "mount/control.h"
#include "mount/texts.h"
#include "tree/listing.h"
#include "tree/meta.h"

const char *const tfs_controls[TFS_CONTROLS + 1] = {
	[TFS_CONTROL_STATS] = "stats",	       [TFS_CONTROL_STATS_JSON] = "stats.json", [TFS_CONTROL_METRICS] = "metrics",
	[TFS_CONTROL_INDEX_TSV] = "index.tsv", [TFS_CONTROL_INDEX_JSON] = "index.json", [TFS_CONTROL_XXH128SUMS] = "XXH128SUMS",
	[TFS_CONTROL_PREFETCH] = "prefetch",   [TFS_CONTROL_EVICT] = "evict",		[TFS_CONTROL_PIN] = "pin",
};

/* --- .tensorfs: one table of values, shown in three ways ------------------------------------------------------------- */

struct row {
	const char *key;
	const char *help; /* for metrics; NULL: not a number */
	bool gauge;	  /* goes up and down; otherwise only up */
	uint64_t number;
	char text[TFS_ERROR_LINE]; /* if help is NULL */
};

/* As many files of weights that aren't read are named: who has more of them needs no list. */
enum { UNREAD_MAX = 100 };

/* As many missing tensors are listed by name, as anybody may have the text made; who needs more of them has the index. */
enum { MISSING_MAX = 10000 };

enum { ROWS_MAX = 128 };

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

/* May the caller (NULL: everybody) see what is derived from a whole set, from all sets; a warning? */
static bool tells_set(const struct tfs_fs *fs, const struct tfs_caller *c, uint32_t set)
{
	return !c || tfs_access_set(tfs_tree_access(fs->tree), c, set);
}

static bool tells_missing(const struct tfs_fs *fs, const struct tfs_caller *c, uint32_t set)
{
	return !c || tfs_access_missing(tfs_tree_access(fs->tree), c, set);
}

static bool tells_all(const struct tfs_fs *fs, const struct tfs_caller *c)
{
	return !c || tfs_access_all(tfs_tree_access(fs->tree), c);
}

static bool tells_warning(const struct tfs_fs *fs, const struct tfs_caller *c, const struct tfs_warning *w)
{
	return !c || (w->node == UINT32_MAX ? tells_all(fs, c) : tfs_access_node(fs->model, c, w->node));
}

/* Totals of the tensors that @c may read; and of what is shown by name only to users who may read its file. */
struct totals {
	uint64_t tensors, bytes, missing, warnings;
};

static struct totals totals_of(const struct tfs_fs *fs, const struct tfs_caller *c)
{
	struct totals t = { 0 };

	for (uint32_t s = 0; s < fs->model->n_sets; s++) {
		const struct tfs_set *set = &fs->model->sets[s];
		t.missing += set->n_missing;
		if (tells_set(fs, c, s)) {
			t.tensors += set->n_tensors;
			t.bytes += set->total_bytes;
			continue;
		}
		for (uint32_t i = 0; i < set->n_tensors; i++)
			if (tfs_access_tensor(tfs_tree_access(fs->tree), c, s, i)) {
				t.tensors++;
				t.bytes += set->tensors[i].nbytes;
			}
	}
	t.warnings = fs->n_warnings;
	return t;
}

static int by_address(const void *a, const void *b)
{
	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

/* Those of totals_of() that are in memory in any view. Of a weight that is computed, that is the tensor with its codes. */
static uint64_t resident_tensors(const struct tfs_fs *fs, const struct tfs_caller *c)
{
	struct tfs_residency *residency = tfs_loader_residency(fs->loader);
	size_t n = 0, n_tensors = 0, different = 0;
	cleanup_free struct tfs_file_id *ids = residency ? tfs_residency_resident(residency, &n) : NULL;
	cleanup_free const void **tensors = ids ? calloc(2 * n + 1, sizeof *tensors) : NULL;

	for (size_t i = 0; tensors && i < n; i++) {
		const struct tfs_set *set = &fs->model->sets[ids[i].set];
		const struct tfs_tensor *t = tfs_set_tensor(set, ids[i].tensor);

		t = ids[i].tensor < set->n_tensors ? t : t->encoding->parts[0];
		if (!c || tfs_access_tensor(tfs_tree_access(fs->tree), c, ids[i].set, (uint32_t)(t - set->tensors)))
			tensors[n_tensors++] = t;
	}
	if (n_tensors)
		tfs_sort(tensors, n_tensors, tensors + n, by_address);
	for (size_t i = 0; i < n_tensors; i++)
		different += !i || tensors[i] != tensors[i - 1];
	return different;
}

static const char *last_error_of(const struct tfs_loader_stats *s)
{
	return s->residency.last_error[0] ? s->residency.last_error :
	       s->streams.last_error[0]	  ? s->streams.last_error :
	       s->hashes.last_error[0]	  ? s->hashes.last_error :
					    s->originals.last_error;
}

/* Of a remote model only. */
static void collect_remote(const struct tfs_fs *fs, struct rows *r)
{
	struct tfs_storage_stats s;

	if (!tfs_model_storage_stats(fs->model, &s))
		return;
	add_text(r, "origin", "%s", s.origin);
	add_text(r, "revision", "%s", *s.revision ? s.revision : "none");
	add_text(r, "cache", "%s", s.cache ? s.cache : "none");
	add_text(r, "network", "%s", s.offline ? "not used: offline" : "used");
	count(r, "network_bytes", s.network_bytes, "bytes of files that arrived by network, also in vain");
	count(r, "requests", s.requests, "requests sent");
	count(r, "resolves", s.resolves, "of these, those that only asked where a file is");
	count(r, "connections", s.connections, "connections opened");
	gauge(r, "connections_open", s.open_connections, "connections open");
	gauge(r, "connections_limit", s.limit_connections, "connections that would be used, as found by what they gain");
	count(r, "retries", s.retries, "requests that repeat one that failed");
	count(r, "hedges", s.hedges, "requests that race one that is slow");
	count(r, "throttled", s.throttled, "answers that told us to slow down (429, 503)");
	count(r, "redirects", s.redirects, "redirects followed");
	gauge(r, "ttfb_median_microseconds", s.ttfb_median_us, "time until the first byte of a range, in the median; 0: not yet");
	count(r, "cache_hit_bytes", s.cache_hit_bytes, "bytes read from the cache on disk");
	count(r, "cache_bad", s.cache_bad, "pieces of the cache that were damaged, and fetched again");
	gauge(r, "cache_bytes", s.present_bytes, "bytes of the model known to be in the cache on disk, of files that were used");
	gauge(r, "model_bytes", s.total_bytes, "bytes of all files of the model");
	count(r, "fetchers", s.starts, "times that tensorfs-fetch was started");
	count(r, "changed", s.stale, "files found to have changed at their origin: they can't be read any more");
}

static void collect(struct tfs_fs *fs, const struct tfs_caller *c, struct rows *r)
{
	struct tfs_loader_stats *s = calloc(1, sizeof *s);
	struct totals t = totals_of(fs, c);

	if (!s)
		return;
	tfs_loader_stats(fs->loader, s);

	add_text(r, "version", "%s", TFS_VERSION);
	add_text(r, "model", "%s", fs->model_path);
	collect_remote(fs, r);
	add_text(r, "pid", "%d", (int)getpid());
	if (fs->passthrough)
		add_text(r, "serving", "passthrough");
	else
		add_text(r, "serving", "streamed (%s)", fs->streamed_because);
	add_text(r, "transport", "%s", fs->uring ? "io_uring" : "/dev/fuse");
	add_text(r, "confined", "%s", fs->confined);
	add_text(r, "engine", "%s", s->engine);
	gauge(r, "threads", s->threads, "maximum number of reads in flight");
	gauge(r, "depth", s->sched.depth, "reads kept in flight: twice the product of bandwidth and latency, if that pays");
	gauge(r, "latency_microseconds", (uint64_t)(s->sched.latency * 1e6),
	      "time of a large read, the quickest lately; 0: not yet");

	gauge(r, "sets", fs->model->n_sets, "weight sets mounted");
	gauge(r, "tensors", t.tensors, "tensors in all sets");
	gauge(r, "tensor_bytes", t.bytes, "bytes of tensors in all sets");
	gauge(r, "missing", t.missing, "tensors that an index lists and no file holds");
	gauge(r, "missing_not_listed", t.missing > MISSING_MAX ? t.missing - MISSING_MAX : 0,
	      "of these, those beyond the first that are listed by name");
	gauge(r, "warnings", t.warnings, "warnings at mount time, about things left out or odd");

	count(r, "opens_passthrough", fs->opens[TFS_OPEN_PASSTHROUGH], "opens answered with a backing file");
	count(r, "opens_streamed", fs->opens[TFS_OPEN_STREAM], "opens of tensors streamed by the daemon");
	for (int i = 0; i < TFS_STREAMED_REASONS; i++)
		count(r, tfs_streamed[i].key, fs->streamed[i], tfs_streamed[i].help);
	count(r, "opens_native", fs->opens[TFS_OPEN_NATIVE], "opens of original files read by the daemon");
	count(r, "opens_text", fs->opens[TFS_OPEN_TEXT], "opens of meta and control files");
	count(r, "opens_joined", fs->joined, "of all these, opens of files already open, which are served the same way");
	count(r, "opens_interrupted", fs->interrupted, "opens interrupted while waiting");
	count(r, "bursts", fs->placement.bursts, "times that opens came so fast that callers and daemon were kept on one CPU");

	const struct tfs_originals_stats *originals = &s->originals;
	add_text(r, "originals", "%s", originals->state);
	count(r, "originals_opens", originals->opens, "opens of original weight files");
	count(r, "originals_cached", originals->cached, "of these, opens of files that were in the page cache already");
	count(r, "originals_failed", originals->failed, "original weight files that couldn't be read ahead");
	count(r, "originals_read_bytes", s->sched.bytes[TFS_READ_FILLED], "bytes of them brought into the page cache");
	count(r, "originals_given_up_bytes", originals->given_up, "bytes of these given up, as memory was wanted");
	gauge(r, "originals_held_bytes", originals->held, "used of the budget, by what they have in the page cache because of us");
	gauge(r, "originals_window_bytes", originals->window,
	      "bytes read ahead of the reader if not all of them fit in memory, or 0");
	gauge(r, "prefetch_bytes", s->prefetch_total, "bytes of models that are brought in: original files, or tensors");
	gauge(r, "prefetch_done_bytes", s->prefetch_done, "of these, bytes that are in memory, or were");

	const struct tfs_residency_stats *res = &s->residency;
	gauge(r, "memory_budget_bytes", res->budget, "memory that may be used");
	gauge(r, "memory_used_bytes", res->used,
	      "used of the budget, by tensors in memory or being loaded, original files brought in, streams and texts");
	gauge(r, "memory_staged_bytes", s->staged,
	      "used of the budget, by deflated tensors that aren't in C order, while they are read");
	gauge(r, "memory_texts_bytes", tfs_texts_bytes(fs->texts), "used of the budget, by texts such as keys of files");
	gauge(r, "memory_held_bytes", s->store_used, "memory of backing files, as the kernel counts it");
	gauge(r, "resident", res->files[TFS_RESIDENT] + res->files[TFS_EVICTING], "files of tensors in memory");
	gauge(r, "resident_tensors", resident_tensors(fs, c),
	      "tensors of which one of these is in memory, or that of the weight whose codes they are");
	gauge(r, "loading", res->files[TFS_LOADING], "tensors being loaded");
	gauge(r, "failed", res->files[TFS_FAILED], "tensors whose last load failed");
	count(r, "hits", res->hits, "opens of tensors that were resident");
	count(r, "waits", res->waits, "opens that waited for a load");
	count(r, "wait_timeouts", res->timeouts, "opens streamed because the load takes too long");
	count(r, "loads", res->loads, "loads started");
	count(r, "prefetches", res->prefetched, "of these, ahead of any open");
	count(r, "prefetches_dropped", res->taken_back, "of these, dropped before they started");
	gauge(r, "pinned", res->pinned, "tensors pinned");
	gauge(r, "pinned_bytes", res->pinned_bytes, "size of pinned tensors");
	count(r, "evictions", res->evictions, "tensors dropped from memory");
	count(r, "evictions_mapped", res->still_mapped, "evictions postponed: closed, but still mapped");
	count(r, "memory_pressure", s->pressures, "times that the kernel reported memory pressure and memory was released");
	count(r, "refusals", res->refusals, "loads that found no room in the budget");

	count(r, "jobs", s->sched.jobs, "reads of storage");
	count(r, "joined", s->sched.joined, "tensors read together with a neighbour");
	count(r, "read_direct_bytes", s->sched.bytes[TFS_READ_DIRECT] + s->sched.bytes[TFS_READ_URING],
	      "bytes read bypassing the page cache");
	count(r, "read_uring_bytes", s->sched.bytes[TFS_READ_URING], "of these, by io_uring");
	count(r, "read_cached_bytes", s->sched.bytes[TFS_READ_CACHED], "bytes copied from the page cache");
	if (tfs_model_is_remote(fs->model))
		count(r, "read_remote_bytes", s->sched.bytes[TFS_READ_REMOTE], "bytes read by network, or from the cache on disk");
	count(r, "read_buffered_bytes", s->sched.bytes[TFS_READ_BUFFERED], "bytes read through the page cache");
	gauge(r, "queued_demand_bytes", s->sched.queued[TFS_DEMAND], "bytes to be read for waiting requests");
	gauge(r, "queued_prefetch_bytes", s->sched.queued[TFS_PREFETCH], "bytes to be read ahead");
	gauge(r, "queued_background_bytes", s->sched.queued[TFS_BACKGROUND], "bytes to be read for hashes");
	gauge(r, "bandwidth_bytes_per_second", (uint64_t)s->sched.bandwidth, "bandwidth of storage, as measured; 0: not yet");
	count(r, "stream_reads", s->streams.reads, "reads of streamed tensors");
	count(r, "stream_bytes", s->streams.bytes, "bytes of these reads");
	count(r, "stream_waits", s->streams.waits, "of these reads, those that waited for storage");
	gauge(r, "streams", s->streams.open, "tensors open and streamed");
	gauge(r, "shared", res->shared, "resident tensors that share the memory of another with the same bytes");
	gauge(r, "shared_bytes", res->shared_bytes, "memory saved by sharing");
	gauge(r, "hashed", s->hashes.known, "tensors whose hash is known");
	count(r, "hashed_bytes", s->hashes.bytes, "bytes hashed");
	count(r, "errors", res->failures + s->streams.failures + s->hashes.failures + originals->failed, "reads that failed");
	const char *last = last_error_of(s);
	add_text(r, "last_error", "%s",
		 !last[0]	  ? "none" :
		 tells_all(fs, c) ? last :
				    "hidden from users who may not read all of the model");
	free(s);
}

/* Call @fn for the missing tensors that @c may see, the first MISSING_MAX. */
static void for_missing(const struct tfs_fs *fs, const struct tfs_caller *c, void (*fn)(void *arg, const char *name), void *arg)
{
	size_t n = 0;

	for (uint32_t s = 0; s < fs->model->n_sets; s++) {
		const struct tfs_set *set = &fs->model->sets[s];

		for (size_t i = 0; i < set->n_missing && n < MISSING_MAX && tells_missing(fs, c, s); i++, n++)
			fn(arg, set->missing[i]);
	}
}

/* Call @fn for the files of weights that aren't read and that @c may see, the first UNREAD_MAX, with what they are. */
static void for_unread(const struct tfs_fs *fs, const struct tfs_caller *c, void (*fn)(void *arg, const char *line), void *arg)
{
	char path[PATH_MAX], line[PATH_MAX + 128];
	const char *what;
	size_t n = 0;

	for (uint32_t node = 0; n < UNREAD_MAX && (what = tfs_model_unread(fs->model, &node)); node++) {
		if ((c && !tfs_access_node(fs->model, c, node)) || tfs_model_path(fs->model, node, path, sizeof path))
			continue;
		snprintf(line, sizeof line, "%s is %s", path, what);
		fn(arg, line);
		n++;
	}
}

/* A single line: paths may contain newlines. */
static void print_line(FILE *f, const char *key, const char *text)
{
	fprintf(f, "%s: ", key);
	for (; *text; text++)
		fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, f);
	fputc('\n', f);
}

static void print_missing(void *f, const char *name)
{
	print_line(f, "missing tensor", name);
}

static void print_unread(void *f, const char *line)
{
	print_line(f, "not read", line);
}

static void print_people(struct tfs_fs *fs, const struct tfs_caller *c, const struct rows *r, FILE *f)
{
	for (unsigned i = 0; i < r->n; i++) {
		if (r->row[i].help)
			fprintf(f, "%s: %" PRIu64 "\n", r->row[i].key, r->row[i].number);
		else
			print_line(f, r->row[i].key, r->row[i].text);
	}
	for (size_t i = 0; i < fs->n_warnings; i++)
		if (tells_warning(fs, c, &fs->warnings[i]))
			print_line(f, "warning", fs->warnings[i].line);
	for_unread(fs, c, print_unread, f);
	for_missing(fs, c, print_missing, f);
}

static void append_text(void *array, const char *name)
{
	json_array_append_new(array, tfs_json_any(name, strlen(name)));
}

static void print_json(struct tfs_fs *fs, const struct tfs_caller *c, const struct rows *r, FILE *f)
{
	json_t *o = json_object(), *warnings = json_array(), *missing = json_array(), *unread = json_array();

	for (unsigned i = 0; i < r->n; i++) {
		const struct row *row = &r->row[i];
		json_object_set_new(o, row->key,
				    row->help ? json_integer((json_int_t)row->number) : tfs_json_any(row->text, strlen(row->text)));
	}
	for (size_t i = 0; i < fs->n_warnings; i++)
		if (tells_warning(fs, c, &fs->warnings[i]))
			json_array_append_new(warnings, tfs_json_any(fs->warnings[i].line, strlen(fs->warnings[i].line)));
	for_unread(fs, c, append_text, unread);
	for_missing(fs, c, append_text, missing);
	json_object_set_new(o, "warning_lines", warnings);
	json_object_set_new(o, "not_read", unread);
	json_object_set_new(o, "missing_tensors", missing);
	json_dumpf(o, f, JSON_INDENT(2));
	fputc('\n', f);
	json_decref(o);
}

/* A label's value: UTF-8, in which these three are escaped. Bytes that aren't UTF-8 are shown as '?'. */
static void print_label(FILE *f, const char *s)
{
	for (const char *end = s + strlen(s); s < end;) {
		unsigned n = (unsigned char)*s < 0x80 ? 1 : tfs_utf8_sequence(s, end);
		if (*s == '\n')
			fputs("\\n", f);
		else if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if (n)
			fwrite(s, 1, n, f);
		else
			putc('?', f);
		s += n ? n : 1;
	}
}

/* The Prometheus text format, version 0.0.4. One scrape may come from several mounts, so each sample says which one it is from. */
static void print_metrics(const struct tfs_fs *fs, const struct rows *r, FILE *f)
{
	for (unsigned i = 0; i < r->n; i++) {
		const struct row *row = &r->row[i];
		const char *total = row->gauge ? "" : "_total";
		if (!row->help)
			continue;
		fprintf(f, "# HELP tensorfs_%s%s %s\n# TYPE tensorfs_%s%s %s\ntensorfs_%s%s{model=\"", row->key, total, row->help,
			row->key, total, row->gauge ? "gauge" : "counter", row->key, total);
		print_label(f, fs->model_path);
		fputs("\",mountpoint=\"", f);
		print_label(f, fs->mountpoint);
		fprintf(f, "\"} %" PRIu64 "\n", row->number);
	}
}

bool tfs_control_is_fixed(uint32_t which)
{
	return which == TFS_CONTROL_INDEX_TSV || which == TFS_CONTROL_INDEX_JSON || which == TFS_CONTROL_XXH128SUMS;
}

static char *stats_text(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller)
{
	struct rows *r = calloc(1, sizeof *r);
	char *text = NULL;
	size_t len = 0;
	FILE *f = r ? open_memstream(&text, &len) : NULL;

	if (f) {
		collect(fs, caller, r);
		if (which == TFS_CONTROL_STATS)
			print_people(fs, caller, r, f);
		else if (which == TFS_CONTROL_STATS_JSON)
			print_json(fs, caller, r, f);
		else
			print_metrics(fs, r, f);
		if (fclose(f)) {
			free(text);
			text = NULL;
		}
	}
	free(r);
	return text;
}

char *tfs_control_now(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller, size_t *ret_len)
{
	char *text = tfs_control_writable(which) ? tfs_control_text(fs, which, caller) : stats_text(fs, which, caller);
	if (text)
		*ret_len = strlen(text);
	return text;
}

/* --- What never changes ---------------------------------------------------------------------------------------------- */

static struct tfs_listing *open_listing(struct tfs_fs *fs, uint32_t which, struct tfs_hashes *hashes,
					const struct tfs_caller *caller)
{
	if (which == TFS_CONTROL_XXH128SUMS)
		return tfs_listing_open_sums(fs->model, fs->tree, hashes, caller);
	return tfs_listing_open(fs->model, fs->tree, which == TFS_CONTROL_INDEX_JSON, caller);
}

struct tfs_listing *tfs_control_listing(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller)
{
	return open_listing(fs, which, tfs_loader_hashes(fs->loader), caller);
}

int tfs_control_size(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller, uint64_t *ret_size)
{
	struct tfs_listing *l = open_listing(fs, which, NULL, caller);
	int64_t size = l ? tfs_listing_size(l) : -ENOMEM;

	tfs_listing_close(l);
	*ret_size = size < 0 ? 0 : (uint64_t)size;
	return size < 0 ? (int)size : 0;
}
