// SPDX-License-Identifier: GPL-2.0
/*
 * Test module for mmu notifiers.
 *
 * A process that opens /dev/test_mmu_notifier puts notifiers on its own mm,
 * causes events with ordinary system calls, and asks what the notifiers were
 * called for. The module records and compares; what is right is for
 * tools/testing/selftests/mm/mmu_notifier.c to say.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "test_mmu_notifier_uapi.h"

/* More ranges than this in flight on one notifier are not expected. */
#define TMN_MAX_OPEN	64
/* How long each TMN_F_SLOW_FREE spins; a grace period may need its CPU. */
#define TMN_FREE_LIMIT	(HZ / 100)
/* Nothing waits longer, before anything calls the task hung. */
#define TMN_LIMIT	(120 * HZ)
/* Nor spins longer, before anything calls the CPU stuck. */
#define TMN_SPIN_LIMIT	(5 * HZ)

static bool misuse;
module_param(misuse, bool, 0444);
MODULE_PARM_DESC(misuse, "allow bugs of a driver that make the kernel warn");

/*
 * Many notifiers, without what a slot records of each. What is asked of them is
 * that they are freed: all of them, once, and not while they are in use.
 */
struct tmn_bulk {
	struct tmn_bulk_on cfg;
	struct tmn_file *file;
	/* pinned, to see who else does */
	struct mm_struct *mm;
	struct tmn_many **many;
	unsigned long *taken_off;
	atomic_t left;
	atomic64_t calls;
	atomic64_t releases;
	atomic64_t early;
	u64 off_ns;
	u64 sync_ns;
};

#define TMN_MAGIC	0x746d6e21

/* The object that a driver would embed a notifier in. */
struct tmn_many {
	struct mmu_notifier mn;
	struct rcu_head rcu;
	struct tmn_bulk *bulk;
	unsigned int nr;
	atomic_t running;
	u32 magic;
};

/* An open file: lives until the last notifier that was put on through it. */
struct tmn_file {
	struct kref ref;
	/* protects stuck and closing of the slots, and abandoned of the jobs */
	struct mutex lock;
	struct xarray slots;
	/* whoever waits before a gate, for a gate, or in TMN_HOLD */
	wait_queue_head_t wq;
	int holding;
	bool unhold;
	struct mmu_notifier_ops get_ops;
	struct list_head leftover;
	/* one, set once */
	struct tmn_bulk *bulk;
};

/* A start that has no end yet. */
struct tmn_open {
	const struct mmu_notifier_range *range;
	unsigned long start;
	unsigned long end;
	pid_t tid;
};

/* What is known of one notifier; outlives it, until the file goes. */
struct tmn_slot {
	struct tmn_file *file;
	struct tmn_register cfg;
	/* where it is to be put on; pinned with TMN_F_PREPARE */
	struct mm_struct *mm;
	/* serializes what a driver has to serialize: read, remove */
	struct mutex call;
	bool live;
	/* jobs that nobody waits for any more */
	int stuck;
	/* the last of these has to take the notifier off */
	bool closing;
	unsigned int users;
	union {
		struct tmn_list *list;
		struct tmn_interval *interval;
	};
	struct mmu_notifier_ops ops;
	/* a call that the next callback of a kind makes */
	struct tmn_call armed;
	struct tmn_slot *armed_slot;
	/* the lock of both protocols: collision-retry and two-sided */
	struct mutex user_lock;
	/* under user_lock: page frames, 0 for what is not mapped */
	unsigned long *mirror;
	/* for reading: who maps; for writing: who takes the notifier off */
	struct rw_semaphore mapping;
	struct list_head faults;
	/* faults that were withdrawn, for whom they had to make way */
	unsigned long withdrawn;
	u32 closed;
	atomic_t at_gate;
	atomic64_t secondary;

	/*
	 * protects what follows; taken under page table locks, and where not
	 * even PREEMPT_RT may sleep
	 */
	raw_spinlock_t lock;
	bool off;
	struct tmn_stats stats;
	struct tmn_open open[TMN_MAX_OPEN];
	struct tmn_event *log;
	u32 nr_log;
	u32 lost;
};

/* Apart from the slot, so that KASAN sees a use after it was taken off. */
struct tmn_list {
	struct mmu_notifier mn;
	struct rcu_head rcu;
	struct tmn_slot *slot;
};

struct tmn_interval {
	struct mmu_interval_notifier mni;
	struct tmn_slot *slot;
};

/* A fault of a list notifier's device, from before it reads the page tables. */
struct tmn_fault {
	struct list_head entry;
	unsigned long start;
	unsigned long end;
	bool back_off;
};

struct tmn_finish {
	struct mmu_interval_notifier_finish f;
	struct mmu_notifier_range range;
};

/* A call that may never return, in a thread of its own. */
struct tmn_job {
	struct kref ref;
	struct tmn_slot *slot;
	int (*func)(struct tmn_slot *slot, struct tmn_wait *wait);
	struct tmn_wait wait;
	int ret;
	bool abandoned;
	struct completion done;
};

static atomic64_t tmn_clock;
/* callbacks of struct tmn_many after they were freed */
static atomic64_t tmn_late;
/* free_notifier() calls that are still to come */
static atomic_t tmn_pending = ATOMIC_INIT(0);
/* TMN_SYNCHRONIZE has returned since a notifier with TMN_F_SLOW_FREE was made */
static bool tmn_synchronized;
/* files with notifiers that the module's exit takes off */
static LIST_HEAD(tmn_leftovers);
static DEFINE_MUTEX(tmn_leftovers_lock);
/* hands the slot of a mmu_notifier_get() to its alloc_notifier() */
static DEFINE_MUTEX(tmn_get_lock);
static struct tmn_slot *tmn_get_slot;

static void tmn_slot_free(struct tmn_slot *slot)
{
	if (slot->mm && slot->cfg.flags & TMN_F_PREPARE)
		mmdrop(slot->mm);
	kfree(slot->list);
	kfree(slot->mirror);
	kvfree(slot->log);
	kfree(slot);
}

static void tmn_file_free(struct kref *ref)
{
	struct tmn_file *file = container_of(ref, struct tmn_file, ref);
	struct tmn_slot *slot;
	unsigned long id;

	xa_for_each(&file->slots, id, slot)
		tmn_slot_free(slot);
	xa_destroy(&file->slots);
	if (file->bulk) {
		mmdrop(file->bulk->mm);
		kvfree(file->bulk->many);
		bitmap_free(file->bulk->taken_off);
	}
	kfree(file->bulk);
	kfree(file);
}

static bool tmn_concerns(struct tmn_slot *slot, unsigned long start,
			 unsigned long end)
{
	if (!slot->cfg.start && !slot->cfg.end)
		return true;
	return start < slot->cfg.end && end > slot->cfg.start;
}

/* Records a callback. The caller changes the counters under the same lock. */
static void tmn_log(struct tmn_slot *slot, enum tmn_event_type type,
		    const struct mmu_notifier_range *range, int ret)
{
	struct tmn_event *event;

	lockdep_assert_held(&slot->lock);
	if (slot->off)
		slot->stats.late++;
	if (!tmn_concerns(slot, range->start, range->end))
		return;
	if (slot->nr_log == TMN_LOG_SIZE) {
		slot->lost++;
		return;
	}
	event = &slot->log[slot->nr_log++];
	event->clock = atomic64_inc_return(&tmn_clock);
	event->start = range->start;
	event->end = range->end;
	event->type = type;
	event->reason = range->event;
	event->flags = mmu_notifier_range_blockable(range) ? TMN_EV_BLOCKABLE : 0;
	event->ret = ret;
}

