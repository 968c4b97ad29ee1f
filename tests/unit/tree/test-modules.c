/* SPDX-License-Identifier: MIT */
/* tree/: names split into directories, and names made to meet there. */
#include "support/fixture.h"

#include <xxhash.h>

#include "fs/tree/modules.h"

struct set_of {
	struct tfs_tensor *tensors;
	struct tfs_set set;
};

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int c = memcmp(x->name, y->name, n);
	return c ? c : (int)x->name_len - (int)y->name_len;
}

/* A set of these names, sorted, as a model has them. */
static struct set_of make_set(const char *const *names, const size_t *lens, size_t n)
{
	struct set_of s = { .tensors = calloc(n + 1, sizeof *s.tensors) };
	assert_non_null(s.tensors);
	for (size_t i = 0; i < n; i++)
		s.tensors[i] = (struct tfs_tensor){ .name = names[i],
						    .name_len = lens ? lens[i] : strlen(names[i]),
						    .dtype = tfs_dtype_by_name("U8", 2) };
	qsort(s.tensors, n, sizeof *s.tensors, by_name);
	s.set = (struct tfs_set){ .n_tensors = n, .tensors = s.tensors };
	return s;
}

/* What is at "A/B/C"; fails where there is nothing. */
static struct tfs_module_entry look(const struct modules *m, const char *path)
{
	struct tfs_module_entry e = { .is_dir = true, .dir = tfs_modules_root() };
	char *copy = strdup(path), *rest = copy, *name;

	while ((name = strsep(&rest, "/"))) {
		if (!e.is_dir || !tfs_modules_find(m, e.dir, name, &e))
			fail_msg("no \"%s\" of \"%s\"", name, path);
	}
	free(copy);
	return e;
}

/* All of @dir; what is listed is found, what is found is listed. Counts files. */
static size_t walk(const struct modules *m, struct tfs_module dir, unsigned *seen, size_t *dirs)
{
	char name[TFS_NAME_MAX + 1];
	struct tfs_module_entry e, found;
	uint64_t place = 0, before = 0;
	size_t files = 0;

	assert_true(tfs_modules_valid(m, dir));
	while (tfs_modules_entry(m, dir, &place, name, &e)) {
		assert_true(place > before);
		/* Any place between two entries is the next one's. */
		for (uint64_t between = before + 1; between < place && between < before + 5; between++) {
			char other[TFS_NAME_MAX + 1], next_name[TFS_NAME_MAX + 1];
			uint64_t p = between, q = place;
			struct tfs_module_entry a, b;
			bool have = tfs_modules_entry(m, dir, &p, other, &a);
			assert_int_equal(have, tfs_modules_entry(m, dir, &q, next_name, &b));
			if (have) {
				assert_string_equal(other, next_name);
				assert_int_equal(p, q);
			}
		}
		before = place;
		assert_true(name[0] && strlen(name) <= TFS_NAME_MAX && !strchr(name, '/'));
		assert_true(strcmp(name, ".") && strcmp(name, ".."));
		if (!tfs_modules_find(m, dir, name, &found))
			fail_msg("\"%s\" is listed, but not found", name);
		assert_int_equal(found.is_dir, e.is_dir);
		if (e.is_dir) {
			assert_memory_equal(&found.dir.first, &e.dir.first, sizeof e.dir.first);
			assert_int_equal(found.dir.depth, e.dir.depth);
			assert_int_equal(e.dir.depth, dir.depth + 1);
			struct tfs_module up = tfs_modules_parent(m, e.dir);
			assert_true(up.first == dir.first && up.depth == dir.depth);
			size_t below = walk(m, e.dir, seen, dirs);
			assert_true(below > 0);
			files += below;
			++*dirs;
		} else {
			assert_int_equal(found.tensor, e.tensor);
			assert_int_equal(seen[e.tensor], 0);
			seen[e.tensor] = 1;
			files++;
		}
	}
	for (int bit = 0; bit < 64; bit++) {
		place = before + ((uint64_t)1 << bit);
		assert_false(tfs_modules_entry(m, dir, &place, name, &e));
	}
	assert_false(tfs_modules_find(m, dir, "no such name", &found));
	assert_false(tfs_modules_find(m, dir, "", &found));
	assert_false(tfs_modules_find(m, dir, "%4", &found));
	assert_false(tfs_modules_find(m, dir, "%%", &found));
	assert_false(tfs_modules_find(m, dir, "x~0123456789abcdef", &found));
	return files;
}

