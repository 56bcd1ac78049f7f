"""The main job of ./run: the bundled hypervisor with its guests, Debian's KVM with one, and what was counted.

main_job.py PACIFICA DIR    the guests' files, the consoles' texts and the counts go below DIR

Each step starts machines, shows their consoles, and looks for what must be there: on the console, and in what the machine
counted. It ends with one line, "main job: step N, what it is about: ok", or says what was missing. The last line is
"main job: ok" only if all of them were seen; otherwise the status is 1.
"""
import os
import re
import subprocess
import sys
import threading

import boots
import boots_vmm
import counters
import guest

PATIENCE = 600  # seconds for one machine: a guest that hangs is ended
PAGINGS = {"nested": 1, "shadow": 0}  # KVM's parameter npt


class Run:
    """One machine from start to end: its console, its counts, its status."""

    def __init__(self, out, status, stats, log):
        self.log = log
        self.result = boots.Result(status, out, "")
        self.counts = counters.Counts(stats) if os.path.exists(stats) else None

    def said(self, who):
        """What a level said, without its name."""
        return [line[len(who) + 2:].strip() for line in self.result.out.splitlines() if line.startswith(who + ": ")]


class Place:
    """Where a run has its files; what the functions of boots_vmm want to know."""

    def __init__(self, program, guests, folder):
        self.program, self.guest, self.folder, self.factor = program, guests, folder, 1
        os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)


class Job:
    def __init__(self, program, guests, folder, show=True, forks=250, factor=1):
        self.patience = PATIENCE * factor
        self.program, self.guests, self.folder, self.show, self.forks = program, guests, folder, show, forks
        self.steps, self.failed, self.lines, self.done = 0, [], [], []

    def say(self, line):
        self.lines.append(line)
        if self.show:
            print(line, flush=True)

    def place(self, name):
        return Place(self.program, self.guests, os.path.join(self.folder, name))

    def start(self, place, args, about):
        """A machine; its console is shown while it runs, and kept."""
        stats, log = place.path("stats.json"), place.path("console.txt")
        for old in (stats, log):
            if os.path.exists(old):
                os.unlink(old)
        if self.show:
            print(f"\nrun: {about}", flush=True)
        out = b""
        argv = [self.program, *args, "-nographic", "-no-reboot", "-stats", stats]
        with open(log, "wb") as f, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
            timer = threading.Timer(self.patience, p.kill)
            timer.start()
            while part := p.stdout.read1(65536):
                f.write(part)
                out += part
                if self.show:
                    sys.stdout.buffer.write(part)
                    sys.stdout.flush()
            p.wait()
            timer.cancel()
        run = Run(out.decode(errors="replace").replace("\r", ""), p.returncode, stats, log)
        self.done += [run.counts] if run.counts else []
        return run

    def step(self, about, run, check):
        """check(run) fails by an assertion, whose text's first line says what was missing."""
        self.steps += 1
        problem = None
        if run.result.status or not run.counts:
            problem = f"the machine ended with status {run.result.status}"
        else:
            try:
                check(run)
            except AssertionError as e:
                problem = str(e).partition("\n")[0]
        if problem:
            self.failed.append(self.steps)
            problem += f"; the console's text is in {run.log}"
        self.say(f"main job: step {self.steps}, {about}: " + (f"FAILED: {problem}" if problem else "ok"))

    def vmm(self, name, about, config, modules, extra=()):
        place = self.place(name)
        return self.start(place, boots_vmm._args(place, config, modules, extra), about)


# ---- guests of the bundled hypervisor ----

def disk(place, node):
    path = place.path(f"disk{node}")
    with open(path, "wb") as f:
        f.write(b"disk of node %3d" % node)
        f.truncate(2 << 20)
    return ["-drive", f"file={path},format=raw,if=none,id=d{node}", "-device", f"virtio-blk-pci,drive=d{node},node={node},addr=6"]


