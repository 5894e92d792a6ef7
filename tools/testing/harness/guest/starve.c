// SPDX-License-Identifier: GPL-2.0
/*
 * How long a reader and a remover of interval notifiers wait while eight threads
 * never stop invalidating what is beside them. Reports, and judges nothing; runs
 * on the base as on the series.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <lib/test_mmu_notifier_uapi.h>

#define INVALIDATORS	8
/* So many that an invalidation is mostly between start and end. */
#define SUBSCRIPTIONS	32
#define SECONDS		20
#define MAX_WAITS	100000

static atomic_bool over;
static char *map;
static size_t page;

struct waits {
	pthread_t thread;
	unsigned int count;
	double ms[MAX_WAITS];
};

static void die(const char *what)
{
	printf("Bail out! %s: %d\n", what, errno);
	fflush(stdout);
	_exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int open_device(void)
{
	int fd = open("/dev/test_mmu_notifier", O_RDWR);

	if (fd < 0)
		die("/dev/test_mmu_notifier");
	return fd;
}

static int insert(int fd, int nr)
{
	struct tmn_register reg = {
		.kind = TMN_INTERVAL,
		.start = (uintptr_t)map + nr * page,
		.end = (uintptr_t)map + (nr + 1) * page,
	};

	if (ioctl(fd, TMN_REGISTER, &reg))
		die("insert");
	return reg.id;
}

static void *invalidate(void *arg)
{
	char *addr = map + (uintptr_t)arg * page;

	while (!atomic_load(&over)) {
		*addr = 1;
		if (madvise(addr, page, MADV_DONTNEED))
			die("madvise");
	}
	return NULL;
}

/* One that takes longer than the limit of the module counts as that long. */
static int timed(struct waits *waits, int fd, unsigned long cmd, int id)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = 20000 };
	double start = now_ms();
	int ret = ioctl(fd, cmd, &wait);

	if (ret && errno != ETIMEDOUT)
		die("wait");
	if (waits->count < MAX_WAITS)
		waits->ms[waits->count++] = now_ms() - start;
	return ret;
}

static void *reader(void *arg)
{
	int fd = open_device(), id = insert(fd, INVALIDATORS);

	/* After a timeout the module is still waiting. */
	while (!atomic_load(&over) && !timed(arg, fd, TMN_READ_BEGIN, id))
		;
	close(fd);
	return NULL;
}

static void *remover(void *arg)
{
	while (!atomic_load(&over)) {
		int fd = open_device();

		timed(arg, fd, TMN_UNREGISTER, insert(fd, INVALIDATORS + 1));
		close(fd);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(const char *who, struct waits *waits)
{
	if (!waits->count)
		die(who);
	qsort(waits->ms, waits->count, sizeof(*waits->ms), compare);
	printf("# %s: %u waits, p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", who, waits->count,
	       waits->ms[waits->count / 2], waits->ms[waits->count * 99 / 100],
	       waits->ms[waits->count - 1]);
}

int main(void)
{
	static struct waits reads, removes;
	pthread_t threads[INVALIDATORS];
	uintptr_t i;
	int fd;

	printf("TAP version 13\n1..1\n");
	page = sysconf(_SC_PAGESIZE);
	map = mmap(NULL, (INVALIDATORS + 2) * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		die("mmap");
	fd = open_device();
	for (i = 0; i < INVALIDATORS * SUBSCRIPTIONS; i++)
		insert(fd, i % INVALIDATORS);
	for (i = 0; i < INVALIDATORS; i++)
		if (pthread_create(&threads[i], NULL, invalidate, (void *)i))
			die("thread");
	if (pthread_create(&reads.thread, NULL, reader, &reads) ||
	    pthread_create(&removes.thread, NULL, remover, &removes))
		die("thread");
	sleep(SECONDS);
	atomic_store(&over, true);
	for (i = 0; i < INVALIDATORS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(reads.thread, NULL);
	pthread_join(removes.thread, NULL);
	report("read_begin", &reads);
	report("remove", &removes);
	printf("ok 1 starve\n");
	return 0;
}
