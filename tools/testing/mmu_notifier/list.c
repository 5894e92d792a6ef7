// SPDX-License-Identifier: GPL-2.0
/* A driver with a notifier of the list, by the protocol of KVM. */
#include "device.h"
#include <core/has.h>

struct list_device *lists[MAX_DEVICES] STATE;

static struct list_device *to_device(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct list_device, notifier);
}

static int try_start(struct list_device *dev, const struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range)) {
		mutex_lock(&dev->lock);
	} else if ((dev->flags & FAILS) ||
		   ((dev->flags & MAY_FAIL) && choose(2, "start fails?")) ||
		   !mutex_trylock(&dev->lock)) {
		return -EAGAIN;
	}
	dev->active++;
	device_unmap(dev->id, range->start, range->end);
	mutex_unlock(&dev->lock);
	return 0;
}

static int start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct list_device *dev = to_device(notifier);
	int ret;

	ledger_call(dev->id, "start");
	point("callback", dev, __builtin_return_address(0));
	if (dev->in_callback)
		dev->in_callback();
	ret = try_start(dev, range);
	if ((dev->flags & ERRORS) && !mmu_notifier_range_blockable(range))
		ret = -EINVAL;
	ledger_start(dev->id, range, ret);
	return dev->flags & ERRORS && !ret ? -EAGAIN : ret;
}

static void end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct list_device *dev = to_device(notifier);

	ledger_end(dev->id, range);
	point("callback", dev, __builtin_return_address(0));
	if (dev->in_end)
		dev->in_end();
	/* It is held for a few instructions only: so is KVM's, a spinlock. */
	if (mmu_notifier_range_blockable(range)) {
		mutex_lock(&dev->lock);
		if (!(dev->flags & NO_START))
			dev->active--;
		dev->seq++;
		mutex_unlock(&dev->lock);
	}
}

static void release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct list_device *dev = to_device(notifier);

	ledger_release(dev->id);
	point("callback", dev, __builtin_return_address(0));
	list_drop(dev);
	ledger_release_done(dev->id);
}

static bool young(struct mmu_notifier *notifier, struct mm_struct *mm,
		  unsigned long start, unsigned long end)
{
	struct list_device *dev = to_device(notifier);

	ledger_call(dev->id, "young");
	point("callback", dev, __builtin_return_address(0));
	return dev->flags & TLB;
}

static bool test_young(struct mmu_notifier *notifier, struct mm_struct *mm,
		       unsigned long address)
{
	return young(notifier, mm, address, address + PAGE);
}

static void flush(struct mmu_notifier *notifier, struct mm_struct *mm,
		  unsigned long start, unsigned long end)
{
	young(notifier, mm, start, end);
}

static struct list_device *create(unsigned int n, unsigned int flags)
{
	struct list_device *dev = NEW(struct list_device);

	mutex_init(&dev->lock);
	dev->flags = flags;
	dev->id = ledger_device(&dev->notifier, false, 0, PAGES - 1);
	if (flags & NO_END)
		ledger_unpaired(dev->id);
	if (flags & NO_START)
		ledger_only_end(dev->id);
	lists[n] = dev;
	return dev;
}

static void free_notifier(struct mmu_notifier *notifier)
{
	struct list_device *dev = to_device(notifier);

	note("list: free_notifier");
	/* A driver may still look at the mm. */
	if (notifier->mm)
		(void)atomic_read(&notifier->mm->mm_count);
	ledger_is_out(dev->id);
	kfree(dev);
}

struct list_device *list_create(unsigned int n, unsigned int flags)
{
	struct list_device *dev = create(n, flags);
	struct mmu_notifier_ops *ops = &dev->ops;

	/* Of a notifier the driver sets only this. */
	memset(&dev->notifier, 0x5a, sizeof(dev->notifier));
	dev->notifier.mm = NULL;
	dev->notifier.ops = ops;
	if (!(flags & NO_RELEASE))
		ops->release = release;
	ops->free_notifier = free_notifier;
	ops->test_young = test_young;
	ops->clear_young = young;
	ops->clear_flush_young = young;
	if (flags & TLB) {
		ops->arch_invalidate_secondary_tlbs = flush;
		return dev;
	}
	if (!(flags & NO_START))
		ops->invalidate_range_start = start;
	if (!(flags & NO_END))
		ops->invalidate_range_end = end;
#ifdef HAVE_TRACK_RANGES
	ops->track_ranges = flags & TRACKS;
#endif
	return dev;
}

int list_register(struct list_device *dev)
{
	int ret;

	ledger_comes(dev->id);
	ret = mmu_notifier_register(&dev->notifier, mm);
	if (ret)
		ledger_is_out(dev->id);
	else
		ledger_is_in(dev->id);
	return ret;
}

bool list_fault(struct list_device *dev, unsigned int page)
{
	unsigned long seq, pte;
	bool done = false;

	mutex_lock(&dev->lock);
	seq = dev->seq;
	mutex_unlock(&dev->lock);
	pte = READ_ONCE(mm->pte[page]);
	mutex_lock(&dev->lock);
	if (!dev->active && dev->seq == seq) {
		if (pte)
			device_map(dev->id, page, pte);
		done = true;
	}
	mutex_unlock(&dev->lock);
	return done;
}

void list_drop(struct list_device *dev)
{
	mutex_lock(&dev->lock);
	device_unmap(dev->id, 0, ULONG_MAX);
	mutex_unlock(&dev->lock);
}

/* It can be registered again. */
void list_leave(struct list_device *dev)
{
	ledger_goes(dev->id);
	mmu_notifier_unregister(&dev->notifier, mm);
	ledger_is_out(dev->id);
}

void list_unregister(struct list_device *dev)
{
	list_leave(dev);
	kfree(dev);
}

static void free_device(struct rcu_head *rcu)
{
	struct list_device *dev = container_of(rcu, struct list_device, rcu);

	ledger_is_out(dev->id);
	kfree(dev);
}

void list_no_release(struct list_device *dev)
{
	ledger_goes(dev->id);
	mmu_notifier_unregister_no_release(&dev->notifier, mm);
	mmu_notifier_call_srcu(&dev->rcu, free_device);
}

void list_put(struct list_device *dev)
{
	ledger_goes(dev->id);
	mmu_notifier_put(&dev->notifier);
}

static struct mmu_notifier *alloc_notifier(struct mm_struct *mm)
{
	struct list_device *dev = create(0, 0);

	ledger_comes(dev->id);
	return &dev->notifier;
}

static const struct mmu_notifier_ops get_ops = {
	.alloc_notifier = alloc_notifier,
	.free_notifier = free_notifier,
	.release = release,
	.invalidate_range_start = start,
	.invalidate_range_end = end,
};

struct list_device *list_get(void)
{
	struct mmu_notifier *notifier = mmu_notifier_get(&get_ops, mm);
	struct list_device *dev;

	if (IS_ERR(notifier))
		return NULL;
	dev = to_device(notifier);
	ledger_is_in(dev->id);
	return dev;
}
