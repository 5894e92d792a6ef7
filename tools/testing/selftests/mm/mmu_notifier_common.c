// SPDX-License-Identifier: GPL-2.0
/* What the tests of mmu notifiers have in common. */
#include "mmu_notifier.h"

#include <sys/stat.h>
#include <sys/syscall.h>

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

int tmn_open(void)
{
	static bool kept;

	if (!kept)
		keep_stacks();
	kept = true;
	return open("/dev/test_mmu_notifier", O_RDWR | O_CLOEXEC);
}

/* An ioctl that returns -errno. */
int tmn(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/* Returns the id, or -errno. */
int tmn_register(int fd, unsigned int kind, unsigned int ops,
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

int tmn_prepare(int fd, unsigned int kind, void *start, size_t len)
{
	return tmn_register(fd, kind, is_interval(kind) ? 0 : TMN_OP_ALL,
			    TMN_F_PREPARE, start, len);
}

/* Ready to be called, and to make a call. */
int tmn_caller(int fd, unsigned int kind, void *start, size_t len)
{
	return tmn_register(fd, kind, is_interval(kind) ? 0 : TMN_OP_ALL, 0, start, len);
}

int tmn_unregister(int fd, int id)
{
	struct tmn_wait wait = { .id = id };

	return tmn(fd, TMN_UNREGISTER, &wait);
}

int tmn_remove_timed(int fd, int id)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = LIMIT_MS };

	return tmn(fd, TMN_UNREGISTER, &wait);
}

struct tmn_stats tmn_stats(int fd, int id)
{
	struct tmn_stats stats = { .id = id };

	/* There is no answer that would not pass for some comparison. */
	if (tmn(fd, TMN_STATS, &stats))
		abort();
	return stats;
}

int tmn_gate(int fd, int id, unsigned int closed)
{
	struct tmn_gate gate = { .id = id, .closed = closed };

	return tmn(fd, TMN_GATE, &gate);
}

int tmn_at_gate(int fd, int id)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = LIMIT_MS };

	return tmn(fd, TMN_AT_GATE, &wait);
}

/* How many threads sleep in calls of a notifier, or with id 0 of all. */
int tmn_asleep(int fd, int id)
{
	struct tmn_asleep asleep = { .id = id };
	int ret = tmn(fd, TMN_ASLEEP, &asleep);

	return ret < 0 ? ret : (int)asleep.count;
}

int tmn_read_begin(int fd, int id, uint64_t *seq)
{
	struct tmn_wait wait = { .id = id, .timeout_ms = LIMIT_MS };
	int ret = tmn(fd, TMN_READ_BEGIN, &wait);

	*seq = wait.seq;
	return ret;
}

int tmn_read_retry(int fd, int id, uint64_t seq)
{
	struct tmn_wait wait = { .id = id, .seq = seq };

	return tmn(fd, TMN_READ_RETRY, &wait);
}

int tmn_synchronize(int fd)
{
	struct tmn_sync sync;

	return tmn(fd, TMN_SYNCHRONIZE, &sync);
}

int tmn_map(int fd, int id, char *addr)
{
	struct tmn_page page = { .id = id, .timeout_ms = LIMIT_MS, .addr = (uintptr_t)addr };

	return tmn(fd, TMN_MAP, &page);
}

int tmn_check(int fd, int id, char *addr)
{
	struct tmn_page page = { .id = id, .addr = (uintptr_t)addr };

	return tmn(fd, TMN_CHECK, &page);
}

/* Makes the call now, or lets the next callback of @from make it. */
int tmn_call(int fd, int id, enum tmn_what what, enum tmn_where where, int from)
{
	struct tmn_call call = { .id = id, .what = what, .where = where, .from = from };

	return tmn(fd, TMN_CALL, &call);
}

