/* SPDX-License-Identifier: MIT */
#include "fetch/exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/container.h"
#include "config.h"

/*
 * 512 KiB: 0.45 s of CPU time per GB, where libcurl's default of 16 KiB needs 0.74. A transfer that gets less than STALL_BYTES a
 * second for STALL_SECONDS, or for a part of --remote-timeout, is broken. libcurl's own low speed limit is of an average of the last
 * seconds, which after a fast beginning takes half as long again. A connection is used for ten minutes: names may lead elsewhere by
 * then.
 */
enum { BUFFER_SIZE = 512 << 10, STALL_BYTES = 1024, STALL_SECONDS = 10, STALL_PART = 3, CONNECTION_SECONDS = 600 };

/* Easy handles with their buffers, for the next exchange. */
enum { MAX_IDLE = 32 };
static CURL *idle[MAX_IDLE];
static unsigned n_idle;

int tfs_exchange_header(struct tfs_exchange *x, const char *fmt, ...)
{
	cleanup_free char *line = NULL;
	struct curl_slist *list;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0) {
		line = NULL;
		return -ENOMEM;
	}
	list = curl_slist_append(x->headers, line);
	if (!list)
		return -ENOMEM;
	x->headers = list;
	return 0;
}

/* --- Called by libcurl ---------------------------------------------------------------------------------------------- */

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct tfs_exchange *x = arg;
	int r;

	if (x->head.done && x->body_bytes)
		return size * n; /* a trailer */
	r = tfs_head_line(&x->head, line, size * n);
	if (!r && x->head.done)
		r = x->ops->head(x);
	if (!r)
		return size * n;
	x->stopped = r;
	return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct tfs_exchange *x = arg;
	size_t len = size * n;
	int r;

	x->last_byte = tfs_now();
	if (!x->first_byte)
		x->first_byte = x->last_byte;
	x->body_bytes += len;
	tfs_count(x->f, network_bytes, len);
	r = x->ops->body(x, data, len);
	if (!r)
		return len;
	x->stopped = r;
	return len ? 0 : 1;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct tfs_exchange *x = arg;
	int fd;

	(void)purpose;
	if (!tfs_guard_allows(&x->f->guard, &x->url, x->trust, &address->addr)) {
		x->forbidden = true;
		x->reach = tfs_guard_reach(&address->addr);
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0)
		tfs_count(x->f, open_connections, 1);
	return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
	struct tfs_fetcher *f = arg; /* not the exchange: connections outlive it */

	tfs_count(f, open_connections, (uint64_t)-1);
	return close(fd);
}

/* ------------------------------------------------------------------------------------------------------------------- */

static CURL *take_easy(void)
{
	return n_idle ? idle[--n_idle] : curl_easy_init();
}

static void give_easy(CURL *easy)
{
	if (n_idle == MAX_IDLE) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	idle[n_idle++] = easy;
}

void tfs_exchange_free_idle(void)
{
	while (n_idle)
		curl_easy_cleanup(idle[--n_idle]);
}

static void set_transport(struct tfs_exchange *x)
{
	struct tfs_fetcher *f = x->f;
	CURL *e = x->easy;

	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(tfs_exchange_patience(f) * 1000));
	curl_easy_setopt(e, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_SECONDS);
	curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "tensorfs/" TFS_VERSION);
	if (f->ca) {
		struct curl_blob blob = { .data = f->ca, .len = f->ca_len, .flags = CURL_BLOB_NOCOPY };

		curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
	}
}

static void set_request(struct tfs_exchange *x)
{
	CURL *e = x->easy;

	curl_easy_setopt(e, CURLOPT_URL, x->url.text);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(e, CURLOPT_PRIVATE, x);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->text);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, x);
	curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, x->f);
	if (x->post) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, x->post);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)strlen(x->post));
	}
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, x->limit_ms);
	if (x->direct)
		curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	if (x->method)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, x->method);
	if (x->user) {
		curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(e, CURLOPT_USERPWD, x->user);
	}
}

double tfs_exchange_patience(const struct tfs_fetcher *f)
{
	double part = f->options.timeout / STALL_PART;

	return part > STALL_SECONDS ? STALL_SECONDS : part < 1 ? 1 : part;
}

