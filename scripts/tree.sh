#!/usr/bin/env bash
# Makes linux/: the base kernel as one tagged commit, the series on top.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/import.sh
. "$TOP/scripts/import.sh"

usage() {
	cat <<EOF
usage: ./build.sh [--linux DIR] tree [--again]

Makes linux/, a git tree: the base kernel (tag "base"), and on it the branch
"series" with one commit a patch and a branch part/NAME at the end of each
part. Work there, with fixup commits and git rebase -i --autosquash base, then
run ./build.sh export.

The base is the checkout that --linux gives (only read; it has to be clean), or the
first of these that can be had: Debian's package $BASE_DEB, v$BASE_VERSION of
the kernel's stable git (or of MN_STABLE_GIT), that package in Debian's snapshot
archive, another package of $BASE_SERIES. build/base/id says which one it was.

Unexported work is never overwritten: linux/ is left alone while only linux/
changed, applied again when only patches/ changed, and refused when both did.
--again applies patches/ in any case, and keeps what was there as a branch
backup/DATE.
EOF
}

make_base() {
	local part=$BUILD/linux.part start=$SECONDS
	need_space 8 "linux/, the build and its guests"
	rm -rf "$part"
	step "tree: unpacking $(base_id)"
	{ import_base "$part" && git -C "$part" checkout -q -f series; } || {
		rm -rf "$part"
		die "the base kernel could not be unpacked (above): if the disk is full make room; if what was fetched is damaged remove build/base and try again"
	}
	base_id >"$part/.git/base-id"
	# Only now: what is there is good until the new one is complete.
	rm -rf "$LINUX_TREE" "$SRC"
	mv "$part" "$LINUX_TREE"
	say "tree: base is $(lgit log -1 --format=%s base) in $(elapsed "$start")"
	[ "$(lgit rev-parse 'base^{tree}')" = "$BASE_TREE" ] ||
		warn "this is not byte for byte Debian's $BASE_DEB, which the series is tested on (a plain v$BASE_VERSION has not Debian's patches): its tree is $(lgit rev-parse 'base^{tree}')"
}

# Says which hunk of a patch does not apply, and where.
explain_failure() { # PATCH
	local file line
	lgit apply --check "$TOP/patches/$1" 2>&1 | grep -E '^error: ' >&2 || true
	lgit apply --check "$TOP/patches/$1" 2>&1 |
		sed -n 's/^error: patch failed: \(.*\):\([0-9]*\)$/\1 \2/p' |
		while read -r file line; do
			awk -v f="$file" -v l="$line" '
				/^\+\+\+ b\// { cur = substr($2, 3); n = 0 }
				/^@@ / { n++; split($2, a, ",")
					if (cur == f && a[1] == -l)
						printf "  hunk %d of %s: %s\n", n, f, $0 }' \
				"$TOP/patches/$1" >&2
		done
}

# linux/ as it was before a patch that does not apply, and what to do about it.
refused() { # PATCH OLD
	warn "patches/$1 does not apply to $(lgit log -1 --format=%s base):"
	lgit am --quit 2>/dev/null || true
	lgit reset -q --hard
	explain_failure "$1" || true
	lgit checkout -q -f -B series "$2"
	# The base alone is nobody's work, and nothing to export.
	[ "$2" != "$(lgit rev-parse base)" ] ||
		die "linux/ has the base alone now. Mend the patch on its own base and export it again, or give the kernel it was written for; or apply the series by hand (git -C linux am -3 ../patches/*.patch), make the branches part/NAME, and remove linux/.git/applying"
	rm "$LINUX_TREE/.git/applying"
	die "linux/ is back where it was. Mend the patch on its own base and export it again, or give the kernel it was written for"
}

# Applies patches/ to base. The mark tells a later run that this one did not
# come to its end, and what was there before.
apply_series() { # OLD
	local part patch old start ends=
	local -a patches
	for patch in $(series_patches); do
		[ -f "$TOP/patches/$patch" ] || die "series names patches/$patch, which is not there"
	done
	old=$(lgit rev-parse "$1")
	echo "$old" >"$LINUX_TREE/.git/applying"
	lgit checkout -q -f -B series base
	for part in $PARTS; do
		mapfile -t patches < <(part_patches "$part")
		start=$(lgit rev-parse HEAD)
		[ "${#patches[@]}" -eq 0 ] ||
			am "$LINUX_TREE" "${patches[@]/#/$TOP/patches/}" >/dev/null 2>"$BUILD/am.log" ||
			refused "${patches[$(lgit rev-list --count "$start..HEAD")]}" "$old"
		[ -z "$(part_patches "$part")" ] || ends+=" part/$part=$(lgit rev-parse HEAD)"
	done
	for part in $ends; do
		lgit branch -q -f "${part%=*}" "${part#*=}"
	done
	remember_export
	rm "$LINUX_TREE/.git/applying"
	say "tree: $(lgit rev-list --count base..series) patches applied on $(lgit log -1 --format=%s base)"
}

# What was there stays as a branch, unless it comes out the same.
again() {
	local old backup
	need_calm
	backup=backup/$(date +%Y%m%d-%H%M%S)
	old=$(series_commit)
	lgit branch "$backup" "$old"
	[ "$(lgit rev-parse HEAD)" = "$(lgit rev-parse refs/heads/series)" ] ||
		lgit branch "$backup-series" refs/heads/series
	apply_series "$(lgit rev-parse refs/heads/series)"
	if [ "$(lgit rev-parse HEAD)" = "$old" ] || [ "$(lgit rev-parse base)" = "$old" ]; then
		lgit branch -q -D "$backup"
	else
		say "tree: what was there is kept as the branch $backup"
	fi
}

# After an interruption: patches/ once more, from where that run began.
recover() {
	local old
	old=$(cat "$LINUX_TREE/.git/applying")
	say "tree: the last run was interrupted, applying again"
	rm -f "$LINUX_TREE/.git/index.lock"
	lgit am --abort 2>/dev/null || rm -rf "$LINUX_TREE/.git/rebase-apply"
	apply_series "$old"
}

main() {
	local force=
	case ${1:-} in -h | --help) usage; return ;; --again) force=1 ;; '') ;; *) die2 "tree takes no '$1'" ;; esac
	"$TOP/scripts/fetch.sh"
	if [ ! -d "$LINUX_TREE/.git" ]; then
		make_base
		apply_series base
		return
	fi
	[ -e "$LINUX_TREE/.git/applying" ] || need_calm
	if [ "$(cat "$LINUX_TREE/.git/base-id" 2>/dev/null)" != "$(base_id)" ]; then
		if [ ! -e "$LINUX_TREE/.git/applying" ] && has_unexported_work; then
			die "linux/ was made from $(cat "$LINUX_TREE/.git/base-id"), not from $(base_id), and holds unexported work: export it, move linux/ away, and try again"
		fi
		[ -z "$(own_branches)" ] ||
			die "linux/ was made from another base and has branches of its own: $(own_branches | tr '\n' ' '): move linux/ away, or delete them"
		say "tree: making linux/ again, it was made from another base"
		make_base
		apply_series base
	elif [ -e "$LINUX_TREE/.git/applying" ]; then
		recover
	elif [ -n "$force" ]; then
		again
	elif has_unexported_work; then
		patches_changed && die "both linux/ and patches/ changed since the last export. Keep linux/: ./build.sh export. Keep patches/: ./build.sh tree --again (linux/ goes to a backup branch)"
		say "tree: linux/ has unexported work, it is used as it is"
	elif patches_changed; then
		again
	else
		say "tree: linux/ is up to date"
	fi
}

main "$@"
