// SPDX-License-Identifier: GPL-2.0
/*
 * A list notifier is registered on a mm that is tracked: this waits for the
 * invalidations in progress, and for nothing else, and stops none.
 */
#include "kselftest_harness.h"
#include "mmu_notifier.h"

/*
 * What makes the mm tracked: an interval notifier, which an invalidation calls
 * before the list, or a list notifier with track_ranges.
 */
static int register_slow(int fd, unsigned int kind, char *page)
{
	bool interval = is_interval(kind);

	return tmn_register(fd, kind, interval ? 0 : TMN_OP_PAIR,
			    interval ? 0 : TMN_F_TRACK, page, getpagesize());
}

/*
 * Two files are mapped, a page each. Holes are punched in them, which invalidates
 * with no lock but that of the mapping. Invalidations of the second can be held in
 * a callback of @slow. The first has the lower address: where registration takes a lock for
 * each VMA, it has that of the first while it waits for the second.
 */
FIXTURE(flat) {
	int fd;
	int slow;
	int file[2];
	char *map;
	size_t page;
};

FIXTURE_VARIANT(flat) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(flat, interval) { .kind = TMN_INTERVAL };
FIXTURE_VARIANT_ADD(flat, track) { .kind = TMN_LIST };

FIXTURE_SETUP(flat)
{
	int i;

	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
	for (i = 0; i < 2; i++) {
		self->file[i] = memfd_create("flat", MFD_CLOEXEC);
		ASSERT_GE(self->file[i], 0);
		ASSERT_EQ(0, ftruncate(self->file[i], self->page));
		ASSERT_NE(MAP_FAILED, mmap(self->map + i * self->page, self->page,
					   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
					   self->file[i], 0));
	}
	self->slow = register_slow(self->fd, variant->kind, self->map + self->page);
	ASSERT_GT(self->slow, 0);
}

FIXTURE_TEARDOWN(flat)
{
	close(self->fd);
}

/* Invalidates the page of a file, in each process that has it mapped. */
static int punch(int file, int unused)
{
	return sys(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			     getpagesize()));
}

/* Returns when the invalidation is in a callback of that notifier. */
static int punch_held(int fd, int id, struct call *call, int file, pthread_t *thread)
{
	int ret = tmn_gate(fd, id, TMN_GATE_START);

	if (ret)
		return ret;
	*call = (struct call) { .fd = file, .func = punch };
	ret = -pthread_create(thread, NULL, call_thread, call);
	return ret ? ret : tmn_at_gate(fd, id);
}

/* The pages that the fixture has mapped */
static char *both;

static int register_kind(int fd, int kind)
{
	return tmn_register(fd, kind, TMN_OP_ALL, 0, both, 2 * getpagesize());
}

static int register_secondary(int fd, int kind)
{
	return tmn_register(fd, kind, TMN_OP_SECONDARY, 0, both, 2 * getpagesize());
}

/* What began before calls neither start nor end, and is waited for. */
TEST_F(flat, older)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET };
	pthread_t puncher, thread;
	struct call held, call;
	struct tmn_stats stats;
	int i, id;

	both = self->map;
	for (i = 0; i < 2; i++) {
		id = self->slow + 1 + i;
		ASSERT_EQ(0, punch_held(self->fd, self->slow, &held, self->file[1], &puncher));
		call = (struct call) { .fd = self->fd, .id = kinds[i], .func = register_kind };
		ASSERT_EQ(0, pthread_create(&thread, NULL, call_thread, &call));
		EXPECT_TRUE(asleep_in(&call, id));
		ASSERT_EQ(0, tmn_gate(self->fd, self->slow, 0));
		ASSERT_EQ(0, pthread_join(puncher, NULL));
		EXPECT_EQ(0, held.ret);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(id, call.ret);

		stats = tmn_stats(self->fd, id);
		EXPECT_EQ(0, stats.starts);
		EXPECT_EQ(0, stats.ends);
		ASSERT_EQ(0, punch(self->file[1], 0));
		EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
		EXPECT_BALANCED(self->fd, id);
	}
	EXPECT_EQ(4, tmn_stats(self->fd, self->slow).starts);
	if (!is_interval(variant->kind))
		EXPECT_BALANCED(self->fd, self->slow);
}

