#!/usr/bin/env bash
# The front door: see ./build.sh --help. Each command is one file in scripts/.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# What make, git or a compiler would take from a user's environment is not ours to
# use: begin again with what a shell and a network need, and with what is meant
# for us.
if [ -z "${MN_CLEAN:-}" ]; then
	keep=(MN_CLEAN=1 "MN_POSTER=$(git -C "$top" config user.name || true)"
		"MN_ADDRESS=$(git -C "$top" config user.email || true)"
		"MN_SIGNS=$(git -C "$top" config --type bool format.signOff || true)")
	for name in $(compgen -e); do
		case $name in
		MN_* | PATH | HOME | USER | LOGNAME | SHELL | TERM | TMPDIR | NO_COLOR | SSH_* | \
			*_proxy | *_PROXY | SSL_CERT_* | CURL_CA_BUNDLE | GIT_SSL_CAINFO) keep+=("$name=${!name}") ;;
		esac
	done
	exec env -i "${keep[@]}" bash "$top/build.sh" "$@"
fi
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

usage() {
	cat <<EOT
usage: ./build.sh [OPTION...] [COMMAND [ARGUMENT...]]

With no command, or "all": from nothing to the kselftests of the patched kernel.

commands
  deps     install the Debian packages that the rest needs
  tree     make linux/: the base as one commit, the series on top
  export   write patches/, series and the series' files from linux/
  check    static checks of the series and of our scripts
  run      build what is out of date, boot it in QEMU, run the kselftests
  test     everything that CI runs: check, kernels, guests, and the proof that
           the tests can fail
  mutants  break the series in one place after the other: the tests must see it
  matrix   other configurations, architectures, single patches, other people's
           tests
  bench    what it costs and gives, in instructions and ratios, base and series
  stable   the fixes on older kernels of Debian: each bug before and after
  send     prepare the mails of a posting, through b4, and mail nothing
  fresh    the README's two commands in a bare Debian
  clean    remove what was built, never unexported work

options
  --jobs N     parallel jobs (now $JOBS)
  --config C   kernel configuration: $(list_configs) (now $CONFIG)
  --arch A     architecture: $(list_archs) (now $ARCH)
  --accel A    auto, kvm or tcg (now $ACCEL); auto uses KVM only after a boot
               with it has been seen to work
  --linux DIR  take the base kernel from this checkout (read only)
  --help       this text; after a command: that command's text

Of the environment only MN_JOBS, MN_CONFIG, MN_ARCH, MN_ACCEL and MN_LINUX count,
for these options. Everything that is built is in build/. Everything can be
interrupted: kernels, matrix and mutants go on where they were, the rest begins
again. Exit: 0 good, 1 bad, 2 cannot be done here (the message says what to do).
EOT
}

main() {
	local command
	check_path
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
	command=${1:-all}
	[ $# -eq 0 ] || shift
	case $command in
	all) case ${1:-} in '' | --save) ;; *) usage; return ;; esac ;;
	deps | tree | export | check | run | test | mutants | matrix | bench | stable | send | fresh | clean) ;;
	*) die2 "unknown command '$command'; see ./build.sh --help" ;;
	esac
	case " $* " in *" --help "* | *" -h "*) exec bash "$TOP/scripts/$command.sh" --help ;; esac
	# A bare machine has no python3 for the lock yet.
	command -v python3 >/dev/null || bash "$TOP/scripts/deps.sh"
	mkdir -p "$BUILD" || die2 "cannot make $BUILD"
	exec python3 "$TOP/scripts/reaper.py" "$BUILD/.lock" bash "$TOP/scripts/$command.sh" "$@"
}

main "$@"
