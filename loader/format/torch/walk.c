/* SPDX-License-Identifier: MIT */
/*
 * Finds the tensors in a pickled value and names them by the path to them: the keys of dicts and the positions in lists, separated
 * by dots. What Python would have called is walked, too: a tensor in the arguments of an unknown function has its position there in
 * its path, one in an object's state its attribute. So a state_dict has the familiar names, and a module that was saved whole those
 * of its state_dict.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "format/torch/impl.h"
#include "storage/storage.h"

/*
 * CPython's pickler nests no deeper than its recursion limit of 1000, and an object needs two of those; and this uses our own
 * stack.
 */
#define MAX_DEPTH 512

/*
 * A value that is referenced several times is walked as many times, and a small file can reference it 10^9 times. The number of
 * steps that a walk may take: some for every file (20 ms), and for large ones a multiple of their size in words, as a layer may
 * well be shared by dozens, but not everything by everything.
 */
#define MAX_STEPS      500000
#define MAX_STEPS_WORD 2

/* The same for names. */
#define MAX_NAMES      (64u << 20)
#define MAX_NAMES_BYTE 2

struct walk {
	struct tfs_torch *t;
	char *path; /* TFS_TORCH_MAX_NAME bytes */
	size_t len;
	unsigned parts, depth;
	uint64_t steps, max_steps, name_bytes, max_name_bytes;
	size_t max_tensors;
	struct tfs_torch_tensor *found;
	size_t n_found, room_found;
	struct tfs_arena names;
	uint32_t at; /* position in the pickle of the innermost node, for errors */
};

#define refuse(w, ...) tfs_pickle_error(&(w)->t->pickle, -EINVAL, (w)->at, __VA_ARGS__)

static int walk(struct walk *w, const struct tfs_pickle_value *v);

/* --- Paths ------------------------------------------------------------------------------------------------------- */

static int put_bytes(struct walk *w, const char *s, size_t len)
{
	if (len > TFS_TORCH_MAX_NAME - w->len)
		return refuse(w, "the path to a value is longer than %d bytes", TFS_TORCH_MAX_NAME);
	memcpy(w->path + w->len, s, len);
	w->len += len;
	return 0;
}

/* Text as UTF-8: other bytes become \xNN, as in Python's representation. */
static int put_text(struct walk *w, const char *s, size_t len)
{
	const char *end = s + len;
	char hex[5];
	int r = 0;

	if (tfs_utf8_valid(s, len))
		return put_bytes(w, s, len);
	while (s < end && !r) {
		unsigned n = *s & 0x80 ? tfs_utf8_sequence(s, end) : 1;

		if (n) {
			r = put_bytes(w, s, n);
			s += n;
			continue;
		}
		snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)*s++);
		r = put_bytes(w, hex, 4);
	}
	return r;
}

static int put_number(struct walk *w, const char *before, int64_t i)
{
	char text[32];

	return put_bytes(w, text, snprintf(text, sizeof text, "%s%" PRId64, before, i));
}

/* Has the key a text of its own? Strings, numbers of up to 64 bits, True, False and None do. */
static bool has_text(const struct tfs_pickle_value *key)
{
	int64_t i;

	switch (tfs_pickle_type(key)) {
	case TFS_PICKLE_NONE:
	case TFS_PICKLE_BOOL:
	case TFS_PICKLE_STR:
	case TFS_PICKLE_BYTES:
		return true;
	default:
		return tfs_pickle_number(key, &i);
	}
}

static int put_key_text(struct walk *w, const struct tfs_pickle_value *key)
{
	const char *text;
	uint32_t len;
	int64_t i;

	if (tfs_pickle_number(key, &i))
		return put_number(w, "", i);
	switch (tfs_pickle_type(key)) {
	case TFS_PICKLE_BOOL:
		return tfs_pickle_int(key) ? put_text(w, "True", 4) : put_text(w, "False", 5);
	case TFS_PICKLE_NONE:
		return put_text(w, "None", 4);
	default:
		text = tfs_pickle_text(key, &len);
		return put_text(w, text, len);
	}
}

