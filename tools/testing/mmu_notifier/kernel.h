/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mm/mmu_notifier.c, lib/rbtree.c, lib/interval_tree.c and lib/llist.c find
 * instead of the kernel's headers. These headers are taken from the kernel as
 * they are: list, rculist, llist, rbtree*, interval_tree* and mmu_notifier.
 * Everything else is below, sorted as in tools/testing/vma: what does nothing,
 * what is copied, and what is altered so that the explorer sees it. With THREADS,
 * what is altered so that threads can use it comes from threads.h.
 */
#ifndef _MMU_NOTIFIER_KERNEL_H
#define _MMU_NOTIFIER_KERNEL_H

#define __KERNEL__ 1
#define CONFIG_MMU_NOTIFIER 1
#define CONFIG_PROVE_RCU_LIST 1

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>

/* The explorer's, or those for threads, which have their own place below as well */
#ifdef THREADS
#include "threads.h"
#else
#include "explore.h"
#endif

/*
 * No-ops. They have no effect on the order of events.
 */
#define __rcu
#define __context_unsafe(comment)
#define __must_hold(lock)
#define __acquires(lock)
#define __releases(lock)
#define __uninitialized
#define __user
#define __must_check
#define __read_mostly
#define __init
#define EXPORT_SYMBOL(name)
#define EXPORT_SYMBOL_GPL(name)
#define MODULE_LICENSE(name)
#define might_alloc(gfp) do { } while (0)
#define pr_info(...) do { } while (0)
#define pr_info_ratelimited(...) do { } while (0)
/* Says nothing, but its arguments are used. */
static inline void told(const char *text, ...) { }
#define pr_warn(...) do { if (0) told(__VA_ARGS__); } while (0)
#define pr_warn_ratelimited(...) do { } while (0)
#define ASSERT_EXCLUSIVE_ACCESS(x) do { } while (0)
#define preempt_disable() do { } while (0)
#define preempt_enable() do { } while (0)
#define instrumentation_begin() do { } while (0)
#define GFP_KERNEL 0
#define GFP_NOWAIT 0
#define IS_ENABLED(option) 0
/* Nothing is traced. */
#define DEFINE_STATIC_KEY_FALSE(key) bool key
#define static_branch_unlikely(key) (*(key))
#define local_clock() 0UL
#define trace_mmu_notifier_start(range) do { } while (0)
#define trace_mmu_notifier_end(range) do { } while (0)
#define trace_mmu_notifier_callback(range, func, ret, duration) \
	((void)(func), (void)(duration))
#define trace_mmu_notifier_wait(...) told(__VA_ARGS__)
#define trace_mmu_notifier_wait_enabled() false
#define trace_mmu_notifier_register(mm, vmas, tracked, ret, duration) \
	((void)(tracked), (void)(duration))
#define trace_mmu_notifier_register_enabled() false
#define TASK_COMM_LEN 16
#define get_task_comm(buf, task) ((void)(buf), (void)(task))
/* The timer of a grace period, whose function only prints. */
struct timer_list { int unused; };
#define timer_setup_on_stack(timer, func, flags) ((void)(timer), (void)(func))
#define mod_timer(timer, expires) ((void)(expires))
#define timer_delete_sync(timer) do { } while (0)
#define timer_destroy_on_stack(timer) do { } while (0)

/*
 * Copied, to be kept in sync.
 */
/* Two that are neighbours must not be one granule of races.c. */
typedef uint32_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
typedef unsigned int gfp_t;
typedef int pid_t;
#define U64_MAX UINT64_MAX

#undef __always_inline
#define __always_inline inline __attribute__((__always_inline__))
#define noinline __attribute__((__noinline__))
#define __maybe_unused __attribute__((__unused__))
#define __weak __attribute__((__weak__))
#define __aligned(x) __attribute__((__aligned__(x)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ __volatile__("" : : : "memory")
#define BIT(n) (1UL << (n))
#define ULONG_CMP_GE(a, b) (ULONG_MAX / 2 >= (a) - (b))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))
#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#define static_assert _Static_assert
#define BUILD_BUG_ON(c) _Static_assert(!(c), #c)

#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) ((unsigned long)(x) >= (unsigned long)-MAX_ERRNO)
static inline void *ERR_PTR(long error) { return (void *)error; }
static inline long PTR_ERR(const void *ptr) { return (long)ptr; }
static inline bool IS_ERR(const void *ptr) { return IS_ERR_VALUE(ptr); }

#define LIST_POISON1 ((void *)0x100)
#define LIST_POISON2 ((void *)0x122)

struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};
typedef void (*rcu_callback_t)(struct rcu_head *head);

/*
 * Altered. All of them are either seen by the explorer through what the compiler
 * emits for a volatile or an atomic access (see access.c), or implemented in it.
 */
