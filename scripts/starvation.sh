#!/usr/bin/env bash
# How long readers and removers wait beside what never stops, base and series.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
	cat <<EOF
usage: ./build.sh starvation

Eight threads invalidate pages of their own without a pause, each under 32
interval notifiers, while one thread calls mmu_interval_read_begin() for a page
beside them and one inserts and removes a subscription of another. Boots the base
and the series, 20 s each, and prints how long both waited. It measures, it does
not judge.
EOF
}

main() {
	local variant
	case ${1:-} in -h | --help) usage; return ;; '') ;; *) die2 "starvation takes no '$1'; see ./build.sh starvation --help" ;; esac
	for variant in base series; do
		"$TOP/scripts/kernel.sh" --variant "$variant"
	done
	for variant in base series; do
		"$TOP/scripts/run.sh" --name "starve-$variant" --variant "$variant" --plan starve >"$BUILD/log/starve-$variant.log" 2>&1 ||
			{ tail -n 5 "$BUILD/log/starve-$variant.log"; die "the guest of $variant failed: build/log/starve-$variant.log"; }
		sed -n "s/^# \(read_begin\|remove\):/$variant: &/p" "$BUILD/run/starve-$variant/results"
	done
}

main "$@"
