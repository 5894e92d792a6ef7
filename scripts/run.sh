#!/usr/bin/env bash
# Builds what is out of date, boots it with the kselftests and gives a verdict.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/initramfs.sh
. "$TOP/scripts/initramfs.sh"
# shellcheck source=scripts/arch.sh
. "$TOP/scripts/arch.sh"
# shellcheck source=scripts/qemu.sh
. "$TOP/scripts/qemu.sh"

EXPECT=$HARNESS/expect
VARIANT=series
SOURCE=()
PLAN=kselftest
NAME=
APPEND=
GOLDEN=
SPLATS=
ADD=()
LIMITS=()
MODE=tests
BUILD_FIRST=1
SNAPSHOT=
WHOLE=
# These fixtures take as long as all others.
LATER="teardown. nonblock. race. mix."

usage() {
	cat <<EOT
usage: ./build.sh run [OPTION...] [TEST...]

Builds what is out of date of linux/ as it is, uncommitted changes included,
boots it with an initramfs, and runs the kselftests; with TEST (fixture.test,
fixture.variant.test, test for each of that name, or "fixture." for all of a
fixture) only those.

what is built
  --variant V    series (default), or base: the base with the part "tests" alone
  --commit REV   linux/ as of this commit
  --mutant FILE  the series and one more patch
  --build-only   no guest

what the guest does
  --list         print the names of the tests
  --plan P       kselftest; misuse (the tests that make the kernel warn); boot;
                 stall (waits that last too long, and what is reported);
                 bench, suite and nested (what matrix and bench do there); or one
                 that must not pass: warn, oops, sleeps, interrupts, init
  --splat T      the test splat.T.call: what a driver must not do
  --append LINE  more for the kernel command line; can be given more than once
  --cpus N       1, 2, 4 or 160 (default $GUEST_CPUS)
  --memory N     MiB (default $GUEST_MEMORY)
  --icount       emulate one CPU, whose clock counts instructions as nanoseconds
  --add FILE     also this file, in the guest's /: a module of your own, say,
                 built with: make -C build/kernel/$ARCH-$CONFIG M=DIR
  --shell        a prompt in the guest instead of tests
  --gdb          with line numbers (configuration gdb), waits for a debugger on
                 port 1234

what passes
  --golden FILE  the list of tests and outcomes (default: that of the variant or
                 of the configuration in tools/testing/harness/expect)
  --splats FILE  the console shows each expression of the file, as often as it
                 stands there, and nothing else that is bad
  --name N       name of the run's folder in build/run
  --whole        all tests in one guest, through kselftest's own runner: under
                 emulation two guests side by side do half of them each

The verdict is FAIL until the guest's own channel says exactly what the list says,
QEMU has powered down and the console is clean. A guest is hung when nothing moves,
however long it takes in all: HACKING.md.
EOT
}

number() { [[ $2 =~ ^[1-9][0-9]*$ ]] || die2 "$1 $2: not a number above 0"; }

readable() { [ -r "$2" ] || die2 "$1 $2: no such file"; }

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--shell) MODE=shell; shift; continue ;;
		--gdb)
			MODE=gdb
			[ "$CONFIG" = bench ] || set_option config gdb
			shift
			continue
			;;
		--list) MODE=list; shift; continue ;;
		--icount) ACCEL=icount GUEST_CPUS=1; shift; continue ;;
		--build-only) MODE=build; shift; continue ;;
		# For who runs many guests of one kernel: scripts/test.sh.
		--built) BUILD_FIRST=; shift; continue ;;
		--snapshot) SNAPSHOT=1; shift; continue ;;
		--whole) WHOLE=1; shift; continue ;;
		-h | --help) usage; exit ;;
		--) shift; TESTS+=("$@"); return ;;
		--variant | --commit | --mutant | --append | --plan | --splat | --cpus | --memory | --limit | --add | --golden | --splats | --name)
			[ $# -ge 2 ] || die2 "$1 needs a value; see ./build.sh run --help"
			;;
		-*) die2 "run takes no '$1'; see ./build.sh run --help" ;;
		*) TESTS+=("$1"); shift; continue ;;
		esac
		case $1 in
		--variant)
			case $2 in series | base) ;; *) die2 "--variant $2: there is only: series base" ;; esac
			VARIANT=$2 SOURCE=(--variant "$2")
			;;
		--commit) VARIANT=step SOURCE=(--commit "$2") ;;
		--mutant) readable "$@"; VARIANT=mutant SOURCE=(--mutant "$2") ;;
		--append) APPEND+="${APPEND:+ }$2" ;;
		--plan) PLAN=$2 ;;
		--splat)
			grep -q "^$2 " "$EXPECT/splats" || die2 "--splat $2: there is no such test; the first words of tools/testing/harness/expect/splats are all"
			PLAN=splat TESTS=("splat.$2.call")
			;;
		--cpus) case $2 in 1 | 2 | 4 | 160) GUEST_CPUS=$2 ;; *) die2 "--cpus $2: there is only: 1 2 4 160" ;; esac ;;
		--memory) number "$@"; GUEST_MEMORY=$2 ;;
		--limit) number "$@"; LIMITS=(--silent "$2" --stuck "$2") ;;
		--add) readable "$@"; ADD+=("$2") ;;
		--golden) readable "$@"; GOLDEN=$2 ;;
		--splats) readable "$@"; SPLATS=$2 ;;
		--name)
			[[ $2 =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || die2 "--name $2: letters, digits, dots and dashes only"
			NAME=$2
			;;
		esac
		shift 2
	done
}

# Which list says what must come out.
golden() {
	local variant=$VARIANT name
	[ -z "$GOLDEN" ] || return 0
	[ "$VARIANT" = base ] || variant=series
	case $PLAN in
	misuse) name=$variant-misuse ;;
	kselftest) name=$variant ;;
	splat | stall | boot | bench | nested) name=$PLAN ;;
	*) name=passes ;;
	esac
	[ "$PLAN" != kselftest ] || [ ! -e "$EXPECT/$ARCH-$CONFIG.tests" ] || name=$ARCH-$CONFIG
	GOLDEN=$EXPECT/$name.tests
}

