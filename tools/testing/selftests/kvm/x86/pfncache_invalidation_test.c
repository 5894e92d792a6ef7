// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a vCPU does whose kvmclock page has to be looked up while memory of the
 * process is being invalidated: if it is other memory, the vCPU continues; if it
 * is that page, the vCPU sleeps, until the end of the invalidation or SIGKILL.
 *
 * The guest moves its clock from one page to another and back, each time a
 * refresh of a gfn_to_pfn_cache. The invalidations are held in a callback of a
 * notifier of the module test_mmu_notifier.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "test_util.h"
#include "kvm_util.h"
#include "kselftest.h"
#include "processor.h"

#include "../../../../../lib/test_mmu_notifier_uapi.h"

#define CLOCK_GPA	0xc0000000ul
#define CLOCK_SLOT	10

/* A clock in each of the first two pages. */
#define CLOCK_PAGES	2
#define OTHER_PAGE	2
#define NR_PAGES	3

/* Only what a kernel never does takes as long. */
#define LIMIT_MS	20000

#define STORM_THREADS	2
#define STORM_SIZE	(4ul << 20)

static u64 guest_count;
static bool guest_stop;

struct machine {
	int tmn;
	u32 id;
	char *mem;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 *count;
	bool *stop;
	pthread_t runner;
	pthread_t holder;
	char *held;
};

/* With the child of test_kill(). */
struct shared {
	u32 id;
	pid_t vcpu_tid;
};

static bool storm_stop;
static pid_t vcpu_tid;

static void guest_code(void)
{
	u64 i;

	for (i = 0; !READ_ONCE(guest_stop); i++) {
		wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (CLOCK_GPA + i % CLOCK_PAGES * PAGE_SIZE) |
					       KVM_MSR_ENABLED);
		WRITE_ONCE(guest_count, i + 1);
	}
	GUEST_DONE();
}

static void *run_vcpu(void *arg)
{
	struct machine *m = arg;
	struct ucall uc;

	WRITE_ONCE(vcpu_tid, gettid());
	vcpu_run(m->vcpu);
	TEST_ASSERT_EQ(get_ucall(m->vcpu, &uc), UCALL_DONE);
	return NULL;
}

/*
 * The notifier is registered before KVM's, so it is called after it: an
 * invalidation that is held has been seen by KVM.
 */
