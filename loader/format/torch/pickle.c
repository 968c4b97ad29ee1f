/* SPDX-License-Identifier: MIT */
/*
 * The opcodes are those that CPython's pickler writes in protocols 1 to 5, except those for things outside of the pickle (extension
 * codes, out-of-band buffers). The other text opcodes of protocol 0 are refused: torch can't name storages with it. Everything that
 * torch's own restricted reader (torch/_weights_only_unpickler.py) accepts is accepted here.
 */
#include "format/torch/pickle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"
#include "format/torch/pickle-machine.h"

/* The latest (Python 3.8). */
#define MAX_PROTOCOL 5

/* Pickles among the data that follow a state. joblib's have no others in them. */
enum { MAX_FOLLOW = 4 };

/* The memo is a table of pages, so an index with nothing below it costs one page. */
#define PAGE_VALUES 256

/* --- The memo ---------------------------------------------------------------------------------------------------- */

static struct tfs_pickle_value *memo_at(struct tfs_pickle_machine *m, uint64_t i)
{
	size_t page = i / PAGE_VALUES;

	return page < m->n_pages && m->memo[page] ? &m->memo[page][i % PAGE_VALUES] : NULL;
}

static int memo_put(struct tfs_pickle_machine *m, uint64_t i)
{
	size_t page = i / PAGE_VALUES;
	struct tfs_pickle_value **memo;
	int r = tfs_pickle_need(m, 1);

	if (r)
		return r;
	/* Writers count up from 0, and each number requires at least an opcode. */
	if (i > m->at)
		return tfs_pickle_refuse(m, "memo index %" PRIu64 " in the first %zu bytes of a pickle", i, m->at);
	if (page >= m->n_pages) {
		size_t n = page * 2 + 16;

		memo = reallocarray(m->memo, n, sizeof *memo);
		if (!memo)
			return -ENOMEM;
		memset(memo + m->n_pages, 0, (n - m->n_pages) * sizeof *memo);
		m->memo = memo;
		m->n_pages = n;
	}
	if (!m->memo[page]) {
		r = tfs_pickle_charge(m->p, m->opcode, PAGE_VALUES * sizeof **m->memo);
		if (r)
			return r;
		m->memo[page] = calloc(PAGE_VALUES, sizeof **m->memo); /* all ABSENT */
		if (!m->memo[page])
			return -ENOMEM;
	}
	m->n_memo += !m->memo[page][i % PAGE_VALUES].word;
	m->memo[page][i % PAGE_VALUES] = *tfs_pickle_top(m, 0);
	return 0;
}

static int memo_get(struct tfs_pickle_machine *m, unsigned n)
{
	const struct tfs_pickle_value *v;
	uint64_t i;
	int r = tfs_pickle_take_uint(m, n, &i);

	if (r)
		return r;
	v = memo_at(m, i);
	if (!v || !v->word)
		return tfs_pickle_refuse(m, "memo index %" PRIu64 " is used but was never set", i);
	return tfs_pickle_push(m, *v);
}

static int memo_put_numbered(struct tfs_pickle_machine *m, unsigned n)
{
	uint64_t i;
	int r = tfs_pickle_take_uint(m, n, &i);

	return r ? r : memo_put(m, i);
}

/* --- Containers -------------------------------------------------------------------------------------------------- */

/* Replace the top @n values with a node of them. */
static int collect(struct tfs_pickle_machine *m, enum tfs_pickle_type type, size_t n)
{
	struct tfs_pickle_value v, *items;
	bool grows = type >= TFS_PICKLE_FIRST_LIST;
	int r = tfs_pickle_need(m, n);

	if (!r)
		r = tfs_pickle_new_node(m->p, m->opcode, type, grows ? 0 : n, &v);
	if (r)
		return r;
	items = n ? m->stack + m->depth - n : NULL; /* there may be no stack yet */
	if (grows)
		r = tfs_pickle_add_items(m->p, m->opcode, tfs_pickle_node(&v), items, n);
	else if (n)
		memcpy(tfs_pickle_node(&v)->items, items, n * sizeof *items);
	if (r)
		return r;
	m->depth -= n;
	return tfs_pickle_push(m, v);
}

static int empty_tuple(struct tfs_pickle_machine *m)
{
	int r = m->empty_tuple.word ? 0 : tfs_pickle_new_node(m->p, m->opcode, TFS_PICKLE_TUPLE, 0, &m->empty_tuple);

	return r ? r : tfs_pickle_push(m, m->empty_tuple);
}

