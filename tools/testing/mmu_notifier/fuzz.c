// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer drives one program: its bytes are what each task does, then one byte for
 * each decision of the schedule. What failed is printed as by the explorer.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "search.h"
#include "random.h"

struct random_input random_input;

static const uint8_t *bytes, *bytes_end;
/* before the next decision */
static unsigned int steps;

/* Of libFuzzer: from where to where there was a switch */
static uint8_t switches[8192] __attribute__((__section__("__libfuzzer_extra_counters")));

static void count_switch(const struct task *from, const struct task *to)
{
	uintptr_t hash = (uintptr_t)from->pc * 0x9e3779b97f4a7c15 + (uintptr_t)to->pc;

	hash = (hash * 0x9e3779b97f4a7c15) >> 40;
	switches[hash % sizeof(switches)] = 1;
}

static uint8_t next_byte(void)
{
	return bytes < bytes_end ? *bytes++ : 0;
}

/* The lower bits say who goes on, the higher ones for how long. */
static unsigned int decide(const uint8_t *values, unsigned int n, int last,
			   enum decision what)
{
	unsigned int i;
	uint8_t byte;

	if (what == PREEMPT && steps) {
		steps--;
		return 0;
	}
	byte = next_byte();
	if (what == CHOOSE)
		return byte % n;
	i = (byte & 7) % n;
	steps = (byte >> 3) * (byte >> 3) / 4;
	if (last >= 0 && values[i] != last)
		count_switch(&tasks[last], &tasks[values[i]]);
	return i;
}

/* What is known of a core, and no failure: races, warnings, or how a failure begins */
static const char *ignored[] = { NULL, NULL, NULL, NULL };

/* Nothing is said of the core when the explorer is too small, or it is known. */
static bool counts(const char *why)
{
	unsigned int i;

	for (i = 0; i < 4 && ignored[i]; i++)
		if (!strncmp(why, ignored[i], strlen(ignored[i])))
			return false;
	return !strstr(why, "is too small") && strncmp(why, "more than", 9);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char *rest = getenv("IGNORE");
	unsigned int i;

	for (i = 0; i < 4 && rest; i++)
		ignored[i] = strsep(&rest, ",");
	for (i = 0; i < 4 && ignored[i]; i++) {
		ignore_races |= !strcmp(ignored[i], "races");
		ignore_warnings |= !strcmp(ignored[i], "warnings");
	}
	catch_signals();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result result;
	size_t n = size < sizeof(random_input) ? size : sizeof(random_input);
	unsigned int i;

	memset(&random_input, 0, sizeof(random_input));
	memcpy(&random_input, data, n);
	for (i = 0; i < RANDOM_TASKS * RANDOM_OPS; i++)
		random_input.ops[0][i].what %= NR_RANDOM;
	bytes = data + n;
	bytes_end = data + size;
	steps = 0;
	program = &random_program;
	lock_forget();
	result = follow(decide);
	if (!result.failed || !counts(result.why))
		return 0;
	lock_forget();
	replay(result.trace, true);
	trace_print();
	printf("FAILED: %s\n", result.why);
	fflush(stdout);
	abort();
}