/*
 * In protocols below 3, Python 3 writes bytes as a call of _codecs.encode(text, "latin1"), which gives the same bytes if the text
 * is ASCII. Returns such a text, or the key itself.
 */
static const struct tfs_pickle_value *plain_key(const struct tfs_pickle_value *key)
{
	const struct tfs_pickle_value *args = tfs_pickle_item(key, TFS_PICKLE_CALL, TFS_PICKLE_ARGS);
	const struct tfs_pickle_value *text = tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0);
	const char *bytes;
	uint32_t len;

	if (!text || tfs_pickle_type(text) != TFS_PICKLE_STR ||
	    !tfs_pickle_is_text(tfs_pickle_item(args, TFS_PICKLE_TUPLE, 1), "latin1") ||
	    !tfs_pickle_is_global(tfs_pickle_item(key, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE), "_codecs", "encode"))
		return key;
	bytes = tfs_pickle_text(text, &len);
	for (uint32_t i = 0; i < len; i++)
		if (bytes[i] & 0x80)
			return key;
	return text;
}

/* A tuple of such keys becomes its parts separated by dots; any other key becomes its position in the dict. */
static int put_key(struct walk *w, const struct tfs_pickle_value *key, int64_t place)
{
	const struct tfs_pickle_value *part;
	int r = 0;

	key = plain_key(key);
	if (has_text(key))
		return put_key_text(w, key);
	for (size_t i = 0; (part = tfs_pickle_item(key, TFS_PICKLE_TUPLE, i)); i++)
		if (!has_text(part))
			return put_number(w, "#", place);
	if (!tfs_pickle_item(key, TFS_PICKLE_TUPLE, 0))
		return put_number(w, "#", place);
	for (size_t i = 0; (part = tfs_pickle_item(key, TFS_PICKLE_TUPLE, i)) && !r; i++) {
		r = i ? put_bytes(w, ".", 1) : 0;
		if (!r)
			r = put_key_text(w, part);
	}
	return r;
}

/* Walk @v one part further down: @key, or @place if that is NULL. */
static int walk_part(struct walk *w, const struct tfs_pickle_value *key, int64_t place, const struct tfs_pickle_value *v)
{
	size_t len = w->len;
	int r = 0;

	/* Most values are numbers, which need no path. */
	if (!tfs_pickle_is_node(v)) {
		w->steps++;
		return 0;
	}
	if (w->parts++)
		r = put_bytes(w, ".", 1);
	if (!r)
		r = key ? put_key(w, key, place) : put_number(w, "", place);
	if (!r)
		r = walk(w, v);
	w->parts--;
	w->len = len;
	return r;
}

/* --- Tensors ----------------------------------------------------------------------------------------------------- */

/* A tensor was found. One that is the whole pickle is named after its file. */
static int find(struct walk *w, const struct tfs_torch_rebuild *rebuild, const struct tfs_pickle_value *from, uint32_t at)
{
	const char *name = w->path, *dot;
	size_t len = w->len;

	if (!w->parts) {
		name = w->t->file_name;
		dot = strrchr(name, '.');
		len = dot ? (size_t)(dot - name) : strlen(name);
		if (!tfs_utf8_valid(name, len)) {
			name = "tensor";
			len = strlen(name);
		}
	}
	w->name_bytes += len;
	if (w->name_bytes > w->max_name_bytes)
		return refuse(w, "the names of the tensors take more than %" PRIu64 " bytes", w->max_name_bytes);
	if (w->n_found == w->max_tensors)
		return refuse(w,
			      "more than %zu tensors, too many for a pickle of this size, as some are referenced from many "
			      "places",
			      w->max_tensors);
	if (tfs_array_room(w->found, w->n_found, w->room_found))
		return -ENOMEM;
	w->found[w->n_found] = (struct tfs_torch_tensor){
		.name = tfs_arena_copy(&w->names, name, len),
		.name_len = len,
		.base_len = len,
		.order = w->n_found,
		.at = at,
		.rebuild = rebuild,
		.from = from,
	};
	return w->found[w->n_found++].name ? 0 : -ENOMEM;
}

