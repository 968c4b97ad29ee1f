/* SPDX-License-Identifier: MIT */
/* Threads as all are started, the clock, and waits until a time of it. None asks how late anything may be: machines are busy. */
#include "support/helpers.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/thread.h"

static void time_goes_forward(void **state)
{
	struct timespec before, after;
	double last = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		clock_gettime(CLOCK_MONOTONIC, &before);
		double now = tfs_now();
		clock_gettime(CLOCK_MONOTONIC, &after);
		assert_true(now >= last);
		/* A double has room for 100 ns on a machine that has been up for years. */
		assert_true(now >= (double)before.tv_sec + (double)before.tv_nsec * 1e-9 - 1e-7);
		assert_true(now <= (double)after.tv_sec + (double)after.tv_nsec * 1e-9 + 1e-7);
		last = now;
	}
}

/* --- Threads -------------------------------------------------------------------------------------------------------- */

struct seen {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	sigset_t blocked; /* in the thread */
	bool asked, told; /* to end; that it waits */
};

static void *look(void *arg)
{
	struct seen *s = arg;

	pthread_sigmask(SIG_BLOCK, NULL, &s->blocked);
	pthread_mutex_lock(&s->lock);
	s->told = true;
	pthread_cond_signal(&s->cond);
	while (!s->asked)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return s;
}

static void seen_init(struct seen *s)
{
	*s = (struct seen){ 0 };
	pthread_mutex_init(&s->lock, NULL);
	tfs_cond_init(&s->cond);
}

static void seen_fini(struct seen *s)
{
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
}

static void wait_for(struct seen *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->told)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void end(struct seen *s, pthread_t thread)
{
	void *ret;

	pthread_mutex_lock(&s->lock);
	s->asked = true;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_ptr_equal(ret, s);
}

static void a_thread_has_its_name(void **state)
{
	static const char *const names[] = { "t", "fifteen-letters" };

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++) {
		struct seen s;
		pthread_t thread;
		char name[64];

		seen_init(&s);
		assert_int_equal(tfs_thread_start(&thread, names[i], look, &s), 0);
		wait_for(&s); /* a thread names itself */
		assert_int_equal(pthread_getname_np(thread, name, sizeof name), 0);
		assert_string_equal(name, names[i]);
		end(&s, thread);
		seen_fini(&s);
	}
}

static void signals_stay_with_the_starter(void **state)
{
	static const int all[] = { SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGCHLD, SIGTSTP };
	struct seen s;
	pthread_t thread;
	sigset_t one, old, now;

	(void)state;
	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &one, &old), 0);
	seen_init(&s);
	assert_int_equal(tfs_thread_start(&thread, "signals", look, &s), 0);
	pthread_sigmask(SIG_SETMASK, &old, &now);
	end(&s, thread);
	for (size_t i = 0; i < LENGTH(all); i++) {
		assert_int_equal(sigismember(&s.blocked, all[i]), 1);
		assert_int_equal(sigismember(&now, all[i]), all[i] == SIGUSR2);
	}
	seen_fini(&s);
}

/* --- Waits ---------------------------------------------------------------------------------------------------------- */

static void a_wait_ends_at_its_time(void **state)
{
	struct seen s;

	(void)state;
	seen_init(&s);
	pthread_mutex_lock(&s.lock);
	for (int i = 0; i < 5; i++) {
		double until = tfs_now() + 0.003 * i;
		int r;

		while (!(r = tfs_cond_wait_until(&s.cond, &s.lock, until)))
			; /* for no reason, as a condition may */
		assert_int_equal(r, -ETIMEDOUT);
		assert_true(tfs_now() >= until - 1e-6);
		tfs_assert_held(&s.lock);
	}
	/* A time that is over, and the earliest that there is. */
	assert_int_equal(tfs_cond_wait_until(&s.cond, &s.lock, tfs_now() - 10), -ETIMEDOUT);
	assert_int_equal(tfs_cond_wait_until(&s.cond, &s.lock, 0), -ETIMEDOUT);
	pthread_mutex_unlock(&s.lock);
	seen_fini(&s);
}

static void a_wait_ends_when_it_is_told_to(void **state)
{
	struct seen s;
	pthread_t thread;
	double until = tfs_now() + 3600;
	int r = 0;

	(void)state;
	seen_init(&s);
	pthread_mutex_lock(&s.lock);
	assert_int_equal(tfs_thread_start(&thread, "tells", look, &s), 0);
	while (!s.told && !r)
		r = tfs_cond_wait_until(&s.cond, &s.lock, until);
	tfs_assert_held(&s.lock);
	pthread_mutex_unlock(&s.lock);
	assert_int_equal(r, 0);
	end(&s, thread);
	seen_fini(&s);
}

static void a_lock_that_is_not_held_is_seen(void **state)
{
	(void)state;
#if defined(NDEBUG) || !defined(__GLIBC__)
	print_message("SKIP: optional: a build without assertions\n");
	skip();
#else
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int status;
	pid_t child = fork();

	if (!child) {
		close(STDERR_FILENO);
		tfs_assert_held(&lock);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_goes_forward),
		cmocka_unit_test(a_thread_has_its_name),
		cmocka_unit_test(signals_stay_with_the_starter),
		cmocka_unit_test(a_wait_ends_at_its_time),
		cmocka_unit_test(a_wait_ends_when_it_is_told_to),
		cmocka_unit_test(a_lock_that_is_not_held_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
