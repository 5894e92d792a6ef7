#!/usr/bin/env bash
# Breaks the series in one place after the other: the tests have to see it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MUTANTS=$TOP/tools/testing/mutants

usage() {
	cat <<EOF
usage: ./build.sh mutants [NAME...]

Applies each patch of tools/testing/mutants (or those named) alone on the
series, builds it incrementally, and runs what its lines "Tests:" and "Options:"
name (of ./build.sh run). The mutant is caught when the guest says that a test
failed or the console is not what it should be; one that survives is a test that
is missing. Exit 0 when all were caught.

$(list_mutants | sed 's/^/  /')
EOF
}

list_mutants() {
	local patch
	for patch in "$MUTANTS"/*.patch; do
		printf '%-28s %s\n' "$(basename "$patch" .patch)" "$(field Breaks "$patch")"
	done
}

field() { sed -n "s/^$1: //p" "$2"; }

# A guest that did not come as far as a test has caught nothing.
caught() { # DIR
	[ "$(cat "$1/verdict" 2>/dev/null)" = FAIL ] &&
		grep -qE '^(failed:|the console is not clean|the console (does not show|shows)|the guest hung)' "$1/why" &&
		grep -qaE 'RUN  |^(not )?ok ' "$1/results"
}

mutant() { # NAME
	local patch=$MUTANTS/$1.patch log=$BUILD/log/mutant-$1.log start=$SECONDS
	local -a tests
	read -ra tests <<<"$(field Tests "$patch")"
	if ! "$TOP/scripts/kernel.sh" --mutant "$patch" >"$log" 2>&1; then
		tail -n 5 "$log"
		say "${RED}not ok${OFF} mutant $1: it could not be built: ${log#"$TOP/"}"
		return 1
	fi
	# shellcheck disable=SC2046 # a list of words
	"$TOP/scripts/run.sh" --variant mutant --limit 16 --name "mutant-$1" $(field Options "$patch") \
		-- "${tests[@]}" >>"$log" 2>&1 || true
	if caught "$BUILD/run/mutant-$1"; then
		say "${GREEN}ok${OFF} mutant $1: caught, $(head -n 1 "$BUILD/run/mutant-$1/why"), $(elapsed "$start")"
	else
		say "${RED}not ok${OFF} mutant $1: it survived: ${log#"$TOP/"}"
		return 1
	fi
}

main() {
	local name passed=0 failed=0
	case ${1:-} in -h | --help) usage; return ;; -*) die2 "mutants takes no '$1'; see ./build.sh mutants --help" ;; esac
	need_tree
	# Its kselftests are those of every mutant.
	"$TOP/scripts/kernel.sh"
	if [ $# -eq 0 ]; then
		# shellcheck disable=SC2046 # a list of names
		set -- $(list_mutants | cut -d' ' -f1)
	fi
	for name in "$@"; do
		[ -e "$MUTANTS/$name.patch" ] || die2 "there is no mutant $name; see ./build.sh mutants --help"
	done
	step "mutants: $# of them"
	for name in "$@"; do
		if mutant "$name"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	done
	printf '%s %s 0\n' "$passed" "$failed" >"$BUILD/mutants.totals"
	say "mutants: $passed caught, $failed not"
	[ "$failed" -eq 0 ]
}

main "$@"
