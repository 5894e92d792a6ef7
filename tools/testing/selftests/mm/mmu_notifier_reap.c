// SPDX-License-Identifier: GPL-2.0
/*
 * Non-blocking starts, of the OOM reaper and of process_mrelease(2).
 */
#include "kselftest_harness.h"
#include "mmu_notifier.h"

static long nonblock_starts(void *arg)
{
	struct counter *c = arg;

	return count_nonblock(c->fd, c->id);
}

/*
 * No range is in progress, and for a while none has begun: the reaper does not
 * say when it has done.
 */
static long is_quiet(void *arg)
{
	struct counter *c = arg;
	struct tmn_stats before = tmn_stats(c->fd, c->id), after;

	usleep(300000);
	after = tmn_stats(c->fd, c->id);
	return !after.open && after.starts == before.starts;
}

/*
 * A memory cgroup's victim, with a thread that cannot exit: the OOM reaper
 * comes for its memory, gets it when the notifiers allow, and they balance.
 */
FIXTURE(oom) {
};

FIXTURE_VARIANT(oom) {
	unsigned int list_flags;
	unsigned int interval_flags;
	bool reaped;
};

FIXTURE_VARIANT_ADD(oom, reaped) { .reaped = true };
FIXTURE_VARIANT_ADD(oom, list_fails) { .list_flags = TMN_F_FAIL_NONBLOCK };
FIXTURE_VARIANT_ADD(oom, interval_fails) { .interval_flags = TMN_F_FAIL_NONBLOCK };

FIXTURE_SETUP(oom)
{
}

FIXTURE_TEARDOWN(oom)
{
}

TEST_F(oom, kill)
{
	/* The newest is asked first, so it is asked in every variant. */
	struct counter c = { .fd = tmn_open(), .id = 3 };
	const size_t size = 64 << 20, limit = 16 << 20;
	int fd = c.fd, status, i;
	struct tmn_stats stats;
	char cgroup[64];
	pid_t child;

	ASSERT_GE(fd, 0);
	if (make_cgroup(cgroup, sizeof(cgroup), "16M"))
		SKIP(return, "no memory cgroup (v2) at /sys/fs/cgroup");
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		char swap_max[128];
		pthread_t thread;
		char *map;

		/* Not there without swap. */
		snprintf(swap_max, sizeof(swap_max), "%s/memory.swap.max", cgroup);
		write_text(swap_max, "0");
		if (enter_cgroup(cgroup))
			_exit(1);
		map = map_anon(size);
		if (tmn_register(fd, TMN_LIST, TMN_OP_ALL, 0, NULL, 0) != 1 ||
		    tmn_register(fd, TMN_LIST, TMN_OP_PAIR, variant->list_flags, NULL, 0) != 2 ||
		    tmn_register(fd, TMN_LIST, TMN_OP_PAIR, 0, NULL, 0) != 3 ||
		    tmn_register(fd, TMN_INTERVAL_TWO_PASS, 0, variant->interval_flags,
				 map, size) != 4)
			_exit(2);
		if (pthread_create(&thread, NULL, hold_thread, &fd) || tmn_at_gate(fd, 0))
			_exit(3);
		memset(map, 1, size);
		_exit(4);
	}
	EXPECT_EQ(0, tmn_at_gate(fd, 0));
	EXPECT_GT(wait_until(nonblock_starts, &c, 1, 3), 0);
	/*
	 * Until the reaper is through: exit unlists the notifier, and end is not
	 * called for a range that is in progress then.
	 */
	EXPECT_EQ(1, wait_until(is_quiet, &c, 1, 1));
	EXPECT_EQ(0, tmn(fd, TMN_UNHOLD, NULL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	rmdir(cgroup);
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	for (i = 1; i <= 3; i++)
		EXPECT_BALANCED(fd, i);
	EXPECT_EQ(!!variant->list_flags, tmn_stats(fd, 2).failed > 0);
	stats = tmn_stats(fd, 1);
	EXPECT_EQ(1, stats.releases);
	/* What was left for exit. */
	EXPECT_EQ(variant->reaped, stats.release_anon < limit / 2 / getpagesize()) {
		TH_LOG("%llu pages", stats.release_anon);
	}
	stats = tmn_stats(fd, 4);
	EXPECT_GT(stats.starts, 0);
	EXPECT_EQ(stats.starts, stats.finishes);
	EXPECT_EQ(!!variant->interval_flags, stats.failed > 0);
	close(fd);
}

/* process_mrelease(2) of a child that was killed, see struct reaping. */
FIXTURE(nonblock) {
	int fd;
	struct reaping reaping;
};

FIXTURE_SETUP(nonblock)
{
	self->fd = tmn_open();
	self->reaping.fd = self->fd;
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(nonblock)
{
	reaping_end(&self->reaping);
	close(self->fd);
}

/* When the interval side fails the list is not called at all. */
TEST_F(nonblock, interval_fails)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_PAIR, 0 },
		{ TMN_INTERVAL_TWO_PASS, 0, 0 },
		{ TMN_INTERVAL, 0, TMN_F_FAIL_NONBLOCK, .first_page = 1 },
	};
	uint64_t seq;

	EXPECT_EQ(-EAGAIN, reap(&self->reaping, wanted, 3));
	EXPECT_GT(tmn_stats(self->fd, 3).failed, 0);
	/* Called before the one that fails, for the lower address. */
	EXPECT_GT(tmn_stats(self->fd, 2).starts, 0);
	EXPECT_EQ(tmn_stats(self->fd, 2).starts, tmn_stats(self->fd, 2).finishes);
	/* Other VMAs have no interval, so their ranges do succeed. */
	EXPECT_BALANCED(self->fd, 1);
	EXPECT_EQ(0, tmn_read_begin(self->fd, 2, &seq));
	EXPECT_EQ(0, tmn_remove_timed(self->fd, 2));
	ASSERT_EQ(0, let_go(&self->reaping));
	EXPECT_BALANCED(self->fd, 1);
}

