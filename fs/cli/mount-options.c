/* SPDX-License-Identifier: MIT */
#include "cli/mount-options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/command-line.h"
#include "cli/terminal.h"
#include "remote/options.h"
#include "tree/views.h"

/* clang-format off */
enum { OPT_FOREGROUND = 'f', OPT_DEBUG = 'd', OPT_MOUNT = 'o', OPT_NO_MTAB = 'n', OPT_SLOPPY = 's', OPT_VERBOSE = 'v', OPT_TYPE = 't',
       OPT_MEMORY = 256, OPT_OPEN_WAIT, OPT_PREFETCH, OPT_PREFETCH_LIST, OPT_THREADS, OPT_ENGINE, OPT_PASSTHROUGH, OPT_URING, OPT_NPY_ALIGN, OPT_ALLOW_OTHER,
       OPT_NONEMPTY, OPT_VIEWS, OPT_LOG_FILE,
       OPT_FOLLOW_LINKS, OPT_SCAN_MEMORY, OPT_SCAN_TIME, OPT_NPY_HEADER, OPT_USER, OPT_RESTART,
       OPT_CACHE, OPT_CACHE_SIZE, OPT_OFFLINE, OPT_CONNECTIONS, OPT_REMOTE_TIMEOUT, OPT_CACERT, OPT_ANONYMOUS, OPT_NETRC };
/* clang-format on */

/* Options only for mounting … */
static const struct tfs_option mount_options[] = {
	{ OPT_FOREGROUND, "foreground", NULL, "stay in the foreground and log to standard error" },
	{ OPT_DEBUG, "debug", NULL, "log every request and what the loader does; implies -f" },
	{ OPT_MOUNT, NULL, "OPT[,OPT...]", "mount options: ro, noexec, fsname=NAME, ...; also those below, as NAME or NAME=VALUE" },
	{ OPT_ALLOW_OTHER, "allow-other", NULL, "let other users access the mount; same as -o allow_other" },
	{ OPT_FOLLOW_LINKS, "follow-links", "inside|all",
	  "links in the model's directory: follow those that lead to a place in it, or to the blobs of the same repository in "
	  "Hugging Face's cache (the default), or all, with your rights" },
	{ OPT_VIEWS, "views", "LIST", "views to show: all, none, or some of tensors,npy,f32,meta,tree,whole" },
	{ OPT_LOG_FILE, "log-file", "FILE", "once mounted, append messages to FILE instead of the system log or standard error" },
	{ OPT_SCAN_MEMORY, "scan-memory", "SIZE",
	  "memory for parsing the model's files (default 448M); leave out what needs more" },
	{ OPT_SCAN_TIME, "scan-time", "SECONDS", "CPU time for parsing the model's files (default 20)" },
	{ OPT_NPY_HEADER, "npy-header", "N", "read NumPy headers of up to N characters (default 10000)" },
	{ OPT_USER, "user", "USER",
	  "mounted by root, become this user, a name or UID[:GID] (default: tensorfs if that exists, else nobody)" },
	{ OPT_RESTART, "restart", NULL, "if the daemon is killed, mount again" },
	{ OPT_NONEMPTY, "nonempty", NULL, "allow mounting over another tensorfs mount" },
	{ OPT_PREFETCH_LIST, "prefetch-list", "FILE",
	  "load the files that FILE lists first, in that order: one name or glob per line" },
	{ 0 },
};

/* … and how any mount is served. */
const struct tfs_option tfs_serving_options[] = {
	{ OPT_MEMORY, "memory", "SIZE",
	  "memory for resident tensors: bytes with K, M, G or T, a percentage of what is available, or auto (half of it)" },
	{ OPT_OPEN_WAIT, "open-wait", "SECONDS", "stream a tensor if loading it would delay its open for longer (default 1)" },
	{ OPT_PREFETCH, "prefetch", "auto|all|all:tensors|none",
	  "load ahead what will be opened next; all original files, once mounted; all tensors; nothing" },
	{ OPT_THREADS, "threads", "N|MIN-MAX", "reads in flight, as many as the storage needs (default 2-32)" },
	{ OPT_ENGINE, "engine", "NAME",
	  "how to read: uring (io_uring) or threads, both bypassing the page cache, or buffered; auto: the first that works" },
	{ OPT_PASSTHROUGH, "passthrough", "auto|on|off",
	  "let the kernel serve resident tensors directly; on: fail to mount if it can't (default auto)" },
	{ OPT_NPY_ALIGN, "npy-align", "64|4096",
	  "align the data in npy/ and f32/ files to this; 64: as np.save does (default 4096)" },
	{ OPT_URING, "fuse-uring", "auto|on|off",
	  "carry FUSE requests over io_uring; on: fail to mount if it can't (default auto)" },
	{ 0 },
};

