/* SPDX-License-Identifier: MIT */
/* The values of a pickle: created by pickle.c, and examined by code that knows what they mean. */
#include "format/torch/pickle-values.h"

#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/scan.h"
#include "base/search.h"
#include "format/torch/pickle-impl.h"

#define MAX_SPAN 65536 /* a growing container gets at most that many spare items */

int tfs_pickle_error(const struct tfs_pickle *p, int code, size_t at, const char *fmt, ...)
{
	char what[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (p->inflated)
		return tfs_error_set(p->err, code, p->offset, "byte %zu of the inflated pickle: %s", at, what);
	return tfs_error_set(p->err, code, tfs_pickle_place(p, at), "%s", what);
}

uint64_t tfs_pickle_place(const struct tfs_pickle *p, size_t at)
{
	size_t n = tfs_search(i, 0, p->n_jumps, p->jumps[i].at <= at);

	if (p->inflated)
		return p->offset;
	return n ? p->jumps[n - 1].offset + (at - p->jumps[n - 1].at) : p->offset + at;
}

/* --- Making them ------------------------------------------------------------------------------------------------- */

int tfs_pickle_charge(struct tfs_pickle *p, size_t at, size_t n)
{
	if (n > TFS_PICKLE_MAX_MEMORY - p->memory)
		return tfs_pickle_error(p, -EINVAL, at, "the pickle's values take more than %u bytes", TFS_PICKLE_MAX_MEMORY);
	if (tfs_share_scratch(p->share, n))
		return -ENOMEM;
	p->memory += n;
	p->charged += n;
	return 0;
}

int tfs_pickle_new_node(struct tfs_pickle *p, size_t at, enum tfs_pickle_type type, size_t n, struct tfs_pickle_value *ret)
{
	size_t room = type >= TFS_PICKLE_FIRST_LIST ? 1 : n + (type == TFS_PICKLE_PERSID);
	struct tfs_pickle_node *node;
	size_t size = sizeof *node + room * sizeof *node->items;
	int r = tfs_pickle_charge(p, at, size);

	if (r)
		return r;
	node = tfs_arena_alloc(&p->arena, size, alignof(struct tfs_pickle_node));
	if (!node)
		return -ENOMEM;
	memset(node, 0, size);
	node->at = at;
	node->n_items = n;
	*ret = tfs_pickle_of_address(type, node);
	return 0;
}

int tfs_pickle_add_items(struct tfs_pickle *p, size_t at, struct tfs_pickle_node *node, const struct tfs_pickle_value *items,
			 size_t n)
{
	struct tfs_pickle_span *last = tfs_pickle_last_span(node), *span = last;
	size_t room, size;
	int r;

	if (!n)
		return 0;
	if (!span || span->room - span->n < n) {
		/* Double it, so appending one by one costs at most twice; an even number, for the pairs of dicts. */
		room = node->n_items < MAX_SPAN ? node->n_items : MAX_SPAN;
		if (room < n)
			room = n;
		size = sizeof *span + room * sizeof *items;
		r = tfs_pickle_charge(p, at, size);
		if (r)
			return r;
		span = tfs_arena_alloc(&p->arena, size, alignof(struct tfs_pickle_span));
		if (!span)
			return -ENOMEM;
		*span = (struct tfs_pickle_span){ .next = span, .room = room };
		if (last) {
			span->next = last->next;
			last->next = span;
		}
		node->items[0] = tfs_pickle_of_address(TFS_PICKLE_ABSENT, span);
	}
	memcpy(span->items + span->n, items, n * sizeof *items);
	span->n += n;
	node->n_items += n;
	return 0;
}

/* --- Looking at them --------------------------------------------------------------------------------------------- */

const struct tfs_pickle_value *tfs_pickle_item(const struct tfs_pickle_value *v, enum tfs_pickle_type type, size_t i)
{
	const struct tfs_pickle_value *item;

	if (!v || tfs_pickle_type(v) != type || i >= tfs_pickle_node(v)->n_items)
		return NULL;
	item = tfs_pickle_node(v)->items + i;
	return item->word ? item : NULL;
}

struct tfs_pickle_iter tfs_pickle_iter(const struct tfs_pickle_value *v)
{
	const struct tfs_pickle_node *node = tfs_pickle_node(v);
	const struct tfs_pickle_span *last;

	if (tfs_pickle_type(v) < TFS_PICKLE_FIRST_LIST)
		return (struct tfs_pickle_iter){ .at = node->items, .end = node->items + node->n_items };
	last = tfs_pickle_last_span(node);
	return (struct tfs_pickle_iter){ .span = last ? last->next : NULL, .last = last };
}

const struct tfs_pickle_value *tfs_pickle_next(struct tfs_pickle_iter *it)
{
	if (it->at == it->end) {
		if (!it->span)
			return NULL;
		it->at = it->span->items;
		it->end = it->at + it->span->n;
		it->span = it->span == it->last ? NULL : it->span->next;
	}
	return it->at++;
}

struct tfs_pickle_value tfs_pickle_next_persid(struct tfs_pickle_value persid)
{
	return tfs_pickle_node(&persid)->items[1];
}

static const char *opcode_of(const struct tfs_pickle_value *text)
{
	return (const char *)(uintptr_t)(text->word >> 8);
}

/*
 * A text's value is the address of the opcode before it, which is known to be complete. For a line it is the byte before it, which
 * is an opcode or the end of another line.
 */
const char *tfs_pickle_text(const struct tfs_pickle_value *v, uint32_t *ret_len)
{
	const char *opcode = opcode_of(v), *text = opcode + 1;
	unsigned n = 0;

	switch ((unsigned char)*opcode) {
	case 'c':
	case 'I':
	case 'L':
	case '\n':
		*ret_len = (const char *)rawmemchr(text, '\n') - text;
		return text;
	case 'G':
		*ret_len = 8;
		return text;
	case 'U':
	case 'C':
	case 0x8a:
	case 0x8c:
		n = 1;
		break;
	case 'X':
	case 'T':
	case 'B':
	case 0x8b:
		n = 4;
		break;
	default:
		n = 8;
	}
	*ret_len = tfs_pickle_uint(text, n);
	return text + n;
}

static bool decimal(const char *s, uint32_t len, int64_t *ret)
{
	bool minus = len && *s == '-';
	int64_t number = 0;

	for (uint32_t i = minus; i < len; i++) {
		int digit = s[i] - '0';

		if (ckd_mul(&number, number, 10) || ckd_add(&number, number, minus ? -digit : digit))
			return false;
	}
	*ret = number;
	return true;
}

bool tfs_pickle_number(const struct tfs_pickle_value *v, int64_t *ret)
{
	const char *bytes;
	uint32_t len;
	uint64_t n;

	if (tfs_pickle_type(v) == TFS_PICKLE_INT) {
		*ret = tfs_pickle_int(v);
		return true;
	}
	if (tfs_pickle_type(v) != TFS_PICKLE_LONG)
		return false;
	bytes = tfs_pickle_text(v, &len);
	if (*opcode_of(v) == 'I' || *opcode_of(v) == 'L')
		return decimal(bytes, len - (bytes[len - 1] == 'L'), ret);
	/* Trailing bytes that only repeat the sign. */
	while (len > 8 && bytes[len - 1] == (bytes[len - 2] & 0x80 ? '\xff' : 0))
		len--;
	if (len > 8)
		return false;
	n = len && bytes[len - 1] & 0x80 ? UINT64_MAX : 0;
	for (uint32_t i = len; i--;)
		n = n << 8 | (unsigned char)bytes[i];
	*ret = (int64_t)n;
	return true;
}

bool tfs_pickle_is_text(const struct tfs_pickle_value *v, const char *text)
{
	const char *bytes;
	uint32_t len;

	if (!v || (tfs_pickle_type(v) != TFS_PICKLE_STR && tfs_pickle_type(v) != TFS_PICKLE_BYTES))
		return false;
	bytes = tfs_pickle_text(v, &len);
	return len == strlen(text) && !memcmp(bytes, text, len);
}

bool tfs_pickle_is_global(const struct tfs_pickle_value *v, const char *module, const char *name)
{
	return tfs_pickle_is_text(tfs_pickle_item(v, TFS_PICKLE_GLOBAL, 1), name) &&
	       tfs_pickle_is_text(tfs_pickle_item(v, TFS_PICKLE_GLOBAL, 0), module);
}
