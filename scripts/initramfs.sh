# shellcheck shell=bash
# Packs the guest's root: busybox, bash, the modules and the kselftests.
# Sourced, never run.

# Copies the libraries that a program needs: a script or a static one, none.
add_libraries() { # ROOT FILE
	local lib
	{ ldd "$2" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } | while read -r lib; do
		[ -e "$1$lib" ] || install -D "$lib" "$1$lib"
	done
}

add_program() { # ROOT FILE [TO]
	install -D "$2" "$1${3:-$2}"
	add_libraries "$1" "$2"
}

# The module tools of kmod: busybox's have no dry run. run_vmtests.sh and
# kselftest want bash, and a tr and a sed that pass on what they get.
native_programs() { # ROOT
	install "$(command -v busybox)" "$1/bin/busybox"
	add_program "$1" "$(command -v bash)" /bin/bash
	add_program "$1" "$(command -v kmod)" /bin/kmod
	add_program "$1" "$(command -v tr)" /bin/tr
	add_program "$1" "$(command -v sed)" /bin/gsed
}

# ldd cannot tell what these need: all libraries that came with them.
foreign_programs() { # ROOT
	local from
	from=$(userland_dir)/root
	ln -s usr/lib "$1/lib"
	[ ! -d "$from/usr/lib64" ] || ln -s usr/lib64 "$1/lib64"
	mkdir -p "$1/usr/lib"
	cp -a "$from/usr/bin/busybox" "$1/bin/busybox"
	cp -a "$from/usr/bin"/{bash,kmod,tr} "$1/bin/"
	cp -a "$from/usr/bin/sed" "$1/bin/gsed"
	(cd "$from" && find . \( -name '*.so' -o -name '*.so.*' \) ! -path '*/gconv/*' -print0 |
		cpio --quiet -0 -p -d "$1")
}

