/* SPDX-License-Identifier: MIT */
/*
 * The opcodes are those that CPython's pickler writes in protocols 1 to 5, less those for what lies outside the pickle (extension
 * codes, out-of-band buffers). The other text opcodes of protocol 0 are refused: in it torch cannot name storages. What torch's own
 * restricted reader (torch/_weights_only_unpickler.py) takes is taken here.
 */
#include "format/pickle.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"

/* The last one that there is (Python 3.8). */
#define MAX_PROTOCOL 5

/* The memo is a table of pages, so that an index with nothing below it costs one page. */
#define PAGE_VALUES 256

#define MAX_SPAN 65536 /* a container that grows gets that many places ahead at most */

struct machine {
	struct tfs_pickle *p;
	size_t at;     /* next byte */
	size_t opcode; /* place of the one that is carried out */
	struct tfs_pickle_value *stack;
	size_t depth, room_stack;
	size_t *marks; /* places on the stack */
	size_t n_marks, room_marks;
	struct tfs_pickle_value **memo;
	size_t n_pages, n_memo; /* n_memo: indices that are set, for MEMOIZE */
	struct tfs_pickle_value empty_tuple; /* once there is one: they are all the same */
};

/* Some of the items of a list, set or dict. */
struct tfs_pickle_span {
	struct tfs_pickle_span *next; /* behind the last one the first */
	uint32_t n, room;
	struct tfs_pickle_value items[];
};

