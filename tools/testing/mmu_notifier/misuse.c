// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver must not do. The core has to say so: with a warning, after which
 * everything is as it was, or with what lockdep or might_sleep() say.
 */
#include "tasks.h"

static spinlock_t spinlock STATE;

static void check(bool good, const char *what)
{
	if (!good)
		fail("wrong: %s", what);
}

static void two(void)
{
	mm_create();
	list_register(list_create(0, 0));
	list_register(list_create(1, 0));
	list_create(2, 0);
	interval_create(3, 0, 1, 0);
}

static void two_and_interval(void)
{
	two();
	interval_insert(intervals[3]);
}

/* An mm that has had an interval */
static void two_tracked(void)
{
	two();
	interval_insert(intervals[3]);
	interval_remove(intervals[3]);
}

static void only_interval(void)
{
	mm_create();
	interval_insert(interval_create(0, 0, 1, 0));
}

static void end(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		if (ledger_demands(&lists[i]->notifier))
			list_unregister(lists[i]);
	if (ledger_demands(&intervals[3]->notifier))
		interval_destroy(intervals[3]);
	if (atomic_read(&mm->mm_users))
		mmput(mm);
	ledger_finish();
	if (!memory_error(mm, sizeof(*mm)))
		fail("the mm is not freed: there is a reference too many");
}

static void end_interval(void)
{
	interval_destroy(intervals[0]);
	mmput(mm);
}

static int try_register(struct list_device *dev)
{
	return mmu_notifier_register(&dev->notifier, mm);
}

static void register_newest(void *unused)
{
	check(try_register(lists[1]) == -EEXIST, "not -EEXIST");
	invalidate(0, 0, 0);
}

static void register_oldest(void *unused)
{
	check(try_register(lists[0]) == -EEXIST, "not -EEXIST");
	invalidate(0, 0, 0);
}

static void register_both(void *unused)
{
	lists[2]->ops.arch_invalidate_secondary_tlbs = (void *)check;
	check(try_register(lists[2]) == -EINVAL, "not -EINVAL");
	lists[2]->ops.invalidate_range_start = NULL;
	check(try_register(lists[2]) == -EINVAL, "not -EINVAL");
}

static void register_no_ops(void *unused)
{
	lists[2]->notifier.ops = NULL;
	check(try_register(lists[2]) == -EINVAL, "not -EINVAL");
}

static struct mm_struct *without_users(void)
{
	mmgrab(mm);
	mmput(mm);
	return mm;
}

static void no_users(void)
{
	mm_create();
	list_create(0, 0);
	list_create(1, 0);
	list_create(2, 0);
	interval_create(3, 0, 1, 0);
	without_users();
}

static void no_users_tracked(void)
{
	mm_create();
	interval_insert(interval_create(3, 0, 1, 0));
	interval_remove(intervals[3]);
	intervals[3]->notifier.mm = NULL;
	without_users();
}

static void end_no_users(void)
{
	mmdrop(mm);
	ledger_finish();
}

static void register_no_users(void *unused)
{
	check(try_register(lists[2]) == -EINVAL, "not -EINVAL");
}

static int try_insert(const struct mmu_interval_notifier_ops *ops, unsigned long size)
{
	struct mmu_interval_notifier *notifier = &intervals[3]->notifier;
	int ret;

	ledger_comes(intervals[3]->id);
	ret = mmu_interval_notifier_insert(notifier, mm, ADDRESS(0), size, ops);
	if (ret)
		ledger_is_out(intervals[3]->id);
	else
		ledger_is_in(intervals[3]->id);
	if (ret)
		check(!notifier->mm, "->mm is set by an insert that failed");
	return ret;
}

static bool invalidate_nothing(struct mmu_interval_notifier *notifier,
			       const struct mmu_notifier_range *range,
			       unsigned long seq)
{
	return true;
}

static bool start_nothing(struct mmu_interval_notifier *notifier,
			  const struct mmu_notifier_range *range, unsigned long seq,
			  struct mmu_interval_notifier_finish **finish)
{
	return true;
}

static const struct mmu_interval_notifier_ops one_pass = {
	.invalidate = invalidate_nothing,
};
static const struct mmu_interval_notifier_ops no_finish = {
	.invalidate_start = start_nothing,
};
static const struct mmu_interval_notifier_ops nothing;

static void insert_no_users(void *unused)
{
	check(try_insert(&one_pass, PAGE) == -EINVAL, "not -EINVAL");
}

static void insert_no_ops(void *unused)
{
	check(try_insert(NULL, PAGE) == -EINVAL, "not -EINVAL");
}

static void insert_nothing(void *unused)
{
	check(try_insert(&nothing, PAGE) == -EINVAL, "not -EINVAL");
}

