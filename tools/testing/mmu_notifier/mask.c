// SPDX-License-Identifier: GPL-2.0
/*
 * A notifier is registered that implements what none of the mm has implemented
 * before: from then on it is called.
 */
#include "tasks.h"

/* Hardware that walks the page table has no other callback. */
static void flush_tlb(struct mmu_notifier *notifier, struct mm_struct *mm,
		      unsigned long start, unsigned long end)
{
	struct list_device *dev = container_of(notifier, struct list_device, notifier);

	ledger_call(dev->id, "flush");
	device_unmap(dev->id, start, end);
}

static struct list_device *create_tlb(unsigned int n)
{
	struct list_device *dev = list_create(n, TLB);

	dev->ops.arch_invalidate_secondary_tlbs = flush_tlb;
	dev->ops.test_young = NULL;
	dev->ops.clear_young = NULL;
	dev->ops.clear_flush_young = NULL;
	return dev;
}

static void mirror_and_tlb_to_come(void)
{
	mm_create();
	list_register(list_create(0, 0));
	create_tlb(1);
}

static void tlb_and_mirror_to_come(void)
{
	mm_create();
	list_register(create_tlb(0));
	list_create(1, 0);
}

static void end_and_start_to_come(void)
{
	mm_create();
	list_register(list_create(0, NO_START));
	list_create(1, 0);
}

static void start_and_end_to_come(void)
{
	mm_create();
	list_register(list_create(0, NO_END));
	list_create(1, 0);
}

/* The mask has everything, and the list is empty. */
static void both_gone(void)
{
	mm_create();
	list_register(create_tlb(0));
	list_register(list_create(1, 0));
	list_unregister(lists[0]);
	list_unregister(lists[1]);
	create_tlb(0);
	list_create(1, 0);
}

/* What was in the TLB is there until it is flushed. */
static void register_and_walk(void *n)
{
	struct list_device *dev = lists[(long)n];
	unsigned long pte;

	list_register(dev);
	pte = READ_ONCE(mm->pte[0]);
	if (pte)
		device_map(dev->id, 0, pte);
}

static void register_n(void *n)
{
	list_register(lists[(long)n]);
}

static void register_and_fault(void *n)
{
	list_register(lists[(long)n]);
	list_fault(lists[(long)n], 0);
}

/* Reclaim: outside of any range, with a lock of the reverse map held. */
static void reclaim_0(void *unused)
{
	unsigned long pte;

	down_read(mm->rmap);
	pte = READ_ONCE(mm->pte[0]);
	WRITE_ONCE(mm->pte[0], 0);
	mmu_notifier_arch_invalidate_secondary_tlbs(mm, ADDRESS(0), ADDRESS(1));
	page_free(&pte);
	up_read(mm->rmap);
}

static bool always_young(struct mmu_notifier *notifier, struct mm_struct *mm,
			 unsigned long start, unsigned long end)
{
	return true;
}

static void register_and_age(void *n)
{
	struct list_device *dev = lists[(long)n];

	dev->ops.clear_young = always_young;
	dev->ops.clear_flush_young = always_young;
	list_register(dev);
	if (!mmu_notifier_clear_young(mm, ADDRESS(0), ADDRESS(1)) ||
	    !mmu_notifier_clear_flush_young(mm, ADDRESS(0), ADDRESS(1)))
		fail("a young operation does not call what was registered before");
}

static void age(void *unused)
{
	mmu_notifier_clear_young(mm, ADDRESS(0), ADDRESS(1));
}

const struct program mask[] = {
	{
		"mask-flush", "the first that flushes comes, beside reclaim",
		mirror_and_tlb_to_come, take_down,
		{ { "reclaim", reclaim_0, 0 }, { "driver", register_and_walk, 1 } },
	}, {
		"mask-start", "the first with a start comes, beside a range",
		end_and_start_to_come, take_down,
		{ { "range", unmap_0, 0 }, { "driver", register_and_fault, 1 } },
	}, {
		"mask-end", "the first with an end comes, beside a range",
		start_and_end_to_come, take_down,
		{ { "range", unmap_0, 0 }, { "driver", register_and_fault, 1 } },
	}, {
		"mask-young", "the first with young operations comes, the other goes",
		tlb_and_mirror_to_come, take_down,
		{ { "driver 0", unregister_n, 0 }, { "driver 1", register_and_age, 1 },
		  { "aging", age, 0 } },
	}, {
		"mask-again", "the list was empty, then two come",
		both_gone, take_down,
		{ { "reclaim", reclaim_0, 0 }, { "driver 0", register_and_walk, 0 },
		  { "driver 1", register_n, 1 } },
	},
};

const unsigned int nr_mask = ARRAY_SIZE(mask);
