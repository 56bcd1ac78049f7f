"""Tests in which Linux keeps devices out of memory by DEV. As boots.py."""
import contextlib
import json
import os
import re
import struct

import boots
import boots_io
import guest

TABLE = 0x18000000
APPEND = f"console=ttyS0 quiet nokaslr rootfstype=ramfs memmap=1M${TABLE:#x} table={TABLE:#x} "


def _run(ctx, words, args, seconds=180, status=0):
    log, stats = ctx.path("dev.log"), ctx.path("stats.json")
    for f in (log, stats):
        with contextlib.suppress(FileNotFoundError):
            os.remove(f)
    r = boots._run(ctx, ["-kernel", guest.elf_kernel(ctx.guest), "-initrd", guest.dev_initramfs(ctx.guest), "-nographic",
                         "-no-reboot", "-cpu", "max", "-m", "512", "-append", APPEND + words, "-d", "dev", "-D", log,
                         "-stats", stats, *args], seconds)
    with open(log) as f:
        r.log = f.read()
    with open(stats) as f:
        r.dev = json.load(f)["dev"][0]
    if status == 0:
        r.line("dev: sha256 of 1 MB of zeros 30e14955ebf13522")
        r.line("dev: end")
    assert r.status == status, f"status {r.status}: {r.err}"
    return r


def _version_text(ctx):
    """Where in memory the kernel has the text of which /proc/version is made, when it is not moved."""
    with open(guest.elf_kernel(ctx.guest), "rb") as f:
        data = f.read()
    at = data.index(b"%s version %s (") + 3
    first, = struct.unpack_from("<Q", data, 32)
    count, = struct.unpack_from("<H", data, 56)
    for n in range(count):
        kind, _, offset, _, physical, size, *_ = struct.unpack_from("<IIQQQQQQ", data, first + 56 * n)
        if kind == 1 and offset <= at < offset + size:
            return physical + at - offset
    raise AssertionError("the kernel has no such text")


def _rogue(ctx, words):
    target = _version_text(ctx)
    r = _run(ctx, f"guest=0000:00:05.0 target={target:#x} {words}", ["-m", "1G", "-device", "pacifica-dma,addr=5"], 300)
    r.line("dev: version before: Linux version ")
    r.line("rogue: device 0x50440100")
    r.line("rogue: own memory: status 0x00000002, there is 0x20212144454E5750")
    # Everything else goes on: the guest itself, its neighbour, the hypervisor.
    r.line("rogue: sha256 of 1 MB of zeros 30e14955ebf13522")
    r.line("dev: rogue ended with status 0")
    r.line("guest: sha256 of 1 MB of zeros 30e14955ebf13522")
    r.line("dev: neighbour ended with status 0")
    return r, target


def a_guest_s_device_that_writes_to_its_hypervisor_is_stopped_and_all_else_goes_on(ctx):
    r, target = _rogue(ctx, "")
    r.line("rogue: read of the target: status 0x00000006, got 0xFFFFFFFF 0xFFFFFFFF")
    r.line("rogue: write to the target: status 0x00000006")
    r.line("rogue: write to the table: status 0x00000006")
    r.line("rogue: write to the northbridge: status 0x00000006")
    r.line("dev: version after: Linux version ")
    r.line(f"exclude: error e0000029 at {target & ~3:x}")  # valid, overflow, address; DRAM, a device, a read
    at = r"^dev \d+ ns: node 0 00:05\.0 unit 5 domain 1 "
    for what in (f"read {target:x} length 8: excluded by the table", f"write {target:x} length 8: excluded by the table",
                 f"write {TABLE:x} length 8: excluded by the table", "write c3f8 length 4: configuration space"):
        assert len(re.findall(at + what, r.log, re.M)) == 1, r.log
    assert r.dev["denials_by_domain"] == [0, 3, 0, 0, 0, 0, 0, 0] and r.dev["denials_configuration"] == 1, r.dev
    assert r.dev["checks"] > 4 and 2 <= r.dev["table_lines"] <= 4, r.dev  # two or three lines of the table were needed