/* Lets a callback wait until user space opens the gate, or the limit is up. */
static void tmn_pass_gate(struct tmn_slot *slot, u32 gate,
			  const struct mmu_notifier_range *range)
{
	if (!(READ_ONCE(slot->closed) & gate) ||
	    !tmn_concerns(slot, range->start, range->end))
		return;
	atomic_inc(&slot->at_gate);
	if (!wait_event_timeout(slot->file->wq,
				!(READ_ONCE(slot->closed) & gate),
				TMN_LIMIT)) {
		pr_err("nobody opened gate %u of notifier %u\n", gate,
		       slot->cfg.id);
		/* Not once more for each callback to come. */
		WRITE_ONCE(slot->closed, 0);
	}
	atomic_dec(&slot->at_gate);
}

/* The same where it may not sleep. */
static void tmn_spin_at_gate(struct tmn_slot *slot)
{
	unsigned long limit = jiffies + TMN_SPIN_LIMIT;

	if (!(READ_ONCE(slot->closed) & TMN_GATE_SPIN))
		return;
	atomic_inc(&slot->at_gate);
	while (READ_ONCE(slot->closed) & TMN_GATE_SPIN && time_before(jiffies, limit))
		cpu_relax();
	if (READ_ONCE(slot->closed) & TMN_GATE_SPIN) {
		pr_err("nobody opened the spinning gate of notifier %u\n",
		       slot->cfg.id);
		WRITE_ONCE(slot->closed, 0);
	}
	atomic_dec(&slot->at_gate);
}

static int tmn_make_call(struct tmn_slot *slot, u32 what);

/* Makes the call that was armed for a callback, once. */
static void tmn_callback(struct tmn_slot *slot, enum tmn_where where)
{
	struct tmn_slot *target = NULL;

	raw_spin_lock(&slot->lock);
	if (slot->armed.where == where) {
		target = slot->armed_slot;
		slot->armed_slot = NULL;
	}
	raw_spin_unlock(&slot->lock);
	if (target)
		tmn_make_call(target, slot->armed.what);
}

static int tmn_wanted_failure(struct tmn_slot *slot,
			      const struct mmu_notifier_range *range)
{
	u32 flag = mmu_notifier_range_blockable(range) ? TMN_F_FAIL_BLOCK :
							 TMN_F_FAIL_NONBLOCK;

	/* Nobody asks at exit. */
	if (range->event == MMU_NOTIFY_RELEASE)
		return 0;
	return slot->cfg.flags & flag ? -EAGAIN : 0;
}

static void tmn_unmap(struct tmn_slot *slot, unsigned long start, unsigned long end)
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
static int tmn_mirror_start(struct tmn_slot *slot, const struct mmu_notifier_range *range)
{
	bool blockable = mmu_notifier_range_blockable(range);
	unsigned long withdrawn;

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
		wait_event(slot->file->wq, READ_ONCE(slot->withdrawn) != withdrawn);
		mutex_lock(&slot->user_lock);
	}
	tmn_unmap(slot, range->start, range->end);
	mutex_unlock(&slot->user_lock);
	return 0;
}

static struct tmn_slot *tmn_slot_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct tmn_list, mn)->slot;
}

/* Whether the kernel would notice if a callback slept where it may not. */
static void tmn_check_context(const struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range))
		might_sleep();
#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
	else
		WARN_ON_ONCE(!current->non_block_count);
#endif
}

static int tmn_start(struct mmu_notifier *mn,
		     const struct mmu_notifier_range *range)
{
	struct tmn_slot *slot = tmn_slot_of(mn);
	int i = slot->cfg.ops & TMN_OP_END ? 0 : TMN_MAX_OPEN;
	int ret = tmn_wanted_failure(slot, range);

	tmn_check_context(range);
	if (!tmn_concerns(slot, range->start, range->end))
		return 0;
	if (!ret)
		ret = tmn_mirror_start(slot, range);

	raw_spin_lock(&slot->lock);
	if (ret) {
		slot->stats.failed++;
		/* The caller that may block is going to call end all the same. */
		if (!mmu_notifier_range_blockable(range))
			i = TMN_MAX_OPEN;
	} else {
		slot->stats.starts++;
	}
	for (; i < TMN_MAX_OPEN; i++) {
		if (slot->open[i].range)
			continue;
		slot->open[i].range = range;
		slot->open[i].start = range->start;
		slot->open[i].end = range->end;
		slot->open[i].tid = current->pid;
		slot->stats.open++;
		break;
	}
	tmn_log(slot, TMN_EV_START, range, ret);
	raw_spin_unlock(&slot->lock);

	if (!mmu_notifier_range_blockable(range))
		tmn_spin_at_gate(slot);
	else if (!ret)
		tmn_pass_gate(slot, TMN_GATE_START, range);
	if (mmu_notifier_range_blockable(range))
		tmn_callback(slot, TMN_IN_START);
	return ret;
}

static void tmn_end(struct mmu_notifier *mn,
		    const struct mmu_notifier_range *range)
{
	struct tmn_slot *slot = tmn_slot_of(mn);
	struct tmn_open *match = NULL;
	int i;

	tmn_check_context(range);
	if (!tmn_concerns(slot, range->start, range->end))
		return;

	raw_spin_lock(&slot->lock);
	slot->stats.ends++;
	for (i = 0; i < TMN_MAX_OPEN; i++) {
		struct tmn_open *open = &slot->open[i];

		if (open->range == range && open->tid == current->pid &&
		    open->start == range->start && open->end == range->end)
			match = open;
	}
	if (match) {
		/*
		 * Ranges of one thread nest, and live on its stack: an inner
		 * one is at a lower address wherever the stack grows down.
		 */
		for (i = 0; !IS_ENABLED(CONFIG_STACK_GROWSUP) && i < TMN_MAX_OPEN; i++)
			if (slot->open[i].range && slot->open[i].range < range &&
			    slot->open[i].tid == current->pid)
				slot->stats.not_nested++;
		match->range = NULL;
		slot->stats.open--;
	} else {
		slot->stats.unmatched++;
	}
	tmn_log(slot, TMN_EV_END, range, 0);
	raw_spin_unlock(&slot->lock);
	if (mmu_notifier_range_blockable(range))
		tmn_callback(slot, TMN_IN_END);
}

static void tmn_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct tmn_slot *slot = tmn_slot_of(mn);
	const struct mmu_notifier_range range = {
		.mm = mm,
		.end = ULONG_MAX,
		.flags = MMU_NOTIFIER_RANGE_BLOCKABLE,
		.event = MMU_NOTIFY_RELEASE,
	};

	might_sleep();
	/* Nobody maps any more: no users of the mm, or being taken off. */
	tmn_mirror_start(slot, &range);
	if (!atomic_read(&slot->at_gate))
		tmn_pass_gate(slot, TMN_GATE_RELEASE, &range);
	raw_spin_lock(&slot->lock);
	slot->stats.releases++;
	slot->stats.release_anon = get_mm_counter_sum(mm, MM_ANONPAGES);
	tmn_log(slot, TMN_EV_RELEASE, &range, 0);
	raw_spin_unlock(&slot->lock);
	tmn_callback(slot, TMN_IN_RELEASE);
}

static bool tmn_young(struct mmu_notifier *mn, unsigned long start,
		      unsigned long end, u64 *counter)
{
	struct tmn_slot *slot = tmn_slot_of(mn);
	const struct mmu_notifier_range range = { .start = start, .end = end };

	raw_spin_lock(&slot->lock);
	if (tmn_concerns(slot, start, end))
		++*counter;
	tmn_log(slot, TMN_EV_YOUNG, &range, 0);
	raw_spin_unlock(&slot->lock);
	return false;
}

