// SPDX-License-Identifier: GPL-2.0
/*
 * Ranges that do not overlap do not wait for each other, and what waits for those
 * that do is woken once, by the last of them, by a fatal signal, or by a deadline.
 */
#include <time.h>

#include "kselftest_harness.h"
#include "mmu_notifier.h"

/*
 * The callback of another interval notifier takes its time, on the first page; ours
 * is on the third.
 */
FIXTURE(elsewhere) {
	int fd;
	int slow;
	int id;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(elsewhere) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(elsewhere, one_pass) { .kind = TMN_INTERVAL };
FIXTURE_VARIANT_ADD(elsewhere, two_pass) { .kind = TMN_INTERVAL_TWO_PASS };

FIXTURE_SETUP(elsewhere)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
	self->slow = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(self->slow, 0);
	self->id = tmn_register(self->fd, variant->kind, 0, 0,
				self->map + 2 * self->page, self->page);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(elsewhere)
{
	close(self->fd);
}

TEST_F(elsewhere, remove)
{
	struct held held;

	ASSERT_EQ(0, hold(&held, self->fd, self->slow, self->map, self->page));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->id));
	EXPECT_EQ(0, touch(self->map + 2 * self->page, self->page));
	ASSERT_EQ(0, unhold(&held));
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, self->slow).starts);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->slow));
}

/* What is inserted is called from then on. */
TEST_F(elsewhere, insert)
{
	char *last = self->map + 3 * self->page;
	struct held held;
	int id;

	ASSERT_EQ(0, hold(&held, self->fd, self->slow, self->map, self->page));
	id = tmn_register(self->fd, variant->kind, 0, 0, last, self->page);
	ASSERT_GT(id, 0);
	EXPECT_EQ(0, touch(last, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id));
	EXPECT_EQ(0, touch(last, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
	ASSERT_EQ(0, unhold(&held));
}

/* The tree changes while a walk is held: what it finds is what was there before. */
TEST_F(elsewhere, walk_goes_on)
{
	struct held held;
	int next, last;

	next = tmn_register(self->fd, variant->kind, 0, 0, self->map + self->page,
			    self->page);
	ASSERT_GT(next, 0);
	ASSERT_EQ(0, hold(&held, self->fd, self->slow, self->map, 2 * self->page));
	/* On the page after the range. */
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->id));
	last = tmn_register(self->fd, variant->kind, 0, 0, self->map + self->page,
			    3 * self->page);
	ASSERT_GT(last, 0);
	ASSERT_EQ(0, unhold(&held));
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, next).starts);
	/* It came later than the range. */
	EXPECT_EQ(0, tmn_stats(self->fd, last).starts);
	ASSERT_EQ(0, touch(self->map, 4 * self->page));
	EXPECT_EQ(2, tmn_stats(self->fd, next).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, last).starts);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->slow));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, next));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, last));
}

TEST_F(elsewhere, read_begin)
{
	char *mine = self->map + 2 * self->page;
	struct held held;
	uint64_t seq;
	int i;

	ASSERT_EQ(0, hold(&held, self->fd, self->slow, self->map, self->page));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, tmn_read_begin(self->fd, self->id, &seq));
		EXPECT_EQ(0, tmn_read_retry(self->fd, self->id, seq));
		EXPECT_EQ(0, touch(mine, self->page));
		EXPECT_EQ(1, tmn_read_retry(self->fd, self->id, seq));
	}
	ASSERT_EQ(0, unhold(&held));
}

/*
 * A driver that inserts, and does not have to wait, must be told of what comes then:
 * if the insert took effect later, the mapping of a freed page would survive.
 */
TEST_F(elsewhere, insert_and_read)
{
	char *last = self->map + self->page;
	struct held held;
	uint64_t seq;
	int id;

	ASSERT_EQ(0, hold(&held, self->fd, self->slow, self->map, self->page));
	id = tmn_register(self->fd, variant->kind, 0, 0, last, self->page);
	ASSERT_GT(id, 0);
	ASSERT_EQ(0, tmn_read_begin(self->fd, id, &seq));
	EXPECT_EQ(0, madvise(last, self->page, MADV_DONTNEED));
	EXPECT_EQ(1, tmn_read_retry(self->fd, id, seq));
	/* The range is still in progress. */
	EXPECT_EQ(0, tmn_at_gate(self->fd, self->slow));
	ASSERT_EQ(0, unhold(&held));
}

