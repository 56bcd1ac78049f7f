"""The programs that are compared: how each is started on the bench's images, and what is seen of it from outside.

A started machine gives (wall time, CPU time, line) for each line of its serial port; CPU time is user + system of
all its threads.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import time

RAM_MB = 512
# Bochs stands for an Intel processor, for which Linux isolates page tables and clears buffers at every system
# call; not so for AMD's processors. With these two words the kernel does the same work on all sides.
APPEND = "console=ttyS0,115200 quiet nopti mds=off"
# What is started without a BIOS in view: the board, a serial port, no window.
START = ["-m", str(RAM_MB), "-nodefaults", "-display", "none", "-no-reboot",
         "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]

# A hypervisor, or what its guest is compared with.
LEVEL = ["-m", "1024", "-nographic"]
IDLE = 20


def cpu_seconds(pid):
    """CPU time of a process that runs: its clock has the number ~pid << 3 | 2 (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return None


class Running:
    """A started machine and the stream of its serial port."""

    def __init__(self, began, proc, fd, closer):
        self.began, self.proc, self.fd, self.closer = began, proc, fd, closer

    def lines(self, timeout, silence=None):
        """Yields (wall, cpu, line); ends with the stream, at the time limit, or, with `silence`, after so much CPU time
        without output, or IDLE seconds in which it does nothing."""
        rest, last, watched = b"", 0.0, (self.began, 0.0)
        while True:
            left = self.began + timeout - time.monotonic()
            if left <= 0:
                return
            if not select.select([self.fd], [], [], min(left, 1.0))[0]:
                now = (time.monotonic(), cpu_seconds(self.proc.pid) or 0.0)
                if silence and (now[1] - last > silence or (now[0] - watched[0] > IDLE and now[1] - watched[1] < 1)):
                    return
                if now[0] - watched[0] > IDLE:
                    watched = now
                continue
            last = cpu_seconds(self.proc.pid) or 0.0
            data = os.read(self.fd, 65536)
            if not data:
                return
            wall, cpu = time.monotonic() - self.began, cpu_seconds(self.proc.pid)
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield wall, cpu, line.decode("latin1").strip()

    def memory_kb(self):
        """memory_kb() of the machine, which stands still meanwhile: it is not to run into the next item unseen."""
        os.kill(self.proc.pid, signal.SIGSTOP)
        try:
            return memory_kb(self.proc.pid)
        except OSError:
            return None
        finally:
            os.kill(self.proc.pid, signal.SIGCONT)

    def power_off(self):
        """Lets a guest that has done its work end its machine; the rest is for stop()."""
        try:
            self.proc.wait(2)
        except subprocess.TimeoutExpired:
            pass

    def stop(self):
        """Ends the machine: it leads a session of its own, so this ends nothing else."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait()
        self.closer.close()


def memory_kb(pid):
    """(resident in all, resident of the guest's memory) of a process, in KB; None when it has ended. The guest's
    memory is the mappings at least as large as its RAM that hold no code: QEMU's translations are large too.
    """
    total = cells = size = 0
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        for line in f:
            word = line.split()
            if not word[0].endswith(":"):
                code = "x" in word[1]
            elif word[0] == "Size:":
                size = int(word[1])
            elif word[0] == "Rss:":
                total += int(word[1])
                if size >= RAM_MB * 1024 and not code:
                    cells += int(word[1])
    return (total, cells) if total else None


class QemuLike:
    """pacifica and qemu-system-x86_64: one command line. svm: what gives the processor SVM; None: no part in such work."""

    bios = False

    def __init__(self, name, program, extra, svm):
        self.name, self.program, self.extra, self.svm = name, program, extra, svm

    def missing(self):
        return None if shutil.which(self.program) else f"{self.program} is not there"

    def version(self):
        out = subprocess.run([self.program, "-version"], stdout=subprocess.PIPE, text=True, check=False).stdout
        return (out.splitlines() or ["?"])[0]

    def start(self, img):
        return self.started(["-m", str(RAM_MB), "-nographic", "-kernel", img.kernel, "-initrd", img.initrd, "-append",
                             f"{APPEND} {img.args}"])

    def started(self, args):
        argv = [self.program, *self.extra, "-no-reboot", *args]
        began = time.monotonic()
        proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        return Running(began, proc, proc.stdout.fileno(), proc.stdout)

    def start_level(self, img, level):
        """The same work one level up, where the hypervisor of the others runs (level "up"), or in a guest."""
        if level == "up":
            return self.started([*self.svm, *LEVEL, "-kernel", img.elf_kernel, "-initrd", img.initrd, "-append",
                                 f"{APPEND} {img.level_args}"])
        words = img.level_args.replace(" ", ":")
        return self.started([*self.svm, *LEVEL, "-kernel", img.elf_kernel, "-initrd", img.nested, "-append",
                             f"{APPEND} npt={level[-1]} guest={words}"])

    def start_world(self, image, *extra):
        """An image of guest/world.c."""
        return self.started([*(extra or self.svm), *START, "-serial", "stdio", "-kernel", image])

    def start_once(self, elf):
        """(wall, cpu) of a process whose guest ends it with its first instructions; None when it did not."""
        began = time.monotonic()
        proc = subprocess.Popen([self.program, *self.extra, *START, "-kernel", elf], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(proc.pid, 0)
        wall = time.monotonic() - began
        proc.returncode = os.waitstatus_to_exitcode(status)
        return (wall, usage.ru_utime + usage.ru_stime) if proc.returncode == 33 else None


BOCHSRC = """plugin_ctrl: speaker=false
config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model=corei7_haswell_4770, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={ram}, host={ram}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={cd}, status=inserted
boot: cdrom
com1: enabled=1, mode=socket-client, dev=localhost:{port}
clock: sync=none, time0=946684800
log: {log}
panic: action=report
error: action=ignore
info: action=ignore
debug: action=ignore
"""


class Bochs:
    """Bochs, from a CD; its COM1 comes over TCP. Debian's build has the debugger, which is told to continue."""

    name = "bochs"
    bios, svm = True, None

    def missing(self):
        for path in ("/usr/share/bochs/BIOS-bochs-latest", "/usr/share/bochs/VGABIOS-lgpl-latest"):
            if not os.path.exists(path):
                return f"{path} is not there (packages bochs, bochsbios, vgabios)"
        return None if shutil.which("bochs") else "bochs is not there"

    def version(self):
        out = subprocess.run(["dpkg-query", "-W", "-f", "Bochs ${Version}", "bochs"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=False).stdout
        return out or "Bochs"

    def start(self, img):
        here = os.path.dirname(img.cd)
        listener = socket.create_server(("127.0.0.1", 0))
        rc, cont = os.path.join(here, "bochsrc"), os.path.join(here, "bochs-commands")
        with open(rc, "w", encoding="ascii") as f:
            f.write(BOCHSRC.format(ram=RAM_MB, cd=img.cd, port=listener.getsockname()[1],
                                   log=os.path.join(here, "bochs.log")))
        with open(cont, "w", encoding="ascii") as f:
            f.write("c\n")
        began = time.monotonic()
        proc = subprocess.Popen(["bochs", "-q", "-f", rc, "-rc", cont], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        listener.settimeout(30)
        try:
            conn, _ = listener.accept()
        except TimeoutError:
            conn = socket.socketpair()[0]
        listener.close()
        return Running(began, proc, conn.fileno(), conn)
