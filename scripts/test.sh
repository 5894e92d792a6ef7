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

usage() {
	cat <<EOF
usage: ./build.sh test [check] [model] [matrix] [guests]

Everything that CI runs, or these parts of it:

  check        ./build.sh check
  model        ./build.sh model
  matrix       ./build.sh matrix of the cheapest cells: ${CELLS[*]};
               x86_64-debug is the guest "series" below
  guests       as many at a time as there are jobs:
    series     the patched kernel passes its kselftests, and with the large SRCU
               those of teardown; the tests of misuse make it warn as expected
    splats     what a driver must not do makes it report exactly that, in a guest
               for each case
    base       the base kernel with the part "tests" alone fails exactly the
               tests named in tools/testing/harness/expect
    runner     guests that warn, oops, hang, skip or say nothing are seen as
               what they are

The last line is "N passed, N failed, N skipped"; the exit is 0 only when nothing
failed, was skipped, or did not run.
EOF
}

add() { PASSED=$((PASSED + $1)); FAILED=$((FAILED + $2)); SKIPPED=$((SKIPPED + $3)); }

# A command that leaves its totals behind.
part() { # COMMAND ARGUMENT...
	rm -f "$BUILD/$1.totals"
	"$TOP/scripts/$1.sh" "${@:2}" || true
	if [ -e "$BUILD/$1.totals" ]; then
		# shellcheck disable=SC2046 # three numbers
		add $(cat "$BUILD/$1.totals")
	else
		add 0 1 0
	fi
}

splats() { grep -oE '^[a-z_]+' "$EXPECT/splats"; }

# The guests of both kernels, the longest first: a name, and options of run.sh.
guests() {
	local splat
	cat <<EOF
series --limit 500
base --limit 500 --variant base --failures $EXPECT/base.failures
series-big --limit 300 --append $BIG -- teardown. lifetime. putting. synchronize
base-big --limit 500 --variant base --append $BIG --failures $EXPECT/base-big.failures
series-misuse --plan misuse --splats $EXPECT/misuse.splats
base-misuse --variant base --plan misuse --failures $EXPECT/base-misuse.failures --splats $EXPECT/base-misuse.splats
EOF
	for splat in $(splats); do
		echo "splat-$splat --splat $splat --limit 40"
	done
	for splat in $(runners); do
		echo "runner-$splat --plan $splat --limit 20"
	done
}

# Guests that must be called a failure, and for which reason.
RUNNERS='warn	console is not clean: .*WARNING
oops	console is not clean: .*BUG: 
hang	the guest hung
short	plan not kept: 2 planned, 1 seen
skip	skipped: all is well
silent	no test ran'

runners() { cut -f 1 <<<"$RUNNERS"; }

# Runs what guests() names, and says of each how it ended.
run_guests() {
	local name options
	guests | while read -r name options; do
		rm -rf "$BUILD/run/$name"
		echo "$TOP/scripts/run.sh --name $name $options >$BUILD/log/guest-$name.log 2>&1; grep -hE '^(PASS|FAIL|  )' $BUILD/log/guest-$name.log"
	done | parallel --will-cite -j "$JOBS" 9>&- || true
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

count_runner() { # NAME REASON
	local dir=$BUILD/run/runner-$1
	if [ "$(cat "$dir/verdict" 2>/dev/null)" = FAIL ] && grep -qE "$2" "$dir/why"; then
		say "${GREEN}ok${OFF} runner.$1: $(grep -E -m 1 "$2" "$dir/why")"
		add 1 0 0
	else
		say "${RED}not ok${OFF} runner.$1: taken for good, or not called a failure because of: $2"
		add 0 1 0
	fi
}

part_guests() {
	local name reason variant
	for variant in base series; do
		"$TOP/scripts/kernel.sh" --variant "$variant" || { add 0 1 0; return 0; }
	done
	step "guests: $(guests | wc -l), $JOBS at a time; those named runner must fail"
	run_guests
	for name in series series-big series-misuse base base-big base-misuse; do
		count_guest "$name"
	done
	for name in $(splats); do
		if [ "$(cat "$BUILD/run/splat-$name/verdict" 2>/dev/null)" = PASS ]; then
			add 1 0 0
		else
			say "${RED}not ok${OFF} splat $name: $(head -n 1 "$BUILD/run/splat-$name/why" 2>/dev/null || tail -n 1 "$BUILD/log/guest-splat-$name.log")"
			add 0 1 0
		fi
	done
	while IFS=$'\t' read -r name reason; do
		count_runner "$name" "$reason"
	done <<<"$RUNNERS"
}

main() {
	local start=$SECONDS part
	case ${1:-} in -h | --help) usage; return ;; esac
	for part in "$@"; do
		case $part in check | model | matrix | guests) ;; *) die2 "test takes no '$part'; see ./build.sh test --help" ;; esac
	done
	[ $# -gt 0 ] || set -- check model matrix guests
	"$TOP/scripts/deps.sh"
	"$TOP/scripts/fetch.sh"
	"$TOP/scripts/tree.sh"
	for part in "$@"; do
		case $part in
		guests) part_guests ;;
		matrix) part matrix "${CELLS[@]}" ;;
		*) part "$part" ;;
		esac
	done
	say "test: $(elapsed "$start")"
	say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
	[ "$FAILED" -eq 0 ] && [ "$SKIPPED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
