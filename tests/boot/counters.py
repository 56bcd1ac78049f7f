"""What a machine counted (-stats), and tables of it: a column for each run, a row for each count."""
import json


class Counts:
    """The counts of one run, summed over its processors."""

    def __init__(self, path):
        with open(path, encoding="ascii") as f:
            self.stats = json.load(f)
        self.instructions = self.stats["instructions"]
        self.host = self.stats["host"]

    def cpus(self, *path):
        out = 0
        for cpu in self.stats["cpus"]:
            for name in path:
                cpu = cpu[name]
            out += cpu
        return out

    def exits(self):
        """World switches by the code that ended them."""
        out = {}
        for cpu in self.stats["cpus"]:
            for code, n in cpu["world_switches"]["by_code"].items():
                out[code] = out.get(code, 0) + n
        return out

    def walks(self, name, *kinds):
        return sum(self.cpus("walks", kind, name) for kind in kinds)

    def asids(self, name, guests):
        return sum(a[name] for cpu in self.stats["cpus"] for a in cpu["asids"] if (a["asid"] != 0) == guests)

    def denials(self, node):
        return sum(self.stats["dev"][node]["denials_by_domain"])


def per(a, b):
    return f"{a / b:.2f}" if b else "-"


def work(c):
    exits = c.cpus("world_switches", "exits")
    return [
        ("instructions", c.instructions),
        ("  of the hypervisor", c.cpus("host_instructions")),
        ("  of the guest", c.cpus("guest_instructions")),
        ("seconds of CPU time", f"{c.host['user_seconds'] + c.host['system_seconds']:.2f}"),
        ("million instructions a second", f"{c.host['mips']:.0f}"),
        ("world switches", exits),
        ("  instructions of the guest for each", per(c.cpus("guest_instructions"), exits)),
    ]


def walks(c):
    guests = ("shadow", "nested")
    inner, tables = c.walks("walks", *guests), c.walks("table_references", *guests)
    refs, saved = (c.cpus("walks", "nested", "nested_references" + end) for end in ("", "_saved"))
    return [
        ("walks of the hypervisor", c.walks("walks", "host")),
        ("  references to its tables", c.walks("table_references", "host")),
        ("walks of the guest", inner),
        ("  first stage: references to tables", tables),
        ("  second stage: references to nested tables", refs),
        ("  second stage: saved by the walk caches", saved),
        ("  references for a walk", per(tables + refs, inner)),
        ("  without the walk caches", per(tables + refs + saved, inner)),
    ]


def tlb(c):
    rows = []
    for who, guests, kinds in (("hypervisor", False, ["host"]), ("guest", True, ["shadow", "nested"])):
        rows += [(f"fills, {who}", c.walks("fills", *kinds)),
                 (f"flushes, {who}", c.asids("flushes", guests)),
                 (f"entries at the end, {who}", c.asids("kept", guests))]
    return rows + [("guest-physical pages at the end", c.asids("nested_kept", True))]


def comparison(c, native=False):
    """One and the same work, with a hypervisor below the system that does it or without."""
    kinds = ("host", "shadow", "nested")
    below = [] if native else ["host"]
    tables, (nested, saved) = c.walks("table_references", *kinds), (
        c.cpus("walks", "nested", "nested_references" + end) for end in ("", "_saved"))
    walked, hypervisor = c.walks("walks", *kinds), 0 if native else c.cpus("host_instructions")
    return [
        ("instructions", c.instructions),
        ("  of the hypervisor", hypervisor),
        ("  of the system above", c.instructions - hypervisor),
        ("exits (world switches)", c.cpus("world_switches", "exits")),
        ("references to page tables", tables + nested),
        ("  to the tables of CR3", tables),
        ("  to nested tables", nested),
        ("  saved by the walk caches", saved),
        ("  for a page walk", per(tables + nested, walked)),
        ("page walks", walked),
        ("TLB fills", c.walks("fills", *kinds)),
        ("  of the hypervisor's pages", c.walks("fills", *below)),
        ("TLB flushes", c.cpus("tlb_flushes")),
        ("  by the hypervisor, of its ASID or of all", 0 if native else c.asids("flushes", False)),
        ("seconds of the host's CPU time", f"{c.host['user_seconds'] + c.host['system_seconds']:.2f}"),
    ]


def side_by_side(columns):
    """Rows of all runs at once, from the (text, value) pairs of each."""
    return [(rows[0][0], *(value for _, value in rows)) for rows in zip(*columns)]


def exits(runs):
    """The codes, those that came most often first."""
    counts = [c.exits() for c in runs]
    codes = sorted({c for n in counts for c in n}, key=lambda c: (-sum(n.get(c, 0) for n in counts), c))
    return [(code, *(n.get(code, 0) for n in counts)) for code in codes]


def cell(value):
    return f"{value:,}" if isinstance(value, int) else value


def section(title, names, rows, widths=(48, 17)):
    yield ""
    yield title.ljust(widths[0]) + "".join(n.rjust(widths[1]) for n in names)
    for text, *values in rows:
        yield f"  {text}".ljust(widths[0]) + "".join(cell(v).rjust(widths[1]) for v in values)