/* Options for remote models. Other commands have the environment for them (remote/options.h). */
static const struct tfs_option remote_options[] = {
	{ OPT_CACHE, "cache", "DIR|none", "remote models: keep what was fetched in DIR (default ~/.cache/tensorfs)" },
	{ OPT_CACHE_SIZE, "cache-size", "SIZE", "remote models: size of the cache (default: all but a tenth of the disk)" },
	{ OPT_OFFLINE, "offline", NULL, "remote models: use only what is in the cache" },
	{ OPT_CONNECTIONS, "connections", "N", "remote models: connections per host, at most (default 16)" },
	{ OPT_REMOTE_TIMEOUT, "remote-timeout", "SECONDS",
	  "remote models: until a read that somebody waits for fails, with all retries (default 60)" },
	{ OPT_CACERT, "cacert", "FILE", "remote models: certificates to trust, in PEM" },
	{ OPT_ANONYMOUS, "anonymous", NULL, "remote models: send no credentials" },
	{ OPT_NETRC, "netrc", NULL, "remote models: https: passwords are in ~/.netrc" },
	{ 0 },
};

/* Options that mount(8) passes to mount helpers. */
static const struct tfs_option mount8_options[] = {
	{ OPT_NO_MTAB, NULL, NULL, "accepted for mount(8), no effect" },
	{ OPT_SLOPPY, NULL, NULL, "accepted for mount(8), no effect" },
	{ OPT_VERBOSE, NULL, NULL, "accepted for mount(8), no effect" },
	{ 0 },
};

static const struct tfs_command mount_command = {
	.name = "tensorfs",
	.operands = "MODEL_DIR MOUNTPOINT",
	.min_operands = 2,
	.max_operands = 2,
	.about =
		"Mount a model directory with every tensor in it as an ordinary file. MODEL_DIR may also be one weight file, or the URL "
		"of a remote model: hf://ORG/MODEL, s3://BUCKET/PREFIX, https://HOST/DIR. Unmount with umount or fusermount3 -u.",
	.status = "Exit status: 0 mounted (or unmounted, with -f), 1 failed, 2 usage error. See tensorfs(1).",
	.tables = { mount_options, tfs_serving_options, remote_options, mount8_options },
};

const struct tfs_command *tfs_mount_command(void)
{
	return &mount_command;
}

/* For mount(8) -f means something else. */
static const struct tfs_option helper_options[] = {
	{ OPT_MOUNT, NULL, "OPT[,OPT...]", "mount options, and those of tensorfs as NAME or NAME=VALUE" },
	{ OPT_TYPE, NULL, "TYPE", "accepted for mount(8), no effect" },
	{ OPT_FOREGROUND, NULL, NULL, "fake: do everything but mount" },
	{ 0 },
};

static const struct tfs_command helper_command = {
	.name = "mount.tensorfs",
	.operands = "MODEL_DIR MOUNTPOINT",
	.min_operands = 2,
	.max_operands = 2,
	.about = "Run by mount(8) for the type tensorfs. From a shell, use tensorfs.",
	.status = "Exit status: 0 mounted, 1 failed, 2 usage error. See mount.tensorfs(8).",
	.tables = { helper_options, mount8_options },
};

static const char *const switch_words[] = { [TFS_AUTO] = "auto", [TFS_ON] = "on", [TFS_OFF] = "off", NULL };
static const char *const prefetch_words[] = {
	[TFS_PREFETCH_AUTO] = "auto",
	[TFS_PREFETCH_ALL] = "all",
	[TFS_PREFETCH_ALL_TENSORS] = "all:tensors",
	[TFS_PREFETCH_NONE] = "none",
	NULL,
};
/* auto, then the tiers. */
static const char *const engine_words[] = { "auto", "uring", "threads", "buffered", NULL };

static const char *const follow_words[] = { [TFS_FOLLOW_ALL] = "all", [TFS_FOLLOW_INSIDE] = "inside", NULL };

static const char *const npy_align_words[] = { "64", "4096", NULL };

