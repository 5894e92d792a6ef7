// SPDX-License-Identifier: GPL-2.0
/*
 * Walks of ranges, and what comes and goes meanwhile. A range calls what was in
 * the tree when it began, in batches; what it may call stays in the tree.
 */
#include "tasks.h"

static void read_only(void *n)
{
	interval_read(intervals[(long)n]);
	race_release(&reader_is_done);
	reader_is_done = true;
}

static bool is_done(void *unused)
{
	return reader_is_done;
}

/* As long as another thread looks at it, it is not freed. */
static void remove_beside_reader(void *n)
{
	struct interval *dev = intervals[(long)n];

	interval_drop(dev);
	interval_remove(dev);
	block("the reader", NULL, NULL, is_done, NULL);
	race_acquire(&reader_is_done);
	kfree(dev);
}

/* Two that are inserted, two that are not: on a small tree each turns it. */
static void three_and_two_to_come(void)
{
	three_intervals();
	interval_create(3, 0, 0, 0);
	interval_create(4, 0, 3, 0);
}

/* Two that come between what a walk has still to call */
static void three_and_two_between(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 0, 0));
	interval_insert(interval_create(1, 0, 2, 0));
	interval_insert(interval_create(2, 2, 2, 0));
	interval_create(3, 1, 1, 0);
	interval_create(4, 1, 1, 0);
}

static void four_intervals(void)
{
	three_intervals();
	interval_insert(interval_create(3, 0, 3, 0));
}

/* Two that a walk in progress looks at last, if they come in time */
static void four_and_two_to_come(void)
{
	four_intervals();
	interval_create(4, 0, 0, 0);
	interval_create(5, 0, 3, 0);
}

/*
 * Two walks stop in the callback of 1. What is inserted then is behind 3, where
 * they stop again, and are about to continue from it; behind that is 5.
 */
static void five_of_which_two_stop(void)
{
	four_intervals();
	interval_create(4, 1, 1, 0);
	interval_insert(interval_create(5, 2, 2, 0));
	interval_close(intervals[1], true);
	interval_close(intervals[3], true);
}

static void remove_cursor(void *unused)
{
	interval_await(intervals[1], 2);
	interval_insert(intervals[4]);
	interval_close(intervals[1], false);
	interval_await(intervals[3], 2);
	interval_destroy(intervals[4]);
	interval_close(intervals[3], false);
}

static bool begun STATE, ending STATE;

static bool is_true(void *flag)
{
	return *(bool *)flag;
}

static bool remover_sleeps(void *unused)
{
	return tasks[0].queue && !tasks[0].woken;
}

static void remove_when_begun(void *n)
{
	block("range 1 begins", NULL, NULL, is_true, &begun);
	remove_n(n);
}

/* It ends when the remover waits for it. */
static void range_before_gap(void *unused)
{
	struct mmu_notifier_range *range = range_begin(0);

	begun = true;
	block("the remover sleeps", NULL, NULL, remover_sleeps, NULL);
	interval_close(intervals[0], true);
	ending = true;
	range_end(range);
}

static void range_in_gap(void *unused)
{
	block("range 1 ends", NULL, NULL, is_true, &ending);
	invalidate(0, 0, 0);
}

/* If there is a callback, it ends. */
static void opener(void *n)
{
	current->daemon = true;
	block("range 1 ends", NULL, NULL, is_true, &ending);
	interval_await(intervals[(long)n], 1);
	interval_close(intervals[(long)n], false);
}

static void insert_both(void *unused)
{
	interval_insert(intervals[3]);
	interval_insert(intervals[4]);
}

/* A page is mapped under 0, and so it is when 1 has taken over. */
static void one_that_hands_over(void)
{
	struct interval *table;

	mm_create();
	table = interval_create(5, 0, 3, 0);
	interval_insert(interval_create(0, 0, 1, 0));
	interval_share(intervals[0], table);
	interval_share(interval_create(1, 0, 0, 0), table);
	interval_fault(intervals[0], 0);
}

static void hand_over(void *unused)
{
	interval_insert(intervals[1]);
	interval_remove(intervals[0]);
	kfree(intervals[0]);
	interval_fault(intervals[1], 0);
}

static void end_of_hand_over(void)
{
	interval_destroy(intervals[1]);
	mmput(mm);
	ledger_finish();
}

static void three_with_two_passes(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 0, TWO_PASS));
	interval_insert(interval_create(1, 0, 1, TWO_PASS));
	interval_insert(interval_create(2, 0, 2, TWO_PASS));
}

/* Each of three intervals can fail, and the list behind them. */
static void three_that_fail(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 0, MAY_FAIL));
	interval_insert(interval_create(1, 0, 1, MAY_FAIL));
	interval_insert(interval_create(2, 0, 2, MAY_FAIL));
	list_register(list_create(0, MAY_FAIL | NO_END));
}

/* Each driver has a reference that outlives the process. */
static void two_that_exit(void)
{
	two_intervals();
	mmgrab(mm);
	mmgrab(mm);
}

static void remove_drop(void *n)
{
	interval_destroy(intervals[(long)n]);
	mmdrop(mm);
}

static void read_remove_drop(void *n)
{
	interval_read(intervals[(long)n]);
	remove_drop(n);
}

