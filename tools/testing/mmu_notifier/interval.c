// SPDX-License-Identifier: GPL-2.0
/* A driver with an interval notifier, by the collision-retry protocol. */
#include "device.h"

struct interval *intervals[MAX_DEVICES] STATE;

struct finish {
	struct mmu_interval_notifier_finish finish;
	unsigned long start, end;
};

static struct interval *to_device(struct mmu_interval_notifier *notifier)
{
	return container_of(notifier, struct interval, notifier);
}

static bool lock(struct interval *dev, const struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range)) {
		mutex_lock(&dev->owner->lock);
		return true;
	}
	if ((dev->flags & MAY_FAIL) && choose(2, "invalidate fails?"))
		return false;
	return mutex_trylock(&dev->owner->lock);
}

static ORACLE bool is_open(void *dev)
{
	return !((struct interval *)dev)->closed;
}

static bool invalidate_start(struct mmu_interval_notifier *notifier,
			     const struct mmu_notifier_range *range,
			     unsigned long seq,
			     struct mmu_interval_notifier_finish **finish)
{
	struct interval *dev = to_device(notifier);
	struct finish *f;

	ledger_invalidate(dev->id, range);
	block("callback", dev, __builtin_return_address(0), is_open, dev);
	if (!lock(dev, range)) {
		ledger_invalidate_fails(range);
		return false;
	}
	mmu_interval_set_seq(notifier, seq);
	if (finish && !((dev->flags & NO_ALLOC) && choose(2, "out of memory?"))) {
		f = NEW(struct finish);
		f->start = range->start;
		f->end = range->end;
		*finish = &f->finish;
	} else {
		device_unmap(dev->owner->id, range->start, range->end);
	}
	mutex_unlock(&dev->owner->lock);
	return !(dev->flags & ERRORS);
}

static bool invalidate_one(struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range, unsigned long seq)
{
	return invalidate_start(notifier, range, seq, NULL);
}

static void invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	struct finish *f = container_of(finish, struct finish, finish);
	struct interval *dev = to_device(finish->notifier);

	ledger_call(dev->id, "finish");
	point("callback", dev, __builtin_return_address(0));
	device_unmap(dev->owner->id, f->start, f->end);
	kfree(f);
}

static const struct mmu_interval_notifier_ops one_pass = {
	.invalidate = invalidate_one,
};

static const struct mmu_interval_notifier_ops two_pass = {
	.invalidate_start = invalidate_start,
	.invalidate_finish = invalidate_finish,
};

struct interval *interval_create(unsigned int n, unsigned int first,
				 unsigned int last, unsigned int flags)
{
	struct interval *dev = NEW(struct interval);

	mutex_init(&dev->lock);
	dev->owner = dev;
	dev->flags = flags;
	/* The core initialises it all. */
	memset(&dev->notifier, 0x5a, sizeof(dev->notifier));
	dev->notifier.mm = NULL;
	dev->id = ledger_device(&dev->notifier, true, first, last);
	dev->notifier.interval_tree.start = ADDRESS(first);
	dev->notifier.interval_tree.last = ADDRESS(last + 1) - 1;
	intervals[n] = dev;
	return dev;
}

static int insert(struct interval *dev)
{
	unsigned long start = dev->notifier.interval_tree.start;
	unsigned long size = dev->notifier.interval_tree.last + 1 - start;
	const struct mmu_interval_notifier_ops *ops =
		dev->flags & TWO_PASS ? &two_pass : &one_pass;
	int ret;

	if (!(dev->flags & LOCKED))
		return mmu_interval_notifier_insert(&dev->notifier, mm, start, size, ops);
	mmap_write_lock(mm);
	ret = mmu_interval_notifier_insert_locked(&dev->notifier, mm, start, size, ops);
	mmap_write_unlock(mm);
	return ret;
}

int interval_insert(struct interval *dev)
{
	int ret;

	ledger_comes(dev->id);
	ret = insert(dev);
	if (ret)
		ledger_is_out(dev->id);
	else
		ledger_is_in(dev->id);
	return ret;
}

ORACLE void interval_close(struct interval *dev, bool closed)
{
	dev->closed = closed;
}

struct awaited {
	struct interval *dev;
	unsigned int n;
};

static bool are_called(void *arg)
{
	const struct awaited *a = arg;
	unsigned int i, n = 0;

	for (i = 0; i < MAX_TASKS; i++)
		n += tasks[i].ready == is_open && tasks[i].ready_arg == a->dev;
	return n >= a->n;
}

void interval_await(struct interval *dev, unsigned int n)
{
	struct awaited a = { dev, n };

	block("callbacks", dev, __builtin_return_address(0), are_called, &a);
}

/* Two notifiers of one driver: the memory of the first is the last to go. */
void interval_share(struct interval *dev, struct interval *owner)
{
	dev->owner = owner;
}

static void wait_begins(struct interval *dev)
{
	ledger_wait_begins(dev->notifier.interval_tree.start,
			   dev->notifier.interval_tree.last + 1);
}

static unsigned long read_begin(struct interval *dev)
{
	unsigned long seq;

	wait_begins(dev);
	seq = mmu_interval_read_begin(&dev->notifier);
	ledger_wait_done(0, 0);
	ledger_read_begun(dev->id, &dev->notifier.invalidate_seq, seq);
	return seq;
}

/* False if it was invalidated meanwhile */
static bool map(struct interval *dev, unsigned int page, unsigned long seq)
{
	unsigned long pte = READ_ONCE(mm->pte[page]);
	bool done = false;

	mutex_lock(&dev->owner->lock);
	if (!mmu_interval_read_retry(&dev->notifier, seq)) {
		if (pte)
			device_map(dev->owner->id, page, pte);
		done = true;
	}
	mutex_unlock(&dev->owner->lock);
	return done;
}

/* Maps a page, as the CPU has it. */
bool interval_fault(struct interval *dev, unsigned int page)
{
	return map(dev, page, read_begin(dev));
}

/* Waits and looks, and maps nothing. */
void interval_read(struct interval *dev)
{
	read_begin(dev);
}

int interval_fault_timeout(struct interval *dev, unsigned int page,
			   unsigned long deadline)
{
	unsigned long seq;
	int ret;

	wait_begins(dev);
	ret = mmu_interval_read_begin_timeout(&dev->notifier, &seq, deadline);
	ledger_wait_done(ret, deadline);
	if (ret)
		return ret;
	ledger_read_begun(dev->id, &dev->notifier.invalidate_seq, seq);
	map(dev, page, seq);
	return 0;
}

void interval_drop(struct interval *dev)
{
	mutex_lock(&dev->owner->lock);
	device_unmap(dev->owner->id, 0, ULONG_MAX);
	mutex_unlock(&dev->owner->lock);
}

void interval_remove(struct interval *dev)
{
	ledger_goes(dev->id);
	/* What it has to wait for, the ledger sees in the tree. */
	ledger_wait_begins(0, 0);
	mmu_interval_notifier_remove(&dev->notifier);
	ledger_wait_done(0, 0);
	ledger_is_out(dev->id);
}

void interval_destroy(struct interval *dev)
{
	interval_drop(dev);
	interval_remove(dev);
	kfree(dev);
}
