/* SPDX-License-Identifier: GPL-2.0 */
/* What several programs use; a task's argument is the number of a device, or flags. */
#ifndef _MMU_NOTIFIER_TASKS_H
#define _MMU_NOTIFIER_TASKS_H

#include "device.h"

#define NEEDS(call) .optional = true, .needs = call

void unmap_0(void *flags);
void unmap_01(void *flags);
void unmap_1(void *flags);
void unmap_2(void *flags);
void unmap_012(void *flags);
void unmap_twice(void *flags);
void read_0(void *n);
void read_say(void *n);
void remove_n(void *n);
void remove_say(void *n);
void remove_when_valid(void *n);
void read_and_remove(void *n);
void insert_n(void *n);
void insert_read_remove(void *n);
void insert_remove(void *n);
void unregister_n(void *n);
void leave(void *unused);
/* mmu_notifier_range_wait_valid() and its form with a deadline, 0 for none */
void wait_valid(unsigned long start, unsigned long end);
int wait_valid_timeout(unsigned long start, unsigned long end, unsigned long deadline);

void one_interval(void);
void two_intervals(void);
void three_intervals(void);
void no_interval_left(void);
void take_down(void);
/* for programs in which exit is a task */
void gone(void);

/* A range in two steps; one that goes on until reader_is_done */
struct mmu_notifier_range *range_begin(unsigned int page);
void range_end(struct mmu_notifier_range *range);
extern bool reader_is_done;
void hold(unsigned int page);
void hold_elsewhere(void *unused);
/* begins when the first task sleeps */
void hold_newer(void *unused);
#endif
