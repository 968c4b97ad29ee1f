/* SPDX-License-Identifier: MIT */
/*
 * safetensors files: names, types, shapes, offsets, order and metadata are changed, and the header is well-formed and as long as its prefix
 * says. Mostly the tensors then lie end to end again, and the file ends where the last one does.
 */
#include <endian.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "mutate.h"

static const char metadata[] = "__metadata__";

static const struct {
	const char *name;
	unsigned bits;
} dtypes[] = {
	{ "F32", 32 },	  { "F16", 16 },    { "BF16", 16 },   { "F64", 64 },	{ "I8", 8 },	  { "U8", 8 },
	{ "BOOL", 8 },	  { "I16", 16 },    { "U16", 16 },    { "I32", 32 },	{ "U32", 32 },	  { "I64", 64 },
	{ "U64", 64 },	  { "C64", 64 },    { "F8_E4M3", 8 }, { "F8_E5M2", 8 }, { "F8_E8M0", 8 }, { "F4", 4 },
	{ "F6_E2M3", 6 }, { "F6_E3M2", 6 }, { "F128", 0 },    { "f32", 0 },	{ "", 0 },
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static unsigned bits_of(const json_t *tensor)
{
	const char *name = json_string_value(json_object_get(tensor, "dtype"));

	for (size_t i = 0; name && i < DTYPES; i++)
		if (!strcmp(dtypes[i].name, name))
			return dtypes[i].bits;
	return 0;
}

/* The member at that position: its key, or NULL. */
static const char *key_at(json_t *o, size_t at)
{
	void *i = json_object_iter(o);

	while (i && at--)
		i = json_object_iter_next(o, i);
	return i ? json_object_iter_key(i) : NULL;
}

/* One of the tensors, or NULL. */
static json_t *any_tensor(json_t *o, uint64_t *state)
{
	const size_t n = json_object_size(o);
	json_t *t = n ? json_object_get(o, key_at(o, mutate_any(state, n))) : NULL;

	return json_object_get(t, "dtype") ? t : NULL;
}

static json_t *new_tensor(uint64_t *state)
{
	return json_pack("{s:s,s:[I],s:[i,i]}", "dtype", dtypes[mutate_any(state, DTYPES)].name, "shape",
			 (json_int_t)mutate_any(state, 5), "data_offsets", 0, 0);
}

static void new_name(char *buf, size_t size, uint64_t *state)
{
	static const char *const names[] = { "",     "a",     "model.layers.", "a/b",	 "..", "\xc3\xa4",
					     "\x01", "a\"\\", metadata,	       "weight", "a." };
	const char *name = names[mutate_any(state, sizeof names / sizeof *names)];

	if (mutate_any(state, 3))
		snprintf(buf, size, "%s%u", name, (unsigned)mutate_any(state, 12));
	else
		snprintf(buf, size, "%s", name);
}

/* The members in another order, and one of them maybe under another name. */
static json_t *reorder(json_t *o, const char *renamed, const char *name, uint64_t *state)
{
	json_t *other = json_object();
	const size_t n = json_object_size(o), from = n && !renamed ? mutate_any(state, n) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *key = key_at(o, (from + i) % n);

		json_object_set(other, key == renamed ? name : key, json_object_get(o, key));
	}
	json_decref(o);
	return other;
}

static void change_shape(json_t *t, uint64_t *state)
{
	json_t *shape = json_object_get(t, "shape");
	const size_t n = json_array_size(shape), at = mutate_any(state, n + 1);

	switch (mutate_any(state, 3)) {
	case 0:
		json_array_insert_new(shape, at, json_integer((json_int_t)mutate_number(state)));
		break;
	case 1:
		json_array_remove(shape, at);
		break;
	default:
		json_array_set_new(shape, at, json_integer((json_int_t)mutate_number(state)));
	}
}

static void change_offsets(json_t *t, uint64_t *state)
{
	json_t *offsets = json_object_get(t, "data_offsets");
	const size_t which = mutate_any(state, 2);
	const json_int_t was = json_integer_value(json_array_get(offsets, which));
	const json_int_t by = (json_int_t)mutate_any(state, 5) - 2;

	json_array_set_new(offsets, which, json_integer(mutate_any(state, 4) ? was + by : (json_int_t)mutate_number(state)));
}

