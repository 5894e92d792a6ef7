// SPDX-License-Identifier: GPL-2.0
/*
 * SRCU: a grace period waits for the readers that were there when it began. Each
 * task stands for a CPU with a list of callbacks of its own, and a thread that
 * calls them. There is one srcu_struct.
 */
#include "kernel.h"

#define PC __builtin_return_address(0)
#define MAX_CALLBACKS 16

struct callback {
	struct rcu_head *head;
	rcu_callback_t func;
	/* who still reads, of those that did when this was queued */
	uint8_t readers;
};

static struct cpu {
	struct callback list[MAX_CALLBACKS];
	/* including the one that is being called */
	uint8_t n;
	bool has_thread;
} cpus[MAX_TASKS] STATE;

/* For each task that waits for a grace period: for whom */
static uint8_t waits_for[MAX_TASKS] STATE;

static uint8_t now_reading(void)
{
	uint8_t mask = 0;
	int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (tasks[i].readers)
			mask |= 1 << i;
	return mask;
}

int srcu_read_lock(struct srcu_struct *srcu)
{
	point("srcu_read_lock", NULL, PC);
	current->readers++;
	race_acquire(cpus);
	return 0;
}

void srcu_read_unlock(struct srcu_struct *srcu, int index)
{
	uint8_t mask = ~(1 << (current - tasks));
	int i, j;

	if (!current->readers)
		fail("%s ends an SRCU section and is in none", current->comm);
	point("srcu_read_unlock", NULL, PC);
	/* What the reader did is before what the grace period waits for. */
	race_release(waits_for);
	if (--current->readers)
		return;
	for (i = 0; i < MAX_TASKS; i++) {
		waits_for[i] &= mask;
		for (j = 0; j < cpus[i].n; j++)
			cpus[i].list[j].readers &= mask;
	}
}

bool srcu_read_lock_held(struct srcu_struct *srcu)
{
	return current->readers;
}

static bool is_zero(void *arg)
{
	return !*(uint8_t *)arg;
}

void synchronize_srcu(struct srcu_struct *srcu)
{
	uint8_t *mask = &waits_for[current - tasks];

	may_sleep(__func__);
	point("grace period begins", NULL, PC);
	race_release(cpus);
	*mask = now_reading();
	block("grace period", NULL, PC, is_zero, mask);
	race_acquire(waits_for);
}

void synchronize_srcu_expedited(struct srcu_struct *srcu)
{
	synchronize_srcu(srcu);
}

static bool has_callback(void *arg)
{
	const struct cpu *cpu = arg;

	return cpu->n && !cpu->list[0].readers;
}

static void call_callbacks(void *arg)
{
	struct cpu *cpu = arg;
	struct callback callback;

	for (;;) {
		block("idle", NULL, PC, has_callback, cpu);
		callback = cpu->list[0];
		race_acquire(waits_for);
		race_acquire(cpu);
		current->spins++;
		callback.func(callback.head);
		current->spins--;
		cpu->n--;
		memmove(cpu->list, cpu->list + 1, cpu->n * sizeof(cpu->list[0]));
		memset(&cpu->list[cpu->n], 0, sizeof(cpu->list[0]));
	}
}

static const char *const names[MAX_TASKS] = {
	"srcu/0", "srcu/1", "srcu/2", "srcu/3", "srcu/4", "srcu/5", "srcu/6", "srcu/7",
};

static void queue(struct cpu *cpu, struct rcu_head *head, rcu_callback_t func)
{
	if (cpu->n == MAX_CALLBACKS)
		fail("more than %d callbacks of SRCU", MAX_CALLBACKS);
	cpu->list[cpu->n].head = head;
	cpu->list[cpu->n].func = func;
	cpu->list[cpu->n++].readers = now_reading();
	race_release(cpu);
	race_release(cpus);
	if (!cpu->has_thread)
		task_create(names[cpu - cpus], call_callbacks, cpu)->daemon = true;
	cpu->has_thread = true;
}

void call_srcu(struct srcu_struct *srcu, struct rcu_head *head, rcu_callback_t func)
{
	struct cpu *cpu = &cpus[current - tasks];
	int i, j;

	point("call_srcu", head, PC);
	for (i = 0; i < MAX_TASKS; i++)
		for (j = 0; j < cpus[i].n; j++)
			if (cpus[i].list[j].head == head)
				fail("%s queues an rcu_head that is queued already",
				     current->comm);
	queue(cpu, head, func);
}

static uint8_t barriers[MAX_TASKS] STATE;

static void barrier_done(struct rcu_head *head)
{
	race_release(barriers);
	--*(uint8_t *)head;
}

/* Waits for what is queued, and for no grace period if nothing is. */
void srcu_barrier(struct srcu_struct *srcu)
{
	uint8_t *pending = &barriers[current - tasks];
	int i;

	may_sleep(__func__);
	point("srcu_barrier begins", NULL, PC);
	for (i = 0; i < MAX_TASKS; i++) {
		if (!cpus[i].n)
			continue;
		++*pending;
		queue(&cpus[i], (struct rcu_head *)pending, barrier_done);
	}
	block("srcu_barrier", NULL, PC, is_zero, pending);
	race_acquire(barriers);
}
