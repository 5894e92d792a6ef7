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
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "test_mmu_notifier_uapi.h"

/* More ranges than this in flight on one notifier are not expected. */
#define TMN_MAX_OPEN	64
/* Nothing waits longer, before anything calls the task hung. */
#define TMN_LIMIT	(20 * HZ)

static bool misuse;
module_param(misuse, bool, 0444);
MODULE_PARM_DESC(misuse, "allow bugs of a driver that make the kernel warn");

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
	/* the lock of the collision-retry scheme */
	struct mutex user_lock;
	u32 closed;
	atomic_t at_gate;

	/* protects what follows; taken under page table locks */
	spinlock_t lock;
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
	struct tmn_slot *slot;
};

struct tmn_interval {
	struct mmu_interval_notifier mni;
	struct tmn_slot *slot;
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
/* free_notifier() calls that are still to come */
static atomic_t tmn_pending = ATOMIC_INIT(0);
/* hands the slot of a mmu_notifier_get() to its alloc_notifier() */
static DEFINE_MUTEX(tmn_get_lock);
static struct tmn_slot *tmn_get_slot;

static void tmn_slot_free(struct tmn_slot *slot)
{
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
	wake_up_all(&slot->file->wq);
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

static struct tmn_slot *tmn_slot_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct tmn_list, mn)->slot;
}

static int tmn_start(struct mmu_notifier *mn,
		     const struct mmu_notifier_range *range)
{
	struct tmn_slot *slot = tmn_slot_of(mn);
	int i = slot->cfg.ops & TMN_OP_END ? 0 : TMN_MAX_OPEN;
	int ret = tmn_wanted_failure(slot, range);

	if (mmu_notifier_range_blockable(range))
		might_sleep();
	if (!tmn_concerns(slot, range->start, range->end))
		return 0;

	spin_lock(&slot->lock);
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
	spin_unlock(&slot->lock);

	if (!ret && mmu_notifier_range_blockable(range))
		tmn_pass_gate(slot, TMN_GATE_START, range);
	return ret;
}

static void tmn_end(struct mmu_notifier *mn,
		    const struct mmu_notifier_range *range)
{
	struct tmn_slot *slot = tmn_slot_of(mn);
	struct tmn_open *match = NULL;
	int i;

	if (!tmn_concerns(slot, range->start, range->end))
		return;

	spin_lock(&slot->lock);
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
	spin_unlock(&slot->lock);
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
	spin_lock(&slot->lock);
	slot->stats.releases++;
	slot->stats.release_anon = get_mm_counter_sum(mm, MM_ANONPAGES);
	tmn_log(slot, TMN_EV_RELEASE, &range, 0);
	spin_unlock(&slot->lock);
	tmn_pass_gate(slot, TMN_GATE_RELEASE, &range);
}

