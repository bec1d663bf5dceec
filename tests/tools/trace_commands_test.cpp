// verify and inspect on traces that were written by hand.
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/recorder/trace_fixture.h"
#include "tests/tools/airr_command.h"

namespace airr {
namespace {

using nlohmann::json;

constexpr const char* kHostile = "/tmp/\x1b]0;owned\x07\xe2\x80\xae\n\xff";

class TraceCommands : public TraceTest {
 protected:
  TraceCommands() { ::setenv("AIRR_KEY_FILE", path("key").c_str(), 1); }
  ~TraceCommands() override { ::unsetenv("AIRR_KEY_FILE"); }

  enum class End { kSealed, kUnsealed };

  std::string writeTrace(End end, const std::function<void(TraceWriter&)>& more = {}) {
    std::string file = path("trace.cap");
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    auto root = header.getRoot<schema::Header>();
    auto arguments = root.initArguments(2);
    arguments.set(0, "agent");
    arguments.set(1, kHostile);
    root.setProgram("/usr/bin/agent");
    TraceWriter writer(file, sessionKey(), header);
    exec(writer, 1, {"agent", kHostile});
    call(writer, 1, SYS_openat, {uint64_t(AT_FDCWD), 0x1000, O_RDONLY, 0}, 3,
         [](auto syscall) { syscall.setPath("/etc/passwd"); });
    call(writer, 1, SYS_openat, {uint64_t(AT_FDCWD), 0x1000, O_WRONLY | O_CREAT, 0644}, 4,
         [](auto syscall) { syscall.setPath(kHostile); });
    call(writer, 1, SYS_clone, {CLONE_VM | CLONE_THREAD}, 20,
         [](auto syscall) { syscall.setChild(2); });
    call(writer, 2, SYS_fork, {}, 30, [](auto syscall) { syscall.setChild(3); });
    exec(writer, 3, {"tool"});
    call(writer, 3, SYS_io_uring_setup, {8, 0x2000}, -ENOSYS, [](auto syscall) {
      syscall.setHandling(schema::Syscall::Handling::REFUSED);
      syscall.setPath("why it was refused");
    });
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(8080);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    call(writer, 3, SYS_accept, {5, 0x3000, 0x4000}, 6, [&](auto syscall) {
      auto writes = syscall.initWrites(1);
      writes[0].setAddress(0x3000);
      writes[0].setBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&peer), sizeof peer));
    });
    begin(writer, 3, [](auto event) {
      auto exit = event.initTaskExit();
      exit.setStatus(2 << 8);
      exit.setLastOfProcess(true);
    });
    begin(writer, 1,
          [](auto event) { event.initForced().setReason(schema::Forced::Reason::QUANTUM); });
    if (more) more(writer);
    if (end == End::kSealed) {
      begin(writer, 0, [](auto event) {
        auto last = event.initSessionEnd();
        last.setStatus(9);
        last.setReason("the test ended it");
      });
      writer.seal();
    } else {
      writer.flush();
    }
    return file;
  }

  static void begin(TraceWriter& writer, uint32_t task,
                    const std::function<void(schema::Event::Builder)>& fill) {
    auto event = writer.begin();
    event.setTask(task);
    event.setTime(writer.eventCount() * 1000);
    fill(event);
    writer.commit();
  }

  static void exec(TraceWriter& writer, uint32_t task, const std::vector<std::string>& words) {
    begin(writer, task, [&](auto event) {
      auto image = event.initExec();
      image.setPath("/usr/bin/" + words[0]);
      auto list = image.initArguments(static_cast<unsigned>(words.size()));
      for (unsigned i = 0; i < words.size(); ++i) list.set(i, words[i]);
    });
  }

  static void call(TraceWriter& writer, uint32_t task, uint16_t number,
                   const std::vector<uint64_t>& arguments, int64_t result,
                   const std::function<void(schema::Syscall::Builder)>& fill = {}) {
    begin(writer, task, [&](auto event) {
      auto syscall = event.initSyscall();
      syscall.setNumber(number);
      syscall.setResult(result);
      auto list = syscall.initArguments(static_cast<unsigned>(arguments.size()));
      for (unsigned i = 0; i < arguments.size(); ++i) list.set(i, arguments[i]);
      if (fill) fill(syscall);
    });
  }

  static std::vector<json> jsonLines(const std::string& text) {
    std::vector<json> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
    return all;
  }

  static void expectHarmless(const std::string& text) {
    for (char c : text) {
      EXPECT_TRUE(c == '\n' || static_cast<uint8_t>(c) >= 0x20) << "control character in: " << text;
    }
    EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos);
    EXPECT_EQ(text.find('\xff'), std::string::npos);
  }
};