static void insert_no_finish(void *unused)
{
	check(try_insert(&no_finish, PAGE) == -EINVAL, "not -EINVAL");
}

static void insert_empty(void *unused)
{
	check(try_insert(&one_pass, 0) == -EOVERFLOW, "not -EOVERFLOW");
	check(try_insert(&one_pass, -PAGE) == -EOVERFLOW, "not -EOVERFLOW");
}

static void insert_interrupted(void *unused)
{
	mm->signal_pending = true;
	if (try_insert(&one_pass, PAGE))
		check(atomic_read(&mm->mm_count) == 3, "a reference is left");
}

static const struct mmu_notifier_ops no_alloc = { .free_notifier = (void *)check };
static struct mmu_notifier *alloc_nothing(struct mm_struct *mm) { return ERR_PTR(-EXDEV); }
static const struct mmu_notifier_ops no_free = { .alloc_notifier = alloc_nothing };
static const struct mmu_notifier_ops sane = {
	.alloc_notifier = alloc_nothing, .free_notifier = (void *)check,
};

static void get_no_alloc(void *unused)
{
	check(PTR_ERR(mmu_notifier_get(&no_alloc, mm)) == -EINVAL, "not -EINVAL");
}

static void get_no_free(void *unused)
{
	check(PTR_ERR(mmu_notifier_get(&no_free, mm)) == -EINVAL, "not -EINVAL");
}

static void get_no_users(void *unused)
{
	check(PTR_ERR(mmu_notifier_get(&sane, mm)) == -EINVAL, "not -EINVAL");
}

/* The caller frees it, so it must not stay on the list. */
static void unregister_wrong_mm(void *unused)
{
	struct mm_struct *other = NEW(struct mm_struct);

	atomic_set(&other->mm_count, 1);
	ledger_goes(lists[1]->id);
	mmu_notifier_unregister(&lists[1]->notifier, other);
	ledger_is_out(lists[1]->id);
	check(atomic_read(&other->mm_count) == 1, "the wrong mm has lost a reference");
	kfree(lists[1]);
}

static void unregister_unregistered(void *unused)
{
	mmu_notifier_unregister(&lists[2]->notifier, mm);
}

static void put_too_often(void *unused)
{
	lists[1]->notifier.users = 0;
	mmu_notifier_put(&lists[1]->notifier);
	lists[1]->notifier.users = 1;
	check(ledger_demands(&lists[1]->notifier), "it is gone");
}

static void query_untracked(void *unused)
{
	check(!mmu_notifier_range_is_valid(mm, ADDRESS(0), ADDRESS(1)), "it is valid");
}

static void query_empty(void *unused)
{
	check(!mmu_notifier_range_is_valid(mm, ADDRESS(1), ADDRESS(1)), "it is valid");
	check(!mmu_notifier_range_is_valid(mm, ADDRESS(1), ADDRESS(0)), "it is valid");
}

static void wait_untracked(void *unused)
{
	mmu_notifier_range_wait_valid(mm, ADDRESS(0), ADDRESS(1));
}

static void with_errors(void)
{
	mm_create();
	list_register(list_create(0, 0));
	list_register(list_create(1, ERRORS));
	list_register(list_create(2, 0));
	interval_create(3, 0, 1, 0);
}

static void interval_with_errors(void)
{
	two();
	intervals[3]->flags |= ERRORS;
	interval_insert(intervals[3]);
	interval_insert(interval_create(2, 0, 1, 0));
}

static void end_interval_with_errors(void)
{
	interval_destroy(intervals[2]);
	end();
}

static void unmap(void *unused)
{
	invalidate(0, 0, 0);
}

/* Without mmap_lock, and wrong in another way as well, so that nothing else warns. */
static void unlocked_register(void *unused)
{
	lists[2]->notifier.ops = NULL;
	__mmu_notifier_register(&lists[2]->notifier, mm);
}

static void unlocked_get(void *unused)
{
	mmu_notifier_get_locked(NULL, mm);
}

static void unlocked_insert(void *unused)
{
	mmu_interval_notifier_insert_locked(&intervals[3]->notifier, mm, ADDRESS(0),
					    PAGE, NULL);
}

static void unmap_nonblock(void *unused)
{
	invalidate(0, 0, NONBLOCK);
}

static void start(struct mmu_notifier_range *range)
{
	ledger_range_begins(range, false);
	mmu_notifier_invalidate_range_start(range);
	ledger_range_started(range, 0);
}

static void start_twice(void *unused)
{
	struct mmu_notifier_range *range = NEW(struct mmu_notifier_range);

	down_read(mm->rmap);
	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, mm, ADDRESS(2), ADDRESS(3));
	start(range);
	mmu_notifier_invalidate_range_start(range);
	mmu_notifier_invalidate_range_end(range);
	/* The other end is lost, which is another program's. */
	current->maps = 0;
	ledger_range_ended(range);
	kfree(range);
	up_read(mm->rmap);
}

