// SPDX-License-Identifier: GPL-2.0
/*
 * Who may call what from where, and that what is unregistered is freed, once, and
 * not while it is in use.
 */
#include "kselftest_harness.h"
#include "mmu_notifier.h"

/* Each legal call, from everywhere but callbacks. */
FIXTURE(rules) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(rules) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(rules, list) { TMN_LIST };
FIXTURE_VARIANT_ADD(rules, put) { TMN_LIST_PUT };
FIXTURE_VARIANT_ADD(rules, get) { TMN_LIST_GET };
FIXTURE_VARIANT_ADD(rules, call_srcu) { TMN_LIST_CALL };
FIXTURE_VARIANT_ADD(rules, interval) { TMN_INTERVAL };
FIXTURE_VARIANT_ADD(rules, two_pass) { TMN_INTERVAL_TWO_PASS };

FIXTURE_SETUP(rules)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(rules)
{
	close(self->fd);
}

TEST_F(rules, process_context)
{
	const enum tmn_where from[] = { TMN_IN_PROCESS, TMN_IN_MMAP_READ, TMN_IN_MMAP_WRITE };
	/* unregister waits for callbacks that can want mmap_lock */
	const int nr_from = variant->kind == TMN_LIST ? 1 : 3;
	int locked, i, j, id;

	for (locked = 0; locked < 2; locked++) {
		for (i = 0; i < nr_from; i++) {
			id = tmn_prepare(self->fd, variant->kind, self->map, self->page);
			ASSERT_GT(id, 0);
			ASSERT_EQ(0, touch(self->map, self->page));
			EXPECT_EQ(0, tmn_stats(self->fd, id).starts);
			ASSERT_EQ(0, tmn_call(self->fd, id,
					      locked ? TMN_DO_REGISTER_LOCKED : TMN_DO_REGISTER,
					      locked ? TMN_IN_MMAP_WRITE : TMN_IN_PROCESS, 0));
			ASSERT_EQ(0, touch(self->map, self->page));
			EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
			for (j = 0; j < 3 && is_interval(variant->kind); j++)
				EXPECT_EQ(0, tmn_call(self->fd, id, TMN_DO_READ_BEGIN,
						      from[j], 0));
			ASSERT_EQ(0, tmn_call(self->fd, id, TMN_DO_UNREGISTER, from[i], 0));
			ASSERT_EQ(0, touch(self->map, self->page));
			ASSERT_EQ(0, tmn_synchronize(self->fd));
			EXPECT_EQ(1, tmn_stats(self->fd, id).starts);
			EXPECT_EQ(0, tmn_stats(self->fd, id).late);
		}
	}
}

/* A module that has notifiers when it is unloaded unregisters them in its exit. */
TEST_F(rules, module_exit)
{
	struct tmn_mm before;
	int i;

	if (access("/sys/module/test_mmu_notifier/initstate", F_OK))
		SKIP(return, "the module is built in");
	ASSERT_EQ(0, count_holders(self->fd, &before));
	for (i = 0; i < 4; i++)
		ASSERT_GT(tmn_register(self->fd, variant->kind,
				       is_interval(variant->kind) ? 0 : TMN_OP_ALL,
				       TMN_F_AT_EXIT, self->map, self->page), 0);
	close(self->fd);
	ASSERT_EQ(0, touch(self->map, self->page));
	ASSERT_EQ(0, system("modprobe -r test_mmu_notifier"));
	ASSERT_EQ(0, touch(self->map, self->page));
	ASSERT_EQ(0, system("modprobe test_mmu_notifier"));
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
	EXPECT_TRUE(nothing_left(self->fd, &before));
}

