"""Every option, log item, device and monitor command is in the documents, and none that there is not.

check_docs.py PACIFICA ROOT: the table in src/cli/options.c against docs/command-line.md and docs/pacifica.1, both ways; what
`-d help`, `-device help` and the monitor's help list against docs/command-line.md. Where the man page has to name all of a
list (-d), it is compared too.
"""
import os
import re
import subprocess
import sys

PROGRAM, ROOT = sys.argv[1:]
OPTION = re.compile(r'^    \{"([\w-]+)", (?:NULL|".*"), \w+,', re.M)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def output(*args, text=""):
    return subprocess.run([PROGRAM, *args], input=text, capture_output=True, text=True, check=True, timeout=20).stdout


def code(markdown):
    """What stands between backticks, fenced blocks included."""
    return "\n".join(re.findall(r"```.*?```|`[^`]+`", markdown, re.S))


def plain(roff):
    """The man page without its escapes and requests, so that an option is a word with a hyphen before it."""
    lines = (re.sub(r"^\.\w+ ?", "", line) for line in roff.splitlines())
    return re.sub(r'\\f.|"', "", "\n".join(lines)).replace("\\-", "-")


def options(text):
    """The words that look like one of our options: -name, where nothing is before the hyphen that makes it another's."""
    return set(re.findall(r"(?:^|[\s`(|])-([A-Za-z][\w-]*)", text, re.M))


def words(text):
    return set(re.findall(r"[\w.-]+", text))


def main():
    table = set(OPTION.findall(read("src", "cli", "options.c")))
    assert len(table) > 50, "the table of options is not where it was"
    markdown, page = read("docs", "command-line.md"), plain(read("docs", "pacifica.1"))
    wrong = []
    for name, text in (("docs/command-line.md", code(markdown)), ("docs/pacifica.1", page)):
        found = options(text)
        wrong += [f"{name} does not name the option -{o}" for o in sorted(table - found)]
        wrong += [f"{name} names the option -{o}, which there is not" for o in sorted(found - table)]
    items = re.findall(r"^(\w+) ", output("-d", "help").split("\n", 1)[1], re.M)
    devices = re.findall(r'^name "([^"]+)"', output("-device", "help"), re.M)
    monitor = output("-S", "-nodefaults", "-display", "none", "-monitor", "stdio", text="help\nquit\n")
    commands = re.findall(r"^([a-z_]+(?: [a-z]+)?)\|?\S* .*?  ", monitor, re.M)
    commands = {" ".join(c.split()[:2 if c.startswith("info") else 1]) for c in commands} - {"help"}
    assert len(items) > 8 and len(devices) > 10 and len(commands) > 30, (items, devices, commands)
    known = words(code(markdown))
    wrong += [f"docs/command-line.md does not name the log item {i}" for i in items if i not in known]
    wrong += [f"docs/pacifica.1 does not name the log item {i}" for i in items if i not in words(page)]
    wrong += [f"docs/command-line.md does not name the device {d}" for d in devices if d not in known]
    for c in sorted(commands):
        if not re.search(rf"`{re.escape(c)}[` ,/]", markdown):
            wrong.append(f"docs/command-line.md does not name the monitor's command {c}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


sys.exit(main())
