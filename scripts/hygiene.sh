# shellcheck shell=bash
# What the kernel's own checkers say of the series and not of the base.
# Sourced by scripts/check.sh, never run.

# Files that the series touches and that are there.
touched_now() { lgit diff --name-only --diff-filter=d base HEAD -- "$@"; }

# Fails, and prints it, when a log says something of what the series touches.
silent_about() { # LOG PATHSPEC...
	local log=$1 files
	shift
	files=$(touched_now "$@") || return
	[ -n "$files" ] || { echo "the series touches nothing?"; return 1; }
	! grep -F "$files" "$log"
}

check_includes() {
	cd "$LINUX_TREE" || return
	touched_now '*.c' '*.h' | xargs -d '\n' perl scripts/checkincludes.pl |
		{ grep -v '^No duplicate includes' || true; } >"$BUILD/log/includes"
	[ ! -s "$BUILD/log/includes" ] || { cat "$BUILD/log/includes"; return 1; }
	# It knows of circles that are not ours.
	touched_now 'include/*.h' | xargs -d '\n' perl scripts/headerdep.pl -I include >"$BUILD/log/headerdep"
	! grep -F "$(touched_now 'include/*.h' | sed 's|^include/|from |')" "$BUILD/log/headerdep" || return 1
}

# Debian's python has the modules that this wants.
check_spdx() {
	cd "$LINUX_TREE" || return
	touched_now '*.c' '*.h' '*.sh' '*.rst' | PATH=/usr/bin:$PATH xargs -d '\n' python3 scripts/spdxcheck.py
}

# References to documents that are not there. Those of MAINTAINERS are looked at
# below.
check_references() {
	local tool=tools/docs/documentation-file-ref-check
	cd "$LINUX_TREE" || return
	[ -x "$tool" ] || { echo "this kernel has no $tool"; return 1; }
	"$tool" >"$BUILD/log/references" 2>&1 || { cat "$BUILD/log/references"; return 1; }
	! grep "can't check" "$BUILD/log/references" || return 1
	silent_about "$BUILD/log/references" ':!MAINTAINERS'
}

# The self-test looks at every pattern of a tree, for minutes, so it gets a tree
# with the section of the series alone.
maintainers_tree() { # DIR
	rm -rf "$1"
	mkdir -p "$1"/{Documentation,arch,include,drivers,fs,init,ipc,kernel,lib,scripts}
	{
		touched_now
		printf '%s\n' COPYING CREDITS Kbuild Makefile README scripts/get_maintainer.pl
		sed -n 's/^F:\t//p' "$TOP/MAINTAINERS.snippet" | tr '\n' '\0' | xargs -0 git -C "$LINUX_TREE" ls-files --
	} | sort -u | lgit checkout-index --prefix="$1/" --stdin
	{ sed '/^Maintainers List/q' "$LINUX_TREE/MAINTAINERS"; printf -- '----------------\n\n'; cat "$TOP/MAINTAINERS.snippet"; } >"$1/MAINTAINERS"
	git -C "$1" init -q
	git -C "$1" add -A
	git -C "$1" -c user.name=x -c user.email=x@localhost commit -q -m x
}

check_maintainers() {
	local name file
	name=$(head -n 1 "$TOP/MAINTAINERS.snippet")
	cd "$LINUX_TREE" || return
	perl scripts/parse-maintainers.pl --order --input=MAINTAINERS --output=/dev/null --section="$BUILD/log/section" "^$name\$"
	diff <(grep . "$TOP/MAINTAINERS.snippet") <(grep . "$BUILD/log/section") ||
		{ echo "the section (<) is not in its order (>)"; return 1; }
	for file in $(lgit diff --no-renames --diff-filter=A --name-only base HEAD); do
		perl scripts/get_maintainer.pl --no-git --no-rolestats --sections -f "$file" | grep -xF "$name" >/dev/null ||
			{ echo "get_maintainer.pl does not find '$name' for $file"; return 1; }
	done
	maintainers_tree "$BUILD/maintainers"
	cd "$BUILD/maintainers" || return
	{ perl scripts/get_maintainer.pl --self-test=patterns; perl scripts/get_maintainer.pl --self-test=sections; } >"$BUILD/log/self-test" 2>&1
	[ ! -s "$BUILD/log/self-test" ] || { cat "$BUILD/log/self-test"; return 1; }
}

# What is said of the files that the series touches, and every error, without the
# numbers of lines.
findings() { # LOG
	sed -E "s|$SRC/||g; s/^([^ :]+):[0-9]+(:[0-9]+)?(-[0-9]+)?:? /\1: /" "$1" |
		awk 'NR == FNR { touched[$0 ":"]; next } / error: / || ($1 in touched && $2 != "note:" && $2 != "In")' \
			<(touched_now '*.c' '*.h') - | sort -u
}

