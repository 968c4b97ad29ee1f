/* SPDX-License-Identifier: MIT */
#include "tree/gguf-json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json-write.h"
#include "format/gguf/reader.h"

/* --- Values ---------------------------------------------------------------------------------------------------------- */

/* With as few digits as it takes to read the same number again; one of them behind a point, so that it reads as a float. */
static void put_float(struct tfs_json_out *b, double f, bool single)
{
	char s[40];

	if (!isfinite(f)) {
		tfs_json_add(b, isnan(f) ? "\"NaN\"" : f > 0 ? "\"Infinity\"" : "\"-Infinity\"");
		return;
	}
	for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
		snprintf(s, sizeof s - 2, "%.*g", digits, f);
		if (single ? strtof(s, NULL) == (float)f : strtod(s, NULL) == f)
			break;
	}
	if (!strpbrk(s, ".e"))
		strcat(s, ".0");
	tfs_json_add(b, s);
}

static int put_array(struct tfs_json_out *b, struct tfs_gguf *g, unsigned depth, bool full);

/* A value that stands in @depth arrays. */
static int put_value(struct tfs_json_out *b, struct tfs_gguf *g, enum tfs_gguf_type type, unsigned depth, bool full)
{
	union tfs_gguf_number v;
	const char *s;
	char number[32];
	size_t len;
	int r;

	if (type == TFS_GGUF_ARRAY) {
		tfs_json_add(b, "{");
		r = put_array(b, g, depth, full);
		tfs_json_add(b, "}");
		return r;
	}
	if (type == TFS_GGUF_STRING) {
		r = tfs_gguf_string(g, &s, &len);
		if (!r)
			tfs_json_add_string(b, s, len);
		return r;
	}
	r = tfs_gguf_number(g, type, &v);
	if (r)
		return r;
	switch (type) {
	case TFS_GGUF_FLOAT32:
	case TFS_GGUF_FLOAT64:
		put_float(b, v.f, type == TFS_GGUF_FLOAT32);
		return 0;
	case TFS_GGUF_BOOL:
		tfs_json_add(b, v.u ? "true" : "false");
		return 0;
	case TFS_GGUF_INT8:
	case TFS_GGUF_INT16:
	case TFS_GGUF_INT32:
	case TFS_GGUF_INT64:
		snprintf(number, sizeof number, "%" PRId64, v.i);
		break;
	default:
		snprintf(number, sizeof number, "%" PRIu64, v.u);
	}
	tfs_json_add(b, number);
	return 0;
}

/* The members of an array's object. */
static int put_array(struct tfs_json_out *b, struct tfs_gguf *g, unsigned depth, bool full)
{
	struct tfs_gguf_array a;
	char head[80];
	uint64_t shown;
	bool all;
	int r = tfs_gguf_array(g, depth, &a);

	if (r)
		return r;
	all = full || a.count <= TFS_GGUF_JSON_ARRAY;
	shown = all ? a.count : TFS_GGUF_JSON_FIRST;
	snprintf(head, sizeof head, "\"of\": \"%s\", \"count\": %" PRIu64 ", \"%s\": [", tfs_gguf_type_name(a.of), a.count,
		 all ? "value" : "first");
	tfs_json_add(b, head);
	for (uint64_t i = 0; i < shown && !r && !b->failed; i++) {
		if (i)
			tfs_json_add(b, ", ");
		r = put_value(b, g, a.of, depth + 1, full);
	}
	tfs_json_add(b, "]");
	return r || all ? r : tfs_gguf_skip(g, a.of, a.count - shown, depth + 1);
}

static int put_keys(struct tfs_json_out *b, struct tfs_gguf *g, bool full)
{
	struct tfs_gguf_key key;
	const char *before = "\n        ";
	char type[40];
	int r;

	while ((r = tfs_gguf_key(g, &key)) > 0 && !b->failed) {
		tfs_json_add(b, before);
		before = ",\n        ";
		tfs_json_add_string(b, key.name, key.len);
		snprintf(type, sizeof type, ": {\"type\": \"%s\", ", tfs_gguf_type_name(key.type));
		tfs_json_add(b, type);
		if (key.type == TFS_GGUF_ARRAY) {
			r = put_array(b, g, 0, full);
		} else {
			tfs_json_add(b, "\"value\": ");
			r = put_value(b, g, key.type, 0, full);
		}
		tfs_json_add(b, "}");
		if (r)
			return r;
	}
	return r < 0 ? r : 0;
}

int tfs_gguf_json(struct tfs_json_out *b, const struct tfs_input *in, const char *path, bool full, struct tfs_error *err)
{
	char head[160];
	struct tfs_gguf g;
	int r = tfs_gguf_open(&g, in, err);

	if (!r) {
		tfs_json_add(b, "{\n      \"file\": ");
		tfs_json_add_string(b, path, strlen(path));
		snprintf(head, sizeof head,
			 ",\n      \"version\": %" PRIu32 ",\n      \"byte_order\": \"%s\",\n      \"tensors\": %" PRIu64
			 ",\n      \"keys\": {",
			 g.version, g.big_endian ? "big" : "little", g.n_tensors);
		tfs_json_add(b, head);
		r = put_keys(b, &g, full);
		tfs_json_add(b, "\n      }\n    }");
	}
	tfs_gguf_close(&g);
	if (!r && b->failed)
		r = tfs_error_set(err, b->failed, TFS_NO_OFFSET, "its keys as text: %s",
				  b->failed == -EFBIG ? "longer than 256 MiB" : strerror(-b->failed));
	return r;
}
