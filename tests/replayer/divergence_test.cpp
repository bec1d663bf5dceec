// Replays of traces that were changed after the recording, by someone who has the key: the first
// event at which the program does something else must be found and named.
#include <capnp/any.h>
#include <signal.h>
#include <sys/syscall.h>

#include <functional>
#include <utility>

#include "tests/recorder/trace_fixture.h"
#include "tests/tools/airr_command.h"

namespace airr {
namespace {

using schema::Event;
using schema::Syscall;

class DivergenceTest : public TraceTest {
 protected:
  DivergenceTest() { ::setenv("AIRR_KEY_FILE", path("key").c_str(), 1); }
  ~DivergenceTest() override { ::unsetenv("AIRR_KEY_FILE"); }

  void SetUp() override {
    const CommandResult result =
        runAirr({"record", "-o", recorded(), "--", "/bin/sh", "-c", "echo process $$"});
    ASSERT_EQ(result.status, 0) << result.error;
    output_ = result.output;
    ASSERT_TRUE(output_.starts_with("process ")) << output_;
  }

  std::string recorded() const { return path("recorded.cap"); }
  std::string changed() const { return path("changed.cap"); }

  using ChangeHeader = std::function<void(schema::Header::Builder)>;
  // Gets each event; true if it changed it.
  using ChangeEvent = std::function<bool(Event::Builder)>;

  // Writes the trace anew, with the same blobs and events but for one change, and returns the number
  // of the changed event.
  uint64_t rewrite(const ChangeHeader& changeHeader, const ChangeEvent& changeEvent) {
    TraceReader from(recorded(), &keys_);
    capnp::MallocMessageBuilder header;
    header.setRoot(from.header());
    changeHeader(header.getRoot<schema::Header>());
    const auto session = from.header().getSessionId();
    TraceWriter to(changed(), keys_.sessionKey({session.begin(), session.size()}), header);
    uint64_t number = 0;
    while (const auto event = from.next()) {
      Event::Builder copy = to.begin();
      assign(copy, *event);
      if (number == 0 && changeEvent(copy)) number = from.eventNumber();
      to.commit();
    }
    EXPECT_EQ(from.end(), TraceEnd::kSealed);
    for (uint32_t blob = 0; blob < from.blobCount(); ++blob) {
      const ByteVector content = from.readBlob(blob, 0, from.blobInfo(blob).size);
      EXPECT_EQ(to.addBlob(content.data(), content.size()), blob);
    }
    to.seal();
    return number;
  }
  uint64_t rewrite(const ChangeEvent& changeEvent) {
    const uint64_t number = rewrite([](auto) {}, changeEvent);
    EXPECT_NE(number, 0u) << "the trace has no such event";
    return number;
  }

  // The shell's own write to standard output.
  static bool isWrite(Event::Builder event) {
    return event.isSyscall() && event.getSyscall().getStream() == Syscall::Stream::OUTPUT &&
           event.getSyscall().getNumber() == SYS_write;
  }
  uint64_t numberOfWrite() {
    return rewrite([](Event::Builder event) { return isWrite(event); });
  }

  void expectDivergence(uint64_t number, std::initializer_list<std::string> words) {
    const CommandResult result = runAirr({"replay", changed()});
    EXPECT_EQ(result.status, 120) << result.error;
    EXPECT_EQ(result.output, "");
    const std::string where = changed() + ": replay diverged at event " + std::to_string(number) +
                              ", task 1: expected ";
    EXPECT_NE(result.error.find(where), std::string::npos) << result.error;
    for (const std::string& word : words)
      EXPECT_NE(result.error.find(word), std::string::npos) << word << " is not in " << result.error;
    EXPECT_NE(result.error.find("\n  at 0x"), std::string::npos) << result.error;
  }

 private:
  static void assign(Event::Builder to, Event::Reader from) {
    capnp::AnyStruct::Builder target(std::move(to));
    const capnp::AnyStruct::Reader source(from);
    const auto data = source.getDataSection();
    ASSERT_EQ(target.getDataSection().size(), data.size());
    std::copy(data.begin(), data.end(), target.getDataSection().begin());
    for (unsigned i = 0; i < source.getPointerSection().size(); ++i)
      target.getPointerSection()[i].set(source.getPointerSection()[i]);
  }

