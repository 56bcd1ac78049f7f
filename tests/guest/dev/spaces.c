// Configuration space is closed to devices, I/O space while IOSPEN is set; interrupt messages are neither.
#include "dev.h"

static struct dma d;
static volatile unsigned messages;

static void on_message(struct frame *f)
{
  messages++;
  eoi();
}

void test(void)
{
  enum { VECTOR = 0x61 };
  CHECK(dma_find(&d, 0));
  // The second PIC's mask register, a port that reads what was written.
  outb(0xa1, 0x5a);
  CHECK_EQ(dma_run(&d, D_IO_READ, 0xa1, 0, 1), D_DONE);
  CHECK_EQ(d.reg[D_DATA] & 0xff, 0x5a);
  CHECK_EQ(dma_run(&d, D_READ, 0xfdfc0000a1, 0, 1), D_DONE); // the same by its HyperTransport address
  CHECK_EQ(d.reg[D_DATA] & 0xff, 0x5a);
  dev_set(0, CR, 0, CR_IOSPEN);
  CHECK_EQ(dma_run(&d, D_IO_READ, 0xa1, 0, 1), D_DONE | D_ABORT);
  CHECK_EQ(dev_get(0, ERR_STATUS, 0), ERR_VALID | ERR_ADDR | ERR(IO, false));
  d.reg[D_DATA] = 0;
  CHECK_EQ(dma_run(&d, D_IO_WRITE, 0, 0xa1, 1), D_DONE | D_ABORT);
  CHECK_EQ(inb(0xa1), 0x5a);
  dev_set(0, CR, 0, 0);
  dev_set(0, ERR_STATUS, 0, 0);
  CHECK_EQ(dma_run(&d, D_CONFIG_READ, 0, 0, 4), D_DONE | D_ABORT);
  CHECK_EQ(d.reg[D_DATA], 0xffffffff);
  CHECK_EQ(dev_get(0, ERR_STATUS, 0), ERR_VALID | ERR_ADDR | ERR(CONFIG, false));
  // A message goes its way although the table excludes all.
  handler[VECTOR] = on_message;
  apic_write(A_SVR, 0x1ff);
  dev_on(0);
  for (unsigned i = 0; i < 0x20000; i++)
    TABLE(0)[i] = 0xff;
  dev_invalidate(0);
  sti();
  d.reg[D_PATTERN] = VECTOR;
  CHECK_EQ(dma_run(&d, D_MESSAGE, 0, 0, 0), D_DONE);
  CHECK_EQ(messages, 1);
  cli();
}
