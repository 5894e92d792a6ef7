#!/usr/bin/env bash
# Gets the programs of a guest that this machine cannot run, from Debian.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/apt.sh
. "$TOP/scripts/apt.sh"
# shellcheck source=scripts/arch.sh
. "$TOP/scripts/arch.sh"

# Debian's releases that have all the architectures. A mirror that is being updated
# can serve the lists of one that do not fit together.
SUITES="trixie forky sid"
PACKAGES=(busybox-static bash kmod sed coreutils)

usage() {
	cat <<EOF
usage: ./build.sh --arch ARCH userland

Gets ${PACKAGES[*]}, and what they need, for ARCH from
Debian (${SUITES%% *}) into build/userland/ARCH. Nothing is installed on this machine.
EOF
}

# As if nothing was installed, so that all it takes comes.
foreign_apt() { # DIR ARGUMENT...
	apt_in "$1/apt" "$1/status" apt-get -o APT::Architecture="$DEBIAN" -o APT::Architectures="$DEBIAN" "${@:2}"
}

# The first suite whose list can be read.
read_list() { # DIR
	for SUITE in $SUITES; do
		apt_prepare "$1/apt" "$SUITE"
		! logged "$BUILD/log/userland.log" foreign_apt "$1" update || return 0
		warn "the list of $SUITE for $DEBIAN cannot be read (above)"
	done
	return 1
}

main() {
	local start=$SECONDS dir deb
	case ${1:-} in -h | --help) usage; return ;; '') ;; *) die2 "userland takes no '$1'" ;; esac
	arch_settings
	if is_native; then
		say "userland: a guest of $ARCH takes the programs of this machine"
		return
	fi
	dir=$(userland_dir)
	if [ -e "$dir/complete" ]; then
		say "userland: $ARCH is here"
		return
	fi
	step "userland: ${PACKAGES[*]} for $ARCH"
	rm -rf "$dir"
	mkdir -p "$dir/root"
	: >"$dir/status"
	read_list "$dir" || die2 "no list of packages for $DEBIAN can be read: no network? Try again"
	logged "$BUILD/log/userland.log" foreign_apt "$dir" -o Debug::NoLocking=1 \
		--no-install-recommends --download-only -y install "${PACKAGES[@]}" ||
		die2 "the packages for $DEBIAN cannot be had from $SUITE (above)"
	for deb in "$dir"/apt/cache/archives/*.deb; do
		dpkg-deb -x "$deb" "$dir/root"
	done
	rm -rf "$dir/apt"
	touch "$dir/complete"
	say "userland: $ARCH from $SUITE in $(elapsed "$start")"
}

main "$@"
