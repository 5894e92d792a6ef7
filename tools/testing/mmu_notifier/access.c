// SPDX-License-Identifier: GPL-2.0
/*
 * The core is compiled as for KCSAN: the compiler calls one of the functions below
 * for each access of memory. What is volatile or atomic is a point at which tasks
 * are switched; all of it must be memory that is in use, and in some order.
 */
#include <string.h>

#include "explore.h"

static void check(const void *p, size_t size, const char *what, const void *pc)
{
	const char *error = memory_error(p, size);
	const char *name;
	size_t offset;

	if (!error || !current)
		return;
	current->pc = pc;
	current->op = what;
	name = arena_name(p, &offset);
	if (name)
		fail("%s %ss %s+%zu, %s", current->comm, what, name, offset, error);
	fail("%s %ss %p, %s", current->comm, what, p, error);
}

/* So that a corrupted list is no endless loop. */
static void check_progress(void)
{
	if (current && ++current->accesses > 100000)
		fail("%s loops", current->comm);
}

static void plain(const void *p, size_t size, bool write, const void *pc)
{
	check_progress();
	check(p, size, write ? "write" : "read", pc);
	if (write)
		race_write(p, size, false, pc);
	else
		race_read(p, size, false, pc);
}

static void marked(const void *p, size_t size, bool write, const void *pc)
{
	point(write ? "write" : "read", p, pc);
	check(p, size, write ? "write" : "read", pc);
	if (write)
		race_write(p, size, true, pc);
	else
		race_read(p, size, true, pc);
}

#define PC __builtin_return_address(0)

#define HOOKS(n)							\
void __tsan_read##n(void *p) { plain(p, n, false, PC); }		\
void __tsan_write##n(void *p) { plain(p, n, true, PC); }		\
void __tsan_unaligned_read##n(void *p) { plain(p, n, false, PC); }	\
void __tsan_unaligned_write##n(void *p) { plain(p, n, true, PC); }	\
void __tsan_read_write##n(void *p) { plain(p, n, false, PC); plain(p, n, true, PC); } \
void __tsan_volatile_read##n(void *p) { marked(p, n, false, PC); }	\
void __tsan_volatile_write##n(void *p) { marked(p, n, true, PC); }	\
void __tsan_unaligned_volatile_read##n(void *p) { marked(p, n, false, PC); } \
void __tsan_unaligned_volatile_write##n(void *p) { marked(p, n, true, PC); }

HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void *p, size_t size) { plain(p, size, false, PC); }
void __tsan_write_range(void *p, size_t size) { plain(p, size, true, PC); }

/* What clang 15 and later call for these */
void *__tsan_memcpy(void *to, const void *from, size_t size)
{
	plain(from, size, false, PC);
	plain(to, size, true, PC);
	return memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size)
{
	plain(from, size, false, PC);
	plain(to, size, true, PC);
	return memmove(to, from, size);
}

void *__tsan_memset(void *to, int value, size_t size)
{
	plain(to, size, true, PC);
	return memset(to, value, size);
}

void __tsan_func_entry(void *pc) { }
void __tsan_func_exit(void) { }
void __tsan_init(void) { }

static void acquire(const void *p, int order)
{
	if (order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE)
		race_acquire(p);
}

static void release(const void *p, int order)
{
	if (order != __ATOMIC_RELAXED && order != __ATOMIC_CONSUME &&
	    order != __ATOMIC_ACQUIRE)
		race_release(p);
}

#define ATOMIC(bits, type)						\
type __tsan_atomic##bits##_load(const volatile type *p, int order)	\
{									\
	marked((const void *)p, sizeof(*p), false, PC);			\
	acquire((const void *)p, order);				\
	return *p;							\
}									\
void __tsan_atomic##bits##_store(volatile type *p, type v, int order)	\
{									\
	marked((const void *)p, sizeof(*p), true, PC);			\
	release((const void *)p, order);				\
	*p = v;								\
}									\
static void rmw##bits(const void *p, int order, const void *pc)		\
{									\
	marked(p, sizeof(type), true, pc);				\
	acquire(p, order);						\
	release(p, order);						\
}									\
type __tsan_atomic##bits##_exchange(volatile type *p, type v, int order) \
{									\
	type old;							\
									\
	rmw##bits((const void *)p, order, PC);				\
	old = *p;							\
	*p = v;								\
	return old;							\
}									\
type __tsan_atomic##bits##_fetch_add(volatile type *p, type v, int order) \
{									\
	type old;							\
									\
	rmw##bits((const void *)p, order, PC);				\
	old = *p;							\
	*p += v;							\
	return old;							\
}									\
type __tsan_atomic##bits##_fetch_sub(volatile type *p, type v, int order) \
{									\
	type old;							\
									\
	rmw##bits((const void *)p, order, PC);				\
	old = *p;							\
	*p -= v;							\
	return old;							\
}									\
int __tsan_atomic##bits##_compare_exchange_strong(volatile type *p, type *old, \
					type v, int order, int failed)	\
{									\
	rmw##bits((const void *)p, order, PC);				\
	if (*p == *old) {						\
		*p = v;							\
		return 1;						\
	}								\
	*old = *p;							\
	return 0;							\
}									\
type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type old, \
					type v, int order, int failed)	\
{									\
	type was;							\
									\
	rmw##bits((const void *)p, order, PC);				\
	was = *p;							\
	if (was == old)							\
		*p = v;							\
	return was;							\
}

ATOMIC(8, uint8_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_thread_fence(int order)
{
	point("fence", NULL, PC);
}
