#!/usr/bin/env bash
# Writes patches/, series and the files of the series from linux/.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"

OUT=$BUILD/export

usage() {
	cat <<EOF
usage: ./build.sh export [--check]

Writes, from the commits of linux/:
  patches/              one numbered patch a commit (git format-patch)
  series                quilt's list of them, with a banner for each part
  MAINTAINERS.snippet   what the series adds to MAINTAINERS
  and each file that the series adds, at its kernel path
The end of each part is the branch part/NAME in linux/ (git rebase moves it);
to begin a new part: git -C linux branch part/NAME, NAME one of: $PARTS.
--check writes nothing and fails when something would change.
EOF
}

write_patches() {
	lgit format-patch -q \
		--base=base --zero-commit --no-signature --abbrev=12 --no-renames \
		--diff-algorithm=myers -o "$OUT/patches" base..HEAD
}

banner() { # PART
	case $1 in
	fixes) echo "a lost end, a failed start, a synchronize that waits, registration and signals" ;;
	tests) echo "test module and kselftests of what mainline promises today" ;;
	registration) echo "misuse is refused, and lockdep knows what registration waits for" ;;
	overlap) echo "readers and removals wait only for overlapping invalidations" ;;
	rules) echo "exact unwinding of a failed non-blocking start, for KVM" ;;
	queries) echo "plain notifiers can ask what is being invalidated, and KVM does" ;;
	flat) echo "registration on a tracked mm without stopping it" ;;
	teardown) echo "unregistering without waiting, and SGX" ;;
	watch) echo "tracepoints, and a report of who holds up whom" ;;
	docs) echo "documentation" ;;
	esac
}

write_series() {
	local part n=0 commit number
	echo "# Apply to $(lgit log -1 --format=%s base) with quilt, or with git am in this order."
	for part in $PARTS; do
		[ -n "$(part_commits "$part")" ] || continue
		printf '\n# part: %s - %s\n' "$part" "$(banner "$part")"
		for commit in $(part_commits "$part"); do
			n=$((n + 1))
			number=$(printf '%04d' "$n")
			[ -n "$commit" ] && (cd "$OUT/patches" && ls "$number"-*.patch)
		done
	done
}

added_files() { lgit diff --no-renames --diff-filter=A --name-only base HEAD; }

write_added_files() {
	added_files | while read -r file; do
		mkdir -p "$OUT/files/$(dirname "$file")"
		lgit show "HEAD:$file" >"$OUT/files/$file"
		[ "$(lgit ls-tree HEAD "$file" | cut -d' ' -f1)" != 100755 ] || chmod +x "$OUT/files/$file"
	done
}

write_snippet() {
	lgit diff base HEAD -- MAINTAINERS | sed -n 's/^+\([^+]\)/\1/p'
}

