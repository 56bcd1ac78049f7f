#!/usr/bin/env python3
"""pacifica, its interpreter alone, QEMU (TCG) and Bochs on the same work: a table of medians and ratios, and JSON.

A guest with a virtual clock cannot time itself, so the times are taken here, between marks that the guest
prints on its serial port: wall time, and the CPU time of the emulator's process, which a busy host falsifies
less. The machines take turns, round by round. docs/performance.md says more.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys

import images
import io_items
import machines

VMRUNS = 1000000
# The same work one level up (where the hypervisor runs that the others are guests of), and in a guest.
LEVELS = {"up": "one level up", "npt1": "in a guest, nested paging", "npt0": "in a guest, shadow paging"}
LEVEL_WORK = ("boot", "fork", "sha")
LEVEL_SILENCE = 60  # seconds of CPU time without a mark: it has not started, or hangs
CONTEXTS = (8, 32, 128)  # -cpu ...,tlb-contexts=N
ASIDS = {f"asids{n}{full}": f"{n} ASID{'s' if n > 1 else ''}{', many pages in the TLB' if full else ''}"
         for n in (1, 8, 64) for full in ("", "full")}
GUEST_ITEMS = ("fork", "sha", "sort", "float", "int", "getppid", "read")
ITEMS = {
    "boot": "Debian's kernel to userland",
    "fork": "200 forks and execs of busybox",
    "sha": "sha256 of 64 MB",
    "sort": "sort -n of 20000 numbers",
    "float": "floating-point loop",
    "int": "integer loop",
    "getppid": "1000000 getppid calls",
    "read": "500000 reads of 1 byte",
    "start": "process to first instruction",
    "memory": "resident beyond the guest's",
    "vmrun": f"{VMRUNS} VMRUNs with #VMEXIT, nested paging",
}
for _work in LEVEL_WORK:
    for _level, _text in LEVELS.items():
        ITEMS[f"{_level}-{_work}"] = f"{_work} {_text}"
LEVEL_ITEMS = [i for i in ITEMS if "-" in i]
ITEMS.update(io_items.ITEMS)
GROUPS = {"nested": LEVEL_ITEMS, "asids": ["asids"], "io": list(io_items.ITEMS)}
STARTS = 20
START_LIMIT_MS = 10
MEMORY_LIMIT_MB = 48
VMRUN_LIMIT = 0.1  # of QEMU's time
NESTED_LIMIT = 0.25  # loss of a guest with nested paging against the same work one level up


@dataclasses.dataclass
class Images:
    kernel: str
    initrd: str
    elf: str
    args: str
    level_args: str = ""
    elf_kernel: str = ""
    nested: str = ""
    cd: str = ""


class Results:
    """{machine: {item: [(wall, cpu), ...]}} in seconds, and the memory samples in KB."""

    def __init__(self):
        self.times, self.memory, self.wrong, self.notes, self.asids = {}, {}, [], [], {}

    def add(self, machine, item, wall, cpu):
        self.times.setdefault(machine, {}).setdefault(item, []).append((wall, cpu))

    def median(self, machine, item, which):
        got = self.times.get(machine, {}).get(item)
        return statistics.median(t[which] for t in got) if got else None

    def loss(self, machine, item, base):
        """How much longer the item takes than base in CPU time: the median of the rounds, in which they follow each other."""
        both = [self.times.get(machine, {}).get(i, []) for i in (item, base)]
        return statistics.median(a[1] / b[1] for a, b in zip(*both)) - 1 if all(both) else None

    def beyond(self, machine):
        """The sample with most memory beyond the guest's RAM: (MB beyond, MB of the guest's RAM)."""
        got = self.memory.get(machine)
        return max(((total - ram) / 1024, ram / 1024) for total, ram in got) if got else None


def boot_round(name, run, wanted, expected, results, timeout, prefix="", silence=None):
    """A started machine through all items; what is wrong goes to results.wrong. Returns which items are missing, or None
    when it did all. prefix: of the items' names in the results."""
    begun, left = (0.0, 0.0), set(wanted) & set(expected)
    done = False
    try:
        for wall, cpu, line in run.lines(timeout, silence):
            mark = line.partition("@@ ")[2].split(" ", 2)
            if cpu is None or not mark[0]:
                continue
            if mark[0] in ("kernel", "begin"):
                begun = (wall, cpu)
            elif mark[0] == "userland" and "boot" in wanted:
                results.add(name, prefix + "boot", wall - begun[0], cpu - begun[1])
            elif mark[0] == "end" and len(mark) > 1:
                results.add(name, prefix + mark[1], wall - begun[0], cpu - begun[1])
            elif mark[0] == "result" and len(mark) > 2:
                left.discard(mark[1])
                want = expected.get(mark[1])
                if mark[2].strip() != want:
                    results.wrong.append(f"{name}: {prefix}{mark[1]} gave {mark[2]}, not {want}")
            elif mark[0] == "done":
                done = True
                if not prefix:
                    run.power_off()
                break
            elif mark[0] == "ended":  # the guest, before its last mark
                break
            if mark[0] in ("userland", "result") and "memory" in wanted:
                sample = run.memory_kb()
                if sample:
                    results.memory.setdefault(name, []).append(sample)
    finally:
        run.stop()
    return None if done and not left else ", ".join(sorted(left)) or "its last mark"


