// SPDX-License-Identifier: GPL-2.0-only
/*
 *  linux/mm/mmu_notifier.c
 *
 *  Copyright (C) 2008  Qumranet, Inc.
 *  Copyright (C) 2008  SGI
 *             Christoph Lameter <cl@gentwo.org>
 */

#include <linux/rculist.h>
#include <linux/mmu_notifier.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/err.h>
#include <linux/interval_tree.h>
#include <linux/srcu.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "internal.h"

/* global SRCU for all MMs */
DEFINE_STATIC_SRCU(srcu);

#ifdef CONFIG_LOCKDEP
struct lockdep_map __mmu_notifier_invalidate_range_start_map = {
	.name = "mmu_notifier_invalidate_range_start"
};
#endif

/*
 * The mmu_notifier_subscriptions structure is allocated and installed in
 * mm->notifier_subscriptions inside the mm_take_all_locks() protected
 * critical section and it's released only when mm_count reaches zero
 * in mmdrop().
 */
struct mmu_notifier_subscriptions {
	/* all mmu notifiers registered in this mm are queued in this list */
	struct hlist_head list;
	/*
	 * ranges are tracked: for interval notifiers, or for a list notifier
	 * with track_ranges. Only set with all locks of mm_take_all_locks()
	 * held, so that every later start sees it, and never cleared. It
	 * publishes nothing but itself, so reading it without these locks needs
	 * no barrier.
	 */
	bool tracked;
	/* to serialize the list modifications and hlist_unhashed */
	spinlock_t lock;
	/* the number of the subscription at the head of the list, or higher */
	u64 last_number;
	/* the number of the newest range or interval subscription, odd */
	u64 invalidate_seq;
	/* the ranges between start and end, sorted by seq */
	struct list_head active_ranges;
	/* nobody waits for the end of a range with a higher number */
	u64 newest_waited;
	struct rb_root_cached itree;
	wait_queue_head_t wq;
};

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
 * A range that is between start and end is on subscriptions->active_ranges and
 * has a unique number, taken from subscriptions->invalidate_seq in the critical
 * section that appends it, so the list is sorted. Its length is the number of
 * ranges that threads have started and not ended. Start and end add and delete
 * in constant time; readers, which are rare, scan the list up to the first
 * range that is newer than they are.
 *
 * For a reader and a range that overlap, the lock leaves three cases. The range
 * is on the list: the reader waits for its end. The range starts later: it
 * finds the subscription in the tree, and its callback makes
 * mmu_interval_read_retry() return true. The range has ended: the page tables
 * have their new values. There is no fourth case while the subscription is in
 * the tree, see also __mmu_interval_notifier_insert().
 */

/* Returns true if an active range overlaps and is not newer than @newest. */
static bool mn_range_is_active(struct mmu_notifier_subscriptions *subscriptions,
			       unsigned long start, unsigned long last,
			       u64 newest)
{
	const struct mmu_notifier_range *range;

	lockdep_assert_held(&subscriptions->lock);
	list_for_each_entry(range, &subscriptions->active_ranges, active) {
		if (range->seq > newest)
			break;
		if (range->start <= last && range->end - 1 >= start)
			return true;
	}
	return false;
}

static bool mn_range_has_ended(struct mmu_notifier_subscriptions *subscriptions,
			       unsigned long start, unsigned long last,
			       u64 newest)
{
	bool ret;

	spin_lock(&subscriptions->lock);
	ret = !mn_range_is_active(subscriptions, start, last, newest);
	spin_unlock(&subscriptions->lock);
	return ret;
}

/*
 * Waits for the active ranges that overlap [start, last] and are not newer than
 * @newest. The caller has found one and set newest_waited in one critical
 * section, so each of them sees newest_waited when it ends, and wakes us.
 * Ranges that start meanwhile are newer: they neither prolong the wait nor,
 * when they are newer than all waiters, cause wake-ups.
 */
static void mn_range_wait(struct mmu_notifier_subscriptions *subscriptions,
			  unsigned long start, unsigned long last, u64 newest)
{
	wait_event(subscriptions->wq,
		   mn_range_has_ended(subscriptions, start, last, newest));
}

