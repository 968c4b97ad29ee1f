/* SPDX-License-Identifier: MIT */
/*
 * How the daemon and its fetcher, the program tensorfs-fetch, talk. The fetcher does the network: names, TLS, HTTP, credentials,
 * listings, retries. The daemon decides what is fetched, where it goes, and what is kept.
 *
 * The fetcher is started without arguments, with the daemon's environment, no capabilities, "/" as its directory, and
 *   fd 0, 1, 2  /dev/null; with --debug 2 is the daemon's standard error (what is written there is for people who debug it)
 *   fd 3        a SOCK_SEQPACKET socket, one message a packet
 *   fd 4        a memfd, the shared memory: struct tfs_fetch_counters in its first page, and then room for bytes
 *
 *   daemon                                            fetcher
 *     HELLO  url and options                 ──►
 *                                            ◄──        WELCOME  code: are the URL and the options understood?
 *     LIST   known revision                  ──►
 *                                            ◄──        LISTED   code; a table of files, in a memfd (SCM_RIGHTS)
 *     TREE   instead of LIST: a table        ──►                 that the daemon has kept, in a memfd (SCM_RIGHTS)
 *     READ   id, file, range, place          ──►
 *     RAISE  id                              ──►
 *     CANCEL id                              ──►
 *                                            ◄──        DONE     id, code
 *                                            ◄──        WARN     a line for the log
 *
 * Rules:
 *  1. HELLO comes first, once. READ comes after LISTED with code 0, or after TREE. There may be another LIST or TREE at any time; its
 *     table replaces the one before, for the READs after it. TREE isn't answered; nothing may be requested of the origin because of it.
 *  2. Every LIST is answered by one LISTED, and every READ by one DONE with its id, in any order, also after CANCEL (then code is
 *     -ECANCELED, or 0 if it was done anyhow). What a READ names in the shared memory belongs to the fetcher until its DONE.
 *  3. Ids are the daemon's, and unique among READs that aren't done. What isn't known any more is ignored by RAISE and CANCEL.
 *  4. The fetcher always reads the socket, whatever else it waits for. The daemon always reads it, too, so either may block in sending.
 *  5. End of file on the socket: the other side is gone. The fetcher exits at once. The daemon may start another one, with the same
 *     HELLO, TREE and new READs.
 *  6. Neither side trusts the other more than it must: the daemon checks each field and every path of a table, and copies before it
 *     checks. A message that breaks a rule ends the connection.
 *  7. No secret is in argv, in a table, in a text, or in the log: URLs are shown without user, query and fragment.
 *
 * Integers are native: both are of one build. TFS_FETCH_VERSION changes with every change of this file.
 */
#ifndef TFS_REMOTE_PROTOCOL_H
#define TFS_REMOTE_PROTOCOL_H

#include <stdatomic.h>
#include <stdint.h>

#define TFS_FETCH_VERSION 1u

enum { TFS_FETCH_SOCKET = 3, TFS_FETCH_MEMORY = 4 }; /* descriptors */

/* A message, all of it; and the text of one. */
enum { TFS_FETCH_MAX_MESSAGE = 64 << 10, TFS_FETCH_MAX_TEXT = 1000 };

/* Bytes of one READ. The daemon's are mostly of a grain (64 KiB) up to 4 MiB. */
#define TFS_FETCH_MAX_READ (16u << 20)

/* READs that aren't done, at most. */
#define TFS_FETCH_MAX_READS 1024u

/* Bytes of a table, at most: 64 MiB of listing may well have become that. */
#define TFS_FETCH_MAX_TABLE (256u << 20)

enum tfs_fetch_type {
	/* By the daemon. */
	TFS_FETCH_HELLO = 1,
	TFS_FETCH_LIST,
	TFS_FETCH_TREE,
	TFS_FETCH_READ,
	TFS_FETCH_RAISE,
	TFS_FETCH_CANCEL,
	/* By the fetcher. */
	TFS_FETCH_WELCOME = 64,
	TFS_FETCH_LISTED,
	TFS_FETCH_DONE,
	TFS_FETCH_WARN,
};

/*
 * Each message begins with this. A packet is exactly the message's struct, followed by @text_len bytes of text, where the struct's
 * comment says so.
 */
struct tfs_fetch_header {
	uint32_t type;	   /* enum tfs_fetch_type */
	uint32_t text_len; /* bytes after the struct; without a NUL, unless stated */
	uint64_t id;	   /* of READ, RAISE, CANCEL, DONE; else 0 */
};

