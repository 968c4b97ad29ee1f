/* SPDX-License-Identifier: MIT */
/* index.tsv and index.json: every row, and the same bytes however they are read. */
#include "support/fixture.h"

#include <jansson.h>

#include "fs/tree/listing.h"

enum { MANY = 3000 };
static const char *const controls[] = { NULL };

static struct tfs_model *model;
static struct tfs_tree *tree;
static char *dir;
static char columns[] = "name\tdtype\tshape\tbytes\tset\tsource\toffset\tpath\tscheme\n";

static int setup(void **state)
{
	static const struct spec odd[] = {
		{ "tab\\tname", 3 }, { "new\\nline", 5 }, { "", 1 }, { "a/b\\\"\\\\", 2 }, { "\\u0000\xc3\xa4%", 4 }
	};
	struct spec *many = calloc(MANY, sizeof *many);
	char(*names)[40] = calloc(MANY, sizeof *names);

	(void)state;
	dir = make_tree();
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof names[i], "layers.%d.weight", i);
		many[i] = (struct spec){ names[i], 1 };
	}
	put_model(dir, "model.safetensors", many, MANY);
	put_model(dir, "other.safetensors", odd, LENGTH(odd));
	put_text(dir, "sets", "in the way");
	assert_int_equal(mkdir(in_tree(dir, "d\n\xff"), 0755), 0);
	put_model(dir, "d\n\xff/model.safetensors", odd, 2);
	put_text(dir, "d\n\xff/tensors", "in the way");
	free(many);
	free(names);
	if (tfs_model_open(dir, 1, NULL, NULL, &model, NULL))
		return -1;
	return tfs_tree_create(model, controls, TFS_VIEWS_ALL, &tree, NULL);
}

static int teardown(void **state)
{
	(void)state;
	tfs_tree_destroy(tree);
	tfs_model_destroy(model);
	remove_tree(dir);
	return 0;
}

/* The whole of it, with a NUL behind; the caller frees it. */
static char *whole_for(const struct tfs_caller *caller, bool json, size_t *ret_len)
{
	struct tfs_listing *l = tfs_listing_open(model, tree, json, caller);
	size_t room = 4 << 20;
	char *text = malloc(room + 1);
	assert_non_null(l);
	assert_non_null(text);
	ssize_t n = tfs_listing_read(l, 0, room, text);
	assert_true(n > 0 && (size_t)n < room);
	text[n] = 0;
	assert_int_equal(tfs_listing_size(l), n);
	tfs_listing_close(l);
	/* The same of one that nothing was read of. */
	l = tfs_listing_open(model, tree, json, caller);
	assert_int_equal(tfs_listing_size(l), n);
	tfs_listing_close(l);
	*ret_len = (size_t)n;
	return text;
}

static char *whole(bool json, size_t *ret_len)
{
	return whole_for(NULL, json, ret_len);
}

static void test_tsv(void **state)
{
	size_t len, rows = 0;
	char *text = whole(false, &len), *rest = text, *line;

	(void)state;
	assert_int_equal(strlen(text), len);
	assert_memory_equal(text, columns, sizeof columns - 1);
	for (const char *p = text; *p; p++)
		rows += *p == '\n';
	assert_int_equal(rows, 1 + MANY + 5 + 2);
	strsep(&rest, "\n");
	while ((line = strsep(&rest, "\n")) && *line) {
		unsigned fields = 0;
		for (char *field; (field = strsep(&line, "\t")); fields++)
			assert_true(*field);
		assert_int_equal(fields, 9);
	}
	assert_ptr_equal(line + 0, text + len);
	free(text);

	text = whole(false, &len);
	assert_non_null(strstr(text, "\nlayers.0.weight\tU8\t[1]\t1\tmodel\tmodel.safetensors\t"));
	assert_non_null(strstr(text, "\ttensors/layers.2999.weight\t-\n"));
	assert_non_null(strstr(text, "\ntab%09name\tU8\t[3]\t3\tother\tother.safetensors\t"));
	assert_non_null(strstr(text, "\tsets~/other/tensors/tab%09name\t-\n"));
	assert_non_null(strstr(text, "\tsets~/other/tensors/%\t-\n"));
	assert_non_null(strstr(text, "\n%00\xc3\xa4%25\tU8\t"));
	assert_non_null(strstr(text, "\td%0A\xff/model\td%0A\xff/model.safetensors\t"));
	assert_non_null(strstr(text, "\td%0A\xff/tensors~/new%0Aline\t-\n"));
	free(text);
}

