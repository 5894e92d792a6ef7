// SPDX-License-Identifier: GPL-2.0
/*
 * What mmu notifiers cost, in the guest of ./build.sh bench. Prints lines
 * "WHAT STATE NUMBER VALUE", and "count" or "wall" decides what the clock means:
 * with QEMU's instruction clock a nanosecond is an instruction.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../mmu_notifier_bench.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define WAITS		2000
#define REPEAT		20
#define TURNS		5

static int fd;
static size_t page;
/* what is measured, what is beside it, and a page for each sleeping thread */
static char *hit, *beside, *sleeping;

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	_exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* In a VMA of its own, lest what invalidates a neighbour invalidates this. */
static char *map_apart(size_t len)
{
	char *p = mmap(NULL, len + (4 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + (2 << 20), len, PROT_READ | PROT_WRITE))
		die("mmap");
	return p + (2 << 20);
}

static void call(unsigned long cmd, void *arg, const char *what)
{
	if (ioctl(fd, cmd, arg))
		die(what);
}

static void lists_on(unsigned int count, char *slow, size_t len, bool fail)
{
	struct bench_on on = {
		.start = (uintptr_t)slow, .len = len, .count = count, .fail = fail,
	};

	call(BENCH_LISTS, &on, "lists");
}

static void lists_off(void)
{
	uint64_t value = BENCH_PUT;

	call(BENCH_LISTS_OFF, &value, "lists off");
	call(BENCH_SYNC, &value, "synchronize");
}

static void intervals_on(unsigned int count, char *start)
{
	struct bench_on on = { .start = (uintptr_t)start, .len = page, .count = count };

	call(BENCH_INTERVALS, &on, "intervals");
}

/* What is measured: each leaves everything as it was. */

static void do_madvise(void)
{
	madvise(hit, page, MADV_DONTNEED);
}

static void do_munmap(void)
{
	*(volatile char *)hit = 1;
	munmap(hit, page);
	if (mmap(hit, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0) != hit)
		die("mmap");
}

static void do_mprotect(void)
{
	*(volatile char *)hit = 1;
	mprotect(hit, page, PROT_READ);
	mprotect(hit, page, PROT_READ | PROT_WRITE);
}

/* The parent breaks the sharing, and sharing began with an invalidation. */
static void do_fork_cow(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	*(volatile char *)hit = 1;
	waitpid(child, NULL, 0);
}

static const struct {
	const char *name;
	void (*func)(void);
	int rounds;
} works[] = {
	{ "madvise", do_madvise, 200 },
	{ "munmap", do_munmap, 50 },
	{ "mprotect", do_mprotect, 50 },
	{ "fork_cow", do_fork_cow, 3 },
};

static uint64_t sleepers(void)
{
	uint64_t value;

	call(BENCH_SLEEPERS, &value, "sleepers");
	return value;
}

/* The least of several, without what an interrupt does in between. */
static uint64_t least(void (*func)(void), int rounds)
{
	uint64_t begin, took, ret = UINT64_MAX;
	int i, n;

	for (i = 0; i < REPEAT; i++) {
		begin = now();
		for (n = 0; n < rounds; n++)
			func();
		took = (now() - begin) / rounds;
		if (took < ret)
			ret = took;
	}
	return ret;
}

static void measure(const char *state, unsigned int number)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(works); i++) {
		/* fork() waits for those that sleep with the lock of their VMA. */
		if (works[i].func == do_fork_cow && sleepers())
			continue;
		printf("# %s %s %u %llu\n", works[i].name, state, number,
		       (unsigned long long)least(works[i].func, works[i].rounds));
	}
}

static void *sleeper(void *arg)
{
	madvise(arg, page, MADV_DONTNEED);
	return NULL;
}

