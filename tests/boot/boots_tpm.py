"""Tests of the TPM with a Linux guest, and of a measured launch. As boots.py."""
import os
import shutil
import subprocess
import time

import boots
import guest
import skinit_job


def _guest(ctx, device, backend, tools=False):
    r = boots._run(ctx, ["-kernel", guest.elf_kernel(ctx.guest), "-initrd", guest.tpm_initramfs(ctx.guest, tools), "-append",
                         "console=ttyS0 quiet", "-nographic", "-no-reboot", "-m", "256", "-tpmdev", f"{backend},id=t", "-device",
                         f"{device},tpmdev=t"])
    r.line("guest: end")
    assert "guest: trouble" not in r.out, r.out[-2000:]
    assert r.status == 0, f"status {r.status}: {r.err}"
    return r


def _pcrs(r, banks):
    """PCR 0, 16 and 23 are zero, 17 is ones until a launch."""
    for bank, size in banks.items():
        for n, value in ((0, "00"), (16, "00"), (17, "FF"), (23, "00")):
            r.line(f"guest: pcr {n} {bank} {value * size}")


def linux_finds_a_tpm_2_0_behind_tis_and_a_quote_of_it_verifies(ctx):
    r = _guest(ctx, "tpm-tis", f"libtpms,state={ctx.path('state')}", tools=True)
    r.line("guest: driver tpm_tis version 2")
    _pcrs(r, {"sha1": 20, "sha256": 32})
    import hashlib
    value = hashlib.sha256(bytes(32) + b"\x11" * 32).hexdigest().upper()
    r.line(f"guest: pcr 16 sha256 {value}")
    r.line("guest: the quote verifies")
    r.line("guest: and not with another nonce")


def linux_finds_a_tpm_2_0_with_a_command_response_buffer(ctx):
    r = _guest(ctx, "tpm-crb", "libtpms")
    r.line("guest: driver tpm_crb version 2")
    _pcrs(r, {"sha1": 20, "sha256": 32})


def linux_finds_a_tpm_1_2(ctx):
    r = _guest(ctx, "tpm-tis", "libtpms,version=1.2")
    r.line("guest: driver tpm_tis version 1")
    _pcrs(r, {"sha1": 20})


def linux_finds_the_tpm_of_swtpm(ctx):
    if not shutil.which("swtpm"):
        raise guest.Missing("swtpm is missing; install it")
    control = ctx.path("control")
    os.mkdir(ctx.path("tpm"))
    p = subprocess.Popen(["swtpm", "socket", "--tpmstate", f"dir={ctx.path('tpm')}", "--ctrl", f"type=unixio,path={control}",
                          "--tpm2"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not os.path.exists(control) and p.poll() is None:
            time.sleep(0.01)
        r = _guest(ctx, "tpm-tis", f"socket,path={control}")
        r.line("guest: driver tpm_tis version 2")
        _pcrs(r, {"sha1": 20, "sha256": 32})
        assert p.wait(10) == 0
    finally:
        p.kill()
        p.wait()


def _refused(ctx, path, version, *words):
    before = guest.read(path)
    boots._refused(ctx, ["-tpmdev", f"libtpms,id=t,state={path},version={version}", "-device", "tpm-tis,tpmdev=t"], path, *words)
    assert guest.read(path) == before, "the file was changed"


def a_state_that_is_none_is_one_line_and_left_as_it_was(ctx):
    state, other = ctx.path("state"), ctx.path("other")
    boots._run(ctx, ["-display", "none", "-limit", "1000", "-tpmdev", f"libtpms,id=t,state={state}", "-device", "tpm-tis,tpmdev=t"])
    whole = guest.read(state)
    _refused(ctx, state, "1.2", "version=2.0")
    for text, words in ((b"", "damaged"), (whole[:len(whole) // 2], "damaged"), (b"x" * 1000, "not a TPM state")):
        with open(other, "wb") as f:
            f.write(text)
        _refused(ctx, other, "2.0", words if text else "not a TPM state")


def a_measured_launch_starts_the_hypervisor_and_its_guest(ctx):
    build = os.path.dirname(ctx.program)
    files = skinit_job.files(build, ctx.guest, ctx.tmp)
    first = skinit_job.launch(ctx.program, files, ctx.tmp)
    assert first.problems == [], first.problems
    changed = skinit_job.launch(ctx.program, skinit_job.tampered(files, ctx.tmp), ctx.tmp)
    assert changed.problems == [], changed.problems
    assert first.pcr[17] != changed.pcr[17], "one changed byte left PCR 17 as it was"
    assert first.pcr[18] == changed.pcr[18]
