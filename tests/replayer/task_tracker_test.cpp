#include "replayer/task_tracker.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>

#include <functional>
#include <vector>

namespace airr {
namespace {

class TaskTrackerTest : public testing::Test {
 protected:
  using Phase = schema::Syscall::Phase;

  std::optional<TaskTracker::Step> call(uint32_t task, uint16_t number,
                                        const std::vector<uint64_t>& arguments,
                                        Phase phase = Phase::WHOLE, uint32_t child = 0,
                                        const char* path = "") {
    capnp::MallocMessageBuilder message;
    auto event = message.initRoot<schema::Event>();
    event.setTask(task);
    auto syscall = event.initSyscall();
    syscall.setNumber(number);
    syscall.setPhase(phase);
    syscall.setChild(child);
    syscall.setPath(path);
    auto list = syscall.initArguments(static_cast<unsigned>(arguments.size()));
    for (unsigned i = 0; i < arguments.size(); ++i) list.set(i, arguments[i]);
    return tracker_.observe(event.asReader());
  }

  TaskTracker tracker_;
};

TEST_F(TaskTrackerTest, ThreadsBelongToTheirProcess) {
  call(1, SYS_clone, {CLONE_VM | CLONE_THREAD}, Phase::WHOLE, 2);
  call(2, SYS_fork, {}, Phase::WHOLE, 3);
  call(3, SYS_clone, {CLONE_VM | CLONE_THREAD}, Phase::WHOLE, 4);
  EXPECT_EQ(tracker_.processOf(2), 1u);
  EXPECT_EQ(tracker_.processOf(3), 3u);
  EXPECT_EQ(tracker_.processOf(4), 3u);
  EXPECT_EQ(tracker_.parentOf(3), 1u);
  EXPECT_EQ(tracker_.parentOf(1), 0u);
  EXPECT_EQ(tracker_.processOf(99), 0u);
}

TEST_F(TaskTrackerTest, ALeaveHasTheArgumentsAndPathOfItsEnter) {
  auto enter = call(1, SYS_openat, {5, 6, 7, 8}, Phase::ENTER, 0, "/fifo");
  ASSERT_TRUE(enter);
  EXPECT_FALSE(enter->finished);
  call(2, SYS_getpid, {});
  auto leave = call(1, SYS_openat, {}, Phase::LEAVE);
  ASSERT_TRUE(leave);
  EXPECT_TRUE(leave->finished);
  EXPECT_EQ(leave->call.arguments[2], 7u);
  EXPECT_EQ(leave->path, "/fifo");
}

TEST_F(TaskTrackerTest, AVforkChildIsKnownBeforeItsParentsCallReturns) {
  call(1, SYS_vfork, {}, Phase::ENTER);
  call(2, SYS_getpid, {});
  EXPECT_EQ(tracker_.parentOf(2), 1u);
  call(1, SYS_vfork, {}, Phase::LEAVE, 2);
  EXPECT_EQ(tracker_.processOf(2), 2u);
  EXPECT_EQ(tracker_.parentOf(2), 1u);
  call(3, SYS_getpid, {});
  EXPECT_EQ(tracker_.parentOf(3), 0u);
}

TEST_F(TaskTrackerTest, AParentThatIsHeardOfLaterIsTakenOver) {
  call(2, SYS_getpid, {});
  call(1, SYS_clone, {CLONE_VM | CLONE_THREAD}, Phase::WHOLE, 2);
  EXPECT_EQ(tracker_.processOf(2), 1u);
}

TEST_F(TaskTrackerTest, ContradictionsAreHarmless) {
  call(1, SYS_fork, {}, Phase::WHOLE, 1);
  EXPECT_EQ(tracker_.parentOf(1), 0u);
  auto leave = call(1, SYS_read, {}, Phase::LEAVE);
  ASSERT_TRUE(leave);
  EXPECT_EQ(leave->call.arguments[0], 0u);
  call(1, SYS_read, {1, 2, 3}, Phase::ENTER);
  leave = call(1, SYS_write, {}, Phase::LEAVE);
  ASSERT_TRUE(leave);
  EXPECT_EQ(leave->call.number, static_cast<uint64_t>(SYS_write));
  EXPECT_EQ(leave->call.arguments[0], 0u);
  EXPECT_FALSE(call(0, SYS_read, {}));
}

}  // namespace
}  // namespace airr
