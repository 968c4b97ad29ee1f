/* SPDX-License-Identifier: MIT */
#include "fetch/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { MAX_HEADER = 8192, MAX_NETRC = 1 << 20 };

void tfs_secret_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

int tfs_secret_read(const char *path, size_t max, char **ret)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	size_t len = 0;
	char *text;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	text = malloc(max + 2);
	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, text + len, max + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || len + (size_t)n > max) {
			int r = n < 0 ? -errno : -EFBIG;

			explicit_bzero(text, max + 2);
			free(text);
			return r;
		}
		if (!n)
			break;
		len += (size_t)n;
	}
	text[len] = 0;
	*ret = text;
	return 0;
}

/* A token (RFC 9110 5.6.2), a colon, and a value. */
static bool is_header(const char *s)
{
	size_t n = strspn(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (!n || s[n] != ':')
		return false;
	for (; *s; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

int tfs_secret_header(const char *path, char **ret, struct tfs_error *err)
{
	char *text;
	size_t len;
	int r = tfs_secret_read(path, MAX_HEADER, &text);

	if (r == -ENOMEM)
		return r;
	if (r)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "TENSORFS_AUTH_FILE: %s: %s", path, strerror(-r));
	for (len = strlen(text); len && strchr("\r\n \t", text[len - 1]);)
		text[--len] = 0;
	if (is_header(text)) {
		*ret = text;
		return 0;
	}
	tfs_secret_free(text);
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
			     "TENSORFS_AUTH_FILE: %s isn't one header line, such as \"Authorization: Bearer ...\"", path);
}

/* --- netrc ---------------------------------------------------------------------------------------------------------- */

/* The next word in *@at, ended by a NUL, with what quotes and backslashes mean; NULL: there is none. */
static char *next_word(char **at)
{
	char *s = *at + strspn(*at, " \t\r\n"), *word = s, *to = s;
	bool quoted = *s == '"';

	if (!*s)
		return NULL;
	for (s += quoted; *s && (quoted ? *s != '"' : !strchr(" \t\r\n", *s)); s++) {
		if (quoted && *s == '\\' && s[1])
			s++;
		*to++ = *s;
	}
	*at = *s ? s + 1 : s;
	*to = 0;
	return word;
}

int tfs_secret_netrc_find(char *text, const char *host, char **ret)
{
	const char *login = NULL, *password = NULL;
	bool mine = false;
	char *word, *value;

	while ((word = next_word(&text))) {
		if (*word == '#') {
			text += strcspn(text, "\n");
			continue;
		}
		if (!strcmp(word, "macdef")) {
			char *end = strstr(text, "\n\n");

			text = end ? end : text + strlen(text);
			continue;
		}
		if (!strcmp(word, "machine") || !strcmp(word, "default")) {
			if (mine)
				break;
			value = *word == 'm' ? next_word(&text) : NULL;
			mine = *word == 'd' || (value && !strcmp(value, host));
			continue;
		}
		value = next_word(&text);
		if (mine && value && !strcmp(word, "login"))
			login = value;
		if (mine && value && !strcmp(word, "password"))
			password = value;
	}
	*ret = NULL;
	if (mine && login && asprintf(ret, "%s:%s", login, password ? password : "") < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

int tfs_secret_netrc(const struct tfs_url *url, char **ret, struct tfs_error *err)
{
	const char *named = getenv("NETRC"), *home = getenv("HOME"), *start = strstr(url->origin, "://") + 3;
	cleanup_free char *path = NULL, *host = strndup(start, (size_t)(strrchr(start, ':') - start));
	size_t len;
	char *text = NULL;
	int r;

	if (!host || asprintf(&path, "%s%s", named ? named : home ? home : "", named ? "" : "/.netrc") < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = tfs_secret_read(path, MAX_NETRC, &text);
	if (r == -ENOMEM)
		return r;
	if (r)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "netrc: %s: %s", path, strerror(-r));
	len = strlen(text);
	r = tfs_secret_netrc_find(text, host, ret);
	explicit_bzero(text, len); /* of which words were cut out */
	free(text);
	return r;
}
