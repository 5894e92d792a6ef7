// SPDX-License-Identifier: GPL-2.0
/*
 * Spinlocks, mutexes and rw_semaphores, all of them a lock with readers, and the
 * order in which their kinds are taken, as lockdep sees it.
 */
#include <string.h>

#include "explore.h"

#define MAX_KINDS 24
#define PC __builtin_return_address(0)

/* Learned over all schedules, so no part of the state. */
static const char *kinds[MAX_KINDS];
static uint32_t after[MAX_KINDS];

/* For what must not depend on the schedules before */
void lock_forget(void)
{
	memset(kinds, 0, sizeof(kinds));
	memset(after, 0, sizeof(after));
}

static unsigned int kind(const char *name)
{
	unsigned int i;

	for (i = 0; i < MAX_KINDS && kinds[i]; i++)
		if (!strcmp(kinds[i], name))
			return i;
	if (i == MAX_KINDS)
		fail("more than %d kinds of locks", MAX_KINDS);
	kinds[i] = name;
	return i;
}

static bool comes_after(unsigned int first, unsigned int then)
{
	uint32_t reached = 1U << first, old = 0;
	unsigned int i;

	while (reached != old) {
		old = reached;
		for (i = 0; i < MAX_KINDS; i++)
			if (reached & 1U << i)
				reached |= after[i];
	}
	return reached & 1U << then;
}

static void check_order(const char *name)
{
	unsigned int new = kind(name), i, k;

	for (i = 0; i < current->held; i++) {
		if (!current->holds[i])
			continue;
		k = kind(current->holds[i]);
		if (k == new)
			fail("lock order: %s takes %s and holds one already",
			     current->comm, name);
		if (comes_after(new, k))
			fail("lock order: %s takes %s with %s held, elsewhere it is the other way round",
			     current->comm, name, current->holds[i]);
		after[k] |= 1U << new;
	}
}

static void hold(const char *name)
{
	if (current->held == MAX_HELD)
		fail("%s holds more than %d locks", current->comm, MAX_HELD);
	current->holds[current->held++] = name;
}

static void unhold(const char *name)
{
	unsigned int i = current->held;

	while (i-- && current->holds[i] != name)
		;
	if (i >= MAX_HELD)
		fail("%s releases %s and does not hold it", current->comm, name);
	memmove(&current->holds[i], &current->holds[i + 1],
		(current->held - i - 1) * sizeof(current->holds[0]));
	current->holds[--current->held] = NULL;
}

/* What takes no memory, and has no point: the map of the ranges */
void lock_map(const char *name, bool acquire)
{
	if (acquire) {
		check_order(name);
		hold(name);
	} else {
		unhold(name);
	}
}

/* The map that says who has a range in progress, and adds no dependency */
void lock_map_only(bool acquire)
{
	if (!acquire && !current->maps)
		fail("%s ends a range, and is in none", current->comm);
	current->maps += acquire ? 1 : -1;
}

void lock_might(struct lock *lock)
{
	check_order(lock->name);
}

void may_sleep(const char *who)
{
	if (current->spins)
		fail("%s sleeps in %s with a spinlock held", current->comm, who);
	if (current->non_block)
		fail("%s sleeps in %s where it must not", current->comm, who);
}

static uint8_t me(void)
{
	return 1 << (current - tasks);
}

static void check(const struct lock *lock, const void *pc)
{
	const char *error = memory_error(lock, sizeof(*lock));

	current->pc = pc;
	if (error)
		fail("%s uses a lock, %s", current->comm, error);
	if (!lock->name)
		fail("%s uses a lock that was not initialised", current->comm);
}

void lock_init(struct lock *lock, const char *name, unsigned int flags)
{
	const char *p;

	for (p = name; *p; p++)
		if (*p == '&' || (p > name && p[-1] == '>'))
			name = *p == '&' ? p + 1 : p;
	lock->name = name;
	lock->flags = flags;
	lock->writer = 0;
	lock->readers = 0;
}

static bool is_free(void *arg)
{
	const struct lock *lock = arg;

	return !lock->writer && !lock->readers;
}

static bool is_free_to_read(void *arg)
{
	const struct lock *lock = arg;

	return !lock->writer;
}

static void take(struct lock *lock, bool exclusive)
{
	if (exclusive)
		lock->writer = me();
	else
		lock->readers |= me();
	if (lock->flags & LOCK_SPINS)
		current->spins++;
	hold(lock->name);
	race_acquire(lock);
}

void lock_take(struct lock *lock, bool exclusive)
{
	check(lock, PC);
	if (!(lock->flags & LOCK_SPINS))
		may_sleep(lock->name);
	check_order(lock->name);
	if ((lock->writer | lock->readers) & me())
		fail("%s takes %s and holds it already", current->comm, lock->name);
	block("lock", lock, PC, exclusive ? is_free : is_free_to_read, lock);
	check(lock, PC);
	take(lock, exclusive);
}

bool lock_try(struct lock *lock)
{
	check(lock, PC);
	point("trylock", lock, PC);
	if (!is_free(lock))
		return false;
	take(lock, true);
	return true;
}

void lock_drop(struct lock *lock, bool exclusive)
{
	uint8_t *holders = exclusive ? &lock->writer : &lock->readers;

	check(lock, PC);
	if (!(*holders & me()))
		fail("%s releases %s and does not hold it", current->comm, lock->name);
	*holders &= ~me();
	if (lock->flags & LOCK_SPINS)
		current->spins--;
	unhold(lock->name);
	race_release(lock);
}

bool lock_is_held(const struct lock *lock)
{
	return (lock->writer | lock->readers) & me();
}
