// Unix sockets: SCM_RIGHTS and SCM_CREDENTIALS between processes, a named and an abstract socket,
// datagrams, recvmmsg.
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"

static void send_descriptors(int socket, int first, int second) {
  char text[] = "two";
  struct iovec part = {text, 3};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(2 * sizeof(int))];
  } control = {0};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  int fds[2] = {first, second};
  memcpy(CMSG_DATA(header), fds, sizeof fds);
  CHECK(sendmsg(socket, &message, 0) == 3);
}

static void receive_descriptors(int socket, int fds[2]) {
  char text[8];
  struct iovec part = {text, sizeof text};
  _Alignas(struct cmsghdr) char control[256];
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 3);
  int rights = 0;
  for (struct cmsghdr* at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_type == SCM_RIGHTS) {
      memcpy(fds, CMSG_DATA(at), 2 * sizeof(int));
      rights = 1;
    } else if (at->cmsg_type == SCM_CREDENTIALS) {
      struct ucred sender;
      memcpy(&sender, CMSG_DATA(at), sizeof sender);
      printf("from pid %d uid %d\n", sender.pid, sender.uid);
    }
  }
  CHECK(rights);
}

static void pass(void) {
  int sockets[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  int on = 1;
  CHECK(setsockopt(sockets[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    int file = open("passed.txt", O_RDWR | O_CREAT | O_TRUNC, 0644);
    CHECK(file >= 0 && dprintf(file, "written by %d\n", getpid()) > 0);
    CHECK(lseek(file, 0, SEEK_SET) == 0);
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], "through a pipe", 14) == 14);
    send_descriptors(sockets[1], file, ends[0]);
    _exit(0);
  }
  int fds[2] = {-1, -1};
  receive_descriptors(sockets[0], fds);
  CHECK(wait_exit(child) == 0);
  char buffer[64];
  for (int i = 0; i < 2; ++i) {
    ssize_t got = read(fds[i], buffer, sizeof buffer - 1);
    CHECK(got > 0);
    buffer[got] = 0;
    printf("descriptor %d: %s\n", fds[i], buffer);
  }
}

static void named(struct sockaddr_un* address, socklen_t length) {
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(bind(listener, (struct sockaddr*)address, length) == 0);
  CHECK(listen(listener, 4) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr*)address, length) == 0);
    CHECK(send(client, "question", 8, MSG_NOSIGNAL) == 8);
    char answer[32];
    CHECK(recv(client, answer, sizeof answer, 0) > 0);
    _exit(0);
  }
  struct sockaddr_un peer;
  socklen_t peer_length = sizeof peer;
  int connection = accept4(listener, (struct sockaddr*)&peer, &peer_length, SOCK_CLOEXEC);
  CHECK(connection >= 0);
  struct ucred credentials;
  socklen_t size = sizeof credentials;
  CHECK(getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0);
  char text[32] = {0};
  CHECK(recv(connection, text, sizeof text - 1, 0) == 8);
  printf("peer %d asked: %s\n", credentials.pid, text);
  CHECK(send(connection, "answer", 6, 0) == 6);
  CHECK(wait_exit(child) == 0);
  close(connection);
  close(listener);
}

static void datagrams(void) {
  int sockets[2];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) == 0);
  for (int i = 0; i < 3; ++i) CHECK(send(sockets[0], "datagram", (size_t)i + 3, 0) == i + 3);
  char buffers[4][16];
  struct iovec parts[4];
  struct mmsghdr messages[4] = {0};
  for (int i = 0; i < 4; ++i) {
    parts[i] = (struct iovec){buffers[i], sizeof buffers[i]};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  int got = recvmmsg(sockets[1], messages, 4, MSG_DONTWAIT, NULL);
  CHECK(got == 3);
  for (int i = 0; i < got; ++i) printf("%.*s\n", (int)messages[i].msg_len, buffers[i]);
}

int main(void) {
  pass();
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "named.socket"};
  named(&address, sizeof address);
  CHECK(unlink("named.socket") == 0);
  struct sockaddr_un abstract = {.sun_family = AF_UNIX};
  int length = snprintf(abstract.sun_path + 1, 40, "airr-test-%d", getpid());
  named(&abstract, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length));
  datagrams();
  return done();
}
