/* SPDX-License-Identifier: MIT */
#include "tree/modules.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/array.h"
#include "base/search.h"
#include "base/sort.h"
#include "content/view.h"

/* An entry whose name ends in a hash: a part that is too long, or a tensor whose path another one already has. */
struct odd {
	uint64_t hash;
	uint32_t place; /* of the tensor, or of a directory's first one */
	uint32_t depth; /* of its directory */
	uint32_t seed;	/* of the hash */
};

struct modules {
	const struct tfs_set *set;
	uint32_t n;
	uint32_t *order; /* tensors sorted by their parts; NULL if that is the set's own order, as nearly always */
	size_t n_odd;
	struct odd *odd;   /* sorted by position and depth */
	uint32_t *by_hash; /* of odd: sorted by hash, depth and position */
};

static const struct tfs_tensor *at(const struct modules *m, uint32_t place)
{
	return &m->set->tensors[m->order ? m->order[place] : place];
}

/* --- Parts ------------------------------------------------------------------------------------------------------------ */

static bool is_separator(unsigned char c)
{
	return c == '.' || c == '/';
}

/* Walks two names while their parts agree: where they first differ, and how many separators were passed. */
static size_t walk(const struct tfs_tensor *a, const struct tfs_tensor *b, unsigned *ret_separators)
{
	size_t n = a->name_len < b->name_len ? a->name_len : b->name_len, i;
	unsigned separators = 0;

	for (i = 0; i < n; i++) {
		unsigned char x = a->name[i], y = b->name[i];
		if (separators < TFS_MODULE_PARTS - 1 && is_separator(x) && is_separator(y))
			separators++;
		else if (x != y)
			break;
	}
	*ret_separators = separators;
	return i;
}

/* A part ends at @i of this name, @separators after the beginning. */
static bool ends_at(const struct tfs_tensor *t, size_t i, unsigned separators)
{
	return i == t->name_len || (separators < TFS_MODULE_PARTS - 1 && is_separator(t->name[i]));
}

/* How many parts, counted from the first, are the same in both names. */
static unsigned common(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	unsigned separators;
	size_t i = walk(a, b, &separators);
	return separators + (ends_at(a, i, separators) && ends_at(b, i, separators));
}

