#include "replayer/redaction.h"

#include "replayer/content_check.h"
#include "tests/replayer/evidence_fixture.h"

namespace airr {
namespace {

class RedactionTest : public EvidenceTest {
 protected:
  // Blobs 0 to 4: noise; one with a token; a file's, in parts; the same again; one with a word.
  RedactionTest() {
    TraceWriter writer = create(file_);
    auto add = [&](const std::string& path, const ByteVector& content) {
      auto event = writer.begin();
      auto call = event.initSyscall();
      call.setPath(path);
      auto range = call.initWrites(1)[0].initBlob();
      range.setBlob(writer.addBlob(content.data(), content.size()));
      range.setLength(content.size());
      writer.commit();
    };
    auto text = [](std::string s) { return ByteVector(s.begin(), s.end()); };
    add("/data/noise", noise(50'000, 1));
    add("/etc/token",
        text("token = ghp_" + std::string(36, 'a') + "\n" + std::string(40'000, ' ')));
    add("/home/me/.ssh/id", noise(400'000, 2));
    add("/copy/of/id", noise(400'000, 2));
    add("/data/names", text("Ada Lovelace\n" + std::string(40'000, '.')));
    writeNote(writer, 1, "Ada was here");
    writer.seal();
  }

  Chosen choose(const BlobChoice& choice) const {
    TraceReader reader(file_, &keys_);
    return chooseBlobs(reader, choice);
  }
  std::vector<uint32_t> numbers(const BlobChoice& choice) const {
    std::vector<uint32_t> all;
    for (const auto& [blob, why] : choose(choice).blobs) all.push_back(blob);
    return all;
  }

  const std::string file_ = path("trace.cap"), copy_ = path("copy.cap");
};

using Numbers = std::vector<uint32_t>;

TEST_F(RedactionTest, ChoosesByNumberPathPatternAndSecret) {
  EXPECT_EQ(numbers({.numbers = {0}}), Numbers({0}));
  EXPECT_EQ(numbers({.paths = {"/home/*/.ssh/*"}}), Numbers({2, 3}));  // the same content
  EXPECT_EQ(numbers({.paths = {"/data/*"}}), Numbers({0, 4}));
  EXPECT_EQ(numbers({.patterns = {"Love[lace]+"}}), Numbers({4}));
  EXPECT_EQ(numbers({.secrets = true}), Numbers({1}));
  EXPECT_EQ(numbers({.paths = {"/nowhere"}}), Numbers());
  EXPECT_EQ(choose({.patterns = {"Ada was"}}).eventsThatMatch, (std::vector<uint64_t>{6}));
  EXPECT_THROW(choose({.patterns = {"("}}), Error);
  EXPECT_THROW(choose({.numbers = {5}}), Error);
}

TEST_F(RedactionTest, CopyVerifiesAndSaysWhatWasTakenOut) {
  redact(file_, copy_, choose({.paths = {"*/.ssh/*"}, .secrets = true}), {"the auditor", "GDPR"},
         keys_);
  EXPECT_LT(std::filesystem::file_size(copy_), std::filesystem::file_size(file_) - 399'000);
  for (const Verification& proof : {withRootKey(copy_), withPublicKey(copy_)}) {
    EXPECT_EQ(proof.verdict, ExitCode::kSuccess) << (proof.fault ? proof.fault->why : "");
    EXPECT_EQ(proof.end, TraceEnd::kSealed);
    ASSERT_EQ(proof.redactions.size(), 1u);
    const RedactionRecord& record = proof.redactions[0];
    EXPECT_EQ(record.by, "the auditor");
    EXPECT_EQ(record.reason, "GDPR");
    EXPECT_GT(record.time, 1'700'000'000'000'000'000);
    EXPECT_EQ(record.blobs.size(), 3u);
    EXPECT_EQ(record.blobs.at(1).why, "secret: GitHub token");
    EXPECT_EQ(proof.proved.bytes, std::filesystem::file_size(copy_));
  }
  const ByteVector bytes = readFile(copy_);
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()).find("ghp_"), std::string::npos);
  TraceReader reader(copy_, &keys_);
  EXPECT_EQ(checkContent(reader).redactedBlobs, 3u);
  EXPECT_EQ(reader.readBlob(0, 0, 50'000), noise(50'000, 1));
  EXPECT_EQ(errorOf([&] { reader.readBlob(2, 0, 1); }).code(), ExitCode::kUnreadable);
}

TEST_F(RedactionTest, CanBeRepeated) {
  redact(file_, copy_, choose({.numbers = {0}}), {"a", ""}, keys_);
  TraceReader reader(copy_, &keys_);
  const Chosen more = chooseBlobs(reader, {.numbers = {0, 4}});
  EXPECT_EQ(more.blobs.size(), 1u);  // 0 is gone already
  redact(copy_, path("second.cap"), more, {"b", ""}, keys_);
  const Verification proof = withPublicKey(path("second.cap"));
  EXPECT_EQ(proof.verdict, ExitCode::kSuccess) << (proof.fault ? proof.fault->why : "");
  EXPECT_EQ(proof.redactions.size(), 2u);
  EXPECT_THROW(redact(file_, copy_, more, {"c", ""}, keys_), Error);  // the copy exists
  EXPECT_THROW(redact(file_, path("third.cap"), {}, {"c", ""}, keys_), Error);
}

TEST_F(RedactionTest, AnotherRedactorMustBeNamed) {
  const KeyStore auditor = KeyStore::load(path("auditor"), true);
  redact(file_, copy_, choose({.numbers = {0}}), {"a", ""}, auditor);
  EXPECT_EQ(withRootKey(copy_).verdict, ExitCode::kTampered);
  EXPECT_EQ(verifyTrace(copy_, {.keys = &keys_, .redactor = auditor.publicKey()}).verdict,
            ExitCode::kSuccess);
}

TEST_F(RedactionTest, NothingGoesMissingUnsaid) {
  redact(file_, copy_, choose({.numbers = {0}}), {"a", ""}, keys_);
  const ByteVector whole = readFile(copy_);
  const auto frames = framesOf(whole);
  ASSERT_EQ(frames.back().header.type, FrameType::kRedaction);
  // Without the redaction's own frame.
  writeFile(copy_, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(frames.back().start)});
  EXPECT_EQ(withRootKey(copy_).verdict, ExitCode::kTampered);
  EXPECT_EQ(withPublicKey(copy_).verdict, ExitCode::kTampered);
  // With any bit of it flipped, or something behind it.
  for (uint64_t at = frames.back().start; at < whole.size(); ++at) {
    ByteVector bytes = whole;
    bytes[at] ^= static_cast<uint8_t>(1 << at % 8);
    writeFile(copy_, bytes);
    ASSERT_EQ(verdict([&] { return withRootKey(copy_); }), ExitCode::kTampered) << at;
  }
  ByteVector bytes = whole;
  bytes.push_back(0);
  writeFile(copy_, bytes);
  EXPECT_EQ(withRootKey(copy_).verdict, ExitCode::kTampered);
}

TEST_F(RedactionTest, UnsealedTracesToo) {
  const ByteVector whole = readFile(file_);
  writeFile(file_, {whole.begin(),
                    whole.begin() + static_cast<ptrdiff_t>(framesOf(whole).back().start + 7)});
  redact(file_, copy_, choose({.numbers = {0}}), {"a", ""}, keys_);
  const Verification proof = withRootKey(copy_);
  EXPECT_EQ(proof.verdict, ExitCode::kUnsealed) << (proof.fault ? proof.fault->why : "");
  EXPECT_EQ(proof.redactions.size(), 1u);
}

TEST(Secrets, AreFoundAndOthersAreNot) {
  EXPECT_STREQ(secretIn("x\n-----BEGIN OPENSSH PRIVATE KEY-----\n"), "private key");
  EXPECT_STREQ(secretIn("-----BEGIN PRIVATE KEY-----"), "private key");
  EXPECT_STREQ(secretIn("key=AKIA"
                        "IOSFODNN7EXAMPLE "),
               "AWS access key");
  EXPECT_STREQ(secretIn("sk-ant-" + std::string(40, 'x')), "model API key");
  EXPECT_STREQ(secretIn("postgres://admin:hunter2@db.example/x"), "password in a URL");
  EXPECT_EQ(secretIn("-----BEGIN PUBLIC KEY-----"), nullptr);
  EXPECT_EQ(secretIn("https://example.com:8080/a@b"), nullptr);
  EXPECT_EQ(secretIn("AKIA is a prefix"), nullptr);
  EXPECT_EQ(secretIn(""), nullptr);
}

}  // namespace
}  // namespace airr
