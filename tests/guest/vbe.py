#!/usr/bin/env python3
"""vbe.py PACIFICA IMAGE: the screen is what the guest painted, dot for dot."""
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib

WIDTH, HEIGHT = 640, 480


def png(path):
    """Width, height, and the rows of an RGB picture whose rows have the filters 0 to 4."""
    with open(path, "rb") as f:
        data = f.read()
    at, parts, head = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", body)
        if kind == b"IDAT":
            parts += body
        at += 12 + size
    width, height, depth, colour = head[:4]
    assert depth == 8 and colour in (2, 6), head
    n = 3 if colour == 2 else 4
    raw, rows, last = zlib.decompress(parts), [], bytearray(width * n)
    for y in range(height):
        start = y * (width * n + 1)
        how, row = raw[start], bytearray(raw[start + 1:start + 1 + width * n])
        for i in range(width * n):
            a = row[i - n] if i >= n else 0
            b, c = last[i], last[i - n] if i >= n else 0
            p = min((a, b, c), key=lambda v, s=a + b - c: abs(s - v))
            row[i] = row[i] + (0, a, b, (a + b) // 2, p)[how] & 255
        rows.append([tuple(row[i:i + 3]) for i in range(0, width * n, n)])
        last = row
    return width, height, rows


pacifica, image = (os.path.abspath(a) for a in sys.argv[1:])
with tempfile.TemporaryDirectory() as d:
    serial, shot = os.path.join(d, "serial"), os.path.join(d, "screen.png")
    p = subprocess.Popen([pacifica, "-m", "64", "-kernel", image, "-display", "none", "-serial", "file:" + serial, "-monitor",
                          "stdio", "-no-reboot"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for _ in range(200):
        if os.path.exists(serial) and "painted" in open(serial, encoding="ascii").read():
            break
        time.sleep(0.1)
    p.communicate(f"screendump {shot}\nquit\n", timeout=30)
    assert p.returncode == 0, p.returncode
    width, height, rows = png(shot)
assert (width, height) == (WIDTH, HEIGHT), (width, height)
for y, row in enumerate(rows):
    for x, dot in enumerate(row):
        assert dot == (x & 255, y & 255, (x >> 8) << 4 | y >> 8), f"at {x}, {y}: {dot}"
