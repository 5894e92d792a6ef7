#!/usr/bin/env bash
# Boots the built kernel with the kselftests and gives a verdict.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/initramfs.sh
. "$TOP/scripts/initramfs.sh"
# shellcheck source=scripts/arch.sh
. "$TOP/scripts/arch.sh"
# shellcheck source=scripts/qemu.sh
. "$TOP/scripts/qemu.sh"
# shellcheck source=scripts/verdict.sh
. "$TOP/scripts/verdict.sh"

VARIANT=series
PLAN=kselftest
NAME=
APPEND=
LIMIT=150
FAILURES=
SKIPS=
SPLATS=
SPLAT=
ADD=()
MODE=tests

usage() {
	cat <<EOF
usage: ./build.sh run [OPTION...] [-- TEST...]

Boots the kernel that ./build.sh kernel built, with an initramfs, and runs the
kselftests; with TEST (fixture.test, fixture.variant.test, test for each of that
name, or "fixture." for all of a fixture) only those.

  --variant V    series (default) or base
  --append LINE  more for the kernel command line; can be given more than once
  --limit S      seconds before the guest counts as hung (default $LIMIT, with
                 KVM; $(time_scale tcg) times that without)
  --plan P       what the guest does: kselftest, misuse (the tests that make the
                 kernel warn), boot, what ./build.sh starvation and bench do
                 there (starve, bench), or one of the runner's own tests: warn,
                 oops, hang, short, skip, silent
  --cpus N       1, 2 or 4 (default $GUEST_CPUS)
  --memory N     MiB (default $GUEST_MEMORY)
  --icount       emulate one CPU, whose clock counts instructions as nanoseconds
  --name N       name of the run's folder in build/run
  --failures F   pass when exactly the tests named in the file F fail
  --skips F      pass when exactly the tests named in the file F are skipped
  --splats F     pass when the console shows each expression of the file F,
                 and nothing else that is bad
  --splat T      the test splat.T.call, and of the console what
                 tools/testing/harness/expect/splats says
  --shell        a prompt in the guest instead of tests
  --add FILE     also this file, in the guest's /: a module of your own, say,
                 built with: make -C build/kernel/$ARCH-$CONFIG M=DIR
  --gdb          wait for a debugger on port 1234, without a time limit

The verdict is FAIL until the guest's own channel says that every planned test
passed, QEMU has ended by itself and the console is clean.
EOF
}

stop_qemu() {
	[ -z "${QEMU_PID:-}" ] || kill -KILL "$QEMU_PID" 2>/dev/null || true
	[ -z "${TAIL_PID:-}" ] || kill "$TAIL_PID" 2>/dev/null || true
}

# Sets QEMU_STATUS: its exit status, or "hung".
run_guest() { # LIMIT
	local start=$SECONDS
	: >"$DIR/console"
	"${QEMU[@]}" -serial "file:$DIR/console" >"$DIR/qemu.log" 2>&1 9>&- </dev/null &
	QEMU_PID=$!
	trap 'stop_qemu; exit 130' INT TERM
	tail -n +1 -F --pid="$QEMU_PID" -s 0.2 "$DIR/results" 2>/dev/null 9>&- |
		grep --line-buffered -vE 'RUN  |    OK  |^not ok - the guest did not run' &
	TAIL_PID=$!
	while kill -0 "$QEMU_PID" 2>/dev/null; do
		if [ "$1" -gt 0 ] && [ $((SECONDS - start)) -ge "$1" ]; then
			kill -KILL "$QEMU_PID" 2>/dev/null || true
			wait "$QEMU_PID" 2>/dev/null || true
			QEMU_STATUS=hung
			break
		fi
		sleep 0.2
	done
	if [ -z "$QEMU_STATUS" ]; then
		QEMU_STATUS=0
		wait "$QEMU_PID" || QEMU_STATUS=$?
	fi
	wait "$TAIL_PID" 2>/dev/null || true
	trap - INT TERM
}

