# shellcheck shell=bash
# What differs between the architectures that guests have. Sourced, never run.
# shellcheck disable=SC2034,SC2054,SC2153 # from and for who sources this; commas are QEMU's

# KARCH, CROSS, TARGET and KERNEL are the kernel's names; DEBIAN is Debian's.
arch_settings() {
	CHANNEL=virtio-serial-pci
	case $ARCH in
	x86_64)
		KARCH=x86_64 CROSS='' TARGET=bzImage KERNEL=arch/x86/boot/bzImage DEBIAN=amd64
		QEMU_SYSTEM=(qemu-system-x86_64 -machine q35 -cpu max,la57=off) CONSOLE=ttyS0
		;;
	i386)
		KARCH=i386 CROSS=i686-linux-gnu- TARGET=bzImage KERNEL=arch/x86/boot/bzImage DEBIAN=i386
		QEMU_SYSTEM=(qemu-system-i386 -machine q35 -cpu coreduo) CONSOLE=ttyS0
		;;
	arm64)
		KARCH=arm64 CROSS=aarch64-linux-gnu- TARGET=Image KERNEL=arch/arm64/boot/Image DEBIAN=arm64
		QEMU_SYSTEM=(qemu-system-aarch64 -machine virt -cpu cortex-a57) CONSOLE=ttyAMA0
		;;
	riscv64)
		KARCH=riscv CROSS=riscv64-linux-gnu- TARGET=Image KERNEL=arch/riscv/boot/Image DEBIAN=riscv64
		QEMU_SYSTEM=(qemu-system-riscv64 -machine virt,aia=aplic) CONSOLE=ttyS0
		# With two PLICs, one a node, or on PCI it does not come up.
		CHANNEL=virtio-serial-device
		;;
	esac
}

# Whether this machine runs the programs of the guest as they are.
is_native() { [ "$(dpkg --print-architecture 2>/dev/null || echo amd64)" = "$DEBIAN" ]; }

# The packages that an architecture needs besides those of scripts/packages.
arch_packages() {
	case $ARCH in
	i386) echo gcc-i686-linux-gnu libc6-dev-i386-cross ;;
	arm64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm ;;
	riscv64) echo gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-system-misc opensbi ;;
	esac
}
