/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/figures.h"
#include "cli/report/impl.h"
#include "cli/terminal.h"
#include "config.h"

/* Colours that are told apart with any kind of sight (Okabe and Ito), for dtypes in the order of their bytes. */
static const char *const palette[] = { "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999" };
enum { COLOURS = sizeof palette / sizeof *palette };

struct dtypes {
	const char *names[COLOURS]; /* the last colour is for all others, too */
	uint64_t bytes[COLOURS];
	size_t n;
};

static void put_html(const char *text)
{
	cleanup_free char *safe = tfs_safe(text, strlen(text), "");

	for (const char *s = safe ? safe : ""; *s; s++) {
		switch (*s) {
		case '&':
			fputs("&amp;", stdout);
			break;
		case '<':
			fputs("&lt;", stdout);
			break;
		case '>':
			fputs("&gt;", stdout);
			break;
		case '"':
			fputs("&quot;", stdout);
			break;
		default:
			putchar(*s);
		}
	}
}

/* --- Colours -------------------------------------------------------------------------------------------------------------- */

static size_t colour_of(const struct dtypes *d, const char *name)
{
	size_t i = 0;

	while (i + 1 < d->n && strcmp(d->names[i], name) != 0)
		i++;
	return i;
}

/* The groups are the largest first, so dtypes are nearly in that order, too. */
static void find_dtypes(const struct tfs_report *r, struct dtypes *d)
{
	for (size_t g = 0; g < r->n; g++) {
		const struct tfs_report_group *group = &r->groups[g];
		size_t i = 0;

		if (group->computed)
			continue;
		while (i < d->n && i + 1 < COLOURS && strcmp(d->names[i], group->dtype) != 0)
			i++;
		if (i == d->n)
			d->names[d->n++] = group->dtype;
		else if (strcmp(d->names[i], group->dtype) != 0)
			d->names[i] = "others";
		d->bytes[i] += group->bytes;
	}
}

/* --- The map -------------------------------------------------------------------------------------------------------------- */

enum { MAP_WIDTH = 1000, MAP_HEIGHT = 420 };

static void put_rectangle(const struct tfs_report_group *g, const struct tfs_rectangle *at, const struct dtypes *d)
{
	char bytes[TFS_FIGURES_BYTES];
	const size_t room = at->width > 20 ? (size_t)((at->width - 8) / 6.2) : 0, len = strlen(g->name);

	printf("<g><title>");
	put_html(g->name);
	printf("\n%zu tensor%s, ", g->n, g->n == 1 ? "" : "s");
	put_html(g->dtype);
	printf(", %s</title><rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"/>",
	       tfs_figures_bytes(bytes, (double)g->bytes), at->x, at->y, at->width, at->height, palette[colour_of(d, g->dtype)]);
	/* The end of a name says most. */
	if (room >= 8 && at->height > 16) {
		const char *text = g->name;
		const bool cut = len > room;

		for (size_t drop = cut ? len - room + 1 : 0; drop || (*text & 0xc0) == 0x80; drop -= drop > 0)
			text++;
		printf("<text x=\"%.2f\" y=\"%.2f\">%s", at->x + 4, at->y + 13, cut ? "\u2026" : "");
		put_html(text);
		fputs("</text>", stdout);
	}
	puts("</g>");
}

static int put_map(const struct tfs_report *r, const struct dtypes *d)
{
	cleanup_free double *areas = calloc(r->n + 1, sizeof *areas);
	cleanup_free struct tfs_rectangle *rectangles = calloc(r->n + 1, sizeof *rectangles);
	const struct tfs_rectangle room = { 0, 0, MAP_WIDTH, MAP_HEIGHT };
	size_t n = 0;

	if (!areas || !rectangles)
		return -ENOMEM;
	for (; n < r->n && r->groups[n].bytes; n++)
		areas[n] = (double)r->groups[n].bytes / (double)r->bytes * MAP_WIDTH * MAP_HEIGHT;
	tfs_treemap(areas, n, room, rectangles);
	printf("<svg class=\"map\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"tensors by size\">\n", MAP_WIDTH, MAP_HEIGHT);
	for (size_t i = 0; i < n; i++)
		put_rectangle(&r->groups[i], &rectangles[i], d);
	puts("</svg>\n<p class=\"legend\">");
	for (size_t i = 0; i < d->n; i++) {
		char bytes[TFS_FIGURES_BYTES];

		printf("<span><i style=\"background:%s\"></i>", palette[i]);
		put_html(d->names[i]);
		printf(" %s</span>\n", tfs_figures_bytes(bytes, (double)d->bytes[i]));
	}
	puts("</p>");
	return 0;
}

/* --- The table ------------------------------------------------------------------------------------------------------------ */

static void put_shape(const struct tfs_report *r, const struct tfs_report_group *g)
{
	const struct tfs_tensor *first = tfs_item_tensor(r->arg.model, r->items.items[g->first]);

	for (size_t i = g->first; i < g->first + g->n; i++) {
		if (tfs_item_tensor(r->arg.model, r->items.items[i])->ndim != first->ndim) {
			fputs("[\u2026]", stdout);
			return;
		}
	}
	putchar('[');
	for (unsigned k = 0; k < first->ndim; k++) {
		bool same = true;

		for (size_t i = g->first; i < g->first + g->n; i++)
			same &= tfs_item_tensor(r->arg.model, r->items.items[i])->shape[k] == first->shape[k];
		if (same)
			printf("%s%" PRIu64, k ? ", " : "", first->shape[k]);
		else
			fputs(k ? ", *" : "*", stdout);
	}
	putchar(']');
}

