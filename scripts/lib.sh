# shellcheck shell=bash
# What every job shares: paths, options, messages and progress.
# Sourced, never run.
# shellcheck disable=SC2034 # read by the scripts that source this file

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Workers beside the first have a folder of their own below it (scripts/jobs.sh).
BUILD=${MN_BUILD:-$TOP/build}
LINUX_TREE=$TOP/linux
HARNESS=$TOP/tools/testing/harness
# The tree that kernels are built from: a git worktree of linux/, moved from
# commit to commit so that only what differs is compiled again.
SRC=$BUILD/src
# shellcheck source=scripts/base.sh
. "$TOP/scripts/base.sh"
PARTS="fixes tests registration overlap rules queries flat teardown watch docs"

JOBS=${MN_JOBS:-$(nproc)}
CONFIG=${MN_CONFIG:-debug}
ARCH=${MN_ARCH:-x86_64}
ACCEL=${MN_ACCEL:-auto}
LINUX=${MN_LINUX:-}
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

minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
# since $1, a value of $SECONDS
elapsed() { minutes $((SECONDS - $1)); }

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

# For this script, and for those that it calls.
set_option() {
	case $1 in
	jobs)
		[[ $2 =~ ^[1-9][0-9]*$ ]] || die2 "--jobs $2: not a number above 0"
		JOBS=$2
		export MN_JOBS=$2
		;;
	config)
		[ -f "$HARNESS/kconfig/configs/$2.config" ] ||
			die2 "--config $2: there is only: $(list_configs)"
		CONFIG=$2
		export MN_CONFIG=$2
		;;
	arch)
		[ -f "$HARNESS/kconfig/arch/$2.config" ] ||
			die2 "--arch $2: there is only: $(list_archs)"
		ARCH=$2
		export MN_ARCH=$2
		;;
	accel)
		case $2 in auto | kvm | tcg) ;; *) die2 "--accel $2: there is only: auto kvm tcg" ;; esac
		ACCEL=$2
		export MN_ACCEL=$2
		;;
	linux)
		[ -d "$2" ] || die2 "--linux $2: no such folder"
		LINUX=$(cd "$2" && pwd)
		export MN_LINUX=$LINUX
		;;
	esac
}

# make, and the shell lines of the kernel's Makefiles, take little else.
check_path() {
	[[ $TOP =~ ^[[:alnum:]/._+=@,~-]+$ ]] ||
		die2 "the kernel cannot be built below '$TOP': move this repository to a path of letters, digits and / . _ + = @ , ~ -"
	case $BUILD in "$TOP/build" | "$TOP/build/"*) ;; *) die2 "MN_BUILD is for our own jobs" ;; esac
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
	if ! "$@" >"$log" 2>&1;  then
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
