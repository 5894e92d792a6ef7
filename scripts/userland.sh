#!/usr/bin/env bash
# Gets the programs of a guest that this machine cannot run, from Debian, into
# build/userland. Nothing is installed here but mmdebstrap.
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
PACKAGES=busybox-static,bash,kmod,sed,coreutils

extract() { # SUITE DIR
	local site
	local -a mode=()
	site=$(mirror)
	[ "$(id -u)" -eq 0 ] || mode=(--mode=chrootless)
	# Its keys: those of Debian that apt has here.
	mmdebstrap "${mode[@]}" --variant=extract --architectures="$DEBIAN" --include="$PACKAGES" \
		"$1" - ${site:+"$site"} | tar -x --no-same-owner --exclude='./dev/*' -C "$2"
}

main() {
	local dir suite start=$SECONDS
	arch_settings
	! is_native || return 0
	dir=$(userland_dir)
	[ ! -e "$dir/complete" ] || return 0
	command -v mmdebstrap >/dev/null || bash "$TOP/scripts/deps.sh" mmdebstrap
	for suite in $SUITES; do
		step "userland: ${PACKAGES//,/, } for $DEBIAN from $suite"
		rm -rf "$dir"
		mkdir -p "$dir/root"
		if logged "$BUILD/log/userland.log" extract "$suite" "$dir/root"; then
			touch "$dir/complete"
			say "userland: $ARCH from $suite in $(elapsed "$start")"
			return
		fi
	done
	die2 "the programs of a guest of $ARCH cannot be had (above; all of it in build/log/userland.log): no network? Try again"
}

main
