// SPDX-License-Identifier: GPL-2.0
/*
 * Notifiers whose callbacks do nothing, as many as are asked for, for
 * ./build.sh bench. Builds out of tree, on the base as on the series; one
 * process at a time uses it, and nothing is checked that a test checks.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "../mmu_notifier_bench.h"

#define BENCH_MAX	4096

struct bench_list {
	struct mmu_notifier mn;
	struct rcu_head rcu;
	bool fails;
};

static struct bench_list *lists[BENCH_MAX];
static unsigned int nr_lists;
static struct mmu_interval_notifier *intervals[BENCH_MAX];
static unsigned int nr_intervals;
static unsigned long slow_start, slow_end;
static u64 nap_us;
static atomic_t sleepers;
static bool awake;
static DECLARE_WAIT_QUEUE_HEAD(wq);

static void bench_sleep(void)
{
	atomic_inc(&sleepers);
	wait_event(wq, READ_ONCE(awake));
	atomic_dec(&sleepers);
}

static int bench_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (unlikely(!mmu_notifier_range_blockable(range)))
		return container_of(mn, struct bench_list, mn)->fails ? -EAGAIN : 0;
	if (unlikely(range->start < slow_end && range->end > slow_start)) {
		if (nap_us)
			usleep_range(nap_us, nap_us + 10);
		else
			bench_sleep();
	}
	return 0;
}

static void bench_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
}

static void bench_free(struct mmu_notifier *mn)
{
	kfree(container_of(mn, struct bench_list, mn));
}

static const struct mmu_notifier_ops bench_ops = {
	.invalidate_range_start = bench_start,
	.invalidate_range_end = bench_end,
	.free_notifier = bench_free,
};

/* On the base, who can fail must not have an end. */
static const struct mmu_notifier_ops bench_failing_ops = {
	.invalidate_range_start = bench_start,
	.free_notifier = bench_free,
};

static bool bench_invalidate(struct mmu_interval_notifier *interval,
			     const struct mmu_notifier_range *range, unsigned long seq)
{
	mmu_interval_set_seq(interval, seq);
	return true;
}

static const struct mmu_interval_notifier_ops bench_interval_ops = {
	.invalidate = bench_invalidate,
};

static int bench_lists_on(const struct bench_on *on)
{
	int ret;

	slow_start = on->start;
	slow_end = on->start + on->len;
	WRITE_ONCE(awake, false);
	while (nr_lists < on->count && nr_lists < BENCH_MAX) {
		struct bench_list *list = kzalloc_obj(*list);

		if (!list)
			return -ENOMEM;
		list->fails = on->fail && !nr_lists;
		list->mn.ops = list->fails ? &bench_failing_ops : &bench_ops;
		ret = mmu_notifier_register(&list->mn, current->mm);
		if (ret) {
			kfree(list);
			return ret;
		}
		lists[nr_lists++] = list;
	}
	return 0;
}

static int bench_register(u64 *arg)
{
	struct bench_on on = { .count = nr_lists + 1 };
	u64 before = ktime_get_ns();
	int ret;

	ret = bench_lists_on(&on);
	*arg = ktime_get_ns() - before;
	return ret;
}

#ifdef HAVE_NO_RELEASE
static void bench_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct bench_list, rcu));
}

static void bench_no_release(struct bench_list *list)
{
	mmu_notifier_unregister_no_release(&list->mn, list->mn.mm);
}

static void bench_call_srcu(struct bench_list *list)
{
	bench_no_release(list);
	mmu_notifier_call_srcu(&list->rcu, bench_free_rcu);
}
#endif /* HAVE_NO_RELEASE */

static void bench_unregister(struct bench_list *list)
{
	mmu_notifier_unregister(&list->mn, list->mn.mm);
	kfree(list);
}

static void bench_put(struct bench_list *list)
{
	mmu_notifier_put(&list->mn);
}