/* The same for everything above the last mark. */
static int collect_marked(struct tfs_pickle_machine *m, enum tfs_pickle_type type)
{
	size_t n = 0;
	int r = tfs_pickle_pop_mark(m, &n);

	if (!r && type == TFS_PICKLE_DICT && n % 2)
		r = tfs_pickle_refuse(m, "a dict of an odd number of keys and values, %zu", n);
	return r ? r : collect(m, type, n);
}

/* Where items for @v go: into itself, or into the record of a call's items. */
static int target_of(struct tfs_pickle_machine *m, struct tfs_pickle_value *v, bool pairs, struct tfs_pickle_node **ret)
{
	enum tfs_pickle_type type = tfs_pickle_type(v);

	if (type == TFS_PICKLE_CALL) {
		v = tfs_pickle_node(v)->items + (pairs ? TFS_PICKLE_PAIRS : TFS_PICKLE_ITEMS);
		if (!v->word) {
			int r = tfs_pickle_new_node(m->p, m->opcode, pairs ? TFS_PICKLE_DICT : TFS_PICKLE_LIST, 0, v);

			if (r)
				return r;
		} else if (!pairs && tfs_pickle_type(v) != TFS_PICKLE_LIST) {
			return tfs_pickle_refuse(m, "items are put into an array");
		}
	} else if (pairs ? type != TFS_PICKLE_DICT : type != TFS_PICKLE_LIST && type != TFS_PICKLE_SET) {
		return tfs_pickle_refuse(m, "items are put into something that isn't a %s", pairs ? "dict" : "list");
	}
	*ret = tfs_pickle_node(v);
	return 0;
}

/* Put the @n values above the container into it. */
static int put(struct tfs_pickle_machine *m, size_t n, bool pairs)
{
	struct tfs_pickle_node *target = NULL;
	int r = tfs_pickle_need(m, n + 1);

	if (r)
		return r;
	if (pairs && n % 2)
		return tfs_pickle_refuse(m, "an odd number of keys and values, %zu, is put into a dict", n);
	r = target_of(m, tfs_pickle_top(m, n), pairs, &target);
	if (!r)
		r = tfs_pickle_add_items(m->p, m->opcode, target, m->stack + m->depth - n, n);
	m->depth -= n;
	return r;
}

static int put_marked(struct tfs_pickle_machine *m, bool pairs)
{
	size_t n = 0;
	int r = tfs_pickle_pop_mark(m, &n);

	return r ? r : put(m, n, pairs);
}

/* --- What Python would look up or call ---------------------------------------------------------------------------- */

static int push_global(struct tfs_pickle_machine *m)
{
	size_t len;
	const char *name;
	int r;

	if (!tfs_pickle_take_line(m, &len))
		return -EINVAL;
	name = tfs_pickle_take_line(m, &len);
	if (!name)
		return -EINVAL;
	r = tfs_pickle_push_here(m, TFS_PICKLE_STR); /* the module */
	if (!r)
		r = tfs_pickle_push(m, tfs_pickle_of_address(TFS_PICKLE_STR, name - 1));
	return r ? r : collect(m, TFS_PICKLE_GLOBAL, 2);
}

static int stack_global(struct tfs_pickle_machine *m)
{
	int r = tfs_pickle_need(m, 2);

	if (r)
		return r;
	if (tfs_pickle_type(tfs_pickle_top(m, 0)) != TFS_PICKLE_STR || tfs_pickle_type(tfs_pickle_top(m, 1)) != TFS_PICKLE_STR)
		return tfs_pickle_refuse(m, "a global whose name or module isn't a string");
	return collect(m, TFS_PICKLE_GLOBAL, 2);
}

/* Callee, arguments, and for NEWOBJ_EX keyword arguments, which are recorded as pairs. */
static int call(struct tfs_pickle_machine *m, bool keywords)
{
	struct tfs_pickle_value *args, *callee, v;
	int r = tfs_pickle_need(m, 2 + keywords);

	if (r)
		return r;
	args = tfs_pickle_top(m, keywords);
	callee = tfs_pickle_top(m, 1 + keywords);
	if (keywords && tfs_pickle_type(tfs_pickle_top(m, 0)) != TFS_PICKLE_DICT)
		return tfs_pickle_refuse(m, "a call with keyword arguments that aren't a dict");
	if (tfs_pickle_type(args) != TFS_PICKLE_TUPLE)
		return tfs_pickle_refuse(m, "a call with arguments that aren't a tuple");
	switch (tfs_pickle_type(callee)) {
	case TFS_PICKLE_GLOBAL:
	case TFS_PICKLE_PERSID:
	case TFS_PICKLE_CALL:
		break;
	default:
		return tfs_pickle_refuse(m, "a call of something that is neither a global nor the result of a call");
	}
	r = tfs_pickle_new_node(m->p, m->opcode, TFS_PICKLE_CALL, TFS_PICKLE_CALL_ITEMS, &v);
	if (r)
		return r;
	tfs_pickle_node(&v)->items[TFS_PICKLE_CALLEE] = *callee;
	tfs_pickle_node(&v)->items[TFS_PICKLE_ARGS] = *args;
	if (keywords)
		tfs_pickle_node(&v)->items[TFS_PICKLE_PAIRS] = *tfs_pickle_top(m, 0);
	m->depth -= 2 + keywords;
	return tfs_pickle_push(m, v);
}

