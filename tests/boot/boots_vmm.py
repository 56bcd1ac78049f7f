"""Tests of the bundled hypervisor (vmm/) and its guests. As boots.py."""
import os
import re
import shutil
import subprocess
import time

import boots
import boots_io
import guest

QUIET = "append = console=ttyS0 quiet\n"


def _image(ctx, name):
    return os.path.join(os.path.dirname(ctx.program), "tests", "vmm", name + ".img")


def _vmm(ctx):
    return os.path.join(os.path.dirname(ctx.program), "vmm", "vmm")


def _args(ctx, config, modules, extra=(), kernel=None):
    ini = ctx.path("vmm.ini")
    with open(ini, "w") as f:
        f.write("[host]\nend = off\n" + config)
    return ["-kernel", kernel or _vmm(ctx), "-initrd", ",".join([ini] + modules), "-cpu", "max", "-m", "1G", *extra]


def _run(ctx, config, modules, extra=(), seconds=180, kernel=None):
    args = _args(ctx, config, modules, extra, kernel) + ["-nographic", "-no-reboot"]
    r = boots._run(ctx, args, seconds)
    r.line("vmm: no guest runs any more")
    assert r.status == 0, f"status {r.status}: {r.err}"
    free = re.findall(r"vmm: node (\d+): (\d+) KB free", r.out)
    half = len(free) // 2
    assert half and free[:half] == free[half:], f"memory was lost: {free}"
    return r


def _linux(ctx, packed=False):
    """Kernel and initrd as modules, and their names."""
    kernel = guest.kernel(ctx.guest) if packed else guest.elf_kernel(ctx.guest)
    initrd = guest.initramfs(ctx.guest)
    return [kernel, initrd], f"kernel = {os.path.basename(kernel)}\ninitrd = {os.path.basename(initrd)}\n{QUIET}"


def _guest(name, cpus, memory, more):
    return f"[guest {name}]\ncpus = {cpus}\nmemory = {memory}\n{more}\n"


def _linux_ran(r, name, cpus=1):
    """Linux's lines came, and no other end than the one by itself."""
    lines = "\n".join(re.findall(rf"^{name}\| (.*?)\r?$", r.out, re.M))
    for want in (f"guest: cpus {cpus}\\b", "guest: sha256 of 1 MB of zeros 30e14955ebf13522", "guest: awk 7.485470860550", "guest: end"):
        assert re.search(want, lines), f"{name} did not say {want}:\n{r.out[-2500:]}"
    r.line(f"vmm: guest {name} stopped: powered off")


STAGES = ["real mode", "ticks in real mode", "protected mode", "two levels of paging", "PAE", "compatibility mode", "long mode",
          "real mode again"]


def _disk_ran(r, name):
    assert re.findall(rf"^{name}\| boot: (.*?)\r?$", r.out, re.M) == STAGES, r.out[-2500:]
    r.line(f"vmm: guest {name} stopped: powered off")


def the_hypervisor_boots_linux_with_nested_paging(ctx):
    modules, config = _linux(ctx)
    _linux_ran(_run(ctx, _guest("linux", 0, "256M", config), modules), "linux")


def the_hypervisor_boots_linux_with_shadow_paging(ctx):
    modules, config = _linux(ctx)
    _linux_ran(_run(ctx, _guest("linux", 0, "256M", config + "paging = shadow"), modules), "linux")


def the_hypervisor_boots_a_packed_kernel(ctx):
    modules, config = _linux(ctx, packed=True)
    _linux_ran(_run(ctx, _guest("linux", 0, "256M", config), modules), "linux")


def the_hypervisor_flushes_at_each_switch_and_linux_boots(ctx):
    modules, config = _linux(ctx)
    for paging in ("nested", "shadow"):
        _linux_ran(_run(ctx, _guest("linux", 0, "256M", config + f"asid = off\npaging = {paging}"), modules), "linux")


