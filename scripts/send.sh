#!/usr/bin/env bash
# Prepares the posting of a part of the series, and mails nothing.
set -euo pipefail
# MN_POSTER, MN_ADDRESS and MN_SIGNS come from build.sh: of the configuration of git
# of its user, which lib.sh shuts out.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"

PART=
LAST=
# It takes the place of the last one, build/send, when all is well.
OUT=$BUILD/send.part
COVER=$TOP/Documentation/series/cover
GET_MAINTAINER="scripts/get_maintainer.pl --nokeywords --nogit --nogit-fallback --nogit-chief-penguins --norolestats"

usage() {
	cat <<EOF
usage: ./build.sh send --part PART [--last REVISION]

Writes the mails of a posting to build/send/mails, through b4, and mails nothing:
the cover letter from Documentation/series/cover, To and Cc from get_maintainer,
the patches of linux/ as their poster's, signed off. Then it reads them back with
b4 am, applies them with git am, and compares the outcome with linux/.

  --part P    one of: $PARTS
  --last R    the tag of the last posting (default: the highest posted/PART/vN).
              The new version is one higher, the cover has what you write into
              Documentation/series/cover/changes, and the range-diff comes below
              its line "---"

The poster is taken from git's configuration in this repository, not in linux/:
user.name, user.email, and format.signOff=true, by which the poster certifies the
Developer's Certificate of Origin, section 11 of
Documentation/process/submitting-patches.rst. The command that mails them is
printed at the end. After posting, tag this repository: git tag posted/PART/vN.
Documentation/series/cover/cc names who else gets a copy.
EOF
}

need_poster() {
	if [ -z "${MN_POSTER:-}" ] || [ -z "${MN_ADDRESS:-}" ]; then
		die2 "git does not know who posts: git config user.name and user.email"
	fi
	[ "${MN_SIGNS:-}" = true ] ||
		die2 "nothing is posted without the sign-off of $MN_POSTER <$MN_ADDRESS>: git config format.signOff true says that you certify the Developer's Certificate of Origin for what you post"
}

# What the part follows in linux/, and where it ends.
fork_point() { lgit rev-parse "$(part_commits "$PART" | head -n 1)^"; }
end_point() { part_commits "$PART" | tail -n 1; }

in_clone() { git -C "$OUT/tree" "$@"; }

# b4 wants the branch checked out, and writes to the home of its user.
in_b4() {
	(cd "$OUT/tree" && HOME=$OUT/home XDG_DATA_HOME='' XDG_CACHE_HOME='' \
		EDITOR="cp '$OUT/cover.edit'" b4 --offline-mode "$@")
}

make_clone() {
	rm -rf "$OUT"
	mkdir -p "$OUT/home" "$OUT/mails"
	git clone -q --shared --no-checkout "$LINUX_TREE" "$OUT/tree"
	in_clone config user.name "$MN_POSTER"
	in_clone config user.email "$MN_ADDRESS"
	# b4 asks how it would mail, even when it does not.
	in_clone config sendemail.smtpserver /bin/false
	# Words like "riscv" in a changelog are no reason to write to its list.
	in_clone config b4.send-auto-to-cmd "$GET_MAINTAINER --nol"
	in_clone config b4.send-auto-cc-cmd "$GET_MAINTAINER --nom --nor"
	in_clone checkout -q -B fork "$FROM"
}

# Version N of a posting is the tag posted/PART/vN.
last_posted() { git -C "$TOP" tag -l "$POSTED*" | grep -xE "${POSTED}[0-9]+" | sort -V | tail -n 1 || true; }

