// SPDX-License-Identifier: GPL-2.0
/*
 * Test module for mmu notifiers: the calls that a driver can make, from ioctl()
 * and from callbacks.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "test_mmu_notifier.h"

static bool tmn_is_bare(u32 what)
{
	return what == TMN_DO_REGISTER_BARE || what == TMN_DO_REGISTER_LOCKED_BARE;
}

static bool tmn_is_locked(u32 what)
{
	if (what == TMN_DO_REGISTER_LOCKED_BARE)
		return true;
	return what == TMN_DO_REGISTER_LOCKED;
}

/* mmu_notifier_get(), which may give the notifier of another slot. */
static int tmn_get(struct tmn_slot **slot, u32 what)
{
	struct tmn_file *file = (*slot)->file;
	const struct mmu_notifier_ops *ops = &file->get_ops;
	struct mmu_notifier *mn;

	/* Not mutex_lock(): where it must not sleep, the kernel is to say so. */
	if (!mutex_trylock(&tmn_get_lock))
		return -EBUSY;
	tmn_fill_ops(&file->get_ops, &(*slot)->cfg);
	if (what == TMN_DO_REGISTER_NO_FIRST)
		ops = &tmn_no_alloc_ops;
	if (what == TMN_DO_REGISTER_NO_LAST)
		ops = &tmn_no_free_ops;
	if (tmn_is_bare(what))
		ops = NULL;
	/* These are not what it is found by: alloc_notifier() returns it once more. */
	if (what == TMN_DO_REGISTER_AGAIN)
		ops = &(*slot)->ops;
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
	if (what == TMN_DO_REGISTER_NO_FIRST)
		ops = &tmn_empty_ops;
	if (what == TMN_DO_REGISTER_NO_LAST)
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

static int tmn_do_register(struct tmn_slot **slot, u32 what)
{
	struct mmu_notifier *mn = &(*slot)->list->mn;

	if ((*slot)->cfg.kind == TMN_LIST_GET)
		return tmn_get(slot, what);
	if (tmn_is_interval(&(*slot)->cfg))
		return tmn_insert(*slot, what);
	if (what != TMN_DO_REGISTER_AGAIN)
		(*slot)->users = 1;
	mn->ops = tmn_is_bare(what) ? NULL : &(*slot)->ops;
	if (tmn_is_locked(what))
		return __mmu_notifier_register(mn, (*slot)->mm);
	return mmu_notifier_register(mn, (*slot)->mm);
}

int tmn_try_register(struct tmn_slot **slot, u32 what)
{
	struct tmn_slot *mine = *slot;
	bool entered;
	int ret;

	/* Before the call, since callbacks can come before it returns. */
	kref_get(&mine->file->ref);
	mine->live = true;
	entered = tmn_enter_call(mine);
	ret = tmn_do_register(slot, what);
	tmn_leave_call(mine, entered);
	if (ret || *slot != mine) {
		mine->live = false;
		kref_put(&mine->file->ref, tmn_file_free);
	}
	return ret;
}

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
		return 0;
	}
	mmu_notifier_put(&list->mn);
	return 0;
}

/* The kernel does not know it any more. */
static void tmn_forget(struct tmn_slot *slot)
{
	struct tmn_file *file = slot->file;
	struct tmn_list *list = slot->list;

	raw_spin_lock(&slot->lock);
	slot->gone = true;
	slot->live = false;
	slot->list = NULL;
	raw_spin_unlock(&slot->lock);
	kfree(list);
	kref_put(&file->ref, tmn_file_free);
}

int tmn_do_unregister(struct tmn_slot *slot, struct tmn_wait *wait)
{
	bool entered;

	if (!slot->live)
		return -ENOENT;
	if (slot->cfg.kind != TMN_LIST && !tmn_is_interval(&slot->cfg))
		return tmn_put(slot);

	/* TMN_MAP has to have returned, that is for the driver to see to. */
	if (!down_write_trylock(&slot->mapping))
		return -EBUSY;
	entered = tmn_enter_call(slot);
	if (tmn_is_interval(&slot->cfg))
		mmu_interval_notifier_remove(&slot->interval->mni);
	else
		mmu_notifier_unregister(&slot->list->mn, slot->list->mn.mm);
	tmn_leave_call(slot, entered);
	tmn_forget(slot);
	up_write(&slot->mapping);
	return 0;
}

/* Once for each mmu_notifier_get(). No other thread has the slot any more. */
void tmn_unregister_all(struct tmn_slot *slot)
{
	struct tmn_wait wait = { };

	while (!tmn_do_unregister(slot, &wait))
		;
}

