// Machine check architecture: the banks, their MSRs, and raising an error. APM2 chapter 9.
#ifndef CPU_MCA_H
#define CPU_MCA_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;

enum { MCG_RIPV = 1u << 0, MCG_EIPV = 1u << 1, MCG_MCIP = 1u << 2 };
#define MCI_VAL   (1ull << 63)
#define MCI_OVER  (1ull << 62)
#define MCI_UC    (1ull << 61)
#define MCI_EN    (1ull << 60)
#define MCI_MISCV (1ull << 59)
#define MCI_ADDRV (1ull << 58)
#define MCI_PCC   (1ull << 57)

// As msr_read and msr_write, for 179h..17Bh, 400h.. and C001_0044h..
bool mca_read(const struct cpu *c, uint32_t index, uint64_t *v);
bool mca_write(struct cpu *c, uint32_t index, uint64_t v);
// RESET#: status, addresses and misc stay as they are.
void mca_reset(struct cpu *c);

// The guest has machine checks off, and the host takes them in its place: always #VMEXIT. APM2 15.12.18
bool mca_override(const struct cpu *c);

// Logs an error in a bank (status with MCI_VAL set) by the overwrite rules of APM2 9.3.2.3; if it is
// uncorrected and enabled, asks for a machine check exception (PEND_MC), or shuts down if one is in progress.
void mca_log(struct cpu *c, unsigned bank, uint64_t status, uint64_t addr, uint64_t misc);

#endif