const struct program windows[] = {
	{
		"remove-first-of-3", "removed, what a walk calls first",
		three_intervals, take_down,
		{ { "remover", remove_n, 0 }, { "range", unmap_0, 0 } },
	}, {
		"remove-second-of-3", "removed, what a walk calls second",
		three_intervals, take_down,
		{ { "remover", remove_n, 1 }, { "range", unmap_0, 0 } },
	}, {
		"remove-last-of-3", "removed, what a walk calls last",
		three_intervals, take_down,
		{ { "remover", remove_n, 2 }, { "range", unmap_0, 0 } },
	}, {
		"remove-next-range", "a range that begins during a removal calls it as well",
		two_intervals, take_down,
		{ { "remover", remove_n, 1 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"remove-two-pages", "removed, beside two ranges that do not overlap each other",
		one_interval, take_down,
		{ { "remover", remove_n, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_1, 0 } },
	}, {
		"remove-elsewhere", "what does not overlap does not delay a removal",
		two_intervals, take_down,
		{ { "remover", remove_say, 1 }, { "elsewhere", hold_elsewhere, 0 }, { "range", unmap_0, 0 } },
	}, {
		"remove-two-of-3", "two are removed beside a range",
		three_intervals, take_down,
		{ { "remover 0", remove_n, 0 }, { "remover 2", remove_n, 2 }, { "range", unmap_0, 0 } },
	}, {
		"remove-all-of-3", "three are removed beside a range",
		three_intervals, take_down,
		{ { "remover 0", remove_n, 0 }, { "remover 1", remove_n, 1 }, { "remover 2", remove_n, 2 },
		  { "range", unmap_0, 0 } }, .bound = 3,
	}, {
		"remove-insert", "one is removed and one inserted beside a range",
		three_and_two_to_come, take_down,
		{ { "remover", remove_n, 1 }, { "driver", insert_n, 3 }, { "range", unmap_0, 0 } },
	}, {
		"remove-its-reader", "removed beside a reader of the same",
		two_intervals, take_down,
		{ { "reader", read_only, 1 }, { "remover", remove_beside_reader, 1 }, { "range", unmap_0, 0 } },
	}, {
		"remove-other-reader", "removed beside a reader of another",
		two_intervals, take_down,
		{ { "reader", read_0, 0 }, { "remover", remove_n, 1 }, { "range", unmap_0, 0 } },
	}, {
		"remove-of-4", "one of four is removed beside two ranges",
		four_intervals, take_down,
		{ { "remover", remove_n, 2 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
		.bound = 3,
	}, {
		"insert-into-walk", "two are inserted beside a range",
		three_and_two_to_come, take_down,
		{ { "driver", insert_both, 0 }, { "range", unmap_0, 0 } },
	}, {
		"insert-between", "one is inserted between those that a walk has still to call",
		three_and_two_between, take_down,
		{ { "driver", insert_remove, 3 }, { "range", unmap_012, 0 }, { "remover", remove_n, 1 } },
	}, {
		"insert-two-between", "two are inserted there, which is more than a walk of single ones skips",
		three_and_two_between, take_down,
		{ { "driver", insert_both, 0 }, { "range", unmap_012, 0 } },
	}, {
		"insert-remove-cursor", "newer ones come and go where walks are about to continue",
		four_and_two_to_come, take_down,
		{ { "driver 4", insert_remove, 4 }, { "driver 5", insert_remove, 5 },
		  { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } }, .bound = 2,
	}, {
		"remove-cursor", "the newer one from which two walks are about to continue is removed",
		five_of_which_two_stop, take_down,
		{ { "driver", remove_cursor, 0 }, { "range 1", unmap_012, 0 }, { "range 2", unmap_012, 0 } },
		.bound = 1,
	}, {
		"insert-remove-newer", "one that is newer than a range comes and goes",
		three_and_two_to_come, take_down,
		{ { "driver", insert_remove, 3 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_0, 0 } },
		.bound = 3,
	}, {
		"hand-over", "one takes over from another without a wait, beside two ranges",
		one_that_hands_over, end_of_hand_over,
		{ { "driver", hand_over, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"two-pass-of-3", "one of three with finish passes is removed",
		three_with_two_passes, take_down,
		{ { "remover", remove_n, 1 }, { "range", unmap_0, 0 } },
	}, {
		"nonblock-waiters", "start fails anywhere, and a remover and a reader wait",
		three_that_fail, take_down,
		{ { "oom", unmap_0, NONBLOCK }, { "remover", remove_n, 1 }, { "reader", read_0, 2 } },
	}, {
		"nonblock-next", "start fails anywhere, and the waiters have another range to wait for",
		three_that_fail, take_down,
		{ { "oom", unmap_0, NONBLOCK }, { "remover", remove_n, 1 }, { "reader", read_0, 2 },
		  { "range", unmap_0, 0 } }, .bound = 2,
	}, {
		"remove-gap", "a range begins while the end of another one takes out what is removed",
		one_interval, take_down,
		{ { "remover", remove_when_begun, 0 }, { "range 1", range_before_gap, 0 },
		  { "range 2", range_in_gap, 0 }, { "opener", opener, 0 } },
	}, {
		"exit-remove", "removed beside exit, which may leave it the last reference",
		one_interval, gone,
		{ { "exit", leave, 0 }, { "remover", remove_n, 0 } },
	}, {
		"exit-waiters", "a reader and a remover wait for exit",
		two_that_exit, gone,
		{ { "exit", leave, 0 }, { "remover", remove_drop, 0 }, { "reader", read_remove_drop, 1 } },
	},
};

const unsigned int nr_windows = ARRAY_SIZE(windows);
