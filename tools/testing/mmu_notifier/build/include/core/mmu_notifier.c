// SPDX-License-Identifier: GPL-2.0-only
/*
 *  linux/mm/mmu_notifier.c
 *
 *  Copyright (C) 2008  Qumranet, Inc.
 *  Copyright (C) 2008  SGI
 *             Christoph Lameter <cl@gentwo.org>
 */

#include <linux/completion.h>
#include <linux/rculist.h>
#include <linux/mmu_notifier.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/err.h>
#include <linux/interval_tree_generic.h>
#include <linux/jump_label.h>
#include <linux/srcu.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/debug.h>
#include <linux/sched/mm.h>
#include <linux/sched/sysctl.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/timer.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/mmu_notifier.h>

/* How many interval notifiers a walk looks at in one critical section. */
#ifndef MN_BATCH
#define MN_BATCH 17
#endif

/* Inlined, since walks are hot. */
#define MN_START(interval_sub) ((interval_sub)->interval_tree.start)
#define MN_LAST(interval_sub) ((interval_sub)->interval_tree.last)
INTERVAL_TREE_DEFINE(struct mmu_interval_notifier, interval_tree.rb,
		     unsigned long, interval_tree.__subtree_last,
		     MN_START, MN_LAST, static __always_inline, mn_itree)

/* global SRCU for all MMs */
DEFINE_STATIC_SRCU(srcu);

#ifdef CONFIG_LOCKDEP
struct lockdep_map __mmu_notifier_invalidate_range_start_map = {
	.name = "mmu_notifier_invalidate_range_start"
};

struct lockdep_map __mmu_notifier_range_map = {
	.name = "mmu_notifier_range"
};
#endif

/*
 * A walk tests once whether any of the events of start, end and the callbacks
 * is on, and then takes the copy of the walk that has them. So while they are
 * off, they cost a start one no-op, and an end another.
 */
static DEFINE_STATIC_KEY_FALSE(mn_trace_key);

static __always_inline bool mn_traced(void)
{
	return IS_ENABLED(CONFIG_TRACEPOINTS) &&
	       static_branch_unlikely(&mn_trace_key);
}

#ifdef CONFIG_TRACEPOINTS
/* Called for each of the events that is switched on, and off. */
int mmu_notifier_trace_reg(void)
{
	static_branch_inc(&mn_trace_key);
	return 0;
}

void mmu_notifier_trace_unreg(void)
{
	static_branch_dec(&mn_trace_key);
}
#endif

/* What a plain mmu_notifier can implement, for which a walk enters SRCU */
#define MN_CLEAR_FLUSH_YOUNG			BIT(0)
#define MN_CLEAR_YOUNG				BIT(1)
#define MN_TEST_YOUNG				BIT(2)
#define MN_INVALIDATE_RANGE_START		BIT(3)
#define MN_INVALIDATE_RANGE_END			BIT(4)
#define MN_ARCH_INVALIDATE_SECONDARY_TLBS	BIT(5)

/*
 * The mmu_notifier_subscriptions structure is allocated and installed in
 * mm->notifier_subscriptions inside the mm_take_all_locks() protected
 * critical section and it's released only when mm_count reaches zero
 * in mmdrop().
 */
struct mmu_notifier_subscriptions {
	/* all mmu notifiers registered in this mm are queued in this list */
	struct hlist_head list;
	/* MN_*: what any of them has implemented, see mn_implements() */
	u8 implemented;
	/*
	 * Ranges are tracked: for interval notifiers, or for a plain notifier
	 * with track_ranges. Only set with all locks of mm_take_all_locks()
	 * held, so that every later start sees it, and never cleared. Insert
	 * reads it without them: its critical section and that of read_begin
	 * order that before the page tables are read. Who queries has
	 * registered before.
	 */
	bool tracked;
	/* to serialize the list modifications and hlist_unhashed */
	spinlock_t lock;
	/* the number of the newest range or notifier of either kind, odd */
	u64 invalidate_seq;
	/* the ranges in progress, sorted by seq */
	struct list_head active_ranges;
	struct rb_root_cached itree;
	/* the failure of a start has been printed */
	bool failure_told;
};

/*
 * Can a plain mmu_notifier on the list implement @op? If not, there is nothing
 * to enter SRCU for.
 *
 * subscriptions->implemented never shrinks. It grows before the notifier is on
 * the list: in the same critical section of subscriptions->lock and, unless the
 * mm is tracked, with all locks of mm_take_all_locks() held. So reading it needs
 * no barrier:
 *  - An invalidation holds one of these locks from before its start until after
 *    its end. Both see the bit, or have returned before it is set. A tracked one
 *    reads it after the critical section that gives it its number: it sees what
 *    was registered before, and is not concerned by what is registered later.
 *  - arch_invalidate_secondary_tlbs is called with one of them held, after the
 *    page table was changed, and what implements it is always registered with
 *    all of them held. It sees the bit, or both came before registration, and
 *    the device, which uses the page table only after that, sees the change.
 *    A caller that holds none has to order the change before mm_has_notifiers(),
 *    for the sake of the first notifier; the bit is read after that. Exit has no
 *    user left who could register.
 *  - The young operations give hints. A notifier that is missed has just been
 *    registered, and has not mapped anything that was old.
 */
static __always_inline bool
mn_implements(struct mmu_notifier_subscriptions *subscriptions, u8 op)
{
	return (READ_ONCE(subscriptions->implemented) & op) &&
	       !hlist_empty(&subscriptions->list);
}

/*
 * This is a collision-retry read-side/write-side 'lock', a lot like a
 * seqcount, however this allows multiple write-sides to hold it at
 * once, each for a range of addresses. Conceptually a write side is protecting
 * the values of the PTEs in its range, such that PTES cannot be read into SPTEs
 * (shadow PTEs) while any writer of them exists.
 *
 * Note that the core mm creates nested invalidate_range_start()/end() regions
 * within the same thread, and runs invalidate_range_start()/end() in parallel
 * on multiple CPUs. This is designed to not reduce concurrency or block
 * progress on the mm side.
 *
 * Every range and every interval notifier has a unique number, the next value
 * of subscriptions->invalidate_seq: a range when it starts, in the critical
 * section that appends it to subscriptions->active_ranges, so the list is
 * sorted; an interval notifier when it is inserted. A range calls the interval
 * notifiers in the tree that overlap it and have a lower number.
 *
 * An interval notifier is removed from the tree when no range that calls it is
 * in progress: by mmu_interval_notifier_remove(), or by the end of the last of
 * these ranges. Therefore
 *  - every range that overlaps, and starts after the insert and before the
 *    removal, calls it;
 *  - what a range calls stays in the tree and in memory until the range ends,
 *    so a walk can find several under the lock, and call them without it;
 *  - none of its callbacks is running when it has been removed.
 * Other interval notifiers can be inserted and removed in the meantime, so the
 * tree itself is only read under the lock.
 *
 * For a reader and a range that overlap, the lock leaves three cases. The range
 * is in progress: the reader waits for its end. The range starts later: it
 * finds the interval notifier in the tree, and its callback makes
 * mmu_interval_read_retry() return true. The range has ended: the page tables
 * have their new values.
 *
 * Start and end take constant time. Whoever waits scans the list, and so does
 * the end of a range for those that it wakes.
 */

/*
 * A thread that waits for ranges in progress: for those that overlap
 * [start, last], are newer than @older and not newer than @newest. A reader and
 * a registration wait for those that are there when they begin, a removal for
 * those that call what is removed. It is queued on the oldest of them. The end
 * of that range queues it on the next one or, if there is none, completes it. So
 * it is woken once, and a range that no thread is queued on ends without looking
 * for any.
 */
struct mn_waiter {
	struct hlist_node node;
	unsigned long start;
	unsigned long last;
	u64 older;
	u64 newest;
	/* the reader's, or the one to remove, or NULL */
	struct mmu_interval_notifier *interval_sub;
	bool remove;
	/* the call, for people */
	const char *what;
	/* what a reader returns */
	unsigned long seq;
	struct completion done;
};

/*
 * Returns the oldest range in progress that overlaps [start, last], is newer
 * than @older and not newer than @newest.
 */
static struct mmu_notifier_range *
mn_range_find(struct mmu_notifier_subscriptions *subscriptions,
	      unsigned long start, unsigned long last, u64 older, u64 newest)
{
	struct mmu_notifier_range *range;

	lockdep_assert_held(&subscriptions->lock);
	list_for_each_entry(range, &subscriptions->active_ranges, active) {
		if (range->seq > newest)
			break;
		if (range->start <= last && range->end - 1 >= start &&
		    range->seq > older)
			return range;
	}
	return NULL;
}

/*
 * No range that calls @interval_sub is in progress. An older one, which skips
 * it, may be about to continue from it.
 */
static void
mn_interval_remove(struct mmu_notifier_subscriptions *subscriptions,
		   struct mmu_interval_notifier *interval_sub)
{
	struct mmu_notifier_range *range;

	lockdep_assert_held(&subscriptions->lock);
	list_for_each_entry(range, &subscriptions->active_ranges, active)
		if (range->cursor == interval_sub)
			range->cursor = mn_itree_iter_next(interval_sub,
							   range->start,
							   range->end - 1);
	mn_itree_remove(interval_sub, &subscriptions->itree);
}

/*
 * No range that @waiter waits for is in progress any more. If no newer one is
 * either, the number that the reader's callback was last called with is that of
 * a range that has ended, so it is not going to collide with it.
 */
static void mn_waiter_finish(struct mmu_notifier_subscriptions *subscriptions,
			     struct mn_waiter *waiter)
{
	struct mmu_interval_notifier *interval_sub = waiter->interval_sub;

	lockdep_assert_held(&subscriptions->lock);
	if (waiter->remove)
		mn_interval_remove(subscriptions, interval_sub);
	else if (interval_sub &&
		 !mn_range_find(subscriptions, waiter->start, waiter->last,
				0, U64_MAX))
		waiter->seq = READ_ONCE(interval_sub->invalidate_seq);
}

/*
 * @range has ended and is not listed any more, so no thread can queue on it.
 * The lock is dropped after each one that has, which bounds the work under it.
 * In between, one may withdraw, and another range start: if that overlaps what
 * a thread wants to remove, it is waited for, too.
 */
