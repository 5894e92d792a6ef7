#!/usr/bin/env bash
# The series on other kernels than the default one, other people's tests, and
# single patches: a cell each.
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

EXPECT=$HARNESS/expect

usage() {
	cat <<EOT
usage: ./build.sh matrix [OPTION...] [CELL|KIND...]

Runs cells, by default those of the first two kinds, and prints a table in
Markdown. The kinds:

  boot     boots the series and runs its kselftests:
           $(names_of boot | paste -sd ' ')
  objects  compiles what the series touches with W=1, before and after it:
           $(names_of objects | paste -sd ' ')
  suites   runs other people's tests (tools/testing/harness/suites) on the base and
           on the series; a test that does worse, or a warning that only the series
           gives, is a failure: $(names_of suites | paste -sd ' ')
  nested   runs this harness in a guest with emulated SVM: whether it finds out if KVM
           works, and judges guests that use it: $(names_of nested | paste -sd ' ')
  many     boots base and series with many CPUs and runs one test, which the base has to
           fail there: $(names_of many | paste -sd ' ')
  steps    boots linux/ as of one patch, step-1 to step-$(steps | wc -l); where a part ends or
           mm/mmu_notifier.c changes, with the kselftests that there are

$(jobs_usage)
EOT
}

steps() {
	[ ! -d "$LINUX_TREE/.git" ] || lgit rev-list --count base..HEAD | xargs seq -f 'step-%g'
}

cells() { # KIND
	awk -v kind="$1" '$1 == kind { print $2 }' "$HARNESS/matrix"
}

# What a word of the command line stands for.
names_of() { # WORD
	case $1 in
	'') cells boot; cells objects ;;
	boot | objects | suites | nested | many) cells "$1" ;;
	steps) steps ;;
	*) { cells boot; cells objects; cells suites; cells nested; cells many; steps; } | grep -xF -- "$1" ;;
	esac
}

# What there is to say of the cell, for the table.
# shellcheck disable=SC2153 # from scripts/worker.sh
row() { printf '%s' "$*" >"$RESULT/row"; }

passed() { touch "$RESULT/passed"; }

# Boots what was built, and keeps what the guest left.
guest() { # CELL OPTION...
	local dir=$BUILD/run/matrix-$1 start=$SECONDS file passed failed skipped
	shift
	row "the guest did not run"
	rm -rf "$dir"
	! bash "$TOP/scripts/run.sh" --built --name "${dir##*/}" "$@" || passed
	for file in why results console kmsg seen other-races; do
		[ ! -e "$dir/$file" ] || cp "$dir/$file" "$RESULT/"
	done
	read -r passed failed skipped <"$dir/totals"
	row "$passed passed, $failed failed, $skipped skipped$(
		[ ! -s "$dir/other-races" ] || printf ', %s races elsewhere' "$(wc -l <"$dir/other-races")"
	); kernel $BUILT, guest $(elapsed "$start")$([ ! -s "$dir/why" ] || printf '; %s' "$(head -n 1 "$dir/why")")"
}

# Builds it, and sets BUILT to how long that took.
build() { # OPTION...
	local start=$SECONDS
	row "the kernel could not be built"
	bash "$TOP/scripts/run.sh" --build-only "$@"
	BUILT=$(elapsed "$start")
}

boot() { # CELL ARCH CONFIG CPUS
	local golden=$EXPECT/$1.tests
	set_option arch "$2"
	set_option config "$3"
	row "the packages could not be had"
	bash "$TOP/scripts/deps.sh"
	bash "$TOP/scripts/userland.sh"
	build
	[ -e "$golden" ] || golden=$EXPECT/series.tests
	guest "$1" --cpus "$4" --golden "$golden"
}

# Whether a patch is worth more than a boot.
worth_tests() { # COMMIT
	lgit cat-file -e "$1:tools/testing/selftests/mm/test_mmu_notifier.sh" 2>/dev/null || return
	! lgit diff --quiet "$1^" "$1" -- mm/mmu_notifier.c ||
		[ -n "$(lgit for-each-ref --points-at "$1" 'refs/heads/part/*')" ]
}

# What is to come of the tests that there are at this patch: that of the series.
step_golden() {
	local program
	for program in "$(image_dir step)"/kselftest/mm/mmu_notifier_*; do
		"$program" -l 2>&1
	done | awk '
		NR == FNR { for (i = 1; i <= NF; i++) known[$i]; next }
		NF == 2 { n = split($2, part, "."); for (i = 1; i <= n; i++) if (!(part[i] in known)) next }
		{ print }' - "$EXPECT/series.tests"
}

step_cell() { # CELL
	local commit subject
	local -a options=(--plan boot)
	commit=$(lgit rev-list --reverse base..HEAD | sed -n "${1#step-}p")
	subject=$(lgit log -1 --format=%s "$commit")
	build --commit "$commit"
	if worth_tests "$commit"; then
		step_golden >"$RESULT/golden"
		options=(--golden "$RESULT/golden")
	fi
	guest "$1" --commit "$commit" "${options[@]}"
	row "$subject: $(cat "$RESULT/row")"
}

