/* SPDX-License-Identifier: MIT */
/*
 * What a web server has: what its listings name, directory by directory; or, where there is no listing, what a model of Hugging
 * Face's library is known to have, with the shards that its index names. Each file is then asked for its size and version.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/container.h"
#include "base/json.h"
#include "fetch/http.h"
#include "fetch/index-page.h"
#include "fetch/probe.h"
#include "remote/name.h"

enum { MAX_DEPTH = 8, MAX_DIRECTORIES = 10000, MAX_IN_FLIGHT = 64 };

/* A directory to be listed, or a file to be probed. */
struct item {
	char *path;
	bool is_dir;
	bool guessed; /* nobody said that it is there */
	unsigned depth;
};

struct lister {
	struct tfs_http *h;
	struct tfs_remote_listing listing;
	struct item *items;
	size_t n, room, next; /* those before @next were asked for */
	unsigned in_flight, directories;
	size_t n_weights;
	size_t absent, whole; /* files that aren't there, or that are sent as a whole only */
	bool guessing;	      /* the listings had no weights */
	int code;	      /* the first error; then nothing is asked any more */
	struct tfs_error err;
	struct tfs_error no_listing; /* why the directory itself wasn't listed */
};

/* What one request is about. */
struct task {
	struct lister *l;
	char *path;
	bool guessed;
	unsigned depth;
};

static void advance(struct lister *l);

static void free_lister(struct lister *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i].path);
	free(l->items);
	tfs_remote_listing_fini(&l->listing);
	free(l);
}

static void fail(struct lister *l, int code, const struct tfs_error *err)
{
	if (l->code)
		return;
	l->code = code;
	if (err)
		l->err = *err;
}

static int add_item(struct lister *l, const char *path, bool is_dir, bool guessed, unsigned depth)
{
	struct item item = { .is_dir = is_dir, .guessed = guessed, .depth = depth };

	if (l->n >= TFS_REMOTE_LISTING_MAX)
		return tfs_error_set(&l->err, -EFBIG, TFS_NO_OFFSET, "more than %u files", TFS_REMOTE_LISTING_MAX);
	if (is_dir && l->directories++ >= MAX_DIRECTORIES)
		return tfs_error_set(&l->err, -EFBIG, TFS_NO_OFFSET, "more than %d directories", MAX_DIRECTORIES);
	if (tfs_array_room(l->items, l->n, l->room))
		return -ENOMEM;
	item.path = strdup(path);
	if (!item.path)
		return -ENOMEM;
	l->items[l->n++] = item;
	return 0;
}

/* --- Files ---------------------------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int add_file(struct lister *l, const char *path, struct tfs_remote_listed *file)
{
	file->path = (char *)(uintptr_t)path;
	l->n_weights += tfs_remote_is_weights(path);
	return tfs_remote_listing_add(&l->listing, file);
}

static void explain(struct lister *l, const struct tfs_ask *a, struct tfs_error *err)
{
	char host[TFS_URL_SHOWN];

	if (a->code)
		*err = a->err;
	else if (a->x.head.status == 206 && a->spec.probe)
		tfs_head_explain_range(&a->x.head, 0, 0, tfs_url_show_host(&a->x.url, host), err);
	else
		l->h->o.ops->explain(&l->h->o, &a->x, a->body, a->len, err);
	err->code = a->code ? a->code : err->code;
}

static void on_no_ranges(struct lister *l, const struct tfs_ask *a, const struct task *t)
{
	struct tfs_error err;
	char host[TFS_URL_SHOWN];

	if (!tfs_remote_is_weights(t->path)) {
		l->whole++;
		return;
	}
	tfs_error_set(
		&err, -EOPNOTSUPP, TFS_NO_OFFSET,
		"%s ignores ranges: it sends %s as a whole, whatever part of it is asked for. Use a server that supports them, "
		"such as nginx",
		tfs_url_show_host(&a->x.url, host), base_name(t->path));
	fail(l, -EOPNOTSUPP, &err);
}

static int read_index(struct lister *l, const struct task *t);

static void on_probe(struct tfs_ask *a, void *arg)
{
	struct task *t = arg;
	struct lister *l = t->l;
	struct tfs_remote_listed file;
	struct tfs_error err = { 0 };
	int r = 0;

	switch (tfs_probe_read(a, &file)) {
	case TFS_PROBED:
		r = add_file(l, t->path, &file);
		if (!r && l->guessing && (t->guessed || l->h->index) && strstr(t->path, ".index.json"))
			r = read_index(l, t);
		break;
	case TFS_PROBED_NO_RANGES:
		on_no_ranges(l, a, t);
		break;
	case TFS_PROBED_ABSENT:
		/* Of a single file that is all there is to say; and of an index. */
		if (l->h->file || (l->h->index && !strcmp(t->path, l->h->index))) {
			explain(l, a, &err);
			fail(l, err.code, &err);
		}
		l->absent += !t->guessed;
		break;
	case TFS_PROBED_FAILED:
		explain(l, a, &err);
		fail(l, err.code, &err);
	}
	if (r)
		fail(l, r, NULL);
	free(t->path);
	free(t);
	l->in_flight--;
	advance(l);
}

