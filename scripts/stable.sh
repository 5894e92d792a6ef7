#!/usr/bin/env bash
# The fixes on older kernels: what they repair there, before and after. Each kernel
# has a folder of its own below build/, which is MN_BUILD and BASE_OF (base.sh) for
# the scripts that do the work.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/series.sh
. "$TOP/scripts/series.sh"
# shellcheck source=scripts/import.sh
. "$TOP/scripts/import.sh"
# shellcheck source=scripts/kconfig.sh
. "$TOP/scripts/kconfig.sh"

STABLE=$TOP/patches/stable
# SRCU as on a machine with many CPUs.
BIG=srcutree.convert_to_big=1

versions() { sed -n 's/^\([0-9][^ ]*\) .*/\1/p' "$STABLE/base"; }

usage() {
	cat <<EOF
usage: ./build.sh stable [--apply | --save] [VERSION...]

The fixes on the kernels that people run: $(versions | xargs), or those that are
named. Gets Debian's linux-source of each (patches/stable/base pins version and hash),
and builds it, in the configuration "stable", with the tests of the posting "tests" and
without the fixes of patches/stable/VERSION, then with them; boots both, and judges by
tools/testing/harness/expect/stable-VERSION-before.tests and stable-VERSION.tests: a bug
is seen before its fix and not after it. Guests that passed are not booted again
until the source, the patches or the lists change.

When Debian has no longer the pinned version another one is tried, and a line says
which. A fix that the source already has, as we have it or in the form that
patches/stable/upstream has, is reported, and taken out for "before". The
exit status is 1 when a fix does not apply, or a guest is not as its list says.

  --apply  only get the sources, and apply the tests and the fixes
  --save   put the table into Documentation/series/results.md
EOF
}

# The names of a version's patches, and behind each the tests that see it.
fixes() { grep -v '^#' "$STABLE/$BASE_OF/series"; }

in_index() { GIT_INDEX_FILE=$BUILD/index.stable lgit "$@"; }

# What the index has, as a commit.
commit() { # MESSAGE
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		lgit -c user.name=x -c user.email=x@localhost commit-tree -p base -m "$1" "$(in_index write-tree)"
}