/*
 * HELLO. Text: strings, each ended by a NUL: NAME=VALUE. The first is "url=…", as the user gave it (hf://, s3://, http://, https://;
 * it may have a query that is a secret). Then those options that were given:
 *   connections=N     per host, 1 … 64; default 16
 *   timeout=SECONDS   until a READ of TFS_FETCH_DEMAND gives up, retries included; default 60. LIST: the same
 *   cacert=PATH       absolute; else SSL_CERT_FILE, CURL_CA_BUNDLE, AWS_CA_BUNDLE of the environment
 *   anonymous=1       send no credentials
 *   netrc=1           ~/.netrc
 * Everything else (tokens, endpoints, proxies) is in the environment, by the conventions of its origin. What isn't known is an error.
 */
struct tfs_fetch_hello {
	struct tfs_fetch_header h;
	uint32_t version;     /* TFS_FETCH_VERSION */
	uint32_t reserved;    /* 0 */
	uint64_t memory_size; /* of the shared memory, the page of counters included: a multiple of 4,096 */
};

/* WELCOME: @code 0, or -EINVAL: the URL, an option or the version is wrong, and the text says what. Then the fetcher exits. */
struct tfs_fetch_welcome {
	struct tfs_fetch_header h;
	int32_t code;
	uint32_t version;
};

/*
 * LIST. Text: the revision of the table that the daemon has kept of this URL, or nothing. If the URL leads to that revision the
 * answer may be TFS_FETCH_UNCHANGED, without a table, and the fetcher waits for TREE.
 */
struct tfs_fetch_list {
	struct tfs_fetch_header h;
};

/* TREE, with one descriptor: a table, as the fetcher made it (perhaps another one, long ago). */
struct tfs_fetch_tree {
	struct tfs_fetch_header h;
};

enum { TFS_FETCH_UNCHANGED = 1 };

/*
 * LISTED: with one descriptor, a memfd with a table, if @code is 0 and @flags don't have TFS_FETCH_UNCHANGED. Else @code is
 *   -EINVAL        there can't be such a thing: the text says what is wrong with the URL
 *   -ENOENT        there isn't: no such repository, revision, bucket, file
 *   -EACCES        401, 403: the text says what to do (log in, accept the terms, …)
 *   -EOPNOTSUPP    it doesn't serve ranges, or the listing isn't understood
 *   -ENETUNREACH   not reached: names, connections, time, 5xx. The daemon may go on with a table that it has kept
 *   -EBUSY         429. The same
 *   -EPROTO        TLS, or an answer that breaks the protocol
 *   -EFBIG         more than its limits
 * or another -errno. Text: of an error, one line, which needs no more context than the URL.
 */
struct tfs_fetch_listed {
	struct tfs_fetch_header h;
	int32_t code;
	uint32_t flags;
};

enum tfs_fetch_priority {
	TFS_FETCH_DEMAND,   /* somebody waits */
	TFS_FETCH_PREFETCH, /* somebody may soon */
};

/*
 * READ: bytes [@offset, @offset + @len) of the file @node of the current table, into [@place, @place + @len) of the shared memory.
 * @len is 1 … TFS_FETCH_MAX_READ; the range is within the file, @place a multiple of 4,096 and at least 4,096.
 */
struct tfs_fetch_read {
	struct tfs_fetch_header h;
	uint64_t offset;
	uint64_t place;
	uint32_t len;
	uint32_t node;
	uint32_t priority; /* enum tfs_fetch_priority */
	uint32_t reserved; /* 0 */
};

/* RAISE: the READ @h.id becomes one of TFS_FETCH_DEMAND. */
struct tfs_fetch_raise {
	struct tfs_fetch_header h;
};

/* CANCEL: the READ @h.id isn't wanted any more. */
struct tfs_fetch_cancel {
	struct tfs_fetch_header h;
};

/*
 * DONE: @code 0: all @len bytes of READ @h.id are in their place, and they are of the version that the table says. Else
 *   -ESTALE     the object is another one now, or gone
 *   -EACCES     401, 403
 *   -ECANCELED
 *   -EIO        all else, after the retries
 * Text: of an error, one line that names the host and what it said.
 */
struct tfs_fetch_done {
	struct tfs_fetch_header h;
	int32_t code;
	uint32_t len;
};