def the_hypervisor_boots_linux_with_4_virtual_cpus(ctx):
    modules, config = _linux(ctx)
    for paging, cpus in (("nested", "0-3"), ("shadow", "0-3"), ("nested", "0,0,1,1")):
        r = _run(ctx, _guest("linux", cpus, "256M", config + f"paging = {paging}"), modules, ["-smp", "4"])
        _linux_ran(r, "linux", 4)


def _three(ctx, cpus, extra):
    modules, config = _linux(ctx)
    disk = _image(ctx, "bootsector")
    r = _run(ctx, _guest("one", cpus[0], "256M", config) + _guest("two", cpus[1], "256M", config + "paging = shadow") +
             _guest("legacy", cpus[2], "16M", "boot = bootsector.img\npaging = shadow\nasid = off"), modules + [disk], extra)
    _linux_ran(r, "one")
    _linux_ran(r, "two")
    _disk_ran(r, "legacy")
    return r


def two_linux_guests_and_a_real_mode_guest_share_one_cpu(ctx):
    _three(ctx, (0, 0, 0), [])


def two_linux_guests_and_a_real_mode_guest_run_on_four_nodes(ctx):
    r = _three(ctx, (0, 1, 3), ["-smp", "4,nodes=4", "-m", "2G"])
    r.line("vmm: 4 CPUs, 4 nodes")
    for n, name in ((0, "one"), (1, "two"), (3, "legacy")):
        r.line(f"{name}: running, cpu {n}, .* on node {n}")


def a_disk_goes_from_real_mode_to_long_mode_in_paged_real_mode_and_nested(ctx):
    r = _run(ctx, _guest("shadow", 0, "16M", "boot = bootsector.img\npaging = shadow") +
             _guest("nested", 0, "16M", "boot = bootsector.img"), [_image(ctx, "bootsector")], seconds=30)
    _disk_ran(r, "shadow")
    _disk_ran(r, "nested")


def the_hypervisor_starts_by_multiboot_2(ctx):
    image = ctx.path("vmm2")
    with open(_vmm(ctx), "rb") as f:
        data = f.read()
    magic = (0x1BADB002).to_bytes(4, "little")
    assert data.count(magic) >= 1
    with open(image, "wb") as f:
        f.write(data.replace(magic, bytes(4), 1))  # no multiboot 1 any more
    # Multiboot 2 gives a module's arguments, not its file: its name is the first of them.
    args = _args(ctx, _guest("disk", 0, "16M", "boot = bootsector.img"), [_image(ctx, "bootsector") + " bootsector.img"], kernel=image)
    args[args.index("-initrd") + 1] = args[args.index("-initrd") + 1].replace("vmm.ini,", "vmm.ini vmm.ini,")
    r = boots._run(ctx, args + ["-nographic", "-no-reboot"], 30)
    _disk_ran(r, "disk")


def a_multiboot_image_is_a_guest(ctx):
    # The hypervisor itself: as a guest it finds no SVM and says so.
    r = _run(ctx, _guest("inner", 0, "32M", "kernel = vmm"), [_vmm(ctx)], seconds=30)
    r.line(r"inner\| vmm: fatal: this CPU has no SVM")
    r.line("vmm: guest inner stopped: halted with interrupts off")


def a_guest_that_triple_faults_is_stopped_and_the_rest_goes_on(ctx):
    for paging in ("nested", "shadow"):
        r = _run(ctx, _guest("bad", 0, "16M", f"boot = triple.img\npaging = {paging}") +
                 _guest("good", 0, "16M", "boot = bootsector.img"), [_image(ctx, "triple"), _image(ctx, "bootsector")], seconds=30)
        r.line(r"vmm: guest bad stopped: triple fault")
        r.line(r"vmm:   rip 0000000000007c1f .*\r?\n.* rbx 000000000000dead")
        _disk_ran(r, "good")


