/* SPDX-License-Identifier: MIT */
#include "mount/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/thread.h"
#include "config.h"
#include "mount/confine.h"
#include "mount/control.h"
#include "mount/ending.h"
#include "mount/fs.h"
#include "mount/keeper.h"
#include "mount/mountpoint.h"
#include "mount/notify.h"
#include "mount/reply.h"
#include "mount/ring.h"
#include "mount/stats.h"
#include "mount/texts.h"
#include "mount/work.h"

/*
 * Reads that the kernel may have in flight for readahead. More than the loader's threads, so they always have work.
 */
enum { MAX_BACKGROUND = 64 };

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	struct tfs_fs *fs = userdata;

	conn->max_write = TFS_STREAM_MAX_READ;	/* libfuse sizes its buffers, and so reads, by it */
	conn->max_read = fs->options->max_read; /* libfuse needs it here, too */
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	fuse_set_feature_flag(conn, FUSE_CAP_CACHE_SYMLINKS);
	fuse_set_feature_flag(conn, FUSE_CAP_PARALLEL_DIROPS); /* otherwise one lookup blocks all others in its directory */
	/* Otherwise the kernel would ask for the list of every file. */
	fs->lists = fs->model->n_acls && fuse_set_feature_flag(conn, FUSE_CAP_POSIX_ACL);
	if (fs->passthrough && fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH)) {
		/* Backing files are on a tmpfs; originals may be on a stacked file system. */
		struct statfs st;
		bool stacked = !fstatfs(tfs_model_originals_fd(fs->model), &st) &&
			       (st.f_type == OVERLAYFS_SUPER_MAGIC || st.f_type == ECRYPTFS_SUPER_MAGIC ||
				st.f_type == FUSE_SUPER_MAGIC);
		conn->max_backing_stack_depth = stacked ? FUSE_BACKING_STACKED_OVER : FUSE_BACKING_STACKED_UNDER;
	} else if (fs->passthrough) {
		fs->streamed_because = "the kernel has no FUSE passthrough, which requires Linux 6.9";
		fs->passthrough = false;
	}
#ifdef HAVE_FUSE_URING
	fs->uring = conn->want_ext & FUSE_CAP_OVER_IO_URING;
	if (fs->uring)
		conn->max_write = TFS_RING_MAX_READ;
	/* An interrupt from the kernel would find no request, and libfuse would keep it forever: don't ask for them. */
	conn->no_interrupt = fs->watches = fs->uring;
#endif
	fs->initialised = true;
}

const struct fuse_lowlevel_ops tfs_operations = {
	.init = on_init,
	.lookup = tfs_op_lookup,
	.forget = tfs_op_forget,
	.forget_multi = tfs_op_forget_multi,
	.getattr = tfs_op_getattr,
	.readlink = tfs_op_readlink,
	.open = tfs_op_open,
	.read = tfs_op_read,
	.write = tfs_op_write,
	.flush = tfs_op_flush,
	.release = tfs_op_release,
	.setattr = tfs_op_setattr,
	.mknod = tfs_op_mknod,
	.mkdir = tfs_op_mkdir,
	.create = tfs_op_create,
	.symlink = tfs_op_symlink,
	.link = tfs_op_link,
	.rename = tfs_op_rename,
	.unlink = tfs_op_unlink,
	.rmdir = tfs_op_unlink,
	.setxattr = tfs_op_setxattr,
	.removexattr = tfs_op_removexattr,
	.opendir = tfs_op_opendir,
	.readdir = tfs_op_readdir,
	.readdirplus = tfs_op_readdirplus,
	.statfs = tfs_op_statfs,
	.getxattr = tfs_op_getxattr,
	.listxattr = tfs_op_listxattr,
};

/* --- Putting it together --------------------------------------------------------------------------------------------- */

static void on_warning(void *arg, const struct tfs_error *warning)
{
	struct tfs_fs *fs = arg;
	char line[TFS_ERROR_LINE];

	tfs_error_line(warning, line, sizeof line);
	tfs_log_warning("%s", line);
	struct tfs_warning *all = realloc(fs->warnings, (fs->n_warnings + 1) * sizeof *all);
	if (!all)
		return;
	fs->warnings = all;
	struct tfs_warning *w = &all[fs->n_warnings];
	*w = (struct tfs_warning){ .line = strdup(line), .file = strdup(warning->file), .node = UINT32_MAX };
	if (w->line && w->file) {
		fs->n_warnings++;
	} else {
		free(w->line);
		free(w->file);
	}
}