/* With one list notifier and one interval notifier, and threads between start and end. */
static void measure_active(unsigned int count)
{
	pthread_t threads[256];
	uint64_t took, best = UINT64_MAX;
	pthread_attr_t attr;
	unsigned int i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	lists_on(1, sleeping, 256 * page, false);
	intervals_on(1, beside);
	for (i = 0; i < count; i++)
		if (pthread_create(&threads[i], &attr, sleeper, sleeping + i * page))
			die("pthread_create");
	while (sleepers() < count)
		usleep(1000);
	measure("active", count);
	for (i = 0; i < REPEAT; i++) {
		call(BENCH_READ_BEGIN, &took, "read_begin");
		if (took < best)
			best = took;
	}
	printf("# read_begin active %u %llu\n", count, (unsigned long long)best);
	call(BENCH_WAKE, NULL, "wake");
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	call(BENCH_INTERVALS_OFF, NULL, "intervals off");
	lists_off();
}

static void measure_teardown(uint64_t way, const char *name, const char *sync_name)
{
	const unsigned int count = 1000;
	uint64_t value = way;

	lists_on(count, NULL, 0, false);
	if (ioctl(fd, BENCH_LISTS_OFF, &value)) {
		lists_off();
		return;
	}
	printf("# teardown %s %u %llu\n", name, count, (unsigned long long)value / count);
	call(BENCH_SYNC, &value, "synchronize");
	if (sync_name)
		printf("# teardown %s %u %llu\n", sync_name, count, (unsigned long long)value);
}

/* As many VMAs more: those of two neighbours are not the same. */
static void more_vmas(unsigned int count)
{
	size_t len = (size_t)count * page;
	char *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	if (p == MAP_FAILED)
		die("mmap");
	for (i = 1; i < count; i += 2)
		if (mprotect(p + i * page, page, PROT_READ))
			die("mprotect");
}