/* Returns how many directories there are. */
static size_t check(const struct set_of *s, const struct modules *m)
{
	unsigned *seen = calloc(s->set.n_tensors + 1, sizeof *seen);
	size_t dirs = 0, valid = 0;

	assert_non_null(seen);
	assert_int_equal(walk(m, tfs_modules_root(), seen, &dirs), s->set.n_tensors);
	free(seen);
	/* Of all numbers those of directories that are listed, and no other. */
	if (s->set.n_tensors < 200)
		for (uint32_t first = 0; first < s->set.n_tensors + 2; first++)
			for (unsigned depth = 0; depth < 256; depth++)
				valid += tfs_modules_valid(m, (struct tfs_module){ first, (uint8_t)depth });
	else
		valid = dirs + 1;
	assert_int_equal(valid, dirs + 1);
	assert_false(tfs_modules_valid(m, (struct tfs_module){ UINT32_MAX, 1 }));
	assert_false(tfs_modules_valid(m, (struct tfs_module){ 1, 0 }));
	return dirs;
}

static void with_hash(char *buf, const char *name, const char *hashed, uint64_t seed)
{
	sprintf(buf, "%s~%016llx", name, (unsigned long long)XXH64(hashed, strlen(hashed), seed));
}

static void test_rules(void **state)
{
	static const struct {
		const char *name, *path;
	} rows[] = {
		{ "model.layers.0.weight", "model/layers/0/weight" },
		{ "model.layers.0", "model/layers/0/@" },
		{ "model.layers-x.0", "model/layers-x/0" },
		{ "model.layers 1", "model/layers 1" },
		{ "blk/0/w", "blk/0/w" },
		{ "", "%/@" }, /* empty parts, one, two and three of them */
		{ ".", "%/%/@" },
		{ "..", "%/%/%" },
		{ ".hidden", "%/hidden" },
		{ "end.", "end/%" },
		{ "gap..x", "gap/%/x" },
		{ "%", "%25" },
		{ "tab\t.nl\n", "tab%09/nl%0A" },
		{ "p.@", "p/%40" },
		{ "p", "p/@" },
		{ "@", "%40" },
		{ "p.%40", "p/%2540" },
		{ "p.@@", "p/@@" },
		{ "\xc3\xa4.\xe6\x97\xa5", "\xc3\xa4/\xe6\x97\xa5" },
	};
	const char *names[LENGTH(rows)];

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++)
		names[i] = rows[i].name;
	struct set_of s = make_set(names, NULL, LENGTH(rows));
	struct modules *m = tfs_modules_create(&s.set);
	assert_non_null(m);
	check(&s, m);
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		struct tfs_module_entry e = look(m, rows[i].path);
		if (e.is_dir)
			fail_msg("%s is a directory", rows[i].path);
		assert_string_equal(s.tensors[e.tensor].name, rows[i].name);
	}
	tfs_modules_destroy(m);
	free(s.tensors);
}

