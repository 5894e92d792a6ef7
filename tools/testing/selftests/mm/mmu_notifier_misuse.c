// SPDX-License-Identifier: GPL-2.0
/*
 * Bugs of a driver, which the kernel reports. They leave a warning on the console,
 * so test_mmu_notifier.sh runs them only when it is asked to.
 */
#define _GNU_SOURCE
#include <sys/klog.h>

#include "kselftest_harness.h"
#include "mmu_notifier.h"

static int log_lines(const char *one, const char *other)
{
	int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0), lines = 0;
	char *log = calloc(1, size + 1), *line, *next;

	if (!log || klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, size) < 0)
		abort();
	for (line = log; *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = 0;
		lines += strstr(line, one) && strstr(line, other);
	}
	free(log);
	return lines;
}

/* What the kernel has found to complain about. */
static int complaints(const char *about)
{
	return log_lines("WARNING: ", about) + log_lines("BUG: ", about);
}

static bool misuse_allowed(void)
{
	char c = 0;
	int fd = open("/sys/module/test_mmu_notifier/parameters/misuse", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c == 'Y';
}

/* What the kernel survives. */
FIXTURE(misuse) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_SETUP(misuse)
{
	if (!misuse_allowed())
		SKIP(return, "the module is loaded without misuse=1");
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(misuse)
{
	close(self->fd);
}

/* The caller continues after an error, so there is one end for each start. */
TEST_F(misuse, blockable_error)
{
	int good = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	int bad = tmn_register(self->fd, TMN_LIST, TMN_OP_START, TMN_F_FAIL_BLOCK,
			       self->map, self->page);
	int later = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);

	ASSERT_GT(good, 0);
	ASSERT_GT(bad, 0);
	ASSERT_GT(later, 0);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, bad).failed);
	EXPECT_EQ(1, tmn_stats(self->fd, good).starts);
	EXPECT_BALANCED(self->fd, good);
	EXPECT_EQ(1, tmn_stats(self->fd, later).starts);
	EXPECT_BALANCED(self->fd, later);
}

/* Of an interval notifier: the walk continues, and no thread waits indefinitely. */
TEST_F(misuse, interval_blockable_error)
{
	int list = tmn_register(self->fd, TMN_LIST, TMN_OP_PAIR, 0, self->map, self->page);
	int earlier = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);
	int bad = tmn_register(self->fd, TMN_INTERVAL, 0, TMN_F_FAIL_BLOCK,
			       self->map, self->page);
	int later = tmn_register(self->fd, TMN_INTERVAL, 0, 0, self->map, self->page);

	ASSERT_GT(list, 0);
	ASSERT_GT(earlier, 0);
	ASSERT_GT(bad, 0);
	ASSERT_GT(later, 0);
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(1, tmn_stats(self->fd, bad).failed);
	EXPECT_EQ(1, tmn_stats(self->fd, earlier).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, later).starts);
	EXPECT_EQ(1, tmn_stats(self->fd, list).starts);
	EXPECT_BALANCED(self->fd, list);
	EXPECT_EQ(0, tmn_remove_timed(self->fd, later));
}

/* Twice: the list stays what it was. */
TEST_F(misuse, duplicate)
{
	int older = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
	int id = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
	int newer = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
	struct tmn_mm before, after;
	unsigned int starts;

	ASSERT_GT(newer, 0);
	ASSERT_EQ(0, count_holders(self->fd, &before));
	EXPECT_EQ(-EEXIST, tmn_call(self->fd, id, TMN_DO_REGISTER_AGAIN, TMN_IN_PROCESS, 0));
	EXPECT_EQ(-EEXIST, tmn_call(self->fd, older, TMN_DO_REGISTER_AGAIN, TMN_IN_PROCESS, 0));
	EXPECT_EQ(-EEXIST, tmn_call(self->fd, newer, TMN_DO_REGISTER_AGAIN, TMN_IN_PROCESS, 0));
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &after));
	EXPECT_LE(after.count, before.count);
	/* Whatever it takes to write to a page that fork() has shared. */
	ASSERT_EQ(0, touch(self->map, self->page));
	starts = tmn_stats(self->fd, id).starts;
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, older).starts);
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, newer).starts);
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(starts + 2, tmn_stats(self->fd, older).starts);
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, id).starts);
	EXPECT_EQ(starts + 2, tmn_stats(self->fd, newer).starts);
}

