// SPDX-License-Identifier: GPL-2.0
/*
 * Interval notifiers: the collision-retry scheme, and that each invalidation calls
 * what it has to call.
 */
#include "kselftest_harness.h"
#include "mmu_notifier.h"

FIXTURE(interval) {
	int fd;
	int list;
	int id;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(interval) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(interval, one_pass) { .kind = TMN_INTERVAL };
FIXTURE_VARIANT_ADD(interval, two_pass) { .kind = TMN_INTERVAL_TWO_PASS };

FIXTURE_SETUP(interval)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
	/* Its gate holds an invalidation between start and end. */
	self->list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map,
				  self->page);
	ASSERT_GT(self->list, 0);
	self->id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(interval)
{
	close(self->fd);
}

TEST_F(interval, retry)
{
	uint64_t seq;
	int i;

	/* More often than once: the sequence moves. */
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, tmn_read_begin(self->fd, self->id, &seq));
		EXPECT_EQ(0, tmn_read_retry(self->fd, self->id, seq));
		ASSERT_EQ(0, touch(self->map + 2 * self->page, self->page));
		EXPECT_EQ(0, tmn_read_retry(self->fd, self->id, seq));
		ASSERT_EQ(0, touch(self->map, self->page));
		EXPECT_EQ(1, tmn_read_retry(self->fd, self->id, seq));
	}
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).late);
}

/* A reader that collides waits for the end, and need not try again. */
TEST_F(interval, read_begin_waits)
{
	struct call call = { .fd = self->fd, .id = self->id, .func = read_begin_call };
	struct held held;
	pthread_t reader;

	ASSERT_EQ(0, hold(&held, self->fd, self->list, self->map, self->page));
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, unhold(&held));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	EXPECT_EQ(0, call.ret);
}

/*
 * A subscription that arrives while its range is being invalidated was not
 * called: its reader has to wait for the end as well.
 */
TEST_F(interval, late_insert)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	struct held held;
	pthread_t reader;

	ASSERT_EQ(0, hold(&held, self->fd, self->list, self->map, self->page));
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).starts);
	ASSERT_EQ(0, unhold(&held));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	EXPECT_EQ(0, call.ret);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
}

/*
 * Mappings change hands without a gap: the new subscription is inserted, its
 * reader waits for what may have been too early for it, and only then the old
 * one is removed.
 */
TEST_F(interval, handed_over)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	struct held held;
	pthread_t reader;

	/* It comes first, so the walk has not reached the old one. */
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	call.id = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	self->id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(self->id, 0);
	ASSERT_EQ(0, hold(&held, self->fd, call.id, self->map, self->page));
	ASSERT_EQ(0, tmn_stats(self->fd, self->id).starts);
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, unhold(&held));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
}

/* remove waits for the callbacks that run, the second pass included. */
TEST_F(interval, remove_waits)
{
	struct area a = { .changed = self->map, .changed_len = self->page };
	struct call call = { .fd = self->fd, .id = self->id, .func = tmn_unregister };
	unsigned int gate = variant->kind == TMN_INTERVAL ? TMN_GATE_START : TMN_GATE_FINISH;
	pthread_t invalidator, remover;
	struct tmn_stats stats;

	ASSERT_EQ(0, tmn_gate(self->fd, self->id, gate));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &a));
	ASSERT_EQ(0, tmn_at_gate(self->fd, self->id));
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, self->id, 0));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	EXPECT_EQ(0, call.ret);
	stats = tmn_stats(self->fd, self->id);
	EXPECT_EQ(1, stats.starts);
	EXPECT_EQ(variant->kind == TMN_INTERVAL_TWO_PASS, stats.finishes);
	EXPECT_EQ(0, stats.late);
}

/*
 * With an invalidation of the range in progress that has called what is there. The
 * new one was inserted too late to be called by it.
 */
TEST_F(interval, insert_and_remove_meanwhile)
{
	struct call calls[2] = {
		{ .fd = self->fd, .func = tmn_unregister },
		{ .fd = self->fd, .id = self->id, .func = tmn_unregister },
	};
	pthread_t removers[2];
	struct held held;
	int i;

	ASSERT_EQ(0, hold(&held, self->fd, self->list, self->map, self->page));
	calls[0].id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(calls[0].id, 0);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&removers[i], NULL, call_thread, &calls[i]));
	/* What is not called need not be waited for. */
	EXPECT_FALSE(asleep(&calls[0]));
	EXPECT_TRUE(asleep(&calls[1]));
	ASSERT_EQ(0, unhold(&held));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(removers[i], NULL));
		EXPECT_EQ(0, calls[i].ret);
	}
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, calls[0].id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).late);
}

/*
 * A removal does not take from an invalidation that is in progress what it has yet
 * to call: the mappings of @self->id are there until its callback unmaps them. The
 * walk is held in the callback before.
 */
