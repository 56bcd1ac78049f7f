// The transfers of the bench's I/O items, in a guest.
//
//   io read|write FILE MB    past the page cache, 1 MB at a time; a file that is written ends on the disk
//   io get|put PORT MB       from or to a port of 10.0.2.2, 64 KB at a time
//
// Prints how many megabytes it was.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MB = 1 << 20, PIECE = 64 << 10 };

static long disk(const char *file, long mb, int write_it)
{
  int fd = open(file, (write_it ? O_WRONLY : O_RDONLY) | O_DIRECT);
  char *buf = aligned_alloc(4096, MB);
  long n = 0;
  if (fd < 0 || !buf)
    return -1;
  memset(buf, 0x5a, MB);
  while (n < mb && (write_it ? write(fd, buf, MB) : read(fd, buf, MB)) == MB)
    n++;
  return write_it && fsync(fd) ? -1 : n;
}

static long network(const char *port, long mb, int put)
{
  static char buf[PIECE];
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  long done = 0, all = mb * MB;
  ssize_t n;
  inet_pton(AF_INET, "10.0.2.2", &to.sin_addr);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
    return -1;
  while (done < all && (n = put ? write(fd, buf, PIECE) : read(fd, buf, PIECE)) > 0)
    done += n;
  // The other side has all of it when it closes, too.
  if (put && (shutdown(fd, SHUT_WR) || read(fd, buf, 1) != 0))
    return -1;
  return done / MB;
}

int main(int argc, char **argv)
{
  if (argc != 4)
    return 2;
  long mb = atol(argv[3]);
  const char *how = argv[1];
  if (!strcmp(how, "read") || !strcmp(how, "write"))
    printf("%ld\n", disk(argv[2], mb, *how == 'w'));
  else
    printf("%ld\n", network(argv[2], mb, *how == 'p'));
  return 0;
}
