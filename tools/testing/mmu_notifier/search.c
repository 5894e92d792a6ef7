// SPDX-License-Identifier: GPL-2.0
/*
 * Depth first through the schedules of a program. At each point the search saves
 * the state, lets one task go on, and comes back to let another one go on
 * instead. A state that was seen before is not searched twice. To switch from a
 * task that could go on is a preemption; their number can be bounded.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore.h"
#include "search.h"

#define MAX_STEPS 20000

struct step {
	/* a task, or the number that choose() returns */
	uint8_t value;
	bool chosen;
};

struct node {
	size_t begin, end;
	unsigned int steps;
	int8_t last;
	uint8_t budget, n, next;
	bool choice, preempts;
	uint8_t values[MAX_TASKS];
};

const struct program *program;
bool ignore_races, ignore_warnings;

static struct step path[MAX_STEPS];
static struct node nodes[MAX_STEPS];
static unsigned int steps, depth;
static char *pool;
static size_t pool_size;

/* The task that ran last, and how many preemptions are left. */
static int last;
static unsigned int budget;
static bool bounded, cut;

static jmp_buf failure;
static bool failed, printing;
static char why[512];

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!failed)
		vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	failed = true;
	if (current)
		task_stop();
	longjmp(failure, 1);
}

/* What the checks of each access have not seen. */
static void wild(int signal)
{
	fail("%s: %s", current ? current->comm : "the explorer", strsignal(signal));
}