version() { if [ -z "$LAST" ]; then echo 1; else echo $((${LAST##*/v} + 1)); fi; }

# Whom get_maintainer does not name: whose commits are mended, for one.
copies() {
	sed -nE "s/^[a-z,]*\b$PART\b[a-z,]* +([^#]*[^# ]) *(#.*)?$/\1/p" "$COVER/cc" | sort -u
}

# The patches of the last version, on the base of this one.
apply_last() {
	local patch
	in_clone checkout -q --detach "$BASE"
	mkdir -p "$OUT/last"
	git -C "$TOP" archive "$LAST" patches | tar -x -C "$OUT/last"
	for patch in "$OUT"/last/patches/*.patch; do
		am "$OUT/tree" "$patch" || {
			in_clone am --abort || true
			die "the patches of $LAST do not apply to $(lgit log -1 --format=%s base), so there is no range-diff: make linux/ from the kernel that both are for"
		}
	done
	in_clone branch -q last
	in_clone checkout -q fork
}

# Without what the last version had in other parts.
range_diff() {
	in_clone range-diff --creation-factor=80 "$BASE..last" "$FROM..$TO" |
		{ grep -vE '^ *[0-9]+: +[0-9a-f]+ < +-: ' || true; }
}

write_cover() {
	local address
	cat "$COVER/$PART" "$COVER/common" >"$OUT/cover"
	copies | while read -r address; do
		grep -qF "$address" "$LINUX_TREE/MAINTAINERS" ||
			die "cover/cc: MAINTAINERS of this kernel does not know $address any more"
	done
	[ -n "$LAST" ] || return 0
	[ -s "$COVER/changes" ] || die "a new version says what changed: write it to ${COVER#"$TOP/"}/changes"
	[ "$(git -C "$TOP" show "$LAST:${COVER#"$TOP/"}/changes" 2>/dev/null)" != "$(cat "$COVER/changes")" ] ||
		die "${COVER#"$TOP/"}/changes is what $LAST said: write what changed since"
	{
		printf '\nChanges since v%s:\n\n' "$((VERSION - 1))"
		cat "$COVER/changes"
	} >>"$OUT/cover"
}

first_mail() { find "$OUT/mails" -name '0*.eml' | sort | head -n 1; }

# Below the line "---" of the cover, where b4 does not look for trailers.
add_range_diff() {
	local mail
	mail=$(first_mail)
	{
		printf 'Range-diff against v%s:\n\n' "$((VERSION - 1))"
		range_diff
		echo
	} >"$OUT/range-diff"
	sed -i "0,/^---\$/{/^---\$/r $OUT/range-diff
		}" "$mail"
}

# As the poster's own commits: who posts answers for them.
sign_off() {
	in_clone checkout -q --detach "$TO"
	in_clone rebase -q --onto "b4/$NAME" "$FROM"
	GIT_COMMITTER_NAME=$MN_POSTER GIT_COMMITTER_EMAIL=$MN_ADDRESS in_clone rebase -q --signoff --exec 'git commit -q --amend --no-edit --reset-author' "b4/$NAME"
	in_clone checkout -q -B "b4/$NAME"
}

# Nobody else has the commit that linux/ begins with, but they can have what it
# was made from.
name_base() {
	local id text
	id=$(cat "$LINUX_TREE/.git/base-id")
	if [ "$FROM" != "$BASE" ]; then
		text="prerequisite: the parts of this series before \"$PART\""
	elif [[ ${id##* } =~ ^[0-9a-f]{40}$ ]]; then
		text="base-commit: ${id##* }"
	elif [[ $id == /* ]]; then
		# A folder says nothing to others.
		text="base: $(lgit log -1 --format=%s base)"
	else
		text="base: $(lgit log -1 --format=%s base), ${id%_*}"
	fi
	sed -i "s|^base-commit: .*|$text|" "$OUT"/mails/*.eml
}

prepare() {
	in_b4 prep -n "$NAME" -f fork
	sign_off
	{ cat "$OUT/cover"; echo; copies | sed 's/^/Cc: /'; } >"$OUT/cover.edit"
	in_b4 prep --edit-cover
	[ "$VERSION" -eq 1 ] || in_b4 prep --force-revision "$VERSION"
	in_b4 prep --auto-to-cc
	in_b4 send --no-sign -o "$OUT/mails"
	name_base
	[ -z "$LAST" ] || add_range_diff
}

# b4 0.12 stumbles over folded headers when they come from a file.
unfold() { # MAIL
	awk '!body && /^[ \t]/ { sub(/^[ \t]+/, " "); line = line $0; next }
		{ if (NR > 1) print line; line = $0 }
		/^$/ { body = 1 }
		END { print line }' "$1"
}

# b4 takes what looks like a trailer for one, and moves it.
cover_is_whole() {
	local body=$OUT/cover.body
	# The subject is the first line; a single patch has its cover below "---".
	tail -n +3 "$OUT/cover" >"$body"
	if [ ! -s "$body" ]; then echo "the cover has no text"; return 1; fi
	awk -v file="$body" '
		BEGIN { getline want <file }
		$0 == want { if ((getline want <file) <= 0) { found = 1; exit } next }
		END { if (!found) print "the cover lost, from here on: " want; exit !found }' "$(first_mail)"
}

# What a maintainer would do with the mails.
read_back() {
	local mail
	for mail in "$OUT"/mails/*.eml; do
		printf 'From mboxrd@z Thu Jan  1 00:00:00 1970\n'
		unfold "$mail"
		echo
	done >"$OUT/mbox"
	mkdir -p "$OUT/am"
	in_b4 --no-stdin -n am -Q -o "$OUT/am" -m "$OUT/mbox"
	in_clone checkout -q -B back "$FROM"
	in_clone am -q "$OUT"/am/*.mbx
	in_clone diff --stat --exit-code "$TO" back
	cover_is_whole
	# Each patch: its tree, its author, its words, and one sign-off besides.
	lgit log --format="%T%n$MN_POSTER <$MN_ADDRESS>%n%B%nSigned-off-by: $MN_POSTER <$MN_ADDRESS>" "$FROM..$TO" | grep . >"$OUT/want"
	in_clone log --format='%T%n%an <%ae>%n%B' "$FROM..back" | grep . >"$OUT/got"
	diff "$OUT/want" "$OUT/got"
	for mail in "$OUT"/mails/*.eml; do
		grep -q '^To: .*@' "$mail" || { echo "$mail is to nobody"; return 1; }
	done
}

options() {
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; exit ;;
		--part | --last)
			[ $# -ge 2 ] || die2 "$1 needs a value; see ./build.sh send --help"
			case $1 in --part) PART=$2 ;; --last) LAST=$2 ;; esac
			shift
			;;
		*) die2 "send takes no '$1'; see ./build.sh send --help" ;;
		esac
		shift
	done
	[ -n "$PART" ] || die2 "send prepares one part at a time: --part P, one of: $PARTS"
	tr ' ' '\n' <<<"$PARTS" | grep -xF -- "$PART" >/dev/null || die2 "--part $PART: there is only: $PARTS"
	POSTED=posted/$PART/v
	[ -n "$LAST" ] || LAST=$(last_posted)
	[ -n "$LAST" ] || return 0
	[[ $LAST =~ ^posted/[a-z]+/v[0-9]+$ ]] || die2 "--last $LAST: not the name of a tag posted/PART/vN"
	git -C "$TOP" rev-parse -q --verify "refs/tags/$LAST^{commit}" >/dev/null || die2 "--last $LAST: there is no such tag"
}

main() {
	local start=$SECONDS
	options "$@"
	need_poster
	need_tree
	"$TOP/scripts/export.sh" --check >/dev/null ||
		die "linux/ has work that is not exported: run ./build.sh export, and look at it"
	command -v b4 >/dev/null || "$TOP/scripts/deps.sh" b4
	mkdir -p "$BUILD/log"
	VERSION=$(version) NAME=mmu-notifier-$PART
	BASE=$(lgit rev-parse base)
	FROM=$(fork_point)
	TO=$(end_point)
	step "send: $(lgit rev-list --count "$FROM..$TO") patches, version $VERSION${LAST:+ after $LAST}, by $MN_POSTER <$MN_ADDRESS>"
	make_clone
	[ -z "$LAST" ] || apply_last
	write_cover
	guarded prepare >"$BUILD/log/send.log" 2>&1
	[ "$STATUS" -eq 0 ] || { tail -n 20 "$BUILD/log/send.log" >&2; die "b4 could not prepare the mails (above; all of it in build/log/send.log)"; }
	guarded read_back >"$BUILD/log/send-back.log" 2>&1
	[ "$STATUS" -eq 0 ] || { tail -n 20 "$BUILD/log/send-back.log" >&2; die "what is read back from the mails (>) is not what linux/ has (<): build/log/send-back.log"; }
	rm -rf "$BUILD/send"
	mv "$OUT" "$BUILD/send"
	OUT=$BUILD/send
	say "${GREEN}ok${OFF} send: $(find "$OUT/mails" -name '*.eml' | wc -l) mails in ${OUT#"$TOP/"}/mails, read back and applied: no difference to linux/ ($(elapsed "$start"))"
	grep -hE '^(base-commit|prerequisite|base): ' "$(first_mail)" || true
	say "That is what the mails say they are based on. It helps only if everybody has it: a commit of mainline is best (--linux)."
	say "Nothing was mailed. Who posts answers for all of it. Read them, then: git send-email ${OUT#"$TOP/"}/mails/*.eml (Debian's git-email)"
}

main "$@"
