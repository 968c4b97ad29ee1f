/* SPDX-License-Identifier: MIT */
/* Signatures: the examples of Amazon's documentation of S3 ("Authenticating Requests: Using the Authorization Header"). */
#include "support/helpers.h"

#include <string.h>

#include "fetch/sha256.h"
#include "fetch/sigv4.h"

static void hashes(void **state)
{
	static const struct {
		const char *text, *hex;
	} known[] = {
		/* FIPS 180-4's examples; and lengths around the end of a block */
		{ "", TFS_SIGV4_NO_BODY },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	uint8_t digest[TFS_SHA256_BYTES];
	char hex[TFS_SHA256_HEX];

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		tfs_sha256(known[i].text, strlen(known[i].text), digest);
		tfs_sha256_hex(digest, hex);
		assert_string_equal(hex, known[i].hex);
	}
}

/* RFC 4231, test cases 1, 2 and 6: a short key, a shorter one, one that is longer than a block. */
static void macs(void **state)
{
	uint8_t mac[TFS_SHA256_BYTES], key[131];
	char hex[TFS_SHA256_HEX];

	(void)state;
	memset(key, 0x0b, 20);
	tfs_hmac_sha256(key, 20, "Hi There", 8, mac);
	tfs_sha256_hex(mac, hex);
	assert_string_equal(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	tfs_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
	tfs_sha256_hex(mac, hex);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	tfs_hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, mac);
	tfs_sha256_hex(mac, hex);
	assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void check(const char *text, const struct tfs_sigv4_header *more, size_t n, const char *expected)
{
	struct tfs_sigv4 s = { .id = "AKIAIOSFODNN7EXAMPLE", .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
	struct tfs_url url;
	char *value;

	s.region = "us-east-1";
	s.service = "s3";
	s.now = 1369353600; /* 20130524T000000Z */
	assert_int_equal(tfs_url_parse(text, &url, NULL), 0);
	value = tfs_sigv4_sign(&s, &url, more, n);
	assert_non_null(value);
	assert_non_null(strstr(value, expected));
	free(value);
	tfs_url_fini(&url);
}

static void documented_examples(void **state)
{
	static const struct tfs_sigv4_header range = { "range", "bytes=0-9" };

	(void)state;
	check("https://examplebucket.s3.amazonaws.com/test.txt", &range, 1,
	      "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
	      "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
	      "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	check("https://examplebucket.s3.amazonaws.com/?lifecycle", NULL, 0,
	      "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	check("https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2", NULL, 0,
	      "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes),
		cmocka_unit_test(macs),
		cmocka_unit_test(documented_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
