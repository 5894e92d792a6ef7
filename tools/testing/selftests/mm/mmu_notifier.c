// SPDX-License-Identifier: GPL-2.0
/*
 * What mainline promises to the users of mmu notifiers, checked with the
 * notifiers of lib/test_mmu_notifier.c and events from real system calls.
 *
 * Run it through test_mmu_notifier.sh, which loads the module.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm_util.h"
#include <lib/test_mmu_notifier_uapi.h>

/*
 * Where a test may be waiting for something that a broken kernel never does. Much
 * longer than that takes, as a guest beside other work may hardly run at all.
 */
#define LIMIT_MS	30000
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

/* Values of enum mmu_notifier_event that a test names. */
#define MMU_NOTIFY_RELEASE	5

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* What an event is caused on, and which part of it is expected to change. */
struct area {
	char *map;
	size_t page;
	size_t len;
	char *changed;
	size_t changed_len;
	pid_t child;
};

static void *wait_for_others(void *barrier)
{
	pthread_barrier_wait(barrier);
	return NULL;
}

/*
 * The C library keeps the stacks of threads that have ended. So none has to be
 * mapped for a thread that is started while an invalidation is held, which on a
 * kernel without per-VMA locks holds the mmap_lock.
 */
static void keep_stacks(void)
{
	pthread_barrier_t barrier;
	pthread_t threads[8];
	pthread_attr_t attr;
	int i, n;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	pthread_setattr_default_np(&attr);
	pthread_barrier_init(&barrier, NULL, ARRAY_SIZE(threads));
	for (n = 0; n < (int)ARRAY_SIZE(threads); n++)
		if (pthread_create(&threads[n], NULL, wait_for_others, &barrier))
			abort();
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static int tmn_open(void)
{
	static bool kept;

	if (!kept)
		keep_stacks();
	kept = true;
	return open("/dev/test_mmu_notifier", O_RDWR | O_CLOEXEC);
}

/* An ioctl that returns -errno. */
static int tmn(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/* Returns the id, or -errno. */
static int tmn_register(int fd, unsigned int kind, unsigned int ops,
			unsigned int flags, void *start, size_t len)
{
	struct tmn_register reg = {
		.kind = kind,
		.ops = ops,
		.flags = flags,
		.start = (uintptr_t)start,
		.end = (uintptr_t)start + len,
	};
	int ret = tmn(fd, TMN_REGISTER, &reg);

	return ret < 0 ? ret : (int)reg.id;
}

static int tmn_unregister(int fd, int id)
{
	struct tmn_wait wait = { .id = id };

	return tmn(fd, TMN_UNREGISTER, &wait);
}

static struct tmn_stats tmn_stats(int fd, int id)
{
	struct tmn_stats stats = { .id = id };

	/* There is no answer that would not pass for some comparison. */
	if (tmn(fd, TMN_STATS, &stats))
		abort();
	return stats;
}

static int tmn_gate(int fd, int id, unsigned int closed)
{
	struct tmn_gate gate = { .id = id, .closed = closed };

	return tmn(fd, TMN_GATE, &gate);
}

static int tmn_at_gate(int fd, int id)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = LIMIT_MS };

	return tmn(fd, TMN_AT_GATE, &wait);
}

static int tmn_read_begin(int fd, int id, uint64_t *seq)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = LIMIT_MS };
	int ret = tmn(fd, TMN_READ_BEGIN, &wait);

	*seq = wait.seq;
	return ret;
}

static int tmn_read_retry(int fd, int id, uint64_t seq)
{
	struct tmn_wait wait = { .id = id, .seq = seq };

	return tmn(fd, TMN_READ_RETRY, &wait);
}

static int tmn_remove_timed(int fd, int id)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = LIMIT_MS };

	return tmn(fd, TMN_UNREGISTER, &wait);
}

static int tmn_map(int fd, int id, char *addr)
{
	struct tmn_page page = { .id = id, .timeout_ms = LIMIT_MS, .addr = (uintptr_t)addr };

	return tmn(fd, TMN_MAP, &page);
}

static int tmn_check(int fd, int id, char *addr)
{
	struct tmn_page page = { .id = id, .addr = (uintptr_t)addr };

	return tmn(fd, TMN_CHECK, &page);
}

/* Makes the call now, or lets the next callback of @from make it. */
static int tmn_call(int fd, int id, enum tmn_what what, enum tmn_where where, int from)
{
	struct tmn_call call = { .id = id, .what = what, .where = where, .from = from };

	return tmn(fd, TMN_CALL, &call);
}

/* Fills in the log; returns how many events there are, or -errno. */
static int tmn_events(int fd, int id, struct tmn_event *log)
{
	struct tmn_events events = {
		.id = id,
		.max = TMN_LOG_SIZE,
		.buffer = (uintptr_t)log,
	};
	int ret = tmn(fd, TMN_EVENTS, &events);

	return ret < 0 ? ret : (int)events.count;
}

/* How many events of a type contain [start, start + len) and succeeded. */
static int count_events(const struct tmn_event *log, int n, unsigned int type,
			const void *start, size_t len)
{
	uint64_t from = (uintptr_t)start, to = from + len;
	int i, count = 0;

	for (i = 0; i < n; i++)
		if (log[i].type == type && !log[i].ret &&
		    log[i].start <= from && log[i].end >= to)
			count++;
	return count;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static long read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n < 0 ? -errno : atol(text);
}

/* Something of the system that a test changes, and what it was before. */
struct knob {
	const char *path;
	char old[64];
};

static int knob_set(struct knob *knob, const char *path, const char *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int n;

	if (fd < 0)
		return -errno;
	n = read(fd, knob->old, sizeof(knob->old) - 1);
	close(fd);
	if (n < 0)
		return -errno;
	knob->old[n] = 0;
	knob->path = path;
	return write_text(path, text);
}

static void knob_restore(struct knob *knob)
{
	if (knob->path)
		write_text(knob->path, knob->old);
}

static bool have_swap(void)
{
	char text[512];
	int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	int n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	close(fd);
	if (n < 0)
		return false;
	text[n] = 0;
	/* A line of titles, and one for each area. */
	return strchr(text, '\n') && strchr(strchr(text, '\n') + 1, '\n');
}

static void *map_anon(size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A populated area of @len bytes, aligned to @align. */
static char *map_aligned(size_t len, size_t align, bool huge)
{
	char *map = map_anon(len + align);
	char *start;

	if (map == MAP_FAILED)
		return MAP_FAILED;
	start = (char *)(((uintptr_t)map + align - 1) & ~(align - 1));
	/* A kernel without huge pages knows neither. */
	if (madvise(start, len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) &&
	    (huge || errno != EINVAL))
		return MAP_FAILED;
	memset(start, 1, len);
	return start;
}

/* What most fixtures start with: a file, and four pages. */
static int set_up(int *fd, char **map, size_t *page)
{
	*fd = tmn_open();
	*page = getpagesize();
	*map = map_aligned(4 * *page, *page, false);
	return *fd < 0 || *map == MAP_FAILED ? -errno : 0;
}

/*
 * Changes what is in the page. A store, since an emulator of one CPU does atomic
 * operations in two steps: reading faults in the zero page, writing replaces it,
 * which is an invalidation that no test has asked for.
 */
static void poke(char *page)
{
	/* No char: not every architecture has atomics of a byte without a library. */
	static unsigned int value;

	__atomic_store_n(page, __atomic_add_fetch(&value, 1, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
}

/* Polls @get until it is at least @want, for LIMIT_MS * @factor. */
static long wait_until(long (*get)(void *), void *arg, long want, int factor)
{
	long ms, now = 0;

	for (ms = 0; ms < LIMIT_MS * factor; ms += 10) {
		now = get(arg);
		if (now < 0 || now >= want)
			break;
		usleep(10000);
	}
	return now;
}

/*
 * The events: prepare_x() before the notifiers are put on, cause_x() after.
 * They return 0 or -errno, -EOPNOTSUPP when this system has no such event.
 */

static int prepare_small(struct area *a)
{
	a->len = 4 * a->page;
	a->map = map_aligned(a->len, a->page, false);
	return a->map == MAP_FAILED ? -ENOMEM : 0;
}

static void changes(struct area *a, size_t from, size_t pages)
{
	a->changed = a->map + from * a->page;
	a->changed_len = pages * a->page;
}

static int sys(int ret)
{
	return ret < 0 ? -errno : 0;
}

static int cause_munmap(struct area *a)
{
	changes(a, 1, 1);
	return sys(munmap(a->changed, a->changed_len));
}

static int cause_mprotect(struct area *a)
{
	changes(a, 1, 2);
	return sys(mprotect(a->changed, a->changed_len, PROT_READ));
}

static int cause_dontneed(struct area *a)
{
	changes(a, 1, 2);
	return sys(madvise(a->changed, a->changed_len, MADV_DONTNEED));
}

static int cause_free(struct area *a)
{
	changes(a, 1, 2);
	return sys(madvise(a->changed, a->changed_len, MADV_FREE));
}

static int cause_mremap(struct area *a)
{
	void *to = map_anon(2 * a->page);

	if (to == MAP_FAILED)
		return -ENOMEM;
	changes(a, 1, 2);
	to = mremap(a->changed, a->changed_len, a->changed_len,
		    MREMAP_MAYMOVE | MREMAP_FIXED, to);
	return to == MAP_FAILED ? -errno : 0;
}

static void wait_child(struct area *a)
{
	if (a->child > 0) {
		kill(a->child, SIGKILL);
		waitpid(a->child, NULL, 0);
	}
	a->child = 0;
}

static int fork_child(struct area *a)
{
	a->child = fork();
	if (!a->child) {
		pause();
		_exit(0);
	}
	return sys(a->child);
}

static int cause_fork(struct area *a)
{
	changes(a, 0, 4);
	return fork_child(a);
}

static int prepare_cow(struct area *a)
{
	int ret = prepare_small(a);

	return ret ? ret : fork_child(a);
}

static int cause_cow(struct area *a)
{
	changes(a, 2, 1);
	poke(a->changed);
	return 0;
}

static int prepare_huge(struct area *a)
{
	a->len = read_pmd_pagesize();
	if (!a->len)
		return -EOPNOTSUPP;
	a->map = map_aligned(a->len, a->len, true);
	if (a->map == MAP_FAILED)
		return -ENOMEM;
	return check_huge_anon(a->map, a->len, 1, a->len) ? 0 : -EOPNOTSUPP;
}

/* The split is an event of its own, inside of the one that needs it. */
static int cause_thp_split(struct area *a)
{
	changes(a, 3, 1);
	return sys(madvise(a->changed, a->changed_len, MADV_DONTNEED));
}

static int prepare_collapse(struct area *a)
{
	a->len = read_pmd_pagesize();
	if (!a->len)
		return -EOPNOTSUPP;
	a->map = map_aligned(a->len, a->len, false);
	return a->map == MAP_FAILED ? -ENOMEM : 0;
}

static int cause_collapse(struct area *a)
{
	a->changed = a->map;
	a->changed_len = a->len;
	if (madvise(a->map, a->len, MADV_HUGEPAGE) ||
	    madvise(a->map, a->len, MADV_COLLAPSE))
		return -errno;
	return check_huge_anon(a->map, a->len, 1, a->len) ? 0 : -EIO;
}

static long merged_pages(void *unused)
{
	return read_number("/proc/self/ksm_merging_pages");
}

static int cause_ksm(struct area *a)
{
	struct knob sleep = { }, run = { };
	long merged;

	changes(a, 1, 1);
	if (madvise(a->map, a->len, MADV_MERGEABLE) ||
	    knob_set(&sleep, "/sys/kernel/mm/ksm/sleep_millisecs", "0") ||
	    knob_set(&run, "/sys/kernel/mm/ksm/run", "1"))
		return -EOPNOTSUPP;
	merged = wait_until(merged_pages, NULL, 2, 4);
	knob_restore(&run);
	knob_restore(&sleep);
	return merged >= 2 ? 0 : -ETIMEDOUT;
}

static int pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sys(sched_setaffinity(0, sizeof(set), &set));
}

/* Asks again each time, on another CPU: the page may be in the batch of one. */
static long swapped(void *arg)
{
	static int cpu;
	struct area *a = arg;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	bool swapped = fd >= 0 && pagemap_is_swapped(fd, a->changed);

	close(fd);
	if (!swapped) {
		pin_to(cpu++ % sysconf(_SC_NPROCESSORS_CONF));
		if (madvise(a->changed, a->changed_len, MADV_PAGEOUT))
			return -errno;
	}
	return swapped;
}

static int cause_pageout(struct area *a)
{
	if (!have_swap())
		return -EOPNOTSUPP;
	changes(a, 1, 1);
	return wait_until(swapped, a, 1, 1) == 1 ? 0 : -EIO;
}

static int cause_migration(struct area *a)
{
	void *pages[1];
	int node, status = -1;

	changes(a, 1, 1);
	pages[0] = a->changed;
	if (syscall(__NR_move_pages, 0, 1UL, pages, NULL, &node, 0) || node < 0)
		return -EOPNOTSUPP;
	node = !node;
	/* ENODEV: this was the only node. */
	if (syscall(__NR_move_pages, 0, 1UL, pages, &node, &status, 2) < 0)
		return errno == ENODEV ? -EOPNOTSUPP : -errno;
	return status == node ? 0 : -EIO;
}

static int cause_uffd_wp(struct area *a)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -EOPNOTSUPP;
	changes(a, 1, 2);
	reg.range.start = (uintptr_t)a->map;
	reg.range.len = a->len;
	wp.range.start = (uintptr_t)a->changed;
	wp.range.len = a->changed_len;
	ret = sys(ioctl(fd, UFFDIO_API, &api));
	if (ret == -EINVAL)
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = sys(ioctl(fd, UFFDIO_REGISTER, &reg));
	if (!ret)
		ret = sys(ioctl(fd, UFFDIO_WRITEPROTECT, &wp));
	close(fd);
	return ret;
}

/* Every kind of event gives pairs, nested, with ranges that contain it. */
FIXTURE(event) {
	int fd;
	struct area area;
	struct tmn_event log[TMN_LOG_SIZE];
};

FIXTURE_VARIANT(event) {
	int (*prepare)(struct area *a);
	int (*cause)(struct area *a);
	/* one range inside of another */
	bool nested;
};

FIXTURE_VARIANT_ADD(event, munmap) {
	.prepare = prepare_small,
	.cause = cause_munmap,
};

FIXTURE_VARIANT_ADD(event, mprotect) {
	.prepare = prepare_small,
	.cause = cause_mprotect,
};

FIXTURE_VARIANT_ADD(event, dontneed) {
	.prepare = prepare_small,
	.cause = cause_dontneed,
};

FIXTURE_VARIANT_ADD(event, free) {
	.prepare = prepare_small,
	.cause = cause_free,
};

FIXTURE_VARIANT_ADD(event, mremap) {
	.prepare = prepare_small,
	.cause = cause_mremap,
};

FIXTURE_VARIANT_ADD(event, fork) {
	.prepare = prepare_small,
	.cause = cause_fork,
};

FIXTURE_VARIANT_ADD(event, cow) {
	.prepare = prepare_cow,
	.cause = cause_cow,
};

FIXTURE_VARIANT_ADD(event, thp_split) {
	.prepare = prepare_huge,
	.cause = cause_thp_split,
	.nested = true,
};

FIXTURE_VARIANT_ADD(event, collapse) {
	.prepare = prepare_collapse,
	.cause = cause_collapse,
};

FIXTURE_VARIANT_ADD(event, ksm) {
	.prepare = prepare_small,
	.cause = cause_ksm,
};

FIXTURE_VARIANT_ADD(event, pageout) {
	.prepare = prepare_small,
	.cause = cause_pageout,
};

FIXTURE_VARIANT_ADD(event, migration) {
	.prepare = prepare_small,
	.cause = cause_migration,
};

FIXTURE_VARIANT_ADD(event, uffd_wp) {
	.prepare = prepare_small,
	.cause = cause_uffd_wp,
};

FIXTURE_SETUP(event)
{
	int ret;

	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->area.page = getpagesize();
	ret = variant->prepare(&self->area);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "no such event on this system");
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(event)
{
	wait_child(&self->area);
	close(self->fd);
}

/* Every operation is optional. */
static const unsigned int few_ops[] = {
	0, TMN_OP_START, TMN_OP_END, TMN_OP_RELEASE, TMN_OP_CLEAR_FLUSH_YOUNG,
	TMN_OP_CLEAR_YOUNG, TMN_OP_TEST_YOUNG, TMN_OP_SECONDARY,
};

#define FEW_OPS		((int)ARRAY_SIZE(few_ops))

TEST_F_TIMEOUT(event, pairs, 120)
{
	struct area *a = &self->area;
	struct tmn_stats stats;
	int few[FEW_OPS];
	int list[3], interval, two_pass, elsewhere, i, n, ret;
	size_t hole_len = a->page;
	char *hole;

	/* Never touched, so nothing can change here. */
	hole = mmap(NULL, hole_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, hole);
	for (i = 0; i < 3; i++) {
		list[i] = tmn_register(self->fd, TMN_LIST, TMN_OP_ALL, 0,
				       i ? a->map : NULL, i ? a->len : 0);
		ASSERT_GT(list[i], 0);
	}
	interval = tmn_register(self->fd, TMN_INTERVAL, 0, 0, a->map, a->len);
	ASSERT_GT(interval, 0);
	two_pass = tmn_register(self->fd, TMN_INTERVAL_TWO_PASS, 0, 0, a->map, a->len);
	ASSERT_GT(two_pass, 0);
	elsewhere = tmn_register(self->fd, TMN_INTERVAL, 0, 0, hole, hole_len);
	ASSERT_GT(elsewhere, 0);
	for (i = 0; i < FEW_OPS; i++) {
		few[i] = tmn_register(self->fd, TMN_LIST, few_ops[i], 0, NULL, 0);
		ASSERT_GT(few[i], 0);
	}

	ret = variant->cause(a);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "no such event on this system");
	ASSERT_EQ(0, ret);

	for (i = 0; i < 3; i++) {
		stats = tmn_stats(self->fd, list[i]);
		EXPECT_GT(stats.starts, 0);
		EXPECT_EQ(stats.starts, stats.ends);
		EXPECT_EQ(0, stats.open);
		EXPECT_EQ(0, stats.failed);
		EXPECT_EQ(0, stats.unmatched);
		EXPECT_EQ(0, stats.not_nested);
		n = tmn_events(self->fd, list[i], self->log);
		ASSERT_GT(n, 0);
		EXPECT_GT(count_events(self->log, n, TMN_EV_START, a->changed,
				       a->changed_len), 0);
		EXPECT_GT(count_events(self->log, n, TMN_EV_END, a->changed,
				       a->changed_len), 0);
	}
	if (variant->nested) {
		/* start, start, end, end */
		bool seen = false;

		for (i = 0; i + 1 < n; i++)
			seen |= self->log[i].type == TMN_EV_START &&
				self->log[i + 1].type == TMN_EV_START;
		EXPECT_TRUE(seen);
	}

	stats = tmn_stats(self->fd, interval);
	EXPECT_GT(stats.starts, 0);
	EXPECT_EQ(0, stats.unmatched);
	n = tmn_events(self->fd, interval, self->log);
	EXPECT_GT(count_events(self->log, n, TMN_EV_INVALIDATE, a->changed,
			       a->changed_len), 0);
	stats = tmn_stats(self->fd, two_pass);
	EXPECT_GT(stats.starts, 0);
	EXPECT_EQ(stats.starts, stats.finishes);
	stats = tmn_stats(self->fd, elsewhere);
	EXPECT_EQ(0, stats.starts);

	for (i = 0; i < FEW_OPS; i++) {
		stats = tmn_stats(self->fd, few[i]);
		EXPECT_EQ(few_ops[i] == TMN_OP_START, stats.starts > 0);
		EXPECT_EQ(few_ops[i] == TMN_OP_END, stats.ends > 0);
		EXPECT_EQ(0, tmn_unregister(self->fd, few[i]));
		stats = tmn_stats(self->fd, few[i]);
		EXPECT_EQ(few_ops[i] == TMN_OP_RELEASE, stats.releases);
		EXPECT_EQ(0, stats.late);
	}
}