/* 0: the range is valid after the wait; 1: it is not. */
static int wait_and_check(int fd, int id)
{
	int ret = wait_valid(fd, id);

	return ret ? ret : !is_valid(fd, id);
}

/* What waits for ranges: the reader of an interval notifier, or wait_valid. */
FIXTURE(overlap) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(overlap) {
	unsigned int kind;
	unsigned int ops;
	unsigned int flags;
	int (*func)(int fd, int id);
};

FIXTURE_VARIANT_ADD(overlap, one_pass) {
	.kind = TMN_INTERVAL,
	.func = read_begin_call,
};

FIXTURE_VARIANT_ADD(overlap, two_pass) {
	.kind = TMN_INTERVAL_TWO_PASS,
	.func = read_begin_call,
};

FIXTURE_VARIANT_ADD(overlap, tracked) {
	.kind = TMN_LIST,
	.ops = TMN_OP_ALL,
	.flags = TMN_F_TRACK,
	.func = wait_and_check,
};

FIXTURE_SETUP(overlap)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(overlap)
{
	close(self->fd);
}

#define WAITER(start, len) \
	tmn_register(self->fd, variant->kind, variant->ops, variant->flags, start, len)

/* Ranges overlap when they have a page in common, and not when they touch. */
TEST_F(overlap, neighbours)
{
	struct call call = { .fd = self->fd, .func = variant->func };
	const struct {
		size_t from;
		size_t pages;
		bool waits;
	} subs[] = {
		{ 0, 1, false }, { 3, 1, false },
		{ 0, 2, true }, { 2, 2, true }, { 0, 4, true }, { 1, 1, true },
	};
	struct held held;
	pthread_t waiter;
	int list, i, id[ARRAY_SIZE(subs)];

	list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map + self->page,
			    2 * self->page);
	ASSERT_GT(list, 0);
	for (i = 0; i < (int)ARRAY_SIZE(subs); i++) {
		id[i] = WAITER(self->map + subs[i].from * self->page,
			       subs[i].pages * self->page);
		ASSERT_GT(id[i], 0);
	}
	for (i = 0; i < (int)ARRAY_SIZE(subs); i++) {
		ASSERT_EQ(0, hold(&held, self->fd, list, self->map + self->page,
				  2 * self->page));
		atomic_store(&call.done, false);
		call.id = id[i];
		ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
		EXPECT_EQ(subs[i].waits, asleep(&call)) {
			TH_LOG("range %d", i);
		}
		ASSERT_EQ(0, unhold(&held));
		ASSERT_EQ(0, pthread_join(waiter, NULL));
		EXPECT_EQ(0, call.ret) {
			TH_LOG("range %d", i);
		}
	}
}

/* It waits for the ranges that were there before, not for one that came later. */
TEST_F(overlap, older_and_newer)
{
	struct call call = { .fd = self->fd, .func = variant->func };
	struct held older[2], newer;
	pthread_t waiter;
	int list[3], i;

	/* Their gates come after all interval notifiers, until end. */
	for (i = 0; i < 3; i++) {
		list[i] = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0,
				       self->map + i * self->page, self->page);
		ASSERT_GT(list[i], 0);
	}
	call.id = WAITER(self->map, 3 * self->page);
	ASSERT_GT(call.id, 0);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, hold(&older[i], self->fd, list[i],
				  self->map + i * self->page, self->page));
	ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, hold(&newer, self->fd, list[2], self->map + 2 * self->page, self->page));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, unhold(&older[0]));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, unhold(&older[1]));
	/* Not a timeout, and not taken for valid either. */
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	EXPECT_EQ(1, call.ret);
	ASSERT_EQ(0, unhold(&newer));
	EXPECT_EQ(0, variant->func(self->fd, call.id));
	EXPECT_EQ(3, tmn_stats(self->fd, call.id).starts);
}

