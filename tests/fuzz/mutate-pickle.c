/* SPDX-License-Identifier: MIT */
/*
 * Pickles: opcodes are inserted, removed, moved, and given other arguments (CPython, Lib/pickletools.py). Then whatever the stack lacks for
 * an opcode is put on it, or the opcode is left out, and what remains at the end is collected: so one value is left, as a reader demands.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "mutate.h"

enum { MAX_OPS = 4096, MAX_STACK = 4096, MAX_OUT = 1 << 16 };

struct op {
	const uint8_t *at; /* the opcode, and its argument */
	size_t len;
};

/* What an argument is: so many bytes, a line, two lines, or a length of so many bytes and as many as that says. */
enum { LINE = 16, LINES = 17, COUNTED = 32 };

static unsigned argument_of(uint8_t opcode)
{
	switch (opcode) {
	case 0x80:
	case 'K':
	case 'q':
	case 'h':
		return 1;
	case 'M':
		return 2;
	case 'J':
	case 'r':
	case 'j':
		return 4;
	case 0x95:
	case 'G':
		return 8;
	case 'I':
	case 'L':
	case 'F':
	case 'S':
	case 'V':
	case 'p':
	case 'g':
	case 'P':
		return LINE;
	case 'c':
	case 'i':
		return LINES;
	case 0x8a:
	case 0x8c:
	case 'U':
	case 'C':
		return COUNTED + 1;
	case 'X':
	case 'T':
	case 'B':
	case 0x8b:
		return COUNTED + 4;
	case 0x8d:
	case 0x8e:
	case 0x96:
		return COUNTED + 8;
	default:
		return 0;
	}
}

/* Bytes of the opcode at @at, before @end; 0: it isn't complete. */
static size_t op_len(const uint8_t *at, const uint8_t *end)
{
	const unsigned arg = argument_of(*at);
	const uint8_t *line;
	uint64_t n = 0;

	if (arg == LINE || arg == LINES) {
		line = memchr(at, '\n', (size_t)(end - at));
		if (line && arg == LINES)
			line = memchr(line + 1, '\n', (size_t)(end - line - 1));
		return line ? (size_t)(line - at) + 1 : 0;
	}
	for (unsigned i = arg - COUNTED; arg > COUNTED && i; i--)
		n = n << 8 | (at + i < end ? at[i] : 0);
	const uint64_t len = 1 + (arg > COUNTED ? arg - COUNTED : arg);
	return n <= (uint64_t)(end - at) && len + n <= (uint64_t)(end - at) ? len + n : 0;
}

static size_t parse(const uint8_t *data, size_t size, struct op *ops)
{
	size_t n = 0;

	for (const uint8_t *at = data, *end = data + size; at < end && n < MAX_OPS / 2;) {
		const size_t len = op_len(at, end);

		if (!len || *at == '.')
			break;
		ops[n++] = (struct op){ at, len };
		at += len;
	}
	return n;
}

/* --- Changes ---------------------------------------------------------------------------------------------------------- */

#define OP(bytes)                                           \
	{                                                   \
		(const uint8_t *)(bytes), sizeof(bytes) - 1 \
	}

