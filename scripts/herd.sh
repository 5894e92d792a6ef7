#!/usr/bin/env bash
# Gets herd7, which runs the litmus tests, from Debian into build/herd, with the
# libraries that it needs. Nothing is installed. Prints its version, and whether that
# is the one that is pinned.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/apt.sh
. "$TOP/scripts/apt.sh"

HERD=$BUILD/herd
PART=$BUILD/herd.part
LOG=$BUILD/log/herd.log
# The only release that has it, which moves on every day: so its packages are pinned,
# with the hash that counts, and that by which the snapshot archive calls a file. Its
# libc is newer than that of most machines.
SUITE=sid
PINNED_ARCH=amd64
PINS='
herdtools7_7.58-2_amd64.deb h/herdtools7 97a6e2bfbc2c516cd9816e8c87c3acc412953479a3351b308d139e0af9550672 23dfdf4ca02ffdf14fd4d224cd44a62055443e69
libc6_2.43-7_amd64.deb g/glibc 5c71715c51103beb4fbba9fe9f8dff604af6610dfa71c70bff342f54a7860803 d3b47ff25250d1e0065ca0b39417fc55b4e8e341
libgmp10_6.3.0+dfsg-5+b2_amd64.deb g/gmp 032743c787f0e1e644e4dcfbdb38f01be8cb150cb9633f8be5e79aba6938f349 0964d9be0da9302715422e658996398049083b53
'
PACKAGES=$(sed -n 's/^\([a-z0-9]*\)_.*/\1/p' <<<"$PINS")
# Why the sources before did not have it
MISSED=
PINNED=

# As in fetch.sh: a source runs as a condition, where set -e does not work.
because() { WHY=$1; return 1; }
because_log() {
	WHY=$(grep -m 1 -iE '^(E|curl):? ' "$LOG" | cut -c 1-200)
	[ -n "$WHY" ] || WHY="see ${LOG#"$TOP/"}"
	return 1
}

get() { # URL FILE
	curl -sS --fail --location --retry 2 --connect-timeout 30 --speed-limit 1000 --speed-time 60 \
		-o "$PART/$2" "$1" >"$LOG" 2>&1 || because_log
}

pinned_from() { # FUNCTION, which prints the address of FILE POOL SHA1
	local file pool sha256 sha1
	[ "$(dpkg --print-architecture)" = "$PINNED_ARCH" ] || because "it is pinned for $PINNED_ARCH only" || return
	command -v curl >/dev/null || because "no curl here" || return
	while read -r file pool sha256 sha1; do
		[ -n "$file" ] || continue
		get "$("$1" "$file" "$pool" "$sha1")" "$file" || return
		[ "$(sha256sum "$PART/$file" | cut -d ' ' -f 1)" = "$sha256" ] ||
			because "$file has another SHA-256 than the one that is pinned" || return
	done <<<"$PINS"
	PINNED=yes
}

in_pool() { echo "$(mirror)/pool/main/$2/$1"; }
in_snapshot() { echo "$SNAPSHOT/file/$3"; }
from_pool() { pinned_from in_pool; }
from_snapshot() { pinned_from in_snapshot; }

apt() { apt_in "$PART/apt" /dev/null "$@" >"$LOG" 2>&1; }

# apt has checked the archive's signature.
from_suite() {
	apt_prepare "$PART/apt" "$SUITE"
	apt apt-get -o APT::Update::Error-Mode=any update || because_log || return
	# shellcheck disable=SC2086 # a list of words
	(cd "$PART" && apt apt-get download $PACKAGES) || because_log
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

unpack() {
	local deb
	for deb in "$PART"/*.deb; do
		dpkg-deb -x "$deb" "$PART/root" >"$LOG" 2>&1 || because_log || return
	done
	# The other tools are nine tenths of it.
	find "$PART/root/usr/bin" -type f ! -name herd7 -delete
	wrapper >"$PART/herd7"
	chmod +x "$PART/herd7"
	"$PART/herd7" -version >"$LOG" 2>&1 || because "it does not run here: $(head -n 1 "$LOG")"
}

try() { # FUNCTION NAME
	WHY='it failed'
	rm -rf "$PART"
	mkdir -p "$PART/root"
	if "$1" && unpack; then
		find "$PART" -maxdepth 1 -name 'herdtools7_*.deb' -printf '%f\n' | cut -d _ -f 2 >"$PART/version"
		return
	fi
	MISSED+="${MISSED:+; }$2: $WHY"
	return 1
}

search() {
	[ -n "$(mirror)" ] || die2 "herd7 cannot be had: apt knows no Debian mirror: run apt-get update once"
	mkdir -p "$BUILD/log"
	try from_pool "Debian's mirror, as pinned" ||
		try from_snapshot "Debian's snapshot archive, as pinned" ||
		try from_suite "$SUITE as it is" ||
		die2 "herd7 cannot be had ($MISSED). With a network try again"
	rm -rf "$HERD" "$PART"/{*.deb,apt}
	echo "$PINS" >"$PART/pins"
	[ -n "$PINNED" ] || echo "$MISSED" >"$PART/missed"
	mv "$PART" "$HERD"
}

main() {
	{ [ -x "$HERD/herd7" ] && [ "$(cat "$HERD/pins" 2>/dev/null)" = "$PINS" ]; } || search
	if [ -e "$HERD/missed" ]; then
		say "herd7 $(cat "$HERD/version"), not the one that is pinned in scripts/herd.sh ($(cat "$HERD/missed"))"
	else
		say "herd7 $(cat "$HERD/version"), as pinned"
	fi
}

main
