/* SPDX-License-Identifier: MIT */
#include "mount/ending.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "mount/keeper.h"
#include "mount/mountpoint.h"

/* For reads in flight to end, at 4 MiB each: all that is waited for. */
enum { GRACE = 5 };

enum { OPENER, KEEPER, KEEPER_OF_ORIGINALS, STARTER, HELPERS };

/* One session in a process, as there is one set of handlers. */
static struct {
	struct tfs_fs *fs;
	pthread_t thread;
	bool running;
	int event;		      /* eventfd(2): something below has changed */
	int abort;		      /* the connection's file for that; -1: none */
	_Atomic int sockets[HELPERS]; /* which hang up when theirs has ended; -1: it has, or there is none */
	_Atomic int signals, signal;
	_Atomic bool begun, unmounted, over, said;
} ending;

/* From a signal handler, too. */
static void tell(void)
{
	const uint64_t one = 1;

	if (write(ending.event, &one, sizeof one) < 0) /* there are 2^64 of them already */
		return;
}

static void on_signal(int signal)
{
	const int saved = errno;
	int none = 0;

	atomic_compare_exchange_strong(&ending.signal, &none, signal);
	ending.signals++;
	ending.begun = true;
	if (!ending.over) /* otherwise it is being taken apart */
		fuse_session_exit(ending.fs->session);
	tell();
	errno = saved;
}

int tfs_ending_init(struct tfs_fs *fs)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
	struct sigaction action = { .sa_handler = on_signal }, before;

	ending.fs = fs;
	ending.abort = -1;
	for (unsigned i = 0; i < HELPERS; i++)
		ending.sockets[i] = -1;
	ending.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ending.event < 0)
		return -errno;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		/* What was ignored, as by nohup(1), goes on being. */
		if (!sigaction(signals[i], NULL, &before) && before.sa_handler == SIG_IGN)
			continue;
		if (sigaction(signals[i], &action, NULL))
			return -errno;
	}
	return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -errno : 0;
}

/* Our mount, and not what was below it, or has been mounted on it since. */
static bool is_mounted(const struct tfs_fs *fs)
{
	const struct tfs_mounted m = tfs_mounted_at(fs->mountpoint);

	return fs->device && m.id && m.device == fs->device;
}

bool tfs_ending_unmount(struct tfs_fs *fs)
{
	if (ending.unmounted || tfs_keeper_unmount(&fs->keeper) != -EPIPE || tfs_keeper_unmount(&fs->originals.keeper) != -EPIPE ||
	    !is_mounted(fs))
		return true;
	if (!atomic_exchange(&ending.said, true))
		tfs_log_error("%s stays mounted, as nobody is left who unmounts it: use umount -l, or fusermount3 -uz",
			      fs->mountpoint);
	return false;
}

/*
 * Whoever mounted another program's descriptor unmounts it. Without a signal somebody has unmounted ours already, and what is mounted there
 * now may have its device number.
 */
static void unmount(struct tfs_fs *fs)
{
	if (!ending.signals || tfs_mountpoint_fd(fs->mountpoint) >= 0 || !is_mounted(fs))
		return;
	tfs_ending_unmount(fs);
	ending.unmounted = !is_mounted(fs);
}

void tfs_ending_mounted(struct tfs_fs *fs)
{
	ending.abort = tfs_keeper_abort_file(&fs->keeper);
}

/*
 * End all requests of the session's users (Linux's Documentation/filesystems/fuse). Otherwise closing its descriptor does that, unless a
 * thread that hangs has it in use, as over io_uring.
 */
static void cut(struct tfs_fs *fs)
{
	if (ending.abort >= 0 && write(ending.abort, "1", 1) == 1)
		return;
	/* They have it open, too. */
	tfs_helper_dismiss(&fs->keeper);
	tfs_helper_dismiss(&fs->originals.keeper);
	close(fuse_session_fd(fs->session));
}

/*
 * Helper @i has ended before us: it was killed, or ran out of memory. It had rights that nobody here has, so another one can only be had
 * with another daemon, which is started if this one is killed.
 */
static void on_helper_end(struct tfs_fs *fs, unsigned i)
{
	static const char *const names[HELPERS] = { "opener", "keeper", "keeper of originals", "starter" };
	static const char *const lost[HELPERS] = {
		[OPENER] = ": files that the daemon's user may not read can't be opened any more",
		[KEEPER_OF_ORIGINALS] = ": originals that are opened from now on are read by the daemon",
		[STARTER] = ": tensorfs-fetch can't be started again",
	};

	ending.sockets[i] = -1;
	if (ending.begun || ending.over)
		return;
	tfs_log_error("the %s has ended%s", names[i],
		      fs->options->restart ? ", so the daemon is started again" :
		      lost[i]		   ? lost[i] :
					     "");
	if (fs->options->restart)
		raise(SIGKILL);
	if (i == KEEPER)
		tfs_stop_passthrough(fs, "the process that registers backing files has ended");
	if ((i == KEEPER || i == KEEPER_OF_ORIGINALS) && ending.sockets[KEEPER] < 0 && ending.sockets[KEEPER_OF_ORIGINALS] < 0)
		tfs_log_error("nobody is left who unmounts %s at a signal: use umount -l, or fusermount3 -uz", fs->mountpoint);
}

/* Until something has changed, or it is @deadline, in seconds of tfs_now(). */
static void wait_for_event(double deadline)
{
	struct pollfd polled[HELPERS + 1] = { [HELPERS] = { .fd = ending.event, .events = POLLIN } };
	const double left = deadline - tfs_now();
	uint64_t n;

	for (unsigned i = 0; i < HELPERS; i++)
		polled[i].fd = ending.sockets[i];
	poll(polled, HELPERS + 1, deadline == INFINITY ? -1 : left > 0 ? (int)(left * 1e3) + 1 : 0);
	for (unsigned i = 0; i < HELPERS; i++)
		if (polled[i].revents)
			on_helper_end(ending.fs, i);
	if (read(ending.event, &n, sizeof n) < 0) /* nothing has */
		return;
}

static void *watch(void *arg)
{
	struct tfs_fs *fs = arg;

	while (!ending.begun && !ending.over)
		wait_for_event(INFINITY);
	if (ending.over)
		return NULL;
	const double deadline = tfs_now() + GRACE;
	unmount(fs);
	while (!ending.over && ending.signals < 2 && tfs_now() < deadline)
		wait_for_event(deadline);
	if (ending.over)
		return NULL;
	tfs_log_warning("exiting without waiting any longer for storage, which doesn't answer");
	unmount(fs);
	cut(fs);
	_exit(0);
}

void tfs_ending_watch_helpers(const struct tfs_fs *fs)
{
	ending.sockets[OPENER] = fs->opener.socket;
	ending.sockets[KEEPER] = fs->keeper.socket;
	ending.sockets[KEEPER_OF_ORIGINALS] = fs->originals.keeper.socket;
	ending.sockets[STARTER] = fs->starter.socket;
	tell();
}

int tfs_ending_start(struct tfs_fs *fs)
{
	int r = tfs_thread_start(&ending.thread, "tfs-end", watch, fs);

	ending.running = !r;
	return r;
}

void tfs_ending_begun(void)
{
	if (!atomic_exchange(&ending.begun, true))
		tell();
}

int tfs_ending_signal(void)
{
	return ending.signal;
}

void tfs_ending_over(void)
{
	ending.over = true;
	tell();
	if (ending.running)
		pthread_join(ending.thread, NULL);
	ending.running = false;
}
