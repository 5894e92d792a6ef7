// SPDX-License-Identifier: GPL-2.0
/*
 * The core with threads for real, for TSan and ASan. In each round some threads do
 * what they like with one mm: each has a driver of either kind, all share one more,
 * and the last to leave makes the mm exit while the others take down what they have.
 *
 * The oracles: no driver has mapped a page that was freed; a callback of what is gone
 * is a use after free; what is not ordered is a data race; starts and ends are counted;
 * a driver that is gone has nothing mapped; what was put is freed; and when every thread
 * sleeps, they do so for ever.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"
#include <linux/mmu_notifier.h>
#include <core/has.h>

#define MAX_THREADS 8
#define PAGES 4
#define PAGE 4096UL
#define ADDRESS(page) (0x10000UL + (page) * PAGE)
#define STEPS 40
#define MAX_PAGES (MAX_THREADS * (STEPS + 4) * PAGES)
/* without a step of any thread, and all of them asleep */
#define HANGS 10

/* A driver of one kind or the other: what it has mapped, below its lock */
struct driver {
	spinlock_t lock;
	unsigned long sptes[PAGES];
	unsigned int flags;
	/* of a plain notifier: starts without their end, and ends */
	unsigned long active, ends;
	bool is_in, is_gone;
	union {
		struct mmu_interval_notifier interval;
		struct mmu_notifier list;
	};
	struct rcu_head rcu;
};

enum { TWO_PASS = 1, MAY_FAIL = 2, LOCKED = 4, TRACKS = 8, TLB = 16 };

/* Not in each core */
int mmu_interval_read_begin_timeout(struct mmu_interval_notifier *sub,
				    unsigned long *seq, unsigned long deadline) __weak;
bool mmu_notifier_range_is_valid(struct mm_struct *mm, unsigned long start,
				 unsigned long end) __weak;
void mmu_notifier_range_wait_valid(struct mm_struct *mm, unsigned long start,
				   unsigned long end) __weak;
int mmu_notifier_range_wait_valid_timeout(struct mm_struct *mm, unsigned long start,
					  unsigned long end, unsigned long deadline) __weak;
void mmu_notifier_unregister_no_release(struct mmu_notifier *subscription,
					struct mm_struct *mm) __weak;
void mmu_notifier_call_srcu(struct rcu_head *rcu, rcu_callback_t func) __weak;

static struct task workers[MAX_THREADS];
static unsigned int nr_threads = 6;
static unsigned long steps;
static unsigned long rounds, end;
static bool is_over;
static pthread_barrier_t barrier_of_all;

/* Of this round */
static struct mm_struct *mm;
static struct rw_semaphore rmap;
static bool mapped;
/* Pages have a number, and are live or not. */
static unsigned long pages;
static bool live[MAX_PAGES];
static struct driver *shared;
static unsigned int drivers;

static unsigned int any(unsigned int n)
{
	current->random = current->random * 1664525 + 1013904223;
	return (current->random >> 16) % n;
}

static void step(const char *op)
{
	WRITE_ONCE(current->op, op);
	__atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
}

/* The mm */

/*
 * A driver looks at a page that it has mapped, drops it, and unlinks its notifier; who
 * finds the list empty frees the page. That this is an order, the kernel's memory model
 * says, and not C's, so marked accesses: see litmus/unlink-page.litmus.
 */
static unsigned long page_alloc(void)
{
	unsigned long page = __atomic_add_fetch(&pages, 1, __ATOMIC_RELAXED);

	if (page >= MAX_PAGES)
		fail("more than %d pages", MAX_PAGES);
	WRITE_ONCE(live[page], true);
	return page;
}

static void page_free(unsigned long *pte)
{
	unsigned long page = __atomic_exchange_n(pte, 0, __ATOMIC_RELAXED);

	WRITE_ONCE(live[page], false);
}