/* What may be inserted; with each, arguments that mean something to readers of these files. */
static const struct op some[] = {
	OP("("),
	OP("0"),
	OP("1"),
	OP("N"),
	OP("\x88"),
	OP("\x89"),
	OP("]"),
	OP("}"),
	OP(")"),
	OP("\x8f"),
	OP("\x85"),
	OP("\x86"),
	OP("\x87"),
	OP("t"),
	OP("l"),
	OP("d"),
	OP("\x91"),
	OP("a"),
	OP("e"),
	OP("\x90"),
	OP("s"),
	OP("u"),
	OP("\x94"),
	OP("\x93"),
	OP("R"),
	OP("\x81"),
	OP("\x92"),
	OP("b"),
	OP("Q"),
	OP("2"),
	OP("\x80\x02"),
	OP("\x80\x05"),
	OP("K\x00"),
	OP("K\x05"),
	OP("M\x00\x01"),
	OP("J\xff\xff\xff\xff"),
	OP("J\x00\x00\x00\x7f"),
	OP("\x8a\x00"),
	OP("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00"),
	OP("\x8b\x01\x00\x00\x00\x07"),
	OP("I00\n"),
	OP("I-1\n"),
	OP("L12L\n"),
	OP("G\x3f\xf0\x00\x00\x00\x00\x00\x00"),
	OP("q\x00"),
	OP("q\x01"),
	OP("r\x02\x00\x00\x00"),
	OP("h\x00"),
	OP("h\x01"),
	OP("j\x00\x00\x00\x00"),
	OP("X\x07\x00\x00\x00storage"),
	OP("\x8c\x03"
	   "cpu"),
	OP("\x8c\x01"
	   "0"),
	OP("\x8d\x01\x00\x00\x00\x00\x00\x00\x00w"),
	OP("C\x02\x00\x01"),
	OP("U\x01"
	   "b"),
	OP("B\x04\x00\x00\x00<f4<"),
	OP("\x8e\x01\x00\x00\x00\x00\x00\x00\x00z"),
	OP("\x96\x01\x00\x00\x00\x00\x00\x00\x00y"),
	OP("ctorch\nFloatStorage\n"),
	OP("ctorch._utils\n_rebuild_tensor_v2\n"),
	OP("ccollections\nOrderedDict\n"),
	OP("cnumpy.core.multiarray\n_reconstruct\n"),
	OP("cnumpy\ndtype\n"),
	OP("cnumpy\nndarray\n"),
	OP("c_codecs\nencode\n"),
	OP("ctorch\nStorage\n"),
	OP("ctorch._utils\n_rebuild_parameter\n"),
	OP("cbuiltins\ngetattr\n"),
	OP("\x95\x00\x00\x00\x00\x00\x00\x00\x00"),
};
enum { N_SOME = sizeof some / sizeof *some };

/* Arguments that were changed. */
struct changed {
	uint8_t bytes[MAX_OUT];
	size_t n;
};

/* The opcode with another argument; a text's is changed within, so it stays as long. */
static struct op change(const struct op *op, struct changed *c, uint64_t *state)
{
	const unsigned arg = argument_of(*op->at);
	uint8_t *to = c->bytes + c->n;
	const size_t head = arg > COUNTED ? 1 + arg - COUNTED : 1;
	const uint64_t number = mutate_number(state);

	if (!arg || op->len > sizeof c->bytes - c->n || op->len > 4096)
		return some[mutate_any(state, N_SOME)];
	memcpy(to, op->at, op->len);
	c->n += op->len;
	if (arg <= 8)
		memcpy(to + 1, &number, arg); /* little-endian, as hosts are */
	else if (op->len > head + (arg < COUNTED))
		to[head + mutate_any(state, op->len - head - (arg < COUNTED))] = arg == LINE ?
											 (uint8_t)('0' + mutate_any(state, 10)) :
											 "a._0/%Z~"[mutate_any(state, 8)];
	return (struct op){ to, op->len };
}

/* Copy @n of them from @from to @to, before the one that is there. */
static size_t insert(struct op *ops, size_t n, size_t to, const struct op *from, size_t n_from)
{
	struct op copy[32];

	n_from = n_from < 32 ? n_from : 32;
	if (n + n_from > MAX_OPS)
		return n;
	memcpy(copy, from, n_from * sizeof *from);
	memmove(ops + to + n_from, ops + to, (n - to) * sizeof *ops);
	memcpy(ops + to, copy, n_from * sizeof *ops);
	return n + n_from;
}

static size_t mutate(struct op *ops, size_t n, struct changed *c, uint64_t *state)
{
	const size_t at = mutate_any(state, n + 1), other = mutate_any(state, n + 1);
	const size_t len = 1 + mutate_any(state, 8), left = n - other < len ? n - other : len;
	struct op op;

	switch (n ? mutate_any(state, 7) : 0) {
	case 0:
	case 1:
		return insert(ops, n, at, &some[mutate_any(state, N_SOME)], 1);
	case 2: /* leave some out */
		memmove(ops + other, ops + other + left, (n - other - left) * sizeof *ops);
		return n - left;
	case 3: /* twice */
		return insert(ops, n, at, ops + other, left);
	case 4:
		if (at >= n || other >= n)
			return n;
		op = ops[at];
		ops[at] = ops[other];
		ops[other] = op;
		return n;
	default:
		if (at < n)
			ops[at] = change(&ops[at], c, state);
		return n;
	}
}

/* --- The stack -------------------------------------------------------------------------------------------------------- */

