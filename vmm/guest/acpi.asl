// What a guest is told in AML: how to switch off, and where its PCI devices are and how their interrupts are wired.
DefinitionBlock ("", "DSDT", 1, "PACIF", "VMMGUEST", 1)
{
    Name (\_S5, Package () { 5, 5, 0, 0 })
    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO (Decode16, 0xCF8, 0xCF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0000, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x40000000, 0xFEBFFFFF, 0, 0xBEC00000)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0, 0x0000004000000000, 0x0000007FFFFFFFFF, 0, 0x0000004000000000)
            })
            // Slot n, pin INTA: line 16 + n % 8. Each assigned device has one function.
            Name (_PRT, Package ()
            {
                Package () { 0x0001FFFF, 0, 0, 17 }, Package () { 0x0002FFFF, 0, 0, 18 },
                Package () { 0x0003FFFF, 0, 0, 19 }, Package () { 0x0004FFFF, 0, 0, 20 },
                Package () { 0x0005FFFF, 0, 0, 21 }, Package () { 0x0006FFFF, 0, 0, 22 },
                Package () { 0x0007FFFF, 0, 0, 23 }, Package () { 0x0008FFFF, 0, 0, 16 }
            })
        }
    }
}
