/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MMU_NOTIFIER_H
#define _LINUX_MMU_NOTIFIER_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/mm_types.h>
#include <linux/mmap_lock.h>
#include <linux/srcu.h>
#include <linux/interval_tree.h>

struct mmu_notifier_subscriptions;
struct mmu_notifier;
struct mmu_notifier_range;
struct mmu_interval_notifier;

/**
 * enum mmu_notifier_event - reason for the mmu notifier callback
 * @MMU_NOTIFY_UNMAP: either munmap() that unmap the range or a mremap() that
 * move the range
 *
 * @MMU_NOTIFY_CLEAR: clear page table entry (many reasons for this like
 * madvise() or replacing a page by another one, ...).
 *
 * @MMU_NOTIFY_PROTECTION_VMA: update is due to protection change for the range
 * ie using the vma access permission (vm_page_prot) to update the whole range
 * is enough no need to inspect changes to the CPU page table (mprotect()
 * syscall)
 *
 * @MMU_NOTIFY_PROTECTION_PAGE: update is due to change in read/write flag for
 * pages in the range so to mirror those changes the user must inspect the CPU
 * page table (from the end callback).
 *
 * @MMU_NOTIFY_SOFT_DIRTY: soft dirty accounting (still same page and same
 * access flags). User should soft dirty the page in the end callback to make
 * sure that anyone relying on soft dirtiness catch pages that might be written
 * through non CPU mappings.
 *
 * @MMU_NOTIFY_RELEASE: used during mmu_interval_notifier invalidate to signal
 * that the mm has no users any more and the range is no longer accessible.
 *
 * @MMU_NOTIFY_MIGRATE: used during migrate_vma_collect() invalidate to signal
 * a device driver to possibly ignore the invalidation if the
 * owner field matches the driver's device private pgmap owner.
 *
 * @MMU_NOTIFY_EXCLUSIVE: conversion of a page table entry to device-exclusive.
 * The owner is initialized to the value provided by the caller of
 * make_device_exclusive(), such that this caller can filter out these
 * events.
 */
enum mmu_notifier_event {
	MMU_NOTIFY_UNMAP = 0,
	MMU_NOTIFY_CLEAR,
	MMU_NOTIFY_PROTECTION_VMA,
	MMU_NOTIFY_PROTECTION_PAGE,
	MMU_NOTIFY_SOFT_DIRTY,
	MMU_NOTIFY_RELEASE,
	MMU_NOTIFY_MIGRATE,
	MMU_NOTIFY_EXCLUSIVE,
};

#define MMU_NOTIFIER_RANGE_BLOCKABLE (1 << 0)
/* in progress, and listed; for mm/mmu_notifier.c only */
#define MMU_NOTIFIER_RANGE_TRACKED BIT(1)

/**
 * struct mmu_notifier_ops - what a plain notifier is called for
 *
 * Every operation is optional. Documentation/mm/mmu_notifier.rst says which of
 * them may sleep, and what may be called from them.
 */
struct mmu_notifier_ops {
	/**
	 * @release:
	 * Called by mmu_notifier_unregister(), or when the mm is
	 * being destroyed by exit_mmap, always before all pages are
	 * freed. If unregistering races with exit, both can call it, possibly
	 * at the same time. mmu_notifier_put() and
	 * mmu_notifier_unregister_no_release() do not call it. This can run
	 * concurrently with other mmu notifier methods (the ones invoked
	 * outside the mm context) and it should tear down all secondary mmu
	 * mappings and freeze the secondary mmu. If this method isn't
	 * implemented you've to be sure that nothing could possibly write to
	 * the pages through the secondary mmu by the time the last thread with
	 * tsk->mm == mm exits.
	 *
	 * As side note: the pages freed after ->release returns could
	 * be immediately reallocated by the gart at an alias physical
	 * address with a different cache model, so if ->release isn't
	 * implemented because all _software_ driven memory accesses
	 * through the secondary mmu are terminated by the time the
	 * last thread of this mm quits, you've also to be sure that
	 * speculative _hardware_ operations can't allocate dirty
	 * cachelines in the cpu that could not be snooped and made
	 * coherent with the other read and write operations happening
	 * through the gart alias address, so leading to memory
	 * corruption.
	 */
	void (*release)(struct mmu_notifier *subscription,
			struct mm_struct *mm);