static void set_up(struct machine *m, int tmn)
{
	struct tmn_register reg = {
		.kind = TMN_LIST,
		.ops = TMN_OP_START | TMN_OP_END,
	};

	memset(m, 0, sizeof(*m));
	m->tmn = tmn;
	m->mem = kvm_mmap(NR_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(m->mem, 0, NR_PAGES * PAGE_SIZE);

	reg.start = (u64)m->mem;
	reg.end = reg.start + NR_PAGES * PAGE_SIZE;
	TEST_ASSERT(!ioctl(tmn, TMN_REGISTER, &reg), "TMN_REGISTER: %m");
	m->id = reg.id;

	guest_count = 0;
	guest_stop = false;
	m->vm = vm_create_with_one_vcpu(&m->vcpu, guest_code);
	vm_set_user_memory_region(m->vm, CLOCK_SLOT, 0, CLOCK_GPA,
				  CLOCK_PAGES * PAGE_SIZE, m->mem);
	m->count = addr_gva2hva(m->vm, (gva_t)&guest_count);
	m->stop = addr_gva2hva(m->vm, (gva_t)&guest_stop);
}

static u64 now_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static u64 cpu_ms(pthread_t thread)
{
	clockid_t clock;

	return pthread_getcpuclockid(thread, &clock) ? 0 : now_ms(clock);
}

/* Whether the vCPU has got that much further. */
static bool progress(struct machine *m, u64 more)
{
	u64 limit = now_ms(CLOCK_MONOTONIC) + LIMIT_MS;
	u64 want = READ_ONCE(*m->count) + more;

	while (READ_ONCE(*m->count) < want) {
		if (now_ms(CLOCK_MONOTONIC) > limit)
			return false;
		usleep(1000);
	}
	return true;
}

static void start_vcpu(struct machine *m)
{
	kvm_pthread_create(&m->runner, NULL, run_vcpu, m);
	TEST_ASSERT(progress(m, 10), "the vCPU does not run");
}

static void tear_down(struct machine *m)
{
	struct tmn_wait wait = { .id = m->id, .timeout_ms = LIMIT_MS };

	WRITE_ONCE(*m->stop, true);
	pthread_join(m->runner, NULL);
	TEST_ASSERT(!ioctl(m->tmn, TMN_UNREGISTER, &wait), "TMN_UNREGISTER: %m");
	kvm_vm_free(m->vm);
	kvm_munmap(m->mem, NR_PAGES * PAGE_SIZE);
}

static void gate(int tmn, u32 id, u32 closed)
{
	struct tmn_gate g = { .id = id, .closed = closed };

	TEST_ASSERT(!ioctl(tmn, TMN_GATE, &g), "TMN_GATE: %m");
}

static void *zap(void *arg)
{
	TEST_ASSERT(!madvise(arg, PAGE_SIZE, MADV_DONTNEED), "madvise: %m");
	return NULL;
}

/* Returns when the invalidation of a page is in progress. */
static void hold(struct machine *m, int page)
{
	struct tmn_wait wait = { .id = m->id, .timeout_ms = LIMIT_MS };

	gate(m->tmn, m->id, TMN_GATE_START);
	kvm_pthread_create(&m->holder, NULL, zap, m->mem + page * PAGE_SIZE);
	TEST_ASSERT(!ioctl(m->tmn, TMN_AT_GATE, &wait), "TMN_AT_GATE: %m");
}

static void unhold(struct machine *m)
{
	gate(m->tmn, m->id, 0);
	pthread_join(m->holder, NULL);
}

/* The state of a thread, as in /proc, or 0 if it is gone. */
static char state_of(pid_t pid, pid_t tid)
{
	char path[64], line[256] = "", *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	/* It can go away in between. */
	if (!fgets(line, sizeof(line), file))
		line[0] = 0;
	fclose(file);
	end = strrchr(line, ')');
	return end ? end[2] : 0;
}

static bool reaches(pid_t pid, pid_t tid, const char *states)
{
	u64 limit = now_ms(CLOCK_MONOTONIC) + LIMIT_MS;
	char state;

	for (;;) {
		state = state_of(pid, tid);
		if (!state || strchr(states, state))
			return true;
		if (now_ms(CLOCK_MONOTONIC) > limit)
			return false;
		usleep(1000);
	}
}

static void test_unrelated(int tmn)
{
	struct machine m;
	bool ok;

	set_up(&m, tmn);
	start_vcpu(&m);
	hold(&m, OTHER_PAGE);
	ok = progress(&m, 100);
	unhold(&m);
	tear_down(&m);
	ksft_test_result(ok, "a vCPU continues during invalidations of other memory\n");
}

static void test_overlapping(int tmn)
{
	struct pvclock_vcpu_time_info *clock;
	struct machine m;
	bool ok;

	set_up(&m, tmn);
	start_vcpu(&m);
	hold(&m, 0);
	ok = reaches(getpid(), READ_ONCE(vcpu_tid), "D");
	unhold(&m);
	ksft_test_result(ok, "a vCPU sleeps during an invalidation of its page\n");

	/* The page has been replaced by zeros, and the clock is in the new one. */
	ok = progress(&m, 10);
	clock = (void *)m.mem;
	ok &= clock->version && clock->tsc_to_system_mul;
	tear_down(&m);
	ksft_test_result(ok, "a vCPU uses the new page afterwards\n");
}

/* Never returns. */
static void victim(int tmn, struct shared *shared)
{
	struct machine m;

	set_up(&m, tmn);
	start_vcpu(&m);
	shared->id = m.id;
	hold(&m, 0);
	WRITE_ONCE(shared->vcpu_tid, READ_ONCE(vcpu_tid));
	for (;;)
		pause();
}

static void test_kill(int tmn)
{
	struct shared *shared;
	pid_t child;
	bool ok;

	shared = kvm_mmap(PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1);
	child = fork();
	TEST_ASSERT(child >= 0, "fork: %m");
	if (!child)
		victim(tmn, shared);
	while (!READ_ONCE(shared->vcpu_tid)) {
		TEST_ASSERT(!waitpid(child, NULL, WNOHANG), "the child has exited");
		usleep(1000);
	}
	ok = reaches(child, shared->vcpu_tid, "DZX");
	kill(child, SIGKILL);
	ok &= reaches(child, shared->vcpu_tid, "ZX");
	gate(tmn, shared->id, 0);
	waitpid(child, NULL, 0);
	kvm_munmap(shared, PAGE_SIZE);
	ksft_test_result(ok, "SIGKILL ends the sleep of a vCPU\n");
}

static void *storm(void *unused)
{
	char *mem = kvm_mmap(STORM_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1);

	while (!READ_ONCE(storm_stop)) {
		memset(mem, 1, STORM_SIZE);
		madvise(mem, STORM_SIZE, MADV_DONTNEED);
	}
	kvm_munmap(mem, STORM_SIZE);
	return NULL;
}

static void measure(struct machine *m, int seconds, const char *what)
{
	u64 count = READ_ONCE(*m->count), cpu = cpu_ms(m->runner), start = now_ms(CLOCK_MONOTONIC);

	sleep(seconds);
	ksft_print_msg("%s: %llu updates, %llu ms of CPU time in %llu ms\n", what,
		       (unsigned long long)(READ_ONCE(*m->count) - count),
		       (unsigned long long)(cpu_ms(m->runner) - cpu),
		       (unsigned long long)(now_ms(CLOCK_MONOTONIC) - start));
}

static void measure_all(int tmn, int seconds)
{
	pthread_t threads[STORM_THREADS];
	struct machine m;
	int i;

	set_up(&m, tmn);
	start_vcpu(&m);
	measure(&m, seconds, "nothing invalidated");
	hold(&m, OTHER_PAGE);
	measure(&m, seconds, "other memory, held");
	unhold(&m);
	hold(&m, 0);
	measure(&m, seconds, "the page, held");
	unhold(&m);
	for (i = 0; i < STORM_THREADS; i++)
		kvm_pthread_create(&threads[i], NULL, storm, NULL);
	measure(&m, seconds, "other memory, again and again");
	WRITE_ONCE(storm_stop, true);
	for (i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	tear_down(&m);
}

static void help(const char *name)
{
	printf("usage: %s [-s SECONDS]\n"
	       " -s: measure instead what a vCPU does, for so many seconds each\n", name);
}

int main(int argc, char *argv[])
{
	int seconds = 0, opt, tmn;

	while ((opt = getopt(argc, argv, "hs:")) != -1) {
		switch (opt) {
		case 's':
			seconds = atoi_positive("Seconds", optarg);
			break;
		case 'h':
		default:
			help(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}

	tmn = open("/dev/test_mmu_notifier", O_RDWR);
	__TEST_REQUIRE(tmn >= 0, "needs the module test_mmu_notifier");

	if (seconds) {
		measure_all(tmn, seconds);
		return 0;
	}
	ksft_print_header();
	ksft_set_plan(4);
	test_unrelated(tmn);
	test_overlapping(tmn);
	test_kill(tmn);
	ksft_finished();
}