/* Names that differ in their separators alone; in a directory, and where they are one. */
static void test_twins(void **state)
{
	static const char *const names[] = { "a.b", "a/b", "x.y", "x/y", "x.y.z", "x/y/z", "x/y.z", "t.@", "t/@", "t" };
	char path[300], forged[2][300];
	const char *more[LENGTH(names) + 2];

	(void)state;
	struct set_of s = make_set(names, NULL, LENGTH(names));
	struct modules *m = tfs_modules_create(&s.set);
	check(&s, m);
	assert_string_equal(s.tensors[look(m, "a/b").tensor].name, "a.b");
	assert_string_equal(s.tensors[look(m, "x/y/@").tensor].name, "x.y");
	assert_string_equal(s.tensors[look(m, "x/y/z").tensor].name, "x.y.z");
	assert_string_equal(s.tensors[look(m, "t/%40").tensor].name, "t.@");
	assert_string_equal(s.tensors[look(m, "t/@").tensor].name, "t");
	for (unsigned i = 0; i < LENGTH(names); i++) {
		static const char *const prefix[] = { 0, "a/b", 0, "x/y/@", 0, "x/y/z", "x/y/z", 0, "t/%40", 0 };
		if (!prefix[i])
			continue;
		with_hash(path, prefix[i], names[i], 0);
		assert_string_equal(s.tensors[look(m, path).tensor].name, names[i]);
	}
	tfs_modules_destroy(m);
	free(s.tensors);

	/* Others that have those names by right keep them. */
	memcpy(more, names, sizeof names);
	with_hash(forged[0], "a/b", "a/b", 0);
	with_hash(forged[1], "a.b", "a/b", 1);
	more[LENGTH(names)] = forged[0];
	more[LENGTH(names) + 1] = forged[1];
	s = make_set(more, NULL, LENGTH(more));
	m = tfs_modules_create(&s.set);
	check(&s, m);
	assert_string_equal(s.tensors[look(m, forged[0]).tensor].name, forged[0]);
	with_hash(path, "a/b", "a/b", 1);
	assert_string_equal(s.tensors[look(m, path).tensor].name, forged[1]);
	with_hash(path, "a/b", "a/b", 2);
	assert_string_equal(s.tensors[look(m, path).tensor].name, "a/b");
	tfs_modules_destroy(m);
	free(s.tensors);
}

/* A set that is all of the same path: 2^12 names of it. */
static void test_many_twins(void **state)
{
	enum { BITS = 12, N = 1 << BITS };
	char(*names)[2 * BITS + 2] = calloc(N, sizeof *names);
	const char **p = calloc(N, sizeof *p);

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		for (unsigned bit = 0; bit < BITS; bit++) {
			names[i][2 * bit] = 'p';
			names[i][2 * bit + 1] = i >> bit & 1 ? '.' : '/';
		}
		names[i][2 * BITS] = 'w';
		p[i] = names[i];
	}
	struct set_of s = make_set(p, NULL, N);
	struct modules *m = tfs_modules_create(&s.set);
	assert_int_equal(check(&s, m), BITS);
	tfs_modules_destroy(m);
	free(s.tensors);
	free(p);
	free(names);
}

/* Parts that are too long: as files, as directories, and forged. */
static void test_long(void **state)
{
	enum { LONG = 300 };
	char a[2000], path[1000], part[LONG + 1], cut[300], forged[300];
	const char *names[8];
	unsigned n = 0;

	(void)state;
	memset(part, 'x', LONG);
	part[LONG] = 0;
	tfs_name_of(part, LONG, 0, cut);
	assert_int_equal(strlen(cut), TFS_STEM_MAX);
	for (int i = 0; i < 4; i++) {
		static const char *const before[] = { "p.", "p.", "p/", "" }, *const after[] = { "", ".q", "", "" };
		sprintf(a + i * 400, "%s%s%s", before[i], part, after[i]);
		names[n++] = a + i * 400;
	}
	sprintf(forged, "p.%s", cut);
	names[n++] = forged;
	struct set_of s = make_set(names, NULL, n);
	struct modules *m = tfs_modules_create(&s.set);
	check(&s, m);
	assert_string_equal(s.tensors[look(m, cut).tensor].name, part);
	sprintf(path, "p/%s", cut);
	assert_string_equal(s.tensors[look(m, path).tensor].name, forged);
	tfs_name_of(part, LONG, 1, cut);
	sprintf(path, "p/%s", cut);
	assert_true(look(m, path).is_dir);
	sprintf(path, "p/%s/@", cut);
	assert_string_equal(s.tensors[look(m, path).tensor].name, names[0]);
	with_hash(strchr(path, 0), "", names[2], 0);
	assert_string_equal(s.tensors[look(m, path).tensor].name, names[2]);
	sprintf(path, "p/%s/q", cut);
	assert_string_equal(s.tensors[look(m, path).tensor].name, names[1]);
	tfs_modules_destroy(m);
	free(s.tensors);
}

