// SPDX-License-Identifier: GPL-2.0
/*
 * Plain notifiers that are registered on a tracked mm, where registration does not
 * take all locks: a range calls what has a lower number than itself, start and
 * end, and registration waits for the ranges that do not call what it registers.
 */
#include "tasks.h"
#include <core/has.h>

#ifdef HAVE_FLAT
static const char here;
#define NEEDS_FLAT NEEDS(&here)
#else
#define NEEDS_FLAT NEEDS(NULL)
#endif

/* It has had an interval notifier. */
static void track(void)
{
	mm_create();
	interval_insert(interval_create(0, 3, 3, 0));
	interval_destroy(intervals[0]);
}

static void one_to_come(void)
{
	track();
	list_register(list_create(1, 0));
	list_create(0, 0);
}

/* It is tracked for a plain notifier. */
static void tracks_and_one_to_come(void)
{
	mm_create();
	list_register(list_create(1, TRACKS));
	list_create(0, TRACKS);
}

/* What is in the mask changes. */
static void first_to_come(void)
{
	track();
	list_create(0, 0);
}

static void first_with_end_to_come(void)
{
	track();
	list_register(list_create(1, NO_END));
	list_create(0, 0);
}

static void first_with_start_to_come(void)
{
	track();
	list_register(list_create(1, NO_START));
	list_create(0, 0);
}

static void two_to_come(void)
{
	track();
	list_create(0, 0);
	list_create(1, 0);
}

static void two_that_fail_and_one_to_come(void)
{
	track();
	list_register(list_create(1, MAY_FAIL));
	list_register(list_create(2, MAY_FAIL));
	list_create(0, MAY_FAIL);
}

static void interval_that_fails_and_one_to_come(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 1, MAY_FAIL));
	list_register(list_create(1, 0));
	list_create(0, 0);
}

static void interval_and_one_to_come(void)
{
	one_to_come();
	interval_create(0, 0, 1, 0);
}

/* Neither is tracked yet; whichever comes first. */
static void untracked_and_both_to_come(void)
{
	mm_create();
	list_register(list_create(1, 0));
	list_create(0, 0);
	interval_create(0, 0, 1, 0);
}

static void untracked_that_fail(void)
{
	mm_create();
	list_register(list_create(0, MAY_FAIL));
	list_register(list_create(1, MAY_FAIL));
}

static void exits_and_one_to_come(void)
{
	one_to_come();
	mmget(mm);
}


static void register_and_fault(void *n)
{
	list_register(lists[(long)n]);
	list_fault(lists[(long)n], 0);
}

static void register_say(void *n)
{
	register_and_fault(n);
	reader_is_done = true;
}

/* That ends no registration. */
static void kill_first(void *unused)
{
	point("kill", NULL, NULL);
	tasks[0].killed = true;
}

static void register_again(void *n)
{
	struct list_device *dev = lists[(long)n];

	list_register(dev);
	list_leave(dev);
	register_and_fault(n);
}

/* Must not be: its start takes the lock, and may run before this returns. */
static void register_locked(void *n)
{
	struct list_device *dev = lists[(long)n];

	mutex_lock(&dev->lock);
	list_register(dev);
	mutex_unlock(&dev->lock);
}

/* Exit may be what calls release. */
static void register_and_leave(void *n)
{
	register_and_fault(n);
	mmput(mm);
	list_unregister(lists[(long)n]);
}

static void leave_and_unregister(void *n)
{
	mmput(mm);
	list_unregister(lists[(long)n]);
}

static void get_fault_put(void *unused)
{
	struct list_device *dev = list_get();

	if (!dev)
		return;
	list_fault(dev, 0);
	list_drop(dev);
	list_put(dev);
}

static void put_n(void *n)
{
	list_drop(lists[(long)n]);
	list_put(lists[(long)n]);
}

/* A huge page is split while it is being unmapped. */
static void unmap_nested(void *unused)
{
	struct mmu_notifier_range *outer = range_begin(0), inner;

	memset(&inner, 0x5a, sizeof(inner));
	mmu_notifier_range_init(&inner, MMU_NOTIFY_CLEAR, 0, mm, ADDRESS(0), ADDRESS(1));
	ledger_range_begins(&inner, false);
	mmu_notifier_invalidate_range_start(&inner);
	ledger_range_started(&inner, 0);
	page_free(&mm->pte[0]);
	mmu_notifier_invalidate_range_end(&inner);
	ledger_range_ended(&inner);
	range_end(outer);
}

