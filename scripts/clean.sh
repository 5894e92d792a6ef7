#!/usr/bin/env bash
# Removes what was built.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"

usage() {
	cat <<EOF
usage: ./build.sh clean [--all]

Removes kernels, images, runs, logs, and what matrix, mutants, bench, suites,
applies and send left; the base kernel's package and linux/ stay. --all removes
these too, but never a linux/ with unexported work or with branches of your own.
EOF
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
	rm -rf "$BUILD"/{src,kernel,image,run,log,export,am,accel,am.log,index.tmp,linux.part} "$BUILD"/plan.* \
		"$BUILD"/{worker,jobs,results,bench,bench-with,suites,send,send.part,applies,applies.log,htmldocs,maintainers,model,userland} "$BUILD"/*.{totals,lock,md}
	[ ! -d "$LINUX_TREE/.git" ] || lgit worktree prune
	[ -z "$all" ] || rm -rf "$BUILD/base"
	say "clean: done"
}

main "$@"