	/**
	 * @clear_flush_young:
	 * clear_flush_young is called after the VM is
	 * test-and-clearing the young/accessed bitflag in the
	 * pte. This way the VM will provide proper aging to the
	 * accesses to the page through the secondary MMUs and not
	 * only to the ones through the Linux pte.
	 * Start-end is necessary in case the secondary MMU is mapping the page
	 * at a smaller granularity than the primary MMU.
	 *
	 * Returns true when the secondary MMU has accessed the range since it
	 * was asked last. Without young bits it can unmap the range, and
	 * return whether there was something.
	 */
	bool (*clear_flush_young)(struct mmu_notifier *subscription,
				  struct mm_struct *mm,
				  unsigned long start,
				  unsigned long end);

	/**
	 * @clear_young:
	 * clear_young is a lightweight version of clear_flush_young. Like the
	 * latter, it is supposed to test-and-clear the young/accessed bitflag
	 * in the secondary pte, but it may omit flushing the secondary tlb.
	 * Returns the same.
	 */
	bool (*clear_young)(struct mmu_notifier *subscription,
			    struct mm_struct *mm,
			    unsigned long start,
			    unsigned long end);

	/**
	 * @test_young:
	 * test_young is called to check the young/accessed bitflag in
	 * the secondary pte. This is used to know if the page is
	 * frequently used without actually clearing the flag or tearing
	 * down the secondary mapping on the page. Returns whether the page was
	 * accessed.
	 */
	bool (*test_young)(struct mmu_notifier *subscription,
			   struct mm_struct *mm,
			   unsigned long address);

	/**
	 * @invalidate_range_start:
	 * invalidate_range_start() and invalidate_range_end() are
	 * paired and are called only when the mmap_lock, the lock of
	 * the VMA and/or the locks protecting the reverse maps are held.
	 *
	 * Several invalidations can be in progress at once, on several CPUs
	 * and, nested, in one thread. The establishment of sptes is forbidden
	 * in the range passed to invalidate_range_start/end for the whole
	 * duration of the invalidate_range_start/end critical section:
	 * Documentation/mm/mmu_notifier.rst has protocols for that.
	 *
	 * At invalidate_range_start() the page tables have not been changed
	 * yet. At invalidate_range_end() they have been; pages that were
	 * unmapped can be freed before or after it.
	 *
	 * The VM will remove the page table entries and potentially
	 * the page between invalidate_range_start() and
	 * invalidate_range_end(). If the page must not be freed
	 * because of pending I/O or other circumstances then the
	 * invalidate_range_start() callback (or the initial mapping
	 * by the driver) must make sure that the refcount is kept
	 * elevated.
	 *
	 * If the driver increases the refcount when the pages are
	 * initially mapped into an address space then either
	 * invalidate_range_start() or invalidate_range_end() may
	 * decrease the refcount. If the refcount is decreased on
	 * invalidate_range_start() then the VM can free pages as page
	 * table entries are removed.  If the refcount is only
	 * dropped on invalidate_range_end() then the driver itself
	 * will drop the last refcount but it must take care to flush
	 * any secondary tlb before doing the final free on the
	 * page. Pages will no longer be referenced by the linux
	 * address space but may still be referenced by sptes until
	 * the last refcount is dropped.
	 *
	 * If mmu_notifier_range_blockable(range) is false then the callback
	 * cannot sleep and has to return with -EAGAIN if sleeping would be
	 * required. 0 should be returned otherwise; a callback that may sleep
	 * must not fail.
	 *
	 * For every invalidate_range_start() that returned 0,
	 * invalidate_range_end() is called exactly once with the same range,
	 * unless the notifier is unregistered in between. For one that returned
	 * -EAGAIN it is not called. The first -EAGAIN stops the walk: the
	 * notifiers that were not called yet are not called for this range at
	 * all, and end is called immediately for those that were, in a context
	 * that cannot sleep either.
	 */
	int (*invalidate_range_start)(struct mmu_notifier *subscription,
				      const struct mmu_notifier_range *range);
	/**
	 * @invalidate_range_end:
	 * See @invalidate_range_start.
	 */
	void (*invalidate_range_end)(struct mmu_notifier *subscription,
				     const struct mmu_notifier_range *range);

