// SPDX-License-Identifier: GPL-2.0
/*
 * What the core calls, for threads: locks that know their owner, completions,
 * SRCU with grace periods that wait and a thread that calls what was queued.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"

__thread struct task *current;

void fail(const char *format, ...)
{
	va_list args;

	flockfile(stdout);
	printf("%s: ", current ? current->comm : "main");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static unsigned int short_of_memory;

void *core_alloc(size_t size, const char *name)
{
	/* Now and then there is none. */
	if (__atomic_add_fetch(&short_of_memory, 1, __ATOMIC_RELAXED) % 64 == 0)
		return NULL;
	return calloc(1, size);
}

void arena_free(const void *p)
{
	free((void *)p);
}

void may_sleep(const char *who)
{
	if (current->spins || current->non_block)
		fail("it sleeps in %s where it must not", who);
}

void spin_lock_init(spinlock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->owner = NULL;
}

void spin_lock(spinlock_t *lock)
{
	pthread_mutex_lock(&lock->mutex);
	WRITE_ONCE(lock->owner, current);
	current->spins++;
}

bool spin_trylock(spinlock_t *lock)
{
	if (pthread_mutex_trylock(&lock->mutex))
		return false;
	WRITE_ONCE(lock->owner, current);
	current->spins++;
	return true;
}

void spin_unlock(spinlock_t *lock)
{
	if (!lockdep_is_held(lock))
		fail("it releases a lock that it does not hold");
	current->spins--;
	WRITE_ONCE(lock->owner, NULL);
	pthread_mutex_unlock(&lock->mutex);
}

/* Who writes must not starve: nobody takes one for reading twice. */
void init_rwsem(struct rw_semaphore *sem)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&sem->lock.rwlock, &attr);
	sem->lock.owner = NULL;
}

void down_read(struct rw_semaphore *sem)
{
	may_sleep(__func__);
	pthread_rwlock_rdlock(&sem->lock.rwlock);
}

void up_read(struct rw_semaphore *sem)
{
	pthread_rwlock_unlock(&sem->lock.rwlock);
}

void down_write(struct rw_semaphore *sem)
{
	may_sleep(__func__);
	pthread_rwlock_wrlock(&sem->lock.rwlock);
	WRITE_ONCE(sem->lock.owner, current);
}

void up_write(struct rw_semaphore *sem)
{
	WRITE_ONCE(sem->lock.owner, NULL);
	pthread_rwlock_unlock(&sem->lock.rwlock);
}

/*
 * A completion is gone as soon as its waiter knows that it is done, so what the
 * waiter sleeps on is not in it.
 */
static struct bucket {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
} buckets[16] = {
	[0 ... 15] = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER },
};

static struct bucket *bucket_of(const void *object)
{
	return &buckets[((uintptr_t)object >> 6) % ARRAY_SIZE(buckets)];
}

static void completed(struct completion *x, unsigned int done)
{
	struct bucket *bucket = bucket_of(x);

	pthread_mutex_lock(&bucket->mutex);
	if (x->done)
		fail("it completes what is completed already");
	x->done = done;
	pthread_cond_broadcast(&bucket->cond);
	pthread_mutex_unlock(&bucket->mutex);
}

void complete(struct completion *x) { completed(x, 1); }
void complete_all(struct completion *x) { completed(x, UINT_MAX); }

/* False if it is @end */
static bool bucket_sleep(struct bucket *bucket, const struct timespec *end)
{
	int error;

	if (end) {
		error = pthread_cond_clockwait(&bucket->cond, &bucket->mutex,
					       CLOCK_MONOTONIC, end);
		return !error;
	}
	WRITE_ONCE(current->sleeps, true);
	pthread_cond_wait(&bucket->cond, &bucket->mutex);
	WRITE_ONCE(current->sleeps, false);
	return true;
}

long completion_wait(struct completion *x, int how, long timeout)
{
	struct bucket *bucket = bucket_of(x);
	bool timed = (how & SLEEP_TIMED) && timeout != MAX_SCHEDULE_TIMEOUT;
	unsigned long end = jiffies + (timed ? timeout : 0);
	const struct timespec until = { end / HZ, end % HZ * (1000000000 / HZ) };
	long ret = 0;

	may_sleep(__func__);
	pthread_mutex_lock(&bucket->mutex);
	while (!x->done) {
		if ((how & SLEEP_KILLABLE) && fatal_signal_pending(current)) {
			ret = -ERESTARTSYS;
			break;
		}
		if (timed && time_after_eq(jiffies, end))
			break;
		bucket_sleep(bucket, timed ? &until : NULL);
	}
	if (x->done) {
		if (x->done != UINT_MAX)
			x->done--;
		ret = timed ? max((long)(end - jiffies), 1) : timeout;
	}
	pthread_mutex_unlock(&bucket->mutex);
	return ret;
}

