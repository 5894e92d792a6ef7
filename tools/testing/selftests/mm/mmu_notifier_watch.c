// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of mmu notifiers: what is invalidated, and who waits for whom. */
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "mmu_notifier.h"

#define INSTANCE	"/sys/kernel/tracing/instances/mmu_notifier_watch"

FIXTURE(watch) {
	int fd;
	char *map;
	size_t page;
	bool mounted;
	char trace[64 << 10];
};

static int read_trace(char *trace, size_t size)
{
	int fd = open(INSTANCE "/trace", O_RDONLY), len = 0, n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len < (int)size - 1) {
		n = read(fd, trace + len, size - 1 - len);
		len += n > 0 ? n : 0;
	}
	trace[len] = 0;
	close(fd);
	return n < 0 ? -EIO : len;
}

/* The @nr-th line of @event by thread @tid that has @text, or NULL; cut off. */
static char *find(char *trace, size_t size, pid_t tid, const char *event,
		  const char *text, int nr)
{
	char who[16], *line, *next;

	if (read_trace(trace, size) < 0)
		return NULL;
	snprintf(who, sizeof(who), "-%d ", tid);
	for (line = trace; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (strstr(line, who) && strstr(line, event) && strstr(line, text) && !nr--)
			return line;
	}
	return NULL;
}

#define FIND(tid, event, text, nr) \
	find(self->trace, sizeof(self->trace), tid, event ": ", text, nr)

/* The number behind @name, or -1. */
static long long value(const char *line, const char *name)
{
	const char *at = line ? strstr(line, name) : NULL;

	return at ? strtoll(at + strlen(name), NULL, 0) : -1;
}

FIXTURE_SETUP(watch)
{
	self->mounted = access("/sys/kernel/tracing/events", F_OK) &&
			!syscall(SYS_mount, "tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	if (access("/sys/kernel/tracing/events/mmu_notifier", F_OK))
		SKIP(return, "no tracepoints: needs CONFIG_EVENT_TRACING");
	rmdir(INSTANCE);
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	ASSERT_EQ(0, write_text(INSTANCE "/events/mmu_notifier/enable", "1"));
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(watch)
{
	close(self->fd);
	rmdir(INSTANCE);
	if (self->mounted)
		syscall(SYS_umount2, "/sys/kernel/tracing", 0);
}

/* Start, callbacks and end of what this thread does, with its address. */
TEST_F(watch, invalidation)
{
	pid_t tid = syscall(SYS_gettid);
	unsigned long long number;
	char at[64], *line;

	snprintf(at, sizeof(at), "start=0x%lx end=0x%lx event=clear",
		 (unsigned long)self->map, (unsigned long)self->map + self->page);
	ASSERT_GT(tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page), 0);
	ASSERT_EQ(0, madvise(self->map, self->page, MADV_DONTNEED));
	line = FIND(tid, "mmu_notifier_start", at, 0);
	ASSERT_NE(NULL, line);
	/* Nothing needs the ranges of this mm to be tracked. */
	EXPECT_EQ(0, value(line, "number="));
	EXPECT_NE(NULL, strstr(line, "blockable=true"));
	EXPECT_NE(NULL, FIND(tid, "mmu_notifier_end", at, 0));
	EXPECT_EQ(NULL, FIND(tid, "mmu_notifier_end", at, 1));
	/* start and end of the plain one */
	EXPECT_GT(value(FIND(tid, "mmu_notifier_callback", at, 0), "duration="), 0);
	EXPECT_NE(NULL, FIND(tid, "mmu_notifier_callback", at, 1));
	EXPECT_EQ(NULL, FIND(tid, "mmu_notifier_callback", at, 2));

	ASSERT_GT(tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page), 0);
	ASSERT_GT(tmn_register(self->fd, TMN_INTERVAL_TWO_PASS, 0, 0, self->map,
			       self->page), 0);
	ASSERT_EQ(0, madvise(self->map, self->page, MADV_DONTNEED));
	number = value(FIND(tid, "mmu_notifier_start", at, 1), "number=");
	EXPECT_GT(number, 0);
	EXPECT_EQ(number, value(FIND(tid, "mmu_notifier_end", at, 1), "number="));
	/* one of the interval, two of that with two passes, start, end */
	EXPECT_NE(NULL, FIND(tid, "mmu_notifier_callback", at, 2 + 4));
	EXPECT_EQ(NULL, FIND(tid, "mmu_notifier_callback", at, 2 + 5));
	EXPECT_NE(NULL, FIND(tid, "mmu_notifier_callback", "func=tmn_", 2 + 4));
}