write_plan() {
	local test list=
	for test in "$@"; do
		case $test in *[!A-Za-z0-9_.]*) die2 "'$test' is not the name of a test" ;; esac
		case $test in *.) list+=" -f ${test%.}" ;; *.*) list+=" -r $test" ;; *) list+=" -t $test" ;; esac
	done
	case $PLAN in
	misuse) printf 'PLAN=script\nARGUMENTS="misuse%s"\n' "$list" ;;
	suite) printf 'PLAN=suite\nARGUMENTS="%s"\n' "$*" ;;
	bench) printf 'PLAN=bench\nARGUMENTS="%s"\n' "$*" ;;
	kselftest)
		if [ -n "$list" ]; then
			printf 'PLAN=script\nARGUMENTS="smoke%s"\n' "$list"
		else
			printf 'PLAN=kselftest\n'
		fi
		;;
	*) printf 'PLAN=%s\n' "$PLAN" ;;
	esac >"$DIR/plan"
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; exit ;;
		--shell) MODE=shell PLAN=shell ;;
		--gdb) MODE=gdb ;;
		--icount) ACCEL=icount GUEST_CPUS=1 ;;
		--variant | --append | --limit | --plan | --name | --failures | --skips | --splats | --splat | --cpus | --memory | --add)
			[ $# -ge 2 ] || die2 "$1 needs a value; see ./build.sh run --help"
			case $1 in
			--add)
				[ -r "$2" ] || die2 "--add $2: no such file"
				ADD+=("$2")
				;;
			--variant) VARIANT=$2 ;;
			--append) APPEND+="${APPEND:+ }$2" ;;
			--limit)
				[[ $2 =~ ^[1-9][0-9]*$ ]] || die2 "--limit $2: not a number above 0"
				LIMIT=$2
				;;
			--plan) PLAN=$2 ;;
			--memory)
				[[ $2 =~ ^[1-9][0-9]*$ ]] || die2 "--memory $2: not a number of MiB"
				GUEST_MEMORY=$2
				;;
			--cpus)
				case $2 in 1 | 2 | 4) GUEST_CPUS=$2 ;; *) die2 "--cpus $2: there is only: 1 2 4" ;; esac
				;;
			--name)
				[[ $2 =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || die2 "--name $2: letters, digits, dots and dashes only"
				NAME=$2
				;;
			--splat)
				grep -q "^$2 " "$HARNESS/expect/splats" || die2 "--splat $2: there is no such test; the first words of tools/testing/harness/expect/splats are all"
				SPLAT=$2 PLAN=misuse
				;;
			--failures | --skips | --splats)
				[ -r "$2" ] || die2 "$1 $2: no such file"
				case $1 in --failures) FAILURES=$2 ;; --skips) SKIPS=$2 ;; --splats) SPLATS=$2 ;; esac
				;;
			esac
			shift
			;;
		--) shift; TESTS=("$@"); return ;;
		*) die2 "run takes no '$1'; see ./build.sh run --help" ;;
		esac
		shift
	done
}

main() {
	TESTS=() QEMU_STATUS=
	parse "$@"
	local image accel start=$SECONDS limit
	arch_settings
	command -v "${QEMU_SYSTEM[0]}" >/dev/null ||
		die2 "there is no ${QEMU_SYSTEM[0]}: run ./build.sh --arch $ARCH deps"
	image=$(image_dir "$VARIANT")
	[ -e "$image/built" ] || die2 "there is no $VARIANT kernel for $ARCH $CONFIG: run ./build.sh kernel --variant $VARIANT"
	DIR=$BUILD/run/${NAME:-$VARIANT}
	rm -rf "$DIR"
	mkdir -p "$DIR"
	echo "not ok - the guest did not run" >"$DIR/results"
	if [ -n "$SPLAT" ]; then
		TESTS=("splat.$SPLAT.call")
		SPLATS=$DIR/splats
		grep "^$SPLAT " "$HARNESS/expect/splats" | tr -s ' ' '\n' | tail -n +2 >"$SPLATS"
	fi
	write_plan "${TESTS[@]}"
	guarded make_initramfs "$image" "$DIR/plan" "$DIR/initramfs" "${ADD[@]}"
	[ "$STATUS" -eq 0 ] || die "the initramfs could not be made (above; is the disk full?)"
	accel=$(choose_accel "$image/kernel" "$DIR/initramfs")
	qemu_command "$accel" "$image/kernel" "$DIR/initramfs" "$APPEND" "$DIR/results"
	printf '%q ' "${QEMU[@]}" -serial mon:stdio >"$DIR/command"

	if [ "$MODE" = shell ]; then
		"${QEMU[@]}" -serial mon:stdio 9>&-
		return
	fi
	limit=$((LIMIT * $(time_scale "$accel")))
	if [ "$MODE" = gdb ]; then
		QEMU+=(-s -S)
		limit=0
		say "run: waiting for: gdb $(out_dir)/vmlinux -ex 'target remote :1234'"
	fi
	step "run: ${NAME:-$VARIANT}: $VARIANT $ARCH $CONFIG on $accel, limit ${limit}s${APPEND:+, $APPEND}"
	run_guest "$limit"
	verdict "$(elapsed "$start")"
}

main "$@"
