// SPDX-License-Identifier: GPL-2.0
/*
 * Each kind of event gives pairs of callbacks with ranges that contain it, and the
 * accessed bit is asked for.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "kselftest_harness.h"
#include "mmu_notifier.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/*
 * The events: prepare_x() before the notifiers are registered, cause_x() after.
 * They return 0 or -errno, -EOPNOTSUPP when this system has no such event.
 */

static int prepare_small(struct area *a)
{
	a->len = 4 * a->page;
	a->map = map_aligned(a->len, a->page, false);
	return a->map == MAP_FAILED ? -ENOMEM : 0;
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

/*
 * Each causes callbacks of a notifier of the area. Returns NULL, or what it needs
 * and does not find.
 */
static const char *cause_clear_young(struct counter *c, struct knob *knob)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	int bitmap = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);
	uint64_t bits = ~0ULL, before = tmn_stats(c->fd, c->id).clear_young;
	unsigned long pfn;
	size_t i;

	/* One that another CPU has yet to put on the LRU list is passed over. */
	for (i = 0; bitmap >= 0 && i < c->area->len; i += c->area->page) {
		pfn = pagemap_get_pfn(pagemap, c->area->map + i);
		if (pfn == -1UL)
			continue;
		if (pwrite(bitmap, &bits, 8, pfn / 64 * 8) != 8 ||
		    tmn_stats(c->fd, c->id).clear_young > before)
			break;
	}
	close(pagemap);
	close(bitmap);
	return bitmap < 0 ? "no CONFIG_IDLE_PAGE_TRACKING" : NULL;
}

/* Reclaim asks what is in use before it takes it. */
static const char *cause_clear_flush_young(struct counter *c, struct knob *knob)
{
	char cgroup[64], file[128];

	/* The multi-generational LRU looks around with clear_young() instead. */
	if (!knob->path && knob_set(knob, "/sys/kernel/mm/lru_gen/enabled", "0") == -EPERM)
		return "cannot turn off the multi-generational LRU";
	if (!have_swap())
		return "no swap";
	if (make_cgroup(cgroup, sizeof(cgroup), NULL))
		return "no memory cgroup (v2) at /sys/fs/cgroup";
	if (enter_cgroup(cgroup)) {
		rmdir(cgroup);
		return "no way into a memory cgroup";
	}
	/* The pages belong to the group that touches them first. */
	if (madvise(c->area->map, c->area->len, MADV_DONTNEED))
		abort();
	memset(c->area->map, 1, c->area->len);
	snprintf(file, sizeof(file), "%s/memory.reclaim", cgroup);
	/* EAGAIN: fewer than asked for, which is no failure here. */
	write_text(file, "1M");
	leave_cgroup(cgroup);
	return NULL;
}

static long test_young_calls(void *arg)
{
	struct counter *c = arg;

	/* Old again, each time: khugepaged asks us only then. */
	madvise(c->area->map, c->area->len, MADV_COLD);
	return tmn_stats(c->fd, c->id).test_young;
}

static const char *cause_test_young(struct counter *c, struct knob *knob)
{
	/* Before khugepaged may look: it would collapse what is young. */
	if (madvise(c->area->map, c->area->len, MADV_COLD))
		abort();
	if (!knob->path &&
	    knob_set(knob, "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
		     "0"))
		return "no khugepaged";
	if (madvise(c->area->map, c->area->len, MADV_HUGEPAGE))
		abort();
	wait_until(test_young_calls, c, tmn_stats(c->fd, c->id).test_young + 1, 12);
	return NULL;
}

TEST_F(young, clear_young)
{
	struct counter c = { self->fd, self->id, &self->area };
	const char *missing = cause_clear_young(&c, &self->knob);

	if (missing)
		SKIP(return, "%s", missing);
	EXPECT_GT(tmn_stats(self->fd, self->id).clear_young, 0);
}

TEST_F(young, clear_flush_young)
{
	struct counter c = { self->fd, self->id, &self->area };
	const char *missing = cause_clear_flush_young(&c, &self->knob);

	if (missing)
		SKIP(return, "%s", missing);
	EXPECT_GT(tmn_stats(self->fd, self->id).flush_young, 0);
}

TEST_F_TIMEOUT(young, test_young, 120)
{
	struct counter c = { self->fd, self->id, &self->area };
	const char *missing = cause_test_young(&c, &self->knob);

	if (missing)
		SKIP(return, "%s", missing);
	EXPECT_GT(tmn_stats(self->fd, self->id).test_young, 0);
}

static const char *cause_change(struct counter *c, struct knob *knob)
{
	if (touch(c->area->map, c->area->page))
		abort();
	return NULL;
}

/* The flush of a TLB, on architectures that tell notifiers. */
static const char *cause_flush(struct counter *c, struct knob *knob)
{
	struct utsname uts;

	if (uname(&uts))
		abort();
	if (!strstr(uts.machine, "86") && !strstr(uts.machine, "aarch64") &&
	    !strstr(uts.machine, "riscv"))
		return "no such flush";
	return cause_change(c, knob);
}