/* The non-blocking callbacks of one notifier. */
struct tally {
	int started;
	int failed;
	int ended;
	bool paired;
};

static struct tally tally(int fd, int id)
{
	static struct tmn_event log[TMN_LOG_SIZE];
	struct tally t = { .paired = true };
	int n = tmn_events(fd, id, log), i, j;

	for (i = 0; i < n; i++) {
		int ends = 0;

		if (log[i].flags & TMN_EV_BLOCKABLE)
			continue;
		t.ended += log[i].type == TMN_EV_END;
		if (log[i].type != TMN_EV_START)
			continue;
		t.started += !log[i].ret;
		t.failed += !!log[i].ret;
		/* One end for each range, before the next range begins. */
		for (j = i + 1; j < n && log[j].type != TMN_EV_START; j++)
			ends += log[j].type == TMN_EV_END &&
				log[j].start == log[i].start &&
				log[j].end == log[i].end;
		t.paired &= ends == !log[i].ret;
	}
	return t;
}

/* Of those in front of the one that fails, each operation alone, and none. */
TEST_F(nonblock, few_ops)
{
	struct wanted wanted[1 + FEW_OPS] = {
		{ TMN_LIST, TMN_OP_PAIR, TMN_F_FAIL_NONBLOCK },
	};
	struct tally t;
	int i, failed;

	for (i = 0; i < FEW_OPS; i++)
		wanted[1 + i] = (struct wanted){ TMN_LIST, few_ops[i], 0 };
	EXPECT_EQ(-EAGAIN, reap(&self->reaping, wanted, 1 + FEW_OPS));
	failed = tally(self->fd, 1).failed;
	EXPECT_GT(failed, 0);
	for (i = 0; i < FEW_OPS; i++) {
		t = tally(self->fd, 2 + i);
		EXPECT_EQ(few_ops[i] == TMN_OP_START ? failed : 0, t.started);
		EXPECT_EQ(0, t.failed);
		/* The range never began. */
		EXPECT_EQ(0, t.ended);
	}
	ASSERT_EQ(0, let_go(&self->reaping));
	for (i = 0; i < FEW_OPS; i++)
		EXPECT_EQ(few_ops[i] == TMN_OP_RELEASE, tmn_stats(self->fd, 2 + i).releases);
}