int tmn_read_begin(struct tmn_slot *slot, struct tmn_wait *wait)
{
	bool entered;

	if (!slot->live || !tmn_is_interval(&slot->cfg))
		return -ENOENT;
	entered = tmn_enter_call(slot);
	wait->seq = mmu_interval_read_begin(&slot->interval->mni);
	tmn_leave_call(slot, entered);
	return 0;
}

int tmn_read_retry(struct tmn_slot *slot, struct tmn_wait *wait)
{
	int ret;

	if (!slot->live || !tmn_is_interval(&slot->cfg))
		return -ENOENT;
	mutex_lock(&slot->user_lock);
	ret = mmu_interval_read_retry(&slot->interval->mni, wait->seq);
	mutex_unlock(&slot->user_lock);
	return ret;
}

int tmn_wait_timed(struct tmn_slot *slot, struct tmn_wait *wait)
{
	unsigned long deadline = 0, seq = 0;
	int ret = -EINVAL;
	bool entered;

	if (!slot->live)
		return -ENOENT;
	if (wait->timeout_ms)
		deadline = (jiffies + tmn_limit(wait)) ?: 1;
	entered = tmn_enter_call(slot);
	if (tmn_is_interval(&slot->cfg))
		ret = mmu_interval_read_begin_timeout(&slot->interval->mni, &seq,
						      deadline);
	else if (slot->cfg.flags & TMN_F_TRACK)
		ret = mmu_notifier_range_wait_valid_timeout(slot->mm, slot->cfg.start,
							    slot->cfg.end, deadline);
	tmn_leave_call(slot, entered);
	wait->seq = seq;
	raw_spin_lock(&slot->lock);
	slot->stats.call_ret = ret;
	raw_spin_unlock(&slot->lock);
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
	case TMN_DO_REGISTER:
	case TMN_DO_REGISTER_LOCKED:
	case TMN_DO_REGISTER_BARE:
	case TMN_DO_REGISTER_LOCKED_BARE:
	case TMN_DO_REGISTER_NO_FIRST:
	case TMN_DO_REGISTER_NO_LAST:
		return slot->live ? -EBUSY : tmn_try_register(&slot, what);
	case TMN_DO_REGISTER_AGAIN:
		return slot->live ? tmn_do_register(&slot, what) : -ENOENT;
	case TMN_DO_UNREGISTER:
		return tmn_do_unregister(slot, &wait);
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
int tmn_make_call(struct tmn_slot *slot, u32 what)
{
	bool entered;
	int ret;

	raw_spin_lock(&slot->lock);
	slot->stats.calls++;
	raw_spin_unlock(&slot->lock);
	entered = tmn_enter_call(slot);
	ret = tmn_do(slot, what);
	tmn_leave_call(slot, entered);
	raw_spin_lock(&slot->lock);
	slot->stats.call_ret = ret;
	raw_spin_unlock(&slot->lock);
	return ret;
}

/* Who may call what from where. */
static bool tmn_is_legal(struct tmn_slot *slot, enum tmn_what what, enum tmn_where where)
{
	bool interval = tmn_is_interval(&slot->cfg);

	switch (what) {
	case TMN_DO_REGISTER:
	case TMN_DO_SYNCHRONIZE:
		return where == TMN_IN_PROCESS;
	case TMN_DO_REGISTER_LOCKED:
		return where == TMN_IN_MMAP_WRITE;
	case TMN_DO_IS_VALID:
		return interval || slot->cfg.flags & TMN_F_TRACK;
	case TMN_DO_WAIT_VALID:
		return (interval || slot->cfg.flags & TMN_F_TRACK) &&
		       (where <= TMN_IN_MMAP_WRITE || where == TMN_IN_RELEASE);
	case TMN_DO_UNREGISTER:
		if (!interval)
			return where == TMN_IN_PROCESS || slot->cfg.kind != TMN_LIST;
		fallthrough;
	case TMN_DO_READ_BEGIN:
		return where <= TMN_IN_MMAP_WRITE || where == TMN_IN_RELEASE;
	default:
		return false;
	}
}

int tmn_call_from(struct tmn_file *file, const struct tmn_call *call)
{
	struct tmn_slot *slot = xa_load(&file->slots, call->id);
	struct tmn_slot *from = xa_load(&file->slots, call->from);
	int ret;

	if (!slot || (call->where >= TMN_IN_START && !from))
		return -ENOENT;
	if (call->what >= TMN_NR_WHAT || call->where >= TMN_NR_WHERE)
		return -EINVAL;
	if (!tmn_misuse && !tmn_is_legal(slot, call->what, call->where))
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