# The files that the patches in the repository add, as they are now.
files_of_old_patches() {
	{ cat "$TOP"/patches/*.patch 2>/dev/null || true; } |
		awk '/^diff --git /{ new = 0 } /^new file mode/ { new = 1 }
			/^\+\+\+ b\// && new { print substr($2, 3) }'
}

generate() {
	rm -rf "$OUT"
	mkdir -p "$OUT/patches" "$OUT/files"
	[ "$(lgit rev-list --count base..HEAD)" -gt 0 ] ||
		die "linux/ has the base alone: ./build.sh tree --again applies patches/"
	! lgit log --format=%s base..HEAD | grep -E '^(fixup|squash|amend)! ' >&2 ||
		die "these are to be melted first: git -C linux rebase -i --autosquash base"
	[ -n "$(last_part)" ] || die "no commit of linux/ belongs to a part: git -C linux branch part/fixes"
	write_patches
	write_series >"$OUT/series"
	[ "$(series_count)" -eq "$(lgit rev-list --count base..HEAD)" ] ||
		die "the part/ branches of linux/ do not follow each other: git -C linux log --oneline --decorate base..HEAD shows where they are"
	write_added_files
	write_snippet >"$OUT/MAINTAINERS.snippet"
}

series_count() { grep -c '^[0-9]' "$OUT/series" || true; }

# Prints what in the repository differs from linux/.
differences() {
	local file
	diff -rq -x neighbours -x stable "$OUT/patches" "$TOP/patches" 2>&1 || true
	for file in series MAINTAINERS.snippet; do
		cmp -s "$OUT/$file" "$TOP/$file" || echo "$file differs"
	done
	added_files | while read -r file; do
		cmp -s "$OUT/files/$file" "$TOP/$file" || echo "$file differs"
		[ ! -x "$OUT/files/$file" ] || [ -x "$TOP/$file" ] || echo "$file is not executable"
	done
	files_of_old_patches | while read -r file; do
		[ -e "$OUT/files/$file" ] || [ ! -e "$TOP/$file" ] || echo "$file is no longer in the series"
	done
}

install_export() {
	local file
	files_of_old_patches | while read -r file; do
		[ -e "$OUT/files/$file" ] || rm -f "${TOP:?}/$file"
	done
	mkdir -p "$TOP/patches"
	rsync -rc --delete --include='*.patch' --exclude='*' "$OUT/patches/" "$TOP/patches/"
	rsync -rpc "$OUT/files/" "$TOP/"
	rsync -c "$OUT/series" "$OUT/MAINTAINERS.snippet" "$TOP/"
}

# A change a line, and its subject.
ids_of_patches() {
	series_patches | while read -r patch; do
		printf '%s %s\n' "$(git patch-id --stable <"$TOP/patches/$patch" | cut -d' ' -f1)" "$patch"
	done
}

ids_of_commits() {
	local commit
	for commit in $(lgit rev-list --reverse base..HEAD); do
		printf '%s %s\n' "$(lgit show "$commit" | git patch-id --stable | cut -d' ' -f1)" \
			"$(basename "$OUT/patches/$(printf '%04d' $((++n)))"-*.patch)"
	done
}

# On another base than the patches were exported from, their context and blob
# names differ, and only the changes can be compared.
check_only() {
	local recorded n=0
	recorded=$(sed -n 's/^base-commit: //p' "$TOP"/patches/0001-*.patch)
	if [ "$recorded" = "$(lgit rev-parse base)" ]; then
		[ -z "$(differences)" ] || { differences >&2; die "patches/ and linux/ differ: run ./build.sh export"; }
	else
		say "export: the base is not the one of the export: comparing changes alone"
		diff <(ids_of_patches) <(ids_of_commits) >&2 || die "patches/ (<) and linux/ (>) differ: run ./build.sh export"
	fi
	say "export: patches/ and linux/ agree"
}

main() {
	local check=
	case ${1:-} in -h | --help) usage; return ;; --check) check=1 ;; '') ;; *) die2 "export takes no '$1'" ;; esac
	need_tree
	need_calm
	[ ! -e "$LINUX_TREE/.git/applying" ] || die "linux/ is half made: run ./build.sh tree"
	[ "$(lgit rev-parse --abbrev-ref HEAD)" = series ] || die "linux/ is not on its branch series (a rebase under way?): git -C linux status"
	! is_dirty || die "linux/ has uncommitted changes: commit them (git -C linux commit --fixup COMMIT, then rebase -i --autosquash base)"
	generate
	if [ -n "$check" ]; then
		check_only
		return
	fi
	if patches_changed; then
		[ -z "$(git -C "$TOP" status --porcelain -- patches series)" ] ||
			die "patches/ or series has changes that git does not have: commit, stash or discard them first"
		[ "$(exported_head)" != "$(lgit rev-parse HEAD)" ] ||
			die "patches/ changed since linux/ was made, and linux/ did not: ./build.sh tree takes them"
		warn "patches/ changed since linux/ was made; it is replaced, git has it"
	fi
	install_export
	remember_export
	say "export: $(series_count) patches, $(added_files | wc -l) files of the series"
}

main "$@"
