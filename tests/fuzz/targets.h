// What is fuzzed: the parsers that meet hostile input. Each takes any bytes and must neither crash
// nor take much time or memory; an Error is as good as success.
//
// One thread. tests/fuzz/mutations_test.cpp runs them in every test run on mutated seeds; with
// -DAIRR_FUZZ=ON (clang) each is a libFuzzer program.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "recorder/encryption.h"

namespace airr::fuzz {

struct Target {
  const char* name;
  void (*run)(Bytes);
  std::vector<std::vector<uint8_t>> (*seeds)();
};

// Who can read the seeds that are encrypted.
const Identity& reader();

void trace(Bytes);
void frame(Bytes);
void packed_events(Bytes);
void key_file(Bytes);
void proof(Bytes);

const std::vector<Target>& targets();

}  // namespace airr::fuzz
