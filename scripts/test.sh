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

usage() {
	cat <<EOF
usage: ./build.sh test [--base]

  check        ./build.sh check
  model        ./build.sh model
  series       the patched kernel passes its kselftests, and with the large SRCU
               those of teardown; the tests of misuse make it warn as expected
  splats       what a driver must not do makes it report exactly that, in a guest
               for each case
  base         the base kernel with the part "tests" alone fails exactly the
               tests named in tools/testing/harness/expect
  runner       guests that warn, oops, hang, skip or say nothing are seen as
               what they are

--base runs the part "base" alone. The last line is
"N passed, N failed, N skipped"; the exit is 0 only when nothing failed, was
skipped, or did not run.
EOF
}

add() { PASSED=$((PASSED + $1)); FAILED=$((FAILED + $2)); SKIPPED=$((SKIPPED + $3)); }

# A guest counts with its tests. One that fails for another reason, or gives no
# totals at all, is a failure more.
guest() { # NAME ARGUMENT...
	local name=$1 passed=0 failed=0 skipped=0
	shift
	rm -rf "$BUILD/run/$name"
	if "$TOP/scripts/run.sh" --name "$name" "$@"; then
		read -r passed failed skipped <"$BUILD/run/$name/totals"
		# Those that fail as they should have passed.
		add $((passed + failed)) 0 "$skipped"
	else
		read -r passed failed skipped 2>/dev/null <"$BUILD/run/$name/totals" || true
		[ "$failed" -gt 0 ] || failed=1
		add "$passed" "$failed" "$skipped"
	fi
}

# The runner must call this guest a failure, and for this reason.
must_fail() { # PLAN REASON
	local dir=$BUILD/run/runner-$1
	rm -rf "$dir"
	if "$TOP/scripts/run.sh" --name "runner-$1" --plan "$1" --limit 8 >"$BUILD/log/runner-$1.log" 2>&1; then
		say "${RED}not ok${OFF} runner.$1: the guest was taken for good"
		add 0 1 0
	elif ! grep -qE "$2" "$dir/why" 2>/dev/null; then
		say "${RED}not ok${OFF} runner.$1: failed, but not because of: $2"
		tail -n 5 "$BUILD/log/runner-$1.log"
		add 0 1 0
	else
		say "${GREEN}ok${OFF} runner.$1: $(grep -E -m 1 "$2" "$dir/why")"
		add 1 0 0
	fi
}

job() { # COMMAND...
	"$@" || { add 0 1 0; return 1; }
}

# A command that leaves its totals behind.
part() { # COMMAND
	rm -f "$BUILD/$1.totals"
	"$TOP/scripts/$1.sh" || true
	if [ -e "$BUILD/$1.totals" ]; then
		# shellcheck disable=SC2046 # three numbers
		add $(cat "$BUILD/$1.totals")
	else
		add 0 1 0
	fi
}

part_series() {
	job "$TOP/scripts/kernel.sh" || return 0
	guest series
	# What ends in an SRCU callback: the rest does not depend on its kind.
	guest series-big --append "$BIG" -- teardown. lifetime. putting. synchronize
	guest series-misuse --plan misuse --splats "$EXPECT/misuse.splats"
}

# Two guests at a time; a splat counts as one test.
part_splats() {
	local splat splats
	splats=$(grep -oE '^[a-z_]+' "$EXPECT/splats")
	step "splats: $(wc -w <<<"$splats") guests"
	rm -rf "$BUILD"/run/splat-*
	parallel --will-cite -j "$JOBS" \
		"$TOP/scripts/run.sh --name splat-{} --splat {} --limit 16 >$BUILD/log/splat-{}.log 2>&1" <<<"$splats" || true
	for splat in $splats; do
		if [ "$(cat "$BUILD/run/splat-$splat/verdict" 2>/dev/null)" = PASS ]; then
			add 1 0 0
		else
			say "${RED}not ok${OFF} splat $splat: $(head -n 1 "$BUILD/run/splat-$splat/why" 2>/dev/null || tail -n 1 "$BUILD/log/splat-$splat.log")"
			add 0 1 0
		fi
	done
}

part_base() {
	job "$TOP/scripts/kernel.sh" --variant base || return 0
	guest base --variant base --failures "$EXPECT/base.failures"
	guest base-big --variant base --append "$BIG" --failures "$EXPECT/base-big.failures"
	guest base-misuse --variant base --plan misuse \
		--failures "$EXPECT/base-misuse.failures" --splats "$EXPECT/base-misuse.splats"
}

part_runner() {
	step "runner: guests that must fail"
	must_fail warn 'console is not clean: .*WARNING'
	must_fail oops 'console is not clean: .*BUG: '
	must_fail hang 'the guest hung'
	must_fail short 'plan not kept: 2 planned, 1 seen'
	must_fail skip 'skipped: all is well'
	must_fail silent 'no test ran'
}

main() {
	local start=$SECONDS base=
	case ${1:-} in -h | --help) usage; return ;; --base) base=1 ;; '') ;; *) die2 "test takes no '$1'" ;; esac
	"$TOP/scripts/deps.sh"
	"$TOP/scripts/fetch.sh"
	"$TOP/scripts/tree.sh"
	if [ -n "$base" ]; then
		part_base
	else
		part check
		part model
		part_series
		part_splats
		part_base
		part_runner
	fi
	say "test: $(elapsed "$start")"
	say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
	[ "$FAILED" -eq 0 ] && [ "$SKIPPED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
