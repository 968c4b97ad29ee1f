/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command-line.h"

enum { OPT_FOREGROUND = 'f', OPT_DEBUG = 'd', OPT_MOUNT = 'o',
       OPT_MEMORY = 256, OPT_OPEN_WAIT, OPT_PREFETCH, OPT_PREFETCH_LIST, OPT_THREADS, OPT_ENGINE, OPT_PASSTHROUGH, OPT_URING, OPT_NPY_ALIGN, OPT_ALLOW_OTHER };

/* What only a mount of its own takes … */
static const struct tfs_option mount_options[] = {
	{ OPT_FOREGROUND, "foreground", NULL, "stay in the foreground, messages on standard error" },
	{ OPT_DEBUG, "debug", NULL, "tell what happens; implies -f" },
	{ OPT_MOUNT, NULL, "OPT[,OPT...]", "mount options: allow_other, fsname=NAME, noexec, ..." },
	{ OPT_ALLOW_OTHER, "allow-other", NULL, "let other users in; the same as -o allow_other" },
	{ OPT_PREFETCH_LIST, "prefetch-list", "FILE", "load these files of the mount first, in this order: a name or glob on each line" },
	{ 0 },
};

/* … and how any is served. */
const struct tfs_option tfs_serving_options[] = {
	{ OPT_MEMORY, "memory", "SIZE",
	  "memory for resident tensors: bytes with K, M, G or T, a percentage of what is available, or auto (half of it)" },
	{ OPT_OPEN_WAIT, "open-wait", "SECONDS", "stream a tensor whose load would hold up its open for longer (default 1)" },
	{ OPT_PREFETCH, "prefetch", "auto|all|none", "load what will be opened next; everything from mount on; nothing" },
	{ OPT_THREADS, "threads", "N", "reads in flight (default 8)" },
	{ OPT_ENGINE, "engine", "NAME",
	  "how to read: uring (io_uring), threads, both past the page cache, or buffered; auto: the first that works" },
	{ OPT_PASSTHROUGH, "passthrough", "auto|on|off",
	  "let the kernel serve resident tensors by itself; on: or fail to mount (default auto)" },
	{ OPT_NPY_ALIGN, "npy-align", "64|4096",
	  "a multiple of it is where data begins in npy/ and f32/; 64: as np.save writes them (default 4096)" },
	{ OPT_URING, "fuse-uring", "auto|on|off", "carry requests by io_uring; on: or fail to mount (default auto)" },
	{ 0 },
};

static const struct tfs_command mount_command = {
	.name = "tensorfs",
	.operands = "MODEL_DIR MOUNTPOINT",
	.n_operands = 2,
	.about = "Mount a model directory with every tensor in it as an ordinary file. MODEL_DIR may also be one weight file.\n"
		 "Unmount with umount or fusermount3 -u.\n",
	.status = "Exit status: 0 mounted (or unmounted, with -f), 1 failed, 2 wrong usage. See tensorfs(1).\n",
	.tables = { mount_options, tfs_serving_options },
};

static const char *const switch_words[] = { [TFS_AUTO] = "auto", [TFS_ON] = "on", [TFS_OFF] = "off", NULL };
static const char *const prefetch_words[] = {
	[TFS_PREFETCH_AUTO] = "auto", [TFS_PREFETCH_ALL] = "all", [TFS_PREFETCH_NONE] = "none", NULL
};
/* auto, then the tiers. */
static const char *const engine_words[] = { "auto", "uring", "threads", "buffered", NULL };

static const char *const npy_align_words[] = { "64", "4096", NULL };

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
	} else if (*end) {
		static const char units[] = "KMGT";
		const char *u = strchr(units, toupper((unsigned char)*end));
		/* "G", "GB" and "GiB" all mean 2^30: memory is counted in powers of two. */
		if (!u || (end[1] && strcmp(end + 1, "B") && strcmp(end + 1, "iB")))
			return tfs_value_complain("--memory", value, want);
		v *= (double)(1ull << 10 * (u - units + 1));
	}
	if (v < (double)TFS_MEMORY_MIN || v >= 0x1p62)
		return tfs_value_complain("--memory", value, want);
	*ret = (uint64_t)v;
	return true;
}

/* -o: some are ours, some are always so, some can't be had; the rest is for the kernel or libfuse. */
static bool parse_mount_options(struct tfs_options *o, const char *list)
{
	static const char *const given[] = { "rw", "nosuid", "nodev", "noatime", "default_permissions", NULL };
	static const char *const refused[] = { "suid", "dev", NULL };
	char *copy = strdup(list), *save = NULL;
	bool ok = copy;

	for (char *w = copy ? strtok_r(copy, ",", &save) : NULL; w && ok; w = strtok_r(NULL, ",", &save)) {
		bool skip = false;
		for (int i = 0; given[i]; i++)
			skip |= !strcmp(w, given[i]);
		for (int i = 0; refused[i] && ok; i++)
			if (!strcmp(w, refused[i])) {
				fprintf(stderr, "tensorfs: -o %s: a tensorfs mount is always nosuid,nodev\n", w);
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
		return parse_mount_options(o, value);
	case OPT_MEMORY:
		return parse_memory(value, &o->loader.memory);
	case OPT_OPEN_WAIT:
		return tfs_value_number("--open-wait", value, 0, 86400, &o->loader.open_wait);
	case OPT_THREADS:
		return tfs_value_count("--threads", value, 1, TFS_THREADS_MAX, &o->loader.threads);
	case OPT_PREFETCH:
		if (!tfs_value_word("--prefetch", value, prefetch_words, &word))
			return false;
		o->loader.prefetch = word;
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
		return false;
	}
}

bool tfs_options_init(struct tfs_options *ret_options)
{
	*ret_options = (struct tfs_options){
		.loader = { .open_wait = 1, .threads = TFS_THREADS_DEFAULT },
		.npy_align = TFS_NPY_ALIGN,
		.mount_options = strdup(""),
	};
	return ret_options->mount_options;
}

void tfs_options_complete(struct tfs_options *o)
{
	if (!o->loader.memory)
		o->loader.memory = tfs_memory_default();
}

enum tfs_parsed tfs_options_parse(int argc, char **argv, struct tfs_options *ret_options)
{
	struct tfs_options o;
	int first;

	if (!tfs_options_init(&o)) {
		fprintf(stderr, "tensorfs: out of memory\n");
		return TFS_PARSED_USAGE;
	}
	enum tfs_parsed parsed = tfs_command_parse(&mount_command, argc, argv, tfs_options_take, &o, &first);
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
}
