#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Takes what the explorer compiles of a kernel from a commit of its git tree, and
# the core from there or from the files given. Changes no file that is the same.
set -euo pipefail

usage="usage: tree.sh DIR TREE COMMIT [CORE HEADER]"
[ $# -eq 3 ] || [ $# -eq 5 ] || { echo "$usage" >&2; exit 2; }
dir=$1 tree=$2 commit=$3 core=${4-} header=${5-}

# kernel.h stands for these.
empty=(asm/barrier linux/{atomic,bits,bug,compiler,completion,const,container_of}
	linux/{err,export,jiffies,jump_label,kernel,lockdep,minmax,mm,mm_types,mmap_lock,poison}
	linux/{rcupdate,sched,sched/clock,sched/debug,sched/mm,sched/signal,sched/sysctl}
	linux/{sched/task,slab,spinlock,srcu,stddef,timer,types,wait} trace/events/mmu_notifier
	core/internal)
copied=(linux/{list,rculist,llist,rbtree,rbtree_types,rbtree_augmented}
	linux/{interval_tree,interval_tree_generic})

# Writes its input to a file, if that is not the same already.
update() { # FILE
	mkdir -p "$(dirname "$1")"
	cat >"$1.new"
	if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

show() { # FILE
	git -C "$tree" show "$commit:$1" || {
		echo "tree.sh: no $1 in $commit of $tree" >&2
		exit 2
	}
}

for name in "${empty[@]}"; do update "$dir/$name.h" </dev/null; done
for name in "${copied[@]}"; do show "include/$name.h" | update "$dir/$name.h"; done
for name in rbtree interval_tree llist; do show "lib/$name.c" | update "$dir/lib/$name.c"; done
if [ -n "$core" ]; then
	update "$dir/core/mmu_notifier.c" <"$core"
	update "$dir/linux/mmu_notifier.h" <"$header"
else
	show mm/mmu_notifier.c | update "$dir/core/mmu_notifier.c"
	show include/linux/mmu_notifier.h | update "$dir/linux/mmu_notifier.h"
fi
# What only some cores have, where the linker cannot say it
{
	! grep -q 'bool track_ranges;' "$dir/linux/mmu_notifier.h" || echo '#define HAVE_TRACK_RANGES'
	! grep -q 'insert_seq;' "$dir/linux/mmu_notifier.h" || echo '#define HAVE_WINDOWS'
	! grep -q 'mn_register_tracked(' "$dir/core/mmu_notifier.c" || echo '#define HAVE_FLAT'
} | update "$dir/core/has.h"