/* In a mm with an interval notifier, and with that many VMAs more than it begins with. */
static void measure_register(void)
{
	static const unsigned int vmas[] = { 10, 1000, 10000, 60000 };
	pid_t child = fork();
	unsigned int have = 0;
	size_t i;
	int n, status;

	if (!child) {
		lists_on(1, NULL, 0, false);
		intervals_on(1, beside);
		for (i = 0; i < ARRAY_SIZE(vmas); i++) {
			uint64_t took, best = UINT64_MAX;

			more_vmas(vmas[i] - have);
			have = vmas[i];
			for (n = 0; n < 5; n++) {
				call(BENCH_REGISTER, &took, "register");
				if (took < best)
					best = took;
			}
			printf("# register tracked %u %llu\n", have, (unsigned long long)best);
		}
		call(BENCH_INTERVALS_OFF, NULL, "intervals off");
		lists_off();
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		die("a child");
}

/* process_mrelease(2) of a victim whose oldest notifier fails, the last that is asked. */
static void measure_failure(unsigned int count)
{
	const int rounds = 20;
	pid_t child = fork();
	uint64_t begin;
	int pidfd, i;

	if (!child) {
		lists_on(count, NULL, 0, true);
		call(BENCH_SLEEP, NULL, "sleep");
		_exit(0);
	}
	while (!sleepers())
		usleep(1000);
	pidfd = syscall(SYS_pidfd_open, child, 0);
	kill(child, SIGKILL);
	begin = now();
	for (i = 0; i < rounds; i++)
		if (!syscall(SYS_process_mrelease, pidfd, 0) || errno != EAGAIN)
			die("process_mrelease");
	printf("# failed_start list %u %llu\n", count, (unsigned long long)(now() - begin) / rounds);
	call(BENCH_WAKE, NULL, "wake");
	waitpid(child, NULL, 0);
	close(pidfd);
	lists_off();
}

static void count(void)
{
	static const unsigned int list[] = { 1, 8, 64 }, interval[] = { 1, 64, 1000 },
				  active[] = { 0, 1, 16, 256 };
	size_t i;

	/* The first is to warm up, and is overwritten by who reads this. */
	measure("none", 0);
	measure("none", 0);
	for (i = 0; i < ARRAY_SIZE(list); i++) {
		lists_on(list[i], NULL, 0, false);
		measure("list", list[i]);
		lists_off();
	}
	for (i = 0; i < 2 * ARRAY_SIZE(interval); i++) {
		intervals_on(interval[i / 2], i % 2 ? hit : beside);
		measure(i % 2 ? "hit" : "elsewhere", interval[i / 2]);
		call(BENCH_INTERVALS_OFF, NULL, "intervals off");
	}
	/* An mm that has had interval notifiers. */
	measure("emptied", 0);
	for (i = 0; i < ARRAY_SIZE(active); i++)
		measure_active(active[i]);
	measure_teardown(BENCH_UNREGISTER, "unregister", NULL);
	measure_teardown(BENCH_PUT, "put", NULL);
	measure_teardown(BENCH_CALL_SRCU, "call_srcu", NULL);
	measure_teardown(BENCH_NO_RELEASE, "no_release", "synchronize");
	for (i = 0; i < ARRAY_SIZE(list); i++)
		measure_failure(list[i]);
	measure_register();
}

/* Below, with a clock on the wall and two CPUs. */

static atomic_bool over;

struct throughput {
	char *addr;
	uint64_t rounds;
};

static void *invalidate_all_the_time(void *arg)
{
	struct throughput *t = arg;

	while (!atomic_load(&over)) {
		madvise(t->addr, page, MADV_DONTNEED);
		t->rounds++;
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint64_t throughput(void)
{
	struct throughput t[2] = { { .addr = hit }, { .addr = hit + 2 * page } };
	pthread_t threads[2];
	int i;

	atomic_store(&over, false);
	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, invalidate_all_the_time, &t[i]))
			die("pthread_create");
	sleep(1);
	atomic_store(&over, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return t[0].rounds + t[1].rounds;
}

static const struct {
	const char *name;
	unsigned int lists, beside, hit;
} states[] = {
	{ "none" },
	{ "list", .lists = 1 },
	{ "elsewhere", .beside = 1 },
	{ "hit", .hit = 1 },
	{ "hit_64", .hit = 64 },
};

/* In a process of its own: an mm that had a notifier is no longer like one without. */
static void throughput_in(unsigned int state, uint64_t *rate)
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (states[state].lists)
			lists_on(states[state].lists, NULL, 0, false);
		if (states[state].beside)
			intervals_on(states[state].beside, beside);
		if (states[state].hit)
			intervals_on(states[state].hit, hit);
		*rate = throughput();
		if (states[state].lists)
			lists_off();
		if (states[state].beside || states[state].hit)
			call(BENCH_INTERVALS_OFF, NULL, "intervals off");
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		die("a child");
}

/* The median of several, in turn: who is first finds a machine that is not warm. */
static void measure_throughput(void)
{
	uint64_t *rates = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t of[ARRAY_SIZE(states)][TURNS];
	unsigned int turn, i;

	if (rates == MAP_FAILED)
		die("mmap");
	throughput_in(0, &rates[0]);
	for (turn = 0; turn < TURNS; turn++) {
		for (i = 0; i < ARRAY_SIZE(states); i++) {
			throughput_in(i, &rates[i]);
			of[i][turn] = rates[i];
			rates[i] = 0;
		}
	}
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		qsort(of[i], TURNS, sizeof(of[i][0]), by_value);
		printf("# throughput %s %u %llu\n", states[i].name,
		       states[i].lists + states[i].beside + states[i].hit,
		       (unsigned long long)of[i][TURNS / 2]);
	}
	munmap(rates, page);
}

