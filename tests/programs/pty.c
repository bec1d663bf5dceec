// A pseudo terminal: a session of its own on the other side, window size and its signal, Ctrl-C
// through the line discipline.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "check.h"

static void reads_until(int master, const char* word) {
  char text[2000];
  size_t length = 0;
  while (length + 1 < sizeof text) {
    ssize_t got = read(master, text + length, sizeof text - 1 - length);
    CHECK(got > 0);
    length += (size_t)got;
    text[length] = 0;
    if (strstr(text, word) != NULL) break;
  }
  printf("terminal said: %s", text);
}

static void other_side(const char* name) {
  CHECK(setsid() == getpid());
  int tty = open(name, O_RDWR);
  CHECK(tty >= 0);
  CHECK(ioctl(tty, TIOCSCTTY, 0) == 0 || errno == EPERM);
  CHECK(tcgetpgrp(tty) == getpid());
  sigset_t resize, interrupt;
  sigemptyset(&resize);
  sigaddset(&resize, SIGWINCH);
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  CHECK(sigprocmask(SIG_BLOCK, &resize, NULL) == 0 &&
        sigprocmask(SIG_BLOCK, &interrupt, NULL) == 0);
  struct winsize size;
  CHECK(ioctl(tty, TIOCGWINSZ, &size) == 0);
  dprintf(tty, "size %dx%d on %s ready\n", size.ws_row, size.ws_col, name);
  CHECK(sigwaitinfo(&resize, NULL) == SIGWINCH);
  CHECK(ioctl(tty, TIOCGWINSZ, &size) == 0);
  dprintf(tty, "resized %dx%d\n", size.ws_row, size.ws_col);
  CHECK(sigwaitinfo(&interrupt, NULL) == SIGINT);
  dprintf(tty, "interrupted\n");
  char line[64];
  ssize_t got = read(tty, line, sizeof line);
  CHECK(got > 0);
  dprintf(tty, "you typed %.*s", (int)got, line);
  _exit(21);
}

int main(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
  char name[64];
  CHECK(ptsname_r(master, name, sizeof name) == 0);
  printf("terminal %s\n", name);
  struct winsize size = {.ws_row = 30, .ws_col = 90};
  CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
  pid_t child = fork_flushed();
  if (child == 0) other_side(name);
  reads_until(master, "ready");
  size.ws_row = 50;
  CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
  reads_until(master, "resized");
  CHECK(write(master, "\x03", 1) == 1);
  reads_until(master, "interrupted");
  CHECK(write(master, "hello\n", 6) == 6);
  reads_until(master, "you typed");
  CHECK(wait_exit(child) == 21);
  return done();
}
