#!/usr/bin/env bash
# Builds a kernel, its modules and the kselftests, out of tree:
# kernel.sh [--variant series|base | --commit REV | --mutant PATCH]
# The variant "base" is the base kernel with the part "tests" alone; --commit gives
# the variant "step"; a mutant has one more patch, and the kselftests of the series.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/kconfig.sh
. "$TOP/scripts/kconfig.sh"
# shellcheck source=scripts/arch.sh
. "$TOP/scripts/arch.sh"

VARIANT=series
BENCH=$TOP/tools/testing/bench

# gcc 8 and later build v7.3; an older one fails late and obscurely.
check_compiler() {
	local have want
	have=$("${COMPILER[0]}" -dumpversion)
	want=$("$SRC/scripts/min-tool-version.sh" "${COMPILER[1]}")
	[ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ] ||
		die2 "${COMPILER[0]} $have is too old for this kernel, it needs $want: install a newer one"
}

# Before the series has its module something else has to want mmu notifiers.
options() {
	if [ -n "${BASE_OF:-}" ]; then
		config_options "$CONFIG" | known_options "$SRC"
	elif [ -e "$SRC/lib/test_mmu_notifier_uapi.h" ]; then
		config_options "$CONFIG"
	else
		config_options "$CONFIG" "$HARNESS/kconfig/hmm.config" | grep -v '^CONFIG_TEST_MMU_NOTIFIER='
	fi
}

configure() {
	local lost
	options >"$OUT/fragments"
	KCONFIG_ALLCONFIG=$OUT/fragments kmake allnoconfig || return 1
	kmake olddefconfig || return 1
	lost=$(lost_options "$OUT/fragments" "$OUT/.config")
	[ -z "$lost" ] ||
		die "options that did not survive olddefconfig:$lost. Give what they depend on in $HARNESS/kconfig"
}

kmake() { "${MAKE[@]}" -s "$@"; }

# make with its output in a log, and how far it is.
build() {
	local log=$BUILD/log/kernel-$ARCH-$CONFIG.log total='' start=$SECONDS pid last=$SECONDS
	# To count what is left takes as long as to build what a small change leaves.
	if [ ! -e "$OUT/vmlinux" ]; then
		logged "$log" kmake -j"$JOBS" prepare ||
			die "the kernel's build could not be prepared (above): the log is ${log#"$TOP/"}"
		total=$(objects_to_do)
	fi
	"${MAKE[@]}" -j"$JOBS" "$TARGET" modules >"$log" 2>&1 &
	pid=$!
	# shellcheck disable=SC2064 # now, not then
	trap "kill $pid 2>/dev/null; exit 130" INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		progress "$log" "$total" "$start" "$last" && last=$SECONDS
	done
	trap - INT TERM
	[ ! -t 1 ] || printf '\n'
	if ! wait "$pid"; then
		grep -E -m 5 -A 6 'error:|Error [0-9]|No space left' "$log" >&2 || tail -n 20 "$log" >&2
		die "the kernel did not build: the log is ${log#"$TOP/"}"
	fi
	refuse_warnings "$log"
	say "kernel: $(objects "$log") objects in $(elapsed "$start")"
}

# A warning about what the series touches. It would not show again when nothing has
# to be compiled, so that what gave it goes; a newer compiler may say of other
# files what it likes.
refuse_warnings() { # LOG
	local file bad=
	while read -r file; do
		file=${file#"$SRC/"}
		[ -n "$(lgit diff --name-only base "$COMMIT" -- "$file")" ] || continue
		bad=1
		case $file in
		*.c) rm -f "$OUT/${file%.c}.o" ;;
		*) rm -f "$OUT/mm/mmu_notifier.o" "$OUT/lib/test_mmu_notifier.o" ;;
		esac
	done < <(sed -nE 's/^([^ :]+):[0-9]+(:[0-9]+)?: warning: .*/\1/p' "$1" | sort -u)
	[ -n "$bad" ] || return 0
	grep -A 4 'warning:' "$1" | head -n 20 >&2
	die "the series gives warnings (above): the log is ${1#"$TOP/"}"
}

# What is left to do, from a dry run.
objects_to_do() {
	"${MAKE[@]}" -n "$TARGET" modules 2>/dev/null |
		grep -cE "echo '  (CC|AS|LD|AR|HOSTCC|HOSTLD)" || true
}

objects() { grep -cE '^  (CC|AS|LD|AR|HOSTCC|HOSTLD)' "$1" || true; }

