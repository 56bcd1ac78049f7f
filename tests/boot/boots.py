"""Tests that start the program: real systems, statuses, the monitor. Run by tests/run_tests.py.

Each function whose name does not begin with an underscore is a test; its name says what is true when it passes.
Those that begin with "extra_" take long: they run only if they are named.
"""
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

import guest

APPEND = "console=ttyS0 quiet"
DISK_MARK = "3a5b"
# Twice the same, without the translator, and with all code translated at once.
ENGINES = ([], [], ["-accel", "interp"], ["-accel", "jit,hot=1"])
HASH = "state-hash: [0-9a-f]{16} instructions [0-9]+"


class Context:
    def __init__(self, build, factor):
        self.program = os.path.join(build, "pacifica")
        self.guest = os.path.join(os.path.dirname(os.path.abspath(build)), "build", "guest")
        self.factor = factor  # sanitizers make everything slower
        self.tmp = tempfile.mkdtemp(prefix="pacifica-test-")

    def path(self, name):
        return os.path.join(self.tmp, name)

    def linux(self):
        return ["-kernel", guest.kernel(self.guest), "-initrd", guest.initramfs(self.guest)]


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def line(self, pattern):
        m = re.search(pattern, self.out)
        assert m, f"not in the output: {pattern}\n{self.out[-1500:]}{self.err[-500:]}"
        return m.group(0)


