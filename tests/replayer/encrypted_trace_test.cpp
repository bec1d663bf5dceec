// Traces that are encrypted to recipients: who can read them, and that they prove as much.

#include <algorithm>

#include "replayer/content_check.h"
#include "replayer/event_proof.h"
#include "replayer/redaction.h"
#include "tests/replayer/evidence_fixture.h"

namespace airr {
namespace {

std::string text(const ByteVector& bytes) { return {bytes.begin(), bytes.end()}; }

// Text that does not compress, so that a search of a file for it would find it.
std::string marker(uint64_t seed) {
  std::string letters;
  for (uint8_t byte : noise(1000, seed)) letters += static_cast<char>(byte | (byte == 0));
  return letters;
}

class EncryptedTraceTest : public EvidenceTest {
 protected:
  // A note, a blob, and its repetition, in a session whose header has an argument: each a marker.
  void write(const std::string& file, const TraceOptions& options = {}) const {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    header.getRoot<schema::Header>().initArguments(1).set(0, marker(1));
    TraceWriter writer(file, sessionKey(), header, options);
    writeNote(writer, 1, marker(2));
    for (int i = 0; i < 2; ++i) {
      auto event = writer.begin();
      auto call = event.initSyscall();
      call.setPath("/data/" + std::to_string(i));
      auto range = call.initWrites(1)[0].initBlob();
      range.setBlob(writer.addBlob(content_.data(), content_.size()));
      range.setLength(content_.size());
      writer.commit();
      writer.flush();
    }
    writer.seal();
  }
  TraceOptions encrypted(bool clearMetadata = false) const {
    return {.encryptTo = {other_.recipient(), reader_.recipient()}, .clearMetadata = clearMetadata};
  }
  // A piece of it.
  static bool holds(const std::string& file, const std::string& what) {
    return text(readFile(file)).find(what.substr(what.size() / 2, 48)) != std::string::npos;
  }
  std::string blobMarker() const { return text(content_).substr(100, 1000); }
  uint64_t countEvents(TraceReader& reader) const {
    uint64_t count = 0;
    while (reader.next()) ++count;
    return count;
  }

