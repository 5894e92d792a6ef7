#!/usr/bin/env bash
# Gets the base kernel into build/base, from the first source that has it. Run by
# tree.sh, never by hand.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/apt.sh
. "$TOP/scripts/apt.sh"

BASE=$BUILD/base
PART=$BASE/part
LOG=$BUILD/log/fetch.log
# Why the sources before did not have it.
MISSED=

# A source runs as a condition, where set -e does not work: each of its steps says
# "|| return", and one that fails says why.
because() { WHY=$1; return 1; }

# What the tool that failed says itself.
because_log() {
	WHY=$(grep -m 1 -iE '^(E|curl|fatal|error):? ' "$LOG" | cut -c 1-200)
	[ -n "$WHY" ] || WHY="see ${LOG#"$TOP/"}"
	return 1
}

sha256() { sha256sum "$1" | cut -d' ' -f1; }

apt() { apt_in "$PART/apt" /var/lib/dpkg/status "$@" >"$LOG" 2>&1; }

# apt has checked the archive's signature.
from_suite() { # PACKAGE[=VERSION]
	command -v apt-get >/dev/null || because "no apt-get here" || return
	[ -n "$(mirror)" ] || because "apt knows no Debian mirror before an apt-get update" || return
	apt_prepare "$PART/apt" "$BASE_SUITE"
	apt apt-get -o APT::Update::Error-Mode=any update || because_log || return
	(cd "$PART" && apt apt-get download "$1") || because_log
}

is_pinned() { [ "$(sha256 "$1")" = "$BASE_SHA256" ] || because "what came has another SHA-256, $(sha256 "$1")"; }

from_package() {
	from_suite "$BASE_PACKAGE=$BASE_DEB" || return
	is_pinned "$PART"/*.deb
}

from_git() {
	GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=60 \
		git -C "$PART/git" fetch -q --depth=1 "$STABLE_GIT" "refs/tags/v$BASE_VERSION" >"$LOG" 2>&1 || because_log || return
	git -C "$PART/git" update-ref HEAD 'FETCH_HEAD^{commit}' || return
	mv "$PART/git" "$BASE/git"
}

from_snapshot() {
	command -v curl >/dev/null || because "no curl here" || return
	local deb=$PART/${BASE_PACKAGE}_${BASE_DEB}_all.deb
	curl -sS --fail --location --retry 2 --connect-timeout 30 --speed-limit 1000 --speed-time 60 \
		-o "$deb" "$SNAPSHOT/file/$BASE_SHA1" >"$LOG" 2>&1 || because_log || return
	is_pinned "$deb"
}

from_newer() { from_suite "$BASE_PACKAGE"; }

try() { # FUNCTION NAME
	WHY='it failed'
	rm -rf "$PART"
	git init -q --bare "$PART/git"
	step "fetch: $2"
	if "$1"; then
		find "$PART" -maxdepth 1 -name '*.deb' -exec mv -t "$BASE" {} +
		rm -rf "$PART"
		return
	fi
	rm -rf "$PART"
	MISSED+="${MISSED:+; }$2: $WHY"
	return 1
}

search() {
	need_space 1 "the base kernel"
	rm -rf "$BASE"/{git,*.deb}
	mkdir -p "$BUILD/log"
	echo "$BASE_DEB" >"$BASE/pin"
	try from_package "Debian's package $BASE_DEB in $BASE_SUITE" ||
		try from_git "v$BASE_VERSION of the kernel's stable git" ||
		try from_snapshot "that package in Debian's snapshot archive" ||
		try from_newer "another package of $BASE_SERIES in $BASE_SUITE" ||
		die2 "Linux $BASE_VERSION cannot be had ($MISSED). With a network try again, or give a checkout with --linux DIR"
}

# A checkout is never written to, so whatever is wrong with it is for its
# owner to mend.
check_checkout() {
	local file
	for file in Makefile Kbuild mm/mmu_notifier.c; do
		[ -f "$LINUX/$file" ] || die2 "$LINUX is not a Linux source tree: it has no $file"
	done
	if git -C "$LINUX" rev-parse --git-dir >/dev/null 2>&1; then
		[ "$(git -C "$LINUX" rev-parse --show-toplevel)" = "$LINUX" ] ||
			die2 "$LINUX is inside a git tree, not its top"
		[ -z "$(git -C "$LINUX" --no-optional-locks status --porcelain --untracked-files=no)" ] ||
			die2 "$LINUX has uncommitted changes: commit or stash them there first"
	elif [ -e "$LINUX/.config" ] || [ -d "$LINUX/include/generated" ]; then
		die2 "$LINUX was built in: run make mrproper there first"
	fi
	[ "$(version)" = "$BASE_VERSION" ] || warn "$LINUX is Linux $(version), the series is written for $BASE_VERSION: trying it"
}

version() { make -s --no-print-directory -C "$LINUX" kernelversion 2>/dev/null || echo '?'; }

# What the results name; another source than the pinned one says so.
describe() {
	local deb sum instead=", instead of Debian's $BASE_DEB"
	deb=$(base_deb)
	if [ -n "$LINUX" ]; then
		echo "Linux $(version) from --linux, $(git -C "$LINUX" log -1 --format='commit %H' 2>/dev/null || echo 'not in git')$instead"
	elif [ -n "$deb" ]; then
		sum=$(sha256 "$deb")
		[ "$sum" != "$BASE_SHA256" ] || instead=
		echo "Debian's ${deb##*/}, SHA-256 $sum$instead"
	elif [ -n "$(base_git)" ]; then
		echo "v$BASE_VERSION of the kernel's stable git, commit $(git -C "$(base_git)" rev-parse HEAD)$instead"
	fi
}

main() {
	local start=$SECONDS id
	mkdir -p "$BASE"
	[ -z "$LINUX" ] || check_checkout
	id=$(describe)
	# What a search found instead counts until the pin moves.
	if [ -z "$id" ] || { [[ $id = *instead* ]] && [ -z "$LINUX" ] && [ "$(cat "$BASE/pin" 2>/dev/null)" != "$BASE_DEB" ]; }; then
		search
		id=$(describe)
	fi
	echo "$id" >"$BASE/id"
	say "fetch: the base is $id ($(elapsed "$start"))${MISSED:+. Before it: $MISSED}"
}

main "$@"
