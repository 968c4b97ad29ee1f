/* SPDX-License-Identifier: MIT */
/* Starting threads, and waits with a deadline in tfs_now() time. */
#ifndef TFS_BASE_THREAD_H
#define TFS_BASE_THREAD_H

#include <assert.h>
#include <pthread.h>
#include <unistd.h>

/*
 * Start a thread named @name (15 characters are shown, in ps -L and in debuggers) with every signal blocked: signals are the main
 * thread's. 0, or -errno if no thread can be started.
 */
int tfs_thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg);

/* A condition for tfs_cond_wait_until(). */
void tfs_cond_init(pthread_cond_t *c);

/* pthread_cond_timedwait() until tfs_now() reaches @when. 0 or -ETIMEDOUT. */
int tfs_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, double when);

/* For functions that are called with @lock held: aborts a build with assertions if it isn't. */
static inline void tfs_assert_held(const pthread_mutex_t *lock)
{
	(void)lock;
#if !defined(NDEBUG) && defined(__GLIBC__)
	static _Thread_local pid_t me;

	if (!me)
		me = gettid();
	assert(lock->__data.__owner == me);
#endif
}

#endif