/* More parts than a tree is deep. */
static void test_deep(void **state)
{
	enum { PARTS = 4000 };
	char *names[5];
	struct tfs_module d = tfs_modules_root();
	struct tfs_module_entry e;
	char name[TFS_NAME_MAX + 1];

	(void)state;
	for (int i = 0; i < 5; i++)
		names[i] = malloc(2 * PARTS + 10);
	for (int i = 0; i < PARTS; i++)
		memcpy(names[0] + 2 * i, "a.", 3);
	names[0][2 * PARTS - 1] = 0;
	strcpy(names[1], names[0]); /* a duplicate behind the limit is another name */
	names[1][600 * 2 - 1] = '/';
	strcpy(names[2], names[0]); /* before it, the same path */
	names[2][3] = '/';
	strcpy(names[3], names[0]); /* exactly as deep as it goes */
	names[3][256 * 2 - 1] = 0;
	strcpy(names[4], names[0]); /* and one more */
	names[4][257 * 2 - 1] = 0;
	struct set_of s = make_set((const char *const *)names, NULL, 5);
	struct modules *m = tfs_modules_create(&s.set);
	assert_int_equal(check(&s, m), 255);
	for (unsigned depth = 1; depth < TFS_MODULE_PARTS; depth++) {
		assert_true(tfs_modules_find(m, d, "a", &e));
		assert_true(e.is_dir);
		d = e.dir;
	}
	assert_true(tfs_modules_find(m, d, "a", &e));
	assert_false(e.is_dir);
	assert_int_equal(s.tensors[e.tensor].name_len, 511);
	assert_true(tfs_modules_find(m, d, "a.a", &e));
	assert_int_equal(s.tensors[e.tensor].name_len, 513);
	tfs_name_of(names[0] + 255 * 2, strlen(names[0] + 255 * 2), 0, name);
	assert_true(tfs_modules_find(m, d, name, &e));
	assert_string_equal(s.tensors[e.tensor].name, names[0]);
	tfs_name_of(names[1] + 255 * 2, strlen(names[1] + 255 * 2), 0, name);
	assert_true(tfs_modules_find(m, d, name, &e));
	assert_string_equal(s.tensors[e.tensor].name, names[1]);
	tfs_name_hashed(names[0] + 255 * 2, strlen(names[0] + 255 * 2), XXH64(names[2], strlen(names[2]), 0), name);
	assert_true(tfs_modules_find(m, d, name, &e));
	assert_string_equal(s.tensors[e.tensor].name, names[2]);
	tfs_modules_destroy(m);
	free(s.tensors);

	/* The rest may be "." and "..", or nothing. */
	static const char *const tails[] = { "", ".", "..", "@", "%" }, *const shown[] = { "%", "%2E", "%2E%2E", "%40", "%25" };
	for (int i = 0; i < 5; i++)
		strcpy(names[i] + 255 * 2, tails[i]);
	s = make_set((const char *const *)names, NULL, 5);
	m = tfs_modules_create(&s.set);
	check(&s, m);
	for (int i = 0; i < 5; i++) {
		d = tfs_modules_root();
		for (unsigned depth = 1; depth < TFS_MODULE_PARTS; depth++) {
			assert_true(tfs_modules_find(m, d, "a", &e));
			d = e.dir;
		}
		assert_true(tfs_modules_find(m, d, shown[i], &e));
		assert_string_equal(s.tensors[e.tensor].name, names[i]);
	}
	tfs_modules_destroy(m);
	free(s.tensors);
	for (int i = 0; i < 5; i++)
		free(names[i]);
}

