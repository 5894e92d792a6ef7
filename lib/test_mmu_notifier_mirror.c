// SPDX-License-Identifier: GPL-2.0
/*
 * Test module for mmu notifiers: a mirror of the page tables, kept as a driver
 * keeps the mappings of its device.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "test_mmu_notifier.h"

/* A fault of a list notifier's device, from before it reads the page tables. */
struct tmn_fault {
	struct list_head entry;
	unsigned long start;
	unsigned long end;
	bool back_off;
};

bool tmn_can_mirror(const struct tmn_register *cfg)
{
	return (tmn_is_interval(cfg) ||
		(cfg->flags & TMN_F_TRACK && cfg->ops & TMN_OP_START)) &&
	       PAGE_ALIGNED(cfg->start) &&
	       cfg->end - cfg->start <= TMN_MIRROR_MAX * PAGE_SIZE;
}

void tmn_unmap(struct tmn_slot *slot, unsigned long start, unsigned long end)
{
	unsigned long addr;

	lockdep_assert_held(&slot->user_lock);
	if (!slot->mirror)
		return;
	start = max_t(unsigned long, start, slot->cfg.start);
	end = min_t(unsigned long, end, slot->cfg.end);
	for (addr = start & PAGE_MASK; addr < end; addr += PAGE_SIZE)
		slot->mirror[(addr - slot->cfg.start) >> PAGE_SHIFT] = 0;
}

static bool tmn_back_off(struct tmn_slot *slot, unsigned long start, unsigned long end)
{
	struct tmn_fault *fault;
	bool found = false;

	lockdep_assert_held(&slot->user_lock);
	list_for_each_entry(fault, &slot->faults, entry) {
		if (fault->start < end && fault->end > start) {
			fault->back_off = true;
			found = true;
		}
	}
	return found;
}

/* The side of the invalidation; tmn_map_list() is the other. */
int tmn_mirror_start(struct tmn_slot *slot, const struct mmu_notifier_range *range)
{
	bool blockable = mmu_notifier_range_blockable(range);
	unsigned long withdrawn;
	bool entered;

	if (!slot->mirror)
		return 0;
	if (blockable)
		mutex_lock(&slot->user_lock);
	else if (!mutex_trylock(&slot->user_lock))
		return -EAGAIN;
	while (tmn_back_off(slot, range->start, range->end)) {
		withdrawn = slot->withdrawn;
		mutex_unlock(&slot->user_lock);
		if (!blockable)
			return -EAGAIN;
		entered = tmn_enter_call(slot);
		wait_event(slot->file->wq, READ_ONCE(slot->withdrawn) != withdrawn);
		tmn_leave_call(slot, entered);
		mutex_lock(&slot->user_lock);
	}
	tmn_unmap(slot, range->start, range->end);
	mutex_unlock(&slot->user_lock);
	return 0;
}

/*
 * Reads the page tables, without a fault: that could be an invalidation, which
 * waits for us.
 */
static unsigned long tmn_read_pfn(unsigned long addr)
{
	unsigned long pfn = 0;
	struct page *page;

	if (get_user_pages_fast_only(addr, 1, FOLL_WRITE, &page) == 1) {
		pfn = page_to_pfn(page);
		put_page(page);
	}
	return pfn;
}

static void tmn_pass_map_gate(struct tmn_slot *slot, unsigned long addr)
{
	const struct mmu_notifier_range range = { .start = addr, .end = addr + 1 };

	tmn_pass_gate(slot, TMN_GATE_MAP, &range);
}

/* The two-sided protocol, see mmu_notifier_range_is_valid(). */
static int tmn_map_list(struct tmn_slot *slot, unsigned long addr, unsigned long *mirror)
{
	struct tmn_fault fault = {
		.start = addr & PAGE_MASK,
		.end = (addr & PAGE_MASK) + PAGE_SIZE,
	};
	unsigned long pfn;
	bool entered;
	int ret = 0;

	entered = tmn_enter_call(slot);
	mmu_notifier_range_wait_valid(current->mm, fault.start, fault.end);
	tmn_leave_call(slot, entered);
	mutex_lock(&slot->user_lock);
	if (!mmu_notifier_range_is_valid(current->mm, fault.start, fault.end)) {
		mutex_unlock(&slot->user_lock);
		return -EAGAIN;
	}
	list_add(&fault.entry, &slot->faults);
	mutex_unlock(&slot->user_lock);

	tmn_pass_map_gate(slot, addr);
	pfn = tmn_read_pfn(addr);

	mutex_lock(&slot->user_lock);
	if (fault.back_off || !pfn)
		ret = -EAGAIN;
	else
		*mirror = pfn;
	list_del(&fault.entry);
	WRITE_ONCE(slot->withdrawn, slot->withdrawn + 1);
	mutex_unlock(&slot->user_lock);
	wake_up_all(&slot->file->wq);
	return ret;
}