static noinline void
mn_range_wake(struct mmu_notifier_subscriptions *subscriptions,
	      struct mmu_notifier_range *range)
	__must_hold(&subscriptions->lock)
{
	struct mmu_notifier_range *next;
	struct mn_waiter *waiter;

	lockdep_assert_held(&subscriptions->lock);
	while (!hlist_empty(&range->waiters)) {
		waiter = hlist_entry(range->waiters.first, struct mn_waiter,
				     node);
		hlist_del_init(&waiter->node);
		next = mn_range_find(subscriptions, waiter->start, waiter->last,
				     waiter->older, waiter->newest);
		if (next)
			hlist_add_head(&waiter->node, &next->waiters);
		else
			mn_waiter_finish(subscriptions, waiter);
		spin_unlock(&subscriptions->lock);

		/* Wakes mn_wait(), and is the last access of @waiter. */
		if (!next)
			complete(&waiter->done);
		spin_lock(&subscriptions->lock);
	}
}

/* After how many jiffies somebody wants to know why a thread still waits. */
static long mn_stall_limit(void)
{
	unsigned long secs = sysctl_hung_task_timeout_secs;

	if (!secs)
		secs = 120;
	return min_t(unsigned long, secs, MAX_JIFFY_OFFSET / HZ) * HZ;
}

/*
 * Says whom @waiter, of this thread, waits for. The hung-task detector can not:
 * it knows of no holder here, and does not look at waits that can be killed.
 *
 * As long as a range is listed, its thread has not called end. That is due in the
 * thread that has called start, on whose stack the range is, so the thread
 * exists. With the reference it can exit as soon as the lock is dropped. What it
 * is in, a callback or the change of the page tables, its stack shows, so that
 * no walk has to note what it calls.
 */
static noinline void
mn_report_stall(struct mmu_notifier_subscriptions *subscriptions,
		const struct mn_waiter *waiter, unsigned long since)
{
	static const char * const events[] = {
		[MMU_NOTIFY_UNMAP] = "unmap",
		[MMU_NOTIFY_CLEAR] = "clear",
		[MMU_NOTIFY_PROTECTION_VMA] = "protection_vma",
		[MMU_NOTIFY_PROTECTION_PAGE] = "protection_page",
		[MMU_NOTIFY_SOFT_DIRTY] = "soft_dirty",
		[MMU_NOTIFY_RELEASE] = "release",
		[MMU_NOTIFY_MIGRATE] = "migrate",
		[MMU_NOTIFY_EXCLUSIVE] = "exclusive",
	};
	unsigned long now = jiffies, start, end, range_since;
	struct mmu_notifier_range *range;
	enum mmu_notifier_event event;
	struct task_struct *holder;
	u64 number;

	spin_lock(&subscriptions->lock);
	/* Of those it waits for, it is queued on the oldest. */
	range = mn_range_find(subscriptions, waiter->start, waiter->last,
			      waiter->older, waiter->newest);
	if (!range) {
		/* mn_range_wake() is about to complete it. */
		spin_unlock(&subscriptions->lock);
		return;
	}
	start = range->start;
	end = range->end;
	event = range->event;
	number = range->seq;
	range_since = range->since;
	holder = range->holder;
	get_task_struct(holder);
	spin_unlock(&subscriptions->lock);

	pr_warn("mmu_notifier: %s[%d] waits for %lu s in %s() for [%#lx, %#lx]\n",
		current->comm, task_pid_nr(current), (now - since) / HZ,
		waiter->what, waiter->start, waiter->last);
	pr_warn("mmu_notifier: %s[%d] invalidates [%#lx, %#lx] for %lu s: %s, number %llu\n",
		holder->comm, task_pid_nr(holder), start, end - 1,
		(now - range_since) / HZ,
		event < ARRAY_SIZE(events) ? events[event] : "?",
		(unsigned long long)number);
	sched_show_task(holder);
	put_task_struct(holder);
}

/* Returns 0 if the time is up, and a negative number after a fatal signal. */
static long mn_wait_timeout(struct mn_waiter *waiter, bool killable, long timeout)
{
	if (killable)
		return wait_for_completion_killable_timeout(&waiter->done,
							    timeout);
	return wait_for_completion_timeout(&waiter->done, timeout);
}

/*
 * Waits as @waiter says, if @killable until a fatal signal, and until @deadline
 * unless that is 0. @range is what mn_range_find() has returned in the critical
 * section that this is called in; drops the lock.
 *
 * mn_range_wake() completes @waiter. Each range that it is queued on ends, and
 * those that start later are newer than @newest, so the wait ends; a removal,
 * which has no @newest, ends when the overlapping ranges leave a gap. If that
 * takes as long as a task may hang, this is reported once.
 */
static int __mn_wait(struct mmu_notifier_subscriptions *subscriptions,
		     struct mmu_notifier_range *range, struct mn_waiter *waiter,
		     bool killable, unsigned long deadline)
	__releases(&subscriptions->lock)
{
	const unsigned long since = jiffies;
	const long limit = mn_stall_limit();
	long left = MAX_SCHEDULE_TIMEOUT, ret;
	bool queued;

	lockdep_assert_held(&subscriptions->lock);
	init_completion(&waiter->done);
	hlist_add_head(&waiter->node, &range->waiters);
	spin_unlock(&subscriptions->lock);

	if (deadline)
		left = max_t(long, deadline - since, 0);
	ret = mn_wait_timeout(waiter, killable, min(left, limit));
	if (!ret && left > limit) {
		mn_report_stall(subscriptions, waiter, since);
		if (deadline)
			left = max_t(long, deadline - jiffies, 0);
		ret = mn_wait_timeout(waiter, killable, left);
	}
	if (ret > 0)
		return 0;
	if (killable) {
		spin_lock(&subscriptions->lock);
		queued = !hlist_unhashed(&waiter->node);
		hlist_del_init(&waiter->node);
		spin_unlock(&subscriptions->lock);
		if (queued)
			return ret ? -EINTR : -ETIMEDOUT;
		/* mn_range_wake() is about to complete it. */
	}
	wait_for_completion(&waiter->done);
	return 0;
}

/* The same, with its event, which has the holder of the first range. */
static int mn_wait(struct mmu_notifier_subscriptions *subscriptions,
		   struct mmu_notifier_range *range, struct mn_waiter *waiter,
		   bool killable, unsigned long deadline)
	__releases(&subscriptions->lock)
{
	struct mm_struct *mm = range->mm;
	char comm[TASK_COMM_LEN];
	pid_t holder;
	u64 begin;
	int ret;

	if (!trace_mmu_notifier_wait_enabled())
		return __mn_wait(subscriptions, range, waiter, killable,
				 deadline);

	/* It stays until @range has ended, see mn_report_stall(). */
	holder = task_pid_nr(range->holder);
	get_task_comm(comm, range->holder);
	begin = local_clock();
	ret = __mn_wait(subscriptions, range, waiter, killable, deadline);
	trace_mmu_notifier_wait(waiter->what, mm, waiter->start, waiter->last,
				holder, comm, ret, local_clock() - begin);
	return ret;
}

/* A wait for a grace period, which cannot have a limit itself. */
struct mn_grace_period {
	struct timer_list timer;
	struct task_struct *task;
	const char *what;
	unsigned long since;
};

/* SRCU knows that there are readers, and not which. */
static void mn_report_grace_period(struct timer_list *timer)
{
	const struct mn_grace_period *wait =
		container_of(timer, struct mn_grace_period, timer);

	pr_warn("mmu_notifier: %s[%d] waits for %lu s in %s() for the callbacks of plain notifiers, of every mm\n",
		wait->task->comm, task_pid_nr(wait->task),
		(jiffies - wait->since) / HZ, wait->what);
}

/*
 * Waits until the callbacks of plain notifiers, of every mm, have returned; if
 * @mm is NULL, until what is called after a grace period has been called, too.
 */
static void mn_wait_callbacks(const char *what, struct mm_struct *mm)
{
	u64 begin = trace_mmu_notifier_wait_enabled() ? local_clock() : 0;
	struct mn_grace_period wait = {
		.task = current,
		.what = what,
		.since = jiffies,
	};

	timer_setup_on_stack(&wait.timer, mn_report_grace_period, 0);
	mod_timer(&wait.timer, wait.since + mn_stall_limit());
	synchronize_srcu(&srcu);
	if (!mm)
		srcu_barrier(&srcu);
	timer_delete_sync(&wait.timer);
	timer_destroy_on_stack(&wait.timer);
	/* Not if it was switched on in between. */
	if (begin)
		trace_mmu_notifier_wait(what, mm, 0, ULONG_MAX, 0, "", 0,
					local_clock() - begin);
}

/* Lists a range that starts, before its first callback. */
static __always_inline void
mn_range_start(struct mmu_notifier_subscriptions *subscriptions,
	       struct mmu_notifier_range *range)
{
	lockdep_assert_held(&subscriptions->lock);
	/* A range that is started twice stays where it is on the list. */
	if (WARN_ON_ONCE(range->flags & MMU_NOTIFIER_RANGE_TRACKED))
		return;
	range->flags |= MMU_NOTIFIER_RANGE_TRACKED;
	subscriptions->invalidate_seq += 2;
	range->seq = subscriptions->invalidate_seq;
	range->cursor = NULL;
	INIT_HLIST_HEAD(&range->waiters);
	range->holder = current;
	range->since = jiffies;
	list_add_tail(&range->active, &subscriptions->active_ranges);
}

static __always_inline void
mn_range_end(struct mmu_notifier_subscriptions *subscriptions,
	     struct mmu_notifier_range *range)
{
	range->flags &= ~MMU_NOTIFIER_RANGE_TRACKED;
	spin_lock(&subscriptions->lock);
	list_del(&range->active);
	if (unlikely(!hlist_empty(&range->waiters)))
		mn_range_wake(subscriptions, range);
	spin_unlock(&subscriptions->lock);
}

/* Out of line, so that a reader that does not wait does not pay for it. */
static noinline int
mn_read_wait(struct mmu_notifier_subscriptions *subscriptions,
	     struct mmu_notifier_range *range,
	     struct mmu_interval_notifier *interval_sub, unsigned long *seq,
	     bool killable, unsigned long deadline)
	__releases(&subscriptions->lock)
{
	struct mn_waiter waiter = {
		.start = interval_sub->interval_tree.start,
		.last = interval_sub->interval_tree.last,
		.newest = subscriptions->invalidate_seq,
		.interval_sub = interval_sub,
		.what = "mmu_interval_read_begin",
		.seq = *seq,
	};
	int ret;

	ret = mn_wait(subscriptions, range, &waiter, killable, deadline);
	*seq = waiter.seq;
	return ret;
}

