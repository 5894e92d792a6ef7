// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver with a list notifier asks of a range: whether it is valid, that is
 * not between start and end. What waits for it is in mmu_notifier_overlap.c.
 */
#include "kselftest_harness.h"
#include "mmu_notifier.h"

FIXTURE(tracked) {
	int fd;
	int id;
	char *map;
	size_t page;
};

FIXTURE_SETUP(tracked)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
	self->id = tmn_register(self->fd, TMN_LIST, TMN_OP_ALL, TMN_F_TRACK,
				self->map + self->page, 2 * self->page);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(tracked)
{
	close(self->fd);
}

TEST_F(tracked, overlap)
{
	const struct {
		size_t from;
		size_t pages;
		bool valid;
	} ranges[] = {
		{ 0, 1, true }, { 3, 1, true },
		{ 0, 2, false }, { 2, 2, false }, { 0, 4, false }, { 1, 1, false },
	};
	struct held held;
	int i, id[ARRAY_SIZE(ranges)];

	for (i = 0; i < (int)ARRAY_SIZE(ranges); i++) {
		id[i] = tracker(self->fd, self->map + ranges[i].from * self->page,
				ranges[i].pages * self->page);
		ASSERT_GT(id[i], 0);
		EXPECT_EQ(1, is_valid(self->fd, id[i]));
		EXPECT_EQ(0, wait_valid(self->fd, id[i]));
	}
	ASSERT_EQ(0, hold(&held, self->fd, self->id, self->map + self->page, 2 * self->page));
	for (i = 0; i < (int)ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(ranges[i].valid, is_valid(self->fd, id[i])) {
			TH_LOG("range %d", i);
		}
		if (ranges[i].valid)
			EXPECT_EQ(0, wait_valid(self->fd, id[i]));
	}
	ASSERT_EQ(0, unhold(&held));
	for (i = 0; i < (int)ARRAY_SIZE(ranges); i++)
		EXPECT_EQ(1, is_valid(self->fd, id[i]));
}

/* The range is not valid in start, and valid in end. */
TEST_F(tracked, in_callbacks)
{
	const struct {
		enum tmn_what what;
		enum tmn_where where;
		unsigned int kind;
		int ret;
	} cells[] = {
		{ TMN_DO_IS_VALID, TMN_IN_START, TMN_LIST, 0 },
		{ TMN_DO_IS_VALID, TMN_IN_END, TMN_LIST, 1 },
		{ TMN_DO_IS_VALID, TMN_IN_INVALIDATE, TMN_INTERVAL, 0 },
		{ TMN_DO_IS_VALID, TMN_IN_RELEASE, TMN_LIST, 1 },
		{ TMN_DO_IS_VALID, TMN_IN_FREE, TMN_LIST_PUT, 1 },
		{ TMN_DO_WAIT_VALID, TMN_IN_RELEASE, TMN_LIST, 0 },
	};
	char *mine = self->map + self->page;
	int i, from;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		from = tmn_caller(self->fd, cells[i].kind, mine, self->page);
		ASSERT_GT(from, 0);
		ASSERT_EQ(0, tmn_call(self->fd, self->id, cells[i].what, cells[i].where, from));
		ASSERT_EQ(0, cause_callback(self->fd, from, cells[i].where, mine, self->page));
		ASSERT_EQ(0, tmn_synchronize(self->fd));
		EXPECT_EQ(i + 1, tmn_stats(self->fd, self->id).calls);
		EXPECT_EQ(cells[i].ret, tmn_stats(self->fd, self->id).call_ret) {
			TH_LOG("cell %d", i);
		}
	}
}

/* The end of an inner range says nothing of the outer one. */
TEST_F(tracked, nested)
{
	struct area a = { .page = self->page };
	int ret = prepare_huge(&a), id, query;

	if (ret == -EOPNOTSUPP)
		SKIP(return, "no transparent huge pages");
	ASSERT_EQ(0, ret);
	id = tracker(self->fd, a.map, a.len);
	ASSERT_GT(id, 0);
	query = tracker(self->fd, a.map + 3 * a.page, a.page);
	ASSERT_GT(query, 0);
	ASSERT_EQ(0, tmn_call(self->fd, query, TMN_DO_IS_VALID, TMN_IN_END, id));
	ASSERT_EQ(0, cause_thp_split(&a));
	EXPECT_EQ(2, tmn_stats(self->fd, id).ends);
	EXPECT_EQ(1, tmn_stats(self->fd, query).calls);
	EXPECT_EQ(0, tmn_stats(self->fd, query).call_ret);
	EXPECT_EQ(1, is_valid(self->fd, query));
}

TEST_F(tracked, under_mmap_lock)
{
	const enum tmn_where from[] = { TMN_IN_MMAP_READ, TMN_IN_MMAP_WRITE };
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(1, tmn_call(self->fd, self->id, TMN_DO_IS_VALID, from[i], 0));
		EXPECT_EQ(0, tmn_call(self->fd, self->id, TMN_DO_WAIT_VALID, from[i], 0));
	}
}

/* The same in the whole life of an mm, with an interval notifier or without. */
TEST_F(tracked, untracked_later)
{
	int id = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);

	ASSERT_GT(id, 0);
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	EXPECT_EQ(1, is_valid(self->fd, id));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, is_valid(self->fd, id));
	EXPECT_EQ(0, wait_valid(self->fd, id));
	ASSERT_EQ(0, tmn_remove_timed(self->fd, id));
	id = tracker(self->fd, self->map, self->page);
	ASSERT_GT(id, 0);
	EXPECT_EQ(1, is_valid(self->fd, id));
}

TEST_HARNESS_MAIN