TEST_F(TraceCommands, VerifyAcceptsASealedTrace) {
  std::string file = writeTrace(End::kSealed);
  CommandResult result = runAirr({"verify", file});
  EXPECT_EQ(result.status, 0) << result.error;
  EXPECT_NE(result.output.find("intact and sealed"), std::string::npos);
  expectHarmless(result.output);
  json report = json::parse(runAirr({"verify", "--json", file}).output);
  EXPECT_EQ(report.at("verdict"), "intact");
  EXPECT_EQ(report.at("by"), "root-key");
  EXPECT_EQ(report.at("proved").at("events"), 11);
  EXPECT_EQ(report.at("proved").at("bytes"), std::filesystem::file_size(file));
  EXPECT_TRUE(report.at("fault").is_null());
  EXPECT_TRUE(report.at("content").is_null());
  result = runAirr({"verify", "--content", file});
  EXPECT_EQ(result.status, 0) << result.error;
  EXPECT_NE(result.output.find("killed by SIGKILL: the test ended it"), std::string::npos);
  expectHarmless(result.output);
  report = json::parse(runAirr({"verify", "--content", "--json", file}).output);
  EXPECT_EQ(report.at("content").at("events"), 11);
  EXPECT_EQ(report.at("content").at("status"), 9);
}

TEST_F(TraceCommands, VerifyTellsUnsealedFromTruncated) {
  std::string file = writeTrace(End::kUnsealed);
  EXPECT_EQ(runAirr({"verify", file}).status, 110);
  EXPECT_EQ(json::parse(runAirr({"verify", "--json", file}).output).at("end"), "unsealed");
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  CommandResult result = runAirr({"verify", "--json", file});
  EXPECT_EQ(result.status, 110);
  EXPECT_EQ(json::parse(result.output).at("end"), "truncated");
}

TEST_F(TraceCommands, VerifyFindsAnAlteredByte) {
  std::string file = writeTrace(End::kSealed);
  ByteVector bytes = readFile(file);
  bytes[bytes.size() / 2] ^= 1;
  writeFile(file, bytes);
  CommandResult result = runAirr({"verify", "--json", file});
  EXPECT_EQ(result.status, 111) << result.error;
  json report = json::parse(result.output);
  EXPECT_EQ(report.at("verdict"), "tampered");
  EXPECT_EQ(report.at("fault").at("firstFrame"), 1);
  EXPECT_EQ(report.at("proved").at("frames"), 0);
  result = runAirr({"verify", file});
  EXPECT_EQ(result.status, 111);
  EXPECT_NE(result.output.find("TAMPERED: frame 1 (bytes "), std::string::npos) << result.output;
  EXPECT_EQ(runAirr({"verify", "--jobs", "3", file}).status, 111);
}

