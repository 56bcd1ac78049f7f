"""Tests in which a Linux guest runs on several nodes. As boots.py."""
import json
import re

import boots
import boots_io
import guest

APPEND = "console=ttyS0 quiet "


def _machine(ctx, nodes, cpus, megabytes):
    """A machine of so many nodes, each with a disk that says whose it is, and a network."""
    args = ["-kernel", guest.elf_kernel(ctx.guest), "-initrd", guest.io_initramfs(ctx.guest, "init-nodes"), "-nographic",
            "-no-reboot", "-m", str(megabytes), "-smp", f"{cpus},nodes={nodes}"]
    for n in range(nodes):
        disk = ctx.path(f"disk{n}")
        with open(disk, "wb") as f:
            f.write(b"disk of node %3d" % n)
            f.truncate(2 << 20)
        args += ["-drive", f"file={disk},format=raw,if=none,id=d{n}", "-device", f"virtio-blk-pci,drive=d{n},node={n}",
                 "-netdev", f"user,id=n{n}", "-device", f"virtio-net-pci,netdev=n{n},node={n}"]
    return args


def _nodes(r):
    """What the guest said of its nodes: (cpus, kB, distances)."""
    return [(m[1], int(m[2]), [int(d) for d in m[3].split()])
            for m in re.finditer(r"guest: node \d+ cpus (\S+) kb (\d+) distance (.*)", r.out)]


def _right(r, nodes, cpus, megabytes, hops):
    share, each = megabytes // nodes, cpus // nodes
    seen = _nodes(r)
    assert len(seen) == nodes, r.out[-2000:]
    for n, (cpulist, kb, distance) in enumerate(seen):
        first, last = n * each, n * each + each - 1
        assert cpulist == (f"{first}-{last}" if each > 1 else f"{first}"), f"node {n} has CPUs {cpulist}"
        assert share * 1024 * 0.6 < kb <= share * 1024, f"node {n} has {kb} KB"  # the kernel's own is not counted
        assert hops is None or distance == [10 + 10 * hops(n, to) for to in range(nodes)], f"node {n}: distances {distance}"


def _works(ctx, nodes, cpus, megabytes, hops, extra=(), append=""):
    stats = ctx.path("stats.json")
    with boots_io._http() as port:
        r = boots._run(ctx, _machine(ctx, nodes, cpus, megabytes) +
                       ["-append", f"{APPEND}net=10.0.2.2:{port} {append}", "-stats", stats, *extra], 180)
    r.line("guest: end")
    r.line(f"guest: cpus {cpus}\\b")
    _right(r, nodes, cpus, megabytes, hops)
    for n in range(nodes):
        r.line(f"guest: disk on node {n} says disk of node +{n}, wrote and read right")
        r.line(f"guest: network on node {n} fetched {boots_io._digest(boots_io.FILE)}")
    with open(stats) as f:
        counted = json.load(f)["nodes"]
    for n in range(nodes):
        assert counted[n]["device_writes"] > 100, f"devices of node {n} did not write: {counted[n]}"
        assert counted[n]["unrouted"] == 0
    assert sum(link["requests"] for n in counted for link in n["links"]) > 100, "no request crossed a link"
    return r


def _ring(nodes):
    return lambda a, b: min((b - a) % nodes, (a - b) % nodes)


def linux_sees_2_nodes_and_uses_disk_and_network_on_each(ctx):
    _works(ctx, 2, 4, 512, _ring(2))


def linux_sees_8_nodes_in_a_ring_and_uses_disk_and_network_on_each(ctx):
    _works(ctx, 8, 8, 1024, _ring(8))


def linux_finds_the_nodes_in_the_northbridges_if_it_does_not_ask_acpi(ctx):
    r = _works(ctx, 2, 4, 512, None, append="numa=noacpi loglevel=7")
    r.line("Scanning NUMA topology in Northbridge 24")
    r.line("Number of physical nodes 2")


def linux_finds_the_nodes_of_k8_processors(ctx):
    _works(ctx, 2, 4, 512, None, extra=["-cpu", "k8f"], append="numa=noacpi")