/*
 * libfuse's own messages. Some come in pieces up to a newline; others have none. Those about refused backing files are expected if
 * they are refused, and those about a signal always: that is how a session ends.
 */
static __attribute__((format(printf, 2, 0))) void on_fuse_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	static _Thread_local char line[512];
	size_t len = strlen(line);

	vsnprintf(line + len, sizeof line - len, fmt, ap);
	len = strcspn(line, "\n");
	if (!line[len] && len < sizeof line - 1 && !strncmp(line, "fuse: unknown option", 20))
		return;
	line[len] = 0;
	bool expected = strstr(line, "passthrough_open") || strstr(line, "passthrough_close") ||
			strstr(line, "exit_handler called");
	tfs_log(level <= FUSE_LOG_ERR && !expected     ? TFS_LOG_ERROR :
		level <= FUSE_LOG_WARNING && !expected ? TFS_LOG_WARNING :
							 TFS_LOG_DEBUG,
		"%s", line);
	line[0] = 0;
}

const char *tfs_session_libfuse(void)
{
	return fuse_pkgversion();
}

static int create_session(struct tfs_fs *fs)
{
	const struct tfs_options *o = fs->options;
	bool uring = false;
	int r = tfs_ring_choose(fs, &uring);
	if (r)
		return r;

	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	cleanup_free char *escaped = NULL, *fsname = NULL;
	char ring[64];
	/* A comma would end the option. */
	r = fuse_opt_add_opt_escaped(&escaped, fs->model_path);
	if (!r)
		r = asprintf(&fsname, "-ofsname=%s", escaped) < 0;
	r |= fuse_opt_add_arg(&args, "tensorfs");
	if (!r)
		r = fuse_opt_add_arg(&args, fsname);
	r |= fuse_opt_add_arg(&args, "-onosuid,nodev,noatime,default_permissions,subtype=tensorfs");
	if (o->allow_other)
		r |= fuse_opt_add_arg(&args, "-oallow_other");
	if (uring) {
		snprintf(ring, sizeof ring, "-oio_uring,io_uring_q_depth=%u", tfs_ring_depth());
		r |= fuse_opt_add_arg(&args, ring);
	}
	if (o->debug)
		r |= fuse_opt_add_arg(&args, "-odebug");
	if (o->mount_options[0]) { /* last, so a fsname= of the user takes precedence */
		r |= fuse_opt_add_arg(&args, "-o");
		r |= fuse_opt_add_arg(&args, o->mount_options);
	}
	if (!r)
		fs->session = fuse_session_new(&args, &tfs_operations, sizeof tfs_operations, fs);
	fuse_opt_free_args(&args);
	return fs->session ? 0 : -EINVAL;
}

bool tfs_session_knows(const char *mount_options)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;

	if (!*mount_options)
		return true;
	fuse_set_log_func(on_fuse_log);
	if (!fuse_opt_add_arg(&args, "tensorfs") && !fuse_opt_add_arg(&args, "-o") && !fuse_opt_add_arg(&args, mount_options))
		session = fuse_session_new(&args, &tfs_operations, sizeof tfs_operations, NULL);
	fuse_opt_free_args(&args);
	if (session)
		fuse_session_destroy(session);
	return session;
}

static void raise_limit(int which)
{
	struct rlimit l;
	if (!getrlimit(which, &l) && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(which, &l);
	}
}

/*
 * Open files need descriptors only while they are streamed or being set up, but a thousand isn't much. A backing file is as large
 * as its tensor; if that isn't allowed, the open should fail, without a signal.
 */
static void raise_limits(void)
{
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_FSIZE);
	signal(SIGXFSZ, SIG_IGN);
}

/* Its memory is free only when the kernel has let go of it, too. */
static void on_removed(void *arg, uint64_t name)
{
	struct tfs_fs *fs = arg;
	int id = tfs_kept_take(&fs->kept, name);

	if (id)
		tfs_keeper_unregister(&fs->keeper, id);
}

/* Before INIT is answered the kernel registers nothing. */
static uint64_t on_create(void *arg, uint64_t name)
{
	struct tfs_fs *fs = arg;

	return fs->registers && fs->passthrough ? tfs_spares_take(&fs->spares, &fs->kept, name) : 0;
}

