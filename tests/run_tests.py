"""Runs all tests and prints one line for each; the last line is "N passed, M failed".

run_tests.py BUILD [NAME...]: those whose name contains one of the NAMEs; without, all but the extra ones.
"""
import concurrent.futures
import glob
import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "boot"))
import boots  # noqa: E402
import guest  # noqa: E402


def meson_tests(build):
    out = subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True, text=True)
    for t in json.loads(out.stdout):
        yield t["name"], lambda t=t: run_program(t, build)


SKIPPED = 77  # the status of a test that this host cannot run; its last line says why


def run_program(t, build):
    env = dict(os.environ, **t.get("env", {}))
    timeout = (t["timeout"] or 600) * FACTOR
    try:
        r = subprocess.run(t["cmd"], cwd=t.get("workdir") or build,  # as meson does: paths in cmd may be relative
                           env=env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    except subprocess.TimeoutExpired as e:
        raise AssertionError(f"not finished after {timeout} s\n{(e.output or b'').decode(errors='replace')[-2000:]}")
    if r.returncode == SKIPPED:
        raise guest.Skipped((r.stdout.decode(errors="replace").strip().splitlines() or [""])[-1])
    if r.returncode:
        raise AssertionError(f"status {r.returncode}\n" + r.stdout.decode(errors="replace")[-4000:])


def boot_tests(build):
    def run(test):
        ctx = boots.Context(build, FACTOR)
        try:
            test(ctx)
        finally:
            shutil.rmtree(ctx.tmp, ignore_errors=True)

    for path in sorted(glob.glob(os.path.join(HERE, "boot", "boots*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        for name, test in inspect.getmembers(module, inspect.isfunction):
            if not name.startswith("_") and test.__module__ == module.__name__:
                yield "boot/" + name, lambda test=test: run(test)


def one(name, test):
    """(name, "ok", "skip" or "FAIL", what there is to say, seconds)"""
    start = time.time()
    word, text = judge(test)
    return name, word, text, time.time() - start


def judge(test):
    try:
        test()
        return "ok", ""
    except guest.Skipped as e:
        return "skip", str(e)
    except guest.Missing as e:
        return "FAIL", str(e)
    except AssertionError as e:
        return "FAIL", str(e)
    except Exception:  # a test that breaks has failed, and the others go on
        return "FAIL", traceback.format_exc()


def prepare(build):
    """What several boot tests share is made before they run side by side."""
    where = boots.Context(build, 1)
    shutil.rmtree(where.tmp)
    guest.kernel(where.guest)
    guest.initramfs(where.guest)
    guest.hypervisor(where.guest)
    guest.dev_initramfs(where.guest)
    for init in ("init-io", "init-nodes"):
        guest.io_initramfs(where.guest, init)


def main():
    global FACTOR
    build, names = sys.argv[1], sys.argv[2:]
    FACTOR = 8 if "sanitize" in build else 1
    tests = [t for t in list(meson_tests(build)) + list(boot_tests(build))
             if (any(n in t[0] for n in names) if names else not t[0].startswith("boot/extra_"))]
    if not tests:
        sys.exit(f"run: no test has a name with {' or '.join(names)}")
    if any(name.startswith("boot/") for name, _ in tests):
        try:
            prepare(build)
        except guest.Missing as e:
            print(f"boot tests: {e}", flush=True)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done in concurrent.futures.as_completed([pool.submit(one, *t) for t in tests]):
            name, word, text, seconds = done.result()
            passed += word == "ok"
            failed += word == "FAIL"
            print(f"{word:4} {name} ({seconds:.1f} s)", flush=True)
            if text:
                print("     " + text.rstrip().replace("\n", "\n     "), flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


FACTOR = 1
main()