int tfs_pickle_error(const struct tfs_pickle *p, int code, size_t at, const char *fmt, ...)
{
	char what[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (p->inflated)
		return tfs_error_set(p->err, code, p->offset, "byte %zu of the inflated pickle: %s", at, what);
	return tfs_error_set(p->err, code, p->offset + at, "%s", what);
}

#define refuse(m, ...) tfs_pickle_error((m)->p, -EINVAL, (m)->opcode, __VA_ARGS__)

/* --- Values ------------------------------------------------------------------------------------------------------ */

#define BITS 56 /* of a value, beside its type */

static struct tfs_pickle_value of_int(enum tfs_pickle_type type, int64_t i)
{
	return (struct tfs_pickle_value){ (uint64_t)i << 8 | type };
}

static struct tfs_pickle_value of_address(enum tfs_pickle_type type, const void *p)
{
	assert((uint64_t)(uintptr_t)p >> BITS == 0);
	return (struct tfs_pickle_value){ (uint64_t)(uintptr_t)p << 8 | type };
}

/* Account for @n bytes of memory. */
static int charge(struct machine *m, size_t n)
{
	if (n > TFS_PICKLE_MAX_MEMORY - m->p->memory)
		return tfs_pickle_error(m->p, -EINVAL, m->opcode, "the pickle's values take more than %u bytes",
					TFS_PICKLE_MAX_MEMORY);
	m->p->memory += n;
	return 0;
}

/* A node of @n items, all ABSENT, or of a type that grows. */
static int new_node(struct machine *m, enum tfs_pickle_type type, size_t n, struct tfs_pickle_value *ret)
{
	size_t room = type >= TFS_PICKLE_FIRST_LIST ? 1 : n + (type == TFS_PICKLE_PERSID);
	struct tfs_pickle_node *node;
	size_t size = sizeof *node + room * sizeof *node->items;
	int rc = charge(m, size);

	if (rc)
		return rc;
	node = tfs_arena_alloc(&m->p->arena, size, alignof(struct tfs_pickle_node));
	if (!node)
		return -ENOMEM;
	memset(node, 0, size);
	node->at = m->opcode;
	node->n_items = n;
	*ret = of_address(type, node);
	return 0;
}

/* Of a list, set or dict; NULL where it is empty. */
static struct tfs_pickle_span *last_span(const struct tfs_pickle_node *node)
{
	return (struct tfs_pickle_span *)(uintptr_t)(node->items[0].word >> 8);
}

/* Add @n values to a list, set or dict. */
static int add_items(struct machine *m, struct tfs_pickle_node *node, const struct tfs_pickle_value *items, size_t n)
{
	struct tfs_pickle_span *last = last_span(node), *span = last;
	size_t room, size;
	int rc;

	if (!n)
		return 0;
	if (!span || span->room - span->n < n) {
		/* Twice as many as it has, so that appending one by one costs no more than twice; even, for the pairs of dicts. */
		room = node->n_items < MAX_SPAN ? node->n_items : MAX_SPAN;
		if (room < n)
			room = n;
		size = sizeof *span + room * sizeof *items;
		rc = charge(m, size);
		if (rc)
			return rc;
		span = tfs_arena_alloc(&m->p->arena, size, alignof(struct tfs_pickle_span));
		if (!span)
			return -ENOMEM;
		*span = (struct tfs_pickle_span){ .next = span, .room = room };
		if (last) {
			span->next = last->next;
			last->next = span;
		}
		node->items[0] = of_address(TFS_PICKLE_ABSENT, span);
	}
	memcpy(span->items + span->n, items, n * sizeof *items);
	span->n += n;
	node->n_items += n;
	return 0;
}

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
	last = last_span(node);
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

/* @n bytes, little-endian. */
static uint64_t read_uint(const char *bytes, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | (unsigned char)bytes[n];
	return v;
}

static const char *opcode_of(const struct tfs_pickle_value *text)
{
	return (const char *)(uintptr_t)(text->word >> 8);
}

/*
 * A text's value is the address of the opcode in front of it, which has been found to be whole. Of a line it is the byte in front of
 * it, which is an opcode or the end of another line.
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
	*ret_len = read_uint(text, n);
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
	/* Bytes at the end that only repeat the sign. */
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

/* --- The stack --------------------------------------------------------------------------------------------------- */

static int push(struct machine *m, struct tfs_pickle_value v)
{
	if (m->depth == m->room_stack) {
		int rc = charge(m, (m->room_stack ? m->room_stack : 16) * sizeof v);

		if (rc)
			return rc;
		if (tfs_array_room(m->stack, m->depth, m->room_stack))
			return -ENOMEM;
	}
	m->stack[m->depth++] = v;
	return 0;
}

/* How many values may be popped: those above the last mark. */
static size_t poppable(const struct machine *m)
{
	return m->depth - (m->n_marks ? m->marks[m->n_marks - 1] : 0);
}

static int need(struct machine *m, size_t n)
{
	if (poppable(m) < n)
		return refuse(m, "an opcode takes %zu values from the stack, which has %zu", n, poppable(m));
	return 0;
}

/* @i = 0: the topmost. */
static struct tfs_pickle_value *top(struct machine *m, size_t i)
{
	return &m->stack[m->depth - 1 - i];
}

static int push_mark(struct machine *m)
{
	int rc = charge(m, sizeof *m->marks);

	if (rc)
		return rc;
	if (tfs_array_room(m->marks, m->n_marks, m->room_marks))
		return -ENOMEM;
	m->marks[m->n_marks++] = m->depth;
	return 0;
}

/* Take the last mark away; @ret_n values stood above it. */
static int pop_mark(struct machine *m, size_t *ret_n)
{
	if (!m->n_marks)
		return refuse(m, "an opcode takes values down to a mark, and there is none");
	*ret_n = poppable(m);
	m->n_marks--;
	return 0;
}

/* --- The bytes --------------------------------------------------------------------------------------------------- */

/* The next @n bytes, or NULL, and an error that says what lacks. */
static const char *take(struct machine *m, uint64_t n)
{
	struct tfs_pickle *p = m->p;
	size_t left = p->len - m->at;
	const char *bytes = p->buf + m->at;

	if (n <= left) {
		m->at += n;
		return bytes;
	}
	if (p->more && n <= TFS_PICKLE_MAX_SIZE - m->at) {
		p->cut = true;
		refuse(m, "the pickle is cut short");
	} else if (p->more) {
		refuse(m, "the pickle takes more than %u bytes", TFS_PICKLE_MAX_SIZE);
	} else {
		refuse(m, "an opcode with %" PRIu64 " bytes behind it, where the pickle ends after %zu", n, left);
	}
	return NULL;
}

/* A number of @n bytes, little-endian. */
static int take_uint(struct machine *m, unsigned n, uint64_t *ret)
{
	const char *bytes = take(m, n);

	if (!bytes)
		return -EINVAL;
	*ret = read_uint(bytes, n);
	return 0;
}

/* The opcode that is carried out: text and long integers are where it is. */
static int push_here(struct machine *m, enum tfs_pickle_type type)
{
	return push(m, of_address(type, m->p->buf + m->opcode));
}

/* A string whose length comes first, in @n bytes. */
static int push_string(struct machine *m, enum tfs_pickle_type type, unsigned n)
{
	uint64_t len;
	int rc = take_uint(m, n, &len);

	if (rc)
		return rc;
	return take(m, len) ? push_here(m, type) : -EINVAL;
}

/* An integer whose opcode is the one that is carried out. */
static int push_int(struct machine *m, int64_t i)
{
	if (i < -(INT64_C(1) << (BITS - 1)) || i >= INT64_C(1) << (BITS - 1))
		return push_here(m, TFS_PICKLE_LONG);
	return push(m, of_int(TFS_PICKLE_INT, i));
}

static int push_bool(struct machine *m, bool b)
{
	return push(m, of_int(TFS_PICKLE_BOOL, b));
}

/* An integer of @n bytes, unsigned, or signed, as BININT's. */
static int push_uint(struct machine *m, unsigned n, bool is_signed)
{
	uint64_t v;
	int rc = take_uint(m, n, &v);

	return rc ? rc : push_int(m, is_signed ? (int32_t)v : (int64_t)v);
}

static int push_long(struct machine *m)
{
	struct tfs_pickle_value v = of_address(TFS_PICKLE_LONG, m->p->buf + m->opcode);
	int64_t i;

	return tfs_pickle_number(&v, &i) ? push_int(m, i) : push(m, v);
}

/* Two's complement, little-endian, of any length, which is in @n bytes before it. */
static int push_bytes_long(struct machine *m, unsigned n)
{
	uint64_t len;
	int rc = take_uint(m, n, &len);

	if (rc)
		return rc;
	return take(m, len) ? push_long(m) : -EINVAL;
}

/* Up to a newline, which is taken, too. */
static const char *take_line(struct machine *m, size_t *ret_len)
{
	const char *start = m->p->buf + m->at, *end = memchr(start, '\n', m->p->len - m->at);

	if (!end) {
		take(m, (uint64_t)(m->p->len - m->at) + 1);
		return NULL;
	}
	*ret_len = end - start;
	m->at += *ret_len + 1;
	return start;
}

/*
 * Digits: protocol 1's bools, "00" and "01", and long integers, with an L behind them. Python 2 writes integers that do not fit into
 * 32 bits so in protocol 2, too: the keys of its optimizers' states are addresses.
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
			return refuse(m, "a number that has something else than digits");
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
	int rc = need(m, 1);

	if (rc)
		return rc;
	/* Writers count up from 0, and each number takes at least an opcode. */
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
		rc = charge(m, PAGE_VALUES * sizeof **m->memo);
		if (rc)
			return rc;
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
	int rc = take_uint(m, n, &i);

	if (rc)
		return rc;
	v = memo_at(m, i);
	if (!v || !v->word)
		return refuse(m, "memo index %" PRIu64 " is used and was never set", i);
	return push(m, *v);
}

