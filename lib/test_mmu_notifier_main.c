// SPDX-License-Identifier: GPL-2.0
/*
 * Test module for mmu notifiers.
 *
 * A process that opens /dev/test_mmu_notifier registers notifiers on its own mm,
 * causes events with ordinary system calls, and asks what the notifiers were
 * called for. The module records and compares; what is right is for
 * tools/testing/selftests/mm/mmu_notifier_*.c to say.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "test_mmu_notifier.h"

bool tmn_misuse;
module_param_named(misuse, tmn_misuse, bool, 0444);
MODULE_PARM_DESC(misuse, "allow bugs of a driver that make the kernel warn");

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

/* free_notifier() calls that are still to come */
atomic_t tmn_pending = ATOMIC_INIT(0);
/* TMN_SYNCHRONIZE has returned since a notifier with TMN_F_SLOW_FREE was made */
bool tmn_synchronized;
/* files with notifiers that the module's exit unregisters */
static LIST_HEAD(tmn_leftovers);
static DEFINE_MUTEX(tmn_leftovers_lock);

static void tmn_slot_free(struct tmn_slot *slot)
{
	if (slot->mm && slot->cfg.flags & TMN_F_PREPARE)
		mmdrop(slot->mm);
	kfree(slot->list);
	kfree(slot->mirror);
	kvfree(slot->log);
	kfree(slot);
}

void tmn_file_free(struct kref *ref)
{
	struct tmn_file *file = container_of(ref, struct tmn_file, ref);
	struct tmn_slot *slot;
	unsigned long id;

	xa_for_each(&file->slots, id, slot)
		tmn_slot_free(slot);
	xa_destroy(&file->slots);
	tmn_bulk_free(file->bulk);
	kfree(file);
}

/*
 * What this thread does until tmn_leave_call() may sleep. One thread a notifier
 * is looked at, the first; returns whether it is this one.
 */
bool tmn_enter_call(struct tmn_slot *slot)
{
	bool entered;

	raw_spin_lock(&slot->lock);
	entered = !slot->caller;
	if (entered) {
		slot->caller = current;
		slot->caller_slept = current->nvcsw;
	}
	raw_spin_unlock(&slot->lock);
	return entered;
}

void tmn_leave_call(struct tmn_slot *slot, bool entered)
{
	if (!entered)
		return;
	raw_spin_lock(&slot->lock);
	slot->caller = NULL;
	slot->stats.sleeps += current->nvcsw - slot->caller_slept;
	raw_spin_unlock(&slot->lock);
}

/* Not one that is about to sleep, nor one that waits for a lock of PREEMPT_RT. */
static bool tmn_is_asleep(struct tmn_slot *slot)
{
	struct task_struct *task;
	bool asleep;

	/* It cannot leave, and so not exit, as long as we have the lock. */
	raw_spin_lock(&slot->lock);
	task = slot->caller;
	asleep = task && READ_ONCE(task->__state) & TASK_NORMAL &&
		 !task_is_runnable(task);
	raw_spin_unlock(&slot->lock);
	return asleep;
}