/*
 * Pins the first subscription, from @node on, that overlaps the range.
 *
 * The callbacks are called without the lock and may sleep, while the tree
 * changes. A pinned subscription stays in the tree, so the walk can go on from
 * it; its removal waits until the pins, one for each walk that is calling it,
 * are dropped. A subscription that is being removed is not pinned again, so
 * that wait ends.
 *
 * Subscriptions that were inserted after the range has begun are skipped,
 * wherever they are in the tree, so the walk ends however many are inserted.
 * See __mmu_interval_notifier_insert().
 */
static __always_inline struct mmu_interval_notifier *
mn_itree_pin(struct mmu_notifier_subscriptions *subscriptions,
	     struct interval_tree_node *node,
	     const struct mmu_notifier_range *range)
{
	struct mmu_interval_notifier *interval_sub;

	lockdep_assert_held(&subscriptions->lock);
	for (; node; node = interval_tree_iter_next(node, range->start,
						    range->end - 1)) {
		interval_sub = container_of(node, struct mmu_interval_notifier,
					    interval_tree);
		if (likely(interval_sub->inserted < range->seq &&
			   !interval_sub->removing)) {
			interval_sub->pins++;
			return interval_sub;
		}
	}
	return NULL;
}

/*
 * Returns true when the thread that removes @interval_sub has to be woken. It
 * may free @interval_sub as soon as the lock is dropped.
 */
static bool mn_itree_unpin(struct mmu_notifier_subscriptions *subscriptions,
			   struct mmu_interval_notifier *interval_sub)
{
	lockdep_assert_held(&subscriptions->lock);
	return !--interval_sub->pins && interval_sub->removing;
}

static struct mmu_interval_notifier *
mn_itree_inv_start_range(struct mmu_notifier_subscriptions *subscriptions,
			 struct mmu_notifier_range *range)
{
	struct mmu_interval_notifier *res;

	spin_lock(&subscriptions->lock);
	/* A range that is started twice stays where it is on the list. */
	if (!WARN_ON_ONCE(range->flags & MMU_NOTIFIER_RANGE_TRACKED)) {
		range->flags |= MMU_NOTIFIER_RANGE_TRACKED;
		subscriptions->invalidate_seq += 2;
		range->seq = subscriptions->invalidate_seq;
		list_add_tail(&range->active, &subscriptions->active_ranges);
	}
	res = mn_itree_pin(subscriptions,
			   interval_tree_iter_first(&subscriptions->itree,
						    range->start,
						    range->end - 1),
			   range);
	spin_unlock(&subscriptions->lock);
	return res;
}

/* @keep leaves the pin on @interval_sub, for its finish pass. */
static __always_inline struct mmu_interval_notifier *
mn_itree_inv_next(struct mmu_notifier_subscriptions *subscriptions,
		  struct mmu_interval_notifier *interval_sub,
		  const struct mmu_notifier_range *range, bool keep)
{
	struct mmu_interval_notifier *res;
	bool wake;

	spin_lock(&subscriptions->lock);
	res = mn_itree_pin(subscriptions,
			   interval_tree_iter_next(&interval_sub->interval_tree,
						   range->start,
						   range->end - 1),
			   range);
	wake = !keep && mn_itree_unpin(subscriptions, interval_sub);
	spin_unlock(&subscriptions->lock);

	if (wake)
		wake_up_all(&subscriptions->wq);
	return res;
}

/* The last callback of a walk for @interval_sub has returned. */
static void mn_itree_inv_done(struct mmu_notifier_subscriptions *subscriptions,
			      struct mmu_interval_notifier *interval_sub)
{
	bool wake;

	spin_lock(&subscriptions->lock);
	wake = mn_itree_unpin(subscriptions, interval_sub);
	spin_unlock(&subscriptions->lock);

	if (wake)
		wake_up_all(&subscriptions->wq);
}

/* Hot, so inlined, like the helpers that run for each subscription hit. */
static __always_inline void
mn_itree_inv_end(struct mmu_notifier_subscriptions *subscriptions,
		 struct mmu_notifier_range *range)
{
	bool wake;