static int memo_put_numbered(struct machine *m, unsigned n)
{
	uint64_t i;
	int rc = take_uint(m, n, &i);

	return rc ? rc : memo_put(m, i);
}

/* --- Containers -------------------------------------------------------------------------------------------------- */

/* Replace the top @n values by a node of them. */
static int collect(struct machine *m, enum tfs_pickle_type type, size_t n)
{
	struct tfs_pickle_value v, *items;
	bool grows = type >= TFS_PICKLE_FIRST_LIST;
	int rc = need(m, n);

	if (!rc)
		rc = new_node(m, type, grows ? 0 : n, &v);
	if (rc)
		return rc;
	items = m->stack + m->depth - n;
	if (grows)
		rc = add_items(m, tfs_pickle_node(&v), items, n);
	else
		memcpy(tfs_pickle_node(&v)->items, items, n * sizeof *items);
	if (rc)
		return rc;
	m->depth -= n;
	return push(m, v);
}

static int empty_tuple(struct machine *m)
{
	int rc = m->empty_tuple.word ? 0 : new_node(m, TFS_PICKLE_TUPLE, 0, &m->empty_tuple);

	return rc ? rc : push(m, m->empty_tuple);
}

/* The same with all above the last mark. */
static int collect_marked(struct machine *m, enum tfs_pickle_type type)
{
	size_t n = 0;
	int rc = pop_mark(m, &n);

	if (!rc && type == TFS_PICKLE_DICT && n % 2)
		rc = refuse(m, "a dict of %zu keys and values", n);
	return rc ? rc : collect(m, type, n);
}

