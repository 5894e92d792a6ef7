build/core.o: core.c kernel.h explore.h build/include/linux/list.h \
 build/include/linux/container_of.h build/include/linux/types.h \
 build/include/linux/stddef.h build/include/linux/poison.h \
 build/include/linux/const.h build/include/asm/barrier.h \
 build/include/linux/rbtree_types.h build/include/linux/llist.h \
 build/include/linux/atomic.h build/include/linux/rculist.h \
 build/include/linux/rcupdate.h device.h kernel.h \
 build/include/linux/mmu_notifier.h build/include/linux/bits.h \
 build/include/linux/spinlock.h build/include/linux/mm_types.h \
 build/include/linux/mmap_lock.h build/include/linux/srcu.h \
 build/include/linux/interval_tree.h build/include/linux/rbtree.h \
 build/include/core/has.h build/include/core/mmu_notifier.c \
 build/include/linux/completion.h build/include/linux/export.h \
 build/include/linux/mm.h build/include/linux/err.h \
 build/include/linux/interval_tree_generic.h \
 build/include/linux/rbtree_augmented.h build/include/linux/compiler.h \
 build/include/linux/jump_label.h build/include/linux/sched.h \
 build/include/linux/sched/clock.h build/include/linux/sched/debug.h \
 build/include/linux/sched/mm.h build/include/linux/sched/sysctl.h \
 build/include/linux/sched/task.h build/include/linux/slab.h \
 build/include/linux/timer.h build/include/core/internal.h \
 build/include/trace/events/mmu_notifier.h