/* A registration says how many VMAs it had to lock. */
TEST_F(watch, registration)
{
	pid_t tid = syscall(SYS_gettid);
	long long vmas[2];
	char *hole;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_GT(tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map,
				       self->page), 0);
		vmas[i] = value(FIND(tid, "mmu_notifier_register", "tracked=false ret=0", i),
				"vmas=");
		EXPECT_GT(vmas[i], 1);
		if (i)
			break;
		/* Two more: what is left of it, and the one in the middle. */
		hole = map_anon(3 * self->page);
		ASSERT_NE(NULL, hole);
		ASSERT_EQ(0, mprotect(hole + self->page, self->page, PROT_NONE));
	}
	EXPECT_GE(vmas[1], vmas[0] + 2);
}

/* A call that waits for an invalidation, in a thread of its own. */
struct waiting {
	struct call call;
	enum tmn_what what;
	pid_t tid;
};

static void *wait_thread(void *arg)
{
	struct waiting *w = arg;

	w->tid = syscall(SYS_gettid);
	w->call.ret = tmn_call(w->call.fd, w->call.id, w->what, TMN_IN_PROCESS, 0);
	return NULL;
}

/* Each wait has an event with the call; one for a range also has its holder. */
TEST_F(watch, waits)
{
	const struct {
		unsigned int kind;
		unsigned int flags;
		enum tmn_what what;
		const char *call;
		bool range;
	} waits[] = {
		{ TMN_INTERVAL, 0, TMN_DO_READ_BEGIN, "call=mmu_interval_read_begin ", true },
		{ TMN_LIST, TMN_F_TRACK, TMN_DO_WAIT_VALID,
		  "call=mmu_notifier_range_wait_valid ", true },
		{ TMN_INTERVAL, 0, TMN_DO_UNREGISTER,
		  "call=mmu_interval_notifier_remove ", true },
		{ TMN_LIST, 0, TMN_DO_UNREGISTER, "call=mmu_notifier_unregister ", false },
		{ TMN_LIST, 0, TMN_DO_SYNCHRONIZE, "call=mmu_notifier_synchronize ", false },
	};
	struct waiting w = { .call = { .fd = self->fd } };
	struct held held;
	pthread_t waiter;
	char at[64], *line;
	int i, gate;

	snprintf(at, sizeof(at), "start=0x%lx last=0x%lx ", (unsigned long)self->map,
		 (unsigned long)self->map + self->page - 1);
	gate = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	ASSERT_GT(gate, 0);
	for (i = 0; i < (int)ARRAY_SIZE(waits); i++) {
		w.call.id = tmn_register(self->fd, waits[i].kind,
					 is_interval(waits[i].kind) ? 0 : TMN_OP_ALL,
					 waits[i].flags, self->map, self->page);
		ASSERT_GT(w.call.id, 0);
		w.what = waits[i].what;
		ASSERT_EQ(0, hold(&held, self->fd, gate, self->map, self->page));
		ASSERT_EQ(0, pthread_create(&waiter, NULL, wait_thread, &w));
		EXPECT_TRUE(asleep(&w.call));
		ASSERT_EQ(0, unhold(&held));
		ASSERT_EQ(0, pthread_join(waiter, NULL));
		EXPECT_EQ(0, w.call.ret);
		line = FIND(w.tid, "mmu_notifier_wait", waits[i].call, 0);
		ASSERT_NE(NULL, line) {
			TH_LOG("wait %d", i);
		}
		EXPECT_GT(value(line, "duration="), 0);
		if (!waits[i].range)
			continue;
		EXPECT_NE(NULL, strstr(line, at));
		EXPECT_NE(NULL, strstr(line, "holder_comm=mmu_notifier_wa"));
		EXPECT_GT(value(line, "holder="), 0);
		EXPECT_NE(w.tid, value(line, "holder="));
		EXPECT_NE(syscall(SYS_gettid), value(line, "holder="));
		/* It is the thread that has started an invalidation. */
		EXPECT_NE(NULL, FIND(value(line, "holder="), "mmu_notifier_start", "", 0));
	}
}

TEST_HARNESS_MAIN
