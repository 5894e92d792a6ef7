#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Writes the core and the header of a commit into a folder, changed by a patch.
set -euo pipefail

[ $# -eq 4 ] || { echo "usage: mutate.sh DIR TREE COMMIT PATCH" >&2; exit 2; }
dir=$1 tree=$2 commit=$3 patch=$(realpath "$4")
files=(mm/mmu_notifier.c include/linux/mmu_notifier.h)

for file in "${files[@]}"; do
	mkdir -p "$dir/$(dirname "$file")"
	git -C "$tree" show "$commit:$file" >"$dir/$file"
	cp "$dir/$file" "$dir/$file.orig"
done
# git must not take the folder for a part of a repository around it.
GIT_CEILING_DIRECTORIES=$(realpath "$dir/..") git -C "$dir" apply \
	--include="${files[0]}" --include="${files[1]}" "$patch"
for file in "${files[@]}"; do
	cmp -s "$dir/$file" "$dir/$file.orig" || exit 0
done
echo 'it changes nothing of the core' >&2
exit 1
