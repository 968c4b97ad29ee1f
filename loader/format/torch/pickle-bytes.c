/* SPDX-License-Identifier: MIT */
/* What pickle.c's opcodes take from the bytes after them, and push on the stack. */
#include "format/torch/pickle-machine.h"

#include <inttypes.h>
#include <string.h>

#include "base/array.h"
#include "base/scan.h"
#include "storage/storage.h"

/* How much of a file is read at a time, and what isn't read at all. No name is as long (TFS_TORCH_MAX_NAME). */
enum { PIECE = 1 << 18, FAR = 1 << 17 };

/* --- The stack --------------------------------------------------------------------------------------------------- */

int tfs_pickle_push(struct tfs_pickle_machine *m, struct tfs_pickle_value v)
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
static size_t poppable(const struct tfs_pickle_machine *m)
{
	return m->depth - (m->n_marks ? m->marks[m->n_marks - 1] : 0);
}

int tfs_pickle_need(struct tfs_pickle_machine *m, size_t n)
{
	if (poppable(m) < n)
		return tfs_pickle_refuse(m, "an opcode pops %zu values from a stack of %zu", n, poppable(m));
	return 0;
}

int tfs_pickle_push_mark(struct tfs_pickle_machine *m)
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
int tfs_pickle_pop_mark(struct tfs_pickle_machine *m, size_t *ret_n)
{
	if (!m->n_marks)
		return tfs_pickle_refuse(m, "an opcode pops down to a mark, but there is none");
	*ret_n = poppable(m);
	m->n_marks--;
	return 0;
}

/* --- The bytes --------------------------------------------------------------------------------------------------- */

/* Read more of the file, up to byte @end of the buffer, if there is as much. */
static int load(struct tfs_pickle_machine *m, size_t end)
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
const char *tfs_pickle_take(struct tfs_pickle_machine *m, uint64_t n)
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
		tfs_pickle_refuse(m, "the pickle takes more than %u bytes without its long values", TFS_PICKLE_MAX_SIZE);
	} else if (p->more && n <= TFS_PICKLE_MAX_SIZE - m->at) {
		p->cut = true;
		tfs_pickle_refuse(m, "the pickle is cut short");
	} else if (p->more) {
		tfs_pickle_refuse(m, "the pickle takes more than %u bytes", TFS_PICKLE_MAX_SIZE);
	} else {
		tfs_pickle_refuse(m, "an opcode followed by %" PRIu64 " bytes, but the pickle ends after %zu", n, left);
	}
	return NULL;
}

/* A number of @n bytes, little-endian. */
int tfs_pickle_take_uint(struct tfs_pickle_machine *m, unsigned n, uint64_t *ret)
{
	const char *bytes = tfs_pickle_take(m, n);

	if (!bytes)
		return -EINVAL;
	*ret = tfs_pickle_uint(bytes, n);
	return 0;
}

/* The current opcode: text and long integers are where it is. */
int tfs_pickle_push_here(struct tfs_pickle_machine *m, enum tfs_pickle_type type)
{
	return tfs_pickle_push(m, tfs_pickle_of_address(type, m->p->buf + m->opcode));
}