	range->flags &= ~MMU_NOTIFIER_RANGE_TRACKED;
	spin_lock(&subscriptions->lock);
	list_del(&range->active);
	wake = range->seq <= subscriptions->newest_waited;
	spin_unlock(&subscriptions->lock);

	/* Wakes mn_range_wait() */
	if (wake)
		wake_up_all(&subscriptions->wq);
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
	struct mmu_notifier_subscriptions *subscriptions =
		interval_sub->mm->notifier_subscriptions;
	const unsigned long start = interval_sub->interval_tree.start;
	const unsigned long last = interval_sub->interval_tree.last;
	unsigned long seq;
	u64 newest;
	bool wait;

	might_sleep();

	/*
	 * If the subscription has a different seq value under the user_lock
	 * than we started with then it has collided.
	 *
	 * The locking looks broadly like this:
	 *   mn_itree_inv_start_range():           mmu_interval_read_begin():
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
	 *   mn_itree_inv_end():
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
	 * @seq is read in the same critical section as @newest and never again:
	 * a later value may belong to a range that was not waited for.
	 *
	 * Barriers are not needed here as any races here are closed by an
	 * eventual mmu_interval_read_retry(), which provides a barrier via the
	 * user_lock.
	 */
	spin_lock(&subscriptions->lock);
	/* Pairs with the WRITE_ONCE in mmu_interval_set_seq() */
	seq = READ_ONCE(interval_sub->invalidate_seq);
	newest = subscriptions->invalidate_seq;
	wait = mn_range_is_active(subscriptions, start, last, newest);
	if (wait)
		subscriptions->newest_waited = newest;
	spin_unlock(&subscriptions->lock);

	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
	if (wait)
		mn_range_wait(subscriptions, start, last, newest);

	/*
	 * Notice that mmu_interval_read_retry() can already be true at this
	 * point, avoiding loops here allows the caller to provide a global
	 * time bound.
	 */

	return seq;
}
EXPORT_SYMBOL_GPL(mmu_interval_read_begin);

/* Not inlined, so that it warns once for both of its callers. */
static noinline struct mmu_notifier_subscriptions *
mn_tracked(struct mm_struct *mm, unsigned long start, unsigned long end)
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
 * @mm: The mm, with a list notifier with track_ranges or an interval notifier
 * @start: First address of the range, in bytes
 * @end: End of the range, in bytes, exclusive
 *
 * This is for drivers with a list notifier that read the page tables of @mm and
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
 * The reference that 5 takes may be dropped at once: while the fault is
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
 * lock of hugetlb, and the latter can split. The caller holds a reference of
 * mm_users from 0 to 6 (see mmget_not_zero(); the mmput() may call ->release),
 * so that the mm does not exit in between, and does not unregister the
 * notifier. lib/test_mmu_notifier.c implements the protocol for the current
 * process.
 *
 * A driver that has pages mapped when it removes an interval notifier can let
 * the invalidations in progress call that first: mmu_notifier_range_wait_valid()
 * until this returns true, which nothing bounds while overlapping ones keep
 * coming, as nothing does for a reader that retries. Such a loop never ends if
 * the range is empty, as it is when interval_tree.last + 1 wraps to 0. What
 * begins later, and before the pages are unmapped or another notifier is
 * inserted, may be lost.
 *
 * The idea is from Jérôme Glisse's range tracking of 2014.
 *
 * Context: Process context, wherever a spinlock_t may be taken; from every
 * notifier callback, but with PREEMPT_RT not from a start or end that may not
 * block; not from interrupts. In an end it is undefined whether the range that
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
		mn_tracked(mm, start, end);
	bool active;

	if (!subscriptions)
		return false;
	spin_lock(&subscriptions->lock);
	active = mn_range_is_active(subscriptions, start, end - 1,
				    subscriptions->invalidate_seq);
	spin_unlock(&subscriptions->lock);
	return !active;
}
EXPORT_SYMBOL_GPL(mmu_notifier_range_is_valid);

