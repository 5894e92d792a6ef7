#!/usr/bin/env bash
# The front door: see ./build.sh --help. Each command is one file in scripts/.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Who posts (scripts/send.sh); lib.sh shuts out what a user has configured.
POSTER=${POSTER:-$(git -C "$top" config user.name || true)}
ADDRESS=${ADDRESS:-$(git -C "$top" config user.email || true)}
SIGNS=${SIGNS:-$(git -C "$top" config --type bool format.signOff || true)}
export POSTER ADDRESS SIGNS
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

usage() {
	cat <<EOF
usage: ./build.sh [OPTION...] [COMMAND [ARGUMENT...]]

With no command: from nothing to the kselftests of the patched kernel
(deps, fetch, tree, kernel, run).

commands
  deps      install the Debian packages that the rest needs
  fetch     get the base kernel into the build folder
  userland  get the programs of a guest of another architecture
  tree      make linux/: the base as one commit, the series on top
  export    write patches/, series and the series' files from linux/
  check     static checks of the series and of our scripts
  kernel    build a kernel and the kselftests out of tree
  run       boot the built kernel in QEMU and run the kselftests
  test      everything that CI runs: check, kernels, guests, and the
            proof that the tests can fail
  model     let spin go through the model of range tracking
  mutants   break the series in one place after the other: the tests must see it
  matrix    the series on other configurations and architectures
  suites    other people's tests, on the base and on the series
  bisect    boot the kernel of single patches with the tests they have
  bench     what it costs and gives, in instructions and ratios, base and series
  starvation
            how long readers wait beside what never stops, base and series
  applies   which patches apply to another kernel tree
  send      prepare the mails of a posting, through b4, and mail nothing
  clean     remove what was built, never unexported work

options
  --jobs N     parallel jobs (now $JOBS)
  --config C   kernel configuration: $(list_configs) (now $CONFIG)
  --arch A     architecture: $(list_archs) (now $ARCH)
  --accel A    auto, kvm or tcg (now $ACCEL); auto uses KVM only after a boot
               with it has been seen to work
  --linux DIR  take the base kernel from this checkout (read only) instead of
               Debian's package; or set LINUX=DIR
  --help       this text; after a command: that command's text

Everything that is built is in build/. Everything can be interrupted: kernels,
matrix and mutants go on where they were, the rest begins again. Exit: 0 good, 1
bad, 2 cannot be done here (the message says what to do).
EOF
}

main() {
	case $TOP in *[[:space:]:]*) die2 "the kernel cannot be built below '$TOP': no spaces and colons in the path" ;; esac
	set_option jobs "$JOBS"
	set_option config "$CONFIG"
	set_option arch "$ARCH"
	set_option accel "$ACCEL"
	[ -z "$LINUX" ] || set_option linux "$LINUX"
	while [ $# -gt 0 ]; do
		case $1 in
		--jobs | --config | --arch | --accel | --linux)
			[ $# -ge 2 ] || die2 "$1 needs a value; see ./build.sh --help"
			set_option "${1#--}" "$2"
			shift 2
			;;
		-h | --help) usage; return ;;
		-*) die2 "unknown option $1; see ./build.sh --help" ;;
		*) break ;;
		esac
	done
	local command=${1:-all}
	[ $# -eq 0 ] || shift
	case $command in
	all)
		[ $# -eq 0 ] || { usage; return; }
		;;
	deps | fetch | tree | export | check | applies | send | kernel | run | test | model | mutants | matrix | suites | bisect | bench | userland | starvation | clean) ;;
	*) die2 "unknown command '$command'; see ./build.sh --help" ;;
	esac
	case " $* " in *" --help "* | *" -h "*) ;; *) take_lock ;; esac
	bash "$TOP/scripts/$command.sh" "$@"
}

main "$@"