static void put_histogram(const struct tfs_report_group *g)
{
	enum { WIDTH = 4, HEIGHT = 24 };
	uint64_t most = 0;

	for (int i = 0; i < TFS_REPORT_BINS; i++)
		most = g->counts[i] > most ? g->counts[i] : most;
	if (!most)
		return;
	printf("<svg class=\"histogram\" viewBox=\"0 0 %d %d\" role=\"img\"><title>from %.4Lg to %.4Lg</title><path d=\"",
	       WIDTH * TFS_REPORT_BINS, HEIGHT, g->moments.min, g->moments.max);
	for (int i = 0; i < TFS_REPORT_BINS; i++) {
		const double height = HEIGHT * ((double)g->counts[i] / (double)most);

		/* What is there can be seen. */
		if (g->counts[i])
			printf("M%d %dh%dv-%.2fh-%dz", WIDTH * i, HEIGHT, WIDTH - 1, height < 0.5 ? 0.5 : height, WIDTH - 1);
	}
	fputs("\"/></svg>", stdout);
}

static void put_values(const struct tfs_report_group *g)
{
	const struct tfs_moments *m = &g->moments;

	if (!tfs_moments_finite(m)) {
		fputs("<td></td><td></td><td></td><td></td>", stdout);
	} else {
		printf("<td>%.4Lg</td><td>%.4Lg</td><td>%.4Lg</td><td>%.4g</td>", m->min, m->max, m->mean,
		       tfs_moments_deviation(m));
	}
	printf("<td>");
	if (m->n && m->zeros)
		printf("%.2g\u202f%%", 100 * (double)m->zeros / (double)m->n);
	printf("</td><td%s>", m->nan || m->inf || m->neg_inf ? " class=\"bad\"" : "");
	if (m->nan)
		printf("%" PRIu64 " NaN ", m->nan);
	if (m->inf || m->neg_inf)
		printf("%" PRIu64 " inf", m->inf + m->neg_inf);
	printf("</td><td>");
	put_histogram(g);
	fputs("</td>", stdout);
}

static void put_row(const struct tfs_report *r, const struct tfs_report_group *g, const struct dtypes *d)
{
	const double share = r->bytes ? 100 * (double)g->bytes / (double)r->bytes : 0;
	char text[TFS_FIGURES_BYTES];

	fputs("<tr><th scope=\"row\">", stdout);
	put_html(g->name);
	printf("</th><td>%zu</td><td class=\"left\">", g->n);
	if (!g->computed)
		printf("<i style=\"background:%s\"></i>", palette[colour_of(d, g->dtype)]);
	put_html(g->dtype);
	fputs("</td><td class=\"left\">", stdout);
	put_shape(r, g);
	printf("</td><td>%s</td>", tfs_figures_count(text, (double)g->elements));
	if (g->computed)
		fputs("<td></td><td></td>", stdout);
	else
		printf("<td>%s</td><td>%.1f\u202f%%</td>", tfs_figures_bytes(text, (double)g->bytes), share);
	put_values(g);
	puts("</tr>");
}

/* --- The page ------------------------------------------------------------------------------------------------------------- */

static const char style[] =
	"body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;padding:0 1em;max-width:1400px;color:#222;background:#fff}"
	"h1{font-size:1.5em;overflow-wrap:anywhere}svg.map{width:100%;height:auto}"
	"svg.map rect{stroke:#fff;stroke-width:1}svg.map text{font-size:11px;fill:#fff;paint-order:stroke;stroke:#0006;"
	"stroke-width:2px}.legend span{margin-right:1.5em;white-space:nowrap}"
	"i{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px}"
	".wide{overflow-x:auto}table{border-collapse:collapse;white-space:nowrap}"
	"th,td{padding:.15em .6em;border-bottom:1px solid #ddd;text-align:right;font-variant-numeric:tabular-nums}"
	"thead th{position:sticky;top:0;background:#fff}th[scope=row],.left,thead th:first-child{text-align:left;"
	"font-weight:normal}.bad{color:#c00;font-weight:bold}svg.histogram{width:160px;height:24px;vertical-align:middle}"
	"svg.histogram path{fill:#0072b2}footer{margin-top:2em;color:#666}";

int tfs_report_print(const struct tfs_report *r)
{
	static const char *const heads[] = { "name", "tensors", "dtype", "shape", "elements", "bytes", "share",
					     "min",  "max",	"mean",	 "std",	  "zero",     "",      "values" };
	char count[TFS_FIGURES_BYTES], bytes[TFS_FIGURES_BYTES];
	struct dtypes d = { .n = 0 };

	find_dtypes(r, &d);
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
	      stdout);
	put_html(r->path);
	printf("</title>\n<style>%s</style>\n</head>\n<body>\n<h1>", style);
	put_html(r->path);
	printf("</h1>\n<p>%" PRIu64 " tensor%s, %s parameter%s, %s</p>\n", r->tensors, r->tensors == 1 ? "" : "s",
	       tfs_figures_count(count, (double)r->elements), r->elements == 1 ? "" : "s",
	       tfs_figures_bytes(bytes, (double)r->bytes));
	int code = put_map(r, &d);
	if (code)
		return code;
	fputs("<div class=\"wide\"><table>\n<thead><tr>", stdout);
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
		printf("<th scope=\"col\">%s</th>", heads[i]);
	puts("</tr></thead>\n<tbody>");
	for (size_t i = 0; i < r->n; i++)
		put_row(r, &r->groups[i], &d);
	printf("</tbody>\n</table></div>\n<footer>tensorfs %s</footer>\n</body>\n</html>\n", TFS_VERSION);
	return 0;
}
