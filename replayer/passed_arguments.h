// What a recorded call passed to the kernel by pointer and that matters for the files it writes:
// paths, data, descriptors. Read while the call is being made, as the memory may change after it.
//
// Values and pure functions but for reads through MemoryReader. Memory that cannot be read yields
// empty values, as the kernel then answers EFAULT.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mediator/syscalls/model.h"
#include "replayer/descriptor_table.h"

namespace airr {

constexpr int kNoArgument = -1;

// Which arguments name files: a directory descriptor (or none: the current directory) and a path.
struct PathArguments {
  long number;
  int directory[2];
  int path[2];
};

// Nothing for a call that names no file but to open it.
const PathArguments* pathArgumentsOf(uint64_t number);

struct PassedArguments {
  std::string paths[2];
  std::vector<uint8_t> data;                           // of a write to a file that is followed
  uint64_t flags = 0, mode = 0;                        // of an open
  uint64_t control = 0;                                // where the control data of a message is
  std::vector<std::shared_ptr<FileDescription>> descriptors;  // in a sent message; null: not followed
};

PassedArguments readPassed(const syscalls::Call& call, const DescriptorTable& table,
                           uint64_t dataLimit, syscalls::MemoryReader& memory);

// The descriptors in the control data of a message (SCM_RIGHTS).
std::vector<int> passedDescriptors(const std::vector<uint8_t>& control);

}  // namespace airr
