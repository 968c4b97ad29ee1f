/* SPDX-License-Identifier: MIT */
/*
 * The JSON reader against jansson: the same verdict on any text, and the same value. What may differ is in base/json.h; here
 * each difference must have its cause in the text.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "fuzz.h"

struct reading {
	struct tfs_json json;
	bool twice;    /* a key that its object has already */
	bool nul_key;  /* jansson refuses NUL in keys */
	bool overflow; /* jansson refuses numbers beyond a double */
};

static json_t *build(struct reading *r);

static json_t *build_number(struct reading *r)
{
	struct tfs_json_text text;
	char *copy;
	double v;

	if (tfs_json_number(&r->json, &text))
		return NULL;
	copy = malloc(text.len + 1); /* not strndup(): AddressSanitizer wants a NUL behind what it copies */
	CHECK(copy);
	memcpy(copy, text.s, text.len);
	copy[text.len] = 0;
	v = strtod(copy, NULL);
	free(copy);
	if (isinf(v)) {
		r->overflow = true;
		v = 0;
	}
	return json_real(v);
}

static json_t *build_object(struct reading *r)
{
	json_t *object = json_object(), *value;
	struct tfs_json_text text;
	int rc = tfs_json_object_begin(&r->json);

	while (!rc && (rc = tfs_json_object_next(&r->json, &text)) > 0) {
		r->nul_key |= memchr(text.s, '\0', text.len) != NULL;
		r->twice |= json_object_getn(object, text.s, text.len) != NULL;
		value = build(r);
		rc = value ? json_object_setn_new(object, text.s, text.len, value) : -1;
	}
	if (!rc)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *build_array(struct reading *r)
{
	json_t *array = json_array(), *value;
	int rc = tfs_json_array_begin(&r->json);

	while (!rc && (rc = tfs_json_array_next(&r->json)) > 0) {
		value = build(r);
		rc = value ? json_array_append_new(array, value) : -1;
	}
	if (!rc)
		return array;
	json_decref(array);
	return NULL;
}

/* The next value as jansson would have it; NULL where it is unsound. */
static json_t *build(struct reading *r)
{
	struct tfs_json_text text;
	int type = tfs_json_peek(&r->json);
	json_t *value;

	switch (type) {
	case TFS_JSON_OBJECT:
		return build_object(r);
	case TFS_JSON_ARRAY:
		return build_array(r);
	case TFS_JSON_STRING:
		if (tfs_json_string(&r->json, &text))
			return NULL;
		value = json_stringn(text.s, text.len);
		CHECK(value); /* it checks the UTF-8 */
		CHECK(!text.s[text.len]);
		return value;
	case TFS_JSON_NUMBER:
		return build_number(r);
	case TFS_JSON_TRUE:
	case TFS_JSON_FALSE:
	case TFS_JSON_NULL:
		if (tfs_json_skip(&r->json))
			return NULL;
		return type == TFS_JSON_TRUE ? json_true() : type == TFS_JSON_FALSE ? json_false() : json_null();
	default:
		return NULL;
	}
}

/* tfs_json_skip() must come to the same verdict as reading value by value. */
static void check_skip(const uint8_t *data, size_t size, bool sound)
{
	char *copy = malloc(size + 1);
	struct tfs_json r;

	CHECK(copy);
	memcpy(copy, data, size);
	tfs_json_init(&r, copy, size, 0, NULL);
	CHECK(sound == (!tfs_json_skip(&r) && !tfs_json_end(&r)));
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	json_error_t jansson_err;
	struct reading r = { 0 };
	char *copy = malloc(size + 1);
	json_t *ours, *theirs;
	bool sound;

	CHECK(copy);
	memcpy(copy, data, size);
	tfs_json_init(&r.json, copy, size, 0, &err);
	ours = build(&r);
	sound = ours && !tfs_json_end(&r.json);
	CHECK(sound || (err.code == -EINVAL && err.what[0] && err.offset <= size));
	check_skip(data, size, sound);

	theirs = json_loadb((const char *)data, size,
			    JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &jansson_err);
	if (sound && !r.twice && !r.nul_key && !r.overflow)
		CHECK(theirs && json_equal(ours, theirs));
	else if (sound || !(strstr(err.what, "nested deeper") || memchr(data, '\0', size)))
		CHECK(!theirs);
	json_decref(ours);
	json_decref(theirs);
	free(copy);
	return 0;
}