TEST_F(interval, remove_delivers)
{
	struct call call = { .fd = self->fd, .func = tmn_unregister };
	struct held held;
	pthread_t remover;
	int first;

	/* The first in the tree. */
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	first = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);
	ASSERT_GT(first, 0);
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	/* Holds the range a second time, before its end. */
	ASSERT_EQ(0, tmn_gate(self->fd, self->list, TMN_GATE_START));
	ASSERT_EQ(0, hold(&held, self->fd, first, self->map, self->page));
	ASSERT_EQ(0, tmn_stats(self->fd, call.id).starts);
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, first, 0));
	ASSERT_EQ(0, tmn_at_gate(self->fd, self->list));
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
	held.id = self->list;
	ASSERT_EQ(0, unhold(&held));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
	EXPECT_EQ(variant->kind == TMN_INTERVAL_TWO_PASS,
		  tmn_stats(self->fd, call.id).finishes);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).late);
}

/*
 * Nor from one that begins while the removal waits. It does so for as long as
 * ranges that overlap leave no gap.
 */
TEST_F(interval, remove_without_gap)
{
	struct call call = { .fd = self->fd, .func = tmn_unregister };
	struct held held[2];
	pthread_t remover;
	int list[2], i;

	for (i = 0; i < 2; i++) {
		list[i] = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0,
				       self->map + (1 + i) * self->page, self->page);
		ASSERT_GT(list[i], 0);
	}
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map + self->page,
			       2 * self->page);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, hold(&held[0], self->fd, list[0], self->map + self->page, self->page));
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	for (i = 1; i < 5; i++) {
		EXPECT_TRUE(asleep(&call));
		EXPECT_EQ(i, tmn_stats(self->fd, call.id).starts);
		ASSERT_EQ(0, hold(&held[i % 2], self->fd, list[i % 2],
				  self->map + (1 + i % 2) * self->page, self->page));
		ASSERT_EQ(0, unhold(&held[!(i % 2)]));
	}
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, unhold(&held[!(i % 2)]));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(i, tmn_stats(self->fd, call.id).starts);
	ASSERT_EQ(0, touch(self->map + self->page, 2 * self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).late);
}

/*
 * A range is waited for that has yet to call the subscription. What the reader gets
 * is the number that the range sets then, not the one before.
 */
TEST_F(interval, read_fresh)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	struct held held;
	pthread_t reader;
	int first;

	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	first = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);
	ASSERT_GT(first, 0);
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, hold(&held, self->fd, first, self->map, self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).starts);
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, unhold(&held));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
	EXPECT_EQ(0, call.ret);
}

/*
 * As handed_over, without a reader between the two, and both in the middle of a walk
 * that has not come to them: each range calls the old one or the new one.
 */
TEST_F(interval, hand_over)
{
	char *changed = self->map + 2 * self->page;
	struct call call = { .fd = self->fd, .func = tmn_unregister };
	struct held held;
	pthread_t remover;
	int first, new;

	first = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map + self->page,
			     self->page);
	ASSERT_GT(first, 0);
	call.id = tmn_register(self->fd, variant->kind, 0, 0, changed, self->page);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, hold(&held, self->fd, first, self->map + self->page, 2 * self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).starts);
	new = tmn_register(self->fd, variant->kind, 0, 0, changed, self->page);
	ASSERT_GT(new, 0);
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	EXPECT_TRUE(asleep(&call));
	/* Newer than both, and the old one is there as long as its removal waits. */
	ASSERT_EQ(0, touch(changed, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, new).starts);
	EXPECT_TRUE(asleep(&call));
	ASSERT_EQ(0, unhold(&held));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(2, tmn_stats(self->fd, call.id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, new).starts);
	ASSERT_EQ(0, touch(changed, self->page));
	EXPECT_EQ(2, tmn_stats(self->fd, call.id).starts);
	EXPECT_EQ(2, tmn_stats(self->fd, new).starts);
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).late);
}

/*
 * Many interval notifiers in one walk, in the order of their addresses: how many
 * the kernel looks at together must not make a difference.
 */
#define WALK_MAX	1000

FIXTURE(walk) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(walk) {
	int n;
};

FIXTURE_VARIANT_ADD(walk, n1) { 1 };
FIXTURE_VARIANT_ADD(walk, n2) { 2 };
FIXTURE_VARIANT_ADD(walk, n16) { 16 };
FIXTURE_VARIANT_ADD(walk, n17) { 17 };
FIXTURE_VARIANT_ADD(walk, n18) { 18 };
FIXTURE_VARIANT_ADD(walk, n33) { 33 };
FIXTURE_VARIANT_ADD(walk, n1000) { WALK_MAX };

