// SPDX-License-Identifier: GPL-2.0
/*
 * A fault of a device waits for the invalidations of its range, but not for longer
 * than its timeout, nor when its task is killed. The device is lib/test_hmm.c, which
 * mirrors the whole mm; the invalidation is held by the module test_mmu_notifier.
 */
#include "kselftest_harness.h"
#include "mmu_notifier.h"
#include <lib/test_hmm_uapi.h>

FIXTURE(hmm) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_SETUP(hmm)
{
	if (access("/dev/hmm_dmirror0", F_OK))
		SKIP(return, "needs CONFIG_TEST_HMM");
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(hmm)
{
	close(self->fd);
}

/* The device reads a page, which it has to fault in. */
static int hmm_read(int device, unsigned long cmd, char *page, size_t len)
{
	static char copy[1 << 16];
	struct hmm_dmirror_cmd read = {
		.addr = (uintptr_t)page,
		.ptr = (uintptr_t)copy,
		.npages = 1,
	};

	return len > sizeof(copy) ? -EINVAL : tmn(device, cmd, &read);
}

static int open_device(void)
{
	return open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
}

/* It has a second. */
TEST_F(hmm, timeout)
{
	char *mine = self->map + 2 * self->page;
	struct held held;
	int device, list;

	device = open_device();
	ASSERT_GE(device, 0);
	poke(mine);
	list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	ASSERT_GT(list, 0);
	ASSERT_EQ(0, hold(&held, self->fd, list, self->map, self->page));
	EXPECT_EQ(-EBUSY, hmm_read(device, HMM_DMIRROR_READ, mine, self->page));
	/* The invalidation has not ended in the meantime. */
	EXPECT_EQ(0, tmn_at_gate(self->fd, list));
	ASSERT_EQ(0, unhold(&held));
	EXPECT_EQ(0, hmm_read(device, HMM_DMIRROR_READ, mine, self->page));
	EXPECT_EQ(0, close(device));
}

/* In a child, whose first thread reads without a timeout. */
static void read_to_be_killed(int fd, char *map, size_t page)
{
	struct held held;
	int device = open_device();

	poke(map + 2 * page);
	if (device < 0 ||
	    tmn_register(fd, TMN_LIST, TMN_OP_PAIR, 0, map, page) != 1 ||
	    hold(&held, fd, 1, map, page))
		_exit(1);
	hmm_read(device, HMM_DMIRROR_READ_UNLOCKED, map + 2 * page, page);
	_exit(2);
}

/* Whether the first thread of a process is in a state, as in /proc/PID/stat. */
static long has_state(pid_t pid, char wanted)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%*d %*s %c", &state) != 1)
		state = 0;
	fclose(file);
	return state == wanted;
}

static long is_blocked(void *arg)
{
	return has_state(*(pid_t *)arg, 'D');
}

static long is_dead(void *arg)
{
	return has_state(*(pid_t *)arg, 'Z');
}

TEST_F(hmm, killed)
{
	pid_t child;
	int status;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child)
		read_to_be_killed(self->fd, self->map, self->page);
	EXPECT_EQ(1, wait_until(is_blocked, &child, 1, 1));
	ASSERT_EQ(0, kill(child, SIGKILL));
	/* The thread that is held keeps the process. */
	EXPECT_EQ(1, wait_until(is_dead, &child, 1, 1));
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG));
	ASSERT_EQ(0, tmn_gate(self->fd, 1, 0));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

TEST_HARNESS_MAIN