/* What is on it: a mark, a dict, a list or set, a tuple, a text, what may be called or is the result of that; or anything else. */
enum kind { MARK, DICT, LIST, TUPLE, TEXT, CALLED, OTHER, ANY };

struct machine {
	uint8_t stack[MAX_STACK], memo[256], *out, *end;
	size_t depth;
	uint8_t n_memo;
	uint64_t *state;
	bool full;
};

static void put(struct machine *m, const void *bytes, size_t len)
{
	m->full = m->full || len > (size_t)(m->end - m->out) || m->depth + 8 > MAX_STACK;
	if (m->full)
		return;
	memcpy(m->out, bytes, len);
	m->out += len;
}

static void push(struct machine *m, enum kind kind, const char *bytes, size_t len)
{
	put(m, bytes, len);
	if (!m->full)
		m->stack[m->depth++] = (uint8_t)kind;
}

static void push_new(struct machine *m, enum kind kind)
{
	static const char *const made[] = { "(", "}", "]", ")", "\x8c\x01s", "ctorch\nStorage\n", "N", "N" };

	push(m, kind, made[kind], strlen(made[kind]));
}

/* Is there such a value, @below others, above the last mark? */
static bool has(const struct machine *m, size_t below, enum kind kind)
{
	for (size_t i = 0; i <= below; i++)
		if (i >= m->depth || m->stack[m->depth - 1 - i] == MARK)
			return false;
	return kind == ANY || m->stack[m->depth - 1 - below] == kind;
}

/* Values above the last mark; all of them if there is none: then *@ret_mark is false. */
static size_t above_mark(const struct machine *m, bool *ret_mark)
{
	size_t n = 0;

	while (n < m->depth && m->stack[m->depth - 1 - n] != MARK)
		n++;
	*ret_mark = n < m->depth;
	return n;
}

/* Rarely, what is wrong stays wrong. */
static bool stays_wrong(struct machine *m)
{
	return !mutate_any(m->state, 200);
}

/* Replace @n values by one. False: they aren't there, and the opcode is left out. */
static bool take(struct machine *m, const struct op *op, size_t n, enum kind kind)
{
	while (n && !has(m, n - 1, ANY) && !stays_wrong(m) && !m->full)
		push_new(m, OTHER);
	if (n > m->depth)
		return false;
	m->depth -= n;
	push(m, kind, (const char *)op->at, op->len);
	return true;
}

/* Everything above the mark becomes one value; @pairs: of an even number. */
static void take_marked(struct machine *m, const struct op *op, enum kind kind, bool pairs)
{
	bool mark;
	size_t n = above_mark(m, &mark);

	if (!mark) {
		push_new(m, MARK);
		n = 0;
	}
	if (pairs && n % 2 && !stays_wrong(m)) {
		push_new(m, OTHER);
		n++;
	}
	if (m->full)
		return;
	m->depth -= n + 1;
	push(m, kind, (const char *)op->at, op->len);
}

/* Put the @n values above a container, or those above the mark, into it. */
static void put_into(struct machine *m, const struct op *op, size_t n, bool marked, enum kind kind)
{
	bool mark = marked;
	const size_t above = marked ? above_mark(m, &mark) : n, below = above + marked;
	const bool is = mark && below < m->depth &&
			(m->stack[m->depth - 1 - below] == kind || m->stack[m->depth - 1 - below] == CALLED);

	if ((!is || (!marked && !has(m, n, ANY)) || (marked && kind == DICT && above % 2)) && !stays_wrong(m))
		return;
	if (below > m->depth)
		return;
	m->depth -= below;
	put(m, op->at, op->len);
}

static void call(struct machine *m, const struct op *op, bool keywords)
{
	if (!has(m, 1 + keywords, ANY) || !has(m, keywords, TUPLE) || !has(m, 1 + keywords, CALLED)) {
		push_new(m, CALLED);
		push_new(m, TUPLE);
		if (keywords)
			push_new(m, DICT);
	}
	take(m, op, 2 + keywords, CALLED);
}

static void use_memo(struct machine *m, const struct op *op)
{
	uint8_t get[] = { 'h', op->at[1] };

	if (!m->n_memo && !stays_wrong(m))
		return;
	if (m->n_memo)
		get[1] %= m->n_memo;
	push(m, (enum kind)m->memo[get[1]], (const char *)get, sizeof get);
}

