/* SPDX-License-Identifier: MIT */
#include "fetch/sha256.h"

#include <string.h>

enum { BLOCK = 64 };

struct state {
	uint32_t h[8];
	uint8_t block[BLOCK];
	size_t used;
	uint64_t total;
};

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
	0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
	0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
	0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void fill(const uint8_t *block, uint32_t w[static 64])
{
	for (unsigned i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
		       block[4 * i + 3];
	for (unsigned i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
}

static void compress(struct state *s)
{
	uint32_t w[64], v[8];

	fill(s->block, w);
	memcpy(v, s->h, sizeof v);
	for (unsigned i = 0; i < 64; i++) {
		uint32_t e = v[4], a = v[0];
		uint32_t t1 = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
		uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof *v);
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (unsigned i = 0; i < 8; i++)
		s->h[i] += v[i];
}

static void start(struct state *s)
{
	static const uint32_t first[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	*s = (struct state){ 0 };
	memcpy(s->h, first, sizeof first);
}

static void update(struct state *s, const void *data, size_t len)
{
	const uint8_t *p = data;

	s->total += len;
	while (len) {
		size_t n = BLOCK - s->used < len ? BLOCK - s->used : len;

		memcpy(s->block + s->used, p, n);
		s->used += n;
		p += n;
		len -= n;
		if (s->used == BLOCK) {
			compress(s);
			s->used = 0;
		}
	}
}

static void finish(struct state *s, uint8_t digest[static TFS_SHA256_BYTES])
{
	static const uint8_t one = 0x80, zero;
	uint64_t bits = s->total * 8;
	uint8_t length[8];

	for (unsigned i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	update(s, &one, 1);
	while (s->used != BLOCK - sizeof length)
		update(s, &zero, 1);
	update(s, length, sizeof length);
	for (unsigned i = 0; i < TFS_SHA256_BYTES; i++)
		digest[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
	explicit_bzero(s, sizeof *s);
}

void tfs_sha256(const void *data, size_t len, uint8_t digest[static TFS_SHA256_BYTES])
{
	struct state s;

	start(&s);
	update(&s, data, len);
	finish(&s, digest);
}

void tfs_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t mac[static TFS_SHA256_BYTES])
{
	uint8_t inner[BLOCK] = { 0 }, outer[BLOCK];
	struct state s;

	if (key_len > BLOCK)
		tfs_sha256(key, key_len, inner);
	else
		memcpy(inner, key, key_len);
	for (unsigned i = 0; i < BLOCK; i++) {
		outer[i] = inner[i] ^ 0x5c;
		inner[i] ^= 0x36;
	}
	start(&s);
	update(&s, inner, BLOCK);
	update(&s, data, len);
	finish(&s, mac);
	start(&s);
	update(&s, outer, BLOCK);
	update(&s, mac, TFS_SHA256_BYTES);
	finish(&s, mac);
	explicit_bzero(inner, sizeof inner);
	explicit_bzero(outer, sizeof outer);
}

void tfs_sha256_hex(const uint8_t digest[static TFS_SHA256_BYTES], char hex[static TFS_SHA256_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < TFS_SHA256_BYTES; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[2 * TFS_SHA256_BYTES] = 0;
}
