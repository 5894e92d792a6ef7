# shellcheck shell=bash
# Independent jobs, through GNU parallel: on this machine one after the other, or
# with --workers and --sshlogin on more. Sourced, never run. Who sources it says
# in names_of() what can be asked for.

# shellcheck disable=SC2034 # read by who sources this
WORKERS=1
SSHLOGIN=
AGAIN=
SAVE=
NAMES=()
RESULTS=$TOP/build/results
# What another machine gets, and where, below the home of the login.
SENT=(build.sh lib patches scripts series tools Documentation linux/.git)
WORKDIR=mmu-notifier-worker

jobs_usage() {
	cat <<EOT
  --workers N      N at a time, on each machine (default $WORKERS); each beyond the
                   first builds in a folder of its own, build/worker/N
  --sshlogin LIST  on these machines, as GNU parallel names them: HOST,USER@HOST;
                   they get this repository and linux/ by rsync, in ~/$WORKDIR,
                   and need rsync, and what ./build.sh deps installs or root for it
  --again          also what passed before
  --save           put the table into Documentation/series/results.md
An interrupted run goes on where it was. A job that passed is not run again until
the series or what the job runs of ours changes.
EOT
}

# Sets NAMES and the options from the command line.
jobs_parse() { # SCRIPT ARGUMENT...
	local script=$1
	local -a names
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; exit ;;
		--again) AGAIN=1 ;;
		--save) SAVE=1 ;;
		--workers)
			[[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die2 "--workers needs a number above 0"
			WORKERS=$2
			shift
			;;
		--sshlogin)
			[ -n "${2:-}" ] || die2 "--sshlogin needs the names of machines"
			case ",$2," in *,:,* | *[0-9]/:,*) die2 "--sshlogin: name this machine by a name that ssh knows, or leave it to --workers" ;; esac
			SSHLOGIN=$2
			shift
			;;
		*)
			mapfile -t names < <([ -z "$1" ] || names_of "$1")
			[ -n "${names[*]}" ] || die2 "$script takes no '$1'; see ./build.sh $script --help"
			NAMES+=("${names[@]}")
			;;
		esac
		shift
	done
	[ "${#NAMES[@]}" -gt 0 ] || mapfile -t NAMES < <(names_of '')
	[ -n "${NAMES[*]}" ] || die2 "$script has nothing to run: ./build.sh tree makes linux/"
	command -v parallel >/dev/null || die2 "there is no GNU parallel: run ./build.sh deps"
}

sums_of() { # PATHSPEC...
	(cd "$TOP" && git ls-files -co --exclude-standard -- "$@" | LC_ALL=C sort | xargs -r -d '\n' sha1sum)
}

# Sets COMMON, what the outcome of every job depends on: all of ours but what other
# commands run. The kernel's tree counts, not who wrote it and when.
jobs_common() {
	local commit
	commit=$(series_commit) || return
	COMMON=$(
		echo "$ARCH $CONFIG $ACCEL"
		gcc --version | sed -n 1p
		lgit rev-parse base
		lgit ls-tree "$commit" | grep -vE '\s(Documentation|MAINTAINERS)$'
		sums_of scripts tools/testing/mmu_notifier tools/testing/harness ':!tools/testing/harness/cases' ':!*.pyc' \
			':!scripts/'{all,bench,check,clean,export,fetch,fresh,hygiene,judge_selftest,model,quoted,results,send,test,tree}'.*'
	) || return
}

job_key() { # NAME
	{
		echo "$COMMON"
		sums_of "tools/testing/mutants/$1.patch"
		case $1 in step-*) lgit rev-list base..HEAD ;; esac
	} | sha1sum | cut -d' ' -f1
}

# A job that passed leaves its key.
job_passed() { # SCRIPT NAME
	[ "$(cat "$RESULTS/$1/$2/passed" 2>/dev/null)" = "$(job_key "$2")" ]
}

# Marks each end of a job with how many there are, and how long they may all take.
progress() { # TOTAL
	local line ended=0 start=$SECONDS
	while IFS= read -r line; do
		case $line in
		'ok '* | 'not ok '*)
			ended=$((ended + 1))
			line+=" ($ended of $1 in $(elapsed "$start")"
			[ "$ended" -eq "$1" ] || line+=", all in about $(elapsed $((SECONDS - (SECONDS - start) * $1 / ended)))"
			line+=")"
			;;
		esac
		say "$line"
	done
}

# Runs scripts/SCRIPT.sh --one NAME for each name that has not passed yet; what it
# leaves is in build/results/SCRIPT/NAME. Sets PASSED and FAILED.
run_jobs() { # SCRIPT NAME...
	local script=$1 name log=$TOP/build/jobs/$1.joblog status=0
	local -a todo=() keys=()
	local -a options=(--plain --will-cite --line-buffer --jobs "$WORKERS" --joblog "$log")
	shift
	PASSED=0 FAILED=0
	jobs_common || die "linux/ could not be read (above)"
	for name in "$@"; do
		if [ -z "$AGAIN" ] && job_passed "$script" "$name"; then
			say "$(cat "$RESULTS/$script/$name/line") (as before)"
			continue
		fi
		rm -rf "${RESULTS:?}/$script/$name"
		todo+=("$name")
		keys+=("$(job_key "$name")")
	done
	mkdir -p "${log%/*}" "$RESULTS/$script"
	# What a guest has, so that none is killed for another.
	[ "$WORKERS" -eq 1 ] || options+=(--memfree 1G)
	[ -z "$SSHLOGIN" ] || remote_options
	cd "$TOP" || return
	# Another machine has another number of cores: it gets JOBS from worker.sh.
	[ "${#todo[@]}" -eq 0 ] || parallel "${options[@]}" \
		"MN_ARCH=$ARCH MN_CONFIG=$CONFIG MN_ACCEL=$ACCEL bash scripts/worker.sh {%} $WORKERS $JOBS $script {1} {2}" \
		::: "${todo[@]}" :::+ "${keys[@]}" </dev/null | progress "${#todo[@]}" || status=$?
	# Up to 101 it is how many jobs failed.
	[ "$status" -le 101 ] || die "GNU parallel ended with $status: what it did is in ${log#"$TOP/"}"
	jobs_common || die "linux/ could not be read (above)"
	for name in "$@"; do
		if job_passed "$script" "$name"; then
			PASSED=$((PASSED + 1))
		else
			FAILED=$((FAILED + 1))
			[ -e "$RESULTS/$script/$name/line" ] || say "${RED}not ok${OFF} $script $name: nothing came back: ${log#"$TOP/"}"
		fi
	done
}

# What is sent replaces what was there; what was built there stays.
remote_options() {
	local path
	# The history that is sent has to be all that there is.
	! is_dirty || die "linux/ has changes that are not committed, and other machines get its commits: git -C linux commit"
	export PARALLEL_RSYNC_OPTS="-rlptR --delete --exclude=/linux/.git/worktrees --exclude=/linux/.git/index --exclude=/linux/.git/*.lock"
	options+=(--sshlogin "$SSHLOGIN" --workdir "$WORKDIR" --return "build/results/$script/{1}")
	for path in "${SENT[@]}"; do
		options+=(--basefile "$path")
	done
}
