/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MMU_NOTIFIER_SEARCH_H
#define _MMU_NOTIFIER_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#define NO_BOUND 255

struct result {
	unsigned long schedules, states;
	/* nothing was left out; no switch was left out either */
	bool exhausted, all;
	bool failed;
	char why[512];
	char trace[8192];
};

void catch_signals(void);
struct result search(unsigned int bound, double seconds);
/* Which value of choose(); whether another task goes on; which one does, if this cannot */
enum decision { CHOOSE, PREEMPT, SWITCH };
struct result follow(unsigned int (*decide)(const uint8_t *values, unsigned int n,
					    int last, enum decision what));
struct result replay(const char *trace, bool print);

/* snapshot.c */
void state_reset(void);
size_t snapshot_size(void);
void snapshot_save(char *to);
void snapshot_restore(const char *from);
uint64_t snapshot_hash(void);

/* seen.c: the states that were searched, and with how many switches left */
void seen_reset(void);
bool seen(uint64_t state, unsigned int budget);
unsigned long seen_count(void);

/* trace.c */
void trace_reset(void);
void trace_step(const struct task *task);
void trace_note(const struct task *task, const char *text);
void trace_print(void);
#endif
