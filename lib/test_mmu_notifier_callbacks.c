// SPDX-License-Identifier: GPL-2.0
/* Test module for mmu notifiers: the callbacks, which record, compare and wait. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "test_mmu_notifier.h"

struct tmn_finish {
	struct mmu_interval_notifier_finish f;
	struct mmu_notifier_range range;
};

static atomic64_t tmn_clock;
/* hands the slot of a mmu_notifier_get() to its alloc_notifier() */
DEFINE_MUTEX(tmn_get_lock);
struct tmn_slot *tmn_get_slot;

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
	if (slot->gone)
		slot->stats.late++;
	if (!tmn_concerns(slot, range->start, range->end))
		return;
	if (!slot->log || slot->nr_log == TMN_LOG_SIZE) {
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
void tmn_pass_gate(struct tmn_slot *slot, u32 gate,
		   const struct mmu_notifier_range *range)
{
	if (!(READ_ONCE(slot->closed) & gate) ||
	    !tmn_concerns(slot, range->start, range->end))
		return;
	atomic_inc(&slot->at_gate);
	if (!wait_event_timeout(slot->file->wq,
				!(READ_ONCE(slot->closed) & gate),
				TMN_LIMIT)) {
		pr_err("no thread opened gate %u of notifier %u\n", gate,
		       slot->cfg.id);
		/* Not once more for each callback to come. */
		WRITE_ONCE(slot->closed, 0);
	}
	atomic_dec(&slot->at_gate);
}

/* The same where it must not sleep. */
static void tmn_spin_at_gate(struct tmn_slot *slot)
{
	unsigned long limit = jiffies + TMN_SPIN_LIMIT;

	if (!(READ_ONCE(slot->closed) & TMN_GATE_SPIN))
		return;
	atomic_inc(&slot->at_gate);
	while (READ_ONCE(slot->closed) & TMN_GATE_SPIN && time_before(jiffies, limit))
		cpu_relax();
	if (READ_ONCE(slot->closed) & TMN_GATE_SPIN) {
		pr_err("no thread opened the spinning gate of notifier %u\n",
		       slot->cfg.id);
		WRITE_ONCE(slot->closed, 0);
	}
	atomic_dec(&slot->at_gate);
}

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

	/* At exit there is no way to fail. */
	if (range->event == MMU_NOTIFY_RELEASE)
		return 0;
	return slot->cfg.flags & flag ? -EAGAIN : 0;
}

/* Whether the kernel would notice if a callback slept where it must not. */
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
		/* A caller that may block is going to call end nevertheless. */
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
	/* No thread maps any more: no users of the mm, or being unregistered. */
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

	/* mmu_notifier_get() is failing: never registered, or it must not do this. */
	if (READ_ONCE(tmn_get_slot) == slot) {
		raw_spin_lock(&slot->lock);
		slot->stats.frees += !hlist_unhashed_lockless(&list->mn.hlist);
		raw_spin_unlock(&slot->lock);
		return;
	}
	if (slot->cfg.flags & TMN_F_SLOW_FREE)
		tmn_await_synchronize();
	tmn_callback(slot, TMN_IN_FREE);
	raw_spin_lock(&slot->lock);
	slot->stats.frees++;
	slot->gone = true;
	slot->list = NULL;
	raw_spin_unlock(&slot->lock);
	kfree(list);
	kref_put(&file->ref, tmn_file_free);
	atomic_dec(&tmn_pending);
}

static void tmn_free_notifier(struct mmu_notifier *mn)
{
	tmn_list_free(container_of(mn, struct tmn_list, mn));
}

void tmn_free_rcu(struct rcu_head *rcu)
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

const struct mmu_interval_notifier_ops tmn_interval_ops = {
	.invalidate = tmn_invalidate,
};

const struct mmu_interval_notifier_ops tmn_two_pass_ops = {
	.invalidate_start = tmn_invalidate_start,
	.invalidate_finish = tmn_invalidate_finish,
};

const struct mmu_notifier_ops tmn_no_alloc_ops = {
	.free_notifier = tmn_free_notifier,
};

const struct mmu_notifier_ops tmn_no_free_ops = {
	.alloc_notifier = tmn_alloc_notifier,
};

const struct mmu_interval_notifier_ops tmn_empty_ops = { };

const struct mmu_interval_notifier_ops tmn_no_finish_ops = {
	.invalidate_start = tmn_invalidate_start,
};

void tmn_fill_ops(struct mmu_notifier_ops *ops, const struct tmn_register *cfg)
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