/* The next @len bytes of the file won't be read. */
int tfs_pickle_skip(struct tfs_pickle_machine *m, uint64_t len)
{
	struct tfs_pickle *p = m->p;
	uint64_t offset = tfs_pickle_place(p, m->at);

	if (offset > p->in->size || len > p->in->size - offset)
		return tfs_pickle_refuse(m, "an opcode followed by %" PRIu64 " bytes, but the file ends after %" PRIu64, len,
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
int tfs_pickle_push_far(struct tfs_pickle_machine *m, bool text, uint64_t len)
{
	struct tfs_pickle_value v, *items;
	uint64_t offset = tfs_pickle_place(m->p, m->at);
	int r = tfs_pickle_new_node(m->p, m->opcode, TFS_PICKLE_FAR, TFS_PICKLE_FAR_ITEMS, &v);

	if (!r)
		r = tfs_pickle_skip(m, len);
	if (r)
		return r;
	items = tfs_pickle_node(&v)->items;
	items[TFS_PICKLE_FAR_OFFSET] = tfs_pickle_of_int(TFS_PICKLE_INT, (int64_t)offset);
	items[TFS_PICKLE_FAR_LENGTH] = tfs_pickle_of_int(TFS_PICKLE_INT, (int64_t)len);
	items[TFS_PICKLE_FAR_TEXT] = tfs_pickle_of_int(TFS_PICKLE_INT, text);
	return tfs_pickle_push(m, v);
}

/* A string preceded by its length, in @n bytes. */
int tfs_pickle_push_string(struct tfs_pickle_machine *m, enum tfs_pickle_type type, unsigned n)
{
	uint64_t len;
	int r = tfs_pickle_take_uint(m, n, &len);

	if (r)
		return r;
	if (m->p->in && len >= FAR)
		return tfs_pickle_push_far(m, type == TFS_PICKLE_STR, len);
	return tfs_pickle_take(m, len) ? tfs_pickle_push_here(m, type) : -EINVAL;
}

/* An integer at the current opcode. */
static int push_int(struct tfs_pickle_machine *m, int64_t i)
{
	if (i < -(INT64_C(1) << (TFS_PICKLE_BITS - 1)) || i >= INT64_C(1) << (TFS_PICKLE_BITS - 1))
		return tfs_pickle_push_here(m, TFS_PICKLE_LONG);
	return tfs_pickle_push(m, tfs_pickle_of_int(TFS_PICKLE_INT, i));
}

int tfs_pickle_push_bool(struct tfs_pickle_machine *m, bool b)
{
	return tfs_pickle_push(m, tfs_pickle_of_int(TFS_PICKLE_BOOL, b));
}

/* An integer of @n bytes, unsigned, or signed, as BININT's. */
int tfs_pickle_push_uint(struct tfs_pickle_machine *m, unsigned n, bool is_signed)
{
	uint64_t v;
	int r = tfs_pickle_take_uint(m, n, &v);

	return r ? r : push_int(m, is_signed ? (int32_t)v : (int64_t)v);
}

static int push_long(struct tfs_pickle_machine *m)
{
	struct tfs_pickle_value v = tfs_pickle_of_address(TFS_PICKLE_LONG, m->p->buf + m->opcode);
	int64_t i;

	return tfs_pickle_number(&v, &i) ? push_int(m, i) : tfs_pickle_push(m, v);
}

/* Two's complement, little-endian, of any length, given in the @n bytes before it. */
int tfs_pickle_push_bytes_long(struct tfs_pickle_machine *m, unsigned n)
{
	uint64_t len;
	int r = tfs_pickle_take_uint(m, n, &len);

	if (r)
		return r;
	return tfs_pickle_take(m, len) ? push_long(m) : -EINVAL;
}

/* Up to a newline, which is consumed, too. */
const char *tfs_pickle_take_line(struct tfs_pickle_machine *m, size_t *ret_len)
{
	const char *start = m->p->buf + m->at, *end;

	while (!(end = memchr(start, '\n', m->p->len - m->at))) {
		const size_t at = m->at;

		if (!tfs_pickle_take(m, (uint64_t)(m->p->len - at) + 1))
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
int tfs_pickle_push_digits(struct tfs_pickle_machine *m, bool is_long)
{
	size_t len, i;
	const char *s = tfs_pickle_take_line(m, &len);

	if (!s)
		return -EINVAL;
	if (!is_long && len == 2 && s[0] == '0' && (s[1] == '0' || s[1] == '1'))
		return tfs_pickle_push_bool(m, s[1] == '1');
	if (is_long && len && s[len - 1] == 'L')
		len--;
	i = len && s[0] == '-';
	if (i == len)
		return tfs_pickle_refuse(m, "a number without digits");
	for (; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return tfs_pickle_refuse(m, "a number with something other than digits");
	return push_long(m);
}

int tfs_pickle_push_float(struct tfs_pickle_machine *m)
{
	return tfs_pickle_take(m, 8) ? tfs_pickle_push_here(m, TFS_PICKLE_FLOAT) : -EINVAL;
}
