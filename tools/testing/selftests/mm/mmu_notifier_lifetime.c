// SPDX-License-Identifier: GPL-2.0
/*
 * Registration, the ways to unregister, and what each calls and waits for.
 */
#include <sys/time.h>
#include <sys/utsname.h>

#include "kselftest_harness.h"
#include "mmu_notifier.h"

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
	struct tmn_mm mm;

	ASSERT_GT(id, 0);
	EXPECT_EQ(id, tmn_register(self->fd, TMN_LIST_GET, TMN_OP_ALL, 0, NULL, 0));
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &mm));
	EXPECT_EQ(1, mm.notifiers);
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	ASSERT_EQ(0, tmn_synchronize(self->fd));
	EXPECT_EQ(0, tmn_stats(self->fd, id).frees);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_GT(tmn_stats(self->fd, id).starts, 0);
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	ASSERT_EQ(0, tmn_synchronize(self->fd));
	EXPECT_EQ(1, tmn_stats(self->fd, id).frees);
	EXPECT_NE(id, tmn_register(self->fd, TMN_LIST_GET, TMN_OP_ALL, 0, NULL, 0));
}

/* While a callback is held, @func does not return. */
static void expect_to_wait(struct __test_metadata *_metadata, int fd, char *page,
			   size_t len, int (*func)(int fd, int id))
{
	struct call call = { .fd = fd, .func = func };
	struct held held;
	pthread_t waiter;

	call.id = tmn_register(fd, TMN_LIST, TMN_OP_PAIR, 0, page, len);
	ASSERT_GT(call.id, 0);
	ASSERT_EQ(0, hold(&held, fd, call.id, page, len));
	ASSERT_EQ(0, pthread_create(&waiter, NULL, call_thread, &call));
	/* What is unlisted is not called again, however long that waits. */
	if (func == tmn_unregister) {
		struct counter c = { .fd = fd, .id = call.id };

		EXPECT_EQ(1, wait_until(is_unlisted, &c, 1, 1));
		ASSERT_EQ(0, touch(page, len));
		EXPECT_EQ(1, tmn_stats(fd, call.id).starts);
	}
	EXPECT_TRUE(silent(&call));
	ASSERT_EQ(0, unhold(&held));
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(0, tmn_stats(fd, call.id).late);
}

TEST_F(lifetime, unregister_waits)
{
	expect_to_wait(_metadata, self->fd, self->map, self->page, tmn_unregister);
}

static int synchronize_call(int fd, int id)
{
	return tmn_synchronize(fd);
}

/* Also when nothing is queued that would wait for it. */
TEST_F(lifetime, synchronize_waits)
{
	expect_to_wait(_metadata, self->fd, self->map, self->page, synchronize_call);
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
	EXPECT_TRUE(silent(&call));
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
 * The notifiers are registered by a child through the parent's file, which
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
		/* They stay in the tree, and see the pages go as well. */
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
	/* They are still to be unregistered, and only that calls free. */
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

static atomic_int alarms;

static void on_alarm(int sig)
{
	atomic_fetch_add(&alarms, 1);
}

/* Only a fatal signal interrupts it. */
TEST_F(lifetime, signal)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	/* More often than once: the first may come too early. */
	struct itimerval soon = {
		.it_value.tv_usec = 100000,
		.it_interval.tv_usec = 100000,
	};
	struct itimerval never = { };
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	int i, id;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
		id = tmn_register(self->fd, kinds[i],
				  is_interval(kinds[i]) ? 0 : TMN_OP_ALL,
				  TMN_F_AWAIT_SIGNAL, self->map, self->page);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
		ASSERT_GT(id, 0);
		ASSERT_EQ(0, touch(self->map, self->page));
		EXPECT_GT(tmn_stats(self->fd, id).starts, 0);
		EXPECT_EQ(0, tmn_unregister(self->fd, id));
	}
}