 protected:
  std::string output_;
};

TEST_F(DivergenceTest, TheSameEventsReplay) {
  numberOfWrite();
  const CommandResult result = runAirr({"replay", changed()});
  EXPECT_EQ(result.status, 0) << result.error;
  EXPECT_EQ(result.output, output_);
  EXPECT_EQ(result.error, "");
}

TEST_F(DivergenceTest, OtherInputMemory) {
  const uint64_t number = rewrite([](Event::Builder event) {
    if (!isWrite(event)) return false;
    event.getSyscall().setInputHash(event.getSyscall().getInputHash() ^ 1);
    return true;
  });
  expectDivergence(number, {"expected write(1, \"process ", "with input digest 0x",
                            "but came input digest 0x", "write"});
}

TEST_F(DivergenceTest, AnotherArgument) {
  const uint64_t number = rewrite([](Event::Builder event) {
    if (!isWrite(event)) return false;
    event.getSyscall().getArguments().set(0, 2);
    return true;
  });
  expectDivergence(number, {"expected write(2, \"process ", "but came write(1, \"process "});
}

TEST_F(DivergenceTest, AnotherCall) {
  const uint64_t number = rewrite([](Event::Builder event) {
    if (!isWrite(event)) return false;
    event.getSyscall().setNumber(SYS_pwrite64);
    return true;
  });
  expectDivergence(number, {"expected pwrite64(1, ", "but came write(1, \"process "});
}

// A result that differs shows where the program first passes on what it made of it.
TEST_F(DivergenceTest, AnotherResult) {
  rewrite([](Event::Builder event) {
    if (!event.isSyscall() || event.getSyscall().getNumber() != SYS_getpid) return false;
    event.getSyscall().setResult(12345678);
    return true;
  });
  const CommandResult result = runAirr({"replay", changed()});
  EXPECT_EQ(result.status, 120) << result.error;
  // The number is a digit or more longer, and so is what is written.
  EXPECT_NE(result.error.find("but came write(1, \"process 12345678\\n\""), std::string::npos)
      << result.error;
}

TEST_F(DivergenceTest, ACallWhereTheTraceHasASignal) {
  const uint64_t number = rewrite([](Event::Builder event) {
    if (!isWrite(event)) return false;
    auto trap = event.initTrap();
    trap.setKind(schema::Trap::Kind::RDTSC);
    trap.setLength(2);
    return true;
  });
  expectDivergence(number, {"rdtsc", "but came write(1, \"process "});
}

TEST_F(DivergenceTest, AnotherFormatVersion) {
  numberOfWrite();
  ByteVector bytes = readFile(changed());
  bytes[8] = 99;  // docs/trace-format.md
  writeFile(changed(), bytes);
  const CommandResult result = runAirr({"replay", changed()});
  EXPECT_EQ(result.status, 122) << result.error;
  EXPECT_NE(result.error.find("99"), std::string::npos) << result.error;
}

TEST_F(DivergenceTest, AnotherGate) {
  rewrite([](schema::Header::Builder header) { header.setGateVersion(4711); },
          [](Event::Builder) { return false; });
  const CommandResult result = runAirr({"replay", changed()});
  EXPECT_EQ(result.status, 122) << result.error;
  EXPECT_EQ(result.output, "");
  EXPECT_NE(result.error.find("gate version 4711"), std::string::npos) << result.error;
}

TEST_F(DivergenceTest, ACpuThatThisIsNot) {
  rewrite(
      [](schema::Header::Builder header) {
        std::vector<std::string> features = {"teleport2"};
        for (const auto feature : header.getMachine().getCpuFeatures().asReader())
          features.emplace_back(feature.cStr());
        auto more = header.getMachine().initCpuFeatures(static_cast<unsigned>(features.size()));
        for (unsigned i = 0; i < features.size(); ++i) more.set(i, features[i]);
        header.getMachine().setCpuModel("a CPU of another kind");
      },
      [](Event::Builder) { return false; });
  const CommandResult result = runAirr({"replay", changed()});
  EXPECT_EQ(result.status, 123) << result.error;
  EXPECT_EQ(result.output, "");
  EXPECT_NE(result.error.find("teleport2"), std::string::npos) << result.error;
  EXPECT_NE(result.error.find("a CPU of another kind"), std::string::npos) << result.error;
}

}  // namespace
}  // namespace airr
