// SPDX-License-Identifier: GPL-2.0
/*
 * What mainline promises to the users of mmu notifiers, checked with the
 * notifiers of lib/test_mmu_notifier.c and events from real system calls.
 *
 * Run it through test_mmu_notifier.sh, which loads the module.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm_util.h"
#include <lib/test_mmu_notifier_uapi.h>

/* Where a test may be waiting for something that a broken kernel never does. */
#define LIMIT_MS	5000

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

static int tmn_open(void)
{
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
	if (madvise(start, len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		return MAP_FAILED;
	memset(start, 1, len);
	return start;
}

static void poke(char *page)
{
	__atomic_fetch_add(page, 1, __ATOMIC_RELAXED);
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

/* Asks again each time: the page may have been in another CPU's batch. */
static long swapped(void *arg)
{
	struct area *a = arg;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	bool swapped = fd >= 0 && pagemap_is_swapped(fd, a->changed);

	close(fd);
	if (!swapped && madvise(a->changed, a->changed_len, MADV_PAGEOUT))
		return -errno;
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

TEST_F_TIMEOUT(event, pairs, 120)
{
	struct area *a = &self->area;
	struct tmn_stats stats;
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
	uint64_t bits = ~0ULL;
	unsigned long pfn;

	if (bitmap < 0)
		SKIP(return, "no CONFIG_IDLE_PAGE_TRACKING");
	ASSERT_GE(pagemap, 0);
	pfn = pagemap_get_pfn(pagemap, self->area.map);
	ASSERT_NE(-1UL, pfn);
	ASSERT_EQ(8, pwrite(bitmap, &bits, 8, pfn / 64 * 8));
	EXPECT_GT(tmn_stats(self->fd, self->id).clear_young, 0);
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
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->page = getpagesize();
	self->map = map_aligned(4 * self->page, self->page, false);
	ASSERT_NE(MAP_FAILED, self->map);
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

/* unregister waits for the callbacks that run. */
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

TEST_F(lifetime, unregister_waits)
{
	struct area a = { .changed = self->map, .changed_len = self->page };
	struct call call = { .fd = self->fd, .func = tmn_unregister };
	pthread_t invalidator, remover;

	call.id = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map,
			       self->page);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, tmn_gate(self->fd, call.id, TMN_GATE_START));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &a));
	ASSERT_EQ(0, tmn_at_gate(self->fd, call.id));
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	EXPECT_TRUE(still_waiting(&call));
	ASSERT_EQ(0, tmn_gate(self->fd, call.id, 0));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(0, tmn_stats(self->fd, call.id).late);
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

/* Lets the Nth allocation of this thread from now on fail. */
static int fail_nth(int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	return write_text("/proc/thread-self/fail-nth", text);
}

static int pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sys(sched_setaffinity(0, sizeof(set), &set));
}

/*
 * An idle CPU borrows the mm that ran there last, and counts in mm_count for as
 * long as it idles. On one CPU, where this process runs, no new one can do so;
 * those that did before can only drop it.
 */
static int count_holders(int fd, struct tmn_mm *mm)
{
	int ret = pin_to(sched_getcpu());

	return ret ? ret : tmn(fd, TMN_MM, mm);
}

static bool nothing_left(int fd, const struct tmn_mm *before)
{
	struct tmn_mm after;
	int i;

	for (i = 0; i < LIMIT_MS / 10; i++) {
		if (!tmn(fd, TMN_MM, &after) && after.count <= before->count &&
		    after.notifiers == before->notifiers)
			return true;
		usleep(10000);
	}
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
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->page = getpagesize();
	self->map = map_aligned(4 * self->page, self->page, false);
	ASSERT_NE(MAP_FAILED, self->map);
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

/* Deferred inserts and removes of today: undone before they took effect. */
TEST_F(interval, insert_and_remove_meanwhile)
{
	struct call call = { .fd = self->fd, .id = self->id, .func = tmn_unregister };
	pthread_t invalidator, remover;
	int id;

	ASSERT_EQ(0, tmn_gate(self->fd, self->list, TMN_GATE_START));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &self->area));
	ASSERT_EQ(0, tmn_at_gate(self->fd, self->list));
	id = tmn_register(self->fd, variant->kind, 0, 0, self->map, self->page);
	ASSERT_GT(id, 0);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, id));
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	/* Long enough for it to arrive; whether it waits is not promised. */
	still_waiting(&call);
	ASSERT_EQ(0, tmn_gate(self->fd, self->list, 0));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	ASSERT_EQ(0, pthread_join(invalidator, NULL));
	EXPECT_EQ(0, call.ret);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(0, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, self->id).starts);
	EXPECT_EQ(0, tmn_stats(self->fd, self->id).late);
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
 * comes for its memory, and its notifiers balance.
 */
