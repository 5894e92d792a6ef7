# shellcheck shell=bash
# Independent jobs, through GNU parallel: on this machine one after the other, or
# with --workers and --sshlogin on more. Sourced, never run.
# shellcheck disable=SC2034 # read by who sources this

WORKERS=1
SSHLOGIN=
AGAIN=
SAVE=
# Below the home of a login.
WORKDIR=mmu-notifier-worker
RESULTS=$TOP/build/results
# What a worker elsewhere gets, by names that parallel can copy as they are.
TREE=build/jobs/tree.tar

jobs_usage() {
	cat <<EOF
  --workers N      N at a time, on each machine (default $WORKERS); each beyond the
                   first builds in a folder of its own, build/worker/N
  --sshlogin LIST  on these machines, as GNU parallel names them: HOST,USER@HOST;
                   they get this repository and the base kernel by rsync, in
                   ~/$WORKDIR, and need what ./build.sh deps installs
  --again          also what passed before
  --save           put the table into Documentation/series; for all of them
An interrupted run goes on where it was. A job that passed is not run again until
the series or what the job runs of ours changes.
EOF
}

# Takes one option of the above; sets SHIFT to its number of words, or to 0.
jobs_option() { # OPTION VALUE
	SHIFT=2
	case $1 in
	--workers)
		[[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die2 "--workers needs a number above 0"
		WORKERS=$2
		;;
	--sshlogin)
		[ -n "${2:-}" ] || die2 "--sshlogin needs the names of machines"
		case ",$2," in *,:,* | *,[0-9]*/:,*) die2 "--sshlogin: name this machine by a name that ssh knows, or leave it to --workers" ;; esac
		SSHLOGIN=$2
		;;
	--again) AGAIN=--again SHIFT=1 ;;
	--save) SAVE=1 SHIFT=1 ;;
	*) SHIFT=0 ;;
	esac
}

# Sets NAMES from the command line, to all that there are when it names none.
jobs_parse() { # SCRIPT "EVERY NAME" ARGUMENT...
	local script=$1 all=$2
	shift 2
	NAMES=()
	while [ $# -gt 0 ]; do
		jobs_option "$@"
		if [ "$SHIFT" -gt 0 ]; then
			shift "$SHIFT"
			continue
		fi
		case $1 in -h | --help) usage; exit ;; esac
		grep -qxF -- "$1" <<<"$all" || die2 "$script takes no '$1'; see ./build.sh $script --help"
		NAMES+=("$1")
		shift
	done
	[ -z "$SAVE" ] || [ "${#NAMES[@]}" -eq 0 ] || die2 "--save is for all of them"
	[ "${#NAMES[@]}" -gt 0 ] || mapfile -t NAMES <<<"$all"
}

repository_files() { git -C "$TOP" ls-files -co --exclude-standard; }

# What the jobs run of our own.
USED='scripts/(arch|initramfs|jobs|kconfig|kernel|lib|matrix|mutants|objects|qemu|run|series|userland|verdict|worker)[.]sh|scripts/[a-z]*[.]awk|tools/testing/harness/(guest|kconfig|kconfig/configs)/[^/]*|tools/testing/harness/(console-.*|matrix|expect/.*splats)'

sums_of() { # EXPRESSION
	(cd "$TOP" && repository_files | { grep -xE "$1" || true; } | LC_ALL=C sort | xargs -r -d '\n' sha1sum)
}

# The architecture that a cell of the matrix names; a mutant has the usual one.
job_arch() { # NAME
	awk -v name="$1" -v arch="$ARCH" '$1 == "boot" && $2 == name { arch = $3 } END { print arch }' "$HARNESS/matrix"
}

