#!/usr/bin/env bash
# Runs the README's commands, or another, in a bare Debian that has git and
# ca-certificates and nothing else.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/apt.sh
. "$TOP/scripts/apt.sh"

CACHE=$BUILD/fresh
KEEP_DAYS=30
PID=

usage() {
	cat <<EOF
usage: ./build.sh fresh [--tools [--again]] [SUITE [-- COMMAND...]]

Unpacks a bare Debian SUITE (bookworm, the default, or trixie) below build/fresh,
clones what is committed here into it, and runs ./build.sh and ./build.sh test there
as root, or COMMAND; about an hour on two cores. Whatever happens, the folder is
removed at the end, and no process and no mount is left.

  --tools   only ./build.sh deps, and each tool used once (scripts/tools.sh). What
            answered before is not tried again until what this depends on changes;
            --again tries it all the same

The bare system and the .debs are kept in build/fresh for $KEEP_DAYS days. Needs root,
mmdebstrap, and the mirror of apt.
EOF
}

# As of now, with what a Debian user has in the list: deps needs no more.
make_tar() {
	local tar=$CACHE/$SUITE.tar start=$SECONDS site
	[ -z "$(find "$tar" -mtime "-$KEEP_DAYS" 2>/dev/null)" ] || return 0
	site=$(mirror)
	[ -n "$site" ] || die2 "apt knows no Debian mirror: run apt-get update once"
	step "fresh: a bare $SUITE"
	logged "$BUILD/log/fresh-$SUITE.log" mmdebstrap --variant=minbase --include=git,ca-certificates \
		--format=tar "$SUITE" "$tar.part" "deb $site $SUITE main" ||
		die2 "mmdebstrap could not make $SUITE (above; all of it in build/log/fresh-$SUITE.log)"
	mv "$tar.part" "$tar"
	find "$CACHE/debs-$SUITE" -name '*.deb' -mtime "+$KEEP_DAYS" -delete 2>/dev/null || true
	say "fresh: $SUITE in $(elapsed "$start")"
}

clean_up() {
	[ -z "$PID" ] || { kill -KILL "$PID"; wait "$PID"; } 2>/dev/null || true
	rm -rf --one-file-system "$ROOT"
}

unpack() {
	ROOT=$(mktemp -d "$CACHE/root.XXXXXX")
	trap clean_up EXIT
	trap 'exit 130' INT TERM HUP
	tar -x -f "$CACHE/$SUITE.tar" -C "$ROOT"
	# To reach the mirror as this machine does.
	cp -L /etc/resolv.conf /etc/hosts "$ROOT/etc/"
	apt-config dump | grep -E '^Acquire::(https?::|Check-)' >"$ROOT/etc/apt/apt.conf.d/host" || true
	# It is thrown away: no need to wait for the disk.
	echo force-unsafe-io >"$ROOT/etc/dpkg/dpkg.cfg.d/fresh"
	git clone -q "$TOP" "$ROOT/root/series"
	mkdir -p "$CACHE/debs-$SUITE/partial"
}

# Mounts and processes are in namespaces that end with this script, however it ends.
inside() { # COMMAND...
	# shellcheck disable=SC2016 # for the shell in there
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child bash -euc '
		root=$1 debs=$2
		shift 2
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount --bind "$debs" "$root/var/cache/apt/archives"
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" \
			${http_proxy:+http_proxy="$http_proxy"} chroot "$root" \
			sh -c "cd /root/series && exec \"\$@\"" - "$@"' - "$ROOT" "$CACHE/debs-$SUITE" "$@" &
	PID=$!
	wait "$PID" || die "$SUITE: that failed (above)"
	PID=
}

# What decides whether the tools answer.
tools_key() { { echo "$SUITE"; git -C "$TOP" ls-tree HEAD build.sh scripts/{apt,arch,deps,fresh,lib,tools}.sh scripts/packages; } | sha1sum | cut -d' ' -f1; }

main() {
	local tools='' again='' start=$SECONDS
	SUITE=bookworm
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; return ;;
		--tools) tools=1 ;;
		--again) again=1 ;;
		--) shift; break ;;
		bookworm | trixie) SUITE=$1 ;;
		*) die2 "fresh takes no '$1'; see ./build.sh fresh --help" ;;
		esac
		shift
	done
	[ -z "$tools" ] || [ $# -eq 0 ] || die2 "--tools has a command of its own"
	local key stamp=$CACHE/tools-$SUITE
	key=$(tools_key)
	if [ -n "$tools" ] && [ -z "$again" ] && [ "$(cut -d' ' -f1 "$stamp" 2>/dev/null)" = "$key" ]; then
		say "fresh: $SUITE: all tools answered on $(cut -d' ' -f2 "$stamp"), and nothing changed since"
		return
	fi
	[ "$(id -u)" -eq 0 ] || die2 "fresh makes a system of its own: run it as root"
	command -v mmdebstrap >/dev/null || die2 "there is no mmdebstrap: run ./build.sh deps"
	[ -z "$(git -C "$TOP" status --porcelain)" ] || warn "what is not committed is not tried"
	mkdir -p "$CACHE"
	rm -rf --one-file-system "$CACHE"/root.*
	make_tar
	unpack
	if [ -n "$tools" ]; then
		step "fresh: $SUITE: deps, and each tool once"
		inside sh -c './build.sh deps && scripts/tools.sh'
		echo "$key $(date -I)" >"$stamp"
	elif [ $# -gt 0 ]; then
		inside "$@"
	else
		inside sh -c './build.sh && ./build.sh test'
	fi
	say "fresh: $SUITE: good, $(elapsed "$start")"
}

main "$@"
