/* SPDX-License-Identifier: MIT */
/* tensorfs cache: what is kept of remote models. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mask.h"
#include "cli/cache-export.h"
#include "cli/commands.h"
#include "cli/figures.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verify/digest.h"
#include "remote/cache.h"
#include "remote/name.h"
#include "remote/options.h"
#include "remote/remote.h"

enum { OPT_CACHE = 256, OPT_ALL, OPT_JSON };

static const struct tfs_option cache_options[] = {
	{ OPT_CACHE, "cache", "DIR", "the cache (default: TENSORFS_CACHE, else ~/.cache/tensorfs)" },
	{ OPT_ALL, "all", NULL, "rm: all that isn't in use" },
	{ OPT_JSON, "json", NULL, "list: for programs: JSON" },
	{ 0 },
};

struct options {
	const char *dir;
	bool all, json;
};

static bool take(void *arg, int id, const char *value)
{
	struct options *o = arg;

	switch (id) {
	case OPT_CACHE:
		o->dir = value;
		return true;
	case OPT_ALL:
		return o->all = true;
	case OPT_JSON:
		return o->json = true;
	default:
		return false;
	}
}

/* A listing that was kept. */
struct model {
	char name[TFS_CACHE_NAME]; /* in the cache */
	struct tfs_remote_table table;
	bool chosen;
};

struct cache {
	struct options options;
	char path[4096];
	struct tfs_cache *cache;	 /* NULL: there is none yet */
	struct tfs_cache_entry *entries; /* sorted by key */
	size_t n_entries;
	bool *listed; /* of each entry: a model has it */
	struct model *models;
	size_t n_models;
};

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct tfs_cache_entry *)a)->key, ((const struct tfs_cache_entry *)b)->key);
}

/* The object of file @i of @m, if it is there. */
static struct tfs_cache_entry *entry_of(const struct cache *c, const struct model *m, uint32_t i)
{
	struct tfs_cache_entry wanted;
	char identity[TFS_CACHE_IDENTITY];

	if (!tfs_remote_key(&m->table, i, wanted.key, identity) || !c->n_entries)
		return NULL;
	return bsearch(&wanted, c->entries, c->n_entries, sizeof wanted, by_key);
}

static int load_models(struct cache *c)
{
	cleanup_free char(*names)[TFS_CACHE_NAME] = NULL;
	size_t n = 0;
	int r = tfs_cache_trees(c->cache, &names, &n);

	c->models = r ? NULL : calloc(n + 1, sizeof *c->models);
	if (!c->models)
		return r ? r : -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct model *m = &c->models[c->n_models];
		bool doubted;

		memcpy(m->name, names[i], sizeof m->name);
		c->n_models += !tfs_cache_get_tree(c->cache, m->name, &m->table, &doubted);
	}
	return 0;
}

static int find_listed(struct cache *c)
{
	c->listed = calloc(c->n_entries + 1, sizeof *c->listed);
	for (size_t i = 0; i < c->n_models && c->listed; i++)
		for (uint32_t k = 0; k < c->models[i].table.n; k++) {
			const struct tfs_cache_entry *e = entry_of(c, &c->models[i], k);

			if (e)
				c->listed[e - c->entries] = true;
		}
	return c->listed ? 0 : -ENOMEM;
}

static int load(struct cache *c)
{
	int r = c->cache ? tfs_cache_list(c->cache, &c->entries, &c->n_entries) : 0;

	if (!r && c->n_entries)
		qsort(c->entries, c->n_entries, sizeof *c->entries, by_key);
	if (!r && c->cache)
		r = load_models(c);
	return r ? r : find_listed(c);
}

/* --- list --------------------------------------------------------------------------------------------------------------- */

struct sums {
	size_t n;
	uint64_t present, size;
	time_t used; /* 0: never */
};

/* One more file; @e: what there is of it, or NULL. */
static void add_file(struct sums *s, const struct tfs_cache_entry *e, uint64_t size)
{
	s->n++;
	s->size += size;
	s->present += e ? (e->data < size ? e->data : size) : 0;
	if (e && e->used.tv_sec > s->used)
		s->used = e->used.tv_sec;
}

static struct sums sums_of(const struct cache *c, const struct model *m)
{
	struct sums s = { 0 };

	for (uint32_t i = 0; i < m->table.n; i++)
		add_file(&s, entry_of(c, m, i), m->table.nodes[i].size);
	return s;
}

