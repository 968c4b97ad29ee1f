/* SPDX-License-Identifier: MIT */
/*
 * The pickle reader on any bytes: what it accepts ends within them and points into them; it says the same of a buffer that ends
 * early, that more is wanted, wherever it ends; and what it refuses it gives a reason for.
 */
#include <errno.h>
#include <string.h>

#include "format/pickle.h"
#include "fuzz.h"

static void check_value(const struct tfs_pickle *p, const struct tfs_pickle_value *v);

static void check_node(const struct tfs_pickle *p, const struct tfs_pickle_value *v)
{
	struct tfs_pickle_node *node = v->node;
	uint32_t n = 0;

	CHECK(node && node->at < p->len);
	for (const struct tfs_pickle_span *s = node->first; s; s = s->next) {
		CHECK(s->n && s->n <= s->room && (s->next || s == node->last));
		CHECK(v->type != TFS_PICKLE_DICT || s->n % 2 == 0);
		n += s->n;
	}
	CHECK(n == node->n_items);
	if (v->type == TFS_PICKLE_TUPLE)
		CHECK(node->first == node->last);
	if (v->type == TFS_PICKLE_CALL)
		CHECK(n == TFS_PICKLE_CALL_ITEMS && tfs_pickle_item(v, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE));
	if (node->entered)
		return;
	node->entered = true; /* for ever: each is looked at once */
	for (const struct tfs_pickle_span *s = node->first; s; s = s->next)
		for (uint32_t i = 0; i < s->n; i++)
			check_value(p, &s->items[i]);
}

static void check_value(const struct tfs_pickle *p, const struct tfs_pickle_value *v)
{
	switch (v->type) {
	case TFS_PICKLE_LONG:
	case TFS_PICKLE_FLOAT:
	case TFS_PICKLE_STR:
	case TFS_PICKLE_BYTES:
		CHECK(v->bytes >= p->buf && v->bytes + v->len <= p->buf + p->used);
		break;
	default:
		if (v->type >= TFS_PICKLE_LIST)
			check_node(p, v);
	}
}

/* The first @len bytes of the pickle, where it goes on behind them. */
static void check_cut(const uint8_t *data, size_t len)
{
	struct tfs_error err = { 0 };
	char *copy = malloc(len ? len : 1);
	struct tfs_pickle p = { .buf = copy, .len = len, .more = true, .err = &err };

	CHECK(copy);
	memcpy(copy, data, len);
	CHECK(tfs_pickle_read(&p) == -EINVAL && (p.cut || !len) && err.code == -EINVAL);
	tfs_pickle_fini(&p);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_pickle p = { .buf = (const char *)data, .len = size, .err = &err };

	if (size > 20000)
		return 0; /* as deep as that our recursion above may go */
	if (tfs_pickle_read(&p)) {
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size);
	} else {
		CHECK(p.used && p.used <= size && data[p.used - 1] == '.');
		check_value(&p, &p.result);
		check_cut(data, p.used - 1);
		check_cut(data, p.used / 2);
	}
	tfs_pickle_fini(&p);
	return 0;
}
