/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The private interface between lib/test_mmu_notifier_*.c and
 * tools/testing/selftests/mm/mmu_notifier_*.c: both sides are built from one
 * tree, nothing here is an ABI. Addresses are bytes, @end is exclusive. A list
 * notifier is a struct mmu_notifier, which is on the list of its mm, other than
 * a struct mmu_interval_notifier.
 */
#ifndef _LIB_TEST_MMU_NOTIFIER_UAPI_H
#define _LIB_TEST_MMU_NOTIFIER_UAPI_H

#include <linux/types.h>
#include <linux/ioctl.h>

/* What is registered on the mm of the caller, or inserted. */
enum tmn_kind {
	TMN_LIST,		/* mmu_notifier_register(), _unregister() */
	TMN_LIST_PUT,		/* mmu_notifier_register(), _put() */
	TMN_LIST_GET,		/* mmu_notifier_get(), _put() */
	TMN_LIST_CALL,		/* _register(), _unregister_no_release(), _call_srcu() */
	TMN_INTERVAL,		/* one pass: ->invalidate() */
	TMN_INTERVAL_TWO_PASS,	/* ->invalidate_start(), ->invalidate_finish() */
	TMN_NR_KINDS,
};

/* Which operations a list notifier has. TMN_LIST_GET has all of them. */
#define TMN_OP_START			0x01
#define TMN_OP_END			0x02
#define TMN_OP_RELEASE			0x04
#define TMN_OP_CLEAR_FLUSH_YOUNG	0x08
#define TMN_OP_CLEAR_YOUNG		0x10
#define TMN_OP_TEST_YOUNG		0x20
#define TMN_OP_ALL			0x3f
#define TMN_OP_SECONDARY		0x40 /* excludes start and end */
#define TMN_OP_PAIR			(TMN_OP_START | TMN_OP_END)

/* How its callbacks behave. */
#define TMN_F_FAIL_NONBLOCK	0x01 /* fail when they must not sleep */
#define TMN_F_FAIL_BLOCK	0x02 /* fail when they may: a bug, for misuse=1 */
#define TMN_F_SLOW_FREE		0x04 /* free_notifier() spins, at most 10 ms */
#define TMN_F_AWAIT_SIGNAL	0x08 /* register with a signal pending */
#define TMN_F_PREPARE		0x10 /* not registered: that is for a TMN_CALL */
#define TMN_F_AT_EXIT		0x20 /* stays registered until the module is unloaded */
#define TMN_F_MIRROR		0x40 /* has the pages of its range that TMN_MAP gave it */
#define TMN_F_NO_LOG		0x80 /* counts, but has no TMN_EVENTS */
#define TMN_F_TASK_WORK		0x100 /* register with task work pending, but no signal */
#define TMN_F_TRACK		0x200 /* a list notifier with track_ranges */
#define TMN_F_ALL		0x3ff

/* The most pages of a mirror. */
#define TMN_MIRROR_MAX		64

/* Callbacks that can be made to wait, where they may sleep, for TMN_GATE. */
#define TMN_GATE_START		0x01 /* list start, interval invalidate */
#define TMN_GATE_FINISH		0x02 /* second pass of an interval */
#define TMN_GATE_RELEASE	0x04 /* list release, unless another one waits */
#define TMN_GATE_SPIN		0x08 /* list start that must not sleep: spins */
#define TMN_GATE_MAP		0x10 /* TMN_MAP, about to read the page tables */
#define TMN_GATE_ALL		0x1f

/**
 * struct tmn_register - TMN_REGISTER
 * @kind: (in) enum tmn_kind
 * @ops: (in) TMN_OP_*, 0 for intervals
 * @flags: (in) TMN_F_*
 * @id: (out) names the notifier in the other calls
 * @pid: (in) whose mm to register it on; 0: the caller's
 * @unused: keeps the addresses aligned
 * @start: (in) first address of the interval; for lists, with @end, of the part
 *	   that the notifier looks at; both 0: all of it
 * @end: (in) one after the last address
 */
struct tmn_register {
	__u32 kind;
	__u32 ops;
	__u32 flags;
	__u32 id;
	__u32 pid;
	__u32 unused;
	__u64 start;
	__u64 end;
};

