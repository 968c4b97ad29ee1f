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

/* With as few digits as needed to read back the same number; one of them after a point, so it reads as a float. */
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

static int put_array(struct tfs_json_out *b, struct tfs_gguf *r, unsigned depth, bool full);

/* A value nested in @depth arrays. */
static int put_value(struct tfs_json_out *b, struct tfs_gguf *r, enum tfs_gguf_type type, unsigned depth, bool full)
{
	union tfs_gguf_number v;
	const char *s;
	char number[32];
	size_t len;
	int rc;

	if (type == TFS_GGUF_ARRAY) {
		tfs_json_add(b, "{");
		rc = put_array(b, r, depth, full);
		tfs_json_add(b, "}");
		return rc;
	}
	if (type == TFS_GGUF_STRING) {
		rc = tfs_gguf_string(r, &s, &len);
		if (!rc)
			tfs_json_add_string(b, s, len);
		return rc;
	}
	rc = tfs_gguf_number(r, type, &v);
	if (rc)
		return rc;
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
static int put_array(struct tfs_json_out *b, struct tfs_gguf *r, unsigned depth, bool full)
{
	struct tfs_gguf_array a;
	char head[80];
	uint64_t shown;
	bool all;
	int rc = tfs_gguf_array(r, depth, &a);

	if (rc)
		return rc;
	all = full || a.count <= TFS_GGUF_JSON_ARRAY;
	shown = all ? a.count : TFS_GGUF_JSON_FIRST;
	snprintf(head, sizeof head, "\"of\": \"%s\", \"count\": %" PRIu64 ", \"%s\": [", tfs_gguf_type_name(a.of), a.count,
		 all ? "value" : "first");
	tfs_json_add(b, head);
	for (uint64_t i = 0; i < shown && !rc && !b->failed; i++) {
		if (i)
			tfs_json_add(b, ", ");
		rc = put_value(b, r, a.of, depth + 1, full);
	}
	tfs_json_add(b, "]");
	return rc || all ? rc : tfs_gguf_skip(r, a.of, a.count - shown, depth + 1);
}

static int put_keys(struct tfs_json_out *b, struct tfs_gguf *r, bool full)
{
	struct tfs_gguf_key key;
	const char *before = "\n        ";
	char type[40];
	int rc;

	while ((rc = tfs_gguf_key(r, &key)) > 0 && !b->failed) {
		tfs_json_add(b, before);
		before = ",\n        ";
		tfs_json_add_string(b, key.name, key.len);
		snprintf(type, sizeof type, ": {\"type\": \"%s\", ", tfs_gguf_type_name(key.type));
		tfs_json_add(b, type);
		if (key.type == TFS_GGUF_ARRAY) {
			rc = put_array(b, r, 0, full);
		} else {
			tfs_json_add(b, "\"value\": ");
			rc = put_value(b, r, key.type, 0, full);
		}
		tfs_json_add(b, "}");
		if (rc)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

int tfs_gguf_json(struct tfs_json_out *b, const struct tfs_input *in, const char *path, bool full, struct tfs_error *err)
{
	char head[160];
	struct tfs_gguf r;
	int rc = tfs_gguf_open(&r, in, err);

	if (!rc) {
		tfs_json_add(b, "{\n      \"file\": ");
		tfs_json_add_string(b, path, strlen(path));
		snprintf(head, sizeof head,
			 ",\n      \"version\": %" PRIu32 ",\n      \"byte_order\": \"%s\",\n      \"tensors\": %" PRIu64
			 ",\n      \"keys\": {",
			 r.version, r.big_endian ? "big" : "little", r.n_tensors);
		tfs_json_add(b, head);
		rc = put_keys(b, &r, full);
		tfs_json_add(b, "\n      }\n    }");
	}
	tfs_gguf_close(&r);
	if (!rc && b->failed)
		rc = tfs_error_set(err, b->failed, TFS_NO_OFFSET, "its keys as text: %s",
				   b->failed == -EFBIG ? "longer than 256 MiB" : strerror(-b->failed));
	return rc;
}
