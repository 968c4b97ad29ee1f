/* SPDX-License-Identifier: MIT */
/*
 * Generates encoded tensors: an .npz whose members are stored or deflated, in C or Fortran order, little- or big-endian, with known
 * bytes: byte i of a member as shown is byte_at(its base + i), however it is stored.
 */
#ifndef TEST_PACKED_H
#define TEST_PACKED_H

#include "support/fixture.h"

#include <zlib.h>

struct member {
	char name[16];
	uint64_t rows, cols;
	unsigned width; /* bytes of an element: 1 or 2 */
	bool fortran, big, deflated;
	uint64_t base; /* a multiple of 8 */
	/* Of the archive. */
	uint32_t crc, stored, unpacked, at;
};

static inline uint64_t member_bytes(const struct member *m)
{
	return m->rows * m->cols * m->width;
}

static inline uint8_t *put_le(uint8_t *p, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		*p++ = (uint8_t)(value >> (8 * i));
	return p;
}

/* The .npy file of a member, malloc'd. */
static inline uint8_t *make_npy(struct member *m)
{
	enum { HEADER = 128 };
	uint64_t nbytes = member_bytes(m);
	uint8_t *npy = malloc(HEADER + nbytes), *c_order = malloc(nbytes);

	assert_true(npy && c_order);
	memset(npy, ' ', HEADER);
	memcpy(npy, "\x93NUMPY\x01", 7);
	npy[7] = 0;
	put_le(npy + 8, HEADER - 10, 2);
	int n = snprintf((char *)npy + 10, HEADER - 10, "{'descr': '%s', 'fortran_order': %s, 'shape': (%llu, %llu), }",
			 m->width == 1 ? "|u1" :
			 m->big	       ? ">u2" :
					 "<u2",
			 m->fortran ? "True" : "False", (unsigned long long)m->rows, (unsigned long long)m->cols);
	npy[10 + n] = ' ';
	npy[HEADER - 1] = '\n';
	fill(c_order, m->base, nbytes);
	for (uint64_t r = 0; r < m->rows; r++)
		for (uint64_t c = 0; c < m->cols; c++) {
			const uint8_t *from = c_order + (r * m->cols + c) * m->width;
			uint8_t *to = npy + HEADER + (m->fortran ? c * m->rows + r : r * m->cols + c) * m->width;
			for (unsigned i = 0; i < m->width; i++)
				to[m->big ? m->width - 1 - i : i] = from[i];
		}
	free(c_order);
	m->unpacked = HEADER + nbytes;
	m->crc = crc32(0, npy, m->unpacked);
	return npy;
}

/* The header of a member, local or (@central) of the directory, with its name. APPNOTE.TXT 4.3.7, 4.3.12. */
static inline size_t zip_header(uint8_t *buf, const struct member *m, bool central)
{
	uint8_t *p = buf;
	char name[32];
	size_t len = snprintf(name, sizeof name, "%s.npy", m->name);

	p = put_le(p, central ? 0x02014b50 : 0x04034b50, 4);
	if (central)
		p = put_le(p, 20, 2);
	p = put_le(p, 20, 2);
	p = put_le(p, 0, 2);
	p = put_le(p, m->deflated ? 8 : 0, 2);
	p = put_le(p, 0x21 << 16, 4);
	p = put_le(p, m->crc, 4);
	p = put_le(p, m->stored, 4);
	p = put_le(p, m->unpacked, 4);
	p = put_le(p, len, 2);
	p = put_le(p, 0, 2);
	if (central) {
		p = put_le(p, 0, 8); /* no comment, disk 0, attributes */
		p = put_le(p, 0, 2);
		p = put_le(p, m->at, 4);
	}
	memcpy(p, name, len);
	return p + len - buf;
}

/* Write DIR/NAME with these members, at most 4 GiB. */
static inline void put_npz(const char *dir, const char *name, struct member *members, size_t n)
{
	int fd = open(in_tree(dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	uint8_t header[128];
	uint64_t at = 0;

	assert_true(fd >= 0);
	for (size_t i = 0; i < n; i++) {
		struct member *m = &members[i];
		uint8_t *npy = make_npy(m), *bytes = npy, *deflated = NULL;
		m->stored = m->unpacked;
		m->at = at;
		if (m->deflated) {
			z_stream z = { 0 };
			assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
			size_t room = deflateBound(&z, m->unpacked);
			assert_non_null(deflated = malloc(room));
			z.next_in = npy;
			z.avail_in = m->unpacked;
			z.next_out = deflated;
			z.avail_out = room;
			assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
			m->stored = room - z.avail_out;
			deflateEnd(&z);
			bytes = deflated;
		}
		size_t len = zip_header(header, m, false);
		assert_int_equal(write(fd, header, len), len);
		assert_int_equal(write(fd, bytes, m->stored), m->stored);
		at += len + m->stored;
		free(npy);
		free(deflated);
	}
	uint64_t directory = at;
	for (size_t i = 0; i < n; i++) {
		size_t len = zip_header(header, &members[i], true);
		assert_int_equal(write(fd, header, len), len);
		at += len;
	}
	/* The end of the directory, 4.3.16. */
	uint8_t *p = put_le(header, 0x06054b50, 4);
	p = put_le(p, 0, 4);
	p = put_le(p, n, 2);
	p = put_le(p, n, 2);
	p = put_le(p, at - directory, 4);
	p = put_le(p, directory, 4);
	p = put_le(p, 0, 2);
	assert_int_equal(write(fd, header, p - header), p - header);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

#endif
