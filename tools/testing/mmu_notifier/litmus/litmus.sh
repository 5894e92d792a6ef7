#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Runs the litmus tests of this folder with the kernel's own memory model.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<-END
	usage: litmus.sh [--linux TREE] [--build DIR] [NAME...]

	NAME is a test of this folder, without .litmus; all of them if none is given. TREE
	has tools/memory-model, linux/ of this repository if not given. What herd7 says is
	left in DIR. \$HERD7, or else the herd7 of scripts/herd.sh, or that of the PATH.

	One line a test, and one for each of its twins: what is expected, and what came.
	A test names its twins in its first comment. Twin T lacks the lines that end with
	"// -T", and has those that begin with "// +T". The result is herd7's: Never,
	Sometimes or Always, with "race" when plain accesses race. A test that is Never has
	to have a twin that is Sometimes.

	Exit 0 if all are as expected, 1 if not, 2 if there is no herd7 or no model.
	END
}

linux=../../../../linux build=../../../../build/litmus
while [ $# -gt 0 ]; do
	case $1 in
	--linux) linux=${2-} ;;
	--build) build=${2-} ;;
	-h | --help) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) break ;;
	esac
	shift 2 || { usage >&2; exit 2; }
done

herd=${HERD7:-../../../../build/herd/herd7}
[ -x "$herd" ] || herd=$(command -v herd7) || {
	echo "litmus.sh: no herd7: run scripts/herd.sh" >&2
	exit 2
}
herd=$(realpath "$herd")
[ -f "$linux/tools/memory-model/linux-kernel.cfg" ] || {
	echo "litmus.sh: no tools/memory-model in $linux" >&2
	exit 2
}
model=$(realpath "$linux")/tools/memory-model
mkdir -p "$build"
build=$(realpath "$build")

passed=0 failed=0

# herd7 takes the files that the configuration names from the current folder. For an
# architecture it has a model of its own.
run() { # TEST
	local log=$build/$1.log seen
	local -a options=()
	! head -n 1 "$build/$1.litmus" | grep -q '^C ' || options=(-conf linux-kernel.cfg)
	(cd "$model" && timeout 600 "$herd" "${options[@]}" "$build/$1.litmus") >"$log" 2>&1 || true
	seen=$(sed -n 's/^Observation [^ ]* \(Never\|Sometimes\|Always\) .*/\1/p' "$log")
	# herd7 goes on after some errors.
	if [ -z "$seen" ] || grep -qE '^(Warning|File|Fatal)' "$log"; then
		grep -m 1 -E '^(Warning|File|Fatal)' "$log" || echo "herd7 says nothing"
		return 0
	fi
	# Any other flag is an error of the test, but for what Arm's model takes for granted.
	sed -nE '/Assuming-common-inner-shareable-domain/d; s/^Flag //; T; s/data-race/race/; p' "$log" |
		xargs echo "$seen"
}

check() { # TEST EXPECTED
	local seen
	seen=$(run "$1")
	if [ "$seen" = "$2" ]; then
		passed=$((passed + 1))
		echo "ok $1: $2"
	else
		failed=$((failed + 1))
		echo "not ok $1: expected $2, got $seen"
	fi
}

# The marks go: not every language of herd7 has comments.
unmark() { # NAME
	sed -E -e 's/\s*\/\/ [-+].*//' >"$build/$1.litmus"
}

twin() { # TEST TWIN
	sed -E -e "1s/$/-$2/" -e "/\/\/.* -$2( |\$)/d" -e "s/^(\s*)\/\/ \+$2 /\1/" "$1.litmus" | unmark "$1.$2"
	# One that is the same as its test would prove nothing.
	if cmp -s <(tail -n +2 "$build/$1.litmus") <(tail -n +2 "$build/$1.$2.litmus"); then
		echo "litmus.sh: $1.litmus has no line for its twin $2" >&2
		exit 2
	fi
}

[ $# -gt 0 ] || { set -- *.litmus; set -- "${@%.litmus}"; }
for test; do
	[ -f "$test.litmus" ] || { echo "litmus.sh: there is no $test.litmus" >&2; exit 2; }
	expected=$(sed -n 's/^ \* Result: //p' "$test.litmus")
	mapfile -t twins < <(sed -nE 's/^ \* Twin ([^:]*): (.*)/\1 \2/p' "$test.litmus")
	unmark "$test" <"$test.litmus"
	check "$test" "${expected:-a result}"
	can_fail=no
	for line in "${twins[@]}"; do
		twin "$test" "${line%% *}"
		check "$test.${line%% *}" "${line#* }"
		[[ $line != *' Sometimes'* ]] || can_fail=yes
	done
	if [ "$expected" = Never ] && [ $can_fail = no ]; then
		failed=$((failed + 1))
		echo "not ok $test: none of its twins is Sometimes"
	fi
done
echo "litmus: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