# On a terminal one line that changes; elsewhere one every 30 s.
progress() { # LOG TOTAL START LAST
	local count text
	count=$(objects "$1")
	text="kernel: $count objects, $(elapsed "$3")"
	[ -z "$2" ] || [ "$count" -eq 0 ] ||
		text="kernel: $count of $2 objects, $(elapsed "$3"), about $(minutes $(((SECONDS - $3) * ($2 - count) / count))) to go"
	if [ -t 1 ]; then
		printf '\r%s \e[K' "$text"
	elif [ $((SECONDS - $4)) -ge 30 ]; then
		say "$text"
	else
		return 1
	fi
}

# The module of ./build.sh bench, and what it is compared by besides.
install_bench() { # IMAGE
	logged "$BUILD/log/bench-module.log" kmake M="$BENCH/module" MO="$OUT/bench" modules ||
		die "the module of the benchmark did not build: build/log/bench-module.log"
	cp "$OUT/bench/mmu_notifier_bench.ko" "$OUT/vmlinux" "$OUT/mm/mmu_notifier.o" "$1/"
}

# For whoever reads reports of races: the functions of what the series touches, and
# how far out of a stack they make it ours. What those of mmu notifiers call counts
# as theirs; elsewhere in mm the series changes a line or two in large files.
touched_symbols() {
	local object depth
	touched_code HEAD 'mm/*.c' 'lib/*.c' | sed 's/\.c$/.o/' |
		while read -r object; do
			case $object in *mmu_notifier*) depth=4 ;; *) depth=1 ;; esac
			[ ! -e "$OUT/$object" ] || "${CROSS}nm" "$OUT/$object" | sed "s/$/ $depth/"
		done | awk '$(NF - 2) ~ /^[tTwW]$/ { sub(/\..*/, "", $(NF - 1)); print $(NF - 1), $NF }' | sort -u
}

# Ours alone, but for the matrix's cells of other people's tests: a cross compiler has
# no libraries for the others, and they take a while. Not through the kernel's
# Makefile, which does not pass on which.
install_kselftests() { # INTO
	local -a options=(SKIP_TARGETS= KSFT_INSTALL_PATH="$1" FORCE_TARGETS=1)
	local tests
	if [ -n "${BASE_OF:-}" ]; then
		older_kselftests "$1"
		return
	elif [ "$CONFIG" = suites ]; then
		kmake -j"$JOBS" TARGETS="mm kvm" "${options[@]}" kselftest-install
		return
	fi
	kmake headers || return
	tests=$(cd "$SRC/tools/testing/selftests/mm" && our_programs mmu_notifier_*.c |
		sed "s|^|$OUT/kselftest/mm/|" | tr '\n' ' ')
	make -s -C "$SRC/tools/testing/selftests" O="$OUT" ARCH="$KARCH" CROSS_COMPILE="$CROSS" TARGETS=mm \
		"${options[@]}" TEST_GEN_FILES="$tests" TEST_GEN_PROGS= install
}

# Of a kernel whose Makefile does not know our tests, and may have mm's in vm/.
older_kselftests() { # INTO
	local dir=$SRC/tools/testing/selftests mm=$SRC/tools/testing/selftests/mm program
	[ -e "$mm/vm_util.c" ] || mm=$dir/vm
	kmake headers || return
	mkdir -p "$1/mm"
	cp -r "$dir/kselftest" "$dir/run_kselftest.sh" "$1/"
	: >"$1/kselftest-list.txt"
	cp "$dir"/mm/*mmu_notifier.sh "$mm"/{run_vmtests.sh,settings} "$1/mm/"
	for program in $(cd "$dir/mm" && our_programs mmu_notifier_*.c); do
		gcc -O2 -Wall -U_FORTIFY_SOURCE -I"$SRC" -I"$dir" -I"$mm" -isystem "$OUT/usr/include" -fPIE -pie -pthread \
			-o "$1/mm/$program" "$dir/mm/$program.c" "$dir/mm/mmu_notifier_common.c" "$mm/vm_util.c" || return
	done
}

# The sources of our kselftests, but for what they share.
our_programs() { # FILE...
	printf '%s\n' "$@" | sed '/_common\.c$/d; /\*/d; s/\.c$//'
}

