"""No device has a way into RAM but its DMA port.

check_dma.py LIBRARY FOLDER: the objects of the device floor call nothing that reads or writes memory, and their
sources name nothing of it either, which inline functions and pointers would hide from the linker. The video adapter is
let through where it uses its own cells: those of its memory and its ROM lie in the same array. One file of the block
layer is called with host pointers (dma_direct); no other may, and that one keeps none: what it could keep them in is
its caller's frame.
"""
import os
import re
import subprocess
import sys

# All that src/bus, src/fabric and src/cpu have for reaching memory; what is not here does not touch it.
WAYS = re.compile(r"\b(ram_(write|touched|alloc|init|free)|bus_(access|transfer|ram_page|find|host)|map_find|fabric_\w+|"
                  r"boot_ram\w*|cpu_\w+|mem_\w+|tlb_\w+)$")
SOURCE = re.compile(r"\bram->|\bram_(write|touched|alloc)\b|->ram\b|\bstruct ram\b|\bbus_(access|transfer|ram_page|find|host)\b|"
                    r"\bREGION_RAM\b|\bpci_bar_ram\b|\bbus_map_ram\b")
MOVER = re.compile(r"\bstruct iovec\b|\biov_\w+|\bstruct dma_mover\b|\bdma_direct\b|\bdma_copy_pieces\b")
MOVES = "block_direct.c"
KEPT = re.compile(r"^\s*static\b(?![^;{]*\()|\bmalloc\b|\bcalloc\b|(->|\.)\w+ = (piece|rest)\b", re.M)
VIDEO = {"vga.c", "vga_mem.c", "vga_rom.c", "vga_vbe.c", "vga_render.c", "vga_text.c"}


def calls(library):
    """(object, symbol) of each undefined symbol."""
    out = subprocess.run(["nm", "-A", "-u", library], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        where, _, symbol = line.rpartition(" ")
        yield re.search(r"(\w+)\.c\.o", where)[1] + ".c", symbol


def main():
    library, folder = sys.argv[1:]
    sources = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith((".c", ".h"))]
    wrong, seen = [], 0
    for name, symbol in calls(library):
        seen += 1
        if WAYS.match(symbol) and name not in VIDEO:
            wrong.append(f"{name} calls {symbol}")
    for path in sources:
        name = os.path.basename(path)
        with open(path) as f:
            text = re.sub(r"/\*.*?\*/|//[^\n]*", "", f.read(), flags=re.S)
        if name not in VIDEO and not name.startswith("vga"):
            wrong += [f"{name} names {m[0]}" for m in SOURCE.finditer(text)]
        wrong += [f"{name} names {m[0].strip()}" for m in (KEPT if name == MOVES else MOVER).finditer(text)]
    assert seen > 100 and len(sources) > 30, "this is not the device floor"
    for line in wrong:
        print(f"{line}: a device reaches memory by its DMA port only")
    return 1 if wrong else 0


sys.exit(main())
