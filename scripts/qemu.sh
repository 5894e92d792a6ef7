# shellcheck shell=bash
# QEMU's command line, and whether KVM works here. Sourced, never run.

GUEST_CPUS=2
GUEST_MEMORY=1024

# QEMU takes a comma in a value for its end.
commas() { printf '%s' "${1//,/,,}"; }

channel() { # NAME DIR
	QEMU+=(-chardev "file,id=$1,path=$(commas "$2/$1"),append=on"
		-device "virtserialport,chardev=$1,name=$1")
}

qemu_command() { # ACCEL KERNEL INITRAMFS APPEND DIR
	local name
	# shellcheck disable=SC2054 # the commas are QEMU's
	QEMU=("${QEMU_SYSTEM[@]}" -nodefaults -no-user-config -display none -no-reboot
		-m "$GUEST_MEMORY" -smp "$GUEST_CPUS,sockets=$GUEST_CPUS"
		-kernel "$2" -initrd "$3"
		-append "console=$CONSOLE ignore_loglevel panic=-1 oops=panic hung_task_panic=1 softlockup_panic=1 brd.rd_size=65536 $4"
		-device "$CHANNEL")
	for name in results kmsg beat; do
		channel "$name" "$5"
	done
	# shellcheck disable=SC2054 # as well
	[ "$GUEST_CPUS" = 1 ] || QEMU+=(
		-object "memory-backend-ram,id=m0,size=$((GUEST_MEMORY / 2))M"
		-numa "node,memdev=m0,cpus=0-$((GUEST_CPUS / 2 - 1))"
		-object "memory-backend-ram,id=m1,size=$((GUEST_MEMORY / 2))M"
		-numa "node,memdev=m1,cpus=$((GUEST_CPUS / 2))-$((GUEST_CPUS - 1))")
	# shellcheck disable=SC2054 # and here
	case $1 in
	icount) QEMU+=(-accel "tcg,thread=single" -icount shift=0,align=off,sleep=off) ;;
	kvm) QEMU+=(-accel kvm) ;;
	tcg) QEMU+=(-accel tcg) ;;
	esac
}

# kvm or tcg, and why. /dev/kvm that opens proves nothing: on some machines the
# guest hangs. A boot does, and its answer is kept for this QEMU and this kernel.
choose_accel() { # KERNEL INITRAMFS
	local kept=$BUILD/accel key answer dir
	case $ACCEL in kvm | tcg | icount) echo "$ACCEL"; return ;; esac
	if ! is_native; then
		echo "tcg, as KVM cannot run $ARCH here"
		return
	elif [ ! -e /dev/kvm ]; then
		echo "tcg, as there is no /dev/kvm"
		return
	elif ! (exec 3<>/dev/kvm) 2>/dev/null; then
		echo "tcg, as /dev/kvm cannot be opened for writing: is $(id -un) in the group kvm?"
		return
	fi
	key=$({ "${QEMU_SYSTEM[0]}" --version; sha1sum <"$1"; uname -r; } | sha1sum | cut -d' ' -f1)
	if [ "$(sed -n 1p "$kept" 2>/dev/null)" != "$key" ]; then
		dir=$(mktemp -d "$BUILD/kvm.XXXXXX")
		qemu_command kvm "$1" "$2" "rdinit=/bin/busybox -- poweroff -f" "$dir"
		"$TOP/scripts/guest.py" --silently --silent 10 --stuck 10 "$dir" -- "${QEMU[@]}" -serial "file:$(commas "$dir/console")" 9>&- || true
		answer="kvm, as a guest booted with it"
		[ "$(cat "$dir/status")" = "shutdown guest-shutdown" ] ||
			answer="tcg, as /dev/kvm opens but a guest does not boot with it: $(cut -c 1-60 "$dir/status")"
		rm -rf "$dir"
		printf '%s\n%s\n' "$key" "$answer" >"$kept"
	fi
	sed -n 2p "$kept"
}
