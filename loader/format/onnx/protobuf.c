/* SPDX-License-Identifier: MIT */
#include "format/onnx/protobuf.h"

#include <errno.h>
#include <string.h>

#include "storage/storage.h"

/* What is read first after a jump: a message's few small fields, before the next jump. Doubled as long as bytes are wanted in order. */
enum { FIRST_READ = 4096 };

/* Wire types that readers of a message do not see. */
enum { GROUP_BEGIN = 3, GROUP_END = 4 };

void tfs_pb_init(struct tfs_pb *pb, const struct tfs_input *in, struct tfs_error *err)
{
	pb->in = in;
	pb->err = err;
	pb->end = in->size;
	pb->at = pb->have_at = 0;
	pb->have = pb->want = 0;
	pb->depth = 0;
}

/* Read on where the reader stands, which is not in the buffer. */
static int fill(struct tfs_pb *pb)
{
	int r;

	if (pb->at == pb->have_at + pb->have && pb->have)
		pb->want = 2 * pb->want < TFS_PB_BUFFER ? 2 * pb->want : TFS_PB_BUFFER;
	else
		pb->want = FIRST_READ;
	pb->have_at = pb->at;
	pb->have = pb->in->size - pb->at < pb->want ? pb->in->size - pb->at : pb->want;
	r = tfs_input_read(pb->in, pb->buf, pb->have, pb->at, pb->err);
	if (r)
		pb->have = 0;
	return r;
}

int tfs_pb_varint(struct tfs_pb *pb, uint64_t *ret)
{
	uint64_t value = 0, start = pb->at;

	for (unsigned i = 0; i < TFS_PB_MAX_VARINT; i++) {
		uint8_t byte;
		int r;

		if (pb->at == pb->end)
			return tfs_error_set(pb->err, -EINVAL, start,
					     "protobuf: a varint goes on behind the end of its message, at %llu",
					     (unsigned long long)pb->end);
		if (pb->at - pb->have_at >= pb->have) { /* before the buffer, too: the difference wraps */
			r = fill(pb);
			if (r)
				return r;
		}
		byte = pb->buf[pb->at++ - pb->have_at];
		value |= (uint64_t)(byte & 0x7f) << 7 * i; /* of the tenth byte one bit counts, as in protobuf's readers */
		if (!(byte & 0x80)) {
			*ret = value;
			return 0;
		}
	}
	return tfs_error_set(pb->err, -EINVAL, start, "protobuf: a varint of more than %u bytes", TFS_PB_MAX_VARINT);
}

/* Tag and value; over BYTES, and before the fields of a group. Sets *@ret_wire, which may be one of a group's. */
static int read_field(struct tfs_pb *pb, struct tfs_pb_field *f, unsigned *ret_wire)
{
	uint64_t tag, left;
	int r;

	f->tag_at = pb->at;
	r = tfs_pb_varint(pb, &tag);
	if (r)
		return r;
	f->number = (uint32_t)(tag >> 3);
	*ret_wire = tag & 7;
	f->value = 0;
	if (tag > UINT32_MAX || !f->number)
		return tfs_error_set(pb->err, -EINVAL, f->tag_at, "protobuf: no field has the number %llu",
				     (unsigned long long)(tag >> 3));
	f->at = pb->at;
	left = pb->end - pb->at;
	switch (*ret_wire) {
	case TFS_PB_VARINT:
		return tfs_pb_varint(pb, &f->value);
	case TFS_PB_FIXED64:
	case TFS_PB_FIXED32:
		f->value = *ret_wire == TFS_PB_FIXED64 ? 8 : 4;
		break;
	case TFS_PB_BYTES:
		r = tfs_pb_varint(pb, &f->value);
		if (r)
			return r;
		f->at = pb->at;
		left = pb->end - pb->at;
		break;
	case GROUP_BEGIN:
	case GROUP_END:
		return 0;
	default:
		return tfs_error_set(pb->err, -EINVAL, f->tag_at, "protobuf: field %u has wire type %u, which does not exist",
				     f->number, *ret_wire);
	}
	if (f->value > left)
		return tfs_error_set(pb->err, -EINVAL, f->tag_at, "protobuf: field %u has %llu bytes, its message only %llu more",
				     f->number, (unsigned long long)f->value, (unsigned long long)left);
	pb->at += f->value;
	if (*ret_wire != TFS_PB_BYTES)
		f->value = 0;
	return 0;
}