	/**
	 * @arch_invalidate_secondary_tlbs:
	 * arch_invalidate_secondary_tlbs() is used to manage a non-CPU TLB
	 * which shares page-tables with the CPU. The
	 * invalidate_range_start()/end() callbacks should not be implemented as
	 * arch_invalidate_secondary_tlbs() already catches the points in time
	 * when an external TLB needs to be flushed.
	 *
	 * This requires arch_invalidate_secondary_tlbs() to be called while
	 * holding the ptl spin-lock and therefore this callback is not allowed
	 * to sleep.
	 *
	 * This is called by architecture code whenever invalidating a TLB
	 * entry, and by the IOMMU core for kernel addresses. From 0 to -1UL
	 * means everything. It is assumed that any secondary TLB has the same
	 * rules for when invalidations are required. If this is not the case
	 * architecture code will need to call this explicitly when required for
	 * secondary TLB invalidation.
	 */
	void (*arch_invalidate_secondary_tlbs)(
					struct mmu_notifier *subscription,
					struct mm_struct *mm,
					unsigned long start,
					unsigned long end);

	/**
	 * @alloc_notifier:
	 * alloc_notifier() and free_notifier() are used with the get/put
	 * interface to manage the lifetime of the mmu_notifier memory.
	 * alloc_notifier() returns a new notifier for use with the mm, or an
	 * ERR_PTR(), never NULL. mmu_notifier_get() sets its ->ops.
	 */
	struct mmu_notifier *(*alloc_notifier)(struct mm_struct *mm);
	/**
	 * @free_notifier:
	 * free_notifier() is only called after the mmu_notifier has been
	 * fully put, calls to any ops callback are prevented and no ops
	 * callbacks are currently running. It is called from a SRCU callback
	 * and cannot sleep. When mmu_notifier_get() fails it is called immediately,
	 * for a notifier that was never registered.
	 */
	void (*free_notifier)(struct mmu_notifier *subscription);

	/**
	 * @track_ranges:
	 * Set by a driver that calls mmu_notifier_range_is_valid() and
	 * mmu_notifier_range_wait_valid(): the invalidations of the mms that it
	 * registers on are tracked. Constant while a notifier is registered.
	 */
	bool track_ranges;
};

/**
 * struct mmu_notifier - a plain notifier
 * @hlist: On the list of the mm. Entries are added with all locks of
 *         mm_take_all_locks() held, so never while a range is between start and
 *         end; they are removed at any time. The list is walked in an SRCU read
 *         side critical section
 * @ops: The callbacks
 * @mm: The mm that it is registered on
 * @rcu: For mmu_notifier_put()
 * @users: How many mmu_notifier_get() have no mmu_notifier_put() yet; 1 after
 *         mmu_notifier_register()
 */
struct mmu_notifier {
	struct hlist_node hlist;
	const struct mmu_notifier_ops *ops;
	struct mm_struct *mm;
	struct rcu_head rcu;
	unsigned int users;
	/* private: place in the order of registration */
	u64 registration_seq;
};