static __always_inline int
mn_read_begin(struct mmu_interval_notifier *interval_sub, unsigned long *seq,
	      bool killable, unsigned long deadline)
{
	struct mmu_notifier_subscriptions *subscriptions =
		interval_sub->mm->notifier_subscriptions;
	struct mmu_notifier_range *range;

	might_sleep();
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);

	/*
	 * If the subscription has a different seq value under the user_lock
	 * than we started with then it has collided.
	 *
	 * The locking looks broadly like this:
	 *   mn_range_start():                     mn_read_begin():
	 *                                         spin_lock
	 *                                          seq = interval_sub->invalidate_seq
	 *                                          newest = subscriptions->invalidate_seq
	 *                                         spin_unlock
	 *    spin_lock
	 *     range->seq = subscriptions->invalidate_seq += 2
	 *    spin_unlock
	 *     op->invalidate():
	 *       user_lock
	 *        mmu_interval_set_seq()
	 *         interval_sub->invalidate_seq = range->seq
	 *       user_unlock
	 *
	 *                          [Required: mmu_interval_read_retry() == true]
	 *
	 *   mn_range_end():
	 *    spin_lock
	 *     list_del(&range->active)
	 *    spin_unlock
	 *
	 *                                        user_lock
	 *                                         mmu_interval_read_retry():
	 *                                          interval_sub->invalidate_seq != seq
	 *                                        user_unlock
	 *
	 * A range that is newer than @newest need not be waited for: its number
	 * is not @seq, and its callback is going to set it. A range that is not
	 * newer may have set its number already, so it has to be waited for.
	 * @seq is read in the same critical section as @newest: a later value
	 * may belong to a range that is not waited for, unless that has ended,
	 * too, see mn_waiter_finish().
	 *
	 * Barriers are not needed here as any races here are closed by an
	 * eventual mmu_interval_read_retry(), which provides a barrier via the
	 * user_lock.
	 */
	spin_lock(&subscriptions->lock);
	/* Pairs with the WRITE_ONCE in mmu_interval_set_seq() */
	*seq = READ_ONCE(interval_sub->invalidate_seq);
	range = mn_range_find(subscriptions, interval_sub->interval_tree.start,
			      interval_sub->interval_tree.last, 0, U64_MAX);
	if (unlikely(range))
		return mn_read_wait(subscriptions, range, interval_sub, seq,
				    killable, deadline);
	spin_unlock(&subscriptions->lock);

	/*
	 * Notice that mmu_interval_read_retry() can already be true at this
	 * point, avoiding loops here allows the caller to provide a global
	 * time bound.
	 */
	return 0;
}

/**
 * mmu_interval_read_begin - Begin a read side critical section against a VA
 *                           range
 * @interval_sub: The interval subscription
 *
 * mmu_interval_read_begin()/mmu_interval_read_retry() implement a
 * collision-retry scheme similar to seqcount for the VA range under
 * subscription. If the mm invokes invalidation during the critical section
 * then mmu_interval_read_retry() will return true.
 *
 * This is useful to obtain shadow PTEs where teardown or setup of the SPTEs
 * require a blocking context.  The critical region formed by this can sleep,
 * and the required 'user_lock' can also be a sleeping lock.
 *
 * The caller is required to provide a 'user_lock' to serialize both teardown
 * and setup. Do not allocate memory under it in a way that can enter reclaim:
 * reclaim can start an invalidation, which takes the lock. Read the page
 * tables, and fault pages in if needed, between mmu_interval_read_begin() and
 * taking the lock.
 *
 * Context: Process context. May sleep until the invalidations that overlap the
 * range and are in progress at the call have ended; later ones do not prolong
 * the wait. mmap_lock may be held. Must not be called from a callback of an
 * invalidation, nor with a lock held that such a callback takes (this includes
 * the 'user_lock') or that the invalidating thread may need before it calls
 * end: a folio lock, i_mmap_rwsem, an anon_vma lock, a hugetlb lock, or, since
 * it may allocate, one that reclaim takes. May be called from ->release.
 *
 * Return: The sequence number to pass to mmu_interval_read_retry().
 */
unsigned long
mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub)
{
	unsigned long seq;

	mn_read_begin(interval_sub, &seq, false, 0);
	return seq;
}
EXPORT_SYMBOL_GPL(mmu_interval_read_begin);

/**
 * mmu_interval_read_begin_timeout - Begin a read side critical section, unless
 *                                   that takes too long
 * @interval_sub: The interval subscription
 * @seq: Where to return the sequence number for mmu_interval_read_retry()
 * @deadline: In jiffies, or 0 to wait without a limit. Where jiffies + timeout
 *            may wrap to 0, pass 1 instead
 *
 * As mmu_interval_read_begin(), but a fatal signal or @deadline ends the wait.
 * If there is nothing to wait for, neither is looked at.
 *
 * Context: As mmu_interval_read_begin().
 *
 * Return:
 * * %0 - *@seq is set.
 * * %-EINTR - A fatal signal is pending.
 * * %-ETIMEDOUT - @deadline has passed.
 *
 * On error *@seq must not be used, and there is nothing to undo.
 */
int mmu_interval_read_begin_timeout(struct mmu_interval_notifier *interval_sub,
				    unsigned long *seq, unsigned long deadline)
{
	return mn_read_begin(interval_sub, seq, true, deadline);
}
EXPORT_SYMBOL_GPL(mmu_interval_read_begin_timeout);

/* Not inlined, so that it warns once for both of its callers. */
static noinline struct mmu_notifier_subscriptions *
mn_tracked_subscriptions(struct mm_struct *mm, unsigned long start,
			 unsigned long end)
{
	struct mmu_notifier_subscriptions *subscriptions;

	/* Pairs with the smp_store_release() in __mmu_notifier_register() */
	subscriptions = smp_load_acquire(&mm->notifier_subscriptions);
	if (WARN_ON_ONCE(start >= end) ||
	    WARN_ON_ONCE(!subscriptions || !READ_ONCE(subscriptions->tracked)))
		return NULL;
	return subscriptions;
}

/**
 * mmu_notifier_range_is_valid - Check that nothing in a range is being
 * invalidated
 * @mm: The mm, with a plain notifier with track_ranges or an interval notifier
 * @start: First address of the range, in bytes
 * @end: End of the range, in bytes, exclusive
 *
 * This is for drivers with a plain notifier that read the page tables of @mm and
 * map what they find. It says nothing about invalidations that have ended, nor
 * about those that start as soon as it has returned, so it is useful only in a
 * protocol in which both sides take part. To map:
 *
 * 0. fault the pages in; take the mmap_lock for reading if 5 needs it
 * 1. mmu_notifier_range_wait_valid(), without the lock of the driver
 * 2. take the lock of the driver
 * 3. if not mmu_notifier_range_is_valid(), drop the lock and go to 1
 * 4. publish that there is a fault, with its range, and drop the lock
 * 5. read the page tables, without faulting: get_user_pages_fast_only() in the
 *    process itself; elsewhere, and only outside of hugetlb VMAs,
 *    get_user_pages_remote() with FOLL_NOFAULT; both with FOLL_WRITE if the
 *    mapping is going to be writable
 * 6. take the lock; map, unless the fault was told to back off or 5 found
 *    nothing; withdraw the fault, wake its waiters, drop the lock and the
 *    mmap_lock; if nothing was mapped, go to 0
 *
 * The reference that 5 takes may be dropped immediately: while the fault is
 * published, an invalidation of the page waits before it changes anything.
 *
 * ->invalidate_range_start takes the lock, tells the overlapping faults to back
 * off, waits without the lock until they are withdrawn (for a count that each
 * withdrawal raises under it, say), and then drops what is mapped. If it may
 * not block it only tries to take the lock, and returns -EAGAIN if that fails
 * or a fault overlaps, which may stay told to back off. No
 * ->invalidate_range_end is needed. An invalidation is either seen in 3, since
 * it is tracked before its first callback, or takes the lock after 4 and sees
 * the fault.
 *
 * As with mmu_interval_read_retry(), nothing bounds the number of retries, and
 * a page that cannot be faulted in is never mapped: give up after some time,
 * and on a signal.
 *
 * Since invalidations wait for the fault, the steps between 4 and 6 must
 * neither wait for an invalidation nor start one: fault no page in, lock no
 * folio, split no huge entry, take no VMA lock of hugetlb, and do not allocate
 * in a way that can enter reclaim, which is forbidden under the lock of the
 * driver, too. get_user_pages_remote() and walk_page_range() can take the VMA
 * lock of hugetlb, and the latter can split. The caller holds a reference on
 * mm_users from 0 to 6 (see mmget_not_zero(); the mmput() may call ->release),
 * so that the mm does not exit in between, and does not unregister the
 * notifier. lib/test_mmu_notifier.c implements the protocol for the current
 * process.
 *
 * The idea is from Jérôme Glisse's range tracking of 2014.
 *
 * Context: Process context, wherever a spinlock_t may be taken; from every
 * notifier callback, but with PREEMPT_RT not from a non-blocking start or
 * end; not from interrupts. In an end it is undefined whether the range that
 * ends still counts. Does not sleep.
 *
 * Return: true if no overlapping invalidation is between start and end, false
 * if one is. Also false, with a warning, if the range is empty or @mm is not
 * tracked; retrying does not change that.
 */
bool mmu_notifier_range_is_valid(struct mm_struct *mm, unsigned long start,
				 unsigned long end)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mn_tracked_subscriptions(mm, start, end);
	bool valid;

	if (!subscriptions)
		return false;
	spin_lock(&subscriptions->lock);
	valid = !mn_range_find(subscriptions, start, end - 1, 0, U64_MAX);
	spin_unlock(&subscriptions->lock);
	return valid;
}
EXPORT_SYMBOL_GPL(mmu_notifier_range_is_valid);

static int mn_range_wait_valid(struct mm_struct *mm, unsigned long start,
			       unsigned long end, bool killable,
			       unsigned long deadline)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mn_tracked_subscriptions(mm, start, end);
	struct mn_waiter waiter = {
		.start = start,
		.last = end - 1,
		.what = "mmu_notifier_range_wait_valid",
	};
	struct mmu_notifier_range *range;

	might_sleep();
	/* As in mn_read_begin() */
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);

	if (!subscriptions)
		return 0;
	spin_lock(&subscriptions->lock);
	waiter.newest = subscriptions->invalidate_seq;
	range = mn_range_find(subscriptions, start, end - 1, 0, U64_MAX);
	if (range)
		return mn_wait(subscriptions, range, &waiter, killable,
			       deadline);
	spin_unlock(&subscriptions->lock);
	return 0;
}

