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

# Nobody is volunteered: the snippet only adds files to sections that are there.
check_maintainers() {
	local pattern file
	! grep -v '^F:	' "$TOP/MAINTAINERS.snippet" || { echo "more than files"; return 1; }
	sed 's/^F:	//' "$TOP/MAINTAINERS.snippet" | while read -r pattern; do
		lgit ls-tree -r --name-only HEAD -- "${pattern%/*}/" | grep -E "^${pattern//\*/.*}$" >/dev/null ||
			{ echo "no file is $pattern"; return 1; }
	done || return
	cd "$LINUX_TREE" || return
	for file in $(lgit diff --no-renames --diff-filter=A --name-only base HEAD); do
		perl scripts/get_maintainer.pl --no-git --no-rolestats -f "$file" | grep -xE 'linux-mm@kvack.org|kvm@vger.kernel.org' >/dev/null ||
			{ echo "get_maintainer.pl finds neither linux-mm nor kvm for $file"; return 1; }
	done
}

# The tree with the mistakes: what the checkers read that do not compile.
DOCS=$BUILD/check/planted
# The files that the series touches, as they are in the base.
BASE=$BUILD/check/base
# The tree that is moved from commit to commit to be compiled: not build/src, so
# that a kernel is not built anew after a check.
OBJECTS=$BUILD/check/src

# Moves a git worktree of linux/ to a commit, with the files of some patterns only.
sparse_worktree() { # DIR COMMIT <PATTERNS
	if [ "$(git -C "$1" rev-parse --show-toplevel 2>/dev/null)" != "$(realpath -m "$1")" ]; then
		rm -rf "$1"
		lgit worktree prune
		lgit worktree add -q --no-checkout --detach "$1" "$2" || return
	fi
	rm -f "$(git -C "$1" rev-parse --absolute-git-dir)/index.lock"
	git -C "$1" sparse-checkout set --no-cone --stdin || return
	git -C "$1" checkout -q -f --detach "$2"
}

# The series with mistakes in mm/mmu_notifier.c, as a commit: one for each checker.
planted() {
	local index=$BUILD/index.planted.$BASHPID blob tree
	blob=$({ lgit show HEAD:mm/mmu_notifier.c; cat "$HARNESS/planted.c"; } | lgit hash-object -w --stdin) || return
	GIT_INDEX_FILE=$index lgit read-tree HEAD || return
	GIT_INDEX_FILE=$index lgit update-index --cacheinfo "100644,$blob,mm/mmu_notifier.c" || return
	tree=$(GIT_INDEX_FILE=$index lgit write-tree) || return
	rm -f "$index"
	commit_tree HEAD "$tree"
}

commit_tree() { # PARENT TREE
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		lgit -c user.name=x -c user.email=x@localhost commit-tree -p "$1" -m check "$2"
}

# A log without what is said of the mistakes: they stand behind the last line of
# the file as the series has it.
unplanted() { # LOG
	awk -v last="$(lgit show HEAD:mm/mmu_notifier.c | wc -l)" '
		match($0, /mm\/mmu_notifier\.c:[0-9]+/) && substr($0, RSTART + 18, RLENGTH - 18) + 0 > last { next } 1' "$1"
}

# A checker has to find its own mistake, or it did not look.
found() { # LOG TEXT...
	local log=$1 text
	shift
	for text in "$@"; do
		grep -F "$text" "$log" >/dev/null || { echo "a mistake that was planted was not found: $text"; return 1; }
	done
}

# The warnings of a log, without the numbers of lines. What only W=2 asks for is said
# of many a header, so it counts in files that the series touches. Of what shadows
# another, sparse says the same as gcc, and not where.
warnings_of() { # <LOG
	sed -E "s#($OBJECTS|$DOCS|$BASE)/##g" | grep -E '(^|: )([Ww]arning|(fatal )?error): ' |
		sed -E 's/:[0-9]+(:[0-9]+)?:? /: /' |
		awk 'NR == FNR { touched[$0 ":"]; next }
			/ shadows an earlier one$/ { next }
			$1 in touched || !/shadows|\[-W(disabled-optimization|logical-op|maybe-uninitialized|missing-field-initializers|shift-negative-value|sign-compare|type-limits|unused-macros)\]/' \
			<(touched_now '*.c' '*.h') - | sort -u
}

