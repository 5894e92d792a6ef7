build/mm.o: mm.c kernel.h explore.h build/include/linux/list.h \
 build/include/linux/container_of.h build/include/linux/types.h \
 build/include/linux/stddef.h build/include/linux/poison.h \
 build/include/linux/const.h build/include/asm/barrier.h \
 build/include/linux/rbtree_types.h build/include/linux/llist.h \
 build/include/linux/atomic.h build/include/linux/rculist.h \
 build/include/linux/rcupdate.h kernel.h device.h \
 build/include/linux/mmu_notifier.h build/include/linux/bits.h \
 build/include/linux/spinlock.h build/include/linux/mm_types.h \
 build/include/linux/mmap_lock.h build/include/linux/srcu.h \
 build/include/linux/interval_tree.h build/include/linux/rbtree.h