/* As lockdep reports it: a thread goes on, and has not ended its range. */
static void lose_end(void *unused)
{
	range_begin(0);
	up_read(mm->rmap);
}

/* A start without an end, and the mm is freed. */
static void never_end(void *unused)
{
	struct mmu_notifier_range *range = NEW(struct mmu_notifier_range);

	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, mm, ADDRESS(2), ADDRESS(3));
	start(range);
	/* It goes on after the report. */
	current->maps = 0;
	interval_destroy(intervals[0]);
	mmput(mm);
}

static void drop_too_many(void *n)
{
	long i;

	for (i = 0; i < (long)n; i++)
		mmdrop(mm);
}

static void under_lock(void *func)
{
	spin_lock_init(&spinlock);
	spin_lock(&spinlock);
	((void (*)(void))func)();
	spin_unlock(&spinlock);
}

static void read_begin(void) { mmu_interval_read_begin(&intervals[3]->notifier); }
static void remove(void) { interval_remove(intervals[3]); }
static void insert(void) { try_insert(&one_pass, PAGE); }
static void add(void) { try_register(lists[2]); }
static void unregister(void) { list_unregister(lists[1]); }
static void query_wait(void) { mmu_notifier_range_wait_valid(mm, ADDRESS(0), ADDRESS(1)); }
static void synchronize(void) { mmu_notifier_synchronize(); }

/* Called from a callback of the list's second device */
static void in_callback(void *func)
{
	lists[1]->in_callback = func;
	invalidate(0, 0, 0);
}

static void in_end(void *func)
{
	lists[1]->in_end = func;
	invalidate(0, 0, 0);
}

/* The start of the first one that was registered fails, after the other's. */
static void two_of_which_one_fails(void)
{
	mm_create();
	list_register(list_create(0, FAILS));
	list_register(list_create(1, 0));
	list_create(2, 0);
	interval_create(3, 0, 1, 0);
}

static void sleep_in_unwinding(void *unused)
{
	lists[1]->in_end = synchronize;
	invalidate(0, 0, NONBLOCK);
}

/* As in munmap() */
static void in_callback_locked(void *func)
{
	mmap_write_lock(mm);
	in_callback(func);
	mmap_write_unlock(mm);
}

static void insert_locked(void)
{
	mmu_interval_notifier_insert_locked(&intervals[3]->notifier, mm, ADDRESS(0), PAGE,
					    &one_pass);
}

static void add_locked(void)
{
	__mmu_notifier_register(&lists[2]->notifier, mm);
}