/* Where what is put into @v goes: into itself, or into what a call is noted to have got. */
static int target_of(struct machine *m, struct tfs_pickle_value *v, bool pairs, struct tfs_pickle_node **ret)
{
	enum tfs_pickle_type type = tfs_pickle_type(v);

	if (type == TFS_PICKLE_CALL) {
		v = tfs_pickle_node(v)->items + (pairs ? TFS_PICKLE_PAIRS : TFS_PICKLE_ITEMS);
		if (!v->word) {
			int rc = new_node(m, pairs ? TFS_PICKLE_DICT : TFS_PICKLE_LIST, 0, v);

			if (rc)
				return rc;
		}
	} else if (pairs ? type != TFS_PICKLE_DICT : type != TFS_PICKLE_LIST && type != TFS_PICKLE_SET) {
		return refuse(m, "items are put into what is no %s", pairs ? "dict" : "list");
	}
	*ret = tfs_pickle_node(v);
	return 0;
}

/* Put the @n values above the container into it. */
static int put(struct machine *m, size_t n, bool pairs)
{
	struct tfs_pickle_node *target = NULL;
	int rc = need(m, n + 1);

	if (rc)
		return rc;
	if (pairs && n % 2)
		return refuse(m, "%zu keys and values are put into a dict", n);
	rc = target_of(m, top(m, n), pairs, &target);
	if (!rc)
		rc = add_items(m, target, m->stack + m->depth - n, n);
	m->depth -= n;
	return rc;
}

static int put_marked(struct machine *m, bool pairs)
{
	size_t n = 0;
	int rc = pop_mark(m, &n);

	return rc ? rc : put(m, n, pairs);
}

/* --- What Python would look up or call ---------------------------------------------------------------------------- */

static int push_global(struct machine *m)
{
	size_t len;
	const char *name;
	int rc;

	if (!take_line(m, &len))
		return -EINVAL;
	name = take_line(m, &len);
	if (!name)
		return -EINVAL;
	rc = push_here(m, TFS_PICKLE_STR); /* the module */
	if (!rc)
		rc = push(m, of_address(TFS_PICKLE_STR, name - 1));
	return rc ? rc : collect(m, TFS_PICKLE_GLOBAL, 2);
}

static int stack_global(struct machine *m)
{
	int rc = need(m, 2);

	if (rc)
		return rc;
	if (tfs_pickle_type(top(m, 0)) != TFS_PICKLE_STR || tfs_pickle_type(top(m, 1)) != TFS_PICKLE_STR)
		return refuse(m, "a global whose name or module is no string");
	return collect(m, TFS_PICKLE_GLOBAL, 2);
}

