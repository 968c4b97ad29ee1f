/* SPDX-License-Identifier: MIT */
/* tensorfs completion: what shells complete, from the tables that parsing and --help are derived from. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/mount-options.h"

#define ROW(name) &tfs_##name##_command,
static const struct tfs_command *const commands[] = { TFS_COMMANDS(ROW) NULL };

static bool is_choice(const struct tfs_option *o)
{
	return o->arg && strchr(o->arg, '|');
}

/* The words of "a|b|c", separated by @between. */
static void put_words(const char *arg, const char *between)
{
	for (const char *word = arg; *word;) {
		const int len = (int)strcspn(word, "|");

		printf("%s%.*s", word == arg ? "" : between, len, word);
		word += len + (word[len] == '|');
	}
}

/* @text without what would end a quotation, or is special in @special, which is escaped by a backslash. */
static void put_text(const char *text, const char *special)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr(special, *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

/* --- bash ------------------------------------------------------------------------------------------------------------------ */

static void put_bash_case(const char *word, const struct tfs_command *c)
{
	struct tfs_option all[TFS_OPTIONS_MAX];

	tfs_command_options(c, all);
	printf("\t%s)\n\t\topts='", word);
	for (const struct tfs_option *o = all; o->id; o++)
		if (o->name)
			printf("%s--%s%s", o == all ? "" : " ", o->name, o->arg ? "=" : "");
	fputs("'\n", stdout);
	if (c->choices) {
		fputs("\t\toperands='", stdout);
		put_words(c->choices, " ");
		fputs("'\n", stdout);
	}
	fputs("\t\tcase $option in\n", stdout);
	for (const struct tfs_option *o = all; o->id; o++) {
		if (!o->name || !is_choice(o))
			continue;
		printf("\t\t--%s) words='", o->name);
		put_words(o->arg, " ");
		fputs("' ;;\n", stdout);
	}
	fputs("\t\tesac\n\t\t;;\n", stdout);
}

static void put_bash(void)
{
	fputs("# bash completion for tensorfs, by \"tensorfs completion bash\"\n"
	      "_tensorfs()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]} opts='' words='' value='' operands=''\n"
	      "\t# bash takes the = of --option=value as a word.\n"
	      "\tif [[ $cur = '=' ]]; then\n\t\tvalue=1 cur=''\n"
	      "\telif [[ $option = '=' ]]; then\n\t\tvalue=1 option=${COMP_WORDS[COMP_CWORD-2]}\n\tfi\n"
	      "\tCOMPREPLY=()\n"
	      "\tcase ${COMP_WORDS[1]} in\n",
	      stdout);
	for (int i = 0; commands[i]; i++)
		put_bash_case(tfs_command_word(commands[i]), commands[i]);
	put_bash_case("*", tfs_mount_command());
	fputs("\tesac\n\tlocal commands='", stdout);
	for (int i = 0; commands[i]; i++)
		printf("%s%s", i ? " " : "", tfs_command_word(commands[i]));
	fputs("'\n"
	      "\tif [[ $value ]]; then\n"
	      "\t\t[[ ! $words ]] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	      "\telif [[ $cur = -* ]]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$opts\" -- \"$cur\")\n"
	      "\t\t[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace\n"
	      "\telif ((COMP_CWORD == 1)) || [[ ${COMP_WORDS[1]} = help ]]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$cur\")\n"
	      "\telif ((COMP_CWORD == 2)) && [[ $operands ]]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$operands\" -- \"$cur\")\n"
	      "\tfi\n}\n"
	      "complete -o default -F _tensorfs tensorfs\n",
	      stdout);
}

/* --- zsh ------------------------------------------------------------------------------------------------------------------- */

static void put_zsh_option(const struct tfs_option *o)
{
	if (o->id < 256 && o->name && !o->arg)
		printf("\t\t\t'(-%c --%s)'{-%c,--%s}'[", o->id, o->name, o->id, o->name);
	else if (o->name)
		printf("\t\t\t'--%s%s[", o->name, o->arg ? "=" : "");
	else
		printf("\t\t\t'-%c[", o->id);
	put_text(o->help, "[]:\\");
	putchar(']');
	if (is_choice(o)) {
		fputs(":value:(", stdout);
		put_words(o->arg, " ");
		putchar(')');
	} else if (o->arg) {
		fputs(":value:_files", stdout);
	}
	fputs("' \\\n", stdout);
}

static void put_zsh_case(const char *word, const struct tfs_command *c)
{
	struct tfs_option all[TFS_OPTIONS_MAX];

	tfs_command_options(c, all);
	printf("\t%s)\n", word);
	if (c->name != tfs_mount_command()->name)
		fputs("\t\tshift words\n\t\t((CURRENT--))\n", stdout);
	fputs("\t\t_arguments \\\n", stdout);
	for (const struct tfs_option *o = all; o->id; o++)
		put_zsh_option(o);
	if (c->choices) {
		fputs("\t\t\t'1:what:(", stdout);
		put_words(c->choices, " ");
		fputs(")' \\\n", stdout);
	}
	fputs("\t\t\t'*:file:_files'\n\t\t;;\n", stdout);
}

static void put_zsh(void)
{
	fputs("#compdef tensorfs\n"
	      "# zsh completion for tensorfs, by \"tensorfs completion zsh\"\n"
	      "_tensorfs() {\n\tlocal -a commands\n\tcommands=(\n",
	      stdout);
	for (int i = 0; commands[i]; i++) {
		printf("\t\t'%s:", tfs_command_word(commands[i]));
		put_text(commands[i]->summary, ":\\");
		fputs("'\n", stdout);
	}
	fputs("\t)\n"
	      "\tif ((CURRENT == 2)) && [[ $words[2] != -* ]]; then\n"
	      "\t\t_describe command commands\n\t\t_files\n\t\treturn\n\tfi\n"
	      "\tif [[ $words[2] = help ]]; then\n\t\t_describe command commands\n\t\treturn\n\tfi\n"
	      "\tcase $words[2] in\n",
	      stdout);
	for (int i = 0; commands[i]; i++)
		put_zsh_case(tfs_command_word(commands[i]), commands[i]);
	put_zsh_case("*", tfs_mount_command());
	fputs("\tesac\n}\n_tensorfs \"$@\"\n", stdout);
}

/* --- fish ------------------------------------------------------------------------------------------------------------------ */

static void put_fish_case(const char *condition, const struct tfs_command *c)
{
	struct tfs_option all[TFS_OPTIONS_MAX];

	tfs_command_options(c, all);
	for (const struct tfs_option *o = all; o->id; o++) {
		printf("complete -c tensorfs -n '%s'", condition);
		if (o->id < 256)
			printf(" -s %c", o->id);
		if (o->name)
			printf(" -l %s", o->name);
		if (is_choice(o)) {
			fputs(" -x -a '", stdout);
			put_words(o->arg, " ");
			putchar('\'');
		} else if (o->arg) {
			fputs(" -r", stdout);
		}
		fputs(" -d '", stdout);
		/* Fish knows \' in quotations. */
		for (const char *s = o->help; *s; s++)
			printf(*s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
		fputs("'\n", stdout);
	}
}

/* Until one of the choices is there. */
static void put_fish_choices(const char *condition, const char *choices)
{
	printf("complete -c tensorfs -n '%s; and not __fish_seen_subcommand_from ", condition);
	put_words(choices, " ");
	fputs("' -f -a '", stdout);
	put_words(choices, " ");
	fputs("'\n", stdout);
}

static void put_fish(void)
{
	char condition[80], none[1024] = "not __fish_seen_subcommand_from";

	fputs("# fish completion for tensorfs, by \"tensorfs completion fish\"\n", stdout);
	for (int i = 0; commands[i]; i++)
		snprintf(none + strlen(none), sizeof none - strlen(none), " %s", tfs_command_word(commands[i]));
	for (int i = 0; commands[i]; i++) {
		printf("complete -c tensorfs -n '__fish_use_subcommand; or __fish_seen_subcommand_from help' -a %s -d '",
		       tfs_command_word(commands[i]));
		put_text(commands[i]->summary, "");
		fputs("'\n", stdout);
	}
	for (int i = 0; commands[i]; i++) {
		snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %s", tfs_command_word(commands[i]));
		put_fish_case(condition, commands[i]);
		if (commands[i]->choices)
			put_fish_choices(condition, commands[i]->choices);
	}
	put_fish_case(none, tfs_mount_command());
}

/* --- The command ---------------------------------------------------------------------------------------------------------- */

static int completion_main(int argc, char **argv)
{
	static const char *const shells[] = { "bash", "zsh", "fish", NULL };
	int first, shell;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_completion_command, argc, argv, NULL, NULL, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	if (!tfs_value_word("SHELL", argv[first], shells, &shell))
		return TFS_EXIT_USAGE;
	if (shell == 0)
		put_bash();
	else if (shell == 1)
		put_zsh();
	else
		put_fish();
	return tfs_command_flush() ? TFS_EXIT_USAGE : TFS_EXIT_OK;
}

const struct tfs_command tfs_completion_command = {
	.name = "tensorfs completion",
	.summary = "print what completes commands and options in a shell",
	.operands = "SHELL",
	.min_operands = 1,
	.max_operands = 1,
	.choices = "bash|zsh|fish",
	.about =
		"Print a script for SHELL, which is bash, zsh or fish, that completes commands, options and their values. The installation "
		"puts it where the shell finds it.",
	.status = "Exit status: 0 printed, 2 failed, or a usage error. See tensorfs-completion(1).",
	.run = completion_main,
};
