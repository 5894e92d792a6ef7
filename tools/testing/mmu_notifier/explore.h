/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The explorer: tasks, the points at which they are switched, and what a program
 * for it consists of.
 */
#ifndef _MMU_NOTIFIER_EXPLORE_H
#define _MMU_NOTIFIER_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_TASKS 8
#define MAX_HELD 8

/*
 * All that a schedule changes is in this section, in the arena and on the stacks
 * of the tasks: it is saved, restored and compared as bytes.
 */
#define STATE __attribute__((__section__("state")))

struct lock;

/* task_struct, as far as it is needed */
struct task {
	const char *comm;
	int pid;
	void (*func)(void *arg);
	void *arg;

	/* where it was switched: what it is about to do, and its stack */
	void *sp;
	const char *op;
	const void *object;
	const void *pc;
	/* it can go on when there is no such function, or when it returns true */
	bool (*ready)(void *arg);
	void *ready_arg;
	uint8_t alternatives, chosen;
	bool started, done;
	/* a thread of the kernel, which may sleep for ever */
	bool daemon;

	uint8_t no_switch, non_block, readers, spins, held, maps;
	bool woken, expires, killable, killed;
	/* since its wait began */
	uint8_t wakeups;
	const void *queue;
	const char *holds[MAX_HELD];
	/* since it was switched to */
	uint32_t accesses;
};

extern struct task tasks[MAX_TASKS];
extern struct task *current;

/* sched.c */
struct task *task_create(const char *comm, void (*func)(void *), void *arg);
void task_run(struct task *task);
void task_call(void (*func)(void));
void task_stop(void) __attribute__((__noreturn__));
void point(const char *op, const void *object, const void *pc);
void block(const char *op, const void *object, const void *pc,
	   bool (*ready)(void *), void *arg);
unsigned int choose(unsigned int n, const char *what);
size_t task_stack(const struct task *task, const char **bottom);
bool stack_is_dead(const void *addr);

/* search.c */
void fail(const char *format, ...)
	__attribute__((__format__(__printf__, 1, 2), __noreturn__));
void warned(const char *condition);
/* Says in the trace what has no point of its own. */
void note(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));

/* memory.c */
extern char arena[];
void *arena_alloc(size_t size, const char *name);
extern bool memory_is_short;
void *core_alloc(size_t size, const char *name);
bool arena_is_live(const char *name);
void arena_free(const void *p);
size_t arena_used(void);
const char *arena_name(const void *p, size_t *offset);
/* What is wrong with an access, or NULL. */
const char *memory_error(const void *p, size_t size);

/* races.c: who has seen what */
void race_reset(void);
void race_new(const void *p, size_t size);
void race_read(const void *p, size_t size, bool marked, const void *pc);
void race_write(const void *p, size_t size, bool marked, const void *pc);
void race_acquire(const void *object);
void race_release(const void *object);
void *race_state(size_t *size);

/* lock.c */
#define LOCK_SPINS 1
struct lock {
	const char *name;
	uint8_t flags;
	/* bits of tasks */
	uint8_t writer, readers;
};
void lock_init(struct lock *lock, const char *name, unsigned int flags);
void lock_take(struct lock *lock, bool exclusive);
bool lock_try(struct lock *lock);
void lock_drop(struct lock *lock, bool exclusive);
bool lock_is_held(const struct lock *lock);
void lock_forget(void);
void lock_map(const char *name, bool acquire);
void lock_map_only(bool acquire);
void lock_might(struct lock *lock);
void may_sleep(const char *who);

/* wait.c */
enum { SLEEP_KILLABLE = 1, SLEEP_TIMED = 2 };
struct completion;
void queue_add(const void *queue);
void queue_del(const void *queue);
int queue_sleep(const void *queue, const char *condition, int how);
void queue_wake(const void *queue, bool all);
void task_will_sleep(void);
void task_wake(struct task *task);
void stall_holder(const struct task *holder);
long completion_wait(struct completion *x, int how, long timeout);
void completion_complete(struct completion *x, bool all);

/* programs.c, windows.c, waits.c, mask.c, flat.c, misuse.c */
struct program {
	const char *name;
	const char *about;
	/* runs alone, before the tasks and after all of them */
	void (*setup)(void);
	void (*finish)(void);
	struct {
		const char *comm;
		void (*func)(void *arg);
		long arg;
	} tasks[MAX_TASKS];
	/* it is about what the core must warn of, or not let pass */
	bool warns;
	const char *must;
	/* preemptions, for what has too many schedules without */
	unsigned int bound;
	/* a call that the core must have for it */
	bool optional;
	const void *needs;
	/* a promise that not every core keeps, and that this one is about */
	enum {
		/* a range that has begun calls what is removed after that */
		DELIVERS = 1,
		/* a reader that has waited gets no number that has collided already */
		FRESH,
	} promise;
};
extern const struct program programs[], windows[], waits[], mask[], flat[], misuse[];
extern const unsigned int nr_programs, nr_windows, nr_waits, nr_mask, nr_flat, nr_misuse;
extern const struct program *program;
/* of the command line: what is no failure */
extern bool ignore_races, ignore_warnings;

/* core.c, ledger.c: hold between any two steps */
void validate(void);
#endif
