# shellcheck shell=bash
# The source that scripts/fetch.sh has got, as a git tree. Sourced, never run.

# By this linux/ knows what it was made from.
base_id() {
	local deb
	deb=$(base_deb)
	if [ -z "$LINUX" ]; then
		if [ -n "$deb" ]; then basename "$deb" .deb; else git -C "$(base_git)" rev-parse HEAD; fi
	elif git -C "$LINUX" rev-parse --git-dir >/dev/null 2>&1; then
		printf '%s %s' "$LINUX" "$(git -C "$LINUX" rev-parse HEAD)"
	else
		printf '%s' "$LINUX"
	fi
}

# The source as a tar stream with one folder at its top.
base_tar() {
	local from=${LINUX:-$(base_git)} deb
	deb=$(base_deb)
	if [ -z "$LINUX" ] && [ -n "$deb" ]; then
		ar p "$deb" data.tar.xz | tar -xJO --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc -T0
	elif git -C "$from" rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$from" archive --prefix=linux/ HEAD
	else
		tar -c --exclude=.git --hard-dereference --transform='s,^\.,linux,' -C "$from" .
	fi
}

# Straight into a pack: faster than to unpack, add and commit. Without a work tree.
# Called as a condition, where set -e does not work.
import_base() { # DIR
	git init -q -b series "$1" || return
	git -C "$1" config gc.auto 0
	git -C "$1" config rebase.updateRefs true
	git -C "$1" config rebase.autoSquash true
	# As many as there are cores, also for build/src.
	git -C "$1" config checkout.workers 0
	base_tar | python3 "$TOP/scripts/tar-to-git.py" |
		git -C "$1" -c core.compression=1 fast-import --quiet --done --depth=0 || return
	git -C "$1" tag base
}
