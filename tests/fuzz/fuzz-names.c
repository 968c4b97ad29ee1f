/* SPDX-License-Identifier: MIT */
/*
 * File names of tensors, of any names: each can be a file's, no two tensors have the same one unless they have the same name, and it
 * leads back to its tensor; one that isn't cut short says what the name is.
 */
#include "base/escape.h"
#include "tree-model.h"
#include "tree/names.h"

static void check_file_name(const char *s, size_t len)
{
	CHECK(len && len == strlen(s) && len <= TFS_STEM_MAX && strcmp(s, ".") != 0 && strcmp(s, "..") != 0);
	CHECK(tfs_utf8_valid(s, len));
	for (size_t i = 0; i < len; i++)
		CHECK((unsigned char)s[i] >= 0x20 && s[i] != '/' && s[i] != 0x7f);
}

static void check_name(const char *name, size_t len)
{
	char buf[TFS_STEM_MAX + 1], raw[TFS_STEM_MAX + 1], cut[TFS_STEM_MAX + 1];
	const size_t n = tfs_name_of(name, len, 0, buf);

	check_file_name(buf, n);
	if (!tfs_name_is_cut(name, len)) {
		CHECK(tfs_unescape(buf, n, raw) == len && !memcmp(raw, name, len));
		CHECK(tfs_name_of(name, len, 1, cut) == n && !strcmp(cut, buf));
	} else {
		CHECK(n > TFS_STEM_MAX - 6 && buf[n - 17] == '~' && strspn(buf + n - 16, "0123456789abcdef") == 16);
		tfs_name_of(name, len, 1, cut);
		CHECK(strcmp(cut, buf) != 0);
	}
	check_file_name(cut, tfs_name_hashed(name, len, 0x123456789abcdef, cut));
	CHECK(strstr(cut, "~0123456789abcdef"));
}

/* What is a name's file name is that of no other; and what isn't any's is told. */
static void check_unescaped(const char *s, size_t len)
{
	char raw[TFS_STEM_MAX + 1], buf[TFS_STEM_MAX + 1];
	const size_t n = len <= TFS_STEM_MAX ? tfs_unescape(s, len, raw) : SIZE_MAX;

	CHECK(n == SIZE_MAX || (tfs_name_of(raw, n, 0, buf) == len && !memcmp(buf, s, len)));
}

static const struct tfs_tensor *tensor_at(const struct tfs_set *set, const struct names *names, uint32_t place)
{
	return tfs_set_tensor(set, tfs_names_at(names, place));
}

static bool same_name(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	return !tfs_name_cmp(a->name, a->name_len, b->name, b->name_len);
}

static void check_table(const struct tfs_set *set)
{
	struct names *names = tfs_names_create(set);
	char buf[TFS_STEM_MAX + 1], before[TFS_STEM_MAX + 1] = "";
	static bool seen[2 * TREE_TENSORS];
	uint32_t other;

	CHECK(names);
	memset(seen, 0, sizeof seen);
	for (uint32_t i = 0; i < tfs_set_n_all(set); i++) {
		const uint32_t t = tfs_names_at(names, i);
		const size_t len = tfs_names_get(names, t, buf);
		const bool twice = i && !strcmp(before, buf);

		check_file_name(buf, len);
		CHECK(t < tfs_set_n_all(set) && !seen[t]);
		seen[t] = true;
		CHECK(!i || strcmp(before, buf) <= 0);
		CHECK(!twice || same_name(tensor_at(set, names, i - 1), tensor_at(set, names, i)));
		/* Codes, and then the weight that is computed from them. */
		const uint32_t found = tfs_names_find(names, buf, len, &other);
		CHECK(twice ? other == t && t >= set->n_tensors : found == t);
		strcpy(before, buf);
	}
	tfs_names_destroy(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tfs_model *m = tree_model_make(data, size);

	for (size_t i = 0; m && i < m->n_sets; i++) {
		const struct tfs_set *set = &m->sets[i];

		for (uint32_t k = 0; k < tfs_set_n_all(set); k++) {
			check_name(tfs_set_tensor(set, k)->name, tfs_set_tensor(set, k)->name_len);
			check_unescaped(tfs_set_tensor(set, k)->name, tfs_set_tensor(set, k)->name_len);
		}
		check_table(set);
	}
	/* What a file may be asked for. */
	if (m && m->sets->n_tensors) {
		struct names *names = tfs_names_create(m->sets);
		uint32_t other;

		CHECK(names);
		check_unescaped(tree_model.rest, tree_model.rest_len);
		const uint32_t t = tfs_names_find(names, tree_model.rest, tree_model.rest_len, &other);
		CHECK((t == UINT32_MAX || t < tfs_set_n_all(m->sets)) && (other == UINT32_MAX || t != UINT32_MAX));
		tfs_names_destroy(names);
	}
	return 0;
}