# As the guest's init takes it: a word, and its arguments.
plan() {
	local test list=
	for test in "${TESTS[@]}"; do
		case $test in *[!A-Za-z0-9_.]*) [ "$PLAN" != kselftest ] || die2 "'$test' is not the name of a test" ;; esac
		case $test in *.) list+=" -f ${test%.}" ;; *.*) list+=" -r $test" ;; *) list+=" -t $test" ;; esac
	done
	case $PLAN in
	misuse | splat) GUEST_PLAN=script ARGUMENTS="misuse$list" ;;
	kselftest)
		GUEST_PLAN=kselftest ARGUMENTS=
		[ -z "$list" ] || GUEST_PLAN=script ARGUMENTS="smoke$list"
		;;
	bench)
		# Measures alone, without a heartbeat, and counts slowly.
		GUEST_PLAN=bench ARGUMENTS="${TESTS[*]}" TESTS=() LIMITS=(--silent 1800 --stuck 1800)
		;;
	*) GUEST_PLAN=$PLAN ARGUMENTS="${TESTS[*]}" TESTS=() ;;
	esac
	JUDGED=(--golden "$GOLDEN")
	[ "$GUEST_PLAN" != script ] || JUDGED+=(--script)
	[ "$PLAN" != suite ] || JUDGED=(--foreign)
}

splats() {
	if [ "$PLAN" = splat ]; then
		SPLATS=$DIR/splats
		sed -n "s/^${TESTS[0]:6:-5} //p" "$EXPECT/splats" | tr -s ' ' '\n' | grep . >"$SPLATS"
	elif [ "$PLAN" = misuse ] && [ -z "$SPLATS" ]; then
		SPLATS=$EXPECT/misuse.splats
		[ "$VARIANT" != base ] || SPLATS=$EXPECT/base-misuse.splats
	elif [ "$PLAN" = stall ] && [ -z "$SPLATS" ]; then
		SPLATS=$EXPECT/stall.splats
	fi
}

serial() { QEMU+=(-chardev "file,id=console,path=$(commas "$1/console"),append=on" -serial chardev:console); }

# One boot for all guests of an image: what it had said until then is in the folder,
# for each of them to begin with. Only emulation takes long enough to be worth it.
snapshot() { # IMAGE INITRAMFS
	local dir=$1/snapshot-$GUEST_CPUS-$GUEST_MEMORY key
	key=$({ "${QEMU_SYSTEM[0]}" --version; stat -c '%Y %s' "$1/kernel" "$2"; cat "$TOP/scripts/qemu.sh"; } | sha1sum)
	(
		flock 8
		if [ "$(cat "$dir/key" 2>/dev/null)" != "$key" ]; then
			rm -rf "$dir"
			mkdir "$dir"
			qemu_command tcg "$1/kernel" "$2" "" "$dir"
			serial "$dir"
			"$TOP/scripts/guest.py" --silently --save "$dir/memory" "$dir" -- "${QEMU[@]}" 8>&-
			[ "$(cat "$dir/status")" = saved ] || die "no snapshot of a guest could be taken: $(cat "$dir/status")"
			echo "$key" >"$dir/key"
		fi
	) 8>"$1/snapshot.lock"
	cp "$dir"/{results,console,kmsg,beat} "$DIR/"
	GUEST=(--load "$dir/memory" --plan "$GUEST_PLAN"$'\n'"$ARGUMENTS")
}

# Of the tests of the list, two parts that take about as long. SECOND is empty where
# there is nothing to part.
halves() {
	local fixture
	FIRST=() SECOND=()
	[ "$MODE$PLAN" = testskselftest ] && [ "${#TESTS[@]}" -eq 0 ] && [ -z "$WHOLE" ] && [ "$JOBS" -gt 1 ] || return 0
	while read -r fixture; do
		case " $LATER " in *" $fixture "*) SECOND+=("$fixture") ;; *) FIRST+=("$fixture") ;; esac
	done < <("$TOP/scripts/judge.py" list "$GOLDEN" | sed -n '/ /d; s/^\([a-z_]*[.]\).*/\1/p' | uniq)
}

