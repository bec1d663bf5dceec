// libFuzzer: the reader of rule files. Build with -DAIRR_FUZZ=ON and clang.
#include "policies/classify/rule_set.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    airr::classify::loadRules({{"f", std::string(reinterpret_cast<const char*>(data), size)}});
  } catch (const airr::Error&) {
    // Refused, which is right.
  }
  return 0;
}
