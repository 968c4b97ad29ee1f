/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/figures.h"
#include "cli/terminal.h"

/* Often enough to look alive; drawing must not affect what is measured. */
#define REDRAW_SECONDS 0.1

#define LATER_SECONDS 0.3

/* Before this, there's nothing to extrapolate from. */
#define ETA_SECONDS 1.0

enum { LABEL_WIDTH = 16, BAR_MAX = 40, FIGURES_WIDTH = 56 };

void tfs_progress_init(struct tfs_progress *p, bool lines)
{
	const struct tfs_terminal t = tfs_terminal_of(STDERR_FILENO);

	*p = (struct tfs_progress){ .terminal = t.is, .utf8 = t.utf8, .lines = lines };
	pthread_mutex_init(&p->drawing, NULL);
}

void tfs_progress_begin(struct tfs_progress *p, const char *step, unsigned run, unsigned runs, uint64_t total)
{
	char bytes[TFS_FIGURES_BYTES];

	snprintf(p->label, sizeof p->label, "%s", step);
	if (runs > 1)
		snprintf(p->label, sizeof p->label, "%s %u/%u", step, run, runs);
	p->total = total;
	p->done = 0;
	p->begun = tfs_now();
	/* A step that is over at once isn't worth a line that appears and disappears. */
	p->drawn = p->lines ? 0 : p->begun + LATER_SECONDS;
	if (p->terminal)
		tfs_progress_show(p, 0);
	else if (total && p->lines)
		fprintf(stderr, "%s: %s\n", p->label, tfs_figures_bytes(bytes, (double)total));
}

/* "  12:34 left", or nothing if that can't be told yet. */
static void put_eta(const struct tfs_progress *p, uint64_t done, double passed)
{
	if (passed < ETA_SECONDS || !done || done > p->total)
		return;
	const double left = (double)(p->total - done) * passed / (double)done;
	const uint64_t s = (uint64_t)(left + 0.5);
	if (left >= 3600)
		fprintf(stderr, "  %u:%02u h left", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else
		fprintf(stderr, "  %u:%02u left", (unsigned)(s / 60), (unsigned)(s % 60));
}

static void draw(struct tfs_progress *p, uint64_t done, double now)
{
	const double passed = now - p->begun, share = (double)done / (double)p->total;
	char bar[4 * BAR_MAX + 1], is[TFS_FIGURES_BYTES], of[TFS_FIGURES_BYTES], rate[TFS_FIGURES_BYTES];

	p->drawn = now;
	/* A line that wraps couldn't be redrawn. */
	const int columns = (int)tfs_terminal_width(STDERR_FILENO);
	int room = columns - LABEL_WIDTH - FIGURES_WIDTH;
	room = room > BAR_MAX ? BAR_MAX : room < 0 ? 0 : room;
	unsigned drawn = tfs_figures_bar(bar, (unsigned)room, share, p->utf8);
	fprintf(stderr, "\r%-*.*s%s%*s", LABEL_WIDTH, LABEL_WIDTH, p->label, bar, room - (int)drawn, "");
	if (columns > LABEL_WIDTH + FIGURES_WIDTH) {
		fprintf(stderr, " %3.0f %%  %s of %s  %s/s", share * 100, tfs_figures_bytes(is, (double)done),
			tfs_figures_bytes(of, (double)p->total), tfs_figures_bytes(rate, passed > 0 ? (double)done / passed : 0));
		put_eta(p, done, passed);
	}
	fputs("\033[K", stderr);
}

void tfs_progress_show(struct tfs_progress *p, uint64_t done)
{
	const double now = tfs_now();

	if (!p->terminal || !p->total || now - p->drawn < REDRAW_SECONDS)
		return;
	draw(p, done, now);
}

void tfs_progress_add(struct tfs_progress *p, uint64_t more)
{
	const uint64_t done = atomic_fetch_add(&p->done, more) + more;

	if (!p->terminal || pthread_mutex_trylock(&p->drawing))
		return; /* somebody else is drawing */
	tfs_progress_show(p, done);
	pthread_mutex_unlock(&p->drawing);
}

void tfs_progress_end(struct tfs_progress *p, double seconds)
{
	char rate[TFS_FIGURES_BYTES];

	if (p->terminal)
		fputs("\r\033[K", stderr);
	if (seconds < 0 || !p->lines)
		return;
	if (p->terminal)
		fprintf(stderr, "%-*s%.3f s", LABEL_WIDTH, p->label, seconds);
	else
		fprintf(stderr, "%s: %.3f s", p->label, seconds);
	if (p->total && seconds > 0)
		fprintf(stderr, ", %s/s", tfs_figures_bytes(rate, (double)p->total / seconds));
	fputc('\n', stderr);
}
