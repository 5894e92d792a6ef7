// SPDX-License-Identifier: GPL-2.0
/* The mm: its references, its locks, its exit, and a page table of four pages. */
#include "kernel.h"
#include "device.h"

struct mm_struct *mm STATE;
/* The VMAs are there: the reverse map leads to them. */
static bool mapped STATE;
static struct rw_semaphore *rmap STATE;

void mm_create(void)
{
	unsigned int page;

	mm = NEW(struct mm_struct);
	atomic_set(&mm->mm_users, 1);
	atomic_set(&mm->mm_count, 1);
	init_rwsem(&mm->mmap_lock);
	rmap = NEW(struct rw_semaphore);
	init_rwsem(rmap);
	mm->rmap = rmap;
	mapped = true;
	for (page = 0; page < PAGES; page++)
		mm->pte[page] = page_alloc();
}

void mmdrop(struct mm_struct *mm)
{
	if (!atomic_dec_and_test(&mm->mm_count))
		return;
	note("the mm is freed");
	mmu_notifier_subscriptions_destroy(mm);
	ledger_mm_gone();
	kfree(mm);
}

static void exit_mmap(struct mm_struct *mm)
{
	unsigned int page;

	note("exit_mmap()");
	ledger_exit();
	mmu_notifier_release(mm);
	ledger_released();
	/* unlink the VMAs, then free the pages */
	down_write(mm->rmap);
	mapped = false;
	up_write(mm->rmap);
	for (page = 0; page < PAGES; page++)
		page_free(&mm->pte[page]);
}

void mmput(struct mm_struct *mm)
{
	if (!atomic_dec_and_test(&mm->mm_users))
		return;
	exit_mmap(mm);
	mmdrop(mm);
}

int mm_take_all_locks(struct mm_struct *mm)
{
	mmap_assert_write_locked(mm);
	if (mm->signal_pending && choose(2, "a fatal signal arrives"))
		return -EINTR;
	down_write(mm->rmap);
	return 0;
}

void mm_drop_all_locks(struct mm_struct *mm)
{
	up_write(mm->rmap);
}

/*
 * Changes some pages, as unmapping does: false if the VMAs are gone, or a
 * notifier has refused a start that must not block.
 */
bool invalidate(unsigned int first, unsigned int last, unsigned int flags)
{
	struct mmu_notifier_range *range;
	unsigned int page;
	int ret = 0;

	/* Truncation comes by the file, which is not the mm's. */
	down_read(rmap);
	if (!mapped) {
		up_read(rmap);
		return false;
	}
	range = NEW(struct mmu_notifier_range);
	/* What was on the stack before */
	memset(range, flags & ZEROED ? 0 : 0x5a, sizeof(*range));
	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, mm, ADDRESS(first),
				ADDRESS(last + 1));
	ledger_range_begins(range, flags & NONBLOCK);
	if (flags & NONBLOCK)
		ret = mmu_notifier_invalidate_range_start_nonblock(range);
	else
		mmu_notifier_invalidate_range_start(range);
	ledger_range_started(range, ret);
	if (!ret) {
		for (page = first; page <= last && !(flags & KEEP); page++)
			page_free(&mm->pte[page]);
		mmu_notifier_invalidate_range_end(range);
		ledger_range_ended(range);
	}
	kfree(range);
	up_read(rmap);
	return !ret;
}

void fault_in(unsigned int page)
{
	if (!READ_ONCE(mm->pte[page]))
		WRITE_ONCE(mm->pte[page], page_alloc());
}
