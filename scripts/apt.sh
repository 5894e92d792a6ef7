# shellcheck shell=bash
# Debian's archive with a source list and state of our own: apt's own
# configuration is not touched, the mirror is taken from it. Sourced, never run.

sites() { # LABEL
	# shellcheck disable=SC2016 # apt's format, not ours
	apt-get indextargets --format '$(SITE) $(LABEL)' 'Created-By: Packages' 2>/dev/null | sed -n "s/ $1\$//p"
}

# The mirror of the suites that apt already uses for Debian's main archive.
mirror() { sites Debian | awk '!/security/ { print; exit }'; }

# And that of its security updates: usually beside it.
security_mirror() {
	local site
	site=$(sites Debian-Security | head -n 1)
	printf '%s' "${site:-$(mirror | sed 's|/debian/*$|/debian-security|')}"
}

apt_prepare() { # DIR SUITE
	local site
	case $2 in *-security) site=$(security_mirror) ;; *) site=$(mirror) ;; esac
	[ -n "$site" ] || die2 "apt knows no Debian mirror: run apt-get update once, or see --linux in ./build.sh --help"
	rm -rf "$1"
	mkdir -p "$1"/{state/lists/partial,cache/archives/partial}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $2 main" >"$1/sources.list"
}

apt_in() { # DIR STATUS TOOL ARGUMENT...
	local dir=$1 status=$2 tool=$3
	shift 3
	"$tool" -o Dir::Etc::SourceList="$dir/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State="$dir/state" \
		-o Dir::State::status="$status" \
		-o Dir::Cache="$dir/cache" \
		-o APT::Sandbox::User=root "$@"
}