static bool tmn_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
				  unsigned long start, unsigned long end)
{
	return tmn_young(mn, start, end, &tmn_slot_of(mn)->stats.flush_young);
}

static bool tmn_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			    unsigned long start, unsigned long end)
{
	return tmn_young(mn, start, end, &tmn_slot_of(mn)->stats.clear_young);
}

static bool tmn_test_young(struct mmu_notifier *mn, struct mm_struct *mm,
			   unsigned long address)
{
	return tmn_young(mn, address, address + 1,
			 &tmn_slot_of(mn)->stats.test_young);
}

/* Can be called where nothing may sleep. */
static void tmn_secondary(struct mmu_notifier *mn, struct mm_struct *mm,
			  unsigned long start, unsigned long end)
{
	atomic64_inc(&tmn_slot_of(mn)->secondary);
}

static struct mmu_notifier *tmn_alloc_notifier(struct mm_struct *mm)
{
	lockdep_assert_held(&tmn_get_lock);
	return &tmn_get_slot->list->mn;
}

/* Many of these take longer than a TMN_SYNCHRONIZE that does not wait for them. */
static void tmn_await_synchronize(void)
{
	unsigned long limit = jiffies + TMN_FREE_LIMIT;

	while (!READ_ONCE(tmn_synchronized) && time_before(jiffies, limit))
		mdelay(1);
}

static void tmn_list_free(struct tmn_list *list)
{
	struct tmn_slot *slot = list->slot;
	struct tmn_file *file = slot->file;

	/* Never registered: mmu_notifier_get() is failing. */
	if (READ_ONCE(tmn_get_slot) == slot)
		return;
	if (slot->cfg.flags & TMN_F_SLOW_FREE)
		tmn_await_synchronize();
	tmn_callback(slot, TMN_IN_FREE);
	raw_spin_lock(&slot->lock);
	slot->stats.frees++;
	slot->off = true;
	raw_spin_unlock(&slot->lock);
	slot->list = NULL;
	kfree(list);
	kref_put(&file->ref, tmn_file_free);
	atomic_dec(&tmn_pending);
}

static void tmn_free_notifier(struct mmu_notifier *mn)
{
	tmn_list_free(container_of(mn, struct tmn_list, mn));
}

static void tmn_free_rcu(struct rcu_head *rcu)
{
	tmn_list_free(container_of(rcu, struct tmn_list, rcu));
}

/* The first pass, and the only one of TMN_INTERVAL. */
static bool tmn_invalidate_common(struct mmu_interval_notifier *mni,
				  const struct mmu_notifier_range *range,
				  unsigned long cur_seq)
{
	struct tmn_slot *slot = container_of(mni, struct tmn_interval, mni)->slot;
	bool blockable = mmu_notifier_range_blockable(range);
	int ret = tmn_wanted_failure(slot, range);

	if (blockable)
		mutex_lock(&slot->user_lock);
	else if (!ret && !mutex_trylock(&slot->user_lock))
		ret = -EAGAIN;
	if (blockable || !ret) {
		mmu_interval_set_seq(mni, cur_seq);
		tmn_unmap(slot, range->start, range->end);
		mutex_unlock(&slot->user_lock);
	}

	raw_spin_lock(&slot->lock);
	if (ret)
		slot->stats.failed++;
	else
		slot->stats.starts++;
	/* "The provided cur_seq will always be odd." */
	if (!(cur_seq & 1))
		slot->stats.unmatched++;
	tmn_log(slot, TMN_EV_INVALIDATE, range, ret);
	raw_spin_unlock(&slot->lock);

	if (!ret && blockable)
		tmn_pass_gate(slot, TMN_GATE_START, range);
	if (blockable && range->event != MMU_NOTIFY_RELEASE)
		tmn_callback(slot, TMN_IN_INVALIDATE);
	return !ret;
}

static bool tmn_invalidate(struct mmu_interval_notifier *mni,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq)
{
	return tmn_invalidate_common(mni, range, cur_seq);
}

static bool tmn_invalidate_start(struct mmu_interval_notifier *mni,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq,
				 struct mmu_interval_notifier_finish **finish)
{
	struct tmn_slot *slot = container_of(mni, struct tmn_interval, mni)->slot;
	struct tmn_finish *tf;

	if (!tmn_invalidate_common(mni, range, cur_seq))
		return false;
	/* Without memory this was all there is to do. */
	tf = kmalloc_obj(*tf, GFP_NOWAIT);
	if (tf) {
		/* Not what links it, which others change. */
		tf->range = (struct mmu_notifier_range){
			.mm = range->mm,
			.start = range->start,
			.end = range->end,
			.flags = range->flags,
			.event = range->event,
		};
		*finish = &tf->f;
	} else {
		raw_spin_lock(&slot->lock);
		slot->stats.absorbed++;
		raw_spin_unlock(&slot->lock);
	}
	return true;
}

static void tmn_invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	struct tmn_finish *tf = container_of(finish, struct tmn_finish, f);
	struct tmn_slot *slot = container_of(finish->notifier,
					     struct tmn_interval, mni)->slot;

	if (mmu_notifier_range_blockable(&tf->range))
		tmn_pass_gate(slot, TMN_GATE_FINISH, &tf->range);
	raw_spin_lock(&slot->lock);
	slot->stats.finishes++;
	tmn_log(slot, TMN_EV_FINISH, &tf->range, 0);
	raw_spin_unlock(&slot->lock);
	kfree(tf);
}

static const struct mmu_interval_notifier_ops tmn_interval_ops = {
	.invalidate = tmn_invalidate,
};

static const struct mmu_interval_notifier_ops tmn_two_pass_ops = {
	.invalidate_start = tmn_invalidate_start,
	.invalidate_finish = tmn_invalidate_finish,
};

/* What a driver could forget. */
static const struct mmu_notifier_ops tmn_no_alloc_ops = {
	.free_notifier = tmn_free_notifier,
};

static const struct mmu_notifier_ops tmn_no_free_ops = {
	.alloc_notifier = tmn_alloc_notifier,
};

static const struct mmu_interval_notifier_ops tmn_empty_ops = { };

static const struct mmu_interval_notifier_ops tmn_no_finish_ops = {
	.invalidate_start = tmn_invalidate_start,
};

static bool tmn_is_interval(const struct tmn_register *cfg)
{
	return cfg->kind == TMN_INTERVAL || cfg->kind == TMN_INTERVAL_TWO_PASS;
}

static void tmn_fill_ops(struct mmu_notifier_ops *ops, const struct tmn_register *cfg)
{
	if (cfg->ops & TMN_OP_START)
		ops->invalidate_range_start = tmn_start;
	if (cfg->ops & TMN_OP_END)
		ops->invalidate_range_end = tmn_end;
	if (cfg->ops & TMN_OP_RELEASE)
		ops->release = tmn_release;
	if (cfg->ops & TMN_OP_CLEAR_FLUSH_YOUNG)
		ops->clear_flush_young = tmn_clear_flush_young;
	if (cfg->ops & TMN_OP_CLEAR_YOUNG)
		ops->clear_young = tmn_clear_young;
	if (cfg->ops & TMN_OP_TEST_YOUNG)
		ops->test_young = tmn_test_young;
	if (cfg->ops & TMN_OP_SECONDARY)
		ops->arch_invalidate_secondary_tlbs = tmn_secondary;
	if (cfg->kind == TMN_LIST_PUT || cfg->kind == TMN_LIST_GET)
		ops->free_notifier = tmn_free_notifier;
	if (cfg->kind == TMN_LIST_GET)
		ops->alloc_notifier = tmn_alloc_notifier;
	ops->track_ranges = cfg->flags & TMN_F_TRACK;
}

