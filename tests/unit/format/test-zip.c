/* SPDX-License-Identifier: MIT */
/* The zip reader, on files made here byte by byte. Hostile npz files are in tests/reject. */
#include "support/helpers.h"

#include <errno.h>
#include <zlib.h>

#include "format/zip.h"

/* A member to be. What stays 0 is as it should be. */
struct part {
	const char *name, *local_name; /* NULL: the same */
	const char *data;
	bool deflated, descriptor, zip64, encrypted;
	uint16_t method, local_method; /* instead of what is true */
	size_t local_extra;
	uint64_t size, unpacked; /* the same */
	uint32_t crc_off;
	bool at_first; /* says that it begins where the first one does */
};

struct builder {
	uint8_t file[300000], central[8192];
	size_t len, n_central, count;
	uint32_t first;
};

static void put(uint8_t *buf, size_t *len, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		buf[(*len)++] = i < 8 ? (uint8_t)(v >> 8 * i) : 0;
}

static void put_bytes(uint8_t *buf, size_t *len, const void *data, size_t n)
{
	memcpy(buf + *len, data, n);
	*len += n;
}

static size_t deflated(const char *data, uint8_t *out, size_t room)
{
	z_stream s = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = strlen(data), .next_out = out, .avail_out = room };

	assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
	deflateEnd(&s);
	return room - s.avail_out;
}

static void add(struct builder *b, const struct part *p)
{
	const char *local_name = p->local_name ? p->local_name : p->name;
	uint16_t method = p->method ? p->method : p->deflated ? TFS_ZIP_DEFLATED : TFS_ZIP_STORED;
	uint16_t flags = (p->descriptor ? 8 : 0) | (p->encrypted ? 1 : 0);
	uint32_t crc = crc32_z(0, (const uint8_t *)p->data, strlen(p->data)) + p->crc_off;
	static uint8_t encoded[100000];
	size_t n = p->deflated ? deflated(p->data, encoded, sizeof encoded) : strlen(p->data);
	uint64_t size = p->size ? p->size : n, unpacked = p->unpacked ? p->unpacked : strlen(p->data), at;

	at = p->at_first ? b->first : b->len;
	if (!b->count)
		b->first = b->len;
	if (!p->at_first) {
		put(b->file, &b->len, 0x04034b50, 4);
		put(b->file, &b->len, 20, 2);
		put(b->file, &b->len, flags, 2);
		put(b->file, &b->len, p->local_method ? p->local_method : method, 2);
		put(b->file, &b->len, 0, 4);
		put(b->file, &b->len, p->descriptor ? 0 : crc, 4);
		put(b->file, &b->len, p->descriptor ? 0 : size, 4);
		put(b->file, &b->len, p->descriptor ? 0 : unpacked, 4);
		put(b->file, &b->len, strlen(local_name), 2);
		put(b->file, &b->len, p->local_extra, 2);
		put_bytes(b->file, &b->len, local_name, strlen(local_name));
		memset(b->file + b->len, 'E', p->local_extra);
		b->len += p->local_extra;
		put_bytes(b->file, &b->len, p->deflated ? (const void *)encoded : p->data, n);
		if (p->descriptor) {
			put(b->file, &b->len, 0x08074b50, 4);
			put(b->file, &b->len, crc, 4);
			put(b->file, &b->len, size, 4);
			put(b->file, &b->len, unpacked, 4);
		}
	}
	put(b->central, &b->n_central, 0x02014b50, 4);
	put(b->central, &b->n_central, 0x00140014, 4);
	put(b->central, &b->n_central, flags, 2);
	put(b->central, &b->n_central, method, 2);
	put(b->central, &b->n_central, 0, 4);
	put(b->central, &b->n_central, crc, 4);
	put(b->central, &b->n_central, p->zip64 ? UINT32_MAX : size, 4);
	put(b->central, &b->n_central, p->zip64 ? UINT32_MAX : unpacked, 4);
	put(b->central, &b->n_central, strlen(p->name), 2);
	put(b->central, &b->n_central, p->zip64 ? 4 + 2 + 4 + 24 : 0, 2);
	put(b->central, &b->n_central, 0, 10);
	put(b->central, &b->n_central, p->zip64 ? UINT32_MAX : at, 4);
	put_bytes(b->central, &b->n_central, p->name, strlen(p->name));
	if (p->zip64) {
		put(b->central, &b->n_central, 0x00025455, 4); /* another one first */
		put(b->central, &b->n_central, 0, 2);
		put(b->central, &b->n_central, 0x00180001, 4);
		put(b->central, &b->n_central, unpacked, 8);
		put(b->central, &b->n_central, size, 8);
		put(b->central, &b->n_central, at, 8);
	}
	b->count++;
}