static void change_metadata(json_t *o, uint64_t *state)
{
	json_t *m = json_object_get(o, metadata);
	char name[64];

	new_name(name, sizeof name, state);
	if (!m || !mutate_any(state, 8))
		json_object_set_new(o, metadata, mutate_any(state, 8) ? json_pack("{s:s}", "format", "pt") : json_string(name));
	else if (mutate_any(state, 2) || !json_object_size(m))
		json_object_set_new(m, name, mutate_any(state, 16) ? json_string(name) : json_integer(1));
	else
		json_object_del(m, key_at(m, mutate_any(state, json_object_size(m))));
}

/* False: the offsets are to stay as they are. */
static bool change(json_t **o, uint64_t *state)
{
	const size_t n = json_object_size(*o);
	const char *key = n ? key_at(*o, mutate_any(state, n)) : NULL;
	json_t *t = any_tensor(*o, state);
	char name[64];

	new_name(name, sizeof name, state);
	switch (t && key ? mutate_any(state, 10) : 0) {
	case 0:
		json_object_set_new(*o, name, new_tensor(state));
		return true;
	case 1:
		json_object_set_new(*o, name, json_deep_copy(t));
		return true;
	case 2:
		json_object_del(*o, key);
		return true;
	case 3:
		*o = reorder(*o, NULL, NULL, state);
		return true;
	case 4:
		*o = reorder(*o, key, name, state);
		return true;
	case 5:
		json_object_set_new(t, "dtype", json_string(dtypes[mutate_any(state, DTYPES)].name));
		return true;
	case 6:
		change_shape(t, state);
		return true;
	case 7:
		change_metadata(*o, state);
		return true;
	case 8:
		json_object_set_new(t, name, json_integer((json_int_t)mutate_number(state)));
		return true;
	default:
		change_offsets(t, state);
		return false;
	}
}

/* End to end, in the order of the header; what is too large has no bytes. */
static uint64_t lay_out(json_t *o, uint64_t room)
{
	const char *key;
	json_t *t, *dim;
	uint64_t at = 0;
	size_t i;

	json_object_foreach(o, key, t)
	{
		uint64_t bits = bits_of(t);

		if (!strcmp(key, metadata) || !json_is_object(t))
			continue;
		json_array_foreach(json_object_get(t, "shape"), i, dim)
			bits = __builtin_mul_overflow(bits, (uint64_t)json_integer_value(dim), &bits) ? UINT64_MAX : bits;
		const uint64_t n = bits / 8 < room - at ? bits / 8 : 0;
		json_object_set_new(t, "data_offsets", json_pack("[I,I]", (json_int_t)at, (json_int_t)at + (json_int_t)n));
		at += n;
	}
	return at;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	uint64_t state = mutate_start(seed), header = 0, n_data;
	bool again = true;
	json_t *o = NULL;

	if (size >= sizeof header) {
		memcpy(&header, data, sizeof header);
		header = le64toh(header);
	}
	if (size >= sizeof header && header <= size - sizeof header)
		o = json_loadb((const char *)data + sizeof header, header, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(o) || !mutate_any(&state, 4)) {
		json_decref(o);
		return LLVMFuzzerMutate(data, size, max);
	}
	n_data = size - sizeof header - header;
	for (uint64_t i = 1 + mutate_any(&state, 4); i; i--)
		again = change(&o, &state) && again;
	if (again)
		n_data = lay_out(o, max / 2);
	char *text = json_dumps(o, JSON_COMPACT | (mutate_any(&state, 2) ? JSON_ENSURE_ASCII : 0));
	const size_t len = text ? strlen(text) : 0, blanks = mutate_any(&state, 9);
	json_decref(o);
	if (!text || sizeof header + len + blanks + n_data > max) {
		free(text);
		return LLVMFuzzerMutate(data, size, max);
	}
	header = htole64(len + blanks);
	memcpy(data, &header, sizeof header);
	memcpy(data + sizeof header, text, len);
	memset(data + sizeof header + len, ' ', blanks);
	memset(data + sizeof header + len + blanks, 0x5a, n_data);
	free(text);
	return sizeof header + len + blanks + n_data;
}
