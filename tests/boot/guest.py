"""Makes what the boot tests and ./run start: Debian's kernel, an initramfs of busybox, a GRUB CD.

Everything is made on the spot in build/guest and kept there. Nothing is installed.
As a program: guest.py DIR  makes kernel and initramfs and prints their paths.
"""
import glob
import lzma
import os
import shutil
import stat
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUSYBOX = os.environ.get("PACIFICA_BUSYBOX", "/bin/busybox")


class Missing(Exception):
    """Something that only the distribution can give is not there; the text says what to do."""


class Skipped(Exception):
    """What this host cannot show, with the reason: neither passed nor failed."""


def fetch_deb(dirname, package):
    """Downloads a package without installing it and unpacks it; returns the folder."""
    root = os.path.join(dirname, package)
    if os.path.isdir(root):
        return root
    try:
        subprocess.run(["apt-get", "download", package], cwd=dirname, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, text=True)
        deb = sorted(glob.glob(os.path.join(dirname, glob.escape(package) + "_*.deb")))[-1]
        subprocess.run(["dpkg", "-x", deb, root + ".new"], check=True)
        os.unlink(deb)
    except FileNotFoundError as e:
        raise Missing(f"{package}: there is no {e.filename} here; set PACIFICA_KERNEL to a Linux bzImage")
    except subprocess.CalledProcessError as e:
        raise Missing(f"{package}: cannot be downloaded ({(e.stderr or '').strip().splitlines()[-1:]}); "
                      "set PACIFICA_KERNEL to a Linux bzImage")
    os.rename(root + ".new", root)
    return root


def kernel(dirname):
    """Debian's kernel, or the one that PACIFICA_KERNEL names."""
    given = os.environ.get("PACIFICA_KERNEL")
    if given:
        return given
    os.makedirs(dirname, exist_ok=True)
    have = glob.glob(os.path.join(dirname, "linux-image-*", "boot", "vmlinuz-*"))
    if have:
        return sorted(have)[-1]
    try:
        out = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise Missing("linux-image-amd64: apt does not know it; set PACIFICA_KERNEL to a Linux bzImage")
    names = [line.split()[-1] for line in out.stdout.splitlines() if "Depends: linux-image-" in line]
    if not names:
        raise Missing("linux-image-amd64: apt does not know it; run apt-get update, or set PACIFICA_KERNEL")
    root = fetch_deb(dirname, names[0])
    return sorted(glob.glob(os.path.join(root, "boot", "vmlinuz-*")))[-1]


