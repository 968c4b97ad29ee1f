/* SPDX-License-Identifier: MIT */
/*
 * tensorfs bench: how long this machine takes to read a model, with an ordinary reader and through a mount.
 *
 *   bench.c           the command: options, steps, end
 *   system.c          facts of the machine
 *   work.c            what there is to read, and taking it out of the page cache
 *   read.c            one pass over that
 *   mount.c           the mount that is measured, in a process of its own
 *   report.c          what is made of the seconds: text and JSON
 *
 * Declared here is the result, from which the report is made.
 */
#ifndef TFS_FS_BENCH_H
#define TFS_FS_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TFS_BENCH_RUNS_MAX = 99 };

/* The passes over the model, in their order. */
enum tfs_bench_pass {
	TFS_BENCH_BASELINE,  /* one thread, buffered reads of the weight files, cold */
	TFS_BENCH_COLD,	     /* mounting, and reading every tensor through the mount, cold */
	TFS_BENCH_CACHED,    /* opening and mapping every tensor again, touching its first byte */
	TFS_BENCH_WARM,	     /* reading every tensor again */
	TFS_BENCH_NATIVE,    /* one thread, all weight files mapped from their beginning to their end, cold */
	TFS_BENCH_ORIGINALS, /* the same through a mount, cold */
	TFS_BENCH_PASSES,
};
extern const char *const tfs_bench_pass_names[TFS_BENCH_PASSES];

/* Is everything dropped from the page cache before it? */
bool tfs_bench_is_cold(enum tfs_bench_pass pass);

/* Does it read weight files as they are, rather than tensors? */
static inline bool tfs_bench_is_whole(enum tfs_bench_pass pass)
{
	return pass == TFS_BENCH_NATIVE || pass == TFS_BENCH_ORIGINALS;
}

/* Was nothing of the files in the page cache when the pass began? */
enum tfs_bench_coldness { TFS_BENCH_COLD_YES, TFS_BENCH_COLD_NO, TFS_BENCH_COLD_UNKNOWN };

/* Share of the bytes that may be cached in a cold pass: 1 in this many. */
#define TFS_BENCH_COLD_SHARE 100

/* The second pass is immediate below this percentage of the cold one. */
#define TFS_BENCH_IMMEDIATE_PERCENT 1.0

struct tfs_bench_figure {
	unsigned n; /* runs; 0: not measured */
	double seconds[TFS_BENCH_RUNS_MAX];
	uint64_t bytes;			  /* that each run read */
	enum tfs_bench_coldness coldness; /* of the worst run, if tfs_bench_is_cold() */
	uint64_t cached_bytes;		  /* in the page cache before it, in the worst run */
};

struct tfs_bench_system {
	char cpu[128];
	unsigned cpus; /* online */
	const char *simd;
	uint64_t memory, available; /* bytes */
	char kernel[66];
	const char *libfuse;
	char fs_type[32], device[64], scheduler[32]; /* of the weight files; "" if not known */
	int rotational;				     /* -1: not known */
	bool fuse, direct, io_uring, fuse_uring, huge_pages, cachestat;
};

enum { TFS_BENCH_NOTES_MAX = 8 };

struct tfs_bench_result {
	const char *path; /* of the model, as given */
	uint64_t tensors, tensor_bytes, files, other_files, other_bytes;
	struct tfs_bench_system system;
	unsigned runs, readers, threads;
	uint64_t memory; /* budget */

	bool mounted;				  /* false: through the loader alone, as mounting wasn't possible */
	json_t *stats;				  /* .tensorfs/stats.json at the end of the last run; NULL: none */
	double mount_seconds[TFS_BENCH_RUNS_MAX]; /* part of COLD's time */
	struct tfs_bench_figure figures[TFS_BENCH_PASSES];

	/* What readers of the figures should know. */
	unsigned n_notes;
	char notes[TFS_BENCH_NOTES_MAX][256];
};

void tfs_bench_note(struct tfs_bench_result *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * system.c: facts, where @model_path's weight file @fd is on storage; -1: no file. Never fails: what isn't available is left out.
 */
void tfs_bench_system_facts(int fd, struct tfs_bench_system *ret);

/* --- report.c: pure but for the printing -------------------------------------------------------------------------------- */

/*
 * The grade of a cold load that takes @seconds where an ordinary reader takes @baseline: "FASTER" or "SLOWER", or "AS FAST" if they
 * differ by less than equal runs do (TFS_BENCH_TIE).
 */
const char *tfs_bench_grade(double baseline, double seconds);
#define TFS_BENCH_TIE 0.05

/*
 * By the seconds alone, ULTRA-FAST, FAST, GOOD or NEEDS IMPROVEMENT: only for a model for which an ordinary reader needs at least
 * TFS_BENCH_LARGE_SECONDS, as a small model would be praised for being small. NULL for others.
 */
const char *tfs_bench_seconds_grade(double baseline, double seconds);
enum { TFS_BENCH_LARGE_SECONDS = 30 };

/* The middle one of @n > 0, or the mean of the middle two; doesn't reorder them. */
double tfs_bench_median(const double *values, unsigned n);

/* How much of @before @after saves, in percent; negative if it takes longer. 0 if @before is 0. */
double tfs_bench_saved(double before, double after);

/* For a terminal, or a file, @width columns wide. */
void tfs_bench_print_text(FILE *f, const struct tfs_bench_result *r, unsigned width, bool utf8);

/* One object. 0 or -ENOMEM, -EIO. */
int tfs_bench_print_json(FILE *f, const struct tfs_bench_result *r);

#endif
