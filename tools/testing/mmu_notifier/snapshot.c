// SPDX-License-Identifier: GPL-2.0
/*
 * A state of the program is some bytes: its section, what is used of the arena,
 * and of the stacks. Two states with the same bytes have the same future.
 */
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "search.h"

extern char __start_state[], __stop_state[];

static size_t state_size(void)
{
	return __stop_state - __start_state;
}

/* As the process began */
void state_reset(void)
{
	static char *first;

	if (!first) {
		first = malloc(state_size());
		if (!first)
			abort();
		memcpy(first, __start_state, state_size());
	}
	memcpy(__start_state, first, state_size());
}

size_t snapshot_size(void)
{
	size_t size = state_size() + arena_used(), races;
	const char *stack;
	int i;

	race_state(&races);
	for (i = 0; i < MAX_TASKS; i++)
		size += task_stack(&tasks[i], &stack);
	return size + races;
}

static char *save(char *to, const void *from, size_t size)
{
	memcpy(to, from, size);
	return to + size;
}

static const char *load(void *to, const char *from, size_t size)
{
	memcpy(to, from, size);
	return from + size;
}

void snapshot_save(char *to)
{
	const char *stack;
	size_t size;
	void *races = race_state(&size);
	int i;

	to = save(to, __start_state, state_size());
	to = save(to, arena, arena_used());
	to = save(to, races, size);
	for (i = 0; i < MAX_TASKS; i++) {
		size = task_stack(&tasks[i], &stack);
		to = save(to, stack, size);
	}
}

void snapshot_restore(const char *from)
{
	const char *stack;
	void *races;
	size_t size;
	int i;

	from = load(__start_state, from, state_size());
	from = load(arena, from, arena_used());
	races = race_state(&size);
	from = load(races, from, size);
	for (i = 0; i < MAX_TASKS; i++) {
		size = task_stack(&tasks[i], &stack);
		from = load((char *)stack, from, size);
	}
}

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
	const uint64_t k = 0x9e3779b97f4a7c15;
	const uint64_t *p = data;
	uint64_t a = hash, b = hash ^ k, c = ~hash, d = hash + k;

	for (; size >= 32; size -= 32, p += 4) {
		a = (a ^ p[0]) * k; a ^= a >> 29;
		b = (b ^ p[1]) * k; b ^= b >> 31;
		c = (c ^ p[2]) * k; c ^= c >> 30;
		d = (d ^ p[3]) * k; d ^= d >> 28;
	}
	for (; size >= 8; size -= 8, p++) {
		a = (a ^ *p) * k; a ^= a >> 29;
	}
	hash = a;
	hash = (hash ^ b) * k; hash ^= hash >> 32;
	hash = (hash ^ c) * k; hash ^= hash >> 32;
	hash = (hash ^ d) * k; hash ^= hash >> 32;
	return hash;
}

uint64_t snapshot_hash(void)
{
	uint64_t hash = mix(1, __start_state, state_size() & ~7UL);
	const char *stack;
	size_t size;
	int i;

	hash = mix(hash, arena, arena_used());
	for (i = 0; i < MAX_TASKS; i++) {
		size = task_stack(&tasks[i], &stack);
		hash = mix(hash + i, stack, size);
	}
	return hash;
}
