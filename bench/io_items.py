"""The bench's I/O items: a disk read and written in sequence, a TCP stream in and out, by each kind of device; and the same
with DEV on and a table that covers everything (pacifica alone has one). The guest's side is guest/init-io and guest/io.c; the
other end of the streams is here, in the bench's own process.
"""

import contextlib
import os
import random
import socket
import stat
import threading

import images
import machines

DISK_MB, NET_MB = 512, 64
TABLE = 0x18000000
DISK = ["-drive", "file={disk},format=raw,if=none,id={kind}"]
NET = ["-netdev", "user,id={kind}"]
KINDS = {  # the device's number on bus 0, the machine's options
    "virtio": (5, [*DISK, "-device", "virtio-blk-pci,drive=virtio,addr=5"]),
    "ahci": (6, ["-device", "ahci,id=sata,addr=6", *DISK, "-device", "ide-hd,drive=ahci,bus=sata.0"]),
    "vnet": (7, [*NET, "-device", "virtio-net-pci,netdev=vnet,addr=7"]),
    "e1000": (8, [*NET, "-device", "e1000,netdev=e1000,addr=8"]),
}
WORDS = {"read": f"{DISK_MB} MB read", "write": f"{DISK_MB} MB written", "in": f"{NET_MB} MB received", "out": f"{NET_MB} MB sent"}
NAMES = {"virtio": "virtio-blk", "ahci": "AHCI", "vnet": "virtio-net", "e1000": "e1000"}


def _works(kind):
    return ("read", "write") if kind in ("virtio", "ahci") else ("in", "out")


ITEMS = {f"{dev}{kind}-{work}": f"{WORDS[work]}, {NAMES[kind]}{', DEV on' if dev else ''}"
         for kind in KINDS for dev in ("", "dev-") for work in _works(kind)}
DEV_LIMIT = 0.05


def _megabytes(kind, scale):
    return max((DISK_MB if kind in ("virtio", "ahci") else NET_MB) * scale // 100, 1)


def initrd():
    """busybox, the drivers, init-io and its programs."""
    guest = images.guest
    archive = guest.archive(images.GUEST, os.path.join(images.HERE, "guest", "init-io"))
    archive.add("modules", stat.S_IFDIR | 0o755)
    for i, (name, path) in enumerate(guest.tree(images.GUEST, guest.IO_MODULES)):
        archive.add(f"modules/{i:02}-{name}.ko", stat.S_IFREG | 0o644, guest.read(path))
    program = os.path.join(images.WORK, "io")
    images.run(["cc", "-std=gnu17", "-O2", "-static", "-o", program, os.path.join(images.HERE, "guest", "io.c")])
    for name, path in (("io", program), ("exclude", guest.static_program(images.GUEST, "exclude", ["dev.h"]))):
        archive.add("bin/" + name, stat.S_IFREG | 0o755, guest.read(path))
    out = os.path.join(images.WORK, "io.cpio")
    with open(out, "wb") as f:
        f.write(archive.finish())
    return out


def disk(kind):
    """An image without holes, which stays in the host's page cache."""
    out = os.path.join(images.WORK, f"disk-{kind}.img")
    piece = random.Random(3).randbytes(1 << 20)
    with open(out, "wb") as f:
        for _ in range(DISK_MB):
            f.write(piece)
    return out


def _give(c, megabytes):
    for _ in range(megabytes):
        c.sendall(bytes(1 << 20))


def _take(c, _):
    while c.recv(1 << 20):
        pass


def _listen(serve, megabytes):
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            with c, contextlib.suppress(OSError):
                serve(c, megabytes)

    threading.Thread(target=run, daemon=True).start()
    return listener


@contextlib.contextmanager
def prepared(scale, wanted):
    """What task() needs, once for all rounds."""
    kinds = [k for k in KINDS if any(i.removeprefix("dev-").startswith(k + "-") for i in wanted)]
    megabytes = _megabytes("vnet", scale)
    disks = {k: disk(k) for k in kinds if k in ("virtio", "ahci")}
    try:
        with _listen(_give, megabytes) as give, _listen(_take, megabytes) as take:
            yield {"initrd": initrd(), "disks": disks, "scale": scale, "kinds": kinds,
                   "ports": f"{give.getsockname()[1]}:{take.getsockname()[1]}"}
    finally:
        for path in disks.values():
            os.unlink(path)


def task(machine, img, there, wanted):
    """(items, how to start, results) of a boot that does all of them."""
    args, words, eth = [], [], 0
    for kind in there["kinds"]:
        unit, options = KINDS[kind]
        args += [o.format(kind=kind, disk=there["disks"].get(kind)) for o in options]
        megabytes = _megabytes(kind, there["scale"])
        if kind in there["disks"]:
            words.append(f"{kind}:{unit}:{megabytes}:{'vda' if kind == 'virtio' else 'sda'}")
        else:
            words.append(f"{kind}:{unit}:{megabytes}:eth{eth}")
            eth += 1
    mine = machine.name == "pacifica"
    append = (f"{machines.APPEND} memmap=1M${TABLE:#x} io={','.join(words)} ports={there['ports']}"
              + (f" table={TABLE:#x}" if mine and any(i.startswith("dev-") for i in wanted) else ""))
    # Both with and without DEV on a processor that has it.
    args = ["-m", str(machines.RAM_MB), "-nographic", "-kernel", img.elf_kernel, "-initrd", there["initrd"], "-append", append,
            *(["-cpu", "max"] if mine else []), *args]
    expected = {f"{dev}{kind}-{work}": str(_megabytes(kind, there["scale"])) for kind in there["kinds"] for work in _works(kind)
                for dev in (("", "dev-") if "table=" in append else ("",))}
    return set(expected), lambda: machine.started(args), expected


def verdicts(results, wanted):
    """Throughput by CPU time, and what DEV takes of it."""
    out = []
    for item in (i for i in ITEMS if i in wanted and not i.startswith("dev-")):
        loss = results.loss("pacifica", "dev-" + item, item)
        if loss is not None:
            out.append(f"{item} {loss:+.1%}")
    return [f"longer with DEV on and a full table (CPU time, limit {DEV_LIMIT:.0%}): {', '.join(out)}"] if out else []
