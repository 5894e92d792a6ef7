#!/usr/bin/env bash
# Says of any kernel tree which patches of the series apply to it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SCRATCH=$BUILD/applies

usage() {
	cat <<EOF
usage: ./build.sh applies --linux DIR

Tries patches/ in the order of series on the kernel in DIR, in a copy of the
files that they touch, and says of each one:

  clean    it applies where it says
  offset   it applies some lines away from there
  fuzz     it applies when some context is ignored: look at it
  there    it is in that kernel already
  no       some of it does not apply: which hunks, and why; the rest of it is
           taken for the patches that follow

Fails when there is a "no" or a "fuzz". Nothing in DIR is changed. What comes out
is in build/applies, what patch(1) said of each in build/applies.log. A tree that
has some of the series already is told only what each patch finds in the files as
they are: give it the kernel without them.
EOF
}

touched_files() { sed -n 's|^+++ b/||p' "$TOP"/patches/*.patch | sort -u; }

copy_files() {
	local file
	rm -rf "$SCRATCH" "$SCRATCH.log"
	mkdir -p "$SCRATCH" "$SCRATCH.log"
	touched_files | while read -r file; do
		[ ! -e "$LINUX/$file" ] || install -D -m 644 "$LINUX/$file" "$SCRATCH/$file"
	done
}

# patch(1) without questions; its words are in the log.
try() { # OPTION...
	patch -d "$SCRATCH" -p1 -N -f --no-backup-if-mismatch --verbose "$@" <"$PATCH" >"$LOG" 2>&1
}

# The hunks that do not apply as they are, with their files, and why.
reasons() {
	sed -nE "s/^\|\+\+\+ b\/([^[:space:]]*).*/\1/p; s/^patching file '?([^']*)'?$/\1/p; s/^(Hunk #[0-9]+) FAILED at ([0-9]+).*/  \1: other lines stand at \2/p; s/^(Hunk #[0-9]+) succeeded at ([0-9]+) with fuzz.*/  \1: other lines stand around \2/p; s/^(No file to patch).*/  \1: this kernel does not have it/p; s/^.*[Tt]he next patch would create the file (.*),$/\1\n  it is there already, and is another one/p" "$LOG" |
		awk '/^  / { print "    " file ":" $0; next } { file = $0 }'
}

# The same, but what a patch before had said: each line once, and nothing more of
# a file that could not be patched at all.
new_reasons() {
	local new refused
	refused=$(sed -nE 's/^(    [^ ]+:  ).*(does not have it|is another one)$/\1/p' <<<"$SAID")
	new=$(reasons | grep -vxF -- "$SAID" | grep -vF -- "${refused:-none}" || true)
	say "${new:-    as above}"
	[ -z "$new" ] || SAID+=$'\n'$new
}

verdict() { # PATCH
	PATCH=$TOP/patches/$1 LOG=$SCRATCH.log/$1
	if try -F0 --dry-run; then
		try -F0
		if grep -qE '^Hunk #[0-9]+ succeeded .*offset' "$LOG"; then
			say "offset  $1 (up to $(grep -E '^Hunk #[0-9]+ succeeded' "$LOG" | grep -oE 'offset -?[0-9]+' | grep -oE '[0-9]+' | sort -n | tail -n 1) lines)"
		else
			say "clean   $1"
		fi
	elif try -F0 --dry-run -R; then
		say "there   $1"
	elif try -F2 --dry-run; then
		BAD=$((BAD + 1))
		try -F2
		say "fuzz    $1"
		new_reasons
	else
		BAD=$((BAD + 1))
		try -F2 || true
		say "no      $1"
		new_reasons
	fi
}

main() {
	local patch version
	local -a patches
	BAD=0 SAID=none
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; return ;;
		--linux)
			[ $# -ge 2 ] || die2 "--linux needs a folder; see ./build.sh applies --help"
			set_option linux "$2"
			shift
			;;
		*) die2 "applies takes no '$1'; see ./build.sh applies --help" ;;
		esac
		shift
	done
	[ -n "$LINUX" ] || die2 "which kernel? See ./build.sh applies --help"
	[ -e "$LINUX/mm/mmu_notifier.c" ] || die2 "$LINUX is no kernel tree with mmu notifiers"
	command -v patch >/dev/null || die2 "there is no patch(1): run ./build.sh deps"
	version=$(make -s --no-print-directory -C "$LINUX" kernelversion) || die2 "$LINUX does not say which kernel it is"
	step "applies: $(grep -c '\.patch$' "$TOP/series") patches to Linux $version"
	copy_files
	mapfile -t patches < <(sed 's/ *#.*//; /^$/d' "$TOP/series")
	[ "${#patches[@]}" -gt 0 ] || die "series names no patches"
	for patch in "${patches[@]}"; do
		verdict "$patch"
	done
	say "applies: $((${#patches[@]} - BAD)) of ${#patches[@]} as they are"
	[ "$BAD" -eq 0 ] || say "Where lines moved, git am -3 may know better. What patch(1) said, and the hunks that are left: ${SCRATCH#"$TOP/"}.log, ${SCRATCH#"$TOP/"}"
	[ "$BAD" -eq 0 ]
}

main "$@"
