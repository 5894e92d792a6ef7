# shellcheck shell=bash
# What every job shares: paths, options, messages, progress and the lock.
# Sourced, never run.
# shellcheck disable=SC2034 # read by the scripts that source this file

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Workers beside the first have a folder of their own (scripts/jobs.sh).
BUILD=${BUILD:-$TOP/build}
LINUX_TREE=$TOP/linux
HARNESS=$TOP/tools/testing/harness
# The tree that kernels are built from: a git worktree of linux/, moved from
# commit to commit so that only what differs is compiled again.
SRC=$BUILD/src
# What the series is written for: Debian's package and the version it holds.
BASE_PACKAGE=linux-source-7.3
BASE_SUITE=trixie-backports
BASE_SERIES=7.3
PARTS="fixes tests rules teardown tracking docs"

JOBS=${JOBS:-$(nproc)}
CONFIG=${CONFIG:-debug}
ARCH=${ARCH:-x86_64}
ACCEL=${ACCEL:-auto}
LINUX=${LINUX:-}
export JOBS CONFIG ARCH ACCEL LINUX
export LC_ALL=C.UTF-8

# What a user configured for their own work must not change what git does here,
# and a --linux tree may belong to somebody else.
# shellcheck disable=SC2046 # names of variables
unset $(git rev-parse --local-env-vars 2>/dev/null || true)
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
export GIT_COMMITTER_NAME=series GIT_COMMITTER_EMAIL=series@localhost

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	RED=$'\e[31m' GREEN=$'\e[32m' BOLD=$'\e[1m' OFF=$'\e[0m'
else
	RED='' GREEN='' BOLD='' OFF=''
fi

say() { printf '%s\n' "$*"; }
step() { printf '%s== %s%s\n' "$BOLD" "$*" "$OFF"; }
warn() { printf '%swarning:%s %s\n' "$RED" "$OFF" "$*" >&2; }
die() { printf '%serror:%s %s\n' "$RED" "$OFF" "$*" >&2; exit 1; }
die2() { printf '%serror:%s %s\n' "$RED" "$OFF" "$*" >&2; exit 2; }

# minutes:seconds since $1 (a value of $SECONDS)
elapsed() { printf '%d:%02d' $(((SECONDS - $1) / 60)) $(((SECONDS - $1) % 60)); }

# The beginning of a file with results that is committed.
saved_by() { # COMMAND TITLE
	# shellcheck disable=SC2016 # backticks of Markdown
	printf '# %s\n\nWritten by `./build.sh %s --save`, with Linux %s.\n' "$2" "$1" \
		"$(make -s --no-print-directory -C "$LINUX_TREE" kernelversion)"
}

# Runs a function that stops at the first command that fails, and sets STATUS.
# Not to be used as a condition: there bash does not stop.
guarded() {
	set +e
	(set -e; "$@")
	STATUS=$?
	set -e
}

list_configs() {
	local f out=''
	for f in "$HARNESS"/kconfig/configs/*.config; do
		f=${f##*/}
		out+=" ${f%.config}"
	done
	printf '%s' "${out# }"
}

list_archs() {
	local f out=''
	for f in "$HARNESS"/kconfig/arch/*.config; do
		f=${f##*/}
		out+=" ${f%.config}"
	done
	printf '%s' "${out# }"
}

set_option() {
	case $1 in
	jobs)
		[[ $2 =~ ^[1-9][0-9]*$ ]] || die2 "--jobs $2: not a number above 0"
		JOBS=$2
		;;
	config)
		[ -f "$HARNESS/kconfig/configs/$2.config" ] ||
			die2 "--config $2: there is only: $(list_configs)"
		CONFIG=$2
		;;
	arch)
		[ -f "$HARNESS/kconfig/arch/$2.config" ] ||
			die2 "--arch $2: there is only: $(list_archs)"
		ARCH=$2
		;;
	accel)
		case $2 in auto | kvm | tcg) ACCEL=$2 ;;
		*) die2 "--accel $2: there is only: auto kvm tcg" ;; esac
		;;
	linux)
		[ -d "$2" ] || die2 "--linux $2: no such folder"
		LINUX=$(cd "$2" && pwd)
		;;
	esac
}

# One run at a time: two would build in the same folders. The descriptor is
# inherited by the jobs, and closed for what may outlive them.
take_lock() {
	mkdir -p "$BUILD" || die "cannot make $BUILD"
	exec 9>>"$BUILD/.lock"
	flock -n 9 || die2 "another ./build.sh is using $BUILD (pid $(cat "$BUILD/.lock.pid" 2>/dev/null || echo '?')): wait until it ends, or end it"
	echo $$ >"$BUILD/.lock.pid"
}

need_space() { # GIB WHAT
	local free
	free=$(df -Pk "$BUILD" | awk 'NR==2 { print int($4 / 1048576) }')
	[ "$free" -ge "$1" ] ||
		die2 "$2 needs about $1 GiB in $BUILD, $free GiB are free: make room, or put $BUILD on another disk with a symbolic link"
}

lgit() { git -C "$LINUX_TREE" "$@"; }

# Moves build/src to a commit of linux/, touching only what differs.
check_out_src() { # COMMIT
	lgit worktree prune || return
	# Not one whose linux/ is gone, nor the tree around it.
	if [ "$(git -C "$SRC" rev-parse --show-toplevel 2>/dev/null)" != "$(realpath -m "$SRC")" ]; then
		rm -rf "$SRC"
		lgit worktree add -q --detach "$SRC" "$1" || return
	fi
	rm -f "$(git -C "$SRC" rev-parse --absolute-git-dir)/index.lock"
	git -C "$SRC" checkout -q -f --detach "$1" || return
	[ "$(git -C "$SRC" rev-parse HEAD)" = "$1" ]
}

need_tree() {
	[ -d "$LINUX_TREE/.git" ] || die2 "there is no linux/ yet: run ./build.sh tree"
}

# Runs a command with its output in a file; on failure shows the end of it.
logged() { # LOGFILE COMMAND...
	local log=$1
	shift
	mkdir -p "${log%/*}"
	if ! "$@" >"$log" 2>&1 9>&-; then
		tail -n 20 "$log" >&2
		return 1
	fi
}

out_dir() { printf '%s/kernel/%s-%s' "$BUILD" "$ARCH" "$CONFIG"; }
userland_dir() { printf '%s/userland/%s' "$BUILD" "$ARCH"; }
image_dir() { printf '%s/image/%s-%s-%s' "$BUILD" "$ARCH" "$CONFIG" "$1"; }

# The patches in their order.
series_patches() { grep -vE '^(#|$)' "$TOP/series" || true; }

part_patches() { # PART
	awk -v want="$1" '/^# part: / { part = $3 } /^[^#]/ && part == want' "$TOP/series"
}

# The package of the base kernel, or nothing.
base_deb() {
	find "$BUILD/base" -maxdepth 1 -name "${BASE_PACKAGE}_*.deb" 2>/dev/null | sort -V | tail -n 1
}