/* What alloc_notifier() returns is registered already, and not freed. */
TEST_F(misuse, get_linked)
{
	int id = tmn_caller(self->fd, TMN_LIST_GET, self->map, self->page);
	unsigned int starts;

	ASSERT_GT(id, 0);
	EXPECT_EQ(-EEXIST, tmn_call(self->fd, id, TMN_DO_REGISTER_AGAIN, TMN_IN_PROCESS, 0));
	EXPECT_EQ(0, tmn_stats(self->fd, id).frees);
	EXPECT_EQ(1, tmn_stats(self->fd, id).listed);
	starts = tmn_stats(self->fd, id).starts;
	ASSERT_EQ(0, touch(self->map, self->page));
	EXPECT_EQ(starts + 1, tmn_stats(self->fd, id).starts);
	ASSERT_EQ(0, tmn_unregister(self->fd, id));
	ASSERT_EQ(0, tmn_synchronize(self->fd));
	EXPECT_EQ(1, tmn_stats(self->fd, id).frees);
	EXPECT_EQ(0, tmn_stats(self->fd, id).late);
}

TEST_F(misuse, no_ops)
{
	const struct {
		unsigned int kind;
		enum tmn_what what;
	} cells[] = {
		{ TMN_LIST, TMN_DO_REGISTER_BARE },
		{ TMN_LIST_GET, TMN_DO_REGISTER_BARE },
		{ TMN_LIST_GET, TMN_DO_REGISTER_NO_FIRST },
		{ TMN_LIST_GET, TMN_DO_REGISTER_NO_LAST },
		{ TMN_INTERVAL, TMN_DO_REGISTER_BARE },
		{ TMN_INTERVAL, TMN_DO_REGISTER_NO_FIRST },
		{ TMN_INTERVAL_TWO_PASS, TMN_DO_REGISTER_NO_LAST },
	};
	int i, id;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		id = tmn_prepare(self->fd, cells[i].kind, self->map, self->page);
		ASSERT_GT(id, 0);
		EXPECT_EQ(-EINVAL, tmn_call(self->fd, id, cells[i].what, TMN_IN_PROCESS, 0));
		/* It can be registered nevertheless, when it has them. */
		EXPECT_EQ(0, tmn_call(self->fd, id, TMN_DO_REGISTER, TMN_IN_PROCESS, 0));
	}
}

/* There is no way to know whether it is valid. */
TEST_F(misuse, not_tracked)
{
	int id = tmn_caller(self->fd, TMN_LIST, self->map, self->page);

	ASSERT_GT(id, 0);
	EXPECT_EQ(0, is_valid(self->fd, id));
	EXPECT_EQ(0, wait_valid(self->fd, id));
	/* Now it is, but this range is empty. */
	id = tracker(self->fd, self->map, 0);
	ASSERT_GT(id, 0);
	EXPECT_EQ(0, is_valid(self->fd, id));
	EXPECT_EQ(0, wait_valid(self->fd, id));
}

TEST_F(misuse, excluded_ops)
{
	EXPECT_EQ(-EINVAL, tmn_register(self->fd, TMN_LIST, TMN_OP_SECONDARY | TMN_OP_START,
					0, NULL, 0));
	EXPECT_EQ(-EINVAL, tmn_register(self->fd, TMN_LIST, TMN_OP_SECONDARY | TMN_OP_END,
					0, NULL, 0));
}

/* ->release, when it is called by exit, is too late to register anything. */
TEST_F(misuse, no_users)
{
	const struct {
		unsigned int kind;
		enum tmn_what what;
	} cells[] = {
		{ TMN_LIST, TMN_DO_REGISTER },
		{ TMN_LIST, TMN_DO_REGISTER_LOCKED },
		{ TMN_LIST_GET, TMN_DO_REGISTER },
		{ TMN_INTERVAL, TMN_DO_REGISTER },
		/* There is one with these ops already. */
		{ TMN_LIST_GET, TMN_DO_REGISTER },
	};
	int i, id, from, status;
	pid_t child;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		/* With an interval there already, insert has a check of its own. */
		tmn_caller(self->fd, TMN_INTERVAL, self->map, self->page);
		for (i = 0; i < 5; i++) {
			if (i == 4 &&
			    tmn_caller(self->fd, TMN_LIST_GET, self->map, self->page) != 10)
				_exit(2);
			id = tmn_prepare(self->fd, cells[i].kind, self->map, self->page);
			from = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
			if (id != 2 + 2 * i + i / 4 || from != id + 1 ||
			    tmn_call(self->fd, id, cells[i].what, TMN_IN_RELEASE, from))
				_exit(1);
		}
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	for (i = 0; i < 5; i++) {
		id = 2 + 2 * i + i / 4;
		EXPECT_EQ(1, tmn_stats(self->fd, id).calls);
		EXPECT_EQ(-EINVAL, tmn_stats(self->fd, id).call_ret);
	}
}

