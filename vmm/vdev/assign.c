// See assign.h.
#include "vdev/assign.h"

#include "guest/guest.h"

const char *assign_devices(struct guest *g)
{
  return g->config->device_count ? "devices cannot be given yet" : NULL;
}

void assign_release(struct guest *g)
{
  g->assign.count = 0;
}

uint32_t assign_config_read(struct guest *g, unsigned n, unsigned reg, unsigned size)
{
  return UINT32_MAX;
}

void assign_config_write(struct guest *g, unsigned n, unsigned reg, unsigned size, uint32_t value)
{
}

bool assign_in(struct guest *g, uint16_t port, unsigned size, uint32_t *value)
{
  return false;
}

bool assign_out(struct guest *g, uint16_t port, unsigned size, uint32_t value)
{
  return false;
}

void assign_interrupt(unsigned line)
{
}

void assign_eoi(struct guest *g, unsigned line)
{
}
