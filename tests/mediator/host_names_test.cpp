// Names of hosts: hosts files, answers of name servers, TLS hellos. All of it is hostile input.
#include "mediator/facts/host_names.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>

#include "mediator/facts/client_hello.h"
#include "mediator/facts/name_answers.h"

namespace airr::facts {
namespace {

using Kind = ClientHello::Kind;

std::string be(size_t value, size_t size) {
  std::string text;
  for (size_t i = size; i-- > 0;) text += static_cast<char>(value >> 8 * i);
  return text;
}
std::string counted(const std::string& content, size_t size) {
  return be(content.size(), size) + content;
}

std::string nameExtension(const std::string& name, char type = 0) {
  return be(0, 2) + counted(counted(type + counted(name, 2), 2), 2);
}

// A handshake message with these extensions.
std::string hello(const std::string& extensions) {
  const std::string body = be(0x0303, 2) + std::string(32, 'r') + counted("session", 1) +
                           counted("\x13\x01", 2) + counted(std::string(1, '\0'), 1) +
                           counted(extensions, 2);
  return be(1, 1) + counted(body, 3);
}
std::string record(const std::string& content, char type = 22) {
  return type + be(0x0301, 2) + counted(content, 2);
}

const std::string kOther = be(16, 2) + counted("\0\3\2h2", 2);

TEST(ClientHello, NamesTheServer) {
  const ClientHello found = parseClientHello(record(hello(kOther + nameExtension("Example.ORG."))));
  EXPECT_EQ(found.kind, Kind::kHello);
  EXPECT_EQ(found.server, "example.org");
}

TEST(ClientHello, MayNameNone) {
  EXPECT_EQ(parseClientHello(record(hello(kOther))).kind, Kind::kHello);
  EXPECT_EQ(parseClientHello(record(hello(kOther))).server, "");
  EXPECT_EQ(parseClientHello(record(hello(""))).kind, Kind::kHello);
}

TEST(ClientHello, IsPutTogetherFromItsRecords) {
  const std::string message = hello(kOther + nameExtension("example.org"));
  for (size_t cut = 1; cut < message.size(); ++cut) {
    const ClientHello found =
        parseClientHello(record(message.substr(0, cut)) + record(message.substr(cut)));
    ASSERT_EQ(found.kind, Kind::kHello) << cut;
    ASSERT_EQ(found.server, "example.org") << cut;
  }
  EXPECT_EQ(parseClientHello(record(message) + record("early", 23)).server, "example.org");
}

TEST(ClientHello, IsUnclearIfItIsNotAllThere) {
  const std::string whole = record(hello(kOther + nameExtension("example.org")));
  EXPECT_EQ(parseClientHello("").kind, Kind::kOther);
  for (size_t size = 1; size < whole.size(); ++size)
    ASSERT_EQ(parseClientHello(whole.substr(0, size)).kind, Kind::kUnclear) << size;
}

TEST(ClientHello, IsUnclearIfReadersCouldDisagree) {
  for (const std::string& extensions : {
           nameExtension("a.example") + nameExtension("b.example"),
           nameExtension("a.example", 1),
           nameExtension(""),
           nameExtension(std::string("a.example\0b", 11)),
           nameExtension("a b"),
           nameExtension("."),
           nameExtension(std::string(256, 'a')),
           be(0, 2) +
               counted(counted('\0' + counted("a.example", 2) + '\0' + counted("b.example", 2), 2),
                       2),
           be(0, 2) + counted("", 2),
           be(0, 2) + be(9, 2) + "short",
       })
    EXPECT_EQ(parseClientHello(record(hello(extensions))).kind, Kind::kUnclear) << extensions;
  EXPECT_EQ(parseClientHello(record("")).kind, Kind::kUnclear);
  EXPECT_EQ(parseClientHello(record(be(2, 1) + counted("server", 3))).kind, Kind::kUnclear);
  EXPECT_EQ(parseClientHello(record(hello(nameExtension("a.example")), 23)).kind, Kind::kOther);
  EXPECT_EQ(parseClientHello("GET / HTTP/1.1\r\n").kind, Kind::kOther);
}

TEST(ClientHello, SurvivesChanges) {
  std::mt19937 random(7);
  const std::string whole = record(hello(kOther + nameExtension("example.org")));
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 4; ++i)
      bytes[1 + random() % (bytes.size() - 1)] = static_cast<char>(random());
    parseClientHello(bytes);
  }
}