/**
 * struct mmu_interval_notifier_finish - mmu_interval_notifier two-pass abstraction
 * @link: Lockless list link for the notifiers pending pass list
 * @notifier: The mmu_interval_notifier for which the finish pass is called.
 *
 * Allocate, typically using GFP_NOWAIT in the interval notifier's start pass.
 * Note that with a large number of notifiers implementing two passes,
 * allocation with GFP_NOWAIT will become increasingly likely to fail, so consider
 * implementing a small pool instead of using kmalloc() allocations.
 *
 * If the implementation needs to pass data between the start and the finish passes,
 * the recommended way is to embed struct mmu_interval_notifier_finish into a larger
 * structure that also contains the data needed to be shared. Keep in mind that
 * a notifier callback can be invoked in parallel, and each invocation needs its
 * own struct mmu_interval_notifier_finish.
 *
 * If allocation fails, then the &mmu_interval_notifier_ops->invalidate_start op
 * needs to implements the full notifier functionality. Please refer to its
 * documentation.
 */
struct mmu_interval_notifier_finish {
	struct llist_node link;
	struct mmu_interval_notifier *notifier;
};

/**
 * struct mmu_interval_notifier_ops - callback for range notification
 * @invalidate: Upon return the driver must have stopped using any SPTEs within
 *              this range, and return true. This function can sleep. Return
 *              false only if sleeping was required but
 *              mmu_notifier_range_blockable(range) is false.
 * @invalidate_start: Similar to @invalidate, but intended for two-pass notifier
 *                    callbacks where the call to @invalidate_start is the first
 *                    pass and any struct mmu_interval_notifier_finish pointer
 *                    returned in the @finish parameter describes the finish pass.
 *                    If *@finish is %NULL on return, then no final pass will be
 *                    called, and @invalidate_start needs to implement the full
 *                    notifier, behaving like @invalidate. The value of *@finish
 *                    is guaranteed to be %NULL at function entry, and has
 *                    to be when false is returned.
 * @invalidate_finish: Called as the second pass for any notifier that returned
 *                     a non-NULL *@finish from @invalidate_start. The @finish
 *                     pointer passed here is the same one returned by
 *                     @invalidate_start.
 */
struct mmu_interval_notifier_ops {
	bool (*invalidate)(struct mmu_interval_notifier *interval_sub,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq);
	bool (*invalidate_start)(struct mmu_interval_notifier *interval_sub,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq,
				 struct mmu_interval_notifier_finish **finish);
	void (*invalidate_finish)(struct mmu_interval_notifier_finish *finish);
};

/**
 * struct mmu_interval_notifier - an interval notifier
 * @interval_tree: The range, in bytes; its last byte is part of it
 * @ops: The callbacks
 * @mm: The mm that it is inserted in
 * @invalidate_seq: For mmu_interval_set_seq() and mmu_interval_read_retry()
 */
struct mmu_interval_notifier {
	struct interval_tree_node interval_tree;
	const struct mmu_interval_notifier_ops *ops;
	struct mm_struct *mm;
	unsigned long invalidate_seq;
	/* private: older ranges do not call it, see mn_itree_collect() */
	u64 insert_seq;
};

#ifdef CONFIG_MMU_NOTIFIER

#ifdef CONFIG_LOCKDEP
extern struct lockdep_map __mmu_notifier_invalidate_range_start_map;
extern struct lockdep_map __mmu_notifier_range_map;
#endif

/**
 * struct mmu_notifier_range - what is invalidated, from start to end
 * @mm: The mm
 * @start: First address, in bytes
 * @end: End of the range, in bytes, exclusive
 * @flags: MMU_NOTIFIER_RANGE_*
 * @event: The reason
 * @owner: With MMU_NOTIFY_MIGRATE and MMU_NOTIFY_EXCLUSIVE, who caused it;
 *         undefined with other reasons
 *
 * Other threads look at it between mmu_notifier_invalidate_range_start() and
 * mmu_notifier_invalidate_range_end(), so it must not be moved or changed in
 * between, and end must be called once for each start that returned 0.
 */
struct mmu_notifier_range {
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	unsigned flags;
	enum mmu_notifier_event event;
	void *owner;
	/* private: see mn_range_start() */
	struct list_head active;
	u64 seq;
	struct mmu_interval_notifier *cursor;
	struct hlist_head waiters;
	struct task_struct *holder;
	unsigned long since;
};

static inline int mm_has_notifiers(struct mm_struct *mm)
{
	return unlikely(mm->notifier_subscriptions);
}

