/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of mmu notifiers have in common. The notifiers are those of the
 * module test_mmu_notifier, and the events come from ordinary system calls.
 * test_mmu_notifier.sh loads the module and runs the tests.
 *
 * To be included after kselftest_harness.h.
 */
#ifndef _MMU_NOTIFIER_H
#define _MMU_NOTIFIER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm_util.h"
#include <lib/test_mmu_notifier_uapi.h>

/*
 * Where a test may be waiting for something that a broken kernel never does. Much
 * longer than that takes, as a guest may hardly run at all on a busy machine.
 */
#define LIMIT_MS	30000
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

/* Values of enum mmu_notifier_event that a test names. */
#define MMU_NOTIFY_RELEASE	5

/* What an event is caused on, and which part of it is expected to change. */
struct area {
	char *map;
	size_t page;
	size_t len;
	char *changed;
	size_t changed_len;
	pid_t child;
};

/* Something of the system that a test changes, and what it was before. */
struct knob {
	const char *path;
	char old[64];
};

#define FAIL_KNOBS	5

/* A notifier of which something is counted. */
struct counter {
	int fd;
	int id;
	struct area *area;
};

/* A call that may wait, in a thread of its own. */
struct call {
	int fd;
	int id;
	int (*func)(int fd, int id);
	int ret;
	atomic_bool done;
};

/* An invalidation that is held in a callback of a notifier. */
struct held {
	int fd;
	int id;
	struct area area;
	pthread_t thread;
};

/* A thread that maps a page in a mirror. */
struct mapper {
	int fd;
	int id;
	char *addr;
	int ret;
	atomic_bool done;
};

/*
 * Non-blocking starts: process_mrelease(2) of a child that was killed, and that a
 * thread in the kernel keeps from exiting.
 */
struct reaping {
	int fd;
	pid_t child;
	int pidfd;
	/* half of the allocations of the reaper fail */
	bool nomem;
	int ret;
};

/* One notifier of such a child. */
struct wanted {
	unsigned int kind;
	unsigned int ops;
	unsigned int flags;
	/* of an interval: where it begins, and its pages, 0 for up to the end */
	unsigned int first_page;
	unsigned int pages;
};

#define VICTIM_PAGES	64

/* Every operation is optional. */
static const unsigned int few_ops[] = {
	0, TMN_OP_START, TMN_OP_END, TMN_OP_RELEASE, TMN_OP_CLEAR_FLUSH_YOUNG,
	TMN_OP_CLEAR_YOUNG, TMN_OP_TEST_YOUNG, TMN_OP_SECONDARY,
};

#define FEW_OPS		((int)ARRAY_SIZE(few_ops))

/* The module: each returns -errno when it fails. */
int tmn_open(void);
int tmn(int fd, unsigned long cmd, void *arg);
int tmn_register(int fd, unsigned int kind, unsigned int ops, unsigned int flags,
		 void *start, size_t len);
int tmn_prepare(int fd, unsigned int kind, void *start, size_t len);
int tmn_caller(int fd, unsigned int kind, void *start, size_t len);
int tmn_unregister(int fd, int id);
int tmn_remove_timed(int fd, int id);
struct tmn_stats tmn_stats(int fd, int id);
int tmn_gate(int fd, int id, unsigned int closed);
int tmn_at_gate(int fd, int id);
int tmn_asleep(int fd, int id);
int tmn_read_begin(int fd, int id, uint64_t *seq);
int tmn_read_retry(int fd, int id, uint64_t seq);
int tmn_synchronize(int fd);
int tmn_map(int fd, int id, char *addr);
int tmn_check(int fd, int id, char *addr);
int tmn_call(int fd, int id, enum tmn_what what, enum tmn_where where, int from);
int tmn_events(int fd, int id, struct tmn_event *log);
int count_events(const struct tmn_event *log, int n, unsigned int type,
		 const void *start, size_t len);
int read_begin_call(int fd, int id);
int is_valid(int fd, int id);
int wait_valid(int fd, int id);
int tracker(int fd, char *start, size_t len);
int bulk_register(int fd, unsigned int way, unsigned int count, unsigned int when);
struct tmn_bulk_stats bulk_stats(int fd);

static inline bool is_interval(unsigned int kind)
{
	return kind == TMN_INTERVAL || kind == TMN_INTERVAL_TWO_PASS;
}

/* The system. */
int sys(int ret);
int write_text(const char *path, const char *text);
long read_number(const char *path);
int knob_set(struct knob *knob, const char *path, const char *text);
void knob_restore(struct knob *knob);
int make_it_fail(struct knob *knob);
void restore_all(struct knob *knob);
int setting(const char *name, int otherwise);
bool have_swap(void);
int make_cgroup(char *path, size_t len, const char *limit);
int enter_cgroup(const char *path);
void leave_cgroup(const char *path);
int pin_to(int cpu);
void run_everywhere(void);
int return_borrowed(void);
int count_holders(int fd, struct tmn_mm *mm);
bool nothing_left(int fd, const struct tmn_mm *before);

/* Memory, and what changes it. */
void *map_anon(size_t len);
char *map_aligned(size_t len, size_t align, bool huge);
int set_up(int *fd, char **map, size_t *page);
void poke(char *page);
int touch(char *page, size_t len);
void changes(struct area *a, size_t from, size_t pages);
int prepare_huge(struct area *a);
int cause_thp_split(struct area *a);
int cause_callback(int fd, int from, enum tmn_where where, char *page, size_t len);
void *dontneed_thread(void *arg);

/* Threads, and what they wait for. */
long wait_until(long (*get)(void *), void *arg, long want, int factor);
void *call_thread(void *arg);
long call_done(void *arg);
bool asleep_in(struct call *call, int id);
bool asleep(struct call *call);
bool silent(struct call *call);
void *map_thread(void *arg);
int hold(struct held *held, int fd, int id, char *map, size_t len);
int unhold(struct held *held);
void *hold_thread(void *arg);
long is_unlisted(void *arg);

/* Reaping. */
int make_victim(struct reaping *r, const struct wanted *wanted, int n);
void *reap_thread(void *arg);
int reap(struct reaping *r, const struct wanted *wanted, int n);
int let_go(struct reaping *r);
void reaping_end(struct reaping *r);
int count_nonblock(int fd, int id);

/* Every start that succeeded has had its end. */
#define EXPECT_BALANCED(fd, id)						\
	do {								\
		struct tmn_stats _stats = tmn_stats(fd, id);		\
									\
		EXPECT_EQ(_stats.starts, _stats.ends);			\
		EXPECT_EQ(0, _stats.open);				\
		EXPECT_EQ(0, _stats.unmatched);				\
	} while (0)

#endif /* _MMU_NOTIFIER_H */
