#!/usr/bin/env python3
"""bootsector.py PACIFICA: what SeaBIOS boots, by disks whose boot sectors end the machine with a number of their own."""
import os
import subprocess
import sys
import tempfile

pacifica = os.path.abspath(sys.argv[1])
EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


def sector(code):
    return code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20)


def run(folder, *options):
    """The number with which the machine ended; below 0: another status."""
    p = subprocess.run([pacifica, "-m", "64", "-display", "none", "-serial", "null", "-monitor", "none", "-no-reboot",
                        "-limit", "3000000000", *EXIT, *options], cwd=folder, stdin=subprocess.DEVNULL, timeout=60,
                       stderr=subprocess.PIPE, check=False)
    return p.returncode // 2 if p.returncode & 1 else -p.returncode


def drive(n, *more):
    return ["-drive", ",".join([f"file={n}.img,format=raw", *more])]


def named(*numbers):
    return [word for n in numbers for word in drive(n, "if=none", f"id=d{n}")]


def boot_order(d):
    for n in (1, 2, 3):
        with open(os.path.join(d, f"{n}.img"), "wb") as f:
            f.write(sector(bytes([0xb0, n, 0xe6, 0xf4, 0xf4])))  # mov al, n; out 0xf4, al; hlt
    ide1, ide2, virtio = "ide-hd,drive=d1", "ide-hd,drive=d2", "virtio-blk-pci,drive=d3"
    for want, options in [
            (1, named(1, 2, 3) + ["-device", ide1, "-device", ide2, "-device", virtio]),
            (2, named(1, 2, 3) + ["-device", ide1, "-device", ide2 + ",bootindex=1", "-device", virtio]),
            (3, named(1, 2, 3) + ["-device", ide1, "-device", ide2 + ",bootindex=9", "-device", virtio + ",bootindex=2"]),
            (2, named(1, 2, 3) + ["-device", ide1, "-device", ide2 + ",bootindex=2", "-device", virtio + ",bootindex=9"]),
            (2, drive(1, "bootindex=7") + drive(2, "bootindex=5") + drive(3, "if=virtio")),
            (3, drive(1) + drive(2) + drive(3, "if=virtio", "bootindex=0")),
            (2, named(2) + drive(1) + ["-numa", "node", "-numa", "node", "-smp", "2",
                                       "-device", "virtio-blk-pci,drive=d2,bus=pci.1,bootindex=0"]),
            (-2, drive(1, "bootindex=1") + drive(2, "bootindex=1")),
            (-2, named(1) + ["-device", ide1 + ",bootindex=first"])]:
        have = run(d, *options)
        assert have == want, f"{have}, should be {want}: {' '.join(options)}"


def no_timer(d):
    with open(os.path.join(d, "pit.img"), "wb") as f:
        f.write(sector(bytes([0xe4, 0x40, 0xe6, 0xf4, 0xf4])))  # in al, 0x40; out 0xf4, al; hlt
    have = [run(d, *drive("pit"), "-machine", f"pc,pit={s}") for s in ("on", "off")]
    assert have[0] != 127 and have[1] == 127, have


with tempfile.TemporaryDirectory() as folder:
    for test in (boot_order, no_timer):
        test(folder)
        print("ok:", test.__name__)
