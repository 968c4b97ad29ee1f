/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

enum { OPT_HELP = 'h', OPT_VERSION = 'V', OPT_FOREGROUND = 'f', OPT_DEBUG = 'd', OPT_MOUNT = 'o',
       OPT_MEMORY = 256, OPT_OPEN_WAIT, OPT_PREFETCH, OPT_THREADS, OPT_DIRECT, OPT_PASSTHROUGH, OPT_URING, OPT_ALLOW_OTHER };

/* Every option, in the order of --help. */
static const struct spec {
	int id;		  /* below 256: also the short option */
	const char *name; /* NULL: short only */
	const char *arg;  /* NULL: takes none */
	const char *help;
} specs[] = {
	{ OPT_FOREGROUND, "foreground", NULL, "stay in the foreground, messages on standard error" },
	{ OPT_MOUNT, NULL, "OPT[,OPT...]", "mount options: allow_other, fsname=NAME, noexec, ..." },
	{ OPT_ALLOW_OTHER, "allow-other", NULL, "let other users in; the same as -o allow_other" },
	{ OPT_MEMORY, "memory", "SIZE",
	  "memory for resident tensors: bytes with K, M, G or T, a percentage of what is available, or auto (half of it)" },
	{ OPT_OPEN_WAIT, "open-wait", "SECONDS", "stream a tensor whose load would hold up its open for longer (default 1)" },
	{ OPT_PREFETCH, "prefetch", "auto|all|none", "load what will be opened next; everything from mount on; nothing" },
	{ OPT_THREADS, "threads", "N", "reads in flight (default 8)" },
	{ OPT_DIRECT, "direct", "auto|off", "read past the page cache where the files allow it (default auto)" },
	{ OPT_PASSTHROUGH, "passthrough", "auto|on|off",
	  "let the kernel serve resident tensors by itself; on: or fail to mount (default auto)" },
	{ OPT_URING, "fuse-uring", "auto|on|off", "carry requests by io_uring; on: or fail to mount (default auto)" },
	{ OPT_DEBUG, "debug", NULL, "tell what happens; implies -f" },
	{ OPT_HELP, "help", NULL, "print this and exit" },
	{ OPT_VERSION, "version", NULL, "print the version and exit" },
};
enum { N_SPECS = sizeof specs / sizeof *specs };

static const char *const switch_words[] = { [TFS_AUTO] = "auto", [TFS_ON] = "on", [TFS_OFF] = "off", NULL };
static const char *const prefetch_words[] = {
	[TFS_PREFETCH_AUTO] = "auto", [TFS_PREFETCH_ALL] = "all", [TFS_PREFETCH_NONE] = "none", NULL
};

static void print_help(void)
{
	printf("usage: tensorfs [OPTIONS] MODEL_DIR MOUNTPOINT\n\n"
	       "Mount a model directory with every tensor in it as an ordinary file. MODEL_DIR may also be one weight file.\n"
	       "Unmount with umount or fusermount3 -u.\n\n");
	for (int i = 0; i < N_SPECS; i++) {
		const struct spec *s = &specs[i];
		char left[64];
		int n = 0;
		if (s->id < 256)
			n += snprintf(left, sizeof left, "-%c%s", s->id, s->name ? ", " : s->arg ? " " : "");
		if (s->name)
			n += snprintf(left + n, sizeof left - n, "--%s%s", s->name, s->arg ? "=" : "");
		snprintf(left + n, sizeof left - n, "%s", s->arg ? s->arg : "");
		printf("  %-30s %s\n", left, s->help);
	}
	printf("\nExit status: 0 mounted (or unmounted, with -f), 1 failed, 2 wrong usage. See tensorfs(1).\n");
}

static bool complain(const char *option, const char *value, const char *want)
{
	fprintf(stderr, "tensorfs: %s: \"%s\" is not %s\n", option, value, want);
	return false;
}

static bool parse_word(const char *option, const char *value, const char *const *words, int *ret)
{
	char all[64] = "";
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], value)) {
			*ret = i;
			return true;
		}
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "one of ", words[i]);
	}
	return complain(option, value, all);
}

/* strtod also takes "inf", "nan", hexadecimal, signs and leading blanks: none of them is meant here. */
static bool is_decimal(const char *s)
{
	return isdigit((unsigned char)s[0]) && s[strspn(s, "0123456789")] != 'x' && s[strspn(s, "0123456789")] != 'X';
}

static bool parse_number(const char *option, const char *value, double min, double max, double *ret)
{
	char *end, want[80];
	errno = 0;
	double v = strtod(value, &end);
	if (*end || !is_decimal(value) || errno || v < min || v > max) {
		snprintf(want, sizeof want, "a number from %.10g to %.10g", min, max);
		return complain(option, value, want);
	}
	*ret = v;
	return true;
}

static bool parse_memory(const char *value, uint64_t *ret)
{
	static const char want[] = "a size of at least 64M, such as 8G, 50% or auto";
	char *end;

	if (!strcmp(value, "auto")) {
		*ret = tfs_memory_default();
		return true;
	}
	errno = 0;
	double v = strtod(value, &end);
	if (!is_decimal(value) || errno)
		return complain("--memory", value, want);
	if (*end == '%' && !end[1] && v <= 100) {
		v = v / 100 * 2 * (double)tfs_memory_default(); /* the default is half of what is available */
	} else if (*end) {
		static const char units[] = "KMGT";
		const char *u = strchr(units, toupper((unsigned char)*end));
		/* "G", "GB" and "GiB" all mean 2^30: memory is counted in powers of two. */
		if (!u || (end[1] && strcmp(end + 1, "B") && strcmp(end + 1, "iB")))
			return complain("--memory", value, want);
		v *= (double)(1ull << 10 * (u - units + 1));
	}
	if (v < (double)TFS_MEMORY_MIN || v >= 0x1p62)
		return complain("--memory", value, want);
	*ret = (uint64_t)v;
	return true;
}

