"""Tests of the main job of ./run: that all its steps are seen, and that it says so when one is not. As boots.py."""
import re

import main_job


def _job(ctx):
    return main_job.Job(ctx.program, ctx.guest, ctx.path("main-job"), show=False, forks=50, factor=ctx.factor)


def _rows(lines):
    """What the tables say: {row: numbers}."""
    rows = {}
    for line in lines:
        text, *values = re.split("  +", line.strip())
        rows.setdefault(text, [float(v.replace(",", "")) for v in values if re.fullmatch(r"[0-9,.]+", v)])
    return rows


def the_main_job_sees_all_its_steps_and_shows_what_was_counted(ctx):
    job = _job(ctx)
    assert main_job.do(job), "\n".join(line for line in job.lines if "FAILED" in line)
    steps = [line for line in job.lines if line.startswith("main job: step")]
    assert len(steps) == 14 and all(re.fullmatch(rf"main job: step {i + 1}, .*: ok", line) for i, line in enumerate(steps)), steps
    assert job.lines[-1] == "main job: ok", job.lines[-1]

    at = job.lines.index("")
    middle = next(i for i, line in enumerate(job.lines) if line.startswith("the same work four ways"))
    rows, (nested, shadow) = _rows(job.lines[at:middle]), range(2)  # KVM's
    exits = {name: counts for name, counts in rows.items() if name.startswith("VMEXIT_")}
    for method in (nested, shadow):
        assert sum(e[method] for e in exits.values()) == rows["world switches"][method] > 10000
        assert rows["of the hypervisor"][method] + rows["of the guest"][method] == rows["instructions"][method]
        assert rows["of the guest"][method] > 1e9
    assert exits["VMEXIT_NPF"][nested] > 10000 and exits["VMEXIT_NPF"][shadow] == 0  # a page of the guest each
    assert exits["VMEXIT_CR3_WRITE"][shadow] > 10000 and exits["VMEXIT_CR3_WRITE"][nested] == 0
    assert exits["VMEXIT_IOIO"][nested] == exits["VMEXIT_IOIO"][shadow]
    # four levels each: 4 + 5 * 4 references but for large pages, and most of the second stage is saved
    assert 15 < rows["without the walk caches"][nested] <= 24 and rows["references for a walk"][nested] < 10, rows
    assert rows["second stage: references to nested tables"][shadow] == 0
    assert rows["references for a walk"][shadow] <= 4

    rows, (native, shadow, nested, no_tags) = _rows(job.lines[middle:]), range(4)
    exits = {name: counts for name, counts in rows.items() if name.startswith("VMEXIT_")}
    for way in (native, shadow, nested, no_tags):
        assert sum(e[way] for e in exits.values()) == rows["exits (world switches)"][way]
        assert rows["to the tables of CR3"][way] + rows["to nested tables"][way] == rows["references to page tables"][way]
        assert rows["page walks"][way] >= rows["TLB fills"][way] > 10000
    assert exits["VMEXIT_EXCP14"][shadow] > 100000 and exits["VMEXIT_EXCP14"][nested] == 0
    # each exit empties the TLB, and what both then touch first is walked for again
    assert rows["by the hypervisor, of its ASID or of all"][no_tags] > rows["exits (world switches)"][no_tags]
    assert rows["TLB fills"][no_tags] > rows["TLB fills"][nested] + 2 * rows["exits (world switches)"][no_tags]
    assert rows["of the hypervisor's pages"][nested] < 100


def the_main_job_says_which_step_was_not_seen(ctx):
    # The configuration does not keep the device out where the job expects a denial.
    job = _job(ctx)
    main_job.break_out(job, denied="dev = off")
    assert not main_job.end(job)
    lines = [line for line in job.lines if line.startswith("main job: ")]
    assert [line.rpartition(": ok")[1] != "" for line in lines] == [True, True, False, False], lines
    assert "FAILED: " in lines[2] and "console.txt" in lines[2], lines[2]
    assert lines[3] == "main job: failed: 1 of 3 steps (3)", lines


def extra_the_same_work_counts_the_same_in_each_run(ctx):
    tables = []
    for _ in range(2):
        runs = main_job.compare(_job(ctx))
        tables.append([row for row in main_job.table(runs) if "time" not in row[0]] + main_job.counters.exits([r.counts for r in runs.values()]))
    assert tables[0] == tables[1], [rows for rows in zip(*tables) if rows[0] != rows[1]]
