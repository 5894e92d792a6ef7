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
# guest hangs. A boot does, and its answer is kept: until the machine boots again when
# nothing ever came from that guest, else for this kernel.
choose_accel() { # KERNEL INITRAMFS
	local kept=$BUILD/accel error machine kernel
	local -a answer
	case $ACCEL in kvm | tcg | icount) echo "$ACCEL"; return ;; esac
	if ! is_native; then
		echo "tcg, as KVM cannot run $ARCH here"
		return
	elif [ ! -e /dev/kvm ]; then
		echo "tcg, as there is no /dev/kvm"
		return
	elif ! error=$( (exec 3<>/dev/kvm) 2>&1); then
		echo "tcg, as /dev/kvm does not open: ${error##*: } ($(stat -c '%A, owner %U, group %G' /dev/kvm))"
		return
	fi
	machine=$({ "${QEMU_SYSTEM[0]}" --version; cat /proc/sys/kernel/random/boot_id; } | sha1sum)
	kernel=$(sha1sum <"$1")
	(
		flock 8
		mapfile -t answer < <(cat "$kept" 2>/dev/null)
		if [ "${answer[0]:-}" != "$machine" ] || [[ ${answer[1]} != any && ${answer[1]} != "$kernel" ]]; then
			answer=("$machine" "$kernel" "$(try_kvm "$@")")
			[[ ${answer[2]} != *silent* ]] || answer[1]=any
			printf '%s\n' "${answer[@]}" >"$kept"
		fi
		echo "${answer[2]}"
	) 8>"$kept.lock"
}

try_kvm() { # KERNEL INITRAMFS
	local dir status
	dir=$(mktemp -d "$BUILD/kvm.XXXXXX")
	qemu_command kvm "$1" "$2" "rdinit=/bin/busybox -- poweroff -f" "$dir"
	"$TOP/scripts/guest.py" --silently --silent 30 --stuck 30 "$dir" -- "${QEMU[@]}" -serial "file:$(commas "$dir/console")" 8>&- || true
	status=$(sed 's/;* | .*//' "$dir/status" | cut -c 1-80)
	if [ "$status" = "shutdown guest-shutdown" ]; then
		echo "kvm, as a guest booted with it"
	elif [[ $status == hung* ]] && [ ! -s "$dir/console" ]; then
		echo "tcg, as /dev/kvm opens but a guest is silent with it: $status"
	else
		echo "tcg, as /dev/kvm opens but a guest does not boot with it: $status"
	fi
	rm -rf "$dir"
}