static int run(struct tfs_pickle_machine *m);
static void fini(struct tfs_pickle_machine *m);

/* The next bytes are another pickle: its value becomes the items of the CALL on the stack. */
static int follow_pickle(struct tfs_pickle_machine *m)
{
	struct tfs_pickle_machine inner = { .p = m->p, .at = m->at, .level = m->level + 1 };
	int r = inner.level < MAX_FOLLOW ? run(&inner) : tfs_pickle_refuse(m, "pickles within pickles within pickles");

	if (!r) {
		tfs_pickle_node(tfs_pickle_top(m, 0))->items[TFS_PICKLE_ITEMS] = m->p->result;
		m->at = inner.at;
	}
	m->failed = inner.failed;
	fini(&inner);
	return r;
}

/* What isn't of the pickle, but among it. */
static int follow(struct tfs_pickle_machine *m)
{
	uint64_t before = 0, len = 0;
	bool pickle = false;
	int r = m->p->follow(m->p, tfs_pickle_top(m, 0), tfs_pickle_place(m->p, m->at), &before, &len, &pickle);

	if (!r && before)
		r = tfs_pickle_skip(m, before);
	if (r || (!len && !pickle))
		return r;
	if (pickle)
		return follow_pickle(m);
	r = tfs_pickle_push_far(m, false, len);
	if (r)
		return r;
	tfs_pickle_node(tfs_pickle_top(m, 1))->items[TFS_PICKLE_ITEMS] = *tfs_pickle_top(m, 0);
	m->depth--;
	return 0;
}

static int build(struct tfs_pickle_machine *m)
{
	int r = tfs_pickle_need(m, 2);

	if (r)
		return r;
	if (tfs_pickle_type(tfs_pickle_top(m, 1)) != TFS_PICKLE_CALL)
		return tfs_pickle_refuse(m, "a state is set on something that no call has made");
	tfs_pickle_node(tfs_pickle_top(m, 1))->items[TFS_PICKLE_STATE] = *tfs_pickle_top(m, 0);
	m->depth--;
	return m->p->in && m->p->follow ? follow(m) : 0;
}

static int persistent(struct tfs_pickle_machine *m)
{
	int r = collect(m, TFS_PICKLE_PERSID, 1);

	if (r)
		return r;
	tfs_pickle_node(tfs_pickle_top(m, 0))->items[1] = m->p->persids;
	m->p->persids = *tfs_pickle_top(m, 0);
	return 0;
}

/* --- Opcodes ----------------------------------------------------------------------------------------------------- */

static int proto(struct tfs_pickle_machine *m)
{
	uint64_t version;
	int r = tfs_pickle_take_uint(m, 1, &version);

	if (!r && version > MAX_PROTOCOL)
		r = tfs_pickle_refuse(m, "pickle protocol %" PRIu64 "; the latest known is %d", version, MAX_PROTOCOL);
	return r;
}

static int pop(struct tfs_pickle_machine *m)
{
	int r;

	if (m->n_marks && m->marks[m->n_marks - 1] == m->depth) {
		m->n_marks--;
		return 0;
	}
	r = tfs_pickle_need(m, 1);
	if (!r)
		m->depth--;
	return r;
}

static int pop_to_mark(struct tfs_pickle_machine *m)
{
	size_t n = 0;
	int r = tfs_pickle_pop_mark(m, &n);

	if (!r)
		m->depth -= n;
	return r;
}

