// The SSDTs of the I/O chains, compiled from acpi/chain.asl.in by iasl at build time: one for each node but
// the first.
#include "firmware/acpi_image.h"

// iasl writes array definitions; these words make them constants of this file.
static const
#include "chain1.hex"
    static const
#include "chain2.hex"
    static const
#include "chain3.hex"
    static const
#include "chain4.hex"
    static const
#include "chain5.hex"
    static const
#include "chain6.hex"
    static const
#include "chain7.hex"

    uint32_t
    acpi_chain(struct acpi_image *im, unsigned node)
{
  static const struct {
    const unsigned char *code;
    uint32_t len;
  } chains[BOARD_NODES] = {
      {NULL, 0},
      {chain1_aml_code, sizeof chain1_aml_code},
      {chain2_aml_code, sizeof chain2_aml_code},
      {chain3_aml_code, sizeof chain3_aml_code},
      {chain4_aml_code, sizeof chain4_aml_code},
      {chain5_aml_code, sizeof chain5_aml_code},
      {chain6_aml_code, sizeof chain6_aml_code},
      {chain7_aml_code, sizeof chain7_aml_code},
  };
  acpi_bytes(im, -im->len & 15);
  uint32_t t = acpi_bytes(im, chains[node].len);
  if (im->failed)
    return 0;
  memcpy(im->data + t, chains[node].code, chains[node].len);
  im->data[t + 9] = 0;
  acpi_add_sum(im, t, chains[node].len, t + 9);
  return t;
}
