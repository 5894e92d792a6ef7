# shellcheck shell=bash
# Starts QEMU and waits for it. Sourced, never run.

GUEST_CPUS=2
GUEST_MEMORY=1024

qemu_command() { # ACCEL KERNEL INITRAMFS APPEND RESULTS
	# shellcheck disable=SC2054 # the commas are QEMU's
	QEMU=("${QEMU_SYSTEM[@]}" -nodefaults -no-user-config -display none -no-reboot
		-m "$GUEST_MEMORY" -smp "$GUEST_CPUS,sockets=$GUEST_CPUS"
		-device "$CHANNEL"
		-chardev "file,id=results,path=$5"
		-device virtserialport,chardev=results,name=results
		-kernel "$2" -initrd "$3"
		-append "console=$CONSOLE panic=-1 oops=panic hung_task_panic=1 softlockup_panic=1 brd.rd_size=65536 $4")
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

# kvm or tcg. /dev/kvm that opens proves nothing: on some machines the guest
# hangs. A boot that ends within the limit does, and the answer is kept.
choose_accel() { # KERNEL INITRAMFS
	local answer=$BUILD/accel
	case $ACCEL in kvm | tcg | icount) printf '%s' "$ACCEL"; return ;; esac
	if [ ! -w /dev/kvm ] || ! is_native; then
		printf tcg
		return
	fi
	if [ ! -e "$answer" ]; then
		qemu_command kvm "$1" "$2" "quiet rdinit=/bin/busybox -- poweroff -f" /dev/null
		if timeout -k 1 20 "${QEMU[@]}" -serial none >/dev/null 2>&1 9>&-; then
			echo kvm >"$answer"
		else
			echo tcg >"$answer"
		fi
	fi
	cat "$answer"
}

# How much longer things take than with KVM.
time_scale() { case $1 in kvm) echo 1 ;; *) echo 5 ;; esac; }