/* Bytes, with a unit or without, from @min on. @end: what follows the number @v in @value. */
static bool take_units(const char *option, const char *value, const char *end, double v, uint64_t min, const char *want,
		       uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *u = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;

	/* "G", "GB" and "GiB" all mean 2^30: memory is measured in powers of two. */
	if (*end && (!u || (end[1] && strcmp(end + 1, "B") && strcmp(end + 1, "iB"))))
		return tfs_value_complain(option, value, want);
	if (u)
		v *= (double)(1ull << 10 * (u - units + 1));
	if (v < (double)min || v >= 0x1p62)
		return tfs_value_complain(option, value, want);
	*ret = (uint64_t)v;
	return true;
}

static bool parse_scan_memory(const char *value, uint64_t *ret)
{
	static const char want[] = "a size of at least 16M, such as 2G";
	char *end;

	errno = 0;
	double v = strtod(value, &end);
	if (!tfs_value_decimal(value) || errno)
		return tfs_value_complain("--scan-memory", value, want);
	return take_units("--scan-memory", value, end, v, (uint64_t)16 << 20, want, ret);
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
	if (!tfs_value_decimal(value) || errno)
		return tfs_value_complain("--memory", value, want);
	if (*end == '%' && !end[1] && v <= 100) {
		v = v / 100 * 2 * (double)tfs_memory_default(); /* the default is half of what is available */
		end++;
	}
	return take_units("--memory", value, end, v, TFS_MEMORY_MIN, want, ret);
}

/* N, or MIN-MAX. */
static bool parse_threads(const char *value, struct tfs_loader_options *ret)
{
	const char *dash = strchr(value, '-');
	char min[16];

	if (!dash || dash == value || (size_t)(dash - value) >= sizeof min) {
		ret->threads_min = 0;
		return tfs_value_count("--threads", value, 1, TFS_THREADS_MAX, &ret->threads);
	}
	snprintf(min, sizeof min, "%.*s", (int)(dash - value), value);
	return tfs_value_count("--threads", dash + 1, 1, TFS_THREADS_MAX, &ret->threads) &&
	       tfs_value_count("--threads", min, 1, ret->threads, &ret->threads_min);
}

/* --- -o -------------------------------------------------------------------------------------------------------------- */

/* Options of mount(8), fstab(5) and systemd.mount(5) that have no effect here, or are always on: nosuid, nodev, noatime. */
/* clang-format off */
static const char *const no_effect[] = {
	"defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev", "suid", "nosuid", "dev",
	"nodev", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime",
	"lazytime", "nolazytime", "iversion", "noiversion", "mand", "nomand", "silent", "loud", "default_permissions", NULL
};
/* clang-format on */
static const char *const no_effect_prefixes[] = { "x-", "X-", "comment=", "user=", NULL };

static bool has_no_effect(const char *word)
{
	for (int i = 0; no_effect[i]; i++)
		if (!strcmp(word, no_effect[i]))
			return true;
	for (int i = 0; no_effect_prefixes[i]; i++)
		if (!strncmp(word, no_effect_prefixes[i], strlen(no_effect_prefixes[i])))
			return true;
	return false;
}

/*
 * The next word of a list, which may contain commas in double quotes, as in mount(8), or after a backslash, as in libfuse, which
 * also has \NNN, octal. @word has room for the whole list.
 */
static bool next_word(const char **list, char *word)
{
	const char *s = *list;
	bool quoted = false;

	if (!*s)
		return false;
	for (; *s && (quoted || *s != ','); s++) {
		unsigned byte;
		if (*s == '"') {
			quoted = !quoted;
		} else if (*s == '\\' && strspn(s + 1, "01234567") >= 3 && sscanf(s + 1, "%3o", &byte) == 1) {
			*word++ = (char)byte;
			s += 3;
		} else {
			s += *s == '\\' && s[1];
			*word++ = *s;
		}
	}
	*word = 0;
	*list = s + (*s == ',');
	return true;
}

/* Does @word, up to a '=', spell the option @name? Mount options are usually written with '_'. */
static bool spells(const char *word, const char *name)
{
	for (; *name && (*word == *name || (*word == '_' && *name == '-')); word++, name++)
		;
	return !*name && (!*word || *word == '=');
}

static const struct tfs_option *find(const char *word)
{
	const struct tfs_option *tables[] = { mount_options, tfs_serving_options, remote_options };

	for (int t = 0; t < 3; t++)
		for (const struct tfs_option *option = tables[t]; option->id; option++)
			/* mount(8) has a "user" of its own. */
			if (option->name && option->id != OPT_USER && spells(word, option->name))
				return option;
	return NULL;
}