/*
 * It is unlisted in the mm that it is registered on, and that mm loses the
 * reference. Idle CPUs come and go with one each, so there are more of them.
 */
#define ELSEWHERE	16

TEST_F(misuse, unregister_elsewhere)
{
	struct tmn_mm before, after;
	int id[ELSEWHERE], status, i;
	pid_t child;

	for (i = 0; i < ELSEWHERE; i++) {
		id[i] = tmn_caller(self->fd, TMN_LIST, self->map, self->page);
		ASSERT_GT(id[i], 0);
	}
	ASSERT_EQ(0, count_holders(self->fd, &before));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		struct tmn_mm mine, then;

		if (count_holders(self->fd, &mine))
			_exit(1);
		/* So that the mm lives, should it lose what is not its own. */
		for (i = 0; i < ELSEWHERE; i++)
			if (tmn_caller(self->fd, TMN_LIST, self->map, self->page) <= 0)
				_exit(2);
		for (i = 0; i < ELSEWHERE; i++)
			if (tmn_call(self->fd, id[i], TMN_DO_UNREGISTER_HERE, TMN_IN_PROCESS, 0))
				_exit(3);
		if (tmn(self->fd, TMN_MM, &then))
			_exit(4);
		_exit(then.count > mine.count + ELSEWHERE / 2 ? 0 : 5);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, touch(self->map, self->page));
	for (i = 0; i < ELSEWHERE; i++) {
		EXPECT_EQ(1, tmn_stats(self->fd, id[i]).releases);
		EXPECT_EQ(0, tmn_stats(self->fd, id[i]).late);
	}
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &after));
	EXPECT_LT(after.count, before.count - ELSEWHERE / 2);
}

/* The same ones, never registered, hold no reference. */
TEST_F(misuse, unregister_never_registered)
{
	struct tmn_mm before, after;
	int id[ELSEWHERE], i;

	for (i = 0; i < ELSEWHERE; i++) {
		id[i] = tmn_prepare(self->fd, TMN_LIST, self->map, self->page);
		ASSERT_GT(id[i], 0);
	}
	ASSERT_EQ(0, count_holders(self->fd, &before));
	for (i = 0; i < ELSEWHERE; i++)
		EXPECT_EQ(0, tmn_call(self->fd, id[i], TMN_DO_UNREGISTER_HERE,
				      TMN_IN_PROCESS, 0));
	ASSERT_EQ(0, tmn(self->fd, TMN_MM, &after));
	EXPECT_GT(after.count, before.count - ELSEWHERE / 2);
}

static long destroy_complaints(void *unused)
{
	run_everywhere();
	return complaints("__mmu_notifier_subscriptions_destroy");
}

/* One reference too few. */
TEST_F(misuse, destroyed_too_early)
{
	int status, before = destroy_complaints(NULL);
	pid_t child;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		int id = tmn_caller(self->fd, TMN_INTERVAL, self->map, self->page);

		_exit(id <= 0 || tmn_call(self->fd, id, TMN_DO_DROP_MM, TMN_IN_PROCESS, 0));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(before + 1, wait_until(destroy_complaints, NULL, before + 1, 1));
}

/*
 * What wants mmap_lock for writing, without it. Without ops as well, so that it
 * ends before it takes the other locks of the mm, which has checks of its own.
 */
TEST_F(misuse, unlocked)
{
	const unsigned int kinds[] = { TMN_LIST, TMN_LIST_GET, TMN_INTERVAL };
	const enum tmn_where from[] = { TMN_IN_PROCESS, TMN_IN_MMAP_READ, TMN_IN_FREE };
	int i, id, caller, complained;

	for (i = 0; i < 9; i++) {
		id = tmn_prepare(self->fd, kinds[i / 3], self->map, self->page);
		ASSERT_GT(id, 0);
		caller = tmn_caller(self->fd, TMN_LIST_PUT, self->map, self->page);
		ASSERT_GT(caller, 0);
		complained = complaints("rwsem.h");
		tmn_call(self->fd, id, TMN_DO_REGISTER_LOCKED_BARE, from[i % 3], caller);
		ASSERT_EQ(0, tmn_unregister(self->fd, caller));
		ASSERT_EQ(0, tmn_synchronize(self->fd));
		EXPECT_GT(complaints("rwsem.h"), complained);
		EXPECT_EQ(1, tmn_stats(self->fd, id).calls);
		EXPECT_EQ(-EINVAL, tmn_stats(self->fd, id).call_ret);
	}
}