/* --- Containers -------------------------------------------------------------------------------------------------- */

static int walk_items(struct walk *w, const struct tfs_pickle_value *v)
{
	struct tfs_pickle_iter it = tfs_pickle_iter(v);
	const struct tfs_pickle_value *item;
	int64_t place = 0;
	int r = 0;

	while (!r && (item = tfs_pickle_next(&it)))
		r = walk_part(w, NULL, place++, item);
	return r;
}

/* Keys that are equal to Python. Others are equal only if they are the same object. */
static int by_key(const void *a, const void *b)
{
	const struct tfs_pickle_value *x = a, *y = b;
	unsigned x_type = tfs_pickle_type(x) == TFS_PICKLE_BOOL ? TFS_PICKLE_INT : tfs_pickle_type(x);
	unsigned y_type = tfs_pickle_type(y) == TFS_PICKLE_BOOL ? TFS_PICKLE_INT : tfs_pickle_type(y);
	const char *x_text, *y_text;
	uint32_t x_len, y_len;

	if (x_type != y_type)
		return x_type < y_type ? -1 : 1;
	switch (x_type) {
	case TFS_PICKLE_INT:
		return (tfs_pickle_int(x) > tfs_pickle_int(y)) - (tfs_pickle_int(x) < tfs_pickle_int(y));
	case TFS_PICKLE_LONG:
	case TFS_PICKLE_FLOAT:
	case TFS_PICKLE_STR:
	case TFS_PICKLE_BYTES:
		x_text = tfs_pickle_text(x, &x_len);
		y_text = tfs_pickle_text(y, &y_len);
		return tfs_name_cmp(x_text, x_len, y_text, y_len);
	default: /* None, or a node */
		return (x->word > y->word) - (x->word < y->word);
	}
}

/* Make keys ABSENT that occur again later: the last one is used. Once for each dict. */
static int make_distinct(struct walk *w, const struct tfs_pickle_value *dict)
{
	struct tfs_pickle_node *node = tfs_pickle_node(dict);
	struct tfs_pickle_iter it = tfs_pickle_iter(dict);
	size_t n = node->n_items / 2;
	cleanup_free const void **order = NULL;

	if (node->distinct)
		return 0;
	node->distinct = true;
	/* As much as the dict itself, temporarily. */
	if (n > (TFS_PICKLE_MAX_MEMORY - w->t->pickle.memory) / (2 * sizeof *order))
		return refuse(w, "the pickle's values take more than %u bytes", TFS_PICKLE_MAX_MEMORY);
	if (tfs_share_scratch(w->t->in->share, n * 2 * sizeof *order))
		return -ENOMEM;
	order = reallocarray(NULL, n + 1, 2 * sizeof *order); /* n may be 0 */
	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		order[i] = tfs_pickle_next(&it);
		tfs_pickle_next(&it);
	}
	tfs_sort(order, n, order + n, by_key); /* stable: the last of equal ones is the last that was set */
	for (size_t i = 1; i < n; i++)
		if (!by_key(order[i - 1], order[i]))
			((struct tfs_pickle_value *)order[i - 1])->word = 0;
	return 0;
}

/* Do the attributes in @dict belong to a torch.nn.Module? The names of its parameters omit these three. */
static bool is_module_part(const struct tfs_pickle_value *key)
{
	return tfs_pickle_is_text(key, "_parameters") || tfs_pickle_is_text(key, "_buffers") || tfs_pickle_is_text(key, "_modules");
}

