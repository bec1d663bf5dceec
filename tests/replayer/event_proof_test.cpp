#include "replayer/event_proof.h"

#include <random>

#include "tests/replayer/evidence_fixture.h"

namespace airr {
namespace {

class EventProofTest : public EvidenceTest {
 protected:
  // Decisions, digested alone, among many other events, over several epochs and zstd frames.
  void writeDecisions(const std::string& file, uint32_t events) const {
    TraceWriter writer = create(file);
    for (uint32_t i = 1; i <= events; ++i) {
      auto event = writer.begin();
      event.setTask(i);
      event.initNote().setText("event " + std::to_string(i) + std::string(i % 300, 'x'));
      writer.commit(i % 10 == 0 ? Digested::kAlone : Digested::kTogether);
      if (i % 70 == 0) writer.flush();
    }
    writer.seal();
  }

  EventProof check(const ByteVector& proof) const {
    return EventProof(proof, keys_.publicKey(), "a proof");
  }

  const std::string file_ = path("trace.cap");
};

TEST_F(EventProofTest, AnyEventCanBeProved) {
  writeDecisions(file_, 2000);
  for (uint64_t number : {1, 9, 10, 11, 69, 70, 71, 500, 1230, 1999, 2000}) {
    const auto bytes = makeProof(file_, number);
    EXPECT_LT(bytes.size(), 40'000u);
    const EventProof proof = check(bytes);
    EXPECT_EQ(proof.eventNumber(), number);
    EXPECT_EQ(proof.event().getTask(), number);
    EXPECT_TRUE(std::string(proof.event().getNote().getText())
                    .starts_with("event " + std::to_string(number)));
    if (number % 10 == 0) {
      EXPECT_TRUE(proof.isAlone());
      const std::string all(bytes.begin(), bytes.end());
      for (int64_t other : {-2, -1, 1, 2}) {
        EXPECT_EQ(all.find("event " + std::to_string(static_cast<int64_t>(number) + other) + "x"),
                  std::string::npos);
      }
    }
  }
  EXPECT_EQ(errorOf([&] { makeProof(file_, 2001); }).code(), ExitCode::kFailure);
  EXPECT_EQ(errorOf([&] { makeProof(file_, 0); }).code(), ExitCode::kFailure);
}

// 300 epochs, of which few certificates are in a proof.
TEST_F(EventProofTest, ProofsStaySmallInLongSessions) {
  {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    RawTrace trace(file_, sessionKey(), header);
    for (uint32_t i = 1; i <= 600; ++i) {
      trace.events({RawTrace::note(i, "a")});
      if (i % 2 == 0) trace.frames().checkpoint();
    }
    trace.frames().seal();
  }
  for (uint64_t number : {1, 33, 513, 514, 599}) {
    const auto bytes = makeProof(file_, number);
    EXPECT_LT(bytes.size(), 12'000u) << number;
    EXPECT_EQ(check(bytes).event().getTask(), number);
  }
}

TEST_F(EventProofTest, WhatNoCheckpointCoversIsNotProved) {
  {
    TraceWriter writer = create(file_);
    writeNote(writer, 1, "a");
  }
  EXPECT_EQ(errorOf([&] { makeProof(file_, 1); }).code(), ExitCode::kUnsealed);
}

TEST_F(EventProofTest, AnotherKeyIsToldFromForgery) {
  writeDecisions(file_, 100);
  const auto bytes = makeProof(file_, 10);
  const KeyStore other = KeyStore::load(path("other"), true);
  EXPECT_EQ(errorOf([&] { EventProof(bytes, other.publicKey(), "a proof"); }).code(),
            ExitCode::kWrongKey);
}

// Whatever is changed, either the proof is refused or it says the same: a message has room for
// bytes that nothing reads.
TEST_F(EventProofTest, NothingElseCanBeProved) {
  writeDecisions(file_, 200);
  const auto original = makeProof(file_, 50);
  const EventProof truth = check(original);
  const ByteVector said = canonical(truth.event());
  auto holds = [&](const ByteVector& bytes) {
    try {
      const EventProof proof = check(bytes);
      EXPECT_EQ(proof.eventNumber(), 50u);
      EXPECT_EQ(canonical(proof.event()), said);
      EXPECT_EQ(hex(Bytes(proof.header().getSessionId().begin(), 16)), hex(kSessionId));
      return true;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ExitCode::kUnreadable || error.code() == ExitCode::kTampered ||
                  error.code() == ExitCode::kWrongKey)
          << error.what();
      return false;
    }
  };
  ASSERT_TRUE(holds(original));
  size_t unnoticed = 0;
  for (size_t at = 0; at < original.size(); ++at) {
    ByteVector bytes = original;
    bytes[at] ^= static_cast<uint8_t>(1 << at % 8);
    if (holds(bytes)) ++unnoticed;
  }
  EXPECT_LT(unnoticed, original.size() / 20);
  for (size_t size = 0; size < original.size(); size += 7) {
    EXPECT_FALSE(holds({original.begin(), original.begin() + static_cast<ptrdiff_t>(size)}));
  }
  std::mt19937_64 random(5);
  for (int i = 0; i < 3000; ++i) {
    ByteVector bytes = original;
    for (uint64_t edits = 1 + random() % 4; edits > 0; --edits) {
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    }
    holds(bytes);
  }
}

}  // namespace
}  // namespace airr
