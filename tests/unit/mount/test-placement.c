/* SPDX-License-Identifier: MIT */
/* A burst of opens changes threads, and all of them are as before once it is over. */
#include "support/helpers.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/mount/keeper.h"
#include "fs/mount/placement.h"

#define PATIENCE 60.0 /* seconds: on a busy machine nobody is placed for a while */

/* A thread that one that is placed starts, as libfuse does. */
struct child {
	pthread_t thread;
	_Atomic pid_t tid;
	atomic_bool end;
};

static void *child(void *arg)
{
	struct child *c = arg;

	c->tid = gettid();
	while (!c->end)
		usleep(1000);
	return NULL;
}

/* There is none. */
int tfs_keeper_leave_idle(struct tfs_helper *h, pid_t tid)
{
	assert_null(h);
	(void)tid;
	return -EPERM;
}

static bool may_leave_idle(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	return !syscall(SYS_capget, &header, sets) && (sets[0].effective & (1u << CAP_SYS_NICE));
}

/* A burst, seen from the thread that answers. cmocka's assertions are for the thread that runs the test. */
struct burst {
	bool ring;
	bool placed;		/* there was one, and the thread took part */
	int policy, its_policy; /* its own and its child's, once it is over */
	cpu_set_t before, after, its_after;
};

static bool open_until_burst(struct tfs_placement *p, bool ring)
{
	const double until = tfs_now() + PATIENCE;

	while (!p->burst && tfs_now() < until)
		tfs_placement_answering(p, getpid(), ring, true);
	tfs_placement_answering(p, getpid(), ring, true);
	return sched_getscheduler(0) == SCHED_IDLE;
}

static void *answer(void *arg)
{
	struct burst *b = arg;
	struct tfs_placement p;
	struct child c = { 0 };

	sched_getaffinity(0, sizeof b->before, &b->before);
	tfs_placement_init(&p, NULL);
	b->placed = open_until_burst(&p, b->ring);
	pthread_create(&c.thread, NULL, child, &c);
	/* The child may get a CPU only once nobody opens. */
	while (p.burst || !c.tid)
		usleep(1000);
	pthread_mutex_lock(&p.lock); /* it may still be being ended */
	pthread_mutex_unlock(&p.lock);
	b->policy = sched_getscheduler(0);
	b->its_policy = sched_getscheduler(c.tid);
	sched_getaffinity(0, sizeof b->after, &b->after);
	sched_getaffinity(c.tid, sizeof b->its_after, &b->its_after);
	c.end = true;
	pthread_join(c.thread, NULL);
	tfs_placement_fini(&p);
	return NULL;
}

static void test_all_as_before(void **state)
{
	pthread_t thread;

	(void)state;
	if (!may_leave_idle())
		skip();
	for (int ring = 0; ring < 2; ring++) {
		struct burst b = { .ring = ring };

		assert_int_equal(pthread_create(&thread, NULL, answer, &b), 0);
		pthread_join(thread, NULL);
		assert_true(b.placed);
		assert_int_equal(b.policy, SCHED_OTHER);
		assert_int_equal(b.its_policy, SCHED_OTHER);
		assert_true(CPU_EQUAL(&b.after, &b.before));
		assert_true(CPU_EQUAL(&b.its_after, &b.before));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_as_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