static int create_loader(struct tfs_fs *fs)
{
	struct tfs_loader_options lo = fs->options->loader;
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE];

	lo.resident = fs->passthrough;
	lo.store = fs->store;
	lo.pressure = fs->pressure;
	lo.loaded = tfs_register_loaded;
	lo.loaded_arg = fs;
	if (fs->store) {
		tfs_store_on_remove(fs->store, on_removed, fs);
		tfs_store_on_create(fs->store, on_create, fs);
	}
	lo.small_files = true;
	lo.originals_only = !(fs->options->views & (1u << TFS_VIEW_TENSORS | 1u << TFS_VIEW_TREE));
	int r = tfs_loader_create(fs->model, &lo, &fs->loader, &err);
	if (r && lo.resident && fs->options->passthrough == TFS_AUTO) {
		/* Privileged, but only in a container's user namespace, for example. */
		tfs_log_info("no passthrough: %s", tfs_error_line(&err, line, sizeof line));
		fs->streamed_because = "no private tmpfs for backing files";
		fs->passthrough = lo.resident = false;
		err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
		r = tfs_loader_create(fs->model, &lo, &fs->loader, &err);
	}
	if (r)
		tfs_log_error("%s", tfs_error_line(&err, line, sizeof line));
	else if (fs->list_fd >= 0 && fs->passthrough)
		r = tfs_control_prefetch_list(fs);
	return r;
}

/* Detach from the process that started us: the terminal belongs to the shell again. */
static void detach(struct tfs_fs *fs)
{
	close(fs->starter_fd);
	fs->starter_fd = -1;
	if (fs->options->foreground) {
		if (fs->log_fd >= 0)
			tfs_log_to_file(fs->log_fd);
		return;
	}
	if (chdir("/"))
		tfs_log_warning("chdir /: %s", strerror(errno));
	if (fs->log_fd >= 0)
		tfs_log_to_file(fs->log_fd);
	else
		tfs_log_to_syslog("tensorfs");
	for (int fd = 0; fd <= 2 && fs->null_fd >= 0; fd++)
		dup2(fs->null_fd, fd);
}

/*
 * A thread: tells the starting process that we are ready, and waits until that has seen the mount answer. If the starter gives up
 * or dies, the session is ended in the usual way: by a signal, which the main thread receives.
 */
static void *report_ready(void *arg)
{
	struct tfs_fs *fs = arg;
	char byte;

	bool answered = send(fs->starter_fd, "", 1, MSG_NOSIGNAL) == 1 && read(fs->starter_fd, &byte, 1) == 1;
	enum tfs_start waiting = TFS_START_WAITING;
	if (!atomic_compare_exchange_strong(&fs->start, &waiting, answered ? TFS_START_ANSWERED : TFS_START_ABANDONED))
		return NULL;
	if (answered) {
		send(fs->starter_fd, "", 1, MSG_NOSIGNAL); /* nothing ended the session before */
		detach(fs);
	} else {
		kill(getpid(), SIGTERM);
	}
	return NULL;
}

/*
 * The kernel's INIT is answered here, before there are other threads, so anything that ends the session then is noticed. 0 or
 * -errno.
 */
static int answer_init(struct tfs_fs *fs)
{
	struct pollfd polled = { .fd = fuse_session_fd(fs->session), .events = POLLIN };
	struct fuse_buf buf = { 0 };
	int r = 0;

	while (!r && !fs->initialised && !fuse_session_exited(fs->session)) {
		if (poll(&polled, 1, -1) < 0)
			continue; /* a signal: the session has been told to end */
		int n = fuse_session_receive_buf(fs->session, &buf);
		if (n > 0)
			fuse_session_process_buf(fs->session, &buf);
		else if (n < 0 && n != -EINTR && n != -EAGAIN)
			r = n;
	}
	free(buf.mem);
	return r;
}

static void announce(const struct tfs_fs *fs)
{
	if (fs->log_fd >= 0)
		tfs_log_to_file(fs->log_fd);
	tfs_notify_ready(fs->notify_fd, fs->model_path, fs->mountpoint);
}