/* It is @patience ago that a byte came, or that it was looked at. */
static void on_stall(struct tfs_timer *t)
{
	struct tfs_exchange *x = tfs_container_of(t, struct tfs_exchange, stall);
	double now = tfs_now(), patience = tfs_exchange_patience(x->f);
	uint64_t got = x->body_bytes - x->marked_bytes;

	if (x->last_byte > 0 && (double)got >= STALL_BYTES * (now - x->marked)) {
		x->marked = now;
		x->marked_bytes = x->body_bytes;
		tfs_timer_set(&x->f->loop, t, x->last_byte + patience > now ? x->last_byte + patience : now + patience);
		return;
	}
	snprintf(x->text, sizeof x->text, "stalled: %llu bytes in %.0f s", (unsigned long long)got, now - x->marked);
	tfs_exchange_finished(x->easy, CURLE_OPERATION_TIMEDOUT);
}

int tfs_exchange_start(struct tfs_exchange *x)
{
	int r;

	tfs_head_init(&x->head);
	/* Never compressed: sizes and ranges are of the bytes as they are. */
	r = tfs_exchange_header(x, "Accept-Encoding: identity");
	if (r)
		return r;
	x->easy = take_easy();
	if (!x->easy)
		return -ENOMEM;
	set_transport(x);
	set_request(x);
	x->began = tfs_now();
	if (curl_multi_add_handle(x->f->loop.multi, x->easy)) {
		give_easy(x->easy);
		x->easy = NULL;
		return -ENOMEM;
	}
	x->marked = x->began;
	x->stall.run = on_stall;
	tfs_timer_set(&x->f->loop, &x->stall, x->began + tfs_exchange_patience(x->f));
	tfs_count(x->f, requests, 1);
	return 0;
}

static void release(struct tfs_exchange *x)
{
	long connects = 0;

	tfs_timer_stop(&x->stall);
	if (!x->easy)
		return;
	curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
	tfs_count(x->f, connections, (uint64_t)connects);
	curl_multi_remove_handle(x->f->loop.multi, x->easy);
	give_easy(x->easy);
	x->easy = NULL;
}

void tfs_exchange_finished(CURL *easy, CURLcode code)
{
	struct tfs_exchange *x = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&x);
	x->code = code;
	release(x);
	x->ops->done(x);
}

void tfs_exchange_fini(struct tfs_exchange *x)
{
	release(x);
	curl_slist_free_all(x->headers);
	x->headers = NULL;
	tfs_url_fini(&x->url);
	tfs_head_fini(&x->head);
}

static bool is_about_tls(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CIPHER ||
	       code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CRL_BADFILE ||
	       code == CURLE_SSL_INVALIDCERTSTATUS || code == CURLE_SSL_PINNEDPUBKEYNOTMATCH || code == CURLE_USE_SSL_FAILED;
}

/* Nobody who is trusted has signed the certificate, rather than that it has expired or is another host's. */
static bool is_untrusted(CURLcode code, const char *why)
{
	return code == CURLE_PEER_FAILED_VERIFICATION && !strstr(why, "expired") && !strstr(why, "match");
}

static bool is_protocol(CURLcode code)
{
	return code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT || code == CURLE_WEIRD_SERVER_REPLY ||
	       code == CURLE_BAD_CONTENT_ENCODING;
}

enum tfs_outcome tfs_exchange_outcome(const struct tfs_exchange *x, struct tfs_error *err)
{
	char host[TFS_URL_SHOWN];
	const char *why = *x->text ? x->text : curl_easy_strerror(x->code);

	if (x->code == CURLE_OK || (x->stopped && x->head.done))
		return TFS_ANSWERED;
	tfs_url_show_host(&x->url, host);
	if (x->forbidden) {
		tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s is %s, where no redirect or listing may lead", host,
			      tfs_guard_name(x->reach));
		return TFS_REFUSED;
	}
	if (x->stopped) {
		tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s: a header of more than %zu bytes", host, TFS_HEAD_MAX);
		return TFS_REFUSED;
	}
	if (is_about_tls(x->code) || is_protocol(x->code)) {
		tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s: %s%s", host, why,
			      is_untrusted(x->code, why) ? "; --cacert names certificates to trust" : "");
		return TFS_REFUSED;
	}
	tfs_error_set(err, -ENETUNREACH, TFS_NO_OFFSET, "%s: %s", host, why);
	return TFS_BROKEN;
}
