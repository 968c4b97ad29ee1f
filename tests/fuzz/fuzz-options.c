/* SPDX-License-Identifier: MIT */
/*
 * Command lines of a mount, an argument a line, of which the first is the program: what is accepted is within its limits, what is passed
 * on to libfuse is passed on again as it is, and what becomes a variable of the environment is accepted there, too.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "cli/mount-options.h"
#include "fuzz.h"
#include "remote/options.h"
#include "tree/views.h"

/* --- An environment, which setenv() would never free --------------------------------------------------------------------------- */

int __wrap_setenv(const char *name, const char *value, int overwrite);
int __real_setenv(const char *name, const char *value, int overwrite);
char *__wrap_getenv(const char *name);
char *__real_getenv(const char *name);

static const char *const variables[] = { TFS_REMOTE_CACHE,   TFS_REMOTE_CACHE_SIZE, TFS_REMOTE_OFFLINE,	  TFS_REMOTE_CONNECTIONS,
					 TFS_REMOTE_TIMEOUT, TFS_REMOTE_CACERT,	    TFS_REMOTE_ANONYMOUS, TFS_REMOTE_NETRC };
enum { VARIABLES = sizeof variables / sizeof *variables };
static char *values[VARIABLES];

/* False: there is no such variable. */
static bool set_value(const char *name, const char *value)
{
	unsigned i = 0;

	while (i < VARIABLES && strcmp(name, variables[i]) != 0)
		i++;
	if (i == VARIABLES)
		return false;
	free(values[i]);
	values[i] = strdup(value);
	CHECK(values[i]);
	return true;
}

int __wrap_setenv(const char *name, const char *value, int overwrite)
{
	return set_value(name, value) ? 0 : __real_setenv(name, value, overwrite); /* not by us */
}

char *__wrap_getenv(const char *name)
{
	for (unsigned i = 0; i < VARIABLES; i++)
		if (!strcmp(name, variables[i]))
			return values[i];
	return strncmp(name, "HF_", 3) != 0 ? __real_getenv(name) : NULL;
}

static void clear_environment(void)
{
	for (unsigned i = 0; i < VARIABLES; i++) {
		free(values[i]);
		values[i] = NULL;
	}
}

/* --- Checks ------------------------------------------------------------------------------------------------------------- */

enum { MAX_ARGS = 64, MAX_SIZE = 4096 };

static int run_nothing(int argc, char **argv)
{
	return argc == 1 && argv[0] ? 0 : 1;
}

static const struct tfs_command other = { .name = "tensorfs other", .summary = "do nothing", .run = run_nothing };
static const struct tfs_command *const commands[] = { &other, NULL };

static enum tfs_parsed parse(int argc, char **argv, struct tfs_options *o)
{
	char *copy[MAX_ARGS + 2];

	memcpy(copy, argv, ((size_t)argc + 1) * sizeof *copy); /* getopt() puts operands last */
	optind = 0;					       /* and starts anew */
	return tfs_options_parse(argc, copy, commands, o);
}

static void check_limits(const struct tfs_options *o)
{
	CHECK(o->model_dir && o->mountpoint && o->mount_options);
	CHECK(o->loader.threads >= 1 && o->loader.threads <= TFS_THREADS_MAX && o->loader.threads_min <= o->loader.threads);
	CHECK(o->loader.open_wait >= 0 && o->loader.open_wait <= 86400);
	CHECK(o->loader.engine < TFS_TIERS && o->loader.prefetch <= TFS_PREFETCH_NONE);
	CHECK(o->passthrough <= TFS_OFF && o->uring <= TFS_OFF && !(o->views & ~TFS_VIEWS_ALL));
	CHECK(o->npy_align == 64 || o->npy_align == TFS_NPY_ALIGN);
	CHECK(o->scan.memory >= (uint64_t)16 << 20 && o->scan.seconds > 0 && o->scan.npy_header >= 1);
	CHECK(o->loader.memory && o->follow <= TFS_FOLLOW_INSIDE && (!o->debug || o->foreground));
}

/* Given as -o, what was passed on is passed on as it is; quotes mean nothing to libfuse. */
static void check_passed_on(const struct tfs_options *o)
{
	static char list[4 * MAX_SIZE];
	const char *const argv[] = { "tensorfs", "m", "/mnt", "-o", list, NULL };
	struct tfs_options again;
	char *to = list;

	for (const char *s = o->mount_options; *s; *to++ = *s++)
		if (*s == '"')
			*to++ = '\\';
	*to = 0;
	CHECK(parse(5, (char **)(uintptr_t)argv, &again) == TFS_PARSED_RUN);
	CHECK(!strcmp(again.mount_options, o->mount_options));
	CHECK(again.max_read == o->max_read && !again.foreground && !again.allow_other);
	tfs_options_fini(&again);
}

/* @given: not all of them by options, of which nothing is accepted there that isn't here. */
static void check_variables(bool given, const char *url)
{
	struct tfs_remote_options remote;
	struct tfs_error err = { 0 };
	char hello[2 * MAX_SIZE];
	int r;

	CHECK(given || !values[1] || tfs_remote_size(values[1], &(uint64_t){ 0 }));
	r = tfs_remote_options_get(&remote, &err);
	CHECK(!r || given || (values[5] && *values[5]) || (values[0] && strlen(values[0]) >= sizeof remote.cache));
	CHECK(!r || (err.code == r && err.what[0]));
	if (!r) {
		r = tfs_remote_hello(url, &remote, hello, sizeof hello, &err);
		CHECK(r > 0 || err.what[0]);
	}
}

static void quiet(void)
{
	static FILE *null;

	if (!null) {
		null = fopen("/dev/null", "we");
		CHECK(null);
	}
	stdout = stderr = null;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[MAX_SIZE + 1];
	char *argv[MAX_ARGS + 2];
	FILE *const out = stdout, *const err = stderr;
	struct tfs_options o;
	bool given = false;
	int argc = 0;

	if (size > MAX_SIZE)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	clear_environment();
	for (char *line = text; line && argc <= MAX_ARGS;) {
		char *value = strchr(argv[argc] = strsep(&line, "\n"), '=');

		if (strncmp(argv[argc], "TENSORFS_", 9) != 0 || !value) {
			argc++;
			continue;
		}
		*value = 0; /* a variable */
		set_value(argv[argc], value + 1);
		given = true;
	}
	argv[argc] = NULL;
	if (!argc)
		return 0;
	quiet();
	const enum tfs_parsed parsed = parse(argc, argv, &o);
	const bool run = parsed == TFS_PARSED_RUN;
	tfs_options_helper(argv[0]);
	CHECK(!tfs_command_run(&other, 1, (char *[]){ argv[0], NULL }) && !tfs_command_flush());
	stdout = out;
	stderr = err;
	if (!run)
		return 0;
	check_limits(&o);
	check_variables(given, o.model_dir);
	check_passed_on(&o);
	tfs_options_fini(&o);
	return 0;
}