def guests(job):
    place = job.place("guests")
    kernel, initrd = guest.elf_kernel(job.guests), guest.io_initramfs(job.guests, "init-nodes")
    config, extra = "", ["-smp", "2,nodes=2"]
    for n, paging in enumerate(PAGINGS):
        config += boots_vmm._guest(f"linux{n}", n, "256M", f"kernel = {os.path.basename(kernel)}\ninitrd = {os.path.basename(initrd)}\n"
                                   f"{boots_vmm.QUIET}paging = {paging}\ndevices = {0x20 * n:02x}:06.0")
        extra += disk(place, n)
    config += boots_vmm._guest("legacy", 0, "16M", "boot = bootsector.img\npaging = shadow")
    run = job.vmm("guests", "the hypervisor vmm on two nodes, with two Linux guests, a disk each, and a guest in real mode", config,
                  [kernel, initrd, boots_vmm._image(place, "bootsector")], extra)

    def starts(run):
        run.result.line(r"vmm: DEV on 2 nodes: ")
        run.result.line(r"vmm: 2 CPUs, 2 nodes, .*nested and shadow paging")
        run.result.line("vmm: no guest runs any more")
        free = re.findall(r"vmm: (node \d+: \d+ KB) free", run.result.out)
        assert len(free) == 4 and free[:2] == free[2:], f"memory was lost: {free}"

    def linux(n, paging):
        def check(run):
            run.result.line(rf"linux{n}: running, cpu {n}, 256 MB at [0-9a-f]+ on node {n}, {paging} paging, tagged TLB, devices")
            run.result.line(rf"linux{n}\| guest: begin")
            run.result.line(rf"linux{n}\| guest: disk on node -?\d+ says disk of node +{n}, wrote and read right")
            run.result.line(rf"linux{n}\| guest: end")
            run.result.line(f"vmm: guest linux{n} stopped: powered off")
            cpu = run.counts.stats["cpus"][n]["walks"]
            other = next(p for p in PAGINGS if p != paging)
            assert cpu[paging]["walks"] > max(10000, 100 * cpu[other]["walks"]), f"walks of CPU {n}: {cpu}"
            node = run.counts.stats["nodes"][n]
            assert min(node["bytes_read"], node["bytes_written"]) > 1000000, f"the devices of node {n} moved little: {node}"
        return check

    def real_mode(run):
        for stage in boots_vmm.STAGES:
            run.result.line(rf"legacy\| boot: {stage}\n")
        run.result.line("vmm: guest legacy stopped: powered off")

    job.step("the hypervisor starts on 2 CPUs and 2 nodes, and at the end has lost no page", run, starts)
    for n, paging in enumerate(PAGINGS):
        job.step(f"Linux with {paging} paging and the disk of node {n}", run, linux(n, paging))
    job.step("a guest in real mode goes up to long mode and back", run, real_mode)


# ---- a device that breaks out ----

