#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The fuzzer on the core of a commit: what it has found interesting before, and bugs of
# other cores that it has found.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
	cat <<-END
	usage: fuzz.sh [--linux TREE] [--commit REV] [--base REV] [--build DIR]
	               [--seconds N] [--core NAME [--ignore LIST]] [--keep]

	TREE and REV as for run.sh. Without --seconds it runs each input of the file corpus
	once: none may fail, and on the cores that the file found names each input that is
	there must fail, as it says. With --seconds it goes on from the corpus for so long,
	or with --core from nothing on base or a core of cores/: LIST is of races, warnings
	and beginnings of failures, with commas. --keep puts what it has found into corpus,
	without what adds nothing.

	Exit 0 if all is as it must be, 1 if not, 2 if it cannot be built or run.
	END
}

linux=$here/../../../linux commit=HEAD base=base build=$here/../../../build/fuzz
seconds='' core='' ignore='' keep=''
while [ $# -gt 0 ]; do
	case $1 in
	--linux) linux=$2; shift ;;
	--commit) commit=$2; shift ;;
	--base) base=$2; shift ;;
	--build) build=$2; shift ;;
	--seconds) seconds=$2; shift ;;
	--core) core=$2; shift ;;
	--ignore) ignore=$2; shift ;;
	--keep) keep=yes ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
# What is kept, and what a run may be as large as
limits=(-max_len=256 -len_control=0 -rss_limit_mb=1024)

mkdir -p "$build"
build=$(cd "$build" && pwd)

compile() { # FOLDER COMMIT [CORE]
	local log=$build/$1.log
	local -a files=()
	[ -z "${3-}" ] || files=("CORE=$here/cores/$3.c" "HEADER=$here/cores/$3.h")
	make -C "$here" -s CC=clang FUZZER=1 O="$build/$1" LINUX="$linux" COMMIT="$2" "${files[@]}" fuzz >"$log" 2>&1 || {
		echo "not ok fuzz.compile.${3:-$2} # $(grep -m 1 -E 'error|No rule|tree.sh|fatal|not found' "$log" || tail -n 1 "$log")"
		exit 2
	}
}

compile_core() { # CORE
	if [ "$1" = base ]; then compile base "$base"; else compile "$1" "$base" "$1"; fi
}

# The inputs as files, by their number; the file has them in hexadecimal.
unpack() {
	rm -rf "$build/inputs"
	mkdir "$build/inputs"
	python3 - "$here/corpus" "$build/inputs" <<-'END'
	import pathlib, sys
	lines = pathlib.Path(sys.argv[1]).read_text().split()
	for number, line in enumerate(lines):
	    pathlib.Path(sys.argv[2], f"{number:04}").write_bytes(bytes.fromhex(line))
	END
	inputs=$(find "$build/inputs" -type f | wc -l)
}

pack() { # DIR
	python3 -c 'import pathlib, sys
print("\n".join(sorted(path.read_bytes().hex() for path in pathlib.Path(sys.argv[1]).iterdir())))' "$1"
}

# Runs, and prints what has failed, or nothing. Leaves the output in $build/out.
run() { # FOLDER ARGUMENT...
	local ret=0
	(cd "$build/$1" && IGNORE=$ignore timeout "$((${seconds:-0} + 300))" ./fuzz "${limits[@]}" "${@:2}") >"$build/out" 2>&1 || ret=$?
	[ $ret -ne 0 ] || return 0
	sed -n 's/^FAILED: //p' "$build/out" | grep . || {
		echo "it ended with $ret: $(tail -n 1 "$build/out")"
		return 2
	}
}

failed=0
say() { # RESULT NAME REMARK
	echo "$1 $2 # $3"
	[ "$1" = ok ] || failed=1
}

replay() {
	local wrong
	wrong=$(run core -runs=0 "$build/inputs") || true
	if [ -n "$wrong" ]; then
		say 'not ok' fuzz.corpus "$wrong: $build/out"
	elif [ "$inputs" -eq 0 ] || ! grep -E "^#$((inputs + 1)).*INITED" "$build/out" >/dev/null; then
		say 'not ok' fuzz.corpus "not all of $inputs inputs were run: $build/out"
	else
		say ok fuzz.corpus "$inputs inputs"
	fi
}

# It can fail, and its bytes still mean what they did.
found() {
	local core input expected wrong
	while read -r core ignore input expected; do
		compile_core "$core"
		python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))' "$input" >"$build/input"
		ignore=${ignore//_/ }
		wrong=$(run "$core" "$build/input") || true
		if [ "$wrong" = "$expected" ]; then
			say ok "fuzz.$core" "fails as it must: $wrong"
		else
			say 'not ok' "fuzz.$core" "expected: $expected; got: ${wrong:-ok}"
		fi
	done < <(grep -v '^#' "$here/found")
}

# Goes on from the inputs, or from nothing on another core.
fuzz() {
	local folder=core wrong start=$SECONDS
	rm -rf "$build/new"
	mkdir "$build/new"
	if [ -n "$core" ]; then
		folder=$core
		compile_core "$core"
		wrong=$(run "$folder" -max_total_time="$seconds" "$build/new") || true
	else
		wrong=$(run core -max_total_time="$seconds" "$build/new" "$build/inputs") || true
	fi
	if [ -n "$wrong" ]; then
		say 'not ok' fuzz "$wrong, after $((SECONDS - start)) s: $build/out, $(sed -n 's|.*Test unit written to \./|the input is |p' "$build/out")"
	else
		say ok fuzz "$(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) .*/\1 runs in \2 s/p' "$build/out"), $(find "$build/new" -type f | wc -l) new inputs"
	fi
}

keep() {
	rm -rf "$build/merged"
	mkdir "$build/merged"
	run core -merge=1 "$build/merged" "$build/inputs" "$build/new" || exit 2
	pack "$build/merged" >"$here/corpus"
}

touch "$here/corpus"
unpack
if [ -n "$seconds" ]; then
	[ -n "$core" ] || compile core "$commit"
	fuzz
	[ -z "$keep" ] || [ "$failed" -ne 0 ] || [ -n "$core" ] || keep
else
	compile core "$commit"
	replay
	found
fi
exit "$failed"