static void add_all(struct builder *b, const struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(b, &parts[i]);
}

static size_t end_central(struct builder *b)
{
	size_t at = b->len;

	put_bytes(b->file, &b->len, b->central, b->n_central);
	return at;
}

static void end(struct builder *b, uint64_t count, uint64_t size, uint64_t at, const char *comment)
{
	put(b->file, &b->len, 0x06054b50, 4);
	put(b->file, &b->len, 0, 4);
	put(b->file, &b->len, count, 2);
	put(b->file, &b->len, count, 2);
	put(b->file, &b->len, size, 4);
	put(b->file, &b->len, at, 4);
	put(b->file, &b->len, strlen(comment), 2);
	put_bytes(b->file, &b->len, comment, strlen(comment));
}

static void end64(struct builder *b, uint64_t count, uint64_t size, uint64_t at)
{
	size_t here = b->len;

	put(b->file, &b->len, 0x06064b50, 4);
	put(b->file, &b->len, 44, 8);
	put(b->file, &b->len, 0x002d002d, 4);
	put(b->file, &b->len, 0, 8);
	put(b->file, &b->len, count, 8);
	put(b->file, &b->len, count, 8);
	put(b->file, &b->len, size, 8);
	put(b->file, &b->len, at, 8);
	put(b->file, &b->len, 0x07064b50, 4);
	put(b->file, &b->len, 0, 4);
	put(b->file, &b->len, here, 8);
	put(b->file, &b->len, 1, 4);
}

static void finish(struct builder *b)
{
	size_t at = end_central(b);

	end(b, b->count, b->n_central, at, "");
}

/* What tfs_zip_read() says to it; *@ret_fd is left open for the caller. */
static int read_zip(struct builder *b, struct tfs_zip **ret, int *ret_fd, struct tfs_error *err)
{
	*ret = NULL;
	*err = (struct tfs_error){ 0 };
	*ret_fd = memory_file(b->file, b->len);
	return tfs_zip_read(input_of(*ret_fd, b->len), NULL, NULL, ret, err);
}

static void assert_refused(struct builder *b, const char *what)
{
	struct tfs_error err;
	struct tfs_zip *z;
	int fd;

	assert_int_equal(read_zip(b, &z, &fd, &err), -EINVAL);
	if (!strstr(err.what, what))
		fail_msg("%s, not %s", err.what, what);
	assert_true(err.offset <= b->len);
	assert_null(z);
	close(fd);
}

static struct builder *fresh(void)
{
	static struct builder b;

	memset(&b, 0, sizeof b);
	return &b;
}

static void assert_refused_parts(const struct part *parts, size_t n, const char *what)
{
	struct builder *b = fresh();

	add_all(b, parts, n);
	finish(b);
	assert_refused(b, what);
}

