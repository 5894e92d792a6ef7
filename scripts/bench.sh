#!/usr/bin/env bash
# What the series costs and gives, against the base in the same run.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/kconfig.sh
. "$TOP/scripts/kconfig.sh"

CONFIG=bench
BENCH=$TOP/tools/testing/bench
OUT=$BUILD/bench
SAVED=$TOP/Documentation/series/bench
OLD=base
NEW=series
WITH=
CLOCKS=
SAVE=

usage() {
	cat <<EOF
usage: ./build.sh bench [--save | --with PATCH] [count|wall|atomics|size...]

Builds base and series without debugging from one configuration and measures
both, for as many notifiers as tools/testing/bench/guest/bench.c says:

  count    instructions of system calls, with QEMU's instruction clock: the same
           on every machine
  wall     throughput, and the waits of readers and removers, on 2 CPUs; only
           the ratio means something
  atomics  atomics and full barriers, which a count of instructions does not
           price: a debugger follows system calls instruction by instruction
  size     stack use of every function that starts or ends an invalidation, also
           of what the guest does not have, and the size of the code

Prints tables in Markdown and draws them; all of it is in build/bench. --save
puts tables, plots and their numbers into Documentation/series/bench. --with
compares the series with the series and one more patch, an experiment, instead.
EOF
}

build_kernel() { # VARIANT
	if [ "$1" = mutant ]; then
		"$TOP/scripts/kernel.sh" --mutant "$WITH"
	else
		"$TOP/scripts/kernel.sh" --variant "$1"
	fi
}

# What is measured twice was to warm up.
measured() {
	sed -n 's/^# \([a-z_]* [a-z0-9_]* [0-9]* [0-9]*\)$/\1/p' "$1" | tac | awk '!seen[$1, $2, $3]++' | tac
}

finished() { # VARIANT MODE
	grep -qx '# done' "$BUILD/run/bench-$1-$2/results" || die "the guest did not measure all: build/run/bench-$1-$2"
}

guest() { # VARIANT MODE [OPTION...]
	local name=bench-$1-$2 log=$BUILD/log/bench-$1-$2.log
	"$TOP/scripts/run.sh" --name "$name" --variant "$1" --plan bench --append "quiet nokaslr norandmaps" "${@:3}" -- "$2" >"$log" 2>&1 ||
		{ tail -n 5 "$log" >&2; die "the guest failed: ${log#"$TOP/"}"; }
	finished "$1" "$2"
	measured "$BUILD/run/$name/results" >"$OUT/$1.$2"
}

# What a machine does besides is not the same a minute later: base and series in
# turns, and of each line the median.
TURNS=3

in_turns() { # KIND
	local variant turn turns=1
	[ "$1" != wall ] || turns=$TURNS
	for ((turn = 1; turn <= turns; turn++)); do
		for variant in $OLD $NEW; do
			step "bench: $1, $variant$([ "$turns" -eq 1 ] || echo ", $turn of $turns")"
			"do_$1" "$variant"
			[ "$turns" -eq 1 ] || mv "$OUT/$variant.$1" "$OUT/$variant.$1.$turn"
		done
	done
	[ "$turns" -eq 1 ] || for variant in $OLD $NEW; do
		medians "$OUT/$variant.$1".[0-9]* >"$OUT/$variant.$1"
	done
}

medians() { # FILE...
	sort -k1,2 -k4,4n "$@" | awk -v turns=$# '++n[$1, $2] == int((turns + 1) / 2) { $1 = $1; print }' |
		awk 'NR == FNR { line[$1, $2] = $0; next } { print line[$1, $2] }' - "$1"
}

do_count() { guest "$1" count --icount; }
do_wall() { guest "$1" wall; }