/* Whether and where the accessed bit is asked for. */
FIXTURE(young) {
	int fd;
	int id;
	struct area area;
	struct knob knob;
};

FIXTURE_SETUP(young)
{
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->area.page = getpagesize();
	self->area.len = read_pmd_pagesize();
	if (!self->area.len)
		SKIP(return, "no transparent huge pages");
	self->area.map = map_aligned(self->area.len, self->area.len, false);
	ASSERT_NE(MAP_FAILED, self->area.map);
	self->id = tmn_register(self->fd, TMN_LIST, TMN_OP_ALL, 0,
				self->area.map, self->area.len);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(young)
{
	knob_restore(&self->knob);
	close(self->fd);
}

TEST_F(young, clear_young)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	int bitmap = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);
	uint64_t bits = ~0ULL, calls = 0;
	unsigned long pfn;
	size_t i;

	if (bitmap < 0)
		SKIP(return, "no CONFIG_IDLE_PAGE_TRACKING");
	ASSERT_GE(pagemap, 0);
	/* One that another CPU has yet to put on the LRU list is passed over. */
	for (i = 0; i < self->area.len && !calls; i += self->area.page) {
		pfn = pagemap_get_pfn(pagemap, self->area.map + i);
		ASSERT_NE(-1UL, pfn);
		ASSERT_EQ(8, pwrite(bitmap, &bits, 8, pfn / 64 * 8));
		calls = tmn_stats(self->fd, self->id).clear_young;
	}
	EXPECT_GT(calls, 0);
	close(bitmap);
	close(pagemap);
}

/* Reclaim asks what is in use before it takes it. */
static int make_cgroup(char *path, size_t len, const char *limit)
{
	char file[128];
	int ret;

	write_text("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	snprintf(path, len, "/sys/fs/cgroup/tmn-%d", getpid());
	if (mkdir(path, 0755))
		return -errno;
	snprintf(file, sizeof(file), "%s/memory.max", path);
	ret = limit ? write_text(file, limit) : sys(access(file, W_OK));
	if (ret)
		rmdir(path);
	return ret;
}

static int enter_cgroup(const char *path)
{
	char file[128];

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	return write_text(file, "0");
}

static void leave_cgroup(const char *path)
{
	enter_cgroup("/sys/fs/cgroup");
	rmdir(path);
}

TEST_F(young, clear_flush_young)
{
	char cgroup[64], file[128];
	char *fresh;
	int id;

	/* The multi-generational LRU looks around with clear_young() instead. */
	if (knob_set(&self->knob, "/sys/kernel/mm/lru_gen/enabled", "0") == -EPERM)
		SKIP(return, "cannot turn off the multi-generational LRU");
	if (!have_swap())
		SKIP(return, "no swap");
	if (make_cgroup(cgroup, sizeof(cgroup), NULL))
		SKIP(return, "no memory cgroup (v2) at /sys/fs/cgroup");
	ASSERT_EQ(0, enter_cgroup(cgroup)) {
		rmdir(cgroup);
	}
	/* The pages belong to the group that touches them first. */
	fresh = map_aligned(self->area.len, self->area.len, false);
	ASSERT_NE(MAP_FAILED, fresh);
	id = tmn_register(self->fd, TMN_LIST, TMN_OP_ALL, 0, fresh, self->area.len);
	EXPECT_GT(id, 0);
	snprintf(file, sizeof(file), "%s/memory.reclaim", cgroup);
	/* EAGAIN: fewer than asked for, which is all right here. */
	write_text(file, "1M");
	EXPECT_GT(tmn_stats(self->fd, id).flush_young, 0);
	leave_cgroup(cgroup);
}

struct counter {
	int fd;
	int id;
	struct area *area;
};

static long test_young_calls(void *arg)
{
	struct counter *c = arg;

	/* Old again, each time: khugepaged asks us only then. */
	madvise(c->area->map, c->area->len, MADV_COLD);
	return tmn_stats(c->fd, c->id).test_young;
}

TEST_F_TIMEOUT(young, test_young, 120)
{
	struct counter c = { self->fd, self->id, &self->area };

	/* Before khugepaged may look: it would collapse what is young. */
	ASSERT_EQ(0, madvise(self->area.map, self->area.len, MADV_COLD));
	if (knob_set(&self->knob,
		     "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "0"))
		SKIP(return, "no khugepaged");
	ASSERT_EQ(0, madvise(self->area.map, self->area.len, MADV_HUGEPAGE));
	EXPECT_GT(wait_until(test_young_calls, &c, 1, 12), 0);
}

/* Registration, the ways to take a notifier off, and what each calls. */
FIXTURE(lifetime) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_SETUP(lifetime)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(lifetime)
{
	close(self->fd);
}

static int touch(char *page, size_t len)
{
	poke(page);
	return sys(madvise(page, len, MADV_DONTNEED));
}

TEST_F(lifetime, unregister)
{
	int id = tmn_register(self->fd, TMN_LIST, TMN_OP_ALL, 0, NULL, 0);
	struct tmn_stats before, after;

	ASSERT_GT(id, 0);
	ASSERT_EQ(0, touch(self->map, self->page));
	before = tmn_stats(self->fd, id);
	EXPECT_GT(before.starts, 0);
	EXPECT_EQ(0, before.releases);
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	EXPECT_EQ(1, tmn_stats(self->fd, id).releases);
	ASSERT_EQ(0, touch(self->map, self->page));
	after = tmn_stats(self->fd, id);
	EXPECT_EQ(before.starts, after.starts);
	EXPECT_EQ(0, after.late);
	EXPECT_EQ(-ENOENT, tmn_unregister(self->fd, id));
}

/* put never calls release, and frees after the last callback has returned. */
TEST_F(lifetime, put)
{
	int id = tmn_register(self->fd, TMN_LIST_PUT, TMN_OP_ALL, 0, NULL, 0);
	struct tmn_sync sync = { .pending = ~0ULL };
	struct tmn_stats stats;

	ASSERT_GT(id, 0);
	ASSERT_EQ(0, touch(self->map, self->page));
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
	ASSERT_EQ(0, touch(self->map, self->page));
	stats = tmn_stats(self->fd, id);
	EXPECT_GT(stats.starts, 0);
	EXPECT_EQ(stats.starts, stats.ends);
	EXPECT_EQ(0, stats.releases);
	EXPECT_EQ(1, stats.frees);
	EXPECT_EQ(0, stats.late);
}

/* One notifier for an mm and ops, as long as anyone has it. */
TEST_F(lifetime, get)
{
	int id = tmn_register(self->fd, TMN_LIST_GET, TMN_OP_ALL, 0, NULL, 0);
	struct tmn_sync sync;
	struct tmn_mm mm;

	ASSERT_GT(id, 0);
	EXPECT_EQ(id, tmn_register(self->fd, TMN_LIST_GET, TMN_OP_ALL, 0, NULL, 0));
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &mm));
	EXPECT_EQ(1, mm.notifiers);
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
	EXPECT_EQ(0, tmn_stats(self->fd, id).frees);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_GT(tmn_stats(self->fd, id).starts, 0);
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
	EXPECT_EQ(1, tmn_stats(self->fd, id).frees);
	EXPECT_NE(id, tmn_register(self->fd, TMN_LIST_GET, TMN_OP_ALL, 0, NULL, 0));
}

static void *dontneed_thread(void *arg)
{
	struct area *a = arg;

	return (void *)(intptr_t)madvise(a->changed, a->changed_len, MADV_DONTNEED);
}

struct call {
	int fd;
	int id;
	int (*func)(int fd, int id);
	int ret;
	uint64_t seq;
	atomic_bool done;
};

static void *call_thread(void *arg)
{
	struct call *call = arg;

	call->ret = call->func(call->fd, call->id);
	atomic_store(&call->done, true);
	return NULL;
}

/* Long enough that a call which does not wait would be over. */
static bool still_waiting(struct call *call)
{
	usleep(300000);
	return !atomic_load(&call->done);
}

/* While a callback is held, @func does not return. */
static void expect_to_wait(struct __test_metadata *_metadata, int fd, char *page,
			   size_t len, int (*func)(int fd, int id))
{
	struct area a = { .changed = page, .changed_len = len };
	struct call call = { .fd = fd, .func = func };
	pthread_t invalidator, waiter;

	call.id = tmn_register(fd, TMN_LIST, TMN_OP_PAIR, 0, page, len);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, tmn_gate(fd, call.id, TMN_GATE_START));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &a));
	ASSERT_EQ(0, tmn_at_gate(fd, call.id));
	ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	/* What is off is not called again, however long that waits. */
	if (func == tmn_unregister) {
		ASSERT_EQ(0, touch(page, len));
		EXPECT_EQ(1, tmn_stats(fd, call.id).starts);
	}
	ASSERT_EQ(0, tmn_gate(fd, call.id, 0));
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(0, tmn_stats(fd, call.id).late);
}

TEST_F(lifetime, unregister_waits)
{
	expect_to_wait(_metadata, self->fd, self->map, self->page, tmn_unregister);
}

static int tmn_synchronize(int fd, int id)
{
	struct tmn_sync sync;

	return tmn(fd, TMN_SYNCHRONIZE, &sync);
}

/* Also when nothing is queued that would wait for it. */
TEST_F(lifetime, synchronize_waits)
{
	expect_to_wait(_metadata, self->fd, self->map, self->page, tmn_synchronize);
}

/* Exit frees no page while another thread is in a release(). */
TEST_F(lifetime, exit_waits)
{
	struct call call = { .fd = self->fd, .func = tmn_unregister };
	int ids[2], leave[2], status, i;
	struct tmn_stats stats;
	pthread_t thread;
	pid_t child;
	char byte;

	ASSERT_EQ(0, pipe(ids));
	ASSERT_EQ(0, pipe(leave));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		int id = tmn_register(self->fd, TMN_LIST, TMN_OP_ALL, 0, NULL, 0);

		close(leave[1]);
		_exit(write(ids[1], &id, sizeof(id)) != sizeof(id) ||
		      read(leave[0], &byte, 1));
	}
	close(ids[1]);
	ASSERT_EQ((int)sizeof(call.id), read(ids[0], &call.id, sizeof(call.id)));
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, tmn_gate(self->fd, call.id, TMN_GATE_RELEASE));
	ASSERT_EQ(0, pthread_create(&thread, NULL, call_thread, &call));
	ASSERT_EQ(0, tmn_at_gate(self->fd, call.id));
	close(leave[1]);
	/* Exit calls it as well, and passes. */
	for (i = 0; i < LIMIT_MS / 10 && !tmn_stats(self->fd, call.id).releases; i++)
		usleep(10000);
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).releases);
	EXPECT_TRUE(still_waiting(&call));
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG));
	ASSERT_EQ(0, tmn_gate(self->fd, call.id, 0));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, call.ret);
	stats = tmn_stats(self->fd, call.id);
	EXPECT_EQ(2, stats.releases);
	EXPECT_GT(stats.release_anon, 0);
	waitpid(child, &status, 0);
	EXPECT_EQ(0, status);
}

/*
 * Release comes once, while the pages are still there, and nothing after it.
 * The notifiers are put on by a child through the parent's file, which
 * outlives the child's mm.
 */
TEST_F(lifetime, release_at_exit)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_PUT };
	const size_t pages = 64;
	static struct tmn_event log[TMN_LOG_SIZE];
	struct tmn_stats stats;
	int i, n, status, releases;
	pid_t child;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		char *map = map_aligned(pages * self->page, self->page, false);

		for (i = 0; i < 2; i++)
			if (tmn_register(self->fd, kinds[i], TMN_OP_ALL, 0, NULL, 0) != i + 1)
				_exit(1);
		if (tmn_register(self->fd, TMN_INTERVAL, 0, 0, map, self->page) != 3 ||
		    tmn_register(self->fd, TMN_INTERVAL_TWO_PASS, 0, 0, map, self->page) != 4)
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	for (i = 1; i <= 2; i++) {
		stats = tmn_stats(self->fd, i);
		EXPECT_EQ(1, stats.releases);
		EXPECT_GE(stats.release_anon, pages);
		EXPECT_EQ(stats.starts, stats.ends);
		EXPECT_EQ(0, stats.open);
		n = tmn_events(self->fd, i, log);
		ASSERT_GT(n, 0);
		EXPECT_EQ(TMN_EV_RELEASE, log[n - 1].type);
	}
	for (i = 3; i <= 4; i++) {
		/* They stay on, and see the pages go as well. */
		releases = 0;
		n = tmn_events(self->fd, i, log);
		ASSERT_GT(n, 0);
		EXPECT_EQ(MMU_NOTIFY_RELEASE, log[0].reason);
		while (n--)
			releases += log[n].type == TMN_EV_INVALIDATE &&
				    log[n].reason == MMU_NOTIFY_RELEASE;
		EXPECT_EQ(1, releases);
	}
	stats = tmn_stats(self->fd, 4);
	EXPECT_EQ(stats.starts, stats.finishes);
	/* They are still to be taken off, and only that calls free. */
	EXPECT_EQ(0, tmn_stats(self->fd, 2).frees);
	for (i = 1; i <= 4; i++)
		EXPECT_EQ(0, tmn_unregister(self->fd, i));
	EXPECT_EQ(1, tmn_stats(self->fd, 1).releases);
}

/* The same with each operation alone, and with none. */
TEST_F(lifetime, few_ops_at_exit)
{
	struct utsname uts;
	int status, i;
	bool flushes;
	pid_t child;

	/* Not every architecture has such an event. */
	ASSERT_EQ(0, uname(&uts));
	flushes = strstr(uts.machine, "86") || strstr(uts.machine, "aarch64") ||
		  strstr(uts.machine, "riscv");

	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		for (i = 0; i < FEW_OPS; i++)
			if (tmn_register(self->fd, TMN_LIST_PUT, few_ops[i], 0, NULL, 0) != i + 1)
				_exit(1);
		/* This has to flush TLBs. */
		poke(self->map);
		_exit(munmap(self->map, self->page));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	for (i = 0; i < FEW_OPS; i++) {
		struct tmn_stats stats = tmn_stats(self->fd, i + 1);

		EXPECT_EQ(few_ops[i] == TMN_OP_RELEASE, stats.releases);
		EXPECT_EQ(few_ops[i] == TMN_OP_START, stats.starts > 0);
		EXPECT_EQ(few_ops[i] == TMN_OP_END, stats.ends > 0);
		EXPECT_EQ(few_ops[i] == TMN_OP_SECONDARY && flushes, stats.secondary > 0);
		EXPECT_EQ(0, tmn_unregister(self->fd, i + 1));
	}
}

/* Lets the Nth allocation of this thread from now on fail. */
static int fail_nth(int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	return write_text("/proc/thread-self/fail-nth", text);
}

/* No idle CPU keeps the mm that it borrowed when somebody else has run there. */
static void run_everywhere(void)
{
	int cpu, cpus = sysconf(_SC_NPROCESSORS_CONF);
	cpu_set_t before;

	if (sched_getaffinity(0, sizeof(before), &before))
		abort();
	for (cpu = 0; cpu < cpus; cpu++)
		if (!pin_to(cpu))
			sched_yield();
	sched_setaffinity(0, sizeof(before), &before);
}

/*
 * Makes idle CPUs give back the mm of this process that they have borrowed, and
 * that counts in mm_count for as long as they idle: a child, which has another
 * one, runs on each of them. On one CPU, where this process stays, no new one
 * can borrow it.
 */
static int return_borrowed(void)
{
	int ret = pin_to(sched_getcpu());
	pid_t child;

	if (ret)
		return ret;
	child = fork();
	if (!child) {
		run_everywhere();
		_exit(0);
	}
	return child > 0 && waitpid(child, NULL, 0) == child ? 0 : -ECHILD;
}

static int count_holders(int fd, struct tmn_mm *mm)
{
	int ret = return_borrowed();

	return ret ? ret : tmn(fd, TMN_MM, mm);
}

static bool nothing_left(int fd, const struct tmn_mm *before)
{
	struct tmn_mm after = { };
	int i;

	for (i = 0; i < LIMIT_MS / 100; i++) {
		if (!count_holders(fd, &after) && after.count <= before->count &&
		    after.notifiers == before->notifiers)
			return true;
		usleep(100000);
	}
	printf("# holders of the mm: %u, before %u; notifiers: %u, before %u\n",
	       after.count, before->count, after.notifiers, before->notifiers);
	return false;
}

enum failing {
	NOT_REACHED,	/* there are fewer allocations than that */
	FAILED,		/* the call failed, and left nothing behind */
	ABSORBED,	/* the call did without */
	BROKEN,
};

/* In a fresh mm: lets the nth allocation of a registration fail. */
static int register_failing(int fd, unsigned int kind, int nth, char *map, size_t len)
{
	bool list = kind < TMN_INTERVAL;
	unsigned int ops = list ? TMN_OP_ALL : 0;
	struct tmn_mm before;
	int ret, id;

	if (count_holders(fd, &before) || fail_nth(nth))
		return BROKEN;
	ret = tmn_register(fd, kind, ops, 0, map, len);
	if (read_number("/proc/thread-self/fail-nth") > 0) {
		fail_nth(0);
		return ret > 0 ? NOT_REACHED : BROKEN + 1;
	}
	if (ret > 0)
		return ABSORBED;
	if (ret != -ENOMEM)
		return BROKEN + 2;
	if (!nothing_left(fd, &before))
		return BROKEN + 3;
	id = tmn_register(fd, kind, ops, 0, map, len);
	if (id <= 0 || touch(map, len) || !tmn_stats(fd, id).starts ||
	    tmn_unregister(fd, id))
		return BROKEN + 4;
	return FAILED;
}

TEST_F_TIMEOUT(lifetime, enomem, 120)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	struct knob gfp = { }, verbose = { };
	int i, nth, status, failures;

	if (access("/proc/thread-self/fail-nth", W_OK) ||
	    knob_set(&gfp, "/sys/kernel/debug/failslab/ignore-gfp-wait", "N") ||
	    knob_set(&verbose, "/sys/kernel/debug/failslab/verbose", "0"))
		SKIP(return, "no CONFIG_FAILSLAB, or no debugfs");
	for (i = 0; i < 3; i++) {
		failures = 0;
		for (nth = 1; nth < 100; nth++) {
			pid_t child = fork();

			ASSERT_GE(child, 0);
			if (!child) {
				int fd = tmn_open();

				if (fd < 0)
					_exit(BROKEN);
				_exit(register_failing(fd, kinds[i], nth,
						       self->map, self->page));
			}
			ASSERT_EQ(child, waitpid(child, &status, 0));
			ASSERT_TRUE(WIFEXITED(status));
			if (WEXITSTATUS(status) == NOT_REACHED)
				break;
			ASSERT_LT(WEXITSTATUS(status), BROKEN) {
				TH_LOG("kind %u, allocation %d", kinds[i], nth);
			}
			failures += WEXITSTATUS(status) == FAILED;
		}
		/* Of the module two, and the subscriptions of the mm. */
		EXPECT_GE(failures, 3);
		EXPECT_LT(nth, 100);
	}
	knob_restore(&verbose);
	knob_restore(&gfp);
}

static void on_alarm(int sig)
{
}

