/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the test module have in common. */
#ifndef _LIB_TEST_MMU_NOTIFIER_H
#define _LIB_TEST_MMU_NOTIFIER_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "test_mmu_notifier_uapi.h"

/* More ranges than this in flight on one notifier are not expected. */
#define TMN_MAX_OPEN	64
/* How long each TMN_F_SLOW_FREE spins; a grace period may need its CPU. */
#define TMN_FREE_LIMIT	(HZ / 100)
/* No thread waits longer, before anything calls the task hung. */
#define TMN_LIMIT	(120 * HZ)
/* Nor spins longer, before anything calls the CPU stuck. */
#define TMN_SPIN_LIMIT	(5 * HZ)

static inline long tmn_limit(const struct tmn_wait *wait)
{
	return min_t(unsigned long, msecs_to_jiffies(wait->timeout_ms), TMN_LIMIT);
}

struct tmn_bulk;

/* An open file: lives until the last notifier that was registered through it. */
struct tmn_file {
	struct kref ref;
	/* protects stuck and closing of the slots, and abandoned of the jobs */
	struct mutex lock;
	struct xarray slots;
	/* for threads before a gate, for a gate, or in TMN_HOLD */
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
	/* where it is to be registered; pinned with TMN_F_PREPARE */
	struct mm_struct *mm;
	/* serializes what a driver has to serialize: read, remove */
	struct mutex call;
	bool live;
	/* jobs that no thread waits for any more */
	int stuck;
	/* the last of these has to unregister the notifier */
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
	/* the lock of the driver, as the protocols have it */
	struct mutex user_lock;
	/* under user_lock: page frames, 0 for what is not mapped */
	unsigned long *mirror;
	/* for reading: TMN_MAP; for writing: unregistering */
	struct rw_semaphore mapping;
	struct list_head faults;
	/* faults that were withdrawn, for threads that wait for that */
	unsigned long withdrawn;
	u32 closed;
	atomic_t at_gate;
	atomic64_t secondary;

	/*
	 * protects what follows; taken under page table locks, and where not
	 * even PREEMPT_RT may sleep
	 */
	raw_spinlock_t lock;
	bool gone;
	/* the thread that is in a call, and how often it had slept before */
	struct task_struct *caller;
	unsigned long caller_slept;
	struct tmn_stats stats;
	struct tmn_open open[TMN_MAX_OPEN];
	struct tmn_event *log;
	u32 nr_log;
	u32 lost;
};

/* Apart from the slot, so that KASAN sees a use after it was unregistered. */
struct tmn_list {
	struct mmu_notifier mn;
	struct rcu_head rcu;
	struct tmn_slot *slot;
};

struct tmn_interval {
	struct mmu_interval_notifier mni;
	struct tmn_slot *slot;
};

/* test_mmu_notifier_main.c */
extern bool tmn_misuse;
extern atomic_t tmn_pending;
extern bool tmn_synchronized;

void tmn_file_free(struct kref *ref);
bool tmn_enter_call(struct tmn_slot *slot);
void tmn_leave_call(struct tmn_slot *slot, bool entered);

/* test_mmu_notifier_callbacks.c */
extern const struct mmu_interval_notifier_ops tmn_interval_ops;
extern const struct mmu_interval_notifier_ops tmn_two_pass_ops;
/* What a driver could forget. */
extern const struct mmu_notifier_ops tmn_no_alloc_ops;
extern const struct mmu_notifier_ops tmn_no_free_ops;
extern const struct mmu_interval_notifier_ops tmn_empty_ops;
extern const struct mmu_interval_notifier_ops tmn_no_finish_ops;
extern struct mutex tmn_get_lock;
extern struct tmn_slot *tmn_get_slot;

void tmn_fill_ops(struct mmu_notifier_ops *ops, const struct tmn_register *cfg);
void tmn_pass_gate(struct tmn_slot *slot, u32 gate,
		   const struct mmu_notifier_range *range);
void tmn_free_rcu(struct rcu_head *rcu);

static inline struct tmn_slot *tmn_slot_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct tmn_list, mn)->slot;
}

static inline bool tmn_is_interval(const struct tmn_register *cfg)
{
	return cfg->kind == TMN_INTERVAL || cfg->kind == TMN_INTERVAL_TWO_PASS;
}

/* test_mmu_notifier_calls.c */
int tmn_try_register(struct tmn_slot **slot, u32 what);
int tmn_do_unregister(struct tmn_slot *slot, struct tmn_wait *wait);
void tmn_unregister_all(struct tmn_slot *slot);
int tmn_read_begin(struct tmn_slot *slot, struct tmn_wait *wait);
int tmn_read_retry(struct tmn_slot *slot, struct tmn_wait *wait);
int tmn_wait_timed(struct tmn_slot *slot, struct tmn_wait *wait);
int tmn_make_call(struct tmn_slot *slot, u32 what);
int tmn_call_from(struct tmn_file *file, const struct tmn_call *call);

/* test_mmu_notifier_mirror.c */
bool tmn_can_mirror(const struct tmn_register *cfg);
void tmn_unmap(struct tmn_slot *slot, unsigned long start, unsigned long end);
int tmn_mirror_start(struct tmn_slot *slot, const struct mmu_notifier_range *range);
int tmn_map(struct tmn_slot *slot, const struct tmn_page *map);
int tmn_check(struct tmn_slot *slot, const struct tmn_page *check);

/* test_mmu_notifier_bulk.c */
int tmn_bulk_register(struct tmn_file *file, const struct tmn_bulk_register *cfg);
int tmn_bulk_unregister_all(struct tmn_file *file);
int tmn_bulk_stats(struct tmn_file *file, struct tmn_bulk_stats *stats);
void tmn_bulk_free(struct tmn_bulk *bulk);

#endif /* _LIB_TEST_MMU_NOTIFIER_H */
