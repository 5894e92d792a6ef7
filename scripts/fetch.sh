#!/usr/bin/env bash
# Gets the base kernel into build/base: Debian's package, or a checkout.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/apt.sh
. "$TOP/scripts/apt.sh"

BASE=$BUILD/base

usage() {
	cat <<EOF
usage: ./build.sh [--linux DIR] fetch

Gets Debian's package $BASE_PACKAGE ($BASE_SUITE) into build/base. Its source
list and state are kept there too: apt's own configuration is not touched, the
mirror is taken from it. With --linux DIR (or LINUX=DIR) the base is that
checkout instead; it is only read, and has to be clean.
EOF
}

fetch_package() {
	local start=$SECONDS deb
	deb=$(base_deb)
	if [ -n "$deb" ]; then
		say "fetch: ${deb##*/} is here"
		return
	fi
	command -v apt-get >/dev/null ||
		die2 "no apt-get here: give a Linux $BASE_SERIES checkout with --linux DIR"
	need_space 1 "the base kernel"
	step "fetch: $BASE_PACKAGE from $BASE_SUITE"
	apt_prepare "$BASE/apt" "$BASE_SUITE"
	rm -rf "$BASE/part"
	mkdir -p "$BASE/part"
	logged "$BUILD/log/fetch.log" apt_in "$BASE/apt" /var/lib/dpkg/status apt-get update ||
		die2 "the list of $BASE_SUITE cannot be read: no network? Try again, or give a checkout with --linux DIR"
	grep -E '^(W|E): ' "$BUILD/log/fetch.log" >&2 || true
	(cd "$BASE/part" && logged "$BUILD/log/fetch.log" apt_in "$BASE/apt" /var/lib/dpkg/status apt-get download "$BASE_PACKAGE") ||
		die2 "$BASE_PACKAGE cannot be had from $BASE_SUITE (no network, or the package is gone): give a Linux $BASE_SERIES checkout with --linux DIR"
	mv "$BASE/part"/*.deb "$BASE/"
	rmdir "$BASE/part"
	say "fetch: $(basename "$(base_deb)") in $(elapsed "$start")"
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
	case $(make -s --no-print-directory -C "$LINUX" kernelversion 2>/dev/null) in
	"$BASE_SERIES" | "$BASE_SERIES".* | "$BASE_SERIES"-*) ;;
	*) warn "$LINUX is Linux $(make -s --no-print-directory -C "$LINUX" kernelversion 2>/dev/null || echo '?'), the series is written for $BASE_SERIES: trying it" ;;
	esac
	say "fetch: the base is $LINUX (read only)"
}

main() {
	case ${1:-} in -h | --help) usage; return ;; '') ;; *) die2 "fetch takes no '$1'" ;; esac
	mkdir -p "$BASE"
	if [ -n "$LINUX" ]; then
		check_checkout
	else
		fetch_package
	fi
}

main "$@"
