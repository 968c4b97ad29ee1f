/* SPDX-License-Identifier: MIT */
/*
 * tensorfs-fetch: what tensorfs reads of remote models, this program fetches, so that the daemon links no TLS, parses nothing that
 * strangers send, and knows no tokens. It is started by tensorfs alone; remote/protocol.h is what they say to each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fetch/exchange.h"
#include "fetch/host.h"
#include "fetch/origin.h"
#include "fetch/peer.h"
#include "fetch/privileges.h"
#include "fetch/range.h"
#include "fetch/secret.h"

/* A bundle of all of Mozilla's has 0.2 MB. */
enum { MAX_CA = 16 << 20 };

static bool is_socket(int fd)
{
	int type;
	socklen_t len = sizeof type;

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_SEQPACKET;
}

/* The certificates to trust: libcurl, the library, reads none of these variables, and only the program has this option. */
static int read_ca(struct tfs_fetcher *f, struct tfs_error *err)
{
	static const char *const names[] = { "SSL_CERT_FILE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE" };
	const char *path = f->options.cacert;
	char *text;
	int r;

	for (size_t i = 0; i < sizeof names / sizeof *names && !(path && *path); i++)
		path = getenv(names[i]);
	if (!path || !*path)
		return 0;
	r = tfs_secret_read(path, MAX_CA, &text);
	if (r)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "certificates: %s: %s", path, strerror(-r));
	f->ca = text;
	f->ca_len = strlen(text);
	return 0;
}

static int prepare(struct tfs_fetcher *f)
{
	struct tfs_error err = { 0 };
	int r = tfs_peer_hello(f);

	if (r)
		return r;
	r = tfs_loop_init(&f->loop);
	if (!r)
		r = read_ca(f, &err);
	if (!r)
		r = tfs_origin_create(f, &err);
	if (!r)
		r = tfs_privileges_drop(f->origin->stays, f->origin->runs_programs, &err);
	tfs_peer_welcome(r ? -EINVAL : 0, &err);
	return r;
}

static void destroy(struct tfs_fetcher *f)
{
	tfs_range_destroy(f);
	tfs_tree_unref(f->tree);
	tfs_exchange_free_idle();
	curl_multi_cleanup(f->loop.multi);
	tfs_origin_destroy(f);
	tfs_hosts_destroy(f);
	free(f->ca);
	free(f->options.url);
	free(f->options.cacert);
}

int main(int argc, char **argv)
{
	struct tfs_fetcher f = { 0 };
	int r;

	(void)argv;
	if (argc > 1 || !is_socket(TFS_FETCH_SOCKET)) {
		fputs("tensorfs-fetch is started by tensorfs, for models that are elsewhere; see tensorfs(1)\n", stderr);
		return 2;
	}
	tfs_privileges_harden();
	signal(SIGPIPE, SIG_IGN);
	fcntl(TFS_FETCH_SOCKET, F_SETFD, FD_CLOEXEC);
	fcntl(TFS_FETCH_MEMORY, F_SETFD, FD_CLOEXEC);
	tfs_list_init(&f.hosts);
	tfs_list_init(&f.gets);
	tfs_list_init(&f.reads);
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return 1;
	r = prepare(&f);
	if (!r) {
		tfs_peer_start(&f);
		r = tfs_loop_run(&f.loop, tfs_exchange_finished);
	}
	/* What waits for an answer of the network, such as a LIST, ends with the process. */
	destroy(&f);
#ifdef __SANITIZE_ADDRESS__
	prctl(PR_SET_DUMPABLE, 1); /* for LeakSanitizer, which traces us */
#endif
	return r ? 1 : 0;
}