/* Of what isn't in a listing any more: it is of a commit that a branch has left, or has changed. */
static struct sums sums_of_unlisted(const struct cache *c)
{
	struct sums s = { 0 };

	for (size_t i = 0; i < c->n_entries; i++)
		if (!c->listed[i])
			add_file(&s, &c->entries[i], c->entries[i].size);
	return s;
}

static const char *path_of(const struct cache *c)
{
	return c->cache ? tfs_cache_path(c->cache) : c->path;
}

static void format_time(time_t t, char buf[static 32])
{
	struct tm tm;

	if (!t || !localtime_r(&t, &tm) || !strftime(buf, 32, "%F %R", &tm))
		strcpy(buf, "-");
}

static int list_json(const struct cache *c)
{
	const struct sums unlisted = sums_of_unlisted(c);
	json_t *models = json_array();
	uint64_t stored = 0;

	for (size_t i = 0; i < c->n_models; i++) {
		const struct model *m = &c->models[i];
		struct sums s = sums_of(c, m);

		json_array_append_new(models, json_pack("{s:o, s:o, s:I, s:I, s:I, s:I}", "origin", tfs_json_text(m->table.origin),
							"revision", tfs_json_text(m->table.revision), "files",
							(json_int_t)m->table.n, "bytes", (json_int_t)s.size, "cached_bytes",
							(json_int_t)s.present, "used", (json_int_t)s.used));
	}
	for (size_t i = 0; i < c->n_entries; i++)
		stored += c->entries[i].stored;
	json_t *all = json_pack("{s:o, s:I, s:I, s:I, s:o}", "cache", tfs_json_text(path_of(c)), "stored_bytes", (json_int_t)stored,
				"unlisted_files", (json_int_t)unlisted.n, "unlisted_bytes", (json_int_t)unlisted.present, "models",
				models);
	int r = tfs_json_print(all);
	json_decref(all);
	return r;
}

static void add_row(struct tfs_table *t, const char *name, const struct sums *s)
{
	char present[TFS_FIGURES_BYTES], size[TFS_FIGURES_BYTES], used[32];

	format_time(s->used, used);
	tfs_table_add(t, name);
	tfs_table_addf(t, "%zu", s->n);
	tfs_table_add(t, tfs_figures_bytes(present, (double)s->present));
	tfs_table_add(t, tfs_figures_bytes(size, (double)s->size));
	tfs_table_add(t, used);
}

static int list(struct cache *c)
{
	const struct sums unlisted = sums_of_unlisted(c);
	const struct tfs_terminal terminal = tfs_terminal_of(STDOUT_FILENO);
	struct tfs_table t = { .columns = "Brrrl" };
	const bool any = c->n_models || unlisted.n;
	char size[TFS_FIGURES_BYTES];
	uint64_t stored = 0;
	int r;

	if (c->options.json)
		return list_json(c);
	for (int i = 0; i < 5; i++)
		tfs_table_add(&t, (const char *const[]){ "model", "files", "in the cache", "of", "last used" }[i]);
	for (size_t i = 0; i < c->n_models; i++) {
		const struct model *m = &c->models[i];
		struct sums s = sums_of(c, m);

		add_row(&t, m->table.display, &s);
	}
	if (unlisted.n)
		add_row(&t, "(not listed any more)", &unlisted);
	for (size_t i = 0; i < c->n_entries; i++)
		stored += c->entries[i].stored;
	r = any ? tfs_table_print(&t, &terminal, true) : 0;
	printf("%s%zu files, %s on disk in %s\n", any ? "\n" : "", c->n_entries, tfs_figures_bytes(size, (double)stored),
	       path_of(c));
	tfs_table_fini(&t);
	return r;
}

/* --- rm ----------------------------------------------------------------------------------------------------------------- */

/* Is it in one of the models that stay? */
static bool is_shared(const struct cache *c, const char *key)
{
	char other[TFS_CACHE_NAME], identity[TFS_CACHE_IDENTITY];

	for (size_t i = 0; i < c->n_models; i++)
		for (uint32_t n = 0; !c->models[i].chosen && n < c->models[i].table.n; n++)
			if (tfs_remote_key(&c->models[i].table, n, other, identity) && !strcmp(other, key))
				return true;
	return false;
}

struct removed {
	size_t n, in_use;
	uint64_t bytes;
};

