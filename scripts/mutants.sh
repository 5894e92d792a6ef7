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
	cat <<EOT
usage: ./build.sh mutants [OPTION...] [NAME...]

Applies each patch of tools/testing/mutants (or those named) alone on the series.
What the explorer of tools/testing/mmu_notifier sees is caught in seconds; the rest
is built incrementally in the configuration of its line "Config:", and boots with
what its lines "Tests:" and "Options:" (of ./build.sh run) name. The mutant is
caught when a test failed or the console is not what it should be, or, with a
line "Hangs:", when the guest hangs. In a configuration other than debug the series
itself has to pass the same tests first. A mutant that survives means that a test
is missing. Exit 0 when all were caught.

$(jobs_usage)

$(names_of '' | while read -r name; do printf '  %-28s %s\n' "$name" "$(field Breaks "$name")"; done)
EOT
}

# What a word of the command line stands for.
names_of() { # WORD
	(cd "$MUTANTS" && printf '%s\n' *.patch | sed 's/\.patch$//' | if [ -n "$1" ]; then grep -xF -- "$1"; else cat; fi)
}

field() { sed -n "s/^$1: //p" "$MUTANTS/$2.patch"; } # FIELD NAME

# Prints why the mutant is caught, in the words of scripts/judge.py. A guest that did
# not come as far as a test has caught nothing; one that hangs has only where that is
# what the mutant is said to do; and what the console does not show, or how often it
# does, says something only when all tests were run, to the end.
caught() { # NAME DIR
	local reasons='failed: |the console is not clean: |BUG: KCSAN: '
	[ -z "$(field Hangs "$1")" ] || reasons+='|the guest hung: '
	[ -n "$(field Tests "$1")" ] || ! grep -qax '# guest: end' "$2/results" ||
		reasons+='|the console does not show: |the console shows '
	[ "$(cat "$2/verdict" 2>/dev/null)" = FAIL ] && grep -qaE 'RUN  |^(not )?ok ' "$2/results" &&
		grep -a -m 1 -E "^($reasons)" "$2/why"
}

run() { bash "$TOP/scripts/run.sh" "$@"; }

# Boots what was built, with the tests of a mutant.
run_tests() { # NAME OPTION...
	local -a tests options
	read -ra tests <<<"$(field Tests "$1")"
	read -ra options <<<"$(field Options "$1")"
	run --built "${@:2}" "${options[@]}" "${tests[@]}"
}

# Whether a program in user space sees it, with at most two preemptions: what takes
# longer than a guest is no gain.
# shellcheck disable=SC2153 # RESULT is from scripts/worker.sh
explored() { # NAME
	bash "$TOP/tools/testing/mmu_notifier/mutants.sh" --linux "$LINUX_TREE" --commit "$(series_commit)" \
		--build "$BUILD/explore-mutants" --bound 2 "$MUTANTS/$1.patch" >"$RESULT/explored"
}

# Leaves what scripts/worker.sh wants in $RESULT.
one() { # NAME
	local start=$SECONDS guest=$BUILD/run/mutant-$1 patch=$MUTANTS/$1.patch config why
	config=$(field Config "$1")
	[ -z "$config" ] || set_option config "$config"
	rm -rf "$guest"
	if explored "$1"; then
		why="in user space: $(sed 's/^ok [^ ]* # //' "$RESULT/explored")"
		echo "$why" >"$RESULT/why"
		touch "$RESULT/passed"
		echo "caught, $why, $(elapsed "$start")" >"$RESULT/row"
		return
	fi
	echo "it could not be built" >"$RESULT/row"
	# Its kselftests are those of every mutant.
	run --build-only
	# ./build.sh test sees to the usual configuration.
	if [ "$CONFIG" != debug ] && ! run_tests "$1" --name "series-$1"; then
		echo "the series itself does not pass in $CONFIG" >"$RESULT/row"
		return
	fi
	run --build-only --mutant "$patch"
	if run_tests "$1" --mutant "$patch" --name "mutant-$1"; then
		echo "it survived" >"$RESULT/row"
	elif why=$(caught "$1" "$guest"); then
		echo "$why" >"$RESULT/why"
		touch "$RESULT/passed"
		echo "caught, $why, $(elapsed "$start")" >"$RESULT/row"
	else
		echo "it failed for another reason: $(head -n 1 "$guest/why")" >"$RESULT/row"
	fi
}

table() { # NAME...
	local name
	printf '| mutant | breaks | caught by |\n|---|---|---|\n'
	for name in "$@"; do
		printf '| %s | %s | %s |\n' "$name" "$(field Breaks "$name")" \
			"$(job_passed mutants "$name" && sed 's/\[ *[0-9.]*\] //' "$RESULTS/mutants/$name/why" || echo SURVIVED)"
	done
}

main() {
	local start=$SECONDS
	if [ "${1:-}" = --one ]; then
		one "$2"
		return
	fi
	jobs_parse mutants "$@"
	[ -z "$SAVE" ] || [ "${NAMES[*]}" = "$(names_of '' | paste -sd ' ')" ] || die2 "--save is for all of them"
	need_tree
	step "mutants: ${#NAMES[@]} of them"
	run_jobs mutants "${NAMES[@]}"
	[ -z "$SAVE" ] || table "${NAMES[@]}" | python3 "$TOP/scripts/results.py" put mutants
	say "mutants: $PASSED caught, $FAILED not, $(elapsed "$start")"
	[ "$FAILED" -eq 0 ]
}

main "$@"