const struct program misuse[] = {
	{
		"again-newest", "registered again, the newest",
		two, end, { { "driver", register_newest, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"again-oldest", "registered again, the oldest",
		two, end, { { "driver", register_oldest, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"ops-exclude", "ops that exclude each other",
		two, end, { { "driver", register_both, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"ops-missing", "no ops",
		two, end, { { "driver", register_no_ops, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"register-no-users", "register on an mm without users",
		no_users, end_no_users, { { "driver", register_no_users, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"insert-no-users", "insert on an mm without users",
		no_users_tracked, end_no_users, { { "driver", insert_no_users, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"get-no-users", "get on an mm without users",
		no_users, end_no_users, { { "driver", get_no_users, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"insert-no-ops", "an interval without ops",
		two, end, { { "driver", insert_no_ops, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"insert-nothing", "an interval without invalidate",
		two, end, { { "driver", insert_nothing, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"insert-no-finish", "two passes without the second",
		two, end, { { "driver", insert_no_finish, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"insert-empty", "an interval that is empty or wraps",
		two, end, { { "driver", insert_empty, 0 } },
		NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"insert-signal", "an insert that a fatal signal interrupts leaves nothing",
		two, end, { { "driver", insert_interrupted, 0 } },
		NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"get-no-alloc", "get without alloc_notifier",
		two, end, { { "driver", get_no_alloc, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"get-no-free", "get without free_notifier",
		two, end, { { "driver", get_no_free, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"wrong-mm", "unregistered from another mm",
		two, end, { { "driver", unregister_wrong_mm, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"not-registered", "unregistered and never registered",
		two, end, { { "driver", unregister_unregistered, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"put-too-often", "put more often than get",
		two, end, { { "driver", put_too_often, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"query-untracked", "a query of an mm that is not tracked",
		two, end, { { "driver", query_untracked, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"query-empty", "a query of an empty range",
		two_and_interval, end, { { "driver", query_empty, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"wait-untracked", "a wait in an mm that is not tracked",
		two, end, { { "driver", wait_untracked, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"error-list", "a start that must not fail, of the list",
		with_errors, end, { { "driver", unmap, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"error-interval", "a start that must not fail, of an interval",
		interval_with_errors, end_interval_with_errors, { { "driver", unmap, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"unlocked-register", "register without mmap_lock",
		two, end, { { "driver", unlocked_register, 0 } },
		.must = "mmap_lock", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"unlocked-get", "get without mmap_lock",
		two, end, { { "driver", unlocked_get, 0 } },
		.must = "mmap_lock", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"unlocked-insert", "insert without mmap_lock",
		two, end, { { "driver", unlocked_insert, 0 } },
		.must = "mmap_lock", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"callback-insert-locked", "insert in a callback, with mmap_lock held",
		two_tracked, end, { { "driver", in_callback_locked, (long)insert_locked } },
		.must = "takes mmu_notifier_invalidate_range_start", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"callback-add-locked", "add in a callback, with mmap_lock held",
		two, end, { { "driver", in_callback_locked, (long)add_locked } },
		.must = "takes mmu_notifier_invalidate_range_start", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"error-other", "a start that fails with another error",
		with_errors, end, { { "driver", unmap_nonblock, 0 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"start-twice", "a range is started twice",
		only_interval, end_interval, { { "driver", start_twice, 0 } },
		.warns = true, NEEDS(mmu_notifier_range_is_valid),
	},
	{
		"lost-end", "a range is not ended",
		only_interval, NULL, { { "driver", lose_end, 0 } },
		.must = "has not ended a range", NEEDS(&__mmu_notifier_range_map),
	},
	{
		"lost-end-no-notifier", "a range is not ended, in an mm without notifiers",
		mm_create, NULL, { { "driver", lose_end, 0 } },
		.must = "has not ended a range", NEEDS(&__mmu_notifier_range_map),
	},
	{
		"never-ends", "the mm is freed with a range in progress",
		only_interval, NULL, { { "driver", never_end, 0 } },
		.warns = true, NEEDS(mmu_notifier_range_is_valid),
	},
	{
		"mm-too-many-list", "the mm is freed with a notifier on its list",
		two, NULL, { { "driver", drop_too_many, 3 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"mm-too-many-interval", "the mm is freed with an interval",
		only_interval, NULL, { { "driver", drop_too_many, 2 } },
		.warns = true, NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"sleeps-read-begin", "read_begin with a spinlock held",
		two_and_interval, end, { { "driver", under_lock, (long)read_begin } },
		.must = "read_begin with a spinlock held", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"sleeps-remove", "remove with a spinlock held",
		two_and_interval, end, { { "driver", under_lock, (long)remove } },
		.must = "sleeps in mmu_interval_notifier_remove", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"sleeps-insert", "insert with a spinlock held",
		two_tracked, end, { { "driver", under_lock, (long)insert } },
		.must = "sleeps in mmu_interval_notifier_insert", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"sleeps-add", "add with a spinlock held",
		two_and_interval, end, { { "driver", under_lock, (long)add } },
		.must = "sleeps in mmap_lock", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"sleeps-unregister", "unregister with a spinlock held",
		two_and_interval, end, { { "driver", under_lock, (long)unregister } },
		.must = "sleeps in mmu_notifier_unregister", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"sleeps-wait-valid", "wait_valid with a spinlock held",
		two_and_interval, end, { { "driver", under_lock, (long)query_wait } },
		.must = "range_wait_valid with a spinlock held", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"sleeps-synchronize", "synchronize with a spinlock held",
		two_and_interval, end, { { "driver", under_lock, (long)synchronize } },
		.must = "sleeps in synchronize_srcu", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"callback-read-begin", "read_begin in a callback",
		two_and_interval, end, { { "driver", in_callback, (long)read_begin } },
		.must = "lock order", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"callback-remove", "remove in a callback",
		two_and_interval, end, { { "driver", in_callback, (long)remove } },
		.must = "lock order", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"callback-insert", "insert in a callback",
		two, end, { { "driver", in_callback, (long)insert } },
		.must = "lock order", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"callback-add", "add in a callback",
		two_and_interval, end, { { "driver", in_callback, (long)add } },
		.must = "lock order", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"end-read-begin", "read_begin in a callback of end",
		two_and_interval, end, { { "driver", in_end, (long)read_begin } },
		.must = "lock order", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"sleeps-unwinding", "an end that sleeps where start must not, and has failed",
		two_of_which_one_fails, end, { { "driver", sleep_in_unwinding, 0 } },
		.must = "where it must not", NEEDS(mmu_notifier_unregister_no_release),
	},
	{
		"callback-wait-valid", "wait_valid in a callback",
		two_and_interval, end, { { "driver", in_callback, (long)query_wait } },
		.must = "lock order", NEEDS(mmu_notifier_unregister_no_release),
	},
};

const unsigned int nr_misuse = ARRAY_SIZE(misuse);