# What the outcome of a job depends on, a line for each name.
jobs_keys() { # NAME...
	local commit name common
	commit=$(series_commit) || return
	common=$(echo "$ARCH $CONFIG $ACCEL"; lgit ls-tree "$commit" | grep -vE '\s(Documentation|MAINTAINERS)$'; sums_of "$USED") || return
	for name in "$@"; do
		{
			printf '%s\n' "$common"
			sums_of "tools/testing/mutants/${name}[.]patch|tools/testing/harness/expect/${name}[.]skips"
			sums_of "tools/testing/harness/kconfig/(arch/$(job_arch "$name")|objects/$name)[.]config"
		} | sha1sum | cut -d' ' -f1
	done
}

# What a machine needs that has nothing of ours.
pack_tree() {
	"$TOP/scripts/export.sh" --check >/dev/null ||
		die "linux/ has work that is not exported, and other machines get patches/: run ./build.sh export"
	[ -n "$(base_deb)" ] ||
		die2 "other machines get the base kernel's package: run ./build.sh fetch, without --linux"
	repository_files | tar -C "$TOP" -c -f "$TOP/$TREE" -T -
}

# What another machine does first: once for each key, the files of this one, and
# nothing that was there before but what it built.
remote_tree() { # KEY
	printf '%s' "mkdir -p tree && (flock 7; [ \"\$(cat tree/.key 2>/dev/null)\" = $1 ] || {" \
		" find tree -mindepth 1 -maxdepth 1 ! -name build ! -name linux -print0 | xargs -0 rm -rf;" \
		" tar -x -f $TREE -C tree && echo $1 >tree/.key; }) 7>tree.lock && "
}

# Runs scripts/SCRIPT.sh --one NAME for each name; the verdicts are left in
# build/results/SCRIPT/NAME. Fails when parallel could not do its work.
run_jobs() { # SCRIPT NAME...
	local script=$1 log status=0 command
	local -a options=(--will-cite --jobs "$WORKERS" --resume-failed)
	shift
	command -v parallel >/dev/null || die2 "there is no GNU parallel: run ./build.sh deps"
	KEYS=$(jobs_keys "$@") || die "linux/ could not be read (above)"
	mkdir -p "$TOP/build/jobs" "$RESULTS/$script"
	# One joblog for what is there now: those of other states say nothing of it.
	log=$TOP/build/jobs/$script-$(printf '%s\n' "$KEYS" "$@" | sha1sum | cut -c 1-12).joblog
	[ -z "$AGAIN" ] || rm -f "$log"
	find "$TOP/build/jobs" -name "$script-*.joblog" ! -path "$log" -delete
	[ ! -t 2 ] || options+=(--bar)
	cd "$TOP" || return
	command="scripts/worker.sh $AGAIN {%} {2} $script {1}"
	if [ -n "$SSHLOGIN" ]; then
		pack_tree
		options+=(--sshlogin "$SSHLOGIN" --workdir "$WORKDIR" --basefile "$TREE"
			--basefile "build/base/$(basename "$(base_deb)")"
			--return "build/results/$script/{1}")
		command="$(remote_tree "$(sha1sum <"$TOP/$TREE" | cut -d' ' -f1)")tree/${command/worker.sh/worker.sh --unpack}"
	fi
	# Another machine has another number of cores.
	# shellcheck disable=SC2086 # a list of words
	WORKERS=$WORKERS JOBS=$((JOBS / WORKERS > 0 ? JOBS / WORKERS : 1)) \
		parallel "${options[@]}" --joblog "$log" --env WORKERS --env ARCH --env CONFIG --env ACCEL \
		"$command" ::: "$@" :::+ $KEYS 9>&- || status=$?
	# Up to 100 it is the number of jobs that failed, which their verdicts say.
	[ "$status" -le 101 ] || die "GNU parallel ended with $status: its log is ${log#"$TOP/"}"
}

# Now, not at some earlier time.
job_passed() { # SCRIPT NAME
	[ "$(cat "$RESULTS/$1/$2/key" 2>/dev/null)" = "$(jobs_keys "$2")" ] &&
		[ "$(cat "$RESULTS/$1/$2/verdict" 2>/dev/null)" = PASS ]
}
