"""Checks that every file includes only floors below its own, as docs/architecture.md has them.

check_floors.py SRC
"""
import os
import re
import sys

# Each floor, and those that it may include beside itself.
BELOW_CPU = {"base", "bus"}
ON_CPU = BELOW_CPU | {"cpu"}
PARTS = {"engine", "chipset", "device", "fabric", "firmware", "tpm"}
FLOORS = {
    "base": set(),
    "bus": {"base"},
    "cpu": BELOW_CPU,
    **{part: BELOW_CPU for part in PARTS},
    "engine": ON_CPU,
    "machine": ON_CPU | PARTS,
    "debug": ON_CPU | PARTS | {"machine"},
    "cli": ON_CPU | PARTS | {"machine", "debug"},
}


def check(src):
    bad = 0
    for folder, _, files in os.walk(src):
        floor = os.path.relpath(folder, src).split(os.sep)[0]
        for name in files:
            if not name.endswith((".c", ".h", ".S", ".inc", ".def")):
                continue
            path = os.path.join(folder, name)
            with open(path, errors="replace") as f:
                for number, line in enumerate(f, 1):
                    m = re.match(r'\s*#\s*include\s+"([^"/]+)/', line)
                    if not m:
                        continue
                    if floor not in FLOORS:
                        print(f"{path}: the floor '{floor}' is unknown; add it to tests/check_floors.py")
                        bad += 1
                        break
                    used = m.group(1)
                    if used != floor and used not in FLOORS[floor]:
                        print(f"{path}:{number}: {floor} may not include {used}")
                        bad += 1
    return bad


sys.exit(1 if check(sys.argv[1]) else 0)
