#!/usr/bin/env bash
# The main job: from nothing to the kselftests of the patched kernel. --save puts
# the totals and the time into the results.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

save() {
	local passed failed skipped
	read -r passed failed skipped <"$BUILD/run/series/totals"
	"$TOP/scripts/results.py" put series "passed=$passed" "failed=$failed" "skipped=$skipped" "elapsed=$(elapsed 0)" </dev/null
}

for job in deps tree run; do
	bash "$TOP/scripts/$job.sh"
done
[ "${1:-}" != --save ] || save
