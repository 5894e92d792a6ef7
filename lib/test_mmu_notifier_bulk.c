// SPDX-License-Identifier: GPL-2.0
/* Test module for mmu notifiers: many notifiers, unregistered in each way. */
#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "test_mmu_notifier.h"

/*
 * Many notifiers, without what a slot records of each. What is asked of them is
 * that they are freed: all of them, once, and not while they are in use.
 */
struct tmn_bulk {
	struct tmn_bulk_register cfg;
	struct tmn_file *file;
	/* pinned, to see who else does */
	struct mm_struct *mm;
	struct tmn_many **many;
	unsigned long *gone;
	atomic_t left;
	atomic64_t calls;
	atomic64_t releases;
	atomic64_t early;
	u64 unregister_ns;
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

/* callbacks of struct tmn_many after they were freed */
static atomic64_t tmn_late;

/* With the file, when the last notifier is gone. */
void tmn_bulk_free(struct tmn_bulk *bulk)
{
	if (!bulk)
		return;
	mmdrop(bulk->mm);
	kvfree(bulk->many);
	bitmap_free(bulk->gone);
	kfree(bulk);
}

/*
 * Free one. The last one takes the bulk along, so nothing of it can be used
 * after this, but by a holder of the file.
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
static void tmn_many_no_release(struct tmn_many *many)
{
	mmu_notifier_unregister_no_release(&many->mn, many->mn.mm);
}

static void (*const tmn_ways[TMN_NR_WAYS])(struct tmn_many *many) = {
	[TMN_WAY_UNREGISTER] = tmn_many_unregister,
	[TMN_WAY_PUT] = tmn_many_put,
	[TMN_WAY_CALL] = tmn_many_call,
	[TMN_WAY_SYNC] = tmn_many_no_release,
};

/* Once, however many threads ask for it. */
static void tmn_bulk_unregister(struct tmn_bulk *bulk, unsigned int nr)
{
	if (!test_and_set_bit(nr, bulk->gone))
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
		tmn_bulk_unregister(bulk, many->nr);
	if (first && bulk->cfg.when == TMN_WHEN_ONE_RELEASED)
		/* In the order of the list: those to come stay linked to us. */
		for (i = bulk->cfg.count; i > 0; i--)
			tmn_bulk_unregister(bulk, i - 1);
	atomic_dec(&many->running);
}

static const struct mmu_notifier_ops tmn_many_ops = {
	.invalidate_range_start = tmn_many_start,
	.invalidate_range_end = tmn_many_end,
	.release = tmn_many_release,
	.free_notifier = tmn_many_free_notifier,
};

int tmn_bulk_unregister_all(struct tmn_file *file)
{
	struct tmn_bulk *bulk = READ_ONCE(file->bulk);
	u64 start = ktime_get_ns();
	unsigned int i;

	if (!bulk)
		return -ENOENT;
	for (i = 0; i < bulk->cfg.count; i++)
		tmn_bulk_unregister(bulk, i);
	bulk->unregister_ns = ktime_get_ns() - start;
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

/* Not while it is being unregistered: the test sees to that. */
int tmn_bulk_register(struct tmn_file *file, const struct tmn_bulk_register *cfg)
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
	bulk->gone = bitmap_zalloc(cfg->count, GFP_KERNEL);
	WRITE_ONCE(file->bulk, bulk);
	if (!bulk->many || !bulk->gone)
		bulk->cfg.count = 0;
	else
		ret = tmn_bulk_fill(bulk);
out_unlock:
	mutex_unlock(&file->lock);
	return ret;
}

int tmn_bulk_stats(struct tmn_file *file, struct tmn_bulk_stats *stats)
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
	stats->unregister_ns = bulk->unregister_ns;
	stats->sync_ns = bulk->sync_ns;
	return 0;
}
