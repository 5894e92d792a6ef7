// SPDX-License-Identifier: GPL-2.0
/* A hash table of states; an entry is 56 bits of the hash and the budget. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "search.h"

static uint64_t *table;
static unsigned long size, used;

void seen_reset(void)
{
	free(table);
	size = 1 << 16;
	used = 0;
	table = calloc(size, sizeof(*table));
	if (!table)
		abort();
}

static uint64_t *find(uint64_t entry)
{
	unsigned long i = (entry >> 8) & (size - 1);

	while (table[i] && (table[i] ^ entry) >> 8)
		i = (i + 1) & (size - 1);
	return &table[i];
}

static void grow(void)
{
	uint64_t *old = table;
	unsigned long i, n = size;

	size *= 2;
	table = calloc(size, sizeof(*table));
	if (!table) {
		fprintf(stderr, "out of memory for %lu states\n", used);
		exit(2);
	}
	for (i = 0; i < n; i++)
		if (old[i])
			*find(old[i]) = old[i];
	free(old);
}

/* True if there is nothing new in it. Remembers it otherwise. */
bool seen(uint64_t state, unsigned int budget)
{
	uint64_t *entry = find((state << 8 | budget) | 1ULL << 63);
	bool known = *entry;

	if (known && (*entry & 0xff) >= budget)
		return true;
	*entry = (state << 8 | budget) | 1ULL << 63;
	if (!known && ++used > size / 2)
		grow();
	return false;
}

unsigned long seen_count(void)
{
	return used;
}