TEST_F(lifetime, eintr)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	/* More often than once: the first may come too early. */
	struct itimerval soon = {
		.it_value.tv_usec = 100000,
		.it_interval.tv_usec = 100000,
	};
	struct itimerval never = { };
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	struct tmn_mm before;
	int i, id;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	ASSERT_EQ(0, count_holders(self->fd, &before));
	for (i = 0; i < 3; i++) {
		unsigned int ops = kinds[i] < TMN_INTERVAL ? TMN_OP_ALL : 0;

		ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
		EXPECT_EQ(-EINTR, tmn_register(self->fd, kinds[i], ops,
					       TMN_F_AWAIT_SIGNAL, self->map, self->page));
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
		EXPECT_TRUE(nothing_left(self->fd, &before));
	}
	id = tmn_register(self->fd, TMN_LIST, TMN_OP_ALL, 0, self->map, self->page);
	ASSERT_GT(id, 0);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_GT(tmn_stats(self->fd, id).starts, 0);
}

/*
 * Who may call what from where: each legal cell of the table in
 * Documentation/mm/mmu_notifier.rst. What is forbidden, and detected, is in
 * misuse and splat.
 */
FIXTURE(rules) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(rules) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(rules, list) { TMN_LIST };
FIXTURE_VARIANT_ADD(rules, put) { TMN_LIST_PUT };
FIXTURE_VARIANT_ADD(rules, get) { TMN_LIST_GET };
FIXTURE_VARIANT_ADD(rules, call_srcu) { TMN_LIST_CALL };
FIXTURE_VARIANT_ADD(rules, interval) { TMN_INTERVAL };
FIXTURE_VARIANT_ADD(rules, two_pass) { TMN_INTERVAL_TWO_PASS };

static bool is_interval(unsigned int kind)
{
	return kind == TMN_INTERVAL || kind == TMN_INTERVAL_TWO_PASS;
}

static int tmn_prepare(int fd, unsigned int kind, void *start, size_t len)
{
	return tmn_register(fd, kind, is_interval(kind) ? 0 : TMN_OP_ALL,
			    TMN_F_PREPARE, start, len);
}

/* Ready to be called, and to make a call. */
static int tmn_caller(int fd, unsigned int kind, void *start, size_t len)
{
	return tmn_register(fd, kind, is_interval(kind) ? 0 : TMN_OP_ALL, 0, start, len);
}

FIXTURE_SETUP(rules)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(rules)
{
	close(self->fd);
}

TEST_F(rules, process_context)
{
	const enum tmn_where from[] = { TMN_IN_PROCESS, TMN_IN_MMAP_READ, TMN_IN_MMAP_WRITE };
	/* unregister waits for callbacks that can want mmap_lock */
	const int nr_from = variant->kind == TMN_LIST ? 1 : 3;
	struct tmn_sync sync;
	int locked, i, j, id;

	for (locked = 0; locked < 2; locked++) {
		for (i = 0; i < nr_from; i++) {
			id = tmn_prepare(self->fd, variant->kind, self->map, self->page);
			ASSERT_GT(id, 0);
			ASSERT_EQ(0, touch(self->map, self->page));
			EXPECT_EQ(0, tmn_stats(self->fd, id).starts);
			ASSERT_EQ(0, tmn_call(self->fd, id,
					      locked ? TMN_DO_PUT_ON_LOCKED : TMN_DO_PUT_ON,
					      locked ? TMN_IN_MMAP_WRITE : TMN_IN_PROCESS, 0));
			ASSERT_EQ(0, touch(self->map, self->page));
			EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
			for (j = 0; j < 3 && is_interval(variant->kind); j++)
				EXPECT_EQ(0, tmn_call(self->fd, id, TMN_DO_READ_BEGIN,
						      from[j], 0));
			ASSERT_EQ(0, tmn_call(self->fd, id, TMN_DO_TAKE_OFF, from[i], 0));
			ASSERT_EQ(0, touch(self->map, self->page));
			ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
			EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
			EXPECT_EQ(0, tmn_stats(self->fd, id).late);
		}
	}
}

/* Lets a callback of @from happen. */
static int cause_callback(int fd, int from, enum tmn_where where, char *page, size_t len)
{
	if (where == TMN_IN_RELEASE || where == TMN_IN_FREE)
		return tmn_unregister(fd, from);
	return touch(page, len);
}

/* A module that has notifiers when it is unloaded takes them off in its exit. */
TEST_F(rules, module_exit)
{
	struct tmn_mm before;
	int i;

	if (access("/sys/module/test_mmu_notifier/initstate", F_OK))
		SKIP(return, "the module is built in");
	ASSERT_EQ(0, count_holders(self->fd, &before));
	for (i = 0; i < 4; i++)
		ASSERT_GT(tmn_register(self->fd, variant->kind,
				       is_interval(variant->kind) ? 0 : TMN_OP_ALL,
				       TMN_F_AT_EXIT, self->map, self->page), 0);
	close(self->fd);
	ASSERT_EQ(0, touch(self->map, self->page));
	ASSERT_EQ(0, system("modprobe -r test_mmu_notifier"));
	ASSERT_EQ(0, touch(self->map, self->page));
	ASSERT_EQ(0, system("modprobe test_mmu_notifier"));
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	EXPECT_TRUE(nothing_left(self->fd, &before));
}

/* In ->release: called by unregister, and by exit. */
static void call_in_release(struct __test_metadata *_metadata, int fd,
			    unsigned int kind, char *map, size_t page)
{
	const enum tmn_what what[] = { TMN_DO_READ_BEGIN, TMN_DO_TAKE_OFF };
	int i, id, from, status, ids[2] = { };
	pid_t child;

	for (i = is_interval(kind) ? 0 : 1; i < 2; i++) {
		id = tmn_caller(fd, kind, map, page);
		ASSERT_GT(id, 0);
		from = tmn_caller(fd, TMN_LIST, map, page);
		ASSERT_GT(from, 0);
		ASSERT_EQ(0, tmn_call(fd, id, what[i], TMN_IN_RELEASE, from));
		ASSERT_EQ(0, tmn_unregister(fd, from));
		EXPECT_EQ(1, tmn_stats(fd, id).calls);
		EXPECT_EQ(0, tmn_stats(fd, id).call_ret);
		ASSERT_EQ(what[i] == TMN_DO_TAKE_OFF ? -ENOENT : 0,
			  tmn_unregister(fd, id));
		/* The ids that the child is going to get. */
		ids[i] = id;
	}
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		for (i = is_interval(kind) ? 0 : 1; i < 2; i++) {
			id = tmn_caller(fd, kind, map, page);
			from = tmn_caller(fd, TMN_LIST, map, page);
			if (id <= ids[1] || from <= id ||
			    tmn_call(fd, id, what[i], TMN_IN_RELEASE, from))
				_exit(0);
			if (i == 1)
				_exit(id);
		}
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	id = WEXITSTATUS(status);
	ASSERT_GT(id, 0);
	EXPECT_EQ(1, tmn_stats(fd, id).calls);
	EXPECT_EQ(0, tmn_stats(fd, id).call_ret);
	EXPECT_EQ(-ENOENT, tmn_unregister(fd, id));
	if (is_interval(kind)) {
		EXPECT_EQ(1, tmn_stats(fd, id - 2).calls);
		EXPECT_EQ(0, tmn_stats(fd, id - 2).call_ret);
	}
}

FIXTURE(putting) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(putting) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(putting, put) { TMN_LIST_PUT };
FIXTURE_VARIANT_ADD(putting, get) { TMN_LIST_GET };
FIXTURE_VARIANT_ADD(putting, call_srcu) { TMN_LIST_CALL };

FIXTURE_SETUP(putting)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(putting)
{
	close(self->fd);
}

/* These are for everywhere. A notifier can take itself off. */
TEST_F(putting, in_callbacks)
{
	const struct {
		enum tmn_where where;
		unsigned int kind;
		bool self;
	} cells[] = {
		{ TMN_IN_START, TMN_LIST_PUT, false },
		{ TMN_IN_START, TMN_LIST_PUT, true },
		{ TMN_IN_END, TMN_LIST_PUT, false },
		{ TMN_IN_END, TMN_LIST_PUT, true },
		{ TMN_IN_INVALIDATE, TMN_INTERVAL, false },
		{ TMN_IN_RELEASE, TMN_LIST, false },
		{ TMN_IN_FREE, TMN_LIST_PUT, false },
		{ TMN_IN_FREE, TMN_LIST_CALL, false },
	};
	int i, id, from;
	struct tmn_sync sync;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		id = tmn_caller(self->fd, variant->kind, self->map, self->page);
		ASSERT_GT(id, 0);
		from = id;
		if (!cells[i].self)
			from = tmn_caller(self->fd, cells[i].kind, self->map, self->page);
		ASSERT_GT(from, 0);
		ASSERT_EQ(0, tmn_call(self->fd, id, TMN_DO_TAKE_OFF, cells[i].where, from));
		ASSERT_EQ(0, cause_callback(self->fd, from, cells[i].where,
					    self->map, self->page));
		/* What free_notifier() puts is freed after another grace period. */
		ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
		ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
		EXPECT_EQ(0, sync.pending);
		EXPECT_EQ(1, tmn_stats(self->fd, id).calls);
		EXPECT_EQ(0, tmn_stats(self->fd, id).call_ret);
		EXPECT_EQ(1, tmn_stats(self->fd, id).frees);
		EXPECT_EQ(0, tmn_stats(self->fd, id).late);
		EXPECT_EQ(from != id && cells[i].where < TMN_IN_RELEASE ? 0 : -ENOENT,
			  tmn_unregister(self->fd, from));
	}
}

TEST_F(putting, in_release)
{
	call_in_release(_metadata, self->fd, variant->kind, self->map, self->page);
}

FIXTURE(inserting) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(inserting) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(inserting, one_pass) { TMN_INTERVAL };
FIXTURE_VARIANT_ADD(inserting, two_pass) { TMN_INTERVAL_TWO_PASS };

FIXTURE_SETUP(inserting)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(inserting)
{
	close(self->fd);
}

/* Drivers look at ->mm to know whether there is something to remove. */
TEST_F(inserting, fails)
{
	int locked, id;

	for (locked = 0; locked < 2; locked++) {
		id = tmn_prepare(self->fd, variant->kind, self->map, 0);
		ASSERT_GT(id, 0);
		EXPECT_EQ(-EOVERFLOW, tmn_call(self->fd, id,
					       locked ? TMN_DO_PUT_ON_LOCKED : TMN_DO_PUT_ON,
					       locked ? TMN_IN_MMAP_WRITE : TMN_IN_PROCESS, 0));
	}
}

/* In an mm that has had list notifiers alone. Returns 0 when it is called. */
static int insert_first(int fd, unsigned int kind, bool locked, char *map, size_t page)
{
	int id;

	if (tmn_caller(fd, TMN_LIST, map, page) <= 0)
		return 1;
	id = tmn_prepare(fd, kind, map, page);
	if (id <= 0 || tmn_call(fd, id, locked ? TMN_DO_PUT_ON_LOCKED : TMN_DO_PUT_ON,
				locked ? TMN_IN_MMAP_WRITE : TMN_IN_PROCESS, 0))
		return 2;
	if (touch(map, page))
		return 3;
	return tmn_stats(fd, id).starts ? 0 : 4;
}

TEST_F(inserting, first_of_mm)
{
	int locked, status;
	pid_t child;

	for (locked = 0; locked < 2; locked++) {
		child = fork();
		ASSERT_GE(child, 0);
		if (!child)
			_exit(insert_first(self->fd, variant->kind, locked,
					   self->map, self->page));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
}

TEST_F(inserting, removed_in_release)
{
	call_in_release(_metadata, self->fd, variant->kind, self->map, self->page);
}

/* While one is put on and taken off again and again, so is another. */
static void *on_and_off_thread(void *arg)
{
	struct call *call = arg;
	int i, id;

	for (i = 0; i < 50 && !call->ret; i++) {
		id = tmn_caller(call->fd, call->id, NULL, 1UL << 30);
		call->ret = id > 0 ? tmn_unregister(call->fd, id) : id;
	}
	return NULL;
}

TEST_F(lifetime, concurrently)
{
	const unsigned int kinds[] = {
		TMN_LIST, TMN_LIST_PUT, TMN_INTERVAL, TMN_INTERVAL_TWO_PASS,
	};
	struct call calls[4];
	pthread_t threads[4];
	struct tmn_mm mm;
	int i;

	for (i = 0; i < 4; i++) {
		calls[i] = (struct call){ .fd = self->fd, .id = kinds[i] };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, on_and_off_thread, &calls[i]));
	}
	for (i = 0; i < 200; i++)
		ASSERT_EQ(0, touch(self->map, self->page));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, calls[i].ret);
	}
	ASSERT_EQ(0, tmn_call(self->fd, 1, TMN_DO_SYNCHRONIZE, TMN_IN_PROCESS, 0));
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &mm));
	EXPECT_EQ(0, mm.notifiers);
	for (i = 1; i <= 200; i++) {
		EXPECT_EQ(0, tmn_stats(self->fd, i).late);
		EXPECT_EQ(0, tmn_stats(self->fd, i).unmatched);
	}
}

/* The collision-retry scheme. */
FIXTURE(interval) {
	int fd;
	int list;
	int id;
	char *map;
	size_t page;
	struct area area;
};

FIXTURE_VARIANT(interval) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(interval, one_pass) { .kind = TMN_INTERVAL };
FIXTURE_VARIANT_ADD(interval, two_pass) { .kind = TMN_INTERVAL_TWO_PASS };

FIXTURE_SETUP(interval)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
	self->area.changed = self->map;
	self->area.changed_len = self->page;
	/* Its gate holds an invalidation between start and end. */
	self->list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map,
				  self->page);
	ASSERT_GT(self->list, 0);
	self->id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(interval)
{
	close(self->fd);
}

TEST_F(interval, retry)
{
	uint64_t seq;
	int i;

	/* More often than once: the sequence moves. */
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, tmn_read_begin(self->fd, self->id, &seq));
		EXPECT_EQ(0, tmn_read_retry(self->fd, self->id, seq));
		ASSERT_EQ(0, touch(self->map + 2 * self->page, self->page));
		EXPECT_EQ(0, tmn_read_retry(self->fd, self->id, seq));
		ASSERT_EQ(0, touch(self->map, self->page));
		EXPECT_EQ(1, tmn_read_retry(self->fd, self->id, seq));
	}
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).late);
}

static int read_begin_call(int fd, int id)
{
	uint64_t seq;
	int ret = tmn_read_begin(fd, id, &seq);

	return ret ? ret : tmn_read_retry(fd, id, seq);
}

/* A reader that collides waits for the end, and need not try again. */
TEST_F(interval, read_begin_waits)
{
	struct call call = { .fd = self->fd, .id = self->id, .func = read_begin_call };
	pthread_t invalidator, reader;

	ASSERT_EQ(0, tmn_gate(self->fd, self->list, TMN_GATE_START));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &self->area));
	ASSERT_EQ(0, tmn_at_gate(self->fd, self->list));
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, self->list, 0));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	EXPECT_EQ(0, call.ret);
}

/*
 * A subscription that arrives while its range is being invalidated was not
 * called: its reader has to wait for the end as well.
 */
TEST_F(interval, late_insert)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	pthread_t invalidator, reader;

	ASSERT_EQ(0, tmn_gate(self->fd, self->list, TMN_GATE_START));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &self->area));
	ASSERT_EQ(0, tmn_at_gate(self->fd, self->list));
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).starts);
	ASSERT_EQ(0, tmn_gate(self->fd, self->list, 0));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	EXPECT_EQ(0, call.ret);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
}

/*
 * Mappings change hands without a gap: the new subscription is inserted, its
 * reader waits for what may have been too early for it, and only then the old
 * one is removed.
 */
TEST_F(interval, handed_over)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	pthread_t invalidator, reader;

	/* It comes first, so the walk has not reached the old one. */
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	call.id = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	self->id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(self->id, 0);
	ASSERT_EQ(0, tmn_gate(self->fd, call.id, TMN_GATE_START));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &self->area));
	ASSERT_EQ(0, tmn_at_gate(self->fd, call.id));
	ASSERT_EQ(0, tmn_stats(self->fd, self->id).starts);
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, call.id - 2, 0));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
}

/* remove waits for the callbacks that run, the second pass included. */
TEST_F(interval, remove_waits)
{
	struct call call = { .fd = self->fd, .id = self->id, .func = tmn_unregister };
	unsigned int gate = variant->kind == TMN_INTERVAL ? TMN_GATE_START : TMN_GATE_FINISH;
	pthread_t invalidator, remover;
	struct tmn_stats stats;

	ASSERT_EQ(0, tmn_gate(self->fd, self->id, gate));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &self->area));
	ASSERT_EQ(0, tmn_at_gate(self->fd, self->id));
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, self->id, 0));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	EXPECT_EQ(0, call.ret);
	stats = tmn_stats(self->fd, self->id);
	EXPECT_EQ(1, stats.starts);
	EXPECT_EQ(variant->kind == TMN_INTERVAL_TWO_PASS, stats.finishes);
	EXPECT_EQ(0, stats.late);
}

/* While there is an invalidation of the range that has gone by. */
TEST_F(interval, insert_and_remove_meanwhile)
{
	pthread_t invalidator;
	int id;

	ASSERT_EQ(0, tmn_gate(self->fd, self->list, TMN_GATE_START));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &self->area));
	ASSERT_EQ(0, tmn_at_gate(self->fd, self->list));
	id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(id, 0);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->id));
	ASSERT_EQ(0, tmn_gate(self->fd, self->list, 0));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).late);
}

/* An invalidation that stands in a callback of a notifier. */
struct held {
	int fd;
	int id;
	struct area area;
	pthread_t thread;
};

static void hold(struct __test_metadata *_metadata, struct held *held, int fd, int id,
		 char *map, size_t len)
{
	*held = (struct held) {
		.fd = fd,
		.id = id,
		.area = { .changed = map, .changed_len = len },
	};
	ASSERT_EQ(0, tmn_gate(fd, id, TMN_GATE_START));
	ASSERT_EQ(0, pthread_create(&held->thread, NULL, dontneed_thread, &held->area));
	ASSERT_EQ(0, tmn_at_gate(fd, id));
}

static void unhold(struct __test_metadata *_metadata, struct held *held)
{
	ASSERT_EQ(0, tmn_gate(held->fd, held->id, 0));
	ASSERT_EQ(0, pthread_join(held->thread, NULL));
}

/* Nobody calls again what is being removed, however long that waits. */
TEST_F(interval, not_called_again)
{
	struct call call = { .fd = self->fd, .id = self->id, .func = tmn_unregister };
	struct held held;
	pthread_t remover;

	hold(_metadata, &held, self->fd, self->id, self->map, self->page);
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	EXPECT_FALSE(atomic_load(&call.done));
	unhold(_metadata, &held);
	ASSERT_EQ(0, pthread_join(remover, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).late);
}

/*
 * The callback of another interval notifier takes its time, on the first page;
 * ours is on the third.
 */
FIXTURE(elsewhere) {
	int fd;
	int slow;
	int id;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(elsewhere) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(elsewhere, one_pass) { .kind = TMN_INTERVAL };
FIXTURE_VARIANT_ADD(elsewhere, two_pass) { .kind = TMN_INTERVAL_TWO_PASS };

FIXTURE_SETUP(elsewhere)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
	self->slow = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(self->slow, 0);
	self->id = tmn_register(self->fd, variant->kind, 0, 0,
				self->map + 2 * self->page, self->page);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(elsewhere)
{
	close(self->fd);
}

TEST_F(elsewhere, remove)
{
	struct held held;

	hold(_metadata, &held, self->fd, self->slow, self->map, self->page);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->id));
	EXPECT_EQ(0, touch(self->map + 2 * self->page, self->page));
	unhold(_metadata, &held);
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, self->slow).starts);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->slow));
}

