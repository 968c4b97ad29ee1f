/* SPDX-License-Identifier: MIT */
/*
 * The pickle reader on any bytes: what it accepts ends within them and points into them; it says the same of a buffer that ends
 * early, that more is wanted, wherever it ends; and what it refuses it gives a reason for.
 */
#include <errno.h>
#include <string.h>

#include "format/torch/pickle.h"
#include "fuzz.h"

static void check_value(const struct tfs_pickle *p, const struct tfs_pickle_value *v);

static void check_node(const struct tfs_pickle *p, const struct tfs_pickle_value *v)
{
	struct tfs_pickle_node *node = tfs_pickle_node(v);
	struct tfs_pickle_iter it = tfs_pickle_iter(v);
	const struct tfs_pickle_value *item;
	uint32_t n = 0;

	CHECK(node && node->at < p->len);
	while (tfs_pickle_next(&it))
		n++;
	CHECK(n == node->n_items);
	CHECK(tfs_pickle_type(v) != TFS_PICKLE_DICT || n % 2 == 0);
	if (tfs_pickle_type(v) == TFS_PICKLE_CALL)
		CHECK(n == TFS_PICKLE_CALL_ITEMS && tfs_pickle_item(v, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE));
	if (node->entered)
		return;
	node->entered = true; /* for ever: each is looked at once */
	it = tfs_pickle_iter(v);
	while ((item = tfs_pickle_next(&it)))
		check_value(p, item);
}

static void check_value(const struct tfs_pickle *p, const struct tfs_pickle_value *v)
{
	const char *text;
	uint32_t len;
	int64_t i;

	switch (tfs_pickle_type(v)) {
	case TFS_PICKLE_LONG:
	case TFS_PICKLE_FLOAT:
	case TFS_PICKLE_STR:
	case TFS_PICKLE_BYTES:
		text = tfs_pickle_text(v, &len);
		CHECK(text > p->buf && text + len <= p->buf + p->used);
		tfs_pickle_number(v, &i);
		break;
	default:
		if (tfs_pickle_is_node(v))
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
		CHECK(p.used && p.used <= size && data[p.used - 1] == '.' && p.memory <= 40 * p.used + 4096);
		check_value(&p, &p.result);
		check_cut(data, p.used - 1);
		check_cut(data, p.used / 2);
	}
	tfs_pickle_fini(&p);
	return 0;
}
