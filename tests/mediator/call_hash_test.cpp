#include "mediator/call_hash.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

namespace airr {
namespace {

uint64_t digestOf(const std::string& name) {
  return hashInput({reinterpret_cast<const uint8_t*>(name.c_str()), name.size() + 1});
}

// The event of a call that passed `name`.
struct NamedCall {
  NamedCall(const std::string& name, const std::string& path) {
    event.setInputHash(digestOf(name));
    setPath(event, path);
  }

  capnp::MallocMessageBuilder message;
  schema::Syscall::Builder event = message.initRoot<schema::Syscall>();
};

TEST(CallHash, ANameAtThePathsEndStandsForTheDigest) {
  const std::string path = "/usr/share/doc";
  for (const std::string name : {"/usr/share/doc", "usr/share/doc", "share/doc", "doc", "/doc"}) {
    NamedCall call(name, path);
    const auto event = call.event.asReader();
    EXPECT_EQ(event.getNameLength(), name.size());
    EXPECT_EQ(event.getInputHash(), 0u);
    EXPECT_EQ(passedName(event), name);
    EXPECT_EQ(inputHashOf(event), digestOf(name));
    EXPECT_STREQ(event.getPath().cStr(), path.c_str());
  }
}

TEST(CallHash, AnotherNameKeepsItsDigest) {
  for (const std::string name : {"oc", "./doc", "doc/", "other", "/usr/share/doc/"}) {
    NamedCall call(name, "/usr/share/doc");
    const auto event = call.event.asReader();
    EXPECT_EQ(event.getNameLength(), 0u) << name;
    EXPECT_EQ(passedName(event), std::nullopt) << name;
    EXPECT_EQ(inputHashOf(event), digestOf(name)) << name;
  }
}

TEST(CallHash, AnEmptyNameIsKnown) {
  for (const char* path : {"", "/", "/usr/"}) {
    NamedCall call("", path);
    const auto event = call.event.asReader();
    EXPECT_EQ(event.getNameLength(), 0u);
    EXPECT_EQ(passedName(event), "");
    EXPECT_EQ(inputHashOf(event), digestOf(""));
  }
}

TEST(CallHash, ACallWithoutInputHasNone) {
  capnp::MallocMessageBuilder message;
  auto event = message.initRoot<schema::Syscall>();
  setPath(event, "/usr");
  EXPECT_EQ(event.getNameLength(), 0u);
  EXPECT_EQ(inputHashOf(event), 0u);
}

TEST(CallHash, ALengthBeyondThePathIsCut) {
  capnp::MallocMessageBuilder message;
  auto event = message.initRoot<schema::Syscall>();
  event.setPath("/usr");
  event.setNameLength(5);
  EXPECT_EQ(passedName(event), "/usr");
  event.disownPath();
  EXPECT_EQ(inputHashOf(event), 0u);
}

}  // namespace
}  // namespace airr
