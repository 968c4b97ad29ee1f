/* SPDX-License-Identifier: MIT */
#include "mount/starter.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/log.h"
#include "mount/sandbox.h"

/* KILL, END: flags is the process. */
enum { START, KILL, END };

/* What there is of a fetcher that didn't end by itself, should the helper be gone that could tell. */
enum { STATUS_KILLED = SIGKILL };

/* --- The helper -------------------------------------------------------------------------------------------------------- */

/* Answers with the process, and if there is none with why. */
static void start(const int fds[2], pid_t *fetcher, struct tfs_message *ret)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };

	*fetcher = 0;
	ret->what = tfs_spawn_fetcher(fds[0], fds[1], fetcher, &err);
	if (ret->what)
		tfs_message_text(ret, err.what);
	else
		ret->what = *fetcher;
}

static void answer(int socket, const struct tfs_message *m, const int *fds, unsigned n, pid_t *fetcher)
{
	struct tfs_message a = { .what = -EINVAL };

	if (m->what == START && n == 2 && !*fetcher) {
		start(fds, fetcher, &a);
	} else if (*fetcher && m->flags == *fetcher && m->what == KILL) {
		tfs_spawn_kill(*fetcher);
		a.what = 0;
	} else if (*fetcher && m->flags == *fetcher && m->what == END) {
		a.what = tfs_spawn_end(*fetcher);
		*fetcher = 0;
	}
	tfs_helper_answer(socket, &a, -1);
}

static void serve(int socket, void *arg)
{
	struct tfs_message m;
	int fds[TFS_HELPER_FDS];
	unsigned n;
	pid_t fetcher = 0; /* 0: none runs */

	(void)arg;
	if (!tfs_log_enabled(TFS_LOG_DEBUG)) /* what a fetcher says is for whoever wants that much */
		tfs_helper_quiet();
	tfs_keep_caps(TFS_CAP(CAP_KILL), TFS_CAP(CAP_SETUID) | TFS_CAP(CAP_SETGID));
	while (tfs_helper_next(socket, &m, fds, 2, &n)) {
		answer(socket, &m, fds, n, &fetcher);
		while (n)
			close(fds[--n]);
	}
	if (fetcher) /* the daemon was killed, and it may be stopped */
		tfs_spawn_end(fetcher);
}

/* --- The daemon -------------------------------------------------------------------------------------------------------- */

static int ask_start(void *helper, int socket, int memory, pid_t *ret_pid, struct tfs_error *err)
{
	struct tfs_message m = { .what = START };
	int r = tfs_helper_ask_with(helper, &m, (int[]){ socket, memory }, 2);

	if (r > 0) {
		*ret_pid = r;
		return 0;
	}
	return tfs_error_set(err, r ? r : -EPROTO, TFS_NO_OFFSET, "%s",
			     r < 0 && tfs_message_path(&m) ? m.data.text : "the process that starts tensorfs-fetch has ended");
}

static void ask_kill(void *helper, pid_t pid)
{
	struct tfs_message m = { .what = KILL, .flags = pid };

	tfs_helper_ask(helper, &m, -1, NULL);
}

static int ask_end(void *helper, pid_t pid)
{
	struct tfs_message m = { .what = END, .flags = pid };
	int r = tfs_helper_ask(helper, &m, -1, NULL);
	return r < 0 ? STATUS_KILLED : r;
}

int tfs_starter_start(struct tfs_helper *h, struct tfs_spawner *ret_spawner)
{
	const int kept[] = { -1 };

	*ret_spawner = (struct tfs_spawner){ .start = ask_start, .kill = ask_kill, .end = ask_end, .arg = h };
	return tfs_helper_start(h, "starter", kept, serve, NULL);
}