/* In ->release: called by unregister, and by exit. */
static void call_in_release(struct __test_metadata *_metadata, int fd,
			    unsigned int kind, char *map, size_t page)
{
	const enum tmn_what what[] = { TMN_DO_READ_BEGIN, TMN_DO_UNREGISTER };
	int i, id, from, status, ids[2] = { };
	pid_t child;

	for (i = is_interval(kind) ? 0 : 1; i < 2; i++) {
		id = tmn_caller(fd, kind, map, page);
		ASSERT_GT(id, 0);
		from = tmn_caller(fd, TMN_LIST, map, page);
		ASSERT_GT(from, 0);
		ASSERT_EQ(0, tmn_call(fd, id, what[i], TMN_IN_RELEASE, from));
		ASSERT_EQ(0, tmn_unregister(fd, from));
		EXPECT_EQ(1, tmn_stats(fd, id).calls);
		EXPECT_EQ(0, tmn_stats(fd, id).call_ret);
		ASSERT_EQ(what[i] == TMN_DO_UNREGISTER ? -ENOENT : 0,
			  tmn_unregister(fd, id));
		/* The ids that the child is going to get. */
		ids[i] = id;
	}
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		for (i = is_interval(kind) ? 0 : 1; i < 2; i++) {
			id = tmn_caller(fd, kind, map, page);
			from = tmn_caller(fd, TMN_LIST, map, page);
			if (id <= ids[1] || from <= id ||
			    tmn_call(fd, id, what[i], TMN_IN_RELEASE, from))
				_exit(0);
			if (i == 1)
				_exit(id);
		}
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	id = WEXITSTATUS(status);
	ASSERT_GT(id, 0);
	EXPECT_EQ(1, tmn_stats(fd, id).calls);
	EXPECT_EQ(0, tmn_stats(fd, id).call_ret);
	EXPECT_EQ(-ENOENT, tmn_unregister(fd, id));
	if (is_interval(kind)) {
		EXPECT_EQ(1, tmn_stats(fd, id - 2).calls);
		EXPECT_EQ(0, tmn_stats(fd, id - 2).call_ret);
	}
}

/* What does not wait is for callbacks as well. */
FIXTURE(putting) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(putting) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(putting, put) { TMN_LIST_PUT };
FIXTURE_VARIANT_ADD(putting, get) { TMN_LIST_GET };
FIXTURE_VARIANT_ADD(putting, call_srcu) { TMN_LIST_CALL };

FIXTURE_SETUP(putting)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(putting)
{
	close(self->fd);
}

/* A notifier can put itself. */
TEST_F(putting, in_callbacks)
{
	const struct {
		enum tmn_where where;
		unsigned int kind;
		bool self;
	} cells[] = {
		{ TMN_IN_START, TMN_LIST_PUT, false },
		{ TMN_IN_START, TMN_LIST_PUT, true },
		{ TMN_IN_END, TMN_LIST_PUT, false },
		{ TMN_IN_END, TMN_LIST_PUT, true },
		{ TMN_IN_INVALIDATE, TMN_INTERVAL, false },
		{ TMN_IN_RELEASE, TMN_LIST, false },
		{ TMN_IN_FREE, TMN_LIST_PUT, false },
		{ TMN_IN_FREE, TMN_LIST_CALL, false },
	};
	int i, id, from;
	struct tmn_sync sync;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		id = tmn_caller(self->fd, variant->kind, self->map, self->page);
		ASSERT_GT(id, 0);
		from = id;
		if (!cells[i].self)
			from = tmn_caller(self->fd, cells[i].kind, self->map, self->page);
		ASSERT_GT(from, 0);
		ASSERT_EQ(0, tmn_call(self->fd, id, TMN_DO_UNREGISTER, cells[i].where, from));
		ASSERT_EQ(0, cause_callback(self->fd, from, cells[i].where,
					    self->map, self->page));
		/* What free_notifier() puts is freed after another grace period. */
		ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
		ASSERT_EQ(0, tmn(self->fd, TMN_SYNCHRONIZE, &sync));
		EXPECT_EQ(0, sync.pending);
		EXPECT_EQ(1, tmn_stats(self->fd, id).calls);
		EXPECT_EQ(0, tmn_stats(self->fd, id).call_ret);
		EXPECT_EQ(1, tmn_stats(self->fd, id).frees);
		EXPECT_EQ(0, tmn_stats(self->fd, id).late);
		EXPECT_EQ(from != id && cells[i].where < TMN_IN_RELEASE ? 0 : -ENOENT,
			  tmn_unregister(self->fd, from));
	}
}

