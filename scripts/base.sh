# shellcheck shell=bash
# The kernel that the series is written for: pinned here, and nowhere else. Sourced,
# never run.
# shellcheck disable=SC2034 # read by who sources this

BASE_VERSION=7.3.4
BASE_SERIES=${BASE_VERSION%.*}
# Debian's package of its source: the name, where it is, the version and the hashes.
# The snapshot archive calls a file by its SHA-1; what counts is the other.
BASE_PACKAGE=linux-source-$BASE_SERIES
BASE_SUITE=trixie-backports
BASE_DEB=$BASE_VERSION-1~bpo13+1
BASE_SHA256=703e369ddd4cce971452f5a593ee55df3a5c10c83caf0fa0df039633ed181ee3
BASE_SHA1=94589443b986be97e5c0a149375aad80b208c7d6
# That source as linux/ commits it.
BASE_TREE=d1799ee80f10cdb206a91df568f9c9f9b5ef5e14

# Or an older kernel, one of patches/stable/base, with what is built of it apart from
# the rest: ./build.sh stable.
if [ -n "${BASE_OF:-}" ]; then
	read -r BASE_VERSION BASE_SUITE BASE_DEB BASE_SHA256 BASE_SHA1 \
		< <(sed -n "s/^$BASE_OF //p" "$TOP/patches/stable/base")
	BASE_SERIES=$BASE_OF BASE_PACKAGE=linux-source-$BASE_OF BASE_TREE=
	LINUX_TREE=$BUILD/linux
fi

# For the day on which Debian's mirror no longer has it. No other file names a host.
STABLE_GIT=${MN_STABLE_GIT:-https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git}
SNAPSHOT=https://snapshot.debian.org

# What scripts/fetch.sh has left, or nothing.
base_deb() {
	find "$BUILD/base" -maxdepth 1 -name "${BASE_PACKAGE}_*.deb" 2>/dev/null | sort -V | tail -n 1
}
base_git() { [ ! -e "$BUILD/base/git/HEAD" ] || printf '%s' "$BUILD/base/git"; }
