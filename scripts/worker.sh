#!/usr/bin/env bash
# One job of scripts/jobs.sh, in the build folder of its slot: a verdict, a line
# that says it, and whatever the job wants to keep, in build/results.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/jobs.sh
. "$TOP/scripts/jobs.sh"

UNPACK=
AGAIN=
while [ "${1#--}" != "$1" ]; do
	case $1 in --unpack) UNPACK=1 ;; --again) AGAIN=1 ;; esac
	shift
done
SLOT=$1 KEY=$2 SCRIPT=$3 NAME=$4
RESULT=$TOP${UNPACK:+/..}/build/results/$SCRIPT/$NAME
export RESULT

say_result() { printf '%s' "$*" >"$RESULT/line"; }

# The first job on another machine makes linux/ there.
set_up() {
	mkdir -p "$TOP/build/base"
	ln -f "$TOP"/../build/base/*.deb "$TOP/build/base/"
	flock "$TOP/build/setup.lock" bash -c \
		"cd '$TOP/scripts' && ./deps.sh && ./tree.sh" >"$RESULT/log" 2>&1
}

run() {
	if [ -n "$UNPACK" ]; then
		JOBS=$(($(nproc) / WORKERS > 0 ? $(nproc) / WORKERS : 1))
		if ! set_up; then
			say_result "not ok $SCRIPT $NAME: $(hostname) could not be set up: $(tail -n 1 "$RESULT/log")"
			return
		fi
	fi
	if [ "$SLOT" != 1 ] || [ -n "$UNPACK" ]; then
		export BUILD=$TOP/build/worker/$SLOT
		mkdir -p "$BUILD"
	fi
	"$TOP/scripts/$SCRIPT.sh" --one "$NAME" >>"$RESULT/log" 2>&1 || true
}

if [ -z "$AGAIN" ] && [ "$(cat "$RESULT/key" 2>/dev/null)" = "$KEY" ] && [ "$(cat "$RESULT/verdict")" = PASS ]; then
	printf '%s (as before)\n' "$(cat "$RESULT/line")"
	exit
fi
rm -rf "$RESULT"
mkdir -p "$RESULT"
echo FAIL >"$RESULT/verdict"
say_result "not ok $SCRIPT $NAME: it did not come to its end"
run
# Whose result this would be, nobody could say.
if [ -z "$UNPACK" ] && [ "$(jobs_keys "$NAME")" != "$KEY" ]; then
	echo FAIL >"$RESULT/verdict"
	say_result "not ok $SCRIPT $NAME: linux/ or the scripts changed meanwhile"
fi
printf '%s\n' "$KEY" >"$RESULT/key"
printf '%s\n' "$(cat "$RESULT/line")"
[ "$(cat "$RESULT/verdict")" = PASS ]
