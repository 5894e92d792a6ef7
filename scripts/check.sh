#!/usr/bin/env bash
# Static checks of the series and of our own scripts.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/kconfig.sh
. "$TOP/scripts/kconfig.sh"
# shellcheck source=scripts/objects.sh
. "$TOP/scripts/objects.sh"
# shellcheck source=scripts/hygiene.sh
. "$TOP/scripts/hygiene.sh"

# Each with what it takes, below; those behind the line not with --quick.
CHECKS='
series       series and patches/ name the same patches, at most 15 in a part
export       patches/ and the files of the series are what linux/ gives
mutants      each patch of tools/testing/mutants applies to the series
checkpatch   --strict finds nothing in the series and in patches/neighbours
kernel-doc   -Wall has nothing to say that it does not say of the base (P)
codespell    finds nothing in patches, scripts and documents
shellcheck   finds nothing in our scripts and those of the series
pyflakes     finds nothing in our Python
neighbours   patches/neighbours/series is complete, each applies to the base alone
stable       patches/stable: each backport has its upstream line, the Fixes: of the series
             and no Signed-off-by; what adapts the tests applies to them
includes     checkincludes and headerdep find nothing
spdx         spdxcheck finds nothing
references   there is no reference to a document that is not there
maintainers  what MAINTAINERS gets is files, and each new one is found
judge        the judge of guests gives each recorded case its verdict
sources      the base kernel is had from each of its sources
numbers      each measured number that is quoted is in the results
--
am           git am applies each patch to the base without fuzz
build        each patch, and patches/neighbours, compile for x86_64 with W=1 and
             W=2 without a warning that the base does not give; the series also
             with sparse (P), for powerpc, with the test built in, and without a
             function more that takes over 512 bytes of stack
htmldocs     what the series touches is documented without a warning (P)
coccinelle   the semantic patches of the kernel find nothing that is not in the
             base (P)
explore      the schedules of the core in user space: every program holds, and the cores
             with known bugs fail
litmus       the order of memory that the core rests on, by the memory model of the kernel:
             each test is as expected, and so is each of its breaks
threads      the core with threads for real, under TSan and ASan: clean, and mutants are
             seen
fuzz         the corpus of the fuzzer on the core: nothing fails, and on cores with
             known bugs something does
coverage     what of the core the programs do not run is known, each with its reason
roots        the packages of deps suffice, on a system that has nothing else
'

names() { sed -n 's/^\([a-z][^ ]*\) .*/\1/p' <<<"$CHECKS"; }
quick_names() { CHECKS=${CHECKS%%$'\n'--$'\n'*} names; }

usage() {
	cat <<EOF
usage: ./build.sh check [--quick] [--save] [NAME...]

Runs these checks, or those that are named; those behind the line not with --quick.
(P): proves each time that it finds a mistake that is planted. --save puts the times
into the results.
$CHECKS
The whole output of a check is in build/log/check-NAME.log. Needs linux/, and makes it
when it is not there.
EOF
}

# What it took when the results were written.
expected() { # NAME
	awk -v row="$1:" '/^## / { on = $2 == "check" } on && $2 == row { print $3 }' "$TOP/Documentation/series/results.md" 2>/dev/null
}

# One of the jobs of main.
one() { # NAME
	local start=$SECONDS log=$BUILD/log/check-$1.log took
	guarded "check_${1//-/_}" >"$log" 2>&1
	took=$(elapsed "$start")
	printf '%s %s\n' "$STATUS" "$took" >"$BUILD/check/done/$1"
	say "$([ "$STATUS" -eq 0 ] || echo 'not ')ok check.$1 $took$(expected "$1" | sed 's/^/, expected /')"
	sed -n 's/^note: /  /p' "$log"
	[ "$STATUS" -eq 0 ] || head -n 40 "$log" | sed 's/^/  /'
}

# Whatever takes long says how far it is, past the log, to the terminal.
progress() { # TEXT
	say "check: $1, $(elapsed 0)" >&3
}

check_series() {
	local part
	diff <(series_patches | sort) <(find "$TOP/patches" -maxdepth 1 -name '*.patch' -printf '%f\n' | sort) ||
		{ echo "series (<) and patches/ (>) name different patches"; return 1; }
	for part in $PARTS; do
		[ "$(part_patches "$part" | wc -l)" -le 15 ] || { echo "more than 15 patches in $part"; return 1; }
	done
	[ "$(series_patches | wc -l)" -gt 0 ] || { echo "no patches"; return 1; }
	series_patches | sort -c || { echo "the patches are not in the order of their numbers"; return 1; }
}

check_export() { "$TOP/scripts/export.sh" --check; }