/* Exit invalidates everything, up to the last page, and then nothing is left. */
TEST_F(overlap, exit)
{
	struct call call = { .fd = self->fd, .func = variant->func };
	char *top = (char *)-self->page;
	int ids[2], id[2], status;
	pthread_t waiter;
	pid_t child;

	ASSERT_EQ(0, pipe(ids));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		id[0] = WAITER(top, self->page - 1);
		id[1] = tmn_register(self->fd, TMN_INTERVAL, 0, 0, top, self->page - 1);
		if (id[0] < 0 || id[1] < 0 || tmn_gate(self->fd, id[1], TMN_GATE_START) ||
		    write(ids[1], id, sizeof(id)) != sizeof(id))
			_exit(1);
		_exit(0);
	}
	close(ids[1]);
	ASSERT_EQ((int)sizeof(id), read(ids[0], id, sizeof(id)));
	ASSERT_EQ(0, tmn_at_gate(self->fd, id[1]));
	call.id = id[0];
	ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, id[1], 0));
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	/* What exit unmaps can have come after it. */
	EXPECT_GE(call.ret, 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* The mm is gone but for our reference, and can be asked. */
	EXPECT_EQ(0, variant->func(self->fd, id[0]));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id[0]));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id[1]));
	EXPECT_GT(tmn_stats(self->fd, id[1]).starts, 0);
}

/* Until @timeout_ms, 0 for no limit; in this thread, so that a signal can end it. */
static int wait_timed(int fd, int id, unsigned int timeout_ms, uint64_t *seq)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = timeout_ms };
	int ret = tmn(fd, TMN_WAIT_TIMED, &wait);

	if (seq)
		*seq = wait.seq;
	return ret;
}

static int wait_without_limit(int fd, int id)
{
	return wait_timed(fd, id, 0, NULL);
}

static int wait_for_long(int fd, int id)
{
	return wait_timed(fd, id, LIMIT_MS, NULL);
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_signal(int sig)
{
}

/* After one wait that timed out everything works as if it had not been. */
TEST_F(overlap, timeout)
{
	int (*const funcs[])(int fd, int id) = { wait_without_limit, wait_for_long };
	struct sigaction sa = { .sa_handler = on_signal };
	int list, id, elsewhere, i;
	struct held held;
	pthread_t waiter;
	uint64_t seq;
	long before;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	ASSERT_GT(list, 0);
	id = WAITER(self->map, self->page);
	ASSERT_GT(id, 0);
	elsewhere = WAITER(self->map + 2 * self->page, self->page);
	ASSERT_GT(elsewhere, 0);
	for (i = 0; i < 2; i++) {
		struct call call = { .fd = self->fd, .id = id, .func = funcs[i] };

		ASSERT_EQ(0, hold(&held, self->fd, list, self->map, self->page));
		before = now_ms();
		EXPECT_EQ(-ETIMEDOUT, wait_timed(self->fd, id, 100, NULL));
		/* Less a tick, which had begun. */
		EXPECT_GE(now_ms() - before, 80);
		EXPECT_EQ(0, wait_timed(self->fd, elsewhere, 1, NULL));
		ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
		EXPECT_TRUE(asleep(&call));
		/* Nor does a signal that has a handler end it. */
		ASSERT_EQ(0, pthread_kill(waiter, SIGUSR1));
		EXPECT_TRUE(asleep(&call));
		ASSERT_EQ(0, unhold(&held));
		ASSERT_EQ(0, pthread_join(waiter, NULL));
		EXPECT_EQ(0, call.ret);
		EXPECT_EQ(0, wait_timed(self->fd, id, 1, &seq));
		if (is_interval(variant->kind))
			EXPECT_EQ(0, tmn_read_retry(self->fd, id, seq));
		EXPECT_EQ(0, variant->func(self->fd, id));
		ASSERT_EQ(0, touch(self->map, self->page));
		if (is_interval(variant->kind))
			EXPECT_EQ(1, tmn_read_retry(self->fd, id, seq));
	}
	EXPECT_EQ(4, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, elsewhere));
}