def elf_kernel(dirname):
    """The kernel that is packed inside of kernel(): it starts without unpacking itself."""
    image = kernel(dirname)
    path = os.path.join(dirname, "vmlinux")
    if newer(path, [image, __file__]):
        return path
    data = read(image)
    setup = ((data[0x1f1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", data, 0x248)
    payload = data[setup + offset:setup + offset + length]
    if payload[:6] != b"\xfd7zXZ\0":
        raise Missing(f"{image}: is not packed with xz; set PACIFICA_KERNEL to Debian's kernel")
    with open(path, "wb") as f:
        f.write(lzma.LZMADecompressor().decompress(payload))
    return path


def memtest(dirname):
    os.makedirs(dirname, exist_ok=True)
    return os.path.join(fetch_deb(dirname, "memtest86+"), "boot", "memtest86+x64.bin")


class Cpio:
    """An archive in the format that Linux unpacks as its first file system (newc)."""

    def __init__(self):
        self.out = bytearray()
        self.inode = 1

    def add(self, name, mode, data=b"", dev=(0, 0)):
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, dev[0], dev[1], len(name) + 1, 0]
        self.inode += 1
        self.out += b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        self.pad()
        self.out += data
        self.pad()

    def pad(self):
        self.out += b"\0" * (-len(self.out) % 4)

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.out)


# Drivers of disks, in the order in which they load. Debian's kernel has them as modules.
MODULES = """virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk scsi_common scsi_mod
libata ata_piix crc64 crc64_rocksoft_generic crct10dif_common crct10dif_generic crc-t10dif crc64-rocksoft t10-pi
sd_mod""".split()


def tree(dirname, names):
    """Kernel modules beside Debian's kernel, of those names: (name, path)."""
    found = {os.path.basename(p)[:-3]: p
             for p in glob.glob(os.path.join(dirname, "linux-image-*", "lib", "modules", "**", "*.ko"), recursive=True)}
    return [(m, found[m]) for m in names if m in found]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def newer(path, sources):
    return os.path.exists(path) and os.path.getmtime(path) > max(os.path.getmtime(s) for s in sources)


def archive(dirname, init):
    """busybox and an init script of this folder: the beginning of an initramfs."""
    if not os.path.exists(BUSYBOX):
        raise Missing(f"{BUSYBOX} is missing; install busybox-static, or set PACIFICA_BUSYBOX")
    c = Cpio()
    for d in ("bin", "dev", "proc", "sys", "tmp", "mnt", "root"):
        c.add(d, stat.S_IFDIR | 0o755)
    c.add("dev/console", stat.S_IFCHR | 0o600, dev=(5, 1))
    c.add("dev/null", stat.S_IFCHR | 0o666, dev=(1, 3))
    c.add("bin/busybox", stat.S_IFREG | 0o755, read(BUSYBOX))
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for a in applets:
        if a != "busybox":
            c.add("bin/" + a, stat.S_IFLNK | 0o777, b"busybox")
    c.add("init", stat.S_IFREG | 0o755, read(os.path.join(HERE, init)))
    return c


def initramfs(dirname):
    """What the tests boot: busybox, the drivers of disks, the script init."""
    os.makedirs(dirname, exist_ok=True)
    path = os.path.join(dirname, "init.cpio")
    if newer(path, [os.path.join(HERE, "init"), __file__]):
        return path
    c = archive(dirname, "init")
    c.add("modules", stat.S_IFDIR | 0o755)
    for i, (name, file) in enumerate(tree(dirname, MODULES)):
        c.add(f"modules/{i:02}-{name}.ko", stat.S_IFREG | 0o644, read(file))
    with open(path, "wb") as f:
        f.write(c.finish())
    return path


# What init-io loads besides: adapters, AHCI, CD-ROM, file systems.
IO_MODULES = MODULES + """failover net_failover virtio_net e1000 libahci ahci cdrom sr_mod isofs crc32c_generic jbd2 mbcache
crc16 ext4""".split()

# How udhcpc is told what to do with an address.
UDHCPC = b"""#!/bin/sh
[ "$1" = bound ] && ip addr add "$ip/$mask" dev "$interface" && ip route add default via "$router"
exit 0
"""


def io_initramfs(dirname, init="init-io"):
    """busybox, drivers of disks and networks, the script init-io or another."""
    os.makedirs(dirname, exist_ok=True)
    path = os.path.join(dirname, init.removeprefix("init-") + ".cpio")
    if newer(path, [os.path.join(HERE, init), __file__]):
        return path
    c = archive(dirname, init)
    c.add("udhcpc", stat.S_IFREG | 0o755, UDHCPC)
    c.add("modules", stat.S_IFDIR | 0o755)
    for i, (name, file) in enumerate(tree(dirname, IO_MODULES)):
        c.add(f"modules/{i:02}-{name}.ko", stat.S_IFREG | 0o644, read(file))
    with open(path, "wb") as f:
        f.write(c.finish())
    return path


def libraries(program):
    """The shared libraries of a program of this system, by where they go in an initramfs."""
    out = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [(("lib64/" if "ld-linux" in word else "lib/") + os.path.basename(word), word)
            for word in out.split() if word.startswith("/")]


def tpm_tools():
    """tpm2-tools with its libraries and the transport to the kernel's device."""
    program = shutil.which("tpm2")
    tcti = glob.glob("/usr/lib/*/libtss2-tcti-device.so.0")
    if not program or not tcti:
        raise Missing("tpm2 is missing; install tpm2-tools and libtss2-tcti-device0")
    return [("bin/tpm2", program), ("lib/libtss2-tcti-device.so.0", tcti[0])] + libraries(program) + libraries(tcti[0])


def tpm_initramfs(dirname, tools=False):
    """busybox and the script init-tpm; with tools Debian's tpm2-tools."""
    os.makedirs(dirname, exist_ok=True)
    path = os.path.join(dirname, f"tpm{'-tools' if tools else ''}.cpio")
    if newer(path, [os.path.join(HERE, "init-tpm"), __file__]):
        return path
    c = archive(dirname, "init-tpm")
    for d in ("lib", "lib64"):
        c.add(d, stat.S_IFDIR | 0o755)
    for name, file in dict(tpm_tools() if tools else []).items():
        c.add(name, stat.S_IFREG | 0o755, read(file))
    with open(path, "wb") as f:
        f.write(c.finish())
    return path


def kvmclient(dirname):
    """The client of KVM, linked statically."""
    return static_program(dirname, "kvmclient", ["kvmserial.h", "dev.h"])


def static_program(dirname, name, headers=()):
    """NAME.c of this folder as a program that needs nothing else."""
    path = os.path.join(dirname, name)
    sources = [os.path.join(HERE, f) for f in (name + ".c", *headers)]
    if not newer(path, sources):
        os.makedirs(dirname, exist_ok=True)
        subprocess.run(["cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-static", "-o", path, sources[0], "-lpthread"],
                       check=True)
    return path


# In the order in which they load.
KVM_MODULES = ["irqbypass", "kvm", "ccp", "kvm-amd"]


def bios():
    """64 KB that start at the reset vector, print a line in an interrupt handler, and write 0 to the exit port."""
    image = bytearray(b"\xf4" * 0x10000)
    text = b"bios: in real mode\n"
    main = bytes.fromhex("31c0 8ed8 8ed0 bc007c"  # ds = ss = 0; sp = 7C00h
                         "c70600022000 c706020200f0"  # vector 80h: F000:0020
                         "cd80 b000 e6f4 f4")  # int 80h; out F4h, 0; hlt
    handler = bytes.fromhex("0e1f be4000 b9%02x00 baf803 fc f36e cf" % len(text))  # rep outsb from cs:0040; iret
    for at, part in ((0, main), (0x20, handler), (0x40, text), (0xfff0, bytes.fromhex("ea000000f0"))):
        image[at:at + len(part)] = part
    return bytes(image)


def qemu_files():
    """What QEMU needs to run in an initramfs: the program, its libraries, a BIOS and its boot ROMs."""
    program = shutil.which("qemu-system-x86_64")
    if not program:
        raise Missing("qemu-system-x86_64 is missing; install qemu-system-x86")
    files = [("bin/qemu-system-x86_64", program)] + libraries(program)
    for name in ("bios-256k.bin", "linuxboot_dma.bin", "pvh.bin", "kvmvapic.bin"):
        at = [p for p in ("/usr/share/qemu/" + name, "/usr/share/seabios/" + name) if os.path.exists(p)]
        if not at:
            raise Missing(f"{name} is missing; install qemu-system-x86 and seabios")
        files.append(("qemu/" + name, at[0]))
    return files


def hypervisor(dirname, packed=False, levels=1, qemu=False):
    """An initramfs with KVM, its client, and the same kernel and initramfs() as guest; the kernel is the ELF file, or
    packed the bzImage. With levels=2 the guest is a hypervisor too; with qemu QEMU is there as another client."""
    os.makedirs(dirname, exist_ok=True)
    path = os.path.join(dirname, f"hypervisor{levels}{'-packed' if packed else ''}{'-qemu' if qemu else ''}.cpio")
    files = [("bin/kvmclient", kvmclient(dirname)),
             ("guest/kernel", kernel(dirname) if packed else elf_kernel(dirname)),
             ("guest/init.cpio", initramfs(dirname))]
    if levels > 1:
        files.append(("guest/hypervisor.cpio", hypervisor(dirname, packed, levels - 1)))
    if qemu:
        files += qemu_files()
    if newer(path, [os.path.join(HERE, "init-hypervisor"), __file__] + [f for _, f in files]):
        return path
    modules = tree(dirname, KVM_MODULES)
    if len(modules) != len(KVM_MODULES):
        raise Missing("the modules of KVM are not beside the kernel; unset PACIFICA_KERNEL")
    c = archive(dirname, "init-hypervisor")
    for d in ("kvm", "guest", "lib", "lib64", "qemu"):
        c.add(d, stat.S_IFDIR | 0o755)
    for i, (name, file) in enumerate(modules):
        c.add(f"kvm/{i}-{name}.ko", stat.S_IFREG | 0o644, read(file))
    for name, file in files:
        c.add(name, stat.S_IFREG | 0o755, read(file))
    c.add("guest/bios", stat.S_IFREG | 0o644, bios())
    with open(path + ".new", "wb") as f:
        f.write(c.finish())
    os.rename(path + ".new", path)
    return path


def dev_initramfs(dirname):
    """The script init-dev with the drivers of disks and networks, KVM, and a guest for it: the same kernel with init-rogue."""
    os.makedirs(dirname, exist_ok=True)
    path = os.path.join(dirname, "dev.cpio")
    files = [("bin/kvmclient", kvmclient(dirname)), ("bin/exclude", static_program(dirname, "exclude", ["dev.h"])),
             ("guest/kernel", elf_kernel(dirname)), ("guest/init.cpio", initramfs(dirname))]
    scripts = [os.path.join(HERE, s) for s in ("init-dev", "init-rogue")]
    if newer(path, scripts + [__file__] + [f for _, f in files]):
        return path
    modules = {"modules": tree(dirname, IO_MODULES), "kvm": tree(dirname, KVM_MODULES)}
    if len(modules["kvm"]) != len(KVM_MODULES):
        raise Missing("the modules of KVM are not beside the kernel; unset PACIFICA_KERNEL")
    c = archive(dirname, "init-dev")
    for d in ("guest", "modules", "kvm"):
        c.add(d, stat.S_IFDIR | 0o755)
    for d, found in modules.items():
        for i, (name, file) in enumerate(found):
            c.add(f"{d}/{i:02}-{name}.ko", stat.S_IFREG | 0o644, read(file))
    for name, file in files:
        c.add(name, stat.S_IFREG | 0o755, read(file))
    c.add("guest/rogue.cpio", stat.S_IFREG | 0o644, archive(dirname, "init-rogue").finish())
    c.add("udhcpc", stat.S_IFREG | 0o755, UDHCPC)
    with open(path + ".new", "wb") as f:
        f.write(c.finish())
    os.rename(path + ".new", path)
    return path


GRUB_CFG = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial console
set timeout=0
menuentry "linux" {
  linux /vmlinuz console=ttyS0,115200 quiet
  initrd /initrd
}
"""


def grub_cd(dirname, kernel_path, initrd_path):
    """A CD that SeaBIOS boots: GRUB, the kernel, the initramfs."""
    path = os.path.join(dirname, "grub.iso")
    if os.path.exists(path) and os.path.getmtime(path) > max(os.path.getmtime(initrd_path), os.path.getmtime(__file__)):
        return path
    tree = os.path.join(dirname, "grub-cd")
    os.makedirs(os.path.join(tree, "boot", "grub"), exist_ok=True)
    shutil.copy(kernel_path, os.path.join(tree, "vmlinuz"))
    shutil.copy(initrd_path, os.path.join(tree, "initrd"))
    with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w") as f:
        f.write(GRUB_CFG)
    try:
        subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", path, tree], check=True,
                       capture_output=True, text=True)
    except FileNotFoundError:
        raise Missing("grub-mkrescue is missing; install grub-common, grub-pc-bin, xorriso and mtools")
    except subprocess.CalledProcessError as e:
        raise Missing("grub-mkrescue failed: " + e.stderr.strip().splitlines()[-1])
    return path


if __name__ == "__main__":
    try:
        print(kernel(sys.argv[1]), initramfs(sys.argv[1]))
    except Missing as e:
        sys.exit(f"run: {e}")
