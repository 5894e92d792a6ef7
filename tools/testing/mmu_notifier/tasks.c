// SPDX-License-Identifier: GPL-2.0
/* What several programs set up, do and take down */
#include "tasks.h"

void unmap_0(void *flags) { invalidate(0, 0, (long)flags); }
void unmap_01(void *flags) { invalidate(0, 1, (long)flags); }
void unmap_1(void *flags) { invalidate(1, 1, (long)flags); }
void unmap_2(void *flags) { invalidate(2, 2, (long)flags); }
void unmap_012(void *flags) { invalidate(0, 2, (long)flags); }

void unmap_twice(void *flags)
{
	invalidate(0, 0, (long)flags);
	invalidate(0, 0, (long)flags);
}

void read_0(void *n)
{
	interval_fault(intervals[(long)n], 0);
}

void read_say(void *n)
{
	read_0(n);
	reader_is_done = true;
}

void remove_n(void *n)
{
	interval_destroy(intervals[(long)n]);
}

void remove_say(void *n)
{
	remove_n(n);
	reader_is_done = true;
}

/* Lets the ranges in progress call it first. */
void remove_when_valid(void *n)
{
	struct interval *dev = intervals[(long)n];
	unsigned long start = dev->notifier.interval_tree.start;
	unsigned long end = dev->notifier.interval_tree.last + 1;

	ledger_goes(dev->id);
	do
		wait_valid(start, end);
	while (!mmu_notifier_range_is_valid(mm, start, end));
	interval_destroy(dev);
}

void read_and_remove(void *n)
{
	struct interval *dev = intervals[(long)n];

	interval_fault(dev, 0);
	interval_destroy(dev);
}

void insert_n(void *n)
{
	interval_insert(intervals[(long)n]);
}

void insert_read_remove(void *n)
{
	struct interval *dev = intervals[(long)n];

	interval_insert(dev);
	if (!interval_fault(dev, 0)) {
		fault_in(0);
		interval_fault(dev, 0);
	}
	interval_destroy(dev);
}

void insert_remove(void *n)
{
	struct interval *dev = intervals[(long)n];

	interval_insert(dev);
	interval_destroy(dev);
}

void unregister_n(void *n)
{
	list_unregister(lists[(long)n]);
}

void leave(void *unused)
{
	mmput(mm);
}

void wait_valid(unsigned long start, unsigned long end)
{
	ledger_wait_begins(start, end);
	mmu_notifier_range_wait_valid(mm, start, end);
	ledger_wait_done(0, 0);
}

int wait_valid_timeout(unsigned long start, unsigned long end, unsigned long deadline)
{
	int ret;

	ledger_wait_begins(start, end);
	ret = mmu_notifier_range_wait_valid_timeout(mm, start, end, deadline);
	ledger_wait_done(ret, deadline);
	return ret;
}

void one_interval(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 1, 0));
}

void two_intervals(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 0, 0));
	interval_insert(interval_create(1, 0, 1, 0));
}

/* A range of page 0 calls them in this order. */
void three_intervals(void)
{
	two_intervals();
	interval_insert(interval_create(2, 0, 2, 0));
}

/* An mm that has had an interval notifier, and two that are not inserted yet */
void no_interval_left(void)
{
	mm_create();
	interval_insert(interval_create(0, 3, 3, 0));
	interval_destroy(intervals[0]);
	interval_create(0, 0, 1, 0);
	interval_create(1, 0, 0, 0);
}

void take_down(void)
{
	unsigned int i;

	for (i = 0; i < MAX_DEVICES; i++)
		if (intervals[i] && !memory_error(intervals[i], 1) &&
		    ledger_demands(&intervals[i]->notifier))
			interval_destroy(intervals[i]);
	for (i = 0; i < MAX_DEVICES; i++)
		if (lists[i] && !memory_error(lists[i], 1) &&
		    ledger_demands(&lists[i]->notifier))
			list_unregister(lists[i]);
	if (!memory_error(mm, sizeof(*mm)))
		mmput(mm);
	ledger_finish();
}

void gone(void)
{
	ledger_finish();
}

bool reader_is_done STATE;

static bool is_done(void *unused)
{
	return reader_is_done;
}

struct mmu_notifier_range *range_begin(unsigned int page)
{
	struct mmu_notifier_range *range = NEW(struct mmu_notifier_range);

	down_read(mm->rmap);
	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, mm, ADDRESS(page),
				ADDRESS(page + 1));
	ledger_range_begins(range, false);
	mmu_notifier_invalidate_range_start(range);
	ledger_range_started(range, 0);
	return range;
}

void range_end(struct mmu_notifier_range *range)
{
	mmu_notifier_invalidate_range_end(range);
	ledger_range_ended(range);
	kfree(range);
	up_read(mm->rmap);
}

void hold(unsigned int page)
{
	struct mmu_notifier_range *range = range_begin(page);

	block("the reader", NULL, NULL, is_done, NULL);
	range_end(range);
}

void hold_elsewhere(void *unused)
{
	hold(2);
}

static bool reader_sleeps_or_is_done(void *unused)
{
	return reader_is_done || (tasks[0].queue && !tasks[0].woken);
}

/* A range of the same page that begins when the reader has, and ends after it */
void hold_newer(void *unused)
{
	block("the reader begins to wait", NULL, NULL, reader_sleeps_or_is_done, NULL);
	hold(0);
}