/*
 * In a child: an invalidation that is held, and a thread that waits for it. The first
 * of the ids is that of what it is held in.
 */
static void wait_to_be_killed(int fd, int list, int id, char *map, size_t page)
{
	struct call call = { .fd = fd, .id = id, .func = wait_without_limit };
	struct held held;

	if (hold(&held, fd, list, map, page))
		_exit(3);
	call_thread(&call);
	_exit(4);
}

static long call_failed(void *arg)
{
	struct counter *c = arg;

	return tmn_stats(c->fd, c->id).call_ret == -EINTR;
}

/* SIGKILL ends the wait, while the range is still held. */
TEST_F(overlap, killed)
{
	struct counter c = { .fd = self->fd, .id = 2 };
	struct call call = { .fd = self->fd, .id = 2, .func = variant->func };
	pthread_t waiter;
	int status, ms;
	pid_t child;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		if (tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map,
				 self->page) != 1 ||
		    WAITER(self->map, self->page) != 2)
			_exit(1);
		wait_to_be_killed(self->fd, 1, 2, self->map, self->page);
	}
	for (ms = 0; ms < LIMIT_MS && tmn_asleep(self->fd, 2) != 1; ms++)
		usleep(1000);
	EXPECT_EQ(1, tmn_asleep(self->fd, 2));
	ASSERT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(1, wait_until(call_failed, &c, 1, 1));
	EXPECT_EQ(0, tmn_asleep(self->fd, 2));
	/* The thread that invalidates is there until its callback returns. */
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG));
	/* Nothing is left behind: another thread waits as before. */
	ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, 1, 0));
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	EXPECT_GE(call.ret, 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0, variant->func(self->fd, 2));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, 2));
}

/*
 * Many that wait for ranges in progress, of which there are many more: each is woken
 * once, whatever else ends before.
 */
#define WAITERS		64
#define RANGES		256
#define NEWER		50

struct crowd {
	int fd;
	char *map;
	size_t page;
	struct call calls[WAITERS];
	pthread_t waiters[WAITERS];
	struct area areas[RANGES];
	pthread_t invalidators[RANGES];
	/* the id of the first range's gate */
	int gates;
};

/* Polls until all of them sleep; false when one has returned. */
static bool all_asleep(struct crowd *c)
{
	int ms, i;

	for (ms = 0; ms < LIMIT_MS && tmn_asleep(c->fd, 0) != WAITERS; ms++) {
		for (i = 0; i < WAITERS; i++)
			if (atomic_load(&c->calls[i].done))
				return false;
		usleep(1000);
	}
	return tmn_asleep(c->fd, 0) == WAITERS;
}

/*
 * All threads are there before the first range is: with one in progress a stack
 * cannot be mapped everywhere.
 */
static pthread_barrier_t ranges_begin, waits_begin;

static void *crowd_waiter(void *call)
{
	pthread_barrier_wait(&waits_begin);
	return call_thread(call);
}

static void *crowd_invalidator(void *area)
{
	pthread_barrier_wait(&ranges_begin);
	return dontneed_thread(area);
}

/* On PREEMPT_RT a thread sleeps for spinlocks as well. */
static bool is_rt(void)
{
	return read_number("/sys/kernel/realtime") == 1;
}

/*
 * The ranges end in order, from @first on, and with the last of them the waits. Each
 * time either all threads sleep again, or the test fails.
 */
