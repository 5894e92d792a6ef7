#!/usr/bin/env bash
# Uses each tool that the other jobs need once, for something small: a package that is
# installed may still lack what it loads. Names those that do not answer.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# As check.sh does: Debian's python has the modules of Debian's packages.
PATH=/usr/bin:$PATH
MISSING=
NUMBER=0

answers() { # NAME COMMAND
	NUMBER=$((NUMBER + 1))
	timeout 60 bash -euo pipefail -c "$2" >"$DIR/out" 2>&1 </dev/null && return
	MISSING+=" $1"
	warn "$1 does not answer: $({ grep -m 1 -iE 'error|unable|cannot' "$DIR/out" || tail -n 1 "$DIR/out"; } | cut -c 1-160)"
}

compiles() { # NAME HEADER LIBRARY
	answers "$1" "printf '#include <$2>\nint main(void) { return 0; }\n' >l.c; gcc l.c $3 -o l; ./l"
}

kernel() {
	answers bc "echo 1 + 1 | bc | grep -x 2"
	answers bison "printf '%%%%\na: ;\n' >g.y; bison -o g.c g.y"
	answers flex "printf '%%%%\n' >s.l; flex -o s.c s.l"
	answers git "git --version"
	answers make "printf 'a:\n\ttrue\n' | make -f -"
	answers patch "echo x >p; printf -- '--- p\n+++ p\n@@ -1 +1 @@\n-x\n+y\n' | patch p; grep y p"
	answers perl "perl -MPOSIX -MFile::Basename -MCwd -MTerm::ANSIColor -MEncode -MGetopt::Long -e 1"
	answers python3 "python3 -c 'import sys, tarfile; assert sys.version_info >= (3, 11)'"
	answers rsync "echo x >r; rsync r r2; grep x r2"
	answers xz "echo x | xz | xz -d | grep x"
	answers curl "curl -s file://\$PWD/p"
	answers ar "ar rc a.a p; ar p a.a p"
	answers objdump "printf 'int f(void) { return 0; }\n' >o.c; gcc -c o.c; objdump -d o.o; nm o.o"
	compiles gcc stdio.h '-static -pthread'
	compiles libelf gelf.h -lelf
	compiles libssl openssl/evp.h -lcrypto
	compiles libcap sys/capability.h -lcap
	compiles libnuma numa.h -lnuma
	compiles liburing liburing.h -luring
}

guest() {
	answers busybox "! ldd \"\$(command -v busybox)\"; busybox true"
	answers cpio "echo p | cpio -o -H newc >c"
	answers kmod "kmod --version; depmod --version"
	answers qemu-system-x86_64 "echo quit | qemu-system-x86_64 -machine q35 -accel tcg -nodefaults -display none -S -monitor stdio"
}

checks() {
	answers codespell "[ -r /usr/lib/python3/dist-packages/codespell_lib/data/dictionary.txt ]; printf 't%s\\n' eh >w; { codespell w || true; } | grep the"
	answers shellcheck "printf '#!/bin/sh\necho \$x\n' >s.sh; { shellcheck s.sh || true; } | grep SC2086"
	answers sparse "printf 'static int *p = 0;\n' >n.c; sparse -Wnon-pointer-null n.c 2>&1 | grep NULL"
	answers spatch "printf '@r@\nposition p;\n@@\nf@p(...)\n@script:python@\np << r.p;\n@@\nprint(\"line\", p[0].line)\n' >c.cocci
		printf 'void g(void) { f(1); }\n' >c.c; spatch --sp-file c.cocci c.c | grep 'line 1'"
	answers spatch-ocaml "printf '@r@\nposition p;\n@@\nf@p(...)\n@script:ocaml@\np << r.p;\n@@\nprint_endline \"seen\"\n' >d.cocci
		printf 'void g(void) { f(1); }\n' >c.c; spatch --sp-file d.cocci c.c | grep seen"
	answers pyflakes3 "echo x >f.py; { pyflakes3 f.py || true; } | grep undefined"
	answers powerpc64le-linux-gnu-gcc "printf 'int f(void) { return 0; }\n' | powerpc64le-linux-gnu-gcc -c -x c - -o q.o"
	answers fuzzer "printf '#include <stddef.h>\nint LLVMFuzzerTestOneInput(const char *p, size_t n) { return 0; }\n' >z.c
		clang -fsanitize=fuzzer z.c -o z; ./z -runs=1"
	answers tsan "printf 'int main(void) { return 0; }\n' >t.c; gcc -fsanitize=thread t.c -o t"
	answers asan "gcc -fsanitize=address,undefined t.c -o t; ./t"
	answers python3-git "python3 -c 'import git, ply.lex'"
	answers python3-yaml "python3 -c 'import yaml'"
	answers sphinx-build "mkdir -p d; echo 'extensions = [\"sphinx.ext.autosectionlabel\"]' >d/conf.py; printf 'a\n=\n' >d/index.rst
		sphinx-build -q -W d d/out; grep -q '<h1>a' d/out/index.html"
	answers rst2pseudoxml "printf 'a\n=\n' | rst2pseudoxml --halt=2 -"
	answers parallel "parallel --will-cite echo ::: a b | wc -l | grep -x 2"
	answers mmdebstrap "mmdebstrap --version"
}

main() {
	local start=$SECONDS
	mkdir -p "$BUILD"
	DIR=$(mktemp -d "$BUILD/tools.XXXXXX")
	# shellcheck disable=SC2064 # now, not then
	trap "rm -rf '$DIR'" EXIT
	cd "$DIR"
	kernel
	guest
	checks
	[ -z "$MISSING" ] || die2 "these do not answer:$MISSING. scripts/packages names them as Debian does"
	say "tools: all $NUMBER answer ($(elapsed "$start"))"
}

main