/* What sleeps, from free_notifier(), which must not. */
TEST_F(misuse, sleep_in_free)
{
	const struct {
		unsigned int kind;
		enum tmn_what what;
	} cells[] = {
		{ TMN_LIST, TMN_DO_REGISTER },
		{ TMN_LIST_GET, TMN_DO_REGISTER },
		{ TMN_INTERVAL, TMN_DO_REGISTER },
		{ TMN_INTERVAL, TMN_DO_READ_BEGIN },
		{ TMN_INTERVAL, TMN_DO_WAIT_VALID },
		{ TMN_INTERVAL, TMN_DO_UNREGISTER },
	};
	int i, id, from, complained;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		if (cells[i].what == TMN_DO_REGISTER)
			id = tmn_prepare(self->fd, cells[i].kind, self->map, self->page);
		else
			id = tmn_caller(self->fd, cells[i].kind, self->map, self->page);
		ASSERT_GT(id, 0);
		from = tmn_caller(self->fd, TMN_LIST_PUT, self->map, self->page);
		ASSERT_GT(from, 0);
		ASSERT_EQ(0, tmn_call(self->fd, id, cells[i].what, TMN_IN_FREE, from));
		/* The kernel says so at most once a second, and no file says when. */
		usleep(1500000);
		complained = complaints("sleeping function called");
		ASSERT_EQ(0, tmn_unregister(self->fd, from));
		ASSERT_EQ(0, tmn_synchronize(self->fd));
		EXPECT_EQ(1, tmn_stats(self->fd, id).calls);
		EXPECT_EQ(complained + 1, complaints("sleeping function called"));
	}
}

/*
 * Bugs of a driver that the kernel reports and does not survive, or reports
 * once in its life: for a guest each, that has to show exactly that.
 */
FIXTURE(splat) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(splat) {
	unsigned int kind;
	enum tmn_what what;
	enum tmn_where where;
};

FIXTURE_VARIANT_ADD(splat, register_mmap_read) {
	TMN_LIST, TMN_DO_REGISTER, TMN_IN_MMAP_READ
};

FIXTURE_VARIANT_ADD(splat, register_mmap_write) {
	TMN_LIST, TMN_DO_REGISTER, TMN_IN_MMAP_WRITE
};

FIXTURE_VARIANT_ADD(splat, register_start) { TMN_LIST, TMN_DO_REGISTER, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, register_end) { TMN_LIST, TMN_DO_REGISTER, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, register_invalidate) {
	TMN_LIST, TMN_DO_REGISTER, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, register_locked_start) {
	TMN_LIST, TMN_DO_REGISTER_LOCKED, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, register_locked_end) {
	TMN_LIST, TMN_DO_REGISTER_LOCKED, TMN_IN_END
};

FIXTURE_VARIANT_ADD(splat, register_locked_invalidate) {
	TMN_LIST, TMN_DO_REGISTER_LOCKED, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, get_mmap_read) {
	TMN_LIST_GET, TMN_DO_REGISTER, TMN_IN_MMAP_READ
};

FIXTURE_VARIANT_ADD(splat, get_mmap_write) {
	TMN_LIST_GET, TMN_DO_REGISTER, TMN_IN_MMAP_WRITE
};

FIXTURE_VARIANT_ADD(splat, get_start) { TMN_LIST_GET, TMN_DO_REGISTER, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, get_end) { TMN_LIST_GET, TMN_DO_REGISTER, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, get_invalidate) {
	TMN_LIST_GET, TMN_DO_REGISTER, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, unregister_start) { TMN_LIST, TMN_DO_UNREGISTER, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, unregister_end) { TMN_LIST, TMN_DO_UNREGISTER, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, unregister_release) {
	TMN_LIST, TMN_DO_UNREGISTER, TMN_IN_RELEASE
};

FIXTURE_VARIANT_ADD(splat, unregister_free) { TMN_LIST, TMN_DO_UNREGISTER, TMN_IN_FREE };

FIXTURE_VARIANT_ADD(splat, synchronize_start) {
	TMN_LIST, TMN_DO_SYNCHRONIZE, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, synchronize_end) { TMN_LIST, TMN_DO_SYNCHRONIZE, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, synchronize_release) {
	TMN_LIST, TMN_DO_SYNCHRONIZE, TMN_IN_RELEASE
};

FIXTURE_VARIANT_ADD(splat, synchronize_free) {
	TMN_LIST, TMN_DO_SYNCHRONIZE, TMN_IN_FREE
};

FIXTURE_VARIANT_ADD(splat, insert_mmap_read) {
	TMN_INTERVAL, TMN_DO_REGISTER, TMN_IN_MMAP_READ
};

FIXTURE_VARIANT_ADD(splat, insert_mmap_write) {
	TMN_INTERVAL, TMN_DO_REGISTER, TMN_IN_MMAP_WRITE
};