struct mmu_notifier *mmu_notifier_get_locked(const struct mmu_notifier_ops *ops,
					     struct mm_struct *mm);
static inline struct mmu_notifier *
mmu_notifier_get(const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier *ret;

	mmap_write_lock(mm);
	ret = mmu_notifier_get_locked(ops, mm);
	mmap_write_unlock(mm);
	return ret;
}
void mmu_notifier_put(struct mmu_notifier *subscription);
void mmu_notifier_synchronize(void);

extern int mmu_notifier_register(struct mmu_notifier *subscription,
				 struct mm_struct *mm);
extern int __mmu_notifier_register(struct mmu_notifier *subscription,
				   struct mm_struct *mm);
extern void mmu_notifier_unregister(struct mmu_notifier *subscription,
				    struct mm_struct *mm);
void mmu_notifier_unregister_no_release(struct mmu_notifier *subscription,
					struct mm_struct *mm);
void mmu_notifier_call_srcu(struct rcu_head *rcu, rcu_callback_t func);

bool mmu_notifier_range_is_valid(struct mm_struct *mm, unsigned long start,
				 unsigned long end);
void mmu_notifier_range_wait_valid(struct mm_struct *mm, unsigned long start,
				   unsigned long end);
int mmu_notifier_range_wait_valid_timeout(struct mm_struct *mm,
					  unsigned long start,
					  unsigned long end,
					  unsigned long deadline);

unsigned long
mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub);
int mmu_interval_read_begin_timeout(struct mmu_interval_notifier *interval_sub,
				    unsigned long *seq, unsigned long deadline);
int mmu_interval_notifier_insert(struct mmu_interval_notifier *interval_sub,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long length,
				 const struct mmu_interval_notifier_ops *ops);
int mmu_interval_notifier_insert_locked(
	struct mmu_interval_notifier *interval_sub, struct mm_struct *mm,
	unsigned long start, unsigned long length,
	const struct mmu_interval_notifier_ops *ops);
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub);

/**
 * mmu_interval_set_seq - Save the invalidation sequence
 * @interval_sub: The subscription passed to invalidate
 * @cur_seq: The cur_seq passed to the invalidate() callback
 *
 * This must be called from the invalidate callback of a
 * struct mmu_interval_notifier_ops, unless that returns false, under the same
 * lock that is used to call mmu_interval_read_retry(). It updates the sequence
 * number for later use by mmu_interval_read_retry(). The provided cur_seq will
 * always be odd, and each invalidation has one of its own. A two-pass notifier
 * calls this in its first pass: in the second it could overwrite that of a
 * newer invalidation.
 *
 * If the caller does not call mmu_interval_read_begin() or
 * mmu_interval_read_retry() then this call is not required.
 */
static inline void
mmu_interval_set_seq(struct mmu_interval_notifier *interval_sub,
		     unsigned long cur_seq)
{
	WRITE_ONCE(interval_sub->invalidate_seq, cur_seq);
}

/**
 * mmu_interval_read_retry - End a read side critical section against a VA range
 * @interval_sub: The subscription
 * @seq: The return of the paired mmu_interval_read_begin()
 *
 * This MUST be called under a user provided lock that is also held
 * unconditionally by op->invalidate() when it calls mmu_interval_set_seq().
 *
 * Each call should be paired with a single mmu_interval_read_begin() and
 * should be used to conclude the read side.
 *
 * Returns: true if an invalidation collided with this critical section, and
 * the caller should retry.
 */
static inline bool
mmu_interval_read_retry(struct mmu_interval_notifier *interval_sub,
			unsigned long seq)
{
	return interval_sub->invalidate_seq != seq;
}

/**
 * mmu_interval_check_retry - Test if a collision has occurred
 * @interval_sub: The subscription
 * @seq: The return of the matching mmu_interval_read_begin()
 *
 * This can be used in the critical section between mmu_interval_read_begin()
 * and mmu_interval_read_retry().
 *
 * This call can be used as part of loops and other expensive operations to
 * expedite a retry.
 * It can be called many times and does not have to hold the user
 * provided lock.
 *
 * Returns: true indicates an invalidation has collided with this critical
 * region and a future mmu_interval_read_retry() will return true.
 * False is not reliable and only suggests a collision may not have
 * occurred.
 */