/* While another thread invalidates something else, and sleeps 1 ms each time. */
static void measure_wait(unsigned long cmd, const char *name)
{
	struct throughput t = { .addr = sleeping };
	static uint64_t waits[WAITS];
	uint64_t nap = 1000, end = now() + 10 * 1000000000ULL;
	pthread_t thread;
	unsigned int n;

	call(BENCH_NAP, &nap, "nap");
	lists_on(1, sleeping, page, false);
	intervals_on(1, hit);
	atomic_store(&over, false);
	if (pthread_create(&thread, NULL, invalidate_all_the_time, &t))
		die("pthread_create");
	for (n = 0; n < WAITS && now() < end; n++) {
		if (cmd == BENCH_REMOVE)
			intervals_on(2, hit);
		/* Or nobody has anything to wait for. */
		madvise(hit, page, MADV_DONTNEED);
		/* At any time of the other's, not only when it begins. */
		usleep(n * 379 % 1000);
		call(cmd, &waits[n], name);
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	call(BENCH_INTERVALS_OFF, NULL, "intervals off");
	lists_off();
	qsort(waits, n, sizeof(waits[0]), by_value);
	printf("# %s p50 %u %llu\n", name, n, (unsigned long long)waits[n / 2]);
	printf("# %s p99 %u %llu\n", name, n, (unsigned long long)waits[n * 99 / 100]);
	printf("# %s max %u %llu\n", name, n, (unsigned long long)waits[n - 1]);
}

static void wall(void)
{
	measure_throughput();
	measure_wait(BENCH_READ_BEGIN, "read_begin");
	measure_wait(BENCH_REMOVE, "remove");
}

/* Each call twice, for a debugger that counts what it executes. */
static void twice(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		do_madvise();
		do_munmap();
		do_mprotect();
	}
}

/*
 * The calls of drivers, each twice as well; nothing is in progress, so none waits.
 * What the base does not have comes last.
 */
static void calls_twice(void)
{
	static const uint64_t ways[] = { BENCH_PUT, BENCH_NO_RELEASE, BENCH_CALL_SRCU };
	uint64_t value;
	size_t i;
	int n;

	for (n = 0; n < 2; n++) {
		intervals_on(1, beside);
		call(BENCH_READ_BEGIN, &value, "read_begin");
		call(BENCH_INTERVALS_OFF, NULL, "intervals off");
	}
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		for (n = 0; n < 2; n++) {
			value = ways[i];
			lists_on(1, NULL, 0, false);
			if (ioctl(fd, BENCH_LISTS_OFF, &value))
				lists_off();
			else
				call(BENCH_SYNC, &value, "synchronize");
		}
	}
}

/*
 * And in each state; the first is to warm up. Lists before intervals, since an mm
 * that has had one of those is never again as it was.
 */
static void states_twice(void)
{
	static const int lists[] = { 1, 8, 64 }, hits[] = { 1, 8, 17, 64, 1000 };
	size_t i;

	twice();
	twice();
	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		lists_on(lists[i], NULL, 0, false);
		twice();
		lists_off();
	}
	intervals_on(1, beside);
	twice();
	call(BENCH_INTERVALS_OFF, NULL, "intervals off");
	for (i = 0; i < ARRAY_SIZE(hits); i++) {
		intervals_on(hits[i], hit);
		twice();
		call(BENCH_INTERVALS_OFF, NULL, "intervals off");
	}
	twice();
}

/*
 * v7.3.4 prints when a start fails. To write that to a serial line costs more than
 * all that is measured, and nobody's console does.
 */
static void set_console(bool on)
{
	FILE *all = fopen("/sys/module/printk/parameters/ignore_loglevel", "w");

	if (!all || fputs(on ? "Y" : "N", all) < 0 || fclose(all))
		die("ignore_loglevel");
	/* SYSLOG_ACTION_CONSOLE_LEVEL */
	if (klogctl(8, NULL, on ? 7 : 1))
		die("klogctl");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	page = getpagesize();
	fd = open("/dev/mmu_notifier_bench", O_RDWR);
	if (fd < 0 || argc != 2)
		die("/dev/mmu_notifier_bench");
	hit = map_apart(4 * page);
	beside = map_apart(page);
	sleeping = map_apart(256 * page);
	set_console(false);
	if (!strcmp(argv[1], "count")) {
		count();
	} else if (!strcmp(argv[1], "wall")) {
		wall();
	} else {
		states_twice();
		calls_twice();
	}
	set_console(true);
	printf("# done\n");
	return 0;
}
