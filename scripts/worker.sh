#!/usr/bin/env bash
# One job of scripts/jobs.sh, on this machine or, called by its parallel, on
# another. In build/results it leaves its log, a line that says how it ended, with
# what the job has put into "row" for that, and "passed" only when it did.
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
			echo "$(hostname) could not be set up: $(tail -n 1 "$RESULT/log")" >"$RESULT/row"
			return
		fi
	fi
	MN_JOBS=$(((CORES + WORKERS - 1) / WORKERS)) bash "$TOP/scripts/$SCRIPT.sh" --one "$NAME" 2>&1 |
		tee -a "$RESULT/log" | sed -unE "s/^(== |kernel: [0-9].* objects)/$NAME: &/p" || true
}

rm -rf "$RESULT"
mkdir -p "$RESULT" "$BUILD"
echo "it did not come to its end" >"$RESULT/row"
run
# Whose result this would be, nobody could say.
if ! elsewhere && { jobs_common; [ "$(job_key "$NAME")" != "$KEY" ]; }; then
	rm -f "$RESULT/passed"
	echo "linux/ or the scripts changed meanwhile" >"$RESULT/row"
fi
if [ -e "$RESULT/passed" ]; then
	echo "$KEY" >"$RESULT/passed"
	echo "ok $SCRIPT $NAME: $(cat "$RESULT/row")"
else
	echo "not ok $SCRIPT $NAME: $(cat "$RESULT/row"): build/results/$SCRIPT/$NAME/log"
fi | tee "$RESULT/line"
[ -e "$RESULT/passed" ]
