#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Which lines and branches of the core do the programs run?
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
	cat <<-END
	usage: coverage.sh [--linux TREE] [--commit REV] [--build DIR] [--save]

	Prints the share of lines and branches of the core that all programs run with at
	most one preemption, and the lines that none runs, or of which a branch is never
	taken. Each has to be in the file uncovered, with a reason, and what is in there has
	to be so: exit 1 if not. --save puts the shares into the results.
	END
}

linux=$here/../../../linux commit=HEAD build=$here/../../../build/coverage save=
while [ $# -gt 0 ]; do
	case $1 in
	--linux) linux=$2; shift ;;
	--commit) commit=$2; shift ;;
	--build) build=$2; shift ;;
	--save) save=yes ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done

make -C "$here" -s COVERAGE=1 O="$build/coverage" LINUX="$linux" COMMIT="$commit"
cd "$build/coverage"
rm -f ./*.gcda ./*.gcov
# Programs that fail have run all the same.
./explore --bound 1 >out 2>&1 || [ $? -eq 1 ]
gcov -b core.o >summary 2>/dev/null
# "Lines", "Branches", "Taken": the share, and of how many
shares=$(awk -F '[: %]' '/^File.*core\/mmu_notifier.c/ { core = 1 }
	core && /^(Lines|Branches|Taken)/ { print $1 "=" $(NF - 3) "% of " $NF }
	/^$/ { core = 0 }' summary)
[ "$(wc -l <<<"$shares")" -eq 3 ] || { echo "coverage.sh: gcov says nothing of the core" >&2; exit 2; }
echo "$shares"

# The lines, without what stands before them
awk '/^branch/ && /taken 0%|never executed/ { print line }
	/^ *([0-9]+\*?|#####|=====|-): *[0-9]+:/ {
		line = $0; sub(/^[^:]*:[^:]*:[ \t]*/, "", line)
		if (/^ *#####/) print line
	}' mmu_notifier.c.gcov | sort -u >uncovered
grep -v '^#' "$here/uncovered" | sed -E 's/ ## [^ ].*//' | sort -u >known
ret=0
comm -23 uncovered known | sed 's/^/not ok, it has no reason in the file uncovered: /' >wrong
comm -13 uncovered known | sed 's/^/not ok, the file uncovered has it, and it is covered or has no reason: /' >>wrong
[ ! -s wrong ] || { cat wrong; ret=1; }
grep -v '^#' "$here/uncovered" | sed -E 's/ ## /\n\t/'
if [ -n "$save" ] && [ "$ret" -eq 0 ]; then
	mapfile -t rows <<<"$shares"
	python3 "$here/../../../scripts/results.py" put coverage "${rows[@]}" "lines with a branch that is never taken=$(wc -l <uncovered), each with its reason in tools/testing/mmu_notifier/uncovered" </dev/null
fi
exit "$ret"