TEST_F(putting, in_release)
{
	call_in_release(_metadata, self->fd, variant->kind, self->map, self->page);
}

FIXTURE(inserting) {
	int fd;
	char *map;
	size_t page;
};

FIXTURE_VARIANT(inserting) {
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(inserting, one_pass) { TMN_INTERVAL };
FIXTURE_VARIANT_ADD(inserting, two_pass) { TMN_INTERVAL_TWO_PASS };

FIXTURE_SETUP(inserting)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(inserting)
{
	close(self->fd);
}

/* Drivers look at ->mm to know whether there is something to remove. */
TEST_F(inserting, fails)
{
	int locked, id;

	for (locked = 0; locked < 2; locked++) {
		id = tmn_prepare(self->fd, variant->kind, self->map, 0);
		ASSERT_GT(id, 0);
		EXPECT_EQ(-EOVERFLOW, tmn_call(self->fd, id,
					       locked ? TMN_DO_REGISTER_LOCKED : TMN_DO_REGISTER,
					       locked ? TMN_IN_MMAP_WRITE : TMN_IN_PROCESS, 0));
	}
}

/* In an mm that has had list notifiers alone. Returns 0 when it is called. */
static int insert_first(int fd, unsigned int kind, bool locked, char *map, size_t page)
{
	int id;

	if (tmn_caller(fd, TMN_LIST, map, page) <= 0)
		return 1;
	id = tmn_prepare(fd, kind, map, page);
	if (id <= 0 || tmn_call(fd, id, locked ? TMN_DO_REGISTER_LOCKED : TMN_DO_REGISTER,
				locked ? TMN_IN_MMAP_WRITE : TMN_IN_PROCESS, 0))
		return 2;
	if (touch(map, page))
		return 3;
	return tmn_stats(fd, id).starts ? 0 : 4;
}

TEST_F(inserting, first_of_mm)
{
	int locked, status;
	pid_t child;

	for (locked = 0; locked < 2; locked++) {
		child = fork();
		ASSERT_GE(child, 0);
		if (!child)
			_exit(insert_first(self->fd, variant->kind, locked,
					   self->map, self->page));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
}

TEST_F(inserting, removed_in_release)
{
	call_in_release(_metadata, self->fd, variant->kind, self->map, self->page);
}

/*
 * Many notifiers, unregistered in each way. TMN_MANY of the environment makes them
 * more.
 */
FIXTURE(teardown) {
	int fd;
	char *map;
	size_t page;
	unsigned int count;
};

FIXTURE_VARIANT(teardown) {
	unsigned int way;
};

FIXTURE_VARIANT_ADD(teardown, unregister) { TMN_WAY_UNREGISTER };
FIXTURE_VARIANT_ADD(teardown, put) { TMN_WAY_PUT };
FIXTURE_VARIANT_ADD(teardown, call_srcu) { TMN_WAY_CALL };
FIXTURE_VARIANT_ADD(teardown, synchronize) { TMN_WAY_SYNC };

FIXTURE_SETUP(teardown)
{
	self->count = setting("TMN_MANY", 64);
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
}

FIXTURE_TEARDOWN(teardown)
{
	close(self->fd);
}

static void expect_all_freed(struct __test_metadata *_metadata, int fd)
{
	struct tmn_bulk_stats stats;
	struct tmn_sync sync;

	ASSERT_EQ(0, tmn(fd, TMN_SYNCHRONIZE, &sync));
	EXPECT_EQ(0, sync.pending);
	stats = bulk_stats(fd);
	EXPECT_EQ(0, stats.left);
	EXPECT_EQ(0, stats.early);
	EXPECT_EQ(0, stats.late);
}

/* As nothing_left(); the file of the bulk pins the mm as well. */
static void expect_no_holder_left(struct __test_metadata *_metadata, int fd,
				  const struct tmn_mm *before)
{
	long holders;
	int i;

	for (i = 0; i < LIMIT_MS / 10; i++) {
		ASSERT_EQ(0, return_borrowed());
		holders = bulk_stats(fd).holders;
		if (holders <= before->count)
			break;
		usleep(10000);
	}
	EXPECT_LE(holders, before->count);
}

TEST_F_TIMEOUT(teardown, process_context, 300)
{
	struct tmn_mm before;
	struct tmn_bulk_stats stats;
	uint64_t calls;

	ASSERT_EQ(0, count_holders(self->fd, &before));
	ASSERT_EQ(0, bulk_register(self->fd, variant->way, self->count, TMN_WHEN_ASKED));
	ASSERT_EQ(0, touch(self->map, self->page));
	calls = bulk_stats(self->fd).calls;
	EXPECT_GE(calls, 2 * self->count);
	ASSERT_EQ(0, tmn(self->fd, TMN_BULK_UNREGISTER, NULL));
	expect_all_freed(_metadata, self->fd);
	/* Others can have called them before they were unregistered. */
	calls = bulk_stats(self->fd).calls;
	ASSERT_EQ(0, touch(self->map, self->page));
	stats = bulk_stats(self->fd);
	EXPECT_EQ(calls, stats.calls);
	EXPECT_EQ(variant->way == TMN_WAY_UNREGISTER ? self->count : 0, stats.releases);
	expect_no_holder_left(_metadata, self->fd, &before);
}

/* What happens on other CPUs in the meantime. */
struct storm {
	atomic_bool over;
	char *map;
	size_t page;
	int ret;
	bool fork;
};

static void *storm_thread(void *arg)
{
	struct storm *storm = arg;

	while (!atomic_load(&storm->over) && !storm->ret) {
		char *map = map_anon(storm->page);

		if (map == MAP_FAILED) {
			storm->ret = -ENOMEM;
			break;
		}
		poke(map);
		storm->ret = sys(munmap(map, storm->page));
		if (!storm->ret && storm->fork) {
			pid_t child = fork();

			if (!child)
				_exit(0);
			storm->ret = child < 0 ? -errno :
				     waitpid(child, NULL, 0) == child ? 0 : -ECHILD;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(teardown, storm, 300)
{
	struct tmn_mm before;
	struct storm storms[2] = {
		{ .page = self->page },
		{ .page = self->page, .fork = true },
	};
	pthread_t threads[2];
	uint64_t calls;
	int i;

	ASSERT_EQ(0, count_holders(self->fd, &before));
	ASSERT_EQ(0, bulk_register(self->fd, variant->way, self->count, TMN_WHEN_ASKED));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, storm_thread, &storms[i]));
	/* Until the storm has come to them. */
	calls = bulk_stats(self->fd).calls;
	for (i = 0; i < LIMIT_MS / 10 && bulk_stats(self->fd).calls == calls; i++)
		usleep(10000);
	EXPECT_GT(bulk_stats(self->fd).calls, calls);
	EXPECT_EQ(0, tmn(self->fd, TMN_BULK_UNREGISTER, NULL));
	expect_all_freed(_metadata, self->fd);
	for (i = 0; i < 2; i++) {
		atomic_store(&storms[i].over, true);
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, storms[i].ret);
	}
	expect_no_holder_left(_metadata, self->fd, &before);
}

/* The caller holds mms of children that exit, at any time in between. */
TEST_F_TIMEOUT(teardown, exit_meanwhile, 300)
{
	int status, round, rounds = self->count > 64 ? 1 : 8;
	pid_t child;
	int fd;

	for (round = 0; round < rounds; round++) {
		int ready[2];
		char byte;

		fd = tmn_open();
		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, pipe(ready));
		child = fork();
		ASSERT_GE(child, 0);
		if (!child) {
			if (bulk_register(fd, variant->way, self->count, TMN_WHEN_ASKED))
				_exit(1);
			if (write(ready[1], "", 1) != 1)
				_exit(2);
			usleep(1000 * round);
			_exit(0);
		}
		close(ready[1]);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		ASSERT_EQ(0, tmn(fd, TMN_BULK_UNREGISTER, NULL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
		expect_all_freed(_metadata, fd);
		close(ready[0]);
		close(fd);
	}
}

/* Unloading has to wait for what is still to be called. */
TEST_F_TIMEOUT(teardown, unload, 300)
{
	struct tmn_mm before;
	int i;

	ASSERT_EQ(0, count_holders(self->fd, &before));
	if (access("/sys/module/test_mmu_notifier/initstate", F_OK))
		SKIP(return, "the module is built in");
	for (i = 0; i < (self->count > 64 ? 1 : 3); i++) {
		ASSERT_EQ(0, bulk_register(self->fd, variant->way, self->count, TMN_WHEN_ASKED));
		close(self->fd);
		ASSERT_EQ(0, system("modprobe -r test_mmu_notifier"));
		ASSERT_EQ(0, touch(self->map, self->page));
		ASSERT_EQ(0, system("modprobe test_mmu_notifier"));
		self->fd = tmn_open();
		ASSERT_GE(self->fd, 0);
	}
	EXPECT_TRUE(nothing_left(self->fd, &before));
}

/* From ->release, but for unregister, which waits for that. */
FIXTURE(released) {
	int fd;
	unsigned int count;
};

FIXTURE_VARIANT(released) {
	unsigned int way;
};

FIXTURE_VARIANT_ADD(released, put) { TMN_WAY_PUT };
FIXTURE_VARIANT_ADD(released, call_srcu) { TMN_WAY_CALL };
FIXTURE_VARIANT_ADD(released, synchronize) { TMN_WAY_SYNC };

FIXTURE_SETUP(released)
{
	self->count = setting("TMN_MANY", 64);
	self->fd = tmn_open();
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(released)
{
	close(self->fd);
}

/* Each in its own, or all in one. */
static void unregister_in_release(struct __test_metadata *_metadata, int fd, unsigned int way,
				  unsigned int count, unsigned int when)
{
	int status;
	pid_t child;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child)
		_exit(!!bulk_register(fd, way, count, when));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	/* Unregistered or not, the walk goes through all of them. */
	EXPECT_EQ(count, bulk_stats(fd).releases);
	ASSERT_EQ(0, tmn(fd, TMN_BULK_UNREGISTER, NULL));
	expect_all_freed(_metadata, fd);
}

TEST_F_TIMEOUT(released, in_release, 300)
{
	unregister_in_release(_metadata, self->fd, variant->way, self->count, TMN_WHEN_RELEASED);
}

TEST_F_TIMEOUT(released, in_release_of_another, 300)
{
	unregister_in_release(_metadata, self->fd, variant->way, self->count,
			      TMN_WHEN_ONE_RELEASED);
}

/*
 * Two processes: a callback of the neighbour sleeps. All mms have one SRCU domain,
 * so what waits for a grace period waits for the callbacks of plain notifiers of
 * every process, and nothing else waits.
 */
FIXTURE(neighbour) {
	int fd;
	char *map;
	size_t page;
	/* its process and its notifier, and what makes it go on */
	pid_t pid;
	int id;
	int go;
};

FIXTURE_VARIANT(neighbour) {
	unsigned int kind;
	unsigned int gate;
	bool exits;
	bool in_srcu;
};

FIXTURE_VARIANT_ADD(neighbour, start) { TMN_LIST, TMN_GATE_START, false, true };
FIXTURE_VARIANT_ADD(neighbour, release) { TMN_LIST, TMN_GATE_RELEASE, true, true };
FIXTURE_VARIANT_ADD(neighbour, invalidate) { TMN_INTERVAL, TMN_GATE_START, false, false };
FIXTURE_VARIANT_ADD(neighbour, finish) { TMN_INTERVAL_TWO_PASS, TMN_GATE_FINISH, false, false };

/* A process that invalidates a page, or exits, when it is told to. */
static pid_t fork_neighbour(int *go, char *map, size_t page, bool exits)
{
	int ends[2];
	pid_t child;
	char byte;

	if (pipe(ends))
		return -1;
	child = fork();
	if (!child) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) != 1 || (!exits && touch(map, page)));
	}
	close(ends[0]);
	*go = ends[1];
	return child;
}

