#include "mediator/socket_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <vector>

namespace airr {
namespace {

template <class T>
std::string described(const T& address, size_t size = sizeof(T)) {
  return describeAddress(&address, size);
}

sockaddr_un unixAddress(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, name.data(), name.size());
  return address;
}

constexpr size_t kPath = offsetof(sockaddr_un, sun_path);

TEST(SocketAddress, InternetAddressesHaveTheirPort) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(80);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(described(in), "inet 127.0.0.1:80");
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(443);
  in6.sin6_addr = IN6ADDR_LOOPBACK_INIT;
  EXPECT_EQ(described(in6), "inet6 [::1]:443");
  EXPECT_EQ(described(in6, 24), "inet6 [::1]:443");  // without a scope
}

TEST(SocketAddress, UnixNames) {
  const std::string path = "/run/x";
  EXPECT_EQ(described(unixAddress(path)), "unix /run/x");
  EXPECT_EQ(described(unixAddress(path), kPath + path.size()), "unix /run/x");
  const std::string abstract("\0airr\0x", 7);
  EXPECT_EQ(described(unixAddress(abstract), kPath + abstract.size()), "unix @airr@x");
  EXPECT_EQ(described(unixAddress(""), kPath), "unix, unnamed");
  const std::string full(sizeof(sockaddr_un::sun_path), 'y');
  EXPECT_EQ(described(unixAddress(full)), "unix " + full);
}

TEST(SocketAddress, OthersAreNamedByFamily) {
  sockaddr_nl netlink{};
  netlink.nl_family = AF_NETLINK;
  netlink.nl_pid = 16;
  EXPECT_EQ(described(netlink), "netlink 16");
  sockaddr none{};
  EXPECT_EQ(described(none), "family 0");
  none.sa_family = 17;
  EXPECT_EQ(described(none, 2), "family 17");
}

TEST(SocketAddress, TooShortOrTooLongIsHarmless) {
  for (int family = 0; family < 64; ++family) {
    for (size_t size = 0; size <= 300; ++size) {
      std::vector<uint8_t> bytes(size, 0xff);  // its own allocation, so that a sanitizer sees its end
      const auto number = static_cast<sa_family_t>(family);
      memcpy(bytes.data(), &number, std::min(size, sizeof number));
      const std::string text = describeAddress(bytes.data(), size);
      EXPECT_EQ(text.find('\0'), std::string::npos);
      EXPECT_LE(text.size(), 120u);
      if (size < sizeof number) {
        EXPECT_TRUE(text.empty());
      }
    }
  }
}

}  // namespace
}  // namespace airr
