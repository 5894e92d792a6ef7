#!/usr/bin/env bash
# Everything that CI runs, with one summary.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

EXPECT=$HARNESS/expect
PASSED=0
FAILED=0
SKIPPED=0
BIG=srcutree.convert_to_big=1
CELLS=(allnoconfig no-notifier)
# Guests that must be called a failure, and for which reason. They do not wait as
# long for a sign of life as others do: these are known to give none.
declare -A RUNNERS=(
	[warn]='WARNING: '
	[oops]='guest-reset|BUG: '
	[sleeps]='hung: no result, and the tests used no CPU .*lost.wake_up'
	[interrupts]='hung: no result.*interrupts.off|guest-reset'
	[init]='guest-reset|Attempted to kill init'
)

usage() {
	cat <<EOT
usage: ./build.sh test [--save] [check] [matrix] [guests]

Everything that CI runs, or these parts of it (--save puts the totals and the time of
all of it into the results):

  check        ./build.sh check
  matrix       ./build.sh matrix of the cheapest cells: ${CELLS[*]};
               x86_64-debug is the guest "series" below
  guests       one more at a time than there are jobs, as they often wait:
    series     the patched kernel passes its kselftests, and with per-CPU SRCU
               callback lists those of teardown; the tests of misuse make it warn
               as expected
    splats     what a driver must not do makes it report exactly that, in a guest
               for each case
    base       the base kernel with the part "tests" alone fails exactly the
               tests that tools/testing/harness/expect/base.tests names
    runner     guests that warn, oops, sleep for ever, take no interrupts or lose
               their init are seen as what they are

The last line is "N passed, N failed, N skipped"; the exit is 0 only when nothing
failed, was skipped, or did not run.
EOT
}

add() { PASSED=$((PASSED + $1)); FAILED=$((FAILED + $2)); SKIPPED=$((SKIPPED + $3)); }

# A command that leaves its totals behind.
part() { # COMMAND ARGUMENT...
	rm -f "$BUILD/$1.totals"
	bash "$TOP/scripts/$1.sh" "${@:2}" || true
	if [ -e "$BUILD/$1.totals" ]; then
		# shellcheck disable=SC2046 # three numbers
		add $(cat "$BUILD/$1.totals")
	else
		say "${RED}not ok${OFF} $1: it did not come to its end"
		add 0 1 0
	fi
}

splats() { grep -oE '^[a-z_]+' "$EXPECT/splats"; }

# The guests of both kernels, the longest first: a name, and options of run.sh.
guests() {
	local name
	cat <<EOT
series --whole
base --variant base --whole
series-big --append $BIG teardown. lifetime. putting. synchronize
base-big --variant base --append $BIG --golden $EXPECT/base-big.tests synchronize
series-misuse --plan misuse
base-misuse --variant base --plan misuse
series-stall --plan stall
EOT
	for name in "${!RUNNERS[@]}"; do
		echo "runner-$name --plan $name --limit 30"
	done
	for name in $(splats); do
		echo "splat-$name --splat $name"
	done
}

# One guest, for parallel: a line when it is done.
one_guest() { # NAME OPTION...
	local log=$BUILD/log/guest-$1.log
	bash "$TOP/scripts/run.sh" --built --snapshot --name "$@" >"$log" 2>&1 || true
	[[ $1 != runner-* ]] || return 0
	grep -hE '^(PASS|FAIL|error:|  )' "$log" || echo "FAIL $1: build/log/guest-$1.log"
}

# Runs what guests() names, and says of each how it ended.
run_guests() {
	rm -rf "$BUILD"/run/{series,base,splat,runner}*
	guests | parallel --will-cite -j $((JOBS + 1)) bash "$TOP/scripts/test.sh" --one {} || true
}

# A guest counts with its tests. One that fails for another reason, or gives no
# totals at all, is a failure more.
count_guest() { # NAME
	local passed=0 failed=0 skipped=0
	read -r passed failed skipped 2>/dev/null <"$BUILD/run/$1/totals" || true
	if [ "$(cat "$BUILD/run/$1/verdict" 2>/dev/null)" = PASS ]; then
		# Those that fail as they should have passed.
		add $((passed + failed)) 0 "$skipped"
	else
		say "${RED}not ok${OFF} guest $1: build/log/guest-$1.log"
		[ "$failed" -gt 0 ] || failed=1
		add "$passed" "$failed" "$skipped"
	fi
}

count_runner() { # NAME
	local dir=$BUILD/run/runner-$1
	if [ "$(cat "$dir/verdict" 2>/dev/null)" = FAIL ] && grep -qE "${RUNNERS[$1]}" "$dir/why"; then
		say "${GREEN}ok${OFF} runner.$1: $(grep -E -m 1 "${RUNNERS[$1]}" "$dir/why" | cut -c 1-150)"
		add 1 0 0
	else
		say "${RED}not ok${OFF} runner.$1: taken for good, or not called a failure because of: ${RUNNERS[$1]}"
		add 0 1 0
	fi
}

part_guests() {
	local name start=$SECONDS
	for name in base series; do
		bash "$TOP/scripts/run.sh" --variant "$name" --build-only || { add 0 1 0; return 0; }
	done
	step "guests: $(guests | wc -l), $((JOBS + 1)) at a time; those named runner must fail"
	run_guests
	for name in $(guests | cut -d' ' -f 1); do
		case $name in
		runner-*) count_runner "${name#runner-}" ;;
		*) count_guest "$name" ;;
		esac
	done
	say "guests: $(elapsed "$start")"
}

main() {
	local start=$SECONDS part save=
	case ${1:-} in
	-h | --help) usage; return ;;
	--one)
		# shellcheck disable=SC2086 # the words of a line of guests()
		one_guest $2
		return
		;;
	esac
	if [ "${1:-}" = --save ]; then
		save=1
		shift
		[ $# -eq 0 ] || die2 "--save is for all of it"
	fi
	for part in "$@"; do
		case $part in check | matrix | guests) ;; *) die2 "test takes no '$part'; see ./build.sh test --help" ;; esac
	done
	[ $# -gt 0 ] || set -- check guests matrix
	bash "$TOP/scripts/deps.sh"
	bash "$TOP/scripts/tree.sh"
	for part in "$@"; do
		case $part in
		guests) part_guests ;;
		matrix) part matrix "${CELLS[@]}" ;;
		*) part "$part" ;;
		esac
	done
	say "test: $(elapsed "$start")"
	[ -z "$save" ] || "$TOP/scripts/results.py" put test "passed=$PASSED" "failed=$FAILED" "skipped=$SKIPPED" "elapsed=$(elapsed "$start")" </dev/null
	say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
	[ "$FAILED" -eq 0 ] && [ "$SKIPPED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
