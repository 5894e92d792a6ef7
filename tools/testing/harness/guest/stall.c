// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's log says when a wait lasts longer than a task may hang: each
 * wait is held until its report is there, and the second of two proves that the
 * first has not reported twice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <lib/test_mmu_notifier_uapi.h>

static int fd, kmsg, nr, failed;
static char *map;
static long page;

struct thread {
	pthread_t thread;
	const char *name;
	int id, ret;
	enum tmn_what what;
	/* TMN_WAIT_TIMED, without a limit */
	bool killable;
	volatile pid_t tid;
};

/* The number of a wait, and of what it waits for */
static const struct kind {
	const char *name;
	unsigned int kind, flags;
	enum tmn_what what;
	bool killable;
	/* the call, and whether it waits for a range */
	const char *call;
	bool range;
} kinds[] = {
	{ "read_begin", TMN_INTERVAL, 0, TMN_DO_READ_BEGIN, false, "mmu_interval_read_begin", true },
	{ "killable", TMN_INTERVAL, 0, 0, true, "mmu_interval_read_begin", true },
	{ "wait_valid", TMN_LIST, TMN_F_TRACK, TMN_DO_WAIT_VALID, false,
	  "mmu_notifier_range_wait_valid", true },
	{ "remove", TMN_INTERVAL, 0, TMN_DO_UNREGISTER, false, "mmu_interval_notifier_remove", true },
	{ "unregister", TMN_LIST, 0, TMN_DO_UNREGISTER, false, "mmu_notifier_unregister", false },
	{ "synchronize", TMN_LIST, 0, TMN_DO_SYNCHRONIZE, false, "mmu_notifier_synchronize", false },
};

#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

static void die(const char *what)
{
	printf("Bail out! %s: %d\n", what, errno);
	fflush(stdout);
	_exit(1);
}

static void result(bool good, const char *name)
{
	printf("%sok %d stall_%s\n", good ? "" : "not ", ++nr, name);
	fflush(stdout);
	failed += !good;
}

static void put(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		die(path);
	close(file);
}

static int insert(unsigned int kind, unsigned int flags)
{
	struct tmn_register reg = {
		.kind = kind,
		.ops = kind == TMN_LIST ? TMN_OP_ALL : 0,
		.flags = flags,
		.start = (uintptr_t)map,
		.end = (uintptr_t)map + page,
	};

	if (ioctl(fd, TMN_REGISTER, &reg))
		die("register");
	return reg.id;
}

static void gate(int id, unsigned int closed)
{
	struct tmn_gate gate = { .id = id, .closed = closed };

	if (ioctl(fd, TMN_GATE, &gate))
		die("gate");
}

static void *holder(void *arg)
{
	struct thread *t = arg;

	prctl(PR_SET_NAME, t->name);
	t->tid = syscall(SYS_gettid);
	madvise(map, page, MADV_DONTNEED);
	return NULL;
}

static void *waiter(void *arg)
{
	struct thread *t = arg;
	struct tmn_call call = { .id = t->id, .what = t->what };
	struct tmn_wait wait = { .id = t->id };

	prctl(PR_SET_NAME, t->name);
	t->tid = syscall(SYS_gettid);
	t->ret = t->killable ? ioctl(fd, TMN_WAIT_TIMED, &wait) : ioctl(fd, TMN_CALL, &call);
	return NULL;
}

static void start(struct thread *t, void *(*func)(void *))
{
	if (pthread_create(&t->thread, NULL, func, t))
		die("thread");
}

static void wait_at_gate(int id)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = 30000 };

	if (ioctl(fd, TMN_AT_GATE, &wait))
		die("nothing is at the gate");
}

/* The next line of the log that has @text, or what there is within @seconds. */
static bool logged(const char *text, char *line, size_t size, int seconds)
{
	int ms;

	for (ms = 0; ms < seconds * 1000;) {
		ssize_t n = read(kmsg, line, size - 1);

		if (n > 0) {
			line[n] = 0;
			if (strstr(line, text))
				return true;
		} else if (n < 0 && errno == EAGAIN) {
			usleep(10000);
			ms += 10;
		}
	}
	return false;
}

/* Opens the log at its end. */
static void log_from_here(void)
{
	if (kmsg > 0)
		close(kmsg);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (kmsg < 0 || lseek(kmsg, 0, SEEK_END) < 0)
		die("/dev/kmsg");
}

