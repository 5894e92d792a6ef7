#!/usr/bin/env bash
# Breaks the series in one place after the other: the tests have to see it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/jobs.sh
. "$TOP/scripts/jobs.sh"

MUTANTS=$TOP/tools/testing/mutants

usage() {
	cat <<EOF
usage: ./build.sh mutants [OPTION...] [NAME...]

Applies each patch of tools/testing/mutants (or those named) alone on the
series, builds it incrementally in the configuration of its line "Config:", and
runs what its lines "Tests:" and "Options:" (of ./build.sh run) name. The mutant
is caught when the guest says that a test failed or the console is not what it
should be, or, with a line "Hangs:", when the guest hangs. In a configuration
other than debug the series itself has to pass the same tests first. A mutant that
survives means that a test is missing. Exit 0 when all were caught.

$(jobs_usage)

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

# Prints why the mutant is caught. A guest that did not come as far as a test has
# caught nothing; one that hangs has only where that is what the mutant is said to
# do; and what the console does not show, or how often it does, says something only
# when all tests were run, to the end.
caught() { # DIR HANGS TESTS
	local reasons='failed:|the console is not clean'
	[ -z "$2" ] || reasons+='|the guest hung'
	[ -n "$3" ] || ! grep -qax '# guest: end' "$1/results" ||
		reasons+='|the console does not show|the console shows'
	[ "$(cat "$1/verdict" 2>/dev/null)" = FAIL ] && grep -qaE 'RUN  |^(not )?ok ' "$1/results" &&
		grep -a -m 1 -E "^($reasons)" "$1/why"
}

# Runs the tests of a mutant.
run_tests() { # VARIANT NAME PATCH
	local limit=16
	local -a tests options
	# KCSAN takes its time.
	[[ $CONFIG != kcsan* ]] || limit=60
	read -ra tests <<<"$(field Tests "$3")"
	read -ra options <<<"$(field Options "$3")"
	"$TOP/scripts/run.sh" --variant "$1" --limit "$limit" --name "$2" "${options[@]}" -- "${tests[@]}"
}

# Writes the verdict and the line of it where scripts/worker.sh wants them.
one() { # NAME
	local patch=$MUTANTS/$1.patch start=$SECONDS guest=$BUILD/run/mutant-$1 config why
	config=$(field Config "$patch")
	[ -z "$config" ] || set_option config "$config"
	# shellcheck disable=SC2153 # from scripts/worker.sh
	printf '%s' "not ok mutant $1: it could not be built: ${RESULT#"$TOP/"}/log" >"$RESULT/line"
	rm -rf "$guest"
	# Its kselftests are those of every mutant.
	"$TOP/scripts/kernel.sh"
	# ./build.sh test sees to the usual configuration.
	if [ "$CONFIG" != debug ] && ! run_tests series "series-$1" "$patch"; then
		printf '%s' "not ok mutant $1: the series itself does not pass in $CONFIG: ${RESULT#"$TOP/"}/log" >"$RESULT/line"
		return
	fi
	"$TOP/scripts/kernel.sh" --mutant "$patch"
	run_tests mutant "mutant-$1" "$patch" || true
	if why=$(caught "$guest" "$(field Hangs "$patch")" "$(field Tests "$patch")"); then
		echo PASS >"$RESULT/verdict"
		printf '%s' "ok mutant $1: caught, $why, $(elapsed "$start")" >"$RESULT/line"
	else
		printf '%s' "not ok mutant $1: it survived: ${RESULT#"$TOP/"}/log" >"$RESULT/line"
	fi
}

table() {
	local name
	printf '| mutant | breaks | caught by |\n|---|---|---|\n'
	for name in "$@"; do
		printf '| %s | %s | %s |\n' "$name" "$(field Breaks "$MUTANTS/$name.patch")" \
			"$(job_passed mutants "$name" && sed 's/.*: caught, //; s/\[ *[0-9.]*\] //; s/, [0-9:]*$//; s/; the console ends with:$//' "$RESULTS/mutants/$name/line" || echo SURVIVED)"
	done
}

main() {
	local name passed=0 failed=0 start=$SECONDS
	if [ "${1:-}" = --one ]; then
		one "$2"
		return
	fi
	jobs_parse mutants "$(list_mutants | cut -d' ' -f1)" "$@"
	need_tree
	step "mutants: ${#NAMES[@]} of them"
	run_jobs mutants "${NAMES[@]}"
	for name in "${NAMES[@]}"; do
		if job_passed mutants "$name"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	done
	[ -z "$SAVE" ] || { saved_by mutants 'Which test catches which break' && echo && table "${NAMES[@]}"; } >"$TOP/Documentation/series/mutants-caught.md"
	say "mutants: $passed caught, $failed not, $(elapsed "$start")"
	[ "$failed" -eq 0 ]
}

main "$@"
