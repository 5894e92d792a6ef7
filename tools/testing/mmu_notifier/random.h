/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MMU_NOTIFIER_RANDOM_H
#define _MMU_NOTIFIER_RANDOM_H

#include <stdint.h>

#define RANDOM_TASKS 3
#define RANDOM_OPS 6

/* The corpus depends on the order. */
enum {
	NOTHING, INVALIDATE, INVALIDATE_NONBLOCK, INSERT, FAULT, FAULT_SHARED, REMOVE,
	REGISTER, FAULT_LIST, UNREGISTER, GET_PUT, YOUNG, QUERY, SYNCHRONIZE, KILL, LEAVE,
	NR_RANDOM,
};

enum { SHARED = 1, SHARED_TWO_PASS = 2, SHORT_OF_MEMORY = 4, SIGNALS = 8, EXITS = 16 };

/* What the tasks do; not the schedule */
struct random_input {
	uint8_t header;
	struct random_op { uint8_t what, arg; } ops[RANDOM_TASKS][RANDOM_OPS];
};
extern struct random_input random_input;

extern const struct program random_program;
#endif