/* Order of tensors: part by part, a name before those that go on where it ends; by the names themselves among equals. */
static int compare(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;
	unsigned separators;
	size_t i = walk(x, y, &separators);
	bool x_ends = ends_at(x, i, separators), y_ends = ends_at(y, i, separators);

	if (!x_ends && !y_ends)
		return (unsigned char)x->name[i] - (unsigned char)y->name[i];
	if (x_ends != y_ends)
		return x_ends ? -1 : 1;
	/* One of them is at its very end: the walk passes two separators. */
	if (x->name_len != y->name_len)
		return x->name_len < y->name_len ? -1 : 1;
	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

static unsigned count_parts(const struct tfs_tensor *t)
{
	unsigned n = 1;
	for (size_t i = 0; i < t->name_len && n < TFS_MODULE_PARTS; i++)
		n += is_separator(t->name[i]);
	return n;
}

/* Part @depth of a name, which has that many. */
static const char *part(const struct tfs_tensor *t, unsigned depth, size_t *ret_len)
{
	const char *end = t->name + t->name_len, *start = t->name, *p;

	for (unsigned left = depth; left; left--)
		while (!is_separator(*start++))
			;
	for (p = start; p < end && (depth == TFS_MODULE_PARTS - 1 || !is_separator(*p)); p++)
		;
	*ret_len = p - start;
	return start;
}

/* --- Neighbours --------------------------------------------------------------------------------------------------------- */

static bool together(const struct modules *m, uint32_t a, uint32_t b, unsigned depth)
{
	return !depth || common(at(m, a), at(m, b)) >= depth;
}

/* The end of the tensors that have @depth parts in common with the one at @place. */
static uint32_t end_of(const struct modules *m, uint32_t place, unsigned depth)
{
	uint32_t lo = place + 1, step = 1;

	/* Most directories are small: search nearby first. */
	while (lo < m->n && m->n - lo > step && together(m, place, lo + step - 1, depth)) {
		lo += step;
		step *= 2;
	}
	return (uint32_t)tfs_search(i, lo, m->n - lo > step ? lo + step - 1 : m->n, together(m, place, (uint32_t)i, depth));
}

/* The first tensor that has @depth parts in common with the one at @place. */
static uint32_t start_of(const struct modules *m, uint32_t place, unsigned depth)
{
	return (uint32_t)tfs_search(i, 0, place, !together(m, place, (uint32_t)i, depth));
}

/* Do the tensors of the group from @place to @end, which have @depth parts in common, form a directory? */
static bool is_directory(const struct modules *m, uint32_t end, unsigned depth)
{
	/* Those that have no more parts come first. */
	return count_parts(at(m, end - 1)) > depth;
}

bool tfs_modules_valid(const struct modules *m, struct tfs_module d)
{
	if (!d.depth)
		return !d.first;
	return d.first < m->n && count_parts(at(m, d.first)) >= d.depth &&
	       (!d.first || !together(m, d.first - 1, d.first, d.depth)) && is_directory(m, end_of(m, d.first, d.depth), d.depth);
}

struct tfs_module tfs_modules_parent(const struct modules *m, struct tfs_module d)
{
	unsigned depth = d.depth - 1u;
	return (struct tfs_module){ depth ? start_of(m, d.first, depth) : 0, (uint8_t)depth };
}

/* Does it have the same parts as the previous one, so its path is taken? */
static bool is_twin(const struct modules *m, uint32_t place)
{
	const struct tfs_tensor *t = at(m, place), *before = place ? at(m, place - 1) : NULL;
	return before && before->name_len == t->name_len && common(before, t) == count_parts(t);
}

/* --- Names -------------------------------------------------------------------------------------------------------------- */

static const struct odd *find_odd(const struct modules *m, uint32_t place, unsigned depth)
{
	size_t at = tfs_search(i, 0, m->n_odd, m->odd[i].place < place || (m->odd[i].place == place && m->odd[i].depth < depth));

	return at < m->n_odd && m->odd[at].place == place && m->odd[at].depth == depth ? &m->odd[at] : NULL;
}

static const char self[] = "@", escaped_at[] = "%40";

static void plain_name(const char *name, size_t len, char *buf)
{
	if (len == 1 && name[0] == '@')
		strcpy(buf, escaped_at);
	else
		tfs_name_of(name, len, 0, buf);
}

/* For the entry at @place in a directory of that depth. */
static void name_of(const struct modules *m, uint32_t place, unsigned depth, char *buf)
{
	const struct tfs_tensor *t = at(m, place);
	const struct odd *o = m->n_odd ? find_odd(m, place, depth) : NULL;
	bool is_self = count_parts(t) == depth;
	size_t len = 0;
	const char *p = is_self ? NULL : part(t, depth, &len);

	if (is_self)
		strcpy(buf, self);
	else if (!o || (len == 1 && *p == '@'))
		plain_name(p, len, buf);
	if (o && (is_self || (len == 1 && *p == '@')))
		sprintf(buf + strlen(buf), "~%016llx", (unsigned long long)o->hash);
	else if (o)
		tfs_name_hashed(p, len, o->hash, buf);
}

static void set_hash(const struct modules *m, struct odd *o)
{
	const struct tfs_tensor *t = at(m, o->place);
	size_t len = t->name_len;
	const char *what = is_twin(m, o->place) ? t->name : part(t, o->depth, &len);
	o->hash = XXH64(what, len, o->seed);
}

/* The part whose plain name is @name, into @raw; false: none. */
static bool unescape(const char *name, char *raw, size_t *ret_len)
{
	char again[TFS_NAME_MAX + 1];
	size_t n = 0, len = strlen(name);

	if (len > TFS_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned byte = (unsigned char)name[i];
		if (byte == '%' && len > 1) {
			if (len - i < 3 || sscanf(name + i + 1, "%2X", &byte) != 1)
				return false;
			i += 2;
		} else if (byte == '%') {
			break; /* the empty part */
		}
		raw[n++] = (char)byte;
	}
	*ret_len = n;
	/* Only one spelling is valid. */
	plain_name(raw, n, again);
	return !strcmp(again, name);
}

/* Is the tensor's part of that depth, or its lack of one, before @raw? */
static bool part_is_before(const struct tfs_tensor *t, unsigned depth, const char *raw, size_t raw_len)
{
	size_t len;
	const char *p = count_parts(t) > depth ? part(t, depth, &len) : NULL;

	return !p || tfs_name_cmp(p, len, raw, raw_len) < 0;
}

/* In a directory of @depth from @lo to @hi: the first tensor whose part there has the plain name @name, or UINT32_MAX. */
static uint32_t find_plain(const struct modules *m, uint32_t lo, uint32_t hi, unsigned depth, const char *name)
{
	char raw[TFS_NAME_MAX + 1];
	size_t raw_len, len;
	uint32_t end = hi;

	if (!unescape(name, raw, &raw_len))
		return UINT32_MAX;
	lo = (uint32_t)tfs_search(i, lo, hi, part_is_before(at(m, (uint32_t)i), depth, raw, raw_len));
	if (lo == end)
		return UINT32_MAX;
	const char *p = part(at(m, lo), depth, &len);
	return len == raw_len && !memcmp(p, raw, len) ? lo : UINT32_MAX;
}

/* --- Looking ------------------------------------------------------------------------------------------------------------ */

/* The entry that begins at @place in a directory of @depth; returns the position of the next one. */
static uint32_t entry_at(const struct modules *m, uint32_t place, unsigned depth, struct tfs_module_entry *ret_entry)
{
	struct tfs_module_entry e = { .tensor = m->order ? m->order[place] : place };
	uint32_t next = place + 1;

	if (count_parts(at(m, place)) > depth) {
		uint32_t end = end_of(m, place, depth + 1);
		if (is_directory(m, end, depth + 1)) {
			e = (struct tfs_module_entry){ .is_dir = true, .dir = { place, (uint8_t)(depth + 1) } };
			next = end;
		}
	}
	*ret_entry = e;
	return next;
}

bool tfs_modules_entry(const struct modules *m, struct tfs_module d, uint64_t *place, char *name,
		       struct tfs_module_entry *ret_entry)
{
	uint32_t at_place;

	for (;; *place = at_place - d.first) {
		if (*place >= m->n - d.first)
			return false;
		at_place = d.first + (uint32_t)*place;
		if (!together(m, d.first, at_place, d.depth))
			return false;
		uint32_t next = entry_at(m, at_place, d.depth, ret_entry);
		bool inside = ret_entry->is_dir && *place && together(m, at_place - 1, at_place, d.depth + 1u);
		if (!inside) {
			name_of(m, at_place, d.depth, name);
			*place = next - d.first;
			return true;
		}
		at_place = next; /* an invalid position */
	}
}

/* The hash at the end of @name; false: none. */
static bool hash_of(const char *name, uint64_t *ret_hash)
{
	size_t len = strlen(name);
	if (len < 17 || name[len - 17] != '~' || strspn(name + len - 16, "0123456789abcdef") != 16)
		return false;
	*ret_hash = strtoull(name + len - 16, NULL, 16);
	return true;
}

static int compare_odd(const struct odd *a, const struct odd *b)
{
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	return (a->place > b->place) - (a->place < b->place);
}

bool tfs_modules_find(const struct modules *m, struct tfs_module d, const char *name, struct tfs_module_entry *ret_entry)
{
	char buf[TFS_NAME_MAX + 1];
	struct odd key = { .depth = d.depth, .place = d.first };

	if (!m->n)
		return false;
	if (!strcmp(name, self)) {
		bool has = d.depth && count_parts(at(m, d.first)) == d.depth;
		if (has)
			entry_at(m, d.first, d.depth, ret_entry);
		return has;
	}
	uint32_t end = d.depth ? end_of(m, d.first, d.depth) : m->n;
	uint32_t place = find_plain(m, d.first, end, d.depth, name);
	if (place == UINT32_MAX && m->n_odd && hash_of(name, &key.hash)) {
		size_t lo = tfs_search(i, 0, m->n_odd, compare_odd(&m->odd[m->by_hash[i]], &key) < 0);
		/* No two entries of a directory have the same hash. */
		const struct odd *o = lo < m->n_odd ? &m->odd[m->by_hash[lo]] : NULL;
		if (o && o->hash == key.hash && o->depth == d.depth && o->place < end) {
			name_of(m, o->place, d.depth, buf);
			if (!strcmp(buf, name))
				place = o->place;
		}
	}
	if (place == UINT32_MAX)
		return false;
	entry_at(m, place, d.depth, ret_entry);
	return true;
}

/* --- Making ------------------------------------------------------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-non-const-parameter): tfs_array_room() changes it */
static bool add_odd(struct modules *m, size_t *room, uint32_t place, unsigned depth)
{
	if (tfs_array_room(m->odd, m->n_odd, *room))
		return false;
	m->odd[m->n_odd] = (struct odd){ .place = place, .depth = depth };
	set_hash(m, &m->odd[m->n_odd++]);
	return true;
}

/* False: out of memory. */
static bool collect_odd(struct modules *m)
{
	size_t room = 0;

	for (uint32_t i = 0; i < m->n; i++) {
		const struct tfs_tensor *t = at(m, i);
		if (is_twin(m, i)) {
			unsigned parts = count_parts(t);
			bool directory = is_directory(m, end_of(m, i, parts), parts);
			if (!add_odd(m, &room, i, directory ? parts : parts - 1))
				return false;
		} else if (t->name_len > TFS_STEM_MAX / 3) { /* escaped, a byte is three at most */
			unsigned parts = count_parts(t);
			for (unsigned depth = i ? common(at(m, i - 1), t) : 0; depth < parts; depth++) {
				size_t len;
				const char *p = part(t, depth, &len);
				if (tfs_name_is_cut(p, len) && !add_odd(m, &room, i, depth))
					return false;
			}
		}
	}
	return true;
}

static int compare_by_hash(const void *a, const void *b, void *arg)
{
	const struct modules *m = arg;
	return compare_odd(&m->odd[*(const uint32_t *)a], &m->odd[*(const uint32_t *)b]);
}

/* A hash for every odd entry that is unique in its directory, and doesn't make its name equal to a plain one. */
static bool settle_odd(struct modules *m)
{
	char buf[TFS_NAME_MAX + 1];

	if (!m->n_odd)
		return true;
	m->by_hash = malloc(m->n_odd * sizeof *m->by_hash);
	if (!m->by_hash)
		return false;
	for (size_t i = 0; i < m->n_odd; i++)
		m->by_hash[i] = (uint32_t)i;
	for (bool again = true; again;) {
		again = false;
		for (size_t i = 0; i < m->n_odd; i++) {
			struct odd *o = &m->odd[i];
			uint32_t lo = start_of(m, o->place, o->depth), hi = end_of(m, o->place, o->depth);
			for (name_of(m, o->place, o->depth, buf); find_plain(m, lo, hi, o->depth, buf) != UINT32_MAX;
			     name_of(m, o->place, o->depth, buf)) {
				o->seed++;
				set_hash(m, o);
			}
		}
		qsort_r(m->by_hash, m->n_odd, sizeof *m->by_hash, compare_by_hash, m);
		const struct odd *kept = &m->odd[m->by_hash[0]];
		uint64_t hash = kept->hash;
		uint32_t same = 0;
		for (size_t i = 1; i < m->n_odd; i++) {
			struct odd *o = &m->odd[m->by_hash[i]];
			if (o->hash != hash || o->depth != kept->depth || !together(m, kept->place, o->place, o->depth)) {
				kept = o;
				hash = o->hash;
				same = 0;
				continue;
			}
			/* Each has its own seed, so the number of tries is unbounded, but small. */
			o->seed += ++same;
			set_hash(m, o);
			again = true;
		}
	}
	return true;
}

/* The shown tensors, in order. False: out of memory. */
static bool make_order(struct modules *m)
{
	const struct tfs_tensor *tensors = m->set->tensors;
	size_t n = 0;
	bool in_order = true;

	for (size_t i = 0; i < m->set->n_tensors; i++) {
		n += tfs_view_shows(TFS_RAW, &tensors[i]);
		in_order = in_order && (!i || compare(&tensors[i - 1], &tensors[i]) < 0);
	}
	m->n = (uint32_t)n;
	if (!n || (in_order && n == m->set->n_tensors))
		return true;

	const void **sorted = malloc(2 * n * sizeof *sorted);
	m->order = malloc(n * sizeof *m->order);
	if (sorted && m->order) {
		n = 0;
		for (size_t i = 0; i < m->set->n_tensors; i++)
			if (tfs_view_shows(TFS_RAW, &tensors[i]))
				sorted[n++] = &tensors[i];
		assert(n == m->n);
		tfs_sort(sorted, n, sorted + n, compare);
		for (size_t i = 0; i < n; i++)
			m->order[i] = (uint32_t)((const struct tfs_tensor *)sorted[i] - tensors);
	}
	free(sorted);
	return sorted && m->order;
}

struct modules *tfs_modules_create(const struct tfs_set *set)
{
	struct modules *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->set = set;
	if (!make_order(m) || !collect_odd(m) || !settle_odd(m)) {
		tfs_modules_destroy(m);
		return NULL;
	}
	return m;
}

void tfs_modules_destroy(struct modules *m)
{
	if (!m)
		return;
	free(m->order);
	free(m->odd);
	free(m->by_hash);
	free(m);
}
