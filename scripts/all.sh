#!/usr/bin/env bash
# The main job: from nothing to the kselftests of the patched kernel.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for job in deps tree run; do
	bash "$TOP/scripts/$job.sh"
done