/*
 * An operation that no notifier of the mm has had before. Without test_young,
 * which only khugepaged asks for, when it gets to it.
 */
FIXTURE(first_op) {
	int fd;
	struct area area;
	struct knob knob;
};

FIXTURE_VARIANT(first_op) {
	unsigned int op;
	/* what another notifier has */
	unsigned int other;
	/* the counter of its calls, in struct tmn_stats */
	size_t calls;
	const char *(*cause)(struct counter *c, struct knob *knob);
};

FIXTURE_VARIANT_ADD(first_op, start) {
	TMN_OP_START, TMN_OP_END, offsetof(struct tmn_stats, starts), cause_change
};

FIXTURE_VARIANT_ADD(first_op, end) {
	TMN_OP_END, TMN_OP_START, offsetof(struct tmn_stats, ends), cause_change
};

FIXTURE_VARIANT_ADD(first_op, secondary) {
	TMN_OP_SECONDARY, TMN_OP_PAIR, offsetof(struct tmn_stats, secondary), cause_flush
};

FIXTURE_VARIANT_ADD(first_op, clear_flush_young) {
	TMN_OP_CLEAR_FLUSH_YOUNG, TMN_OP_CLEAR_YOUNG, offsetof(struct tmn_stats, flush_young),
	cause_clear_flush_young
};

FIXTURE_VARIANT_ADD(first_op, clear_young) {
	TMN_OP_CLEAR_YOUNG, TMN_OP_TEST_YOUNG, offsetof(struct tmn_stats, clear_young),
	cause_clear_young
};

FIXTURE_SETUP(first_op)
{
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->area.page = getpagesize();
	/* khugepaged looks at huge ones, and only if there are any. */
	self->area.len = read_pmd_pagesize() ?: 2 << 20;
	self->area.map = map_aligned(self->area.len, self->area.len, false);
	ASSERT_NE(MAP_FAILED, self->area.map);
}

FIXTURE_TEARDOWN(first_op)
{
	knob_restore(&self->knob);
	close(self->fd);
}

static int register_ops(int fd, unsigned int ops, const struct area *a)
{
	return tmn_register(fd, TMN_LIST, ops, 0, a->map, a->len);
}

/* Is the notifier called? Returns what was missing to find out. */
static const char *expect_call(struct __test_metadata *_metadata, struct counter *c,
			       size_t calls, struct knob *knob,
			       const char *(*cause)(struct counter *c, struct knob *knob))
{
	struct tmn_stats before = tmn_stats(c->fd, c->id), after;
	const char *missing = cause(c, knob);

	after = tmn_stats(c->fd, c->id);
	if (!missing)
		EXPECT_GT(*(uint64_t *)((char *)&after + calls),
			  *(uint64_t *)((char *)&before + calls));
	return missing;
}

TEST_F_TIMEOUT(first_op, of_second_notifier, 300)
{
	struct counter c = { .fd = self->fd, .area = &self->area };
	int other = register_ops(self->fd, variant->other, &self->area);
	const char *missing;
	int again;

	ASSERT_GT(other, 0);
	c.id = register_ops(self->fd, variant->op, &self->area);
	ASSERT_GT(c.id, 0);
	missing = expect_call(_metadata, &c, variant->calls, &self->knob, variant->cause);
	if (missing)
		SKIP(return, "%s", missing);
	/* Nobody is left, and then one with the operation alone. */
	ASSERT_EQ(0, tmn_unregister(self->fd, other));
	ASSERT_EQ(0, tmn_unregister(self->fd, c.id));
	ASSERT_EQ(0, touch(self->area.map, self->area.len));
	memset(self->area.map, 1, self->area.len);
	again = c.id;
	c.id = register_ops(self->fd, variant->op, &self->area);
	ASSERT_GT(c.id, again);
	expect_call(_metadata, &c, variant->calls, &self->knob, variant->cause);
	EXPECT_EQ(0, tmn_stats(self->fd, again).late);
}

TEST_F_TIMEOUT(first_op, behind_interval, 300)
{
	struct counter c = { .fd = self->fd, .area = &self->area };
	int interval = tmn_caller(self->fd, TMN_INTERVAL, self->area.map, self->area.len);
	const char *missing;

	ASSERT_GT(interval, 0);
	ASSERT_EQ(0, touch(self->area.map, self->area.page));
	EXPECT_GT(tmn_stats(self->fd, interval).starts, 0);
	c.id = register_ops(self->fd, variant->op, &self->area);
	ASSERT_GT(c.id, 0);
	missing = expect_call(_metadata, &c, variant->calls, &self->knob, variant->cause);
	if (missing)
		SKIP(return, "%s", missing);
}

/* The address 0 can be mapped, and a range can start there. */
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

TEST_HARNESS_MAIN
