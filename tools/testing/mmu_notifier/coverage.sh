#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Which lines and branches of the core do the programs run?
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<-END
	usage: coverage.sh [--linux TREE] [--commit REV] [--build DIR]

	Prints the share of lines and branches of the core that all programs run with at
	most one preemption, then the lines that none runs. Exit 0 if there is a count.
	END
}

linux=../../../linux commit=HEAD build=../../../build/explore
while [ $# -gt 0 ]; do
	case $1 in
	--linux) linux=$2 ;;
	--commit) commit=$2 ;;
	--build) build=$2 ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift 2
done

make -s COVERAGE=1 O="$build/coverage" LINUX="$linux" COMMIT="$commit"
cd "$build/coverage"
rm -f ./*.gcda ./*.gcov
# Programs that fail have run all the same.
./explore --bound 1 >out 2>&1 || [ $? -eq 1 ]
gcov -b core.o >summary 2>/dev/null
awk '/^File.*core\/mmu_notifier.c/ { core = 1 }
	core && /^(Lines|Branches|Taken)/ { print; n++ }
	/^$/ { core = 0 }
	END { exit n == 0 }' summary
grep -E '^ *#####:' mmu_notifier.c.gcov || echo 'no line is left out'