static long release_calls(void *arg)
{
	struct counter *c = arg;

	return tmn_stats(c->fd, c->id).releases;
}

/*
 * Exit unlists notifiers in the middle of the reaper's range: their end is not
 * called, so release is where a driver has to stop waiting for one. The walk that
 * is in progress continues with the older one, after its release.
 */
TEST_F(nonblock, exit_meanwhile)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_ALL, 0 },
		{ TMN_LIST, TMN_OP_ALL, 0 },
	};
	struct counter c = { .fd = self->fd, .id = 1 };
	pthread_t reaper;
	struct tmn_stats stats;
	uint64_t before[2];
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
	ASSERT_EQ(0, make_victim(&self->reaping, wanted, 2));
	for (i = 0; i < 2; i++)
		before[i] = tmn_stats(self->fd, 1 + i).starts;
	ASSERT_EQ(0, tmn_gate(self->fd, 2, TMN_GATE_SPIN));
	ASSERT_EQ(0, pthread_create(&reaper, NULL, reap_thread, &self->reaping));
	ASSERT_EQ(0, tmn_at_gate(self->fd, 2));
	ASSERT_EQ(0, tmn(self->fd, TMN_UNHOLD, NULL));
	EXPECT_EQ(1, wait_until(release_calls, &c, 1, 1));
	EXPECT_EQ(1, wait_until(is_unlisted, &c, 1, 1));
	ASSERT_EQ(0, tmn_gate(self->fd, 2, 0));
	ASSERT_EQ(0, pthread_join(reaper, NULL));
	ASSERT_EQ(self->reaping.child, waitpid(self->reaping.child, NULL, 0));
	self->reaping.child = 0;
	for (i = 0; i < 2; i++) {
		stats = tmn_stats(self->fd, 1 + i);
		EXPECT_EQ(before[i] + 1, stats.starts);
		EXPECT_EQ(before[i], stats.ends);
		EXPECT_EQ(1, stats.open);
		EXPECT_EQ(0, stats.unmatched);
		EXPECT_EQ(1, stats.releases);
	}
}

/*
 * The device is in the middle of a fault, and the invalidation cannot wait for it.
 * Only list notifiers are there: that the range has ended is for them alone.
 */
TEST_F(nonblock, two_sided_fault)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_ALL, 0 },
		{ TMN_LIST, TMN_OP_ALL, TMN_F_TRACK | TMN_F_MIRROR },
		{ TMN_LIST, TMN_OP_ALL, 0 },
	};
	struct reaping *r = &self->reaping;
	int i;

	EXPECT_EQ(-EAGAIN, reap(r, wanted, ARRAY_SIZE(wanted)));
	EXPECT_GT(tmn_stats(self->fd, 2).failed, 0);
	EXPECT_GT(count_nonblock(self->fd, 3), 0);
	EXPECT_EQ(1, is_valid(self->fd, 2));
	EXPECT_EQ(0, wait_valid(self->fd, 2));
	for (i = 1; i <= (int)ARRAY_SIZE(wanted); i++)
		EXPECT_BALANCED(self->fd, i);
	ASSERT_EQ(0, tmn_gate(self->fd, 2, 0));
	ASSERT_EQ(0, let_go(r));
	for (i = 1; i <= (int)ARRAY_SIZE(wanted); i++)
		EXPECT_BALANCED(self->fd, i);
}

static int register_late(int fd, int pid)
{
	struct tmn_register reg = {
		.kind = TMN_LIST_PUT,
		.ops = TMN_OP_ALL,
		.pid = pid,
	};
	int ret = tmn(fd, TMN_REGISTER, &reg);

	return ret < 0 ? ret : (int)reg.id;
}

