// SPDX-License-Identifier: GPL-2.0
/*
 * The program of the fuzzer: three tasks, each with drivers of its own, do what some
 * bytes say, in the order that others do. Whatever the bytes are, no driver breaks a
 * rule, so every failure is one of the core.
 */
#include "tasks.h"
#include "random.h"

static struct own {
	struct interval *interval;
	struct list_device *list;
	bool interval_is_in, list_is_in;
	/* it has a reference on mm_users */
	bool uses;
} own[RANDOM_TASKS] STATE;

/* All timers that expire while one waits move the clock by less than the ledger allows. */
#define SOON 4

static struct interval *shared STATE;
static unsigned int created STATE;

static bool may_create(void)
{
	if (created == MAX_DEVICES)
		return false;
	created++;
	return true;
}

static void random_setup(void)
{
	unsigned int i;

	mm_create();
	if (random_input.header & SHARED) {
		may_create();
		shared = interval_create(RANDOM_TASKS, 0, PAGES - 1,
					 random_input.header & SHARED_TWO_PASS ? TWO_PASS : 0);
		interval_insert(shared);
	}
	for (i = 0; i < RANDOM_TASKS; i++) {
		mmget(mm);
		own[i].uses = true;
	}
	memory_is_short = random_input.header & SHORT_OF_MEMORY;
	mm->signal_pending = random_input.header & SIGNALS;
	/* The last task to leave makes it exit. */
	if (random_input.header & EXITS) {
		mmgrab(mm);
		mmput(mm);
	}
}

static void own_insert(struct own *me, unsigned int n, uint8_t arg)
{
	static const unsigned int flags[] = {
		0, TWO_PASS, MAY_FAIL, TWO_PASS | MAY_FAIL, TWO_PASS | NO_ALLOC, LOCKED,
		TWO_PASS | LOCKED, MAY_FAIL | LOCKED,
	};
	unsigned int first = (arg >> 3) % PAGES, last = first + (arg >> 5) % (PAGES - first);

	if (!me->interval) {
		if (!may_create())
			return;
		me->interval = interval_create(n, first, last, flags[arg % ARRAY_SIZE(flags)]);
	}
	me->interval_is_in = !interval_insert(me->interval);
}

static void fault(struct interval *dev, uint8_t arg)
{
	unsigned int page = (dev->notifier.interval_tree.start - ADDRESS(0)) / PAGE;

	if (arg & 1)
		fault_in(page);
	if ((arg & 2) && mmu_interval_read_begin_timeout)
		interval_fault_timeout(dev, page, arg & 4 ? jiffies + SOON : 0);
	else
		interval_fault(dev, page);
}

static void own_remove(struct own *me, bool frees)
{
	if (me->interval_is_in && frees)
		interval_destroy(me->interval);
	else if (me->interval_is_in) {
		interval_drop(me->interval);
		interval_remove(me->interval);
	}
	me->interval_is_in = false;
	if (frees)
		me->interval = NULL;
}

static void own_register(struct own *me, unsigned int n, uint8_t arg)
{
	static const unsigned int flags[] = {
		0, MAY_FAIL, NO_END, MAY_FAIL | NO_END, TRACKS, TLB | NO_START | NO_END, NO_START, NO_RELEASE,
	};

	if (!me->list) {
		if (!may_create())
			return;
		me->list = list_create(n, flags[arg % ARRAY_SIZE(flags)]);
	}
	me->list_is_in = !list_register(me->list);
}

static void own_unregister(struct own *me, uint8_t arg)
{
	struct list_device *dev = me->list;

	me->list_is_in = false;
	me->list = NULL;
	switch (arg % 3) {
	case 0:
		list_unregister(dev);
		break;
	case 1:
		list_drop(dev);
		if (mmu_notifier_unregister_no_release) {
			list_no_release(dev);
			break;
		}
		list_put(dev);
		break;
	default:
		list_drop(dev);
		list_put(dev);
	}
}

static void get_and_put(void)
{
	struct list_device *dev;

	if (!may_create())
		return;
	dev = list_get();
	if (dev)
		list_put(dev);
}

