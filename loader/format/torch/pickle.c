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

#include "base/array.h"
#include "base/checked.h"
#include "base/scan.h"
#include "format/torch/pickle-impl.h"
#include "storage/storage.h"

/* The latest (Python 3.8). */
#define MAX_PROTOCOL 5

/* How much of a file is read at a time, and what isn't read at all. No name is as long (TFS_TORCH_MAX_NAME). */
enum { PIECE = 1 << 18, FAR = 1 << 17 };

/* Pickles among the data that follow a state. joblib's have no others in them. */
enum { MAX_FOLLOW = 4 };

/* The memo is a table of pages, so an index with nothing below it costs one page. */
#define PAGE_VALUES 256

struct machine {
	struct tfs_pickle *p;
	size_t at;     /* next byte */
	size_t opcode; /* position of the current one */
	struct tfs_pickle_value *stack;
	size_t depth, room_stack;
	size_t *marks; /* positions on the stack */
	size_t n_marks, room_marks;
	struct tfs_pickle_value **memo;
	size_t n_pages, n_memo;		     /* n_memo: indices that are set, for MEMOIZE */
	struct tfs_pickle_value empty_tuple; /* once there is one: they are all the same */
	unsigned level;			     /* of pickles in pickles */
	int failed;			     /* why take() couldn't, if that isn't -EINVAL */
};

#define refuse(m, ...) tfs_pickle_error((m)->p, -EINVAL, (m)->opcode, __VA_ARGS__)

/* --- The stack --------------------------------------------------------------------------------------------------- */

static int push(struct machine *m, struct tfs_pickle_value v)
{
	if (m->depth == m->room_stack) {
		int r = tfs_pickle_charge(m->p, m->opcode, (m->room_stack ? m->room_stack : 16) * sizeof v);

		if (r)
			return r;
		if (tfs_array_room(m->stack, m->depth, m->room_stack))
			return -ENOMEM;
	}
	m->stack[m->depth++] = v;
	return 0;
}

/* Number of values that may be popped: those above the last mark. */
static size_t poppable(const struct machine *m)
{
	return m->depth - (m->n_marks ? m->marks[m->n_marks - 1] : 0);
}

static int need(struct machine *m, size_t n)
{
	if (poppable(m) < n)
		return refuse(m, "an opcode pops %zu values from a stack of %zu", n, poppable(m));
	return 0;
}

/* @i = 0: the topmost one. */
static struct tfs_pickle_value *top(struct machine *m, size_t i)
{
	return &m->stack[m->depth - 1 - i];
}

static int push_mark(struct machine *m)
{
	int r = tfs_pickle_charge(m->p, m->opcode, sizeof *m->marks);

	if (r)
		return r;
	if (tfs_array_room(m->marks, m->n_marks, m->room_marks))
		return -ENOMEM;
	m->marks[m->n_marks++] = m->depth;
	return 0;
}

/* Remove the last mark; @ret_n values were above it. */
static int pop_mark(struct machine *m, size_t *ret_n)
{
	if (!m->n_marks)
		return refuse(m, "an opcode pops down to a mark, but there is none");
	*ret_n = poppable(m);
	m->n_marks--;
	return 0;
}

/* --- The bytes --------------------------------------------------------------------------------------------------- */

/* Read more of the file, up to byte @end of the buffer, if there is as much. */
static int load(struct machine *m, size_t end)
{
	struct tfs_pickle *p = m->p;
	uint64_t offset = tfs_pickle_place(p, p->len), left = offset < p->in->size ? p->in->size - offset : 0;
	size_t n = end - p->len < PIECE ? PIECE : end - p->len;
	int r;

	if (n > TFS_PICKLE_MAX_SIZE - p->len)
		n = TFS_PICKLE_MAX_SIZE - p->len;
	if (n > left)
		n = left;
	r = tfs_share_scratch(p->share, n) ? -ENOMEM : tfs_input_read(p->in, (char *)p->buf + p->len, n, offset, p->err);
	if (r)
		return r;
	p->charged += n;
	p->len += n;
	return 0;
}

