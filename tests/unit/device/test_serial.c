// The UART and the character backends.
#include "bed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "device/serial.h"

enum { RBR = 0x3f8, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct fixture {
  struct bed bed;
  struct chardevs set;
  struct chardev *chr;
  struct serial s;
};

static void start(struct fixture *f, const char *backend)
{
  struct err e;
  bed_init(&f->bed, 1 << 20);
  chardevs_init(&f->set);
  f->chr = backend ? chardev_open(&f->set, "c", backend, &e) : NULL;
  assert_true(!backend || f->chr);
  assert_true(serial_init(&f->s, &f->bed.bus, &f->bed.clock, 0x3f8, bed_irq(&f->bed, 4), f->chr, &e));
}

static void stop(struct fixture *f)
{
  serial_free(&f->s);
  chardevs_free(&f->set);
  bed_free(&f->bed);
}

static void loopback_returns_bytes_and_modem_lines(void **state)
{
  struct fixture f;
  start(&f, "null");
  bed_out(&f.bed, MCR, 1, 0x10);
  bed_in(&f.bed, MSR, 1);
  assert_int_equal(bed_in(&f.bed, LSR, 1), 0x60);
  bed_out(&f.bed, RBR, 1, 0x5a);
  assert_int_equal(bed_in(&f.bed, LSR, 1), 0x61);
  assert_int_equal(bed_in(&f.bed, RBR, 1), 0x5a);
  bed_out(&f.bed, MCR, 1, 0x1a); // RTS and OUT2 come back as CTS and DCD
  assert_int_equal(bed_in(&f.bed, MSR, 1), 0x99);
  assert_int_equal(bed_in(&f.bed, MSR, 1), 0x90); // the changes were read
  bed_out(&f.bed, MCR, 1, 0x14);
  bed_in(&f.bed, MSR, 1);
  bed_out(&f.bed, MCR, 1, 0x10); // trailing edge of RI
  assert_int_equal(bed_in(&f.bed, MSR, 1), 0x04);
  stop(&f);
}

static void fifo_holds_16_and_reports_overrun(void **state)
{
  struct fixture f;
  start(&f, NULL);
  bed_out(&f.bed, IIR, 1, 0x07);
  bed_out(&f.bed, MCR, 1, 0x10);
  for (unsigned i = 0; i < 17; i++)
    bed_out(&f.bed, RBR, 1, i);
  assert_int_equal(bed_in(&f.bed, LSR, 1), 0x63);
  assert_int_equal(bed_in(&f.bed, LSR, 1), 0x61); // the error is gone once read
  for (unsigned i = 0; i < 16; i++)
    assert_int_equal(bed_in(&f.bed, RBR, 1), i);
  assert_int_equal(bed_in(&f.bed, LSR, 1), 0x60);
  stop(&f);
}

static void transmitter_interrupt_is_raised_again_when_enabled_again(void **state)
{
  struct fixture f;
  start(&f, "null");
  bed_out(&f.bed, MCR, 1, 0x08);
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0x01);
  bed_out(&f.bed, IER, 1, 0x02);
  assert_int_equal(f.bed.level[4], 1);
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0x02);
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0x01); // reading acknowledges
  assert_int_equal(f.bed.level[4], 0);
  bed_out(&f.bed, IER, 1, 0x00);
  bed_out(&f.bed, IER, 1, 0x02);
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0x02);
  bed_out(&f.bed, RBR, 1, 'x');
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0x01); // not yet
  assert_int_equal(bed_in(&f.bed, LSR, 1) & 0x60, 0x60);
  bed_run(&f.bed, 1000000);
  assert_int_equal(f.bed.level[4], 1);
  bed_out(&f.bed, MCR, 1, 0x00); // OUT2 is the gate
  assert_int_equal(f.bed.level[4], 0);
  stop(&f);
}