/**
 * struct tmn_wait - a call that may sleep in the kernel, with a time limit
 * @id: (in)
 * @timeout_ms: (in) after it, or 120 s, the call fails with ETIMEDOUT; what it
 *		waited for stays behind, and the module cannot be unloaded until
 *		that has completed
 * @seq: (in/out) what mmu_interval_read_begin() returned
 */
struct tmn_wait {
	__u32 id;
	__u32 timeout_ms;
	__u64 seq;
};

/**
 * struct tmn_gate - TMN_GATE
 * @id: (in)
 * @closed: (in) TMN_GATE_* that wait from now on; those left out continue
 */
struct tmn_gate {
	__u32 id;
	__u32 closed;
};

/**
 * struct tmn_stats - TMN_STATS, for the whole life of a notifier
 * @id: (in)
 * @open: starts that returned 0 and have no end yet
 * @starts: starts that returned 0, interval invalidations that returned true
 * @failed: those that did not
 * @ends: calls of end
 * @unmatched: ends without a start of the same range in the same thread
 * @not_nested: ends of a range that is not the thread's innermost
 * @finishes: second passes
 * @absorbed: second passes that found no memory, and became part of the first
 * @releases: calls of release
 * @release_anon: anonymous pages of the mm when release was called
 * @flush_young: calls of clear_flush_young()
 * @clear_young: calls of clear_young()
 * @test_young: calls of test_young()
 * @secondary: calls of arch_invalidate_secondary_tlbs()
 * @frees: calls of free_notifier()
 * @late: callbacks after the notifier was unregistered or removed
 * @mapped: pages that TMN_MAP put into the mirror
 * @checked: pages of the mirror that were what the CPU has there
 * @wrong: those that were not
 * @calls: TMN_CALLs that began
 * @call_ret: what the last of them that returned did return
 * @sleeps: how often threads have slept in the calls that TMN_ASLEEP knows
 * @listed: a list notifier: whether it is on the list of its mm
 */
struct tmn_stats {
	__u32 id;
	__u32 open;
	__u64 starts;
	__u64 failed;
	__u64 ends;
	__u64 unmatched;
	__u64 not_nested;
	__u64 finishes;
	__u64 absorbed;
	__u64 releases;
	__u64 release_anon;
	__u64 flush_young;
	__u64 clear_young;
	__u64 test_young;
	__u64 secondary;
	__u64 frees;
	__u64 late;
	__u64 mapped;
	__u64 checked;
	__u64 wrong;
	__u64 calls;
	__s64 call_ret;
	__u64 sleeps;
	__u64 listed;
};

enum tmn_event_type {
	TMN_EV_START,
	TMN_EV_END,
	TMN_EV_RELEASE,
	TMN_EV_INVALIDATE,
	TMN_EV_FINISH,
	TMN_EV_YOUNG,
};

#define TMN_EV_BLOCKABLE	0x01

/**
 * struct tmn_event - one callback
 * @clock: its place among the events of all notifiers
 * @start: the range
 * @end: one after it
 * @type: enum tmn_event_type
 * @reason: enum mmu_notifier_event
 * @flags: TMN_EV_*
 * @ret: what the callback returned, as an errno
 */
struct tmn_event {
	__u64 clock;
	__u64 start;
	__u64 end;
	__u32 type;
	__u32 reason;
	__u32 flags;
	__s32 ret;
};

/**
 * struct tmn_events - TMN_EVENTS
 * @id: (in)
 * @max: (in) room at @buffer, in events
 * @count: (out) events there are, never more than TMN_LOG_SIZE
 * @lost: (out) events that found the log full
 * @buffer: (in) address of an array of struct tmn_event
 */
struct tmn_events {
	__u32 id;
	__u32 max;
	__u32 count;
	__u32 lost;
	__u64 buffer;
};

#define TMN_LOG_SIZE	1024

/**
 * struct tmn_sync - TMN_SYNCHRONIZE
 * @pending: (out) free_notifier() calls still to come when
 *	     mmu_notifier_synchronize() returned
 */
struct tmn_sync {
	__u64 pending;
};