FIXTURE_VARIANT_ADD(splat, insert_start) { TMN_INTERVAL, TMN_DO_REGISTER, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, insert_end) { TMN_INTERVAL, TMN_DO_REGISTER, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, insert_invalidate) {
	TMN_INTERVAL, TMN_DO_REGISTER, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, insert_locked_start) {
	TMN_INTERVAL, TMN_DO_REGISTER_LOCKED, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, insert_locked_end) {
	TMN_INTERVAL, TMN_DO_REGISTER_LOCKED, TMN_IN_END
};

FIXTURE_VARIANT_ADD(splat, insert_locked_invalidate) {
	TMN_INTERVAL, TMN_DO_REGISTER_LOCKED, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, remove_start) { TMN_INTERVAL, TMN_DO_UNREGISTER, TMN_IN_START };
FIXTURE_VARIANT_ADD(splat, remove_end) { TMN_INTERVAL, TMN_DO_UNREGISTER, TMN_IN_END };

FIXTURE_VARIANT_ADD(splat, remove_invalidate) {
	TMN_INTERVAL, TMN_DO_UNREGISTER, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, read_begin_start) {
	TMN_INTERVAL, TMN_DO_READ_BEGIN, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, read_begin_end) {
	TMN_INTERVAL, TMN_DO_READ_BEGIN, TMN_IN_END
};

FIXTURE_VARIANT_ADD(splat, read_begin_invalidate) {
	TMN_INTERVAL, TMN_DO_READ_BEGIN, TMN_IN_INVALIDATE
};

FIXTURE_VARIANT_ADD(splat, wait_valid_start) {
	TMN_INTERVAL, TMN_DO_WAIT_VALID, TMN_IN_START
};

FIXTURE_VARIANT_ADD(splat, wait_valid_end) {
	TMN_INTERVAL, TMN_DO_WAIT_VALID, TMN_IN_END
};

FIXTURE_VARIANT_ADD(splat, wait_valid_invalidate) {
	TMN_INTERVAL, TMN_DO_WAIT_VALID, TMN_IN_INVALIDATE
};

FIXTURE_SETUP(splat)
{
	if (!misuse_allowed())
		SKIP(return, "the module is loaded without misuse=1");
	if (access("/proc/lockdep", F_OK))
		SKIP(return, "no CONFIG_PROVE_LOCKING");
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(splat)
{
	close(self->fd);
}

/* In a child, since it may never come back. */
static void splat(int fd, unsigned int kind, enum tmn_what what, enum tmn_where where,
		  char *map, size_t page)
{
	/* No process is to wait for an end of file because of it. */
	bool quiet = !close_range(0, fd - 1, 0) && !close_range(fd + 1, ~0U, 0);
	int from = tmn_caller(fd, where == TMN_IN_INVALIDATE ? TMN_INTERVAL :
			      where == TMN_IN_FREE ? TMN_LIST_PUT : TMN_LIST, map, page);
	/* Away from the range: it is the call that counts, not a collision. */
	int id = what == TMN_DO_REGISTER || what == TMN_DO_REGISTER_LOCKED ?
		 tmn_prepare(fd, kind, map + 2 * page, page) :
		 tmn_caller(fd, kind, map + 2 * page, page);

	/* The first interval of an mm registers, which is a case of its own. */
	if (!quiet || from != 1 || id != 2 ||
	    (is_interval(kind) && tmn_caller(fd, kind, map + 2 * page, page) != 3))
		_exit(1);
	tmn_call(fd, id, what, where, from);
	if (where == TMN_IN_RELEASE || where == TMN_IN_FREE)
		tmn_unregister(fd, from);
	else if (where >= TMN_IN_START)
		/* With mmap_lock held for writing. */
		mprotect(map, page, PROT_READ);
	_exit(0);
}

/* The harness that boots these guests looks for what was called. */
static const char *report(enum tmn_where where)
{
	return where == TMN_IN_FREE ? "sleeping function called from invalid context" :
				      "possible recursive locking detected";
}

static long reports(void *title)
{
	return complaints(title);
}

TEST_F(splat, call)
{
	char *title = (char *)report(variant->where);
	int before = complaints(title);
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child)
		splat(self->fd, variant->kind, variant->what, variant->where,
		      self->map, self->page);
	EXPECT_GT(wait_until(reports, title, before + 1, 1), before);
	/* Some have a second one, and what hangs does not say that it does. */
	usleep(2000000);
	EXPECT_EQ(1, tmn_stats(self->fd, 2).calls);
}

TEST_HARNESS_MAIN
