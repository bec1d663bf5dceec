// TCP and UDP on loopback: a threaded server in the program, options, non-blocking connect,
// getaddrinfo.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"

static int listener;

static void* serves(void* unused) {
  for (int i = 0; i < 3; ++i) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int connection = accept(listener, (struct sockaddr*)&peer, &length);
    CHECK(connection >= 0);
    char text[64];
    ssize_t got = recv(connection, text, sizeof text, 0);
    CHECK(got > 0);
    char answer[128];
    int size =
        snprintf(answer, sizeof answer, "port %d said %.*s", ntohs(peer.sin_port), (int)got, text);
    CHECK(send(connection, answer, (size_t)size, MSG_NOSIGNAL) == size);
    CHECK(shutdown(connection, SHUT_WR) == 0);
    close(connection);
  }
  return unused;
}

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons((unsigned short)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int main(void) {
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(listener >= 0);
  struct sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  CHECK(bind(listener, (struct sockaddr*)&address, length) == 0 && listen(listener, 8) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&address, &length) == 0);
  printf("listening on %d\n", ntohs(address.sin_port));
  pthread_t server;
  CHECK_ZERO(pthread_create(&server, NULL, serves, NULL));
  for (int i = 0; i < 3; ++i) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1, error;
    socklen_t size = sizeof error;
    CHECK(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    int result = connect(client, (struct sockaddr*)&address, sizeof address);
    CHECK(result == 0 || errno == EINPROGRESS);
    struct pollfd ready = {.fd = client, .events = POLLOUT};
    CHECK(poll(&ready, 1, -1) == 1);
    CHECK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
    CHECK(send(client, "hello", 5, 0) == 5);
    char text[128] = {0};
    size_t got = 0;
    for (;;) {
      ready.events = POLLIN;
      CHECK(poll(&ready, 1, -1) == 1);
      ssize_t part = recv(client, text + got, sizeof text - got, 0);
      if (part == 0) break;
      CHECK(part > 0);
      got += (size_t)part;
    }
    printf("answer: %s\n", text);
    close(client);
  }
  CHECK_ZERO(pthread_join(server, NULL));

  int udp[2];
  for (int i = 0; i < 2; ++i) {
    udp[i] = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in own = loopback(0);
    CHECK(bind(udp[i], (struct sockaddr*)&own, sizeof own) == 0);
  }
  length = sizeof address;
  CHECK(getsockname(udp[1], (struct sockaddr*)&address, &length) == 0);
  CHECK(sendto(udp[0], "datagram", 8, 0, (struct sockaddr*)&address, sizeof address) == 8);
  char text[16];
  struct sockaddr_in from;
  length = sizeof from;
  CHECK(recvfrom(udp[1], text, sizeof text, 0, (struct sockaddr*)&from, &length) == 8);
  printf("datagram from port %d\n", ntohs(from.sin_port));

  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  int error = getaddrinfo("localhost", "80", &hints, &found);
  printf("localhost: %s\n", error == 0 ? "found" : gai_strerror(error));
  if (error == 0) freeaddrinfo(found);
  return done();
}
