// Attempts at one effect that the policy forbids, each by another way around the mediator.
//
//   escape TECHNIQUE OUTSIDE SECRET PORT TOOL
//
// OUTSIDE: a directory in which nothing may be made; SECRET: a file that may not be read; PORT: a
// loopback port that may not be reached; TOOL: a program that may not run. Success is told by the
// effect alone, so failures are not reported. run.py has the list of techniques.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorder/gate/gate.h"

static const char *outside, *secret, *tool;
static int port;
static char marker[4096];

static void print_file(int fd) {
  char text[256];
  ssize_t n = read(fd, text, sizeof text);
  if (n > 0) write(1, text, (size_t)n);
}

static struct sockaddr_in target(void) {
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void make_marker(void) {
  int fd = open(marker, O_CREAT | O_WRONLY, 0600);
  if (fd >= 0) close(fd);
}

static void raw_syscall(void) {
  long result;
  register long mode __asm__("r10") = 0600;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(SYS_openat), "D"(AT_FDCWD), "S"(marker), "d"(O_CREAT | O_WRONLY), "r"(mode)
                   : "rcx", "r11", "memory");
}

// The 32-bit table has open at 5, and takes pointers below 4 GiB.
static void interrupt_80(void) {
  char* low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (low == MAP_FAILED) return;
  strcpy(low, marker);
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(5), "b"(low), "c"(O_CREAT | O_WRONLY), "d"(0600)
                   : "memory", "r8", "r9", "r10", "r11");
}

static void x32(void) { syscall(0x40000000 + SYS_open, marker, O_CREAT | O_WRONLY, 0600); }

static void io_uring(void) {
  char parameters[256] = {0};
  if (syscall(425, 4, parameters) >= 0) make_marker();  // natively a ring; the rest is open's
}

// Into the instruction that the mediator uses itself, as a call of ours.
static void through_the_gate(void) {
  for (unsigned long at = 0x70000000; at < 0x70004000; ++at) {
    // Only where the gate is mapped: elsewhere there is nothing to jump to.
    unsigned char bytes[3];
    struct iovec own = {bytes, 3}, there = {(void*)at, 3};
    int pipes[2];
    if (pipe(pipes) != 0) return;
    int readable = write(pipes[1], (void*)at, 3) == 3 && read(pipes[0], bytes, 3) == 3;
    (void)own, (void)there;
    close(pipes[0]), close(pipes[1]);
    if (!readable || bytes[0] != 0x0f || bytes[1] != 0x05 || bytes[2] != 0xc3) continue;
    long result;
    register long mode __asm__("r10") = 0600;
    __asm__ volatile("call *%1"
                     : "=a"(result)
                     : "r"(at), "a"(SYS_openat), "D"(AT_FDCWD), "S"(marker), "d"(O_CREAT | O_WRONLY), "r"(mode)
                     : "rcx", "r11", "memory");
  }
  make_marker();
}

