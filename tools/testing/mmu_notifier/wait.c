// SPDX-License-Identifier: GPL-2.0
/* Wait queues: who is on one is woken once, and has to queue again. */
#include "kernel.h"

static void queue_wake_now(const void *queue, bool all);

#define PC __builtin_return_address(0)

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

static bool wait_done(struct completion *x)
{
	if (!x->done)
		return false;
	if (x->done != UINT_MAX)
		x->done--;
	race_acquire(x);
	return true;
}

/* 0, -EINTR or -ETIME */
int completion_wait(struct completion *x, int how)
{
	int ret = 0;

	may_sleep("wait_for_completion");
	for (;;) {
		queue_add(&x->wait);
		if (wait_done(x)) {
			ret = 0;
			break;
		}
		if (ret)
			break;
		ret = queue_sleep(&x->wait, "wait_for_completion", how);
	}
	queue_del(&x->wait);
	return ret;
}

void completion_done(struct completion *x, bool all)
{
	point("complete", x, PC);
	if (memory_error(x, sizeof(*x)))
		fail("%s completes what is %s", current->comm,
		     memory_error(x, sizeof(*x)));
	race_release(x);
	if (all)
		x->done = UINT_MAX;
	else if (x->done != UINT_MAX)
		x->done++;
	queue_wake_now(&x->wait, all);
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
		tasks[i].queue = NULL;
		if (!all)
			break;
	}
}