static void trigger_level_and_character_timeout_interrupt(void **state)
{
  struct fixture f;
  start(&f, "null");
  bed_out(&f.bed, IIR, 1, 0x41); // trigger at 4
  bed_out(&f.bed, LCR, 1, 0x83);
  bed_out(&f.bed, RBR, 1, 1); // 115200
  bed_out(&f.bed, IER, 1, 0);
  bed_out(&f.bed, LCR, 1, 0x03);
  bed_out(&f.bed, MCR, 1, 0x08);
  bed_out(&f.bed, IER, 1, 0x05);
  chardev_feed(f.chr, (const uint8_t *)"abc", 3);
  assert_int_equal(f.bed.level[4], 0);
  bed_run(&f.bed, 300000);
  assert_int_equal(f.bed.level[4], 0);
  bed_run(&f.bed, 100000); // four characters are 347 us
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0xcc);
  assert_int_equal(bed_in(&f.bed, RBR, 1), 'a');
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0xc1);
  chardev_feed(f.chr, (const uint8_t *)"de", 2);
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0xc4);
  stop(&f);
}

static void line_status_comes_before_data_and_transmitter(void **state)
{
  struct fixture f;
  start(&f, "null");
  bed_out(&f.bed, IER, 1, 0x0f);
  f.chr->port[0].user.brk(f.chr->port[0].user.arg);
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0x06);
  assert_int_equal(bed_in(&f.bed, LSR, 1), 0x71);
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0x04);
  assert_int_equal(bed_in(&f.bed, RBR, 1), 0);
  assert_int_equal(bed_in(&f.bed, IIR, 1), 0x02);
  stop(&f);
}

static void unread_input_waits_and_is_not_lost(void **state)
{
  struct fixture f;
  uint8_t text[100];
  start(&f, "null");
  for (unsigned i = 0; i < sizeof text; i++)
    text[i] = (uint8_t)(i + 1);
  bed_out(&f.bed, IIR, 1, 0x01);
  chardev_feed(f.chr, text, sizeof text);
  assert_int_equal(chardev_room(f.chr), CHARDEV_QUEUE - (sizeof text - 16));
  for (unsigned i = 0; i < sizeof text; i++)
    assert_int_equal(bed_in(&f.bed, RBR, 1), text[i]);
  assert_int_equal(bed_in(&f.bed, LSR, 1), 0x60);
  stop(&f);
}

static void scratch_divisor_and_second_user(void **state)
{
  struct fixture f;
  struct err e;
  struct serial other;
  start(&f, "null");
  bed_out(&f.bed, SCR, 1, 0xa5);
  assert_int_equal(bed_in(&f.bed, SCR, 1), 0xa5);
  bed_out(&f.bed, LCR, 1, 0x80);
  bed_out(&f.bed, RBR, 2, 0x1234);
  assert_int_equal(bed_in(&f.bed, RBR, 1), 0x34);
  assert_int_equal(bed_in(&f.bed, IER, 1), 0x12);
  assert_false(serial_init(&other, &f.bed.bus, &f.bed.clock, 0x2f8, bed_irq(&f.bed, 3), f.chr, &e));
  assert_non_null(strstr(e.text, "in use"));
  stop(&f);
}

static void output_reaches_a_file(void **state)
{
  struct fixture f;
  char spec[160], back[8] = "";
  char dir[] = "/tmp/pacifica-serial-XXXXXX";
  assert_non_null(mkdtemp(dir));
  snprintf(spec, sizeof spec, "file:%s/out", dir);
  start(&f, spec);
  bed_out(&f.bed, RBR, 1, 'h');
  bed_out(&f.bed, RBR, 1, 'i');
  stop(&f);
  int fd = open(spec + 5, O_RDONLY);
  assert_int_equal(read(fd, back, sizeof back), 2);
  assert_string_equal(back, "hi");
  close(fd);
  unlink(spec + 5);
  rmdir(dir);
}

struct sink {
  char text[64];
  size_t len;
};

static size_t always(void *arg)
{
  return 16;
}

static void keep(void *arg, const uint8_t *buf, size_t len)
{
  struct sink *s = arg;
  memcpy(s->text + s->len, buf, len);
  s->len += len;
}