def mistakes_in_the_configuration_are_one_line_each_and_the_rest_goes_on(ctx):
    disk = "boot = bootsector.img"
    config = (_guest("nocpus", "", "64M", disk) + _guest("far", 9, "64M", disk) + _guest("big", 0, "64G", disk) +
              _guest("key", 0, "64M", disk + "\ncolor = red") + _guest("module", 0, "64M", "boot = nothing.img") +
              _guest("both", 0, "64M", disk + "\nkernel = vmm") + _guest("good", 0, "16M", disk) + "[nonsense]\n")
    r = _run(ctx, config, [_image(ctx, "bootsector")], seconds=30)
    for want in ("line 4: cpus =: CPU numbers", "line 19: color = red: no such key", r"line 24: both: it must have either",
                 r"line \d+: \[nonsense\]: \[host\] or \[guest NAME\]", r"guest far \(line 7\) is not started: it names a CPU",
                 r"guest big \(line 11\) is not started: there is not enough memory",
                 r"guest module \(line \d+\) is not started: there is no module"):
        r.line(want)
    for name in ("nocpus", "far", "big", "key", "module", "both"):
        assert len(re.findall(rf"guest {name} .*is not started", r.out)) == 1, r.out[-3000:]
        assert f"{name}: running" not in r.out
    _disk_ran(r, "good")


def a_guest_is_started_and_destroyed_1000_times_and_no_page_is_lost(ctx):
    config = _guest("shadow", 0, "4M", "boot = triple.img\npaging = shadow\ntimes = 500")
    config += _guest("nested", "1,0", "4M", "boot = triple.img\ntimes = 500")
    r = _run(ctx, config, [_image(ctx, "triple")], ["-smp", "2"], seconds=60)
    assert r.out.count("| triple: begin") == 1000, r.out.count("| triple: begin")