/* A fatal signal */
void task_kill(struct task *task)
{
	unsigned int i;

	WRITE_ONCE(task->killed, true);
	for (i = 0; i < ARRAY_SIZE(buckets); i++) {
		pthread_mutex_lock(&buckets[i].mutex);
		pthread_cond_broadcast(&buckets[i].cond);
		pthread_mutex_unlock(&buckets[i].mutex);
	}
}

/* Wait queues: the base has one. */
static struct bucket queue = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

void queue_lock(void) { pthread_mutex_lock(&queue.mutex); }
void queue_unlock(void) { pthread_mutex_unlock(&queue.mutex); }
void queue_sleep(void) { bucket_sleep(&queue, NULL); }

void queue_wake(void)
{
	queue_lock();
	pthread_cond_broadcast(&queue.cond);
	queue_unlock();
}

unsigned long jiffies_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * HZ + t.tv_nsec / (1000000000 / HZ);
}

/* Barriers for the machine, and an order for TSan only where it is said. */
int srcu_read_lock(struct srcu_struct *srcu)
{
	int index = READ_ONCE(srcu->index) & 1;

	__atomic_fetch_add(&srcu->locks[index], 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
#ifndef __x86_64__
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
	current->readers++;
	return index;
}

void srcu_read_unlock(struct srcu_struct *srcu, int index)
{
	if (!current->readers--)
		fail("it ends an SRCU section and is in none");
	__atomic_fetch_add(&srcu->unlocks[index], 1, __ATOMIC_RELEASE);
}

bool srcu_read_lock_held(struct srcu_struct *srcu)
{
	return current->readers;
}

static bool has_readers(struct srcu_struct *srcu, int index)
{
	unsigned long unlocks = __atomic_load_n(&srcu->unlocks[index], __ATOMIC_SEQ_CST);

	return unlocks != __atomic_load_n(&srcu->locks[index], __ATOMIC_SEQ_CST);
}

static void wait_for_readers(struct srcu_struct *srcu, int index)
{
	const struct timespec moment = { .tv_nsec = 20000 };

	while (has_readers(srcu, index))
		nanosleep(&moment, NULL);
}

void synchronize_srcu(struct srcu_struct *srcu)
{
	int old;

	may_sleep(__func__);
	if (current->readers)
		fail("it waits for itself in %s", __func__);
	pthread_mutex_lock(&srcu->mutex);
	/* A reader that has read the index before the last flip may be late. */
	old = srcu->index & 1;
	wait_for_readers(srcu, !old);
	__atomic_fetch_add(&srcu->index, 1, __ATOMIC_SEQ_CST);
	wait_for_readers(srcu, old);
	pthread_mutex_unlock(&srcu->mutex);
}

void synchronize_srcu_expedited(struct srcu_struct *srcu)
{
	synchronize_srcu(srcu);
}

/* There is one srcu_struct. What was queued, oldest first, and how many ever were, and were called */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	struct rcu_head *first, **last;
	unsigned long queued, called;
	bool has_thread;
} callbacks = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

/* Never ends: it is a thread of the kernel. */
static void *call_callbacks(void *srcu)
{
	static struct task task = { .comm = "srcu", .random = 1 };
	struct rcu_head *head, *next;
	unsigned long n;

	current = &task;
	for (;;) {
		pthread_mutex_lock(&callbacks.mutex);
		while (!callbacks.first)
			pthread_cond_wait(&callbacks.cond, &callbacks.mutex);
		head = callbacks.first;
		callbacks.first = NULL;
		pthread_mutex_unlock(&callbacks.mutex);

		synchronize_srcu(srcu);
		for (n = 0; head; head = next, n++) {
			next = head->next;
			current->spins++;
			head->func(head);
			current->spins--;
		}
		pthread_mutex_lock(&callbacks.mutex);
		callbacks.called += n;
		pthread_cond_broadcast(&callbacks.cond);
		pthread_mutex_unlock(&callbacks.mutex);
	}
	return NULL;
}

void call_srcu(struct srcu_struct *srcu, struct rcu_head *head, rcu_callback_t func)
{
	pthread_t thread;

	head->next = NULL;
	head->func = func;
	pthread_mutex_lock(&callbacks.mutex);
	if (!callbacks.has_thread && pthread_create(&thread, NULL, call_callbacks, srcu))
		fail("no thread for SRCU");
	callbacks.has_thread = true;
	if (!callbacks.first)
		callbacks.last = &callbacks.first;
	*callbacks.last = head;
	callbacks.last = &head->next;
	callbacks.queued++;
	pthread_cond_broadcast(&callbacks.cond);
	pthread_mutex_unlock(&callbacks.mutex);
}

void srcu_barrier(struct srcu_struct *srcu)
{
	unsigned long queued;

	may_sleep(__func__);
	pthread_mutex_lock(&callbacks.mutex);
	for (queued = callbacks.queued; callbacks.called < queued; )
		pthread_cond_wait(&callbacks.cond, &callbacks.mutex);
	pthread_mutex_unlock(&callbacks.mutex);
}