/* Returns the id. */
static int register_on(int fd, pid_t pid, unsigned int kind, char *map, size_t page)
{
	struct tmn_register reg = {
		.kind = kind,
		.ops = is_interval(kind) ? 0 : TMN_OP_ALL,
		.pid = pid,
		.start = (uintptr_t)map,
		.end = (uintptr_t)map + page,
	};
	int ret = tmn(fd, TMN_REGISTER, &reg);

	return ret < 0 ? ret : (int)reg.id;
}

FIXTURE_SETUP(neighbour)
{
	ASSERT_EQ(0, set_up(&self->fd, &self->map, &self->page));
	self->pid = fork_neighbour(&self->go, self->map, self->page, variant->exits);
	ASSERT_GT(self->pid, 0);
	self->id = register_on(self->fd, self->pid, variant->kind, self->map, self->page);
	ASSERT_GT(self->id, 0);
}

FIXTURE_TEARDOWN(neighbour)
{
	int status;

	close(self->go);
	EXPECT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(0, status);
	close(self->fd);
}

/* Until the gate is opened. */
static int hold_neighbour(int fd, int id, int go, unsigned int gate)
{
	int ret = tmn_gate(fd, id, gate);

	if (ret)
		return ret;
	return write(go, "", 1) == 1 ? tmn_at_gate(fd, id) : -EIO;
}

