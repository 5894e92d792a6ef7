// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks, as coroutines on the one thread of the process: a task runs until its
 * next point, then the search decides who goes on.
 */
#include <stdint.h>
#include <string.h>

#include "explore.h"

#define STACK_SIZE 16384

struct task tasks[MAX_TASKS] STATE;
struct task *current STATE;

static char stacks[MAX_TASKS][STACK_SIZE] __attribute__((__aligned__(64)));
static void *search_sp;

/* Saves the registers that a call preserves on the stack, and changes that. */
void switch_stack(void **save, void *load);

#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl switch_stack\n.type switch_stack, @function\n"
	"switch_stack:\n"
	"	push %rbp\n	push %rbx\n"
	"	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n"
	"	pop %rbx\n	pop %rbp\n"
	"	ret\n"
	".size switch_stack, . - switch_stack\n.popsection\n");
#define FRAME 6		/* words below the return address */
#define ABOVE 1		/* as after a call, the stack is 8 off a multiple of 16 */
#define RETURN FRAME
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl switch_stack\n.type switch_stack, %function\n"
	"switch_stack:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]\n	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n	str x9, [x0]\n	mov sp, x1\n"
	"	ldp x19, x20, [sp, #0]\n	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	ret\n"
	".size switch_stack, . - switch_stack\n.popsection\n");
#define FRAME 20
#define ABOVE 0
#define RETURN 11
#else
#error "switch_stack() is to be written for this architecture"
#endif

static void back_to_search(void)
{
	switch_stack(&current->sp, search_sp);
}

/* A failure: the search notices, and never comes back. */
void task_stop(void)
{
	back_to_search();
	__builtin_unreachable();
}

static void task_entry(void)
{
	current->func(current->arg);
	if (current->held)
		fail("%s ends and holds %s", current->comm, current->holds[0]);
	if (current->maps)
		fail("%s ends, and has not ended a range", current->comm);
	if (current->readers || current->non_block || current->queue)
		fail("%s ends inside of a section", current->comm);
	current->done = true;
	back_to_search();
	__builtin_unreachable();
}

struct task *task_create(const char *comm, void (*func)(void *), void *arg)
{
	struct task *task;
	void **sp;

	for (task = tasks; task->comm; task++)
		if (task == &tasks[MAX_TASKS - 1])
			fail("more than %d tasks", MAX_TASKS);

	memset(task, 0, sizeof(*task));
	task->comm = comm;
	task->pid = task - tasks + 1;
	task->func = func;
	task->arg = arg;
	task->op = "begins";
	sp = (void **)stacks[task - tasks + 1] - ABOVE - (FRAME + (RETURN == FRAME));
	memset(sp, 0, (char *)stacks[task - tasks + 1] - (char *)sp);
	sp[RETURN] = (void *)task_entry;
	task->sp = sp;
	return task;
}

/* Runs a task up to its next point. */
void task_run(struct task *task)
{
	char *bottom = stacks[task - tasks];

	/* What is left of earlier calls is no part of the state. */
	memset((char *)task->sp - 1024, 0, 1024);
	current = task;
	task->started = true;
	switch_stack(&search_sp, task->sp);
	current = NULL;
	task->accesses = 0;
	if ((char *)task->sp < bottom + 2048)
		fail("the stack of %s is too small", task->comm);
}

static void (*to_call)(void);
static void call(void *unused)
{
	to_call();
}

/* Runs a function as a task that nobody else runs beside. */
void task_call(void (*func)(void))
{
	struct task *task;

	if (!func)
		return;
	to_call = func;
	task = task_create("alone", call, NULL);
	task->no_switch = 1;
	task_run(task);
	if (!task->done)
		fail("the program's setup or end would have to wait: %s", task->op);
	memset(task, 0, sizeof(*task));
}

void point(const char *op, const void *object, const void *pc)
{
	block(op, object, pc, NULL, NULL);
}

void block(const char *op, const void *object, const void *pc,
	   bool (*ready)(void *), void *arg)
{
	struct task *task = current;

	if (!task || (task->no_switch && (!ready || ready(arg))))
		return;
	task->op = op;
	task->object = object;
	task->pc = pc;
	task->ready = ready;
	task->ready_arg = arg;
	back_to_search();
	task->ready = NULL;
}

unsigned int choose(unsigned int n, const char *what)
{
	struct task *task = current;

	if (task->no_switch)
		return 0;
	task->op = what;
	task->object = NULL;
	task->pc = __builtin_return_address(0);
	task->alternatives = n;
	back_to_search();
	task->alternatives = 0;
	return task->chosen;
}

/* The part of a task's stack that is in use. */
size_t task_stack(const struct task *task, const char **bottom)
{
	*bottom = task->sp;
	return task->comm && !task->done ?
		stacks[task - tasks + 1] - (char *)task->sp : 0;
}

/* On a stack, but the function it belonged to has returned. */
bool stack_is_dead(const void *addr)
{
	const char *p = addr;
	const struct task *task;

	if (p < stacks[0] || p >= (const char *)(stacks + MAX_TASKS))
		return false;
	task = &tasks[(p - stacks[0]) / STACK_SIZE];
	return task != current && (task->done || p < (const char *)task->sp);
}
