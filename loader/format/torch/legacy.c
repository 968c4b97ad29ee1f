/* SPDX-License-Identifier: MIT */
/*
 * Files of torch before 1.6, and of torch.save(_use_new_zipfile_serialization=False) since: five pickles one after the other, then
 * the storages that the last of them lists (torch/serialization.py, _legacy_load). A storage is an i64 count of elements and the
 * elements, little-endian whatever machine wrote them (torch/csrc/serialization.cpp, THPStorage_writeFileRaw).
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/search.h"
#include "base/sort.h"
#include "format/torch/impl.h"
#include "storage/storage.h"

#define PROTOCOL 1001

/* How much of the file is read for the pickles at first; doubled each time they turn out to be longer. */
#define FIRST_READ (1u << 20)

struct storage {
	const struct tfs_pickle_value *key;
	const struct tfs_torch_type *type;
	uint64_t numel;
	bool placed;	 /* the list of keys has it */
	uint64_t offset; /* of its elements */
};

struct legacy {
	struct storage *storages; /* by key */
	size_t n;
};

/* --- The pickles ------------------------------------------------------------------------------------------------- */

/* Read the pickle at @at of the @len bytes at @buf. @memory: used by the others. */
static int read_pickle(struct tfs_torch *t, const char *buf, size_t len, size_t at, size_t memory, struct tfs_pickle *p)
{
	*p = (struct tfs_pickle){
		.buf = buf + at,
		.len = len - at,
		.more = len < t->in->size,
		.offset = at,
		.err = t->err,
		.memory = memory,
		.share = t->in->share,
	};
	return tfs_pickle_read(p);
}

/* A pickle that only has to be present: @check checks its value. */
static int skip_pickle(struct tfs_torch *t, const char *buf, size_t len, size_t *at, bool *cut,
		       int (*check)(const struct tfs_pickle *p))
{
	struct tfs_pickle p;
	int r = read_pickle(t, buf, len, *at, 0, &p);

	if (!r && check)
		r = check(&p);
	*at += p.used;
	*cut = p.cut;
	tfs_pickle_fini(&p);
	return r;
}

static int check_magic(const struct tfs_pickle *p)
{
	const char *bytes;
	uint32_t len;

	if (tfs_pickle_type(&p->result) == TFS_PICKLE_LONG) {
		bytes = tfs_pickle_text(&p->result, &len);
		if ((len == sizeof TFS_TORCH_MAGIC - 1 && !memcmp(bytes, TFS_TORCH_MAGIC, len)) ||
		    (len == sizeof TFS_TORCH_DIGITS - 1 && !memcmp(bytes, TFS_TORCH_DIGITS, len)))
			return 0;
	}
	return tfs_pickle_error(p, -EINVAL, 0, "isn't a torch pickle: its first value isn't 0x1950a86a20f9469cfc6c");
}

static int check_protocol(const struct tfs_pickle *p)
{
	if (tfs_pickle_type(&p->result) == TFS_PICKLE_INT && tfs_pickle_int(&p->result) == PROTOCOL)
		return 0;
	return tfs_pickle_error(p, -EINVAL, 0, "its second value, the protocol, isn't %d", PROTOCOL);
}

/* All five; the last one's, the list of keys, into @keys. *@ret_end is where they end. */
static int read_pickles(struct tfs_torch *t, const char *buf, size_t len, struct tfs_pickle *keys, size_t *ret_end, bool *cut)
{
	size_t at = 0;
	int r = skip_pickle(t, buf, len, &at, cut, check_magic);

	if (!r)
		r = skip_pickle(t, buf, len, &at, cut, check_protocol);
	if (!r)
		r = skip_pickle(t, buf, len, &at, cut, NULL); /* sizes of types and byte order of the machine: not used */
	if (r)
		return r;
	r = read_pickle(t, buf, len, at, 0, &t->pickle);
	*cut = t->pickle.cut;
	if (r)
		return r;
	at += t->pickle.used;
	r = read_pickle(t, buf, len, at, t->pickle.memory, keys);
	*cut = keys->cut;
	*ret_end = at + keys->used;
	return r;
}

/* --- The storages ------------------------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
	uint32_t x_len, y_len;
	const char *x = tfs_pickle_text(((const struct storage *)a)->key, &x_len);
	const char *y = tfs_pickle_text(((const struct storage *)b)->key, &y_len);

	return tfs_name_cmp(x, x_len, y, y_len);
}

/* The storages that the pickle refers to, sorted, without duplicates. */
static int list_storages(struct tfs_torch *t, struct legacy *l)
{
	cleanup_free struct storage *all = NULL;
	cleanup_free const void **order = NULL;
	struct tfs_pickle_value persid;
	struct tfs_torch_storage s;
	size_t n = 0, room = 0;

	for (persid = t->pickle.persids; persid.word; persid = tfs_pickle_next_persid(persid)) {
		if (!tfs_torch_read_persid(&persid, &s))
			continue; /* an error once a tensor uses it */
		if (n == tfs_torch_max_tensors(t->pickle.len))
			return tfs_pickle_error(&t->pickle, -EINVAL, 0,
						"more than %zu references to storages, too many for a pickle of this size", n);
		if (tfs_array_room(all, n, room))
			return -ENOMEM;
		all[n++] = (struct storage){ .key = s.key, .type = s.type, .numel = s.numel };
	}
	order = reallocarray(NULL, n + 1, 2 * sizeof *order); /* n may be 0 */
	l->storages = reallocarray(NULL, n + 1, sizeof *l->storages);
	if (!order || !l->storages)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &all[i];
	tfs_sort(order, n, order + n, by_key);
	for (size_t i = 0; i < n; i++) {
		const struct storage *x = order[i], *last = l->n ? &l->storages[l->n - 1] : NULL;

		if (!last || by_key(last, x))
			l->storages[l->n++] = *x;
		else if (last->type != x->type || last->numel != x->numel)
			return tfs_pickle_error(&t->pickle, -EINVAL, 0,
						"a storage with two types or sizes: %" PRIu64 " and %" PRIu64 " elements",
						last->numel, x->numel);
	}
	return 0;
}