/* Collision-retry, see mmu_interval_read_begin(). */
static int tmn_map_interval(struct tmn_slot *slot, unsigned long addr, unsigned long *mirror)
{
	struct mmu_interval_notifier *mni = &slot->interval->mni;
	unsigned long seq, pfn;
	bool entered;
	int ret = 0;

	entered = tmn_enter_call(slot);
	seq = mmu_interval_read_begin(mni);
	tmn_leave_call(slot, entered);
	tmn_pass_map_gate(slot, addr);
	pfn = tmn_read_pfn(addr);

	mutex_lock(&slot->user_lock);
	if (mmu_interval_read_retry(mni, seq) || !pfn)
		ret = -EAGAIN;
	else
		*mirror = pfn;
	mutex_unlock(&slot->user_lock);
	return ret;
}

static unsigned long *tmn_mirror_of(struct tmn_slot *slot, unsigned long addr)
{
	if (!slot->live || !slot->mirror || slot->mm != current->mm ||
	    addr < slot->cfg.start || addr >= slot->cfg.end)
		return NULL;
	return &slot->mirror[(addr - slot->cfg.start) >> PAGE_SHIFT];
}

static int tmn_map_page(struct tmn_slot *slot, const struct tmn_page *map)
{
	unsigned long limit = jiffies + msecs_to_jiffies(map->timeout_ms);
	unsigned long *mirror = tmn_mirror_of(slot, map->addr);
	struct page *page;
	int ret;

	if (!mirror)
		return -EINVAL;
	do {
		if (get_user_pages_fast(map->addr, 1, FOLL_WRITE, &page) != 1)
			return -EFAULT;
		put_page(page);
		if (!tmn_is_interval(&slot->cfg))
			ret = tmn_map_list(slot, map->addr, mirror);
		else
			ret = tmn_map_interval(slot, map->addr, mirror);
	} while (ret == -EAGAIN && time_before(jiffies, limit) && !signal_pending(current));
	return ret;
}

int tmn_map(struct tmn_slot *slot, const struct tmn_page *map)
{
	int ret;

	down_read(&slot->mapping);
	ret = tmn_map_page(slot, map);
	up_read(&slot->mapping);
	if (!ret) {
		raw_spin_lock(&slot->lock);
		slot->stats.mapped++;
		raw_spin_unlock(&slot->lock);
	}
	return ret;
}

static u64 tmn_read_mirror(unsigned long pfn, unsigned long addr)
{
	void *page = kmap_local_page(pfn_to_page(pfn));
	u64 value = READ_ONCE(*(u64 *)(page + offset_in_page(addr)));

	kunmap_local(page);
	return value;
}

/*
 * While we have the lock, an invalidation of what is mapped waits for it, and
 * has changed nothing yet: the page tables have the page that we have. What the
 * CPU counts there lies between what is there before and after. But its TLB is
 * flushed after the end of an invalidation, so it can be behind the page tables
 * for a moment; and a look-up can fail while an accessed bit is set.
 */
static bool tmn_is_same(unsigned long mirror, unsigned long addr)
{
	unsigned long pfn, limit = jiffies + TMN_SPIN_LIMIT;
	u64 before, value, after;

	do {
		pfn = tmn_read_pfn(addr);
		if (pfn && pfn != mirror)
			return false;
		before = tmn_read_mirror(mirror, addr);
		smp_mb(); /* before the read of the CPU's view */
		if (pfn && !copy_from_user_nofault(&value, (void __user *)addr, sizeof(value))) {
			smp_mb(); /* after it */
			after = tmn_read_mirror(mirror, addr);
			if (before <= value && value <= after)
				return true;
		}
		cond_resched();
	} while (time_before(jiffies, limit));
	return false;
}

int tmn_check(struct tmn_slot *slot, const struct tmn_page *check)
{
	unsigned long *mirror = tmn_mirror_of(slot, check->addr);
	int ret = -ENOENT;

	if (!mirror || !IS_ALIGNED(check->addr, sizeof(u64)))
		return -EINVAL;
	mutex_lock(&slot->user_lock);
	if (*mirror)
		ret = tmn_is_same(*mirror, check->addr);
	mutex_unlock(&slot->user_lock);
	if (ret >= 0) {
		raw_spin_lock(&slot->lock);
		slot->stats.checked += ret;
		slot->stats.wrong += !ret;
		raw_spin_unlock(&slot->lock);
	}
	return ret;
}