static void members_are_found(void **state)
{
	static const struct part parts[] = {
		{ .name = "b/stored", .data = "some bytes", .local_extra = 37 },
		{ .name = "a deflated one",
		  .data = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy",
		  .deflated = true },
		{ .name = "streamed", .data = "sizes come later", .descriptor = true },
		{ .name = "large", .data = "said in 64 bits", .zip64 = true },
		{ .name = "folder/", .data = "" },
		{ .name = "empty and deflated", .data = "", .deflated = true },
	};
	struct builder *b = fresh();
	struct tfs_error err;
	struct tfs_zip *z;
	char buf[100];
	int fd;

	(void)state;
	add_all(b, parts, LENGTH(parts));
	finish(b);
	assert_true(tfs_zip_claims(b->file));
	assert_int_equal(read_zip(b, &z, &fd, &err), 0);
	assert_int_equal(z->n_members, LENGTH(parts));
	for (size_t i = 0; i < LENGTH(parts); i++) {
		const struct tfs_zip_member *m = &z->members[i];

		assert_string_equal(m->name, parts[i].name);
		assert_int_equal(m->name_len, strlen(parts[i].name));
		assert_int_equal(m->unpacked, strlen(parts[i].data));
		assert_int_equal(m->method, parts[i].deflated ? TFS_ZIP_DEFLATED : TFS_ZIP_STORED);
		assert_false(m->encrypted);
		assert_ptr_equal(tfs_zip_find(z, parts[i].name, strlen(parts[i].name)), m);
		for (size_t len = 0; len <= m->unpacked; len++) {
			memset(buf, 0, sizeof buf);
			assert_int_equal(tfs_zip_head(input_of(fd, 0), m, buf, len, &err), 0);
			assert_memory_equal(buf, parts[i].data, len);
			assert_int_equal(buf[len], 0);
		}
	}
	assert_int_equal(z->members[0].offset, 30 + 8 + 37);
	assert_null(tfs_zip_find(z, "b/store", 7));
	assert_null(tfs_zip_find(z, "", 0));
	tfs_zip_destroy(z);
	tfs_zip_destroy(NULL);
	close(fd);
}

static void an_end_alone_is_an_empty_file(void **state)
{
	struct builder *b = fresh();
	struct tfs_error err;
	struct tfs_zip *z;
	int fd;

	(void)state;
	finish(b);
	assert_true(tfs_zip_claims(b->file));
	assert_false(tfs_zip_claims((const uint8_t *)"PK\1\2"));
	assert_int_equal(read_zip(b, &z, &fd, &err), 0);
	assert_int_equal(z->n_members, 0);
	assert_null(tfs_zip_find(z, "x", 1));
	tfs_zip_destroy(z);
	close(fd);
}

static void comments_are_read_over(void **state)
{
	static const struct part part = { .name = "x", .data = "1" };
	static char comment[65536];
	struct builder *b = fresh();
	struct tfs_error err;
	struct tfs_zip *z;
	int fd;

	(void)state;
	memset(comment, 'c', sizeof comment - 1);
	memcpy(comment + 50, "PK\5\6 which is the magic of an end record, but whose comment has another length", 70);
	add(b, &part);
	end(b, 1, b->n_central, end_central(b), comment);
	assert_int_equal(read_zip(b, &z, &fd, &err), 0);
	assert_int_equal(z->n_members, 1);
	tfs_zip_destroy(z);
	close(fd);
	b->len -= 1;
	assert_refused(b, "of a multi-part zip file"); /* what is left is the magic in the comment */
}

/* A file that was padded, or put into something larger, whose reader takes the last end record; as Python does. */
static void what_follows_the_end_is_read_over(void **state)
{
	static const struct part part = { .name = "x", .data = "1" };
	struct builder *b = fresh();
	struct tfs_error err;
	struct tfs_zip *z;
	int fd;

	(void)state;
	add(b, &part);
	end(b, 1, b->n_central, end_central(b), "a comment");
	for (size_t more = 0; more < 66000; more = more * 3 + 1) {
		struct builder *longer = b;

		longer->len += more;
		if (more <= 65535 - strlen("a comment")) {
			assert_int_equal(read_zip(longer, &z, &fd, &err), 0);
			assert_int_equal(z->n_members, 1);
			tfs_zip_destroy(z);
			close(fd);
		} else {
			assert_refused(longer, "no zip end record");
		}
		longer->len -= more;
	}
	/* A comment that is cut short is no file with more behind it. */
	b->len -= 1;
	assert_refused(b, "no zip end record");
}

struct dropped {
	unsigned n;
	char what[10][sizeof((struct tfs_error *)0)->what + 8];
};