/* What is inserted is there at once. */
TEST_F(elsewhere, insert)
{
	char *last = self->map + 3 * self->page;
	struct held held;
	int id;

	hold(_metadata, &held, self->fd, self->slow, self->map, self->page);
	id = tmn_register(self->fd, variant->kind, 0, 0, last, self->page);
	ASSERT_GT(id, 0);
	EXPECT_EQ(0, touch(last, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id));
	EXPECT_EQ(0, touch(last, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
	unhold(_metadata, &held);
}

/* The tree changes around the one that a walk stands at. */
TEST_F(elsewhere, walk_goes_on)
{
	struct held held;
	int next, last;

	next = tmn_register(self->fd, variant->kind, 0, 0, self->map + self->page,
			    self->page);
	ASSERT_GT(next, 0);
	last = tmn_register(self->fd, variant->kind, 0, 0, self->map + 3 * self->page,
			    self->page);
	ASSERT_GT(last, 0);
	hold(_metadata, &held, self->fd, self->slow, self->map, 4 * self->page);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, next));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, last));
	last = tmn_register(self->fd, variant->kind, 0, 0, self->map + 3 * self->page,
			    self->page);
	ASSERT_GT(last, 0);
	unhold(_metadata, &held);
	EXPECT_EQ(0, tmn_stats(self->fd, next).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	/* It came later than the range. */
	EXPECT_EQ(0, tmn_stats(self->fd, last).starts);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->slow));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, self->id));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, last));
}

TEST_F(elsewhere, read_begin)
{
	char *mine = self->map + 2 * self->page;
	struct held held;
	uint64_t seq;
	int i;

	hold(_metadata, &held, self->fd, self->slow, self->map, self->page);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, tmn_read_begin(self->fd, self->id, &seq));
		EXPECT_EQ(0, tmn_read_retry(self->fd, self->id, seq));
		EXPECT_EQ(0, touch(mine, self->page));
		EXPECT_EQ(1, tmn_read_retry(self->fd, self->id, seq));
	}
	unhold(_metadata, &held);
}

/*
 * Whoever inserts, and does not have to wait, must be told of what comes then:
 * if the insert took effect later, the mapping of a freed page would survive.
 */
TEST_F(elsewhere, insert_and_read)
{
	char *last = self->map + self->page;
	struct held held;
	uint64_t seq;
	int id;

	hold(_metadata, &held, self->fd, self->slow, self->map, self->page);
	id = tmn_register(self->fd, variant->kind, 0, 0, last, self->page);
	ASSERT_GT(id, 0);
	ASSERT_EQ(0, tmn_read_begin(self->fd, id, &seq));
	EXPECT_EQ(0, madvise(last, self->page, MADV_DONTNEED));
	EXPECT_EQ(1, tmn_read_retry(self->fd, id, seq));
	/* Nobody has waited for it. */
	EXPECT_EQ(0, tmn_at_gate(self->fd, self->slow));
	unhold(_metadata, &held);
}

static int insert_late(int fd, int pid)
{
	struct tmn_register reg = {
		.kind = TMN_INTERVAL,
		.end = getpagesize(),
		.pid = pid,
	};
	int ret = tmn(fd, TMN_REGISTER, &reg);

	return ret < 0 ? ret : (int)reg.id;
}

/* The first ones, since what began before is on no list. */
TEST_F(lifetime, first_inserts_wait)
{
	struct call calls[2];
	pthread_t inserters[2];
	int ids[2], status, id, i;
	pid_t child;

	ASSERT_EQ(0, pipe(ids));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		id = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
		if (id < 0 || tmn_gate(self->fd, id, TMN_GATE_START) ||
		    write(ids[1], &id, sizeof(id)) != sizeof(id))
			_exit(1);
		_exit(!!touch(self->map, self->page));
	}
	close(ids[1]);
	ASSERT_EQ((int)sizeof(id), read(ids[0], &id, sizeof(id)));
	ASSERT_EQ(0, tmn_at_gate(self->fd, id));
	for (i = 0; i < 2; i++) {
		calls[i] = (struct call) { .fd = self->fd, .id = child, .func = insert_late };
		ASSERT_EQ(0, pthread_create(&inserters[i], NULL, call_thread, &calls[i]));
		EXPECT_TRUE(still_waiting(&calls[i]));
	}
	ASSERT_EQ(0, tmn_gate(self->fd, id, 0));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(inserters[i], NULL));
		EXPECT_GT(calls[i].ret, 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* It waits for the ranges that were there before, not for one that came later. */
TEST_F(elsewhere, older_and_newer)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	struct held older[2], newer;
	pthread_t reader;
	int list[3], i;

	/* Their gates come after all interval notifiers, until end. */
	for (i = 0; i < 3; i++) {
		list[i] = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0,
				       self->map + i * self->page, self->page);
		ASSERT_GT(list[i], 0);
	}
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map, 3 * self->page);
	ASSERT_GT(call.id, 0);
	for (i = 0; i < 2; i++)
		hold(_metadata, &older[i], self->fd, list[i],
		     self->map + i * self->page, self->page);
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	hold(_metadata, &newer, self->fd, list[2], self->map + 2 * self->page, self->page);
	EXPECT_TRUE(still_waiting(&call));
	/* Woken, it looks again, and finds the other one. */
	unhold(_metadata, &older[0]);
	EXPECT_TRUE(still_waiting(&call));
	unhold(_metadata, &older[1]);
	/* Not a timeout, and not taken for valid either. */
	ASSERT_EQ(0, pthread_join(reader, NULL));
	EXPECT_EQ(1, call.ret);
	unhold(_metadata, &newer);
	EXPECT_EQ(0, read_begin_call(self->fd, call.id));
	EXPECT_EQ(3, tmn_stats(self->fd, call.id).starts);
}

/*
 * How often the threads have slept that the module makes for calls which may wait.
 * Allocates nothing, which can wait where an invalidation is held.
 */
static long sleeps(DIR *proc)
{
	static const char name[] = "Name:\ttmn_job\n", key[] = "\nvoluntary_ctxt_switches:";
	char path[sizeof("/proc//status") + NAME_MAX], text[4096];
	struct dirent *entry;
	long ret = 0;
	ssize_t len;
	char *found;
	int fd;

	rewinddir(proc);
	while ((entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/status", entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		len = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[len < 0 ? 0 : len] = 0;
		found = strstr(text, key);
		if (found && !strncmp(text, name, strlen(name)))
			ret += atol(found + strlen(key));
	}
	return ret;
}

/* Who waits for an old range is not woken by the end of each newer one. */
TEST_F(elsewhere, sleeps_on)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	DIR *proc = opendir("/proc");
	struct held older;
	pthread_t reader;
	long before;
	int list, i;

	ASSERT_NE(NULL, proc);
	list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	ASSERT_GT(list, 0);
	call.id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(call.id, 0);
	hold(_metadata, &older, self->fd, list, self->map, self->page);
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	before = sleeps(proc);
	EXPECT_GT(before, 0);
	for (i = 0; i < 50; i++) {
		EXPECT_EQ(0, madvise(self->map + self->page, self->page, MADV_DONTNEED));
		usleep(1000);
	}
	EXPECT_LT(sleeps(proc) - before, 10);
	EXPECT_FALSE(atomic_load(&call.done));
	unhold(_metadata, &older);
	ASSERT_EQ(0, pthread_join(reader, NULL));
	EXPECT_EQ(0, call.ret);
	closedir(proc);
}

/* Ranges overlap when they have a page in common, and not when they touch. */
TEST_F(elsewhere, neighbours)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	const struct {
		size_t from;
		size_t pages;
		bool waits;
	} subs[] = {
		{ 0, 1, false }, { 3, 1, false },
		{ 0, 2, true }, { 2, 2, true }, { 0, 4, true }, { 1, 1, true },
	};
	struct held held;
	pthread_t reader;
	int list, i, id[ARRAY_SIZE(subs)];

	list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map + self->page,
			    2 * self->page);
	ASSERT_GT(list, 0);
	for (i = 0; i < (int)ARRAY_SIZE(subs); i++) {
		id[i] = tmn_register(self->fd, variant->kind, 0, 0,
				     self->map + subs[i].from * self->page,
				     subs[i].pages * self->page);
		ASSERT_GT(id[i], 0);
	}
	for (i = 0; i < (int)ARRAY_SIZE(subs); i++) {
		hold(_metadata, &held, self->fd, list, self->map + self->page, 2 * self->page);
		atomic_store(&call.done, false);
		call.id = id[i];
		ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
		EXPECT_TRUE(!subs[i].waits || still_waiting(&call));
		if (!subs[i].waits)
			ASSERT_EQ(0, pthread_join(reader, NULL));
		unhold(_metadata, &held);
		if (subs[i].waits)
			ASSERT_EQ(0, pthread_join(reader, NULL));
		EXPECT_EQ(0, call.ret) {
			TH_LOG("subscription %d", i);
		}
	}
}

/* Exit invalidates everything, up to the last page, and then nothing is left. */
TEST_F(elsewhere, exit)
{
	struct call call = { .fd = self->fd, .func = read_begin_call };
	char *top = (char *)-self->page;
	pthread_t reader;
	int ids[2], status, id;
	pid_t child;

	ASSERT_EQ(0, pipe(ids));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		id = tmn_register(self->fd, variant->kind, 0, 0, top, self->page - 1);
		if (id < 0 || tmn_gate(self->fd, id, TMN_GATE_START) ||
		    write(ids[1], &id, sizeof(id)) != sizeof(id))
			_exit(1);
		_exit(0);
	}
	close(ids[1]);
	ASSERT_EQ((int)sizeof(id), read(ids[0], &id, sizeof(id)));
	ASSERT_EQ(0, tmn_at_gate(self->fd, id));
	call.id = id;
	ASSERT_EQ(0, pthread_create(&reader, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, id, 0));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	/* What exit unmaps can have come after it. */
	EXPECT_GE(call.ret, 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* The mm is gone but for our reference, and can be asked. */
	EXPECT_EQ(0, read_begin_call(self->fd, id));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id));
	EXPECT_GT(tmn_stats(self->fd, id).starts, 0);
}

/* What a driver with a list notifier asks of a range. */
FIXTURE(tracked) {
	int fd;
	int id;
	char *map;
	size_t page;
};

FIXTURE_SETUP(tracked)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
	self->id = tmn_register(self->fd, TMN_LIST, TMN_OP_ALL, TMN_F_TRACK,
				self->map + self->page, 2 * self->page);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(tracked)
{
	close(self->fd);
}

static int is_valid(int fd, int id)
{
	return tmn_call(fd, id, TMN_DO_IS_VALID, TMN_IN_PROCESS, 0);
}

static int wait_valid(int fd, int id)
{
	return tmn_call(fd, id, TMN_DO_WAIT_VALID, TMN_IN_PROCESS, 0);
}

/* Registers what says whether that part of the mm is valid. */
static int tracker(int fd, char *start, size_t len)
{
	return tmn_register(fd, TMN_LIST, TMN_OP_ALL, TMN_F_TRACK, start, len);
}

TEST_F(tracked, overlap)
{
	const struct {
		size_t from;
		size_t pages;
		bool valid;
	} ranges[] = {
		{ 0, 1, true }, { 3, 1, true },
		{ 0, 2, false }, { 2, 2, false }, { 0, 4, false }, { 1, 1, false },
	};
	struct held held;
	int i, id[ARRAY_SIZE(ranges)];

	for (i = 0; i < (int)ARRAY_SIZE(ranges); i++) {
		id[i] = tracker(self->fd, self->map + ranges[i].from * self->page,
				ranges[i].pages * self->page);
		ASSERT_GT(id[i], 0);
		EXPECT_EQ(1, is_valid(self->fd, id[i]));
		EXPECT_EQ(0, wait_valid(self->fd, id[i]));
	}
	hold(_metadata, &held, self->fd, self->id, self->map + self->page, 2 * self->page);
	for (i = 0; i < (int)ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(ranges[i].valid, is_valid(self->fd, id[i])) {
			TH_LOG("range %d", i);
		}
		if (ranges[i].valid)
			EXPECT_EQ(0, wait_valid(self->fd, id[i]));
	}
	unhold(_metadata, &held);
	for (i = 0; i < (int)ARRAY_SIZE(ranges); i++)
		EXPECT_EQ(1, is_valid(self->fd, id[i]));
}

/* It waits for what was there before, and not for what comes later. */
TEST_F(tracked, wait)
{
	struct call call = { .fd = self->fd, .func = wait_valid };
	struct held older, newer;
	pthread_t waiter;
	int late;

	late = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	ASSERT_GT(late, 0);
	call.id = tracker(self->fd, self->map, 4 * self->page);
	ASSERT_GT(call.id, 0);
	hold(_metadata, &older, self->fd, self->id, self->map + self->page, self->page);
	ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	hold(_metadata, &newer, self->fd, late, self->map, self->page);
	EXPECT_TRUE(still_waiting(&call));
	unhold(_metadata, &older);
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(0, is_valid(self->fd, call.id));
	unhold(_metadata, &newer);
	EXPECT_EQ(1, is_valid(self->fd, call.id));
}

/* All that wait for a range go on when it has ended, and not with another one. */
TEST_F(tracked, many_waiters)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_INTERVAL, TMN_LIST, TMN_INTERVAL_TWO_PASS };
	struct call calls[ARRAY_SIZE(kinds)] = { };
	pthread_t waiters[ARRAY_SIZE(kinds)];
	struct held held, beside;
	int i, id;

	id = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map + 3 * self->page,
			  self->page);
	ASSERT_GT(id, 0);
	for (i = 0; i < (int)ARRAY_SIZE(kinds); i++) {
		calls[i].fd = self->fd;
		if (kinds[i] == TMN_LIST) {
			calls[i].func = wait_valid;
			calls[i].id = tracker(self->fd, self->map, 3 * self->page);
		} else {
			calls[i].func = read_begin_call;
			calls[i].id = tmn_register(self->fd, kinds[i], 0, 0, self->map,
						   3 * self->page);
		}
		ASSERT_GT(calls[i].id, 0);
	}
	hold(_metadata, &held, self->fd, self->id, self->map + self->page, self->page);
	hold(_metadata, &beside, self->fd, id, self->map + 3 * self->page, self->page);
	for (i = 0; i < (int)ARRAY_SIZE(kinds); i++) {
		ASSERT_EQ(0, pthread_create(&waiters[i], NULL, call_thread, &calls[i]));
		EXPECT_TRUE(still_waiting(&calls[i]));
	}
	/* It wakes them, and is not what they wait for. */
	unhold(_metadata, &beside);
	usleep(300000);
	for (i = 0; i < (int)ARRAY_SIZE(kinds); i++) {
		EXPECT_FALSE(atomic_load(&calls[i].done)) {
			TH_LOG("waiter %d", i);
		}
	}
	unhold(_metadata, &held);
	for (i = 0; i < (int)ARRAY_SIZE(kinds); i++) {
		ASSERT_EQ(0, pthread_join(waiters[i], NULL));
		EXPECT_EQ(0, calls[i].ret);
	}
}

static int remove_when_valid(int fd, int id)
{
	int ret;

	do {
		ret = wait_valid(fd, id);
	} while (!ret && !is_valid(fd, id));
	return ret ?: tmn_unregister(fd, id);
}

/*
 * Who has pages mapped when it removes an interval notifier waits before, and is
 * called by all that is in progress when it has waited, also by what begins
 * meanwhile. Neither invalidation has reached @call.id yet: the walks stand
 * before it, on the same page and on the page before.
 */
TEST_F(tracked, remove_when_valid)
{
	struct call call = { .fd = self->fd, .func = remove_when_valid };
	char *changed = self->map + 2 * self->page;
	struct held older, newer;
	pthread_t remover;
	int before, beside;

	before = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map + self->page, self->page);
	ASSERT_GT(before, 0);
	beside = tmn_register(self->fd, TMN_INTERVAL, 0, 0, changed, self->page);
	ASSERT_GT(beside, 0);
	call.id = tmn_register(self->fd, TMN_INTERVAL, 0, 0, changed, 2 * self->page);
	ASSERT_GT(call.id, 0);
	hold(_metadata, &older, self->fd, beside, changed, self->page);
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).starts);
	hold(_metadata, &newer, self->fd, before, self->map + self->page, 2 * self->page);
	unhold(_metadata, &older);
	EXPECT_TRUE(still_waiting(&call));
	EXPECT_EQ(1, tmn_stats(self->fd, call.id).starts);
	unhold(_metadata, &newer);
	ASSERT_EQ(0, pthread_join(remover, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(2, tmn_stats(self->fd, call.id).starts);
	ASSERT_EQ(0, touch(changed, self->page));
	EXPECT_EQ(2, tmn_stats(self->fd, call.id).starts);
}

/* Exit is an invalidation of everything, for who asks from outside as well. */
TEST_F(tracked, exit)
{
	struct call call = { .fd = self->fd, .func = wait_valid };
	int ids[2], id[2], status;
	pthread_t waiter;
	pid_t child;

	ASSERT_EQ(0, pipe(ids));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		char *map = map_anon(self->page);

		id[0] = tracker(self->fd, map, self->page);
		id[1] = tmn_register(self->fd, TMN_INTERVAL, 0, 0, map, self->page);
		if (id[0] < 0 || id[1] < 0 || tmn_gate(self->fd, id[1], TMN_GATE_START) ||
		    write(ids[1], id, sizeof(id)) != sizeof(id))
			_exit(1);
		_exit(0);
	}
	close(ids[1]);
	ASSERT_EQ((int)sizeof(id), read(ids[0], id, sizeof(id)));
	ASSERT_EQ(0, tmn_at_gate(self->fd, id[1]));
	EXPECT_EQ(0, is_valid(self->fd, id[0]));
	call.id = id[0];
	ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, id[1], 0));
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	EXPECT_EQ(0, call.ret);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, is_valid(self->fd, id[0]));
	EXPECT_EQ(1, tmn_stats(self->fd, id[0]).releases);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id[1]));
}

/* Valid is what is not between start and end: not in start, but in end. */
TEST_F(tracked, in_callbacks)
{
	const struct {
		enum tmn_what what;
		enum tmn_where where;
		unsigned int kind;
		int ret;
	} cells[] = {
		{ TMN_DO_IS_VALID, TMN_IN_START, TMN_LIST, 0 },
		{ TMN_DO_IS_VALID, TMN_IN_END, TMN_LIST, 1 },
		{ TMN_DO_IS_VALID, TMN_IN_INVALIDATE, TMN_INTERVAL, 0 },
		{ TMN_DO_IS_VALID, TMN_IN_RELEASE, TMN_LIST, 1 },
		{ TMN_DO_IS_VALID, TMN_IN_FREE, TMN_LIST_PUT, 1 },
		{ TMN_DO_WAIT_VALID, TMN_IN_RELEASE, TMN_LIST, 0 },
	};
	char *mine = self->map + self->page;
	struct tmn_sync sync;
	int i, from;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		from = tmn_caller(self->fd, cells[i].kind, mine, self->page);
		ASSERT_GT(from, 0);
		ASSERT_EQ(0, tmn_call(self->fd, self->id, cells[i].what, cells[i].where, from));
		ASSERT_EQ(0, cause_callback(self->fd, from, cells[i].where, mine, self->page));
		ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
		EXPECT_EQ(i + 1, tmn_stats(self->fd, self->id).calls);
		EXPECT_EQ(cells[i].ret, tmn_stats(self->fd, self->id).call_ret) {
			TH_LOG("cell %d", i);
		}
	}
}

/* The end of an inner range says nothing of the outer one. */
TEST_F(tracked, nested)
{
	struct area a = { .page = self->page };
	int ret = prepare_huge(&a), id, query;

	if (ret == -EOPNOTSUPP)
		SKIP(return, "no transparent huge pages");
	ASSERT_EQ(0, ret);
	id = tracker(self->fd, a.map, a.len);
	ASSERT_GT(id, 0);
	query = tracker(self->fd, a.map + 3 * a.page, a.page);
	ASSERT_GT(query, 0);
	ASSERT_EQ(0, tmn_call(self->fd, query, TMN_DO_IS_VALID, TMN_IN_END, id));
	ASSERT_EQ(0, cause_thp_split(&a));
	EXPECT_EQ(2, tmn_stats(self->fd, id).ends);
	EXPECT_EQ(1, tmn_stats(self->fd, query).calls);
	EXPECT_EQ(0, tmn_stats(self->fd, query).call_ret);
	EXPECT_EQ(1, is_valid(self->fd, query));
}