def svm_rounds(machine, img, wanted, expected, results, args, failed):
    """VMRUN alone, and the same work on all levels, once each. What a peer cannot do is noted and not tried again."""
    todo = []
    if "vmrun" in wanted:
        image = images.world_image(1, VMRUNS)
        todo.append(("vmrun", {"vmrun"}, lambda: machine.start_world(image), {"vmrun": f"{VMRUNS:x}"}, ""))
    for level in LEVELS:
        work = {i.partition("-")[2] for i in wanted if i.startswith(level + "-")}
        if work:
            todo.append((level, work, lambda level=level: machine.start_level(img, level), expected, level + "-"))
    for what, work, start, want, prefix in todo:
        if (machine.name, what) in failed:
            continue
        missing = boot_round(machine.name, start(), work, want, results, args.timeout, prefix, LEVEL_SILENCE)
        if missing and machine.name == "pacifica":
            results.wrong.append(f"{machine.name}: {what}: ended before {missing}")
        elif missing:
            failed.add((machine.name, what))
            started = any(i.startswith(prefix) for i in results.times.get(machine.name, {})) if prefix else False
            results.notes.append(f"{machine.name}: {LEVELS.get(what, what)}: "
                                 + (f"ended before {missing}" if started else "does not start"))


def io_round(machine, img, there, wanted, results, args):
    work, start, expected = io_items.task(machine, img, there, wanted)
    missing = boot_round(machine.name, start(), work, expected, results, args.timeout, silence=LEVEL_SILENCE)
    if missing:
        results.wrong.append(f"{machine.name}: ended before {missing}")


def asid_rounds(machine, results, args):
    """The cost of a world switch: {contexts: {item: [seconds]}} of CPU time for VMRUNS rounds."""
    image = images.world_image(2, VMRUNS)
    for contexts in CONTEXTS:
        run = machine.start_world(image, "-cpu", f"max,asids=128,tlb-contexts={contexts}")
        got, want = Results(), {i: f"{VMRUNS:x}" for i in ASIDS}
        missing = boot_round(machine.name, run, set(ASIDS), want, got, args.timeout, silence=LEVEL_SILENCE)
        if missing or got.wrong:
            results.wrong.append(f"{machine.name}: asids: ended before {missing or 'its end'}")
        for item, times in got.times.get(machine.name, {}).items():
            results.asids.setdefault(contexts, {}).setdefault(item, []).extend(t[1] for t in times)