/* The report of @w, which waits for @h if that is known. */
static bool reported(const struct thread *w, const struct thread *h, const struct kind *kind)
{
	char line[4096], want[256];
	unsigned long secs = 0;

	snprintf(want, sizeof(want), "mmu_notifier: %s[%d] waits for ", w->name, w->tid);
	if (!logged(want, line, sizeof(line), 60))
		return false;
	sscanf(strstr(line, want) + strlen(want), "%lu", &secs);
	snprintf(want, sizeof(want), " s in %s() for ", kind->call);
	if (!strstr(line, want) || secs < 1)
		return false;
	if (!kind->range)
		return strstr(line, "the callbacks of plain notifiers");
	snprintf(want, sizeof(want), "for [0x%lx, 0x%lx]", (long)map, (long)map + page - 1);
	if (!strstr(line, want))
		return false;
	snprintf(want, sizeof(want), "mmu_notifier: %s[%d] invalidates [0x%lx, 0x%lx] for ",
		 h->name, h->tid, (long)map, (long)map + page - 1);
	if (!logged(want, line, sizeof(line), 60) || !strstr(line, " s: clear, number "))
		return false;
	/* the stack of the holder, which is in the callback of the module */
	snprintf(want, sizeof(want), "task:%s", h->name);
	return logged(want, line, sizeof(line), 60) && strstr(line, "state:") &&
	       logged("[test_mmu_notifier]", line, sizeof(line), 60);
}

/* How often @w is in the log, in all lines of it. */
static int count(const struct thread *w)
{
	int file = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), n = 0;
	char line[4096], want[64];
	ssize_t len;

	snprintf(want, sizeof(want), "%s[%d] waits for", w->name, w->tid);
	while ((len = read(file, line, sizeof(line) - 1)) > 0 || (len < 0 && errno == EPIPE)) {
		line[len > 0 ? len : 0] = 0;
		n += !!strstr(line, want);
	}
	close(file);
	return n;
}

/* Two waits, one behind the other, for one invalidation. */
static void test(const struct kind *kind)
{
	struct thread h = { .name = "holder" }, w[2] = { { .name = "first" }, { .name = "second" } };
	int list = insert(TMN_LIST, 0), i;
	bool good = true;

	for (i = 0; i < 2; i++) {
		w[i].id = insert(kind->kind, kind->flags);
		w[i].what = kind->what;
		w[i].killable = kind->killable;
	}
	log_from_here();
	gate(list, TMN_GATE_START);
	start(&h, holder);
	wait_at_gate(list);
	for (i = 0; i < 2; i++) {
		start(&w[i], waiter);
		while (!w[i].tid)
			usleep(1000);
		good &= reported(&w[i], &h, kind);
	}
	gate(list, 0);
	pthread_join(h.thread, NULL);
	for (i = 0; i < 2; i++) {
		pthread_join(w[i].thread, NULL);
		good &= !w[i].ret && count(&w[i]) == 1;
	}
	result(good, kind->name);
}

/* Exit waits for the callbacks that run elsewhere. */
static void test_exit(void)
{
	static const struct kind kind = { .call = "mmu_notifier_release" };
	struct thread h = { .name = "holder" }, w = { .name = "child" };
	int list = insert(TMN_LIST, 0);
	bool good;

	log_from_here();
	gate(list, TMN_GATE_START);
	w.tid = fork();
	if (!w.tid) {
		prctl(PR_SET_NAME, w.name);
		insert(TMN_LIST, 0);
		while (getppid() != 1 && access("/tmp/held", F_OK))
			usleep(1000);
		_exit(0);
	}
	start(&h, holder);
	wait_at_gate(list);
	put("/proc/self/comm", "stall");
	close(open("/tmp/held", O_CREAT | O_WRONLY, 0600));
	good = reported(&w, &h, &kind);
	gate(list, 0);
	pthread_join(h.thread, NULL);
	waitpid(w.tid, NULL, 0);
	unlink("/tmp/held");
	result(good, "exit");
}

/* Waits that are shorter than the limit say nothing. */
static void test_quiet(void)
{
	struct thread h = { .name = "holder" };
	struct tmn_wait wait = { .timeout_ms = 100 };
	int list = insert(TMN_LIST, 0);
	char line[4096];
	bool good;

	wait.id = insert(TMN_INTERVAL, 0);
	log_from_here();
	gate(list, TMN_GATE_START);
	start(&h, holder);
	wait_at_gate(list);
	good = ioctl(fd, TMN_WAIT_TIMED, &wait) && errno == ETIMEDOUT;
	gate(list, 0);
	pthread_join(h.thread, NULL);
	result(good && !logged("mmu_notifier: ", line, sizeof(line), 1), "quiet");
}

int main(void)
{
	int i;

	printf("TAP version 13\n1..%d\n", KINDS + 2);
	page = sysconf(_SC_PAGESIZE);
	map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd = open("/dev/test_mmu_notifier", O_RDWR);
	if (map == MAP_FAILED || fd < 0)
		die("/dev/test_mmu_notifier");
	/* The hung-task detector itself is to be quiet. */
	put("/proc/sys/kernel/hung_task_warnings", "0");
	put("/proc/sys/kernel/hung_task_panic", "0");
	put("/proc/sys/kernel/hung_task_timeout_secs", "100");
	test_quiet();
	put("/proc/sys/kernel/hung_task_timeout_secs", "1");
	for (i = 0; i < KINDS; i++)
		test(&kinds[i]);
	test_exit();
	return !!failed;
}
