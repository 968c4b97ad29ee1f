/* SPDX-License-Identifier: MIT */
/*
 * The protobuf wire format (protobuf.dev/programming-guides/encoding), read from a file piece by piece: field after field of a
 * message, into messages in it, over what nobody wants. Only what is asked for is read, so a file of gigabytes costs as many
 * reads as it has large fields. Nothing is allocated. Not thread-safe.
 *
 * Strict where protobuf's own readers are: every length ends within the message around it, a varint has at most 10 bytes, a group
 * ends with its own number.
 */
#ifndef TFS_FORMAT_PROTOBUF_H
#define TFS_FORMAT_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

/* Messages and groups in each other: what protobuf's C++ and Java readers take (CodedInputStream, recursion limit). */
#define TFS_PB_MAX_DEPTH 100u

/* A varint holds 64 bits, 7 to a byte. */
#define TFS_PB_MAX_VARINT 10u

#define TFS_PB_BUFFER ((size_t)64 << 10)

enum tfs_pb_wire {
	TFS_PB_VARINT = 0,
	TFS_PB_FIXED64 = 1,
	TFS_PB_BYTES = 2, /* a string, a message, or packed numbers */
	TFS_PB_FIXED32 = 5,
};

struct tfs_pb_field {
	uint32_t number;
	enum tfs_pb_wire wire;
	uint64_t tag_at; /* where in the file it begins */
	uint64_t at;	 /* where its value does; of BYTES, the first of them */
	uint64_t value;	 /* VARINT: the number; BYTES: how many there are, all within the message. Of the others nothing is read. */
};

/* Where a reader stands in a message. */
struct tfs_pb_place {
	uint64_t at, end;
};

/* Embedded; large, so not for the stack. */
struct tfs_pb {
	const struct tfs_input *in;
	struct tfs_error *err;
	uint64_t at, end; /* the next byte of the message at hand, and where it ends; outside of all messages, the file's */
	unsigned depth;
	uint64_t have_at; /* what has been read: have bytes of buf, from byte have_at of the file */
	size_t have, want;
	uint8_t buf[TFS_PB_BUFFER];
};

/* Begin at the first byte of the file @in, which stays the caller's, as one message. @err is filled by whatever fails. */
void tfs_pb_init(struct tfs_pb *pb, const struct tfs_input *in, struct tfs_error *err);

/*
 * The next field of the message at hand. 1: it is in *@ret, and the reader stands behind it, unless somebody enters it. 0: there is
 * none. -EINVAL: not protobuf; or pread's error. Groups (which proto3 has not) are read over.
 */
int tfs_pb_next(struct tfs_pb *pb, struct tfs_pb_field *ret);

/*
 * Go to the first byte of @f, which is BYTES and was found before, and take it for the message at hand; *@ret_back is for
 * tfs_pb_leave(), which goes back to where the reader stood. -EINVAL: not BYTES, or too deep.
 */
int tfs_pb_enter(struct tfs_pb *pb, const struct tfs_pb_field *f, struct tfs_pb_place *ret_back);
void tfs_pb_leave(struct tfs_pb *pb, struct tfs_pb_place back);

/* One varint of an entered field of packed numbers: there is one as long as at < end. 0 or an error as above. */
int tfs_pb_varint(struct tfs_pb *pb, uint64_t *ret);

/* The first @len bytes of @f, no more than it has, into @buf; the reader stays where it is. 0, or pread's error. */
int tfs_pb_copy(struct tfs_pb *pb, const struct tfs_pb_field *f, void *buf, size_t len);

/* Is @f of that wire type? Else -EINVAL, @err filled. */
int tfs_pb_expect(struct tfs_pb *pb, const struct tfs_pb_field *f, enum tfs_pb_wire wire);

#endif