/**
 * mmu_notifier_range_wait_valid - Wait for the invalidations of a range
 * @mm: The mm, with a list notifier with track_ranges or an interval notifier
 * @start: First address of the range, in bytes
 * @end: End of the range, in bytes, exclusive
 *
 * Returns when all invalidations that overlap the range and were between start
 * and end at the call have ended. Others may have started meanwhile: see
 * mmu_notifier_range_is_valid() for the protocol that this is a part of. If the
 * range is empty or @mm is not tracked it warns and returns at once.
 *
 * Context: Process context, may sleep. mmap_lock may be held. Must not be
 * called from a callback of an invalidation, nor with a lock held that such a
 * callback takes or waits for or that the invalidating thread may need before
 * it calls end, see mmu_interval_read_begin().
 */
void mmu_notifier_range_wait_valid(struct mm_struct *mm, unsigned long start,
				   unsigned long end)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mn_tracked(mm, start, end);
	u64 newest;
	bool wait;

	might_sleep();
	/* As in mmu_interval_read_begin() */
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);

	if (!subscriptions)
		return;
	spin_lock(&subscriptions->lock);
	newest = subscriptions->invalidate_seq;
	wait = mn_range_is_active(subscriptions, start, end - 1, newest);
	if (wait)
		subscriptions->newest_waited = newest;
	spin_unlock(&subscriptions->lock);
	if (wait)
		mn_range_wait(subscriptions, start, end - 1, newest);
}
EXPORT_SYMBOL_GPL(mmu_notifier_range_wait_valid);

/* Calls one subscription. Sets *@keep if its finish pass is still pending. */
static __always_inline bool
mn_itree_inv_call(struct mmu_interval_notifier *interval_sub,
		  const struct mmu_notifier_range *range,
		  struct llist_head *finish_passes, bool *keep)
{
	struct mmu_interval_notifier_finish *finish = NULL;
	bool ret;

	*keep = false;
	if (!interval_sub->ops->invalidate_start)
		return interval_sub->ops->invalidate(interval_sub, range,
						     range->seq);

	ret = interval_sub->ops->invalidate_start(interval_sub, range,
						  range->seq, &finish);
	if (ret && finish) {
		finish->notifier = interval_sub;
		__llist_add(&finish->link, finish_passes);
		*keep = true;
	}
	return ret;
}

static void
mn_itree_finish_pass(struct mmu_notifier_subscriptions *subscriptions,
		     struct llist_head *finish_passes)
{
	struct llist_node *first = llist_reverse_order(__llist_del_all(finish_passes));
	struct mmu_interval_notifier_finish *f, *next;

	llist_for_each_entry_safe(f, next, first, link) {
		/* The callback may free @f. */
		struct mmu_interval_notifier *interval_sub = f->notifier;

		interval_sub->ops->invalidate_finish(f);
		mn_itree_inv_done(subscriptions, interval_sub);
	}
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
	struct mmu_interval_notifier *interval_sub;
	LLIST_HEAD(finish_passes);
	bool keep;

	for (interval_sub = mn_itree_inv_start_range(subscriptions, &range);
	     interval_sub;
	     interval_sub = mn_itree_inv_next(subscriptions, interval_sub,
					      &range, keep))
		WARN_ON(!mn_itree_inv_call(interval_sub, &range,
					   &finish_passes, &keep));

	mn_itree_finish_pass(subscriptions, &finish_passes);
	mn_itree_inv_end(subscriptions, &range);
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
	synchronize_srcu(&srcu);
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
	struct mmu_notifier *subscription;
	bool young = false;
	int id;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				 &mm->notifier_subscriptions->list, hlist,
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
	struct mmu_notifier *subscription;
	bool young = false;
	int id;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				 &mm->notifier_subscriptions->list, hlist,
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
	struct mmu_notifier *subscription;
	bool young = false;
	int id;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				 &mm->notifier_subscriptions->list, hlist,
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

/* Not inlined, so that a range that hits no subscription does not pay for it. */
static noinline int
mn_itree_walk(struct mmu_notifier_subscriptions *subscriptions,
	      struct mmu_interval_notifier *interval_sub,
	      struct mmu_notifier_range *range)
{
	LLIST_HEAD(finish_passes);
	bool keep;
	int err = 0;

