#!/usr/bin/env python3
# counts.py PACIFICA IMAGE: what -stats says of tlb_counts.c is what the manual's walk takes, and what a world
# switch costs does not grow with the number of ASIDs, nor with what the TLB holds.
import json, os, subprocess, sys, tempfile

pacifica, image = sys.argv[1:]
failed = 0


def run(asids, turns, reads, cpu="max,asids=200"):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "stats.json")
        args = [pacifica, "-cpu", cpu, "-m", "64", "-kernel", image, "-append", f"{asids} {turns} {reads}",
                "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-limit", "200000000",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-stats", path]
        p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=20)
        if p.returncode != 33:
            sys.exit(f"status {p.returncode}: {p.stdout.decode()}")
        with open(path) as f:
            c = json.load(f)["cpus"][0]
    guests = [a for a in c["asids"] if a["asid"]]
    n = c["walks"]["nested"]
    return {
        "entries": c["world_switches"]["entries"], "exits": c["world_switches"]["by_code"]["VMEXIT_VMMCALL"],
        "walks": n["walks"], "references": n["table_references"], "nested walks": n["nested_walks"],
        "nested references": n["nested_references"], "saved": n["nested_references_saved"],
        "fills": sum(a["fills"] for a in guests), "flushes": sum(a["flushes"] for a in guests),
        "kept": sum(a["kept"] for a in guests), "nested kept": sum(a["nested_kept"] for a in guests),
        "host walks": c["walks"]["host"]["walks"], "host fills": c["asids"][0]["fills"],
    }


def check(what, have, want):
    global failed
    for k, v in want.items():
        if have[k] != v:
            print(f"{what}: {k} are {have[k]}, should be {v}")
            failed += 1


# A cold walk: 4 references to the guest's tables, each behind 4 to nested ones, and 4 more for the page: 24.
check("a cold walk", run(1, 1, 0),
      {"walks": 1, "references": 4, "nested walks": 5, "nested references": 20, "saved": 0, "kept": 1,
       "nested kept": 5, "flushes": 0, "entries": 1, "exits": 1})
# A page beside it: what is kept of nested tables leaves 4 references, and those to the guest's tables.
for reads in 1, 2, 30:
    check(f"{reads} pages beside it", run(1, 1, reads),
          {"walks": 1 + reads, "references": 4 + 4 * reads, "nested walks": 5 + reads,
           "nested references": 20 + 4 * reads, "saved": 16 * reads, "kept": 1 + reads})

# Further turns take no walk and no flush, with one ASID or many, with few pages in the TLB or many; and while
# there are as many contexts as ASIDs, nothing is filled anew.
for asids, reads in (1, 0), (1, 200), (20, 0), (20, 30), (99, 0), (99, 10):
    once, often = run(asids, 2, reads), run(asids, 40, reads)
    what = f"{asids} ASIDs with {reads} pages, 40 turns against 2"
    same = ["walks", "references", "nested references", "saved", "flushes", "kept", "nested kept", "host walks"]
    same += ["fills", "host fills"] if asids < 32 else []
    check(what, often, {k: once[k] for k in same})
    check(what, often, {"entries": 40 * asids, "walks": asids * (1 + reads), "flushes": 0,
                        "references": 4 * asids * (1 + reads)})
    wide = run(asids, 40, reads, "max,asids=200,tlb-contexts=128")
    check(what + ", 128 contexts", wide, {"walks": asids * (1 + reads), "fills": asids * (1 + reads)})

print("PASS" if not failed else "FAIL")
sys.exit(failed != 0)