/**
 * mmu_notifier_range_wait_valid - Wait for the invalidations of a range
 * @mm: The mm, with a plain notifier with track_ranges or an interval notifier
 * @start: First address of the range, in bytes
 * @end: End of the range, in bytes, exclusive
 *
 * Returns when all invalidations that overlap the range and were between start
 * and end at the call have ended. Others may have started since: see
 * mmu_notifier_range_is_valid() for the protocol that this is a part of. If the
 * range is empty or @mm is not tracked it warns and returns immediately.
 *
 * Context: Process context, may sleep. mmap_lock may be held. Must not be
 * called from a callback of an invalidation, nor with a lock held that such a
 * callback takes or waits for or that the invalidating thread may need before
 * it calls end, see mmu_interval_read_begin().
 */
void mmu_notifier_range_wait_valid(struct mm_struct *mm, unsigned long start,
				   unsigned long end)
{
	mn_range_wait_valid(mm, start, end, false, 0);
}
EXPORT_SYMBOL_GPL(mmu_notifier_range_wait_valid);

/**
 * mmu_notifier_range_wait_valid_timeout - Wait for the invalidations of a
 *                                         range, unless that takes too long
 * @mm: The mm, with a plain notifier with track_ranges or an interval notifier
 * @start: First address of the range, in bytes
 * @end: End of the range, in bytes, exclusive
 * @deadline: In jiffies, or 0 to wait without a limit
 *
 * As mmu_notifier_range_wait_valid(), but a fatal signal or @deadline ends the
 * wait. If there is nothing to wait for, neither is looked at.
 *
 * Context: As mmu_notifier_range_wait_valid().
 *
 * Return:
 * * %0 - All invalidations that were in progress at the call have ended.
 * * %-EINTR - A fatal signal is pending.
 * * %-ETIMEDOUT - @deadline has passed.
 */
int mmu_notifier_range_wait_valid_timeout(struct mm_struct *mm,
					  unsigned long start,
					  unsigned long end,
					  unsigned long deadline)
{
	return mn_range_wait_valid(mm, start, end, true, deadline);
}
EXPORT_SYMBOL_GPL(mmu_notifier_range_wait_valid_timeout);

static __always_inline bool
mn_itree_inv_call(struct mmu_interval_notifier *interval_sub,
		  const struct mmu_notifier_range *range,
		  struct llist_head *finish_passes)
{
	struct mmu_interval_notifier_finish *finish;
	bool ret;

	if (!interval_sub->ops->invalidate_start)
		return interval_sub->ops->invalidate(interval_sub, range,
						     range->seq);

	finish = NULL;
	ret = interval_sub->ops->invalidate_start(interval_sub, range,
						  range->seq, &finish);
	if (ret && finish) {
		finish->notifier = interval_sub;
		__llist_add(&finish->link, finish_passes);
	}
	return ret;
}

/* The same, with its event. */
static bool mn_itree_inv_call_traced(struct mmu_interval_notifier *interval_sub,
				     const struct mmu_notifier_range *range,
				     struct llist_head *finish_passes)
{
	const struct mmu_interval_notifier_ops *ops = interval_sub->ops;
	void *func = ops->invalidate_start ? (void *)ops->invalidate_start :
					     (void *)ops->invalidate;
	u64 begin = local_clock();
	bool ret = mn_itree_inv_call(interval_sub, range, finish_passes);

	trace_mmu_notifier_callback(range, func, ret ? 0 : -EAGAIN,
				    local_clock() - begin);
	return ret;
}

static __always_inline void
mn_itree_finish_pass(const struct mmu_notifier_range *range,
		     struct llist_head *finish_passes, const bool traced)
{
	struct llist_node *first = llist_reverse_order(__llist_del_all(finish_passes));
	struct mmu_interval_notifier_finish *f, *next;

	llist_for_each_entry_safe(f, next, first, link) {
		/* It may free @f. */
		void *func = f->notifier->ops->invalidate_finish;
		u64 begin = traced ? local_clock() : 0;

		f->notifier->ops->invalidate_finish(f);
		if (traced)
			trace_mmu_notifier_callback(range, func, 0,
						    local_clock() - begin);
	}
}

/*
 * Collects what @range calls, from @interval_sub on, in the order of the tree. Returns
 * where the batch ends; range->cursor is where to continue. Collects and skips
 * MN_BATCH at most, which bounds the work under the lock.
 *
 * Interval notifiers that were inserted after the range has started are
 * skipped, so the walk ends however many are inserted: their readers wait for
 * the range, see mn_read_begin().
 */
static __always_inline struct mmu_interval_notifier **
mn_itree_collect(struct mmu_interval_notifier *interval_sub,
		 struct mmu_notifier_range *range,
		 struct mmu_interval_notifier **batch)
{
	struct mmu_interval_notifier **next = batch;
	const unsigned long start = range->start;
	const unsigned long last = range->end - 1;
	const u64 seq = range->seq;
	unsigned int skipped = 0;

	while (interval_sub && next < batch + MN_BATCH) {
		if (likely(interval_sub->insert_seq < seq))
			*next++ = interval_sub;
		else if (skipped++ == MN_BATCH)
			break;
		interval_sub = mn_itree_iter_next(interval_sub, start, last);
	}
	range->cursor = interval_sub;
	return next;
}

static __always_inline int
__mn_itree_walk(struct mmu_notifier_subscriptions *subscriptions,
		struct mmu_interval_notifier *interval_sub,
		struct mmu_notifier_range *range, const bool traced)
	__releases(&subscriptions->lock)
{
	struct mmu_interval_notifier *batch[MN_BATCH] __uninitialized;
	struct mmu_interval_notifier **next, **end;
	LLIST_HEAD(finish_passes);
	bool more;
	int err = 0;

	for (;;) {
		end = mn_itree_collect(interval_sub, range, batch);
		more = range->cursor;
		spin_unlock(&subscriptions->lock);

		for (next = batch; next < end; next++) {
			bool ret;

			if (traced)
				ret = mn_itree_inv_call_traced(*next, range,
							       &finish_passes);
			else
				ret = mn_itree_inv_call(*next, range,
							&finish_passes);
			if (likely(ret))
				continue;
			/* As in mn_hlist_start_failed(). */
			if (WARN_ON_ONCE(mmu_notifier_range_blockable(range)))
				continue;
			err = -EAGAIN;
			goto out;
		}
		if (!more)
			break;
		spin_lock(&subscriptions->lock);
		/* mn_interval_remove() may have moved it. */
		interval_sub = range->cursor;
	}
out:
	mn_itree_finish_pass(range, &finish_passes, traced);

	/*
	 * On -EAGAIN the non-blocking caller is not allowed to call
	 * invalidate_range_end(), and its range is going to be gone.
	 */
	if (err)
		mn_range_end(subscriptions, range);
	return err;
}

/*
 * Calls the interval notifiers from @interval_sub on, the first one that
 * overlaps. Is called in the critical section that has listed @range, and drops
 * the lock.
 * Not inlined, so that a range that overlaps none does not pay for it.
 */
static noinline int
mn_itree_walk(struct mmu_notifier_subscriptions *subscriptions,
	      struct mmu_interval_notifier *interval_sub,
	      struct mmu_notifier_range *range)
	__releases(&subscriptions->lock)
{
	return __mn_itree_walk(subscriptions, interval_sub, range, false);
}

static __always_inline int
mn_itree_invalidate(struct mmu_notifier_subscriptions *subscriptions,
		    struct mmu_notifier_range *range, const bool traced)
{
	struct mmu_interval_notifier *interval_sub;

	spin_lock(&subscriptions->lock);
	mn_range_start(subscriptions, range);
	if (traced)
		trace_mmu_notifier_start(range);
	interval_sub = mn_itree_iter_first(&subscriptions->itree, range->start,
					   range->end - 1);
	if (interval_sub && traced)
		return __mn_itree_walk(subscriptions, interval_sub, range, true);
	if (interval_sub)
		return mn_itree_walk(subscriptions, interval_sub, range);
	spin_unlock(&subscriptions->lock);
	return 0;
}

static void mn_itree_release(struct mmu_notifier_subscriptions *subscriptions,
			     struct mm_struct *mm)
{
	struct mmu_notifier_range range = {
		.flags = MMU_NOTIFIER_RANGE_BLOCKABLE,
		.event = MMU_NOTIFY_RELEASE,
		.mm = mm,
		.start = 0,
		.end = ULONG_MAX,
	};

	if (mn_traced()) {
		mn_itree_invalidate(subscriptions, &range, true);
		trace_mmu_notifier_end(&range);
	} else {
		mn_itree_invalidate(subscriptions, &range, false);
	}
	mn_range_end(subscriptions, &range);
}

/*
 * This function can't run concurrently against mmu_notifier_register
 * because mm->mm_users > 0 during mmu_notifier_register and exit_mmap
 * runs with mm_users == 0. Other tasks may still invoke mmu notifiers
 * in parallel despite there being no task using this mm any more,
 * through the vmas outside of the exit_mmap context, such as with
 * vmtruncate. This serializes against mmu_notifier_unregister with
 * the notifier_subscriptions->lock in addition to SRCU and it serializes
 * against the other mmu notifiers with SRCU. struct mmu_notifier_subscriptions
 * can't go away from under us as exit_mmap holds an mm_count pin
 * itself.
 */
static void mn_hlist_release(struct mmu_notifier_subscriptions *subscriptions,
			     struct mm_struct *mm)
{
	struct mmu_notifier *subscription;
	int id;

	/*
	 * SRCU here will block mmu_notifier_unregister until
	 * ->release returns.
	 */
	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				 srcu_read_lock_held(&srcu))
		/*
		 * If ->release runs before mmu_notifier_unregister it must be
		 * handled, as it's the only way for the driver to flush all
		 * existing sptes and stop the driver from establishing any more
		 * sptes before all the pages in the mm are freed.
		 */
		if (subscription->ops->release)
			subscription->ops->release(subscription, mm);

	spin_lock(&subscriptions->lock);
	while (unlikely(!hlist_empty(&subscriptions->list))) {
		subscription = hlist_entry(subscriptions->list.first,
					   struct mmu_notifier, hlist);
		/*
		 * We arrived before mmu_notifier_unregister so
		 * mmu_notifier_unregister will do nothing other than to wait
		 * for ->release to finish and for mmu_notifier_unregister to
		 * return.
		 */
		hlist_del_init_rcu(&subscription->hlist);
	}
	spin_unlock(&subscriptions->lock);
	srcu_read_unlock(&srcu, id);

	/*
	 * synchronize_srcu here prevents mmu_notifier_release from returning to
	 * exit_mmap (which would proceed with freeing all pages in the mm)
	 * until the ->release method returns, if it was invoked by
	 * mmu_notifier_unregister.
	 *
	 * The notifier_subscriptions can't go away from under us because
	 * one mm_count is held by exit_mmap.
	 */
	mn_wait_callbacks("mmu_notifier_release", mm);
}

