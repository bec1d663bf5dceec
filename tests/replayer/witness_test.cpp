#include "recorder/witness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fstream>
#include <sstream>

#include "recorder/http.h"
#include "tests/replayer/evidence_fixture.h"

namespace airr {
namespace {

// A server of heads, as docs/evidence.md asks for: POST adds a line, GET gives all.
class Server {
 public:
  Server() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_.get(), 16), 0);
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~Server() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/heads"; }
  std::atomic<int> failFrom = INT32_MAX;  // number of the request
  std::atomic<int> requests = 0;

 private:
  void run() {
    for (;;) {
      UniqueFd client(::accept(socket_.get(), nullptr, nullptr));
      if (!client) return;
      std::string text;
      char buffer[4096];
      size_t end = std::string::npos, length = 0;
      while (end == std::string::npos || text.size() < end + 4 + length) {
        const ssize_t n = ::recv(client.get(), buffer, sizeof buffer, 0);
        if (n <= 0) break;
        text.append(buffer, static_cast<size_t>(n));
        end = text.find("\r\n\r\n");
        if (const size_t at = text.find("Content-Length: "); at != std::string::npos) {
          length = std::stoul(text.substr(at + 16));
        }
      }
      std::string answer = "HTTP/1.1 200 OK\r\n";
      if (requests++ >= failFrom) {
        answer = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
      } else if (text.starts_with("POST /heads HTTP/1.1\r\n")) {
        heads_ += text.substr(end + 4);
        answer += "Content-Length: 0\r\n\r\n";
      } else if (text.starts_with("GET /heads?session=")) {
        answer += "Content-Length: " + std::to_string(heads_.size()) + "\r\n\r\n" + heads_;
      }
      (void)!::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  UniqueFd socket_;
  int port_ = 0;
  std::string heads_;
  std::thread thread_;
};

class WitnessTest : public EvidenceTest {
 protected:
  void record(const std::string& witness, const std::string& text, int epochs = 3) const {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    FrameWriter frames(file_, sessionKey(), header, {.witness = witness});
    EventCompressor compressor;
    for (int i = 0; i < epochs; ++i) {
      ByteVector raw(16 + text.size() / 8 * 8);
      std::ranges::copy(text.substr(0, raw.size()), raw.begin());
      const Leaf leaf{1, sha256(raw)};
      Encoding encoding;
      const Bytes stored = compressor.compress(raw, encoding);
      frames.events(raw.size(), {&leaf, 1}, encoding, stored);
      frames.checkpoint();
    }
    frames.seal();
    frames.settle();
    frames.checkSealed();
  }
  Verification against(const std::string& witness) const {
    return verifyTrace(file_, {.keys = &keys_, .witness = witness, .threads = 1});
  }

  const std::string file_ = path("trace.cap");
};

TEST(Head, LinesAreRead) {
  Head head;
  head.session.fill(0xab);
  head.epochs = 7;
  head.frames = 1234;
  head.digest.fill(0x1f);
  std::string line = head.line();
  ASSERT_EQ(line.back(), '\n');
  line.pop_back();
  const auto parsed = Head::parse(line);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->line(), head.line());
  for (size_t size = 0; size < line.size(); ++size) EXPECT_FALSE(Head::parse(line.substr(0, size)));
  EXPECT_FALSE(Head::parse(line + "0"));
  EXPECT_FALSE(Head::parse(line + " 0"));
  line[14] = 'x';
  EXPECT_FALSE(Head::parse(line));
}

TEST_F(WitnessTest, FileSeesEveryHead) {
  record(path("witness"), "the session");
  const Verification proof = against(path("witness"));
  EXPECT_EQ(proof.verdict, ExitCode::kSuccess) << proof.witnessFault;
  EXPECT_EQ(proof.witnessed, 5u);  // the header, three checkpoints, the seal
}

TEST_F(WitnessTest, TellsWhatWasCutRebuiltOrForked) {
  record(path("witness"), "the session as it was");
  const ByteVector whole = readFile(file_);
  // Cut after a head that was published: unsealed by itself, more than that to who has seen it.
  writeFile(file_, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(framesOf(whole)[3].end)});
  Verification proof = against(path("witness"));
  EXPECT_EQ(proof.verdict, ExitCode::kWitness);
  EXPECT_NE(proof.witnessFault.find("was cut"), std::string::npos) << proof.witnessFault;
  // Written again by who has the root key: all of it is right but for the witness.
  record("", "the session as it should have been");
  EXPECT_EQ(withRootKey(file_).verdict, ExitCode::kSuccess);
  proof = against(path("witness"));
  EXPECT_EQ(proof.verdict, ExitCode::kWitness);
  EXPECT_NE(proof.witnessFault.find("rebuilt or forked"), std::string::npos) << proof.witnessFault;
  // A session that it never saw.
  writeFile(path("empty"), {});
  proof = against(path("empty"));
  EXPECT_EQ(proof.verdict, ExitCode::kWitness);
  EXPECT_NE(proof.witnessFault.find("not seen"), std::string::npos);
  EXPECT_EQ(errorOf([&] { against(path("absent")); }).code(), ExitCode::kFailure);
}

TEST_F(WitnessTest, ServerSeesEveryHead) {
  Server server;
  record(server.url(), "the session");
  EXPECT_EQ(server.requests, 5);
  const Verification proof = against(server.url());
  EXPECT_EQ(proof.verdict, ExitCode::kSuccess) << proof.witnessFault;
  EXPECT_EQ(proof.witnessed, 5u);
}

TEST_F(WitnessTest, RecordingEndsWhenItCannotBeWitnessed) {
  Server server;
  server.failFrom = 0;
  Error error = errorOf([&] { record(server.url(), "the session"); });
  EXPECT_EQ(error.code(), ExitCode::kFailure);
  EXPECT_NE(std::string(error.what()).find("status 503"), std::string::npos) << error.what();
  server.requests = 0;
  server.failFrom = 2;  // in the middle
  error = errorOf([&] { record(server.url(), "the session", 3); });
  EXPECT_NE(std::string(error.what()).find("status 503"), std::string::npos) << error.what();
  EXPECT_NE(std::string(errorOf([&] { record("ftp://127.0.0.1/", "a"); }).what()).find("https://"),
            std::string::npos);
  EXPECT_THROW(record("http://127.0.0.1:1/", "a"), Error);
  EXPECT_THROW(record(path("absent/witness"), "a"), Error);
}

}  // namespace
}  // namespace airr
