// virtio-net: frames in both directions, merged buffers, evil rings, refused memory.
#include "vnetbed.h"

static void shows_its_address_and_a_link(void **state)
{
  struct fixture f;
  start(&f, 0);
  assert_int_equal(bed_read(&f.bed, BAR4 + 0x2000, 4), 0x12005452);
  assert_int_equal(bed_read(&f.bed, BAR4 + 0x2004, 2), 0x5634);
  assert_int_equal(bed_read(&f.bed, BAR4 + 0x2006, 2), 1);
  stop(&f);
}

static void sends_what_lies_in_several_buffers(void **state)
{
  struct fixture f;
  start(&f, 0);
  memset(bed_mem(&f.bed, BUF), 0, HDR);
  for (unsigned i = 0; i < 100; i++)
    *bed_mem(&f.bed, BUF + 0x1000 + i) = (uint8_t)i;
  desc(&f, TX, 0, BUF, HDR, NEXT, 1);
  desc(&f, TX, 1, BUF + 0x1000, 30, NEXT, 2);
  desc(&f, TX, 2, BUF + 0x1000 + 30, 70, 0, 0);
  offer(&f, TX, 0);
  kick(&f, TX);
  assert_int_equal(used(&f, TX), 1);
  assert_int_equal(f.nb.frames, 1);
  assert_int_equal(f.nb.last_len, 100);
  assert_memory_equal(f.nb.last, bed_mem(&f.bed, BUF + 0x1000), 100);
  stop(&f);
}

// Sends the datagram with the sum of the pseudo header in its checksum, which begins at `start`.
static unsigned sent_sum(uint64_t features, uint8_t flags, uint16_t start_at, uint16_t offset)
{
  struct fixture f;
  start(&f, features);
  uint8_t *p = bed_mem(&f.bed, BUF);
  memset(p, 0, HDR);
  p[0] = flags;
  memcpy(p + 6, &start_at, 2);
  memcpy(p + 8, &offset, 2);
  memcpy(p + HDR, netbed_udp, sizeof netbed_udp);
  p[HDR + NETBED_UDP_SUM] = NETBED_UDP_PSEUDO >> 8;
  p[HDR + NETBED_UDP_SUM + 1] = NETBED_UDP_PSEUDO & 0xff;
  desc(&f, TX, 0, BUF, HDR + sizeof netbed_udp, 0, 0);
  offer(&f, TX, 0);
  kick(&f, TX);
  assert_int_equal(f.nb.frames, 1);
  assert_int_equal(f.nb.last_len, sizeof netbed_udp);
  unsigned sum = (unsigned)f.nb.last[NETBED_UDP_SUM] << 8 | f.nb.last[NETBED_UDP_SUM + 1];
  stop(&f);
  return sum;
}

static void checksums_are_inserted_where_the_driver_asks_for_it(void **state)
{
  assert_int_equal(sent_sum(CSUM, 1, 34, 6), NETBED_UDP_RIGHT);
  assert_int_equal(sent_sum(CSUM, 0, 34, 6), NETBED_UDP_PSEUDO);
  assert_int_equal(sent_sum(0, 1, 34, 6), NETBED_UDP_PSEUDO); // not negotiated
  // Places outside of the frame
  assert_int_equal(sent_sum(CSUM, 1, sizeof netbed_udp, 0), NETBED_UDP_PSEUDO);
  assert_int_equal(sent_sum(CSUM, 1, 34, 0xffff), NETBED_UDP_PSEUDO);
  assert_int_equal(sent_sum(CSUM, 1, 0xffff, 0xffff), NETBED_UDP_PSEUDO);
}

