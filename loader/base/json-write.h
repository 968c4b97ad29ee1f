/* SPDX-License-Identifier: MIT */
/* JSON as text that grows in memory. An error is remembered, so it only has to be checked once, at the end. */
#ifndef TFS_BASE_JSON_OUT_H
#define TFS_BASE_JSON_OUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Maximum length of a text. The keys of a GGUF file with a vocabulary of 260,000 tokens, with merges, take 15 MB; a safetensors
 * header 100 at most.
 */
#define TFS_JSON_OUT_MAX ((size_t)256 << 20)

/* For a text that may get long, and that somebody waits for. */
struct tfs_json_guard {
	const _Atomic bool *abandoned; /* nobody wants it any more: the result is -ECANCELED */
	/* It is to use @room bytes from now on, more than before. 0, or -ENOMEM: there is no room for that. */
	int (*grow)(struct tfs_json_guard *g, size_t room);
};

struct tfs_json_out {
	char *s; /* malloc()ed; NULL while it is empty */
	size_t len, room;
	int failed;		      /* -ENOMEM, -ECANCELED, or -EFBIG above TFS_JSON_OUT_MAX: from then on nothing is added */
	struct tfs_json_guard *guard; /* NULL: none */
};

/* Add @text, or @len bytes, verbatim. */
void tfs_json_add(struct tfs_json_out *b, const char *text);
void tfs_json_add_bytes(struct tfs_json_out *b, const char *s, size_t len);

/* Add a string of any bytes, with its quotes; each byte that isn't part of well-formed UTF-8 becomes U+FFFD. */
void tfs_json_add_string(struct tfs_json_out *b, const char *s, size_t len);

/* The text, owned by the caller and shrunk to fit; or the error, and everything is freed. */
int tfs_json_finish(struct tfs_json_out *b, char **ret_text, size_t *ret_len);

#endif
