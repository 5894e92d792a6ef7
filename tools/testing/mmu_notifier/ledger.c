// SPDX-License-Identifier: GPL-2.0
/*
 * The oracles. Nothing here is a point, so each of these runs together with the
 * step of the task that it belongs to.
 */
#include "device.h"
#include <core/has.h>

#ifdef HAVE_WINDOWS
#define WINDOWS true
#else
#define WINDOWS false
#endif

enum where { OUT, COMING, IN, GOING };

static struct device {
	const void *notifier;
	bool interval;
	enum where where;
	unsigned long start, end;
	unsigned long spte[PAGES];
	/* has no end, has no start */
	bool unpaired, only_end;
	/* who removes it */
	const struct task *remover;
	bool in_tree;
	/* bits of tasks: unregister and exit can call release at once */
	uint8_t releasing, releasing_at_exit;
} devices[MAX_DEVICES] STATE;
static unsigned int nr_devices STATE;

/* What happens between start and end, for devices as bits. */
static struct range {
	const struct mmu_notifier_range *range;
	bool nonblock;
	/* a start that must not block has failed: that is the last of them */
	bool stopped;
	/* it is that of exit, in the core */
	bool release;
	/* that were registered before it began, so it must call them */
	uint8_t before;
	/* that were still registered when it had certainly begun */
	uint8_t must;
	uint8_t invalidated, started, failed, ended;
	/*
	 * The core has it on its list; what was in the tree then, and overlaps,
	 * and what was on the list of notifiers.
	 */
	bool listed;
	uint8_t window;
} ranges[MAX_TASKS] STATE;

/* Of each task that waits: the newest range that it has to wait for, and where */
static struct {
	u64 newest;
	unsigned long start, end;
	/* a range that overlaps has come meanwhile */
	bool newer;
} waiting[MAX_TASKS] STATE;

static bool exiting STATE, released STATE, mm_is_gone STATE;
static uint8_t next_page STATE;
static bool page_is_free[64] STATE;

static struct device *device(unsigned int id)
{
	return &devices[id];
}

unsigned int ledger_device(const void *notifier, bool interval,
			   unsigned int first, unsigned int last)
{
	struct device *dev = device(nr_devices);

	if (nr_devices == MAX_DEVICES)
		fail("more than %d devices", MAX_DEVICES);
	dev->notifier = notifier;
	dev->interval = interval;
	dev->start = ADDRESS(first);
	dev->end = ADDRESS(last + 1);
	return nr_devices++;
}

static bool overlaps(const struct device *dev, const struct mmu_notifier_range *range)
{
	return !dev->interval || (dev->start < range->end && range->start < dev->end);
}

void ledger_comes(unsigned int id)
{
	device(id)->where = COMING;
}

void ledger_unpaired(unsigned int id)
{
	device(id)->unpaired = true;
}

void ledger_only_end(unsigned int id)
{
	device(id)->only_end = true;
}

/* It may come back before the ranges in progress end. */
void ledger_goes(unsigned int id)
{
	unsigned int i;

	for (i = 0; i < MAX_TASKS; i++)
		ranges[i].before &= ~(1 << id);
	device(id)->where = GOING;
	device(id)->remover = current;
}

void ledger_is_out(unsigned int id)
{
	uint8_t others = ~(1 << id);
	unsigned int i;

	/* When it comes back, the ranges in progress are older. */
	for (i = 0; i < MAX_TASKS && !device(id)->interval; i++) {
		ranges[i].window &= others;
		ranges[i].started &= others;
		ranges[i].failed &= others;
		ranges[i].ended &= others;
	}
	device(id)->where = OUT;
	device(id)->in_tree = false;
}

bool ledger_is_going(unsigned int id)
{
	return device(id)->where != IN;
}

/* May be on a list or in the tree; is there for sure. */
static struct device *find_device(const void *notifier)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++)
		if (devices[i].notifier == notifier)
			return &devices[i];
	return NULL;
}

bool ledger_allows(const void *notifier)
{
	const struct device *dev = find_device(notifier);

	return dev && dev->where != OUT;
}

bool ledger_demands(const void *notifier)
{
	const struct device *dev = find_device(notifier);

	return dev && dev->where == IN;
}

static bool any_range(void)
{
	unsigned int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (ranges[i].range)
			return true;
	return exiting && !released;
}

/* A core may defer what changes the tree until nothing is in progress. */
unsigned int ledger_demanded(bool interval)
{
	unsigned int i, n = 0;

	if (interval ? any_range() : exiting)
		return 0;
	for (i = 0; i < nr_devices; i++)
		n += devices[i].interval == interval && devices[i].where == IN;
	return n;
}

static bool meets(const struct mmu_notifier_range *range, unsigned long start,
		  unsigned long end)
{
	return range->start < end && start < range->end;
}

