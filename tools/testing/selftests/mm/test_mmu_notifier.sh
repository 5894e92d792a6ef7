#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Loads test_mmu_notifier and runs mmu_notifier; without an argument for it, also
# loads and unloads the module a few times, before and after.
#
# usage: test_mmu_notifier.sh [smoke | misuse] [argument of mmu_notifier ...]
#
# "misuse" runs tests that make the kernel warn, and nothing else does: without
# argument those that it survives. It leaves the module loaded.

MODULE=test_mmu_notifier
KSFT_SKIP=4
DIR=$(dirname "$(readlink -f "$0")")

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
load_and_run()
{
	$BUILTIN || modprobe "$MODULE" "misuse=$MISUSE" || fail "the module does not load"
	"$DIR/mmu_notifier" "$@"
}

# Unloads it afterwards.
run()
{
	local status

	load_and_run "$@"
	status=$?
	$BUILTIN || modprobe -r "$MODULE" || fail "the module does not unload"
	[ "$status" -eq 0 ] || exit "$status"
}

MODE=${1:-smoke}
[ $# -eq 0 ] || shift
RELOADS=3
[ $# -eq 0 ] || RELOADS=0
BUILTIN=false
MISUSE=0

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
	run -F misuse -F splat "$@"
	$BUILTIN || reload
	[ "$before" -eq "$(taint)" ] || fail "the kernel is tainted, see dmesg"
	;;
misuse)
	MISUSE=1
	$BUILTIN || modprobe -r -q "$MODULE"
	[ $# -gt 0 ] || set -- -f misuse
	load_and_run "$@" || exit
	;;
*)
	sed -n 's/^# \?//; 4,10p' "$0"
	exit 1
	;;
esac