static struct tmn_slot *tmn_slot_alloc(struct tmn_file *file,
				       const struct tmn_register *cfg)
{
	struct tmn_slot *slot = kzalloc_obj(*slot);

	if (!slot)
		return NULL;
	slot->file = file;
	slot->cfg = *cfg;
	mutex_init(&slot->call);
	mutex_init(&slot->user_lock);
	raw_spin_lock_init(&slot->lock);
	init_rwsem(&slot->mapping);
	INIT_LIST_HEAD(&slot->faults);
	tmn_fill_ops(&slot->ops, cfg);
	if (cfg->flags & TMN_F_MIRROR)
		slot->mirror = kcalloc(TMN_MIRROR_MAX, sizeof(*slot->mirror), GFP_KERNEL);
	slot->log = kvcalloc(TMN_LOG_SIZE, sizeof(*slot->log), GFP_KERNEL);
	if (tmn_is_interval(cfg))
		slot->interval = kzalloc_obj(*slot->interval);
	else
		slot->list = kzalloc_obj(*slot->list);
	if (!slot->log || !slot->list ||
	    (cfg->flags & TMN_F_MIRROR && !slot->mirror)) {
		tmn_slot_free(slot);
		return NULL;
	}
	if (tmn_is_interval(cfg)) {
		/* Drivers insert again what they have removed. */
		memset(&slot->interval->mni, 0xa5, sizeof(slot->interval->mni));
		slot->interval->mni.mm = NULL;
		slot->interval->slot = slot;
	} else {
		slot->list->slot = slot;
	}
	return slot;
}

static bool tmn_is_bare(u32 what)
{
	return what == TMN_DO_PUT_ON_BARE || what == TMN_DO_PUT_ON_LOCKED_BARE;
}

static bool tmn_is_locked(u32 what)
{
	return what == TMN_DO_PUT_ON_LOCKED || what == TMN_DO_PUT_ON_LOCKED_BARE;
}

/* mmu_notifier_get(), which may give the notifier of another slot. */
static int tmn_get(struct tmn_slot **slot, u32 what)
{
	struct tmn_file *file = (*slot)->file;
	const struct mmu_notifier_ops *ops = &file->get_ops;
	struct mmu_notifier *mn;

	/* Not mutex_lock(): where it may not sleep, the kernel is to say so. */
	if (!mutex_trylock(&tmn_get_lock))
		return -EBUSY;
	tmn_fill_ops(&file->get_ops, &(*slot)->cfg);
	if (what == TMN_DO_PUT_ON_NO_FIRST)
		ops = &tmn_no_alloc_ops;
	if (what == TMN_DO_PUT_ON_NO_LAST)
		ops = &tmn_no_free_ops;
	if (tmn_is_bare(what))
		ops = NULL;
	WRITE_ONCE(tmn_get_slot, *slot);
	if (tmn_is_locked(what))
		mn = mmu_notifier_get_locked(ops, (*slot)->mm);
	else
		mn = mmu_notifier_get(ops, (*slot)->mm);
	WRITE_ONCE(tmn_get_slot, NULL);
	if (!IS_ERR(mn)) {
		*slot = tmn_slot_of(mn);
		raw_spin_lock(&(*slot)->lock);
		(*slot)->users++;
		raw_spin_unlock(&(*slot)->lock);
	}
	mutex_unlock(&tmn_get_lock);
	return PTR_ERR_OR_ZERO(mn);
}

static int tmn_insert(struct tmn_slot *slot, u32 what)
{
	const struct mmu_interval_notifier_ops *ops = &tmn_interval_ops;
	struct mmu_interval_notifier *mni = &slot->interval->mni;
	unsigned long start = slot->cfg.start, len = slot->cfg.end - start;
	int ret;

	if (slot->cfg.kind == TMN_INTERVAL_TWO_PASS)
		ops = &tmn_two_pass_ops;
	if (what == TMN_DO_PUT_ON_NO_FIRST)
		ops = &tmn_empty_ops;
	if (what == TMN_DO_PUT_ON_NO_LAST)
		ops = &tmn_no_finish_ops;
	if (tmn_is_bare(what))
		ops = NULL;
	if (tmn_is_locked(what))
		ret = mmu_interval_notifier_insert_locked(mni, slot->mm, start, len, ops);
	else
		ret = mmu_interval_notifier_insert(mni, slot->mm, start, len, ops);
	/* Drivers take it for one that has to be removed. */
	if (ret && mni->mm)
		return -EUCLEAN;
	return ret;
}

static int tmn_put_on(struct tmn_slot **slot, u32 what)
{
	struct mmu_notifier *mn = &(*slot)->list->mn;

	if ((*slot)->cfg.kind == TMN_LIST_GET)
		return tmn_get(slot, what);
	if (tmn_is_interval(&(*slot)->cfg))
		return tmn_insert(*slot, what);
	if (what != TMN_DO_PUT_ON_AGAIN)
		(*slot)->users = 1;
	mn->ops = tmn_is_bare(what) ? NULL : &(*slot)->ops;
	if (tmn_is_locked(what))
		return __mmu_notifier_register(mn, (*slot)->mm);
	return mmu_notifier_register(mn, (*slot)->mm);
}

static int tmn_try_to_put_on(struct tmn_slot **slot, u32 what)
{
	struct tmn_slot *mine = *slot;
	int ret;

	/* Before the call, since callbacks can come before it returns. */
	kref_get(&mine->file->ref);
	mine->live = true;
	ret = tmn_put_on(slot, what);
	if (ret || *slot != mine) {
		mine->live = false;
		kref_put(&mine->file->ref, tmn_file_free);
	}
	return ret;
}

/* With a user that the caller drops. */
static struct mm_struct *tmn_mm_of(pid_t nr)
{
	struct task_struct *leader, *task;
	struct mm_struct *mm = NULL;

	if (!nr)
		return get_task_mm(current);
	rcu_read_lock();
	leader = pid_task(find_vpid(nr), PIDTYPE_TGID);
	/*
	 * The leader of a victim may have left its mm. for_each_thread() names
	 * tasklist_lock with PROVE_RCU_LIST, which modules do not have.
	 */
	for (task = leader; task && !mm; task = __next_thread(task))
		mm = get_task_mm(task);
	rcu_read_unlock();
	return mm;
}

static bool tmn_can_mirror(const struct tmn_register *cfg)
{
	return (tmn_is_interval(cfg) ||
		(cfg->flags & TMN_F_TRACK && cfg->ops & TMN_OP_START)) &&
	       PAGE_ALIGNED(cfg->start) &&
	       cfg->end - cfg->start <= TMN_MIRROR_MAX * PAGE_SIZE;
}