static int bench_lists_off(u64 *arg)
{
	static void (*const ways[])(struct bench_list *list) = {
		[BENCH_UNREGISTER] = bench_unregister,
		[BENCH_PUT] = bench_put,
#ifdef HAVE_NO_RELEASE
		[BENCH_CALL_SRCU] = bench_call_srcu,
		[BENCH_NO_RELEASE] = bench_no_release,
#endif
	};
	unsigned int i;
	u64 way = *arg, before;

	if (way >= ARRAY_SIZE(ways) || !ways[way])
		return -EOPNOTSUPP;
	before = ktime_get_ns();
	for (i = 0; i < nr_lists; i++)
		ways[way](lists[i]);
	*arg = ktime_get_ns() - before;
	/* What BENCH_SYNC frees stays known. */
	if (way != BENCH_NO_RELEASE)
		nr_lists = 0;
	return 0;
}

static int bench_sync(u64 *arg)
{
	u64 before = ktime_get_ns();

	mmu_notifier_synchronize();
	*arg = ktime_get_ns() - before;
	while (nr_lists)
		kfree(lists[--nr_lists]);
	return 0;
}

static int bench_intervals_on(const struct bench_on *on)
{
	int ret;

	/* The newest is in use by others as long as nr_intervals says so. */
	while (nr_intervals < on->count && nr_intervals < BENCH_MAX) {
		struct mmu_interval_notifier *interval = kzalloc_obj(*interval);

		if (!interval)
			return -ENOMEM;
		ret = mmu_interval_notifier_insert(interval, current->mm, on->start,
						   on->len, &bench_interval_ops);
		if (ret) {
			kfree(interval);
			return ret;
		}
		intervals[nr_intervals++] = interval;
	}
	return 0;
}

static int bench_remove(u64 *arg)
{
	struct mmu_interval_notifier *interval;
	u64 before;

	if (!nr_intervals)
		return -ENOENT;
	interval = intervals[--nr_intervals];
	before = ktime_get_ns();
	mmu_interval_notifier_remove(interval);
	*arg = ktime_get_ns() - before;
	kfree(interval);
	return 0;
}

static int bench_read_begin(u64 *arg)
{
	u64 before = ktime_get_ns();

	if (!nr_intervals)
		return -ENOENT;
	mmu_interval_read_begin(intervals[nr_intervals - 1]);
	*arg = ktime_get_ns() - before;
	return 0;
}

static long bench_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	union {
		struct bench_on on;
		u64 value;
	} arg = { };
	int ret = 0;

	if (_IOC_TYPE(cmd) != BENCH_IOC || _IOC_SIZE(cmd) > sizeof(arg))
		return -ENOTTY;
	if (_IOC_DIR(cmd) & _IOC_WRITE &&
	    copy_from_user(&arg, (void __user *)uarg, _IOC_SIZE(cmd)))
		return -EFAULT;
	switch (cmd) {
	case BENCH_LISTS:
		ret = bench_lists_on(&arg.on);
		break;
	case BENCH_INTERVALS:
		ret = bench_intervals_on(&arg.on);
		break;
	case BENCH_LISTS_OFF:
		ret = bench_lists_off(&arg.value);
		break;
	case BENCH_SYNC:
		ret = bench_sync(&arg.value);
		break;
	case BENCH_INTERVALS_OFF:
		while (!ret && nr_intervals)
			ret = bench_remove(&arg.value);
		break;
	case BENCH_SLEEPERS:
		arg.value = atomic_read(&sleepers);
		break;
	case BENCH_WAKE:
		WRITE_ONCE(awake, true);
		wake_up_all(&wq);
		break;
	case BENCH_SLEEP:
		WRITE_ONCE(awake, false);
		bench_sleep();
		break;
	case BENCH_READ_BEGIN:
		ret = bench_read_begin(&arg.value);
		break;
	case BENCH_REMOVE:
		ret = bench_remove(&arg.value);
		break;
	case BENCH_REGISTER:
		ret = bench_register(&arg.value);
		break;
	case BENCH_NAP:
		nap_us = arg.value;
		break;
	default:
		return -ENOTTY;
	}
	if (!ret && _IOC_DIR(cmd) & _IOC_READ &&
	    copy_to_user((void __user *)uarg, &arg, _IOC_SIZE(cmd)))
		return -EFAULT;
	return ret;
}

static const struct file_operations bench_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = bench_ioctl,
};

static struct miscdevice bench_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &bench_fops,
};
module_misc_device(bench_device);

MODULE_DESCRIPTION("Notifiers that do nothing, to be counted");
MODULE_LICENSE("GPL");