# The kselftests of mm as a user installs them, and the modules.
install_image() {
	local image
	image=$(image_dir "$VARIANT")
	rm -rf "$image"
	mkdir -p "$image"
	cp "$OUT/$KERNEL" "$image/kernel"
	touched_symbols >"$image/symbols"
	# What the module of this image speaks, for programs of our own.
	[ ! -e "$SRC/lib/test_mmu_notifier_uapi.h" ] ||
		install -D -m 644 "$SRC/lib/test_mmu_notifier_uapi.h" "$image/include/lib/test_mmu_notifier_uapi.h"
	logged "$BUILD/log/modules.log" kmake INSTALL_MOD_PATH="$image" INSTALL_MOD_STRIP=1 modules_install ||
		die "the modules could not be installed: build/log/modules.log"
	[ "$CONFIG" != bench ] || install_bench "$image"
	if [ "$VARIANT" = mutant ]; then
		cp -r "$(image_dir series)/kselftest" "$image/"
		printf '%s\n' "$BUILT" >"$image/built"
		return
	fi
	logged "$BUILD/log/kselftest.log" install_kselftests "$image/kselftest" ||
		die "the kselftests did not build: build/log/kselftest.log"
	[ -x "$image/kselftest/mm/mmu_notifier_events" ] || [ ! -e "$SRC/tools/testing/selftests/mm/test_mmu_notifier.sh" ] ||
		die "the kselftests built, but without mm/mmu_notifier_events: build/log/kselftest.log"
	printf '%s\n' "$BUILT" >"$image/built"
}

main() {
	while [ $# -gt 0 ]; do
		case $1 in
		--variant)
			[ $# -ge 2 ] || die2 "--variant needs a value: series or base"
			VARIANT=$2
			shift
			;;
		--commit)
			COMMIT=$(lgit rev-parse -q --verify "${2:-}^{commit}") || die2 "--commit needs a commit of linux/"
			VARIANT=step
			shift
			;;
		--mutant)
			[ -r "${2:-}" ] || die2 "--mutant needs a patch"
			VARIANT=mutant MUTANT=$2
			shift
			;;
		*) die2 "kernel.sh takes no '$1'" ;;
		esac
		shift
	done
	need_tree
	arch_settings
	OUT=$(out_dir)
	mapfile -t MAKE < <(config_make "$CONFIG")
	MAKE=(make -C "$SRC" O="$OUT" ARCH="$KARCH" CROSS_COMPILE="$CROSS" "${MAKE[@]}")
	case $VARIANT in
	series) COMMIT=$(series_commit) ;;
	base) COMMIT=$(commit_of_parts tests) ;;
	step) ;;
	mutant)
		COMMIT=$(commit_with "$MUTANT")
		[ -n "$COMMIT" ] || die "$MUTANT does not apply to linux/: bring it up to date"
		;;
	*) die2 "--variant $VARIANT: there is only: series base" ;;
	esac
	COMPILER=("${CROSS}gcc" gcc "${CROSS}ld")
	[[ " ${MAKE[*]} " != *" LLVM=1 "* ]] || COMPILER=(clang llvm ld.lld)
	command -v "${COMPILER[0]}" >/dev/null ||
		die2 "there is no ${COMPILER[0]}: run ./build.sh${CROSS:+ --arch $ARCH} deps, or for clang: ./build.sh deps clang lld llvm"
	BUILT="$(lgit rev-parse "$COMMIT^{tree}") $({ "${COMPILER[0]}" --version; "${COMPILER[2]}" --version; config_options "$CONFIG"; config_make "$CONFIG"; cat "$TOP/scripts/kernel.sh"; [ "$CONFIG" != bench ] || cat "$BENCH"/*.h "$BENCH"/module/*; } | sha1sum)"
	if [ "$(cat "$(image_dir "$VARIANT")/built" 2>/dev/null)" = "$BUILT" ]; then
		say "kernel: $ARCH $CONFIG $VARIANT is up to date"
		return
	fi
	mkdir -p "$OUT" "$BUILD/log"
	local start=$SECONDS
	step "kernel: $ARCH $CONFIG, $VARIANT, $JOBS jobs"
	[ -e "$SRC/.git" ] || need_space 6 "the kernel's source and objects"
	check_out_src "$COMMIT" || die "build/src could not be moved to what is to be built (above)"
	check_compiler
	configure || die "the kernel could not be configured (above)"
	build
	install_image
	say "kernel: $VARIANT is in ${OUT#"$TOP/"} and $(image_dir "$VARIANT" | sed "s|$TOP/||"), $(elapsed "$start") in all"
}

main "$@"
