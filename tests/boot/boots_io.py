"""Tests in which a Linux guest uses its network and its disks. As boots.py."""
import contextlib
import hashlib
import http.server
import re
import signal
import socket
import subprocess
import threading
import time

import boots
import guest

APPEND = "console=ttyS0 quiet "
FILE = b"".join(b"%d\n" % n for n in range(500000))  # 3.4 MB


def _digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def _linux(ctx, *args):
    return ["-kernel", guest.elf_kernel(ctx.guest), "-initrd", guest.io_initramfs(ctx.guest), "-nographic", "-no-reboot",
            "-m", "256", *args]


def _runs(ctx, args, seconds=120):
    r = boots._run(ctx, args, seconds)
    r.line("guest: end")
    assert "guest: trouble" not in r.out, r.out[-2000:]
    assert r.status == 0, f"status {r.status}: {r.err}"
    return r


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(FILE)))
        self.end_headers()
        self.wfile.write(FILE)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def _http():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def _sink():
    """A port that takes what comes; the list gets its length."""
    s, got = socket.create_server(("127.0.0.1", 0)), []

    def take():
        with contextlib.suppress(OSError):
            c, _ = s.accept()
            n = 0
            try:
                while part := c.recv(65536):
                    n += len(part)
                c.sendall(b"%d\n" % n)
            finally:
                got.append(n)
                c.close()

    t = threading.Thread(target=take, daemon=True)
    t.start()
    try:
        yield s.getsockname()[1], got, t
    finally:
        s.close()


def _call(port, seconds):
    """Asks the guest through a forwarded port until it answers."""
    until = time.time() + seconds
    while time.time() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), seconds) as s:
            data = s.recv(100)
            if data:
                return data
        time.sleep(0.2)
    return b""


def _network(ctx, driver, nic, address="52:54:00:12:34:56", extra=()):
    with _http() as port, _sink() as (sink, got, taker):
        forward, answer = _free_port(), []
        caller = threading.Thread(target=lambda: answer.append(_call(forward, 100 * ctx.factor)), daemon=True)
        caller.start()
        args = [a.replace("FORWARD", f"hostfwd=tcp:127.0.0.1:{forward}-:80") for a in nic]
        r = _runs(ctx, _linux(ctx, *args, "-append", f"{APPEND}net=10.0.2.2:{port} sink={sink} serve=1", *extra))
        caller.join(10)
        taker.join(10)
    r.line(f"guest: driver {driver} {address}")
    r.line("guest: address 10.0.2.15/24")
    assert r.line("guest: fetched [0-9a-f]+").split()[-1] == _digest(FILE)
    r.line("guest: sent 3000000")
    assert got == [3000000], got
    r.line("guest: answered")
    assert answer == [b"hello from the guest\n"], answer
    counts = [int(n) for n in r.line("guest: counts [0-9 ]+").split()[2:]]
    assert counts[2] == 0 and counts[10] == 0, f"errors: {counts}"
    return r


def a_file_comes_over_http_by_virtio_net(ctx):
    _network(ctx, "virtio_net", ["-netdev", "user,id=n0,FORWARD", "-device", "virtio-net-pci,netdev=n0"])


def a_file_comes_over_http_by_legacy_virtio_net_without_merged_buffers(ctx):
    _network(ctx, "virtio_net", ["-netdev", "user,id=n0,FORWARD", "-device",
                                 "virtio-net-pci,netdev=n0,disable-modern=on,mrg_rxbuf=off,vectors=0,mac=52:54:00:aa:bb:cc"],
             "52:54:00:aa:bb:cc")


def a_network_works_on_the_host_s_clock(ctx):
    _network(ctx, "virtio_net", ["-nic", "user,model=virtio,FORWARD"], extra=["-clock", "host"])


def _image(ctx, megabytes=16):
    path = ctx.path("disk.img")
    with open(path, "wb") as f:
        f.truncate(megabytes << 20)
    return path


AHCI = ["-device", "ahci,id=sata"]


def _sata(image, port=0):
    return ["-drive", f"if=none,id=d{port},file={image},format=raw", "-device", f"ide-hd,drive=d{port},bus=sata.{port}"]


def _kept(r):
    wrote, read = (r.line(f"guest: {verb} [0-9a-f]+").split()[-1] for verb in ("wrote", "read"))
    assert wrote == read, f"wrote {wrote}, read {read}"
    return wrote


def a_file_system_on_a_sata_disk_keeps_what_was_written(ctx):
    disk = AHCI + _sata(_image(ctx), 3)
    wrote = _kept(_runs(ctx, _linux(ctx, *disk, "-append", APPEND + "dev=sda fs=1")))
    again = _runs(ctx, _linux(ctx, *disk, "-append", APPEND + "dev=sda fs=read"))
    assert again.line("guest: read [0-9a-f]+").split()[-1] == wrote


def a_raw_sata_disk_keeps_what_was_written(ctx):
    image = _image(ctx)
    wrote = _kept(_runs(ctx, _linux(ctx, *AHCI, *_sata(image), "-append", APPEND + "dev=sda raw=1")))
    data = b"".join(b"%d\n" % n for n in range(1, 200001))
    assert wrote == _digest(data)
    with open(image, "rb") as f:
        assert f.read(len(data)) == data, "the image does not hold what the guest wrote"