/* The next @n bytes, or NULL, and an error that says what is missing. */
static const char *take(struct machine *m, uint64_t n)
{
	struct tfs_pickle *p = m->p;
	size_t left = p->len - m->at;
	const char *bytes = p->buf + m->at;

	if (n > left && p->in && n <= TFS_PICKLE_MAX_SIZE - m->at) {
		m->failed = load(m, m->at + n);
		if (m->failed)
			return NULL;
		left = p->len - m->at;
	}
	if (n <= left) {
		m->at += n;
		return bytes;
	}
	if (p->in && n > TFS_PICKLE_MAX_SIZE - m->at) {
		refuse(m, "the pickle takes more than %u bytes without its long values", TFS_PICKLE_MAX_SIZE);
	} else if (p->more && n <= TFS_PICKLE_MAX_SIZE - m->at) {
		p->cut = true;
		refuse(m, "the pickle is cut short");
	} else if (p->more) {
		refuse(m, "the pickle takes more than %u bytes", TFS_PICKLE_MAX_SIZE);
	} else {
		refuse(m, "an opcode followed by %" PRIu64 " bytes, but the pickle ends after %zu", n, left);
	}
	return NULL;
}

/* A number of @n bytes, little-endian. */
static int take_uint(struct machine *m, unsigned n, uint64_t *ret)
{
	const char *bytes = take(m, n);

	if (!bytes)
		return -EINVAL;
	*ret = tfs_pickle_uint(bytes, n);
	return 0;
}

/* The current opcode: text and long integers are where it is. */
static int push_here(struct machine *m, enum tfs_pickle_type type)
{
	return push(m, tfs_pickle_of_address(type, m->p->buf + m->opcode));
}

/* The next @len bytes of the file won't be read. */
static int skip(struct machine *m, uint64_t len)
{
	struct tfs_pickle *p = m->p;
	uint64_t offset = tfs_pickle_place(p, m->at);

	if (offset > p->in->size || len > p->in->size - offset)
		return refuse(m, "an opcode followed by %" PRIu64 " bytes, but the file ends after %" PRIu64, len,
			      p->in->size - offset);
	if (tfs_pickle_charge(p, m->opcode, sizeof *p->jumps))
		return -ENOMEM;
	if (tfs_array_room(p->jumps, p->n_jumps, p->room_jumps))
		return -ENOMEM;
	/* What of it was read already is dropped; so is an empty stretch since the last jump. */
	p->jumps[p->n_jumps++] = (struct tfs_pickle_jump){ m->at, offset + len };
	p->len = m->at;
	return 0;
}

/* A FAR of the next @len bytes, on the stack. */
static int push_far(struct machine *m, bool text, uint64_t len)
{
	struct tfs_pickle_value v, *items;
	uint64_t offset = tfs_pickle_place(m->p, m->at);
	int r = tfs_pickle_new_node(m->p, m->opcode, TFS_PICKLE_FAR, TFS_PICKLE_FAR_ITEMS, &v);

	if (!r)
		r = skip(m, len);
	if (r)
		return r;
	items = tfs_pickle_node(&v)->items;
	items[TFS_PICKLE_FAR_OFFSET] = tfs_pickle_of_int(TFS_PICKLE_INT, (int64_t)offset);
	items[TFS_PICKLE_FAR_LENGTH] = tfs_pickle_of_int(TFS_PICKLE_INT, (int64_t)len);
	items[TFS_PICKLE_FAR_TEXT] = tfs_pickle_of_int(TFS_PICKLE_INT, text);
	return push(m, v);
}

/* A string preceded by its length, in @n bytes. */
static int push_string(struct machine *m, enum tfs_pickle_type type, unsigned n)
{
	uint64_t len;
	int r = take_uint(m, n, &len);

	if (r)
		return r;
	if (m->p->in && len >= FAR)
		return push_far(m, type == TFS_PICKLE_STR, len);
	return take(m, len) ? push_here(m, type) : -EINVAL;
}

/* An integer at the current opcode. */
static int push_int(struct machine *m, int64_t i)
{
	if (i < -(INT64_C(1) << (TFS_PICKLE_BITS - 1)) || i >= INT64_C(1) << (TFS_PICKLE_BITS - 1))
		return push_here(m, TFS_PICKLE_LONG);
	return push(m, tfs_pickle_of_int(TFS_PICKLE_INT, i));
}

static int push_bool(struct machine *m, bool b)
{
	return push(m, tfs_pickle_of_int(TFS_PICKLE_BOOL, b));
}

/* An integer of @n bytes, unsigned, or signed, as BININT's. */
static int push_uint(struct machine *m, unsigned n, bool is_signed)
{
	uint64_t v;
	int r = take_uint(m, n, &v);

	return r ? r : push_int(m, is_signed ? (int32_t)v : (int64_t)v);
}

static int push_long(struct machine *m)
{
	struct tfs_pickle_value v = tfs_pickle_of_address(TFS_PICKLE_LONG, m->p->buf + m->opcode);
	int64_t i;

	return tfs_pickle_number(&v, &i) ? push_int(m, i) : push(m, v);
}