static void fault_in(unsigned int page)
{
	unsigned long new, none = 0;

	/* As the mmap_lock keeps the mm from exiting, or a reference does */
	if (READ_ONCE(mm->pte[page]))
		return;
	new = page_alloc();
	if (!__atomic_compare_exchange_n(&mm->pte[page], &none, new, 0, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		page_free(&new);
}

void mmdrop(struct mm_struct *mm)
{
	if (!atomic_dec_and_test(&mm->mm_count))
		return;
	mmu_notifier_subscriptions_destroy(mm);
	free(mm);
}

void mmput(struct mm_struct *mm)
{
	unsigned int page;

	if (!atomic_dec_and_test(&mm->mm_users))
		return;
	mmu_notifier_release(mm);
	down_write(&rmap);
	mapped = false;
	up_write(&rmap);
	for (page = 0; page < PAGES; page++)
		page_free(&mm->pte[page]);
	mmdrop(mm);
}

int mm_take_all_locks(struct mm_struct *mm)
{
	if (!any(16))
		return -EINTR;
	down_write(mm->rmap);
	return 0;
}

void mm_drop_all_locks(struct mm_struct *mm)
{
	up_write(mm->rmap);
}

/* Truncation comes by the file, so the mm may have no users. */
static void invalidate(unsigned int first, unsigned int last, bool nonblock)
{
	struct mmu_notifier_range range;
	unsigned int page;
	int ret = 0;

	down_read(&rmap);
	if (!mapped) {
		up_read(&rmap);
		return;
	}
	memset(&range, 0x5a, sizeof(range));
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm, ADDRESS(first),
				ADDRESS(last + 1));
	if (nonblock)
		ret = mmu_notifier_invalidate_range_start_nonblock(&range);
	else
		mmu_notifier_invalidate_range_start(&range);
	if (!ret) {
		for (page = first; page <= last; page++)
			page_free(&mm->pte[page]);
		mmu_notifier_arch_invalidate_secondary_tlbs(mm, range.start, range.end);
		mmu_notifier_invalidate_range_end(&range);
	}
	up_read(&rmap);
}

/* Drivers */

static struct driver *driver_new(unsigned int flags)
{
	struct driver *driver = malloc(sizeof(*driver));

	/* The core initialises what it needs. */
	memset(driver, 0x5a, sizeof(*driver));
	spin_lock_init(&driver->lock);
	memset(driver->sptes, 0, sizeof(driver->sptes));
	driver->flags = flags;
	driver->active = driver->ends = 0;
	driver->is_in = driver->is_gone = false;
	__atomic_fetch_add(&drivers, 1, __ATOMIC_RELAXED);
	return driver;
}

static void driver_free(struct driver *driver)
{
	unsigned int page;

	spin_lock(&driver->lock);
	for (page = 0; page < PAGES; page++)
		if (driver->sptes[page])
			fail("a driver that is gone has mapped a page");
	spin_unlock(&driver->lock);
	pthread_mutex_destroy(&driver->lock.mutex);
	free(driver);
	__atomic_fetch_sub(&drivers, 1, __ATOMIC_RELAXED);
}

/* With its lock held: looks at what it has mapped. */
static void use(struct driver *driver)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++)
		if (driver->sptes[page] && !READ_ONCE(live[driver->sptes[page]]))
			fail("a driver has mapped a page that was freed");
}

static void unmap(struct driver *driver, unsigned long start, unsigned long end)
{
	unsigned int page;

	use(driver);
	for (page = 0; page < PAGES; page++)
		if (start < ADDRESS(page + 1) && end > ADDRESS(page))
			driver->sptes[page] = 0;
}

/* It maps nothing any more either. */
static void drop(struct driver *driver)
{
	spin_lock(&driver->lock);
	driver->is_gone = true;
	unmap(driver, 0, ULONG_MAX);
	spin_unlock(&driver->lock);
}

struct finish {
	struct mmu_interval_notifier_finish finish;
	unsigned long start, end;
};

static bool interval_start(struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range, unsigned long seq,
			   struct mmu_interval_notifier_finish **finish)
{
	struct driver *driver = container_of(notifier, struct driver, interval);
	struct finish *f;

	if (mmu_notifier_range_blockable(range))
		spin_lock(&driver->lock);
	else if (((driver->flags & MAY_FAIL) && !any(3)) || !spin_trylock(&driver->lock))
		return false;
	mmu_interval_set_seq(notifier, seq);
	if (finish && any(4)) {
		f = malloc(sizeof(*f));
		f->start = range->start;
		f->end = range->end;
		*finish = &f->finish;
	} else {
		unmap(driver, range->start, range->end);
	}
	spin_unlock(&driver->lock);
	return true;
}

static bool interval_invalidate(struct mmu_interval_notifier *notifier,
				const struct mmu_notifier_range *range, unsigned long seq)
{
	return interval_start(notifier, range, seq, NULL);
}

static void interval_finish(struct mmu_interval_notifier_finish *finish)
{
	struct finish *f = container_of(finish, struct finish, finish);
	struct driver *driver = container_of(finish->notifier, struct driver, interval);

	spin_lock(&driver->lock);
	unmap(driver, f->start, f->end);
	spin_unlock(&driver->lock);
	free(f);
}

