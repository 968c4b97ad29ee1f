/* SPDX-License-Identifier: MIT */
#include "mount/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "model/inside.h"
#include "mount/keeper.h"
#include "mount/notify.h"
#include "mount/opener.h"
#include "mount/privileges.h"
#include "mount/sandbox.h"
#include "mount/starter.h"
#include "remote/cache.h"
#include "remote/hub.h"
#include "remote/options.h"

static bool is_remote(const struct tfs_fs *fs)
{
	return tfs_storage_is_remote(fs->options->model_dir);
}

/* --- The user ---------------------------------------------------------------------------------------------------------- */

/* Without --user: the first of these that exists, else the number that Linux gives to who has no other (fs.overflowuid). */
static const char *const users[] = { "tensorfs", "nobody" };
enum { NOBODY = 65534 };

static bool find_name(const char *name, struct tfs_user *ret)
{
	const struct passwd *p = getpwnam(name);

	if (p)
		*ret = (struct tfs_user){ p->pw_uid, p->pw_gid };
	return p;
}

/* A name, UID, or UID:GID. */
static bool find_given(const char *given, struct tfs_user *ret)
{
	unsigned uid, gid;
	int end = 0;

	if (find_name(given, ret))
		return true;
	if (sscanf(given, "%9u%n:%9u%n", &uid, &end, &gid, &end) < 1 || given[end] || strspn(given, "0123456789:") != strlen(given))
		return false;
	*ret = (struct tfs_user){ uid, strchr(given, ':') ? gid : uid };
	return true;
}

static int choose_user(struct tfs_fs *fs)
{
	const char *given = fs->options->user;
	const bool root = !geteuid();

	fs->user = (struct tfs_user){ geteuid(), getegid() };
	/* Its cache is the user's who mounts it. */
	if (is_remote(fs)) {
		if (given)
			tfs_log_error("--user: not with a remote model");
		return given ? -EOPNOTSUPP : 0;
	}
	if (given && !find_given(given, &fs->user)) {
		tfs_log_error("--user=%s: no such user", given);
		return -ENOENT;
	}
	if (given && !root && fs->user.uid != geteuid()) {
		tfs_log_error("--user=%s: only root can become another user", given);
		return -EPERM;
	}
	if (given || !root)
		return 0;
	fs->user = (struct tfs_user){ NOBODY, NOBODY };
	for (unsigned i = 0; i < sizeof users / sizeof *users; i++)
		if (find_name(users[i], &fs->user))
			break;
	return 0;
}

/* --- What takes rights ------------------------------------------------------------------------------------------------- */

static int open_list(struct tfs_fs *fs)
{
	const char *path = fs->options->prefetch_list;

	if (!path)
		return 0;
	fs->list_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* not to wait for who writes to a pipe */
	if (fs->list_fd >= 0)
		return 0;
	int r = -errno;
	tfs_log_error("--prefetch-list: %s: %s", path, strerror(-r));
	return r;
}

/* Will the kernel serve files for us? Decided here, as it takes rights to try. */
static int open_store(struct tfs_fs *fs)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE];

	if (fs->options->passthrough == TFS_OFF)
		fs->streamed_because = "--passthrough=off";
	else
		fs->streamed_because = tfs_passthrough_lacks(fs->lacks, sizeof fs->lacks);
	if (!fs->streamed_because && tfs_store_open_for(fs->options->loader.memory, fs->user.uid, fs->user.gid, &fs->store, &err)) {
		/* Privileged, but only in a container's user namespace, for example. */
		tfs_log_info("no passthrough: %s", tfs_error_line(&err, line, sizeof line));
		fs->streamed_because = "no private tmpfs for backing files";
	}
	fs->passthrough = !fs->streamed_because;
	if (fs->options->passthrough == TFS_ON && fs->streamed_because) {
		tfs_log_error("--passthrough=on: %s", fs->streamed_because);
		return -EPERM;
	}
	return 0;
}

static int open_model(struct tfs_fs *fs, const char **ret_given)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE + PATH_MAX];
	int r = is_remote(fs) ? 0 : tfs_storage_open_ahead(fs->options->model_dir, &fs->storage, ret_given, &err);

	if (r)
		tfs_log_error("%s", tfs_model_error_line(fs->options->model_dir, &err, line, sizeof line));
	return r;
}

static void *end_thread(void *arg)
{
	pthread_exit(arg);
}

/* What glibc loads when it is first needed: the unwinder, for a thread that is cancelled; the time zone, for the system log. */
static void load_libraries(void)
{
	pthread_t t;

	if (!pthread_create(&t, NULL, end_thread, NULL))
		pthread_join(t, NULL);
	tzset();
}

/* To leave SCHED_IDLE for the nice value that we have: see placement.h. */
static void raise_nice(void)
{
	struct rlimit l;
	rlim_t want = (rlim_t)(20 - getpriority(PRIO_PROCESS, 0));

	if (getrlimit(RLIMIT_NICE, &l) || l.rlim_cur >= want)
		return; /* or the keeper does it */
	l.rlim_cur = want;
	if (l.rlim_max < want)
		l.rlim_max = want;
	setrlimit(RLIMIT_NICE, &l);
}

/* --- Giving up --------------------------------------------------------------------------------------------------------- */

static void say(struct tfs_fs *fs, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct tfs_fs *fs, const char *fmt, ...)
{
	size_t len = strlen(fs->confined);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fs->confined + len, sizeof fs->confined - len, fmt, ap);
	va_end(ap);
}