static bool tmn_young(struct mmu_notifier *mn, unsigned long start,
		      unsigned long end, u64 *counter)
{
	struct tmn_slot *slot = tmn_slot_of(mn);
	const struct mmu_notifier_range range = { .start = start, .end = end };

	spin_lock(&slot->lock);
	if (tmn_concerns(slot, start, end))
		++*counter;
	tmn_log(slot, TMN_EV_YOUNG, &range, 0);
	spin_unlock(&slot->lock);
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

static struct mmu_notifier *tmn_alloc_notifier(struct mm_struct *mm)
{
	lockdep_assert_held(&tmn_get_lock);
	return &tmn_get_slot->list->mn;
}

static void tmn_free_notifier(struct mmu_notifier *mn)
{
	struct tmn_list *list = container_of(mn, struct tmn_list, mn);
	struct tmn_slot *slot = list->slot;
	struct tmn_file *file = slot->file;

	/* Never registered: mmu_notifier_get() is failing. */
	if (READ_ONCE(tmn_get_slot) == slot)
		return;
	if (slot->cfg.flags & TMN_F_SLOW_FREE)
		mdelay(1);
	spin_lock(&slot->lock);
	slot->stats.frees++;
	slot->off = true;
	spin_unlock(&slot->lock);
	kfree(list);
	kref_put(&file->ref, tmn_file_free);
	atomic_dec(&tmn_pending);
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
		mutex_unlock(&slot->user_lock);
	}

	spin_lock(&slot->lock);
	if (ret)
		slot->stats.failed++;
	else
		slot->stats.starts++;
	/* "The provided cur_seq will always be odd." */
	if (!(cur_seq & 1))
		slot->stats.unmatched++;
	tmn_log(slot, TMN_EV_INVALIDATE, range, ret);
	spin_unlock(&slot->lock);

	if (!ret && blockable)
		tmn_pass_gate(slot, TMN_GATE_START, range);
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
	struct tmn_finish *tf;

	if (!tmn_invalidate_common(mni, range, cur_seq))
		return false;
	/* Without memory this was all there is to do. */
	tf = kmalloc_obj(*tf, GFP_NOWAIT);
	if (tf) {
		tf->range = *range;
		*finish = &tf->f;
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
	spin_lock(&slot->lock);
	slot->stats.finishes++;
	tmn_log(slot, TMN_EV_FINISH, &tf->range, 0);
	spin_unlock(&slot->lock);
	kfree(tf);
}

static const struct mmu_interval_notifier_ops tmn_interval_ops = {
	.invalidate = tmn_invalidate,
};

static const struct mmu_interval_notifier_ops tmn_two_pass_ops = {
	.invalidate_start = tmn_invalidate_start,
	.invalidate_finish = tmn_invalidate_finish,
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
	if (cfg->kind == TMN_LIST_PUT || cfg->kind == TMN_LIST_GET)
		ops->free_notifier = tmn_free_notifier;
	if (cfg->kind == TMN_LIST_GET)
		ops->alloc_notifier = tmn_alloc_notifier;
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
	spin_lock_init(&slot->lock);
	tmn_fill_ops(&slot->ops, cfg);
	slot->log = kvcalloc(TMN_LOG_SIZE, sizeof(*slot->log), GFP_KERNEL);
	if (tmn_is_interval(cfg))
		slot->interval = kzalloc_obj(*slot->interval);
	else
		slot->list = kzalloc_obj(*slot->list);
	if (!slot->log || !slot->list) {
		kfree(slot->list);
		tmn_slot_free(slot);
		return NULL;
	}
	if (tmn_is_interval(cfg))
		slot->interval->slot = slot;
	else
		slot->list->slot = slot;
	return slot;
}

/* mmu_notifier_get(), which may give the notifier of another slot. */
static int tmn_get(struct tmn_slot **slot)
{
	struct tmn_file *file = (*slot)->file;
	struct mmu_notifier *mn;

	mutex_lock(&tmn_get_lock);
	tmn_fill_ops(&file->get_ops, &(*slot)->cfg);
	WRITE_ONCE(tmn_get_slot, *slot);
	mn = mmu_notifier_get(&file->get_ops, current->mm);
	WRITE_ONCE(tmn_get_slot, NULL);
	if (!IS_ERR(mn)) {
		*slot = tmn_slot_of(mn);
		(*slot)->users++;
	}
	mutex_unlock(&tmn_get_lock);
	return PTR_ERR_OR_ZERO(mn);
}

static int tmn_put_on(struct tmn_slot **slot)
{
	const struct tmn_register *cfg = &(*slot)->cfg;

	switch (cfg->kind) {
	case TMN_LIST_GET:
		return tmn_get(slot);
	case TMN_INTERVAL:
		return mmu_interval_notifier_insert(&(*slot)->interval->mni,
						    current->mm, cfg->start,
						    cfg->end - cfg->start,
						    &tmn_interval_ops);
	case TMN_INTERVAL_TWO_PASS:
		return mmu_interval_notifier_insert(&(*slot)->interval->mni,
						    current->mm, cfg->start,
						    cfg->end - cfg->start,
						    &tmn_two_pass_ops);
	default:
		(*slot)->users = 1;
		(*slot)->list->mn.ops = &(*slot)->ops;
		return mmu_notifier_register(&(*slot)->list->mn, current->mm);
	}
}

static int tmn_register(struct tmn_file *file, void *arg)
{
	struct tmn_register *cfg = arg;
	struct tmn_slot *slot, *mine;
	int ret;

	if (cfg->kind >= TMN_NR_KINDS || cfg->ops & ~TMN_OP_ALL ||
	    cfg->flags & ~TMN_F_ALL || cfg->start > cfg->end ||
	    (cfg->flags & TMN_F_FAIL_BLOCK && !misuse) ||
	    /* A start that can fail may not have an end. */
	    (cfg->flags & TMN_F_FAIL_NONBLOCK && cfg->ops & TMN_OP_END) ||
	    (tmn_is_interval(cfg) && (cfg->ops || cfg->start == cfg->end)) ||
	    (cfg->kind == TMN_LIST_GET && cfg->ops != TMN_OP_ALL))
		return -EINVAL;

	mine = tmn_slot_alloc(file, cfg);
	if (!mine)
		return -ENOMEM;
	slot = mine;
	mutex_lock(&mine->call);
	ret = xa_alloc(&file->slots, &mine->cfg.id, mine, XA_LIMIT(1, INT_MAX),
		       GFP_KERNEL);
	if (ret) {
		mutex_unlock(&mine->call);
		kfree(mine->list);
		tmn_slot_free(mine);
		return ret;
	}
	if (cfg->flags & TMN_F_AWAIT_SIGNAL &&
	    !wait_event_interruptible_timeout(file->wq, false, TMN_LIMIT))
		ret = -ETIME;

	/* Before the call, since callbacks can come before it returns. */
	kref_get(&file->ref);
	mine->live = true;
	if (!ret)
		ret = tmn_put_on(&slot);
	if (ret || slot != mine) {
		/* The slot stays until the file goes, somebody may look at it. */
		mine->live = false;
		kfree(mine->list);
		mine->list = NULL;
		kref_put(&file->ref, tmn_file_free);
	}
	cfg->id = slot->cfg.id;
	mutex_unlock(&mine->call);
	return ret;
}

/* mmu_notifier_put(); the slot is over with the last one. */
static void tmn_put(struct tmn_slot *slot)
{
	mutex_lock(&tmn_get_lock);
	if (!--slot->users)
		atomic_inc(&tmn_pending);
	mmu_notifier_put(&slot->list->mn);
	mutex_unlock(&tmn_get_lock);
}

static int tmn_take_off(struct tmn_slot *slot, struct tmn_wait *wait)
{
	struct tmn_file *file = slot->file;

	if (!slot->live)
		return -ENOENT;
	if (slot->cfg.kind == TMN_LIST_PUT || slot->cfg.kind == TMN_LIST_GET) {
		if (!slot->users)
			return -ENOENT;
		tmn_put(slot);
		return 0;
	}

	if (tmn_is_interval(&slot->cfg))
		mmu_interval_notifier_remove(&slot->interval->mni);
	else
		mmu_notifier_unregister(&slot->list->mn, slot->list->mn.mm);
	wait->clock = atomic64_inc_return(&tmn_clock);
	spin_lock(&slot->lock);
	slot->off = true;
	slot->live = false;
	spin_unlock(&slot->lock);
	kfree(slot->list);
	slot->list = NULL;
	kref_put(&file->ref, tmn_file_free);
	return 0;
}

static int tmn_read_begin(struct tmn_slot *slot, struct tmn_wait *wait)
{
	if (!slot->live || !tmn_is_interval(&slot->cfg))
		return -ENOENT;
	wait->seq = mmu_interval_read_begin(&slot->interval->mni);
	wait->clock = atomic64_inc_return(&tmn_clock);
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

static int tmn_at_gate(struct tmn_file *file, struct tmn_wait *wait)
{
	struct tmn_slot *slot = xa_load(&file->slots, wait->id);
	long left = tmn_limit(wait);

	if (!wait->id)
		left = wait_event_interruptible_timeout(file->wq,
							READ_ONCE(file->holding), left);
	else if (slot)
		left = wait_event_interruptible_timeout(file->wq,
							atomic_read(&slot->at_gate), left);
	else
		return -ENOENT;
	if (left < 0)
		return left;
	return left ? 0 : -ETIMEDOUT;
}

static int tmn_hold(struct tmn_file *file, struct tmn_wait *wait)
{
	bool unheld;

	mutex_lock(&file->lock);
	file->holding++;
	mutex_unlock(&file->lock);
	wake_up_all(&file->wq);
	unheld = wait_event_timeout(file->wq, READ_ONCE(file->unhold),
				    tmn_limit(wait));
	mutex_lock(&file->lock);
	file->holding--;
	mutex_unlock(&file->lock);
	return unheld ? 0 : -ETIMEDOUT;
}

static int tmn_events(struct tmn_slot *slot, struct tmn_events *events)
{
	u32 count;

	/* The log only grows, what is below nr_log does not change. */
	spin_lock(&slot->lock);
	count = slot->nr_log;
	events->lost = slot->lost;
	spin_unlock(&slot->lock);
	events->count = min(count, events->max);
	if (copy_to_user(u64_to_user_ptr(events->buffer), slot->log,
			 events->count * sizeof(*slot->log)))
		return -EFAULT;
	return 0;
}

static void tmn_stats(struct tmn_slot *slot, struct tmn_stats *stats)
{
	u32 id = slot->cfg.id;

	spin_lock(&slot->lock);
	*stats = slot->stats;
	spin_unlock(&slot->lock);
	stats->id = id;
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
		/* Either we take it off or the last stuck job, never both. */
		mutex_lock(&file->lock);
		slot->closing = slot->stuck;
		mutex_unlock(&file->lock);
		if (!slot->closing)
			tmn_take_off_all(slot);
	}
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

static void __exit tmn_exit(void)
{
	misc_deregister(&tmn_device);
	mmu_notifier_synchronize();
	if (!atomic_read(&tmn_pending))
		return;
	/* Where mmu_notifier_synchronize() does not wait, we have to. */
	pr_err("%d notifiers are not freed\n", atomic_read(&tmn_pending));
	while (atomic_read(&tmn_pending))
		msleep(20);
	msleep(100);
}

module_init(tmn_init);
module_exit(tmn_exit);

MODULE_DESCRIPTION("Test module for mmu notifiers");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
