#!/usr/bin/env bash
# What the series costs and gives, against the base in the same run.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/kconfig.sh
. "$TOP/scripts/kconfig.sh"

BENCH=$TOP/tools/testing/bench
OUT=$BUILD/bench
SAVED=$TOP/Documentation/series/bench
OLD=base
NEW=series
WITH=
KINDS=()
SAVE=
# What a machine does besides is not the same a minute later: base and series in
# turns, where the clock is that of the wall.
TURNS=3

usage() {
	cat <<EOT
usage: ./build.sh bench [--save | --with PATCH] [KIND...]

Builds base and series from one configuration and measures both:

  count    instructions of system calls, with QEMU's instruction clock: the same
           on every machine
  wall     throughput, and the waits of readers and removers, on 2 CPUs; only
           the ratio means something
  atomics  atomics, full barriers and what is done under the lock, which a count of
           instructions does not price: a debugger follows each instruction
  size     stack use of every function that starts or ends an invalidation, also
           of what the guest does not have, and the size of the code
  starvation
           how long a reader and a remover wait beside eight threads that
           invalidate pages of their own without a pause, each under 32 interval
           notifiers

The first four without debugging, for as many notifiers as
tools/testing/bench/guest/bench.c says, the last with the usual configuration.
Prints tables in Markdown and draws the first three, ratios.svg first: all of it is
in build/bench.
It measures, it does not judge. --save puts the tables into
Documentation/series/results.md and the plots into Documentation/series/bench.
--with compares the series with the series and one more patch, an experiment,
instead.
EOT
}

# What run.sh is to build and to boot.
source_of() { # VARIANT
	case $1 in mutant) SOURCE=(--mutant "$WITH") ;; *) SOURCE=(--variant "$1") ;; esac
}

# Boots a guest, which has to come to its end. On the base a start that fails prints,
# and bench.c keeps that off the console, whose cost it is not to measure.
guest() { # NAME VARIANT OPTION...
	local log=$BUILD/log/bench-$1.log dir=$BUILD/run/bench-$1
	source_of "$2"
	bash "$TOP/scripts/run.sh" --built --name "bench-$1" "${SOURCE[@]}" "${@:3}" >"$log" 2>&1 ||
		! grep -qv '^the console does not show what the kernel said' "$dir/why" ||
		{ tail -n 5 "$log" >&2; die "the guest failed: ${log#"$TOP/"}"; }
	grep -qxE '# done|ok 1 starve' "$dir/results" || die "the guest did not measure all: ${dir#"$TOP/"}"
}

measured() { sed -n 's/^# \([a-z_]* [a-z0-9_]* [0-9]* [0-9]*\)$/\1/p' "$BUILD/run/bench-$1/results"; }

do_count() { # VARIANT
	guest "$1-count" "$1" --plan bench --append "nokaslr norandmaps log_buf_len=16M" --icount count
	measured "$1-count" >"$OUT/$1.count"
}

do_wall() { # VARIANT TURN
	guest "$1-wall" "$1" --plan bench --append "nokaslr norandmaps" wall
	measured "$1-wall" >"$OUT/$1.wall.$2"
}

do_starvation() { # VARIANT
	guest "$1-starvation" "$1" --plan starve
	sed -n 's/^# \(\(read_begin\|remove\):.*\)/\1/p' "$BUILD/run/bench-$1-starvation/results" >"$OUT/$1.starvation"
}

# One CPU, and yet the instructions that two would need.
do_atomics() { # VARIANT
	local pid
	guest "$1-atomics" "$1" --plan bench --icount --gdb --append "nokaslr noreplace-smp" atomics &
	pid=$!
	while kill -0 "$pid" 2>/dev/null && ! ss -Hltn 'sport = :1234' | grep -q .; do
		sleep 0.5
	done
	timeout 900 gdb -batch -nx -ex 'set args localhost:1234' -x "$BENCH/atomics.py" "$(image_dir "$1")/vmlinux" \
		>"$OUT/$1.gdb" 2>&1 || { tail -n 5 "$OUT/$1.gdb" >&2; kill "$pid"; die "gdb failed: ${OUT#"$TOP/"}/$1.gdb"; }
	wait "$pid" || die "the guest failed (above)"
	sed -n 's/^atomics //p' "$OUT/$1.gdb" >"$OUT/$1.atomics"
}

# What holds a range: the files that set one up.
HOLDERS="fs/proc/task_mmu.o kernel/events/uprobes.o mm/huge_memory.o mm/hugetlb.o
mm/khugepaged.o mm/ksm.o mm/madvise.o mm/mapping_dirty_helpers.o mm/memory.o
mm/migrate_device.o mm/mmu_notifier.o mm/mprotect.o mm/mremap.o mm/rmap.o
mm/userfaultfd.o"

commit_of() { # VARIANT
	case $1 in
	base) commit_of_parts tests ;;
	series) series_commit ;;
	mutant) commit_with "$WITH" ;;
	esac
}

# The helpers of vmwgfx are compiled though nothing here selects them.
stack_make() {
	make -s -C "$SRC" O="$BUILD/kernel/$ARCH-stack" -j"$JOBS" KCFLAGS='-fstack-usage -Wno-missing-prototypes -Wno-missing-declarations' "$@"
}

