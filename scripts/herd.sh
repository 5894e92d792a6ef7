#!/usr/bin/env bash
# Gets herd7, which runs the litmus tests, from Debian into build/herd, with the
# libraries that it needs. Nothing is installed.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/apt.sh
. "$TOP/scripts/apt.sh"

HERD=$BUILD/herd
# The only release that has it. Its libc is newer than that of most machines.
SUITE=sid
PACKAGES="herdtools7 libc6 libgmp10"

# apt has checked the archive's signature.
get() {
	local deb
	rm -rf "$HERD"
	mkdir -p "$HERD"/{debs,root}
	apt_prepare "$HERD/apt" "$SUITE"
	apt_in "$HERD/apt" /dev/null apt-get -o APT::Update::Error-Mode=any update
	# shellcheck disable=SC2086 # a list of words
	(cd "$HERD/debs" && apt_in "$HERD/apt" /dev/null apt-get download $PACKAGES)
	for deb in "$HERD"/debs/*.deb; do
		dpkg-deb -x "$deb" "$HERD/root"
	done
	# The other tools are nine tenths of it.
	find "$HERD/root/usr/bin" -type f ! -name herd7 -delete
	rm -rf "$HERD"/{debs,apt}
	wrapper >"$HERD/herd7"
	chmod +x "$HERD/herd7"
	"$HERD/herd7" -version
}

# Its own loader, so that it finds its own libc.
wrapper() {
	cat <<-'END'
	#!/bin/sh
	root=$(dirname "$(realpath "$0")")/root
	loader=$(echo "$root"/usr/lib/*/ld-linux*.so.*)
	exec "$loader" --library-path "${loader%/*}" "$root/usr/bin/herd7" \
		-set-libdir "$root/usr/share/herdtools7/herd" "$@"
	END
}

main() {
	local start=$SECONDS
	[ ! -x "$HERD/herd7" ] || return 0
	[ -n "$(mirror)" ] || die2 "apt knows no Debian mirror: run apt-get update once"
	step "herd7 from $SUITE"
	mkdir -p "$BUILD"
	guarded logged "$BUILD/log/herd.log" get
	[ "$STATUS" -eq 0 ] || { rm -f "$HERD/herd7"; die2 "herd7 cannot be had (above; all of it in build/log/herd.log)"; }
	say "herd7: $("$HERD/herd7" -version) in $(elapsed "$start")"
}

main