static int call_register(int fd, int id)
{
	return tmn_call(fd, id, TMN_DO_REGISTER, TMN_IN_PROCESS, 0);
}

static int call_synchronize(int fd, int id)
{
	return tmn_call(fd, id, TMN_DO_SYNCHRONIZE, TMN_IN_PROCESS, 0);
}

TEST_F(neighbour, calls)
{
	const struct {
		const char *name;
		unsigned int kind;
		int (*func)(int fd, int id);
		/* for callbacks of plain notifiers, of every mm */
		bool waits;
		/* returns, but frees only after these */
		bool frees_later;
	} cells[] = {
		{ "register", TMN_LIST, call_register },
		{ "get", TMN_LIST_GET, call_register },
		{ "insert", TMN_INTERVAL, call_register },
		{ "remove", TMN_INTERVAL, tmn_unregister },
		{ "read_begin", TMN_INTERVAL, read_begin_call },
		{ "unregister", TMN_LIST, tmn_unregister, .waits = true },
		{ "synchronize", TMN_LIST, call_synchronize, .waits = true },
		{ "put", TMN_LIST_PUT, tmn_unregister, .frees_later = true },
		{ "no_release, call_srcu", TMN_LIST_CALL, tmn_unregister, .frees_later = true },
	};
	struct call calls[ARRAY_SIZE(cells)];
	pthread_t threads[ARRAY_SIZE(cells)];
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		calls[i] = (struct call){ .fd = self->fd, .func = cells[i].func };
		calls[i].id = cells[i].func == call_register ?
			      tmn_prepare(self->fd, cells[i].kind, self->map, self->page) :
			      tmn_caller(self->fd, cells[i].kind, self->map, self->page);
		ASSERT_GT(calls[i].id, 0);
	}
	ASSERT_EQ(0, hold_neighbour(self->fd, self->id, self->go, variant->gate));
	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, call_thread, &calls[i]));
		if (cells[i].waits && variant->in_srcu) {
			EXPECT_TRUE(asleep(&calls[i]) && silent(&calls[i])) {
				TH_LOG("%s does not wait", cells[i].name);
			}
			continue;
		}
		EXPECT_EQ(1, wait_until(call_done, &calls[i], 1, 1)) {
			TH_LOG("%s waits", cells[i].name);
		}
	}
	/* Of those that wait no one has returned in the meantime. */
	for (i = 0; i < (int)ARRAY_SIZE(cells) && variant->in_srcu; i++) {
		if (cells[i].waits)
			EXPECT_FALSE(atomic_load(&calls[i].done));
		if (cells[i].frees_later)
			EXPECT_EQ(0, tmn_stats(self->fd, calls[i].id).frees);
	}
	ASSERT_EQ(0, tmn_gate(self->fd, self->id, 0));
	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, calls[i].ret);
	}
	ASSERT_EQ(0, tmn_synchronize(self->fd));
	for (i = 0; i < (int)ARRAY_SIZE(cells); i++)
		if (cells[i].frees_later)
			EXPECT_EQ(1, tmn_stats(self->fd, calls[i].id).frees);
}