TEST_F(TraceCommands, ThePublicKeyAloneVerifies) {
  std::string file = writeTrace(End::kSealed);
  ASSERT_EQ(runAirr({"key", "export-public", path("public.pem")}).status, 0);
  std::filesystem::create_directory(path("elsewhere"));
  ::setenv("AIRR_KEY_FILE", path("elsewhere/none").c_str(), 1);
  EXPECT_EQ(runAirr({"verify", file}).status, 112);
  CommandResult result = runAirr({"verify", "--public-key", path("public.pem"), file});
  EXPECT_EQ(result.status, 0) << result.error;
  EXPECT_NE(result.output.find("signatures, by the public key"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(path("elsewhere")));
  ByteVector bytes = readFile(file);
  bytes[bytes.size() / 2] ^= 1;
  writeFile(file, bytes);
  result = runAirr({"verify", "--json", "--public-key", path("public.pem"), file});
  EXPECT_EQ(result.status, 111);
  EXPECT_EQ(json::parse(result.output).at("by"), "public-key");
  file = writeTrace(End::kUnsealed);
  result = runAirr({"verify", "--json", "--public-key", path("public.pem"), file});
  EXPECT_EQ(result.status, 110);
  EXPECT_EQ(json::parse(result.output).at("proved").at("frames"), 0);
  EXPECT_EQ(json::parse(result.output).at("whole").at("frames"), 1);
  ASSERT_EQ(runAirr({"key", "init"}).status, 0);
  ASSERT_EQ(runAirr({"key", "export-public", path("other.pem")}).status, 0);
  EXPECT_EQ(runAirr({"verify", "--public-key", path("other.pem"), file}).status, 112);
  EXPECT_EQ(runAirr({"verify", "--public-key", file, file}).status, 125);
}

TEST_F(TraceCommands, KeysAreMadeShownAndRotated) {
  std::string file = writeTrace(End::kSealed);
  json first = json::parse(runAirr({"key", "show", "--json"}).output);
  EXPECT_EQ(first.at("protection"), "none");
  EXPECT_EQ(runAirr({"key", "init"}).status, 125);  // there is one
  ASSERT_EQ(runAirr({"key", "rotate"}).status, 0);
  json second = json::parse(runAirr({"key", "show", "--json"}).output);
  EXPECT_NE(second.at("id"), first.at("id"));
  EXPECT_EQ(runAirr({"verify", file}).status, 0);  // with the former key
  EXPECT_NE(runAirr({"key", "show"}).output.find(second.at("id").get<std::string>()),
            std::string::npos);
  ::setenv("AIRR_KEY_FILE", path("sealed.key").c_str(), 1);
  writeFile(path("passphrase"), {'o', 'p', 'e', 'n'});
  ::setenv("AIRR_PASSPHRASE_FILE", path("passphrase").c_str(), 1);
  ASSERT_EQ(runAirr({"key", "init", "--passphrase"}).status, 0);
  ::unsetenv("AIRR_PASSPHRASE_FILE");
  EXPECT_EQ(json::parse(runAirr({"key", "show", "--json"}).output).at("protection"), "passphrase");
  EXPECT_EQ(runAirr({"key", "export-public"}).output.rfind("-----BEGIN PUBLIC KEY-----\n", 0), 0u);
}

TEST_F(TraceCommands, OneEventIsProvedWithoutTheTrace) {
  std::string file = writeTrace(End::kSealed);
  ASSERT_EQ(runAirr({"key", "export-public", path("public.pem")}).status, 0);
  CommandResult result = runAirr({"prove", "-o", path("event.proof"), file, "2"});
  ASSERT_EQ(result.status, 0) << result.error;
  std::filesystem::remove(file);
  std::filesystem::remove(path("key"));
  result = runAirr({"verify", "--proof", path("event.proof"), "--public-key", path("public.pem")});
  EXPECT_EQ(result.status, 0) << result.error;
  EXPECT_NE(result.output.find("proved: event 2 of session 101112"), std::string::npos);
  EXPECT_NE(result.output.find("/etc/passwd"), std::string::npos) << result.output;
  expectHarmless(result.output);
  json report = json::parse(runAirr({"verify", "--json", "--proof", path("event.proof"),
                                     "--public-key", path("public.pem")})
                                .output);
  EXPECT_EQ(report.at("content").at("syscall"), "openat");
  ByteVector bytes = readFile(path("event.proof"));
  bytes[bytes.size() - 100] ^= 1;
  writeFile(path("event.proof"), bytes);
  EXPECT_EQ(runAirr({"verify", "--proof", path("event.proof"), "--public-key", path("public.pem")})
                .status,
            111);
  EXPECT_EQ(
      runAirr({"verify", "--proof", path("public.pem"), "--public-key", path("public.pem")}).status,
      121);
  EXPECT_EQ(runAirr({"prove", path("absent"), "1"}).status, 121);
}

TEST_F(TraceCommands, VerifyWantsTheRightKey) {
  std::string file = writeTrace(End::kSealed);
  writeFile(path("other"), noise(32, 7));
  ::setenv("AIRR_KEY_FILE", path("other").c_str(), 1);
  EXPECT_EQ(runAirr({"verify", file}).status, 112);
  ::setenv("AIRR_KEY_FILE", path("none").c_str(), 1);
  CommandResult result = runAirr({"verify", file});
  EXPECT_EQ(result.status, 112);
  EXPECT_NE(result.error.find("there is no key"), std::string::npos);
}

TEST_F(TraceCommands, VerifyRefusesWhatIsNoTraceOrOfAnotherVersion) {
  std::string file = writeTrace(End::kSealed);
  ByteVector bytes = readFile(file);
  bytes[8] = 99;  // format version (docs/trace-format.md)
  writeFile(file, bytes);
  EXPECT_EQ(runAirr({"verify", file}).status, 122);
  EXPECT_EQ(runAirr({"inspect", file}).status, 122);
  writeFile(path("empty"), {});
  writeFile(path("noise"), noise(10'000, 3));
  for (const std::string& name : {path("empty"), path("noise"), path("missing"), directory_}) {
    for (const char* command : {"verify", "inspect"}) {
      CommandResult result = runAirr({command, name});
      EXPECT_EQ(result.status, 121) << command << " " << name << ": " << result.error;
    }
  }
}

TEST_F(TraceCommands, VerifyRefusesAnEventThatNamesABlobThatIsNotThere) {
  std::string file = writeTrace(End::kSealed, [](TraceWriter& writer) {
    call(writer, 1, SYS_read, {3, 0x1000, 10}, 10, [](auto syscall) {
      auto range = syscall.initWrites(1)[0].initBlob();
      range.setBlob(5);
      range.setLength(10);
    });
  });
  CommandResult result = runAirr({"verify", "--content", file});
  EXPECT_EQ(result.status, 111);
  EXPECT_NE(result.error.find("blob 5"), std::string::npos) << result.error;
}

// A blob may come after the events that name it, and so be cut off without anything being altered.
TEST_F(TraceCommands, VerifyCountsTheBlobsThatAreCutOff) {
  std::string file = writeTrace(End::kUnsealed, [](TraceWriter& writer) {
    for (uint32_t blob : {5, 6, 5}) {
      call(writer, 1, SYS_read, {3, 0x1000, 10}, 10, [&](auto syscall) {
        auto range = syscall.initWrites(1)[0].initBlob();
        range.setBlob(blob);
        range.setLength(10);
      });
    }
  });
  CommandResult result = runAirr({"verify", "--content", file});
  EXPECT_EQ(result.status, 110) << result.error;
  EXPECT_NE(result.output.find("2 more cut off"), std::string::npos) << result.output;
  json report = json::parse(runAirr({"verify", "--content", "--json", file}).output);
  EXPECT_EQ(report.at("verdict"), "unsealed");
  EXPECT_EQ(report.at("content").at("missingBlobs"), 2);
  EXPECT_EQ(runAirr({"inspect", file}).status, 0);
}

TEST_F(TraceCommands, VerifyFindsAReferenceBeyondTheEndOfABlob) {
  std::string file = writeTrace(End::kSealed, [](TraceWriter& writer) {
    call(writer, 1, SYS_read, {3, 0x1000, 10}, 10, [&](auto syscall) {
      auto range = syscall.initWrites(1)[0].initBlob();
      range.setBlob(writer.addBlob("content", 7));
      range.setLength(8);
    });
  });
  CommandResult result = runAirr({"verify", "--content", file});
  EXPECT_EQ(result.status, 111);
  EXPECT_NE(result.error.find("beyond the end of blob 0"), std::string::npos) << result.error;
}

TEST_F(TraceCommands, InspectSummarises) {
  std::string file = writeTrace(End::kSealed);
  CommandResult text = runAirr({"inspect", file});
  EXPECT_EQ(text.status, 0) << text.error;
  expectHarmless(text.output);
  EXPECT_NE(text.output.find("sealed, authenticated"), std::string::npos) << text.output;
  EXPECT_NE(text.output.find("io_uring_setup 1"), std::string::npos);

  json summary = json::parse(runAirr({"inspect", "--json", file}).output);
  EXPECT_EQ(summary.at("tasks"), 3);
  ASSERT_EQ(summary.at("processes").size(), 2u);
  EXPECT_EQ(summary["processes"][0].at("tasks"), 2);
  EXPECT_EQ(summary["processes"][1].at("parent"), 1);
  EXPECT_EQ(summary["processes"][1]["status"].at("exit"), 2);
  EXPECT_EQ(summary.at("status").at("signal"), "SIGKILL");
  EXPECT_EQ(summary.at("forced").at("quantum"), 1);
  EXPECT_EQ(summary.at("connections")[0].at("what"), "accept inet 127.0.0.1:8080");
  ASSERT_EQ(summary.at("files").size(), 2u);
  EXPECT_EQ(summary["files"][0].at("path"), "/etc/passwd");
  EXPECT_EQ(summary["files"][0].at("writable"), false);
  EXPECT_EQ(summary["files"][1].at("writable"), true);
  EXPECT_EQ(summary["files"][1]["path"].at("hex"), "2f746d702f1b5d303b6f776e656407e280ae0aff");
}

TEST_F(TraceCommands, InspectPrintsEventsWithoutLettingThemDriveTheTerminal) {
  std::string file = writeTrace(End::kSealed);
  CommandResult result = runAirr({"inspect", "--events", file});
  EXPECT_EQ(result.status, 0) << result.error;
  expectHarmless(result.output);
  EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 11);
  EXPECT_NE(result.output.find("refused: why it was refused"), std::string::npos);
  auto events = jsonLines(runAirr({"inspect", "--events", "--json", file}).output);
  ASSERT_EQ(events.size(), 11u);
  EXPECT_EQ(events[1].at("syscall"), "openat");
  EXPECT_EQ(events[1].at("path"), "/etc/passwd");
  EXPECT_EQ(events[6].at("error"), "ENOSYS");
  EXPECT_EQ(events[6].at("reason"), "why it was refused");
}

TEST_F(TraceCommands, InspectFilters) {
  std::string file = writeTrace(End::kSealed);
  auto count = [&](std::vector<std::string> filter) {
    filter.insert(filter.begin(), {"inspect", "--json"});
    filter.push_back(file);
    return jsonLines(runAirr(filter).output).size();
  };
  EXPECT_EQ(count({"--process", "3"}), 4u);
  EXPECT_EQ(count({"--process", "1"}), 6u);
  EXPECT_EQ(count({"--syscall", "openat"}), 2u);
  EXPECT_EQ(count({"--path", "/etc/*"}), 1u);
  EXPECT_EQ(count({"--path", "/usr/bin/tool"}), 1u);
  EXPECT_EQ(count({"--path", "*refused*"}), 0u);
  EXPECT_EQ(count({"--process", "3", "--syscall", "openat"}), 0u);
}

TEST_F(TraceCommands, InspectWithoutAKeySaysThatNothingIsAuthentic) {
  std::string file = writeTrace(End::kSealed);
  ::setenv("AIRR_KEY_FILE", path("none").c_str(), 1);
  CommandResult result = runAirr({"inspect", file});
  EXPECT_EQ(result.status, 0) << result.error;
  EXPECT_NE(result.output.find("NOT authenticated"), std::string::npos);
  EXPECT_NE(runAirr({"inspect", "--events", file}).error.find("without being authenticated"),
            std::string::npos);
}

}  // namespace
}  // namespace airr
