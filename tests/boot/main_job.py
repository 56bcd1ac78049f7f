"""The main job of ./run: a hypervisor and its guest, with nested paging and with shadow paging, and what was counted.

main_job.py PACIFICA DIR    the guest's files and the logs go below DIR

Debian's kernel boots to userland and loads kvm-amd, and kvmclient starts the same kernel as its guest, up to userland too. The
serial port is shown while that runs. At the end: what ran, how much was executed, how fast, and, for both paging methods
side by side, the exits by code and the page walks.
"""
import json
import os
import subprocess
import sys

import guest

WANT = ["begin", "sha256 of 1 MB of zeros 30e14955ebf13522", "end"]
METHODS = {1: "nested paging", 0: "shadow paging"}  # by KVM's parameter npt
OPTIONS = ["-nographic", "-no-reboot", "-m", "1G", "-cpu", "max"]


class Failed(Exception):
    """The job did not end as it must; the text says how."""


def said(out, who):
    """What a level said on the console, without its name."""
    return [line.strip()[len(who) + 2:] for line in out.splitlines() if line.startswith(who + ": ")]


def run(program, files, folder, npt, show):
    """One run: (what the levels said, what was counted)."""
    kernel, initrd = files
    stats, log = (os.path.join(folder, f"main-job-npt{npt}.{end}") for end in ("json", "log"))
    argv = [program, "-kernel", kernel, "-initrd", initrd, "-append", f"console=ttyS0 quiet npt={npt} cpus=1", *OPTIONS,
            "-stats", stats]
    out = b""
    with open(log, "wb") as f, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
        while part := p.stdout.read1(65536):
            f.write(part)
            out += part
            if show:
                sys.stdout.buffer.write(part)
                sys.stdout.flush()
    out = out.decode(errors="replace").replace("\r", "")
    inner, outer = said(out, "guest"), said(out, "hypervisor")
    missing = [w for w in WANT if w not in inner] + [w for w in (f"npt {'NY'[npt]} nested 1", "end") if w not in outer]
    if p.returncode or missing or not any(line.startswith("guest ended with status 0 ") for line in outer):
        raise Failed(f"npt={npt}: status {p.returncode}, not seen: {missing}; the console's text is in {log}")
    with open(stats, encoding="ascii") as f:
        return inner, outer, json.load(f)


def total(stats, *path):
    """A count, summed over the processors."""
    out = 0
    for cpu in stats["cpus"]:
        for name in path:
            cpu = cpu[name]
        out += cpu
    return out


def by_code(stats):
    out = {}
    for cpu in stats["cpus"]:
        for code, n in cpu["world_switches"]["by_code"].items():
            out[code] = out.get(code, 0) + n
    return out


def per(a, b):
    return f"{a / b:.2f}" if b else "-"


def asid_sum(stats, name, guests):
    return sum(a[name] for cpu in stats["cpus"] for a in cpu["asids"] if (a["asid"] != 0) == guests)


def walk_rows(stats):
    """(text, value) for each line of the table of walks. Values are numbers, or texts."""
    def of(kind, name):
        return total(stats, "walks", kind, name)

    host, inner = of("host", "walks"), of("shadow", "walks") + of("nested", "walks")
    refs, saved = of("nested", "nested_references"), of("nested", "nested_references_saved")
    tables = of("shadow", "table_references") + of("nested", "table_references")
    return [
        ("walks of the hypervisor", host),
        ("  references to its tables", of("host", "table_references")),
        ("walks of the guest", inner),
        ("  first stage: references to tables", tables),
        ("  second stage: references to nested tables", refs),
        ("  second stage: saved by the walk caches", saved),
        ("  references for a walk", per(tables + refs, inner)),
        ("  without the walk caches", per(tables + refs + saved, inner)),
    ]


def tlb_rows(stats):
    rows = []
    for who, guests in (("hypervisor", False), ("guest", True)):
        rows += [(f"fills, {who}", asid_sum(stats, "fills", guests)),
                 (f"flushes, {who}", asid_sum(stats, "flushes", guests)),
                 (f"entries at the end, {who}", asid_sum(stats, "kept", guests))]
    return rows + [("guest-physical pages at the end", asid_sum(stats, "nested_kept", True))]


def work_rows(stats):
    host = stats["host"]
    return [
        ("instructions", stats["instructions"]),
        ("  of the hypervisor", total(stats, "host_instructions")),
        ("  of the guest", total(stats, "guest_instructions")),
        ("seconds", f"{host['run_seconds']:.2f}"),
        ("million instructions a second", f"{host['mips']:.0f}"),
        ("world switches", total(stats, "world_switches", "entries")),
        ("  instructions of the guest for each", per(total(stats, "guest_instructions"),
                                                     total(stats, "world_switches", "entries"))),
    ]


def exit_rows(both):
    """Rows of all methods at once: the codes, those that came most often first."""
    counts = [by_code(s) for s in both]
    codes = sorted({c for n in counts for c in n}, key=lambda c: (-sum(n.get(c, 0) for n in counts), c))
    return [(code, *(n.get(code, 0) for n in counts)) for code in codes]


def cell(value):
    return f"{value:,}" if isinstance(value, int) else value


def section(title, rows, widths):
    yield ""
    yield title.ljust(widths[0]) + "".join(m.rjust(widths[1]) for m in METHODS.values())
    for text, *values in rows:
        yield f"  {text}".ljust(widths[0]) + "".join(cell(v).rjust(widths[1]) for v in values)


def side_by_side(rows, both):
    return [(row[0], *(rows(s)[i][1] for s in both)) for i, row in enumerate(rows(both[0]))]


def report(results):
    """The lines that ./run ends with. results: {npt: what run() gave}."""
    inner, outer, _ = results[1]
    both = [results[npt][2] for npt in METHODS]
    seconds, done = sum(s["host"]["run_seconds"] for s in both), sum(s["instructions"] for s in both)

    def banner(lines):
        return next((line[len("banner "):] for line in lines if line.startswith("banner ")), "?")

    yield ""
    yield "hypervisor:   " + banner(outer)
    yield "its guest:    " + banner(inner)
    yield "in userland:  " + "; ".join(g for g in inner if g.split()[0] in ("ran", "sha256", "awk", "sorted"))
    yield f"instructions: {done}"
    yield f"speed:        {done / seconds / 1e6:.0f} MIPS ({seconds:.2f} s)"
    widths = (48, 17)
    for title, rows in (("work", side_by_side(work_rows, both)), ("exits by code", exit_rows(both)),
                        ("page walks", side_by_side(walk_rows, both)), ("TLB", side_by_side(tlb_rows, both))):
        yield from section(title, rows, widths)
    yield ""
    yield "main job: ok"


def job(program, files, folder, show=True):
    """Both runs and the report's lines."""
    results = {}
    for npt, method in METHODS.items():
        if show:
            print(f"run: {files[0]} as a hypervisor (kvm-amd, {method}), and the same kernel as its guest", flush=True)
        results[npt] = run(program, files, folder, npt, show)
    return report(results)


def main():
    program, folder = sys.argv[1:]
    where = os.path.join(folder, "guest")
    try:
        for line in job(program, (guest.kernel(where), guest.hypervisor(where)), folder):
            print(line)
    except guest.Missing as e:
        sys.exit(f"run: {e}")
    except Failed as e:
        sys.exit(f"main job: failed: {e}")


if __name__ == "__main__":
    main()
