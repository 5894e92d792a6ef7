// SPDX-License-Identifier: GPL-2.0
/*
 * Data races: two accesses of which one writes and one is plain, without a chain
 * of locks, wake-ups, releases and acquires between them. It needs no unlucky
 * schedule to see one. Interleavings show no weak memory; this does, where a
 * release or an acquire is missing.
 */
#include <string.h>

#include "explore.h"

#define MAX_SYNC 64
#define GRANULE 4

typedef uint16_t clocks[MAX_TASKS];

/* The latest accesses of 4 bytes, by task; 0 for none */
struct cell {
	clocks write, marked_write, read, marked_read;
};

static struct {
	clocks tasks[MAX_TASKS];
	struct { const void *object; clocks clock; } sync[MAX_SYNC];
	struct cell cells[16384 / GRANULE];
} races;

void race_reset(void)
{
	int i;

	memset(&races, 0, sizeof(races));
	for (i = 0; i < MAX_TASKS; i++)
		races.tasks[i][i] = 1;
}

void race_new(const void *p, size_t size)
{
	memset(&races.cells[((const char *)p - arena) / GRANULE], 0,
	       size / GRANULE * sizeof(struct cell));
}

void *race_state(size_t *size)
{
	*size = offsetof(typeof(races), cells) +
		arena_used() / GRANULE * sizeof(struct cell);
	return &races;
}

static bool counts(void)
{
	return current && !current->no_switch && !ignore_races;
}

static bool newer(const clocks clock)
{
	const uint16_t *mine = races.tasks[current - tasks];
	int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (clock[i] > mine[i])
			return true;
	return false;
}

static void race(const void *p, const char *what, const char *other, const void *pc)
{
	size_t offset;
	const char *name = arena_name(p, &offset);

	current->pc = pc;
	current->op = what;
	fail("data race: %s %s %s+%zu, beside another task's %s", current->comm,
	     what, name, offset, other);
}

static struct cell *cell_of(const void *p)
{
	size_t offset = (const char *)p - arena;

	return offset < arena_used() ? &races.cells[offset / GRANULE] : NULL;
}

void race_read(const void *p, size_t size, bool marked, const void *pc)
{
	const char *what = marked ? "reads, marked," : "reads";
	struct cell *cell = cell_of(p);
	int me = current ? current - tasks : 0;

	if (!cell || !counts())
		return;
	for (size = (size + GRANULE - 1) / GRANULE; size; size--, cell++) {
		if (newer(cell->write))
			race(p, what, "write", pc);
		if (!marked && newer(cell->marked_write))
			race(p, what, "marked write", pc);
		(marked ? cell->marked_read : cell->read)[me] = races.tasks[me][me];
	}
}

void race_write(const void *p, size_t size, bool marked, const void *pc)
{
	const char *what = marked ? "writes, marked," : "writes";
	struct cell *cell = cell_of(p);
	int me = current ? current - tasks : 0;

	if (!cell || !counts())
		return;
	for (size = (size + GRANULE - 1) / GRANULE; size; size--, cell++) {
		if (newer(cell->write))
			race(p, what, "write", pc);
		if (newer(cell->read))
			race(p, what, "read", pc);
		if (!marked && newer(cell->marked_write))
			race(p, what, "marked write", pc);
		if (!marked && newer(cell->marked_read))
			race(p, what, "marked read", pc);
		(marked ? cell->marked_write : cell->write)[me] = races.tasks[me][me];
	}
}

static uint16_t *sync_of(const void *object)
{
	int i;

	for (i = 0; i < MAX_SYNC; i++) {
		if (!races.sync[i].object)
			races.sync[i].object = object;
		if (races.sync[i].object == object)
			return races.sync[i].clock;
	}
	fail("more than %d objects that order accesses", MAX_SYNC);
}

static void merge(uint16_t *to, const uint16_t *from)
{
	int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (from[i] > to[i])
			to[i] = from[i];
}

void race_acquire(const void *object)
{
	if (counts())
		merge(races.tasks[current - tasks], sync_of(object));
}

void race_release(const void *object)
{
	int me = current ? current - tasks : 0;

	if (!counts())
		return;
	merge(sync_of(object), races.tasks[me]);
	races.tasks[me][me]++;
}
