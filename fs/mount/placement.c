/* SPDX-License-Identifier: MIT */
#include "mount/placement.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "mount/keeper.h"

/* It is a burst if so many opens in a row come in so many seconds; it is over if there are fewer than FEW_OPENS between two looks. */
enum { BURST_OPENS = 64, FEW_OPENS = 16 };

/* So often we look where the caller runs, as reading that takes as long as an open. */
enum { FOLLOW_EVERY = 16 };

#define BURST_SECONDS 0.03
#define LOOK_EVERY    0.01 /* seconds */

/*
 * If there are few because a thread had to wait so long for its CPU, there is other work for that, and no burst for a while. A caller that
 * goes on before its answer's thread has gone to sleep makes that wait, too, but not the caller.
 */
#define MOST_WAITED  2000000 /* ns */
#define BUSY_SECONDS 1.0

/* --- What /proc says ------------------------------------------------------------------------------------------------- */

/* Nanoseconds that the thread @tid of this process has waited for a CPU: the second number (Linux, scheduler/sched-stats.rst). */
static bool waited_of(pid_t tid, uint64_t *ret_ns)
{
	char path[64];
	bool found;

	snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", tid);
	FILE *f = fopen(path, "re");
	found = f && fscanf(f, "%*u %" SCNu64, ret_ns) == 1;
	if (f)
		fclose(f);
	return found;
}

/* The CPU on which the thread @tid ran last: field 39 of proc_pid_stat(5). -1: it can't be seen. */
static int cpu_of(pid_t tid)
{
	char path[64], line[1024];
	int cpu = -1;

	snprintf(path, sizeof path, "/proc/%d/stat", tid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	size_t n = fread(line, 1, sizeof line - 1, f);
	fclose(f);
	line[n] = 0;
	const char *at = strrchr(line, ')'); /* the end of field 2, a name of any bytes */
	for (int field = 2; at && field < 39; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, "%d", &cpu) == 1 ? cpu : -1;
}

/* --- A burst --------------------------------------------------------------------------------------------------------- */

static bool set_policy(pid_t tid, int policy)
{
	const struct sched_param none = { 0 };

	return !sched_setscheduler(tid, policy, &none);
}

static bool leave_idle(struct tfs_placement *p, pid_t tid)
{
	return set_policy(tid, SCHED_OTHER) || !tfs_keeper_leave_idle(p->keeper, tid);
}

static void bind_to(pid_t tid, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(tid, sizeof one, &one);
}

static void restore(struct tfs_placement *p, pid_t tid)
{
	if (sched_getscheduler(tid) == SCHED_IDLE)
		leave_idle(p, tid);
	if (p->cpu >= 0)
		sched_setaffinity(tid, sizeof p->all, &p->all);
}

/*
 * Every thread of the process as it was, also those that were started by one that was placed (by libfuse, or a worker of io_uring's): they
 * inherit what SCHED_RESET_ON_FORK resets only for real-time policies (sched(7)). Those placed come first, so that whatever they start from
 * here on inherits nothing.
 */
static void restore_all(struct tfs_placement *p)
{
	DIR *d = opendir("/proc/self/task");
	const struct dirent *e;

	for (size_t i = 0; i < p->n_placed; i++)
		restore(p, p->placed[i].tid);
	while (d && (e = readdir(d)))
		if (atoi(e->d_name))
			restore(p, atoi(e->d_name));
	if (d)
		closedir(d);
}

static void end_burst(struct tfs_placement *p)
{
	tfs_assert_held(&p->lock);
	if (!p->burst)
		return;
	p->burst = 0;
	restore_all(p);
	p->n_placed = 0;
	p->cpu = -1;
}

/* Did the threads have to wait for their CPUs since the last look? */
static bool is_busy(struct tfs_placement *p)
{
	bool busy = false;

	for (size_t i = 0; i < p->n_placed; i++) {
		const uint64_t before = p->placed[i].waited;

		if (waited_of(p->placed[i].tid, &p->placed[i].waited) && p->placed[i].waited - before > MOST_WAITED)
			busy = true;
	}
	return busy;
}

/*
 * The scheduler may have moved the caller. The lock is not held for long: who needs it to end a burst would wait for a thread that gets no
 * CPU.
 */
static void follow_caller(struct tfs_placement *p)
{
	const int cpu = cpu_of(p->caller);

	if (cpu < 0 || cpu == p->cpu)
		return;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; p->burst && p->cpu >= 0 && i < p->n_placed; i++)
		bind_to(p->placed[i].tid, cpu);
	if (p->burst && p->cpu >= 0)
		p->cpu = cpu;
	pthread_mutex_unlock(&p->lock);
}

