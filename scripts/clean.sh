#!/usr/bin/env bash
# Removes what was built.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"

usage() {
	cat <<EOT
usage: ./build.sh clean [--all]

Removes everything in build/ but the base kernel's package; linux/ stays. --all
removes these too, but never a linux/ with unexported work or with branches of
your own. Where build/ is a symbolic link, that folder is emptied.
EOT
}

main() {
	local all=
	case ${1:-} in -h | --help) usage; return ;; --all) all=1 ;; '') ;; *) die2 "clean takes no '$1'" ;; esac
	if [ -n "$all" ] && [ -d "$LINUX_TREE/.git" ]; then
		! has_unexported_work || die "linux/ has unexported work: ./build.sh export keeps it"
		! patches_changed || die "patches/ is not what linux/ was exported to: ./build.sh tree first"
		[ -z "$(own_branches)" ] || die "linux/ has branches of its own: $(own_branches | tr '\n' ' '): delete them first"
		rm -rf "$LINUX_TREE"
	fi
	find "$TOP/build/" -mindepth 1 -maxdepth 1 ! -name .lock ! -name base -exec rm -rf {} +
	[ ! -d "$LINUX_TREE/.git" ] || lgit worktree prune
	[ -z "$all" ] || rm -rf "$TOP/build/base"
	say "clean: done"
}

main "$@"
