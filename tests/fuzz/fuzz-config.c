/* SPDX-License-Identifier: MIT */
/*
 * Configurations, any text: what jansson accepts as it is has the same values; what is written again is the same as what is read of it;
 * and the one of a model in another type says so, and nothing of codes.
 */
#include <jansson.h>

#include "memory-model.h"
#include "model/config.h"
#include "tree/converted.h"

/* Numbers that jansson doesn't read are strings in one of them. */
static bool alike(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *value;

	if (json_is_object(a) && json_is_object(b)) {
		json_object_foreach((json_t *)(uintptr_t)a, key, value) if (!alike(value, json_object_get(b, key))) return false;
		return json_object_size(a) == json_object_size(b);
	}
	if (json_is_array(a) && json_is_array(b)) {
		for (size_t i = 0; i < json_array_size(a); i++)
			if (!alike(json_array_get(a, i), json_array_get(b, i)))
				return false;
		return json_array_size(a) == json_array_size(b);
	}
	return json_equal(a, b) || (json_is_number(a) && json_is_string(b));
}

/* NULL: it is no object. */
static json_t *parse(const char *text, size_t len)
{
	json_t *o = NULL;
	int r = tfs_config_parse(text, len, &o);

	CHECK(r ? r == -EINVAL && !o : json_is_object(o));
	return o;
}

static void check_parsed(const char *text, size_t len)
{
	json_t *as_it_is = json_loadb(text, len, JSON_ALLOW_NUL, NULL), *o = parse(text, len);
	char *dump = NULL, *again = NULL;

	CHECK(!json_is_object(as_it_is) || (o && alike(as_it_is, o)));
	if (o) {
		dump = tfs_config_dump(o);
		CHECK(dump && dump[strlen(dump) - 1] == '\n');
		json_t *read = parse(dump, strlen(dump));
		CHECK(read && json_equal(o, read));
		again = tfs_config_dump(read);
		CHECK(again && !strcmp(dump, again));
		json_decref(read);
	}
	free(dump);
	free(again);
	json_decref(o);
	json_decref(as_it_is);
}

static void check_converted(const json_t *o, const char *type)
{
	static const char *const gone[] = { "quantization_config", "quantization", "compression_config", "expert_dtype" };
	const char *key;
	json_t *value;

	for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
		CHECK(!json_object_get(o, gone[i]));
	json_object_foreach((json_t *)(uintptr_t)o, key, value)
	{
		if (!strcmp(key, "torch_dtype") || !strcmp(key, "dtype"))
			CHECK(!strcmp(json_string_value(value), type));
		if (json_is_object(value))
			check_converted(value, type);
	}
}

/* As a file of a model. */
static void check_file(const char *text, size_t len)
{
	static const char *const types[TFS_AS] = { "bfloat16", "float16", "float32" };
	struct memory_model *m = memory_model_begin(true);
	struct tfs_set set = { .stem = "model" };
	char *converted;
	size_t n;
	json_t *o;

	m->nodes[1].name = "config.json";
	m->nodes[0].n_children = 1; /* and others beside the model */
	memory_put(0, text, len);
	memory_put(1, text, len);
	memory_model_end(0);
	m->model.sets = &set;
	m->model.n_sets = 1;
	const int r = tfs_config_read(&m->model, TFS_NODE_ROOT, "config.json", &o);
	CHECK(!r == json_is_object(o) && (!r || r == -EINVAL));
	json_decref(o);
	CHECK(tfs_config_read(&m->model, TFS_NODE_ROOT, m->nodes[2].name, &o) == r && !o == (r != 0));
	json_decref(o);
	CHECK(tfs_config_read(&m->model, TFS_NODE_ROOT, "none.json", &o) == -ENOENT && !o);
	struct tfs_converted_all *all = tfs_converted_all_create(&m->model);
	CHECK(all && tfs_converted_find_config(all, 0) == 1);
	for (int as = 0; as < TFS_AS; as++) {
		const int c = tfs_converted_config(all, 0, (enum tfs_as)as, &converted, &n);

		CHECK(r ? c == -EIO : !c);
		if (c)
			continue;
		o = parse(converted, n);
		CHECK(o && json_object_get(o, "dtype") && json_object_get(o, "torch_dtype"));
		check_converted(o, types[as]);
		json_decref(o);
		free(converted);
	}
	tfs_converted_all_destroy(all);
	m->files[0].there = len / 2;
	CHECK(tfs_config_read(&m->model, TFS_NODE_ROOT, "config.json", &o) == (len ? -EIO : -EINVAL));
	m->files[0].stale = true;
	CHECK(tfs_config_read(&m->model, TFS_NODE_ROOT, "config.json", &o) == -ESTALE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1 << 16)
		return 0;
	check_parsed((const char *)data, size);
	check_file((const char *)data, size);
	return 0;
}
