#!/usr/bin/env bash
# One job of scripts/jobs.sh, on this machine or, called by its parallel, on
# another: leaves a line that says how it ended, its log and what it wants to keep
# in build/results, and "passed" only when it did.
set -euo pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Each beside the first builds in a folder of its own.
[ "$1" = 1 ] || export MN_BUILD=$TOP/build/worker/$1
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/jobs.sh
. "$TOP/scripts/jobs.sh"

WORKERS=$2 CORES=$3 SCRIPT=$4 NAME=$5 KEY=$6
export RESULT=$RESULTS/$SCRIPT/$NAME

# Another machine has no repository of ours, and of linux/ the commits alone.
elsewhere() { [ ! -e "$TOP/.git" ]; }

set_up() {
	mkdir -p "$TOP/build"
	exec 7>"$TOP/build/setup.lock"
	flock 7
	bash "$TOP/scripts/deps.sh"
	lgit reset -q --hard
}

run() {
	if elsewhere; then
		CORES=$(nproc)
		guarded set_up >"$RESULT/log" 2>&1
		if [ "$STATUS" -ne 0 ]; then
			echo "not ok $SCRIPT $NAME: $(hostname) could not be set up: $(tail -n 1 "$RESULT/log")" >"$RESULT/line"
			return
		fi
	fi
	MN_JOBS=$(((CORES + WORKERS - 1) / WORKERS)) bash "$TOP/scripts/$SCRIPT.sh" --one "$NAME" 2>&1 |
		tee -a "$RESULT/log" | sed -unE "s/^(== |kernel: [0-9].* objects)/$NAME: &/p" || true
}

rm -rf "$RESULT"
mkdir -p "$RESULT" "$BUILD"
echo "not ok $SCRIPT $NAME: it did not come to its end: build/results/$SCRIPT/$NAME/log" >"$RESULT/line"
run
if [ -e "$RESULT/passed" ]; then
	# Whose result this would be, nobody could say.
	if ! elsewhere && { jobs_common; [ "$(job_key "$NAME")" != "$KEY" ]; }; then
		rm "$RESULT/passed"
		echo "not ok $SCRIPT $NAME: linux/ or the scripts changed meanwhile" >"$RESULT/line"
	else
		echo "$KEY" >"$RESULT/passed"
	fi
fi
cat "$RESULT/line"
[ -e "$RESULT/passed" ]