TEST_F(tracked, under_mmap_lock)
{
	const enum tmn_where from[] = { TMN_IN_MMAP_READ, TMN_IN_MMAP_WRITE };
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(1, tmn_call(self->fd, self->id, TMN_DO_IS_VALID, from[i], 0));
		EXPECT_EQ(0, tmn_call(self->fd, self->id, TMN_DO_WAIT_VALID, from[i], 0));
	}
}

/* The same in the whole life of an mm, with an interval notifier or without. */
TEST_F(tracked, untracked_later)
{
	int id = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);

	ASSERT_GT(id, 0);
	ASSERT_EQ(0, tmn_unregister(self->fd, self->id));
	EXPECT_EQ(1, is_valid(self->fd, id));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, is_valid(self->fd, id));
	EXPECT_EQ(0, wait_valid(self->fd, id));
	ASSERT_EQ(0, tmn_remove_timed(self->fd, id));
	id = tracker(self->fd, self->map, self->page);
	ASSERT_GT(id, 0);
	EXPECT_EQ(1, is_valid(self->fd, id));
}

/*
 * A driver that maps what it finds in the page tables, with each of the
 * protocols: the test module is what their documentation refers to.
 */
FIXTURE(mirror) {
	int fd;
	int id;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(mirror) {
	unsigned int kind;
	unsigned int ops;
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(mirror, two_sided) { TMN_LIST, TMN_OP_ALL, TMN_F_TRACK };
FIXTURE_VARIANT_ADD(mirror, one_pass) { .kind = TMN_INTERVAL };
FIXTURE_VARIANT_ADD(mirror, two_pass) { .kind = TMN_INTERVAL_TWO_PASS };

FIXTURE_SETUP(mirror)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(mirror)
{
	close(self->fd);
}

/* In the process that has the mm. */
static int put_mirror_on(int fd, unsigned int kind, unsigned int ops, unsigned int flags,
			 char *map, size_t len)
{
	return tmn_register(fd, kind, ops, flags | TMN_F_MIRROR, map, len);
}

TEST_F(mirror, follows)
{
	int i, id = put_mirror_on(self->fd, variant->kind, variant->ops, variant->flags,
				  self->map, 4 * self->page);

	ASSERT_GT(id, 0);
	EXPECT_EQ(-ENOENT, tmn_check(self->fd, id, self->map));
	for (i = 0; i < 4; i++) {
		char *addr = self->map + i * self->page;

		ASSERT_EQ(0, tmn_map(self->fd, id, addr));
		EXPECT_EQ(1, tmn_check(self->fd, id, addr));
		++*addr;
		EXPECT_EQ(1, tmn_check(self->fd, id, addr));
	}
	ASSERT_EQ(0, touch(self->map + self->page, self->page));
	EXPECT_EQ(1, tmn_check(self->fd, id, self->map));
	EXPECT_EQ(-ENOENT, tmn_check(self->fd, id, self->map + self->page));
	ASSERT_EQ(0, sys(munmap(self->map, self->page)));
	EXPECT_EQ(-ENOENT, tmn_check(self->fd, id, self->map));
	EXPECT_EQ(-EFAULT, tmn_map(self->fd, id, self->map));
	EXPECT_EQ(1, tmn_check(self->fd, id, self->map + 3 * self->page));
}

struct mapper {
	int fd;
	int id;
	char *addr;
	int ret;
	atomic_bool done;
};

static void *map_thread(void *arg)
{
	struct mapper *mapper = arg;

	mapper->ret = tmn_map(mapper->fd, mapper->id, mapper->addr);
	atomic_store(&mapper->done, true);
	return NULL;
}

static long starts_of(void *arg)
{
	struct mapper *mapper = arg;

	return tmn_stats(mapper->fd, mapper->id).starts;
}

/* Whoever comes in the middle of an invalidation waits for its end. */
TEST_F(mirror, waits)
{
	struct mapper mapper = { .fd = self->fd, .addr = self->map };
	struct held held;
	pthread_t thread;
	int list;

	list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	ASSERT_GT(list, 0);
	mapper.id = put_mirror_on(self->fd, variant->kind, variant->ops, variant->flags,
				  self->map, 4 * self->page);
	ASSERT_GT(mapper.id, 0);
	/* The gate comes after the mirror was called. */
	hold(_metadata, &held, self->fd, list, self->map, self->page);
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_thread, &mapper));
	/* Elsewhere nothing waits; an interval is all of it one range. */
	if (variant->kind == TMN_LIST)
		EXPECT_EQ(0, tmn_map(self->fd, mapper.id, self->map + self->page));
	usleep(300000);
	EXPECT_FALSE(atomic_load(&mapper.done));
	EXPECT_EQ(-ENOENT, tmn_check(self->fd, mapper.id, self->map));
	unhold(_metadata, &held);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, mapper.ret);
	EXPECT_EQ(1, tmn_check(self->fd, mapper.id, self->map));
}

/*
 * The page goes when it has been looked up and is not mapped yet. Collision-retry
 * lets it go and looks it up again; the two-sided protocol lets it wait.
 */
TEST_F(mirror, collides)
{
	struct mapper mapper = { .fd = self->fd, .addr = self->map };
	struct area a = { .changed = self->map, .changed_len = self->page };
	pthread_t thread, invalidator;

	mapper.id = put_mirror_on(self->fd, variant->kind, variant->ops, variant->flags,
				  self->map, 4 * self->page);
	ASSERT_GT(mapper.id, 0);
	ASSERT_EQ(0, tmn_gate(self->fd, mapper.id, TMN_GATE_MAP));
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_thread, &mapper));
	ASSERT_EQ(0, tmn_at_gate(self->fd, mapper.id));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &a));
	if (variant->kind == TMN_LIST)
		usleep(300000);
	else
		EXPECT_EQ(1, wait_until(starts_of, &mapper, 1, 1));
	EXPECT_EQ(variant->kind != TMN_LIST, tmn_stats(self->fd, mapper.id).starts);
	EXPECT_EQ(-ENOENT, tmn_check(self->fd, mapper.id, self->map));
	ASSERT_EQ(0, tmn_gate(self->fd, mapper.id, 0));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(1, tmn_stats(self->fd, mapper.id).starts);
	EXPECT_EQ(0, mapper.ret);
	EXPECT_EQ(1, tmn_check(self->fd, mapper.id, self->map));
	++*self->map;
	EXPECT_EQ(1, tmn_check(self->fd, mapper.id, self->map));
}

/*
 * All of it at once, for TMN_STRESS_SECONDS: the CPU counts in pages that come
 * and go, and what mirrors them has to have the same.
 */
#define STRESS_PAGES	16

struct stress {
	int fd;
	char *map;
	size_t page;
	/* held for writing by who makes a page inaccessible for the CPU */
	pthread_rwlock_t present[STRESS_PAGES];
	atomic_bool over;
	atomic_int failed;
	atomic_ulong events;
	atomic_ulong inserts;
};

struct stress_thread {
	struct stress *stress;
	void *(*func)(void *arg);
	unsigned int seed;
	/* of a mapper */
	int id;
	pthread_t thread;
};

static void stress_fail(struct stress *stress, const char *what, int ret)
{
	ksft_print_msg("stress: %s: %d\n", what, ret);
	atomic_store(&stress->failed, 1);
	atomic_store(&stress->over, true);
}

static void *stress_writer(void *arg)
{
	struct stress_thread *t = arg;
	struct stress *stress = t->stress;

	while (!atomic_load(&stress->over)) {
		int nr = rand_r(&t->seed) % STRESS_PAGES;

		if (pthread_rwlock_tryrdlock(&stress->present[nr]))
			continue;
		__atomic_fetch_add((uint64_t *)(stress->map + nr * stress->page), 1,
				   __ATOMIC_SEQ_CST);
		pthread_rwlock_unlock(&stress->present[nr]);
	}
	return NULL;
}

/* The page is gone for a moment. */
static int stress_absent(struct stress *stress, char *addr, int how)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *other;

	switch (how) {
	case 0:
		return mprotect(addr, stress->page, PROT_READ) ||
		       mprotect(addr, stress->page, prot);
	case 1:
		return mmap(addr, stress->page, prot, flags | MAP_FIXED, -1, 0) != addr;
	default:
		/* Without a hole that another thread would take. */
		other = map_anon(stress->page);
		return other == MAP_FAILED ||
		       mremap(addr, stress->page, stress->page,
			      MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, other) != other ||
		       mremap(other, stress->page, stress->page,
			      MREMAP_MAYMOVE | MREMAP_FIXED, addr) != addr;
	}
}

static void *stress_invalidator(void *arg)
{
	struct stress_thread *t = arg;
	struct stress *stress = t->stress;

	while (!atomic_load(&stress->over)) {
		int nr = rand_r(&t->seed) % STRESS_PAGES, how = rand_r(&t->seed) % 16, ret;
		char *addr = stress->map + nr * stress->page;

		if (how < 3) {
			pthread_rwlock_wrlock(&stress->present[nr]);
			ret = stress_absent(stress, addr, how);
			pthread_rwlock_unlock(&stress->present[nr]);
		} else if (how == 3) {
			pid_t child = fork();

			if (!child)
				_exit(0);
			ret = child < 0 || waitpid(child, NULL, 0) != child;
		} else if (how < 6 && have_swap()) {
			ret = madvise(addr, stress->page, MADV_PAGEOUT);
		} else {
			ret = madvise(addr, stress->page, MADV_DONTNEED);
		}
		if (ret)
			stress_fail(stress, "event", how);
		atomic_fetch_add(&stress->events, 1);
	}
	return NULL;
}

/* Maps a page and looks what is there; it may be gone at any time. */
static void stress_map(struct stress *stress, int fd, int id, char *addr)
{
	int ret = tmn_map(fd, id, addr);

	if (ret && ret != -EFAULT && ret != -EAGAIN)
		stress_fail(stress, "map", ret);
	ret = tmn_check(fd, id, addr);
	if (ret != 1 && ret != -ENOENT)
		stress_fail(stress, "check", ret);
}

static void *stress_mapper(void *arg)
{
	struct stress_thread *t = arg;
	struct stress *stress = t->stress;

	while (!atomic_load(&stress->over)) {
		int nr = rand_r(&t->seed) % STRESS_PAGES;

		stress_map(stress, stress->fd, t->id, stress->map + nr * stress->page);
	}
	return NULL;
}

static void *stress_inserter(void *arg)
{
	struct stress_thread *t = arg;
	struct stress *stress = t->stress;

	while (!atomic_load(&stress->over)) {
		char *addr = stress->map + rand_r(&t->seed) % STRESS_PAGES * stress->page;
		unsigned int kind = rand_r(&t->seed) % 2 ? TMN_INTERVAL : TMN_INTERVAL_TWO_PASS;
		int fd = tmn_open(), id, ret;

		id = tmn_register(fd, kind, 0, TMN_F_MIRROR, addr, stress->page);
		if (id <= 0) {
			stress_fail(stress, "insert", id);
			break;
		}
		stress_map(stress, fd, id, addr);
		ret = tmn_remove_timed(fd, id);
		if (ret || tmn_stats(fd, id).late || tmn_stats(fd, id).wrong)
			stress_fail(stress, "remove", ret);
		close(fd);
		atomic_fetch_add(&stress->inserts, 1);
	}
	return NULL;
}

static unsigned int stress_seconds(void)
{
	const char *seconds = getenv("TMN_STRESS_SECONDS");

	return seconds ? atoi(seconds) : 5;
}

TEST_F_TIMEOUT(mirror, stress, 3600)
{
	struct stress stress = { .page = getpagesize(), .fd = self->fd };
	struct stress_thread threads[] = {
		{ .func = stress_writer }, { .func = stress_writer },
		{ .func = stress_invalidator }, { .func = stress_invalidator },
		{ .func = stress_mapper }, { .func = stress_mapper },
		{ .func = stress_inserter }, { .func = stress_inserter },
	};
	unsigned int i, seconds = stress_seconds();
	struct tmn_stats stats;
	int id;

	stress.map = map_aligned(STRESS_PAGES * stress.page, stress.page, false);
	ASSERT_NE(MAP_FAILED, stress.map);
	memset(stress.map, 0, STRESS_PAGES * stress.page);
	id = put_mirror_on(self->fd, variant->kind, variant->ops, variant->flags,
			   stress.map, STRESS_PAGES * stress.page);
	ASSERT_GT(id, 0);
	for (i = 0; i < STRESS_PAGES; i++)
		ASSERT_EQ(0, pthread_rwlock_init(&stress.present[i], NULL));
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		threads[i].stress = &stress;
		threads[i].seed = i + 1;
		threads[i].id = id;
		ASSERT_EQ(0, pthread_create(&threads[i].thread, NULL, threads[i].func,
					    &threads[i]));
	}
	for (i = 0; i < seconds * 10 && !atomic_load(&stress.over); i++)
		usleep(100000);
	atomic_store(&stress.over, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		ASSERT_EQ(0, pthread_join(threads[i].thread, NULL));
	EXPECT_EQ(0, atomic_load(&stress.failed));
	stats = tmn_stats(self->fd, id);
	TH_LOG("%lu events, %lu inserts, %llu mapped, %llu checked in %u s",
	       atomic_load(&stress.events), atomic_load(&stress.inserts),
	       (unsigned long long)stats.mapped, (unsigned long long)stats.checked, seconds);
	EXPECT_GT(atomic_load(&stress.events), 0);
	EXPECT_GT(atomic_load(&stress.inserts), 0);
	EXPECT_GT(stats.mapped, 0);
	EXPECT_GT(stats.checked, 0);
	EXPECT_EQ(0, stats.wrong);
	EXPECT_EQ(0, stats.open);
	EXPECT_EQ(0, stats.unmatched);
	if (variant->kind == TMN_LIST)
		EXPECT_EQ(stats.starts, stats.ends);
}

/*
 * The address 0 can be mapped, and a range can start there.
 */
FIXTURE(zero) {
	int fd;
	int id;
	size_t len;
};

FIXTURE_VARIANT(zero) {
	size_t len;
};

/* two pages */
FIXTURE_VARIANT_ADD(zero, page) { .len = 0 };
#if __SIZEOF_LONG__ == 8
/* Another pud behind it: the second start. */
FIXTURE_VARIANT_ADD(zero, puds) { .len = (2UL << 30) };
#endif

FIXTURE_SETUP(zero)
{
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->len = variant->len ?: 2 * getpagesize();
	if (mmap(NULL, self->len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		 -1, 0) != NULL) {
		if (errno == EPERM || errno == EACCES)
			SKIP(return, "needs root, or vm.mmap_min_addr=0");
		SKIP(return, "the low addresses are taken");
	}
	self->id = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, NULL, self->len);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(zero)
{
	close(self->fd);
}

TEST_F(zero, mprotect)
{
	struct tmn_stats stats;

	ASSERT_EQ(0, madvise(NULL, getpagesize(), MADV_POPULATE_WRITE));
	ASSERT_EQ(0, madvise((void *)(self->len - getpagesize()), getpagesize(),
			     MADV_POPULATE_WRITE));
	stats = tmn_stats(self->fd, self->id);
	ASSERT_EQ(stats.starts, stats.ends);
	ASSERT_EQ(0, mprotect(NULL, self->len, PROT_READ));
	EXPECT_EQ(stats.starts + 1, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(stats.ends + 1, tmn_stats(self->fd, self->id).ends);
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).open);
}

TEST_F(zero, interval)
{
	int id = tmn_register(self->fd, TMN_INTERVAL, 0, 0, NULL, getpagesize());
	uint64_t seq;

	ASSERT_GT(id, 0);
	ASSERT_EQ(0, madvise(NULL, getpagesize(), MADV_POPULATE_WRITE));
	ASSERT_EQ(0, tmn_read_begin(self->fd, id, &seq));
	EXPECT_EQ(0, tmn_read_retry(self->fd, id, seq));
	ASSERT_EQ(0, mprotect(NULL, self->len, PROT_READ));
	EXPECT_EQ(1, tmn_read_retry(self->fd, id, seq));
	ASSERT_EQ(0, tmn_read_begin(self->fd, id, &seq));
	EXPECT_EQ(0, tmn_read_retry(self->fd, id, seq));
	EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id));
}

static void expect_balanced(struct __test_metadata *_metadata, int fd, int id)
{
	struct tmn_stats stats = tmn_stats(fd, id);

	EXPECT_EQ(stats.starts, stats.ends);
	EXPECT_EQ(0, stats.open);
	EXPECT_EQ(0, stats.unmatched);
}

static void *hold_thread(void *arg)
{
	struct tmn_wait wait = { .timeout_ms = 4 * LIMIT_MS };

	tmn(*(int *)arg, TMN_HOLD, &wait);
	return NULL;
}

static int count_nonblock(int fd, int id)
{
	static struct tmn_event log[TMN_LOG_SIZE];
	int n = tmn_events(fd, id, log), count = 0;

	while (n-- > 0)
		count += log[n].type == TMN_EV_START &&
			 !(log[n].flags & TMN_EV_BLOCKABLE);
	return count;
}

static long nonblock_starts(void *arg)
{
	struct counter *c = arg;

	return count_nonblock(c->fd, c->id);
}

/* No range is under way, and for a while none has begun. */
static long is_quiet(void *arg)
{
	struct counter *c = arg;
	struct tmn_stats before = tmn_stats(c->fd, c->id), after;

	usleep(300000);
	after = tmn_stats(c->fd, c->id);
	return !after.open && after.starts == before.starts;
}

/*
 * A memory cgroup's victim, with a thread that cannot exit: the OOM reaper
 * comes for its memory, gets it when the notifiers allow, and they balance.
 */
FIXTURE(oom) {
};

FIXTURE_VARIANT(oom) {
	unsigned int list_flags;
	unsigned int interval_flags;
	bool reaped;
};

FIXTURE_VARIANT_ADD(oom, reaped) { .reaped = true };
FIXTURE_VARIANT_ADD(oom, list_fails) { .list_flags = TMN_F_FAIL_NONBLOCK };
FIXTURE_VARIANT_ADD(oom, interval_fails) { .interval_flags = TMN_F_FAIL_NONBLOCK };

FIXTURE_SETUP(oom)
{
}

FIXTURE_TEARDOWN(oom)
{
}

