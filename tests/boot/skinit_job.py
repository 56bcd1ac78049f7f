"""./run skinit: a measured launch of the hypervisor, and once more with one byte of the loader changed.

skinit_job.py PACIFICA DIR    the guest's files and the logs go below DIR

A launcher, started like any kernel, executes SKINIT on the secure loader (tests/guest/loader). That one keeps devices out by
DEV, has the TPM measure the hypervisor (vmm/) and its configuration into PCR 18, and starts it; it boots Linux under nested
paging. PCR 17 and 18 are compared with what follows from the files alone.
"""
import hashlib
import os
import re
import subprocess
import sys

import guest

CONFIG = """[host]
end = off

[guest linux]
cpus = 0
memory = 256M
kernel = {kernel}
initrd = {initrd}
append = console=ttyS0 quiet
paging = nested
"""


class Files:
    """What one launch is made of."""

    def __init__(self, launcher, slb, vmm, config, modules):
        self.launcher, self.slb, self.vmm, self.config, self.modules = launcher, slb, vmm, config, modules


class Launch:
    """What came of one: the console's text, the PCRs as the loader read them, and what is not as it must be."""

    def __init__(self, out, pcr, problems):
        self.out, self.pcr, self.problems = out, pcr, problems


def files(build, guests, folder):
    kernel, initrd = guest.elf_kernel(guests), guest.initramfs(guests)
    config = os.path.join(folder, "vmm.ini")
    with open(config, "w", encoding="ascii") as f:
        f.write(CONFIG.format(kernel=os.path.basename(kernel), initrd=os.path.basename(initrd)))
    loader = os.path.join(build, "tests", "guest", "loader")
    return Files(os.path.join(loader, "launcher.img"), os.path.join(loader, "slb.bin"), os.path.join(build, "vmm", "vmm"), config,
                 [kernel, initrd])


def tampered(f, folder):
    """The same with one letter of the loader's first message changed."""
    image = bytearray(guest.read(f.slb))
    image[image.index(b"loader: started")] ^= 0x20
    path = os.path.join(folder, "tampered-slb.bin")
    with open(path, "wb") as out:
        out.write(image)
    return Files(f.launcher, path, f.vmm, f.config, f.modules)


def extend(value, data):
    return hashlib.sha256(value + hashlib.sha256(data).digest()).digest()


def expected(f):
    """PCR 17 and 18 by sha256 of the files."""
    slb = guest.read(f.slb)
    return {17: extend(bytes(32), slb[:int.from_bytes(slb[2:4], "little")]).hex(),
            18: extend(extend(bytes(32), guest.read(f.vmm)), guest.read(f.config)).hex()}


def launch(program, f, folder, show=False):
    argv = [program, "-kernel", f.launcher, "-initrd", ",".join([f.slb, f.vmm, f.config] + f.modules), "-m", "1G", "-cpu", "max",
            "-nographic", "-no-reboot", "-tpmdev", "libtpms,id=t", "-device", "tpm-tis,tpmdev=t", "-d", "skinit", "-D",
            os.path.join(folder, "skinit.log")]
    out = b""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
        while part := p.stdout.read1(65536):
            out += part
            if show:
                sys.stdout.buffer.write(part)
                sys.stdout.flush()
    text = out.decode(errors="replace").replace("\r", "")
    pcr = {int(n): v for n, v in re.findall(r"loader: PCR (\d+) ([0-9a-f]+)", text)}
    problems = [f"status {p.returncode}"] if p.returncode else []
    problems += [f"not seen: {w}" for w in ("loader: devices are kept out by DEV", "linux| guest: end") if w not in text]
    problems += [f"PCR {n} is {pcr.get(n)}, from the files {v}" for n, v in expected(f).items() if pcr.get(n) != v]
    return Launch(text, pcr, problems)


def main():
    program, build = sys.argv[1:]
    folder = os.path.join(build, "skinit")
    os.makedirs(folder, exist_ok=True)
    f = files(build, os.path.join(build, "guest"), folder)
    runs = [("the loader as built", launch(program, f, folder, show=True)),
            ("one byte of the loader changed", launch(program, tampered(f, folder), folder))]
    bad = 0
    for name, r in runs:
        print(f"\n{name}")
        for n in (17, 18):
            print(f"  PCR {n}  {r.pcr.get(n, '-')}")
        for problem in r.problems:
            print(f"  {problem}")
        print("  as computed from the files by SHA-256" if not r.problems else "  NOT as it must be")
        bad += len(r.problems)
    if runs[0][1].pcr.get(17) == runs[1][1].pcr.get(17):
        print("PCR 17 is the same after the change")
        bad += 1
    print("\nmeasured launch: " + ("failed" if bad else "ok"))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    try:
        main()
    except guest.Missing as e:
        sys.exit(f"skinit: {e}")