static int tmn_register(struct tmn_file *file, void *arg)
{
	struct tmn_register *cfg = arg;
	struct tmn_slot *slot, *mine;
	int ret;

	if (cfg->kind >= TMN_NR_KINDS || cfg->ops & ~(TMN_OP_ALL | TMN_OP_SECONDARY) ||
	    cfg->flags & ~TMN_F_ALL || cfg->start > cfg->end ||
	    (tmn_is_interval(cfg) && cfg->ops) ||
	    (cfg->kind == TMN_LIST_GET && cfg->ops != TMN_OP_ALL) ||
	    (tmn_is_interval(cfg) && cfg->flags & TMN_F_TRACK) ||
	    (cfg->flags & TMN_F_MIRROR && !tmn_can_mirror(cfg)))
		return -EINVAL;
	if (!misuse && (cfg->flags & TMN_F_FAIL_BLOCK ||
			(cfg->ops & TMN_OP_SECONDARY && cfg->ops & TMN_OP_PAIR)))
		return -EPERM;

	mine = tmn_slot_alloc(file, cfg);
	if (!mine)
		return -ENOMEM;
	if (cfg->flags & TMN_F_SLOW_FREE)
		WRITE_ONCE(tmn_synchronized, false);
	mine->mm = tmn_mm_of(cfg->pid);
	if (!mine->mm) {
		tmn_slot_free(mine);
		return -ESRCH;
	}
	if (cfg->flags & TMN_F_PREPARE)
		mmgrab(mine->mm);
	slot = mine;
	mutex_lock(&mine->call);
	ret = xa_alloc(&file->slots, &mine->cfg.id, mine, XA_LIMIT(1, INT_MAX),
		       GFP_KERNEL);
	if (ret) {
		mutex_unlock(&mine->call);
		mmput(mine->mm);
		tmn_slot_free(mine);
		return ret;
	}
	if (cfg->flags & TMN_F_AWAIT_SIGNAL &&
	    !wait_event_interruptible_timeout(file->wq, false, TMN_LIMIT))
		ret = -ETIME;

	if (!ret && !(cfg->flags & TMN_F_PREPARE))
		ret = tmn_try_to_put_on(&slot, TMN_DO_PUT_ON);
	if (ret || slot != mine) {
		/* The slot stays until the file goes, somebody may look at it. */
		kfree(mine->list);
		mine->list = NULL;
	}
	cfg->id = slot->cfg.id;
	mutex_unlock(&mine->call);
	mmput(mine->mm);
	return ret;
}

/* The slot is over with the last put, and with any no_release. */
static int tmn_put(struct tmn_slot *slot)
{
	struct tmn_list *list = slot->list;
	unsigned int users;

	raw_spin_lock(&slot->lock);
	users = slot->users;
	if (users)
		slot->users--;
	raw_spin_unlock(&slot->lock);
	if (!users)
		return -ENOENT;
	if (users == 1)
		atomic_inc(&tmn_pending);
	if (slot->cfg.kind == TMN_LIST_CALL) {
		mmu_notifier_unregister_no_release(&list->mn, list->mn.mm);
		mmu_notifier_call_srcu(&list->rcu, tmn_free_rcu);
	} else {
		mmu_notifier_put(&list->mn);
	}
	return 0;
}

/* The kernel does not know it any more. */
static void tmn_forget(struct tmn_slot *slot)
{
	struct tmn_file *file = slot->file;

	raw_spin_lock(&slot->lock);
	slot->off = true;
	slot->live = false;
	raw_spin_unlock(&slot->lock);
	kfree(slot->list);
	slot->list = NULL;
	kref_put(&file->ref, tmn_file_free);
}

static int tmn_take_off(struct tmn_slot *slot, struct tmn_wait *wait)
{
	if (!slot->live)
		return -ENOENT;
	if (slot->cfg.kind != TMN_LIST && !tmn_is_interval(&slot->cfg))
		return tmn_put(slot);

	/* Whoever maps has to be done first, that is for the driver to see to. */
	if (!down_write_trylock(&slot->mapping))
		return -EBUSY;
	if (tmn_is_interval(&slot->cfg))
		mmu_interval_notifier_remove(&slot->interval->mni);
	else
		mmu_notifier_unregister(&slot->list->mn, slot->list->mn.mm);
	tmn_forget(slot);
	up_write(&slot->mapping);
	return 0;
}

static int tmn_read_begin(struct tmn_slot *slot, struct tmn_wait *wait)
{
	if (!slot->live || !tmn_is_interval(&slot->cfg))
		return -ENOENT;
	wait->seq = mmu_interval_read_begin(&slot->interval->mni);
	return 0;
}

static int tmn_read_retry(struct tmn_slot *slot, struct tmn_wait *wait)
{
	int ret;

	if (!slot->live || !tmn_is_interval(&slot->cfg))
		return -ENOENT;
	mutex_lock(&slot->user_lock);
	ret = mmu_interval_read_retry(&slot->interval->mni, wait->seq);
	mutex_unlock(&slot->user_lock);
	return ret;
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
	int ret = 0;

	mmu_notifier_range_wait_valid(current->mm, fault.start, fault.end);
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
	int ret = 0;

	seq = mmu_interval_read_begin(mni);
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
		if (tmn_is_interval(&slot->cfg))
			ret = tmn_map_interval(slot, map->addr, mirror);
		else
			ret = tmn_map_list(slot, map->addr, mirror);
	} while (ret == -EAGAIN && time_before(jiffies, limit) && !signal_pending(current));
	return ret;
}

static int tmn_map(struct tmn_slot *slot, const struct tmn_page *map)
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
 * While we have the lock, whoever invalidates what is mapped stands before it,
 * and has changed nothing yet: the page tables have the page that we have. What
 * the CPU counts there lies between what is there before and after. But its TLB
 * is flushed after the end of an invalidation, so it can be behind the page
 * tables for a moment; and a look-up can fail while an accessed bit is set.
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

static int tmn_check(struct tmn_slot *slot, const struct tmn_page *check)
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

/* What a driver must not do. */
static int tmn_unregister_here(struct tmn_slot *slot)
{
	mmu_notifier_unregister(&slot->list->mn, current->mm);
	if (slot->live)
		tmn_forget(slot);
	return 0;
}

/* The memory stays linked, and is never freed. */
static int tmn_drop_mm(struct tmn_slot *slot)
{
	slot->live = false;
	slot->list = NULL;
	mmdrop(slot->mm);
	return 0;
}

static int tmn_do(struct tmn_slot *slot, u32 what)
{
	struct tmn_wait wait = { };

	if (what != TMN_DO_SYNCHRONIZE && !slot->list)
		return -ENOENT;
	switch (what) {
	case TMN_DO_PUT_ON:
	case TMN_DO_PUT_ON_LOCKED:
	case TMN_DO_PUT_ON_BARE:
	case TMN_DO_PUT_ON_LOCKED_BARE:
	case TMN_DO_PUT_ON_NO_FIRST:
	case TMN_DO_PUT_ON_NO_LAST:
		return slot->live ? -EBUSY : tmn_try_to_put_on(&slot, what);
	case TMN_DO_PUT_ON_AGAIN:
		return slot->live ? tmn_put_on(&slot, what) : -ENOENT;
	case TMN_DO_TAKE_OFF:
		return tmn_take_off(slot, &wait);
	case TMN_DO_READ_BEGIN:
		return tmn_read_begin(slot, &wait);
	case TMN_DO_SYNCHRONIZE:
		mmu_notifier_synchronize();
		return 0;
	case TMN_DO_IS_VALID:
		return mmu_notifier_range_is_valid(slot->mm, slot->cfg.start,
						   slot->cfg.end);
	case TMN_DO_WAIT_VALID:
		mmu_notifier_range_wait_valid(slot->mm, slot->cfg.start,
					      slot->cfg.end);
		return 0;
	case TMN_DO_UNREGISTER_HERE:
		return tmn_unregister_here(slot);
	case TMN_DO_DROP_MM:
		return tmn_drop_mm(slot);
	}
	return -EINVAL;
}