objects() { # CELL KARCH COMPILER DEFCONFIG WHAT...
	local name=$1 arch=$2 compiler=$3 start=$SECONDS COMPILED=
	shift 3
	row "the packages could not be had"
	[ "$compiler" = gcc ] || bash "$TOP/scripts/deps.sh" "gcc-${compiler%-gcc}"
	row "new warnings, or it did not compile"
	SERIES=$(series_commit)
	compare_objects "$name" "$arch" "${compiler%gcc}" "$@"
	passed
	row "no new warning: $(printf '%s ' "${@:2}" | tr -d =); $(elapsed "$start")"
}

# Some of these tests skip, or fail on the base: what a guest says is not judged,
# but compared. Four CPUs are what migration wants; random addresses collide only
# sometimes.
suites() { # CELL GROUP
	local start=$SECONDS variant dir=$BUILD/run/$1
	set_option config suites
	# Its kernel knows SVM alone, which emulation has on any machine.
	[ "$2" != kvm ] || set_option accel tcg
	for variant in base series; do
		build --variant "$variant"
	done
	for variant in base series; do
		row "the guest of $variant did not run"
		rm -rf "$dir-$variant"
		bash "$TOP/scripts/run.sh" --built --name "$1-$variant" --variant "$variant" --plan suite --cpus 4 \
			--memory 3072 --append norandmaps "$2" || true
	done
	row "worse than the base"
	python3 "$TOP/scripts/suites.py" "$2" "$HARNESS/suites" "$dir-base" "$dir-series" >"$RESULT/table"
	passed
	row "nothing worse than on the base, test by test; $(elapsed "$start")"
}

# Emulated for the same reason.
nested() { # CELL CONFIG
	set_option config "$2"
	set_option accel tcg
	build
	guest "$1" --plan nested --memory 4096
}

# The bug of mmu_notifier_synchronize() without an option that brings it about.
many() { # CELL CONFIG CPUS TEST
	local variant golden=$EXPECT/base-big.tests
	set_option config "$2"
	for variant in base series; do
		build --variant "$variant"
		guest "$1" --variant "$variant" --cpus "$3" --memory 3072 \
			--golden "$golden" "$4"
		[ -e "$RESULT/passed" ] || return 0
		[ "$variant" = series ] || rm "$RESULT/passed"
		golden=$EXPECT/series.tests
	done
	row "$3 CPUs, $4: fails on the base, passes on the series; $(cat "$RESULT/row")"
}

# Leaves what scripts/worker.sh wants in $RESULT.
one() { # CELL
	local kind
	local -a words
	read -r kind words < <(awk -v name="$1" '$2 == name { $2 = ""; print }' "$HARNESS/matrix"; echo step_cell)
	read -ra words <<<"$words"
	guarded "$kind" "$1" "${words[@]}"
	[ "$STATUS" -eq 0 ] || rm -f "$RESULT/passed"
}

table() { # CELL...
	local name
	printf '| cell | verdict | |\n|---|---|---|\n'
	for name in "$@"; do
		printf '| %s | %s | %s |\n' "$name" "$(job_passed matrix "$name" && echo passed || echo FAILED)" \
			"$(cat "$RESULTS/matrix/$name/row" 2>/dev/null)"
	done
	for name in "$@"; do
		[ ! -e "$RESULTS/matrix/$name/table" ] || { echo; cat "$RESULTS/matrix/$name/table"; }
	done
}

# The part of the results that these cells are all of.
section() { # CELL...
	local kind
	for kind in '' suites steps; do
		[ "$*" != "$(names_of "$kind" | paste -sd ' ')" ] || { echo "${kind:-matrix}"; return; }
	done
}

main() {
	local section start=$SECONDS
	if [ "${1:-}" = --one ]; then
		one "$2"
		return
	fi
	jobs_parse matrix "$@"
	section=$(section "${NAMES[@]}")
	[ -z "$SAVE" ] || [ -n "$section" ] || die2 "--save is for all cells of: matrix, matrix suites, matrix steps"
	need_tree
	step "matrix: ${#NAMES[@]} cells"
	run_jobs matrix "${NAMES[@]}"
	table "${NAMES[@]}" | tee "$TOP/build/matrix.md"
	[ -z "$SAVE" ] || python3 "$TOP/scripts/results.py" put "$section" <"$TOP/build/matrix.md"
	printf '%s %s 0\n' "$PASSED" "$FAILED" >"$TOP/build/matrix.totals"
	say "matrix: $PASSED good, $FAILED not, $(elapsed "$start")"
	[ "$FAILED" -eq 0 ]
}

main "$@"