# Documents that the series touches, and those that show the kernel-doc of what it
# touches. Of userspace-api it touches one row of a table, see below.
documents() {
	{
		touched_now 'Documentation/*.rst'
		lgit grep -lF -f <(touched_now '*.c' '*.h' ':!tools' | sed 's/^/.. kernel-doc:: /') HEAD \
			-- Documentation ':!Documentation/translations' | sed 's/^[^:]*://'
	} | grep -v '/userspace-api/' | sort -u
}

plant() {
	local document
	{
		printf '%s\n' '*.py' '/arch/x86/Makefile*' /Makefile /MAINTAINERS /arch/x86/include/ /include/ /lib/ /mm/ \
			/scripts/ /tools/docs/ /tools/lib/python/ /Documentation/{Makefile,conf.py,sphinx/,sphinx-includes/,sphinx-static/}
		touched_now '*.c' '*.h' ':!tools' | sed 's|^|/|'
		for document in $(documents); do
			printf '/%s\n' "$document" "${document%/*}/index.rst"
			lgit show "HEAD:$document" | sed -n 's|^.. kernel-doc:: *|/|p'
		done
	} | sparse_worktree "$DOCS" "$(planted)" || return
	rm -rf "$BASE"
	mkdir "$BASE"
	touched '*.c' '*.h' ':!tools' | xargs -d '\n' git -C "$LINUX_TREE" ls-tree --name-only base -- |
		xargs -d '\n' git -C "$LINUX_TREE" archive base -- | tar -x -C "$BASE"
}

kernel_doc() { # DIR
	(cd "$1" && touched '*.c' '*.h' ':!tools' | xargs -d '\n' sh -c 'ls "$@" 2>/dev/null || :' - |
		PYTHONDONTWRITEBYTECODE=1 xargs -d '\n' python3 "$LINUX_TREE/scripts/kernel-doc" -none -Wall) 2>&1 | sed "s#$1/##g"
}

check_kernel_doc() {
	local log=$BUILD/log/kernel-doc
	kernel_doc "$BASE" >"$log.base" || true
	kernel_doc "$DOCS" >"$log.planted" || true
	! grep -hE "Traceback|can't open" "$log.base" "$log.planted" || return 1
	found "$log.planted" mn_planted_doc || return 1
	no_more "$log.base" <(unplanted "$log.planted")
}

# Every line of a log about a place in a file, without the numbers of lines.
findings() { # <LOG
	sed -E "s#($OBJECTS|$DOCS|$BASE)/##g" | sed -nE 's/^([^ :]+):[0-9]+:[0-9]+(-[0-9]+)?: /\1: /p' | sort -u
}

# Fails, and prints them, when the second log has warnings that the first has not.
no_more() { # LOG LOG
	! comm -13 <(warnings_of <"$1") <(warnings_of <"$2") | grep .
}

# The kernel's own script, for each semantic patch, on these files one by one; only
# those with code to look at, since it is slow.
coccicheck() { # DIR LOG
	touched_code HEAD 'mm/*.c' 'lib/*.c' | sed "s|^|$1/|" | xargs ls 2>/dev/null | sed G >"$2.files"
	(cd "$DOCS" && grep -rlE 'virtual[[:space:]]+report' scripts/coccinelle | sort |
		C=1 MODE=report DEBUG_FILE=/dev/null srctree=. LINUXINCLUDE='-Iarch/x86/include -Iinclude -Imm' xargs -d '\n' -I '{}' -P "$JOBS" \
			env COCCI='{}' bash scripts/coccicheck "--file-groups $2.files" >"$2" 2>&1) ||
		{ tail -n 20 "$2"; return 1; }
	! grep -iE 'is not available|coccicheck failed|exception|parse error' "$2"
}

# mini_lock.cocci does not know __releases(): three functions hand the lock on to one
# that drops it.
but_handed_on() {
	awk '/^mm\/mmu_notifier\.c: preceding lock on line [0-9]+$/ && n++ < 3 { next } { print }'
}