/* Without the lock of the slot, which must not be what a callback waits for. */
static int tmn_make_call(struct tmn_slot *slot, u32 what)
{
	int ret;

	raw_spin_lock(&slot->lock);
	slot->stats.calls++;
	raw_spin_unlock(&slot->lock);
	ret = tmn_do(slot, what);
	raw_spin_lock(&slot->lock);
	slot->stats.call_ret = ret;
	raw_spin_unlock(&slot->lock);
	return ret;
}

/* The table of Documentation/mm/mmu_notifier.rst. */
static bool tmn_is_legal(struct tmn_slot *slot, enum tmn_what what, enum tmn_where where)
{
	bool interval = tmn_is_interval(&slot->cfg);

	switch (what) {
	case TMN_DO_PUT_ON:
	case TMN_DO_SYNCHRONIZE:
		return where == TMN_IN_PROCESS;
	case TMN_DO_PUT_ON_LOCKED:
		return where == TMN_IN_MMAP_WRITE;
	case TMN_DO_IS_VALID:
		return interval || slot->cfg.flags & TMN_F_TRACK;
	case TMN_DO_WAIT_VALID:
		return (interval || slot->cfg.flags & TMN_F_TRACK) &&
		       (where <= TMN_IN_MMAP_WRITE || where == TMN_IN_RELEASE);
	case TMN_DO_TAKE_OFF:
		if (!interval)
			return where == TMN_IN_PROCESS || slot->cfg.kind != TMN_LIST;
		fallthrough;
	case TMN_DO_READ_BEGIN:
		return where <= TMN_IN_MMAP_WRITE || where == TMN_IN_RELEASE;
	default:
		return false;
	}
}

static int tmn_call_from(struct tmn_file *file, const struct tmn_call *call)
{
	struct tmn_slot *slot = xa_load(&file->slots, call->id);
	struct tmn_slot *from = xa_load(&file->slots, call->from);
	int ret;

	if (!slot || (call->where >= TMN_IN_START && !from))
		return -ENOENT;
	if (call->what >= TMN_NR_WHAT || call->where >= TMN_NR_WHERE)
		return -EINVAL;
	if (!misuse && !tmn_is_legal(slot, call->what, call->where))
		return -EPERM;
	switch (call->where) {
	case TMN_IN_PROCESS:
		return tmn_make_call(slot, call->what);
	case TMN_IN_MMAP_READ:
		mmap_read_lock(current->mm);
		ret = tmn_make_call(slot, call->what);
		mmap_read_unlock(current->mm);
		return ret;
	case TMN_IN_MMAP_WRITE:
		mmap_write_lock(current->mm);
		ret = tmn_make_call(slot, call->what);
		mmap_write_unlock(current->mm);
		return ret;
	default:
		raw_spin_lock(&from->lock);
		from->armed = *call;
		from->armed_slot = slot;
		raw_spin_unlock(&from->lock);
		return 0;
	}
}

static long tmn_limit(const struct tmn_wait *wait)
{
	return min_t(unsigned long, msecs_to_jiffies(wait->timeout_ms), TMN_LIMIT);
}

static void tmn_job_free(struct kref *ref)
{
	kfree(container_of(ref, struct tmn_job, ref));
}

static int tmn_call(struct tmn_slot *slot, struct tmn_wait *wait,
		    int (*func)(struct tmn_slot *slot, struct tmn_wait *wait))
{
	int ret;

	if (!mutex_trylock(&slot->call))
		return -EBUSY;
	ret = func(slot, wait);
	mutex_unlock(&slot->call);
	return ret;
}

/* Once for each mmu_notifier_get(). Nobody else has the slot any more. */
static void tmn_take_off_all(struct tmn_slot *slot)
{
	struct tmn_wait wait = { };

	while (!tmn_take_off(slot, &wait))
		;
}

static int tmn_job_thread(void *data)
{
	struct tmn_job *job = data;
	struct tmn_slot *slot = job->slot;
	struct tmn_file *file = slot->file;
	bool last = false;

	job->ret = tmn_call(slot, &job->wait, job->func);

	mutex_lock(&file->lock);
	complete(&job->done);
	if (job->abandoned)
		last = !--slot->stuck && slot->closing;
	mutex_unlock(&file->lock);
	kref_put(&job->ref, tmn_job_free);
	if (last)
		tmn_take_off_all(slot);
	kref_put(&file->ref, tmn_file_free);
	module_put_and_kthread_exit(0);
}

/* Runs func with a time limit: what never returns must not take us along. */
static int tmn_call_timed(struct tmn_slot *slot, struct tmn_wait *wait,
			  int (*func)(struct tmn_slot *slot, struct tmn_wait *wait))
{
	struct tmn_file *file = slot->file;
	struct tmn_job *job = kzalloc_obj(*job);
	struct task_struct *task;
	int ret = -ETIMEDOUT;

	if (!job)
		return -ENOMEM;
	kref_init(&job->ref);
	init_completion(&job->done);
	job->slot = slot;
	job->func = func;
	job->wait = *wait;

	kref_get(&job->ref);
	kref_get(&file->ref);
	__module_get(THIS_MODULE);
	task = kthread_run(tmn_job_thread, job, "tmn_job");
	if (IS_ERR(task)) {
		module_put(THIS_MODULE);
		kref_put(&file->ref, tmn_file_free);
		kref_put(&job->ref, tmn_job_free);
		ret = PTR_ERR(task);
		goto out;
	}
	if (!wait_for_completion_timeout(&job->done, tmn_limit(wait))) {
		mutex_lock(&file->lock);
		job->abandoned = !completion_done(&job->done);
		slot->stuck += job->abandoned;
		mutex_unlock(&file->lock);
		if (job->abandoned) {
			pr_err("%ps of notifier %u did not return in %u ms\n",
			       func, slot->cfg.id, wait->timeout_ms);
			goto out;
		}
	}
	*wait = job->wait;
	ret = job->ret;
out:
	kref_put(&job->ref, tmn_job_free);
	return ret;
}

/* Polls: who is at a gate where it may not sleep can wake nobody on PREEMPT_RT. */
static int tmn_at_gate(struct tmn_file *file, struct tmn_wait *wait)
{
	struct tmn_slot *slot = xa_load(&file->slots, wait->id);
	unsigned long limit = jiffies + tmn_limit(wait);

	if (wait->id && !slot)
		return -ENOENT;
	while (!(slot ? atomic_read(&slot->at_gate) : READ_ONCE(file->holding))) {
		if (time_after(jiffies, limit))
			return -ETIMEDOUT;
		if (msleep_interruptible(1))
			return -EINTR;
	}
	return 0;
}

static int tmn_hold(struct tmn_file *file, struct tmn_wait *wait)
{
	bool unheld;

	mutex_lock(&file->lock);
	WRITE_ONCE(file->holding, file->holding + 1);
	mutex_unlock(&file->lock);
	unheld = wait_event_timeout(file->wq, READ_ONCE(file->unhold),
				    tmn_limit(wait));
	mutex_lock(&file->lock);
	WRITE_ONCE(file->holding, file->holding - 1);
	mutex_unlock(&file->lock);
	return unheld ? 0 : -ETIMEDOUT;
}

static int tmn_events(struct tmn_slot *slot, struct tmn_events *events)
{
	u32 count;

	/* The log only grows, what is below nr_log does not change. */
	raw_spin_lock(&slot->lock);
	count = slot->nr_log;
	events->lost = slot->lost;
	raw_spin_unlock(&slot->lock);
	events->count = min(count, events->max);
	if (copy_to_user(u64_to_user_ptr(events->buffer), slot->log,
			 events->count * sizeof(*slot->log)))
		return -EFAULT;
	return 0;
}