static int carry_out(struct tfs_pickle_machine *m, unsigned char opcode)
{
	/* clang-format off */
	switch (opcode) {
	case 0x80: return proto(m);
	case 0x95: return tfs_pickle_take(m, 8) ? 0 : -EINVAL; /* FRAME: a hint for stream readers */
	case '(':  return tfs_pickle_push_mark(m);
	case '0':  return pop(m);
	case '1':  return pop_to_mark(m);

	case 'N':  return tfs_pickle_push(m, tfs_pickle_of_int(TFS_PICKLE_NONE, 0));
	case 0x88: return tfs_pickle_push_bool(m, true);
	case 0x89: return tfs_pickle_push_bool(m, false);
	case 'J':  return tfs_pickle_push_uint(m, 4, true);
	case 'K':  return tfs_pickle_push_uint(m, 1, false);
	case 'M':  return tfs_pickle_push_uint(m, 2, false);
	case 0x8a: return tfs_pickle_push_bytes_long(m, 1);
	case 0x8b: return tfs_pickle_push_bytes_long(m, 4);
	case 'I':  return tfs_pickle_push_digits(m, false);
	case 'L':  return tfs_pickle_push_digits(m, true);
	case 'G':  return tfs_pickle_push_float(m);
	case 'X':  return tfs_pickle_push_string(m, TFS_PICKLE_STR, 4);
	case 0x8c: return tfs_pickle_push_string(m, TFS_PICKLE_STR, 1);
	case 0x8d: return tfs_pickle_push_string(m, TFS_PICKLE_STR, 8);
	case 'T':
	case 'B':  return tfs_pickle_push_string(m, TFS_PICKLE_BYTES, 4);
	case 'U':
	case 'C':  return tfs_pickle_push_string(m, TFS_PICKLE_BYTES, 1);
	case 0x8e:
	case 0x96: return tfs_pickle_push_string(m, TFS_PICKLE_BYTES, 8); /* BINBYTES8, BYTEARRAY8 */

	case ']':  return collect(m, TFS_PICKLE_LIST, 0);
	case '}':  return collect(m, TFS_PICKLE_DICT, 0);
	case ')':  return empty_tuple(m);
	case 0x8f: return collect(m, TFS_PICKLE_SET, 0);
	case 0x85: return collect(m, TFS_PICKLE_TUPLE, 1);
	case 0x86: return collect(m, TFS_PICKLE_TUPLE, 2);
	case 0x87: return collect(m, TFS_PICKLE_TUPLE, 3);
	case 't':  return collect_marked(m, TFS_PICKLE_TUPLE);
	case 'l':  return collect_marked(m, TFS_PICKLE_LIST);
	case 'd':  return collect_marked(m, TFS_PICKLE_DICT);
	case 0x91: return collect_marked(m, TFS_PICKLE_SET); /* FROZENSET */
	case 'a':  return put(m, 1, false);
	case 'e':
	case 0x90: return put_marked(m, false); /* APPENDS, ADDITEMS */
	case 's':  return put(m, 2, true);
	case 'u':  return put_marked(m, true);

	case 'q':  return memo_put_numbered(m, 1);
	case 'r':  return memo_put_numbered(m, 4);
	case 0x94: return memo_put(m, m->n_memo);
	case 'h':  return memo_get(m, 1);
	case 'j':  return memo_get(m, 4);

	case 'c':  return push_global(m);
	case 0x93: return stack_global(m);
	case 'R':
	case 0x81: return call(m, false); /* REDUCE, NEWOBJ */
	case 0x92: return call(m, true);
	case 'b':  return build(m);
	case 'Q':  return persistent(m);
	default:
		return tfs_pickle_refuse(m, "opcode 0x%02x, which torch never writes", opcode);
	}
	/* clang-format on */
}

static int run(struct tfs_pickle_machine *m)
{
	for (;;) {
		const char *opcode;
		int r;

		m->opcode = m->at;
		opcode = tfs_pickle_take(m, 1);
		if (!opcode)
			return m->failed ? m->failed : -EINVAL;
		if (*opcode == '.')
			break;
		r = carry_out(m, *opcode);
		if (r)
			return m->failed ? m->failed : r;
	}
	if (m->n_marks || m->depth != 1)
		return tfs_pickle_refuse(m, "the pickle ends with %zu values and %zu marks on the stack, not with one value",
					 m->depth, m->n_marks);
	m->p->result = m->stack[0];
	m->p->used = m->at;
	return 0;
}

static void fini(struct tfs_pickle_machine *m)
{
	free(m->stack);
	free(m->marks);
	for (size_t i = 0; i < m->n_pages; i++)
		free(m->memo[i]);
	free(m->memo);
}

int tfs_pickle_read(struct tfs_pickle *p)
{
	struct tfs_pickle_machine m = { .p = p };
	int r = p->len || p->in ? run(&m) : tfs_pickle_error(p, -EINVAL, 0, "the file ends where a pickle should begin");

	if (r == -ENOMEM)
		tfs_pickle_error(p, r, m.opcode, "no memory for the values of a pickle");
	fini(&m);
	return r;
}

void tfs_pickle_fini(struct tfs_pickle *p)
{
	free(p->jumps);
	p->jumps = NULL;
	p->n_jumps = p->room_jumps = 0;
	tfs_arena_fini(&p->arena);
	tfs_share_give(p->share, p->charged);
	p->charged = 0;
}
