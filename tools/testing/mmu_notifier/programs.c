// SPDX-License-Identifier: GPL-2.0
/*
 * The programs: each sets something up, lets some tasks loose on it, and takes
 * down what they have left.
 */
#include "tasks.h"

static void fail_list_beside_interval(void)
{
	one_interval();
	list_register(list_create(0, NO_END | MAY_FAIL));
}

static void three_lists(void)
{
	mm_create();
	list_register(list_create(0, MAY_FAIL));
	list_register(list_create(1, MAY_FAIL));
	list_register(list_create(2, MAY_FAIL));
}

/* The second has nothing that a start calls. */
static void three_lists_one_without_start(void)
{
	mm_create();
	list_register(list_create(0, MAY_FAIL));
	list_register(list_create(1, NO_START));
	list_register(list_create(2, MAY_FAIL));
}

static void list_without_release(void)
{
	mm_create();
	list_register(list_create(0, NO_RELEASE));
	list_register(list_create(1, 0));
}

static void two_lists(void)
{
	mm_create();
	list_register(list_create(0, 0));
	list_register(list_create(1, 0));
}

static void mixed(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 1, MAY_FAIL));
	interval_insert(interval_create(1, 0, 1, MAY_FAIL));
	list_register(list_create(0, MAY_FAIL | NO_END));
	list_register(list_create(1, NO_END));
}

static void two_pass(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 0, TWO_PASS));
	interval_insert(interval_create(1, 0, 1, TWO_PASS | NO_ALLOC));
}

/* A struct that was used before */
static void insert_again(void *n)
{
	struct interval *dev = intervals[(long)n];

	interval_drop(dev);
	interval_remove(dev);
	interval_insert(dev);
	interval_fault(dev, 0);
	interval_destroy(dev);
}

/* An mm that is not tracked, with subscriptions */
static void list_and_two_to_insert(void)
{
	mm_create();
	list_register(list_create(0, 0));
	interval_create(0, 0, 1, 0);
	interval_create(1, 0, 0, LOCKED);
}

static void list_reader(void *n)
{
	list_fault(lists[(long)n], 0);
	list_drop(lists[(long)n]);
}

static void one_list_unregistered(void)
{
	mm_create();
	list_create(0, 0);
}

static void nothing_yet(void)
{
	mm_create();
	interval_create(0, 0, 1, 0);
	interval_create(1, 0, 0, LOCKED);
	list_create(0, 0);
	mm->signal_pending = true;
	memory_is_short = true;
}

static void register_n(void *n)
{
	list_register(lists[(long)n]);
}

static void register_unregister(void *n)
{
	if (!list_register(lists[(long)n]))
		list_unregister(lists[(long)n]);
}

static void put_n(void *n)
{
	list_drop(lists[(long)n]);
	list_put(lists[(long)n]);
}

static void two_lists_and_one(void)
{
	two_lists();
	list_create(2, 0);
}

static void register_and_put(void *n)
{
	if (!list_register(lists[(long)n]))
		put_n(n);
}

static void no_release_n(void *n)
{
	list_drop(lists[(long)n]);
	list_no_release(lists[(long)n]);
}

static void get_put(void *unused)
{
	struct list_device *dev = list_get();

	if (dev)
		list_put(dev);
}

static bool put_is_done STATE;

static void put_and_say(void *n)
{
	put_n(n);
	put_is_done = true;
}

static bool is_put(void *unused)
{
	return put_is_done;
}

/* A module that is unloaded: nothing of it is called afterwards. */
static void unload(void *unused)
{
	block("the last put", NULL, NULL, is_put, NULL);
	mmu_notifier_synchronize();
	if (!memory_error(lists[0], 1))
		fail("mmu_notifier_synchronize() has returned, and free_notifier() is still to be called");
}

static void test_young(void *unused)
{
	mmu_notifier_test_young(mm, ADDRESS(0));
	mmu_notifier_clear_young(mm, ADDRESS(0), ADDRESS(1));
}

static void flush(void *unused)
{
	mmu_notifier_clear_flush_young(mm, ADDRESS(0), ADDRESS(1));
	mmu_notifier_arch_invalidate_secondary_tlbs(mm, ADDRESS(0), ADDRESS(1));
}

static void tlb(void)
{
	mm_create();
	list_register(list_create(0, TLB));
	list_register(list_create(1, 0));
}

static void nonblock_two_pass(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 0, TWO_PASS));
	interval_insert(interval_create(1, 0, 1, TWO_PASS | MAY_FAIL));
	list_register(list_create(0, MAY_FAIL));
}

/* The first get may fail; there is one of other ops. */
static void nothing_yet_to_get(void)
{
	mm_create();
	list_register(list_create(1, 0));
	mm->signal_pending = true;
}

static void read_remove_say(void *n)
{
	read_and_remove(n);
	reader_is_done = true;
}

static void two_elsewhere(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 1, 0));
	interval_insert(interval_create(1, 2, 2, 0));
}

static void is_valid(void *unused)
{
	wait_valid(ADDRESS(0), ADDRESS(1));
	mmu_notifier_range_is_valid(mm, ADDRESS(0), ADDRESS(1));
}

