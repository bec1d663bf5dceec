// From the text of a policy to its rules. Used by Policy::parse() only.
#pragma once

#include "policies/policy.h"

namespace airr::policies {

class PolicyParser {
 public:
  static Policy parse(std::shared_ptr<const Source> source, const Bindings& bindings);
};

}  // namespace airr::policies
