#!/usr/bin/env bash
# Takes the base kernel from each source while those before it have nothing: a tiny
# kernel, a mirror, a git and a snapshot archive on the loopback, in a copy of our
# scripts that pins that kernel. Needs no network. Run by ./build.sh check.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DIR=$BUILD/test-fetch
WEB=$DIR/web
COPY=$DIR/copy
FAILED=0

clean_up() {
	# shellcheck disable=SC2046 # a list of numbers
	kill $(jobs -p) 2>/dev/null || true
	rm -rf "$DIR"
}

free_port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# As Debian's: everything at the top is ignored, there.
make_kernel() { # DIR
	mkdir -p "$1/mm"
	printf '%s\n' 'VERSION = 7' 'PATCHLEVEL = 3' 'SUBLEVEL = 4' 'EXTRAVERSION =' 'kernelversion:' $'\t@echo 7.3.4' >"$1/Makefile"
	echo 'obj-y += mm/' >"$1/Kbuild"
	echo '/* nothing */' >"$1/mm/mmu_notifier.c"
	echo 'exit 0' >"$1/run.sh"
	chmod +x "$1/run.sh"
	ln -s run.sh "$1/link"
	echo '*.o' >"$1/.gitignore"
	git -C "$1" init -q
	git -C "$1" add -A -f
	git -C "$1" -c user.name=x -c user.email=x@localhost commit -q -m x
	git -C "$1" tag "v$BASE_VERSION"
}

make_deb() { # FILE WORD
	local root=$DIR/deb
	rm -rf "$root"
	mkdir -p "$root/data/usr/src" "$root/linux-source-$BASE_SERIES"
	git -C "$DIR/kernel" archive HEAD | tar -x -C "$root/linux-source-$BASE_SERIES"
	printf '#\n# Debian packaging: ignore everything at the top\n/*\n' >>"$root/linux-source-$BASE_SERIES/.gitignore"
	[ -z "$2" ] || echo "$2" >"$root/linux-source-$BASE_SERIES/$2"
	tar -C "$root" -cJf "$root/data/usr/src/linux-source-$BASE_SERIES.tar.xz" "linux-source-$BASE_SERIES"
	tar -C "$root/data" -cJf "$root/data.tar.xz" ./usr
	echo 2.0 >"$root/debian-binary"
	tar -C "$root" -cJf "$root/control.tar.xz" debian-binary
	rm -f "$1"
	(cd "$root" && ar rc "$1" debian-binary control.tar.xz data.tar.xz)
}