/* The calls that a driver can make. */
enum tmn_what {
	TMN_DO_REGISTER,	/* register, get, or insert, as the kind has it */
	TMN_DO_REGISTER_LOCKED,	/* the same, for holders of mmap_lock */
	TMN_DO_UNREGISTER,	/* unregister, put, or remove */
	TMN_DO_READ_BEGIN,
	TMN_DO_SYNCHRONIZE,
	TMN_DO_IS_VALID,	/* mmu_notifier_range_is_valid(), of its range: 1 or 0 */
	TMN_DO_WAIT_VALID,
	/* from here on bugs; these, and what is illegal at a place: misuse=1 */
	TMN_DO_REGISTER_BARE,	/* without ops */
	TMN_DO_REGISTER_LOCKED_BARE,
	TMN_DO_REGISTER_NO_FIRST, /* without alloc_notifier(), or invalidate() */
	TMN_DO_REGISTER_NO_LAST, /* without free_notifier(), or invalidate_finish() */
	TMN_DO_REGISTER_AGAIN,	/* what is registered already */
	TMN_DO_UNREGISTER_HERE,	/* from the mm of the caller, whatever it is */
	TMN_DO_DROP_MM,		/* drop the reference of the notifier, and forget it */
	TMN_NR_WHAT,
};

/* Where they can be made from. */
enum tmn_where {
	TMN_IN_PROCESS,
	TMN_IN_MMAP_READ,	/* with the mmap_lock of the caller */
	TMN_IN_MMAP_WRITE,
	TMN_IN_START,		/* of a list notifier, where it may sleep */
	TMN_IN_END,
	TMN_IN_INVALIDATE,
	TMN_IN_RELEASE,
	TMN_IN_FREE,		/* free_notifier(), run by SRCU */
	TMN_NR_WHERE,
};

/**
 * struct tmn_call - TMN_CALL: make a call, now or from the next callback
 * @id: (in) what is registered, unregistered...
 * @what: (in) enum tmn_what
 * @where: (in) enum tmn_where
 * @from: (in) whose callback makes it, for those from TMN_IN_START on
 *
 * Returns what a call that is made now does.
 */
struct tmn_call {
	__u32 id;
	__u32 what;
	__u32 where;
	__u32 from;
};

/**
 * struct tmn_mm - TMN_MM
 * @count: (out) mm_count of the caller's mm
 * @notifiers: (out) notifiers that this file has on any mm
 */
struct tmn_mm {
	__u32 count;
	__u32 notifiers;
};

/* How many notifiers are unregistered. */
enum tmn_way {
	TMN_WAY_UNREGISTER,
	TMN_WAY_PUT,
	TMN_WAY_CALL,		/* unregister_no_release, and free in call_srcu */
	TMN_WAY_SYNC,		/* the same, and free after one synchronize */
	TMN_NR_WAYS,
};

/* When. What is left is for TMN_BULK_UNREGISTER, or for closing the file. */
enum tmn_when {
	TMN_WHEN_ASKED,
	TMN_WHEN_RELEASED,	/* each in its ->release */
	TMN_WHEN_ONE_RELEASED,	/* all in the ->release of the first */
	TMN_NR_WHEN,
};

#define TMN_BULK_MAX	4096

/**
 * struct tmn_bulk_register - TMN_BULK_REGISTER: many on the mm of the caller, once a file
 * @way: (in) enum tmn_way
 * @when: (in) enum tmn_when
 * @count: (in) at most TMN_BULK_MAX
 * @unused: keeps the size the same everywhere
 */
struct tmn_bulk_register {
	__u32 way;
	__u32 when;
	__u32 count;
	__u32 unused;
};

/**
 * struct tmn_bulk_stats - TMN_BULK_STATS
 * @left: not freed yet
 * @calls: callbacks, but for release
 * @releases: calls of release
 * @early: freed while a callback was running
 * @late: callbacks of what was freed, on any mm
 * @holders: mm_count of the mm that they were registered on
 * @unregister_ns: how long TMN_BULK_UNREGISTER took, without a synchronize
 * @sync_ns: how long its synchronize took
 */
