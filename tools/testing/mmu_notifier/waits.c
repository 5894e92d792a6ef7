// SPDX-License-Identifier: GPL-2.0
/*
 * Waits for ranges: by readers, by the queries, with a deadline, with a fatal
 * signal, each against the end of what it waits for.
 */
#include "tasks.h"

#define SOON (jiffies + 10)
#define LATE (jiffies - 1)
#define NEVER 0

static void read_soon(void *n)
{
	interval_fault_timeout(intervals[(long)n], 0, SOON);
}

static void read_late(void *n)
{
	interval_fault_timeout(intervals[(long)n], 0, LATE);
}

static void read_killable(void *n)
{
	interval_fault_timeout(intervals[(long)n], 0, NEVER);
}

/* What it leaves on the list of waiters is found when the struct is gone. */
static void read_soon_remove(void *n)
{
	read_soon(n);
	remove_n(n);
}

static void read_killable_remove(void *n)
{
	read_killable(n);
	remove_n(n);
}

static void kill_first(void *unused)
{
	point("kill", NULL, NULL);
	tasks[0].killed = true;
}

static void read_killed(void *n)
{
	current->killed = true;
	read_killable(n);
}

/* For ranges that end only after it */
static void read_soon_say(void *n)
{
	read_soon(n);
	reader_is_done = true;
}

static void read_late_say(void *n)
{
	read_late(n);
	reader_is_done = true;
}

static void read_killable_say(void *n)
{
	read_killable(n);
	reader_is_done = true;
}

static void wait_0(void *unused)
{
	wait_valid(ADDRESS(0), ADDRESS(1));
}

static void wait_soon(void *unused)
{
	wait_valid_timeout(ADDRESS(0), ADDRESS(1), SOON);
}

static void wait_late(void *unused)
{
	wait_valid_timeout(ADDRESS(0), ADDRESS(1), LATE);
}

static void wait_killable(void *unused)
{
	wait_valid_timeout(ADDRESS(0), ADDRESS(1), NEVER);
}

static void wait_say(void *unused)
{
	wait_0(NULL);
	reader_is_done = true;
}

static void wait_soon_say(void *unused)
{
	wait_soon(NULL);
	reader_is_done = true;
}

static void wait_killable_say(void *unused)
{
	wait_killable(NULL);
	reader_is_done = true;
}

static void check(bool good, const char *what)
{
	if (!good)
		fail("wrong: %s", what);
}

static bool is_valid(unsigned long start, unsigned long end)
{
	return mmu_notifier_range_is_valid(mm, start, end);
}

/* One range of page 1, and what touches it or only its neighbours */
static void check_edges(void *unused)
{
	const unsigned long start = ADDRESS(1), end = ADDRESS(2);
	struct mmu_notifier_range *range = range_begin(1);

	check(is_valid(start - 1, start), "the byte before a range is not valid");
	check(!is_valid(start - 1, start + 1), "the first byte of a range is valid");
	check(!is_valid(start, start + 1), "the first byte of a range is valid");
	check(!is_valid(end - 1, end), "the last byte of a range is valid");
	check(!is_valid(end - 1, end + 1), "the last byte of a range is valid");
	check(is_valid(end, end + 1), "the byte behind a range is not valid");
	check(!is_valid(0, ULONG_MAX), "everything is valid");
	wait_valid(start - 1, start);
	wait_valid(end, end + 1);
	range_end(range);
	check(is_valid(start, end), "a range that has ended is not valid");
}

/* Of page 1 alone */
static void middle_interval(void)
{
	mm_create();
	interval_insert(interval_create(0, 1, 1, 0));
}

static void read_1(void *n)
{
	interval_fault(intervals[(long)n], 1);
	reader_is_done = true;
}

static void hold_n(void *page)
{
	hold((long)page);
}

/* A notifier of the list asks for it, and there is no interval. */
static void list_that_tracks(void)
{
	mm_create();
	list_register(list_create(0, TRACKS));
}

static void exits_with_reader(void)
{
	one_interval();
	mmgrab(mm);
}

static void read_drop(void *n)
{
	interval_read(intervals[(long)n]);
	interval_destroy(intervals[(long)n]);
	mmdrop(mm);
}

/* Waits report their holder before their deadline, which is SOON. */
static void stalls(void)
{
	one_interval();
	sysctl_hung_task_timeout_secs = 5;
}

