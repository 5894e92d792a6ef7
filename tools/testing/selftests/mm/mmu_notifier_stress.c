// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that maps what it finds in the page tables, with each of the protocols:
 * the test module is what their documentation refers to.
 */
#include "kselftest_harness.h"
#include "mmu_notifier.h"

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
static int register_mirror(int fd, unsigned int kind, unsigned int ops, unsigned int flags,
			   char *map, size_t len)
{
	return tmn_register(fd, kind, ops, flags | TMN_F_MIRROR, map, len);
}

TEST_F(mirror, follows)
{
	int i, id = register_mirror(self->fd, variant->kind, variant->ops, variant->flags,
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

static long starts_of(void *arg)
{
	struct mapper *mapper = arg;

	return tmn_stats(mapper->fd, mapper->id).starts;
}

/* As asleep() for other calls: it waits, or it has returned. */
static bool mapper_sleeps(struct mapper *mapper)
{
	int ms;

	for (ms = 0; ms < LIMIT_MS && !atomic_load(&mapper->done); ms++) {
		if (tmn_asleep(mapper->fd, mapper->id) == 1)
			return true;
		usleep(1000);
	}
	return false;
}

/* A mapper that comes in the middle of an invalidation waits for its end. */
TEST_F(mirror, waits)
{
	struct mapper mapper = { .fd = self->fd, .addr = self->map };
	struct held held;
	pthread_t thread;
	int list;

	list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	ASSERT_GT(list, 0);
	mapper.id = register_mirror(self->fd, variant->kind, variant->ops, variant->flags,
				    self->map, 4 * self->page);
	ASSERT_GT(mapper.id, 0);
	/* The gate comes after the mirror was called. */
	ASSERT_EQ(0, hold(&held, self->fd, list, self->map, self->page));
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_thread, &mapper));
	EXPECT_TRUE(mapper_sleeps(&mapper));
	/* Elsewhere nothing waits; an interval is all of it one range. */
	if (variant->kind == TMN_LIST)
		EXPECT_EQ(0, tmn_map(self->fd, mapper.id, self->map + self->page));
	EXPECT_EQ(-ENOENT, tmn_check(self->fd, mapper.id, self->map));
	ASSERT_EQ(0, unhold(&held));
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

	mapper.id = register_mirror(self->fd, variant->kind, variant->ops, variant->flags,
				    self->map, 4 * self->page);
	ASSERT_GT(mapper.id, 0);
	ASSERT_EQ(0, tmn_gate(self->fd, mapper.id, TMN_GATE_MAP));
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_thread, &mapper));
	ASSERT_EQ(0, tmn_at_gate(self->fd, mapper.id));
	ASSERT_EQ(0, pthread_create(&invalidator, NULL, dontneed_thread, &a));
	if (variant->kind == TMN_LIST) {
		/* In its start. */
		EXPECT_TRUE(mapper_sleeps(&mapper));
	} else {
		EXPECT_EQ(1, wait_until(starts_of, &mapper, 1, 1));
	}
	EXPECT_EQ(is_interval(variant->kind), tmn_stats(self->fd, mapper.id).starts);
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
 * All of it concurrently, for TMN_STRESS_SECONDS: the CPU counts in pages that come
 * and go, and what mirrors them has to have the same.
 */
#define STRESS_PAGES	16

struct stress {
	int fd;
	char *map;
	size_t page;
	/* held for writing where a page becomes inaccessible for the CPU */
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
	id = register_mirror(self->fd, variant->kind, variant->ops, variant->flags,
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

TEST_HARNESS_MAIN