def break_out(job, denied=""):
    """The device pacifica-dma of the guest `rogue` writes where its guest has nothing. denied: what the configuration has
    besides, the last time."""
    def run(name, about, config, rogue):
        place = job.place(name)
        images = [boots_vmm._image(place, n)[:-4] for n in ("rogue", "neighbour")]
        text = boots_vmm._guest("neighbour", 0, "16M", "kernel = neighbour") + boots_vmm._guest(
            "rogue", 1, "16M", f"kernel = rogue\ndevices = 20:03.0\nappend = {rogue}\n{config}")
        return job.vmm(name, about, text, images, ["-m", "512M", "-smp", "2,nodes=2", "-device", "pacifica-dma,node=1"])

    def refused(at):
        def check(run):
            run.result.line(r"rogue\| rogue: reaches its own memory")
            run.result.line(f"guest rogue stopped: its device 20:03.0 was refused a write at {at:x} by the DEV of node 1")
            run.result.line(r"neighbour\| neighbour: as it was")
            run.result.line("guest neighbour stopped: powered off")
            assert run.counts.denials(1) > 0, "the DEV of node 1 counted no denial"
        return check

    def overwritten(run):
        run.result.line(r"rogue\| rogue: written 00020000 refused 00000000")
        run.result.line(r"neighbour\| neighbour: overwritten at 00600800")
        assert run.counts.denials(1) == 0, "the DEV of node 1 counted denials"

    everywhere = run("denied-everywhere", "a guest whose device writes at every page of the machine that is not its own", "",
                     "to=20000000")
    job.step("a device that writes everywhere is denied by the DEV, its guest stopped, its neighbour as it was", everywhere, refused(0x800))
    where = re.search(r"neighbour: running, .* MB at ([0-9a-f]+)", everywhere.result.out)
    at = int(where.group(1), 16) + 0x600000 if where else 0
    pages = f"from={at:x} to={at + 0x2000:x} times=10000"
    job.step("a device breaks out where DEV is off: the neighbour is overwritten, and it shows",
             run("break-out", "the device writes at two pages of its neighbour, again and again; DEV is off", "dev = off", pages), overwritten)
    job.step("the same with DEV is denied, and reported with guest, device and address",
             run("break-out-denied", "the same with DEV", denied, pages), refused(at + 0x800))


# ---- Debian's KVM ----

def kvm(job):
    """Debian's kernel as a hypervisor by kvm-amd, and the same kernel as its guest."""
    want = ["begin", "sha256 of 1 MB of zeros 30e14955ebf13522", "end"]
    kernel, initrd = guest.elf_kernel(job.guests), guest.hypervisor(job.guests)
    runs = {}
    for paging, npt in PAGINGS.items():
        def check(run, npt=npt):
            inner, outer = run.said("guest"), run.said("hypervisor")
            missing = [w for w in want if w not in inner] + [w for w in (f"npt {'NY'[npt]} nested 1", "end") if w not in outer]
            assert not missing, f"not seen: {missing}"
            assert any(line.startswith("guest ended with status 0 ") for line in outer), "the guest did not end with status 0"

        place = job.place(f"kvm-{paging}")
        run = job.start(place, ["-kernel", kernel, "-initrd", initrd, "-append", f"console=ttyS0 quiet npt={npt} cpus=1", "-m", "1G",
                                "-cpu", "max"], f"Debian's kernel as a hypervisor (kvm-amd, {paging} paging), and the same kernel as its guest")
        job.step(f"Debian's KVM boots Debian with {paging} paging", run, check)
        runs[f"{paging} paging"] = run
    return runs


# ---- native, shadow, nested, nested without tags ----

def compare(job):
    """The same kernel and programs on the machine itself, and as a guest in three ways."""
    kernel, initrd = guest.elf_kernel(job.guests), guest.initramfs(job.guests)
    append = f"console=ttyS0 quiet forks={job.forks}"

    def worked(run):
        for line in ("begin", f"ran {job.forks} processes", "sha256 of 1 MB of zeros 30e14955ebf13522", "awk 7.485470860550",
                     "sorted 53d025127ae99ab7", "end"):
            run.result.line(rf"(?m)^(linux\| )?guest: {line}$")

    runs = {"native": job.start(job.place("native"), ["-kernel", kernel, "-initrd", initrd, "-append", append, "-m", "256M", "-cpu", "max"],
                                "Linux, native")}
    job.step("the work on the machine itself", runs["native"], worked)
    for name, more in (("shadow", "paging = shadow"), ("nested", "paging = nested"), ("nested, no tags", "paging = nested\nasid = off")):
        config = boots_vmm._guest("linux", 0, "256M", f"kernel = {os.path.basename(kernel)}\ninitrd = {os.path.basename(initrd)}\n"
                                  f"append = {append}\n{more}")
        runs[name] = job.vmm(re.sub("[^a-z]+", "-", name), f"the same as a guest of vmm: {name}", config, [kernel, initrd])
        job.step(f"the same work in a guest: {name}", runs[name], worked)
    return runs


