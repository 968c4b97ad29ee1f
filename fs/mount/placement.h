/* SPDX-License-Identifier: MIT */
/*
 * Where bursts of opens are answered. To open and close a resident tensor takes two requests of a few microseconds each, so what
 * it costs is waking threads, and most of that is a second CPU: the scheduler moves the caller to one that is idle, which must be woken,
 * and the next request wakes another one. While opens come one after the other, both stay on one CPU:
 *
 *	- The threads that answer get the policy SCHED_IDLE. A CPU on which nothing else runs counts as idle, so a caller who is woken
 *	  stays on it (sched_idle_cpu() in Linux's kernel/sched/fair.c).
 *	- Rings are bound to their CPUs anyway. Threads that read /dev/fuse are bound to that of the caller, if there is only one.
 *
 * A thread of SCHED_IDLE gets next to nothing of a CPU that is busy with anything else. So a thread of its own looks at it every
 * few milliseconds, only during bursts: if those that answer had to wait for a CPU, or there are few opens, all is as before.
 */
#ifndef TFS_FS_PLACEMENT_H
#define TFS_FS_PLACEMENT_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Threads beyond these stay as they are. */
#define TFS_MAX_PLACED 128

struct tfs_helper;

struct tfs_placement {
	struct tfs_helper *keeper;
	_Atomic uint32_t opens;	 /* in all */
	_Atomic uint32_t row;	 /* opens by the same caller; over rings by any */
	_Atomic pid_t caller;	 /* of the last open: a thread */
	_Atomic double since;	 /* tfs_now() of the first one that is counted for whether this is a burst */
	_Atomic uint32_t burst;	 /* its number; 0: there is none */
	_Atomic uint64_t bursts; /* in all */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	pthread_t thread; /* started with the first burst */
	bool running, stopping;
	bool able;	   /* a thread can leave SCHED_IDLE again, and we can see how long it waits */
	double not_before; /* the next burst */
	_Atomic int cpu;   /* the threads are bound to; -1: each ring to its own */
	cpu_set_t all;	   /* where threads run otherwise */
	struct tfs_placed {
		pid_t tid;
		uint64_t waited; /* ns that it could have run but had no CPU, when last looked at */
	} placed[TFS_MAX_PLACED];
	size_t n_placed;
};

/* @keeper: who helps threads out of SCHED_IDLE where this process may not. */
void tfs_placement_init(struct tfs_placement *p, struct tfs_helper *keeper);
/* The threads that answer have ended. */
void tfs_placement_fini(struct tfs_placement *p);

/* To be called by the thread that answers an open (@opens) or a release, first; @caller: whose; @ring: it came by io_uring. */
void tfs_placement_answering(struct tfs_placement *p, pid_t caller, bool ring, bool opens);

/*
 * Before another thread answers a request that came by io_uring (mount/pending.h): libfuse lets its ring's thread be disturbed by that,
 * and one of SCHED_IDLE always would be.
 */
void tfs_placement_end(struct tfs_placement *p);

#endif
