/* SPDX-License-Identifier: MIT */
/* Shared by all parts of the mounted file system. */
#ifndef TFS_FS_FS_H
#define TFS_FS_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>

#include "cache/pressure.h"
#include "loader.h"
#include "model/model.h"
#include "mount/helper.h"
#include "mount/kept.h"
#include "mount/opened.h"
#include "mount/options.h"
#include "mount/originals.h"
#include "mount/placement.h"
#include "mount/signal-watch.h"
#include "mount/snapshots.h"
#include "mount/spares.h"
#include "remote/spawn.h"
#include "tree/tree.h"

/* A warning about something left out or odd that the scan found. */
struct tfs_warning {
	char *line;
	char *file;    /* the file it is about, relative to the model; only the end of a long path */
	uint32_t node; /* the same; UINT32_MAX: none, or not known */
};

/* The files in .tensorfs. */
enum tfs_control_file {
	TFS_CONTROL_STATS,
	TFS_CONTROL_STATS_JSON,
	TFS_CONTROL_METRICS,
	TFS_CONTROL_INDEX_TSV,
	TFS_CONTROL_INDEX_JSON,
	TFS_CONTROL_XXH128SUMS,
	TFS_CONTROL_PREFETCH,
	TFS_CONTROL_EVICT,
	TFS_CONTROL_PIN,
	TFS_CONTROLS,
};

struct tfs_user {
	uid_t uid;
	gid_t gid;
};

/* State of the handshake with the starting process, see daemon.h. */
enum tfs_start {
	TFS_START_WAITING,
	TFS_START_ANSWERED,  /* the starter has seen it answer, and is gone */
	TFS_START_ABANDONED, /* the starter no longer waits for it */
	TFS_START_ENDED,     /* by ourselves */
};

struct tfs_works;
struct tfs_texts;

struct tfs_fs {
	/* Immutable while the session runs. */
	const struct tfs_options *options;
	char *model_path;	/* absolute; of a remote model its name */
	const char *mountpoint; /* absolute */
	struct tfs_model *model;
	struct tfs_tree *tree;
	struct tfs_loader *loader;
	struct fuse_session *session;
	struct tfs_warning *warnings;
	size_t n_warnings;
	bool all_open;	  /* every user of the mount may read all of the model, and what the warnings are about: no checks */
	dev_t device;	  /* of the mount; 0: not known */
	bool lists;	  /* the kernel checks access control lists of original files; set by init() */
	bool initialised; /* the kernel has started its handshake; set by init() */
	int starter_fd;	  /* to the process that waits until the mount answers; -1: none, or no longer */
	pthread_key_t ring_thread; /* set in threads that get requests by io_uring; see tfs_came_by_ring() */
	bool watches;		   /* this transport doesn't report interrupts: see mount/signal-watch.h; set by init() */
	int log_fd;		   /* of the option's file; -1: none */
	const char *_Atomic streamed_because; /* NULL: passthrough, so far */
	char lacks[128];		      /* … which may be in here */

	/* Opened before privileges were given up, and who has some left: see confine.h. */
	struct tfs_user mounter;     /* who mounts, and owns what is generated */
	struct tfs_user user;	     /* who the daemon is */
	struct tfs_storage *storage; /* the model's; owned by that, once it is open */
	struct tfs_store *store;     /* NULL: no passthrough */
	int pressure[TFS_PRESSURE_SOURCES];
	int list_fd;		  /* of --prefetch-list; -1: none */
	int null_fd;		  /* /dev/null */
	int notify_fd;		  /* to the service manager; -1: none */
	struct stat at;		  /* the mountpoint, before it is one */
	struct tfs_opener ask;	  /* asks opener */
	struct tfs_spawner spawn; /* asks starter */
	struct tfs_helper opener, keeper, starter;
	struct tfs_originals originals;
	char confined[256]; /* how far the daemon is */

	struct tfs_opened_table opened;
	struct tfs_opened_table text_opens; /* only those of one inode number with one text are shared: see tfs_reply_open_text() */
	struct tfs_texts *texts;
	_Atomic(struct tfs_listing *) listings[TFS_CONTROLS]; /* for everybody; NULL: not yet */
	struct tfs_snapshots snapshots;
	struct tfs_watch watch;
	struct tfs_placement placement;
	struct tfs_works *storage_works, *cpu_works;
	_Atomic bool registers; /* INIT is answered, so the kernel registers backing files */
	struct tfs_kept kept;
	struct tfs_spares spares;
	pthread_mutex_t stop_lock; /* for the next one, until that is done */
	bool stopped;		   /* the loader; all waiters have been answered */

	/* Relaxed atomics: each is independent. */
	_Atomic bool passthrough; /* may go from true to false: the kernel refused a backing file */
	_Atomic enum tfs_start start;
	_Atomic bool uring; /* a request came by io_uring */
	_Atomic uint64_t opens[TFS_OPEN_MODES];
	_Atomic uint64_t streamed[TFS_STREAMED_REASONS]; /* of opens[TFS_OPEN_STREAM] */
	_Atomic uint64_t joined;			 /* of opens: of files already open */
	_Atomic uint64_t fixed_size[TFS_CONTROLS];	 /* for texts in .tensorfs that never change; 0: not known yet */
	_Atomic bool readahead;				 /* was raised, with the first streamed open */
	_Atomic uint64_t interrupted;			 /* opens that were interrupted while they waited */
};

/* A year: what the kernel caches stays valid as long as the mount exists. */
#define TFS_CACHE_SECONDS 31536000.0

/* Stop the loader, unless it is stopped. When this returns no request is waiting any more, or being answered. */
void tfs_fs_stop(struct tfs_fs *fs);

/* The operations; in init(), the part of the handshake that is ours. */
extern const struct fuse_lowlevel_ops tfs_operations;

/*
 * A tfs_loaded_fn of the struct tfs_fs *@arg: have the backing file @name registered, so that an open needn't wait for that. In a loader's
 * thread; if it fails, an open tries again.
 */
void tfs_register_loaded(void *arg, uint64_t name);

/* Stream all tensors from now on, as @why says, a literal; it is logged. Again without effect. */
void tfs_stop_passthrough(struct tfs_fs *fs, const char *why);

/* open.c, read.c, reply.c */
void tfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void tfs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void tfs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* write-ops.c */
void tfs_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi);
void tfs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void tfs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
void tfs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void tfs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void tfs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void tfs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void tfs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void tfs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *new_name, unsigned flags);
void tfs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void tfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void tfs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* dir-ops.c */
void tfs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void tfs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void tfs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void tfs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void tfs_op_readlink(fuse_req_t req, fuse_ino_t ino);
void tfs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void tfs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void tfs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void tfs_op_statfs(fuse_req_t req, fuse_ino_t ino);

/* Is each lookup of @inode a file of its own (snapshots.h)? */
bool tfs_has_snapshots(struct tfs_fs *fs, struct tfs_inode inode);

/* xattr-ops.c */
void tfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void tfs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

/* The access control list that @inode has, which the kernel has to check; NULL: none. */
const struct tfs_acl *tfs_acl_of_inode(struct tfs_fs *fs, struct tfs_inode inode);

/* 0 and the decoded @ino, or -ESTALE: a number that we never gave out. */
int tfs_inode_of(struct tfs_fs *fs, fuse_ino_t ino, struct tfs_inode *ret_inode);

#endif