static void is_newer(const struct mmu_notifier_range *range)
{
	unsigned int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (meets(range, waiting[i].start, waiting[i].end))
			waiting[i].newer = true;
}

static struct range *find_range(const struct mmu_notifier_range *range)
{
	unsigned int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (ranges[i].range == range)
			return &ranges[i];
	return NULL;
}

static uint8_t registered(const struct mmu_notifier_range *range)
{
	uint8_t mask = 0;
	unsigned int i;

	for (i = 0; i < nr_devices; i++)
		if (devices[i].where == IN && overlaps(&devices[i], range))
			mask |= 1 << i;
	return mask;
}


void ledger_range_begins(const struct mmu_notifier_range *range, bool nonblock)
{
	struct range *r = find_range(NULL);

	memset(r, 0, sizeof(*r));
	r->range = range;
	r->nonblock = nonblock;
	r->before = registered(range);
	is_newer(range);
}

static struct range *release_range(void)
{
	unsigned int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (ranges[i].range && ranges[i].release)
			return &ranges[i];
	return NULL;
}

static const char *name(unsigned int id)
{
	static const char *const names[] = {
		"list 0", "list 1", "list 2", "list 3", "list 4", "list 5",
		"interval 0", "interval 1", "interval 2", "interval 3",
		"interval 4", "interval 5",
	};

	return names[id + (devices[id].interval ? MAX_DEVICES : 0)];
}

static uint8_t in_tree_or_list(const struct mmu_notifier_range *range)
{
	uint8_t mask = 0;
	unsigned int i;

	for (i = 0; i < nr_devices; i++)
		if (devices[i].interval ? devices[i].in_tree && overlaps(&devices[i], range) :
		    devices[i].where != OUT && core_lists(devices[i].notifier))
			mask |= 1 << i;
	return mask;
}

/* A range that is not known yet is listed in this step, and so after the removal. */
static bool calls(const struct mmu_notifier_range *range, uint8_t bit)
{
	const struct range *r = find_range(range);

	return r && r->listed && (r->window & bit);
}

static void observe_range(const struct mmu_notifier_range *range)
{
	struct range *r = find_range(range);

	if (!r) {
		if (!exiting || released || release_range())
			fail("a range is on the list that is not in progress");
		r = find_range(NULL);
		memset(r, 0, sizeof(*r));
		r->range = range;
		r->release = true;
	}
	if (r->listed)
		return;
	r->listed = true;
	r->window = in_tree_or_list(range);
	is_newer(range);
}

/* Nothing that a range on the list calls leaves the tree, or stays for any other. */
static void observe_device(struct device *dev)
{
	const struct mmu_notifier_range *range = NULL;
	uint8_t bit = 1 << (dev - devices);
	bool active = false, ending = false;
	unsigned int i;
	bool has = core_has(dev->notifier);

	for (i = 0; i < MAX_TASKS; i++)
		ending |= ranges[i].range &&
			  (!ranges[i].listed || (ranges[i].window & bit));
	while ((range = core_next(range)))
		active |= calls(range, bit);
	if (dev->in_tree && !has && active)
		fail("%s leaves the tree, and a range that calls it is in progress",
		     name(dev - devices));
	if (has && !active && !ending && dev->where == GOING && dev->remover->queue &&
	    !dev->remover->woken)
		fail("%s is to be removed, and nothing that calls it is in progress",
		     name(dev - devices));
	dev->in_tree = has;
}

/* Between any two steps, and when something depends on it. */
void ledger_observe(void)
{
	const struct mmu_notifier_range *range = NULL;
	unsigned int i;

	if (!core_is_settled())
		return;
	for (i = 0; i < nr_devices; i++)
		if (devices[i].interval && devices[i].where != OUT &&
		    !memory_error(devices[i].notifier, 1))
			observe_device(&devices[i]);
	while ((range = core_next(range)))
		observe_range(range);
}

/*
 * It knows of every range in progress. The list of ranges is that of the core: a
 * range that has left it can still be calling ends.
 */
static void knows_ranges(unsigned int id)
{
	const struct mmu_notifier_range *range = NULL;
	struct range *r;

	ledger_observe();
	while (core_is_settled() && (range = core_next(range))) {
		r = find_range(range);
		if (r && r->listed && !(r->window & 1 << id))
			fail("%s is registered, and a range that does not call it is in progress",
			     name(id));
	}
}

void ledger_is_in(unsigned int id)
{
	if (!device(id)->interval)
		knows_ranges(id);
	device(id)->where = IN;
}

/* A range calls what was in the tree when it was listed, and nothing else. */
static void check_window(const struct range *r, bool all)
{
	unsigned int i;

	for (i = 0; r->listed && i < nr_devices; i++) {
		uint8_t bit = 1 << i;

		if (!devices[i].interval)
			continue;
		if (r->invalidated & ~r->window & bit)
			fail("%s is called for a range that is older", name(i));
		if (all && ~r->invalidated & r->window & bit)
			fail("lost: the range has not called %s", name(i));
	}
}