void __mmu_notifier_release(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;

	if (subscriptions->tracked)
		mn_itree_release(subscriptions, mm);

	if (!hlist_empty(&subscriptions->list))
		mn_hlist_release(subscriptions, mm);
}

/*
 * If no young bitflag is supported by the hardware, ->clear_flush_young can
 * unmap the address and return 1 or 0 depending if the mapping previously
 * existed or not.
 */
bool __mmu_notifier_clear_flush_young(struct mm_struct *mm,
		unsigned long start, unsigned long end)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	struct mmu_notifier *subscription;
	bool young = false;
	int id;

	if (!mn_implements(subscriptions, MN_CLEAR_FLUSH_YOUNG))
		return false;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				 &subscriptions->list, hlist,
				 srcu_read_lock_held(&srcu)) {
		if (subscription->ops->clear_flush_young)
			young |= subscription->ops->clear_flush_young(
				subscription, mm, start, end);
	}
	srcu_read_unlock(&srcu, id);

	return young;
}

bool __mmu_notifier_clear_young(struct mm_struct *mm,
		unsigned long start, unsigned long end)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	struct mmu_notifier *subscription;
	bool young = false;
	int id;

	if (!mn_implements(subscriptions, MN_CLEAR_YOUNG))
		return false;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				 &subscriptions->list, hlist,
				 srcu_read_lock_held(&srcu)) {
		if (subscription->ops->clear_young)
			young |= subscription->ops->clear_young(subscription,
								mm, start, end);
	}
	srcu_read_unlock(&srcu, id);

	return young;
}

bool __mmu_notifier_test_young(struct mm_struct *mm,
		unsigned long address)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	struct mmu_notifier *subscription;
	bool young = false;
	int id;

	if (!mn_implements(subscriptions, MN_TEST_YOUNG))
		return false;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				 &subscriptions->list, hlist,
				 srcu_read_lock_held(&srcu)) {
		if (subscription->ops->test_young) {
			young = subscription->ops->test_young(subscription, mm,
							      address);
			if (young)
				break;
		}
	}
	srcu_read_unlock(&srcu, id);

	return young;
}

/*
 * Returns the first subscription that @range calls. New ones go to the head of
 * the list, with a higher number. A @tracked range skips those that are newer:
 * their registration waits for its end, see mn_register_tracked(). While any
 * other range is in progress none can be added, since registration takes every
 * lock that a start..end section can hold; such a range has no number.
 */
static __always_inline struct mmu_notifier *
mn_hlist_first(struct mmu_notifier_subscriptions *subscriptions,
	       const struct mmu_notifier_range *range, bool tracked)
{
	struct mmu_notifier *subscription;

	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				  srcu_read_lock_held(&srcu))
		if (!tracked || subscription->registration_seq < range->seq)
			break;
	return subscription;
}

/*
 * Calls end for the subscriptions that were started before the one with the
 * registration_seq @failed_seq, whose start was the first to fail.
 *
 * The list is sorted, so these are the ones that @range calls and that have a
 * higher registration_seq, see mn_hlist_first(). A pointer to the one that
 * failed would not do: it can be unregistered in the meantime. For a
 * subscription that is unregistered in the meantime, end is not called.
 *
 * Runs in the SRCU read side critical section of the starts, so a subscription
 * whose start was called is still the one it was.
 */
static void mn_hlist_unwind(struct mmu_notifier_subscriptions *subscriptions,
			    const struct mmu_notifier_range *range, u64 failed_seq)
{
	struct mmu_notifier *subscription;

	subscription = mn_hlist_first(subscriptions, range,
				      range->flags & MMU_NOTIFIER_RANGE_TRACKED);
	hlist_for_each_entry_from_rcu(subscription, hlist) {
		const struct mmu_notifier_ops *ops = subscription->ops;

		if (subscription->registration_seq <= failed_seq)
			break;
		if (!ops->invalidate_range_start || !ops->invalidate_range_end)
			continue;
		non_block_start();
		ops->invalidate_range_end(subscription, range);
		non_block_end();
	}
}

/*
 * Returns 0 if the walk has to continue. Out of line, so that a walk that succeeds
 * does not pay for it.
 */
static noinline int
mn_hlist_start_failed(struct mmu_notifier_subscriptions *subscriptions,
		      const struct mmu_notifier *subscription,
		      struct mmu_notifier_range *range, int err)
{
	bool blockable = mmu_notifier_range_blockable(range);

	/* Once for each mm: a start fails for each VMA, and reapers retry. */
	if (!READ_ONCE(subscriptions->failure_told)) {
		WRITE_ONCE(subscriptions->failure_told, true);
		pr_info("%ps failed with %d in %sblockable context, called by %s[%d]\n",
			subscription->ops->invalidate_range_start, err,
			blockable ? "" : "non-", current->comm,
			task_pid_nr(current));
	}
	/*
	 * A caller that may block changes the page tables and calls end
	 * whatever is returned here, so the walk has to continue.
	 */
	if (WARN_ON_ONCE(blockable))
		return 0;
	WARN_ON_ONCE(err != -EAGAIN);
	mn_hlist_unwind(subscriptions, range, subscription->registration_seq);
	/* As in mn_itree_walk(). */
	if (range->flags & MMU_NOTIFIER_RANGE_TRACKED)
		mn_range_end(subscriptions, range);
	return err;
}

static __always_inline int
mn_hlist_invalidate_range_start(struct mmu_notifier_subscriptions *subscriptions,
				struct mmu_notifier_range *range,
				const bool tracked, const bool traced)
{
	struct mmu_notifier *subscription;
	int ret = 0;
	int id;

	id = srcu_read_lock(&srcu);
	subscription = mn_hlist_first(subscriptions, range, tracked);
	hlist_for_each_entry_from_rcu(subscription, hlist) {
		const struct mmu_notifier_ops *ops = subscription->ops;

		if (ops->invalidate_range_start) {
			u64 begin = traced ? local_clock() : 0;

			if (!mmu_notifier_range_blockable(range))
				non_block_start();
			ret = ops->invalidate_range_start(subscription, range);
			if (!mmu_notifier_range_blockable(range))
				non_block_end();
			if (traced)
				trace_mmu_notifier_callback(range,
					ops->invalidate_range_start, ret,
					local_clock() - begin);
			if (unlikely(ret)) {
				ret = mn_hlist_start_failed(subscriptions,
							    subscription,
							    range, ret);
				if (ret)
					break;
			}
		}
	}
	srcu_read_unlock(&srcu, id);

	return ret;
}

static __always_inline int mn_invalidate_start(struct mmu_notifier_range *range,
					       const bool traced)
{
	struct mmu_notifier_subscriptions *subscriptions =
		range->mm->notifier_subscriptions;
	int ret;

	if (subscriptions->tracked) {
		ret = mn_itree_invalidate(subscriptions, range, traced);
		if (!ret && mn_implements(subscriptions, MN_INVALIDATE_RANGE_START))
			ret = mn_hlist_invalidate_range_start(subscriptions,
							      range, true,
							      traced);
		return ret;
	}
	if (traced)
		trace_mmu_notifier_start(range);
	/* No READ_ONCE() here: registration takes a lock that is held. */
	if ((subscriptions->implemented & MN_INVALIDATE_RANGE_START) &&
	    !hlist_empty(&subscriptions->list))
		return mn_hlist_invalidate_range_start(subscriptions, range,
						       false, traced);
	return 0;
}

static noinline int mn_invalidate_start_traced(struct mmu_notifier_range *range)
{
	return mn_invalidate_start(range, true);
}

int __mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	if (mn_traced())
		return mn_invalidate_start_traced(range);
	return mn_invalidate_start(range, false);
}

static __always_inline void
mn_hlist_invalidate_end(struct mmu_notifier_subscriptions *subscriptions,
			struct mmu_notifier_range *range, const bool tracked,
			const bool traced)
{
	struct mmu_notifier *subscription;
	int id;

	id = srcu_read_lock(&srcu);
	subscription = mn_hlist_first(subscriptions, range, tracked);
	hlist_for_each_entry_from_rcu(subscription, hlist) {
		if (subscription->ops->invalidate_range_end) {
			u64 begin = traced ? local_clock() : 0;

			if (!mmu_notifier_range_blockable(range))
				non_block_start();
			subscription->ops->invalidate_range_end(subscription,
								range);
			if (!mmu_notifier_range_blockable(range))
				non_block_end();
			if (traced)
				trace_mmu_notifier_callback(range,
					subscription->ops->invalidate_range_end,
					0, local_clock() - begin);
		}
	}
	srcu_read_unlock(&srcu, id);
}

static __always_inline void mn_invalidate_end(struct mmu_notifier_range *range,
					      const bool traced)
{
	struct mmu_notifier_subscriptions *subscriptions =
		range->mm->notifier_subscriptions;

	if (traced)
		trace_mmu_notifier_end(range);
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	/* As at start, but what began untracked has no number. */
	if (range->flags & MMU_NOTIFIER_RANGE_TRACKED) {
		mn_range_end(subscriptions, range);
		if (mn_implements(subscriptions, MN_INVALIDATE_RANGE_END))
			mn_hlist_invalidate_end(subscriptions, range, true,
						traced);
	} else if ((subscriptions->implemented & MN_INVALIDATE_RANGE_END) &&
		   !hlist_empty(&subscriptions->list)) {
		mn_hlist_invalidate_end(subscriptions, range, false, traced);
	}
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}

static noinline void mn_invalidate_end_traced(struct mmu_notifier_range *range)
{
	mn_invalidate_end(range, true);
}

void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	if (mn_traced())
		mn_invalidate_end_traced(range);
	else
		mn_invalidate_end(range, false);
}

void __mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
					unsigned long start, unsigned long end)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	struct mmu_notifier *subscription;
	int id;

	if (!mn_implements(subscriptions, MN_ARCH_INVALIDATE_SECONDARY_TLBS))
		return;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				 &subscriptions->list, hlist,
				 srcu_read_lock_held(&srcu)) {
		if (subscription->ops->arch_invalidate_secondary_tlbs)
			subscription->ops->arch_invalidate_secondary_tlbs(
				subscription, mm,
				start, end);
	}
	srcu_read_unlock(&srcu, id);
}