/* What is not a signal either. */
TEST_F(lifetime, task_work)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	int i, id;

	for (i = 0; i < 3; i++) {
		id = tmn_register(self->fd, kinds[i], is_interval(kinds[i]) ? 0 : TMN_OP_ALL,
				  TMN_F_TASK_WORK, self->map, self->page);
		ASSERT_GT(id, 0);
		ASSERT_EQ(0, touch(self->map, self->page));
		EXPECT_GT(tmn_stats(self->fd, id).starts, 0);
		EXPECT_EQ(0, tmn_unregister(self->fd, id));
	}
}

/* Each page has one of its own. TMN_VMAS of the environment makes them more. */
static int many_vmas(size_t page, int otherwise)
{
	int i, vmas = setting("TMN_VMAS", otherwise);
	char *map = mmap(NULL, vmas * page, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return -errno;
	for (i = 1; i < vmas; i += 2)
		if (mprotect(map + i * page, page, PROT_READ))
			return -errno;
	return 0;
}

/* No errno. */
#define NO_ALARM	255

/* Returns -errno, or NO_ALARM when no signal came while it was registering. */
static int register_beside_timer(int fd, unsigned int kind)
{
	struct itimerval often = { }, never = { };
	int id, before = atomic_load(&alarms);

	often.it_interval.tv_usec = setting("TMN_TIMER_US", 1000);
	often.it_value = often.it_interval;
	if (setitimer(ITIMER_REAL, &often, NULL))
		return -errno;
	id = tmn_register(fd, kind, is_interval(kind) ? 0 : TMN_OP_ALL, TMN_F_NO_LOG,
			  NULL, 1UL << 30);
	if (setitimer(ITIMER_REAL, &never, NULL))
		return -errno;
	if (id < 0)
		return id;
	if (tmn_unregister(fd, id))
		return -EPROTO;
	return atomic_load(&alarms) == before ? NO_ALARM : 0;
}

/* Only the first interval notifier of an mm has to take its locks. */
static int insert_beside_timer(int fd)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(abs(register_beside_timer(fd, TMN_INTERVAL)));
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -ECHILD;
	return WEXITSTATUS(status) == NO_ALARM ? NO_ALARM : -WEXITSTATUS(status);
}

/* However long it takes the locks. TMN_COUNT of the environment tries it more often. */
TEST_F_TIMEOUT(lifetime, timer, 36000)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	int i, ret, done, failed, count = setting("TMN_COUNT", 5);

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	ASSERT_EQ(0, many_vmas(self->page, 4000));
	for (i = 0; i < 3; i++) {
		for (done = failed = 0; done < count; done += ret != NO_ALARM) {
			ret = is_interval(kinds[i]) ?
			      insert_beside_timer(self->fd) :
			      register_beside_timer(self->fd, kinds[i]);
			failed += ret < 0;
		}
		EXPECT_EQ(0, failed) {
			TH_LOG("kind %u: the last returned %d", kinds[i], ret);
		}
		TH_LOG("kind %u: %d of %d failed", kinds[i], failed, count);
	}
}

static long slot_exists(void *arg)
{
	struct counter *c = arg;
	struct tmn_stats stats = { .id = c->id };

	return !tmn(c->fd, TMN_STATS, &stats);
}

TEST_F(lifetime, killed)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	struct tmn_mm mm;
	int i, status;
	pid_t child;

	for (i = 0; i < 3; i++) {
		struct counter c = { .fd = self->fd, .id = i + 1 };

		child = fork();
		ASSERT_GE(child, 0);
		if (!child)
			_exit(tmn_register(self->fd, kinds[i],
					   is_interval(kinds[i]) ? 0 : TMN_OP_ALL,
					   TMN_F_AWAIT_SIGNAL, self->map, self->page));
		EXPECT_EQ(1, wait_until(slot_exists, &c, 1, 1));
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(0, tmn(self->fd, TMN_MM, &mm));
		EXPECT_EQ(0, mm.notifiers);
	}
}