def a_guest_s_device_overwrites_its_hypervisor_where_no_dev_holds_it_back(ctx):
    r, _ = _rogue(ctx, "dev=off")
    r.line("rogue: write to the target: status 0x00000002")
    r.line("rogue: write to the northbridge: status 0x00000006")  # this never passes
    r.line("dev: version after: Linux PWNED!! ")
    assert "excluded by the table" not in r.log


def _disk(ctx, name):
    path = ctx.path(name)
    with open(path, "wb") as f:
        f.truncate(1 << 20)
    return path


def disks_whose_buffers_are_excluded_report_errors_and_work_again_afterwards(ctx):
    # One to be read and one to be written of each kind: after many errors Linux goes on without DMA on IDE.
    ide, sata, virtio = ([_disk(ctx, kind + how) for how in "rw"] for kind in ("ide", "sata", "virtio"))
    args = [*boots_io.AHCI, *boots_io._sata(sata[0], 0), *boots_io._sata(sata[1], 1)]
    for interface, files in (("ide", ide), ("virtio", virtio)):
        for f in files:
            args += ["-drive", f"file={f},format=raw,if={interface}"]
    r = _run(ctx, "read=sda,sdc,vda write=sdb,sdd,vdb", args)
    for how, disks in (("read", ("sda", "sdc", "vda")), ("write", ("sdb", "sdd", "vdb"))):
        for d in disks:
            r.line(f"exclude: /dev/{d} before: done")
            r.line(f"exclude: /dev/{d} {how}: Input/output error, buffer as it was")
            r.line(f"exclude: /dev/{d} afterwards: done, disk as it was")
            r.line(f"exclude: /dev/{d} again: done and done, as written")
    for f in ide + sata + virtio:
        with open(f, "rb") as image:
            assert image.read(65536) == b"\x44" * 65536, f


def adapters_that_are_excluded_move_nothing_and_work_again_afterwards(ctx):
    with boots_io._http() as port:
        r = _run(ctx, f"nets=eth0:0000:00:05.0,eth1:0000:00:06.0 net=10.0.2.2:{port}",
                 ["-netdev", "user,id=a", "-device", "virtio-net-pci,netdev=a,addr=5", "-netdev", "user,id=b", "-device",
                  "e1000,netdev=b,addr=6"])
    right, nothing = boots_io._digest(boots_io.FILE), boots_io._digest(b"")
    for name in ("eth0", "eth1"):
        r.line(f"dev: {name} before: {right}")
        r.line(f"dev: {name} excluded: {nothing}")
        r.line(f"dev: {name} afterwards: {right}")
    r.line("dev: eth0 device status 0x0000004f")  # DEVICE_NEEDS_RESET
    for unit in (5, 6):
        assert re.search(rf"node 0 00:0{unit}\.0 unit {unit} domain 1 (read|write) .* excluded by the table", r.log), r.log[:2000]


def a_denial_that_is_a_machine_check_stops_linux_which_finds_it_in_the_bank_after_the_reset(ctx):
    disk = ["-drive", f"file={_disk(ctx, 'disk')},format=raw,if=virtio"]
    with boots._started(ctx, ["-kernel", guest.elf_kernel(ctx.guest), "-initrd", guest.dev_initramfs(ctx.guest), "-cpu", "max",
                              "-m", "512", "-append", APPEND + "check=vda mce=bootlog panic=1", "-display", "none", "-serial", "stdio",
                              *disk]) as (p, _):
        out = boots._wait_for(p, b"CPU 0: Machine Check: 0 Bank 4", 1, 240 * ctx.factor).decode(errors="replace")
    first, _, second = out.partition("Kernel panic")
    # In the first run the banks are accepted as they are, and the denial is fatal: uncorrected, in the kernel.
    assert "dev: begin" in first and not re.search("mce: .*(Unable|unknown|disabled|bogus|WARNING)", first), first
    status = re.search("CPU 0: Machine Check Exception: 5 Bank 4: ([0-9a-f]{16})", first)
    assert status and int(status[1], 16) >> 16 & 0x1f == 9, first  # a DEV error
    assert re.search("RIP .*TSC [0-9a-f]+ ADDR [0-9a-f]+000", first, re.S), first
    assert re.search("CPU 0: Machine Check: 0 Bank 4: " + status[1], second), second
