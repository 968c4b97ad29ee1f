/* SPDX-License-Identifier: MIT */
/*
 * What libcurl does alone: a file by ranges of so many bytes, so many at a time, into memory. The measure of tensorfs-fetch.
 * usage: curl-loop URL SIZE RANGE CONNECTIONS; prints seconds, and those of CPU time. CURL_LOOP_CA: certificates to trust.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static char *memory;

struct transfer {
	CURL *easy;
	unsigned long long at;
};

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	memcpy(memory + t->at, data, size * n);
	t->at += size * n;
	return size * n;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void next(CURLM *multi, struct transfer *t, unsigned long long *at, unsigned long long size, unsigned long long range)
{
	char text[64];

	t->at = *at;
	*at = *at + range < size ? *at + range : size;
	snprintf(text, sizeof text, "%llu-%llu", t->at, *at - 1);
	curl_easy_setopt(t->easy, CURLOPT_RANGE, text);
	curl_multi_add_handle(multi, t->easy);
}

int main(int argc, char **argv)
{
	unsigned long long size, range, at = 0;
	CURLM *multi;
	int n, running = 1;
	double began, used;

	if (argc != 5)
		return 2;
	size = strtoull(argv[2], NULL, 10);
	range = strtoull(argv[3], NULL, 10);
	n = atoi(argv[4]);
	memory = malloc(size);
	if (!memory)
		return 1;
	memset(memory, 1, size);
	multi = curl_multi_init();
	began = now();
	used = cpu();
	for (int i = 0; i < n && at < size; i++) {
		struct transfer *t = calloc(1, sizeof *t);

		t->easy = curl_easy_init();
		curl_easy_setopt(t->easy, CURLOPT_URL, argv[1]);
		if (getenv("CURL_LOOP_CA"))
			curl_easy_setopt(t->easy, CURLOPT_CAINFO, getenv("CURL_LOOP_CA"));
		curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, take);
		curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
		curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
		curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, 512L << 10);
		curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
		next(multi, t, &at, size, range);
	}
	while (running) {
		CURLMsg *m;
		int left;

		curl_multi_perform(multi, &running);
		while ((m = curl_multi_info_read(multi, &left))) {
			struct transfer *t;

			if (m->data.result)
				return 1;
			curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
			curl_multi_remove_handle(multi, t->easy);
			if (at < size) {
				next(multi, t, &at, size, range);
				running = 1;
			}
		}
		if (running)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	printf("%.4f %.4f\n", now() - began, cpu() - used);
	return 0;
}
