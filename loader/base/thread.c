/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

struct start {
	char name[16];
	void *(*run)(void *arg);
	void *arg;
};

/* A thread names itself: for another one's name the kernel wants a file of /proc to be written. */
static void *begin(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	prctl(PR_SET_NAME, s.name);
	return s.run(s.arg);
}

int tfs_thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg)
{
	struct start *s = malloc(sizeof *s);
	sigset_t all, old;
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct start){ .run = run, .arg = arg };
	snprintf(s->name, sizeof s->name, "%s", name);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(ret_thread, NULL, begin, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		free(s);
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
