/* SPDX-License-Identifier: MIT */
#include "cli/command-line.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mask.h"
#include "cli/terminal.h"
#include "config.h"

enum { OPT_HELP = 'h', OPT_VERSION = 'V' };

static const struct tfs_option common[] = {
	{ OPT_HELP, "help", NULL, "print this help and exit" },
	{ OPT_VERSION, "version", NULL, "print the version and exit" },
	{ 0 },
};

void tfs_command_options(const struct tfs_command *command, struct tfs_option ret_options[static TFS_OPTIONS_MAX])
{
	unsigned n = 0;

	for (int t = 0; t <= TFS_OPTION_TABLES; t++)
		for (const struct tfs_option *o = t < TFS_OPTION_TABLES ? command->tables[t] : common; o && o->id; o++) {
			assert(n < TFS_OPTIONS_MAX - 1);
			ret_options[n++] = *o;
		}
	ret_options[n].id = 0;
}

enum { COLUMNS = 80, HELP_INDENT = 30 };

/* Print wrapped at blanks; @at columns of the first line are used, and the others are indented by @indent. */
static void print_wrapped(const char *text, int at, int indent)
{
	while (*text) {
		int len = (int)strcspn(text, " ");
		if (at > indent && at + 1 + len >= COLUMNS) {
			printf("\n%*s", indent, "");
			at = indent;
		}
		at += printf(at > indent ? " %.*s" : "%.*s", len, text);
		text += len + strspn(text + len, " ");
	}
	putchar('\n');
}

static void print_option(const struct tfs_option *o)
{
	int at = printf("  ");

	if (o->id < 256)
		at += printf("-%c%s", o->id, o->name ? ", " : o->arg ? " " : "");
	if (o->name)
		at += printf("--%s%s", o->name, o->arg ? "=" : "");
	at += printf("%s", o->arg ? o->arg : "");
	if (at + 2 > HELP_INDENT) {
		putchar('\n');
		at = 0;
	}
	printf("%*s", HELP_INDENT - at, "");
	print_wrapped(o->help, HELP_INDENT, HELP_INDENT);
}

static void print_commands(const struct tfs_command *const *commands)
{
	printf("\nCommands; those for a model need neither FUSE nor root:\n");
	for (; *commands; commands++) {
		int at = printf("  %s", tfs_command_word(*commands));
		printf("%*s", HELP_INDENT - at, "");
		print_wrapped((*commands)->summary, HELP_INDENT, HELP_INDENT);
	}
}

static void print_help(const struct tfs_command *c, const struct tfs_option *o)
{
	printf("usage: %s [OPTIONS] %s\n", c->name, c->operands);
	if (c->commands)
		printf("       %s COMMAND [ARGUMENTS]\n", c->name);
	putchar('\n');
	print_wrapped(c->about, 0, 0);
	putchar('\n');
	for (; o->id; o++)
		print_option(o);
	if (c->commands)
		print_commands(c->commands);
	putchar('\n');
	print_wrapped(c->status, 0, 0);
}

/* Operand @i, from 0, of those that are required: optional ones are in brackets. */
static void complain_missing(const struct tfs_command *c, int i)
{
	const char *word = c->operands;

	while (*word == '[' || i--)
		word += strcspn(word, " ") + 1;
	fprintf(stderr, "%s: %.*s is missing\n", c->name, (int)strcspn(word, " "), word);
}

bool tfs_value_complain(const char *option, const char *value, const char *want)
{
	tfs_complain("tensorfs: %s: \"%s\" is not %s", option, value, want);
	return false;
}

bool tfs_option_flag(void *flag, int id, const char *value)
{
	(void)id;
	(void)value;
	return *(bool *)flag = true;
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

const char *tfs_command_word(const struct tfs_command *c)
{
	const char *blank = strrchr(c->name, ' ');
	return blank ? blank + 1 : c->name;
}

int tfs_command_run(const struct tfs_command *c, int argc, char **argv)
{
	argv[0] = (char *)c->name; /* for getopt's messages */
	return c->run(argc, argv);
}

int tfs_command_flush(void)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	/* Earlier output may have failed: most likely nothing can be written now, either, and the kernel says why. */
	if (!errno && write(STDOUT_FILENO, "", 0) == 0)
		errno = EIO;
	const int r = -errno;
	tfs_log_error("can't write to standard output: %s", strerror(-r));
	/* Say it once. */
	__fpurge(stdout);
	clearerr(stdout);
	return r;
}

int tfs_parsed_status(enum tfs_parsed parsed)
{
	return parsed == TFS_PARSED_EXIT && !tfs_command_flush() ? TFS_EXIT_OK : TFS_EXIT_USAGE;
}

static bool are_safe(char **words, int n)
{
	for (int i = 0; i < n; i++)
		if (!tfs_is_safe(words[i], strlen(words[i]), ""))
			return false;
	return true;
}

enum tfs_parsed tfs_command_parse(const struct tfs_command *c, int argc, char **argv, tfs_take_option *take, void *arg,
				  int *ret_first)
{
	struct tfs_option all[TFS_OPTIONS_MAX];
	struct option longs[TFS_OPTIONS_MAX] = { 0 };
	char shorts[2 * TFS_OPTIONS_MAX + 1] = "";
	char shown[TFS_MASKED];
	int n_longs = 0, id;

	tfs_command_options(c, all);
	for (const struct tfs_option *o = all; o->id; o++) {
		if (o->name)
			longs[n_longs++] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL, o->id };
		if (o->id < 256)
			snprintf(shorts + strlen(shorts), sizeof shorts - strlen(shorts), "%c%s", o->id, o->arg ? ":" : "");
	}
	opterr = are_safe(argv, argc); /* it prints the error, with the word as it is */
	while ((id = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (id == OPT_HELP) {
			print_help(c, all);
			return TFS_PARSED_EXIT;
		}
		if (id == OPT_VERSION) {
			printf("tensorfs %s\n", TFS_VERSION);
			return TFS_PARSED_EXIT;
		}
		if (id == '?' && !opterr)
			tfs_complain("%s: invalid option", c->name);
		if (id == '?')
			fprintf(stderr, "Try '%s --help'.\n", c->name);
		if (id == '?' || !take(arg, id, optarg))
			return TFS_PARSED_USAGE;
	}
	int n = argc - optind;
	if (n < c->min_operands || n > c->max_operands) {
		if (n < c->min_operands)
			complain_missing(c, n);
		else
			tfs_complain("%s: unexpected argument: %s", c->name,
				     tfs_mask_url(argv[optind + c->max_operands], shown, sizeof shown));
		fprintf(stderr, "usage: %s [OPTIONS] %s\nTry '%s --help'.\n", c->name, c->operands, c->name);
		return TFS_PARSED_USAGE;
	}
	*ret_first = optind;
	return TFS_PARSED_RUN;
}
