/* SPDX-License-Identifier: MIT */
/* What the fetcher reads and decides, part by part: URLs, addresses, headers, files of credentials. */
#include "support/helpers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fetch/aws.h"
#include "fetch/guard.h"
#include "fetch/head.h"
#include "fetch/privileges.h"
#include "fetch/retry.h"
#include "fetch/secret.h"
#include "fetch/tree.h"
#include "fetch/url.h"
#include "remote/hf-name.h"
#include "remote/name.h"

static struct tfs_url url_of(const char *text)
{
	struct tfs_url u;

	assert_int_equal(tfs_url_parse(text, &u, NULL), 0);
	return u;
}

static void urls(void **state)
{
	static const char *const bad[] = {
		"", "x", "http://", "ftp://x/", "file:///x", "http://u@x/", "http://u:p@x/", "http://x/\n", "http://x:99999/"
	};
	struct tfs_url u = url_of("HTTPS://Example.COM:443/a/b?q=1#f"), v;
	char shown[TFS_URL_SHOWN];

	(void)state;
	assert_string_equal(u.origin, "https://example.com:443");
	assert_string_equal(tfs_url_show(&u, shown), "https://Example.COM:443/a/b");
	assert_int_equal(tfs_url_join(&u, "../c?d", &v, NULL), 0);
	assert_string_equal(v.text + v.path, "/c?d");
	assert_true(tfs_url_same_origin(&u, &v));
	tfs_url_fini(&v);
	assert_int_equal(tfs_url_join(&u, "http://example.com/", &v, NULL), 0);
	assert_false(tfs_url_same_origin(&u, &v));
	tfs_url_fini(&v);
	assert_int_equal(tfs_url_join(&u, "//example.com:444/", &v, NULL), 0);
	assert_false(tfs_url_same_origin(&u, &v));
	tfs_url_fini(&v);
	tfs_url_fini(&u);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(tfs_url_parse(bad[i], &u, NULL), -EINVAL);
}

static void encoding(void **state)
{
	static const char text[] = "a/b \xff%+~";
	char *s = tfs_url_encode(text, strlen(text), true), *t = tfs_url_encode(text, strlen(text), false),
	     *back = tfs_url_decode(t, strlen(t));

	(void)state;
	assert_string_equal(s, "a/b%20%FF%25%2B~");
	assert_string_equal(t, "a%2Fb%20%FF%25%2B~");
	assert_string_equal(back, text);
	free(s);
	free(t);
	free(back);
	assert_null(tfs_url_decode("a%0", 3));
	assert_null(tfs_url_decode("a%", 2));
	assert_null(tfs_url_decode("a%00", 4));
	assert_null(tfs_url_decode("%g0", 3));
}

static enum tfs_reach reach(const char *text)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { 0 };

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
		a.in.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1)
		a.in6.sin6_family = AF_INET6;
	else
		fail_msg("%s", text);
	return tfs_guard_reach(&a.any);
}