TEST_F(oom, kill)
{
	/* The newest is asked first, so it is asked in every variant. */
	struct counter c = { .fd = tmn_open(), .id = 3 };
	const size_t size = 64 << 20, limit = 16 << 20;
	int fd = c.fd, status, i;
	struct tmn_stats stats;
	char cgroup[64];
	pid_t child;

	ASSERT_GE(fd, 0);
	if (make_cgroup(cgroup, sizeof(cgroup), "16M"))
		SKIP(return, "no memory cgroup (v2) at /sys/fs/cgroup");
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		char swap_max[128];
		pthread_t thread;
		char *map;

		/* Not there without swap. */
		snprintf(swap_max, sizeof(swap_max), "%s/memory.swap.max", cgroup);
		write_text(swap_max, "0");
		if (enter_cgroup(cgroup))
			_exit(1);
		map = map_anon(size);
		if (tmn_register(fd, TMN_LIST, TMN_OP_ALL, 0, NULL, 0) != 1 ||
		    tmn_register(fd, TMN_LIST, TMN_OP_PAIR, variant->list_flags, NULL, 0) != 2 ||
		    tmn_register(fd, TMN_LIST, TMN_OP_PAIR, 0, NULL, 0) != 3 ||
		    tmn_register(fd, TMN_INTERVAL_TWO_PASS, 0, variant->interval_flags,
				 map, size) != 4)
			_exit(2);
		if (pthread_create(&thread, NULL, hold_thread, &fd) || tmn_at_gate(fd, 0))
			_exit(3);
		memset(map, 1, size);
		_exit(4);
	}
	EXPECT_EQ(0, tmn_at_gate(fd, 0));
	EXPECT_GT(wait_until(nonblock_starts, &c, 1, 3), 0);
	/*
	 * Until the reaper is through: release takes the notifier off, and a
	 * range that is under way then gets no end.
	 */
	EXPECT_EQ(1, wait_until(is_quiet, &c, 1, 1));
	EXPECT_EQ(0, tmn(fd, TMN_UNHOLD, NULL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	rmdir(cgroup);
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	for (i = 1; i <= 3; i++)
		expect_balanced(_metadata, fd, i);
	EXPECT_EQ(!!variant->list_flags, tmn_stats(fd, 2).failed > 0);
	stats = tmn_stats(fd, 1);
	EXPECT_EQ(1, stats.releases);
	/* What was left for exit. */
	EXPECT_EQ(variant->reaped, stats.release_anon < limit / 2 / getpagesize()) {
		TH_LOG("%llu pages", stats.release_anon);
	}
	stats = tmn_stats(fd, 4);
	EXPECT_GT(stats.starts, 0);
	EXPECT_EQ(stats.starts, stats.finishes);
	EXPECT_EQ(!!variant->interval_flags, stats.failed > 0);
	close(fd);
}

/*
 * Put on one CPU, synchronize on another. Callbacks are queued on each CPU only
 * with the large SRCU: boot with srcutree.convert_to_big=1. It becomes large with
 * grace periods, so there are some first.
 */
TEST(synchronize)
{
	struct tmn_sync sync = { .pending = ~0ULL };
	int fd = tmn_open(), i, id[64], frees = 0;

	ASSERT_GE(fd, 0);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
	for (i = 0; i < 16; i++) {
		id[0] = tmn_register(fd, TMN_LIST, TMN_OP_PAIR, 0, NULL, 0);
		ASSERT_GT(id[0], 0);
		ASSERT_EQ(0, tmn_unregister(fd, id[0]));
	}
	for (i = 0; i < 64; i++) {
		id[i] = tmn_register(fd, TMN_LIST_PUT, TMN_OP_PAIR, TMN_F_SLOW_FREE,
				     NULL, 0);
		ASSERT_GT(id[i], 0);
	}
	ASSERT_EQ(0, pin_to(1));
	for (i = 0; i < 64; i++)
		ASSERT_EQ(0, tmn_unregister(fd, id[i]));
	ASSERT_EQ(0, pin_to(0));
	ASSERT_EQ(0, tmn(fd, TMN_SYNCHRONIZE, &sync));
	EXPECT_EQ(0, sync.pending);
	for (i = 0; i < 64; i++)
		frees += tmn_stats(fd, id[i]).frees;
	EXPECT_EQ(64, frees);
	close(fd);
}

static int log_lines(const char *one, const char *other)
{
	int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0), lines = 0;
	char *log = calloc(1, size + 1), *line, *next;

	if (!log || klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, size) < 0)
		abort();
	for (line = log; *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = 0;
		lines += strstr(line, one) && strstr(line, other);
	}
	free(log);
	return lines;
}

/* What the kernel has found to complain about. */
static int complaints(const char *about)
{
	return log_lines("WARNING: ", about) + log_lines("BUG: ", about);
}

static bool misuse_allowed(void)
{
	char c = 0;
	int fd = open("/sys/module/test_mmu_notifier/parameters/misuse", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c == 'Y';
}

/*
 * Many notifiers, taken off in each way: all are freed, once, and none that is
 * in use. TMN_MANY of the environment makes them more.
 */
FIXTURE(teardown) {
	int fd;
	char *map;
	size_t page;
	unsigned int count;
};

FIXTURE_VARIANT(teardown) {
	unsigned int way;
	unsigned int count;
};

FIXTURE_VARIANT_ADD(teardown, unregister_1) { TMN_WAY_UNREGISTER, 1 };
FIXTURE_VARIANT_ADD(teardown, unregister_many) { TMN_WAY_UNREGISTER, 64 };
FIXTURE_VARIANT_ADD(teardown, put_1) { TMN_WAY_PUT, 1 };
FIXTURE_VARIANT_ADD(teardown, put_many) { TMN_WAY_PUT, 64 };
FIXTURE_VARIANT_ADD(teardown, call_srcu_1) { TMN_WAY_CALL, 1 };
FIXTURE_VARIANT_ADD(teardown, call_srcu_many) { TMN_WAY_CALL, 64 };
FIXTURE_VARIANT_ADD(teardown, synchronize_1) { TMN_WAY_SYNC, 1 };
FIXTURE_VARIANT_ADD(teardown, synchronize_many) { TMN_WAY_SYNC, 64 };

FIXTURE_SETUP(teardown)
{
	const char *many = getenv("TMN_MANY");

	self->count = variant->count > 1 && many ? atoi(many) : variant->count;
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(teardown)
{
	close(self->fd);
}

static int bulk_on(int fd, unsigned int way, unsigned int count, unsigned int when)
{
	struct tmn_bulk_on on = { .way = way, .count = count, .when = when };

	return tmn(fd, TMN_BULK_ON, &on);
}

static struct tmn_bulk_stats bulk_stats(int fd)
{
	struct tmn_bulk_stats stats;

	if (tmn(fd, TMN_BULK_STATS, &stats))
		abort();
	return stats;
}

static void expect_all_freed(struct __test_metadata *_metadata, int fd)
{
	struct tmn_bulk_stats stats;
	struct tmn_sync sync;

	ASSERT_EQ(0, tmn(fd, TMN_SYNCHRONIZE, &sync));
	EXPECT_EQ(0, sync.pending);
	stats = bulk_stats(fd);
	EXPECT_EQ(0, stats.left);
	EXPECT_EQ(0, stats.early);
	EXPECT_EQ(0, stats.late);
}

/* As nothing_left(); the file of the bulk pins the mm as well. */
static void expect_no_holder_left(struct __test_metadata *_metadata, int fd,
				  const struct tmn_mm *before)
{
	long holders;
	int i;

	for (i = 0; i < LIMIT_MS / 10; i++) {
		ASSERT_EQ(0, return_borrowed());
		holders = bulk_stats(fd).holders;
		if (holders <= before->count)
			break;
		usleep(10000);
	}
	EXPECT_LE(holders, before->count);
}

TEST_F_TIMEOUT(teardown, process_context, 300)
{
	struct tmn_mm before;
	struct tmn_bulk_stats stats;
	uint64_t calls;

	ASSERT_EQ(0, count_holders(self->fd, &before));
	ASSERT_EQ(0, bulk_on(self->fd, variant->way, self->count, TMN_WHEN_ASKED));
	ASSERT_EQ(0, touch(self->map, self->page));
	calls = bulk_stats(self->fd).calls;
	EXPECT_GE(calls, 2 * self->count);
	ASSERT_EQ(0, tmn(self->fd, TMN_BULK_OFF, NULL));
	expect_all_freed(_metadata, self->fd);
	/* Others can have called them before they were off. */
	calls = bulk_stats(self->fd).calls;
	ASSERT_EQ(0, touch(self->map, self->page));
	stats = bulk_stats(self->fd);
	EXPECT_EQ(calls, stats.calls);
	EXPECT_EQ(variant->way == TMN_WAY_UNREGISTER ? self->count : 0, stats.releases);
	expect_no_holder_left(_metadata, self->fd, &before);
}

/* The reference of the notifier can be the last one: KASAN watches. */
TEST_F(lifetime, last_reference)
{
	struct tmn_sync sync;
	int status;
	pid_t child;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child)
		_exit(tmn_register(self->fd, TMN_LIST_CALL, TMN_OP_ALL, 0, NULL, 0) != 1);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	run_everywhere();
	EXPECT_EQ(0, tmn_unregister(self->fd, 1));
	ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
	EXPECT_EQ(0, sync.pending);
	EXPECT_EQ(1, tmn_stats(self->fd, 1).releases);
	EXPECT_EQ(1, tmn_stats(self->fd, 1).frees);
}

/* An mm outlives nothing: in each way all its references are given back. */
TEST_F_TIMEOUT(lifetime, mm_is_freed, 120)
{
	unsigned int way, when;
	int status, i;
	long holders;
	pid_t child;

	for (way = 0; way < TMN_NR_WAYS; way++) {
		for (when = 0; when < TMN_NR_WHEN; when++) {
			int fd = tmn_open();

			if (way == TMN_WAY_UNREGISTER && when != TMN_WHEN_ASKED) {
				close(fd);
				continue;
			}
			ASSERT_GE(fd, 0);
			child = fork();
			ASSERT_GE(child, 0);
			if (!child)
				_exit(!!bulk_on(fd, way, 16, when));
			ASSERT_EQ(child, waitpid(child, &status, 0));
			ASSERT_EQ(0, status);
			ASSERT_EQ(0, tmn(fd, TMN_BULK_OFF, NULL));
			expect_all_freed(_metadata, fd);
			for (i = 0; i < LIMIT_MS / 10; i++) {
				run_everywhere();
				holders = bulk_stats(fd).holders;
				if (!holders)
					break;
				usleep(10000);
			}
			EXPECT_EQ(0, holders) {
				TH_LOG("way %u, when %u", way, when);
			}
			close(fd);
		}
	}
}

/* What goes on meanwhile on other CPUs. */
struct storm {
	atomic_bool over;
	char *map;
	size_t page;
	int ret;
	bool fork;
};

static void *storm_thread(void *arg)
{
	struct storm *storm = arg;

	while (!atomic_load(&storm->over) && !storm->ret) {
		char *map = map_anon(storm->page);

		if (map == MAP_FAILED) {
			storm->ret = -ENOMEM;
			break;
		}
		poke(map);
		storm->ret = sys(munmap(map, storm->page));
		if (!storm->ret && storm->fork) {
			pid_t child = fork();

			if (!child)
				_exit(0);
			storm->ret = child < 0 ? -errno :
				     waitpid(child, NULL, 0) == child ? 0 : -ECHILD;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(teardown, storm, 300)
{
	struct tmn_mm before;
	struct storm storms[2] = {
		{ .page = self->page },
		{ .page = self->page, .fork = true },
	};
	pthread_t threads[2];
	uint64_t calls;
	int i;

	ASSERT_EQ(0, count_holders(self->fd, &before));
	ASSERT_EQ(0, bulk_on(self->fd, variant->way, self->count, TMN_WHEN_ASKED));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, storm_thread, &storms[i]));
	/* Until the storm has come to them. */
	calls = bulk_stats(self->fd).calls;
	for (i = 0; i < LIMIT_MS / 10 && bulk_stats(self->fd).calls == calls; i++)
		usleep(10000);
	EXPECT_GT(bulk_stats(self->fd).calls, calls);
	EXPECT_EQ(0, tmn(self->fd, TMN_BULK_OFF, NULL));
	expect_all_freed(_metadata, self->fd);
	for (i = 0; i < 2; i++) {
		atomic_store(&storms[i].over, true);
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, storms[i].ret);
	}
	expect_no_holder_left(_metadata, self->fd, &before);
}

/* The caller holds mms of children that exit, at any time in between. */
TEST_F_TIMEOUT(teardown, exit_meanwhile, 300)
{
	int status, round, rounds = self->count > 64 ? 1 : 8;
	pid_t child;
	int fd;

	for (round = 0; round < rounds; round++) {
		int ready[2];
		char byte;

		fd = tmn_open();
		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, pipe(ready));
		child = fork();
		ASSERT_GE(child, 0);
		if (!child) {
			if (bulk_on(fd, variant->way, self->count, TMN_WHEN_ASKED))
				_exit(1);
			if (write(ready[1], "", 1) != 1)
				_exit(2);
			usleep(1000 * round);
			_exit(0);
		}
		close(ready[1]);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		ASSERT_EQ(0, tmn(fd, TMN_BULK_OFF, NULL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
		expect_all_freed(_metadata, fd);
		close(ready[0]);
		close(fd);
	}
}

/* From ->release: each its own, or one for all. */
static void off_in_release(struct __test_metadata *_metadata, int fd, unsigned int way,
			   unsigned int count, unsigned int when)
{
	int status;
	pid_t child;

	/* It waits for the callback, so it is not for there. */
	if (way == TMN_WAY_UNREGISTER) {
		EXPECT_EQ(-EINVAL, bulk_on(fd, way, count, when));
		return;
	}
	child = fork();
	ASSERT_GE(child, 0);
	if (!child)
		_exit(!!bulk_on(fd, way, count, when));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	/* Taken off or not, the walk goes through all of them. */
	EXPECT_EQ(count, bulk_stats(fd).releases);
	ASSERT_EQ(0, tmn(fd, TMN_BULK_OFF, NULL));
	expect_all_freed(_metadata, fd);
}

TEST_F_TIMEOUT(teardown, in_release, 300)
{
	off_in_release(_metadata, self->fd, variant->way, self->count, TMN_WHEN_RELEASED);
}

TEST_F_TIMEOUT(teardown, in_release_of_another, 300)
{
	off_in_release(_metadata, self->fd, variant->way, self->count, TMN_WHEN_ONE_RELEASED);
}

/* Unloading has to wait for what is still to be called. */
TEST_F_TIMEOUT(teardown, unload, 300)
{
	struct tmn_mm before;
	int i;

	ASSERT_EQ(0, count_holders(self->fd, &before));
	if (access("/sys/module/test_mmu_notifier/initstate", F_OK))
		SKIP(return, "the module is built in");
	for (i = 0; i < (self->count > 64 ? 1 : 3); i++) {
		ASSERT_EQ(0, bulk_on(self->fd, variant->way, self->count, TMN_WHEN_ASKED));
		close(self->fd);
		ASSERT_EQ(0, system("modprobe -r test_mmu_notifier"));
		ASSERT_EQ(0, touch(self->map, self->page));
		ASSERT_EQ(0, system("modprobe test_mmu_notifier"));
		self->fd = tmn_open();
		ASSERT_GE(self->fd, 0);
	}
	EXPECT_TRUE(nothing_left(self->fd, &before));
}

/*
 * Bugs of a driver, which the kernel reports and survives. They leave a warning
 * on the console, so test_mmu_notifier.sh runs them only when it is asked to.
 */
FIXTURE(misuse) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_SETUP(misuse)
{
	if (!misuse_allowed())
		SKIP(return, "the module is loaded without misuse=1");
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(misuse)
{
	close(self->fd);
}

/* The caller goes on after an error, so there is one end for each start. */
TEST_F(misuse, blockable_error)
{
	int good = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	int bad = tmn_register(self->fd, TMN_LIST, TMN_OP_START, TMN_F_FAIL_BLOCK,
			       self->map, self->page);
	int later = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);

	ASSERT_GT(good, 0);
	ASSERT_GT(bad, 0);
	ASSERT_GT(later, 0);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, bad).failed);
	EXPECT_EQ(1, tmn_stats(self->fd, good).starts);
	expect_balanced(_metadata, self->fd, good);
	EXPECT_EQ(1, tmn_stats(self->fd, later).starts);
	expect_balanced(_metadata, self->fd, later);
}

/* Nor by an interval notifier: the walk goes on, and nobody waits for ever. */
TEST_F(misuse, interval_blockable_error)
{
	int list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	int earlier = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);
	int bad = tmn_register(self->fd, TMN_INTERVAL, 0, TMN_F_FAIL_BLOCK,
			       self->map, self->page);
	int later = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);

	ASSERT_GT(list, 0);
	ASSERT_GT(earlier, 0);
	ASSERT_GT(bad, 0);
	ASSERT_GT(later, 0);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, bad).failed);
	EXPECT_EQ(1, tmn_stats(self->fd, earlier).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, later).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, list).starts);
	expect_balanced(_metadata, self->fd, list);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, later));
}

/* Twice: the list stays what it was. */
TEST_F(misuse, duplicate)
{
	int older = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
	int id = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
	int newer = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
	struct tmn_mm before, after;
	unsigned int starts;

	ASSERT_GT(newer, 0);
	ASSERT_EQ(0, count_holders(self->fd, &before));
	EXPECT_EQ(-EEXIST, tmn_call(self->fd, id, TMN_DO_PUT_ON_AGAIN, TMN_IN_PROCESS, 0));
	EXPECT_EQ(-EEXIST, tmn_call(self->fd, older, TMN_DO_PUT_ON_AGAIN, TMN_IN_PROCESS, 0));
	EXPECT_EQ(-EEXIST, tmn_call(self->fd, newer, TMN_DO_PUT_ON_AGAIN, TMN_IN_PROCESS, 0));
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &after));
	EXPECT_LE(after.count, before.count);
	/* Whatever it takes to write to a page that fork() has shared. */
	ASSERT_EQ(0, touch(self->map, self->page));
	starts = tmn_stats(self->fd, id).starts;
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, older).starts);
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, newer).starts);
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(starts + 2, tmn_stats(self->fd, older).starts);
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(starts + 2, tmn_stats(self->fd, newer).starts);
}

TEST_F(misuse, no_ops)
{
	const struct {
		unsigned int kind;
		enum tmn_what what;
	} cells[] = {
		{ TMN_LIST, TMN_DO_PUT_ON_BARE },
		{ TMN_LIST_GET, TMN_DO_PUT_ON_BARE },
		{ TMN_LIST_GET, TMN_DO_PUT_ON_NO_FIRST },
		{ TMN_LIST_GET, TMN_DO_PUT_ON_NO_LAST },
		{ TMN_INTERVAL, TMN_DO_PUT_ON_BARE },
		{ TMN_INTERVAL, TMN_DO_PUT_ON_NO_FIRST },
		{ TMN_INTERVAL_TWO_PASS, TMN_DO_PUT_ON_NO_LAST },
	};
	int i, id;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		id = tmn_prepare(self->fd, cells[i].kind, self->map, self->page);
		ASSERT_GT(id, 0);
		EXPECT_EQ(-EINVAL, tmn_call(self->fd, id, cells[i].what, TMN_IN_PROCESS, 0));
		/* It can be put on all the same, when it has them. */
		EXPECT_EQ(0, tmn_call(self->fd, id, TMN_DO_PUT_ON, TMN_IN_PROCESS, 0));
	}
}

/* Nobody could know whether it is valid. */
TEST_F(misuse, not_tracked)
{
	int id = tmn_caller(self->fd, TMN_LIST, self->map, self->page);

	ASSERT_GT(id, 0);
	EXPECT_EQ(0, is_valid(self->fd, id));
	EXPECT_EQ(0, wait_valid(self->fd, id));
	/* Now it is, but this range is empty. */
	id = tracker(self->fd, self->map, 0);
	ASSERT_GT(id, 0);
	EXPECT_EQ(0, is_valid(self->fd, id));
	EXPECT_EQ(0, wait_valid(self->fd, id));
}

TEST_F(misuse, excluded_ops)
{
	EXPECT_EQ(-EINVAL, tmn_register(self->fd, TMN_LIST, TMN_OP_SECONDARY | TMN_OP_START,
					0, NULL, 0));
	EXPECT_EQ(-EINVAL, tmn_register(self->fd, TMN_LIST, TMN_OP_SECONDARY | TMN_OP_END,
					0, NULL, 0));
}