/* For libfuse or the kernel; libfuse refuses unknown options. False: out of memory. */
static bool pass_on(struct tfs_options *o, const char *word)
{
	size_t len = strlen(o->mount_options);
	char *joined = realloc(o->mount_options, len + 2 * strlen(word) + 2);

	if (!joined)
		return false;
	o->mount_options = joined;
	joined += len;
	if (len)
		*joined++ = ',';
	for (; *word; *joined++ = *word++)
		if (*word == ',' || *word == '\\')
			*joined++ = '\\';
	*joined = 0;
	return true;
}

static bool take_word(struct tfs_options *o, const char *word)
{
	const struct tfs_option *option = find(word);
	const char *value = strchr(word, '=');

	if (option && !option->arg != !value) {
		tfs_complain("tensorfs: -o %s: it %s", word, value ? "takes no value" : "requires a value");
		return false;
	}
	if (option)
		return tfs_options_take(o, option->id, value ? value + 1 : NULL);
	if (value && value[1] && !strncmp(word, "setuid=", 7)) { /* as mount.fuse3 has it */
		o->user = value + 1;
		return true;
	}
	if (!*word || has_no_effect(word))
		return true;
	if (!strcmp(word, "remount")) {
		fprintf(stderr, "tensorfs: -o remount: a mount's options can't be changed; unmount it and mount it again\n");
		return false;
	}
	if (value && !value[1] && (!strncmp(word, "fsname=", 7) || !strncmp(word, "subtype=", 8))) {
		tfs_complain("tensorfs: -o %s: it requires a value", word);
		return false;
	}
	if (!strncmp(word, "max_read=", 9) && !tfs_value_count("-o max_read", word + 9, 0, UINT_MAX, &o->max_read))
		return false;
	return pass_on(o, word);
}

static bool take_list(struct tfs_options *o, const char *list)
{
	char *word;

	do {
		word = tfs_arena_alloc(&o->words, strlen(list) + 1, 1);
		if (!word)
			fprintf(stderr, "tensorfs: out of memory\n");
	} while (word && next_word(&list, word) && (word = take_word(o, word) ? word : NULL));
	return word;
}

/* The option becomes what every command reads. */
static bool set_variable(const char *name, const char *value)
{
	if (!setenv(name, value, 1))
		return true;
	fprintf(stderr, "tensorfs: out of memory\n");
	return false;
}

static bool take_remote(int id, const char *value)
{
	unsigned n;
	double seconds;
	uint64_t size;

	switch (id) {
	case OPT_CACHE:
		return *value ? set_variable(TFS_REMOTE_CACHE, value) :
				tfs_value_complain("--cache", value, "a directory, or none");
	case OPT_CACHE_SIZE:
		return tfs_remote_size(value, &size) ?
			       set_variable(TFS_REMOTE_CACHE_SIZE, value) :
			       tfs_value_complain("--cache-size", value, "a size of at least 16M, such as 200G");
	case OPT_OFFLINE:
		return set_variable(TFS_REMOTE_OFFLINE, "1");
	case OPT_CONNECTIONS:
		return tfs_value_count("--connections", value, 1, TFS_REMOTE_CONNECTIONS_MAX, &n) &&
		       set_variable(TFS_REMOTE_CONNECTIONS, value);
	case OPT_REMOTE_TIMEOUT:
		return tfs_value_number("--remote-timeout", value, 1, TFS_REMOTE_TIMEOUT_MAX, &seconds) &&
		       set_variable(TFS_REMOTE_TIMEOUT, value);
	case OPT_CACERT:
		return set_variable(TFS_REMOTE_CACERT, value);
	case OPT_ANONYMOUS:
		return set_variable(TFS_REMOTE_ANONYMOUS, "1");
	case OPT_NETRC:
		return set_variable(TFS_REMOTE_NETRC, "1");
	default:
		return false;
	}
}