/* WARN. Text: one line. Not for what an error says anyhow. */
struct tfs_fetch_warn {
	struct tfs_fetch_header h;
};

/* --- Tables --------------------------------------------------------------------------------------------------------- */

/* What a file's version is, that is, what says that its bytes are the same ones. The first three are of its content. */
enum tfs_fetch_kind {
	TFS_FETCH_SHA256 = 1, /* of all its bytes, 64 lower-case hexadecimal digits */
	TFS_FETCH_GIT_SHA1,   /* a git blob's id, 40 digits */
	TFS_FETCH_XET_HASH,   /* reserved */
	TFS_FETCH_ETAG,	      /* a strong one, with its quotes; S3: also its version id, if any, after a space */
	TFS_FETCH_MODIFIED,   /* Last-Modified, as it was sent */
	TFS_FETCH_NO_VERSION, /* nothing but its size. The version is "" */
};

/*
 * A file. Strings are positions in the table, from its beginning, of bytes that end with a NUL. 48 bytes.
 * Paths are relative to what was mounted, of components that are separated by single slashes, none of them "." or "..", in UTF-8 or
 * not, without a NUL. Directories aren't listed. No path is listed twice, or is a directory of another's. Any order.
 */
struct tfs_fetch_node {
	uint64_t size;
	int64_t mtime; /* seconds since 1970; 0: not known */
	uint32_t path;
	uint32_t version;
	uint32_t kind;	   /* enum tfs_fetch_kind */
	uint32_t reserved; /* 0 */
	uint32_t extra;	   /* for the fetcher: a string that it needs to find the object, or 0. Kept with the table: no secret */
	uint32_t reserved2[3];
};

#define TFS_FETCH_MAGIC 0x3145455254534654ull /* "TFSTREE1" */

/* At the beginning of a table. Then @n_nodes nodes, from byte @nodes (a multiple of 8) on, and strings anywhere after this header. */
struct tfs_fetch_table {
	uint64_t magic;
	uint32_t version; /* TFS_FETCH_VERSION */
	uint32_t n_nodes;
	uint64_t size;	   /* of the table, in bytes */
	uint32_t nodes;	   /* position */
	uint32_t origin;   /* string: what was mounted, in full, without secrets: "hf://org/model/dir", "s3://bucket/prefix" */
	uint32_t revision; /* string: what it is pinned to, such as a commit, in full; "" if the origin has none */
	uint32_t display;  /* string: a short name of both, "hf://org/model@1a2b3c4/dir" */
	uint32_t file;	   /* string: the URL is of one file, at this path in the table; "" if it is of a directory */
	/*
	 * String: who vouches for the versions, "https://huggingface.co", "https://bucket.s3.amazonaws.com": what one origin says a hash
	 * is of isn't believed of another one's. Scheme, host, and a port that isn't the usual one.
	 */
	uint32_t authority;
};

/* --- Counters ------------------------------------------------------------------------------------------------------- */

/* In the first page of the shared memory, all 0 at first. Written by the fetcher only, relaxed; a new fetcher counts on. */
struct tfs_fetch_counters {
	_Atomic uint64_t network_bytes;	    /* of bodies, as they arrived, also those that were thrown away */
	_Atomic uint64_t requests;	    /* sent */
	_Atomic uint64_t resolves;	    /* of these, those that only asked where an object is */
	_Atomic uint64_t connections;	    /* opened */
	_Atomic uint64_t retries;	    /* requests that repeat one that failed */
	_Atomic uint64_t hedges;	    /* requests that race one that is slow */
	_Atomic uint64_t throttled;	    /* answers 429 and 503 */
	_Atomic uint64_t redirects;	    /* followed */
	_Atomic uint64_t ttfb_median_us;    /* of ranges, until their first byte; 0: none yet */
	_Atomic uint64_t open_connections;  /* now */
	_Atomic uint64_t limit_connections; /* now: how many it would use */
};

_Static_assert(sizeof(struct tfs_fetch_header) == 16 && sizeof(struct tfs_fetch_hello) == 32 &&
		       sizeof(struct tfs_fetch_read) == 48 && sizeof(struct tfs_fetch_done) == 24 &&
		       sizeof(struct tfs_fetch_listed) == 24 && sizeof(struct tfs_fetch_node) == 48 &&
		       sizeof(struct tfs_fetch_table) == 48,
	       "no padding");

#endif