/* The range has begun for sure: what is registered now, it must call. */
static void has_begun(struct range *r)
{
	unsigned int i;

	if (!WINDOWS && program->promise != DELIVERS)
		return;
	for (i = 0; i < nr_devices; i++)
		if (devices[i].interval)
			r->must |= r->before & registered(r->range) & 1 << i;
}

void ledger_range_started(const struct mmu_notifier_range *range, int ret)
{
	struct range *r = find_range(range);
	unsigned int i;

	ledger_observe();
	has_begun(r);
	r->must |= r->before & registered(range);
	for (i = 0; i < nr_devices; i++)
		if (r->listed && !devices[i].interval)
			r->must |= r->window & registered(range) & 1 << i;
	check_window(r, !ret);
	for (i = 0; i < nr_devices; i++) {
		uint8_t bit = 1 << i;

		if (!ret && devices[i].only_end && (!r->listed || (r->window & bit)))
			r->started |= bit;
		if (!ret && devices[i].only_end && devices[i].unpaired)
			r->ended |= bit;
		if (!ret && (r->failed & bit))
			fail("%s's start has failed, but not the start", name(i));
		if (!ret && (r->must & bit) && !exiting &&
		    !((devices[i].interval ? r->invalidated : r->started) & bit))
			fail("lost: the range that starts has not called %s", name(i));
		if (ret && (r->started & ~r->ended & bit) && devices[i].where == IN &&
		    !exiting)
			fail("start has failed, and %s's end is not called", name(i));
	}
	if (ret)
		r->range = NULL;
}

void ledger_range_ended(const struct mmu_notifier_range *range)
{
	struct range *r = find_range(range);
	unsigned int i;

	for (i = 0; i < nr_devices; i++)
		if ((r->started & ~r->ended & 1 << i) && devices[i].where == IN && !exiting)
			fail("the range has ended, and %s's end is not called", name(i));
	r->range = NULL;
}

void ledger_call(unsigned int id, const char *what)
{
	note("%s: %s", name(id), what);
	if (device(id)->where == OUT)
		fail("%s is called, %s, and is not registered", name(id), what);
}

static struct range *called(unsigned int id, const struct mmu_notifier_range *range,
			    const char *what)
{
	struct range *r;

	ledger_observe();
	r = find_range(range);
	ledger_call(id, what);
	if (!overlaps(device(id), range))
		fail("%s is called for a range that does not overlap", name(id));
	if (!r && !(exiting && !released))
		fail("%s is called for a range that is not in progress", name(id));
	if (r)
		has_begun(r);
	return r;
}

void ledger_invalidate(unsigned int id, const struct mmu_notifier_range *range)
{
	struct range *r = called(id, range, "invalidate");

	if (r && r->stopped)
		fail("%s is called after a failure", name(id));
	if (r && (r->invalidated & 1 << id))
		fail("%s is called twice for a range", name(id));
	if (r)
		r->invalidated |= 1 << id;
}

void ledger_invalidate_fails(const struct mmu_notifier_range *range)
{
	struct range *r = find_range(range);

	if (WINDOWS && r && r->nonblock)
		r->stopped = true;
}

void ledger_start(unsigned int id, const struct mmu_notifier_range *range, int ret)
{
	struct range *r = called(id, range, ret ? "start fails" : "start");

	if (!r)
		return;
	if (r->stopped)
		fail("%s's start is called after a failure", name(id));
	if (r->listed && !(r->window & 1 << id))
		fail("%s's start is called for a range that is older", name(id));
	r->stopped = WINDOWS && ret && r->nonblock;
	if ((r->started | r->failed) & 1 << id)
		fail("%s's start is called twice for a range", name(id));
	*(ret ? &r->failed : &r->started) |= 1 << id;
	if (!ret && device(id)->unpaired)
		r->ended |= 1 << id;
}

void ledger_end(unsigned int id, const struct mmu_notifier_range *range)
{
	struct range *r = called(id, range, "end");

	if (!r)
		return;
	if (r->ended & 1 << id)
		fail("%s's end is called twice for a range", name(id));
	if (!(r->started & 1 << id))
		fail("%s's end is called, and its start %s", name(id),
		     r->failed & 1 << id ? "has failed" : "was not called");
	r->ended |= 1 << id;
}

void ledger_release(unsigned int id)
{
	ledger_call(id, "release");
	device(id)->releasing |= 1 << (current - tasks);
}

void ledger_release_done(unsigned int id)
{
	device(id)->releasing &= ~(1 << (current - tasks));
	device(id)->releasing_at_exit &= device(id)->releasing;
}

