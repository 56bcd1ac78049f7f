"""What the bench boots: Debian's kernel, an initial RAM disk with busybox and guest/work.c, the same under a hypervisor
(guest/init-nested), the smallest multiboot kernel (guest/start.S), world switches and nothing else (guest/world.c), and a
CD with GRUB for machines that cannot load a kernel themselves. All is made below build/.
"""

import gzip
import hashlib
import os
import random
import shutil
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests", "boot"))
import guest  # noqa: E402  (the boot tests make the same things)
from guest import Missing  # noqa: E402

GUEST = os.path.join(ROOT, "build", "guest")
WORK = os.path.join(ROOT, "build", "bench")
NUMBERS = 20000


def run(argv):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
    except FileNotFoundError:
        raise Missing(f"{argv[0]} is not there: install its package") from None
    if done.returncode != 0:
        last = (done.stdout.strip() or "no output").splitlines()[-1]
        raise Missing(f"{' '.join(argv[:3])} ...: {last}")
    return done.stdout


def kernel():
    """Debian's kernel, or the one that PACIFICA_KERNEL names: the same that ./run starts."""
    path = guest.kernel(GUEST)
    if not os.path.exists(path):
        raise Missing(f"{path} is not there: give a Linux bzImage in PACIFICA_KERNEL")
    return os.path.abspath(path)


def elf_kernel():
    """The same kernel, unpacked: for machines and hypervisors that start ELF files."""
    return os.path.abspath(guest.elf_kernel(GUEST))


def compile_work():
    """guest/work.c as a static program, for the guest and for the host."""
    out = os.path.join(WORK, "work")
    run(["cc", "-std=gnu17", "-O2", "-march=x86-64", "-ffp-contract=off", "-static", "-o", out,
         os.path.join(HERE, "guest", "work.c"), "-lm"])
    return out


def start_kernel():
    obj, out = os.path.join(WORK, "start.o"), os.path.join(WORK, "start.elf")
    run(["cc", "-m32", "-c", "-o", obj, os.path.join(HERE, "guest", "start.S")])
    run(["ld", "-m", "elf_i386", "-n", "-Ttext=0x100000", "-o", out, obj])
    return out


def numbers():
    dice = random.Random(2)
    return [dice.randrange(1 << 31) for _ in range(NUMBERS)]


def lines(values):
    return "".join(f"{v}\n" for v in values).encode()


def initrd(work):
    if not os.path.exists(guest.BUSYBOX):
        raise Missing(f"{guest.BUSYBOX} is not there: install busybox-static, or set PACIFICA_BUSYBOX")
    with open(guest.BUSYBOX, "rb") as f:
        busybox = f.read()
    with open(work, "rb") as f:
        init = f.read()
    archive = guest.Cpio()
    for name in ("bin", "dev", "tmp"):
        archive.add(name, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, dev=(5, 1))
    archive.add("dev/null", stat.S_IFCHR | 0o666, dev=(1, 3))
    archive.add("dev/zero", stat.S_IFCHR | 0o666, dev=(1, 5))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, busybox)
    archive.add("init", stat.S_IFREG | 0o755, init)
    archive.add("numbers", stat.S_IFREG | 0o644, lines(numbers()))
    out = os.path.join(WORK, "initrd.gz")
    with open(out, "wb") as f:
        f.write(gzip.compress(archive.finish(), 6, mtime=0))
    return out


def nested_initrd(ramdisk):
    """A hypervisor whose guest is the same kernel with that RAM disk."""
    modules = guest.tree(GUEST, guest.KVM_MODULES)
    if len(modules) != len(guest.KVM_MODULES):
        raise Missing("the modules of KVM are not beside the kernel: unset PACIFICA_KERNEL")
    archive = guest.archive(GUEST, os.path.join(HERE, "guest", "init-nested"))
    for name in ("kvm", "guest"):
        archive.add(name, stat.S_IFDIR | 0o755)
    files = [(f"kvm/{i}-{name}.ko", path) for i, (name, path) in enumerate(modules)]
    files += [("bin/kvmclient", guest.kvmclient(GUEST)), ("guest/kernel", elf_kernel()), ("guest/init.cpio", ramdisk)]
    for name, path in files:
        archive.add(name, stat.S_IFREG | 0o755, guest.read(path))
    out = os.path.join(WORK, "nested.cpio")
    with open(out, "wb") as f:
        f.write(archive.finish())
    return out


def world_image(items, rounds):
    """guest/world.c on the runtime of the tests' images; items: what its head comment says."""
    rt, svm = (os.path.join(ROOT, "tests", "guest", d) for d in ("rt", "svm"))
    elf, out = os.path.join(WORK, f"world{items}.elf"), os.path.join(WORK, f"world{items}.img")
    run(["cc", "-std=gnu17", "-O1", "-m64", "-mno-red-zone", "-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-pie",
         "-fno-stack-protector", "-fcf-protection=none", "-mgeneral-regs-only", "-fno-asynchronous-unwind-tables",
         "-fno-strict-aliasing", "-fno-builtin", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096",
         "-Wl,--no-warn-rwx-segments", "-I", rt, "-I", svm, "-T", os.path.join(rt, "rt.ld"), f"-DITEMS={items}",
         f"-DROUNDS={rounds}", "-o", elf, os.path.join(HERE, "guest", "world.c"), os.path.join(svm, "svm.c"),
         os.path.join(svm, "switch.S"), *(os.path.join(rt, f) for f in ("start64.S", "ap.S", "rt.c"))])
    run(["objcopy", "-O", "elf32-i386", elf, out])
    return out


def cd(vmlinuz, ramdisk, append):
    """A CD whose GRUB starts the kernel at once and says so on the serial port."""
    tree = os.path.join(WORK, "cd")
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(os.path.join(tree, "boot", "grub"))
    shutil.copy(vmlinuz, os.path.join(tree, "vmlinuz"))
    shutil.copy(ramdisk, os.path.join(tree, "initrd.gz"))
    with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w", encoding="ascii") as f:
        f.write("serial --unit=0 --speed=115200\nterminal_output serial\n"
                f"linux /vmlinuz {append}\ninitrd /initrd.gz\necho @@ kernel\nboot\n")
    out = os.path.join(WORK, "bench.iso")
    run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", out, tree])
    return out


def expected(work, scale):
    """What each item must yield: {item: text after its name in the result mark}."""
    def hexa(full):
        return f"{max(full * scale // 100, 1):x}"

    zeros = hashlib.sha256()
    for _ in range(int(hexa(64), 16)):
        zeros.update(bytes(1 << 20))
    listing = f"{zeros.hexdigest()}  /tmp/zeros\n".encode()
    out = {
        "fork": hexa(200),
        "sha": f"1 {hashlib.sha256(listing).hexdigest()}",
        "sort": f"1 {hashlib.sha256(lines(sorted(numbers()))).hexdigest()}",
    }
    for name in ("float", "int", "getppid", "read"):
        out[name] = run([work, name, str(scale)]).strip()
    return out