static int tmn_asleep(struct tmn_file *file, struct tmn_asleep *asleep)
{
	struct tmn_slot *slot;
	unsigned long id;

	asleep->count = 0;
	if (asleep->id) {
		slot = xa_load(&file->slots, asleep->id);
		if (!slot)
			return -ENOENT;
		asleep->count = tmn_is_asleep(slot);
		return 0;
	}
	xa_for_each(&file->slots, id, slot)
		asleep->count += tmn_is_asleep(slot);
	return 0;
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
	if (!(cfg->flags & TMN_F_NO_LOG))
		slot->log = kvcalloc(TMN_LOG_SIZE, sizeof(*slot->log), GFP_KERNEL);
	if (tmn_is_interval(cfg))
		slot->interval = kzalloc_obj(*slot->interval);
	else
		slot->list = kzalloc_obj(*slot->list);
	if (!slot->list || (cfg->flags & TMN_F_MIRROR && !slot->mirror) ||
	    (!(cfg->flags & TMN_F_NO_LOG) && !slot->log)) {
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

static int tmn_register(struct tmn_file *file, void *arg)
{
	struct tmn_register *cfg = arg;
	struct tmn_slot *slot, *mine;
	struct tmn_list *list;
	int ret;

	if (cfg->kind >= TMN_NR_KINDS || cfg->ops & ~(TMN_OP_ALL | TMN_OP_SECONDARY) ||
	    cfg->flags & ~TMN_F_ALL || cfg->start > cfg->end ||
	    (tmn_is_interval(cfg) && cfg->ops) ||
	    (cfg->kind == TMN_LIST_GET && cfg->ops != TMN_OP_ALL) ||
	    (tmn_is_interval(cfg) && cfg->flags & TMN_F_TRACK) ||
	    (cfg->flags & TMN_F_MIRROR && !tmn_can_mirror(cfg)))
		return -EINVAL;
	if (!tmn_misuse && (cfg->flags & TMN_F_FAIL_BLOCK ||
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
	/* As task_work_add() does with TWA_SIGNAL, for instance for io_uring. */
	if (cfg->flags & TMN_F_TASK_WORK)
		set_thread_flag(TIF_NOTIFY_SIGNAL);

	if (!ret && !(cfg->flags & TMN_F_PREPARE))
		ret = tmn_try_register(&slot, TMN_DO_REGISTER);
	if (ret || slot != mine) {
		/* The slot stays until the file goes, a thread may look at it. */
		list = mine->list;
		raw_spin_lock(&mine->lock);
		mine->list = NULL;
		raw_spin_unlock(&mine->lock);
		kfree(list);
	}
	cfg->id = slot->cfg.id;
	mutex_unlock(&mine->call);
	mmput(mine->mm);
	return ret;
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
		tmn_unregister_all(slot);
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

/* Polls: at a gate where it must not sleep a thread can wake no other on PREEMPT_RT. */
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
	if (slot->log &&
	    copy_to_user(u64_to_user_ptr(events->buffer), slot->log,
			 events->count * sizeof(*slot->log)))
		return -EFAULT;
	return 0;
}

static void tmn_stats(struct tmn_slot *slot, struct tmn_stats *stats)
{
	u32 id = slot->cfg.id;

	raw_spin_lock(&slot->lock);
	*stats = slot->stats;
	stats->listed = !tmn_is_interval(&slot->cfg) && slot->list &&
			!hlist_unhashed_lockless(&slot->list->mn.hlist);
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
		mm->notifiers += slot->live && !slot->gone;
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
			return tmn_call_timed(slot, wait, tmn_do_unregister);
		return tmn_call(slot, wait, tmn_do_unregister);
	case TMN_READ_BEGIN:
		return tmn_call_timed(slot, wait, tmn_read_begin);
	case TMN_READ_RETRY:
		return tmn_call(slot, wait, tmn_read_retry);
	case TMN_WAIT_TIMED:
		return tmn_call(slot, wait, tmn_wait_timed);
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
	case TMN_ASLEEP:
		return tmn_asleep(file, arg);
	case TMN_MM:
		tmn_mm(file, arg);
		return 0;
	case TMN_CALL:
		return tmn_call_from(file, arg);
	case TMN_BULK_REGISTER:
		return tmn_bulk_register(file, arg);
	case TMN_BULK_UNREGISTER:
		return tmn_bulk_unregister_all(file);
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
		struct tmn_bulk_register bulk_on;
		struct tmn_bulk_stats bulk_stats;
		struct tmn_page page;
		struct tmn_asleep asleep;
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

	/* All gates first: unregistering one may wait for another. */
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
		/* Either we unregister it or the last stuck job, never both. */
		mutex_lock(&file->lock);
		slot->closing = slot->stuck;
		mutex_unlock(&file->lock);
		if (!slot->closing)
			tmn_unregister_all(slot);
	}
	tmn_bulk_unregister_all(file);
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

/* No file is opened or closed any more. */
static void tmn_unregister_leftovers(void)
{
	struct tmn_file *file, *next;
	struct tmn_slot *slot;
	unsigned long id;

	list_for_each_entry_safe(file, next, &tmn_leftovers, leftover) {
		xa_for_each(&file->slots, id, slot)
			tmn_unregister_all(slot);
		kref_put(&file->ref, tmn_file_free);
	}
}

static void __exit tmn_exit(void)
{
	misc_deregister(&tmn_device);
	tmn_unregister_leftovers();
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