static void test_json(void **state)
{
	size_t len, i = 0;
	char *text = whole(true, &len);
	json_error_t err;
	json_t *all = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &err), *row;

	(void)state;
	if (!all)
		fail_msg("%d: %s", err.line, err.text);
	assert_int_equal(json_array_size(all), MANY + 5 + 2);
	for (size_t s = 0; s < model->n_sets; s++)
		for (size_t n = 0; n < model->sets[s].n_tensors; n++) {
			const struct tfs_tensor *t = &model->sets[s].tensors[n];
			row = json_array_get(all, i++);
			json_t *name = json_object_get(row, "name");
			assert_int_equal(json_object_size(row), 9);
			assert_int_equal(json_string_length(name), t->name_len);
			assert_memory_equal(json_string_value(name), t->name, t->name_len);
			assert_int_equal(json_integer_value(json_object_get(row, "bytes")), t->nbytes);
			assert_int_equal(json_integer_value(json_object_get(row, "offset")), t->offset);
			assert_int_equal(json_integer_value(json_array_get(json_object_get(row, "shape"), 0)), t->nbytes);
		}
	row = json_array_get(all, i - 1);
	assert_string_equal(json_string_value(json_object_get(row, "set")), "d\n?/model");
	assert_string_equal(json_string_value(json_object_get(row, "source")), "d\n?/model.safetensors");
	json_decref(all);
	/* A line for each. */
	size_t lines = 0;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, MANY + 5 + 2 + 2);
	free(text);
}

static size_t lines_of(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* Who may read one set, only rows of that; who may read none, no row, and sound JSON. */
static void test_for_a_caller(void **state)
{
	const struct tfs_caller stranger = { .uid = 54321, .gid = 54321 }, root = { 0 };
	struct tfs_node *nodes = (struct tfs_node *)model->nodes;
	size_t len;

	(void)state;
	uint32_t large = model->sets[0].sources[0], root_dir = TFS_NODE_ROOT;
	mode_t before = nodes[large].mode, root_before = nodes[root_dir].mode;
	for (uint32_t i = 0; i < model->n_nodes; i++) /* whatever the umask */
		nodes[i].mode |= S_ISDIR(nodes[i].mode) ? 0755 : 0644;
	nodes[large].mode = S_IFREG | 0600;
	nodes[large].uid = 1;
	char *text = whole_for(&stranger, false, &len);
	assert_int_equal(lines_of(text), 1 + 5 + 2);
	assert_null(strstr(text, "layers."));
	free(text);
	text = whole_for(&root, false, &len);
	assert_int_equal(lines_of(text), 1 + MANY + 5 + 2);
	free(text);
	nodes[root_dir].mode = S_IFDIR | 0700;
	nodes[root_dir].uid = 1;
	text = whole_for(&stranger, true, &len);
	assert_string_equal(text, "[\n]\n");
	free(text);
	nodes[large].mode = before;
	nodes[root_dir].mode = root_before;
}

/* Forwards in small steps, backwards, and anywhere, in one listing and in a fresh one. */
static void test_reads(void **state)
{
	(void)state;
	for (int json = 0; json < 2; json++) {
		size_t len;
		char *text = whole(json, &len), *buf = malloc(len + 100);
		uint64_t x = 3;
		struct tfs_listing *l = tfs_listing_open(model, tree, json, NULL);

		assert_non_null(buf);
		assert_true(len > 3 * 65536);
		for (size_t at = 0; at < len; at += 997) {
			size_t want = len - at < 997 ? len - at : 997;
			assert_int_equal(tfs_listing_read(l, at, 997, buf), want);
			assert_memory_equal(buf, text + at, want);
		}
		for (size_t at = len; at > 0; at -= at < 50000 ? at : 50000) {
			size_t want = len - at < 60000 ? len - at : 60000;
			assert_int_equal(tfs_listing_read(l, at, 60000, buf), want);
			assert_memory_equal(buf, text + at, want);
		}
		for (int i = 0; i < 200; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			size_t at = (x >> 20) % (len + 1000), n = (x >> 40) % 200000;
			size_t want = at >= len ? 0 : len - at < n ? len - at : n;
			if (i % 20 == 0) {
				tfs_listing_close(l);
				l = tfs_listing_open(model, tree, json, NULL);
			}
			if (want > len)
				want = len;
			assert_int_equal(tfs_listing_read(l, at, n < len + 100 ? n : len + 100, buf), want);
			assert_memory_equal(buf, text + at, want);
		}
		assert_int_equal(tfs_listing_read(l, UINT64_MAX - 5, 100, buf), 0);
		assert_int_equal(tfs_listing_read(l, 5, 0, buf), 0);
		tfs_listing_close(l);
		free(buf);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tsv),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_for_a_caller),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
