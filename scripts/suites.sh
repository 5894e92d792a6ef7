#!/usr/bin/env bash
# Other people's tests on the base and on the series: none may do worse.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CONFIG=suites
OUT=$BUILD/suites

usage() {
	cat <<EOF
usage: ./build.sh suites [--save] [GROUP...]

Runs the commands of tools/testing/harness/suites (groups: $(groups | paste -sd ' ')),
other people's tests of what the series touches, on the base and on the series,
and compares them test by test. A test that passes on the base and not on the
series, or fails on the series alone, a warning that only the series gives, or a
guest that hangs is a failure.
Prints a table in Markdown; all that the tests said is in build/suites. --save
puts the table into Documentation/series/suites.md, when all groups are run.
EOF
}

groups() { sed -n 's/^\([a-z]*\) .*/\1/p' "$HARNESS/suites" | uniq; }

commands() { sed -n "s/^$1  *[a-z]*  *[0-9]* //p" "$HARNESS/suites"; }

guest() { # VARIANT GROUP
	local name=suites-$1-$2 log=$BUILD/log/suites-$1-$2.log
	step "suites: $2 on $1"
	rm -rf "$BUILD/run/$name"
	# Some of them skip, or fail on the base; this is not where it is judged. Four
	# CPUs are what migration wants; random addresses collide only sometimes.
	"$TOP/scripts/run.sh" --name "$name" --variant "$1" --plan suite --cpus 4 --memory 3072 --append norandmaps --limit 1200 -- "$2" \
		>"$log" 2>&1 || true
	[ -e "$BUILD/run/$name/results" ] || die "there was no guest: ${log#"$TOP/"}, $(tail -qn 1 "$log")"
	grep -aqx '# guest: end' "$BUILD/run/$name/results" ||
		echo "$2 on $1: the guest did not come to its end: ${log#"$TOP/"}, $(cat "$BUILD/run/$name/why" 2>/dev/null)" >>"$OUT/worse"
	split "$BUILD/run/$name/results" "$OUT/$1/$2"
	touch "$BUILD/run/$name/bad"
	sed 's/^\[ *[0-9.]*\] //; s/CPU: [0-9].*//; s/0x[0-9a-f]*/N/g; s/[0-9][0-9]*/N/g' "$BUILD/run/$name/bad" | sort -u >"$OUT/$1/$2/bad"
}

# What each command said, in a file of its number, ending with its own verdict.
split() { # RESULTS DIR
	rm -rf "$2"
	mkdir -p "$2"
	awk -v dir="$2" '{ sub(/\r$/, "") } /^(not )?ok [0-9]+ / {
		n = ($1 == "not" ? $3 : $2)
		printf "1..1\n%s%s\n", block, $0 >(dir "/" n)
		block = ""
		next
	} /^# / { block = block $0 "\n" }' "$1"
}

# "pass NAME" for each test of a command.
tests() { # VARIANT GROUP NUMBER
	awk -f "$TOP/scripts/ktap.awk" "$OUT/$1/$2/$3" 2>/dev/null | { grep -E '^(pass|fail|skip) ' || true; } | sort
}

# Passed, failed, expected to fail, skipped.
counts() { # TESTS
	awk '/^pass / { p++ } /^fail / && / \(X[A-Z]*\)$/ { x++; next } /^fail / { f++ } /^skip / { s++ }
		END { print p + 0 " / " f + 0 " / " x + 0 " / " s + 0 }' <<<"$1"
}

passed() { sed -n 's/^pass //p' <<<"$1" | sort; }

expected() { sed -nE 's/^fail (.*) \(XFAIL\)$/\1/p' <<<"$1" | sort; }

failed() { sed -nE '/ \(X[A-Z]*\)$/!s/^fail //p' <<<"$1" | sort; }

# What passed has to pass; what failed as its author expects may not fail otherwise;
# and nothing may fail that did not, whether it was skipped or did not run.
worse_tests() { # BASE SERIES
	{
		comm -23 <(passed "$1") <(passed "$2")
		comm -23 <(expected "$1") <({ passed "$2"; expected "$2"; } | sort)
		comm -13 <(failed "$1") <(failed "$2")
	} | sort -u
}

# The row of one command; the file "worse" gets what passed before and does not
# now. GOOD is how many commands pass something on the base; the others are in
# the file "nothing".
row() { # GROUP NUMBER COMMAND
	local base series worse
	base=$(tests base "$1" "$2")
	series=$(tests series "$1" "$2")
	if grep -q '^pass ' <<<"$base"; then GOOD=$((GOOD + 1)); else printf '  %s\n' "$3" >>"$OUT/nothing"; fi
	worse=$(worse_tests "$base" "$series")
	printf '| %s | %s | %s | %s |\n' "$3" "$(counts "$base")" "$(counts "$series")" "$(tr '\n' ' ' <<<"$worse")"
	[ -z "$worse" ] || printf '%s: %s\n' "$3" "$worse" >>"$OUT/worse"
}

table() {
	local group n command
	printf '| | base: passed / failed / expected to fail / skipped | series | worse |\n|---|---|---|---|\n'
	for group in "$@"; do
		n=0
		GOOD=0
		while read -r command; do
			n=$((n + 1))
			row "$group" "$n" "$command"
		done < <(commands "$group")
		[ "$GOOD" -gt 0 ] || echo "$group: nothing passes on the base, so nothing was compared" >>"$OUT/worse"
		comm -13 "$OUT/base/$group/bad" "$OUT/series/$group/bad" |
			sed "s/^/$group, the console: /" >>"$OUT/worse"
	done
}

save_table() {
	{
		saved_by suites "Other people's tests, on base and series"
		# shellcheck disable=SC2016 # backticks of Markdown
		printf 'In a guest with 4 CPUs under emulation; `tools/testing/harness/suites` says what is\n'
		printf 'run. A test that skips wants something that this guest does not have. The first\n'
		printf 'lines of that file say what is left out, and why.\n\n'
		cat "$OUT/suites.md"
	} >"$TOP/Documentation/series/suites.md"
}

main() {
	local group variant start=$SECONDS save=
	case ${1:-} in
	-h | --help) usage; return ;;
	--save) save=1; shift ;;
	esac
	[ -z "$save" ] || [ $# -eq 0 ] || die2 "--save is for all groups"
	for group in "$@"; do
		groups | grep -qxF -- "$group" || die2 "suites takes no '$group'; see ./build.sh suites --help"
	done
	[ $# -gt 0 ] || eval "set -- $(groups | tr '\n' ' ')"
	mkdir -p "$OUT" "$BUILD/log"
	: >"$OUT/worse"
	: >"$OUT/nothing"
	for variant in base series; do
		"$TOP/scripts/kernel.sh" --variant "$variant"
	done
	for group in "$@"; do
		for variant in base series; do
			guest "$variant" "$group"
		done
	done
	table "$@" | tee "$OUT/suites.md"
	[ -z "$save" ] || save_table
	[ ! -s "$OUT/nothing" ] || { say "nothing to compare, as nothing passes on the base:"; cat "$OUT/nothing"; }
	say "suites: $(elapsed "$start")"
	if [ -s "$OUT/worse" ]; then
		say "${RED}worse than the base:${OFF}"
		cat "$OUT/worse"
		return 1
	fi
}

main "$@"