/* All are numbered in their order, as MEMOIZE does, and the first few hundred have a number. */
static void set_memo(struct machine *m, const struct op *op)
{
	const uint8_t set[] = { 'q', m->n_memo };

	if (!has(m, 0, ANY) || m->n_memo == 255)
		return;
	m->memo[m->n_memo++] = m->stack[m->depth - 1];
	if (*op->at == 0x94)
		put(m, op->at, op->len);
	else
		put(m, set, sizeof set);
}

static void carry_out(struct machine *m, const struct op *op)
{
	const char *bytes = (const char *)op->at;

	switch (*op->at) {
	case 0x80:
	case 0x95:
		put(m, bytes, op->len);
		break;
	case '(':
		push(m, MARK, bytes, op->len);
		break;
	case '0':
		if (m->depth) {
			m->depth--;
			put(m, bytes, op->len);
		}
		break;
	case '1':
		take_marked(m, op, OTHER, false);
		m->depth -= !m->full; /* it leaves nothing */
		break;
	case '}':
		push(m, DICT, bytes, op->len);
		break;
	case ']':
	case 0x8f:
		push(m, LIST, bytes, op->len);
		break;
	case ')':
		push(m, TUPLE, bytes, op->len);
		break;
	case 'X':
	case 0x8c:
	case 0x8d:
		push(m, TEXT, bytes, op->len);
		break;
	case 'c':
		push(m, CALLED, bytes, op->len);
		break;
	case 0x85:
	case 0x86:
	case 0x87:
		take(m, op, *op->at - 0x84u, TUPLE);
		break;
	case 't':
		take_marked(m, op, TUPLE, false);
		break;
	case 'l':
	case 0x91:
		take_marked(m, op, LIST, false);
		break;
	case 'd':
		take_marked(m, op, DICT, true);
		break;
	case 'a':
		put_into(m, op, 1, false, LIST);
		break;
	case 'e':
	case 0x90:
		put_into(m, op, 0, true, LIST);
		break;
	case 's':
		put_into(m, op, 2, false, DICT);
		break;
	case 'u':
		put_into(m, op, 0, true, DICT);
		break;
	case 'q':
	case 'r':
	case 0x94:
		set_memo(m, op);
		break;
	case 'h':
	case 'j':
		use_memo(m, op);
		break;
	case 0x93:
		if (!has(m, 0, TEXT) || !has(m, 1, TEXT)) {
			push_new(m, TEXT);
			push_new(m, TEXT);
		}
		take(m, op, 2, CALLED);
		break;
	case 'R':
	case 0x81:
		call(m, op, false);
		break;
	case 0x92:
		call(m, op, true);
		break;
	case 'b':
		if (has(m, 1, CALLED) || stays_wrong(m))
			take(m, op, 2, CALLED);
		break;
	case 'Q':
		take(m, op, 1, CALLED);
		break;
	default:
		push(m, OTHER, bytes, op->len);
	}
}

/* One value, and the end. */
static void finish(struct machine *m)
{
	static const struct op tuple = OP("t"), pair = OP("\x86");
	bool mark;

	for (above_mark(m, &mark); mark && !m->full; above_mark(m, &mark))
		take_marked(m, &tuple, TUPLE, false);
	while (m->depth > 1 && !m->full)
		take(m, &pair, 2, TUPLE);
	if (!m->depth)
		push_new(m, OTHER);
	put(m, ".", 1);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	static struct op ops[MAX_OPS];
	static struct changed changed;
	static uint8_t out[MAX_OUT];
	static struct machine m;
	uint64_t state = mutate_start(seed);
	size_t n = parse(data, size, ops);

	if (!mutate_any(&state, 4))
		return LLVMFuzzerMutate(data, size, max);
	changed.n = 0;
	for (uint64_t i = 1 + mutate_any(&state, 4); i; i--)
		n = mutate(ops, n, &changed, &state);
	m = (struct machine){ .out = out, .end = out + (max < MAX_OUT ? max : MAX_OUT), .state = &state };
	for (size_t i = 0; i < n && !m.full; i++)
		carry_out(&m, &ops[i]);
	finish(&m);
	if (m.full)
		return LLVMFuzzerMutate(data, size, max);
	memcpy(data, out, (size_t)(m.out - out));
	return (size_t)(m.out - out);
}