def start_rounds(fast, img, results):
    fast = list(fast)
    for _ in range(STARTS):
        for machine in list(fast):
            took = machine.start_once(img.elf)
            if took is None:
                results.wrong.append(f"{machine.name}: start: the guest's first instructions did not end it")
                fast.remove(machine)
            else:
                results.add(machine.name, "start", *took)


def seconds(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def cell(results, machine, item):
    if item == "memory":
        got = results.beyond(machine)
        return f"{got[0]:.1f} MB" if got else "-"
    wall, cpu = (results.median(machine, item, i) for i in (0, 1))
    if wall is None:
        return "-"
    if item == "start":
        return f"{cpu * 1000:.1f} ms ({wall * 1000:.1f})"
    return f"{seconds(cpu)} ({seconds(wall)})"


def ratio(results, peer, item, which):
    """How many times as long as pacifica the peer takes."""
    mine, theirs = results.median("pacifica", item, which), results.median(peer, item, which)
    return theirs / mine if mine and theirs is not None else None


def ratio_cell(results, peer, item):
    if item == "memory":
        return ""
    both = [ratio(results, peer, item, i) for i in (1, 0)]
    return f"{both[0]:.2f} ({both[1]:.2f})" if None not in both else "-"


def table(results, names, wanted):
    peers = [n for n in names if n != "pacifica"]
    rows = [["", *names, *(f"{p}/pacifica" for p in peers)]]
    for item, text in ITEMS.items():
        if item in wanted:
            rows.append([f"{item}: {text}", *(cell(results, n, item) for n in names),
                         *(ratio_cell(results, p, item) for p in peers)])
    return lined_up(rows)


def lined_up(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    rows.insert(1, ["-" * w for w in widths])
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(r, widths)) + " |" for r in rows)


def asid_table(results):
    rows = [["ns for a VMRUN with #VMEXIT and 4 reads", *(f"tlb-contexts={n}" for n in CONTEXTS)]]
    for item, text in ASIDS.items():
        got = [results.asids.get(n, {}).get(item) for n in CONTEXTS]
        rows.append([text, *(f"{statistics.median(t) / VMRUNS * 1e9:.0f}" if t else "-" for t in got)])
    return lined_up(rows)


def verdicts(results, names, wanted):
    out = []
    for peer in names:
        if peer == "pacifica":
            continue
        slow = [(i, ratio(results, peer, i, 1)) for i in ITEMS if i in wanted and i != "memory"]
        slow = [f"{i} {1 / r:.2f} times" for i, r in slow if r and r < 1]
        out.append(f"slower than {peer} (CPU time): {', '.join(slow) or 'nothing'}")
    if {"interp", "bochs"} <= set(names):
        both = {i: [results.median(m, i, 1) for m in ("interp", "bochs")] for i in ITEMS if i in wanted and i != "memory"}
        slow = [i for i, (own, peer) in both.items() if own and peer and own > peer]
        out.append(f"interp slower than bochs (CPU time): {', '.join(slow) or 'nothing'}")
    mine, theirs = (results.median(m, "vmrun", 1) for m in ("pacifica", "qemu"))
    if mine:
        out.append(f"vmrun: {mine / VMRUNS * 1e9:.0f} ns" + (
            f", {mine / theirs:.1%} of QEMU's {theirs / VMRUNS * 1e9:.0f} ns (limit {VMRUN_LIMIT:.0%})" if theirs else ""))
    for level in ("npt1", "npt0"):
        losses = [(w, results.loss("pacifica", f"{level}-{w}", f"up-{w}")) for w in LEVEL_WORK]
        losses = [f"{w} {x:.0%}" for w, x in losses if x is not None]
        if losses:
            out.append(f"{LEVELS[level]}: longer than one level up by {', '.join(losses)}"
                       + (f" (limit {NESTED_LIMIT:.0%})" if level == "npt1" else ""))
    out += io_items.verdicts(results, wanted)
    wall = results.median("pacifica", "start", 0)
    if wall is not None:
        out.append(f"start: {wall * 1000:.1f} ms wall (limit {START_LIMIT_MS} ms)")
    got = results.beyond("pacifica")
    if got:
        out.append(f"memory: {got[0]:.1f} MB beyond the {got[1]:.0f} MB that the guest touched "
                   f"(limit {MEMORY_LIMIT_MB} MB)")
    return out