/* @state: what BUILD set on an object. */
static int walk_pairs(struct walk *w, const struct tfs_pickle_value *dict, bool state)
{
	const struct tfs_pickle_value *key, *value;
	struct tfs_pickle_iter it = tfs_pickle_iter(dict);
	int64_t place = 0;
	unsigned parts = 0;
	bool nodes = false;
	int r = 0;

	while ((key = tfs_pickle_next(&it))) {
		parts += state && is_module_part(key);
		nodes |= tfs_pickle_is_node(tfs_pickle_next(&it));
	}
	w->steps += tfs_pickle_node(dict)->n_items / 2;
	if (nodes)
		r = make_distinct(w, dict);
	it = tfs_pickle_iter(dict);
	for (; nodes && !r && (key = tfs_pickle_next(&it)); place++) {
		value = tfs_pickle_next(&it);
		if (key->word)
			r = parts == 3 && is_module_part(key) ? walk(w, value) : walk_part(w, key, place, value);
	}
	return r;
}

/* --- Calls ------------------------------------------------------------------------------------------------------- */

/* What the value of a call is with regard to tensors in it. */
enum meaning {
	OPAQUE, /* unknown: the arguments by their positions */
	SAME,	/* one of the arguments; the others can't contain tensors, except for @state */
	PAIRS,	/* a dict of the pairs in the first argument */
	OBJECT, /* an object with the attributes in the first argument */
	TYPED,	/* a function, a class, the function's arguments, and the state of the result: a tensor of that class */
};

static const struct known {
	const char *module, *name; /* module NULL: any module with such a function */
	enum meaning meaning;
	uint8_t argument; /* SAME: which one */
	uint8_t state;	  /* the argument with the state of the result, or 0 */
} calls[] = {
	{ "collections", "OrderedDict", PAIRS },
	{ "torch.fx.graph_module", "reduce_graph_module", OBJECT },
	{ "torch._utils", "_rebuild_parameter", SAME },
	{ "torch._utils", "_rebuild_parameter_with_state", SAME, .state = 3 },
	{ "torch._utils", "_rebuild_device_tensor_from_cpu_tensor", SAME },
	/* torch._tensor's; the first was also in torch.tensor, and in fastai and others before torch had it. */
	{ NULL, "_rebuild_from_type", TYPED, .state = 3 },
	{ NULL, "_rebuild_from_type_v2", TYPED, .state = 3 },
	{ "torch.nn.parameter", "Parameter", SAME },
	{ "torch.nn.parameter", "Buffer", SAME },
	{ "torch.autograd.variable", "Variable", SAME }, /* before torch 0.4 */
	{ "torch.jit._pickle", "build_tensorlist", SAME },
	{ "torch.jit._pickle", "restore_type_tag", SAME },
	{ "collections", "Counter", SAME },
	{ "collections", "deque", SAME },
	/* The module, function and types that have Python 2's names in protocol 2. */
	{ "copyreg", "_reconstructor", SAME, .argument = 2 },
	{ "copy_reg", "_reconstructor", SAME, .argument = 2 },
	{ "builtins", "set", SAME },
	{ "builtins", "frozenset", SAME },
	{ "builtins", "list", SAME },
	{ "builtins", "tuple", SAME },
	{ "__builtin__", "set", SAME },
	{ "__builtin__", "frozenset", SAME },
	{ "__builtin__", "list", SAME },
	{ "__builtin__", "tuple", SAME },
};

static const struct known opaque = { .meaning = OPAQUE };

static const struct known *meaning_of(const struct tfs_pickle_value *callee, const struct tfs_pickle_value *args)
{
	const struct tfs_pickle_value *module = tfs_pickle_item(callee, TFS_PICKLE_GLOBAL, 0);
	const struct tfs_pickle_value *name = tfs_pickle_item(callee, TFS_PICKLE_GLOBAL, 1);

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (tfs_pickle_is_text(name, calls[i].name) && (!calls[i].module || tfs_pickle_is_text(module, calls[i].module))) {
			if (calls[i].meaning != TYPED ||
			    tfs_pickle_item(tfs_pickle_item(args, TFS_PICKLE_TUPLE, 2), TFS_PICKLE_TUPLE, 0))
				return &calls[i];
		}
	return &opaque;
}

