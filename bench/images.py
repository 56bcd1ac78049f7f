"""What the bench boots: Debian's kernel, an initial RAM disk with busybox and guest/work.c, the smallest multiboot
kernel (guest/start.S), and a CD with GRUB for machines that cannot load a kernel themselves. All is made below
build/.
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
