#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Loads test_mmu_notifier and runs the programs mmu_notifier_*; without an argument
# for them, also loads and unloads the module a few times, before and after.
#
# usage: test_mmu_notifier.sh [smoke | misuse] [argument of the programs ...]
#
# Each program with a test that the arguments select is a subtest. "misuse" runs
# mmu_notifier_misuse alone, whose tests make the kernel warn, and nothing else
# does: without argument those that it survives. It leaves the module loaded.

MODULE=test_mmu_notifier
KSFT_SKIP=4
DIR=$(dirname "$(readlink -f "$0")")

# Those of reap last: a kernel that fails the last of them keeps threads.
PROGRAMS=(
	events
	lifetime
	interval
	overlap
	hmm
	queries
	flat
	stress
	teardown
	watch
	reap
)

skip()
{
	echo "$0: $*"
	exit "$KSFT_SKIP"
}

fail()
{
	echo "$0: $*"
	exit 1
}

# What the module adds, TAINT_TEST, is expected.
taint()
{
	echo $(($(cat /proc/sys/kernel/tainted) & ~(1 << 18)))
}

reload()
{
	local i

	for ((i = 0; i < RELOADS; i++)); do
		modprobe "$MODULE" || fail "the module does not load"
		[ -c "/dev/$MODULE" ] || fail "there is no /dev/$MODULE"
		modprobe -r "$MODULE" || fail "the module does not unload"
		[ ! -e "/dev/$MODULE" ] || fail "/dev/$MODULE is still there"
	done
}

# NUMA balancing invalidates ranges when it likes to: exact counts need it off.
quiet_numa()
{
	local knob=/proc/sys/kernel/numa_balancing old

	[ -w "$knob" ] || return 0
	old=$(cat "$knob")
	# shellcheck disable=SC2064 # the value of now
	trap "echo $old >$knob" EXIT
	echo 0 >"$knob"
}

# The module, unless it is built in.
load()
{
	$BUILTIN || modprobe "$MODULE" "misuse=$MISUSE" || fail "the module does not load"
	# For the tests of hmm, which skip without it.
	modprobe -q test_hmm
	return 0
}

# As a subtest, unless none of its tests is selected. Up to the exit of the program,
# and not to the end of its output: a test that failed can leave processes behind.
run_program()
{
	local name=mmu_notifier_$1 status=1 line
	shift

	while IFS= read -r line; do
		case $line in
		"TAP version 13")
			continue
			;;
		1..0)
			return
			;;
		1..*)
			echo "# TAP version 13"
			;;
		"$name: exit "*)
			status=${line##* }
			break
			;;
		esac
		printf '# %s\n' "$line"
	done < <("$DIR/$name" "$@" 2>&1; echo "$name: exit $?")

	if [ "$status" -eq 0 ]; then
		PASSED=$((PASSED + 1))
		echo "ok $((PASSED + FAILED)) $name"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $((PASSED + FAILED)) $name"
	fi
}

run_programs()
{
	local program

	echo "TAP version 13"
	for program in "${PROGRAMS[@]}"; do
		run_program "$program" "$@"
	done
	echo "# SUMMARY: PASS=$PASSED SKIP=0 FAIL=$FAILED"
	echo "1..$((PASSED + FAILED))"
	[ $((PASSED + FAILED)) -gt 0 ] || fail "there is no such test"
}

MODE=${1:-smoke}
[ $# -eq 0 ] || shift
RELOADS=3
[ $# -eq 0 ] || RELOADS=0
BUILTIN=false
MISUSE=0
PASSED=0
FAILED=0

[ "$(id -u)" -eq 0 ] || skip "must run as root"
command -v modprobe >/dev/null || skip "needs modprobe"
if [ -d "/sys/module/$MODULE" ] && [ ! -e "/sys/module/$MODULE/initstate" ]; then
	BUILTIN=true
elif ! modprobe -n "$MODULE" 2>/dev/null; then
	skip "needs CONFIG_TEST_MMU_NOTIFIER"
fi
quiet_numa

case $MODE in
smoke)
	before=$(taint)
	$BUILTIN || reload
	load
	run_programs "$@"
	$BUILTIN || modprobe -r "$MODULE" || fail "the module does not unload"
	[ "$FAILED" -eq 0 ] || exit 1
	$BUILTIN || reload
	[ "$before" -eq "$(taint)" ] || fail "the kernel is tainted, see dmesg"
	;;
misuse)
	MISUSE=1
	$BUILTIN || modprobe -r -q "$MODULE"
	[ $# -gt 0 ] || set -- -f misuse
	load
	"$DIR/mmu_notifier_misuse" "$@" || exit
	;;
*)
	sed -n 's/^# \?//; 4,11p' "$0"
	exit 1
	;;
esac