# The tests alone, then the fixes; those of the posting as they are in patches/, with
# what this kernel has not got or names otherwise.
make_commits() {
	local patch form i
	local -a own=() carried=()
	: >"$BUILD/carried"
	in_index read-tree base
	for patch in $(part_patches tests); do
		in_index apply --cached --include='lib/test_mmu_notifier*' --include='tools/testing/selftests/mm/*mmu_notifier*' "$TOP/patches/$patch" ||
			die "the tests of $patch do not apply to $(cat "$BUILD/base/id")"
	done
	in_index apply --cached "$STABLE/tests/$BASE_OF.diff" ||
		die "patches/stable/tests/$BASE_OF.diff does not apply to the tests on $(cat "$BUILD/base/id")"
	for patch in $(fixes | cut -d' ' -f1); do
		for form in "$STABLE/$BASE_OF/$patch" "$STABLE/upstream/${patch%.patch}.diff"; do
			if [ -e "$form" ] && in_index apply --cached --check --reverse "$form" 2>/dev/null; then
				say "stable: $BASE_OF: already there, upstream carries it: ${form#"$STABLE/"}"
				carried+=("$form")
				echo "$patch" >>"$BUILD/carried"
				continue 2
			fi
		done
		own+=("$STABLE/$BASE_OF/$patch")
	done
	# Later ones first: they can change the same lines.
	for ((i = ${#carried[@]} - 1; i >= 0; i--)); do
		in_index apply --cached --reverse "${carried[i]}"
	done
	BEFORE=$(commit before)
	for patch in "${carried[@]}" "${own[@]}"; do
		in_index apply --cached "$patch" ||
			die "${patch#"$TOP/"} does not apply to $(cat "$BUILD/base/id")"
	done
	AFTER=$(commit after)
	rm -f "$BUILD/index.stable"
	# What run.sh takes for the series.
	lgit update-ref --no-deref HEAD "$AFTER"
	say "stable: $BASE_OF: ${#own[@]} fixes apply, ${#carried[@]} are already there"
}

# One guest, unless it has passed with the same kernel and list.
guest() { # NAME COMMIT GOLDEN RUN_ARGUMENT...
	local name=$1 commit=$2 golden=$HARNESS/expect/$3.tests key
	shift 3
	key="$(lgit rev-parse "$commit^{tree}") $({ cat "$HARNESS"/expect/stable*.tests; config_options "$CONFIG"; printf '%s ' "$@"; } | sha1sum)"
	if [ "$(cat "$BUILD/run/$name/key" 2>/dev/null)" = "$key" ]; then
		say "stable: $BASE_OF $name passed before"
		return
	fi
	bash "$TOP/scripts/run.sh" --commit "$commit" --name "$name" --golden "$golden" "$@" || return
	echo "$key" >"$BUILD/run/$name/key"
}

# How some tests ended, in the guests that ran them. "big:" is the guest whose SRCU has
# a callback list for each CPU.
outcome() { # before|after TEST...
	local run=$1 test dir seen all=''
	shift
	for test; do
		dir=$BUILD/run/$run
		case $test in big:*) dir+=-big test=${test#big:} ;; esac
		seen=$(sed -n "s/ $test\$//p" "$dir/seen" 2>/dev/null)
		all+="${seen:-did not run}"$'\n'
	done
	sort -u <<<"${all%$'\n'}" | paste -s -d, | sed 's/,/, /g'
}

subject() { # PATCH
	sed -n '/^Subject: /,/^$/p' "$1" | xargs -d '\n' | sed -E 's/^Subject: \[[^]]*\] //; s/ +/ /g; s/ $//'
}

rows() {
	local patch line id
	local -a tests
	id=$(base_id)
	id=${id%_all}
	fixes | while read -r patch line; do
		read -ra tests <<<"$line"
		printf '| %s | %s | %s | %s | %s |\n' "${id#*_}" "$(subject "$STABLE/$BASE_OF/$patch")$(! grep -qxF "$patch" "$BUILD/carried" || echo ' (already there)')" "${line//big:/}" \
			"$(outcome before "${tests[@]}")" "$(outcome after "${tests[@]}")"
	done
}

table() { # VERSION...
	printf '%s\n' 'The fixes on older kernels, in the configuration "stable".' '' \
		'| Debian package | fix | tests that see the bug | before | after |' '|---|---|---|---|---|'
	printf '%s\n' "$@" | sed "s|.*|$BUILD/stable/&/rows|" | xargs -d '\n' cat
}

# All of one version, below build/stable/VERSION.
one() {
	local failed=0 fixtures start=$SECONDS
	bash "$TOP/scripts/fetch.sh"
	if [ "$(cat "$LINUX_TREE/.git/base-id" 2>/dev/null)" != "$(base_id)" ]; then
		need_space 5 "linux $BASE_OF and its kernel"
		step "stable: unpacking $(base_id)"
		rm -rf "$LINUX_TREE" "$SRC"
		import_base "$LINUX_TREE" || die "it could not be unpacked (above): remove ${BUILD#"$TOP/"} and try again"
		base_id >"$LINUX_TREE/.git/base-id"
	fi
	make_commits
	[ -z "${APPLY:-}" ] || return 0
	mapfile -t fixtures < <("$TOP/scripts/judge.py" list "$HARNESS/expect/stable-$BASE_OF.tests" | sed -n '/ /d; s/^\([a-z_]*[.]\).*/\1/p' | sort -u)
	guest before "$BEFORE" "stable-$BASE_OF-before" "${fixtures[@]}" || failed=1
	guest before-big "$BEFORE" "stable-big-before" --append "$BIG" synchronize || failed=1
	guest after "$AFTER" "stable-$BASE_OF" "${fixtures[@]}" || failed=1
	guest after-big "$AFTER" "stable-$BASE_OF" --append "$BIG" "${fixtures[@]}" || failed=1
	rows >"$BUILD/rows"
	cat "$BUILD/rows"
	say "stable: $BASE_OF: $([ "$failed" -eq 0 ] && echo 'as the lists say' || echo 'NOT as the lists say'), $(elapsed "$start")"
	return "$failed"
}

main() {
	local version save='' failed=0
	local -a chosen=()
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; return ;;
		--one) one; return ;;
		--apply) export APPLY=1 ;;
		--save) save=1 ;;
		*)
			versions | grep -xF -e "$1" >/dev/null || die2 "stable takes no '$1', only: $(versions | xargs)"
			chosen+=("$1")
			;;
		esac
		shift
	done
	[ "${#chosen[@]}" -gt 0 ] || mapfile -t chosen < <(versions)
	export MN_CONFIG=stable MN_ARCH=x86_64 MN_LINUX=
	for version in "${chosen[@]}"; do
		mkdir -p "$BUILD/stable/$version/log"
		rm -f "$BUILD/stable/$version/rows"
		BASE_OF=$version MN_BUILD=$BUILD/stable/$version bash "$TOP/scripts/stable.sh" --one || failed=1
	done
	[ "$failed" -eq 0 ] || die "not every kernel is as it should be (above)"
	[ -z "$save" ] || [ -n "${APPLY:-}" ] || table "${chosen[@]}" | python3 "$TOP/scripts/results.py" put stable
}

main "$@"