/* Registration waits for the reaper, so end is not called without a start. */
TEST_F(nonblock, register_meanwhile)
{
	const struct wanted wanted[] = {
		{ TMN_LIST, TMN_OP_PAIR, 0 },
		{ TMN_LIST, TMN_OP_PAIR, TMN_F_FAIL_NONBLOCK },
		{ TMN_LIST, TMN_OP_PAIR, 0 },
	};
	struct call call = { .fd = self->fd, .func = register_late };
	pthread_t reaper, registrar;
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
	ASSERT_EQ(0, make_victim(&self->reaping, wanted, 3));
	ASSERT_EQ(0, tmn_gate(self->fd, 2, TMN_GATE_SPIN));
	ASSERT_EQ(0, pthread_create(&reaper, NULL, reap_thread, &self->reaping));
	ASSERT_EQ(0, tmn_at_gate(self->fd, 2));
	call.id = self->reaping.child;
	ASSERT_EQ(0, pthread_create(&registrar, NULL, call_thread, &call));
	EXPECT_TRUE(asleep_in(&call, 4));
	ASSERT_EQ(0, tmn_gate(self->fd, 2, 0));
	ASSERT_EQ(0, pthread_join(reaper, NULL));
	ASSERT_EQ(0, pthread_join(registrar, NULL));
	EXPECT_EQ(-EAGAIN, self->reaping.ret);
	EXPECT_EQ(4, call.ret);
	EXPECT_EQ(0, tmn_stats(self->fd, 4).starts);
	EXPECT_EQ(0, tmn_stats(self->fd, 4).releases);
	ASSERT_EQ(0, let_go(&self->reaping));
	for (i = 1; i <= 4; i++)
		EXPECT_BALANCED(self->fd, i);
	EXPECT_EQ(1, tmn_stats(self->fd, 4).releases);
}

/*
 * Start is called for three notifiers of a victim, the last of these fails, and
 * there is one behind it: while that start runs, one of them is unregistered.
 */
FIXTURE(race) {
	int fd;
	struct reaping reaping;
	struct knob knob[FAIL_KNOBS];
};

FIXTURE_VARIANT(race) {
	unsigned int kind;
	int id;
	bool nomem;
};

#define BEHIND	1
#define FAILING	2
#define BEFORE	3
#define NEWEST	4
#define RACE	5

FIXTURE_VARIANT_ADD(race, unregister_before) { TMN_LIST, BEFORE };
FIXTURE_VARIANT_ADD(race, unregister_failing) { TMN_LIST, FAILING };
FIXTURE_VARIANT_ADD(race, unregister_behind) { TMN_LIST, BEHIND };
FIXTURE_VARIANT_ADD(race, unregister_nomem) { TMN_LIST, FAILING, .nomem = true };
FIXTURE_VARIANT_ADD(race, put_before) { TMN_LIST_PUT, BEFORE };
FIXTURE_VARIANT_ADD(race, put_failing) { TMN_LIST_PUT, FAILING };
FIXTURE_VARIANT_ADD(race, put_behind) { TMN_LIST_PUT, BEHIND };
FIXTURE_VARIANT_ADD(race, put_nomem) { TMN_LIST_PUT, FAILING, .nomem = true };

FIXTURE_SETUP(race)
{
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	self->reaping.fd = self->fd;
	self->reaping.nomem = variant->nomem;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
	if (variant->nomem && make_it_fail(self->knob))
		SKIP(return, "no CONFIG_FAILSLAB, or no debugfs");
}

FIXTURE_TEARDOWN(race)
{
	reaping_end(&self->reaping);
	restore_all(self->knob);
	close(self->fd);
}

