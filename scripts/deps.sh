#!/usr/bin/env bash
# Installs the Debian packages that the other jobs need.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/arch.sh
. "$TOP/scripts/arch.sh"

usage() {
	cat <<EOF
usage: ./build.sh [--arch ARCH] deps [PACKAGE...]

Installs what is missing of the packages in scripts/packages, of those that another
ARCH needs (scripts/arch.sh), and of PACKAGE..., with apt-get, as root or through
sudo; without either it prints what to install and exits with 2. On another system
it uses each tool once (scripts/tools.sh), and exits with 2 if one does not answer.
EOF
}

packages() {
	grep -v '^#' "$TOP/scripts/packages"
	arch_packages | tr ' ' '\n'
	[ "${#MORE[@]}" -eq 0 ] || printf '%s\n' "${MORE[@]}"
}

missing_packages() {
	local name
	packages | while read -r name; do
		dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null |
			grep -qx installed || echo "$name"
	done
}

# Prints the prefix that makes a command run as root; fails without one.
as_root() {
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null || return 1
	sudo -n true 2>/dev/null || [ -t 0 ] || return 1
	echo sudo
}

# Packages have other names there, so what counts is what the tools do.
other_system() {
	arch_settings
	"$TOP/scripts/tools.sh"
	command -v "${CROSS}gcc" "${QEMU_SYSTEM[0]}" >/dev/null || die2 "for $ARCH there has to be ${CROSS}gcc and ${QEMU_SYSTEM[0]}"
	[ "${#MORE[@]}" -eq 0 ] || warn "this is not Debian: it has to have the equivalents of ${MORE[*]}"
}

main() {
	case ${1:-} in -h | --help) usage; return ;; -*) die2 "deps takes no '$1'" ;; esac
	MORE=("$@")
	local missing root line start=$SECONDS
	if ! command -v apt-get >/dev/null; then
		other_system
		return
	fi
	# Jobs beside each other may all miss something.
	mkdir -p "$TOP/build"
	exec 7>"$TOP/build/deps.lock"
	flock 7
	missing=$(missing_packages | tr '\n' ' ')
	if [ -z "$missing" ]; then
		say "deps: all packages are installed"
		return
	fi
	line="apt-get install -y --no-install-recommends ${missing% }"
	root=$(as_root) || die2 "packages are missing, and this is neither root nor sudo. Run as root: $line"
	step "deps: $line"
	# shellcheck disable=SC2086 # both are lists of words
	{
		logged "$BUILD/log/apt-update.log" $root apt-get update ||
			warn "apt-get update failed, trying with the lists that are here"
		DEBIAN_FRONTEND=noninteractive logged "$BUILD/log/apt-install.log" \
			$root env DEBIAN_FRONTEND=noninteractive $line ||
			die2 "packages could not be installed (above; all of it in build/log/apt-install.log). With a network, run as root: $line"
	}
	say "deps: done in $(elapsed "$start")"
}

main "$@"