void ledger_exit(void)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++)
		devices[i].releasing_at_exit = devices[i].releasing;
	exiting = true;
}

void ledger_released(void)
{
	struct range *r = release_range();
	unsigned int i;

	if (r) {
		check_window(r, true);
		r->range = NULL;
	}
	for (i = 0; i < nr_devices; i++)
		if (devices[i].releasing_at_exit)
			fail("exit goes on, and %s's release is still running", name(i));
	released = true;
}

void ledger_mm_gone(void)
{
	unsigned int i;

	mm_is_gone = true;
	for (i = 0; i < nr_devices; i++)
		if (devices[i].where == IN && !program->warns)
			fail("the mm is freed with %s registered", name(i));
}

/*
 * A number that is certain to collide, with nothing in progress and nothing new
 * since the call, makes the reader fail for no reason.
 */
void ledger_read_begun(unsigned int id, const unsigned long *now, unsigned long seq)
{
	struct device *dev = device(id);
	bool collided = *now != seq;
	unsigned int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (ranges[i].range && overlaps(dev, ranges[i].range))
			return;
	if ((WINDOWS || program->promise == FRESH) && collided &&
	    !waiting[current - tasks].newer && !exiting)
		fail("%s's reader has waited for a number that has collided already", name(id));
}

/* Whatever overlaps and is listed now has to end before the call returns. */
void ledger_wait_begins(unsigned long start, unsigned long end)
{
	const struct mmu_notifier_range *range = NULL;
	unsigned int me = current - tasks;

	current->wakeups = 0;
	waiting[me].start = start;
	waiting[me].end = end;
	waiting[me].newest = 0;
	waiting[me].newer = false;
	while (core_is_settled() && (range = core_next(range)))
		if (meets(range, start, end))
			waiting[me].newest = core_seq(range);
}

void ledger_wait_done(int ret, unsigned long deadline)
{
	const struct mmu_notifier_range *range = NULL;
	unsigned int me = current - tasks;

	if (WINDOWS && current->wakeups > 1)
		fail("%s was woken %d times in one wait", current->comm, current->wakeups);
	current->wakeups = 0;
	switch (ret) {
	case 0:
		break;
	case -EINTR:
		if (!current->killed)
			fail("%s: -EINTR without a signal", current->comm);
		return;
	case -ETIMEDOUT:
		if (!deadline || time_before(jiffies, deadline))
			fail("%s: -ETIMEDOUT before the deadline", current->comm);
		/* As far as no other timer has moved it */
		if (time_after(jiffies, deadline + 100))
			fail("%s: -ETIMEDOUT long after the deadline", current->comm);
		return;
	default:
		fail("%s: the wait returns %d", current->comm, ret);
	}
	while (core_is_settled() && (range = core_next(range)))
		if (meets(range, waiting[me].start, waiting[me].end) &&
		    core_seq(range) <= waiting[me].newest)
			fail("%s does not wait for a range that overlaps and is older",
			     current->comm);
	waiting[me].end = waiting[me].start;
}

unsigned long page_alloc(void)
{
	if (++next_page == ARRAY_SIZE(page_is_free))
		fail("more than %zu pages", ARRAY_SIZE(page_is_free));
	return next_page;
}

void page_free(unsigned long *pte)
{
	unsigned long page = *pte;
	unsigned int i, j;

	*pte = 0;
	if (!page)
		return;
	page_is_free[page] = true;
	note("page %lu is freed", page);
	for (i = 0; i < nr_devices; i++)
		for (j = 0; j < PAGES; j++)
			if (devices[i].spte[j] == page)
				fail("page %lu is freed, and %s has it mapped", page, name(i));
}

void device_map(unsigned int id, unsigned int page, unsigned long pte)
{
	note("%s maps page %lu", name(id), pte);
	if (page_is_free[pte])
		fail("%s maps page %lu, which was freed", name(id), pte);
	device(id)->spte[page] = pte;
}

void device_unmap(unsigned int id, unsigned long start, unsigned long end)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++)
		if (ADDRESS(page) < end && start < ADDRESS(page + 1))
			device(id)->spte[page] = 0;
}

/* After the last step of a program that takes everything down. */
void ledger_finish(void)
{
	unsigned int i;

	static const char *const freed[] = {
		"struct finish", "struct mmu_notifier_range", "struct mm_struct",
		"struct mmu_notifier_subscriptions",
	};

	if (any_range())
		fail("a range has not ended");
	for (i = 0; i < ARRAY_SIZE(freed) && !program->warns; i++)
		if (arena_is_live(freed[i]))
			fail("%s is left over", freed[i]);
	for (i = 0; i < nr_devices; i++)
		if (devices[i].where == COMING || devices[i].where == GOING)
			fail("%s is neither registered nor not", name(i));
}