/* ->release, when it is called by exit, is too late to put something on. */
TEST_F(misuse, no_users)
{
	const struct {
		unsigned int kind;
		enum tmn_what what;
	} cells[] = {
		{ TMN_LIST, TMN_DO_PUT_ON },
		{ TMN_LIST, TMN_DO_PUT_ON_LOCKED },
		{ TMN_LIST_GET, TMN_DO_PUT_ON },
		{ TMN_INTERVAL, TMN_DO_PUT_ON },
		/* There is one with these ops already. */
		{ TMN_LIST_GET, TMN_DO_PUT_ON },
	};
	int i, id, from, status;
	pid_t child;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		/* With an interval there already, insert has a check of its own. */
		tmn_caller(self->fd, TMN_INTERVAL, self->map, self->page);
		for (i = 0; i < 5; i++) {
			if (i == 4 &&
			    tmn_caller(self->fd, TMN_LIST_GET, self->map, self->page) != 10)
				_exit(2);
			id = tmn_prepare(self->fd, cells[i].kind, self->map, self->page);
			from = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
			if (id != 2 + 2 * i + i / 4 || from != id + 1 ||
			    tmn_call(self->fd, id, cells[i].what, TMN_IN_RELEASE, from))
				_exit(1);
		}
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	for (i = 0; i < 5; i++) {
		id = 2 + 2 * i + i / 4;
		EXPECT_EQ(1, tmn_stats(self->fd, id).calls);
		EXPECT_EQ(-EINVAL, tmn_stats(self->fd, id).call_ret);
	}
}

/*
 * It comes off the mm that it is on, and that mm loses the reference. Idle CPUs
 * come and go with one each, so there are more of them.
 */
#define ELSEWHERE	16

TEST_F(misuse, unregister_elsewhere)
{
	struct tmn_mm before, after;
	int id[ELSEWHERE], status, i;
	pid_t child;

	for (i = 0; i < ELSEWHERE; i++) {
		id[i] = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
		ASSERT_GT(id[i], 0);
	}
	ASSERT_EQ(0, count_holders(self->fd, &before));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		struct tmn_mm mine, then;

		if (count_holders(self->fd, &mine))
			_exit(1);
		/* So that the mm lives, should it lose what is not its own. */
		for (i = 0; i < ELSEWHERE; i++)
			if (tmn_caller(self->fd, TMN_LIST, self->map, self->page) <= 0)
				_exit(2);
		for (i = 0; i < ELSEWHERE; i++)
			if (tmn_call(self->fd, id[i], TMN_DO_UNREGISTER_HERE, TMN_IN_PROCESS, 0))
				_exit(3);
		if (tmn(self->fd, TMN_MM, &then))
			_exit(4);
		_exit(then.count > mine.count + ELSEWHERE / 2 ? 0 : 5);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, touch(self->map, self->page));
	for (i = 0; i < ELSEWHERE; i++) {
		EXPECT_EQ(1, tmn_stats(self->fd, id[i]).releases);
		EXPECT_EQ(0, tmn_stats(self->fd, id[i]).late);
	}
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &after));
	EXPECT_LT(after.count, before.count - ELSEWHERE / 2);
}

/* The same ones, never registered, hold no reference. */
TEST_F(misuse, unregister_never_registered)
{
	struct tmn_mm before, after;
	int id[ELSEWHERE], i;

	for (i = 0; i < ELSEWHERE; i++) {
		id[i] = tmn_prepare(self->fd, TMN_LIST, self->map, self->page);
		ASSERT_GT(id[i], 0);
	}
	ASSERT_EQ(0, count_holders(self->fd, &before));
	for (i = 0; i < ELSEWHERE; i++)
		EXPECT_EQ(0, tmn_call(self->fd, id[i], TMN_DO_UNREGISTER_HERE,
				      TMN_IN_PROCESS, 0));
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &after));
	EXPECT_GT(after.count, before.count - ELSEWHERE / 2);
}

static long destroy_complaints(void *unused)
{
	run_everywhere();
	return complaints("__mmu_notifier_subscriptions_destroy");
}

/* One reference too few. */
TEST_F(misuse, destroyed_too_early)
{
	int status, before = destroy_complaints(NULL);
	pid_t child;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		int id = tmn_caller(self->fd, TMN_INTERVAL, self->map, self->page);

		_exit(id <= 0 || tmn_call(self->fd, id, TMN_DO_DROP_MM, TMN_IN_PROCESS, 0));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(before + 1, wait_until(destroy_complaints, NULL, before + 1, 1));
}

/*
 * What wants mmap_lock for writing, without it. Without ops as well, so that it
 * ends before it takes the other locks of the mm, which has checks of its own.
 */
TEST_F(misuse, unlocked)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	const enum tmn_where from[] = { TMN_IN_PROCESS, TMN_IN_MMAP_READ, TMN_IN_FREE };
	struct tmn_sync sync;
	int i, id, caller, complained;

	for (i = 0; i < 9; i++) {
		id = tmn_prepare(self->fd, kinds[i / 3], self->map, self->page);
		ASSERT_GT(id, 0);
		caller = tmn_caller(self->fd, TMN_LIST_PUT, self->map, self->page);
		ASSERT_GT(caller, 0);
		complained = complaints("rwsem.h");
		tmn_call(self->fd, id, TMN_DO_PUT_ON_LOCKED_BARE, from[i % 3], caller);
		ASSERT_EQ(0, tmn_unregister(self->fd, caller));
		ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
		EXPECT_GT(complaints("rwsem.h"), complained);
		EXPECT_EQ(1, tmn_stats(self->fd, id).calls);
		EXPECT_EQ(-EINVAL, tmn_stats(self->fd, id).call_ret);
	}
}

/* What sleeps, from free_notifier(), which may not. */
TEST_F(misuse, sleep_in_free)
{
	const struct {
		unsigned int kind;
		enum tmn_what what;
	} cells[] = {
		{ TMN_LIST, TMN_DO_PUT_ON },
		{ TMN_LIST_GET, TMN_DO_PUT_ON },
		{ TMN_INTERVAL, TMN_DO_PUT_ON },
		{ TMN_INTERVAL, TMN_DO_READ_BEGIN },
		{ TMN_INTERVAL, TMN_DO_WAIT_VALID },
		{ TMN_INTERVAL, TMN_DO_TAKE_OFF },
	};
	struct tmn_sync sync;
	int i, id, from, complained;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		if (cells[i].what == TMN_DO_PUT_ON)
			id = tmn_prepare(self->fd, cells[i].kind, self->map, self->page);
		else
			id = tmn_caller(self->fd, cells[i].kind, self->map, self->page);
		ASSERT_GT(id, 0);
		from = tmn_caller(self->fd, TMN_LIST_PUT, self->map, self->page);
		ASSERT_GT(from, 0);
		ASSERT_EQ(0, tmn_call(self->fd, id, cells[i].what, TMN_IN_FREE, from));
		/* The kernel says so once a second. */
		usleep(1500000);
		complained = complaints("sleeping function called");
		ASSERT_EQ(0, tmn_unregister(self->fd, from));
		ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
		EXPECT_EQ(1, tmn_stats(self->fd, id).calls);
		EXPECT_EQ(complained + 1, complaints("sleeping function called"));
	}
}

/*
 * Bugs of a driver that the kernel reports and does not survive, or reports
 * once in its life: for a guest each, that has to show exactly that.
 */
FIXTURE(splat) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(splat) {
	unsigned int kind;
	enum tmn_what what;
	enum tmn_where where;
};

FIXTURE_VARIANT_ADD(splat, register_mmap_read) {
	TMN_LIST, TMN_DO_PUT_ON, TMN_IN_MMAP_READ
};

FIXTURE_VARIANT_ADD(splat, register_mmap_write) {
	TMN_LIST, TMN_DO_PUT_ON, TMN_IN_MMAP_WRITE
};

FIXTURE_VARIANT_ADD(splat, register_start) { TMN_LIST, TMN_DO_PUT_ON, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, register_end) { TMN_LIST, TMN_DO_PUT_ON, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, register_invalidate) {
	TMN_LIST, TMN_DO_PUT_ON, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, register_locked_start) {
	TMN_LIST, TMN_DO_PUT_ON_LOCKED, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, register_locked_end) {
	TMN_LIST, TMN_DO_PUT_ON_LOCKED, TMN_IN_END
};

FIXTURE_VARIANT_ADD(splat, register_locked_invalidate) {
	TMN_LIST, TMN_DO_PUT_ON_LOCKED, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, get_mmap_read) {
	TMN_LIST_GET, TMN_DO_PUT_ON, TMN_IN_MMAP_READ
};

FIXTURE_VARIANT_ADD(splat, get_mmap_write) {
	TMN_LIST_GET, TMN_DO_PUT_ON, TMN_IN_MMAP_WRITE
};

FIXTURE_VARIANT_ADD(splat, get_start) { TMN_LIST_GET, TMN_DO_PUT_ON, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, get_end) { TMN_LIST_GET, TMN_DO_PUT_ON, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, get_invalidate) {
	TMN_LIST_GET, TMN_DO_PUT_ON, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, unregister_start) { TMN_LIST, TMN_DO_TAKE_OFF, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, unregister_end) { TMN_LIST, TMN_DO_TAKE_OFF, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, unregister_release) {
	TMN_LIST, TMN_DO_TAKE_OFF, TMN_IN_RELEASE
};

FIXTURE_VARIANT_ADD(splat, unregister_free) { TMN_LIST, TMN_DO_TAKE_OFF, TMN_IN_FREE };

FIXTURE_VARIANT_ADD(splat, synchronize_start) {
	TMN_LIST, TMN_DO_SYNCHRONIZE, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, synchronize_end) { TMN_LIST, TMN_DO_SYNCHRONIZE, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, synchronize_release) {
	TMN_LIST, TMN_DO_SYNCHRONIZE, TMN_IN_RELEASE
};

FIXTURE_VARIANT_ADD(splat, synchronize_free) {
	TMN_LIST, TMN_DO_SYNCHRONIZE, TMN_IN_FREE
};

FIXTURE_VARIANT_ADD(splat, insert_mmap_read) {
	TMN_INTERVAL, TMN_DO_PUT_ON, TMN_IN_MMAP_READ
};

FIXTURE_VARIANT_ADD(splat, insert_mmap_write) {
	TMN_INTERVAL, TMN_DO_PUT_ON, TMN_IN_MMAP_WRITE
};

FIXTURE_VARIANT_ADD(splat, insert_start) { TMN_INTERVAL, TMN_DO_PUT_ON, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, insert_end) { TMN_INTERVAL, TMN_DO_PUT_ON, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, insert_invalidate) {
	TMN_INTERVAL, TMN_DO_PUT_ON, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, insert_locked_start) {
	TMN_INTERVAL, TMN_DO_PUT_ON_LOCKED, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, insert_locked_end) {
	TMN_INTERVAL, TMN_DO_PUT_ON_LOCKED, TMN_IN_END
};

FIXTURE_VARIANT_ADD(splat, insert_locked_invalidate) {
	TMN_INTERVAL, TMN_DO_PUT_ON_LOCKED, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, remove_start) { TMN_INTERVAL, TMN_DO_TAKE_OFF, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, remove_end) { TMN_INTERVAL, TMN_DO_TAKE_OFF, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, remove_invalidate) {
	TMN_INTERVAL, TMN_DO_TAKE_OFF, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, read_begin_start) {
	TMN_INTERVAL, TMN_DO_READ_BEGIN, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, read_begin_end) {
	TMN_INTERVAL, TMN_DO_READ_BEGIN, TMN_IN_END
};

FIXTURE_VARIANT_ADD(splat, read_begin_invalidate) {
	TMN_INTERVAL, TMN_DO_READ_BEGIN, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, wait_valid_start) {
	TMN_INTERVAL, TMN_DO_WAIT_VALID, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, wait_valid_end) {
	TMN_INTERVAL, TMN_DO_WAIT_VALID, TMN_IN_END
};

FIXTURE_VARIANT_ADD(splat, wait_valid_invalidate) {
	TMN_INTERVAL, TMN_DO_WAIT_VALID, TMN_IN_INVALIDATE
};

FIXTURE_SETUP(splat)
{
	if (!misuse_allowed())
		SKIP(return, "the module is loaded without misuse=1");
	if (access("/proc/lockdep", F_OK))
		SKIP(return, "no CONFIG_PROVE_LOCKING");
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(splat)
{
	close(self->fd);
}

/* In a child, since it may never come back. */
static void splat(int fd, unsigned int kind, enum tmn_what what, enum tmn_where where,
		  char *map, size_t page)
{
	/* Nobody is to wait for an end of file because of it. */
	bool quiet = !close_range(0, fd - 1, 0) && !close_range(fd + 1, ~0U, 0);
	int from = tmn_caller(fd, where == TMN_IN_INVALIDATE ? TMN_INTERVAL :
			      where == TMN_IN_FREE ? TMN_LIST_PUT : TMN_LIST, map, page);
	/* Away from the range: it is the call that counts, not a collision. */
	int id = what == TMN_DO_PUT_ON || what == TMN_DO_PUT_ON_LOCKED ?
		 tmn_prepare(fd, kind, map + 2 * page, page) :
		 tmn_caller(fd, kind, map + 2 * page, page);

	/* The first interval of an mm registers, which is a case of its own. */
	if (!quiet || from != 1 || id != 2 ||
	    (is_interval(kind) && tmn_caller(fd, kind, map + 2 * page, page) != 3))
		_exit(1);
	tmn_call(fd, id, what, where, from);
	if (where == TMN_IN_RELEASE || where == TMN_IN_FREE)
		tmn_unregister(fd, from);
	else if (where >= TMN_IN_START)
		/* With mmap_lock held for writing. */
		mprotect(map, page, PROT_READ);
	_exit(0);
}

static long all_complaints(void *unused)
{
	return complaints("");
}

TEST_F(splat, call)
{
	int before = complaints("");
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child)
		splat(self->fd, variant->kind, variant->what, variant->where,
		      self->map, self->page);
	EXPECT_GT(wait_until(all_complaints, NULL, before + 1, 1), before);
	/* Some have more than one. */
	usleep(2000000);
	EXPECT_EQ(1, tmn_stats(self->fd, 2).calls);
}

/*
 * Starts that may not block: process_mrelease(2) of a child that was killed,
 * and that a thread in the kernel keeps from exiting.
 */
struct reaping {
	int fd;
	pid_t child;
	int pidfd;
	/* half of the allocations of the reaper fail */
	bool nomem;
	int ret;
};

/* Of the threads that ask for it, each second allocation. */
static int make_it_fail(struct knob *knob)
{
	const char *const values[][2] = {
		{ "/sys/kernel/debug/failslab/verbose", "0" },
		{ "/sys/kernel/debug/failslab/task-filter", "Y" },
		{ "/sys/kernel/debug/failslab/ignore-gfp-wait", "N" },
		{ "/sys/kernel/debug/failslab/times", "-1" },
		{ "/sys/kernel/debug/failslab/probability", "50" },
	};
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		ret = knob_set(&knob[i], values[i][0], values[i][1]);
		if (ret)
			return ret;
	}
	return 0;
}

#define FAIL_KNOBS	5

static void restore_all(struct knob *knob)
{
	int i;

	for (i = FAIL_KNOBS - 1; i >= 0; i--)
		knob_restore(&knob[i]);
}

FIXTURE(nonblock) {
	int fd;
	struct reaping reaping;
};

FIXTURE_SETUP(nonblock)
{
	self->fd = tmn_open();
	self->reaping.fd = self->fd;
	ASSERT_GE(self->fd, 0);
}

/* What a test that stopped half-way leaves behind. */
static void reaping_end(struct reaping *r)
{
	if (r->child <= 0)
		return;
	tmn(r->fd, TMN_UNHOLD, NULL);
	kill(r->child, SIGKILL);
	waitpid(r->child, NULL, 0);
}

FIXTURE_TEARDOWN(nonblock)
{
	reaping_end(&self->reaping);
	close(self->fd);
}

/* One notifier of a victim. */
struct wanted {
	unsigned int kind;
	unsigned int ops;
	unsigned int flags;
	/* of an interval: where it begins; it ends with the area */
	unsigned int first_page;
};

#define VICTIM_PAGES	64

/* Leaves a thread in the middle of mapping a page. */
static int victim_faults(int fd, int id, char *addr)
{
	static struct mapper mapper;
	pthread_t thread;

	mapper.fd = fd;
	mapper.id = id;
	mapper.addr = addr;
	return tmn_gate(fd, id, TMN_GATE_MAP) ||
	       pthread_create(&thread, NULL, map_thread, &mapper) ||
	       tmn_at_gate(fd, id);
}

/* Never returns. The notifiers get the ids 1, 2, 3... in their order. */
static void victim(int fd, const struct wanted *wanted, int n, size_t page)
{
	char *map = map_aligned(VICTIM_PAGES * page, page, false);
	pthread_t thread;
	int i;

	for (i = 0; i < n; i++) {
		bool list = wanted[i].kind < TMN_INTERVAL;
		size_t from = wanted[i].first_page * page;

		bool mirror = wanted[i].flags & TMN_F_MIRROR;

		if (tmn_register(fd, wanted[i].kind, wanted[i].ops, wanted[i].flags,
				 list && !mirror ? NULL : map + from,
				 list && !mirror ? 0 : VICTIM_PAGES * page - from) != i + 1)
			_exit(1);
		if (mirror && victim_faults(fd, i + 1, map + from))
			_exit(2);
	}
	pthread_create(&thread, NULL, hold_thread, &fd);
	while (1)
		pause();
}

/* Kills a process with these notifiers, to be reaped. */
static void make_victim(struct __test_metadata *_metadata, struct reaping *r,
			const struct wanted *wanted, int n)
{
	r->child = fork();
	ASSERT_GE(r->child, 0);
	if (!r->child)
		victim(r->fd, wanted, n, getpagesize());
	ASSERT_EQ(0, tmn_at_gate(r->fd, 0));
	r->pidfd = syscall(__NR_pidfd_open, r->child, 0);
	ASSERT_GE(r->pidfd, 0);
	ASSERT_EQ(0, kill(r->child, SIGKILL));
}

static void *reap_thread(void *arg)
{
	struct reaping *r = arg;

	if (r->nomem)
		write_text("/proc/thread-self/make-it-fail", "1");
	r->ret = sys(syscall(__NR_process_mrelease, r->pidfd, 0));
	/* This can fail as well. */
	while (r->nomem && write_text("/proc/thread-self/make-it-fail", "0"))
		;
	close(r->pidfd);
	return NULL;
}

/* 0 or -errno. */
static int reap(struct __test_metadata *_metadata, struct reaping *r,
		const struct wanted *wanted, int n)
{
	make_victim(_metadata, r, wanted, n);
	reap_thread(r);
	return r->ret;
}

static void let_go(struct __test_metadata *_metadata, struct reaping *r)
{
	int status;

	ASSERT_EQ(0, tmn(r->fd, TMN_UNHOLD, NULL));
	ASSERT_EQ(r->child, waitpid(r->child, &status, 0));
	r->child = 0;
	EXPECT_TRUE(WIFSIGNALED(status));
}

TEST_F(nonblock, success)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_PAIR, 0 },
		{ TMN_LIST, TMN_OP_START, 0 },
		{ TMN_INTERVAL_TWO_PASS, 0, 0 },
	};

	EXPECT_EQ(0, reap(_metadata, &self->reaping, wanted, 3));
	EXPECT_GT(count_nonblock(self->fd, 1), 0);
	expect_balanced(_metadata, self->fd, 1);
	EXPECT_GT(tmn_stats(self->fd, 3).starts, 0);
	EXPECT_EQ(tmn_stats(self->fd, 3).starts, tmn_stats(self->fd, 3).finishes);
	let_go(_metadata, &self->reaping);
	expect_balanced(_metadata, self->fd, 1);
}

/*
 * The device is in the middle of a fault, and whoever invalidates cannot wait
 * for it. Only list notifiers are there: that the range is over is for them alone.
 */
TEST_F(nonblock, two_sided_fault)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_ALL, 0 },
		{ TMN_LIST, TMN_OP_ALL, TMN_F_TRACK | TMN_F_MIRROR },
		{ TMN_LIST, TMN_OP_ALL, 0 },
	};
	struct reaping *r = &self->reaping;
	int i;

	EXPECT_EQ(-EAGAIN, reap(_metadata, r, wanted, ARRAY_SIZE(wanted)));
	EXPECT_GT(tmn_stats(self->fd, 2).failed, 0);
	EXPECT_GT(count_nonblock(self->fd, 3), 0);
	EXPECT_EQ(1, is_valid(self->fd, 2));
	EXPECT_EQ(0, wait_valid(self->fd, 2));
	for (i = 1; i <= (int)ARRAY_SIZE(wanted); i++)
		expect_balanced(_metadata, self->fd, i);
	ASSERT_EQ(0, tmn_gate(self->fd, 2, 0));
	let_go(_metadata, r);
	for (i = 1; i <= (int)ARRAY_SIZE(wanted); i++)
		expect_balanced(_metadata, self->fd, i);
}

