// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of the kernel: an arena in which nothing is used twice, and one byte for
 * each word that says whether it is in use.
 */
#include <stdio.h>
#include <string.h>

#include "explore.h"

#define ARENA_SIZE 16384
#define MAX_OBJECTS 64
#define POISON 0x6b

enum { UNUSED, LIVE, FREED };

char arena[ARENA_SIZE] __attribute__((__aligned__(64)));

static struct {
	uint32_t begin, end;
	const char *name;
} objects[MAX_OBJECTS] STATE;
static uint32_t used STATE, nr_objects STATE;
static uint8_t words[ARENA_SIZE / 8] STATE;

size_t arena_used(void)
{
	return used;
}

void *arena_alloc(size_t size, const char *name)
{
	void *p = arena + used;

	size = (size + 15) & ~15UL;
	if (used + size > ARENA_SIZE || nr_objects == MAX_OBJECTS)
		fail("the arena is too small for this program");
	objects[nr_objects].begin = used;
	objects[nr_objects].end = used + size;
	objects[nr_objects++].name = name;
	memset(&words[used / 8], LIVE, size / 8);
	memset(p, 0, size);
	used += size;
	race_new(p, size);
	return p;
}

/* What the core allocates; the search decides whether it gets it. */
bool memory_is_short STATE;

void *core_alloc(size_t size, const char *name)
{
	if (memory_is_short && choose(2, "out of memory?"))
		return NULL;
	return arena_alloc(size, name);
}

bool arena_is_live(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_objects; i++)
		if (!strcmp(objects[i].name, name) && words[objects[i].begin / 8] == LIVE)
			return true;
	return false;
}

static int object_of(const void *p)
{
	size_t offset = (const char *)p - arena;
	unsigned int i;

	for (i = 0; i < nr_objects; i++)
		if (offset >= objects[i].begin && offset < objects[i].end)
			return i;
	return -1;
}

const char *arena_name(const void *p, size_t *offset)
{
	int i = object_of(p);

	if (i < 0)
		return NULL;
	*offset = (const char *)p - arena - objects[i].begin;
	return objects[i].name;
}

void arena_free(const void *p)
{
	int i = object_of(p);

	if (!p)
		return;
	if (i < 0 || (const char *)p - arena != objects[i].begin)
		fail("kfree() of what is no memory: %p", p);
	if (words[objects[i].begin / 8] != LIVE)
		fail("%s is freed twice", objects[i].name);
	race_write(p, objects[i].end - objects[i].begin, false, NULL);
	memset(&words[objects[i].begin / 8], FREED,
	       (objects[i].end - objects[i].begin) / 8);
	memset(arena + objects[i].begin, POISON, objects[i].end - objects[i].begin);
}

const char *memory_error(const void *p, size_t size)
{
	size_t offset = (const char *)p - arena;

	if (offset < ARENA_SIZE) {
		switch (words[offset / 8]) {
		case LIVE:
			return NULL;
		case FREED:
			return "which was freed";
		default:
			return "which was never allocated";
		}
	}
	if ((uintptr_t)p < 4096)
		return "a null pointer or poison";
	if ((uintptr_t)p >> 56 || ((uintptr_t)p & 0xffffffff) == 0x6b6b6b6b)
		return "no pointer";
	if (stack_is_dead(p))
		return "on the stack of a function that has returned";
	return NULL;
}