/* Callee, arguments, and for NEWOBJ_EX those by keyword, which are noted as pairs. */
static int call(struct machine *m, bool keywords)
{
	struct tfs_pickle_value *args, *callee, v;
	int rc = need(m, 2 + keywords);

	if (rc)
		return rc;
	args = top(m, keywords);
	callee = top(m, 1 + keywords);
	if (keywords && tfs_pickle_type(top(m, 0)) != TFS_PICKLE_DICT)
		return refuse(m, "a call with keyword arguments that are no dict");
	if (tfs_pickle_type(args) != TFS_PICKLE_TUPLE)
		return refuse(m, "a call with arguments that are no tuple");
	switch (tfs_pickle_type(callee)) {
	case TFS_PICKLE_GLOBAL:
	case TFS_PICKLE_PERSID:
	case TFS_PICKLE_CALL:
		break;
	default:
		return refuse(m, "a call of what is neither a global nor made by a call");
	}
	rc = new_node(m, TFS_PICKLE_CALL, TFS_PICKLE_CALL_ITEMS, &v);
	if (rc)
		return rc;
	tfs_pickle_node(&v)->items[TFS_PICKLE_CALLEE] = *callee;
	tfs_pickle_node(&v)->items[TFS_PICKLE_ARGS] = *args;
	if (keywords)
		tfs_pickle_node(&v)->items[TFS_PICKLE_PAIRS] = *top(m, 0);
	m->depth -= 2 + keywords;
	return push(m, v);
}

static int build(struct machine *m)
{
	int rc = need(m, 2);

	if (rc)
		return rc;
	if (tfs_pickle_type(top(m, 1)) != TFS_PICKLE_CALL)
		return refuse(m, "a state is set in what no call has made");
	tfs_pickle_node(top(m, 1))->items[TFS_PICKLE_STATE] = *top(m, 0);
	m->depth--;
	return 0;
}

static int persistent(struct machine *m)
{
	int rc = collect(m, TFS_PICKLE_PERSID, 1);

	if (rc)
		return rc;
	tfs_pickle_node(top(m, 0))->items[1] = m->p->persids;
	m->p->persids = *top(m, 0);
	return 0;
}

/* --- Opcodes ----------------------------------------------------------------------------------------------------- */

static int proto(struct machine *m)
{
	uint64_t version;
	int rc = take_uint(m, 1, &version);

	if (!rc && version > MAX_PROTOCOL)
		rc = refuse(m, "pickle protocol %" PRIu64 "; the last one known is %d", version, MAX_PROTOCOL);
	return rc;
}

static int pop(struct machine *m)
{
	int rc;

	if (m->n_marks && m->marks[m->n_marks - 1] == m->depth) {
		m->n_marks--;
		return 0;
	}
	rc = need(m, 1);
	if (!rc)
		m->depth--;
	return rc;
}

static int pop_to_mark(struct machine *m)
{
	size_t n = 0;
	int rc = pop_mark(m, &n);

	if (!rc)
		m->depth -= n;
	return rc;
}

static int carry_out(struct machine *m, unsigned char opcode)
{
	/* clang-format off */
	switch (opcode) {
	case 0x80: return proto(m);
	case 0x95: return take(m, 8) ? 0 : -EINVAL; /* FRAME: a hint for readers of streams */
	case '(':  return push_mark(m);
	case '0':  return pop(m);
	case '1':  return pop_to_mark(m);

	case 'N':  return push(m, of_int(TFS_PICKLE_NONE, 0));
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
		return refuse(m, "opcode 0x%02x, which no file of torch's has", opcode);
	}
	/* clang-format on */
}

static int run(struct machine *m)
{
	for (;;) {
		const char *opcode;
		int rc;

		m->opcode = m->at;
		opcode = take(m, 1);
		if (!opcode)
			return -EINVAL;
		if (*opcode == '.')
			break;
		rc = carry_out(m, *opcode);
		if (rc)
			return rc;
	}
	if (m->n_marks || m->depth != 1)
		return refuse(m, "the pickle ends with %zu values and %zu marks on the stack, not with one value",
			      m->depth, m->n_marks);
	m->p->result = m->stack[0];
	m->p->used = m->at;
	return 0;
}

int tfs_pickle_read(struct tfs_pickle *p)
{
	struct machine m = { .p = p };
	int rc = p->len ? run(&m) : tfs_pickle_error(p, -EINVAL, 0, "the file ends where a pickle should begin");

	if (rc == -ENOMEM)
		tfs_pickle_error(p, rc, m.opcode, "no memory for the values of a pickle");
	free(m.stack);
	free(m.marks);
	for (size_t i = 0; i < m.n_pages; i++)
		free(m.memo[i]);
	free(m.memo);
	return rc;
}

void tfs_pickle_fini(struct tfs_pickle *p)
{
	tfs_arena_fini(&p->arena);
}