/* --- Directories ---------------------------------------------------------------------------------------------------- */

static int on_name(void *arg, const char *name, bool is_dir)
{
	struct task *t = arg;
	cleanup_free char *path = NULL;

	if (is_dir && t->depth + 1 > MAX_DEPTH)
		return 0;
	if (asprintf(&path, "%s%s%s", t->path, *t->path ? "/" : "", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (strlen(path) > TFS_REMOTE_PATH_LENGTH)
		return 0;
	return add_item(t->l, path, is_dir, false, t->depth + is_dir);
}

static void read_page(struct tfs_ask *a, struct task *t)
{
	struct lister *l = t->l;
	struct tfs_error err = { 0 };
	const char *text = a->body ? a->body : "";
	bool json = a->x.head.is_json || text[strspn(text, " \t\r\n")] == '[';
	int r = json ? tfs_index_json(a->body, a->len, on_name, t, &err) : tfs_index_html(text, a->len, on_name, t);

	/* JSON of another kind is no listing: then there isn't one. */
	if (r && !(json && r == -EINVAL))
		fail(l, r, l->err.code ? &l->err : NULL);
	if (r && json && !*t->path)
		tfs_error_set(&l->no_listing, -EOPNOTSUPP, TFS_NO_OFFSET, "its listing isn't understood: %s", err.what);
}

/* 403 may be about listing it, or about who asks. */
static void explain_no_listing(struct lister *l, int status, const struct tfs_error *err)
{
	if (status == 403)
		tfs_error_set(&l->no_listing, err->code, TFS_NO_OFFSET, "it isn't listed, or not for everybody: %s", err->what);
	else
		l->no_listing = *err;
}

static void on_directory(struct tfs_ask *a, void *arg)
{
	struct task *t = arg;
	struct lister *l = t->l;
	struct tfs_error err = { 0 };
	int status = a->x.head.status;

	if (!a->code && status == 200) {
		read_page(a, t);
	} else {
		explain(l, a, &err);
		/* 403 is what servers say that don't list; only the directory itself may then still be something. */
		if (a->code || !(status == 403 || status == 404 || status == 410))
			fail(l, err.code, &err);
		else if (!*t->path)
			explain_no_listing(l, status, &err);
	}
	free(t->path);
	free(t);
	l->in_flight--;
	advance(l);
}

/* --- Without a listing ---------------------------------------------------------------------------------------------- */

static const char *const usual[] = {
	"model.safetensors",
	"model.safetensors.index.json",
	"model.fp16.safetensors.index.json",
	"model.bf16.safetensors.index.json",
	"pytorch_model.bin",
	"pytorch_model.bin.index.json",
	"config.json",
	"generation_config.json",
	"tokenizer.json",
	"tokenizer_config.json",
	"tokenizer.model",
	"special_tokens_map.json",
	"preprocessor_config.json",
	"chat_template.jinja",
	"README.md",
};

static int add_usual(struct lister *l)
{
	int r = 0;

	for (size_t i = 0; i < sizeof usual / sizeof *usual && !r; i++)
		r = add_item(l, usual[i], false, true, 0);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **names;
	size_t n, room;
};

/* "weight_map": { TENSOR: FILE, … }. A file is named by each of its tensors. */
static int read_weight_map(struct tfs_json *j, struct names *names)
{
	struct tfs_json_text key, file;
	int r;

	for (r = tfs_json_object_begin(j); !r && (r = tfs_json_object_next(j, &key)) > 0;) {
		r = tfs_json_string(j, &file);
		if (r || (names->n && !strcmp(names->names[names->n - 1], file.s)))
			continue;
		if (memchr(file.s, 0, file.len) || memchr(file.s, '/', file.len) || !tfs_remote_path_is_good(file.s))
			continue; /* a bare name, or nothing */
		if (tfs_array_room(names->names, names->n, names->room) || !(names->names[names->n] = strdup(file.s)))
			return -ENOMEM;
		names->n++;
	}
	return r;
}

static void on_index(struct tfs_ask *a, void *arg)
{
	struct lister *l = arg;
	struct names names = { 0 };
	struct tfs_json_text key;
	struct tfs_error err = { 0 };
	struct tfs_json j;
	int r = a->code;

	if (!r && a->x.head.status == 200 && a->body) {
		tfs_json_init(&j, a->body, a->len, 0, NULL);
		for (r = tfs_json_object_begin(&j); !r && (r = tfs_json_object_next(&j, &key)) > 0;)
			r = tfs_json_is(&key, "weight_map") ? read_weight_map(&j, &names) : tfs_json_skip(&j);
		if (r == -EINVAL)
			r = 0; /* the daemon will read it, too, and say what is wrong */
	} else {
		explain(l, a, &err);
		fail(l, err.code, &err);
	}
	if (names.n)
		qsort(names.names, names.n, sizeof *names.names, compare_names);
	for (size_t i = 0; i < names.n && !r; i++)
		if (!i || strcmp(names.names[i], names.names[i - 1]) != 0)
			r = add_item(l, names.names[i], false, false, 0);
	for (size_t i = 0; i < names.n; i++)
		free(names.names[i]);
	free(names.names);
	if (r)
		fail(l, r, NULL);
	l->in_flight--;
	advance(l);
}

/* ------------------------------------------------------------------------------------------------------------------- */

static int ask(struct lister *l, const char *path, bool is_dir, bool probe, void (*done)(struct tfs_ask *, void *), void *arg)
{
	struct tfs_ask_spec spec = { .f = l->h->o.f, .probe = probe, .sign = tfs_origin_sign, .sign_arg = &l->h->o };
	int r;

	spec.done = done;
	spec.arg = arg;
	/* Caddy lists as JSON who asks for it. */
	spec.accept = is_dir ? "application/json, text/html;q=0.9, */*;q=0.5" : "*/*";
	r = l->h->file ? tfs_url_copy(&l->h->url, &spec.url) : tfs_http_url(l->h, path, is_dir && *path, &spec.url, &l->err);
	if (!r)
		r = tfs_ask(&spec);
	if (!r)
		l->in_flight++;
	return r;
}

static int read_index(struct lister *l, const struct task *t)
{
	return ask(l, t->path, false, false, on_index, l);
}

static int ask_for(struct lister *l, const struct item *item)
{
	struct task *t = calloc(1, sizeof *t);
	int r = -ENOMEM;

	if (t)
		t->path = strdup(item->path);
	if (t && t->path) {
		t->l = l;
		t->guessed = item->guessed;
		t->depth = item->depth;
		r = ask(l, item->path, item->is_dir, !item->is_dir, item->is_dir ? on_directory : on_probe, t);
	}
	if (r && t) {
		free(t->path);
		free(t);
	}
	return r;
}

static void warn(struct lister *l)
{
	struct tfs_fetcher *f = l->h->o.f;
	size_t n = 0;

	for (size_t i = 0; i < l->listing.n; i++)
		n += l->listing.files[i].kind == TFS_FETCH_NO_VERSION;
	if (l->absent)
		tfs_fetch_warn(f, "%zu of the files that are listed can't be read, and are left out", l->absent);
	if (l->whole)
		tfs_fetch_warn(f, "%zu files are left out: they are only sent as a whole", l->whole);
	if (n)
		tfs_fetch_warn(f, "%zu files have neither an ETag nor a date: that one changes is only seen by its size", n);
}

static int name_listing(struct lister *l)
{
	struct tfs_remote_listing *t = &l->listing;
	char shown[TFS_URL_SHOWN];

	t->origin = strndup(l->h->url.text, l->h->url.query);
	t->display = strdup(tfs_url_show(&l->h->url, shown));
	t->authority = tfs_url_authority(&l->h->url);
	t->file = l->h->file ? strdup(l->h->file) : NULL;
	return t->origin && t->display && t->authority && (t->file || !l->h->file) ? 0 : -ENOMEM;
}

static void finish(struct lister *l)
{
	if (!l->code && !l->listing.n) {
		if (!l->no_listing.code)
			tfs_error_set(&l->no_listing, -ENOENT, TFS_NO_OFFSET, "it lists no files");
		tfs_error_set(&l->err, l->no_listing.code == -EACCES ? -EACCES : -ENOENT, TFS_NO_OFFSET,
			      "%s; and there is neither a model.safetensors nor its index%s", l->no_listing.what,
			      tfs_origin_no_weights(l->h->url.text + l->h->url.path));
		l->code = l->err.code;
	}
	if (!l->code)
		l->code = name_listing(l);
	if (!l->code)
		warn(l);
	tfs_origin_listed(&l->h->o, l->code, &l->err, &l->listing);
	free_lister(l);
}

static void advance(struct lister *l)
{
	int r = 0;

	for (;;) {
		while (!l->code && l->next < l->n && l->in_flight < MAX_IN_FLIGHT) {
			r = tfs_origin_late(&l->h->o, &l->err);
			if (!r)
				r = ask_for(l, &l->items[l->next++]);
			if (r)
				fail(l, r, NULL);
		}
		if (l->in_flight)
			return;
		if (l->code || l->n_weights || l->guessing || l->h->file)
			break;
		l->guessing = true;
		r = add_usual(l);
		if (r)
			fail(l, r, NULL);
	}
	finish(l);
}

void tfs_http_list(struct tfs_origin *o, const char *known)
{
	struct lister *l = calloc(1, sizeof *l);
	struct tfs_http *h = tfs_container_of(o, struct tfs_http, o);
	int r;

	(void)known;
	if (!l) {
		tfs_origin_listed(o, -ENOMEM, NULL, NULL);
		return;
	}
	l->h = h;
	l->guessing = h->index;
	r = h->file  ? add_item(l, h->file, false, false, 0) :
	    h->index ? add_item(l, h->index, false, false, 0) :
		       add_item(l, "", true, false, 0);
	if (r)
		fail(l, r, NULL);
	advance(l);
}