def _run(ctx, args, seconds=120):
    p = subprocess.Popen([ctx.program] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = p.communicate(timeout=seconds * ctx.factor)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        raise AssertionError(f"not finished after {seconds * ctx.factor} s:\n{out.decode(errors='replace')[-1500:]}")
    return Result(p.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def _linux_runs(ctx, args, cpus=1):
    r = _run(ctx, args + ["-nographic", "-no-reboot"])
    r.line(f"guest: cpus {cpus}\\b")
    r.line("guest: sha256 of 1 MB of zeros 30e14955ebf13522")
    r.line("guest: awk 7.485470860550")
    r.line("guest: end")
    assert r.status == 0, f"status {r.status}: {r.err}"
    return r


def linux_boots_with_1_cpu_and_powers_off(ctx):
    _linux_runs(ctx, ctx.linux() + ["-append", APPEND, "-m", "256"])


def linux_boots_with_4_cpus(ctx):
    _linux_runs(ctx, ctx.linux() + ["-append", APPEND, "-m", "512", "-smp", "4"], cpus=4)


def linux_boots_with_5_gb_and_the_cpu_model_max(ctx):
    r = _linux_runs(ctx, ctx.linux() + ["-append", APPEND, "-m", "5G", "-cpu", "max"])
    kb = int(r.line(r"guest: memory \d+").split()[-1])
    assert kb > 4 << 20, f"the guest sees {kb} KB"


def linux_boots_on_the_cpu_model_k8f(ctx):
    _linux_runs(ctx, ctx.linux() + ["-append", APPEND, "-m", "256", "-cpu", "k8f"])


def linux_boots_from_a_grub_cd_through_the_bios(ctx):
    cd = guest.grub_cd(ctx.guest, guest.kernel(ctx.guest), guest.initramfs(ctx.guest))
    _linux_runs(ctx, ["-cdrom", cd, "-m", "256"])


def _hypervisor(ctx, npt, cpus, extra=(), packed=False, kernel=None, levels=1, qemu=False, memory="1G", model="max"):
    """Debian's kernel with KVM, and under it the same kernel with `cpus` processors, up to its end."""
    append = f"{APPEND} npt={npt} cpus={cpus}" + (" nested=1" if levels > 1 else "") + (" client=qemu" if qemu else "")
    r = _run(ctx, ["-kernel", kernel or guest.elf_kernel(ctx.guest), "-initrd",
                   guest.hypervisor(ctx.guest, packed, levels, qemu), "-append", append, "-nographic", "-no-reboot",
                   "-m", memory, "-cpu", model, *extra], seconds=600)
    r.line(f"hypervisor: npt {'NY'[npt]}")
    r.line(f"guest: cpus {cpus}\\b")
    r.line("guest: sha256 of 1 MB of zeros 30e14955ebf13522")
    r.line("guest: awk 7.485470860550")
    r.line("guest: end")
    ends = re.findall("guest ended with status ([0-9]+)", r.out)
    assert ends == ["0"] * levels, f"the guests ended with {ends}:\n{r.out[-1500:]}"
    r.line("hypervisor: end")
    assert r.status == 0, f"status {r.status}: {r.err}"
    return r


def a_hypervisor_boots_a_guest_with_nested_paging(ctx):
    _hypervisor(ctx, 1, 1)


def a_hypervisor_boots_a_guest_with_shadow_paging(ctx):
    _hypervisor(ctx, 0, 1)


def a_guest_starts_at_the_reset_vector_in_paged_real_mode(ctx):
    r = _run(ctx, ["-kernel", guest.elf_kernel(ctx.guest), "-initrd", guest.hypervisor(ctx.guest), "-append",
                   APPEND + " npt=0 client=bios", "-nographic", "-no-reboot", "-m", "1G", "-cpu", "max"])
    r.line("hypervisor: npt N")
    r.line("bios: in real mode")
    r.line("guest ended with status 0")


def a_hypervisor_on_2_cpus_boots_a_guest_with_2_cpus(ctx):
    _hypervisor(ctx, 1, 2, ["-smp", "2"])


def extra_a_hypervisor_boots_a_guest_with_2_cpus_and_shadow_paging(ctx):
    _hypervisor(ctx, 0, 2, ["-smp", "2"])


def extra_a_hypervisor_boots_a_packed_kernel(ctx):
    _hypervisor(ctx, 1, 1, packed=True, kernel=guest.kernel(ctx.guest))
    _hypervisor(ctx, 0, 1, packed=True, kernel=guest.kernel(ctx.guest))


def extra_qemu_in_the_guest_boots_a_guest_through_its_bios_with_nested_paging(ctx):
    _hypervisor(ctx, 1, 2, ["-smp", "2"], qemu=True, memory="2G")


def extra_qemu_in_the_guest_boots_a_guest_through_its_bios_in_paged_real_mode(ctx):
    _hypervisor(ctx, 0, 1, qemu=True, memory="2G")


def extra_a_hypervisor_on_the_cpu_model_family10h_boots_a_guest(ctx):
    for npt in (1, 0):
        _hypervisor(ctx, npt, 1, model="family10h,+svm,+npt,+nrip-save")


def two_runs_of_a_hypervisor_and_all_engines_end_with_the_same_hash(ctx):
    lines = [_hypervisor(ctx, 1, 2, ["-smp", "2", "-state-hash", *engine]).line(HASH) for engine in ENGINES]
    assert len(set(lines)) == 1, lines


def extra_a_guest_of_a_hypervisor_is_a_hypervisor(ctx):
    for npt in (1, 0):
        _hypervisor(ctx, npt, 1, levels=2, memory="2G")


def known_world_switches_are_counted_exactly(ctx):
    image = os.path.join(os.path.dirname(ctx.program), "tests", "guest", "svm", "counted.img")
    args = ["-kernel", image, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-display", "none", "-serial", "stdio"]
    for model in ("max", "family10h"):
        stats = ctx.path("stats.json")
        r = _run(ctx, args + ["-cpu", model, "-stats", stats], 20)
        assert r.status == 0x10 << 1 | 1, f"status {r.status}: {r.out}{r.err}"
        with open(stats, encoding="ascii") as f:
            cpu = json.load(f)["cpus"][0]
        assert cpu["guest_instructions"] == 2001 + 42, cpu["guest_instructions"]
        assert cpu["host_instructions"] == cpu["instructions"] - 2043
        assert cpu["world_switches"] == {"entries": 7, "exits": 7, "by_code": {
            "VMEXIT_CPUID": 1, "VMEXIT_VMMCALL": 1, "VMEXIT_HLT": 3, "VMEXIT_EXCP6": 1, "VMEXIT_INVALID": 1}}
        # 11 pages for ASID 1, the code for ASID 2; three tables with one page for the guest, each under three nested ones.
        assert cpu["walks"]["nested"] == {"walks": 12, "fills": 12, "table_references": 36, "nested_walks": 12, "nested_references": 36,
                                          "nested_hits": 36, "nested_references_saved": 108}, cpu["walks"]
        assert cpu["walks"]["shadow"] == {"walks": 0, "fills": 0, "table_references": 0}
        by_asid = {a["asid"]: a for a in cpu["asids"]}
        assert by_asid[1] == {"asid": 1, "fills": 11, "flushes": 0, "kept": 11, "nested_kept": 11}, by_asid
        assert by_asid[2] == {"asid": 2, "fills": 1, "flushes": 0, "kept": 1, "nested_kept": 1}, by_asid


def two_runs_and_all_engines_end_with_the_same_hash(ctx):
    args = ctx.linux() + ["-append", APPEND, "-m", "256", "-smp", "2", "-state-hash"]
    lines = [_linux_runs(ctx, args + engine, cpus=2).line(HASH) for engine in ENGINES]
    assert len(set(lines)) == 1, lines


def another_command_line_ends_with_another_hash(ctx):
    hashes = [_run(ctx, ctx.linux() + ["-append", APPEND + extra, "-nographic", "-limit", "20000000", "-state-hash"])
              .line("state-hash: [0-9a-f]{16}") for extra in (" x=1", " x=2")]
    assert hashes[0] != hashes[1], hashes


def _disk_keeps(ctx, interface, device):
    image = ctx.path(f"disk-{interface}.img")
    with open(image, "wb") as f:
        f.truncate(4 << 20)
    drive = ["-drive", f"file={image},format=raw,if={interface}", "-m", "256"]
    wrote = _linux_runs(ctx, ctx.linux() + drive + ["-append", APPEND + " disk=write"])
    wrote.line(f"guest: disk {device}")
    digest = wrote.line("guest: wrote [0-9a-f]{16}").split()[-1]
    with open(image, "rb") as f:
        assert f.read(6) == b"1\n2\n3\n", "the image does not hold what the guest wrote"
    read = _linux_runs(ctx, ctx.linux() + drive + ["-append", APPEND + " disk=read"])
    assert read.line("guest: read [0-9a-f]{16}").split()[-1] == digest
    before = open(image, "rb").read()
    _linux_runs(ctx, ctx.linux() + drive + ["-append", APPEND + " disk=write", "-snapshot"])
    assert open(image, "rb").read() == before


def an_ide_disk_keeps_what_was_written(ctx):
    _disk_keeps(ctx, "ide", "/dev/sda")


def a_virtio_disk_keeps_what_was_written(ctx):
    _disk_keeps(ctx, "virtio", "/dev/vda")


@contextlib.contextmanager
def _started(ctx, args):
    """A machine with its monitor on a socket; ended at the end."""
    path = ctx.path("monitor")
    p = subprocess.Popen([ctx.program, "-monitor", f"unix:{path},server,nowait"] + args, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    s = socket.socket(socket.AF_UNIX)
    try:
        until = time.time() + 20 * ctx.factor
        while True:
            try:
                s.connect(path)
                break
            except OSError:
                assert time.time() < until and p.poll() is None, "the monitor's socket does not answer"
                time.sleep(0.05)
        s.settimeout(20 * ctx.factor)
        _answer(s)
        yield p, s
    finally:
        s.close()
        if p.poll() is None:
            p.kill()
        p.stdout.close()
        p.wait()


def _ask(s, command):
    s.sendall(command.encode() + b"\n")
    return _answer(s)


def _answer(s):
    answer = b""
    while not answer.endswith(b"(qemu) "):
        part = s.recv(65536)
        if not part:
            break
        answer += part
    return answer.decode(errors="replace").replace("\r", "")


def _wait_for(p, text, times, seconds):
    fcntl.fcntl(p.stdout, fcntl.F_SETFL, os.O_NONBLOCK)
    out, until = b"", time.time() + seconds
    while out.count(text) < times:
        assert time.time() < until, f"{text} was not seen {times} times:\n{out.decode(errors='replace')[-1000:]}"
        part = os.read(p.stdout.fileno(), 65536) if _readable(p.stdout) else None
        if part == b"":
            break
        out += part or b""
    return out


def _readable(f):
    import select
    return bool(select.select([f], [], [], 0.2)[0])


def a_reset_by_the_guest_starts_it_again(ctx):
    args = ctx.linux() + ["-append", APPEND + " end=reboot", "-m", "256", "-display", "none", "-serial", "stdio"]
    with _started(ctx, args) as (p, s):
        out = _wait_for(p, b"guest: end", 2, 120 * ctx.factor)
        assert out.count(b"guest: begin") >= 2


def memtest86_passes_its_first_tests(ctx):
    # Its last test waits for minutes in a loop: an instruction takes longer here, so that the wait has fewer of them.
    args = ["-kernel", guest.memtest(ctx.guest), "-append", "console=ttyS0,115200", "-m", "16", "-display", "none",
            "-serial", "stdio", "-icount", "shift=6"]
    with _started(ctx, args) as (p, s):
        out = _wait_for(p, b"Pass:  1", 1, 300 * ctx.factor)
        screen = out.decode(errors="replace")
        errors = re.findall(r"Errors: *(\d+)", screen)
        assert errors and set(errors) == {"0"}, f"errors: {errors}"


def the_monitor_answers(ctx):
    args = ctx.linux() + ["-append", APPEND, "-S", "-display", "none"]
    with _started(ctx, args) as (p, s):
        answer = _ask(s, "info status")
        assert "paused" in answer, answer
        first = _ask(s, "info registers")
        assert re.search(r"[RE]IP=0*[0-9a-f]+", first), first
        _ask(s, "step 3")
        assert _ask(s, "info registers") != first
        assert re.search(r"0x[0-9a-f]+:  ", _ask(s, "x/2i $rip"))
        assert re.search(r": 0x[0-9a-f]{8} 0x", _ask(s, "xp/4xw 0x100000"))
        for command in ("info mem", "info tlb", "info stats", "info mtree", "info pci", "info pic", "info cpus", "info lapic"):
            answer = _ask(s, command)
            assert len(answer.splitlines()) >= 2 and "unknown" not in answer, answer
        _ask(s, "screendump " + ctx.path("screen.png"))
        _ask(s, "screendump " + ctx.path("screen.txt"))
        assert open(ctx.path("screen.png"), "rb").read(4) == b"\x89PNG"
        assert os.path.exists(ctx.path("screen.txt"))
        assert "unknown command" in _ask(s, "bogus")
        _ask(s, "cont")
        assert "running" in _ask(s, "info status")
        _ask(s, "stop")
        s.sendall(b"quit\n")
        assert p.wait(10 * ctx.factor) == 0


def a_signal_ends_the_machine(ctx):
    p = subprocess.Popen([ctx.program] + ctx.linux() + ["-nographic", "-append", APPEND], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)
    time.sleep(1)
    p.send_signal(signal.SIGTERM)
    assert p.wait(10 * ctx.factor) == 0


def _image(ctx, code):
    """A multiboot kernel of a few bytes at 1 MB."""
    header = bytes.fromhex("02b0ad1b 00000100 fe4f51e4")
    load = b"".join(v.to_bytes(4, "little") for v in (0x100000, 0x100000, 0, 0, 0x100020))
    path = ctx.path("image")
    with open(path, "wb") as f:
        f.write(header + load + code)
    return path


def the_exit_port_gives_the_status(ctx):
    image = _image(ctx, bytes.fromhex("b015 e6f4 f4"))  # mov al, 15h; out F4h, al; hlt
    r = _run(ctx, ["-kernel", image, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-display", "none"], 20)
    assert r.status == 0x15 << 1 | 1, f"status {r.status}: {r.err}"


def a_triple_fault_ends_with_status_4(ctx):
    image = _image(ctx, bytes.fromhex("6a00 6a00 0f011c24 0f0b"))  # an empty IDT; ud2
    r = _run(ctx, ["-kernel", image, "-no-reboot", "-display", "none"], 20)
    assert r.status == 4, f"status {r.status}: {r.err}"
    assert "triple fault" in r.err, r.err


def power_off_ends_with_status_0(ctx):
    image = _image(ctx, bytes.fromhex("66ba0406 66b80020 66ef f4"))  # S5 to PM1a control, 604h
    r = _run(ctx, ["-kernel", image, "-display", "none"], 20)
    assert r.status == 0, f"status {r.status}: {r.err}"


def _refused(ctx, args, *words):
    r = _run(ctx, args, 20)
    assert r.status == 2, f"{args}: status {r.status}"
    lines = r.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("pacifica: "), f"{args}: {r.err!r}"
    for w in words:
        assert w in lines[0], f"{args}: {lines[0]!r} does not name {w!r}"


def wrong_options_are_one_line_and_status_2(ctx):
    _refused(ctx, ["-kernal", "x"], "-kernal", "-kernel")
    _refused(ctx, ["-xyzzyxyzzy"], "-xyzzyxyzzy")
    _refused(ctx, ["-m"], "-m")
    _refused(ctx, ["-m", "12X"], "12X")
    _refused(ctx, ["-m", "512,maxmem=1G"], "maxmem")
    _refused(ctx, ["-m", "60000G"], "60000G")
    _refused(ctx, ["-smp", "0"], "0")
    _refused(ctx, ["-smp", "1000"], "16")
    _refused(ctx, ["-cpu", "nosuch"], "nosuch")
    _refused(ctx, ["-cpu", "family10h,+nosuch"], "nosuch")
    _refused(ctx, ["-machine", "q36"], "q36")
    _refused(ctx, ["-enable-kvm"], "-enable-kvm")
    _refused(ctx, ["-accel", "kvm"], "kvm")
    _refused(ctx, ["-accel", "whpx"], "whpx", "jit", "interp")
    _refused(ctx, ["-accel", "jit,hot=0"], "hot")
    _refused(ctx, ["-device", "virtio-blk-pcj"], "virtio-blk-pci")
    _refused(ctx, ["-device", "isa-serial,chardev=none"], "none")
    _refused(ctx, ["-d", "everything"], "everything", "in_asm")
    _refused(ctx, ["-display", "gtk"], "gtk")
    open(ctx.path("disk"), "wb").write(bytes(1 << 20))
    _refused(ctx, ["-drive", f"file={ctx.path('disk')},format=qcow2"], "qcow2")
    _refused(ctx, ["-drive", "if=none,id=a,fil=x"], "fil")
    _refused(ctx, ["-object", "memory-backend-ram,id=a"], "-object")
    _refused(ctx, ["-append", "x"], "-append", "-kernel")


def bad_files_are_one_line_and_status_2(ctx):
    kernel = guest.kernel(ctx.guest)
    cut, junk, empty = ctx.path("cut"), ctx.path("junk"), ctx.path("empty")
    with open(kernel, "rb") as f:
        data = f.read(100000)
    open(cut, "wb").write(data)
    open(junk, "wb").write(b"this is no kernel\n" * 100)
    open(empty, "wb").close()
    _refused(ctx, ["-kernel", "/no/such/file"], "/no/such/file")
    _refused(ctx, ["-kernel", ctx.tmp], ctx.tmp)
    for image in (cut, junk, empty):
        _refused(ctx, ["-kernel", image], image)
    _refused(ctx, ["-kernel", kernel, "-initrd", "/no/such/initrd"], "/no/such/initrd")
    _refused(ctx, ["-hda", "/no/such/disk"], "/no/such/disk")
    _refused(ctx, ["-cdrom", ctx.tmp], ctx.tmp)
    _refused(ctx, ["-bios", junk], junk)
    _refused(ctx, ["-kernel", kernel, "-D", "/no/such/dir/log", "-d", "int"], "/no/such/dir/log")


def a_disk_image_has_one_user(ctx):
    image = ctx.path("locked.img")
    with open(image, "wb") as f:
        f.truncate(1 << 20)
    with _started(ctx, ["-hda", image, "-S", "-display", "none"]):
        _refused(ctx, ["-hda", image], image)


def what_is_asked_for_is_printed(ctx):
    for args, word in ((["-help"], "-kernel"), (["--version"], "pacifica"), (["-cpu", "help"], "family10h"),
                       (["-device", "help"], "virtio-blk-pci"), (["-machine", "help"], "pc"), (["-d", "help"], "in_asm"),
                       (["-device", "virtio-blk-pci,help"], "drive")):
        r = _run(ctx, args, 20)
        assert r.status == 0 and word in r.out and not r.err, f"{args}: {r.status} {r.out[:200]} {r.err}"
