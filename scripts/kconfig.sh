# shellcheck shell=bash
# Kernel configurations from the fragments in tools/testing/harness/kconfig.
# Sourced, never run.

# The files of a configuration, after those that it is on top of.
config_files() { # CONFIG
	local file=$HARNESS/kconfig/configs/$1.config below
	below=$(sed -n 's/^# on top of: //p' "$file")
	[ -z "$below" ] || config_files "$below"
	printf '%s\n' "$file"
}

# All options for $ARCH and a configuration; of several settings the last counts.
config_options() { # CONFIG [FILE...]
	local config=$1
	shift
	{
		printf '%s\n' "$HARNESS/kconfig/guest.config" "$HARNESS/kconfig/mm.config" \
			"$HARNESS/kconfig/arch/$ARCH.config" "$@"
		config_files "$config"
	} | xargs -d '\n' cat | grep '^CONFIG_' | tac | awk -F= '!seen[$1]++' | tac
}

# Of these options those that a source knows, for a kernel older than they are, and
# that have a value.
known_options() { # SRC <OPTIONS
	grep -rhoE --include='Kconfig*' '^\s*(menu)?config\s+[A-Za-z0-9_]+' "$1" | sed -E 's/.*\s/CONFIG_/' |
		awk -F= 'NR == FNR { known[$1]; next } $1 in known && $2 != ""' - /dev/fd/3
} 3<&0

# What make is told besides, a word each: the lines "# make:" of a configuration.
config_make() { # CONFIG
	config_files "$1" | xargs -d '\n' sed -n 's/^# make: *//p' | tr -s ' ' '\n'
}

# Names the options that a .config does not have as they were asked for.
lost_options() { # OPTIONS DOTCONFIG
	local line
	while read -r line; do
		case $line in
		CONFIG_*=n) ! grep -q "^${line%=n}=" "$2" || printf ' %s' "$line" ;;
		CONFIG_*) grep -qxF "$line" "$2" || printf ' %s' "$line" ;;
		esac
	done <"$1"
}