/* [[key, value], ...]: how Python 2 pickled an OrderedDict. */
static int walk_list_of_pairs(struct walk *w, const struct tfs_pickle_value *list)
{
	struct tfs_pickle_iter it, both;
	const struct tfs_pickle_value *pair, *key;
	int64_t place = 0;
	int r = 0;

	if (!list || (tfs_pickle_type(list) != TFS_PICKLE_LIST && tfs_pickle_type(list) != TFS_PICKLE_TUPLE))
		return list ? walk(w, list) : 0;
	it = tfs_pickle_iter(list);
	while (!r && (pair = tfs_pickle_next(&it))) {
		if ((tfs_pickle_type(pair) != TFS_PICKLE_LIST && tfs_pickle_type(pair) != TFS_PICKLE_TUPLE) ||
		    tfs_pickle_node(pair)->n_items != 2)
			return refuse(w, "an OrderedDict made of something that isn't a list of pairs");
		both = tfs_pickle_iter(pair);
		key = tfs_pickle_next(&both);
		w->steps++;
		r = walk_part(w, key, place++, tfs_pickle_next(&both));
	}
	return r;
}

/* A dict of attributes; or a tuple of that or None, and a dict of those in slots (object.__reduce_ex__). */
static int walk_state(struct walk *w, const struct tfs_pickle_value *state)
{
	const struct tfs_pickle_value *slots = tfs_pickle_item(state, TFS_PICKLE_TUPLE, 1);
	int r = 0;

	if (!state)
		return 0;
	if (tfs_pickle_type(state) == TFS_PICKLE_DICT)
		return walk_pairs(w, state, true);
	if (!slots || tfs_pickle_node(state)->n_items != 2 || tfs_pickle_type(slots) != TFS_PICKLE_DICT)
		return walk(w, state);
	state = tfs_pickle_item(state, TFS_PICKLE_TUPLE, 0);
	if (tfs_pickle_is_node(state))
		r = tfs_pickle_type(state) == TFS_PICKLE_DICT ? walk_pairs(w, state, true) : walk(w, state);
	return r ? r : walk_pairs(w, slots, true);
}

/* The call of a function that makes a tensor from a storage: that tensor and, if quantised, those of its scales, by position. */
static int walk_tensor(struct walk *w, const struct tfs_torch_rebuild *rebuild, const struct tfs_pickle_value *args, uint32_t at)
{
	const struct tfs_pickle_value *quantizer = NULL;
	int r = find(w, rebuild, args, at);

	if (rebuild->quantizer)
		quantizer = tfs_pickle_item(args, TFS_PICKLE_TUPLE, rebuild->quantizer);
	return r || !quantizer ? r : walk(w, quantizer);
}

/* Paddle pickles a tensor as the tuple of its own name and an array (paddle/framework/io.py, reduce_varbase()): that array, or NULL. */
static const struct tfs_pickle_value *array_of_pair(const struct tfs_pickle_value *pair)
{
	const struct tfs_pickle_value *name = tfs_pickle_item(pair, TFS_PICKLE_TUPLE, 0);
	const struct tfs_pickle_value *array = tfs_pickle_item(pair, TFS_PICKLE_TUPLE, 1);
	const struct tfs_torch_rebuild *rebuild;
	bool by_state;

	if (!name || tfs_pickle_type(name) != TFS_PICKLE_STR || tfs_pickle_node(pair)->n_items != 2)
		return NULL;
	rebuild = tfs_torch_rebuild(tfs_pickle_item(array, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE), &by_state);
	return rebuild && rebuild->array ? array : NULL;
}