# One CPU, and yet the instructions that two would need.
do_atomics() { # VARIANT
	local image name=bench-$1-atomics pid
	image=$(image_dir "$1")
	ACCEL=tcg "$TOP/scripts/run.sh" --name "$name" --variant "$1" --plan bench --cpus 1 --gdb \
		--append "quiet nokaslr noreplace-smp" -- atomics >"$BUILD/log/$name.log" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null && ! ss -Hltn 'sport = :1234' | grep -q .; do
		sleep 0.5
	done
	timeout 900 gdb -batch -nx -ex 'set args localhost:1234' -x "$BENCH/atomics.py" "$image/vmlinux" \
		>"$OUT/$1.gdb" 2>&1 || { tail -n 5 "$OUT/$1.gdb" >&2; kill "$pid"; die "gdb failed: ${OUT#"$TOP/"}/$1.gdb"; }
	timeout 300 tail --pid="$pid" -f /dev/null || kill "$pid"
	wait "$pid" || die "the guest failed: build/log/$name.log"
	finished "$1" atomics
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
	make -s -C "$SRC" O="$BUILD/kernel/$ARCH-stack" -j"$JOBS" KCFLAGS='-fstack-usage -Wno-missing-prototypes -Wno-missing-declarations' "$@" 9>&-
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

# The measured lines of both, as "WHAT STATE NUMBER BASE SERIES", in their order.
both() { # KIND
	awk 'NR == FNR { base[$1 " " $2 " " $3] = $4; next }
		{ key = $1 " " $2 " " $3; print key, (key in base ? base[key] : "-"), $4 }' \
		"$OUT/$OLD.$1" "$OUT/$NEW.$1"
}

table_count() {
	printf 'Instructions. Teardown: ns for each notifier, of which the waiting is not\n'
	printf 'instructions; synchronize: for all of them together. mprotect: two calls, there\n'
	printf 'and back.\n\n'
	printf '| | state | | %s | %s | difference |\n|---|---|---|---|---|---|\n' "$OLD" "$NEW"
	both count | awk '{ printf "| %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5,
		$4 == "-" ? "" : sprintf("%+d", $5 - $4) }'
}

# "STATE RATIO LOWEST HIGHEST" of the throughput: the best turn of the one against the
# best of the other, since whatever comes in between makes a turn slower; and how far
# the turns that were side by side are apart.
throughput() {
	local turn
	for ((turn = 1; turn <= TURNS; turn++)); do
		awk 'NR == FNR { base[$2] = $4; next } $1 == "throughput" { print $2, base[$2], $4 }' \
			"$OUT/$OLD.wall.$turn" "$OUT/$NEW.wall.$turn"
	done | awk '{ ratio = $3 / $2
		if (!($1 in low) || ratio < low[$1]) low[$1] = ratio
		if (ratio > high[$1]) high[$1] = ratio
		if ($2 > old[$1]) old[$1] = $2
		if ($3 > new[$1]) new[$1] = $3 }
		END { for (i in low) print i, new[i] / old[i], low[i], high[i] }' | sort
}

table_wall() {
	printf 'Wall clock, as %s / %s. Throughput: the best of %s turns of each. The last\n' "$NEW" "$OLD" "$TURNS"
	printf 'column says how far turns side by side were apart: whatever else the machine\n'
	printf 'does comes in between. Without notifiers (none) both do the same.\n\n'
	printf '| | | %s / %s | lowest and highest of %s turns |\n|---|---|---|---|\n' "$NEW" "$OLD" "$TURNS"
	throughput | awk '{ printf "| throughput | %s | %.2f | %.2f to %.2f |\n", $1, $2, $3, $4 }'
	awk 'NR == FNR { base[$1 " " $2] = $4; next }
		$1 != "throughput" { printf "| %s | %s | %.4g | |\n", $1, $2, base[$1 " " $2] ? $4 / base[$1 " " $2] : 0 }' \
		"$OUT/$OLD.wall" "$OUT/$NEW.wall"
}

table_atomics() {
	printf '| %s → %s | state | | instructions | atomics | full barriers |\n|---|---|---|---|---|---|\n' "$OLD" "$NEW"
	awk '{ key = $1 " " $2 " " $3 } NR == FNR { base[key] = $4 " " $5 " " $6; next }
		{ split(key in base ? base[key] : "- - -", b); printf "| %s | %s | %s | %s → %s | %s → %s | %s → %s |\n",
			$1, $2, $3, b[1], $4, b[2], $5, b[3], $6 }' "$OUT/$OLD.atomics" "$OUT/$NEW.atomics"
}

