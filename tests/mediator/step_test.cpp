#include "mediator/facts/step.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <functional>
#include <random>
#include <vector>

namespace airr::facts {
namespace {

using Words = std::vector<uint64_t>;

Words wordsOf(const std::function<void(schema::Event::Builder)>& fill) {
  capnp::MallocMessageBuilder message;
  auto event = message.initRoot<schema::Event>();
  event.setTask(1);
  fill(event);
  const auto flat = capnp::messageToFlatArray(message);
  const auto* first = reinterpret_cast<const uint64_t*>(flat.begin());
  return {first, first + flat.size()};
}

Words callOf(uint16_t number) {
  return wordsOf([&](schema::Event::Builder event) {
    auto call = event.initSyscall();
    call.setNumber(number);
    call.setPath("/a/path");
    call.initArguments(6).set(2, 7);  // mmap: PROT_EXEC among them
  });
}

// Steps that a reader finds; none if the message is malformed.
size_t stepsOf(const Words& words) {
  try {
    capnp::FlatArrayMessageReader message(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size()));
    StepList list;
    list.add(1, message.getRoot<schema::Event>());
    return list.steps().size();
  } catch (const kj::Exception&) {
    return 0;
  }
}

TEST(StepList, PassesOverCallsThatAreNoSteps) {
  size_t passed = 0, steps = 0;
  for (uint16_t number = 0; number < 700; ++number) {
    const Words words = callOf(number);
    const bool isPassedOver = StepList::isPassedOver(words);
    if (isPassedOver) {
      EXPECT_EQ(stepsOf(words), 0u) << number;
    }
    passed += isPassedOver;
    steps += stepsOf(words);
  }
  EXPECT_GT(passed, 200u);
  EXPECT_GT(steps, 100u);
  EXPECT_TRUE(StepList::isPassedOver(callOf(SYS_read)) || StepList::isPassedOver(callOf(SYS_getpid)));
  EXPECT_FALSE(StepList::isPassedOver(callOf(SYS_openat)));
}

TEST(StepList, PassesOverOtherEventsThatAreNoSteps) {
  EXPECT_TRUE(StepList::isPassedOver(wordsOf([](auto event) { event.initSignal(); })));
  EXPECT_TRUE(StepList::isPassedOver(wordsOf([](auto event) { event.initClocks(160); })));
  EXPECT_FALSE(StepList::isPassedOver(wordsOf([](auto event) { event.initTaskExit(); })));
  EXPECT_FALSE(StepList::isPassedOver(wordsOf([](auto event) { event.initExec(); })));
  EXPECT_FALSE(StepList::isPassedOver(wordsOf([](auto event) { event.initDecision(); })));
  EXPECT_FALSE(StepList::isPassedOver(wordsOf([](auto event) { event.initPolicy(); })));
}

TEST(StepList, LeavesToAReaderWhatIsNotLaidOutAsUsual) {
  const Words whole = callOf(SYS_getpid);
  ASSERT_TRUE(StepList::isPassedOver(whole));
  EXPECT_FALSE(StepList::isPassedOver({}));
  for (size_t size = 1; size < whole.size(); ++size)
    EXPECT_FALSE(StepList::isPassedOver(std::span(whole).first(size)));
  Words segments = whole;
  segments[0] |= 1;
  EXPECT_FALSE(StepList::isPassedOver(segments));
  for (const uint64_t pointer : {uint64_t{0}, uint64_t{1}, uint64_t{2}, ~uint64_t{3}, uint64_t{0x7ffffffc}}) {
    Words root = whole;
    root[1] = pointer;
    EXPECT_FALSE(StepList::isPassedOver(root)) << pointer;
  }
}

TEST(StepList, NeverPassesOverAStepWhateverTheMessage) {
  std::mt19937_64 random(1);
  const std::vector<Words> seeds = {callOf(SYS_getpid), callOf(SYS_openat), callOf(SYS_rename)};
  for (int round = 0; round < 20'000; ++round) {
    Words words = seeds[random() % seeds.size()];
    for (unsigned i = 0; i <= random() % 3; ++i)
      words[1 + random() % std::min<size_t>(words.size() - 1, 16)] ^= random() & random() & random();
    if (StepList::isPassedOver(words)) {
      ASSERT_EQ(stepsOf(words), 0u) << round;
    }
  }
}

}  // namespace
}  // namespace airr::facts