static int serve(struct tfs_fs *fs)
{
	bool started = fs->starter_fd >= 0, waits = false;
	pthread_t waiter;

	struct fuse_loop_config *config = fuse_loop_cfg_create();
	if (!config)
		return -ENOMEM;
	/* No request blocks its thread, so we need only as many as CPUs, plus one. */
	fuse_loop_cfg_set_max_threads(config, get_nprocs() < 16 ? get_nprocs() + 1 : 16);
	int r = answer_init(fs);
	if (r) /* EPERM is the error for a descriptor that another program should have mounted */
		tfs_log_error("reading /dev/fuse: %s", r == -EPERM ? "it is open, but not mounted" : strerror(-r));
	fs->registers = !r;
	if (!r && started && !fuse_session_exited(fs->session)) {
		if (!fs->options->foreground) /* from now on the other end of the socket reports */
			prctl(PR_SET_PDEATHSIG, 0);
		r = tfs_thread_start(&waiter, "tfs-start", report_ready, fs);
		if (r)
			tfs_log_error("starting a thread: %s", strerror(-r));
		waits = !r;
	}
	if (r)
		fuse_session_exit(fs->session);
	else if (!started) /* otherwise whoever started us is told */
		announce(fs);
	tfs_log_limit();				       /* from here on users cause lines */
	int ended = fuse_session_loop_mt(fs->session, config); /* even if it is over: this stops the rings */
	if (tfs_ending_signal()) /* whatever the requests that were in flight then were told: by io_uring ECANCELED */
		ended = tfs_ending_signal();
	tfs_ending_begun();
	fuse_loop_cfg_destroy(config);
	tfs_notify(fs->notify_fd, "STOPPING=1");
	if (waits) {
		enum tfs_start waiting = TFS_START_WAITING;
		if (atomic_compare_exchange_strong(&fs->start, &waiting, TFS_START_ENDED))
			shutdown(fs->starter_fd, SHUT_RDWR);
		pthread_join(waiter, NULL);
	}
	if (fs->start == TFS_START_ABANDONED)
		return 0; /* whoever gave up reports why */
	if (r)
		return r;
	/* A positive value is the signal that ended it, which is the normal way; but not before it has started. */
	if (ended < 0) {
		tfs_log_error("the session ended: %s", ended == -1 ? "no thread left" : strerror(-ended));
	} else if (started && fs->start != TFS_START_ANSWERED) {
		tfs_log_error("ended by %s before the mount answered: nothing is mounted", ended ? strsignal(ended) : "an unmount");
		ended = -EINTR;
	}
	return ended < 0 ? ended : 0;
}

void tfs_fs_stop(struct tfs_fs *fs)
{
	tfs_ending_begun(); /* libfuse's rings are stopped before its loop ends */
	pthread_mutex_lock(&fs->stop_lock);
	if (!fs->stopped && fs->loader) {
		tfs_works_stop(fs->storage_works);
		tfs_works_stop(fs->cpu_works);
		tfs_loader_stop(fs->loader);
		tfs_watch_drain(&fs->watch);
	}
	fs->stopped = true;
	pthread_mutex_unlock(&fs->stop_lock);
}

static void on_ring_end(void *fs)
{
	tfs_fs_stop(fs);
}

/*
 * libfuse may run a program to mount or unmount, and treats a signal while it waits for that as a failure. A blocked signal is
 * noticed afterwards.
 */
static void block_signals(sigset_t *ret_before)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, ret_before);
}