table_size() {
	printf '| stack in bytes of | %s | %s | difference |\n|---|---|---|---|\n' "$OLD" "$NEW"
	join -a 1 -a 2 -e - -o 0,1.2,2.2 "$OUT/$OLD.size" "$OUT/$NEW.size" |
		awk '{ printf "| %s | %s | %s | %s |\n", $1, $2, $3, $2 == "-" || $3 == "-" ? "" : sprintf("%+d", $3 - $2) }'
	printf '\n'
	printf '    %s\n' "bloat-o-meter, mm/mmu_notifier.o:"
	"$LINUX_TREE/scripts/bloat-o-meter" "$(image_dir "$OLD")/mmu_notifier.o" "$(image_dir "$NEW")/mmu_notifier.o" | sed 's/^/    /'
	printf '    %s\n' "and of vmlinux:"
	"$LINUX_TREE/scripts/bloat-o-meter" -t "$(image_dir "$OLD")/vmlinux" "$(image_dir "$NEW")/vmlinux" | tail -n 1 | sed 's/^/    /'
}

# What the table of counts has, a file for each curve: "NUMBER BASE SERIES".
plot() {
	local state work
	rm -f "$OUT"/*.dat
	for state in list elsewhere hit active; do
		for work in madvise munmap mprotect fork_cow read_begin; do
			both count | awk -v w="$work" -v s="$state" '$1 == w && ($2 == s || s == "list" && $2 == "none") { print $3, $4, $5 }' >"$OUT/$work.$state.dat"
		done
	done
	both count | awk '$1 == "teardown" { print $2, $4, $5 }' >"$OUT/teardown.dat"
	both count | awk '$1 == "failed_start" { print $3, $4, $5 }' >"$OUT/failed_start.dat"
	awk 'NR == FNR { base[$1 " " $2] = $4; next } $1 != "throughput" { print "\"" $1 " " $2 "\"", base[$1 " " $2], $4 }' \
		"$OUT/$OLD.wall" "$OUT/$NEW.wall" >"$OUT/waits.dat"
	throughput >"$OUT/throughput.dat"
	awk 'NR == FNR { base[$1 " " $2 " " $3] = $5 " " $6; next } {
		key = $1 " " $2 " " $3; print "\"" key "\"", (key in base ? base[key] : "- -"), $5, $6 }' \
		"$OUT/$OLD.atomics" "$OUT/$NEW.atomics" >"$OUT/atomics.dat"
	find "$OUT" -name '*.dat' -empty -delete
	gnuplot -e "dir='$OUT'; old='$OLD'; new='$NEW'" "$BENCH/plot.gp"
}

main() {
	local variant kind start=$SECONDS
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; return ;;
		--save) SAVE=1 ;;
		--with)
			[ -r "${2:-}" ] || die2 "--with needs a patch"
			WITH=$2 OLD=series NEW=mutant OUT=$BUILD/bench-with
			shift
			;;
		count | wall | atomics | size) CLOCKS+=" $1" ;;
		*) die2 "bench takes no '$1'; see ./build.sh bench --help" ;;
		esac
		shift
	done
	CLOCKS=${CLOCKS:-count wall atomics size}
	[ "$ARCH" = x86_64 ] || die2 "bench is for x86_64 alone"
	mkdir -p "$OUT" "$BUILD/log"
	"$TOP/scripts/deps.sh" gdb gnuplot-nox iproute2
	[ -z "$SAVE" ] || [ "$CLOCKS" = 'count wall atomics size' ] || die2 "--save is for all four of them"
	[ -z "$SAVE" ] || [ -z "$WITH" ] || die2 "--save is for the series alone"
	for variant in $OLD $NEW; do
		build_kernel "$variant"
	done
	for kind in $CLOCKS; do
		in_turns "$kind"
		"table_$kind" | tee "$OUT/$kind.md"
	done
	[ ! -s "$OUT/$NEW.count" ] || [ ! -s "$OUT/$NEW.wall" ] || [ ! -s "$OUT/$NEW.atomics" ] || plot
	if [ -n "$SAVE" ]; then
		mkdir -p "$SAVED"
		rm -f "$SAVED"/*.dat
		cp "$OUT"/{count,wall,atomics,size}.md "$OUT"/*.dat "$OUT/bench.svg" "$SAVED/"
	fi
	say "bench: $(elapsed "$start"), all of it is in ${OUT#"$TOP/"}"
}

main "$@"
