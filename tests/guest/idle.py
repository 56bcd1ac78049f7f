#!/usr/bin/env python3
"""idle.py PACIFICA IDLE_IMAGE DEAF_IMAGE: what a machine does whose guest does nothing."""
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time

pacifica, idle, deaf = sys.argv[1:]
BOARD = ["-cpu", "max", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot"]


def cpu_seconds():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def run(image, *options, **how):
    return subprocess.run([pacifica, *BOARD, "-kernel", image, *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, timeout=60, text=True, check=False, **how)


def with_somebody_there():
    """With a socket open, waiting costs next to nothing."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "serial")
        before = cpu_seconds()
        p = subprocess.Popen([pacifica, *BOARD, "-kernel", idle, "-serial", f"unix:{path},server,nowait"])
        s = socket.socket(socket.AF_UNIX)
        for _ in range(100):
            try:
                s.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        time.sleep(4)
        p.terminate()
        status = p.wait(10)
        used = cpu_seconds() - before
    assert status == 0, f"status {status}"
    assert used < 1, f"{used} s of the host's CPU in 4 s of waiting"


def with_nobody_there():
    """Alone, no idle time is waited for: 300,000 instructions of ticks are minutes of the guest's."""
    start = time.monotonic()
    p = run(idle, "-serial", "stdio", "-limit", "300000")
    assert p.returncode == 0 and p.stdout == "waiting\n", f"status {p.returncode}, {p.stdout!r}"
    assert time.monotonic() - start < 30


def halted_for_good():
    """-limit ends a machine that will never execute so many instructions."""
    p = run(deaf, "-serial", "stdio", "-limit", "300000000")
    assert p.returncode == 0 and p.stdout == "halted\n", f"status {p.returncode}, {p.stdout!r}"


def the_limit_is_exact():
    """Ticks that come at the limit do not add to it."""
    counts = []
    for n in range(50000, 50020):
        p = run(idle, "-serial", "stdio", "-limit", str(n), "-state-hash")
        counts.append(p.stdout.split()[-1])
    assert counts == [str(n) for n in range(50000, 50020)], counts


for test in (with_somebody_there, with_nobody_there, halted_for_good, the_limit_is_exact):
    test()
    print("ok:", test.__name__)