static inline bool
mmu_interval_check_retry(struct mmu_interval_notifier *interval_sub,
			 unsigned long seq)
{
	/* Pairs with the WRITE_ONCE in mmu_interval_set_seq() */
	return READ_ONCE(interval_sub->invalidate_seq) != seq;
}

extern void __mmu_notifier_subscriptions_destroy(struct mm_struct *mm);
extern void __mmu_notifier_release(struct mm_struct *mm);
bool __mmu_notifier_clear_flush_young(struct mm_struct *mm,
		unsigned long start, unsigned long end);
bool __mmu_notifier_clear_young(struct mm_struct *mm,
		unsigned long start, unsigned long end);
bool __mmu_notifier_test_young(struct mm_struct *mm,
		unsigned long address);
extern int __mmu_notifier_invalidate_range_start(struct mmu_notifier_range *r);
extern void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *r);
extern void __mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
					unsigned long start, unsigned long end);
extern bool
mmu_notifier_range_update_to_read_only(const struct mmu_notifier_range *range);

static inline bool
mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return (range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE);
}

static inline void mmu_notifier_release(struct mm_struct *mm)
{
	if (mm_has_notifiers(mm))
		__mmu_notifier_release(mm);
}

static inline bool mmu_notifier_clear_flush_young(struct mm_struct *mm,
		unsigned long start, unsigned long end)
{
	if (mm_has_notifiers(mm))
		return __mmu_notifier_clear_flush_young(mm, start, end);
	return false;
}

static inline bool mmu_notifier_clear_young(struct mm_struct *mm,
		unsigned long start, unsigned long end)
{
	if (mm_has_notifiers(mm))
		return __mmu_notifier_clear_young(mm, start, end);
	return false;
}

static inline bool mmu_notifier_test_young(struct mm_struct *mm,
		unsigned long address)
{
	if (mm_has_notifiers(mm))
		return __mmu_notifier_test_young(mm, address);
	return false;
}

/*
 * A range that has started is held like a lock, though nothing waits for it in
 * this way: unchecked, it adds no dependency. A task that returns to user space
 * or exits without the end is reported, with the place of the start.
 */
static inline void mmu_notifier_range_acquire(unsigned long ip)
{
	lock_acquire(&__mmu_notifier_range_map, 0, 0, 0, 0, NULL, ip);
}

static inline void mmu_notifier_range_release(unsigned long ip)
{
	lock_release(&__mmu_notifier_range_map, ip);
}

/**
 * mmu_notifier_invalidate_range_start - Tell of a change of the page tables
 * @range: From mmu_notifier_range_init()
 *
 * When this returns, drivers have dropped or adapted what they had mapped of
 * the range without a page reference, and map no more of it until
 * mmu_notifier_invalidate_range_end(), which has to follow in the same thread.
 * Ranges of one thread may nest.
 *
 * Context: Process context, may sleep. At least one is held of the mmap_lock,
 * the lock of the VMA, and those that protect the reverse map of what changes
 * (i_mmap_rwsem, anon_vma->rwsem); mm_take_all_locks() takes each of them.
 */
static inline void
mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	might_sleep();

	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	if (mm_has_notifiers(range->mm)) {
		range->flags |= MMU_NOTIFIER_RANGE_BLOCKABLE;
		__mmu_notifier_invalidate_range_start(range);
	}
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
	mmu_notifier_range_acquire(_THIS_IP_);
}

/**
 * mmu_notifier_invalidate_range_start_nonblock - Tell of a change without
 *                                                waiting
 * @range: From mmu_notifier_range_init()
 *
 * This version of mmu_notifier_invalidate_range_start() avoids blocking, but it
 * can return an error if a notifier can't proceed without blocking, in which
 * case you're not allowed to modify PTEs in the specified range, and must not
 * call mmu_notifier_invalidate_range_end().
 *
 * This is mainly intended for OOM handling.
 *
 * Context: As mmu_notifier_invalidate_range_start(), but does not sleep.
 *
 * Return: 0, or what the notifier returned that could not, -EAGAIN.
 */