class _Console:
    """The hypervisor with somebody at its console."""

    def __init__(self, ctx, args):
        self.out, self.factor = "", ctx.factor
        self.p = subprocess.Popen([ctx.program, *args, "-display", "none", "-serial", "stdio", "-no-reboot"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.p.stdout.fileno(), False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.kill()
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait()

    def keys(self, text):
        self.p.stdin.write(text.encode())
        self.p.stdin.flush()

    def next(self, pattern, seconds):
        """What the pattern finds in what was not yet looked at; None if it does not come."""
        until = time.time() + seconds * self.factor
        while True:
            m = re.search(pattern, self.out)
            if m:
                self.out = self.out[m.end():]
                return m.group(0)
            if time.time() > until:
                return None
            if boots._readable(self.p.stdout):
                part = os.read(self.p.stdout.fileno(), 65536)
                assert part, f"ended without: {pattern}\n{self.out[-1500:]}"
                self.out += part.decode(errors="replace")

    def wait(self, pattern):
        found = self.next(pattern, 30)
        assert found is not None, f"not seen: {pattern}\n{self.out[-1500:]}"
        return found


def the_keys_switch_stop_reset_and_destroy_guests(ctx):
    config = _guest("first", 0, "4M", "boot = wait.img") + _guest("second", 0, "4M", "boot = wait.img\npaging = shadow")
    with _Console(ctx, _args(ctx, config, [_image(ctx, "wait")])) as c:
        c.wait(r"first\| wait: ready")
        c.keys("\x011")
        c.wait("console of second")
        c.keys("abc")
        c.wait("abc")  # as it comes, without a name
        c.keys("\x01s")
        c.wait("1 second: paused")
        c.keys("def\x01l")
        c.wait("0 first: running.*\r\n.*1 second: paused")
        c.keys("\x01s")
        c.wait("1 second: running")
        c.wait("def")
        c.keys("\x01x")
        c.wait(r"second cpu 0: \d+ exits")
        c.wait(r"\d+ VMMCALL")
        c.keys("\x01r")
        c.wait("guest second is reset")
        c.wait("wait: ready")
        c.keys("r")  # by itself
        c.wait("guest second is reset")
        c.wait("wait: ready")
        c.keys("\x01d")
        c.wait("guest second is destroyed")
        c.keys("\x01l")
        c.wait("0 first: running")
        c.keys("\x010q")
        c.wait("guest first stopped: powered off")
        c.wait("vmm: no guest runs any more")
        assert c.p.wait(20) == 0


def _qemu(ctx, args):
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise guest.Skipped("there is no qemu-system-x86_64 to compare with; install qemu-system-x86 (10.0 or later)")
    inner = boots.Context(os.path.dirname(ctx.program), ctx.factor)
    inner.program = qemu
    args[args.index("max")] = "EPYC,+svm"
    return boots._run(inner, args + ["-nographic", "-no-reboot"], 180)


def the_hypervisor_boots_linux_under_qemu(ctx):
    modules, config = _linux(ctx)
    r = _qemu(ctx, _args(ctx, _guest("linux", 0, "256M", config), modules, ["-accel", "tcg", "-smp", "2"]))
    _linux_ran(r, "linux")


def _break_out(ctx, config, rogue, paging):
    """A neighbour on node 0, and a guest on node 1 whose device writes to what `rogue` says."""
    modules = [_image(ctx, "rogue")[:-4], _image(ctx, "neighbour")[:-4]]
    return _run(ctx, _guest("neighbour", 0, "16M", "kernel = neighbour") +
                _guest("rogue", 1, "16M", f"kernel = rogue\ndevices = 20:03.0\nappend = {rogue}\npaging = {paging}\n{config}"),
                modules, ["-m", "512M", "-smp", "2,nodes=2", "-device", "pacifica-dma,node=1"], seconds=60)


def a_device_that_breaks_out_is_refused_by_the_dev_and_its_guest_is_stopped(ctx):
    for paging in ("nested", "shadow"):
        r = _break_out(ctx, "", "to=20000000", paging)
        r.line(r"rogue\| rogue: reaches its own memory")
        r.line(r"guest rogue stopped: its device 20:03.0 was refused a write at 800 by the DEV of node 1")
        r.line(r"neighbour\| neighbour: as it was")
        r.line("guest neighbour stopped: powered off")
    where = int(r.line(r"neighbour: running, .* MB at [0-9a-f]+").split()[-1], 16)
    r = _break_out(ctx, "dev = off", f"from={where + 0x600000:x} to={where + 0x602000:x}", "nested")
    r.line(r"rogue\| rogue: written 00000002 refused 00000000")
    r.line(r"neighbour\| neighbour: overwritten at 00600800")
    r = _break_out(ctx, "", f"from={where + 0x600000:x} to={where + 0x602000:x}", "nested")
    r.line(r"neighbour\| neighbour: as it was")
    # It switches itself off before anybody looks.
    r.line(f"guest rogue, stopped: its device 20:03.0 was refused a write at {where + 0x600800:x} by the DEV of node 1")


def a_guest_without_a_dev_gets_its_device_only_if_told_so(ctx):
    # QEMU's machine has none.
    for config, started in (("", False), ("dev = off\n", True)):
        args = _args(ctx, _guest("g", 0, "16M", f"{config}boot = triple.img\ndevices = 00:06.0"), [_image(ctx, "triple")],
                     ["-accel", "tcg", "-device", "virtio-rng-pci,addr=6"])
        r = _qemu(ctx, args)
        r.line("g: running" if started else "guest g .* is not started: this machine has no DEV")


def two_linux_guests_have_a_disk_and_a_network_card_each_on_a_node_of_its_own(ctx):
    kernel, initrd = guest.elf_kernel(ctx.guest), guest.io_initramfs(ctx.guest, "init-nodes")
    extra, config = ["-smp", "2,nodes=2", "-m", "1G"], ""
    with boots_io._http() as port:
        for n, paging in ((0, "nested"), (1, "shadow")):
            disk = ctx.path(f"disk{n}")
            with open(disk, "wb") as f:
                f.write(b"disk of node %3d" % n)
                f.truncate(2 << 20)
            extra += ["-drive", f"file={disk},format=raw,if=none,id=d{n}", "-device", f"virtio-blk-pci,drive=d{n},node={n},addr=6",
                      "-netdev", f"user,id=n{n}", "-device", f"virtio-net-pci,netdev=n{n},node={n},addr=7"]
            bus = 0x20 * n
            config += _guest(f"linux{n}", n, "256M", f"kernel = {os.path.basename(kernel)}\ninitrd = {os.path.basename(initrd)}\n"
                             f"append = console=ttyS0 quiet net=10.0.2.2:{port}\npaging = {paging}\n"
                             f"devices = {bus:02x}:06.0,{bus:02x}:07.0")
        r = _run(ctx, config, [kernel, initrd], extra, seconds=240)
    for n in range(2):
        r.line(rf"linux{n}: running, cpu {n}, .* on node {n}, .*, devices")
        r.line(rf"linux{n}\| guest: disk on node -?\d+ says disk of node +{n}, wrote and read right")
        r.line(rf"linux{n}\| guest: network on node -?\d+ fetched {boots_io._digest(boots_io.FILE)}")
        r.line(f"guest linux{n} stopped: powered off")


def random_instructions_in_ring_0_of_guests_leave_the_hypervisor_alive(ctx):
    config = "".join(_guest(f"f{i}", i % 2, "16M", f"kernel = fuzz\nappend = seed={i + 1} paging={i // 2 % 2}\n"
                            f"paging = {'shadow' if i > 3 else 'nested'}\ntimes = 100000") for i in range(8))
    args = _args(ctx, config + _guest("good", 0, "16M", "boot = bootsector.img"), [_image(ctx, "fuzz")[:-4], _image(ctx, "bootsector")],
                 ["-smp", "2"])
    with _Console(ctx, args) as c:
        c.wait("guest good stopped: powered off")
        # Pieces that end by themselves, and guests that end; those that turn off interrupts and loop are of no use any more.
        ends = 0
        until = time.time() + 60 * ctx.factor
        while ends < 200 and time.time() < until:
            line = c.next(r"guest f\d stopped: .*\n|f\d\| fuzz: .*\n|fatal.*\n", 5) or ""
            assert "fatal" not in line, line
            ends += line != ""
        assert ends >= 40, f"{ends} ends\n{c.out[-1500:]}"
        c.keys("\x01l")
        for i in range(8):
            c.wait(f"vmm: {i} f{i}: ")


def the_hypervisor_starts_by_skinit_on_two_nodes(ctx):
    loader = os.path.join(os.path.dirname(ctx.program), "tests", "guest", "loader")
    config = _guest("one", "0,1", "16M", "boot = bootsector.img") + _guest("two", 1, "16M", "boot = bootsector.img\npaging = shadow")
    args = _args(ctx, config, [_image(ctx, "bootsector")], ["-smp", "2,nodes=2", "-tpmdev", "libtpms,id=t", "-device", "tpm-tis,tpmdev=t"],
                 os.path.join(loader, "launcher.img"))
    at = args.index("-initrd") + 1
    args[at] = ",".join([os.path.join(loader, "slb.bin"), _vmm(ctx), args[at]])
    r = boots._run(ctx, args + ["-nographic", "-no-reboot"], 60)
    for pcr in (17, 18):
        digest = r.line(rf"loader: PCR {pcr} [0-9a-f]{{64}}").split()[-1]
        assert digest.strip("0f"), digest
        r.line(rf"vmm: PCR {pcr} {digest}")
    _disk_ran(r, "one")
    _disk_ran(r, "two")
    r.line("vmm: no guest runs any more")
