/* SPDX-License-Identifier: MIT */
#include "cli/bench/bench.h"

#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/bench/impl.h"
#include "cli/commands.h"
#include "cli/figures.h"
#include "cli/model-arg.h"

enum { READERS_DEFAULT = 4, READERS_MAX = 64 };

struct bench_options {
	struct tfs_options mount;
	bool json;
	unsigned runs, readers;
};

struct bench {
	const struct bench_options *options;
	struct tfs_bench_work work;
	struct tfs_progress progress;
	struct tfs_bench_result result;
	int signal_fd;
	/* Of all passes over tensors, and of those over whole files. */
	bool have_sum[2];
	uint64_t sum[2];
};

/* --- The command line ------------------------------------------------------------------------------------------------ */

enum { OPT_JSON = 1024, OPT_RUNS, OPT_READERS }; /* beyond those of cli/mount-options.c */

static const struct tfs_option bench_options[] = {
	{ OPT_JSON, "json", NULL, "report as one JSON object" },
	{ OPT_RUNS, "runs", "N", "measure everything N times and report medians (default 1)" },
	{ OPT_READERS, "readers", "N", "threads that read through the mount (by default 4, or one per CPU if there are fewer)" },
	{ 0 },
};

static bool take(void *arg, int id, const char *value)
{
	struct bench_options *o = arg;

	switch (id) {
	case OPT_JSON:
		o->json = true;
		return true;
	case OPT_RUNS:
		return tfs_value_count("--runs", value, 1, TFS_BENCH_RUNS_MAX, &o->runs);
	case OPT_READERS:
		return tfs_value_count("--readers", value, 1, READERS_MAX, &o->readers);
	default:
		return tfs_options_take(&o->mount, id, value);
	}
}

/* --- Steps ----------------------------------------------------------------------------------------------------------- */

static bool interrupted(const struct bench *b)
{
	struct pollfd polled = { .fd = b->signal_fd, .events = POLLIN };
	return poll(&polled, 1, 0) > 0;
}

static void record(struct bench *b, enum tfs_bench_pass pass, double seconds, uint64_t bytes)
{
	struct tfs_bench_figure *f = &b->result.figures[pass];

	f->seconds[f->n++] = seconds;
	f->bytes = bytes;
}

/* Drop everything from the page cache, or add a note that it isn't cold. */
static int chill(struct bench *b, enum tfs_bench_pass pass)
{
	struct tfs_bench_figure *f = &b->result.figures[pass];
	char bytes[TFS_FIGURES_BYTES];
	uint64_t cached;

	enum tfs_bench_coldness c = tfs_bench_chill(&b->work, &cached);
	if (!f->n || cached > f->cached_bytes)
		f->cached_bytes = cached;
	/* One warm run is enough for the figure not to be cold. */
	if (!f->n || c == TFS_BENCH_COLD_NO || f->coldness == TFS_BENCH_COLD_YES)
		f->coldness = c;
	if (c == TFS_BENCH_COLD_NO)
		tfs_bench_note(&b->result,
			       "%s is not cold: %s stayed in the page cache: dirty, mapped by a process, or on an "
			       "in-memory file system",
			       tfs_bench_pass_names[pass], tfs_figures_bytes(bytes, (double)cached));
	else if (c == TFS_BENCH_COLD_UNKNOWN)
		tfs_bench_note(&b->result,
			       "%s may not be cold: the kernel doesn't say what is in the page cache, on this file "
			       "system or to this user",
			       tfs_bench_pass_names[pass]);
	return interrupted(b) ? -EINTR : 0;
}

/* One pass, with progress shown and its bytes checked. */
static int pass(struct bench *b, enum tfs_bench_pass which, unsigned run, struct tfs_bench_mount *mount, struct tfs_loader *loader,
		double already, double *ret_seconds)
{
	const struct tfs_bench_work *w = &b->work;
	const bool whole = tfs_bench_is_whole(which);
	struct tfs_bench_reading reading = {
		.work = w,
		.mount = mount,
		.loader = loader,
		.map = which == TFS_BENCH_CACHED,
		.whole = whole,
		.readers = which == TFS_BENCH_BASELINE || whole ? 1 : b->options->readers,
		.signal_fd = b->signal_fd,
		.progress = &b->progress,
	};
	uint64_t bytes = (which == TFS_BENCH_BASELINE ? w->source_bytes : w->item_bytes) + w->other_bytes, sum;
	double seconds;

	if (whole)
		bytes = w->whole_bytes;
	else if (reading.map)
		bytes = 0;
	tfs_progress_begin(&b->progress, tfs_bench_pass_names[which], run, b->options->runs, bytes);
	int r = tfs_bench_read(&reading, &seconds, &sum);
	seconds += already;
	tfs_progress_end(&b->progress, r ? -1 : seconds);
	if (r)
		return r;
	if (!reading.map && b->have_sum[whole] && sum != b->sum[whole]) {
		tfs_log_error("%s: the bytes differ from those read before; did the model change?", tfs_bench_pass_names[which]);
		return -EIO;
	}
	if (!reading.map) {
		b->sum[whole] = sum;
		b->have_sum[whole] = true;
	}
	record(b, which, seconds, bytes);
	*ret_seconds = seconds;
	return 0;
}

