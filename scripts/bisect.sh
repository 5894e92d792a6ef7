#!/usr/bin/env bash
# Boots the kernel of single patches, each with the tests that exist at it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
	cat <<EOF
usage: ./build.sh bisect [--boot] [NUMBER...]

Builds linux/ as of each patch (all that have the tests, or those whose numbers
are given), boots it and runs the kselftests that exist at that point; with
--boot only boots it. Patches before the tests are only booted.
EOF
}

# The commit of patch number N.
commit_of() { lgit rev-list --reverse base..HEAD | sed -n "$1p"; }

step_guest() { # NUMBER
	local commit name=bisect-$1
	commit=$(commit_of "$1")
	rm -rf "$(image_dir step)"
	"$TOP/scripts/kernel.sh" --commit "$commit" || return
	if [ -n "$BOOT" ] || ! lgit cat-file -e "$commit:tools/testing/selftests/mm/mmu_notifier.c" 2>/dev/null; then
		"$TOP/scripts/run.sh" --variant step --name "$name" --plan boot --limit 20
	else
		"$TOP/scripts/run.sh" --variant step --name "$name" --limit 300
	fi
}

main() {
	local number count
	local -a failed=()
	BOOT=
	case ${1:-} in
	-h | --help) usage; return ;;
	--boot) BOOT=1; shift ;;
	esac
	need_tree
	count=$(lgit rev-list --count base..HEAD)
	[ $# -gt 0 ] || eval "set -- {1..$count}"
	for number in "$@"; do
		if ! [[ $number =~ ^[0-9]+$ ]] || [ "$((10#$number))" -lt 1 ] || [ "$((10#$number))" -gt "$count" ]; then
			die2 "bisect takes no '$number': the patches are 1 to $count"
		fi
	done
	for number in "$@"; do
		step "bisect: $(lgit log -1 --format=%s "$(commit_of "$((10#$number))")")"
		step_guest "$((10#$number))" || failed+=("$number")
	done
	say "bisect: $(($# - ${#failed[@]})) good, ${#failed[@]} not${failed:+: ${failed[*]}}"
	[ "${#failed[@]}" -eq 0 ]
}

main "$@"
