/* SPDX-License-Identifier: MIT */
#include "command-line.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

enum { OPT_HELP = 'h', OPT_VERSION = 'V' };

static const struct tfs_option common[] = {
	{ OPT_HELP, "help", NULL, "print this and exit" },
	{ OPT_VERSION, "version", NULL, "print the version and exit" },
	{ 0 },
};

enum { OPTIONS_MAX = 64 };

/* All options of @c, in the order of --help, ended by id 0. */
static void collect(const struct tfs_command *c, struct tfs_option all[OPTIONS_MAX])
{
	unsigned n = 0;

	for (int t = 0; t <= TFS_OPTION_TABLES; t++)
		for (const struct tfs_option *o = t < TFS_OPTION_TABLES ? c->tables[t] : common; o && o->id; o++) {
			assert(n < OPTIONS_MAX - 1);
			all[n++] = *o;
		}
	all[n].id = 0;
}

static void print_help(const struct tfs_command *c, const struct tfs_option *o)
{
	printf("usage: %s [OPTIONS] %s\n\n%s\n", c->name, c->operands, c->about);
	for (; o->id; o++) {
		char left[64];
		int n = 0;
		if (o->id < 256)
			n += snprintf(left, sizeof left, "-%c%s", o->id, o->name ? ", " : o->arg ? " " : "");
		if (o->name)
			n += snprintf(left + n, sizeof left - n, "--%s%s", o->name, o->arg ? "=" : "");
		snprintf(left + n, sizeof left - n, "%s", o->arg ? o->arg : "");
		printf("  %-30s %s\n", left, o->help);
	}
	printf("\n%s", c->status);
}

bool tfs_value_complain(const char *option, const char *value, const char *want)
{
	fprintf(stderr, "tensorfs: %s: \"%s\" is not %s\n", option, value, want);
	return false;
}

bool tfs_value_word(const char *option, const char *value, const char *const *words, int *ret)
{
	char all[128] = "";

	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], value)) {
			*ret = i;
			return true;
		}
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "one of ", words[i]);
	}
	return tfs_value_complain(option, value, all);
}

bool tfs_value_decimal(const char *s)
{
	return isdigit((unsigned char)s[0]) && s[strspn(s, "0123456789")] != 'x' && s[strspn(s, "0123456789")] != 'X';
}

bool tfs_value_number(const char *option, const char *value, double min, double max, double *ret)
{
	char *end, want[80];
	errno = 0;
	double v = strtod(value, &end);
	if (*end || !tfs_value_decimal(value) || errno || v < min || v > max) {
		snprintf(want, sizeof want, "a number from %.10g to %.10g", min, max);
		return tfs_value_complain(option, value, want);
	}
	*ret = v;
	return true;
}

bool tfs_value_count(const char *option, const char *value, unsigned min, unsigned max, unsigned *ret)
{
	double v;

	if (!tfs_value_number(option, value, min, max, &v))
		return false;
	if (v != floor(v))
		return tfs_value_complain(option, value, "a whole number");
	*ret = (unsigned)v;
	return true;
}

enum tfs_parsed tfs_command_parse(const struct tfs_command *c, int argc, char **argv, tfs_take_option *take, void *arg,
				  int *ret_first)
{
	struct tfs_option all[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX] = { 0 };
	char shorts[2 * OPTIONS_MAX + 1] = "";
	int n_longs = 0, id;

	collect(c, all);
	for (const struct tfs_option *o = all; o->id; o++) {
		if (o->name)
			longs[n_longs++] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL, o->id };
		if (o->id < 256)
			snprintf(shorts + strlen(shorts), sizeof shorts - strlen(shorts), "%c%s", o->id, o->arg ? ":" : "");
	}
	while ((id = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (id == OPT_HELP) {
			print_help(c, all);
			return TFS_PARSED_EXIT;
		}
		if (id == OPT_VERSION) {
			printf("tensorfs %s\n", TFS_VERSION);
			return TFS_PARSED_EXIT;
		}
		if (id == '?') /* getopt has said what is wrong */
			fprintf(stderr, "Try '%s --help'.\n", c->name);
		if (id == '?' || !take(arg, id, optarg))
			return TFS_PARSED_USAGE;
	}
	if (argc - optind != c->n_operands) {
		fprintf(stderr, "usage: %s [OPTIONS] %s\nTry '%s --help'.\n", c->name, c->operands, c->name);
		return TFS_PARSED_USAGE;
	}
	*ret_first = optind;
	return TFS_PARSED_RUN;
}