const struct program flat[] = {
	{
		"flat-register", "registered beside two ranges",
		one_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"flat-tracks", "the same, tracked for plain notifiers",
		tracks_and_one_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"flat-first", "the first plain notifier, beside two ranges",
		first_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"flat-start", "the first that implements start, beside two ranges",
		first_with_start_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"flat-end", "the first that implements end, beside two ranges",
		first_with_end_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"flat-nested", "registered beside a range in a range",
		one_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "range", unmap_nested, 0 }, { "other", unmap_0, 0 } },
		.bound = 3,
	}, {
		"flat-newer", "registration does not wait for what has begun after it",
		one_to_come, take_down,
		{ { "driver", register_say, 0 }, { "range", unmap_0, 0 }, { "newer", hold_newer, 0 } },
		NEEDS_FLAT,
	}, {
		"flat-killed", "registered, and killed, beside two ranges",
		one_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "range 1", unmap_0, 0 },
		  { "range 2", unmap_01, 0 }, { "killer", kill_first, 0 } },
		.bound = 3,
	}, {
		"flat-unwind", "registered while a start fails at any in the list",
		two_that_fail_and_one_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "oom", unmap_0, NONBLOCK }, { "range", unmap_0, 0 } },
		.bound = 3,
	}, {
		"flat-interval-fails", "registered while a start fails in an interval",
		interval_that_fails_and_one_to_come, take_down,
		{ { "driver", register_and_fault, 0 }, { "oom", unmap_0, NONBLOCK }, { "range", unmap_0, 0 } },
		.bound = 3,
	}, {
		"flat-again", "registered, unregistered and registered, beside two ranges",
		one_to_come, take_down,
		{ { "driver", register_again, 0 }, { "range 1", unmap_0, 0 }, { "range 2", unmap_01, 0 } },
	}, {
		"flat-two", "two are registered beside a range",
		two_to_come, take_down,
		{ { "driver 0", register_and_fault, 0 }, { "driver 1", register_and_fault, 1 },
		  { "range", unmap_0, 0 } },
	}, {
		"flat-unregister", "one is registered and one is unregistered, beside a range",
		one_to_come, take_down,
		{ { "driver 0", register_and_fault, 0 }, { "driver 1", unregister_n, 1 },
		  { "range", unmap_0, 0 } },
	}, {
		"flat-put", "one is registered and one is put, beside a range",
		one_to_come, take_down,
		{ { "driver 0", register_and_fault, 0 }, { "driver 1", put_n, 1 },
		  { "range", unmap_0, 0 } },
	}, {
		"flat-get-put", "two get and put the same, beside a range",
		track, take_down,
		{ { "driver 0", get_fault_put, 0 }, { "driver 1", get_fault_put, 0 },
		  { "range", unmap_0, 0 } },
	}, {
		"flat-insert", "an interval comes and goes beside a registration and a range",
		interval_and_one_to_come, take_down,
		{ { "driver 0", register_and_fault, 0 }, { "driver 1", insert_read_remove, 0 },
		  { "range", unmap_0, 0 } },
	}, {
		"flat-begins", "tracking begins beside a registration and a range",
		untracked_and_both_to_come, take_down,
		{ { "driver 0", register_and_fault, 0 }, { "driver 1", insert_remove, 0 },
		  { "range", unmap_0, 0 } },
	}, {
		"flat-exit", "registered before exit, beside a truncation",
		exits_and_one_to_come, gone,
		{ { "driver", register_and_leave, 0 }, { "exit", leave_and_unregister, 1 },
		  { "range", unmap_0, 0 } },
		.bound = 3,
	}, {
		"flat-own-lock", "registered with a lock held that its start takes",
		one_to_come, take_down,
		{ { "driver", register_locked, 0 }, { "range", unmap_0, 0 } },
		.must = "lock order",
	}, {
		"flat-untracked", "what is not tracked has no number",
		untracked_that_fail, take_down,
		{ { "oom", unmap_0, NONBLOCK | ZEROED }, { "range", unmap_0, ZEROED } },
	},
};

const unsigned int nr_flat = ARRAY_SIZE(flat);
