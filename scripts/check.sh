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

# Made by the Makefile of amdgpu.
AMDKFD='=drivers/gpu/drm/amd/amdgpu/../amdkfd/kfd_svm.o'
QUICK=
SILENT=-s
# Compile this instead of all that is touched.
ONLY=
FAILED=0
PASSED=0

usage() {
	cat <<EOF
usage: ./build.sh check [--quick]

  series       series and patches/ name the same patches, at most 15 of them
  export       patches/ and the series' files are what linux/ gives
  am           git am applies each patch to the base without fuzz
  mutants      each patch of tools/testing/mutants applies to the series
  checkpatch   --strict finds nothing (with --quick without its spelling, which
               codespell looks at as well)
  kernel-doc   -Wall has nothing to say that it does not say of the base, and
               finds a mistake that is planted
  codespell    patches, scripts and documents
  shellcheck   our scripts and those of the series
  neighbours   each patch of patches/neighbours applies to the base alone, and
               checkpatch finds nothing
  includes     checkincludes, headerdep, and spdx: spdxcheck, find nothing
  references   no reference to a document that is not there
  maintainers  the section of MAINTAINERS is in order, and found
  kcsan        reports of KCSAN are told apart: ours and others

and, not with --quick

  build        each patch compiles its files in mm/ and lib/ with W=1 without
               a warning that the base does not give, and finds a mistake that
               is planted; the last one also with the test built in, and without
               a function more that takes over 512 bytes of stack
  w2, sparse, coccinelle
               the last one with W=2, with sparse, with the kernel's semantic
               patches: nothing that the base does not give, and each finds a
               mistake that is planted
  drivers      the drivers that the series changes, in a configuration of
               their architecture, with W=1, W=2 and sparse
  neighbours-build
               what patches/neighbours changes compiles without a new warning
  htmldocs     the documents, without a warning about what the series touches,
               and with one about a mistake that is planted

Needs linux/, and makes it when it is not there.
EOF
}

check() { # NAME FUNCTION
	local start=$SECONDS log=$BUILD/log/check-$1.log
	guarded "$2" >"$log" 2>&1
	if [ "$STATUS" -eq 0 ]; then
		PASSED=$((PASSED + 1))
		say "${GREEN}ok${OFF} check.$1 ($(elapsed "$start"))"
	else
		FAILED=$((FAILED + 1))
		say "${RED}not ok${OFF} check.$1 ($(elapsed "$start"))"
		head -n 40 "$log" | sed 's/^/  /'
	fi
}

check_series() {
	diff <(series_patches | sort) <(find "$TOP/patches" -maxdepth 1 -name '*.patch' -printf '%f\n' | sort) ||
		{ echo "series (<) and patches/ (>) name different patches"; return 1; }
	[ "$(series_patches | wc -l)" -le 15 ] || { echo "more than 15 patches"; return 1; }
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
	local index=$BUILD/index.check patch status=0
	GIT_INDEX_FILE=$index lgit read-tree "$(series_commit)"
	for patch in "$TOP"/tools/testing/mutants/*.patch; do
		GIT_INDEX_FILE=$index lgit apply --cached --check "$patch" || status=1
		grep -q '^Breaks: .' "$patch" || { echo "$patch has no line Breaks:"; status=1; }
		grep -qE '^(Tests|Options): .' "$patch" || { echo "$patch names no test"; status=1; }
	done
	rm -f "$index"
	return "$status"
}

# The tree has no history, so the commits that are named cannot be looked up;
# and nobody has signed off yet.
check_checkpatch() { series_patches | sed "s|^|$TOP/patches/|" | checkpatch; }

checkpatch() { # <PATCHES
	local -a spelling=(--codespell --codespellfile=/usr/lib/python3/dist-packages/codespell_lib/data/dictionary.txt)
	[ -z "$QUICK" ] || spelling=()
	cd "$LINUX_TREE"
	# Debian's python has the modules that the check of SPDX tags wants.
	PATH=/usr/bin:$PATH xargs -d '\n' -n 1 -P "$JOBS" \
		perl scripts/checkpatch.pl --strict --no-signoff --show-types --no-summary \
		--ignore UNKNOWN_COMMIT_ID "${spelling[@]}" --quiet --terse
}

# Reports in which a symbol of ours is where it counts, and where it is too far out.
check_kcsan() {
	diff <(printf '%s\n' 'other data-race in lapic_cal_handler / setup_boot_APIC_clock' \
		'ours data-race in copy_from_kernel / helper' \
		'other data-race in osq_lock / osq_unlock') \
		<(awk -f "$TOP/scripts/kcsan.awk" \
			-v symbols=<(printf '%s\n' 'mmu_interval_read_begin 4' 'do_mprotect_pkey 1') \
			"$HARNESS/expect/kcsan.console")
}

check_neighbours() {
	local dir=$TOP/patches/neighbours index=$BUILD/index.check patch
	diff <(sed 's/ *#.*//; /^$/d' "$dir/series" | sort) <(find "$dir" -name '*.patch' -printf '%f\n' | sort) ||
		{ echo "neighbours/series (<) and its folder (>) name different patches"; return 1; }
	GIT_INDEX_FILE=$index lgit read-tree base
	for patch in "$dir"/*.patch; do
		GIT_INDEX_FILE=$index lgit apply --cached --check "$patch" || return 1
	done
	rm -f "$index"
	find "$dir" -name '*.patch' | checkpatch
}

# The base with all patches of patches/neighbours, as a commit.
neighbours() {
	local index=$BUILD/index.check patch tree
	GIT_INDEX_FILE=$index lgit read-tree base || return
	for patch in "$TOP"/patches/neighbours/*.patch; do
		GIT_INDEX_FILE=$index lgit apply --cached "$patch" || return
	done
	tree=$(GIT_INDEX_FILE=$index lgit write-tree) || return
	rm -f "$index"
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		lgit -c user.name=x -c user.email=x@localhost commit-tree -p base -m neighbours "$tree"
}

check_neighbours_build() {
	local object COMPILED='' SERIES
	SERIES=$(neighbours) || return
	compare_objects neighbours-x86 x86_64 '' x86_64_defconfig arch/x86 drivers/hv "$AMDKFD" || return 1
	compare_objects neighbours-powerpc powerpc powerpc64le-linux-gnu- powernv_defconfig drivers/misc/ocxl || return 1
	for object in $(touched '*.c' | sed 's/\.c$/.o/'); do
		grep -F "${object##*/}" <<<"$COMPILED" >/dev/null || { echo "nothing compiles $object"; return 1; }
	done
}