static const struct mmu_interval_notifier_ops one_pass = { .invalidate = interval_invalidate };
static const struct mmu_interval_notifier_ops two_pass = {
	.invalidate_start = interval_start, .invalidate_finish = interval_finish,
};

static void interval_insert(struct driver *driver)
{
	const struct mmu_interval_notifier_ops *ops =
		driver->flags & TWO_PASS ? &two_pass : &one_pass;
	unsigned int first = any(PAGES), n = 1 + any(PAGES - first);
	int ret;

	if (driver->flags & LOCKED) {
		mmap_write_lock(mm);
		ret = mmu_interval_notifier_insert_locked(&driver->interval, mm, ADDRESS(first),
							  n * PAGE, ops);
		mmap_write_unlock(mm);
	} else {
		ret = mmu_interval_notifier_insert(&driver->interval, mm, ADDRESS(first),
						   n * PAGE, ops);
	}
	driver->is_in = !ret;
	driver->is_gone = false;
}

static bool read_begin(struct driver *driver, unsigned long *seq)
{
	if (mmu_interval_read_begin_timeout && !any(3))
		return !mmu_interval_read_begin_timeout(&driver->interval, seq,
							(jiffies + any(2)) ?: 1);
	*seq = mmu_interval_read_begin(&driver->interval);
	return true;
}

static void interval_fault(struct driver *driver)
{
	unsigned int page = (driver->interval.interval_tree.start - ADDRESS(0)) / PAGE;
	unsigned long seq, pte;

	if (!read_begin(driver, &seq))
		return;
	fault_in(page);
	pte = READ_ONCE(mm->pte[page]);
	spin_lock(&driver->lock);
	if (!mmu_interval_read_retry(&driver->interval, seq) && !driver->is_gone)
		driver->sptes[page] = pte;
	use(driver);
	spin_unlock(&driver->lock);
}

static void interval_remove(struct driver *driver)
{
	drop(driver);
	mmu_interval_notifier_remove(&driver->interval);
	driver->is_in = false;
}

static int list_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct driver *driver = container_of(notifier, struct driver, list);

	if (mmu_notifier_range_blockable(range))
		spin_lock(&driver->lock);
	else if (((driver->flags & MAY_FAIL) && !any(3)) || !spin_trylock(&driver->lock))
		return -EAGAIN;
	driver->active++;
	unmap(driver, range->start, range->end);
	spin_unlock(&driver->lock);
	return 0;
}

static void list_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct driver *driver = container_of(notifier, struct driver, list);

	spin_lock(&driver->lock);
	if (!driver->active)
		fail("an end is called without its start");
	driver->active--;
	driver->ends++;
	spin_unlock(&driver->lock);
}

static void list_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	drop(container_of(notifier, struct driver, list));
}

static bool list_young(struct mmu_notifier *notifier, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	struct driver *driver = container_of(notifier, struct driver, list);
	bool young;

	spin_lock(&driver->lock);
	use(driver);
	young = driver->sptes[0];
	spin_unlock(&driver->lock);
	return young;
}

static bool list_test_young(struct mmu_notifier *notifier, struct mm_struct *mm,
			    unsigned long address)
{
	return list_young(notifier, mm, address, address + PAGE);
}

static void list_flush(struct mmu_notifier *notifier, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	struct driver *driver = container_of(notifier, struct driver, list);

	spin_lock(&driver->lock);
	unmap(driver, start, end);
	spin_unlock(&driver->lock);
}

static void list_free(struct mmu_notifier *notifier)
{
	driver_free(container_of(notifier, struct driver, list));
}

static void list_free_rcu(struct rcu_head *rcu)
{
	driver_free(container_of(rcu, struct driver, rcu));
}

static struct mmu_notifier *list_alloc(struct mm_struct *mm)
{
	return &driver_new(0)->list;
}

static const struct mmu_notifier_ops list_ops = {
	.release = list_release, .free_notifier = list_free,
	.clear_flush_young = list_young, .clear_young = list_young,
	.test_young = list_test_young, .invalidate_range_start = list_start,
	.invalidate_range_end = list_end,
}, tracking_ops = {
#ifdef HAVE_TRACK_RANGES
	.track_ranges = true,
#endif
	.release = list_release, .free_notifier = list_free,
	.invalidate_range_start = list_start, .invalidate_range_end = list_end,
}, tlb_ops = {
	.release = list_release, .free_notifier = list_free,
	.arch_invalidate_secondary_tlbs = list_flush,
	.clear_young = list_young,
}, get_ops = {
	.release = list_release, .free_notifier = list_free, .alloc_notifier = list_alloc,
	.invalidate_range_start = list_start, .invalidate_range_end = list_end,
};

