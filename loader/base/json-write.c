/* SPDX-License-Identifier: MIT */
#include "base/json-write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Make room for @len bytes more. 0 or -errno. */
static int grow(struct tfs_json_out *b, size_t len)
{
	size_t room = b->room ? b->room : 4096;
	char *p;
	int r;

	while (room - b->len < len)
		room *= 2; /* both are far below SIZE_MAX / 2 */
	if (room > TFS_JSON_OUT_MAX)
		return -EFBIG;
	r = b->guard ? b->guard->grow(b->guard, room) : 0;
	if (r)
		return r;
	p = realloc(b->s, room);
	if (!p)
		return -ENOMEM;
	b->s = p;
	b->room = room;
	return 0;
}

void tfs_json_add_bytes(struct tfs_json_out *b, const char *s, size_t len)
{
	if (!b->failed && b->guard && *b->guard->abandoned)
		b->failed = -ECANCELED;
	if (b->failed || !len)
		return;
	if (len > b->room - b->len)
		b->failed = grow(b, len);
	if (b->failed)
		return;
	memcpy(b->s + b->len, s, len);
	b->len += len;
}

void tfs_json_add(struct tfs_json_out *b, const char *text)
{
	tfs_json_add_bytes(b, text, strlen(text));
}

void tfs_json_add_string(struct tfs_json_out *b, const char *s, size_t len)
{
	static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
	const char *end = s + len;

	tfs_json_add_bytes(b, "\"", 1);
	while (s < end && !b->failed) {
		const char *plain = s;
		char escape[8];
		while (s < end && (unsigned char)*s >= 0x20 && !(*s & 0x80) && *s != '"' && *s != '\\')
			s++;
		tfs_json_add_bytes(b, plain, s - plain);
		if (s == end)
			break;
		if (*s & 0x80) {
			unsigned n = tfs_utf8_sequence(s, end);
			tfs_json_add_bytes(b, n ? s : replacement, n ? n : strlen(replacement));
			s += n ? n : 1;
			continue;
		}
		snprintf(escape, sizeof escape, *s == '"' || *s == '\\' ? "\\%c" : "\\u%04x", *s);
		tfs_json_add(b, escape);
		s++;
	}
	tfs_json_add_bytes(b, "\"", 1);
}

int tfs_json_finish(struct tfs_json_out *b, char **ret_text, size_t *ret_len)
{
	char *fit = b->failed ? NULL : realloc(b->s, b->len + 1); /* it grew by doubling */
	int r = b->failed ? b->failed : fit ? 0 : -ENOMEM;

	if (r) {
		free(b->s);
		b->s = NULL;
		return r;
	}
	fit[b->len] = 0;
	*ret_text = fit;
	*ret_len = b->len;
	return 0;
}