# The root that all guests of an image share.
make_root() { # IMAGE
	local root=$1/root file
	if [ "$1/root.cpio" -nt "$HARNESS/guest/init" ] &&
		[ "$1/root.cpio" -nt "$HARNESS/guest/starve.c" ] &&
		[ "$1/root.cpio" -nt "$HARNESS/guest/stall.c" ] &&
		[ "$1/root.cpio" -nt "$TOP/tools/testing/bench/guest/bench.c" ] &&
		[ "$1/root.cpio" -nt "$TOP/scripts/initramfs.sh" ]; then
		return
	fi
	rm -rf "$root"
	mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,etc,usr/bin}
	if is_native; then
		native_programs "$root"
	else
		foreign_programs "$root"
	fi
	for file in modprobe rmmod lsmod modinfo; do
		ln -s kmod "$root/bin/$file"
	done
	install "$HARNESS/guest/init" "$root/init"
	mkdir -p "$root/lib"
	cp -a "$1/lib/." "$root/lib/"
	rm -f "$root"/lib/modules/*/{build,source}
	mkdir -p "$root/kselftest/mm"
	cp -a "$1/kselftest"/{run_kselftest.sh,kselftest,kselftest-list.txt} "$root/kselftest/"
	# kselftest pipes through it; it must not buffer.
	printf '#!/bin/sh\nexec /bin/gsed -u "$@"\n' >"$root/bin/sed"
	chmod +x "$root/bin/sed"
	if [ -e "$1/mmu_notifier_bench.ko" ]; then
		install -m 644 "$1/mmu_notifier_bench.ko" "$root/"
		gcc -O2 -Wall -Werror -static -pthread -o "$root/bin/bench" "$TOP/tools/testing/bench/guest/bench.c"
	fi
	if [ -e "$1/kselftest/mm/test_mmu_notifier.sh" ]; then
		our_tests "$1" "$root"
	fi
	pack "$root" >"$1/root.cpio.part"
	mv "$1/root.cpio.part" "$1/root.cpio"
	rm -rf "$root"
}

our_tests() { # IMAGE ROOT
	local file
	for file in starve stall; do
		# The tests of the base know nothing of what this calls.
		[ "$file" != stall ] || grep "define TMN_F_TRACK" "$1/include/lib/test_mmu_notifier_uapi.h" >/dev/null || continue
		"${CROSS}gcc" -O2 -Wall -Werror -static -pthread -I"$1/include" -o "$2/bin/$file" "$HARNESS/guest/$file.c"
	done
	for file in "$1"/kselftest/mm/mmu_notifier_*; do
		if is_native; then
			add_program "$2" "$file" "/kselftest/mm/$(basename "$file")"
		else
			install "$file" "$2/kselftest/mm/"
		fi
	done
	for file in test_mmu_notifier.sh ksft_mmu_notifier.sh run_vmtests.sh settings; do
		cp -a "$1/kselftest/mm/$file" "$2/kselftest/mm/"
	done
}

# All kselftests and what they are linked with, for ./build.sh suites.
make_suites() { # IMAGE
	local root=$1/suites file
	[ ! -e "$1/suites.cpio" ] || return 0
	rm -rf "$root"
	mkdir -p "$root"
	cp -a "$1/kselftest" "$root/"
	find "$root/kselftest" -type f -perm -100 | while read -r file; do
		add_libraries "$root" "$file"
	done
	# What pthread_cancel() loads when it is called.
	file=$(gcc -print-file-name=libgcc_s.so.1)
	install -D "$file" "$root/lib/x86_64-linux-gnu/libgcc_s.so.1"
	pack "$root" >"$1/suites.cpio.part"
	mv "$1/suites.cpio.part" "$1/suites.cpio"
	rm -rf "$root"
}

pack() { # DIR
	(cd "$1" && find . -print0 | sort -z | cpio --quiet -0 -o -H newc -R 0:0)
}

# Two guests can start at the same time.
make_initramfs() { # IMAGE
	(
		flock 8
		make_root "$1"
	) 8>"$1/root.lock"
}

# The kernel takes several archives one after the other.
more_initramfs() { # IMAGE PLAN FILE...
	local more
	more=$(mktemp -d "$BUILD/more.XXXXXX")
	# It becomes the guest's root folder.
	chmod 755 "$more"
	[ $# -eq 2 ] || cp "${@:3}" "$more/"
	cat "$1/root.cpio"
	if [ "$2" = suite ]; then
		make_suites "$1" >&2
		cat "$1/suites.cpio"
		install -D -m 644 "$HARNESS/suites" "$more/etc/suites"
		install -D "$HARNESS/guest/suites" "$more/bin/suites"
	fi
	[ "$2" != nested ] || add_harness "$more" "$1"
	pack "$more"
	rm -rf "$more"
}

# For guests of this guest: this harness, what it runs, and this image.
add_harness() { # ROOT IMAGE
	local python library file dir=$1/harness image=$1/harness/build/${2#"$BUILD/"}
	is_native || die2 "guests in a guest need a machine that is $ARCH itself"
	mkdir -p "$1/bin" "$1/usr/bin" "$dir/tools/testing" "$image"
	install "$HARNESS/guest/nested" "$1/bin/nested"
	cp -r "$TOP/scripts" "$dir/"
	cp -r "$HARNESS" "$dir/tools/testing/"
	cp "$2"/{kernel,root.cpio,symbols} "$image/"
	ln -s /bin/env "$1/usr/bin/env"
	cp -r --parents /usr/lib/locale/C.utf8 "$1"
	add_program "$1" "$(command -v flock)" /bin/flock
	# Python looks for its library beside itself.
	python=$(realpath "$(python3 -c 'import sys; print(sys.executable)')")
	library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	add_program "$1" "$python"
	ln -s "$python" "$1/bin/python3"
	(cd / && find "${library#/}" \( -name test -o -name '*-packages' -o -name 'config-*' \) -prune -o -type f -print0 |
		cpio --quiet -0 -p -d "$1")
	for file in "$library"/lib-dynload/*.so; do
		add_libraries "$1" "$file"
	done
	add_program "$1" "$(command -v "${QEMU_SYSTEM[0]}")"
	for dir in $("${QEMU_SYSTEM[0]}" -L help); do
		for file in "$dir"/{bios-256k,kvmvapic,linuxboot_dma}.bin; do
			[ ! -e "$file" ] || install -D -m 644 "$file" "$1$(realpath "$dir")/${file##*/}"
		done
	done
}