#ifndef THREADS
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#endif
#define data_race(expr) (expr)
#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n(p, (typeof(*(p)))(v), __ATOMIC_RELEASE)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_mb__after_spinlock() smp_mb()
/* An address dependency orders what is read through the pointer. */
#define rcu_dereference_raw(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define rcu_dereference_raw_check(p) rcu_dereference_raw(p)
#define rcu_dereference(p) rcu_dereference_raw(p)
#define rcu_dereference_check(p, c) rcu_dereference_raw(p)
#define rcu_dereference_protected(p, c) (p)
#define srcu_dereference(p, s) rcu_dereference_raw(p)
#define rcu_assign_pointer(p, v) \
	__atomic_store_n(&(p), (typeof(p))(v), __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(p, v) WRITE_ONCE(p, v)
#define xchg(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define cmpxchg(p, o, n) ({						\
	typeof(*(p)) __old = (o);					\
	__atomic_compare_exchange_n(p, &__old, n, 0, __ATOMIC_SEQ_CST,	\
				    __ATOMIC_SEQ_CST);			\
	__old; })
#define try_cmpxchg(p, o, n)						\
	__atomic_compare_exchange_n(p, o, n, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

typedef struct { int counter; } atomic_t;
#define atomic_read(v) READ_ONCE((v)->counter)
#define atomic_set(v, i) WRITE_ONCE((v)->counter, i)
#define atomic_inc(v) ((void)__atomic_fetch_add(&(v)->counter, 1, __ATOMIC_SEQ_CST))
#define atomic_dec_and_test(v) \
	(__atomic_fetch_sub(&(v)->counter, 1, __ATOMIC_SEQ_CST) == 1)

/* A warning is a failure, unless the program is about what warns. */
#define WARN_ON(c) ({							\
	bool __c = !!(c);						\
	if (unlikely(__c))						\
		warned(#c);						\
	unlikely(__c); })
#define WARN_ON_ONCE(c) WARN_ON(c)
#define WARN(c, ...) WARN_ON(c)
#define WARN_ONCE(c, ...) WARN_ON(c)
#define RCU_LOCKDEP_WARN(c, text) WARN_ON(c)
/* Neither a spinlock nor SRCU is RCU. */
#define rcu_read_lock_held() false
#define rcu_read_lock_any_held() false
#define BUG_ON(c) do { if (unlikely(c)) fail("BUG_ON(%s)", #c); } while (0)
#define BUG() fail("BUG()")
#define VM_WARN_ON(c) WARN_ON(c)
#define VM_WARN_ON_ONCE(c) WARN_ON(c)
#define VM_BUG_ON(c) BUG_ON(c)

/* Memory is not used twice, so that every later access is found. */
#define kzalloc(size, gfp) core_alloc(size, "memory")
#define kmalloc(size, gfp) kzalloc(size, gfp)
#define kzalloc_obj(type, ...) ((type *)core_alloc(sizeof(type), #type))
#define kmalloc_obj(type, ...) kzalloc_obj(type)
#define kfree(p) arena_free(p)

#define ERESTARTSYS 512
#define MAX_SCHEDULE_TIMEOUT LONG_MAX
#define MAX_JIFFY_OFFSET LONG_MAX
#define time_after(a, b) ((long)((b) - (a)) < 0)
#define time_before(a, b) time_after(b, a)
#define time_after_eq(a, b) ((long)((a) - (b)) >= 0)
#define time_before_eq(a, b) time_after_eq(b, a)
#define wait_for_completion(x) \
	((void)completion_wait(x, 0, MAX_SCHEDULE_TIMEOUT))
#define wait_for_completion_killable(x) \
	(completion_wait(x, SLEEP_KILLABLE, MAX_SCHEDULE_TIMEOUT) < 0 ? -ERESTARTSYS : 0)
#define wait_for_completion_timeout(x, timeout) \
	completion_wait(x, SLEEP_TIMED, timeout)
#define wait_for_completion_killable_timeout(x, timeout) \
	completion_wait(x, SLEEP_KILLABLE | SLEEP_TIMED, timeout)

#ifndef THREADS
typedef struct lock spinlock_t;
struct mutex { struct lock lock; };
struct rw_semaphore { struct lock lock; };
struct lockdep_map { const char *name; };
#define CONFIG_LOCKDEP 1

#define spin_lock_init(l) lock_init(l, #l, LOCK_SPINS)
#define spin_lock(l) lock_take(l, true)
#define spin_trylock(l) lock_try(l)
#define spin_unlock(l) lock_drop(l, true)
#define mutex_init(m) lock_init(&(m)->lock, #m, 0)
#define mutex_lock(m) lock_take(&(m)->lock, true)
#define mutex_trylock(m) lock_try(&(m)->lock)
#define mutex_unlock(m) lock_drop(&(m)->lock, true)
#define init_rwsem(s) lock_init(&(s)->lock, #s, 0)
#define down_read(s) lock_take(&(s)->lock, false)
#define up_read(s) lock_drop(&(s)->lock, false)
#define down_write(s) lock_take(&(s)->lock, true)
#define up_write(s) lock_drop(&(s)->lock, true)
#define lockdep_is_held(l) lock_is_held(l)
#define lockdep_assert_held(l) WARN_ON(!lock_is_held(l))
#define lock_map_acquire(m) lock_map((m)->name, true)
#define lock_map_release(m) lock_map((m)->name, false)
#define lock_map_acquire_read(m) lock_map_acquire(m)
/* Only of the map that adds no dependency. */
#define lock_acquire(m, subclass, trylock, read, check, nest, ip) lock_map_only(true)
#define lock_release(m, ip) lock_map_only(false)
#define _THIS_IP_ 0UL
#define might_lock(s) lock_might(&(s)->lock)
#define might_sleep() may_sleep(__func__)
#define non_block_start() ((void)current->non_block++)
#define non_block_end() ((void)current->non_block--)