# The series with mistakes in mm/mmu_notifier.c, as a commit: one for each checker.
planted() {
	local index=$BUILD/index.check blob tree
	blob=$({ lgit show HEAD:mm/mmu_notifier.c; cat "$HARNESS/planted.c"; } | lgit hash-object -w --stdin) || return
	GIT_INDEX_FILE=$index lgit read-tree HEAD || return
	GIT_INDEX_FILE=$index lgit update-index --cacheinfo "100644,$blob,mm/mmu_notifier.c" || return
	tree=$(GIT_INDEX_FILE=$index lgit write-tree) || return
	rm -f "$index"
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		lgit -c user.name=x -c user.email=x@localhost commit-tree -p HEAD -m planted "$tree"
}

# Fails when compiling does not say this of what is planted.
finds() { # PLANTED LOG MAKE_ARGUMENT...
	local mistake=$1 log=$2
	shift 2
	ONLY=mm/mmu_notifier.o compile "$(planted)" "$log" "$@" || return 1
	grep -F "$mistake" "$log" >/dev/null || { echo "a mistake that was planted was not found: $mistake"; return 1; }
}

# Compiles what is in mm/ and lib/ once more with a checker; the base only when
# there is something to compare.
compare_checker() { # NAME PLANTED MAKE_ARGUMENT...
	local log=$BUILD/log/check-$1 mistake=$2
	shift 2
	OUT=$BUILD/kernel/$ARCH-check
	mkdir -p "$OUT"
	config_options debug "$HARNESS/kconfig/hmm.config" "$HARNESS/kconfig/touched.config" >"$OUT/fragments"
	finds "$mistake" "$log.planted" "$@" || return 1
	compile HEAD "$log.series" "$@" || return 1
	! grep 'is not available' "$log.series" || return 1
	[ -n "$(findings "$log.series")" ] || return 0
	compile base "$log.base" "$@" || return 1
	[ -z "$(comm -13 <(findings "$log.base") <(findings "$log.series"))" ] ||
		{ comm -13 <(findings "$log.base") <(findings "$log.series"); return 1; }
}

check_w2() { compare_checker w2 'shadows a parameter' W=2 KCFLAGS=-Wno-error; }

# Debian 12's sparse does not know the first word, and cannot evaluate the second
# for MODULE_INFO().
SPARSE="-D__typeof_unqual__=__typeof__ '-D__builtin_strlen(x)=(sizeof(x)-1)'"
check_sparse() { compare_checker sparse 'dereference of noderef' C=1 CF="$SPARSE"; }

# What it says, it says on standard output, which make -s throws away.
# Slow, so only where there is code to look at.
check_coccinelle() {
	ONLY=$(touched_code "$SERIES" 'mm/*.c' 'lib/*.c' | sed 's/\.c$/.o/') SILENT='' \
		compare_checker coccinelle 'NULL check before' C=1 CHECK="$SRC/scripts/coccicheck" MODE=report
}

# Of userspace-api the series touches one row of a table; to build all of it takes
# minutes. Roles that only sphinx knows are left out.
userspace_documents() {
	local document
	for document in $(touched_now 'Documentation/userspace-api/*.rst'); do
		sed 's/:doc://g' "$LINUX_TREE/$document" | PATH=/usr/bin:$PATH rst2pseudoxml --halt=2 - >/dev/null 2>"$BUILD/log/rst" ||
			{ head -n 3 "$BUILD/log/rst"; return 1; }
	done
}

# What is said of the documents that the series touches, and of the kernel-doc
# that they show.
check_htmldocs() {
	local dirs log=$BUILD/log/htmldocs
	dirs=$(touched_now 'Documentation/*.rst' | cut -d/ -f2 | sort -u | grep -vx userspace-api | tr '\n' ' ')
	userspace_documents || return 1
	htmldocs HEAD "$log" "$dirs" || return 1
	[ -s "$BUILD/htmldocs/Documentation/output/mm/mmu_notifier.html" ] || { echo "no document came out"; return 1; }
	silent_about "$log" '*.rst' '*.c' '*.h' || return 1
	htmldocs "$(planted)" "$log.planted" core-api || return 1
	grep -F mn_planted_doc "$log.planted" >/dev/null || { echo "a mistake that was planted was not found"; return 1; }
}

htmldocs() { # COMMIT LOG DIRS
	check_out_src "$(lgit rev-parse "$1")" || return
	PATH=/usr/bin:$PATH make -s -C "$SRC" O="$BUILD/htmldocs" SPHINXDIRS="$3" htmldocs >"$2" 2>&1 9>&- ||
		{ tail "$2"; return 1; }
}