check_coccinelle() {
	local log=$BUILD/log/coccinelle
	coccicheck "$DOCS" "$log.planted" || return 1
	found "$log.planted" 'NULL check before' || return 1
	# The base only when there is something to compare.
	unplanted "$log.planted" | findings | but_handed_on >"$log.series"
	[ -s "$log.series" ] || return 0
	coccicheck "$BASE" "$log.base" || return 1
	! comm -13 <(findings <"$log.base") "$log.series" | grep .
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
# that they show. Only these documents are there: all of their folders take minutes.
check_htmldocs() {
	local log=$BUILD/log/htmldocs out=$BUILD/check/htmldocs
	userspace_documents || return 1
	rm -rf "$out"
	PATH=/usr/bin:$PATH make -s -C "$DOCS" O="$out" htmldocs \
		SPHINXDIRS="$(documents | sed 's|^Documentation/||; s|/[^/]*$||' | sort -u | xargs)" >"$log" 2>&1 ||
		{ tail "$log"; return 1; }
	[ -s "$out/Documentation/output/mm/mmu_notifier.html" ] || { echo "no document came out"; return 1; }
	found "$log" mn_planted_doc || return 1
	unplanted "$log" >"$log.series"
	silent_about "$log.series" '*.rst' '*.c' '*.h'
}

# The base with all patches of patches/neighbours, as a commit.
neighbours() {
	local index=$BUILD/index.neighbours.$BASHPID patch tree
	GIT_INDEX_FILE=$index lgit read-tree base || return
	for patch in "$TOP"/patches/neighbours/*/*.patch; do
		GIT_INDEX_FILE=$index lgit apply --cached "$patch" || return
	done
	tree=$(GIT_INDEX_FILE=$index lgit write-tree) || return
	rm -f "$index"
	commit_tree base "$tree"
}

as_objects() { sed -n 's|/amd/amdkfd/|/amd/amdgpu/../amdkfd/|; s/\.c$/.o/p'; } # <FILES

# What is compiled next, for an architecture: the objects of what the series and
# patches/neighbours change, as make names them.
target() { # NAME KARCH COMPILER DEFCONFIG PATHSPEC...
	OUT=$BUILD/check/$1 DEFCONFIG=$4 AT=
	KMAKE=(make -s -C "$OBJECTS" O="$OUT" ARCH="$2" CROSS_COMPILE="$3" KCFLAGS=-fstack-usage -j"$JOBS")
	shift 4
	LIST=$({ touched "$@"; lgit diff --name-only base "$NEIGHBOURS" -- "$@"; } | as_objects | sort -u)
	mkdir -p "$OUT"
	# What an interrupted run has compiled would not warn again.
	(cd "$OUT" && xargs rm -f <<<"$LIST")
}

# What the base does not have yet, it cannot keep.
configure() {
	local fragment=$HARNESS/kconfig/objects/check-${OUT##*/}.config lost
	"${KMAKE[@]}" "$DEFCONFIG" || return
	cat "$fragment" >>"$OUT/.config"
	"${KMAKE[@]}" olddefconfig || return
	lost=$(lost_options "$fragment" "$OUT/.config")
	[ -z "$lost" ] || [ "$AT" = "$(lgit rev-parse 'base^{commit}')" ] ||
		{ echo "these options did not survive olddefconfig:$lost"; return 1; }
}

# Only what make has to compile again since the commit before gets into the log.
compile() { # COMMIT MAKE_ARGUMENT...
	local commit log=$OUT/log.$1 object list=
	local -a kinds=('*.[chS]' '*Makefile' '*Kconfig*' ':!tools')
	commit=$(lgit rev-parse "$1^{commit}") || return
	shift
	: >"$log"
	[ -z "$AT" ] || ! lgit diff --quiet "$AT" "$commit" -- "${kinds[@]}" || return 0
	git -C "$OBJECTS" checkout -q -f --detach "$commit" || return
	if [ -z "$AT" ] || ! lgit diff --quiet "$AT" "$commit" -- '*Kconfig*'; then
		AT=$commit
		configure >"$log" 2>&1 || { tail -n 20 "$log"; return 1; }
	fi
	AT=$commit
	for object in $LIST; do
		[ ! -e "$OBJECTS/${object%.o}.c" ] || list+=" $object"
	done
	# shellcheck disable=SC2086 # a list of words
	"${KMAKE[@]}" W=12 "$@" $list >"$log" 2>&1 || { tail -n 20 "$log"; return 1; }
	for object in $list; do
		[ -e "$OUT/$object" ] || { echo "nothing compiles $object"; return 1; }
	done
}

