#!/usr/bin/env bash
# Checks the model of range tracking, and that it can fail: lets spin go through every
# interleaving, once for what must never happen, once for what must happen some day
# (with -DLIVE), and then breaks it in each of the ways that its first comment names.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MODEL=$TOP/tools/testing/model/tracking.pml
PASSED=0
FAILED=0

# Prints ok, or how it fails.
verify() { # NAME DEFINE...
	local dir=$BUILD/model/$1 checks=-DSAFETY limits=''
	shift
	rm -rf "$dir"
	mkdir -p "$dir"
	case " $* " in *" -DLIVE "*) checks=-DNOREDUCE limits='-a -f' ;; esac
	cp "$MODEL" "$dir/"
	(
		cd "$dir"
		spin -a "$@" tracking.pml && gcc -O2 -w "$checks" -o pan pan.c
	) >"$dir/log" 2>&1 || { echo "cannot be built"; return; }
	# shellcheck disable=SC2086 # a list of words
	(cd "$dir" && ./pan -m1000000 $limits) >>"$dir/log" 2>&1 || true
	if grep -q 'errors: [1-9]' "$dir/log"; then
		grep -m 1 -oE '(assertion violated|invalid end state|acceptance cycle)' "$dir/log" || echo "an error of another kind"
	# A search that was cut short has not seen everything.
	elif grep -qE 'max search depth too small|out of memory|Search not completed' "$dir/log" ||
		! grep -q 'errors: 0$' "$dir/log"; then
		echo "the search is not complete"
	else
		echo ok
	fi
}

report() { # GOOD NAME TEXT
	if [ "$1" = yes ]; then
		PASSED=$((PASSED + 1))
		say "${GREEN}ok${OFF} model.$2: $3"
	else
		FAILED=$((FAILED + 1))
		say "${RED}not ok${OFF} model.$2: $3 (build/model/$2/log)"
	fi
}

must_hold() { # NAME DEFINE...
	local result good=no
	result=$(verify "$@")
	[ "$result" != ok ] || good=yes
	report "$good" "$1" "$result, $(awk '/states, stored/ { print $1 + 0 }' "$BUILD/model/$1/log") states"
}

must_fail() { # NAME DEFINE...
	local result good=no
	result=$(verify "$@")
	case $result in assertion* | invalid* | acceptance*) good=yes ;; esac
	report "$good" "$1" "$result"
}

# The ways to break it: "NAME" or "NAME LIVE", a line each.
breaks() {
	sed -nE 's/^ \*   ([A-Z_]+)\t.*\(with -DLIVE\)$/\1 LIVE/p; t; s/^ \*   ([A-Z_]+)\t.*/\1/p' "$MODEL"
}

main() {
	local name live start=$SECONDS
	command -v spin >/dev/null || die2 "there is no spin: run ./build.sh deps"
	step "model"
	must_hold safety
	must_hold progress -DLIVE
	while read -r name live; do
		must_fail "$name" "-D$name" ${live:+-DLIVE}
	done < <(breaks)
	printf '%s %s 0\n' "$PASSED" "$FAILED" >"$BUILD/model.totals"
	say "model: $PASSED passed, $FAILED failed, in $(elapsed "$start")"
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 2 ]
}

main "$@"