def host_cpu():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return "unknown"


def revision(program):
    """The checkout's revision; of a program from elsewhere only its path is known."""
    if os.path.dirname(os.path.abspath(program)) != os.path.join(images.ROOT, "build"):
        return os.path.abspath(program)
    done = subprocess.run(["git", "-C", images.ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() or "unknown"


def arguments():
    build = os.path.join(images.ROOT, "build")
    p = argparse.ArgumentParser(prog="./run bench", description="pacifica, QEMU (TCG) and Bochs on the same work")
    p.add_argument("names", nargs="*", metavar="NAME",
                   help=f"only these items: {' '.join(i for i in ITEMS if i not in {*LEVEL_ITEMS, *io_items.ITEMS})}; nested (the work of "
                        f"{', '.join(LEVEL_WORK)} in guests, or one of {' '.join(LEVEL_ITEMS)}); asids (a table of its own); io (disks and networks: {' '.join(io_items.ITEMS)})")
    p.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of pacifica and QEMU (3)")
    p.add_argument("--bochs-rounds", type=int, default=1, metavar="N",
                   help="rounds in which Bochs takes part (1); it is slow")
    p.add_argument("--without", action="append", default=[], metavar="MACHINE",
                   choices=["pacifica", "interp", "qemu", "bochs"],
                   help="leave out pacifica, interp (its interpreter alone), qemu or bochs")
    p.add_argument("--scale", type=int, default=100, metavar="PERCENT",
                   help="of each amount of work but the sort, for all machines (100)")
    p.add_argument("--pacifica", default=os.path.join(build, "pacifica"), metavar="FILE", help="the program")
    p.add_argument("--json", default=os.path.join(build, "bench.json"), metavar="FILE",
                   help="where the numbers go")
    p.add_argument("--timeout", type=int, default=900, metavar="S",
                   help="the longest that one boot with its work may take (900)")
    args = p.parse_args()
    for name in args.names:
        if name not in ITEMS and name not in GROUPS:
            p.error(f"there is no item {name}; there are {' '.join([*ITEMS, *GROUPS])}")
    args.names = [i for name in args.names for i in GROUPS.get(name, [name])]
    if args.rounds < 1 or args.scale < 1 or args.bochs_rounds < 0:
        p.error("--rounds and --scale are at least 1, --bochs-rounds at least 0")
    return args


def candidates(args):
    """The machines that are there; one line for each that is not."""
    out = []
    for m in (machines.QemuLike("pacifica", args.pacifica, [], ["-cpu", "max"]),
              machines.QemuLike("interp", args.pacifica, ["-accel", "interp"], None),
              machines.QemuLike("qemu", "qemu-system-x86_64", ["-accel", "tcg"], ["-cpu", "max,+svm,+npt"]),
              machines.Bochs()):
        why = "left out" if m.name in args.without else m.missing()
        if m.name == "bochs" and args.bochs_rounds == 0:
            why = "left out"
        if why and m.name == "pacifica" and m.name not in args.without:
            raise images.Missing(f"{why}: run ./run build, or give --pacifica FILE")
        if why:
            print(f"{m.name}: skipped: {why}")
        else:
            out.append(m)
    if not out:
        raise images.Missing("no machine is left to measure")
    return out


def prepare(args, there, wanted):
    os.makedirs(images.WORK, exist_ok=True)
    work = images.compile_work()
    items = ",".join(i for i in GUEST_ITEMS if i in wanted)
    img = Images(kernel=images.kernel(), initrd=images.initrd(work),
                 elf=images.start_kernel(), args=f"items={items or 'none'} scale={args.scale}")
    if wanted & set(io_items.ITEMS):
        img.elf_kernel = images.elf_kernel()
    if wanted & set(LEVEL_ITEMS):
        work_items = ",".join(i for i in ("fork", "sha") if any(w.endswith("-" + i) for w in wanted))
        img.level_args = f"items={work_items or 'none'} scale={args.scale}"
        img.elf_kernel, img.nested = images.elf_kernel(), images.nested_initrd(img.initrd)
    if any(m.bios for m in there):
        try:
            img.cd = images.cd(img.kernel, img.initrd, f"{machines.APPEND} {img.args}")
        except images.Missing as e:
            print(f"bochs: skipped: {e}")
            there[:] = [m for m in there if not m.bios]
    return img, images.expected(work, args.scale)


def measure(args, there, wanted):
    img, expected = prepare(args, there, wanted)
    results = Results()
    if "start" in wanted:
        start_rounds([m for m in there if not m.bios], img, results)
    failed = set()
    plain = wanted - {"start", "vmrun", "asids", *LEVEL_ITEMS, *io_items.ITEMS}
    io_wanted = wanted & set(io_items.ITEMS)
    with contextlib.ExitStack() as stack:
        io_there = stack.enter_context(io_items.prepared(args.scale, io_wanted)) if io_wanted else None
        rounds(args, there, wanted, plain, img, expected, results, failed, io_there)
    return img, results


def rounds(args, there, wanted, plain, img, expected, results, failed, io_there):
    for r in range(args.rounds):
        for m in there:
            if (m.bios and r >= args.bochs_rounds) or (not m.svm and not plain):
                continue
            print(f"round {r + 1} of {args.rounds}: {m.name}", file=sys.stderr)
            if plain:
                missing = boot_round(m.name, m.start(img), plain, expected, results, args.timeout)
                if missing:
                    results.wrong.append(f"{m.name}: ended before {missing}")
            if not m.svm:
                continue
            svm_rounds(m, img, wanted, expected, results, args, failed)
            if io_there:
                io_round(m, img, io_there, wanted, results, args)
            if m.name == "pacifica" and "asids" in wanted:
                asid_rounds(m, results, args)


def main():
    args = arguments()
    wanted = set(args.names) or {*ITEMS, "asids"}
    load, rev = os.getloadavg()[0], revision(args.pacifica)
    try:
        there = candidates(args)
        img, results = measure(args, there, wanted)
    except images.Missing as e:
        print(f"bench: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    names = [m.name for m in there]
    lines = verdicts(results, names, wanted)
    about = {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"), "revision": rev,
        "host_cpu": host_cpu(), "cpus": os.cpu_count(), "load": [load, os.getloadavg()[0]], "rounds": args.rounds,
        "bochs_rounds": args.bochs_rounds, "scale": args.scale, "kernel": os.path.basename(img.kernel),
        "versions": {m.name: m.version() for m in there},
    }
    print(f"{about['date']}, {rev}, {about['host_cpu']}, {about['cpus']} CPUs, "
          f"load {load:.1f} to {about['load'][1]:.1f}, {about['kernel']}")
    print("; ".join(about["versions"].values()))
    print("Seconds of CPU time (wall time), medians; ratios likewise: above 1 pacifica is faster.\n")
    print(table(results, names, wanted) + "\n")
    if results.asids:
        print(asid_table(results) + "\n")
    print("\n".join(lines))
    for text in results.notes:
        print(text)
    for text in results.wrong:
        print(f"WRONG {text}")
    os.makedirs(os.path.dirname(os.path.abspath(args.json)), exist_ok=True)
    with open(args.json, "w", encoding="ascii") as f:
        medians = {n: {i: {"wall": results.median(n, i, 0), "cpu": results.median(n, i, 1)}
                       for i in results.times.get(n, {})} for n in names}
        json.dump({**about, "medians": medians, "times": results.times, "memory_kb": results.memory,
                   "asids": results.asids, "notes": results.notes, "wrong": results.wrong, "verdicts": lines}, f, indent=1)
    return 1 if results.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
