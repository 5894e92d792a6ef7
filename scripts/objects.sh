# shellcheck shell=bash
# Compiles what the series touches, before and after it. Sourced, never run.

SERIES=HEAD
# What else make gets, a checker for one.
CHECKER=()

touched() { lgit diff --name-only base "$SERIES" -- "$@"; }

warnings() { grep -E 'warning|error|Warning' "$1" | sed -E 's/:[0-9]+(:[0-9]+)?:? /: /' | sort -u; }

# Directories whose touched files are meant, or, with "=", targets themselves.
to_compile() { # WHAT...
	local what
	for what in "$@"; do
		case $what in
		=*) printf '%s\n' "${what#=}" ;;
		*) touched "$what" | sed -n 's/\.c$/.o/p' ;;
		esac
	done
}

# Compiles what the series changes below these directories as it is before and
# after, with the options of kconfig/objects/NAME on top of a configuration of
# the kernel's. COMPILED gets the objects.
compare_objects() { # NAME KARCH CROSS_COMPILE DEFCONFIG WHAT...
	local arch=$2 compiler=$3 defconfig=$4 commit which objects object present new
	local log=$BUILD/log/objects-$1 out=$BUILD/kernel/objects-$1
	local fragment=$HARNESS/kconfig/objects/$1.config
	local -a omake=(make -s -C "$SRC" O="$out" ARCH="$arch" CROSS_COMPILE="$compiler" -j"$JOBS")
	shift 4
	objects=$(to_compile "$@")
	[ -n "$objects" ] || { echo "the series touches nothing in: $*"; return 1; }
	mkdir -p "$out" "$BUILD/log"
	for commit in base "$SERIES"; do
		which=$([ "$commit" = base ] && echo base || echo series)
		check_out_src "$(lgit rev-parse "$commit^{commit}")" || return
		"${omake[@]}" "$defconfig" || return
		if [ -e "$fragment" ]; then
			cat "$fragment" >>"$out/.config"
			"${omake[@]}" olddefconfig || return
			new=$(lost_options "$fragment" "$out/.config")
			# What the base does not have yet, it cannot keep.
			[ -z "$new" ] || [ "$commit" = base ] ||
				{ echo "these options did not survive olddefconfig:$new"; return 1; }
		fi
		present=
		for object in $objects; do
			[ "$object" != vmlinux ] && [ ! -e "$SRC/${object%.o}.c" ] && [ ! -d "$SRC/$object" ] || present+=" $object"
		done
		# What an interrupted run has compiled would not warn again.
		for object in $present; do
			[ "$object" != vmlinux ] || object=.
			[ ! -e "$out/$object" ] || find "$out/$object" -name '*.o' -delete
		done
		# shellcheck disable=SC2086 # a list of words
		"${omake[@]}" W=1 "${CHECKER[@]}" $present >"$log.$which" 2>&1 ||
			{ tail -n 20 "$log.$which"; return 1; }
	done
	COMPILED+=" $objects"
	new=$(comm -13 <(warnings "$log.base") <(warnings "$log.series"))
	[ -z "$new" ] || { printf 'new warnings:\n%s\n' "$new"; return 1; }
}
