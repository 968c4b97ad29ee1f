/* SPDX-License-Identifier: MIT */
#include "remote/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "remote/cache.h"

enum { TIMEOUT_DEFAULT = 60 };

static int refuse(struct tfs_error *err, const char *name, const char *value, const char *want)
{
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "%s=%s: not %s", name, value, want);
}

/* As huggingface_hub reads HF_HUB_OFFLINE: 1, true, yes, on. */
static bool is_on(const char *name)
{
	static const char *const yes[] = { "1", "true", "yes", "on" };
	const char *value = getenv(name);

	for (size_t i = 0; value && i < sizeof yes / sizeof *yes; i++)
		if (!strcasecmp(value, yes[i]))
			return true;
	return false;
}

bool tfs_remote_size(const char *value, uint64_t *ret)
{
	static const char units[] = "KMGT";
	char *end;
	double v;

	if (!isdigit((unsigned char)*value))
		return false;
	errno = 0;
	v = strtod(value, &end);
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (errno || (*end && (!unit || (end[1] && strcmp(end + 1, "B") && strcmp(end + 1, "iB")))))
		return false;
	if (unit)
		v *= (double)(1ull << 10 * (unit - units + 1));
	if (v < (double)TFS_REMOTE_CACHE_MIN || v >= 0x1p62)
		return false;
	*ret = (uint64_t)v;
	return true;
}

static int get_number(const char *name, double min, double max, double *ret, struct tfs_error *err)
{
	const char *value = getenv(name);
	char *end, want[64];
	double v;

	if (!value || !*value)
		return 0;
	v = strtod(value, &end);
	snprintf(want, sizeof want, "a number from %g to %g", min, max);
	if (*end || !isdigit((unsigned char)*value) || v < min || v > max)
		return refuse(err, name, value, want);
	*ret = v;
	return 0;
}

static int get_cache(struct tfs_remote_options *o, struct tfs_error *err)
{
	const char *dir = getenv(TFS_REMOTE_CACHE), *size = getenv(TFS_REMOTE_CACHE_SIZE);

	if (!dir || !*dir)
		tfs_cache_default(o->cache, sizeof o->cache);
	else if (strcmp(dir, "none") && snprintf(o->cache, sizeof o->cache, "%s", dir) >= (int)sizeof o->cache)
		return refuse(err, TFS_REMOTE_CACHE, "...", "a path that short");
	if (size && *size && !tfs_remote_size(size, &o->cache_size))
		return refuse(err, TFS_REMOTE_CACHE_SIZE, size, "a size of at least 16M, such as 200G");
	return 0;
}

static int get_cacert(struct tfs_remote_options *o, struct tfs_error *err)
{
	const char *file = getenv(TFS_REMOTE_CACERT);
	char path[PATH_MAX];

	if (!file || !*file)
		return 0;
	if (!realpath(file, path))
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "%s: %s (--cacert, " TFS_REMOTE_CACERT ")", file, strerror(errno));
	snprintf(o->cacert, sizeof o->cacert, "%s", path);
	return 0;
}

int tfs_remote_options_get(struct tfs_remote_options *ret_options, struct tfs_error *err)
{
	struct tfs_remote_options o = {
		.offline = is_on(TFS_REMOTE_OFFLINE) || is_on("HF_HUB_OFFLINE"),
		.anonymous = is_on(TFS_REMOTE_ANONYMOUS),
		.netrc = is_on(TFS_REMOTE_NETRC),
		.timeout = TIMEOUT_DEFAULT,
	};
	double connections = 0;
	int r = get_cache(&o, err);

	if (!r)
		r = get_number(TFS_REMOTE_CONNECTIONS, 1, TFS_REMOTE_CONNECTIONS_MAX, &connections, err);
	if (!r)
		r = get_number(TFS_REMOTE_TIMEOUT, 1, TFS_REMOTE_TIMEOUT_MAX, &o.timeout, err);
	if (!r)
		r = get_cacert(&o, err);
	o.connections = (unsigned)connections;
	if (!r)
		*ret_options = o;
	return r;
}

/* One more string. */
static void add(char *buf, size_t size, size_t *len, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void add(char *buf, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (*len > size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(buf + *len, size - *len, fmt, ap);
	va_end(ap);
	*len += (size_t)n + 1; /* with its NUL */
}

int tfs_remote_hello(const char *url, const struct tfs_remote_options *o, char *buf, size_t size, struct tfs_error *err)
{
	size_t len = 0;

	for (const char *s = url; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "not a URL: it has control characters");
	add(buf, size, &len, "url=%s", url);
	if (o->connections)
		add(buf, size, &len, "connections=%u", o->connections);
	add(buf, size, &len, "timeout=%u", (unsigned)o->timeout);
	if (*o->cacert)
		add(buf, size, &len, "cacert=%s", o->cacert);
	if (o->anonymous)
		add(buf, size, &len, "anonymous=1");
	if (o->netrc)
		add(buf, size, &len, "netrc=1");
	return len > size ? tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "the URL is too long") : (int)len;
}
