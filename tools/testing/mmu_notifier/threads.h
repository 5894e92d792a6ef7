/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The altered part of kernel.h, for threads: marked accesses are C11's atomics, so
 * that TSan knows them, locks are those of POSIX, and SRCU, completions and the
 * clock are in standins.c.
 */
#ifndef _MMU_NOTIFIER_THREADS_H
#define _MMU_NOTIFIER_THREADS_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task {
	const char *comm;
	int pid;
	/* what it does, and whether that is to sleep until another thread acts */
	const char *op;
	bool sleeps, killed;
	uint8_t spins, non_block, readers, maps;
	unsigned int random;
};
extern __thread struct task *current;

void fail(const char *format, ...)
	__attribute__((__format__(__printf__, 1, 2), __noreturn__));
#define warned(condition) fail("WARNING: %s", condition)

#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (typeof(x))(v), __ATOMIC_RELAXED)

void *core_alloc(size_t size, const char *name);
void arena_free(const void *p);

/* With the thread that has it, for lockdep_assert_held() */
typedef struct spinlock { pthread_mutex_t mutex; const struct task *owner; } spinlock_t;
struct rw_semaphore {
	struct { pthread_rwlock_t rwlock; const struct task *owner; } lock;
};

void spin_lock_init(spinlock_t *lock);
void spin_lock(spinlock_t *lock);
bool spin_trylock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
void init_rwsem(struct rw_semaphore *sem);
void down_read(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);
#define lock_is_held(l) (READ_ONCE((l)->owner) == current)
#define lockdep_is_held(l) lock_is_held(l)
#define lockdep_assert_held(l) WARN_ON(!lockdep_is_held(l))

/* The explorer sees to the order of locks, and to lost ends. */
struct lockdep_map { const char *name; };
#define CONFIG_LOCKDEP 1
#define lock_map_acquire(m) do { } while (0)
#define lock_map_release(m) do { } while (0)
#define lock_map_acquire_read(m) do { } while (0)
#define lock_acquire(m, subclass, trylock, read, check, nest, ip) do { } while (0)
#define lock_release(m, ip) do { } while (0)
#define _THIS_IP_ 0UL
#define might_lock(s) do { } while (0)
void may_sleep(const char *who);
#define might_sleep() may_sleep(__func__)
#define non_block_start() ((void)current->non_block++)
#define non_block_end() ((void)current->non_block--)

struct completion { unsigned int done; };
#define init_completion(x) ((void)((x)->done = 0))
#define DECLARE_COMPLETION_ONSTACK(x) struct completion x = { 0 }
void complete(struct completion *x);
void complete_all(struct completion *x);
enum { SLEEP_KILLABLE = 1, SLEEP_TIMED = 2 };
long completion_wait(struct completion *x, int how, long timeout);
void task_kill(struct task *task);
#define fatal_signal_pending(t) READ_ONCE((t)->killed)

/* One for all conditions: what wakes one wakes all, and they look again. */
typedef struct { char unused; } wait_queue_head_t;
#define init_waitqueue_head(q) do { } while (0)
void queue_lock(void);
void queue_sleep(void);
void queue_unlock(void);
void queue_wake(void);
#define wake_up_all(q) queue_wake()
#define wake_up(q) queue_wake()
#define wait_event(q, condition) do {					\
	may_sleep("wait_event");					\
	queue_lock();							\
	while (!(condition))						\
		queue_sleep();						\
	queue_unlock();							\
} while (0)

/* In milliseconds */
unsigned long jiffies_now(void);
#define jiffies jiffies_now()
#define HZ 1000
/* No wait lasts so long that it reports its holder. */
#define sysctl_hung_task_timeout_secs 3600
#define task_struct task
#define get_task_struct(t) ((void)(t))
#define put_task_struct(t) ((void)(t))
#define sched_show_task(t) ((void)(t))

/*
 * Of a reader, the grace period sees what it did, and not the other way round: an
 * order between readers would hide races from TSan.
 */
struct srcu_struct { unsigned long index, locks[2], unlocks[2]; pthread_mutex_t mutex; };
#define DEFINE_SRCU(s) struct srcu_struct s = { .mutex = PTHREAD_MUTEX_INITIALIZER }
#define DEFINE_STATIC_SRCU(s) static DEFINE_SRCU(s)
#endif