static int drop(void *arg, const struct tfs_zip_member *m, const struct tfs_error *err)
{
	struct dropped *d = arg;

	assert_non_null(m->name);
	assert_true(d->n < LENGTH(d->what));
	snprintf(d->what[d->n++], sizeof d->what[0], "%s%s", err->code == -EEXIST ? "twice: " : "", err->what);
	return 0;
}

static void unsound_members_are_left_out_if_wanted(void **state)
{
	static const struct part parts[] = {
		{ .name = "sound", .data = "1" },
		{ .name = "twice", .data = "2" },
		{ .name = "name", .local_name = "eman", .data = "3" },
		{ .name = "method", .data = "4", .local_method = TFS_ZIP_DEFLATED },
		{ .name = "size", .data = "55", .unpacked = 1 },
		{ .name = "ratio", .data = "6", .deflated = true, .unpacked = 1033 * 4 },
		{ .name = "over", .data = "7", .size = 2, .unpacked = 2 },
		{ .name = "same", .data = "8", .at_first = true },
		{ .name = "twice", .data = "99", .deflated = true },
	};
	static const char *const want[] = {
		"twice: member \"twice\": duplicate name, of which the last one is used",
		"member \"over\": 2 bytes overlap what follows it",
		"member \"ratio\": deflated, but",
		"member \"size\": stored, but 2 bytes are supposed to make 1",
		"member \"method\": method 8 in its local header, 0 in the central directory",
		"member \"name\": has another name in its local header",
		"member \"same\": has another name in its local header",
	};
	struct builder *b = fresh();
	struct dropped dropped = { 0 };
	const struct tfs_zip_member *m;
	struct tfs_error err;
	struct tfs_zip *z;
	char buf[2];
	int fd;

	(void)state;
	add_all(b, parts, LENGTH(parts));
	finish(b);
	fd = memory_file(b->file, b->len);
	assert_int_equal(tfs_zip_read(input_of(fd, b->len), drop, &dropped, &z, &err), 0);
	assert_int_equal(dropped.n, LENGTH(want));
	for (unsigned i = 0; i < dropped.n; i++)
		if (!strstr(dropped.what[i], want[i]))
			fail_msg("%s, not %s", dropped.what[i], want[i]);
	assert_int_equal(z->n_members, 2);
	assert_string_equal(z->members[0].name, "sound");
	m = tfs_zip_find(z, "twice", 5);
	assert_ptr_equal(m, &z->members[1]);
	assert_int_equal(tfs_zip_head(input_of(fd, 0), m, buf, 2, &err), 0);
	assert_memory_equal(buf, "99", 2);
	assert_null(tfs_zip_find(z, "over", 4));
	tfs_zip_destroy(z);
	close(fd);
}

static void zip64_ends_are_read(void **state)
{
	static const struct part part = { .name = "x", .data = "1" };
	struct builder *b = fresh();
	struct tfs_error err;
	struct tfs_zip *z;
	size_t at;
	int fd;

	(void)state;
	/* All ones in the end record: the zip64 one counts. Then some true values, as torch writes them. Then a false one. */
	for (int i = 0; i < 3; i++) {
		b = fresh();
		add(b, &part);
		at = end_central(b);
		end64(b, 1, b->n_central, at);
		if (i == 0)
			end(b, UINT16_MAX, UINT32_MAX, UINT32_MAX, "");
		else
			end(b, i, b->n_central, at, "");
		if (i == 2) {
			assert_refused(b, "contradicts");
			break;
		}
		assert_int_equal(read_zip(b, &z, &fd, &err), 0);
		assert_int_equal(z->n_members, 1);
		tfs_zip_destroy(z);
		close(fd);
	}
	b = fresh();
	add(b, &part);
	at = end_central(b);
	end64(b, UINT64_MAX / 40, UINT64_MAX - at + 1, at);
	end(b, UINT16_MAX, UINT32_MAX, UINT32_MAX, "");
	assert_refused(b, "central directory at");
	/* The locator points behind itself, then to something else. */
	b->len = at;
	end64(b, 1, b->n_central, at);
	b->file[b->len - 12] = 0xff;
	b->file[b->len - 10] = 0xff;
	end(b, 1, b->n_central, at, "");
	assert_refused(b, "which isn't before the locator");
	b->len = at;
	end64(b, 1, b->n_central, at);
	b->file[b->len - 12]--;
	end(b, 1, b->n_central, at, "");
	assert_refused(b, "no zip64 end record");
}