/* Exit waits when there is a plain notifier that it unlinks. */
TEST_F(neighbour, exits)
{
	const struct {
		const char *name;
		unsigned int kind;
		bool unregistered;
		bool waits;
	} cells[] = {
		{ "with a plain notifier", TMN_LIST, .waits = true },
		{ "after put", TMN_LIST_PUT, .unregistered = true },
		{ "with an interval notifier", TMN_INTERVAL },
	};
	pid_t pids[ARRAY_SIZE(cells)];
	int ids[ARRAY_SIZE(cells)], go[ARRAY_SIZE(cells)];
	int i, ms, status;

	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		pids[i] = fork_neighbour(&go[i], self->map, self->page, true);
		ASSERT_GT(pids[i], 0);
		ids[i] = register_on(self->fd, pids[i], cells[i].kind, self->map, self->page);
		ASSERT_GT(ids[i], 0);
	}
	ASSERT_EQ(0, hold_neighbour(self->fd, self->id, self->go, variant->gate));
	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		struct counter c = { .fd = self->fd, .id = ids[i] };

		if (cells[i].unregistered)
			ASSERT_EQ(0, tmn_unregister(self->fd, ids[i]));
		ASSERT_EQ(1, write(go[i], "", 1));
		if (cells[i].waits && variant->in_srcu) {
			/* It is unlisted immediately before it waits. */
			EXPECT_EQ(1, wait_until(is_unlisted, &c, 1, 1));
			usleep(300000);
			EXPECT_EQ(0, waitpid(pids[i], &status, WNOHANG)) {
				TH_LOG("exit %s does not wait", cells[i].name);
			}
			continue;
		}
		for (ms = 0; ms < LIMIT_MS && !waitpid(pids[i], &status, WNOHANG); ms++)
			usleep(1000);
		EXPECT_LT(ms, LIMIT_MS) {
			TH_LOG("exit %s waits", cells[i].name);
		}
		pids[i] = ms < LIMIT_MS ? 0 : pids[i];
	}
	ASSERT_EQ(0, tmn_gate(self->fd, self->id, 0));
	for (i = 0; i < (int)ARRAY_SIZE(cells); i++) {
		if (pids[i])
			EXPECT_EQ(pids[i], waitpid(pids[i], &status, 0));
		close(go[i]);
	}
}

TEST_HARNESS_MAIN