static void wake_up(struct __test_metadata *_metadata, struct crowd *c, int first)
{
	uint64_t sleeps = 0, most = 0;
	pthread_attr_t attr;
	int i;

	/* So small that the C library unmaps none of them in between. */
	ASSERT_EQ(0, pthread_attr_init(&attr));
	pthread_attr_setstacksize(&attr, 64 << 10);
	ASSERT_EQ(0, pthread_barrier_init(&ranges_begin, NULL, RANGES + 1));
	ASSERT_EQ(0, pthread_barrier_init(&waits_begin, NULL, WAITERS + 1));
	for (i = 0; i < RANGES; i++) {
		c->areas[i] = (struct area) {
			.changed = c->map + i * c->page,
			.changed_len = c->page,
		};
		ASSERT_EQ(0, tmn_gate(c->fd, c->gates + i, TMN_GATE_START));
		ASSERT_EQ(0, pthread_create(&c->invalidators[i], &attr, crowd_invalidator,
					    &c->areas[i]));
	}
	for (i = 0; i < WAITERS; i++)
		ASSERT_EQ(0, pthread_create(&c->waiters[i], &attr, crowd_waiter,
					    &c->calls[i]));
	pthread_barrier_wait(&ranges_begin);
	for (i = 0; i < RANGES; i++)
		ASSERT_EQ(0, tmn_at_gate(c->fd, c->gates + i));
	pthread_barrier_wait(&waits_begin);
	EXPECT_TRUE(all_asleep(c));
	for (i = 0; i < NEWER; i++)
		EXPECT_EQ(0, touch(c->map + RANGES * c->page, c->page));
	EXPECT_TRUE(all_asleep(c));
	for (i = first; i < first + RANGES; i++) {
		ASSERT_EQ(0, tmn_gate(c->fd, c->gates + i % RANGES, 0));
		ASSERT_EQ(0, pthread_join(c->invalidators[i % RANGES], NULL));
		if (i < first + RANGES - 1)
			EXPECT_TRUE(all_asleep(c));
	}
	for (i = 0; i < WAITERS; i++) {
		struct tmn_stats stats;

		ASSERT_EQ(0, pthread_join(c->waiters[i], NULL));
		EXPECT_EQ(0, c->calls[i].ret);
		stats = tmn_stats(c->fd, c->calls[i].id);
		sleeps += stats.sleeps;
		if (stats.sleeps > most)
			most = stats.sleeps;
	}
	if (is_rt())
		return;
	EXPECT_EQ(1, most);
	EXPECT_EQ(WAITERS, sleeps);
}

/* As read_begin_call(), with all the time that the module has: there are many. */
static int crowd_read(int fd, int id)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = 4 * LIMIT_MS };
	int ret = tmn(fd, TMN_READ_BEGIN, &wait);

	return ret ? ret : tmn_read_retry(fd, id, wait.seq);
}

static struct crowd crowd;

/*
 * A page and a gate for each range, and a page for the newer ones; waiters for the
 * first @pages of these.
 */
static int gather(struct crowd *c, int fd, size_t pages, unsigned int kind,
		  unsigned int ops, unsigned int flags, int (*func)(int fd, int id))
{
	int i;

	if (is_interval(kind))
		func = crowd_read;
	c->fd = fd;
	c->page = getpagesize();
	c->map = map_aligned((RANGES + 1) * c->page, c->page, false);
	if (c->map == MAP_FAILED)
		return -ENOMEM;
	for (i = 0; i < WAITERS; i++) {
		c->calls[i] = (struct call) { .fd = c->fd, .func = func };
		c->calls[i].id = tmn_register(c->fd, kind, ops, flags | TMN_F_NO_LOG,
					      c->map, pages * c->page);
		if (c->calls[i].id <= 0)
			return -EPROTO;
	}
	c->gates = c->calls[WAITERS - 1].id + 1;
	for (i = 0; i < RANGES; i++)
		if (tmn_register(c->fd, TMN_INTERVAL, 0, TMN_F_NO_LOG,
				 c->map + i * c->page, c->page) != c->gates + i)
			return -EPROTO;
	return 0;
}

/* They wait for all of the ranges, but for the newer ones. */
TEST_F(overlap, wake_up_overlapping)
{
	ASSERT_EQ(0, gather(&crowd, self->fd, RANGES + 1, variant->kind, variant->ops,
			    variant->flags, variant->func));
	wake_up(_metadata, &crowd, 0);
}

/* They wait for one of the ranges, which ends last. */
TEST_F(overlap, wake_up_unrelated)
{
	ASSERT_EQ(0, gather(&crowd, self->fd, 1, variant->kind, variant->ops,
			    variant->flags, variant->func));
	wake_up(_metadata, &crowd, 1);
}

TEST_HARNESS_MAIN