void catch_signals(void)
{
	static char stack[65536];
	const stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) };
	const struct sigaction action = {
		.sa_handler = wild, .sa_flags = SA_ONSTACK | SA_NODEFER,
	};

	sigaltstack(&alternative, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static bool has_warned STATE;

void warned(const char *condition)
{
	has_warned = true;
	if (!ignore_warnings && !program->warns)
		fail("WARNING: %s", condition);
	note("WARNING: %s", condition);
}

void note(const char *format, ...)
{
	char text[256];
	va_list args;

	if (!printing)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	trace_note(current, text);
}

static void begin(void)
{
	int i;

	state_reset();
	race_reset();
	trace_reset();
	failed = false;
	steps = 0;
	depth = 0;
	last = -1;
	task_call(program->setup);
	for (i = 0; i < MAX_TASKS && program->tasks[i].comm; i++)
		task_create(program->tasks[i].comm, program->tasks[i].func,
			    (void *)program->tasks[i].arg);
}

static bool can_run(int i)
{
	const struct task *task = &tasks[i];

	return task->comm && !task->done &&
	       (!task->ready || task->ready(task->ready_arg));
}

static void nobody_runs(void)
{
	char text[400] = "";
	size_t n = 0;
	int i;

	for (i = 0; i < MAX_TASKS; i++)
		if (tasks[i].comm && !tasks[i].done && !tasks[i].daemon)
			n += snprintf(text + n, n < sizeof(text) ? sizeof(text) - n : 0,
				      "%s%s: %s", n ? "; " : "", tasks[i].comm,
				      tasks[i].op);
	if (n)
		fail("asleep for ever: %s", text);
	if (program->warns && !has_warned)
		fail("it does not warn");
	task_call(program->finish);
	if (failed)
		longjmp(failure, 1);
}

/* What can be done next, the task that ran last first. */
static void alternatives(struct node *node)
{
	int i;

	node->n = 0;
	node->next = 0;
	node->choice = last >= 0 && tasks[last].alternatives;
	node->preempts = false;
	if (node->choice) {
		for (i = 0; i < tasks[last].alternatives; i++)
			node->values[node->n++] = i;
		return;
	}
	if (last >= 0 && can_run(last)) {
		node->values[node->n++] = last;
		node->preempts = true;
	}
	for (i = 0; i < MAX_TASKS; i++)
		if (i != last && can_run(i))
			node->values[node->n++] = i;
}

static void take(uint8_t value, bool choice, bool preempts)
{
	if (steps == MAX_STEPS)
		fail("no end after %d steps", MAX_STEPS);
	path[steps].value = value;
	path[steps++].chosen = choice;
	if (choice) {
		tasks[last].chosen = value;
	} else {
		if (bounded && preempts && value != last)
			budget--;
		last = value;
	}
	if (printing)
		trace_step(&tasks[last]);
	task_run(&tasks[last]);
	if (failed)
		longjmp(failure, 1);
}

static void push(const struct node *node)
{
	size_t begin = depth ? nodes[depth - 1].end : 0;
	size_t end = begin + snapshot_size();

	if (end > pool_size) {
		pool_size = 2 * end;
		pool = realloc(pool, pool_size);
		if (!pool)
			abort();
	}
	nodes[depth] = *node;
	nodes[depth].begin = begin;
	nodes[depth].end = end;
	nodes[depth].steps = steps;
	nodes[depth].last = last;
	nodes[depth].budget = budget;
	snapshot_save(pool + begin);
	depth++;
}

/* Goes back to the last state with an alternative, and takes that. */
static bool backtrack(void)
{
	struct node *node;

	for (; depth; depth--) {
		node = &nodes[depth - 1];
		if (node->next == node->n)
			continue;
		snapshot_restore(pool + node->begin);
		steps = node->steps;
		last = node->last;
		budget = node->budget;
		take(node->values[node->next++], node->choice, node->preempts);
		return true;
	}
	return false;
}

/* From a new state; false if this schedule has ended. */
static bool go_on(void)
{
	struct node node;
	uint64_t hash;

	validate();
	alternatives(&node);
	if (!node.n) {
		nobody_runs();
		return false;
	}
	if (node.n > 1) {
		hash = snapshot_hash();
		if (bounded)
			hash += last + 1;
		if (seen(hash, budget))
			return false;
		if (bounded && node.preempts && !budget) {
			cut = true;
			node.n = 1;
		}
	}
	if (node.n > 1) {
		node.next = 1;
		push(&node);
	}
	take(node.values[0], node.choice, node.preempts);
	return true;
}

static void trace_write(char *to, size_t size)
{
	unsigned int i, n;
	size_t used = 0;

	to[0] = 0;
	for (i = 0; i < steps && used < size; i += n) {
		for (n = 1; i + n < steps && !memcmp(&path[i], &path[i + n], sizeof(path[i])) &&
		     !path[i].chosen; n++)
			;
		if (path[i].chosen)
			used += snprintf(to + used, size - used, "=%d", path[i].value);
		else if (n == 1)
			used += snprintf(to + used, size - used, "%c", 'A' + path[i].value);
		else
			used += snprintf(to + used, size - used, "%c%u", 'A' + path[i].value, n);
	}
}

/* Of this process, so that a slow machine changes no verdict */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void describe(struct result *result)
{
	result->failed = failed;
	snprintf(result->why, sizeof(result->why), "%s", why);
	trace_write(result->trace, sizeof(result->trace));
}

/* All schedules with at most @bound preemptions, for at most @seconds. */
struct result search(unsigned int bound, double seconds)
{
	static struct result result;
	double end = now() + seconds;

	memset(&result, 0, sizeof(result));
	seen_reset();
	bounded = bound != NO_BOUND;
	budget = bound;
	cut = false;
	printing = false;
	if (!setjmp(failure)) {
		begin();
		do {
			while (go_on())
				;
			if (!(result.schedules++ & 0xfff) && now() > end)
				break;
		} while (backtrack());
		result.exhausted = !depth;
		result.all = result.exhausted && !cut;
	} else {
		describe(&result);
	}
	result.states = seen_count();
	return result;
}

/* One schedule: whenever something is to be decided, @decide does. */
struct result follow(unsigned int (*decide)(const uint8_t *values, unsigned int n,
					    int last, enum decision what))
{
	static struct result result;
	struct node node;
	unsigned int i;

	memset(&result, 0, sizeof(result));
	bounded = false;
	printing = false;
	if (!setjmp(failure)) {
		begin();
		for (;;) {
			validate();
			alternatives(&node);
			if (!node.n) {
				nobody_runs();
				break;
			}
			i = 0;
			if (node.n > 1)
				i = decide(node.values, node.n, last, node.choice ? CHOOSE :
					   node.preempts ? PREEMPT : SWITCH);
			take(node.values[i], node.choice, node.preempts);
		}
	} else {
		describe(&result);
	}
	return result;
}

/* Follows a trace, and what comes after it as long as nothing is to be decided. */
struct result replay(const char *trace, bool print)
{
	static struct result result;
	struct node node;
	const char *p = trace;
	unsigned long n;
	char *end;

	memset(&result, 0, sizeof(result));
	bounded = false;
	printing = print;
	if (!setjmp(failure)) {
		begin();
		for (;;) {
			validate();
			alternatives(&node);
			if (!node.n) {
				nobody_runs();
				break;
			}
			if (!*p)
				break;
			if (*p == '=') {
				n = strtoul(p + 1, &end, 10);
				if (!node.choice || n >= node.n)
					break;
				take(n, true, false);
				p = end;
				continue;
			}
			if (*p < 'A' || *p >= 'A' + MAX_TASKS || node.choice)
				break;
			n = strtoul(p + 1, &end, 10);
			for (n = end > p + 1 ? n : 1; n; n--) {
				if (!can_run(*p - 'A'))
					break;
				take(*p - 'A', false, false);
				if (n > 1)
					validate();
			}
			if (n)
				break;
			p = end;
		}
		if (*p)
			snprintf(result.why, sizeof(result.why),
				 "the trace does not fit to this program and core, at \"%.20s\"", p);
		result.exhausted = !*p;
	} else {
		describe(&result);
	}
	return result;
}