# In a worktree that holds only the files that the series touches.
check_am() {
	local dir=$BUILD/am patch
	rm -rf "$dir"
	lgit worktree prune
	lgit worktree add -q --no-checkout --detach "$dir" base
	cat "$TOP"/patches/*.patch | sed -n 's|^+++ b/|/|p' | sort -u |
		git -C "$dir" sparse-checkout set --no-cone --stdin
	git -C "$dir" checkout -q
	for patch in $(series_patches); do
		am "$dir" "$TOP/patches/$patch" || { echo "patches/$patch does not apply"; return 1; }
	done
	git -C "$dir" diff --exit-code --stat HEAD "$(lgit rev-parse HEAD)"
	lgit worktree remove --force "$dir"
}

check_mutants() {
	local index=$BUILD/index.mutants patch status=0
	GIT_INDEX_FILE=$index lgit read-tree "$(series_commit)"
	for patch in "$TOP"/tools/testing/mutants/*.patch; do
		GIT_INDEX_FILE=$index lgit apply --cached --check "$patch" || status=1
		grep -q '^Breaks: .' "$patch" || { echo "$patch has no line Breaks:"; status=1; }
	done
	rm -f "$index"
	return "$status"
}

# The tree has no history, so the commits that are named cannot be looked up; nobody
# has signed off yet; codespell has a check of its own; and check_maintainers sees to
# the files that are added.
# Most of the time of the quick checks: what was good is not looked at again.
check_checkpatch() {
	local good=$BUILD/checkpatch patch
	local -a new=()
	mkdir -p "$good"
	while read -r patch; do
		[ -e "$good/$(sha1sum <"$patch" | cut -d ' ' -f 1)" ] || new+=("$patch")
	done < <(find "$TOP"/patches -name '*.patch' | sort)
	[ "${#new[@]}" -gt 0 ] || return 0
	cd "$LINUX_TREE"
	# Debian's python has the modules that the check of SPDX tags wants.
	printf '%s\n' "${new[@]}" | PATH=/usr/bin:$PATH xargs -d '\n' -n 1 -P "$JOBS" \
		perl scripts/checkpatch.pl --strict --no-signoff --show-types --no-summary \
		--ignore UNKNOWN_COMMIT_ID,FILE_PATH_CHANGES --quiet --terse --showfile >"$BUILD/log/checkpatch" || true
	# Nobody's trace events are written as it wants macros to be.
	! grep -v '^include/trace/events/' "$BUILD/log/checkpatch" || return
	for patch in "${new[@]}"; do
		touch "$good/$(sha1sum <"$patch" | cut -d ' ' -f 1)"
	done
}

check_neighbours() {
	local dir=$TOP/patches/neighbours index=$BUILD/index.neighbours patch
	diff <(sed 's/ *#.*//; /^$/d' "$dir/series" | sort) <(find "$dir" -name '*.patch' -printf '%P\n' | sort) ||
		{ echo "neighbours/series (<) and its folders (>) name different patches"; return 1; }
	GIT_INDEX_FILE=$index lgit read-tree base
	for patch in "$dir"/*/*.patch; do
		GIT_INDEX_FILE=$index lgit apply --cached --check "$patch" || return 1
	done
	rm -f "$index"
}

# What checkpatch does not know of backports. Without the older kernels themselves:
# those are for ./build.sh stable.
check_stable() {
	local dir=$TOP/patches/stable version patch name tests=$BUILD/check/stable-tests
	git init -q "$tests"
	while read -r version _; do
		diff <(sed -n 's/^\([^# ]*\).*/\1/p' "$dir/$version/series" | grep . | sort) <(find "$dir/$version" -name '*.patch' -printf '%f\n' | sort) ||
			{ echo "$version/series (<) and its folder (>) name different patches"; return 1; }
		for patch in "$dir/$version"/*.patch; do
			name=${patch##*/}
			[ "$(sed '1,/^$/d; /./q' "$patch")" = 'commit <not yet upstream> upstream.' ] ||
				grep -E '^commit [0-9a-f]{40} upstream\.$' "$patch" >/dev/null || { echo "$patch has no line for its upstream commit"; return 1; }
			diff <(grep '^Fixes:' "$TOP/patches/$name") <(grep '^Fixes:' "$patch") || { echo "$patch (>) is not for what the series fixes (<)"; return 1; }
			grep -F "[ v$version: " "$patch" >/dev/null || { echo "$patch does not say what differs"; return 1; }
			grep '^Assisted-by: ' "$patch" >/dev/null || { echo "$patch has no Assisted-by"; return 1; }
			! grep -iE '^(Signed-off|Reviewed|Acked|Tested)-by:' "$patch" || { echo "in $patch"; return 1; }
		done
		git -C "$tests" read-tree --empty
		for patch in $(part_patches tests); do
			git -C "$tests" apply --cached --include='lib/test_mmu_notifier*' --include='tools/testing/selftests/mm/*mmu_notifier*' "$TOP/patches/$patch" || return 1
		done
		git -C "$tests" apply --cached --check --include='lib/test_mmu_notifier*' --include='tools/testing/selftests/mm/*' "$dir/tests/$version.diff" ||
			{ echo "patches/stable/tests/$version.diff does not apply to the tests"; return 1; }
	done < <(grep '^[0-9]' "$dir/base")
}