/* Two's complement, little-endian, of any length, given in the @n bytes before it. */
static int push_bytes_long(struct machine *m, unsigned n)
{
	uint64_t len;
	int r = take_uint(m, n, &len);

	if (r)
		return r;
	return take(m, len) ? push_long(m) : -EINVAL;
}

/* Up to a newline, which is consumed, too. */
static const char *take_line(struct machine *m, size_t *ret_len)
{
	const char *start = m->p->buf + m->at, *end;

	while (!(end = memchr(start, '\n', m->p->len - m->at))) {
		const size_t at = m->at;

		if (!take(m, (uint64_t)(m->p->len - at) + 1))
			return NULL;
		m->at = at; /* there was more to read */
	}
	*ret_len = end - start;
	m->at += *ret_len + 1;
	return start;
}

/*
 * Digits: protocol 1's bools, "00" and "01", and long integers, followed by an L. Python 2 writes integers that don't fit in 32
 * bits this way even in protocol 2: the keys of its optimizers' states are addresses.
 */
static int push_digits(struct machine *m, bool is_long)
{
	size_t len, i;
	const char *s = take_line(m, &len);

	if (!s)
		return -EINVAL;
	if (!is_long && len == 2 && s[0] == '0' && (s[1] == '0' || s[1] == '1'))
		return push_bool(m, s[1] == '1');
	if (is_long && len && s[len - 1] == 'L')
		len--;
	i = len && s[0] == '-';
	if (i == len)
		return refuse(m, "a number without digits");
	for (; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return refuse(m, "a number with something other than digits");
	return push_long(m);
}

static int push_float(struct machine *m)
{
	return take(m, 8) ? push_here(m, TFS_PICKLE_FLOAT) : -EINVAL;
}

/* --- The memo ---------------------------------------------------------------------------------------------------- */

static struct tfs_pickle_value *memo_at(struct machine *m, uint64_t i)
{
	size_t page = i / PAGE_VALUES;

	return page < m->n_pages && m->memo[page] ? &m->memo[page][i % PAGE_VALUES] : NULL;
}

static int memo_put(struct machine *m, uint64_t i)
{
	size_t page = i / PAGE_VALUES;
	struct tfs_pickle_value **memo;
	int r = need(m, 1);

	if (r)
		return r;
	/* Writers count up from 0, and each number requires at least an opcode. */
	if (i > m->at)
		return refuse(m, "memo index %" PRIu64 " in the first %zu bytes of a pickle", i, m->at);
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
	m->memo[page][i % PAGE_VALUES] = *top(m, 0);
	return 0;
}

static int memo_get(struct machine *m, unsigned n)
{
	const struct tfs_pickle_value *v;
	uint64_t i;
	int r = take_uint(m, n, &i);

	if (r)
		return r;
	v = memo_at(m, i);
	if (!v || !v->word)
		return refuse(m, "memo index %" PRIu64 " is used but was never set", i);
	return push(m, *v);
}

static int memo_put_numbered(struct machine *m, unsigned n)
{
	uint64_t i;
	int r = take_uint(m, n, &i);

	return r ? r : memo_put(m, i);
}

/* --- Containers -------------------------------------------------------------------------------------------------- */

/* Replace the top @n values with a node of them. */
static int collect(struct machine *m, enum tfs_pickle_type type, size_t n)
{
	struct tfs_pickle_value v, *items;
	bool grows = type >= TFS_PICKLE_FIRST_LIST;
	int r = need(m, n);

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
	return push(m, v);
}

static int empty_tuple(struct machine *m)
{
	int r = m->empty_tuple.word ? 0 : tfs_pickle_new_node(m->p, m->opcode, TFS_PICKLE_TUPLE, 0, &m->empty_tuple);

	return r ? r : push(m, m->empty_tuple);
}

/* The same for everything above the last mark. */
static int collect_marked(struct machine *m, enum tfs_pickle_type type)
{
	size_t n = 0;
	int r = pop_mark(m, &n);

	if (!r && type == TFS_PICKLE_DICT && n % 2)
		r = refuse(m, "a dict of an odd number of keys and values, %zu", n);
	return r ? r : collect(m, type, n);
}

/* Where items for @v go: into itself, or into the record of a call's items. */
static int target_of(struct machine *m, struct tfs_pickle_value *v, bool pairs, struct tfs_pickle_node **ret)
{
	enum tfs_pickle_type type = tfs_pickle_type(v);

	if (type == TFS_PICKLE_CALL) {
		v = tfs_pickle_node(v)->items + (pairs ? TFS_PICKLE_PAIRS : TFS_PICKLE_ITEMS);
		if (!v->word) {
			int r = tfs_pickle_new_node(m->p, m->opcode, pairs ? TFS_PICKLE_DICT : TFS_PICKLE_LIST, 0, v);

			if (r)
				return r;
		} else if (!pairs && tfs_pickle_type(v) != TFS_PICKLE_LIST) {
			return refuse(m, "items are put into an array");
		}
	} else if (pairs ? type != TFS_PICKLE_DICT : type != TFS_PICKLE_LIST && type != TFS_PICKLE_SET) {
		return refuse(m, "items are put into something that isn't a %s", pairs ? "dict" : "list");
	}
	*ret = tfs_pickle_node(v);
	return 0;
}

/* Put the @n values above the container into it. */
static int put(struct machine *m, size_t n, bool pairs)
{
	struct tfs_pickle_node *target = NULL;
	int r = need(m, n + 1);

	if (r)
		return r;
	if (pairs && n % 2)
		return refuse(m, "an odd number of keys and values, %zu, is put into a dict", n);
	r = target_of(m, top(m, n), pairs, &target);
	if (!r)
		r = tfs_pickle_add_items(m->p, m->opcode, target, m->stack + m->depth - n, n);
	m->depth -= n;
	return r;
}

static int put_marked(struct machine *m, bool pairs)
{
	size_t n = 0;
	int r = pop_mark(m, &n);

	return r ? r : put(m, n, pairs);
}

/* --- What Python would look up or call ---------------------------------------------------------------------------- */

static int push_global(struct machine *m)
{
	size_t len;
	const char *name;
	int r;

	if (!take_line(m, &len))
		return -EINVAL;
	name = take_line(m, &len);
	if (!name)
		return -EINVAL;
	r = push_here(m, TFS_PICKLE_STR); /* the module */
	if (!r)
		r = push(m, tfs_pickle_of_address(TFS_PICKLE_STR, name - 1));
	return r ? r : collect(m, TFS_PICKLE_GLOBAL, 2);
}

static int stack_global(struct machine *m)
{
	int r = need(m, 2);

	if (r)
		return r;
	if (tfs_pickle_type(top(m, 0)) != TFS_PICKLE_STR || tfs_pickle_type(top(m, 1)) != TFS_PICKLE_STR)
		return refuse(m, "a global whose name or module isn't a string");
	return collect(m, TFS_PICKLE_GLOBAL, 2);
}

/* Callee, arguments, and for NEWOBJ_EX keyword arguments, which are recorded as pairs. */
static int call(struct machine *m, bool keywords)
{
	struct tfs_pickle_value *args, *callee, v;
	int r = need(m, 2 + keywords);

	if (r)
		return r;
	args = top(m, keywords);
	callee = top(m, 1 + keywords);
	if (keywords && tfs_pickle_type(top(m, 0)) != TFS_PICKLE_DICT)
		return refuse(m, "a call with keyword arguments that aren't a dict");
	if (tfs_pickle_type(args) != TFS_PICKLE_TUPLE)
		return refuse(m, "a call with arguments that aren't a tuple");
	switch (tfs_pickle_type(callee)) {
	case TFS_PICKLE_GLOBAL:
	case TFS_PICKLE_PERSID:
	case TFS_PICKLE_CALL:
		break;
	default:
		return refuse(m, "a call of something that is neither a global nor the result of a call");
	}
	r = tfs_pickle_new_node(m->p, m->opcode, TFS_PICKLE_CALL, TFS_PICKLE_CALL_ITEMS, &v);
	if (r)
		return r;
	tfs_pickle_node(&v)->items[TFS_PICKLE_CALLEE] = *callee;
	tfs_pickle_node(&v)->items[TFS_PICKLE_ARGS] = *args;
	if (keywords)
		tfs_pickle_node(&v)->items[TFS_PICKLE_PAIRS] = *top(m, 0);
	m->depth -= 2 + keywords;
	return push(m, v);
}

static int run(struct machine *m);
static void fini(struct machine *m);

/* The next bytes are another pickle: its value becomes the items of the CALL on the stack. */
static int follow_pickle(struct machine *m)
{
	struct machine inner = { .p = m->p, .at = m->at, .level = m->level + 1 };
	int r = inner.level < MAX_FOLLOW ? run(&inner) : refuse(m, "pickles within pickles within pickles");

	if (!r) {
		tfs_pickle_node(top(m, 0))->items[TFS_PICKLE_ITEMS] = m->p->result;
		m->at = inner.at;
	}
	m->failed = inner.failed;
	fini(&inner);
	return r;
}

/* What isn't of the pickle, but among it. */
static int follow(struct machine *m)
{
	uint64_t before = 0, len = 0;
	bool pickle = false;
	int r = m->p->follow(m->p, top(m, 0), tfs_pickle_place(m->p, m->at), &before, &len, &pickle);

	if (!r && before)
		r = skip(m, before);
	if (r || (!len && !pickle))
		return r;
	if (pickle)
		return follow_pickle(m);
	r = push_far(m, false, len);
	if (r)
		return r;
	tfs_pickle_node(top(m, 1))->items[TFS_PICKLE_ITEMS] = *top(m, 0);
	m->depth--;
	return 0;
}

static int build(struct machine *m)
{
	int r = need(m, 2);

	if (r)
		return r;
	if (tfs_pickle_type(top(m, 1)) != TFS_PICKLE_CALL)
		return refuse(m, "a state is set on something that no call has made");
	tfs_pickle_node(top(m, 1))->items[TFS_PICKLE_STATE] = *top(m, 0);
	m->depth--;
	return m->p->in && m->p->follow ? follow(m) : 0;
}

static int persistent(struct machine *m)
{
	int r = collect(m, TFS_PICKLE_PERSID, 1);

	if (r)
		return r;
	tfs_pickle_node(top(m, 0))->items[1] = m->p->persids;
	m->p->persids = *top(m, 0);
	return 0;
}

/* --- Opcodes ----------------------------------------------------------------------------------------------------- */

static int proto(struct machine *m)
{
	uint64_t version;
	int r = take_uint(m, 1, &version);

	if (!r && version > MAX_PROTOCOL)
		r = refuse(m, "pickle protocol %" PRIu64 "; the latest known is %d", version, MAX_PROTOCOL);
	return r;
}

static int pop(struct machine *m)
{
	int r;

	if (m->n_marks && m->marks[m->n_marks - 1] == m->depth) {
		m->n_marks--;
		return 0;
	}
	r = need(m, 1);
	if (!r)
		m->depth--;
	return r;
}

static int pop_to_mark(struct machine *m)
{
	size_t n = 0;
	int r = pop_mark(m, &n);

	if (!r)
		m->depth -= n;
	return r;
}

static int carry_out(struct machine *m, unsigned char opcode)
{
	/* clang-format off */
	switch (opcode) {
	case 0x80: return proto(m);
	case 0x95: return take(m, 8) ? 0 : -EINVAL; /* FRAME: a hint for stream readers */
	case '(':  return push_mark(m);
	case '0':  return pop(m);
	case '1':  return pop_to_mark(m);

	case 'N':  return push(m, tfs_pickle_of_int(TFS_PICKLE_NONE, 0));
	case 0x88: return push_bool(m, true);
	case 0x89: return push_bool(m, false);
	case 'J':  return push_uint(m, 4, true);
	case 'K':  return push_uint(m, 1, false);
	case 'M':  return push_uint(m, 2, false);
	case 0x8a: return push_bytes_long(m, 1);
	case 0x8b: return push_bytes_long(m, 4);
	case 'I':  return push_digits(m, false);
	case 'L':  return push_digits(m, true);
	case 'G':  return push_float(m);
	case 'X':  return push_string(m, TFS_PICKLE_STR, 4);
	case 0x8c: return push_string(m, TFS_PICKLE_STR, 1);
	case 0x8d: return push_string(m, TFS_PICKLE_STR, 8);
	case 'T':
	case 'B':  return push_string(m, TFS_PICKLE_BYTES, 4);
	case 'U':
	case 'C':  return push_string(m, TFS_PICKLE_BYTES, 1);
	case 0x8e:
	case 0x96: return push_string(m, TFS_PICKLE_BYTES, 8); /* BINBYTES8, BYTEARRAY8 */

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
		return refuse(m, "opcode 0x%02x, which torch never writes", opcode);
	}
	/* clang-format on */
}

static int run(struct machine *m)
{
	for (;;) {
		const char *opcode;
		int r;

		m->opcode = m->at;
		opcode = take(m, 1);
		if (!opcode)
			return m->failed ? m->failed : -EINVAL;
		if (*opcode == '.')
			break;
		r = carry_out(m, *opcode);
		if (r)
			return m->failed ? m->failed : r;
	}
	if (m->n_marks || m->depth != 1)
		return refuse(m, "the pickle ends with %zu values and %zu marks on the stack, not with one value", m->depth,
			      m->n_marks);
	m->p->result = m->stack[0];
	m->p->used = m->at;
	return 0;
}

static void fini(struct machine *m)
{
	free(m->stack);
	free(m->marks);
	for (size_t i = 0; i < m->n_pages; i++)
		free(m->memo[i]);
	free(m->memo);
}

int tfs_pickle_read(struct tfs_pickle *p)
{
	struct machine m = { .p = p };
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