half() { # NAME TEST...
	local -a options=(--built --snapshot --name "$1" --golden "$GOLDEN" "${SOURCE[@]}" --cpus "$GUEST_CPUS" --memory "$GUEST_MEMORY")
	[ -z "$APPEND" ] || options+=(--append "$APPEND")
	bash "$TOP/scripts/run.sh" "${options[@]}" "${@:2}" || true
}

both_halves() { # NAME START
	local half passed=0 failed=0 skipped=0 p f s verdict=PASS colour=$GREEN
	half "$1-1" "${FIRST[@]}" &
	half "$1-2" "${SECOND[@]}"
	wait $!
	for half in 1 2; do
		p=0 f=0 s=0
		read -r p f s <"$BUILD/run/$1-$half/totals" || true
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
		[ "$(cat "$BUILD/run/$1-$half/verdict")" = PASS ] || verdict=FAIL colour=$RED
		cat "$BUILD/run/$1-$half/why" >>"$DIR/why" || true
	done
	echo "$passed $failed $skipped" >"$DIR/totals"
	echo "$verdict" >"$DIR/verdict"
	say "$colour$verdict$OFF $1: $passed passed, $failed failed, $skipped skipped, $(elapsed "$2")"
	[ "$verdict" = PASS ]
}

boot() { # IMAGE
	local initramfs=$1/root.cpio accel answer append total=1
	GUEST=()
	[ "$PLAN" = suite ] || total=$("$TOP/scripts/judge.py" list "$GOLDEN" --tests "${TESTS[@]}" | wc -l)
	if [ "${#ADD[@]}" -gt 0 ] || [ "$PLAN" = suite ] || [ "$PLAN" = nested ]; then
		initramfs=$DIR/initramfs
		more_initramfs "$1" "$PLAN" "${ADD[@]}" >"$initramfs"
	fi
	answer=$(choose_accel "$1/kernel" "$initramfs")
	accel=${answer%%,*}
	append="$APPEND PLAN=$GUEST_PLAN${ARGUMENTS:+ \"ARGUMENTS=$ARGUMENTS\"}"
	qemu_command "$accel" "$1/kernel" "$initramfs" "$append" "$DIR"
	printf '%q ' "${QEMU[@]}" -serial mon:stdio >"$DIR/command"
	if [ "$MODE" = shell ]; then
		exec "${QEMU[@]}" -serial mon:stdio
	elif [ "$MODE" = gdb ]; then
		QEMU+=(-s -S)
		GUEST=(--patient)
		say "run: waiting for: gdb -ex 'target remote :1234' $(out_dir)/vmlinux"
	elif [ -n "$SNAPSHOT" ] && [ "$accel" = tcg ] && [ -z "$APPEND" ] && [ "$initramfs" = "$1/root.cpio" ]; then
		snapshot "$1" "$initramfs"
		qemu_command tcg "$1/kernel" "$initramfs" "" "$DIR"
	fi
	serial "$DIR"
	step "run: ${NAME:-$VARIANT}: $VARIANT $ARCH $CONFIG on $answer${APPEND:+; $APPEND}"
	"$TOP/scripts/guest.py" "${LIMITS[@]}" "${GUEST[@]}" --total "$total" "$DIR" -- "${QEMU[@]}"
}

main() {
	TESTS=()
	parse "$@"
	local image start=$SECONDS
	[ "$MODE" != shell ] || PLAN=shell
	arch_settings
	golden
	if [ "$MODE" = list ]; then
		"$TOP/scripts/judge.py" list "$GOLDEN"
		return
	elif [ "$PLAN" = kselftest ]; then
		"$TOP/scripts/judge.py" list "$GOLDEN" --tests "${TESTS[@]}" >/dev/null
	fi
	[ -z "$BUILD_FIRST" ] || bash "$TOP/scripts/kernel.sh" "${SOURCE[@]}"
	[ "$MODE" != build ] || return 0
	command -v "${QEMU_SYSTEM[0]}" >/dev/null ||
		die2 "there is no ${QEMU_SYSTEM[0]}: run ./build.sh --arch $ARCH deps"
	start=$SECONDS
	image=$(image_dir "$VARIANT")
	DIR=$BUILD/run/${NAME:-$VARIANT}
	rm -rf "$DIR"
	mkdir -p "$DIR"
	echo FAIL >"$DIR/verdict"
	guarded make_initramfs "$image"
	[ "$STATUS" -eq 0 ] || die "the initramfs could not be made (above; is the disk full?)"
	halves
	if [ "${#SECOND[@]}" -gt 0 ] && [[ $(choose_accel "$image/kernel" "$image/root.cpio") == tcg* ]]; then
		both_halves "${NAME:-$VARIANT}" "$start"
		return
	fi
	plan
	splats
	boot "$image"
	"$TOP/scripts/judge.py" verdict "$DIR" --name "${NAME:-$VARIANT}" \
		--elapsed "$(elapsed "$start")" ${RED:+--color} --symbols "$image/symbols" \
		${SPLATS:+--splats "$SPLATS"} "${JUDGED[@]}" --tests "${TESTS[@]}"
}

main "$@"