/* Once. False: it is in use. */
static bool remove_entry(struct cache *c, struct tfs_cache_entry *e, struct removed *sum)
{
	enum { UNTRIED, GONE, IN_USE };
	int r;

	if (e->mark != UNTRIED)
		return e->mark == GONE;
	r = tfs_cache_remove(c->cache, e->key);
	e->mark = r == -EBUSY ? IN_USE : GONE;
	sum->n += !r;
	sum->bytes += r ? 0 : e->stored;
	sum->in_use += r == -EBUSY;
	if (r && r != -EBUSY && r != -ENOENT)
		tfs_log_error("%s: %s", e->key, strerror(-r));
	return r != -EBUSY;
}

/* The models that are named so, or whose origin, or short name, begins with that and a slash or an @. */
static bool choose(struct cache *c, const char *given)
{
	cleanup_free char *name = tfs_remote_name(given);
	size_t len = name ? strlen(name) : 0;
	bool any = false;

	for (size_t i = 0; i < c->n_models && name; i++) {
		const char *const names[] = { c->models[i].table.origin, c->models[i].table.display };

		for (int k = 0; k < 2; k++)
			if (!strncmp(names[k], name, len) && (!names[k][len] || strchr("/@", names[k][len])))
				any = c->models[i].chosen = true;
		if (tfs_remote_is_named(&c->models[i].table, name))
			any = c->models[i].chosen = true;
	}
	return any;
}

/* Of the same model, but not listed any more: how many are deleted. */
static size_t remove_unlisted(struct cache *c, const char *given, struct removed *sum)
{
	cleanup_free char *name = tfs_remote_name(given);
	size_t len = name ? strlen(name) : 0, n = 0;

	for (size_t i = 0; i < c->n_entries && name; i++) {
		const char *about = c->entries[i].about;

		if (!c->listed[i] && !strncmp(about, name, len) && about[len] && strchr(" /@", about[len])) {
			remove_entry(c, &c->entries[i], sum);
			n++;
		}
	}
	return n;
}

static int complain(const struct cache *c, const char *name)
{
	char shown[TFS_MASKED];

	tfs_log_error("%s: not in the cache %s", tfs_mask_url(name, shown, sizeof shown), tfs_cache_path(c->cache));
	return -ENOENT;
}

static int rm(struct cache *c, char **names, int n)
{
	struct removed sum = { 0 };
	char size[TFS_FIGURES_BYTES];
	bool found = true;

	for (int i = 0; i < n; i++)
		if (!(choose(c, names[i]) | !!remove_unlisted(c, names[i], &sum)))
			found = !complain(c, names[i]);
	for (size_t i = 0; i < c->n_models; i++) {
		struct model *m = &c->models[i];

		bool gone = true;

		m->chosen |= c->options.all;
		for (uint32_t k = 0; m->chosen && k < m->table.n; k++) {
			struct tfs_cache_entry *e = entry_of(c, m, k);

			if (e && !is_shared(c, e->key))
				gone &= remove_entry(c, e, &sum);
		}
		if (m->chosen && gone) /* else the mount may still want it */
			tfs_cache_remove_tree(c->cache, m->name);
	}
	for (size_t i = 0; i < c->n_entries && c->options.all; i++)
		remove_entry(c, &c->entries[i], &sum);
	printf("%zu files, %s deleted\n", sum.n, tfs_figures_bytes(size, (double)sum.bytes));
	if (sum.in_use)
		tfs_log_error("%zu files are in use by a mount, and stay", sum.in_use);
	return found && !sum.in_use ? 0 : -EBUSY;
}

/* --- verify ------------------------------------------------------------------------------------------------------------- */

struct checked {
	uint64_t bytes;
	uint64_t bad;	/* grains */
	size_t whole;	/* files whose SHA was compared, … */
	size_t damaged; /* … and isn't that of their name */
};

/* The hash in the key of an object, "sha256-…" or "gitsha1-…". */
static enum tfs_sum_kind kind_of_key(const char *key, char hex[static 65])
{
	static const struct {
		const char *prefix;
		enum tfs_sum_kind kind;
		int digits;
	} kinds[] = { { "sha256-", TFS_SHA256, 64 }, { "gitsha1-", TFS_GIT_SHA1, 40 } };

	for (int i = 0; i < 2; i++)
		if (!strncmp(key, kinds[i].prefix, strlen(kinds[i].prefix)) && tfs_digest_has(kinds[i].kind)) {
			snprintf(hex, 65, "%.*s", kinds[i].digits, key + strlen(kinds[i].prefix));
			return kinds[i].kind;
		}
	return TFS_SUM_KINDS;
}