/* Who asks holds a lock of the VMA. */
static void ask_young(void)
{
	down_read(mm->rmap);
	mmu_notifier_test_young(mm, ADDRESS(0));
	mmu_notifier_clear_young(mm, ADDRESS(0), ADDRESS(1));
	mmu_notifier_clear_flush_young(mm, ADDRESS(0), ADDRESS(1));
	mmu_notifier_arch_invalidate_secondary_tlbs(mm, ADDRESS(0), ADDRESS(1));
	up_read(mm->rmap);
}

static void query(uint8_t arg)
{
	unsigned int first = arg % PAGES, last = first + (arg >> 2) % (PAGES - first);

	if (!mmu_notifier_range_is_valid)
		return;
	if ((arg & 16) && mmu_notifier_range_wait_valid_timeout)
		wait_valid_timeout(ADDRESS(first), ADDRESS(last + 1),
				   arg & 32 ? jiffies + SOON : 0);
	else
		wait_valid(ADDRESS(first), ADDRESS(last + 1));
	mmu_notifier_range_is_valid(mm, ADDRESS(first), ADDRESS(last + 1));
}

/* What needs a user of the mm, or a registration on it, is left out without one. */
static void act(struct own *me, unsigned int n, const struct random_op *op)
{
	unsigned int first = op->arg % PAGES;
	unsigned int last = first + (op->arg >> 2) % (PAGES - first);

	switch (op->what) {
	case INVALIDATE:
		invalidate(first, last, op->arg & 16 ? KEEP : 0);
		break;
	case INVALIDATE_NONBLOCK:
		invalidate(first, last, NONBLOCK | (op->arg & 16 ? KEEP : 0));
		break;
	case INSERT:
		if (me->uses && !me->interval_is_in)
			own_insert(me, n, op->arg);
		break;
	case FAULT:
		if (me->uses && me->interval_is_in)
			fault(me->interval, op->arg);
		break;
	case FAULT_SHARED:
		if (me->uses && shared)
			fault(shared, op->arg);
		break;
	case REMOVE:
		if (me->interval_is_in)
			own_remove(me, op->arg & 1);
		break;
	case REGISTER:
		if (me->uses && !me->list_is_in)
			own_register(me, n, op->arg);
		break;
	case FAULT_LIST:
		if (me->uses && me->list_is_in &&
		    !(me->list->flags & (NO_END | TLB | NO_START | NO_RELEASE)))
			list_fault(me->list, first);
		break;
	case UNREGISTER:
		if (me->list_is_in)
			own_unregister(me, op->arg);
		break;
	case GET_PUT:
		if (me->uses)
			get_and_put();
		break;
	case YOUNG:
		if (me->uses)
			ask_young();
		break;
	case QUERY:
		if (me->uses && shared)
			query(op->arg);
		break;
	case SYNCHRONIZE:
		mmu_notifier_synchronize();
		break;
	case KILL:
		tasks[op->arg % RANDOM_TASKS].killed = true;
		point("kill", NULL, NULL);
		break;
	case LEAVE:
		if (me->uses)
			mmput(mm);
		me->uses = false;
		break;
	}
}

static void random_task(void *arg)
{
	unsigned int n = (long)arg, i;
	struct own *me = &own[n];

	for (i = 0; i < RANDOM_OPS; i++)
		act(me, n, &random_input.ops[n][i]);
	if (me->interval_is_in)
		own_remove(me, true);
	if (me->list_is_in)
		own_unregister(me, 0);
	if (me->uses)
		mmput(mm);
}

static void random_finish(void)
{
	if (shared)
		interval_destroy(shared);
	if (random_input.header & EXITS)
		mmdrop(mm);
	else
		mmput(mm);
	ledger_finish();
}

const struct program random_program = {
	"random", "what some bytes say",
	random_setup, random_finish,
	{ { "task 0", random_task, 0 }, { "task 1", random_task, 1 }, { "task 2", random_task, 2 } },
	.promise = DELIVERS,
};