/* A file, and what came of punching a hole into it. */
struct hole {
	int fd;
	size_t len;
	int ret;
};

static void *punch_thread(void *arg)
{
	struct hole *hole = arg;

	hole->ret = sys(fallocate(hole->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  0, hole->len));
	return NULL;
}

/*
 * The signal comes when it has seen many VMAs, and is about to lock what one of
 * them maps, a file that is locked as long as it has pages invalidated.
 */
TEST_F_TIMEOUT(lifetime, killed_inside, 36000)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	struct hole hole = { .len = self->page };
	int i, id, status;
	struct tmn_mm mm;
	char *file, byte;

	ASSERT_EQ(0, many_vmas(self->page, 1000));
	hole.fd = memfd_create("killed_inside", 0);
	ASSERT_GE(hole.fd, 0);
	ASSERT_EQ(0, ftruncate(hole.fd, self->page));
	file = mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_SHARED, hole.fd, 0);
	ASSERT_NE(MAP_FAILED, file);
	id = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, file, self->page);
	ASSERT_GT(id, 0);
	for (i = 0; i < 3; i++) {
		struct call call = { .fd = self->fd };
		pthread_t thread;
		pid_t child;
		int go[2];

		ASSERT_EQ(0, pipe(go));
		/* Before the file is locked, as fork() needs that lock as well. */
		child = fork();
		ASSERT_GE(child, 0);
		if (!child)
			_exit(read(go[0], &byte, 1) != 1 ||
			      tmn_register(self->fd, kinds[i],
					   is_interval(kinds[i]) ? 0 : TMN_OP_ALL,
					   0, self->map, self->page));
		poke(file);
		ASSERT_EQ(0, tmn_gate(self->fd, id, TMN_GATE_START));
		ASSERT_EQ(0, pthread_create(&thread, NULL, punch_thread, &hole));
		ASSERT_EQ(0, tmn_at_gate(self->fd, id));
		ASSERT_EQ(1, write(go[1], "", 1));
		EXPECT_TRUE(asleep_in(&call, id + 1 + i));
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(0, tmn_gate(self->fd, id, 0));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(0, hole.ret);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(0, tmn(self->fd, TMN_MM, &mm));
		EXPECT_EQ(1, mm.notifiers);
		close(go[0]);
		close(go[1]);
	}
}

/* Registers and unregisters again and again, as others do at the same time. */
static void *churn_thread(void *arg)
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
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn_thread, &calls[i]));
	}
	for (i = 0; i < 200; i++)
		ASSERT_EQ(0, touch(self->map, self->page));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, calls[i].ret);
	}
	ASSERT_EQ(0, tmn_synchronize(self->fd));
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &mm));
	EXPECT_EQ(0, mm.notifiers);
	for (i = 1; i <= 200; i++) {
		EXPECT_EQ(0, tmn_stats(self->fd, i).late);
		EXPECT_EQ(0, tmn_stats(self->fd, i).unmatched);
	}
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

/* The first ones: they wait for what is being invalidated, wherever it is. */
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
		EXPECT_TRUE(asleep_in(&calls[i], id + 1 + i));
	}
	ASSERT_EQ(0, tmn_gate(self->fd, id, 0));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(inserters[i], NULL));
		EXPECT_GT(calls[i].ret, 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
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
				_exit(!!bulk_register(fd, way, 16, when));
			ASSERT_EQ(child, waitpid(child, &status, 0));
			ASSERT_EQ(0, status);
			ASSERT_EQ(0, tmn(fd, TMN_BULK_UNREGISTER, NULL));
			EXPECT_EQ(0, tmn_synchronize(fd));
			EXPECT_EQ(0, bulk_stats(fd).left);
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

/*
 * Put on one CPU, synchronize on another. Callbacks are queued on each CPU only
 * with per-CPU callback lists (SRCU_SIZE_BIG): boot with srcutree.convert_to_big=1.
 * SRCU changes to them with grace periods, so there are some first.
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

TEST_HARNESS_MAIN
