# shellcheck shell=bash
# Packs the guest's root: busybox, bash, the modules and the kselftests.
# Sourced, never run.

# Copies a program and the libraries it needs.
add_program() { # ROOT FILE [TO]
	local root=$1 file=$2 lib
	install -D "$file" "$root${3:-$file}"
	ldd "$file" 2>/dev/null | grep -o '/[^ ]*' | while read -r lib; do
		[ -e "$root$lib" ] || install -D "$lib" "$root$lib"
	done
}

# The root that all guests of an image share; only /etc/plan differs.
make_root() { # IMAGE
	local root=$1/root file
	if [ "$1/root.cpio" -nt "$HARNESS/guest/init" ] &&
		[ "$1/root.cpio" -nt "$HARNESS/guest/starve.c" ] &&
		[ "$1/root.cpio" -nt "$TOP/scripts/initramfs.sh" ]; then
		return
	fi
	rm -rf "$root"
	mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,etc,usr/bin}
	install "$(command -v busybox)" "$root/bin/busybox"
	add_program "$root" "$(command -v bash)" /bin/bash
	# The module tools of kmod: busybox's have no dry run.
	add_program "$root" "$(command -v kmod)" /bin/kmod
	for file in modprobe rmmod lsmod modinfo; do
		ln -s kmod "$root/bin/$file"
	done
	install "$HARNESS/guest/init" "$root/init"
	cp -a "$1/lib" "$root/"
	rm -f "$root"/lib/modules/*/{build,source}
	mkdir -p "$root/kselftest/mm"
	cp -a "$1/kselftest"/{run_kselftest.sh,kselftest,kselftest-list.txt} "$root/kselftest/"
	# run_vmtests.sh and kselftest pipe through these; sed must not buffer.
	add_program "$root" "$(command -v tr)" /bin/tr
	add_program "$root" "$(command -v sed)" /bin/gsed
	printf '#!/bin/sh\nexec /bin/gsed -u "$@"\n' >"$root/bin/sed"
	chmod +x "$root/bin/sed"
	gcc -O2 -Wall -Werror -static -pthread -I"$1/include" -o "$root/bin/starve" "$HARNESS/guest/starve.c" || return
	add_program "$root" "$1/kselftest/mm/mmu_notifier" /kselftest/mm/mmu_notifier
	for file in test_mmu_notifier.sh ksft_mmu_notifier.sh run_vmtests.sh settings; do
		cp -a "$1/kselftest/mm/$file" "$root/kselftest/mm/"
	done
	pack "$root" >"$1/root.cpio.part"
	mv "$1/root.cpio.part" "$1/root.cpio"
	rm -rf "$root"
}

pack() { # DIR
	(cd "$1" && find . -print0 | sort -z | cpio --quiet -0 -o -H newc -R 0:0)
}

# The kernel takes several archives one after the other: the second has the plan.
make_initramfs() { # IMAGE PLANFILE OUT
	local plan
	# Two guests can start at the same time.
	(flock 8; make_root "$1") 8>"$1/root.lock"
	plan=$(mktemp -d "$BUILD/plan.XXXXXX")
	install -D -m 644 "$2" "$plan/etc/plan"
	{ cat "$1/root.cpio"; pack "$plan"; } >"$3"
	rm -rf "$plan"
}
