// With the reports enabled a denial is a machine check: logged in the northbridge's bank, and raised.
#include "dev.h"

enum { MCG_CTL = 0x17b, MCG_STATUS = 0x17a, MC4_CTL = 0x410, MC4_STATUS = 0x411, MC4_ADDR = 0x412 };
enum { DEV_ERR_EN = 1 << 13 };
#define VAL   (1ull << 63)
#define UC    (1ull << 61)
#define EN    (1ull << 60)
#define ADDRV (1ull << 58)
#define PCC   (1ull << 57)

static struct dma d;
static volatile unsigned checks;

static void on_check(struct frame *f)
{
  checks++;
  wrmsr(MCG_STATUS, 0);
}

void test(void)
{
  CHECK(dma_find(&d, 0));
  uint32_t *page = page_new();
  handler[MC] = on_check;
  write_cr4(read_cr4() | 1 << 6); // MCE
  wrmsr(MCG_CTL, ~0ull);
  wrmsr(MC4_CTL, 0);
  dev_on(0);
  exclude(TABLE(0), page, true);
  dev_invalidate(0);
  CHECK(!dma_writes(&d, page));
  CHECK_EQ(rdmsr(MC4_STATUS), 0); // DEV_CR does not ask for it
  dev_set(0, CR, 0, CR_EN | CR_MCE);
  CHECK(!dma_writes(&d, page));
  uint64_t s = rdmsr(MC4_STATUS);
  CHECK_EQ(s & (VAL | UC | EN | ADDRV | PCC), VAL | UC | ADDRV); // logged, but the bank's mask holds it back
  CHECK_EQ(s >> 16 & 0x1f, 9);
  CHECK_EQ(s & 0x08ff, 0x0823); // bus error, write, memory
  CHECK_EQ(rdmsr(MC4_ADDR), (word)page);
  CHECK_EQ(checks, 0);
  wrmsr(MC4_STATUS, 0);
  wrmsr(MC4_CTL, DEV_ERR_EN);
  CHECK(!dma_reads(&d, page));
  CHECK_EQ(checks, 1);
  s = rdmsr(MC4_STATUS);
  CHECK_EQ(s & (VAL | UC | EN | ADDRV | PCC), VAL | UC | EN | ADDRV);
  CHECK_EQ(s & 0x08ff, 0x0813);
  // The northbridge's function 3 shows the same bank.
  CHECK_EQ(config_read(0, 0x18, 3, 0x40), DEV_ERR_EN);
  CHECK_EQ(config_read(0, 0x18, 3, 0x48) | (uint64_t)config_read(0, 0x18, 3, 0x4c) << 32, s);
  CHECK_EQ(config_read(0, 0x18, 3, 0x50) | (uint64_t)config_read(0, 0x18, 3, 0x54) << 32, (word)page);
  config_write(0, 0x18, 3, 0x4c, 0);
  CHECK_EQ(rdmsr(MC4_STATUS), s & 0xffffffff);
  config_write(0, 0x18, 3, 0x40, 0);
  CHECK_EQ(rdmsr(MC4_CTL), 0);
}