# Compiles them as for the guest, with more of the kernel. scripts/checkstack.pl
# would count a frame once for each instruction that takes it away again.
compile_holders() { # VARIANT
	local out=$BUILD/kernel/$ARCH-stack lost
	mkdir -p "$out"
	check_out_src "$(commit_of "$1")" || return
	config_options bench "$BENCH/stack.config" >"$out/fragments"
	KCONFIG_ALLCONFIG=$out/fragments stack_make allnoconfig || return
	stack_make olddefconfig || return
	lost=$(lost_options "$out/fragments" "$out/.config")
	[ -z "$lost" ] || { echo "options that did not survive olddefconfig:$lost: see tools/testing/bench/stack.config"; return 1; }
	# shellcheck disable=SC2086 # a list of words
	(cd "$out" && rm -f $HOLDERS) || return
	# shellcheck disable=SC2086 # a list of words
	stack_make $HOLDERS
}

# Their functions that start or end an invalidation, and all of two of the files, with
# the bytes of their frames as gcc says them.
do_size() { # VARIANT
	local object out=$BUILD/kernel/$ARCH-stack
	logged "$BUILD/log/bench-$1-stack.log" compile_holders "$1" ||
		die "the holders of ranges did not compile (above)"
	for object in $HOLDERS; do
		join <(awk -F '[:\t]' '{ print $4, $5 }' "$out/${object%.o}.su" | sort) \
			<(objdump -dr "$out/$object" | awk -v all="$(case $object in mm/mmu_notifier.o | mm/mapping_dirty_helpers.o) echo 1 ;; esac)" \
				'/^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3) }
				all || /__mmu_notifier_invalidate_range_(start|end)/ { sub(/\.cold$/, "", name); print name }' | sort -u) |
			sed -E "s|^([^ .]*)[^ ]*|${object%.o}.c:\1|"
	done | sort >"$OUT/$1.size"
}

# Of the code, by the kernel's own tool.
code_size() {
	printf '\n    bloat-o-meter, mm/mmu_notifier.o:\n'
	"$LINUX_TREE/scripts/bloat-o-meter" "$(image_dir "$OLD")/mmu_notifier.o" "$(image_dir "$NEW")/mmu_notifier.o" | sed 's/^/    /'
	printf '    and of vmlinux:\n'
	"$LINUX_TREE/scripts/bloat-o-meter" -t "$(image_dir "$OLD")/vmlinux" "$(image_dir "$NEW")/vmlinux" | tail -n 1 | sed 's/^/    /'
}

# Builds both, and measures them in turns.
measure() { # KIND
	local variant turn turns=1
	set_option config "$([ "$1" = starvation ] && echo debug || echo bench)"
	for variant in $OLD $NEW; do
		source_of "$variant"
		bash "$TOP/scripts/run.sh" --build-only "${SOURCE[@]}"
	done
	[ "$1" != wall ] || turns=$TURNS
	rm -f "$OUT"/*."$1" "$OUT"/*."$1".[0-9]*
	for ((turn = 1; turn <= turns; turn++)); do
		for variant in $OLD $NEW; do
			step "bench: $1, $variant, $turn of $turns ($(elapsed 0))"
			"do_$1" "$variant" "$turn"
		done
	done
}

# What is compared is all of one state of linux/, or it is not drawn.
draw() {
	local kind
	for kind in count wall atomics; do
		[[ " ${KINDS[*]} " == *" $kind "* ]] || return 0
	done
	python3 "$TOP/scripts/bench.py" plot "$OUT" "$OLD" "$NEW"
	gnuplot -e "dir='$OUT'; old='$OLD'; new='$NEW'" "$BENCH/plot.gp"
	[ -n "$SAVE" ] || return 0
	mkdir -p "$SAVED"
	rm -f "$SAVED"/*.dat
	cp "$OUT"/*.dat "$OUT"/{ratios,bench}.svg "$SAVED/"
}

main() {
	local kind
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; return ;;
		--save) SAVE=1 ;;
		--with)
			[ -r "${2:-}" ] || die2 "--with needs a patch"
			WITH=$2 OLD=series NEW=mutant OUT=$BUILD/bench-with
			shift
			;;
		count | wall | atomics | size | starvation) KINDS+=("$1") ;;
		*) die2 "bench takes no '$1'; see ./build.sh bench --help" ;;
		esac
		shift
	done
	[ "${#KINDS[@]}" -gt 0 ] || KINDS=(count wall atomics size starvation)
	[ "$ARCH" = x86_64 ] || die2 "bench is for x86_64 alone"
	[ -z "$SAVE" ] || [ -z "$WITH" ] || die2 "--save is for the series alone"
	mkdir -p "$OUT" "$BUILD/log"
	bash "$TOP/scripts/deps.sh" gdb gnuplot-nox iproute2
	need_tree
	for kind in "${KINDS[@]}"; do
		measure "$kind"
		python3 "$TOP/scripts/bench.py" "$kind" "$OUT" "$OLD" "$NEW" >"$OUT/$kind.md"
		[ "$kind" != size ] || code_size >>"$OUT/$kind.md"
		cat "$OUT/$kind.md"
		[ -z "$SAVE" ] || python3 "$TOP/scripts/results.py" put "bench-$kind" <"$OUT/$kind.md"
	done
	draw
	say "bench: $(elapsed 0), all of it is in ${OUT#"$TOP/"}"
}

main "$@"
