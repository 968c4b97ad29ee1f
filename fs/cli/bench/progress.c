/* SPDX-License-Identifier: MIT */
#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/bench/impl.h"
#include "cli/figures.h"

/* Often enough to look alive; drawing must not affect the measurement. */
#define REDRAW_SECONDS 0.1

enum { LABEL_WIDTH = 16, BAR_MAX = 40, FIGURES_WIDTH = 44 };

void tfs_bench_progress_init(struct tfs_bench_progress *p)
{
	const char *term = getenv("TERM");

	*p = (struct tfs_bench_progress){ .terminal = isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb")) };
	p->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
}

void tfs_bench_progress_begin(struct tfs_bench_progress *p, const char *step, unsigned run, unsigned runs, uint64_t total)
{
	char bytes[TFS_FIGURES_BYTES];

	snprintf(p->label, sizeof p->label, "%s", step);
	if (runs > 1)
		snprintf(p->label, sizeof p->label, "%s %u/%u", step, run, runs);
	p->total = total;
	p->begun = tfs_now();
	p->drawn = 0;
	if (p->terminal)
		tfs_bench_progress_show(p, 0);
	else if (total)
		fprintf(stderr, "%s: %s\n", p->label, tfs_figures_bytes(bytes, (double)total));
}

void tfs_bench_progress_show(struct tfs_bench_progress *p, uint64_t done)
{
	double now = tfs_now(), passed = now - p->begun;
	double share = p->total ? (double)done / (double)p->total : 0;
	char bar[4 * BAR_MAX + 1], is[TFS_FIGURES_BYTES], of[TFS_FIGURES_BYTES], rate[TFS_FIGURES_BYTES];
	struct winsize w = { 0 };

	if (!p->terminal || !p->total || now - p->drawn < REDRAW_SECONDS)
		return;
	p->drawn = now;
	/* A line that wraps couldn't be redrawn. */
	int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) || !w.ws_col ? 80 : w.ws_col;
	int room = columns - LABEL_WIDTH - FIGURES_WIDTH;
	room = room > BAR_MAX ? BAR_MAX : room < 0 ? 0 : room;
	unsigned drawn = tfs_figures_bar(bar, (unsigned)room, share, p->utf8);
	fprintf(stderr, "\r%-*.*s%s%*s", LABEL_WIDTH, LABEL_WIDTH, p->label, bar, room - (int)drawn, "");
	if (columns > LABEL_WIDTH + FIGURES_WIDTH)
		fprintf(stderr, " %3.0f %%  %s of %s  %s/s", share * 100, tfs_figures_bytes(is, (double)done),
			tfs_figures_bytes(of, (double)p->total), tfs_figures_bytes(rate, passed > 0 ? (double)done / passed : 0));
	fputs("\033[K", stderr);
}

void tfs_bench_progress_end(struct tfs_bench_progress *p, double seconds)
{
	char rate[TFS_FIGURES_BYTES];

	if (p->terminal)
		fputs("\r\033[K", stderr);
	if (seconds < 0)
		return;
	if (p->terminal)
		fprintf(stderr, "%-*s%.3f s", LABEL_WIDTH, p->label, seconds);
	else
		fprintf(stderr, "%s: %.3f s", p->label, seconds);
	if (p->total && seconds > 0)
		fprintf(stderr, ", %s/s", tfs_figures_bytes(rate, (double)p->total / seconds));
	fputc('\n', stderr);
}
