/* SPDX-License-Identifier: MIT */
/* tensorfs status: the mounts of this machine. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mask.h"
#include "cli/commands.h"
#include "cli/figures.h"
#include "cli/mounts.h"
#include "cli/output.h"
#include "cli/table.h"

enum { OPT_JSON = 256 };

static const struct tfs_option status_options[] = {
	{ OPT_JSON, "json", NULL, "for programs: JSON, with all of each mount's .tensorfs/stats.json" },
	{ 0 },
};

struct status {
	struct tfs_table table;
	json_t *json;
	bool failed; /* some mount doesn't answer */
};

static double number(const json_t *stats, const char *key)
{
	return (double)json_integer_value(json_object_get(stats, key));
}

static void add_row(struct tfs_table *t, const struct tfs_mount *m, const json_t *stats, int why)
{
	const char *serving = json_string_value(json_object_get(stats, "serving"));
	const char *model = json_string_value(json_object_get(stats, "model"));
	const double rate = number(stats, "bandwidth_bytes_per_second");
	char used[TFS_FIGURES_BYTES];

	tfs_table_add(t, m->dir);
	tfs_table_add(t, model ? model : m->source);
	if (!stats) {
		tfs_table_addf(t, "%s", why == -ETIMEDOUT ? "doesn't answer" : strerror(-why));
		for (int i = 0; i < 4; i++)
			tfs_table_add(t, "");
		return;
	}
	tfs_table_add(t, serving ? serving : "");
	tfs_table_addf(t, "%.0f/%.0f", number(stats, "resident_tensors"), number(stats, "tensors"));
	tfs_table_add(t, tfs_figures_bytes(used, number(stats, "memory_used_bytes")));
	if (rate > 0)
		tfs_table_addf(t, "%s/s", tfs_figures_bytes(used, rate));
	else
		tfs_table_add(t, "-");
	tfs_table_addf(t, "%.0f", number(stats, "errors"));
}

static void add(struct status *s, const struct tfs_mount *m)
{
	int why = 0;
	json_t *stats = tfs_mount_stats(m, &why);

	s->failed |= !stats;
	if (s->json)
		json_array_append_new(s->json,
				      json_pack("{s:o, s:o, s:o, s:o}", "mountpoint", tfs_json_text(m->dir), "source",
						tfs_json_text(m->source), "stats", stats ? json_incref(stats) : json_null(),
						"error", stats ? json_null() : tfs_json_text(strerror(-why))));
	else
		add_row(&s->table, m, stats, why);
	json_decref(stats);
}

/* The named ones, or all. */
static int add_all(struct status *s, const struct tfs_mounts *mounts, char **dirs, int n)
{
	char shown[TFS_MASKED];
	int result = 0;

	for (size_t i = 0; !n && i < mounts->n; i++)
		add(s, &mounts->all[i]);
	for (int i = 0; i < n; i++) {
		const struct tfs_mount *m = tfs_mounts_find(mounts, dirs[i]);

		if (m) {
			add(s, m);
		} else {
			tfs_log_error("%s: no tensorfs mount", tfs_mask_url(dirs[i], shown, sizeof shown));
			result = -ENOENT;
		}
	}
	return result;
}

static int status_main(int argc, char **argv)
{
	static const char *const heads[] = { "mountpoint", "model", "serving", "resident", "memory", "rate", "errors" };
	const size_t n_heads = sizeof heads / sizeof *heads;
	struct status s = { .table = { .columns = "BBErrrr" } };
	struct tfs_mounts mounts;
	bool json = false;
	int first;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_status_command, argc, argv, tfs_option_flag, &json, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	if (tfs_mounts_list(&mounts))
		return TFS_EXIT_USAGE;
	const struct tfs_terminal terminal = tfs_terminal_of(STDOUT_FILENO);
	s.json = json ? json_array() : NULL;
	for (size_t i = 0; i < n_heads; i++)
		tfs_table_add(&s.table, heads[i]);
	int r = add_all(&s, &mounts, argv + first, argc - first);
	int printed = json ? tfs_json_print(s.json) : s.table.n > n_heads ? tfs_table_print(&s.table, &terminal, true) : 0;
	printed = printed ? printed : tfs_command_flush();
	json_decref(s.json);
	tfs_table_fini(&s.table);
	tfs_mounts_fini(&mounts);
	return printed ? TFS_EXIT_USAGE : r || s.failed ? TFS_EXIT_FAILED : TFS_EXIT_OK;
}

const struct tfs_command tfs_status_command = {
	.name = "tensorfs status",
	.summary = "list this machine's tensorfs mounts",
	.operands = "[MOUNTPOINT...]",
	.max_operands = INT_MAX,
	.about =
		"List the tensorfs mounts that this process sees, or those that are named: what is mounted, how it is served, how much of it "
		"is in memory, and how fast storage was.",
	.status =
		"Exit status: 0 listed, 1 one doesn't answer or isn't a mount, 2 failed, or a usage error. See tensorfs-status(1).",
	.tables = { status_options },
	.run = status_main,
};
