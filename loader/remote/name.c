/* SPDX-License-Identifier: MIT */
#include "remote/name.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

bool tfs_remote_is_weights(const char *name)
{
	static const char *const extensions[] = {
		".safetensors", ".gguf", ".onnx", ".npz", ".npy", ".pt", ".pth", ".bin", ".ckpt"
	};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
		size_t n = strlen(extensions[i]);

		if (len > n && !strcasecmp(name + len - n, extensions[i]))
			return true;
	}
	return false;
}

const char *tfs_remote_revision(const char *url)
{
	const char *at = url + 5;

	if (strncmp(url, "hf://", 5) != 0)
		return NULL;
	if (!strncmp(at, "datasets/", 9) || !strncmp(at, "models/", 7))
		at = strchr(at, '/') + 1;
	at += strcspn(at, "/"); /* the namespace */
	at += *at == '/';
	at += strcspn(at, "/@");
	return *at == '@' ? at : NULL;
}

/* Without the @n bytes at @at. */
static void cut(char *at, size_t n)
{
	memmove(at, at + n, strlen(at + n) + 1);
}

static void cut_slash(char *url)
{
	size_t len = strlen(url);

	if (!len || url[len - 1] != '/' || strchr(url, '?'))
		return;
	url[len - 1] = '\0';
	if (tfs_remote_is_weights(url))
		url[len - 1] = '/';
}

char *tfs_remote_name(const char *url)
{
	char *name = strdup(url), *revision;
	const char *rest = name ? strstr(name, "://") : NULL;

	for (char *c = name; rest && c < rest; c++)
		*c = (char)tolower((unsigned char)*c);
	if (!rest)
		return name;
	if (!strncmp(name, "hf://models/", 12))
		cut(name + 5, 7);
	revision = (char *)tfs_remote_revision(name);
	if (revision && !strncmp(revision, "@main", 5) && strchr("/", revision[5]))
		cut(revision, 5);
	cut_slash(strstr(name, "://") + 3);
	return name;
}

/* Is it the same, but for the revision? */
static bool is_other_revision(const char *a, const char *b)
{
	const char *at = tfs_remote_revision(a), *bt = tfs_remote_revision(b);
	const size_t len = at ? (size_t)(at - a) : 0;

	if (!at)
		return false;
	at += strcspn(at, "/");
	if (!bt)
		return !strncmp(a, b, len) && !strcmp(b + len, at);
	return (size_t)(bt - b) == len && !strncmp(a, b, len) && !strcmp(bt + strcspn(bt, "/"), at);
}

bool tfs_remote_is_named(const struct tfs_remote_table *t, const char *url)
{
	cleanup_free char *name = tfs_remote_name(url), *origin = tfs_remote_name(t->origin);
	const char *revision = name ? tfs_remote_revision(name) : NULL;
	const size_t n = revision ? strcspn(revision + 1, "/") : 0;

	if (!name || !origin)
		return false;
	return !strcmp(name, origin) || (n >= TFS_COMMIT_LEAST && n <= TFS_COMMIT && strlen(t->revision) == TFS_COMMIT &&
					 !strncmp(revision + 1, t->revision, n) && is_other_revision(name, origin));
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

char *tfs_url_decode(const char *s, size_t len)
{
	char *text = malloc(len + 1), *to = text;

	for (size_t i = 0; text && i < len; i++) {
		char c = s[i];

		if (c == '%') {
			int hi = len - i > 2 ? digit(s[i + 1]) : -1, lo = len - i > 2 ? digit(s[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				goto bad;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (!c)
			goto bad;
		*to++ = c;
	}
	if (to)
		*to = 0;
	return text;
bad:
	free(text);
	errno = EINVAL;
	return NULL;
}