typedef struct { u32 sleepers; } wait_queue_head_t;
struct completion { unsigned int done; wait_queue_head_t wait; };
#define init_waitqueue_head(q) ((q)->sleepers = 0)
#define wake_up_all(q) queue_wake(q, true)
#define wake_up(q) queue_wake(q, false)
#define wait_event_how(q, condition, text, how) ({			\
	int __ret = 0;							\
									\
	may_sleep("wait_event");					\
	while (!(condition)) {						\
		queue_add(&(q));					\
		if (condition) {					\
			__ret = 0;					\
			break;						\
		}							\
		if (__ret)						\
			break;						\
		__ret = queue_sleep(&(q), text, how);			\
	}								\
	queue_del(&(q));						\
	__ret; })
#define wait_event(q, condition) ((void)wait_event_how(q, condition, #condition, 0))
#define wait_event_killable(q, condition) \
	(wait_event_how(q, condition, #condition, SLEEP_KILLABLE) ? -ERESTARTSYS : 0)
#define wait_event_timeout(q, condition, timeout) \
	(wait_event_how(q, condition, #condition, SLEEP_TIMED) ? 0 : (timeout))

/* Timers move it. */
extern unsigned long jiffies;
#define HZ 1
/*
 * A wait that lasts longer reports its holder. So long that no wait has a timer
 * because of it, but in the programs that are about this.
 */
extern unsigned long sysctl_hung_task_timeout_secs;
#define task_struct task
/* In the report, while the range is listed: its thread has to be there. */
#define get_task_struct(t) stall_holder(t)
#define put_task_struct(t) do { } while (0)
#define sched_show_task(t) point("stall", t, NULL)

#define init_completion(x) ((x)->done = 0, init_waitqueue_head(&(x)->wait))
#define DECLARE_COMPLETION_ONSTACK(x) struct completion x = { 0 }
#define complete(x) completion_complete(x, false)
#define complete_all(x) completion_complete(x, true)
#define completion_done(x) (READ_ONCE((x)->done) != 0)

#define TASK_RUNNING 0
#define TASK_UNINTERRUPTIBLE 0
#define TASK_KILLABLE SLEEP_KILLABLE
#define fatal_signal_pending(t) READ_ONCE((t)->killed)

struct srcu_struct { const char *name; };
#define DEFINE_SRCU(s) struct srcu_struct s = { #s }
#define DEFINE_STATIC_SRCU(s) static struct srcu_struct s = { #s }
#endif /* !THREADS */

#include <linux/list.h>
#include <linux/rbtree_types.h>
#include <linux/llist.h>
#include <linux/rculist.h>

struct mm_struct {
	atomic_t mm_users;
	atomic_t mm_count;
	struct mmu_notifier_subscriptions *notifier_subscriptions;
	struct rw_semaphore mmap_lock;
	/*
	 * For i_mmap_rwsem, anon_vma->rwsem and the lock of the VMA: a range
	 * holds it for reading from before its start to after its end,
	 * mm_take_all_locks() holds it for writing. It outlives the mm.
	 */
	struct rw_semaphore *rmap;
	/* a fatal one, for mm_take_all_locks() */
	bool signal_pending;
	unsigned long pte[4];
};

#define current_comm() (current->comm)
#define task_pid_nr(t) ((t)->pid)
#define mmap_write_lock(mm) down_write(&(mm)->mmap_lock)
#define mmap_write_unlock(mm) up_write(&(mm)->mmap_lock)
#define mmap_assert_write_locked(mm) WARN_ON(!lock_is_held(&(mm)->mmap_lock.lock))
#define mmgrab(mm) atomic_inc(&(mm)->mm_count)
#define mmget(mm) atomic_inc(&(mm)->mm_users)

void mmdrop(struct mm_struct *mm);
void mmput(struct mm_struct *mm);
int mm_take_all_locks(struct mm_struct *mm);
void mm_drop_all_locks(struct mm_struct *mm);

int srcu_read_lock(struct srcu_struct *srcu);
void srcu_read_unlock(struct srcu_struct *srcu, int index);
bool srcu_read_lock_held(struct srcu_struct *srcu);
void synchronize_srcu(struct srcu_struct *srcu);
void synchronize_srcu_expedited(struct srcu_struct *srcu);
void call_srcu(struct srcu_struct *srcu, struct rcu_head *head, rcu_callback_t func);
void srcu_barrier(struct srcu_struct *srcu);

#endif
