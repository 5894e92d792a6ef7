#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The core of a commit with threads for real, under TSan and under ASan.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
	cat <<-END
	usage: threads.sh [--linux TREE] [--commit REV] [--build DIR] [--seconds N]
	                  [--seed N] [PATCH...]

	TREE and REV as for run.sh. N seconds (5) with each, then what the file threads-must
	says: mutants of the core that have to be seen. With a PATCH, only what the threads
	see of the core with each of them, applied alone: "ok" if it is something. The seed
	(the time) decides what threads do, not how they run.

	Exit 0 if all is as it must be, 1 if not, 2 if it cannot be built or run.
	END
}

linux=$here/../../../linux commit=HEAD build=$here/../../../build/threads seconds=5 seed=$(date +%s)
while [ $# -gt 0 ]; do
	case $1 in
	--linux) linux=$2; shift ;;
	--commit) commit=$2; shift ;;
	--build) build=$2; shift ;;
	--seconds) seconds=$2; shift ;;
	--seed) seed=$2; shift ;;
	-h | --help) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) break ;;
	esac
	shift
done
mkdir -p "$build"
build=$(cd "$build" && pwd)
# A break that is not seen at once may be later.
patience=$((seconds > 60 ? seconds : 60))
failed=0

say() { # RESULT NAME REMARK
	echo "$1 $2 # $3"
	[ "$1" = ok ] || failed=1
}

unusable() { # NAME LOG
	echo "not ok $1 # $(grep -m 1 -E 'error|changes nothing|No rule|tree.sh|fatal' "$2" || tail -n 1 "$2")"
	exit 2
}

compile() { # FOLDER SANITIZER [PATCH]
	local log=$build/$1.log source=$build/source
	local -a core=()
	if [ -n "${3-}" ]; then
		"$here/mutate.sh" "$source" "$linux" "$commit" "$3" >"$log" 2>&1 || unusable "$1" "$log"
		core=("CORE=$source/mm/mmu_notifier.c" "HEADER=$source/include/linux/mmu_notifier.h")
	fi
	make -C "$here" -s O="$build/$1" LINUX="$linux" COMMIT="$commit" "${core[@]}" \
		"$build/$1/threads-$2" >"$log" 2>&1 || unusable "$1" "$log"
}

# TSan wants addresses where it knows them. Not every container allows that.
fixed=()
! setarch -R true 2>/dev/null || fixed=(setarch -R)

# Prints what is wrong, or nothing.
run() { # FOLDER SANITIZER SECONDS
	local out=$build/$1.$2.out ret=0
	timeout "$(($3 + 300))" "${fixed[@]}" "$build/$1/threads-$2" "$3" "$seed" >"$out" 2>&1 || ret=$?
	[ "$ret" -ne 0 ] || return 0
	sed -n 's/^SUMMARY: //p; s/^[a-z]*: \(.*\)/\1/p' "$out" | sed "s|$build/[^ ]*/include/||" | grep -m 1 -v '^asleep in' ||
		echo "it ended with $ret: $(tail -n 1 "$out")"
}

today() {
	local sanitizer wrong
	for sanitizer in tsan asan; do
		compile today "$sanitizer"
		wrong=$(run today "$sanitizer" "$seconds")
		if [ -n "$wrong" ]; then
			say 'not ok' "threads.$sanitizer" "$wrong: $build/today.$sanitizer.out"
		elif ! grep -E '^[1-9][0-9]* rounds' "$build/today.$sanitizer.out" >/dev/null; then
			say 'not ok' "threads.$sanitizer" "no round has come to its end"
		else
			say ok "threads.$sanitizer" "$(tail -n 1 "$build/today.$sanitizer.out")"
		fi
	done
}

patch_of() { # NAME
	find "$here/mutants" "$here/../mutants" -name "$1.patch"
}

must() {
	local name sanitizer expected wrong patch
	while read -r name sanitizer expected; do
		patch=$(patch_of "$name")
		[ -n "$patch" ] || { say 'not ok' "threads.$name" "there is no such mutant"; continue; }
		compile mutant "$sanitizer" "$patch"
		wrong=$(run mutant "$sanitizer" "$patience")
		if [[ $wrong == *"$expected"* ]]; then
			say ok "threads.$name" "$wrong"
		else
			say 'not ok' "threads.$name" "expected: $expected; got: ${wrong:-ok}"
		fi
	done < <(grep -v '^#' "$here/threads-must")
}

see() { # PATCH
	local sanitizer wrong name
	name=$(basename "$1" .patch)
	for sanitizer in tsan asan; do
		compile mutant "$sanitizer" "$1"
		wrong=$(run mutant "$sanitizer" "$seconds")
		[ -z "$wrong" ] || { say ok "$name" "$sanitizer: $wrong"; return 0; }
	done
	say 'not ok' "$name" "nothing is seen"
}

if [ $# -eq 0 ]; then
	today
	must
else
	for patch; do see "$patch"; done
fi
exit "$failed"
