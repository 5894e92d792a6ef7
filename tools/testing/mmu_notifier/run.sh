#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Goes through the schedules of all programs on the core of a commit, and shows on
# cores with known bugs that it finds them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<-END
	usage: run.sh [--linux TREE] [--commit REV] [--base REV] [--build DIR]

	TREE is a git tree of the kernel, linux/ of this repository if not given; REV is
	of it, HEAD and base. "ok" or "not ok" for each program, then a line that counts.
	Exit 0 if all are ok, 1 if not, 2 if they cannot be built or run.
	END
}

linux=../../../linux commit=HEAD base=base build=../../../build/explore
while [ $# -gt 0 ]; do
	case $1 in
	--linux) linux=$2 ;;
	--commit) commit=$2 ;;
	--base) base=$2 ;;
	--build) build=$2 ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift 2
done

passed=0 failed=0

say() { # RESULT NAME [REMARK]
	echo "$1 $2${3:+ # $3}"
	if [ "$1" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# Builds the explorer for a core; on failure says why.
compile() { # FOLDER COMMIT [CORE]
	local log=$build/$1.log
	local -a core=()
	[ -z "${3-}" ] || core=("CORE=cores/$3.c" "HEADER=cores/$3.h")
	mkdir -p "$build"
	make -s O="$build/$1" LINUX="$linux" COMMIT="$2" "${core[@]}" >"$log" 2>&1 || {
		say 'not ok' "compile.${3:-$2}" "$(grep -m 1 -E 'error|No rule|tree.sh|fatal' "$log" || tail -n 1 "$log")"
		return 1
	}
}

# Runs one program, and prints what is wrong with it, or nothing. Exit 2: it cannot
# be said.
verdict() { # FOLDER PROGRAM [OPTION...]
	local out=$build/$1.out ret=0
	timeout 1800 "$build/$1/explore" "${@:3}" "$2" >"$out" 2>&1 || ret=$?
	case $ret in
	0) ! grep -q '# SKIP' "$out" || { echo 'it was skipped'; return 2; } ;;
	1) sed -n 's/^not ok [^#]*# //p' "$out" ;;
	*) echo "explore ended with $ret: $(tail -n 1 "$out")"; return 2 ;;
	esac
}

# Compares with what is expected of a core.
expect() { # NAME EXPECTED FOLDER PROGRAM [OPTION...]
	local wrong
	wrong=$(verdict "${@:3}") || { say 'not ok' "$1" "$wrong"; return 0; }
	if [ "$2" = ok ] && [ -z "$wrong" ]; then
		say ok "$1"
	elif [ "$2" != ok ] && [[ $wrong == *"$2"* ]]; then
		say ok "$1" "fails as it must"
	else
		say 'not ok' "$1" "expected: $2; got: ${wrong:-ok}"
	fi
}

# Each line of a file, without comments
lines() { grep -v '^#' "$1"; }

# All programs on the core of today, those that fail with what is known of them
today() {
	local program about wrong
	local -A known=()
	while read -r program wrong; do known[$program]=$wrong; done < <(lines known)
	compile today "$commit" || return 0
	while read -r program about; do
		[ -n "$about" ]
		if [ -n "${known[$program]-}" ]; then
			expect "$program" "${known[$program]}" today "$program"
			continue
		fi
		about=$(timeout 1800 "$build/today/explore" "$program" 2>&1) || {
			echo "$about"
			failed=$((failed + 1))
			continue
		}
		echo "$about"
		passed=$((passed + 1))
	done < <("$build/today/explore" --list)
}

# The walks again, with other numbers of subscriptions at once, and fewer preemptions
batches() {
	local batch program about
	for batch in 1 3; do
		BATCH=$batch compile "batch$batch" "$commit" || continue
		while read -r program about; do
			[[ $program =~ ^(exit|hand|insert|nonblock-[mw]|remove|two)- ]] || continue
			expect "batch$batch.$program" ok "batch$batch" "$program" --bound 2
		done < <("$build/batch$batch/explore" --list)
	done
}

cases() {
	local core program ignored wrong last=
	local -a options
	while read -r core program ignored wrong; do
		if [ "$core" != "$last" ]; then
			last=$core
			if [ "$core" = base ]; then
				compile case "$base" || { core=; continue; }
			else
				compile case "$base" "$core" || { core=; continue; }
			fi
		fi
		options=()
		[ "$ignored" = - ] || options=(--ignore "$ignored")
		expect "$core.$program${options:+.ignore-$ignored}" "$wrong" case "$program" "${options[@]}"
	done < <(lines cases)
}

# What is wrong with the input is a failure, and is said.
bad_input() {
	local text
	mkdir -p "$build/bad"
	echo '#error "no core"' | cat - cores/0014.c >"$build/bad/core.c"
	if make -s O="$build/bad" LINUX="$linux" COMMIT="$base" CORE="$build/bad/core.c" \
		HEADER=cores/0014.h >"$build/bad.log" 2>&1; then
		say 'not ok' bad.core "it compiles"
	elif ! grep -q 'no core' "$build/bad.log"; then
		say 'not ok' bad.core "$(tail -n 1 "$build/bad.log")"
	else
		say ok bad.core 'does not compile'
	fi
	expect bad.time 'not exhausted' today read --seconds 0
	text=$("$build/today/explore" no-such-program 2>&1) && text="exit 0"
	case $text in
	*'no program'*) say ok bad.program "$text" ;;
	*) say 'not ok' bad.program "$text" ;;
	esac
	text=$("$build/today/explore" read --replay H9 2>&1) && text="exit 0"
	case $text in
	*'does not fit'*) say ok bad.trace "$text" ;;
	*) say 'not ok' bad.trace "$text" ;;
	esac
}

SECONDS=0
today
batches
cases
bad_input
printf 'explorer: %d passed, %d failed, in %d:%02d\n' "$passed" "$failed" \
	$((SECONDS / 60)) $((SECONDS % 60))
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
