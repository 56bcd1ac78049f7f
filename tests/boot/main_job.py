"""The closing words of ./run: what ran in the guest, how much was executed, how fast.

main_job.py LOG STATS STATUS
"""
import json
import sys

WANT = ["begin", "sha256 of 1 MB of zeros 30e14955ebf13522", "end"]


def main():
    with open(sys.argv[1], errors="replace") as f:
        guest = [line.strip()[len("guest: "):] for line in f if line.startswith("guest: ")]
    missing = [w for w in WANT if w not in guest]
    if sys.argv[3] != "0" or missing:
        sys.exit(f"main job: failed (status {sys.argv[3]}, not seen: {missing})")
    with open(sys.argv[2]) as f:
        stats = json.load(f)
    banner = next(g for g in guest if g.startswith("banner "))
    print()
    print("kernel:       " + banner[len("banner "):])
    print("in userland:  " + "; ".join(g for g in guest if g.split()[0] in ("ran", "sha256", "awk", "sorted")))
    print(f"instructions: {stats['instructions']}")
    print(f"speed:        {stats['host']['mips']:.0f} MIPS ({stats['host']['run_seconds']:.2f} s)")
    print("main job: ok")


main()
