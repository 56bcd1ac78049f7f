#!/usr/bin/env python3
"""pacifica, QEMU (TCG) and Bochs on the same work: a table of medians and ratios, and JSON.

A guest with a virtual clock cannot time itself, so the times are taken here, between marks that the guest
prints on its serial port: wall time, and the CPU time of the emulator's process, which a busy host falsifies
less. The machines take turns, round by round. docs/performance.md says more.
"""

import argparse
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys

import images
import machines

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
}
STARTS = 20
START_LIMIT_MS = 10
MEMORY_LIMIT_MB = 48


@dataclasses.dataclass
class Images:
    kernel: str
    initrd: str
    elf: str
    args: str
    cd: str = ""


class Results:
    """{machine: {item: [(wall, cpu), ...]}} in seconds, and the memory samples in KB."""

    def __init__(self):
        self.times, self.memory, self.wrong = {}, {}, []

    def add(self, machine, item, wall, cpu):
        self.times.setdefault(machine, {}).setdefault(item, []).append((wall, cpu))

    def median(self, machine, item, which):
        got = self.times.get(machine, {}).get(item)
        return statistics.median(t[which] for t in got) if got else None

    def beyond(self, machine):
        """The sample with most memory beyond the guest's RAM: (MB beyond, MB of the guest's RAM)."""
        got = self.memory.get(machine)
        return max(((total - ram) / 1024, ram / 1024) for total, ram in got) if got else None


def boot_round(machine, img, wanted, expected, results, timeout):
    """One boot of one machine through all items; what is missing or wrong goes to results.wrong."""
    run = machine.start(img)
    begun, left = (0.0, 0.0), set(wanted) & set(GUEST_ITEMS)
    done = False
    try:
        for wall, cpu, line in run.lines(timeout):
            mark = line.partition("@@ ")[2].split(" ", 2)
            if cpu is None or not mark[0]:
                continue
            if mark[0] in ("kernel", "begin"):
                begun = (wall, cpu)
            elif mark[0] == "userland" and "boot" in wanted:
                results.add(machine.name, "boot", wall - begun[0], cpu - begun[1])
            elif mark[0] == "end" and len(mark) > 1:
                results.add(machine.name, mark[1], wall - begun[0], cpu - begun[1])
            elif mark[0] == "result" and len(mark) > 2:
                left.discard(mark[1])
                want = expected.get(mark[1])
                if mark[2].strip() != want:
                    results.wrong.append(f"{machine.name}: {mark[1]} gave {mark[2]}, not {want}")
            elif mark[0] == "done":
                done = True
                run.power_off()
                break
            if mark[0] in ("userland", "result") and "memory" in wanted:
                sample = run.memory_kb()
                if sample:
                    results.memory.setdefault(machine.name, []).append(sample)
    finally:
        run.stop()
    if left or not done:
        results.wrong.append(f"{machine.name}: ended before {', '.join(sorted(left)) or 'its last mark'}")


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
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    rows.insert(1, ["-" * w for w in widths])
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(r, widths)) + " |" for r in rows)


def verdicts(results, names, wanted):
    out = []
    for peer in names:
        if peer == "pacifica":
            continue
        slow = [(i, ratio(results, peer, i, 1)) for i in ITEMS if i in wanted and i != "memory"]
        slow = [f"{i} {1 / r:.2f} times" for i, r in slow if r and r < 1]
        out.append(f"slower than {peer} (CPU time): {', '.join(slow) or 'nothing'}")
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
    p.add_argument("names", nargs="*", metavar="NAME", help=f"only these items: {' '.join(ITEMS)}")
    p.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of pacifica and QEMU (3)")
    p.add_argument("--bochs-rounds", type=int, default=1, metavar="N",
                   help="rounds in which Bochs takes part (1); it is slow")
    p.add_argument("--without", action="append", default=[], metavar="MACHINE",
                   choices=["pacifica", "qemu", "bochs"],
                   help="leave out pacifica, qemu or bochs")
    p.add_argument("--scale", type=int, default=100, metavar="PERCENT",
                   help="of each amount of work but the sort, for all machines (100)")
    p.add_argument("--pacifica", default=os.path.join(build, "pacifica"), metavar="FILE", help="the program")
    p.add_argument("--json", default=os.path.join(build, "bench.json"), metavar="FILE",
                   help="where the numbers go")
    p.add_argument("--timeout", type=int, default=900, metavar="S",
                   help="the longest that one boot with its work may take (900)")
    args = p.parse_args()
    for name in args.names:
        if name not in ITEMS:
            p.error(f"there is no item {name}; there are {' '.join(ITEMS)}")
    if args.rounds < 1 or args.scale < 1 or args.bochs_rounds < 0:
        p.error("--rounds and --scale are at least 1, --bochs-rounds at least 0")
    return args


def candidates(args):
    """The machines that are there; one line for each that is not."""
    out = []
    for m in (machines.QemuLike("pacifica", args.pacifica, []),
              machines.QemuLike("qemu", "qemu-system-x86_64", ["-accel", "tcg"]), machines.Bochs()):
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
    if wanted - {"start"}:
        for r in range(args.rounds):
            for m in there:
                if m.bios and r >= args.bochs_rounds:
                    continue
                print(f"round {r + 1} of {args.rounds}: {m.name}", file=sys.stderr)
                boot_round(m, img, wanted, expected, results, args.timeout)
    return img, results


def main():
    args = arguments()
    wanted = set(args.names) or set(ITEMS)
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
    print("\n".join(lines))
    for text in results.wrong:
        print(f"WRONG {text}")
    os.makedirs(os.path.dirname(os.path.abspath(args.json)), exist_ok=True)
    with open(args.json, "w", encoding="ascii") as f:
        medians = {n: {i: {"wall": results.median(n, i, 0), "cpu": results.median(n, i, 1)}
                       for i in results.times.get(n, {})} for n in names}
        json.dump({**about, "medians": medians, "times": results.times, "memory_kb": results.memory,
                   "wrong": results.wrong, "verdicts": lines}, f, indent=1)
    return 1 if results.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