static void count_quit(void *arg)
{
  ++*(int *)arg;
}

static void escapes_switch_the_focus_and_end_the_machine(void **state)
{
  struct chardevs set;
  struct err e;
  struct sink a = {0}, b = {0};
  int quits = 0;
  chardevs_init(&set);
  set.quit = count_quit;
  set.quit_arg = &quits;
  struct chardev *c = chardev_open(&set, "m", "mon:null", &e);
  assert_non_null(c);
  assert_int_equal(chardev_attach(c, &(struct char_user){always, keep, NULL, &a}), 0);
  assert_int_equal(chardev_attach(c, &(struct char_user){always, keep, NULL, &b}), 1);
  chardev_feed(c, (const uint8_t *)"one\001ctwo\001", 9);
  chardev_feed(c, (const uint8_t *)"cx\001\001\001x\001z", 8);
  assert_string_equal(a.text, "onex\001");
  assert_string_equal(b.text, "two");
  assert_int_equal(quits, 1);
  chardevs_free(&set);
}

static void unix_server_takes_a_client_and_reads_with_back_pressure(void **state)
{
  struct chardevs set;
  struct err e;
  struct pollfd p[4];
  char spec[128];
  char dir[] = "/tmp/pacifica-unix-XXXXXX";
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  struct sink in = {0};
  assert_non_null(mkdtemp(dir));
  snprintf(a.sun_path, sizeof a.sun_path, "%s/s", dir);
  snprintf(spec, sizeof spec, "unix:%s,server,nowait", a.sun_path);
  chardevs_init(&set);
  struct chardev *c = chardev_open(&set, "u", spec, &e);
  assert_non_null(c);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(chardev_poll_fds(&set, p, 4), 1);
  assert_int_equal(poll(p, 1, 1000), 1);
  chardev_poll(&set, p, 1);
  assert_int_equal(write(fd, "hello", 5), 5);
  assert_int_equal(chardev_poll_fds(&set, p, 4), 0); // nobody would take it
  chardev_attach(c, &(struct char_user){always, keep, NULL, &in});
  assert_int_equal(chardev_poll_fds(&set, p, 4), 1);
  assert_int_equal(poll(p, 1, 1000), 1);
  chardev_poll(&set, p, 1);
  assert_string_equal(in.text, "hello");
  close(fd);
  chardev_poll_fds(&set, p, 4);
  poll(p, 1, 1000);
  chardev_poll(&set, p, 1);
  chardev_write(c, "x", 1); // to nobody, without a signal
  chardevs_free(&set);
  assert_int_equal(access(a.sun_path, F_OK), -1);
  rmdir(dir);
}

static void bad_backends_are_refused_by_name(void **state)
{
  struct chardevs set;
  struct err e;
  chardevs_init(&set);
  assert_null(chardev_open(&set, "x", "tcp:1", &e));
  assert_non_null(strstr(e.text, "tcp:1"));
  assert_null(chardev_open(&set, "x", "file:/nonexistent/x", &e));
  assert_non_null(strstr(e.text, "/nonexistent/x"));
  assert_null(chardev_open(&set, "x", "unix:/tmp/x,what", &e));
  assert_non_null(strstr(e.text, "what"));
  assert_null(set.first);
  chardevs_free(&set);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loopback_returns_bytes_and_modem_lines),
      cmocka_unit_test(fifo_holds_16_and_reports_overrun),
      cmocka_unit_test(transmitter_interrupt_is_raised_again_when_enabled_again),
      cmocka_unit_test(trigger_level_and_character_timeout_interrupt),
      cmocka_unit_test(line_status_comes_before_data_and_transmitter),
      cmocka_unit_test(unread_input_waits_and_is_not_lost),
      cmocka_unit_test(scratch_divisor_and_second_user),
      cmocka_unit_test(output_reaches_a_file),
      cmocka_unit_test(escapes_switch_the_focus_and_end_the_machine),
      cmocka_unit_test(unix_server_takes_a_client_and_reads_with_back_pressure),
      cmocka_unit_test(bad_backends_are_refused_by_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