TEST(HostsFile, GivesEveryNameOfALine) {
  const auto entries = parseHosts(
      "# 1.1.1.1 no\n127.0.0.1\tlocalhost  Me.Example. # 2.2.2.2 no\n\nbad x\n::1 six\n9.9.9.9 "
      "cut");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "localhost");
  EXPECT_EQ(entries[1].name, "me.example");
  EXPECT_EQ(entries[1].addresses[0], *policies::parseIp("127.0.0.1"));
  EXPECT_EQ(entries[2].addresses[0], *policies::parseIp("::1"));
}

TEST(HostsFile, IsBounded) {
  std::string text = "1.2.3.4";
  for (int i = 0; i < 20'000; ++i) text += " a" + std::to_string(i);
  EXPECT_EQ(parseHosts(text + "\n").size(), 4'096u);
  EXPECT_TRUE(parseHosts("1.2.3.4 " + std::string(300, 'a') + "\n").empty());
}

// To "host.example", with one address.
std::string answer(const std::string& address) {
  return std::string("\x12\x34\x81\x80\0\1\0\1\0\0\0\0", 12) + "\4Host\7example" +
         std::string("\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4", 17) + address;
}

TEST(HostNames, AreLearnedFromServersAndHosts) {
  HostNames names;
  const auto address = *policies::parseIp("10.1.2.3");
  names.noteAnswer(answer("\x0a\x01\x02\x03"));
  ASSERT_EQ(names.namesOf(address).size(), 1u);
  EXPECT_EQ(names.namesOf(address)[0], "host.example");
  const std::string message = answer("\x0a\x01\x02\x04");
  names.noteAnswer(counted(message, 2));  // over TCP
  EXPECT_EQ(names.namesOf(*policies::parseIp("10.1.2.4")).size(), 1u);
  // What is before the first newline of a piece from the middle is the rest of a line.
  names.noteFile(HostNames::File::kHosts, "1.1.1.1 cut\n10.1.2.3 other\n", false);
  EXPECT_EQ(names.namesOf(address).size(), 2u);
  EXPECT_TRUE(names.namesOf(*policies::parseIp("1.1.1.1")).empty());
}

TEST(HostNames, KnowServersByTheirAddress) {
  HostNames names;
  names.noteFile(HostNames::File::kServers, "search x\nnameserver 10.0.0.53\nnameserver fd00::53\n",
                 true);
  sockaddr_in in{};
  in.sin_family = AF_INET, in.sin_port = htons(53);
  inet_pton(AF_INET, "10.0.0.53", &in.sin_addr);
  auto bytes = [](const auto& address) {
    return std::string(reinterpret_cast<const char*>(&address), sizeof address);
  };
  EXPECT_TRUE(names.isServer(bytes(in)));
  EXPECT_FALSE(names.isServer(bytes(in).substr(0, 8)));
  in.sin_port = htons(54);
  EXPECT_FALSE(names.isServer(bytes(in)));
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6, in6.sin6_port = htons(53);
  inet_pton(AF_INET6, "fd00::53", &in6.sin6_addr);
  EXPECT_TRUE(names.isServer(bytes(in6)));
  inet_pton(AF_INET6, "::ffff:10.0.0.53", &in6.sin6_addr);
  EXPECT_TRUE(names.isServer(bytes(in6)));
  EXPECT_FALSE(names.isServer(std::string_view()));
}

TEST(HostNames, FilesAreThoseThatOnlyRootWrites) {
  EXPECT_EQ(HostNames::fileOf("/etc/resolv.conf"), HostNames::File::kServers);
  EXPECT_EQ(HostNames::fileOf("/run/systemd/resolve/stub-resolv.conf"), HostNames::File::kServers);
  EXPECT_EQ(HostNames::fileOf("/etc/hosts"), HostNames::File::kHosts);
  for (const char* path :
       {"/run/user/1000/resolv.conf", "/tmp/resolv.conf", "/tmp/hosts", "/etc/hosts (deleted)", ""})
    EXPECT_EQ(HostNames::fileOf(path), HostNames::File::kNone) << path;
}

TEST(HostNames, AreBounded) {
  HostNames names;
  for (unsigned i = 0; i < 300; ++i)
    names.noteFile(HostNames::File::kHosts, "10.0.0.1 name" + std::to_string(i) + "\n", true);
  EXPECT_EQ(names.namesOf(*policies::parseIp("10.0.0.1")).size(), 64u);
}

TEST(HostNames, SurviveChanges) {
  std::mt19937 random(7);
  const std::string whole = answer("\x0a\x01\x02\x03");
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = whole.substr(0, random() % (whole.size() + 1));
    for (int i = 0; i < 4 && !bytes.empty(); ++i)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    HostNames names;
    mayNameHosts(bytes);
    names.noteAnswer(bytes);
    names.noteFile(HostNames::File::kHosts, bytes, random() % 2 == 0);
  }
}

}  // namespace
}  // namespace airr::facts