def a_cd_is_read_through_ahci(ctx):
    cd = guest.grub_cd(ctx.guest, guest.kernel(ctx.guest), guest.initramfs(ctx.guest))
    r = _runs(ctx, _linux(ctx, *AHCI, "-drive", f"if=none,id=c,file={cd},media=cdrom", "-device",
                          "ide-cd,drive=c,bus=sata.1", "-append", APPEND + "cd=sr1"))
    with open(guest.kernel(ctx.guest), "rb") as f:
        assert r.line("guest: cd [0-9a-f]+").split()[-1] == _digest(f.read())


def the_bios_boots_from_a_sata_cd_and_a_sata_disk(ctx):
    cd = guest.grub_cd(ctx.guest, guest.kernel(ctx.guest), guest.initramfs(ctx.guest))
    for drive in (["-drive", f"if=none,id=c,file={cd},media=cdrom", "-device", "ide-cd,drive=c,bus=sata.0", "-boot", "d"],
                  ["-drive", f"if=none,id=c,file={cd},format=raw,snapshot=on", "-device", "ide-hd,drive=c,bus=sata.0",
                   "-boot", "c"]):
        r = boots._run(ctx, ["-nographic", "-no-reboot", "-m", "256", *AHCI, *drive], 180)
        r.line("guest: end")
        assert r.status == 0, f"status {r.status}: {r.err}"


def _survives_a_kill(ctx, device, drive, image):
    """Each block that the guest was told is on the disk is in the image after the emulator was killed."""
    args = _linux(ctx, *drive, "-append", f"{APPEND}dev={device} sync=1")
    p = subprocess.Popen([ctx.program] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seen, out = 0, b""
    killer = threading.Timer(100 * ctx.factor, p.kill)
    killer.start()
    for line in p.stdout:
        out += line
        m = re.match(rb"guest: synced (\d+)", line)
        if m:
            seen = int(m.group(1))
        if seen >= 40:
            break
    p.send_signal(signal.SIGKILL)
    out += p.stdout.read()
    p.wait()
    killer.cancel()
    seen = max([int(n) for n in re.findall(rb"guest: synced (\d+)\r?\n", out)] or [0])
    assert seen >= 40, out[-2000:]
    with open(image, "rb") as f:
        data = f.read()
    for n in range(1, seen + 1):
        at = n * 512
        assert data[at:at + 16] == b"block %010d" % n, f"block {n} of {seen}: {data[at:at + 16]}"


def synced_data_of_a_virtio_disk_survives_a_kill(ctx):
    image = _image(ctx)
    _survives_a_kill(ctx, "vda", ["-drive", f"file={image},format=raw,if=virtio"], image)


def synced_data_of_an_ide_disk_survives_a_kill(ctx):
    image = _image(ctx)
    _survives_a_kill(ctx, "sda", ["-drive", f"file={image},format=raw,if=ide"], image)


def synced_data_of_a_sata_disk_survives_a_kill(ctx):
    image = _image(ctx)
    _survives_a_kill(ctx, "sda", AHCI + _sata(image), image)


def a_file_comes_over_http_by_e1000(ctx):
    _network(ctx, "e1000", ["-nic", "user,mac=52:54:00:01:02:03,FORWARD"], "52:54:00:01:02:03")


def the_monitor_knows_networks_and_sata_drives(ctx):
    cd = ctx.path("disc.iso")
    with open(cd, "wb") as f:
        f.truncate(1 << 20)
    args = ["-S", "-display", "none", "-nic", "user,model=virtio,id=net", *AHCI, "-drive",
            f"if=none,id=c,file={cd},media=cdrom", "-device", "ide-cd,drive=c,bus=sata.2,id=cd"]
    with boots._started(ctx, args) as (p, s):
        assert "net: user, no driver" in boots._ask(s, "info network")
        assert f"cd: {cd}" in boots._ask(s, "info block")
        boots._ask(s, "eject cd")
        assert "cd: [not inserted]" in boots._ask(s, "info block")
        boots._ask(s, f"change cd {cd}")
        assert f"cd: {cd}" in boots._ask(s, "info block")


def wrong_networks_are_one_line_and_status_2(ctx):
    boots._refused(ctx, ["-netdev", "user"], "id")
    boots._refused(ctx, ["-netdev", "tap,id=a"], "tap", "user")
    boots._refused(ctx, ["-netdev", "user,id=a,foo=1"], "foo")
    boots._refused(ctx, ["-device", "e1000"], "netdev")
    boots._refused(ctx, ["-device", "e1000,netdev=q"], "q")
    boots._refused(ctx, ["-nic", "user,model=ne2000"], "ne2000", "e1000")
    boots._refused(ctx, ["-nic", "user,mac=01:00:00:00:00:00"], "01:00:00:00:00:00")
    boots._refused(ctx, ["-net", "user"], "-nic")
    boots._refused(ctx, ["-device", "ide-cd,bus=sata.0"], "sata.0", "ahci")
    boots._refused(ctx, ["-device", "ahci,id=s", "-device", "ide-cd,bus=s.7"], "7")
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = str(s.getsockname()[1])
        boots._refused(ctx, ["-nic", f"user,hostfwd=tcp:127.0.0.1:{port}-:80"], port, "in use")
