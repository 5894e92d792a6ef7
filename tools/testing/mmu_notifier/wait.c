// SPDX-License-Identifier: GPL-2.0
/* Wait queues: who is on one is woken once, and has to queue again. */
#include "kernel.h"

static void queue_wake_now(const void *queue, bool all);

#define PC __builtin_return_address(0)

unsigned long jiffies STATE = 1000;
unsigned long sysctl_hung_task_timeout_secs STATE = ULONG_MAX;

void stall_holder(const struct task *holder)
{
	if (holder < tasks || holder >= tasks + MAX_TASKS || holder->done)
		fail("%s waits for a range of a thread that has gone", current->comm);
	if (holder == current)
		fail("%s waits for itself", current->comm);
	note("%s waits too long for %s", current->comm, holder->comm);
}

/* prepare_to_wait(): a wake-up from here on is not lost. */
void queue_add(const void *queue)
{
	point("prepare to wait", queue, PC);
	current->queue = queue;
	current->woken = false;
}

/* finish_wait() */
void queue_del(const void *queue)
{
	current->queue = NULL;
}

static bool is_woken(void *arg)
{
	const struct task *task = arg;

	return task->woken || task->expires || (task->killable && task->killed);
}

/*
 * schedule(): 0 if woken, or why not. A timer can expire at any time, so the
 * search decides when; jiffies is then as late as that.
 */
int queue_sleep(const void *queue, const char *condition, int how)
{
	struct task *task = current;

	may_sleep("schedule");
	task->expires = how & SLEEP_TIMED;
	task->killable = how & SLEEP_KILLABLE;
	block(condition, queue, PC, is_woken, task);
	task->expires = task->killable = false;
	race_acquire(queue);
	if (task->woken)
		return 0;
	return task->killed && (how & SLEEP_KILLABLE) ? -EINTR : -ETIME;
}

/* set_current_state(): a wake-up of this task from here on is not lost. */
void task_will_sleep(void)
{
	queue_add(current);
}

void task_wake(struct task *task)
{
	queue_wake(task, false);
}

/* What each task is in complete() of, holding its lock. */
static const struct completion *completing[MAX_TASKS] STATE;

static bool wait_done(struct completion *x)
{
	int i;

	if (!x->done)
		return false;
	/* This takes the lock as well, so complete() is over. */
	for (i = 0; i < MAX_TASKS; i++)
		if (completing[i] == x)
			completing[i] = NULL;
	if (x->done != UINT_MAX)
		x->done--;
	race_acquire(x);
	return true;
}

static void check_completion(const struct completion *x)
{
	const char *error = memory_error(x, sizeof(*x));

	if (error)
		fail("%s completes what is %s", current->comm, error);
}

/* What is left of the time, or 0; -ERESTARTSYS if killed. */
long completion_wait(struct completion *x, int how, long timeout)
{
	long ret = timeout;

	may_sleep("wait_for_completion");
	if (timeout == MAX_SCHEDULE_TIMEOUT)
		how &= ~SLEEP_TIMED;
	for (;;) {
		point("wait_for_completion", x, PC);
		current->queue = &x->wait;
		current->woken = false;
		if (wait_done(x)) {
			ret = timeout > 0 ? timeout : 1;
			break;
		}
		if (ret <= 0)
			break;
		switch (queue_sleep(&x->wait, "asleep in wait_for_completion", how)) {
		case -EINTR:
			ret = -ERESTARTSYS;
			break;
		case -ETIME:
			jiffies += timeout;
			ret = 0;
			break;
		}
	}
	queue_del(&x->wait);
	return ret;
}

/* A waiter that looks at something else can be gone before this returns. */
void completion_complete(struct completion *x, bool all)
{
	point("complete", x, PC);
	check_completion(x);
	if (x->done)
		fail("%s completes what is completed already", current->comm);
	race_release(x);
	x->done = all ? UINT_MAX : 1;
	queue_wake_now(&x->wait, all);
	completing[current - tasks] = x;
	point("complete returns", x, PC);
	if (completing[current - tasks])
		check_completion(x);
	completing[current - tasks] = NULL;
}

void queue_wake(const void *queue, bool all)
{
	const char *error;

	point("wake", queue, PC);
	error = memory_error(queue, 4);
	if (error)
		fail("%s wakes a queue, %s", current->comm, error);
	queue_wake_now(queue, all);
}

static void queue_wake_now(const void *queue, bool all)
{
	int i;

	race_release(queue);
	for (i = 0; i < MAX_TASKS; i++) {
		if (tasks[i].queue != queue || tasks[i].woken)
			continue;
		tasks[i].woken = true;
		tasks[i].wakeups++;
		tasks[i].queue = NULL;
		if (!all)
			break;
	}
}