static void counts_are_held_against_the_file(void **state)
{
	static const struct part part = { .name = "x", .data = "1" };
	struct builder *b = fresh();
	size_t at;

	(void)state;
	add(b, &part);
	at = end_central(b);
	end(b, 2, b->n_central, at, "");
	assert_refused(b, "2 members in");
	b->len = at + b->n_central;
	end(b, 0, b->n_central, at, "");
	assert_refused(b, "goes on after its 0 headers");
	b->len = at + b->n_central;
	end(b, 1, b->n_central + 1, at, "");
	assert_refused(b, "do not end before");
	b->len = at + b->n_central;
	end(b, 1, b->n_central - 1, at, "");
	assert_refused(b, "goes on past the end of the central directory");
	b->len = at + b->n_central;
	end(b, 1, b->n_central, at - 1, "");
	assert_refused(b, "no central directory header");
	b->len = at + b->n_central;
	end64(b, 1u << 30, UINT64_C(1) << 29, at);
	end(b, UINT16_MAX, UINT32_MAX, UINT32_MAX, "");
	assert_refused(b, "do not end before");
	/* The name of the last header goes on behind the directory. */
	b->len = at + b->n_central;
	b->file[at + 28] = 200;
	end(b, 1, b->n_central, at, "");
	assert_refused(b, "goes on past the end of the central directory");
	b->len = 21;
	assert_refused(b, "no zip end record");
	b->len = 0;
	assert_refused(b, "no zip end record");
}

static void a_split_zip_file_is_refused(void **state)
{
	static const struct part part = { .name = "x", .data = "1" };
	struct builder *b = fresh();
	size_t at;

	(void)state;
	add(b, &part);
	finish(b);
	b->file[b->len - 18] = 1; /* this disk */
	assert_refused(b, "of a multi-part zip file");
	b = fresh();
	add(b, &part);
	at = b->len;
	finish(b);
	b->file[at + 34] = 1; /* the member's */
	assert_refused(b, "of a multi-part zip file");
}

static void members_over_each_other_are_refused(void **state)
{
	static const struct part same[] = { { .name = "a", .data = "11111" }, { .name = "b", .data = "11111", .at_first = true } };
	static const struct part over[] = { { .name = "a", .data = "1", .size = 2, .unpacked = 2 }, { .name = "b", .data = "2" } };
	static const struct part end_over[] = { { .name = "a", .data = "1", .size = 2, .unpacked = 2 } };
	static const struct part huge[] = {
		{ .name = "a", .data = "1", .size = UINT64_MAX, .unpacked = UINT64_MAX, .zip64 = true }
	};

	(void)state;
	assert_refused_parts(same, 2, "another name");
	assert_refused_parts(over, 2, "overlap what follows it");
	assert_refused_parts(end_over, 1, "overlap what follows it");
	assert_refused_parts(huge, 1, "overlap what follows it");
}

static void headers_that_disagree_are_refused(void **state)
{
	static const struct part twice[] = { { .name = "a", .data = "1" },
					     { .name = "b", .data = "" },
					     { .name = "a", .data = "2" } };
	static const struct part name[] = { { .name = "a", .local_name = "b", .data = "1" } };
	static const struct part length[] = { { .name = "a", .local_name = "aa", .data = "1" } };
	static const struct part method[] = { { .name = "a", .data = "1", .local_method = TFS_ZIP_DEFLATED } };
	static const struct part size[] = { { .name = "a", .data = "12", .unpacked = 1 } };
	static const struct part ratio[] = { { .name = "a", .data = "1", .deflated = true, .unpacked = 1033 * 4 } };

	(void)state;
	assert_refused_parts(twice, 3, "\"a\": duplicate name");
	assert_refused_parts(name, 1, "another name");
	assert_refused_parts(length, 1, "another name");
	assert_refused_parts(method, 1, "method 8 in its local header, 0");
	assert_refused_parts(size, 1, "2 bytes are supposed to make 1");
	assert_refused_parts(ratio, 1, "can't make");
}