static int mount_undisturbed(struct tfs_fs *fs, const char *mountpoint)
{
	sigset_t before;

	block_signals(&before);
	int r = fuse_session_mount(fs->session, mountpoint);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int tfs_session_mount(struct tfs_fs *fs)
{
	if (create_session(fs) || mount_undisturbed(fs, fs->mountpoint))
		return -1;
	return fuse_session_fd(fs->session);
}

/* The keeper mounts, and libfuse is told as of a mount that somebody else has made. */
static int mount_by_keeper(struct tfs_fs *fs)
{
	char path[32];
	const int given = tfs_mountpoint_fd(fs->mountpoint);
	int fd = tfs_keeper_mount(&fs->keeper, fs->model_path);

	if (fd == -EPIPE && tfs_mounted_at(fs->mountpoint).device != fs->at.st_dev)
		tfs_log_error("%s is mounted all the same: use umount -l, or fusermount3 -uz", fs->mountpoint);
	if (fd < 0)
		return fd;
	if (given >= 0) { /* then this process has it open twice, and closing it must be enough to end the connection */
		close(fd);
		fd = given;
	}
	snprintf(path, sizeof path, "/dev/fd/%d", fd);
	if (mount_undisturbed(fs, path))
		return -EIO;
	if (fs->passthrough)
		tfs_keeper_adopt(&fs->originals.keeper, fd);
	return 0;
}

/* First our descriptor is closed, as whoever unmounts may look at what is mounted. */
static bool unmount(struct tfs_fs *fs)
{
	fuse_session_destroy(tfs_steal(fs->session));
	return tfs_ending_unmount(fs);
}

static int start_ending(struct tfs_fs *fs)
{
	int r = tfs_ending_start(fs);

	if (r)
		tfs_log_error("starting a thread: %s", strerror(-r));
	return r;
}

static int mount_and_serve(struct tfs_fs *fs, const char *mountpoint)
{
	int r = create_session(fs);
	if (r)
		return r;
	r = tfs_ending_init(fs);
	if (r) {
		tfs_log_error("preparing for signals: %s", strerror(-r));
		return r;
	}
	r = mount_by_keeper(fs);
	if (!r) {
		fs->device = tfs_mounted_at(mountpoint).device;
		tfs_ending_mounted(fs);
		r = start_ending(fs);
		if (!r)
			r = create_loader(fs);
		if (!r && fs->options->passthrough == TFS_ON && !fs->passthrough) {
			tfs_log_error("--passthrough=on: %s", fs->streamed_because);
			r = -EOPNOTSUPP;
		}
		if (!r) {
			tfs_ending_watch_helpers(fs);
			r = serve(fs);
		}
		/* Waiting requests are answered while there is still a session to answer through. */
		tfs_fs_stop(fs);
		tfs_close_all(fs);
		tfs_log_limit_end();
		tfs_ending_over();
		if (!unmount(fs) && !r)
			r = -EPIPE;
	} else {
		tfs_ending_over();
	}
	return r;
}

/* We couldn't read what our own mount covers, and would wait for ourselves. */
static int check_mountpoint(const struct tfs_fs *fs, const char *mountpoint)
{
	char path[PATH_MAX];
	uint32_t node;

	if (tfs_mountpoint_fd(mountpoint) >= 0) /* we can't know */
		return 0;
	if (!tfs_model_covered(fs->model, &fs->at, &node))
		return 0;
	if (tfs_model_path(fs->model, node, path, sizeof path))
		strcpy(path, "a file");
	tfs_log_error("mountpoint %s: the mount would cover %s of the model", mountpoint, path);
	return -EBUSY;
}

/*
 * Otherwise the kernel only admits the user who mounted it, who could read everything that was found. For a mount made elsewhere we
 * can't know whom it admits.
 */
static bool lets_others_in(const struct tfs_fs *fs)
{
	return fs->options->allow_other || tfs_mountpoint_fd(fs->mountpoint) >= 0;
}

/* Who may see a warning depends on the file that it is about. */
static void find_who_may_see(struct tfs_fs *fs)
{
	fs->all_open = tfs_access_open(tfs_tree_access(fs->tree));
	for (size_t i = 0; i < fs->n_warnings; i++) {
		struct tfs_warning *w = &fs->warnings[i];
		w->node = w->file[0] ? tfs_model_find(fs->model, w->file) : UINT32_MAX;
		fs->all_open &= w->node == UINT32_MAX || tfs_access_node_open(fs->model, w->node);
	}
	fs->all_open |= !lets_others_in(fs);
}

/* Only other users must be checked for access control lists, and the directories that links lead through. */
static int find_rights(struct tfs_fs *fs, struct tfs_error *err)
{
	int r = lets_others_in(fs) ? tfs_model_find_rights(fs->model) : 0;

	return r ? tfs_error_set(err, r, TFS_NO_OFFSET, "out of memory") : 0;
}

/* Used once the mount answers: what goes wrong before is for whoever started us. */
static int open_log(struct tfs_fs *fs)
{
	if (!fs->options->log_file)
		return 0;
	fs->log_fd = open(fs->options->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fs->log_fd >= 0)
		return 0;
	int r = -errno;
	tfs_log_error("--log-file: %s: %s", fs->options->log_file, strerror(errno));
	return r;
}

int tfs_session_run(const struct tfs_options *options, int starter_fd)
{
	struct tfs_fs fs = {
		.options = options,
		.starter_fd = starter_fd,
		.mounter = { getuid(), getgid() },
		.log_fd = -1,
		.list_fd = -1,
		.null_fd = -1,
		.notify_fd = -1,
		.opener = TFS_HELPER_NONE,
		.keeper = TFS_HELPER_NONE,
		.starter = TFS_HELPER_NONE,
		.originals = TFS_ORIGINALS_NONE,
	};
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	cleanup_free char *mountpoint = NULL;
	char line[TFS_ERROR_LINE + PATH_MAX];

	if (pthread_key_create(&fs.ring_thread, on_ring_end)) {
		tfs_log_error("out of memory");
		return 1;
	}
	if (options->debug)
		tfs_log_set_level(TFS_LOG_DEBUG);
	fuse_set_log_func(on_fuse_log);
	raise_limits();
	tfs_opened_init(&fs.opened);
	tfs_opened_init(&fs.text_opens);
	tfs_snapshots_init(&fs.snapshots);
	tfs_watch_init(&fs.watch);
	tfs_placement_init(&fs.placement, &fs.keeper);
	tfs_kept_init(&fs.kept);
	pthread_mutex_init(&fs.stop_lock, NULL);

	fs.storage_works = tfs_works_create(TFS_STORAGE_THREADS);
	fs.cpu_works = tfs_works_create(TFS_CPU_THREADS);
	fs.texts = tfs_texts_create(&fs);
	int r = fs.storage_works && fs.cpu_works && fs.texts ? open_log(&fs) : -ENOMEM;
	if (r == -ENOMEM)
		tfs_log_error("out of memory");
	if (!r)
		r = tfs_mountpoint_check(options->mountpoint, options->nonempty, &mountpoint);
	fs.mountpoint = mountpoint;
	if (!r && !tfs_model_path_is_remote(options->model_dir)) {
		fs.model_path = realpath(options->model_dir, NULL);
		if (!fs.model_path) {
			tfs_log_error("%s: %s", options->model_dir, strerror(errno));
			r = -errno;
		}
	}
	if (!r && tfs_mountpoint_fd(mountpoint) < 0 && stat(mountpoint, &fs.at)) {
		r = -errno;
		tfs_log_error("mountpoint %s: %s", mountpoint, strerror(errno));
	}
	if (!r)
		r = tfs_confine(&fs);
	tfs_spares_init(&fs.spares, fs.store, &fs.keeper);
	if (!r) {
		r = tfs_model_open_limited(options->model_dir, &options->scan, options->follow, get_nprocs(), on_warning, &fs,
					   &fs.model, &err);
		if (!r && !fs.model_path) {
			fs.model_path = strdup(tfs_model_name(fs.model));
			r = fs.model_path ? 0 : tfs_error_set(&err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
		}
		if (!r)
			r = find_rights(&fs, &err);
		if (!r)
			tfs_model_set_npy_align(fs.model, options->npy_align);
		if (!r)
			r = tfs_tree_create(fs.model, tfs_controls, options->views, &fs.tree, &err);
		if (r) {
			tfs_log_error("%s", tfs_model_error_line(options->model_dir, &err, line, sizeof line));
		} else {
			find_who_may_see(&fs);
			r = check_mountpoint(&fs, mountpoint);
		}
	}
	if (!r)
		r = mount_and_serve(&fs, mountpoint);

	if (fs.session)
		fuse_session_destroy(fs.session);
	tfs_texts_destroy(fs.texts);
	tfs_works_destroy(fs.storage_works);
	tfs_works_destroy(fs.cpu_works);
	tfs_loader_destroy(fs.loader);
	tfs_tree_destroy(fs.tree);
	tfs_model_destroy(fs.model);
	tfs_confine_end(&fs);
	for (size_t i = 0; i < fs.n_warnings; i++) {
		free(fs.warnings[i].line);
		free(fs.warnings[i].file);
	}
	free(fs.warnings);
	free(fs.model_path);
	pthread_key_delete(fs.ring_thread);
	pthread_mutex_destroy(&fs.stop_lock);
	tfs_placement_fini(&fs.placement);
	tfs_spares_fini(&fs.spares);
	tfs_kept_fini(&fs.kept);
	tfs_watch_fini(&fs.watch);
	tfs_snapshots_fini(&fs.snapshots);
	tfs_opened_fini(&fs.text_opens);
	tfs_opened_fini(&fs.opened);
	return r ? 1 : 0;
}