/* Whoever got a start gets its end, although the range failed later. */
TEST_F(nonblock, list_fails)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_PAIR, 0 },
		{ TMN_LIST, TMN_OP_START, TMN_F_FAIL_NONBLOCK },
		{ TMN_LIST, TMN_OP_PAIR, 0 },
	};

	EXPECT_EQ(-EAGAIN, reap(_metadata, &self->reaping, wanted, 3));
	EXPECT_GT(tmn_stats(self->fd, 2).failed, 0);
	expect_balanced(_metadata, self->fd, 1);
	expect_balanced(_metadata, self->fd, 3);
	let_go(_metadata, &self->reaping);
	expect_balanced(_metadata, self->fd, 1);
	expect_balanced(_metadata, self->fd, 3);
}

/* When the interval side fails the list is not called at all. */
TEST_F(nonblock, interval_fails)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_PAIR, 0 },
		{ TMN_INTERVAL_TWO_PASS, 0, 0 },
		{ TMN_INTERVAL, 0, TMN_F_FAIL_NONBLOCK, .first_page = 1 },
	};
	uint64_t seq;

	EXPECT_EQ(-EAGAIN, reap(_metadata, &self->reaping, wanted, 3));
	EXPECT_GT(tmn_stats(self->fd, 3).failed, 0);
	/* Called before the one that fails, for the lower address. */
	EXPECT_GT(tmn_stats(self->fd, 2).starts, 0);
	EXPECT_EQ(tmn_stats(self->fd, 2).starts, tmn_stats(self->fd, 2).finishes);
	/* Other VMAs have no interval, so their ranges do succeed. */
	expect_balanced(_metadata, self->fd, 1);
	EXPECT_EQ(0, tmn_read_begin(self->fd, 2, &seq));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, 2));
	let_go(_metadata, &self->reaping);
	expect_balanced(_metadata, self->fd, 1);
}

/* The non-blocking callbacks of one notifier. */
struct tally {
	int started;
	int failed;
	int ended;
	bool paired;
};

static struct tally tally(int fd, int id)
{
	static struct tmn_event log[TMN_LOG_SIZE];
	struct tally t = { .paired = true };
	int n = tmn_events(fd, id, log), i, j;

	for (i = 0; i < n; i++) {
		int ends = 0;

		if (log[i].flags & TMN_EV_BLOCKABLE)
			continue;
		t.ended += log[i].type == TMN_EV_END;
		if (log[i].type != TMN_EV_START)
			continue;
		t.started += !log[i].ret;
		t.failed += !!log[i].ret;
		/* One end for each range, before the next range begins. */
		for (j = i + 1; j < n && log[j].type != TMN_EV_START; j++)
			ends += log[j].type == TMN_EV_END &&
				log[j].start == log[i].start &&
				log[j].end == log[i].end;
		t.paired &= ends == !log[i].ret;
	}
	return t;
}

/* Of those in front of the one that fails, each operation alone, and none. */
TEST_F(nonblock, few_ops)
{
	struct wanted wanted[1 + FEW_OPS] = {
		{ TMN_LIST, TMN_OP_PAIR, TMN_F_FAIL_NONBLOCK },
	};
	struct tally t;
	int i, failed;

	for (i = 0; i < FEW_OPS; i++)
		wanted[1 + i] = (struct wanted){ TMN_LIST, few_ops[i], 0 };
	EXPECT_EQ(-EAGAIN, reap(_metadata, &self->reaping, wanted, 1 + FEW_OPS));
	failed = tally(self->fd, 1).failed;
	EXPECT_GT(failed, 0);
	for (i = 0; i < FEW_OPS; i++) {
		t = tally(self->fd, 2 + i);
		EXPECT_EQ(few_ops[i] == TMN_OP_START ? failed : 0, t.started);
		EXPECT_EQ(0, t.failed);
		/* The range never began. */
		EXPECT_EQ(0, t.ended);
	}
	let_go(_metadata, &self->reaping);
	for (i = 0; i < FEW_OPS; i++)
		EXPECT_EQ(few_ops[i] == TMN_OP_RELEASE, tmn_stats(self->fd, 2 + i).releases);
}

static long release_calls(void *arg)
{
	struct counter *c = arg;

	return tmn_stats(c->fd, c->id).releases;
}

static long call_done(void *arg)
{
	struct call *call = arg;

	return atomic_load(&call->done);
}

/*
 * Exit takes notifiers off in the middle of the reaper's range: they get no end,
 * so release is where a driver has to stop waiting for one. The walk that is
 * under way goes on to the older one, after its release.
 */
TEST_F(nonblock, exit_meanwhile)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_ALL, 0 },
		{ TMN_LIST, TMN_OP_ALL, 0 },
	};
	struct counter c = { .fd = self->fd, .id = 1 };
	pthread_t reaper;
	struct tmn_stats stats;
	uint64_t before[2];
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
	make_victim(_metadata, &self->reaping, wanted, 2);
	for (i = 0; i < 2; i++)
		before[i] = tmn_stats(self->fd, 1 + i).starts;
	ASSERT_EQ(0, tmn_gate(self->fd, 2, TMN_GATE_SPIN));
	ASSERT_EQ(0, pthread_create(&reaper, NULL, reap_thread, &self->reaping));
	ASSERT_EQ(0, tmn_at_gate(self->fd, 2));
	ASSERT_EQ(0, tmn(self->fd, TMN_UNHOLD, NULL));
	EXPECT_EQ(1, wait_until(release_calls, &c, 1, 1));
	/* It is taken off right after that. */
	usleep(1000000);
	ASSERT_EQ(0, tmn_gate(self->fd, 2, 0));
	ASSERT_EQ(0, pthread_join(reaper, NULL));
	ASSERT_EQ(self->reaping.child, waitpid(self->reaping.child, NULL, 0));
	self->reaping.child = 0;
	for (i = 0; i < 2; i++) {
		stats = tmn_stats(self->fd, 1 + i);
		EXPECT_EQ(before[i] + 1, stats.starts);
		EXPECT_EQ(before[i], stats.ends);
		EXPECT_EQ(1, stats.open);
		EXPECT_EQ(0, stats.unmatched);
		EXPECT_EQ(1, stats.releases);
	}
}

/* Who failed, and who asked; not once for each range. */
TEST_F(nonblock, message)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_PAIR, TMN_F_FAIL_NONBLOCK },
	};
	int lines = 0, i, round, failed;
	char caller[96];

	snprintf(caller, sizeof(caller),
		 "failed with -11 in non-blockable context, called by mmu_notifier[%d]", getpid());
	/*
	 * The limit is 10 in 5 s: that of the tests before has to be over. It is in
	 * jiffies, which stay behind where ticks are lost.
	 */
	for (round = 0; round < 5 && !lines; round++) {
		sleep(6);
		for (i = 0, failed = 0; failed <= 10; i++) {
			ASSERT_LT(i, 10);
			self->reaping.fd = tmn_open();
			EXPECT_EQ(-EAGAIN, reap(_metadata, &self->reaping, wanted, 1));
			failed += tmn_stats(self->reaping.fd, 1).failed;
			let_go(_metadata, &self->reaping);
			close(self->reaping.fd);
		}
		lines = log_lines("tmn_start", caller);
	}
	EXPECT_GT(lines, 0);
	EXPECT_LE(lines, 10);
}

/*
 * Three notifiers of a victim that each get a start, the second one fails, and
 * one behind it: while that start runs, one of them is taken off.
 */
FIXTURE(race) {
	int fd;
	struct reaping reaping;
	struct knob knob[FAIL_KNOBS];
};

FIXTURE_VARIANT(race) {
	unsigned int kind;
	int id;
	bool nomem;
};

#define BEHIND	1
#define FAILING	2
#define BEFORE	3
#define NEWEST	4
#define RACE	5

FIXTURE_VARIANT_ADD(race, unregister_before) { TMN_LIST, BEFORE };
FIXTURE_VARIANT_ADD(race, unregister_failing) { TMN_LIST, FAILING };
FIXTURE_VARIANT_ADD(race, unregister_behind) { TMN_LIST, BEHIND };
FIXTURE_VARIANT_ADD(race, unregister_nomem) { TMN_LIST, FAILING, .nomem = true };
FIXTURE_VARIANT_ADD(race, put_before) { TMN_LIST_PUT, BEFORE };
FIXTURE_VARIANT_ADD(race, put_failing) { TMN_LIST_PUT, FAILING };
FIXTURE_VARIANT_ADD(race, put_behind) { TMN_LIST_PUT, BEHIND };
FIXTURE_VARIANT_ADD(race, put_nomem) { TMN_LIST_PUT, FAILING, .nomem = true };

FIXTURE_SETUP(race)
{
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->reaping.fd = self->fd;
	self->reaping.nomem = variant->nomem;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
	if (variant->nomem && make_it_fail(self->knob))
		SKIP(return, "no CONFIG_FAILSLAB, or no debugfs");
}

FIXTURE_TEARDOWN(race)
{
	reaping_end(&self->reaping);
	restore_all(self->knob);
	close(self->fd);
}

TEST_F(race, taken_off)
{
	const struct wanted wanted[RACE] = {
		[BEHIND - 1] = { variant->kind, TMN_OP_ALL, 0 },
		[FAILING - 1] = { variant->kind, TMN_OP_ALL, TMN_F_FAIL_NONBLOCK },
		[BEFORE - 1] = { variant->kind, TMN_OP_ALL, 0 },
		[NEWEST - 1] = { variant->kind, TMN_OP_ALL, 0 },
		[RACE - 1] = { TMN_INTERVAL_TWO_PASS, 0, 0 },
	};
	struct call call = { .fd = self->fd, .id = variant->id, .func = tmn_unregister };
	struct counter off = { .fd = self->fd, .id = variant->id };
	pthread_t reaper, remover;
	struct tmn_stats stats;
	uint64_t seq;
	int i;

	make_victim(_metadata, &self->reaping, wanted, RACE);
	ASSERT_EQ(0, tmn_gate(self->fd, FAILING, TMN_GATE_SPIN));
	ASSERT_EQ(0, pthread_create(&reaper, NULL, reap_thread, &self->reaping));
	ASSERT_EQ(0, tmn_at_gate(self->fd, FAILING));
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	/* It is off soon; unregister, in addition, calls ->release before and waits. */
	if (variant->kind == TMN_LIST) {
		EXPECT_EQ(1, wait_until(release_calls, &off, 1, 1));
		EXPECT_TRUE(still_waiting(&call));
	} else {
		EXPECT_EQ(1, wait_until(call_done, &call, 1, 1));
		EXPECT_EQ(0, tmn_stats(self->fd, variant->id).releases);
	}
	ASSERT_EQ(0, tmn_gate(self->fd, FAILING, 0));
	ASSERT_EQ(0, pthread_join(reaper, NULL));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(-EAGAIN, self->reaping.ret);

	for (i = BEHIND; i <= NEWEST; i++) {
		stats = tmn_stats(self->fd, i);
		EXPECT_EQ(0, stats.unmatched);
		EXPECT_EQ(0, stats.late);
		/* Who is taken off after its start gets no end. */
		EXPECT_EQ(i == BEFORE && i == variant->id, stats.open) {
			TH_LOG("notifier %d", i);
		}
		EXPECT_EQ(stats.starts, stats.ends + stats.open);
		EXPECT_EQ(i == FAILING, stats.failed > 0);
	}
	EXPECT_GT(tmn_stats(self->fd, BEFORE).starts, 0);
	EXPECT_GT(tmn_stats(self->fd, NEWEST).starts, 0);
	/* Nobody is in its way any more, once the one that fails is off. */
	EXPECT_EQ(variant->id == FAILING, count_nonblock(self->fd, BEHIND) > 0);
	stats = tmn_stats(self->fd, RACE);
	EXPECT_GT(stats.starts, 0);
	EXPECT_EQ(stats.starts, stats.finishes + stats.absorbed);
	EXPECT_EQ(0, tmn_read_begin(self->fd, RACE, &seq));
	let_go(_metadata, &self->reaping);
}

static int register_late(int fd, int pid)
{
	struct tmn_register reg = {
		.kind = TMN_LIST_PUT,
		.ops = TMN_OP_ALL,
		.pid = pid,
	};
	int ret = tmn(fd, TMN_REGISTER, &reg);

	return ret < 0 ? ret : (int)reg.id;
}

/* Registration waits for the reaper, so nobody gets an end without a start. */
TEST_F(nonblock, register_meanwhile)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_PAIR, 0 },
		{ TMN_LIST, TMN_OP_PAIR, TMN_F_FAIL_NONBLOCK },
		{ TMN_LIST, TMN_OP_PAIR, 0 },
	};
	struct call call = { .fd = self->fd, .func = register_late };
	pthread_t reaper, registrar;
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
	make_victim(_metadata, &self->reaping, wanted, 3);
	ASSERT_EQ(0, tmn_gate(self->fd, 2, TMN_GATE_SPIN));
	ASSERT_EQ(0, pthread_create(&reaper, NULL, reap_thread, &self->reaping));
	ASSERT_EQ(0, tmn_at_gate(self->fd, 2));
	call.id = self->reaping.child;
	ASSERT_EQ(0, pthread_create(&registrar, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, 2, 0));
	ASSERT_EQ(0, pthread_join(reaper, NULL));
	ASSERT_EQ(0, pthread_join(registrar, NULL));
	EXPECT_EQ(-EAGAIN, self->reaping.ret);
	EXPECT_EQ(4, call.ret);
	EXPECT_EQ(0, tmn_stats(self->fd, 4).starts);
	EXPECT_EQ(0, tmn_stats(self->fd, 4).releases);
	let_go(_metadata, &self->reaping);
	for (i = 1; i <= 4; i++)
		expect_balanced(_metadata, self->fd, i);
	EXPECT_EQ(1, tmn_stats(self->fd, 4).releases);
}

/*
 * Three list notifiers, each without an end, with one, or with one and a start
 * that fails: every mix, and so every order of registration that differs.
 */
#define MIX		3
#define MIXES		27	/* 3^3 */

FIXTURE(mix) {
	int fd;
	struct reaping reaping;
	struct knob knob[FAIL_KNOBS];
};

FIXTURE_VARIANT(mix) {
	/* what covers the victim's area: nothing, or an interval with flags */
	bool interval;
	unsigned int flags;
	bool nomem;
};

FIXTURE_VARIANT_ADD(mix, list) { };
FIXTURE_VARIANT_ADD(mix, interval) { .interval = true };
FIXTURE_VARIANT_ADD(mix, interval_fails) {
	.interval = true,
	.flags = TMN_F_FAIL_NONBLOCK,
};

FIXTURE_VARIANT_ADD(mix, nomem) { .interval = true, .nomem = true };

FIXTURE_SETUP(mix)
{
	self->fd = -1;
	self->reaping.nomem = variant->nomem;
	if (variant->nomem && make_it_fail(self->knob))
		SKIP(return, "no CONFIG_FAILSLAB, or no debugfs");
}

FIXTURE_TEARDOWN(mix)
{
	reaping_end(&self->reaping);
	restore_all(self->knob);
	close(self->fd);
}

/* How often a list notifier was called before the interval was through. */
static int too_early(int fd, int list, int interval)
{
	static struct tmn_event calls[TMN_LOG_SIZE], passes[TMN_LOG_SIZE];
	int n = tmn_events(fd, list, calls), m = tmn_events(fd, interval, passes);
	int i, j, early = 0;

	for (i = 0; i < n; i++) {
		int open = 0;

		for (j = 0; j < m && passes[j].clock < calls[i].clock; j++)
			if (passes[j].type == TMN_EV_FINISH)
				open--;
			else if (!passes[j].ret)
				open++;
		early += calls[i].type == TMN_EV_START && open != 0;
	}
	return early;
}

TEST_F_TIMEOUT(mix, nonblock, 300)
{
	const struct wanted choice[] = {
		{ TMN_LIST_PUT, TMN_OP_START, 0 },
		{ TMN_LIST_PUT, TMN_OP_PAIR, 0 },
		{ TMN_LIST_PUT, TMN_OP_PAIR, TMN_F_FAIL_NONBLOCK },
	};
	struct wanted wanted[MIX + 1] = {
		[MIX] = { TMN_INTERVAL_TWO_PASS, 0, variant->flags },
	};
	int mix, rest, i, id, failing, ranges;
	uint64_t absorbed = 0;
	struct tally t;

	for (mix = 0; mix < MIXES; mix++) {
		self->fd = tmn_open();
		ASSERT_GE(self->fd, 0);
		self->reaping.fd = self->fd;
		failing = 0;
		for (i = 0, rest = mix; i < MIX; i++, rest /= 3) {
			wanted[i] = choice[rest % 3];
			/* The newest is called first. */
			if (rest % 3 == 2)
				failing = i + 1;
		}
		ASSERT_EQ(failing || variant->flags ? -EAGAIN : 0,
			  reap(_metadata, &self->reaping, wanted, MIX + variant->interval));

		t = tally(self->fd, MIX);
		ranges = t.started + t.failed;
		ASSERT_GT(ranges, 0);
		for (id = MIX; id > 0; id--) {
			bool end = wanted[id - 1].ops & TMN_OP_END;

			t = tally(self->fd, id);
			ASSERT_EQ(id > failing ? ranges : 0, t.started) {
				TH_LOG("mix %d, notifier %d", mix, id);
			}
			ASSERT_EQ(id == failing ? ranges : 0, t.failed);
			ASSERT_EQ(end && id > failing ? ranges : 0, t.ended) {
				TH_LOG("mix %d, notifier %d", mix, id);
			}
			if (end)
				ASSERT_TRUE(t.paired);
			ASSERT_EQ(0, tmn_stats(self->fd, id).open);
			ASSERT_EQ(0, tmn_stats(self->fd, id).unmatched);
		}
		if (variant->interval) {
			struct tmn_stats stats = tmn_stats(self->fd, MIX + 1);

			ASSERT_EQ(stats.starts, stats.finishes + stats.absorbed);
			ASSERT_EQ(!!variant->flags, stats.failed > 0);
			ASSERT_EQ(0, variant->nomem ? 0 : too_early(self->fd, MIX, MIX + 1));
			absorbed += stats.absorbed;
		}
		let_go(_metadata, &self->reaping);
		close(self->fd);
	}
	self->fd = -1;
	EXPECT_EQ(variant->nomem, absorbed > 0);
}

/*
 * The last test, since on a kernel that fails it threads stay behind for ever:
 * nobody ends what the interval side of a failed start began.
 */
TEST_F(nonblock, list_fails_beside_interval)
{
	const struct wanted wanted[] = {
		{ TMN_INTERVAL, 0, 0 },
		{ TMN_INTERVAL_TWO_PASS, 0, 0 },
		{ TMN_LIST, TMN_OP_START, TMN_F_FAIL_NONBLOCK },
	};
	uint64_t seq;
	int i;

	EXPECT_EQ(-EAGAIN, reap(_metadata, &self->reaping, wanted, 3));
	EXPECT_GT(tmn_stats(self->fd, 1).starts, 0);
	EXPECT_EQ(tmn_stats(self->fd, 2).starts, tmn_stats(self->fd, 2).finishes);
	for (i = 1; i <= 2; i++) {
		EXPECT_EQ(0, tmn_read_begin(self->fd, i, &seq));
		EXPECT_EQ(0, tmn_remove_timed(self->fd, i));
	}
	let_go(_metadata, &self->reaping);
}

TEST_HARNESS_MAIN