/* -o: some are ours, some are always so, some can't be had; the rest is for the kernel or libfuse. */
static bool parse_mount_options(struct tfs_options *o, const char *list)
{
	static const char *const given[] = { "ro", "nosuid", "nodev", "default_permissions", NULL };
	static const char *const refused[] = { "rw", "suid", "dev", NULL };
	char *copy = strdup(list), *save = NULL;
	bool ok = copy;

	for (char *w = copy ? strtok_r(copy, ",", &save) : NULL; w && ok; w = strtok_r(NULL, ",", &save)) {
		bool skip = false;
		for (int i = 0; given[i]; i++)
			skip |= !strcmp(w, given[i]);
		for (int i = 0; refused[i] && ok; i++)
			if (!strcmp(w, refused[i])) {
				fprintf(stderr, "tensorfs: -o %s: a tensorfs mount is always ro,nosuid,nodev\n", w);
				ok = false;
			}
		if (!strcmp(w, "allow_other"))
			o->allow_other = skip = true;
		if (skip || !ok)
			continue;
		char *joined;
		if (asprintf(&joined, "%s%s%s", o->mount_options, o->mount_options[0] ? "," : "", w) < 0) {
			ok = false;
			break;
		}
		free(o->mount_options);
		o->mount_options = joined;
	}
	free(copy);
	return ok;
}

static bool parse_option(struct tfs_options *o, int id, const char *value)
{
	double n;
	int word;

	switch (id) {
	case OPT_FOREGROUND:
		o->foreground = true;
		return true;
	case OPT_DEBUG:
		o->debug = o->foreground = true;
		return true;
	case OPT_ALLOW_OTHER:
		o->allow_other = true;
		return true;
	case OPT_MOUNT:
		return parse_mount_options(o, value);
	case OPT_MEMORY:
		return parse_memory(value, &o->loader.memory);
	case OPT_OPEN_WAIT:
		return parse_number("--open-wait", value, 0, 86400, &o->loader.open_wait);
	case OPT_THREADS:
		if (!parse_number("--threads", value, 1, TFS_THREADS_MAX, &n))
			return false;
		if (n != floor(n))
			return complain("--threads", value, "a whole number");
		o->loader.threads = (unsigned)n;
		return true;
	case OPT_PREFETCH:
		if (!parse_word("--prefetch", value, prefetch_words, &word))
			return false;
		o->loader.prefetch = word;
		return true;
	case OPT_DIRECT:
	case OPT_PASSTHROUGH:
	case OPT_URING:
		if (!parse_word(id == OPT_DIRECT ? "--direct" : id == OPT_URING ? "--fuse-uring" : "--passthrough", value,
				switch_words, &word))
			return false;
		if (id == OPT_DIRECT && word == TFS_ON)
			return complain("--direct", value, "one of auto, off");
		if (id == OPT_DIRECT)
			o->loader.direct = word != TFS_OFF;
		else if (id == OPT_URING)
			o->uring = word;
		else
			o->passthrough = word;
		return true;
	default:
		return false;
	}
}

enum tfs_parsed tfs_options_parse(int argc, char **argv, struct tfs_options *ret_options)
{
	struct option longs[N_SPECS + 1] = { 0 };
	char shorts[2 * N_SPECS + 1] = "";
	struct tfs_options o = {
		.loader = { .open_wait = 1, .threads = TFS_THREADS_DEFAULT, .direct = true },
		.mount_options = strdup(""),
	};
	int n_longs = 0, id;

	for (int i = 0; i < N_SPECS; i++) {
		if (specs[i].name)
			longs[n_longs++] = (struct option){ specs[i].name, specs[i].arg ? required_argument : no_argument, NULL,
							    specs[i].id };
		if (specs[i].id < 256)
			snprintf(shorts + strlen(shorts), sizeof shorts - strlen(shorts), "%c%s", specs[i].id,
				 specs[i].arg ? ":" : "");
	}
	while (o.mount_options && (id = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (id == OPT_HELP || id == OPT_VERSION) {
			if (id == OPT_HELP)
				print_help();
			else
				printf("tensorfs %s\n", TFS_VERSION);
			tfs_options_fini(&o);
			return TFS_PARSED_EXIT;
		}
		if (!parse_option(&o, id, optarg)) {
			if (id == '?') /* getopt has said what is wrong */
				fprintf(stderr, "Try 'tensorfs --help'.\n");
			goto usage;
		}
	}
	if (!o.mount_options || argc - optind != 2) {
		fprintf(stderr, "usage: tensorfs [OPTIONS] MODEL_DIR MOUNTPOINT\nTry 'tensorfs --help'.\n");
		goto usage;
	}
	o.model_dir = argv[optind];
	o.mountpoint = argv[optind + 1];
	if (!o.loader.memory)
		o.loader.memory = tfs_memory_default();
	*ret_options = o;
	return TFS_PARSED_RUN;
usage:
	tfs_options_fini(&o);
	return TFS_PARSED_USAGE;
}

void tfs_options_fini(struct tfs_options *o)
{
	free(o->mount_options);
}