static void list_register(struct driver *driver)
{
	driver->list.ops = driver->flags & TLB ? &tlb_ops :
			   driver->flags & TRACKS ? &tracking_ops : &list_ops;
	driver->is_in = !mmu_notifier_register(&driver->list, mm);
}

static void list_fault(struct driver *driver)
{
	unsigned int page = any(PAGES);
	unsigned long pte, ends;

	/* KVM's protocol, which needs start and end */
	if (driver->flags & TLB)
		return;
	spin_lock(&driver->lock);
	ends = driver->ends;
	spin_unlock(&driver->lock);
	fault_in(page);
	pte = READ_ONCE(mm->pte[page]);
	spin_lock(&driver->lock);
	if (!driver->active && driver->ends == ends && !driver->is_gone)
		driver->sptes[page] = pte;
	use(driver);
	spin_unlock(&driver->lock);
}

/* In one of the ways that there are; it is freed. */
static void list_unregister(struct driver *driver)
{
	switch (any(3)) {
	case 0:
		step("unregister");
		mmu_notifier_unregister(&driver->list, mm);
		driver_free(driver);
		break;
	case 1:
		step("put");
		drop(driver);
		mmu_notifier_put(&driver->list);
		break;
	default:
		drop(driver);
		if (!mmu_notifier_unregister_no_release) {
			mmu_notifier_put(&driver->list);
			break;
		}
		step("unregister_no_release");
		mmu_notifier_unregister_no_release(&driver->list, mm);
		mmu_notifier_call_srcu(&driver->rcu, list_free_rcu);
	}
}

static void get_and_put(void)
{
	struct mmu_notifier *notifier = mmu_notifier_get(&get_ops, mm);
	struct driver *driver;

	if (IS_ERR(notifier))
		return;
	driver = container_of(notifier, struct driver, list);
	spin_lock(&driver->lock);
	use(driver);
	spin_unlock(&driver->lock);
	mmu_notifier_put(notifier);
}

/* Threads */

static void query(void)
{
	struct rw_semaphore *lock = any(2) ? &rmap : &mm->mmap_lock;
	unsigned int page = any(PAGES);

	step("query");
	if (any(2) && shared->is_in && mmu_notifier_range_wait_valid_timeout)
		mmu_notifier_range_wait_valid_timeout(mm, ADDRESS(page), ADDRESS(page + 1),
						      any(2) ? 0 : (jiffies + 1) ?: 1);
	else if (shared->is_in && mmu_notifier_range_is_valid) {
		mmu_notifier_range_wait_valid(mm, ADDRESS(page), ADDRESS(page + 1));
		mmu_notifier_range_is_valid(mm, ADDRESS(page), ADDRESS(page + 1));
	}
	/* Who asks holds a lock of the VMA or, when it walks the mm, the mmap_lock. */
	down_read(lock);
	mmu_notifier_test_young(mm, ADDRESS(page));
	mmu_notifier_clear_young(mm, ADDRESS(0), ADDRESS(PAGES));
	mmu_notifier_clear_flush_young(mm, ADDRESS(page), ADDRESS(page + 1));
	up_read(lock);
}

static void unmap_some(void)
{
	unsigned int first = any(PAGES);

	step("invalidate");
	invalidate(first, first + any(PAGES - first), !any(3));
}

/* One step of a thread; what it has of either kind, or NULL */
static void act(struct driver **interval, struct driver **list)
{
	switch (any(12)) {
	case 0 ... 2:
		unmap_some();
		break;
	case 3 ... 5:
		if (!*interval)
			*interval = driver_new(any(8));
		if (!(*interval)->is_in) {
			step("insert");
			interval_insert(*interval);
		} else {
			step("read");
			interval_fault(*interval);
		}
		break;
	case 6:
		if (!*interval || !(*interval)->is_in)
			break;
		step("remove");
		interval_remove(*interval);
		if (any(2))
			break;
		driver_free(*interval);
		*interval = NULL;
		break;
	case 7 ... 8:
		if (!*list)
			*list = driver_new(any(32));
		if (!(*list)->is_in) {
			step("register");
			list_register(*list);
		} else {
			step("fault");
			list_fault(*list);
		}
		break;
	case 9:
		if (*list && (*list)->is_in) {
			list_unregister(*list);
			*list = NULL;
		}
		break;
	case 10:
		step("read of the shared one");
		if (shared->is_in)
			interval_fault(shared);
		query();
		break;
	case 11:
		switch (any(4)) {
		case 0:
			step("synchronize");
			mmu_notifier_synchronize();
			break;
		case 1:
			step("kill");
			task_kill(&workers[any(nr_threads)]);
			break;
		default:
			step("get and put");
			get_and_put();
		}
		WRITE_ONCE(current->killed, false);
	}
}

