#!/usr/bin/env bash
# The series on other kernels than the default one, a cell each.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/kconfig.sh
. "$TOP/scripts/kconfig.sh"
# shellcheck source=scripts/objects.sh
. "$TOP/scripts/objects.sh"
# shellcheck source=scripts/jobs.sh
. "$TOP/scripts/jobs.sh"

usage() {
	cat <<EOF
usage: ./build.sh matrix [OPTION...] [CELL...]

Boots the series and runs its kselftests, or compiles what it touches with W=1
before and after it, in each cell of tools/testing/harness/matrix (or in those
named), and prints a table in Markdown.

$(jobs_usage)

$(cells | sed 's/^/  /')
EOF
}

cells() { awk '/^(boot|objects) / { print $2 }' "$HARNESS/matrix"; }

# The words after the name of a cell.
cell() { awk -v name="$1" '$2 == name { $2 = ""; print }' "$HARNESS/matrix"; }

boot() { # CELL ARCH CONFIG CPUS
	local start=$SECONDS built='' guest=$BUILD/run/matrix-$1 skips=$HARNESS/expect/$1.skips passed failed skipped
	set_option arch "$2"
	set_option config "$3"
	# shellcheck disable=SC2153 # from scripts/worker.sh
	printf 'the packages could not be had' >"$RESULT/row"
	rm -rf "$guest"
	"$TOP/scripts/deps.sh"
	printf 'the kernel could not be built' >"$RESULT/row"
	"$TOP/scripts/userland.sh"
	"$TOP/scripts/kernel.sh"
	printf 'the guest did not run' >"$RESULT/row"
	built=$(elapsed "$start")
	start=$SECONDS
	[ -e "$skips" ] || skips=/dev/null
	if "$TOP/scripts/run.sh" --name "matrix-$1" --cpus "$4" --limit 360 --skips "$skips"; then
		# shellcheck disable=SC2153 # from scripts/worker.sh
		echo PASS >"$RESULT/verdict"
	fi
	cp "$guest"/{why,results,console,other-races} "$RESULT/" 2>/dev/null || true
	read -r passed failed skipped <"$guest/totals"
	{
		printf '%s passed, %s failed, %s skipped' "$passed" "$failed" "$skipped"
		[ ! -s "$guest/other-races" ] || printf ', %s races elsewhere' "$(wc -l <"$guest/other-races")"
		printf '; kernel %s, guest %s' "$built" "$(elapsed "$start")"
	} >"$RESULT/row"
}

objects_cell() { # CELL KARCH COMPILER DEFCONFIG WHAT...
	local name=$1 arch=$2 compiler=$3 start=$SECONDS COMPILED=
	shift 3
	printf 'the packages could not be had' >"$RESULT/row"
	[ "$compiler" = gcc ] || "$TOP/scripts/deps.sh" "gcc-${compiler%-gcc}"
	SERIES=$(series_commit)
	guarded compare_objects "$name" "$arch" "${compiler%gcc}" "$@"
	if [ "$STATUS" -eq 0 ]; then
		echo PASS >"$RESULT/verdict"
		printf 'no new warning: %s; %s' "$(printf '%s ' "${@:2}" | tr -d =)" "$(elapsed "$start")"
	else
		printf 'new warnings, or it did not compile; %s' "$(elapsed "$start")"
	fi >"$RESULT/row"
}

# Writes the verdict and the line of it where scripts/worker.sh wants them.
one() { # CELL
	local kind
	local -a words
	read -r kind words < <(cell "$1")
	read -ra words <<<"$words"
	case $kind in
	boot) guarded boot "$1" "${words[@]}" ;;
	objects) guarded objects_cell "$1" "${words[@]}" ;;
	esac
	if [ "$(cat "$RESULT/verdict")" = PASS ]; then
		printf 'ok matrix %s: %s' "$1" "$(cat "$RESULT/row")" >"$RESULT/line"
	else
		printf 'not ok matrix %s: %s: %s/log' "$1" "$(cat "$RESULT/row")" "${RESULT#"$TOP/"}" >"$RESULT/line"
	fi
}

table() {
	local name
	printf '| cell | verdict | |\n|---|---|---|\n'
	for name in "$@"; do
		printf '| %s | %s | %s |\n' "$name" "$(job_passed matrix "$name" && echo passed || echo FAILED)" \
			"$(cat "$RESULTS/matrix/$name/row" 2>/dev/null)"
	done
}

main() {
	local name passed=0 failed=0 start=$SECONDS
	if [ "${1:-}" = --one ]; then
		one "$2"
		return
	fi
	jobs_parse matrix "$(cells)" "$@"
	need_tree
	step "matrix: ${#NAMES[@]} cells"
	run_jobs matrix "${NAMES[@]}"
	for name in "${NAMES[@]}"; do
		if job_passed matrix "$name"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	done
	table "${NAMES[@]}" | tee "$TOP/build/matrix.md"
	[ -z "$SAVE" ] || { saved_by matrix 'The series on other kernels' && echo && cat "$TOP/build/matrix.md"; } >"$TOP/Documentation/series/matrix.md"
	printf '%s %s 0\n' "$passed" "$failed" >"$TOP/build/matrix.totals"
	say "matrix: $passed good, $failed not, $(elapsed "$start")"
	[ "$failed" -eq 0 ]
}

main "$@"