/* What an object is, as its origin calls it. */
static void put_subject(const struct tfs_cache_entry *e)
{
	const char *text = *e->about ? e->about : e->key;

	tfs_put_safe(stdout, text, strlen(text), "");
}

/*
 * Read all that is there, which checks its hashes; and, if that is all of the file, the hash that it has as its name. -EBADMSG: the bytes
 * were never those of that hash, and it says so, but for the end of the line; or -ENOMEM.
 */
static int verify_object(struct tfs_object *o, const struct tfs_cache_entry *e, uint8_t *buf, struct checked *sum)
{
	char hex[65], found[65];
	enum tfs_sum_kind kind = kind_of_key(e->key, hex);
	struct tfs_digest *d = kind == TFS_SUM_KINDS ? NULL : tfs_digest_create(kind, o->size);
	uint64_t bad = 0;
	int r = 0;

	if (kind != TFS_SUM_KINDS && !d)
		return -ENOMEM;
	for (uint64_t at = 0; at < o->size; at += TFS_GRAIN) {
		size_t len = o->size - at < TFS_GRAIN ? (size_t)(o->size - at) : (size_t)TFS_GRAIN;
		unsigned n = 0;

		if (!tfs_object_lacks(o, at) && tfs_object_read(o, buf, len, at, &n) == len) {
			sum->bytes += len;
			if (d)
				tfs_digest_add(d, buf, len);
		}
		bad += n;
	}
	sum->bad += bad;
	if (bad) {
		put_subject(e);
		printf(": %" PRIu64 " pieces of 64 KiB were damaged, and will be fetched again\n", bad);
	}
	if (d && tfs_object_is_complete(o)) {
		tfs_digest_end(d, found);
		sum->whole++;
		if (strcmp(found, hex) != 0) {
			put_subject(e);
			printf(": %s is %s, and should be %s; ", tfs_digest_names[kind], found, hex);
			r = -EBADMSG;
		}
	}
	tfs_digest_destroy(d);
	return r;
}

/* What nobody may read any more. Ends the line that says why. */
static void drop(struct cache *c, const struct tfs_cache_entry *e, struct checked *sum)
{
	const int r = tfs_cache_remove(c->cache, e->key);

	sum->damaged++;
	if (r == -EBUSY)
		printf("it is in use by a mount, and stays: unmount that, and verify again\n");
	else if (r && r != -ENOENT)
		printf("it can't be deleted: %s\n", strerror(-r));
	else
		printf("deleted, to be fetched again\n");
}

/* As verify_object(). */
static int verify_entry(struct cache *c, const struct tfs_cache_entry *e, uint8_t *buf, struct checked *sum)
{
	struct tfs_object o;
	int r = tfs_cache_object_by_key(c->cache, e->key, &o);

	if (!r) {
		r = verify_object(&o, e, buf, sum);
		tfs_object_close(&o);
	} else if (r == -EINVAL) {
		printf("%s: its map is damaged; ", e->key);
		r = -EBADMSG;
	} else if (r == -ENOENT || r == -EAGAIN) {
		r = 0; /* deleted meanwhile */
	}
	return r;
}

static int verify(struct cache *c)
{
	cleanup_free uint8_t *buf = malloc(TFS_GRAIN);
	struct checked sum = { 0 };
	char size[TFS_FIGURES_BYTES];

	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_entries; i++) {
		const struct tfs_cache_entry *e = &c->entries[i];
		const int r = verify_entry(c, e, buf, &sum);

		if (r == -EBADMSG)
			drop(c, e, &sum);
		else if (r)
			tfs_log_error("%s: %s", e->key, strerror(-r));
		if (r == -ENOMEM)
			return r;
		sum.damaged += r && r != -EBADMSG;
	}
	printf("%zu files, %s checked; %zu complete ones by their SHA; %" PRIu64 " pieces and %zu files damaged\n", c->n_entries,
	       tfs_figures_bytes(size, (double)sum.bytes), sum.whole, sum.bad, sum.damaged);
	return sum.bad || sum.damaged ? -EBADMSG : 0;
}

/* --- export ------------------------------------------------------------------------------------------------------------- */

/* The one model of those that were chosen, of several that which is named so in full; NULL, and it says so. */
static const struct model *chosen_model(const struct cache *c, const char *name)
{
	const struct model *found = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->n_models; i++) {
		const struct model *m = &c->models[i];
		const bool exact = tfs_remote_is_named(&m->table, name) || !strcmp(m->table.display, name);

		if (m->chosen && exact)
			return m;
		n += m->chosen;
		found = m->chosen ? m : found;
	}
	if (n == 1)
		return found;
	tfs_log_error("%s: there are several:", name);
	for (size_t i = 0; i < c->n_models; i++)
		if (c->models[i].chosen)
			tfs_complain("  %s", c->models[i].table.display);
	return NULL;
}