static inline int __must_check
mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range)
{
	int ret = 0;

	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	if (mm_has_notifiers(range->mm)) {
		range->flags &= ~MMU_NOTIFIER_RANGE_BLOCKABLE;
		ret = __mmu_notifier_invalidate_range_start(range);
	}
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
	if (!ret)
		mmu_notifier_range_acquire(_THIS_IP_);
	return ret;
}

/**
 * mmu_notifier_invalidate_range_end - Tell that a change has completed
 * @range: What start was called with, as it was left by it
 *
 * To be called once for each start that did not fail.
 *
 * Context: As the start that was called.
 */
static inline void
mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range))
		might_sleep();

	mmu_notifier_range_release(_THIS_IP_);
	if (mm_has_notifiers(range->mm))
		__mmu_notifier_invalidate_range_end(range);
}

static inline void mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
					unsigned long start, unsigned long end)
{
	if (mm_has_notifiers(mm))
		__mmu_notifier_arch_invalidate_secondary_tlbs(mm, start, end);
}

static inline void mmu_notifier_subscriptions_init(struct mm_struct *mm)
{
	mm->notifier_subscriptions = NULL;
}

static inline void mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
	if (mm_has_notifiers(mm))
		__mmu_notifier_subscriptions_destroy(mm);
}


static inline void mmu_notifier_range_init(struct mmu_notifier_range *range,
					   enum mmu_notifier_event event,
					   unsigned flags,
					   struct mm_struct *mm,
					   unsigned long start,
					   unsigned long end)
{
	range->event = event;
	range->mm = mm;
	range->start = start;
	range->end = end;
	range->flags = flags;
}

static inline void mmu_notifier_range_init_owner(
			struct mmu_notifier_range *range,
			enum mmu_notifier_event event, unsigned int flags,
			struct mm_struct *mm, unsigned long start,
			unsigned long end, void *owner)
{
	mmu_notifier_range_init(range, event, flags, mm, start, end);
	range->owner = owner;
}

#else /* CONFIG_MMU_NOTIFIER */

struct mmu_notifier_range {
	unsigned long start;
	unsigned long end;
};

static inline void _mmu_notifier_range_init(struct mmu_notifier_range *range,
					    unsigned long start,
					    unsigned long end)
{
	range->start = start;
	range->end = end;
}

#define mmu_notifier_range_init(range,event,flags,mm,start,end)  \
	_mmu_notifier_range_init(range, start, end)
#define mmu_notifier_range_init_owner(range, event, flags, mm, start, \
					end, owner) \
	_mmu_notifier_range_init(range, start, end)

static inline bool
mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return true;
}

static inline int mm_has_notifiers(struct mm_struct *mm)
{
	return 0;
}

static inline void mmu_notifier_release(struct mm_struct *mm)
{
}

static inline bool mmu_notifier_clear_flush_young(struct mm_struct *mm,
		unsigned long start, unsigned long end)
{
	return false;
}

static inline bool mmu_notifier_clear_young(struct mm_struct *mm,
		unsigned long start, unsigned long end)
{
	return false;
}

static inline bool mmu_notifier_test_young(struct mm_struct *mm,
		unsigned long address)
{
	return false;
}

static inline void
mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
}

static inline int
mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range)
{
	return 0;
}

static inline
void mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
}

static inline void mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
				  unsigned long start, unsigned long end)
{
}

static inline void mmu_notifier_subscriptions_init(struct mm_struct *mm)
{
}

static inline void mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
}

#define mmu_notifier_range_update_to_read_only(r) false

static inline void mmu_notifier_synchronize(void)
{
}

#endif /* CONFIG_MMU_NOTIFIER */

#endif /* _LINUX_MMU_NOTIFIER_H */