def compared(job, runs):
    """What the design promises, in numbers."""
    names = list(runs)

    def check(_):
        rows = {text.strip(): dict(zip(names, values)) for text, *values in table(runs)}

        def rise(row, *order):
            values = [rows[row][name] for name in order]
            assert all(a < b for a, b in zip(values, values[1:])), f"{row}, {', '.join(order)}: {values} do not rise"

        for row in ("exits (world switches)", "of the hypervisor", "TLB fills", "instructions"):
            rise(row, "native", "nested", "shadow")
        for row in ("TLB fills", "page walks", "to nested tables", "references to page tables", "TLB flushes", "of the hypervisor's pages"):
            rise(row, "nested", "nested, no tags")
        for name in ("native", "shadow"):
            assert rows["to nested tables"][name] == 0, f"{name}: there were references to nested tables"
        assert rows["exits (world switches)"]["native"] == 0, "native: there were world switches"
        assert rows["to nested tables"]["nested"] < rows["saved by the walk caches"]["nested"], "the walk caches saved too little"

    missing = [name for name, run in runs.items() if not run.counts]
    if missing:
        job.steps += 1
        job.failed.append(job.steps)
        job.say(f"main job: step {job.steps}, the comparison: FAILED: nothing was counted for {', '.join(missing)}")
    else:
        job.step("the comparison is as it should be", runs["nested"], check)


def table(runs):
    return counters.side_by_side([counters.comparison(run.counts, name == "native") for name, run in runs.items()])


# ---- the end ----

def section(job, title, runs, rows):
    for line in counters.section(title, runs, rows, (48, 17)):
        job.say(line)


def report(job, hypervisors, runs):
    if all(run.counts for run in hypervisors.values()):
        counts = [run.counts for run in hypervisors.values()]
        section(job, "Debian's KVM with a guest", hypervisors, counters.side_by_side([counters.work(c) for c in counts]))
        section(job, "exits by code: KVM", hypervisors, counters.exits(counts))
        section(job, "page walks: KVM", hypervisors, counters.side_by_side([counters.walks(c) for c in counts]))
        section(job, "TLB: KVM", hypervisors, counters.side_by_side([counters.tlb(c) for c in counts]))
    if all(run.counts for run in runs.values()):
        section(job, "the same work four ways", runs, table(runs))
        section(job, "exits by code: the same work", runs, counters.exits([run.counts for run in runs.values()]))
    job.say("")
    lines = runs["native"].said("guest")
    job.say("kernel:       " + next((line.partition(" ")[2] for line in lines if line.startswith("banner ")), "?"))
    job.say("in userland:  " + "; ".join(line for line in lines if line.split()[:1] and line.split()[0] in ("ran", "sha256", "awk", "sorted")))
    seconds, done = sum(c.host["run_seconds"] for c in job.done), sum(c.instructions for c in job.done)
    job.say(f"instructions: {done}")
    job.say(f"speed:        {done / max(seconds, 1e-9) / 1e6:.0f} MIPS ({seconds:.2f} s)")
    job.say("")


def do(job):
    """All steps and the report; whether all of it was seen."""
    guests(job)
    break_out(job)
    hypervisors = kvm(job)
    runs = compare(job)
    compared(job, runs)
    report(job, hypervisors, runs)
    return end(job)


def end(job):
    failed = ", ".join(map(str, job.failed))
    job.say(f"main job: failed: {len(job.failed)} of {job.steps} steps ({failed})" if failed else "main job: ok")
    return not failed


def main():
    program, folder = sys.argv[1:]
    try:
        sys.exit(0 if do(Job(program, os.path.join(folder, "guest"), os.path.join(folder, "main-job"))) else 1)
    except guest.Missing as e:
        sys.exit(f"run: {e}")


if __name__ == "__main__":
    main()