static bool mn_hlist_contains(struct mmu_notifier_subscriptions *subscriptions,
			      const struct mmu_notifier *wanted)
{
	struct mmu_notifier *subscription;
	bool found = false;

	spin_lock(&subscriptions->lock);
	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				  lockdep_is_held(&subscriptions->lock))
		found |= subscription == wanted;
	spin_unlock(&subscriptions->lock);
	return found;
}

/* Refuses only what would be fatal later: everything in the ops is optional. */
static bool mn_ops_are_sane(const struct mmu_notifier_ops *ops)
{
	if (!ops)
		return false;
	/*
	 * Subsystems should only register for invalidate_secondary_tlbs() or
	 * invalidate_range_start()/end() callbacks, not both.
	 */
	return !ops->arch_invalidate_secondary_tlbs ||
	       (!ops->invalidate_range_start && !ops->invalidate_range_end);
}

static u8 mn_ops_implemented(const struct mmu_notifier_ops *ops)
{
	u8 implemented = 0;

	if (ops->clear_flush_young)
		implemented |= MN_CLEAR_FLUSH_YOUNG;
	if (ops->clear_young)
		implemented |= MN_CLEAR_YOUNG;
	if (ops->test_young)
		implemented |= MN_TEST_YOUNG;
	if (ops->invalidate_range_start)
		implemented |= MN_INVALIDATE_RANGE_START;
	if (ops->invalidate_range_end)
		implemented |= MN_INVALIDATE_RANGE_END;
	if (ops->arch_invalidate_secondary_tlbs)
		implemented |= MN_ARCH_INVALIDATE_SECONDARY_TLBS;
	return implemented;
}

static void mn_hlist_add(struct mmu_notifier_subscriptions *subscriptions,
			 struct mmu_notifier *subscription,
			 struct mm_struct *mm)
{
	lockdep_assert_held(&subscriptions->lock);
	/* Pairs with the mmdrop in mmu_notifier_unregister_* */
	mmgrab(mm);
	subscription->mm = mm;
	subscription->users = 1;

	WRITE_ONCE(subscriptions->implemented,
		   subscriptions->implemented |
			   mn_ops_implemented(subscription->ops));
	/* See mn_hlist_first(): the list is sorted, highest first. */
	subscriptions->invalidate_seq += 2;
	subscription->registration_seq = subscriptions->invalidate_seq;
	hlist_add_head_rcu(&subscription->hlist, &subscriptions->list);
}

/*
 * In the critical section that adds @subscription, a range either is listed and
 * skips it, or has ended, or starts later and calls it. So when those that are
 * listed have ended no range is in progress that does not call it, and what they
 * have changed in the page tables can be seen.
 *
 * This can deadlock only where mm_take_all_locks() can. That waits with the
 * mmap_lock held for locks of which each range holds one until it ends, so a
 * range must not need the mmap_lock, nor what the caller holds, in order to end.
 * The one thing new is that newer ranges call @subscription meanwhile. If its
 * callback takes a lock that the caller holds, and what is waited for needs one
 * that the newer range holds, none goes on: __mmu_notifier_register() tells
 * lockdep that locks of the caller come before callbacks.
 */
static void mn_register_tracked(struct mmu_notifier_subscriptions *subscriptions,
				struct mmu_notifier *subscription,
				struct mm_struct *mm)
{
	struct mn_waiter waiter = {
		.last = ULONG_MAX,
		.what = "mmu_notifier_register",
	};
	struct mmu_notifier_range *range;

	might_sleep();
	spin_lock(&subscriptions->lock);
	mn_hlist_add(subscriptions, subscription, mm);
	waiter.newest = subscriptions->invalidate_seq;
	range = mn_range_find(subscriptions, 0, ULONG_MAX, 0, U64_MAX);
	if (range)
		mn_wait(subscriptions, range, &waiter, false, 0);
	else
		spin_unlock(&subscriptions->lock);
}

/**
 * __mmu_notifier_register - Register a notifier, with mmap_lock held
 * @subscription: The notifier to attach; NULL prepares @mm for interval
 *                notifiers
 * @mm: The mm to attach the notifier to
 *
 * mmu_notifier_register() for callers that hold the mmap_lock of @mm for
 * writing, for instance to register atomically with another change of the mm. A
 * struct is registered once; after it was unregistered, and a grace period has
 * passed, it may be registered again. Different structs may be registered and
 * unregistered concurrently, on one mm or on several.
 *
 * Returns when no invalidation is in progress that does not call the notifier.
 * On a tracked mm, with interval notifiers or a plain notifier with track_ranges,
 * it waits for those that are in progress, and others go on; the VMAs are not
 * locked, unless the notifier has arch_invalidate_secondary_tlbs.
 *
 * Context: Process context, sleeps. The mmap_lock of @mm is held for writing,
 * and no other lock of the mm. Must not be called from any notifier callback,
 * nor with a lock held that one takes, those of @subscription included.
 *
 * Return:
 * * %0 - The notifier is registered; its callbacks may already be running.
 * * %-EEXIST - It was registered on @mm already, and stays registered (warns).
 * * %-EINVAL - It has no ops, or ops that exclude each other, or @mm has no
 *   users: it is exiting, or has exited (warns).
 * * %-ENOMEM - Out of memory.
 * * %-EINTR - A fatal signal arrived while the locks of the mm were being taken.
 *
 * On error, a notifier that was not registered before is on no list and may be
 * freed immediately. One that was registered stays so.
 */
int __mmu_notifier_register(struct mmu_notifier *subscription,
			    struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions = NULL;
	u64 begin;
	int ret;

	mmap_assert_write_locked(mm);
	/*
	 * Registration waits for the ranges in progress. A callback of one would
	 * wait for itself or, if its caller holds the locks, register in the
	 * middle of a range.
	 */
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);

	if (WARN_ON_ONCE(atomic_read(&mm->mm_users) <= 0) ||
	    WARN_ON_ONCE(subscription && !mn_ops_are_sane(subscription->ops)))
		return -EINVAL;

	/* Before mm_take_all_locks(), which would have to be undone. */
	if (subscription && mm->notifier_subscriptions &&
	    WARN_ONCE(mn_hlist_contains(mm->notifier_subscriptions, subscription),
		      "mmu notifier is registered already\n"))
		return -EEXIST;

	begin = trace_mmu_notifier_register_enabled() ? local_clock() : 0;
	/*
	 * What is called outside of ranges needs the locks. The mmap_lock keeps
	 * ->tracked as it is.
	 */
	if (mm->notifier_subscriptions && mm->notifier_subscriptions->tracked &&
	    !(subscription && subscription->ops->arch_invalidate_secondary_tlbs)) {
		if (subscription)
			mn_register_tracked(mm->notifier_subscriptions,
					    subscription, mm);
		ret = 0;
		goto out;
	}

	if (!mm->notifier_subscriptions) {
		/*
		 * kmalloc cannot be called under mm_take_all_locks(), but we
		 * know that mm->notifier_subscriptions can't change while we
		 * hold the write side of the mmap_lock.
		 */
		subscriptions = kzalloc_obj(struct mmu_notifier_subscriptions);
		if (!subscriptions) {
			ret = -ENOMEM;
			goto out;
		}

		INIT_HLIST_HEAD(&subscriptions->list);
		spin_lock_init(&subscriptions->lock);
		subscriptions->invalidate_seq = 1;
		subscriptions->itree = RB_ROOT_CACHED;
		INIT_LIST_HEAD(&subscriptions->active_ranges);
	}

	ret = mm_take_all_locks(mm);
	if (unlikely(ret))
		goto out_clean;

	/*
	 * Serialize the update against mmu_notifier_unregister. A
	 * side note: mmu_notifier_release can't run concurrently with
	 * us because we hold the mm_users pin (either implicitly as
	 * current->mm or explicitly with get_task_mm() or similar).
	 * We can't race against any other mmu notifier method either
	 * thanks to mm_take_all_locks().
	 *
	 * release semantics on the initialization of the
	 * mmu_notifier_subscriptions's contents are provided for unlocked
	 * readers.  acquire can only be used while holding the mmgrab or
	 * mmget, and is safe because once created the
	 * mmu_notifier_subscriptions is not freed until the mm is destroyed.
	 * As above, users holding the mmap_lock or one of the
	 * mm_take_all_locks() do not need to use acquire semantics.
	 */
	if (subscriptions)
		smp_store_release(&mm->notifier_subscriptions, subscriptions);

	/* No range is in progress that would have to be tracked from now on. */
	if (!subscription || subscription->ops->track_ranges)
		WRITE_ONCE(mm->notifier_subscriptions->tracked, true);

	if (subscription) {
		spin_lock(&mm->notifier_subscriptions->lock);
		mn_hlist_add(mm->notifier_subscriptions, subscription, mm);
		spin_unlock(&mm->notifier_subscriptions->lock);
	}
	mm_drop_all_locks(mm);
	goto out;

out_clean:
	kfree(subscriptions);
out:
	if (begin)
		trace_mmu_notifier_register(mm, mm->map_count,
			mm->notifier_subscriptions &&
			mm->notifier_subscriptions->tracked, ret,
			local_clock() - begin);
	return ret;
}
EXPORT_SYMBOL_GPL(__mmu_notifier_register);

/**
 * mmu_notifier_register - Register a notifier on a mm
 * @subscription: The notifier to attach, of which only ->ops need be set
 * @mm: The mm to attach the notifier to
 *
 * Must not hold mmap_lock nor any other VM related lock when calling
 * this registration function. Must also ensure mm_users can't go down
 * to zero while this runs to avoid races with mmu_notifier_release,
 * so mm has to be current->mm or the mm should be pinned safely such
 * as with get_task_mm(). If the mm is not current->mm, the mm_users
 * pin should be released by calling mmput after mmu_notifier_register
 * returns.
 *
 * mmu_notifier_unregister(), mmu_notifier_unregister_no_release() or
 * mmu_notifier_put() must be always called to unregister the notifier.
 *
 * While the caller has a mmu_notifier get the subscription->mm pointer will remain
 * valid, and can be converted to an active mm pointer via mmget_not_zero().
 *
 * Context: Process context, sleeps. Must not be called from any notifier
 * callback, nor with a lock held that one takes, those of @subscription
 * included.
 *
 * Return: 0, or a negative errno as from __mmu_notifier_register().
 */
int mmu_notifier_register(struct mmu_notifier *subscription,
			  struct mm_struct *mm)
{
	int ret;

	mmap_write_lock(mm);
	ret = __mmu_notifier_register(subscription, mm);
	mmap_write_unlock(mm);
	return ret;
}
EXPORT_SYMBOL_GPL(mmu_notifier_register);

