build/rbtree.o: build/include/lib/rbtree.c kernel.h explore.h \
 build/include/linux/list.h build/include/linux/container_of.h \
 build/include/linux/types.h build/include/linux/stddef.h \
 build/include/linux/poison.h build/include/linux/const.h \
 build/include/asm/barrier.h build/include/linux/rbtree_types.h \
 build/include/linux/llist.h build/include/linux/atomic.h \
 build/include/linux/rculist.h build/include/linux/rcupdate.h \
 build/include/linux/rbtree_augmented.h build/include/linux/compiler.h \
 build/include/linux/rbtree.h build/include/linux/export.h