static void read_stats(struct bench *b, const struct tfs_bench_mount *m)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof path, "%s/%s", m->dir, b->work.stats);
	json_decref(b->result.stats);
	b->result.stats = json_load_file(path, 0, NULL);
	const char *serving = json_string_value(json_object_get(b->result.stats, "serving"));
	/* What doesn't fit is loaded again in each pass. */
	if (serving && !strcmp(serving, "passthrough") && b->work.item_bytes > b->result.memory)
		tfs_bench_note(&b->result, "the model is larger than the budget, so it can't all stay in memory; see --memory");
}

/* The loader alone, if mounting isn't possible: nothing caches what it streams, so there is no second pass. */
static int load_without_mount(struct bench *b, unsigned run, double begin)
{
	struct tfs_loader_options lo = b->options->mount.loader;
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_loader *loader;
	char line[TFS_ERROR_LINE];
	double seconds;

	lo.resident = false;
	int r = tfs_loader_create(b->work.model, &lo, &loader, &err);
	if (r) {
		tfs_log_error("%s", tfs_error_line(&err, line, sizeof line));
		return r;
	}
	double ready = tfs_now() - begin;
	b->result.mount_seconds[run - 1] = ready;
	r = pass(b, TFS_BENCH_COLD, run, NULL, loader, ready, &seconds);
	tfs_loader_stop(loader);
	tfs_loader_destroy(loader);
	return r;
}

static int load_through_mount(struct bench *b, unsigned run, struct tfs_bench_mount *m, double begin)
{
	double seconds, ready = tfs_now() - begin;

	b->result.mount_seconds[run - 1] = ready;
	int r = pass(b, TFS_BENCH_COLD, run, m, NULL, ready, &seconds);
	if (!r)
		r = pass(b, TFS_BENCH_CACHED, run, m, NULL, 0, &seconds);
	if (!r)
		r = pass(b, TFS_BENCH_WARM, run, m, NULL, 0, &seconds);
	if (!r)
		read_stats(b, m);
	int stopped = tfs_bench_mount_stop(m);
	return r ? r : stopped;
}

/* The time to mount counts: users wait for that, too. */
static int load(struct bench *b, unsigned run)
{
	const struct tfs_options *o = &b->options->mount;
	struct tfs_bench_mount m;
	double begin = tfs_now();
	int r = b->result.mounted ? tfs_bench_mount_start(&m, o, b->signal_fd) : 0;

	if (b->result.mounted && !r)
		return load_through_mount(b, run, &m, begin);
	/* If an earlier run could mount, later ones must; and what was demanded must be available. */
	if (r == -ENODEV && run == 1 && o->passthrough != TFS_ON && o->uring != TFS_ON) {
		b->result.mounted = b->result.system.fuse = false;
		r = 0;
		tfs_bench_note(&b->result, "can't mount here: this is the loader alone, without FUSE or passthrough");
	}
	return r ? r : load_without_mount(b, run, tfs_now());
}

/* The weight files as programs map them: from the source, and through another mount, which has nothing in memory yet. */
static int map_whole(struct bench *b, unsigned run)
{
	struct tfs_bench_mount m;
	double seconds;
	int r = chill(b, TFS_BENCH_NATIVE);

	if (!r)
		r = pass(b, TFS_BENCH_NATIVE, run, NULL, NULL, 0, &seconds);
	if (!r)
		r = chill(b, TFS_BENCH_ORIGINALS);
	if (!r)
		r = tfs_bench_mount_start(&m, &b->options->mount, b->signal_fd);
	if (r)
		return r;
	r = pass(b, TFS_BENCH_ORIGINALS, run, &m, NULL, 0, &seconds);
	int stopped = tfs_bench_mount_stop(&m);
	return r ? r : stopped;
}

static int measure(struct bench *b)
{
	int r = 0;
	double seconds;

	b->result.mounted = true; /* until shown otherwise */
	for (unsigned run = 1; run <= b->options->runs && !r; run++) {
		r = chill(b, TFS_BENCH_BASELINE);
		if (!r)
			r = pass(b, TFS_BENCH_BASELINE, run, NULL, NULL, 0, &seconds);
		if (!r)
			r = chill(b, TFS_BENCH_COLD);
		if (!r)
			r = load(b, run);
		if (!r && b->result.mounted)
			r = map_whole(b, run);
	}
	if (r == -EINTR)
		tfs_log_error("interrupted");
	return r;
}