	for (; interval_sub;
	     interval_sub = mn_itree_inv_next(subscriptions, interval_sub,
					      range, keep)) {
		if (likely(mn_itree_inv_call(interval_sub, range,
					     &finish_passes, &keep)))
			continue;
		/* As in mn_hlist_start_failed(). */
		if (WARN_ON_ONCE(mmu_notifier_range_blockable(range)))
			continue;
		mn_itree_inv_done(subscriptions, interval_sub);
		err = -EAGAIN;
		break;
	}

	mn_itree_finish_pass(subscriptions, &finish_passes);

	/*
	 * On -EAGAIN the non-blocking caller is not allowed to call
	 * invalidate_range_end(), and its range is going to be gone.
	 */
	if (err)
		mn_itree_inv_end(subscriptions, range);
	return err;
}

/*
 * Calls end for the subscriptions that were started before the one with the
 * number @failed, whose start was the first to fail.
 *
 * New subscriptions go to the head of the list, with a higher number, and none
 * can be added while a range is in progress, since registration takes every
 * lock that a start..end section can hold. So the subscriptions that were
 * called before the one that failed are those with a higher number. A pointer
 * to the one that failed would not do: it can be unregistered in the meantime.
 * A subscription that is unregistered in the meantime gets no end.
 *
 * Runs in the SRCU read side critical section of the starts, so a subscription
 * that got a start is still the one it was.
 */
static void mn_hlist_unwind(struct mmu_notifier_subscriptions *subscriptions,
			    const struct mmu_notifier_range *range, u64 failed)
{
	struct mmu_notifier *subscription;

	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				  srcu_read_lock_held(&srcu)) {
		const struct mmu_notifier_ops *ops = subscription->ops;

		if (subscription->number <= failed)
			break;
		if (!ops->invalidate_range_start || !ops->invalidate_range_end)
			continue;
		non_block_start();
		ops->invalidate_range_end(subscription, range);
		non_block_end();
	}
}

/*
 * Returns 0 if the walk has to go on. Out of line, so that a walk that succeeds
 * does not pay for it.
 */
static noinline int
mn_hlist_start_failed(struct mmu_notifier_subscriptions *subscriptions,
		      const struct mmu_notifier *subscription,
		      struct mmu_notifier_range *range, int err)
{
	bool blockable = mmu_notifier_range_blockable(range);

	pr_info_ratelimited("%ps failed with %d in %sblockable context, called by %s[%d]\n",
			    subscription->ops->invalidate_range_start, err,
			    blockable ? "" : "non-",
			    current->comm, task_pid_nr(current));
	/*
	 * A caller that may block changes the page tables and calls end
	 * whatever is returned here, so the walk has to go on.
	 */
	if (WARN_ON_ONCE(blockable))
		return 0;
	WARN_ON_ONCE(err != -EAGAIN);
	mn_hlist_unwind(subscriptions, range, subscription->number);
	/* As in mn_itree_walk(). */
	if (range->flags & MMU_NOTIFIER_RANGE_TRACKED)
		mn_itree_inv_end(subscriptions, range);
	return err;
}

static int mn_hlist_invalidate_range_start(
	struct mmu_notifier_subscriptions *subscriptions,
	struct mmu_notifier_range *range)
{
	struct mmu_notifier *subscription;
	int ret = 0;
	int id;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				 srcu_read_lock_held(&srcu)) {
		const struct mmu_notifier_ops *ops = subscription->ops;

		if (ops->invalidate_range_start) {
			if (!mmu_notifier_range_blockable(range))
				non_block_start();
			ret = ops->invalidate_range_start(subscription, range);
			if (!mmu_notifier_range_blockable(range))
				non_block_end();
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

int __mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	struct mmu_notifier_subscriptions *subscriptions =
		range->mm->notifier_subscriptions;
	struct mmu_interval_notifier *interval_sub;
	int ret = 0;

	if (subscriptions->tracked) {
		interval_sub = mn_itree_inv_start_range(subscriptions, range);
		if (interval_sub)
			ret = mn_itree_walk(subscriptions, interval_sub, range);
		if (ret)
			return ret;
	}
	if (!hlist_empty(&subscriptions->list))
		ret = mn_hlist_invalidate_range_start(subscriptions, range);
	return ret;
}

static void
mn_hlist_invalidate_end(struct mmu_notifier_subscriptions *subscriptions,
			struct mmu_notifier_range *range)
{
	struct mmu_notifier *subscription;
	int id;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				 srcu_read_lock_held(&srcu)) {
		if (subscription->ops->invalidate_range_end) {
			if (!mmu_notifier_range_blockable(range))
				non_block_start();
			subscription->ops->invalidate_range_end(subscription,
								range);
			if (!mmu_notifier_range_blockable(range))
				non_block_end();
		}
	}
	srcu_read_unlock(&srcu, id);
}

