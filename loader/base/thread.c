/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <signal.h>
#include <time.h>

int tfs_thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(ret_thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!r)
		pthread_setname_np(*ret_thread, name); /* a thread without its name works just as well */
	return -r;
}

void tfs_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

int tfs_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, double when)
{
	struct timespec until = { .tv_sec = (time_t)when };

	until.tv_nsec = (long)((when - (double)until.tv_sec) * 1e9);
	return -pthread_cond_timedwait(c, lock, &until);
}
