/* SPDX-License-Identifier: MIT */
/*
 * Command lines. A command's options are rows of tables, from which parsing and --help are derived; a test compares the man pages
 * with it. Everything here prints errors to standard error.
 */
#ifndef TFS_FS_COMMAND_LINE_H
#define TFS_FS_COMMAND_LINE_H

#include <stdbool.h>

struct tfs_option {
	int id;		  /* below 256: also the short option; 0 ends a table */
	const char *name; /* NULL: short only */
	const char *arg;  /* NULL: none */
	const char *help; /* of any length: --help wraps it */
};

enum { TFS_OPTION_TABLES = 4 };

/* -h, --help and -V, --version belong to every command, and are in no table. */
struct tfs_command {
	const char *name;		/* "tensorfs bench" */
	const char *summary;		/* for lists of commands: what it does, in a few words; NULL: not listed */
	const char *operands;		/* "MODEL [NAME...]": words separated by blanks … */
	int min_operands, max_operands; /* … and how many there may be; INT_MAX: any number */
	const char *choices;		/* "list|rm": what the first one is, for completion; NULL: anything */
	const char *about;		/* text of --help before the options … */
	const char *status;		/* … and after them */
	const struct tfs_option *tables[TFS_OPTION_TABLES]; /* in the order of --help; NULL: end */
	const struct tfs_command *const *commands;	    /* to be listed by --help, ended by NULL; or NULL */
	int (*run)(int argc, char **argv);		    /* argv[0] is the name; returns the exit status */
};

/* "bench" of "tensorfs bench". */
const char *tfs_command_word(const struct tfs_command *command);

/* All options of a command, in the order of --help, with those that every command has; ended by id 0. */
enum { TFS_OPTIONS_MAX = 64 };
void tfs_command_options(const struct tfs_command *command, struct tfs_option ret_options[static TFS_OPTIONS_MAX]);

/* Run a command with the arguments after argv[0]. */
int tfs_command_run(const struct tfs_command *command, int argc, char **argv);

enum { TFS_EXIT_OK, TFS_EXIT_FAILED, TFS_EXIT_USAGE };

enum tfs_parsed {
	TFS_PARSED_RUN,
	TFS_PARSED_EXIT,  /* --help or --version was answered */
	TFS_PARSED_USAGE, /* an error was printed */
};

/* The exit status if a command isn't to be run; flushes what --help or --version printed. */
int tfs_parsed_status(enum tfs_parsed parsed);

/*
 * Pass each option of @argv to @take, with @value NULL if it has none; false from it is a usage error. The operands are then
 * argv[*@ret_first] and the following. @take may be NULL if @command has no tables. Not thread-safe: this is getopt(3).
 */
typedef bool tfs_take_option(void *arg, int id, const char *value);
enum tfs_parsed tfs_command_parse(const struct tfs_command *command, int argc, char **argv, tfs_take_option *take, void *arg,
				  int *ret_first);

/* Flush everything that was printed, or print the error, once. 0 or -errno. */
int tfs_command_flush(void);

/* A @take for commands whose only option is a flag: sets *@flag, a bool. */
bool tfs_option_flag(void *flag, int id, const char *value);

/* For @take. Each prints an error and returns false if @value isn't valid for @option ("--memory"). */
bool tfs_value_complain(const char *option, const char *value, const char *want);		/* always false */
bool tfs_value_word(const char *option, const char *value, const char *const *words, int *ret); /* @words are terminated by NULL */
bool tfs_value_number(const char *option, const char *value, double min, double max, double *ret);
bool tfs_value_count(const char *option, const char *value, unsigned min, unsigned max, unsigned *ret);

/* Does a decimal number begin here, without a sign or blank before it? strtod also accepts "inf", "nan" and hexadecimal. */
bool tfs_value_decimal(const char *s);

#endif