void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	struct mmu_notifier_subscriptions *subscriptions =
		range->mm->notifier_subscriptions;

	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	if (range->flags & MMU_NOTIFIER_RANGE_TRACKED)
		mn_itree_inv_end(subscriptions, range);

	if (!hlist_empty(&subscriptions->list))
		mn_hlist_invalidate_end(subscriptions, range);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}

void __mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
					unsigned long start, unsigned long end)
{
	struct mmu_notifier *subscription;
	int id;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				 &mm->notifier_subscriptions->list, hlist,
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
 * Context: Process context, sleeps. The mmap_lock of @mm is held for writing,
 * and no other lock of the mm. Must not be called from any notifier callback.
 *
 * Return:
 * * %0 - The notifier is registered; its callbacks may already be running.
 * * %-EEXIST - It was registered on @mm already, and stays registered (warns).
 * * %-EINVAL - It has no ops, or ops that exclude each other, or @mm has no
 *   users: it is exiting, or has exited (warns).
 * * %-ENOMEM - Out of memory.
 * * %-EINTR - A signal arrived while the locks of the mm were being taken.
 *
 * On error, a notifier that was not registered before is on no list and may be
 * freed at once. One that was registered stays so.
 */
int __mmu_notifier_register(struct mmu_notifier *subscription,
			    struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions = NULL;
	int ret;

	mmap_assert_write_locked(mm);
	/*
	 * mm_take_all_locks() waits for the ranges in progress. A callback of
	 * one would wait for itself or, if its caller holds the locks, register
	 * in the middle of a range.
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

	if (!mm->notifier_subscriptions) {
		/*
		 * kmalloc cannot be called under mm_take_all_locks(), but we
		 * know that mm->notifier_subscriptions can't change while we
		 * hold the write side of the mmap_lock.
		 */
		subscriptions = kzalloc_obj(struct mmu_notifier_subscriptions);
		if (!subscriptions)
			return -ENOMEM;

		INIT_HLIST_HEAD(&subscriptions->list);
		spin_lock_init(&subscriptions->lock);
		subscriptions->invalidate_seq = 1;
		INIT_LIST_HEAD(&subscriptions->active_ranges);
		subscriptions->itree = RB_ROOT_CACHED;
		init_waitqueue_head(&subscriptions->wq);
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
		/* Pairs with the mmdrop in mmu_notifier_unregister_* */
		mmgrab(mm);
		subscription->mm = mm;
		subscription->users = 1;

		spin_lock(&mm->notifier_subscriptions->lock);
		/* See mn_hlist_unwind(): the list is sorted, highest first. */
		subscription->number = ++mm->notifier_subscriptions->last_number;
		hlist_add_head_rcu(&subscription->hlist,
				   &mm->notifier_subscriptions->list);
		spin_unlock(&mm->notifier_subscriptions->lock);
	}
	mm_drop_all_locks(mm);
	return 0;

out_clean:
	kfree(subscriptions);
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
 * callback.
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
	if (ret)
		goto out_free;
	return subscription;
out_free:
	subscription->ops->free_notifier(subscription);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(mmu_notifier_get_locked);

/* this is called after the last mmu_notifier_unregister() returned */
void __mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;

	/*
	 * Each of these holds a reference of the mm, so somebody has dropped
	 * one too many. Walks and waiters may still use this memory: leak it.
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
 * goes on with the right one: the caller is about to free the notifier, so it
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
 * that is between start and end when the notifier is unregistered gets no end.
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
	synchronize_srcu(&srcu);

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
 * The reference of the mm that the registration took is dropped at once, so
 * @subscription->mm must not be used any more. Running callbacks have the mm of
 * their caller, which stays.
 *
 * If exit has called ->release and unlinked the notifier, this only drops the
 * reference; it has to be called all the same. Each registration is ended by
 * exactly one call: this, mmu_notifier_unregister(), or the last
 * mmu_notifier_put(). So a notifier that unregisters itself in ->release must
 * not be passed to mmu_notifier_unregister(), which calls ->release; and if it
 * can be unregistered elsewhere as well, a lock of the driver has to decide who
 * does it.
 *
 * Use mmu_notifier_unregister() if the caller can wait and wants ->release to
 * be called, mmu_notifier_put() if the notifier is an object that frees itself,
 * and this function if the memory belongs to something else, or if many
 * notifiers are unregistered at once.
 *
 * Context: Process context, wherever a spinlock_t may be taken; from every
 * notifier callback, ->release included, but with PREEMPT_RT not from a start
 * or end that may not block; concurrently with exit_mmap(); not from
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
 * @func runs after every callback of a list notifier (struct mmu_notifier), of
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
 * notifier callback, but with PREEMPT_RT not from a start or end that may not
 * block; not from interrupts. Does not sleep.
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
	interval_sub->pins = 0;
	interval_sub->removing = false;
	interval_sub->interval_tree.start = start;
	interval_sub->interval_tree.last = last;

	/* pairs with mmdrop in mmu_interval_notifier_remove() */
	mmgrab(mm);

	/*
	 * Ranges that start after this find the subscription. The walk of a
	 * range that is on the list already skips it, but if it overlaps,
	 * mmu_interval_read_begin() waits for it, since it is not newer.
	 *
	 * The number is unique, so that it cannot be taken for that of a range,
	 * and odd like all of them; it should not 'wrap' any time soon.
	 */
	spin_lock(&subscriptions->lock);
	subscriptions->invalidate_seq += 2;
	interval_sub->inserted = subscriptions->invalidate_seq;
	interval_sub->invalidate_seq = subscriptions->invalidate_seq;
	interval_tree_insert(&interval_sub->interval_tree,
			     &subscriptions->itree);
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

/* Removes it from the tree, unless it is pinned. */
static bool mn_itree_try_remove(struct mmu_notifier_subscriptions *subscriptions,
				struct mmu_interval_notifier *interval_sub)
{
	bool unpinned;

	spin_lock(&subscriptions->lock);
	interval_sub->removing = true;
	unpinned = !interval_sub->pins;
	if (unpinned)
		interval_tree_remove(&interval_sub->interval_tree,
				     &subscriptions->itree);
	spin_unlock(&subscriptions->lock);
	return unpinned;
}

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
 * This waits for running callbacks of @interval_sub. If one has a finish pass
 * pending it waits for that too, and so for what the same walk calls before it,
 * but not for other callbacks, nor for the end of an invalidation.
 * Invalidations that have not called @interval_sub yet do not call it any more,
 * so what is mapped under it has to be gone before; where that is not possible,
 * see mmu_notifier_range_is_valid(). To hand mappings over to another
 * subscription instead, insert that first, and pass it to
 * mmu_interval_read_begin() before this call: then the invalidations of its
 * range that began before the insert, and may call only @interval_sub, have
 * ended. Those that begin later call the new one.
 *
 * Context: Process context, may sleep. mmap_lock may be held. Must not be
 * called from a callback of an invalidation, nor with a lock held that a
 * callback takes or waits for: one of @interval_sub, or if it has two passes
 * any other that the same walk calls. lockdep does not tell them apart. May be
 * called from ->release.
 */
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub)
{
	struct mm_struct *mm = interval_sub->mm;
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;

	might_sleep();

	/*
	 * The possible sleep on progress in the invalidation requires the
	 * caller not hold any locks held by invalidation callbacks.
	 */
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
	/*
	 * Woken when the last pin is dropped, after the callbacks have
	 * returned. No new pin is taken from the first try on, so this ends.
	 */
	wait_event(subscriptions->wq,
		   mn_itree_try_remove(subscriptions, interval_sub));

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
 * on other CPUs, even when the grace period is over; srcu_barrier() does, and
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
	synchronize_srcu(&srcu);
	srcu_barrier(&srcu);
}
EXPORT_SYMBOL_GPL(mmu_notifier_synchronize);