bool tfs_options_take(void *arg, int id, const char *value)
{
	struct tfs_options *o = arg;
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
		return take_list(o, value);
	case OPT_NO_MTAB:
	case OPT_SLOPPY:
	case OPT_VERBOSE:
	case OPT_TYPE:
		return true;
	case OPT_RESTART:
		o->restart = true;
		return true;
	case OPT_NONEMPTY:
		o->nonempty = true;
		return true;
	case OPT_MEMORY:
		return parse_memory(value, &o->loader.memory);
	case OPT_SCAN_MEMORY:
		return parse_scan_memory(value, &o->scan.memory);
	case OPT_SCAN_TIME:
		return tfs_value_number("--scan-time", value, 0.001, 86400, &o->scan.seconds);
	case OPT_NPY_HEADER:
		return tfs_value_count("--npy-header", value, 1, TFS_NPY_HEADER_MAX, &o->scan.npy_header);
	case OPT_OPEN_WAIT:
		return tfs_value_number("--open-wait", value, 0, 86400, &o->loader.open_wait);
	case OPT_THREADS:
		return parse_threads(value, &o->loader);
	case OPT_PREFETCH:
		if (!tfs_value_word("--prefetch", value, prefetch_words, &word))
			return false;
		o->loader.prefetch = word;
		return true;
	case OPT_VIEWS:
		return tfs_views_parse(value, &o->views) ||
		       tfs_value_complain("--views", value, "all, none, or some of tensors,npy,f32,meta,tree,whole");
	case OPT_FOLLOW_LINKS:
		if (!tfs_value_word("--follow-links", value, follow_words, &word))
			return false;
		o->follow = word;
		return true;
	case OPT_USER:
		o->user = value;
		return true;
	case OPT_LOG_FILE:
		o->log_file = value;
		return true;
	case OPT_PREFETCH_LIST:
		o->prefetch_list = value;
		return true;
	case OPT_ENGINE:
		if (!tfs_value_word("--engine", value, engine_words, &word))
			return false;
		o->loader.engine_forced = word > 0;
		o->loader.engine = word > 0 ? (enum tfs_tier)(word - 1) : TFS_TIER_URING;
		return true;
	case OPT_NPY_ALIGN:
		if (!tfs_value_word("--npy-align", value, npy_align_words, &word))
			return false;
		o->npy_align = word ? TFS_NPY_ALIGN : 64;
		return true;
	case OPT_PASSTHROUGH:
	case OPT_URING:
		if (!tfs_value_word(id == OPT_URING ? "--fuse-uring" : "--passthrough", value, switch_words, &word))
			return false;
		if (id == OPT_URING)
			o->uring = word;
		else
			o->passthrough = word;
		return true;
	default:
		return take_remote(id, value);
	}
}

bool tfs_options_init(struct tfs_options *ret_options)
{
	*ret_options = (struct tfs_options){
		.views = TFS_VIEWS_ALL,
		.follow = TFS_FOLLOW_INSIDE,
		.scan = { TFS_SCAN_MEMORY, TFS_SCAN_SECONDS, TFS_NPY_HEADER },
		.loader = { .open_wait = 1, .threads = TFS_THREADS_DEFAULT, .threads_min = TFS_THREADS_MIN_DEFAULT },
		.npy_align = TFS_NPY_ALIGN,
		.mount_options = strdup(""),
	};
	return ret_options->mount_options;
}

void tfs_options_complete(struct tfs_options *o)
{
	uint64_t limit = tfs_memory_limit();

	if (!o->loader.memory)
		o->loader.memory = tfs_memory_default();
	if (o->loader.memory <= limit)
		return;
	tfs_log_warning("--memory: %" PRIu64 " MiB are above what the memory cgroup allows; %" PRIu64 " MiB are used",
			o->loader.memory >> 20, limit >> 20);
	o->loader.memory = limit;
}

/* As tfs_options_take(). */
static bool take_for_mount8(void *arg, int id, const char *value)
{
	struct tfs_options *o = arg;

	if (id != OPT_FOREGROUND)
		return tfs_options_take(o, id, value);
	o->fake = true;
	return true;
}

bool tfs_options_helper(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	return !strcmp(slash ? slash + 1 : argv0, helper_command.name);
}

enum tfs_parsed tfs_options_parse(int argc, char **argv, const struct tfs_command *const *commands, struct tfs_options *ret_options)
{
	bool helper = tfs_options_helper(argv[0]);
	struct tfs_command command = helper ? helper_command : mount_command;
	struct tfs_options o;
	int first;

	if (!tfs_options_init(&o)) {
		fprintf(stderr, "tensorfs: out of memory\n");
		return TFS_PARSED_USAGE;
	}
	if (!helper)
		command.commands = commands;
	enum tfs_parsed parsed = tfs_command_parse(&command, argc, argv, helper ? take_for_mount8 : tfs_options_take, &o, &first);
	if (parsed != TFS_PARSED_RUN) {
		tfs_options_fini(&o);
		return parsed;
	}
	o.model_dir = argv[first];
	o.mountpoint = argv[first + 1];
	tfs_options_complete(&o);
	*ret_options = o;
	return TFS_PARSED_RUN;
}

void tfs_options_fini(struct tfs_options *o)
{
	free(o->mount_options);
	tfs_arena_fini(&o->words);
}