# Compiles a commit and compares with the base.
patch_step() { # COMMIT MAKE_ARGUMENT...
	compile "$@" && no_more "$OUT/log.base" "$OUT/log.$1" && return
	lgit log -1 --format='in: %s' "$1"
	return 1
}

# The last patch is compiled with the mistakes.
last_step() { # MISTAKE...
	compile "$PLANTED" C=2 "CF=$SPARSE" || { echo 'in: the last patch'; return 1; }
	found "$OUT/log.$PLANTED" "$@" || return 1
	unplanted "$OUT/log.$PLANTED" >"$OUT/log.series"
	no_more "$OUT/log.base" "$OUT/log.series" || { echo 'in: the whole series'; return 1; }
}

# Functions as just compiled that take more than 512 bytes of stack, as the compiler
# says: scripts/checkstack.pl adds up what is taken on different paths.
deep_stacks() {
	local object
	for object in $LIST; do
		[ ! -e "$OUT/${object%.o}.su" ] || cat "$OUT/${object%.o}.su"
	done | awk -F '[:\t]' '{ sizes++ } $5 > 512 { sub(/[.].*/, "", $4); print $4 }
		END { if (!sizes) print "the compiler said nothing" }' | sort -u
}

# Debian 12's sparse does not know the first word, and cannot evaluate the second
# for MODULE_INFO().
SPARSE="-D__typeof_unqual__=__typeof__ '-D__builtin_strlen(x)=(sizeof(x)-1)'"

check_build() {
	local all commit n=0 log=$BUILD/log/check-build test=lib/test_mmu_notifier_main.o
	PLANTED=$(planted) || return
	NEIGHBOURS=$(neighbours) || return
	printf '%s\n' '*Kconfig*' 'Makefile*' 'Kbuild*' /arch/x86/ /arch/powerpc/ /fs/ /include/ /init/ /kernel/ /lib/ /mm/ /scripts/ \
		/security/selinux/ /tools/ '!/tools/testing/' /drivers/gpu/drm/amd/ /drivers/hv/ /drivers/iommu/ /drivers/misc/ |
		sparse_worktree "$OBJECTS" base || return
	target x86 x86_64 '' x86_64_defconfig '*.c' ':!tools' ':!drivers/misc/ocxl'
	compile base C=2 "CF=$SPARSE" || return 1
	deep_stacks >"$log.stacks.base"
	! grep -x 'the compiler said nothing' "$log.stacks.base" || return 1
	patch_step "$NEIGHBOURS" C=1 "CF=$SPARSE" || return 1
	# At each patch what is in mm/ and lib/, and what it changes elsewhere.
	all=$LIST
	for commit in $(lgit rev-list --reverse base..HEAD^); do
		n=$((n + 1))
		progress "build: patch $n of $(lgit rev-list --count base..HEAD)"
		LIST=$(grep -xE -e '(mm|lib)/.*' -f <(lgit diff --name-only "$commit^" "$commit" | as_objects) <<<"$all")
		patch_step "$commit" || return 1
	done
	LIST=$all
	last_step 'mn_planted_const' 'shadows a parameter' 'dereference of noderef' || return 1
	deep_stacks >"$log.stacks.series"
	! comm -13 "$log.stacks.base" "$log.stacks.series" | grep . ||
		{ echo "they take more than 512 bytes of stack"; return 1; }
	# Once more as if it were built in.
	"${KMAKE[@]}" W=1 CONFIG_TEST_MMU_NOTIFIER=y "$test" >"$log.builtin" 2>&1 || { cat "$log.builtin"; return 1; }
	! grep -e -DMODULE "$OUT/${test%/*}/.${test##*/}.cmd" >/dev/null || { echo "the test is not built in"; return 1; }
	[ ! -s "$log.builtin" ] || { cat "$log.builtin"; return 1; }
	target powerpc powerpc powerpc64le-linux-gnu- powernv_defconfig drivers/misc/ocxl
	compile base C=2 "CF=$SPARSE" || return 1
	patch_step "$NEIGHBOURS" C=1 "CF=$SPARSE" || return 1
	last_step || return 1
}