def linux_sees_nodes_of_given_sizes_and_links_over_the_hole_below_4_gb(ctx):
    r = boots._run(ctx, ["-kernel", guest.elf_kernel(ctx.guest), "-initrd", guest.io_initramfs(ctx.guest, "init-nodes"),
                         "-nographic", "-no-reboot", "-append", APPEND, "-node", "cpus=0-1,mem=1G", "-node", "cpus=2,mem=3G",
                         "-node", "cpus=3,mem=512M", "-link", "0-1", "-link", "1-2"], 180)
    r.line("guest: end")
    seen = _nodes(r)
    assert [s[0] for s in seen] == ["0-1", "2", "3"], seen
    assert [s[2] for s in seen] == [[10, 20, 30], [20, 10, 20], [30, 20, 10]], seen
    for (_, kb, _), megabytes in zip(seen, (1024, 3072, 512)):
        assert megabytes * 1024 * 0.85 < kb <= megabytes * 1024, seen


def linux_boots_through_the_bios_on_2_nodes_with_a_disk_on_each(ctx):
    cd = guest.grub_cd(ctx.guest, guest.kernel(ctx.guest), guest.initramfs(ctx.guest))
    args = []
    for n in range(2):
        disk = ctx.path(f"disk{n}")
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        args += ["-drive", f"file={disk},format=raw,if=none,id=d{n}", "-device", f"virtio-blk-pci,drive=d{n},node={n}"]
    boots._linux_runs(ctx, ["-cdrom", cd, "-boot", "d", "-m", "512", "-smp", "2,nodes=2", *args], cpus=2)


def nodes_that_cannot_be_are_errors_of_one_line(ctx):
    for args, says in ((["-smp", "2,nodes=3"], "3 nodes need at least 3 CPUs"),
                       (["-smp", "4,nodes=9"], "1 to 8 nodes"),
                       (["-smp", "4", "-node", "cpus=0-1", "-node", "cpus=1-3"], "another node has"),
                       (["-smp", "4", "-node", "cpus=0-1", "-node", "cpus=2"], "the CPUs 0 to 3, each once"),
                       (["-node", "0-1,mem=500M", "-node", "2-3,mem=500M"], "multiple of 16M"),
                       (["-m", "1G", "-node", "0,mem=256M", "-node", "1,mem=256M"], "512M in sum"),
                       (["-node", "1", "-node", "0"], "belongs to node 0"),
                       (["-smp", "8,nodes=8", "-m", "64"], "8 nodes need at least 128M"),
                       (["-smp", "4,nodes=4", "-link", "0-1"], "not every node can be reached"),
                       (["-smp", "4,nodes=4", "-link", "0-4"], "there are 4 nodes"),
                       (["-link", "0-0"], "between two nodes"),
                       (["-link", "0"], "two nodes, as 0-1"),
                       (["-link", "0-1", "-link", "1-0"], "given twice"),
                       (["-cpu", "k8f", "-smp", "4,nodes=4", "-link", "0-1", "-link", "0-2", "-link", "0-3"], "2 links to others"),
                       (["-device", "virtio-rng-pci,node=1"], "the last node is 0"),
                       (["-smp", "2,nodes=2", "-device", "isa-serial,node=1"], "PCI devices"),
                       (["-smp", "2,nodes=2", "-device", "virtio-rng-pci,bus=pci.5"], "the last node is 1"),
                       (["-numa", "dist,src=0,dst=1,val=20"], "-link A-B"),
                       (["-numa", "node,memdev=m"], "mem=SIZE"),
                       (["-numa", "node,nodeid=1"], "without gaps"),
                       (["-cpu", "k8f", "-smp", "5,nodes=5"] +
                        [a for n in range(1, 5) for a in ("-device", f"virtio-rng-pci,node={n}")], "routes to 4 I/O chains")):
        r = boots._run(ctx, ["-nodefaults", "-display", "none", "-limit", "10", *args], 20)
        assert r.status == 2 and r.err.count("\n") == 1 and says in r.err, f"{args}: status {r.status}: {r.err}"