static void tmn_stats(struct tmn_slot *slot, struct tmn_stats *stats)
{
	u32 id = slot->cfg.id;

	raw_spin_lock(&slot->lock);
	*stats = slot->stats;
	raw_spin_unlock(&slot->lock);
	stats->id = id;
	stats->secondary = atomic64_read(&slot->secondary);
}

static void tmn_mm(struct tmn_file *file, struct tmn_mm *mm)
{
	struct tmn_slot *slot;
	unsigned long id;

	mm->count = atomic_read(&current->mm->mm_count);
	mm->notifiers = 0;
	xa_for_each(&file->slots, id, slot)
		mm->notifiers += slot->live && !slot->off;
}

/*
 * Free one. The last one takes the bulk along, so nothing of it can be used
 * after this, but by who holds the file.
 */
static void tmn_many_free(struct tmn_many *many)
{
	struct tmn_bulk *bulk = many->bulk;
	struct tmn_file *file = bulk->file;

	if (atomic_read(&many->running))
		atomic64_inc(&bulk->early);
	WRITE_ONCE(many->magic, 0);
	kfree(many);
	atomic_dec(&bulk->left);
	kref_put(&file->ref, tmn_file_free);
}

static void tmn_many_free_later(struct tmn_many *many)
{
	tmn_many_free(many);
	atomic_dec(&tmn_pending);
}

static void tmn_many_free_notifier(struct mmu_notifier *mn)
{
	tmn_many_free_later(container_of(mn, struct tmn_many, mn));
}

static void tmn_many_free_rcu(struct rcu_head *rcu)
{
	tmn_many_free_later(container_of(rcu, struct tmn_many, rcu));
}

static void tmn_many_unregister(struct tmn_many *many)
{
	mmu_notifier_unregister(&many->mn, many->mn.mm);
	tmn_many_free(many);
}

static void tmn_many_put(struct tmn_many *many)
{
	atomic_inc(&tmn_pending);
	mmu_notifier_put(&many->mn);
}

static void tmn_many_call(struct tmn_many *many)
{
	atomic_inc(&tmn_pending);
	mmu_notifier_unregister_no_release(&many->mn, many->mn.mm);
	mmu_notifier_call_srcu(&many->rcu, tmn_many_free_rcu);
}

/* To be freed after a mmu_notifier_synchronize(). */
static void tmn_many_off(struct tmn_many *many)
{
	mmu_notifier_unregister_no_release(&many->mn, many->mn.mm);
}

static void (*const tmn_ways[TMN_NR_WAYS])(struct tmn_many *many) = {
	[TMN_WAY_UNREGISTER] = tmn_many_unregister,
	[TMN_WAY_PUT] = tmn_many_put,
	[TMN_WAY_CALL] = tmn_many_call,
	[TMN_WAY_SYNC] = tmn_many_off,
};

/* Whoever comes first takes it off. */
static void tmn_bulk_take_off(struct tmn_bulk *bulk, unsigned int nr)
{
	if (!test_and_set_bit(nr, bulk->taken_off))
		tmn_ways[bulk->cfg.way](bulk->many[nr]);
}

static void tmn_many_callback(struct tmn_many *many)
{
	if (READ_ONCE(many->magic) != TMN_MAGIC)
		atomic64_inc(&tmn_late);
	atomic_inc(&many->running);
	atomic64_inc(&many->bulk->calls);
	/* Let others come in between. */
	cond_resched();
	if (READ_ONCE(many->magic) != TMN_MAGIC)
		atomic64_inc(&tmn_late);
	atomic_dec(&many->running);
}

static int tmn_many_start(struct mmu_notifier *mn,
			  const struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range))
		tmn_many_callback(container_of(mn, struct tmn_many, mn));
	return 0;
}

static void tmn_many_end(struct mmu_notifier *mn,
			 const struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range))
		tmn_many_callback(container_of(mn, struct tmn_many, mn));
}

static void tmn_many_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct tmn_many *many = container_of(mn, struct tmn_many, mn);
	struct tmn_bulk *bulk = many->bulk;
	bool first = atomic64_inc_return(&bulk->releases) == 1;
	unsigned int i;

	atomic_inc(&many->running);
	if (bulk->cfg.when == TMN_WHEN_RELEASED)
		tmn_bulk_take_off(bulk, many->nr);
	if (first && bulk->cfg.when == TMN_WHEN_ONE_RELEASED)
		/* In the order of the list: those to come stay linked to us. */
		for (i = bulk->cfg.count; i > 0; i--)
			tmn_bulk_take_off(bulk, i - 1);
	atomic_dec(&many->running);
}

static const struct mmu_notifier_ops tmn_many_ops = {
	.invalidate_range_start = tmn_many_start,
	.invalidate_range_end = tmn_many_end,
	.release = tmn_many_release,
	.free_notifier = tmn_many_free_notifier,
};

static int tmn_bulk_off(struct tmn_file *file)
{
	struct tmn_bulk *bulk = READ_ONCE(file->bulk);
	u64 start = ktime_get_ns();
	unsigned int i;

	if (!bulk)
		return -ENOENT;
	for (i = 0; i < bulk->cfg.count; i++)
		tmn_bulk_take_off(bulk, i);
	bulk->off_ns = ktime_get_ns() - start;
	if (bulk->cfg.way != TMN_WAY_SYNC || !atomic_read(&bulk->left))
		return 0;
	start = ktime_get_ns();
	mmu_notifier_synchronize();
	bulk->sync_ns = ktime_get_ns() - start;
	for (i = 0; i < bulk->cfg.count; i++)
		tmn_many_free(bulk->many[i]);
	return 0;
}

static int tmn_bulk_fill(struct tmn_bulk *bulk)
{
	unsigned int *i = &bulk->cfg.count, count = bulk->cfg.count;
	int ret;

	for (*i = 0; *i < count; ++*i) {
		struct tmn_many *many = kzalloc_obj(*many);

		if (!many)
			return -ENOMEM;
		many->mn.ops = &tmn_many_ops;
		many->bulk = bulk;
		many->nr = *i;
		many->magic = TMN_MAGIC;
		bulk->many[*i] = many;
		kref_get(&bulk->file->ref);
		atomic_inc(&bulk->left);
		ret = mmu_notifier_register(&many->mn, current->mm);
		if (ret) {
			tmn_many_free(many);
			return ret;
		}
	}
	return 0;
}

/* Not while it is being taken off: the test sees to that. */
static int tmn_bulk_on(struct tmn_file *file, const struct tmn_bulk_on *cfg)
{
	struct tmn_bulk *bulk;
	int ret = -EBUSY;

	if (cfg->way >= TMN_NR_WAYS || cfg->when >= TMN_NR_WHEN ||
	    !cfg->count || cfg->count > TMN_BULK_MAX ||
	    /* It waits for the callback that it would be called from. */
	    (cfg->way == TMN_WAY_UNREGISTER && cfg->when != TMN_WHEN_ASKED))
		return -EINVAL;
	mutex_lock(&file->lock);
	if (file->bulk)
		goto out_unlock;
	ret = -ENOMEM;
	bulk = kzalloc_obj(*bulk);
	if (!bulk)
		goto out_unlock;
	bulk->cfg = *cfg;
	bulk->file = file;
	bulk->mm = current->mm;
	mmgrab(bulk->mm);
	bulk->many = kvcalloc(cfg->count, sizeof(*bulk->many), GFP_KERNEL);
	bulk->taken_off = bitmap_zalloc(cfg->count, GFP_KERNEL);
	WRITE_ONCE(file->bulk, bulk);
	if (!bulk->many || !bulk->taken_off)
		bulk->cfg.count = 0;
	else
		ret = tmn_bulk_fill(bulk);
out_unlock:
	mutex_unlock(&file->lock);
	return ret;
}

