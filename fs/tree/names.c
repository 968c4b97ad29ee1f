/* SPDX-License-Identifier: MIT */
#include "tree/names.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/array.h"
#include "base/escape.h"
#include "base/search.h"
#include "base/sort.h"

/* A tensor whose file name isn't simply its name. */
struct odd {
	uint32_t tensor;
	uint32_t seed;
	char *name;
};

struct names {
	const struct tfs_set *set;
	size_t n_odd;
	struct odd *odd; /* sorted by tensor */
	/* Tensors and scaled weights, sorted by file name; NULL if that is the set's own order, as nearly always. */
	uint32_t *order;
};

static bool is_plain(const char *name, size_t len)
{
	if (!len || len > TFS_STEM_MAX || (len <= 2 && name[0] == '.' && name[len - 1] == '.'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (tfs_must_escape(name[i]))
			return false;
	return true;
}

enum { HASH_LEN = 1 + 16 };

/*
 * Escapes @name into @buf: the number of bytes, or SIZE_MAX if it is too long. *@ret_cut: length of the longest prefix of whole
 * characters that leaves room for a hash.
 */
static size_t escape(const char *name, size_t len, char *buf, size_t *ret_cut)
{
	bool dots = len && len <= 2 && name[0] == '.' && name[len - 1] == '.';
	size_t n = 0;

	*ret_cut = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = name[i];
		bool escaped = dots || tfs_must_escape(c);
		if (n <= TFS_STEM_MAX - HASH_LEN && (c & 0xc0) != 0x80) /* not inside a UTF-8 sequence */
			*ret_cut = n;
		if (n + (escaped ? 3 : 1) > TFS_STEM_MAX)
			return SIZE_MAX;
		if (escaped)
			n += sprintf(buf + n, "%%%02X", c);
		else
			buf[n++] = c;
	}
	if (!len)
		buf[n++] = '%';
	if (n <= TFS_STEM_MAX - HASH_LEN)
		*ret_cut = n;
	return n;
}

static size_t put_hash(uint64_t hash, char *buf)
{
	return sprintf(buf, "~%016llx", (unsigned long long)hash);
}

size_t tfs_name_of(const char *name, size_t len, uint64_t seed, char *buf)
{
	size_t cut, n = escape(name, len, buf, &cut);

	if (n == SIZE_MAX)
		n = cut + put_hash(XXH64(name, len, seed), buf + cut);
	buf[n] = 0;
	return n;
}

size_t tfs_name_hashed(const char *name, size_t len, uint64_t hash, char *buf)
{
	size_t cut;
	escape(name, len, buf, &cut);
	return cut + put_hash(hash, buf + cut);
}

bool tfs_name_is_cut(const char *name, size_t len)
{
	size_t n = len;
	for (size_t i = 0; i < len; i++)
		n += tfs_must_escape(name[i]) ? 2 : 0;
	return n > TFS_STEM_MAX;
}

static const struct odd *find_odd(const struct names *n, uint32_t tensor)
{
	size_t at = tfs_search(i, 0, n->n_odd, n->odd[i].tensor < tensor);
	return at < n->n_odd && n->odd[at].tensor == tensor ? &n->odd[at] : NULL;
}

size_t tfs_names_get(const struct names *n, uint32_t tensor, char *buf)
{
	const struct odd *odd = n->n_odd ? find_odd(n, tensor) : NULL;
	if (odd) {
		size_t len = strlen(odd->name);
		memcpy(buf, odd->name, len + 1);
		return len;
	}
	const struct tfs_tensor *t = tfs_set_tensor(n->set, tensor);
	memcpy(buf, t->name, t->name_len + 1);
	return t->name_len;
}

static int compare(const void *a, const void *b, void *arg)
{
	const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	char x[TFS_STEM_MAX + 1], y[TFS_STEM_MAX + 1];
	tfs_names_get(arg, i, x);
	tfs_names_get(arg, j, y);
	int c = strcmp(x, y);
	return c ? c : (i > j) - (i < j);
}

/*
 * Two names that differ only after the cut may be equal if their hashes were made to collide, or if a name imitates a truncated
 * one. Give the truncated one another seed. False: out of memory. *@ret_again: something changed, so sort again.
 */
static bool separate(struct names *n, bool *ret_again)
{
	*ret_again = false;
	for (size_t i = 0; i + 1 < tfs_set_n_all(n->set); i++) {
		char x[TFS_STEM_MAX + 1], y[TFS_STEM_MAX + 1];
		tfs_names_get(n, n->order[i], x);
		tfs_names_get(n, n->order[i + 1], y);
		const struct tfs_tensor *t = tfs_set_tensor(n->set, n->order[i]), *next = tfs_set_tensor(n->set, n->order[i + 1]);
		/* A scaled weight may have the same name as its codes. */
		if (strcmp(x, y) != 0 || !tfs_name_cmp(t->name, t->name_len, next->name, next->name_len))
			continue;
		/* Escaping alone is injective, so at least one of the two was truncated; and that one is odd. */
		struct odd *odd = (struct odd *)find_odd(n, n->order[i]);
		if (!tfs_name_is_cut(t->name, t->name_len)) {
			t = next;
			odd = (struct odd *)find_odd(n, n->order[i + 1]);
		}
		char buf[TFS_STEM_MAX + 1];
		tfs_name_of(t->name, t->name_len, ++odd->seed, buf);
		char *copy = strdup(buf);
		if (!copy)
			return false;
		free(odd->name);
		odd->name = copy;
		*ret_again = true;
	}
	return true;
}

struct names *tfs_names_create(const struct tfs_set *set)
{
	struct names *n = calloc(1, sizeof *n);
	size_t room = 0, n_all = tfs_set_n_all(set);

	if (!n)
		return NULL;
	n->set = set;
	for (size_t i = 0; i < n_all; i++) {
		const struct tfs_tensor *t = tfs_set_tensor(set, i);
		char buf[TFS_STEM_MAX + 1];
		if (is_plain(t->name, t->name_len))
			continue;
		if (tfs_array_room(n->odd, n->n_odd, room))
			goto fail;
		tfs_name_of(t->name, t->name_len, 0, buf);
		n->odd[n->n_odd] = (struct odd){ .tensor = i, .name = strdup(buf) };
		if (!n->odd[n->n_odd].name)
			goto fail;
		n->n_odd++;
	}
	if (!n->n_odd && !set->n_scaled)
		return n;
	n->order = reallocarray(NULL, n_all, sizeof *n->order);
	if (!n->order)
		goto fail;
	for (size_t i = 0; i < n_all; i++)
		n->order[i] = i;
	for (bool again = true; again;) {
		qsort_r(n->order, n_all, sizeof *n->order, compare, n);
		if (!separate(n, &again))
			goto fail;
	}
	return n;
fail:
	tfs_names_destroy(n);
	return NULL;
}

void tfs_names_destroy(struct names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_odd; i++)
		free(n->odd[i].name);
	free(n->odd);
	free(n->order);
	free(n);
}

uint32_t tfs_names_at(const struct names *n, uint32_t place)
{
	return n->order ? n->order[place] : place;
}

/* Compare the name at @place with @name: < 0, 0, > 0. */
static int compare_at(const struct names *n, size_t place, const char *name, size_t len)
{
	char buf[TFS_STEM_MAX + 1];
	return tfs_name_cmp(buf, tfs_names_get(n, tfs_names_at(n, (uint32_t)place), buf), name, len);
}

uint32_t tfs_names_find(const struct names *n, const char *name, size_t len, uint32_t *ret_other)
{
	const size_t n_all = tfs_set_n_all(n->set);
	size_t at = tfs_search(i, 0, n_all, compare_at(n, i, name, len) < 0);
	uint32_t found[2] = { UINT32_MAX, UINT32_MAX };

	for (size_t k = 0; k < 2 && at + k < n_all && !compare_at(n, at + k, name, len); k++)
		found[k] = tfs_names_at(n, (uint32_t)(at + k));
	*ret_other = found[1];
	return found[0];
}