# A mirror with one version of the package, or none.
mirror_has() { # VERSION FILE
	local list=$WEB/debian/dists/$BASE_SUITE/main/binary-all/Packages
	rm -rf "$WEB/debian" "$DIR/state"
	mkdir -p "${list%/*}" "$DIR/state/lists/partial"
	: >"$list"
	if [ $# -eq 2 ]; then
		cp "$2" "$WEB/debian/kernel.deb"
		printf '%s\n' "Package: $BASE_PACKAGE" "Version: $1" 'Architecture: all' 'Maintainer: x' 'Description: x' \
			'Filename: kernel.deb' "Size: $(stat -c %s "$2")" "SHA256: $(sha256sum "$2" | cut -d' ' -f1)" >"$list"
	fi
	printf '%s\n' 'Label: Debian' "Suite: $BASE_SUITE" "Codename: $BASE_SUITE" 'Architectures: all amd64' 'Components: main' 'SHA256:' \
		" $(sha256sum "$list" | cut -d' ' -f1) $(stat -c %s "$list") main/binary-all/Packages" >"$WEB/debian/dists/$BASE_SUITE/Release"
	echo "deb [arch=all] $HTTP/debian $BASE_SUITE main" >"$DIR/sources.list"
	logged "$DIR/log" apt-get update
}

no_mirror() { rm -rf "$DIR/state"; : >"$DIR/sources.list"; }

make_copy() {
	mkdir -p "$COPY/patches"
	cp -r "$TOP/scripts" "$COPY/"
	: >"$COPY/series"
	sed -i -e "s/^BASE_SHA256=.*/BASE_SHA256=$(sha256sum "$DIR/pinned.deb" | cut -d' ' -f1)/" \
		-e "s/^BASE_SHA1=.*/BASE_SHA1=$(sha1sum "$DIR/pinned.deb" | cut -d' ' -f1)/" \
		-e "s/^BASE_TREE=.*/BASE_TREE=$(git -C "$DIR/kernel" rev-parse 'HEAD^{tree}')/" \
		-e "s|^SNAPSHOT=.*|SNAPSHOT=$HTTP|" "$COPY/scripts/base.sh"
}

# tree with these sources; each EXPRESSION has to be in what it says.
case_of() { # NAME STATUS LINUX EXPRESSION...
	local name=$1 want=$2 linux=$3 status=0 expression
	shift 3
	env -u MN_BUILD MN_LINUX="$linux" MN_STABLE_GIT="$GIT" \
		bash "$COPY/scripts/tree.sh" >"$DIR/out" 2>&1 || status=$?
	for expression in "$@"; do
		grep -qE -- "$expression" "$DIR/out" || status+=" '$expression' is missing"
	done
	if [ "$status" = "$want" ]; then
		say "ok fetch: $name"
	else
		FAILED=$((FAILED + 1))
		say "not ok fetch: $name: ends with $status, not $want"
		sed 's/^/  /' "$DIR/out"
	fi
}

fresh_case() { rm -rf "$COPY"/{build,linux}; case_of "$@"; }

start_servers() {
	local port
	port=$(free_port)
	HTTP=http://127.0.0.1:$port
	python3 -m http.server -b 127.0.0.1 -d "$WEB" "$port" >/dev/null 2>&1 &
	port=$(free_port)
	git daemon --listen=127.0.0.1 --port="$port" --export-all --base-path="$DIR" --reuseaddr >/dev/null 2>&1 &
	GIT_UP=git://127.0.0.1:$port/kernel GIT_DOWN=git://127.0.0.1:$port/nothing
	timeout 20 bash -c "until curl -sf $HTTP/ >/dev/null && git ls-remote -q $GIT_UP >/dev/null 2>&1; do sleep 0.1; done" ||
		die "the servers on the loopback did not come up"
}

main() {
	command -v apt-get >/dev/null || die2 "the mirror is apt's: no apt-get here"
	rm -rf "$DIR"
	mkdir -p "$WEB/file"
	trap clean_up EXIT
	trap 'exit 130' INT TERM HUP
	export APT_CONFIG=$DIR/apt.conf
	printf '%s "%s";\n' Dir::Etc::SourceList "$DIR/sources.list" Dir::Etc::SourceParts /dev/null Dir::State "$DIR/state" \
		Acquire::AllowInsecureRepositories true APT::Get::AllowUnauthenticated true APT::Sandbox::User root >"$APT_CONFIG"
	make_kernel "$DIR/kernel"
	start_servers
	make_deb "$DIR/newer.deb" newer
	make_deb "$DIR/pinned.deb" ''
	make_copy
	local snapshot same
	same="commit $(git -C "$DIR/kernel" rev-parse HEAD)"
	snapshot=$WEB/file/$(sha1sum "$DIR/pinned.deb" | cut -d' ' -f1)
	cp "$DIR/pinned.deb" "$snapshot"

	GIT=$GIT_UP
	mirror_has "$BASE_DEB" "$DIR/pinned.deb"
	fresh_case "the package" 0 '' "base is Debian's ${BASE_PACKAGE}_.*[0-9a-f]{64} \(" 'base is Linux 7.3.4'
	! grep -q 'byte for byte' "$DIR/out" || { FAILED=$((FAILED + 1)); say "not ok fetch: the tree is not the one that git add makes"; }
	mirror_has 7.3.9-1 "$DIR/newer.deb"
	case_of "the package that is here" 0 '' "base is Debian's ${BASE_PACKAGE}_.*[0-9a-f]{64} \(" 'up to date'
	fresh_case "the git, when the mirror has another version" 0 '' "stable git, $same, instead of" "Version '.*' was not found"
	GIT=$GIT_DOWN
	case_of "the git that is here" 0 '' "stable git, $same, instead of"
	mirror_has "$BASE_DEB" "$DIR/newer.deb"
	fresh_case "the snapshot, when the mirror's has another hash" 0 '' "base is Debian's ${BASE_PACKAGE}_.*[0-9a-f]{64} \(" 'another SHA-256.*stable git: fatal'
	no_mirror
	fresh_case "the snapshot, without a mirror" 0 '' 'knows no Debian mirror.*stable git: fatal'
	cp "$DIR/newer.deb" "$snapshot"
	fresh_case "nothing, when the snapshot's has another hash" 2 '' 'snapshot archive: what came has another SHA-256'
	rm "$snapshot"
	mirror_has 7.3.9-1 "$DIR/newer.deb"
	fresh_case "another version, at last" 0 '' "7.3.9-1.*instead of Debian's" 'snapshot archive: curl.*404' 'byte for byte'
	sed -i 's/^BASE_DEB=.*/BASE_DEB=7.3.9-1/' "$COPY/scripts/base.sh"
	case_of "another search, when the pin moves" 0 '' 'another SHA-256'
	mirror_has
	fresh_case "nothing, when no source has it" 2 '' 'cannot be had .*With a network'
	fresh_case "a checkout" 0 "$DIR/kernel" "7.3.4 from --linux, $same"
	git -C "$DIR/kernel" worktree add -q --detach "$DIR/worktree" "v$BASE_VERSION"
	fresh_case "a worktree" 0 "$DIR/worktree" "7.3.4 from --linux, $same"
	# Or this repository would be its tree.
	export GIT_CEILING_DIRECTORIES=$DIR
	rm -r "$DIR/kernel/.git"
	sed -i 's/7.3.4/7.2.9/' "$DIR/kernel/Makefile"
	fresh_case "a folder of another version" 0 "$DIR/kernel" 'Linux 7.2.9, the series is written for .*trying it' 'not in git'
	[ "$FAILED" -eq 0 ]
}

main