/* A NumPy array; or the objects in one. */
static int walk_array(struct walk *w, const struct tfs_torch_rebuild *rebuild, const struct tfs_pickle_value *call,
		      const struct tfs_pickle_value **state)
{
	const struct tfs_pickle_value *args = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_ARGS);
	const struct tfs_pickle_value *items = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_ITEMS);
	const struct tfs_pickle_value *from = rebuild->array == TFS_ARRAY_STATE ? tfs_steal(*state) : args;

	if (rebuild->array == TFS_ARRAY_JOBLIB) {
		from = call;
		*state = NULL;
		if (items && tfs_pickle_type(items) != TFS_PICKLE_FAR)
			return 0; /* objects, which are walked as items */
	}
	if (rebuild->array == TFS_ARRAY_STATE && tfs_torch_has_objects(from))
		return walk(w, tfs_pickle_item(from, TFS_PICKLE_TUPLE, tfs_pickle_node(from)->n_items - 1));
	return find(w, rebuild, from, tfs_pickle_node(call)->at);
}

/* The result of a call, without what is put into it later. @state: of BUILD; set to NULL if the tensor is made from it. */
static int walk_made(struct walk *w, const struct tfs_pickle_value *call, const struct tfs_pickle_value **state)
{
	const struct tfs_pickle_value *callee = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE);
	const struct tfs_pickle_value *args = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_ARGS);
	const struct tfs_pickle_value *own = NULL; /* the state among the arguments */
	const struct known *known = meaning_of(callee, args);
	const struct tfs_torch_rebuild *rebuild;
	bool by_state = false;
	int r;

	if (known->meaning == TYPED) {
		own = tfs_pickle_item(args, TFS_PICKLE_TUPLE, known->state);
		callee = tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0);
		args = tfs_pickle_item(args, TFS_PICKLE_TUPLE, 2);
		known = meaning_of(callee, args);
	}
	rebuild = tfs_torch_rebuild(callee, &by_state);
	if (rebuild && rebuild->array) {
		r = walk_array(w, rebuild, call, state);
	} else if (rebuild && !by_state) {
		r = walk_tensor(w, rebuild, args, tfs_pickle_node(call)->at);
	} else if (rebuild && tfs_pickle_item(tfs_pickle_item(*state, TFS_PICKLE_TUPLE, 0), TFS_PICKLE_PERSID, 0)) {
		r = walk_tensor(w, rebuild, tfs_steal(*state), tfs_pickle_node(call)->at);
	} else if (known->meaning == PAIRS) {
		r = walk_list_of_pairs(w, tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0));
	} else if (known->meaning == OBJECT) {
		r = walk_state(w, tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0));
	} else if (known->meaning == SAME && array_of_pair(tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0))) {
		r = walk(w, array_of_pair(tfs_pickle_item(args, TFS_PICKLE_TUPLE, 0)));
	} else if (known->meaning == SAME && tfs_pickle_item(args, TFS_PICKLE_TUPLE, known->argument)) {
		r = walk(w, tfs_pickle_item(args, TFS_PICKLE_TUPLE, known->argument));
		if (!r && known->state)
			r = walk_state(w, tfs_pickle_item(args, TFS_PICKLE_TUPLE, known->state));
	} else {
		r = walk_items(w, args);
	}
	return r || !own ? r : walk_state(w, own);
}

static int walk_call(struct walk *w, const struct tfs_pickle_value *call)
{
	const struct tfs_pickle_value *items = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_ITEMS);
	const struct tfs_pickle_value *pairs = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_PAIRS);
	const struct tfs_pickle_value *state = tfs_pickle_item(call, TFS_PICKLE_CALL, TFS_PICKLE_STATE);
	int r = walk_made(w, call, &state);

	if (!r && items && tfs_pickle_type(items) != TFS_PICKLE_FAR)
		r = tfs_pickle_type(items) == TFS_PICKLE_LIST ? walk_items(w, items) : walk(w, items);
	if (!r && pairs)
		r = walk_pairs(w, pairs, false);
	return r ? r : walk_state(w, state);
}

/* --- All --------------------------------------------------------------------------------------------------------- */