static int export(struct cache *c, char **args, int n)
{
	const struct model *m;

	if (!choose(c, args[0]))
		return complain(c, args[0]);
	m = chosen_model(c, args[0]);
	return m ? tfs_cache_export(c->cache, &m->table, args[1], args + 2, n - 2) : -ENOENT;
}

/* --- The command -------------------------------------------------------------------------------------------------------- */

/* @may_lack: one that isn't there yet, and would be created by the first mount that has something to keep, has nothing in it. */
static int open_cache(struct cache *c, bool may_lack)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_remote_options o;
	int r = tfs_remote_options_get(&o, &err);

	if (!r && c->options.dir)
		r = snprintf(o.cache, sizeof o.cache, "%s", c->options.dir) < (int)sizeof o.cache ? 0 : -ENAMETOOLONG;
	if (!r && !*o.cache)
		r = tfs_error_set(&err, -ENOENT, TFS_NO_OFFSET,
				  "there is no cache: TENSORFS_CACHE is none, or there is no home directory");
	if (r) {
		tfs_log_error("%s", *err.what ? err.what : strerror(-r));
		return r;
	}
	memcpy(c->path, o.cache, sizeof c->path);
	r = tfs_cache_open_there(c->path, &c->cache, &err);
	if (r == -ENOENT && may_lack)
		return 0;
	if (r)
		tfs_log_error("%s", *err.what ? err.what : strerror(-r));
	return r;
}

static void fini(struct cache *c)
{
	for (size_t i = 0; i < c->n_models; i++)
		tfs_remote_table_fini(&c->models[i].table);
	free(c->models);
	free(c->listed);
	free(c->entries);
	tfs_cache_close(c->cache);
}

/* Status 2: it can't be done. */
static int run(struct cache *c, const char *what, char **names, int n)
{
	const bool removes = !strcmp(what, "rm"), exports = !strcmp(what, "export"), lists = !strcmp(what, "list");
	const char *wrong = NULL;
	int r;

	if (removes)
		wrong = !n == !c->options.all ? "rm: name models, or give --all" : NULL;
	else if (exports)
		wrong = n < 2 ? "export MODEL DIR [FILE...]" : NULL;
	else if (n || (!lists && strcmp(what, "verify") != 0))
		wrong = "list, verify, rm MODEL..., or export MODEL DIR [FILE...]";
	if (wrong) {
		fprintf(stderr, "tensorfs cache: %s\nTry 'tensorfs cache --help'.\n", wrong);
		return TFS_EXIT_USAGE;
	}
	if (open_cache(c, lists))
		return TFS_EXIT_USAGE;
	r = load(c);
	if (r) {
		tfs_log_error("%s: %s", tfs_cache_path(c->cache), strerror(-r));
		return TFS_EXIT_USAGE;
	}
	r = removes ? rm(c, names, n) : exports ? export(c, names, n) : lists ? list(c) : verify(c);
	if (tfs_command_flush() || r == -ENOMEM || (exports && r && r != -ENOENT && r != -ENODATA))
		return TFS_EXIT_USAGE;
	return r ? TFS_EXIT_FAILED : TFS_EXIT_OK;
}

static int cache_main(int argc, char **argv)
{
	struct cache c = { .options.dir = NULL };
	int first, status;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_cache_command, argc, argv, take, &c.options, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	status = run(&c, first < argc ? argv[first] : "list", argv + first + 1, argc > first + 1 ? argc - first - 1 : 0);
	fini(&c);
	return status;
}

const struct tfs_command tfs_cache_command = {
	.name = "tensorfs cache",
	.summary = "list, check, delete and export what is kept of remote models",
	.operands = "[list|verify|rm|export] [MODEL...]",
	.max_operands = INT_MAX,
	.choices = "list|verify|rm|export",
	.about =
		"What is kept on disk of remote models: list it; verify each piece by its hash, and complete files by the hash that their origin "
		"gave; rm the models that are named, as list shows them; export MODEL DIR [FILE...]: write its files to a new directory.",
	.status =
		"Exit status: 0 done, 1 something is damaged, not there, or in use, 2 failed, or a usage error. See tensorfs-cache(1).",
	.tables = { cache_options },
	.run = cache_main,
};
