#!/usr/bin/env bash
# Gets the programs of a guest that this machine cannot run, from Debian.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/apt.sh
. "$TOP/scripts/apt.sh"
# shellcheck source=scripts/arch.sh
. "$TOP/scripts/arch.sh"

# Debian's release that has all the architectures.
SUITE=trixie
PACKAGES=(busybox-static bash kmod sed coreutils)

usage() {
	cat <<EOF
usage: ./build.sh --arch ARCH userland

Gets ${PACKAGES[*]}, and what they need, for ARCH from
Debian's $SUITE into build/userland/ARCH. Nothing is installed on this machine.
EOF
}

main() {
	local start=$SECONDS dir part deb
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
	step "userland: ${PACKAGES[*]} for $ARCH from $SUITE"
	rm -rf "$dir"
	mkdir -p "$dir/root"
	: >"$dir/status"
	apt_prepare "$dir/apt" "$SUITE"
	part=$dir/apt/cache/archives
	# As if nothing was installed, so that all it takes comes.
	logged "$BUILD/log/userland.log" apt_in "$dir/apt" "$dir/status" apt-get \
		-o APT::Architecture="$DEBIAN" -o APT::Architectures="$DEBIAN" update ||
		die2 "the list of $SUITE for $DEBIAN cannot be read: no network? Try again"
	logged "$BUILD/log/userland.log" apt_in "$dir/apt" "$dir/status" apt-get \
		-o APT::Architecture="$DEBIAN" -o APT::Architectures="$DEBIAN" -o Debug::NoLocking=1 \
		--no-install-recommends --download-only -y install "${PACKAGES[@]}" ||
		die2 "the packages for $DEBIAN cannot be had from $SUITE (above)"
	for deb in "$part"/*.deb; do
		dpkg-deb -x "$deb" "$dir/root"
	done
	rm -rf "$dir/apt"
	touch "$dir/complete"
	say "userland: $ARCH in $(elapsed "$start")"
}

main "$@"
