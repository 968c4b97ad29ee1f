/* SPDX-License-Identifier: MIT */
/* A set as one safetensors file: the metadata of its files as one, and what its header has room for. Its bytes: tests/e2e/whole.py. */
#include "support/model-helpers.h"

#include <jansson.h>

#include "content/consolidated.h"
#include "model/metadata.h"

/* A shard of @shards with one tensor, and this __metadata__. */
static void put_shard(const char *dir, unsigned shard, unsigned shards, const char *metadata)
{
	char name[64], *header;
	int n;

	snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors", shard, shards);
	n = asprintf(&header, "{\"__metadata__\":%s,\"t%u\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", metadata,
		     shard);
	assert_true(n > 0);
	put_safetensors(dir, name, header, 4);
	free(header);
}

/* The header of the whole file as JSON. Its data begins at a multiple of 4096. */
static json_t *header_of(const struct tfs_set *set)
{
	struct tfs_consolidated *w;
	uint64_t len;

	assert_true(tfs_consolidated_possible(set));
	assert_int_equal(tfs_consolidated_create(set, &w), 0);
	uint64_t head = tfs_consolidated_size(w) - set->total_bytes;
	assert_int_equal(head % 4096, 0);
	char *buf = malloc(head);
	struct tfs_read_request rq = { .len = head, .buf = (uint8_t *)buf };
	assert_int_equal(tfs_consolidated_read(w, NULL, &rq), 0);
	assert_ptr_equal(rq.data, buf);
	memcpy(&len, buf, sizeof len);
	assert_int_equal(le64toh(len), head - 8);
	json_t *json = json_loadb(buf + 8, head - 8, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	assert_non_null(json);
	assert_int_equal(json_object_size(json), set->n_tensors + 1);
	free(buf);
	tfs_consolidated_destroy(w);
	return json;
}

static void metadata_is_merged(void **state)
{
	static const struct {
		const char *shards[3], *want, *differ;
	} rows[] = {
		{ { "null", "{}", "null" }, "{\"format\":\"pt\"}", "" },
		{ { "{\"format\":\"mlx\"}", "null", "null" }, "{\"format\":\"mlx\"}", "" },
		{ { "null", "null", "{\"format\":\"tf\"}" }, "{\"format\":\"tf\"}", "" },
		{ { "{\"format\":\"pt\"}", "{\"format\":\"pt\"}", "{\"format\":\"np\"}" }, "{\"format\":\"pt\"}", "format" },
		{ { "{\"b\":\"1\"}", "{\"a\":\"2\",\"b\":\"1\"}", "{\"c\":\"3\"}" },
		  "{\"format\":\"pt\",\"a\":\"2\",\"b\":\"1\",\"c\":\"3\"}",
		  "" },
		{ { "{\"b\":\"1\"}", "{\"a\":\"2\",\"b\":\"x\"}", "{\"c\":\"3\",\"a\":\"\",\"b\":\"1\"}" },
		  "{\"format\":\"pt\",\"a\":\"2\",\"b\":\"1\",\"c\":\"3\"}",
		  "a b" },
		{ { "{\"q\\\"\\\\\\n\":\"{\\\"x\\\": \\\"\\u00e9\\u0001\\\"}\"}", "null", "{}" },
		  "{\"format\":\"pt\",\"q\\\"\\\\\\n\":\"{\\\"x\\\": \\\"\\u00e9\\u0001\\\"}\"}",
		  "" },
		{ { "{\"__metadata__\":\"odd\",\"t1\":\"as a tensor\"}", "null", "null" },
		  "{\"format\":\"pt\",\"__metadata__\":\"odd\",\"t1\":\"as a tensor\"}",
		  "" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		char *dir = make_tree(), differ[100] = "";
		struct tfs_merged *merged;
		struct warnings w;
		size_t n;

		for (unsigned k = 0; k < 3; k++)
			put_shard(dir, k + 1, 3, rows[i].shards[k]);
		struct tfs_model *m = open_model(dir, &w);
		json_t *header = header_of(&m->sets[0]), *want = json_loads(rows[i].want, 0, NULL);
		assert_non_null(want);
		assert_true(json_equal(json_object_get(header, "__metadata__"), want));
		assert_int_equal(tfs_metadata_merge(&m->sets[0], &merged, &n), 0);
		for (size_t k = 0; k < n; k++)
			if (merged[k].differs)
				snprintf(strchr(differ, 0), 50, "%s%s", *differ ? " " : "", merged[k].pair->key);
		assert_string_equal(differ, rows[i].differ);
		free(merged);
		json_decref(header);
		json_decref(want);
		tfs_model_destroy(m);
		remove_tree(dir);
	}
}

/* Newlines take three times as much in the header as in theirs, which is written with \n. */
static void put_newlines(const char *dir, unsigned shard, const char *key, size_t n)
{
	char *text = malloc(2 * n + 40), *p = text + sprintf(text, "{\"%s\":\"", key);

	for (size_t i = 0; i < n; i++, p += 2)
		memcpy(p, "\\n", 2);
	strcpy(p, "\"}");
	put_shard(dir, shard, 2, text);
	free(text);
}

static void a_header_has_a_limit(void **state)
{
	enum { HALF = 8500000 }; /* newlines, 51 MB of header */
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_newlines(dir, 1, "a", HALF);
	put_newlines(dir, 2, "b", HALF);
	m = open_model(dir, &w);
	assert_false(tfs_consolidated_possible(&m->sets[0]));
	tfs_model_destroy(m);

	/* The same pair twice is one. */
	put_newlines(dir, 2, "a", HALF);
	m = open_model(dir, &w);
	json_t *header = header_of(&m->sets[0]);
	assert_int_equal(json_string_length(json_object_get(json_object_get(header, "__metadata__"), "a")), HALF);
	json_decref(header);
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void a_single_file_has_one_as_well(void **state)
{
	char *dir = make_tree();
	struct warnings w;

	(void)state;
	put_safetensors(dir, "model.safetensors", TWO("b", "a"), 6);
	struct tfs_model *m = open_model(dir, &w);
	json_t *header = header_of(&m->sets[0]);
	assert_string_equal(json_string_value(json_object_get(json_object_get(header, "__metadata__"), "format")), "pt");
	json_decref(header);
	tfs_model_destroy(m);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metadata_is_merged),
		cmocka_unit_test(a_header_has_a_limit),
		cmocka_unit_test(a_single_file_has_one_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
