/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mmu_notifier

#if !defined(_TRACE_MMU_NOTIFIER_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_MMU_NOTIFIER_H

#include <linux/mmu_notifier.h>
#include <linux/tracepoint.h>

#define MMU_NOTIFIER_EVENTS						\
	EM(MMU_NOTIFY_UNMAP,		"unmap")			\
	EM(MMU_NOTIFY_CLEAR,		"clear")			\
	EM(MMU_NOTIFY_PROTECTION_VMA,	"protection_vma")		\
	EM(MMU_NOTIFY_PROTECTION_PAGE,	"protection_page")		\
	EM(MMU_NOTIFY_SOFT_DIRTY,	"soft_dirty")			\
	EM(MMU_NOTIFY_RELEASE,		"release")			\
	EM(MMU_NOTIFY_MIGRATE,		"migrate")			\
	EMe(MMU_NOTIFY_EXCLUSIVE,	"exclusive")

#undef EM
#undef EMe
#define EM(a, b)	TRACE_DEFINE_ENUM(a);
#define EMe(a, b)	TRACE_DEFINE_ENUM(a);

MMU_NOTIFIER_EVENTS

#undef EM
#undef EMe
#define EM(a, b)	{ a, b },
#define EMe(a, b)	{ a, b }

/* For the walks, see mn_traced() */
int mmu_notifier_trace_reg(void);
void mmu_notifier_trace_unreg(void);

DECLARE_EVENT_CLASS(mmu_notifier_range,

	TP_PROTO(const struct mmu_notifier_range *range),

	TP_ARGS(range),

	TP_STRUCT__entry(
		__field(struct mm_struct *, mm)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(u64, number)
		__field(int, event)
		__field(bool, blockable)
	),

	TP_fast_assign(
		__entry->mm = range->mm;
		__entry->start = range->start;
		__entry->end = range->end;
		__entry->number = range->flags & MMU_NOTIFIER_RANGE_TRACKED ?
				  range->seq : 0;
		__entry->event = range->event;
		__entry->blockable = mmu_notifier_range_blockable(range);
	),

	TP_printk("mm=%p start=0x%lx end=0x%lx event=%s number=%llu blockable=%s",
		__entry->mm, __entry->start, __entry->end,
		__print_symbolic(__entry->event, MMU_NOTIFIER_EVENTS),
		__entry->number, __entry->blockable ? "true" : "false")
);

DEFINE_EVENT_FN(mmu_notifier_range, mmu_notifier_start,
	TP_PROTO(const struct mmu_notifier_range *range),
	TP_ARGS(range),
	mmu_notifier_trace_reg, mmu_notifier_trace_unreg);

DEFINE_EVENT_FN(mmu_notifier_range, mmu_notifier_end,
	TP_PROTO(const struct mmu_notifier_range *range),
	TP_ARGS(range),
	mmu_notifier_trace_reg, mmu_notifier_trace_unreg);

TRACE_EVENT_FN(mmu_notifier_callback,

	TP_PROTO(const struct mmu_notifier_range *range, void *func, int ret,
		 u64 duration),

	TP_ARGS(range, func, ret, duration),

	TP_STRUCT__entry(
		__field(struct mm_struct *, mm)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(void *, func)
		__field(u64, duration)
		__field(int, event)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->mm = range->mm;
		__entry->start = range->start;
		__entry->end = range->end;
		__entry->func = func;
		__entry->duration = duration;
		__entry->event = range->event;
		__entry->ret = ret;
	),

	TP_printk("mm=%p start=0x%lx end=0x%lx event=%s func=%ps ret=%d duration=%llu",
		__entry->mm, __entry->start, __entry->end,
		__print_symbolic(__entry->event, MMU_NOTIFIER_EVENTS),
		__entry->func, __entry->ret, __entry->duration),

	mmu_notifier_trace_reg, mmu_notifier_trace_unreg
);

TRACE_EVENT(mmu_notifier_wait,

	TP_PROTO(const char *call, struct mm_struct *mm, unsigned long start,
		 unsigned long last, pid_t holder, const char *holder_comm,
		 int ret, u64 duration),

	TP_ARGS(call, mm, start, last, holder, holder_comm, ret, duration),

	TP_STRUCT__entry(
		__field(struct mm_struct *, mm)
		__field(unsigned long, start)
		__field(unsigned long, last)
		__string(call, call)
		__string(holder_comm, holder_comm)
		__field(u64, duration)
		__field(pid_t, holder)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->mm = mm;
		__entry->start = start;
		__entry->last = last;
		__assign_str(call);
		__assign_str(holder_comm);
		__entry->duration = duration;
		__entry->holder = holder;
		__entry->ret = ret;
	),

	TP_printk("call=%s mm=%p start=0x%lx last=0x%lx holder=%d holder_comm=%s ret=%d duration=%llu",
		__get_str(call), __entry->mm, __entry->start, __entry->last,
		__entry->holder, __get_str(holder_comm), __entry->ret,
		__entry->duration)
);

TRACE_EVENT(mmu_notifier_register,

	TP_PROTO(struct mm_struct *mm, int vmas, bool tracked, int ret,
		 u64 duration),

	TP_ARGS(mm, vmas, tracked, ret, duration),

	TP_STRUCT__entry(
		__field(struct mm_struct *, mm)
		__field(u64, duration)
		__field(int, vmas)
		__field(int, ret)
		__field(bool, tracked)
	),

	TP_fast_assign(
		__entry->mm = mm;
		__entry->duration = duration;
		__entry->vmas = vmas;
		__entry->ret = ret;
		__entry->tracked = tracked;
	),

	TP_printk("mm=%p vmas=%d tracked=%s ret=%d duration=%llu",
		__entry->mm, __entry->vmas,
		__entry->tracked ? "true" : "false", __entry->ret,
		__entry->duration)
);

#endif /* _TRACE_MMU_NOTIFIER_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
