/* SPDX-License-Identifier: MIT */
/*
 * OpenVINO's IR, version 10 or later: the Const layers of NAME.xml, also those in bodies of others, whose bytes are in NAME.bin
 * (docs.openvino.ai, OpenVINO IR format). Before version 10 a layer had weights without a shape. Of layers with the
 * same name the first one keeps it, and the others are NAME~2, NAME~3.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/scan.h"
#include "format/draft.h"
#include "format/format.h"
#include "format/openvino/xml.h"
#include "storage/storage.h"

#define EXTENSION ".xml"

/* Models of some thousand layers have megabytes. */
#define MAX_SIZE (256u << 20)

enum { FIRST_VERSION = 10 };

struct ir {
	struct tfs_xml xml;
	struct tfs_drafts d;
	struct tfs_error *err;
	char location[NAME_MAX + 8]; /* NAME.bin */
	/* By depth: the name of the layer there, if that is a Const; s NULL: it isn't one. */
	struct tfs_xml_text layers[TFS_XML_MAX_DEPTH + 1];
};

static bool recognises(const struct tfs_sample *s)
{
	size_t at = tfs_sample_has(s, 0, "\xef\xbb\xbf", 3) ? 3 : 0;

	while (at < s->len && strchr(" \t\r\n", s->start[at]))
		at++;
	return (tfs_sample_has(s, at, "<?xml", 5) || tfs_sample_has(s, at, "<net ", 5)) && memmem(s->start, s->len, "<net ", 5);
}

static int refuse(struct ir *ir, const char *what)
{
	return tfs_error_set(ir->err, -EINVAL, ir->xml.name_at, "%s", what);
}

/* A decimal number, the first in @text, from which it is taken. False: there is none, or it is too large. */
static bool take_number(struct tfs_xml_text *text, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i < text->len && text->s[i] >= '0' && text->s[i] <= '9'; i++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(text->s[i] - '0'), &v))
			return false;
	text->s += i;
	text->len -= i;
	*ret = v;
	return i;
}

/* Of an attribute that is one number. */
static int read_number(struct ir *ir, const char *attribute, uint64_t *ret)
{
	const struct tfs_xml_text *value = tfs_xml_attribute(&ir->xml, attribute);
	struct tfs_xml_text text;

	if (!value)
		return refuse(ir, "the data of a Const layer lacks its offset or size");
	text = *value;
	return take_number(&text, ret) && !text.len ? 0 : refuse(ir, "the offset or size of a Const layer isn't a number");
}

/* "2,3,4", or "" for a scalar. Dimensions of which there are too many are counted. */
static int read_shape(struct ir *ir, uint64_t shape[TFS_MAX_DIMS], unsigned *ret_ndim)
{
	const struct tfs_xml_text *value = tfs_xml_attribute(&ir->xml, "shape");
	struct tfs_xml_text text;
	uint64_t n;

	*ret_ndim = 0;
	if (!value)
		return refuse(ir, "the data of a Const layer lacks its shape");
	text = *value;
	while (text.len) {
		if (!take_number(&text, &n) || (text.len && *text.s != ','))
			return refuse(ir, "the shape of a Const layer isn't numbers");
		if (*ret_ndim < TFS_MAX_DIMS)
			shape[*ret_ndim] = n;
		++*ret_ndim;
		text.s += text.len > 0;
		text.len -= text.len > 0;
	}
	return 0;
}

/* *@ret: NULL if it is unknown. 0 or -ENOMEM. */
static int type_of(struct ir *ir, const struct tfs_xml_text *name, const struct tfs_dtype **ret)
{
	static const struct {
		const char *name, *ours;
	} types[] = {
		{ "f32", "F32" },	 { "f16", "F16" },	  { "bf16", "BF16" },	   { "f64", "F64" },   { "i8", "I8" },
		{ "u8", "U8" },		 { "i16", "I16" },	  { "u16", "U16" },	   { "i32", "I32" },   { "u32", "U32" },
		{ "i64", "I64" },	 { "u64", "U64" },	  { "boolean", "BOOL" },   { "i4", "I4" },     { "u4", "U4" },
		{ "f8e4m3", "F8_E4M3" }, { "f8e5m2", "F8_E5M2" }, { "f8e8m0", "F8_E8M0" }, { "f4e2m1", "F4" }, { "u2", "U2" },
	};

	*ret = NULL;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (tfs_xml_is(name, types[i].name))
			*ret = tfs_dtype_by_name(types[i].ours, strlen(types[i].ours));
	/* Whose values, or order in a byte, are OpenVINO's own (element_iterator.hpp). */
	const bool nf4 = tfs_xml_is(name, "nf4");
	if (!nf4 && !tfs_xml_is(name, "u1"))
		return 0;
	*ret = tfs_catalog_dtype(ir->d.catalog, nf4 ? "NF4" : "U1", NULL, nf4 ? 2 : 8, 1);
	return *ret ? 0 : -ENOMEM;
}