static struct mmu_notifier *
find_get_mmu_notifier(struct mm_struct *mm, const struct mmu_notifier_ops *ops)
{
	struct mmu_notifier *subscription;

	spin_lock(&mm->notifier_subscriptions->lock);
	hlist_for_each_entry_srcu(subscription,
				 &mm->notifier_subscriptions->list, hlist,
				 lockdep_is_held(&mm->notifier_subscriptions->lock)) {
		if (subscription->ops != ops)
			continue;

		if (likely(subscription->users != UINT_MAX))
			subscription->users++;
		else
			subscription = ERR_PTR(-EOVERFLOW);
		spin_unlock(&mm->notifier_subscriptions->lock);
		return subscription;
	}
	spin_unlock(&mm->notifier_subscriptions->lock);
	return NULL;
}

/**
 * mmu_notifier_get_locked - Return the single struct mmu_notifier for
 *                           the mm & ops
 * @ops: The operations struct being subscribe with
 * @mm : The mm to attach notifiers too
 *
 * This function either allocates a new mmu_notifier via
 * ops->alloc_notifier(), or returns an already existing notifier on the
 * list. The value of the ops pointer is used to determine when two notifiers
 * are the same.
 *
 * Each call to mmu_notifier_get() must be paired with a call to
 * mmu_notifier_put(). The caller must hold the write side of mm->mmap_lock.
 *
 * While the caller has a mmu_notifier get the mm pointer will remain valid,
 * and can be converted to an active mm pointer via mmget_not_zero().
 *
 * Context: As __mmu_notifier_register().
 *
 * Return: The notifier, or an ERR_PTR():
 *
 * * %-EINVAL - The ops lack alloc_notifier() or free_notifier() (warns), or as
 *   from __mmu_notifier_register().
 * * %-EOVERFLOW - There are more users than can be counted.
 * * %-ENOMEM, %-EINTR - As from __mmu_notifier_register().
 * * What alloc_notifier() returned.
 */
struct mmu_notifier *mmu_notifier_get_locked(const struct mmu_notifier_ops *ops,
					     struct mm_struct *mm)
{
	struct mmu_notifier *subscription;
	int ret;

	mmap_assert_write_locked(mm);
	if (WARN_ON_ONCE(!ops || !ops->alloc_notifier || !ops->free_notifier) ||
	    WARN_ON_ONCE(atomic_read(&mm->mm_users) <= 0))
		return ERR_PTR(-EINVAL);

	if (mm->notifier_subscriptions) {
		subscription = find_get_mmu_notifier(mm, ops);
		if (subscription)
			return subscription;
	}

	subscription = ops->alloc_notifier(mm);
	if (IS_ERR(subscription))
		return subscription;
	subscription->ops = ops;
	ret = __mmu_notifier_register(subscription, mm);
	/* What alloc_notifier() has registered itself is in use. */
	if (ret && ret != -EEXIST)
		subscription->ops->free_notifier(subscription);
	return ret ? ERR_PTR(ret) : subscription;
}
EXPORT_SYMBOL_GPL(mmu_notifier_get_locked);

/* this is called after the last mmu_notifier_unregister() returned */
void __mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;

	/*
	 * Each of these holds a reference on the mm, so one too many has been
	 * dropped. Walks and waiters may still use this memory: leak it.
	 */
	if (!WARN(!hlist_empty(&subscriptions->list) ||
		  !RB_EMPTY_ROOT(&subscriptions->itree.rb_root) ||
		  !list_empty(&subscriptions->active_ranges),
		  "mm destroyed with notifiers or invalidations\n"))
		kfree(subscriptions);
	mm->notifier_subscriptions = LIST_POISON1; /* debug */
}

/*
 * Idempotent, since exit empties the list as well: see mn_hlist_release(). The
 * forward pointer stays valid for walks that have reached this entry.
 */
static void mn_unlink(struct mmu_notifier_subscriptions *subscriptions,
		      struct mmu_notifier *subscription)
{
	lockdep_assert_held(&subscriptions->lock);
	hlist_del_init_rcu(&subscription->hlist);
}

/*
 * Returns the mm that the notifier is registered on, or NULL. If @mm is wrong,
 * uses the right one: the caller is about to free the notifier, so it
 * must not stay on a list.
 */
static struct mm_struct *mn_registered_mm(struct mmu_notifier *subscription,
					  struct mm_struct *mm)
{
	if (WARN_ONCE(subscription->mm != mm,
		      "mmu notifier is not registered on this mm\n"))
		mm = subscription->mm;
	if (!mm || WARN_ON_ONCE(atomic_read(&mm->mm_count) <= 0))
		return NULL;
	return mm;
}

/**
 * mmu_notifier_unregister - Unregister a notifier and wait for its callbacks
 * @subscription: The notifier to unregister
 * @mm: The mm that it was registered on
 *
 * This releases the mm_count pin automatically and frees the mm
 * structure if it was the last user of it. It serializes against
 * running mmu notifiers with SRCU and against mmu_notifier_unregister
 * with the lock of the mm's subscriptions + SRCU. All sptes must be dropped
 * before calling mmu_notifier_unregister. ->release or any other notifier
 * method may be invoked concurrently with mmu_notifier_unregister,
 * and only after mmu_notifier_unregister returned we're guaranteed
 * that ->release or any other method can't run anymore.
 *
 * When this returns, ->release, if there is one, has been called: by
 * exit_mmap(), by this function, or by both, possibly at the same time. A range
 * that is in progress when the notifier is unregistered does not call its end.
 *
 * Context: Process context, sleeps for a grace period. Must not be called from
 * any notifier callback, nor with a lock held that a callback of any driver, on
 * any mm, takes or waits for. This includes mmap_lock, which the ->release of
 * SGX waits for.
 */
void mmu_notifier_unregister(struct mmu_notifier *subscription,
			     struct mm_struct *mm)
{
	might_sleep();

	mm = mn_registered_mm(subscription, mm);
	if (!mm)
		return;

	if (!hlist_unhashed_lockless(&subscription->hlist)) {
		/*
		 * SRCU here will force exit_mmap to wait for ->release to
		 * finish before freeing the pages.
		 */
		int id;

		id = srcu_read_lock(&srcu);
		/*
		 * exit_mmap will block in mmu_notifier_release to guarantee
		 * that ->release is called before freeing the pages.
		 */
		if (subscription->ops->release)
			subscription->ops->release(subscription, mm);
		srcu_read_unlock(&srcu, id);

		spin_lock(&mm->notifier_subscriptions->lock);
		mn_unlink(mm->notifier_subscriptions, subscription);
		spin_unlock(&mm->notifier_subscriptions->lock);
	}

	/*
	 * Wait for any running method to finish, of course including
	 * ->release if it was run by mmu_notifier_release instead of us.
	 */
	mn_wait_callbacks("mmu_notifier_unregister", mm);

	mmdrop(mm);
}
EXPORT_SYMBOL_GPL(mmu_notifier_unregister);

/**
 * mmu_notifier_unregister_no_release - Unregister a notifier without waiting
 * @subscription: The notifier to unregister
 * @mm: The mm that it was registered on
 *
 * As mmu_notifier_unregister(), but ->release is not called, and callbacks may
 * still be running, or be about to run, when this returns. So the caller must
 * have dropped all sptes before, as for mmu_notifier_put(), and everything that
 * a callback touches, @subscription first of all, must stay for a grace period.
 * It may be freed, or registered again, only after that: in a function that is
 * passed to mmu_notifier_call_srcu() after this call, or after
 * mmu_notifier_synchronize(), of which one is enough for any number of
 * notifiers.
 *
 * The reference on the mm that the registration took is dropped, so
 * @subscription->mm must not be used any more. Running callbacks have the mm of
 * their caller, which stays.
 *
 * If exit has called ->release and unlinked the notifier, this only drops the
 * reference; it has to be called nevertheless. Each registration is ended by
 * exactly one call: this, mmu_notifier_unregister(), or the last
 * mmu_notifier_put(). So a notifier that unregisters itself in ->release must
 * not be passed to mmu_notifier_unregister(), which calls ->release; and if it
 * can be unregistered elsewhere as well, a lock of the driver has to decide who
 * does it.
 *
 * Use mmu_notifier_unregister() if the caller can wait and wants ->release to
 * be called, mmu_notifier_put() if the notifier is an object that frees itself,
 * and this function if the memory belongs to something else, or if many
 * notifiers are unregistered together.
 *
 * Context: Process context, wherever a spinlock_t may be taken; from every
 * notifier callback, ->release included, but with PREEMPT_RT not from a start
 * or end that must not block; concurrently with exit_mmap(); not from
 * interrupts, nor with interrupts disabled. Does not sleep.
 */
void mmu_notifier_unregister_no_release(struct mmu_notifier *subscription,
					struct mm_struct *mm)
{
	mm = mn_registered_mm(subscription, mm);
	if (!mm)
		return;

	spin_lock(&mm->notifier_subscriptions->lock);
	mn_unlink(mm->notifier_subscriptions, subscription);
	spin_unlock(&mm->notifier_subscriptions->lock);

	/* Pairs with the mmgrab() in __mmu_notifier_register() */
	mmdrop(mm);
}
EXPORT_SYMBOL_GPL(mmu_notifier_unregister_no_release);

/**
 * mmu_notifier_call_srcu - Call a function after all running callbacks returned
 * @rcu: Memory of the caller, in use until @func is called. Not the rcu_head in
 *       struct mmu_notifier, which belongs to mmu_notifier_put()
 * @func: The function to call
 *
 * @func runs after every callback of a plain notifier (struct mmu_notifier), of
 * any mm, that was running when this was called has returned. A notifier that
 * was unregistered before is then not in use any more, and can be freed
 * together with what belongs to it. This does not wait for callbacks of
 * interval notifiers: mmu_interval_notifier_remove() does that.
 *
 * A module that uses this must call mmu_notifier_synchronize() before it is
 * unloaded, since @func is code of the module.
 *
 * Context: Any but NMI, from every notifier callback. Does not sleep. @func is
 * called in process context with bottom halves disabled, and must not sleep.
 * See call_srcu() for what is ordered before it.
 */
void mmu_notifier_call_srcu(struct rcu_head *rcu, rcu_callback_t func)
{
	call_srcu(&srcu, rcu, func);
}
EXPORT_SYMBOL_GPL(mmu_notifier_call_srcu);

static void mmu_notifier_free_rcu(struct rcu_head *rcu)
{
	struct mmu_notifier *subscription =
		container_of(rcu, struct mmu_notifier, rcu);
	struct mm_struct *mm = subscription->mm;

	if (subscription->ops->free_notifier)
		subscription->ops->free_notifier(subscription);
	/* Pairs with the get in __mmu_notifier_register() */
	mmdrop(mm);
}