static int tmn_bulk_stats(struct tmn_file *file, struct tmn_bulk_stats *stats)
{
	struct tmn_bulk *bulk = READ_ONCE(file->bulk);

	if (!bulk)
		return -ENOENT;
	stats->left = atomic_read(&bulk->left);
	stats->calls = atomic64_read(&bulk->calls);
	stats->releases = atomic64_read(&bulk->releases);
	stats->early = atomic64_read(&bulk->early);
	stats->late = atomic64_read(&tmn_late);
	stats->holders = atomic_read(&bulk->mm->mm_count) - 1;
	stats->off_ns = bulk->off_ns;
	stats->sync_ns = bulk->sync_ns;
	return 0;
}

/* The commands that name a notifier, by its id, in their first field. */
static int tmn_slot_command(struct tmn_file *file, unsigned int cmd, void *arg)
{
	struct tmn_slot *slot = xa_load(&file->slots, *(u32 *)arg);
	struct tmn_wait *wait = arg;
	struct tmn_gate *gate = arg;

	if (!slot)
		return -ENOENT;
	switch (cmd) {
	case TMN_UNREGISTER:
		if (wait->timeout_ms)
			return tmn_call_timed(slot, wait, tmn_take_off);
		return tmn_call(slot, wait, tmn_take_off);
	case TMN_READ_BEGIN:
		return tmn_call_timed(slot, wait, tmn_read_begin);
	case TMN_READ_RETRY:
		return tmn_call(slot, wait, tmn_read_retry);
	case TMN_STATS:
		tmn_stats(slot, arg);
		return 0;
	case TMN_EVENTS:
		return tmn_events(slot, arg);
	case TMN_MAP:
		return tmn_map(slot, arg);
	case TMN_CHECK:
		return tmn_check(slot, arg);
	case TMN_GATE:
		if (gate->closed & ~TMN_GATE_ALL)
			return -EINVAL;
		WRITE_ONCE(slot->closed, gate->closed);
		wake_up_all(&file->wq);
		return 0;
	default:
		return -ENOTTY;
	}
}

static int tmn_command(struct tmn_file *file, unsigned int cmd, void *arg)
{
	struct tmn_sync *sync = arg;

	switch (cmd) {
	case TMN_REGISTER:
		return tmn_register(file, arg);
	case TMN_AT_GATE:
		return tmn_at_gate(file, arg);
	case TMN_SYNCHRONIZE:
		mmu_notifier_synchronize();
		sync->pending = atomic_read(&tmn_pending);
		WRITE_ONCE(tmn_synchronized, true);
		return 0;
	case TMN_HOLD:
		return tmn_hold(file, arg);
	case TMN_UNHOLD:
		WRITE_ONCE(file->unhold, true);
		wake_up_all(&file->wq);
		return 0;
	case TMN_MM:
		tmn_mm(file, arg);
		return 0;
	case TMN_CALL:
		return tmn_call_from(file, arg);
	case TMN_BULK_ON:
		return tmn_bulk_on(file, arg);
	case TMN_BULK_OFF:
		return tmn_bulk_off(file);
	case TMN_BULK_STATS:
		return tmn_bulk_stats(file, arg);
	default:
		return tmn_slot_command(file, cmd, arg);
	}
}

static long tmn_ioctl(struct file *devfile, unsigned int cmd, unsigned long uarg)
{
	union {
		struct tmn_register reg;
		struct tmn_wait wait;
		struct tmn_gate gate;
		struct tmn_stats stats;
		struct tmn_events events;
		struct tmn_sync sync;
		struct tmn_mm mm;
		struct tmn_call call;
		struct tmn_bulk_on bulk_on;
		struct tmn_bulk_stats bulk_stats;
		struct tmn_page page;
	} arg = { };
	int ret;

	if (_IOC_TYPE(cmd) != TMN_IOC || _IOC_SIZE(cmd) > sizeof(arg))
		return -ENOTTY;
	if (_IOC_DIR(cmd) & _IOC_WRITE &&
	    copy_from_user(&arg, (void __user *)uarg, _IOC_SIZE(cmd)))
		return -EFAULT;
	ret = tmn_command(devfile->private_data, cmd, &arg);
	if (ret >= 0 && _IOC_DIR(cmd) & _IOC_READ &&
	    copy_to_user((void __user *)uarg, &arg, _IOC_SIZE(cmd)))
		return -EFAULT;
	return ret;
}

static int tmn_open(struct inode *inode, struct file *devfile)
{
	struct tmn_file *file = kzalloc_obj(*file);

	if (!file)
		return -ENOMEM;
	kref_init(&file->ref);
	mutex_init(&file->lock);
	INIT_LIST_HEAD(&file->leftover);
	xa_init_flags(&file->slots, XA_FLAGS_ALLOC);
	init_waitqueue_head(&file->wq);
	devfile->private_data = file;
	return 0;
}

static int tmn_close(struct inode *inode, struct file *devfile)
{
	struct tmn_file *file = devfile->private_data;
	struct tmn_slot *slot;
	unsigned long id;

	/* All gates first: taking one off may wait for another. */
	xa_for_each(&file->slots, id, slot)
		WRITE_ONCE(slot->closed, 0);
	wake_up_all(&file->wq);
	xa_for_each(&file->slots, id, slot) {
		if (slot->live && slot->cfg.flags & TMN_F_AT_EXIT) {
			mutex_lock(&tmn_leftovers_lock);
			if (list_empty(&file->leftover)) {
				kref_get(&file->ref);
				list_add(&file->leftover, &tmn_leftovers);
			}
			mutex_unlock(&tmn_leftovers_lock);
			continue;
		}
		/* Either we take it off or the last stuck job, never both. */
		mutex_lock(&file->lock);
		slot->closing = slot->stuck;
		mutex_unlock(&file->lock);
		if (!slot->closing)
			tmn_take_off_all(slot);
	}
	tmn_bulk_off(file);
	kref_put(&file->ref, tmn_file_free);
	return 0;
}

static const struct file_operations tmn_fops = {
	.owner = THIS_MODULE,
	.open = tmn_open,
	.release = tmn_close,
	.unlocked_ioctl = tmn_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice tmn_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &tmn_fops,
	.mode = 0600,
};

static int __init tmn_init(void)
{
	return misc_register(&tmn_device);
}

/* Nobody opens or closes a file any more. */
static void tmn_take_off_leftovers(void)
{
	struct tmn_file *file, *next;
	struct tmn_slot *slot;
	unsigned long id;

	list_for_each_entry_safe(file, next, &tmn_leftovers, leftover) {
		xa_for_each(&file->slots, id, slot)
			tmn_take_off_all(slot);
		kref_put(&file->ref, tmn_file_free);
	}
}

static void __exit tmn_exit(void)
{
	misc_deregister(&tmn_device);
	tmn_take_off_leftovers();
	mmu_notifier_synchronize();
	/* Where mmu_notifier_synchronize() does not wait, we have to. */
	if (!WARN(atomic_read(&tmn_pending), "%d notifiers are not freed\n",
		  atomic_read(&tmn_pending)))
		return;
	while (atomic_read(&tmn_pending))
		msleep(20);
	msleep(100);
}

module_init(tmn_init);
module_exit(tmn_exit);

MODULE_DESCRIPTION("Test module for mmu notifiers");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