/* --- Beginning and end ----------------------------------------------------------------------------------------------- */

static int report(struct bench *b)
{
	struct winsize w = { 0 };
	bool terminal = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_col;
	int r = 0;

	if (b->progress.terminal && terminal && !b->options->json)
		putchar('\n'); /* separate from what progress left */
	if (b->options->json)
		r = tfs_bench_print_json(stdout, &b->result);
	else
		tfs_bench_print_text(stdout, &b->result, terminal ? w.ws_col : 100, !strcmp(nl_langinfo(CODESET), "UTF-8"));
	if (r && !ferror(stdout))
		tfs_log_error("the report: %s", strerror(-r));
	int flushed = tfs_command_flush();
	return r ? r : flushed;
}

/* What work knows of the model, and the machine. */
static void begin_result(struct bench *b, const char *path)
{
	struct tfs_bench_result *r = &b->result;
	const struct tfs_bench_work *w = &b->work;

	*r = (struct tfs_bench_result){
		.path = path,
		.tensors = w->n_items,
		.tensor_bytes = w->item_bytes,
		.files = w->n_sources,
		.other_files = w->n_others,
		.other_bytes = w->other_bytes,
		.runs = b->options->runs,
		.readers = b->options->readers,
		.threads = b->options->mount.loader.threads,
		.memory = b->options->mount.loader.memory,
	};
	cleanup_fd int fd = w->n_sources ? tfs_model_open_node(w->model, w->sources[0], 0) : -1;
	tfs_bench_system_facts(fd, &r->system);
}

static int run(struct bench *b, const char *path)
{
	struct tfs_model_arg arg;
	sigset_t signals;

	int r = tfs_model_arg_open(path, &arg);
	if (r)
		return r;
	if (tfs_model_is_remote(arg.model)) {
		tfs_log_error("%s: a remote model can't be benchmarked; mount it, and use the mount's stats",
			      tfs_model_name(arg.model));
		tfs_model_arg_close(&arg);
		return -EOPNOTSUPP;
	}
	r = tfs_bench_work_init(arg.model, arg.tree, &b->work);
	if (r) {
		tfs_log_error("listing the model: %s", strerror(-r));
		tfs_model_arg_close(&arg);
		return r;
	}
	begin_result(b, path);
	/* From here on a signal must not kill us before cleanup; everything that waits checks for one. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	b->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	r = b->signal_fd < 0 ? -errno : measure(b);
	if (!r)
		r = report(b);
	if (b->signal_fd >= 0)
		close(b->signal_fd);
	json_decref(b->result.stats);
	tfs_bench_work_fini(&b->work);
	tfs_model_arg_close(&arg);
	return r;
}

static int bench_main(int argc, char **argv)
{
	unsigned cpus = (unsigned)get_nprocs();
	struct bench_options o = { .runs = 1, .readers = cpus < READERS_DEFAULT ? cpus : READERS_DEFAULT };
	struct bench *b = calloc(1, sizeof *b); /* large */
	int first, status;

	setlocale(LC_CTYPE, ""); /* is the terminal's UTF-8? */
	if (!b || !tfs_options_init(&o.mount)) {
		free(b);
		fprintf(stderr, "tensorfs: out of memory\n");
		return TFS_EXIT_FAILED;
	}
	enum tfs_parsed parsed = tfs_command_parse(&tfs_bench_command, argc, argv, take, &o, &first);
	if (parsed == TFS_PARSED_RUN) {
		o.mount.model_dir = argv[first];
		o.mount.follow = TFS_FOLLOW_ALL; /* for this user alone, as by the commands that don't mount */
		tfs_options_complete(&o.mount);
		b->options = &o;
		tfs_progress_init(&b->progress, true);
		status = run(b, argv[first]) ? TFS_EXIT_FAILED : TFS_EXIT_OK;
	} else {
		status = tfs_parsed_status(parsed);
	}
	tfs_options_fini(&o.mount);
	free(b);
	return status;
}

const struct tfs_command tfs_bench_command = {
	.name = "tensorfs bench",
	.summary = "measure how fast a model is read, and grade it",
	.operands = "MODEL_DIR",
	.min_operands = 1,
	.max_operands = 1,
	.about = "Measure how fast a model is read from storage, by an ordinary reader and through a mount, and grade it. "
		 "MODEL_DIR may also be one weight file.",
	.status = "Exit status: 0 measured, 1 failed, 2 usage error. See tensorfs-bench(1).",
	.tables = { bench_options, tfs_serving_options },
	.run = bench_main,
};