our_scripts() { git -C "$TOP" ls-files -co --exclude-standard 'build.sh' 'scripts/*.sh' '.ci/run' 'tools/testing/harness/guest/nested' 'tools/testing/selftests/mm/*mmu_notifier*.sh' 'tools/testing/mmu_notifier/*.sh'; }

check_codespell() {
	cd "$TOP"
	# VAS is a part of pseries.
	git ls-files -co --exclude-standard | grep -vx COPYING | xargs -d '\n' codespell -L vas
}

check_shellcheck() {
	cd "$TOP"
	our_scripts | xargs -d '\n' shellcheck -x
	shellcheck -s dash tools/testing/harness/guest/init tools/testing/harness/guest/suites
}

check_pyflakes() { git -C "$TOP" ls-files -co --exclude-standard '*.py' | sed "s|^|$TOP/|" | xargs -d '\n' pyflakes3; }
check_judge() { python3 "$TOP/scripts/judge.py" selftest; }
check_sources() { "$TOP/scripts/test-fetch.sh"; }
check_numbers() { python3 "$TOP/scripts/results.py" check; }
check_explore() { "$TOP/tools/testing/mmu_notifier/run.sh" --build "$BUILD/explore"; }
check_litmus() {
	local herd
	herd=$("$TOP/scripts/herd.sh") || return
	# Which version it was is said: unstable moves on, and a newer one may see more.
	echo "note: $herd"
	"$TOP/tools/testing/mmu_notifier/litmus/litmus.sh" --build "$BUILD/litmus"
}
check_threads() { "$TOP/tools/testing/mmu_notifier/threads.sh" --build "$BUILD/threads"; }
check_fuzz() { "$TOP/tools/testing/mmu_notifier/fuzz.sh" --build "$BUILD/fuzz"; }
check_coverage() { "$TOP/tools/testing/mmu_notifier/coverage.sh" --build "$BUILD/coverage"; }
check_roots() { "$TOP/scripts/fresh.sh" --tools; }

save() { # TOTAL
	local name status took
	local -a rows=(total="$1")
	for name in $(names); do
		read -r status took <"$BUILD/check/done/$name"
		rows+=("$name=$took")
	done
	python3 "$TOP/scripts/results.py" put check "${rows[@]}" </dev/null
}

main() {
	local start=$SECONDS tool name passed=0 failed=0 save=
	local -a run=()
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; return ;;
		--one)
			{ : >&3; } 2>/dev/null || exec 3>&1
			one "$2"
			return
			;;
		--quick) mapfile -t run < <(quick_names) ;;
		--save) save=1 ;;
		*)
			names | grep -xF -e "$1" >/dev/null || die2 "there is no check '$1', only: $(names | xargs)"
			run+=("$1")
			;;
		esac
		shift
	done
	# The longest begin first.
	[ "${#run[@]}" -gt 0 ] || mapfile -t run < <(printf '%s\n' build roots; names | grep -vxE 'build|roots')
	for tool in codespell parallel perl pyflakes3 python3 shellcheck sparse spatch sphinx-build clang; do
		command -v "$tool" >/dev/null || die2 "there is no $tool: run ./build.sh deps"
	done
	[ -d "$LINUX_TREE/.git" ] || "$TOP/scripts/tree.sh"
	! is_dirty || warn "what is not committed in linux/ is not looked at"
	rm -rf "$BUILD/check/done"
	mkdir -p "$BUILD/log" "$BUILD/check/done"
	step "check: ${#run[@]} checks$([ "${#run[@]}" -lt "$(names | wc -l)" ] || expected total | sed 's/^/, expected /')"
	plant || die "the mistakes for the checkers could not be planted in $DOCS"
	# One more than there are cores, since roots often waits for the disk.
	printf '%s\n' "${run[@]}" | parallel --will-cite -j "$((JOBS + 1))" "$TOP/scripts/check.sh" --one 3>&1 |
		sed -u "s/^ok /${GREEN}ok$OFF /; s/^not ok /${RED}not ok$OFF /" || true
	for name in "${run[@]}"; do
		if grep -q '^0 ' "$BUILD/check/done/$name" 2>/dev/null; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	done
	[ -z "$save" ] || [ "$failed" -gt 0 ] || save "$(elapsed "$start")"
	printf '%s %s 0\n' "$passed" "$failed" >"$BUILD/check.totals"
	say "check: $passed passed, $failed failed, in $(elapsed "$start")"
	[ "$failed" -eq 0 ]
}

main "$@"