// The flags of the header with which the datagram arrives; wrong: a byte of it that is not as it was.
static unsigned received_flags(uint64_t features, unsigned wrong)
{
  struct fixture f;
  uint8_t frame[sizeof netbed_udp];
  start(&f, features);
  desc(&f, RX, 0, BUF, 2000, WRITE, 0);
  offer(&f, RX, 0);
  kick(&f, RX);
  memcpy(frame, netbed_udp, sizeof frame);
  if (wrong)
    frame[wrong] ^= 4;
  netdev_feed(f.nb.net, frame, sizeof frame);
  netbed_look(&f.nb);
  assert_int_equal(used(&f, RX), 1);
  unsigned flags = *bed_mem(&f.bed, BUF);
  stop(&f);
  return flags;
}

static void a_frame_whose_checksum_is_right_says_so(void **state)
{
  assert_int_equal(received_flags(GUEST_CSUM, 0), 2);
  assert_int_equal(received_flags(GUEST_CSUM, sizeof netbed_udp - 1), 0);
  assert_int_equal(received_flags(GUEST_CSUM, NETBED_UDP_SUM), 0);
  assert_int_equal(received_flags(GUEST_CSUM, 17), 0); // the length goes beyond the frame
  assert_int_equal(received_flags(0, 0), 0);
}

static void frames_that_no_ethernet_carries_are_done_and_lost(void **state)
{
  struct fixture f;
  static const uint32_t lengths[] = {0, 5, HDR, HDR + 13, HDR + NET_FRAME_MAX + 1, 0x80000000};
  start(&f, 0);
  for (unsigned i = 0; i < 6; i++) {
    desc(&f, TX, i, BUF, lengths[i], 0, 0);
    offer(&f, TX, (uint16_t)i);
  }
  kick(&f, TX);
  assert_int_equal(used(&f, TX), 6);
  assert_int_equal(f.nb.frames, 0);
  assert_int_equal(status(&f), 15);
  stop(&f);
}

static void a_sender_waits_while_the_network_takes_no_more(void **state)
{
  struct fixture f;
  start(&f, 0);
  uint8_t frame[60] = {0};
  while (netdev_can_send(f.nb.net))
    netdev_send(f.nb.net, frame, 60);
  desc(&f, TX, 0, BUF, HDR + 60, 0, 0);
  offer(&f, TX, 0);
  bed_write(&f.bed, BAR4 + 0x3004, 2, 1);
  bed_run(&f.bed, 10000000);
  assert_int_equal(used(&f, TX), 0);
  netbed_look(&f.nb);
  bed_run(&f.bed, 10000000);
  assert_int_equal(used(&f, TX), 1);
  netbed_look(&f.nb);
  assert_int_equal(f.nb.frames, NET_OUT + 1);
  stop(&f);
}

static void receives_into_one_buffer(void **state)
{
  struct fixture f;
  start(&f, 0);
  desc(&f, RX, 3, BUF, 2000, WRITE, 0);
  offer(&f, RX, 3);
  kick(&f, RX);
  feed(&f, 200, 9);
  assert_int_equal(used(&f, RX), 1);
  assert_int_equal(used_len(&f, RX, 0), HDR + 200);
  assert_int_equal(*bed_mem(&f.bed, BUF + 10), 1); // num_buffers
  assert_int_equal(*bed_mem(&f.bed, BUF + HDR), 9);
  assert_int_equal(*bed_mem(&f.bed, BUF + HDR + 199), (9 + 199) & 0xff);
  assert_int_equal(bed_read(&f.bed, BAR4 + 0x1000, 1), 1); // it interrupted
  stop(&f);
}

static void frames_wait_for_buffers_and_come_when_there_are_some(void **state)
{
  struct fixture f;
  start(&f, 0);
  feed(&f, 60, 1);
  feed(&f, 61, 2);
  assert_int_equal(used(&f, RX), 0);
  desc(&f, RX, 0, BUF, 2000, WRITE, 0);
  offer(&f, RX, 0);
  kick(&f, RX);
  assert_int_equal(used(&f, RX), 1);
  assert_int_equal(used_len(&f, RX, 0), HDR + 60);
  desc(&f, RX, 1, BUF, 2000, WRITE, 0);
  offer(&f, RX, 1);
  kick(&f, RX);
  assert_int_equal(used_len(&f, RX, 1), HDR + 61);
  stop(&f);
}