TEST_F(race, taken_off)
{
	const struct wanted wanted[RACE] = {
		[BEHIND - 1] = { variant->kind, TMN_OP_ALL, 0 },
		[FAILING - 1] = { variant->kind, TMN_OP_ALL, TMN_F_FAIL_NONBLOCK },
		[BEFORE - 1] = { variant->kind, TMN_OP_ALL, 0 },
		[NEWEST - 1] = { variant->kind, TMN_OP_ALL, 0 },
		[RACE - 1] = { TMN_INTERVAL_TWO_PASS, 0, 0 },
	};
	struct call call = { .fd = self->fd, .id = variant->id, .func = tmn_unregister };
	struct counter off = { .fd = self->fd, .id = variant->id };
	pthread_t reaper, remover;
	struct tmn_stats stats;
	uint64_t seq;
	int i;

	ASSERT_EQ(0, make_victim(&self->reaping, wanted, RACE));
	ASSERT_EQ(0, tmn_gate(self->fd, FAILING, TMN_GATE_SPIN));
	ASSERT_EQ(0, pthread_create(&reaper, NULL, reap_thread, &self->reaping));
	ASSERT_EQ(0, tmn_at_gate(self->fd, FAILING));
	ASSERT_EQ(0, pthread_create(&remover, NULL, call_thread, &call));
	/* Both unlist it; unregister calls ->release before that, and then waits. */
	if (variant->kind == TMN_LIST) {
		EXPECT_EQ(1, wait_until(release_calls, &off, 1, 1));
		EXPECT_EQ(1, wait_until(is_unlisted, &off, 1, 1));
		EXPECT_TRUE(silent(&call));
	} else {
		EXPECT_EQ(1, wait_until(call_done, &call, 1, 1));
		EXPECT_EQ(0, tmn_stats(self->fd, variant->id).releases);
	}
	ASSERT_EQ(0, tmn_gate(self->fd, FAILING, 0));
	ASSERT_EQ(0, pthread_join(reaper, NULL));
	ASSERT_EQ(0, pthread_join(remover, NULL));
	EXPECT_EQ(0, call.ret);
	EXPECT_EQ(-EAGAIN, self->reaping.ret);

	for (i = BEHIND; i <= NEWEST; i++) {
		stats = tmn_stats(self->fd, i);
		EXPECT_EQ(0, stats.unmatched);
		EXPECT_EQ(0, stats.late);
		/* End is not called for what was unlisted after its start. */
		EXPECT_EQ(i == BEFORE && i == variant->id, stats.open) {
			TH_LOG("notifier %d", i);
		}
		EXPECT_EQ(stats.starts, stats.ends + stats.open);
		EXPECT_EQ(i == FAILING, stats.failed > 0);
	}
	EXPECT_GT(tmn_stats(self->fd, BEFORE).starts, 0);
	EXPECT_GT(tmn_stats(self->fd, NEWEST).starts, 0);
	/* Nothing keeps later ranges from it, once the one that fails is gone. */
	EXPECT_EQ(variant->id == FAILING, count_nonblock(self->fd, BEHIND) > 0);
	stats = tmn_stats(self->fd, RACE);
	EXPECT_GT(stats.starts, 0);
	EXPECT_EQ(stats.starts, stats.finishes + stats.absorbed);
	EXPECT_EQ(0, tmn_read_begin(self->fd, RACE, &seq));
	ASSERT_EQ(0, let_go(&self->reaping));
}

/*
 * Three list notifiers, each without an end, with one, or with one and a start
 * that fails: every mix, and so every order of registration that differs.
 */
#define MIX		3
#define MIXES		27	/* 3^3 */

FIXTURE(mix) {
	int fd;
	struct reaping reaping;
	struct knob knob[FAIL_KNOBS];
};

FIXTURE_VARIANT(mix) {
	/* what covers the victim's area: nothing, or an interval with flags */
	bool interval;
	unsigned int flags;
	bool nomem;
};

FIXTURE_VARIANT_ADD(mix, list) { };
FIXTURE_VARIANT_ADD(mix, interval) { .interval = true };
FIXTURE_VARIANT_ADD(mix, interval_fails) {
	.interval = true,
	.flags = TMN_F_FAIL_NONBLOCK,
};

FIXTURE_VARIANT_ADD(mix, nomem) { .interval = true, .nomem = true };

FIXTURE_SETUP(mix)
{
	self->fd = -1;
	self->reaping.nomem = variant->nomem;
	if (variant->nomem && make_it_fail(self->knob))
		SKIP(return, "no CONFIG_FAILSLAB, or no debugfs");
}

FIXTURE_TEARDOWN(mix)
{
	reaping_end(&self->reaping);
	restore_all(self->knob);
	close(self->fd);
}

/* How often a list notifier was called before the interval was through. */
static int too_early(int fd, int list, int interval)
{
	static struct tmn_event calls[TMN_LOG_SIZE], passes[TMN_LOG_SIZE];
	int n = tmn_events(fd, list, calls), m = tmn_events(fd, interval, passes);
	int i, j, early = 0;

	for (i = 0; i < n; i++) {
		int open = 0;

		for (j = 0; j < m && passes[j].clock < calls[i].clock; j++)
			if (passes[j].type == TMN_EV_FINISH)
				open--;
			else if (!passes[j].ret)
				open++;
		early += calls[i].type == TMN_EV_START && open != 0;
	}
	return early;
}