static int too_deep(struct tfs_pb *pb, uint64_t at)
{
	return tfs_error_set(pb->err, -EINVAL, at, "protobuf: more than %u messages in each other", TFS_PB_MAX_DEPTH);
}

/* Read over the rest of group @number. */
static int skip_group(struct tfs_pb *pb, uint32_t number, uint64_t tag_at)
{
	uint32_t open[TFS_PB_MAX_DEPTH]; /* the numbers of the groups around, the innermost last */
	struct tfs_pb_field f;
	unsigned n = 0, wire;
	int r;

	open[n++] = number;
	while (n) {
		if (pb->at == pb->end)
			return tfs_error_set(pb->err, -EINVAL, tag_at, "protobuf: group %u does not end within its message",
					     open[0]);
		r = read_field(pb, &f, &wire);
		if (r)
			return r;
		if (wire == GROUP_BEGIN) {
			if (pb->depth + n >= TFS_PB_MAX_DEPTH)
				return too_deep(pb, f.tag_at);
			open[n++] = f.number;
		} else if (wire == GROUP_END && open[--n] != f.number) {
			return tfs_error_set(pb->err, -EINVAL, f.tag_at, "protobuf: group %u ends where group %u is open", f.number,
					     open[n]);
		}
	}
	return 0;
}

int tfs_pb_next(struct tfs_pb *pb, struct tfs_pb_field *ret)
{
	unsigned wire;
	int r;

	while (pb->at < pb->end) {
		r = read_field(pb, ret, &wire);
		if (r)
			return r;
		if (wire == GROUP_END)
			return tfs_error_set(pb->err, -EINVAL, ret->tag_at, "protobuf: group %u ends, but did not begin",
					     ret->number);
		if (wire != GROUP_BEGIN) {
			ret->wire = (enum tfs_pb_wire)wire;
			return 1;
		}
		r = pb->depth < TFS_PB_MAX_DEPTH ? skip_group(pb, ret->number, ret->tag_at) : too_deep(pb, ret->tag_at);
		if (r)
			return r;
	}
	return 0;
}

int tfs_pb_enter(struct tfs_pb *pb, const struct tfs_pb_field *f, struct tfs_pb_place *ret_back)
{
	int r = tfs_pb_expect(pb, f, TFS_PB_BYTES);

	if (r)
		return r;
	if (pb->depth == TFS_PB_MAX_DEPTH)
		return too_deep(pb, f->tag_at);
	pb->depth++;
	*ret_back = (struct tfs_pb_place){ pb->at, pb->end };
	pb->at = f->at;
	pb->end = f->at + f->value;
	return 0;
}

void tfs_pb_leave(struct tfs_pb *pb, struct tfs_pb_place back)
{
	pb->depth--;
	pb->at = back.at;
	pb->end = back.end;
}

int tfs_pb_copy(struct tfs_pb *pb, const struct tfs_pb_field *f, void *buf, size_t len)
{
	uint64_t before = f->at - pb->have_at;

	if (before > pb->have || len > pb->have - before)
		return tfs_input_read(pb->in, buf, len, f->at, pb->err);
	memcpy(buf, pb->buf + before, len);
	return 0;
}

int tfs_pb_expect(struct tfs_pb *pb, const struct tfs_pb_field *f, enum tfs_pb_wire wire)
{
	static const char *const names[] = {
		[TFS_PB_VARINT] = "a varint",
		[TFS_PB_FIXED64] = "8 bytes",
		[TFS_PB_BYTES] = "bytes with their length",
		[TFS_PB_FIXED32] = "4 bytes",
	};

	if (f->wire == wire)
		return 0;
	return tfs_error_set(pb->err, -EINVAL, f->tag_at, "field %u is %s where %s belong%s", f->number, names[f->wire],
			     names[wire], wire == TFS_PB_VARINT ? "s" : "");
}