kernel_doc() { # COMMIT
	local dir file
	dir=$(mktemp -d "$BUILD/doc.XXXXXX")
	touched '*.c' '*.h' ':!tools' | while read -r file; do
		lgit cat-file -e "$1:$file" 2>/dev/null || continue
		mkdir -p "$dir/${file%/*}"
		lgit show "$1:$file" >"$dir/$file"
		(cd "$dir" && PYTHONDONTWRITEBYTECODE=1 python3 "$LINUX_TREE/scripts/kernel-doc" -none -Wall "$file" 2>&1) || true
	done | sed -E 's/:[0-9]+[: ]/: /' | sort -u
	rm -rf "$dir"
}

check_kernel_doc() {
	local new
	kernel_doc base >"$BUILD/log/kernel-doc.base"
	kernel_doc HEAD >"$BUILD/log/kernel-doc.series"
	! grep -hE "Traceback|can't open" "$BUILD"/log/kernel-doc.* || return 1
	kernel_doc "$(planted)" | grep -F mn_planted_doc >/dev/null || { echo "a mistake that was planted was not found"; return 1; }
	new=$(comm -13 "$BUILD/log/kernel-doc.base" "$BUILD/log/kernel-doc.series")
	[ -z "$new" ] || { printf '%s\n' "$new"; return 1; }
}

our_scripts() { git -C "$TOP" ls-files -co --exclude-standard 'build.sh' 'scripts/*.sh' '.ci/run' 'tools/testing/selftests/mm/*mmu_notifier*.sh'; }

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

# Object files that the series touches, where the kernel configuration has them.
objects() { touched 'mm/*.c' 'lib/*.c' | sed 's/\.c$/.o/'; }

kmake() { make ${SILENT:+-s} -C "$SRC" O="$OUT" ARCH="$ARCH" -j"$JOBS" "$@" 9>&-; }

compile() { # COMMIT LOG MAKE_ARGUMENT...
	local commit=$1 log=$2 object list=
	shift 2
	check_out_src "$(lgit rev-parse "$commit^{commit}")" || return
	KCONFIG_ALLCONFIG=$OUT/fragments kmake allnoconfig || return
	grep -qx CONFIG_MMU_NOTIFIER=y "$OUT/.config" ||
		{ echo "no mmu notifiers in this configuration"; return 1; }
	for object in ${ONLY:-$(objects)}; do
		[ ! -e "$SRC/${object%.o}.c" ] || list+=" $object"
	done
	# What an interrupted run has compiled would not warn again.
	# shellcheck disable=SC2086 # a list of words
	(cd "$OUT" && rm -f $list)
	# shellcheck disable=SC2086 # a list of words
	kmake "$@" $list >"$log" 2>&1 || { tail -n 20 "$log"; return 1; }
}