/**
 * mmu_notifier_put - Release the reference on the notifier
 * @subscription: The notifier to act on
 *
 * This function must be paired with each mmu_notifier_get(), it releases the
 * reference obtained by the get. If this is the last reference then process
 * to free the notifier will be run asynchronously.
 *
 * Unlike mmu_notifier_unregister() the get/put flow only calls ops->release
 * when the mm_struct is destroyed. Instead free_notifier is always called to
 * release any resources held by the user.
 *
 * As ops->release is not guaranteed to be called, the user must ensure that
 * all sptes are dropped, and no new sptes can be established before
 * mmu_notifier_put() is called.
 *
 * This function can be called from the ops->release callback, however the
 * caller must still ensure it is called pairwise with mmu_notifier_get().
 *
 * Context: Process context, wherever a spinlock_t may be taken; from every
 * notifier callback, but with PREEMPT_RT not from a non-blocking start or
 * end; not from interrupts. Does not sleep.
 *
 * Modules calling this function must call mmu_notifier_synchronize() in
 * their __exit functions to ensure the async work is completed.
 */
void mmu_notifier_put(struct mmu_notifier *subscription)
{
	struct mm_struct *mm = subscription->mm;

	spin_lock(&mm->notifier_subscriptions->lock);
	if (WARN_ON(!subscription->users) || --subscription->users)
		goto out_unlock;
	mn_unlink(mm->notifier_subscriptions, subscription);
	spin_unlock(&mm->notifier_subscriptions->lock);

	mmu_notifier_call_srcu(&subscription->rcu, mmu_notifier_free_rcu);
	return;

out_unlock:
	spin_unlock(&mm->notifier_subscriptions->lock);
}
EXPORT_SYMBOL_GPL(mmu_notifier_put);

static bool
mn_interval_ops_are_sane(const struct mmu_interval_notifier_ops *ops)
{
	if (!ops)
		return false;
	if (ops->invalidate_start)
		return ops->invalidate_finish;
	return ops->invalidate;
}

static int __mmu_interval_notifier_insert(
	struct mmu_interval_notifier *interval_sub, struct mm_struct *mm,
	struct mmu_notifier_subscriptions *subscriptions, unsigned long start,
	unsigned long length, const struct mmu_interval_notifier_ops *ops)
{
	unsigned long last;

	/*
	 * Note that the representation of the intervals in the interval tree
	 * considers the ending point as contained in the interval.
	 */
	if (length == 0 || check_add_overflow(start, length - 1, &last))
		return -EOVERFLOW;

	/* Must call with a mmget() held */
	if (WARN_ON_ONCE(atomic_read(&mm->mm_users) <= 0))
		return -EINVAL;

	/*
	 * Drivers look at ->mm to know whether there is something to remove,
	 * so set it only when nothing can fail any more.
	 */
	interval_sub->mm = mm;
	interval_sub->ops = ops;
	interval_sub->interval_tree.start = start;
	interval_sub->interval_tree.last = last;

	/* pairs with mmdrop in mmu_interval_notifier_remove() */
	mmgrab(mm);

	/*
	 * Ranges that start after this call it; those in progress do not, and
	 * are what mmu_interval_read_begin() waits for. See mn_itree_collect().
	 *
	 * The number is unique, so that it cannot be taken for that of a range,
	 * and odd like all of them; it should not 'wrap' any time soon.
	 */
	spin_lock(&subscriptions->lock);
	subscriptions->invalidate_seq += 2;
	interval_sub->insert_seq = subscriptions->invalidate_seq;
	interval_sub->invalidate_seq = subscriptions->invalidate_seq;
	mn_itree_insert(interval_sub, &subscriptions->itree);
	spin_unlock(&subscriptions->lock);
	return 0;
}

/**
 * mmu_interval_notifier_insert - Insert an interval notifier
 * @interval_sub: Interval subscription to register
 * @mm: mm_struct to attach to
 * @start: Starting virtual address to monitor, in bytes
 * @length: Length of the range to monitor, in bytes
 * @ops: Interval notifier operations to be called on matching events
 *
 * This function subscribes the interval notifier for notifications from the
 * mm.  Upon return the ops related to mmu_interval_notifier will be called
 * whenever an event that intersects with the given range occurs.
 *
 * The ops are not called for events that began before.
 * The caller must use the normal interval notifier read flow via
 * mmu_interval_read_begin() to establish SPTEs for this range.
 *
 * Context: Process context, sleeps; takes mmap_lock for the first interval of
 * an mm, so it must not be held: see mmu_interval_notifier_insert_locked(). The
 * caller makes sure that @mm keeps a user. Must not be called from any notifier
 * callback.
 *
 * Return:
 * * %0 - The subscription is inserted, and has to be removed eventually.
 * * %-EINVAL - The ops are missing or incomplete, or @mm has no users (warns).
 * * %-EOVERFLOW - The range is empty, or goes beyond the end of the address
 *   space.
 * * %-ENOMEM, %-EINTR - As from __mmu_notifier_register().
 *
 * On failure @interval_sub->mm is left unchanged.
 */
int mmu_interval_notifier_insert(struct mmu_interval_notifier *interval_sub,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long length,
				 const struct mmu_interval_notifier_ops *ops)
{
	struct mmu_notifier_subscriptions *subscriptions;
	int ret;

	might_sleep();
	might_lock(&mm->mmap_lock);

	if (WARN_ON_ONCE(!mn_interval_ops_are_sane(ops)))
		return -EINVAL;

	subscriptions = smp_load_acquire(&mm->notifier_subscriptions);
	if (!subscriptions || !READ_ONCE(subscriptions->tracked)) {
		ret = mmu_notifier_register(NULL, mm);
		if (ret)
			return ret;
		subscriptions = mm->notifier_subscriptions;
	}
	return __mmu_interval_notifier_insert(interval_sub, mm, subscriptions,
					      start, length, ops);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_insert);

/**
 * mmu_interval_notifier_insert_locked - Insert an interval notifier with
 *                                       mmap_lock held
 * @interval_sub: Interval subscription to register
 * @mm: mm_struct to attach to
 * @start: Starting virtual address to monitor, in bytes
 * @length: Length of the range to monitor, in bytes
 * @ops: Interval notifier operations to be called on matching events
 *
 * Context: As mmu_interval_notifier_insert(), but the mmap_lock of @mm is held
 * for writing.
 *
 * Return: As mmu_interval_notifier_insert().
 */
int mmu_interval_notifier_insert_locked(
	struct mmu_interval_notifier *interval_sub, struct mm_struct *mm,
	unsigned long start, unsigned long length,
	const struct mmu_interval_notifier_ops *ops)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	int ret;

	mmap_assert_write_locked(mm);
	/* As in __mmu_notifier_register(), which is not called every time. */
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);

	if (WARN_ON_ONCE(!mn_interval_ops_are_sane(ops)))
		return -EINVAL;

	if (!subscriptions || !READ_ONCE(subscriptions->tracked)) {
		ret = __mmu_notifier_register(NULL, mm);
		if (ret)
			return ret;
		subscriptions = mm->notifier_subscriptions;
	}
	return __mmu_interval_notifier_insert(interval_sub, mm, subscriptions,
					      start, length, ops);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_insert_locked);

/**
 * mmu_interval_notifier_remove - Remove a interval notifier
 * @interval_sub: Interval subscription to unregister
 *
 * This function must be paired with mmu_interval_notifier_insert(). It cannot
 * be called from any callback of a range. @interval_sub->mm stays set.
 *
 * Once this returns ops callbacks are no longer running on other CPUs and
 * will not be called in future.
 *
 * The removal takes effect as soon as no invalidation that calls @interval_sub
 * is in progress, immediately or in the end of the last one. Every overlapping
 * invalidation that starts before that calls it, so what it maps can be unmapped
 * after this has returned, or be handed over to another subscription, which has
 * to be inserted before. Invalidations that do not overlap, or that started
 * before @interval_sub was inserted, are not waited for.
 *
 * Context: Process context, may sleep until there is a moment without an
 * overlapping invalidation in progress. mmap_lock may be held. Must not be
 * called from a callback of an invalidation, nor with a lock held that such a
 * callback takes or that the invalidating thread may need before it calls end,
 * see mmu_interval_read_begin(). May be called from ->release.
 */
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub)
{
	struct mm_struct *mm = interval_sub->mm;
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	struct mn_waiter waiter = {
		.start = interval_sub->interval_tree.start,
		.last = interval_sub->interval_tree.last,
		.older = interval_sub->insert_seq,
		.newest = U64_MAX,
		.interval_sub = interval_sub,
		.remove = true,
		.what = "mmu_interval_notifier_remove",
	};
	struct mmu_notifier_range *range;

	might_sleep();

	/*
	 * The possible sleep on progress in the invalidation requires the
	 * caller not hold any locks held by invalidation callbacks.
	 */
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);

	spin_lock(&subscriptions->lock);
	range = mn_range_find(subscriptions, waiter.start, waiter.last,
			      waiter.older, waiter.newest);
	if (range) {
		mn_wait(subscriptions, range, &waiter, false, 0);
	} else {
		mn_waiter_finish(subscriptions, &waiter);
		spin_unlock(&subscriptions->lock);
	}

	/* pairs with mmgrab in mmu_interval_notifier_insert() */
	mmdrop(mm);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_remove);

/**
 * mmu_notifier_synchronize - Wait until unregistered notifiers are not in use
 *
 * After this returns, every free_notifier() that a mmu_notifier_put(), and
 * every function that a mmu_notifier_call_srcu(), has queued before the call
 * has run, and no callback of a notifier that was unregistered before the call
 * is running. It does not cover notifiers that are unregistered at the same
 * time or later.
 *
 * synchronize_srcu() gives the second half: it waits for every reader, and the
 * callbacks run inside of readers. It does not wait for what call_srcu() queued
 * on other CPUs, even when the grace period has ended; srcu_barrier() does, and
 * gives the first half. srcu_barrier() in turn waits for nothing at all when
 * nothing is queued.
 *
 * Modules using mmu_notifier_put() or mmu_notifier_call_srcu() must call this
 * in their __exit function, after the last of them, since what is still to be
 * called is code of the module. After mmu_notifier_unregister_no_release() of
 * many notifiers one call is enough for all of them.
 *
 * Context: As mmu_notifier_unregister().
 */
void mmu_notifier_synchronize(void)
{
	mn_wait_callbacks("mmu_notifier_synchronize", NULL);
}
EXPORT_SYMBOL_GPL(mmu_notifier_synchronize);
