#!/usr/bin/env bash
# The main job: from nothing to the kselftests of the patched kernel.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
	local job
	for job in deps fetch tree kernel run; do
		"$TOP/scripts/$job.sh"
	done
}

main