/* Fills in the log; returns how many events there are, or -errno. */
int tmn_events(int fd, int id, struct tmn_event *log)
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
int count_events(const struct tmn_event *log, int n, unsigned int type,
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

/* 0: nothing has collided since; 1: something has. */
int read_begin_call(int fd, int id)
{
	uint64_t seq;
	int ret = tmn_read_begin(fd, id, &seq);

	return ret ? ret : tmn_read_retry(fd, id, seq);
}

int is_valid(int fd, int id)
{
	return tmn_call(fd, id, TMN_DO_IS_VALID, TMN_IN_PROCESS, 0);
}

int wait_valid(int fd, int id)
{
	return tmn_call(fd, id, TMN_DO_WAIT_VALID, TMN_IN_PROCESS, 0);
}

/* Registers what says whether that part of the mm is valid. */
int tracker(int fd, char *start, size_t len)
{
	return tmn_register(fd, TMN_LIST, TMN_OP_ALL, TMN_F_TRACK, start, len);
}

int bulk_register(int fd, unsigned int way, unsigned int count, unsigned int when)
{
	struct tmn_bulk_register on = { .way = way, .count = count, .when = when };

	return tmn(fd, TMN_BULK_REGISTER, &on);
}

struct tmn_bulk_stats bulk_stats(int fd)
{
	struct tmn_bulk_stats stats;

	if (tmn(fd, TMN_BULK_STATS, &stats))
		abort();
	return stats;
}

int sys(int ret)
{
	return ret < 0 ? -errno : 0;
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

long read_number(const char *path)
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

int knob_set(struct knob *knob, const char *path, const char *text)
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

void knob_restore(struct knob *knob)
{
	if (knob->path)
		write_text(knob->path, knob->old);
}

/* Of the threads that ask for it, each second allocation. */
int make_it_fail(struct knob *knob)
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

void restore_all(struct knob *knob)
{
	int i;

	for (i = FAIL_KNOBS - 1; i >= 0; i--)
		knob_restore(&knob[i]);
}

/* How much of something a test does, which the environment can change. */
int setting(const char *name, int otherwise)
{
	const char *value = getenv(name);

	return value ? atoi(value) : otherwise;
}

bool have_swap(void)
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

int make_cgroup(char *path, size_t len, const char *limit)
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

int enter_cgroup(const char *path)
{
	char file[128];

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	return write_text(file, "0");
}

void leave_cgroup(const char *path)
{
	enter_cgroup("/sys/fs/cgroup");
	rmdir(path);
}

int pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sys(sched_setaffinity(0, sizeof(set), &set));
}

/* No idle CPU keeps the mm that it borrowed when another process has run there. */
void run_everywhere(void)
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
int return_borrowed(void)
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

int count_holders(int fd, struct tmn_mm *mm)
{
	int ret = return_borrowed();

	return ret ? ret : tmn(fd, TMN_MM, mm);
}

bool nothing_left(int fd, const struct tmn_mm *before)
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

void *map_anon(size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A populated area of @len bytes, aligned to @align. */
char *map_aligned(size_t len, size_t align, bool huge)
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
int set_up(int *fd, char **map, size_t *page)
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
void poke(char *page)
{
	/* No char: not every architecture has atomics of a byte without a library. */
	static unsigned int value;

	__atomic_store_n(page, __atomic_add_fetch(&value, 1, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
}

int touch(char *page, size_t len)
{
	poke(page);
	return sys(madvise(page, len, MADV_DONTNEED));
}

void changes(struct area *a, size_t from, size_t pages)
{
	a->changed = a->map + from * a->page;
	a->changed_len = pages * a->page;
}

int prepare_huge(struct area *a)
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
int cause_thp_split(struct area *a)
{
	changes(a, 3, 1);
	return sys(madvise(a->changed, a->changed_len, MADV_DONTNEED));
}

/* Lets a callback of @from happen. */
int cause_callback(int fd, int from, enum tmn_where where, char *page, size_t len)
{
	if (where == TMN_IN_RELEASE || where == TMN_IN_FREE)
		return tmn_unregister(fd, from);
	return touch(page, len);
}

void *dontneed_thread(void *arg)
{
	struct area *a = arg;

	return (void *)(intptr_t)madvise(a->changed, a->changed_len, MADV_DONTNEED);
}

/* Polls @get until it is at least @want, for LIMIT_MS * @factor. */
long wait_until(long (*get)(void *), void *arg, long want, int factor)
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

void *call_thread(void *arg)
{
	struct call *call = arg;

	call->ret = call->func(call->fd, call->id);
	atomic_store(&call->done, true);
	return NULL;
}

long call_done(void *arg)
{
	struct call *call = arg;

	return atomic_load(&call->done);
}

/*
 * Whether a call waits: it sleeps in the kernel in a call of that notifier, or it
 * has returned. After an event that could wake it, one of the two becomes true
 * again, so nothing has to be left to time.
 */
bool asleep_in(struct call *call, int id)
{
	int ms;

	for (ms = 0; ms < LIMIT_MS && !atomic_load(&call->done); ms++) {
		if (tmn_asleep(call->fd, id) == 1)
			return true;
		usleep(1000);
	}
	return false;
}

bool asleep(struct call *call)
{
	return asleep_in(call, call->id);
}

/*
 * Long enough that a call which does not wait would have returned. For what
 * sleeps in SRCU, which it does as well when there is nothing to wait for.
 */
bool silent(struct call *call)
{
	usleep(300000);
	return !atomic_load(&call->done);
}

void *map_thread(void *arg)
{
	struct mapper *mapper = arg;

	mapper->ret = tmn_map(mapper->fd, mapper->id, mapper->addr);
	atomic_store(&mapper->done, true);
	return NULL;
}

/* Returns when the invalidation is in the callback. */
int hold(struct held *held, int fd, int id, char *map, size_t len)
{
	int ret;

	*held = (struct held) {
		.fd = fd,
		.id = id,
		.area = { .changed = map, .changed_len = len },
	};
	ret = tmn_gate(fd, id, TMN_GATE_START);
	if (ret)
		return ret;
	ret = -pthread_create(&held->thread, NULL, dontneed_thread, &held->area);
	return ret ? ret : tmn_at_gate(fd, id);
}

/* Returns when the invalidation has ended. */
int unhold(struct held *held)
{
	int ret = tmn_gate(held->fd, held->id, 0);

	return ret ? ret : -pthread_join(held->thread, NULL);
}

void *hold_thread(void *arg)
{
	struct tmn_wait wait = { .timeout_ms = 4 * LIMIT_MS };

	tmn(*(int *)arg, TMN_HOLD, &wait);
	return NULL;
}

/* Whether a list notifier is not on the list of its mm any more. */
long is_unlisted(void *arg)
{
	struct counter *c = arg;

	return !tmn_stats(c->fd, c->id).listed;
}

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
	size_t pages = VICTIM_PAGES;
	pthread_t thread;
	char *map;
	int i;

	for (i = 0; i < n; i++)
		if (wanted[i].first_page + wanted[i].pages > pages)
			pages = wanted[i].first_page + wanted[i].pages;
	map = map_aligned(pages * page, page, false);
	for (i = 0; i < n; i++) {
		size_t first = wanted[i].first_page;
		char *start = map + first * page;
		size_t len = (wanted[i].pages ?: pages - first) * page;

		/* The other ones are for all of the mm. */
		if (!is_interval(wanted[i].kind) && !(wanted[i].flags & TMN_F_MIRROR)) {
			start = NULL;
			len = 0;
		}
		if (tmn_register(fd, wanted[i].kind, wanted[i].ops, wanted[i].flags,
				 start, len) != i + 1)
			_exit(1);
		if (wanted[i].flags & TMN_F_MIRROR && victim_faults(fd, i + 1, start))
			_exit(2);
	}
	pthread_create(&thread, NULL, hold_thread, &fd);
	while (1)
		pause();
}

/* Kills a process with these notifiers, to be reaped. */
int make_victim(struct reaping *r, const struct wanted *wanted, int n)
{
	int ret;

	r->child = fork();
	if (!r->child)
		victim(r->fd, wanted, n, getpagesize());
	ret = sys(r->child);
	if (ret < 0)
		return ret;
	ret = tmn_at_gate(r->fd, 0);
	if (ret)
		return ret;
	r->pidfd = syscall(__NR_pidfd_open, r->child, 0);
	ret = sys(r->pidfd);
	return ret < 0 ? ret : sys(kill(r->child, SIGKILL));
}

void *reap_thread(void *arg)
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

/* What process_mrelease() returned, -EPROTO when it did not come to that. */
int reap(struct reaping *r, const struct wanted *wanted, int n)
{
	if (make_victim(r, wanted, n))
		return -EPROTO;
	reap_thread(r);
	return r->ret;
}

/* Lets the victim exit. */
int let_go(struct reaping *r)
{
	int ret = tmn(r->fd, TMN_UNHOLD, NULL), status = 0;

	if (!ret && waitpid(r->child, &status, 0) != r->child)
		ret = -ECHILD;
	r->child = 0;
	return ret ?: WIFSIGNALED(status) ? 0 : -EPROTO;
}

/* What a test that stopped half-way leaves behind. */
void reaping_end(struct reaping *r)
{
	if (r->child <= 0)
		return;
	tmn(r->fd, TMN_UNHOLD, NULL);
	kill(r->child, SIGKILL);
	waitpid(r->child, NULL, 0);
}

int count_nonblock(int fd, int id)
{
	static struct tmn_event log[TMN_LOG_SIZE];
	int n = tmn_events(fd, id, log), count = 0;

	while (n-- > 0)
		count += log[n].type == TMN_EV_START &&
			 !(log[n].flags & TMN_EV_BLOCKABLE);
	return count;
}
