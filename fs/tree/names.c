/* SPDX-License-Identifier: MIT */
#include "tree/names.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/array.h"
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
	/* Tensors sorted by file name; NULL if that is the set's own order, as nearly always. */
	uint32_t *order;
};

static bool must_escape(unsigned char c)
{
	return c < 0x20 || c == 0x7f || c == '/' || c == '%';
}

static bool is_plain(const char *name, size_t len)
{
	if (!len || len > TFS_STEM_MAX || (len <= 2 && name[0] == '.' && name[len - 1] == '.'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (must_escape(name[i]))
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
		bool escaped = dots || must_escape(c);
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
		n += must_escape(name[i]) ? 2 : 0;
	return n > TFS_STEM_MAX;
}

static const struct odd *find_odd(const struct names *n, uint32_t tensor)
{
	size_t lo = 0, hi = n->n_odd;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (n->odd[mid].tensor < tensor)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n->n_odd && n->odd[lo].tensor == tensor ? &n->odd[lo] : NULL;
}

size_t tfs_names_get(const struct names *n, uint32_t tensor, char *buf)
{
	const struct odd *odd = n->n_odd ? find_odd(n, tensor) : NULL;
	if (odd) {
		size_t len = strlen(odd->name);
		memcpy(buf, odd->name, len + 1);
		return len;
	}
	const struct tfs_tensor *t = &n->set->tensors[tensor];
	memcpy(buf, t->name, t->name_len + 1);
	return t->name_len;
}

static int compare(const void *a, const void *b, void *arg)
{
	char x[TFS_STEM_MAX + 1], y[TFS_STEM_MAX + 1];
	tfs_names_get(arg, *(const uint32_t *)a, x);
	tfs_names_get(arg, *(const uint32_t *)b, y);
	return strcmp(x, y);
}

/*
 * Two names that differ only after the cut may be equal if their hashes were made to collide, or if a name imitates a truncated
 * one. Give the truncated one another seed. False: out of memory. *@ret_again: something changed, so sort again.
 */
static bool separate(struct names *n, bool *ret_again)
{
	*ret_again = false;
	for (size_t i = 0; i + 1 < n->set->n_tensors; i++) {
		if (compare(&n->order[i], &n->order[i + 1], n))
			continue;
		/* Escaping alone is injective, so at least one of the two was truncated; and that one is odd. */
		const struct tfs_tensor *t = &n->set->tensors[n->order[i]];
		struct odd *odd = (struct odd *)find_odd(n, n->order[i]);
		if (!tfs_name_is_cut(t->name, t->name_len)) {
			t = &n->set->tensors[n->order[i + 1]];
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
	size_t room = 0;

	if (!n)
		return NULL;
	n->set = set;
	for (size_t i = 0; i < set->n_tensors; i++) {
		const struct tfs_tensor *t = &set->tensors[i];
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
	if (!n->n_odd)
		return n;
	n->order = reallocarray(NULL, set->n_tensors, sizeof *n->order);
	if (!n->order)
		goto fail;
	for (size_t i = 0; i < set->n_tensors; i++)
		n->order[i] = i;
	for (bool again = true; again;) {
		qsort_r(n->order, set->n_tensors, sizeof *n->order, compare, n);
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

uint32_t tfs_names_find(const struct names *n, const char *name, size_t len)
{
	size_t lo = 0, hi = n->set->n_tensors;
	char buf[TFS_STEM_MAX + 1];

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		uint32_t tensor = tfs_names_at(n, mid);
		int c = tfs_name_cmp(buf, tfs_names_get(n, tensor, buf), name, len);
		if (!c)
			return tensor;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return UINT32_MAX;
}