TEST(oom_kill)
{
	struct counter c = { .fd = tmn_open(), .id = 1 };
	int fd = c.fd, status, i;
	char cgroup[64];
	pid_t child;

	ASSERT_GE(fd, 0);
	if (make_cgroup(cgroup, sizeof(cgroup), "16M"))
		SKIP(return, "no memory cgroup (v2) at /sys/fs/cgroup");
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		char swap_max[128];
		size_t size = 64 << 20;
		pthread_t thread;
		char *map;

		/* Not there without swap. */
		snprintf(swap_max, sizeof(swap_max), "%s/memory.swap.max", cgroup);
		write_text(swap_max, "0");
		if (enter_cgroup(cgroup))
			_exit(1);
		map = map_anon(size);
		if (tmn_register(fd, TMN_LIST, TMN_OP_ALL, 0, NULL, 0) != 1 ||
		    tmn_register(fd, TMN_LIST, TMN_OP_PAIR, 0, NULL, 0) != 2 ||
		    tmn_register(fd, TMN_INTERVAL_TWO_PASS, 0, 0, map, size) != 3)
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
	for (i = 1; i <= 2; i++)
		expect_balanced(_metadata, fd, i);
	EXPECT_EQ(1, tmn_stats(fd, 1).releases);
	EXPECT_GT(tmn_stats(fd, 3).starts, 0);
	EXPECT_EQ(tmn_stats(fd, 3).starts, tmn_stats(fd, 3).finishes);
	close(fd);
}

/*
 * Put on one CPU, synchronize on another. Callbacks are queued on each CPU only
 * with the large SRCU: boot with srcutree.convert_to_big=1.
 */
TEST(synchronize)
{
	struct tmn_sync sync = { .pending = ~0ULL };
	int fd = tmn_open(), i, id[64], frees = 0;

	ASSERT_GE(fd, 0);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
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
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->page = getpagesize();
	self->map = map_aligned(4 * self->page, self->page, false);
	ASSERT_NE(MAP_FAILED, self->map);
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

/*
 * Starts that may not block: process_mrelease(2) of a child that was killed,
 * and that a thread in the kernel keeps from exiting.
 */
struct reaping {
	int fd;
	pid_t child;
};

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

FIXTURE_TEARDOWN(nonblock)
{
	/* A test that stopped half-way leaves it. */
	if (self->reaping.child > 0) {
		tmn(self->fd, TMN_UNHOLD, NULL);
		kill(self->reaping.child, SIGKILL);
		waitpid(self->reaping.child, NULL, 0);
	}
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

/* Never returns. The notifiers get the ids 1, 2, 3... in their order. */
static void victim(int fd, const struct wanted *wanted, int n, size_t page)
{
	char *map = map_aligned(VICTIM_PAGES * page, page, false);
	pthread_t thread;
	int i;

	for (i = 0; i < n; i++) {
		bool list = wanted[i].kind < TMN_INTERVAL;
		size_t from = wanted[i].first_page * page;

		if (tmn_register(fd, wanted[i].kind, wanted[i].ops, wanted[i].flags,
				 list ? NULL : map + from,
				 list ? 0 : VICTIM_PAGES * page - from) != i + 1)
			_exit(1);
	}
	pthread_create(&thread, NULL, hold_thread, &fd);
	while (1)
		pause();
}

/* Kills a process with these notifiers and reaps it: 0 or -errno. */
static int reap(struct __test_metadata *_metadata, struct reaping *r,
		const struct wanted *wanted, int n)
{
	int pidfd, ret;

	r->child = fork();
	ASSERT_GE(r->child, 0);
	if (!r->child)
		victim(r->fd, wanted, n, getpagesize());
	ASSERT_EQ(0, tmn_at_gate(r->fd, 0));
	pidfd = syscall(__NR_pidfd_open, r->child, 0);
	ASSERT_GE(pidfd, 0);
	ASSERT_EQ(0, kill(r->child, SIGKILL));
	ret = sys(syscall(__NR_process_mrelease, pidfd, 0));
	close(pidfd);
	return ret;
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