static int add_const(struct ir *ir, const struct tfs_xml_text *name)
{
	const struct tfs_xml_text *type = tfs_xml_attribute(&ir->xml, "element_type");
	char quoted[TFS_QUOTE_SIZE];
	uint64_t shape[TFS_MAX_DIMS];
	struct tfs_draft t = {
		.name = name->s,
		.name_len = name->len,
		.shape = shape,
		.at = ir->xml.name_at,
		.location = ir->location,
		.location_len = strlen(ir->location),
	};
	int r;

	if (!type)
		return refuse(ir, "the data of a Const layer lacks its element_type");
	r = read_shape(ir, shape, &t.ndim);
	if (!r)
		r = read_number(ir, "offset", &t.offset);
	if (!r)
		r = read_number(ir, "size", &t.stored);
	if (r)
		return r;
	if (tfs_xml_is(type, "string"))
		return tfs_drafts_leave_out(&ir->d, &t, "a tensor of strings");
	r = type_of(ir, type, &t.dtype);
	if (r)
		return r;
	if (!t.dtype)
		return tfs_drafts_leave_out(&ir->d, &t, "an unknown type, %s",
					    tfs_quote(quoted, sizeof quoted, type->s, type->len));
	return tfs_drafts_add(&ir->d, &t);
}

static int check_version(struct ir *ir)
{
	const struct tfs_xml_text *value = tfs_xml_attribute(&ir->xml, "version");
	struct tfs_xml_text text = value ? *value : (struct tfs_xml_text){ "", 0 };
	uint64_t version = 0;

	if (!tfs_xml_is(&ir->xml.name, "net"))
		return refuse(ir, "isn't an OpenVINO model: its root element isn't <net>");
	if (!take_number(&text, &version) || text.len)
		return refuse(ir, "isn't an OpenVINO model: <net> has no version");
	if (version < FIRST_VERSION)
		return tfs_error_set(ir->err, -EINVAL, ir->xml.name_at,
				     "is an OpenVINO model of version %" PRIu64
				     "; before %d the shapes of weights aren't given: convert it again",
				     version, FIRST_VERSION);
	return 0;
}

static int read_element(struct ir *ir)
{
	const struct tfs_xml *x = &ir->xml;
	const struct tfs_xml_text *type, *name;

	ir->layers[x->depth] = (struct tfs_xml_text){ 0 };
	if (x->depth == 1)
		return check_version(ir);
	if (tfs_xml_is(&x->name, "data") && ir->layers[x->depth - 1].s)
		return add_const(ir, &ir->layers[x->depth - 1]);
	if (!tfs_xml_is(&x->name, "layer"))
		return 0;
	type = tfs_xml_attribute(x, "type");
	name = tfs_xml_attribute(x, "name");
	if (type && tfs_xml_is(type, "Const"))
		ir->layers[x->depth] = name ? *name : (struct tfs_xml_text){ "", 0 };
	return 0;
}

static int read_ir(struct ir *ir)
{
	bool any = false;
	int event, r = 0;

	while (!r && (event = tfs_xml_next(&ir->xml)) != TFS_XML_END) {
		if (event < 0)
			return event;
		any = true;
		r = event == TFS_XML_OPEN ? read_element(ir) : tfs_share_scratch(ir->d.in->share, 0);
	}
	if (!r && !any)
		return refuse(ir, "isn't an OpenVINO model: it has no elements");
	return r ? r : tfs_drafts_catalog(&ir->d);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct ir *ir = calloc(1, sizeof *ir);
	cleanup_free char *text = NULL;
	size_t stem = strlen(file_name);
	int r;

	if (in->size > MAX_SIZE)
		return tfs_error_set(err, -EINVAL, 0, "a model of %" PRIu64 " bytes of XML is above the limit of %u", in->size,
				     MAX_SIZE);
	text = tfs_share_scratch(in->share, in->size) ? NULL : malloc(in->size + 1);
	if (!ir || !text)
		return -ENOMEM;
	r = tfs_input_read(in, text, in->size, 0, err);
	if (r)
		return r;
	if (tfs_format_ends_with(file_name, EXTENSION))
		stem -= strlen(EXTENSION);
	if (stem > NAME_MAX)
		stem = NAME_MAX;
	memcpy(ir->location, file_name, stem);
	memcpy(ir->location + stem, ".bin", sizeof ".bin");
	ir->err = err;
	tfs_xml_init(&ir->xml, text, in->size, err);
	tfs_drafts_init(&ir->d, in, catalog, err);
	r = read_ir(ir);
	tfs_drafts_fini(&ir->d);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

const struct tfs_format tfs_format_openvino = {
	.name = "openvino",
	.what = "an OpenVINO model",
	.ambiguous = (const char *const[]){ EXTENSION, NULL },
	.external = true,
	.recognises = recognises,
	.parse = parse,
};
