#!/usr/bin/env python3
# measure.py PACIFICA: PCR 17 after -slb equals H(0 || H(block)) for blocks of every kind, with TPM 1.2 and 2.0; 18 to 22 are
# reset; one changed byte changes PCR 17.
import hashlib
import os
import re
import socket
import subprocess
import sys
import tempfile

pacifica = sys.argv[1]
failed = 0


def block(length, entry=4, size=None):
    """A loader block: its header, then code that writes K to COM1 and halts, then bytes to fill it."""
    code = bytes.fromhex("66baf803b04beefaf4ebfd")
    b = bytearray(max(length, entry + len(code), size or 0))
    b[0:2], b[2:4] = entry.to_bytes(2, "little"), length.to_bytes(2, "little")
    for i in range(4, len(b)):
        b[i] = i * 7 & 0xFF
    b[entry:entry + len(code)] = code
    return b


def ask(path, commands):
    """What the monitor answers; its last prompt ends it."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(commands)
        out = b""
        while out.count(b"(qemu)") <= commands.count(b"\n"):
            more = s.recv(65536)
            if not more:
                break
            out += more
    return out.decode()


def launch(image, device, version):
    """The PCRs once the block has said on COM1 that it runs."""
    with tempfile.TemporaryDirectory() as d:
        path, monitor = os.path.join(d, "slb"), os.path.join(d, "monitor")
        with open(path, "wb") as f:
            f.write(image)
        p = subprocess.Popen([pacifica, "-slb", path, "-display", "none", "-nodefaults", "-serial", "stdio", "-monitor",
                              f"unix:{monitor},server,nowait", "-tpmdev", f"libtpms,id=t,version={version}", "-device",
                              f"{device},tpmdev=t"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            if p.stdout.read(1) != b"K":
                sys.exit("the block did not run")
            out = ask(monitor, b"info skinit\ninfo tpm\n")
        finally:
            p.kill()
            p.wait()
    return {(int(n), int(a)): h for n, a, h in re.findall(r"PCR +(\d+) SHA-(\d+): ([0-9a-f]+)", out)}


def check(what, have, want):
    global failed
    if have != want:
        print(f"{what}: {have}, should be {want}")
        failed += 1


def expect(image):
    length = int.from_bytes(image[2:4], "little")
    data = bytes(image[:length]).ljust(length, b"\0")
    return {a: f(bytes(n) + f(data).digest()).hexdigest()
            for a, f, n in ((1, hashlib.sha1, 20), (256, hashlib.sha256, 32))}


def one(what, image, device, version):
    pcr = launch(image, device, version)
    want = expect(image)
    for a in (1, 256) if version == "2.0" else (1,):
        check(f"{what}: PCR 17, SHA-{a}", pcr.get((17, a)), want[a])
        for n in range(18, 23):
            check(f"{what}: PCR {n}, SHA-{a}", pcr.get((n, a)), "00" * (20 if a == 1 else 32))
    return pcr.get((17, 1))


blocks = {"64 bytes": block(64), "length 0": block(0), "an odd length": block(1001), "length 65535": block(65535),
          "an entry outside of what is measured": block(16, entry=0x8000), "a file of 100 KB": block(65535, size=100 * 1024)}
def told(image, *words):
    """-d skinit has a line with these words."""
    global failed
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "slb")
        with open(path, "wb") as f:
            f.write(image)
        p = subprocess.run([pacifica, "-slb", path, "-display", "none", "-nodefaults", "-limit", "100000", "-d", "skinit"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20)
    if not any(all(w in line for w in words) for line in p.stderr.decode().splitlines()):
        print(f"no line with {words} in: {p.stderr.decode()}")
        failed += 1


told(block(64, size=100 * 1024), "102400 bytes", "neither measured nor protected")
told(block(16, entry=0x8000), "8000", "the entry is outside of what is measured")
told(block(2), "the header is not measured")
for name, image in blocks.items():
    one(name, image, "tpm-tis", "2.0")
one("TPM 1.2", block(64), "tpm-tis", "1.2")
first = one("CRB", block(64), "tpm-crb", "2.0")
changed = block(64)
changed[40] ^= 1
if one("one byte changed", changed, "tpm-tis", "2.0") == first:
    print("one changed byte of the block left PCR 17 as it was")
    failed += 1
sys.exit(1 if failed else 0)