static void addresses(void **state)
{
	static const char *const loopback[] = { "127.0.0.1", "127.9.9.9",	 "0.0.0.0",	    "::1",
						"::",	     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::" };
	static const char *const link_local[] = { "169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "::169.254.169.254" };
	static const char *const private[] = { "10.0.0.1",  "172.16.0.1", "172.31.255.255", "192.168.1.1",     "100.64.0.1",
					       "192.0.0.1", "198.18.0.1", "224.0.0.1",	    "255.255.255.255", "fd00:ec2::254",
					       "fc00::1",   "fec0::1",	  "ff02::1" };
	static const char *const public[] = { "1.1.1.1",     "172.15.0.1",   "172.32.0.1",    "100.128.0.1",
					      "169.253.0.1", "2606:4700::1", "::ffff:8.8.8.8" };

	(void)state;
	for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
		assert_int_equal(reach(loopback[i]), TFS_REACH_LOOPBACK);
	for (size_t i = 0; i < sizeof link_local / sizeof *link_local; i++)
		assert_int_equal(reach(link_local[i]), TFS_REACH_LINK_LOCAL);
	for (size_t i = 0; i < sizeof private / sizeof *private; i++)
		assert_int_equal(reach(private[i]), TFS_REACH_PRIVATE);
	for (size_t i = 0; i < sizeof public / sizeof *public; i++)
		assert_int_equal(reach(public[i]), TFS_REACH_PUBLIC);
}

static bool allows(struct tfs_guard *g, enum tfs_trust trust, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct tfs_url u = url_of("http://x/");
	bool r;

	inet_pton(AF_INET, address, &in.sin_addr);
	r = tfs_guard_allows(g, &u, trust, (struct sockaddr *)(void *)&in);
	tfs_url_fini(&u);
	return r;
}

static void where_redirects_may_lead(void **state)
{
	struct tfs_guard g = { 0 };

	(void)state;
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	assert_true(allows(&g, TFS_TRUST_NONE, "1.1.1.1"));
	assert_false(allows(&g, TFS_TRUST_NONE, "10.0.0.1"));
	assert_true(allows(&g, TFS_TRUST_THIS, "169.254.169.254"));
	assert_false(allows(&g, TFS_TRUST_NONE, "169.254.169.254")); /* that was our own business */
	assert_true(allows(&g, TFS_TRUST_ORIGIN, "10.0.0.1"));
	assert_true(allows(&g, TFS_TRUST_NONE, "192.168.0.1"));
	assert_false(allows(&g, TFS_TRUST_NONE, "127.0.0.1"));
	assert_true(allows(&g, TFS_TRUST_ORIGIN, "127.0.0.1"));
	assert_true(allows(&g, TFS_TRUST_NONE, "127.0.0.1"));
	assert_false(allows(&g, TFS_TRUST_NONE, "169.254.169.254"));
}

static void line(struct tfs_head *h, const char *s)
{
	assert_int_equal(tfs_head_line(h, s, strlen(s)), 0);
}

static void headers(void **state)
{
	struct tfs_head h;

	(void)state;
	tfs_head_init(&h);
	line(&h, "HTTP/1.1 100 Continue\r\n");
	line(&h, "\r\n");
	assert_false(h.done);
	line(&h, "HTTP/1.1 206 Partial\r\n");
	line(&h, "content-RANGE: bytes 5-9/100\r\n");
	line(&h, "Content-Length:5\r\n");
	line(&h, "ETag: \"x\"\r\n");
	line(&h, "Link: <a?b>; rel=\"prev\", <https://c/d;e>; foo=1; rel=\"next\"\r\n");
	line(&h, "RateLimit: \"resolvers\";r=0;t=55\r\n");
	line(&h, "\r\n");
	assert_true(h.done && h.has_range && h.has_total && h.has_length && !h.bad_range && !h.encoded);
	assert_true(h.status == 206 && h.first == 5 && h.last == 9 && h.total == 100 && h.length == 5);
	assert_string_equal(h.next, "https://c/d;e");
	assert_true(h.retry_after > 54 && h.retry_after < 56);
	line(&h, "HTTP/1.1 200 OK");
	assert_null(h.etag); /* another answer */
	line(&h, "Content-Range: bytes */7");
	assert_true(h.has_total && !h.has_range && h.total == 7);
	line(&h, "Content-Encoding: gzip");
	assert_true(h.encoded);
	line(&h, "Retry-After: Thu, 01 Jan 1970 00:00:10 GMT");
	assert_true(h.retry_after >= 0 && h.retry_after < 1);
	tfs_head_fini(&h);
	assert_true(tfs_head_etag_is_strong("\"a\"") && !tfs_head_etag_is_strong("W/\"a\"") && !tfs_head_etag_is_strong("a"));
}

static void lives_of_signatures(void **state)
{
	struct tfs_url u = url_of("https://x/y?X-Amz-Date=20200101T000000Z&X-Amz-Expires=3600");
	char text[100];

	(void)state;
	assert_true(tfs_retry_expires(&u) == 0); /* long ago */
	tfs_url_fini(&u);
	u = url_of("https://x/y?a=b&X-Amz-Expires=3600&Signature=z");
	assert_true(tfs_retry_expires(&u) == 3600);
	tfs_url_fini(&u);
	snprintf(text, sizeof text, "https://x/y?Expires=%lld&Signature=z", (long long)time(NULL) + 100);
	u = url_of(text);
	assert_true(tfs_retry_expires(&u) > 90 && tfs_retry_expires(&u) <= 100);
	tfs_url_fini(&u);
	assert_int_equal(tfs_retry_time("2024-05-06T07:08:09.000Z"), 1714979289);
	assert_int_equal(tfs_retry_time("x"), 0);
}

static void names_of_repositories(void **state)
{
	static const struct {
		const char *url, *repo, *revision, *path;
		bool dataset, is_dir;
	} good[] = {
		{ "hf://a/b", "a/b", NULL, NULL, false, false },
		{ "hf://models/a/b@c/d/e/", "a/b", "c", "d/e", false, true },
		{ "hf://datasets/a/b@refs/pr/1/d", "a/b", "refs/pr/1", "d", true, false },
		{ "hf://a/b@x%2Fy", "a/b", "x/y", NULL, false, false },
		{ "https://huggingface.co/a/b", "a/b", NULL, NULL, false, false },
		{ "https://huggingface.co/a/b/tree/main/sub%20dir?x=y#z", "a/b", "main", "sub dir", false, false },
		{ "https://huggingface.co/datasets/a/b/blob/main/x.npy", "a/b", "main", "x.npy", true, false },
	};
	static const char *const bad[] = { "hf://",	 "hf://gpt2",	  "hf://a/",
					   "hf://a/b@",	 "hf://a/b/../c", "hf://a/b//c",
					   "hf://a b/c", "hf://a/b@%zz",  "https://huggingface.co/a/b/discussions" };
	struct tfs_hf_name n;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(tfs_hf_name_parse(good[i].url, &n, NULL), 0);
		assert_string_equal(n.repo, good[i].repo);
		assert_string_equal(n.revision ? n.revision : "", good[i].revision ? good[i].revision : "");
		assert_string_equal(n.path ? n.path : "", good[i].path ? good[i].path : "");
		assert_true(n.dataset == good[i].dataset && n.is_dir == good[i].is_dir);
		tfs_hf_name_fini(&n);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(tfs_hf_name_parse(bad[i], &n, NULL), -EINVAL);
}

static void profiles(void **state)
{
	static const char text[] = "[a]\nx = 1\n\n[ b ]\r\n# x = 2\nx=3 # not a comment\r\ny =\nxx = 4\n[c\nx=5\n";
	bool found = false;
	char *s = tfs_aws_profile_value(text, "b", "x", &found);

	(void)state;
	assert_true(found);
	assert_string_equal(s, "3 # not a comment");
	free(s);
	assert_null(tfs_aws_profile_value(text, "b", "y", &found));
	found = false;
	assert_null(tfs_aws_profile_value(text, "c", "x", &found));
	assert_false(found);
}

static void command_lines(void **state)
{
	char **words = tfs_aws_split(" a 'b c'  \"d\\\"e\" f\\ g '' ");

	(void)state;
	assert_non_null(words);
	assert_string_equal(words[0], "a");
	assert_string_equal(words[1], "b c");
	assert_string_equal(words[2], "d\"e");
	assert_string_equal(words[3], "f g");
	assert_string_equal(words[4], "");
	assert_null(words[5]);
	free(words[0]);
	free(words);
	assert_null(tfs_aws_split("a 'b"));
	assert_null(tfs_aws_split(""));
}

static void netrc(void **state)
{
	char text[] =
		"machine a login b password c\nmacdef m\nmachine x login no password no\n\n# machine x\nmachine x password \"d e\" login f\ndefault login g password h\n";
	char copy[sizeof text], *s;

	(void)state;
	memcpy(copy, text, sizeof text);
	assert_int_equal(tfs_secret_netrc_find(copy, "x", &s), 0);
	assert_string_equal(s, "f:d e");
	free(s);
	memcpy(copy, text, sizeof text);
	assert_int_equal(tfs_secret_netrc_find(copy, "y", &s), 0);
	assert_string_equal(s, "g:h");
	free(s);
}

static void paths(void **state)
{
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "./a" };
	char longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(tfs_remote_path_is_good(bad[i]));
	assert_true(tfs_remote_path_is_good("a") && tfs_remote_path_is_good("a/b") && tfs_remote_path_is_good("..a/.b/c.."));
	memset(longest, 'x', sizeof longest);
	longest[256] = 0;
	assert_false(tfs_remote_path_is_good(longest));
	longest[255] = 0;
	assert_true(tfs_remote_path_is_good(longest));
}

/* What a child may still do, after it gave up what the fetcher gives up: a bit for each. */
enum { MAY_READ = 1, MAY_WRITE = 2, MAY_CREATE = 4, MAY_EXECUTE = 8 };

static int rights_left(const char *dir, bool runs_programs)
{
	char *argv[] = { (char *)(uintptr_t) "true", NULL }, path[100];
	struct tfs_error err;
	int r = 0;

	tfs_privileges_harden();
	if (tfs_privileges_drop(false, runs_programs, &err))
		return 64;
	snprintf(path, sizeof path, "%s/file", dir);
	r |= open(path, O_RDONLY) >= 0 ? MAY_READ : 0;
	r |= open(path, O_WRONLY) >= 0 ? MAY_WRITE : 0;
	snprintf(path, sizeof path, "%s/new%d", dir, (int)getpid());
	r |= open(path, O_WRONLY | O_CREAT, 0600) >= 0 ? MAY_CREATE : 0;
	if (!runs_programs) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			execv("/bin/true", argv);
			_exit(1);
		}
		if (waitpid(pid, &status, 0) == pid && !status)
			r |= MAY_EXECUTE;
	}
	return r;
}

static int in_child(const char *dir, bool runs_programs)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid)
		_exit(rights_left(dir, runs_programs));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void privileges(void **state)
{
	char dir[] = "/tmp/tfs-fetch-XXXXXX", path[100], command[100];
	bool has_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0777), 0);
	snprintf(path, sizeof path, "%s/file", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0666);
	assert_true(fd >= 0 && !fchmod(fd, 0666));
	close(fd);
	assert_int_equal(in_child(dir, true), MAY_READ | MAY_WRITE | MAY_CREATE);
	if (has_landlock)
		assert_int_equal(in_child(dir, false), MAY_READ);
	snprintf(command, sizeof command, "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	if (!has_landlock)
		print_message("optional: Landlock\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(encoding),
		cmocka_unit_test(addresses),
		cmocka_unit_test(where_redirects_may_lead),
		cmocka_unit_test(headers),
		cmocka_unit_test(lives_of_signatures),
		cmocka_unit_test(names_of_repositories),
		cmocka_unit_test(profiles),
		cmocka_unit_test(command_lines),
		cmocka_unit_test(netrc),
		cmocka_unit_test(paths),
		cmocka_unit_test(privileges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
