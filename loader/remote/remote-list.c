/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "remote/hf-name.h"
#include "remote/hub.h"
#include "remote/name.h"
#include "remote/remote-impl.h"

/* Where the last table is kept: the answer depends on the URL, @name, and on where that is asked. */
static void tree_name(const char *name, char buf[static TFS_CACHE_NAME])
{
	static const char *const endpoints[] = { "HF_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL" };
	char identity[4 * PATH_MAX];
	size_t len = (size_t)snprintf(identity, sizeof identity, "%s", name);

	for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints && len < sizeof identity; i++) {
		const char *value = getenv(endpoints[i]);
		size_t n = value ? strlen(value) : 0;

		while (n && value[n - 1] == '/')
			n--;
		len += (size_t)snprintf(identity + len, sizeof identity - len, "\n%.*s", (int)n, value ? value : "");
	}
	tfs_cache_key("tree", NULL, identity, buf);
}

/* Is the URL of a revision that can't become another one: a commit, in full? */
static bool is_pinned(const char *url)
{
	const char *at = tfs_remote_revision(url);
	size_t n = at ? strspn(at + 1, "0123456789abcdef") : 0;

	return n == 40 && (!at[41] || at[41] == '/');
}

static void use(struct tfs_remote *r, struct tfs_remote_table *table)
{
	r->table = *table;
	*table = (struct tfs_remote_table){ 0 };
}

/*
 * Ask the origin of what @url names. @last: the table that was kept, or one of zeros; @doubted: it isn't to be used if the origin has
 * another one.
 */
static int list(struct tfs_remote *r, const char *url, struct tfs_remote_table *last, bool doubted, struct tfs_error *err)
{
	cleanup_fd int fd = -1;
	int code = tfs_fetcher_list(r->fetcher, last->bytes && !doubted ? last->revision : "", &fd, err);
	const bool listed = last->bytes;

	if (!code && fd < 0)
		use(r, last);
	else if (!code)
		code = tfs_remote_table_read(fd, TFS_FETCH_MAX_TABLE, &r->table, err);
	if (!code && r->cache)
		tfs_cache_put_tree(r->cache, r->tree, &r->table);
	if ((code != -ENETUNREACH && code != -EBUSY) || (!listed && tfs_hub_table(url, last, NULL)))
		return code;
	const char *why = err ? err->what : strerror(-code);
	bool named = tfs_error_names_url(why, last->display);
	tfs_log_warning("%s%s%s; %s is used", named ? "" : last->display, named ? "" : ": ", why,
			listed ? "what was listed last time" : "what huggingface_hub has in its cache");
	if (err)
		*err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
	use(r, last);
	return 0;
}

/*
 * The first table in the cache that was listed as what @url names, such as of a branch that led to its commit; *@name is where. @here: by
 * who would be asked now.
 */
static bool find_named(struct tfs_remote *r, const char *url, bool here, char name[static TFS_CACHE_NAME],
		       struct tfs_remote_table *ret_table, bool *ret_doubted)
{
	cleanup_free char(*names)[TFS_CACHE_NAME] = NULL;
	size_t n = 0;

	if (!r->cache || tfs_cache_trees(r->cache, &names, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (tfs_cache_get_tree(r->cache, names[i], ret_table, ret_doubted))
			continue;
		tree_name(ret_table->origin, name);
		if (tfs_remote_is_named(ret_table, url) && (!here || !strcmp(name, names[i])))
			return true;
		tfs_remote_table_fini(ret_table);
	}
	return false;
}

/* There is no list of its files, and the origin may not be asked. */
static int not_cached(struct tfs_remote *r, const char *url, struct tfs_error *err)
{
	const char *variable = strncmp(url, "s3://", 5) ? "HF_ENDPOINT" : "AWS_ENDPOINT_URL";
	const char *cache = r->cache ? tfs_cache_path(r->cache) : "(there is none)";
	struct tfs_remote_table t;
	char name[TFS_CACHE_NAME];
	bool doubted;

	if (find_named(r, url, false, name, &t, &doubted)) {
		tfs_error_set(err, -ENETUNREACH, TFS_NO_OFFSET,
			      "there is no network (" TFS_REMOTE_NO_NETWORK
			      "), and the cache %s has it from %s, not from where %s leads now: "
			      "set that as it was",
			      cache, t.authority, variable);
		tfs_remote_table_fini(&t);
		return -ENETUNREACH;
	}
	return tfs_error_set(err, -ENETUNREACH, TFS_NO_OFFSET,
			     "there is no network (" TFS_REMOTE_NO_NETWORK
			     "), and it isn't in the cache %s%s; mounting it once with a network brings in "
			     "the list of its files and what is read, with --prefetch=all all of it",
			     cache, tfs_hf_name_takes(url) ? ", nor in that of huggingface_hub" : "");
}

int tfs_remote_find_table(struct tfs_remote *r, const char *url, struct tfs_error *err)
{
	struct tfs_remote_table last = { 0 };
	char name[TFS_CACHE_NAME];
	bool doubted = false, found;
	int code;

	tree_name(url, r->tree);
	if (r->cache)
		tfs_cache_get_tree(r->cache, r->tree, &last, &doubted);
	found = !last.bytes && (r->options.offline || is_pinned(url)) && find_named(r, url, true, name, &last, &doubted);
	if (last.bytes && (r->options.offline || (is_pinned(url) && !doubted))) {
		r->table = last;
		if (found)
			memcpy(r->tree, name, sizeof name);
		return 0;
	}
	if (r->options.offline)
		return tfs_hub_table(url, &r->table, NULL) ? not_cached(r, url, err) : 0;
	code = list(r, url, &last, doubted, err);
	tfs_remote_table_fini(&last);
	return code;
}