static long in_the_gate(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("call *%1"
                   : "=a"(result)
                   : "r"(AIRR_GATE_SYSCALL), "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

// By the gate's way to open system files: with names, directories and conditions of ours, and with another
// directory in the place of theirs.
static void through_the_tree(void) {
  char directory[4096], climbing[8192] = "", *slash;
  struct open_how own = {.flags = O_RDONLY};
  snprintf(directory, sizeof directory, "%s", secret);
  slash = strrchr(directory, '/');
  *slash = 0;
  for (int i = 0; i < 40; ++i) strcat(climbing, "../");
  strcat(climbing, secret + 1);
  int fd = open(directory, O_PATH | O_DIRECTORY);
  print_file((int)in_the_gate(SYS_openat2, fd, (long)(slash + 1), (long)&own, sizeof own));
  print_file((int)in_the_gate(SYS_openat2, fd, (long)(slash + 1), AIRR_GATE_HOWS, sizeof own));
  print_file((int)in_the_gate(SYS_openat2, AT_FDCWD, (long)secret, AIRR_GATE_HOWS, sizeof own));
  print_file((int)in_the_gate(SYS_openat2, AIRR_GATE_TREE_FD, (long)climbing, (long)&own, sizeof own));
  for (long at = AIRR_GATE_HOWS - 64; at < (long)AIRR_GATE_HOWS + 2048; ++at) {
    print_file((int)in_the_gate(SYS_openat2, AIRR_GATE_TREE_FD, (long)climbing, at, sizeof own));
    print_file((int)in_the_gate(SYS_openat2, AIRR_GATE_TREE_FD, (long)secret, at, sizeof own));
  }
  print_file((int)in_the_gate(SYS_openat, AT_FDCWD, (long)secret, O_RDONLY, 0));
  struct rlimit many = {4096, 4096}, few = {8, 4096};
  for (int i = 0; i < 10; ++i) {
    switch (i) {
      case 0: close(AIRR_GATE_TREE_FD); break;
      case 1: in_the_gate(SYS_close, AIRR_GATE_TREE_FD, 0, 0, 0); break;
      case 2: close_range(16, ~0u, 0); break;
      case 3: syscall(SYS_close_range, AIRR_GATE_TREE_FD, AIRR_GATE_TREE_FD, 2 /* CLOSE_RANGE_UNSHARE */); break;
      case 4: fcntl(AIRR_GATE_TREE_FD, F_SETFD, FD_CLOEXEC); break;
      case 5: in_the_gate(SYS_fcntl, AIRR_GATE_TREE_FD, F_SETFD, FD_CLOEXEC, 0); break;
      case 6: ioctl(AIRR_GATE_TREE_FD, FIOCLEX); break;
      case 7: close_range(16, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */); break;
      case 8: setrlimit(RLIMIT_NOFILE, &few); break;
      case 9: unshare(CLONE_FILES); break;
    }
    setrlimit(RLIMIT_NOFILE, &many);
    for (int where = 0; where < 3; ++where) {
      if (where == 0) dup2(fd, AIRR_GATE_TREE_FD);
      if (where == 1) syscall(SYS_dup3, fd, AIRR_GATE_TREE_FD, 0);
      if (where == 2) fcntl(fd, F_DUPFD, AIRR_GATE_TREE_FD);
      print_file((int)in_the_gate(SYS_openat2, AIRR_GATE_TREE_FD, (long)(slash + 1), AIRR_GATE_HOWS, sizeof own));
    }
  }
  print_file(open(secret, O_RDONLY));
  // What was to be closed by an exec.
  if (getenv("ESCAPE_AGAIN") != NULL) return;
  setenv("ESCAPE_AGAIN", "1", 1);
  char text[16];
  snprintf(text, sizeof text, "%d", port);
  execl("/proc/self/exe", "escape", "gate_tree", outside, secret, text, tool, NULL);
}

// By the names that the gate may open: with others, with what stands in the middle of one, from other directories, and
// with names of ours in their place.
static void by_granted_names(void) {
  char directory[4096];
  snprintf(directory, sizeof directory, "%s", secret);
  *strrchr(directory, '/') = 0;
  const long size = AIRR_GATE_HOW_SIZE, names = AIRR_GATE_GRANTED_NAMES;
  const int there = open(directory, O_PATH | O_DIRECTORY);
  // A file of ours that is granted, with a name that ends as the secret's.
  char ours[4096] = ".";
  strcat(ours, secret);
  for (char* at = ours + 2; (at = strchr(at, '/')) != NULL; ++at) {
    *at = 0;
    mkdir(ours, 0700);
    *at = '/';
  }
  close(open(ours, O_CREAT | O_WRONLY, 0600));
  for (int i = 0; i < 40; ++i) {
    const int fd = open(i % 2 ? ours + 2 : "/etc/passwd", O_RDONLY);
    if (fd >= 0) close(fd);
  }
  for (long how = AIRR_GATE_HOWS; how < (long)AIRR_GATE_HOWS + 4096; how += 32) {
    print_file((int)in_the_gate(SYS_openat2, AIRR_GATE_ROOT_FD, (long)(secret + 1), how, size));
    print_file((int)in_the_gate(SYS_openat2, AIRR_GATE_ROOT_FD, (long)secret, how, size));
  }
  struct open_how own = {.flags = O_RDONLY};
  for (long at = AIRR_GATE_GRANTS; at < names + 64 * AIRR_GATE_NAME_SIZE; at += at < names ? 4096 : 1) {
    const long whole = at % AIRR_GATE_NAME_SIZE == 0 && at >= names;
    // What begins anywhere but at a whole name's start, or is opened otherwise, the filter does not let through: the
    // call stops, and is the program's own.
    if (!whole) {
      const long fd = in_the_gate(SYS_openat2, AIRR_GATE_ROOT_FD, at, AIRR_GATE_GRANTED_HOWS, size);
      print_file((int)fd);
      if (fd >= 0) close((int)fd);
    }
    if (at % 64 != 0) continue;
    print_file((int)in_the_gate(SYS_openat2, there, at, AIRR_GATE_GRANTED_HOWS, size));
    print_file((int)in_the_gate(SYS_openat2, AT_FDCWD, at, (long)&own, size));
    print_file((int)in_the_gate(SYS_openat2, AIRR_GATE_ROOT_FD, at, (long)&own, size));
  }
  // Our own names there.
  for (int way = 0; way < 7; ++way) {
    char* const page = (char*)names;
    const long from = AIRR_GATE_GRANTS, all = AIRR_GATE_GRANTED_NAMES + AIRR_GATE_GRANTED_NAMES_SIZE - AIRR_GATE_GRANTS;
    struct iovec mine = {(void*)(secret + 1), strlen(secret)}, theirs = {page, strlen(secret)};
    int fd = -1;
    switch (way) {
      case 0: mprotect((void*)from, (size_t)all, PROT_READ | PROT_WRITE); break;
      case 1: in_the_gate(SYS_mprotect, from, all, PROT_READ | PROT_WRITE, 0); break;
      case 2: mmap((void*)from, (size_t)all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); break;
      case 3: mmap((void*)from, (size_t)all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, AIRR_GATE_GRANTS_FD, 0); break;
      case 4: munmap((void*)from, (size_t)all); break;
      case 5:
        fd = open("/proc/self/fd/1026", O_RDWR);
        pwrite(fd, secret + 1, strlen(secret), names - from);
        if (mmap(NULL, (size_t)all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
          write(1, "the names were mapped for writing\n", 34);
        break;
      case 6:
        fd = open("/proc/self/mem", O_RDWR);
        pwrite(fd, secret + 1, strlen(secret), names);
        break;
    }
    process_vm_writev(getpid(), &mine, 1, &theirs, 1, 0);
    const int text = memfd_create("text", 0);
    write(text, secret + 1, strlen(secret) + 1);
    pread(text, page, strlen(secret) + 1, 0);
    close(text);
    print_file((int)in_the_gate(SYS_openat2, AIRR_GATE_ROOT_FD, names, AIRR_GATE_GRANTED_HOWS, size));
    if (fd >= 0) close(fd);
  }
}

static void memfd_exec(void) {
  int from = open(tool, O_RDONLY), to = memfd_create("tool", 0);
  struct stat s;
  fstat(from, &s);
  sendfile(to, from, NULL, (size_t)s.st_size);
  char* arguments[] = {(char*)tool, marker, NULL};
  syscall(SYS_execveat, to, "", arguments, (char*[]){NULL}, AT_EMPTY_PATH);
}

static void loader(void) {
  execl("/lib64/ld-linux-x86-64.so.2", "ld.so", tool, marker, NULL);
}

static void own_memory(void) {
  // Rewrites the name that a decision was made on, through procfs.
  static char name[4096];
  snprintf(name, sizeof name, "allowed");
  int memory = open("/proc/self/mem", O_RDWR);
  if (memory >= 0) pwrite(memory, marker, strlen(marker) + 1, (off_t)name);
  close(open(name, O_CREAT | O_WRONLY, 0600));
}

static void sibling_memory(int by_call) {
  static volatile char name[4096];
  strcpy((char*)name, "allowed");
  int ready[2];
  if (pipe(ready) != 0) return;
  pid_t child = fork();
  if (child == 0) {
    char byte;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    read(ready[0], &byte, 1);
    close(open((const char*)name, O_CREAT | O_WRONLY, 0600));
    _exit(0);
  }
  if (by_call) {
    struct iovec from = {marker, strlen(marker) + 1}, to = {(void*)name, strlen(marker) + 1};
    process_vm_writev(child, &from, 1, &to, 1, 0);
  } else {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", child);
    int memory = open(path, O_RDWR);
    if (memory >= 0) pwrite(memory, marker, strlen(marker) + 1, (off_t)name);
  }
  write(ready[1], "x", 1);
  waitpid(child, NULL, 0);
}

static void ptrace_sibling(void) {
  static volatile char name[4096];
  strcpy((char*)name, "allowed");
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    close(open((const char*)name, O_CREAT | O_WRONLY, 0600));
    _exit(0);
  }
  waitpid(child, NULL, WUNTRACED);
  for (size_t i = 0; i <= strlen(marker); i += sizeof(long))
    ptrace(PTRACE_POKEDATA, child, name + i, *(long*)(marker + i));
  ptrace(PTRACE_DETACH, child, 0, 0);
  kill(child, SIGCONT);
  waitpid(child, NULL, 0);
}

// A thread changes the name while another has it opened.
static char racing[4096];
static volatile int over;
static void* change_name(void* unused) {
  (void)unused;
  while (!over) {
    strcpy(racing, "allowed");
    strcpy(racing, marker);
  }
  return NULL;
}
static void argument_race(void) {
  pthread_t thread;
  strcpy(racing, "allowed");
  pthread_create(&thread, NULL, change_name, NULL);
  for (int i = 0; i < 3000; ++i) {
    int fd = open(racing, O_CREAT | O_WRONLY, 0600);
    if (fd >= 0) close(fd);
  }
  over = 1;
  pthread_join(thread, NULL);
}

static void shared_mapping_race(void) {
  char* shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  volatile char* stop = shared + 4096;
  strcpy(shared, "allowed");
  pid_t child = fork();
  if (child == 0) {
    while (!*stop) {
      strcpy(shared, "allowed");
      strcpy(shared, marker);
    }
    _exit(0);
  }
  for (int i = 0; i < 300; ++i) {
    int fd = open(shared, O_CREAT | O_WRONLY, 0600);
    if (fd >= 0) close(fd);
  }
  *stop = 1;
  waitpid(child, NULL, 0);
}

// Another process swaps what a name leads to, between a place of ours and the forbidden one. It takes at least so many
// attempts, and more until 32 were made at another moment of the swapping than the one before: on one core, all the
// first may come before the other has run at all.
static void swapping(void (*swap)(void), void (*attempt)(void), int attempts) {
  volatile unsigned* swaps = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t child = fork();
  if (child == 0) {
    for (;; ++*swaps) swap();
  }
  unsigned seen = 0;
  int moments = 0;
  for (int i = 0; i < attempts || moments < 32; ++i) {
    moments += *swaps != seen;
    seen = *swaps;
    attempt();
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static void swap_link(void) {
  symlink("inside", "new");
  rename("new", "link");
  symlink(outside, "new");
  rename("new", "link");
}
static void swap_directory(void) {
  syscall(SYS_renameat2, AT_FDCWD, "place", AT_FDCWD, "out", RENAME_EXCHANGE);
}
static void create_in_link(void) {
  int fd = open("link/marker", O_CREAT | O_WRONLY, 0600);
  if (fd >= 0) close(fd);
}
static void create_in_place(void) {
  int fd = open("place/marker", O_CREAT | O_WRONLY, 0600);
  if (fd >= 0) close(fd);
  unlink("inside/marker");
}
static void rename_into_link(void) {
  close(open("mine", O_CREAT | O_WRONLY, 0600));
  rename("mine", "link/marker");
}
static void link_into_link(void) {
  close(open("mine", O_CREAT | O_WRONLY, 0600));
  link("mine", "link/marker");
  unlink("inside/marker");
}
static void mkdir_in_link(void) {
  mkdir("link/marker", 0700);
  rmdir("inside/marker");
}
static void swap_secret(void) {
  symlink("harmless", "new");
  rename("new", "file");
  symlink(secret, "new");
  rename("new", "file");
}
static void read_file(void) {
  int fd = open("file", O_RDONLY);
  if (fd < 0) return;
  print_file(fd);
  close(fd);
}
static void swap_tool(void) {
  symlink("/bin/true", "new");
  rename("new", "program");
  symlink(tool, "new");
  rename("new", "program");
}
static void run_program(void) {
  pid_t child = fork();
  if (child == 0) {
    execl("program", "program", marker, NULL);
    _exit(1);
  }
  waitpid(child, NULL, 0);
}
static void make_places(void) {
  mkdir("inside", 0700);
  symlink("inside", "link");
  symlink("inside", "place");
  symlink(outside, "out");
  close(open("harmless", O_CREAT | O_WRONLY, 0600));
  symlink("harmless", "file");
  symlink("/bin/true", "program");
}

static void through_root(void) {
  char path[8192];
  snprintf(path, sizeof path, "/proc/self/root%s", marker);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  snprintf(path, sizeof path, "/proc/self/cwd/../../../../../../../../../..%s", marker);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  snprintf(path, sizeof path, "/proc/thread-self/root%s", marker);
  close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void reopen_path(void) {
  char path[64];
  int fd = open(secret, O_PATH);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_RDONLY);
  if (again >= 0) print_file(again);
  snprintf(path, sizeof path, "/dev/fd/%d", fd);
  again = open(path, O_RDONLY);
  if (again >= 0) print_file(again);
  again = openat(fd, "", O_RDONLY);
  if (again >= 0) print_file(again);
}

static void directory_descriptor(void) {
  int fd = open(outside, O_PATH | O_DIRECTORY);
  close(openat(fd, "marker", O_CREAT | O_WRONLY, 0600));
  fchdir(fd);
  close(open("marker", O_CREAT | O_WRONLY, 0600));
}

static void dots(void) {
  char path[8192];
  snprintf(path, sizeof path, "../%s/./marker", strrchr(outside, '/') + 1);
  close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void pass_descriptor(void) {
  int pair[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  if (fork() == 0) {
    int fd = open(secret, O_PATH);
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {(void*)"x", 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    sendmsg(pair[1], &message, 0);
    _exit(0);
  }
  char byte, control[CMSG_SPACE(sizeof(int))], path[64];
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  recvmsg(pair[0], &message, 0);
  int fd;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  fd = open(path, O_RDONLY);
  if (fd >= 0) print_file(fd);
  wait(NULL);
}

static void take_descriptors(void) {
  // Whatever the process that started this one has open.
  int process = (int)syscall(SYS_pidfd_open, getppid(), 0);
  for (int i = 0; i < 64; ++i) {
    int fd = (int)syscall(SYS_pidfd_getfd, process, i, 0);
    if (fd >= 0) make_marker();
  }
}

static void hard_link(void) {
  link(secret, "mine");
  int fd = open("mine", O_RDONLY);
  if (fd >= 0) print_file(fd);
}
static void move_secret(void) {
  rename(secret, "mine");
  int fd = open("mine", O_RDONLY);
  if (fd >= 0) print_file(fd);
}
static void other_opens(void) {
  close(creat(marker, 0600));
  struct { unsigned long flags, mode, resolve; } how = {O_CREAT | O_WRONLY, 0600, 0};
  close((int)syscall(437, AT_FDCWD, marker, &how, sizeof how));
  mknod(marker, S_IFREG | 0600, 0);
  mkdir(marker, 0700);
  symlink("x", marker);
  int fd = open(outside, O_TMPFILE | O_WRONLY, 0600);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  linkat(AT_FDCWD, path, AT_FDCWD, marker, AT_SYMLINK_FOLLOW);
  struct sockaddr_un name = {AF_UNIX, ""};
  snprintf(name.sun_path, sizeof name.sun_path, "%s", marker);
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(s, (struct sockaddr*)&name, sizeof name);
}

static void tcp(void) {
  struct sockaddr_in to = target();
  int s = socket(AF_INET, SOCK_STREAM, 0);
  connect(s, (struct sockaddr*)&to, sizeof to);
}
static void fast_open(void) {
  struct sockaddr_in to = target();
  int s = socket(AF_INET, SOCK_STREAM, 0);
  sendto(s, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&to, sizeof to);
}
static void tcp_v6(void) {
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr);
  int s = socket(AF_INET6, SOCK_STREAM, 0);
  connect(s, (struct sockaddr*)&to, sizeof to);
}
static void datagrams(int way) {
  struct sockaddr_in to = target();
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  struct iovec data = {(void*)"x", 1};
  struct mmsghdr message = {.msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &data, .msg_iovlen = 1}};
  if (way == 0) sendto(s, "x", 1, 0, (struct sockaddr*)&to, sizeof to);
  if (way == 1) sendmsg(s, &message.msg_hdr, 0);
  if (way == 2) sendmmsg(s, &message, 1, 0);
}
static void unix_datagram(int abstract) {
  struct sockaddr_un to = {AF_UNIX, ""};
  int n = snprintf(to.sun_path + abstract, sizeof to.sun_path - 1, "%s/socket", outside);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)abstract + (size_t)n);
  int s = socket(AF_UNIX, SOCK_DGRAM, 0);
  sendto(s, "x", 1, 0, (struct sockaddr*)&to, size);
}
static void raw_packets(void) {
  struct sockaddr_in to = target();
  int s = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
  struct { uint16_t from, to, length, sum; char data; } packet = {htons(9), htons((uint16_t)port), htons(9), 0, 'x'};
  sendto(s, &packet, 9, 0, (struct sockaddr*)&to, sizeof to);
}
static void other_families(void) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
  if (s >= 0 && bind(s, (struct sockaddr*)&kernel, sizeof kernel) == 0) make_marker();
  struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_port = 1024, .svm_cid = VMADDR_CID_HOST};
  s = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (s >= 0) connect(s, (struct sockaddr*)&host, sizeof host), make_marker();
}

static void change_root(void) {
  chroot(outside);
  close(open("/marker", O_CREAT | O_WRONLY, 0600));
}
static void bind_mount(void) {
  mkdir("mounted", 0700);
  unshare(CLONE_NEWNS);
  mount(outside, "mounted", NULL, MS_BIND, NULL);
  close(open("mounted/marker", O_CREAT | O_WRONLY, 0600));
  umount("mounted");
}
static void new_user_namespace(void) {
  unshare(CLONE_NEWUSER | CLONE_NEWNS);
  mkdir("mounted", 0700);
  mount(outside, "mounted", NULL, MS_BIND, NULL);
  close(open("mounted/marker", O_CREAT | O_WRONLY, 0600));
}
static void join_namespace(void) {
  int fd = open("/proc/1/ns/mnt", O_RDONLY);
  setns(fd, CLONE_NEWNS);
  make_marker();
}
static void other_personality(void) {
  personality(PER_LINUX32 | ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC);
  make_marker();
}
static void become_somebody(void) {
  setgid(65534);
  setuid(65534);
  make_marker();
}
static void many_processes(void) {
  for (int i = 0; i < 6; ++i) fork();
  make_marker();
  while (wait(NULL) > 0) {
  }
}
static void close_everything(void) {
  for (int fd = 3; fd < 4096; ++fd) dup2(0, fd);
  syscall(SYS_close_range, 3, ~0u, 0);
  make_marker();
}

// The mediator is the parent of the session's first process, which this one is.
static void kill_mediator(void) {
  kill(getppid(), SIGSTOP);
  kill(getppid(), SIGKILL);
  syscall(SYS_tgkill, getppid(), getppid(), SIGKILL);
  int process = (int)syscall(SYS_pidfd_open, getppid(), 0);
  syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
  siginfo_t info = {.si_code = SI_QUEUE};
  syscall(SYS_rt_sigqueueinfo, getppid(), SIGKILL, &info);
  sleep(1);
  make_marker();
}
static void kill_everybody(void) {
  signal(SIGTERM, SIG_IGN);
  kill(-1, SIGKILL);
  make_marker();
}
static void choke_mediator(void) {
  struct rlimit none = {0, 0};
  prlimit(getppid(), RLIMIT_FSIZE, &none, NULL);
  prlimit(getppid(), RLIMIT_NOFILE, &none, NULL);
  make_marker();
}
static void mediator_memory(void) {
  char path[64];
  for (const char* const* name = (const char* const[]){"mem", "environ", "maps", "fd/3", "cwd/x", NULL}; *name; ++name) {
    snprintf(path, sizeof path, "/proc/%d/%s", getppid(), *name);
    int fd = open(path, strcmp(*name, "mem") == 0 ? O_RDWR : O_RDONLY);
    if (fd >= 0) make_marker();
  }
}

static int is(const char* name, const char* other) { return strcmp(name, other) == 0; }

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const char* t = argv[1];
  outside = argv[2], secret = argv[3], port = atoi(argv[4]), tool = argv[5];
  snprintf(marker, sizeof marker, "%s/marker", outside);
  make_places();
  if (is(t, "open")) make_marker();
  else if (is(t, "raw_syscall")) raw_syscall();
  else if (is(t, "int_80")) interrupt_80();
  else if (is(t, "x32")) x32();
  else if (is(t, "io_uring")) io_uring();
  else if (is(t, "gate")) through_the_gate();
  else if (is(t, "gate_tree")) through_the_tree();
  else if (is(t, "gate_names")) by_granted_names();
  else if (is(t, "memfd")) memfd_exec();
  else if (is(t, "exec")) execl(tool, tool, marker, NULL);
  else if (is(t, "loader")) loader();
  else if (is(t, "own_memory")) own_memory();
  else if (is(t, "sibling_memory")) sibling_memory(0);
  else if (is(t, "process_vm_writev")) sibling_memory(1);
  else if (is(t, "ptrace")) ptrace_sibling();
  else if (is(t, "argument_race")) argument_race();
  else if (is(t, "shared_mapping_race")) shared_mapping_race();
  else if (is(t, "symlink_race")) swapping(swap_link, create_in_link, 2000);
  else if (is(t, "exchange_race")) swapping(swap_directory, create_in_place, 2000);
  else if (is(t, "rename_race")) swapping(swap_link, rename_into_link, 2000);
  else if (is(t, "link_race")) swapping(swap_link, link_into_link, 2000);
  else if (is(t, "mkdir_race")) swapping(swap_link, mkdir_in_link, 2000);
  else if (is(t, "read_race")) swapping(swap_secret, read_file, 20000);
  else if (is(t, "exec_race")) swapping(swap_tool, run_program, 150);
  else if (is(t, "proc_root")) through_root();
  else if (is(t, "reopen")) reopen_path();
  else if (is(t, "directory_descriptor")) directory_descriptor();
  else if (is(t, "dots")) dots();
  else if (is(t, "scm_rights")) pass_descriptor();
  else if (is(t, "pidfd_getfd")) take_descriptors();
  else if (is(t, "hard_link")) hard_link();
  else if (is(t, "move_secret")) move_secret();
  else if (is(t, "other_opens")) other_opens();
  else if (is(t, "tcp")) tcp();
  else if (is(t, "fast_open")) fast_open();
  else if (is(t, "tcp_v6")) tcp_v6();
  else if (is(t, "sendto")) datagrams(0);
  else if (is(t, "sendmsg")) datagrams(1);
  else if (is(t, "sendmmsg")) datagrams(2);
  else if (is(t, "unix_datagram")) unix_datagram(0);
  else if (is(t, "abstract")) unix_datagram(1);
  else if (is(t, "raw_socket")) raw_packets();
  else if (is(t, "families")) other_families();
  else if (is(t, "chroot")) change_root();
  else if (is(t, "mount")) bind_mount();
  else if (is(t, "user_namespace")) new_user_namespace();
  else if (is(t, "setns")) join_namespace();
  else if (is(t, "personality")) other_personality();
  else if (is(t, "setuid")) become_somebody();
  else if (is(t, "fork_bomb")) many_processes();
  else if (is(t, "close_all")) close_everything();
  else if (is(t, "kill_mediator")) kill_mediator();
  else if (is(t, "kill_everybody")) kill_everybody();
  else if (is(t, "prlimit")) choke_mediator();
  else if (is(t, "mediator_memory")) mediator_memory();
  else return 2;
  return 0;
}