# With the test of hmm, so that mmu notifiers are there before ours is.
check_build() {
	local commit log=$BUILD/log/check-build
	OUT=$BUILD/kernel/$ARCH-check
	mkdir -p "$OUT"
	config_options debug "$HARNESS/kconfig/hmm.config" "$HARNESS/kconfig/touched.config" >"$OUT/fragments"
	finds mn_planted_const "$log.planted" W=1 KCFLAGS=-Wno-error || return 1
	compile base "$log.base" W=1 || return 1
	deep_stacks >"$log.stacks.base"
	for commit in $(lgit rev-list --reverse base..HEAD); do
		compile "$commit" "$log.$commit" W=1 || return 1
		if [ -n "$(comm -13 <(warnings "$log.base") <(warnings "$log.$commit"))" ]; then
			lgit log -1 --format='new warnings in: %s' "$commit"
			comm -13 <(warnings "$log.base") <(warnings "$log.$commit")
			return 1
		fi
	done
	deep_stacks >"$log.stacks.series"
	[ -z "$(comm -13 "$log.stacks.base" "$log.stacks.series")" ] ||
		{ echo "more than 512 bytes of stack:"; comm -13 "$log.stacks.base" "$log.stacks.series"; return 1; }
	echo CONFIG_TEST_MMU_NOTIFIER=y >>"$OUT/fragments"
	ONLY=lib/test_mmu_notifier.o compile HEAD "$log.builtin" W=1 || return 1
	grep -qx CONFIG_TEST_MMU_NOTIFIER=y "$OUT/.config" || { echo "the test is not built in"; return 1; }
	[ ! -s "$log.builtin" ] || { cat "$log.builtin"; return 1; }
}

# Functions of mm/ as just compiled that take more than that, without sizes. KASAN
# makes them larger, of the base and of the series; the test is new, and has none
# without it.
deep_stacks() {
	local object
	for object in $(objects | grep '^mm/'); do
		[ ! -e "$OUT/$object" ] || objdump -d "$OUT/$object"
	done | perl "$LINUX_TREE/scripts/checkstack.pl" "$ARCH" 512 | sed -n 's/^0x[0-9a-f]* \([^ ]*\) .*/\1/p' | sort -u
}

check_drivers() {
	local object COMPILED=
	local -a CHECKER=(W=12 KCFLAGS=-Wno-error C=1 "CF=$SPARSE")
	compare_objects drivers-x86 x86_64 '' x86_64_defconfig arch/x86 fs kernel drivers/iommu/amd drivers/hv drivers/gpu/drm/amd/amdgpu "$AMDKFD" || return 1
	compare_objects drivers-powerpc powerpc powerpc64le-linux-gnu- powernv_defconfig drivers/misc/ocxl || return 1
	for object in $(touched '*.c' ':!mm' ':!lib' ':!tools' | sed 's/\.c$/.o/'); do
		grep -qwF "$object" <<<"${COMPILED//amdgpu\/..\//}" || { echo "nothing compiles $object"; return 1; }
	done
}

main() {
	local start=$SECONDS tool
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; return ;;
		--quick) QUICK=1 ;;
		*) die2 "check takes no '$1'; see ./build.sh check --help" ;;
		esac
		shift
	done
	local -a tools=(codespell shellcheck perl python3)
	[ -n "$QUICK" ] || tools+=(sparse spatch sphinx-build)
	for tool in "${tools[@]}"; do
		command -v "$tool" >/dev/null || die2 "there is no $tool: run ./build.sh deps"
	done
	if [ ! -d "$LINUX_TREE/.git" ]; then
		"$TOP/scripts/fetch.sh"
		"$TOP/scripts/tree.sh"
	fi
	mkdir -p "$BUILD/log"
	! is_dirty || warn "what is not committed in linux/ is not looked at"
	check series check_series
	check export check_export
	check am check_am
	check mutants check_mutants
	check checkpatch check_checkpatch
	check kernel-doc check_kernel_doc
	check codespell check_codespell
	check shellcheck check_shellcheck
	check neighbours check_neighbours
	check includes check_includes
	check spdx check_spdx
	check references check_references
	check maintainers check_maintainers
	check kcsan check_kcsan
	if [ -z "$QUICK" ]; then
		check build check_build
		check w2 check_w2
		check sparse check_sparse
		check coccinelle check_coccinelle
		check drivers check_drivers
		check neighbours-build check_neighbours_build
		check htmldocs check_htmldocs
	fi
	printf '%s %s 0\n' "$PASSED" "$FAILED" >"$BUILD/check.totals"
	say "check: $PASSED passed, $FAILED failed, in $(elapsed "$start")"
	[ "$FAILED" -eq 0 ]
}

main "$@"