static void a_frame_is_spread_over_merged_buffers(void **state)
{
  struct fixture f;
  start(&f, MRG);
  for (unsigned i = 0; i < 4; i++) {
    desc(&f, RX, i, BUF + 0x1000 * i, 100, WRITE, 0);
    offer(&f, RX, (uint16_t)i);
  }
  kick(&f, RX);
  feed(&f, 238, 0);
  assert_int_equal(used(&f, RX), 3);
  assert_int_equal(*bed_mem(&f.bed, BUF + 10), 3);
  assert_int_equal(used_len(&f, RX, 0), 100);
  assert_int_equal(used_len(&f, RX, 2), 50);
  assert_int_equal(*bed_mem(&f.bed, BUF + 0x1000), 88);
  assert_int_equal(*bed_mem(&f.bed, BUF + 0x2000 + 49), 237);
  feed(&f, 238, 0); // one buffer is left: too little, so it is lost, and the buffer stays
  assert_int_equal(used(&f, RX), 3);
  feed(&f, 60, 0);
  assert_int_equal(used(&f, RX), 4);
  assert_int_equal(used_len(&f, RX, 3), HDR + 60);
  stop(&f);
}

static void refused_memory_stops_the_device_until_it_is_reset(void **state)
{
  struct fixture f;
  start(&f, 0);
  desc(&f, TX, 0, UINT64_C(1) << 45, HDR + 60, 0, 0);
  offer(&f, TX, 0);
  kick(&f, TX);
  assert_int_equal(status(&f), 15 | 64);
  assert_int_equal(used(&f, TX), 0);
  assert_int_equal(f.nb.frames, 0);
  driver(&f, 0);
  desc(&f, RX, 0, UINT64_C(1) << 45, 2000, WRITE, 0);
  offer(&f, RX, 0);
  kick(&f, RX);
  feed(&f, 60, 0);
  assert_int_equal(status(&f), 15 | 64);
  assert_int_equal(used(&f, RX), 0);
  driver(&f, 0); // a chain that loops
  desc(&f, RX, 0, BUF, 1, WRITE | NEXT, 0);
  offer(&f, RX, 0);
  kick(&f, RX);
  feed(&f, 60, 0);
  assert_int_equal(status(&f), 15 | 64);
  driver(&f, 0);
  desc(&f, TX, 0, BUF, HDR + 60, 0, 0);
  offer(&f, TX, 0);
  kick(&f, TX);
  assert_int_equal(f.nb.frames, 1);
  stop(&f);
}

static void a_reset_forgets_what_waited_to_be_sent(void **state)
{
  struct fixture f;
  start(&f, 0);
  desc(&f, TX, 0, BUF, HDR + 60, 0, 0);
  offer(&f, TX, 0);
  bed_write(&f.bed, BAR4 + 0x3004, 2, 1);
  device_reset(&f.d->device);
  bed_run(&f.bed, 10000000);
  netbed_look(&f.nb);
  assert_int_equal(f.nb.frames, 0);
  feed(&f, 60, 0);
  stop(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shows_its_address_and_a_link),
      cmocka_unit_test(sends_what_lies_in_several_buffers),
      cmocka_unit_test(checksums_are_inserted_where_the_driver_asks_for_it),
      cmocka_unit_test(a_frame_whose_checksum_is_right_says_so),
      cmocka_unit_test(frames_that_no_ethernet_carries_are_done_and_lost),
      cmocka_unit_test(a_sender_waits_while_the_network_takes_no_more),
      cmocka_unit_test(receives_into_one_buffer),
      cmocka_unit_test(frames_wait_for_buffers_and_come_when_there_are_some),
      cmocka_unit_test(a_frame_is_spread_over_merged_buffers),
      cmocka_unit_test(refused_memory_stops_the_device_until_it_is_reset),
      cmocka_unit_test(a_reset_forgets_what_waited_to_be_sent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
