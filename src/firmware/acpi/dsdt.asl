// The board as the guest's ACPI interpreter sees it: a PC with an i440FX-style host bridge, PIIX ISA bridge
// at 00:01.0 and power management at 600h. What depends on the amount of RAM and on the number of
// processors comes as names from an SSDT that acpi_ssdt.c makes.
//
// Interrupts: the four PIRQ wires end at ISA interrupts 5, 10 and 11, in PIC mode and in APIC mode alike;
// the MADT says that these inputs of the I/O APIC are level-triggered, active high.
DefinitionBlock ("dsdt.aml", "DSDT", 2, "PCFICA", "PACIFICA", 1)
{
    External (\P0S, IntObj) // 32-bit PCI window, first byte and last
    External (\P0E, IntObj)
    External (\P1S, IntObj) // 64-bit PCI window, first byte and last; both 0: none
    External (\P1E, IntObj)
    External (\P0BL, IntObj) // last bus of PCI0: FFh, or 1Fh if other nodes have I/O chains
    External (\HPTE, IntObj) // there is an HPET

    Name (\_S5, Package () { 0, 0, 0, 0 })

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_PXM, 0)

            Name (CRES, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0x0000, 0x00FF, 0, 0x0100,,, BUSN)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0x0000, 0x0CF7, 0, 0x0CF8)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xE0000000, 0xFEBFFFFF, 0, 0x1EC00000,,, W32)
            })
            // Ports: all, or without those of other nodes' I/O chains.
            Name (CRIO, ResourceTemplate ()
            {
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0x0D00, 0xFFFF, 0, 0xF300)
            })
            Name (CRIX, ResourceTemplate ()
            {
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0x0D00, 0x2FFF, 0, 0x2300)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0xA000, 0xFFFF, 0, 0x6000)
            })
            Name (CR64, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0, 0x8000000000, 0xFFFFFFFFFF, 0, 0x8000000000,,, W64)
            })

            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (CRES, \_SB.PCI0.W32._MIN, MIN0)
                CreateDWordField (CRES, \_SB.PCI0.W32._MAX, MAX0)
                CreateDWordField (CRES, \_SB.PCI0.W32._LEN, LEN0)
                MIN0 = \P0S
                MAX0 = \P0E
                LEN0 = \P0E - \P0S + 1
                CreateWordField (CRES, \_SB.PCI0.BUSN._MAX, BUSX)
                CreateWordField (CRES, \_SB.PCI0.BUSN._LEN, BUSL)
                BUSX = \P0BL
                BUSL = \P0BL + 1
                If (\P0BL == 0xFF)
                {
                    Local0 = ConcatenateResTemplate (CRES, CRIO)
                }
                Else
                {
                    Local0 = ConcatenateResTemplate (CRES, CRIX)
                }
                If (\P1E == 0)
                {
                    Return (Local0)
                }
                CreateQWordField (CR64, \_SB.PCI0.W64._MIN, MIN1)
                CreateQWordField (CR64, \_SB.PCI0.W64._MAX, MAX1)
                CreateQWordField (CR64, \_SB.PCI0.W64._LEN, LEN1)
                MIN1 = \P1S
                MAX1 = \P1E
                LEN1 = \P1E - \P1S + 1
                Local1 = ConcatenateResTemplate (Local0, CR64)
                Return (Local1)
            }

            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 4)

                Device (PIC)
                {
                    Name (_HID, EisaId ("PNP0000"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0020, 0x0020, 0, 2)
                        IO (Decode16, 0x00A0, 0x00A0, 0, 2)
                        IO (Decode16, 0x04D0, 0x04D0, 0, 2)
                        IRQNoFlags () { 2 }
                    })
                }

                Device (DMAC)
                {
                    Name (_HID, EisaId ("PNP0200"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0000, 0x0000, 0, 0x10)
                        IO (Decode16, 0x0081, 0x0081, 0, 0x0F)
                        IO (Decode16, 0x00C0, 0x00C0, 0, 0x20)
                        DMA (Compatibility, NotBusMaster, Transfer8) { 4 }
                    })
                }

                Device (TMR)
                {
                    Name (_HID, EisaId ("PNP0100"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0040, 0x0040, 0, 4)
                        IRQNoFlags () { 0 }
                    })
                }

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 0, 2)
                        IRQNoFlags () { 8 }
                    })
                }

                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 0, 1)
                        IO (Decode16, 0x0064, 0x0064, 0, 1)
                        IRQNoFlags () { 1 }
                    })
                }

                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Name (_CRS, ResourceTemplate () { IRQNoFlags () { 12 } })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 1)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 0, 8)
                        IRQNoFlags () { 4 }
                    })
                    OperationRegion (SCR, SystemIO, 0x03FF, 1)
                    Field (SCR, ByteAcc, NoLock, Preserve) { SCRP, 8 }
                    // A port that is there keeps what is written to its scratch register.
                    Method (_STA, 0, Serialized)
                    {
                        Local0 = SCRP
                        SCRP = 0x5A
                        Local1 = (SCRP == 0x5A)
                        SCRP = Local0
                        If (Local1) { Return (0x0F) }
                        Return (0)
                    }
                }

                Device (COM2)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 2)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02F8, 0x02F8, 0, 8)
                        IRQNoFlags () { 3 }
                    })
                    OperationRegion (SCR, SystemIO, 0x02FF, 1)
                    Field (SCR, ByteAcc, NoLock, Preserve) { SCRP, 8 }
                    Method (_STA, 0, Serialized)
                    {
                        Local0 = SCRP
                        SCRP = 0x5A
                        Local1 = (SCRP == 0x5A)
                        SCRP = Local0
                        If (Local1) { Return (0x0F) }
                        Return (0)
                    }
                }

                // What the board takes besides: power management, and the reset register.
                Device (MBRD)
                {
                    Name (_HID, EisaId ("PNP0C02"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0600, 0x0600, 0, 0x40)
                        IO (Decode16, 0x0700, 0x0700, 0, 0x10)
                        IO (Decode16, 0xAFE0, 0xAFE0, 0, 4)
                        IO (Decode16, 0x00B2, 0x00B2, 0, 2)
                        IO (Decode16, 0x0092, 0x0092, 0, 1)
                        IO (Decode16, 0x0CF9, 0x0CF9, 0, 1)
                    })
                }
            }
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, 0)
            Method (_STA)
            {
                If (\HPTE) { Return (0x0F) }
                Return (0)
            }
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400) })
        }

        // The PIRQ route registers of the ISA bridge: bit 7 set: not routed, bits 3:0 the interrupt.
        Field (PCI0.ISA.PIRQ, ByteAcc, NoLock, Preserve)
        {
            PRQA, 8,
            PRQB, 8,
            PRQC, 8,
            PRQD, 8
        }

        Method (LSTA, 1) // _STA of a link from its register
        {
            If (Arg0 & 0x80) { Return (0x09) }
            Return (0x0B)
        }

        Name (LRES, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared,,, LIRQ) { 0 } })
        Method (LCRS, 1, Serialized) // _CRS of a link from its register
        {
            CreateDWordField (LRES, \_SB.LIRQ._INT, IRQN)
            If (Arg0 & 0x80)
            {
                IRQN = 0
            }
            Else
            {
                IRQN = Arg0 & 0x0F
            }
            Return (LRES)
        }

        Name (LPRS, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }
        })

        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 0)
            Method (_PRS) { Return (LPRS) }
            Method (_STA) { Return (LSTA (PRQA)) }
            Method (_DIS) { PRQA = PRQA | 0x80 }
            Method (_CRS) { Return (LCRS (PRQA)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 5, IRQN) PRQA = IRQN }
        }
        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 1)
            Method (_PRS) { Return (LPRS) }
            Method (_STA) { Return (LSTA (PRQB)) }
            Method (_DIS) { PRQB = PRQB | 0x80 }
            Method (_CRS) { Return (LCRS (PRQB)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 5, IRQN) PRQB = IRQN }
        }
        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Method (_PRS) { Return (LPRS) }
            Method (_STA) { Return (LSTA (PRQC)) }
            Method (_DIS) { PRQC = PRQC | 0x80 }
            Method (_CRS) { Return (LCRS (PRQC)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 5, IRQN) PRQC = IRQN }
        }
        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Method (_PRS) { Return (LPRS) }
            Method (_STA) { Return (LSTA (PRQD)) }
            Method (_DIS) { PRQD = PRQD | 0x80 }
            Method (_CRS) { Return (LCRS (PRQD)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 5, IRQN) PRQD = IRQN }
        }
        Device (LNKS) // the SCI: wired, not routed
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Name (_PRS, ResourceTemplate ()
            {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 9 }
            })
            Method (_STA) { Return (0x0B) }
            Method (_DIS) { }
            Method (_CRS) { Return (_PRS) }
            Method (_SRS, 1, NotSerialized) { }
        }
    }

    Scope (\_SB.PCI0)
    {
        Include ("prt.asl") // after the links: old interpreters do not look ahead
    }
}