TEST_F_TIMEOUT(mix, nonblock, 300)
{
	const struct wanted choice[] = {
		{ TMN_LIST_PUT, TMN_OP_START, 0 },
		{ TMN_LIST_PUT, TMN_OP_PAIR, 0 },
		{ TMN_LIST_PUT, TMN_OP_PAIR, TMN_F_FAIL_NONBLOCK },
	};
	struct wanted wanted[MIX + 1] = {
		[MIX] = { TMN_INTERVAL_TWO_PASS, 0, variant->flags },
	};
	int mix, rest, i, id, failing, ranges;
	uint64_t absorbed = 0;
	struct tally t;

	for (mix = 0; mix < MIXES; mix++) {
		self->fd = tmn_open();
		ASSERT_GE(self->fd, 0);
		self->reaping.fd = self->fd;
		failing = 0;
		for (i = 0, rest = mix; i < MIX; i++, rest /= 3) {
			wanted[i] = choice[rest % 3];
			/* The newest is called first. */
			if (rest % 3 == 2)
				failing = i + 1;
		}
		ASSERT_EQ(failing || variant->flags ? -EAGAIN : 0,
			  reap(&self->reaping, wanted, MIX + variant->interval));

		t = tally(self->fd, MIX);
		ranges = t.started + t.failed;
		ASSERT_GT(ranges, 0);
		for (id = MIX; id > 0; id--) {
			bool end = wanted[id - 1].ops & TMN_OP_END;

			t = tally(self->fd, id);
			ASSERT_EQ(id > failing ? ranges : 0, t.started) {
				TH_LOG("mix %d, notifier %d", mix, id);
			}
			ASSERT_EQ(id == failing ? ranges : 0, t.failed);
			ASSERT_EQ(end && id > failing ? ranges : 0, t.ended) {
				TH_LOG("mix %d, notifier %d", mix, id);
			}
			if (end)
				ASSERT_TRUE(t.paired);
			ASSERT_EQ(0, tmn_stats(self->fd, id).open);
			ASSERT_EQ(0, tmn_stats(self->fd, id).unmatched);
		}
		if (variant->interval) {
			struct tmn_stats stats = tmn_stats(self->fd, MIX + 1);

			ASSERT_EQ(stats.starts, stats.finishes + stats.absorbed);
			ASSERT_EQ(!!variant->flags, stats.failed > 0);
			ASSERT_EQ(0, variant->nomem ? 0 : too_early(self->fd, MIX, MIX + 1));
			absorbed += stats.absorbed;
		}
		ASSERT_EQ(0, let_go(&self->reaping));
		close(self->fd);
	}
	self->fd = -1;
	EXPECT_EQ(variant->nomem, absorbed > 0);
}

/*
 * The last test, since on a kernel that fails it threads stay behind: nothing ends
 * what the interval side of a failed start began.
 */
TEST_F(nonblock, list_fails_beside_interval)
{
	const struct wanted wanted[] = {
		{ TMN_INTERVAL, 0, 0 },
		{ TMN_INTERVAL_TWO_PASS, 0, 0 },
		{ TMN_LIST, TMN_OP_START, TMN_F_FAIL_NONBLOCK },
	};
	uint64_t seq;
	int i;

	EXPECT_EQ(-EAGAIN, reap(&self->reaping, wanted, 3));
	EXPECT_GT(tmn_stats(self->fd, 1).starts, 0);
	EXPECT_EQ(tmn_stats(self->fd, 2).starts, tmn_stats(self->fd, 2).finishes);
	for (i = 1; i <= 2; i++) {
		EXPECT_EQ(0, tmn_read_begin(self->fd, i, &seq));
		EXPECT_EQ(0, tmn_remove_timed(self->fd, i));
	}
	ASSERT_EQ(0, let_go(&self->reaping));
}

TEST_HARNESS_MAIN