  const std::string file_ = path("trace.cap"), copy_ = path("copy.cap");
  const Identity reader_ = Identity::generate(), other_ = Identity::generate(),
                 stranger_ = Identity::generate();
  const ByteVector content_ = noise(200'000, 3);  // in several parts, and too long to have one number
};

TEST_F(EncryptedTraceTest, NothingOfItIsInTheFile) {
  write(file_);
  for (const std::string& what : {marker(1), marker(2), blobMarker()}) {
    EXPECT_TRUE(holds(file_, what)) << "the search finds nothing in a clear trace";
  }
  const Digest digest = sha256(content_);
  EXPECT_TRUE(holds(file_, text({digest.begin(), digest.end()})));
  write(file_, encrypted());
  for (const std::string& what : {marker(1), marker(2), blobMarker()}) {
    EXPECT_FALSE(holds(file_, what));
  }
  EXPECT_FALSE(holds(file_, text({digest.begin(), digest.end()}))) << "the content can be guessed";
  EXPECT_TRUE(std::filesystem::is_empty(path("cache")));
}

TEST_F(EncryptedTraceTest, ItsRecipientsReadIt) {
  write(file_, encrypted());
  for (const Identity& identity : {reader_, other_}) {
    for (const KeyStore* keys : std::initializer_list<const KeyStore*>{&keys_, nullptr}) {
      TraceReader reader(file_, keys, {&identity, 1});
      reader.requireContents();
      EXPECT_EQ(reader.header().getArguments()[0], marker(1));
      const ContentCheck check = checkContent(reader);
      EXPECT_EQ(check.events, 3u);
      EXPECT_EQ(check.encryptedBlobs, 0u);
      for (uint32_t blob : {0, 1}) {
        EXPECT_EQ(reader.readBlob(blob, 0, content_.size()), content_);
        EXPECT_EQ(reader.sha256Of(blob), sha256(content_));
      }
      reader.rewind();
      EXPECT_EQ(reader.next()->getNote().getText(), marker(2));
    }
  }
}

TEST_F(EncryptedTraceTest, OthersDoNot) {
  write(file_, encrypted());
  for (const auto& identities : {std::vector<Identity>{}, std::vector<Identity>{stranger_}}) {
    TraceReader reader(file_, &keys_, identities);
    EXPECT_FALSE(reader.isOpen());
    EXPECT_EQ(reader.header().getArguments().size(), 0u);
    for (const Error& error : {errorOf([&] { reader.requireContents(); }),
                               errorOf([&] { reader.next(); }),
                               errorOf([&] { TraceReader(file_, &keys_).readBlob(0, 0, 1); })}) {
      EXPECT_EQ(error.code(), ExitCode::kEncrypted);
      EXPECT_NE(std::string(error.what()).find(fingerprint(reader_.recipient())), std::string::npos);
    }
  }
}

TEST_F(EncryptedTraceTest, VerifiesWithoutAKeyToRead) {
  for (bool clearMetadata : {false, true}) {
    write(file_, encrypted(clearMetadata));
    for (const Verification& proof : {withRootKey(file_), withPublicKey(file_)}) {
      EXPECT_EQ(proof.verdict, ExitCode::kSuccess) << (proof.fault ? proof.fault->why : "");
      EXPECT_EQ(proof.proved.bytes, std::filesystem::file_size(file_));
      EXPECT_EQ(proof.proved.events, 3u);
      EXPECT_EQ(proof.proved.blobs, 2u);
    }
  }
}

TEST_F(EncryptedTraceTest, EveryBitMatters) {
  writeSmall(file_, {.encryptTo = {reader_.recipient()}});
  const ByteVector original = readFile(file_);
  ASSERT_EQ(withPublicKey(file_).verdict, ExitCode::kSuccess);
  for (size_t at = 0; at < original.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      ByteVector bytes = original;
      bytes[at] ^= static_cast<uint8_t>(1 << bit);
      writeFile(file_, bytes);
      ASSERT_NE(verdict([&] { return withRootKey(file_); }), ExitCode::kSuccess) << at << "." << bit;
      ASSERT_NE(verdict([&] { return withPublicKey(file_); }), ExitCode::kSuccess)
          << at << "." << bit;
    }
  }
}

TEST_F(EncryptedTraceTest, MetadataIsInTheClearIfAsked) {
  write(file_, encrypted(true));
  EXPECT_TRUE(holds(file_, marker(1)));
  EXPECT_FALSE(holds(file_, marker(2)));
  EXPECT_FALSE(holds(file_, blobMarker()));
  TraceReader reader(file_, &keys_);
  EXPECT_FALSE(reader.isOpen());
  EXPECT_EQ(reader.header().getArguments()[0], marker(1));
  EXPECT_EQ(reader.next()->getNote().getText(), "");
  const auto call = reader.next();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->getSyscall().getPath(), "/data/0");
  EXPECT_EQ(call->getSyscall().getWrites().size(), 0u);
  EXPECT_EQ(reader.eventNumber(), 2u);
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.end(), TraceEnd::kSealed);
  EXPECT_EQ(errorOf([&] { reader.readBlob(0, 0, 1); }).code(), ExitCode::kEncrypted);
  TraceReader whole(file_, &keys_, {&reader_, 1});
  EXPECT_EQ(whole.next()->getNote().getText(), marker(2));
  EXPECT_EQ(checkContent(whole).events, 3u);
}

TEST_F(EncryptedTraceTest, AnEventIsProvedAndItsNeighboursStayHidden) {
  write(file_, encrypted());
  EXPECT_EQ(errorOf([&] { makeProof(file_, 1); }).code(), ExitCode::kEncrypted);
  const ByteVector bytes = makeProof(file_, 1, {&reader_, 1});
  const EventProof proof(bytes, keys_.publicKey(), "a proof");
  EXPECT_EQ(proof.event().getNote().getText(), marker(2));
  EXPECT_EQ(text(bytes).find(marker(1).substr(100, 48)), std::string::npos) << "it shows the command line";
  for (size_t at = 0; at < bytes.size(); ++at) {  // the salt is as good as the rest
    ByteVector altered = bytes;
    altered[at] ^= static_cast<uint8_t>(1 << at % 8);
    try {
      const EventProof other(altered, keys_.publicKey(), "a proof");
      EXPECT_EQ(other.event().getNote().getText(), marker(2)) << at;
      EXPECT_EQ(other.eventNumber(), 1u) << at;
    } catch (const Error&) {
    }
  }
}

// --- What a redaction encrypts -------------------------------------------------------------------

class ReencryptionTest : public EncryptedTraceTest {
 protected:
  void reencrypt(const std::string& from, const std::string& to, std::vector<uint32_t> blobs,
                 const Identity& identity) {
    TraceReader reader(from, &keys_, {&identity, 1});
    const Chosen chosen = chooseBlobs(reader, {.numbers = std::move(blobs), .encrypted = false});
    redact(from, to, chosen, {"the auditor", "need to know"}, keys_,
           std::vector<Recipient>{other_.recipient()});
  }
};