FIXTURE_SETUP(walk)
{
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->page = getpagesize();
	self->map = map_aligned(variant->n * self->page, self->page, false);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(walk)
{
	close(self->fd);
}

static unsigned int walk_kind(int i)
{
	return i % 3 == 1 ? TMN_INTERVAL_TWO_PASS : TMN_INTERVAL;
}

/* One for each page, with the ids 1, 2, 3... */
static int insert_all(int fd, char *map, size_t page, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (tmn_register(fd, walk_kind(i), 0, TMN_F_NO_LOG,
				 map + i * page, page) != i + 1)
			return -EPROTO;
	return 0;
}

/* How many of [from, to) have not been called @want times, in each pass. */
static int walked_wrong(int fd, int from, int to, uint64_t want)
{
	int i, wrong = 0;

	for (i = from; i < to; i++) {
		struct tmn_stats stats = tmn_stats(fd, i + 1);
		bool two_pass = walk_kind(i) == TMN_INTERVAL_TWO_PASS;

		wrong += stats.starts != want || stats.unmatched ||
			 stats.finishes + stats.absorbed != (two_pass ? want : 0);
	}
	return wrong;
}

TEST_F(walk, blocking)
{
	size_t half = variant->n / 2 * self->page;

	ASSERT_EQ(0, insert_all(self->fd, self->map, self->page, variant->n));
	ASSERT_EQ(0, touch(self->map, variant->n * self->page));
	EXPECT_EQ(0, walked_wrong(self->fd, 0, variant->n, 1));
	ASSERT_EQ(0, touch(self->map + half, variant->n * self->page - half));
	EXPECT_EQ(0, walked_wrong(self->fd, 0, variant->n / 2, 1));
	EXPECT_EQ(0, walked_wrong(self->fd, variant->n / 2, variant->n, 2));
}

/*
 * Held in the second callback: removed are what it has called, what it is calling,
 * what is next, and what is last. Each of them is called before its removal
 * returns, and not again after that.
 */
TEST_F(walk, removed)
{
	int ids[4] = { 1, 2, 3, variant->n }, n = variant->n, nr = 0, i, at = n > 1 ? 2 : 1;
	struct call calls[4] = { };
	pthread_t removers[4];
	struct held held;
	int last = 0;

	ASSERT_EQ(0, insert_all(self->fd, self->map, self->page, n));
	ASSERT_EQ(0, hold(&held, self->fd, at, self->map, n * self->page));
	EXPECT_EQ(0, walked_wrong(self->fd, at, n, 0));
	for (i = 0; i < 4; i++) {
		if (ids[i] <= last || ids[i] > n)
			continue;
		last = ids[i];
		calls[nr] = (struct call) {
			.fd = self->fd, .id = last, .func = tmn_unregister,
		};
		ASSERT_EQ(0, pthread_create(&removers[nr], NULL, call_thread, &calls[nr]));
		EXPECT_TRUE(asleep(&calls[nr]));
		nr++;
	}
	ASSERT_EQ(0, unhold(&held));
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, pthread_join(removers[i], NULL));
		EXPECT_EQ(0, calls[i].ret);
	}
	EXPECT_EQ(0, walked_wrong(self->fd, 0, n, 1));
	ASSERT_EQ(0, touch(self->map, n * self->page));
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(1, tmn_stats(self->fd, calls[i].id).starts);
		EXPECT_EQ(0, tmn_stats(self->fd, calls[i].id).late);
	}
	EXPECT_EQ(0, walked_wrong(self->fd, 3, n - 1, 2));
}

/* The one at @failing fails, the first one being 0; none when it is -1. */
static void reap_walk(struct __test_metadata *_metadata, int fd, int n, int failing)
{
	static struct wanted wanted[WALK_MAX];
	struct reaping r = { .fd = fd };
	uint64_t seq;
	int i;

	for (i = 0; i < n; i++)
		wanted[i] = (struct wanted) {
			.kind = walk_kind(i),
			.flags = TMN_F_NO_LOG | (i == failing ? TMN_F_FAIL_NONBLOCK : 0),
			.first_page = i,
			.pages = 1,
		};
	EXPECT_EQ(failing < 0 ? 0 : -EAGAIN, reap(&r, wanted, n));
	EXPECT_EQ(0, walked_wrong(fd, 0, failing < 0 ? n : failing, 1));
	if (failing >= 0) {
		EXPECT_EQ(1, tmn_stats(fd, failing + 1).failed);
		EXPECT_EQ(0, walked_wrong(fd, failing, n, 0));
	}
	/* The range has ended, for all of them. */
	EXPECT_EQ(0, tmn_read_begin(fd, 1, &seq));
	EXPECT_EQ(0, tmn_read_begin(fd, n, &seq));
	EXPECT_EQ(0, tmn_remove_timed(fd, 1));
	EXPECT_EQ(0, let_go(&r));
}

TEST_F(walk, nonblocking)
{
	reap_walk(_metadata, self->fd, variant->n, -1);
}

TEST_F(walk, nonblocking_fails)
{
	const int failing[] = { 0, variant->n / 2, variant->n - 1 };
	int i, fd;

	for (i = 0; i < 3; i++) {
		if (i && failing[i] == failing[i - 1])
			continue;
		fd = tmn_open();
		ASSERT_GE(fd, 0);
		reap_walk(_metadata, fd, variant->n, failing[i]);
		close(fd);
	}
}

TEST_HARNESS_MAIN
