/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A tensor whose file name is not simply its name and the suffix. */
struct odd {
	uint32_t tensor;
	uint32_t seed;
	char *name;
};

struct names {
	const struct tfs_set *set;
	const char *suffix;
	size_t n_odd;
	struct odd *odd; /* sorted by tensor */
	uint32_t count;
	/* Tensors in the order of their file names; NULL where that is the set's own order, as nearly always in tensors/. */
	uint32_t *order;
};

static bool must_escape(unsigned char c)
{
	return c < 0x20 || c == 0x7f || c == '/' || c == '%';
}

static bool is_plain(const char *name, size_t len, size_t suffix_len)
{
	if (!len || len + suffix_len > TFS_NAME_MAX || (len <= 2 && name[0] == '.' && name[len - 1] == '.'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (must_escape(name[i]))
			return false;
	return true;
}

enum { HASH_LEN = 1 + 16 };

/*
 * Escapes @name into @buf, up to @room bytes: their number, or SIZE_MAX if that is too little. *@ret_cut: length of the longest
 * beginning, of whole characters, that leaves room for a hash.
 */
static size_t escape(const char *name, size_t len, size_t room, char *buf, size_t *ret_cut)
{
	bool dots = len && len <= 2 && name[0] == '.' && name[len - 1] == '.';
	size_t n = 0;

	*ret_cut = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = name[i];
		bool escaped = dots || must_escape(c);
		if (n <= room - HASH_LEN && (c & 0xc0) != 0x80) /* not inside a UTF-8 sequence */
			*ret_cut = n;
		if (n + (escaped ? 3 : 1) > room)
			return SIZE_MAX;
		if (escaped)
			n += sprintf(buf + n, "%%%02X", c);
		else
			buf[n++] = c;
	}
	if (!len)
		buf[n++] = '%';
	if (n <= room - HASH_LEN)
		*ret_cut = n;
	return n;
}

static size_t put_hash(uint64_t hash, char *buf)
{
	return sprintf(buf, "~%016llx", (unsigned long long)hash);
}

size_t tfs_name_of(const char *name, size_t len, const char *suffix, uint64_t seed, char *buf)
{
	size_t suffix_len = strlen(suffix), cut, n = escape(name, len, TFS_NAME_MAX - suffix_len, buf, &cut);

	if (n == SIZE_MAX)
		n = cut + put_hash(XXH64(name, len, seed), buf + cut);
	memcpy(buf + n, suffix, suffix_len + 1);
	return n + suffix_len;
}

size_t tfs_name_hashed(const char *name, size_t len, uint64_t hash, char *buf)
{
	size_t cut;
	escape(name, len, TFS_NAME_MAX, buf, &cut);
	return cut + put_hash(hash, buf + cut);
}

bool tfs_name_is_cut(const char *name, size_t len, size_t suffix_len)
{
	size_t n = suffix_len + len;
	for (size_t i = 0; i < len; i++)
		n += must_escape(name[i]) ? 2 : 0;
	return n > TFS_NAME_MAX;
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
	size_t suffix_len = strlen(n->suffix);
	memcpy(buf, t->name, t->name_len);
	memcpy(buf + t->name_len, n->suffix, suffix_len + 1);
	return t->name_len + suffix_len;
}

static int compare(const void *a, const void *b, void *arg)
{
	char x[TFS_NAME_MAX + 1], y[TFS_NAME_MAX + 1];
	tfs_names_get(arg, *(const uint32_t *)a, x);
	tfs_names_get(arg, *(const uint32_t *)b, y);
	return strcmp(x, y);
}

/*
 * Two names that differ only behind the cut may meet if somebody made their hashes collide, or wrote a name that looks like a
 * cut one. Give the cut one another seed. False: out of memory. *@ret_again: something changed, so sort again.
 */
static bool separate(struct names *n, bool *ret_again)
{
	*ret_again = false;
	for (size_t i = 0; i + 1 < n->count; i++) {
		if (compare(&n->order[i], &n->order[i + 1], n))
			continue;
		/* Escaping alone is injective, so at least one of the two was cut; and that one is odd. */
		const struct tfs_tensor *t = &n->set->tensors[n->order[i]];
		struct odd *odd = (struct odd *)find_odd(n, n->order[i]);
		if (!tfs_name_is_cut(t->name, t->name_len, strlen(n->suffix))) {
			t = &n->set->tensors[n->order[i + 1]];
			odd = (struct odd *)find_odd(n, n->order[i + 1]);
		}
		char buf[TFS_NAME_MAX + 1];
		tfs_name_of(t->name, t->name_len, n->suffix, ++odd->seed, buf);
		char *copy = strdup(buf);
		if (!copy)
			return false;
		free(odd->name);
		odd->name = copy;
		*ret_again = true;
	}
	return true;
}

struct names *tfs_names_create(const struct tfs_set *set, enum tfs_view_id view, const char *suffix)
{
	struct names *n = calloc(1, sizeof *n);
	size_t suffix_len = strlen(suffix), room = 0;

	if (!n)
		return NULL;
	n->set = set;
	n->suffix = suffix;
	for (size_t i = 0; i < set->n_tensors; i++) {
		const struct tfs_tensor *t = &set->tensors[i];
		char buf[TFS_NAME_MAX + 1];
		if (!tfs_view_shows(view, t))
			continue;
		n->count++;
		if (is_plain(t->name, t->name_len, suffix_len))
			continue;
		if (n->n_odd == room) {
			room = room ? room * 2 : 16;
			struct odd *odd = realloc(n->odd, room * sizeof *odd);
			if (!odd)
				goto fail;
			n->odd = odd;
		}
		tfs_name_of(t->name, t->name_len, suffix, 0, buf);
		n->odd[n->n_odd] = (struct odd){ .tensor = i, .name = strdup(buf) };
		if (!n->odd[n->n_odd].name)
			goto fail;
		n->n_odd++;
	}
	/* A suffix moves names too: "a.json" sorts behind "a.b.json" where "a" sorts before "a.b". */
	if (!n->n_odd && !suffix_len && n->count == set->n_tensors)
		return n;
	n->order = malloc((n->count ? n->count : 1) * sizeof *n->order);
	if (!n->order)
		goto fail;
	n->count = 0;
	for (size_t i = 0; i < set->n_tensors; i++)
		if (tfs_view_shows(view, &set->tensors[i]))
			n->order[n->count++] = i;
	for (bool again = true; again;) {
		qsort_r(n->order, n->count, sizeof *n->order, compare, n);
		if (!n->n_odd)
			break; /* plain names and one suffix: as different as the names */
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

uint32_t tfs_names_count(const struct names *n)
{
	return n->count;
}

uint32_t tfs_names_at(const struct names *n, uint32_t place, char *buf)
{
	uint32_t tensor = n->order ? n->order[place] : place;
	tfs_names_get(n, tensor, buf);
	return tensor;
}

uint32_t tfs_names_find(const struct names *n, const char *name)
{
	size_t lo = 0, hi = n->count;
	char buf[TFS_NAME_MAX + 1];

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		uint32_t tensor = tfs_names_at(n, mid, buf);
		int c = strcmp(buf, name);
		if (!c)
			return tensor;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return UINT32_MAX;
}