const struct program waits[] = {
	{
		"readers", "two readers of one beside two ranges",
		one_interval, take_down,
		{ { "reader 1", read_0, 0 }, { "reader 2", read_0, 0 }, { "range 1", unmap_0, 0 },
		  { "range 2", unmap_01, 0 } }, .bound = 3,
	}, {
		"read-two-pages", "a reader beside two ranges that do not overlap each other",
		one_interval, take_down,
		{ { "reader", read_0, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_1, 0 } },
	}, {
		"read-signal", "a fatal signal does not end the wait of a reader without a deadline",
		one_interval, take_down,
		{ { "reader", read_0, 0 }, { "range", unmap_0, 0 }, { "killer", kill_first, 0 } },
	}, {
		"wait-valid-signal", "nor that of the queries",
		one_interval, take_down,
		{ { "query", wait_0, 0 }, { "range", unmap_0, 0 }, { "killer", kill_first, 0 } },
		NEEDS(mmu_notifier_range_wait_valid),
	}, {
		"neighbours", "a reader between two ranges that it does not overlap",
		middle_interval, take_down,
		{ { "reader", read_1, 0 }, { "before", hold_n, 0 }, { "behind", hold_n, 2 } },
	}, {
		"edges", "what a range overlaps, to the byte",
		one_interval, take_down,
		{ { "driver", check_edges, 0 } },
		NEEDS(mmu_notifier_range_is_valid),
	}, {
		"exit-reader", "a reader waits for exit",
		exits_with_reader, gone,
		{ { "exit", leave, 0 }, { "reader", read_drop, 0 } },
	}, {
		"wait-valid", "the wait of the queries beside two ranges",
		one_interval, take_down,
		{ { "query", wait_0, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
		NEEDS(mmu_notifier_range_wait_valid),
	}, {
		"wait-valid-newer", "the wait of the queries is not for what has begun after it",
		one_interval, take_down,
		{ { "query", wait_say, 0 }, { "range", unmap_0, 0 }, { "newer", hold_newer, 0 } },
		NEEDS(mmu_notifier_range_wait_valid),
	}, {
		"wait-valid-list", "the same, where only a notifier of the list wants it",
		list_that_tracks, take_down,
		{ { "query", wait_0, 0 }, { "range", unmap_0, 0 } },
		NEEDS(mmu_notifier_range_wait_valid),
	}, {
		"wait-valid-timeout", "the same with a deadline",
		one_interval, take_down,
		{ { "query", wait_soon, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
		NEEDS(mmu_notifier_range_wait_valid_timeout),
	}, {
		"wait-valid-late", "the same with a deadline that is over",
		one_interval, take_down,
		{ { "query", wait_late, 0 }, { "range", unmap_0, 0 } },
		NEEDS(mmu_notifier_range_wait_valid_timeout),
	}, {
		"wait-valid-killed", "the same, killed",
		one_interval, take_down,
		{ { "query", wait_killable, 0 }, { "range", unmap_0, 0 }, { "killer", kill_first, 0 } },
		NEEDS(mmu_notifier_range_wait_valid_timeout),
	}, {
		"read-timeout", "a reader with a deadline, then a removal, beside two ranges",
		one_interval, take_down,
		{ { "reader", read_soon_remove, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"read-late", "a reader whose deadline is over",
		one_interval, take_down,
		{ { "reader", read_late, 0 }, { "range", unmap_0, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"read-killed", "a reader that is killed, then a removal, beside two ranges",
		one_interval, take_down,
		{ { "reader", read_killable_remove, 0 }, { "range 1", unmap_0, 0 },
		  { "range 2", unmap_01, 0 }, { "killer", kill_first, 0 } }, .bound = 3,
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"read-killed-before", "a reader that was killed before",
		one_interval, take_down,
		{ { "reader", read_killed, 0 }, { "range", unmap_0, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"read-timeout-held", "a reader with a deadline, and a range that ends only after it",
		one_interval, take_down,
		{ { "reader", read_soon_say, 0 }, { "range 1", hold_n, 0 }, { "range 2", unmap_01, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"read-late-held", "the same, and the deadline is over",
		one_interval, take_down,
		{ { "reader", read_late_say, 0 }, { "range", hold_n, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"read-killed-held", "a reader that is killed, and a range that ends only after it",
		one_interval, take_down,
		{ { "reader", read_killable_say, 0 }, { "range 1", hold_n, 0 }, { "range 2", unmap_01, 0 },
		  { "killer", kill_first, 0 } }, .bound = 3,
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"wait-valid-timeout-held", "the wait of the queries with a deadline, beside such a range",
		one_interval, take_down,
		{ { "query", wait_soon_say, 0 }, { "range", hold_n, 0 } },
		NEEDS(mmu_notifier_range_wait_valid_timeout),
	}, {
		"wait-valid-killed-held", "the wait of the queries, killed, beside such a range",
		one_interval, take_down,
		{ { "query", wait_killable_say, 0 }, { "range", hold_n, 0 }, { "killer", kill_first, 0 } },
		NEEDS(mmu_notifier_range_wait_valid_timeout),
	}, {
		"read-timeouts", "two readers with deadlines, and one without, beside a range",
		two_intervals, take_down,
		{ { "reader 1", read_soon, 0 }, { "reader 2", read_soon, 1 }, { "reader 3", read_0, 1 },
		  { "range", unmap_0, 0 } }, .bound = 3,
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"read-timeout-remover", "a reader with a deadline beside a removal and a range",
		two_intervals, take_down,
		{ { "reader", read_soon, 0 }, { "remover", remove_n, 1 }, { "range", unmap_0, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"read-timeout-killed", "a reader with a deadline that is killed",
		one_interval, take_down,
		{ { "reader", read_soon, 0 }, { "range", unmap_0, 0 }, { "killer", kill_first, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"stall", "a reader and then a removal report who holds them up",
		stalls, take_down,
		{ { "reader", read_soon_remove, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	}, {
		"stall-query", "the same of the queries",
		stalls, take_down,
		{ { "query", wait_0, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
		NEEDS(mmu_notifier_range_wait_valid),
	}, {
		"stall-killed", "the same of a reader that is killed",
		stalls, take_down,
		{ { "reader", read_killable_remove, 0 }, { "range", unmap_0, 0 }, { "killer", kill_first, 0 } },
		NEEDS(mmu_interval_read_begin_timeout),
	},
};

const unsigned int nr_waits = ARRAY_SIZE(waits);