static void exit_with_all(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 1, 0));
	list_register(list_create(0, 0));
	mmgrab(mm);
}

static void drop_mm(void *n)
{
	interval_destroy(intervals[(long)n]);
	mmdrop(mm);
}

static void drop_all(void *unused)
{
	list_unregister(lists[0]);
	drop_mm(0);
}

/* Both, and a reference for the driver that outlives the process */
static void two_pass_exits(void)
{
	two_pass();
	mmgrab(mm);
}

static void drop_mm_of_two(void *unused)
{
	interval_destroy(intervals[1]);
	drop_mm(0);
}

const struct program programs[] = {
	{
		"read", "a reader beside two ranges",
		one_interval, take_down,
		{ { "reader", read_0, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"read-twice", "a reader, and a thread that unmaps twice",
		one_interval, take_down,
		{ { "reader", read_0, 0 }, { "ranges", unmap_twice, 0 } },
	}, {
		"read-three", "a reader beside three ranges",
		one_interval, take_down,
		{ { "reader", read_0, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 },
		  { "range 3", unmap_01, 0 } }, .bound = 2,
	}, {
		"read-second", "a reader of the one that a walk comes to second",
		two_intervals, take_down,
		{ { "reader", read_0, 1 }, { "range", unmap_0, 0 } },
	}, {
		"read-fresh", "a reader that waits gets a number that has not collided already",
		two_intervals, take_down,
		{ { "reader", read_0, 1 }, { "range", unmap_0, 0 } }, 
		.promise = FRESH,
	}, {
		"remove", "removed and freed, beside two ranges",
		one_interval, take_down,
		{ { "remover", read_and_remove, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"remove-second", "the one that a walk comes to second is removed",
		two_intervals, take_down,
		{ { "remover", remove_n, 1 }, { "range", unmap_0, 0 } },
	}, {
		"remove-delivers", "the one that a walk comes to second is removed: it is called",
		two_intervals, take_down,
		{ { "remover", remove_n, 1 }, { "range", unmap_0, 0 } },
		.promise = DELIVERS,
	}, {
		"remove-when-valid", "the same, when the queries say that nothing is in progress",
		two_intervals, take_down,
		{ { "remover", remove_when_valid, 1 }, { "range", unmap_0, 0 }, { "other", unmap_01, 0 } },
		.promise = DELIVERS,
		NEEDS(mmu_notifier_range_is_valid),
	}, {
		"remove-first", "the one that a walk calls is removed",
		two_intervals, take_down,
		{ { "remover", remove_n, 0 }, { "range", unmap_0, 0 }, { "reader", read_0, 1 } },
	}, {
		"remove-both", "two removals beside a range",
		two_intervals, take_down,
		{ { "remover 0", remove_n, 0 }, { "remover 1", remove_n, 1 }, { "range", unmap_01, 0 } },
	}, {
		"insert", "inserted, read and removed, beside two ranges",
		no_interval_left, take_down,
		{ { "driver", insert_read_remove, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"insert-both", "two come and go, beside a range",
		no_interval_left, take_down,
		{ { "driver 0", insert_remove, 0 }, { "driver 1", insert_remove, 1 }, { "range", unmap_0, 0 } },
	}, {
		"insert-again", "removed and inserted again, beside two ranges",
		two_intervals, take_down,
		{ { "driver", insert_again, 1 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_0, 0 } },
	}, {
		"insert-beside-list", "two are the first interval beside a list",
		list_and_two_to_insert, take_down,
		{ { "driver 0", insert_remove, 0 }, { "driver 1", insert_remove, 1 }, { "range", unmap_0, 0 } },
	}, {
		"two-pass", "finish passes, and a removal",
		two_pass, take_down,
		{ { "remover", remove_n, 0 }, { "range", unmap_0, 0 }, { "reader", read_0, 1 } },
	}, {
		"elsewhere", "neither reader nor remover waits for what does not overlap",
		two_elsewhere, take_down,
		{ { "driver", read_remove_say, 0 }, { "elsewhere", hold_elsewhere, 0 }, { "range", unmap_0, 0 } }
	}, {
		"newer", "a reader does not wait for what has begun after it",
		one_interval, take_down,
		{ { "reader", read_say, 0 }, { "range", unmap_0, 0 }, { "newer", hold_newer, 0 } }
	}, {
		"nonblock-list-fails", "start fails in the list, a reader and a remover of an interval",
		fail_list_beside_interval, take_down,
		{ { "driver", read_and_remove, 0 }, { "oom", unmap_0, NONBLOCK }, { "range", unmap_0, 0 } },
		.bound = 3,
	}, {
		"nonblock-unwind", "start fails at any of three in the list",
		three_lists, take_down,
		{ { "oom", unmap_0, NONBLOCK }, { "range", unmap_0, 0 } },
	}, {
		"nonblock-no-start", "start fails beside a notifier without one",
		three_lists_one_without_start, take_down,
		{ { "oom", unmap_0, NONBLOCK }, { "range", unmap_0, 0 } },
		NEEDS(mmu_notifier_unregister_no_release),
	}, {
		"nonblock-unregister", "start fails, and one is unregistered meanwhile",
		three_lists, take_down,
		{ { "oom", unmap_0, NONBLOCK }, { "driver", unregister_n, 1 } },
	}, {
		"nonblock-mixed", "start fails at any of two intervals and a list",
		mixed, take_down,
		{ { "oom", unmap_0, NONBLOCK }, { "reader", read_0, 1 }, { "range", unmap_01, 0 } },
		.bound = 3,
	}, {
		"nonblock-two-pass", "start fails after a first pass",
		nonblock_two_pass, take_down,
		{ { "oom", unmap_0, NONBLOCK }, { "remover", remove_n, 0 } },
	}, {
		"list", "a driver of the list reads, beside two ranges",
		two_lists, take_down,
		{ { "reader", list_reader, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"register", "registered beside ranges",
		one_list_unregistered, take_down,
		{ { "driver", register_n, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"register-unregister", "one is registered while another is unregistered",
		two_lists_and_one, take_down,
		{ { "driver 0", register_n, 2 }, { "driver 1", unregister_n, 1 } },
	}, {
		"register-put", "two are registered, and put",
		two_lists_and_one, take_down,
		{ { "driver 0", register_and_put, 2 }, { "driver 1", put_n, 1 }, { "range", unmap_0, 0 } },
	}, {
		"first", "the first of each kind, with signals, beside a range",
		nothing_yet, take_down,
		{ { "list", register_unregister, 0 }, { "interval", insert_n, 0 }, { "range", unmap_0, 0 } },
	}, {
		"first-intervals", "two are the first interval",
		nothing_yet, take_down,
		{ { "driver 0", insert_n, 0 }, { "driver 1", insert_n, 1 }, { "range", unmap_0, 0 } },
	}, {
		"unregister", "unregistered and freed, beside two ranges",
		two_lists, take_down,
		{ { "driver 0", unregister_n, 0 }, { "driver 1", unregister_n, 1 }, { "range", unmap_0, 0 } },
	}, {
		"unregister-one", "the one that a walk calls is unregistered, the next is called",
		two_lists, take_down,
		{ { "driver", unregister_n, 1 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"unregister-exit", "unregistered beside exit",
		two_lists, take_down,
		{ { "driver", unregister_n, 0 }, { "exit", leave, 0 } },
	}, {
		"exit-range", "exit beside a truncation",
		exit_with_all, gone,
		{ { "driver", drop_all, 0 }, { "exit", leave, 0 }, { "range", unmap_0, 0 } },
	}, {
		"exit-two-pass", "exit beside removals, with finish passes",
		two_pass_exits, gone,
		{ { "driver", drop_mm_of_two, 0 }, { "exit", leave, 0 } },
	}, {
		"exit-no-release", "exit where a notifier has no release, beside unregister",
		list_without_release, take_down,
		{ { "driver", unregister_n, 0 }, { "exit", leave, 0 } },
	}, {
		"put", "put beside a range and a put",
		two_lists, take_down,
		{ { "driver 0", put_n, 0 }, { "driver 1", put_n, 1 }, { "range", unmap_0, 0 } },
	}, {
		"put-exit", "put beside exit",
		two_lists, gone,
		{ { "driver 0", put_n, 0 }, { "driver 1", unregister_n, 1 }, { "exit", leave, 0 } },
	}, {
		"get-put", "two get and put the same",
		nothing_yet_to_get, take_down,
		{ { "driver 0", get_put, 0 }, { "driver 1", get_put, 0 }, { "range", unmap_0, 0 } },
	}, {
		"synchronize", "a module is unloaded after its last put",
		two_lists, take_down,
		{ { "driver", put_and_say, 0 }, { "unload", unload, 0 }, { "range", unmap_0, 0 } },
	}, {
		"no-release", "unregistered without waiting, freed by call_srcu",
		two_lists, take_down,
		{ { "driver 0", no_release_n, 0 }, { "driver 1", no_release_n, 1 }, { "range", unmap_0, 0 } },
		NEEDS(mmu_notifier_unregister_no_release),
	}, {
		"no-release-exit", "unregistered without waiting, beside exit",
		two_lists, gone,
		{ { "driver 0", no_release_n, 0 }, { "driver 1", unregister_n, 1 }, { "exit", leave, 0 } },
		NEEDS(mmu_notifier_unregister_no_release),
	}, {
		"young", "young bits beside unregister",
		two_lists, take_down,
		{ { "rmap", test_young, 0 }, { "driver", unregister_n, 0 } },
	}, {
		"flush", "secondary TLBs beside unregister",
		tlb, take_down,
		{ { "rmap", flush, 0 }, { "driver", unregister_n, 0 } },
	}, {
		"is-valid", "the queries beside two ranges",
		one_interval, take_down,
		{ { "query", is_valid, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_2, 0 } },
		NEEDS(mmu_notifier_range_is_valid),
	},
};

const unsigned int nr_programs = ARRAY_SIZE(programs);