static void *look_after(void *arg)
{
	struct tfs_placement *p = arg;
	uint64_t waited;
	/* sched(7): to leave SCHED_IDLE takes CAP_SYS_NICE, which the keeper has, or RLIMIT_NICE. If this thread can't, none should enter it. */
	const bool able = waited_of(gettid(), &waited) && set_policy(0, SCHED_IDLE) && leave_idle(p, gettid());

	pthread_mutex_lock(&p->lock);
	p->able = able;
	while (!p->stopping && able) {
		const uint32_t before = p->opens;

		if (!p->burst) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		tfs_cond_wait_until(&p->changed, &p->lock, tfs_now() + LOOK_EVERY);
		const bool busy = is_busy(p);

		if (p->opens - before < FEW_OPENS) {
			end_burst(p);
			p->not_before = busy ? tfs_now() + BUSY_SECONDS : 0;
		}
	}
	end_burst(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void begin_burst(struct tfs_placement *p, pid_t caller, bool ring)
{
	const int cpu = ring ? -1 : cpu_of(caller);
	cpu_set_t all;

	/* The caller may be in another PID namespace, or hidden. */
	if ((!ring && cpu < 0) || sched_getaffinity(0, sizeof all, &all) || sched_getscheduler(0) != SCHED_OTHER)
		return;
	pthread_mutex_lock(&p->lock);
	if (!p->running)
		p->running = !tfs_thread_start(&p->thread, "tfs-placement", look_after, p);
	if (p->able && !p->burst && !p->stopping && tfs_now() >= p->not_before) {
		p->all = all;
		p->cpu = cpu;
		p->burst = (uint32_t)++p->bursts;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
}

/*
 * The calling thread takes part in the burst. It enters SCHED_IDLE without the lock: with it, on a busy machine, it might not get a CPU to
 * give it back, and nobody could end the burst.
 */
static void take_part(struct tfs_placement *p)
{
	static _Thread_local uint32_t in_burst;
	bool takes_part = false;
	struct tfs_placed *me;

	if (in_burst == p->burst)
		return;
	pthread_mutex_lock(&p->lock);
	const uint32_t burst = p->burst;
	if (burst && p->n_placed < TFS_MAX_PLACED) {
		me = &p->placed[p->n_placed];
		me->tid = gettid();
		if (waited_of(me->tid, &me->waited)) {
			p->n_placed++;
			if (p->cpu >= 0)
				bind_to(0, p->cpu);
			takes_part = true;
		}
	}
	in_burst = burst;
	pthread_mutex_unlock(&p->lock);
	if (takes_part)
		set_policy(0, SCHED_IDLE);
	if (takes_part && p->burst != burst) /* which is over, and may have been over before that */
		leave_idle(p, gettid());
}

void tfs_placement_end(struct tfs_placement *p)
{
	if (!p->burst)
		return;
	pthread_mutex_lock(&p->lock);
	end_burst(p);
	pthread_mutex_unlock(&p->lock);
}

void tfs_placement_answering(struct tfs_placement *p, pid_t caller, bool ring, bool opens)
{
	if (opens) {
		p->opens++;
		if (!ring && caller != p->caller) {
			p->caller = caller;
			p->row = 0;
			p->since = tfs_now();
			tfs_placement_end(p);
		}
		if (++p->row % BURST_OPENS == 0 && !p->burst) {
			const double now = tfs_now();

			if (now - p->since < BURST_SECONDS)
				begin_burst(p, caller, ring);
			p->since = now;
		}
	}
	if (p->burst)
		take_part(p);
	if (p->burst && opens && !ring && p->opens % FOLLOW_EVERY == 0)
		follow_caller(p);
}

void tfs_placement_init(struct tfs_placement *p, struct tfs_helper *keeper)
{
	*p = (struct tfs_placement){ .keeper = keeper, .cpu = -1 };
	pthread_mutex_init(&p->lock, NULL);
	tfs_cond_init(&p->changed);
}

void tfs_placement_fini(struct tfs_placement *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (p->running)
		pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
}