struct tmn_bulk_stats {
	__u64 left;
	__u64 calls;
	__u64 releases;
	__u64 early;
	__u64 late;
	__u64 holders;
	__u64 unregister_ns;
	__u64 sync_ns;
};

/**
 * struct tmn_page - TMN_MAP, TMN_CHECK: a page of a mirror
 * @id: (in) with TMN_F_MIRROR, on the mm of the caller
 * @timeout_ms: (in) how long TMN_MAP tries
 * @addr: (in) an address in the page, aligned to 8. There is a counter that
 *	  never goes down while the page is mapped: TMN_CHECK compares with it.
 */
struct tmn_page {
	__u32 id;
	__u32 timeout_ms;
	__u64 addr;
};

/**
 * struct tmn_asleep - TMN_ASLEEP: which threads are asleep in a call
 * @id: (in) the notifier whose calls are asked for; 0: all of the file
 * @count: (out) how many threads sleep in TMN_REGISTER, TMN_UNREGISTER,
 *	   TMN_READ_BEGIN, TMN_WAIT_TIMED, TMN_MAP or a TMN_CALL, or in the
 *	   callback of a mirror, which waits for TMN_MAP: one for each notifier
 *
 * A thread that has been woken does not count, so after what could have woken
 * one, it either counts again or its call has completed.
 */
struct tmn_asleep {
	__u32 id;
	__u32 count;
};

#define TMN_IOC			0xBB
#define TMN_REGISTER		_IOWR(TMN_IOC, 0x00, struct tmn_register)
/* unregister, put or remove, as the kind has it */
#define TMN_UNREGISTER		_IOWR(TMN_IOC, 0x01, struct tmn_wait)
#define TMN_STATS		_IOWR(TMN_IOC, 0x02, struct tmn_stats)
#define TMN_EVENTS		_IOWR(TMN_IOC, 0x03, struct tmn_events)
#define TMN_GATE		_IOW(TMN_IOC, 0x04, struct tmn_gate)
/* wait until a callback stands before a gate, or, with id 0, for a TMN_HOLD */
#define TMN_AT_GATE		_IOW(TMN_IOC, 0x05, struct tmn_wait)
#define TMN_READ_BEGIN		_IOWR(TMN_IOC, 0x06, struct tmn_wait)
/* 1: retry, 0: no collision */
#define TMN_READ_RETRY		_IOW(TMN_IOC, 0x07, struct tmn_wait)
#define TMN_SYNCHRONIZE		_IOR(TMN_IOC, 0x08, struct tmn_sync)
/* sleep, deaf to signals, until TMN_UNHOLD or timeout_ms */
#define TMN_HOLD		_IOW(TMN_IOC, 0x09, struct tmn_wait)
#define TMN_UNHOLD		_IO(TMN_IOC, 0x0a)
#define TMN_MM			_IOR(TMN_IOC, 0x0b, struct tmn_mm)
#define TMN_CALL		_IOW(TMN_IOC, 0x0c, struct tmn_call)
#define TMN_BULK_REGISTER	_IOW(TMN_IOC, 0x0d, struct tmn_bulk_register)
#define TMN_BULK_UNREGISTER	_IO(TMN_IOC, 0x0e)
#define TMN_BULK_STATS		_IOR(TMN_IOC, 0x0f, struct tmn_bulk_stats)
/* fault the page in, and map it as a driver does */
#define TMN_MAP			_IOW(TMN_IOC, 0x10, struct tmn_page)
/* 1: it is what the CPU has, 0: it is not, ENOENT: it is not mapped */
#define TMN_CHECK		_IOW(TMN_IOC, 0x11, struct tmn_page)
#define TMN_ASLEEP		_IOWR(TMN_IOC, 0x12, struct tmn_asleep)
/*
 * mmu_interval_read_begin_timeout(), or of a list notifier with track_ranges
 * mmu_notifier_range_wait_valid_timeout(), in the calling thread; @timeout_ms is
 * 0 for no limit. The statistics have what it returned as call_ret.
 */
#define TMN_WAIT_TIMED		_IOWR(TMN_IOC, 0x13, struct tmn_wait)

#endif /* _LIB_TEST_MMU_NOTIFIER_UAPI_H */
