/* SPDX-License-Identifier: MIT */
#include "base/mask.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

size_t tfs_url_scheme(const char *s)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)s[n]) || (s[n] && strchr("+-.", s[n])))
		n++;
	return strncmp(s + n, "://", 3) ? 0 : n;
}

/* Is what follows the last colon of @host, of @len bytes, anything but a port? Then it may be a password that has a slash in it. */
static bool has_password(const char *host, size_t len)
{
	const char *colon = memrchr(host, ':', len);

	if (!colon || *host == '[')
		return false;
	for (const char *c = colon + 1; c < host + len; c++)
		if (!isdigit((unsigned char)*c))
			return true;
	return false;
}

const char *tfs_mask_url(const char *s, char *buf, size_t size)
{
	size_t scheme = tfs_url_scheme(s), len;
	const char *host = s + scheme + 3, *at, *from = host;

	if (!scheme) {
		snprintf(buf, size, "%s", s);
		return buf;
	}
	len = strcspn(host, "/?#");
	at = memrchr(host, '@', len);
	if (!at && has_password(host, len))
		at = strrchr(host, '@');
	/* hf://NAME@REVISION, where the namespace was forgotten, has no password. */
	if (at && (strncasecmp(s, "hf:", 3) != 0 || memchr(host, ':', (size_t)(at - host))))
		from = at;
	len = strcspn(from, "?#");
	snprintf(buf, size, "%.*s%s%.*s%.1s%s", (int)(host - s), s, from == at ? "***" : "", (int)len, from, from + len,
		 from[len] ? "***" : "");
	return buf;
}