/* The path of a tensor, by the rules and by looking at all names. */
static void slow_path(const struct set_of *s, size_t tensor, char *path)
{
	const struct tfs_tensor *t = &s->tensors[tensor];
	bool duplicate = false, directory = false;

	for (size_t i = 0; i < s->set.n_tensors; i++) {
		const struct tfs_tensor *o = &s->tensors[i];
		size_t same = 0;
		while (same < t->name_len && same < o->name_len &&
		       (t->name[same] == o->name[same] || (strchr("./", t->name[same]) && strchr("./", o->name[same]))))
			same++;
		duplicate |= i < tensor && same == t->name_len && same == o->name_len;
		directory |= same == t->name_len && same < o->name_len && strchr("./", o->name[same]);
	}
	const char *end = t->name + t->name_len;
	for (const char *p = t->name;; p++) {
		size_t len = strcspn(p, "./");
		if (!len)
			path += sprintf(path, "%%");
		else if (len == 1 && *p == '@')
			path += sprintf(path, "%%40");
		else
			for (size_t i = 0; i < len; i++)
				path += p[i] == '%' || p[i] < ' ' ? sprintf(path, "%%%02X", p[i]) : sprintf(path, "%c", p[i]);
		p += len;
		if (p == end)
			break;
		*path++ = '/';
	}
	if (directory)
		path += sprintf(path, "/@");
	if (duplicate)
		with_hash(path, "", t->name, 0);
	else
		*path = 0;
}

/* Sets of names from a few characters that matter, so that everything meets everything. */
static void test_random(void **state)
{
	static const char alphabet[] = "ab.././.-@%\x01~";
	enum { N = 60, LEN = 7 };
	char names[N][LEN + 1];
	const char *p[N];
	uint64_t x = 7;

	(void)state;
	for (int round = 0; round < 300; round++) {
		unsigned n = 0;
		for (unsigned i = 0; i < N; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			size_t len = (x >> 33) % (LEN + 1);
			for (size_t j = 0; j < len; j++) {
				x = x * 6364136223846793005u + 1442695040888963407u;
				names[n][j] = alphabet[(x >> 33) % (sizeof alphabet - 1)];
			}
			names[n][len] = 0;
			bool old = false;
			for (unsigned j = 0; j < n; j++)
				old |= !strcmp(names[j], names[n]);
			if (!old) {
				p[n] = names[n];
				n++;
			}
		}
		struct set_of s = make_set(p, NULL, n);
		struct modules *m = tfs_modules_create(&s.set);
		check(&s, m);
		for (unsigned i = 0; i < n; i++) {
			char path[200];
			slow_path(&s, i, path);
			assert_int_equal(look(m, path).tensor, i);
		}
		tfs_modules_destroy(m);
		free(s.tensors);
	}
}

/* Nothing, one, and names with NUL in them. */
static void test_small(void **state)
{
	static const char *const one[] = { "w" }, *const nul[] = { "a\0b", "a", "a\0.c" };
	static const size_t lens[] = { 3, 1, 4 };
	struct tfs_module_entry e;
	char name[TFS_NAME_MAX + 1];
	uint64_t place = 0;

	(void)state;
	struct set_of s = make_set(NULL, NULL, 0);
	struct modules *m = tfs_modules_create(&s.set);
	assert_true(tfs_modules_valid(m, tfs_modules_root()));
	assert_false(tfs_modules_valid(m, (struct tfs_module){ 0, 1 }));
	assert_false(tfs_modules_entry(m, tfs_modules_root(), &place, name, &e));
	assert_false(tfs_modules_find(m, tfs_modules_root(), "@", &e));
	tfs_modules_destroy(m);
	free(s.tensors);

	s = make_set(one, NULL, 1);
	m = tfs_modules_create(&s.set);
	assert_int_equal(check(&s, m), 0);
	assert_false(tfs_modules_find(m, tfs_modules_root(), "@", &e));
	tfs_modules_destroy(m);
	free(s.tensors);

	s = make_set(nul, lens, 3);
	m = tfs_modules_create(&s.set);
	assert_int_equal(check(&s, m), 1);
	assert_false(look(m, "a").is_dir);
	assert_false(look(m, "a%00b").is_dir);
	assert_false(look(m, "a%00/c").is_dir);
	tfs_modules_destroy(m);
	free(s.tensors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules), cmocka_unit_test(test_twins), cmocka_unit_test(test_many_twins),
		cmocka_unit_test(test_long),  cmocka_unit_test(test_deep),  cmocka_unit_test(test_random),
		cmocka_unit_test(test_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