/* A storage without a tensor: it was saved by itself. Other persistent ids have nothing to show. */
static int walk_persid(struct walk *w, const struct tfs_pickle_value *v)
{
	const struct tfs_pickle_value *id = tfs_pickle_item(v, TFS_PICKLE_PERSID, 0);

	if (!tfs_pickle_is_text(tfs_pickle_item(id, TFS_PICKLE_TUPLE, 0), "storage"))
		return 0;
	return find(w, NULL, v, tfs_pickle_node(v)->at);
}

static int walk_node(struct walk *w, const struct tfs_pickle_value *v)
{
	switch (tfs_pickle_type(v)) {
	case TFS_PICKLE_DICT:
		return walk_pairs(w, v, false);
	case TFS_PICKLE_PERSID:
		return walk_persid(w, v);
	case TFS_PICKLE_CALL:
		return walk_call(w, v);
	case TFS_PICKLE_GLOBAL:
	case TFS_PICKLE_FAR:
		return 0;
	default:
		return walk_items(w, v);
	}
}

static int walk(struct walk *w, const struct tfs_pickle_value *v)
{
	struct tfs_pickle_node *node = tfs_pickle_is_node(v) ? tfs_pickle_node(v) : NULL;
	uint32_t at = w->at;
	int r;

	if (!node || node->entered)
		return 0; /* what contains itself is walked once */
	w->at = node->at;
	if (++w->steps > w->max_steps)
		return refuse(w, "its values refer to each other so often that a walk would take more than %" PRIu64 " steps",
			      w->max_steps);
	if (w->depth == MAX_DEPTH)
		return refuse(w, "nested deeper than %d values", MAX_DEPTH);
	w->depth++;
	node->entered = true;
	r = walk_node(w, v);
	node->entered = false;
	w->depth--;
	w->at = at;
	return r;
}

/* @n_own: number of those found that belong to the file's object; the others are TorchScript's constants. */
static int add_found(struct walk *w, struct tfs_torch *t, size_t n_own)
{
	cleanup_free const void **order = reallocarray(NULL, w->n_found + 1, 2 * sizeof *order); /* n_found may be 0 */
	int r;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_found; i++)
		order[i] = &w->found[i];
	r = tfs_torch_make_unique(w->t, order, w->n_found, &w->names);
	for (size_t i = 0; i < w->n_found && !r; i++)
		r = tfs_torch_add(((const struct tfs_torch_tensor *)order[i])->order < n_own ? t : t->constants, order[i]);
	return r;
}

/* Steps for a walk of this pickle, in addition to those for every file. */
static void allow(struct walk *w, const struct tfs_pickle *p)
{
	w->max_steps += p->memory / sizeof(struct tfs_pickle_value) * MAX_STEPS_WORD;
	w->max_name_bytes += (uint64_t)p->len * MAX_NAMES_BYTE;
	w->max_tensors += tfs_torch_max_tensors(p->len);
}

/* The content of constants.pkl, a tuple: constants.0, constants.1, which TorchScript's code calls CONSTANTS.c0 and so on. */
static int walk_constants(struct walk *w, struct tfs_torch *t)
{
	static const char name[] = "constants";

	memcpy(w->path, name, sizeof name - 1);
	w->len = sizeof name - 1;
	w->parts = 1;
	w->t = t;
	allow(w, &t->pickle);
	return walk(w, &t->pickle.result);
}

int tfs_torch_list(struct tfs_torch *t)
{
	struct walk w = {
		.t = t,
		.path = malloc(TFS_TORCH_MAX_NAME),
		.max_steps = MAX_STEPS,
		.max_name_bytes = MAX_NAMES,
	};
	size_t n_own;
	int r;

	allow(&w, &t->pickle);
	r = w.path ? walk(&w, &t->pickle.result) : -ENOMEM;
	n_own = w.n_found;
	if (!r && t->constants)
		r = walk_constants(&w, t->constants);
	w.t = t;
	if (!r)
		r = add_found(&w, t, n_own);
	free(w.path);
	free(w.found);
	tfs_arena_fini(&w.names);
	return r;
}