/* What begins while a registration waits goes on, and calls the notifier. */
TEST_F(flat, newer)
{
	struct call held, newer = { .fd = self->file[0], .func = punch };
	struct call call = { .fd = self->fd, .id = TMN_LIST, .func = register_kind };
	pthread_t puncher, other, thread;
	int id = self->slow + 1;

	both = self->map;
	ASSERT_EQ(0, punch_held(self->fd, self->slow, &held, self->file[1], &puncher));
	ASSERT_EQ(0, pthread_create(&thread, NULL, call_thread, &call));
	EXPECT_TRUE(asleep_in(&call, id));
	ASSERT_EQ(0, pthread_create(&other, NULL, call_thread, &newer));
	EXPECT_EQ(1, wait_until(call_done, &newer, 1, 1));
	EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
	EXPECT_BALANCED(self->fd, id);
	EXPECT_TRUE(asleep_in(&call, id));
	ASSERT_EQ(0, tmn_gate(self->fd, self->slow, 0));
	ASSERT_EQ(0, pthread_join(puncher, NULL));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, pthread_join(other, NULL));
	EXPECT_EQ(0, held.ret);
	EXPECT_EQ(0, newer.ret);
	EXPECT_EQ(id, call.ret);
	EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
	EXPECT_BALANCED(self->fd, id);
}

/*
 * An invalidation of another process holds a lock that is this one's as well. Only
 * what is called outside of invalidations needs the lock.
 */
TEST_F(flat, elsewhere)
{
	struct call call = { .fd = self->fd, .id = TMN_LIST, .func = register_kind };
	struct call flushes = { .fd = self->fd, .id = TMN_LIST, .func = register_secondary };
	pthread_t puncher, threads[2];
	int ids[2], leave[2], status, id;
	struct call held;
	pid_t child;
	char byte;

	both = self->map;
	ASSERT_EQ(0, pipe(ids));
	ASSERT_EQ(0, pipe(leave));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		id = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0,
				  self->map + self->page, self->page);
		close(leave[1]);
		_exit(write(ids[1], &id, sizeof(id)) != sizeof(id) ||
		      read(leave[0], &byte, 1));
	}
	close(ids[1]);
	ASSERT_EQ((int)sizeof(id), read(ids[0], &id, sizeof(id)));
	ASSERT_GT(id, 0);
	ASSERT_EQ(0, punch_held(self->fd, id, &held, self->file[1], &puncher));
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, call_thread, &call));
	EXPECT_EQ(1, wait_until(call_done, &call, 1, 1));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, call_thread, &flushes));
	EXPECT_TRUE(asleep_in(&flushes, id + 2));
	ASSERT_EQ(0, tmn_gate(self->fd, id, 0));
	ASSERT_EQ(0, pthread_join(puncher, NULL));
	ASSERT_EQ(0, pthread_join(threads[0], NULL));
	ASSERT_EQ(0, pthread_join(threads[1], NULL));
	EXPECT_EQ(id + 1, call.ret);
	EXPECT_EQ(id + 2, flushes.ret);
	close(leave[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

static long is_asleep(void *arg)
{
	struct counter *c = arg;
	int ret = tmn_asleep(c->fd, c->id);

	return ret == -ENOENT ? 0 : ret;
}

/* A signal does not end the wait: what is registered then is called by exit. */
TEST_F(flat, killed)
{
	struct counter c = { .fd = self->fd };
	struct tmn_stats stats;
	int ids[2], status, id;
	pid_t child;

	both = self->map;
	ASSERT_EQ(0, pipe(ids));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		pthread_t puncher;
		struct call held;

		id = register_slow(self->fd, variant->kind, self->map + self->page);
		if (id < 0 || punch_held(self->fd, id, &held, self->file[1], &puncher) ||
		    write(ids[1], &id, sizeof(id)) != sizeof(id))
			_exit(1);
		register_kind(self->fd, TMN_LIST);
		_exit(2);
	}
	close(ids[1]);
	ASSERT_EQ((int)sizeof(id), read(ids[0], &id, sizeof(id)));
	c.id = id + 1;
	EXPECT_EQ(1, wait_until(is_asleep, &c, 1, 1));
	ASSERT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(1, tmn_asleep(self->fd, c.id));
	ASSERT_EQ(0, tmn_gate(self->fd, id, 0));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	stats = tmn_stats(self->fd, c.id);
	EXPECT_EQ(0, stats.unmatched);
	EXPECT_EQ(0, stats.open);
	EXPECT_EQ(1, stats.releases);
	EXPECT_EQ(0, tmn_unregister(self->fd, c.id));
}

TEST_HARNESS_MAIN