static int leave_root(struct tfs_fs *fs)
{
	const pid_t parent = getppid();
	/* Whatever way there may be to a socket: none leads anywhere. What is connected stays so, as do sockets that have paths. */
	const bool alone = tfs_has_cap(CAP_SYS_ADMIN) && !unshare(CLONE_NEWNET | CLONE_NEWIPC);
	int r = fs->user.uid != geteuid() ? tfs_become(fs->user.uid, fs->user.gid) : 0;

	if (r && fs->options->user) {
		tfs_log_error("--user=%s: %s", fs->options->user, strerror(-r));
		return r;
	}
	say(fs, "user %u", (unsigned)geteuid());
	if (r) { /* a user namespace has only the users that it was given; a container may have no CAP_SETUID */
		say(fs, " (%u: %s)", (unsigned)fs->user.uid, strerror(-r));
		fs->user = (struct tfs_user){ geteuid(), getegid() };
		r = fs->store ? tfs_store_give(fs->store, fs->user.uid, fs->user.gid) : 0;
		if (r) {
			tfs_log_error("private tmpfs: %s", strerror(-r));
			return r;
		}
	}
	if (alone)
		say(fs, ", no network");
	r = tfs_keep_caps(0, 0);
	if (r) {
		tfs_log_error("dropping privileges: %s", strerror(-r));
		return r;
	}
	/* That has taken the signal away which ends us with who waits for the mount. */
	if (fs->starter_fd >= 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			return -EINTR;
	}
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	prctl(PR_SET_DUMPABLE, 1); /* it looks at itself from another process, in the end */
#endif
	return 0;
}

/* Where what was fetched is kept, made if it isn't there; -1: nowhere. If that isn't as it should be, who uses it says so. */
static int open_cache(void)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_remote_options o;
	struct tfs_cache *c = NULL;

	if (tfs_remote_options_get(&o, &err) || !*o.cache)
		return -1;
	tfs_cache_open(o.cache, o.cache_size, &c, &err);
	tfs_cache_close(c);
	return open(o.cache, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Links out of the directory, and its blobs, are left to the opener. */
static void fence(struct tfs_fs *fs)
{
	const char *model = fs->options->model_dir;
	const bool remote = is_remote(fs);
	cleanup_fd int proc = open("/proc", O_PATH | O_CLOEXEC), sys = open("/sys", O_PATH | O_CLOEXEC),
		       blobs = remote ? -1 : tfs_inside_open_blobs(fs->storage), cache = remote ? open_cache() : -1,
		       hub = remote ? tfs_hub_open() : -1, url = remote && *model == '@' ? open(model + 1, O_PATH | O_CLOEXEC) : -1;
	const struct tfs_fence fences[] = {
		{ remote ? -1 : fs->storage->fd, TFS_FENCE_READ },
		{ blobs, TFS_FENCE_READ },
		{ cache, TFS_FENCE_CACHE },
		{ hub, TFS_FENCE_READ },
		{ url, TFS_FENCE_READ },
		{ fs->store ? tfs_store_dir(fs->store) : -1, TFS_FENCE_STORE },
		{ proc, TFS_FENCE_READ }, /* what callers are: their groups, their signals */
		{ sys, TFS_FENCE_READ },  /* devices */
	};
	int abi = tfs_fence(fences, sizeof fences / sizeof *fences);

	if (abi > 0)
		say(fs, ", Landlock %d", abi);
	else
		say(fs, ", no Landlock (%s)", strerror(-abi));
}

static void filter(struct tfs_fs *fs)
{
	int r = tfs_filter(TFS_FILTER_DAEMON);

	if (r)
		say(fs, ", no seccomp (%s)", strerror(-r));
	else
		say(fs, ", seccomp");
}

int tfs_confine(struct tfs_fs *fs)
{
	const char *given = NULL;
	int r = choose_user(fs);

	r = r ? r : open_list(fs);
	r = r ? r : open_model(fs, &given);
	r = r ? r : open_store(fs);
	if (r)
		return r;
	tfs_pressure_open(fs->pressure);
	if (fs->starter_fd < 0) /* or who started us tells */
		fs->notify_fd = tfs_notify_open();
	fs->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	load_libraries();
	raise_nice();
	if (fs->storage)
		r = tfs_opener_start(&fs->opener, fs->storage->fd, fs->options->follow, given, &fs->ask);
	else
		r = tfs_starter_start(&fs->starter, &fs->spawn);
	r = r ? r : tfs_keeper_start(&fs->keeper, fs);
	if (!r && fs->passthrough)
		r = tfs_keeper_start_for_originals(&fs->originals.keeper, fs);
	if (r) {
		tfs_log_error("starting a process: %s", strerror(-r));
		return r;
	}
	if (fs->storage) {
		fs->storage->opener = &fs->ask;
	} else {
		tfs_spawn_by(&fs->spawn);
		tfs_spawn_forget_credentials();
	}
	if (fs->user.uid != geteuid())
		tfs_file_ask(tfs_opener_pages, &fs->opener);
	r = leave_root(fs);
	if (r)
		return r;
	fence(fs);
	filter(fs);
	tfs_log_info("confined: %s", fs->confined);
	return 0;
}

void tfs_confine_end(struct tfs_fs *fs)
{
	tfs_helper_stop(&fs->keeper);
	tfs_originals_end(&fs->originals);
	tfs_helper_stop(&fs->opener);
	tfs_helper_stop(&fs->starter);
	tfs_store_close(fs->store);
	const int opened[] = { fs->list_fd, fs->null_fd, fs->notify_fd };
	for (unsigned i = 0; i < sizeof opened / sizeof *opened; i++)
		if (opened[i] >= 0)
			close(opened[i]);
}
