# shellcheck shell=bash
# What linux/ and patches/ know of each other. Sourced, never run.

# git am that gives the same commits every time: lib.sh fixes the committer.
am() { # DIR PATCH...
	git -C "$1" am -q --committer-date-is-author-date --whitespace=error-all "${@:2}"
}

patches_hash() {
	{ cat "$TOP/series" "$TOP"/patches/*.patch 2>/dev/null || true; } | sha1sum | cut -d' ' -f1
}

remember_export() {
	printf '%s %s\n' "$(lgit rev-parse HEAD)" "$(patches_hash)" >"$LINUX_TREE/.git/exported"
}

exported_head() { cut -d' ' -f1 "$LINUX_TREE/.git/exported" 2>/dev/null || true; }

patches_changed() {
	[ "$(cut -d' ' -f2 "$LINUX_TREE/.git/exported" 2>/dev/null || true)" != "$(patches_hash)" ]
}

is_dirty() { [ -n "$(lgit status --porcelain --untracked-files=all)" ]; }

has_unexported_work() {
	[ "$(lgit rev-parse HEAD)" != "$(exported_head)" ] ||
		[ "$(lgit rev-parse refs/heads/series)" != "$(exported_head)" ] || is_dirty
}

# In the middle of a rebase or am, HEAD is not what its owner will have.
need_calm() {
	if [ -e "$LINUX_TREE/.git/rebase-merge" ] || [ -e "$LINUX_TREE/.git/rebase-apply" ]; then
		die "a rebase or am is under way in linux/: end it first (git -C linux status says how)"
	fi
}

# Branches and stashes of linux/ that are nowhere else.
own_branches() {
	lgit for-each-ref --format='%(refname:short)' refs/heads refs/stash |
		grep -vE '^(series|part/.*)$' || true
}

# The commit that is to be built: HEAD, with uncommitted changes if there are.
series_commit() {
	local commit
	[ -z "$(lgit ls-files --others --exclude-standard)" ] ||
		warn "linux/ has files that git does not know: git add them, or they are not built"
	# Another job may hold the index for a moment. In a copy of linux/ every file
	# looks changed until git has looked, and stash fails when none is.
	commit=$({
		flock 6
		lgit update-index -q --refresh >&2 || true
		lgit -c user.name=x -c user.email=x@localhost stash create
	} 6>"$LINUX_TREE/.git/stash.lock") ||
		die "what is not committed in linux/ could not be read (above)"
	printf '%s\n' "${commit:-$(lgit rev-parse HEAD)}"
}

# base with the patches of some parts, as a commit, without a work tree.
commit_of_parts() { # PART...
	local index=$BUILD/index.tmp part patch tree
	rm -f "$index"
	GIT_INDEX_FILE=$index lgit read-tree base
	for part in "$@"; do
		while read -r patch; do
			lgit diff --binary "$patch^" "$patch" |
				GIT_INDEX_FILE=$index lgit apply --cached - ||
				die "$(lgit log -1 --format=%s "$patch") does not apply without the parts before it"
		done < <(part_commits "$part")
	done
	tree=$(GIT_INDEX_FILE=$index lgit write-tree)
	rm -f "$index"
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		lgit -c user.name=x -c user.email=x@localhost commit-tree -p base -m "base and $*" "$tree"
}

# The series and a patch that is not part of it; prints nothing when it does
# not apply.
commit_with() { # PATCH
	local index=$BUILD/index.tmp commit tree
	commit=$(series_commit)
	GIT_INDEX_FILE=$index lgit read-tree "$commit"
	GIT_INDEX_FILE=$index lgit apply --cached "$(realpath "$1")" || { rm -f "$index"; return; }
	tree=$(GIT_INDEX_FILE=$index lgit write-tree)
	rm -f "$index"
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		lgit -c user.name=x -c user.email=x@localhost commit-tree -p "$commit" -m mutant "$tree"
}

# What COMMIT changes, without the files where it only marks ranges: a range that
# is not initialized twice races and warns no more than before.
touched_code() { # COMMIT PATH...
	local commit=$1
	shift
	lgit diff --numstat -I 'struct mmu_notifier_range range( __uninitialized)?;$' base "$commit" -- "$@" | cut -f 3
}

# The commits of one part of linux/, oldest first. What follows the last
# part's end belongs to that part.
part_commits() { # PART
	local part from=base to=
	for part in $PARTS; do
		lgit rev-parse -q --verify "refs/heads/part/$part" >/dev/null || continue
		[ -z "$to" ] || { from=$to; }
		to=part/$part
		if [ "$part" = "$1" ]; then
			[ "$part" != "$(last_part)" ] || to=HEAD
			lgit rev-list --reverse "$from..$to"
			return
		fi
	done
}

last_part() {
	local part last=
	for part in $PARTS; do
		! lgit rev-parse -q --verify "refs/heads/part/$part" >/dev/null || last=$part
	done
	printf '%s' "$last"
}
