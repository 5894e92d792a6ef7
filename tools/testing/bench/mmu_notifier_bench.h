/* SPDX-License-Identifier: GPL-2.0 */
/* Between the module of the benchmark and its program: ours, not for the tree. */
#ifndef MMU_NOTIFIER_BENCH_H
#define MMU_NOTIFIER_BENCH_H

#include <linux/types.h>
#include <linux/ioctl.h>

/* The ways to take list notifiers off. */
enum bench_way {
	BENCH_UNREGISTER,
	BENCH_PUT,
	BENCH_CALL_SRCU,	/* unregister_no_release, and free in call_srcu */
	BENCH_NO_RELEASE,	/* unregister_no_release alone; BENCH_SYNC frees */
};

/**
 * struct bench_on - BENCH_LISTS, BENCH_INTERVALS: put notifiers on the caller's mm
 * @start: of an interval; for lists, of the range whose start callback sleeps
 * @len: in bytes; 0: no callback sleeps
 * @count: how many
 * @fail: a list's start fails where it may not block, that of the oldest
 */
struct bench_on {
	__u64 start;
	__u64 len;
	__u32 count;
	__u32 fail;
};

#define BENCH_IOC		0xBC
#define BENCH_LISTS		_IOW(BENCH_IOC, 0, struct bench_on)
#define BENCH_INTERVALS		_IOW(BENCH_IOC, 1, struct bench_on)
/* takes all lists off, in an enum bench_way; the time in ns comes back */
#define BENCH_LISTS_OFF		_IOWR(BENCH_IOC, 2, __u64)
#define BENCH_SYNC		_IOR(BENCH_IOC, 3, __u64)
#define BENCH_INTERVALS_OFF	_IO(BENCH_IOC, 4)
/* how many threads sleep in a callback */
#define BENCH_SLEEPERS		_IOR(BENCH_IOC, 5, __u64)
#define BENCH_WAKE		_IO(BENCH_IOC, 6)
/* sleeps, deaf to signals, until BENCH_WAKE */
#define BENCH_SLEEP		_IO(BENCH_IOC, 7)
/* mmu_interval_read_begin() of the newest interval; the time in ns comes back */
#define BENCH_READ_BEGIN	_IOR(BENCH_IOC, 8, __u64)
/* removes the newest interval; the time in ns comes back */
#define BENCH_REMOVE		_IOR(BENCH_IOC, 9, __u64)
/* how long a callback for the sleeping range sleeps, in us; 0: until BENCH_WAKE */
#define BENCH_NAP		_IOW(BENCH_IOC, 10, __u64)
/* registers one more list notifier; the time in ns comes back */
#define BENCH_REGISTER		_IOR(BENCH_IOC, 11, __u64)

#endif /* MMU_NOTIFIER_BENCH_H */