static struct storage *find_storage(const struct legacy *l, const struct tfs_pickle_value *key)
{
	const struct storage wanted = { .key = key };
	size_t at = tfs_search(i, 0, l->n, by_key(&l->storages[i], &wanted) < 0);

	return at < l->n && !by_key(&l->storages[at], &wanted) ? &l->storages[at] : NULL;
}

/* The storage of @key is at *@at, which is moved past it. */
static int place_storage(struct tfs_torch *t, struct legacy *l, const struct tfs_pickle_value *key, uint64_t *at)
{
	struct storage *s = NULL;
	char quoted[TFS_QUOTE_SIZE] = "(not a string)";
	const char *text;
	uint64_t count, nbytes;
	uint32_t len;
	int r;

	if (tfs_pickle_type(key) == TFS_PICKLE_STR || tfs_pickle_type(key) == TFS_PICKLE_BYTES) {
		s = find_storage(l, key);
		text = tfs_pickle_text(key, &len);
		tfs_quote(quoted, sizeof quoted, text, len);
	}
	if (!s)
		return tfs_error_set(t->err, -EINVAL, *at, "storage %s is listed, but nothing says what type it has", quoted);
	if (s->placed)
		return tfs_error_set(t->err, -EINVAL, *at, "storage %s is listed twice", quoted);
	if (t->in->size - *at < sizeof count)
		return tfs_error_set(t->err, -EINVAL, *at, "the file ends before storage %s", quoted);
	r = tfs_input_read(t->in, &count, sizeof count, *at, t->err);
	if (r)
		return r;
	count = le64toh(count);
	if (count != s->numel)
		return tfs_error_set(t->err, -EINVAL, *at,
				     "storage %s has %" PRIu64 " elements here, and %" PRIu64 " in the pickle", quoted, count,
				     s->numel);
	*at += sizeof count;
	if (ckd_mul(&nbytes, count, s->type->size) || nbytes > t->in->size - *at)
		return tfs_error_set(t->err, -EINVAL, *at,
				     "storage %s has %" PRIu64 " elements of %u bytes, the file ends after %" PRIu64, quoted, count,
				     s->type->size, t->in->size - *at);
	s->placed = true;
	s->offset = *at;
	*at += nbytes;
	return 0;
}

static int place_storages(struct tfs_torch *t, struct legacy *l, const struct tfs_pickle *keys, uint64_t at)
{
	const struct tfs_pickle_value *key;
	struct tfs_pickle_iter it;
	int r = 0;

	if (tfs_pickle_type(&keys->result) != TFS_PICKLE_LIST)
		return tfs_pickle_error(keys, -EINVAL, 0, "the keys of the storages aren't a list");
	it = tfs_pickle_iter(&keys->result);
	while (!r && (key = tfs_pickle_next(&it)))
		r = place_storage(t, l, key, &at);
	return r;
}

static int find(struct tfs_torch *t, const struct tfs_pickle_value *key, struct tfs_torch_extent *ret)
{
	const struct storage *s = find_storage(t->container, key);

	if (!s || !s->placed)
		return -ENOENT;
	*ret = (struct tfs_torch_extent){ .offset = s->offset, .length = s->numel * s->type->size };
	ret->nbytes = ret->length;
	return 0;
}

/* --- The file ---------------------------------------------------------------------------------------------------- */

static int read_file(struct tfs_torch *t, char **buf, struct tfs_pickle *keys, size_t *ret_end)
{
	uint64_t most = t->in->size < TFS_PICKLE_MAX_SIZE ? t->in->size : TFS_PICKLE_MAX_SIZE,
		 len = most < FIRST_READ ? most : FIRST_READ;
	bool cut;
	int r;

	for (;;) {
		free(*buf);
		*buf = tfs_share_scratch(t->in->share, len) ? NULL : malloc(len);
		if (!*buf)
			return -ENOMEM;
		r = tfs_input_read(t->in, *buf, len, 0, t->err);
		if (r)
			return r;
		r = read_pickles(t, *buf, len, keys, ret_end, &cut);
		if (!r || !cut)
			return r;
		if (len == most)
			return tfs_error_set(t->err, -EINVAL, len, "its pickles take more than %u bytes", TFS_PICKLE_MAX_SIZE);
		tfs_pickle_fini(&t->pickle);
		tfs_pickle_fini(keys);
		tfs_share_give(t->in->share, len);
		len = len * 2 < most ? len * 2 : most;
	}
}

int tfs_torch_legacy(struct tfs_torch *t)
{
	cleanup_free char *buf = NULL;
	struct tfs_pickle keys = { 0 };
	struct legacy l = { 0 };
	size_t end = 0;
	int r = read_file(t, &buf, &keys, &end);

	if (!r)
		r = list_storages(t, &l);
	if (!r)
		r = place_storages(t, &l, &keys, end);
	t->find = find;
	t->container = &l;
	if (!r)
		r = tfs_torch_list(t);
	tfs_pickle_fini(&keys);
	free(l.storages);
	return r;
}
