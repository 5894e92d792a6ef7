/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What stands around the core: the mm, drivers that use notifiers as they should,
 * and a ledger that knows what must and what must not happen.
 */
#ifndef _MMU_NOTIFIER_DEVICE_H
#define _MMU_NOTIFIER_DEVICE_H

#include "kernel.h"
#include <linux/mmu_notifier.h>

/* What it looks at and changes is no access of the task that is running. */
#define ORACLE __attribute__((__no_sanitize_thread__))

#define NEW(type) ((type *)arena_alloc(sizeof(type), #type))

#define PAGES 4
#define PAGE 4096UL
#define ADDRESS(page) (0x10000UL + (page) * PAGE)
#define MAX_DEVICES 6

/* mm.c */
enum { NONBLOCK = 1, KEEP = 2, ZEROED = 4 };
extern struct mm_struct *mm;
void mm_create(void);
bool invalidate(unsigned int first, unsigned int last, unsigned int flags);
void fault_in(unsigned int page);

/*
 * ledger.c. A device is known by its number there: its memory may be gone.
 */
unsigned int ledger_device(const void *notifier, bool interval,
			   unsigned int first, unsigned int last);
void ledger_unpaired(unsigned int id);
void ledger_only_end(unsigned int id);
void ledger_comes(unsigned int id);
void ledger_is_in(unsigned int id);
void ledger_goes(unsigned int id);
void ledger_is_out(unsigned int id);
bool ledger_is_going(unsigned int id);

void ledger_range_begins(const struct mmu_notifier_range *range, bool nonblock);
void ledger_range_started(const struct mmu_notifier_range *range, int ret);
void ledger_range_ended(const struct mmu_notifier_range *range);
void ledger_invalidate(unsigned int id, const struct mmu_notifier_range *range);
void ledger_invalidate_fails(const struct mmu_notifier_range *range);
void ledger_start(unsigned int id, const struct mmu_notifier_range *range, int ret);
void ledger_end(unsigned int id, const struct mmu_notifier_range *range);
void ledger_release(unsigned int id);
void ledger_release_done(unsigned int id);
void ledger_exit(void);
void ledger_released(void);
void ledger_mm_gone(void);
void ledger_read_begun(unsigned int id, const unsigned long *now, unsigned long seq);
void ledger_wait_begins(unsigned long start, unsigned long end);
void ledger_wait_done(int ret, unsigned long deadline);
void ledger_call(unsigned int id, const char *what);
void ledger_finish(void);
void ledger_observe(void);
bool ledger_allows(const void *notifier);
bool ledger_demands(const void *notifier);
unsigned int ledger_demanded(bool interval);

/* core.c: what the core has, where it has number windows */
bool core_is_settled(void);
bool core_has(const void *notifier);
bool core_lists(const void *notifier);
const struct mmu_notifier_range *core_next(const struct mmu_notifier_range *range);
u64 core_seq(const struct mmu_notifier_range *range);

unsigned long page_alloc(void);
void page_free(unsigned long *pte);
void device_map(unsigned int id, unsigned int page, unsigned long pte);
void device_unmap(unsigned int id, unsigned long start, unsigned long end);

/* interval.c: a driver with an interval notifier */
enum {
	TWO_PASS = 1, MAY_FAIL = 2, NO_ALLOC = 4,
	/* fails where it must not */
	ERRORS = 128,
	/* is inserted with mmap_lock held */
	LOCKED = 256,
};
struct interval {
	struct mmu_interval_notifier notifier;
	struct mutex lock;
	unsigned int id;
	unsigned int flags;
	/* whose lock and mappings it uses, itself if no other's */
	struct interval *owner;
	bool closed;
};
extern struct interval *intervals[MAX_DEVICES];
struct interval *interval_create(unsigned int n, unsigned int first,
				 unsigned int last, unsigned int flags);
int interval_insert(struct interval *dev);
bool interval_fault(struct interval *dev, unsigned int page);
void interval_read(struct interval *dev);
int interval_fault_timeout(struct interval *dev, unsigned int page, unsigned long deadline);
/* Its callbacks get no further; wait until so many are there */
void interval_close(struct interval *dev, bool closed);
void interval_await(struct interval *dev, unsigned int n);
void interval_share(struct interval *dev, struct interval *owner);
void interval_drop(struct interval *dev);
void interval_remove(struct interval *dev);
void interval_destroy(struct interval *dev);

/* list.c: a driver with a notifier of the list, after KVM's */
enum { NO_END = 8, TRACKS = 16, TLB = 32, NO_START = 512, NO_RELEASE = 1024, FAILS = 2048 };
struct list_device {
	struct mmu_notifier notifier;
	struct mutex lock;
	unsigned int id;
	unsigned int flags;
	unsigned int active;
	unsigned long seq;
	/* what it must not do */
	void (*in_callback)(void), (*in_end)(void);
	struct rcu_head rcu;
	struct mmu_notifier_ops ops;
};
extern struct list_device *lists[MAX_DEVICES];
struct list_device *list_create(unsigned int n, unsigned int flags);
int list_register(struct list_device *dev);
bool list_fault(struct list_device *dev, unsigned int page);
void list_drop(struct list_device *dev);
void list_leave(struct list_device *dev);
void list_unregister(struct list_device *dev);
void list_no_release(struct list_device *dev);
void list_put(struct list_device *dev);
struct list_device *list_get(void);

/* Not in each core */
int mmu_interval_read_begin_timeout(struct mmu_interval_notifier *sub,
				    unsigned long *seq, unsigned long deadline) __weak;
int mmu_notifier_range_wait_valid_timeout(struct mm_struct *mm, unsigned long start,
					  unsigned long end, unsigned long deadline) __weak;
void mmu_notifier_unregister_no_release(struct mmu_notifier *subscription,
					struct mm_struct *mm) __weak;
void mmu_notifier_call_srcu(struct rcu_head *rcu, rcu_callback_t func) __weak;
extern struct lockdep_map __mmu_notifier_range_map __weak;
bool mmu_notifier_range_is_valid(struct mm_struct *mm, unsigned long start,
				 unsigned long end) __weak;
void mmu_notifier_range_wait_valid(struct mm_struct *mm, unsigned long start,
				   unsigned long end) __weak;
#endif