static void what_we_cannot_read_is_kept(void **state)
{
	static const struct part parts[] = {
		{ .name = "bzip2", .data = "BZ", .method = 12, .unpacked = 40 },
		{ .name = "secret", .data = "twelve bytes and", .encrypted = true, .unpacked = 4 },
	};
	struct builder *b = fresh();
	struct tfs_error err;
	struct tfs_zip *z;
	char buf[50];
	int fd;

	(void)state;
	add_all(b, parts, 2);
	finish(b);
	assert_int_equal(read_zip(b, &z, &fd, &err), 0);
	assert_int_equal(z->members[0].method, 12);
	assert_int_equal(tfs_zip_head(input_of(fd, 0), &z->members[0], buf, 1, &err), -EINVAL);
	assert_non_null(strstr(err.what, "method 12"));
	assert_true(z->members[1].encrypted);
	assert_int_equal(tfs_zip_head(input_of(fd, 0), &z->members[1], buf, 1, &err), -EINVAL);
	assert_non_null(strstr(err.what, "encrypted"));
	tfs_zip_destroy(z);
	close(fd);
}

/* The whole of @part must be refused with @what in the text. */
static void assert_damaged(const struct part *part, size_t flip, const char *what)
{
	struct builder *b = fresh();
	struct tfs_error err;
	struct tfs_zip *z;
	char buf[10000];
	int fd;

	add(b, part);
	finish(b);
	if (flip)
		b->file[30 + strlen(part->name) + flip - 1] ^= 0xff;
	assert_int_equal(read_zip(b, &z, &fd, &err), 0);
	assert_true(z->members[0].unpacked <= sizeof buf);
	assert_int_equal(tfs_zip_head(input_of(fd, 0), &z->members[0], buf, z->members[0].unpacked, &err), -EINVAL);
	if (!strstr(err.what, what))
		fail_msg("%s, not %s", err.what, what);
	assert_true(err.offset <= b->len);
	tfs_zip_destroy(z);
	close(fd);
}

static void damage_is_noticed(void **state)
{
	static const struct part crc = { .name = "a", .data = "12345", .crc_off = 1 };
	static const struct part deflated_crc = {
		.name = "a", .data = "1111111111111111111111111111111", .deflated = true, .crc_off = 1
	};
	static const struct part stream = { .name = "a", .data = "1111111111111111111111111111111", .deflated = true };
	static const struct part longer = {
		.name = "a", .data = "1111111111111111111111111111111", .deflated = true, .unpacked = 40
	};
	static const struct part shorter = {
		.name = "a", .data = "1111111111111111111111111111111", .deflated = true, .unpacked = 20
	};
	static const struct part cut = { .name = "a", .data = "1111111111111111111111111111111", .deflated = true, .size = 3 };

	(void)state;
	assert_damaged(&crc, 0, "checksum");
	assert_damaged(&deflated_crc, 0, "checksum");
	assert_damaged(&stream, 1, "corrupt deflate stream");
	assert_damaged(&longer, 0, "inflates to 31 bytes, not to 40");
	assert_damaged(&shorter, 0, "inflates to more than 20 bytes");
	assert_damaged(&cut, 0, "cut short");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found),
		cmocka_unit_test(an_end_alone_is_an_empty_file),
		cmocka_unit_test(comments_are_read_over),
		cmocka_unit_test(what_follows_the_end_is_read_over),
		cmocka_unit_test(unsound_members_are_left_out_if_wanted),
		cmocka_unit_test(zip64_ends_are_read),
		cmocka_unit_test(counts_are_held_against_the_file),
		cmocka_unit_test(a_split_zip_file_is_refused),
		cmocka_unit_test(members_over_each_other_are_refused),
		cmocka_unit_test(headers_that_disagree_are_refused),
		cmocka_unit_test(what_we_cannot_read_is_kept),
		cmocka_unit_test(damage_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
