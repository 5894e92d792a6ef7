#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Breaks the core in one place after the other: does a program see it?
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
	cat <<-END
	usage: mutants.sh [--linux TREE] [--commit REV] [--build DIR] [--bound N] PATCH...

	TREE and REV as for run.sh. Each patch is applied alone to mm/mmu_notifier.c and
	include/linux/mmu_notifier.h of REV. One line each: "ok" if a program fails, with
	what it says; "not ok" if none does. Exit 0 if each is caught, 1 if one is not, 2
	if one does not apply or does not compile.
	END
}

linux=$here/../../../linux commit=HEAD build=$here/../../../build/explore bound=3
while [ $# -gt 0 ]; do
	case $1 in
	--linux) linux=$2; shift ;;
	--commit) commit=$2; shift ;;
	--build) build=$2; shift ;;
	--bound) bound=$2; shift ;;
	-h | --help) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || { usage >&2; exit 2; }

mkdir -p "$build"
build=$(cd "$build" && pwd)
source=$build/mutant.source
# Each number of subscriptions that a walk takes at once has a folder of its own.
compile() { # BATCH
	make -C "$here" -s O="$build/mutant.$1" BATCH="$1" LINUX="$linux" COMMIT="$commit" \
		CORE="$source/mm/mmu_notifier.c" HEADER="$source/include/linux/mmu_notifier.h"
}

# The programs that the core of today passes
programs() { # BATCH
	grep -vxFf <(sed -n 's/^\([^# ]*\) .*/\1/p' "$here/known") \
		<("$build/mutant.$1/explore" --list | cut -d ' ' -f 1)
}

# All programs, first with few preemptions, which is where most breaks are. Leaves in
# the log why it cannot be said.
explore() { # BATCH
	local -a todo
	local n ret
	compile "$1" >>"$build/mutant.log" 2>&1 || return 2
	mapfile -t todo < <(programs "$1")
	for ((n = 1; n <= bound; n++)); do
		ret=0
		timeout 600 "$build/mutant.$1/explore" --first --bound "$n" "${todo[@]}" \
			>"$build/mutant.out" 2>&1 || ret=$?
		[ "$ret" -eq 0 ] || return "$ret"
	done
}

ret=0
for patch; do
	patch=$(realpath "$patch")
	name=$(basename "$patch" .patch)
	if ! "$here/mutate.sh" "$source" "$linux" "$commit" "$patch" >"$build/mutant.log" 2>&1; then
		echo "not ok $name # $(grep -m 1 -E 'error|changes nothing' "$build/mutant.log" || tail -n 1 "$build/mutant.log")"
		ret=2
		continue
	fi
	for batch in 2 1; do
		caught=0
		explore "$batch" || caught=$?
		[ "$caught" -eq 0 ] || break
	done
	case $caught in
	1) echo "ok $name # $(sed -n 's/^not ok //p' "$build/mutant.out")" ;;
	0 | 124)
		echo "not ok $name # no program fails"
		[ $ret -ne 0 ] || ret=1
		;;
	*)
		echo "not ok $name # explore ended with $caught: $(grep -m 1 error "$build/mutant.log" || tail -n 1 "$build/mutant.out")"
		ret=2
		;;
	esac
done
exit $ret