TEST_F(ReencryptionTest, TheHolderReadsItAndTheTraceVerifies) {
  write(file_);
  reencrypt(file_, copy_, {0}, reader_);
  EXPECT_TRUE(holds(file_, blobMarker()));
  EXPECT_FALSE(holds(copy_, blobMarker()));
  for (const Verification& proof : {withRootKey(copy_), withPublicKey(copy_)}) {
    EXPECT_EQ(proof.verdict, ExitCode::kSuccess) << (proof.fault ? proof.fault->why : "");
    EXPECT_GT(proof.reencrypted, 1u);
    EXPECT_EQ(proof.removed, 0u);
    ASSERT_EQ(proof.redactions.size(), 1u);
    EXPECT_EQ(proof.redactions[0].by, "the auditor");
    ASSERT_EQ(proof.redactions[0].recipients.size(), 1u);
    EXPECT_EQ(proof.redactions[0].recipients[0].recipient, other_.recipient());
  }
  TraceReader holder(copy_, &keys_, {&other_, 1});
  EXPECT_EQ(holder.readBlob(0, 0, content_.size()), content_);
  EXPECT_EQ(holder.readBlob(1, 0, content_.size()), content_);  // which repeats it
  EXPECT_EQ(checkContent(holder).encryptedBlobs, 0u);
  TraceReader anyone(copy_, &keys_, {&stranger_, 1});
  EXPECT_EQ(checkContent(anyone).encryptedBlobs, 2u);
  const Error error = errorOf([&] { anyone.readBlob(0, 0, 1); });
  EXPECT_EQ(error.code(), ExitCode::kEncrypted);
  EXPECT_NE(std::string(error.what()).find(fingerprint(other_.recipient())), std::string::npos);
}

TEST_F(ReencryptionTest, EveryBitOfItMatters) {
  writeSmall(file_);
  reencrypt(file_, copy_, {0}, reader_);
  const ByteVector original = readFile(copy_);
  ASSERT_EQ(withPublicKey(copy_).verdict, ExitCode::kSuccess);
  for (size_t at = 0; at < original.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      ByteVector bytes = original;
      bytes[at] ^= static_cast<uint8_t>(1 << bit);
      writeFile(copy_, bytes);
      ASSERT_NE(verdict([&] { return withRootKey(copy_); }), ExitCode::kSuccess) << at << "." << bit;
      ASSERT_NE(verdict([&] { return withPublicKey(copy_); }), ExitCode::kSuccess)
          << at << "." << bit;
    }
  }
}

TEST_F(ReencryptionTest, CanBeTakenOutLaterButNotUnsaid) {
  write(file_);
  reencrypt(file_, copy_, {0}, reader_);
  TraceReader reader(copy_, &keys_);
  EXPECT_TRUE(chooseBlobs(reader, {.numbers = {0}, .encrypted = false}).blobs.empty());
  redact(copy_, path("second.cap"), chooseBlobs(reader, {.numbers = {0}}), {"b", ""}, keys_);
  const Verification proof = withPublicKey(path("second.cap"));
  EXPECT_EQ(proof.verdict, ExitCode::kSuccess) << (proof.fault ? proof.fault->why : "");
  EXPECT_EQ(proof.redactions.size(), 2u);
  // The same without the second redaction: what the first says is no longer there.
  const ByteVector bytes = readFile(path("second.cap"));
  writeFile(copy_, {bytes.begin(),
                    bytes.begin() + static_cast<ptrdiff_t>(framesOf(bytes).back().start)});
  EXPECT_EQ(withPublicKey(copy_).verdict, ExitCode::kTampered);
}

TEST_F(ReencryptionTest, LiesOverTheSessionsOwn) {
  write(file_, {.encryptTo = {reader_.recipient()}});
  reencrypt(file_, copy_, {0}, reader_);
  EXPECT_EQ(withPublicKey(copy_).verdict, ExitCode::kSuccess);
  const std::vector<Identity> both = {reader_, other_};
  EXPECT_EQ(TraceReader(copy_, &keys_, both).readBlob(0, 0, content_.size()), content_);
  for (const Identity& one : both) {
    TraceReader reader(copy_, &keys_, {&one, 1});
    EXPECT_EQ(errorOf([&] { reader.readBlob(0, 0, 1); }).code(), ExitCode::kEncrypted);
  }
}

}  // namespace
}  // namespace airr