static void take_down(struct driver *interval, struct driver *list)
{
	if (interval) {
		step("remove at the end");
		if (interval->is_in)
			interval_remove(interval);
		driver_free(interval);
	}
	if (list && list->is_in) {
		drop(list);
		list_unregister(list);
	} else if (list) {
		driver_free(list);
	}
}

static void play(void)
{
	struct driver *interval = NULL, *list = NULL;
	unsigned int i, n = 1 + any(STEPS);

	for (i = 0; i < n; i++)
		act(&interval, &list);
	/* Before it has left the mm, or after */
	if (any(2)) {
		take_down(interval, list);
		interval = list = NULL;
	}
	step("leave");
	mmput(mm);
	for (i = any(4); i; i--)
		unmap_some();
	take_down(interval, list);
}

static void round_begins(void)
{
	unsigned int i;

	mm = calloc(1, sizeof(*mm));
	atomic_set(&mm->mm_users, nr_threads);
	/* That of exit, that of the shared driver's owner */
	atomic_set(&mm->mm_count, 2);
	init_rwsem(&mm->mmap_lock);
	init_rwsem(&rmap);
	mm->rmap = &rmap;
	mapped = true;
	pages = 0;
	for (i = 0; i < PAGES; i++)
		mm->pte[i] = page_alloc();
	for (i = 0; i < nr_threads; i++)
		workers[i].killed = false;
	shared = driver_new(any(8) & ~LOCKED);
	if (any(2))
		interval_insert(shared);
}

static void round_ends(void)
{
	step("the end of a round");
	take_down(shared, NULL);
	mmu_notifier_synchronize();
	mmdrop(mm);
	if (drivers)
		fail("free_notifier() of %u is still to be called", drivers);
}

static void wait_for_all(void)
{
	step("the barrier");
	WRITE_ONCE(current->sleeps, true);
	pthread_barrier_wait(&barrier_of_all);
	WRITE_ONCE(current->sleeps, false);
}

/* What all of them share is made and taken down by the first. */
static void *work(void *arg)
{
	current = arg;
	for (;;) {
		if (current == workers) {
			is_over = time_after_eq(jiffies, end);
			if (!is_over)
				round_begins();
		}
		wait_for_all();
		if (is_over)
			return NULL;
		play();
		wait_for_all();
		if (current == workers) {
			round_ends();
			rounds++;
		}
	}
}

/* A slow machine is no failure: all have to be asleep. */
static void watch(void)
{
	unsigned long last = 0, idle = 0;
	unsigned int i, asleep;

	while (!time_after_eq(jiffies, end) || idle) {
		sleep(1);
		for (i = asleep = 0; i < nr_threads; i++)
			asleep += READ_ONCE(workers[i].sleeps);
		idle = READ_ONCE(steps) == last && asleep == nr_threads ? idle + 1 : 0;
		last = READ_ONCE(steps);
		if (idle < HANGS)
			continue;
		for (i = 0; i < nr_threads; i++)
			printf("%s: asleep in %s\n", workers[i].comm, READ_ONCE(workers[i].op));
		fail("asleep for ever");
	}
}

/* Of TSan: one report is enough. */
const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}

const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=1";
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
	static struct task task = { .comm = "main" };
	pthread_t threads[ARRAY_SIZE(names)];
	unsigned int seed, i;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: threads SECONDS [SEED [THREADS]]\n");
		return 2;
	}
	current = &task;
	end = jiffies + HZ * strtoul(argv[1], NULL, 10);
	seed = argc > 2 ? strtoul(argv[2], NULL, 10) : time(NULL);
	if (argc > 3)
		nr_threads = min_t(unsigned int, strtoul(argv[3], NULL, 10), ARRAY_SIZE(names));
	setvbuf(stdout, NULL, _IOLBF, 0);
	pthread_barrier_init(&barrier_of_all, NULL, nr_threads);
	for (i = 0; i < nr_threads; i++) {
		workers[i].comm = names[i];
		workers[i].pid = i + 1;
		workers[i].random = seed * MAX_THREADS + i;
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			fail("no thread");
	}
	watch();
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	printf("%lu rounds, %lu steps of %u threads, seed %u\n", rounds, steps, nr_threads, seed);
	return 0;
}
